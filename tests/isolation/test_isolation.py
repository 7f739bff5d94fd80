"""A candidate in a process of its own is judged as one that is not, and cannot take the verdict with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError, CandidateError
from refgrad.estimators import ArcTan
from refgrad.isolation import ahead, hosting
from refgrad.isolation.child import Bell
from refgrad.isolation.host import Host
from refgrad.isolation.process import Child
from refgrad.isolation.recipe import Recipe, importable
from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD, AdamW
from refgrad.oracle.engine.drive import drive
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.verdict import Verdict
from refgrad.oracle.inputs.far_steps import COUNTS
from refgrad.quantizers import Affine
from refgrad.sparsity import Magnitude
from refgrad.testing import check_laws
from tests.depth import at_depth
from tests.isolation import lingering, table
from tests.isolation.hostile.every import CANDIDATES, RIGHT, RIGHT_AS_PROGRAMS, TIMED
from tests.kinds import candidates

ADAMW = "refgrad.examples.numpy_adamw:adamw"
WRONG = "refgrad.examples.numpy_adamw:adamw_eps_inside"
STEADY = [name for name in table.NAMES if name not in TIMED]
#: what becomes of these in refgrad's own process, where nothing limits them, is a matter of the machine
LIMITLESS = ("prints_without_end", "flood", "no_stdout", "memory")


def told(verdict: Verdict) -> dict[str, Any]:
    """A verdict without where it was reached."""
    found = verdict.to_dict()
    return {n: v for n, v in found.items() if n not in ("isolation", "environment")}


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("target", [CANDIDATES["keeps_gradient"], WRONG, CANDIDATES["writes_gradient"]])
def test_a_verdict_is_the_same_in_a_process_of_its_own(target: str) -> None:
    asked: dict[str, Any] = {"steps": 3, "explain": False}
    inside = refgrad.verify(target, AdamW(), **asked)
    apart = refgrad.verify(target, AdamW(), isolate=True, **asked)
    assert told(apart) == told(inside)
    assert apart.isolation == hosting.ISOLATED
    assert inside.isolation == ""
    assert "in a process of its own" in str(apart)


#: of each kind a candidate that can be named
NAMED = {
    "optimizer": ("downhill", "uphill"),
    "transform": ("without_nan", "without_infinities"),
    "estimator": ("refgrad.estimators:ArcTan", "refgrad.estimators:Triangular"),
    "quantizer": ("refgrad.quantizers:Affine", ""),
    "mask": ("refgrad.sparsity:Magnitude", ""),
    "mask-update": ("refgrad.sparsity:RigL", ""),
    "8-bit-optimizer": ("refgrad.quantizers:EightBit", ""),
}


@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize("kind", NAMED)
def test_candidates_of_every_kind_are_asked_through_the_pipe(kind: str) -> None:
    for name in filter(None, NAMED[kind]):
        own = ":" in name
        target = name if own else f"{candidates.__name__}:{name}"
        place, _, word = NAMED[kind][0].partition(":")
        rule = getattr(sys.modules[place], word)() if own else candidates.EXAMPLES[kind].rule
        asked: dict[str, Any] = {"steps": 2, "explain": False, "shrink": False}
        assert told(refgrad.verify(target, rule, isolate=True, **asked)) == told(refgrad.verify(target, rule, **asked))


@pytest.mark.sample(quick=1, suite=4)
@pytest.mark.parametrize("name", STEADY)
def test_whatever_a_candidate_does_there_is_the_verdict_of_the_table(name: str) -> None:
    assert table.of_python(name) == table.known()[table.FRESH][name]


@pytest.mark.sample(quick=1, suite=2)
@pytest.mark.parametrize("name", STEADY)
@pytest.mark.parametrize("of", [table.of_command, table.of_pipe, table.of_program])
def test_whatever_a_candidate_does_the_command_line_has_the_exit_code_of_the_table(of: Any, name: str) -> None:
    assert of(name) == table.known()[table.JUDGE if of is table.of_program else "refgrad verify --json"][name]


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("entry", ["pytest", "pytest -n 2"])
def test_whatever_candidates_do_a_session_of_pytest_goes_on(entry: str) -> None:
    if "-n" in entry:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    names = at_depth(quick=[], suite=["leaves_at_once", "the_rule_itself"], thorough=STEADY)
    assert table.ENTRIES[entry](names) == {name: table.known()[entry][name] for name in names}


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name in STEADY if name not in LIMITLESS])
def test_what_becomes_of_a_candidate_without_isolation_is_in_the_table(name: str) -> None:
    assert table.of_process(name) == table.known()[table.UNGUARDED][name]


def test_the_table_has_every_candidate_and_none_that_is_wrong_has_exit_code_zero() -> None:
    known = table.known()
    assert list(known) == list(table.ENTRIES)
    assert len(table.NAMES) >= 130
    for entry, found in known.items():
        assert list(found) == table.NAMES, entry
        if entry == table.UNGUARDED:  # which promises nothing
            continue
        right = RIGHT_AS_PROGRAMS if entry == table.JUDGE else RIGHT
        for name, cell in found.items():
            conforms = cell == table.row("conforms", (), 0)
            assert name in TIMED or conforms == (name in right), (entry, name, cell)
            assert conforms or cell["exit_code"] in (1, 2), (entry, name, cell)
            assert cell["outcome"] != table.NONE, (entry, name, cell)
    assert table.page(known) in table.PAGE.read_text()


def test_an_object_without_a_name_is_not_isolated_and_the_verdict_says_so_first() -> None:
    verdict = refgrad.verify(lambda p, g, lr: p - p.dtype.type(lr) * g, SGD(), steps=2, isolate=True)
    assert verdict.isolation.startswith("not isolated: the candidate was handed over as an object that has no name")
    assert "not isolated" in str(verdict).partition("Elements")[0]


def test_where_there_is_no_isolation_the_candidate_runs_here_and_the_first_lines_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hosting.end()
    monkeypatch.setattr(hosting, "possible", lambda: False)
    monkeypatch.setattr(hosting, "Child", lambda memory: pytest.fail("a process was started"))
    monkeypatch.setattr(hosting, "Host", lambda *a, **k: pytest.fail("a process was started"))
    monkeypatch.setattr("platform.system", lambda: "Windows")
    hosting.begin()
    for thing in (f"{candidates.__name__}:right_optimizer", candidates.downhill):
        verdict = refgrad.verify(thing, SGD(lr=0.1), steps=1, isolate=True)
        assert verdict.conforms, verdict
        assert verdict.isolation == "not isolated: there is no isolation on Windows"
        assert verdict.isolation in str(verdict).partition("Elements")[0]
    with pytest.raises(
        ArgumentError, match=r"isolate is 'fresh'; legal: True or False, since there is no isolation on"
    ):
        refgrad.verify(candidates.downhill, SGD(lr=0.1), steps=1, isolate="fresh")
    assert not hosting._IDLE


@pytest.mark.slow
def test_what_has_a_name_and_a_rule_are_made_again_in_the_process() -> None:
    for thing in (candidates.downhill, SGD, SGD()):
        assert refgrad.verify(thing, SGD(), steps=1, isolate=True).isolation == hosting.ISOLATED
    found = refgrad.identify(ArcTan(), ArcTan(), isolate=True)
    assert found.outcome == "identified"


@pytest.mark.slow
def test_a_child_has_no_say_in_where_a_hostile_candidate_is_made(tmp_path: Path) -> None:
    """What fails there is not made here, however it is named and whatever it raises; a module that only this process has is."""
    place = tmp_path / "only_once.py"
    place.write_text("import os\nif os.getpid() != int(os.environ['ONLY']): raise ValueError\ndef f(p, g): return p\n")
    recipe = Recipe("only_once", str(place), "f", None, lambda: pytest.fail("it was made here"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONLY", str(os.getpid()))
        for thing, isolate in ((recipe, "fresh"), (recipe, True), (f"{place}:f", True)):
            with pytest.raises(CandidateError, match="ValueError"):
                refgrad.verify(thing, SGD(), steps=1, isolate=isolate)
        place.write_text("from refgrad.isolation.recipe import NotMadeError\nraise NotMadeError('there is no module')")
        with pytest.raises(CandidateError, match="there is no module; isolate=False makes it in this process"):
            refgrad.verify(recipe, SGD(), steps=1, isolate=True)
    only_here = Recipe("only_here", "", "f", None, lambda: candidates.downhill)
    verdict = refgrad.verify(only_here, SGD(), steps=1, isolate=True)
    assert verdict.isolation == "not isolated: there is no module 'only_here' there"


@pytest.mark.slow
@pytest.mark.parametrize("rule", [SGD(momentum=0.9), ArcTan()], ids=str)
def test_laws_are_asked_through_the_pipe_too(rule: Any) -> None:
    pytest.importorskip("hypothesis", reason="Hypothesis is not installed")
    thing = type(rule)
    target = f"{thing.__module__}:{thing.__qualname__}"
    asked: dict[str, Any] = {"examples": 2}
    assert check_laws(target, rule, isolate=True, **asked) == check_laws(thing, rule, **asked)


@pytest.mark.slow
def test_laws_of_a_candidate_that_ends_its_process_are_broken() -> None:
    pytest.importorskip("hypothesis", reason="Hypothesis is not installed")
    (report,) = check_laws(CANDIDATES["leaves_at_once"], AdamW(), laws=["odd"], examples=2, isolate="fresh")
    assert report.broken
    assert "exit code 0" in report.message
    with pytest.raises(ArgumentError, match="isolate is 'yes'; legal: True, False or 'fresh'"):
        refgrad.verify(SGD(), SGD(), isolate="yes")


def test_what_a_candidate_leaves_is_seen() -> None:
    """In processes as the child's: a snapshot is the same before, and is not after."""
    code = """if True:
        import os, refgrad.isolation.child
        from refgrad.isolation.pristine import Snapshot
        from tests.isolation.lingering import LEFT
        snapshot, unseen = Snapshot(), []
        for name, leave in [("nothing", lambda: None), *LEFT.items()]:
            forked = os.fork()
            if not forked:
                leave()
                os._exit(snapshot.same())
            if os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]):
                unseen.append(name)
        print(*unseen)"""
    told = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert told.stdout.split() == ["nothing"]
    assert len(lingering.LEFT) == 12


