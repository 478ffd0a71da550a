#!/usr/bin/env python3
"""Keys of two caches, one of them redis-server: filled at random, compared by commands, carried over by DUMP and RESTORE.

  cache_rdb.py fill SEED COUNT PORT      so many random keys of all types and encodings, in three databases, some with an end
  cache_rdb.py same PORT PORT            all keys of both, their values, ends and encodings
  cache_rdb.py carry FROM TO             each key of one into the other (emptied before) by DUMP and RESTORE
  cache_rdb.py dumps PORT PORT           the same keys give the same bytes, where both keep them in the same form
  cache_rdb.py errors SEED PORT PORT     RESTORE with arguments good and bad: the same replies
  cache_rdb.py die PORT PID              BGSAVE, and the process is killed as soon as that is under way

Ports on this machine. Exit status 1 with the first difference.
"""
import os
import random
import signal
import socket
import sys

DBS = (0, 1, 9)


class Client:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", int(port)))
        self.s.settimeout(60)
        self.f = self.s.makefile("rb")

    def send(self, *args):
        parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        self.s.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def read(self):
        line = self.f.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else self.f.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b":":
            return int(rest)
        if kind == b"-":
            return Exception(rest)
        return rest

    def ask(self, *args):
        self.send(*args)
        return self.read()

    def all(self, requests):
        """Many at once: their replies in order."""
        replies = []
        for i in range(0, len(requests), 500):
            for r in requests[i:i + 500]:
                self.send(*r)
            replies += [self.read() for _ in requests[i:i + 500]]
        return replies


# ---- filling ----

def text(r):
    kind = r.random()
    if kind < 0.25:
        return b"%d" % r.choice([0, 1, -1, 127, 128, -129, 32767, 32768, -32769, 2 ** 31 - 1, 2 ** 31, -2 ** 31 - 1, 2 ** 63 - 1, -2 ** 63,
                                 r.randint(-10 ** 6, 10 ** 6)])
    if kind < 0.5:
        return bytes(r.getrandbits(8) for _ in range(r.randint(0, 30)))
    if kind < 0.75:
        return b"abcabcabd"[: r.randint(1, 9)] * r.choice([1, 3, 10, 20, 100])  # LZF has something to do
    if kind < 0.995:
        return r.choice([b"", b"0", b"-0", b"007", b"1.5", b"x" * 63, b"x" * 64, b"x" * 65, b"12345678901234567890"])
    return bytes(r.getrandbits(8) for _ in range(r.choice([600, 5000, 20000])))


def size(r):
    return r.choice([1, 2, 5, 20, 100, 200, 600]) if r.random() < 0.3 else r.randint(1, 10)


def string_key(r, key):
    return [(b"SET", key, text(r))] + ([(b"APPEND", key, text(r))] if r.random() < 0.1 else [])


def list_key(r, key):
    return [(r.choice([b"RPUSH", b"LPUSH"]), key, *(text(r) for _ in range(size(r))))]


def set_key(r, key):
    if r.random() < 0.5:
        limit = r.choice([100, 10 ** 5, 10 ** 10])
        return [(b"SADD", key, *(r.randint(-limit, limit) for _ in range(size(r))))]
    return [(b"SADD", key, *(text(r) for _ in range(size(r))))]


def zset_key(r, key):
    args = []
    for _ in range(size(r)):
        args += [r.choice([b"1", b"1.5", b"-3", b"inf", b"-inf", b"1e300", b"%.17g" % r.uniform(-1e6, 1e6), b"%d" % r.randint(-9, 9)]), text(r)]
    return [(b"ZADD", key, *args)]


def hash_key(r, key):
    args = []
    for _ in range(size(r)):
        args += [text(r), text(r)]
    return [(b"HSET", key, *args)]


MAKERS = {b"SET": string_key, b"RPUSH": list_key, b"SADD": set_key, b"ZADD": zset_key, b"HSET": hash_key}
FAMILIES = os.environ.get("FAMILIES", "SET RPUSH SADD ZADD HSET").encode().split()


def fill(seed, count, port):
    r, c = random.Random(int(seed)), Client(port)
    requests = []
    for i in range(int(count)):
        if i % 100 == 0:
            requests.append((b"SELECT", r.choice(DBS)))
        key = b"key:%d" % i if r.random() < 0.95 else bytes(r.getrandbits(8) for _ in range(r.randint(5, 80)))
        requests += [(b"DEL", key)] + MAKERS[r.choice(FAMILIES)](r, key)
        if r.random() < 0.2:
            requests.append((b"PEXPIREAT", key, 4102444800000 + r.randint(0, 10 ** 9)))
    for request, reply in zip(requests, c.all(requests)):
        if isinstance(reply, Exception):
            sys.exit("%.200r: %s" % (request, reply))


# ---- comparing ----

READ = {b"string": lambda k: (b"GET", k), b"list": lambda k: (b"LRANGE", k, 0, -1), b"set": lambda k: (b"SMEMBERS", k),
        b"zset": lambda k: (b"ZRANGE", k, 0, -1, b"WITHSCORES"), b"hash": lambda k: (b"HGETALL", k)}


