"""An FTP server for anonymous readers: ftp_server.py FOLDER ADDRESS... (port 21 of each). EPSV everywhere, PASV on IPv4."""

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_anonymous(sys.argv[1])
SERVERS = [FTPServer((address, 21), FTPHandler, ioloop=IOLoop.instance()) for address in sys.argv[2:]]
IOLoop.instance().loop()
