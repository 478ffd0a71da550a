#!/usr/bin/env python3
"""What pika's blocking connection sees of a broker, one line a fact; the lines must be the same on RabbitMQ and on ours.

    mq_pika.py PORT
"""
import sys

import pika
from pika.exceptions import ChannelClosedByBroker, NackError, UnroutableError

PORT = int(sys.argv[1])
WAIT = 10


def connect(**more):
    credentials = pika.PlainCredentials('guest', 'guest')
    return pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', PORT, '/', credentials, **more))


connection = connect(client_properties={'connection_name': 'facts'})
ch = connection.channel()


def queue(name='', **arguments):
    return ch.queue_declare(name, exclusive=True, arguments=arguments or None).method.queue


def publish(exchange, key, body, channel=None, mandatory=False, **properties):
    (channel or ch).basic_publish(exchange, key, body, pika.BasicProperties(**properties), mandatory=mandatory)


def take(name, channel=None, auto_ack=True):
    """The next message, waited for; None when none comes."""
    for method, properties, body in (channel or ch).consume(name, auto_ack=auto_ack, inactivity_timeout=WAIT):
        if method is None:
            return None
        (channel or ch).cancel()
        return method, properties, body
    return None


def get(name, auto_ack=True):
    return ch.basic_get(name, auto_ack)


def all_of(name):
    out = []
    while True:
        method, _, body = get(name)
        if method is None:
            return out
        out.append(body.decode())


def await_message(name):
    """One that is to come without a consumer: looked for until it is there."""
    end = 4000
    while end > 0:
        got = get(name)
        if got[0] is not None:
            return got
        connection.process_data_events(0.005)
        end -= 1
    return got


def count(name, want):
    """How many are ready, once they are as many as that: RabbitMQ counts a moment later what was published before."""
    for _ in range(400):
        n = ch.queue_declare(name, passive=True).method.message_count
        if n == want:
            break
        connection.process_data_events(0.01)
    return n


def refused(what, *args, **kw):
    """The channel closes; how, and a new one."""
    global ch
    try:
        what(*args, **kw)
        return 'fine'
    except ChannelClosedByBroker as e:
        ch = connection.channel()
        return e.reply_code, e.reply_text


def plain(x):
    if isinstance(x, dict):
        return {k: plain(v) for k, v in sorted(x.items())}
    if isinstance(x, list):
        return [plain(v) for v in x]
    if isinstance(x, bytes):
        return x.decode()
    return 'a time' if hasattr(x, 'year') else x


# ---- queues and properties ----
q = ch.queue_declare('facts', durable=True)
print('declared', q.method.queue, q.method.message_count, q.method.consumer_count)
publish('', 'facts', b'all properties', content_type='text/plain', content_encoding='utf-8', headers={
    'string': 's', 'int': 7, 'big': 2**40, 'negative': -3, 'bool': True, 'none': None, 'list': [1, 'a', [2]], 'table': {'x': {'y': 1}}},
    delivery_mode=2, priority=3, correlation_id='c', reply_to='r', expiration='60000', message_id='m', timestamp=1234567890,
    type='t', user_id='guest', app_id='a', cluster_id='cl')
method, p, body = get('facts')
print('properties', body, p.content_type, p.content_encoding, plain(p.headers), p.delivery_mode, p.priority, p.correlation_id, p.reply_to, p.expiration,
      p.message_id, p.timestamp, p.type, p.user_id, p.app_id, p.cluster_id)
print('got', method.redelivered, method.exchange, method.routing_key, method.message_count, method.delivery_tag)
for i in range(5):
    publish('', 'facts', b'%d' % i)
print('again', count('facts', 5), ch.queue_declare('facts', durable=True).method.message_count)
print('purged', ch.queue_purge('facts').method.message_count)
publish('', 'facts', b'')
publish('', 'facts', b'x' * 300000)
print('sizes', [len(get('facts')[2]) for _ in range(2)])
print('deleted', ch.queue_delete('facts').method.message_count)
print('gone', refused(ch.queue_declare, 'facts', passive=True))

