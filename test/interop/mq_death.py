#!/usr/bin/env python3
"""What dead letters say of their deaths, one line a fact; the lines must be the same on RabbitMQ and on ours.

    mq_death.py PORT
"""
import sys

import pika

connection = pika.BlockingConnection(
    pika.ConnectionParameters('127.0.0.1', int(sys.argv[1]), '/', pika.PlainCredentials('guest', 'guest')))
ch = connection.channel()


def plain(x):
    if isinstance(x, dict):
        return {k: 'a time' if k == 'time' else plain(v) for k, v in sorted(x.items())}
    return [plain(v) for v in x] if isinstance(x, list) else x


def queue(name, **arguments):
    ch.queue_declare(name, exclusive=True, arguments={k.replace('_', '-'): v for k, v in arguments.items()})


def publish(key, body='b', exchange='', **properties):
    ch.basic_publish(exchange, key, body, pika.BasicProperties(**properties))


def await_message(name):
    for _ in range(4000):
        got = ch.basic_get(name)
        if got[0] is not None:
            return got
        connection.process_data_events(0.002)
    return None, None, None


def reject(name, requeue=False):
    method, _, _ = await_message(name)
    ch.basic_nack(method.delivery_tag, requeue=requeue)


def died(what, name='dead'):
    method, p, body = await_message(name)
    ch.basic_ack(method.delivery_tag)
    print(what, repr(method.exchange), method.routing_key, p.expiration, body)
    for k, v in sorted(p.headers.items()):
        print('   ', k, plain(v))
    return p.headers


ch.exchange_declare('deaths', 'fanout', auto_delete=True)
queue('dead')
ch.queue_bind('dead', 'deaths')
queue('work', x_dead_letter_exchange='deaths')


def rejected(what, **properties):
    publish('work', **properties)
    reject('work')
    return died(what)


# ---- each way to die ----
rejected('rejected')
rejected('rejected, with other keys', headers={'a': 1, 'CC': ['x', 'y'], 'BCC': ['z']})
queue('key', x_dead_letter_exchange='deaths', x_dead_letter_routing_key='other')
publish('key', headers={'CC': ['x']})
reject('key')
died('rejected, with a key of the queue')
rejected('rejected before it expired', expiration='100000')
publish('work', expiration='30')
died('expired by itself')
queue('ttl', x_dead_letter_exchange='deaths', x_message_ttl=20)
publish('ttl')
died('expired by its queue')
publish('ttl', expiration='5')
died('expired by both')
queue('one', x_dead_letter_exchange='deaths', x_max_length=1)
publish('one', '1')
publish('one', '2')
died('pushed out')
queue('full', x_dead_letter_exchange='deaths', x_max_length=1, x_overflow='reject-publish-dlx')
publish('full', '1')
publish('full', '2')
died('not let in')
ch.queue_declare('poisoned', durable=True, arguments={'x-queue-type': 'quorum', 'x-delivery-limit': 2, 'x-dead-letter-exchange': 'deaths'})
publish('poisoned', 'poison')
for _ in range(3):
    reject('poisoned', requeue=True)
died('delivered too often')
ch.queue_delete('poisoned')
ch.exchange_declare('deaths.in', 'topic', auto_delete=True)
ch.queue_bind('work', 'deaths.in', '#')
publish('a.b', exchange='deaths.in')
reject('work')
died('from an exchange')

# ---- again ----
once = rejected('once')
twice = rejected('twice', headers=once)
publish('ttl', headers=twice)
rejected('three times', headers=died('elsewhere'))

# ---- what looks like a death ----
rejected('a text', headers={'x-death': 'text'})
rejected('none', headers={'x-death': []})
rejected('another table', headers={'x-death': [{'count': 5}]})
rejected('no count', headers={'x-death': [{'queue': 'work', 'reason': 'rejected'}]})
rejected('a first reason', headers={'x-first-death-reason': 'mine'})
rejected('a first queue', headers={'x-first-death-queue': 'mine', 'b': 2})
rejected('a last death', headers={'x-last-death-queue': 'mine', 'x-last-death-reason': 'r'})

# ---- round and round ----
queue('a', x_dead_letter_exchange='', x_dead_letter_routing_key='b', x_message_ttl=20)
queue('b', x_dead_letter_exchange='', x_dead_letter_routing_key='a', x_message_ttl=20)
queue('self', x_dead_letter_exchange='', x_message_ttl=20)
publish('a')
publish('self')
for _ in range(4000):
    left = [ch.queue_declare(name, passive=True).method.message_count for name in ('a', 'b', 'self')]
    if left == [0, 0, 0]:
        break
    connection.process_data_events(0.002)
print('round without a rejection', left)
queue('again', x_dead_letter_exchange='', x_dead_letter_routing_key='wait')
queue('wait', x_dead_letter_exchange='', x_dead_letter_routing_key='again', x_message_ttl=20)
publish('again')
for _ in range(3):
    reject('again')
died('round with rejections', 'again')
connection.close()
print('closed')
