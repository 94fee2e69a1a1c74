#!/usr/bin/env python3
"""docs/compatibility.md: which program works from which client to which destination, as the tests found it.

    tests/e2e/lab.py compatibility FILE     runs the tests of programs and writes the table
    compatibility.py --check FILE           compares the rows of the file with those here, and these with the tests
"""

import importlib
import os
import re
import sys
import unittest
from dataclasses import dataclass

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import breadth_programs
import topology

PROGRAMS, BREADTH = "test_programs", "test_breadth"
MIXINS = {PROGRAMS: "Programs", BREADTH: "Breadth"}
PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Row:
    title: str
    module: str
    test: str
    version: tuple  # a command that prints it
    note: str = ""  # what a user has to know


NODE = ("node", "--version")
CURL = ("curl", "--version")
GIT = ("git", "--version")
SSH = ("ssh", "-V")
RSYNC = ("rsync", "--version")
LFTP = ("lftp", "--version")
PYTHON_VERSION = (PYTHON, "--version")

ROWS = (
    Row("curl, http", PROGRAMS, "test_curl", CURL),
    Row("curl, https", PROGRAMS, "test_curl_https", CURL),
    Row("curl --parallel, 20 at once", PROGRAMS, "test_curl_parallel", CURL),
    Row("curl, LD_PRELOAD without the wrapper", PROGRAMS, "test_preload_alone", CURL),
    Row("curl, its environment cleared", PROGRAMS, "test_curl_with_a_cleared_environment", CURL),
    Row("curl, to an address that another program looked up", PROGRAMS, "test_curl_with_an_address_from_another_program", CURL),
    Row("wget", PROGRAMS, "test_wget", ("wget", "--version")),
    Row("git over http", PROGRAMS, "test_git_clone", GIT),
    Row("git over ssh", BREADTH, "test_git_over_ssh", GIT),
    Row("ssh", PROGRAMS, "test_ssh", SSH),
    Row("scp", PROGRAMS, "test_scp", SSH),
    Row("rsync over ssh", BREADTH, "test_rsync_over_ssh", RSYNC),
    Row("rsync, rsync://", BREADTH, "test_rsync_daemon", RSYNC),
    Row("Python, urllib", PROGRAMS, "test_python_urllib", PYTHON_VERSION),
    Row("Python, asyncio, 50 at once", PROGRAMS, "test_python_asyncio_fifty_at_once", PYTHON_VERSION),
    Row("Node.js, http", PROGRAMS, "test_node_http", NODE),
    Row("Node.js 22, 24 and 25, net and fetch", BREADTH, "test_node_of_today",
        (breadth_programs.of_npm("node@24", "node"), "--version")),
    Row("PHP, curl", BREADTH, "test_php_curl", ("php", "--version")),
    Row("Bun, fetch and net.connect", BREADTH, "test_bun", (breadth_programs.of_npm("bun", "bun"), "--version")),
    Row("Java, URL and SocketChannel", BREADTH, "test_java", ("java", "--version")),
    Row("Ruby, Net::HTTP and Socket.tcp", BREADTH, "test_ruby", ("ruby", "--version")),
    Row("Perl, HTTP::Tiny, IO::Socket::INET and ::IP", BREADTH, "test_perl", ("perl", "-e", "print $^V")),
    Row("PHP, http:// and fsockopen", BREADTH, "test_php", ("php", "--version")),
    Row("Rust, std::net", BREADTH, "test_rust", ("/usr/bin/rustc", "--version")),
    Row("lftp, http", BREADTH, "test_lftp_http", LFTP),
    Row("lftp, ftp", BREADTH, "test_lftp_ftp", LFTP,
        "`set ftp:prefer-epsv yes`: on a connection of IPv4, lftp asks with PASV by itself, and the answer to that can only name an "
        "IPv4 address; a server of IPv6 has none to give (RFC 2428 section 1)."),
    Row("tnftp, ftp and http", BREADTH, "test_tnftp", ("dpkg-query", "-W", "tnftp")),
    Row("aria2", BREADTH, "test_aria2", ("aria2c", "--version")),
    Row("redis-cli", BREADTH, "test_redis_cli", ("redis-cli", "--version")),
    Row("psql", BREADTH, "test_psql", ("psql", "--version")),
    Row("nmap -sT", BREADTH, "test_nmap", ("nmap", "--version"),
        "`-Pn -n`: pings and queries of its own do not pass a gateway; `-6` on a host of IPv6 alone, where nmap asks the routing "
        "table before it connects to an IPv4 address."),
    Row("Chromium, headless", BREADTH, "test_chromium", ("chromium", "--version"),
        "`--no-sandbox` is for root alone. QUIC needs no flag: its datagrams are refused, and Chromium goes on by TCP. Without its own "
        "resolver (`--disable-features=AsyncDns`) one process resolves a name and another connects to it, which needs the mapping table "
        "that socksify shares in a process tree."),
    Row("dig", BREADTH, "test_dig", ("dig", "-v")),
)

