from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from search._shared_optimiser import SharedAdamW
from search.augmentation import labels_to_torch, to_torch
from search.engine import EvaluationJob, InProcess
from search.errors import SupernetError
from search.images import ImageData
from search.schedule import Schedule
from search.spaces import CarsGenotype, CarsParams, CarsSpace
from search.supernet import LeftOut, Supernet, SupernetParams
from search.unfolded import (
    SCORED_AT_ONCE,
    FixedStatistics,
    Normalisation,
    RecordingStatistics,
    UnfoldedNetwork,
    Weights,
)
from tests.search._stripes import SPACE, stripes_data, stripes_supernet

DATA = stripes_data()
IMAGES, LABELS = to_torch(DATA.train_x[:32]), labels_to_torch(DATA.train_y[:32])


def test_shared_weights_learn_for_all_architectures() -> None:
    space = CarsSpace(replace(SPACE.params, nodes=1))
    supernet = Supernet(space, DATA, SupernetParams(epochs=25, batch_size=16))
    some = [space.sample(np.random.default_rng(seed)) for seed in range(1000, 1006)]
    before = supernet.evaluate(some)
    supernet.learn(lambda rng: [space.sample(rng)], epochs=25, rng=np.random.default_rng(0))
    after = supernet.evaluate(some)
    assert before.mean() < 0.45
    assert after.mean() > 0.65


def test_the_same_seeds_give_the_same_weights() -> None:
    states = []
    for _ in range(2):
        supernet = stripes_supernet(seed=5)
        supernet.learn(lambda rng: [SPACE.sample(rng)], epochs=1, rng=np.random.default_rng(1))
        states.append(supernet.state())
    assert states[0].keys() == states[1].keys()
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


def test_what_a_step_does_not_use_does_not_move() -> None:
    supernet = stripes_supernet()
    rng = np.random.default_rng(0)
    supernet.learn(lambda rng: [SPACE.sample(rng)], epochs=2, rng=rng)
    genotype = SPACE.sample(rng)
    used = supernet.weights_of(genotype).keys()
    before = supernet.state()
    supernet.step([genotype], IMAGES, LABELS)
    after = supernet.state()
    idle = [name for name in supernet.weights if name not in used]
    assert idle and used
    for name in idle:
        assert supernet.weights[name].grad is None
        for role in ("weight", "exp_avg", "exp_avg_sq", "step"):
            if f"{role}/{name}" in before:
                assert np.array_equal(before[f"{role}/{name}"], after[f"{role}/{name}"])
    assert all(supernet.weights[name].grad is not None for name in used)
    assert not np.array_equal(before["weight/stem/kernel"], after["weight/stem/kernel"])


def test_gradients_are_averaged_over_the_architectures() -> None:
    supernet = stripes_supernet()
    rng = np.random.default_rng(0)
    pair = [SPACE.sample(rng), SPACE.sample(rng)]
    supernet.learn(lambda _: pair, epochs=1, rng=rng)
    alone = []
    for genotype in pair:
        supernet.accumulate([genotype], IMAGES, LABELS)
        alone.append({name: weight.grad for name, weight in supernet.weights.items() if weight.grad is not None})
        alone[-1] = {name: grad.clone() for name, grad in alone[-1].items()}
    supernet.accumulate(pair, IMAGES, LABELS)
    for name, weight in supernet.weights.items():
        members = [gradients[name] for gradients in alone if name in gradients]
        if not members:
            assert weight.grad is None
            continue
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, torch.stack(members).sum(0) / 2, rtol=1e-4, atol=1e-6)


def test_scoring_changes_nothing_and_is_repeatable() -> None:
    supernet = stripes_supernet()
    genotypes = [SPACE.sample(np.random.default_rng(seed)) for seed in range(3)]
    before = supernet.state()
    first = supernet.evaluate(genotypes)
    assert np.array_equal(first, supernet.evaluate(genotypes[::-1])[::-1])
    after = supernet.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert first.shape == (3,) and first.dtype == np.float64


