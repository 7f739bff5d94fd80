"""The candidates by name, and those that conform."""

from __future__ import annotations

from collections.abc import Mapping

from tests.isolation.hostile import ends, hangs, late, machine, patches, results

#: name -> the candidate's target
CANDIDATES: Mapping[str, str] = {
    **{
        name: f"{module.__name__}:{name}"
        for module in (ends, hangs, machine, patches, results, late)
        for name, value in vars(module).items()
        if getattr(value, "__name__", "") == "candidate"
    },
    **{
        name: f"tests.isolation.importing.{name}:candidate"
        for name in (
            "exits_when_imported",
            "crashes_when_imported",
            "raises_when_imported",
            "prints_when_imported",
            "forges_when_imported",
        )
    },
}

#: those that write when they have returned: whether that is seen in time depends on the clock
TIMED = frozenset(["late", "late_inputs"])
_RIGHT = """
prints prints_escapes flood flood_errors warns no_stdout shut_stdout scribbles_shared cuts_shared fork_and_leave forks
starts_a_program thread_that_stays patch_equality patch_refgrad few_frames elsewhere no_variables no_collection rounding
fork_tree thread_that_goes_on shrinks_pipes ignores_signals lifts_limits leaves_files exit_hook_that_hangs
fork_and_answer no_modules no_numpy backwards read_only late_words takes_its_time the_rule_itself prints_when_imported
"""
#: those whose numbers are right whatever else they do, so that they conform: all others are wrong or do not answer
RIGHT = frozenset(_RIGHT.split())
#: the same as programs that are asked over a pipe: some break what they run on, others have nobody there to forge answers to
RIGHT_AS_PROGRAMS = RIGHT - {"no_modules", "no_numpy", "read_only"} | {
    *("forges_the_last", "forges_infinity", "forges_when_imported", "patch_pickle", "generator")
}
