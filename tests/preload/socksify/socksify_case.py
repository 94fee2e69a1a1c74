"""Runs the wrapper command as its users do, with nothing of this machine's settings in its environment."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest


SKIPPED = 77  # ctest's SKIP_RETURN_CODE
SOCKSIFY = os.environ.get("SOCKS64_TEST_SOCKSIFY", "")
LIBRARY = os.environ.get("SOCKS64_TEST_LIBRARY", "")
SANITIZE = os.environ.get("SOCKS64_TEST_SANITIZE", "")
SOURCE = pathlib.Path(os.environ.get("SOCKS64_TEST_SOURCE_DIR", ""))  # of the whole project
# The programs under test are not linked with a sanitizer's library, which would have to come first.
RUNTIME = [entry for entry in os.environ.get("SOCKS64_TEST_PRELOAD", "").split(":")
           if "libasan" in entry]
EMPTY_CONFIG = tempfile.NamedTemporaryFile(prefix="socks64-socksify-")


PROXY_VARIABLES = ("all_proxy", "no_proxy", "socks_server", "socks5_server")


def clean_environment(**changes):
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith(("SOCKS64_", "LD_")) and name.lower() not in PROXY_VARIABLES}
    clean["SOCKS64_CONFIG"] = EMPTY_CONFIG.name
    if RUNTIME:
        clean["LD_PRELOAD"] = ":".join(RUNTIME)
    for name, value in changes.items():
        clean.pop(name, None)
        if value is not None:
            clean[name] = value
    return clean


class SocksifyCase(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()) if hasattr(self, "enterContext")
                                      else self._directory())

    def _directory(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return directory.name

    def socksify(self, *arguments, command=None, timeout=120, user=None, **environment):
        """(status, stdout, stderr)"""
        done = subprocess.run([command or SOCKSIFY, *map(str, arguments)], env=clean_environment(**environment),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                              timeout=timeout,
                              **({"user": user, "group": user, "extra_groups": []} if user else {}))
        return done.returncode, done.stdout, done.stderr

    def assert_refused(self, message, *arguments, **environment):
        """Status 2 and this one line."""
        with self.subTest(" ".join(map(str, arguments))):
            self.assertEqual(self.socksify(*arguments, **environment), (2, "", f"socksify: {message}\n"))

    def compile(self, name, source, *options, compiler="cc"):
        """A program made from C; None where the compiler or its target is not installed."""
        if shutil.which(compiler) is None:
            return None
        path = self.directory / name
        done = subprocess.run([compiler, *options, "-x", "c", "-", "-o", str(path)], input=source, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return path if done.returncode == 0 else None


def main():
    if not SOCKSIFY or not LIBRARY:
        sys.exit("SOCKS64_TEST_SOCKSIFY and SOCKS64_TEST_LIBRARY are set by ctest; see preload.cmake")
    unittest.main(verbosity=2)
