"""Programs in the languages of test_breadth.py, each as one would write it who has never heard of a gateway.

Each takes a name and writes the front page that it gets from there; some do more, as they say.
"""

import pathlib


def of_npm(package, program):
    """Where tools/deps puts a program of npm's."""
    return str(pathlib.Path(__file__).resolve().parents[2] / "build" / "npm" / package / "node_modules" / ".bin" / program)


# A blocking connect, and a channel that does not block and is waited for by a selector.
JAVA = """
import java.net.*;
import java.nio.*;
import java.nio.channels.*;
import java.nio.charset.StandardCharsets;

public class Fetch {
  public static void main(String[] arguments) throws Exception {
    String name = arguments[0];
    try (var in = new URL("http://" + name + "/").openStream()) {
      System.out.write(in.readAllBytes());
    }
    try (var selector = Selector.open(); var channel = SocketChannel.open()) {
      channel.configureBlocking(false);
      channel.connect(new InetSocketAddress(name, 80));
      channel.register(selector, SelectionKey.OP_CONNECT);
      while (!channel.finishConnect()) {
        selector.select();
        selector.selectedKeys().clear();
      }
      channel.keyFor(selector).interestOps(SelectionKey.OP_READ);
      channel.write(ByteBuffer.wrap(("GET / HTTP/1.0\\r\\nHost: " + name + "\\r\\n\\r\\n").getBytes()));
      var answer = ByteBuffer.allocate(65536);
      while (true) {
        selector.select();
        selector.selectedKeys().clear();
        if (channel.read(answer) < 0) {
          break;
        }
      }
      String text = new String(answer.array(), 0, answer.position(), StandardCharsets.UTF_8);
      System.out.print(text.substring(text.indexOf("\\r\\n\\r\\n") + 4));
      System.out.flush();
    }
  }
}
"""

# Registers its sockets by io_uring where that is to be had: a port that refuses, seen as that and never as a connection; a
# page; fifty pages at once.
NODE = """
const net = require('net');
const name = process.argv[2];
const seen = [];
const refused = new Promise(done => {
  const socket = net.connect(81, name);
  socket.on('connect', () => seen.push('connect'));
  socket.on('error', error => { seen.push(error.code); done(); });
});
const page = async () => (await fetch(`http://${name}/`)).text();
refused.then(async () => {
  const pages = [await page(), ...await Promise.all(Array.from({length: 50}, page))];
  console.log(JSON.stringify({seen, pages}));
}).catch(error => { console.error(error); process.exit(1); });
"""

# By an extension, which PHP opens with RTLD_DEEPBIND.
PHP_CURL = """<?php
$page = curl_init("http://$argv[1]/");
curl_setopt($page, CURLOPT_RETURNTRANSFER, true);
echo curl_exec($page);
$refused = curl_init("http://$argv[1]:81/");
curl_exec($refused);
fwrite(STDERR, curl_errno($refused));
exit(curl_errno($refused) == 7 ? 0 : 1);
"""

# Waits by system calls of its own. A page, a port that refuses by fetch and by net.connect, a page
# over a socket, and twenty pages at once.
BUN = """
import net from 'net';
const name = process.argv[2];
const page = async () => (await fetch(`http://${name}/`)).text();
const error = (promise) => promise.then(() => 'none', (error) => error.code);
const dialled = (port) => new Promise((done, failed) => {
  let text = '';
  const socket = net.connect(port, name);
  socket.on('connect', () => socket.write(`GET / HTTP/1.0\\r\\nHost: ${name}\\r\\n\\r\\n`));
  socket.on('data', (data) => { text += data; });
  socket.on('end', () => done(text.slice(text.indexOf('\\r\\n\\r\\n') + 4)));
  socket.on('error', failed);
});
const pages = [await page()];
const errors = [await error(fetch(`http://${name}:81/`)), await error(dialled(81))];
pages.push(await dialled(80), ...await Promise.all(Array.from({length: 20}, page)));
console.log(JSON.stringify({pages, errors}));
"""

RUST = """
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

fn fetch(mut stream: TcpStream, name: &str) -> String {
    stream.write_all(format!("GET / HTTP/1.0\\r\\nHost: {}\\r\\n\\r\\n", name).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\\r\\n\\r\\n").unwrap().1.to_string()
}

fn main() {
    let name = std::env::args().nth(1).unwrap();
    print!("{}", fetch(TcpStream::connect((name.as_str(), 80)).unwrap(), &name));
    // A connect with a time limit does not block, and polls.
    let first = (name.as_str(), 80).to_socket_addrs().unwrap().next().unwrap();
    print!("{}", fetch(TcpStream::connect_timeout(&first, Duration::from_secs(20)).unwrap(), &name));
}
"""

RUBY = """
require 'net/http'
require 'socket'
name = ARGV[0]
print Net::HTTP.get(URI("http://#{name}/"))
socket = Socket.tcp(name, 80, connect_timeout: 20)
socket.write("GET / HTTP/1.0\\r\\nHost: #{name}\\r\\n\\r\\n")
print socket.read.split("\\r\\n\\r\\n", 2)[1]
"""

PERL = """
use strict; use warnings;
use HTTP::Tiny; use IO::Socket::INET; use IO::Socket::IP;
my $name = shift;
my $answer = HTTP::Tiny->new(timeout => 20)->get("http://$name/");
die "$answer->{status} $answer->{content}" unless $answer->{success};
print $answer->{content};
for my $class ('IO::Socket::INET', 'IO::Socket::IP') {
  my $socket = $class->new(PeerHost => $name, PeerPort => 80, Timeout => 20) or die "$class: $@";
  print $socket "GET / HTTP/1.0\\r\\nHost: $name\\r\\n\\r\\n";
  my $text = do { local $/; <$socket> };
  print +(split /\\r\\n\\r\\n/, $text, 2)[1];
}
"""

PHP = """<?php
$name = $argv[1];
echo file_get_contents("http://$name/");
$socket = fsockopen($name, 80, $number, $text, 20) or exit("$text\\n");
fwrite($socket, "GET / HTTP/1.0\\r\\nHost: $name\\r\\n\\r\\n");
echo explode("\\r\\n\\r\\n", stream_get_contents($socket), 2)[1];
"""
