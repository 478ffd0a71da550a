#!/usr/bin/env python3
"""Reads the PROXY header (version 2) of one connection, as the specification says, and prints what it tells: a line a fact.

    pp_read.py          listens on a port that the kernel chooses and says "Listening on 127.0.0.1:PORT" first
"""
import socket
import struct
import sys

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
NAMES = {0x01: "alpn", 0x02: "authority", 0x05: "unique_id", 0x30: "netns"}
SSL_NAMES = {0x21: "ssl_version", 0x22: "ssl_cn", 0x23: "ssl_cipher", 0x24: "ssl_sig_alg", 0x25: "ssl_key_alg"}


def take(sock, n):
    got = b""
    while len(got) < n:
        more = sock.recv(n - len(got))
        if not more:
            sys.exit("it ended after %d of %d bytes" % (len(got), n))
        got += more
    return got


def tlvs(block, at=0):
    """Type, value and where the value begins."""
    while at < len(block):
        kind, n = struct.unpack_from(">BH", block, at)
        at += 3
        if at + n > len(block):
            sys.exit("a TLV is longer than its header")
        yield kind, block[at:at + n], at
        at += n


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def addresses(family, body):
    if family == 0x11:
        a, b, p, q = struct.unpack_from(">4s4sHH", body)
        return 12, [socket.inet_ntop(socket.AF_INET, a), p, socket.inet_ntop(socket.AF_INET, b), q]
    if family == 0x21:
        a, b, p, q = struct.unpack_from(">16s16sHH", body)
        return 36, [socket.inet_ntop(socket.AF_INET6, a), p, socket.inet_ntop(socket.AF_INET6, b), q]
    return 0, []


def tell(head, body):
    print("command", {0x20: "LOCAL", 0x21: "PROXY"}[head[12]])
    skip, who = addresses(head[13], body)
    if who:
        print("from %s %d" % (who[0], who[1]))
        print("to %s %d" % (who[2], who[3]))
    for kind, value, at in tlvs(body, skip):
        if kind in NAMES:
            print(NAMES[kind], value.decode())
        elif kind == 0x03:
            whole = head + body[:at] + b"\0\0\0\0" + body[at + 4:]
            print("crc32c", "right" if struct.unpack(">I", value)[0] == crc32c(whole) else "wrong")
        elif kind == 0x20:
            print("ssl_client %d" % value[0])
            print("ssl_verify %d" % struct.unpack_from(">I", value, 1))
            for sub, text, _ in tlvs(value, 5):
                print(SSL_NAMES[sub], text.decode())


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    print("Listening on 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    sock, _ = listener.accept()
    head = take(sock, 16)
    if head[:12] != SIGNATURE:
        sys.exit("it does not begin with the signature")
    tell(head, take(sock, struct.unpack_from(">H", head, 14)[0]))
    print("next %02x" % take(sock, 1)[0], flush=True)


main()
