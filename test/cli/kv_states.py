"""kv_states.py crowd PORT ADMIN LEDGER PID: no descriptors left; what was acknowledged goes into the ledger.
kv_states.py check PORT LEDGER: all of it is there.
kv_states.py queue PORT: more come than there are descriptors for.
kv_states.py large PORT write|read BYTES: the largest and the smallest keys, and a value of so many bytes, of any bytes."""
import os, re, signal, socket, sys, time, urllib.request

verb, port = sys.argv[1], int(sys.argv[2])
DEADLINE = 60


def command(*words):
    out = b"*%d\r\n" % len(words)
    for w in words:
        out += b"$%d\r\n%s\r\n" % (len(w), w)
    return out


class Client:
    def __init__(self):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self.f = self.s.makefile("rb")

    def ask(self, *words):
        self.s.sendall(command(*words))
        line = self.f.readline()
        if line[:1] == b"$" and line != b"$-1\r\n":
            line = self.f.read(int(line[1:]) + 2)
        return line[:-2]

    def close(self):
        self.f.close()
        self.s.close()


def value(n):
    return (b"%d," % n) * 200  # about a kilobyte


def check(c, path):
    n = 0
    for line in open(path):
        got = c.ask(b"GET", b"k%d" % int(line))
        assert got == value(int(line)), "k%d: %r, expected what was acknowledged" % (int(line), got[:40])
        n += 1
    return n


def pauses(admin):
    page = urllib.request.urlopen("http://127.0.0.1:%d/metrics" % admin, timeout=DEADLINE).read()
    return int(re.search(rb"^sdlab_kv_accept_pauses_total(?:{.*})? (\d+)", page, re.M)[1])


def leave(socks):
    """They hang up, and wait until the server has as well: it has their descriptors back then."""
    for s in socks:
        try:
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    for s in socks:
        try:
            while s.recv(65536):
                pass
        except ConnectionResetError:
            pass
        s.close()


def is_well(admin):
    try:
        return urllib.request.urlopen("http://127.0.0.1:%d/-/ready" % admin, timeout=DEADLINE).status == 200
    except OSError:
        return False


def burst(pid):
    """So many come at once that are refused, and stay: each is told so. As many were told."""
    os.kill(pid, signal.SIGSTOP)
    try:
        many = [Client() for _ in range(100)]
    finally:
        os.kill(pid, signal.SIGCONT)
    for c in many:
        assert c.f.readline() == b"-ERR max number of clients reached\r\n"
    return many


def crowd(admin, path, pid):
    ledger, clients, told, n, refused = open(path, "w"), [], 0, 0, 0
    for _ in range(40):
        c = Client()
        answer = c.ask(b"PING")
        if answer == b"+PONG":
            clients.append(c)
        else:
            assert answer == b"-ERR max number of clients reached", answer
            told += 1
            c.close()
    assert len(clients) >= 8 and told == 40 - len(clients), (len(clients), told)

    def write(times):
        nonlocal n, refused
        for _ in range(times):
            n += 1
            answer = clients[n % len(clients)].ask(b"SET", b"k%d" % n, value(n))
            if answer == b"+OK":
                ledger.write("%d\n" % n)
            else:
                assert answer.startswith(b"-MISCONF nothing was written: ") and answer.endswith(b"Too many open files"), answer
                refused += 1

    # as many clients as may be: the store has what it needs
    write(500)
    assert not refused, "%d writes were refused with as many clients as may be" % refused
    # others come all at once in spite of that: they take none of the store's descriptors
    many = burst(pid)
    told += len(many)
    assert pauses(admin) == 0, "who is refused took every descriptor"
    write(200)
    assert not refused, "%d writes were refused for those who were refused" % refused
    leave([c.s for c in many])
    # others take every descriptor there is
    end = time.monotonic() + DEADLINE
    idle = [socket.create_connection(("127.0.0.1", admin), timeout=DEADLINE) for _ in range(64)]
    while not refused:
        write(20)
        assert time.monotonic() < end, "nothing was refused"
    write(200)
    for c in clients:
        answer = c.ask(b"GET", b"k1")
        assert answer == value(1) or answer.endswith(b"Too many open files"), answer
    leave(idle)
    # they have left: all is well again, without a restart
    well = False
    while not well:
        assert time.monotonic() < end, "writes are refused for ever"
        write(1)
        well = is_well(admin)
    before = refused
    write(500)
    assert refused == before, "writes are refused again"
    clients.pop().close()
    end = time.monotonic() + DEADLINE
    while (c := Client()).ask(b"PING") != b"+PONG":  # it has left before long
        assert time.monotonic() < end, "nobody comes in for one who left"
        told += 1
        c.close()
    ledger.close()
    print("%d acknowledged, %d refused, %d clients told that there are too many" % (check(c, path), refused, told))


def queue():
    """More than there are descriptors for, and fewer than may be clients: they wait until others have gone."""
    clients = [Client() for _ in range(8)]
    for c in clients:
        c.s.sendall(command(b"PING"))
    for c in clients:
        assert c.f.readline() == b"+PONG\r\n"
        c.close()


def large(reads, size):
    every = bytes(range(256))
    keys = [b"", b"\0", b"\0\xff", (every * 256)[:65534], (every * 257)[1:65537], b"\xff" * 65536]
    value = (every * (size // 256 + 1))[:size]
    c = Client()
    for k in keys:
        assert reads or c.ask(b"SET", k, b"of " + k[:1000]) == b"+OK", "SET of a key of %d bytes" % len(k)
        assert c.ask(b"GET", k) == b"of " + k[:1000], "a key of %d bytes" % len(k)
    assert c.ask(b"SET", b"k" * 65537, b"v").startswith(b"-ERR"), "a key of 65537 bytes"
    assert reads or c.ask(b"SET", b"value", value) == b"+OK"
    assert c.ask(b"GET", b"value") == value, "a value of %d bytes" % size
    c.s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nv\r\n$67108865\r\n")
    assert c.f.readline() == b"-ERR Protocol error: invalid bulk length\r\n" and c.f.read() == b"", "a value of 64 MiB and a byte"


if verb == "crowd":
    crowd(int(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
elif verb == "queue":
    queue()
elif verb == "large":
    large(sys.argv[3] == "read", int(sys.argv[4]))
else:
    print(check(Client(), sys.argv[3]))