# ---- exchanges ----
a, b, c = queue(), queue(), queue()
ch.exchange_declare('facts.direct', 'direct')
for name, key in ((a, 'red'), (b, 'red'), (b, 'green')):
    ch.queue_bind(name, 'facts.direct', key)
for key in ('red', 'green', 'blue'):
    publish('facts.direct', key, key.encode())
print('direct', all_of(a), all_of(b))
ch.exchange_declare('facts.topic', 'topic')
for name, key in ((a, 'a.*.c'), (b, 'a.#'), (c, '#'), (c, '*.b.*'), (a, '#.z'), (b, 'x.#.y')):
    ch.queue_bind(name, 'facts.topic', key)
for key in ('a.b.c', 'a', 'a.b.b.c', '', 'z', 'q.z', 'x.y', 'x.1.2.y', '.', 'a..c'):
    publish('facts.topic', key, key.encode() or b'(empty)')
print('topic', all_of(a), all_of(b), all_of(c))
ch.exchange_declare('facts.headers', 'headers')
ch.queue_bind(a, 'facts.headers', '', {'x-match': 'all', 'n': 1, 's': 'v'})
ch.queue_bind(b, 'facts.headers', '', {'x-match': 'any', 'n': 1, 's': 'v'})
ch.queue_bind(c, 'facts.headers', '', {'x-match': 'any-with-x', 'x-n': 1})
for h in ({'n': 1, 's': 'v'}, {'n': 1}, {'s': 'w'}, {'n': '1'}, {'x-n': 1}, {}):
    publish('facts.headers', '', repr(h).encode(), headers=h)
print('headers', all_of(a), all_of(b), all_of(c))
for name in (a, b):
    ch.queue_bind(name, 'amq.fanout')
publish('amq.fanout', 'whatever', b'to all')
print('fanout', all_of(a), all_of(b), all_of(c))
ch.queue_unbind(a, 'amq.fanout')
publish('amq.fanout', '', b'to one')
print('unbound', all_of(a), all_of(b))
ch.exchange_declare('facts.inner', 'fanout')
ch.queue_bind(c, 'facts.inner')
ch.exchange_bind('facts.inner', 'facts.direct', 'red')
publish('facts.direct', 'red', b'through two')
print('exchange to exchange', all_of(a), all_of(b), all_of(c))
ch.exchange_unbind('facts.inner', 'facts.direct', 'red')
publish('facts.direct', 'red', b'again')
print('exchange unbound', all_of(a), all_of(b), all_of(c))
ch.exchange_declare('facts.otherwise', 'fanout')
ch.queue_bind(a, 'facts.otherwise')
ch.exchange_declare('facts.primary', 'direct', arguments={'alternate-exchange': 'facts.otherwise'})
publish('facts.primary', 'nobody', b'otherwise', headers={'k': 'v'})
method, p, body = get(a)
print('alternate', body, method.exchange, method.routing_key, p.headers)
publish('', a, b'copies', headers={'CC': [b], 'BCC': [c]})
print('CC and BCC', get(a)[1].headers == {'CC': [b]}, all_of(b), all_of(c))
ch.exchange_declare('facts.auto', 'fanout', auto_delete=True)
ch.queue_bind(a, 'facts.auto')
ch.queue_unbind(a, 'facts.auto')
print('exchange ended by itself', refused(ch.exchange_declare, 'facts.auto', passive=True))

# ---- acknowledgements ----
q = queue()
for i in range(4):
    publish('', q, b'%d' % i)
other = connection.channel()
got = [other.basic_get(q) for _ in range(3)]
print('tags', [m.delivery_tag for m, _, _ in got], [m.redelivered for m, _, _ in got])
other.basic_nack(2, multiple=True, requeue=True)
print('back in place', [(b, m.redelivered) for m, _, b in (get(q) for _ in range(2))], count(q, 1))
other.close()
print('back when the channel ends', [(b, m.redelivered) for m, _, b in (await_message(q) for _ in range(2))])
publish('', q, b'recovered')
ch.basic_get(q)
ch.basic_recover(True)
print('recovered', [(b, m.redelivered) for m, _, b in [await_message(q)]])
other = connection.channel()
other.basic_qos(prefetch_count=2)
for i in range(5):
    publish('', q, b'%d' % i)
