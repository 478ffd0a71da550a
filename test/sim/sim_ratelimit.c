/* Rate limiters that share limits, as they are, on simulated machines: among themselves, and in a store. Clients ask all of them
 * for a few keys, far more often than the limits allow, and in bursts.
 *
 * L is what one limit lets pass in a time, S what the shares of all servers do (sdlab-ratelimit(1) has both as formulas). Whatever
 * comes, no key has more in any period than
 *
 *	1  L, while nothing fails; and as much as that passes
 *	2  L for each time that its count began anew, and S, when servers are killed, lose power, are parted or lose packets,
 *	   one of them or the store, for any time
 *	3  the same when nobody passes without an answer (closed), but without S
 *	4  L for each owner that somebody takes it to have, when lists of peers differ
 *
 * and once all has healed every question is asked of its owner again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "core/rng.h"
#include "net/http_client.h"

extern const struct sd_applet sd_applet_ratelimit, sd_applet_cache;

#define SERVERS 3
#define CLIENT  SERVERS
#define STORE   (SERVERS + 1)
#define KEYS    3
#define COUNT   20
#define BURST   10
#define PERIOD  (10 * SECOND)
#define MOST    6000

struct pass {
	int64_t at_ns;
	unsigned key;
};

struct request {
	struct client *client;
	struct sd_link link;
	int64_t since_ns;
	unsigned key;
	int status;
};

struct client {
	struct cluster *cluster;
	struct sd_loop *loop;
	struct sd_http_pool pools[SERVERS];
	struct sd_http_head head;
	struct sd_timer timer;
	struct sd_link open;
	struct sd_rng rng;
	bool stopped;
	uint64_t answers, refused, unknown;
	int64_t slowest_ns; /* from question to answer, of those that passed */
	struct pass passed[MOST];
	size_t n;
	struct plain {
		double tokens;
		int64_t at_ns;
	} plain[KEYS]; /* one bucket for each key, asked whenever an answer came */
	uint64_t due;  /* as many as these let pass */
	bool up[STORE + 1];
	int64_t began[MAX_FAULTS]; /* when something that counts began anew */
	size_t nbegan;
};

static struct client *client_of(struct cluster *c)
{
	return c->user;
}

/* ---- the client ---- */

static void request_end(struct request *r)
{
	sd_list_del(&r->link);
	free(r);
}

static void on_head(struct sd_http_call *call, const struct sd_http_head *head)
{
	((struct request *)call->user)->status = head->status;
}

static void on_body(struct sd_http_call *call, const char *p, size_t n)
{
	(void)call;
	(void)p;
	(void)n;
}

static void ask_plain(struct client *cl, unsigned key, int64_t now)
{
	struct plain *b = &cl->plain[key];
	double more = (double)COUNT * (double)(now - b->at_ns) / (double)PERIOD;
	b->tokens = !b->at_ns || b->tokens + more > BURST ? BURST : b->tokens + more;
	b->at_ns = now;
	if (b->tokens < 1)
		return;
	b->tokens--;
	cl->due++;
}

static void on_end(struct sd_http_call *call)
{
	struct request *r = call->user;
	struct client *cl = r->client;
	int64_t now = sd_sim_now_ns(cl->cluster->sim);
	cl->answers++;
	cl->refused += r->status == 429;
	cl->unknown += r->status == 503;
	ask_plain(cl, r->key, now);
	if (r->status == 200 && cl->n < MOST) {
		cl->passed[cl->n++] = (struct pass){now, r->key};
		cl->slowest_ns = cl->slowest_ns > now - r->since_ns ? cl->slowest_ns : now - r->since_ns;
	} else if (r->status != 429 && r->status != 503) {
		cluster_fail(cl->cluster, "an answer of %d", r->status);
	}
	request_end(r);
}

static void on_failed(struct sd_http_call *call, enum sd_http_phase phase, enum sd_err why, const char *text)
{
	(void)phase;
	(void)why;
	(void)text;
	request_end(call->user);
}

static const struct sd_http_caller caller = {.head = on_head, .body = on_body, .end = on_end, .failed = on_failed};

