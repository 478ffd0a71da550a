#include <inttypes.h>
#include <stdlib.h>

#include "core/units.h"
#include "mq_cli.h"

#define WINDOW	 256 /* publications that wait for their confirm */
#define BODY_MAX (512u << 20)
#define READ	 65536

enum state { WAITS, SAFE, REFUSED, NOWHERE };

struct publisher {
	struct mq_cli *cli;
	struct sd_slice exchange, key;
	struct sd_amqp_properties properties; /* but for the id */
	struct sd_text headers;
	char expiration[24], own_id[SD_AMQP_SHORT_MAX + 1];
	bool quiet;
	struct {
		char id[MQ_ID + 1];
		enum state state;
	} window[WINDOW];	/* by number of the publication */
	uint64_t sent, told; /* numbers of the last ones */
	int status;
};

static const char *id_of(const struct publisher *p, uint64_t number)
{
	return *p->own_id ? p->own_id : p->window[number % WINDOW].id;
}

/* ---- what comes of them ---- */

static void tell(struct publisher *p, uint64_t number)
{
	enum state state = p->window[number % WINDOW].state;
	if (state == REFUSED)
		p->status = mq_cli_fail(p->cli, "the broker refused message %s", id_of(p, number));
	if (state == NOWHERE)
		p->status = mq_cli_fail(p->cli, "message %s went nowhere: no queue is bound to exchange '%s' for key '%s'",
					id_of(p, number), p->exchange.p, p->key.p);
	if (state != SAFE || p->quiet)
		return;
	if (p->exchange.n)
		fprintf(p->cli->call->out, "Published message %s to exchange '%s' with key '%s'\n", id_of(p, number), p->exchange.p,
			p->key.p);
	else
		fprintf(p->cli->call->out, "Published message %s to queue '%s'\n", id_of(p, number), p->key.p);
}

static void on_confirm(struct publisher *p, const struct sd_amqp_event *m)
{
	uint64_t from = m->multiple ? p->told + 1 : m->tag, to = m->tag < p->sent ? m->tag : p->sent;
	if (m->multiple && !m->tag)
		to = p->sent;
	for (uint64_t i = from; i <= to; i++)
		if (i > p->told && p->window[i % WINDOW].state == WAITS)
			p->window[i % WINDOW].state = m->refused ? REFUSED : SAFE;
	while (p->told < p->sent && p->window[(p->told + 1) % WINDOW].state != WAITS)
		tell(p, ++p->told);
}

/* It comes before the confirm, which then only says that the broker is done with it. Which one it is its id tells; of those that
 * share one id, the oldest. */
static void on_return(struct publisher *p, const struct sd_amqp_event *m)
{
	for (uint64_t i = p->told + 1; i <= p->sent; i++)
		if (p->window[i % WINDOW].state == WAITS && sd_slice_eq(m->properties.message_id, id_of(p, i))) {
			p->window[i % WINDOW].state = NOWHERE;
			return;
		}
}

/* Until at most so many wait. */
static int drain(struct publisher *p, uint64_t most)
{
	const struct sd_amqp_event *m;
	struct sd_error e = {0};
	while (p->sent - p->told > most) {
		if (sd_amqp_client_next(p->cli->conn, p->cli->target.timeout_ns, &m, &e))
			return mq_cli_fail(p->cli, "%s: message %s may be lost", e.text, id_of(p, p->told + 1));
		if (m->kind == SD_AMQP_CONFIRMED)
			on_confirm(p, m);
		else if (m->kind == SD_AMQP_RETURNED)
			on_return(p, m);
		else if (m->kind == SD_AMQP_BLOCKED)
			mq_cli_fail(p->cli, "the broker takes nothing for now: %.*s", (int)m->text.n, m->text.p);
	}
	return 0;
}

/* ---- publishing ---- */

static int publish(struct publisher *p, struct sd_slice body)
{
	struct sd_text raw = {0};
	struct sd_amqp_properties properties = p->properties;
	if (drain(p, WINDOW - 1))
		return 1;
	p->sent++;
	p->window[p->sent % WINDOW].state = WAITS;
	mq_cli_make_id(p->cli->call->world, p->window[p->sent % WINDOW].id);
	properties.message_id = sd_slice_of(id_of(p, p->sent));
	properties.timestamp = (uint64_t)(sd_world_wall_ns(p->cli->call->world) / 1000000000);
	sd_amqp_put_properties(&raw, &properties);
	if (!raw.full)
		sd_amqp_client_publish(p->cli->conn, p->exchange, p->key, true, (struct sd_slice){raw.p, raw.n}, body);
	free(raw.p);
	return raw.full ? mq_cli_fail(p->cli, "out of memory") : 0;
}

/* Whole lines of what was read; how many bytes they were. */
static int publish_lines(struct publisher *p, struct sd_slice in, size_t *took)
{
	const char *lf;
	*took = 0;
	while (*took < in.n && (lf = memchr(in.p + *took, '\n', in.n - *took))) {
		size_t n = (size_t)(lf - in.p) - *took;
		if (n && publish(p, (struct sd_slice){in.p + *took, n}))
			return 1;
		*took += n + 1;
	}
	return drain(p, 0);
}

