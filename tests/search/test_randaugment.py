from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from search._randaugment import CHANGES, changed_at_random, moves, names_of_changes

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(20, 200, size=(6, 24, 20, 3), dtype=np.uint8)
# Not all greys are taken, one image has a single one, and one only two.
PIXELS[4], PIXELS[5] = 90, np.where(PIXELS[5] > 100, 180, 40)


def tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(0, 3, 1, 2)


def grey(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., :1]


def pillow(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


ORACLES = {
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "brightness": lambda image, strength: ImageEnhance.Brightness(image).enhance(1 + 0.9 * strength),
    "colour": lambda image, strength: ImageEnhance.Color(image).enhance(1 + 0.9 * strength),
    "contrast": lambda image, strength: ImageEnhance.Contrast(image).enhance(1 + 0.9 * strength),
    "equalise": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
    "posterise": lambda image, strength: ImageOps.posterize(image, 8 - round(4 * abs(strength))),
    "sharpness": lambda image, strength: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * strength),
    "solarise": lambda image, strength: ImageOps.solarize(image, 256 - 256 * abs(strength)),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
@pytest.mark.parametrize("strength", [-1.0, -0.5, 0.5, 0.75])
@pytest.mark.parametrize("channels", [1, 3])
def test_changes_are_those_of_pillow(name: str, strength: float, channels: int) -> None:
    pixels = PIXELS[..., :channels]
    changed = CHANGES[name](tensor(pixels), torch.full((len(pixels), 1, 1, 1), strength))
    expected = [np.asarray(ORACLES[name](pillow(image), strength)).reshape(image.shape) for image in pixels]
    # Pillow rounds greys, and the greys of which it takes a mean.
    np.testing.assert_allclose(changed.permute(0, 2, 3, 1) * 255, np.stack(expected), atol=2.01)


def test_each_change_has_an_oracle() -> None:
    assert ORACLES.keys() == CHANGES.keys()


@pytest.mark.parametrize(
    ("name", "strength", "coefficients"),
    [
        # Pillow: (x, y) of the result is taken from (ax + by + c, dx + ey + f), with pixels' corners at whole numbers.
        ("shear_x", 0.5, (1, 0.15, -0.15 * 12, 0, 1, 0)),
        ("shear_y", -1.0, (1, 0, 0, -0.3, 1, 0.3 * 10)),
        ("translate_x", 0.8, (1, 0, 0.8 * 20 * 10 / 32, 0, 1, 0)),
        ("translate_y", -0.4, (1, 0, 0, 0, 1, -0.4 * 24 * 10 / 32)),
        ("rotate", 1.0, None),
    ],
)
def test_moves_are_those_of_pillow(name: str, strength: float, coefficients: tuple[float, ...] | None) -> None:
    smooth = np.add.outer(np.arange(24) * 5, np.arange(20) * 4).astype(np.uint8)
    image = Image.fromarray(smooth)
    if coefficients is None:
        # Pillow turns counter-clockwise.
        expected = image.rotate(30 * strength, Image.Resampling.BILINEAR)
    else:
        expected = image.transform(image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    moved = moves([name], np.array([strength]), tensor(smooth[None, ..., None]))[0, 0] * 255
    inner = np.asarray(expected) > 0  # Pillow fills with 0 what was outside
    inner[[0, -1]], inner[:, [0, -1]] = False, False
    assert inner.sum() > 200
    assert np.median(np.abs(moved.numpy() - np.asarray(expected))[inner]) < 1
    assert np.abs(moved.numpy() - np.asarray(expected))[inner].max() < 12


def test_what_moves_in_repeats_the_border() -> None:
    images = torch.zeros(1, 1, 8, 8)
    images[..., 0] = 0.5
    moved = moves(["translate_x"], np.array([-1.0]), images)
    assert torch.allclose(moved[..., :2], torch.tensor(0.5))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_stay_images(channels: int) -> None:
    images = tensor(np.concatenate([PIXELS[..., :channels]] * 20))
    changed = changed_at_random(images, 3, 10, np.random.default_rng(1), invert=True)
    assert changed.shape == images.shape
    assert torch.isfinite(changed).all() and changed.min() >= 0 and changed.max() <= 1
    assert (changed != images).flatten(1).any(1).float().mean() > 0.8


def test_the_generator_alone_decides() -> None:
    before = tensor(PIXELS)
    first, again, other = (changed_at_random(before, 2, 7, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, tensor(PIXELS))


def test_without_magnitude_nothing_moves() -> None:
    images = tensor(PIXELS)
    names = [name for name in names_of_changes(3, invert=False) if name not in ("autocontrast", "equalise", "identity")]
    for name in names:
        if name in CHANGES:
            changed = CHANGES[name](images, torch.zeros(len(images), 1, 1, 1))
        else:
            changed = moves([name] * len(images), np.zeros(len(images)), images)
        torch.testing.assert_close(changed, images, atol=1e-5, rtol=0)


def test_colour_is_for_colour_images_and_negatives_only_where_asked_for() -> None:
    assert "colour" in names_of_changes(3, invert=False) and "colour" not in names_of_changes(1, invert=False)
    assert "invert" in names_of_changes(1, invert=True) and "invert" not in names_of_changes(1, invert=False)
    assert len(names_of_changes(3, invert=False)) == 14
