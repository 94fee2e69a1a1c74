"""The benchmark itself: it measures, says what failed, and leaves nothing behind. No figure is judged here.

Takes gatewayd and the load from SOCKS64_GATEWAYD and SOCKS64_BENCH_LOAD."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import isolation  # noqa: E402


def run(*arguments, timeout=120):
    return subprocess.run([sys.executable, "-B", f"{HERE}/run", *arguments], capture_output=True, text=True, timeout=timeout, check=False)


def processes_with(mark):
    """Those whose environment has it."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if mark.encode() in file.read():
                        found.append(int(entry))
            except OSError:
                pass
    return found


class Run(unittest.TestCase):
    def test_every_row_for_an_instant(self):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            done = run("--smoke", "--json", file.name)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            found = json.load(file)
        self.assertEqual(len(found["rows"]) + len(found["memory"]), len(run("--list").stdout.splitlines()))
        for row in found["rows"]:
            self.assertGreater(row["results"]["gatewayd"]["rate"], 0, row["title"])
        for row in found["memory"]:
            self.assertEqual(row["results"]["gatewayd"]["descriptors"], 2, row["title"])

    def test_a_failing_peer_has_no_figure(self):
        done = run("--smoke", "--only", "download.1", "--peer", "gone=/bin/false {port}")
        self.assertRegex(done.stdout, r"failed")
        self.assertIn("gone, one stream: does not start", done.stdout)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_failing_gatewayd_is_a_failure(self):
        done = run("--smoke", "--only", "download.1", "--gatewayd", "gatewayd of nobody=/bin/false")
        self.assertIn("gatewayd of nobody, one stream: does not start", done.stdout)
        self.assertEqual(done.returncode, 1, done.stderr)

    def test_a_missing_peer_is_named(self):
        done = run("--smoke", "--only", "download.1", "--peer", "nowhere=/no/such/server {port}")
        self.assertIn("NOT MEASURED: nowhere: /no/such/server is not installed", done.stdout)

    def test_wrong_options_are_refused_before_anything_runs(self):
        for options, message in ((["--only", "nosuchrow"], "--list names them"), (["--rounds", "0"], "at least 1"), (["--seconds", "-1"], "above 0"),
                                 (["--json", "/no/such/folder/file"], "cannot be written"), (["--peer", "nameless"], "expected NAME=")):
            with self.subTest(options=options):
                done = run(*options)
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertIn(message, done.stderr)

    def test_told_to_end_it_leaves_nothing(self):
        mark = f"SOCKS64_BENCH_MARK={os.getpid()}"
        name, _, value = mark.partition("=")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with self.subTest(signal=number.name):
                process = subprocess.Popen([sys.executable, "-B", f"{HERE}/run", "--smoke", "--seconds", "60", "--only", "download.1"],
                                           env=dict(os.environ, **{name: value}), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                self.wait(lambda: self.measuring(mark), "the load to run")
                process.send_signal(number)
                status = process.wait(20)
                if number != signal.SIGKILL:
                    self.assertEqual(status, 128 + number)
                self.wait(lambda: not processes_with(mark), "all to end")

    @staticmethod
    def measuring(mark):
        for pid in processes_with(mark):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if b"--with-destination" in file.read():
                        return True
            except OSError:
                pass
        return False

    def wait(self, condition, what):
        end = time.monotonic() + 30
        while not condition():
            self.assertLess(time.monotonic(), end, f"waited 30 s for {what}")
            time.sleep(0.02)


if __name__ == "__main__":
    reason = isolation.cannot()
    if reason:
        isolation.did_not_run(reason)
    unittest.main()
