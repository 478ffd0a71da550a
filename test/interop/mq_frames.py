"""AMQP 0-9-1 as bytes, for tests that say what no client would: an encoder and a decoder of their own."""
import socket
import struct

METHODS = {
    'connection.start': (10, 10, 'bbTXX'), 'connection.start-ok': (10, 11, 'TSXS'), 'connection.secure-ok': (10, 21, 'X'),
    'connection.tune': (10, 30, 'sls'), 'connection.tune-ok': (10, 31, 'sls'), 'connection.open': (10, 40, 'SSt'),
    'connection.open-ok': (10, 41, 'S'), 'connection.close': (10, 50, 'sSss'), 'connection.close-ok': (10, 51, ''),
    'connection.blocked': (10, 60, 'S'), 'connection.unblocked': (10, 61, ''),
    'connection.update-secret': (10, 70, 'XS'), 'connection.update-secret-ok': (10, 71, ''),
    'channel.open': (20, 10, 'S'), 'channel.open-ok': (20, 11, 'X'), 'channel.flow': (20, 20, 't'),
    'channel.flow-ok': (20, 21, 't'), 'channel.close': (20, 40, 'sSss'), 'channel.close-ok': (20, 41, ''),
    'access.request': (30, 10, 'Sttttt'), 'access.request-ok': (30, 11, 's'),
    'exchange.declare': (40, 10, 'sSStttttT'), 'exchange.declare-ok': (40, 11, ''), 'exchange.delete': (40, 20, 'sStt'),
    'exchange.delete-ok': (40, 21, ''), 'exchange.bind': (40, 30, 'sSSStT'), 'exchange.bind-ok': (40, 31, ''),
    'exchange.unbind': (40, 40, 'sSSStT'), 'exchange.unbind-ok': (40, 51, ''),
    'queue.declare': (50, 10, 'sStttttT'), 'queue.declare-ok': (50, 11, 'Sll'), 'queue.bind': (50, 20, 'sSSStT'),
    'queue.bind-ok': (50, 21, ''), 'queue.purge': (50, 30, 'sSt'), 'queue.purge-ok': (50, 31, 'l'),
    'queue.delete': (50, 40, 'sSttt'), 'queue.delete-ok': (50, 41, 'l'), 'queue.unbind': (50, 50, 'sSSST'),
    'queue.unbind-ok': (50, 51, ''),
    'basic.qos': (60, 10, 'lst'), 'basic.qos-ok': (60, 11, ''), 'basic.consume': (60, 20, 'sSSttttT'),
    'basic.consume-ok': (60, 21, 'S'), 'basic.cancel': (60, 30, 'St'), 'basic.cancel-ok': (60, 31, 'S'),
    'basic.publish': (60, 40, 'sSStt'), 'basic.return': (60, 50, 'sSSS'), 'basic.deliver': (60, 60, 'SLtSS'),
    'basic.get': (60, 70, 'sSt'), 'basic.get-ok': (60, 71, 'LtSSl'), 'basic.get-empty': (60, 72, 'S'),
    'basic.ack': (60, 80, 'Lt'), 'basic.reject': (60, 90, 'Lt'), 'basic.recover-async': (60, 100, 't'),
    'basic.recover': (60, 110, 't'), 'basic.recover-ok': (60, 111, ''), 'basic.nack': (60, 120, 'Ltt'),
    'confirm.select': (85, 10, 't'), 'confirm.select-ok': (85, 11, ''), 'tx.select': (90, 10, ''), 'tx.select-ok': (90, 11, ''),
    'tx.commit': (90, 20, ''), 'tx.commit-ok': (90, 21, ''), 'tx.rollback': (90, 30, ''), 'tx.rollback-ok': (90, 31, ''),
}
BY_ID = {(c, m): (name, letters) for name, (c, m, letters) in METHODS.items()}
NUMBERS = {'b': 'B', 's': 'H', 'l': 'I', 'L': 'Q'}


def short(s):
    s = s.encode() if isinstance(s, str) else s
    return bytes([len(s)]) + s


def value(v):
    if isinstance(v, bool):
        return b't' + bytes([v])
    if isinstance(v, int):
        return b'l' + struct.pack('>q', v) if not -2**31 <= v < 2**31 else b'I' + struct.pack('>i', v)
    if isinstance(v, dict):
        return b'F' + table(v)
    if isinstance(v, list):
        inner = b''.join(map(value, v))
        return b'A' + struct.pack('>I', len(inner)) + inner
    if v is None:
        return b'V'
    v = v.encode() if isinstance(v, str) else v
    return b'S' + struct.pack('>I', len(v)) + v


def table(d):
    inner = b''.join(short(k) + value(v) for k, v in d.items())
    return struct.pack('>I', len(inner)) + inner


def frame(kind, channel, payload, end=b'\xce'):
    return struct.pack('>BHI', kind, channel, len(payload)) + payload + end


