"""One measurement: a fresh server, the load, what both cost meanwhile."""

import dataclasses
import json
import os
import subprocess
import threading
import time

from isolation import die_with_parent
from servers import DESTINATION, PORT, Failed, cpu_seconds, tree

BESIDE = 7100  # the destination of what goes on beside


@dataclasses.dataclass
class Machine:
    """Who runs where. With one core for all nothing is kept apart; the table says so."""
    load_program: str
    server_cores: set
    load_cores: set
    all_cores: set


def machine_of(load_program):
    cores = sorted(os.sched_getaffinity(0))
    return Machine(load_program, {cores[0]}, set(cores[1:2] or cores), set(cores))


class Load:
    """A run of bench_load. Its lines come on stdout, what went wrong on stderr."""

    def __init__(self, machine, arguments, cores, patience):
        def prepare():
            die_with_parent()
            os.sched_setaffinity(0, cores)
        self.process = subprocess.Popen([machine.load_program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=prepare)
        self.timer = threading.Timer(patience, self.process.kill)
        self.timer.start()

    def line(self, expected):
        line = self.process.stdout.readline().strip()
        if line != expected:
            self.fail()

    def fail(self):
        out_of_time = not self.timer.is_alive()
        self.process.kill()
        errors = self.process.stderr.read().strip().splitlines()
        raise Failed(errors[-1].removeprefix("bench_load: ") if errors else "no end in time" if out_of_time else "the load ended silently")

    def result(self):
        """The JSON object at its end."""
        self.process.stdin.close()
        line = self.process.stdout.readline()
        if self.process.wait() != 0 or not line.startswith("{"):
            self.fail()
        return json.loads(line)

    def end(self):
        self.timer.cancel()
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except OSError:
                pass


def busy_seconds():
    """Of all processors, whoever used them."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = list(map(int, file.readline().split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def towards(server):
    if server.socks:
        return ["--proxy", f"127.0.0.1:{PORT}", "--port", str(DESTINATION)]
    return ["--direct", "--port", str(DESTINATION), *(["--direct-port", str(PORT)] if server.process else [])]


def calm_down(pids):
    """Waits until every buffer on the way of what goes on beside is full, which is work for a second."""
    end = time.monotonic() + 5
    before = sum(map(cpu_seconds, pids))
    while time.monotonic() < end:
        time.sleep(0.3)
        now = sum(map(cpu_seconds, pids))
        if now - before < 0.04:
            return
        before = now


def listens():
    return ["--listen", "127.0.0.1", "--listen", "::1"]


def measure(machine, server, row, seconds, two_cores=False):
    """The figures of one run: rate, cost (CPU seconds of the server for each unit), latencies."""
    cores = machine.all_cores if two_cores else machine.server_cores
    load_cores = machine.all_cores if two_cores else machine.load_cores
    if row.login and not server.socks:
        raise Failed("no SOCKS")
    running = []
    try:
        server.start(row.login, cores)
        if row.beside:
            destination = Load(machine, ["serve", *listens(), "--port", str(BESIDE), *(["--names"] if row.names else [])], load_cores, 600)
            running.append(destination)
            destination.line("ready")
            beside = Load(machine, ["run", *row.beside, "--proxy", f"127.0.0.1:{PORT}", "--port", str(BESIDE)], load_cores, 600)
            running.append(beside)
            beside.line("open")
            calm_down([server.process.pid, destination.process.pid])
        arguments = ["run", *row.load, *towards(server), "--with-destination", *listens(), "--seconds", str(seconds), "--warm-up",
                     str(min(0.5, seconds / 4)), "--patience", "15"]
        if row.names and not row.beside:
            arguments.append("--names")
        load = Load(machine, arguments, load_cores, seconds + 40)
        running.append(load)
        load.line("open")
        load.line("begin")
        before = [cpu_seconds(server.process.pid) if server.process else 0, busy_seconds()]
        load.line("end")
        after = [cpu_seconds(server.process.pid) if server.process else 0, busy_seconds()]
        found = load.result()
        server.check_alive()
        for other in running[:-1]:
            if other.process.poll() is not None:
                other.fail()
    finally:
        for process in reversed(running):
            process.end()
        server.stop()
    member, scale = row.unit[:2]
    rate = found[member] / scale
    cpu, busy = after[0] - before[0], after[1] - before[1]
    result = {"rate": rate, "cpu_seconds": cpu, "load_cpu_share": found["load_cpu_seconds"] / found["seconds"],
              "server_cpu_share": cpu / found["seconds"], "cost": cpu / (rate * found["seconds"]) * (1 if member == "gb_per_second" else 1e6),
              "other_work": max(0, busy - cpu - found["load_cpu_seconds"]) / found["seconds"] if not running[:-1] else 0}
    for name in ("latency_us", "handshake_us", "lost"):
        if name in found:
            result[name] = found[name]
    return result


# Idle relays

def pss_kib(root):
    total = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            pass  # it has just ended
    return total


def descriptors(root):
    total = 0
    for pid in tree(root):
        try:
            total += len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            pass
    return total


def kernel_kib():
    """All slabs, kernel stacks, page tables, and what sockets have queued, of the whole machine."""
    total = 0
    try:
        with open("/proc/slabinfo", encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if fields[1].isdigit():
                    total += int(fields[1]) * int(fields[3]) / 1024
    except OSError:
        return None  # root's alone
    with open("/proc/meminfo", encoding="ascii") as file:
        total += sum(int(line.split()[1]) for line in file if line.startswith(("KernelStack:", "PageTables:")))
    with open("/proc/net/sockstat", encoding="ascii") as file:
        total += next(int(line.split()[-1]) for line in file if line.startswith("TCP:")) * 4
    return total


def measure_memory(machine, server, row, settle):
    running = []
    try:
        server.start(False, machine.server_cores, many=True)
        destination = Load(machine, ["serve", "--listen", "127.0.0.1", "--port", str(DESTINATION)], machine.load_cores, 300)
        running.append(destination)
        destination.line("ready")
        time.sleep(0.1)
        pid = server.process.pid
        before = [pss_kib(pid), descriptors(pid), kernel_kib()]
        load = Load(machine, ["run", "idle", "--connections", str(row.relays), "--patience", "60", *towards(server)], machine.load_cores, 120)
        running.append(load)
        load.line("open")
        time.sleep(settle)
        after = [pss_kib(pid), descriptors(pid), kernel_kib()]
        load.result()
        server.check_alive()
    finally:
        for process in reversed(running):
            process.end()
        server.stop()
    each = [None if was is None else (is_now - was) / row.relays for was, is_now in zip(before, after)]
    return {"pss_kib": each[0], "descriptors": each[1], "kernel_kib": each[2], "pss_at_rest_kib": before[0]}
