#!/usr/bin/env bash
# The verbs of mq on our own broker.
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1
# shellcheck source=../mq_verbs.sh
. "$ROOT/test/mq_verbs.sh"

# shellcheck disable=SC2034 # read in mq_verbs.sh
declare -A AT=()
start ours "$SDLAB" mq --port 0 --http 127.0.0.1:0 --retry-limit 0
AT[ours]=$(port_of ours) || exit 1
wait_line ours 'Queues are shown on '
AT[ours.http]=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\)/.*|\1|p' "$TMP/ours.log")
try ours
dies ours
