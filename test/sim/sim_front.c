/* The load balancer, its backends and a client as they are, on simulated machines.
 *
 * What must hold whatever happens to the backends and the wires:
 *
 *	1  every request of the client ends, with an answer or an error, within the time the balancer's limits add up to
 *	2  what is answered with 200 was answered by a backend
 *	3  once all is healed every backend is in the pool again, and requests are answered
 *	4  when one of three backends is killed, no GET fails (retries and health checks); when one loses its power, only
 *	   those do that were already sent there
 *	5  with pools, a request is answered by a backend of the pool that its path leads to, whatever happens to that pool
 *
 * and 1 (but for what a lost backend had), 2 and 3 also in TCP mode, where a tunnel ends when its backend does.
 * And for a partition, a backend that comes and goes, and one that is slow, the events that a person reads come in
 * the order they should.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "net/http_client.h"

extern const struct sd_applet sd_applet_lb, sd_applet_backend;

#define GAP_NS    (SECOND / 20)
#define LONGEST   (20 * SECOND) /* two tries: to connect 2 s each, to answer 5 s each, and their waits */
#define LB_OPTIONS                                                                                           \
	"--bind 0.0.0.0 --port 8080 --backend web-1:8081 --backend web-2:8081 --backend web-3:8081 "         \
	"--answer-timeout 5s --health-interval 1s --health-timeout 500ms"

enum { LB = 3, CLIENT = 4 };

/* ---- the client ---- */

struct request {
	struct client *client;
	struct sd_link link;
	int64_t since_ns;
	int status;
	bool api;      /* for the pool of that name */
	char body[64]; /* its beginning */
	size_t n;
};

struct client {
	struct cluster *cluster;
	struct sd_loop *loop;
	struct sd_http_pool pool;
	struct sd_http_head head;
	struct sd_timer timer;
	struct sd_link open;
	bool stopped;
	bool pools; /* every second request is for the pool api, in which web-1 is not */
	uint64_t sent, ok, bad, failed;
	char trouble[128]; /* how the last one failed */
};

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
	struct request *r = call->user;
	size_t room = sizeof(r->body) - 1 - r->n, k = n < room ? n : room;
	memcpy(r->body + r->n, p, k);
	r->n += k;
}

static void on_end(struct sd_http_call *call)
{
	struct request *r = call->user;
	struct client *cl = r->client;
	if (r->status == 200 && r->body[0] != 'R')
		cluster_fail(cl->cluster, "a 200 that no backend gave");
	if (cl->pools && r->status == 200 && r->api == (strstr(r->body, "web-1") != NULL))
		cluster_fail(cl->cluster, "a request for pool %s: %s", r->api ? "api" : "default", r->body);
	cl->ok += r->status == 200;
	cl->bad += r->status != 200;
	if (r->status != 200)
		snprintf(cl->trouble, sizeof(cl->trouble), "status %d", r->status);
	request_end(r);
}

static void on_failed(struct sd_http_call *call, enum sd_http_phase phase, enum sd_err why, const char *text)
{
	struct request *r = call->user;
	snprintf(r->client->trouble, sizeof(r->client->trouble), "phase %d: %s %s", (int)phase, sd_err_text(why),
		 text ? text : "");
	r->client->failed++;
	request_end(r);
}

static const struct sd_http_caller caller = {.head = on_head, .body = on_body, .end = on_end, .failed = on_failed};

static void ask(struct client *cl)
{
	static const char *const texts[] = {"GET / HTTP/1.1\r\nHost: lb\r\n\r\n", "GET /v1 HTTP/1.1\r\nHost: lb\r\n\r\n"};
	struct request *r = calloc(1, sizeof(*r));
	struct sd_error e = {0};
	r->client = cl;
	r->since_ns = sd_sim_now_ns(cl->cluster->sim);
	r->api = cl->pools && cl->sent % 2;
	sd_list_add(&cl->open, &r->link);
	cl->sent++;
	struct sd_http_call *call = sd_http_call_start(&cl->pool, SD_HTTP_GET, false, &caller, r, &e);
	if (!call) {
		cl->failed++;
		snprintf(cl->trouble, sizeof(cl->trouble), "%.100s", e.text);
		request_end(r);
		return;
	}
	sd_http_call_write(call, texts[r->api], strlen(texts[r->api]));
	sd_http_call_sent(call);
}

static void on_timer(struct sd_timer *t)
{
	struct client *cl = sd_container(t, struct client, timer);
	if (!cl->stopped)
		ask(cl);
	sd_loop_timer_set(cl->loop, t, sd_loop_now_ns(cl->loop) + GAP_NS);
}

