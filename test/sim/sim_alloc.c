/* Memory runs out at allocation 1, 2, 3 ... of a service's start and of its work, until a run asks for no more.
 *
 * What must hold: a start that fails says why in one line and leaves nothing behind (the address sanitizer looks); a
 * service that runs out while it works loses at most what it was doing, and serves the next request as if nothing had been.
 * Likewise when the kernel has no descriptor for a connection.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "cluster.h"
#include "disk/wal.h"
#include "net/stream.h"

extern const struct sd_applet sd_applet_lb, sd_applet_backend;

#define LB_OPTIONS "--bind 0.0.0.0 --port 80 --admin 0.0.0.0:79 --backend web:80 --health-interval 1s --retries 0"

enum { WEB, LB, CLIENT };

/* ---- a client that asks once and reads to the end ---- */

static struct asked {
	struct sd_stream *s;
	char text[4096];
	size_t n;
	bool over;
} asked;

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct asked *a = s->owner;
	size_t room = sizeof(a->text) - 1 - a->n;
	memcpy(a->text + a->n, p, n < room ? n : room);
	a->n += n < room ? n : room;
	return n;
}

static void on_end(struct sd_stream *s)
{
	((struct asked *)s->owner)->over = true;
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	on_end(s);
}

static const struct sd_stream_events events = {.data = on_data, .eof = on_end, .timeout = on_end, .closed = on_closed};

static bool is_over(struct cluster *c)
{
	(void)c;
	return asked.over;
}

/* Allocations for the client itself are not the service's. */
static void ask(struct cluster *c, uint16_t port, const char *path)
{
	struct sd_loop *l = c->members[CLIENT].control;
	struct sd_addr to = {.kind = SD_ADDR_INET, .port = port, .ip = {10, 0, 0, LB + 1}};
	struct sd_io *io;
	char text[256];
	asked = (struct asked){0};
	int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	ck_assert_int_eq(sd_loop_connect(l, &to, &io, NULL), SD_OK);
	asked.s = sd_stream_new(io, true, 65536, &events, &asked);
	ck_assert_ptr_nonnull(asked.s);
	char *room = sd_stream_reserve(asked.s, (size_t)n);
	ck_assert_ptr_nonnull(room);
	memcpy(room, text, (size_t)n);
	sd_stream_commit(asked.s, (size_t)n);
	sd_stream_deadline(asked.s, sd_loop_now_ns(l) + 60 * SECOND);
	sd_loop_flush(l);
}

static void let_go(struct cluster *c)
{
	sd_stream_close(asked.s);
	sd_loop_flush(c->members[CLIENT].control);
}

/* ---- the machines ---- */

static struct cluster *begin(const char *web_options)
{
	struct cluster *c = calloc(1, sizeof(*c));
	c->sim = sd_sim_new(1);
	cluster_add(c, "web", &sd_applet_backend, web_options);
	cluster_add(c, "lb", &sd_applet_lb, LB_OPTIONS);
	cluster_add_client(c, "client", NULL, NULL, NULL);
	ck_assert_str_eq(c->failed, "");
	cluster_pass(c, 5 * SECOND);
	return c;
}

static void finish(struct cluster *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (c->members[i].control)
			cluster_crash(c, &c->members[i], false);
	sd_sim_free(c->sim);
	free(c);
}

/* ---- starting ---- */

static uint64_t starts(const struct sd_applet *applet, const char *options)
{
	uint64_t n = 1;
	for (;; n++) {
		struct cluster *c = calloc(1, sizeof(*c));
		c->sim = sd_sim_new(n);
		alloc_fail_at(n);
		cluster_try(c, "node", applet, options);
		int failed = alloc_failed();
		alloc_fail_at(0);
		if (failed && c->failed[0])
			ck_assert_msg(strstr(c->failed, "memory") != NULL, "allocation %llu (%p): %s", (unsigned long long)n,
				      alloc_place(), c->failed);
		if (!failed)
			ck_assert_str_eq(c->failed, "");
		if (!c->failed[0])
			sd_sim_run_to(c->sim, 3 * SECOND);
		finish(c);
		if (!failed)
			return n;
	}
}

START_TEST(starting_backend)
{
	uint64_t n = starts(&sd_applet_backend, "--bind 0.0.0.0 --port 80 --admin 0.0.0.0:79 --name web");
	ck_assert_uint_gt(n, 20);
}
END_TEST

START_TEST(starting_lb)
{
	uint64_t n = starts(&sd_applet_lb, LB_OPTIONS " --backend web-2:80,weight=3 --trusted-proxies 10.0.0.0/8");
	ck_assert_uint_gt(n, 50);
}
END_TEST

/* ---- working ---- */

static const struct {
	uint16_t port;
	const char *path, *answer;
} work[] = {
    {80, "/", "Response from web"},
    {80, "/bytes/100000", "quick brown fox"},
    {80, "/json", "\"server\""},
    {80, "/headers", "X-Forwarded-For"},
    {79, "/metrics", "sdlab_http_requests_total"},
    {79, "/-/config", "\"algorithm\""},
    {79, "/-/backends", "web"},
    {79, "/-/health", "ok"},
};

