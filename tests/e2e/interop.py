#!/usr/bin/env python3
"""docs/interop.md: clients of others at gatewayd, and the shim at servers of others, as the tests found it.

    tests/e2e/lab.py interop FILE     runs the tests and writes the tables
    interop.py --check FILE           compares the rows of the file with those here
"""

import os
import re
import sys
from dataclasses import dataclass

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import compatibility
import interop_inbound as inbound
import interop_programs as programs
import interop_servers
import sandbox
import topology
from case import PYTHON

NAME, ADDRESS = "name", "address"
WEB, SHELL, ONE_FILE, PAGE = "web", "shell", "file", "page"  # what a program writes; expected_output() says what that is
PAIRS = [(client.name, name) for client in topology.CLIENTS for name in ("v4only.test", "v6only.test")]
FAMILY = {"client4": 4, "client6": 6, "v4only.test": 4, "v6only.test": 6}


@dataclass(frozen=True)
class Cannot:
    """What a program cannot do, whatever the gateway. The test runs it all the same, and fails when it succeeds."""
    why: str
    client: int = 0   # the family of its host, 0 for any
    to: int = 0       # that of the destination
    form: str = ""

    def covers(self, client, name, form):
        return all(wanted in (0, "", found) for wanted, found in
                   ((self.client, FAMILY[client]), (self.to, FAMILY[name]), (self.form, form)))


@dataclass(frozen=True)
class Program:
    title: str
    command: object          # a function of interop_programs
    program: str             # without which it is skipped
    package: str
    version: tuple           # a command that prints it
    kind: str = WEB
    forms: tuple = (NAME, ADDRESS)
    cannot: tuple = ()
    socks: str = "5"
    asks: str = ""           # "ipv4": it asks for the address of a name (RESOLVE) first, and for that then
    module: str = ""         # of Python, Perl, Ruby or Node: a file that must exist

    @property
    def slug(self):
        return re.sub(r"\W+", "_", self.title.lower()).strip("_")

    def missing(self):
        present = sandbox.find(self.program) and (not self.module or os.path.exists(self.module))
        return None if present else self.package

    def reason(self, client, name, form):
        return next((one.why for one in self.cannot if one.covers(client, name, form)), None)


def package_version(package):
    return ("dpkg-query", "-W", "-f", "${Version}", package)


LOOKS_UP = Cannot("It looks names up by itself, on a host that has no DNS.", form=NAME)
IPV4_GATEWAY = Cannot("It knows gateways of IPv4 only.", client=6)
NO_IPV6 = Cannot("It knows no IPv6 address.", to=6, form=ADDRESS)
SOCKS4_ADDRESS = Cannot("SOCKS4 has no IPv6 address.", to=6, form=ADDRESS)

CURL = ("curl", "curl", ("curl", "--version"))
NCAT = ("ncat", "ncat", ("ncat", "--version"))
NC = ("nc.openbsd", "netcat-openbsd", package_version("netcat-openbsd"))
CONNECT = ("connect-proxy", "connect-proxy", ("connect-proxy", "-V"))
GIT = ("git", "git", ("git", "--version"))
PROXYCHAINS = ("proxychains4", "proxychains4", package_version("proxychains4"))
TORSOCKS = ("torsocks", "torsocks", ("torsocks", "--version"))
TSOCKS = ("tsocks", "tsocks", package_version("tsocks"))
DANTE = ("/usr/bin/socksify", "dante-client", package_version("dante-client"))
REDSOCKS = ("redsocks", "redsocks nftables", package_version("redsocks"))
HAPROXY = ("haproxy", "haproxy", ("haproxy", "-v"))
PYSOCKS = (PYTHON, "python3-socks", package_version("python3-socks"))
NODE = ("node", "nodejs node-socks", package_version("node-socks"))
PERL = ("perl", "libio-socket-socks-perl", package_version("libio-socket-socks-perl"))
RUBY = ("ruby", "ruby-socksify", package_version("ruby-socksify"))
JAVA = ("javac", "default-jdk-headless", ("java", "--version"))

