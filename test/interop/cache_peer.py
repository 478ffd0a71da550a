#!/usr/bin/env python3
"""The same requests to two servers, the replies compared byte for byte.

  cache_peer.py random SEED COUNT OURS THEIRS [FAMILY]   so many random commands, in pipelines; those of cache_peer_FAMILY.py
  cache_peer.py broken OURS THEIRS                       requests that are none, and what is said before the end

Ports on this machine. Exit status 1 with the first difference, and the requests of its key that led to it.
"""
import importlib
import random
import socket
import sys

KEYS = [b"k%d" % i for i in range(8)] + [b"", b"\xff\x00\r\n", b"a" * 70]
NUMBERS = [b"0", b"1", b"-1", b"2", b"5", b"10", b"100", b"9223372036854775807", b"-9223372036854775808",
           b"9223372036854775808", b"-9223372036854775809", b"9223372036854775806", b"4611686018427387904",
           b"18446744073709551615", b"99999999999999999999", b"2147483647", b"2147483648", b"-2147483649", b"01", b"-0", b"+1",
           b" 1", b"1 ", b"", b"-", b"1.5", b"abc", b"1e3", b"0x10", b"1\x00"]
FLOATS = [b"1.5", b"-1.5", b"0.1", b"1e10", b"1e308", b"1e400", b"1e4932", b"1e-5000", b"-1e4932", b"inf", b"-inf", b"+inf",
          b"nan", b"0x1p4", b" 1", b"1 ", b"3.0e3", b"-0.0", b".5", b"5.", b"1_0", b"infinity", b"123456789.123456789",
          b"1" * 30, b"0." + b"3" * 30, b"1" * 255, b"1" * 256, b"2" * 300]
VALUES = [b"", b"a", b"hello", b"Hello World", b"x" * 44, b"x" * 45, b"x" * 511, b"x" * 513, b"y" * 2000, b"\x00\x01\xff\r\n",
          b"12", b"-7", b"3.5", b"007"]
OFFSETS = [b"0", b"1", b"-1", b"2", b"3", b"-2", b"-3", b"5", b"-100", b"100", b"600", b"700"]
FAR_S = [b"99999999999", b"88888888888", b"33333333333"]                # moments that do not come while this runs
FAR_MS = [b"99999999999123", b"99999999999500", b"88888888888499", b"33333333333000"]
BAD_TIMES = [b"0", b"-1", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775", b"9223372036854776", b"x", b"",
             b"1.5", b"-9223372036854776", b"9223372036854775000"]
BAD_MS = [t for t in BAD_TIMES if not t.startswith(b"922337203685477") or len(t) == 19]  # none that counts from now
PATTERNS = [b"*", b"k*", b"k?", b"k[0-3]", b"k[^0-3]", b"[", b"k[", b"k[3", b"k[3-", b"\\k1", b"k\\", b"**", b"?", b"", b"k[5-2]", b"*1*",
            b"k[\\1]", b"a*a", b"k[^", b"[^k]*", b"[]", b"[^]*", b"k[0-]", b"a*b*", b"*\\*"]
OPTIONS = [b"NX", b"XX", b"GET", b"KEEPTTL", b"nx", b"xX", b"PERSIST", b"EX", b"PX", b"EXAT", b"PXAT", b"GT", b"LT", b"foo", b""]


class Rng(random.Random):
    def key(self):
        return self.choice(KEYS)

    def number(self):
        return self.choice(NUMBERS) if self.random() < 0.6 else b"%d" % self.randint(-20, 20)

    def value(self):
        r = self.random()
        if r < 0.4:
            return self.choice(VALUES)
        if r < 0.7:
            return self.number()
        if r < 0.8:
            return self.choice(FLOATS)
        return bytes(self.getrandbits(8) for _ in range(self.randint(0, 12)))

    def float(self):
        return self.choice(FLOATS)

    def offset(self):
        return self.choice(OFFSETS) if self.random() < 0.85 else self.number()

    def case(self, word):
        return bytes(c ^ 0x20 if chr(c).isalpha() and self.random() < 0.5 else c for c in word) if self.random() < 0.1 else word


