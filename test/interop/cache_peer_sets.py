#!/usr/bin/env python3
"""Sets and sorted sets of two servers: the same random requests to both, the replies compared byte for byte.

  cache_peer_sets.py SEED COUNT OURS THEIRS

What comes in any order is compared sorted. What chance decides is asked for whole here, and looked at by itself at the end.
"""
import random
import sys

from cache_peer import FLOATS, KEYS, Peer, Rng, encode, few, show

SETS = [b"s%d" % i for i in range(4)]
ZSETS = [b"z%d" % i for i in range(4)]
LEXES = [b"l%d" % i for i in range(2)]  # all scores are the same, as ranges of bytes want it
MEMBERS = [b"%d" % i for i in range(-4, 12)] + [b"a", b"b", b"ab", b"abc", b"foo", b"", b"x" * 19, b"x" * 21, b"y" * 70, b"\x00\xff\r\n",
                                             b"32767", b"32768", b"-32768", b"-32769", b"2147483648", b"-2147483649", b"007", b"+1",
                                             b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"1.5", b"-0"]
SCORES = [b"0", b"1", b"-1", b"2", b"3", b"1.5", b"-0", b"0.1", b"1e10", b"-1e300", b"inf", b"-inf", b"+inf", b"3.0e3", b"17179869184",
          b"9007199254740993", b"1e17", b"123456789012345678", b"1e-320", b"0x10", b"0.30000000000000004"]
BAD_SCORES = [b"nan", b"", b"x", b"1x", b" 1", b"1e400", b"1e-400", b"1\x00", b"(1"]
BOUNDS = [b"0", b"1", b"2", b"(1", b"(2", b"-inf", b"+inf", b"(-inf", b"(inf", b"1.5", b"-1", b"3", b"10", b"1e400"]
BAD_BOUNDS = [b"x", b"nan", b"", b"(", b"((1", b" 1", b"1\x00x", b"1 ", b"[1", b"(nan"]
LEX_BOUNDS = [b"-", b"+", b"[a", b"(a", b"[b", b"(ab", b"[", b"(", b"[foo", b"(0", b"[5", b"(\xff", b"[x", b"(y"]
BAD_LEX = [b"a", b"", b"--", b"+x", b"-\x00", b"1", b"{a"]
RANKS = [b"0", b"1", b"-1", b"2", b"-2", b"5", b"-5", b"100", b"-100", b"3"]
BAD_NUMBERS = [b"x", b"", b"1.5", b"9223372036854775808", b" 1", b"-9223372036854775808", b"9223372036854775807"]


class Chooser(Rng):
    def any_key(self):
        return self.choice(KEYS[:2] + SETS + ZSETS)

    def set_key(self):
        return self.choice(SETS) if self.random() < 0.95 else self.any_key()

    def zset_key(self):
        return self.choice(ZSETS) if self.random() < 0.95 else self.any_key()

    def lex_key(self):
        return self.choice(LEXES)

    def either(self):
        return self.zset_key() if self.random() < 0.7 else self.set_key()

    def member(self):
        if self.random() < 0.3:
            return b"%d" % self.randint(-30, 30)
        return self.choice(MEMBERS)

    def score(self):
        if self.random() < 0.01:
            return self.choice(BAD_SCORES + FLOATS)
        return self.choice(SCORES) if self.random() < 0.5 else b"%g" % (self.randint(-20, 20) / 4)

    def bound(self):
        return self.choice(BAD_BOUNDS) if self.random() < 0.03 else self.choice(BOUNDS)

    def lex_bound(self):
        return self.choice(BAD_LEX) if self.random() < 0.03 else self.choice(LEX_BOUNDS)

    def rank(self):
        return self.choice(BAD_NUMBERS) if self.random() < 0.03 else self.choice(RANKS)

    def bad(self, p, words):
        """Now and then a word that should not be there."""
        return [self.choice(words)] if self.random() < p else []


