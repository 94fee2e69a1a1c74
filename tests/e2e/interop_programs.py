"""Programs of others that speak SOCKS by themselves, and how each is told of a gateway; test_interop_clients.py runs them.

Each is a function from a Call to the command line of a program that writes to standard output what Program.kind says.
"""

import os
from dataclasses import dataclass

import topology
from case import PYTHON
from hosts import LAB, run_checked, write

FILE = "/files/07"      # on every destination; also the one file of the git repository, as "data"


@dataclass(frozen=True)
class Call:
    """One run: from which host, through which gateway, to what."""
    gateway: str         # an address
    host: str            # a name or an address
    scratch: str
    version: str = "5"   # "4", "4a" or "5"
    user: str = ""
    password: str = ""

    port = topology.GATEWAY_PORT

    @staticmethod
    def bracketed(host):
        return f"[{host}]" if ":" in host else host

    @property
    def proxy(self):
        return f"{self.bracketed(self.gateway)}:{self.port}"

    @property
    def url(self):
        return f"http://{self.bracketed(self.host)}"

    @property
    def pages(self):
        return [f"{self.url}/", f"{self.url}{FILE}"]

    def file(self, name, text):
        write(f"{self.scratch}/{name}", text, 0o600)
        return f"{self.scratch}/{name}"

    def script(self, text):
        return ["sh", "-ec", text]


# --- curl, git, apt, and the programs that others make speak SOCKS ------------------------------------------------------------

CURL = ["curl", "-sS", "--fail", "--max-time", "20"]


def curl(option):
    def command(call):
        user = ["--proxy-user", f"{call.user}:{call.password}"] if call.user else []
        return [*CURL, option, call.proxy, *user, *call.pages]
    return command


def curl_url(scheme):
    def command(call):
        return [*CURL, "--proxy", f"{scheme}://{call.proxy}", *call.pages]
    return command


def curl_environment(call):
    return ["env", f"ALL_PROXY=socks5h://{call.proxy}", *CURL, *call.pages]


def git(call):
    user = ["-c", f"http.proxyAuthMethod=basic"] if call.user else []
    # git hands what is before the @ to curl after decoding it.
    login = f"{call.user}:{quoted(call.password)}@" if call.user else ""
    clone = ["git", *user, "-c", f"http.proxy=socks5h://{login}{call.proxy}", "clone", "-q", f"{call.url}/repo.git", "clone"]
    return call.script(f"{shell(clone)} && cat clone/data")


def quoted(text):
    return "".join(f"%{octet:02x}" for octet in text.encode())


def shell(argv):
    return " ".join("'" + word.replace("'", "'\\''") + "'" for word in argv)


def apt(call):
    get = ["/usr/lib/apt/apt-helper", "-q", "-o", f"Acquire::http::Proxy=socks5h://{call.proxy}", "-o", "APT::Sandbox::User=root",
           "-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=15", "download-file", f"{call.url}{FILE}", f"{call.scratch}/got"]
    return call.script(f"{shell(get)} >&2 && cat got")


def chromium(call):
    return ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={call.scratch}/profile",
            f"--proxy-server=socks5://{call.proxy}", "--dump-dom", f"{call.url}/"]


# --- ssh, by the programs that others put in its ProxyCommand -----------------------------------------------------------------

def ssh(call, proxy_command, environment=()):
    return ["env", *environment, "ssh", "-o", f"ProxyCommand={proxy_command}", call.host, f"hostname; cat {LAB}/www{FILE}"]


def ssh_ncat(call):
    # ssh replaces what begins with a percent sign.
    login = f" --proxy-auth {shell([f'{call.user}:{call.password}'])}".replace("%", "%%") if call.user else ""
    kind, dns = f"socks{call.version[0]}", "" if call.version == "4" else " --proxy-dns remote"
    return ssh(call, f"ncat --proxy-type {kind}{dns}{login} --proxy {call.proxy} %h %p")


def ssh_nc(call):
    return ssh(call, f"nc -X {call.version[0]} -x {call.proxy} %h %p")


def ssh_connect(call):
    login = [f"SOCKS5_USER={call.user}", f"SOCKS5_PASSWORD={call.password}"] if call.user else []
    server = f"{call.user}@{call.proxy}" if call.user else call.proxy
    return ssh(call, f"connect-proxy -R remote -{call.version[0]} -S {server} %h %p", login)


def ssh_socat(call):
    return ssh(call, f"socat - SOCKS4A:{call.bracketed(call.gateway)}:%h:%p,socksport={call.port},socksuser=lab")


# --- languages ----------------------------------------------------------------------------------------------------------------

PYSOCKS = """
import socks, sys
gateway, port, version, user, password, host, *paths = sys.argv[1:]
for path in paths:
    connection = socks.create_connection(
        (host, 80), timeout=20, proxy_type=socks.SOCKS5 if version == "5" else socks.SOCKS4, proxy_addr=gateway, proxy_port=int(port),
        proxy_rdns=True, proxy_username=user or None, proxy_password=password or None)
    connection.sendall(f"GET {path} HTTP/1.0\\r\\n\\r\\n".encode())
    octets = b""
    while more := connection.recv(65536):
        octets += more
    sys.stdout.buffer.write(octets.partition(b"\\r\\n\\r\\n")[2])
"""

