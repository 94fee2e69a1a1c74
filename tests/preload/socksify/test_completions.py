"""The shells' completions: they know every option, the shells accept them, and they complete."""

import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time
import unittest

from socksify_case import SOCKSIFY, SOURCE, SocksifyCase, clean_environment, main

COMPLETIONS = SOURCE / "conf" / "completions"
GATEWAYD = os.environ.get("SOCKS64_TEST_GATEWAYD", "")
BASH_COMPLETION = pathlib.Path("/usr/share/bash-completion/bash_completion")


def options_of(*command):
    text = subprocess.run([*command, "--help"], env=clean_environment(), stdout=subprocess.PIPE, text=True, check=True).stdout
    return set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.MULTILINE))


def missing(shell):
    return f"SKIPPED, NOTHING WAS TESTED: no {shell} here"


class Files(unittest.TestCase):
    def assert_complete(self, name, *command):
        options = options_of(*command)
        self.assertGreater(len(options), 3)
        for file, spelling in ((f"{name}.bash", "{}"), (f"_{name}", "{}"), (f"{name}.fish", "-l {}")):
            words = set(re.findall(r"(?:--[a-z-]+|-l [a-z-]+)", (COMPLETIONS / file).read_text()))
            wanted = {spelling.format(option if spelling == "{}" else option[2:]) for option in options}
            self.assertEqual(wanted - words, set(), file)

    def test_every_option_of_socksify_is_in_each(self):
        self.assert_complete("socksify", SOCKSIFY)

    @unittest.skipUnless(GATEWAYD and os.path.exists(GATEWAYD), "SKIPPED, NOTHING WAS TESTED: gatewayd is not built")
    def test_every_option_of_gatewayd_is_in_each(self):
        self.assert_complete("gatewayd", GATEWAYD)
        self.assert_complete("gatewayd", GATEWAYD, "passwd")

    def assert_accepted(self, shell, *files):
        for file in files:
            done = subprocess.run([shell, "-n", COMPLETIONS / file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, ""), file)

    def test_bash_accepts_them(self):
        self.assert_accepted("bash", "socksify.bash", "gatewayd.bash")

    @unittest.skipUnless(shutil.which("zsh"), missing("zsh"))
    def test_zsh_accepts_them(self):
        self.assert_accepted("zsh", "_socksify", "_gatewayd")

    @unittest.skipUnless(shutil.which("fish"), missing("fish"))
    def test_fish_accepts_them(self):
        self.assert_accepted("fish", "socksify.fish", "gatewayd.fish")


