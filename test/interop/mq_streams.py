#!/usr/bin/env python3
"""Stream queues as a client of RabbitMQ uses them: prints what it sees.

    mq_streams.py PORT

The lines are the same on RabbitMQ 3.10 and on ours; the test compares them.
"""
import datetime
import sys
import time

import pika

PORT = int(sys.argv[1])
STREAM = {'x-queue-type': 'stream'}
PARAMETERS = pika.ConnectionParameters('127.0.0.1', PORT, blocked_connection_timeout=30)


def connect():
    return pika.BlockingConnection(PARAMETERS)


def attempt(what, fn):
    """One channel, which an error may close; the connection when it is that kind of error."""
    connection = connect()
    channel = connection.channel()
    try:
        print(what, '->', fn(channel))
    except pika.exceptions.ChannelClosed as e:
        print(what, '-> channel', e.reply_code, e.reply_text)
    except pika.exceptions.ConnectionClosed as e:
        print(what, '-> connection', e.reply_code, e.reply_text)
    if connection.is_open:
        connection.close()


def counted(queue, want):
    """RabbitMQ counts what is in a stream a while after it was confirmed."""
    def fn(channel):
        end = time.monotonic() + 30
        while (n := channel.queue_declare(queue, passive=True).method.message_count) != want and time.monotonic() < end:
            channel.connection.process_data_events(time_limit=0.05)
        return n
    return fn


def refused(what, fn):
    """RabbitMQ dies of it (INTERNAL_ERROR), and we say what is wrong."""
    connection = connect()
    try:
        fn(connection.channel())
        print(what, '-> taken')
    except (pika.exceptions.ChannelClosed, pika.exceptions.ConnectionClosed):
        print(what, '-> refused')
    if connection.is_open:
        connection.close()


def declare(name, durable=True, exclusive=False, auto_delete=False, **arguments):
    given = dict(STREAM, **{'x-' + k.replace('_', '-'): v for k, v in arguments.items()})
    return lambda ch: ch.queue_declare(name, durable=durable, exclusive=exclusive, auto_delete=auto_delete,
                                       arguments=given).method.queue


def declarations():
    attempt('plain', declare('s.plain'))
    attempt('again', declare('s.plain'))
    attempt('not durable', declare('s.bad', durable=False))
    attempt('exclusive', declare('s.bad', exclusive=True))
    attempt('auto-delete', declare('s.bad', auto_delete=True))
    attempt('no name', declare(''))
    for name, value in [('max-length-bytes', 100000), ('max-length-bytes', -1), ('max-length-bytes', 'x'), ('max-age', '7D'),
                        ('max-age', '1h'), ('max-age', '10Y'), ('max-age', '5M'), ('max-age', '3m'), ('max-age', '9s'),
                        ('max-age', '1'), ('max-age', 'h'), ('max-age', '1w'), ('max-age', '-1h'), ('max-age', '1h '),
                        ('max-age', '1.5h'), ('max-age', ''), ('max-age', 5), ('max-age', '1h30m'), ('max-age', '0s'),
                        ('stream-max-segment-size-bytes', 1000), ('stream-max-segment-size-bytes', -1),
                        ('stream-max-segment-size-bytes', 'x'), ('stream-max-segment-size-bytes', 3000000001),
                        ('message-ttl', 1000), ('expires', 1000), ('max-length', 10), ('overflow', 'drop-head'),
                        ('max-priority', 3), ('dead-letter-exchange', 'x'), ('dead-letter-routing-key', 'x'),
                        ('single-active-consumer', True), ('queue-mode', 'lazy'), ('delivery-limit', 3),
                        ('initial-cluster-size', 1), ('initial-cluster-size', 0), ('initial-cluster-size', 'x'),
                        ('queue-leader-locator', 'client-local'), ('queue-leader-locator', 'x')]:
        dies = name == 'max-age' and value in ('h', '-1h', '')
        (refused if dies else attempt)('%s=%r' % (name, value), declare('s.arg', **{name.replace('-', '_'): value}))
        attempt('', lambda ch: ch.queue_delete('s.arg').method.NAME)
    attempt('other type', lambda ch: ch.queue_declare('s.plain', durable=True).method.queue)
    attempt('other size', declare('s.plain', max_length_bytes=5))
    attempt('max-age on a classic queue', lambda ch: ch.queue_declare('s.c', durable=True, arguments={'x-max-age': '1h'}).method.NAME)
    attempt('', lambda ch: ch.queue_delete('s.c').method.NAME)


def fill(name, n, **arguments):
    connection = connect()
    ch = connection.channel()
    ch.queue_declare(name, durable=True, arguments=dict(STREAM, **{'x-' + k.replace('_', '-'): v for k, v in arguments.items()}))
    ch.confirm_delivery()
    for i in range(n):
        ch.basic_publish('', name, b'message %d' % i, pika.BasicProperties(delivery_mode=2))
    connection.close()