/* Each line of standard input is a message, which is safe before more is read. */
static int publish_input(struct publisher *p)
{
	struct sd_text in = {0};
	struct sd_error e = {0};
	int status = 0;
	size_t got = 1, took = 0;
	char *room = malloc(READ);
	while (!status && got && room) {
		if (sd_world_input(p->cli->call->world, room, READ, &got, &e)) {
			status = mq_cli_fail(p->cli, "%s", e.text);
			break;
		}
		sd_text_add(&in, got ? room : "\n", got ? got : in.n > 0); /* the last line may have no end */
		if (in.full || in.n > BODY_MAX)
			status = mq_cli_fail(p->cli, "a line of more than %u MiB", BODY_MAX >> 20);
		else if (in.n)
			status = publish_lines(p, (struct sd_slice){in.p, in.n}, &took);
		if (!status && in.n) {
			memmove(in.p, in.p + took, in.n - took);
			in.n -= took;
		}
	}
	free(room);
	free(in.p);
	return room ? status : mq_cli_fail(p->cli, "out of memory");
}

/* The operand, or all of standard input, so many times. */
static int publish_whole(struct publisher *p)
{
	const struct sd_verb_call *call = p->cli->call;
	struct sd_error e = {0};
	char *all = NULL;
	size_t n = 0;
	int status = 0;
	if (call->nargs < 2 && sd_world_read_file(call->world, "-", BODY_MAX, &all, &n, &e))
		return mq_cli_fail(p->cli, "%s", e.text);
	struct sd_slice body = all ? (struct sd_slice){all, n} : sd_slice_of(call->args[1]);
	for (int64_t i = sd_conf_int(call->conf, "count"); i > 0 && !status; i--)
		status = publish(p, body);
	if (!status)
		status = drain(p, 0);
	free(all);
	return status;
}

/* ---- what the options say ---- */

static void set_text(struct publisher *p, enum sd_amqp_property which, const char *option, struct sd_slice *to)
{
	const char *text = sd_conf_string(p->cli->call->conf, option);
	if (!text)
		return;
	*to = sd_slice_of(text);
	p->properties.has |= (uint16_t)which;
}

static int set_headers(struct publisher *p)
{
	const struct sd_conf *conf = p->cli->call->conf;
	int status = mq_cli_put_pairs(p->cli, "header", &p->headers);
	if (sd_conf_has(conf, "delay"))
		sd_amqp_put_int(&p->headers, "x-delay", sd_conf_int(conf, "delay") / 1000000);
	if (p->headers.n)
		p->properties.has |= SD_AMQP_HEADERS;
	p->properties.headers = (struct sd_slice){p->headers.p, p->headers.n};
	return status;
}

static int set_properties(struct publisher *p)
{
	const struct sd_conf *conf = p->cli->call->conf;
	struct sd_amqp_properties *to = &p->properties;
	to->has = SD_AMQP_MESSAGE_ID | SD_AMQP_TIMESTAMP | SD_AMQP_DELIVERY_MODE;
	to->delivery_mode = sd_conf_bool(conf, "persistent") ? 2 : 1;
	set_text(p, SD_AMQP_CONTENT_TYPE, "content-type", &to->content_type);
	set_text(p, SD_AMQP_CORRELATION_ID, "correlation-id", &to->correlation_id);
	set_text(p, SD_AMQP_REPLY_TO, "reply-to", &to->reply_to);
	set_text(p, SD_AMQP_TYPE, "type", &to->type);
	if (sd_conf_has(conf, "message-id"))
		snprintf(p->own_id, sizeof(p->own_id), "%s", sd_conf_string(conf, "message-id"));
	if (sd_conf_has(conf, "priority")) {
		to->has |= SD_AMQP_PRIORITY;
		to->priority = (uint8_t)sd_conf_int(conf, "priority");
	}
	if (sd_conf_has(conf, "ttl")) {
		snprintf(p->expiration, sizeof(p->expiration), "%" PRId64, sd_conf_int(conf, "ttl") / 1000000);
		to->has |= SD_AMQP_EXPIRATION;
		to->expiration = sd_slice_of(p->expiration);
	}
	return set_headers(p);
}

static int run(struct publisher *p)
{
	const struct sd_verb_call *call = p->cli->call;
	const char *exchange = sd_conf_string(call->conf, "exchange");
	bool lines = sd_conf_bool(call->conf, "lines");
	p->exchange = sd_slice_of(exchange ? exchange : "");
	p->key = sd_slice_of(call->args[0]);
	p->quiet = sd_conf_bool(call->conf, "quiet");
	if (p->key.n > SD_AMQP_SHORT_MAX || p->exchange.n > SD_AMQP_SHORT_MAX)
		return mq_cli_usage(p->cli, "a name has at most 255 bytes");
	if (lines && call->nargs > 1)
		return mq_cli_usage(p->cli, "--lines: reads standard input, and takes no message beside it");
	int status = set_properties(p);
	if (!status && !p->exchange.n)
		status = mq_cli_need_queue(p->cli, call->args[0]);
	if (!status)
		status = mq_cli_confirm_mode(p->cli);
	if (!status)
		status = lines ? publish_input(p) : publish_whole(p);
	return status ? status : p->status;
}

int mq_run_publish(struct sd_verb_call *call)
{
	struct mq_cli cli;
	int status = mq_cli_begin(&cli, call, 0);
	struct publisher *p = calloc(1, sizeof(*p));
	if (!status && !p)
		status = mq_cli_fail(&cli, "out of memory");
	if (!status && p) {
		p->cli = &cli;
		status = run(p);
		free(p->headers.p);
	}
	free(p);
	mq_cli_end(&cli);
	return status;
}
