"""The page of a survey in a real browser: it renders, filters, opens by mouse and keyboard, and asks the network for nothing."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refgrad.report import survey_html
from refgrad.surveys.run import Survey, Surveyed

#: a survey to show, and a browser to show it in
pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
DESKTOP, PHONE = {"width": 1280, "height": 850}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def page_file(found: Survey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "survey.html"
    # and a rule of another kind, of which nothing was judged
    rules = (*found.rules, Surveyed("Magnitude", "mask", "a source"))
    path.write_text(survey_html.page(dataclasses.replace(found, rules=rules)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed to show the page")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def shown(request: pytest.FixtureRequest, browser: Any, page_file: Path) -> Iterator[Any]:
    """The page, which must say nothing in the console and load nothing but itself."""
    context = browser.new_context(viewport=request.param)
    page, said, loaded = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: loaded.append(asked.url))
    page.goto(page_file.as_uri())
    yield page
    context.close()
    assert said == []
    assert {url.partition("#")[0] for url in loaded if not url.startswith("data:")} == {page_file.as_uri()}


def visible(page: Any) -> list[str]:
    return page.eval_on_selector_all(
        "button.cell", "all => all.filter(b => b.offsetParent).map(b => b.getAttribute('aria-label').split(' ')[0])"
    )


def test_it_fits_its_window(shown: Any) -> None:
    assert shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert len(visible(shown)) == 10
    shown.click("button.cell[data-outcome='differs']")
    assert shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert shown.evaluate("(d => d.scrollWidth <= d.clientWidth)(document.querySelector('dialog'))")


def test_filters(shown: Any) -> None:
    shown.click(".tile[data-outcome='crashed']")
    assert visible(shown) == ["raising", "exiting", "segfaulting"]
    assert shown.text_content(".shown") == "3 implementations of 1 rules"
    shown.select_option("#package", "breaking")
    assert visible(shown) == ["exiting", "segfaulting"]
    shown.click("#all")
    shown.fill("#text", "adamw")
    assert visible(shown) == ["inside"]
    shown.fill("#text", "nothing is called that")
    assert shown.is_visible(".none")
    shown.click("#all")
    rules = "document.querySelectorAll('tr.rule:not([hidden])').length"
    assert shown.evaluate(rules) == 2
    shown.check("#empty")
    assert shown.evaluate(rules) == shown.evaluate("document.querySelectorAll('tr.rule').length")
    shown.select_option("#kind", "mask")
    assert visible(shown) == []


def test_a_cell_opens_by_mouse(shown: Any) -> None:
    shown.click("button.cell[data-outcome='differs']")
    assert shown.is_visible("dialog")
    assert shown.text_content("dialog h2") == "odd"
    assert 'a note <b>&amp;</b> with "quotes" and </script>' in shown.text_content("dialog dl")
    assert "refgrad.verify('tests.surveys.fakes:odd'" in shown.text_content("dialog pre.code")
    assert "DOES NOT CONFORM" in shown.text_content("dialog details pre")
    assert shown.locator("dialog svg rect.out").count() > 0
    shown.click("#close")
    assert not shown.is_visible("dialog")


def test_a_cell_opens_by_keyboard(shown: Any) -> None:
    shown.focus("button.cell[data-outcome='differs']")
    shown.keyboard.press("Enter")
    assert shown.text_content("dialog h2") == "odd"
    address = shown.url
    shown.keyboard.press("ArrowRight")
    assert shown.text_content("dialog h2") != "odd"
    assert shown.url != address
    shown.keyboard.press("Escape")
    assert not shown.is_visible("dialog")
    assert shown.evaluate("document.activeElement.matches('button.cell')")
    before = shown.evaluate("document.activeElement.id")
    shown.keyboard.press("ArrowLeft")
    assert shown.evaluate("document.activeElement.id") != before
    again = shown.context.new_page()
    again.goto(address)
    assert again.text_content("dialog h2") == "odd"


def test_an_address_that_changes_is_followed(shown: Any) -> None:
    """A late "close" event of the cell before must not close the cell that the address names."""
    shown.click("button.cell[data-outcome='differs']")
    address = shown.url
    shown.keyboard.press("Escape")
    shown.wait_for_function("location.hash === ''")
    shown.goto(address)
    shown.wait_for_function("document.querySelector('dialog').open")
    assert shown.text_content("dialog h2") == "odd"
    shown.evaluate("document.querySelector('dialog').dispatchEvent(new Event('close'))")
    assert shown.is_visible("dialog")
    assert shown.url == address


def test_dark_and_light_are_two(shown: Any) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    before = shown.evaluate(colour)
    shown.click(".theme")
    assert shown.evaluate(colour) != before


def test_nothing_outside_is_named(page_file: Path) -> None:
    """Whatever browser there is or is not: no address but that of SVG's name space, and no element that loads."""
    text = page_file.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<(link(?! rel=\"icon\" href=\"data:,\")|img|iframe|script src)|@import|url\(", text)


def test_text_of_strangers_stays_text(found: Survey) -> None:
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    cells = tuple(dataclasses.replace(c, called=evil, message=evil, note=evil) for c in found.cells)
    assert "<script>alert" not in survey_html.page(dataclasses.replace(found, cells=cells))
    assert "<img" not in survey_html.page(dataclasses.replace(found, cells=cells))