static void client_started(struct member *m)
{
	struct client *cl = m->user;
	struct sd_addr lb = {.kind = SD_ADDR_INET, .port = 8080, .ip = {10, 0, 0, LB + 1}};
	struct sd_http_pool_conf conf = sd_http_pool_defaults;
	conf.answer_timeout_ns = 25 * SECOND; /* a balancer without power says nothing */
	cl->loop = m->control;
	cl->timer.fn = on_timer;
	sd_list_init(&cl->open);
	sd_http_pool_init(&cl->pool, cl->loop, &lb, &conf, &cl->head);
	sd_loop_timer_set(cl->loop, &cl->timer, sd_loop_now_ns(cl->loop) + SECOND);
}

static void client_ending(struct member *m)
{
	struct client *cl = m->user;
	sd_loop_timer_cancel(cl->loop, &cl->timer);
	sd_http_pool_free(&cl->pool);
	while (!sd_list_empty(&cl->open))
		request_end(sd_container(cl->open.next, struct request, link));
}

/* ---- the machines ---- */

static struct client *client_of(struct cluster *c)
{
	return c->user;
}

static void begin_with(struct cluster *c, const char *lb_options)
{
	char name[16], options[64];
	for (int i = 1; i <= 3; i++) {
		snprintf(name, sizeof(name), "web-%d", i);
		snprintf(options, sizeof(options), "--bind 0.0.0.0 --port 8081 --name web-%d", i);
		cluster_add(c, name, &sd_applet_backend, options);
	}
	cluster_add(c, "lb", &sd_applet_lb, lb_options);
	struct client *cl = calloc(1, sizeof(*cl));
	cl->cluster = c;
	c->user = cl;
	cluster_add_client(c, "client", client_started, client_ending, cl);
}

static void begin(struct cluster *c)
{
	begin_with(c, LB_OPTIONS);
}

static void begin_without_checks(struct cluster *c)
{
	begin_with(c, LB_OPTIONS " --health-type none --eject-failures 0 --retries 0");
}

#define POOLS                                                                                                \
	"--bind 0.0.0.0 --port 8080 --backend web-1:8081 --backend address=web-2:8081,pool=api --backend "           \
	"address=web-3:8081,pool=api --answer-timeout 5s --health-interval 1s --health-timeout 500ms --retries 2 "

static void begin_with_pools(struct cluster *c)
{
	begin_with(c, POOLS "--route path=/v1,pool=api,rewrite=/");
	client_of(c)->pools = true;
}

/* The rule is for another path: all requests go to one pool. */
static void begin_with_a_wrong_rule(struct cluster *c)
{
	begin_with(c, POOLS "--route path=/v2,pool=api");
	client_of(c)->pools = true;
}

static void begin_tunnels(struct cluster *c)
{
	begin_with(c, LB_OPTIONS " --mode tcp --tunnel-timeout 5s --health-type http");
}

static void end(struct cluster *c)
{
	free(c->user);
}

/* ---- what must hold ---- */

static void always(struct cluster *c)
{
	struct client *cl = client_of(c);
	if (sd_list_empty(&cl->open))
		return;
	const struct request *oldest = sd_container(cl->open.next, struct request, link);
	int64_t age = sd_sim_now_ns(c->sim) - oldest->since_ns;
	if (age > LONGEST)
		cluster_fail(c, "a request is still open after %.1f s", (double)age / 1e9);
}

static bool all_ended(struct cluster *c)
{
	return sd_list_empty(&client_of(c)->open);
}

static void finally(struct cluster *c)
{
	struct client *cl = client_of(c);
	cluster_pass(c, 30 * SECOND); /* checks come round; ejections end */
	uint64_t bad = cl->bad, failed = cl->failed, ok = cl->ok;
	cluster_pass(c, 10 * SECOND);
	if (cl->bad != bad || cl->failed != failed)
		cluster_fail(c, "requests fail though all is healed: %s", cl->trouble);
	if (cl->ok < ok + 150)
		cluster_fail(c, "only %llu answers in 10 s though all is healed", (unsigned long long)(cl->ok - ok));
	cl->stopped = true;
	if (!cluster_step_until(c, all_ended, LONGEST))
		cluster_fail(c, "requests are still open");
	if (cl->sent != cl->ok + cl->bad + cl->failed)
		cluster_fail(c, "%llu sent, but %llu answered", (unsigned long long)cl->sent,
			     (unsigned long long)(cl->ok + cl->bad + cl->failed));
}

static void always_answered(struct cluster *c)
{
	struct client *cl = client_of(c);
	always(c);
	if (cl->bad || cl->failed)
		cluster_fail(c, "a request failed: %s", cl->trouble);
}

/* ---- scenarios ---- */

