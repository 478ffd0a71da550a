#!/usr/bin/env python3
"""INFO of two servers: PORT [SECTION ...] of ours and theirs are read after the same requests. Every field both tell has to have the
same form; a few have to have the same value, and those that tools read have to be there."""
import re
import socket
import sys
import time

FORMS = [
    ("hex40", r"[0-9a-f]{40}"), ("version", r"\d+\.\d+\.\d+"), ("seconds", r"\d+\.\d{6}"), ("percent", r"\d+\.\d\d%"),
    ("size", r"\d+B|\d+\.\d\d[KMGT]"), ("two digits", r"-?\d+\.\d\d"), ("whole", r"-?\d+"), ("ttl", r"keys=\d+,expires=\d+,avg_ttl=\d+"),
    ("usage", r"calls=\d+,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=\d+,failed_calls=\d+"), ("count", r"count=\d+"),
    ("kernel", r"Linux \S+ \S+"), ("word", r"[a-z-]+"), ("empty", r""),
]
OTHERWISE = {"mem_allocator"}  # the same field, and another truth
SAME = {"redis_version", "redis_mode", "os", "arch_bits", "role", "connected_slaves", "loading", "aof_enabled",
        "maxclients", "maxmemory", "maxmemory_human", "maxmemory_policy", "cluster_enabled", "evicted_keys", "expired_keys",
        "keyspace_hits", "keyspace_misses", "pubsub_channels", "pubsub_patterns", "total_error_replies", "rejected_connections",
        "total_commands_processed", "connected_clients", "blocked_clients", "total_system_memory", "total_system_memory_human",
        "errorstat_ERR", "errorstat_WRONGTYPE", "errorstat_EXECABORT", "total_net_input_bytes"}
READ = {"redis_version", "process_id", "run_id", "os", "arch_bits", "uptime_in_seconds", "uptime_in_days", "tcp_port",
        "connected_clients", "maxclients", "blocked_clients", "used_memory", "used_memory_human", "used_memory_rss", "used_memory_peak",
        "used_memory_peak_human", "maxmemory", "maxmemory_human", "maxmemory_policy", "mem_fragmentation_ratio", "mem_allocator",
        "loading", "rdb_last_save_time", "total_connections_received", "total_commands_processed", "instantaneous_ops_per_sec",
        "total_net_input_bytes", "total_net_output_bytes", "expired_keys", "evicted_keys", "keyspace_hits", "keyspace_misses",
        "pubsub_channels", "pubsub_patterns", "role", "used_cpu_sys", "used_cpu_user", "cluster_enabled", "db0"}
REQUESTS = ["CONFIG RESETSTAT", "FLUSHALL", "SET a b", "SET e b PX 100000", "GET a", "GET none", "LPUSH a x", "NONSENSE", "GET",
            "CLIENT NONSENSE", "CONFIG GET maxmemory", "MULTI", "LPUSH a x", "PING", "EXEC", "MULTI", "GET", "EXEC", "STRLEN a",
            "SUBSCRIBE c", "UNSUBSCRIBE c"]


class Server:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def value(self):
        line = self.file.readline().decode()
        kind, rest = line[0], line[1:-2]
        if kind == "$" and rest != "-1":
            return self.file.read(int(rest) + 2)[:-2].decode()
        if kind == "*":
            return [self.value() for _ in range(int(rest))]
        return line[:-2]

    def ask(self, words):
        self.socket.sendall(words.encode() + b"\r\n")
        return self.value()

    def info(self, words=""):
        text = self.ask("INFO " + words)
        titles = [line for line in text.split("\r\n") if line.startswith("#")]
        return dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line), titles


def form(value):
    return next((name for name, pattern in FORMS if re.fullmatch(pattern, value)), "?")


def untimed(usage):
    return re.sub(r"usec(_per_call)?=[0-9.]+", "", usage)


ours, theirs = (Server(int(port)) for port in sys.argv[1:3])
bad = []
for request in REQUESTS:
    for server in (ours, theirs):
        server.ask(request)
(a, ta), (b, tb) = ours.info("everything"), theirs.info("everything")
both = (a.keys() & b.keys()) - OTHERWISE
for name in sorted(both):
    if form(a[name]) == "?" or form(a[name]) != form(b[name]):
        bad.append(f"{name}: expected the form of {b[name]}, found {a[name]}")
    elif (name in SAME and a[name] != b[name]) or (name.startswith("cmdstat_") and untimed(a[name]) != untimed(b[name])):
        bad.append(f"{name}: expected {b[name]}, found {a[name]}")
bad += [f"{name}: not told" for name in sorted(READ - a.keys())]
bad += [f"{name}: told by redis-server only" for name in sorted(b.keys() - a.keys()) if name.startswith(("cmdstat_", "errorstat_"))]
bad += [f"{name}: told by the cache only" for name in sorted(a.keys() - b.keys()) if name.startswith(("cmdstat_", "errorstat_"))]
# Sections: the same ones, but for the one that only redis-server has.
for words in ("", "default", "all", "everything", "stats CLIENTS nonsense", "default commandstats", "nonsense", "errorstats"):
    ta, tb = ours.info(words)[1], theirs.info(words)[1]
    if ta != [t for t in tb if t != "# Latencystats"]:
        bad.append(f"INFO {words}: expected {tb}, found {ta}")
# Two looks: what goes on is seen going on.
before = ours.info()[0]
for _ in range(200):
    ours.ask("GET a")
after = ours.info()[0]
if int(after["total_commands_processed"]) - int(before["total_commands_processed"]) != 201:
    bad.append(f"commands: expected 201 more than {before['total_commands_processed']}, found {after['total_commands_processed']}")
deadline = time.monotonic() + 20
while int(ours.info()[0]["instantaneous_ops_per_sec"]) == 0 and time.monotonic() < deadline:
    ours.ask("GET a")
if int(ours.info()[0]["instantaneous_ops_per_sec"]) == 0:
    bad.append("instantaneous_ops_per_sec: 0 with commands all the time")
# Ends of keys: Redis has an average of those it looked at, taken now and then.
ttl = int(re.search(r"avg_ttl=(\d+)", a["db0"])[1])
if not 0 < ttl <= 100000:
    bad.append(f"avg_ttl: expected at most 100000, found {ttl}")
if len(both) < 60:
    bad.append(f"expected 60 fields of both at least, found {len(both)}")
print("\n".join(bad), end="\n" if bad else "")
sys.exit(1 if bad else 0)
