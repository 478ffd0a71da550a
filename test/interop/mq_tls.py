#!/usr/bin/env python3
"""pika over TLS: mq_tls.py PORT CA OTHER_CA."""
import ssl
import sys

import pika

PORT, CA, OTHER = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def connect(ca, user='guest', **more):
    options = pika.SSLOptions(ssl.create_default_context(cafile=ca), '127.0.0.1') if ca else None
    return pika.BlockingConnection(pika.ConnectionParameters(
        '127.0.0.1', PORT, '/', pika.PlainCredentials(user, 'guest'), ssl_options=options, **more))


connection = connect(CA)
ch = connection.channel()
ch.confirm_delivery()
ch.queue_declare('safe', durable=True)
ch.basic_publish('', 'safe', b'x' * 300000, pika.BasicProperties(delivery_mode=2))
method, _, body = ch.basic_get('safe', auto_ack=True)
print('over TLS', len(body))
connection.close()
for what, args in (('another CA', (OTHER,)), ('another user', (CA, 'nobody')), ('without TLS', (None,))):
    try:
        connect(*args)
        print(what, 'was let in')
    except Exception as e:  # noqa: each has its own
        print(what, type(e).__name__, next((w for w in ('CERTIFICATE_VERIFY_FAILED', 'ACCESS_REFUSED') if w in repr(e)), ''))