#define ALL_NETWORK                                                                                          \
	(FAULT(FAULT_PAUSE) | FAULT(FAULT_PARTITION) | FAULT(FAULT_ONE_WAY) | FAULT(FAULT_LOSS) | FAULT(FAULT_DELAY) |       \
	 FAULT(FAULT_SLOW))

static const struct scenario anything = {
    .name = "front-anything",
    .faults = {.kinds = ALL_NETWORK | FAULT(FAULT_POWER) | FAULT(FAULT_KILL),
	       .most = 12, .nnodes = 3, .from_ns = 2 * SECOND, .to_ns = 40 * SECOND, .longest_ns = 20 * SECOND},
    .begin = begin,
    .always = always,
    .finally = finally,
    .end = end,
};

/* The balancer's own machine too. */
static const struct scenario anywhere = {
    .name = "front-anywhere",
    .faults = {.kinds = ALL_NETWORK | FAULT(FAULT_POWER) | FAULT(FAULT_KILL),
	       .most = 12, .nnodes = 4, .from_ns = 2 * SECOND, .to_ns = 40 * SECOND, .longest_ns = 20 * SECOND},
    .begin = begin,
    .finally = finally,
    .end = end,
};

/* One backend at a time whose kernel says so: nobody notices. */
static const struct scenario one_dies = {
    .name = "front-one-dies",
    .faults = {.kinds = FAULT(FAULT_KILL),
	       .most = 1, .nnodes = 3, .from_ns = 2 * SECOND, .to_ns = 20 * SECOND, .longest_ns = 20 * SECOND},
    .begin = begin,
    .always = always_answered,
    .finally = finally,
    .end = end,
};

static const struct scenario pools = {
    .name = "front-pools",
    .faults = {.kinds = ALL_NETWORK | FAULT(FAULT_POWER) | FAULT(FAULT_KILL),
	       .most = 12, .nnodes = 3, .from_ns = 2 * SECOND, .to_ns = 40 * SECOND, .longest_ns = 20 * SECOND},
    .begin = begin_with_pools,
    .always = always,
    .finally = finally,
    .end = end,
};

static const struct scenario wrong_rule = {
    .name = "front-control-wrong-rule",
    .faults = {.nnodes = 3, .from_ns = 2 * SECOND, .to_ns = 20 * SECOND, .longest_ns = 20 * SECOND},
    .begin = begin_with_a_wrong_rule,
    .always = always,
    .finally = finally,
    .end = end,
    .must_fail = true,
};

static const struct scenario tunnels = {
    .name = "front-tunnels",
    .faults = {.kinds = ALL_NETWORK | FAULT(FAULT_POWER) | FAULT(FAULT_KILL),
	       .most = 12, .nnodes = 3, .from_ns = 2 * SECOND, .to_ns = 40 * SECOND, .longest_ns = 20 * SECOND},
    .begin = begin_tunnels,
    .finally = finally,
    .end = end,
};

static const struct scenario without_checks = {
    .name = "front-control-without-checks",
    .faults = {.kinds = FAULT(FAULT_POWER) | FAULT(FAULT_KILL),
	       .most = 4, .nnodes = 3, .from_ns = 2 * SECOND, .to_ns = 20 * SECOND, .longest_ns = 20 * SECOND},
    .begin = begin_without_checks,
    .always = always_answered,
    .finally = finally,
    .end = end,
    .must_fail = true,
};

START_TEST(every_request_ends_whatever_happens) { scenario_check(&anything, 30); } END_TEST
START_TEST(the_balancer_comes_back_too) { scenario_check(&anywhere, 30); } END_TEST
START_TEST(nobody_notices_one_backend_that_dies) { scenario_check(&one_dies, 40); } END_TEST
START_TEST(no_request_leaves_its_pool) { scenario_check(&pools, 30); } END_TEST
START_TEST(control_with_a_wrong_rule_it_does) { scenario_check(&wrong_rule, 3); } END_TEST
START_TEST(tunnels_end_with_their_backends) { scenario_check(&tunnels, 30); } END_TEST
START_TEST(control_without_checks_requests_fail) { scenario_check(&without_checks, 10); } END_TEST

/* ---- the same seed is the same run ---- */

START_TEST(same_seed_same_run)
{
	uint64_t digest[3], steps[3];
	for (uint64_t seed = 1; seed <= 5; seed++) {
		scenario_run(&anywhere, seed, NULL, &digest[0], &steps[0]);
		scenario_run(&anywhere, seed, NULL, &digest[1], &steps[1]);
		scenario_run(&anywhere, seed + 1, NULL, &digest[2], &steps[2]);
		ck_assert_uint_eq(digest[0], digest[1]);
		ck_assert_uint_eq(steps[0], steps[1]);
		ck_assert_uint_ne(digest[0], digest[2]);
	}
}
END_TEST

