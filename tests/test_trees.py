"""Trees are matched leaf by leaf: by key, by place, and with an error where they differ."""

from __future__ import annotations

import contextlib
import sys
from collections import ChainMap, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.optimizers import LAMB, SGD, AdamW, DAdaptAdam, Stored
from refgrad.quantizers import EightBit
from refgrad.trees import branch, leaves, matching, rebuild

REFERENCE = {"w": 1, "b": [2, 3]}


def test_leaves_of_a_dict_are_matched_by_key() -> None:
    assert matching(REFERENCE, {"b": [20, 30], "w": 10}, "g") == [10, 20, 30]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"w": 10}, r"g is a dict; legal: a dict with keys .*b.*w"),
        ({"w": 10, "b": [20, 30], "c": 40}, r"g is a dict"),
        ({"w": 10, "c": [20, 30]}, r"g is a dict"),
        ([10, [20, 30]], r"g is a list"),
        ({"w": 10, "b": [20]}, r"g\['b'\] is a list; legal: a sequence of 2"),
        ({"w": [10], "b": [20, 30]}, r"g\['w'\] is a list; legal: an array"),
    ],
    ids=str,
)
def test_another_structure_is_refused(other: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        matching(REFERENCE, other, "g")


Pair = namedtuple("Pair", "w b")


class Attributed(dict[str, Any]):
    """A dict that has an attribute, such as torch's state dicts have."""

    note = ""


@dataclass(frozen=True)
class Layer:
    """A frozen dataclass whose `__init__` takes less than its fields."""

    w: Any
    b: Any = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "b", self.w)


class Known:
    """A class that only a framework's registry knows as a node."""

    def __init__(self, w: Any, b: Any, name: str) -> None:
        self.w, self.b, self.name = w, b, name


def _attributed(w: Any, b: Any) -> Any:
    made = Attributed(w=w, b=b)
    made.note = "kept"
    return made


def _layer(w: Any, b: Any) -> Any:
    made = Layer(w)
    object.__setattr__(made, "b", b)
    return made


