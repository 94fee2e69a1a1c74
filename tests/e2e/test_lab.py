"""The lab itself: were it wrong, the other modules would prove nothing."""

import errno
import socket
import unittest

import topology
from case import LabTest


class Isolation(LabTest):
    def tearDown(self):
        self.lab.leaks()  # these tests send past the gateway on purpose

    def connect(self, host, address, port=80):
        """The errno of a direct connect, 0 if it worked; a time-out counts as EAGAIN."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.lab.hosts[host].socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(0.5)
            return connection.connect_ex((address, port))

    def test_clients_own_one_family(self):
        shown = {name: self.run_on(name, ["ip", "-brief", "address"]).decode() for name in ("client4", "client6")}
        self.assertNotIn(":", shown["client4"].replace("link0@", ""))
        self.assertNotIn(".", shown["client6"])

    def test_no_direct_path_to_any_destination(self):
        for client in topology.CLIENTS:
            for destination in topology.DESTINATIONS:
                for family in (4, 6):
                    address = destination.address(family)
                    if address:
                        with self.subTest(client=client.name, address=address):
                            self.assertIn(self.connect(client.name, address), (errno.EAGAIN, errno.ENETUNREACH,
                                                                                errno.EADDRNOTAVAIL, errno.EHOSTUNREACH))

    def test_gateway_reaches_every_destination(self):
        for destination in topology.DESTINATIONS:
            for family in (4, 6):
                address = destination.address(family)
                if address:
                    self.assertEqual(self.connect("gateway", address), 0, address)

    def test_gateway_forwards_nothing(self):
        for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding"):
            self.assertEqual(self.run_on("gateway", ["cat", f"/proc/sys/net/{switch}"]), b"0\n", switch)

    def test_black_holes_and_refusals(self):
        self.assertEqual(self.connect("gateway", f"{topology.IPV4}{topology.REFUSING}"), errno.ECONNREFUSED)
        self.assertEqual(self.connect("gateway", f"{topology.IPV6}{topology.REFUSING}"), errno.ECONNREFUSED)
        self.assertEqual(self.connect("gateway", f"{topology.IPV4}{topology.BLACK_HOLE}"), errno.EAGAIN)
        self.assertEqual(self.connect("gateway", f"{topology.IPV6}{topology.BLACK_HOLE}"), errno.EAGAIN)

    def test_clients_have_no_dns(self):
        for client in ("client4", "client6"):
            self.assertEqual(self.run_on(client, ["cat", "/etc/resolv.conf"]), b"")
            self.run_on(client, ["getent", "ahosts", "v6only.test"], expect=2)
            self.run_on(client, ["ls", "/run/nscd"], expect=2)

    def test_gateway_has_dns(self):
        for name, addresses in topology.NAMES.items():
            # ahosts sorts by RFC 6724; that the first answer is the dead one is what some names are for.
            found = self.run_on("gateway", ["getent", "ahosts", name]).decode()
            self.assertEqual({line.split()[0] for line in found.splitlines()}, set(addresses), name)
        for name in (topology.MISSING, topology.NO_ADDRESS):
            self.run_on("gateway", ["getent", "ahosts", name], expect=2)

    def test_capture_sees_what_it_should(self):
        """A DNS query, a connect to a fake address, a direct connect: each must be seen, and the permitted flow must not."""
        self.lab.leaks()
        for client in topology.CLIENTS:
            self.connect(client.name, client.gateways[0], topology.GATEWAY_PORT)
        self.assertEqual(self.lab.leaks(), [])
        self.connect("client4", "0.1.2.3")
        self.connect("client6", "100::1")
        self.connect("client4", "192.0.2.1", 53)
        for client, server in (("client4", "198.51.100.53"), ("client6", "2001:db8:d6::53")):
            family = socket.AF_INET6 if ":" in server else socket.AF_INET
            with self.lab.hosts[client].socket(family, socket.SOCK_DGRAM) as query:
                query.sendto(b"?", (server, 53))
        seen = "\n".join(self.lab.leaks())
        for expected in ("-> 0.1.2.3 port 80", "-> 100::1 port 80", "-> 192.0.2.1 port 53", "-> 198.51.100.53 port 53",
                         "-> 2001:db8:d6::53 port 53"):
            self.assertIn(expected, seen)


if __name__ == "__main__":
    unittest.main()
