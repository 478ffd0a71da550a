/* mq_bench.c - how long a broker takes to say that a message is safe, with so many on their way. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "core/bytes.h"
#include "mq_cli.h"
#include "sdlab/hdr.h"

#define LONGEST_NS 3600000000000ll
#define TICK_NS	   10000000ll /* of the times in /proc, on every machine */
#define ACK_EACH   100

struct place {
	int64_t at_ns; /* when it was sent; 0: its confirm came */
};

struct bench {
	struct mq_cli *cli;
	struct sd_world *world;
	const char *queue;
	struct sd_slice raw, body;
	char *bytes;
	uint64_t total, in_flight, sent, safe, confirmed, refused; /* safe: all up to this number are */
	uint64_t received;
	bool consumes;
	struct place *places; /* of those from safe on, by number */
	struct sd_hdr *confirms, *ways;
	int64_t from_ns, to_ns, cpu_ns, server_ns;
	struct sd_error why;
};

/* ---- publishing ---- */

static void publish(struct bench *b)
{
	int64_t now = sd_world_mono_ns(b->world);
	b->sent++;
	b->places[b->sent % b->in_flight].at_ns = now;
	if (b->body.n >= 8)
		sd_put_be(b->bytes, (uint64_t)now, 8);
	sd_amqp_client_publish(b->cli->conn, (struct sd_slice){0}, sd_slice_of(b->queue), false, b->raw, b->body);
}

static void fill(struct bench *b)
{
	while (b->sent < b->total && b->sent - b->safe < b->in_flight)
		publish(b);
}

static bool is_done(const struct bench *b)
{
	return b->safe == b->total && (!b->consumes || b->received + b->refused >= b->total);
}

/* ---- what comes ---- */

static void on_safe(struct bench *b, uint64_t number, int64_t now, bool refused)
{
	struct place *p = &b->places[number % b->in_flight];
	if (!p->at_ns)
		return;
	sd_hdr_record(b->confirms, now - p->at_ns, 1);
	p->at_ns = 0;
	b->confirmed++;
	b->refused += refused;
}

static void on_confirm(struct bench *b, const struct sd_amqp_event *m)
{
	int64_t now = sd_world_mono_ns(b->world);
	uint64_t from = m->multiple ? b->safe + 1 : m->tag, to = m->tag && m->tag < b->sent ? m->tag : b->sent;
	for (uint64_t n = from > b->safe ? from : b->safe + 1; n <= to; n++)
		on_safe(b, n, now, m->refused);
	while (b->safe < b->sent && !b->places[(b->safe + 1) % b->in_flight].at_ns)
		b->safe++;
	fill(b);
}

static void on_message(struct bench *b, const struct sd_amqp_event *m)
{
	b->received++;
	if (m->body.n >= 8)
		sd_hdr_record(b->ways, sd_world_mono_ns(b->world) - (int64_t)sd_get_be(m->body.p, 8), 1);
	if (b->received % ACK_EACH == 0 || b->received == b->total)
		mq_cli_answer(b->cli, m->tag, true, MQ_ANSWER_ACK);
}

static void on_event(void *arg, const struct sd_amqp_event *m)
{
	struct bench *b = arg;
	if (m->kind == SD_AMQP_CONFIRMED)
		on_confirm(b, m);
	else if (m->kind == SD_AMQP_DELIVERED)
		on_message(b, m);
	if (is_done(b))
		sd_amqp_client_stop(b->cli->conn);
}

/* ---- processor time ---- */

/* Of a process, in user and kernel: fields 14 and 15 of its line; -1: nobody knows. */
static int64_t cpu_of(const struct bench *b)
{
	int64_t pid = sd_conf_int(b->cli->call->conf, "server-pid");
	char name[64], *line, *p;
	size_t n;
	if (!pid)
		return -1;
	snprintf(name, sizeof(name), "/proc/%" PRId64 "/stat", pid);
	if (sd_world_read_file(b->world, name, 4096, &line, &n, NULL))
		return -1;
	p = strrchr(line, ')'); /* a name may have blanks and brackets */
	for (int field = 2; p && field < 14; field++)
		p = strchr(p + 1, ' ');
	int64_t user = p ? strtoll(p, &p, 10) : 0, kernel = p ? strtoll(p, NULL, 10) : 0;
	free(line);
	return (user + kernel) * TICK_NS;
}

/* ---- the report ---- */

static double ms(int64_t ns)
{
	return (double)ns / 1e6;
}

static void show_json(const struct bench *b, double seconds)
{
	FILE *out = b->cli->call->out;
	fprintf(out, "{\"messages\":%" PRIu64 ",\"bytes\":%zu,\"in_flight\":%" PRIu64 ",\"persistent\":%s,\"seconds\":%.6f,", b->total, b->body.n,
		b->in_flight, sd_conf_bool(b->cli->call->conf, "persistent") ? "true" : "false", seconds);
	fprintf(out, "\"rate\":%.1f,\"refused\":%" PRIu64 ",\"confirm_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f},", (double)b->total / seconds,
		b->refused, ms(sd_hdr_percentile(b->confirms, 50)), ms(sd_hdr_percentile(b->confirms, 99)), ms(sd_hdr_max(b->confirms)));
	if (b->consumes)
		fprintf(out, "\"received\":%" PRIu64 ",\"way_ms\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f},", b->received,
			ms(sd_hdr_percentile(b->ways, 50)), ms(sd_hdr_percentile(b->ways, 99)), ms(sd_hdr_max(b->ways)));
	if (b->server_ns >= 0)
		fprintf(out, "\"server_cpu_us\":%.3f,", (double)b->server_ns / 1e3 / (double)b->total);
	fprintf(out, "\"client_cpu_us\":%.3f}\n", (double)b->cpu_ns / 1e3 / (double)b->total);
}

