"""Build the sdist and the wheel, check both, and run the demo from the wheel: ``tox -e package``.

It knows nothing of refgrad but what is in the two files, so that what is missing there is missed here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: what must be in the sdist, and in the wheel, besides the code
IN_SDIST = [
    *("README.md", "CHANGELOG.md", "CITATION.cff", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "SECURITY.md"),
    *("tox.ini", ".ci/run", ".ci/lock.txt", "docs/verdict.md", "docs/failing-verdict.svg"),
    *("tests/conftest.py", "tests/bits/bits.json", "tests/breaks/table.toml", "tests/typing/user_file.py"),
]
IN_WHEEL = ["refgrad/py.typed", "refgrad/report/schemas/output.json", "refgrad/report/page/"]
#: seconds that the demo may take when nothing is compiled yet
DEMO = 10.0


def built(folder: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it."""
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], check=True, stdout=subprocess.DEVNULL
    )
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)], check=True)
    return sdist, wheel


def check_contents(sdist: Path, wheel: Path) -> None:
    """Both have what they must have; the wheel has nothing but the package."""
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    said = {str(p.relative_to(ROOT)) for p in [*ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/*.py")]}
    _expect("the sdist", {*IN_SDIST, *said} - packed)
    _expect("the wheel", {start for start in IN_WHEEL if not any(name.startswith(start) for name in names)})
    _expect("the wheel's code", {p.relative_to(ROOT).as_posix() for p in ROOT.glob("refgrad/**/*.py")} - set(names))
    stray = sorted({name.partition("/")[0] for name in names} - {"refgrad"})
    if len(stray) != 1 or not stray[0].endswith(".dist-info"):
        raise SystemExit(f"the wheel has {stray} beside the package")


def _expect(what: str, missing: Iterable[str]) -> None:
    if missing := sorted(missing):
        raise SystemExit(f"{what} lacks {', '.join(missing[:10])}")


def run_demo(wheel: Path, folder: Path, limit: float) -> None:
    """Install the wheel into an environment of its own, and run its command where nothing lies and nothing is compiled."""
    venv.create(folder / "venv", with_pip=True)
    bin_ = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([str(bin_ / "python"), "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    empty = folder / "empty"
    empty.mkdir()
    environment = {**os.environ, "REFGRAD_CACHE_DIR": str(folder / "kernels")}
    environment.pop("PYTHONPATH", None)
    begun, busy = time.monotonic(), _processor()
    said = subprocess.run(
        [str(bin_ / "refgrad"), "demo"], check=True, cwd=empty, env=environment, capture_output=True, text=True
    )
    wall, processor = time.monotonic() - begun, _processor() - busy
    print(said.stdout)
    print(f"refgrad demo: {wall:.1f} s, of the processor {processor:.1f} s")
    if "Warning" in said.stderr or list(empty.iterdir()):
        raise SystemExit(f"the demo warns, or leaves files where it is run: {said.stderr} {list(empty.iterdir())}")
    if min(wall, processor) > limit:  # on a machine that does other things too, the clock says nothing
        raise SystemExit(f"the demo took {wall:.1f} s, of the processor {processor:.1f} s; legal: {limit:g} s")


def _processor() -> float:
    """Seconds of the processor that processes which were started here have had."""
    used = os.times()
    return used.children_user + used.children_system


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--limit", type=float, default=DEMO, metavar="SECONDS", help="how long the demo may take")
    limit = parser.parse_args().limit
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sdist, wheel = built(folder / "dist")
        check_contents(sdist, wheel)
        run_demo(wheel, folder, limit)


if __name__ == "__main__":
    main()
