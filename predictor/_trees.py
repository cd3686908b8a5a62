"""Randomised trees on log residuals: for families with many rows. Fitted by scikit-learn, kept as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from predictor._features import FloatArray

IndexArray = npt.NDArray[np.int32]

_TREES = 60
_LEAF_ROWS = 2
LEAF = -1
"""Marks a node without children."""


@dataclass(frozen=True, eq=False)
class TreeResidual:
    """A forest of extremely randomised trees, all in one table of nodes.

    Attributes:
        roots: Index of each tree's first node. Shape: (trees,).
        features: Column that a node tests, or -1 in a leaf. Shape: (nodes,).
        thresholds: A row goes left when its value is <= this. Shape: (nodes,).
        left: Index of the left child, greater than the node's own; 0 in a leaf. Shape: (nodes,).
        right: Index of the right child, likewise. Shape: (nodes,).
        values: Mean log residual in a leaf. Shape: (nodes,).
        noise: Standard deviation that remains within leaves, > 0.
    """

    roots: IndexArray
    features: IndexArray
    thresholds: FloatArray
    left: IndexArray
    right: IndexArray
    values: FloatArray
    noise: float

    @classmethod
    def fit(cls, rows: FloatArray, residuals: FloatArray, seed: int) -> Self:
        """Grow the forest.

        Args:
            rows: Features. Shape: (n, d).
            residuals: Log of latency over base. Shape: (n,).
            seed: Of the splits.
        """
        from sklearn.ensemble import ExtraTreesRegressor

        forest = ExtraTreesRegressor(_TREES, min_samples_leaf=_LEAF_ROWS, random_state=seed)
        forest.fit(rows.astype(np.float32), residuals)
        trees = [estimator.tree_ for estimator in forest.estimators_]
        starts = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
        leaf = [tree.children_left == LEAF for tree in trees]
        shifted = [
            [np.where(end, 0, children + start) for tree, end, start in zip(trees, leaf, starts, strict=True)
             for children in [getattr(tree, side)]]
            for side in ("children_left", "children_right")
        ]  # fmt: skip
        error = residuals - forest.predict(rows.astype(np.float32))
        return cls(
            roots=starts.astype(np.int32),
            features=np.concatenate(
                [np.where(end, LEAF, tree.feature) for tree, end in zip(trees, leaf, strict=True)]
            ).astype(np.int32),
            thresholds=np.concatenate(
                [np.where(end, 0.0, tree.threshold) for tree, end in zip(trees, leaf, strict=True)]
            ),
            left=np.concatenate(shifted[0]).astype(np.int32),
            right=np.concatenate(shifted[1]).astype(np.int32),
            values=np.concatenate([tree.value[:, 0, 0] for tree in trees]),
            noise=max(float(np.std(error)), 1e-3),
        )

    def predict(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of the log residual. Shape of points: (m, d); of each answer: (m,)."""
        points = points.astype(np.float32)
        node = np.tile(self.roots, (len(points), 1))
        row = np.arange(len(points))[:, None]
        while (inner := self.features[node] != LEAF).any():
            feature = np.where(inner, self.features[node], 0)
            child = np.where(points[row, feature] <= self.thresholds[node], self.left[node], self.right[node])
            node = np.where(inner, child, node)
        answers = self.values[node]
        return answers.mean(axis=1), np.sqrt(answers.var(axis=1) + self.noise**2)
