"""The manual pages: every option and key stands in them, and the formatters accept them."""

import os
import re
import shutil
import subprocess
import unittest

from socksify_case import SOCKSIFY, SOURCE, clean_environment, main

PAGES = SOURCE / "docs" / "man"
GATEWAYD = os.environ.get("SOCKS64_TEST_GATEWAYD", "")


class Manual(unittest.TestCase):
    def assert_options(self, program, page):
        text = subprocess.run([program, "--help"], env=clean_environment(), stdout=subprocess.PIPE, text=True, check=True).stdout
        options = re.findall(r"^  (?:(-\w),)?--([a-z-]+)", text, re.MULTILINE)
        self.assertGreater(len(options), 5)
        source = (PAGES / page).read_text()
        for short, long in options:
            with self.subTest(long):
                self.assertRegex(source, rf"(?m)^\.It .*\bFl -{long}\b")
                if short:
                    self.assertRegex(source, rf"(?m)^\.It Fl {short[1]}\b")

    def test_every_option_of_socksify(self):
        self.assert_options(SOCKSIFY, "socksify.1")

    @unittest.skipUnless(GATEWAYD and os.path.exists(GATEWAYD), "SKIPPED, NOTHING WAS TESTED: gatewayd is not built")
    def test_every_option_of_gatewayd(self):
        self.assert_options(GATEWAYD, "gatewayd.8")

    def test_every_key_of_the_library(self):
        keys = re.findall(r'^    \{"(\w+)", "(\w+)"', (SOURCE / "shim" / "config_options.cpp").read_text(), re.MULTILINE)
        self.assertGreater(len(keys), 5)
        source = (PAGES / "socks64.conf.5").read_text()
        for key, variable in keys:
            with self.subTest(key):
                self.assertIn(f".It Cm {key} , Ev {variable}\n", source)

    @unittest.skipUnless(shutil.which("mandoc"), "SKIPPED, NOTHING WAS TESTED: no mandoc here")
    def test_mandoc_has_no_complaints(self):
        for page in PAGES.iterdir():
            # Its advice on style ("no reference to ...") depends on what is installed.
            done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, ""), page.name)

    @unittest.skipUnless(shutil.which("groff"), "SKIPPED, NOTHING WAS TESTED: no groff here")
    def test_groff_has_no_complaints(self):
        for page in PAGES.iterdir():
            done = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", "-z", page], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, ""), page.name)


if __name__ == "__main__":
    main()
