"""The servers that are measured: gatewayd, its peers, and two references that are no SOCKS servers."""

import os
import shlex
import shutil
import socket
import subprocess
import time

from isolation import PASSWORD, SCRATCH, USER, die_with_parent

PORT = 1080
DESTINATION = 7000  # the load's echo; the source, the sink and both are on the next three ports
SERVICES = 4


class Failed(Exception):
    """Why there is no figure."""


def write(name, text):
    path = f"{SCRATCH}/{name}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


class Server:
    """One kind of server. start() and stop() once for each measurement: nothing is carried over."""
    socks = True
    reference = False  # not among those that gatewayd is compared with
    name, program = "", ""

    def missing(self):
        """What has to be installed; None: it is there."""
        return None if shutil.which(self.program) else self.program

    def version(self):
        return "?"

    def command(self, login, cores):
        raise NotImplementedError

    def start(self, login, cores):
        self.errors = open(f"{SCRATCH}/server.errors", "wb+")

        def prepare():
            die_with_parent()
            os.sched_setaffinity(0, cores)
        # Output is thrown away: none of them is measured by its log, but for gatewayd's access records, which go to a file.
        self.process = subprocess.Popen(self.command(login, cores), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.errors,
                                        preexec_fn=prepare)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Failed(f"does not start: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", PORT), 1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise Failed("does not listen after 10 s")

    def last_words(self):
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return (lines or [f"status {self.process.returncode}"])[-1][:160]

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failed(f"ended by itself: {self.last_words()}")

    def stop(self):
        if not getattr(self, "process", None):
            return
        for pid in tree(self.process.pid):
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process = None
        self.errors.close()


def package_version(package):
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False)
    return done.stdout or "?"


class Gatewayd(Server):
    """As it is by default, its access records in a file. Its destinations are on loopback, which it refuses unless a rule allows them: the
    rule is part of what is measured."""
    name = "gatewayd"
    warm_password = False

    def __init__(self, program, name="gatewayd", access_log=True, cores=None):
        self.program, self.name, self.access_log = program, name, access_log
        self.cores = cores

    def missing(self):
        return None if os.access(self.program, os.X_OK) else self.program

    def version(self):
        return subprocess.run([self.program, "--version"], capture_output=True, text=True, check=False).stdout.strip()

    def command(self, login, cores):
        text = f'[[listener]]\naddress = "127.0.0.1:{PORT}"\n[resolver]\nservers = ["127.0.0.1"]\n[log]\nlevel = "error"\n'
        if login:
            users = f"{SCRATCH}/users"
            if not os.path.exists(users):
                subprocess.run([self.program, "passwd", "--stdin", "-f", users, USER], input=PASSWORD + "\n", text=True, check=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            text += f'[auth]\nusers_file = "{users}"\nmethods = ["password"]\n'
        access = f"{SCRATCH}/access.log" if self.access_log else "none"
        if self.access_log and os.path.exists(access):
            os.unlink(access)  # the tmpfs is memory
        return [self.program, "--config", write("gatewayd.toml", text), "--allow-to", "127.0.0.0/8", "--allow-to", "::1", "--access-log", access]


class Dante(Server):
    name, program = "Dante", "danted"

    def version(self):
        return package_version("dante-server")

    def command(self, login, cores):
        return ["danted", "-f", write("danted.conf", f"""
errorlog: stderr
internal: 127.0.0.1 port = {PORT}
external: lo
external.rotation: route
clientmethod: none
socksmethod: {"username" if login else "none"}
user.privileged: root
user.unprivileged: root
client pass {{ from: 0/0 to: 0/0 }}
socks pass {{ from: 0/0 to: 0/0 }}
""")]


class Microsocks(Server):
    name = program = "microsocks"

    def version(self):
        return package_version("microsocks")

    def command(self, login, cores):
        return ["microsocks", "-i", "127.0.0.1", "-p", str(PORT), *(["-u", USER, "-P", PASSWORD] if login else [])]


class HaProxy(Server):
    """In TCP mode to the one destination: a reference for what relaying costs without SOCKS."""
    name, program = "HAProxy", "haproxy"
    socks, reference = False, True

    def version(self):
        return package_version("haproxy")

    def command(self, login, cores):
        listens = "".join(f"listen service{i}\n  bind 127.0.0.1:{PORT + i}\n  server d 127.0.0.1:{DESTINATION + i}\n" for i in range(SERVICES))
        return ["haproxy", "-db", "-f", write("haproxy.cfg", f"""global
  nbthread {len(cores)}
  maxconn 9910
  maxpipes 32
defaults
  mode tcp
  option splice-auto
  timeout connect 10s
  timeout client 1h
  timeout server 1h
{listens}""")]


class Kernel(Server):
    """No server at all: what the load and its destination reach by themselves."""
    name = "direct"
    socks, reference = False, True
    process = None

    def missing(self):
        return None

    def version(self):
        return os.uname().release

    def start(self, login, cores):
        pass

    def check_alive(self):
        pass


class Other(Server):
    """--peer NAME=COMMAND, with {port} in it."""

    def __init__(self, name, command):
        self.name, self.words = name, shlex.split(command)
        self.program = self.words[0]

    def command(self, login, cores):
        if login:
            raise Failed("its command line has no login")
        return [word.replace("{port}", str(PORT)) for word in self.words]


def tree(root):
    """That process and all below it, as far as they live."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat(entry)
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(entry))
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def stat(pid):
    """The fields of /proc/PID/stat from the third on."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def cpu_seconds(root):
    """Of the whole tree, processes that have ended included once their parent has seen it."""
    ticks = 0
    for pid in tree(root):
        fields = stat(pid)
        if fields:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
