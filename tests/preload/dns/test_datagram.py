"""Queries by datagram sockets of every style are answered in the process, and nothing leaves it."""

import os
import platform
import subprocess
import unittest

from dns_case import DnsCase, main
from probe_case import FORMS, IPV4, IPV6

BOTH = {"IPv4": IPV4, "IPv6": IPV6}
WITH_ADDRESS = ("sendto", "sendmsg", "sendmmsg")
WITH_SENDER = ("recvfrom", "recvmsg", "recvmmsg")
SENDERS = ("send", "write", "writev") + WITH_ADDRESS
RECEIVERS = ("recv", "read") + WITH_SENDER
WAITERS = ("poll", "ppoll", "select", "pselect", "epoll_wait", "epoll_pwait", "epoll_pwait2")


class Datagrams(DnsCase):
    def tearDown(self):
        super().tearDown()
        self.assert_nothing_sent()

    def test_a_connected_socket_gets_its_answer(self):
        for form, environment in FORMS.items():
            with self.subTest(form=form):
                self.probe_all([("datagram_connected", send, receive) for send in SENDERS for receive in RECEIVERS],
                               environment=environment)

    def test_an_unconnected_socket_gets_its_answer_from_the_resolver_it_asked(self):
        for form, environment in FORMS.items():
            with self.subTest(form=form):
                self.probe_all([("datagram_unconnected", send, receive, *bound) for send in WITH_ADDRESS
                                for receive in WITH_SENDER for bound in ((), ("bound",))], environment=environment)

    def test_readiness_is_the_kernels(self):
        for form, environment in BOTH.items():
            with self.subTest(form=form):
                self.probe_all([("datagram_readiness", waiter) for waiter in WAITERS], environment=environment)
        self.probe("datagram_receive_timeout")

    def test_one_socket_may_ask_several_resolvers(self):
        for environment in BOTH.values():
            self.probe("datagram_several_resolvers", environment=environment)

    def test_a_hundred_queries_at_once(self):
        self.probe_in_all_forms("datagram_many")

    def test_short_buffers_are_cut_as_the_kernel_cuts_them(self):
        self.probe_in_all_forms("datagram_truncation")

    def test_what_is_no_query_is_refused(self):
        self.probe_in_all_forms("datagram_not_dns")

    def test_other_types_are_empty_and_wrong_questions_answered(self):
        self.probe("datagram_others", 0)

    def test_duplicates_and_reused_numbers(self):
        self.probe("datagram_duplicates")

    def test_parent_and_child_ask_on_one_socket(self):
        for environment in BOTH.values():
            self.probe("datagram_after_fork", environment=environment)

    def test_many_threads_ask_at_once(self):
        for environment in BOTH.values():
            self.probe("datagram_threads", environment=environment)

    def test_a_socket_may_be_connected_anew(self):
        self.probe("datagram_reconnected")

    def test_a_batch_sent_by_its_number_is_like_any_other(self):
        self.probe_in_all_forms("datagram_sent_by_number")

    @unittest.skipUnless(platform.machine() == "x86_64", "NOT RUN: the probe speaks x86_64 alone")
    def test_a_query_sent_past_libc_is_answered_when_it_is_read(self):
        self.probe_in_all_forms("datagram_sent_past_libc")

    @unittest.skipIf(os.environ.get("SOCKS64_TEST_SANITIZE"), "NOT RUN: a sanitizer's own wrappers read the pointers first")
    def test_wild_pointers_are_refused_as_by_the_kernel(self):
        self.probe_all([("datagram_wild_pointers",), ("datagram_wild_pointers", "connected")], environment=IPV4)
        self.probe_all([("datagram_wild_pointers",), ("datagram_wild_pointers", "connected")], environment=IPV6)

    def test_a_resolver_given_by_name(self):
        for environment in BOTH.values():
            self.probe("datagram_named_resolver", environment=environment)

    def test_a_configuration_that_cannot_be_used_does_not_let_queries_out(self):
        self.probe("datagram_connected", "send", "recv", environment={"SOCKS64_TIMEOUT": "never"})


