#!/usr/bin/env python3
"""The end-to-end lab: five hosts and a DNS server around the gateway, each a set of network namespaces. See topology.py.

    lab.py shell HOST            a shell on that host, with the gateway and every server running
    lab.py run HOST PROGRAM ...  one program there; exits with its status
    lab.py test MODULE ...       runs test modules, one lab for each
    lab.py compatibility FILE    runs every program and writes the table of what works; see compatibility.py
    lab.py interop FILE          the same for clients and servers of others; see interop.py
"""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import capture
import hosts
import sandbox
import services
import topology
from gateway import Gateway

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# What is under test: ctest gives the paths of its own build tree; else SOCKS64_BUILD_DIR, or the presets' trees.
PRODUCTS = {
    "SOCKS64_GATEWAYD": "gatewayd/gatewayd",
    "SOCKS64_SOCKSIFY": "shim/socksify/socksify",
    "SOCKS64_LIBRARY": "shim/libsocks64.so",
}


def product(variable):
    if os.environ.get(variable):
        return os.environ[variable]
    given = os.environ.get("SOCKS64_BUILD_DIR")
    for tree in [given] if given else [os.path.join(SOURCE, "build", preset) for preset in ("release", "dev")]:
        candidate = os.path.join(tree, PRODUCTS[variable])
        if os.path.exists(candidate):
            return candidate
    return None


class Lab:
    """Inside a sandbox: makes everything on entry. There is no exit: the sandbox's end is the lab's."""

    def __init__(self):
        hosts.prepare()
        self.socksify, self.library = product("SOCKS64_SOCKSIFY"), product("SOCKS64_LIBRARY")
        self.hosts = {"gateway": hosts.RunningHost("gateway", topology.DNS_SERVER, topology.HOSTS_FILE)}
        for name in topology.HOSTS:
            self.hosts[name] = hosts.RunningHost(name)
        self.make_links()
        services.make_certificates()
        services.make_ssh_keys()
        self.site = services.Site()
        services.start_dns(self.hosts["dns"])
        for destination in topology.DESTINATIONS:
            services.start_web(self.hosts[destination.name], destination)
            services.start_ssh(self.hosts[destination.name], destination)
        self.captures = {}
        for client in topology.CLIENTS:
            host = self.hosts[client.name]
            services.configure_ssh_client(host)
            host.environment["SOCKS64_GATEWAY"] = Gateway.url(client.name)
            self.captures[client.name] = capture.Capture(host, client.gateways[0], topology.GATEWAY_PORT)
        self.gateway = Gateway(self.hosts["gateway"], product("SOCKS64_GATEWAYD"))

    def make_links(self):
        gateway = self.hosts["gateway"]
        gateway.check("""
            echo 0 > /proc/sys/net/ipv4/ip_forward
            echo 0 > /proc/sys/net/ipv6/conf/all/forwarding
        """)
        for host in topology.HOSTS.values():
            running = self.hosts[host.name]
            hosts.run_checked(["ip", "link", "add", "link0", "netns", str(running.pid), "type", "veth",
                               "peer", "name", host.name, "netns", str(gateway.pid)])
            # nodad: an address is usable at once. No router solicitations, no addresses but ours.
            running.check(f"""
                {"" if host.has6 else "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"}
                {"" if host.has6 else "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"}
                {"" if host.has4 else "ip address del 127.0.0.1/8 dev lo"}
                {"echo 0 > /proc/sys/net/ipv6/conf/link0/accept_ra" if host.has6 else ""}
                {self.addresses(host.own_side, "link0")}
                ip link set link0 up
            """)
            gateway.check(f"""
                echo 0 > /proc/sys/net/ipv6/conf/{host.name}/accept_ra
                {self.addresses(host.gateway_side, host.name)}
                ip link set {host.name} up
                {self.holes(host)}
            """)
            if host.client:
                running.check(f"ip route add default via {host.gateways[0]} dev link0")

    @staticmethod
    def addresses(addresses, link):
        return "\n".join(f"ip address add {a} dev {link} {'nodad' if ':' in a else ''}" for a in addresses)

    @staticmethod
    def holes(host):
        """A neighbour entry for nobody: packets leave, nothing ever comes back, not even a complaint."""
        return "\n".join(f"ip neighbour add {address} lladdr 02:00:00:00:00:ff dev {host.name} "
                         "nud permanent" for address in host.black_holes)

    def run_on(self, host, argv, env=None, **options):
        """Runs a program on a host; see RunningHost.run."""
        return self.hosts[host].run(argv, env, **options)

    def socksified(self, host, argv, env=None, **options):
        """Runs a program under socksify on a client."""
        return self.run_on(host, [self.socksify, "-g", Gateway.url(host), *argv], env, **options)

    def leaks(self):
        """What has left the clients past the gateway since the last call; see capture.py."""
        return [line for client in self.captures.values() for line in client.leaks()]