def in_order(kind, value):
    if kind == b"set":
        return sorted(value)
    if kind == b"hash":
        return sorted(zip(value[::2], value[1::2]))
    return value


def everything(c):
    found = {}
    for db in DBS:
        c.ask(b"SELECT", db)
        keys = sorted(c.ask(b"KEYS", b"*"))
        types = c.all([(b"TYPE", k) for k in keys])
        values = c.all([READ[t](k) for k, t in zip(keys, types)])
        ends = c.all([(b"PEXPIRETIME", k) for k in keys])
        forms = c.all([(b"OBJECT", b"ENCODING", k) for k in keys])
        for k, t, v, e, f in zip(keys, types, values, ends, forms):
            found[db, k] = (t, in_order(t, v), e, f)
    return found


def compare(a, b):
    for key in sorted(a.keys() | b.keys()):
        one, other = a.get(key), b.get(key)
        # a string's form depends on how it came to be; what was large once stays so, and is small when it is loaded
        if one and other and (one[0] == b"string" or {one[3], other[3]} & {b"hashtable", b"skiplist", b"quicklist"}):
            one, other = one[:3], other[:3]
        if one != other:
            sys.exit("%r: %.300r here, %.300r there" % (key, one, other))
    return len(a)


def same(port_a, port_b):
    print(compare(everything(Client(port_a)), everything(Client(port_b))), "keys are the same")


def carry(port_from, port_to):
    a, b = Client(port_from), Client(port_to)
    b.ask(b"FLUSHALL")
    for db in DBS:
        a.ask(b"SELECT", db)
        b.ask(b"SELECT", db)
        keys = a.ask(b"KEYS", b"*")
        dumps = a.all([(b"DUMP", k) for k in keys])
        ends = a.all([(b"PEXPIRETIME", k) for k in keys])
        wants = [(b"RESTORE", k, max(e, 0), d, b"ABSTTL") for k, e, d in zip(keys, ends, dumps)]
        for want, reply in zip(wants, b.all(wants)):
            if reply != b"OK":
                sys.exit("%.300r: %s" % (want, reply))
    print(compare(everything(a), everything(b)), "keys carried over")


def dumps(port_a, port_b):
    a, b = Client(port_a), Client(port_b)
    n = 0
    for db in DBS:
        a.ask(b"SELECT", db)
        b.ask(b"SELECT", db)
        keys = a.ask(b"KEYS", b"*")
        forms = a.all([(b"OBJECT", b"ENCODING", k) for k in keys])
        for k, form, one, other in zip(keys, forms, a.all([(b"DUMP", k) for k in keys]), b.all([(b"DUMP", k) for k in keys])):
            if form == b"hashtable" or form == b"quicklist":  # in an order, or in pieces, of their own
                continue
            n += 1
            if one != other:
                sys.exit("%r (%s): %.200r here, %.200r there" % (k, form.decode(), one, other))
    print(n, "dumps are the same")


# ---- errors ----

def errors(seed, port_a, port_b):
    r = random.Random(int(seed))
    both = [Client(port_a), Client(port_b)]
    for c in both:
        c.ask(b"FLUSHALL")
        c.ask(b"SET", b"good", b"value")
    good = both[1].ask(b"DUMP", b"good")
    words = [b"REPLACE", b"ABSTTL", b"replace", b"IDLETIME", b"FREQ", b"0", b"5", b"255", b"256", b"-1", b"x", b"1.5", b""]
    for _ in range(4000):
        payload = bytearray(good)
        if r.random() < 0.4:
            payload[r.randrange(len(payload))] ^= 1 << r.randrange(8)
        if r.random() < 0.1:
            payload = payload[: r.randrange(len(payload))]
        key = r.choice([b"good", b"other", b""])
        ttl = r.choice([b"0", b"0", b"100000", b"-1", b"x", b"", b"4102444800000", b"9223372036854775808"])
        args = [b"RESTORE", key, ttl, bytes(payload)] + [r.choice(words) for _ in range(r.choice([0, 0, 1, 2, 3, 4]))]
        if ttl == b"100000" and b"absttl" in [w.lower() for w in args[4:]]:
            ttl = args[2] = b"1"
        for request in (args, (b"GET", key), (b"DEL", b"other"), (b"DUMP", b"other"), (b"EXISTS", key)):
            one, other = (str(c.ask(*request)) for c in both)
            if one != other:
                sys.exit("%r: %s here, %s there" % (request, one, other))
        if r.random() < 0.1:
            for c in both:
                c.ask(b"SET", b"good", b"value")
    print("the same errors")


# ---- the end ----

def die(port, pid):
    c = Client(port)
    c.send(b"BGSAVE")
    reply = c.read()
    os.kill(int(pid), signal.SIGKILL)
    if reply != b"Background saving started":
        sys.exit("BGSAVE: %s" % reply)


{"fill": fill, "same": same, "carry": carry, "dumps": dumps, "errors": errors, "die": die}[sys.argv[1]](*sys.argv[2:])
