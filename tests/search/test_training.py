from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from search.augmentation import Augmentation
from search.errors import TrainingError
from search.images import ImageData
from search.training import TrainedNetwork, TrainingParams, network_accuracy, train_network
from tests.runtimes import run_litert, run_onnxruntime
from tests.search._stripes import SPACE, stripes_data, stripes_supernet

DATA = stripes_data()
GENOTYPE = SPACE.sample(np.random.default_rng(4))
NETWORK, PARTS = SPACE.lower(GENOTYPE), SPACE.input_parts(GENOTYPE)
PARAMS = TrainingParams(epochs=3, batch_size=32)
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


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_an_interrupted_training_ends_in_the_same_network(tmp_path: Path, stop_after: int) -> None:
    def stop(epoch: int, _: float) -> None:
        if epoch == stop_after:
            raise StopError

    checkpoint = tmp_path / "training.safetensors"
    with pytest.raises(StopError):
        train(DATA, PARAMS, checkpoint=checkpoint, on_epoch=stop)
    epochs: list[int] = []
    resumed = train(DATA, PARAMS, checkpoint=checkpoint, on_epoch=lambda epoch, _: epochs.append(epoch))
    whole = train(DATA, PARAMS)
    assert epochs == list(range(stop_after + 1, 3))
    assert same_weights(resumed, whole)
    assert resumed.losses == whole.losses
    assert [path.name for path in tmp_path.iterdir()] == ["training.safetensors"]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "training.safetensors"
    train(DATA, once := replace(PARAMS, epochs=1), checkpoint=checkpoint)
    # Of the same name and shape: another file of the same basename.
    other = replace(DATA, train_x=DATA.train_x[::-1].copy())
    for data, params in ((DATA, PARAMS), (other, once)):
        with pytest.raises(TrainingError, match="another training"):
            train(data, params, checkpoint=checkpoint)


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
