/* sh_queue.h - the queue between shorteners and the worker that counts: where it is, and what is agreed on when somebody connects. */
#ifndef SH_QUEUE_H
#define SH_QUEUE_H

#include "app/conf.h"
#include "core/amqp_url.h"
#include "net/amqp_link.h"

/* What a link is made of; stays where it is until the link is closed. */
struct sh_queue {
	struct sd_amqp_url url;
	struct sd_tls_client *tls; /* NULL: plain */
	char name[SD_AMQP_SHORT_MAX + 1], tls_name[256];
	struct sd_text arguments;
	struct sd_amqp_arg declare[9], second[8], third[8];
	struct sd_amqp_link_ask asks[4];
	struct sd_amqp_link_conf conf; /* for the caller to complete: up, down, delivered, arg */
};

/* Are --events, when it is set, and --click-queue what they may be? SD_EUSAGE; *e never has the password in it. */
enum sd_err sh_queue_check(const struct sd_conf *conf, struct sd_error *e);
/* consume: with so many deliveries that are not acknowledged; 0: to publish, with confirms. url and name were checked. */
enum sd_err sh_queue_init(struct sh_queue *q, struct sd_world *w, const char *url, const char *name, unsigned consume, struct sd_error *e);
void sh_queue_end(struct sh_queue *q);

#endif