@pytest.mark.slow
@pytest.mark.parametrize("name", ["method", "thread"])
def test_a_wrong_candidate_has_nothing_of_the_one_before(name: str) -> None:
    hosting.end()
    assert refgrad.verify(f"tests.isolation.lingering:{name}", AdamW(), steps=2, isolate=True, explain=False).conforms
    assert not hosting._IDLE
    assert not refgrad.verify(WRONG, AdamW(), steps=2, isolate=True, explain=False, shrink=False).conforms


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), [("own_argument_error", "raised"), ("leaves_at_once", "crashed")])
def test_the_line_that_gives_a_crash_again_does_not_end_the_readers_program(name: str, kind: str) -> None:
    verdict = refgrad.verify(CANDIDATES[name], AdamW(), steps=2, isolate=True, explain=False, shrink=False)
    assert [fault.kind for fault in verdict.faults] == [kind]
    assert verdict.reproduce.endswith(", isolate=True)") == (kind == "crashed")
    assert eval(verdict.reproduce, {"refgrad": refgrad}).outcome == verdict.outcome


@pytest.mark.slow
def test_a_process_is_kept_while_candidates_behave() -> None:
    hosting.end()
    assert refgrad.verify(ADAMW, AdamW(), steps=1, isolate=True).conforms
    ((_, first),) = hosting._IDLE
    refgrad.verify(WRONG, AdamW(), steps=1, isolate=True, explain=False, shrink=False)
    ((_, second),) = hosting._IDLE
    assert second is first
    refgrad.verify(CANDIDATES["own_argument_error"], AdamW(), steps=2, isolate=True, explain=False, shrink=False)
    assert not hosting._IDLE
    assert first.process.poll() is not None
    # right, and what they leave would be there for the next one
    for name in ("patch_equality", "patch_refgrad", "thread_that_stays"):
        assert refgrad.verify(CANDIDATES[name], AdamW(), steps=2, isolate=True, explain=False).conforms
        assert not hosting._IDLE
    assert refgrad.verify(ADAMW, AdamW(), steps=1, isolate="fresh").conforms
    assert not hosting._IDLE


