"""What the tests of interop.py's rows share."""

import os
import shutil
import subprocess
import sys

import interop
import topology
from case import LabTest
from hosts import LAB
from interop_programs import FILE

ABSENT = set()


def say_what_is_absent():
    if ABSENT:
        print("E2E DID NOT RUN: programs that are not installed: " + ", ".join(sorted(ABSENT)) + " (tools/deps breadth)",
              file=sys.stderr)


class InteropCase(LabTest):
    """One client and one destination, which the classes made by classes() name."""

    client = name = None

    def setUp(self):
        super().setUp()
        self.scratch = f"{LAB}/tmp/{self.id()}"
        os.makedirs(self.scratch, exist_ok=True)
        self.addCleanup(shutil.rmtree, self.scratch)
        self.destination = topology.HOSTS[topology.SERVED_BY[self.name].host]
        self.family = interop.FAMILY[self.name]

    def target(self, form):
        return self.name if form == interop.NAME else self.destination.address(self.family)

    def skip_without(self, package):
        if package:
            ABSENT.add(package)
            self.skipTest(f"{package} is not installed")

    def expected_output(self, kind):
        with open(f"{LAB}/www{FILE}", "rb") as file:
            content = file.read()
        page = self.lab.site.front_page(self.destination.name).encode()
        return {interop.WEB: page + content, interop.SHELL: f"{self.destination.name}\n".encode() + content,
                interop.ONE_FILE: content, interop.PAGE: page}[kind]

    def attempt(self, argv, env=None, timeout=60):
        return self.lab.run_on(self.client, argv, env, timeout=timeout, directory=self.scratch)

    def assert_expected(self, kind, done):
        said = f"{done.stderr.decode(errors='replace')}\n{done.stdout[-500:]!r}"
        self.assertEqual(done.returncode, 0, said)
        expected = self.expected_output(kind)
        if kind == interop.PAGE:
            self.assertIn(expected.strip(), done.stdout, said)
        else:
            self.assertTrue(done.stdout == expected, f"{len(done.stdout)} octets instead of {len(expected)}: {said}")

    def skip_after_trying(self, reason, kind, argv, env=None):
        """It must fail, and does not count."""
        try:
            done = self.attempt(argv, env, timeout=4)
            self.assertFalse(done.returncode == 0 and self.expected_output(kind) in done.stdout,
                             "it can by now: take its Cannot out of interop.py")
        except subprocess.TimeoutExpired:
            pass
        self.lab.leaks()  # what it tried may have gone past the gateway, which does not speak against the gateway
        self.skipTest(reason)


def classes(base, group, tests, module, **more):
    """One class for each client and destination: {"client4_to_v6only_GROUP": class, ...}."""
    made = {}
    for client, name in interop.PAIRS:
        title = f"{client}_to_{name.partition('.')[0]}_{group}"
        made[title] = type(title, (base,), {"client": client, "name": name, "__module__": module, **tests, **more})
    return made
