#!/usr/bin/env python3
"""Clients that wait for lists, on two servers: several connections send the same random requests in the same order, and what
every one of them gets, and who goes on waiting, is compared.

  cache_peer_blocking.py SEED STEPS OURS THEIRS

Nothing here waits for a time: after each request the server is asked how many are blocked (INFO), until the one that asked has
its reply or is one of them; then as many replies are read as there are fewer waiting. Ports on this machine. Exit status 1 with
the first difference and the requests before it.
"""
import random
import select
import sys

from cache_peer import Peer

WORKERS = 6
KEYS = [b"a", b"b", b"c", b"d"]
VALUES = [b"1", b"two", b"x" * 100, b""]


def keys(r, most=3):
    return [r.choice(KEYS) for _ in range(r.randint(1, most))]


def end(r):
    return r.choice([b"LEFT", b"RIGHT"])


def several(r):
    k = keys(r)
    return [b"%d" % len(k)] + k + [end(r)] + r.choice([[], [b"COUNT", r.choice([b"1", b"2", b"9"])]])


def push(r):
    return [r.choice([b"LPUSH", b"RPUSH"]), r.choice(KEYS)] + [r.choice(VALUES) for _ in range(r.choice([1, 1, 2, 3]))]


# with a time as the last argument, or (BLMPOP) the first
WAITING = [
    (4, lambda r, t: [r.choice([b"BLPOP", b"BRPOP"])] + keys(r) + [t]), (3, lambda r, t: [b"BLMOVE", r.choice(KEYS), r.choice(KEYS), end(r), end(r), t]),
    (2, lambda r, t: [b"BRPOPLPUSH", r.choice(KEYS), r.choice(KEYS), t]), (2, lambda r, t: [b"BLMPOP", t] + several(r)),
]
AT_ONCE = [
    (8, push), (1, lambda r: [b"LPUSHX", r.choice(KEYS), b"x"]), (2, lambda r: [b"DEL"] + keys(r)), (2, lambda r: [b"LLEN", r.choice(KEYS)]),
    (1, lambda r: [b"SET", r.choice(KEYS), b"a string"]), (1, lambda r: [b"RENAME", r.choice(KEYS), r.choice(KEYS)]),
    (1, lambda r: [b"COPY", r.choice(KEYS), r.choice(KEYS), b"REPLACE"]), (1, lambda r: [b"LMOVE", r.choice(KEYS), r.choice(KEYS), end(r), end(r)]),
    (1, lambda r: [b"LMPOP"] + several(r)), (1, lambda r: [b"LRANGE", r.choice(KEYS), b"0", b"-1"]), (1, lambda r: [b"HELLO", r.choice([b"2", b"3"])]),
    (1, lambda r: [b"MOVE", r.choice(KEYS), b"1"]), (0.3, lambda r: [b"FLUSHALL"]), (1, lambda r: [b"LPOP", r.choice(KEYS), b"2"]),
    (0.5, lambda r: [b"BLPOP", r.choice(KEYS), r.choice([b"-1", b"x", b"", b"1e400", b"inf", b"-inf", b"-1e400"])]),
    (0.5, lambda r: [b"BLMPOP", b"0", r.choice([b"0", b"-1", b"x", b"9"]), r.choice(KEYS), b"LEFT"]), (0.3, lambda r: [b"BLMOVE", b"a", b"b", b"LEFT", b"x", b"0"]),
]


def pick(r, table):
    return r.choices(table, [w for w, _ in table])[0][1]


def transaction(r):
    inside = [pick(r, WAITING)(r, b"0") if r.random() < 0.3 else pick(r, AT_ONCE)(r) for _ in range(r.randint(1, 5))]
    inside = [q for q in inside if q[0] != b"HELLO"]
    return [[b"MULTI"]] + inside + [[b"EXEC"]]


def wire(argv):
    return b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in argv)


def readable(peers):
    """Those of them that got something."""
    return [p for p in peers if len(p.buf) > p.at] or select.select([p.s for p in peers], [], [], 0)[0]


