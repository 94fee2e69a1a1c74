"""Probes that are to send nothing at all."""

from probe_case import ProbeCase

LOCAL = {"127.0.0.1", "::1"}
CHATTER = "ff02::"  # the kernel's own neighbour and router messages


class FakeCase(ProbeCase):
    def assert_nothing_sent(self):
        sent = {each for each in self.sniffer.destinations() if not each.startswith(CHATTER)}
        self.assertEqual(sent - LOCAL, set())
