"""--check: programs that cannot be followed, of every kind, and those that can."""

import os
import pathlib
import platform
import shutil
import struct
import subprocess
import unittest

from socksify_case import LIBRARY, SANITIZE, SOCKSIFY, SocksifyCase, main

NOBODY = 65534
HELLO = "#include <stdio.h>\nint main(void) { return puts(\"hello\") < 0; }\n"


def go_program(interpreter=b""):
    """The smallest ELF file with the note that the Go tool chain leaves; it need not run."""
    note = struct.pack("<III", 4, 8, 4) + b"Go\0\0" + b"build-id"
    segments = [(4, 0x200, len(note))] + ([(3, 0x280, len(interpreter))] if interpreter else [])
    header = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, len(segments), 64, 0, 0)
    table = b"".join(struct.pack("<IIQQQQQQ", kind, 4, at, 0, 0, size, size, 4) for kind, at, size in segments)
    return (header + table).ljust(0x200, b"\0") + note.ljust(0x80, b"\0") + interpreter


class Check(SocksifyCase):
    def check(self, *command, **options):
        status, out, err = self.socksify("--check", *command, **options)
        self.assertEqual(err, "")
        return status, out

    def assert_followed(self, *command, **options):
        status, out = self.check(*command, **options)
        self.assertEqual((status, out.splitlines()[-1].split(" ", 1)[1]), (0, "can be intercepted"), out)
        return out

    def assert_not_followed(self, why, *command, **options):
        status, out = self.check(*command, **options)
        self.assertEqual(status, 3, out)
        self.assertIn(why, out)
        return out

    def install(self, name, content, mode=0o755):
        path = self.directory / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    def need(self, program, what):
        if program is None:
            self.skipTest(f"SKIPPED, NOTHING WAS TESTED: {what}")
        return program

    def test_an_ordinary_program_is_followed(self):
        self.assertEqual(self.assert_followed("ls"), f"{shutil.which('ls')} can be intercepted\n")
        self.assert_followed(shutil.which("ls"), "--color", "-g")

    def test_a_misspelt_variable_is_told(self):
        status, out, err = self.socksify("--check", "ls", SOCKS64_GATWAY="socks5://ann:secret@192.0.2.1",
                                         SOCKS64_ELSEWHERE="1", SOCKS64_TIMEOUT="5")
        self.assertEqual((status, out), (0, f"{shutil.which('ls')} can be intercepted\n"))
        self.assertEqual(sorted(err.splitlines()), [
            "socksify: warning: SOCKS64_ELSEWHERE: unknown setting, ignored",
            "socksify: warning: SOCKS64_GATWAY: unknown setting, ignored; did you mean SOCKS64_GATEWAY?"])

    def test_a_wrong_configuration_is_told(self):
        # The library itself would say nothing unless diagnostics are on.
        self.assert_refused("SOCKS64_TIMEOUT: expected seconds, from 1 to 3600, not 'x'",
                            "--check", "ls", SOCKS64_TIMEOUT="x")
        config = self.directory / "socks64.conf"
        config.write_text("timeuot = 5\n")
        self.assert_refused(f"{config}:1: unknown key 'timeuot'; did you mean 'timeout'?",
                            "--check", "ls", SOCKS64_CONFIG=str(config))

    def test_nothing_is_run(self):
        target = self.directory / "made"
        self.assert_followed("touch", target)
        self.assertFalse(target.exists())

    def test_a_static_program(self):
        program = self.need(self.compile("static", HELLO, "-static"), "no static libc")
        self.assert_not_followed(f"{program} is statically linked: no library can be loaded into it\n", program)

    def test_a_static_position_independent_program(self):
        program = self.need(self.compile("static-pie", HELLO, "-static-pie"), "no static libc")
        self.assert_not_followed(f"{program} is statically linked", program)

    def test_a_static_go_program(self):
        self.assert_not_followed("is a Go program: it is statically linked and makes system calls itself",
                                 self.install("gopher", go_program()))

    def test_a_go_program_that_is_linked_with_libc(self):
        self.assert_not_followed("is a Go program: it makes system calls itself, although it is dynamically linked",
                                 self.install("gopher", go_program(b"/lib64/ld-linux-x86-64.so.2\0")))

    def test_the_go_tool_chains_section_is_enough(self):
        # The same name that the tool chain gives to its build information.
        program = self.need(self.compile("section", HELLO + '__attribute__((section(".go.buildinfo"), used)) char x[16];',
                                         "-static"), "no static libc")
        self.assert_not_followed("is a Go program", program)

    @unittest.skipIf(os.getuid() != 0, "needs root, to make files of other users")
    def test_a_setuid_program(self):
        program = self.install("suid", pathlib.Path(shutil.which("true")).read_bytes())
        os.chmod(self.directory, 0o755)
        program.chmod(0o4755)
        self.assert_not_followed("is setuid (runs as user 0): the loader ignores LD_PRELOAD for it", program,
                                 command=self.readable_socksify(), user=NOBODY,
                                 **self.for_everybody())

    @unittest.skipIf(os.getuid() != 0, "needs root, to make files of other groups")
    def test_a_setgid_program(self):
        program = self.install("sgid", pathlib.Path(shutil.which("true")).read_bytes())
        os.chmod(self.directory, 0o755)
        program.chmod(0o2755)
        self.assert_not_followed("is setgid (runs as group 0)", program, command=self.readable_socksify(), user=NOBODY,
                                 **self.for_everybody())

    @unittest.skipIf(os.getuid() != 0, "needs root, to give capabilities")
    def test_a_program_with_file_capabilities(self):
        setcap = shutil.which("setcap", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if setcap is None:
            self.skipTest("SKIPPED, NOTHING WAS TESTED: no setcap (libcap2-bin)")
        program = self.install("capable", pathlib.Path(shutil.which("true")).read_bytes())
        os.chmod(self.directory, 0o755)
        if subprocess.run([setcap, "cap_net_raw+ep", program], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("SKIPPED, NOTHING WAS TESTED: this file system takes no capabilities")
        self.assert_not_followed("is given file capabilities", program, command=self.readable_socksify(), user=NOBODY,
                                 **self.for_everybody())
        self.assert_followed(program)  # root gains nothing by them

    def test_ones_own_setuid_program_is_an_ordinary_one(self):
        program = self.install("own", pathlib.Path(shutil.which("true")).read_bytes())
        program.chmod(0o4755)
        self.assert_followed(program)

    def readable_socksify(self):
        """A copy where another user can get at it: the build tree may lie in a private folder."""
        return self.install("socksify", pathlib.Path(SOCKSIFY).read_bytes())

    def for_everybody(self):
        library = self.install("libsocks64.so", pathlib.Path(LIBRARY).read_bytes())
        config = self.install("empty.conf", "", 0o644)
        return {"SOCKS64_LIBRARY": str(library), "SOCKS64_CONFIG": str(config)}

    def test_a_program_linked_with_musl(self):
        program = self.need(self.compile("musl", HELLO, compiler="musl-gcc"), "no musl-gcc (musl-tools)")
        self.assert_not_followed(f"{program} is linked with musl, but {LIBRARY} with glibc", program)

    def test_a_32_bit_program_without_a_32_bit_library(self):
        program = self.need(self.compile("narrow", HELLO, "-m32"), "no 32-bit tool chain (gcc-multilib)")
        self.assert_not_followed(f"{program} is a 32-bit program, but no 32-bit libsocks64.so is installed", program)

    def test_a_program_for_another_machine(self):
        foreign = bytearray(pathlib.Path(shutil.which("true")).read_bytes())
        foreign[18:20] = struct.pack("<H", 243)  # EM_RISCV
        self.assert_not_followed("is a program for another kind of machine (ELF machine 243)",
                                 self.install("foreign", bytes(foreign)))
        big_endian = bytes(foreign[:5]) + b"\2" + bytes(foreign[6:18]) + struct.pack(">H", 22) + bytes(foreign[20:])
        self.assert_not_followed("ELF machine 22", self.install("mainframe", big_endian))

    def test_a_program_whose_loader_is_missing(self):
        program = self.compile("homeless", HELLO, "-Wl,--dynamic-linker=/nonexistent/ld.so")
        self.assert_not_followed("cannot run: its loader /nonexistent/ld.so does not exist", program)

    def test_io_uring(self):
        self.compile("libfake.so", "int io_uring_queue_init(void) { return 0; }", "-shared", "-fPIC")
        program = self.compile("ring", "int io_uring_queue_init(void); int main(void) { return io_uring_queue_init(); }",
                               f"-L{self.directory}", "-Wl,--no-as-needed", str(self.directory / "libfake.so"))
        self.assertIn("uses io_uring, which the library refuses", self.assert_followed(program))

    def test_io_uring_by_a_system_call_of_its_own(self):
        if platform.machine() != "x86_64":
            self.skipTest("NOTHING WAS TESTED: the program is x86-64's")
        program = self.compile("ownring", 'int main(void) { long n; asm volatile("mov $425, %%eax\\n syscall" : "=a"(n) :: "rcx", '
                                          '"r11", "memory"); return n == 0; }')
        self.assert_not_followed("makes io_uring's system calls in its own code", program)

    def test_another_namespace_of_libraries(self):
        program = self.compile("spaces", "void* dlmopen(long, const char*, int); int main(void) { return dlmopen(-1, 0, 1) == 0; }")
        self.assert_not_followed("calls dlmopen", program)

    def test_liburing_is_enough(self):
        self.compile("liburing.so.2", "int unused;", "-shared", "-fPIC", "-Wl,-soname,liburing.so.2")
        program = self.compile("ring", HELLO, "-Wl,--no-as-needed", str(self.directory / "liburing.so.2"))
        self.assertIn("uses io_uring", self.assert_followed(program))

    def test_a_script_is_judged_by_its_interpreter(self):
        sh = self.install("script", "#!/bin/sh -e\nexit 0\n")
        self.assertIn(f"{sh} is a script: /bin/sh runs it\n", self.assert_followed(sh))
        static = self.compile("static", HELLO, "-static")
        if static:
            self.assert_not_followed(f"{static} is statically linked", self.install("script2", f"#!{static}\n"))
        self.assert_not_followed("/nonexistent/perl No such file", self.install("script3", "#! /nonexistent/perl -w\n"))

    def test_a_script_without_interpreter_is_the_shells(self):
        self.assertIn("is a script without #!: /bin/sh runs it", self.assert_followed(self.install("plain", "exit 0\n")))

    def test_a_script_run_by_env_is_judged_by_what_env_finds(self):
        for first_line in ("#!/usr/bin/env sh", "#!/usr/bin/env -S A=1 sh -e", "#! /usr/bin/env -S -u HOME sh"):
            out = self.assert_followed(self.install("script", first_line + "\n"))
            self.assertEqual(out.splitlines()[-1], f"{shutil.which('sh')} can be intercepted", first_line)
        self.assert_not_followed("no-such-shell is not in a folder of PATH", self.install("lost", "#!/usr/bin/env no-such-shell\n"))

    def test_a_program_that_env_runs(self):
        static = self.need(self.compile("static", HELLO, "-static"), "no static libc")
        self.assert_not_followed(f"{static} is statically linked", "env", "A=1", static)
        self.assert_not_followed(f"{static} is statically linked", "env", "-i", "-u", "HOME", "--", static)
        self.assert_followed("env", "-i", "sh")

    def test_scripts_in_a_circle(self):
        self.assert_not_followed("is a script that too many scripts in a row run", self.install("loop", f"#!{self.directory}/loop\n"))

    def test_what_is_not_there_or_cannot_run(self):
        self.assert_not_followed("no-such-program is not in a folder of PATH", "no-such-program")
        self.assert_not_followed("/nonexistent/x No such file or directory", "/nonexistent/x")
        self.assert_not_followed("is not a regular file", self.directory)
        self.assert_not_followed("is not executable for this user", self.install("text", "#!/bin/sh\n", 0o644))
        self.assert_not_followed("is neither an ELF program nor a script", self.install("noise", bytes(range(256))))
        self.assert_not_followed("names no program after its #!", self.install("bare", "#!\n"))

    def test_a_shell_builtin(self):
        self.assert_not_followed("cd is built into the shell", "cd", PATH=str(self.directory))

    def test_damaged_programs_do_not_harm(self):
        whole = pathlib.Path(shutil.which("true")).read_bytes()
        for size in (4, 16, 20, 63, 64, 100, 500, 2000, len(whole) // 2):
            status, _ = self.check(self.install("cut", whole[:size]))
            self.assertIn(status, (0, 3), size)
        for position in range(0, 1024, 7):
            spoilt = bytearray(whole)
            spoilt[position:position + 8] = b"\xff" * 8
            status, _ = self.check(self.install("spoilt", bytes(spoilt)))
            self.assertIn(status, (0, 3), position)

    def test_explain_warns_of_it_before_it_runs(self):
        program = self.need(self.compile("static", HELLO, "-static"), "no static libc")
        self.assertEqual(self.socksify("--explain", program),
                         (0, "hello\n", f"socksify: warning: {program} is statically linked: no library can be loaded into it\n"))
        self.assertEqual(self.socksify(program), (0, "hello\n", ""))


if __name__ == "__main__":
    main()
