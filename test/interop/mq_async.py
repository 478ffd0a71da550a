#!/usr/bin/env python3
"""pika's connection without blocking: confirms with many in flight, and a consumer with its own prefetch. mq_async.py PORT"""
import sys

import pika

N = 2000
seen, confirms = [], {'ack': 0, 'nack': 0}
connection = None


def on_confirm(frame):
    kind = frame.method.NAME.split('.')[1].lower()
    if frame.method.multiple:
        confirms[kind] = frame.method.delivery_tag
    else:
        confirms[kind] += 1
    finish()


def on_message(channel, method, properties, body):
    seen.append(body)
    channel.basic_ack(method.delivery_tag)
    finish()


def finish():
    if len(seen) == N and confirms['ack'] == N:
        print('confirmed', confirms)
        print('in order', seen == [b'%d' % i for i in range(N)])
        connection.close()


def publish(channel):
    for i in range(N):
        channel.basic_publish('', 'async', b'%d' % i, pika.BasicProperties(delivery_mode=2))


def on_consuming(channel):
    channel.basic_consume('async', on_message)
    channel.confirm_delivery(on_confirm, callback=lambda _: publish(channel))


def on_channel(channel):
    channel.add_on_close_callback(lambda _, why: print('channel', why))
    channel.queue_declare('async', exclusive=True, durable=True,
                          callback=lambda _: channel.basic_qos(prefetch_count=100, callback=lambda _: on_consuming(channel)))


def on_open(c):
    c.channel(on_open_callback=on_channel)


def on_closed(c, why):
    print('connection', why)
    c.ioloop.stop()


connection = pika.SelectConnection(pika.ConnectionParameters('127.0.0.1', int(sys.argv[1]), heartbeat=30), on_open_callback=on_open,
                                   on_open_error_callback=on_closed, on_close_callback=on_closed)
connection.ioloop.start()
