"""Readiness by epoll: the program's own events and data, just once, when the destination is reached."""

from probe_case import IPV6_ONLY, ProbeCase, main

WAITERS = ["epoll_wait", "epoll_pwait", "epoll_pwait2"]
MODES = ["level", "edge", "oneshot", "edge-oneshot", "exclusive"]


class EpollReadiness(ProbeCase):
    def check_registered(self, when):
        cases = [("epoll_ready", waiter, when, mode) for waiter in WAITERS for mode in MODES]
        self.probe_all(cases)
        self.probe_all(cases[:5], environment=IPV6_ONLY)

    def test_registered_before_connect_in_every_mode(self):
        self.check_registered("before")

    def test_registered_after_connect_in_every_mode(self):
        self.check_registered("after")

    def test_a_waiter_for_input_alone_does_not_see_the_gateways_replies(self):
        self.probe_all([("epoll_readable_only", mode) for mode in MODES])

    def test_a_timeout_is_honoured_neither_early_nor_late(self):
        self.probe_all([("epoll_timeout", waiter) for waiter in WAITERS])

    def test_data_of_every_value_comes_back(self):
        self.probe("epoll_data_intact")

    def test_an_ordinary_descriptor_beside_a_pending_one(self):
        self.probe("epoll_mixed")

    def test_a_thread_that_waits_before_connect_with_the_socket_registered(self):
        self.probe("epoll_waiting_thread", "registered")

    def test_a_thread_that_waits_before_connect_and_the_socket_added_later(self):
        self.probe("epoll_waiting_thread", "added")

    def test_two_threads_on_one_set_get_one_event(self):
        self.probe_all([("epoll_two_waiters", mode) for mode in ("edge", "oneshot")])

    def test_a_set_inside_a_set(self):
        self.probe_all([("epoll_nested", "epoll"), ("epoll_nested", "poll")])

    def test_duplicates_of_the_socket(self):
        self.probe_all([("epoll_duplicate", "dup"), ("epoll_duplicate", "fcntl")])

    def test_a_duplicate_of_the_set_whose_original_is_closed(self):
        self.probe_all([("epoll_descriptor_moved", "before"), ("epoll_descriptor_moved", "pending")])

    def test_a_set_closed_while_pending_and_its_number_used_again(self):
        self.probe("epoll_closed_while_pending")

    def test_registrations_changed_while_pending(self):
        self.probe("epoll_changed_while_pending")

    def test_one_socket_in_two_sets(self):
        self.probe("epoll_two_sets")


if __name__ == "__main__":
    main()