def moment(r, ms):
    if r.random() < 0.25:
        return r.choice(BAD_TIMES)
    return r.choice(FAR_MS if ms else FAR_S)


def set_options(r, words):
    """Some of them, mostly such that they go together."""
    out = []
    for _ in range(r.choice([0, 0, 1, 1, 1, 2, 2, 3])):
        w = r.choice(words)
        out.append(r.case(w))
        if w in (b"EXAT", b"PXAT"):
            if r.random() < 0.95:
                out.append(moment(r, w == b"PXAT"))
        elif w in (b"EX", b"PX"):
            out.append(r.choice(BAD_TIMES if w == b"EX" else BAD_MS))
    return out


SET_WORDS = [b"NX", b"XX", b"GET", b"KEEPTTL", b"EXAT", b"PXAT", b"EXAT", b"PXAT", b"EX", b"PX", b"PERSIST", b"foo"]
GETEX_WORDS = [b"PERSIST", b"EXAT", b"PXAT", b"EXAT", b"PXAT", b"EX", b"PX", b"NX", b"foo", b"KEEPTTL"]
EXPIRE_WORDS = [b"NX", b"XX", b"GT", b"LT"]


def expire_options(r):
    out = [r.case(r.choice(EXPIRE_WORDS)) for _ in range(r.choice([0, 0, 1, 1, 2, 3]))]
    if r.random() < 0.05:
        out.append(r.choice(OPTIONS))
    return out


def few(r, fn, most=4):
    return [fn() for _ in range(r.randint(1, most))]


def pairs(r):
    out = []
    for _ in range(r.randint(1, 3)):
        out += [r.key(), r.value()]
    return out if r.random() < 0.9 else out[:-1]


def scan(r):
    out = [b"SCAN", r.choice([b"0", b"0", b"0", b"x", b"", b"-1", b"+0", b" 0", b"00", b"18446744073709551616"])]
    out += [b"COUNT", b"100000"]
    for _ in range(r.choice([0, 0, 1, 2])):
        out += r.choice([[b"MATCH", r.choice(PATTERNS)], [b"TYPE", r.choice([b"string", b"STRING", b"hash", b"x"])],
                         [b"COUNT", r.choice([b"0", b"-1", b"x", b"9223372036854775808"])], [b"foo"], [b"MATCH"]])
    return out


def copy(r):
    out = [b"COPY", r.key(), r.key()]
    for _ in range(r.choice([0, 1, 1, 2])):
        out += r.choice([[b"REPLACE"], [b"DB", r.choice([b"0", b"1", b"1", b"16", b"-1", b"x"])], [b"DB"], [b"foo"]])
    return out