def zadd(r):
    out = [b"ZADD", r.zset_key()]
    for _ in range(r.choice([0, 0, 0, 1, 1, 2, 3])):
        out.append(r.case(r.choice([b"NX", b"XX", b"GT", b"LT", b"CH", b"CH", b"INCR"])))
    for _ in range(r.choice([1, 1, 1, 2, 3, 12 if r.random() < 0.1 else 1])):
        out += [r.score(), r.member()]
    return out


def limit(r):
    return [b"LIMIT", r.rank(), r.rank()]


def zrange(r, store=False):
    by = r.choice([b"BYSCORE", b"BYLEX", None, None])
    out = [b"ZRANGESTORE", r.zset_key()] if store else [b"ZRANGE"]
    if by == b"BYSCORE":
        out += [r.zset_key(), r.bound(), r.bound()]
    elif by == b"BYLEX":
        out += [r.lex_key(), r.lex_bound(), r.lex_bound()]
    else:
        out += [r.zset_key(), r.rank(), r.rank()]
    words = [[by]] if by else []
    words += r.choice([[], [[b"REV"]]])
    words += r.choice([[], [limit(r)]]) if by else r.choice([[]] * 20 + [[limit(r)]])
    if r.random() < (0.05 if store or by == b"BYLEX" else 0.4):
        words.append([b"WITHSCORES"])
    words += [r.bad(0.02, [b"foo", b"LIMIT", b"BYLEX", b"BYSCORE"])]
    r.shuffle(words)
    return out + [r.case(w) for ws in words for w in ws]


def old_range(r):
    words = r.choice([[], [], [b"WITHSCORES"]]) + r.bad(0.02, [b"foo", b"LIMIT", b"REV", b"BYSCORE"])
    kind = r.randint(0, 2)
    if kind == 0:
        return [b"ZREVRANGE", r.zset_key(), r.rank(), r.rank()] + words
    more = r.choice([[], [], limit(r)])
    if kind == 1:
        return [r.choice([b"ZRANGEBYSCORE", b"ZREVRANGEBYSCORE"]), r.zset_key(), r.bound(), r.bound()] + more + words
    words = words if r.random() < 0.1 else []
    return [r.choice([b"ZRANGEBYLEX", b"ZREVRANGEBYLEX"]), r.lex_key(), r.lex_bound(), r.lex_bound()] + more + words


def numkeys(r, keys):
    n = b"%d" % len(keys) if r.random() < 0.96 else r.choice([b"0", b"-1", b"x", b"5", b"1", b"99999999999", b"9223372036854775807"])
    return [n] + keys


def algebra(r):
    name = r.choice([b"ZUNION", b"ZINTER", b"ZDIFF"])
    store = r.random() < 0.5
    keys = few(r, r.either, 3)
    out = [name + b"STORE", r.zset_key()] if store else [name]
    out += numkeys(r, keys)
    if r.random() < (0.4 if name != b"ZDIFF" else 0.02):
        out += [r.case(b"WEIGHTS")] + [r.choice([b"1", b"2", b"-1", b"0", b"0.5", b"inf", b"-inf", b"1e300", b"x" if r.random() < 0.1 else b"3"])
                                       for _ in keys]
    if r.random() < (0.4 if name != b"ZDIFF" else 0.02):
        out += [b"AGGREGATE", r.choice([b"SUM", b"MIN", b"max", b"foo" if r.random() < 0.1 else b"min"])]
    if r.random() < (0.02 if store else 0.6):
        out.append(b"WITHSCORES")
    return out + r.bad(0.02, [b"foo", b"LIMIT", b"WEIGHTS", b"AGGREGATE"])


def card(r):
    sets = r.random() < 0.5
    out = [b"SINTERCARD" if sets else b"ZINTERCARD"] + numkeys(r, few(r, r.set_key if sets else r.either, 3))
    if r.random() < 0.5:
        out += [b"LIMIT", r.choice([b"0", b"1", b"2", b"10", b"-1", b"x"])]
    return out + r.bad(0.03, [b"LIMIT", b"foo"])