@pytest.fixture(params=["jax", "optree"])
def registry(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A framework that knows `Known` as a node: JAX if it is installed, and what looks like optree."""

    if request.param == "jax":
        _registered_with_jax()
    else:
        monkeypatch.setitem(sys.modules, "jax", None)
        monkeypatch.setitem(sys.modules, "optree", _optree())
    return request.param


def _registered_with_jax() -> Any:
    """JAX, which knows `Known`: skips where it is not installed."""
    jax = pytest.importorskip("jax")
    with contextlib.suppress(ValueError):  # an earlier test of this process registered it: nothing takes a class back
        jax.tree_util.register_pytree_node(Known, lambda k: ((k.w, k.b), k.name), lambda n, held: Known(*held, n))
    return jax


def _optree() -> ModuleType:
    """The part of optree that is asked, for one class."""

    class Shape:
        def __init__(self, node: Any) -> None:
            self.node = node

        def is_leaf(self) -> bool:
            return not isinstance(self.node, Known)

        def unflatten(self, held: Any) -> Any:
            return Known(*held, self.node.name)

    def tree_flatten_with_path(node: Any, is_leaf: Callable[[Any], bool]) -> Any:
        shape = Shape(node)
        assert is_leaf(0)
        assert not is_leaf(node)
        return ([()], [node], shape) if shape.is_leaf() else ([(0,), (1,)], [node.w, node.b], shape)

    module = ModuleType("optree")
    vars(module)["tree_flatten_with_path"] = tree_flatten_with_path
    return module


#: trees of two leaves, of every class of node
NODES: dict[str, Callable[[Any, Any], Any]] = {
    "dict": lambda w, b: {"w": w, "b": b},
    "OrderedDict": lambda w, b: OrderedDict(w=w, b=b),
    "defaultdict": lambda w, b: defaultdict(list, w=w, b=b),
    "dict with an attribute": _attributed,
    "list": lambda w, b: [w, b],
    "tuple": lambda w, b: (w, b),
    "namedtuple": Pair,
    "dataclass": _layer,
    "None within": lambda w, b: {"w": w, "none": None, "deep": [None, (b, None)]},
}
STEPPED = [SGD(lr=0.5, momentum=0.9), LAMB(lr=0.1), EightBit(rule=SGD(lr=0.5, momentum=0.9), min_8bit_size=2)]


def _held(tree: Any) -> list[Any]:
    return [leaf for _, leaf in leaves(tree)]


def _stepped(make: Callable[[Any, Any], Any], rule: Any) -> None:
    """A step keeps the classes of a tree's nodes, and is that of a dict's leaves."""
    w, b = np.arange(1.0, 7.0, dtype=np.float32).reshape(2, 3), np.float32([3.0, 4.0])
    plain = {"w": w, "b": b}
    tree = make(w, b)
    after, state = rule.step(tree, make(w, b), rule.init(tree))
    wanted, kept = rule.step(plain, plain, rule.init(plain))
    assert type(after) is type(tree)
    assert [str(path) for path, _ in leaves(after)] == [str(path) for path, _ in leaves(tree)]
    for got, right in [(after, wanted), *((state[name], kept[name]) for name in rule.slots())]:
        assert type(got) is type(tree)
        assert repr(_held(got)) == repr(_held(right))


@pytest.mark.parametrize("rule", STEPPED, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("make", NODES.values(), ids=NODES)
def test_a_step_keeps_the_classes_of_nodes(make: Callable[[Any, Any], Any], rule: Any) -> None:
    _stepped(make, rule)


@pytest.mark.parametrize("rule", STEPPED, ids=lambda rule: type(rule).__name__)
def test_a_step_takes_what_a_framework_knows_as_a_node(registry: str, rule: Any) -> None:
    _stepped(lambda w, b: Known(w, b, registry), rule)
    tree = Known(np.ones(2, np.float32), np.ones(2, np.float32), "mine")
    assert rule.step(tree, tree, rule.init(tree))[0].name == "mine"


@pytest.mark.parametrize("make", NODES.values(), ids=NODES)
def test_a_step_in_place_writes_into_the_leaves(make: Callable[[Any, Any], Any]) -> None:
    rule, w, b = SGD(lr=0.5, momentum=0.9), np.ones(3, np.float32), np.ones(2, np.float32)
    tree, g = make(w, b), make(np.ones(3, np.float32), np.ones(2, np.float32))
    state = rule.init(tree)
    rule.step_(tree, g, state)
    assert w.tolist() == [0.5] * 3
    assert b.tolist() == [0.5] * 2
    assert type(state["buffer"]) is type(tree)


def test_attributes_and_factories_are_kept() -> None:
    assert rebuild(_attributed(1, 2), [3, 4]).note == "kept"
    assert rebuild(defaultdict(list, w=1), [3])["new"] == []


def test_other_nodes_are_of_the_same_class() -> None:
    with pytest.raises(ArgumentError, match=r"g is a dict; legal: a Layer of \.w, \.b"):
        matching(Layer(1), {"w": 1, "b": 2}, "g")
    with pytest.raises(ArgumentError, match=r"g\['a'\] is an int; legal: None"):
        matching({"a": None, "b": 1}, {"a": 1, "b": 1}, "g")
    assert matching([1, 2], (3, 4), "g") == [3, 4]


def test_a_tree_that_holds_itself_is_refused() -> None:
    tree: list[Any] = [np.ones(2)]
    tree.append(tree)
    with pytest.raises(ArgumentError, match="holds itself"):
        SGD().init(tree)


def test_arrays_numbers_and_refgrads_own_records_are_leaves() -> None:
    quantized = EightBit(min_8bit_size=2).init(np.ones(4, np.float32))["m"]
    assert [branch(leaf) for leaf in (np.ones(2), np.float32(1), 1.0, "w", SGD(), quantized)] == [None] * 6


def test_arrays_of_jax_in_a_registered_class_come_back_in_it() -> None:
    jax = _registered_with_jax()
    rule, tree = SGD(lr=0.5), Known(jax.numpy.ones(2), jax.numpy.ones(1), "mine")
    after, _ = rule.step(tree, tree, rule.init(tree))
    assert type(after) is Known
    assert isinstance(after.w, jax.Array)
    assert after.w.tolist() == [0.5, 0.5]


@dataclass(frozen=True)
class Frozen:
    """Fields that are given by no `__init__` of two arguments."""

    w: Any
    b: Any = field(init=False, default=2)


def test_a_frozen_dataclass_is_made_anew_with_its_other_fields() -> None:
    tree = Frozen(1)
    made = rebuild(tree, [3, 4])
    assert (type(made), made.w, made.b) == (Frozen, 3, 4)
    assert (tree.w, tree.b) == (1, 2)


def test_a_leaf_in_place_of_a_node_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"g is an int; legal: a sequence of 2"):
        matching([1, 2], 3, "g")
    with pytest.raises(ArgumentError, match=r"g is an int; legal: a dict with keys"):
        matching({"a": 1}, 3, "g")
    with pytest.raises(ArgumentError, match=r"g is a list; legal: a sequence of 2"):
        matching([1, 2], [1], "g")


class NoEntries(dict[str, Any]):
    """A dict that takes no entries."""

    def __setitem__(self, name: str, value: Any) -> None:
        raise ValueError("no")


class NoReading(dict[str, Any]):
    """A dict that gives no entries."""

    def __getitem__(self, name: str) -> Any:
        raise KeyError("none")


@pytest.mark.parametrize(
    "wrap", [lambda p: p, lambda p: {"w": p}, lambda p: [p, p.copy()]], ids=["array", "dict", "list"]
)
@pytest.mark.parametrize("kind", [NoEntries, NoReading])
@pytest.mark.parametrize("rule", [AdamW(lr=0.5), DAdaptAdam(), Stored(rounding="stochastic")], ids=repr)
def test_a_mapping_that_refuses_entries_is_refused_before_anything_is_written(rule: Any, kind: Any, wrap: Any) -> None:
    p, g = wrap(np.ones(3, np.float32)), wrap(np.ones(3, np.float32))
    state = rule.init(p)
    before = str(p), str(state)
    done = "written" if kind is NoEntries else "read"
    with pytest.raises(
        ArgumentError, match=rf"^state is a {kind.__name__} whose entries cannot be {done} .*; legal: a dict"
    ):
        rule.step_(p, g, kind(state))
    assert (str(p), str(state)) == before
    if kind is NoEntries:  # which may be read
        assert rule.step(p, g, kind(state))[1]["t"] == 1
    else:
        with pytest.raises(ArgumentError, match=r"^state is a NoReading whose entries cannot be read"):
            rule.step(p, g, kind(state))


@pytest.mark.parametrize("holder", [MappingProxyType, ChainMap, set])
def test_what_holds_arrays_and_is_no_node_is_blamed_itself(holder: Any) -> None:
    tree, rule = {"w": np.ones(3, np.float32)}, SGD(lr=0.5)
    for p, path in ((holder(tree), "p"), ([holder(tree)], r"p\[0\]")):
        g = tree if path == "p" else [tree]
        for method in (rule.step, rule.step_):
            with pytest.raises(
                ArgumentError, match=rf"^{path} is a \w+; legal: an array, or a dict, list or tuple of them"
            ):
                method(p, g, rule.init(g))
