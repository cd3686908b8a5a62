from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from profiler.network import Add, Conv2d, GlobalAvgPool2d, Network, TensorSpec
from profiler.zoo import mobilenet_v3_small, shufflenet_v2
from search.augmentation import AUGMENTATIONS, Augmentation
from search.distillation import Teacher
from search.errors import TrainingError
from search.images import ImageData
from search.schedule import Schedule
from search.training import TrainedNetwork, TrainingParams, network_accuracy, train_network, training_digest
from tests.runtimes import run_litert, run_onnxruntime
from tests.search._stripes import SPACE, stripes_data, stripes_supernet

DATA = stripes_data()
GENOTYPE = SPACE.sample(np.random.default_rng(4))
NETWORK, PARTS = SPACE.lower(GENOTYPE), SPACE.input_parts(GENOTYPE)
PARAMS = TrainingParams(epochs=3, batch_size=32)
TEACHER = Teacher(NETWORK.with_random_weights(np.random.default_rng(0)))
train = partial(train_network, NETWORK, input_parts=PARTS)


def same_weights(left: TrainedNetwork, right: TrainedNetwork) -> bool:
    return left.network == right.network


@pytest.fixture(scope="module")
def trained() -> TrainedNetwork:
    return train(DATA, replace(PARAMS, epochs=15, batch_size=16), seed=1)


def test_training_learns(trained: TrainedNetwork) -> None:
    assert trained.accuracy > 0.9
    assert trained.validation_accuracy > 0.9
    assert len(trained.losses) == 15
    assert trained.losses[-1] < trained.losses[0]
    assert trained.network.key == NETWORK.key


def test_reported_accuracy_is_that_of_the_files(trained: TrainedNetwork) -> None:
    for run in (run_litert, run_onnxruntime):
        found = [int(run(trained.network, [image])[0].argmax()) for image in DATA.test_x[:, None]]
        assert np.mean(found == DATA.test_y) == trained.accuracy
    assert network_accuracy(trained.network, DATA.test_x, DATA.test_y) == trained.accuracy


def test_the_same_seed_gives_the_same_network() -> None:
    first, second = (train(DATA, PARAMS, seed=2) for _ in range(2))
    other = train(DATA, PARAMS, seed=3)
    assert same_weights(first, second)
    assert not same_weights(first, other)


class StopError(Exception):
    """Raised in the place of a power cut."""


# All that has a state, or draws at random.
ALL = TrainingParams(
    epochs=3,
    batch_size=32,
    schedule=Schedule(first_cycle=1, multiplier=1, warmup_epochs=1),
    augmentation=replace(AUGMENTATIONS["randaugment"], cutout=0.25),
    mixup=0.2,
    average_decay=0.9,
)


@pytest.fixture(scope="module")
def whole() -> TrainedNetwork:
    return train(DATA, ALL, teacher=TEACHER)


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_an_interrupted_training_ends_in_the_same_network(
    tmp_path: Path, whole: TrainedNetwork, stop_after: int
) -> None:
    def stop(epoch: int, _: float) -> None:
        if epoch == stop_after:
            raise StopError

    checkpoint = tmp_path / "training.safetensors"
    with pytest.raises(StopError):
        train(DATA, ALL, teacher=TEACHER, checkpoint=checkpoint, on_epoch=stop)
    epochs: list[int] = []
    resumed = train(DATA, ALL, teacher=TEACHER, checkpoint=checkpoint, on_epoch=lambda epoch, _: epochs.append(epoch))
    assert epochs == list(range(stop_after + 1, 3))
    assert same_weights(resumed, whole)
    assert resumed.losses == whole.losses
    assert [path.name for path in tmp_path.iterdir()] == ["training.safetensors"]


