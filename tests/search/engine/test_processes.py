"""Real workers: what they score and train is what this process scores and trains, to the last bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor

from profiler.network import Conv2d, Dense, GlobalAvgPool2d, Network, Relu, TensorSpec
from search.distillation import Teacher
from search.engine import Engine, EvaluationJob, InProcess, Processes, TrainingJob
from search.errors import JobLostError, SupernetError, TrainingError
from search.training import TrainedNetwork, TrainingParams
from search.unfolded import UnfoldedNetwork, initial_weights
from tests.search._stripes import stripes_data

DATA = stripes_data()
QUICK = TrainingParams(epochs=2, batch_size=32)


def network(channels: int, name: str = "small") -> Network:
    return Network(
        name,
        [TensorSpec("image", (1, 8, 8, 1))],
        [
            Conv2d("first", ("image",), channels),
            Relu("active", ("first",)),
            Conv2d("second", ("active",), 4, kernel=(8, 8), padding="valid"),
            GlobalAvgPool2d("pool", ("second",)),
            Dense("logits", ("pool",), 4),
        ],
        ["logits"],
    )


JOBS = [EvaluationJob(network(channels)) for channels in (2, 3, 5, 8) * 3]
"""Of widths that take parts of the shared weights."""


@cache
def shared_weights() -> dict[str, Tensor]:
    rng = np.random.default_rng(3)
    weights = initial_weights(UnfoldedNetwork(network(8)).weight_shapes, rng)
    noise = {name: rng.standard_normal(weight.shape, dtype=np.float32) for name, weight in weights.items()}
    return {name: weight.detach() + torch.from_numpy(noise[name]) for name, weight in weights.items()}


@pytest.fixture(scope="module")
def pool() -> Iterator[Processes]:
    with Processes(2) as engine:
        yield engine


def evaluate(engine: Engine, jobs: Sequence[EvaluationJob] = JOBS, weights: dict[str, Tensor] | None = None) -> bytes:
    scores = engine.evaluate(jobs, weights or shared_weights(), DATA, calibration_images=40)
    assert scores.dtype == np.float64 and scores.shape == (len(jobs),)
    return scores.tobytes()


def described(trained: TrainedNetwork) -> tuple[object, ...]:
    """All of a training's outcome, to the last bit."""
    weights = {name: array.tobytes() for name, array in (trained.network.weights or {}).items()}
    return weights, trained.network.to_json(), trained.accuracy, trained.validation_accuracy, trained.losses


def test_workers_score_to_the_last_bit_as_this_process_does(pool: Processes) -> None:
    expected = evaluate(InProcess())
    assert len(set(np.frombuffer(expected))) > 2
    assert evaluate(pool) == evaluate(pool) == expected
    assert evaluate(pool, JOBS[::-1]) == np.frombuffer(expected)[::-1].tobytes()


def test_a_snapshot_holds_for_its_call_only(pool: Processes) -> None:
    other = {name: -weight for name, weight in shared_weights().items()}
    assert evaluate(pool, weights=other) == evaluate(InProcess(), weights=other) != evaluate(pool)
    assert len(list(pool.folder.glob("weights-*"))) == len(list(pool.folder.glob("images-*"))) == 1


def test_fewer_images_than_asked_for_calibrate_too(pool: Processes) -> None:
    here, there = (
        engine.evaluate(JOBS[:2], shared_weights(), DATA, calibration_images=1000) for engine in (InProcess(), pool)
    )
    assert here.tolist() == there.tolist()


def test_logits_that_are_not_finite_score_nan(pool: Processes) -> None:
    broken = shared_weights() | {"second/kernel": torch.full_like(shared_weights()["second/kernel"], torch.nan)}
    for engine in (pool, InProcess()):
        assert np.isnan(engine.evaluate(JOBS[:3], broken, DATA, calibration_images=40)).all()


def test_a_network_that_does_not_fit_the_weights_is_an_error_of_its_own_kind(pool: Processes) -> None:
    for engine in (pool, InProcess()):
        with pytest.raises(SupernetError):
            evaluate(engine, [EvaluationJob(network(9))])
    assert evaluate(pool) == evaluate(InProcess())