class WithoutLoopbackAddress(DnsCase):
    """A host without IPv4, but with lo: there no IPv4 socket can be connected, not even to itself."""

    def setUp(self):
        super().setUp()
        self.ip("address", "del", "127.0.0.1/8")
        self.addCleanup(self.ip, "address", "replace", "127.0.0.1/8")

    def ip(self, *arguments):
        subprocess.run(["ip", *arguments, "dev", "lo"], check=True)

    def test_datagrams_are_answered(self):
        self.write_resolv_conf("# nothing\n")
        for form in ("IPv4", "mapped"):
            for target in ({}, {"PROBE_TARGET": "127.0.0.1"} if form == "IPv4" else {}):
                with self.subTest(form=form, target=target):
                    environment = {**FORMS[form], **target}
                    self.probe_all([("datagram_connected", send, receive) for send in SENDERS for receive in RECEIVERS],
                                   environment=environment)
                    self.probe_all([("datagram_unconnected", send, receive) for send in WITH_ADDRESS
                                    for receive in WITH_SENDER], environment=environment)
        for form in ("IPv4", "mapped"):
            self.probe_all([("datagram_readiness", waiter) for waiter in WAITERS], environment=FORMS[form])
        self.probe("datagram_duplicates")
        self.probe("datagram_after_fork")
        self.assert_nothing_sent()

    def test_without_any_loopback_nothing_can_be(self):
        """An error, and no silence; least of all may the answer take the default route."""
        self.ip("link", "set", "down")
        try:
            for form, environment in FORMS.items():
                with self.subTest(form=form):
                    self.probe("datagram_refused", "ENETUNREACH", environment=environment)
        finally:
            self.ip("link", "set", "up")
        self.assertEqual(self.sent(), set())


class Resolvers(DnsCase):
    """Which addresses of this host are a resolver: /etc/resolv.conf knows."""

    def test_one_on_this_host_is_answered_for(self):
        self.probe("datagram_local", "127.0.0.53", "answered")
        self.assert_nothing_sent()

    def test_another_server_on_this_host_is_reached(self):
        for address in ("127.0.0.54", "127.0.0.1", "::1"):
            self.probe("datagram_local", address, "reached")

    def test_without_any_it_is_this_host(self):
        self.write_resolv_conf("# nothing\n")
        for address in ("127.0.0.1", "::1"):
            self.probe("datagram_local", address, "answered")
        self.probe("datagram_local", "127.0.0.53", "reached")


class Modes(DnsCase):
    def test_refuse(self):
        for udp in ("refuse", "direct"):
            refuse = {"SOCKS64_DNS": "refuse", "SOCKS64_UDP": udp}
            self.probe("datagram_refused", "ENETUNREACH", environment=refuse)
            self.probe("datagram_refused", "ENETUNREACH", environment={**refuse, **IPV6})
            self.probe("datagram_refused", "ENETUNREACH", "127.0.0.53", environment=refuse)
        self.assert_nothing_sent()

    def test_direct(self):
        for target, environment in (("192.0.2.1", IPV4), ("2001:db8::1", IPV6)):
            self.probe("datagram_direct", environment={**environment, "SOCKS64_DNS": "direct"})
            self.assertIn(target, self.sent())
        self.probe("datagram_local", "127.0.0.53", "reached", environment={"SOCKS64_DNS": "direct"})

    def test_gateway_sends_clients_to_tcp_for_what_is_no_address(self):
        self.probe("datagram_others", 1, environment={"SOCKS64_DNS": "gateway"})
        self.probe("datagram_others", 0, environment={"SOCKS64_DNS": "gateway", "PROBE_TARGET": "127.0.0.53"})
        self.assert_nothing_sent()

    def test_a_rule_for_the_resolver_is_obeyed(self):
        for rule in ("direct 192.0.2.0/24", "direct *:53", "direct *"):
            with self.subTest(rule):
                self.sent()
                self.probe("datagram_direct", environment={"SOCKS64_RULES": rule})
                self.assertIn("192.0.2.1", self.sent())
        self.probe("datagram_refused", "EACCES", environment={"SOCKS64_RULES": "refuse 192.0.2.1"})
        self.probe("datagram_refused", "EACCES", "127.0.0.53", environment={"SOCKS64_RULES": "refuse 127.0.0.53"})
        # What is said of everything, or of names, does not make a resolver's address known.
        self.probe("datagram_connected", "send", "recv", environment={"SOCKS64_RULES": "gateway example.test; direct *"})
        self.assert_nothing_sent()

    def test_the_sniffer_sees_what_leaves_without_the_library(self):
        # Without this, silence would prove nothing.
        self.probe("datagram_direct", preload=False)
        self.assertIn("192.0.2.1", self.sent())


if __name__ == "__main__":
    main()