static void ask(struct client *cl)
{
	struct request *r = calloc(1, sizeof(*r));
	struct sd_error e = {0};
	char text[96];
	r->client = cl;
	r->since_ns = sd_sim_now_ns(cl->cluster->sim);
	r->key = sd_rng_below(&cl->rng, KEYS);
	sd_list_add(&cl->open, &r->link);
	struct sd_http_pool *pool = &cl->pools[sd_rng_below(&cl->rng, SERVERS)];
	struct sd_http_call *call = sd_http_call_start(pool, SD_HTTP_GET, false, &caller, r, &e);
	if (!call) {
		request_end(r);
		return;
	}
	int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: rl\r\nX-Key: key-%u\r\n\r\n", r->key);
	sd_http_call_write(call, text, (size_t)n);
	sd_http_call_sent(call);
}

/* Now and then many at once, then none for a while. */
static void on_timer(struct sd_timer *t)
{
	struct client *cl = sd_container(t, struct client, timer);
	unsigned n = sd_rng_below(&cl->rng, 40) ? 1 : 30;
	for (unsigned i = 0; i < n && !cl->stopped; i++)
		ask(cl);
	int64_t gap = sd_rng_below(&cl->rng, 100) ? SECOND / 25 : 3 * SECOND;
	sd_loop_timer_set(cl->loop, t, sd_loop_now_ns(cl->loop) + gap);
}

static void client_started(struct member *m)
{
	struct client *cl = m->user;
	struct sd_http_pool_conf conf = sd_http_pool_defaults;
	conf.answer_timeout_ns = 3 * SECOND;
	cl->loop = m->control;
	cl->timer.fn = on_timer;
	sd_list_init(&cl->open);
	for (uint8_t i = 0; i < SERVERS; i++) {
		struct sd_addr at = {.kind = SD_ADDR_INET, .port = 8080, .ip = {10, 0, 0, (uint8_t)(i + 1)}};
		sd_http_pool_init(&cl->pools[i], cl->loop, &at, &conf, &cl->head);
	}
	sd_loop_timer_set(cl->loop, &cl->timer, sd_loop_now_ns(cl->loop) + SECOND);
}

static void client_ending(struct member *m)
{
	struct client *cl = m->user;
	sd_loop_timer_cancel(cl->loop, &cl->timer);
	for (unsigned i = 0; i < SERVERS; i++)
		sd_http_pool_free(&cl->pools[i]);
	while (!sd_list_empty(&cl->open))
		request_end(sd_container(cl->open.next, struct request, link));
}

/* ---- the machines ---- */

#define RULE "--bind 0.0.0.0 --port 8080 --key header:x-key --rate 20/10s --burst 10 --headers none "

static void add_client(struct cluster *c)
{
	struct client *cl = calloc(1, sizeof(*cl));
	uint64_t seed;
	cl->cluster = c;
	c->user = cl;
	sd_world_random(c->members[0].world, &seed, sizeof(seed));
	sd_rng_seed(&cl->rng, seed);
	cluster_add_client(c, "client", client_started, client_ending, cl);
	memset(cl->up, true, sizeof(cl->up));
}

static void begin_with(struct cluster *c, const char *const options[SERVERS])
{
	char name[16];
	for (int i = 0; i < SERVERS; i++) {
		snprintf(name, sizeof(name), "rl-%d", i + 1);
		cluster_add(c, name, &sd_applet_ratelimit, options[i]);
	}
	add_client(c);
}

#define PEERS "--resp-port 6380 --peer rl-1:6380,rl-2:6380,rl-3:6380 "
#define PEERS_OF(how) \
	(const char *const[SERVERS]){RULE PEERS how " --self rl-1:6380", RULE PEERS how " --self rl-2:6380", RULE PEERS how " --self rl-3:6380"}

static void begin_peers(struct cluster *c)
{
	begin_with(c, PEERS_OF("--store-down local"));
}

static void begin_closed(struct cluster *c)
{
	begin_with(c, PEERS_OF("--store-down closed"));
}

static void begin_open(struct cluster *c)
{
	begin_with(c, PEERS_OF("--store-down open"));
}

static void begin_alone(struct cluster *c)
{
	begin_with(c, (const char *const[SERVERS]){RULE, RULE, RULE});
}

