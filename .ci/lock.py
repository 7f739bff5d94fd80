"""Write .ci/lock.txt: ``python .ci/lock.py``, in a fresh environment of CPython 3.11 on Linux x86_64.

What pip would install for `tox` is asked of pip itself, and written down with the hash of each file, so that `tox -e locked`
installs those files and no others, wherever they come from.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
EXTRAS = ("test", "jax")
#: what tox's suite has besides, as tox.ini pins it
BESIDES = ("torch==2.13.0", "playwright==1.65.2")
#: what the other environments of `tox` have, and tox itself
TOOLS = ("ruff", "tox")
HEAD = """\
# The files that `.ci/run` and `tox -e locked` install, on CPython 3.11, Linux x86_64, without a GPU.
# Written by `python .ci/lock.py`.
"""


def wanted() -> list[str]:
    """The requirements of the suite, of refgrad itself, and of its build."""
    text = tomllib.loads((HERE.parent / "pyproject.toml").read_text("utf-8"))
    project = text["project"]
    extras = [line for name in EXTRAS for line in project["optional-dependencies"][name]]
    return [*project["dependencies"], *extras, *text["build-system"]["requires"], *BESIDES, *TOOLS]


def main() -> None:
    """Ask pip, and write the file."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    report = json.loads(subprocess.run([*command, *wanted()], check=True, capture_output=True, text=True).stdout)
    lines = []
    for one in report["install"]:
        hashed = one["download_info"]["archive_info"]["hashes"]["sha256"]
        version = one["metadata"]["version"].partition("+")[0]
        lines.append(f"{one['metadata']['name'].lower()}=={version} \\\n    --hash=sha256:{hashed}\n")
    (HERE / "lock.txt").write_text(HEAD + "".join(sorted(lines)), encoding="utf-8")


if __name__ == "__main__":
    main()
