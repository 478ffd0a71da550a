/* mq_work.c - somebody who does what messages ask for: takes one, is busy for a while, and succeeds or fails. For lessons and tests. */
#include "core/rng.h"
#include "core/units.h"
#include "mq_cli.h"

struct worker {
	struct mq_cli *cli;
	struct sd_rng rng;
	const char *name;
	int64_t least_ns, most_ns, wait_ns, left;
	double fail;
	bool discard;
	uint64_t done, failed;
};

static int64_t busy(struct worker *w)
{
	int64_t spread = w->most_ns > w->least_ns ? w->most_ns - w->least_ns : 0;
	int64_t ns = w->least_ns + (int64_t)(sd_rng_unit(&w->rng) * (double)spread);
	sd_world_sleep_ns(w->cli->call->world, ns);
	return ns;
}

/* One line, so that what several workers say can be told apart. */
static void say(const struct worker *w, const char *what, int64_t ns, bool fails, bool again)
{
	char took[SD_UNIT_TEXT];
	fprintf(w->cli->call->out, "[%s] %s %s after %s%s\n", w->name, what, fails ? "failed" : "done", sd_format_duration(ns, took),
		again ? ", not for the first time" : "");
	fflush(w->cli->call->out);
}

static int on_message(struct worker *w, const struct sd_amqp_event *m)
{
	char what[64];
	struct sd_error e = {0};
	uint64_t tag = m->tag;
	bool again = m->redelivered;
	snprintf(what, sizeof(what), "%.*s", (int)(m->body.n < sizeof(what) ? m->body.n : sizeof(what) - 1), m->body.p);
	int64_t ns = busy(w);
	bool fails = sd_rng_unit(&w->rng) < w->fail;
	mq_cli_answer(w->cli, tag, false, !fails ? MQ_ANSWER_ACK : w->discard ? MQ_ANSWER_DISCARD : MQ_ANSWER_REQUEUE);
	if (mq_cli_settled(w->cli, &e))
		return mq_cli_fail(w->cli, "%s", e.text);
	w->done += !fails;
	w->failed += fails;
	say(w, what, ns, fails, again);
	return 0;
}

static int receive(struct worker *w)
{
	const struct sd_amqp_event *m;
	struct sd_error e = {0};
	while (!w->left || w->done + w->failed < (uint64_t)w->left) {
		enum sd_err err = sd_amqp_client_next(w->cli->conn, w->wait_ns, &m, &e);
		if (err == SD_ETIMEOUT && w->wait_ns != SD_NEVER)
			return 0;
		if (err)
			return mq_cli_fail(w->cli, "%s", e.text);
		if (m->kind == SD_AMQP_CANCELLED)
			return mq_cli_fail(w->cli, "the broker ended the consumer: queue '%s' is gone", w->cli->call->args[0]);
		int status = m->kind == SD_AMQP_DELIVERED ? on_message(w, m) : 0;
		if (status)
			return status;
	}
	return 0;
}

static int work(struct mq_cli *cli)
{
	const struct sd_conf *conf = cli->call->conf;
	struct worker w = {.cli = cli, .name = sd_conf_string(conf, "name"), .least_ns = sd_conf_int(conf, "time"), .wait_ns = SD_NEVER};
	uint64_t seed;
	w.most_ns = sd_conf_has(conf, "time-max") ? sd_conf_int(conf, "time-max") : w.least_ns;
	w.fail = sd_conf_number(conf, "fail");
	w.discard = !sd_conf_bool(conf, "requeue");
	w.left = sd_conf_int(conf, "count");
	if (sd_conf_has(conf, "wait"))
		w.wait_ns = sd_conf_int(conf, "wait");
	sd_world_random(cli->call->world, &seed, sizeof(seed));
	sd_rng_seed(&w.rng, sd_conf_has(conf, "seed") ? (uint64_t)sd_conf_int(conf, "seed") : seed);
	struct sd_amqp_arg qos[] = {{0}, {.n = 1}, {0}}; /* one at a time: what waits is free for others */
	struct sd_amqp_arg consume[] = {{0}, {.s = sd_slice_of(cli->call->args[0])}, {0}, {0}, {0}, {0}, {0}, {0}};
	if (!mq_cli_ask(cli, SD_AMQP_BASIC_QOS, qos, SD_AMQP_BASIC_QOS_OK) ||
	    !mq_cli_ask(cli, SD_AMQP_BASIC_CONSUME, consume, SD_AMQP_BASIC_CONSUME_OK))
		return 1;
	int status = receive(&w);
	fprintf(cli->call->out, "[%s] %llu done, %llu failed\n", w.name, (unsigned long long)w.done, (unsigned long long)w.failed);
	return status;
}

int mq_run_work(struct sd_verb_call *call)
{
	struct mq_cli cli;
	int status = mq_cli_begin(&cli, call, MQ_HEARTBEAT_S);
	if (!status)
		status = work(&cli);
	mq_cli_end(&cli);
	return status;
}
