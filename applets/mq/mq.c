/* mq.c - the face of the broker: its names, and what --help says. */
#include "server/mq_face.h"

static const struct sd_alias aliases[] = {{"messageq", NULL}, {"mq-cli", "*"}, {0}};

const struct sd_applet sd_applet_mq = {
    .name = "mq",
    .summary = "a durable message broker that AMQP clients can use",
    .description = "Takes messages, keeps them on the disk until somebody has done what they ask for, and speaks AMQP 0-9-1 as "
		   "RabbitMQ does, so that clients you have work with it. A message is confirmed when it is on the disk; what is "
		   "not acknowledged comes back; what fails too often goes to a queue of its own, from where it can be replayed.",
    .examples = "sdlab mq --data-dir ./queue-data\n"
		"sdlab mq publish orders '{\"order_id\": 123}'\n"
		"sdlab mq consume orders --ack-mode manual\n"
		"amqp-publish -u amqp://guest:guest@127.0.0.1 -r orders -b hello",
    .next = "sdlab mq publish orders hello",
    .aliases = aliases,
    .options = mq_options,
    .service = &mq_service,
    .verbs = mq_verbs,
    .check = mq_check,
};