class Bash(SocksifyCase):
    def setUp(self):
        super().setUp()
        (self.directory / "some-file.conf").write_text("")

    def complete(self, line, framework=False):
        """What bash offers at the end of the line: words are cut as readline cuts them."""
        words = re.findall(r"[:=@]+|[^\s:=@]+", line) + ([""] if line.endswith(" ") else [])
        script = f"""
          {f'source {BASH_COMPLETION}' if framework else ''}
          source {COMPLETIONS}/socksify.bash
          COMP_LINE=$1; COMP_POINT=${{#1}}; COMP_TYPE=9; COMP_KEY=9; shift
          COMP_WORDS=("$@"); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
          _socksify socksify "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
          printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "-c", script, "bash", line, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, cwd=self.directory, env=clean_environment())
        self.assertEqual(done.stderr, "")
        return [word.strip() for word in done.stdout.split("\n") if word.strip()]

    def test_options(self):
        self.assertEqual(self.complete("socksify --ex"), ["--explain"])
        self.assertEqual(set(self.complete("socksify --c")), {"--credentials", "--config", "--check"})
        self.assertEqual(self.complete("socksify -g socks5://u:p@192.0.2.1:1080 --pri"), ["--private-table", "--print-env"])

    def test_values(self):
        self.assertEqual(self.complete("socksify --udp "), ["refuse", "direct"])
        self.assertEqual(self.complete("socksify --udp d"), ["direct"])
        self.assertEqual(self.complete("socksify --udp=d"), ["direct"])
        self.assertEqual(self.complete("socksify --dns an"), ["answer"])
        self.assertEqual(self.complete("socksify -v --log ex"), ["explain"])
        self.assertEqual(self.complete("socksify --config some"), ["some-file.conf"])

    def test_commands(self):
        for line in ("socksify ", "socksify -v ", "socksify -g socks5://192.0.2.1:1080 ", "socksify --gateway=socks5://[fd00::1]:1080 ",
                     "socksify -g socks5://u:p@[fd00::1] --log=info ", "socksify --udp refuse -- "):
            self.assertIn("readlink", self.complete(line + "readl"), line)

    def test_the_programs_arguments_are_not_ours(self):
        for line in ("socksify cat ", "socksify -v cat --log ", "socksify -g socks5://u:p@192.0.2.1:1080 cat "):
            self.assertIn("some-file.conf", self.complete(line + "some"), line)
        self.assertEqual(self.complete("socksify cat --expl"), [])

    @unittest.skipUnless(BASH_COMPLETION.exists(), missing("bash-completion"))
    def test_the_programs_own_completion(self):
        # bash-completion knows the signals that kill takes.
        for line in ("socksify ", "socksify -g socks5://u:p@192.0.2.1:1080 ", "socksify --check "):
            self.assertTrue({"-TERM", "-SIGTERM"} & set(self.complete(line + "kill -", framework=True)), line)
            self.assertIn("readlink", self.complete(line + "readl", framework=True), line)


@unittest.skipUnless(shutil.which("zsh"), missing("zsh"))
class Zsh(SocksifyCase):
    """At a terminal, since zsh completes nowhere else."""

    def complete(self, line, expected):
        """Types the line and a tab; true when what zsh shows then has `expected` in it."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.directory)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**clean_environment(HOME=str(self.directory)), "TERM": "dumb"})
        try:
            setup = f"fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D; PS1=; print rea''dy"
            os.write(terminal, setup.encode() + b"\n")
            if not self.shown(terminal, "ready\r\n"):
                return False
            os.write(terminal, line.encode() + b"\t")
            return self.shown(terminal, expected)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(terminal)

    @staticmethod
    def shown(terminal, expected, seconds=60):
        text, end = "", time.monotonic() + seconds
        while expected not in text:
            if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
                return False
            text += os.read(terminal, 4096).decode(errors="replace")
        return True

    def test_options_values_and_commands(self):
        for line, expected in (("socksify --expl", "--explain"), ("socksify --udp dir", "direct"),
                               ("socksify -g socks5://192.0.2.1 readli", "readlink"), ("socksify -v cat some", "some-file"),
                               ("gatewayd pas", "passwd"), ("gatewayd passwd --st", "--stdin"), ("gatewayd --allow-f", "--allow-from")):
            (self.directory / "some-file").write_text("")
            with self.subTest(line):
                self.assertTrue(self.complete(line, expected))


@unittest.skipUnless(shutil.which("fish"), missing("fish"))
class Fish(SocksifyCase):
    def complete(self, line):
        done = subprocess.run(["fish", "--no-config", "-c",
                               f"source {COMPLETIONS}/{line.split()[0]}.fish; complete -C {subprocess.list2cmdline([line])}"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=clean_environment(HOME=str(self.directory)))
        self.assertEqual(done.stderr, "")
        return {entry.split("\t")[0] for entry in done.stdout.splitlines()}

    def test_options_and_values(self):
        self.assertEqual(self.complete("socksify --exp"), {"--explain"})
        self.assertEqual(self.complete("socksify -v --udp d"), {"direct"})

    def test_commands_and_their_arguments(self):
        self.assertIn("readlink", self.complete("socksify readl"))
        self.assertIn("readlink", self.complete("socksify -g socks5://192.0.2.1 readl"))
        self.assertNotIn("--explain", self.complete("socksify cat --"))

    def test_passwd_of_the_gateway(self):
        self.assertIn("passwd", self.complete("gatewayd pas"))
        self.assertEqual(self.complete("gatewayd passwd --st"), {"--stdin"})
        self.assertNotIn("--stdin", self.complete("gatewayd --"))


if __name__ == "__main__":
    main()
