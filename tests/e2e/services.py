"""What runs on the lab's hosts besides the gateway: DNS, the web, git and ssh."""

import hashlib
import os
import random
import shutil
import subprocess
import sys

import sandbox
import topology
from hosts import LAB, SSH_UID, SSH_USER, Failed, run_checked, write

HERE = os.path.dirname(os.path.abspath(__file__))
BIG_OCTETS = 8 << 20
FILES = 20
LOGS = f"{LAB}/log"


def log_file(name):
    os.makedirs(LOGS, exist_ok=True)
    return open(f"{LOGS}/{name}", "ab")


def start_logged(host, argv, name, env=None):
    with log_file(name) as log:
        return host.start(argv, env, stdout=log, stderr=log)


# --- names ---------------------------------------------------------------------------------------------------------------

def start_dns(host):
    """dnsmasq for .test, and behind it the slow and the silent zone."""
    slow_port = 5353
    slow = host.start([sys.executable, f"{HERE}/slow_dns.py", str(slow_port)], stdout=subprocess.PIPE)
    if slow.stdout.readline() != b"ready\n":
        raise Failed("the slow DNS server did not start")
    records = "".join(f"{address} {name}\n" for name, addresses in topology.NAMES.items() for address in addresses)
    write(f"{LAB}/dns/hosts", records)
    write(f"{LAB}/dns/dnsmasq.conf", f"""
no-resolv
no-hosts
no-round-robin
bind-interfaces
listen-address={topology.DNS_SERVER}
cache-size=1000
dns-forward-max=1000
local-ttl=300
log-queries
local=/test/
addn-hosts={LAB}/dns/hosts
txt-record={topology.NO_ADDRESS},present
server=/{topology.SLOW_ZONE}/127.0.0.1#{slow_port}
server=/{topology.DEAD_ZONE}/127.0.0.1#{slow_port}
""")
    # --no-daemon: stays in front, and keeps its one user, which in a user namespace is the only one there is.
    dnsmasq = start_logged(host, ["dnsmasq", "--no-daemon", f"--conf-file={LAB}/dns/dnsmasq.conf"], "dnsmasq")
    host.wait_for_port(topology.DNS_SERVER, 53, dnsmasq)


# --- the web -------------------------------------------------------------------------------------------------------------

def make_certificates():
    """A CA of our own, and one certificate for every name of the lab."""
    home = f"{LAB}/ca"
    os.makedirs(home)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    run_checked(["openssl", "req", "-x509", *key, "-subj", "/CN=socks64 lab",
                 "-addext", "keyUsage=critical,keyCertSign,cRLSign",  # or Python 3.13 does not take it for a CA
                 "-keyout", f"{home}/ca.key", "-out", f"{home}/ca.crt"])
    run_checked(["openssl", "req", *key, "-subj", "/CN=lab.test", "-keyout", f"{home}/server.key",
                 "-out", f"{home}/server.csr"])
    write(f"{home}/extensions", "subjectAltName=" + ",".join(f"DNS:{name}" for name in topology.CERTIFIED) + "\n")
    run_checked(["openssl", "x509", "-req", "-in", f"{home}/server.csr", "-CA", f"{home}/ca.crt", "-CAkey",
                 f"{home}/ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{home}/extensions",
                 "-out", f"{home}/server.crt"])


class Site:
    """What every destination serves, the same octets on each but for the front page; and the digests of it."""

    def __init__(self):
        self.root = f"{LAB}/www"
        os.makedirs(f"{self.root}/files")
        source = random.Random(64)
        self.digests = {"/big": self.put("big", source.randbytes(BIG_OCTETS))}
        for number in range(FILES):
            path = f"files/{number:02}"
            self.digests[f"/{path}"] = self.put(path, source.randbytes(20_000 + 9_973 * number))
        self.commit = self.make_repository()

    @staticmethod
    def front_page(host):
        return f"This is {host}.\n"

    def put(self, path, octets):
        with open(f"{self.root}/{path}", "wb") as file:
            file.write(octets)
        return hashlib.sha256(octets).hexdigest()

    def make_repository(self):
        """A bare repository for git's plain-file transport; returns the commit that a clone must have."""
        work, bare = f"{LAB}/tmp/repository", f"{self.root}/repo.git"
        environment = {"PATH": os.environ["PATH"], "HOME": work, "GIT_CONFIG_NOSYSTEM": "1",
                       **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                          for what, value in (("NAME", "Lab"), ("EMAIL", "lab@lab.test"),
                                              ("DATE", "2000-01-01T00:00:00Z"))}}
        os.makedirs(work)
        shutil.copy(f"{self.root}/files/07", f"{work}/data")
        git = ["git", "-C", work]
        run_checked([*git, "init", "-q", "-b", "main"], env=environment)
        run_checked([*git, "add", "data"], env=environment)
        run_checked([*git, "commit", "-q", "-m", "One file"], env=environment)
        run_checked([*git, "clone", "-q", "--bare", work, bare], env=environment)
        run_checked(["git", "-C", bare, "update-server-info"], env=environment)
        return run_checked([*git, "rev-parse", "HEAD"], env=environment).strip()


