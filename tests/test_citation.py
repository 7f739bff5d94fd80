"""What was read of every rule, and that no label of a named behaviour claims more than that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from refgrad.citation import READ, VERSIONS, Alternative, Citation, Source, by
from refgrad.report import catalogue, rules_page
from refgrad.rule import Choice, Flag, Rule, rules

#: what a label of this kind asks to have been read
ASKS = {"paper": {"paper"}, "authors": {"paper", "authors' code"}}

#: words of a sentence that say who does it, which is to be said as data
TOLD = re.compile(
    r"\b(the|a) papers?\b|\bthe (authors|code)'?s? code\b|\(([^()]*\b)?(torch|optax|timm|Keras|pytorch-optimizer|bitsandbytes)\b"
)

#: where a mechanism stands in C or CUDA alone
LOWER = re.compile(r"\.(cu|c|cpp|cuh)\b|\bCUDA\b")

#: a commit, a release, or a date
VERSION = re.compile(r"\b[0-9a-f]{7,40}\b|\b\d+\.\d+|\b(19|20)\d\d\b")

EVERY_RULE = pytest.mark.parametrize("cls", rules().values(), ids=lambda c: c.__name__)


def labels(cls: type[Rule]) -> Iterator[tuple[str, Alternative]]:
    """Every named behaviour of a rule, as ``field=value``."""
    for name, legal in cls.legal().items():
        if isinstance(legal, Choice):
            yield from ((f"{name}={value}", alternative) for value, alternative in legal.alternatives.items())
        elif isinstance(legal, Flag):
            yield f"{name}=true", legal.alternative


@EVERY_RULE
def test_every_rule_says_what_was_read(cls: type[Rule]) -> None:
    cited = cls.citation
    assert cited.read in READ
    assert cited.source, "name the equation, the repository with its commit, or the packages with their versions"
    assert cited.missing() or cited.read == "paper"


@EVERY_RULE
def test_code_that_was_read_is_named_with_its_version(cls: type[Rule]) -> None:
    """A commit, a release, or the date of a text: what was read can be read again."""
    parts = cls.citation.source.split("; ") if cls.citation.read in ("authors' code", "package") else []
    assert [part for part in parts if not VERSION.search(part)] == []


def test_every_package_of_a_label_has_its_version() -> None:
    assert [name for name, version in VERSIONS.items() if not version] == []


@EVERY_RULE
def test_no_label_claims_more_than_was_read(cls: type[Rule]) -> None:
    claims = [
        (name, str(s)) for name, a in labels(cls) for s in a.sources if cls.citation.read not in ASKS.get(s.kind, READ)
    ]
    assert not claims, f"of {cls.__name__} was read: {cls.citation.read}"


@EVERY_RULE
def test_what_is_said_of_a_paper_says_whether_it_was_read(cls: type[Rule]) -> None:
    told = catalogue.record(cls())["unspecified"]
    speaks = re.search(r"\b(paper|papers|prints|printed)\b", cls.unspecified) is not None
    assert ("its own text was not read" in told) == (speaks and cls.citation.read != "paper")
    assert rules_page.cell(told) in rules_page.rule_row(cls)


def test_nothing_is_the_papers_in_brackets() -> None:
    """Such a label is data: `by(..., "paper")` or `by(..., "published")`."""
    here = Path(rules_page.__file__).parents[2]
    files = [*(here / "refgrad").rglob("*.py"), *(here / "docs").glob("*.md")]
    assert [str(file) for file in files if "(the paper)" in file.read_text(encoding="utf-8")] == []


@EVERY_RULE
def test_labels_are_data_and_not_words(cls: type[Rule]) -> None:
    told = [(name, a.sentence) for name, a in labels(cls) if TOLD.search(a.sentence)]
    assert not told, "say who does it with refgrad.citation.by"


@EVERY_RULE
def test_packages_of_labels_are_known_by_version(cls: type[Rule]) -> None:
    named = {s.package for _, a in labels(cls) for s in a.sources if s.kind == "package"}
    assert named <= set(VERSIONS)


@EVERY_RULE
def test_a_default_that_is_not_the_publications_has_a_reason(cls: type[Rule]) -> None:
    assert set(rules_page.unlike_published(cls)) <= set(cls.default_reasons)
    for name in cls.default_reasons:
        assert set(rules_page.published(cls, name)) - {str(cls.defaults()[name])}, f"no publication has another {name}"


@EVERY_RULE
def test_what_stands_in_c_or_cuda_is_cited_by_its_line(cls: type[Rule]) -> None:
    texts = [cls.citation.source, *(s.detail for _, a in labels(cls) for s in a.sources)]
    assert [text for text in texts if LOWER.search(text) and not re.search(r"\.(cu|c|cpp|cuh) lines? \d+", text)] == []


def test_every_known_package_is_named_somewhere() -> None:
    text = "".join(path.read_text() for path in (Path(rules_page.__file__).parents[1]).rglob("*.py"))
    assert [name for name in VERSIONS if text.count(f'"{name}') < 2] == []


def test_a_citation_claims_least_by_default() -> None:
    assert Citation("Somebody 2024", "A rule", "nowhere").read == "study"
    with pytest.raises(ValueError, match="legal: paper, authors' code, package, study"):
        Citation("Somebody 2024", "A rule", "nowhere", read="papers")  # type: ignore[arg-type]


def test_sources_are_read_from_their_short_texts() -> None:
    assert Source.of("paper: equation 3") == Source("paper", "", "equation 3")
    assert Source.of("optax: 0.2.8, a fault") == Source("package", "optax", "0.2.8, a fault")
    assert str(by("as it is")) == "as it is"
    assert str(by("as it is", "authors", "torch")) == "as it is (the authors' code, torch)"
    assert Source.of("torch").to_dict()["version"] == VERSIONS["torch"]


@EVERY_RULE
def test_show_and_json_have_the_provenance(cls: type[Rule]) -> None:
    record = json.loads(json.dumps(catalogue.record(cls())))
    assert record["citation"]["read"] == cls.citation.read
    assert {f"{n}={v}" for n, values in record["behaviours"].items() for v in values} == {
        name for name, _ in labels(cls)
    }


#: what speaks of an operation, and holds of a package whatever rule the operation stands in
OF_OPERATIONS = {
    *("sign_at_zero", "sign_of_nan", "step_at_zero", "step_of_nan", "ties", "nan_rank", "edge"),
    *("rounding", "counted", "n_is", "along", "measure"),
}


def test_a_shared_attribution_says_of_which_rules_it_holds() -> None:
    """What a package does in one rule is not said of another that has a behaviour of the same name."""
    users: dict[tuple[str, str], set[str]] = {}
    for name, cls in rules().items():
        for field, legal in cls().legal().items():
            for value, alternative in legal.alternatives.items() if isinstance(legal, Choice) else ():
                for source in alternative.sources:
                    if source.kind == "package" and field not in OF_OPERATIONS and not source.detail.startswith("of "):
                        users.setdefault((f"{field}={value}", str(alternative)), set()).add(name)
    # of two or three the rules are relatives, and their package has them all
    assert {key: names for key, names in users.items() if len(names) > 3} == {}


def test_what_was_read_does_not_contradict_what_was_not() -> None:
    """A source that was read is no page or paper where the publication's own text was not."""
    said = {n: c.citation for n, c in rules().items() if c.citation.read != "paper"}
    assert [n for n, citation in said.items() if re.search(r"\bits (page|paper)\b", citation.source)] == []
