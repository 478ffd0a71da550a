/* The pool on an event loop, in virtual time: what is to be done is done after the callback, when it is due, and not before. */
#include <check.h>
#include <stdlib.h>

#include "core/list.h"
#include "world/pool_loop.h"
#include "world/sim.h"

#define S  1000000000ll
#define MS 1000000ll

static struct sd_sim *sim;
static struct sd_loop *loop;
static struct sd_pool_loop pl;
static struct sd_pool_conf conf;
static int opens, closes, grants, leaks, things[64];
static bool refuse;
static enum sd_pool_why closed_why;
static struct sd_pool_waiter *last;

/* Opening takes 10 ms. */
struct opening {
	struct sd_timer timer;
	uint32_t slot;
};

static void opened(struct sd_timer *t)
{
	struct opening *o = sd_container(t, struct opening, timer);
	if (refuse)
		sd_pool_open_failed(pl.pool, sd_loop_now_ns(loop), o->slot, "refused");
	else
		sd_pool_opened(pl.pool, sd_loop_now_ns(loop), o->slot, &things[opens++]);
	free(o);
	sd_pool_loop_settle(&pl);
}

static void on_open(void *arg, uint32_t slot)
{
	struct opening *o = calloc(1, sizeof(*o));
	(void)arg;
	o->slot = slot;
	o->timer.fn = opened;
	sd_loop_timer_set(loop, &o->timer, sd_loop_now_ns(loop) + 10 * MS);
}

static void on_close(void *arg, void *resource, enum sd_pool_why why)
{
	(void)arg;
	ck_assert_ptr_nonnull(resource);
	closed_why = why;
	closes++;
}

static void on_granted(void *arg, struct sd_pool_waiter *w)
{
	(void)arg;
	last = w;
	grants++;
}

static void on_leak(void *arg, const struct sd_pool_held *held)
{
	(void)arg;
	ck_assert_int_eq(held->age_ns, 60 * S);
	leaks++;
}

static const struct sd_pool_loop_events events = {.open = on_open, .close = on_close, .granted = on_granted, .leak = on_leak};

static void setup(void)
{
	sim = sd_sim_new(7);
	loop = sd_loop_new(sd_sim_node(sim, "one"), NULL);
	ck_assert_int_eq(sd_loop_start(loop, "one", NULL), SD_OK);
	conf = sd_pool_defaults;
	conf.jitter = 0;
	opens = closes = grants = leaks = 0;
	refuse = false;
	last = NULL;
}

static void start(void)
{
	ck_assert_int_eq(sd_pool_loop_init(&pl, loop, &conf, 1, &events, NULL, NULL), SD_OK);
}

static void teardown(void)
{
	sd_pool_loop_free(&pl);
	ck_assert_int_eq(opens, closes);
	sd_loop_stop(loop);
	sd_loop_join(loop);
	sd_loop_free(loop);
	sd_sim_free(sim);
}

static void pass(int64_t ns)
{
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + ns);
}

static enum sd_err borrow(struct sd_pool_waiter *w, int64_t timeout_ns)
{
	int64_t now = sd_loop_now_ns(loop);
	*w = (struct sd_pool_waiter){.deadline_ns = now + timeout_ns};
	enum sd_err err = sd_pool_borrow(pl.pool, now, w);
	sd_pool_loop_settle(&pl);
	return err;
}

static void put(struct sd_pool_waiter *w)
{
	ck_assert_int_eq(sd_pool_put(pl.pool, sd_loop_now_ns(loop), &w->lease, false), SD_OK);
	sd_pool_loop_settle(&pl);
}

START_TEST(lends_and_hands_over)
{
	struct sd_pool_waiter a, b;
	conf.max_size = 1;
	start();
	ck_assert_int_eq(borrow(&a, S), SD_EAGAIN);
	pass(5 * MS);
	ck_assert_int_eq(grants, 0);
	pass(10 * MS);
	ck_assert_ptr_eq(last, &a);
	ck_assert_int_eq(borrow(&b, S), SD_EAGAIN);
	put(&a);
	ck_assert_ptr_eq(last, &a); /* told later, not within */
	pass(MS);
	ck_assert_ptr_eq(last, &b);
	ck_assert_int_eq(b.err, SD_OK);
	put(&b);
	ck_assert_int_eq(borrow(&a, S), SD_OK);
}
END_TEST

START_TEST(time_is_kept)
{
	struct sd_pool_waiter a, b;
	conf.max_size = 1;
	conf.leak_ns = 60 * S;
	start();
	borrow(&a, S);
	pass(20 * MS);
	borrow(&b, S);
	pass(S - 1);
	ck_assert_int_eq(grants, 1);
	pass(1);
	ck_assert_int_eq(grants, 2);
	ck_assert_int_eq(b.err, SD_ETIMEOUT);
	pass(70 * S);
	ck_assert_int_eq(leaks, 1);
	put(&a);
	pass(conf.idle_timeout_ns - 1);
	ck_assert_int_eq(closes, 0);
	pass(1);
	ck_assert_int_eq(closes, 1);
	ck_assert_int_eq(closed_why, SD_POOL_IDLE_TIMEOUT);
}
END_TEST

START_TEST(opens_ahead_and_again_after_failures)
{
	struct sd_pool_stats s;
	conf.min_idle = 2;
	refuse = true;
	start();
	pass(30 * S);
	sd_pool_stats(pl.pool, &s);
	ck_assert_uint_ge(s.open_failures, 7);
	ck_assert_uint_le(s.open_failures, 16); /* each wait twice as long, to 10 s */
	refuse = false;
	pass(11 * S);
	sd_pool_stats(pl.pool, &s);
	ck_assert_uint_eq(s.idle, 2);
}
END_TEST

START_TEST(frees_what_is_lent_and_tells_nobody)
{
	struct sd_pool_waiter a, b;
	conf.max_size = 1;
	start();
	borrow(&a, S);
	pass(20 * MS);
	borrow(&b, S);
	sd_pool_loop_free(&pl);
	ck_assert_int_eq(closes, 1);
	ck_assert_int_eq(grants, 1);
	pass(S);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pool_loop");
	TCase *t = tcase_create("loop");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, lends_and_hands_over);
	tcase_add_test(t, time_is_kept);
	tcase_add_test(t, opens_ahead_and_again_after_failures);
	tcase_add_test(t, frees_what_is_lent_and_tells_nobody);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad != 0;
}