def start_web(host, destination):
    home = f"{LAB}/nginx/{destination.name}"
    os.makedirs(f"{home}/tmp")
    addresses = [own.split("/")[0] for own in destination.own_side if own.split("/")[0].endswith(str(topology.ALIVE))]
    listens = "".join(f"listen {f'[{a}]' if ':' in a else a}:{port};\n" for a in addresses
                      for port in ("80", "443 ssl"))
    scratch = "".join(f"{kind}_temp_path {home}/tmp/{kind};\n"
                      for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    # master_process off: one process, of the user that it starts as, the only one in a user namespace.
    write(f"{home}/nginx.conf", f"""
user root root; daemon off; master_process off; pid {home}/pid; error_log {LOGS}/nginx.{destination.name} warn;
events {{ worker_connections 1024; }}
http {{
  access_log off; default_type application/octet-stream; server_tokens off;
  {scratch}
  server {{
    {listens}
    root {LAB}/www;
    ssl_certificate {LAB}/ca/server.crt; ssl_certificate_key {LAB}/ca/server.key;
    location = / {{ default_type text/plain; return 200 "{Site.front_page(destination.name).strip()}\\n"; }}
    location = /peer {{ default_type text/plain; return 200 "$remote_addr\\n"; }}
  }}
}}
""")
    nginx = start_logged(host, ["nginx", "-e", f"{LOGS}/nginx.{destination.name}", "-c", f"{home}/nginx.conf", "-p", home],
                         f"nginx.{destination.name}")
    for address in addresses:
        host.wait_for_port(address, 80, nginx)


# --- ssh -----------------------------------------------------------------------------------------------------------------

def as_traveller(argv):
    """sshd gives up root by setgroups(2), which a user namespace of one user refuses; so it never is root."""
    if sandbox.mode() == "userns":
        return ["unshare", "--user", f"--map-user={SSH_UID}", f"--map-group={SSH_UID}", "--", *argv]
    return ["setpriv", f"--reuid={SSH_UID}", f"--regid={SSH_UID}", "--clear-groups", "--", *argv]


def give_to_traveller(path):
    if sandbox.mode() == "root":
        os.chown(path, SSH_UID, SSH_UID)


def make_ssh_keys():
    home = f"{LAB}/ssh"
    os.makedirs(home)
    for name in ("host", "user"):
        run_checked(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", f"{home}/{name}"])
    give_to_traveller(f"{home}/host")


def start_ssh(host, destination):
    home = f"{LAB}/ssh"
    addresses = [own.split("/")[0] for own in destination.own_side if own.split("/")[0].endswith(str(topology.ALIVE))]
    listens = "".join(f"ListenAddress {address}\n" for address in addresses)
    write(f"{home}/{destination.name}.conf", f"""
{listens}
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PidFile none
UsePAM no
UseDNS no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
""")
    give_to_traveller(host.home)
    host.check("echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start")
    sshd = start_logged(host, as_traveller([sandbox.find("sshd"), "-D", "-e", "-f", f"{home}/{destination.name}.conf"]),
                        f"sshd.{destination.name}")
    for address in addresses:
        host.wait_for_port(address, 22, sshd)


def configure_ssh_client(host):
    """`ssh v6only.test` works as it is on a client; every name has the lab's one host key."""
    with open(f"{LAB}/ssh/host.pub", encoding="ascii") as file:
        host_key = " ".join(file.read().split()[:2])
    write(f"{host.home}/.ssh/known_hosts", f"* {host_key}\n")
    write(f"{host.home}/.ssh/config", f"Host *\n  User {SSH_USER}\n  IdentityFile {LAB}/ssh/user\n  BatchMode yes\n"
          "  StrictHostKeyChecking yes\n  UpdateHostKeys no\n", 0o600)
