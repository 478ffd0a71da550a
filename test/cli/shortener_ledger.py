# Redirects over several connections, a few on their way on each: shortener_ledger.py PORT CODE WANT CONNECTIONS [PID]. Once WANT answers are
# complete it ends the process PID with SIGKILL and reads what still comes, or, without one, waits for the rest. Prints how many were sent, and
# how many complete answers with 30x came; anything else that is answered is an error.
import os
import re
import select
import signal
import socket
import sys

DEPTH = 4
port, code, want, connections = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
victim = int(sys.argv[5]) if len(sys.argv) > 5 else 0
request = (
    f"GET /{code} HTTP/1.1\r\nHost: s.example\r\nReferer: https://www.example.com/page\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\r\n"
).encode()
length = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
sent = answered = 0
going = True


class Connection:
    def __init__(self):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.s.settimeout(20)
        self.got, self.out = b"", 0

    def fill(self):
        """A request that may have left counts as sent."""
        global sent
        while going and self.out < DEPTH and (victim or sent < want):
            sent += 1
            self.out += 1
            try:
                self.s.sendall(request)
            except OSError:
                return

    def take(self):
        """False: it is closed."""
        global answered
        try:
            more = self.s.recv(65536)
        except ConnectionError:
            more = b""
        self.got += more
        while (head := self.got.find(b"\r\n\r\n")) >= 0:
            body = length.search(self.got, 0, head + 2)
            end = head + 4 + (int(body.group(1)) if body else 0)
            if len(self.got) < end:
                break
            if not self.got.startswith(b"HTTP/1.1 30"):
                sys.exit("answered: %r" % self.got[:head])
            self.got = self.got[end:]
            self.out -= 1
            answered += 1
        return bool(more)


open_ones = {}
for _ in range(connections):
    c = Connection()
    open_ones[c.s] = c
    c.fill()
while open_ones and (going or victim):
    for s in select.select(list(open_ones), [], [], 20)[0] or sys.exit("no answer for 20 s"):
        c = open_ones[s]
        if not c.take():
            if going:
                sys.exit("it closed a connection")
            del open_ones[s]
        elif going and answered >= want:
            going = False
            if victim:
                os.kill(victim, signal.SIGKILL)
        else:
            c.fill()
print(sent, answered)
