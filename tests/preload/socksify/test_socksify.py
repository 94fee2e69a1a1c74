"""The wrapper command as its users see it: messages, exit statuses, environment."""
import os
import pathlib
import subprocess
import sys
import tempfile

SOCKSIFY = os.environ["SOCKS64_TEST_SOCKSIFY"]
LIBRARY = os.environ["SOCKS64_TEST_LIBRARY"]
# The program under test is not linked with a sanitizer's library, which would have to come first.
PRELOADED = [entry for entry in os.environ["SOCKS64_TEST_PRELOAD"].split(":") if "libasan" in entry]
failures = 0


def run(*arguments, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SOCKS64_", "LD_")) and name.lower() not in
             ("all_proxy", "no_proxy", "socks_server", "socks5_server")}
    if PRELOADED:
        clean["LD_PRELOAD"] = ":".join(PRELOADED)
    clean.update({name: value for name, value in environment.items() if value is not None})
    done = subprocess.run([SOCKSIFY, *arguments], env=clean, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def check(got, wanted, what):
    global failures
    if got != wanted:
        failures += 1
        print(f"{what}: got {got!r}, expected {wanted!r}")


def check_fails(status, message, *arguments, **environment):
    got, out, err = run(*arguments, **environment)
    check((got, out, err), (status, "", f"socksify: {message}\n"), f"{arguments} {environment}")


check(run("--version")[:2], (0, "socksify 0.1.0\n"), "--version")
status, out, _ = run("--help")
check((status, all(word in out for word in ("PROGRAM", "--gateway", "--config", "--log", "--version"))), (0, True), "--help")

usage = "the program is missing. Usage: socksify [OPTIONS] [--] PROGRAM [ARGS...]"
check_fails(2, usage)
check_fails(2, usage, "-v")
check_fails(2, usage, "--")
check_fails(2, "unknown option '--bogus' (socksify --help shows the options)", "--bogus", "true")
check_fails(2, "-g: expected socks5://[USER:PASSWORD@]HOST[:PORT] or socks5+unix:///PATH", "-g", "nonsense", "true")
check_fails(2, "-g: expected socks5://[USER:PASSWORD@]HOST[:PORT] or socks5+unix:///PATH, got nothing", "-g", "", "true")
check_fails(2, "-g: expected an IP address or a host name, not 'gw..test'", "-g", "socks5://u:secret@gw..test", "true")
check_fails(2, "--log: expected off, error, info or explain, not 'all'", "--log", "all", "true")
check_fails(2, "SOCKS64_GATEWAY: expected socks5://[USER:PASSWORD@]HOST[:PORT] or socks5+unix:///PATH", "true", SOCKS64_GATEWAY="nonsense")
check_fails(2, "SOCKS64_LIBRARY: '/nonexistent/x.so' is not a readable file", "true", SOCKS64_LIBRARY="/nonexistent/x.so")
check_fails(127, "cannot run 'no-such-program': No such file or directory", "no-such-program")
check_fails(126, "cannot run '/etc/passwd': Permission denied", "/etc/passwd")

# The program's exit status, arguments and signals pass through.
check(run("sh", "-c", "exit 7")[0], 7, "exit status")
check(run("sh", "-c", "kill -TERM $$")[0], -15, "signal")
check(run("echo", "-g", "--help", "--", "x")[:2], (0, "-g --help -- x\n"), "options of the program")
check(run("--", "echo", "--", "-v")[:2], (0, "-- -v\n"), "separator")

# What the program finds in its environment; a password is not on its command line.
show = ("sh", "-c", 'echo "$SOCKS64_GATEWAY|$SOCKS64_LOG|$SOCKS64_CONFIG|$LD_PRELOAD"; tr "\\0" " " </proc/$$/cmdline')
ours = ":".join(PRELOADED + [LIBRARY])
status, out, _ = run("-g", "socks5://a:secret@192.0.2.1", "--log", "error", *show)
first, command_line = out.split("\n", 1)
check(first, f"socks5://a:secret@192.0.2.1|error||{ours}", "environment")
check("secret" in command_line, False, "password on the command line")
status, out, _ = run("-v", *show, SOCKS64_GATEWAY="socks5://192.0.2.7")
check(out.split("\n")[0], f"socks5://192.0.2.7|info||{ours}", "gateway of the environment")

# An LD_PRELOAD that is there stays, and ours is in it once.
other = next(str(path) for path in pathlib.Path("/lib").glob("*/libm.so.6"))
for present in (other, f"{LIBRARY} {other}", f"{other}:{LIBRARY}"):
    listed = ":".join(PRELOADED + [present])
    status, out, _ = run("sh", "-c", 'echo "$LD_PRELOAD"', LD_PRELOAD=listed)
    check(out, ":".join(PRELOADED + [LIBRARY, other]) + "\n", f"LD_PRELOAD={listed}")

with tempfile.TemporaryDirectory() as directory:
    config = pathlib.Path(directory, "my.conf")
    config.write_text("gateway = socks5://a:secret@192.0.2.9\n")
    config.chmod(0o644)
    status, out, err = run("--config", str(config), *show)
    check(out.split("\n")[0], f"||{config}|{ours}", "--config")
    check(err, f"socksify: warning: {config} holds a password, but every user may read it\n", "warning")
    config.chmod(0o600)
    check(run("--config", str(config), "true"), (0, "", ""), "no warning")
    config.write_text("gatewy = x\n")
    check_fails(2, f"{config}:1: unknown key 'gatewy'; did you mean 'gateway'?", "--config", str(config), "true")
    check_fails(2, f"{directory}/no.conf: the configuration file named by SOCKS64_CONFIG does not exist",
                "--config", f"{directory}/no.conf", "true")

    # Away from its library it says where it looked.
    lonely = pathlib.Path(directory, "bin", "socksify")
    lonely.parent.mkdir()
    lonely.write_bytes(pathlib.Path(SOCKSIFY).read_bytes())
    lonely.chmod(0o755)
    SOCKSIFY = str(lonely)
    status, out, err = run("true")
    check((status, "libsocks64.so was not found in" in err), (2, True), "missing library")
    check(run("true", SOCKS64_LIBRARY=LIBRARY)[0], 0, "SOCKS64_LIBRARY")
    # An installed tree.
    pathlib.Path(directory, "lib").mkdir()
    os.symlink(LIBRARY, pathlib.Path(directory, "lib", "libsocks64.so"))
    check(run("true")[0], 0, "the library of an installation")

print(f"{failures} failures")
sys.exit(1 if failures else 0)
