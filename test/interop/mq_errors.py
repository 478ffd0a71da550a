#!/usr/bin/env python3
"""Says what no client would and prints how a broker takes it: code, text, class and method of every error.

    mq_errors.py PORT [PART]    # scenarios whose name has PART

The lines are the same on RabbitMQ 3.10 and on ours; the test compares them.
"""
import concurrent.futures
import sys
import threading

from mq_frames import Raw, frame, header, message, method, payload, short, value

PORT = int(sys.argv[1])
PART = sys.argv[2] if len(sys.argv) > 2 else ''
SCENARIOS = []
TUNE = (2047, 131072, 0)
said = threading.local()


def tell(*words):
    said.lines.append(' '.join(map(str, ('   ',) + words)))


def scenario(fn):
    SCENARIOS.append(fn)
    return fn


def show(raw, most=12):
    """What comes until the connection ends."""
    for _ in range(most):
        got = raw.next()
        if got[0] == 'connection.close':
            raw.send(method(0, 'connection.close-ok'))
        if got[0] == 'channel.close':
            raw.send(method(got[1], 'channel.close-ok'))
        if got[0] == 'connection.start':
            continue
        tell(*got)
        if got[0] in ('end', 'cut', 'connection.close-ok'):
            return


def closing(raw, *pieces):
    """Says it, and prints all until the end of the connection."""
    show(raw.send(*pieces))


def ending(raw, *pieces):
    """As closing, where RabbitMQ dies without a word or with INTERNAL_ERROR, and we say what is wrong."""
    raw.send(*pieces)
    while (got := raw.next())[0] not in ('end', 'cut'):
        if got[0] == 'connection.close':
            raw.send(method(0, 'connection.close-ok'))
    tell('ends')


def leave(raw, got):
    """Ends the connection in a way after which what was its own is gone. got: what it said last."""
    if got[0] == 'connection.close':
        raw.send(method(0, 'connection.close-ok'))
    else:
        raw.send(method(0, 'connection.close', 200, '', 0, 0))
    while raw.next()[0] not in ('end', 'cut', 'connection.close-ok'):
        pass


def on_channel(*pieces, before=(), **login):
    """Says it on channel 1 and shows whether that ends the channel or the connection; then whether channel 2 goes on, and whether the
    number of channel 1 is free again."""
    raw = Raw(PORT).login(**login).channel(1).channel(2)
    for p in before:
        raw.send(p).next()
    got = raw.send(*pieces).next()
    tell(*got)
    if got[0] != 'connection.close':
        if got[0] == 'channel.close':
            raw.send(method(1, 'channel.close-ok'))
        tell(*raw.send(method(2, 'basic.qos', 0, 1, False)).next())
        got = raw.send(method(1, 'channel.open', '')).next()
        tell(*got)
    leave(raw, got)


def declare(queue, channel=1, passive=False, durable=False, exclusive=False, auto_delete=False, args=None):
    return method(channel, 'queue.declare', 0, queue, passive, durable, exclusive, auto_delete, False, args or {})


def exchange(name, kind='direct', channel=1, passive=False, durable=False, auto_delete=False, internal=False, args=None):
    return method(channel, 'exchange.declare', 0, name, kind, passive, durable, auto_delete, internal, False, args or {})


def body(n, channel=1):
    """As large as the brokers are told to take, in the frames that they agree to."""
    return [frame(3, channel, b'x' * min(131064, n - at)) for at in range(0, n, 131064)]


# ---- the handshake ----

@scenario
def header_of_another_protocol():
    for h in (b'AMQP\0\0\x09\x02', b'AMQP\x03\1\0\0', b'AMQP\2\1\0\0', b'GET / HTTP/1.1\r\n\r\n', b'\x16\x03\x01\0\0\0\0\0\0\0'):
        closing(Raw(PORT), h)


@scenario
def the_wrong_password():
    for capabilities in ({'authentication_failure_close': True}, {}):
        for user, password in (('guest', 'wrong'), ('nobody', 'x'), ('', '')):
            raw = Raw(PORT).say_hello()
            raw.expect('connection.start')
            closing(raw, method(0, 'connection.start-ok', {'capabilities': capabilities}, 'PLAIN', '\0%s\0%s' % (user, password), 'en_US'))