PAIRS = [(client.name, name) for client in topology.CLIENTS for name in ("v4only.test", "v6only.test", "both.test")]
HEADING = {"client4": "IPv4", "client6": "IPv6"}
TARGET = {"v4only.test": "4", "v6only.test": "6", "both.test": "4+6"}
MARKER = "<!-- What follows is written by hand. -->"


def pair_of(test):
    """("client4", "v6only.test", "test_curl") of a test's id; None where it has no client and destination."""
    match = re.search(r"\.(client[46])_to_(\w+)\.(test_\w+)", test.id())
    return match and (match[1], match[2] + ".test", match[3])


class Outcomes(unittest.TextTestResult):
    """What became of every test of a pair: "yes", or why not."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.of = {}

    def note(self, test, word):
        if pair_of(test):
            self.of[pair_of(test)] = word

    def addSuccess(self, test):
        super().addSuccess(test)
        self.note(test, "yes")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note(test, f"failed: {str(err[1]).splitlines()[-1][:200]}")

    def addError(self, test, err):
        super().addError(test, err)
        self.note(test, f"failed: {err[1]!r}"[:200])


def version(row, run):
    """The first thing in what it prints that looks like a version."""
    try:
        text = run(row.version)
    except OSError:
        return "not installed"
    found = re.search(r"\d+(\.\d+)+(p\d+|[a-z])?", text) or re.search(r"\d{8}\w*", text)
    return found[0] if found else "?"


def render(outcomes, run):
    lines = [
        "# Compatibility", "",
        "Made by `tests/e2e/lab.py compatibility docs/compatibility.md`. Each program runs as it is, under",
        "socksify, on a host of one family, and goes to destinations of IPv4, of IPv6 and of both. The",
        "contents are compared, and the gateway's log shows the crossing. The client's link carries nothing",
        "but the flow to the gateway. The tests are `tests/e2e/test_programs.py` and `test_breadth.py`.", "",
        "| Program | Version | " + " | ".join(f"{HEADING[client]} → {TARGET[name]}" for client, name in PAIRS) + " |",
        "|---|---|" + "---|" * len(PAIRS),
    ]
    notes = []

    def mark(text):
        if text not in notes:
            notes.append(text)
        return notes.index(text) + 1

    for row in ROWS:
        cells = []
        for client, name in PAIRS:
            outcome = outcomes.get((client, name, row.test), "not run")
            cells.append("yes" if outcome == "yes" else f"no ({mark(outcome)})")
        title = row.title + (f" ({mark(row.note)})" if row.note else "")
        lines.append(f"| {title} | {version(row, run)} | " + " | ".join(cells) + " |")
    lines += [""] + [f"{number}. {text}" for number, text in enumerate(notes, 1)] + ["", MARKER]
    return "\n".join(lines) + "\n"


def write(path, outcomes, run):
    """Replaces the table; what stands behind the marker stays."""
    kept = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            kept = file.read().partition(MARKER + "\n")[2]
    with open(path, "w", encoding="utf-8") as file:
        file.write(render(outcomes, run) + kept)


def tests_of(module):
    mixin = getattr(importlib.import_module(module), MIXINS[module])
    return {name for name in dir(mixin) if name.startswith("test_")}


def check(path):
    """A list of complaints."""
    with open(path, encoding="utf-8") as file:
        table = [line for line in file.read().partition(MARKER)[0].splitlines() if line.startswith("| ")][1:]
    found = [re.sub(r"( \(\d+\))?$", "", line.split(" | ")[0].removeprefix("| ")) for line in table]
    complaints = []
    if found != [row.title for row in ROWS]:
        missing = [row.title for row in ROWS if row.title not in found]
        surplus = [title for title in found if title not in [row.title for row in ROWS]]
        complaints.append(f"{path} is not of these rows: missing {missing}, surplus {surplus}, or in another order; "
                          "lab.py compatibility writes it")
    for module in MIXINS:
        listed = {row.test for row in ROWS if row.module == module}
        if listed != tests_of(module):
            complaints.append(f"the rows of compatibility.py and the tests of {module}.py differ: {listed ^ tests_of(module)}")
    for line in table:
        for cell in line.strip("| ").split(" | ")[2:]:
            if not re.fullmatch(r"yes|no \(\d+\)", cell):
                complaints.append(f"neither yes nor no with its reason: '{cell}' in: {line}")
    return complaints


def main(arguments):
    if len(arguments) != 2 or arguments[0] != "--check":
        sys.stderr.write(__doc__)
        return 2
    complaints = check(arguments[1])
    print("\n".join(complaints) or f"{len(ROWS)} rows")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
