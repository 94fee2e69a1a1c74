"""What the tests of real programs share: one client, one destination, a scratch folder, and what the destination serves."""

import hashlib
import os
import shutil

import topology
from case import GatewayTest
from hosts import LAB

DESTINATIONS = topology.SERVED_BY


def sha256(octets):
    return hashlib.sha256(octets).hexdigest()


class ProgramCase:
    """Every test for one client and one destination; the classes that on_every_pair() makes name both."""

    client = None
    name = None
    pending = {}  # (client or None for both, test): why it is known not to work yet

    def setUp(self):
        method = self.id().rpartition(".")[2]
        why = self.pending.get((self.client, method)) or self.pending.get((None, method))
        if why and os.environ.get("SOCKS64_E2E_PENDING") != "run":
            self.skipTest(f"pending: {why}")
        super().setUp()
        self.scratch = f"{LAB}/tmp/{self.id()}"
        os.makedirs(self.scratch, exist_ok=True)
        self.addCleanup(shutil.rmtree, self.scratch)
        self.page = self.lab.site.front_page(DESTINATIONS[self.name].host).encode()

    def program(self, argv, env=None, **options):
        return self.socksified(self.client, argv, env, directory=self.scratch, **options)

    def files(self):
        return {path: digest for path, digest in self.lab.site.digests.items() if path.startswith("/files/")}

    def digest(self, path):
        """Of a file on every destination, as the URL has it."""
        return self.lab.site.digests[path]

    def read(self, path):
        with open(f"{self.scratch}/{path}", "rb") as file:
            return file.read()


def on_every_pair(mixin, module):
    """One class for each client and destination: {"client4_to_v6only": class, ...}."""
    made = {}
    for client in topology.CLIENTS:
        for name in DESTINATIONS:
            title = f"{client.name}_to_{name.partition('.')[0]}"
            made[title] = type(title, (mixin, GatewayTest), {"client": client.name, "name": name, "__module__": module})
    return made
