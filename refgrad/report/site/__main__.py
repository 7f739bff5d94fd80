"""``python -m refgrad.report.site build/site/source`` puts together what Sphinx reads; ``tox -e site`` builds the site of it."""

from __future__ import annotations

import sys

from refgrad.report.site.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
