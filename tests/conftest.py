"""The option ``--depth``: how deep the tests look, and from where their examples come. See docs/testing.md."""

from __future__ import annotations

import gc
import random
from collections import defaultdict

import pytest

from tests import depth, measured


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--depth",
        choices=depth.DEPTHS,
        default="suite",
        help="quick: a sample of what takes long; suite: what README's command runs; thorough: everything",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before Hypothesis's own plugin reads its options, and before any test module is imported."""
    depth.choose(config.getoption("--depth"))
    measured.install()
    for name, text in depth.MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {text}")
    profile = config.getoption("--hypothesis-profile") or depth.chosen()
    config.option.hypothesis_profile = profile
    depth.load_profile(profile)
    if profile in depth.RANDOM_PROFILES and config.getoption("--hypothesis-seed") is None:
        # the processes of xdist take the options of the first, and so the same seed
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What is needed to run the same again."""
    seed = config.getoption("--hypothesis-seed")
    return [f"depth: {depth.chosen()}"] + ([f"to draw the same again: --hypothesis-seed={seed}"] if seed else [])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is deeper than was asked for."""
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        cases[item.nodeid.partition("[")[0]].append(item)
    left_out = {id(item) for same in cases.values() for item in depth.left_out(same)}
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if id(item) in left_out])
        items[:] = [item for item in items if id(item) not in left_out]


def pytest_collection() -> None:
    """Twenty thousand tests are made and kept until the end: the garbage collector need not look through them meanwhile."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Nor ever after; and what tests make is mostly gone before it looks, so that it may look seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
