/* Nodes of a cluster of caches on simulated machines, and a client that asks all of them all the while: whatever happens, every
 * request on a connection that stands is answered, and once all is well the nodes have one map and any of them gives what any other
 * was given. Values are not copied between nodes, so that what was stored before is not asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "core/resp_reply.h"
#include "net/connect.h"

extern const struct sd_applet sd_applet_cache;

#define AGREE_NS  (90 * SECOND)
#define ANSWER_NS (40 * SECOND)
#define QUIET_NS  (200 * SECOND) /* until what was sent to a machine without power is known to be lost: TCP tries each 120 s at the latest */
#define AGAIN_NS  (SECOND / 5)

struct asker {
	struct client *client;
	unsigned node;
	struct sd_stream *stream; /* NULL: between two connections */
	struct sd_timer again;
	struct sd_resp_replies replies;
	char said[8192]; /* the last reply's strings, one behind the other */
	size_t nsaid;
	bool open, waiting;
	int64_t asked_ns;
	uint64_t asked, answered, errors;
};

struct client {
	struct member *m;
	struct cluster *c;
	unsigned n;
	bool busy; /* asks by itself */
	struct asker askers[MAX_MEMBERS];
};

static void ask(struct asker *a, const char *line)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "%s\r\n", line);
	a->waiting = true;
	a->nsaid = 0;
	a->asked++;
	a->asked_ns = sd_loop_now_ns(a->client->m->control);
	sd_stream_write(a->stream, text, (size_t)n);
}

static void ask_something(struct asker *a)
{
	static const char *const lines[] = {"SET k:%llu %llu", "GET k:%llu", "MGET k:%llu a b c d e f", "INCR n:%llu", "DBSIZE", "DEL k:%llu a b"};
	uint64_t r = sd_sim_chance(a->client->c->sim);
	char line[128];
	snprintf(line, sizeof(line), lines[r % 6], (unsigned long long)(r >> 8) % 50, (unsigned long long)(r >> 32));
	ask(a, line);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct asker *a = s->owner;
	struct sd_resp_token t;
	size_t at = 0;
	ssize_t k;
	while (at < n && (k = sd_resp_next(&a->replies, p + at, n - at, &sd_resp_reply_usual, &t)) > 0) {
		at += (size_t)k;
		if (!sd_resp_has_items(t.kind) && a->nsaid + t.text.n < sizeof(a->said)) {
			if (t.text.n)
				memcpy(a->said + a->nsaid, t.text.p, t.text.n);
			a->nsaid += t.text.n;
			a->said[a->nsaid] = '\0';
		}
		if (!t.last)
			continue;
		a->waiting = false;
		a->answered++;
		a->errors += sd_resp_is_error(t.kind);
		if (a->client->busy)
			ask_something(a);
	}
	return at;
}

static void connect_again(struct asker *a)
{
	a->stream = NULL;
	a->open = a->waiting = false;
	sd_loop_timer_set(a->client->m->control, &a->again, sd_loop_now_ns(a->client->m->control) + AGAIN_NS);
}

static void gone(struct sd_stream *s)
{
	struct asker *a = s->owner;
	sd_stream_close(s);
	connect_again(a);
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	gone(s);
}

static void on_connected(struct sd_stream *s)
{
	struct asker *a = s->owner;
	a->open = true;
	ask(a, "AUTH secret");
}

static const struct sd_stream_events events = {.connected = on_connected, .data = on_data, .eof = gone, .timeout = gone, .closed = on_closed};

static void on_again(struct sd_timer *t)
{
	struct asker *a = sd_container(t, struct asker, again);
	struct sd_addr addr = {.kind = SD_ADDR_INET, .ip = {10, 0, 0, (uint8_t)(a->node + 1)}, .port = 7001};
	struct sd_connect how = {.addr = &addr, .in_limit = 65536};
	a->replies = (struct sd_resp_replies){0};
	if (sd_stream_connect(a->client->m->control, &how, &events, a, &a->stream, NULL))
		connect_again(a);
}

static void started(struct member *m)
{
	struct client *cl = m->user;
	cl->m = m;
	for (unsigned i = 0; i < cl->n; i++) {
		cl->askers[i] = (struct asker){.client = cl, .node = i, .again.fn = on_again};
		sd_loop_timer_set(m->control, &cl->askers[i].again, sd_world_mono_ns(m->world) + SECOND);
	}
}

static void ending(struct member *m)
{
	struct client *cl = m->user;
	for (unsigned i = 0; i < cl->n; i++) {
		sd_loop_timer_cancel(m->control, &cl->askers[i].again);
		if (cl->askers[i].stream)
			sd_stream_close(cl->askers[i].stream);
	}
}

/* ---- clusters ---- */

static void begin_with(struct cluster *c, const char *name_of_last)
{
	struct client *cl = calloc(1, sizeof(*cl));
	c->user = cl;
	cl->c = c;
	cl->n = c->scenario ? c->scenario->faults.nnodes : 3;
	cl->busy = true;
	for (unsigned i = 0; i < cl->n; i++) {
		char name[24], options[400];
		snprintf(name, sizeof(name), "cache-%u", i + 1);
		snprintf(options, sizeof(options),
			 "--bind 10.0.0.%u --port 7001 --cluster-port 17001 --password secret --cluster-key key --node-id-file id "
			 "--join 10.0.0.1:17001 --join cache-2:17001 --cluster-name %s", i + 1, i + 1 == cl->n ? name_of_last : "ours");
		cluster_add(c, name, &sd_applet_cache, options);
	}
	cluster_add_client(c, "client", started, ending, cl);
}

