"""Arrays of other libraries at every rule's entry points: the bits of NumPy's, given back as they came."""

from __future__ import annotations

import sys
import types
from collections import UserDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad import foreign_arrays
from refgrad.errors import ArgumentError
from refgrad.foreign_arrays import is_foreign, library, like, read_array
from refgrad.foreign_arrays import mapped as mapped_of
from refgrad.optimizers import SGD, AdamW, DAdaptAdam, WinsorizedMean
from refgrad.quantizers import Cast, TopK
from refgrad.quantizers.base import Quantized
from refgrad.rule import Rule, rules
from refgrad.sparsity import Magnitude
from tests.used import used

#: a library -> how an array of it is made of NumPy's; torch's shares its memory
MAKERS: Mapping[str, tuple[str, Callable[[Any], Callable[[np.ndarray], Any]]]] = {
    "torch": ("torch", lambda torch: lambda a: torch.from_dlpack(a)),
    "jax": ("jax.numpy", lambda jnp: lambda a: jnp.asarray(a, copy=True)),
    "array_api_strict": ("array_api_strict", lambda xp: lambda a: xp.asarray(a, copy=True)),
}


def maker(library: str) -> Callable[[np.ndarray], Any]:
    module, made = MAKERS[library]
    return made(pytest.importorskip(module, reason="its arrays are handed over"))


def mapped(node: Any, action: Callable[[np.ndarray], Any]) -> Any:
    """A tree with other arrays, those of what a quantizer made too."""
    if isinstance(node, dict):
        return {name: mapped(value, action) for name, value in node.items()}
    if isinstance(node, Quantized):
        return Quantized(mapped(node.arrays, action), node.shape, node.dtype)
    if isinstance(node, list | tuple):
        return [mapped(value, action) for value in node]
    return action(node) if isinstance(node, np.ndarray) or is_foreign(node) else node


class Handed:
    """A rule that is handed arrays of a library, and whose results are read as NumPy's again."""

    def __init__(self, rule: Rule, make: Callable[[np.ndarray], Any]) -> None:
        self.rule, self.make = rule, make
        self.returned: set[type] = set()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.rule, name)
        return (lambda *args, **more: self._asked(name, *args, **more)) if name in self.rule.computing else found

    def __call__(self, *args: Any) -> Any:
        return self._asked("__call__", *args)

    def step_(self, p: np.ndarray, g: np.ndarray, state: dict[str, Any], **more: Any) -> None:
        new, after = self._asked("step", p, g, state, **more)
        p[...] = new
        state.update(after)

    def _asked(self, name: str, *args: Any, **more: Any) -> Any:
        given = [mapped([value], self.make)[0] for value in args]
        found = getattr(self.rule, name)(*given, **{n: mapped(value, self.make) for n, value in more.items()})
        mapped(found, lambda leaf: self.returned.add(type(leaf)))
        return mapped(found, lambda leaf: np.array(read_array(leaf, "result")))


def same_bits(rule: Rule, library: str) -> None:
    make = maker(library)
    handed = Handed(rule, make)
    wanted, found = used(rule), used(handed)  # type: ignore[arg-type]
    assert [a.dtype for a in found] == [b.dtype for b in wanted]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(found, wanted, strict=True))
    assert handed.returned <= {type(make(np.ones(1, np.float32)))}
    assert handed.returned or rule.kind in ("transform", "scaling")  # which may return numbers


@pytest.mark.sample(quick=4, suite=40)
@pytest.mark.parametrize("name", sorted(rules()))
def test_every_rule_takes_tensors_and_gives_the_bits_of_arrays(name: str) -> None:
    same_bits(rules()[name](), "torch")


#: a rule of each kind whose results JAX and the array API have dtypes for
OF_EACH_KIND = ("AdamW", "EightBit", "ClippedSTE", "Affine", "Magnitude", "RigL", "WinsorizedMean", "GoyalRate")


@pytest.mark.parametrize("library", ["jax", "array_api_strict"])
@pytest.mark.parametrize("kind", sorted({cls.kind for cls in rules().values()}))
def test_every_kind_takes_the_arrays_of_others(kind: str, library: str) -> None:
    chosen = next(n for n in (*OF_EACH_KIND, *rules()) if n in rules() and rules()[n].kind == kind)
    same_bits(rules()[chosen](), library)