def test_workers_train_to_the_last_bit_as_this_process_does(pool: Processes, tmp_path: Path) -> None:
    teacher = Teacher(network(4).with_random_weights(np.random.default_rng(0)))
    jobs = [
        TrainingJob(network(4, "plain"), QUICK, seed=1, checkpoint=tmp_path / "plain.safetensors"),
        TrainingJob(network(3, "taught"), replace(QUICK, average_decay=0.9), seed=2, teacher=teacher),
        TrainingJob(network(8, "started"), replace(QUICK, epochs=1), initial=shared_weights()),
    ]
    seen: list[tuple[int, int, float]] = []
    here = InProcess().train([replace(job, checkpoint=None) for job in jobs], DATA)
    there = pool.train(jobs, DATA, on_epoch=lambda *told: seen.append(told))
    assert [described(trained) for trained in there] == [described(trained) for trained in here]
    losses = [(place, epoch, loss) for place, trained in enumerate(here) for epoch, loss in enumerate(trained.losses)]
    assert sorted(seen) == losses


def test_a_training_that_goes_astray_leaves_the_others_alone(pool: Processes) -> None:
    astray = TrainingJob(network(4), replace(QUICK, learning_rate=1e30, gradient_clip=1e30))
    for engine in (pool, InProcess()):
        first, second = engine.train([astray, TrainingJob(network(4), replace(QUICK, epochs=1))], DATA)
        assert isinstance(first, TrainingError) and first.epoch is not None and "not finite" in first.problem
        assert isinstance(second, TrainedNetwork)


def test_a_training_whose_worker_is_killed_goes_on_at_its_checkpoint(pool: Processes, tmp_path: Path) -> None:
    job = TrainingJob(network(4), replace(QUICK, epochs=20), seed=5, checkpoint=tmp_path / "lost.safetensors")
    epochs, killed = [], []

    def kill_once(place: int, epoch: int, loss: float) -> None:
        epochs.append(epoch)
        if epoch == 1 and not killed:
            killed.append(pool.pids[0])
            os.kill(pool.pids[0], signal.SIGKILL)

    (trained,) = pool.train([job], DATA, on_epoch=kill_once)
    (expected,) = InProcess().train([replace(job, checkpoint=None)], DATA)
    assert described(trained) == described(expected)
    assert killed[0] not in pool.pids and epochs[0] == 0 and epochs.count(0) == 1, "what was done is not done again"


@pytest.mark.slow
def test_the_number_of_workers_does_not_matter() -> None:
    found = set()
    for count in (1, 3):
        with Processes(count) as engine:
            found.add(evaluate(engine))
            assert len(engine.pids) == count
    assert found == {evaluate(InProcess())}


@pytest.mark.slow
def test_the_error_tells_what_a_worker_died_of() -> None:
    with Processes(1) as engine:
        evaluate(engine, JOBS[:1])
        (images,) = engine.folder.glob("images-*")
        images.write_bytes(b"spoilt")
        os.kill(engine.pids[0], signal.SIGKILL)  # it holds the images still
        with pytest.raises(JobLostError, match=r"exit code 1: .*SafetensorError: "):
            evaluate(engine, JOBS[:2])


PARENT = """
import sys
sys.path.insert(0, {root!r})
from search.engine import Processes, TrainingJob
from tests.search.engine.test_processes import DATA, QUICK, network, replace
with Processes(2) as engine:
    jobs = [TrainingJob(network(4), replace(QUICK, epochs=100_000))] * 2
    tell = lambda *_: print(engine.folder, *engine.pids, flush=True)
    engine.train(jobs, DATA, on_epoch=tell)
"""


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_and_their_files_do_not_outlive_their_parent(ending: signal.Signals) -> None:
    program = PARENT.format(root=str(Path(__file__).parents[3]))
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        folder, *pids = parent.stdout.readline().split()
        while len(pids) < 2:
            folder, *pids = parent.stdout.readline().split()
        parent.send_signal(ending)
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s and (Path(folder).exists() or any(_runs(int(pid)) for pid in pids)):
        time.sleep(0.05)
    assert not Path(folder).exists() and not any(_runs(int(pid)) for pid in pids)


def _runs(pid: int) -> bool:
    """Whether a process computes still; an orphan may wait for its reaper."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
