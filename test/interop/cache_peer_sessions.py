#!/usr/bin/env python3
"""Several connections to two servers, in the same order: transactions, watched keys, subscriptions. What every connection gets is
compared byte for byte.

  cache_peer_sessions.py SEED STEPS OURS THEIRS

After each request every connection sends a PING, so that all that was caused has come before the next request. Ports on this
machine. Exit status 1 with the first difference and the requests before it.
"""
import random
import socket
import sys

KEYS = [b"a", b"b", b"c", b"\xff\x00"]
CHANNELS = [b"news", b"news.art", b"old", b"", b"n\r\n"]
PATTERNS = [b"news*", b"n*", b"*", b"o?d", b"[", b""]


def some(r, of, most=3):
    return [r.choice(of) for _ in range(r.randint(1, most))]


REQUESTS = [
    (8, lambda r: [b"MULTI"]), (10, lambda r: [b"EXEC"]), (2, lambda r: [b"DISCARD"]),
    (6, lambda r: [b"WATCH"] + some(r, KEYS)), (1, lambda r: [b"UNWATCH"]), (1, lambda r: [b"WATCH"]),
    (8, lambda r: [b"SET", r.choice(KEYS), r.choice([b"1", b"x", b"y" * 600])]), (6, lambda r: [b"GET", r.choice(KEYS)]),
    (5, lambda r: [b"INCR", r.choice(KEYS)]), (4, lambda r: [b"DEL"] + some(r, KEYS)), (2, lambda r: [b"APPEND", r.choice(KEYS), b"z"]),
    (2, lambda r: [b"EXPIRE", r.choice(KEYS), b"-1"]), (2, lambda r: [b"EXPIRE", r.choice(KEYS), b"10000"]),
    (1, lambda r: [b"PERSIST", r.choice(KEYS)]), (1, lambda r: [b"RENAME", r.choice(KEYS), r.choice(KEYS)]),
    (1, lambda r: [b"MOVE", r.choice(KEYS), b"1"]), (1, lambda r: [b"SELECT", r.choice([b"0", b"0", b"0", b"1", b"99"])]),
    (1, lambda r: [b"FLUSHDB"]), (1, lambda r: [b"nonsense"]), (1, lambda r: [b"GET"]), (1, lambda r: [b"DISCARD", b"x"]),
    (1, lambda r: [b"ECHO", b"hi"]), (1, lambda r: [b"HELLO", r.choice([b"2", b"3"])]), (1, lambda r: [b"RESET"]),
    (3, lambda r: [b"SUBSCRIBE"] + some(r, CHANNELS)), (3, lambda r: [b"PSUBSCRIBE"] + some(r, PATTERNS)),
    (3, lambda r: [b"UNSUBSCRIBE"] + some(r, CHANNELS)), (3, lambda r: [b"PUNSUBSCRIBE"] + some(r, PATTERNS)),
    (9, lambda r: [b"PUBLISH", r.choice(CHANNELS), r.choice([b"hello", b"", b"x" * 300])]),
    (1, lambda r: [b"PUBSUB", b"CHANNELS"]), (1, lambda r: [b"PUBSUB", b"NUMSUB"] + some(r, CHANNELS)),
    (1, lambda r: [b"PUBSUB", b"NUMPAT"]), (1, lambda r: [b"PUBSUB", b"x"]), (1, lambda r: [b"SUBSCRIBE"]),
    (1, lambda r: [b"SLOWLOG", b"LEN", b"x"]), (1, lambda r: [b"PING"]),
]
SUBSCRIBING = (b"SUBSCRIBE", b"PSUBSCRIBE", b"UNSUBSCRIBE", b"PUNSUBSCRIBE")
ALONE = SUBSCRIBING + (b"PUBLISH", b"PUBSUB")  # what a message in the middle of EXEC's reply means no client agrees on


def wire(request):
    return b"*%d\r\n" % len(request) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in request)