seen = []
other.basic_consume(q, lambda _, m, __, body: seen.append((m.delivery_tag, body)))
while len(seen) < 2:
    connection.process_data_events(WAIT)
connection.process_data_events(0.05)
print('prefetch', seen, count(q, 3))
other.basic_ack(2, multiple=True)
while len(seen) < 4:
    connection.process_data_events(WAIT)
print('prefetch goes on', seen[2:])
other.close()

# ---- limits ----
q = queue(**{'x-max-length': 2})
for i in range(4):
    publish('', q, b'%d' % i)
print('drop-head', all_of(q))
q = queue(**{'x-max-length-bytes': 10})
for i in range(4):
    publish('', q, b'%d56789' % i)
print('drop-head by bytes', all_of(q))
confirmed = connection.channel()
confirmed.confirm_delivery()
q = queue(**{'x-max-length': 1, 'x-overflow': 'reject-publish'})
for i in range(2):
    try:
        publish('', q, b'%d' % i, confirmed)
        print('accepted', i)
    except NackError as e:
        print('refused', i, len(e.messages))
print('reject-publish', all_of(q))
try:
    publish('', 'nobody', b'lost', confirmed, mandatory=True)
except UnroutableError as e:
    print('returned', e.messages[0].method.reply_code, e.messages[0].method.reply_text, e.messages[0].body)
publish('', 'nobody', b'lost', confirmed)
q = queue(**{'x-max-priority': 5})
for i, priority in enumerate((1, 5, None, 9, 5, 0)):
    publish('', q, b'%d' % i, priority=priority)
print('priorities', all_of(q))

# ---- time, and dead letters ----
dead = queue()
ch.exchange_declare('facts.dead', 'fanout')
ch.queue_bind(dead, 'facts.dead')


def died(what):
    method, p, body = await_message(dead)
    print(what, body, method.exchange, method.routing_key, p.expiration, plain(p.headers))


q = queue('facts.ttl', **{'x-message-ttl': 20, 'x-dead-letter-exchange': 'facts.dead'})
publish('', q, b'queue ttl')
died('expired by the queue')
q = queue('facts.dying', **{'x-dead-letter-exchange': 'facts.dead', 'x-dead-letter-routing-key': 'buried'})
publish('', q, b'own ttl', expiration='20', headers={'CC': ['facts.cc']})
died('expired by itself')
publish('', q, b'rejected')
ch.basic_reject(ch.basic_get(q)[0].delivery_tag, requeue=False)
died('rejected')
publish('', q, b'nacked')
ch.basic_nack(ch.basic_get(q)[0].delivery_tag, requeue=False)
died('nacked')
q = queue('facts.short', **{'x-max-length': 1, 'x-dead-letter-exchange': 'facts.dead'})
publish('', q, b'one')
publish('', q, b'two')
died('too many')
q = queue('facts.again', **{'x-message-ttl': 20, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'facts.dying'})
publish('', q, b'twice')
method, p, body = await_message('facts.dying')
print('in between', plain(p.headers))
publish('', 'facts.dying', body, headers=p.headers)
ch.basic_reject(ch.basic_get('facts.dying')[0].delivery_tag, requeue=False)
died('dead twice')
q = queue('facts.ring', **{'x-message-ttl': 20, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'facts.ring'})
publish('', q, b'round')
connection.process_data_events(0.3)
print('a ring without a rejection ends', ch.queue_declare(q, passive=True).method.message_count)
q = queue(**{'x-message-ttl': 0})
publish('', q, b'nobody waits')
connection.process_data_events(0.05)
print('ttl 0', all_of(q))
ch.queue_declare('facts.unused', arguments={'x-expires': 50})
for _ in range(400):
    how = refused(ch.queue_bind, 'facts.unused', 'amq.direct', 'k')
    if how != 'fine':
        break
    connection.process_data_events(0.01)
