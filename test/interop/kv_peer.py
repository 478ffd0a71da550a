#!/usr/bin/env python3
"""Random commands to the kv server and to redis-server, replies compared byte for byte: those of cache_peer.py that it has, and
transactions.

  kv_peer.py SEED COUNT OURS THEIRS

Ports on this machine. Exit status 1 with the first difference, and the requests of its key that led to it.
"""
import sys

import cache_peer

KNOWN = set(b"""SET GET SETNX SETEX PSETEX GETSET GETDEL GETEX MGET MSET MSETNX INCR DECR INCRBY DECRBY INCRBYFLOAT STRLEN APPEND
GETRANGE SUBSTR SETRANGE DEL UNLINK EXISTS TOUCH TYPE EXPIRE PEXPIRE EXPIREAT PEXPIREAT EXPIRETIME PEXPIRETIME TTL PTTL PERSIST RENAME
RENAMENX COPY MOVE KEYS SCAN DBSIZE FLUSHDB FLUSHALL SELECT ECHO PING HELLO AUTH COMMAND""".split())
cache_peer.KEYS += [b"\x00", b"\x00\xff", b"\x00\xffa", b"\x00\x00", b"\xff" * 3, b"L" * 1500]


def known(r, of):
    """A cursor that nobody gave is an error here."""
    while (argv := of(r))[0] not in KNOWN and not argv[0].startswith(b"foo") or argv[:2] == [b"SCAN", b"-1"]:
        of = r.choice(cache_peer.COMMANDS)[1]
    return argv


def sorted_through(reply):
    if not isinstance(reply, tuple):
        return reply
    return reply[0], sorted((sorted_through(x) for x in reply[1]), key=repr)


SETTINGS = [b"appendfsync", b"appendonly", b"save", b"databases", b"maxmemory", b"maxmemory-policy", b"proto-max-bulk-len", b"timeout", b"nothing"]
COMMANDS = [(w, lambda r, of=of: known(r, of)) for w, of in cache_peer.COMMANDS] + [
    (1, lambda r: [b"MULTI"]), (4, lambda r: [b"EXEC"]), (0.3, lambda r: [b"DISCARD"]), (1, lambda r: [b"WATCH", r.key()]),
    (0.2, lambda r: [b"UNWATCH"]), (0.3, lambda r: [b"RANDOMKEY", b"x"]),
    (0.5, lambda r: [b"CLIENT", b"SETNAME", r.choice([b"name", b"", b"with space", b"\xff", b"n\n", b"x" * 63])]),
    (0.5, lambda r: [b"CLIENT", b"GETNAME"]),
    (0.3, lambda r: [b"CONFIG", b"GET", r.choice(SETTINGS)]),
    (0.3, lambda r: [b"CONFIG", b"SET"] + r.choice([[b"appendfsync", b"no"], [b"appendfsync", b"NO"], [b"nothing", b"1"], [b"appendfsync"],
                                                    [b"databases", b"7"], [b"appendfsync", b"no", b"nothing", b"x"]])),
]
UNORDERED = {b"EXEC": lambda argv, reply: sorted_through(reply)}

if __name__ == "__main__":
    sys.exit(cache_peer.run_random(int(sys.argv[1]), int(sys.argv[2]), [int(p) for p in sys.argv[3:5]], sys.modules[__name__]))