class Connection:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.s.settimeout(20)
        self.buf = b""

    def line(self):
        while b"\r\n" not in self.buf:
            self.more()
        line, self.buf = self.buf.split(b"\r\n", 1)
        return line

    def more(self):
        got = self.s.recv(65536)
        if not got:
            raise EOFError("the server closed the connection")
        self.buf += got

    def reply(self):
        """One reply as (type, value)."""
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind in b"+-:_,#(":
            return kind, rest
        n = int(rest)
        if n < 0:
            return kind, None
        if kind in b"$=":
            while len(self.buf) < n + 2:
                self.more()
            value, self.buf = self.buf[:n], self.buf[n + 2:]
            return kind, value
        return kind, [self.reply() for _ in range(n * (2 if kind == b"%" else 1))]

    def direct(self, n, got):
        """Replies up to the nth that is one and no message."""
        while n:
            r = self.reply()
            got.append(r)
            is_message = r[0] in b"*>" and r[1] and r[1][0] in ((b"$", b"message"), (b"$", b"pmessage"))
            n -= not is_message


def drive(servers, i, request, many, mark):
    """What every connection of every server gets because of one request."""
    out = []
    for connections in servers:
        got = [[] for _ in connections]
        for k in [i] + [k for k in range(len(connections)) if k != i]:
            c = connections[k]
            c.s.sendall((wire(request) if k == i else b"") + wire([b"PING", mark]))
            c.direct((many if k == i else 0) + 1, got[k])
        out.append(got)
    return out


def without_id(v):
    """HELLO tells the connection's number, which is a server's own."""
    if isinstance(v, list):
        return [without_id(x) for i, x in enumerate(v) if i == 0 or v[i - 1] != (b"$", b"id")]
    return (v[0], without_id(v[1])) if isinstance(v, tuple) else v


def tidy(request, got):
    """What comes in the order of a hash table is compared as a set: names, and messages by patterns."""
    got = without_id(got)
    by_pattern = lambda r: isinstance(r[1], list) and r[1] and r[1][0] == (b"$", b"pmessage")
    for one in got:
        at = [i for i, r in enumerate(one) if by_pattern(r)]
        for i, r in zip(at, sorted((one[i] for i in at), key=repr)):
            one[i] = r
    if request[:2] == [b"PUBSUB", b"CHANNELS"]:
        return [[(t, sorted(v, key=repr)) if isinstance(v, list) else (t, v) for t, v in one] for one in got]
    return got


def main():
    seed, steps, ours, theirs = (int(a) for a in sys.argv[1:5])
    r = random.Random(seed)
    servers = [[Connection(port) for _ in range(3)] for port in (ours, theirs)]
    multi = [False] * 3
    history = []
    total = sum(w for w, _ in REQUESTS)
    for step in range(steps):
        i, at = r.randrange(3), r.randrange(total)
        for w, make in REQUESTS:
            at -= w
            if at < 0:
                break
        request = make(r)
        if multi[i] and request[0] in ALONE:
            request = [b"EXEC"]
        many = max(1, len(request) - 1) if request[0] in SUBSCRIBING else 1
        history.append((i, request))
        a, b = drive(servers, i, request, many, b"mark%d" % step)
        if tidy(request, a) != tidy(request, b):
            print(f"seed {seed}, step {step}: connection {i}: {request}")
            for who, got in (("ours", a), ("theirs", b)):
                print(f"  {who}:", *[f"\n    {k}: {one}" for k, one in enumerate(got)])
            print("before it:", *history[-25:], sep="\n  ")
            return 1
        first = a[i][0]
        if request[0] == b"MULTI" and first == (b"+", b"OK"):
            multi[i] = True
        elif (request[0] in (b"EXEC", b"RESET") or request == [b"DISCARD"]) and multi[i]:
            multi[i] = False
    print(f"{steps} requests on 3 connections, 0 differences")
    return 0


sys.exit(main())
