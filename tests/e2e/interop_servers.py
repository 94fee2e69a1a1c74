"""SOCKS servers of others on the gateway host, in gatewayd's place: on the same addresses and port."""

import os
import signal

import sandbox
import services
import topology
from gateway import Gateway
from hosts import LAB, run_checked, write
from interop_gateway import PASSWORD, USER

PORT = topology.GATEWAY_PORT


class Server:
    """One kind of server, with or without a password; started for the tests of one class."""

    title, program, package = "", "", ""
    takes_password = True

    def __init__(self, password=False):
        self.password = password
        self.processes = []

    def version(self):
        return ("dpkg-query", "-W", "-f", "${Version}", self.package)

    def missing(self):
        return None if sandbox.find(self.program) else self.package

    def commands(self, host):
        """The processes that make it up."""
        raise NotImplementedError

    def start(self, lab):
        host = lab.hosts["gateway"]
        self.processes = [services.start_logged(host, argv, f"{self.program}.{number}")
                          for number, argv in enumerate(self.commands(host))]
        for number, address in enumerate(Gateway.listen):
            host.wait_for_port(address, PORT, self.processes[min(number, len(self.processes) - 1)])

    def end(self):
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


class Dante(Server):
    title, program, package = "Dante", "danted", "dante-server"

    def commands(self, host):
        if self.password:
            self.make_account(host)
        # A server of two families takes its source address from the route; that needs root, says its manual.
        internal = "".join(f"internal: {address} port = {PORT}\n" for address in Gateway.listen)
        external = "".join(f"external: {destination.name}\n" for destination in topology.DESTINATIONS)
        configuration = f"{LAB}/danted.conf"
        write(configuration, f"""
logoutput: stderr
{internal}{external}external.rotation: route
clientmethod: none
socksmethod: {"username" if self.password else "none"}
user.privileged: root
user.unprivileged: root
client pass {{ from: 0/0 to: 0/0 }}
socks pass {{ from: 0/0 to: 0/0 }}
""")
        return [["danted", "-f", configuration]]

    @staticmethod
    def make_account(host):
        """Its users are those of the system."""
        hashed = run_checked(["openssl", "passwd", "-6", PASSWORD]).strip()
        shadow = f"{host.etc}/shadow"
        if os.path.islink(shadow):
            os.unlink(shadow)
        write(shadow, f"root:*:19000::::::\n{USER}:{hashed}:19000::::::\n", 0o600)


class Microsocks(Server):
    """Listens on one address."""
    title, program, package = "microsocks", "microsocks", "microsocks"

    def commands(self, host):
        login = ["-u", USER, "-P", PASSWORD] if self.password else []
        return [["microsocks", "-i", address, "-p", str(PORT), *login] for address in Gateway.listen]


class OpenSsh(Server):
    """A tunnel from the gateway host to itself."""
    title, program, package = "OpenSSH, ssh -D", "sshd", "openssh-client"
    takes_password = False
    sshd_port = 2222

    def version(self):
        return ("ssh", "-V")

    def start(self, lab):
        host = lab.hosts["gateway"]
        services.configure_ssh_client(host)
        home = f"{LAB}/ssh"
        write(f"{home}/tunnel.conf", f"""
ListenAddress 127.0.0.1:{self.sshd_port}
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PidFile none
UsePAM no
UseDNS no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
""")
        services.give_to_traveller(host.home)
        sshd = services.start_logged(host, services.as_traveller([sandbox.find("sshd"), "-D", "-e", "-f", f"{home}/tunnel.conf"]),
                                     "sshd.tunnel")
        host.wait_for_port("127.0.0.1", self.sshd_port, sshd)
        super().start(lab)
        self.processes.append(sshd)

    def commands(self, host):
        listens = [word for address in Gateway.listen for word in ("-D", f"[{address}]:{PORT}")]
        return [["ssh", "-N", "-o", "ExitOnForwardFailure=yes", *listens, "-p", str(self.sshd_port), "127.0.0.1"]]


class Shadowsocks(Server):
    """ss-local, a SOCKS5 server, and ss-server behind it, both here."""
    title, program, package = "shadowsocks-libev, ss-local", "ss-local", "shadowsocks-libev"
    takes_password = False
    tunnel_port = 8388

    def commands(self, host):
        tunnel = ["-s", "127.0.0.1", "-p", str(self.tunnel_port), "-k", "lab", "-m", "aes-256-gcm"]
        return [*(["ss-local", *tunnel, "-b", address, "-l", str(PORT)] for address in Gateway.listen), ["ss-server", *tunnel]]


KINDS = (Dante, Microsocks, OpenSsh, Shadowsocks)
