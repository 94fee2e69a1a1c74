"""What libsocks64.so is, seen from outside: its exports, its needs, and what its source never does."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

LIBRARY = os.environ.get("SOCKS64_TEST_LIBRARY", "")
SOURCE = pathlib.Path(os.environ.get("SOCKS64_TEST_SOURCE", ""))  # the folder shim
SANITIZED = os.environ.get("SOCKS64_TEST_SANITIZE", "") != ""
NARROW = os.environ.get("SOCKS64_TEST_CLASS", "") == "32"
MUSL = os.environ.get("SOCKS64_TEST_LIBC") == "musl"
SKIPPED = 77

# Calls a guest does not make. Names are matched as calls, `libc::` and all, but not as parts of longer names.
FORBIDDEN = ["exit", "_exit", "_Exit", "quick_exit", "abort", "printf", "fprintf", "dprintf", "puts", "perror", "fopen",
             "pthread_create", "fork", "vfork", "clone", "system", "popen", "posix_spawn", "signal", "sigset", "bsd_signal",
             "setitimer", "alarm", "timer_create", "malloc", "calloc", "realloc", "free", "setenv", "putenv", "atexit",
             "sleep", "usleep", "nanosleep", "kill", "raise"]
# getaddrinfo's result is memory that the program gives to freeaddrinfo.
# What the program starts is started for it. Its own sleeps are hooks.
ALLOWED = {("address_info.cpp", "malloc"), ("address_info.cpp", "free"), ("hook_exec.cpp", "posix_spawn"),
           ("hook_sleep.cpp", "sleep"), ("hook_sleep.cpp", "usleep"), ("hook_sleep.cpp", "nanosleep")}


def read_elf(*options):
    return subprocess.run(["readelf", "--wide", *options, LIBRARY], check=True, stdout=subprocess.PIPE, text=True).stdout


def hooks():
    text = (SOURCE / "host" / "hooks.inc").read_text()
    if MUSL:
        text = re.sub(r"^#ifdef __GLIBC__$.*?^#endif$", "", text, flags=re.DOTALL | re.MULTILINE)
    if not NARROW:
        text = re.sub(r"^#if [^\n]*__TIMESIZE == 32$.*?^#endif$", "", text, flags=re.DOTALL | re.MULTILINE)
    return set(re.findall(r"^S64_HOOK(?:_VARIADIC)?\([^,]*,\s*(\w+)\s*,", text, re.MULTILINE))


def sources_of_the_library(pattern):
    """Every room but that of the wrapper, which is an ordinary program."""
    files = [path for path in SOURCE.glob(f"*/{pattern}") if path.parent.name != "socksify"]
    assert len(files) > 50, f"only {len(files)} files match {pattern} under {SOURCE}"
    return files


def code_of(path):
    """The file without comments and string literals."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    return re.sub(r'"(?:\\.|[^"\\])*"', '""', text)


@unittest.skipIf(SANITIZED, "a sanitizer adds symbols and libraries of its own")
class Binary(unittest.TestCase):
    def test_it_exports_the_hook_table_and_nothing_else(self):
        exported = set()
        for line in read_elf("--dyn-syms").splitlines():
            field = line.split()
            if len(field) == 8 and field[4] in ("GLOBAL", "WEAK") and field[6] != "UND":
                exported.add(field[7].split("@")[0])
        self.assertGreater(len(hooks()), 40)
        self.assertEqual(exported - hooks(), set(), "exported, but no hook")
        self.assertEqual(hooks() - exported, set(), "hooks that are not exported")

    def test_it_needs_libc_alone(self):
        self.assertEqual(re.findall(r"\(NEEDED\).*\[(.*)\]", read_elf("--dynamic")), ["libc.so" if MUSL else "libc.so.6"])

    def test_it_has_no_text_relocations_and_no_executable_stack(self):
        self.assertNotIn("TEXTREL", read_elf("--dynamic"))
        stack = [line for line in read_elf("--program-headers").splitlines() if "GNU_STACK" in line]
        self.assertEqual(len(stack), 1)
        self.assertNotIn("RWE", stack[0])


class Source(unittest.TestCase):
    def test_it_never_ends_prints_allocates_or_starts_anything(self):
        files = sources_of_the_library("*.[ch]pp")
        pattern = re.compile(r"(?<![\w.>])(?:std::|::|libc::)?(" + "|".join(FORBIDDEN) + r")\s*\(")
        for path in files:
            for line in code_of(path).splitlines():
                for name in pattern.findall(line):
                    if (path.name, name) not in ALLOWED:
                        self.fail(f"{path.name}: calls {name}: {line.strip()}")

    def test_a_hook_stands_in_the_table_under_the_file_that_defines_it(self):
        text = (SOURCE / "host" / "hooks.inc").read_text()
        sections = re.split(r"^// (hook_\w+\.cpp) - .*$", text, flags=re.MULTILINE)
        found = 0
        for file, section in zip(sections[1::2], sections[2::2]):
            code = code_of(SOURCE / "hooks" / file)
            for name in re.findall(r"^S64_HOOK(?:_VARIADIC)?\([^,]*,\s*(\w+)\s*,", section, re.MULTILINE):
                found += 1
                self.assertRegex(code, r"(?m)^S64_EXPORT[^;{}]*?\b" + name + r"\s*\([^;{}]*\{", f"{file} does not define {name}")
        self.assertGreater(found, 40)
        self.assertEqual(len(re.findall(r"^S64_HOOK", text, re.MULTILINE)), found, "a hook before the first section")

    def test_it_installs_no_signal_handler(self):
        for path in sources_of_the_library("*.cpp"):
            for call in re.findall(r"\bsigaction\s*\(([^)]*)\)", code_of(path)):
                # Asking is allowed: the new action is null.
                self.assertEqual(call.split(",")[1].strip(), "nullptr", f"{path.name}: sigaction({call})")
            self.assertNotIn("SYS_rt_sigaction", code_of(path), path.name)

    def test_it_has_no_destructor_that_runs_at_exit(self):
        for path in sources_of_the_library("*.cpp"):
            self.assertNotRegex(code_of(path), r"__attribute__\s*\(\(\s*destructor", path.name)
        if not SANITIZED:
            self.assertNotIn("__cxa_atexit", read_elf("--dyn-syms"))


if __name__ == "__main__":
    if not LIBRARY or shutil.which("readelf") is None:
        print("SKIPPED, NOTHING WAS TESTED: no readelf (binutils) or no library", file=sys.stderr)
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
