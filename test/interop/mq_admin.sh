#!/usr/bin/env bash
# rabbitmqadmin against our HTTP API: what it prints is what it prints against rabbitmq-server. And what a person does with curl.
# plain build only: the API runs under the sanitizers in test_mq_api

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../rabbitmq.sh
. "$(dirname "$0")/../rabbitmq.sh"
sdlab_test "$@"
need rabbitmq-server rabbitmqadmin
cd "$TMP" || exit 1

# Everything once, in the words of rabbitmqadmin.
script() { # PORT
  local admin=(rabbitmqadmin -P "$1")
  "${admin[@]}" declare queue name=orders 'arguments={"x-max-length":100}'
  "${admin[@]}" declare queue name=orders 'arguments={"x-max-length":100}'
  "${admin[@]}" declare exchange name=events type=topic
  "${admin[@]}" declare exchange name=inner type=fanout durable=false auto_delete=true
  "${admin[@]}" declare binding source=events destination=orders routing_key='order.*'
  "${admin[@]}" declare binding source=events destination=inner destination_type=exchange routing_key='#'
  "${admin[@]}" publish exchange=events routing_key=order.new payload='first'
  "${admin[@]}" publish exchange=events routing_key=order.new payload='{"n": 2}' 'properties={"content_type":"application/json","priority":3,"headers":{"a":1,"b":"c","d":[true,-5]}}'
  "${admin[@]}" publish exchange=amq.default routing_key=nowhere payload=lost
  "${admin[@]}" publish routing_key=orders payload=AP8B payload_encoding=base64
  "${admin[@]}" -f raw_json get queue=orders count=5 | python3 -m json.tool --sort-keys
  "${admin[@]}" get queue=orders ackmode=ack_requeue_false
  "${admin[@]}" get queue=orders ackmode=reject_requeue_false
  "${admin[@]}" list exchanges name type durable auto_delete internal
  "${admin[@]}" list bindings source destination destination_type routing_key properties_key | sort
  "${admin[@]}" list queues name durable auto_delete
  "${admin[@]}" list vhosts name
  "${admin[@]}" export exported.json
  python3 - <<'PY'
import json
for name, rows in sorted(json.load(open("exported.json")).items()):
    if name in ("queues", "exchanges", "bindings", "vhosts"):
        for r in sorted(json.dumps({k: v for k, v in r.items() if k != "metadata"}, sort_keys=True) for r in rows):
            print(name, r)
PY
  "${admin[@]}" purge queue name=orders
  "${admin[@]}" get queue=orders
  "${admin[@]}" delete binding source=events destination=orders destination_type=queue properties_key='order.*'
  "${admin[@]}" delete exchange name=events
  "${admin[@]}" delete queue name=orders
  "${admin[@]}" import exported.json | sed 's/\. The import.*//'
  "${admin[@]}" list queues name
  "${admin[@]}" declare vhost name=other
  "${admin[@]}" -V other declare queue name=there durable=false
  "${admin[@]}" -V other list queues name durable
  "${admin[@]}" delete vhost name=other
  "${admin[@]}" list policies
  # What is wrong.
  "${admin[@]}" delete queue name=missing
  "${admin[@]}" get queue=missing
  "${admin[@]}" declare queue name=orders durable=false | sed "s/ in vhost.*//"
  "${admin[@]}" declare exchange name=amq.mine type=direct | sed "s/ in vhost.*//"
  "${admin[@]}" -u guest -p wrong list queues
}

start ours "$SDLAB" mq --port 0 --http 127.0.0.1:0
port_of ours >/dev/null
wait_line ours 'Queues are shown on'
http=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\)/.*|\1|p' ours.log)
script "$http" >said.ours 2>&1
assert_lacks "$(cat said.ours)" Traceback 'rabbitmqadmin'
if baseline rabbitmq-server rabbitmqctl; then
  RABBITMQ_WITH_MANAGEMENT=1 start_rabbitmq theirs
  script "${AT[theirs.http]}" >said.theirs 2>&1
  diff -u said.theirs said.ours || fail 'rabbitmqadmin prints something else'
fi

# ---- curl ----
url=http://127.0.0.1:$http
ask() { # METHOD PATH [JSON]
  curl -sS --max-time 10 -u guest:guest -X "$1" -w '\n%{http_code}\n' ${3:+-d "$3"} "$url$2"
}
assert_eq 401 "$(curl -sS -o /dev/null -w '%{http_code}' "$url/api/queues")" 'without a login'
assert_eq 403 "$(curl -sS -u guest:guest -H 'Origin: http://elsewhere' -o /dev/null -w '%{http_code}' -X PUT "$url/api/queues/%2f/x")" \
  'from a page'
assert_eq 201 "$(ask PUT /api/queues/%2f/work '{}' | tail -n 1)" 'a queue'
assert_contains "$(ask POST /api/exchanges/%2f/amq.default/publish '{"routing_key":"work","payload":"one"}')" '"routed":true' publish
got=$(ask POST /api/queues/%2f/work/get '{"ackmode":"manual","visibility_timeout":60000}')
tag=$(printf '%s\n' "$got" | sed -n 's/.*"delivery_tag":\([0-9]*\).*/\1/p')
assert_contains "$got" '"payload":"one"' get
assert_eq 204 "$(ask POST /api/queues/%2f/work/extend "{\"delivery_tag\":$tag,\"visibility_timeout\":90000}" | tail -n 1)" 'more time'
assert_eq 204 "$(ask POST /api/queues/%2f/work/ack "{\"delivery_tag\":$tag}" | tail -n 1)" ack
assert_eq 404 "$(ask POST /api/queues/%2f/work/ack "{\"delivery_tag\":$tag}" | tail -n 1)" 'a second ack'
assert_contains "$(ask GET /api/queues/%2f/work)" '"messages":0' 'what is left'

# The page, and what it follows.
page=$(curl -sS -i -u guest:guest "$url/")
assert_contains "$page" "Content-Security-Policy: default-src 'none'" 'the page'
assert_contains "$page" '<title>mq' 'the page'
curl -sS -N --max-time 20 -u guest:guest "$url/api/live" >live.txt 2>/dev/null &
follower=$!
first() { grep -q '^data: {"queues":\[' live.txt; }
wait_for 'the live view' first
kill "$follower"
stop ours
