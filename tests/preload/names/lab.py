"""Runs one case of probe_names under the shim, in namespaces of its own, and proves that nobody was asked.

Inside, /etc/hosts, /etc/services and /etc/resolv.conf are ours, the host is called probe.lab.test, and there is a DNS
server on the loopback interface (the only one) as well as the sockets of nscd and of systemd-resolved: all of them
count who comes. The same question asked without the shim must be seen by them; with the shim, none may be.
"""
import os
import pathlib
import select
import socket
import subprocess
import sys

HOSTS = """127.0.0.1 localhost
192.0.2.10 Both.lab.test both alias.lab.test
2001:db8::10 both.lab.test
192.0.2.11 four.lab.test
2001:db8::12 six.lab.test  # only IPv6
127.0.1.1 probe.lab.test probe
192.0.2.13 multi.lab.test
192.0.2.14 multi.lab.test
"""
SERVICES = """http 80/tcp www # WorldWideWeb
domain 53/tcp
domain 53/udp
tftp 69/udp
"""
NETWORKS = """loopback 127.0.0.0
# a comment
labnet 192.0.2 lab-alias other-alias
"""
FILES = {
    "networks": NETWORKS,
    "hosts": HOSTS,
    "services": SERVICES,
    "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    "nsswitch.conf": "hosts: files dns\nservices: files\n",
}


def skip(why):
    print(f"SKIPPED, NOT RUN: {why}")
    sys.exit(77)


def enter():
    command = ["unshare", "--mount", "--net", "--uts"]
    if os.geteuid() != 0:
        command += ["--user", "--map-root-user"]
    try:
        subprocess.run(command + ["true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        skip(f"needs root or unprivileged user namespaces ({error})")
    os.execvp(command[0], command + [sys.executable, __file__, "--inside"] + sys.argv[1:])


class Witnesses:
    """Everything that libc could turn to; non-blocking, so that asking them costs no waiting."""

    def __init__(self):
        self.sockets = {}
        for kind, name in ((socket.SOCK_DGRAM, "DNS over UDP"), (socket.SOCK_STREAM, "DNS over TCP")):
            one = socket.socket(socket.AF_INET, kind)
            one.bind(("127.0.0.1", 53))
            self.add(one, kind, name)
        for path in ("/run/nscd/socket", "/run/systemd/resolve/io.systemd.Resolve"):
            pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
            one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            one.bind(path)
            self.add(one, socket.SOCK_STREAM, path)

    def add(self, one, kind, name):
        if kind == socket.SOCK_STREAM:
            one.listen(16)
        self.sockets[one] = (kind, name)

    def seen(self, timeout=0.0):
        names = set()
        while ready := select.select(list(self.sockets), [], [], timeout)[0]:
            for one in ready:
                kind, name = self.sockets[one]
                if kind == socket.SOCK_STREAM:
                    one.accept()[0].close()
                else:
                    one.recv(4096)
                names.add(name)
            timeout = 0.0
        return names


def run(*command):
    subprocess.run(command, check=True)


def inside(probe, case):
    """All mounts, /run among them, end with the namespace: there is nothing to clean up."""
    run("mount", "--make-rprivate", "/")
    resolved = {name: pathlib.Path("/etc", name).resolve() for name in FILES}  # some are links into /run
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    directory = pathlib.Path("/run/lab")
    directory.mkdir()
    for name, text in FILES.items():
        target = resolved[name]
        if target.is_relative_to("/run"):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        if name == "networks" and not target.exists():
            continue  # a machine may do without
        if not target.exists():
            skip(f"{target} does not exist, so that nothing can be mounted over it")
        (directory / name).write_text(text)
        run("mount", "--bind", str(directory / name), str(target))
    run("ip", "link", "set", "lo", "up")
    socket.sethostname("probe.lab.test")

    witnesses = Witnesses()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LD_")}
    # The control: libc alone does ask, and the witnesses notice.
    control = subprocess.Popen([probe, "control"], env=environment)
    noticed = witnesses.seen(timeout=10)
    control.kill()
    control.wait()
    witnesses.seen()
    assert noticed, "libc asked nobody: the witnesses prove nothing"

    environment["LD_PRELOAD"] = os.environ["SOCKS64_TEST_PRELOAD"]
    status = subprocess.run([probe, case], env=environment).returncode
    noticed = witnesses.seen()
    assert not noticed, f"somebody was asked: {noticed}"
    return status


if __name__ == "__main__":
    if sys.argv[1] == "--inside":
        status = inside(*sys.argv[2:])
        if status != 0:
            print(f"the probe ended with {status}")
        sys.exit(0 if status == 0 else 1)
    enter()
