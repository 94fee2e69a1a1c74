"""A program that starts another with a different environment does not lose the shim by it."""

import os
import pathlib
import shutil
import sys
import tempfile
import unittest

from probe_case import PRELOAD, PROBE, ProbeCase, main
import scripted_gateway as script

LIBRARY = os.environ.get("SOCKS64_TEST_LIBRARY", "")
SANITIZED = os.environ.get("SOCKS64_TEST_SANITIZE", "") != ""
# A sanitizer would otherwise complain of what other people's programs do.
OPTIONS = [f"{key}={value}" for key, value in os.environ.items() if key.endswith("SAN_OPTIONS")]
CLEARED = ["env", "-i", *OPTIONS]
LIST_FORMS = ["execve", "execvpe", "execle", "fexecve", "execveat", "posix_spawn", "posix_spawnp", "vfork"]
ENVIRON_FORMS = ["execv", "execvp", "execl", "execlp"]
LOADER = "/lib64/ld-linux-x86-64.so.2"


def another_library():
    return next(str(path) for path in pathlib.Path("/lib").glob("*/libm.so.6"))


class ExecCase(ProbeCase):
    def assert_reached(self, times=1):
        self.assert_asked(*[f"ipv4 192.0.2.1:{script.ECHO}"] * times)

    def run_program(self, program, *arguments, **options):
        return self.check(self.run_probe(*arguments, program=program, **options))

    def environment_of(self, program, *arguments, **options):
        """What a program printed of its environment."""
        text = self.run_program(program, *arguments, **options)
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


class ClearedEnvironment(ExecCase):
    def test_every_call_with_a_list(self):
        for how in LIST_FORMS:
            with self.subTest(how):
                self.probe("start_cleared", how)
        self.assert_reached(len(LIST_FORMS))

    def test_every_call_that_uses_environ(self):
        for how in ENVIRON_FORMS:
            with self.subTest(how):
                self.probe("start_cleared", how)
        self.assert_reached(len(ENVIRON_FORMS))

    def test_env(self):
        self.run_program(*CLEARED, PROBE, "started")
        self.assert_reached()

    def test_a_shell_and_its_children(self):
        self.run_program(*CLEARED, "sh", "-c", f"{PROBE} started; exec {' '.join(CLEARED)} {PROBE} started")
        self.assert_reached(2)

    def test_python_with_an_empty_environment(self):
        options = dict(each.split("=", 1) for each in OPTIONS)
        self.run_program(sys.executable, "-c", "import subprocess, sys\n"
                         f"subprocess.run(sys.argv[1:], env={options}, check=True)", PROBE, "started")
        self.assert_reached()

    def test_a_launcher_that_leaves_nothing(self):
        self.probe("start_as_a_launcher")
        self.assert_reached()

    def test_xargs(self):
        self.run_program("sh", "-c", f"echo started | xargs -n 1 {' '.join(CLEARED)} {PROBE}")
        self.assert_reached()

    @unittest.skipIf(shutil.which("make") is None, "NOT RUN: no make")
    def test_make(self):
        with tempfile.TemporaryDirectory() as directory:
            pathlib.Path(directory, "Makefile").write_text(
                f"unexport LD_PRELOAD SOCKS64_GATEWAY SOCKS64_CONFIG\nall: ; @{PROBE} started\n")
            self.run_program("make", "-s", "-C", directory)
        self.assert_reached()

    def test_a_megabyte_of_variables(self):
        for how in ("execve", "posix_spawn", "vfork"):
            with self.subTest(how):
                self.probe("start_huge", how)
        self.assert_reached(3)

    def test_a_megabyte_of_variables_leaves_no_memory_behind(self):
        self.probe("start_huge_often")

    def test_64_threads_start_others(self):
        self.probe("threads_start_others")


