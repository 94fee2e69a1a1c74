"""The command line: each option wrong in every way, and what the program finds of the right ones."""

import os
import subprocess
import unittest

from socksify_case import LIBRARY, RUNTIME, SOCKSIFY, SocksifyCase, main

URL = "socks5://[USER:PASSWORD@]HOST[:PORT] or socks5+unix:///PATH"
VALUED = {
    "-g": (URL, "-g"),
    "--gateway": (URL, "-g"),
    "--credentials": ("a file name", "--credentials"),
    "--config": ("a file name", "--config"),
    "--dns": ("answer, gateway, refuse or direct", "--dns"),
    "--udp": ("refuse or direct", "--udp"),
    "--direct": ("a name, an address block, or *", "--direct"),
    "--only": ("a name, an address block, or *", "--only"),
    "--log": ("off, error, info or explain", "--log"),
    "--test": ("HOST:PORT", "--test"),
}
HINT = "(socksify --help shows the options)"


class Version(SocksifyCase):
    def test_both_spellings(self):
        status, out, err = self.socksify("--version")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"^socksify \d+\.\d+\.\d+\n$")
        self.assertEqual(self.socksify("-V"), (status, out, err))


class Wrong(SocksifyCase):
    def test_an_option_without_its_value(self):
        for option, (expected, name) in VALUED.items():
            message = f"{name}: expected {expected}, got nothing"
            self.assert_refused(message, option)
            self.assert_refused(message, option, "", "true")
            if option.startswith("--"):
                self.assert_refused(message, option + "=", "true")

    def test_values_that_mean_nothing(self):
        for option, wrong, message in (
                ("-g", "nonsense", f"-g: expected {URL}"),
                ("-g", "http://192.0.2.1", f"-g: expected {URL}, not http://"),
                ("-g", "socks5://192.0.2.1:0", "-g: expected a port from 1 to 65535 after the last ':'"),
                ("-g", "unix:/x", f"-g: expected {URL}"),
                ("-g", "fd00:1::1", f"-g: expected {URL}; an IPv6 address needs brackets: socks5://[2001:db8::1]:1080"),
                ("-g", "socks5://2001:db8::1:1080", "-g: an IPv6 address needs brackets: socks5://[2001:db8::1]:1080"),
                ("--udp", "maybe", "--udp: expected refuse or direct, not 'maybe'"),
                ("--udp", "REFUSE", "--udp: expected refuse or direct, not 'REFUSE'"),
                ("--log", "debug", "--log: expected off, error, info or explain, not 'debug'")):
            self.assert_refused(message, option, wrong, "true")

    def test_a_wrong_dns_mode_is_named(self):
        status, out, err = self.socksify("--dns", "sometimes", "true")
        self.assertEqual((status, out), (2, ""))
        self.assertTrue(err.startswith("socksify: --dns: "), err)

    def test_the_second_of_two_gateways_is_judged_too(self):
        self.assert_refused(f"-g: gateway 2: expected {URL}", "-g", "socks5://192.0.2.1", "-g", "nonsense", "true")
        self.assert_refused(f"-g: expected {URL}", "-g", "socks5://192.0.2.1", "-g", ",", "true")

    def test_unknown_options(self):
        self.assert_refused(f"unknown option '--bogus' {HINT}", "--bogus", "true")
        self.assert_refused(f"unknown option '-x' {HINT}", "-x", "true")
        self.assert_refused(f"unknown option '--explian'; did you mean '--explain'? {HINT}", "--explian", "true")
        self.assert_refused(f"unknown option '--prin'; did you mean '--print-env'? {HINT}", "--prin")

    def test_a_password_in_an_unknown_option_is_not_shown(self):
        self.assert_refused(f"unknown option '--gatewy'; did you mean '--gateway'? {HINT}",
                            "--gatewy=socks5://ann:secret@192.0.2.1", "true")

    def test_a_password_given_to_an_option_without_a_value_is_not_shown(self):
        for option in ("--explain", "--check", "--print-env", "--verbose"):
            self.assert_refused(f"{option} takes no value {HINT}", f"{option}=socks5://ann:secret@192.0.2.1", "true")

    def test_no_program(self):
        message = "the program is missing. Usage: socksify [OPTIONS] [--] PROGRAM [ARGS...]"
        for arguments in ((), ("-v",), ("--",), ("--check",), ("--explain",), ("--udp", "refuse")):
            self.assert_refused(message, *arguments)
        self.assert_refused("the name of the program is empty", "")

    def test_a_program_where_none_is_run(self):
        self.assert_refused("--test runs no program: remove 'true'", "--test", "host.test:80", "true")
        self.assert_refused("--print-env runs no program: remove 'true'", "--print-env", "true")

    def test_options_that_exclude_each_other(self):
        for first, second in ((("--check",), ("--test", "a:1")), (("--check",), ("--print-env",)),
                              (("--test", "a:1"), ("--print-env",)), (("--explain",), ("--log", "info"))):
            status, out, err = self.socksify(*first, *second, "true")
            self.assertEqual((status, out), (2, ""))
            self.assertIn("excludes", err)

    def test_a_flag_takes_no_value(self):
        for flag in ("--explain", "--check", "--print-env", "--verbose"):
            status, out, err = self.socksify(f"{flag}=maybe", "true")
            self.assertEqual((status, out), (2, ""), flag)
            self.assertIn(flag, err)

    def test_files_that_are_not_there(self):
        self.assert_refused("/nonexistent: the configuration file named by SOCKS64_CONFIG does not exist",
                            "--config", "/nonexistent", "true")
        status, out, err = self.socksify("--credentials", "/nonexistent", "true")
        self.assertEqual((status, out), (2, ""))
        self.assertIn("redentials", err)