def test_a_secret_seed_is_drawn_anew_and_told() -> None:
    found = [refgrad.verify(SGD(), SGD(), steps=1, seed=None) for _ in range(2)]
    assert len({verdict.seed for verdict in found} - {0, None}) == 2
    again = refgrad.verify(SGD(), SGD(), steps=1, seed=found[0].seed)
    assert again.errors == found[0].errors


@pytest.mark.slow
def test_errors_of_the_user_stay_errors() -> None:
    with pytest.raises(CandidateError, match="there is no module 'nowhere'"):
        refgrad.verify("nowhere:step", AdamW(), isolate=True)
    with pytest.raises(CandidateError, match="has no 'adamv'; did you mean 'adamw'"):
        refgrad.verify("refgrad.examples.numpy_adamw:adamv", AdamW(), isolate=True)
    with pytest.raises(
        ArgumentError, match=r"AdamW\(\) has no state 'q'; legal: m, v"
    ):  # a ValueError too, and no lost child
        refgrad.verify("refgrad.examples.numpy_adamw:adamw", AdamW(), isolate=True, state_names={"q": "m"})


@pytest.mark.slow
def test_identify_asks_through_the_pipe_too() -> None:
    found = refgrad.identify("refgrad.estimators:ArcTan", refgrad.estimators.ArcTan(), isolate=True)
    assert found.best is not None
    assert found.best.title == "ArcTan"


