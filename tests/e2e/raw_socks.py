"""RFC 1928 and RFC 1929 octet by octet, as a stranger reads them; nothing here is shared with socks64.

Messages are written out by hand in the tests: this file holds only what they have in common, and no state machine that would
be too polite for a test.
"""

import ipaddress
import socket
import struct
import time

VERSION = 5
NO_AUTHENTICATION, GSSAPI, USERNAME, NONE_ACCEPTABLE = 0x00, 0x01, 0x02, 0xFF
CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3
IPV4, DOMAINNAME, IPV6 = 1, 3, 4

SUCCEEDED, GENERAL, NOT_ALLOWED, NETWORK_UNREACHABLE, HOST_UNREACHABLE, REFUSED, TTL_EXPIRED, BAD_COMMAND, BAD_ADDRESS_TYPE = range(9)

GREETING = bytes([VERSION, 1, NO_AUTHENTICATION])
CHOSEN = bytes([VERSION, NO_AUTHENTICATION])


def address(text, port):
    """ATYP, DST.ADDR and DST.PORT for an address."""
    parsed = ipaddress.ip_address(text)
    return bytes([IPV4 if parsed.version == 4 else IPV6]) + parsed.packed + struct.pack("!H", port)


def name(text, port):
    octets = text if isinstance(text, bytes) else text.encode()
    return bytes([DOMAINNAME, len(octets)]) + octets + struct.pack("!H", port)


def request(target, command=CONNECT):
    return bytes([VERSION, command, 0]) + target


class Closed(Exception):
    """The gateway sent its EOF where an answer was expected."""


def take(connection, count):
    octets = b""
    while len(octets) < count:
        more = connection.recv(count - len(octets))
        if not more:
            raise Closed(f"after {octets.hex(' ')} of {count} octets")
        octets += more
    return octets


def take_all(connection):
    """Until the EOF."""
    parts = []
    while more := connection.recv(1 << 16):
        parts.append(more)
    return b"".join(parts)


def take_reply(connection):
    """REP, and BND as (address, port), or (name, port)."""
    version, reply, reserved, kind = take(connection, 4)
    if version != VERSION or reserved != 0:
        raise AssertionError(f"VER {version} and RSV {reserved} in a reply")
    if kind == DOMAINNAME:
        bound = take(connection, take(connection, 1)[0]).decode()
    elif kind in (IPV4, IPV6):
        bound = str(ipaddress.ip_address(take(connection, 4 if kind == IPV4 else 16)))
    else:
        raise AssertionError(f"ATYP {kind} in a reply")
    return reply, (bound, struct.unpack("!H", take(connection, 2))[0])


def seconds_to_close(connection, limit=15):
    """How long the gateway takes to close, whatever it says before; AssertionError when it takes longer than the limit."""
    begin = time.monotonic()
    connection.settimeout(limit)
    try:
        take_all(connection)
    except ConnectionResetError:
        pass
    except socket.timeout:
        raise AssertionError(f"still open after {limit} s") from None
    return time.monotonic() - begin


def reset(connection):
    """Closes with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
