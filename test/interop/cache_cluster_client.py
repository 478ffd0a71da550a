# Ordinary use of three nodes of a cache with python3-redis' RedisCluster: cache_cluster_client.py PORT...
# Says READY; then, when a node is gone, SURVIVED once it reads and writes all keys again; then BACK when it works with three again.
import sys

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import ClusterDownError, ClusterError, RedisClusterException, TryAgainError

ports = [int(p) for p in sys.argv[1:]]


def connect():
    return RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", p) for p in ports], decode_responses=True, socket_timeout=20)


r = connect()
GONE = (redis.ConnectionError, redis.TimeoutError, ClusterError, ClusterDownError, TryAgainError)
N = 300


def use():
    r.flushall(target_nodes=r.PRIMARIES)
    for i in range(N):
        assert r.set(f"k{i}", i)
    assert [r.get(f"k{i}") for i in range(N)] == [str(i) for i in range(N)]
    assert r.mset_nonatomic({f"k{i}": i for i in range(N)}) and r.mget_nonatomic([f"k{i}" for i in range(9)])[8] == "8"
    pipe = r.pipeline()
    for i in range(1000):
        pipe.incr(f"c{i % 50}")
    assert pipe.execute()[-1] == 20
    assert r.hset("h", mapping={"a": 1}) == 1 and r.hgetall("h") == {"a": "1"}
    assert r.zadd("z", {"a": 1, "b": 2}) == 2 and r.zrange("z", 0, -1) == ["a", "b"]
    assert r.rpush("l", 1, 2) == 2 and r.blpop("l", 5) == ("l", "1")
    assert r.delete("c1") == 1 and r.exists("c1") == 0
    assert len(r.get_primaries()) == 3 and len({r.get_node_from_key(f"k{i}").name for i in range(N)}) == 3
    assert all(r.ping(target_nodes=node) for node in r.get_primaries())
    r.sadd("{t}a", "x", "y")
    r.sadd("{t}b", "y")
    assert r.sinter("{t}a", "{t}b") == {"y"}
    try:
        r.sinter("k1", "k2", "k3", "k4")
        raise AssertionError("keys of several slots")
    except RedisClusterException:  # the client itself refuses
        pass


def works():
    global r
    try:
        for i in range(N):
            assert r.get(f"k{i}") == str(i), (i, r.get(f"k{i}"))
            assert r.set(f"n{i}", i)
        return True
    except RedisClusterException:  # version 4.3 cannot ask for the map again when the first node in it is gone
        r = connect()
        return False
    except GONE:
        return False


use()
# It may be that a client asks for the map by itself and loses nothing; it has fewer nodes then.
print("READY", flush=True)
while works() and len(r.get_primaries()) == 3:
    pass
print("LOST", flush=True)
while not works():
    pass
print("SURVIVED", flush=True)
while not (len(r.get_primaries()) == 3 and works()):
    r = connect()
assert len({r.get_node_from_key(f"k{i}").name for i in range(N)}) == 3
print("BACK", flush=True)
