"""What SECURITY.md promises of refgrad's own code: nothing read from disk is unpickled or executed, and no network is opened."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import refgrad

PACKAGE = Path(refgrad.__file__).parent
#: modules that open connections
NETWORK = frozenset({"socket", "http", "urllib.request", "ftplib", "smtplib", "requests", "httpx", "aiohttp"})
#: where pickles are read: what a host sends its own child process, over a pipe
PIPES = frozenset({"isolation/messages.py", "isolation/child.py"})
#: calls that execute or unpickle what they read, unless a keyword forbids it
LOADS = {
    "pickle.load": None,
    "pickle.loads": None,
    "pickle.Unpickler": None,
    "marshal.loads": None,
    "joblib.load": None,
    "yaml.load": None,
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}


def findings(source: str) -> Iterator[str]:
    """What a text of Python does that is promised not to be done."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"imports {a.name}" for a in node.names if a.name in NETWORK or a.name.split(".")[0] in NETWORK)
        elif isinstance(node, ast.ImportFrom) and node.module in NETWORK:
            yield f"imports {node.module}"
        elif isinstance(node, ast.Call):
            name, given = ast.unparse(node.func), {k.arg: k.value for k in node.keywords}
            held = given.get("cache")
            if isinstance(held, ast.Constant) and held.value is True and name.endswith(("jit", "vectorize", "stencil")):
                yield f"{name} keeps kernels as pickles"
            if name in LOADS:
                wanted = LOADS[name]
                value = given.get(wanted[0]) if wanted else None
                if wanted is None or not (isinstance(value, ast.Constant) and value.value is wanted[1]):
                    yield f"calls {name}"


def test_nothing_is_unpickled_and_no_network_is_opened() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), each)
        for path in PACKAGE.rglob("*.py")
        for each in findings(path.read_text(encoding="utf-8"))
    }
    assert found == {(module, "calls pickle.loads") for module in PIPES}


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "from urllib.request import urlopen",
        "pickle.loads(data)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path, weights_only=False)",
        "njit(cache=True)(f)",
    ],
)
def test_the_check_sees_what_is_not_to_be(source: str) -> None:
    assert list(findings(source))


@pytest.mark.parametrize("source", ["np.load(path, allow_pickle=False)", "torch.load(p, weights_only=True)", "njit(f)"])
def test_the_check_lets_pass_what_may_be(source: str) -> None:
    assert not list(findings(source))
