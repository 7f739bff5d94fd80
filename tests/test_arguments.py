"""The gate for what is no array: the same refusal of the same value wherever it is handed in."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import Cases, arguments
from refgrad.arithmetic.dtypes import as_dtype
from refgrad.errors import ArgumentError, nearest, shown
from refgrad.estimators import ClippedSTE
from refgrad.optimizers import SGD, AdamW, BatchScaledRate
from refgrad.quantizers import NF4, QSGD, Affine, Cast, PowerSGD, Quantized, majority_vote
from refgrad.rule import find
from refgrad.sparsity import SET, Magnitude, NOfM, RandomMask

X = np.linspace(-1.0, 1.0, 8, dtype=np.float32)
STATE = AdamW().init(X)
GIVEN = {"w": X, "mask": X > 0, "u": np.abs(X)}

#: what is called with a wrong value, and how the error begins
CALLS: dict[str, Callable[[], Any]] = {
    "backend is \\['numpy'\\]; legal: auto \\| numpy \\| numba": lambda: SGD().step(X, X, {"t": 0}, backend=["numpy"]),  # type: ignore[arg-type]
    "threads is 0; legal: a whole number from 1": lambda: SGD().step(X, X, {"t": 0}, threads=0),
    "threads is '2'": lambda: ClippedSTE().evaluate(X, threads="2"),  # type: ignore[arg-type]
    "threads is 1.5": lambda: NOfM().mask(X, threads=1.5),  # type: ignore[arg-type]
    "threads is True": lambda: SGD().step_(X.copy(), X.copy(), {"t": 0}, threads=True),
    "state_dtype is <class 'int'>; legal: a float dtype": lambda: AdamW().init(X, state_dtype=int),
    "state_dtype is \\[\\]": lambda: AdamW().init(X, state_dtype=[]),
    "state is None; legal: the dict that init": lambda: AdamW().step(X, X, None),  # type: ignore[arg-type]
    "state\\['t'\\] is True": lambda: AdamW().step(X, X, {**STATE, "t": True}),
    "state\\['t'\\] is -5": lambda: AdamW().step_(X.copy(), X.copy(), {**AdamW().init(X), "t": -5}),
    "state\\['t'\\] is 1000": lambda: AdamW().step(X, X, {**STATE, "t": 10**400}),
    "state\\['t'\\] is '3'": lambda: AdamW().step(X, X, {**STATE, "t": "3"}),
    "AdamW.lr is b'1'; legal: a number": lambda: AdamW(lr=b"1"),  # type: ignore[arg-type]
    "AdamW.lr is np.True_": lambda: AdamW(lr=np.True_),  # type: ignore[arg-type]
    "AdamW.lr is 1000.* \\.\\.\\.; legal": lambda: AdamW(lr=10**500),
    "AdamW.lr is an int; legal": lambda: AdamW(lr=10**5000),
    "AdamW.scalars is \\{1\\}; legal: float64 \\| float32": lambda: AdamW(scalars={1}),  # type: ignore[arg-type]
    "the name of a rule is 3": lambda: find(3),  # type: ignore[arg-type]
    "batch is 0; legal: a whole number from 1": lambda: BatchScaledRate().rate(0),
    "batch is '64'": lambda: BatchScaledRate().rate("64"),  # type: ignore[arg-type]
    "epochs is 2.5": lambda: BatchScaledRate().scaled(64, 2.5),  # type: ignore[arg-type]
    "uniform is a list": lambda: QSGD().quantize(X, [0.5] * 8),  # type: ignore[arg-type]
    "uniform.dtype is 'int64'": lambda: QSGD().quantize(X, uniform=np.zeros(8, np.int64)),
    "quantized is None; legal: what NF4.quantize gives": lambda: NF4().dequantize(None),  # type: ignore[arg-type]
    "codes is a NoneType": lambda: Affine().dequantize(_kept(codes=None)),
    "codes.dtype is 'object'": lambda: Affine().dequantize(_kept(codes=np.zeros(8, object))),
    "quantized.shape is 3; legal": lambda: Affine().dequantize(Quantized(_kept().arrays, 3, X.dtype)),  # type: ignore[arg-type]
    "quantized.dtype is <class 'str'>": lambda: Affine().dequantize(Quantized(_kept().arrays, (8,), str)),  # type: ignore[arg-type]
    "quantized\\['codes'\\] has shape \\(3,\\)": lambda: Affine().dequantize(_kept(codes=np.zeros(3, np.int8))),
    "quantized\\['p'\\] has shape \\(1, 1\\); legal: \\(2, 1\\)": lambda: _misfit(),
    "given has no 'mask'": lambda: SET().after({"w": X}, 0),
    "given is 3; legal: values by name": lambda: SET().after(3, 0),  # type: ignore[arg-type]
    "mask.dtype is 'float32'; legal: bool": lambda: SET().after({**GIVEN, "mask": X}, 0),
    "u.shape is \\(3,\\); legal: \\(8,\\)": lambda: SET().after({**GIVEN, "u": X[:3]}, 0),
    "t is -1; legal: a whole number": lambda: SET().after(GIVEN, -1),
    "prefer is a list": lambda: SET().after(GIVEN, 0, [True] * 8),  # type: ignore[arg-type]
    "w is a masked array": lambda: NOfM().mask(np.ma.masked_array(X)),
    "w is a list": lambda: Magnitude().mask([1.0, 2.0]),
}


def _misfit() -> np.ndarray:
    """Parts that are arrays of legal numbers, and do not go together."""
    rule = PowerSGD(rank=1)
    kept = rule.quantize(X.reshape(2, 4))
    return rule.dequantize(Quantized({**kept.arrays, "p": kept["p"][:1]}, kept.shape, kept.dtype))


def _kept(**parts: Any) -> Quantized:
    kept = Affine().quantize(X)
    return Quantized({**kept.arrays, **parts}, kept.shape, kept.dtype)


@pytest.mark.parametrize("message", CALLS)
def test_what_is_no_such_value_is_refused_by_name(message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        CALLS[message]()


def test_numbers_are_read_from_every_library_and_nothing_else_is() -> None:
    for value in (3, 3.0, np.int8(3), np.float16(3.0), np.asarray(3), np.asarray([3.0]), Fraction(3)):
        assert arguments.number(value, "x") == 3.0
    assert np.isnan(arguments.number(float("nan"), "x"))
    texts = ("3", b"3", np.asarray("3"), np.asarray("nan"))
    for value in (*texts, True, np.True_, None, [3], 3j, np.datetime64("2020"), 10**400, np.ones(2)):
        with pytest.raises(ArgumentError, match="x is "):
            arguments.number(value, "x")


def test_dtypes_are_named_or_handed_over() -> None:
    for value in ("float32", np.float32, np.dtype(">f4"), "bfloat16"):
        assert as_dtype(value).itemsize in (2, 4)
    for value in (None, int, "int8", "no such", "f4,f4", "(2", [], np.float32(1), np.ones(2), 3, "finfo"):
        with pytest.raises(ArgumentError, match="dtype is"):
            as_dtype(value)


def test_several_things_are_no_text_and_no_mapping() -> None:
    assert arguments.several("names", (n for n in "ab"), "names") == ["a", "b"]
    for value in ("ab", b"ab", {"a": 1}, 3, None):
        with pytest.raises(ArgumentError, match="names is "):
            arguments.several("names", value, "names")


def test_a_set_is_taken_only_where_the_order_does_not_matter() -> None:
    assert arguments.several("names", {"a"}, "names", ordered=False) == ["a"]
    for value in ({"a"}, frozenset("a"), set()):
        with pytest.raises(ArgumentError, match="names is "):
            arguments.several("names", value, "names")
    with pytest.raises(ArgumentError, match=r"quantized\.shape is"):
        Cast().dequantize(Quantized(Cast().quantize(X).arrays, {8}, X.dtype))  # type: ignore[arg-type]


def test_a_flag_is_true_or_false() -> None:
    assert arguments.flag("resume", True) is True
    for value in (1, "true", None, np.True_):
        with pytest.raises(ArgumentError, match=r"resume is .*; legal: True or False"):
            arguments.flag("resume", value)


def test_values_are_shown_however_they_show_themselves() -> None:
    class Silent:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown(Silent()) == "a Silent"
    assert len(shown("x" * 10**6)) < 500
    assert nearest(3, ["a"]) == nearest("x" * 10**6, ["a"]) == ""


def test_threads_are_checked_among_other_options() -> None:
    options: dict[str, Any] = {"threads": np.uint8(2)}  # one less than none of them would be 255
    arguments.check_options(options)
    assert type(options["threads"]) is int
    assert SGD().step(X, X, {"t": 0}, threads=np.uint8(3))[0].tobytes() == SGD().step(X, X, {"t": 0})[0].tobytes()
    with pytest.raises(ArgumentError, match=r"threads is 0; legal: a whole number from 1"):
        arguments.check_options({"threads": 0})


def test_a_size_is_legal_of_an_array_that_is_large_enough_for_it() -> None:
    for made, given in ((arguments.ENLARGED, 0), (arguments.ENLARGED * 2, arguments.ENLARGED), (64, 3)):
        arguments.check_enlarged({"block_size": made}, made, given)
    most = arguments.TIMES * 2**30
    arguments.check_enlarged({"height": most, "width": 1}, most, 2**30)
    with pytest.raises(ArgumentError, match=rf"height and width are {most} and 2; legal: what makes {most} elements"):
        arguments.check_enlarged({"height": most, "width": 2}, 2 * most, 2**30)


def test_memory_that_is_not_there_is_told_of_by_the_sizes_that_ask_for_it() -> None:
    full = MemoryError()
    assert arguments.memory_error({"lr": 1e9, "rank": 8, "flag": True}, full) is full
    found = arguments.memory_error({"rank": 2**20, "size": 2**21, "lr": 0.1}, full)
    assert str(found) == "rank and size are 1048576 and 2097152; legal: what there is memory for"
    assert isinstance(found, ArgumentError)


@pytest.mark.parametrize(("rule", "kind"), [(PowerSGD(rank=2**20), ArgumentError), (PowerSGD(), MemoryError)], ids=str)
def test_every_door_tells_of_memory_that_is_not_there(
    rule: PowerSGD, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(self: PowerSGD, x: np.ndarray) -> dict[str, np.ndarray]:
        raise MemoryError("Unable to allocate 9 GiB")

    monkeypatch.setattr(PowerSGD, "encode", encode)
    for x in (X, X.astype(">f4").view(np.recarray)):
        with pytest.raises(kind, match="Unable to allocate 9 GiB"):
            rule.quantize(x)


class Silent:
    """What answers nothing that it is asked for by name."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"{name} was asked for")


