"""What is written down of a body computes what the body computes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import scipy.special

import refgrad
from refgrad.arithmetic.written_lines import lines
from tests.test_formula_gradients import GALLERY


@pytest.mark.parametrize("name", GALLERY)
def test_the_text_of_a_gradient_computes_the_gradient(name: str) -> None:
    _computes_the_gradient(GALLERY[name]().backward)


def _computes_the_gradient(rule: Any) -> None:
    random = np.random.Generator(np.random.Philox(1))
    lengths = {axis: length if axis.isdigit() else 7 + i for i, (axis, length) in enumerate(rule.lengths.items())}
    arrays = rule.drawn({axis: int(n) for axis, n in lengths.items()}, random)
    arrays = {n: a if a.dtype.kind == "i" else random.standard_normal(a.shape) for n, a in arrays.items()}
    words: dict[str, Any] = {"np": np, "erf": scipy.special.erf, "expit": scipy.special.expit}
    words |= {name: getattr(refgrad, name) for name in ("stored", "top_k", "take", "one_hot", "segment_sum")}
    reserved = r"\b(in|class)\b"  # an axis may be called what Python does not allow
    known = {**words, **arrays, **{re.sub(reserved, r"\1_", axis): n for axis, n in lengths.items()}}
    for line in rule.formula_lines():
        assert "places" not in line
        exec(re.sub(reserved, r"\1_", line), known)
    for result, true in rule(*arrays.values()).items():
        assert np.shape(known[result]) == np.shape(true)
        assert np.allclose(known[result], true, rtol=1e-12, atol=1e-14), result


#: bodies that move numbers, and what the text of their gradients has
MOVES: dict[str, tuple[Any, str]] = {
    "reversed": (lambda x: np.flip(x, axis=1) ** 2, "[:, (m -1)::-1]"),
    "a slice": (lambda x: np.sum(x[:, 1:-1] ** 2, axis=1), "[:, 1:(m -1)] = "),
    "every second": (lambda x: np.sum(x[:, ::2] ** 2, axis=1), "[:, ::2] = "),
    "one": (lambda x: x[:, 3] ** 2, "[:, 3] = "),
    "the last": (lambda x: x[:, -1] ** 2, "[:, (m -1)] = "),
    "axes in another order": (lambda x: np.sum(np.transpose(x[:, :, None], (2, 0, 1)) ** 3, axis=(0, 2)), "x"),
    "joined": (lambda x: np.sum(np.concatenate([x, 3.0 * x], axis=1) ** 2, axis=1), "[:, m:]"),
    "below the diagonal": (lambda x: np.sum((x @ x.T) * np.tri(len(x), k=-1), axis=1), "np.tri(n, n, -1)"),
    "but the diagonal": (
        lambda x: np.sum(np.where(np.eye(len(x), dtype=bool), 0.0, x @ x.T), axis=1),
        "np.eye(n, n, dtype=bool)",
    ),
    "broadcast": (lambda x: np.sum(np.mean(x, axis=1)), "np.broadcast_to("),
    "rolled": (lambda x: np.roll(x, 2, axis=1) * x, "np.roll("),
    "rolled along two": (lambda x: np.roll(x, (1, -2), axis=(0, 1)) ** 2, "np.roll("),
    "rolled as one": (lambda x: np.roll(x, 3) ** 2, "np.roll("),
    "repeated": (lambda x: np.sum(np.repeat(x, 3, axis=0) ** 2), "np.sum("),
    "repeated as one": (lambda x: np.sum(np.repeat(x, 2) ** 2), "np.sum("),
    "tiled": (lambda x: np.sum(np.tile(x, (2, 1, 3)) ** 3, axis=(0, 2)), "np.sum("),
    "some of them": (lambda x: np.sum(x**2, axis=1)[[2, 0, 0]] ** 2, "np.s_[[2, 0, 0]]"),
    "some columns": (lambda x: x[:, [1, 3, 1]] ** 2, "np.s_[:, [1, 3, 1]]"),
    "some by an array": (lambda x: x[:, np.array([1, 3, 1])] ** 2, "np.array([1, 3, 1])"),
    "by their place": (lambda x: x * x * np.arange(x.shape[1]), "np.arange(m)"),
}


@pytest.mark.parametrize("name", MOVES)
def test_what_moves_is_written_as_slices_and_constants_by_what_makes_them(name: str) -> None:
    body, text = MOVES[name]
    rule = refgrad.formula(x="n m", wrt="x", lengths={"n": 4, "m": 6})(body)().backward
    assert text in "; ".join(rule.formula_lines()), rule.formula_lines()
    _computes_the_gradient(rule)


def test_sums_by_labels_are_written_as_such() -> None:
    def body(x: Any, labels: Any) -> Any:
        return refgrad.segment_sum(x, labels, 5) * refgrad.segment_sum(x * x, labels, 5)

    rule = refgrad.formula(x="row column", labels="row below:5", wrt="x")(body)().backward
    assert "segment_sum(x, labels, 5)" in "; ".join(rule.formula_lines())
    _computes_the_gradient(rule)


def test_whole_numbers_that_are_handed_in_have_their_name() -> None:
    def body(x: Any, bits: Any) -> dict[str, Any]:
        return {"y": np.where(bits, x, 0.0) * x[bits]}

    runs = [({"x": np.ones(n), "bits": np.arange(n) % 2}, {"n": n}) for n in (5, 6)]
    assert lines(body, runs) == ["y = np.where(bits, x, 0) * x[bits]"]


def _both(body: Any, **shapes: tuple[str, ...]) -> list[str]:
    """The lines of a body of arrays whose axes are named."""
    runs = []
    for more in (0, 1):
        lengths = {"n": 3 + more, "m": 5 + 2 * more}
        runs.append(({name: np.ones([lengths[a] for a in axes]) for name, axes in shapes.items()}, lengths))
    return lines(body, runs)


def test_lengths_are_named_and_numbers_are_not() -> None:
    vector: tuple[str, ...] = ("n",)
    assert _both(lambda x: {"y": x / float(len(x)) + 3.0}, x=vector) == ["y = x / n + 3"]
    assert _both(lambda x: {"y": x / float(x.shape[0] - 1)}, x=vector) == ["y = x / (n -1)"]
    assert _both(lambda x: {"y": np.sum(x) / float(x.size)}, x=("n", "m")) == ["y = np.sum(x) / (n * m)"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (lambda x: {"y": -(x - (x + 1.0))}, "y = -(x - (x + 1))"),
        (lambda x: {"y": np.where(x > 0.0, x, np.maximum(x, 2.0))}, "y = np.where((x > 0), x, np.maximum(x, 2))"),
        (lambda x: {"y": x[1:, None] ** 3}, "y = x[1:, None]**3"),
        (
            lambda x: {"y": np.sum(x.reshape(1, -1), axis=(0,), keepdims=True).reshape(-1)},
            "y = np.sum(x.reshape, axis=0)",
        ),
        (lambda x: {"y": np.stack([x, 2.0 * x])}, "y = np.stack([x, 2 * x])"),
        (lambda x: {"y": x.T @ x}, "y = x.T @ x"),
    ],
)
def test_what_operations_look_like(body: Any, text: str) -> None:
    found = _both(body, x=("n",))
    if "x.reshape" in text:
        assert found == ["y = np.sum(np.reshape(x, (1, -1)), axis=0)"]
    else:
        assert [line.replace(" ** ", "**") for line in found] == [text]


def test_what_is_written_to_and_used_again_has_its_own_line() -> None:
    def body(x: Any) -> dict[str, Any]:
        x[0] = 2.0 * x[1]
        squared = np.exp(x)
        return {"y": squared * squared}

    assert _both(body, x=("n",)) == ["a = np.exp(with_item(x, 0, 2 * x[1]))", "y = a * a"]


@refgrad.formula(u="time channel", keep="channel", wrt="u keep")
def scanned(u: Any, keep: Any) -> Any:
    held = u[0]
    for t in range(1, u.shape[0]):
        held = keep * held + u[t]
    return held


def test_the_derivation_of_a_loop_over_an_axis_is_told_at_one_length_of_it() -> None:
    told = scanned().backward.formula_lines()
    assert told[0] == "# where time = 3: what is computed is another for each length"
    u, keep, grad_output = np.float64([[1, 2], [3, 4], [5, 6]]), np.float64([0.5, 0.25]), np.float64([1.0, -1.0])
    names = {"np": np, "u": u, "keep": keep, "grad_output": grad_output, "channel": 2}
    exec("\n".join(told), names)
    wanted = scanned().backward(u, keep, grad_output)
    assert list(wanted) == ["grad_u", "grad_keep"]
    for name, value in wanted.items():
        np.testing.assert_allclose(names[name], value, rtol=1e-14)
