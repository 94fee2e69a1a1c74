"""Where 32-bit programs do not run, their tests are skipped with the reason; where they do, they are run."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

RUNS = str(pathlib.Path(__file__).with_name("runs.py"))
PYTHON = sys.executable
EI_CLASS, ELFCLASS32, E_MACHINE = 4, 1, 18


class Runs(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.program = pathlib.Path(directory.name, "program")
        self.answer = pathlib.Path(directory.name, "answer")

    def call(self, *arguments):
        done = subprocess.run([PYTHON, "-B", RUNS, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
        return done.returncode, done.stdout, done.stderr

    def make_program(self, octets):
        self.program.write_bytes(octets)
        self.program.chmod(0o755)

    def assert_skipped(self, reason):
        line = f"SKIPPED, NOTHING WAS TESTED: this machine runs no 32-bit program: {reason}\n"
        self.assertEqual(self.call("ask", self.program, self.answer), (77, "", line))
        self.assertEqual(self.call("tell", self.answer, PYTHON, "-c", "print('run')"), (77, "", line))

    def test_a_program_that_the_kernel_refuses(self):
        octets = bytearray(pathlib.Path(PYTHON).resolve().read_bytes())
        octets[EI_CLASS] = ELFCLASS32
        octets[E_MACHINE:E_MACHINE + 2] = b"\xfe\xfe"  # no machine's
        self.make_program(octets)
        self.assert_skipped(f"[Errno 8] Exec format error: '{self.program}'")

    def test_a_program_that_does_not_come_to_its_end(self):
        self.make_program(b"#!/bin/sh\nkill -SYS $$\n")
        self.assert_skipped("it ended with -31")

    def test_a_program_that_runs(self):
        self.make_program(b"#!/bin/sh\n")
        self.assertEqual(self.call("ask", self.program, self.answer), (0, "", ""))
        command = [PYTHON, "-c", "import sys; print('run'); sys.exit(3)"]
        self.assertEqual(self.call("tell", self.answer, *command), (3, "run\n", ""))

    def test_nobody_has_asked(self):
        self.assertNotIn(self.call("tell", self.answer, PYTHON, "-c", "print('run')")[0], (0, 77))


if __name__ == "__main__":
    unittest.main(verbosity=2)
