"""Who may import whom: rooms in layers, no circle, and each framework in the modules whose subject it is.

Imports are read from the source, those within functions and for type checkers alone included.
"""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import refgrad

PACKAGE = Path(refgrad.__file__).parent

#: the house from the ground up: a room may import the rooms of the layers below its own, and its own modules
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "citation",
        "errors",
        "child_process",
        "float_environment",
        "signals",
        "projections",
        "version",
        "layout",
        "rooms",
        "whole_file",
    ),
    ("trees", "json_log", "installed_rules", "hex_floats", "tensor_memory", "cluster"),
    ("registry",),
    ("derived", "foreign_arrays"),
    ("axes", "legal"),
    ("arguments", "schedule_numbers"),
    ("entry_points", "hyperparameters"),
    ("state", "schedules"),
    ("rule",),
    ("rule_text", "arithmetic"),
    ("tracing",),
    ("backends",),
    ("sparsity.counts",),
    ("sparsity.base",),  # what a mask is: estimators choose by masks, and sparse training estimates
    ("optimizers", "estimators"),
    ("quantizers", "sparsity", "gradients"),
    ("formula_tapes",),
    ("formula_gradients", "formula_forms", "formula_kernels", "formula_signature"),
    ("formulas", "formula_functions"),
    ("opaque_functions",),
    ("candidates",),
    ("oracle.acceptance", "oracle.inputs"),
    ("kinds.record",),
    ("kinds.kind",),
    ("kinds.table",),
    ("kinds",),
    ("oracle.engine", "oracle.mutants"),
    ("oracle.hypotheses",),
    ("isolation",),
    ("oracle",),
    ("surveys", "audits"),
    ("",),  # refgrad itself, the front door
    ("testing", "strength"),
    ("golden",),
    ("report",),
    ("examples",),
    ("cli",),
    ("__main__",),
)
HEIGHTS: Mapping[str, int] = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}

#: rooms that know kinds by their protocol and their table alone, although they stand above them
BY_PROTOCOL = ("oracle.engine", "oracle.mutants", "oracle.hypotheses", "oracle", "surveys")

#: arrows that run up and are still to be turned, as (room, room); none may be added
PENDING: set[tuple[str, str]] = set()
#: modules that know kinds by more than their protocol, and are still to go; none may be added
PENDING_KINDS: set[str] = set()

#: a package -> the modules that it is the subject of, or rooms of such, which alone import it
SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "torch": (
        "candidates.torch_eight_bit",
        "candidates.torch_estimator",
        "candidates.torch_gradients",
        "candidates.torch_mask",
        "candidates.torch_quantizer",
        "candidates.torch_optimizer",
        "audits.torch_distributed",
        "audits.torch_file",
        "audits.torch_recorder",
        "audits.torch_zero",
        "surveys.implementations",
        "examples.kernels",
    ),
    "jax": (
        "candidates.jax_estimator",
        "candidates.jax_mask",
        "candidates.optax_gradients",
        "candidates.optax_groups",
        "candidates.optax_transform",
        "audits.optax_recorder",
        "surveys.implementations",
        "examples.kernels",
    ),
    "optax": (
        "audits.optax_recorder",
        "candidates.optax_gradients",
        "candidates.optax_groups",
        "candidates.optax_transform",
        "surveys.implementations",
    ),
    "tensorstore": ("audits.orbax_folder",),
    "keras": ("candidates.keras_optimizer", "examples.keras_kernels"),
    "cupy": ("backends.cuda.cupy_device",),
    "numba": ("backends.compiler", "backends.numba_stages"),
    "llvmlite": ("backends.compiler",),
    "hypothesis": ("testing", "cli"),
    "pytest": ("testing.plugin",),
    "scipy": (
        "gradients.bias_bits",
        "gradients.convex_networks",
        "gradients.equilibrium",
        "gradients.fits",
        "gradients.perception",
        "gradients.points",
        "gradients.transport",
        "oracle.hypotheses",
        "sparsity.base",
        "examples.formulas",
        "examples.kernels",
        "strength.body_operations",
    ),
    "mpmath": ("arithmetic.exact", "arithmetic.exact_matrices", "oracle.hypotheses.equivalence", "schedule_numbers"),
    "click": ("cli", "strength.command", "strength.situations.command"),
    "rich": ("report",),
    "matplotlib": ("oracle.engine.verdict_plot", "oracle.engine.verdict"),
    "captum": ("surveys.implementations",),
    "flax": ("examples.kernels",),
    "dit": ("surveys.implementations",),
    "gfloat": ("surveys.implementations",),
    "ott": ("surveys.implementations",),
    "safetensors": ("golden.tensors",),
    "distributed": ("cluster",),
    "bitsandbytes": ("surveys.implementations",),
}
#: the modules of these packages' subjects may import them at once: they are loaded only where the package is there already
ADAPTERS = ("torch", "jax", "optax", "keras", "tensorstore")

