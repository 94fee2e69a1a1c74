"""One setting for 64-bit and 32-bit programs: an installed tree with a library for each, and without the 32-bit one."""

import os
import pathlib
import shutil
import sys
import unittest

from socksify_case import LIBRARY, SKIPPED, SOCKSIFY, SocksifyCase, main
import scripted_gateway
from scripted_gateway import ScriptedGateway

DIAL = os.environ.get("SOCKS64_TEST_DIAL", "")
DIAL32 = os.environ.get("SOCKS64_TEST_DIAL32", "")
LIBRARY32 = os.environ.get("SOCKS64_TEST_LIBRARY32", "")


def folder_of(loader):
    """What a loader puts in the place of $LIB."""
    folder = os.path.dirname(os.path.realpath(loader)).removeprefix("/usr")
    return folder.lstrip("/")


class Installed(SocksifyCase):
    def setUp(self):
        super().setUp()
        self.gateway = ScriptedGateway()
        self.addCleanup(self.gateway.die)
        self.wide = self.install(LIBRARY, folder_of("/lib64/ld-linux-x86-64.so.2"))
        self.command = self.directory / "bin" / "socksify"
        self.command.parent.mkdir()
        (self.directory / "lib").mkdir(exist_ok=True)
        shutil.copy(SOCKSIFY, self.command)

    def install(self, library, folder):
        path = self.directory / folder / "libsocks64.so"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, path)
        return path

    def install_both(self):
        return self.install(LIBRARY32, folder_of("/lib/ld-linux.so.2"))

    def run_installed(self, *arguments):
        return self.socksify("-g", self.gateway.url(), *arguments, command=str(self.command))

    def test_one_entry_serves_both(self):
        self.install_both()
        status, out, err = self.run_installed("sh", "-c", f'echo "$LD_PRELOAD"; {DIAL} wide.test 2000; {DIAL32} narrow.test 2000')
        self.assertEqual((status, out, err), (0, f"{self.directory}/$LIB/libsocks64.so\nreached\nreached\n", ""))
        self.assertEqual(repr(self.gateway.requests), "[name wide.test:2000, name narrow.test:2000]")

    def test_a_library_elsewhere_with_a_link_to_it(self):
        self.install_both()
        self.wide.rename(self.directory / "lib" / "libsocks64.so")
        self.wide.symlink_to(os.path.relpath(self.directory / "lib" / "libsocks64.so", self.wide.parent))
        status, out, err = self.run_installed("sh", "-c", f'echo "$LD_PRELOAD"; {DIAL} wide.test 2000; {DIAL32} narrow.test 2000')
        self.assertEqual((status, out, err), (0, f"{self.directory}/$LIB/libsocks64.so\nreached\nreached\n", ""))

    def test_one_table_serves_both(self):
        self.install_both()
        status, out, err = self.run_installed("sh", "-c", "address=$(getent ahostsv4 shared.test | head -n 1 | cut -d ' ' -f 1); "
                                              f"case $address in 0.*) ;; *) exit 9;; esac; {DIAL32} $address 2000")
        self.assertEqual((status, out, err), (0, "reached\n", ""))
        self.assertEqual(repr(self.gateway.requests), "[name shared.test:2000]")

    def test_it_is_there_once(self):
        self.install_both()
        for present in (f"{self.directory}/$LIB/libsocks64.so", str(self.wide)):
            _, out, _ = self.socksify("sh", "-c", 'echo "$LD_PRELOAD"', command=str(self.command), LD_PRELOAD=present)
            self.assertEqual(out, f"{self.directory}/$LIB/libsocks64.so\n")

    def test_print_env_keeps_the_dollar(self):
        self.install_both()
        self.assertIn(f"export LD_PRELOAD='{self.directory}/$LIB/libsocks64.so'\n", self.run_installed("--print-env")[1])

    def test_check_knows_of_both(self):
        self.install_both()
        for program in (DIAL, DIAL32):
            self.assertEqual(self.run_installed("--check", program), (0, f"{program} can be intercepted\n", ""))

    def test_without_a_32_bit_library_the_path_is_plain(self):
        status, out, err = self.run_installed("sh", "-c", 'echo "$LD_PRELOAD"')
        self.assertEqual((status, out, err), (0, f"{self.wide}\n", ""))
        self.assertEqual(self.run_installed("--check", DIAL32)[0], 3)
        # The loader says so, once for each 32-bit program, and nobody can keep it from that.
        status, out, err = self.run_installed("sh", "-c", f"{DIAL32} 127.0.0.1 1")
        self.assertIn("cannot be preloaded (wrong ELF class", err)


if __name__ == "__main__":
    if not DIAL32 or not LIBRARY32:
        print("SKIPPED, NOTHING WAS TESTED: no 32-bit tool chain (Debian: g++-multilib)", file=sys.stderr)
        sys.exit(SKIPPED)
    main()
