"""More real, unmodified programs on both clients to every kind of destination; the first are in test_programs.py.

A program that is not installed is skipped, and said aloud at the end. What runs where, with which version, and why not, is in
docs/compatibility.md, which `lab.py compatibility` makes from these tests (compatibility.py).
"""

import json
import os
import re
import subprocess
import sys
import unittest

import breadth_programs
import breadth_services
import sandbox
import topology
from hosts import LAB, run_checked, write
from program_case import DESTINATIONS, ProgramCase, on_every_pair, sha256

ABSENT = set()
BUN = breadth_programs.of_npm("bun", "bun")
NODE_RELEASES = (22, 24, 25)  # Debian has older ones


def node(release):
    return breadth_programs.of_npm(f"node@{release}", "node")


def needs(program, package=None):
    """Skips the test where the program is not installed, and remembers its package."""
    package = package or program

    def decorate(test):
        if not sandbox.find(program):
            ABSENT.add(package)
        return unittest.skipUnless(sandbox.find(program), f"{package} is not installed")(test)
    return decorate


def serves(service):
    """Starts a service on every destination before the test."""
    def decorate(test):
        def wrapped(self):
            absent = breadth_services.start(self.lab, service)
            if absent:
                ABSENT.add(absent)
                self.skipTest(f"{absent} is not installed")
            test(self)
        return wrapped
    return decorate


def tearDownModule():
    if ABSENT:
        print("E2E DID NOT RUN: programs that are not installed: " + ", ".join(sorted(ABSENT))
              + " (tools/deps breadth)", file=sys.stderr)


def built(name, source, *compiler):
    """A program of the lab's own, compiled once."""
    folder = f"{LAB}/built/{name}"
    if not os.path.exists(folder):
        write(f"{folder}/{source[0]}", source[1])
        run_checked([*compiler, source[0]], cwd=folder)
    return folder


# Known not to work, and why; SOCKS64_E2E_PENDING=run runs them all the same. None stands for both clients.
PENDING = {}


