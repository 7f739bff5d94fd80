"""A page as a subject of `refgrad judge`: refgrad judge python --arg browser.py --arg adamw.html --as AdamW

The page, which headless Chromium opens, has a function `answer` from a question's line to that of its answer; this program hands
lines to it and back. A further argument is the page's query: with "wrong" adamw.html is. Needs `pip install playwright`.
"""

import pathlib
import shutil
import sys

from playwright.sync_api import sync_playwright

PAGE = pathlib.Path(__file__).resolve().with_name(sys.argv[1]).as_uri() + "?" + "".join(sys.argv[2:])
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
#: no sandbox around the browser itself: it opens this page alone, and a container's user may not be let make one
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

with sync_playwright() as playwright:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)  # playwright's own where none is installed
    browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
    page = browser.new_page()
    page.goto(PAGE)
    for line in sys.stdin:
        print(page.evaluate("line => answer(line)", line), flush=True)
