"""How the site is built (`tox -e site`): Sphinx reads what `python -m refgrad.report.site` puts together from these pages.

Furo, since its pages are one column of text of a readable width with the contents beside it, it has a dark form, it loads
nothing from elsewhere, and its menus work on a phone; MyST, since the pages are Markdown that a forge shows too.
"""

import importlib.util
from pathlib import Path
from typing import Any

from docutils import nodes

from refgrad.version import VERSION

project = "refgrad"
author = "the refgrad authors"
version = release = VERSION

extensions = ["myst_parser", "sphinx.ext.mathjax", "sphinx_copybutton"]
myst_enable_extensions = ["attrs_block"]
# as a forge makes them, so that a link to a section is right in both places
myst_heading_anchors = 6
# what names a file beside a page, such as a program, is a download
myst_all_links_external = False
suppress_warnings = ["myst.header"]  # pages of worked examples have several titles of the first level
exclude_patterns: list[str] = []
keep_warnings = True
# a quotation mark of a program stays what it is
smartquotes = False

highlight_language = "text"

html_theme = "furo"
html_title = f"refgrad {VERSION}"
html_static_path = ["site"]
# without one, browsers ask for /favicon.ico, which is not there
html_favicon = "site/favicon.svg"
html_css_files = ["refgrad.css"]
html_js_files = ["filters.js"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
pygments_style, pygments_dark_style = "tango", "github-dark"

# MathJax is shipped with the site: one file that draws glyphs as paths and loads no font
_mathjax = importlib.util.find_spec("sphinx-mathjax-offline")
if _mathjax is None or _mathjax.origin is None:
    raise ImportError("the site needs sphinx-mathjax-offline: pip install 'refgrad[docs]'")
html_static_path.append(str(Path(_mathjax.origin).with_name("static") / "mathjax" / "tex-svg.js"))
mathjax_path = "tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

#: characters of a table's cell beyond which it is a text, of which a line has several words on a phone too
PROSE = 30


def mark_prose(app: Any, tree: nodes.document) -> None:
    """Mark cells of tables that hold texts, for the style sheet."""
    for entry in tree.findall(nodes.entry):
        if len(entry.astext()) > PROSE:
            entry["classes"].append("prose")


def setup(app: Any) -> None:
    """What Sphinx calls when it starts."""
    app.connect("doctree-read", mark_prose)
