"""An audit as one page that needs nothing else: its style is in it, and it has no script."""

from __future__ import annotations

from refgrad.audits.found import Audit
from refgrad.layout import render_html
from refgrad.report import html_page

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin-top: .3em }
th, td { padding: .1rem .7rem; text-align: right } th:first-child, td:first-child { text-align: left }
th { font-weight: 600; border-bottom: 1px solid }
"""
BODY = """<main>
<h1>Was this recorded step right?</h1>
{report}
</main>"""


def page(audit: Audit) -> str:
    """The page, as HTML; all text of files is escaped."""
    body = BODY.format(report=render_html(audit.sections()))
    return html_page.page(f"refgrad audit: {audit.outcome}", STYLE, body)