COMMANDS = [
    (10, lambda r: [b"SET", r.key(), r.value()] + set_options(r, SET_WORDS)),
    (6, lambda r: [b"GET", r.key()]),
    (2, lambda r: [b"SETNX", r.key(), r.value()]),
    (1, lambda r: [b"SETEX", r.key(), r.choice(BAD_TIMES), r.value()]),
    (1, lambda r: [b"PSETEX", r.key(), r.choice(BAD_MS), r.value()]),
    (2, lambda r: [b"GETSET", r.key(), r.value()]),
    (2, lambda r: [b"GETDEL", r.key()]),
    (4, lambda r: [b"GETEX", r.key()] + set_options(r, GETEX_WORDS)),
    (2, lambda r: [b"MGET"] + few(r, r.key)),
    (2, lambda r: [b"MSET"] + pairs(r)),
    (2, lambda r: [b"MSETNX"] + pairs(r)),
    (2, lambda r: [r.choice([b"INCR", b"DECR"]), r.key()]),
    (5, lambda r: [r.choice([b"INCRBY", b"DECRBY"]), r.key(), r.number()]),
    (5, lambda r: [b"INCRBYFLOAT", r.key(), r.choice(FLOATS) if r.random() < 0.6 else r.number()]),
    (2, lambda r: [b"STRLEN", r.key()]),
    (4, lambda r: [b"APPEND", r.key(), r.value()]),
    (5, lambda r: [r.choice([b"GETRANGE", b"SUBSTR"]), r.key(), r.offset(), r.offset()]),
    (4, lambda r: [b"SETRANGE", r.key(), r.offset(), r.value()]),
    (3, lambda r: [r.choice([b"DEL", b"UNLINK"])] + few(r, r.key)),
    (2, lambda r: [r.choice([b"EXISTS", b"TOUCH"])] + few(r, r.key)),
    (1, lambda r: [b"TYPE", r.key()]),
    (2, lambda r: [b"EXPIRE", r.key(), r.choice(BAD_TIMES)] + expire_options(r)),
    (2, lambda r: [b"PEXPIRE", r.key(), r.choice(BAD_MS)] + expire_options(r)),
    (5, lambda r: [b"EXPIREAT", r.key(), moment(r, False)] + expire_options(r)),
    (5, lambda r: [b"PEXPIREAT", r.key(), moment(r, True)] + expire_options(r)),
    (5, lambda r: [r.choice([b"EXPIRETIME", b"PEXPIRETIME"]), r.key()]),
    (2, lambda r: [r.choice([b"TTL", b"PTTL"]), r.choice([b"gone1", b"gone2", b"stays"])]),
    (1, lambda r: [b"SET", b"stays", b"1"]),
    (3, lambda r: [b"PERSIST", r.key()]),
    (3, lambda r: [r.choice([b"RENAME", b"RENAMENX"]), r.key(), r.key()]),
    (3, copy),
    (2, lambda r: [b"MOVE", r.key(), r.choice([b"0", b"1", b"1", b"2", b"16", b"x"])]),
    (2, lambda r: [b"KEYS", r.choice(PATTERNS)]),
    (2, scan),
    (1, lambda r: [b"DBSIZE"]),
    (0.15, lambda r: [r.choice([b"FLUSHDB", b"FLUSHALL"])] + r.choice([[], [b"SYNC"], [b"ASYNC"], [b"x"], [b"SYNC", b"x"]])),
    (2, lambda r: [b"OBJECT", r.choice([b"ENCODING", b"encoding", b"FREQ", b"nothing"]), r.key()]),
    (1, lambda r: [b"SELECT", r.choice([b"0", b"0", b"0", b"1", b"16", b"-1", b"x", b"99999999999"])]),
    (1, lambda r: [b"ECHO", r.value()]),
    (1, lambda r: [b"PING"] + r.choice([[], [r.value()], [b"a", b"b"]])),
    (0.5, lambda r: [b"HELLO", r.choice([b"1", b"4", b"x", b""])] + r.choice([[], [b"foo"], [b"SETNAME", b"x y"]])),
    (0.5, lambda r: [b"CLIENT", b"SETNAME", r.choice([b"name", b"", b"with space", b"\xff", b"n\n", b"x" * 63])]),
    (0.5, lambda r: [b"CLIENT", b"GETNAME"]),
    (0.5, lambda r: [b"AUTH"] + r.choice([[b"x"], [b"default", b"x"], [b"nobody", b"x"], [b"a", b"b", b"c"]])),
    (0.5, lambda r: [b"CLIENT", r.choice([b"SETINFO", b"foo", b"NO-EVICT", b"REPLY", b"KILL", b"NO-TOUCH"])] +
     r.choice([[], [b"x"], [b"lib-name", b"x"], [b"ON"], [b"ID", b"0"], [b"ID", b"999999"], [b"ID", b"x"], [b"ADDR", b"1:1"], [b"ID", b"999999", b"SKIPME", b"x"]])),
    (0.5, lambda r: [b"COMMAND", b"GETKEYS"] + r.choice([[b"GET", b"k"], [b"MSET", b"a", b"b", b"c", b"d"], [b"PING"], [b"GET"], [b"foo"],
                                                        [b"MSET", b"a", b"b", b"c"], [b"DEL", b"a", b"b"], [b"SET", b"a", b"b"]])),
    (0.3, lambda r: [b"foo" + r.value()[:200], r.value(), r.value()]),
]
CONFIG = [
    (0.7, lambda r: [b"CONFIG", b"GET"] + few(r, lambda: r.choice(CONFIG_NAMES), 2)),
    (0.7, lambda r: [b"CONFIG", b"SET"] + r.choice(CONFIG_SETS)),
    (0.1, lambda r: [b"CONFIG", r.choice([b"RESETSTAT", b"foo", b"GET", b"SET"])]),
]
CONFIG_NAMES = [b"save", b"appendonly", b"maxmemory-policy", b"timeout", b"SLOWLOG-log-slower-than", b"hash-max-ziplist-entries",
                b"hash-max-listpack-*", b"zset-max-*", b"nothing", b"list-compress-depth", b"hz", b"lua-time-limit", b"databases",
                b"list-max-[zl]*", b"notify-keyspace-events", b"client-output-buffer-limit", b"maxmemory", b"stream-*", b"tls-port", b"proto-max-*", b"maxclients",
                b"latency-tracking", b"lazyfree*", b"repl-*", b"replica-*", b"slave-*", b"cluster-[a-m]*", b"active*", b"auto-*"]
