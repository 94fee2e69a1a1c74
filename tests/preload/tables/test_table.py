"""Under socksify a tree of programs has one mapping table; without it each program has its own."""

import ctypes
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest

from probe_case import EMPTY_CONFIG, PRELOAD, PROBE, ProbeCase, main
import scripted_gateway as script

SOCKSIFY = os.environ.get("SOCKS64_TEST_SOCKSIFY", "")
SANITIZED = os.environ.get("SOCKS64_TEST_SANITIZE", "") != ""
LIBRARY = os.environ.get("SOCKS64_TEST_LIBRARY", "")
# The programs under test are not linked with a sanitizer's library, which would have to come first.
RUNTIME = ":".join(entry for entry in PRELOAD.split(":") if "libasan" in entry)
OPTIONS = " ".join(f"'{key}={value}'" for key, value in os.environ.items() if key.endswith("SAN_OPTIONS"))
PR_SET_CHILD_SUBREAPER = 36


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class TableCase(ProbeCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory(prefix="socks64-table-")
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.variables = {"XDG_RUNTIME_DIR": directory.name}
        if RUNTIME:
            self.variables["LD_PRELOAD"] = RUNTIME

    def socksified(self, *arguments, environment=None):
        return self.run_probe(*arguments, program=SOCKSIFY, preload=False,
                              environment={**self.variables, **(environment or {})})

    def tree(self, text, *options, environment=None):
        """A shell under socksify; returns what it printed. "$P" is the probe."""
        return self.check(self.socksified(*options, "sh", "-c", f"set -e; P={PROBE}; {text}", environment=environment))

    def started(self, *arguments, **options):
        """A program under socksify that goes on, with pipes to it."""
        variables = {key: value for key, value in os.environ.items() if not key.startswith("SOCKS64_")}
        variables.update(self.variables, SOCKS64_GATEWAY=self.gateway.url(), SOCKS64_CONFIG=EMPTY_CONFIG.name)
        process = subprocess.Popen([SOCKSIFY, *arguments], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   start_new_session=True, text=True, **options)

        def end():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            process.stdin.close()
            process.stdout.close()

        self.addCleanup(end)
        return process

    def tables(self):
        return [path for path in self.directory.iterdir() if path.name.startswith("socks64-table-")]

    def assert_removed(self):
        """Not at once: by a process that is told of the program's end."""
        deadline = time.monotonic() + 30
        while self.tables() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(self.tables(), [])

    def kept_table(self, *options):
        """A table that stays: a copy."""
        self.tree(f"cp --sparse=always $SOCKS64_TABLE {self.directory}/kept", *options)
        return self.directory / "kept"


class Shared(TableCase):
    def test_one_program_looks_up_another_connects(self):
        for digit in "46":
            with self.subTest(digit):
                self.tree(f"A=$($P look_up_name v{digit}.test {digit}); PROBE_TARGET=$A $P started")
        self.assert_asked(f"name v4.test:{script.ECHO}", f"name v6.test:{script.ECHO}")

    def test_the_child_looks_up_the_parent_connects(self):
        for digit in "46":
            with self.subTest(digit):
                self.check(self.socksified(PROBE, "connect_where_the_child_says", f"v{digit}.test", digit))
        self.assert_asked(f"name v4.test:{script.ECHO}", f"name v6.test:{script.ECHO}")

    def test_over_a_cleared_environment(self):
        self.tree(f"A=$(env -i {OPTIONS} $P look_up_name a.test 4); env -i {OPTIONS} PROBE_TARGET=$A $P started")
        self.assert_asked(f"name a.test:{script.ECHO}")

    def test_all_have_the_same_address_for_a_name(self):
        lines = self.tree("$P look_up_name a.test 4; $P look_up_name A.Test. 4; $P look_up_name b.test 4").split()
        self.assertEqual(lines[0], lines[1])
        self.assertNotEqual(lines[0], lines[2])

    def test_a_nested_wrapper_keeps_the_table(self):
        self.tree(f"A=$($P look_up_name a.test 4); test $({SOCKSIFY} sh -c 'echo $SOCKS64_TABLE') = $SOCKS64_TABLE; "
                  f"PROBE_TARGET=$A {SOCKSIFY} $P started")
        self.assert_asked(f"name a.test:{script.ECHO}")
        self.assert_removed()

    def test_writers_that_are_killed_spoil_nothing(self):
        table = self.kept_table()
        variables = {key: value for key, value in os.environ.items() if not key.startswith("SOCKS64_")}
        variables.update(SOCKS64_CONFIG=EMPTY_CONFIG.name, SOCKS64_TABLE=str(table), LD_PRELOAD=PRELOAD)
        done = 0
        for round_number in range(12):
            # Two at once, that add the same names.
            writers = [subprocess.Popen([PROBE, "look_up_forever", str(done)], env=variables, stdout=subprocess.PIPE)
                       for _ in range(2)]
            for _ in range(20 + round_number * 17):
                last = writers[0].stdout.readline()
            done = int(last)
            for writer in writers:
                writer.kill()
                writer.wait()
                writer.stdout.close()
        self.probe("look_up_all", done + 50, environment={"SOCKS64_TABLE": str(table)})


class Private(TableCase):
    def test_without_the_wrapper(self):
        self.check(self.run_probe("-c", f"A=$({PROBE} look_up_name a.test 4); "
                                  f"PROBE_TARGET=$A {PROBE} connect_fails EHOSTUNREACH", program="sh"))
        self.assert_asked()

    def test_by_option(self):
        self.tree("test -z \"$SOCKS64_TABLE\"; A=$($P look_up_name a.test 4); "
                  "PROBE_TARGET=$A $P connect_fails EHOSTUNREACH", "--private-table")
        self.assertEqual(self.tables(), [])

    def test_by_option_inside_a_shared_one(self):
        self.tree(f"A=$($P look_up_name a.test 4); PROBE_TARGET=$A {SOCKSIFY} --private-table $P connect_fails EHOSTUNREACH")
        self.assert_asked()

    def test_after_the_wrappers_program_has_ended(self):
        """The new programs know no address of the old table, and give out none that it had."""
        table = self.kept_table()
        gone = {"SOCKS64_TABLE": str(self.directory / "gone"), "SOCKS64_LOG": "info"}
        fake = self.probe("look_up_name", "a.test", 4, environment={"SOCKS64_TABLE": str(table)}).strip()
        outcome = self.run_probe("connect_fails", "EHOSTUNREACH", environment={**gone, "PROBE_TARGET": fake})
        self.check(outcome)
        self.assertIn("does not exist: the socksify that made it has ended", outcome.stderr)
        self.probe("look_up_all", 500, environment={"SOCKS64_TABLE": str(table)})
        self.probe("connect_where_the_child_says", "b.test", "4", environment={"SOCKS64_TABLE": str(table)})

        def window(**variables):
            address = self.probe("look_up_name", "c.test", 4, environment=variables).strip()
            return int(address.split(".")[1]) // 32  # 2^21 addresses each

        self.assertEqual(window(SOCKS64_TABLE=str(table)), 0)
        self.assertEqual(window(**gone), 1)

    @unittest.skipIf(os.geteuid() != 0 or shutil.which("setpriv") is None, "NOT RUN: needs root and setpriv")
    def test_for_another_user(self):
        uid_map = pathlib.Path("/proc/self/uid_map").read_text().split()
        if int(uid_map[2]) < 65534:
            self.skipTest("NOT RUN: there is no other user here")
        table = self.kept_table()
        self.directory.chmod(0o755)
        outcome = self.run_probe("--reuid=65534", "--clear-groups", PROBE, "started", program="setpriv",
                                 environment={"SOCKS64_TABLE": str(table), "SOCKS64_LOG": "info",
                                              "SOCKS64_CONFIG": ""})
        self.check(outcome)
        self.assertIn("may not be opened: it is another user's", outcome.stderr)


class TheFile(TableCase):
    def test_is_its_users_alone_and_removed_at_the_end(self):
        for mask in ("022", "000", "777"):
            with self.subTest(mask):
                told = self.check(self.run_probe(
                    "-c", f"umask {mask}; exec {SOCKSIFY} sh -c 'stat -c %a:%u:%s:%b $SOCKS64_TABLE'", program="sh",
                    preload=False, environment=self.variables))
                mode, owner, size, blocks = told.strip().split(":")
                self.assertEqual((mode, int(owner)), ("600", os.geteuid()))
                self.assertLess(int(blocks) * 512, int(size) // 100)
                self.assert_removed()

    def test_is_removed_when_the_program_is_killed_and_its_children_live(self):
        program = self.started("sh", "-c", f"{PROBE} wait_for_input & echo $!; read never")
        said = [program.stdout.readline(), program.stdout.readline()]  # shell and probe, whichever is first
        child = int(next(line for line in said if line != "ready\n"))
        self.assertEqual(len(self.tables()), 1)
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
        self.assert_removed()
        self.assertTrue(alive(child))

    def test_children_that_outlive_the_program_keep_what_they_have(self):
        fake = self.directory / "fake"
        program = self.started("sh", "-c", f"{PROBE} look_up_name a.test 4 > {fake}; exec 3<&0; "
                               f"PROBE_TARGET=$(cat {fake}) {PROBE} wait_for_input connect <&3 & wait_a=$!; read line")
        self.assertEqual(program.stdout.readline(), "ready\n")
        os.kill(program.pid, signal.SIGKILL)
        program.wait()
        self.assert_removed()
        program.stdin.close()
        program.stdout.read()  # until the child has ended
        self.assert_asked(f"name a.test:{script.ECHO}")

    def test_is_removed_after_signals_of_the_terminal(self):
        program = self.started("sh", "-c", "trap '' INT HUP QUIT TSTP; echo ready; read line")
        program.stdout.readline()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
            os.killpg(program.pid, number)
        self.assertEqual(len(self.tables()), 1)
        program.stdin.close()
        self.assertEqual(program.wait(), 1)
        self.assert_removed()

    def test_there_is_none_where_files_may_not_be_large(self):
        outcome = self.run_probe("-c", f"ulimit -f 1000; exec {SOCKSIFY} --log error {PROBE} started", program="sh",
                                 preload=False, environment=self.variables)
        self.check(outcome)
        self.assertIn("a limit of the file size is too low", outcome.stderr)
        self.assertEqual(self.tables(), [])

    def test_is_removed_when_the_program_does_not_start(self):
        self.assertEqual(self.socksified("no-such-program").returncode, 127)
        self.assert_removed()

    def test_its_keeper_is_no_child(self):
        self.check(self.socksified(PROBE, "has_no_children"))

    def test_its_keeper_holds_no_pipe_and_tells_no_password(self):
        program = self.started("-g", self.gateway.url("ann:secret@"), "sh", "-c", "exec >&-; read line")
        self.assertEqual(program.stdout.read(), "")  # the end, while the program runs
        self.assertIsNone(program.poll())
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                self.assertNotIn(b"ann:secret@", (path / "cmdline").read_bytes(), path)
                if (path / "comm").read_text() == "socksify-table\n":
                    targets = [os.readlink(each) for each in (path / "fd").iterdir()]
                    self.assertFalse([each for each in targets if "pipe" in each or "/tmp" in each], targets)
                    self.assertEqual(os.readlink(path / "cwd"), "/")
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has just ended
        program.stdin.close()
        self.assertEqual(program.wait(), 1)
        self.assert_removed()

    def test_there_is_none_where_the_keeper_would_be_the_programs_child(self):
        libc = ctypes.CDLL(None)
        program = self.started("--log", "error", PROBE, "has_no_children", stderr=subprocess.PIPE,
                               preexec_fn=lambda: libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
        self.assertIn("there is no shared one", program.stderr.read())
        program.stderr.close()
        self.assertEqual(program.wait(), 0)
        self.assertEqual(self.tables(), [])

    def test_where_it_lies(self):
        place = self.tree("echo $SOCKS64_TABLE", environment={"XDG_RUNTIME_DIR": str(self.directory / "missing")})
        self.assertRegex(place, r"^(/dev/shm|/tmp)/socks64-table-[0-9a-f]{16}\n$")
        # Not at once: by a process that is told of the program's end.
        deadline = time.monotonic() + 30
        while os.path.exists(place.strip()) and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertFalse(os.path.exists(place.strip()))


class Judged(TableCase):
    def assert_refused(self, path, reason):
        variables = {"SOCKS64_TABLE": str(path), "SOCKS64_LOG": "error"}
        outcome = self.run_probe("connect_fails", "ENETDOWN", environment=variables)
        self.check(outcome)
        self.assertRegex(outcome.stderr, rf"configuration: SOCKS64_TABLE: '{re.escape(str(path)[:48])}.* {reason}")

    def spoiled(self, offset, octets):
        copy = self.directory / "spoiled"
        subprocess.run(["cp", "--sparse=always", self.table, copy], check=True)
        with open(copy, "r+b") as file:
            file.seek(offset)
            file.write(octets)
        return copy

    def test_a_table_as_it_should_be(self):
        table = self.kept_table()
        for _ in range(2):
            self.probe("started", environment={"SOCKS64_TABLE": str(table)})

    def test_what_is_no_table(self):
        self.table = self.kept_table()
        fifo, link = self.directory / "fifo", self.directory / "link"
        os.mkfifo(fifo, 0o600)
        link.symlink_to(self.table)
        text = self.directory / "text"
        text.write_text("SOCKS64\n" * 100)
        text.chmod(0o600)
        empty = self.directory / "empty"
        empty.touch(0o600)
        for path, reason in ((fifo, "is not a regular file"), (self.directory, "is not a regular file"),
                             ("/dev/null", "is not a regular file"), (link, "is a symbolic link"),
                             (text, "is not a table of names"), (empty, "is not a table of names"),
                             ("relative", "is not an absolute path")):
            with self.subTest(path):
                self.assert_refused(path, reason)

    def test_a_header_that_is_damaged(self):
        self.table = self.kept_table()
        for offset, octets, reason in ((0, b"s", "is not a table of names"), (8, b"\x63", "was made by another version"),
                                       (12, b"\xff\xff\xff\xff", "is damaged"), (12, b"\0\0\0\0", "is damaged"),
                                       (14, b"\x10", "is damaged"), (16, b"\0", "is damaged"),
                                       (32, b"\x13", "is damaged"), (36, b"\x0a", "was made for other fake addresses"),
                                       (56, b"\x09", "was made for other fake addresses")):
            with self.subTest(offset):
                self.assert_refused(self.spoiled(offset, octets), reason)

    def test_another_size(self):
        self.table = self.kept_table()
        size = self.table.stat().st_size
        for other in (size - 1, size + 1, 4096, 64):
            with self.subTest(other):
                os.truncate(self.table, other)
                self.assert_refused(self.table, "is damaged")

    def test_other_ranges(self):
        self.assert_refused(self.kept_table("--config", self.other_ranges()), "was made for other fake addresses")

    def other_ranges(self):
        config = self.directory / "conf"
        config.write_text("fake_ipv4 = 198.18.0.0/16\n")
        return str(config)

    def test_a_nested_wrapper_with_other_ranges_says_so(self):
        outcome = self.socksified(SOCKSIFY, "--config", self.other_ranges(), "true")
        self.assertEqual(outcome.returncode, 2)
        self.assertRegex(outcome.stderr, "^socksify: SOCKS64_TABLE: .* was made for other fake addresses")

    def test_others_may_not_touch_it(self):
        table = self.kept_table()
        for mode in (0o640, 0o604, 0o660, 0o666):
            table.chmod(mode)
            self.assert_refused(table, "may be opened by other users")

    @unittest.skipIf(os.geteuid() != 0, "NOT RUN: needs root")
    def test_it_must_be_ones_own(self):
        table = self.kept_table()
        try:
            os.chown(table, 65534, -1)
        except OSError as error:
            self.skipTest(f"NOT RUN: there is no other user here ({error})")
        self.assert_refused(table, "belongs to another user")

    @unittest.skipIf(os.geteuid() != 0 or SANITIZED, "NOT RUN: needs root and no sanitizer's library")
    def test_a_setuid_program_does_not_look_at_it(self):
        """Nor at any setting; and hands none to its children. The library comes by /etc/ld.so.preload."""
        conf = f"gateway = {self.gateway.url()}"
        inside = (f"mount -t tmpfs tmpfs {self.directory} && cd {self.directory} && mkdir upper work && "
                  f"mount -t overlay -o lowerdir=/etc,upperdir=upper,workdir=work overlay /etc && "
                  f"cp {PROBE} probe && chmod 4755 probe . && echo {LIBRARY} > /etc/ld.so.preload && "
                  f"mkdir -p /etc/socks64 && echo {conf} > /etc/socks64/socks64.conf && "
                  f"SOCKS64_TABLE=nonsense SOCKS64_GATEWAY=nonsense exec setpriv --reuid=65534 --clear-groups ./probe ")
        for probe in ("started", "start_cleared execve"):
            outcome = self.run_probe("-m", "sh", "-c", inside + probe, program="unshare", preload=False,
                                     environment={"SOCKS64_CONFIG": ""})
            if "mount" in outcome.stderr or "setpriv" in outcome.stderr:
                self.skipTest(f"NOT RUN: {outcome.stderr}")
            self.check(outcome)
        self.assert_asked(*[f"ipv4 192.0.2.1:{script.ECHO}"] * 2)

    @unittest.skipIf(shutil.which("unshare") is None, "NOT RUN: no unshare")
    def test_a_full_filesystem_is_a_full_table(self):
        """EAI_AGAIN, and no SIGBUS."""
        mount = f"mount -t tmpfs -o size=128k tmpfs {self.directory}"
        fill = f"dd if=/dev/zero of={self.directory}/ballast bs=4k status=none"
        told = self.check(self.run_probe(
            "-m", "sh", "-c", f"{mount} && exec {SOCKSIFY} sh -c '{PROBE} look_up_name early.test 4; {fill} 2>&-; "
            f"{PROBE} look_up_all 5000 2>&1; echo $?; {PROBE} look_up_name early.test 4'",
            program="unshare", preload=False, environment=self.variables)).splitlines()
        self.assertRegex(told[-2], str(100 + 3))  # EAI_AGAIN is -3
        self.assertEqual(told[0], told[-1])


if __name__ == "__main__":
    main()
