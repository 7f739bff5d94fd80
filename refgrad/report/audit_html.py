"""An audit as one page that needs nothing else: its style is in it, and it has no script."""

from __future__ import annotations

from html import escape

from refgrad.audits import audit_text
from refgrad.audits.found import Audit
from refgrad.layout import render_html

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin-top: .3em }
th, td { padding: .1rem .7rem; text-align: right } th:first-child, td:first-child { text-align: left }
th { font-weight: 600; border-bottom: 1px solid }
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<main>
<h1>Was this recorded step right?</h1>
{report}
</main>
</body>
</html>
"""


def page(audit: Audit) -> str:
    """The page, as HTML; all text of files is escaped."""
    title = escape(f"refgrad audit: {audit.outcome}")
    return PAGE.format(title=title, style=STYLE, report=render_html(audit_text.sections(audit)))
