"""What a rule computes, on its page: mathematics of every kind of rule, and text of the few that are too long for it."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

import pytest

from refgrad.report.site import formula_section
from refgrad.report.site.formula_section import section
from refgrad.rule import find, rules
from tests.surveys.test_page import browser as browser


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("AdamW", r"\sqrt{\hat{v}} + \epsilon"),
        ("NF4", r"\text{ over each row}"),
        ("ClippedSTE", r"\begin{aligned}"),
        ("Wanda", r"\left|w\right|"),
        ("EightBit", r"\sqrt{\hat{v}} + \epsilon"),
        ("RigL", r"\cos"),
        ("TrimmedMean", r"\operatorname{sort}"),
        ("BatchScaledRate", r"\mathrm{ratio}"),
        ("LBFGS", "With `history=2`; "),
        ("ImplicitGradient", r"^{-1}"),
        ("DensityControl", r"\text{clone}"),
    ],
)
def test_a_rule_of_each_kind_has_its_formula(name: str, part: str) -> None:
    assert part in section(find(name)())


@pytest.mark.slow
def test_every_rule_has_its_formula_as_mathematics() -> None:
    assert [name for name, cls in rules().items() if "{math}" not in section(cls())] == []


@pytest.mark.slow
def test_brackets_and_environments_are_closed() -> None:
    for name, cls in rules().items():
        text = section(cls())
        found = Counter(re.findall(r"\\(left|right|begin|end)\b", text))
        assert (found["left"], found["begin"]) == (found["right"], found["end"]), name
        assert text.count("{") == text.count("}"), name


def test_a_formula_too_wide_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formula_section, "WIDEST", 10)
    assert section(find("AdamW")()).startswith("As text, ")


@pytest.mark.slow
def test_mathjax_sets_every_formula_without_an_error(browser: Any, tmp_path: Path) -> None:
    shipped = importlib.util.find_spec("sphinx-mathjax-offline")
    if shipped is None or shipped.origin is None:
        pytest.skip("MathJax, as the site ships it: pip install 'refgrad[docs]'")
    script = Path(shipped.origin).with_name("static") / "mathjax" / "tex-svg.js"
    blocks = [
        f"<div id='{name}'>\\[{escape(text)}\\]</div>"
        for name, cls in rules().items()
        for text in re.findall(r"```\{math\}\n(.*?)\n```", section(cls()), re.DOTALL)
    ]
    (tmp_path / "all.html").write_text(
        f"<meta charset='utf-8'>{''.join(blocks)}<script src='{script.as_uri()}'></script>", encoding="utf-8"
    )
    page = browser.new_page()
    page.set_default_timeout(240_000)  # milliseconds, of which a busy machine needs some
    page.goto((tmp_path / "all.html").as_uri())
    page.evaluate("() => MathJax.startup.promise.then(() => 0)")
    errors = "nodes => nodes.map(node => node.closest('div[id]').id + ': ' + node.dataset.mjxError)"
    assert page.eval_on_selector_all("[data-mjx-error]", errors) == []
    assert page.locator("mjx-container").count() == len(blocks) > 400
    page.close()