def test_what_answers_nothing_is_refused_as_any_other_object() -> None:
    for call, name in (
        (lambda: SGD().init(Silent()), "p"),
        (lambda: NF4().quantize(Silent()), "x"),
        (lambda: NF4().dequantize(Silent()), "quantized"),  # type: ignore[arg-type]
        (lambda: SGD().step(X, Silent(), {"t": 0}), "g"),
        (lambda: BatchScaledRate().rate(Silent()), "batch"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ArgumentError, match=rf"^{name} is "):
            call()


def test_what_has_a_dtype_is_none() -> None:
    for value in (type("Tensor", (), {"dtype": np.dtype("float32")})(), Silent(), ("float32",), X):
        with pytest.raises(ArgumentError, match=r"state_dtype is "):
            SGD(momentum=0.9).init(X, state_dtype=value)


def test_the_memory_of_a_text_is_no_sequence() -> None:
    for value in ("ab", b"ab", bytearray(b"ab"), memoryview(b"ab"), {"a": 1}):
        with pytest.raises(ArgumentError, match=r"lengths is .*; legal: a sequence of lengths"):
            arguments.several("lengths", value, "lengths")


def test_what_fails_while_it_is_gone_through_is_refused() -> None:
    def fails() -> Any:
        yield "a"
        raise RuntimeError("lost")

    with pytest.raises(ArgumentError, match=r"names is <generator") as raised:
        arguments.several("names", fails(), "names")
    assert isinstance(raised.value.__cause__, RuntimeError)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_letters_are_no_numbers_of_a_case(kind: Callable[[bytes], Any]) -> None:
    with pytest.raises(ArgumentError, match=r"x is .*; legal: "):
        Cases.of(x=kind(b"3"))


class Endless:
    """What can be gone through for ever, and has no memory to be shown with."""

    def __iter__(self) -> Iterator[int]:
        return itertools.repeat(1)

    def __repr__(self) -> str:
        raise MemoryError


W = np.ones(3, np.float32)


@pytest.mark.parametrize("endless", [range(10**9), Endless()], ids=["range", "endless"])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("things", lambda many: arguments.several("things", many, "numbers", most=5)),
        ("codes", majority_vote),
        ("packages", lambda many: refgrad.survey(packages=many)),
        ("rules", lambda many: refgrad.survey(packages=["optax"], rules=many)),
        ("ws", Magnitude(granularity="together").masks),
        ("ws", Magnitude().masks),
        ("w2", lambda many: Magnitude().masks([W], w2=many)),
        ("p", lambda many: refgrad.Inputs(many, [[W]])),
        ("g", lambda many: refgrad.Inputs.of(W, many)),
        (
            "quantized.shape",
            lambda many: NF4().dequantize(Quantized(NF4().quantize(W).arrays, many, np.dtype(np.float32))),
        ),
    ],
)
def test_what_has_no_end_is_refused_by_name(name: str, call: Callable[[Any], Any], endless: Any) -> None:
    with pytest.raises(ArgumentError, match=rf"^{name} has more than \d+ things; legal: a sequence of "):
        call(endless)