@scenario
def a_mechanism_that_is_none():
    for mechanism, response in (('NONE', ''), ('PLAIN', 'no zeros'), ('PLAIN', '\0a\0b\0c'), ('AMQPLAIN', 'xx')):
        raw = Raw(PORT).say_hello()
        raw.expect('connection.start')
        closing(raw, method(0, 'connection.start-ok', {'capabilities': {'authentication_failure_close': True}}, mechanism, response, 'en_US'))


@scenario
def amqplain():
    raw = Raw(PORT).say_hello()
    raw.expect('connection.start')
    inner = short('LOGIN') + value('guest') + short('PASSWORD') + value('guest')
    tell(*raw.send(method(0, 'connection.start-ok', {}, 'AMQPLAIN', inner, 'en_US')).next())


def logged_in():
    raw = Raw(PORT).say_hello()
    raw.expect('connection.start')
    raw.send(method(0, 'connection.start-ok', {'capabilities': {'authentication_failure_close': True}}, 'PLAIN', '\0guest\0guest', 'en_US'))
    raw.expect('connection.tune')
    return raw


@scenario
def tune_out_of_bounds():
    for tune in ((0, 100, 0), (0, 4095, 0), (2047, 131073, 0), (2048, 131072, 0), (0, 131072, 0), (2047, 0, 0)):
        raw = logged_in()
        closing(raw, method(0, 'connection.tune-ok', *tune), method(0, 'connection.open', '/', '', False), method(0, 'connection.close', 200, '', 0, 0))


@scenario
def vhosts_that_are_not_there():
    for vhost in ('nowhere', '', '//'):
        raw = logged_in()
        closing(raw, method(0, 'connection.tune-ok', *TUNE), method(0, 'connection.open', vhost, '', False))


@scenario
def steps_out_of_order():
    closing(Raw(PORT).say_hello(), method(0, 'connection.open', '/', '', False))
    closing(Raw(PORT).say_hello(), method(1, 'channel.open', ''))
    closing(Raw(PORT).say_hello(), method(0, 'connection.close', 200, '', 0, 0))
    closing(logged_in(), method(0, 'connection.open', '/', '', False))
    closing(logged_in(), method(0, 'connection.tune-ok', *TUNE), method(1, 'channel.open', ''))
    closing(logged_in(), method(0, 'connection.tune-ok', *TUNE), frame(8, 0, b''), method(0, 'connection.open', '/', '', False),
            method(0, 'connection.close', 200, '', 0, 0))
    closing(Raw(PORT).login(), method(0, 'connection.open', '/', '', False))
    closing(Raw(PORT).login(), method(0, 'connection.tune-ok', *TUNE))


@scenario
def a_heartbeat_on_a_channel():
    closing(Raw(PORT).login().channel(), frame(8, 1, b''))


@scenario
def a_large_frame_before_tuning():
    closing(Raw(PORT).say_hello(), frame(1, 0, b'\0\x0a\0\x0b' + b'x' * 5000))


# ---- frames ----

@scenario
def frames_that_are_none():
    closing(Raw(PORT).login(), frame(9, 0, b'what'))
    closing(Raw(PORT).login(), frame(0, 0, b''))
    closing(Raw(PORT).login(), frame(4, 0, b''))
    closing(Raw(PORT).login().channel(), frame(9, 1, b'abcdefghijklmnopqrstuvwxyz'))
    closing(Raw(PORT).login().channel(), frame(1, 1, payload('channel.open', ''), end=b'\0'))
    closing(Raw(PORT).login(), frame(1, 0, b'', end=b'x'))
    closing(Raw(PORT).login(), frame(8, 0, b'more'), method(0, 'connection.close', 200, '', 0, 0))


@scenario
def frames_that_are_too_large():
    closing(Raw(PORT).login(tune=(2047, 4096, 0)).channel(), frame(3, 1, b'x' * 4097))
    closing(Raw(PORT).login().channel(), b'\x03\0\1\0\2\0\1' + b'x' * 32)
    closing(Raw(PORT).login().channel(), b'\x03\0\1\xff\xff\xff\xff' + b'x' * 32)
    raw = Raw(PORT).login(tune=(2047, 4096, 0)).channel()
    raw.send(declare('big_frames', exclusive=True)).expect('queue.declare-ok')
    raw.send(method(1, 'basic.publish', 0, '', 'big_frames', False, False), header(1, 8176), frame(3, 1, b'x' * 4088), frame(3, 1, b'x' * 4088))
    raw.send(method(1, 'basic.get', 0, 'big_frames', True))
    for _ in range(4):
        got = raw.next()
        tell(got[0], len(got[-1]))


