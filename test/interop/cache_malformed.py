# Requests that are none, or nearly: cache_malformed.py OURS THEIRS [PASSWORD]. Sends each to both servers, all at once and byte by byte,
# and compares what comes back until the connection is closed. Prints what differs.
import socket
import sys

ours, theirs = int(sys.argv[1]), int(sys.argv[2])
password = sys.argv[3].encode() if len(sys.argv) > 3 else None
SET = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n"
CASES = {
    "empty lines": b"\r\n\r\n\n",
    "no arguments": b"*0\r\n",
    "negative count": b"*-10\r\n",
    "count of minus one": b"*-1\r\n",
    "count beyond int32": b"*3000000000\r\n",
    "count beyond int64": b"*99999999999999999999\r\n",
    "count of 1024*1024": b"*1048576\r\n",
    "count of words": b"*blah\r\n",
    "count with a space": b"* 1\r\n$4\r\nPING\r\n",
    "count with a sign": b"*+1\r\n$4\r\nPING\r\n",
    "count with zeros in front": b"*01\r\n$4\r\nPING\r\n",
    "count of nothing": b"*\r\n",
    "count in hexadecimal": b"*0x1\r\n$4\r\nPING\r\n",
    "bulk length of words": b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$blabla\r\n",
    "negative bulk length": b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n",
    "null among the arguments": b"*2\r\n$3\r\nGET\r\n$-1\r\n",
    "bulk length beyond 512 MiB": SET + b"$2000000000\r\n",
    "bulk length of 512 MiB and one": SET + b"$536870913\r\n",
    "bulk length beyond int64": SET + b"$99999999999999999999\r\n",
    "bulk length of nothing": SET + b"$\r\n",
    "bulk length with a sign": SET + b"$+1\r\nv\r\n",
    "no dollar": b"*1\r\nPING\r\n",
    "a word instead of an argument": b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
    "argument of no length": b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
    "name of no length": b"*1\r\n$0\r\n\r\n",
    "array in an array": b"*2\r\n*1\r\n$4\r\nPING\r\n$1\r\nx\r\n",
    "arrays in arrays": b"*1\r\n" * 1000,
    "another end of an argument": b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
    "CR without LF behind the count": b"*1\r$4\r\nPING\r\n",
    "CR and another byte": b"*1\rx$4\r\nPING\r\n",
    "LF without CR": b"*1\n$4\nPING\n",
    "a line of one quote": b'SET k "\r\n',
    "quotes not closed": b'SET k "abc\r\n',
    "quotes closed in a word": b'SET k "abc"def\r\n',
    "single quotes not closed": b"GET 'abc\r\n",
    "quotes and escapes": b'ECHO "\\x41\\n\\"b"\r\n',
    "quotes in a word": b'ECHO a"b c"\r\n',
    "a line with LF only": b"ECHO x\n",
    "a line with blanks": b"   ECHO    x  \t \r\n",
    "blanks only": b"    \r\n",
    "a line too long": b"A" * 70000,
    "a long line": b"ECHO " + b"A" * 60000 + b"\r\n",
    "count too long": b"*" + b"1" * 70000,
    "bulk length too long": b"*1\r\n$" + b"1" * 70000,
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP POST": b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    **{f"type of RESP3 {c}": c.encode() + b"1\r\n$4\r\nPING\r\n" for c in "$:+-_#,(!=%~>|"},
    **{f"type of RESP3 {c} as an argument": b"*2\r\n$4\r\nECHO\r\n" + c.encode() + b"1\r\nx\r\n" for c in ":+-_#,(!=%~>|"},
    "TLS": bytes.fromhex("160301020001fc0303"),
    "bytes": bytes(range(1, 256)) + b"\r\n",
}
if password:
    CASES = {
        "AUTH is awaited": SET + b"$1\r\nv\r\n",
        "count of 11": b"*11\r\n" + b"$4\r\nAUTH\r\n" * 11,
        "count of 10": b"*10\r\n" + b"$4\r\nAUTH\r\n" * 10,
        "claim of 16385": b"*2\r\n$4\r\nAUTH\r\n$16385\r\n",
        "claim of 16384": b"*2\r\n$4\r\nAUTH\r\n$16384\r\n" + b"x" * 16384 + b"\r\n",
        "count after AUTH": b"AUTH " + password + b"\r\n*11\r\n$3\r\nDEL\r\n" + b"$1\r\nk\r\n" * 10,
        "claim after AUTH": b"AUTH " + password + b"\r\n" + SET + b"$16385\r\n" + b"x" * 16385 + b"\r\n",
        "claim beyond after AUTH": b"AUTH " + password + b"\r\n" + SET + b"$536870913\r\n",
        "wrong": b"AUTH nothing\r\n",
    }


def answer_once(port, request, split):
    """None: it was closed while we still sent, and what it said is lost."""
    s = socket.create_connection(("127.0.0.1", port))
    s.settimeout(20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    got, cut = b"", False
    try:
        for i in range(0, len(request), split):
            s.sendall(request[i:i + split])
        s.shutdown(socket.SHUT_WR)
        while piece := s.recv(65536):
            got += piece
    except (ConnectionResetError, BrokenPipeError, OSError):
        cut = True
    s.close()
    return None if cut and not got else got


def answer(port, request, split):
    for _ in range(50):
        got = answer_once(port, request, split)
        if got is not None:
            break
    return got


def told(got):
    return got and got[:300]


n = 0
for what, request in CASES.items():
    # Who speaks HTTP is cut off at once, so that the answer to what came before it is sent or not as the pieces arrive.
    for split in (len(request), 1) if len(request) < 2000 and not what.startswith("HTTP") else (len(request),):
        a, b = (answer(port, request, split) for port in (ours, theirs))
        if split == 1 and None in (a, b):
            continue # closed while we still sent, each time: what was said before is lost on the way
        n += 1
        if a != b:
            print(f"{what}, {split} at a time: {told(a)}, redis-server says {told(b)}")
assert n > 8
