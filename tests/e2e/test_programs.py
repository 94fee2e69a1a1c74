"""Real, unmodified programs on both clients to every kind of destination: types A to D of RFC 3089.

What arrived is compared by content; the gateway's access record must show that it was asked for the name and crossed to
the family that has it; and nothing but the flow to the gateway was seen on the client's link (case.py).
"""

import json
import unittest

import sandbox
import topology
from case import PYTHON, GatewayTest
from gateway import Gateway
from hosts import LAB
from program_case import DESTINATIONS, ProgramCase, on_every_pair, sha256
from services import FILES

URLLIB = """
import sys, urllib.request
sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1], timeout=30).read())
"""

# Fifty at once from one thread: every connect is non-blocking, and epoll waits for all of them.
ASYNCIO = """
import asyncio, hashlib, json, sys

async def get(name, path):
    reader, writer = await asyncio.open_connection(name, 80)
    writer.write(f"GET {path} HTTP/1.0\\r\\nHost: {name}\\r\\n\\r\\n".encode())
    head, _, body = (await reader.read()).partition(b"\\r\\n\\r\\n")
    writer.close()
    assert b" 200 " in head.split(b"\\r\\n")[0], head
    return path, hashlib.sha256(body).hexdigest()

async def main(name, paths):
    return await asyncio.gather(*(get(name, path) for path in paths))

print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2:]))))
"""

NODE = """
const http = require('http'), crypto = require('crypto');
const [name, ...paths] = process.argv.slice(1);
const agent = new http.Agent({maxSockets: 100});
Promise.all(paths.map(path => new Promise((resolve, reject) => {
  http.get({host: name, path, agent}, response => {
    const hash = crypto.createHash('sha256');
    response.on('data', chunk => hash.update(chunk));
    response.on('end', () => resolve([path, hash.digest('hex')]));
    response.on('error', reject);
  }).on('error', reject);
}))).then(found => console.log(JSON.stringify(found)), error => { console.error(error); process.exit(1); });
"""