PYSOCKS_FILE, NODE_FILE = "/usr/lib/python3/dist-packages/socks.py", "/usr/share/nodejs/socks/package.json"
PERL_FILE, RUBY_FILE = "/usr/share/perl5/IO/Socket/Socks.pm", "/usr/lib/ruby/vendor_ruby/socksify.rb"

TORSOCKS_CANNOT = (
    Cannot("Its own connection to the gateway is of IPv4.", client=6),
    Cannot("It asks the gateway for the address of a name (RESOLVE), and takes an IPv4 one only.", to=6, form=NAME),
    Cannot("It refuses IPv6 addresses before it asks anybody.", to=6, form=ADDRESS))
TSOCKS_CANNOT = (LOOKS_UP, IPV4_GATEWAY, NO_IPV6)
DANTE_CANNOT = (Cannot("Its configuration takes no gateway of IPv6.", client=6), NO_IPV6)
REDSOCKS_CANNOT = (LOOKS_UP, Cannot("It redirects IPv4 alone, which the host does not have.", client=6),
                   Cannot("It redirects IPv4 alone.", to=6, form=ADDRESS))
CONNECT_CANNOT = (IPV4_GATEWAY,)

PLAIN = (
    Program("curl --socks5-hostname", programs.curl("--socks5-hostname"), *CURL),
    Program("curl --socks5", programs.curl("--socks5"), *CURL, cannot=(LOOKS_UP,)),
    Program("curl, ALL_PROXY=socks5h://", programs.curl_environment, *CURL),
    Program("git, http.proxy=socks5h://", programs.git, *GIT, kind=ONE_FILE),
    Program("apt, Acquire::http::Proxy=socks5h://", programs.apt, "/usr/lib/apt/apt-helper", "apt", ("apt", "--version"),
            kind=ONE_FILE),
    Program("Chromium --proxy-server=socks5://", programs.chromium, "chromium", "chromium", ("chromium", "--version"), kind=PAGE,
            forms=(NAME,)),
    Program("ssh through ncat --proxy-type socks5", programs.ssh_ncat, *NCAT, kind=SHELL),
    Program("ssh through nc -X 5", programs.ssh_nc, *NC, kind=SHELL),
    Program("ssh through connect-proxy -5", programs.ssh_connect, *CONNECT, kind=SHELL, cannot=CONNECT_CANNOT),
    Program("PySocks", programs.pysocks, *PYSOCKS, module=PYSOCKS_FILE),
    Program("Python, asyncio, by hand, 50 at once", programs.asyncio, PYTHON, "python3", (PYTHON, "--version")),
    Program("Node.js, socks", programs.node, *NODE, module=NODE_FILE),
    Program("Perl, IO::Socket::Socks", programs.perl, *PERL, module=PERL_FILE),
    Program("Ruby, socksify", programs.ruby, *RUBY, module=RUBY_FILE, cannot=(
        Cannot("It sends an IPv6 address neither as such nor as a name.", to=6, form=ADDRESS),)),
    Program("Java, -DsocksProxyHost", programs.java, *JAVA),
    Program("proxychains4 curl", programs.proxychains(programs.CURL), *PROXYCHAINS),
    Program("proxychains4 wget", programs.proxychains(programs.WGET), *PROXYCHAINS),
    Program("torsocks curl", programs.torsocks(programs.CURL), *TORSOCKS, asks="ipv4", cannot=TORSOCKS_CANNOT),
    Program("torsocks wget", programs.torsocks(programs.WGET), *TORSOCKS, asks="ipv4", cannot=TORSOCKS_CANNOT),
    Program("tsocks curl", programs.tsocks, *TSOCKS, cannot=TSOCKS_CANNOT),
    Program("Dante's socksify curl", programs.dante(programs.CURL), *DANTE, cannot=DANTE_CANNOT),
    Program("Dante's socksify wget", programs.dante(programs.WGET), *DANTE, cannot=DANTE_CANNOT),
    Program("redsocks, nftables redirect", programs.redsocks, *REDSOCKS, forms=(ADDRESS,), cannot=REDSOCKS_CANNOT),
)

