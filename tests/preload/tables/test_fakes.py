"""Never a fake on the wire, and 0.0.0.0 stays this host."""

from fake_case import FakeCase
from probe_case import ProbeCase, main
import scripted_gateway as script

FAKES = ["0.0.0.77", "0.255.255.254", "::ffff:0.0.0.77", "100::77"]


class UnknownFakes(FakeCase):
    def test_connect_and_fast_open_fail_at_once(self):
        for address in FAKES:
            with self.subTest(address):
                self.gateway.requests.clear()
                self.probe("refused_tcp", address, "EHOSTUNREACH")
                # The probe's own good destination, and nothing of the fake.
                good = "ipv4 192.0.2.1" if address.startswith("0.") else "ipv6 2001:db8::1"
                self.assert_asked(f"{good}:{script.SOON}")
        self.assert_nothing_sent()

    def test_datagrams_fail_at_once(self):
        self.probe_all([("refused_udp", address, "EHOSTUNREACH") for address in FAKES if not address.startswith("::f")])
        self.assert_nothing_sent()
        self.assertEqual(self.gateway.accepted, 0)

    def test_datagrams_fail_even_where_datagrams_are_direct(self):
        self.probe_all([("refused_udp", address, "EHOSTUNREACH") for address in FAKES if not address.startswith("::f")],
                       environment={"SOCKS64_UDP": "direct"})
        self.assert_nothing_sent()

    def test_the_address_of_a_call_counts_on_a_connected_datagram_socket(self):
        self.probe("refused_on_connected_udp")
        self.assert_nothing_sent()

    def test_the_sniffer_sees_what_leaves_without_the_library(self):
        # Without this, silence would prove nothing.
        self.probe("allowed_udp", "0.0.0.77", preload=False)
        self.assertIn("0.0.0.77", self.sniffer.destinations())
        self.probe("allowed_udp", "100::77", preload=False)
        self.assertIn("100::77", self.sniffer.destinations())


class Datagrams(FakeCase):
    def test_datagrams_to_other_hosts_are_refused(self):
        self.probe("refused_udp", "192.0.2.1", "ENETUNREACH")
        self.probe("refused_udp", "2001:db8::1", "ENETUNREACH")
        self.assert_nothing_sent()

    def test_datagrams_are_direct_where_configured(self):
        for address in ("192.0.2.1", "2001:db8::1"):
            self.probe("allowed_udp", address, environment={"SOCKS64_UDP": "direct"})
            self.assertIn(address, self.sniffer.destinations())

    def test_datagrams_to_this_host_are_direct(self):
        self.probe("allowed_udp", "127.0.0.5")
        self.assertIn("127.0.0.5", self.sniffer.destinations())


class ThisHost(ProbeCase):
    def test_0_0_0_0_reaches_a_local_listener(self):
        self.probe("this_host", "0.0.0.0")
        self.assertEqual(self.gateway.accepted, 0)

    def test_the_unspecified_IPv6_address_reaches_a_local_listener(self):
        self.probe("this_host", "::")
        self.assertEqual(self.gateway.accepted, 0)


class KnownFakes(FakeCase):
    def test_a_name_is_asked_for_as_a_name_from_both_families(self):
        for family in (4, 6):
            self.gateway.requests.clear()
            self.probe("by_name", "Host.Example", family, script.ECHO)
            self.assert_asked(f"name host.example:{script.ECHO}")
        self.assert_nothing_sent()


if __name__ == "__main__":
    main()
