"""AdamW for weights of which a step uses some, or a part: what it does not use does not move, to the last bit.

Weights that are always used whole go through torch's own optimiser.  A weight that was once used in part
counts the steps of each of its numbers from then on, since the correction of AdamW's moments depends on how
many steps they have seen: with one count for all, numbers that are used for the first time late would move
several times as far as the learning rate allows.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from search._slices import Shape, part
from search.errors import SupernetError

_FORGET = 0.9, 0.999
"""Decay of the means of gradients and of their squares; as in torch, and in Kingma & Ba 2015."""

_EPSILON = 1e-8

_ROLES = ("step", "exp_avg", "exp_avg_sq")
"""Names under which torch keeps the number of steps and the two moments of a weight."""


@dataclass(frozen=True)
class _Moments:
    """The moments of a weight that is used in parts, and the steps that each of its numbers has seen."""

    step: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor


class SharedAdamW:
    """Steps on shared weights by their gradients.

    Args:
        weights: The weights by name, leaves that ask for their gradient.
        weight_decay: Share of the learning rate that weights shrink by in a step.
    """

    def __init__(self, weights: Mapping[str, Tensor], weight_decay: float) -> None:
        self._weights = weights
        self._weight_decay = weight_decay
        self._whole = torch.optim.AdamW(
            weights.values(), lr=0.0, betas=_FORGET, eps=_EPSILON, weight_decay=weight_decay, fused=True
        )
        self._parted: dict[str, _Moments] = {}

    def zero_grad(self) -> None:
        """Forget all gradients: they are None until something uses the weight."""
        self._whole.zero_grad(set_to_none=True)

    def step(self, learning_rate: float, parts: Mapping[str, Collection[Shape]]) -> None:
        """Move the weights that have a gradient.

        Args:
            learning_rate: How far.
            parts: Of weights that were not used whole: the shapes of the parts that were used.
        """
        for group in self._whole.param_groups:
            group["lr"] = learning_rate
        apart = {name: self._weights[name].grad for name in {*parts, *self._parted}}
        for name in apart:
            self._weights[name].grad = None  # torch's optimiser passes over it
        self._whole.step()
        for name, gradient in apart.items():
            if gradient is not None:
                self._weights[name].grad = gradient
                self._step_parts(name, gradient, learning_rate, parts.get(name, ()))

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return a copy of steps and moments as arrays named "role/weight"."""
        state: dict[str, npt.NDArray[np.generic]] = {}
        for name, weight in self._weights.items():
            held = vars(self._parted[name]) if name in self._parted else self._whole.state.get(weight, {})
            state |= {f"{role}/{name}": held[role].numpy(force=True).copy(order="C") for role in _ROLES if held}
        return state

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take back what `state` returned.

        Raises:
            SupernetError: The arrays are not of these weights; nothing has changed then.
        """
        shapes = self._shapes(state)
        if state.keys() != shapes.keys():
            raise SupernetError("the saved shared weights are not of this search space")
        for name, shape in shapes.items():
            if state[name].shape != shape:
                raise SupernetError(f"saved {name!r} has shape {state[name].shape}, not {shape}")
        self._whole.state.clear()
        self._parted.clear()
        for name, weight in self._weights.items():
            if f"step/{name}" not in state:
                continue
            step, first, second = (torch.from_numpy(state[f"{role}/{name}"]) for role in _ROLES)
            moments = {role: _like(weight, values) for role, values in (("exp_avg", first), ("exp_avg_sq", second))}
            if step.shape == weight.shape and step.dim():
                self._parted[name] = _Moments(_like(weight, step), **moments)
            else:
                self._whole.state[weight] = {"step": step.clone(), **moments}

    def _shapes(self, state: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Shape]:
        """Return the shapes that saved arrays should have, by their names."""
        shapes: dict[str, Shape] = {}
        for name, weight in self._weights.items():
            steps = state.get(f"step/{name}")
            if steps is not None:
                whole = tuple(weight.shape)
                shapes |= {f"step/{name}": whole if steps.shape else (), f"exp_avg/{name}": whole}
                shapes[f"exp_avg_sq/{name}"] = whole
        return shapes

    def _step_parts(self, name: str, gradient: Tensor, learning_rate: float, parts: Collection[Shape]) -> None:
        """Make AdamW's step (Loshchilov & Hutter 2019, algorithm 2) on what was used of a weight."""
        weight, moments = self._weights[name], self._moments(name)
        box, used = _used(tuple(weight.shape), parts or [tuple(weight.shape)])
        with torch.no_grad():
            held = [values[box] for values in (weight, moments.step, moments.exp_avg, moments.exp_avg_sq)]
            values, step, mean, square = held
            towards = gradient[box]
            step = step + 1
            mean = mean.lerp(towards, 1 - _FORGET[0])
            square = square.lerp(towards * towards, 1 - _FORGET[1])
            first, second = (-torch.expm1(step * math.log(decay)) for decay in _FORGET)
            move = (mean / first) / ((square / second).sqrt_() + _EPSILON)
            values = values * (1 - learning_rate * self._weight_decay) - learning_rate * move
            for target, moved in zip(held, (values, step, mean, square), strict=True):
                target.copy_(moved if used is None else torch.where(used, moved, target))

    def _moments(self, name: str) -> _Moments:
        """Return the moments of a weight that is used in parts from now on."""
        if name not in self._parted:
            weight = self._weights[name]
            before = self._whole.state.pop(weight, {})
            empty = torch.zeros_like(weight, requires_grad=False)
            self._parted[name] = _Moments(
                torch.full_like(empty, float(before.get("step", 0))),
                before.get("exp_avg", empty),
                before.get("exp_avg_sq", empty.clone()),
            )
        return self._parted[name]


def _used(whole: Shape, parts: Collection[Shape]) -> tuple[tuple[slice, ...], Tensor | None]:
    """Return the index of the smallest box around parts of a weight, and which cells of it are used (None: all)."""
    largest = tuple(max(sizes) for sizes in zip(*parts, strict=True))
    box = part(whole, largest)
    if largest in parts:
        return box, None
    used = torch.zeros(whole, dtype=torch.bool)
    for shape in parts:
        used[part(whole, shape)] = True
    return box, used[box]


def _like(weight: Tensor, values: Tensor) -> Tensor:
    """Return a copy of values in the memory layout of a weight."""
    return torch.empty_like(weight, requires_grad=False).copy_(values)
