"""--test HOST:PORT: where the way to a destination breaks, with a gateway that breaks there."""

import re
import socket
import unittest

from socksify_case import SocksifyCase, main
import scripted_gateway
from scripted_gateway import ScriptedGateway


class Walk(SocksifyCase):
    def gateway(self, **options):
        gateway = ScriptedGateway(**options)
        self.addCleanup(gateway.die)
        return gateway

    def walk(self, gateway, destination, *options, **environment):
        url = gateway if isinstance(gateway, str) else gateway.url()
        status, out, err = self.socksify("-g", url, *options, "--test", destination, **environment)
        self.assertEqual(err, "")
        steps = re.findall(r"^  (connect|authentication|request) +(ok|FAILED) +[0-9.]+ ms  (.*)$", out, re.MULTILINE)
        return status, steps, out

    def assert_breaks(self, gateway, step, what, advice, destination=f"host.test:{scripted_gateway.ECHO}", **options):
        status, steps, out = self.walk(gateway, destination, **options)
        self.assertEqual(status, 1, out)
        self.assertEqual((steps[-1][:2]), (step, "FAILED"), out)
        self.assertTrue(all(each[1] == "ok" for each in steps[:-1]), out)
        self.assertIn(what, steps[-1][2])
        self.assertIn(advice, out.split("what to do")[1])

    def test_it_gets_through(self):
        gateway = self.gateway()
        status, steps, out = self.walk(gateway, f"host.test:{scripted_gateway.ECHO}")
        self.assertEqual((status, [step[:2] for step in steps]),
                         (0, [("connect", "ok"), ("authentication", "ok"), ("request", "ok")]), out)
        self.assertIn("not required", steps[1][2])
        self.assertEqual(repr(gateway.requests), f"[name host.test:{scripted_gateway.ECHO}]")

    def test_the_time_of_the_request_is_the_destinations(self):
        _, _, out = self.walk(self.gateway(), f"host.test:{scripted_gateway.SLOW}")
        times = [float(each) for each in re.findall(r"([0-9.]+) ms", out)]
        self.assertEqual(len(times), 3)
        self.assertGreaterEqual(times[2], 900)
        self.assertLess(times[0], times[2])

    def test_addresses_of_both_families(self):
        gateway = self.gateway()
        for destination in (f"192.0.2.9:{scripted_gateway.ECHO}", f"[2001:db8::9]:{scripted_gateway.ECHO}"):
            self.assertEqual(self.walk(gateway, destination)[0], 0)
        self.assertEqual([request.kind for request in gateway.requests], ["ipv4", "ipv6"])

    def test_user_and_password(self):
        gateway = self.gateway(greeting="password")
        status, steps, _ = self.walk(gateway.url("ann:secret@"), f"host.test:{scripted_gateway.ECHO}")
        self.assertEqual((status, steps[1][1:]), (0, ("ok", "with user and password")))
        self.assert_breaks(gateway.url("ann:wrong@"), "authentication", "authentication failed",
                           "the gateway does not accept this user and password")
        self.assert_breaks(gateway.url(), "authentication", "no acceptable authentication method",
                           "the gateway asks for authentication")

    def test_a_password_is_not_shown(self):
        gateway = self.gateway(greeting="password")
        self.assertNotIn("secret", self.walk(gateway.url("ann:secret@"), f"host.test:{scripted_gateway.ECHO}")[2])

    def test_nobody_listens(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
            self.assert_breaks(f"socks5://127.0.0.1:{port}", "connect", "Connection refused", "check that the gateway is running")

    def test_another_protocol_listens(self):
        self.assert_breaks(self.gateway(greeting="garbage"), "authentication", "wrong protocol version",
                           "does not speak SOCKS5")

    def test_it_hangs_up(self):
        self.assert_breaks(self.gateway(greeting="cut"), "authentication", "peer closed", "its log says why")
        self.assert_breaks(self.gateway(greeting="reset"), "authentication", "Connection reset", "its log says why")

    def test_it_says_nothing(self):
        self.assert_breaks(self.gateway(greeting="silent"), "authentication", "timed out", "check that it is a SOCKS5 server",
                           SOCKS64_TIMEOUT="1")

    def test_the_destination_never_answers(self):
        self.assert_breaks(self.gateway(), "request", "timed out", "'timeout'",
                           destination=f"host.test:{scripted_gateway.NEVER}", SOCKS64_TIMEOUT="1")

    def test_every_reply(self):
        gateway = self.gateway()
        for code, advice in ((1, "log"), (2, "rules"), (3, "no route"), (4, "does not exist"), (5, "nothing listens"),
                             (6, "in time"), (7, "cannot do this"), (8, "cannot do this"), (99, "log")):
            with self.subTest(code=code):
                self.assert_breaks(gateway, "request", "", advice, destination=f"host.test:{scripted_gateway.REFUSE + code}")

    def test_it_says_what_the_rules_make_of_it(self):
        gateway = self.gateway()
        for destination, rules, note in ((f"127.0.0.1:{scripted_gateway.ECHO}", None, "programs connect to their own host directly"),
                                         (f"a.test:{scripted_gateway.ECHO}", "direct a.test",
                                          "the rule 'direct a.test' lets programs connect to this destination directly"),
                                         (f"a.test:{scripted_gateway.ECHO}", "direct *:1-3000", None),
                                         (f"b.test:{scripted_gateway.ECHO}", "direct a.test", None)):
            status, _, out = self.walk(gateway, destination, SOCKS64_RULES=rules)
            self.assertEqual(status, 0)
            self.assertEqual(re.findall(r"^note: (.*); this test asks the gateway anyway$", out, re.MULTILINE), [note] if note else [])

    def test_what_a_rule_refuses_is_a_failure(self):
        gateway = self.gateway()
        for destination, rule in ((f"192.0.2.1:{scripted_gateway.ECHO}", "refuse 192.0.2.0/24"),
                                  (f"a.test:{scripted_gateway.ECHO}", f"refuse *:{scripted_gateway.ECHO}"),
                                  (f"127.0.0.1:{scripted_gateway.ECHO}", "refuse 127.0.0.0/8"),
                                  (f"[2001:db8::9]:{scripted_gateway.ECHO}", "refuse [2001:db8::/32]:1-3000")):
            with self.subTest(rule):
                status, _, out = self.walk(gateway, destination, SOCKS64_RULES=rule)
                self.assertEqual(status, 1)
                self.assertIn(f"rules: FAILED: the rule '{rule}' refuses this destination to programs\n", out)
        self.assertEqual(gateway.requests, [])

    def test_a_silent_gateway_has_the_time_that_programs_give_it(self):
        silent, alive = self.gateway(greeting="silent"), self.gateway()
        status, steps, out = self.walk(f"{silent.url()} {alive.url()}", f"host.test:{scripted_gateway.ECHO}",
                                       SOCKS64_GATEWAY_TIMEOUT="1", SOCKS64_TIMEOUT="100")
        self.assertEqual((status, [step[:2] for step in steps]),
                         (0, [("connect", "ok"), ("authentication", "FAILED"), ("connect", "ok"), ("authentication", "ok"), ("request", "ok")]))
        waited = float(re.search(r"authentication +FAILED +([0-9.]+) ms", out).group(1))
        self.assertTrue(900 <= waited < 50000, out)

    def test_a_destination_has_the_whole_time(self):
        first, second = self.gateway(), self.gateway()
        _, _, out = self.walk(f"{first.url()} {second.url()}", f"host.test:{scripted_gateway.NEVER}",
                              SOCKS64_GATEWAY_TIMEOUT="1", SOCKS64_TIMEOUT="3")
        self.assertGreaterEqual(float(re.search(r"request +FAILED +([0-9.]+) ms", out).group(1)), 2000)

    def test_where_the_gateway_is_from(self):
        gateway = self.gateway()
        file = self.directory / "my.conf"
        file.write_text(f"gateway = {gateway.url()}\n")
        here = f"127.0.0.1:{gateway.port}"
        for arguments, environment, origin in ((("-g", gateway.url()), {}, "-g"),
                                               ((), {"SOCKS64_GATEWAY": gateway.url()}, "SOCKS64_GATEWAY"),
                                               ((), {"ALL_PROXY": gateway.url()}, "ALL_PROXY"),
                                               ((), {"SOCKS_SERVER": here}, "SOCKS_SERVER"),
                                               (("--config", file), {}, str(file)),
                                               ((), {"SOCKS64_CONFIG": str(file)}, str(file)),
                                               ((), {}, "the default, because nothing names another")):
            with self.subTest(origin):
                out = self.socksify(*arguments, "--test", f"host.test:{scripted_gateway.ECHO}", **environment)[1]
                self.assertEqual(out.splitlines()[0], f"configuration: usable; the gateway comes from {origin}")

    def test_wrong_destinations(self):
        expected = "--test: expected HOST:PORT, an IPv6 address in brackets"
        for wrong, why in (("host", ": the port is missing"), ("[::1]", ": the port is missing"),
                           ("host:0", ": the port must be a number from 1 to 65535"),
                           ("host:65536", ": the port must be a number from 1 to 65535"),
                           ("host:http", ": the port must be a number from 1 to 65535"),
                           ("2001:db8::1:80", ", like [2001:db8::1]:80"),
                           ("[host]:80", ": there is no IPv6 address between the brackets"),
                           ("http://host:80", ", not a URL"), (":80", ": there is no usable host name before the colon"),
                           ("a b:80", ": there is no usable host name before the colon"),
                           ("x" * 256 + ":80", ": there is no usable host name before the colon")):
            self.assert_refused(expected + why, "--test", wrong)

    def test_a_wrong_configuration_is_told_first(self):
        self.assert_refused("SOCKS64_TIMEOUT: expected seconds, from 1 to 3600, not '0'", "--test", "host.test:80",
                            SOCKS64_TIMEOUT="0")


if __name__ == "__main__":
    main()