print('queue expired', how)

# ---- consumers ----
one, two = connect(), connection
q = ch.queue_declare('facts.shared').method.queue
seen = []
other = one.channel()
other.add_on_cancel_callback(lambda m: seen.append(m.method.consumer_tag))
other.basic_consume(q, lambda *_: None, consumer_tag='mine')
print('consumers', ch.queue_declare(q, passive=True).method.consumer_count)
print('in use', refused(ch.queue_delete, q, if_unused=True))
print('exclusive', refused(ch.basic_consume, q, lambda *_: None, exclusive=True))
ch.queue_delete(q)
for _ in range(100):
    if seen:
        break
    one.process_data_events(0.05)
print('cancelled', seen)
q = ch.queue_declare('facts.auto', auto_delete=True).method.queue
ch.basic_cancel(ch.basic_consume(q, lambda *_: None))
print('queue ended by itself', refused(ch.queue_declare, q, passive=True))
other = one.channel()
q = other.queue_declare('', exclusive=True).method.queue
one.close()
for _ in range(400):
    how = refused(ch.queue_declare, q, passive=True)
    if how[0] == 404:
        break
    connection.process_data_events(0.01)
print('gone with its connection', how[0])
q = queue(**{'x-single-active-consumer': True})
first, second, seen = connection.channel(), connection.channel(), []
first.basic_consume(q, lambda _, m, __, body: seen.append(('first', body)), auto_ack=True)
second.basic_consume(q, lambda _, m, __, body: seen.append(('second', body)), auto_ack=True)
for i in range(3):
    publish('', q, b'%d' % i)
while len(seen) < 3:
    connection.process_data_events(WAIT)
first.close()
publish('', q, b'3')
while len(seen) < 4:
    connection.process_data_events(WAIT)
print('single active consumer', seen)
second.close()
q, seen = queue(), []
low, high = connection.channel(), connection.channel()
low.basic_consume(q, lambda _, m, __, body: seen.append(('low', body)), auto_ack=True)
high.basic_consume(q, lambda _, m, __, body: seen.append(('high', body)), auto_ack=True, arguments={'x-priority': 10})
for i in range(3):
    publish('', q, b'%d' % i)
while len(seen) < 3:
    connection.process_data_events(WAIT)
print('consumer priorities', seen)
low.close()
high.close()

# ---- direct reply-to, transactions ----
answers = []
ch.basic_consume('amq.rabbitmq.reply-to', lambda _, m, p, body: answers.append((m.routing_key.startswith('amq.rabbitmq.reply-to.'), p.correlation_id, body)),
                 auto_ack=True)
q = queue()
publish('', q, b'question', reply_to='amq.rabbitmq.reply-to', correlation_id='7')
method, p, body = take(q, connection.channel())
print('asked', body, p.reply_to.startswith('amq.rabbitmq.reply-to.'), p.correlation_id)
publish('', p.reply_to, b'answer', connection.channel(), correlation_id=p.correlation_id)
while not answers:
    connection.process_data_events(WAIT)
print('answered', answers)
tx = connection.channel()
tx.tx_select()
publish('', q, b'rolled back', tx)
tx.tx_rollback()
publish('', q, b'committed', tx)
print('before commit', ch.queue_declare(q, passive=True).method.message_count)
tx.tx_commit()
print('after commit', count(q, 1))
m, _, body = tx.basic_get(q)
tx.basic_ack(m.delivery_tag)
tx.tx_rollback()
tx.close()
print('an acknowledgement rolled back', [(b, m.redelivered) for m, _, b in [await_message(q)]])

for x in ('direct', 'topic', 'headers', 'inner', 'otherwise', 'primary', 'dead'):
    ch.exchange_delete('facts.' + x)
connection.close()
print('closed')