SOCKS4 = (
    Program("curl --proxy socks4a://", programs.curl_url("socks4a"), *CURL, socks="4a"),
    Program("curl --proxy socks4://", programs.curl_url("socks4"), *CURL, socks="4", forms=(ADDRESS,), cannot=(SOCKS4_ADDRESS,)),
    Program("ssh through ncat --proxy-type socks4", programs.ssh_ncat, *NCAT, kind=SHELL, socks="4a", cannot=(SOCKS4_ADDRESS,)),
    Program("ssh through nc -X 4", programs.ssh_nc, *NC, kind=SHELL, socks="4", forms=(ADDRESS,), cannot=(SOCKS4_ADDRESS,)),
    Program("ssh through socat SOCKS4A", programs.ssh_socat, "socat", "socat", ("socat", "-V"), kind=SHELL, socks="4a", cannot=(
        SOCKS4_ADDRESS,)),
    Program("PySocks, SOCKS4", programs.pysocks, *PYSOCKS, module=PYSOCKS_FILE, socks="4a"),
    Program("proxychains4 curl, socks4", programs.proxychains(programs.CURL), *PROXYCHAINS, socks="4a", cannot=(SOCKS4_ADDRESS,)),
    Program("tsocks curl, version 4", programs.tsocks, *TSOCKS, socks="4", cannot=TSOCKS_CANNOT),
    Program("Dante's socksify curl, socks_v4", programs.dante(programs.CURL), *DANTE, socks="4a", cannot=(
        Cannot("It sends no names by SOCKS4.", form=NAME), *DANTE_CANNOT)),
    Program("HAProxy, server ... socks4", programs.haproxy, *HAPROXY, socks="4", forms=(ADDRESS,), cannot=(
        SOCKS4_ADDRESS, Cannot("Its socket is of the destination's family, so the gateway must be too.", client=6))),
)

PASSWORD = (
    Program("curl --proxy-user", programs.curl("--socks5-hostname"), *CURL),
    Program("git, http.proxy with a password", programs.git, *GIT, kind=ONE_FILE),
    Program("ssh through ncat --proxy-auth", programs.ssh_ncat, *NCAT, kind=SHELL),
    Program("ssh through connect-proxy, SOCKS5_PASSWORD", programs.ssh_connect, *CONNECT, kind=SHELL, cannot=CONNECT_CANNOT),
    Program("PySocks, username and password", programs.pysocks, *PYSOCKS, module=PYSOCKS_FILE),
    Program("Node.js, socks, userId and password", programs.node, *NODE, module=NODE_FILE),
    Program("Perl, IO::Socket::Socks, userpass", programs.perl, *PERL, module=PERL_FILE),
    Program("Java, -DsocksProxyHost and an Authenticator", programs.java, *JAVA),
    Program("proxychains4 curl, user and password", programs.proxychains(programs.CURL), *PROXYCHAINS),
    Program("Dante's socksify curl, SOCKS_USERNAME", programs.dante(programs.CURL), *DANTE, cannot=DANTE_CANNOT),
    Program("redsocks, login and password", programs.redsocks, *REDSOCKS, forms=(ADDRESS,), cannot=REDSOCKS_CANNOT),
)

