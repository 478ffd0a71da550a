# COMMAND and COMMAND DOCS of the cache and of redis-server: cache_commands.py OURS THEIRS. Prints what differs without a reason here.
import sys

import redis

OWN = {"cl.throttle", "getlease", "setlease", "hotkeys", "cluster|locate", "cluster|origin", "cluster|help"}
# Not here, and nobody was promised it: streams, bitmaps, HyperLogLog, geo, scripts, sharded channels, ACL, modules, replication by hand.
# Parts of a command that is here, which are not:
LACK = {
    "client|caching": "tracking of keys that clients cache", "client|getredir": "the same", "client|tracking": "the same",
    "client|trackinginfo": "the same", "command|getkeysandflags": "needs specifications of keys",
    "pubsub|shardchannels": "sharded channels", "pubsub|shardnumsub": "the same",
}
DIFFERS = {("command|list", "arity"): "FILTERBY is not taken"}
FIELDS = ["name", "arity", "flags", "first", "last", "step", "categories"]  # tips and specifications of keys are not told
DOCS = ["since", "group"]  # summaries are in our own words


def tables(port):
    r = redis.Redis(port=port, decode_responses=True)
    r.response_callbacks.clear()
    commands, docs = {}, {}
    for top in r.execute_command("COMMAND"):
        for row in [top] + top[9]:
            commands[row[0]] = {f: set(v) if isinstance(v, list) else v for f, v in zip(FIELDS, row)}
        commands[top[0]]["parts"] = {row[0] for row in top[9]}
    told = r.execute_command("COMMAND", "DOCS")
    for name, words in zip(told[::2], told[1::2]):
        docs[name] = dict(zip(words[::2], words[1::2]))
    single = [row[0] for row in r.execute_command("COMMAND", "INFO", *commands)]
    assert single == list(commands), "COMMAND INFO of each"
    return commands, docs


(ours, our_docs), (theirs, their_docs) = tables(int(sys.argv[1])), tables(int(sys.argv[2]))
assert len(ours) > 200, len(ours)
used = set()


def differ(name, field, a, b):
    if (name, field) in DIFFERS:
        used.add((name, field))
    else:
        print(f"{name}: {field} is {a}, redis-server says {b}")


for name, row in ours.items():
    if name not in theirs:
        if name not in OWN:
            print(f"{name}: redis-server has none")
        continue
    for field in FIELDS:
        if row[field] != theirs[name][field]:
            differ(name, field, row[field], theirs[name][field])
    for part in theirs[name].get("parts", set()) - row.get("parts", set()):
        used.add(part)
        if part not in LACK:
            print(f"{part}: is not here")
for name, words in our_docs.items():
    for field in DOCS:
        if name in their_docs and words[field] != their_docs[name][field]:
            differ(name, field, words[field], their_docs[name][field])
for name in set(LACK) | set(DIFFERS):
    if name not in used:
        print(f"{name}: no reason is needed any more")