def test_statistics_are_those_of_training_images_and_not_of_the_images_scored() -> None:
    supernet = stripes_supernet()
    genotype = SPACE.sample(np.random.default_rng(0))
    supernet.learn(lambda _: [genotype], epochs=2, rng=np.random.default_rng(0))
    together = supernet.logits(genotype, IMAGES[:4])
    alone = torch.cat([supernet.logits(genotype, image[None]) for image in IMAGES[:4]])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def sizes_of_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that fills with the number of images of each run from here on."""
    sizes: list[int] = []
    run = UnfoldedNetwork.run

    def noting(
        unfolded: UnfoldedNetwork, weights: Weights, part: torch.Tensor, statistics: Normalisation
    ) -> torch.Tensor:
        sizes.append(len(part))
        return run(unfolded, weights, part, statistics)

    monkeypatch.setattr(UnfoldedNetwork, "run", noting)
    return sizes


def test_memory_of_scoring_does_not_grow_with_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    supernet = stripes_supernet()
    genotype = SPACE.sample(np.random.default_rng(0))
    images = torch.cat([IMAGES] * 20)
    sizes = sizes_of_runs(monkeypatch)
    together = supernet.logits(genotype, images)
    assert max(sizes) <= SCORED_AT_ONCE < len(images)
    torch.testing.assert_close(together[-32:], supernet.logits(genotype, IMAGES), rtol=1e-4, atol=1e-5)


def test_a_restored_supernet_goes_on_as_if_it_had_not_stopped() -> None:
    draw = lambda rng: [SPACE.sample(rng)]  # noqa: E731 (three uses, one line)
    whole = stripes_supernet()
    rng = np.random.default_rng(7)
    whole.learn(draw, epochs=2, rng=rng)
    saved, generator = whole.state(), rng.bit_generator.state
    whole.learn(draw, epochs=2, rng=rng)

    resumed = stripes_supernet(seed=99)
    resumed.learn(draw, epochs=1, rng=np.random.default_rng(0))
    resumed.restore(saved)
    later = np.random.default_rng()
    later.bit_generator.state = generator
    resumed.learn(draw, epochs=2, rng=later)

    expected, found = whole.state(), resumed.state()
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_state_is_a_copy() -> None:
    supernet = stripes_supernet()
    state = supernet.state()
    state["weight/stem/kernel"].fill(0)
    assert supernet.weights["stem/kernel"].abs().max() > 0


def test_another_space_s_weights_are_refused() -> None:
    supernet = stripes_supernet()
    other = stripes_supernet(space=CarsSpace(replace(SPACE.params, channels=8)))
    with pytest.raises(SupernetError, match="shape"):
        supernet.restore(other.state())
    larger = stripes_supernet(space=CarsSpace(replace(SPACE.params, nodes=3)))
    with pytest.raises(SupernetError, match="not of this search space"):
        supernet.restore(larger.state())


def test_a_space_for_other_images_is_refused() -> None:
    space = CarsSpace(CarsParams(image_shape=(8, 8, 3), classes=4, cells=3, channels=4, nodes=1))
    with pytest.raises(SupernetError, match="'stripes' has"):
        Supernet(space, DATA)


def test_a_step_needs_an_architecture() -> None:
    with pytest.raises(SupernetError, match="at least one"):
        stripes_supernet().step([], IMAGES, LABELS)


def test_an_architecture_whose_loss_is_not_finite_is_left_out_of_the_mean() -> None:
    supernet = stripes_supernet()
    good, bad = architectures_that_one_weight_tells_apart(supernet)
    expected_loss = supernet.accumulate([good], IMAGES, LABELS)
    expected = {name: weight.grad.clone() for name, weight in supernet.weights.items() if weight.grad is not None}
    assert supernet.accumulate([bad, good, bad], IMAGES, LABELS) == expected_loss
    for name, weight in supernet.weights.items():
        if name in expected:
            torch.testing.assert_close(weight.grad, expected[name])
        else:
            assert weight.grad is None
    assert supernet.step([bad, good, bad], IMAGES, LABELS) == expected_loss
    assert supernet.left_out == LeftOut(architectures=2, steps=0)


def test_a_step_without_a_finite_loss_changes_nothing() -> None:
    supernet = stripes_supernet()
    supernet.learn(lambda rng: [SPACE.sample(rng)], epochs=1, rng=np.random.default_rng(0))
    before = supernet.state()
    loss = supernet.step([SPACE.sample(np.random.default_rng(0))], IMAGES * float("nan"), LABELS)
    after = supernet.state()
    assert np.isnan(loss)
    assert supernet.left_out == LeftOut(architectures=1, steps=1)
    assert all(np.array_equal(before[name], after[name]) for name in before if name != "counted")


def test_a_finite_loss_whose_gradient_is_not_changes_nothing() -> None:
    supernet = stripes_supernet()
    genotype = SPACE.sample(np.random.default_rng(0))
    # The stem's batch norm divides by so small a deviation that the gradient overflows.
    with torch.no_grad():
        supernet.weights["logits/bias"].fill_(0)
        supernet.weights["stem/scale"].fill_(1e38)
    before = supernet.state()
    loss = supernet.step([genotype], IMAGES, LABELS)
    after = supernet.state()
    assert np.isnan(loss) and supernet.left_out.steps == 1
    assert all(np.array_equal(before[name], after[name]) for name in before if name != "counted")


def test_what_was_left_out_is_remembered_across_a_resume() -> None:
    supernet, resumed = stripes_supernet(), stripes_supernet()
    supernet.step([SPACE.sample(np.random.default_rng(0))], IMAGES * float("nan"), LABELS)
    resumed.restore(supernet.state())
    assert resumed.left_out == supernet.left_out == LeftOut(1, 1)


def test_learning_that_never_had_a_finite_loss_says_so() -> None:
    data = stripes_data()
    data.train_x[:] = np.nan
    supernet = Supernet(SPACE, data, SupernetParams(batch_size=64))
    loss = supernet.learn(lambda rng: [SPACE.sample(rng)], epochs=1, rng=np.random.default_rng(0))
    assert np.isnan(loss)
    assert supernet.left_out == LeftOut(architectures=2, steps=2)


def test_logits_that_are_not_finite_have_no_accuracy() -> None:
    supernet = stripes_supernet()
    good, bad = architectures_that_one_weight_tells_apart(supernet)
    scores = supernet.evaluate([good, bad, good])
    assert np.isfinite(scores[[0, 2]]).all() and np.isnan(scores[1])


@pytest.mark.parametrize("count", [16, 48])
def test_statistics_are_recorded_on_as_many_images_as_asked_for(count: int) -> None:
    supernet = Supernet(SPACE, DATA, SupernetParams(batch_size=32, calibration_images=count))
    genotype = SPACE.sample(np.random.default_rng(0))
    supernet.learn(lambda _: [genotype], epochs=1, rng=np.random.default_rng(0))
    unfolded = UnfoldedNetwork(SPACE.lower(genotype), SPACE.input_parts(genotype))
    recording = RecordingStatistics()
    with torch.no_grad():
        unfolded.run(supernet.weights, to_torch(DATA.train_x[:count]), recording)
        expected = unfolded.run(supernet.weights, IMAGES, FixedStatistics(recording.statistics()))
    torch.testing.assert_close(supernet.logits(genotype, IMAGES), expected)


def test_many_calibration_images_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    data = stripes_data()
    many = replace(data, train_x=np.concatenate([data.train_x] * 5), train_y=np.concatenate([data.train_y] * 5))
    supernet = Supernet(SPACE, many, SupernetParams(calibration_images=640))
    sizes = sizes_of_runs(monkeypatch)
    supernet.logits(SPACE.sample(np.random.default_rng(0)), IMAGES)
    assert sum(sizes) == 640 + len(IMAGES) and max(sizes) <= SCORED_AT_ONCE


def test_labels_are_smoothed_and_images_mixed() -> None:
    genotype = SPACE.sample(np.random.default_rng(0))
    params = SupernetParams(batch_size=32, label_smoothing=0.2)
    smoothed = Supernet(SPACE, DATA, params)
    smoothed.learn(lambda _: [genotype], epochs=1, rng=np.random.default_rng(0))
    plain = Supernet(SPACE, DATA, replace(params, label_smoothing=0.0))
    plain.restore(smoothed.state())
    hard, soft = plain.accumulate([genotype], IMAGES, LABELS), smoothed.accumulate([genotype], IMAGES, LABELS)
    shares = torch.nn.functional.one_hot(LABELS, DATA.classes) * 0.8 + 0.2 / DATA.classes
    assert soft == pytest.approx(plain.accumulate([genotype], IMAGES, shares), rel=1e-5)
    assert soft != hard
    mixed = Supernet(SPACE, DATA, replace(params, mixup=0.4))
    assert np.isfinite(mixed.learn(lambda _: [genotype], epochs=1, rng=np.random.default_rng(0)))


def test_the_learning_rate_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = Schedule(least=0.0, first_cycle=2, multiplier=1)
    supernet = Supernet(SPACE, DATA, SupernetParams(epochs=4, batch_size=128, learning_rate=0.5, schedule=schedule))
    rates: list[float] = []
    step = SharedAdamW.step

    def noting(optimiser: SharedAdamW, learning_rate: float, parts: dict[str, set[tuple[int, ...]]]) -> None:
        rates.append(learning_rate)
        step(optimiser, 0.0, parts)

    monkeypatch.setattr(SharedAdamW, "step", noting)
    supernet.learn(lambda rng: [SPACE.sample(rng)], epochs=5, rng=np.random.default_rng(0))
    assert rates == pytest.approx([0.5, 0.25, 0.5, 0.25, 0.0])


@pytest.mark.parametrize(
    "setting", [{"epochs": 0}, {"label_smoothing": 1.5}, {"weight_decay": float("nan")}, {"calibration_images": 0}]
)
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(SupernetError, match=next(iter(setting))):
        SupernetParams(**setting)  # type: ignore[arg-type]


class NotingEngine(InProcess):
    """Scores here, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[EvaluationJob] = []

    def evaluate(
        self, jobs: Sequence[EvaluationJob], weights: Weights, data: ImageData, *, calibration_images: int
    ) -> np.ndarray:
        self.asked += jobs
        return super().evaluate(jobs, weights, data, calibration_images=calibration_images)