#: right, and ends the process in which the rule is asked what it expects of it
KNOWS_NOTHING = """
import os
from refgrad.quantizers import Affine
from refgrad.quantizers.base import Quantized

own = Affine.quantize
Affine.quantize = lambda *_, **__: os._exit(9)

def quantize(x):
    return dict(own(Affine(), x).arrays)

def dequantize(codes, scale, zero_point):
    return Affine().dequantize(Quantized({"codes": codes, "scale": scale, "zero_point": zero_point}, codes.shape, "f4"))

candidate = quantize, dequantize
"""


@pytest.mark.slow
def test_expected_values_are_not_computed_where_the_candidate_is(tmp_path: Path) -> None:
    path = tmp_path / "knows_nothing.py"
    path.write_text(KNOWS_NOTHING)
    verdict = refgrad.verify(f"{path}:candidate", Affine(), isolate="fresh", explain=False, shrink=False)
    assert verdict.conforms, str(verdict)
    assert {"codes", "y"} <= set(verdict.counts)


#: wrong in its first step's shape, and lost in a later one, which was asked for together with it
LOST_LATER = """
import os, time
import numpy as np

def f(p, g, t):
    if t == 3:
        {then}
    return p - np.float32(0.1) * g

class Run:
    def __init__(self, params):
        self.p, self.t = params, 0
    def step(self, grads):
        self.t += 1
        self.p = [f(p, g, self.t) for p, g in zip(self.p, grads)]
    def observe(self):
        from refgrad.candidates.protocol import Observation
        return Observation([p.astype("f8") if self.t == 2 else p for p in self.p], [{{}} for _ in self.p])

class Candidate:
    name, abilities, notes = "later", frozenset(), ()
    def takes(self, rule):
        return frozenset()
    def start(self, rule, params):
        return Run(params)

candidate = Candidate()
"""


@pytest.mark.parametrize("then", ["os._exit(5)", pytest.param("time.sleep(60)", marks=pytest.mark.slow)])
def test_what_becomes_of_steps_after_the_one_that_is_judged_wrong_is_no_finding(tmp_path: Path, then: str) -> None:
    path = tmp_path / "lost_later.py"
    path.write_text(LOST_LATER.format(then=then))
    asked: dict[str, Any] = {"explain": False, "shrink": True, "time_limit": 0.5}
    verdict = refgrad.verify(f"{path}:candidate", SGD(lr=0.1), isolate="fresh", **asked)
    assert (verdict.faults[0].kind, verdict.faults[0].step) == ("dtype", 2)
    assert {fault.kind for fault in verdict.faults} == {"dtype"}


