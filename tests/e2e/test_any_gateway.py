"""Any family to any gateway, and several gateways, with real programs: IPv4-only programs on a host
that has no IPv4 at all, whose gateway is IPv6; and a dead gateway before the one that works.

Both clients run each program in the family that its host lacks: the socket is of one family, the gateway of the other, and the
destination of any.
"""

import hashlib
import json
import os
import shutil
import unittest

import sandbox
import topology
from case import PYTHON, GatewayTest
from gateway import Gateway
from hosts import LAB
from services import FILES

# A connection in the family told, as a program that knows no other; what it says of itself is of that family.
ASYNCIO = """
import asyncio, hashlib, json, socket, sys

family = {"4": socket.AF_INET, "6": socket.AF_INET6}[sys.argv[1]]

async def get(name, path):
    loop = asyncio.get_running_loop()
    (_, _, _, _, address), *_ = await loop.getaddrinfo(name, 80, family=family, type=socket.SOCK_STREAM)
    plain = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if family == socket.AF_INET6:
        plain.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    plain.setblocking(False)
    await loop.sock_connect(plain, address)
    assert plain.getpeername()[:2] == address[:2], plain.getpeername()
    assert socket.socket(fileno=socket.dup(plain.fileno())).family == family
    reader, writer = await asyncio.open_connection(sock=plain)  # sets TCP_NODELAY
    assert plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    writer.write(f"GET {path} HTTP/1.0\\r\\nHost: {name}\\r\\n\\r\\n".encode())
    head, _, body = (await reader.read()).partition(b"\\r\\n\\r\\n")
    writer.close()
    assert b" 200 " in head.split(b"\\r\\n")[0], head
    return path, hashlib.sha256(body).hexdigest()

async def main(name, paths):
    return await asyncio.gather(*(get(name, path) for path in paths))

print(json.dumps(asyncio.run(main(sys.argv[2], sys.argv[3:]))))
"""

NODE = """
const http = require('http'), crypto = require('crypto');
const [family, name, ...paths] = process.argv.slice(1);
Promise.all(paths.map(path => new Promise((resolve, reject) => {
  http.get({host: name, path, family: Number(family)}, response => {
    const hash = crypto.createHash('sha256');
    response.on('data', chunk => hash.update(chunk));
    response.on('end', () => resolve([path, hash.digest('hex')]));
    response.on('error', reject);
  }).on('error', reject);
}))).then(found => console.log(JSON.stringify(found)), error => { console.error(error); process.exit(1); });
"""


class OtherFamily:
    """Every program in the family that the client's host does not have."""

    client = None
    name = None

    def setUp(self):
        super().setUp()
        self.scratch = f"{LAB}/tmp/{self.id()}"
        os.makedirs(self.scratch, exist_ok=True)
        self.addCleanup(shutil.rmtree, self.scratch)
        self.family = "6" if topology.HOSTS[self.client].has4 else "4"
        self.site = self.lab.site

    def program(self, *argv, before=""):
        environment = {"SOCKS64_GATEWAY": before + Gateway.url(self.client)}
        if argv[0] in ("curl", "git"):
            # libcurl asks for both versions even with -6, and drops IPv4 from the answer; by default there is one.
            environment["SOCKS64_FAKE_FAMILIES"] = "both"
        return self.run_on(self.client, [self.lab.socksify, *argv], environment, directory=self.scratch)

    def front_page(self):
        return self.site.front_page(topology.SERVED_BY[self.name].host).encode()

    def test_curl_and_wget(self):
        url, page = f"http://{self.name}/", self.front_page()
        for argv in (["curl", f"-{self.family}", "-sS", "--fail", url], ["wget", f"-{self.family}", "-q", "-O", "-", url]):
            self.assertEqual(self.program(*argv), page)
        self.program("curl", f"-{self.family}", "-sS", "--fail", "--parallel", "--parallel-immediate", "--parallel-max", "20",
                     f"http://{self.name}/files/[00-{FILES - 1}]", "-o", "got.#1")
        for path, digest in self.site.digests.items():
            if path.startswith("/files/"):
                with open(f"{self.scratch}/got.{path[-2:]}", "rb") as file:
                    self.assertEqual(hashlib.sha256(file.read()).hexdigest(), digest, path)
        self.assert_crossed(self.client, self.name, count=3)

    def test_ssh_and_git(self):
        said = self.program("ssh", f"-{self.family}", self.name, f"hostname; cat {LAB}/www/big")
        host, _, octets = said.partition(b"\n")
        self.assertEqual(host.decode(), topology.SERVED_BY[self.name].host)
        self.assertEqual(hashlib.sha256(octets).hexdigest(), self.site.digests["/big"])
        option = f"--ipv{self.family}"
        self.program("git", "clone", "-q", option, f"http://{self.name}/repo.git", "repo")
        self.assert_crossed(self.client, self.name, 22)

    def test_asyncio_fifty_at_once(self):
        paths = [f"/files/{number % FILES:02}" for number in range(50)]
        found = json.loads(self.program(PYTHON, "-c", ASYNCIO, self.family, self.name, *paths))
        self.assertEqual(found, [[path, self.site.digests[path]] for path in paths])
        self.assert_crossed(self.client, self.name, count=50)

    @unittest.skipUnless(sandbox.find("node"), "node is not installed")
    def test_node(self):
        paths = [f"/files/{number:02}" for number in range(FILES)]
        found = json.loads(self.program("node", "-e", NODE, self.family, self.name, *paths))
        self.assertEqual(dict(found), {path: self.site.digests[path] for path in paths})

    def test_a_dead_gateway_before_it(self):
        # One on this host that refuses, one of the family that the host lacks, a UNIX socket that is not there.
        before = "socks5://127.0.0.1:9 socks5://[::1]:9 socks5+unix:///nowhere "
        before += "socks5://[2001:db8:ffff::9]:1080 " if self.family == "6" else "socks5://203.0.113.9:1080 "
        self.assertEqual(self.program("curl", f"-{self.family}", "-sS", "--fail", f"http://{self.name}/", before=before),
                         self.front_page())
        paths = [f"/files/{number:02}" for number in range(10)]
        found = json.loads(self.program(PYTHON, "-c", ASYNCIO, self.family, self.name, *paths, before=before))
        self.assertEqual(found, [[path, self.site.digests[path]] for path in paths])
        self.assert_crossed(self.client, self.name, count=11)


for client_ in topology.CLIENTS:
    for name_ in topology.SERVED_BY:
        title = f"{client_.name}_to_{name_.partition('.')[0]}"
        globals()[title] = type(title, (OtherFamily, GatewayTest), {"client": client_.name, "name": name_,
                                                                    "__module__": __name__})


if __name__ == "__main__":
    unittest.main()