OTHER_PEER = Cannot("In its BIND a name becomes an address made of the name's first four letters.", form=NAME)
UDP = (
    Program("PySocks, UDP", inbound.pysocks_udp, *PYSOCKS, module=PYSOCKS_FILE, cannot=(
        Cannot("Its sockets for datagrams are of IPv4.", client=6),)),
    Program("Node.js, socks, UDP", inbound.node_udp, *NODE, module=NODE_FILE),
    Program("Perl, IO::Socket::Socks, UDP", inbound.perl_udp, *PERL, module=PERL_FILE, forms=(ADDRESS,)),
    Program("Dante's socksify, Python's UDP", inbound.dante_udp, *DANTE, cannot=DANTE_CANNOT),
)
BIND = (
    Program("Node.js, socks, BIND", inbound.node_bind, *NODE, module=NODE_FILE, forms=(ADDRESS,)),
    Program("Perl, IO::Socket::Socks, BIND", inbound.perl_bind, *PERL, module=PERL_FILE, forms=(ADDRESS,)),
)
ACTIVE_FTP = (
    Program("Dante's socksify curl, ftp --ftp-port", inbound.dante_curl, *DANTE, kind=ONE_FILE, cannot=(OTHER_PEER, *DANTE_CANNOT)),
    Program("Dante's socksify lftp, active ftp", inbound.dante_lftp, *DANTE, kind=ONE_FILE, cannot=(OTHER_PEER, *DANTE_CANNOT)),
    Program("Dante's socksify tnftp, active ftp", inbound.dante_tnftp, *DANTE, kind=ONE_FILE, cannot=(OTHER_PEER, *DANTE_CANNOT)),
)


# --- the shim at servers of others ----------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Socksified:
    """A program under socksify; it knows nothing of SOCKS."""
    title: str
    command: object   # a function from a Call
    version: tuple
    kind: str = WEB
    form: str = NAME

    @property
    def slug(self):
        return re.sub(r"\W+", "_", self.title.lower()).strip("_")


SOCKSIFIED = (
    Socksified("curl, by name", lambda call: [*programs.CURL, *call.pages], CURL[2]),
    Socksified("curl, by address", lambda call: [*programs.CURL, *call.pages], CURL[2], form=ADDRESS),
    Socksified("wget", lambda call: [*programs.WGET, *call.pages], ("wget", "--version")),
    Socksified("Python, urllib", programs.urllib, (PYTHON, "--version")),
    Socksified("git", programs.git_direct, GIT[2], kind=ONE_FILE),
    Socksified("ssh", programs.ssh_direct, ("ssh", "-V"), kind=SHELL),
)


def variants():
    """Every server without a password, and with one where it can ask for one."""
    for kind in interop_servers.KINDS:
        yield kind(False)
        if kind.takes_password:
            yield kind(True)


SERVER_CANNOT = {}   # (title of the server, Cannot)


def test_name(program, form):
    return f"test_{program.slug}_by_{form}"


def server_slug(server):
    return re.sub(r"\W+", "_", server.title.lower()).strip("_") + ("_password" if server.password else "")


def server_reason(server, client, name, form):
    return next((one.why for title, one in SERVER_CANNOT.items() if title == server.title and one.covers(client, name, form)), None)


# --- docs/interop.md --------------------------------------------------------------------------------------------------------------

MODULES = ("test_interop_clients", "test_interop_inbound", "test_interop_servers")


@dataclass(frozen=True)
class Row:
    title: str
    version: tuple
    group: str       # of the classes that tested it
    test: str


def rows_of_clients(group, listed):
    return [Row(f"{program.title}, by {form}" if len(program.forms) > 1 else program.title, program.version, group,
                test_name(program, form)) for program in listed for form in program.forms]


def rows_of_server(server):
    return [Row(program.title, program.version, server_slug(server), f"test_{program.slug}") for program in SOCKSIFIED]


