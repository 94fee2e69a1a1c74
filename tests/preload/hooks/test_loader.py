"""Libraries that a program opens, and functions that it looks up behind a handle, do not lead around the shim."""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from fake_case import FakeCase
from probe_case import MUSL, main
import scripted_gateway as script

LIBRARY = os.environ.get("SOCKS64_TEST_LIBRARY", "")
DEEP = os.environ.get("SOCKS64_TEST_DEEP_LIBRARY", "")
SOURCE = pathlib.Path(os.environ.get("SOCKS64_TEST_SOURCE", ""))
SANITIZED = os.environ.get("SOCKS64_TEST_SANITIZE", "") != ""
LIBC = "libc.so.6"
# The oldest versions of symbols there are.
VERSIONS = {"x86_64": "GLIBC_2.2.5", "aarch64": "GLIBC_2.17"}


def hooked():
    """Every name of the hook table that is libc's."""
    names = re.findall(r"^S64_HOOK(?:_VARIADIC)?\([^,]*,\s*(\w+)\s*,", (SOURCE / "host" / "hooks.inc").read_text(), re.MULTILINE)
    return [name for name in names if not name.startswith("io_uring_")]


@unittest.skipIf(SANITIZED, "NOTHING WAS TESTED: a sanitizer's runtime has a dlopen of its own, and ends a program that binds deeply")
class DeepBinding(FakeCase):
    def test_a_library_that_prefers_its_own_scope(self):
        self.probe("loader_deep", DEEP, "deep.test", script.ECHO)
        self.assert_asked(f"name deep.test:{script.ECHO}")
        self.assert_nothing_sent()

    def test_a_library_finds_others_along_its_own_path(self):
        compiler = shutil.which("cc")
        if compiler is None:
            self.skipTest("NOTHING WAS TESTED: no C compiler")
        with tempfile.TemporaryDirectory() as folder:
            for name, text, options in (
                    ("libinner64.so", "int inner;", []),
                    ("libouter64.so", '#include <dlfcn.h>\nint open_inner(const char* name) '
                                      '{ void* it = dlopen(name, RTLD_NOW); return it == 0 || dlsym(it, "inner") == 0; }',
                     [f"-Wl,--enable-new-dtags,-rpath,{folder}"])):
                subprocess.run([compiler, "-shared", "-fPIC", "-O0", "-x", "c", "-", "-o", f"{folder}/{name}", *options],
                               input=text, text=True, check=True)
            self.probe("loader_path", f"{folder}/libouter64.so", "libinner64.so", preload=False)
            self.probe("loader_path", f"{folder}/libouter64.so", "libinner64.so")


class Handles(FakeCase):
    def test_every_hook_behind_libcs_handle(self):
        names = hooked()
        self.assertGreater(len(names), 100)
        said = self.probe("loader_handle", LIBC, LIBRARY, *names)
        self.assertGreater(said.count("found"), 100)
        self.assertIn("connect found\n", said)

    def test_a_version_of_a_symbol(self):
        version = VERSIONS.get(platform.machine())
        if version is None:
            self.skipTest("NOTHING WAS TESTED: the versions of libc's symbols are not known for this machine")
        for name in ("connect", "sendto", "getaddrinfo", "poll"):
            with self.subTest(name):
                self.probe("loader_version", LIBC, LIBRARY, name, version)

    def test_a_function_of_a_librarys_own(self):
        self.probe("loader_own", DEEP)

    def test_what_has_no_handle(self):
        self.probe("loader_next")

    @unittest.skipIf(SANITIZED, "NOTHING WAS TESTED: a sanitizer's runtime does not go well with Python")
    def test_python_calls_libc_by_ctypes(self):
        code = f"""
import ctypes, socket, struct
libc = ctypes.CDLL("{LIBC}", use_errno=True)
tcp = socket.socket()
where = struct.pack("=HH4s8x", socket.AF_INET, socket.htons({script.ECHO}), socket.inet_aton("192.0.2.1"))
assert libc.connect(tcp.fileno(), where, len(where)) == 0, ctypes.get_errno()
tcp.sendall(b"ping")
assert tcp.recv(4) == b"ping"
udp = socket.socket(type=socket.SOCK_DGRAM)
assert libc.sendto(udp.fileno(), b"x", 1, 0, where, len(where)) == -1
"""
        self.check(self.run_probe("-c", code, program=sys.executable))
        self.assert_asked(f"ipv4 192.0.2.1:{script.ECHO}")
        self.assert_nothing_sent()


if __name__ == "__main__":
    if MUSL:
        sys.exit("this is about glibc")
    main()
