"""A wrong configuration is closed, not open: whatever is wrong in it, one line says what and where, every connect that would
need the gateway fails with ENETDOWN, and nothing leaves."""

import os
import pathlib
import re
import tempfile

from probe_case import ProbeCase, main
import scripted_gateway as script

LOCAL = {"127.0.0.1", "::1"}
SOURCE = pathlib.Path(os.environ["SOCKS64_TEST_SOURCE"], "settings", "config_options.cpp")
# Every key there is, whoever added it.
OPTIONS = re.findall(r'^ *\{"(\w+)", "(SOCKS64_\w+)", ', SOURCE.read_text(), re.MULTILINE)
WRONG = "\x01no such value ann:secret@x"


class Mistakes(ProbeCase):
    def assert_closed(self, expected, text=None, **environment):
        """`expected`: how the one line begins. `text`: of the configuration file."""
        if text is not None:
            file = tempfile.NamedTemporaryFile(prefix="socks64-mistakes-", suffix=".conf")
            self.addCleanup(file.close)
            file.write(text if isinstance(text, bytes) else text.encode())
            file.flush()
            environment["SOCKS64_CONFIG"] = file.name
            expected = expected.replace("FILE", file.name)
        environment = {"SOCKS64_LOG": "error", **environment}
        with self.subTest(expected):
            for host, family in (("192.0.2.1", 4), ("2001:db8::1", 6), ("name.test", 4), ("name.test", 6)):
                done = self.run_probe("greeted_by", host, script.HELLO, family, environment=environment)
                self.assertEqual(self.check(done), "ENETDOWN\n")
                self.assertRegex(done.stderr, r"^socks64\S*: configuration: " + re.escape(expected))
                lines = [line for line in done.stderr.splitlines() if "configuration: " in line]
                self.assertEqual(len(lines), 1, done.stderr)
                self.assertTrue(lines[0].isprintable(), lines[0])
                self.assertNotIn("secret", done.stderr)
            self.assertEqual(self.gateway.accepted, 0)
            leaked = {each for each in self.sniffer.destinations() if not each.startswith("ff02::")} - LOCAL
            self.assertEqual(leaked, set())

    def test_every_key_in_the_environment(self):
        self.assertGreater(len(OPTIONS), 7)
        for _, variable in OPTIONS:
            self.assert_closed(f"{variable}: ", **{variable: WRONG})

    def test_every_key_in_the_file(self):
        for key, _ in OPTIONS:
            self.assert_closed(f"FILE:2: {key}: ", f"# one line\n{key} = {WRONG}\n")
            self.assert_closed(f"FILE:1: {key}: ", f"{key} =\n")

    def test_the_file_itself(self):
        self.assert_closed("FILE:1: expected KEY = VALUE: the '=' is missing", "gateway\n")
        self.assert_closed("FILE:3: unknown key 'timeuot'; did you mean 'timeout'?", "\n\ntimeuot = 5\n")
        self.assert_closed("FILE:2: 'timeout' is set twice", "timeout = 5\ntimeout = 5\n")
        self.assert_closed("FILE:1: the line is longer than 1024 characters", "log = " + "x" * 1100)
        self.assert_closed("FILE:1: the line holds a NUL, so this is not a text file", b"\x7fELF\0\0")
        self.assert_closed("FILE:1: expected KEY = VALUE: the text before the '=' is not a key", "socks5://ann:secret=@x\n")
        self.assert_closed("FILE: the configuration file named by SOCKS64_CONFIG is larger than 64 KiB", "#" * 66000)

    def test_a_file_that_cannot_be_read(self):
        named = "the configuration file named by SOCKS64_CONFIG"
        directory = self.enterContext(tempfile.TemporaryDirectory()) if hasattr(self, "enterContext") else tempfile.mkdtemp()
        os.mkfifo(f"{directory}/fifo")
        for path, why in ((f"{directory}/none", "does not exist"), (f"{directory}/fifo/x", "does not exist"),
                          (directory, "is not a regular file"), (f"{directory}/fifo", "is not a regular file"),
                          ("/dev/zero", "is not a regular file")):
            self.assert_closed(f"{path}: {named} {why}", SOCKS64_CONFIG=path)

    def test_a_wrong_rule_names_its_place_and_no_other_rule_counts(self):
        self.assert_closed("SOCKS64_RULES: rule 2: expected ACTION TARGET", SOCKS64_RULES="direct *; allow *")
        self.assert_closed("SOCKS64_RULES: expected an address block", SOCKS64_RULES="direct 10.0.0.1/8")
        self.assert_closed("FILE:3: rule: a name cannot be direct on some ports only", "rule = direct *\n\nrule = direct a.test:80\n")
        self.assert_closed("FILE:513: rule: there are more than 512 rules", "rule = direct *\n" * 513)

    def test_a_mistake_in_the_file_counts_where_the_environment_wins(self):
        self.assert_closed("FILE:1: timeout: ", "timeout = x\n", SOCKS64_TIMEOUT="5")

    def test_the_gateway_in_a_block_of_fake_addresses(self):
        self.assert_closed("gateway: its address 198.18.1.1 is in a block of fake addresses",
                           "fake_ipv4 = 198.18.0.0/16\n", SOCKS64_GATEWAY="socks5://198.18.1.1")

    def test_this_host_is_still_reached_and_datagrams_are_not_sent(self):
        self.probe("direct_connection", "127.0.0.1", environment={"SOCKS64_RULES": "x"})
        self.probe("refused_udp", "192.0.2.1", "ENETDOWN", environment={"SOCKS64_RULES": "x", "SOCKS64_UDP": "direct"})

    def test_without_diagnostics_nothing_is_said(self):
        done = self.run_probe("greeted_by", "192.0.2.1", script.HELLO, 4, environment={"SOCKS64_RULES": "x"})
        self.assertEqual((self.check(done), done.stderr), ("ENETDOWN\n", ""))

    def test_a_misspelt_variable_is_told_where_diagnostics_are_on(self):
        wrong = {"SOCKS64_GATWAY": "socks5://ann:secret@192.0.2.1", "SOCKS64_ELSEWHERE": "1"}
        arguments = ("greeted_by", "192.0.2.1", script.HELLO, 4)
        quiet = self.run_probe(*arguments, environment=wrong)
        self.assertEqual(quiet.stderr, "")
        told = self.run_probe(*arguments, environment={**wrong, "SOCKS64_LOG": "error"})
        self.assertRegex(told.stderr, r"^socks64\S*: SOCKS64_GATWAY: unknown setting, ignored; "
                                      r"did you mean SOCKS64_GATEWAY\?\n$")
        self.assertEqual(self.check(told), self.check(quiet))


if __name__ == "__main__":
    main()