class Server:
    def __init__(self, port):
        self.port = port
        self.control = Peer(port)
        self.ask([b"FLUSHALL"])
        self.workers = [None] * WORKERS
        self.ids = [None] * WORKERS
        for i in range(WORKERS):
            self.connect(i)
        self.waiting = set()

    def connect(self, i):
        self.workers[i] = Peer(self.port)
        self.workers[i].s.sendall(wire([b"CLIENT", b"ID"]))
        self.ids[i] = self.workers[i].reply()[1:-2]

    def ask(self, argv):
        self.control.s.sendall(wire(argv))
        return self.control.reply()

    def blocked(self):
        text = self.ask([b"INFO", b"clients"])
        return int(text.split(b"blocked_clients:")[1].split(b"\r")[0])

    def served(self, got):
        """The replies of those who wait no more."""
        left = len(self.waiting) - self.blocked()
        for _ in range(left):
            sockets = {self.workers[i].s: i for i in self.waiting}
            ready = select.select(list(sockets), [], [], 20)[0]
            if not ready:
                raise EOFError("nobody was served, though fewer wait")
            i = sockets[ready[0]]
            self.waiting.remove(i)
            got[i] = [self.workers[i].reply()]
        return got

    def run(self, i, requests):
        """What each worker got because of these requests of worker i; nothing of i: it waits."""
        w = self.workers[i]
        w.s.sendall(b"".join(wire(q) for q in requests))
        while not readable([w]):
            if self.blocked() > len(self.waiting):
                self.waiting.add(i)
                return {}
        return self.served({i: [w.reply() for _ in requests]})

    def patient(self, i, request):
        """A reply that comes in a moment, when not at once."""
        w = self.workers[i]
        w.s.sendall(wire(request))
        return self.served({i: [w.reply()]})

    def unblock(self, i, how):
        return self.served({"control": self.ask([b"CLIENT", b"UNBLOCK", self.ids[i]] + how)})

    def drop(self, i):
        """Its connection ends while it waits."""
        self.waiting.discard(i)
        self.workers[i].s.close()
        while self.blocked() != len(self.waiting):
            pass
        self.connect(i)
        return {}


def step_of(r, free, waiting):
    """What to do: a method of Server and its arguments."""
    n = r.random()
    if waiting and (not free or n < 0.04):
        i = r.choice(waiting)
        return ("drop", i) if r.random() < 0.3 else ("unblock", i, r.choice([[], [b"TIMEOUT"], [b"ERROR"]]))
    i = r.choice(free)
    if n < 0.40:
        return "run", i, [pick(r, WAITING)(r, b"0")]
    if n < 0.45:
        return "patient", i, pick(r, WAITING)(r, b"0.001")
    if n < 0.57:
        return "run", i, transaction(r)
    return "run", i, [pick(r, AT_ONCE)(r)]


def tidy(got):
    """The reply to HELLO tells of a connection what is a server's own."""
    return {i: ["hello" if isinstance(x, tuple) and x[1] and x[1][0] == b"$6\r\nserver\r\n" else x for x in v] for i, v in got.items()}


def main():
    seed, steps, ours, theirs = (int(a) for a in sys.argv[1:5])
    r = random.Random(seed)
    servers = [Server(ours), Server(theirs)]
    history, most = [], 0
    for step in range(steps):
        waiting = sorted(servers[0].waiting)
        what = step_of(r, [i for i in range(WORKERS) if i not in servers[0].waiting], waiting)
        history.append(what)
        got = [tidy(getattr(s, what[0])(*what[1:])) for s in servers]
        if got[0] != got[1] or servers[0].waiting != servers[1].waiting:
            print(f"seed {seed}, step {step}: {what}")
            for who, s, g in zip(("ours", "theirs"), servers, got):
                print(f"  {who}: {g}, waiting: {sorted(s.waiting)}")
            print("before it:", *history[-25:], sep="\n  ")
            return 1
        most = max(most, len(servers[0].waiting))
    if most < WORKERS:
        print(f"never more than {most} waited")
        return 1
    print(f"{steps} requests on {WORKERS} connections, 0 differences")
    return 0


sys.exit(main())
