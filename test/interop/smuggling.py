"""Sends hostile requests through proxies to an origin that records every byte, and judges what arrived there.

usage: smuggling.py FIFO NAME...: prints the port of an origin for each NAME, the first of which is judged; reads
NAME=PORT of each proxy, which has to be in front of that origin, as one line from FIFO.

One origin a proxy. The origin reads with a parser that forgives nothing, so "ambiguous" is not a matter of taste:
what a proxy forwards is ambiguous when it fails that parser, or is not the requests that the client sent. In the
other direction the origin answers badly, and the same is asked of what the client gets.

Verdicts:
  refused    the origin had no complete request of it, or the client an error of the proxy's own
  answered   as refused, but the connection went on, with the request behind it answered rightly
  cut        the beginning was forwarded, and the connection closed before the end: the reader can tell
  clean      forwarded, in a form that can be read in one way only
  leaks      clean, but with a field that belonged to the connection it came on (RFC 9110 section 7.6.1)
  strips     clean, but without a field that only the client's Connection field spoke of
  stuck      neither answered nor closed in time
  AMBIGUOUS  forwarded, and somebody may read it in another way
"""

import re
import select
import socket
import sys
import threading
import time

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x22\x24-\x7e]+) HTTP/1\.([01])")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) [\t\x20-\x7e]*")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*((?:[^\x00-\x20\x7f](?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)?)[ \t]*")
HOST = re.compile(rb"([A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})(;[\t\x20-\x7e]*)?")
HOP_BY_HOP = (b"keep-alive", b"proxy-connection", b"te", b"upgrade")
NO_TRAILER = {b"content-length", b"transfer-encoding", b"host", b"authorization", b"connection", b"x-forwarded-for"}


class Bad(Exception):
    """It can be read in more than one way, or in none."""


class More(Exception):
    """So far so good."""


class Message:
    def __init__(self):
        self.line = self.fields = None
        self.body = b""
        self.end = 0

    def all(self, name):
        return [v for n, v in self.fields if n == name]

    def has(self, name):
        return bool(self.all(name))


def strict_fields(lines):
    fields = []
    for line in lines:
        m = FIELD.fullmatch(line)
        if not m:
            raise Bad("field line %r" % line[:60])
        fields.append((m.group(1).lower(), m.group(2)))
    return fields


def strict_head(buf, pos, first_line):
    """The head at pos, and where its body begins."""
    end = buf.find(b"\r\n\r\n", pos)
    if re.search(rb"(?<!\r)\n|\r(?!\n|\Z)", bytes(buf[pos : end if end >= 0 else len(buf)])):
        raise Bad("bare CR or LF in a head")
    if end < 0:
        raise More()
    lines = bytes(buf[pos:end]).split(b"\r\n")
    m = Message()
    m.line = first_line.fullmatch(lines[0])
    if not m.line:
        raise Bad("first line %r" % lines[0][:60])
    m.fields = strict_fields(lines[1:])
    m.end = end + 4
    return m


def strict_length(m, minor):
    """None without a field, -1 for chunked, else the number."""
    lengths, codings = m.all(b"content-length"), m.all(b"transfer-encoding")
    if len(lengths) + len(codings) > 1:
        raise Bad("%d framing fields" % (len(lengths) + len(codings)))
    if codings:
        if codings[0].lower() != b"chunked" or minor == 0:
            raise Bad("Transfer-Encoding %r in HTTP/1.%d" % (codings[0], minor))
        return -1
    if lengths:
        if not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
            raise Bad("Content-Length %r" % lengths[0])
        return int(lengths[0])
    return None


def strict_line(buf, pos):
    end = buf.find(b"\r\n", pos)
    line = bytes(buf[pos : end if end >= 0 else len(buf)])
    if b"\n" in line or b"\r" in line[:-1] or (end >= 0 and b"\r" in line):
        raise Bad("bare CR or LF in a chunk line")
    if end < 0:
        raise More()
    return line, end + 2


def strict_chunks(m, buf):
    pos = m.end
    while True:
        line, pos = strict_line(buf, pos)
        size = CHUNK.fullmatch(line)
        if not size:
            raise Bad("chunk line %r" % line[:40])
        n = int(size.group(1), 16)
        if n == 0:
            break
        if buf[pos + n : pos + n + 2] not in (b"\r\n", b"\r", b""):
            raise Bad("no CRLF after a chunk")
        if len(buf) < pos + n + 2:
            raise More()
        m.body += bytes(buf[pos : pos + n])
        pos += n + 2
    lines = []
    while True:
        line, pos = strict_line(buf, pos)
        if not line:
            break
        lines.append(line)
    for name, _ in strict_fields(lines):
        if name in NO_TRAILER:
            raise Bad("%s in a trailer" % name.decode())
    m.end = pos


def strict_body(m, buf, length):
    if length == -1:
        strict_chunks(m, buf)
    elif length:
        if len(buf) < m.end + length:
            raise More()
        m.body = bytes(buf[m.end : m.end + length])
        m.end += length


def strict_request_head(buf, pos):
    m = strict_head(buf, pos, REQUEST_LINE)
    hosts = m.all(b"host")
    if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
        raise Bad("Host %r" % hosts)
    target = m.line.group(2)
    if b"://" in target.split(b"?")[0] and target.split(b"/")[2] != hosts[0]:
        raise Bad("target %r but Host %r" % (target, hosts[0]))
    return m, strict_length(m, int(m.line.group(3)))


class Connection:
    """What one connection to the origin brought, and what was made of it."""

    def __init__(self, sock):
        self.sock = sock
        self.buf = bytearray()
        self.pos = 0
        self.early = False
        self.skip = 0
        self.closed = False


class Origin(threading.Thread):
    """Answers every request that the strict parser takes; keeps the rest as evidence."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Condition()  # told whenever bytes came
        self.conns = []
        self.requests = []
        self.bad = []
        self.hostile = {}

    def run(self):
        while True:
            with self.lock:
                socks = [c.sock for c in self.conns if not c.closed]
            select.select([self.listener] + socks, [], [], 0.2)
            self.poll()

    def poll(self):
        """Takes in everything that has arrived."""
        with self.lock:
            while select.select([self.listener], [], [], 0)[0]:
                sock = self.listener.accept()[0]
                sock.settimeout(5)
                self.conns.append(Connection(sock))
            for c in self.conns:
                while not c.closed and select.select([c.sock], [], [], 0)[0]:
                    self.receive(c)

    def receive(self, c):
        try:
            data = c.sock.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self.close(c)
            return
        c.buf += data
        self.lock.notify_all()
        try:
            while c.pos < len(c.buf) and not c.closed:
                self.step(c)
        except More:
            pass
        except Bad as e:
            self.bad.append((str(e), bytes(c.buf[c.pos :])))
            self.send(c, b"HTTP/1.1 400 Bad\r\nX-Origin: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.close(c)

    def step(self, c):
        m, length = strict_request_head(c.buf, c.pos)
        answer, hangs_up, early = self.hostile.get(m.line.group(2), (None, False, False))
        if early and not c.early:
            c.early = True
            self.send(c, answer)
        strict_body(m, c.buf, length)
        c.pos = m.end
        self.requests.append(m)
        if c.early:
            c.early = False
            return
        if answer is None:
            body = (b"%s" % m.all(b"x-row")[0]) if m.has(b"x-row") else b"nobody"
            answer = b"HTTP/1.1 200 OK\r\nX-Origin: 1\r\nContent-Length: %d\r\n\r\n" % len(body)
            answer += body if m.line.group(1) != b"HEAD" else b""
        self.send(c, answer)
        if hangs_up:
            self.close(c)

    def send(self, c, data):
        try:
            c.sock.sendall(data)
        except OSError:
            self.close(c)

    def close(self, c):
        if not c.closed:
            c.closed = True
            c.sock.close()

    def wait_begun(self, end):
        """Until a part of a request is here; some proxies send nothing before they have it all."""
        with self.lock:
            self.lock.wait_for(lambda: any(c.pos < len(c.buf) for c in self.conns), end - time.monotonic())

    def harvest(self):
        """What came since the last time: requests, violations, and beginnings of requests (open or given up)."""
        self.poll()
        with self.lock:
            begun = [bytes(c.buf[c.pos :]) for c in self.conns if c.pos < len(c.buf)]
            out = self.requests, self.bad, [b for b in begun]
            self.requests, self.bad = [], []
            for c in self.conns:
                if c.pos < len(c.buf):
                    self.close(c)
            self.conns = [c for c in self.conns if not c.closed]
        return out


# ---- requests ----


def lines(*parts):
    return b"".join(p + b"\r\n" for p in parts)


def req(*fields, line=b"POST /r HTTP/1.1", body=b"", host=b"Host: a.test"):
    return lines(line, *([host] if host is not None else []), b"X-Row: @", *fields) + b"\r\n" + body


def get(*fields, **kw):
    kw.setdefault("line", b"GET /r HTTP/1.1")
    return req(*fields, **kw)


def chunked(body, *fields):
    return req(b"Transfer-Encoding: chunked", *fields, body=body)


class Row:
    """raw: what the client sends; later: and once the origin has seen the beginning. expect: what lb makes of it, with the status. bodies: what the origin may read."""

    def __init__(self, name, raw, expect, bodies=(b"",), gone=(), must=(), host=b"a.test", later=b""):
        self.name, self.raw, self.bodies = name, raw, bodies
        self.expect, _, self.status = expect.partition(" ")
        self.gone, self.must, self.host, self.later = gone, must, host, later


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.test\r\nX-Row: smuggled\r\n\r\n"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
HI = (b"hello",)
LONG = b"a" * 70000


def request_rows():
    R, te, cl = Row, b"Transfer-Encoding: ", b"Content-Length: "
    rows = [
        R("plain GET", get(), "clean 200"),
        R("plain POST", req(cl + b"5", body=b"hello"), "clean 200", HI),
        R("plain chunked POST", chunked(CHUNKS), "clean 200", HI),
        # the bytes of lines
        R("bare LF ends the request line", get().replace(b"\r\n", b"\n", 1), "refused 400"),
        R("bare LF ends a field", get(b"A: b\nC: d"), "refused 400"),
        R("bare LF ends every line", get().replace(b"\r\n", b"\n"), "refused 400"),
        R("bare LF hides a Content-Length", req(b"A: b\n" + cl + b"%d" % len(SMUGGLED), body=SMUGGLED), "refused 400",
          (SMUGGLED,)),
        R("bare CR in the request line", get(line=b"GET /r\r HTTP/1.1"), "refused 400"),
        R("bare CR in a value", get(b"A: b\rC: d"), "refused 400"),
        R("bare CR hides a Transfer-Encoding", req(cl + b"5", b"A: b\r" + te + b"chunked", body=b"hello"), "refused 400", HI),
        R("bare CR ends a field", get(b"A: b\r\rC: d"), "refused 400"),
        R("CR CR LF ends the head", get()[:-2] + b"\r\r\n", "refused 400"),
        R("space before the colon", get(b"A : b"), "refused 400"),
        R("tab before the colon", get(b"A\t: b"), "refused 400"),
        R("space before the colon of Transfer-Encoding", req(cl + b"5", b"Transfer-Encoding : chunked", body=b"hello"),
          "refused 400", HI),
        R("space before the colon of Content-Length", req(b"Content-Length : %d" % len(SMUGGLED), body=SMUGGLED), "refused 400",
          (SMUGGLED,)),
        R("obs-fold", get(b"A: b", b" c"), "refused 400"),
        R("obs-fold by a tab", get(b"A: b", b"\tc"), "refused 400"),
        R("obs-fold of Transfer-Encoding", req(b"Transfer-Encoding:", b" chunked", body=CHUNKS), "refused 400", HI),
        R("the first field folded", lines(b"GET /r HTTP/1.1", b" A: b", b"Host: a.test", b"X-Row: @", b""), "refused 400"),
        R("empty name", get(b": b"), "refused 400"),
        R("no colon", get(b"nothing"), "refused 400"),
        R("a slash in a name", get(b"A/B: c"), "refused 400"),
        R("a NUL in a name", get(b"A\0B: c"), "refused 400"),
        R("a byte over 0x7f in a name", get(b"A\xe9: c"), "refused 400"),
        R("NUL in a value", get(b"A: b\0c"), "refused 400"),
        R("control byte in a value", get(b"A: b\x01c"), "refused 400"),
        R("DEL in a value", get(b"A: b\x7fc"), "refused 400"),
        R("vertical tab before a value", req(te + b"\x0bchunked", body=CHUNKS), "refused 400", HI),
        R("byte over 0x7f in a value", get(b"A: caf\xc3\xa9"), "clean 200"),
        R("empty value", get(b"A:"), "clean 200"),
        # Host
        R("no Host", get(host=None), "refused 400"),
        R("two Hosts", get(b"Host: b.test"), "refused 400"),
        R("two equal Hosts", get(b"Host: a.test"), "refused 400"),
        R("empty Host", get(host=b"Host:"), "refused 400"),
        R("Host with a path", get(host=b"Host: a.test/x"), "refused 400"),
        R("Host with a user", get(host=b"Host: u@a.test"), "refused 400"),
        R("Host with a space", get(host=b"Host: a.test b.test"), "refused 400"),
        R("Host as a list", get(host=b"Host: a.test, b.test"), "refused 400"),
        R("Host with a bad port", get(host=b"Host: a.test:99999"), "refused 400"),
        R("Host with letters as port", get(host=b"Host: a.test:8o"), "refused 400"),
        R("absolute form, another Host", get(line=b"GET http://b.test/r HTTP/1.1"), "clean 200", host=b"b.test"),
        R("absolute form with a user", get(line=b"GET http://u@a.test/r HTTP/1.1"), "refused 400"),
        R("absolute form without a host", get(line=b"GET http:///r HTTP/1.1"), "refused 400"),
        # Transfer-Encoding
        R("Content-Length and Transfer-Encoding", req(cl + b"5", te + b"chunked", body=b"0\r\n\r\n" + SMUGGLED), "refused 400"),
        R("Transfer-Encoding and Content-Length", req(te + b"chunked", cl + b"%d" % len(CHUNKS), body=CHUNKS), "refused 400", HI),
        R("Transfer-Encoding in HTTP/1.0", req(te + b"chunked", line=b"POST /r HTTP/1.0", body=CHUNKS), "refused 400", HI),
        R("both in HTTP/1.0", req(te + b"chunked", cl + b"5", line=b"POST /r HTTP/1.0", body=CHUNKS[:5]), "refused 400"),
        R("xchunked", req(te + b"xchunked", body=CHUNKS), "refused 400", HI),
        R("xchunked and Content-Length", req(te + b"xchunked", cl + b"5", body=b"hello"), "refused 400", HI),
        R("chunked, chunked", req(te + b"chunked, chunked", body=CHUNKS), "refused 400", HI),
        R("chunked twice", req(te + b"chunked", te + b"chunked", body=CHUNKS), "refused 400", HI),
        R("chunked, identity", req(te + b"chunked, identity", body=CHUNKS), "refused 400", HI),
        R("identity", req(te + b"identity", body=b""), "refused 400"),
        R("identity and Content-Length", req(te + b"identity", cl + b"5", body=b"hello"), "refused 400", HI),
        R("gzip, chunked", req(te + b"gzip, chunked", body=CHUNKS), "refused 501", HI),
        R("an empty coding", req(te + b",chunked", body=CHUNKS), "refused 400", HI),
        R("empty Transfer-Encoding", req(te, body=b""), "refused 400"),
        R("quoted chunked", req(te + b'"chunked"', body=CHUNKS), "refused 400", HI),
        R("chunked with a parameter", req(te + b"chunked;a=b", body=CHUNKS), "refused 400", HI),
        R("CHUNKED in capitals", req(te + b"ChUnKeD", body=CHUNKS), "clean 200", HI),
        R("Transfer_Encoding", req(b"Transfer_Encoding: chunked", cl + b"5", body=b"hello"), "clean 200", HI),
        # Content-Length
        R("two Content-Lengths", req(cl + b"5", cl + b"%d" % (5 + len(SMUGGLED)), body=b"hello" + SMUGGLED), "refused 400", ()),
        R("two equal Content-Lengths", req(cl + b"5", cl + b"5", body=b"hello"), "refused 400", HI),
        R("Content-Length: 5, 5", req(cl + b"5, 5", body=b"hello"), "refused 400", HI),
        R("Content-Length: 5, 6", req(cl + b"5, 6", body=b"hello"), "refused 400", ()),
    ]
    for value, what in ((b"+5", "a sign"), (b"-5", "a minus"), (b"0x5", "hexadecimal"), (b"5_0", "an underscore"),
                        (b"", "nothing"), (b"5 5", "a space"), (b"5.0", "a point"), (b"5;a", "a parameter"),
                        (b"\xb25", "a byte over 0x7f"), (b'"5"', "quotes")):
        rows.append(R("Content-Length with " + what, req(cl + value, body=b"hello"), "refused 400", ()))
    rows += [
        R("Content-Length over 2^63", req(cl + b"9223372036854775808", body=b"hello"), "refused 413", ()),
        R("Content-Length 2^64 + 5", req(cl + b"18446744073709551621", body=b"hello"), "refused 413", ()),
        R("Content-Length with zeros", req(cl + b"0000000005", body=b"hello"), "clean 200", HI),
    ]
    # chunks: the head may be on its way when a bad one is found, the end of the body not
    for line, what in ((b"0x5", "0x"), (b"+5", "a sign"), (b"-5", "a minus"), (b" 5", "a space before"), (b"5 ", "a space after"),
                       (b"5_", "an underscore"), (b"", "no digit"), (b"g", "a letter"), (b"5\t", "a tab"), (b"5\0", "a NUL"),
                       (b"10000000000000005", "an overflow"), (b"0" * 40 + b"5", "forty zeros"),
                       (b"5;a=\x01", "a control byte in an extension"), (b"5;a\nb", "a bare LF in an extension"),
                       (b"5;a\rb", "a bare CR in an extension"), (b"5;" + LONG, "an endless extension")):
        rows.append(R("chunk size with " + what, chunked(line + b"\r\nhello\r\n0\r\n\r\n"), "cut", HI))
    rows += [
        R("chunk size with an extension", chunked(b"5;a=b\r\nhello\r\n0\r\n\r\n"), "clean 200", HI),
        R("chunk size with a few zeros", chunked(b"0005\r\nhello\r\n0\r\n\r\n"), "clean 200", HI),
        R("bare LF ends a chunk size", chunked(b"5\nhello\r\n0\r\n\r\n"), "cut", HI),
        R("bare CR ends a chunk size", chunked(b"5\rhello\r\n0\r\n\r\n"), "cut", HI),
        R("bare LF ends the data of a chunk", chunked(b"5\r\nhello\n0\r\n\r\n"), "cut", HI),
        R("two bytes too many in a chunk", chunked(b"5\r\nhelloXX0\r\n\r\n"), "cut", ()),
        R("bare LF ends the last chunk", chunked(b"5\r\nhello\r\n0\n\r\n"), "cut", HI),
        R("bare LF ends the body", chunked(b"5\r\nhello\r\n0\r\n\n"), "cut", HI),
        R("a bad chunk size, later", chunked(b"5\r\nhello\r\n"), "cut 400", HI, later=b"0x0\r\n\r\n"),
        R("bare LF ends a chunk size, later", chunked(b"5\r\nhello\r\n"), "cut 400", HI, later=b"0\n\r\n"),
        R("bare LF ends the body, later", chunked(b"5\r\nhello\r\n"), "cut 400", HI, later=b"0\r\n\n"),
        R("a good end, later", chunked(b"5\r\nhello\r\n"), "clean 200", HI, later=b"0\r\n\r\n"),
        R("Content-Length in a trailer", chunked(b"0\r\nContent-Length: 50\r\n\r\n"), "clean 200"),
        R("Transfer-Encoding in a trailer", chunked(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"), "clean 200"),
        R("Host in a trailer", chunked(b"0\r\nHost: b.test\r\n\r\n", b"TE: trailers", b"Connection: TE"), "clean 200"),
        R("Authorization in a trailer", chunked(b"0\r\nAuthorization: x\r\n\r\n", b"TE: trailers", b"Connection: TE"), "clean 200"),
        R("space before the colon of a trailer", chunked(b"0\r\nA : b\r\n\r\n"), "cut"),
        R("bare LF in a trailer", chunked(b"0\r\nA: b\nC: d\r\n\r\n"), "cut"),
        R("obs-fold in a trailer", chunked(b"0\r\nA: b\r\n c\r\n\r\n"), "cut"),
        # Connection
        R("Connection names a field", get(b"Connection: X-Secret", b"X-Secret: 1"), "clean 200", gone=[b"x-secret"]),
        R("Connection names Host", get(b"Connection: close, Host"), "clean 200", must=[b"host"]),
        R("Connection names Content-Length", req(cl + b"5", b"Connection: Content-Length", body=b"hello"), "clean 200", HI),
        R("Connection names Transfer-Encoding", chunked(CHUNKS, b"Connection: Transfer-Encoding"), "clean 200", HI),
        R("Connection names Authorization", get(b"Authorization: x", b"Connection: Authorization"), "clean 200",
          must=[b"authorization"]),
        R("Connection names Cookie", get(b"Cookie: a=b", b"Connection: Cookie"), "clean 200"),
        R("Connection names X-Forwarded-For", get(b"Connection: X-Forwarded-For"), "clean 200", must=[b"x-forwarded-for"]),
        R("Proxy-Connection and Keep-Alive", get(b"Proxy-Connection: keep-alive", b"Keep-Alive: timeout=5"), "clean 200"),
        R("TE: gzip", get(b"TE: gzip, trailers", b"Connection: TE"), "clean 200"),
        R("Upgrade: h2c", get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
          "clean 200", gone=[b"http2-settings"]),
        # request lines
        R("HTTP/0.9", b"GET /r\r\n", "refused 400"),
        R("HTTP/1.2", get(line=b"GET /r HTTP/1.2"), "refused 505"),
        R("HTTP/2.0", get(line=b"GET /r HTTP/2.0"), "refused 505"),
        R("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "refused 505"),
        R("HTTP/1.10", get(line=b"GET /r HTTP/1.10"), "refused 400"),
        R("HTTP/01.1", get(line=b"GET /r HTTP/01.1"), "refused 400"),
        R("http/1.1", get(line=b"GET /r http/1.1"), "refused 400"),
        R("two spaces after the method", get(line=b"GET  /r HTTP/1.1"), "refused 400"),
        R("a tab after the method", get(line=b"GET\t/r HTTP/1.1"), "refused 400"),
        R("a space after the version", get(line=b"GET /r HTTP/1.1 "), "refused 400"),
        R("a space before the method", get(line=b" GET /r HTTP/1.1"), "refused 400"),
        R("a method with a bracket", get(line=b"GE(T /r HTTP/1.1"), "refused 400"),
        R("a method with a NUL", get(line=b"GE\0T /r HTTP/1.1"), "refused 400"),
        R("a method of its own", get(line=b"FROB /r HTTP/1.1"), "clean 200"),
        R("a target with a space", get(line=b"GET /r HTTP/1.1 HTTP/1.1"), "refused 400"),
        R("a target with a control byte", get(line=b"GET /r\x01 HTTP/1.1"), "refused 400"),
        R("a target with a fragment", get(line=b"GET /r#x HTTP/1.1"), "refused 400"),
        R("a target with a byte over 0x7f", get(line=b"GET /r\xe9 HTTP/1.1"), "refused 400"),
        R("a target without a slash", get(line=b"GET r HTTP/1.1"), "refused 400"),
        R("a target *, of GET", get(line=b"GET * HTTP/1.1"), "refused 400"),
        R("CONNECT", get(line=b"CONNECT a.test:80 HTTP/1.1"), "refused"),
        R("a target too long", get(line=b"GET /" + LONG + b" HTTP/1.1"), "refused 414"),
        R("a value too long", get(b"A: " + LONG), "refused 431"),
        R("too many fields", get(*[b"A: b"] * 5000), "refused 431"),
        # what is allowed, and sometimes run together
        R("GET with a body", get(cl + b"%d" % len(SMUGGLED), body=SMUGGLED), "clean 200", (SMUGGLED,)),
        R("GET with a chunked body", get(te + b"chunked", body=CHUNKS), "clean 200", HI),
        R("GET, and a request as its body without a length", get(b"X-Length: 5"), "clean 200"),
        R("an empty line before", b"\r\n" + get(), "clean 200"),
        R("Expect: 100-continue, body sent", req(b"Expect: 100-continue", cl + b"5", body=b"hello"), "clean 200", HI),
        R("Expect: something", req(b"Expect: 200-ok", cl + b"5", body=b"hello"), "refused 417", HI),
        R("Expect: 100-continue twice", req(*[b"Expect: 100-continue"] * 2, cl + b"5", body=b"hello"), "clean 200", HI),
        R("Max-Forwards: 0 of OPTIONS", get(b"Max-Forwards: 0", line=b"OPTIONS /r HTTP/1.1"), "answered 200"),
        R("Max-Forwards: 0 of TRACE", get(b"Max-Forwards: 0", line=b"TRACE /r HTTP/1.1"), "answered 501"),
        R("Max-Forwards: -1 of OPTIONS", get(b"Max-Forwards: -1", line=b"OPTIONS /r HTTP/1.1"), "clean 200"),
        R("TRACE with a body", req(cl + b"5", line=b"TRACE /r HTTP/1.1", body=b"hello"), "clean 200", HI),
    ]
    return rows


NEXT = b"GET /next HTTP/1.1\r\nHost: a.test\r\nX-Row: next @\r\nConnection: close\r\n\r\n"


def read_all(sock, end):
    data = b""
    while True:
        sock.settimeout(max(0.01, end - time.monotonic()))
        try:
            more = sock.recv(1 << 16)
        except socket.timeout:
            return data, False
        except OSError:
            return data, True
        if not more:
            return data, True
        data += more


def send(sock, data):
    try:
        sock.sendall(data)
    except OSError:
        pass  # closed meanwhile: what it answered says the rest


def dial(port):
    sock = socket.create_connection(("127.0.0.1", port), timeout=5)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


class Outcome:
    def __init__(self, verdict, status="", why=""):
        self.verdict, self.status, self.why = verdict, status, why


class Proxy:
    def __init__(self, name, port, origin, patience):
        self.name, self.port, self.origin, self.patience = name, port, origin, patience
        self.outcomes = []

    def sync(self, tag):
        """A request of another client, which must get its own answer; then all that came before it has come too."""
        with dial(self.port) as s:
            send(s, b"GET /sync HTTP/1.1\r\nHost: a.test\r\nX-Row: sync %s\r\nConnection: close\r\n\r\n" % tag)
            data, _ = read_all(s, time.monotonic() + 5)
        return data.endswith(b"\r\n\r\nsync " + tag)

    def request(self, i, row):
        tag = b"%d" % i
        with dial(self.port) as s:
            raw, following = row.raw.replace(b"X-Row: @", b"X-Row: " + tag), NEXT.replace(b"@", tag)
            if row.later:
                send(s, raw)
                self.origin.wait_begun(time.monotonic() + self.patience)
                raw = row.later
            send(s, raw + following)  # at once: what a proxy makes of it may depend on the pieces
            data, closed = read_all(s, time.monotonic() + self.patience)
        status = re.findall(rb"^HTTP/1\.[01] ([2-9][0-9][0-9])", data, re.M)[:1]
        synced = self.sync(tag)
        requests, bad, begun = self.origin.harvest()
        requests = [m for m in requests if m.all(b"x-row") != [b"sync " + tag]]
        out = judge(row, tag, requests, bad, begun, closed)
        if not synced:
            out = Outcome("AMBIGUOUS", why="the next client did not get its own answer")
        out.status = status[0].decode() if status else ""
        return out

    def response(self, i, row):
        tag = b"%d" % i
        with self.origin.lock:
            self.origin.hostile = {b"/bad": (row.raw, row.hangs_up, row.early)}
        with dial(self.port) as s:
            out = exchange(s, row, tag, self.patience)
        with self.origin.lock:
            self.origin.hostile = {}
        if not self.sync(tag):
            out = Outcome("AMBIGUOUS", out.status, "the next client did not get its own answer")
        self.origin.harvest()
        return out


def judge(row, tag, requests, bad, begun, closed):
    if bad:
        return Outcome("AMBIGUOUS", why=bad[0][0])
    tags = [(m.all(b"x-row") or [b""])[0] for m in requests]
    if not requests:
        return Outcome("cut" if any(begun) else "refused" if closed else "stuck")
    if tags == [b"next " + tag]:
        return Outcome("answered")
    if tags not in ([tag], [tag, b"next " + tag]):
        return Outcome("AMBIGUOUS", why="the origin read %s" % tags)
    return judge_forwarded(row, requests[0])


def judge_forwarded(row, m):
    host = m.all(b"host")[0].split(b":")[0]
    if m.body not in row.bodies:
        return Outcome("AMBIGUOUS", why="the origin read the body %r" % m.body[:40])
    if host != row.host:
        return Outcome("AMBIGUOUS", why="Host is %r" % host)
    for name in HOP_BY_HOP + tuple(row.gone):
        if m.has(name) and not (name == b"te" and m.all(name) == [b"trailers"]):
            return Outcome("leaks", why=name.decode())
    for name in row.must:
        if not m.has(name):
            return Outcome("strips", why=name.decode())
    return Outcome("clean")


# ---- responses ----


class Answer:
    """raw: what the origin answers, after which it may hang up. early: as soon as it has read the head."""

    def __init__(self, name, raw, expect, body=b"hello", hangs_up=False, method=b"GET", early=False):
        self.name, self.raw, self.body, self.hangs_up = name, raw, body, hangs_up
        self.expect, _, self.status = expect.partition(" ")
        self.method, self.early = method, early


POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


def resp(*fields, line=b"HTTP/1.1 200 OK", body=b"hello"):
    return lines(line, b"X-Origin: 1", *fields) + b"\r\n" + body


def response_rows():
    A, te, cl = Answer, b"Transfer-Encoding: ", b"Content-Length: "
    ch = te + b"chunked"
    five = cl + b"5"
    flood = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2000
    rows = [
        A("plain", resp(five), "clean 200"),
        A("plain chunked", resp(ch, body=CHUNKS), "clean 200"),
        A("until it closes", resp(), "clean 200", hangs_up=True),
        A("Content-Length and Transfer-Encoding", resp(five, ch, body=CHUNKS), "refused 502"),
        A("two Content-Lengths", resp(five, cl + b"6"), "refused 502", hangs_up=True),
        A("two equal Content-Lengths", resp(five, five), "refused 502", hangs_up=True),
        A("Content-Length: 5, 5", resp(cl + b"5, 5"), "refused 502", hangs_up=True),
        A("Content-Length with a sign", resp(cl + b"+5"), "refused 502", hangs_up=True),
        A("Content-Length in hexadecimal", resp(cl + b"0x5"), "refused 502", hangs_up=True),
        A("empty Content-Length", resp(cl), "refused 502", hangs_up=True),
        A("Content-Length 2^64 + 5", resp(cl + b"18446744073709551621"), "refused 502", hangs_up=True),
        A("body shorter than its length", resp(cl + b"9"), "cut", hangs_up=True),
        A("xchunked", resp(te + b"xchunked", body=CHUNKS), "refused 502", hangs_up=True),
        A("chunked, chunked", resp(te + b"chunked, chunked", body=CHUNKS), "refused 502", hangs_up=True),
        A("\\vchunked", resp(te + b"\x0bchunked", body=CHUNKS), "refused 502", hangs_up=True),
        A("Transfer-Encoding in HTTP/1.0", resp(ch, line=b"HTTP/1.0 200 OK", body=CHUNKS), "refused 502", hangs_up=True),
        A("space before the colon", resp(five, b"A : b"), "refused 502"),
        A("space before the colon of Content-Length", resp(b"Content-Length : 5"), "refused 502", hangs_up=True),
        A("obs-fold", resp(five, b"A: b", b" c"), "refused 502"),
        A("obs-fold of Transfer-Encoding", resp(b"Transfer-Encoding:", b" chunked", body=CHUNKS), "refused 502"),
        A("bare LF ends every line of the head", resp(five).replace(b"\r\n", b"\n"), "refused 502", hangs_up=True),
        A("bare LF ends a field", resp(b"A: b\n" + five), "refused 502", hangs_up=True),
        A("bare CR in a value", resp(five, b"A: b\rC: d"), "refused 502"),
        A("NUL in a value", resp(five, b"A: b\0c"), "refused 502"),
        A("control byte in a value", resp(five, b"A: b\x01c"), "refused 502"),
        A("empty name", resp(five, b": b"), "refused 502"),
        A("a name with a space", resp(five, b"A B: c"), "refused 502"),
        A("no colon", resp(five, b"nothing"), "refused 502"),
        A("status line: garbage", b"hello\r\n\r\n", "refused 502", hangs_up=True),
        A("status line: 99", resp(five, line=b"HTTP/1.1 099 OK"), "refused 502", hangs_up=True),
        A("status line: 2000", resp(five, line=b"HTTP/1.1 2000 OK"), "refused 502", hangs_up=True),
        A("status line: 600", resp(five, line=b"HTTP/1.1 600 OK"), "refused 502", hangs_up=True),
        A("status line: no status", resp(five, line=b"HTTP/1.1 OK"), "refused 502", hangs_up=True),
        A("status line: HTTP/2.0", resp(five, line=b"HTTP/2.0 200 OK"), "refused 502", hangs_up=True),
        A("status line: a NUL in the reason", resp(five, line=b"HTTP/1.1 200 O\0K"), "refused 502", hangs_up=True),
        A("status line: a bare CR in the reason", resp(five, line=b"HTTP/1.1 200 O\rK"), "refused 502", hangs_up=True),
        A("HTTP/0.9", b"hello", "refused 502", hangs_up=True),
        A("nothing", b"", "refused 502", hangs_up=True),
        A("half a head", b"HTTP/1.1 200 OK\r\nX-Or", "refused 502", hangs_up=True),
        A("a head too long", resp(five, b"A: " + LONG), "refused 502", hangs_up=True),
        A("chunk size with 0x", resp(ch, body=b"0x5\r\nhello\r\n0\r\n\r\n"), "cut", hangs_up=True),
        A("chunk size with a sign", resp(ch, body=b"+5\r\nhello\r\n0\r\n\r\n"), "cut", hangs_up=True),
        A("chunk size with a space before", resp(ch, body=b" 5\r\nhello\r\n0\r\n\r\n"), "cut", hangs_up=True),
        A("chunk size with an overflow", resp(ch, body=b"10000000000000005\r\nhello\r\n0\r\n\r\n"), "cut", hangs_up=True),
        A("chunk size ended by a bare LF", resp(ch, body=b"5\nhello\r\n0\r\n\r\n"), "cut", hangs_up=True),
        A("two bytes too many in a chunk", resp(ch, body=b"5\r\nhelloXX0\r\n\r\n"), "cut", hangs_up=True),
        A("chunks without an end", resp(ch, body=b"5\r\nhello\r\n"), "cut", hangs_up=True),
        A("Content-Length in a trailer", resp(ch, body=b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n"), "clean 200"),
        A("bytes after a Content-Length", resp(five, body=b"hello" + POISON), "clean 200"),
        A("bytes after the last chunk", resp(ch, body=CHUNKS + POISON), "clean 200"),
        A("bytes after no Content-Length: 0", resp(cl + b"0", body=POISON), "clean 200", body=b""),
        A("204 with a body", resp(line=b"HTTP/1.1 204 No Content", body=POISON), "clean 204", body=b""),
        A("204 with a Content-Length", resp(five, line=b"HTTP/1.1 204 No Content", body=b"hello"), "clean 204", body=b""),
        A("304 with a body", resp(five, line=b"HTTP/1.1 304 Not Modified", body=POISON), "clean 304", body=b""),
        A("HEAD with a body", resp(cl + b"%d" % len(POISON), body=POISON), "clean 200", body=b"", method=b"HEAD"),
        A("101 that nobody asked for", resp(b"Connection: Upgrade", b"Upgrade: x", line=b"HTTP/1.1 101 Go", body=POISON),
          "refused 502", hangs_up=True),
        A("one 103 before", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + resp(five), "clean 200"),
        A("a 100 that nobody asked for", b"HTTP/1.1 100 Continue\r\n\r\n" + resp(five), "clean 200"),
        A("a hundred with a length", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + resp(five), "clean 200"),
        A("2000 of 103 before", flood + resp(five), "refused 502", hangs_up=True),
        A("Connection names a field", resp(five, b"Connection: X-Secret", b"X-Secret: 1"), "clean 200"),
        A("Connection names Content-Length", resp(five, b"Connection: Content-Length"), "clean 200"),
        A("answered before the body has come", resp(five), "clean 200", method=b"POST", early=True),
        A("answered before the body has come, and closed", resp(five, b"Connection: close"), "clean 200", method=b"POST", early=True),
    ]
    return rows


class Reader:
    """Reads answers from a connection with the strict parser."""

    def __init__(self, sock, end):
        self.sock, self.end, self.buf, self.eof = sock, end, bytearray(), False

    def fill(self):
        self.sock.settimeout(max(0.01, self.end - time.monotonic()))
        try:
            data = self.sock.recv(1 << 16)
        except socket.timeout:
            raise TimeoutError from None
        except OSError:
            data = b""
        self.eof = not data
        self.buf += data

    def until(self, parse):
        while True:
            try:
                return parse()
            except More:
                if self.eof:
                    raise EOFError from None
                self.fill()

    def head(self):
        if not b"HTTP/1.".startswith(bytes(self.buf[:7])):
            raise Bad("no head: %r" % bytes(self.buf[:40]))
        return strict_head(self.buf, 0, STATUS_LINE)

    def answer(self, method):
        """The next final answer, and whether the connection goes on."""
        while True:
            m = self.until(self.head)
            status = int(m.line.group(2))
            if status >= 200 or status == 101:
                break
            if m.has(b"content-length") or m.has(b"transfer-encoding"):
                raise Bad("a framing field in a %d" % status)
            del self.buf[: m.end]
        length = strict_length(m, int(m.line.group(1)))
        lasts = m.line.group(1) == b"1" and b"close" not in b",".join(m.all(b"connection")).lower()
        if status == 204 and length is not None:
            raise Bad("a framing field in a 204")
        if method == b"HEAD" or status in (101, 204, 304):
            length = 0
        elif length is None:
            lasts = False
            while not self.eof:
                self.fill()
            m.body, m.end = bytes(self.buf[m.end :]), len(self.buf)
        if length:
            start = m.end
            self.until(lambda: self.body(m, start, length))
        del self.buf[: m.end]
        if self.buf:
            raise Bad("bytes behind the answer: %r" % bytes(self.buf[:40]))
        return m, status, lasts

    def body(self, m, start, length):
        m.end, m.body = start, b""
        strict_body(m, self.buf, length)


def exchange(sock, row, tag, patience):
    """The bad answer, and on the same connection a good one behind it."""
    rest = b""
    head = lines(row.method + b" /bad HTTP/1.1", b"Host: a.test", b"X-Row: " + tag)
    if row.early:
        head += b"Content-Length: 10\r\n"
        rest = b"67890"
    send(sock, head + b"\r\n" + (b"12345" if row.early else b""))
    if row.early and not select.select([sock], [], [], patience / 2)[0]:
        send(sock, rest)  # this one waits for the whole body
        rest = b""
    reader = Reader(sock, time.monotonic() + patience)
    out = Outcome("stuck")
    try:
        m, status, lasts = reader.answer(row.method)
        out = judge_answer(row, m, status)
        if lasts:
            send(sock, rest + NEXT.replace(b"@", tag))
            m, status, _ = reader.answer(b"GET")
            if m.body != b"next " + tag or status != 200:
                raise Bad("the request behind it was answered %r" % m.body[:40])
    except Bad as e:
        return Outcome("AMBIGUOUS", out.status, str(e))
    except EOFError:
        # Before an answer: nothing, or a part that says it is one. Behind one: closed, as it may be.
        if out.verdict == "stuck":
            out = Outcome("cut" if reader.buf else "refused")
    except TimeoutError:
        out = Outcome("stuck", out.status)
    return out


def judge_answer(row, m, status):
    if not m.has(b"x-origin"):
        return Outcome("refused" if status >= 500 else "AMBIGUOUS", str(status), "an answer from nowhere")
    if m.body != row.body:
        return Outcome("AMBIGUOUS", str(status), "the client read the body %r" % m.body[:40])
    if m.has(b"x-secret"):
        return Outcome("leaks", str(status), "x-secret")
    return Outcome("clean", str(status))


# ---- the table ----


def check_the_judge():
    """A judge that takes everything would find every proxy clean."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\n"
    bad = [b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", b"Content-Length: +1\r\n\r\n", b"A: b\nC: d\r\n\r\n",
           b"A: b\rC: d\r\n\r\n", b"A: b\r\n c\r\n\r\n", b"A : b\r\n\r\n", b"A: b\0\r\n\r\n", b"Host: a\r\n\r\n",
           b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"Transfer-Encoding: x, chunked\r\n\r\n"]
    bad += [b"Transfer-Encoding: chunked\r\n\r\n" + b
            for b in (b"0x1\r\n", b"1\n", b"1\r\nxy\r\n", b"0\n\r\n", b"0\r\nHost: a\r\n\r\n", b"1;\x01\r\n")]
    for rest in bad:
        try:
            m, length = strict_request_head(head + rest, 0)
            strict_body(m, head + rest, length)
        except (Bad, More) as e:
            if isinstance(e, Bad):
                continue
        sys.exit("the strict parser takes %r" % rest)


def run(proxy, tables):
    try:
        for direction, rows in tables:
            for i, row in enumerate(rows):
                proxy.outcomes.append(getattr(proxy, direction)(i, row))
    except Exception as e:  # said in the main thread
        proxy.outcomes.append(e)
        raise


def main():
    check_the_judge()
    origins = {name: Origin() for name in sys.argv[2:]}
    print("origins", *[o.port for o in origins.values()], flush=True)
    for o in origins.values():
        o.start()
    with open(sys.argv[1], encoding="ascii") as fifo:
        ports = dict(pair.split("=") for pair in fifo.readline().split())
    proxies = [Proxy(n, int(ports[n]), origins[n], 10 if n == "lb" else 0.5) for n in ports]
    tables = [("request", request_rows()), ("response", response_rows())]
    threads = [threading.Thread(target=run, args=(p, tables)) for p in proxies]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    rows = [(d, r) for d, rs in tables for r in rs]
    sys.exit(report(proxies, rows))


def report(proxies, rows):
    failed = 0
    for n, (direction, row) in enumerate(rows):
        outcomes = [p.outcomes[n] for p in proxies]
        if n == 0 or rows[n - 1][0] != direction:
            print("\n%-48s" % (direction + "s"), *["%-14s" % p.name for p in proxies])
        print("%-48s" % row.name, *["%-14s" % ("%s %s" % (o.verdict, o.status)) for o in outcomes])
        failed += complain(row, outcomes[0])
    for direction in ("request", "response"):
        mine = [n for n, (d, _) in enumerate(rows) if d == direction]
        print("\nof %d %ss, ambiguous:" % (len(mine), direction), end="")
        for p in proxies:
            print(" %s %d" % (p.name, sum(p.outcomes[n].verdict == "AMBIGUOUS" for n in mine)), end="")
    print("\n\nwhy:")
    for n, (direction, row) in enumerate(rows):
        for p in proxies:
            out = p.outcomes[n]
            if out.verdict in ("AMBIGUOUS", "leaks", "strips"):
                print("  %s, %s: %s" % (row.name, p.name, out.why))
    return failed > 0


def complain(row, out):
    """Is this what is expected of lb? A body may be found bad before anything of it was sent on, or after."""
    verdict = "cut" if row.expect == "cut" and out.verdict == "refused" else out.verdict
    if verdict == row.expect and (not row.status or row.status == out.status):
        return 0
    print("  FAILED: expected %s %s, found %s %s %s" % (row.expect, row.status, out.verdict, out.status, out.why))
    return 1


if __name__ == "__main__":
    main()
