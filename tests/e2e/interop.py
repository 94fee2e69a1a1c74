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
import interop_programs as programs
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
    Program("curl --proxy socks4a://", programs.curl_url("socks4a"), *CURL, socks="4a", cannot=(
        Cannot("An IPv6 address goes as a name, which 4a has room for; curl resolves it first.", to=6, form=ADDRESS),)),
    Program("curl --proxy socks4://", programs.curl_url("socks4"), *CURL, socks="4", forms=(ADDRESS,), cannot=(SOCKS4_ADDRESS,)),
    Program("ssh through ncat --proxy-type socks4", programs.ssh_ncat, *NCAT, kind=SHELL, socks="4a", cannot=(SOCKS4_ADDRESS,)),
    Program("ssh through nc -X 4", programs.ssh_nc, *NC, kind=SHELL, socks="4", forms=(ADDRESS,), cannot=(SOCKS4_ADDRESS,)),
    Program("ssh through socat SOCKS4A", programs.ssh_socat, "socat", "socat", ("socat", "-V"), kind=SHELL, socks="4a", cannot=(
        SOCKS4_ADDRESS,)),
    Program("PySocks, SOCKS4", programs.pysocks, *PYSOCKS, module=PYSOCKS_FILE, socks="4a", cannot=(SOCKS4_ADDRESS,)),
    Program("proxychains4 curl, socks4", programs.proxychains(programs.CURL), *PROXYCHAINS, socks="4a", cannot=(SOCKS4_ADDRESS,)),
    Program("tsocks curl, version 4", programs.tsocks, *TSOCKS, socks="4", cannot=TSOCKS_CANNOT),
    Program("Dante's socksify curl, socks_v4", programs.dante(programs.CURL), *DANTE, socks="4a", cannot=DANTE_CANNOT),
    Program("HAProxy, server ... socks4", programs.haproxy, *HAPROXY, socks="4", forms=(ADDRESS,), cannot=(SOCKS4_ADDRESS,)),
)

PASSWORD = (
    Program("curl --proxy-user", programs.curl("--socks5-hostname"), *CURL),
    Program("git, http.proxy with a password", programs.git, *GIT, kind=ONE_FILE),
    Program("ssh through ncat --proxy-auth", programs.ssh_ncat, *NCAT, kind=SHELL),
    Program("ssh through connect-proxy, SOCKS5_PASSWORD", programs.ssh_connect, *CONNECT, kind=SHELL, cannot=CONNECT_CANNOT),
    Program("PySocks, username and password", programs.pysocks, *PYSOCKS, module=PYSOCKS_FILE),
    Program("Node.js, socks, userId and password", programs.node, *NODE, module=NODE_FILE),
    Program("Perl, IO::Socket::Socks, userpass", programs.perl, *PERL, module=PERL_FILE),
    Program("Java, java.net.socks.username", programs.java, *JAVA),
    Program("proxychains4 curl, user and password", programs.proxychains(programs.CURL), *PROXYCHAINS),
    Program("Dante's socksify curl, SOCKS_USERNAME", programs.dante(programs.CURL), *DANTE, cannot=DANTE_CANNOT),
    Program("redsocks, login and password", programs.redsocks, *REDSOCKS, forms=(ADDRESS,), cannot=REDSOCKS_CANNOT),
)
