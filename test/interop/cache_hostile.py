# Clients that mean harm or do not know better: cache_hostile.py PORT PID WHAT. PID is the server, whose memory is watched.
import os
import socket
import sys
import threading

port, pid, what = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
MIB = 1 << 20


def connect():
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(60)
    return s


def rss():
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def ask(s, line):
    s.sendall(line + b"\r\n")
    return s.recv(65536)


def alive():
    s = connect()
    assert ask(s, b"PING") == b"+PONG\r\n"
    return s


def rose(before, most, who):
    more = rss() - before
    assert more < most, f"{who}: memory rose by {more} bytes"


def claims():
    """A hundred strings of 512 MiB are announced, and a few bytes of each come: 50 GiB that are not there."""
    before, all_of_them = rss(), []
    for _ in range(100):
        s = connect()
        s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n" + b"x" * 1000)
        all_of_them.append(s)
    for _ in range(100):
        s = connect()
        s.sendall(b"*1048576\r\n$1\r\n")
        all_of_them.append(s)
    alive()  # it has read what came before
    rose(before, 32 * MIB, "announced strings")


def million():
    """A million commands without waiting, of which the first hundred thousand answers are not read for a while."""
    s, before, n, most = alive(), rss(), 1000000, [0]
    request = b"*2\r\n$4\r\nECHO\r\n$32\r\n" + b"e" * 32 + b"\r\n"

    def send():
        left = memoryview(request * n)
        while left:
            left = left[s.send(left[:1 << 16]):]

    sender = threading.Thread(target=send)
    sender.start()
    other = alive()
    for _ in range(200):  # the server answers others meanwhile
        assert ask(other, b"PING") == b"+PONG\r\n"
        most[0] = max(most[0], rss())
    expected, got = len(b"$32\r\n" + b"e" * 32 + b"\r\n") * n, 0
    while got < expected:
        piece = s.recv(1 << 20)
        assert piece, f"closed after {got} of {expected} bytes"
        got += len(piece)
        if got % 16 == 0:
            most[0] = max(most[0], rss())
    sender.join()
    assert got == expected and ask(s, b"PING") == b"+PONG\r\n"
    assert most[0] - before < 32 * MIB, f"memory rose by {most[0] - before} bytes"


def deaf():
    """Somebody subscribes and never reads: closed when 32 MiB wait for it, and the others go on."""
    s, talker, before = alive(), alive(), rss()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert b"subscribe" in ask(s, b"SUBSCRIBE news")
    message = b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$100000\r\n" + b"m" * 100000 + b"\r\n"
    for i in range(2000):
        talker.sendall(message)
        heard = talker.recv(100)
        assert heard in (b":1\r\n", b":0\r\n"), heard
        if heard == b":0\r\n":
            break
    assert heard == b":0\r\n", "it is still there after 200 MB"
    assert 100 < i < 800, f"closed after {i} messages"
    assert rss() - before < 80 * MIB, f"memory rose by {rss() - before} bytes"
    alive()


def kill():
    """One client ends another, by address and by number; the one who asks stays."""
    a, b, c = alive(), alive(), alive()
    number = int(ask(b, b"CLIENT ID")[1:])
    assert ask(a, b"CLIENT KILL ID %d" % number) == b":1\r\n"
    assert b.recv(1) == b""
    address = b"%s:%d" % (c.getsockname()[0].encode(), c.getsockname()[1])
    assert ask(a, b"CLIENT KILL " + address) == b"+OK\r\n"
    assert c.recv(1) == b""
    assert ask(a, b"CLIENT KILL " + address).startswith(b"-ERR No such client")
    assert ask(a, b"PING") == b"+PONG\r\n"


def full():
    """No descriptor is left: those who are in are served, and those who wait once somebody goes."""
    first, crowd = alive(), []
    for _ in range(200):
        crowd.append(connect())  # the kernel takes them, whoever accepts them
    assert ask(first, b"SET a 1") == b"+OK\r\n"
    assert ask(first, b"GET a") == b"$1\r\n1\r\n"
    for s in crowd:
        s.close()
    s = connect()
    assert ask(s, b"GET a") == b"$1\r\n1\r\n"


def crowd():
    """--max-clients 3."""
    inside = [alive() for _ in range(3)]
    s = connect()
    assert s.recv(100) == b"-ERR max number of clients reached\r\n"
    assert s.recv(100) == b""
    inside.pop().close()
    for _ in range(1000):  # until the server has seen the end
        try:
            s = connect()
            if ask(s, b"PING") == b"+PONG\r\n":
                return
        except (ConnectionError, TimeoutError):
            pass
    raise AssertionError("nobody gets in after one has gone")


globals()[what]()