@scenario
def methods_that_are_none():
    ending(Raw(PORT).login(), frame(1, 0, b'\0\x0a\0\x63'))
    ending(Raw(PORT).login(), frame(1, 0, b'\0\x63\0\x01'))
    ending(Raw(PORT).login().channel(), frame(1, 1, b'\0\x3c\0\x63'))
    ending(Raw(PORT).login().channel(), frame(1, 1, b'\0\x63\0\x01abc'))
    closing(Raw(PORT).login().channel(), frame(1, 1, b'\0\x3c'))


@scenario
def methods_cut_short():
    closing(Raw(PORT).login().channel(), frame(1, 1, payload('queue.declare', 0, 'cut', False, False, False, False, False, {})[:-3]))
    closing(Raw(PORT).login().channel(), frame(1, 1, payload('basic.ack', 1, False) + b'more'))
    closing(Raw(PORT).login().channel(), frame(1, 1, b'\0\x32\0\x0a\0\0\xff' + b'q'))
    ending(Raw(PORT).login(), frame(1, 0, b'\0\x0a\0\x32\0'))


@scenario
def tables_that_are_none():
    for inner in (b'\x01xI\0', b'\x01xZ\0\0\0\0', b'\x05ab', b'\x01xS\xff\xff\xff\xffab'):
        t = len(inner).to_bytes(4, 'big') + inner
        ending(Raw(PORT).login().channel(), method(1, 'queue.declare', 0, 'tables', False, False, True, False, False, t))


@scenario
def methods_for_the_other_side():
    for name, args in (('queue.declare-ok', ('q', 0, 0)), ('basic.get-empty', ('',)), ('channel.open-ok', ('',)), ('basic.deliver', ('t', 1, False, 'e', 'k'))):
        closing(Raw(PORT).login().channel(), method(1, name, *args), header(1, 0) if name == 'basic.deliver' else b'')
    closing(Raw(PORT).login(), method(0, 'connection.start', 0, 9, {}, '', ''))


@scenario
def channel_methods_on_channel_0():
    closing(Raw(PORT).login(), declare('zero', channel=0))
    closing(Raw(PORT).login(), method(0, 'channel.open', ''))
    closing(Raw(PORT).login().channel(), method(1, 'connection.close', 200, '', 0, 0))
    closing(Raw(PORT).login(), header(0, 3))
    closing(Raw(PORT).login(), frame(3, 0, b'abc'))


# ---- channels ----

@scenario
def frames_on_channels_that_are_not_open():
    closing(Raw(PORT).login(), declare('closed'))
    closing(Raw(PORT).login(), method(7, 'channel.close', 200, '', 0, 0))
    closing(Raw(PORT).login(), method(7, 'channel.close-ok'))
    closing(Raw(PORT).login(), frame(3, 7, b'abc'))
    raw = Raw(PORT).login().channel()
    raw.send(method(1, 'channel.close', 200, 'bye', 0, 0)).expect('channel.close-ok')
    closing(raw, declare('closed'))


@scenario
def a_channel_opened_twice():
    closing(Raw(PORT).login().channel(), method(1, 'channel.open', ''))


@scenario
def frames_behind_an_error_are_passed_over():
    raw = Raw(PORT).login().channel()
    raw.send(declare('not there', passive=True), declare('behind'), message(1, '', 'behind', b'x'))
    tell(*raw.next())
    raw.send(method(1, 'channel.close-ok'), method(1, 'channel.open', ''), declare('behind', passive=True))
    for _ in range(2):
        tell(*raw.next())


@scenario
def too_many_channels():
    raw = Raw(PORT).login(tune=(2, 131072, 0)).channel(1).channel(2)
    closing(raw, method(3, 'channel.open', ''))
    raw = Raw(PORT).login(tune=(2, 131072, 0)).channel(9)
    tell(*raw.send(declare('', channel=9, exclusive=True)).next()[:2])