def scan(r):
    name, key = r.choice([(b"SSCAN", r.set_key), (b"ZSCAN", r.zset_key)])
    out = [name, key(), r.choice([b"0", b"0", b"0", b"0", b"x", b" 0"]), b"COUNT", b"100000"]
    for _ in range(r.choice([0, 0, 1, 2])):
        out += r.choice([[b"MATCH", r.choice([b"*", b"1*", b"?", b"[a-f]*", b"x*"])], [b"COUNT", r.choice([b"0", b"x"])], [b"TYPE", b"set"],
                         [b"foo"], [b"MATCH"]]) if r.random() < 0.2 else [b"MATCH", r.choice([b"*", b"1*", b"?", b"[a-f]*", b"x*"])]
    return out


def mpop(r):
    out = [b"BZMPOP", timeout(r)] if r.random() < 0.3 else [b"ZMPOP"]
    out += numkeys(r, few(r, r.zset_key, 3)) + [r.choice([b"MIN", b"max", b"foo" if r.random() < 0.1 else b"MAX"])]
    if r.random() < 0.5:
        out += [b"COUNT", r.choice([b"1", b"2", b"5", b"100", b"0" if r.random() < 0.2 else b"3", b"x" if r.random() < 0.2 else b"1"])]
    if out[0] == b"BZMPOP":  # not to wait: within a transaction it does not, and there is always one here
        out[3:3] = [b"always"] if out[2] in (b"1", b"2", b"3") else []
        if out[2] in (b"1", b"2", b"3"):
            out[2] = b"%d" % (int(out[2]) + 1)
    return out


def timeout(r):
    return r.choice([b"x", b"-1", b"", b"nan", b"1e15"]) if r.random() < 0.1 else r.choice([b"0", b"1.5", b"10", b"0.001"])


def random_whole(r):
    """Commands of chance that take all there is, or nothing."""
    n = r.choice([b"100000", b"100000", b"0", b"x", b"", b"-9223372036854775808", b"9223372036854775807"])
    return r.choice([
        [b"SPOP", r.set_key(), n], [b"SPOP", r.set_key(), b"-1"], [b"SPOP", b"none"], [b"SPOP", b"none", b"5"], [b"SRANDMEMBER", b"none"],
        [b"SRANDMEMBER", b"none", b"-5"], [b"SRANDMEMBER", r.set_key(), n], [b"SPOP", r.lex_key()], [b"SRANDMEMBER", r.lex_key()],
        [b"ZRANDMEMBER", b"none"], [b"ZRANDMEMBER", b"none", b"5", b"WITHSCORES"], [b"ZRANDMEMBER", r.zset_key(), n],
        [b"ZRANDMEMBER", r.zset_key(), n, r.choice([b"WITHSCORES", b"withscores", b"foo"])], [b"ZRANDMEMBER", b"set"], [b"SADD", b"set", b"1"],
        [b"ZRANDMEMBER", r.zset_key(), b"4611686018427387904", b"WITHSCORES"]])


WEIGHTS = [b"w_%d" % i for i in range(-3, 6)] + [b"w_a", b"w_b", b"w_foo", b"w_"]


def sort_key(r):
    return r.choice([b"n1", b"n1", b"n2", b"t1", b"set", b"zset", b"none", b"str" if r.random() < 0.2 else b"n1"])


