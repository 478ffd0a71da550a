#!/usr/bin/env bash
# The verbs of mq on Debian's rabbitmq-server, in the words in which test/cli/mq_client.sh has them from ours.
# plain build only: the verbs run under the sanitizers in test/cli/mq_client.sh
# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
sdlab_test "$@"
cd "$TMP" || exit 1
# shellcheck source=../rabbitmq.sh
. "$ROOT/test/rabbitmq.sh"
# shellcheck source=../mq_verbs.sh
. "$ROOT/test/mq_verbs.sh"
need rabbitmq-server /usr/lib/rabbitmq/bin/rabbitmq-server epmd

RABBITMQ_WITH_MANAGEMENT=1 start_rabbitmq rabbit 1
try rabbit
dies rabbit
