"""Programs that speak DNS themselves, on hosts that have no DNS: dig, Node's c-ares, a resolver of our own in Python.

They are answered in the process, with addresses that lead to the name through the gateway; and nothing but the flow to the
gateway was seen on the client's link (case.py).
"""

import ipaddress
import json
import unittest

import sandbox
import topology
from case import PYTHON, GatewayTest

FAKES = {"A": ipaddress.ip_network("0.0.0.0/8"), "AAAA": ipaddress.ip_network("100::/64")}
RESOLVER = {"client4": "192.0.2.53", "client6": "2001:db8:53::53"}  # nobody's
OWN_TYPE = {"client4": "A", "client6": "AAAA"}

NODE = """
const dns = require('dns'), http = require('http');
const [resolver, type, name] = process.argv.slice(1);
dns.setServers([resolver.includes(':') ? `[${resolver}]` : resolver]);
const fail = error => { console.error(error); process.exit(1); };
dns.promises[type == 'A' ? 'resolve4' : 'resolve6'](name).then(async ([address]) => {
  const names = await dns.promises.reverse(address);
  http.get({host: address, path: '/', headers: {Host: name}}, response => {
    let body = '';
    response.on('data', chunk => body += chunk);
    response.on('end', () => console.log(JSON.stringify([address, names, body])));
  }).on('error', fail);
}).catch(fail);
"""

# As little of a resolver as there can be, over UDP and over TCP, and then a connection to what it said.
RAW = """
import http.client, socket, struct, sys
resolver, type, name = sys.argv[1:]
family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
query = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\\0" + struct.pack("!2H", {"A": 1, "AAAA": 28}[type], 1)
udp = socket.socket(family, socket.SOCK_DGRAM)
udp.settimeout(20)
udp.sendto(query, (resolver, 53))
answer, sender = udp.recvfrom(512)
assert sender[:2] == (resolver, 53), sender
tcp = socket.create_connection((resolver, 53), timeout=20)
tcp.sendall(struct.pack("!H", len(query)) + query)
stream = tcp.makefile("rb")
assert stream.read(struct.unpack("!H", stream.read(2))[0]) == answer
address = socket.inet_ntop(family, answer[-16 if type == "AAAA" else -4:])
connection = http.client.HTTPConnection(address, 80, timeout=30)
connection.request("GET", "/", headers={"Host": name})
sys.stdout.write(connection.getresponse().read().decode())
"""


class Dns(GatewayTest):
    def each_client(self, check):
        for client in topology.CLIENTS:
            with self.subTest(client=client.name):
                self.mark = self.lab.gateway.mark()
                check(client.name)

    def assert_fake(self, text, kind):
        self.assertIn(ipaddress.ip_address(text), FAKES[kind])

    def page(self, name):
        return self.lab.site.front_page(topology.SERVED_BY[name].host)

    @unittest.skipUnless(sandbox.find("dig"), "dig is not installed")
    def test_dig(self):
        self.each_client(self.dig)

    def dig(self, client):
        for transport in ("+notcp", "+tcp"):
            for kind in FAKES:
                # The one that is given, and the one that an empty resolv.conf means: this host itself.
                for at in ([f"@{RESOLVER[client]}"], []):
                    with self.subTest(transport=transport, kind=kind, at=at):
                        said = self.socksified(client, ["dig", "+tries=1", "+time=20", "+short", transport, *at,
                                                        "v6only.test", kind])
                        # In front of it, dig may complain of ::1, which a host without IPv6 does not have.
                        self.assert_fake(said.decode().splitlines()[-1], kind)
        self.assertEqual(self.lab.gateway.records(self.mark), [])

    @unittest.skipUnless(sandbox.find("dig"), "dig is not installed")
    def test_dig_reaches_the_truth_through_the_gateway_where_that_is_configured(self):
        options = ["+tries=1", "+time=20", "+short", f"@{topology.DNS_SERVER}"]
        with_gateway = {"SOCKS64_DNS": "gateway"}
        said = self.socksified("client4", ["dig", *options, topology.NO_ADDRESS, "TXT"], with_gateway)
        self.assertNotEqual(said.strip(), b"")
        self.assertEqual(len(self.records(f"{topology.DNS_SERVER}:53")), 1)
        self.assert_fake(self.socksified("client4", ["dig", *options, "v6only.test"], with_gateway).decode().strip(), "A")
        # Unless told, there is no such record, and nobody is asked.
        self.mark = self.lab.gateway.mark()
        self.assertEqual(self.socksified("client4", ["dig", *options, topology.NO_ADDRESS, "TXT"]), b"")
        self.assertEqual(self.lab.gateway.records(self.mark), [])

    @unittest.skipUnless(sandbox.find("node"), "node is not installed")
    def test_node_resolves_and_connects(self):
        self.each_client(self.node)

    def node(self, client):
        for name in topology.SERVED_BY:
            with self.subTest(name=name):
                said = self.socksified(client, ["node", "-e", NODE, RESOLVER[client], OWN_TYPE[client], name])
                address, names, body = json.loads(said)
                self.assert_fake(address, OWN_TYPE[client])
                self.assertEqual((names, body), ([name], self.page(name)))
                self.assert_crossed(client, name)

    def test_a_resolver_of_ones_own(self):
        self.each_client(self.raw)

    def raw(self, client):
        for name in topology.SERVED_BY:
            with self.subTest(name=name):
                said = self.socksified(client, [PYTHON, "-c", RAW, RESOLVER[client], OWN_TYPE[client], name])
                self.assertEqual(said.decode(), self.page(name))
                self.assert_crossed(client, name)


if __name__ == "__main__":
    unittest.main()
