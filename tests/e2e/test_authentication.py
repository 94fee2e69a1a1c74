"""Programs under socksify at a gateway that lets in nobody without a password."""

import os
import time
import unittest
from urllib.parse import quote

from case import GatewayTest
from gateway import Gateway
from hosts import LAB
from interop_gateway import DEMANDS_PASSWORD, PASSWORD, USER, make_users_file

CLIENTS = ("client4", "client6")
# What each client can only have through the gateway.
ACROSS = {"client4": "v6only.test", "client6": "v4only.test"}


class Credentials(GatewayTest):
    configuration = DEMANDS_PASSWORD + "\n"

    @classmethod
    def setUpClass(cls):
        super(GatewayTest, cls).setUpClass()
        make_users_file()
        super().setUpClass()

    def curl(self, client, gateway, *options, expect=0):
        return self.run_on(client, [self.lab.socksify, "-g", gateway, *options, "curl", "-sS", f"http://{ACROSS[client]}/"],
                           expect=expect)

    def with_login(self, client, user, password):
        return Gateway.url(client).replace("://", f"://{user}:{quote(password, safe='')}@")

    def refusals(self, reason, seconds=10):
        """The lines of failures for that reason since self.mark; the log is written by a thread of its own."""
        deadline = time.monotonic() + seconds
        while True:
            lines = [line for line in self.lab.gateway.lines()[self.mark:] if "authentication failed" in line and reason in line]
            if lines or time.monotonic() > deadline:
                return lines
            time.sleep(0.02)

    def test_right(self):
        for client in CLIENTS:
            with self.subTest(client=client):
                self.mark = self.lab.gateway.mark()
                self.assertTrue(self.curl(client, self.with_login(client, USER, PASSWORD)))
                for record in self.assert_crossed(client, ACROSS[client]):
                    self.assertEqual(record.user, USER)

    def test_from_a_file(self):
        path = f"{LAB}/credentials"
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(f"{USER}:{PASSWORD}\n")
        self.assertTrue(self.curl("client4", Gateway.url("client4"), "--credentials", path))
        self.assertEqual(self.assert_crossed("client4", ACROSS["client4"])[0].user, USER)

    def test_wrong_and_none(self):
        """curl cannot connect, and the log has one line with the client's address for each attempt."""
        for client in CLIENTS:
            for gateway, reason in ((self.with_login(client, USER, "wrong"), "wrong-password"),
                                    (self.with_login(client, "nobody", PASSWORD), "unknown-user"),
                                    (Gateway.url(client), "no-acceptable-method")):
                with self.subTest(client=client, reason=reason):
                    self.mark = self.lab.gateway.mark()
                    self.curl(client, gateway, expect=7)  # CURLE_COULDNT_CONNECT
                    lines = self.refusals(reason)
                    self.assertTrue(lines)
                    for line in lines:
                        self.assertRegex(line, rf'authentication failed for user ".*" from [0-9a-f.:]+ \({reason}\)$')
                        self.assertNotIn(PASSWORD, line)


if __name__ == "__main__":
    unittest.main()