def take(n, offset=None, name='s.plain', prefetch=10, ack=True, wait=3.0, then=None, **more):
    """Up to n messages, as (offset, body, redelivered)."""
    def run(ch):
        got = []
        arguments = dict(more)
        if offset is not None:
            arguments['x-stream-offset'] = offset
        if prefetch:
            ch.basic_qos(prefetch_count=prefetch)
        ch.queue_declare(name, passive=True)

        def on_message(ch, method, properties, body):
            got.append((properties.headers['x-stream-offset'], body.decode(), method.redelivered))
            if ack:
                ch.basic_ack(method.delivery_tag)
        ch.basic_consume(name, on_message, arguments=arguments)
        if then:
            then(ch)
        end = time.monotonic() + wait
        while len(got) < n and time.monotonic() < end:
            ch.connection.process_data_events(time_limit=0.1)
        return got[:n]
    return run


def no_ack(ch):
    ch.basic_qos(prefetch_count=5)
    ch.basic_consume('s.plain', lambda *a: None, auto_ack=True)
    ch.connection.process_data_events(time_limit=0.2)
    return 'fine'


def settle(how, due=2):
    """Two are out; then so many came in all, unless the broker says no."""
    def run(ch):
        got = []
        ch.basic_qos(prefetch_count=2)
        ch.basic_consume('s.plain', lambda c, m, p, b: got.append(m.delivery_tag), arguments={'x-stream-offset': 'first'})
        while len(got) < 2:
            ch.connection.process_data_events(time_limit=0.1)
        how(ch, got)
        while len(got) < due:
            ch.connection.process_data_events(time_limit=0.1)
        ch.queue_declare('s.plain', passive=True)
        return len(got)
    return run


def consuming():
    fill('s.plain', 10)
    attempt('first', take(10, 'first'))
    attempt('no offset', take(1, wait=0.5))
    attempt('next', take(1, 'next', wait=0.5))
    attempt('number', take(3, 4))
    attempt('a number beyond', take(1, 1000, wait=0.5))
    attempt('a negative number', take(1, -1, wait=0.5))
    refused('a text that is none', take(1, 'nonsense', wait=0.5))
    attempt('an interval', take(2, '1h'))
    attempt('a wrong interval', take(2, '1w', wait=0.5))
    attempt('a timestamp', take(2, datetime.datetime.now() - datetime.timedelta(hours=1)))
    refused('a boolean', take(2, True, wait=0.5))
    attempt('no prefetch', take(1, 'first', prefetch=0, wait=0.5))
    attempt('no ack', no_ack)
    attempt('prefetch is credit', lambda ch: len(take(10, 'first', prefetch=3, ack=False, wait=1.0)(ch)))
    attempt('again, nothing is gone', take(10, 'first', prefetch=3))
    attempt('x-priority', take(1, 'first', **{'x-priority': 5}))
    attempt('get', lambda ch: ch.basic_get('s.plain'))
    attempt('get without ack', lambda ch: ch.basic_get('s.plain', auto_ack=True))
    attempt('purge', lambda ch: ch.queue_purge('s.plain').method.NAME)
    attempt('reject', settle(lambda ch, t: ch.basic_reject(t[0], requeue=False)))
    attempt('reject, requeue', settle(lambda ch, t: ch.basic_reject(t[0], requeue=True)))
    attempt('nack', settle(lambda ch, t: ch.basic_nack(t[0], requeue=False)))
    attempt('nack, requeue', settle(lambda ch, t: ch.basic_nack(t[0], requeue=True)))
    attempt('ack of many', settle(lambda ch, t: ch.basic_ack(t[1], multiple=True), 4))
    attempt('ack twice', settle(lambda ch, t: (ch.basic_ack(t[0]), ch.basic_ack(t[0]))))
    attempt('passive', counted('s.plain', 10))
    attempt('exclusive consumer', lambda ch: (ch.basic_qos(prefetch_count=2), ch.basic_consume('s.plain', print, exclusive=True))[0])
    attempt('global qos', lambda ch: (ch.basic_qos(prefetch_count=2, global_qos=True),
                                      ch.basic_consume('s.plain', lambda *a: None))[0])
    attempt('offset on a classic queue', lambda ch: (ch.queue_declare('s.c', durable=True),
                                                     ch.basic_consume('s.c', print, arguments={'x-stream-offset': 'first'}))[0])
    attempt('delete if empty', lambda ch: ch.queue_delete('s.plain', if_empty=True).method.NAME)
    attempt('delete if unused', lambda ch: ch.queue_delete('s.plain', if_unused=True).method.message_count)
    attempt('delete', lambda ch: ch.queue_delete('s.plain').method.NAME)
    attempt('', lambda ch: ch.queue_delete('s.c').method.NAME)


for part in (declarations, consuming):
    print('==', part.__name__)
    part()
print('closed')