def sort(r):
    """By what gives one order only: equal weights in bytes may come either way, and sets without an order do.

    What strtod finds out of range is not asked for: from then on Redis says so of other numbers too, for a while (errno)."""
    store = r.random() < 0.3
    key = sort_key(r)
    by = r.choice([None, None, b"w_*", b"nosort", b"w_*", b"h*->f", b"h*->", b"*"])
    if by == b"nosort" and key == b"set" and not store:
        by = None
    out = [b"SORT" if store or r.random() < 0.5 else b"SORT_RO", key]
    words = [[b"BY", by]] if by else []
    if r.random() < 0.4 and by in (None, b"nosort"):
        words.append([b"ALPHA"])
    words += r.choice([[], [[b"DESC"]], [[b"ASC"]]]) + r.choice([[], [limit(r)]])
    for _ in range(r.choice([0, 0, 1, 2])):
        words.append([b"GET", r.choice([b"#", b"w_*", b"h*->f", b"x", b"w_*->f", b"h*->none", b"s*"])])
    if store:
        words.append([b"STORE", r.choice([b"n2", b"out", b"str"])])
    words.append(r.bad(0.02, [b"foo", b"GET", b"LIMIT", b"STORE"] + [b"BY"] * (key != b"set")))
    r.shuffle(words)
    return out + [w if w == by else r.case(w) if w in (b"ALPHA", b"DESC", b"GET") else w for ws in words for w in ws]


def sort_values(r):
    number = lambda: r.choice([b"%d" % r.randint(-3, 6), b"%d" % r.randint(-3, 6), b"1.5", b"-0.5"])
    texts = lambda: few(r, lambda: r.choice([m for m in MEMBERS if b"\x00" not in m and len(m) < 18] + [number(), number()]), 3)
    return r.choice([
        [r.choice([b"RPUSH", b"LPUSH"]), r.choice([b"n1", b"n2"])] + few(r, number, 4), [b"RPUSH", b"t1"] + texts(), [b"SADD", b"set"] + texts(), [b"SREM", b"set"] + texts(),
        [b"ZADD", b"zset", number(), texts()[0]], [b"ZREM", b"zset"] + texts(), [b"SET", b"str", b"1"],
        [b"LPOP", r.choice([b"n1", b"n2", b"t1"]), b"%d" % r.randint(1, 4)], [b"DEL", r.choice([b"n1", b"n2", b"t1", b"out"])],
        [b"SET", r.choice(WEIGHTS), number() if r.random() < 0.97 else r.choice([b"x", b"", b" 1", b"nan", b"inf", b"0x10"])],
        [b"DEL", r.choice(WEIGHTS)], [b"HSET", b"h%d" % r.randint(-3, 6), b"f", number()], [b"HDEL", b"h%d" % r.randint(-3, 6), b"f"],
        [b"LRANGE", b"out", b"0", b"-1"], [b"LRANGE", b"n2", b"0", b"-1"]])


def members(r, most=4):
    return few(r, r.member, most)


