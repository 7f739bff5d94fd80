"""Backwards of formulas: right and wrong kernels of a derived gradient, torch's gradients, and wrong requests."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.cli import main
from refgrad.errors import ArgumentError
from refgrad.examples import formulas as gallery
from refgrad.formulas import Formula
from refgrad.kinds.table import kind_of
from refgrad.strength.rounding_styles import STYLES
from tests.test_formulas import outside

#: formulas of the gallery that have a gradient
GALLERY = {
    name: cls for name, cls in vars(gallery).items() if isinstance(cls, type) and issubclass(cls, Formula) and cls.wrt
}


def norm_backward(x, weight, grad_output, eps, *, projected=True, summed=True):
    scale = np.float32(1) / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(eps))
    normed, reached = x * scale, grad_output * weight
    along = normed * np.mean(reached * normed, axis=-1, keepdims=True) if projected else 0
    of_weight = (grad_output * normed).sum(axis=0)
    return scale * (reached - along), of_weight if summed else of_weight / np.float32(len(x))


def flash(q, k, v, grad_output, scale, *, centred=True, scaled=True):
    """As FlashAttention's backward has it: shares from the logarithm of their sum, and rows' means from the result."""
    logits = (q @ k.T) * np.float32(scale)
    largest = logits.max(axis=1, keepdims=True)
    shares = np.exp(logits - (largest + np.log(np.exp(logits - largest).sum(axis=1, keepdims=True))))
    mean = (grad_output * (shares @ v)).sum(axis=1, keepdims=True) if centred else 0
    of_logits = shares * (grad_output @ v.T - mean) * np.float32(scale if scaled else 1)
    return of_logits @ k, of_logits.T @ q, shares.T @ grad_output


def test_right_backwards_conform_and_results_may_be_named() -> None:
    rms, attention = gallery.rmsnorm(), gallery.attention()
    assert refgrad.verify(norm_backward, rms.backward).conforms
    assert refgrad.verify(flash, attention.backward, explain=False).conforms

    def by_names(x, weight, grad_output, eps):
        of_x, of_weight = norm_backward(x, weight, grad_output, eps)
        return {"grad_weight": of_weight, "grad_x": of_x}

    def with_result(x, weight, grad_output, eps):
        scale = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(eps))
        return (x * scale * weight, *norm_backward(x, weight, grad_output, eps))

    assert refgrad.verify(by_names, rms.backward, explain=False).conforms
    assert refgrad.verify(with_result, rms.with_backward, explain=False).conforms
    narrow = lambda *arrays: tuple(a.astype(np.float16) for a in norm_backward(*(np.float32(a) for a in arrays), 1e-6))  # noqa: E731
    assert refgrad.verify(narrow, rms.backward, dtype="float16", explain=False).conforms


@pytest.mark.parametrize(
    ("rule", "candidate", "name"),
    [
        (
            gallery.rmsnorm().backward,
            lambda x, weight, grad_output, eps: norm_backward(x, weight, grad_output, eps, projected=False),
            None,
        ),
        (
            gallery.rmsnorm().backward,
            lambda x, weight, grad_output: norm_backward(x, weight, grad_output, 1e-5),
            None,
        ),
        (
            gallery.softmax().backward,
            lambda x, grad_output: grad_output * refgrad.softmax(x) * (1 - refgrad.softmax(x)),  # the diagonal alone
            None,
        ),
        (
            gallery.swiglu().backward,
            lambda x, gate, grad_output: tuple(gallery.swiglu().backward(gate, x, grad_output).values()),
            "x and gate are exchanged",
        ),
        (
            gallery.attention().backward,
            lambda q, k, v, grad_output, scale: flash(q, k, v, grad_output, scale, centred=False),
            None,
        ),
        (
            gallery.attention().backward,
            lambda q, k, v, grad_output, scale: flash(q, k, v, grad_output, scale, scaled=False),
            None,
        ),
    ],
    ids=["no projection", "eps", "diagonal alone", "exchanged", "rows not centred", "scale left out"],
)
def test_wrong_backwards_are_refused(rule: Formula, candidate: Any, name: str | None) -> None:
    verdict = refgrad.verify(candidate, rule, explain=bool(name), shrink=False)
    assert verdict.outcome == "does not conform"
    assert not name or verdict.explanation.name == name


@pytest.mark.parametrize("name", GALLERY)
def test_derived_gradients_are_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    functions = {
        "rmsnorm": lambda x, weight: functional.rms_norm(x, x.shape[-1:], weight, 1e-6),
        "layernorm": lambda x, weight, bias: functional.layer_norm(x, x.shape[-1:], weight, bias),
        "softmax": lambda x: torch.softmax(x, -1),
        "log_softmax": lambda x: torch.log_softmax(x, -1),
        "gelu": functional.gelu,
        "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
        "swiglu": lambda x, gate: x * functional.silu(gate),
        "attention": lambda q, k, v: torch.softmax(0.125 * q @ k.T, -1) @ v,
        "linear": functional.linear,
        "statistics": lambda x: (x.mean(0), x.var(0, unbiased=False)),
    }
    rule, random = GALLERY[name]().backward, np.random.default_rng(3)
    arrays = {n: random.standard_normal([rule.lengths[a] for a in axes]) for n, axes in rule.takes().items()}
    own = {n: torch.tensor(a, requires_grad=True) for n, a in arrays.items() if n in GALLERY[name].shapes}
    results = functions[name](*own.values())
    upstreams = [torch.tensor(a) for n, a in arrays.items() if n not in own]
    wanted = [own[n] for n in GALLERY[name].wrt]
    trues = torch.autograd.grad(results if len(upstreams) > 1 else [results], wanted, upstreams)
    for got, true in zip(rule(**arrays).values(), trues, strict=True):
        assert np.abs(got - true.numpy()).max() <= 1e-14 * np.abs(true.numpy()).max()

    def in_float32(*given: np.ndarray) -> tuple[np.ndarray, ...]:
        tensors = [torch.tensor(a, requires_grad=i < len(own)) for i, a in enumerate(given)]
        results = functions[name](*tensors[: len(own)])
        found = torch.autograd.grad(
            results if len(upstreams) > 1 else [results], tensors[: len(wanted)], tensors[len(own) :], allow_unused=True
        )
        return tuple(a.numpy() for a in found)

    assert refgrad.verify(in_float32, rule, explain=False, shrink=False).conforms


@pytest.mark.parametrize("name", ["rmsnorm", "softmax", "attention"])
def test_random_right_backwards_are_inside_and_altered_ones_are_not(name: str) -> None:
    rule = GALLERY[name]().backward
    kind: Any = kind_of(rule)
    assert [found for style in STYLES for found in outside(rule, style)] == []
    accepted = set()
    for altered, _, how in kind.rewritten(rule) if name == "softmax" else ():  # the others' take a minute
        other = kind.departed(rule, how)
        verdict = refgrad.verify(lambda *a, f=other.apply: f(*a), rule, explain=False, shrink=False)
        accepted |= {altered} if verdict.conforms else set()
    assert accepted <= SAME.get(name, set())


#: altered gradients that are the gradient
SAME = {name: {"exp is taken twice", "exp has the other sign"} for name in ("softmax", "attention")}


def test_what_cannot_be_derived_is_said() -> None:
    plain = refgrad.formula(x="n")(lambda x: 2 * x)
    with pytest.raises(ArgumentError, match=r'<lambda> has no backward; legal: .*@refgrad.formula\(..., wrt="x"\)'):
        plain().backward  # noqa: B018
    for text in ("y", "x x"):
        with pytest.raises(ArgumentError, match=f"wrt of <lambda> is '{text}'.*legal: some of x, each once"):
            refgrad.formula(x="n", wrt=text)(lambda x: x)
    joined = refgrad.formula(x="n", wrt="x")(lambda x: np.concatenate([x, x[:1]]))
    with pytest.raises(ArgumentError, match="<lambda>'s result has an axis that none of its arrays has"):
        joined.backward()
    taken = refgrad.formula(grad_output="n", wrt="grad_output")(lambda grad_output: 2 * grad_output)
    with pytest.raises(ArgumentError, match="takes an array 'grad_output', as its backward calls a gradient"):
        taken.backward()
    unknown = refgrad.formula(x="n", wrt="x")(lambda x: np.percentile(x, 50.0, axis=0) * x)
    with pytest.raises(ArgumentError, match=r"numpy\.percentile has no gradient in refgrad"):
        refgrad.verify(lambda x, g: x, unknown.backward())


def test_a_backward_has_the_rule_s_numbers_and_the_names_of_results() -> None:
    rule = gallery.rmsnorm(eps=0.25).backward
    assert str(rule) == "rmsnorm.backward(eps=0.25)"
    assert list(rule.shapes) == ["x", "weight", "grad_output"]
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert list(gallery.statistics.backward.shapes) == ["x", "grad_output_0", "grad_output_1"]
    named = refgrad.formula(x="n", wrt="x")(lambda x: {"twice": 2 * x, "total": np.sum(x)})
    assert named.backward.shapes == {"x": "n", "grad_twice": "n", "grad_total": ""}
    x = np.ones(3)
    assert named.backward()(x, x, np.float64(3.0) * np.ones(()))["grad_x"].tolist() == [5, 5, 5]
    same = refgrad.formula(x="rows 2", y="columns 2", lengths={"rows": 4, "columns": 4}, wrt="x")(lambda x, y: x @ y.T)
    assert same.backward.shapes["grad_output"] == "rows columns"


def test_a_backward_is_found_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "cubes_of_mine.py").write_text(
        "import numpy as np, refgrad\n"
        "@refgrad.formula(x='n', wrt='x')\n"
        "def cube(x):\n"
        "    return x * x * x\n"
        "def right(x, grad_output):\n"
        "    return np.float32(3) * x * x * grad_output\n"
        "def wrong(x, grad_output):\n"
        "    return np.float32(2) * x * x * grad_output\n"
    )
    file = tmp_path / "cubes_of_mine.py"
    asked = lambda name: CliRunner().invoke(main, ["verify", f"{file}:{name}", "--as", f"{file}:cube.backward"])  # noqa: E731
    assert asked("right").exit_code == 0, asked("right").output
    assert asked("wrong").exit_code == 1