@scenario
def flow():
    on_channel(method(1, 'channel.flow', True))
    on_channel(method(1, 'channel.flow', False))


@scenario
def closing_a_connection():
    closing(Raw(PORT).login().channel(), method(0, 'connection.close', 200, 'bye', 0, 0), declare('late'))


# ---- contents ----

@scenario
def contents_out_of_order():
    pub = method(1, 'basic.publish', 0, '', 'nowhere', False, False)
    closing(Raw(PORT).login().channel(), header(1, 3))
    closing(Raw(PORT).login().channel(), frame(3, 1, b'abc'))
    closing(Raw(PORT).login().channel(), pub, frame(3, 1, b'abc'))
    closing(Raw(PORT).login().channel(), pub, pub)
    closing(Raw(PORT).login().channel(), pub, header(1, 3), header(1, 3))
    closing(Raw(PORT).login().channel(), pub, header(1, 3), pub)
    closing(Raw(PORT).login().channel(), pub, header(1, 3, class_id=50))
    closing(Raw(PORT).login().channel(), pub, header(1, 0), frame(3, 1, b''))


@scenario
def a_body_in_pieces():
    raw = Raw(PORT).login().channel().channel(2)
    raw.send(declare('pieces', exclusive=True)).expect('queue.declare-ok')
    raw.send(declare('no pieces', exclusive=True, channel=2)).expect('queue.declare-ok')
    raw.send(method(1, 'basic.publish', 0, '', 'pieces', False, False), method(2, 'basic.publish', 0, '', 'no pieces', False, False), header(1, 6),
             header(2, 0), frame(3, 1, b'ab'), frame(8, 0, b''), frame(3, 1, b''), frame(3, 1, b'cdef'))
    for channel, queue, frames in ((1, 'pieces', 3), (2, 'no pieces', 2)):
        raw.send(method(channel, 'basic.get', 0, queue, True))
        for _ in range(frames):
            tell(*raw.next())


@scenario
def headers_that_are_none():
    pub = method(1, 'basic.publish', 0, '', 'nowhere', False, False)
    ending(Raw(PORT).login().channel(), pub, frame(2, 1, b'\0\x3c\0\0'))
    ending(Raw(PORT).login().channel(), pub, frame(2, 1, header(1, 0, 0x8000, b'\xff')[7:-1]))
    ending(Raw(PORT).login().channel(), pub, header(1, 0, 0x2000, b'\0\0\0\x05\x01xI\0\0'))
    ending(Raw(PORT).login().channel(), pub, header(1, 0, 0x8000, short('a') + b'behind'))


@scenario
def a_message_that_is_too_large():
    pub = method(1, 'basic.publish', 0, '', 'nowhere', False, False)
    on_channel(pub, header(1, 400001), *body(400001))
    on_channel(pub, header(1, 400000), *body(400000), method(1, 'basic.qos', 0, 1, False))


@scenario
def expirations_that_are_none():
    for text in ('soon', '-1', '', '1.5', '99999999999999'):
        on_channel(message(1, '', 'nowhere', b'', flags=0x0100, properties=short(text)), method(1, 'basic.qos', 0, 1, False))


@scenario
def the_user_of_somebody_else():
    on_channel(message(1, '', 'nowhere', b'', flags=0x0010, properties=short('root')))


# ---- queues ----

@scenario
def queues_that_are_not_there():
    for m in (declare('not there', passive=True), method(1, 'queue.bind', 0, 'not there', 'amq.direct', 'k', False, {}),
              method(1, 'queue.unbind', 0, 'not there', 'amq.direct', 'k', {}), method(1, 'queue.purge', 0, 'not there', False),
              method(1, 'basic.consume', 0, 'not there', '', False, False, False, False, {}), method(1, 'basic.get', 0, 'not there', False),
              method(1, 'queue.delete', 0, 'not there', False, False, False)):
        on_channel(m)


@scenario
def the_last_queue_where_there_is_none():
    for m in (method(1, 'queue.bind', 0, '', 'amq.direct', 'k', False, {}), method(1, 'queue.bind', 0, '', 'amq.direct', '', False, {}),
              method(1, 'queue.unbind', 0, '', 'amq.direct', 'k', {}), method(1, 'queue.purge', 0, '', False),
              method(1, 'basic.consume', 0, '', '', False, False, False, False, {}), method(1, 'basic.get', 0, '', False),
              method(1, 'queue.delete', 0, '', False, False, False), declare('', passive=True)):
        on_channel(m)


