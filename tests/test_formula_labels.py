"""Whole numbers in formulas: labels, tokens and routes, right and wrong kernels of them, and wrong requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad.arithmetic.bounded import Bounded
from refgrad.arithmetic.explorer import Explorer
from refgrad.arithmetic.ranged import Ranged
from refgrad.errors import ArgumentError
from refgrad.examples import formulas as gallery
from refgrad.oracle.acceptance.comparing import model_for

SMOOTHED = gallery.cross_entropy_of_labels(smoothing=0.1, z_loss=1e-3)
#: faults of a cross entropy, and what a verdict calls those that have a name
LOSS_FAULTS = {
    "spread over the others": None,
    "label ignored": "labels are not read: the first is taken everywhere",
    "label off by one": "labels are read as the next ones",
    "sum": "{result} is multiplied by batch",
    "no z-loss": "z_loss=0",
}


def _loss(logits: Any, labels: Any, smoothing: float, z_loss: float, fault: str = "") -> Any:
    """In torch, from its own log_softmax and logsumexp."""
    torch = pytest.importorskip("torch")
    count = logits.shape[-1]
    labels = torch.zeros_like(labels) if fault == "label ignored" else labels
    labels = (labels + 1) % count if fault == "label off by one" else labels
    hot = torch.nn.functional.one_hot(labels, count).to(logits.dtype)
    spread = (1 - hot) / max(count - 1, 1) if fault == "spread over the others" else 1 / count
    target = (1 - smoothing) * hot + smoothing * spread
    losses = -(target * torch.log_softmax(logits, -1)).sum(-1)
    if fault != "no z-loss":
        losses = losses + z_loss * torch.logsumexp(logits, -1) ** 2
    return losses.sum() if fault == "sum" else losses.mean()


def forward(fault: str = "") -> Callable[..., Any]:
    torch = pytest.importorskip("torch")

    def loss(logits: Any, labels: Any, smoothing: float, z_loss: float) -> Any:
        return _loss(torch.tensor(logits), torch.tensor(labels), smoothing, z_loss, fault).numpy()

    return loss


def backward(fault: str = "") -> Callable[..., Any]:
    torch = pytest.importorskip("torch")

    def gradient(logits: Any, labels: Any, grad_output: Any, smoothing: float, z_loss: float) -> Any:
        narrow = logits.dtype == ml_dtypes.bfloat16
        leaf = torch.tensor(np.float32(logits) if narrow else logits, requires_grad=True)
        loss = _loss(leaf, torch.tensor(labels), smoothing, z_loss, fault)
        upstream = torch.tensor(np.asarray(grad_output, np.float32 if narrow else None)).to(leaf.dtype)
        return torch.autograd.grad(loss, leaf, upstream)[0].numpy().astype(logits.dtype)

    return gradient


def test_the_backward_of_a_cross_entropy_of_labels_is_that_of_torch_in_double() -> None:
    random = np.random.Generator(np.random.Philox(3))
    logits, labels = random.standard_normal((9, 21)), random.integers(0, 21, 9)
    own = SMOOTHED.backward(logits, labels, np.asarray(1.7))["grad_logits"]
    assert np.abs(own - backward()(logits, labels, 1.7, 0.1, 1e-3)).max() < 1e-14


@pytest.mark.sample(suite=1)
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_right_kernels_of_labels_conform(dtype: str) -> None:
    assert refgrad.verify(backward(), SMOOTHED.backward, dtype=dtype, explain=False).conforms
    if dtype != "bfloat16":
        assert refgrad.verify(forward(), SMOOTHED, dtype=dtype, explain=False).conforms


@pytest.mark.sample(quick=2, suite=2)
@pytest.mark.parametrize("fault", LOSS_FAULTS)
@pytest.mark.parametrize("of", ["result", "grad_logits"])
def test_wrong_cross_entropies_are_refused_and_simple_faults_named(of: str, fault: str) -> None:
    rule, candidate = (SMOOTHED, forward(fault)) if of == "result" else (SMOOTHED.backward, backward(fault))
    name = LOSS_FAULTS[fault]
    verdict = refgrad.verify(candidate, rule, explain=bool(name), shrink=False)
    assert verdict.outcome == "does not conform"
    assert not name or verdict.explanation.name == name.format(result=of)


def scattered(table: Any, tokens: Any, grad_output: Any, *, shift: int = 0, last: bool = False) -> Any:
    found = np.zeros_like(table)
    if last:
        found[tokens] = grad_output
    else:
        np.add.at(found, (tokens + shift) % len(table), grad_output)
    return found


@pytest.mark.slow
def test_gradients_of_an_embedding_add_up_where_a_token_is_taken_twice() -> None:
    rule = gallery.embedding().backward
    assert refgrad.verify(scattered, rule, explain=False).conforms
    last = lambda table, tokens, grad_output: scattered(table, tokens, grad_output, last=True)  # noqa: E731
    shifted = lambda table, tokens, grad_output: scattered(table, tokens, grad_output, shift=1)  # noqa: E731
    assert refgrad.verify(last, rule, explain=False, shrink=False).outcome == "does not conform"
    verdict = refgrad.verify(shifted, rule, shrink=False)
    assert verdict.explanation.name == "tokens are read as the next ones"


def routed(logits: Any, *, count: int = 2, before: bool = False, first: bool = True) -> Any:
    """Shares of the largest, of which the first are taken among equal ones, or the last."""
    order = np.argsort(-logits if first else -logits[:, ::-1], axis=-1, kind="stable")[:, :count]
    order = order if first else logits.shape[-1] - 1 - order
    chosen = np.zeros(logits.shape, bool)
    np.put_along_axis(chosen, order, True, axis=-1)
    numbers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    kept = np.where(chosen, numbers, 0)
    return np.where(chosen, kept / (numbers if before else kept).sum(axis=-1, keepdims=True), 0).astype(logits.dtype)


@pytest.mark.slow
def test_routing_to_the_largest_takes_any_of_equal_ones() -> None:
    rule = gallery.top_2_routing()
    assert refgrad.verify(routed, rule, explain=False).conforms
    assert refgrad.verify(lambda logits: routed(logits, first=False), rule, explain=False).conforms
    for wrong in (lambda x: routed(x, count=1), lambda x: routed(x, count=3), lambda x: routed(x, before=True)):
        assert refgrad.verify(wrong, rule, explain=False, shrink=False).outcome == "does not conform"


def test_the_gradient_of_routing_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")

    def autograd(logits: Any, grad_output: Any) -> Any:
        leaf = torch.tensor(logits, requires_grad=True)
        largest, where = leaf.topk(min(2, leaf.shape[-1]), -1)
        shares = torch.zeros_like(leaf).scatter(-1, where, torch.softmax(largest, -1))
        return torch.autograd.grad(shares, leaf, torch.tensor(grad_output))[0].numpy()

    assert refgrad.verify(autograd, gallery.top_2_routing().backward, explain=False).conforms


def test_labels_are_handed_to_rules_as_whole_numbers_of_any_width() -> None:
    table = np.float32([[1, 2], [3, 4], [5, 6]])
    for dtype in (np.int64, np.int32, np.uint8, np.float32, np.float64):
        assert gallery.embedding()(table, np.asarray([2, 0], dtype)).tolist() == [[5, 6], [1, 2]]


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (np.array([0, 3]), "tokens's labels is 3; legal: whole numbers from 0 to 2, below word"),
        (np.array([-1]), "tokens's labels is -1; legal: whole numbers from 0 to 2, below word"),
        (
            np.array([0.5]),
            "tokens.dtype is 'float64'; legal: a dtype of whole numbers, such as int64, or floats that are",
        ),
        (np.array([np.nan]), "tokens.dtype is 'float64'"),
        ([0], "tokens is a list"),
    ],
)
def test_what_is_no_label_is_an_error(tokens: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        gallery.embedding()(np.ones((3, 2)), tokens)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"x": "batch class", "labels": "batch below:clas"}, "legal: one below: and an axis of an array or a number"),
        ({"x": "batch class", "labels": "batch below:class below:batch"}, "legal: one below:"),
        ({"x": "batch class", "labels": "batch below:class+"}, "legal: one below:"),
        ({"x": "batch class", "labels": "batch below class"}, "without a space, such as 'token below:4096'"),
        ({"x": "below:9", "labels": "batch below:9"}, "takes whole numbers alone"),
        ({"x": "batch class", "labels": "batch below:class", "wrt": "labels"}, "legal: some of x, each once"),
    ],
)
def test_wrong_declarations_of_labels_are_errors(axes: dict[str, str], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):

        @refgrad.formula(**axes)  # type: ignore[arg-type]
        def loss(x: Any, labels: Any) -> Any:
            return refgrad.take(x, labels)


def test_a_number_may_stand_for_the_axis() -> None:
    @refgrad.formula(x="batch 5", labels="batch below:5", wrt="x")
    def picked(x: Any, labels: Any) -> Any:
        return np.sum(x * refgrad.one_hot(labels, 5), axis=-1)

    multiplied = lambda x, labels: np.sum(x * np.eye(5, dtype=x.dtype)[labels], axis=-1)  # noqa: E731
    assert refgrad.verify(multiplied, picked(), explain=False).conforms
    # a product with zero takes in what is NaN at other labels, which reading one number does not
    read = refgrad.verify(lambda x, labels: x[np.arange(len(x)), labels], picked(), explain=False, shrink=False)
    assert (read.outcome, read.situation) == ("does not conform", "NaN")
    gradient = picked().backward(np.ones((2, 5)), np.array([1, 4]), np.array([2.0, 3.0]))["grad_x"]
    assert gradient.tolist() == [[0, 2, 0, 0, 0], [0, 0, 0, 0, 3]]


def test_the_line_that_reproduces_a_finding_holds_labels() -> None:
    last = lambda table, tokens, grad_output: scattered(table, tokens, grad_output, last=True)  # noqa: E731
    verdict = refgrad.verify(last, gallery.embedding().backward, explain=False)
    inputs = verdict.reproduce[verdict.reproduce.index("refgrad.Cases.of(") : -1]
    assert "tokens=[0, 0]" in inputs
    again = refgrad.verify(last, gallery.embedding().backward, explain=False, inputs=eval(inputs), shrink=False)
    assert again.outcome == "does not conform"
    cases = refgrad.Cases.of(table=[[1.0]], tokens=[0.5], grad_output=[[1.0]])
    with pytest.raises(ArgumentError, match=r"inputs. tokens is .*; legal: whole numbers"):
        refgrad.verify(last, gallery.embedding().backward, inputs=cases)


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_the_largest_are_open_where_numbers_within_their_bounds_choose_others(count: int) -> None:
    random = np.random.Generator(np.random.Philox(count))
    values, bounds = random.integers(0, 5, (40, 9)).astype(np.float64), random.choice([0.0, 0.0, 0.4, 1.1], (40, 9))
    model = model_for(refgrad.Policy(), np.dtype(np.float32))
    chosen = refgrad.top_k(Ranged(Bounded(values, bounds), model, Explorer()), count)
    met = np.zeros(values.shape, bool)
    for _ in range(300):
        numbers = values + bounds * random.choice([-1.0, 1.0, 0.3], values.shape)
        order = random.permuted(np.tile(np.arange(9), (40, 1)), axis=1)  # any of equal ones
        shuffled = refgrad.top_k(np.take_along_axis(numbers, order, 1), count)
        some = np.zeros(values.shape, bool)
        np.put_along_axis(some, order, shuffled, 1)
        assert (some.sum(axis=1) == count).all()
        differs = some != chosen.likely
        assert not (differs & ~chosen.open).any()
        met |= differs
    assert (met == chosen.open).mean() > 0.9  # and open nowhere else, but for what so few draws do not meet
