#!/usr/bin/env bash
# What a night of simulation buys: events of the simulated world a second, with the load balancer, three backends and a
# client as they are.
#
#   test/bench/sim.sh [SEEDS]
set -u
cd "$(dirname "$0")/../.." || exit 1
seeds=${1:-300}
make --no-print-directory build/plain/sim/sim_front >/dev/null || exit 1
echo 'Simulated events (lb, three backends, a client; faults from a seed)'
SEEDS=$seeds build/plain/sim/sim_front | grep 'events/s' | awk '
  { events += $6; cpu += $8 }
  { sub(/:$/, "", $1); printf "  %-32s %9d events  %8.2f s  %10d events/s\n", $1, $6, $8, $6 / ($8 > 0 ? $8 : 1) }
  END { printf "  %-32s %9d events  %8.2f s  %10d events/s\n", "in all", events, cpu, events / cpu }'
