# Many clients at a time, each connection on one of several threads: cache_threads.py ROUNDS PORT [PORT]. What must hold whoever
# comes first: transactions are whole, each message and each item arrives once and in order, a killed client does nothing any more.
# With a second port, of another node of a cluster, what has to do with one node alone is left out.
import itertools
import socket
import sys
import threading

rounds = int(sys.argv[1])
ports = itertools.cycle(map(int, sys.argv[2:]))
alone = len(sys.argv) == 3
wrong = []


class Client:
    def __init__(self):
        self.s = socket.create_connection(("127.0.0.1", next(ports)))
        self.s.settimeout(60)
        self.buf = b""
        self.id = self.ask("CLIENT", "ID")

    def send(self, *words):
        parts = [str(w).encode() for w in words]
        self.s.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def line(self):
        while b"\r\n" not in self.buf:
            got = self.s.recv(65536)
            if not got:
                raise EOFError
            self.buf += got
        one, self.buf = self.buf.split(b"\r\n", 1)
        return one

    def read(self):
        one = self.line()
        kind, rest = one[:1], one[1:]
        if kind == b":":
            return int(rest)
        if kind == b"$":
            n = int(rest)
            if n < 0:
                return None
            while len(self.buf) < n + 2:
                got = self.s.recv(65536)
                if not got:
                    raise EOFError
                self.buf += got
            text, self.buf = self.buf[:n], self.buf[n + 2:]
            return text
        if kind == b"*":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        return one

    def ask(self, *words):
        self.send(*words)
        return self.read()


def check(good, *what):
    if not good:
        wrong.append(" ".join(str(w) for w in what))


def at_a_time(*jobs):
    """Runs all, each with connections of its own, and ends when all have ended."""
    def guarded(job, args):
        try:
            job(*args)
        except Exception as e:  # pylint: disable=broad-except
            wrong.append(f"{job.__name__}{args}: {e!r}")
    threads = [threading.Thread(target=guarded, args=(job, args), daemon=True) for job, *args in jobs]
    for t in threads:
        t.start()
    for t in threads:
        t.join(100)
        check(not t.is_alive(), "a client waits for ever")


# ---- transactions ----

def transfer(_n):
    """Takes from one account for another; what both have never changes."""
    c = Client()
    for i in range(rounds):
        check(c.ask("MULTI") == b"+OK", "MULTI")
        c.ask("DECRBY", "{acc}a", i)
        c.ask("INCRBY", "{acc}b", i)
        check(len(c.ask("EXEC")) == 2, "EXEC")


def audit(_n):
    c = Client()
    for _ in range(rounds):
        a, b = c.ask("MGET", "{acc}a", "{acc}b")
        check(int(a) + int(b) == 1000, "accounts:", a, b)


