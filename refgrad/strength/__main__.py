"""``python -m refgrad.strength [RULE ...]``; see `refgrad.strength.command`."""

from __future__ import annotations

from refgrad.strength.command import main

if __name__ == "__main__":
    main(prog_name="python -m refgrad.strength")
