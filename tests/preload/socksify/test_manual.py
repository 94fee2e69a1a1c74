"""The manual pages: every option and key stands in them, and the formatters accept them."""

import os
import re
import shutil
import subprocess
import unittest

from socksify_case import SOCKSIFY, SOURCE, clean_environment, main

PAGES = SOURCE / "docs" / "man"
GATEWAYD = os.environ.get("SOCKS64_TEST_GATEWAYD", "")


def keys_of_the_commented_file(text):
    """(table, key) -> default, or None where the line is an example or there is none."""
    keys = {}
    table = ""
    for line in text.splitlines():
        if found := re.match(r"(?:#|# +)?(\[\[?[a-z_.]+\]\]?)$", line):
            table = found[1]
        elif found := re.match(r"#([a-z_0-9]+) = (.*?)(?:  #.*)?$", line):
            # The two listeners that are served without any are examples, not defaults.
            keys[table, found[1]] = None if (table, found[1]) == ("[[listener]]", "address") else found[2]
        elif found := re.match(r"# +([a-z_]+) = ", line):
            keys.setdefault((table, found[1]), None)
        elif found := re.match(r"#   ([a-z_]+) {2,}", line):
            keys["[[rule]]", found[1]] = None
    # It is shown as an example, for a UNIX socket alone has it.
    keys["[[listener]]", "mode"] = '"0660"'
    return keys


def keys_of_the_page(text):
    keys = {}
    table = key = ""
    for line in text.splitlines():
        if line.startswith(".Ss "):
            table = line[4:] if line[4] == "[" else ""
        elif line.startswith(".It Cm "):
            key = (table, line[7:])
            keys[key] = None
        elif key and line.startswith(".Pq Li "):
            keys[key] = line[7:].split(" , ")[0].replace(r"\(dq", '"')  # behind it, its bounds
    return keys


class Manual(unittest.TestCase):
    def assert_options(self, page, *command):
        text = subprocess.run([*command, "--help"], env=clean_environment(), stdout=subprocess.PIPE, text=True, check=True).stdout
        options = re.findall(r"^  (?:(-\w),)?--([a-z-]+)", text, re.MULTILINE)
        self.assertGreater(len(options), 3)
        source = (PAGES / page).read_text()
        for short, long in options:
            with self.subTest(long):
                self.assertRegex(source, rf"(?m)^\.It .*\bFl -{long}\b")
                if short:
                    self.assertRegex(source, rf"(?m)^\.It Fl {short[1]}\b")

    def test_every_option_of_socksify(self):
        self.assert_options("socksify.1", SOCKSIFY)

    @unittest.skipUnless(GATEWAYD and os.path.exists(GATEWAYD), "SKIPPED, NOTHING WAS TESTED: gatewayd is not built")
    def test_every_option_of_gatewayd(self):
        self.assert_options("gatewayd.8", GATEWAYD)
        self.assert_options("gatewayd.8", GATEWAYD, "passwd")

    def test_every_key_of_the_library(self):
        keys = re.findall(r'^    \{"(\w+)", "(\w+)"', (SOURCE / "shim" / "settings" / "config_options.cpp").read_text(), re.MULTILINE)
        self.assertGreater(len(keys), 5)
        source = (PAGES / "socks64.conf.5").read_text()
        for key, variable in keys:
            with self.subTest(key):
                self.assertIn(f".It Cm {key} , Ev {variable}\n", source)

    def test_every_key_of_the_gateway_with_its_default(self):
        wanted = keys_of_the_commented_file((SOURCE / "conf" / "gatewayd.toml").read_text())
        self.assertGreater(len(wanted), 60)
        page = keys_of_the_page((PAGES / "gatewayd.toml.5").read_text())
        self.assertEqual(page.keys(), wanted.keys())
        for key, default in wanted.items():
            with self.subTest(key):
                # Without one in the file: there is none, or it is not a value that could be written there.
                self.assertIn(default, (page[key], None))

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