#: what `import refgrad`, and using a rule on NumPy arrays, leave alone
LATER = (
    "numba",
    "llvmlite",
    "torch",
    "jax",
    "optax",
    "keras",
    "cupy",
    "hypothesis",
    "scipy",
    "rich",
    "click",
    "pytest",
    "matplotlib",
    "distributed",
)


class Import(NamedTuple):
    """One import: who, of what, on which line, and whether it is run when the module is."""

    module: str
    name: str
    line: int
    at_once: bool

    def __str__(self) -> str:
        return f"refgrad/{self.module.replace('.', '/')}:{self.line} imports {self.name}"


def dotted(path: Path) -> str:
    """A module's name within the package; empty for the package itself."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


@functools.cache
def modules() -> Mapping[str, ast.Module]:
    return {dotted(path): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}


def imported(node: ast.stmt) -> Iterator[str]:
    """The full names that an import statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are written in full"
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield whole if whole.removeprefix("refgrad.") in modules() else str(node.module)


def statements(tree: ast.AST, at_once: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """Every import statement, and whether it is run when the module is."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, at_once
        elif isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or for_types(node)
            yield from statements(node, at_once and not later)


def for_types(node: ast.AST) -> bool:
    """Whether it is run by type checkers alone."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


@functools.cache
def imports() -> tuple[Import, ...]:
    found = []
    for module, tree in modules().items():
        for node, at_once in statements(tree):
            found += [Import(module, name, node.lineno, at_once) for name in imported(node)]
    return tuple(found)


def inner() -> Iterator[tuple[Import, str]]:
    """The imports of the package's own modules, with the module that is imported."""
    for each in imports():
        if each.name.partition(".")[0] == "refgrad":
            target = each.name.removeprefix("refgrad").removeprefix(".")
            assert target in modules(), str(each)
            if target != each.module:
                yield each, target


def room_of(module: str) -> str:
    """The room that a module stands in: the longest beginning of its name that is one."""
    parts = module.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    found = next((name for name in names if name in HEIGHTS), None)
    assert found is not None, f"refgrad.{module} stands in no room; legal: {', '.join(filter(None, HEIGHTS))}"
    return found


def test_every_module_stands_in_a_room_and_every_room_has_one() -> None:
    assert {room_of(module) for module in modules()} == set(HEIGHTS)


def test_imports_go_down() -> None:
    upward: dict[tuple[str, str], list[str]] = {}
    for each, target in inner():
        room, other = room_of(each.module), room_of(target)
        if room != other and HEIGHTS[other] >= HEIGHTS[room]:
            upward.setdefault((room, other), []).append(str(each))
    new = {arrow: found for arrow, found in upward.items() if arrow not in PENDING}
    assert not new, "\n".join(line for found in new.values() for line in found)
    assert set(upward) == PENDING, f"turned already, to be taken off the list: {PENDING - set(upward)}"


def test_kinds_are_known_by_their_protocol_and_their_table() -> None:
    found = [each for each, target in inner() if room_of(each.module) in BY_PROTOCOL and room_of(target) == "kinds"]
    new = [each for each in found if each.module not in PENDING_KINDS]
    assert not new, "\n".join(map(str, new))
    assert {each.module for each in found} == PENDING_KINDS


def test_no_circle_exists() -> None:
    edges: dict[str, set[str]] = {}
    for each, target in inner():
        if (room_of(each.module), room_of(target)) not in PENDING:
            edges.setdefault(each.module, set()).add(target)
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(f"refgrad.{module}" for module in reversed(error.args[1])))


