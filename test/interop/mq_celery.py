#!/usr/bin/env python3
"""Celery on a broker: tasks and results, retries, countdown, a group, a worker that is killed. One line a fact; the lines must be
the same on RabbitMQ and on ours.

    mq_celery.py PORT
"""
import os
import select
import signal
import subprocess
import sys
import tempfile
import time

from celery import Celery, group

PORT = os.environ.get('MQ_PORT') or sys.argv[1]
PLACE = os.environ.get('MQ_PLACE') or tempfile.mkdtemp(dir='.')
WAIT = 40

app = Celery('mq_celery', broker='amqp://guest:guest@127.0.0.1:%s//' % PORT, backend='rpc://')
app.conf.update(worker_prefetch_multiplier=1, broker_connection_retry=False, task_publish_retry=False, broker_transport_options={'confirm_publish': True},
                worker_hijack_root_logger=False)


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=5)
def flaky(self, needs):
    if self.request.retries < needs:
        raise self.retry(countdown=0.05)
    return self.request.retries


@app.task(bind=True, max_retries=2)
def hopeless(self):
    raise self.retry(exc=ValueError('no'), countdown=0.05)


@app.task
def when():
    return time.time()


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def hold(self, name):
    """The first time it is held until its worker is killed; the second time it ends."""
    path = os.path.join(PLACE, name)
    if self.request.delivery_info['redelivered']:
        return 'redelivered'
    with open(path, 'w') as f: # a pipe: whoever waits for this is woken
        f.write('held')
    signal.pause()
    return 'not killed'


def worker(name):
    return subprocess.Popen(
        [sys.executable, '-m', 'celery', '-A', 'mq_celery', 'worker', '--pool', 'solo', '-n', name + '@here', '-l', 'warning'],
        env=dict(os.environ, MQ_PORT=PORT, MQ_PLACE=PLACE, PYTHONPATH=os.path.dirname(os.path.abspath(__file__))),
        stdout=open(os.path.join(PLACE, name + '.log'), 'w'), stderr=subprocess.STDOUT)


def main():
    running = [worker('first')]
    try:
        print('a task', add.delay(2, 3).get(timeout=WAIT))
        print('a group', sum(group(add.s(i, i) for i in range(20))().get(timeout=WAIT)))
        print('a chain', (add.s(1, 2) | add.s(10) | add.s(100))().get(timeout=WAIT))
        print('after retries', flaky.delay(3).get(timeout=WAIT))
        r = hopeless.delay()
        print('in vain', repr(r.get(timeout=WAIT, propagate=False)), r.status)
        began = time.time()
        later, now = when.apply_async(countdown=1.5), when.delay()
        print('countdown', now.get(timeout=WAIT) < later.get(timeout=WAIT), later.get(timeout=WAIT) >= began + 1.5)
        print('large', len(add.delay('x' * 300000, 'y').get(timeout=WAIT)))
        os.mkfifo(os.path.join(PLACE, 'held'))
        begun = os.open(os.path.join(PLACE, 'held'), os.O_RDONLY | os.O_NONBLOCK)
        r = hold.delay('held')
        if not select.select([begun], [], [], WAIT)[0]:
            sys.exit('no worker began with the task that is held')
        running[0].kill()
        running[0].wait()
        running.append(worker('second'))
        print('killed', r.get(timeout=WAIT))
        print('seen', app.control.inspect(timeout=WAIT, limit=1).ping())
        running[1].terminate()
        print('ended', running[1].wait(WAIT))
        print('done')
    finally:
        for w in running:
            if w.poll() is None:
                w.kill()
                w.wait()


if __name__ == '__main__':
    main()
