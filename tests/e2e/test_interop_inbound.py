"""SOCKS clients of others that use UDP ASSOCIATE and BIND; otherwise as test_interop_clients.py."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import unittest

import breadth_services
import interop
import interop_inbound
import topology
from case import CapableTest, Refused, socks_request
from interop_case import ABSENT, InteropCase, classes, say_what_is_absent
from interop_programs import Call
from test_protocol_inbound import DESTINATIONS, FAMILIES, Echo, own_traffic

tearDownModule = say_what_is_absent

SENT = b"from the peer\n" * 5000
