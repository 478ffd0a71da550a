"""Memcached servers that say who they are, and a client.

ring_peer.py serve          listens on all of 127.0.0.0/8 at one port, which it prints; get K answers the address asked
ring_peer.py ask SOCKET     reads keys from standard input, gets each through the UNIX socket; prints key, tab, answer
ring_peer.py textbook NODE...   the ring of the tutorials, for the keys of standard input
"""

import hashlib
import socket
import socketserver
import sys


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        here = self.request.getsockname()[0].encode()
        for line in self.rfile:
            words = line.split()
            if len(words) != 2 or words[0] != b"get":
                return
            self.wfile.write(b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (words[1], len(here), here))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


def serve():
    with Server(("0.0.0.0", 0), Handler) as server:
        print("Listening on 127.0.0.1:%d" % server.server_address[1], flush=True)
        server.serve_forever()


def ask(path):
    keys = sys.stdin.read().split("\n")[:-1]
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        stream = s.makefile("rwb")
        for at in range(0, len(keys), 100):
            some = keys[at : at + 100]
            stream.write(b"".join(b"get %s\r\n" % k.encode() for k in some))
            stream.flush()
            for key in some:
                assert stream.readline().startswith(b"VALUE %s " % key.encode())
                print("%s\t%s" % (key, stream.readline().decode().strip()))
                assert stream.readline() == b"END\r\n"


def place(text):
    return int(hashlib.md5(text.encode()).hexdigest(), 16)


def textbook(nodes):
    ring = sorted((place("%s:%d" % (node, i)), node) for node in nodes for i in range(100))
    for key in sys.stdin.read().split("\n")[:-1]:
        owner = next((node for at, node in ring if place(key) <= at), ring[0][1])
        print("%s\t%s" % (key, owner))


if sys.argv[1] == "serve":
    serve()
elif sys.argv[1] == "ask":
    ask(sys.argv[2])
else:
    textbook(sys.argv[2:])
