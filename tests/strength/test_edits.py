"""The programme that edits source texts: its texts are right, its edits distinct, and what it says of a name is so."""

from __future__ import annotations

from pathlib import Path

import pytest

import refgrad
from tests.strength.edits.__main__ import TEXTS, ordered
from tests.strength.edits.editing import Edit, edits
from tests.strength.edits.figures import page, read, table
from tests.strength.edits.judging import EQUAL, RIGHT, UNNAMED, WRONG, outcome
from tests.strength.edits.text import NUMPY, Text, in_python

PAGE = Path(__file__).parents[2] / "docs" / "explanations.md"
LOG = Path(__file__).parent / "edits" / "log.jsonl"
TEXT = {text.name: text for text in TEXTS}
EVERY = [edit for text in TEXTS for edit in edits(text)]


def edited(name: str, old: str, new: str) -> tuple[Text, Edit]:
    """A text with a piece of it replaced."""
    text = TEXT[name]
    assert old in text.source
    return text, Edit(text, "by hand", old, new, text.source.replace(old, new))


def test_there_are_enough_and_each_is_another() -> None:
    assert len({edit.id for edit in EVERY}) == len(EVERY) >= 1000
    first = ordered(EVERY, 0)[: len({edit.kind for edit in EVERY})]
    assert len({edit.kind for edit in first}) == len(first)


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=4)
@pytest.mark.parametrize("text", [t for t in TEXTS if t.language == NUMPY], ids=lambda text: text.name)
def test_a_text_is_right_as_it_stands(text: Text) -> None:
    assert refgrad.verify(in_python(text.source), text.rule, explain=False, shrink=False).conforms


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [(" <= clip", " < clip", RIGHT), ("<= clip)", "<= clip + 0)", EQUAL)],
    ids=["edge", "same"],
)
def test_what_becomes_of_an_edit(old: str, new: str, wanted: str) -> None:
    assert outcome(edited("ClippedSTE", old, new)[1], 10.0)["outcome"] == wanted


def test_the_worst_comes_first() -> None:
    lines = [{"kind": k, "language": NUMPY, "outcome": o} for k, o in (("a", RIGHT), ("b", UNNAMED), ("c", WRONG))]
    rows = [row.split("|")[1].strip() for row in table(lines).split("\n\n")[1].splitlines()[2:]]
    assert rows == ["c", "b", "a"]


@pytest.mark.skipif(not PAGE.exists(), reason="the page is in the repository, not in the package")
def test_the_page_says_what_the_log_has() -> None:
    assert page(read(LOG).values(), EVERY) in PAGE.read_text(encoding="utf-8")


def check_named(name: str, old: str, new: str, told: str) -> None:
    """An edit of a text is named, as a fact."""
    text, edit = edited(name, old, new)
    verdict = refgrad.verify(text.made(edit.source), text.rule, shrink=False)
    assert [(d.name, d.sure) for d in verdict.departures] == [(told, "fact")]