/* The third is new: the others do not know it yet. */
static void begin_differing(struct cluster *c)
{
	begin_with(c, (const char *const[SERVERS]){
			  RULE "--resp-port 6380 --peer rl-1:6380,rl-2:6380 --self rl-1:6380",
			  RULE "--resp-port 6380 --peer rl-2:6380,rl-1:6380 --self rl-2:6380",
			  RULE PEERS "--self rl-3:6380"});
}

static void begin_store(struct cluster *c)
{
	static const char options[] = RULE "--store redis://:secret@store:6379 --servers 3 --store-down local";
	begin_with(c, (const char *const[SERVERS]){options, options, options});
	cluster_add(c, "store", &sd_applet_cache, "--bind 0.0.0.0 --port 6379 --password secret");
}

static void end(struct cluster *c)
{
	free(c->user);
}

/* ---- what must hold ---- */

/* What counts is gone with its process. */
static void always(struct cluster *c)
{
	struct client *cl = client_of(c);
	for (unsigned i = 0; i < c->n; i++) {
		bool up = c->members[i].control != NULL;
		if (i != CLIENT && up && !cl->up[i] && cl->nbegan < MAX_FAULTS)
			cl->began[cl->nbegan++] = sd_sim_now_ns(c->sim);
		cl->up[i] = up;
	}
}

static size_t began_between(const struct client *cl, int64_t from, int64_t to)
{
	size_t n = 0;
	for (size_t i = 0; i < cl->nbegan; i++)
		n += cl->began[i] >= from && cl->began[i] <= to;
	return n;
}

/* A bucket of this burst lets so many pass in a time. */
static uint64_t bucket(uint64_t burst, int64_t ns)
{
	return burst + (uint64_t)(COUNT * ns / PERIOD);
}

/* Answers that came within a period were decided in it, or at most the slowest's time before. */
static void check(struct cluster *c, uint64_t owners, bool shares)
{
	const struct client *cl = client_of(c);
	int64_t ns = PERIOD + cl->slowest_ns;
	for (size_t i = 0; i < cl->n; i++) {
		const struct pass *first = &cl->passed[i];
		uint64_t passed = 0, anew = began_between(cl, first->at_ns - ns, first->at_ns + PERIOD);
		uint64_t most = (owners + anew) * bucket(BURST, ns) + (shares ? bucket(BURST, ns) : 0);
		for (size_t k = i; k < cl->n && cl->passed[k].at_ns < first->at_ns + PERIOD; k++)
			passed += cl->passed[k].key == first->key;
		if (passed > most) {
			cluster_fail(c, "%llu passed in a period where %llu may (slowest %.3f s, %llu anew)", (unsigned long long)passed,
				     (unsigned long long)most, (double)cl->slowest_ns / 1e9, (unsigned long long)anew);
			return;
		}
	}
}

/* As much passes as one server would let pass that is asked the same: but for what is on its way, which comes in another order. */
static void well(struct cluster *c)
{
	const struct client *cl = client_of(c);
	check(c, 1, false);
	uint64_t least = cl->due * 98 / 100;
	if (cl->n < least || cl->unknown)
		cluster_fail(c, "%zu passed and %llu were not decided, though nothing failed; expected %llu", cl->n,
			     (unsigned long long)cl->unknown, (unsigned long long)least);
}

static void finally_well(struct cluster *c)
{
	cluster_pass(c, 45 * SECOND);
	well(c);
}

/* Once all has healed: nothing passes but what owners say. */
static void heal(struct cluster *c)
{
	struct client *cl = client_of(c);
	cluster_pass(c, 15 * SECOND);
	uint64_t unknown = cl->unknown, answers = cl->answers;
	cluster_pass(c, 15 * SECOND);
	if (cl->unknown != unknown || cl->answers < answers + 20)
		cluster_fail(c, "%llu not decided of %llu, though all is healed", (unsigned long long)(cl->unknown - unknown),
			     (unsigned long long)(cl->answers - answers));
}

static void finally_shares(struct cluster *c)
{
	heal(c);
	check(c, 1, true);
}

static void finally_closed(struct cluster *c)
{
	heal(c);
	check(c, 1, false);
}

/* Two that owned it before, and the third. */
static void finally_differing(struct cluster *c)
{
	cluster_pass(c, 45 * SECOND);
	check(c, 2, false);
}

/* ---- scenarios ---- */

