"""Leaves nothing behind, however it ends; and says so when it cannot run. These tests look at the lab from outside."""

import os
import select
import signal
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import sandbox  # pylint: disable=wrong-import-position

LAB = [sys.executable, f"{HERE}/lab.py"]


def namespaces_of(pid):
    found = {}
    for kind in ("pid", "net"):
        try:
            found[kind] = os.readlink(f"/proc/{pid}/ns/{kind}")
        except OSError:
            pass
    return found


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def processes():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


class RunningLab:
    """A lab with a program that says one line and then waits; kill it in some way, and look what is left."""

    def __init__(self):
        self.runner = subprocess.Popen([*LAB, "run", "client4", "sh", "-c", "readlink /proc/1/ns/pid; exec sleep 600"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                       env={k: v for k, v in os.environ.items() if k != sandbox.INSIDE})
        ready = select.select([self.runner.stdout], [], [], 60)[0]
        self.space = self.runner.stdout.readline().strip() if ready else ""
        self.networks = {namespaces_of(pid).get("net") for pid in self.members()} - {None}

    def members(self):
        return [pid for pid in processes() if namespaces_of(pid).get("pid") == self.space]

    def left_over(self):
        """Processes of the lab, or anybody in a network of the lab."""
        return [pid for pid in processes()
                if (found := namespaces_of(pid)).get("pid") == self.space or found.get("net") in self.networks]

    def nothing_left(self, seconds=60):
        deadline = time.monotonic() + seconds
        while self.left_over():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


@unittest.skipIf(sandbox.mode(), "looks from outside")
class Lifecycle(unittest.TestCase):
    def setUp(self):
        with open("/proc/net/dev", encoding="ascii") as file:
            self.links = file.read().count("\n")

    def end_by(self, kill):
        lab = RunningLab()
        self.addCleanup(lab.runner.stdout.close)
        self.assertTrue(lab.space.startswith("pid:["), lab.space)
        self.assertGreater(len(lab.members()), 15)    # keepers, servers, the program
        self.assertGreaterEqual(len(lab.networks), 8)  # the sandbox's own, and one for each host
        kill(lab)
        lab.runner.wait(10)
        self.assertTrue(lab.nothing_left(), lab.left_over())
        self.assertFalse(os.path.exists("/run/lab"))
        with open("/proc/net/dev", encoding="ascii") as file:
            self.assertEqual(file.read().count("\n"), self.links)
        with open("/proc/self/mounts", encoding="utf-8") as file:
            self.assertNotIn("/run/lab", file.read())

    def test_runner_killed(self):
        self.end_by(lambda lab: lab.runner.kill())

    def test_runner_terminated(self):
        self.end_by(lambda lab: lab.runner.terminate())

    def test_init_killed(self):
        def kill_init(lab):
            unshare = children(lab.runner.pid)[0]
            os.kill(children(unshare)[0], signal.SIGKILL)
        self.end_by(kill_init)

    def test_program_ends(self):
        done = subprocess.run([*LAB, "run", "client6", "sh", "-c", "hostname; exit 7"], stdout=subprocess.PIPE, check=False)
        self.assertEqual((done.returncode, done.stdout), (7, b"client6\n"))

    def test_labs_side_by_side(self):
        labs = [subprocess.Popen([*LAB, "run", name, "hostname"], stdout=subprocess.PIPE) for name in ("client4", "client6")]
        self.assertEqual([lab.communicate(timeout=60)[0] for lab in labs], [b"client4\n", b"client6\n"])

    def test_says_loudly_that_it_did_not_run(self):
        """Without CAP_SYS_ADMIN and with no user namespace left to make."""
        bare = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c",
                'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-sys_admin "$@"', "sh"]
        done = subprocess.run([*bare, *LAB, "run", "client4", "true"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, check=False)
        self.assertIn("E2E DID NOT RUN: no network namespaces", done.stderr)
        self.assertEqual(done.returncode, sandbox.SKIPPED)


if __name__ == "__main__":
    os.environ["PATH"] = sandbox.search_path()
    sandbox.choose_way()
    unittest.main(verbosity=2)