CONFIG_SETS = [[b"hash-max-ziplist-entries", b"64"], [b"hash-max-listpack-entries", b"512"], [b"nothing", b"1"], [b"timeout", b"abc"], [b"stream-node-max-bytes", b"4kb"], [b"stream-node-max-bytes", b"4096"], [b"hll-sparse-max-bytes", b"-1"],
               [b"maxmemory-samples", b"0x1"], [b"HZ", b"11"], [b"hz", b"10"], [b"slowlog-log-slower-than", b"-5"], [b"slowlog-log-slower-than", b"10000"], [b"hz"],
               [b"list-max-ziplist-size", b"-2"], [b"set-max-intset-entries", b"512"], [b"lazyfree-lazy-expire", b"yes"],
               [b"lazyfree-lazy-expire", b"no"], [b"lazyfree-lazy-expire", b"maybe"], [b"databases", b"3"],
               [b"zset-max-listpack-value", b"64"], [b"list-max-listpack-size", b"-2", b"hz", b"10"], [b"hz", b"10", b"HZ", b"11"],
               [b"maxmemory-policy", b"volatile-ttl"], [b"maxmemory-policy", b"noeviction"], [b"maxmemory-policy", b"noeviction"], [b"appendfsync", b"x"]]


def request(r, table, weights):
    argv = r.choices(table, weights)[0][1](r)
    if r.random() < 0.03:  # one argument too many or too few
        argv = argv + [r.value()] if r.random() < 0.5 else argv[:-1] or [b"PING"]
    argv[0] = r.case(argv[0])
    return argv


def encode(r, argv):
    if r.random() < 0.1 and sum(map(len, argv)) < 10000:  # a line has a limit
        words = []
        for a in argv:
            plain = a and all(33 <= c < 127 and c not in b"\"'\\" for c in a)
            words.append(a if plain and a[:1] != b"*" and r.random() < 0.8 else b'"' + b"".join(b"\\x%02x" % c for c in a) + b'"')
        return b" ".join(words) + r.choice([b"\r\n", b"\n"])
    return b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in argv)


