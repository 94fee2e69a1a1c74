"""What is measured: one row of the table each."""

import dataclasses

from isolation import NAME

BULK = ("gb_per_second", 1, "GB/s", "CPU s/GB")
MESSAGES = ("messages_per_second", 1, "msg/s", "CPU µs")
VISITS = ("connections_per_second", 1, "conn/s", "CPU µs")


@dataclasses.dataclass
class Row:
    key: str        # for --only
    title: str
    load: list      # arguments of `bench_load run`
    unit: tuple     # member of its JSON, and how rate and cost are called
    goal: tuple = ()        # at least so many times the best peer's rate, at most so many times its CPU
    lowest_p99: bool = False  # ... and a 99th percentile below that of each peer
    references: bool = True  # HAProxy and the bare kernel can do it, too
    login: bool = False
    names: bool = False     # a DNS server is needed
    beside: list = dataclasses.field(default_factory=list)  # another load, which goes on meanwhile
    two_cores: bool = False
    no_access_log: bool = False
    own_time: float = 1     # times the usual duration

    @property
    def latency(self):
        return self.unit[0] != "gb_per_second"


@dataclasses.dataclass
class Memory:
    key: str
    title: str
    relays: int


def visit(key, title, *more, **also):
    return Row(key, title, ["connects", "--connections", "32", *more], VISITS, references=also.pop("references", False), **also)


ROWS = [
    Row("download.4", "download, 4 streams", ["download", "--connections", "4"], BULK, (1.25, 0.65), two_cores=True),
    Row("upload.4", "upload, 4 streams", ["upload", "--connections", "4"], BULK, (1.5, 0.55)),
    Row("duplex.4", "both ways, 4 streams", ["duplex", "--connections", "4"], BULK, (1.5, 0.45)),
    Row("download.1", "one stream", ["download", "--connections", "1"], BULK, (1.35, 0.6)),
    Row("download.v6", "4 streams, to IPv6", ["download", "--connections", "4", "--target", "::1"], BULK, references=False),
    Row("small", "1 KiB writes, 4 streams", ["small", "--connections", "4", "--size", "1024"], BULK, (0.9, None)),
    Row("pings.64", "ping-pong 64 B × 64", ["pings", "--connections", "64", "--size", "64"], MESSAGES, (1.45, 0.7), two_cores=True),
    Row("pings.1", "ping-pong 64 B × 1", ["pings", "--connections", "1", "--size", "64"], MESSAGES),
    Row("pings.16k", "ping-pong 16 KiB × 16", ["pings", "--connections", "16", "--size", "16384"], MESSAGES, (1.3, None)),
    visit("connects", "connects, 32 at once", goal=(1.3, 0.75), lowest_p99=True, two_cores=True, no_access_log=True),
    visit("connects.v6", "connects to IPv6", "--target", "::1"),
    visit("connects.hosts", "to a name, /etc/hosts", "--target", NAME, goal=(1.35, None)),
    visit("connects.cached", "to a name, DNS", "--target", "same.bench.test", names=True, goal=(1.35, None)),
    visit("connects.cold", "to new names, DNS", "--target", "%.bench.test", names=True),
    visit("connects.v6name", "to a name with IPv6 alone", "--target", "same.v6.bench.test", names=True),
    visit("connects.login", "connects with password", "--user", "bench", "--password", "benchpass", login=True),
    visit("connects.stuck", "connects, 64 stuck names beside", names=True, beside=["stuck", "--connections", "64", "--target", "%.stuck.test"]),
    visit("connects.slow", "connects, 200 slow clients beside", beside=["trickle", "--connections", "200"]),
    Row("udp", "UDP echo 200 B", ["udp", "--connections", "4", "--size", "200"], MESSAGES, (1.5, 0.6), references=False, two_cores=True),
    Row("udp.gso", "UDP echo 200 B, client with GSO", ["udp", "--connections", "4", "--size", "200", "--gso"], MESSAGES, references=False),
]

MEMORY = [
    Memory("idle.1000", "1,000 idle relays", 1000),
    Memory("idle.9900", "9,900 idle relays", 9900),
]
