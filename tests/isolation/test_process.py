"""A child's process, from outside: what it prints, how it ends, and how long it is waited for."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from refgrad import child_process
from refgrad.isolation.process import Child, EndedError, Noise, NotInTimeError, _wait
from tests import measured


def test_what_is_printed_is_kept_from_the_beginning_and_from_the_end() -> None:
    reading, writing = os.pipe()
    noise = Noise(os.fdopen(reading))
    os.write(writing, b"a" * 3000)
    os.write(writing, b"b" * 3000)
    os.close(writing)
    assert noise.end() == "b" * 2000
    assert (noise.first, noise.count) == (b"a" * 2000, 6000)


def test_waiting_ends_in_time() -> None:
    reading, writing = os.pipe()
    for deadline in (0.0, 1e-9):
        with pytest.raises(NotInTimeError):
            _wait([reading], [], deadline)
    os.close(reading)
    os.close(writing)


def test_a_question_that_is_not_taken_in_time_is_told() -> None:
    child = Child(0)
    try:
        with pytest.raises(NotInTimeError):  # it still imports, and its pipe holds less
            child.send({"ask": "x" * (1 << 20)}, [], 0.0)
        child.process.kill()
        child.process.wait()
        with pytest.raises(EndedError):
            child.send({"ask": "x"}, [], 5.0)
        with pytest.raises(EndedError):
            child.receive(5.0)
        assert child.how_it_ended() == "its process ended by SIGKILL"
    finally:
        child.end()


@pytest.mark.parametrize(
    ("code", "said"),
    [(-9, "by SIGKILL"), (-64, "by SIGRTMAX"), (-63, "by signal 63"), (3, "with exit code 3")],
)
def test_how_a_process_ended_is_told_in_words(code: int, said: str) -> None:
    assert child_process.ended(code, "") == f"its process ended {said}"
    lines = "".join(f"{each}\n \n" for each in range(9))
    assert child_process.ended(code, lines) == f"its process ended {said}; 5; 6; 7; 8"


def test_a_process_whose_interpreter_failed_is_told_with_the_innermost_calls() -> None:
    code = """if True:
        import faulthandler, threading, time, ctypes
        faulthandler.enable()
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        def inner(): ctypes.string_at(0)
        def outer(): inner()
        outer()
    """
    done = subprocess.run([sys.executable, "-S", "-c", code], stderr=subprocess.PIPE, text=True, check=False)
    said = child_process.ended(done.returncode, "before\n" + done.stderr)
    assert said.startswith("its process ended by SIGSEGV; Fatal Python error: Segmentation fault; File ")
    assert said.count("; ") == 4
    assert [name for name in ("string_at", "inner", "outer") if f"in {name}" not in said] == []
    importing = 'File "<frozen importlib._bootstrap>", line 1 in load\n'
    calls = f"Fatal Python error: Aborted\nCurrent thread 0x1:\n{importing}a\n{importing}{importing}b\nc\nd\n"
    assert child_process.ended(-6, calls) == "its process ended by SIGABRT; Fatal Python error: Aborted; a; b; c"
    cut = "Fatal Python error: Aborted\n1\n2\n3\n4\n"
    assert child_process.ended(-6, cut).endswith("SIGABRT; 1; 2; 3; 4")
    assert child_process.ended(-6, "Current thread 0x1\n0\n" + cut).endswith("SIGABRT; 1; 2; 3; 4")


@pytest.mark.parametrize("streams", [subprocess.PIPE, None])
def test_a_process_is_ended_with_or_without_pipes_also_when_it_has_ended(streams: int | None) -> None:
    code = "import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-S", "-c", code], stdin=streams, stdout=streams)
    for _ in range(2):
        child_process.end(process)
        assert process.returncode == -9
    assert streams is None or (process.stdin is not None and process.stdin.closed)


def test_where_lines_are_counted_a_process_ends_by_itself_and_one_that_hangs_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [sys.executable, "-S", "-c", "import sys; sys.stdin.read(); sys.exit(7)"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE)
    measured.let_end(process)
    assert process.returncode == 7
    monkeypatch.setattr(measured, "PATIENCE", 0.05)
    hangs = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], stdin=subprocess.PIPE)
    begun = time.monotonic()
    measured.let_end(hangs)
    assert (hangs.poll(), time.monotonic() - begun < 5) == (None, True)
    child_process.end(hangs)