START_TEST(working)
{
	struct cluster *c = begin("--bind 0.0.0.0 --port 80 --name web");
	uint64_t n = 1;
	for (;; n++) {
		ask(c, work[_i].port, work[_i].path);
		alloc_fail_at(n);
		bool over = cluster_step_until(c, is_over, 120 * SECOND);
		let_go(c);
		cluster_pass(c, 2 * SECOND); /* checks run meanwhile */
		int failed = alloc_failed();
		alloc_fail_at(0);
		ck_assert_msg(over, "allocation %llu: no end", (unsigned long long)n);
		/* what comes after is as if nothing had been, once ejections are over */
		cluster_pass(c, 30 * SECOND);
		ask(c, work[_i].port, work[_i].path);
		ck_assert(cluster_step_until(c, is_over, 120 * SECOND));
		ck_assert_msg(strstr(asked.text, work[_i].answer) != NULL, "after allocation %llu (%p): %s",
			      (unsigned long long)n, alloc_place(), asked.text);
		let_go(c);
		if (!failed)
			break;
	}
	ck_assert_uint_gt(n, 3);
	finish(c);
}
END_TEST

/* ---- no descriptor for a connection ---- */

START_TEST(accepting)
{
	struct cluster *c = begin("--bind 0.0.0.0 --port 80 --name web");
	for (uint64_t n = 1;; n++) {
		uint64_t before = sd_sim_failed(c->members[LB].world);
		sd_sim_fail(c->members[LB].world, SD_SIM_ACCEPT, n, 3, EMFILE);
		for (int i = 0; i < 3; i++) {
			ask(c, 80, "/");
			ck_assert(cluster_step_until(c, is_over, 120 * SECOND));
			ck_assert_ptr_nonnull(strstr(asked.text, "Response from web")); /* late, not lost */
			let_go(c);
		}
		uint64_t injected = sd_sim_failed(c->members[LB].world) - before;
		sd_sim_fail(c->members[LB].world, SD_SIM_ACCEPT, 1, 0, 0);
		if (!injected)
			break;
		ck_assert_uint_le(n, 10);
	}
	finish(c);
}
END_TEST

/* ---- the log ---- */

struct acknowledged {
	struct sd_wal_wait wait;
	bool ok;
};

static void on_synced(struct sd_wal_wait *wait, enum sd_err err)
{
	((struct acknowledged *)wait)->ok = err == SD_OK;
}

/* Appends and syncs 40 records of rising size, over several segments; how many were acknowledged. */
static uint64_t use_log(struct sd_world *w, enum sd_err *err, struct sd_error *e)
{
	static char bytes[4000];
	struct sd_wal_conf conf = {.dir = "log", .name = "log", .segment_bytes = 65536};
	struct sd_wal *l = NULL;
	uint64_t acked = 0;
	*err = sd_wal_open(w, &conf, &l, NULL, e);
	for (size_t i = 0; !*err && i < 40; i++) {
		struct iovec iov = {bytes, i * 100};
		struct acknowledged a = {.wait = {.done = on_synced}};
		*err = sd_wal_append(l, 1, &iov, 1, NULL);
		if (*err)
			break;
		sd_wal_sync(l, &a.wait);
		acked += a.ok;
	}
	sd_wal_free(l);
	return acked;
}

/* Whatever fails for want of memory, what was acknowledged is there after. */
START_TEST(a_log)
{
	for (uint64_t n = 1;; n++) {
		struct sd_sim *sim = sd_sim_new(n);
		struct sd_world *w = sd_sim_node(sim, "n1");
		struct sd_error e = {0};
		struct sd_wal_stats stats;
		struct sd_wal *l;
		enum sd_err err;
		alloc_fail_at(n);
		uint64_t acked = use_log(w, &err, &e);
		int failed = alloc_failed();
		alloc_fail_at(0);
		ck_assert_msg(failed ? !err || err == SD_ENOMEM : !err, "allocation %llu: %s", (unsigned long long)n, e.text);
		sd_sim_power_cut(w);
		sd_sim_boot(w);
		ck_assert_msg(sd_wal_open(w, &(struct sd_wal_conf){.dir = "log", .name = "log"}, &l, NULL, &e) == SD_OK, "%s",
			      e.text);
		sd_wal_stats(l, &stats);
		ck_assert_uint_ge(stats.next_seq - 1, acked);
		sd_wal_free(l);
		sd_sim_free(sim);
		if (!failed) {
			ck_assert_uint_eq(acked, 40);
			ck_assert_uint_gt(n, 5);
			return;
		}
	}
}
END_TEST

START_TEST(a_broker)
{
	ck_assert_uint_gt(alloc_mq(), 200);
}
END_TEST

START_TEST(a_cache)
{
	ck_assert_uint_gt(alloc_cache(), 800);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim alloc");
	TCase *t = tcase_create("alloc");
	tcase_set_timeout(t, 300);
	tcase_add_test(t, starting_backend);
	tcase_add_test(t, starting_lb);
	tcase_add_loop_test(t, working, 0, sizeof(work) / sizeof(work[0]));
	tcase_add_test(t, accepting);
	tcase_add_test(t, a_log);
	tcase_add_test(t, a_broker);
	tcase_add_test(t, a_cache);
	suite_add_tcase(s, t);
	return sim_main(s);
}
