// What npm's amqplib sees of a broker, one line a fact: node mq_amqplib.js PORT. The lines must be the same on RabbitMQ and on ours.
'use strict';
const amqp = require(process.env.NPM_MODULES + '/amqplib');

const N = 500;
const url = 'amqp://guest:guest@127.0.0.1:' + process.argv[2] + '/';

function deliveries(ch, queue, n, options, each) {
  return new Promise((resolve) => {
    const seen = [];
    ch.consume(queue, (m) => {
      seen.push(m === null ? null : m.content.toString());
      if (m && each) each(m);
      if (seen.length === n) resolve(seen);
    }, options);
  });
}

async function confirms(c) {
  const ch = await c.createConfirmChannel();
  const { queue } = await ch.assertQueue('', { exclusive: true, durable: true });
  for (let i = 0; i < N; i++) ch.publish('', queue, Buffer.from('m' + i), { persistent: true });
  await ch.waitForConfirms();
  console.log('confirmed', N, (await ch.checkQueue(queue)).messageCount);
  await ch.prefetch(50);
  const seen = await deliveries(ch, queue, N, {}, (m) => ch.ack(m));
  console.log('consumed in order', seen.length, seen.every((s, i) => s === 'm' + i));
  await ch.close();
}

async function returned(c) {
  const ch = await c.createConfirmChannel();
  const back = new Promise((resolve) => ch.once('return', resolve));
  ch.publish('', 'nobody', Buffer.from('lost'), { mandatory: true, headers: { n: 1, list: ['a', 2], when: { '!': 'timestamp', value: 1700000000 } } });
  const m = await back;
  console.log('returned', m.fields.replyCode, m.fields.replyText, m.content.toString(), JSON.stringify(m.properties.headers));
  await ch.waitForConfirms();
  await ch.close();
}

async function cancelled(c) {
  const ch = await c.createChannel();
  const { queue } = await ch.assertQueue('amqplib.cancelled');
  const seen = deliveries(ch, queue, 1, {});
  await ch.deleteQueue(queue);
  console.log('cancelled', await seen);
  await ch.close();
}

async function topics(c) {
  const ch = await c.createChannel();
  await ch.assertExchange('amqplib.logs', 'topic', { durable: false, autoDelete: true });
  const { queue } = await ch.assertQueue('', { exclusive: true });
  await ch.bindQueue(queue, 'amqplib.logs', '*.error');
  for (const key of ['web.error', 'web.info', 'db.error']) ch.publish('amqplib.logs', key, Buffer.from(key));
  console.log('topics', await deliveries(ch, queue, 2, { noAck: true }));
  await ch.close();
}

async function errors(c) {
  const ch = await c.createChannel();
  const gone = new Promise((resolve) => ch.once('error', resolve));
  ch.checkQueue('not there').catch(() => {});
  const e = await gone;
  console.log('error', e.code, e.message);
  const other = await c.createChannel();
  const closed = new Promise((resolve) => other.once('error', resolve));
  other.ack({ fields: { deliveryTag: 9 } });
  console.log('error', (await closed).message);
}

async function rpc(c) {
  const ch = await c.createChannel();
  const { queue } = await ch.assertQueue('', { exclusive: true });
  const server = await c.createChannel();
  server.consume(queue, (m) => server.sendToQueue(m.properties.replyTo, Buffer.from(m.content.toString().toUpperCase()), { correlationId: m.properties.correlationId }), { noAck: true });
  const answer = deliveries(ch, 'amq.rabbitmq.reply-to', 1, { noAck: true });
  await new Promise((resolve) => setImmediate(resolve));
  ch.sendToQueue(queue, Buffer.from('question'), { replyTo: 'amq.rabbitmq.reply-to', correlationId: '1' });
  console.log('answer', await answer);
  await ch.close();
  await server.close();
}

(async () => {
  const c = await amqp.connect(url, { clientProperties: { connection_name: 'amqplib' } });
  console.log('capabilities', Object.keys(c.connection.serverProperties.capabilities).sort().join(' '));
  await confirms(c);
  await returned(c);
  await cancelled(c);
  await topics(c);
  await errors(c);
  await rpc(c);
  await c.updateSecret(Buffer.from('guest'), 'it is time');
  await c.close();
  console.log('closed');
})().catch((e) => { console.log('FAILED', e); process.exit(1); });
