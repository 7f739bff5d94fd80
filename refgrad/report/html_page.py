"""A page that needs nothing else: what every one has around its body."""

from __future__ import annotations

from html import escape

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
{body}
</body>
</html>
"""


def page(title: str, style: str, body: str) -> str:
    """A page, as HTML.

    Args:
        title: as text, which is escaped.
        style: its style sheet.
        body: HTML.
    """
    return PAGE.format(title=escape(title), style=style, body=body)
