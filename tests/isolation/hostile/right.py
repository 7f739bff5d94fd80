"""The right program, an AdamW that takes its arguments by name, and what it may do besides at one of its steps."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from refgrad.examples.numpy_adamw import adamw as right

#: what a candidate was handed in this call, by name
Given = Mapping[str, Any]


def at(step: int | None, action: Callable[[Given], Any]) -> Any:
    """The right program, but for an action at one of its steps, or at all: what that returns is returned, unless it is None."""

    def candidate(**given: Any) -> Any:
        done = action(given) if step is None or given["t"] == step else None
        return right(**given) if done is None else done

    candidate.__signature__ = inspect.signature(right)  # type: ignore[attr-defined]
    return candidate


def doing(function: Callable[[], Any]) -> Any:
    """The right program that besides does something which needs no arguments."""
    return at(2, lambda given: (function(), None)[1])


def raising(error: BaseException) -> Any:
    def action(given: Given) -> Any:
        raise error

    return at(2, action)


def giving(function: Callable[..., Any]) -> Any:
    """At the second step something made of the right results."""
    return at(2, lambda given: function(*right(**given)))
