"""What every loader returns."""

from __future__ import annotations

from dataclasses import dataclass

from search.images._data import LabelledImages


@dataclass(frozen=True)
class LoadedImages:
    """Images as they were found, before they are resized, limited and split.

    Attributes:
        images: All images, or all but the test images where those are given apart.
        class_names: Name of each class, by label.
        source: Where they come from, in words.
        licence: Their licence as far as it is known.
        test: The data set's own test images; None if it has none.
        mirrored: Whether an image keeps its class when it is mirrored left to right.
    """

    images: LabelledImages
    class_names: tuple[str, ...]
    source: str
    licence: str
    test: LabelledImages | None = None
    mirrored: bool = False
