"""Gradient-boosted trees as plain arrays: what LightGBM has learned, evaluated by numpy alone.

The operator asks hundreds of models every few seconds. Its main process cannot afford LightGBM's
memory, nor a round trip to a worker for each question; a few hundred small trees take numpy some
hundred microseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..series import Values

_CHUNK = 1_024


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """An ensemble of regression trees for each of several outputs.

    `roots` has shape (outputs, trees). A node goes `left` where the feature's value is not above
    the threshold, else `right`; a negative child ~i is leaf i. A root may be a leaf itself.
    """

    roots: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    leaves: npt.NDArray[np.float32]

    @classmethod
    def of_boosters(cls, dumps: Sequence[Mapping[str, Any]]) -> "Trees":
        """The trees of one booster for each output, as `lightgbm.Booster.dump_model` gives them.

        The boosters must know no missing values and no categories.
        """
        builder = _Builder()
        roots = [
            [builder.add(tree["tree_structure"]) for tree in dump["tree_info"]] for dump in dumps
        ]
        # A booster that finds nothing more to split stops early: what it lacks adds nothing.
        nothing = builder.add({"leaf_value": 0.0})
        most = max(map(len, roots))
        roots = [row + [nothing] * (most - len(row)) for row in roots]
        return cls(
            roots=np.array(roots, dtype=np.int32),
            feature=np.array(builder.feature, dtype=np.int16),
            threshold=np.array(builder.threshold, dtype=float),
            left=np.array(builder.left, dtype=np.int32),
            right=np.array(builder.right, dtype=np.int32),
            leaves=np.array(builder.leaves, dtype=np.float32),
        )

    def predict(self, table: Values) -> Values:
        """The sums of the trees' answers, shape (outputs, rows), for a table (rows, features)."""
        parts = [
            self._predict(table[first : first + _CHUNK]) for first in range(0, len(table), _CHUNK)
        ]
        return np.concatenate(parts, axis=1) if parts else np.empty((len(self.roots), 0))

    def _predict(self, table: Values) -> Values:
        outputs, trees = self.roots.shape
        rows = np.arange(len(table))
        node = np.repeat(self.roots.reshape(-1, 1), len(table), axis=1)
        while True:
            inner = node >= 0
            if not inner.any():
                break
            at = np.maximum(node, 0)
            goes_left = table[rows, self.feature[at]] <= self.threshold[at]
            node = np.where(inner, np.where(goes_left, self.left[at], self.right[at]), node)
        answers = self.leaves[~node].reshape(outputs, trees, len(table))
        return np.asarray(answers.sum(axis=1, dtype=float))


class _Builder:
    def __init__(self) -> None:
        self.feature: list[int] = []
        self.threshold: list[float] = []
        self.left: list[int] = []
        self.right: list[int] = []
        self.leaves: list[float] = []

    def add(self, node: Mapping[str, Any]) -> int:
        """Add a node and all below it; returns its number."""
        if "leaf_value" in node and "split_feature" not in node:
            self.leaves.append(node["leaf_value"])
            return ~(len(self.leaves) - 1)
        number = len(self.feature)
        self.feature.append(node["split_feature"])
        self.threshold.append(node["threshold"])
        self.left.append(0)
        self.right.append(0)
        self.left[number] = self.add(node["left_child"])
        self.right[number] = self.add(node["right_child"])
        return number
