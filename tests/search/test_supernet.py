from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from search.augmentation import labels_to_torch, to_torch
from search.errors import SupernetError
from search.spaces import CarsParams, CarsSpace
from search.supernet import Supernet, SupernetParams
from search.unfolded import SCORED_AT_ONCE, Normalisation, UnfoldedNetwork, Weights
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


def test_memory_of_scoring_does_not_grow_with_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    supernet = stripes_supernet()
    genotype = SPACE.sample(np.random.default_rng(0))
    images = torch.cat([IMAGES] * 20)
    sizes: list[int] = []
    run = UnfoldedNetwork.run

    def noting(
        unfolded: UnfoldedNetwork, weights: Weights, part: torch.Tensor, statistics: Normalisation
    ) -> torch.Tensor:
        sizes.append(len(part))
        return run(unfolded, weights, part, statistics)

    monkeypatch.setattr(UnfoldedNetwork, "run", noting)
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


def test_a_diverged_loss_is_an_error() -> None:
    supernet = stripes_supernet()
    with pytest.raises(SupernetError, match="not finite"):
        supernet.step([SPACE.sample(np.random.default_rng(0))], IMAGES * float("nan"), LABELS)


def test_no_epoch_is_no_step() -> None:
    supernet = Supernet(SPACE, DATA, SupernetParams())
    before = supernet.state()
    assert supernet.learn(lambda rng: [SPACE.sample(rng)], epochs=0, rng=np.random.default_rng(0)) == 0.0
    assert all(np.array_equal(value, supernet.state()[name]) for name, value in before.items())
