from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search.augmentation import AUGMENTATIONS, Augmentation, batches, to_torch
from search.errors import TrainingError

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


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_images_are_shifted_and_mirrored_at_once(seed: int) -> None:
    images = IMAGES[:1].repeat(8, 1, 1, 1)
    for image in Augmentation(shift=0.125, mirror=True).apply(images, np.random.default_rng(seed)).numpy():
        padded = np.pad(IMAGES[0].numpy(), ((0, 0), (1, 1), (1, 1)), mode="edge")
        places = [padded[:, row : row + 8, column : column + 6] for row in range(3) for column in range(3)]
        assert any(np.array_equal(image, place) or np.array_equal(image, place[..., ::-1]) for place in places)


def test_mixed_images_are_between_two_and_have_the_labels_of_both() -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.random((64, 1, 4, 4), dtype=np.float32))
    labels = torch.from_numpy(rng.integers(5, size=64))
    plain = list(batches(images, labels, 16, Augmentation(), np.random.default_rng(1), mixup=0.4, classes=5))
    owns = []
    for mixed, shares in plain:
        assert shares.shape == (16, 5)
        torch.testing.assert_close(shares.sum(1), torch.ones(16))
        for image, share in zip(mixed, shares, strict=True):
            # Least squares over all pairs of images: the one that it was mixed of fits exactly.
            fits = (
                (float(weight), first, second)
                for first in range(64)
                for second in range(64)
                for direction in [(images[second] - images[first]).ravel()]
                for weight in [((image - images[first]).ravel() @ direction) / direction.square().sum().clamp_min(1e-9)]
                if torch.allclose(images[first] + weight * (images[second] - images[first]), image, atol=1e-6)
            )
            weight, first, second = next(fits)
            expected = torch.zeros(5)
            expected[labels[first]] += 1 - weight
            expected[labels[second]] += weight
            torch.testing.assert_close(share, expected, atol=1e-5, rtol=0)
            owns.append(weight)
            break
    assert len(owns) == len(plain) == 4


def test_one_passage_of_mixed_images_depends_on_the_generator_alone() -> None:
    first, again = (
        list(
            batches(IMAGES, torch.arange(5), 4, AUGMENTATIONS["basic"], np.random.default_rng(3), mixup=1.0, classes=5)
        )
        for _ in range(2)
    )
    assert all(
        torch.equal(left, right) for pair in zip(first, again, strict=True) for left, right in zip(*pair, strict=True)
    )


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_named_augmentations_keep_the_form_of_images(name: str) -> None:
    images = torch.rand(32, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    changed = AUGMENTATIONS[name].apply(images, np.random.default_rng(0))
    assert changed.shape == images.shape and changed.is_contiguous(memory_format=torch.channels_last)
    assert changed.min() >= 0 and changed.max() <= 1
    assert torch.equal(changed, images) == (name == "none")


def test_strong_augmentation_changes_most_images_more() -> None:
    images = torch.rand(64, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    weak, strong = (
        replace(AUGMENTATIONS["randaugment"], shift=0.0, mirror=False, magnitude=magnitude).apply(
            images, np.random.default_rng(0)
        )
        for magnitude in (1, 9)
    )
    assert (strong - images).abs().mean() > 2 * (weak - images).abs().mean() > 0


@pytest.mark.parametrize(
    ("setting", "value"), [("shift", 1.5), ("cutout", -0.1), ("operations", -1), ("magnitude", 11), ("shift", np.nan)]
)
def test_settings_out_of_range_are_refused(setting: str, value: float) -> None:
    with pytest.raises(TrainingError, match=f"augmentation: {setting} must lie in 0 to"):
        Augmentation(**{setting: value})  # type: ignore[arg-type]
