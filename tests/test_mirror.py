"""Tests stand where their modules stand: refgrad/room/subject.py is tested by tests/room/test_subject.py."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import refgrad
from tests.mirrors import ACROSS, TOPICS, Topic

PACKAGE = Path(refgrad.__file__).parent
TESTS = Path(__file__).parent
#: a module of no more lines of code than this needs no test of its own
SMALL = 60


def mirror(module: Path) -> str:
    """Where the test of a module stands; that of a package beside the package."""
    own = module.parent if module.name == "__init__.py" else module.with_suffix("")
    own = own.relative_to(PACKAGE)
    return (own.parent / f"test_{own.name}.py").as_posix()


def modules() -> list[Path]:
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p != PACKAGE / "__init__.py"]


def files() -> set[str]:
    return {p.relative_to(TESTS).as_posix() for p in TESTS.rglob("test_*.py")}


def path_of(name: str) -> Path:
    """The file of a module that is named within the package."""
    path = PACKAGE / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def lines_of_code(text: str) -> int:
    """Lines that hold code: neither comments, nor docstrings, nor nothing."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            documented |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    return sum(bool(line) and not line.startswith("#") and number not in documented for number, line in lines)


def defined(text: str) -> set[str]:
    """The public names that a module defines."""
    found: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return {name for name in found if not name.startswith("_")}


@cache
def words(file: str) -> frozenset[str]:
    """The names that a test file reads or imports, dotted ones whole and in part."""
    text = (TESTS / file).read_text(encoding="utf-8")
    imported = re.findall(r"^\s*(?:from|import) ([\w.]+)", text, re.MULTILINE)
    return frozenset(re.findall(r"\w+", text)) | frozenset(imported)


def names(file: str, module: str) -> bool:
    """True if a test file imports a module, or reads a name that the module defines."""
    full = f"refgrad.{module}"
    parent, _, last = full.rpartition(".")
    own = defined(path_of(module).read_text(encoding="utf-8"))
    return full in words(file) or (parent in words(file) and last in words(file)) or bool(own & words(file))


@pytest.mark.slow
def test_every_module_has_its_test_or_stands_in_a_topic() -> None:
    found, in_topics = files(), {path_of(name) for topic in TOPICS for name in topic.modules}
    without = [p for p in modules() if mirror(p) not in found and lines_of_code(p.read_text(encoding="utf-8")) > SMALL]
    assert sorted(str(p) for p in set(without) - in_topics) == [], "write tests/<room>/test_<module>.py"
    # what has a test of its own now, or has become small, leaves the table
    assert sorted(str(p) for p in in_topics - set(without)) == []


def test_every_test_file_mirrors_a_module_or_has_a_subject_across() -> None:
    mirrors = {mirror(p) for p in modules()}
    stand = mirrors | {topic.file for topic in TOPICS} | set(ACROSS)
    assert sorted(files() - stand) == [], "name it for its module, or say in tests/mirrors.py what it is about"
    assert sorted(set(ACROSS) - files()) == []
    assert sorted(set(ACROSS) & mirrors) == []


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.modules[0])
def test_a_topic_has_a_file_that_is_about_it(topic: Topic) -> None:
    assert topic.file in files()
    assert topic.reason
    if topic.named:
        assert [name for name in topic.modules if not names(topic.file, name)] == []


def test_a_module_stands_in_one_topic() -> None:
    assert [name for name, n in Counter(name for topic in TOPICS for name in topic.modules).items() if n > 1] == []


def test_what_counts_as_code() -> None:
    text = '"""Two\nlines."""\n\nX = (\n    1,\n)  # one\n\n\ndef f():\n    """Says."""\n    return """a\nb"""\n'
    assert lines_of_code(text) == 6
    assert defined(text + "_y = 1\nclass C: ...\nz: int = 3\n") == {"X", "f", "C", "z"}
