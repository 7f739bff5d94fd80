"""Digests of results, and the rules and variants that have one."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from refgrad.errors import ArgumentError
from refgrad.rule import Choice, Flag, Range, Rule, rules
from tests.bits import kinds
from tests.bits.inputs import Source

FILE = Path(__file__).with_name("bits.json")
DTYPES: Mapping[str, Any] = {"float32": np.float32, "float64": np.float64, "bfloat16": ml_dtypes.bfloat16}
#: what hyperparameters that are zero or tiny (an eps) by default are set to, so that the behaviours that they switch on show
SMALL, TINY = 0.0625, 2.0**-10

#: rules that use BLAS, LAPACK or NumPy's own exponentials, whose bits differ between processors
OF_THE_MACHINE = (
    *(
        "AWQ",
        "AdAdaGrad",
        "GPTQ",
        "GaLore",
        "LogisticDescent",
        "NormalizedLogisticDescent",
        "PSGDKron",
        "PixelwiseClip",
    ),
    *("PowerSGD", "QKLayerNorm", "SOAP", "Shampoo", "SparseGPT", "TrActConvolution", "TrActLinear", "ZLoss"),
)
#: the entry of `bits.json` that holds the machine's own bits
PROBE = "_probe"


def probe() -> dict[str, str]:
    """A digest of what BLAS, LAPACK and NumPy's exponentials give on this machine."""
    source, found = Source("probe"), []
    for dtype in (np.float32, np.float64):
        for shape in ((3, 5), (8, 64), (32, 32)):
            x = source.signed(shape, dtype)
            square = (x @ x.T).astype(np.float64)
            found += [square, x.T @ x, np.exp(x), np.log(abs(x) + 1), np.tanh(x), np.linalg.eigh(square)[1]]
            found += [np.linalg.qr(x)[0], np.linalg.svd(x)[1], np.linalg.solve(square + np.eye(len(x)), x)]
    return {"float32 and float64": digest(found)}


def compared(known: Mapping[str, Mapping[str, str]]) -> Callable[[str], bool]:
    """Which keys can be compared on this machine: all of them on one like that where the digests were made."""
    alike = known.get(PROBE) == probe()
    return lambda key: alike or key.partition(" ")[0] not in OF_THE_MACHINE


def names() -> list[str]:
    """Every rule's name, and every variant's after its rule's: ``Name field=value``."""
    return [key for name in rules() for key in (name, *(f"{name} {text}" for text, _ in variants(name)))]


@cache
def variants(name: str) -> list[tuple[str, Rule]]:
    """Every rule that differs from the default one in one named behaviour, and in what that asks of others, and can be built."""
    rule, found = rules()[name](), []
    for field, legal in rule.legal().items():
        values = [True, False] if isinstance(legal, Flag) else list(getattr(legal, "sentences", ()))
        assert isinstance(legal, Choice | Flag) == bool(values)
        for value in values:
            if value != getattr(rule, field):
                try:
                    asked = rule.needs.get((field, value), {})
                    found.append((f"{field}={value}", rule.replace(**asked, **{field: value})))
                except ArgumentError:
                    continue
    return found


def rule_of(key: str) -> Rule:
    """The rule that a key names."""
    name, _, text = key.partition(" ")
    return dict(variants(name))[text] if text else rules()[name]()


def entry(key: str, backend: str = "numpy", dtypes: tuple[str, ...] = ()) -> dict[str, str]:
    """A rule's digest in each dtype: in all of them for a rule as it is, in float32 for a variant; and of large arrays."""
    rule, wanted = rule_of(key), dtypes or (("float32",) if " " in key else tuple(DTYPES))
    found = {}
    for dtype in wanted:
        each = [results(one, DTYPES[dtype], backend) for one in (rule, *busy(rule))]
        assert any(not isinstance(value, str) for value in each[0]), f"{key} refuses every input"
        found[dtype] = digest(each)
    if not dtypes and rule.kind == "quantizer" and type(rule).__name__ not in kinds.SLOW:
        found["large"] = digest(list(kinds.large(rule, np.float32, backend)))
    return found


def results(rule: Rule, dtype: Any, backend: str) -> list[Any]:
    """All results of a rule, in the order in which they are computed."""
    with np.errstate(all="ignore"):
        return list(kinds.KINDS[rule.kind](rule, dtype, backend))


def busy(rule: Rule) -> Iterator[Rule]:
    """The rule with the numbers that are zero or tiny set to a small one: weight decay, momentum, eps, and the like."""
    numbers = [n for n, legal in rule.legal().items() if isinstance(legal, Range) and abs(getattr(rule, n)) < TINY]
    changes = {n: SMALL for n in numbers if SMALL in rule.legal()[n]}
    if changes:
        with contextlib.suppress(ArgumentError):
            yield rule.replace(**changes)


def digest(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of results."""
    total = hashlib.sha256()
    for part in flat(value):
        total.update(part)
    return total.hexdigest()[:16]


def flat(value: Any) -> Iterator[bytes]:
    """Dtype, shape and bits of every array in turn; names of results do not count, and every NaN is alike."""
    if isinstance(value, dict):
        value = list(value.values())
    if hasattr(value, "arrays"):
        value = list(value.arrays.values())
    if isinstance(value, list | tuple):
        yield f"{len(value)}:".encode()
        for each in value:
            yield from flat(each)
        return
    if isinstance(value, str):
        yield value.encode()
        return
    array = np.asarray(value)
    yield f"{array.dtype.name}{array.shape}".encode()
    if array.dtype.kind not in "biu":
        array = np.where(np.isnan(array), np.asarray(np.nan, array.dtype), array)
    yield np.ascontiguousarray(array).tobytes()


def known() -> dict[str, dict[str, str]]:
    """What `bits.json` holds."""
    found: dict[str, dict[str, str]] = json.loads(FILE.read_text())
    return found


def written(entries: Mapping[str, Mapping[str, str]]) -> str:
    """The text of `bits.json`: one line a rule or variant, in order."""
    lines = [f"{json.dumps(key)}: {json.dumps(entries[key])}" for key in sorted(entries)]
    return "{\n" + ",\n".join(lines) + "\n}\n"
