#!/usr/bin/env bash
# What a message costs the broker beside rabbitmq-server, nats-server (JetStream) and beanstalkd; what memory it takes idle and with a
# backlog, and how long it takes to come back with it.
#
#   test/bench/mq.sh BIN [--rounds 5] [--sizes 100,1024] [--windows 1,100,3000] [--rate 500] [--backlog 1000000] [--out bench-results] [--quick]
#
# One core each: brokers on CPU 0, one at work at a time, the generator (mq_drive.c, one connection) on CPU 1. publish: persistent messages
# into a durable queue, confirmed, so many unconfirmed at a time; consume: taken and acknowledged one by one. CPU time is user and
# system time of all threads of the broker, divided by the messages. Brokers take turns in every round and the ratio is taken within a
# round. End to end: so many messages a second for ten seconds, from the moment each was due until a consumer had it, publisher and
# consumer side by side. JetStream 2.9 has no setting to sync before it acknowledges: it confirms what the kernel has, all others what the disk has.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=../rabbitmq.sh
. "$(dirname "$0")/../rabbitmq.sh"
# shellcheck source=table.sh
. "$(dirname "$0")/table.sh"

usage() {
  sed -n 's/^# \{0,1\}//; 5p' "$0" >&2
  exit 2
}
[ $# -gt 0 ] || usage
bin=$1
shift
rounds=${BENCH_ROUNDS:-5} sizes=100,1024 windows=1,100,3000 rate=500 e2e_s=10 backlog=1000000 out=bench-results
declare -A OPS=([1]=1000 [100]=20000 [3000]=50000)
while [ $# -gt 0 ]; do
  if [ "$1" = --quick ]; then
    rounds=1 e2e_s=2 backlog=20000 OPS=([1]=200 [100]=2000 [3000]=5000)
    shift
    continue
  fi
  [ $# -ge 2 ] || usage
  case $1 in
  --rounds) rounds=$2 ;;
  --sizes) sizes=$2 ;;
  --windows) windows=$2 ;;
  --rate) rate=$2 ;;
  --backlog) backlog=$2 ;;
  --out) out=$2 ;;
  *) usage ;;
  esac
  shift 2
done
sdlab_test "$bin"
pin0=(taskset -c 0) pin1=(taskset -c 1)
[ "$(nproc)" -ge 2 ] || pin0=() pin1=()
cc -O2 -D_GNU_SOURCE -o "$TMP/mq_drive" "$ROOT/test/bench/mq_drive.c" -lrabbitmq || {
  echo 'bench: needs package librabbitmq-dev (make deps-all installs it)'
  exit 0
}
mkdir -p "$out" || exit 1

programs=(sdlab)
for peer in rabbitmq-server nats-server beanstalkd; do
  if command -v "$peer" >/dev/null 2>&1 || [ -x "/usr/sbin/$peer" ] || [ -x "/usr/lib/rabbitmq/bin/$peer" ]; then
    programs+=("$peer")
  else
    echo "bench: $peer is left out: needs package $peer"
  fi
done
declare -A PROTOCOL=([sdlab]=amqp [rabbitmq-server]=amqp [nats-server]=nats [beanstalkd]=beanstalk)

serve() { # PROGRAM: with what its folder has
  local program=$1
  mkdir -p "$TMP/data.$program"
  [ "$program" = rabbitmq-server ] || AT[$program]=$(free_port)
  case $program in
  sdlab) start sdlab "${pin0[@]}" "$SDLAB" mq --port "${AT[sdlab]}" --data-dir "$TMP/data.sdlab" --http off ;;
  rabbitmq-server)
    start_rabbitmq rabbitmq-server 1
    [ "${#pin0[@]}" -eq 0 ] || taskset -a -p -c 0 "${PID[rabbitmq-server]}" >/dev/null
    ;;
  nats-server)
    printf 'jetstream { store_dir: "%s" }\n' "$TMP/data.nats-server" >"$TMP/nats.conf"
    start nats-server "${pin0[@]}" /usr/sbin/nats-server -a 127.0.0.1 -p "${AT[$program]}" -c "$TMP/nats.conf"
    ;;
  beanstalkd) start beanstalkd "${pin0[@]}" beanstalkd -l 127.0.0.1 -p "${AT[$program]}" -b "$TMP/data.beanstalkd" -f0 ;;
  esac
  wait_port "$program" "${AT[$program]}"
}

cpu_us() { # PROGRAM
  cat "/proc/${PID[$1]}"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f\n", s / 1000 }'
}
rss() { awk '/^VmRSS:/ { print $2 * 1024 }' "/proc/${PID[$1]}/status"; }

# drive PROGRAM publish|consume COUNT SIZE WINDOW durable|transient: says "messages seconds".
drive() {
  "${pin1[@]}" "$TMP/mq_drive" "${PROTOCOL[$1]}" "${AT[$1]}" "$2" "$3" "$4" "$5" "$6" || fail "mq_drive: $*"
}

csv=$out/mq-$(date -u +%Y%m%dT%H%M%SZ).csv
seconds=- body_bytes=$sizes
{
  heading sdlab | sed "s/^# rounds:.*/# rounds: $rounds, messages of $sizes bytes/"
  dpkg-query -W -f '# ${Package}: ${Version}\n' rabbitmq-server nats-server beanstalkd 2>/dev/null
  echo what,window,round,program,messages,seconds,messages_per_s,cpu_us,cpu_us_per_message,errors
} >"$csv"

