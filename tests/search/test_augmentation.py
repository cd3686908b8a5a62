from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search.augmentation import Augmentation, batches, to_torch

IMAGES = torch.arange(5 * 2 * 8 * 6, dtype=torch.float32).reshape(5, 2, 8, 6)


def test_no_augmentation_is_the_identity() -> None:
    assert torch.equal(Augmentation().apply(IMAGES, np.random.default_rng(0)), IMAGES)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_a_shift_moves_rows_and_columns_and_repeats_the_border(seed: int) -> None:
    shifted = Augmentation(shift=0.25).apply(IMAGES, np.random.default_rng(seed))
    for before, after in zip(IMAGES.numpy(), shifted.numpy(), strict=True):
        padded = np.pad(before, ((0, 0), (2, 2), (2, 2)), mode="edge")
        places = [padded[:, row : row + 8, column : column + 6] for row in range(5) for column in range(5)]
        assert any(np.array_equal(after, place) for place in places)


def test_shifts_differ_from_image_to_image() -> None:
    same = torch.arange(48, dtype=torch.float32).reshape(1, 1, 8, 6).repeat(40, 1, 1, 1)
    shifted = Augmentation(shift=0.125).apply(same, np.random.default_rng(0))
    assert len(np.unique(shifted.numpy(), axis=0)) == 9


def test_half_of_the_images_are_mirrored() -> None:
    images = IMAGES[:1].repeat(200, 1, 1, 1)
    mirrored = Augmentation(mirror=True).apply(images, np.random.default_rng(0))
    flipped = [bool(torch.equal(image, IMAGES[0].flip(2))) for image in mirrored]
    kept = [bool(torch.equal(image, IMAGES[0])) for image in mirrored]
    assert sum(flipped) + sum(kept) == 200
    assert 70 < sum(flipped) < 130


def test_a_hole_is_a_square_of_zeros() -> None:
    ones = torch.ones(50, 1, 8, 8)
    holes = (Augmentation(cutout=0.25).apply(ones, np.random.default_rng(0)) == 0).sum(dim=(1, 2, 3))
    # 2x2 where it lies inside; the border may clip it.
    assert holes.max() == 4 and holes.min() >= 1


def test_a_pass_takes_full_batches_of_different_images() -> None:
    labels = torch.arange(5)
    passed = list(batches(IMAGES, labels, 2, Augmentation(), np.random.default_rng(0)))
    assert [len(classes) for _, classes in passed] == [2, 2]
    seen = torch.cat([classes for _, classes in passed]).tolist()
    assert len(set(seen)) == 4
    for images, classes in passed:
        assert torch.equal(images, IMAGES[classes])


def test_a_batch_is_never_larger_than_the_data() -> None:
    passed = list(batches(IMAGES, torch.arange(5), 64, Augmentation(), np.random.default_rng(0)))
    assert [len(classes) for _, classes in passed] == [5]


def test_images_become_channels_first_without_a_copy() -> None:
    array = np.zeros((2, 4, 3, 1), dtype=np.float32)
    tensor = to_torch(array)
    array[1, 2, 0, 0] = 7
    assert tensor.shape == (2, 1, 4, 3)
    assert tensor[1, 0, 2, 0] == 7
