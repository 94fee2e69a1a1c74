"""A host of the lab: network, mount and UTS namespaces kept open by one small process, with an /etc of its own."""

import os
import socket
import subprocess
import time

import sandbox

LAB = "/run/lab"        # the sandbox's own tmpfs
REAL_ETC = f"{LAB}/etc.real"
SSH_USER, SSH_UID = "traveller", 1000

# Opens nothing, resolves nothing, ends when the lab closes its pipe. The loopback of a host without IPv4 loses 127.0.0.1.
KEEPER = """
set -e
hostname "$1"
mount --bind "$2" /etc
ip link set lo up
echo ready
exec cat
"""


class Failed(Exception):
    """The lab could not be made; the message says what was tried and what came out."""


def run_checked(argv, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def prepare():
    """Hides the machine's /run (nscd, systemd-resolved, D-Bus) behind an empty one, and keeps its /etc to borrow from."""
    run_checked(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"])
    for directory in (LAB, REAL_ETC, f"{LAB}/tmp", "/run/sshd"):
        os.makedirs(directory)
    os.chmod(f"{LAB}/tmp", 0o1777)
    run_checked(["mount", "--bind", "/etc", REAL_ETC])


def make_etc(host, nameserver, hosts_lines):
    """The machine's /etc, entry by entry, except for what names, users and resolvers are looked up in."""
    etc = f"{LAB}/etc/{host}"
    os.makedirs(etc)
    home = f"{LAB}/home/{host}"
    os.makedirs(home, mode=0o755)
    own = {
        "resolv.conf": f"nameserver {nameserver}\n" if nameserver else "",
        "hosts": f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {host}\n{hosts_lines}",
        "hostname": f"{host}\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        "passwd": f"root:x:0:0:root:{home}:/bin/bash\n{SSH_USER}:x:{SSH_UID}:{SSH_UID}::{home}:/bin/sh\n"
                  "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": f"root:x:0:\n{SSH_USER}:x:{SSH_UID}:\nnogroup:x:65534:\n",
    }
    hidden = {"gai.conf", "socks64", "nscd.conf", "proxychains.conf", "proxychains4.conf"}
    for entry in os.listdir("/etc"):
        if entry in own or entry in hidden:
            continue
        original = os.path.join("/etc", entry)
        target = os.readlink(original) if os.path.islink(original) else f"{REAL_ETC}/{entry}"
        os.symlink(target, f"{etc}/{entry}")
    for name, text in own.items():
        write(f"{etc}/{name}", text)
    return etc, home


class RunningHost:
    def __init__(self, name, nameserver=None, hosts_lines=""):
        self.name = name
        self.etc, self.home = make_etc(name, nameserver, hosts_lines)
        self.keeper = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "sh", "-c", KEEPER, "sh", name, self.etc],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        if self.keeper.stdout.readline() != "ready\n":
            raise Failed(f"host {name} did not come up")
        self.pid = self.keeper.pid
        self.environment = self.make_environment()

    def make_environment(self):
        kept = {key: value for key, value in os.environ.items()
                if key in ("PATH", "TERM", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")}
        authority = f"{LAB}/ca/ca.crt"
        return {**kept, "HOME": self.home, "USER": "root", "LOGNAME": "root", "TMPDIR": f"{LAB}/tmp", "LC_ALL": "C.UTF-8",
                "LAB_HOST": self.name, "PS1": rf"{self.name}:\w# ", "GIT_TERMINAL_PROMPT": "0",
                "CURL_CA_BUNDLE": authority, "SSL_CERT_FILE": authority, "GIT_SSL_CAINFO": authority,
                "NODE_EXTRA_CA_CERTS": authority}

    def inside(self, argv, env=None, directory=None):
        """The command line that runs argv on this host. env is for argv alone (an LD_PRELOAD is not for nsenter); a value of
        None removes a variable."""
        removed = [f"--unset={key}" for key, value in (env or {}).items() if value is None]
        added = [f"{key}={value}" for key, value in (env or {}).items() if value is not None]
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", f"--mount=/proc/{self.pid}/ns/mnt",
                f"--uts=/proc/{self.pid}/ns/uts", "--", "env", "-C", directory or self.home, *removed, *added, *argv]

    def start(self, argv, env=None, directory=None, **options):
        """A process on this host, with env in addition to the host's environment; it dies with the lab."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.inside(argv, env, directory), env=self.environment, start_new_session=True, **options)

    def run(self, argv, env=None, timeout=60, data=None, directory=None):
        """Runs argv here to its end; bytes out. A time-out kills its whole session and raises subprocess.TimeoutExpired."""
        process = self.start(argv, env, directory, stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(data, timeout=timeout)
        except subprocess.TimeoutExpired as late:
            os.killpg(process.pid, 9)
            late.stdout, late.stderr = process.communicate()
            raise
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def check(self, script):
        """Runs a shell script here as part of making the lab."""
        run_checked(self.inside(["sh", "-ec", script]))

    def socket(self, *arguments):
        """A socket of this host, in the hands of the calling process."""
        with sandbox.network_of(self.pid):
            return socket.socket(*arguments)

    def wait_for_port(self, address, port, process, seconds=20):
        """Until somebody listens there; the process that should do so must not die meanwhile."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise Failed(f"on {self.name}: {process.args[-6:]} ended with status {process.returncode}")
            with self.socket(family, socket.SOCK_STREAM) as probe:
                if probe.connect_ex((address, port)) == 0:
                    return
            time.sleep(0.02)
        raise Failed(f"on {self.name}: nobody listens on {address} port {port} after {seconds} s")