def payload(name, *args):
    c, m, letters = METHODS[name]
    out, bits, nbits = struct.pack('>HH', c, m), 0, 0
    for letter, a in zip(letters, args, strict=True):
        if letter == 't':
            bits |= bool(a) << nbits
            nbits += 1
            continue
        if nbits:
            out, bits, nbits = out + bytes([bits]), 0, 0
        if letter in NUMBERS:
            out += struct.pack('>' + NUMBERS[letter], a)
        elif letter == 'S':
            out += short(a)
        elif letter == 'X':
            a = a.encode() if isinstance(a, str) else a
            out += struct.pack('>I', len(a)) + a
        elif letter == 'T':
            out += a if isinstance(a, bytes) else table(a)
    return out + (bytes([bits]) if nbits else b'')


def method(channel, name, *args):
    return frame(1, channel, payload(name, *args))


def header(channel, size, flags=0, properties=b'', class_id=60):
    return frame(2, channel, struct.pack('>HHQH', class_id, 0, size, flags) + properties)


def message(channel, exchange, key, body=b'', mandatory=False, immediate=False, flags=0, properties=b''):
    out = method(channel, 'basic.publish', 0, exchange, key, mandatory, immediate) + header(channel, len(body), flags, properties)
    return out + (frame(3, channel, body) if body else b'')


class Reader:
    def __init__(self, p):
        self.p, self.at = p, 0

    def take(self, n):
        self.at += n
        return self.p[self.at - n:self.at]

    def number(self, code):
        return struct.unpack('>' + code, self.take(struct.calcsize(code)))[0]

    def short(self):
        return self.take(self.number('B')).decode('latin-1')

    def value(self):
        kind = self.take(1)
        sized = {b't': '?', b'b': 'b', b'B': 'B', b's': 'h', b'u': 'H', b'I': 'i', b'i': 'I', b'l': 'q', b'f': 'f', b'd': 'd', b'T': 'Q'}
        if kind in sized:
            return self.number(sized[kind])
        if kind == b'V':
            return None
        inner = Reader(self.take(self.number('I')))
        if kind == b'F':
            return inner.table()
        if kind == b'A':
            out = []
            while inner.at < len(inner.p):
                out.append(inner.value())
            return out
        return inner.p.decode('latin-1')

    def table(self):
        out = {}
        while self.at < len(self.p):
            name = self.short()
            out[name] = self.value()
        return out

    def arguments(self, letters):
        out, nbits, bits = [], 0, 0
        for letter in letters:
            if letter == 't':
                if not nbits & 7:
                    bits = self.number('B')
                out.append(bool(bits >> (nbits & 7) & 1))
                nbits += 1
                continue
            nbits = 0
            if letter in NUMBERS:
                out.append(self.number(NUMBERS[letter]))
            elif letter == 'S':
                out.append(self.short())
            elif letter == 'X':
                out.append(self.take(self.number('I')).decode('latin-1'))
            elif letter == 'T':
                out.append(Reader(self.take(self.number('I'))).table())
        return out


class Raw:
    """A connection that says what it is told to, and decodes what comes back."""

    def __init__(self, port, deadline=10):
        self.s = socket.create_connection(('127.0.0.1', port), timeout=deadline)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b''

    def send(self, *pieces):
        try:
            self.s.sendall(b''.join(pieces))
        except OSError:
            pass  # what it said before it closed is still to be read
        return self

    def read(self, n):
        while len(self.buf) < n:
            try:
                more = self.s.recv(65536)
            except ConnectionError:
                more = b''
            if not more:
                return None
            self.buf += more
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def next(self):
        """('end',), ('other protocol', bytes), ('heartbeat', channel), ('header', ...), ('body', ...) or (name, channel, args)."""
        head = self.read(7)
        if head is None:
            return ('end',) if not self.buf else ('cut', self.buf)
        if head[:4] == b'AMQP':
            return ('other protocol', head + self.read(1))
        kind, channel, n = struct.unpack('>BHI', head)
        p = self.read(n + 1)
        if p is None:
            return ('cut', head + self.buf)
        assert p[-1] == 0xce, p
        r = Reader(p[:-1])
        if kind == 8:
            return ('heartbeat', channel)
        if kind == 3:
            return ('body', channel, p[:-1])
        if kind == 2:
            return ('header', channel, struct.unpack('>HHQ', r.take(12))[2], r.p[12:])
        name, letters = BY_ID[r.number('H'), r.number('H')]
        return (name, channel, r.arguments(letters))

    def expect(self, *names):
        got = self.next()
        assert got[0] in names, (names, got)
        return got

    def say_hello(self):
        return self.send(b'AMQP\0\0\x09\x01')

    def login(self, user='guest', password='guest', capabilities=(), vhost='/', tune=None):
        self.say_hello().expect('connection.start')
        self.send(method(0, 'connection.start-ok', {'capabilities': {c: True for c in capabilities}}, 'PLAIN',
                         '\0%s\0%s' % (user, password), 'en_US'))
        got = self.expect('connection.tune')[2]
        self.send(method(0, 'connection.tune-ok', *(tune or (got[0], got[1], 0))))
        self.send(method(0, 'connection.open', vhost, '', False)).expect('connection.open-ok')
        return self

    def channel(self, n=1):
        self.send(method(n, 'channel.open', '')).expect('channel.open-ok')
        return self

    def close(self):
        self.s.close()
