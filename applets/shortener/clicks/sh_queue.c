#include "sh_queue.h"

#include <stdio.h>
#include <stdlib.h>

/* Durable, and for one consumer at a time, so that messages stay in their order; others stand by. */
static enum sd_err declare_queue(struct sh_queue *q, struct sd_error *e)
{
	sd_amqp_put_bool(&q->arguments, "x-single-active-consumer", true);
	if (q->arguments.full)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	q->declare[1].s = sd_slice_of(q->name);
	q->declare[3].n = 1;
	q->declare[7].s = (struct sd_slice){q->arguments.p, q->arguments.n};
	q->asks[0] = (struct sd_amqp_link_ask){SD_AMQP_QUEUE_DECLARE, q->declare, SD_AMQP_QUEUE_DECLARE_OK};
	return SD_OK;
}

static void ask_to_publish(struct sh_queue *q)
{
	q->asks[1] = (struct sd_amqp_link_ask){SD_AMQP_CONFIRM_SELECT, q->second, SD_AMQP_CONFIRM_SELECT_OK};
}

static void ask_to_consume(struct sh_queue *q, unsigned prefetch)
{
	q->second[1].n = prefetch;
	q->third[1].s = sd_slice_of(q->name);
	q->third[2].s = sd_slice_of("sdlab-clicks");
	q->asks[1] = (struct sd_amqp_link_ask){SD_AMQP_BASIC_QOS, q->second, SD_AMQP_BASIC_QOS_OK};
	q->asks[2] = (struct sd_amqp_link_ask){SD_AMQP_BASIC_CONSUME, q->third, SD_AMQP_BASIC_CONSUME_OK};
}

static enum sd_err address(const struct sd_amqp_url *url, struct sd_addr *out, struct sd_error *e)
{
	char host[300];
	snprintf(host, sizeof(host), "%.*s%s", (int)url->host.n, url->host.p, url->has_port ? "" : url->secure ? ":5671" : ":5672");
	return sd_addr_parse(host, "127.0.0.1", out, e);
}

static enum sd_err check_events(const char *text, struct sd_error *e)
{
	struct sd_amqp_url url = {0};
	struct sd_addr ignored;
	if (!sd_amqp_url_is(text))
		return sd_fail(e, SD_EUSAGE, "expected amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST] or amqps://, found something else");
	enum sd_err err = sd_amqp_url_parse(text, &url, e);
	if (!err)
		err = address(&url, &ignored, e);
	explicit_bzero(&url, sizeof(url));
	return err;
}

enum sd_err sh_queue_check(const struct sd_conf *conf, struct sd_error *e)
{
	const char *events = sd_conf_string(conf, "events"), *name = sd_conf_string(conf, "click-queue");
	if (!*name || strlen(name) > SD_AMQP_SHORT_MAX)
		return sd_fail(e, SD_EUSAGE, "%s: expected a name of 1 to %d bytes", sd_conf_at(conf, "click-queue"),
			       SD_AMQP_SHORT_MAX);
	if (!events || !check_events(events, e))
		return SD_OK;
	e->code = SD_EUSAGE;
	return sd_wrap(e, "%s", sd_conf_at(conf, "events"));
}

static enum sd_err find_server(struct sh_queue *q, struct sd_world *w, struct sd_error *e)
{
	struct sd_amqp_target *to = &q->conf.to;
	enum sd_err err = address(&q->url, &to->addr, e);
	if (err)
		return err;
	to->user = q->url.has_login ? q->url.user : "guest";
	to->password = q->url.has_login ? q->url.password : "guest";
	to->vhost = q->url.vhost;
	to->name = "sdlab shortener";
	if (!q->url.secure)
		return SD_OK;
	sd_addr_format_host(&to->addr, q->tls_name);
	q->tls = sd_tls_client_new(w, &(struct sd_tls_client_conf){0}, e);
	to->tls = q->tls;
	to->tls_name = q->tls_name;
	return q->tls ? SD_OK : e->code;
}

enum sd_err sh_queue_init(struct sh_queue *q, struct sd_world *w, const char *url, const char *name, unsigned consume, struct sd_error *e)
{
	*q = (struct sh_queue){.conf = sd_amqp_link_defaults};
	snprintf(q->name, sizeof(q->name), "%s", name);
	q->conf.setup = q->asks;
	enum sd_err err = sd_amqp_url_parse(url, &q->url, e);
	if (!err)
		err = find_server(q, w, e);
	if (!err)
		err = declare_queue(q, e);
	if (consume)
		ask_to_consume(q, consume);
	else
		ask_to_publish(q);
	return err;
}

void sh_queue_end(struct sh_queue *q)
{
	free(q->arguments.p);
	if (q->tls)
		sd_tls_client_release(q->tls);
	explicit_bzero(q->url.password, sizeof(q->url.password));
}
