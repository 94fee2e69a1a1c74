"""Whether this machine runs 32-bit programs at all: asked once in a run of ctest, for all tests that need it.

A kernel without IA32 emulation builds them like any other, and then says "Exec format error" in each of them.

    runs.py ask PROGRAM ANSWER       the fixture: runs PROGRAM, which does nothing, and writes down why it did not run
    runs.py tell ANSWER COMMAND...   a test: skips with that reason, or becomes COMMAND
"""

import os
import pathlib
import subprocess
import sys

SKIPPED = 77  # ctest's SKIP_RETURN_CODE


def reason_against(program):
    """Empty if it runs."""
    try:
        status = subprocess.run([program], timeout=60, stdin=subprocess.DEVNULL).returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return f"it ended with {status}" if status != 0 else ""


def skip(reason):
    print(f"SKIPPED, NOTHING WAS TESTED: this machine runs no 32-bit program: {reason}", file=sys.stderr)
    sys.exit(SKIPPED)


def ask(program, answer):
    reason = reason_against(program)
    pathlib.Path(answer).write_text(reason)
    if reason:
        skip(reason)


def tell(answer, *command):
    reason = pathlib.Path(answer).read_text()
    if reason:
        skip(reason)
    os.execv(command[0], command)


if __name__ == "__main__":
    {"ask": ask, "tell": tell}[sys.argv[1]](*sys.argv[2:])