SHOW = ("sh", "-c", 'echo "$SOCKS64_GATEWAY|$SOCKS64_UDP|$SOCKS64_LOG"')


class Right(SocksifyCase):
    def test_what_the_program_finds(self):
        self.assertEqual(self.socksify("-g", "socks5://192.0.2.1", "--udp", "direct", "--log", "error", *SHOW),
                         (0, "socks5://192.0.2.1|direct|error\n", ""))
        self.assertEqual(self.socksify("-v", *SHOW)[1], "||info\n")
        self.assertEqual(self.socksify("--explain", *SHOW)[1], "||explain\n")

    def test_the_last_of_repeated_options_wins(self):
        self.assertEqual(self.socksify("--log", "off", "--log", "error", *SHOW)[1], "||error\n")

    def test_options_end_at_the_program(self):
        self.assertEqual(self.socksify("echo", "-g", "--help", "--explain", "--", "x")[1],
                         "-g --help --explain -- x\n")
        self.assertEqual(self.socksify("--", "echo", "--udp")[1], "--udp\n")

    def test_quiet_unless_told(self):
        self.assertEqual(self.socksify("true"), (0, "", ""))

    def test_exit_status_and_signals_pass_through(self):
        for status in (0, 1, 2, 3, 77, 126, 127, 255):
            self.assertEqual(self.socksify("sh", "-c", f"exit {status}")[0], status)
        for signal in (2, 9, 15):
            self.assertEqual(self.socksify("sh", "-c", f"kill -{signal} $$")[0], -signal)

    def test_programs_that_cannot_be_run(self):
        self.assertEqual(self.socksify("no-such-program"),
                         (127, "", "socksify: cannot run 'no-such-program': No such file or directory\n"))
        self.assertEqual(self.socksify("/etc/passwd"),
                         (126, "", "socksify: cannot run '/etc/passwd': Permission denied\n"))
        self.assertEqual(self.socksify("/")[0], 126)


class PrintEnv(SocksifyCase):
    def test_a_shell_takes_it(self):
        gateway = "socks5://it's:a$b`c@192.0.2.1"
        status, out, err = self.socksify("-g", gateway, "--udp", "refuse", "--print-env")
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(all(line.startswith("export ") for line in out.splitlines()), out)
        shown = subprocess.run(["sh", "-c", out + 'printf "%s\\n" "$SOCKS64_GATEWAY" "$SOCKS64_UDP"; LD_PRELOAD='],
                               stdout=subprocess.PIPE, text=True, env={"PATH": "/usr/bin:/bin"}, check=True).stdout
        self.assertEqual(shown, f"{gateway}\nrefuse\n")
        self.assertIn("export LD_PRELOAD='" + ":".join(RUNTIME + [LIBRARY]) + "'\n", out)

    def test_relative_files_become_absolute(self):
        (self.directory / "my.conf").write_text("udp = refuse\n")
        done = self.socksify("--config", str(self.directory) + "/../" + self.directory.name + "/my.conf", "--print-env")
        self.assertEqual(done[0], 0)
        self.assertIn("export SOCKS64_CONFIG='/", done[1])

    def test_the_file_that_the_environment_names_is_found_from_everywhere(self):
        file = self.directory / "my.conf"
        file.write_text("udp = refuse\n")
        done = self.socksify("-C", self.directory, os.path.abspath(SOCKSIFY), "sh", "-c", 'cd / && cat "$SOCKS64_CONFIG"',
                             command="env", SOCKS64_CONFIG="my.conf")
        self.assertEqual(done, (0, "udp = refuse\n", ""))

    def test_what_is_wrong_prints_nothing(self):
        self.assert_refused("--udp: expected refuse or direct, not 'x'", "--udp", "x", "--print-env")


if __name__ == "__main__":
    main()
