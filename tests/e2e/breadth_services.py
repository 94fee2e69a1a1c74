"""What the destinations serve besides the web, git and ssh, for the programs of test_breadth.py: rsync, FTP, redis, PostgreSQL.

Each is started where its program is installed; available() says what is.
"""

import glob
import os
import shutil

import sandbox
import topology
from case import PYTHON
from hosts import LAB, Failed, run_checked, write
from services import as_traveller, give_to_traveller, start_logged

HERE = os.path.dirname(os.path.abspath(__file__))


def addresses(destination):
    return [own.split("/")[0] for own in destination.own_side if own.split("/")[0].endswith(str(topology.ALIVE))]


def postgres_program(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return found[-1] if found else None


def has_pyftpdlib():
    try:
        run_checked([PYTHON, "-c", "import pyftpdlib.servers"])
    except Failed:
        return False
    return True


class Service:
    """One kind of server: started on every destination, awaited on every address."""

    name, port = "", 0

    def missing(self):
        """The package whose absence keeps it from running, or None."""

    def prepare(self):
        """Once, before it starts anywhere."""

    def command(self, destination):
        raise NotImplementedError

    def start(self, hosts):
        self.prepare()
        started = [(destination, start_logged(hosts[destination.name], self.command(destination),
                                              f"{self.name}.{destination.name}"))
                   for destination in topology.DESTINATIONS]
        for destination, process in started:
            for address in addresses(destination):
                hosts[destination.name].wait_for_port(address, self.port, process)


class Rsync(Service):
    name, port = "rsyncd", 873

    def missing(self):
        return None if sandbox.find("rsync") else "rsync"

    def command(self, destination):
        home = f"{LAB}/rsyncd/{destination.name}"
        write(f"{home}/conf", f"use chroot = no\nlog file = {home}/log\n[www]\npath = {LAB}/www\nread only = yes\n"
              "uid = root\ngid = root\n")
        return ["rsync", "--daemon", "--no-detach", f"--config={home}/conf"]


class Ftp(Service):
    name, port = "ftpd", 21

    def missing(self):
        return None if has_pyftpdlib() else "python3-pyftpdlib"

    def command(self, destination):
        return [PYTHON, f"{HERE}/ftp_server.py", f"{LAB}/www", *addresses(destination)]


class Redis(Service):
    name, port = "redis", 6379

    def missing(self):
        return None if sandbox.find("redis-server") else "redis-server"

    def command(self, destination):
        home = f"{LAB}/redis/{destination.name}"
        os.makedirs(home)
        return ["redis-server", "--bind", *addresses(destination), "--port", str(self.port), "--protected-mode", "no",
                "--save", "", "--dir", home]


class Postgres(Service):
    name, port = "postgres", 5432

    def missing(self):
        return None if postgres_program("initdb") else "postgresql"

    def cluster(self, destination):
        return f"{LAB}/postgres/{destination.name}"

    def prepare(self):
        """One cluster is made and copied. PostgreSQL refuses to be root, so it is the traveller."""
        home = f"{LAB}/postgres"
        os.makedirs(home)
        give_to_traveller(home)
        run_checked(as_traveller([postgres_program("initdb"), "-D", f"{home}/made", "-U", "lab", "-A", "trust", "-E", "UTF8",
                                  "--no-locale", "--no-sync"]))
        write_as_it_is(f"{home}/made/pg_hba.conf", "host all all all trust\n")
        for destination in topology.DESTINATIONS:
            run_checked(["cp", "-a", f"{home}/made", self.cluster(destination)])
        shutil.rmtree(f"{home}/made")

    def command(self, destination):
        return as_traveller([postgres_program("postgres"), "-D", self.cluster(destination), "-p", str(self.port),
                             "-c", f"listen_addresses={','.join(addresses(destination))}", "-c", "unix_socket_directories=",
                             "-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", f"cluster_name={destination.name}"])


def write_as_it_is(path, text):
    """Into a file that exists, whose owner and mode stay."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


SERVICES = {service.name: service for service in (Rsync(), Ftp(), Redis(), Postgres())}
STARTED = set()


def start(lab, name):
    """Starts a service, once in a lab. None, or the package that is missing."""
    service = SERVICES[name]
    absent = service.missing()
    if absent is None and name not in STARTED:
        STARTED.add(name)
        service.start(lab.hosts)
    return absent