@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_narrow_dtypes_come_and_go(library: str, dtype: str) -> None:
    narrow = np.arange(6, dtype=np.float32).reshape(2, 3).T.astype(getattr(ml_dtypes, dtype, dtype))
    if library == "torch":
        torch = pytest.importorskip("torch")
        x = torch.arange(6, dtype=torch.float32).reshape(2, 3).T.to(getattr(torch, dtype))
    else:
        x = maker(library)(narrow)
    rule = AdamW(lr=0.5)
    p, state = rule.step(x, x, rule.init(x))
    wanted, known = rule.step(narrow, narrow, rule.init(narrow))
    assert p.dtype == state["m"].dtype == x.dtype
    assert read_array(p, "p").tobytes() == wanted.tobytes()
    assert read_array(state["v"], "v").tobytes() == known["v"].tobytes()
    assert Cast().round_trip(x).dtype == x.dtype


def test_a_step_in_place_writes_tensors_and_autograd_knows() -> None:
    torch = pytest.importorskip("torch")
    rule, wanted = DAdaptAdam(), {"w": np.ones((2, 2), np.float32), "b": np.zeros(3, np.float32)}
    p = {name: torch.nn.Parameter(torch.tensor(a)) for name, a in wanted.items()}
    g = {name: torch.full_like(a, 0.5) for name, a in p.items()}
    state, known = rule.init(p), rule.init(wanted)
    places = [state["m"]["w"].data_ptr(), p["w"].data_ptr()]
    versions = p["w"]._version
    for _ in range(2):
        rule.step_(p, g, state)
        rule.step_(wanted, {name: np.full_like(a, 0.5) for name, a in wanted.items()}, known)
    assert all(p[n].detach().numpy().tobytes() == wanted[n].tobytes() for n in p)
    assert [state["m"]["w"].data_ptr(), p["w"].data_ptr()] == places
    assert state["t"] == known["t"] == 2
    assert {n: v for n, v in state.items() if rule.slots().get(n) and rule.slots()[n].scalar} == {
        n: v for n, v in known.items() if rule.slots().get(n) and rule.slots()[n].scalar
    }
    assert p["w"]._version > versions
    assert g["w"]._version == 0
    squared = (p["w"] ** 2).sum()
    rule.step_(p, g, state)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squared.backward()


def test_the_first_array_says_what_comes_back_and_numpys_may_stand_beside_it() -> None:
    torch = pytest.importorskip("torch")
    rule, x = SGD(lr=0.5), np.ones(2, np.float32)
    p, _ = rule.step(torch.ones(2), x, rule.init(x))
    assert p.tolist() == [0.5, 0.5]
    with pytest.raises(ArgumentError, match=r"^g is a Tensor; legal: a NumPy array"):
        rule.step(x, torch.ones(2), rule.init(x))
    masks = Magnitude().masks([torch.arange(4.0), torch.arange(2.0)])
    assert [m.tolist() for m in masks] == [[False, False, True, True], [False, True]]
    assert WinsorizedMean(percent=25.0)(torch.tensor([[0.0], [1.0], [2.0], [99.0]])).tolist() == [1.5]


def test_what_cannot_be_read_written_or_made_is_said() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(ArgumentError, match=r"^p\['w'\] is a Tensor that cannot be read .*legal: an array in the proc"):
        SGD().init({"w": torch.ones(2, device="meta")})
    with pytest.raises(ArgumentError, match=r"^p\.dtype is 'int64'"):
        SGD().init(torch.ones(2, dtype=torch.int64))

    class Elsewhere:
        """An array on another device."""

        def __dlpack__(self) -> Any:
            raise AssertionError("not asked")

        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

    with pytest.raises(ArgumentError, match=r"^p is an Elsewhere that is on a device \(2\)"):
        SGD().init(Elsewhere())


def test_jax_says_what_it_has_no_dtype_for() -> None:
    jnp = pytest.importorskip("jax.numpy")
    with pytest.raises(ArgumentError, match=r"int64, of which jax\w* makes int32; legal: 64 bits switched on"):
        TopK().quantize(jnp.arange(8.0))
    rule, x = SGD(), jnp.ones(2)
    with pytest.raises(ArgumentError, match="p is read-only; legal: a writeable array, or the pure `step`"):
        rule.step_(x, x, rule.init(x))


