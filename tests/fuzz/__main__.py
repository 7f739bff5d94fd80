"""`python -m tests.fuzz calls | files | pipe | sum | [FILE ...]`: run a fuzzer.

calls   random calls of every rule and public function, judged, counted, and written to a log that is gone on with
files   damaged kernels, survey logs, surveys, verdicts, golden files and checkpoints are read or refused
pipe    damaged answers of a program that is asked over a pipe are read, or are faults of the program
sum     the counts of several logs together
FILE    the properties of a test file on many examples; of every file where none is named
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.fuzz import calls, damage, pipe, properties


def main(arguments: Sequence[str]) -> int:
    """The exit code of the fuzzer that is named.

    Args:
        arguments: the command line after the program's name.
    """
    commands = {"calls": calls.main, "files": damage.main, "pipe": pipe.main, "sum": calls.sum_main}
    if arguments and arguments[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if arguments and arguments[0] in commands:
        return commands[arguments[0]](arguments[1:])
    return properties.main(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