static void show_times(FILE *out, const char *what, const struct sd_hdr *h)
{
	fprintf(out, "%-10s p50 %.3f ms   p99 %.3f ms   max %.3f ms\n", what, ms(sd_hdr_percentile(h, 50)), ms(sd_hdr_percentile(h, 99)),
		ms(sd_hdr_max(h)));
}

static void show(const struct bench *b, double seconds)
{
	FILE *out = b->cli->call->out;
	bool persistent = sd_conf_bool(b->cli->call->conf, "persistent");
	fprintf(out, "%" PRIu64 " %s messages of %zu bytes, %" PRIu64 " in flight: %.3f s, %.0f messages a second\n", b->total,
		persistent ? "persistent" : "transient", b->body.n, b->in_flight, seconds, (double)b->total / seconds);
	show_times(out, "confirm", b->confirms);
	if (b->consumes && b->body.n >= 8)
		show_times(out, "delivery", b->ways);
	fprintf(out, "%-10s client %.1f us a message", "CPU", (double)b->cpu_ns / 1e3 / (double)b->total);
	if (b->server_ns >= 0)
		fprintf(out, ", broker %.1f us", (double)b->server_ns / 1e3 / (double)b->total);
	fputc('\n', out);
	if (b->refused)
		fprintf(out, "%-10s %" PRIu64 "\n", "refused", b->refused);
}

/* ---- running ---- */

static int subscribe(struct bench *b)
{
	struct sd_amqp_arg qos[] = {{0}, {.n = 1000}, {0}};
	struct sd_amqp_arg consume[] = {{0}, {.s = sd_slice_of(b->queue)}, {0}, {0}, {0}, {0}, {0}, {0}};
	return !mq_cli_ask(b->cli, SD_AMQP_BASIC_QOS, qos, SD_AMQP_BASIC_QOS_OK) ||
	       !mq_cli_ask(b->cli, SD_AMQP_BASIC_CONSUME, consume, SD_AMQP_BASIC_CONSUME_OK);
}

static int measure(struct bench *b)
{
	struct sd_error e = {0};
	int64_t cpu = sd_world_thread_cpu_ns(b->world), server = cpu_of(b);
	b->from_ns = sd_world_mono_ns(b->world);
	fill(b);
	if (sd_amqp_client_run(b->cli->conn, on_event, b, SD_NEVER, &e))
		return mq_cli_fail(b->cli, "after %" PRIu64 " of %" PRIu64 " messages: %s", b->confirmed, b->total, e.text);
	b->to_ns = sd_world_mono_ns(b->world);
	b->cpu_ns = sd_world_thread_cpu_ns(b->world) - cpu;
	b->server_ns = server < 0 ? -1 : cpu_of(b) - server;
	double seconds = (double)(b->to_ns - b->from_ns) / 1e9;
	if (sd_conf_bool(b->cli->call->conf, "json"))
		show_json(b, seconds);
	else
		show(b, seconds);
	return b->refused ? 1 : 0;
}

/* One of its own, which goes afterwards, unless it was there before. */
static int with_queue(struct bench *b)
{
	struct sd_error e = {0};
	bool own = mq_cli_look(b->cli, b->queue, NULL, NULL, &e) == SD_ENOTFOUND;
	struct sd_amqp_arg gone[] = {{0}, {.s = sd_slice_of(b->queue)}, {0}, {0}, {0}};
	int status = mq_cli_need_queue(b->cli, b->queue) || mq_cli_confirm_mode(b->cli) || (b->consumes && subscribe(b)) ? 1 : measure(b);
	if (own && !status && !mq_cli_ask(b->cli, SD_AMQP_QUEUE_DELETE, gone, SD_AMQP_QUEUE_DELETE_OK))
		status = 1;
	return status;
}

static int prepare(struct bench *b, struct mq_cli *cli, struct sd_text *raw)
{
	const struct sd_conf *conf = cli->call->conf;
	struct sd_amqp_properties p = {.has = SD_AMQP_DELIVERY_MODE, .delivery_mode = sd_conf_bool(conf, "persistent") ? 2 : 1};
	size_t size = (size_t)sd_conf_int(conf, "size");
	b->cli = cli;
	b->world = cli->call->world;
	b->queue = cli->call->nargs ? cli->call->args[0] : "sdlab-bench";
	b->total = (uint64_t)sd_conf_int(conf, "messages");
	b->in_flight = (uint64_t)sd_conf_int(conf, "in-flight");
	b->consumes = sd_conf_bool(conf, "consume");
	b->bytes = calloc(1, size + 1);
	b->places = calloc(b->in_flight, sizeof(*b->places));
	b->confirms = sd_hdr_new(1000, LONGEST_NS, 3);
	b->ways = sd_hdr_new(1000, LONGEST_NS, 3);
	b->body = (struct sd_slice){b->bytes, size};
	sd_amqp_put_properties(raw, &p);
	b->raw = (struct sd_slice){raw->p, raw->n};
	return b->bytes && b->places && b->confirms && b->ways && !raw->full ? 0 : mq_cli_fail(cli, "out of memory");
}

int mq_run_bench(struct sd_verb_call *call)
{
	struct mq_cli cli;
	struct bench b = {0};
	struct sd_text raw = {0};
	int status = mq_cli_begin(&cli, call, MQ_HEARTBEAT_S);
	if (!status)
		status = prepare(&b, &cli, &raw);
	if (!status)
		status = with_queue(&b);
	sd_hdr_free(b.confirms);
	sd_hdr_free(b.ways);
	free(b.places);
	free(b.bytes);
	free(raw.p);
	mq_cli_end(&cli);
	return status;
}