COMMANDS = [
    (12, lambda r: [b"SADD", r.set_key()] + members(r, 12 if r.random() < 0.1 else 3)),
    (3, lambda r: [b"SADD", r.set_key()] + [b"%d" % r.randint(-40, 40) for _ in range(r.randint(1, 12))]),
    (5, lambda r: [b"SREM", r.set_key()] + members(r, 8)),
    (2, lambda r: [b"SISMEMBER", r.set_key(), r.member()]),
    (2, lambda r: [b"SMISMEMBER", r.set_key()] + members(r)),
    (2, lambda r: [b"SCARD", r.set_key()]),
    (3, lambda r: [b"SMEMBERS", r.set_key()]),
    (3, lambda r: [b"SMOVE", r.set_key(), r.set_key(), r.member()]),
    (3, lambda r: [r.choice([b"SINTER", b"SUNION", b"SDIFF"])] + few(r, r.set_key, 3)),
    (4, lambda r: [r.choice([b"SINTERSTORE", b"SUNIONSTORE", b"SDIFFSTORE"]), r.set_key()] + few(r, r.set_key, 3)),
    (2, card),
    (2, scan),
    (1.5, random_whole),
    (14, zadd),
    (3, lambda r: [b"ZADD", r.lex_key()] + [a for m in members(r, 6) for a in (b"0", m)]),
    (1, lambda r: [b"ZREM", r.lex_key()] + members(r, 6)),
    (5, lambda r: [b"ZINCRBY", r.zset_key(), r.score(), r.member()]),
    (5, lambda r: [b"ZREM", r.zset_key()] + members(r, 8)),
    (2, lambda r: [b"ZSCORE", r.zset_key(), r.member()]),
    (2, lambda r: [b"ZMSCORE", r.zset_key()] + members(r)),
    (1, lambda r: [b"ZCARD", r.zset_key()]),
    (3, lambda r: [b"ZCOUNT", r.zset_key(), r.bound(), r.bound()]),
    (3, lambda r: [b"ZLEXCOUNT", r.lex_key(), r.lex_bound(), r.lex_bound()]),
    (3, lambda r: [r.choice([b"ZRANK", b"ZREVRANK"]), r.zset_key(), r.member()]),
    (8, zrange),
    (4, lambda r: zrange(r, True)),
    (6, old_range),
    (2, lambda r: [b"ZREMRANGEBYRANK", r.zset_key(), r.rank(), r.rank()]),
    (2, lambda r: [b"ZREMRANGEBYSCORE", r.zset_key(), r.bound(), r.bound()]),
    (1, lambda r: [b"ZREMRANGEBYLEX", r.lex_key(), r.lex_bound(), r.lex_bound()]),
    (4, lambda r: [r.choice([b"ZPOPMIN", b"ZPOPMAX"]), r.zset_key()] +
     r.choice([[], [], [r.choice([b"1", b"2", b"5", b"100", b"0", b"-1", b"x"])], [b"1", b"2"] if r.random() < 0.1 else []])),
    (2, mpop),
    (1, lambda r: [r.choice([b"BZPOPMIN", b"BZPOPMAX"])] + few(r, r.zset_key, 2) + [b"always", timeout(r)]),
    (3, lambda r: [b"ZADD", b"always", r.score(), r.member(), b"1", b"a", b"2", b"b", b"3", b"c"]),
    (8, algebra),
    (1, lambda r: [b"DEL"] + few(r, r.any_key, 3)),
    (1, lambda r: [b"DEL", r.choice(SETS + ZSETS)]),
    (1, lambda r: [b"SET", r.any_key(), b"x"]),
    (1, lambda r: [b"GET", r.any_key()]),
    (1, lambda r: [r.choice([b"INCR", b"APPEND", b"STRLEN", b"GETSET", b"GETRANGE"]), r.any_key(), b"1"]),
    (1, lambda r: [b"TYPE", r.any_key()]),
    (0.5, lambda r: r.choice([[b"SISMEMBER", r.lex_key(), b"a"], [b"ZSCORE", b"set", b"1"], [b"GET", r.lex_key()], [b"SCARD", r.lex_key()]])),
    (2, lambda r: [b"COPY", r.any_key(), r.choice(SETS[:2] + ZSETS[:2]), b"REPLACE"] if r.random() < 0.5 else [b"EXISTS", r.any_key()]),
    (1, lambda r: [b"RENAME", r.choice(SETS + ZSETS), r.choice(SETS + ZSETS)]),
    (1, lambda r: [b"EXPIREAT", r.any_key(), b"99999999999"]),
    (1, lambda r: [b"EXPIRETIME", r.any_key()]),
    (5, lambda r: [b"OBJECT", b"ENCODING", r.any_key()]),
    (0.5, lambda r: [b"SCAN", b"0", b"COUNT", b"1000", b"TYPE", r.choice([b"set", b"zset", b"string"])]),
    (0.3, lambda r: [b"CONFIG", b"SET"] + r.choice([[b"set-max-intset-entries", r.choice([b"0", b"4", b"8", b"512"])],
                                                    [b"zset-max-listpack-entries", r.choice([b"0", b"4", b"8", b"128"])],
                                                    [b"zset-max-listpack-value", r.choice([b"0", b"20", b"64"])]])),
    (0.3, lambda r: [b"COMMAND", b"GETKEYS"] + r.choice([zadd(r), zrange(r), algebra(r), card(r), mpop(r)])),
]
SORTS = [(1, sort), (1, sort_values), (0.1, lambda r: [b"COMMAND", b"GETKEYS"] + sort(r))]
SHUFFLED = {b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"SPOP", b"SRANDMEMBER", b"ZRANDMEMBER"}