def test_an_engine_scores_the_architectures_that_it_is_handed() -> None:
    engine = NotingEngine()
    supernet = Supernet(SPACE, DATA, SupernetParams(calibration_images=32), engine=engine)
    genotypes = [SPACE.sample(np.random.default_rng(seed)) for seed in range(3)]
    scores = supernet.evaluate(genotypes)
    assert [job.network.key for job in engine.asked] == [SPACE.lower(genotype).key for genotype in genotypes]
    assert [job.input_parts for job in engine.asked] == [SPACE.input_parts(genotype) for genotype in genotypes]
    expected = [
        float((supernet.logits(g, to_torch(DATA.val_x)).argmax(1).numpy() == DATA.val_y).mean()) for g in genotypes
    ]
    assert list(scores) == pytest.approx(expected)


def architectures_that_one_weight_tells_apart(supernet: Supernet[CarsGenotype]) -> tuple[CarsGenotype, CarsGenotype]:
    """Make a weight NaN, and return an architecture that does not use it and one that does."""
    some = [SPACE.sample(np.random.default_rng(seed)) for seed in range(20)]
    uses = [set(supernet.weights_of(genotype)) for genotype in some]
    good, bad = next((i, j) for i in range(20) for j in range(20) if uses[j] - uses[i])
    name = min(uses[bad] - uses[good])
    with torch.no_grad():
        supernet.weights[name].fill_(float("nan"))
    return some[good], some[bad]


def test_no_epoch_is_no_step() -> None:
    supernet = Supernet(SPACE, DATA, SupernetParams())
    before = supernet.state()
    assert supernet.learn(lambda rng: [SPACE.sample(rng)], epochs=0, rng=np.random.default_rng(0)) == 0.0
    assert all(np.array_equal(value, supernet.state()[name]) for name, value in before.items())