class Breadth(ProgramCase):
    pending = PENDING

    # --- version control and copies ---------------------------------------------------------------------------------------

    def test_git_over_ssh(self):
        write(f"{LAB}/home/{DESTINATIONS[self.name].host}/.gitconfig", "[safe]\n\tdirectory = *\n")
        self.program(["git", "clone", "-q", f"ssh://{self.name}{LAB}/www/repo.git", "clone"])
        self.assertEqual(sha256(self.read("clone/data")), self.digest("/files/07"))
        self.assert_crossed(self.client, self.name, 22)

    def check_files(self, folder):
        for path, digest in self.files().items():
            self.assertEqual(sha256(self.read(f"{folder}/{os.path.basename(path)}")), digest, path)

    @needs("rsync")
    def test_rsync_over_ssh(self):
        self.program(["rsync", "-a", f"{self.name}:{LAB}/www/files/", "got"])
        self.check_files("got")
        self.assert_crossed(self.client, self.name, 22)

    @needs("rsync")
    @serves("rsyncd")
    def test_rsync_daemon(self):
        self.program(["rsync", "-a", f"rsync://{self.name}/www/files/", "got"])
        self.check_files("got")
        self.assert_crossed(self.client, self.name, 873)

    # --- languages --------------------------------------------------------------------------------------------------------

    @needs("javac", "default-jdk-headless")
    def test_java(self):
        folder = built("java", ("Fetch.java", breadth_programs.JAVA), "javac")
        said = self.program(["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", folder, "Fetch", self.name])
        self.assertEqual(said, 2 * self.page)
        self.assert_crossed(self.client, self.name, count=2)

    def test_node_of_today(self):
        absent = [f"node {release}" for release in NODE_RELEASES if not os.path.exists(node(release))]
        ABSENT.update(absent)
        write(f"{self.scratch}/pages.js", breadth_programs.NODE)
        for release in NODE_RELEASES:
            for rings in ("0", "1"):
                if os.path.exists(node(release)):
                    with self.subTest(release=release, rings=rings):
                        said = json.loads(self.program(["env", f"UV_USE_IO_URING={rings}", node(release), "pages.js", self.name]))
                        self.assertEqual(set(said["seen"]), {"ECONNREFUSED"})
                        self.assertEqual([page.encode() for page in said["pages"]], 51 * [self.page])
        if len(absent) == len(NODE_RELEASES):
            self.skipTest("no Node.js of today is installed")

    @needs(BUN, "bun")
    def test_bun(self):
        write(f"{self.scratch}/fetch.mjs", breadth_programs.BUN)
        said = json.loads(self.program([BUN, "run", "fetch.mjs", self.name]))
        self.assertIn(said["errors"][0], ("ECONNREFUSED", "ConnectionRefused"))  # of fetch, as releases say it
        self.assertEqual(said["errors"][1], "ECONNREFUSED")
        self.assertEqual([page.encode() for page in said["pages"]], 22 * [self.page])

    @needs("rustc")
    def test_rust(self):
        folder = built("rust", ("fetch.rs", breadth_programs.RUST), "/usr/bin/rustc")
        self.assertEqual(self.program([f"{folder}/fetch", self.name]), 2 * self.page)
        self.assert_crossed(self.client, self.name, count=2)

    @needs("ruby")
    def test_ruby(self):
        self.assertEqual(self.program(["ruby", "-e", breadth_programs.RUBY, self.name]), 2 * self.page)
        self.assert_crossed(self.client, self.name, count=2)

    @needs("perl")
    def test_perl(self):
        self.assertEqual(self.program(["perl", "-e", breadth_programs.PERL, self.name]), 3 * self.page)
        self.assert_crossed(self.client, self.name, count=3)

    @needs("php", "php-cli")
    def test_php_curl(self):
        if b"curl" not in subprocess.run(["php", "-m"], stdout=subprocess.PIPE, check=True).stdout.split():
            ABSENT.add("php-curl")
            self.skipTest("php-curl is not installed")
        write(f"{self.scratch}/curl.php", breadth_programs.PHP_CURL)
        self.assertEqual(self.program(["php", "curl.php", self.name]), self.page)
        self.assert_crossed(self.client, self.name)

    @needs("php", "php-cli")
    def test_php(self):
        write(f"{self.scratch}/fetch.php", breadth_programs.PHP)
        self.assertEqual(self.program(["php", "fetch.php", self.name]), 2 * self.page)
        self.assert_crossed(self.client, self.name, count=2)

    # --- FTP and downloads ------------------------------------------------------------------------------------------------

    @needs("lftp")
    def test_lftp_http(self):
        self.program(["lftp", "-c", f"set net:max-retries 1; get http://{self.name}/big"])
        self.assertEqual(sha256(self.read("big")), self.digest("/big"))
        self.assert_crossed(self.client, self.name)

    @needs("lftp")
    @serves("ftpd")
    def test_lftp_ftp(self):
        # On an IPv4 connection it says PASV by itself, whose answer can only name an IPv4 address (RFC 2428).
        self.program(["lftp", "-c", f"set net:max-retries 1; set ftp:prefer-epsv yes; open ftp://{self.name}; mget -O . files/0*; get big"])
        self.assertEqual(sha256(self.read("big")), self.digest("/big"))
        self.assertEqual(sha256(self.read("03")), self.digest("/files/03"))
        self.assert_crossed(self.client, self.name, 21)

    @needs("tnftp")
    @serves("ftpd")
    def test_tnftp(self):
        self.program(["tnftp", "-V", "-o", "got", f"ftp://{self.name}/big"])
        self.assertEqual(sha256(self.read("got")), self.digest("/big"))
        self.assert_crossed(self.client, self.name, 21)
        self.program(["tnftp", "-V", "-o", "page", f"http://{self.name}/"])
        self.assertEqual(self.read("page"), self.page)
        self.assert_crossed(self.client, self.name)

    @needs("aria2c", "aria2")
    def test_aria2(self):
        self.program(["aria2c", "-q", f"http://{self.name}/big"])
        self.assertEqual(sha256(self.read("big")), self.digest("/big"))
        self.assert_crossed(self.client, self.name)

    # --- databases --------------------------------------------------------------------------------------------------------

    @needs("redis-cli", "redis-server")
    @serves("redis")
    def test_redis_cli(self):
        cli = ["redis-cli", "-h", self.name]
        self.assertEqual(self.program([*cli, "set", f"key.{self.id()}", self.name]), b"OK\n")
        self.assertEqual(self.program([*cli, "get", f"key.{self.id()}"]), self.name.encode() + b"\n")
        self.assert_crossed(self.client, self.name, 6379, count=2)

    @needs("psql", "postgresql")
    @serves("postgres")
    def test_psql(self):
        said = self.program(["psql", "-h", self.name, "-U", "lab", "-d", "postgres", "-Atc",
                             "select current_setting('cluster_name'), sum(n) from generate_series(1, 1000) n"])
        self.assertEqual(said.decode(), f"{DESTINATIONS[self.name].host}|500500\n")
        self.assert_crossed(self.client, self.name, 5432)

    # --- others -----------------------------------------------------------------------------------------------------------

    @needs("nmap")
    def test_nmap(self):
        family = [] if topology.HOSTS[self.client].has4 else ["-6"]
        said = self.program(["nmap", *family, "-sT", "-Pn", "-n", "-p", "22,80,81", self.name]).decode()
        self.assertEqual(re.findall(r"^(\d+)/tcp\s+(\w+)", said, re.MULTILINE),
                         [("22", "open"), ("80", "open"), ("81", "closed")], said)
        for port in (22, 80):
            self.assert_crossed(self.client, self.name, port)

    @needs("chromium")
    def test_chromium(self):
        # Root has no sandbox.
        said = self.program(["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={self.scratch}/profile",
                             "--dump-dom", f"http://{self.name}/"])
        self.assertIn(self.page.strip(), said)
        self.assert_crossed(self.client, self.name)

    @needs("dig", "bind9-dnsutils")
    def test_dig(self):
        # Asked are the resolvers of an empty resolv.conf, ::1 and 127.0.0.1; of one that this host lacks dig says so, and goes on.
        for kind, fake in (("A", r"0\.\d+\.\d+\.\d+"), ("AAAA", r"100::[0-9a-f:]+")):
            said = self.program(["dig", "+short", "+timeout=3", self.name, kind]).decode()
            self.assertRegex(said.splitlines()[-1], f"^{fake}$")
        # A resolver on another host is not asked either.
        elsewhere = "192.0.2.53" if topology.HOSTS[self.client].has4 else "2001:db8:c6::53"
        said = self.program(["dig", "+short", "+timeout=3", f"@{elsewhere}", self.name, "A"]).decode()
        self.assertRegex(said, r"^0\.\d+\.\d+\.\d+\n$")


globals().update(on_every_pair(Breadth, __name__))


if __name__ == "__main__":
    unittest.main()
