"""Random commands about hashes, for cache_peer.py: few keys and fields, so that they meet; lengths and numbers of fields on both
sides of where a listpack becomes a table."""

KEYS = [b"h1", b"h2", b"h3", b"h4", b"string"]
FIELDS = [b"f%d" % i for i in range(9)] + [b"", b"12", b"-70000", b"\xff\x00\r\n", b"f" * 64, b"f" * 65, b"f" * 200]
PATTERNS = [b"*", b"f*", b"f?", b"f[0-3]", b"1*", b"", b"**", b"x"]
COUNTS = [b"0", b"1", b"-1", b"3", b"-5", b"100", b"1000000", b"9223372036854775807", b"x", b"9223372036854775808", b"-9223372036854775808", b""]


def key(r):
    return r.choice(KEYS)


def field(r):
    return r.choice(FIELDS) if r.random() < 0.9 else b"f%d" % r.randint(0, 700)


def value(r):
    return r.choice([b"v" * 63, b"v" * 64, b"v" * 65, b"v" * 300]) if r.random() < 0.1 else r.value()


def pairs(r):
    out = []
    for _ in range(r.choice([1, 1, 1, 2, 3, 8])):
        out += [field(r), value(r)]
    return out if r.random() < 0.97 else out[:-1]


def many(r):
    """So many that a listpack becomes a table, now and then."""
    first, n = r.randint(0, 600), r.choice([20, 100, 520])
    out = []
    for i in range(first, first + n):
        out += [b"f%d" % i, b"%d" % (i * i)]
    return out


def scan(r):
    out = [b"HSCAN", key(r), r.choice([b"0", b"0", b"0", b"x", b"", b"+0"]), b"COUNT", b"100000"]
    for _ in range(r.choice([0, 0, 1])):
        out += r.choice([[b"MATCH", r.choice(PATTERNS)], [b"COUNT", b"0"], [b"COUNT", b"x"], [b"TYPE", b"hash"], [b"MATCH"]])
    return out


def randfield(r):
    out = [b"HRANDFIELD", key(r)]
    if r.random() < 0.9:
        out.append(r.choice(COUNTS))
        if r.random() < 0.6:
            out.append(r.choice([b"WITHVALUES", b"withvalues", b"WITHVALUES", b"x"]))
    if out[2:3] and out[2][:1] == b"-" and len(out[2]) > 8 and out[2] != b"-9223372036854775808":
        out[2] = b"-7"
    return out


COMMANDS = [
    (12, lambda r: [b"HSET", key(r)] + pairs(r)), (3, lambda r: [b"HMSET", key(r)] + pairs(r)),
    (0.5, lambda r: [b"HSET", key(r)] + many(r)), (4, lambda r: [b"HSETNX", key(r), field(r), value(r)]),
    (6, lambda r: [b"HGET", key(r), field(r)]), (3, lambda r: [b"HMGET", key(r)] + [field(r) for _ in range(r.randint(1, 4))]),
    (8, lambda r: [b"HDEL", key(r)] + [field(r) for _ in range(r.choice([1, 1, 2, 9]))]), (2, lambda r: [b"HLEN", key(r)]),
    (2, lambda r: [b"HSTRLEN", key(r), field(r)]), (2, lambda r: [b"HEXISTS", key(r), field(r)]),
    (1, lambda r: [b"HKEYS", key(r)]), (1, lambda r: [b"HVALS", key(r)]), (1, lambda r: [b"HGETALL", key(r)]),
    (6, lambda r: [b"HINCRBY", key(r), field(r), r.number()]),
    (6, lambda r: [b"HINCRBYFLOAT", key(r), field(r), r.float() if r.random() < 0.6 else r.number()]),
    (3, scan), (3, randfield), (4, lambda r: [b"OBJECT", b"ENCODING", key(r)]), (1, lambda r: [b"TYPE", key(r)]),
    (1, lambda r: [b"DEL", key(r)]), (0.5, lambda r: [b"SET", key(r), r.value()]), (1, lambda r: [b"COPY", key(r), key(r), b"REPLACE"]),
    (1, lambda r: [b"RENAME", key(r), key(r)]), (0.3, lambda r: [b"GET", key(r)]), (0.3, lambda r: [b"APPEND", key(r), b"x"]),
    (0.3, lambda r: [b"EXPIREAT", key(r), b"99999999999"]), (0.2, lambda r: [b"EXPIREAT", key(r), b"1"]), (0.2, lambda r: [b"PERSIST", key(r)]),
    (0.3, lambda r: [b"CONFIG", b"SET", b"hash-max-listpack-entries", r.choice([b"0", b"3", b"8", b"512"])]),
    (0.3, lambda r: [b"CONFIG", b"SET", b"hash-max-listpack-value", r.choice([b"0", b"3", b"64", b"100"])]),
]


def in_pairs(reply):
    items = reply[1]
    return reply[0], sorted(zip(items[::2], items[1::2]))


def random_fields(argv, reply):
    """All of them come in any order; of some, how many and in which shape."""
    items = reply[1] if isinstance(reply, tuple) else []
    if isinstance(reply, tuple) and argv[2] == b"1000000":
        nested = all(isinstance(i, tuple) for i in items)
        return (reply[0], sorted(items, key=repr)) if nested or len(argv) == 3 else in_pairs(reply)
    if isinstance(reply, tuple):
        return reply[0], [i[0] if isinstance(i, tuple) else b"$" for i in items]
    return "a field" if reply[:1] == b"$" and reply[1:2] != b"-" else reply


UNORDERED = {
    b"HGETALL": lambda argv, reply: in_pairs(reply) if isinstance(reply, tuple) else reply,
    b"HKEYS": lambda argv, reply: (reply[0], sorted(reply[1])) if isinstance(reply, tuple) else reply,
    b"HVALS": lambda argv, reply: (reply[0], sorted(reply[1])) if isinstance(reply, tuple) else reply,
    b"HSCAN": lambda argv, reply: (reply[1][0], in_pairs(reply[1][1])) if isinstance(reply, tuple) else reply,
    b"HRANDFIELD": random_fields,
}