@scenario
def the_last_queue():
    raw = Raw(PORT).login().channel()
    name = raw.send(declare('', exclusive=True)).next()[2][0]
    tell(name.startswith('amq.gen-'), len(name))
    raw.send(method(1, 'queue.bind', 0, '', 'amq.direct', '', False, {})).expect('queue.bind-ok')
    raw.send(message(1, 'amq.direct', name, b'by its own name'), method(1, 'basic.get', 0, '', True))
    tell(raw.next()[0], *raw.next()[2:3], raw.next()[2])
    for m in (method(1, 'queue.purge', 0, '', False), method(1, 'queue.unbind', 0, '', 'amq.direct', '', {}), method(1, 'queue.delete', 0, '', False, False, False)):
        tell(*raw.send(m).next())
    tell(*raw.send(method(1, 'queue.purge', 0, '', False)).next()[:2])


@scenario
def other_arguments_than_before():
    before = [declare('args', exclusive=True, args={'x-message-ttl': 1000})]
    for m in (declare('args', exclusive=True), declare('args', exclusive=True, args={'x-message-ttl': 2000}),
              declare('args', exclusive=True, durable=True, args={'x-message-ttl': 1000}), declare('args', args={'x-message-ttl': 1000}),
              declare('args', exclusive=True, auto_delete=True, args={'x-message-ttl': 1000}),
              declare('args', exclusive=True, args={'x-message-ttl': '1000'}), declare('args', exclusive=True, args={'x-message-ttl': 2**31 * 2 - 2**32 + 1000})):
        on_channel(m, before=before)


@scenario
def arguments_that_are_wrong():
    for args in ({'x-message-ttl': -1}, {'x-message-ttl': 'soon'}, {'x-message-ttl': 2**40}, {'x-expires': 0}, {'x-expires': 'x'}, {'x-max-length': -1}, {'x-max-length': 'x'},
                 {'x-max-length-bytes': -5}, {'x-overflow': 'what'}, {'x-overflow': 5}, {'x-dead-letter-exchange': 5}, {'x-dead-letter-routing-key': 'k'},
                 {'x-max-priority': -1}, {'x-max-priority': 256}, {'x-max-priority': 'x'}, {'x-queue-type': 'what'}, {'x-single-active-consumer': 'x'},
                 {'x-queue-mode': 'what'}, {'x-unknown': 1}):
        tell(args)
        on_channel(declare('wrong', exclusive=True, args=args))


@scenario
def reserved_names():
    on_channel(declare('amq.mine'))
    on_channel(declare('amq.mine', passive=True))
    on_channel(exchange('amq.mine'))
    on_channel(exchange('amq.mine', passive=True))
    on_channel(exchange('', ''))
    on_channel(exchange('', 'direct', passive=True))


@scenario
def queues_of_another_connection():
    other = Raw(PORT).login().channel()
    other.send(declare('owned', exclusive=True)).expect('queue.declare-ok')
    for m in (declare('owned'), declare('owned', passive=True), declare('owned', exclusive=True), method(1, 'queue.bind', 0, 'owned', 'amq.direct', 'k', False, {}),
              method(1, 'queue.unbind', 0, 'owned', 'amq.direct', 'k', {}), method(1, 'queue.purge', 0, 'owned', False), method(1, 'queue.delete', 0, 'owned', False, False, False),
              method(1, 'basic.consume', 0, 'owned', '', False, False, False, False, {}), method(1, 'basic.get', 0, 'owned', False)):
        on_channel(m)


@scenario
def queues_in_use():
    raw = Raw(PORT).login().channel()
    raw.send(declare('in use')).expect('queue.declare-ok')
    raw.send(message(1, '', 'in use', b'x'), method(1, 'tx.select')).expect('tx.select-ok')
    on_channel(method(1, 'queue.delete', 0, 'in use', False, True, False))
    raw.send(method(1, 'basic.consume', 0, 'in use', 'me', False, False, True, False, {})).expect('basic.consume-ok')
    on_channel(method(1, 'queue.delete', 0, 'in use', True, False, False))
    on_channel(method(1, 'basic.consume', 0, 'in use', 'you', False, False, False, False, {}))
    raw.send(method(1, 'queue.delete', 0, 'in use', False, False, False))
    while raw.next()[0] != 'queue.delete-ok':
        pass