class Programs(ProgramCase):

    def test_curl(self):
        self.assertEqual(self.program(["curl", "-sS", "--fail", f"http://{self.name}/"]), self.page)
        self.assertEqual(sha256(self.program(["curl", "-sS", "--fail", f"http://{self.name}/big"])),
                         self.lab.site.digests["/big"])
        self.assert_crossed(self.client, self.name, count=2)

    def test_curl_https(self):
        self.assertEqual(self.program(["curl", "-sS", "--fail", f"https://{self.name}/"]), self.page)
        self.assert_crossed(self.client, self.name, 443)

    def test_curl_parallel(self):
        self.program(["curl", "-sS", "--fail", "--parallel", "--parallel-immediate", "--parallel-max", "20",
                      f"http://{self.name}/files/[00-{FILES - 1}]", "-o", "got.#1"])
        for path, digest in self.files().items():
            self.assertEqual(sha256(self.read(f"got.{path[-2:]}")), digest, path)
        self.assert_crossed(self.client, self.name, count=2)  # curl may use a connection again

    def test_wget(self):
        self.assertEqual(self.program(["wget", "-q", "-O", "-", f"http://{self.name}/"]), self.page)
        self.assertEqual(sha256(self.program(["wget", "-q", "-O", "-", f"http://{self.name}/big"])),
                         self.lab.site.digests["/big"])
        self.assert_crossed(self.client, self.name, count=2)

    def test_git_clone(self):
        self.program(["git", "clone", "-q", f"http://{self.name}/repo.git", self.name])
        commit = self.run_on(self.client, ["git", "-C", f"{self.scratch}/{self.name}", "rev-parse", "HEAD"])
        self.assertEqual(commit.decode().strip(), self.lab.site.commit)
        self.assertEqual(sha256(self.read(f"{self.name}/data")), self.lab.site.digests["/files/07"])
        self.assert_crossed(self.client, self.name)

    def test_ssh(self):
        said = self.program(["ssh", self.name, f"hostname; cat {LAB}/www/big"])
        host, _, octets = said.partition(b"\n")
        self.assertEqual(host.decode(), DESTINATIONS[self.name].host)
        self.assertEqual(sha256(octets), self.lab.site.digests["/big"])
        self.assert_crossed(self.client, self.name, 22)

    def test_scp(self):
        self.program(["scp", "-q", f"{self.name}:{LAB}/www/files/03", "fetched"])
        self.assertEqual(sha256(self.read("fetched")), self.lab.site.digests["/files/03"])
        sent = f"{LAB}/home/{DESTINATIONS[self.name].host}/sent.by.{self.client}.{self.name}"
        self.program(["scp", "-q", "fetched", f"{self.name}:{sent}"])
        with open(sent, "rb") as file:
            self.assertEqual(sha256(file.read()), self.lab.site.digests["/files/03"])
        self.assert_crossed(self.client, self.name, 22, count=2)

    def test_python_urllib(self):
        self.assertEqual(self.program([PYTHON, "-c", URLLIB, f"http://{self.name}/"]), self.page)
        self.assertEqual(self.program([PYTHON, "-c", URLLIB, f"https://{self.name}/"]), self.page)
        self.assert_crossed(self.client, self.name, 80)
        self.assert_crossed(self.client, self.name, 443)

    def test_python_asyncio_fifty_at_once(self):
        paths = [f"/files/{number % FILES:02}" for number in range(50)]
        found = json.loads(self.program([PYTHON, "-c", ASYNCIO, self.name, *paths]))
        self.assertEqual(found, [[path, self.lab.site.digests[path]] for path in paths])
        self.assert_crossed(self.client, self.name, count=50)

    @unittest.skipUnless(sandbox.find("node"), "node is not installed")
    def test_node_http(self):
        found = json.loads(self.program(["node", "-e", NODE, self.name, *self.files()]))
        self.assertEqual(dict(found), self.files())
        self.assert_crossed(self.client, self.name, count=FILES)

    def test_preload_alone(self):
        """Without the wrapper: LD_PRELOAD and the gateway's URL are all there is to it."""
        environment = {"LD_PRELOAD": self.lab.library, "SOCKS64_GATEWAY": Gateway.url(self.client)}
        self.assertEqual(self.run_on(self.client, ["curl", "-sS", "--fail", f"http://{self.name}/"], environment), self.page)
        self.assertEqual(self.run_on(self.client, [PYTHON, "-c", URLLIB, f"http://{self.name}/"], environment), self.page)
        self.assert_crossed(self.client, self.name, count=2)

    def test_curl_with_a_cleared_environment(self):
        """Started by other programs, with nothing in its environment."""
        curl = ["/usr/bin/curl", "-sS", "--fail", f"http://{self.name}/"]
        self.assertEqual(self.program(["env", "-i", *curl]), self.page)
        started_by_python = f"import subprocess; subprocess.run({curl}, env={{}}, check=True)"
        self.assertEqual(self.program([PYTHON, "-c", started_by_python]), self.page)
        self.assert_crossed(self.client, self.name, count=2)

    def test_curl_with_an_address_from_another_program(self):
        """Python looks the name up, curl gets a number."""
        family, form = ("INET", "{}") if self.client == "client4" else ("INET6", "[{}]")
        look_up = f"import socket; print(socket.getaddrinfo('{self.name}', 80, socket.AF_{family})[0][4][0])"
        script = f"address=$({PYTHON} -c \"{look_up}\") && exec curl -gsS --fail http://{form.format('$address')}/"
        self.assertEqual(self.program(["sh", "-c", script]), self.page)
        self.assert_crossed(self.client, self.name)


class SlowNames(GatewayTest):
    def test_slow_destinations_do_not_wait_for_each_other(self):
        """Fifty names that take a second each to resolve are done in little more than one."""
        for client in ("client4", "client6"):
            with self.subTest(client=client):
                self.fifty(client)

    def fifty(self, client):
        script = ASYNCIO.replace(
            "get(name, path) for path in paths", "get(path + name, '/files/01') for path in paths")
        labels = [f"{client}-{number}." for number in range(50)]
        timed = f"import time; begin = time.monotonic()\n{script}\nprint(time.monotonic() - begin)"
        said = self.socksified(client, [PYTHON, "-c", timed, topology.SLOW_ZONE, *labels]).splitlines()
        self.assertEqual({digest for _, digest in json.loads(said[0])}, {self.lab.site.digests["/files/01"]})
        seconds = float(said[1])
        self.assertGreater(seconds, topology.SLOW_SECONDS * 0.95)
        self.assertLess(seconds, topology.SLOW_SECONDS * 2.5)


globals().update(on_every_pair(Programs, __name__))


if __name__ == "__main__":
    unittest.main()
