"""Backwards of formulas: right and wrong kernels of a derived gradient, torch's gradients, and wrong requests."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import refgrad
from refgrad.arithmetic.dtypes import whole_numbers
from refgrad.cli import main
from refgrad.errors import ArgumentError
from refgrad.examples import formulas as gallery
from refgrad.formulas import Formula
from refgrad.kinds.table import kind_of
from refgrad.oracle.acceptance.findings import Count
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


@pytest.mark.slow
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


@pytest.mark.sample(quick=1)
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


@pytest.mark.sample(suite=6)
@pytest.mark.parametrize("name", GALLERY)
def test_derived_gradients_are_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional

    def two_largest(logits: Any) -> Any:
        largest, where = logits.topk(min(2, logits.shape[-1]), -1)
        return torch.zeros_like(logits).scatter(-1, where, torch.softmax(largest, -1))

    def turned(x: Any, cos: Any, sin: Any) -> Any:
        product = torch.view_as_complex(x.contiguous()) * torch.complex(cos, sin)[:, None]
        return torch.view_as_real(product)

    def grouped(x: Any, weight: Any, bias: Any) -> Any:
        rows = functional.group_norm(x.flatten(1), x.shape[1], weight.flatten(), bias.flatten())
        return rows.view(x.shape)

    def of_the_past(q: Any, k: Any, v: Any) -> Any:
        unseen = torch.ones(len(q), len(k), dtype=torch.bool).triu(1)
        return torch.softmax((0.125 * q @ k.T).masked_fill(unseen, -torch.inf), -1) @ v

    functions = {
        "rmsnorm": lambda x, weight: functional.rms_norm(x, x.shape[-1:], weight, 1e-6),
        "layernorm": lambda x, weight, bias: functional.layer_norm(x, x.shape[-1:], weight, bias),
        "softmax": lambda x: torch.softmax(x, -1),
        "log_softmax": lambda x: torch.log_softmax(x, -1),
        "gelu": functional.gelu,
        "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
        "swiglu": lambda x, gate: x * functional.silu(gate),
        "geglu": lambda x, gate: x * functional.gelu(gate),
        "groupnorm": grouped,
        "rotary": turned,
        "rotary_of_halves": lambda x, cos, sin: turned(x.mT, cos, sin).mT,
        "dropout": lambda x, bits: torch.where(bits >= 64, x / 0.75, 0.0),
        "depthwise_convolution": lambda x, weight: functional.conv1d(x, weight[:, None], padding=1, groups=len(weight)),
        "causal_attention": of_the_past,
        "attention": lambda q, k, v: torch.softmax(0.125 * q @ k.T, -1) @ v,
        "linear": functional.linear,
        "statistics": lambda x: (x.mean(0), x.var(0, unbiased=False)),
        "cross_entropy_of_labels": functional.cross_entropy,
        "embedding": lambda table, tokens: functional.embedding(tokens, table),
        "top_2_routing": two_largest,
    }
    rule, random = GALLERY[name]().backward, np.random.default_rng(3)
    arrays = {
        n: a if whole_numbers(a) else random.standard_normal(a.shape)
        for n, a in rule.drawn(rule.lengths, random).items()
    }
    own = {
        n: torch.tensor(a, requires_grad=not whole_numbers(a)) for n, a in arrays.items() if n in GALLERY[name].shapes
    }
    results = functions[name](*own.values())
    upstreams = [torch.tensor(a) for n, a in arrays.items() if n not in own]
    wanted = [own[n] for n in GALLERY[name].wrt]
    trues = torch.autograd.grad(results if len(upstreams) > 1 else [results], wanted, upstreams)
    for got, true in zip(rule(**arrays).values(), trues, strict=True):
        assert np.abs(got - true.numpy()).max() <= 1e-14 * np.abs(true.numpy()).max()

    def in_float32(*given: np.ndarray) -> tuple[np.ndarray, ...]:
        tensors = [torch.tensor(a, requires_grad=i < len(own) and not whole_numbers(a)) for i, a in enumerate(given)]
        results = functions[name](*tensors[: len(own)])
        found = torch.autograd.grad(
            results if len(upstreams) > 1 else [results], tensors[: len(wanted)], tensors[len(own) :], allow_unused=True
        )
        return tuple(a.numpy() for a in found)

    assert refgrad.verify(in_float32, rule, explain=False, shrink=False).conforms


@pytest.mark.slow
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
    labelled = refgrad.formula(x="n c", labels="n below:c", wrt=["x"])
    assert labelled(lambda x, labels: refgrad.take(x, labels)).wrt == ("x",)
    for given in ("x labels", ["x", "labels"], 3):
        with pytest.raises(ArgumentError, match="legal: some of x, each once") as raised:
            refgrad.formula(x="n c", labels="n below:c", wrt=given)(lambda x, labels: refgrad.take(x, labels))
        assert "did you mean" not in str(raised.value)
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


@pytest.mark.slow
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


@refgrad.formula(x="4 7", wrt="x")
def literal(x: Any) -> Any:
    """Cross entropy as a textbook has it: the logarithm of the shares, of which one a row is taken."""
    return -np.mean(np.log(refgrad.softmax(x))[np.arange(4), [0, 3, 6, 3]])


@refgrad.formula(x="4 7", wrt="x")
def share_taken_first(x: Any) -> Any:
    """The same with the share taken before its logarithm."""
    return -np.mean(np.log(refgrad.softmax(x)[np.arange(4), [0, 3, 6, 3]]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("rule", "candidate", "outcome"),
    [
        # 0/0 at a share that underflows, which nobody takes, is NaN in autograd, and in the formula's own derivative
        (literal, "gathered", "conforms"),
        (literal, "stable", "conforms"),
        (share_taken_first, "share first", "conforms"),
        (share_taken_first, "stable", "conforms"),
        # but the derivative of the share that was taken alone has no 0/0 there
        (share_taken_first, "gathered", "does not conform"),
        (literal, "summed", "does not conform"),
        (literal, "label off by one", "does not conform"),
    ],
)
def test_autograd_of_a_literal_cross_entropy_is_right_where_the_formula_is_not_finite_itself(
    rule: type[Formula], candidate: str, outcome: str, dtype: str
) -> None:
    torch = pytest.importorskip("torch")
    labels = torch.tensor([[0], [3], [6], [3]])
    losses = {
        "gathered": lambda x: -torch.log(torch.softmax(x, -1)).gather(1, labels).mean(),
        "share first": lambda x: -torch.log(torch.softmax(x, -1).gather(1, labels)).mean(),
        "stable": lambda x: torch.nn.functional.cross_entropy(x, labels[:, 0]),
        "summed": lambda x: -torch.log(torch.softmax(x, -1)).gather(1, labels).sum(),
        "label off by one": lambda x: -torch.log(torch.softmax(x, -1)).gather(1, (labels + 1) % 7).mean(),
    }

    def backward(x: Any, grad_output: Any) -> Any:
        leaf = torch.tensor(x, requires_grad=True)
        return torch.autograd.grad(losses[candidate](leaf), leaf, torch.tensor(grad_output))[0].numpy()

    verdict = refgrad.verify(backward, rule().backward, dtype=dtype, seed=2, explain=False, shrink=False)
    assert verdict.outcome == outcome


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fault", "told"),
    [
        ("softmax", lambda found: {"grad_x": 2 * found["grad_x"]}, "grad_x is taken twice"),
        ("softmax", lambda found: {"grad_x": -found["grad_x"]}, "grad_x is taken with the other sign"),
        ("linear", lambda found: {**found, "grad_bias": found["grad_bias"] / 6}, "grad_bias is divided by batch"),
        ("linear", lambda found: {**found, "grad_bias": 0 * found["grad_bias"]}, "grad_bias is zero"),
        pytest.param(
            *("attention", lambda found: {**found, "grad_q": 8 * found["grad_q"]}, "grad_q is divided by scale"),
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_simple_faults_of_a_backward_are_facts_with_a_name(name: str, fault: Any, told: str) -> None:
    rule = GALLERY[name]().backward

    def candidate(*arrays: Any) -> Any:
        found = fault(rule(*arrays))
        if "batch" in told:
            found["grad_bias"] = rule(*arrays)["grad_bias"] / np.float32(len(arrays[0]))
        return {key: value.astype(np.float32) for key, value in found.items()}

    verdict = refgrad.verify(candidate, rule, shrink=False)
    assert (verdict.explanation.name, verdict.explanation.doubt) == (told, "")


def test_a_backward_is_shown_by_what_it_computes() -> None:
    shown = CliRunner().invoke(main, ["show", "refgrad.examples.formulas:log_softmax.backward"]).output
    assert "grad_x = grad_output + np.sum(-grad_output, axis=1, keepdims=True)" in shown
    assert "def log_softmax" not in shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rmsnorm.bakward", "did you mean 'refgrad.examples.formulas:rmsnorm.backward'?"),
        ("rmsnrm.backward", "did you mean 'refgrad.examples.formulas:rmsnorm.backward'?"),
        (
            "scaled_matmul.backwrd",
            "scaled_matmul has no backward; legal: the arrays whose gradients are meant, as in @refgrad.formula",
        ),
    ],
)
def test_a_misspelt_backward_is_met_with_what_was_meant(name: str, said: str) -> None:
    assert said in CliRunner().invoke(main, ["show", f"refgrad.examples.formulas:{name}"]).output


def test_what_conforms_says_first_how_much_of_it_is_undecided() -> None:
    verdict = refgrad.verify(gallery.gelu(), gallery.gelu(), shrink=False, explain=False)
    assert str(verdict).startswith("CONFORMS: ")
    some = dataclasses.replace(verdict, counts={"result": Count(inside=59, undecided=41), "other": Count(inside=9)})
    assert str(some).startswith("CONFORMS, with 41% of result undecided: ")
    wrong = dataclasses.replace(some, outcome="does not conform")
    assert str(wrong).startswith("DOES NOT CONFORM: ")