/* ---- a failing plan becomes a small one ---- */

START_TEST(a_failing_plan_shrinks)
{
	struct fault plan[MAX_FAULTS];
	for (uint64_t seed = 1; seed <= 20; seed++) {
		if (scenario_run(&without_checks, seed, NULL, NULL, NULL))
			continue;
		ck_assert_uint_eq(scenario_shrink(&without_checks, seed, plan), 1);
		return;
	}
	ck_abort_msg("no seed failed");
}
END_TEST

/* ---- what a person reads ---- */

static struct cluster *by_hand(uint64_t seed)
{
	struct cluster *c = calloc(1, sizeof(*c));
	c->sim = sd_sim_new(seed);
	begin(c);
	cluster_pass(c, 5 * SECOND);
	return c;
}

static void by_hand_end(struct cluster *c)
{
	ck_assert_str_eq(c->failed, "");
	for (unsigned i = 0; i < c->n; i++)
		if (c->members[i].control)
			cluster_crash(c, &c->members[i], false);
	end(c);
	sd_sim_free(c->sim);
	free(c);
}

#define SAYS(c, from, ...)                                                                                   \
	ck_assert_msg(cluster_said(&(c)->members[LB], from, (const char *const[]){__VA_ARGS__, NULL}), "%s",   \
		      sd_sim_output((c)->members[LB].world))

START_TEST(a_partition_takes_a_backend_out_and_healing_brings_it_back)
{
	struct cluster *c = by_hand((uint64_t)_i);
	size_t from = strlen(sd_sim_output(c->members[LB].world));
	uint64_t failed = client_of(c)->failed + client_of(c)->bad;
	sd_sim_partition(c->members[1].world, c->members[LB].world, true);
	cluster_pass(c, 10 * SECOND);
	SAYS(c, &from, "Backend web-2:8081 failed health check (3 consecutive failures)", "Removed web-2:8081 from pool");
	sd_sim_partition(c->members[1].world, c->members[LB].world, false);
	cluster_pass(c, 10 * SECOND);
	SAYS(c, &from, "Backend web-2:8081 passed health check (2 in a row)", "Added web-2:8081 to pool");
	/* What was on its way there when the wire was cut waits for its answer in vain; nobody after it does. */
	ck_assert_uint_le(client_of(c)->failed + client_of(c)->bad, failed + 2);
	by_hand_end(c);
}
END_TEST

START_TEST(a_backend_that_comes_and_goes_is_out_after_three_and_in_after_two)
{
	struct cluster *c = by_hand((uint64_t)_i);
	size_t from = strlen(sd_sim_output(c->members[LB].world));
	for (int round = 0; round < 4; round++) {
		cluster_crash(c, &c->members[0], round & 1);
		cluster_pass(c, 12 * SECOND);
		SAYS(c, &from, "Removed web-1:8081 from pool");
		cluster_restart(c, &c->members[0]);
		cluster_pass(c, 12 * SECOND);
		SAYS(c, &from, "Added web-1:8081 to pool");
	}
	by_hand_end(c);
}
END_TEST

START_TEST(a_slow_backend_is_taken_out)
{
	struct cluster *c = by_hand((uint64_t)_i);
	size_t from = strlen(sd_sim_output(c->members[LB].world));
	sd_sim_slow(c->members[2].world, SECOND);
	cluster_pass(c, 15 * SECOND);
	SAYS(c, &from, "Removed web-3:8081 from pool");
	sd_sim_slow(c->members[2].world, 0);
	cluster_pass(c, 40 * SECOND);
	SAYS(c, &from, "Added web-3:8081 to pool");
	by_hand_end(c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim front");
	TCase *t = tcase_create("front");
	tcase_set_timeout(t, 600);
	tcase_add_test(t, same_seed_same_run);
	tcase_add_loop_test(t, a_partition_takes_a_backend_out_and_healing_brings_it_back, 1, 6);
	tcase_add_loop_test(t, a_backend_that_comes_and_goes_is_out_after_three_and_in_after_two, 1, 6);
	tcase_add_loop_test(t, a_slow_backend_is_taken_out, 1, 6);
	tcase_add_test(t, every_request_ends_whatever_happens);
	tcase_add_test(t, the_balancer_comes_back_too);
	tcase_add_test(t, nobody_notices_one_backend_that_dies);
	tcase_add_test(t, no_request_leaves_its_pool);
	tcase_add_test(t, control_with_a_wrong_rule_it_does);
	tcase_add_test(t, tunnels_end_with_their_backends);
	tcase_add_test(t, control_without_checks_requests_fail);
	tcase_add_test(t, a_failing_plan_shrinks);
	suite_add_tcase(s, t);
	return sim_main(s);
}
