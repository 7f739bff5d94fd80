"""Results are kept as they were measured, and what has become slower is seen, however busy the machine was."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks import audit_scale, kept, peers, quantizers, table
from tests.benchmarks.peers import OURS, TRIAD, Group, groups


def result(own: float, other: float, base: float, size: int = 1000) -> dict[str, Any]:
    return {"group": "AdamW", "size": size, "moved": 28 * size, "seconds": {OURS: own, "torch": other, TRIAD: base}}


GROUP = Group("AdamW", 1000, 28_000, dict)


def test_calls_take_turns() -> None:
    told, now = list[str](), [0.0]

    def call(name: str, seconds: float) -> None:
        told.append(name)
        now[0] += seconds

    calls = {"a": lambda: call("a", 0.01), "b": lambda: call("b", 0.03)}
    found = table.taken(calls, lambda: now[0], seconds=0.0)
    assert found == pytest.approx({"a": 0.01, "b": 0.03})
    firsts = [name for name, before in zip(told[4:], [None, *told[4:]], strict=False) if name != before]
    assert firsts == ["a", "b"] * table.LEAST


def test_a_busy_machine_is_no_regression() -> None:
    known = [result(1.0, 2.0, 0.5)]
    assert table.share(result(3.0, 6.0, 1.5), known[0]) == pytest.approx(1.0)
    assert list(table.slower([GROUP], known, lambda group: result(3.0, 6.0, 1.5))) == []


def test_what_has_become_slower_is_seen() -> None:
    known = [result(1.0, 2.0, 0.5)]
    (sentence,) = table.slower([GROUP], known, lambda group: result(1.5, 2.0, 0.5))
    assert sentence == "AdamW, 1e+03: beside others it has 0.67 of the speed that was kept"
    turns = iter([result(1.5, 2.0, 0.5), result(1.1, 2.0, 0.5)])
    assert list(table.slower([GROUP], known, lambda group: next(turns))) == []
    assert list(table.slower([Group("Lion", 1000, 0, dict)], known, lambda group: result(9.0, 1.0, 1.0))) == []


def test_results_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, drawn = tmp_path / "more" / "speed.json", tmp_path / "speed.svg"
    results = [result(2e-6, 4e-6, 1e-6), result(2e-5, 6e-5, 1e-5, 10_000)]
    kept.write(path, results)
    assert kept.read(path)["results"] == results
    assert kept.read(path)["environment"]["numpy"]
    pytest.importorskip("matplotlib")
    assert table.main(["--show", str(path), "--picture", str(drawn)]) == 0
    assert "| AdamW | 1e+03 | 2.0 | 14.0 | 16.0 | torch 2.00 |" in capsys.readouterr().out
    assert drawn.read_text().startswith("<?xml")
    path.write_text("[]")
    with pytest.raises(SystemExit, match="no results of benchmarks"):
        kept.read(path)


def test_other_groups_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured takes the place of what was kept of the same group and size, and of nothing else."""
    path, old = tmp_path / "speed.json", [result(1.0, 2.0, 0.5), result(1.0, 2.0, 0.5, 10_000)]
    kept.write(path, old)
    monkeypatch.setattr(table, "groups", lambda *arguments: [GROUP])
    monkeypatch.setattr(table, "measured", lambda *arguments: result(0.5, 1.0, 0.5))
    assert table.main(["--sizes", "1e3", "--save", str(path)]) == 0
    assert kept.read(path)["results"] == [old[1], result(0.5, 1.0, 0.5)]


def test_a_command_compares_with_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "speed.json"
    kept.write(path, [result(1.0, 2.0, 0.5)])
    monkeypatch.setattr(table, "groups", lambda *arguments: [GROUP])
    for own, code, says in ((1.0, 0, "nothing has become slower"), (2.0, 1, "AdamW, 1e+03: beside others it has 0.50")):
        found = result(own, 2.0, 0.5)
        monkeypatch.setattr(table, "measured", lambda *arguments, found=found: found)
        assert table.main(["--against", str(path)]) == code
        assert says in capsys.readouterr().out


