"""The site: its sources from docs/ and the rules, and a small part of it built by Sphinx without a warning."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from refgrad.optimizers import AdamW
from refgrad.report.site import command, rule_page, staging
from refgrad.report.site.gallery import filters
from refgrad.rule import find
from tests.surveys.test_page import DESKTOP, PHONE
from tests.surveys.test_page import browser as browser

ROOT = Path(__file__).parents[3]
#: what is built by Sphinx here
PART = ("rule/AdamW.md", "rule/MoMo.md", "rule/NF4.md", "schema.md", "output.md")
FEW = ("AdamW", "MoMo", "NF4", "ClippedSTE", "Magnitude", "Krum")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources with the pages of a few rules."""
    folder = tmp_path_factory.mktemp("site") / "source"
    command.write(ROOT, folder, map(find, FEW))
    return folder


@pytest.mark.slow
def test_every_page_of_docs_is_in_the_contents(sources: Path) -> None:
    text = (sources / "index.md").read_text(encoding="utf-8")
    listed = {line for block in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL) for line in block.split()}
    pages = {p.relative_to(ROOT / "docs").with_suffix("").as_posix() for p in (ROOT / "docs").rglob("*.md")}
    # pages of packages are listed by the page of all packages
    assert pages - listed == {p for p in pages if p.startswith("upstream/") and p != "upstream/README"} | {"index"}
    assert {"gallery", "world", "schema", "reference/index"} <= listed
    assert text.index("\ngallery\n") < text.index("\nrules\n")
    assert text.index("\nverdict\n") < text.index("\noutput\n") < text.index("\nschema\n")


def test_every_link_of_the_sources_leads_to_a_file(sources: Path) -> None:
    lost = []
    for path in sources.rglob("*.md"):
        text = re.sub(r"^```.*?^```|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for link, _ in staging.LINK.findall(text):
            base = sources if link.startswith("/") else path.parent
            if "://" not in link and not (base / link.lstrip("/")).exists():
                lost.append(f"{path.relative_to(sources)}: {link}")
    assert [link for link in lost if "/rule/" not in link] == []


def test_findings_stand_on_the_front_and_lead_to_their_entries(sources: Path) -> None:
    front, world = ((sources / f"{name}.md").read_text(encoding="utf-8") for name in ("index", "world"))
    entries = re.findall(r"href='world\.html#(\w+)'", front)
    assert entries
    assert [entry for entry in entries if f'<li id="{entry}"' not in world] == []


def test_the_state_of_the_world_says_what_entries_are_in_other_releases(sources: Path) -> None:
    text = (sources / "world.md").read_text(encoding="utf-8")
    assert "## Releases that were judged\n" in text
    assert "<small>Releases: " in text
    links = re.findall(r"^- <a href='#(\w+)'", text, re.MULTILINE)
    assert [link for link in links if f'<li id="{link}"' not in text] == []


def test_a_rule_has_a_page_that_is_made_from_it(sources: Path) -> None:
    text = (sources / "rule" / "AdamW.md").read_text(encoding="utf-8")
    assert text.startswith(f"{rule_page.FRONT}# AdamW\n")
    headings = re.findall(r"^## (.*)", text, re.MULTILINE)
    assert {"Formula", "Hyperparameters", "Named behaviours", "Laws", "Golden cases", "Worked example"} <= set(headings)
    assert r"\sqrt{\hat{v}} + \epsilon" in text
    assert "refgrad verify torch.optim:AdamW --as AdamW" in text
    assert text.count("<svg class=") == 2
    golden = json.loads((ROOT / "golden/smoke/AdamW.json").read_text(encoding="utf-8"))
    assert all(case["id"] in text for case in golden["cases"])
    for name in AdamW.legal():
        assert f"| `{name}` |" in text


def test_a_command_that_is_wrong_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command.main([]) == command.USAGE
    monkeypatch.chdir(tmp_path)
    assert "no docs/conf.py" in str(command.main(["there"]))


def test_a_bar_of_filters_names_each_choice_once() -> None:
    bar = filters(package=["torch", "optax", "torch"])
    assert re.findall(r"<option>(\w+)</option>", bar) == ["optax", "torch"]


class _Links(HTMLParser):
    """What a page loads, and the ids that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.add(given.get("id") or "")
        if tag in ("script", "img") and given.get("src"):
            self.loaded.append(str(given["src"]))
        if tag == "link" and given.get("href") and given.get("rel") != "canonical":
            self.loaded.append(str(given["href"]))


@pytest.fixture(scope="module")
def html(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small part of the site, built with warnings as errors."""
    build = pytest.importorskip("sphinx.cmd.build", reason="Sphinx builds the site: pip install 'refgrad[docs]'")
    for name in ("furo", "myst_parser", "sphinx_copybutton"):
        pytest.importorskip(name, reason="the site's theme and extensions: pip install 'refgrad[docs]'")
    small, built = tmp_path_factory.mktemp("small"), tmp_path_factory.mktemp("html")
    for name in PART:
        (small / name).parent.mkdir(parents=True, exist_ok=True)
        text = (sources / name).read_text(encoding="utf-8")
        # links to pages that are not in this part are text
        text = re.sub(r"\[([^\]]*)\]\((?!https?:|#|/?schema|/?output)[^)]*\)", r"\1", text)
        (small / name).write_text(text, encoding="utf-8")
    (small / "index.md").write_text(f"# A part\n{staging.toctree(PART)}", encoding="utf-8")
    shutil.copy(sources / "conf.py", small)
    shutil.copytree(sources / "site", small / "site")
    assert build.main(["-W", "--keep-going", "-q", "-b", "html", str(small), str(built)]) == 0
    return built


@pytest.mark.slow
def test_what_is_built_loads_nothing_from_elsewhere(html: Path) -> None:
    found = _Links()
    found.feed((html / "rule" / "AdamW.html").read_text(encoding="utf-8"))
    assert found.loaded
    assert [url for url in found.loaded if re.match(r"(https?:)?//", url)] == []
    assert (html / "_static" / "tex-svg.js").stat().st_size > 1_000_000
    assert {"formula", "hyperparameters", "laws"} <= found.ids
    assert "AdamW" in (html / "searchindex.js").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_what_is_built_fits_the_screen_and_sets_its_mathematics(
    html: Path, browser: Any, size: dict[str, int], scheme: str
) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page, said, loaded = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: loaded.append(asked.url))
    page.goto((html / "rule" / "AdamW.html").as_uri())
    page.wait_for_selector("mjx-container svg")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    context.close()
    assert said == []
    assert [url for url in loaded if not url.startswith(("file:", "data:"))] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["AdamW", "MoMo", "NF4"])
def test_no_formula_is_wider_than_a_phone(html: Path, browser: Any, name: str) -> None:
    page = browser.new_page(viewport=PHONE)
    page.goto((html / "rule" / f"{name}.html").as_uri())
    page.wait_for_selector("mjx-container svg")
    page.evaluate("MathJax.startup.promise.then(() => 1)")
    wider = (
        "[...document.querySelectorAll('mjx-container[display=true]')].map(each => each.scrollWidth - each.clientWidth)"
    )
    widths = page.evaluate(wider)
    page.close()
    assert widths
    assert max(widths) <= 1
