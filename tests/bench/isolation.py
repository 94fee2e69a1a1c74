"""Where a benchmark runs: namespaces of its own, with their own network, names, users and /run, which all end with it."""

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys

INSIDE = "SOCKS64_BENCH_INSIDE"
SCRATCH = "/run/bench"
SKIPPED = 77  # ctest's SKIP_RETURN_CODE
NAME = "target.bench.test"  # has an entry in /etc/hosts; other names below bench.test are in the DNS
USER, PASSWORD = "bench", "benchpass"

NAMESPACES = ["--net", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]


def did_not_run(reason):
    bar = "*" * 100
    print(f"{bar}\nTHE BENCHMARK DID NOT RUN: {reason}\n{bar}", file=sys.stderr, flush=True)
    sys.exit(SKIPPED)


def unshare():
    return ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), *NAMESPACES]


def cannot():
    """Why there is no place for the benchmark; None: there is."""
    missing = [program for program in ("unshare", "ip", "mount") if not shutil.which(program)]
    if missing:
        return f"not installed: {', '.join(missing)} (tools/deps installs them)"
    probe = subprocess.run([*unshare(), "mount", "-t", "tmpfs", "tmpfs", "/run"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                           check=False)
    if probe.returncode == 0:
        return None
    return "no namespaces, neither as root nor in a user namespace: " + (probe.stderr.strip() or f"status {probe.returncode}")


def enter():
    """Runs this command again inside and exits with its status; returns inside. Nothing stays behind, however it ends: processes end with
    the PID namespace, files with the tmpfs."""
    if os.environ.get(INSIDE):
        prepare()
        return
    reason = cannot()
    if reason:
        did_not_run(reason)
    # A session is an autogroup of its own, to which a priority can be given.
    inside = subprocess.Popen([*unshare(), sys.executable, "-B", *sys.argv], env=dict(os.environ, **{INSIDE: "yes"}),
                              start_new_session=True, preexec_fn=die_with_parent)

    told = []

    def end(number, _):
        # Ends the wait below, and with it the process.
        told.append(number)
        os.kill(inside.pid, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    status = inside.wait()
    if told:
        print(f"\n{os.path.relpath(sys.argv[0])}: ended by {signal.Signals(told[0]).name}; nothing is left running", file=sys.stderr, flush=True)
        sys.exit(128 + told[0])
    sys.exit(status if status >= 0 else 128 - status)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def put(path, value):
    """Writes what may not be there, or not be allowed; says whether it worked."""
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
        return True
    except OSError:
        return False


def prepare():
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    os.mkdir(SCRATCH)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # Thousands of connections a second, two ports each, and a minute in TIME_WAIT.
    put("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535")
    put("/proc/sys/net/ipv4/tcp_tw_reuse", "1")
    put("/proc/sys/net/core/somaxconn", "4096")
    put("/proc/sys/net/ipv4/ip_local_reserved_ports", "1080-1090,7000-7003,7100-7103")
    # Before whatever else the machine does, unless nothing is measured.
    if "--smoke" not in sys.argv:
        put("/proc/self/autogroup", "-20")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    replace("/etc/hosts", f"127.0.0.1 localhost {NAME}\n::1 localhost6\n")
    replace("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    replace("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n")
    # Dante's users are those of the system.
    with open("/etc/passwd", encoding="utf-8") as file:
        replace("/etc/passwd", file.read() + f"{USER}:x:65000:65534::/nonexistent:/usr/sbin/nologin\n")
    hashed = subprocess.run(["openssl", "passwd", "-1", PASSWORD], capture_output=True, text=True, check=False).stdout.strip()
    replace("/etc/shadow", f"root:*:19000::::::\n{USER}:{hashed or '*'}:19000::::::\n")


def replace(path, text):
    if not os.path.exists(path):
        return
    mine = SCRATCH + path.replace("/", "_")
    with open(mine, "w", encoding="utf-8") as file:
        file.write(text)
    subprocess.run(["mount", "--bind", mine, os.path.realpath(path)], check=True)