ALONE = {
    "cases": ("refgrad.sparsity:Magnitude", Magnitude(), {"make": 1, "cases": 3, "surroundings": 1, "forget": 1}),
    "run": (ADAMW, AdamW(), {"make": 1, "run": 11, "surroundings": 1, "forget": 1}),
}


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("what", ALONE)
def test_a_run_and_the_cases_of_a_situation_are_one_question_and_are_asked_for_ahead(what: str) -> None:
    target, rule, wanted = ALONE[what]
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        told: list[int] = []
        send, judge = Child.send, Claim.judge

        def counted(self: Child, message: Any, *rest: Any) -> None:
            asked.append(message["ask"])
            send(self, message, *rest)

        def judged(*args: Any, **keywords: Any) -> Any:
            told.append(asked.count(what))
            return judge(*args, **keywords)

        patch.setattr(Child, "send", counted)
        patch.setattr(Claim, "judge", judged)
        patch.setattr(ahead, "MOST_TOGETHER", 1 << 22)  # than which no situation has more
        verdict = refgrad.verify(target, rule, isolate=True, explain=False, shrink=False)
    assert verdict.conforms
    assert {name: asked.count(name) for name in wanted} == wanted
    far = 2 * len(COUNTS) if what == "run" else 0  # where the count is set before each of a few steps
    assert len([name for name in asked if name not in wanted]) <= 2 + far
    assert told == [*range(2, wanted[what] + 1), wanted[what]]  # the next one is under way while one is judged


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize("what", ALONE)
def test_what_was_asked_for_ahead_is_asked_again_where_something_else_was_asked_since(what: str) -> None:
    target, rule, _ = ALONE[what]
    kind = kind_of(rule)
    host = Host(60.0)
    try:
        subject = host.resolve(target, rule, {}, None)
        cases = kind.generate(rule, 2, np.dtype(np.float32), 0)
        kind.begun(subject, rule, cases)
        host.ask({"ask": "surroundings"}, [], "the process")
        apart = drive(kind, subject, rule, cases)
        assert not apart.faults
        started = kind.begun(subject, rule, cases)
        if what == "cases":
            first = started()
            host.ask({"ask": "surroundings"}, [], "the process")
            second = started()
            assert [first.mask.tobytes(), second.mask.tobytes()] == [each["mask"].tobytes() for each in apart.seen[:2]]
        inside = drive(kind, kind.resolve(target, rule, {}, None), rule, cases)
        for one, other in zip(apart.seen, inside.seen, strict=True):
            assert repr(one) == repr(other)
    finally:
        host.close()


def test_the_bell_rings_before_the_answers_fill_their_pipe_and_never_waits() -> None:
    heard, descriptor = os.pipe()
    reading, pipe = os.pipe()
    os.set_blocking(heard, False)
    bell = Bell(descriptor, pipe)
    bell.count(1)
    with pytest.raises(BlockingIOError):
        os.read(heard, 9)
    for _ in range(1 << 17):  # more than its own pipe holds, and nobody listens
        bell.count(1 << 20)
    assert os.read(heard, 9) == b"!" * 9
    for each in (heard, descriptor, reading, pipe):
        os.close(each)


def test_memory_is_limited() -> None:
    code = """
import resource
from refgrad.isolation.child import limit_memory
limit_memory(1 << 30)
assert resource.getrlimit(resource.RLIMIT_DATA) == (1 << 30, 1 << 30)
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
import numpy
numpy.zeros(1 << 28)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr


@pytest.mark.thorough
def test_a_process_is_started_four_times_at_most(tmp_path: Path) -> None:
    (tmp_path / "leaves.py").write_text("import os\ndef scaled(batch, base_batch):\n    os._exit(3)\n")
    verdict = refgrad.verify(
        f"{tmp_path / 'leaves.py'}:scaled", refgrad.optimizers.BatchScaledRate(), steps=6, isolate=True
    )
    assert [fault.kind for fault in verdict.faults][:1] == ["crashed"]
    assert any("lost 4 times" in fault.message for fault in verdict.faults)


def test_a_package_that_is_installed_from_where_it_is_written_is_found_by_another_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """setuptools finds it by a class of its own, which every process has."""

    class Finder:
        @staticmethod
        def find_spec(name: str, *rest: Any) -> Any:
            return name if name == "written_elsewhere" else None

    recipe = Recipe("written_elsewhere.kernels", "", "step", None, object)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert not importable(recipe)  # by whom it is found here alone
    Finder.__module__ = "__editable___written_elsewhere_finder"
    assert importable(recipe)