def test_all_that_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command measures every group once, in pieces, and writes both files."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(quantizers, "blocks", lambda x: {"quantize, NF4": {}, "dequantize, NF4": {}})
    monkeypatch.setattr(quantizers, "casts", lambda x: {"cast to bfloat16": {}})
    monkeypatch.setattr(table, "SIZES", (1_000, 10_000))
    monkeypatch.setattr(table, "measured", lambda group, *_: {**result(1.0, 2.0, 0.5, group.size), "group": group.name})
    assert table.main(["--all", str(tmp_path)]) == 0
    names = {each["group"] for each in kept.read(tmp_path / "speed.json")["results"]}
    assert names >= {group.name for group in groups((1_000, 10_000))}
    assert (tmp_path / "speed.svg").exists()


def test_every_row_of_the_table() -> None:
    """Optimizers, quantizers, masks, estimators, judging and many tensors are there, each beside all who are installed."""
    found = {group.name: group for group in groups((1_000, 1_000_000))}
    for name in ("AdamW", "SGD", "Lion", "mask, 2 of 4", "estimator BiPer", "judging AdamW", "quantize, NF4"):
        assert name in found
    assert set(found["mask, 2 of 4"].make()) == {OURS, *installed({"torch": "torch", "jax": "JAX jitted"})}
    optimizers = {group.name: group for group in groups((1_000,))}
    forms = {"torch for-loop": "torch", "torch foreach": "torch", "torch fused": "torch", "optax jitted": "optax"}
    others = [who for who, package in forms.items() if importlib.util.find_spec(package)]
    some = optimizers["AdamW"].make()
    assert set(some) == {OURS, "NumPy", *others, *installed({"numexpr": "numexpr"})}
    for call in some.values():
        call()
    judged = {OURS, "NumPy assert_allclose", *installed({"torch": "torch assert_close"})}
    assert set(optimizers["judging AdamW"].make()) == judged


def installed(names: dict[str, str]) -> set[str]:
    return {who for package, who in names.items() if importlib.util.find_spec(package)}


def test_what_takes_more_than_a_gradient_is_left_out() -> None:
    """So that one row does not end the table."""
    pytest.importorskip("optax")
    x = np.ones(3, np.float32)
    assert peers._optax("lbfgs", x, x) == {}
    assert set(peers._optax("adamw", x, x)) == {"optax jitted"}


def test_only_and_but() -> None:
    for only, but, wanted in (
        ((), (), True),
        (("Adam",), (), True),
        (("Adam",), ("AdamW",), False),
        (("SGD",), (), False),
    ):
        assert table._is_wanted(GROUP.name, only, but) == wanted


def test_many_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "LEAVES", 3)
    found = peers.trees()
    assert OURS in found
    if importlib.util.find_spec("optax"):
        assert "optax jitted" in peers._optax("adamw", *([np.ones(2, np.float32)] * 3 for _ in range(2)))
    for call in found.values():
        call()


def test_expressions_are_the_rules() -> None:
    """numexpr's steps write what the rule's first step does, without its corrections."""
    pytest.importorskip("numexpr")
    p, g = (np.random.default_rng(i).standard_normal(100, np.float32) for i in range(2))
    for name in peers.EXPRESSIONS:
        peers._numexpr(name, p, g)()


def test_a_line_through_what_was_measured() -> None:
    found = [{"size": n, "audit": {"seconds": 2.0 + 3e-8 * n}} for n in (1e7, 5e7, 1e8)]
    assert audit_scale.line(found, "seconds") == pytest.approx((2.0, 3e-8))


def test_a_step_that_is_made_in_pieces_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_scale, "PIECE", 1000)
    paths = audit_scale.make(tmp_path, 2500)
    found = audit_scale.audited(paths)
    assert found["peak"] > 0
    assert sum(path.stat().st_size for path in paths.values()) == pytest.approx(2500 * audit_scale.BYTES, rel=0.02)


def test_no_room_for_the_files(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="GB free"):
        audit_scale.measured(tmp_path, 10**15)