def in_order(argv, reply):
    """What may come in another order is put into one."""
    name = argv[0].upper()
    if not isinstance(reply, tuple):
        return reply
    head, items = reply
    if name in SHUFFLED:
        if name == b"ZRANDMEMBER" and len(argv) == 4 and items and not isinstance(items[0], tuple):
            items = list(zip(items[::2], items[1::2]))
        return head, sorted(items, key=repr)
    if name in (b"SSCAN", b"ZSCAN", b"SCAN"):
        found = items[1][1]
        found = list(zip(found[::2], found[1::2])) if name == b"ZSCAN" else found
        return items[0], items[1][0], sorted(found, key=repr)
    return reply


def request(r, table, weights):
    argv = r.choices(table, weights)[0][1](r)
    if r.random() < 0.02:  # one argument too many or too few, where nothing would wait for it
        if not argv[0].startswith(b"B") and argv[0] not in (b"SPOP", b"SRANDMEMBER", b"ZRANDMEMBER", b"SSCAN", b"ZSCAN") and b"set" not in argv:
            argv = argv + [r.member()] if r.random() < 0.5 else argv[:-1] or [b"PING"]
    argv[0] = r.case(argv[0])
    return argv


def run_random(seed, count, peers, table):
    r = Chooser(seed)
    weights = [w for w, _ in table]
    log, n, differ = [], 0, {}
    resp3 = False
    while n < count and len(differ) < 20:
        if r.random() < 0.02:
            resp3 = not resp3
            for p in peers:
                p.s.sendall(b"HELLO %d\r\n" % (3 if resp3 else 2))
                p.reply()
        batch = [request(r, table, weights) for _ in range(200)]
        # what may wait is within a transaction, where it does not
        batch = [b for a in batch for b in ([[b"MULTI"], a, [b"EXEC"]] if a[0].upper().startswith(b"B") else [a])]
        wire = b"".join(encode(r, a) for a in batch)
        for p in peers:
            p.s.sendall(wire)
        for argv in batch:
            ours, theirs = [in_order(argv, p.reply()) for p in peers]
            log.append(argv)
            n += 1
            if ours != theirs:
                what = (argv[0].upper(), show(theirs)[:20])
                if what not in differ:
                    differ[what] = 1
                    print("seed %d, request %d: %s\n  ours   %s\n  theirs %s" % (seed, n, log[-2:] if argv == [b"EXEC"] else argv, show(ours),
                                                                              show(theirs)))
                    if len(differ) == 1:
                        print("  before:")
                        for a in [a for a in log[-3000:] if set(a[1:]) & set(argv[1:3])][-12:]:
                            print("   ", a)
        del log[:-3000]
    for p in peers:
        ask(p, b"FLUSHALL"), ask(p, b"HELLO", b"2")
    print("%d commands %s, %d differences" % (n, "that sort" if table is SORTS else "of sets", len(differ)))
    return bool(differ)


# ---- chance ----

def ask(p, *argv):
    p.s.sendall(b"*%d\r\n" % len(argv) + b"".join(b"$%d\r\n%s\r\n" % (len(a), a) for a in argv))
    reply = p.reply()
    return [v if isinstance(v, tuple) else v.split(b"\r\n", 1)[1][:-2] for v in reply[1]] if isinstance(reply, tuple) else reply


