# Ordinary use of a kv server with python3-redis: kv_client.py PORT write|read.
import sys

import redis

port = int(sys.argv[1])
r = redis.Redis(port=port, decode_responses=True, socket_timeout=60)
raw = redis.Redis(port=port, socket_timeout=60)
binary = bytes(range(256)) * 1000


def strings():
    assert r.set("s", "text", ex=1000) and r.get("s") == "text" and 0 < r.ttl("s") <= 1000
    assert r.set("s", "other", nx=True) is None and r.set("s", "other", xx=True, get=True) == "text" and r.persist("s") is False
    assert r.incr("n", 5) == 5 and r.decr("n") == 4 and r.incrbyfloat("f", 0.5) == 0.5
    assert r.mset({"a": 1, "b": 2}) and r.mget("a", "nothing", "b") == ["1", None, "2"]
    assert raw.set("binary", binary) and raw.get("binary") == binary and raw.getrange("binary", 1, 2) == b"\x01\x02"
    assert raw.set(b"\x00\xff\x00", b"zero") and raw.get(b"\x00\xff\x00") == b"zero" and r.delete("a", "b", "nothing") == 2


def pipelines():
    with r.pipeline(transaction=False) as p:
        for i in range(3000):
            p.set(f"p{i}", i)
        p.incr("s")  # an error among them is only its own
        done = p.execute(raise_on_error=False)
        assert done[:3000] == [True] * 3000 and isinstance(done[3000], redis.ResponseError)


def transactions():
    with r.pipeline() as p:
        p.watch("n")
        n = int(p.get("n"))
        p.multi()
        p.set("n", n + 1)
        p.get("n")
        assert p.execute() == [True, "5"]
    with r.pipeline() as p:
        p.watch("n")
        r.set("n", 100)
        p.multi()
        p.set("n", 1)
        try:
            p.execute()
        except redis.WatchError:
            return
    raise AssertionError("a transaction ran though its key had changed")


def kept():
    assert r.get("s") == "other" and r.ttl("s") == -1 and r.get("n") == "100" and r.get("f") == "0.5"
    assert raw.get("binary") == binary and raw.get(b"\x00\xff\x00") == b"zero" and r.exists("a", "b") == 0
    keys = list(raw.scan_iter(count=100))
    assert len(keys) == len(set(keys)) == 3005 and keys == sorted(keys), len(keys)
    assert r.dbsize() == 3005 and r.type("s") == "string" and sorted(r.keys("p299?")) == [f"p299{i}" for i in range(10)]
    assert r.info("lsm")["format"] == "sdlab" and r.ping()


if sys.argv[2] == "write":
    r.flushall()
    strings()
    pipelines()
    transactions()
kept()