def test_tensors_and_what_stands_beside_them_are_as_many() -> None:
    for granularity in ("together", "tensor"):
        with pytest.raises(ArgumentError, match=r"len\(u\) is 1; legal: 2, one a tensor"):
            RandomMask(granularity=granularity).masks([W, W], u=[W])


class Classless:
    """What fails when it is asked for its class, or for anything else."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class Liar:
    """What says that it is of another class."""

    def __init__(self, said: type) -> None:
        self.said = said

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        return self.said


class Unhashed(str):
    """A text that has no hash."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


#: made within a test, since pytest asks values for their class
HOSTILE: dict[str, Callable[[], Any]] = {
    "classless": Classless,
    **{said.__name__: partial(Liar, said) for said in (str, bool, int, float, dict, list, np.ndarray, refgrad.Policy)},
    "an array": lambda: W,
    "a range": lambda: range(10**9),
}


@pytest.mark.parametrize("made", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(
    "call",
    [
        lambda x: refgrad.Flag(x),
        lambda x: refgrad.Choice(a=x),
        lambda x: refgrad.Flag("a sentence").check("name", x),
        lambda x: refgrad.Policy(stored=[x]),
        lambda x: refgrad.Policy(stored={"p": x}),
        lambda x: refgrad.Policy(subnormals=x),
        lambda x: refgrad.Policy(roundings=x),
        lambda x: AdamW(lr=x),
        lambda x: SGD(nesterov=x),
        lambda x: refgrad.opaque(x, a="row"),
        lambda x: refgrad.Inputs(x),
        lambda x: refgrad.Inputs.of([1.0, 2.0], x),
        lambda x: refgrad.quantizers.tables.dynamic(x),
        lambda x: refgrad.quantizers.tables.dynamic(True, x),
        lambda x: refgrad.gradients.convex_networks.most_patterns(8, x),
        lambda x: majority_vote([W > 0], even=x),
    ],
)
def test_what_fails_or_lies_about_its_class_is_refused(call: Callable[[Any], Any], made: Callable[[], Any]) -> None:
    with pytest.raises(ArgumentError):
        call(made())


def test_a_text_without_a_hash_is_the_text_that_it_is() -> None:
    assert refgrad.Policy(subnormals=Unhashed("flush")) == refgrad.Policy(subnormals="flush")
    with pytest.raises(ArgumentError, match=r"subnormals is 'flash'; legal: .*did you mean 'flush'"):
        refgrad.Policy(subnormals=Unhashed("flash"))
