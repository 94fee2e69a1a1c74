"""A DNS server that is slow, or silent: the authority for topology.SLOW_ZONE and topology.DEAD_ZONE.

A query is answered as late as the zone says, each on its own clock, so that fifty of them take no longer than one.
"""

import heapq
import ipaddress
import select
import socket
import struct
import sys
import time

import topology

A, AAAA = 1, 28


def parse_question(query):
    """(name, type, end of the question); names in queries are never compressed."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("ascii", "replace").lower())
        at += 1 + query[at]
    kind, _ = struct.unpack_from("!HH", query, at + 1)
    return ".".join(labels), kind, at + 5


def addresses(name, kind):
    family = {A: 4, AAAA: 6}.get(kind)
    first = name.split(".")[0]
    host = {"v4only": topology.DEST4, "v6only": topology.DEST6}.get(first, topology.DEST46)
    address = family and host.address(family)
    return [ipaddress.ip_address(address).packed] if address else []


def answer(query):
    name, kind, end = parse_question(query)
    found = addresses(name, kind)
    header = query[:2] + struct.pack("!HHHHH", 0x8580, 1, len(found), 0, 0)  # authoritative, no error
    records = b"".join(struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(data)) + data for data in found)  # TTL 0
    return header + query[12:end] + records


def main(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", port))
    print("ready", flush=True)
    due = []  # (when, order, client, answer)
    order = 0
    while True:
        wait = max(0.0, due[0][0] - time.monotonic()) if due else None
        if select.select([server], [], [], wait)[0]:
            query, client = server.recvfrom(4096)
            try:
                name = parse_question(query)[0]
            except (IndexError, struct.error):
                continue
            if name == topology.SLOW_ZONE or name.endswith("." + topology.SLOW_ZONE):
                order += 1
                heapq.heappush(due, (time.monotonic() + topology.SLOW_SECONDS, order, client, answer(query)))
        while due and due[0][0] <= time.monotonic():
            _, _, client, reply = heapq.heappop(due)
            server.sendto(reply, client)


if __name__ == "__main__":
    main(int(sys.argv[1]))