class Peer:
    def __init__(self, port):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s.settimeout(20)
        self.buf = b""
        self.at = 0

    def more(self):
        got = self.s.recv(1 << 20)
        if not got:
            raise EOFError
        self.buf = self.buf[self.at:] + got
        self.at = 0

    def take(self, n):
        while len(self.buf) - self.at < n:
            self.more()
        self.at += n
        return self.buf[self.at - n:self.at]

    def line(self):
        while (i := self.buf.find(b"\r\n", self.at)) < 0:
            self.more()
        out, self.at = self.buf[self.at:i + 2], i + 2
        return out

    def reply(self):
        """The bytes of one reply: a leaf, or (head, [replies])."""
        head = self.line()
        kind = head[:1]
        if kind in b"$=!" and head[1:2] != b"-":
            return head + self.take(int(head[1:]) + 2)
        if kind in b"*~>%" and head[1:2] != b"-":
            return head, [self.reply() for _ in range(int(head[1:]) * (2 if kind == b"%" else 1))]
        return head


def unordered(argv, reply):
    """What may come in another order is put into one."""
    name = argv[0].upper()
    if name == b"KEYS" and isinstance(reply, tuple):
        return reply[0], sorted(reply[1])
    if name == b"SCAN" and argv[1:2] == [b"-1"] and isinstance(reply, tuple):
        return "a cursor of another server"
    if name == b"SCAN" and isinstance(reply, tuple) and isinstance(reply[1][1], tuple):
        return reply[0], [reply[1][0], (reply[1][1][0], sorted(reply[1][1][1]))]
    if name == b"HELLO" and isinstance(reply, tuple):
        return [v for v in reply[1] if v[:1] != b":"]
    if name == b"OBJECT" and argv[1:2] and argv[1].upper() == b"ENCODING" and reply[:1] == b"$" and reply[1:2] != b"-":
        return "how it is kept" if reply.split(b"\r\n")[1] in (b"int", b"embstr", b"raw") else reply
    if name == b"CONFIG" and argv[1:2] and argv[1].upper() == b"GET" and isinstance(reply, tuple):
        return reply[0], sorted(zip(reply[1][::2], reply[1][1::2]))
    return reply


def show(reply):
    return repr(reply)[:600]


def run_random(seed, count, ports, family):
    """family: the module with COMMANDS, and with UNORDERED, by name what makes replies comparable; None: what is here."""
    r = Rng(seed)
    peers = [Peer(p) for p in ports]
    table = family.COMMANDS if family else COMMANDS + CONFIG
    comparable = family.UNORDERED if family else {}
    for p in peers:
        p.s.sendall(b"FLUSHALL\r\n")
        p.reply()
    weights = [w for w, _ in table]
    log, n, differ = [], 0, {}
    resp3 = False
    while n < count and len(differ) < 40:
        batch = [request(r, table, weights) for _ in range(400)]
        if r.random() < 0.02:
            resp3 = not resp3
            for p in peers:
                p.s.sendall(b"HELLO %d\r\n" % (3 if resp3 else 2))
                p.reply()
        wire = b"".join(encode(r, a) for a in batch)
        for p in peers:
            p.s.sendall(wire)
        for argv in batch:
            ours, theirs = [comparable.get(argv[0].upper(), unordered)(argv, p.reply()) for p in peers]
            log.append(argv)
            n += 1
            if ours != theirs:
                what = (argv[0].upper(), show(theirs)[:20])
                if what not in differ:
                    differ[what] = 1
                    print("seed %d, request %d: %s\n  ours   %s\n  theirs %s" % (seed, n, argv, show(ours), show(theirs)))
                    if len(differ) == 1:
                        print("  before:")
                        for a in [a for a in log[-3000:] if set(a[1:]) & set(argv[1:2])][-8:]:
                            print("   ", a)
        del log[:-3000]
    print("%d commands, %d differences" % (n, len(differ)))
    return bool(differ)


