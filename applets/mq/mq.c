/* mq.c - the face of the broker: its names, and what --help says. */
#include "server/mq_face.h"

static const struct sd_alias aliases[] = {{"messageq", NULL}, {"mq-cli", "*"}, {0}};

const struct sd_applet sd_applet_mq = {
    .name = "mq",
    .summary = "a durable message broker that AMQP clients can use",
    .description = "Takes messages, keeps them on the disk until somebody has done what they ask for, and speaks AMQP 0-9-1 as "
		   "RabbitMQ does, so that clients you have work with it. A message is confirmed when it is on the disk; what is "
		   "not acknowledged comes back; what fails too often goes to a queue of its own, from where it can be replayed.",
    .aliases = aliases,
    .verbs = mq_verbs,
};
