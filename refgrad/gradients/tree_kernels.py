"""How alike two examples are to an ensemble of trees: the nine kernels of TREX, by outputs, by leaves, by paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes, check_same
from refgrad.rule import Choice, Citation, Flag, by

_BROPHY = Citation(
    "Brophy, Hammoudeh & Lowd 2023",
    "Adapting and Evaluating Influence-Estimation Methods for Gradient-Boosted Decision Trees",
    "JMLR, arXiv:2205.00359",
    read="authors' code",
    source="jjbrophy47/tree_influence a325794, explainers/trex.py and parsers/_tree64.pyx",
)
Weighted = Annotated[
    bool, Flag(by("each entry is divided by how many training examples are there", "authors: lpw, the default"))
]


class TreeOutputKernel(Transform):
    """The product of two examples' outputs, tree by tree (to_).

    ``outputs`` [example, tree] and ``test_outputs`` [test example, tree]: what each tree adds to the prediction. Gives [example,
    test example]. Source: Brophy, Hammoudeh & Lowd 2023, arXiv:2205.00359.
    """

    citation = _BROPHY
    shapes: ClassVar[Mapping[str, str]] = {"outputs": "n tree", "test_outputs": "q tree"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 4, "q": 3, "tree": 2}
    unspecified = "trees of several classes: one after the other"

    def check(self, *arrays: np.ndarray) -> None:
        outputs, test_outputs = arrays
        check_axes(outputs, "outputs", 2, "examples and trees")
        check_axes(test_outputs, "test_outputs", 2, "test examples and trees")
        check_same(test_outputs[:0], "test_outputs", (0, outputs.shape[1]), "as many trees as outputs")

    def apply(self, outputs: Any, test_outputs: Any) -> Any:
        return np.sum(outputs[:, None, :] * test_outputs[None, :, :], axis=2)


class LeafKernel(Transform):
    """The trees in which two examples are in one leaf, each counted by an entry's square (lp_, lpw, lo_, low).

    ``values`` [tree, leaf]; ``leaves`` [example, tree] and ``test_leaves`` [test example, tree], the leaf that each is in. An
    entry is one, or the leaf's value, over the number of training examples in the leaf if so wanted. Gives [example, test
    example]. Source: Brophy, Hammoudeh & Lowd 2023, arXiv:2205.00359.
    """

    entry: Annotated[
        str,
        Choice(path=by("one", "authors: lp_, lpw"), output=by("the leaf's value", "authors: lo_, low")),
    ] = "path"
    weighted: Weighted = True
    citation = _BROPHY
    revision = 2  # a leaf's value is read where two examples meet alone: an infinite one made all NaN
    shapes: ClassVar[Mapping[str, str]] = {
        "values": "tree leaf",
        "leaves": "n tree below:leaf",
        "test_leaves": "q tree below:leaf",
    }
    lengths: ClassVar[Mapping[str, int]] = {"tree": 2, "leaf": 3, "n": 5, "q": 3}
    longest: ClassVar[Mapping[str, int]] = {"tree": 17, "n": 65, "q": 65}
    unspecified = "leaves without a training example: nothing is added there"

    def check(self, *arrays: np.ndarray) -> None:
        values, leaves, test_leaves = arrays
        check_axes(values, "values", 2, "trees and leaves")
        for name, where in (("leaves", leaves), ("test_leaves", test_leaves)):
            check_axes(where, name, 2, "examples and trees")
            check_same(where, name, (len(where), len(values)), "one leaf an example and tree")

    def apply(self, values: Any, leaves: Any, test_leaves: Any) -> Any:
        found = np.zeros((len(leaves), len(test_leaves)), values.dtype)
        for tree in range(len(values)):
            leaf, together = leaves[:, tree], leaves[:, tree][:, None] == test_leaves[:, tree][None, :]
            entry = values[tree][leaf] if self.entry == "output" else np.ones_like(values[tree][leaf])
            if self.weighted:
                entry = entry / np.sum(leaf[:, None] == leaf[None, :], axis=1).astype(np.float64)
            found = found + np.where(together, (entry * entry)[:, None], 0.0)
        return found


class PathKernel(Transform):
    """The nodes that the paths of two examples share, each counted by an entry's square (fp_, fpw, fo_, fow).

    ``values`` [node] of leaves; ``leaf`` [node], 1 of leaves; ``paths`` [example, node] and ``test_paths`` [test example, node],
    1 of nodes on the path, of all trees one after the other. An entry is one, or of leaves their value, over the number of
    training examples that pass the node if so wanted. Gives [example, test example]. Source: Brophy, Hammoudeh & Lowd 2023,
    arXiv:2205.00359.
    """

    entry: Annotated[
        str,
        Choice(path=by("one", "authors: fp_, fpw"), output=by("of leaves their value, else one", "authors: fo_, fow")),
    ] = "path"
    weighted: Weighted = True
    citation = _BROPHY
    revision = 2  # a leaf's value is read where two examples meet alone: an infinite one made all NaN
    shapes: ClassVar[Mapping[str, str]] = {
        "values": "node",
        "leaf": "node below:2",
        "paths": "n node below:2",
        "test_paths": "q node below:2",
    }
    lengths: ClassVar[Mapping[str, int]] = {"node": 5, "n": 4, "q": 3}
    longest: ClassVar[Mapping[str, int]] = {"n": 65, "q": 65}
    unspecified = "nodes that no training example passes: nothing is added there"

    def check(self, *arrays: np.ndarray) -> None:
        values, leaf, paths, test_paths = arrays
        check_axes(values, "values", 1, "one a node")
        check_same(leaf, "leaf", values.shape, "the shape of values")
        for name, where in (("paths", paths), ("test_paths", test_paths)):
            check_axes(where, name, 2, "examples and nodes")
            check_same(where, name, (len(where), len(values)), "one column a node")

    def apply(self, values: Any, leaf: Any, paths: Any, test_paths: Any) -> Any:
        entry = np.where(leaf == 1, values, 1.0) if self.entry == "output" else np.ones_like(values)
        if self.weighted:
            entry = entry / np.maximum(np.sum(paths, axis=0), 1).astype(np.float64)
        shared = (paths[:, None, :] == 1) & (test_paths[None, :, :] == 1)
        return np.sum(np.where(shared, entry * entry, 0.0), axis=2)