#define FAULTS(names, nodes) \
	.faults = {.kinds = names, .most = 3, .nnodes = nodes, .from_ns = 5 * SECOND, .to_ns = 30 * SECOND, .longest_ns = 15 * SECOND}
#define ALL (FAULT(FAULT_KILL) | FAULT(FAULT_POWER) | FAULT(FAULT_PARTITION) | FAULT(FAULT_ONE_WAY) | FAULT(FAULT_LOSS) | FAULT(FAULT_DELAY))

#define SCENARIO(id, ...) static const struct scenario id = {.always = always, .end = end, __VA_ARGS__}

SCENARIO(peers_well, .name = "ratelimit-peers-well", .faults = {.nnodes = SERVERS}, .begin = begin_peers, .finally = finally_well);
SCENARIO(peers_kill, .name = "ratelimit-peers-kill", FAULTS(FAULT(FAULT_KILL), SERVERS), .begin = begin_peers, .finally = finally_shares);
SCENARIO(peers_any, .name = "ratelimit-peers-any", FAULTS(ALL, SERVERS), .begin = begin_peers, .finally = finally_shares);
SCENARIO(peers_closed, .name = "ratelimit-peers-closed", FAULTS(ALL, SERVERS), .begin = begin_closed, .finally = finally_closed);
SCENARIO(peers_differ, .name = "ratelimit-peers-differ", .faults = {.nnodes = SERVERS}, .begin = begin_differing,
	 .finally = finally_differing);
SCENARIO(store_well, .name = "ratelimit-store-well", .faults = {.nnodes = SERVERS}, .begin = begin_store, .finally = finally_well);
SCENARIO(store_any, .name = "ratelimit-store-any", FAULTS(ALL, STORE + 1), .begin = begin_store, .finally = finally_shares);
/* Controls */
SCENARIO(alone, .name = "ratelimit-control-alone", .faults = {.nnodes = SERVERS}, .begin = begin_alone, .finally = finally_well,
	 .must_fail = true);
SCENARIO(open, .name = "ratelimit-control-open", FAULTS(FAULT(FAULT_PARTITION) | FAULT(FAULT_KILL), SERVERS), .begin = begin_open,
	 .finally = finally_shares, .must_fail = true);
SCENARIO(without_shares, .name = "ratelimit-control-without-shares", FAULTS(FAULT(FAULT_PARTITION), SERVERS), .begin = begin_peers,
	 .finally = finally_closed, .must_fail = true);

START_TEST(peers_let_pass_what_one_would) { scenario_check(&peers_well, 4); } END_TEST
START_TEST(an_owner_is_killed_and_comes_back) { scenario_check(&peers_kill, 10); } END_TEST
START_TEST(whatever_happens_to_peers) { scenario_check(&peers_any, 15); } END_TEST
START_TEST(closed_lets_no_share_pass) { scenario_check(&peers_closed, 10); } END_TEST
START_TEST(lists_of_peers_that_differ) { scenario_check(&peers_differ, 4); } END_TEST
START_TEST(a_store_lets_pass_what_one_would) { scenario_check(&store_well, 4); } END_TEST
START_TEST(whatever_happens_to_the_store) { scenario_check(&store_any, 15); } END_TEST
START_TEST(control_each_alone) { scenario_check(&alone, 3); } END_TEST
START_TEST(control_open) { scenario_check(&open, 15); } END_TEST
START_TEST(control_without_shares) { scenario_check(&without_shares, 10); } END_TEST

int main(void)
{
	Suite *s = suite_create("sim_ratelimit");
	TCase *t = tcase_create("sim_ratelimit");
	tcase_set_timeout(t, 600);
	tcase_add_test(t, peers_let_pass_what_one_would);
	tcase_add_test(t, an_owner_is_killed_and_comes_back);
	tcase_add_test(t, whatever_happens_to_peers);
	tcase_add_test(t, closed_lets_no_share_pass);
	tcase_add_test(t, lists_of_peers_that_differ);
	tcase_add_test(t, a_store_lets_pass_what_one_would);
	tcase_add_test(t, whatever_happens_to_the_store);
	tcase_add_test(t, control_each_alone);
	tcase_add_test(t, control_open);
	tcase_add_test(t, control_without_shares);
	suite_add_tcase(s, t);
	return sim_main(s);
}