def check(ok, *what):
    if not ok:
        print("chance:", *what)
    return not ok


def random_members(p, r, kind, size):
    """Different ones when the count is not negative, all of them there, and each comes in the end."""
    bad = False
    key = b"chance"
    all_of_it = {(b"%d" if kind == b"int" else b"m%d") % i for i in range(size)}
    zset = kind == b"zset"
    ask(p, b"DEL", key)
    for m in all_of_it:
        ask(p, *([b"ZADD", key, b"1", m] if zset else [b"SADD", key, m]))
    command = b"ZRANDMEMBER" if zset else b"SRANDMEMBER"
    for n in {0, 1, 2, size // 4, size // 2, size - 1, size, size + 5}:
        got = ask(p, command, key, b"%d" % n)
        bad |= check(len(got) == len(set(got)) == min(n, size) and set(got) <= all_of_it, kind, size, n, got)
        got = ask(p, command, key, b"%d" % -n)
        bad |= check(len(got) == n and set(got) <= all_of_it, kind, size, -n, got)
    seen = set(ask(p, command, key, b"%d" % -(size * 40)))
    bad |= check(seen == all_of_it, kind, size, "never seen", all_of_it - seen)
    return bad


def popped(p, r, size):
    """Every one comes once."""
    bad = False
    ask(p, b"DEL", b"chance")
    left = {b"m%d" % i if i % 3 or size > 100 else b"%d" % i for i in range(size)}
    ask(p, b"SADD", b"chance", *left)
    while left:
        n = r.choice([1, 1, 2, 3, size // 3 + 1])
        got = ask(p, b"SPOP", b"chance", b"%d" % n)
        bad |= check(len(got) == len(set(got)) == min(n, len(left)) and set(got) <= left, size, n, got, left)
        left -= set(got)
        if bad:
            break
        bad |= check(ask(p, b"SCARD", b"chance") == b":%d\r\n" % len(left), "SCARD", len(left))
    return bad | check(ask(p, b"EXISTS", b"chance") == b":0\r\n", "an empty set stayed")


def scanned(p, name, size):
    """A part at a time gives all of it."""
    ask(p, b"DEL", b"chance")
    for i in range(size):
        ask(p, *([b"SADD", b"chance"] if name == b"SSCAN" else [b"ZADD", b"chance", b"%d" % i]), b"m%d" % i)
    seen, cursor, rounds = set(), b"0", 0
    while rounds == 0 or cursor != b"0":
        p.s.sendall(b"%s chance %s COUNT 7\r\n" % (name, cursor))
        head, found = p.reply()[1]
        cursor = head.split(b"\r\n")[1]
        found = [v.split(b"\r\n")[1] for v in found[1]]
        seen |= set(found[::2] if name == b"ZSCAN" else found)
        rounds += 1
    return check(seen == {b"m%d" % i for i in range(size)} and rounds > 3, name, size, len(seen), rounds)


def run_chance(seed, p):
    r = random.Random(seed)
    bad = False
    p.s.sendall(b"HELLO 2\r\nCONFIG SET set-max-intset-entries 512 zset-max-listpack-entries 128 zset-max-listpack-value 64\r\nFLUSHALL\r\n")
    p.reply(), p.reply(), p.reply()
    for size in (1, 2, 5, 40, 200):
        for kind in (b"int", b"table", b"zset"):
            bad |= random_members(p, r, kind, size)
        bad |= popped(p, r, size)
    for name in (b"SSCAN", b"ZSCAN"):
        bad |= scanned(p, name, 1000)
    return bad


if __name__ == "__main__":
    both = [Peer(int(port)) for port in sys.argv[3:5]]
    chosen, most = int(sys.argv[1]), int(sys.argv[2])
    sys.exit(run_random(chosen, most, both, COMMANDS) | run_random(chosen, most // 4, both, SORTS) | run_chance(chosen, both[0]))
