"""What a program is told when it does not work: the right errno at once, never a way around the gateway."""

import errno
import unittest

import topology
from case import PYTHON, GatewayTest, LabTest
from gateway import Gateway

CLIENTS = ("client4", "client6")

# Prints the errno's name of a blocking and of a non-blocking connect; "connected" if it went through.
CONNECT = """
import asyncio, errno, socket, sys
host, port = sys.argv[1], int(sys.argv[2])

def told(error):
    return errno.errorcode.get(error.errno, error.errno) if error.errno else repr(error)

def blocking():
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    connection = socket.socket(family, kind, protocol)
    connection.connect(address)

async def readiness():
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    connection = socket.socket(family, kind, protocol)
    connection.setblocking(False)
    await loop.sock_connect(connection, address)

for attempt in (blocking, lambda: asyncio.run(readiness())):
    try:
        attempt()
        print("connected")
    except OSError as error:
        print(told(error))
"""


class Errnos(GatewayTest):
    configuration = '[timeouts]\nconnect = "2s"\n'

    def told(self, client, name, port=80, env=None):
        return self.socksified(client, [PYTHON, "-c", CONNECT, name, str(port)], env).decode().split()

    def test_destination_fails(self):
        for client in CLIENTS:
            for name, expected in ((topology.MISSING, {"EHOSTUNREACH"}), ("allrefused.test", {"ECONNREFUSED"}),
                                   ("alldead.test", {"ETIMEDOUT", "EHOSTUNREACH"}), ("both.test", {"connected"})):
                with self.subTest(client=client, name=name):
                    said = self.told(client, name)
                    self.assertEqual(len(said), 2)
                    self.assertLessEqual(set(said), expected)

    def test_curl_says_it_too(self):
        for client in CLIENTS:
            done = self.lab.socksified(client, ["curl", "-sS", "http://allrefused.test/"])
            self.assertEqual(done.returncode, 7, done.stderr)
            self.assertEqual(done.stdout, b"")

    def test_failure_does_not_poison_what_follows(self):
        for client in CLIENTS:
            page = self.socksified(client, ["curl", "-sS", "http://allrefused.test/", "http://missing.test/",
                                            "http://v6only.test/"], expect=0)
            self.assertEqual(page, b"This is dest6.\n")


class BrokenGateway(LabTest):
    """No gateway, a wrong one, none named. A program then reaches nothing: closed, not open."""

    def told(self, client, url, **env):
        environment = {"LD_PRELOAD": self.lab.library, "SOCKS64_GATEWAY": url, **env}
        return self.run_on(client, [PYTHON, "-c", CONNECT, "v4only.test", "80"], environment).decode().split()

    def test_gateway_is_down(self):
        for client in CLIENTS:
            self.assertEqual(set(self.told(client, Gateway.url(client))), {"ECONNREFUSED"}, client)

    def test_unusable_configuration(self):
        for client in CLIENTS:
            for url in ("socks4://192.0.2.1:1080", "nonsense", "socks5://192.0.2.1:99999"):
                with self.subTest(client=client, url=url):
                    self.assertEqual(set(self.told(client, url)), {errno.errorcode[errno.ENETDOWN]})

    def test_no_gateway_named(self):
        """The default is this host's own SOCKS port, 127.0.0.1:1080: nobody is there, and client6 has no IPv4 at all."""
        for client, expected in (("client4", "ECONNREFUSED"), ("client6", "ENETUNREACH")):
            for url in ("", None):
                with self.subTest(client=client, url=url):
                    self.assertEqual(set(self.told(client, url)), {expected})

    def with_peer(self, client, script):
        """A peer in the gateway's place, one that answers each connection by a line of shell."""
        address = topology.HOSTS[client].gateways[0]
        gateway = self.lab.hosts["gateway"]
        peer = gateway.start([PYTHON, "-c", PEER, address, str(topology.GATEWAY_PORT), script])
        self.addCleanup(peer.wait)
        self.addCleanup(peer.kill)
        gateway.wait_for_port(address, topology.GATEWAY_PORT, peer)

    def test_garbage_and_truncated_handshakes(self):
        for client in CLIENTS:
            for name, octets in (("HTTP", b"HTTP/1.0 400 Bad Request\r\n\r\n"), ("SOCKS4", b"\x00\x5b" + bytes(6)),
                                 ("no method", b"\x05\xff"), ("truncated", b"\x05\x00\x05\x00"), ("nothing", b"")):
                with self.subTest(client=client, peer=name):
                    self.with_peer(client, octets.hex())
                    said = self.told(client, Gateway.url(client))
                    self.assertEqual(len(said), 2)
                    self.assertNotIn("connected", said)
                    self.assertTrue(set(said) <= set(errno.errorcode.values()), said)
                    print(f"{client}, {name}: {' '.join(said)}", flush=True)
                    self.doCleanups()


PEER = """
import socket, sys
address, port, octets = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
server = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
while True:
    client, _ = server.accept()
    client.settimeout(2)
    try:
        client.recv(100)
        client.sendall(octets)
        client.shutdown(socket.SHUT_WR)
        while client.recv(1000):
            pass
    except OSError:
        pass
    client.close()
"""


if __name__ == "__main__":
    unittest.main()