class WhatTheChildFinds(ExecCase):
    def test_what_was_there_at_the_start(self):
        found = self.environment_of(*CLEARED, PROBE, "show_environment", environment={"SOCKS64_TIMEOUT": "7"})
        self.assertEqual(found["LD_PRELOAD"], PRELOAD)
        self.assertEqual(found["SOCKS64_TIMEOUT"], "7")
        self.assertEqual(found["SOCKS64_GATEWAY"], self.gateway.url())

    def test_its_own_setting_wins(self):
        found = self.environment_of(*CLEARED, "SOCKS64_TIMEOUT=9", "SOCKS64_LOG=", PROBE, "show_environment",
                                    environment={"SOCKS64_TIMEOUT": "7", "SOCKS64_LOG": "error"})
        self.assertEqual((found["SOCKS64_TIMEOUT"], found["SOCKS64_LOG"]), ("9", ""))

    @unittest.skipIf(SANITIZED, "NOT RUN: a sanitizer's library has its own place in the list")
    def test_other_preloaded_libraries_stay(self):
        other = another_library()
        for given, expected in ((other, f"{LIBRARY}:{other}"), ("", LIBRARY), (f" {other}:", f"{LIBRARY}: {other}:"),
                                (f"{other}:{LIBRARY}", f"{other}:{LIBRARY}")):
            with self.subTest(given):
                found = self.environment_of("env", f"LD_PRELOAD={given}", PROBE, "show_environment")
                self.assertEqual(found["LD_PRELOAD"], expected)

    @unittest.skipIf(SANITIZED, "NOT RUN: a sanitizer's library has its own place in the list")
    def test_another_copy_of_the_library_is_enough(self):
        with tempfile.TemporaryDirectory() as directory:
            copy = pathlib.Path(directory, os.path.basename(LIBRARY))
            shutil.copy(LIBRARY, copy)
            found = self.environment_of("env", f"LD_PRELOAD={copy}", PROBE, "show_environment")
            self.assertEqual(found["LD_PRELOAD"], str(copy))

    @unittest.skipIf(SANITIZED, "NOT RUN: the list is put back as a whole")
    def test_the_entry_is_put_back_as_it_was_written(self):
        with tempfile.TemporaryDirectory() as directory:
            for expansion in ("lib", "lib64", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"):
                place = pathlib.Path(directory, expansion)
                place.mkdir(parents=True, exist_ok=True)
                (place / "libsocks64.so").symlink_to(LIBRARY)
            entry = f"{directory}/$LIB/libsocks64.so"
            found = self.environment_of(*CLEARED, PROBE, "show_environment", environment={
                "LD_PRELOAD": f"{another_library()}:{entry}"})
            self.assertEqual(found["LD_PRELOAD"], entry)

    @unittest.skipUnless(os.path.exists(LOADER) and not SANITIZED, "NOT RUN: needs the loader's --preload")
    def test_loaded_without_the_variable_only_settings_are_put_back(self):
        found = self.environment_of(LOADER, "--preload", LIBRARY, shutil.which("env"), "-i", PROBE, "show_environment",
                                    preload=False)
        self.assertEqual(found, {"SOCKS64_GATEWAY": self.gateway.url(), "SOCKS64_CONFIG": found["SOCKS64_CONFIG"]})

    def test_a_complete_environment_arrives_as_it_is(self):
        self.probe("start_with_all")

    def test_a_password_stays_out_of_the_command_line(self):
        url = self.gateway.url("ann:secret@")
        command_line = self.run_program(*CLEARED, "cat", "/proc/self/cmdline", gateway=url)
        self.assertEqual(command_line, "cat\0/proc/self/cmdline\0")
        found = self.environment_of(*CLEARED, PROBE, "show_environment", gateway=url)
        self.assertEqual(found["SOCKS64_GATEWAY"], url)


class Off(ExecCase):
    def assert_left_alone(self, program, *arguments, **options):
        expected = dict(each.split("=", 1) for each in arguments if "=" in each)
        self.assertEqual(self.environment_of(program, *arguments, **options), expected)

    def test_by_the_environment(self):
        self.assert_left_alone(*CLEARED, PROBE, "show_environment", environment={"SOCKS64_FOLLOW_EXEC": "off"})

    def test_by_the_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
            config.write("follow_exec = off\n")
            config.flush()
            self.assert_left_alone(*CLEARED, PROBE, "show_environment", environment={"SOCKS64_CONFIG": config.name})

    def test_for_one_child(self):
        self.assert_left_alone(*CLEARED, "SOCKS64_FOLLOW_EXEC=off", PROBE, "show_environment")

    def test_on_for_one_child(self):
        found = self.environment_of(*CLEARED, "SOCKS64_FOLLOW_EXEC=on", PROBE, "show_environment",
                                    environment={"SOCKS64_FOLLOW_EXEC": "off"})
        self.assertEqual(found["LD_PRELOAD"], PRELOAD)


class LikeLibc(ExecCase):
    def setUp(self):
        super().setUp()
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        text = pathlib.Path(self.directory.name, "text")
        text.write_text('echo "$# $1 $2"\n')
        text.chmod(0o755)

    def test_failures(self):
        self.assert_same_without("start_fails", self.directory.name)

    def test_a_file_without_a_header(self):
        for how in ("execvpe", "execvp", "execlp"):
            with self.subTest(how):
                self.assert_same_without("start_text", how, self.directory.name)

    def test_null_lists(self):
        for how in ("envp", "environ"):
            with self.subTest(how):
                self.assert_same_without("start_null", how)
        for how in ("argv", "both"):
            with self.subTest(how):
                self.assertEqual(self.probe("start_null", how), "")


if __name__ == "__main__":
    main()
