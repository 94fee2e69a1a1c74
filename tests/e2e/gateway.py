"""The gateway under test on the gateway host: its configuration, its access records, its life."""

import ipaddress
import re
import signal
import subprocess
from dataclasses import dataclass

import topology
from hosts import LAB, Failed, write
from services import LOGS, start_logged

CONFIGURATION = f"{LAB}/gatewayd.toml"
FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


def host_and_port(address, port=topology.GATEWAY_PORT):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@dataclass
class Record:
    """One line of the access log."""
    line: str
    fields: dict

    @classmethod
    def parse(cls, line):
        return cls(line.rstrip("\n"), {key: value.strip('"') for key, value in FIELD.findall(line)})

    def __getattr__(self, name):
        try:
            return self.__dict__["fields"][name]
        except KeyError:
            raise AttributeError(f"no field '{name}' in: {self.__dict__.get('line')}") from None

    @property
    def asked(self):
        """What the client asked for: "name", "ipv4" or "ipv6"."""
        host = self.target.rpartition(":")[0]
        if host.startswith("["):
            return "ipv6"
        return "ipv4" if re.fullmatch(r"[0-9.]+", host) else "name"

    def milliseconds(self, name):
        return float(getattr(self, f"{name}_ms"))

    def __repr__(self):
        return self.line


class Gateway:
    listen = [side.split("/")[0] for client in topology.CLIENTS for side in client.gateway_side]
    # Without a rule that says whose they are, gatewayd does not serve addresses beyond loopback.
    rule = "[[rule]]\naction = \"allow\"\nclients = [" + ", ".join(
        f'"{ipaddress.ip_interface(side).network}"' for client in topology.CLIENTS for side in client.gateway_side) + "]\n"

    def __init__(self, host, program):
        self.host = host
        self.program = program
        self.process = None
        self.generation = 0
        self.log = None

    @staticmethod
    def url(client):
        """The gateway as a client names it."""
        return f"socks5://{host_and_port(topology.HOSTS[client].gateways[0])}"

    def configure(self, extra, listener):
        listeners = "".join(f'[[listener]]\naddress = "{host_and_port(address)}"\n{listener}\n' for address in self.listen)
        write(CONFIGURATION, f"{extra}\n{listeners}{'' if '[[rule]]' in extra else self.rule}")

    def start(self, extra="", listener=""):
        """extra: lines of TOML in addition to the lab's own; listener: lines for each [[listener]]. DNS is what the gateway
        host's resolv.conf says."""
        if not self.program:
            raise Failed("gatewayd is not built; SOCKS64_GATEWAYD may name one")
        self.configure(extra, listener)
        self.generation += 1
        name = f"gatewayd.{self.generation}"
        self.log = f"{LOGS}/{name}"
        self.process = start_logged(self.host, [self.program, "--config", CONFIGURATION], name)
        for address in self.listen:
            self.host.wait_for_port(address, topology.GATEWAY_PORT, self.process)

    def lines(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.readlines()

    def mark(self):
        """A place in the log; records() gives what came after it."""
        return len(self.lines())

    def records(self, mark=0):
        every = [Record.parse(line) for line in self.lines()[mark:] if " access " in line]
        return [record for record in every if record.target != "-"]  # not those of wait_for_port()

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=15):
        """Its exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            self.process.kill()
            self.process.wait()
            raise Failed(f"gatewayd still ran {seconds} s after it was told to stop") from late

    def end(self):
        """Ends it, however it is; the address is free afterwards."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
