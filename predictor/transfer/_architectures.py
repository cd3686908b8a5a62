"""Architectures of one catalogue as arrays: what a regressor can compare, whatever their texts look like."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from predictor._features import FloatArray
from predictor.errors import TrainingRowsError
from profiler.catalogues import NasBench201Cell
from profiler.errors import ArchitectureTextError

IntArray = npt.NDArray[np.int64]

_CELL_START = "|"
_BETWEEN_CHOICES = re.compile(r"[\s,;|\[\]()]+")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, eq=False)
class Architectures:
    """Architectures by what they chose at each position, and by their sizes.

    Attributes:
        kinds: Rows of one kind have choices and amounts that mean the same. Shape: (n,).
        choices: The option taken at each position, as written. Shape: (n, positions); no positions is allowed.
        live: The same where a runtime drops what never reaches the output; equal to choices where nothing is known.
            Shape: (n, positions).
        amounts: Logarithms of sizes, and marks of options, in standard deviations within their kind.
            Shape: (n, amounts).
        options: Number of different options, >= max(choices) + 1.
    """

    kinds: IntArray
    choices: IntArray
    live: IntArray
    amounts: FloatArray
    options: int

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, rows: IntArray) -> Self:
        return type(self)(self.kinds[rows], self.choices[rows], self.live[rows], self.amounts[rows], self.options)

    @property
    def has_dead_parts(self) -> bool:
        """Whether any architecture has parts that never reach the output."""
        return bool((self.choices != self.live).any())

    def pruned(self) -> Architectures:
        """Return the architectures as if they had been written without their dead parts."""
        return Architectures(self.kinds, self.live, self.live, self.amounts, self.options)


def read_architectures(texts: Sequence[str]) -> Architectures:
    """Recognise the form of the texts and read them.

    NAS-Bench-201 cells are known by their bars, lists of choices by having equally many parts in each row, and all
    else is read as keys: a kind, then sizes and options between underscores, such as an MBConv block's.

    Args:
        texts: One architecture each, all of one catalogue.

    Raises:
        TrainingRowsError: There is none, or one is empty.
        ArchitectureTextError: A text is no cell among cells.
    """
    if not texts or not all(text.strip() for text in texts):
        raise TrainingRowsError("each row must name an architecture")
    if texts[0].startswith(_CELL_START) and "~" in texts[0]:
        return _read_cells(texts)
    lists = [_BETWEEN_CHOICES.split(text.strip(" \t|,;[]()")) for text in texts]
    if len(lists[0]) > 1:
        return _read_choices(texts, lists)
    return _read_keys(texts)


def _read_cells(texts: Sequence[str]) -> Architectures:
    cells = [NasBench201Cell.parse(text) for text in texts]
    code = {operation: place for place, operation in enumerate(NasBench201Cell.OPERATIONS)}
    written = np.array([[code[operation] for operation in cell.operations] for cell in cells])
    live = np.array([[code[operation] for operation in cell.live().operations] for cell in cells])
    return Architectures(np.zeros(len(cells), np.int64), written, live, np.zeros((len(cells), 0)), len(code))


def _read_choices(texts: Sequence[str], lists: Sequence[Sequence[str]]) -> Architectures:
    for text, choices in zip(texts, lists, strict=True):
        if len(choices) != len(lists[0]):
            raise ArchitectureTextError(f"has {len(choices)} choices where others have {len(lists[0])}", text=text)
    names, codes = np.unique(np.array(lists), return_inverse=True)
    codes = codes.reshape(len(lists), -1).astype(np.int64)
    return Architectures(np.zeros(len(lists), np.int64), codes, codes, np.zeros((len(lists), 0)), len(names))


def _read_keys(texts: Sequence[str]) -> Architectures:
    """Read keys such as `conv_56_24_48_4_2_relu_3_se`; those of one kind have equally many parts."""
    parts = [text.split("_") for text in texts]
    names, kinds = np.unique([f"{row[0]} {len(row)}" for row in parts], return_inverse=True)
    columns: list[list[FloatArray]] = []
    for kind in range(len(names)):
        rows = [row for row, own in zip(parts, kinds, strict=True) if own == kind]
        columns.append([_standardised(list(column)) for column in list(zip(*rows, strict=True))[1:]])
        columns[-1] = [column for column in columns[-1] if column.any()]
    amounts = np.zeros((len(texts), max(map(len, columns))))
    for kind, own_columns in enumerate(columns):
        for place, column in enumerate(own_columns):
            amounts[kinds == kind, place] = column
    none = np.zeros((len(texts), 0), np.int64)
    return Architectures(kinds.astype(np.int64), none, none, amounts, 0)


def _standardised(column: list[str]) -> FloatArray:
    """Return numbers as logarithms, words as their place in the alphabet, with mean 0 and deviation 1."""
    if all(_NUMBER.fullmatch(value) for value in column):
        values = np.array([math.log1p(float(value)) for value in column])
    else:
        values = np.unique(column, return_inverse=True)[1].astype(float)
    spread = values.std()
    return (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))
