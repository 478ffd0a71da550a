# What ruby-bunny sees of a broker, one line a fact: ruby mq_bunny.rb PORT. The lines must be the same on RabbitMQ and on ours.
require 'bunny'

WAIT = 10
conn = Bunny.new(host: '127.0.0.1', port: ARGV[0].to_i, user: 'guest', password: 'guest', automatically_recover: false, logger: Logger.new(IO::NULL))
conn.start
ch = conn.create_channel

def taken(queue, n)
  seen = Queue.new
  consumer = queue.subscribe(manual_ack: true) { |d, p, body| queue.channel.ack(d.delivery_tag); seen << [body, d.redelivered?, p.headers] }
  out = n.times.map { Timeout.timeout(WAIT) { seen.pop } }
  consumer.cancel
  out
end

# publisher confirms
q = ch.queue('bunny.work', durable: true)
ch.confirm_select
100.times { |i| q.publish("job #{i}", persistent: true) }
puts "confirmed #{ch.wait_for_confirms} #{ch.unconfirmed_set.empty?}"
got = taken(q, 100)
puts "in order #{got.map(&:first) == (0...100).map { |i| "job #{i}" }} #{got.none? { |g| g[1] }}"

# what is refused comes back flagged
q.publish('again')
d, _, body = q.pop(manual_ack: true)
ch.nack(d.delivery_tag, false, true)
puts "redelivered #{body} #{taken(q, 1)[0][0, 2]}"

# exchanges
x = ch.direct('bunny.direct', auto_delete: true)
inner = ch.fanout('bunny.inner', auto_delete: true)
a = ch.queue('', exclusive: true).bind(x, routing_key: 'a')
b = ch.queue('', exclusive: true).bind(inner)
inner.bind(x, routing_key: 'a')
x.publish('both', routing_key: 'a', headers: { 'n' => 1, 'nested' => { 'list' => [1, 'two', nil, true] } })
puts "exchange to exchange #{taken(a, 1)} #{taken(b, 1)}"

# dead letters
dead = ch.queue('', exclusive: true)
dying = ch.queue('bunny.dying', exclusive: true, arguments: { 'x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => dead.name })
dying.publish('no more')
d, = dying.pop(manual_ack: true)
ch.reject(d.delivery_tag, false)
death = taken(dead, 1)[0][2]['x-death'][0]
puts "dead #{death['queue']} #{death['reason']} #{death['count']} #{death['routing-keys']}"

# a mandatory one that goes nowhere
returned = Queue.new
direct = ch.direct('amq.direct')
direct.on_return { |info, _, content| returned << [info.reply_code, info.reply_text, content] }
direct.publish('lost', routing_key: 'nobody', mandatory: true)
puts "returned #{Timeout.timeout(WAIT) { returned.pop }}"

# transactions
tx = conn.create_channel
tx.tx_select
tq = tx.queue('', exclusive: true)
tq.publish('one')
tx.tx_rollback
tq.publish('two')
tx.tx_commit
puts "committed #{tq.pop[2]} #{tq.pop[2].inspect}"

# errors end the channel, not the connection
begin
  conn.create_channel.queue('bunny.work', durable: false)
rescue Bunny::PreconditionFailed => e
  puts "refused #{e.message}"
end
begin
  conn.create_channel.queue_purge('not there')
rescue Bunny::NotFound => e
  puts "refused #{e.message}"
end
puts "open #{conn.open?} #{ch.open?}"
puts "deleted #{q.delete.message_count}"
conn.close
begin
  Bunny.new(host: '127.0.0.1', port: ARGV[0].to_i, user: 'guest', password: 'wrong', automatically_recover: false, logger: Logger.new(IO::NULL)).start
rescue Bunny::AuthenticationFailureError => e
  puts "login #{e.message}"
end