# Nobody's library: what a programmer writes with the RFC beside him. 50 at once, then the two answers that are asked for.
ASYNCIO = """
import asyncio, ipaddress, struct, sys
gateway, port, host, *paths = sys.argv[1:]

def target():
    try:
        packed = ipaddress.ip_address(host).packed
        return (b"\\x01" if len(packed) == 4 else b"\\x04") + packed
    except ValueError:
        return b"\\x03" + bytes([len(host)]) + host.encode()

async def get(path):
    reader, writer = await asyncio.open_connection(gateway, int(port))
    writer.write(b"\\x05\\x01\\x00")
    assert await reader.readexactly(2) == b"\\x05\\x00"
    writer.write(b"\\x05\\x01\\x00" + target() + struct.pack("!H", 80))
    version, reply, _, kind = await reader.readexactly(4)
    assert (version, reply) == (5, 0), reply
    await reader.readexactly({1: 4, 4: 16}[kind] + 2)
    writer.write(f"GET {path} HTTP/1.0\\r\\n\\r\\n".encode())
    body = (await reader.read()).partition(b"\\r\\n\\r\\n")[2]
    writer.close()
    return body

async def main():
    many = await asyncio.gather(*(get(paths[-1]) for _ in range(50)))
    assert len(set(many)) == 1
    for path in paths:
        sys.stdout.buffer.write(await get(path))

asyncio.run(main())
"""

NODE = """
const { SocksClient } = require('socks');
const [gateway, port, version, user, password, host, ...paths] = process.argv.slice(1);
const get = async path => {
  const proxy = { host: gateway, port: Number(port), type: Number(version), userId: user || undefined, password: password || undefined };
  const { socket } = await SocksClient.createConnection({ proxy, command: 'connect', timeout: 20000, destination: { host, port: 80 } });
  socket.write(`GET ${path} HTTP/1.0\\r\\n\\r\\n`);
  const parts = [];
  for await (const part of socket) parts.push(part);
  const all = Buffer.concat(parts);
  return all.subarray(all.indexOf('\\r\\n\\r\\n') + 4);
};
(async () => { for (const path of paths) process.stdout.write(await get(path)); })()
  .catch(error => { console.error(error); process.exit(1); });
"""

PERL = """
use strict; use warnings; use IO::Socket::Socks;
my ($gateway, $port, $version, $user, $password, $host, @paths) = @ARGV;
binmode STDOUT;
for my $path (@paths) {
  my @login = $user ? (Username => $user, Password => $password, AuthType => 'userpass') : ();
  my $socket = IO::Socket::Socks->new(ProxyAddr => $gateway, ProxyPort => $port, ConnectAddr => $host, ConnectPort => 80,
    SocksVersion => $version, Timeout => 20, @login) or die $SOCKS_ERROR;
  print $socket "GET $path HTTP/1.0\\r\\n\\r\\n";
  my $text = do { local $/; <$socket> };
  print +(split /\\r\\n\\r\\n/, $text, 2)[1];
}
"""

RUBY = """
require 'socksify'
gateway, port, _version, user, password, host, *paths = ARGV
TCPSocket::socks_server, TCPSocket::socks_port = gateway, port.to_i
TCPSocket::socks_username, TCPSocket::socks_password = user, password unless user.empty?
$stdout.binmode
paths.each do |path|
  socket = TCPSocket.new(host, 80)
  socket.write("GET #{path} HTTP/1.0\\r\\n\\r\\n")
  $stdout.write(socket.read.split("\\r\\n\\r\\n".b, 2)[1])
end
"""

# java.net.URL knows nothing of SOCKS; two properties of the machine are the whole of it, and an Authenticator where there is a password.
JAVA = """
import java.net.*;

public class Get {
  public static void main(String[] arguments) throws Exception {
    String user = System.getProperty("lab.user");
    if (user != null) {
      Authenticator.setDefault(new Authenticator() {
        @Override protected PasswordAuthentication getPasswordAuthentication() {
          return new PasswordAuthentication(user, System.getProperty("lab.password").toCharArray());
        }
      });
    }
    for (String url : arguments) {
      try (var in = new URL(url).openStream()) {
        System.out.write(in.readAllBytes());
      }
    }
    System.out.flush();
  }
}
"""


def words(call):
    return [call.gateway, str(call.port), call.version[0], call.user, call.password, call.host, "/", FILE]


def pysocks(call):
    return [PYTHON, "-c", PYSOCKS, *words(call)]


def asyncio(call):
    return [PYTHON, "-c", ASYNCIO, call.gateway, str(call.port), call.host, "/", FILE]


def node(call):
    return ["env", "NODE_PATH=/usr/share/nodejs", "node", "-e", NODE, *words(call)]


def perl(call):
    return ["perl", "-e", PERL, *words(call)]