measure() { # WHAT publish|consume COUNT SIZE WINDOW MODE ROUND PROGRAM
  local before after said
  before=$(cpu_us "$8")
  said=$(drive "$8" "$2" "$3" "$4" "$5" "$6") || exit 1
  after=$(cpu_us "$8")
  echo "$said" | awk -v what="$1" -v window="$5" -v round="$7" -v program="$8" -v us=$((after - before)) \
    '{ printf "%s,%s,%s,%s,%d,%.3f,%.0f,%d,%.4f,0\n", what, window, round, program, $1, $2, $1 / $2, us, us / $1 }' >>"$csv"
}

echo 'Memory of an idle broker:'
for program in "${programs[@]}"; do
  serve "$program"
  "$TMP/mq_drive" "${PROTOCOL[$program]}" "${AT[$program]}" publish 1 10 1 durable >/dev/null || fail "$program does not answer"
  "$TMP/mq_drive" "${PROTOCOL[$program]}" "${AT[$program]}" consume 1 10 1 durable >/dev/null
  awk -v p="$program" -v r="$(rss "$program")" -v csv="$csv" 'BEGIN {
    printf "%-16s %8.1f MiB\n", p, r / 1048576
    printf "# idle bytes: %s %d\n", p, r >>csv }'
done

for size in ${sizes//,/ }; do
  for window in ${windows//,/ }; do
    for ((round = 1; round <= rounds; round++)); do
      for program in "${programs[@]}"; do
        count=${OPS[$window]:-10000}
        # It syncs for each message by itself: what it costs shows with fewer.
        [ "$program" != beanstalkd ] || [ "$count" -le 2000 ] || count=2000
        measure "confirmed/$size" publish "$count" "$size" "$window" durable "$round" "$program"
        measure "consume/$size" consume "$count" "$size" "$window" durable "$round" "$program"
      done
    done
  done
  for ((round = 1; round <= rounds; round++)); do
    for program in "${programs[@]}"; do
      [ "$program" != beanstalkd ] || continue # it confirms all
      measure "transient/$size" publish 50000 "$size" 1000 transient "$round" "$program"
      measure "drain/$size" consume 50000 "$size" 1000 transient "$round" "$program"
    done
  done
done
echo
print_cost "$csv" sdlab | sed '1s/request/message/; 2s/connections/     window/'
echo
echo 'Messages a second, median of the rounds:'
awk -F, "$awk_median"'
  /^#/ || $1 == "what" { next }
  { k = $1 " " $2 " " $4; if (!(k in n)) order[++m] = k; v[k, ++n[k]] = $7 }
  END { for (i = 1; i <= m; i++) { k = order[i]; for (j = 1; j <= n[k]; j++) a[j] = v[k, j]; split(k, w, " ")
    printf "%-16s window %4s  %-16s %9.0f\n", w[1], w[2], w[3], median(a, n[k]) } }' "$csv"

# e2e SIZE ROUND PROGRAM: the publisher begins its schedule a second after its start, when the consumer waits.
e2e() {
  local count=$((rate * e2e_s)) window=1000 taker
  [ "$3" != beanstalkd ] || window=1 # it takes no second reserve from a connection that waits in one
  "${pin1[@]}" "$TMP/mq_drive" "${PROTOCOL[$3]}" "${AT[$3]}" consume "$count" "$1" "$window" durable "$rate" >"$TMP/e2e" &
  taker=$!
  "${pin1[@]}" "$TMP/mq_drive" "${PROTOCOL[$3]}" "${AT[$3]}" publish "$count" "$1" 1000 durable "$rate" >/dev/null || fail "mq_drive: $3 at a rate"
  wait "$taker" || fail "mq_drive: $3 did not get all of them"
  awk -v size="$1" -v round="$2" -v p="$3" -v rate="$rate" '{ printf "# end to end: %s %d bytes %d/s round %d p50 %d us p99 %d us max %d us\n",
    p, size, rate, round, $3, $4, $5 }' "$TMP/e2e" >>"$csv"
}
for size in ${sizes//,/ }; do
  for ((round = 1; round <= rounds; round++)); do
    for program in "${programs[@]}"; do e2e "$size" "$round" "$program"; done
  done
done
echo
echo "End to end at $rate messages a second, confirmed and persistent, microseconds, median of the rounds:"
awk "$awk_median"'
  !/^# end to end/ { next }
  { k = $5 " " $6; if (!(k in n)) order[++m] = k; i = ++n[k]; for (f = 0; f < 3; f++) v[k, f, i] = $(12 + f * 3) }
  END { for (i = 1; i <= m; i++) { k = order[i]; split(k, w, " "); printf "%-16s %5d bytes ", w[1], w[2]
    for (f = 0; f < 3; f++) { for (j = 1; j <= n[k]; j++) a[j] = v[k, f, j]; printf "  %s %8.0f", f == 0 ? "p50" : f == 1 ? "p99" : "max", median(a, n[k]) }
    print "" } }' "$csv"

echo
echo "A backlog of $backlog messages of 100 bytes: memory, and the time until it is there again after a restart"
for program in sdlab rabbitmq-server; do
  [ -n "${PID[$program]:-}" ] || continue
  drive "$program" publish "$backlog" 100 3000 durable >/dev/null
  bytes=$(rss "$program")
  stop_quietly "$program"
  begin=$EPOCHREALTIME
  if [ "$program" = sdlab ]; then serve sdlab; else restart_rabbitmq rabbitmq-server 1; fi
  drive "$program" consume 1 100 1 durable >/dev/null
  awk -v p="$program" -v b="$bytes" -v from="$begin" -v to="$EPOCHREALTIME" -v n="$backlog" -v csv="$csv" 'BEGIN {
    printf "%-16s %8.1f MiB, %5.0f bytes a message, back after %.2f s\n", p, b / 1048576, b / n, to - from
    printf "# backlog of %d: %s %d bytes, restart %.3f s\n", n, p, b, to - from >>csv }'
done
echo "raw figures: $csv"
