# CLIENT PAUSE: which commands wait, and what they answer afterwards: cache_pause.py PORT. Prints it, for a comparison.
import select
import socket
import sys
import time

port = int(sys.argv[1])


def connect():
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)
    return s


def ask(s, line):
    s.sendall(line.encode() + b"\r\n")
    return s.recv(65536)


boss, look = connect(), connect()


def waiting():
    info = ask(look, "INFO clients").decode()
    return int(info.split("blocked_clients:")[1].split("\r\n")[0])


def waits(s, line):
    """Sends it; False: it was answered, True: it is one of those that wait."""
    before = waiting()
    s.sendall(line.encode() + b"\r\n")
    while not select.select([s], [], [], 0)[0]:
        if waiting() > before:
            return True
    return False


for line in ("PAUSE", "PAUSE x", "PAUSE -1", "PAUSE 100 foo", "PAUSE 100 ALL x", "PAUSE 99999999999999999999", "PAUSE 9223372036854775807",
             "UNPAUSE x", "UNPAUSE", "PAUSE 0"):
    print(line, ask(boss, "CLIENT " + line))

queued, watched = connect(), connect()
print([ask(queued, line) for line in ("MULTI", "SET k 5", "GET k")], [ask(watched, line) for line in ("MULTI", "GET k")])
print("writes", ask(boss, "CLIENT PAUSE 1000000 WRITE"), ask(boss, "CLIENT PAUSE 1 WRITE"))  # the longer one counts
held = [(queued, "EXEC")]
assert waits(*held[0])
print("a transaction that reads", ask(watched, "EXEC"))
for line in ("GET x", "PING", "PUBLISH a b", "MULTI", "SELECT 0", "SORT l", "SORT_RO l", "SUBSCRIBE q", "BLPOP nothing 0.01", "SET x", "SET p 1",
             "INCR p", "FLUSHALL", "NOTHING", "DEL p", "SCAN 0", "EXPIRE p 1", "CLIENT UNBLOCK 0", "CONFIG SET maxmemory 0"):
    s = connect()
    if waits(s, line):
        held.append((s, line))
        print(line, "waits")
    else:
        print(line, s.recv(65536))
inside = connect()
print(ask(inside, "MULTI"), waits(inside, "SET m 1"))
many = connect()
assert waits(many, "SET pipe 1\r\nINCR pipe\r\nGET pipe")
gone = connect()
assert waits(gone, "SET gone 1")
before = waiting()
gone.close()
while waiting() == before:
    pass
print(waiting(), ask(boss, "CLIENT UNPAUSE"))
for s, line in held:
    print(line, s.recv(65536))
print(inside.recv(100), ask(inside, "EXEC"))
got = b""
while got.count(b"\r\n") < 4:
    got += many.recv(100)
print(got, waiting(), ask(boss, "GET gone"))

# its end comes by itself, and nothing is answered before; faults are told at once
s, begun = connect(), time.monotonic()
print("all", ask(boss, "CLIENT PAUSE 300"))
s.sendall(b"PING\r\n")
print(ask(connect(), "SET x"), ask(connect(), "NOTHING"), s.recv(100))
assert time.monotonic() - begun > 0.28
print(ask(inside, "MULTI"), ask(inside, "CLIENT PAUSE 100 WRITE"), ask(inside, "SET q 1"), ask(inside, "EXEC"), ask(inside, "SET q 2"))
