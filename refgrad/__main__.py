"""``python -m refgrad`` is the command ``refgrad``."""

from refgrad.cli import main

if __name__ == "__main__":
    main(prog_name="refgrad")