@pytest.mark.parametrize("package", SUBJECTS)
def test_a_package_is_imported_where_it_is_the_subject(package: str) -> None:
    of_package = [each for each in imports() if each.name.partition(".")[0] == package]
    outside = [each for each in of_package if not any(within(each.module, place) for place in SUBJECTS[package])]
    assert not outside, "\n".join(map(str, outside))
    unused = [place for place in SUBJECTS[package] if not any(within(each.module, place) for each in of_package)]
    assert not unused, f"{unused} do not import {package}"


def within(module: str, place: str) -> bool:
    return module == place or module.startswith(f"{place}.")


def test_packages_that_are_not_listed_are_what_refgrad_depends_on() -> None:
    found = {each.name.partition(".")[0] for each in imports()} - set(sys.stdlib_module_names)
    assert found - set(SUBJECTS) == {"refgrad", "numpy", "ml_dtypes"}


def test_adapters_are_imported_by_name_or_within_functions() -> None:
    """So that no framework is imported on the user's behalf."""
    heavy = {
        place for package in ADAPTERS for place in SUBJECTS[package] if place.startswith(("candidates.", "audits."))
    }
    allowed = {("candidates.torch_eight_bit", "candidates.torch_optimizer")}
    found = [
        str(each)
        for each, target in inner()
        if target in heavy and each.at_once and each.module not in heavy and (each.module, target) not in allowed
    ]
    assert not found, "\n".join(found)
    late = [
        str(each)
        for each in imports()
        if each.at_once and each.name.partition(".")[0] in ADAPTERS and each.module not in heavy
    ]
    assert not late, "\n".join(late)


def loaded(text: str) -> list[str]:
    """Which of `LATER` a fresh process has loaded after some lines."""
    text = f"import sys\n{text}\nprint(*[name for name in {LATER!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", text], cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_importing_refgrad_loads_nothing_heavy() -> None:
    rules, questions = (
        "optimizers, quantizers, estimators, sparsity, gradients",
        "refgrad.verify, refgrad.identify, refgrad.survey",
    )
    assert loaded(f"import refgrad; from refgrad import {rules}; {questions}, refgrad.Inputs") == []


STEP = """
import numpy as np
from refgrad.optimizers import SGD
p, rule = np.ones(3), SGD()
rule.step(p, p, rule.init(p), backend="numpy")
"""


def test_a_step_on_small_arrays_loads_no_compiler() -> None:
    assert loaded(STEP) == []


