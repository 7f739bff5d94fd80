"""Every rule on arrays of CuPy's: real ones, in the host's memory, with kernels emulated; no driver is asked."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.backends.cuda import doors
from refgrad.errors import ArgumentError, OnHostWarning
from refgrad.estimators import LSQ
from refgrad.optimizers import SGD, GaLore
from refgrad.optimizers.transform import Transform
from refgrad.quantizers import Affine
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.quantizers.rows import RowQuantizer
from refgrad.rule import rules
from refgrad.sparsity import Magnitude
from tests.backends.cuda.conftest import needs_compiler
from tests.backends.cuda.covered import different
from tests.backends.cuda.fixed_bodies import Fixed, fixed_quantizer
from tests.backends.cuda.handed import Handed
from tests.backends.test_same_bits import adversarial
from tests.used import used

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (tox -e cuda has it)")
cupy_on_host = pytest.importorskip("tests.backends.cuda.cupy_on_host")
on_host, seen = cupy_on_host.on_host, cupy_on_host.seen

#: the rules of which docs/cuda.md says that they run on the host, with their methods
PAGE = Path(__file__).parents[3] / "docs" / "cuda.md"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Any:
    monkeypatch.setattr(doors, "_SAID", set())
    return cupy_on_host.installed(monkeypatch, tmp_path_factory)


def on_the_host() -> set[tuple[str, str]]:
    """What the page says of rules and methods that run on the host."""
    rows = re.findall(r"^\| [^`|]*`(\w+)` \| ([^|]*) \| ", PAGE.read_text(), re.MULTILINE)
    return {(name, method) for name, methods in rows for method in re.findall(r"`(\w+)`", methods)}


@needs_compiler
@pytest.mark.sample(quick=4, suite=40)
@pytest.mark.parametrize("name", sorted(rules()))
def test_every_rule_takes_cupy_arrays_and_gives_the_bits_of_numpy(
    name: str, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = rules()[name]()
    handed = Handed(rule, on_host, seen)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", OnHostWarning)
        found = used(handed)  # type: ignore[arg-type]
    # functions of gradients add along the tree on a device, and in NumPy's order on the host
    fixed = isinstance(rule, Transform) and not said and type(rule).__call__ is Transform.__call__
    if rule.kind == "quantizer" and getattr(rule, "bits_are_its_own", False):
        fixed_quantizer(rule, monkeypatch)
    wanted = used(Fixed(rule) if fixed else rule)  # type: ignore[arg-type]
    assert [(a.dtype, a.shape) for a in found] == [(b.dtype, b.shape) for b in wanted]
    assert all(_same(a, b) for a, b in zip(found, wanted, strict=True))
    assert handed.returned <= {cupy.ndarray}
    assert handed.returned or rule.kind in ("transform", "scaling")  # which may return numbers
    warned = {
        (match.group(1), match.group(2))
        for each in said
        if (match := re.match(r"(\w+)\.(\w+) runs on the host", str(each.message)))
    }
    assert warned == {each for each in on_the_host() if each[0] == name}


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    """True if the bits are the same; whatever payload a NaN has."""
    return not different(a, b) if a.dtype.kind == "f" else a.tobytes() == b.tobytes()


def quantized_there(rule: Any, x: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Parts and what they stand for, made on the device."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", OnHostWarning)
        found = rule.quantize(on_host(x))
        if rule.poison_code is not None and np.isnan(x.astype(np.float32)).any():  # of which the host is asked
            warnings.simplefilter("ignore", OnHostWarning)
        return {name: seen(a) for name, a in found.arrays.items()}, seen(rule.dequantize(found))


def by_kernels(variants: bool) -> list[Any]:
    """Quantizers of rows and of elements, at their defaults or in their variants that kernels are made of."""
    found: list[Any] = []
    for cls in (*rules(RowQuantizer).values(), *rules(ElementQuantizer).values()):
        rule = cls()
        found += (v for _, v in rule.variants()) if variants else [rule]
    return [rule for rule in dict.fromkeys(found) if not {*rule.takes()} - {"x", "uniform"} and _is_there(rule)]


def _is_there(rule: Any) -> bool:
    if isinstance(rule, RowQuantizer):
        return True
    return {*rule.body_parts()} == {*rule.parts} and not (rule.prepares or rule.finite_alone)


def same_parts(rule: Any, dtype: Any, shape: tuple[int, ...]) -> int:
    """How many bits of parts and values were compared, in elements."""
    random, wide = np.random.default_rng(4), np.float64 if dtype == np.float64 else np.float32
    x = random.standard_normal(shape).astype(wide)
    wild = np.where(random.random(shape) < 0.9, x, adversarial(random, shape, wide)).astype(wide)
    with np.errstate(all="ignore"):
        given = np.asarray(np.abs(wild) if rule.nonnegative else wild).astype(dtype)
    wanted = rule.quantize(given)
    values = rule.dequantize(wanted)
    parts, found = quantized_there(rule, given)
    for name, part in wanted.arrays.items():
        assert (parts[name].dtype, parts[name].shape) == (part.dtype, part.shape), name
        same = (parts[name] == part).all() if part.dtype.kind in "iu" else not different(parts[name], part)
        assert same, name
    assert not different(found, values)
    return values.size + sum(part.size for part in wanted.arrays.values())


@needs_compiler
@pytest.mark.sample(quick=1, suite=8)
@pytest.mark.parametrize("shape", [(6, 70), (3,), ()], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("rule", by_kernels(False), ids=str)
def test_quantizers_have_the_same_bits_on_a_device(rule: Any, dtype: str, shape: tuple[int, ...], device: Any) -> None:
    assert same_parts(rule, np.dtype(getattr(ml_dtypes, dtype, dtype)), shape)


@needs_compiler
@pytest.mark.thorough
@pytest.mark.parametrize("rule", by_kernels(True), ids=str)
def test_variants_of_quantizers_have_the_same_bits_or_run_on_the_host(rule: Any, device: Any) -> None:
    if getattr(rule, "nested", False) or getattr(rule, "search", "") == "grid":
        with pytest.warns(OnHostWarning):
            rule.quantize(on_host(np.ones((6, 70), np.float32)))
    else:
        assert same_parts(rule, np.dtype(np.float32), (6, 70))


@needs_compiler
def test_the_host_is_asked_for_nothing_where_no_code_can_be_wrong(device: Any) -> None:
    x = np.random.default_rng(3).standard_normal((4, 64)).astype(np.float32)
    gets = device.gets
    quantized = Affine(bits=8).quantize(on_host(x))
    Affine(bits=8).dequantize(quantized)
    Magnitude().mask(on_host(x))
    rule = SGD(momentum=0.9)
    rule.step(on_host(x), on_host(x), rule.init(on_host(x)))
    assert device.gets == gets


@needs_compiler
def test_a_code_that_stands_for_nothing_is_the_error_of_the_host(device: Any) -> None:
    rule, x = Affine(bits=4), np.ones((2, 8), np.float32)
    found = rule.quantize(on_host(x))
    wrong = np.full((2, 8), 99, seen(found.codes).dtype)
    broken = Quantized({**found.arrays, "codes": on_host(wrong)}, found.shape, found.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error", OnHostWarning)
        with pytest.raises(ArgumentError, match="codes is 99; legal: whole numbers from"):
            rule.dequantize(broken)


def test_a_method_of_ones_own_is_not_passed_over(device: Any) -> None:
    class Halved(SGD):
        """SGD of half the gradient."""

        def step(self, p: Any, g: Any, state: Any, **options: Any) -> Any:
            """Half of it."""
            return super().step(p, g * np.float32(0.5), state, **options)

    rule, p, g = Halved(lr=0.5), np.ones(3, np.float32), np.full(3, 2.0, np.float32)
    with pytest.warns(OnHostWarning, match=r"Halved\.step runs on the host.* because Halved has a step of its own"):
        new, _ = rule.step(on_host(p), on_host(g), rule.init(on_host(p)))
    assert seen(new).tolist() == [0.5, 0.5, 0.5]
    with warnings.catch_warnings():  # which is said once
        warnings.simplefilter("error", OnHostWarning)
        rule.step(on_host(p), on_host(g), rule.init(on_host(p)))


def test_arrays_of_several_devices_are_one_sentence(device: Any) -> None:
    rule, p = SGD(), np.ones(3, np.float32)
    with pytest.raises(ArgumentError, match=r"the device of the arrays is \[0, 1\]; legal: one device for all of them"):
        rule.step(on_host(p), on_host(p, card=1), {"t": 0})


def test_a_step_on_the_host_in_place_writes_the_arrays_themselves(device: Any) -> None:
    rule, p = GaLore(rank=2), np.random.default_rng(1).standard_normal((4, 4)).astype(np.float32)
    q, g = on_host(p.copy()), np.random.default_rng(2).standard_normal((4, 4)).astype(np.float32)
    state, known = rule.init(q), rule.init(p)
    place = {name: a.data.ptr for name, a in state.items() if name != "t"}
    with pytest.warns(OnHostWarning, match="GaLore.step_ runs on the host"):
        rule.step_(q, on_host(g), state)
    rule.step_(p, g, known)
    assert seen(q).tobytes() == p.tobytes()
    assert state["t"] == known["t"] == 1
    assert {name: a.data.ptr for name, a in state.items() if name != "t"} == place
    assert all(seen(state[name]).tobytes() == known[name].tobytes() for name in place)


@needs_compiler
def test_estimators_refuse_what_does_not_fit_in_one_sentence(device: Any) -> None:
    x = on_host(np.ones((3, 4), np.float32))
    rule = LSQ()
    for keywords, sentence in [
        ({}, "LSQ needs 'scale'; legal"),
        ({"scale": 1.0, "tau": 1.0}, "LSQ takes no 'tau'"),
        ({"scale": -1.0}, "scale is -1.0; legal: numbers in"),
        ({"scale": on_host(np.full(1, -2.0, np.float32))}, "scale is -2.0; legal: numbers in"),
        ({"scale": on_host(np.ones(5, np.float32))}, r"scale.shape is \(5,\)"),
        ({"scale": np.ones(1, np.float64)}, "scale.dtype is 'float64'; legal: float32 or narrower"),
        ({"scale": 1.0, "backend": "cpu"}, "backend is 'cpu'"),
    ]:
        with pytest.raises(ArgumentError, match=sentence):
            rule.evaluate(x, **keywords)
