"""Random commands about lists that do not wait, for cache_peer.py: few keys and values, so that they meet; lists of one node and
of many."""

KEYS = [b"l1", b"l2", b"l3", b"l4", b"string"]
VALUES = [b"a", b"b", b"c", b"1", b"2", b"-70000", b"", b"\xff\x00\r\n", b"x" * 63, b"x" * 64, b"y" * 4096, b"z" * 9000]
INDEXES = [b"0", b"1", b"-1", b"2", b"-2", b"5", b"-5", b"17", b"300", b"-300", b"100000", b"-100000"]
BAD = [b"x", b"", b"9223372036854775808", b"-9223372036854775808", b"9223372036854775807", b"1.5", b" 1"]


def key(r):
    return r.choice(KEYS)


def value(r):
    n = r.random()
    return r.choice(VALUES) if n < 0.8 else b"%d" % r.randint(-9, 99999) if n < 0.9 else r.value()


def index(r):
    return r.choice(INDEXES) if r.random() < 0.95 else r.choice(BAD)


def count(r):
    return r.choice([b"0", b"1", b"1", b"2", b"-1", b"-2", b"5", b"1000000"]) if r.random() < 0.95 else r.choice(BAD)


def values(r):
    return [value(r) for _ in range(r.choice([1, 1, 1, 2, 3, 10]) if r.random() < 0.97 else 900)]


def end(r):
    return r.choice([b"LEFT", b"RIGHT", b"left", b"Right"]) if r.random() < 0.95 else b"middle"


def position(r):
    out = [b"LPOS", key(r), value(r)]
    for _ in range(r.choice([0, 0, 1, 1, 2, 3])):
        out += r.choice([[b"RANK", r.choice([b"1", b"2", b"-1", b"-3", b"0", b"x"])], [b"COUNT", count(r)],
                         [b"MAXLEN", count(r)], [b"foo", b"1"], [b"RANK"]])
    return out


def several(r):
    n = r.randint(1, 3)
    out = [b"LMPOP", b"%d" % n if r.random() < 0.9 else r.choice([b"0", b"-1", b"x", b"4"])] + [key(r) for _ in range(n)] + [end(r)]
    return out + r.choice([[], [], [b"COUNT", count(r)], [b"COUNT"], [b"foo", b"1"], [b"COUNT", b"1", b"COUNT", b"2"]])


COMMANDS = [
    (12, lambda r: [r.choice([b"LPUSH", b"RPUSH"]), key(r)] + values(r)), (3, lambda r: [r.choice([b"LPUSHX", b"RPUSHX"]), key(r)] + values(r)),
    (8, lambda r: [r.choice([b"LPOP", b"RPOP"]), key(r)]), (4, lambda r: [r.choice([b"LPOP", b"RPOP"]), key(r), count(r)]),
    (3, lambda r: [b"LLEN", key(r)]), (5, lambda r: [b"LRANGE", key(r), index(r), index(r)]), (5, lambda r: [b"LINDEX", key(r), index(r)]),
    (5, lambda r: [b"LSET", key(r), index(r), value(r)]), (5, lambda r: [b"LINSERT", key(r), r.choice([b"BEFORE", b"AFTER", b"before", b"x"]), value(r), value(r)]),
    (4, lambda r: [b"LREM", key(r), count(r), value(r)]), (1, lambda r: [b"LTRIM", key(r), index(r), index(r)]), (5, position),
    (4, lambda r: [b"LMOVE", key(r), key(r), end(r), end(r)]), (2, lambda r: [b"RPOPLPUSH", key(r), key(r)]), (4, several),
    (2, lambda r: [b"OBJECT", b"ENCODING", key(r)]), (1, lambda r: [b"TYPE", key(r)]), (0.3, lambda r: [b"DEL", key(r)]),
    (0.5, lambda r: [b"SET", key(r), r.value()]), (0.5, lambda r: [b"COPY", key(r), key(r), b"REPLACE"]), (0.5, lambda r: [b"RENAME", key(r), key(r)]),
    (0.3, lambda r: [b"GET", key(r)]), (0.3, lambda r: [b"HSET", key(r), b"f", b"v"]), (0.2, lambda r: [b"EXPIREAT", key(r), b"99999999999"]),
    (0.1, lambda r: [b"EXPIREAT", key(r), b"1"]),
    (0.3, lambda r: [b"CONFIG", b"SET", b"list-max-listpack-size", r.choice([b"-2", b"-1", b"-5", b"1", b"3", b"100"])]),
]
UNORDERED = {}
