/* mq_dlq.c - dead letters: what is in QUEUE.dlq, and back with it to where it died. Only with what AMQP has, so that it works on
 * every broker: a letter is published again and confirmed before it is acknowledged, so none is lost; one may come twice.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "mq_cli.h"

#define SUFFIX ".dlq"

/* orders, or orders.dlq: both names. False: too long. */
static bool names_of(const char *given, char queue[SD_AMQP_SHORT_MAX + 1], char dead[SD_AMQP_SHORT_MAX + 1])
{
	size_t n = strlen(given), tail = sizeof(SUFFIX) - 1;
	if (n > tail && strcmp(given + n - tail, SUFFIX) == 0)
		n -= tail;
	if (n + tail > SD_AMQP_SHORT_MAX)
		return false;
	snprintf(queue, SD_AMQP_SHORT_MAX + 1, "%.*s", (int)n, given);
	snprintf(dead, SD_AMQP_SHORT_MAX + 1, "%.*s" SUFFIX, (int)n, given);
	return true;
}

/* ---- list ---- */

/* The newest of its deaths. */
static bool last_death(const struct sd_amqp_event *m, struct sd_slice *reason, int64_t *count)
{
	struct sd_amqp_field deaths, death, f;
	*reason = (struct sd_slice){0};
	*count = 1;
	if (!sd_amqp_find(m->properties.headers, "x-death", &deaths) || deaths.kind != 'A' || !sd_amqp_next_item(&deaths.s, &death) ||
	    death.kind != 'F')
		return false;
	if (sd_amqp_find(death.s, "reason", &f) && f.kind == 'S')
		*reason = f.s;
	if (sd_amqp_find(death.s, "count", &f))
		sd_amqp_field_int(&f, count);
	return true;
}

static int show(const struct mq_cli *cli, const char *dead, const struct sd_amqp_event *m)
{
	struct sd_text t = {0};
	struct sd_slice reason;
	char room[24];
	int64_t count;
	if (sd_conf_bool(cli->call->conf, "json")) {
		mq_show_json(&t, dead, m);
		if (!t.full)
			fprintf(cli->call->out, "%s\n", t.p);
		free(t.p);
		return t.full ? mq_cli_fail(cli, "out of memory") : 0;
	}
	struct sd_slice name = mq_cli_name_of(m, room);
	if (!last_death(m, &reason, &count))
		reason = sd_slice_of("-");
	fprintf(cli->call->out, "%-12.*s %-16.*s x%-4" PRId64 " ", (int)name.n, name.p, (int)reason.n, reason.p, count);
	mq_show_body(cli->call->out, m->body, sd_world_is_terminal(cli->call->world, 1));
	return 0;
}

/* They are taken and given back: what one looks at is marked as redelivered, and nothing else changes. */
static int list(struct mq_cli *cli, const char *dead, uint64_t most)
{
	struct sd_error e = {0};
	const struct sd_amqp_event *m = NULL;
	int status = 0;
	for (uint64_t n = 0; !status && n < most; n++) {
		if (sd_amqp_client_get(cli->conn, sd_slice_of(dead), false, &m, &e))
			status = mq_cli_fail(cli, "%s", e.text);
		if (status || !m)
			break;
		status = show(cli, dead, m);
	}
	return status; /* the end of the connection gives them back, in their order */
}

/* ---- replay ---- */

static bool is_of_death(struct sd_slice name)
{
	return sd_slice_eq(name, "x-death") || sd_slice_starts(name, "x-first-death-") || sd_slice_starts(name, "x-last-death-") ||
	       sd_slice_eq(name, "x-delivery-count");
}

/* It begins a new life: what tells of its death goes. */
static void put_living(struct sd_text *raw, const struct sd_amqp_event *m)
{
	struct sd_amqp_properties p = m->properties;
	struct sd_slice rest = p.headers, at = rest;
	struct sd_amqp_field f;
	struct sd_text kept = {0};
	for (; sd_amqp_next_field(&rest, &f); at = rest)
		if (!is_of_death(f.name))
			sd_text_add(&kept, at.p, at.n - rest.n);
	p.headers = (struct sd_slice){kept.p, kept.n};
	if (!kept.n)
		p.has &= (uint16_t)~SD_AMQP_HEADERS;
	sd_amqp_put_properties(raw, &p);
	raw->full = raw->full || kept.full;
	free(kept.p);
}

static int replay_one(struct mq_cli *cli, const char *queue, const struct sd_amqp_event *m)
{
	struct sd_text raw = {0};
	struct sd_error e = {0};
	uint64_t tag = m->tag; /* the event ends with the next call */
	put_living(&raw, m);
	enum sd_err err = raw.full ? sd_fail(&e, SD_ENOMEM, "out of memory")
				   : mq_cli_publish_one(cli, (struct sd_slice){0}, sd_slice_of(queue), (struct sd_slice){raw.p, raw.n}, m->body, &e);
	free(raw.p);
	if (err)
		return mq_cli_fail(cli, "a dead letter stays where it is: %s", e.text);
	mq_cli_answer(cli, tag, false, MQ_ANSWER_ACK);
	return 0;
}

static int replay(struct mq_cli *cli, const char *queue, const char *dead, uint64_t most)
{
	const struct sd_amqp_event *m = NULL;
	struct sd_error e = {0};
	uint64_t n = 0;
	int status = mq_cli_confirm_mode(cli);
	while (!status && n < most) {
		if (sd_amqp_client_get(cli->conn, sd_slice_of(dead), false, &m, &e))
			status = mq_cli_fail(cli, "%s", e.text);
		if (status || !m)
			break;
		status = replay_one(cli, queue, m);
		n += !status;
	}
	if (!status && mq_cli_settled(cli, &e))
		status = mq_cli_fail(cli, "%s", e.text);
	fprintf(cli->call->out, "Replayed from '%s' to '%s' (messages: %" PRIu64 ")\n", dead, queue, n);
	return status;
}

/* No more than are there now: what dies again meanwhile is not for this time. */
static int run(struct mq_cli *cli, bool again)
{
	char queue[SD_AMQP_SHORT_MAX + 1], dead[SD_AMQP_SHORT_MAX + 1];
	struct sd_error e = {0};
	uint64_t there, count = (uint64_t)sd_conf_int(cli->call->conf, "count");
	if (!names_of(cli->call->args[1], queue, dead))
		return mq_cli_usage(cli, "a name has at most 255 bytes");
	enum sd_err err = mq_cli_look(cli, dead, &there, NULL, &e);
	if (err == SD_ENOTFOUND)
		return mq_cli_fail(cli, "no dead letters of '%s': there is no queue '%s'", queue, dead);
	if (err)
		return mq_cli_fail(cli, "%s", e.text);
	if (count && count < there)
		there = count;
	return again ? replay(cli, queue, dead, there) : list(cli, dead, there);
}

int mq_run_dlq(struct sd_verb_call *call)
{
	struct mq_cli cli = {.call = call};
	bool again = strcmp(call->args[0], "replay") == 0;
	if (!again && strcmp(call->args[0], "list") != 0)
		return mq_cli_fail(&cli, "dlq: expected list or replay, found \"%s\"", call->args[0]) + 1;
	int status = mq_cli_begin(&cli, call, 0);
	if (!status)
		status = run(&cli, again);
	mq_cli_end(&cli);
	return status;
}