@pytest.mark.slow
@pytest.mark.sample(suite=1)
@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("Affine", "np.rint(x / scale) + zero", "np.floor(x / scale) + zero", "x / scale' rounded down"),
        ("Cast bfloat16", "x.astype(ml", "x.astype(np.float16).astype(ml", "x through float16"),
        ("AdEMAMix", "(1 - beta3)", "(1 + beta3)", "1 + beta3 for 1 - beta3"),
        ("C Adagrad", "i = 0;", "i = 1;", "the first element"),
    ],
    ids=str,
)
def test_a_fault_is_named_that_was_not(name: str, old: str, new: str, told: str) -> None:
    check_named(name, old, new, told)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("LAMB", "(np.sqrt(v_hat) + eps)", "(np.sqrt(v) + eps) * (1 - beta2**t) ** 0.5", "eps before bias correction"),
        ("NAdam", "(np.sqrt(v_hat) + eps)", "(np.sqrt(v) + eps) * (1 - beta2**t) ** 0.5", "eps_placement=uncorrected"),
        ("AdaBelief", "d = g - m", "d = g - m / (1 - beta1**t)", "bias correction of m' by 1 - beta1^t in s'"),
        ("ScheduleFreeSGD", "lr_max**2", "lr_max", "weight_lr_power=1"),
        (
            "ScheduleFreeSGD",
            "float(weight_sum) + weight",
            "weight",
            "t^r max(lr_max, 1 lr)^weight_lr_power for weight_sum + t^r max(lr_max, 1 lr)^weight_lr_power",
        ),
        ("Sophia", "t % 10 == 1", "t % 10 == 0", "t + 1 for t"),
        ("Sophia", "t % 10", "t % 9", "interval=9"),
        ("Sophia", "* h", "* np.abs(h)", "|h| stands for h"),
        ("BiPer", "g * frequency * np", "g * np", "cos(frequency x) stands for frequency cos(frequency x)"),
        ("BiPer", "np.cos(frequency * x)", "np.cos(x)", "x stands for frequency x in cos(frequency x) alone"),
        ("NOfM", "order[:, -2:]", "order[:, :2]", "nan_rank=smallest, minus scores"),
        ("LSQ", "np.sqrt(x.size * positive)", "np.sqrt(x.size)", "tensor_length for tensor_length positive"),
        ("Adam", "    g = g +", "    lr = lr * min(1, t / 5)\n    g = g +", "lr min(1, t / 5)"),
        (
            "AdaBelief",
            "    m = beta1",
            "    g = g * np.minimum(p.dtype.type(1), 1 / np.sqrt(np.sum(g * g)))\n    m = beta1",
            "ClipByNorm(inner=AdaBelief(weight_decay=0.1))",
        ),
        ("ADOPT", "* g * g", "* g * g + eps", "eps in v"),
        ("Adadelta", "* d * d", "* d * d + eps", "eps in u"),
        ("AMSGrad", "np.maximum(", "np.minimum(", "minimum in v_max'"),
        (
            "ScheduleFreeSGD",
            "return (1 - beta1)",
            "return (beta1)",
            "beta1 stands for 1 - beta1 in (1 - beta1) z' alone",
        ),
        ("MX e2m1", "- 1 - 2", "+ 1 - 2", "the exponent of the scale of max(abs(x)) over each row is 2 larger"),
        (
            "RoundingSTE",
            "a = np.rint(x / scale) + zero_point\n    return (",
            "a = np.rint(x / scale) - zero_point\n    return (",
            "the other sign of zero_point in y alone",
        ),
    ],
    ids=str,
)
def test_a_fault_is_named(name: str, old: str, new: str, told: str) -> None:
    check_named(name, old, new, told)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("LARS", "(slope + weight_decay * size)", "slope", "stands for sqrt(sum(g^2)) + weight_decay sqrt(sum(p^2))"),
        (
            "LARS",
            "lr * ratio * (g + weight_decay * p)",
            "lr * (ratio * g + weight_decay * p)",
            "is a factor of g alone in g + weight_decay p",
        ),
        ("Adadelta", "(1 - rho) * d * d", "(1 - rho) * (lr * d) * (lr * d)", "in u'"),
        ("LSQ", "1 / np.sqrt(x.size * positive)", "1.0", "gradient_scale=none"),
        (
            "ClippedSTE",
            "(np.abs(x) <= clip).astype(x.dtype)",
            "(((np.abs(x) <= clip) + 1.0 * (np.abs(x) < clip)) / 2).astype(x.dtype)",
            "half of each at the boundary of abs(x) <= clip",
        ),
    ],
    ids=["ratio", "ratio of the gradient", "rate", "gradient scale", "half"],
)
def test_a_fault_is_named_with_a_long_name(name: str, old: str, new: str, words: str) -> None:
    text, edit = edited(name, old, new)
    (departure,) = refgrad.verify(text.made(edit.source), text.rule, shrink=False).departures
    assert departure.sure == "fact"
    assert words in departure.name