def print_logs():
    """Every service's log, for a human who looks for a failure's cause."""
    names = sorted(os.listdir(services.LOGS)) if os.path.isdir(services.LOGS) else []
    for name in names:
        with open(f"{services.LOGS}/{name}", encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
        if lines:
            print(f"--- {name}, last lines\n" + "".join(lines[-15:]), flush=True)


def run_tests(modules):
    """One lab for all tests of a module; unittest prints each test, the logs follow a failure."""
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    suite = unittest.defaultTestLoader.loadTestsFromNames(modules)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, failfast=False).run(suite)
    if not result.wasSuccessful():
        print_logs()
    return 0 if result.wasSuccessful() and result.testsRun else 1


def run_table(path, table, modules):
    """A table, from the outcome of the tests of its modules. Its status says whether it could be written, not what it says."""
    import compatibility  # pylint: disable=import-outside-toplevel  # it is only wanted here
    suite = unittest.defaultTestLoader.loadTestsFromNames(modules)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=compatibility.Outcomes).run(suite)

    def run(argv):
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        return done.stdout.decode(errors="replace")

    table.write(path, result.of, run)
    return 0 if result.of else 1


def run_compatibility(path):
    import compatibility  # pylint: disable=import-outside-toplevel
    return run_table(path, compatibility, compatibility.MIXINS)


def run_interop(path):
    import interop  # pylint: disable=import-outside-toplevel
    return run_table(path, interop, interop.MODULES)


def run_one(host, argv):
    if host != "gateway" and host not in topology.HOSTS:
        sys.exit(f"no host '{host}' in the lab: gateway, " + ", ".join(topology.HOSTS))
    try:
        lab = Lab()
    except hosts.Failed as failure:
        print_logs()
        sys.exit(f"the lab could not be made: {failure}")
    if lab.gateway.program:
        lab.gateway.start()
    tools = os.path.dirname(lab.socksify) if lab.socksify else ""
    there = lab.hosts[host]
    environment = {**there.environment, "PATH": f"{tools}:{there.environment['PATH']}"}
    return subprocess.run(there.inside(argv), env=environment, check=False).returncode


def main(arguments):
    if len(arguments) >= 2 and arguments[0] == "test":
        sandbox.enter()
        return run_tests(arguments[1:])
    if len(arguments) == 2 and arguments[0] == "compatibility":
        sandbox.enter()
        return run_compatibility(arguments[1])
    if len(arguments) == 2 and arguments[0] == "interop":
        sandbox.enter()
        return run_interop(arguments[1])
    if len(arguments) == 2 and arguments[0] == "shell":
        sandbox.enter()
        return run_one(arguments[1], ["bash", "--norc", "-i"])
    if len(arguments) >= 3 and arguments[0] == "run":
        sandbox.enter()
        return run_one(arguments[1], arguments[2:])
    sys.stderr.write(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