def ruby(call):
    return ["ruby", "-e", RUBY, *words(call)]


def java(call):
    login = [f"-Dlab.user={call.user}", f"-Dlab.password={call.password}"] if call.user else []
    folder = f"{LAB}/built/Get"
    if not os.path.exists(folder):
        write(f"{folder}/Get.java", JAVA)
        run_checked(["javac", "Get.java"], cwd=folder)
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", folder, f"-DsocksProxyHost={call.gateway}",
            f"-DsocksProxyPort={call.port}", *login, "Get", *call.pages]


# --- shims of others, under programs that know nothing of SOCKS ----------------------------------------------------------------

WGET = ["wget", "-q", "-O", "-", "--tries=1", "--timeout=15"]


def proxychains(program):
    def command(call):
        login = f" {call.user} {call.password}" if call.user else ""
        configuration = call.file("proxychains.conf", "strict_chain\nproxy_dns\nremote_dns_subnet 224\ntcp_read_time_out 15000\n"
                                  f"[ProxyList]\nsocks{call.version[0]} {call.gateway} {call.port}{login}\n")
        return ["proxychains4", "-q", "-f", configuration, *program, *call.pages]
    return command


def torsocks(program):
    def command(call):
        configuration = call.file("torsocks.conf", f"TorAddress {call.gateway}\nTorPort {call.port}\n")
        return ["env", f"TORSOCKS_CONF_FILE={configuration}", "torsocks", *program, *call.pages]
    return command


def tsocks(call):
    # It insists that its server is on a local network.
    configuration = call.file("tsocks.conf", f"local = 192.0.2.0/255.255.255.0\nserver = {call.gateway}\nserver_port = {call.port}\n"
                              f"server_type = {call.version[0]}\n")
    return ["env", f"TSOCKS_CONF_FILE={configuration}", "tsocks", *CURL, *call.pages]


def dante(program):
    def command(call):
        configuration = call.file("dante.conf", "resolveprotocol: fake\nroute {\n  from: 0.0.0.0/0 to: 0.0.0.0/0 "
                                  f"via: {call.gateway} port = {call.port}\n  proxyprotocol: socks_v{call.version[0]}\n}}\n")
        login = [f"SOCKS_USERNAME={call.user}", f"SOCKS_PASSWORD={call.password}"] if call.user else []
        return ["env", f"SOCKS_CONF={configuration}", *login, "/usr/bin/socksify", *program, *call.pages]
    return command


# --- redirectors ---------------------------------------------------------------------------------------------------------------

def until_it_listens(port):
    return f"for _ in $(seq 100); do ss -Hltn 'sport = :{port}' | grep -q . && break; sleep 0.1; done"


def redsocks(call):
    login = f'login = "{call.user}"; password = "{call.password}";' if call.user else ""
    configuration = call.file("redsocks.conf", f"""
base {{ log = "stderr"; daemon = off; redirector = iptables; }}
redsocks {{ local_ip = 127.0.0.1; local_port = 12345; ip = {call.gateway}; port = {call.port}; type = socks{call.version[0]}; {login} }}
""")
    rules = call.file("redsocks.nft", """
table ip redsocks {
  chain output {
    type nat hook output priority -100
    ip daddr 198.51.100.0/24 tcp sport 20000-20099 tcp dport 80 redirect to :12345
  }
}
""")
    # The rule stays: what the kernel has still to send on these connections would go past the gateway without it.
    return call.script(f"""
nft list table ip redsocks >&2 || nft -f {rules}
redsocks -c {configuration} >&2 & redsocks=$!
trap 'kill $redsocks' EXIT
{until_it_listens(12345)}
{shell([*CURL, "--local-port", "20000-20099", *call.pages])}
""")


def haproxy(call):
    configuration = call.file("haproxy.cfg", f"""
defaults
  mode tcp
  timeout connect 15s
  timeout client 15s
  timeout server 15s
listen web
  bind {"[::1]" if ":" in call.gateway else "127.0.0.1"}:8088
  server behind {call.host}:80 socks4 {call.gateway}:{call.port}
""")
    local = f"http://{'[::1]' if ':' in call.gateway else '127.0.0.1'}:8088"
    return call.script(f"""
haproxy -db -f {configuration} >&2 & haproxy=$!
trap 'kill $haproxy' EXIT
{until_it_listens(8088)}
{shell([*CURL, f"{local}/", f"{local}{FILE}"])}
""")


# --- programs for socksify: they know nothing of a gateway --------------------------------------------------------------------

URLLIB = """
import sys, urllib.request
for url in sys.argv[1:]:
    sys.stdout.buffer.write(urllib.request.urlopen(url, timeout=20).read())
"""


def urllib(call):
    return [PYTHON, "-c", URLLIB, *call.pages]


def git_direct(call):
    return call.script(f"git clone -q {shell([f'{call.url}/repo.git'])} clone && cat clone/data")


def ssh_direct(call):
    return ["ssh", call.host, f"hostname; cat {LAB}/www{FILE}"]