# ---- exchanges ----

@scenario
def exchanges_that_are_not_there():
    before = [declare('bound', exclusive=True)]
    for m in (exchange('not there', passive=True), exchange('kind', 'what'), method(1, 'queue.bind', 0, 'bound', 'not there', 'k', False, {}),
              method(1, 'queue.unbind', 0, 'bound', 'not there', 'k', {}), method(1, 'exchange.bind', 0, 'not there', 'amq.direct', 'k', False, {}),
              method(1, 'exchange.bind', 0, 'amq.direct', 'not there', 'k', False, {}), method(1, 'exchange.unbind', 0, 'amq.direct', 'not there', 'k', False, {}),
              method(1, 'exchange.delete', 0, 'not there', False, False), message(1, 'not there', 'k', b'x'), message(1, 'not there', 'k', b'x', mandatory=True),
              method(1, 'queue.unbind', 0, 'bound', 'amq.direct', 'never bound', {})):
        on_channel(m, before=before)


@scenario
def the_default_exchange():
    before = [declare('default', exclusive=True)]
    for m in (method(1, 'queue.bind', 0, 'default', '', 'k', False, {}), method(1, 'queue.unbind', 0, 'default', '', 'default', {}),
              method(1, 'exchange.bind', 0, 'amq.direct', '', 'k', False, {}), method(1, 'exchange.bind', 0, '', 'amq.direct', 'k', False, {}),
              method(1, 'exchange.delete', 0, '', False, False), method(1, 'exchange.delete', 0, 'amq.direct', False, False),
              method(1, 'exchange.delete', 0, 'amq.rabbitmq.trace', False, False), exchange('amq.direct', 'fanout', durable=True), exchange('amq.direct', 'direct')):
        on_channel(m, before=before)


@scenario
def other_exchanges_than_before():
    raw = Raw(PORT).login().channel()
    raw.send(exchange('x-before', 'direct', args={'alternate-exchange': 'a'})).expect('exchange.declare-ok')
    for m in (exchange('x-before', 'fanout'), exchange('x-before', 'direct'), exchange('x-before', 'direct', durable=True, args={'alternate-exchange': 'a'}),
              exchange('x-before', 'direct', auto_delete=True, args={'alternate-exchange': 'a'}), exchange('x-before', 'direct', internal=True, args={'alternate-exchange': 'a'}),
              exchange('x-before', 'direct', args={'alternate-exchange': 'b'}), exchange('x-before', 'fanout', passive=True)):
        on_channel(m)
    raw.send(declare('x-bound', exclusive=True)).expect('queue.declare-ok')
    raw.send(method(1, 'queue.bind', 0, 'x-bound', 'x-before', 'k', False, {})).expect('queue.bind-ok')
    on_channel(method(1, 'exchange.delete', 0, 'x-before', True, False))
    tell(*raw.send(method(1, 'exchange.delete', 0, 'x-before', False, False)).next())


@scenario
def exchanges_for_the_broker_only():
    raw = Raw(PORT).login().channel()
    raw.send(exchange('x-internal', 'direct', internal=True)).expect('exchange.declare-ok')
    on_channel(message(1, 'x-internal', 'k', b'x'))
    on_channel(exchange('x-headers', 'headers'), method(1, 'exchange.delete', 0, 'x-headers', False, True))
    tell(*raw.send(method(1, 'exchange.delete', 0, 'x-internal', False, False)).next())


@scenario
def headers_bindings_that_are_wrong():
    before = [declare('bound by headers', exclusive=True)]
    for args in ({'x-match': 'some'}, {'x-match': 5}, {'a': 1}):
        on_channel(method(1, 'queue.bind', 0, 'bound by headers', 'amq.headers', '', False, args), before=before)


# ---- basic ----

@scenario
def what_is_not_done():
    on_channel(message(1, 'amq.direct', 'k', b'x', immediate=True))
    on_channel(method(1, 'basic.qos', 1000, 1, False))
    on_channel(method(1, 'basic.recover', False))
    on_channel(method(1, 'basic.recover-async', False))
    on_channel(method(1, 'basic.recover', True))


