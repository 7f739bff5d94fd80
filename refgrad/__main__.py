"""The command ``refgrad``, which is ``python -m refgrad`` too."""

from __future__ import annotations

import sys

from refgrad.version import VERSION


def main() -> None:
    """Run the command line; for the version alone, nothing of it is imported."""
    if sys.argv[1:] == ["--version"]:
        print(f"refgrad, version {VERSION}")
        return
    from refgrad.cli import main as command

    command(prog_name="refgrad")


if __name__ == "__main__":
    main()
