"""The command ``refgrad``, which is ``python -m refgrad`` too."""

from __future__ import annotations

import contextlib
import sys

from refgrad.version import VERSION


def main() -> None:
    """Run the command line; for the version alone, nothing of it is imported."""
    if sys.argv[1:] == ["--version"]:
        with contextlib.suppress(OSError):  # the command line says below what is wrong with standard output
            print(f"refgrad, version {VERSION}", flush=True)
            return
    from refgrad.cli import main as command

    command(prog_name="refgrad")


if __name__ == "__main__":
    main()
