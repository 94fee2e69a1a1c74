"""A place of our own: new user (if need be), network, mount, PID and UTS namespaces.

Everything the lab makes lives in here: processes in the PID namespace, files in a tmpfs over /run, links and addresses in
the network namespaces. So there is nothing to clean up. When the runner dies, even by SIGKILL, the kernel kills the PID
namespace's init, with it every process, and with the last process the namespaces, the links and the files.
"""

import ctypes
import os
import signal
import subprocess
import sys

SKIPPED = 77  # ctest's SKIP_RETURN_CODE
INSIDE = "SOCKS64_LAB_INSIDE"
FORCE = "SOCKS64_LAB_MODE"  # "root" or "userns": use this way only

PR_SET_PDEATHSIG = 1
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)

NAMESPACES = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
WAYS = {
    "root": ["unshare", *NAMESPACES],
    "userns": ["unshare", "--user", "--map-root-user", *NAMESPACES],
}

# What the lab needs of the kernel. A container may grant a namespace and still refuse a tmpfs or a veth pair.
PROBE = """
mount -t tmpfs tmpfs /run &&
ip link add probe0 type veth peer name probe1 &&
echo 0 > /proc/sys/net/ipv4/ip_forward
"""

NEEDED = ["unshare", "nsenter", "ip", "dnsmasq", "nginx", "sshd", "ssh-keygen", "openssl", "git", "curl"]


def search_path():
    """sbin is not on every user's PATH."""
    path = os.environ.get("PATH", "/usr/bin:/bin").split(":")
    return ":".join(path + [d for d in ("/usr/local/sbin", "/usr/sbin", "/sbin") if d not in path])


def find(program):
    for directory in search_path().split(":"):
        candidate = os.path.join(directory, program)
        if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    return None


def mode():
    """How this sandbox was made: "root" or "userns"; None outside of one."""
    return os.environ.get(INSIDE)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def did_not_run(reason):
    bar = "*" * 100
    print(f"{bar}\nE2E DID NOT RUN: {reason}\n{bar}", file=sys.stderr, flush=True)
    sys.exit(SKIPPED)


def choose_way():
    missing = [program for program in NEEDED if not find(program)]
    if missing:
        did_not_run("not installed: " + ", ".join(missing) + " (tools/deps installs them)")
    forced = os.environ.get(FORCE)
    if forced and forced not in WAYS:
        sys.exit(f"{FORCE} is '{forced}': expected root or userns")
    candidates = [forced] if forced else (["root", "userns"] if os.geteuid() == 0 else ["userns"])
    said = []
    for name in candidates:
        probe = subprocess.run([*WAYS[name], "sh", "-c", PROBE], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True, check=False)
        if probe.returncode == 0:
            return name
        said.append(f"{name}: {probe.stderr.strip() or 'exit status ' + str(probe.returncode)}")
    did_not_run("no network namespaces, neither as root nor through a user namespace (" + "; ".join(said) + ")")
    return None


def enter():
    """Runs this command again inside a new sandbox and exits with its status; returns at once inside of one."""
    if mode():
        return
    os.environ["PATH"] = search_path()
    way = choose_way()
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1")
    environment[INSIDE] = way
    inside = subprocess.Popen([*WAYS[way], sys.executable, *sys.argv], env=environment,
                              preexec_fn=die_with_parent)
    # A terminal's interrupt reaches the inside by itself; any other request to stop ends the namespace at once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: inside.kill())
    status = inside.wait()
    sys.exit(status if status >= 0 else 128 - status)


class network_of:
    """Within the block, sockets that this thread makes belong to the network namespace of that process."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.switch(there)
        finally:
            os.close(there)

    def __exit__(self, *_):
        try:
            self.switch(self.home)
        finally:
            os.close(self.home)

    @staticmethod
    def switch(descriptor):
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
