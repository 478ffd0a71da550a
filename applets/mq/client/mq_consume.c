#include <stdlib.h>

#include "mq_cli.h"

#define PREFETCH 100 /* of those that answer by themselves */

struct consumer {
	struct mq_cli *cli;
	const char *queue;
	bool manual, refuse, discard, json, screen;
	int64_t left, wait_ns; /* left: messages to come; 0: as many as there are */
	struct mq_keys keys;
};

/* ---- one message ---- */

static int show(const struct consumer *c, const struct sd_amqp_event *m)
{
	struct sd_text t = {0};
	if (!c->json) {
		fputs("Received: ", c->cli->call->out);
		mq_show_body(c->cli->call->out, m->body, c->screen);
		return 0;
	}
	mq_show_json(&t, c->queue, m);
	if (!t.full)
		fprintf(c->cli->call->out, "%s\n", t.p);
	free(t.p);
	return t.full ? mq_cli_fail(c->cli, "out of memory") : 0;
}

/* What it said is printed only when the broker has done it. */
static int settle(const struct consumer *c, const struct sd_amqp_event *m, enum mq_answer how)
{
	static const char *const said[] = {"acknowledged", "rejected: back to the queue", "rejected"};
	struct sd_error e = {0};
	char room[24], name[SD_AMQP_SHORT_MAX + 1];
	struct sd_slice s = mq_cli_name_of(m, room);
	snprintf(name, sizeof(name), "%.*s", (int)s.n, s.p); /* the event ends with the next call */
	mq_cli_answer(c->cli, m->tag, false, how);
	if (mq_cli_settled(c->cli, &e))
		return mq_cli_fail(c->cli, "%s", e.text);
	if (!c->json)
		fprintf(c->cli->call->out, "Message %s %s\n", name, said[how]);
	return 0;
}

static int answer(struct consumer *c, const struct sd_amqp_event *m, bool *over)
{
	enum mq_answer refuse = c->discard ? MQ_ANSWER_DISCARD : MQ_ANSWER_REQUEUE;
	if (!c->manual && c->refuse)
		return settle(c, m, refuse);
	if (!c->manual) {
		mq_cli_answer(c->cli, m->tag, false, MQ_ANSWER_ACK);
		return 0;
	}
	fputs("[Press 'a' to ack, 'n' to nack, 'q' to quit]\n", c->cli->call->out);
	char key = mq_keys_ask(&c->keys, c->cli, "anq");
	*over = key == 'q'; /* the message goes back when the connection ends */
	return *over ? 0 : settle(c, m, key == 'a' ? MQ_ANSWER_ACK : refuse);
}

/* ---- one after the other ---- */

static int on_event(struct consumer *c, const struct sd_amqp_event *m, bool *over)
{
	if (m->kind == SD_AMQP_CANCELLED)
		return mq_cli_fail(c->cli, "the broker ended the consumer: queue '%s' is gone", c->queue);
	if (m->kind != SD_AMQP_DELIVERED)
		return 0;
	int status = show(c, m);
	if (!status)
		status = answer(c, m, over);
	fflush(c->cli->call->out);
	*over = *over || (c->left && --c->left == 0);
	return status;
}

static int receive(struct consumer *c)
{
	const struct sd_amqp_event *m;
	struct sd_error e = {0};
	bool over = false;
	int status = 0;
	while (!over && !status) {
		enum sd_err err = sd_amqp_client_next(c->cli->conn, c->wait_ns, &m, &e);
		if (err == SD_ETIMEOUT && c->wait_ns != SD_NEVER)
			break;
		status = err ? mq_cli_fail(c->cli, "%s", e.text) : on_event(c, m, &over);
	}
	return status || mq_cli_settled(c->cli, &e) ? 1 : 0;
}

