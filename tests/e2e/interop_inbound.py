"""Programs of others that use UDP ASSOCIATE and BIND; test_interop_inbound.py runs them.

UDP: each sends FIRST and then 4,000 octets to a service that sends everything back, and writes the two answers.
BIND: each writes the address and port where a peer is awaited as a line, then what the peer sends, and answers THANKS; or it
fetches a file by FTP's active mode, in which the server connects.
"""

from case import PYTHON
from interop_programs import CURL, FILE

FIRST, LENGTH, THANKS = b"first", 4000, b"thanks"

PYSOCKS_UDP = """
import socket, socks, sys
gateway, port, host, service = sys.argv[1:]
udp = socks.socksocket(socket.AF_INET6 if ":" in gateway else socket.AF_INET, socket.SOCK_DGRAM)
udp.set_proxy(socks.SOCKS5, gateway, int(port), True)
udp.settimeout(15)
for data in (b"first", b"x" * 4000):
    udp.sendto(data, (host, int(service)))
    sys.stdout.buffer.write(udp.recvfrom(65536)[0])
"""

NODE_UDP = """
const { SocksClient } = require('socks'), dgram = require('dgram');
const [gateway, port, host, service] = process.argv.slice(1);
const client = new SocksClient({
  proxy: { host: gateway, port: Number(port), type: 5 }, command: 'associate',
  destination: { host: gateway.includes(':') ? '::' : '0.0.0.0', port: 0 } });
client.on('established', ({ remoteHost }) => {
  const udp = dgram.createSocket(gateway.includes(':') ? 'udp6' : 'udp4');
  const waiting = [Buffer.from('first'), Buffer.alloc(4000, 'x')];
  const next = () => {
    if (!waiting.length) return process.exit(0);
    const frame = SocksClient.createUDPFrame({ remoteHost: { host, port: Number(service) }, data: waiting.shift() });
    udp.send(frame, remoteHost.port, remoteHost.host);
  };
  udp.on('message', message => process.stdout.write(SocksClient.parseUDPFrame(message).data, next));
  next();
});
client.on('error', error => { console.error(error); process.exit(1); });
client.connect();
"""

PERL_UDP = """
use strict; use warnings; use IO::Socket::Socks; use Socket;
my ($gateway, $port, $host, $service) = @ARGV;
my $socket = IO::Socket::Socks->new(UdpAddr => $host, UdpPort => $service, ProxyAddr => $gateway, ProxyPort => $port,
  SocksVersion => 5, Timeout => 15) or die $SOCKS_ERROR;
my $peer = $host =~ /:/ ? Socket::pack_sockaddr_in6($service, Socket::inet_pton(Socket::AF_INET6, $host))
                        : sockaddr_in($service, inet_aton($host));
binmode STDOUT; $| = 1;
for my $data ('first', 'x' x 4000) {
  $socket->send($data, 0, $peer) or die $!;
  $socket->recv(my $answer, 65536) or die $!;
  print $answer;
}
"""

# Knows nothing of SOCKS: for Dante's client.
PLAIN_UDP = """
import socket, sys
host, service = sys.argv[1:]
udp = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(15)
for data in (b"first", b"x" * 4000):
    udp.sendto(data, (host, int(service)))
    sys.stdout.buffer.write(udp.recvfrom(65536)[0])
"""

NODE_BIND = """
const { SocksClient } = require('socks');
const [gateway, port, host] = process.argv.slice(1);
const client = new SocksClient({ proxy: { host: gateway, port: Number(port), type: 5 }, command: 'bind', destination: { host, port: 0 } });
client.on('bound', ({ remoteHost }) => console.log(`${remoteHost.host} ${remoteHost.port}`));
client.on('established', ({ socket }) => {
  socket.on('data', data => process.stdout.write(data));
  socket.on('end', () => socket.end('thanks'));
});
client.on('error', error => { console.error(error); process.exit(1); });
client.connect();
"""

PERL_BIND = """
use strict; use warnings; use IO::Socket::Socks;
my ($gateway, $port, $host) = @ARGV;
my $socket = IO::Socket::Socks->new(BindAddr => $host, BindPort => 21, ProxyAddr => $gateway, ProxyPort => $port,
  SocksVersion => 5, Timeout => 20) or die $SOCKS_ERROR;
my ($bound, $at) = $socket->dst();
binmode STDOUT; $| = 1;
print "$bound $at\\n";
$socket->accept() or die $SOCKS_ERROR;
local $/; print scalar <$socket>;
syswrite $socket, 'thanks';
"""

def of_script(program, script):
    """With gateway and port, host, and for UDP the service's port."""
    def command(call, *service):
        return [*program, script, call.gateway, str(call.port), call.host, *map(str, service)]
    return command


def with_dante(argv):
    def command(call, *service):
        configuration = call.file("dante.conf", f"""resolveprotocol: fake
route {{
  from: 0.0.0.0/0 to: 0.0.0.0/0 via: {call.gateway} port = {call.port}
  protocol: tcp udp
  command: connect bind udpassociate bindreply udpreply
  proxyprotocol: socks_v5
}}
""")
        return ["env", f"SOCKS_CONF={configuration}", "/usr/bin/socksify", *argv(call, *service)]
    return command


NODE = ["env", "NODE_PATH=/usr/share/nodejs", "node", "-e"]

pysocks_udp = of_script([PYTHON, "-c"], PYSOCKS_UDP)
node_udp = of_script(NODE, NODE_UDP)
perl_udp = of_script(["perl", "-e"], PERL_UDP)
dante_udp = with_dante(lambda call, service: [PYTHON, "-c", PLAIN_UDP, call.host, str(service)])
node_bind = of_script(NODE, NODE_BIND)
perl_bind = of_script(["perl", "-e"], PERL_BIND)
dante_curl = with_dante(lambda call: [*CURL, "-P", "-", "--disable-eprt", f"ftp://{call.bracketed(call.host)}{FILE}"])
dante_lftp = with_dante(lambda call: ["lftp", "-c", "set net:max-retries 1; set ftp:passive-mode off; "
                                      f"open ftp://{call.bracketed(call.host)}; cat {FILE}"])
dante_tnftp = with_dante(lambda call: ["tnftp", "-A", "-V", "-o", "-", f"ftp://{call.bracketed(call.host)}{FILE}"])
