# Ordinary use of a cache with python3-redis: cache_client.py PORT. Says READY, then LOST when the server is gone and
# BACK when it answers again.
import sys
import threading

import redis

port = int(sys.argv[1])
r = redis.Redis(port=port, decode_responses=True, socket_timeout=30)


def strings():
    assert r.set("s", "text", ex=100) and r.get("s") == "text" and 0 < r.ttl("s") <= 100
    assert r.set("s", "other", nx=True) is None and r.set("s", "other", xx=True, get=True) == "text"
    assert r.incr("n", 5) == 5 and r.decr("n") == 4 and r.incrbyfloat("f", 0.5) == 0.5
    assert r.mset({"a": 1, "b": 2}) and r.mget("a", "nothing", "b") == ["1", None, "2"]
    raw = redis.Redis(port=port)
    binary = bytes(range(256)) * 100
    assert raw.set("binary", binary) and raw.get("binary") == binary and raw.getrange("binary", 1, 2) == b"\x01\x02"
    assert r.delete("a", "b", "nothing") == 2 and r.exists("a") == 0


def hashes():
    assert r.hset("h", mapping={"x": 1, "y": "two"}) == 2 and r.hgetall("h") == {"x": "1", "y": "two"}
    assert r.hincrby("h", "x", 4) == 5 and r.hmget("h", "x", "z") == ["5", None] and r.hdel("h", "x") == 1
    r.hset("big", mapping={f"f{i}": i for i in range(1000)})
    assert dict(r.hscan_iter("big")) == {f"f{i}": str(i) for i in range(1000)}


def lists():
    assert r.rpush("l", 1, 2, 3) == 3 and r.lpush("l", 0) == 4 and r.lrange("l", 0, -1) == ["0", "1", "2", "3"]
    assert r.lpop("l") == "0" and r.rpop("l", 2) == ["3", "2"] and r.linsert("l", "before", "1", "x") == 2
    assert r.lmove("l", "m", "LEFT", "RIGHT") == "x" and r.llen("m") == 1


def sets():
    assert r.sadd("t", "a", "b", "c") == 3 and r.smembers("t") == {"a", "b", "c"} and r.sismember("t", "a")
    r.sadd("u", "b", "d")
    assert r.sinter("t", "u") == {"b"} and r.sdiff("t", "u") == {"a", "c"} and r.sunionstore("v", "t", "u") == 4
    assert set(r.sscan_iter("v", count=1)) == {"a", "b", "c", "d"}


def sorted_sets():
    assert r.zadd("z", {"a": 1, "b": 2.5, "c": float("inf")}) == 3
    assert r.zrange("z", 0, -1, withscores=True) == [("a", 1), ("b", 2.5), ("c", float("inf"))]
    assert r.zincrby("z", 2, "a") == 3 and r.zrank("z", "b") == 0 and r.zrangebyscore("z", "(2.5", "+inf") == ["a", "c"]
    assert r.zpopmin("z") == [("b", 2.5)] and r.zcard("z") == 2


def pipelines():
    with r.pipeline(transaction=False) as p:
        for i in range(5000):
            p.set(f"p{i}", i)
        p.lpush("p1", 1)  # an error among them is only its own
        done = p.execute(raise_on_error=False)
        assert done[:5000] == [True] * 5000 and isinstance(done[5000], redis.ResponseError)
    assert len(set(r.scan_iter("p*", count=100))) == 5000


def transactions():
    r.set("account", 100)
    with r.pipeline() as p:
        p.watch("account")
        balance = int(p.get("account"))
        r.set("account", 50)  # somebody else
        p.multi()
        p.set("account", balance - 10)
        try:
            p.execute()
            raise AssertionError("a changed key did not stop EXEC")
        except redis.WatchError:
            pass
    assert r.get("account") == "50"
    r.transaction(lambda p: p.multi() or p.decrby("account", 10).incr("moves"), "account")
    assert r.mget("account", "moves") == ["40", "1"]


def messages():
    heard = r.pubsub(ignore_subscribe_messages=False)
    heard.subscribe("news")
    heard.psubscribe("new*")
    assert [heard.get_message(timeout=20)["type"] for _ in range(2)] == ["subscribe", "psubscribe"]
    assert r.publish("news", "hello") == 2
    got = [heard.get_message(timeout=20) for _ in range(2)]
    assert {(m["type"], m["channel"], m["data"]) for m in got} == {("message", "news", "hello"), ("pmessage", "news", "hello")}
    heard.close()


def blocking():
    got = []
    waits = threading.Thread(target=lambda: got.append(redis.Redis(port=port).blpop("queue", timeout=20)))
    waits.start()
    while not any(c["cmd"] == "blpop" for c in r.client_list()):
        pass
    r.rpush("queue", "job")
    waits.join(20)
    assert got == [(b"queue", b"job")], got
    assert r.blpop("queue", timeout=0.01) is None


def locks():
    # a lock as python3-redis has it needs EVAL to let go; SET NX and WATCH do the same
    assert r.set("lock", "me", nx=True, px=60000) and not r.set("lock", "you", nx=True, px=60000)
    with r.pipeline() as p:
        p.watch("lock")
        assert p.get("lock") == "me"
        p.multi()
        p.delete("lock")
        assert p.execute() == [1]
    assert r.set("lock", "you", nx=True, px=60000)


def errors():
    try:
        r.lpush("s", 1)
        raise AssertionError("no WRONGTYPE")
    except redis.ResponseError as e:
        assert str(e).startswith("WRONGTYPE"), e
    assert r.client_setname("me") and r.client_getname() == "me" and r.config_get("maxmemory") == {"maxmemory": "0"}
    assert r.info("server")["redis_version"].startswith("7.") and r.dbsize() > 5000 and r.ping()


for use in (strings, hashes, lists, sets, sorted_sets, pipelines, transactions, messages, blocking, locks, errors):
    r.flushall()
    if use is errors:
        r.set("s", "text")
        r.mset({f"k{i}": 1 for i in range(5001)})
    use()

print("READY", flush=True)
lost = False
while True:
    try:
        r.set("back", 1)
        if lost:
            break
    except redis.ConnectionError:
        if not lost:
            print("LOST", flush=True)
        lost = True
assert r.get("back") == "1"
print("BACK", flush=True)