@scenario
def delivery_tags_that_are_unknown():
    for m in (method(1, 'basic.ack', 7, False), method(1, 'basic.ack', 7, True), method(1, 'basic.ack', 0, False), method(1, 'basic.ack', 0, True),
              method(1, 'basic.nack', 7, False, True), method(1, 'basic.nack', 0, True, True), method(1, 'basic.reject', 7, True)):
        on_channel(m, method(1, 'basic.qos', 0, 0, False))


@scenario
def an_acknowledgement_twice():
    raw = Raw(PORT).login().channel()
    raw.send(declare('twice', exclusive=True)).expect('queue.declare-ok')
    raw.send(message(1, '', 'twice', b'x'), method(1, 'basic.get', 0, 'twice', False))
    for _ in range(3):
        tell(*raw.next())
    raw.send(method(1, 'basic.ack', 1, False), method(1, 'basic.ack', 1, False))
    tell(*raw.next())


@scenario
def consumer_tags():
    raw = Raw(PORT).login().channel()
    raw.send(declare('tags', exclusive=True)).expect('queue.declare-ok')
    consume = method(1, 'basic.consume', 0, 'tags', 'me', False, False, False, False, {})
    tell(*raw.send(consume).next())
    tell(*raw.send(method(1, 'basic.cancel', 'nobody', False)).next())
    tell(raw.send(method(1, 'basic.consume', 0, 'tags', '', False, False, False, False, {})).next()[2][0][:8])
    closing(raw, consume)


@scenario
def a_consumer_that_is_cancelled():
    for capabilities in (('consumer_cancel_notify',), ()):
        raw = Raw(PORT).login(capabilities=capabilities).channel().channel(2)
        raw.send(declare('cancelled', exclusive=True)).expect('queue.declare-ok')
        raw.send(method(1, 'basic.consume', 0, 'cancelled', 'me', False, False, False, False, {})).expect('basic.consume-ok')
        raw.send(method(2, 'queue.delete', 0, 'cancelled', False, False, False), method(2, 'tx.select'))
        tell(*sorted(raw.next()[0] for _ in range(3 if capabilities else 2)))


@scenario
def modes_of_a_channel():
    confirm, tx = method(1, 'confirm.select', False), method(1, 'tx.select')
    on_channel(tx, before=[confirm])
    on_channel(confirm, before=[tx])
    on_channel(confirm, before=[confirm])
    on_channel(tx, before=[tx])
    on_channel(method(1, 'tx.commit'))
    on_channel(method(1, 'tx.rollback'))


@scenario
def returned_before_confirmed():
    raw = Raw(PORT).login().channel()
    raw.send(method(1, 'confirm.select', False)).expect('confirm.select-ok')
    raw.send(message(1, '', 'nowhere', b'body', mandatory=True, flags=0x8000, properties=short('text/plain')))
    for _ in range(4):
        tell(*raw.next())
    raw.send(message(1, 'amq.fanout', '', b'body'))
    tell(*raw.next())


@scenario
def direct_reply_to():
    consume = method(1, 'basic.consume', 0, 'amq.rabbitmq.reply-to', 'r', False, True, False, False, {})
    on_channel(consume)
    on_channel(method(1, 'basic.consume', 0, 'amq.rabbitmq.reply-to', 'r', False, False, False, False, {}))
    on_channel(consume, before=[consume])
    on_channel(message(1, '', 'nowhere', b'x', flags=0x0200, properties=short('amq.rabbitmq.reply-to')))
    on_channel(method(1, 'basic.get', 0, 'amq.rabbitmq.reply-to', True))


@scenario
def a_new_secret():
    tell(*Raw(PORT).login().send(method(0, 'connection.update-secret', 'guest', 'it is time')).next())


def run(fn):
    said.lines = [fn.__name__.replace('_', ' ')]
    try:
        fn()
    except (AssertionError, TimeoutError, TypeError, IndexError, ValueError) as e:
        tell('FAILED:', type(e).__name__, e)
    return '\n'.join(said.lines)


# Side by side, since RabbitMQ takes seconds to end a connection that it has nothing to say to.
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    for text in pool.map(run, [s for s in SCENARIOS if PART in s.__name__]):
        print(text)