BROKEN = [
    b"*-10\r\nPING\r\n", b"*0\r\nPING\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$x\r\n",
    b"*2147483648\r\n", b"*x\r\n", b"*1\r\n$2000000000\r\n", b"*1\r\n$536870913\r\n", b"*1\r\n:1\r\n", b"*1\r\n*1\r\n",
    b"*1\r\n$\r\n", b"*\r\n", b"*+1\r\n", b"*01\r\n", b"* 1\r\n", b"*1 \r\n", b"*1\r\n$+4\r\nPING\r\n", b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$4 \r\nPING\r\n", b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", b'SET "a b\r\n', b"SET 'a\r\n", b'SET "a"b c\r\n', b"GET 'a'b\r\n",
    b'"PING\r\n', b"a" * (70 * 1024), b"*" + b"1" * (70 * 1024), b"*1\r\n$" + b"1" * (70 * 1024), b"\r\n\r\nPING\r\n", b"\n\nPING\n", b"PING\r", b"*1\r\n\xff\r\n", b"*1\r\n'\r\n", b"*1\r\n \r\n",
    b"-1\r\n", b"$4\r\nPING\r\n", b"+OK\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"host: a\r\n",
    b"*-1\r\nPING\r\n", b"*-9223372036854775808\r\nPING\r\n", b"*9223372036854775808\r\n", b"*1\r\n$9223372036854775808\r\n",
    b"*1\r\n$-9223372036854775808\r\n", b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", b"*2\r\n$0\r\n\r\n$0\r\n\r\n", b"PING\r\nPING\r\n*1\r\n$4\r\nQUIT\r\nPING\r\n",
    b"QUIT now\r\nPING\r\n", b"QUIT\r\nPING\r\n", b"echo \"\\x41\\n\\r\\t\\b\\a\\\\\\q\\\"\"\r\n", b"echo '\\x41\\n\\''\r\n", b"echo a\"b c\"\r\n",
    b"echo \"\"\r\n", b"echo ''\r\n", b"echo a'b'\r\n", b"echo \"\\x4g\"\r\n", b"echo \"abc\\", b"echo a\tb\r\n", b"\tping\r\n", b"ping\v\r\n",
    b"*1\n$4\nPING\n", b"*1\r\n$4\r\nPING\n\n", b"*1\rX$4\rXPING\r\n", b"*1\r\n$5000\r\n", b"*11\r\n", b"foo \r\nbar\r\n", b"*2\r\n$4\r\nPING\r\n$-1\r\n", b"*3\r\n$3\r\nGET\r\n$1\r\na\r\n$1\r\nb\r\n",
]
# Here Redis waits for what never comes, or takes what is more than a million arguments; what is said here instead.
OURS = [
    (b"\x00\x01\r\n", b"-ERR unknown command '', with args beginning with: \r\n"),
    (b"*1\r\n\x00\r\n", b"-ERR Protocol error: expected '$', got '?'\r\n"),
    (b"ping a\x00b\r\n", b"$3\r\na\x00b\r\n"),
    (b"*1048577\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*2147483647\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
]


def all_of(port, wire):
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)
    try:
        s.sendall(wire)
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    out = b""
    try:
        while got := s.recv(65536):
            out += got
    except ConnectionResetError:
        pass
    s.close()
    return out


def run_broken(ports):
    bad = 0
    for wire in BROKEN:
        ours, theirs = [all_of(p, wire) for p in ports]
        if ours != theirs:
            bad += 1
            print("%r\n  ours   %r\n  theirs %r" % (wire[:80], ours[:300], theirs[:300]))
    for wire, want in OURS:
        got = all_of(ports[0], wire)
        if got != want:
            bad += 1
            print("%r\n  found    %r\n  expected %r" % (wire[:80], got[:300], want))
    print("%d requests that are none, %d differences" % (len(BROKEN) + len(OURS), bad))
    return bool(bad)


if __name__ == "__main__":
    if sys.argv[1] == "random":
        named = importlib.import_module("cache_peer_" + sys.argv[6]) if len(sys.argv) > 6 else None
        sys.exit(run_random(int(sys.argv[2]), int(sys.argv[3]), [int(p) for p in sys.argv[4:6]], named))
    sys.exit(run_broken([int(p) for p in sys.argv[2:4]]))
