# Links made, and then followed without end by several clients at once: shortlinks_load.py PORT LINKS CONNECTIONS. Each line of standard input, MODE N,
# is answered with "SENT ANSWERED FAILED" when N more redirects were answered: how many requests may have left, how many were redirected, and how
# many were not. MODE says what may happen from now on:
#   strict   each request is redirected
#   broken   connections may break or not be made
#   any      errors may be answered as well
#   end      it is over: said when all is answered, and it ends with 0
# What may not ends it with status 1.
import json
import socket
import sys
import threading
import time

port, links, connections = (int(a) for a in sys.argv[1:4])
PACE = 0.002  # seconds that a client takes between two clicks: it shares the processor with all that it asks
CLIENT = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
lock = threading.Condition()
mode = "strict"
going = True
sent = answered = failed = 0
wrong = None


def exchange(s, request):
    """The status of the answer, and as much of it as came with its head."""
    s.sendall(request.encode())
    got = b""
    while b"\r\n\r\n" not in got:
        more = s.recv(65536)
        if not more:
            raise ConnectionResetError("closed")
        got += more
    return int(got[9:12]), got


def connect():
    s = socket.create_connection(("127.0.0.1", port), 20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def create(i):
    body = json.dumps({"url": f"https://example.com/{i}", "alias": f"link-{i}"})
    head = f"POST /api/shorten HTTP/1.1\r\nHost: s.example\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    with connect() as s:
        status, _ = exchange(s, head + body)
    if status != 201:
        sys.exit(f"link {i}: expected 201, found {status}")


def judge(status, answer, began):
    """Was it as it may be? began: the mode when the request left."""
    global answered, failed, wrong
    good = 300 < status < 309
    answered += good
    failed += not good
    modes = (began, mode)
    if not good and "any" not in modes and (status or "broken" not in modes):
        wrong = wrong or (f"answered {answer!r}" if status else "a connection broke")
    lock.notify_all()


def follow(me):
    global sent
    s, i = None, me
    while going:
        i += 1
        with lock:
            began = mode
            sent += 1
        try:
            s = s or connect()
            status, answer = exchange(s, f"GET /link-{i % links} HTTP/1.1\r\nHost: s.example\r\n{CLIENT}\r\n")
        except OSError:
            status, answer = 0, b""
        with lock:
            judge(status, answer, began)
        if not 300 < status < 309:
            s = s and s.close()
        time.sleep(PACE)


for k in range(links):
    create(k)
clients = [threading.Thread(target=follow, args=(k * links // connections,), daemon=True) for k in range(connections)]
for t in clients:
    t.start()
for line in sys.stdin:
    with lock:
        mode, more = line.split()
        if mode == "end":
            break
        want = answered + int(more)
        lock.wait_for(lambda: wrong or answered >= want, 20)
        if wrong or answered < want:
            sys.exit(f"in mode {mode}: {wrong or 'no answers for 20 s'} ({sent} sent, {answered} redirected, {failed} not)")
        print(sent, answered, failed, flush=True)
going = False
for t in clients:
    t.join()
print(sent, answered, failed)
sys.exit(wrong)