def sections():
    """(heading, text, command that prints a version or None, rows)"""
    yield "SOCKS5", "", None, rows_of_clients("plain", PLAIN)
    yield "SOCKS4 and SOCKS4a", "A listener with `socks4 = true`.", None, rows_of_clients("socks4", SOCKS4)
    yield ("Username and password", "A gateway that demands them (RFC 1929).", None, rows_of_clients("password", PASSWORD))
    yield "UDP", "Datagrams to a service that sends them back.", None, rows_of_clients("udp", UDP)
    yield ("BIND", "A peer on the destination connects to the address that the client was told; or FTP's active mode.", None,
           rows_of_clients("bind", BIND) + rows_of_clients("ftp", ACTIVE_FTP))
    for server in variants():
        title = f"socksify at {server.title}" + (", with username and password" if server.password else "")
        yield title, "", server.version(), rows_of_server(server)


HEAD = """# Interoperation

Made by `tests/e2e/lab.py interop docs/interop.md`, in the lab of network namespaces
([testing](testing.md)): first SOCKS clients of others at gatewayd, then programs under socksify at
SOCKS servers of others. A column is a host of one family and a destination of one family. "By name"
is `v4only.test` or `v6only.test`, which only the gateway can look up. "By address" is the IPv4 or
IPv6 address itself. The destination's page and 90 kB are compared. At gatewayd the access record
must name what was asked for, and the crossing.

The tests are `tests/e2e/test_interop_clients.py`, `test_interop_inbound.py` and
`test_interop_servers.py`; the rows stand in `interop.py`. `interop_programs.py` and
`interop_inbound.py` tell each program of its gateway. Behind each "no" is a program that was run
and failed; the reason is below. What the RFCs demand octet by octet is in `test_protocol.py` and
its neighbours.
"""
COLUMNS = " | ".join(f"IPv{FAMILY[client]} → {FAMILY[name]}" for client, name in PAIRS)


def render(outcomes, run):
    lines, notes = [HEAD], []

    def cell(row, client, name):
        outcome = outcomes.get((client, f"{name.partition('.')[0]}_{row.group}.test", row.test), "not run")
        if outcome == "yes":
            return "yes"
        if outcome not in notes:
            notes.append(outcome)
        return f"no ({notes.index(outcome) + 1})"

    for heading, text, of_server, listed in sections():
        found = f" {compatibility.version(Row(heading, of_server, '', ''), run)}" if of_server else ""
        lines += [f"## {heading.replace(',', found + ',', 1) if ',' in heading else heading + found}", ""]
        lines += [text, ""] if text else []
        lines += [f"| Program | Version | {COLUMNS} |", "|---|---|" + "---|" * len(PAIRS)]
        lines += [f"| {row.title} | {compatibility.version(row, run)} | " + " | ".join(cell(row, *pair) for pair in PAIRS) + " |"
                  for row in listed] + [""]
    lines += ["## Why not", ""] + [f"{number}. {text}" for number, text in enumerate(notes, 1)]
    return "\n".join(lines) + "\n"


def write(path, outcomes, run):
    with open(path, "w", encoding="utf-8") as file:
        file.write(render(outcomes, run))


def check(path):
    """A list of complaints."""
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file.read().splitlines() if line.startswith("| ") and not line.startswith("| Program | ")]
    found = [line.split(" | ")[0].removeprefix("| ") for line in lines]
    wanted = [row.title for _, _, _, listed in sections() for row in listed]
    complaints = []
    if found != wanted:
        complaints.append(f"{path} is not of the rows of interop.py: missing {[row for row in wanted if row not in found]}, surplus "
                          f"{[row for row in found if row not in wanted]}, or in another order; lab.py interop writes it")
    for line in lines:
        for outcome in line.strip("| ").split(" | ")[2:]:
            if not re.fullmatch(r"yes|no \(\d+\)", outcome):
                complaints.append(f"neither yes nor no with its reason: '{outcome}' in: {line}")
    return complaints


def main(arguments):
    if len(arguments) != 2 or arguments[0] != "--check":
        sys.stderr.write(__doc__)
        return 2
    complaints = check(arguments[1])
    print("\n".join(complaints) or "the rows are those of interop.py")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
