#!/usr/bin/env python3
"""The main job, for a reader: tools/demo runs it. Fails loudly when what arrives is not what the server has."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
import lab as laboratory
import sandbox
import topology
from gateway import Gateway

BOLD, PLAIN = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")


def say(text):
    print(f"\n{BOLD}{text}{PLAIN}", flush=True)


def fail(text):
    sys.exit(f"\nTHE DEMO FAILED: {text}")


def show(lab, host, argv, env=None):
    """Runs a command as a reader would type it; its output, which is printed too."""
    typed = [os.path.basename(argv[0]), *argv[1:]]
    print(f"{host}$ {' '.join([f'{key}={value}' for key, value in (env or {}).items()] + typed)}", flush=True)
    done = lab.run_on(host, argv, env)
    text = (done.stdout + done.stderr).decode(errors="replace")
    print("".join(f"    {line}\n" for line in text.splitlines()), end="", flush=True)
    if done.returncode not in (0, *([28, 7, 6] if "--max-time" in argv else [])):
        fail(f"{typed[0]} ended with status {done.returncode}")
    return done.stdout.decode(errors="replace")


def access_line(gateway, mark, target):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for record in gateway.records(mark):
            if record.target == target:
                return record
        time.sleep(0.02)
    return fail(f"the gateway wrote no access record for {target}")


def journey(lab, client, destination, name, families):
    own, other = families
    wrong = ":" if own == "4" else "."
    say(f"The program's host has IPv{own} only:")
    for line in show(lab, client, ["ip", "-brief", "address"]).splitlines():
        if any(wrong in word for word in line.split()[2:]):
            fail(f"{client} has an address of the other family: {line}")
    say(f"The server's host, {name}, has IPv{other} only:")
    show(lab, destination, ["ip", "-brief", "address"])
    say("The program, as it is, cannot even look the name up:")
    show(lab, client, ["curl", "-sS", "--max-time", "3", f"http://{name}/"])
    say("The same program under socksify:")
    mark = lab.gateway.mark()
    page = show(lab, client, [lab.socksify, "-g", Gateway.url(client), "curl", "-sS", f"http://{name}/"])
    expected = lab.site.front_page(destination)
    if page != expected:
        fail(f"the page is {page!r}, the server has {expected!r}")
    record = access_line(lab.gateway, mark, f"{name}:80")
    say("What the gateway says about it: asked for a name, and crossed from one family to the other:")
    print(f"    {record.line}", flush=True)
    if record.crossing != f"v{own}>v{other}":
        fail(f"the record's crossing is {record.crossing}")


def main():
    say("A lab of network namespaces: clients, destinations and a DNS server around a gateway that forwards nothing")
    lab = laboratory.Lab()
    if not (lab.gateway.program and lab.socksify):
        fail("gatewayd and socksify are not built")
    begin = time.monotonic()
    lab.gateway.start()
    print(f"made as {'root' if sandbox.mode() == 'root' else 'an unprivileged user'}; gatewayd listens on "
          + " and ".join(Gateway.url(client.name).partition("//")[2] for client in topology.CLIENTS))
    lab.leaks()
    journey(lab, "client4", "dest6", "v6only.test", "46")
    say("And the reverse.")
    journey(lab, "client6", "dest4", "v4only.test", "64")
    if past := lab.leaks():
        fail(f"packets went past the gateway: {past}")
    say(f"Done: both pages are the servers' own. ({time.monotonic() - begin:.1f} s in the lab)")


if __name__ == "__main__":
    sandbox.enter()
    main()
