"""Queries over TCP are answered in the process, and nothing leaves it."""

from dns_case import DnsCase, main
from probe_case import IPV4, IPV6

BOTH = {"IPv4": IPV4, "IPv6": IPV6}
WAITERS = ("poll", "ppoll", "select", "pselect", "epoll_wait", "epoll_pwait", "epoll_pwait2")


class Streams(DnsCase):
    def tearDown(self):
        super().tearDown()
        self.assert_nothing_sent()

    def test_a_blocking_client(self):
        self.probe_in_all_forms("stream_blocking")

    def test_a_client_that_is_bound_without_a_port(self):
        self.probe_all([("stream_bound_without_port",)])
        self.probe_all([("stream_bound_without_port",)], environment=IPV6)

    def test_a_nonblocking_client_and_every_waiter(self):
        for form, environment in BOTH.items():
            with self.subTest(form=form):
                self.probe_all([("stream_nonblocking", waiter) for waiter in WAITERS], environment=environment)

    def test_queries_in_pieces_of_any_size(self):
        self.probe_all([("stream_pieces", size) for size in (1, 2, 3, 39, 40, 41, 42, 43, 500, 4000)])

    def test_a_client_that_does_not_read_is_held_up(self):
        self.probe("stream_without_reading")

    def test_what_is_no_dns_ends_the_connection(self):
        self.probe_all([("stream_not_dns", what) for what in ("long", "short", "response")])

    def test_other_types_are_empty(self):
        self.probe("stream_others")

    def test_duplicates_and_children(self):
        self.probe("stream_duplicates_and_fork")

    def test_fast_open(self):
        self.probe_in_all_forms("stream_fast_open")

    def test_a_resolver_on_this_host(self):
        for mode in ("answer", "gateway"):
            for probe in ("stream_blocking", "stream_fast_open", "stream_others"):
                self.probe(probe, environment={"PROBE_TARGET": "127.0.0.53", "SOCKS64_DNS": mode})


class Modes(DnsCase):
    def test_through_the_gateway(self):
        for mode in ("gateway", "refuse"):
            with self.subTest(mode):
                self.gateway.requests.clear()
                self.probe("stream_through_gateway", environment={"SOCKS64_DNS": mode})
                self.assert_asked("ipv4 192.0.2.1:53")


if __name__ == "__main__":
    main()
