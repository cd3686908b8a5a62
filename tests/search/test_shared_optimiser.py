from __future__ import annotations

import numpy as np
import pytest
import torch

from search._shared_optimiser import SharedAdamW
from search._slices import part
from search.errors import SupernetError

WHOLE = (6, 4, 5, 5)
SMALL, TALL = (3, 4, 3, 3), (6, 2, 5, 5)


def leaf(seed: int, shape: tuple[int, ...] = WHOLE) -> torch.Tensor:
    drawn = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    return torch.from_numpy(drawn).contiguous(memory_format=torch.channels_last).requires_grad_()


def stepped(optimiser: SharedAdamW, weight: torch.Tensor, seed: int, *parts: tuple[int, ...]) -> None:
    """Make a step with gradients as those parts of a weight have them: 0 elsewhere."""
    gradient = torch.zeros_like(weight, requires_grad=False)
    drawn = leaf(seed, tuple(weight.shape)).detach()
    for shape in parts or [tuple(weight.shape)]:
        index = part(tuple(weight.shape), shape)
        gradient[index] = drawn[index]
    weight.grad = gradient
    optimiser.step(0.01, {"w": set(parts)} if parts else {})


def test_a_part_steps_as_torch_steps_a_weight_of_its_size() -> None:
    shared, index = leaf(0), part(WHOLE, SMALL)
    own = shared.detach()[index].clone().requires_grad_()
    optimiser = SharedAdamW({"w": shared}, weight_decay=0.1)
    reference = torch.optim.AdamW([own], lr=0.01, weight_decay=0.1)
    for seed in range(1, 6):
        # What happens elsewhere in the weight in between, and how often, does not matter.
        stepped(optimiser, shared, seed, SMALL)
        own.grad = leaf(seed).detach()[index].clone()
        reference.step()
        torch.testing.assert_close(shared.detach()[index], own.detach())


def test_a_number_used_late_steps_no_farther_than_the_first_step() -> None:
    weight = leaf(0)
    optimiser = SharedAdamW({"w": weight}, weight_decay=0.0)
    for seed in range(1, 30):
        stepped(optimiser, weight, seed, SMALL)
    before = weight.detach().clone()
    stepped(optimiser, weight, 99)
    moved = (weight.detach() - before).abs()
    moved[part(WHOLE, SMALL)] = 0
    assert moved.max() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("parts", [(SMALL,), (SMALL, TALL), (TALL,)])
def test_what_is_not_used_stays_bit_for_bit(parts: tuple[tuple[int, ...], ...]) -> None:
    weight = leaf(0)
    optimiser = SharedAdamW({"w": weight}, weight_decay=0.1)
    for seed in range(3):
        stepped(optimiser, weight, seed)
    before = {"weight/w": weight.detach().numpy().copy(), **optimiser.state()}
    stepped(optimiser, weight, 7, *parts)
    after = {"weight/w": weight.detach().numpy().copy(), **optimiser.state()}
    used = np.zeros(WHOLE, dtype=bool)
    for shape in parts:
        used[part(WHOLE, shape)] = True
    assert 0 < used.sum() < used.size
    for role in ("weight/w", "step/w", "exp_avg/w", "exp_avg_sq/w"):
        was = np.broadcast_to(before[role], WHOLE)
        assert np.array_equal(after[role][~used], was[~used]), role
        assert np.all(after[role][used] != was[used]), role


def test_whole_weights_step_as_torch_steps_them() -> None:
    weight, own = leaf(0), leaf(0)
    optimiser = SharedAdamW({"w": weight}, weight_decay=0.1)
    reference = torch.optim.AdamW([own], lr=0.01, weight_decay=0.1, fused=True)
    for seed in range(4):
        stepped(optimiser, weight, seed)
        own.grad = leaf(seed).detach()
        reference.step()
    assert torch.equal(weight, own)


@pytest.mark.parametrize("saved_after", [0, 2, 4, 6])
def test_a_restored_optimiser_goes_on_the_same(saved_after: int) -> None:
    plan: list[tuple[tuple[int, ...], ...]] = [(), (), (SMALL,), (SMALL, TALL), (), (TALL,), (), (SMALL,)]
    weight = leaf(0)
    optimiser = SharedAdamW({"w": weight}, weight_decay=0.1)
    for step, parts in enumerate(plan):
        if step == saved_after:
            saved, values = optimiser.state(), weight.detach().clone()
        stepped(optimiser, weight, step, *parts)
    again = values.requires_grad_()
    resumed = SharedAdamW({"w": again}, weight_decay=0.1)
    resumed.restore(saved)
    for step, parts in list(enumerate(plan))[saved_after:]:
        stepped(resumed, again, step, *parts)
    assert torch.equal(weight, again)
    assert all(np.array_equal(value, resumed.state()[name]) for name, value in optimiser.state().items())


def test_a_weight_without_gradient_stays() -> None:
    weight, idle = leaf(0), leaf(1)
    optimiser = SharedAdamW({"w": weight, "idle": idle}, weight_decay=0.1)
    idle.grad = torch.ones_like(idle)
    stepped(optimiser, weight, 2, SMALL)
    optimiser.zero_grad()
    before = idle.detach().clone()
    stepped(optimiser, weight, 3, SMALL)
    assert torch.equal(idle, before)


@pytest.mark.parametrize("change", ["missing", "too much", "shape"])
def test_a_state_of_other_weights_is_refused(change: str) -> None:
    weight = leaf(0)
    optimiser = SharedAdamW({"w": weight}, weight_decay=0.1)
    stepped(optimiser, weight, 1)
    state = optimiser.state()
    if change == "missing":
        del state["exp_avg/w"]
    elif change == "too much":
        state["exp_avg/other"] = state["exp_avg/w"]
    else:
        state["exp_avg/w"] = np.zeros(3, dtype=np.float32)
    with pytest.raises(SupernetError):
        optimiser.restore(state)
