"""verify_names with the gateway and its DNS: a name that does not exist fails in the look-up; one that does is reached."""

import unittest

import topology
from case import GatewayTest

CLIENTS = ("client4", "client6")
ON = {"SOCKS64_VERIFY_NAMES": "on"}
GETENT_NOT_FOUND = 2  # getent(1)
CURL_NO_SUCH_HOST = 6


class Verification(GatewayTest):
    configuration = '[timeouts]\nconnect = "3s"\n[resolver]\nquery_timeout = "500ms"\n'

    def getent(self, client, name, env=None, expect=0):
        return self.socksified(client, ["getent", "ahosts", name], env, expect=expect)

    def test_names_that_do_not_exist(self):
        for client in CLIENTS:
            for name in (topology.MISSING, topology.NO_ADDRESS):
                with self.subTest(client=client, name=name):
                    self.assertNotEqual(self.getent(client, name), b"", "off, every name has an address")
                    self.assertEqual(self.getent(client, name, ON, GETENT_NOT_FOUND), b"")
                    record = self.records(f"{name}:0")[-1]
                    self.assertEqual((record.command, record.reply, record.reason), ("resolve", "4", "name-not-found"))

    def test_curl_says_that_the_name_is_wrong(self):
        for client in CLIENTS:
            self.socksified(client, ["curl", "-sS", f"http://{topology.MISSING}/"], ON, expect=CURL_NO_SUCH_HOST)

    def test_names_that_exist_are_reached(self):
        for client in CLIENTS:
            for name in topology.SERVED_BY:
                with self.subTest(client=client, name=name):
                    self.mark = self.lab.gateway.mark()
                    page = self.socksified(client, ["curl", "-sS", f"http://{name}/"], ON)
                    self.assertEqual(page, f"This is {topology.SERVED_BY[name].host}.\n".encode())
                    self.assert_crossed(client, name)
                    self.assertEqual([record.reply for record in self.records(f"{name}:0")], ["0"])

    def test_a_name_whose_server_is_slow_is_waited_for(self):
        for client in CLIENTS:
            self.assertNotEqual(self.getent(client, f"{client}.{topology.SLOW_ZONE}", ON), b"")
            self.assertEqual(self.records(f"{client}.{topology.SLOW_ZONE}:0")[-1].reply, "0")

    def test_a_name_whose_server_is_silent_is_not_called_missing(self):
        for client in CLIENTS:
            self.assertNotEqual(self.getent(client, f"{client}.{topology.DEAD_ZONE}", ON), b"")
            self.assertEqual(self.records(f"{client}.{topology.DEAD_ZONE}:0")[-1].reply, "1")


class SwitchedOff(GatewayTest):
    configuration = "[commands]\nresolve = false\n"

    def test_a_gateway_that_does_not_answer_changes_nothing(self):
        for client in CLIENTS:
            self.assertNotEqual(self.socksified(client, ["getent", "ahosts", topology.MISSING], ON), b"")
            page = self.socksified(client, ["curl", "-sS", "http://both.test/"], ON)
            self.assertEqual(page, b"This is dest46.\n")


class NotThere(GatewayTest):
    def test_names_are_found_and_the_connect_says_what_is_wrong(self):
        self.lab.gateway.end()
        for client in CLIENTS:
            self.socksified(client, ["curl", "-sS", f"http://{topology.MISSING}/"], ON, expect=7)


if __name__ == "__main__":
    unittest.main()