static int subscribe(struct consumer *c, const char *queue, struct sd_slice arguments, bool no_ack)
{
	int64_t prefetch = sd_conf_int(c->cli->call->conf, "prefetch");
	if (!prefetch) /* what is not shown yet is free for others */
		prefetch = c->manual || c->refuse ? 1 : c->left && c->left < PREFETCH ? c->left : PREFETCH;
	struct sd_amqp_arg qos[] = {{0}, {.n = (uint64_t)prefetch}, {0}};
	struct sd_amqp_arg consume[] = {{0}, {.s = sd_slice_of(queue)}, {0}, {0}, {.n = no_ack}, {0}, {0}, {.s = arguments}};
	return !mq_cli_ask(c->cli, SD_AMQP_BASIC_QOS, qos, SD_AMQP_BASIC_QOS_OK) ||
	       !mq_cli_ask(c->cli, SD_AMQP_BASIC_CONSUME, consume, SD_AMQP_BASIC_CONSUME_OK);
}

static void set_up(struct consumer *c, struct mq_cli *cli)
{
	const struct sd_conf *conf = cli->call->conf;
	*c = (struct consumer){.cli = cli, .queue = cli->call->args[0], .wait_ns = SD_NEVER};
	c->json = sd_conf_bool(conf, "json");
	c->left = sd_conf_int(conf, "count");
	c->screen = sd_world_is_terminal(cli->call->world, 1);
	if (sd_conf_has(conf, "wait"))
		c->wait_ns = sd_conf_int(conf, "wait");
}

static int consume(struct mq_cli *cli)
{
	struct consumer c;
	struct sd_text arguments = {0};
	const struct sd_conf *conf = cli->call->conf;
	set_up(&c, cli);
	c.refuse = sd_conf_bool(conf, "auto-nack");
	c.manual = !c.refuse && strcmp(sd_conf_string(conf, "ack-mode"), "manual") == 0;
	c.discard = !sd_conf_bool(conf, "requeue");
	int status = mq_cli_put_pairs(cli, "arg", &arguments);
	if (!status)
		status = mq_cli_put_reading(cli, &arguments);
	if (!status)
		status = subscribe(&c, c.queue, (struct sd_slice){arguments.p, arguments.n}, false);
	free(arguments.p);
	return status ? status : receive(&c);
}

int mq_run_consume(struct sd_verb_call *call)
{
	struct mq_cli cli;
	bool manual = strcmp(sd_conf_string(call->conf, "ack-mode"), "manual") == 0;
	int status = mq_cli_begin(&cli, call, manual ? 0 : MQ_HEARTBEAT_S);
	if (!status)
		status = consume(&cli);
	mq_cli_end(&cli);
	return status;
}

/* ---- what passes an exchange ---- */

static int tail(struct mq_cli *cli)
{
	struct consumer c;
	struct sd_amqp_arg own[] = {{0}, {0}, {0}, {0}, {.n = 1}, {.n = 1}, {0}, {0}};
	set_up(&c, cli);
	const struct sd_amqp_arg *made = mq_cli_ask(cli, SD_AMQP_QUEUE_DECLARE, own, SD_AMQP_QUEUE_DECLARE_OK);
	if (!made)
		return 1;
	char name[SD_AMQP_SHORT_MAX + 1];
	const char *key = cli->call->nargs > 1 ? cli->call->args[1] : "#";
	snprintf(name, sizeof(name), "%.*s", (int)made[0].s.n, made[0].s.p);
	struct sd_amqp_arg bind[] = {{0}, {.s = sd_slice_of(name)}, {.s = sd_slice_of(c.queue)}, {.s = sd_slice_of(key)}, {0}, {0}};
	if (!mq_cli_ask(cli, SD_AMQP_QUEUE_BIND, bind, SD_AMQP_QUEUE_BIND_OK))
		return 1;
	c.queue = "";
	return subscribe(&c, name, (struct sd_slice){0}, false) ? 1 : receive(&c);
}

int mq_run_tail(struct sd_verb_call *call)
{
	struct mq_cli cli;
	int status = mq_cli_begin(&cli, call, MQ_HEARTBEAT_S);
	if (!status)
		status = tail(&cli);
	mq_cli_end(&cli);
	return status;
}