#: modules of Python that only systems of the Unix kind have
POSIX_ONLY = frozenset({"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"})
#: attributes and arguments of the same sort, by what they belong to
POSIX_NAMES = {
    "os": frozenset(
        {
            "chown",
            "fork",
            "forkpty",
            "getpgid",
            "getuid",
            "geteuid",
            "killpg",
            "memfd_create",
            "nice",
            "pread",
            "preadv",
        }
        | {"pwrite", "pwritev", "readv", "register_at_fork", "sched_getaffinity", "setpgid", "setsid", "uname", "wait4"}
        | {"waitpid", "writev"}
    ),
    "signal": frozenset(
        {"SIGALRM", "SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "alarm", "pthread_sigmask", "setitimer"}
    ),
    "keywords": frozenset({"pass_fds", "preexec_fn"}),
}
#: modules that run only where `refgrad.isolation.hosting.possible`
ISOLATED = ("isolation.child", "isolation.process", "isolation.shared")
#: what asks for the system, or for the name, in the same function or statement
ASKS = ("hasattr(", "sys.platform", "except ImportError")


def pieces(tree: ast.Module) -> Iterator[ast.AST]:
    """Functions without those within them, and the statements of modules and classes, each to be read by itself."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        piece = waiting.pop()
        if isinstance(piece, ast.ClassDef):
            waiting += piece.body
        else:
            yield piece


def of_posix_alone(tree: ast.Module, module: str) -> list[str]:
    """What only systems of the Unix kind have, and that is used without a question."""
    found = []
    for piece in pieces(tree):
        later = isinstance(piece, ast.FunctionDef | ast.AsyncFunctionDef)
        if later and module in ISOLATED:
            continue
        names = posix_names(piece)
        if names and not any(word in ast.unparse(piece) for word in ASKS):  # few have such names, and text takes long
            found += names
    return found


def posix_names(piece: ast.AST) -> list[str]:
    """What only systems of the Unix kind have, and that is used in a piece of a module."""
    found = []
    for node in ast.walk(piece):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {name.partition(".")[0] for name in imported(node)} & POSIX_ONLY
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = {node.attr} & POSIX_NAMES.get(node.value.id, frozenset())
        elif isinstance(node, ast.keyword):
            names = {node.arg or ""} & POSIX_NAMES["keywords"]
        else:
            continue
        found += sorted(names)
    return found


@pytest.mark.slow
def test_what_only_unix_has_is_used_where_it_was_asked_for() -> None:
    found = {module: of_posix_alone(tree, module) for module, tree in modules().items()}
    assert {module: names for module, names in found.items() if names} == {"candidates.program_process": ["SIGKILL"]}, (
        "the one that is bound to Linux by its caller"
    )


def test_the_reader_of_unix_sees_what_is_used_without_a_question() -> None:
    text = """
import resource
class C:
    def f(self):
        import fcntl
        os.killpg(1, signal.SIGKILL)
        Popen([], preexec_fn=g)
    def g(self):
        if hasattr(os, "fork"):
            os.fork()
try:
    import pwd
except ImportError:
    pwd = None
"""
    tree = ast.parse(text)
    assert sorted(of_posix_alone(tree, "any")) == ["SIGKILL", "fcntl", "killpg", "preexec_fn", "resource"]
    assert of_posix_alone(tree, "isolation.child") == ["resource"]


#: an import in every place that one can hide in
HIDDEN = """
import a
if TYPE_CHECKING:
    import b
def f():
    import c
class D:
    import d
    def g(self):
        import e
try:
    import f
except ImportError:
    import g
else:
    import h
match i:
    case 1:
        import i
"""


def test_the_reader_of_imports_sees_what_is_hidden() -> None:
    found = {name: at_once for node, at_once in statements(ast.parse(HIDDEN)) for name in imported(node)}
    assert found == {**dict.fromkeys("adfghi", True), **dict.fromkeys("bce", False)}


#: what the tests are collected without: where it is missing, tests are skipped with a reason
OPTIONAL = ("torch", "jax", "optax", "chex", "keras", "onnx", "cupy", "gfloat", "playwright", "torchao", "tensorstore")


@functools.cache
def imports_of_test(name: str) -> frozenset[str]:
    """What a module of the tests imports when it is imported, and all that modules of the tests which it imports do."""
    path = Path(__file__).parents[1].joinpath(*name.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found: set[str] = set()
    for node, at_once in statements(ast.parse(path.read_text())) if path.is_file() else ():
        if at_once:
            found |= {node.module or ""} if isinstance(node, ast.ImportFrom) else {each.name for each in node.names}  # type: ignore[attr-defined]
            if isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{each.name}" for each in node.names}
    for each in [each for each in found if each.startswith("tests.") and each != name]:
        found |= imports_of_test(each)
    return frozenset(found)


def test_no_framework_is_needed_to_collect_the_tests() -> None:
    """Those that need one import it within a function, or by `pytest.importorskip`."""
    folder = Path(__file__).parent
    files = [*folder.rglob("test_*.py"), *folder.rglob("conftest.py")]
    names = [".".join(path.relative_to(folder.parent).with_suffix("").parts) for path in files]
    needed = {name: {each.partition(".")[0] for each in imports_of_test(name)}.intersection(OPTIONAL) for name in names}
    assert {name: found for name, found in needed.items() if found} == {}
    assert "torch" in imports_of_test("tests.oracle.inputs.clipping_in_torch")
