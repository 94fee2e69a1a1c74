"""A non-blocking connect does not wait, and fifty run side by side in one thread."""

from probe_case import ProbeCase, main


class AsynchronousConnect(ProbeCase):
    def test_EINPROGRESS_within_50_ms(self):
        print(self.probe("async_latency"), end="")

    def test_fifty_in_parallel_by_epoll(self):
        print(self.probe("async_fifty", "epoll"), end="")
        self.assertEqual(len(self.gateway.requests), 50)

    def test_fifty_in_parallel_by_poll(self):
        print(self.probe("async_fifty", "poll"), end="")

    def test_fifty_in_parallel_by_select(self):
        print(self.probe("async_fifty", "select"), end="")


if __name__ == "__main__":
    main()
