"""``python -m refgrad.strength.situations [RULE ...]``; see `refgrad.strength.situations.command`."""

from __future__ import annotations

from refgrad.strength.situations.command import main

if __name__ == "__main__":
    main(prog_name="python -m refgrad.strength.situations")
