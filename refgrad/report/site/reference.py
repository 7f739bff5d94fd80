"""The reference: every public function and class with its types, from signatures and docstrings."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import refgrad
from refgrad.report.site.prose import escaped, markdown
from refgrad.rule import rules

#: the modules whose public names are described, with what they are about; rules have pages of their own
MODULES: Mapping[str, str] = {
    "refgrad": "The front door: judging, naming, comparing, auditing",
    "refgrad.rule": "What a rule is",
    "refgrad.optimizers": "What optimizers have in common",
    "refgrad.quantizers": "What quantizers have in common",
    "refgrad.estimators": "What estimators have in common",
    "refgrad.sparsity": "What masks have in common",
    "refgrad.gradients": "Functions of gradients",
    "refgrad.schedules": "Schedules",
    "refgrad.testing": "Tests of your own: assertions, laws, strategies",
    "refgrad.golden": "Golden files",
    "refgrad.errors": "Errors",
    "refgrad.citation": "Where a rule comes from",
}


def pages() -> dict[str, str]:
    """Each page of the reference in Markdown by its path, the index first."""
    described = {name: list(_public(importlib.import_module(name))) for name in MODULES}
    described = {name: found for name, found in described.items() if found}
    listed = "".join(
        f"| [`{name}`]({name}.md) | {MODULES[name]} | {len(found)} |\n" for name, found in described.items()
    )
    contents = "\n".join(described)
    index = (
        "# API reference\n\nEvery public function and class with its types. Rules stand in the [gallery](/gallery.md).\n\n"
        f"| module | about | names |\n|---|---|---|\n{listed}\n```{{toctree}}\n:hidden:\n\n{contents}\n```\n"
    )
    texts = {f"reference/{name}": _module(name, found) for name, found in described.items()}
    return {"reference/index": index, **texts}


def _public(module: Any) -> Iterator[tuple[str, Any]]:
    """The public functions and classes of a module that are no rules with a page."""
    own = {id(cls) for cls in rules().values()}
    for name in sorted(
        getattr(module, "__all__", None) or (n for n in dir(module) if not n.startswith("_")), key=str.lower
    ):
        value = getattr(module, name, None)
        theirs = getattr(value, "__module__", "") or ""
        if (
            id(value) in own
            or not (inspect.isclass(value) or inspect.isfunction(value))
            or not theirs.startswith("refgrad")
        ):
            continue
        if module is not refgrad and getattr(refgrad, name, None) is value:
            continue  # it is described once, at the front door
        if module is refgrad or theirs.startswith(module.__name__):
            yield name, value


def _module(name: str, found: list[tuple[str, Any]]) -> str:
    """A module's page."""
    head = f"# {name}\n\n{MODULES[name]}.\n\n{markdown(importlib.import_module(name).__doc__ or '')}\n"
    return "\n".join([head, *(entry(name, each, value) for each, value in found)])


def entry(module: str, name: str, value: Any) -> str:
    """A function or class with its signature and docstring, and of a class its public methods and properties.

    Args:
        module: the name of the module under which it is described.
        name: its name there.
        value: the function or class.
    """
    if not inspect.isclass(value):
        return _directive("function", f"{name}{_signature(value)}", value, module)
    parts = [_directive("class", f"{name}{_signature(value)}", value, module)]
    for each, member in vars(value).items():
        function = getattr(member, "__func__", member)
        if each.startswith("_") or not (inspect.isfunction(function) or isinstance(member, property)):
            continue
        kind = "property" if isinstance(member, property) else "method"
        shown = f"{name}.{each}" + ("" if kind == "property" else _signature(function))
        parts.append(_directive(kind, shown, member, module))
    return "\n".join(parts)


class _Text(str):
    """An annotation as it is written: `inspect` would put a text in quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _signature(value: Any) -> str:
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "()"
    written = {
        n: p.replace(annotation=_written(p.annotation), default=_plain(p.default)) for n, p in found.parameters.items()
    }
    return str(found.replace(parameters=list(written.values()), return_annotation=_written(found.return_annotation)))


def _written(annotation: Any) -> Any:
    return _Text(annotation.replace("refgrad.", "")) if isinstance(annotation, str) else annotation


def _plain(default: Any) -> Any:
    """A default whose text has no address of this run in it."""
    return _Text("...") if " at 0x" in repr(default) else default


def _directive(kind: str, shown: str, value: Any, module: str) -> str:
    """One entry, as MyST reads it; the fence is longer than those of its examples."""
    doc = inspect.getdoc(value) or ""
    return f"`````{{py:{kind}}} {' '.join(shown.split())}\n:module: {module}\n\n{markdown(doc) if doc else escaped('')}\n`````\n"
