"""Sees what leaves a client past the gateway.

A packet socket on the client's link, with a filter in the kernel that lets pass everything but the one permitted flow:
TCP between the client and the gateway's SOCKS port. What is left is judged here; neighbour discovery and multicast
membership are the link's own housekeeping, all else is a leak: a DNS query, a packet to a fake address, a direct connect.
"""

import ctypes
import ipaddress
import socket
import struct

import sandbox

ETH_P_ALL = 3
SO_ATTACH_FILTER = 26
SOL_PACKET, PACKET_STATISTICS = 263, 6
TCP, UDP, ICMPV6, IGMP = 6, 17, 58, 2
HOUSEKEEPING_ICMPV6 = {130, 131, 132, 133, 134, 135, 136, 143}  # MLD and neighbour discovery

# Classic BPF.
LD_B, LD_H, LD_W = 0x30, 0x28, 0x20
LDX_IHL = 0xB1
LD_H_IND = 0x48
JEQ, RET = 0x15, 0x06


def program(gateway, port):
    """Drops TCP from and to gateway:port; accepts all else. Fragments do not occur on these links."""
    address = ipaddress.ip_address(gateway)
    words = struct.unpack(f"!{len(address.packed) // 4}I", address.packed)
    if address.version == 4:
        ethertype, protocol_at, source_at, destination_at = 0x0800, 23, 26, 30
    else:
        ethertype, protocol_at, source_at, destination_at = 0x86DD, 20, 22, 38

    def ports(offset):
        if address.version == 4:
            return [(LDX_IHL, 0, 0, 14), (LD_H_IND, 0, 0, 14 + offset)]
        return [(LD_H, 0, 0, 54 + offset)]

    def flow(address_at, port_offset):
        """Tests one direction; falls through to the next test, or jumps to "drop"."""
        steps = []
        for index, word in enumerate(words):
            steps += [(LD_W, 0, 0, address_at + 4 * index), (JEQ, None, "next", word)]
        return steps + [*ports(port_offset), (JEQ, "drop", "next", port)]

    towards = flow(destination_at, 2)
    back = flow(source_at, 0)
    head = [(LD_H, 0, 0, 12), (JEQ, None, "accept", ethertype), (LD_B, 0, 0, protocol_at), (JEQ, None, "accept", TCP)]
    code = head + towards + back + [(RET, 0, 0, 0x40000), (RET, 0, 0, 0)]
    labels = {"accept": len(code) - 2, "drop": len(code) - 1}
    packed = b""
    for at, (operation, yes, no, value) in enumerate(code):
        labels["next"] = len(head) + len(towards) if at < len(head) + len(towards) else labels["accept"]
        jumps = [labels[to] - at - 1 if isinstance(to, str) else 0 for to in (yes, no)]
        packed += struct.pack("HBBI", operation, *jumps, value)
    return packed


class Capture:
    def __init__(self, host, gateway, port):
        self.host = host
        with sandbox.network_of(host.pid):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # deaf until the filter is on
            code = ctypes.create_string_buffer(program(gateway, port))
            filter_ = struct.pack("HL", (len(code) - 1) // 8, ctypes.addressof(code))
            self.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, filter_)
            self.socket.bind(("link0", ETH_P_ALL))
        self.socket.setblocking(False)

    def leaks(self):
        """One line for each packet since the last call that should not have been."""
        found = []
        while True:
            try:
                frame = self.socket.recv(65535)
            except BlockingIOError:
                break
            line = judge(frame)
            if line:
                found.append(f"{self.host.name}: {line}")
        _, lost = struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        if lost:
            found.append(f"{self.host.name}: {lost} packets more than the capture could hold")
        return found


def judge(frame):
    """None for housekeeping, or what the packet is."""
    ethertype, = struct.unpack_from("!H", frame, 12)
    if ethertype == 0x0806:
        return judge_arp(frame)
    if ethertype == 0x0800:
        length = (frame[14] & 15) * 4
        protocol, body = frame[23], frame[14 + length:]
        source, destination = (str(ipaddress.ip_address(frame[at:at + 4])) for at in (26, 30))
        if protocol == IGMP:
            return None
    elif ethertype == 0x86DD:
        protocol, body = frame[20], frame[54:]
        source, destination = (str(ipaddress.ip_address(frame[at:at + 16])) for at in (22, 38))
        if protocol == 0 and body and body[0] == ICMPV6:  # hop-by-hop options before an MLD report
            protocol, body = ICMPV6, body[8:]
        if protocol == ICMPV6 and body and body[0] in HOUSEKEEPING_ICMPV6:
            return None
    else:
        return f"ethertype {ethertype:#06x}"
    if protocol in (TCP, UDP):
        ports = struct.unpack_from("!HH", body)
        return f"{'TCP' if protocol == TCP else 'UDP'} {source} port {ports[0]} -> {destination} port {ports[1]}"
    return f"protocol {protocol} {source} -> {destination}"


def judge_arp(frame):
    """ARP between the two ends of the link is fine; asking for a fake address is not."""
    asked = ipaddress.ip_address(frame[38:42])
    return f"ARP for {asked}" if asked in ipaddress.ip_network("0.0.0.0/8") else None