_KILLED = """
import sys
from pathlib import Path
from tests.search.test_training import ALL, DATA, TEACHER, train
print("ready", flush=True)
train(DATA, ALL, teacher=TEACHER, checkpoint=Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.05, 0.2, 0.35, 0.5, 0.65, 0.8])
def test_a_killed_training_ends_in_the_same_network(tmp_path: Path, whole: TrainedNetwork, seconds: float) -> None:
    checkpoint = tmp_path / "training.safetensors"
    command = [sys.executable, "-c", _KILLED, str(checkpoint)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    ) as own:
        assert own.stdout is not None and own.stdout.readline() == b"ready\n"
        time.sleep(seconds)
        own.kill()
    resumed = train(DATA, ALL, teacher=TEACHER, checkpoint=checkpoint)
    assert same_weights(resumed, whole)
    assert resumed.losses == whole.losses


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "training.safetensors"
    train(DATA, once := replace(PARAMS, epochs=1), checkpoint=checkpoint)
    # Of the same name and shape: another file of the same basename.
    other = replace(DATA, train_x=DATA.train_x[::-1].copy())
    weights = stripes_supernet().weights_of(GENOTYPE)
    for data, params, initial, teacher in (
        (DATA, PARAMS, None, None),
        (other, once, None, None),
        (DATA, once, weights, None),
        (DATA, once, None, TEACHER),
    ):
        with pytest.raises(TrainingError, match="another training"):
            train(data, params, initial=initial, teacher=teacher, checkpoint=checkpoint)


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95", b"\xff" * 64])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    checkpoint = tmp_path / "training.safetensors"
    checkpoint.write_bytes(content)
    with pytest.raises(TrainingError, match="cannot be read"):
        train(DATA, PARAMS, checkpoint=checkpoint)


def test_training_can_start_from_shared_weights() -> None:
    supernet = stripes_supernet()
    supernet.learn(lambda _: [GENOTYPE], epochs=12, rng=np.random.default_rng(0))
    gentle = replace(PARAMS, epochs=1, learning_rate=1e-4, augmentation=Augmentation())
    inherited = train(DATA, gentle, initial=supernet.weights_of(GENOTYPE))
    fresh = train(DATA, gentle)
    assert inherited.losses[0] < fresh.losses[0]
    assert inherited.validation_accuracy == pytest.approx(supernet.evaluate([GENOTYPE])[0], abs=0.1)


def test_shared_weights_of_another_architecture_are_refused() -> None:
    other = SPACE.sample(np.random.default_rng(5))
    with pytest.raises(TrainingError, match="initial weights lack"):
        train(DATA, PARAMS, initial=stripes_supernet().weights_of(other))


def test_a_diverged_training_is_an_error() -> None:
    broken: ImageData = replace(DATA, train_x=np.full_like(DATA.train_x, np.nan))
    with pytest.raises(TrainingError, match="epoch 0: the loss is not finite"):
        train(broken, PARAMS)


def test_images_are_mirrored_only_where_the_data_allow_it() -> None:
    once = replace(PARAMS, epochs=1)
    plain = replace(once, augmentation=replace(once.augmentation, mirror=False))
    as_given = train(DATA, once)
    assert same_weights(as_given, train(DATA, plain))
    assert not same_weights(as_given, train(replace(DATA, mirrored=True), once))


@pytest.mark.parametrize("make", [mobilenet_v3_small, shufflenet_v2])
def test_networks_of_no_space_are_trained(make) -> None:  # type: ignore[no-untyped-def]
    network = make(classes=4, width=0.5, image_shape=DATA.image_shape)
    trained = train_network(network, DATA, replace(PARAMS, epochs=1))
    assert trained.network.key == network.key
    assert np.isfinite(trained.losses[0])


def test_what_is_averaged_is_returned() -> None:
    once = replace(PARAMS, epochs=1, augmentation=Augmentation())
    plain, averaged = (train(DATA, replace(once, average_decay=decay)) for decay in (0.0, 0.9))
    assert plain.losses == averaged.losses
    assert not same_weights(plain, averaged)
    assert averaged.validation_accuracy == network_accuracy(averaged.network, DATA.val_x, DATA.val_y)


def test_settings_go_through_json() -> None:
    assert TrainingParams.from_json(ALL.to_json()) == ALL
    assert TrainingParams.from_json("{}") == TrainingParams()


@pytest.mark.parametrize(
    "text", ["", "[]", "3", '{"epoch": 3}', '{"schedule": {"first": 1}}', '{"schedule": 3}', '{"epochs": "x"}']
)
def test_other_json_is_refused(text: str) -> None:
    with pytest.raises(TrainingError, match="no settings of a training"):
        TrainingParams.from_json(text)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("epochs", 0, "epochs must be at least 1, not 0"),
        ("batch_size", -1, "batch_size must be at least 1"),
        ("learning_rate", 0.0, "learning_rate must be above 0"),
        ("learning_rate", float("nan"), "learning_rate must be above 0"),
        ("temperature", float("inf"), "temperature must be above 0"),
        ("mixup", -0.1, "mixup must be at least 0"),
        ("average_decay", 1.0, "average_decay must be at least 0 and below 1"),
        ("label_smoothing", 1.5, "label_smoothing must be from 0 to 1"),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, value: float, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        TrainingParams(**{setting: value})  # type: ignore[arg-type]


def test_the_digest_covers_all_that_weights_depend_on() -> None:
    other: dict[str, object] = {"schedule": Schedule(first_cycle=2), "augmentation": AUGMENTATIONS["randaugment"]}
    changed = [
        replace(PARAMS, **{item.name: other.get(item.name) or getattr(PARAMS, item.name) / 2 + 0.3})  # type: ignore[arg-type]
        for item in fields(TrainingParams)
        if item.name not in ("epochs", "batch_size", "threads")
    ]
    changed += [replace(PARAMS, **{name: 7}) for name in ("epochs", "batch_size", "threads")]  # type: ignore[arg-type]
    digests = [training_digest(NETWORK, DATA, params) for params in (PARAMS, *changed)]
    digests += [
        training_digest(NETWORK, DATA, PARAMS, seed=1),
        training_digest(NETWORK, DATA, PARAMS, input_parts=PARTS),
        training_digest(NETWORK, DATA, PARAMS, teacher=TEACHER),
        training_digest(NETWORK, replace(DATA, mirrored=True), PARAMS),
        training_digest(SPACE.lower(SPACE.sample(np.random.default_rng(5))), DATA, PARAMS),
    ]
    assert len(set(digests)) == len(digests) == len(fields(TrainingParams)) + 6
    assert training_digest(NETWORK, DATA, PARAMS) == digests[0]


def test_a_network_that_does_not_fit_the_images_is_refused() -> None:
    wide = mobilenet_v3_small(classes=4, image_shape=(16, 16, 1))
    with pytest.raises(TrainingError, match=r"takes images of \(16, 16, 1\) .* 'stripes' has images of \(8, 8, 1\)"):
        train_network(wide, DATA, PARAMS)
    many = mobilenet_v3_small(classes=5, image_shape=DATA.image_shape)
    with pytest.raises(TrainingError, match=r"returns \(1, 5\), but 'stripes' has .* in 4 classes"):
        train_network(many, DATA, PARAMS)
    with pytest.raises(TrainingError, match="takes images"):
        train(DATA, PARAMS, teacher=Teacher(many.with_random_weights(np.random.default_rng(0))))
    image = TensorSpec("a", (1, *DATA.image_shape))
    two = Network(
        "two",
        [image, replace(image, name="b")],
        [Add("sum", ("a", "b")), Conv2d("conv", ("sum",), 4), GlobalAvgPool2d("out", ("conv",))],
        ["out"],
    )
    with pytest.raises(TrainingError, match=r"has 2 input\(s\)"):
        train_network(two, DATA, PARAMS)


def test_a_checkpoint_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be written"):
        train(DATA, replace(PARAMS, epochs=1), checkpoint=tmp_path / "missing" / "training.safetensors")
