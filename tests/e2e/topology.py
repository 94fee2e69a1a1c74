"""Who is in the lab, and where.

    client4  192.0.2.10 ------- 192.0.2.1 \\                 / 198.51.100.1 -------- 198.51.100.10      dest4
                                            \\              /
                                              gateway  ----<  203.0.113.1 ---------- 203.0.113.10      dest46
                                            /    |          \\ 2001:db8:46::1 ------ 2001:db8:46::10
    client6  2001:db8:c6::10 - 2001:db8:c6::1    |           \\
                                                 |             2001:db8:d6::1 ------ 2001:db8:d6::10    dest6
                                         10.53.0.1 --- 10.53.0.53  dns

Each line is a veth pair of its own. The gateway forwards nothing, in either family. A client's default route points at the
gateway, as a real host's would: what a program sends past the shim is then seen on the link, not swallowed at the source.
A host has one family, both, or (dns) the one it needs; client4 and dest4 have IPv6 switched off, client6 and dest6 own no
IPv4 address, not even 127.0.0.1.
"""

from dataclasses import dataclass, field

GATEWAY_PORT = 1080
DNS_SERVER = "10.53.0.53"

# The last octet (or group) of an address says how it behaves.
# The dead ones share more leading bits with the gateway's 1, so that RFC 6724 rule 9, where applied, puts them first too.
ALIVE, BLACK_HOLE, REFUSING = 10, 2, 3


@dataclass(frozen=True)
class Host:
    name: str
    gateway_side: tuple  # the gateway's addresses on this host's link, with prefix length
    own_side: tuple      # this host's addresses on it
    client: bool = False
    black_holes: tuple = ()

    @property
    def has4(self):
        return any(":" not in address for address in self.own_side)

    @property
    def has6(self):
        return any(":" in address for address in self.own_side)

    @property
    def gateways(self):
        return [address.split("/")[0] for address in self.gateway_side]

    def address(self, family):
        """The first address of family 4 or 6."""
        for address in self.own_side:
            if (":" in address) == (family == 6):
                return address.split("/")[0]
        return None


def destination(name, *networks, trouble=False):
    """Answers at ALIVE. One with trouble also refuses every connection at REFUSING, and has nobody at BLACK_HOLE."""
    gateway_side, own_side, holes = [], [], []
    for network in networks:
        length = 64 if ":" in network else 24
        gateway_side.append(f"{network}1/{length}")
        own_side.append(f"{network}{ALIVE}/{length}")
        if trouble:
            own_side.append(f"{network}{REFUSING}/{length}")
            holes.append(f"{network}{BLACK_HOLE}")
    return Host(name, tuple(gateway_side), tuple(own_side), black_holes=tuple(holes))


CLIENT4 = Host("client4", ("192.0.2.1/24",), ("192.0.2.10/24",), client=True)
CLIENT6 = Host("client6", ("2001:db8:c6::1/64",), ("2001:db8:c6::10/64",), client=True)
DEST4 = destination("dest4", "198.51.100.")
DEST6 = destination("dest6", "2001:db8:d6::")
IPV4, IPV6 = "203.0.113.", "2001:db8:46::"
DEST46 = destination("dest46", IPV4, IPV6, trouble=True)
DNS = Host("dns", ("10.53.0.1/24",), (f"{DNS_SERVER}/24",))

HOSTS = {host.name: host for host in (CLIENT4, CLIENT6, DEST4, DEST6, DEST46, DNS)}
DESTINATIONS = (DEST4, DEST6, DEST46)
CLIENTS = (CLIENT4, CLIENT6)


def pair(ipv4, ipv6):
    """Addresses of dest46, in the order in which DNS gives them."""
    return [f"{IPV4}{last}" for last in ipv4] + [f"{IPV6}{last}" for last in ipv6]


# Names that dnsmasq answers; everything else under .test does not exist.
NAMES = {
    "v4only.test": [DEST4.address(4)],
    "v6only.test": [DEST6.address(6)],
    "both.test": pair([ALIVE], [ALIVE]),
    # half broken: one address of two is a black hole, or refuses
    "v6dead.test": pair([ALIVE], [BLACK_HOLE]),
    "v4dead.test": pair([BLACK_HOLE], [ALIVE]),
    "v6refuses.test": pair([ALIVE], [REFUSING]),
    "v4refuses.test": pair([REFUSING], [ALIVE]),
    "first4dead.test": pair([BLACK_HOLE, ALIVE], []),
    "first6dead.test": pair([], [BLACK_HOLE, ALIVE]),
    "first4refuses.test": pair([REFUSING, ALIVE], []),
    "first6refuses.test": pair([], [REFUSING, ALIVE]),
    # broken altogether
    "dead4.test": pair([BLACK_HOLE], []),
    "dead6.test": pair([], [BLACK_HOLE]),
    "alldead.test": pair([BLACK_HOLE], [BLACK_HOLE]),
    "refused4.test": pair([REFUSING], []),
    "refused6.test": pair([], [REFUSING]),
    "allrefused.test": pair([REFUSING], [REFUSING]),
}
IN_HOSTS_FILE = "hosted.test"    # known to the gateway's /etc/hosts alone
HOSTS_FILE = f"{DEST4.address(4)} {IN_HOSTS_FILE}\n{DEST6.address(6)} {IN_HOSTS_FILE}\n"
NO_ADDRESS = "noaddress.test"    # exists, has a TXT record only
MISSING = "missing.test"         # NXDOMAIN
SLOW_ZONE = "slow.test"          # and anything below: dest46, after SLOW_SECONDS; v4only. and v6only. below have one family
DEAD_ZONE = "unanswered.test"    # and anything below: its server never answers
SLOW_SECONDS = 1.0

CERTIFIED = sorted([*NAMES, SLOW_ZONE, f"*.{SLOW_ZONE}"])


@dataclass
class Expected:
    """Which host serves a name, and with which family the gateway has to reach it."""
    host: str
    families: tuple = field(default_factory=tuple)


SERVED_BY = {
    "v4only.test": Expected("dest4", (4,)),
    "v6only.test": Expected("dest6", (6,)),
    "both.test": Expected("dest46", (6,)),  # RFC 6724: a global IPv6 destination goes before IPv4
}