static void begin(struct cluster *c)
{
	begin_with(c, "ours");
}

static void begin_torn(struct cluster *c)
{
	begin_with(c, "theirs");
}

static void end(struct cluster *c)
{
	free(c->user);
}

static bool all_idle(struct cluster *c)
{
	const struct client *cl = c->user;
	for (unsigned i = 0; i < cl->n; i++)
		if (!cl->askers[i].open || cl->askers[i].waiting)
			return false;
	return true;
}

/* The reply of a node, or "" after a failure. */
static const char *reply(struct cluster *c, unsigned node, const char *line)
{
	struct client *cl = c->user;
	struct asker *a = &cl->askers[node];
	a->said[0] = '\0';
	ask(a, line);
	sd_loop_flush(cl->m->control);
	if (!cluster_step_until(c, all_idle, ANSWER_NS))
		cluster_fail(c, "cache-%u does not answer %s", node + 1, line);
	return a->said;
}

/* The nodes name one map, of all of them, and no slot is on its way: until then a node that was cut off answers for what it has. */
static bool agree(struct cluster *c)
{
	const struct client *cl = c->user;
	char view[64] = "", want[32];
	snprintf(want, sizeof(want), "cluster_size:%u\r\n", cl->n);
	for (unsigned i = 0; i < cl->n; i++) {
		const char *text = reply(c, i, "CLUSTER INFO"), *v = strstr(text, "sdlab_view:");
		if (!v || !strstr(text, want) || !strstr(text, "sdlab_slots_moving:0\r\n") || (i && strncmp(view, v, 27) != 0))
			return false;
		snprintf(view, sizeof(view), "%.27s", v);
	}
	return true;
}

static void finally(struct cluster *c)
{
	struct client *cl = c->user;
	cl->busy = false;
	if (!cluster_step_until(c, all_idle, QUIET_NS)) {
		for (unsigned i = 0; i < cl->n; i++)
			if (cl->askers[i].waiting || !cl->askers[i].open)
				cluster_fail(c, "cache-%u left a request without an answer", i + 1);
		return;
	}
	int64_t until = sd_sim_now_ns(c->sim) + AGREE_NS;
	while (!agree(c) && !c->failed[0]) {
		if (sd_sim_now_ns(c->sim) > until)
			cluster_fail(c, "the nodes have different maps");
		cluster_pass(c, SECOND);
	}
	for (unsigned i = 0; i < 12 && !c->failed[0]; i++) {
		char line[64], want[16];
		snprintf(want, sizeof(want), "%u", i * 7);
		snprintf(line, sizeof(line), "SET last:%u %s", i, want);
		if (strcmp(reply(c, i % cl->n, line), "OK") != 0)
			cluster_fail(c, "%s: %s", line, cl->askers[i % cl->n].said);
		snprintf(line, sizeof(line), "GET last:%u", i);
		for (unsigned k = 0; k < cl->n; k++)
			if (strcmp(reply(c, k, line), want) != 0)
				cluster_fail(c, "cache-%u: %s: \"%s\"", k + 1, line, cl->askers[k].said);
	}
}

/* A machine that loses power tells nobody, and a client that waits for it waits for ever: that is no fault of the others. */
#define ANYTHING                                                                                                       \
	(FAULT(FAULT_KILL) | FAULT(FAULT_PAUSE) | FAULT(FAULT_SLOW) | FAULT(FAULT_PARTITION) |            \
	 FAULT(FAULT_ONE_WAY) | FAULT(FAULT_LOSS) | FAULT(FAULT_DELAY))
#define SPEC(n_) {.kinds = ANYTHING, .most = 6, .nnodes = n_, .from_ns = 3 * SECOND, .to_ns = 30 * SECOND, .longest_ns = 30 * SECOND}

static const struct scenario of_3 = {.name = "cache cluster of 3", .faults = SPEC(3), .begin = begin, .finally = finally, .end = end};
static const struct scenario of_5 = {.name = "cache cluster of 5", .faults = SPEC(5), .begin = begin, .finally = finally, .end = end};
static const struct scenario torn = {
    .name = "cache cluster of two names", .faults = SPEC(3), .begin = begin_torn, .finally = finally, .end = end, .must_fail = true};

START_TEST(three_answer_and_agree) { scenario_check(&of_3, 5); } END_TEST
START_TEST(five_answer_and_agree) { scenario_check(&of_5, 2); } END_TEST
START_TEST(control_with_two_names_they_do_not) { scenario_check(&torn, 2); } END_TEST

int main(void)
{
	Suite *s = suite_create("sim cluster cache");
	TCase *t = tcase_create("cache");
	tcase_set_timeout(t, 600);
	tcase_add_test(t, three_answer_and_agree);
	tcase_add_test(t, five_answer_and_agree);
	tcase_add_test(t, control_with_two_names_they_do_not);
	suite_add_tcase(s, t);
	return sim_main(s);
}