def test_what_a_library_has_not_is_no_array_of_it() -> None:
    xp = pytest.importorskip("array_api_strict")
    with pytest.raises(ArgumentError, match=r"^a result is bfloat16, of which array_api_strict makes no array"):
        like(np.ones(2, ml_dtypes.bfloat16), xp.ones(2))


def test_what_a_quantizer_made_of_other_arrays_is_read_and_mapped() -> None:
    """A record of arrays of a library, and a mapping that is no dict, are gone into as dicts are."""
    make, rule = maker("array_api_strict"), Cast()
    kept = rule.quantize(np.linspace(-1.0, 1.0, 6, dtype=np.float32))
    other = Quantized(
        {name: make(np.asarray(a)) if np.asarray(a).dtype.kind == "f" else a for name, a in kept.arrays.items()},
        kept.shape,
        kept.dtype,
    )
    assert np.array_equal(np.asarray(read_array(rule.dequantize(other), "result")), rule.dequantize(kept))


def test_a_tree_that_holds_itself_is_refused_by_the_step() -> None:
    tree: list[Any] = []
    tree.append(tree)
    with pytest.raises(ArgumentError, match="holds itself"):
        SGD().step(tree, tree, {"t": 0})


def test_a_mapping_that_is_no_dict_comes_back_as_one() -> None:
    make, rule = maker("array_api_strict"), SGD(lr=0.5)
    p, g = (MappingProxyType({"w": make(np.ones(3, np.float32))}) for _ in range(2))
    after, _ = rule.step(dict(p), dict(g), MappingProxyType({"t": 0}))  # type: ignore[arg-type]
    assert np.asarray(read_array(after["w"], "w")).tolist() == [0.5] * 3
    assert mapped_of(p, lambda leaf, path: path) == {"w": "['w']"}


def test_a_state_that_is_no_dict_counts_its_steps() -> None:
    torch = pytest.importorskip("torch")
    rule, p = AdamW(lr=0.5), torch.ones(3)
    known, other = rule.init(p), UserDict(rule.init(p))
    twin = p.clone()
    for _ in range(2):
        rule.step_(p, torch.ones(3), known)
        rule.step_(twin, torch.ones(3), other)  # type: ignore[arg-type]
    assert other["t"] == known["t"] == 2
    assert twin.tolist() == p.tolist()


class Refusing(dict[str, Any]):
    """A state that takes no entries."""

    def __setitem__(self, name: str, value: Any) -> None:
        raise TypeError("frozen")


def test_a_state_that_takes_no_entries_is_refused_before_tensors_are_written() -> None:
    torch = pytest.importorskip("torch")
    rule, p = AdamW(lr=0.5), torch.ones(3)
    state = Refusing(rule.init(p))
    with pytest.raises(
        ArgumentError, match=r"^state is a Refusing whose entries cannot be written \(TypeError: frozen"
    ):
        rule.step_(p, torch.ones(3), state)
    assert p.tolist() == [1.0] * 3
    assert not state["m"].any()


def test_an_array_of_jax_that_was_deleted_is_refused() -> None:
    jnp = pytest.importorskip("jax.numpy")
    x = jnp.ones(3)
    x.delete()
    with pytest.raises(ArgumentError, match=r"^p is an ArrayImpl that cannot be read \(it was deleted, or donated"):
        SGD().init(x)


class OnDevice:
    """An array of a library of devices; its memory is never looked at."""

    def __dlpack__(self, **options: Any) -> Any:
        raise AssertionError("an array of a device was read")

    __dlpack_device__ = __dlpack__


def test_arrays_of_a_device_go_to_its_door(monkeypatch: pytest.MonkeyPatch) -> None:
    door = types.ModuleType("door")
    door.call = lambda rule, function, args, keywords, names, writes: (names, tuple(writes))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "door", door)
    monkeypatch.setattr(foreign_arrays, "DEVICES", {library(OnDevice()): "door"})
    array: Any = OnDevice()
    assert SGD().step_(array, array, {"t": 0}) == (["p", "g", "state"], ("p", "state"))
    assert SGD().step({"w": array}, {"w": array}, {"t": 0}) == (["p", "g", "state"], ())


def test_one_tensor_is_written_in_place() -> None:
    torch = pytest.importorskip("torch")
    p, state = torch.ones(2), SGD(lr=0.5).init(torch.ones(2))
    version = p._version
    SGD(lr=0.5).step_(p, torch.ones(2), state)
    assert (p.tolist(), state["t"]) == ([0.5, 0.5], 1)
    assert p._version > version
