"""Calls on sockets that are not the shim's cost a look-up: no system call and no allocation is added.

Time is measured in tests/bench; here the calls are counted. A program is run twice, with COUNT and with 2 * COUNT rounds:
what the second run does more is the cost of COUNT rounds, without that of starting up.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import probe_case
import scripted_gateway

LOAD = os.environ["SOCKS64_TEST_LOAD"]
COUNTER = os.environ["SOCKS64_TEST_ALLOCATIONS"]
SANITIZE = os.environ.get("SOCKS64_TEST_SANITIZE", "")
COUNT = 400


# The program's own calls (socket, connect, write, read, close), connect, two exchanges and the end of the connection.
CALLS_OF_A_CONNECT = 33


def environment(preload):
    settings = {key: value for key, value in os.environ.items() if not key.startswith("SOCKS64_")}
    settings["SOCKS64_CONFIG"] = probe_case.EMPTY_CONFIG.name
    if preload:
        settings["LD_PRELOAD"] = ":".join(preload)
    return settings


def run(argv, preload):
    return subprocess.run(argv, env=environment(preload), capture_output=True, text=True, timeout=120, check=True)


def system_calls(mode, count, preload):
    """name -> how often"""
    with tempfile.NamedTemporaryFile() as log:
        # strace's own loader must not see the library: -E sets it for the program alone.
        pairs = ["-E", f"LD_PRELOAD={preload[0]}"] if preload else []
        run(["strace", "-f", "-qq", "-o", log.name, *pairs, LOAD, mode, str(count)], [])
        with open(log.name, encoding="utf-8") as file:
            names = re.findall(r"^\d+ +(?:<\.\.\. )?([a-z0-9_]+)(?=\()", file.read(), re.MULTILINE)
    return {name: names.count(name) for name in set(names)}


def calls_of_connects(count, settings):
    """The names of the system calls from each socket() to the next, resolving included."""
    gateway = scripted_gateway.ScriptedGateway("127.0.0.1")
    settings = {"LD_PRELOAD": Cost.LIBRARY[0], "SOCKS64_GATEWAY": gateway.url(), **settings}
    try:
        with tempfile.NamedTemporaryFile() as log:
            pairs = [each for key, value in settings.items() for each in ("-E", f"{key}={value}")]
            run(["strace", "-qq", "-o", log.name, *pairs, LOAD, "connect", str(count), "192.0.2.1", str(scripted_gateway.ECHO)], [])
            with open(log.name, encoding="utf-8") as file:
                names = re.findall(r"^([a-z0-9_]+)(?=\()", file.read(), re.MULTILINE)
    finally:
        gateway.die()
    places = [place for place, name in enumerate(names) if name == "socket"]
    return [names[first:last] for first, last in zip(places, places[1:])]


def allocations(mode, count, preload):
    # Behind the library: it takes malloc from whoever has it first, and it has none itself.
    return int(re.search(r"allocations (\d+)", run([LOAD, mode, str(count)], [*preload, COUNTER]).stderr)[1])


@unittest.skipIf(SANITIZE, "a sanitizer's run-time library makes calls and allocations of its own")
class Cost(unittest.TestCase):
    LIBRARY = [os.environ["SOCKS64_TEST_LIBRARY"]]

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_no_system_call_is_added(self):
        for mode in ("pingpong", "epoll"):
            with self.subTest(mode):
                difference = {}
                for preload in ([], self.LIBRARY):
                    once, twice = system_calls(mode, COUNT, preload), system_calls(mode, 2 * COUNT, preload)
                    difference[bool(preload)] = {
                        name: twice[name] - once.get(name, 0) for name in twice if twice[name] != once.get(name, 0)}
                self.assertGreater(sum(difference[False].values()), COUNT)
                # How many octets arrive together, and so how many waits and reads there are, is the scheduler's choice.
                if mode == "epoll":
                    self.assertEqual(set(difference[True]), set(difference[False]))
                else:
                    self.assertEqual(difference[True], difference[False])

    @unittest.skipUnless(shutil.which("strace"), "strace is not installed")
    def test_a_connect_asks_the_kernel_no_more_than_it_must(self):
        # The shortest of many: a gateway that is slow to answer costs a look at the handshake every 50 ms.
        for settings, most in (({}, CALLS_OF_A_CONNECT), ({"SOCKS64_PIPELINING": "on"}, CALLS_OF_A_CONNECT - 4)):
            with self.subTest(**settings):
                shortest = min(calls_of_connects(40, settings), key=len)
                self.assertLessEqual(len(shortest), most, shortest)

    def test_nothing_is_allocated(self):
        for mode in ("pingpong", "epoll"):
            with self.subTest(mode):
                once, twice = (allocations(mode, count, self.LIBRARY) for count in (COUNT, 2 * COUNT))
                self.assertEqual(twice, once)


if __name__ == "__main__":
    unittest.main(verbosity=2)
