#!/usr/bin/env python3
"""Hard times of a broker, as pika's blocking connections see them.

    mq_hard.py pressure|slow|unacked|disk|left PORT [FILE]
"""
import json
import os
import sys
import threading

import pika

WHAT, PORT = sys.argv[1], int(sys.argv[2])
FILE = sys.argv[3] if len(sys.argv) > 3 else None
WAIT = 30


class Client:
    def __init__(self, confirms=True):
        self.connection = pika.BlockingConnection(
            pika.ConnectionParameters('127.0.0.1', PORT, '/', pika.PlainCredentials('guest', 'guest'), heartbeat=0))
        self.ch = self.connection.channel()
        if confirms:
            self.ch.confirm_delivery()
        self.blocked, self.unblocked = [], []
        self.connection.add_on_connection_blocked_callback(lambda _, m: self.blocked.append(m.method.reason))
        self.connection.add_on_connection_unblocked_callback(lambda _, m: self.unblocked.append(1))

    def publish(self, queue, body, mode=1):
        self.ch.basic_publish('', queue, body, pika.BasicProperties(delivery_mode=mode))

    def wait(self, what):
        for _ in range(WAIT * 100):
            if what():
                return
            self.connection.process_data_events(0.01)
        raise SystemExit('waited in vain')


def pressure():
    """One publisher fills a queue; another queue flows; room lets the first go on."""
    body = b'x' * 65536
    Client().ch.queue_declare('full')
    Client().ch.queue_declare('flows')
    done = []

    def fill():
        c = Client()
        for _ in range(400):  # 25 MiB into a broker that holds 8
            c.publish('full', body)
        c.wait(lambda: c.blocked and len(c.unblocked) == len(c.blocked))
        done.append((c.blocked, len(c.unblocked) == len(c.blocked)))

    t = threading.Thread(target=fill, daemon=True)
    t.start()
    other = Client()
    last = -1

    def stands():
        nonlocal last
        now = other.ch.queue_declare('full', passive=True).method.message_count
        same, last = now == last, now
        return same and now > 100

    other.wait(stands)
    print('held', 100 < last < 300, 'publisher done', bool(done))
    for i in range(100):
        other.publish('flows', b'%d' % i)
    print('flows', other.ch.queue_declare('flows', passive=True).method.message_count, 'blocked', other.blocked)
    got = 0
    for method, _, _ in other.ch.consume('full', inactivity_timeout=WAIT):
        if method is None:
            break
        other.ch.basic_ack(method.delivery_tag)
        got += 1
        if got == 400:
            break
    other.ch.cancel()
    t.join(WAIT)
    blocked, relieved = done[0]
    print('consumed', got, 'blocked', sorted(set(blocked)), 'relieved', relieved)


def slow():
    """A publisher without confirms that is much faster than its consumer."""
    body, n = b'x' * 65536, 3000
    Client().ch.queue_declare('slow')

    def pour():
        c = Client(confirms=False)
        for _ in range(n):
            c.publish('slow', body)
        c.connection.close()

    t = threading.Thread(target=pour, daemon=True)
    t.start()
    c = Client()
    c.ch.basic_qos(prefetch_count=1)
    got = 0
    for method, _, _ in c.ch.consume('slow', inactivity_timeout=WAIT):
        if method is None:
            break
        got += 1
        for _ in range(3):  # it has other things to do
            c.ch.queue_declare('slow', passive=True)
        c.ch.basic_ack(method.delivery_tag)
        if got == n:
            break
    t.join(WAIT)
    print('came', got)


def unacked():
    """A consumer that never acknowledges: its messages come back, to it after their time, to others when it ends."""
    c = Client()
    c.ch.queue_declare('held', arguments={'x-visibility-timeout': 300})
    for i in range(50):
        c.publish('held', b'%d' % i)
    seen = []
    c.ch.basic_consume('held', lambda ch, m, p, b: seen.append((int(b), m.redelivered)))
    c.wait(lambda: len(seen) >= 100)
    print('first', [b for b, again in seen[:50]] == list(range(50)), any(again for _, again in seen[:50]))
    print('again', sorted(b for b, again in seen[50:100]) == list(range(50)), all(again for _, again in seen[50:100]))
    for i in range(50, 60):
        c.publish('held', b'%d' % i)  # publishing goes on
    c.connection.close()
    other = Client()
    got = []
    while len(got) < 60:
        method, _, body = other.ch.basic_get('held', auto_ack=True)
        if method is not None:
            got.append((int(body), method.redelivered))
    print('to another', sorted(b for b, _ in got) == list(range(60)))


def disk():
    """Confirmed publishes until the disk is full; a consumer goes on. FILE holds the numbers that were confirmed."""
    c = Client()
    c.ch.queue_declare('kept', durable=True)
    sure, i = [], 0
    while i < 10000:
        try:
            c.publish('kept', b'%d ' % i + b'x' * 600000, mode=2)
        except pika.exceptions.NackError:
            break
        sure.append(i)
        i += 1
    print('refused', 20 < i < 10000)
    for k in range(5):
        method, _, body = c.ch.basic_get('kept')
        assert int(body.split()[0]) == sure[k]
        c.ch.basic_ack(method.delivery_tag)
    print('consumed', 5)
    Client().ch.queue_declare('light')
    c.publish('light', b'transient')  # nothing of it goes to the disk
    print('transient', c.ch.queue_declare('light', passive=True).method.message_count)
    json.dump(sure[5:], open(FILE, 'w'))


def again():
    """There is room again: publishers are let in, within so many tries."""
    c = Client()
    for _ in range(WAIT * 100):
        try:
            c.publish('kept', b'-1 after', mode=2)
            print('goes on')
            return
        except pika.exceptions.NackError:
            c.connection.process_data_events(0.01)
    print('never')


def left():
    """What is in `kept`, beside the numbers that were confirmed."""
    c = Client()
    got = set()
    while True:
        method, _, body = c.ch.basic_get('kept', auto_ack=True)
        if method is None:
            break
        got.add(int(body.split()[0]))
    sure = set(json.load(open(FILE)))
    print('lost', sorted(sure - got), 'and the one after', -1 in got)


def blocked():
    """FILE is to be written by the test once the disk has room; until then the publisher waits."""
    c = Client()
    c.ch.queue_declare('kept', durable=True)
    done = []

    def one():
        p = Client()
        p.publish('kept', b'-1 waited', mode=2)
        p.wait(lambda: p.unblocked)
        done.append((p.blocked, len(p.unblocked)))

    t = threading.Thread(target=one, daemon=True)
    t.start()
    c.wait(lambda: os.path.exists(FILE + '.look'))
    print('waits', not done, 'gets', c.ch.basic_get('kept', auto_ack=True)[2])
    os.rename(FILE + '.look', FILE)
    t.join(WAIT)
    print('went on', done)


globals()[WHAT]()