def watch(_n):
    """Adds one to what it read, if nobody else did meanwhile: again until it worked."""
    c = Client()
    for _ in range(rounds // 5):
        while True:
            watched = c.ask("WATCH", "watched")
            if watched == b"-TRYAGAIN the slot is moving":
                check(c.ask("UNWATCH") == b"+OK", "UNWATCH")
                continue
            check(watched == b"+OK", "WATCH:", watched)
            value = int(c.ask("GET", "watched") or 0)
            c.ask("MULTI")
            c.ask("SET", "watched", value + 1)
            done = c.ask("EXEC")
            check(done in (None, [b"+OK"]), "EXEC after WATCH:", done)  # an error is no success
            if done:
                break


# ---- waiting ----

items, items_lock = [], threading.Lock()
PRODUCERS, CONSUMERS = 4, 6


def produce(n):
    c = Client()
    for i in range(rounds):
        c.ask("RPUSH", "{q}queue", f"{n}:{i}")


def consume(n):
    c, mine = Client(), []
    while True:
        if n % 2:
            got = c.ask("BLPOP", "{q}queue", 0)[1]
        else:
            got = c.ask("BLMOVE", "{q}queue", f"{{q}}done{n}", "LEFT", "RIGHT", 0)
        if got == b"stop":
            break
        mine.append(got)
    last = {}
    for got in mine:  # of each producer in its order
        who, i = got.split(b":")
        check(last.get(who, -1) < int(i), "order of", who)
        last[who] = int(i)
    with items_lock:
        items.extend(mine)


def queue():
    done = threading.Semaphore(0)

    def producer(n):
        produce(n)
        done.release()

    def stop():
        for _ in range(PRODUCERS):
            done.acquire()
        c = Client()
        for _ in range(CONSUMERS):
            c.ask("RPUSH", "{q}queue", "stop")

    return [(producer, n) for n in range(PRODUCERS)] + [(consume, n) for n in range(CONSUMERS)] + [(stop,)]


# ---- messages ----

SUBSCRIBERS, PUBLISHERS = 6, 3
subscribed = threading.Barrier(SUBSCRIBERS + PUBLISHERS)


def subscribe(n):
    """Gets every message of each publisher once and in order, by channel or by pattern."""
    c, last = Client(), {}
    c.ask(*(("SUBSCRIBE", "news") if n % 2 else ("PSUBSCRIBE", "ne*")))
    subscribed.wait()
    for _ in range(rounds * PUBLISHERS):
        who, i = c.read()[-1].split(b":")
        check(int(i) == last.get(who, -1) + 1, "message", i, "of", who, "after", last.get(who))
        last[who] = int(i)


def publish(n):
    c = Client()
    subscribed.wait()
    for i in range(rounds):
        reached = c.ask("PUBLISH", "news", f"{n}:{i}")
        check(reached == SUBSCRIBERS or not alone, "PUBLISH reached", reached)


# ---- MONITOR ----

COUNTERS = 4
monitored = threading.Barrier(COUNTERS + 1)


def count(n):
    c = Client()
    monitored.wait()
    before = 0
    for i in range(rounds):
        now = c.ask("INCR", "monitored")
        check(now > before, "INCR went back")
        before = now


def monitor(_n):
    """Sees each INCR once."""
    c, seen = Client(), 0
    check(c.ask("MONITOR") == b"+OK", "MONITOR")
    monitored.wait()
    while seen < COUNTERS * rounds:
        line = c.line()
        seen += b'"INCR" "monitored"' in line
    last = Client()
    last.ask("INCR", "monitored")
    while b'"INCR" "monitored"' not in c.line():
        pass
    check(int(last.ask("GET", "monitored")) == COUNTERS * rounds + 1, "monitored")


# ---- CLIENT KILL ----

def victim(c, key, ready):
    """Counts as fast as it can until it is cut off."""
    ready.set()
    try:
        while True:
            c.s.sendall(b"*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n" % (len(key), key) * 20)
            for _ in range(20):
                c.read()
    except (EOFError, OSError):
        pass


def kill(n):
    """Once CLIENT KILL has answered, the client is in no list and does nothing any more; its connection is closed."""
    me = Client()
    for i in range(max(rounds // 10, 3)):
        c, ready, key = Client(), threading.Event(), f"victim{n}.{i}".encode()
        t = threading.Thread(target=victim, args=(c, key, ready), daemon=True)
        t.start()
        ready.wait()
        while int(me.ask("GET", key.decode()) or 0) < 20:
            pass
        check(me.ask("CLIENT", "KILL", "ID", c.id) == 1, "CLIENT KILL")
        at = me.ask("GET", key.decode())
        check(f"id={c.id} ".encode() not in me.ask("CLIENT", "LIST"), "killed and still listed")
        t.join(60)
        check(not t.is_alive(), "killed and still connected")
        check(me.ask("GET", key.decode()) == at, "killed and still counting")


def kill_who_waits(n):
    """Killed while it waits or listens: what comes then is not lost to it."""
    me = Client()
    for i in range(max(rounds // 10, 3)):
        waits, listens = Client(), Client()
        waits.send("BLPOP", f"never{n}", 0)
        listens.ask("SUBSCRIBE", f"quiet{n}")
        while b"cmd=blpop" not in me.ask("CLIENT", "LIST", "ID", waits.id):
            pass
        for c in (waits, listens):
            check(me.ask("CLIENT", "KILL", "ID", c.id) == 1, "CLIENT KILL")
        check(me.ask("PUBLISH", f"quiet{n}", "x") == 0, "a killed client still listens")
        check(me.ask("RPUSH", f"never{n}", "x") == 1, "RPUSH")
        check(me.ask("LPOP", f"never{n}") == b"x", "a killed client was served")
        for c in (waits, listens):
            try:
                c.line()
                check(False, "a killed client got something")
            except (EOFError, OSError):
                pass


# ---- the clock ----

def expire(n):
    """Keys end without being asked for, and waits end in time, whichever thread set them."""
    c = Client()
    for i in range(5):
        c.ask("SET", f"short{n}.{i}", "v", "PX", 20 + i)
        check(c.ask("BLPOP", f"nothing{n}", "0.01") is None, "BLPOP")


first = Client()
check(first.ask("FLUSHALL") == b"+OK", "FLUSHALL")
check(first.ask("MSET", "{acc}a", 500, "{acc}b", 500) == b"+OK", "MSET")
WATCHERS = 4
jobs = [*[(transfer, n) for n in range(4)], *[(audit, n) for n in range(4)], *[(watch, n) for n in range(WATCHERS)], *queue(),
        *[(subscribe, n) for n in range(SUBSCRIBERS)], *[(publish, n) for n in range(PUBLISHERS)]]
if alone:
    jobs += [*[(count, n) for n in range(COUNTERS)], (monitor, 0), *[(kill, n) for n in range(3)],
             *[(kill_who_waits, n) for n in range(3)], *[(expire, n) for n in range(6)]]
at_a_time(*jobs)
check(int(first.ask("GET", "watched")) == WATCHERS * (rounds // 5), "WATCH let a change through")
check(sorted(items) == sorted(f"{p}:{i}".encode() for p in range(PRODUCERS) for i in range(rounds)), "items of the queue")
while alone and b"keys=" in first.ask("INFO", "keyspace") and b",expires=0" not in first.ask("INFO", "keyspace"):
    pass  # until the last key with an end is gone by itself
check(b"blocked_clients:0\r\n" in first.ask("INFO", "clients"), "somebody still waits")
for w in wrong[:20]:
    print(w)
sys.exit(bool(wrong))
