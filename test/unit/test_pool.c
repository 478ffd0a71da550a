/* The pool's engine: what it does in each case, and what it promises under random operations in virtual time. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "sdlab/pool.h"

#define MS 1000000ll
#define S  1000000000ll

/* ---- a world of resources ---- */

enum { MANY = 4096 };

struct thing {
	bool open, dead, dirty, lent;
	int64_t born_ns, idle_ns, checked_ns; /* -1: never */
};

static struct thing things[MANY];
static uint32_t nthings, nopen, most_open;
static int64_t now;
static struct sd_pool *pool;
static struct sd_pool_conf conf;

static bool is_quiet(void *arg, void *resource)
{
	const struct thing *t = resource;
	(void)arg;
	ck_assert(t->open);
	return !t->dead && !t->dirty;
}

static void setup(void)
{
	memset(things, 0, sizeof(things));
	nthings = nopen = most_open = 0;
	now = S;
	pool = NULL;
	conf = sd_pool_defaults;
	conf.jitter = 0;
	conf.check_after_ns = SD_POOL_NEVER;
	conf.quiet = is_quiet;
}

static void teardown(void)
{
	sd_pool_free(pool);
}

static void start(void)
{
	struct sd_error e;
	ck_assert_msg(sd_pool_new(&conf, 7, &pool, &e) == SD_OK, "%s", e.text);
}

static struct thing *thing_open(void)
{
	ck_assert_uint_lt(nthings, MANY);
	struct thing *t = &things[nthings++];
	*t = (struct thing){.open = true, .born_ns = now, .idle_ns = now, .checked_ns = -1};
	if (++nopen > most_open)
		most_open = nopen;
	return t;
}

static void thing_close(struct thing *t)
{
	ck_assert(t->open);
	t->open = t->lent = false;
	nopen--;
}

static struct sd_pool_stats stats(void)
{
	struct sd_pool_stats s;
	sd_pool_stats(pool, &s);
	return s;
}

/* The next thing to do; the test expects it to be this. */
static struct sd_pool_act expect(enum sd_pool_do what)
{
	struct sd_pool_act act;
	ck_assert_msg(sd_pool_next(pool, now, &act), "nothing to do");
	ck_assert_int_eq(act.what, what);
	return act;
}

static void expect_nothing(void)
{
	struct sd_pool_act act;
	ck_assert_msg(!sd_pool_next(pool, now, &act), "found something to do: %d", act.what);
}

static struct thing *open_next(void)
{
	struct sd_pool_act act = expect(SD_POOL_OPEN);
	struct thing *t = thing_open();
	sd_pool_opened(pool, now, act.slot, t);
	return t;
}

static void close_next(enum sd_pool_why why)
{
	struct sd_pool_act act = expect(SD_POOL_CLOSE);
	ck_assert_str_eq(sd_pool_why_text(act.why), sd_pool_why_text(why));
	thing_close(act.resource);
	sd_pool_closed(pool, now, act.slot);
}

static struct sd_pool_waiter waiter(int64_t timeout_ns)
{
	return (struct sd_pool_waiter){.deadline_ns = timeout_ns == SD_POOL_NEVER ? timeout_ns : now + timeout_ns};
}

static struct sd_pool_waiter *granted(void)
{
	return expect(SD_POOL_GRANT).waiter;
}

/* Borrows one that is opened for it. */
static struct sd_pool_lease borrow_new(void)
{
	struct sd_pool_waiter w = waiter(SD_POOL_NEVER);
	ck_assert_int_eq(sd_pool_borrow(pool, now, &w), SD_EAGAIN);
	open_next();
	ck_assert_ptr_eq(granted(), &w);
	ck_assert_int_eq(w.err, SD_OK);
	return w.lease;
}

static struct sd_pool_lease borrow_idle(void)
{
	struct sd_pool_waiter w = waiter(SD_POOL_NEVER);
	ck_assert_int_eq(sd_pool_borrow(pool, now, &w), SD_OK);
	return w.lease;
}

static void put(const struct sd_pool_lease *l)
{
	ck_assert_int_eq(sd_pool_put(pool, now, l, false), SD_OK);
}

/* ---- lending ---- */

START_TEST(opens_lends_and_lends_again)
{
	start();
	ck_assert_int_eq(sd_pool_due(pool), SD_POOL_NEVER);
	struct sd_pool_lease a = borrow_new();
	ck_assert_uint_eq(stats().lent, 1);
	put(&a);
	ck_assert_uint_eq(stats().idle, 1);
	struct sd_pool_lease b = borrow_idle();
	ck_assert_ptr_eq(b.resource, a.resource);
	ck_assert_uint_ne(b.number, a.number);
	ck_assert_uint_eq(stats().reused, 1);
	ck_assert_uint_eq(stats().opened, 1);
	put(&b);
	expect_nothing();
}
END_TEST

START_TEST(lends_what_was_used_last_or_first)
{
	conf.fifo = _i;
	start();
	struct sd_pool_lease a = borrow_new(), b = borrow_new(), c = borrow_new();
	put(&b);
	put(&a);
	put(&c);
	ck_assert_ptr_eq(borrow_idle().resource, _i ? b.resource : c.resource);
	ck_assert_ptr_eq(borrow_idle().resource, a.resource);
	ck_assert_ptr_eq(borrow_idle().resource, _i ? c.resource : b.resource);
}
END_TEST

START_TEST(hands_over_in_the_order_of_coming)
{
	conf.max_size = 1;
	start();
	struct sd_pool_lease a = borrow_new();
	struct sd_pool_waiter w[3], late = waiter(SD_POOL_NEVER);
	for (int i = 0; i < 3; i++) {
		w[i] = waiter(SD_POOL_NEVER);
		ck_assert_int_eq(sd_pool_borrow(pool, now, &w[i]), SD_EAGAIN);
	}
	now += 5 * MS;
	put(&a);
	/* It is the first one's already, though nobody was told yet. */
	ck_assert_int_eq(sd_pool_take(pool, now, &late.holder, &late.lease), SD_EAGAIN);
	ck_assert_uint_eq(stats().idle, 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_ptr_eq(granted(), &w[i]);
		expect_nothing();
		put(&w[i].lease);
	}
	ck_assert_uint_eq(stats().waited, 4);
	ck_assert_int_eq(stats().longest_wait_ns, 5 * MS);
	ck_assert_int_eq(sd_hdr_count(sd_pool_waits(pool)), 4);
}
END_TEST

START_TEST(never_more_than_the_size_while_one_is_closed)
{
	conf.max_size = 1;
	start();
	struct sd_pool_lease a = borrow_new();
	struct sd_pool_waiter w = waiter(SD_POOL_NEVER);
	ck_assert_int_eq(sd_pool_borrow(pool, now, &w), SD_EAGAIN);
	ck_assert_int_eq(sd_pool_put(pool, now, &a, true), SD_OK);
	struct sd_pool_act act = expect(SD_POOL_CLOSE);
	ck_assert_int_eq(act.why, SD_POOL_BROKEN);
	expect_nothing(); /* its room is free when it is closed */
	sd_pool_closed(pool, now, act.slot);
	open_next();
	ck_assert_ptr_eq(granted(), &w);
}
END_TEST

START_TEST(opens_only_so_many_at_once)
{
	conf.max_opening = 2;
	start();
	struct sd_pool_waiter w[5];
	for (int i = 0; i < 5; i++) {
		w[i] = waiter(SD_POOL_NEVER);
		sd_pool_borrow(pool, now, &w[i]);
	}
	struct sd_pool_act a = expect(SD_POOL_OPEN);
	expect(SD_POOL_OPEN);
	expect_nothing();
	sd_pool_opened(pool, now, a.slot, thing_open());
	ck_assert_ptr_eq(granted(), &w[0]);
	expect(SD_POOL_OPEN);
	expect_nothing();
}
END_TEST

START_TEST(keeps_some_idle_ahead_and_no_more_than_told)
{
	conf.min_idle = 2;
	conf.max_idle = 2;
	conf.idle_timeout_ns = 10 * S;
	start();
	struct sd_pool_lease a = borrow_new(); /* and with it those ahead */
	open_next();
	open_next();
	expect_nothing();
	ck_assert_uint_eq(stats().idle, 2);
	struct sd_pool_lease b = borrow_idle();
	open_next();
	put(&a);
	close_next(SD_POOL_SURPLUS);
	now += 100 * S;
	expect_nothing(); /* those ahead stay, however old */
	put(&b);
	close_next(SD_POOL_SURPLUS);
}
END_TEST

/* ---- who is not served ---- */

START_TEST(refuses_at_once_what_may_not_wait)
{
	struct sd_error e;
	conf.max_size = 1;
	conf.max_waiters = _i;
	start();
	struct sd_pool_lease a = borrow_new();
	struct sd_pool_waiter w = waiter(SD_POOL_NEVER), x = waiter(SD_POOL_NEVER);
	if (_i)
		ck_assert_int_eq(sd_pool_borrow(pool, now, &x), SD_EAGAIN);
	ck_assert_int_eq(sd_pool_borrow(pool, now, &w), SD_EEXHAUSTED);
	ck_assert_uint_eq(stats().refused, 1);
	ck_assert_int_eq(sd_pool_explain(pool, now, &w, SD_EEXHAUSTED, &e), SD_EEXHAUSTED);
	ck_assert_ptr_nonnull(strstr(e.text, _i ? "1 of 1 in use, 0 being opened, 1 waiting, 1 before this one" : "0 waiting, 0 before"));
	/* A dead one that must go first is room, too. */
	if (!_i) {
		put(&a);
		((struct thing *)a.resource)->dead = true;
		ck_assert_int_eq(sd_pool_borrow(pool, now, &w), SD_EAGAIN);
		close_next(SD_POOL_NOT_QUIET);
		open_next();
		ck_assert_ptr_eq(granted(), &w);
	}
}
END_TEST

START_TEST(a_refused_open_refuses_who_may_not_wait)
{
	struct sd_error e;
	conf.max_waiters = 0;
	start();
	struct sd_pool_waiter w = waiter(SD_POOL_NEVER);
	ck_assert_int_eq(sd_pool_borrow(pool, now, &w), SD_EAGAIN);
	sd_pool_open_failed(pool, now, expect(SD_POOL_OPEN).slot, "connection refused");
	ck_assert_ptr_eq(granted(), &w);
	ck_assert_int_eq(w.err, SD_EEXHAUSTED);
	sd_pool_explain(pool, now, &w, w.err, &e);
	ck_assert_ptr_nonnull(strstr(e.text, "the last 1 opens failed: connection refused"));
	ck_assert_int_eq(sd_pool_borrow(pool, now, &w), SD_EEXHAUSTED);
}
END_TEST

START_TEST(waits_as_long_as_told)
{
	conf.max_size = 1;
	start();
	struct sd_pool_lease a = borrow_new();
	/* The second is due before the first. */
	struct sd_pool_waiter w[3] = {waiter(300 * MS), waiter(100 * MS), waiter(200 * MS)};
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(sd_pool_borrow(pool, now, &w[i]), SD_EAGAIN);
	ck_assert_int_eq(sd_pool_due(pool), now + 100 * MS);
	now += 100 * MS - 1;
	expect_nothing();
	now += 1;
	ck_assert_ptr_eq(granted(), &w[1]);
	ck_assert_int_eq(w[1].err, SD_ETIMEOUT);
	ck_assert_uint_eq(w[1].ahead, 1);
	expect_nothing();
	ck_assert_int_eq(sd_pool_due(pool), now + 100 * MS);
	ck_assert(sd_pool_leave(pool, now, &w[0]));
	ck_assert(!sd_pool_leave(pool, now, &w[0]));
	put(&a);
	ck_assert_ptr_eq(granted(), &w[2]);
	ck_assert_int_eq(w[2].err, SD_OK);
	ck_assert_uint_eq(stats().timeouts, 1);
	ck_assert_uint_eq(stats().gave_up, 1);
}
END_TEST

START_TEST(who_leaves_too_late_has_a_lease)
{
	conf.max_size = 1;
	start();
	struct sd_pool_lease a = borrow_new();
	struct sd_pool_waiter w = waiter(S);
	sd_pool_borrow(pool, now, &w);
	put(&a);
	ck_assert(!sd_pool_leave(pool, now, &w));
	ck_assert_int_eq(w.err, SD_OK);
	expect_nothing();
	put(&w.lease);
	ck_assert_uint_eq(stats().idle, 1);
}
END_TEST

START_TEST(names_the_holders)
{
	static const struct sd_pool_site site = {"src/checkout.c", "pay", 47};
	struct sd_error e;
	conf.max_size = 4;
	start();
	struct sd_pool_waiter w[5];
	for (unsigned i = 0; i < 5; i++) {
		w[i] = waiter(20 * S);
		w[i].holder = (struct sd_pool_holder){i == 1 ? NULL : &site, i == 0 ? "order 7" : NULL, i == 0 ? 23 : 0};
		sd_pool_borrow(pool, now, &w[i]);
		if (i < 4) {
			open_next();
			granted();
		}
		now += 15 * S;
	}
	now += 5 * S;
	ck_assert_ptr_eq(granted(), &w[4]);
	ck_assert_int_eq(sd_pool_explain(pool, now, &w[4], w[4].err, &e), SD_ETIMEOUT);
	ck_assert_str_eq(e.text, "nothing free within 20s: 4 of 4 in use, 0 being opened, 0 waiting, 0 before this one; held longest: "
				 "checkout.c:47 (pay) \"order 7\" thread 23 for 1m20s, somewhere for 1m5s, checkout.c:47 (pay) for 50s");
	struct sd_pool_held held[9];
	ck_assert_uint_eq(sd_pool_holders(pool, now, held, 9), 4);
	ck_assert_int_eq(held[3].age_ns, 35 * S);
}
END_TEST

/* ---- what is not lent ---- */

START_TEST(a_dead_or_dirty_one_is_not_lent)
{
	conf.max_size = 2;
	start();
	struct sd_pool_lease a = borrow_new(), b = borrow_new();
	put(&a);
	put(&b);
	((struct thing *)a.resource)->dead = true;
	((struct thing *)b.resource)->dirty = true;
	struct sd_pool_waiter w = waiter(S);
	ck_assert_int_eq(sd_pool_borrow(pool, now, &w), SD_EAGAIN);
	close_next(SD_POOL_NOT_QUIET);
	close_next(SD_POOL_NOT_QUIET);
	open_next();
	ck_assert_ptr_eq(granted(), &w);
	/* Nor handed over. */
	struct sd_pool_lease c = borrow_new();
	struct sd_pool_waiter x = waiter(S);
	sd_pool_borrow(pool, now, &x);
	((struct thing *)c.resource)->dirty = true;
	put(&c);
	close_next(SD_POOL_NOT_QUIET);
	open_next();
	ck_assert_ptr_eq(granted(), &x);
}
END_TEST

START_TEST(checks_what_was_idle_long)
{
	conf.check_after_ns = 500 * MS;
	start();
	struct sd_pool_lease a = borrow_new();
	put(&a);
	now += 500 * MS - 1;
	a = borrow_idle();
	put(&a);
	now += 500 * MS;
	struct sd_pool_waiter w = waiter(S);
	ck_assert_int_eq(sd_pool_borrow(pool, now, &w), SD_EAGAIN);
	struct sd_pool_act act = expect(SD_POOL_CHECK);
	ck_assert_ptr_eq(act.resource, a.resource);
	sd_pool_checked(pool, now, act.slot, _i);
	if (!_i) {
		/* room enough to open before it is closed */
		struct sd_pool_act close = expect(SD_POOL_CLOSE);
		ck_assert_int_eq(close.why, SD_POOL_BAD);
		open_next();
		sd_pool_closed(pool, now, close.slot);
	}
	ck_assert_ptr_eq(granted(), &w);
	ck_assert_int_eq(w.err, SD_OK);
	expect_nothing();
}
END_TEST

START_TEST(checks_what_is_idle_though_one_is_being_opened)
{
	conf.check_after_ns = 0;
	start();
	struct sd_pool_lease a = borrow_new();
	struct sd_pool_waiter w = waiter(S), x = waiter(S);
	sd_pool_borrow(pool, now, &w);
	expect(SD_POOL_OPEN);
	put(&a);
	sd_pool_checked(pool, now, expect(SD_POOL_CHECK).slot, true);
	ck_assert_ptr_eq(granted(), &w);
	put(&w.lease); /* idle, while the open that nobody needs any more goes on */
	sd_pool_borrow(pool, now, &x);
	sd_pool_checked(pool, now, expect(SD_POOL_CHECK).slot, true);
	ck_assert_ptr_eq(granted(), &x);
}
END_TEST

START_TEST(checks_each_time_also_what_is_handed_over)
{
	conf.check_after_ns = 0;
	conf.max_size = 1;
	start();
	struct sd_pool_lease a = borrow_new(); /* just opened: no check */
	struct sd_pool_waiter w = waiter(S);
	sd_pool_borrow(pool, now, &w);
	put(&a);
	sd_pool_checked(pool, now, expect(SD_POOL_CHECK).slot, true);
	ck_assert_ptr_eq(granted(), &w);
}
END_TEST

/* ---- time ---- */

START_TEST(closes_what_is_idle_too_long)
{
	conf.idle_timeout_ns = 10 * S;
	start();
	struct sd_pool_lease a = borrow_new(), b = borrow_new(), c = borrow_new();
	put(&a);
	now += S;
	put(&b);
	put(&c);
	now += S;
	c = borrow_idle();
	put(&c);
	ck_assert_int_eq(sd_pool_due(pool), now + 8 * S);
	now += 8 * S - 1;
	expect_nothing();
	now += 1;
	close_next(SD_POOL_IDLE_TIMEOUT);
	expect_nothing();
	now += S;
	close_next(SD_POOL_IDLE_TIMEOUT);
	expect_nothing();
	ck_assert_uint_eq(stats().idle, 1);
	ck_assert_uint_eq(stats().closed[SD_POOL_IDLE_TIMEOUT], 2);
}
END_TEST

/* Also by who borrows at that moment, before anybody asked what is to be done. */
START_TEST(does_not_lend_what_is_idle_too_long)
{
	conf.idle_timeout_ns = 10 * S;
	start();
	struct sd_pool_lease a = borrow_new();
	struct sd_pool_holder me = {0};
	put(&a);
	now += 10 * S;
	ck_assert_int_eq(sd_pool_take(pool, now, &me, &a), SD_EAGAIN);
	close_next(SD_POOL_IDLE_TIMEOUT);
}
END_TEST

START_TEST(ends_lives_but_not_while_lent)
{
	conf.max_lifetime_ns = 60 * S;
	conf.idle_timeout_ns = SD_POOL_NEVER;
	start();
	struct sd_pool_lease a = borrow_new(), b = borrow_new();
	put(&a);
	now += 60 * S;
	close_next(SD_POOL_LIFETIME);
	expect_nothing();
	put(&b);
	close_next(SD_POOL_LIFETIME);
	/* One that is lent when others are looked at is not forgotten. */
	a = borrow_new();
	now += 30 * S;
	b = borrow_new();
	put(&b);
	now += 30 * S - 1;
	put(&a);
	ck_assert_int_eq(sd_pool_due(pool), now + 1);
	now += 1;
	close_next(SD_POOL_LIFETIME);
	ck_assert_int_eq(sd_pool_due(pool), now + 30 * S);
	/* One that ends later than those that ended while it was lent. */
	a = borrow_idle();
	b = borrow_new();
	now += 30 * S;
	put(&a);
	close_next(SD_POOL_LIFETIME);
	expect_nothing();
	put(&b);
	ck_assert_int_eq(sd_pool_due(pool), now + 30 * S);
}
END_TEST

START_TEST(lives_do_not_end_together)
{
	conf.max_size = 100;
	conf.max_opening = 100;
	conf.max_lifetime_ns = 100 * S;
	conf.idle_timeout_ns = SD_POOL_NEVER;
	conf.jitter = 0.5;
	start();
	struct sd_pool_lease l[100];
	for (int i = 0; i < 100; i++)
		l[i] = borrow_new();
	for (int i = 0; i < 100; i++)
		put(&l[i]);
	int64_t begun = now, first = 0, last = 0;
	int most = 0;
	for (int i = 0; i < 100;) {
		now = sd_pool_due(pool);
		int n = 0;
		struct sd_pool_act act;
		for (; sd_pool_next(pool, now, &act); n++)
			sd_pool_closed(pool, now, act.slot);
		most = n > most ? n : most;
		first = first ? first : now;
		last = now;
		i += n;
	}
	ck_assert_int_ge(first, begun + 50 * S);
	ck_assert_int_le(last, begun + 100 * S);
	ck_assert_int_gt(last - first, 30 * S);
	ck_assert_int_lt(most, 5);
}
END_TEST

START_TEST(waits_longer_after_each_failure)
{
	conf.backoff_ns = 100 * MS;
	conf.max_backoff_ns = 400 * MS;
	start();
	struct sd_pool_waiter w[3];
	for (int i = 0; i < 3; i++) {
		w[i] = waiter(SD_POOL_NEVER);
		sd_pool_borrow(pool, now, &w[i]);
	}
	for (int i = 0; i < 3; i++)
		sd_pool_open_failed(pool, now, expect(SD_POOL_OPEN).slot, "down");
	/* the third failure: from 200 to 400 ms. Then one at a time. */
	static const int64_t most[] = {400, 400, 400};
	for (int i = 0; i < 3; i++) {
		expect_nothing();
		int64_t due = sd_pool_due(pool);
		ck_assert_int_ge(due - now, most[i] * MS / 2);
		ck_assert_int_le(due - now, most[i] * MS);
		now = due;
		struct sd_pool_act act = expect(SD_POOL_OPEN);
		expect_nothing();
		ck_assert_int_eq(sd_pool_due(pool), SD_POOL_NEVER);
		sd_pool_open_failed(pool, now, act.slot, "down");
	}
	now = sd_pool_due(pool);
	open_next(); /* up again: the others follow at once */
	ck_assert_ptr_eq(granted(), &w[0]);
	open_next();
	ck_assert_ptr_eq(granted(), &w[1]);
	open_next();
	ck_assert_uint_eq(stats().open_failures, 6);
	ck_assert_int_eq(stats().backoff_until_ns, 0);
}
END_TEST

START_TEST(says_once_what_leaks)
{
	static const struct sd_pool_site site = {"main.c", "main", 47};
	conf.leak_ns = 60 * S;
	start();
	struct sd_pool_waiter w = waiter(SD_POOL_NEVER);
	w.holder = (struct sd_pool_holder){&site, "job", 23};
	sd_pool_borrow(pool, now, &w);
	open_next();
	granted();
	now += 10 * S;
	struct sd_pool_lease other = borrow_new(), good = borrow_new();
	put(&good);
	ck_assert_int_eq(sd_pool_due(pool), now + 50 * S);
	now += 50 * S;
	struct sd_pool_held h = expect(SD_POOL_LEAK).held;
	ck_assert_ptr_eq(h.holder.site, &site);
	ck_assert_str_eq(h.holder.tag, "job");
	ck_assert_uint_eq(h.holder.who, 23);
	ck_assert_int_eq(h.age_ns, 60 * S);
	ck_assert_uint_eq(h.number, w.lease.number);
	expect_nothing();
	now += 10 * S;
	ck_assert_uint_eq(expect(SD_POOL_LEAK).held.number, other.number);
	now += 100 * S;
	expect_nothing();
	ck_assert_uint_eq(stats().leaks, 2);
	put(&other);
	put(&w.lease);
	other = borrow_idle();
	now += 60 * S;
	ck_assert_uint_eq(expect(SD_POOL_LEAK).held.number, other.number);
}
END_TEST

START_TEST(takes_back_and_knows_who_is_late)
{
	conf.max_size = 1;
	conf.leak_ns = conf.reclaim_ns = 60 * S;
	start();
	struct sd_pool_lease a = borrow_new();
	struct sd_pool_waiter w = waiter(SD_POOL_NEVER);
	sd_pool_borrow(pool, now, &w);
	now += 60 * S;
	expect(SD_POOL_LEAK);
	close_next(SD_POOL_RECLAIMED);
	open_next();
	ck_assert_ptr_eq(granted(), &w);
	/* The late one comes: what is another's now is left alone. */
	ck_assert_int_eq(sd_pool_put(pool, now, &a, false), SD_ECANCELED);
	ck_assert_uint_eq(stats().late, 1);
	ck_assert_uint_eq(stats().lent, 1);
	ck_assert_int_eq(sd_pool_put(pool, now, &a, false), SD_EINVAL);
	put(&w.lease);
	ck_assert_int_eq(sd_pool_put(pool, now, &w.lease, false), SD_EINVAL);
	ck_assert_int_eq(sd_pool_take_out(pool, now, &w.lease), SD_EINVAL);
	ck_assert_uint_eq(stats().idle, 1);
	struct sd_pool_lease none = {0};
	ck_assert_int_eq(sd_pool_put(pool, now, &none, true), SD_EINVAL);
}
END_TEST

/* ---- what the caller has by itself ---- */

START_TEST(adds_takes_out_and_loses)
{
	struct sd_pool_holder me = {0};
	struct sd_pool_lease a, b;
	conf.max_size = 2;
	start();
	ck_assert_int_eq(sd_pool_take(pool, now, &me, &a), SD_EAGAIN);
	ck_assert_int_eq(sd_pool_add(pool, now, thing_open(), &me, &a), SD_OK);
	ck_assert_int_eq(sd_pool_add(pool, now, thing_open(), &me, &b), SD_OK);
	ck_assert_int_eq(sd_pool_add(pool, now, NULL, &me, &b), SD_EEXHAUSTED);
	ck_assert_int_eq(sd_pool_take_out(pool, now, &b), SD_OK);
	put(&a);
	ck_assert_int_eq(sd_pool_take(pool, now, &me, &b), SD_OK);
	put(&b);
	sd_pool_lost(pool, now, b.slot);
	sd_pool_lost(pool, now, b.slot);
	sd_pool_lost(pool, now, 99);
	ck_assert_uint_eq(stats().size, 0);
	ck_assert_uint_eq(stats().destroyed, 1);
	expect_nothing();
}
END_TEST

START_TEST(counts_how_long_all_were_held)
{
	start();
	struct sd_pool_lease a = borrow_new(), b = borrow_new();
	now += S;
	put(&a);
	now += S;
	ck_assert_int_eq(sd_pool_take_out(pool, now, &b), SD_OK);
	ck_assert_int_eq(stats().held_ns, 3 * S);
	a = borrow_idle();
	ck_assert_int_eq(sd_hdr_count(sd_pool_waits(pool)), 3); /* those that did not wait too */
}
END_TEST

/* What is told of a place where it cannot be changes nothing. */
START_TEST(hears_nothing_untrue)
{
	start();
	struct sd_pool_lease lent = borrow_new(), idle = borrow_new();
	put(&idle);
	struct sd_pool_stats before = stats();
	for (uint32_t slot = 0; slot < 40; slot += slot < 3 ? 1 : 12) {
		sd_pool_opened(pool, now, slot, &things[9]);
		sd_pool_open_failed(pool, now, slot, "no");
		sd_pool_checked(pool, now, slot, false);
		sd_pool_closed(pool, now, slot);
	}
	struct sd_pool_stats after = stats();
	ck_assert_mem_eq(&before, &after, sizeof(before));
	expect_nothing();
	put(&lent);
}
END_TEST

START_TEST(grows_at_once_for_who_waits)
{
	conf.max_size = 1;
	start();
	struct sd_pool_lease a = borrow_new();
	struct sd_pool_waiter w = waiter(SD_POOL_NEVER);
	ck_assert_int_eq(sd_pool_borrow(pool, now, &w), SD_EAGAIN);
	expect_nothing();
	conf.max_size = 2;
	ck_assert_int_eq(sd_pool_configure(pool, &conf, now, NULL), SD_OK);
	open_next();
	ck_assert_ptr_eq(granted(), &w);
	put(&a);
	conf.max_size = 2; /* as many as there are: nothing is closed */
	ck_assert_int_eq(sd_pool_configure(pool, &conf, now, NULL), SD_OK);
	expect_nothing();
	ck_assert_uint_eq(stats().idle, 1);
}
END_TEST

START_TEST(shrinks_trims_and_shuts)
{
	start();
	struct sd_pool_lease l[4];
	for (int i = 0; i < 4; i++)
		l[i] = borrow_new();
	put(&l[0]);
	conf.max_size = 2;
	ck_assert_int_eq(sd_pool_configure(pool, &conf, now, NULL), SD_OK);
	close_next(SD_POOL_SURPLUS);
	put(&l[1]);
	close_next(SD_POOL_SURPLUS);
	put(&l[2]);
	expect_nothing();
	sd_pool_trim(pool, now);
	close_next(SD_POOL_SURPLUS);
	struct sd_pool_lease a = borrow_new();
	struct sd_pool_waiter w = waiter(S);
	sd_pool_borrow(pool, now, &w);
	sd_pool_shut(pool, now, false);
	ck_assert_ptr_eq(granted(), &w);
	ck_assert_int_eq(w.err, SD_ECANCELED);
	expect_nothing();
	put(&a);
	close_next(SD_POOL_SHUT);
	ck_assert_int_eq(sd_pool_borrow(pool, now, &w), SD_ECANCELED);
	sd_pool_shut(pool, now, true);
	close_next(SD_POOL_SHUT);
	ck_assert_int_eq(sd_pool_put(pool, now, &l[3], false), SD_ECANCELED);
	ck_assert_uint_eq(stats().size, 0);
	ck_assert_uint_eq(nopen, 0);
}
END_TEST

START_TEST(refuses_a_conf_that_means_nothing)
{
	static const struct {
		size_t at;
		const char *name;
	} zeros[] = {{offsetof(struct sd_pool_conf, max_size), "max_size"}, {offsetof(struct sd_pool_conf, max_opening), "max_opening"}};
	struct sd_error e;
	for (size_t i = 0; i < 2; i++) {
		struct sd_pool_conf c = sd_pool_defaults;
		memset((char *)&c + zeros[i].at, 0, sizeof(uint32_t));
		ck_assert_int_eq(sd_pool_new(&c, 1, &pool, &e), SD_EINVAL);
		ck_assert_ptr_null(pool);
		ck_assert_ptr_nonnull(strstr(e.text, zeros[i].name));
	}
	struct sd_pool_conf c = sd_pool_defaults;
	c.jitter = 1;
	ck_assert_int_eq(sd_pool_new(&c, 1, &pool, &e), SD_EINVAL);
	c = sd_pool_defaults;
	c.min_idle = 11;
	ck_assert_int_eq(sd_pool_new(&c, 1, &pool, &e), SD_EINVAL);
	c = sd_pool_defaults;
	c.leak_ns = 0;
	ck_assert_int_eq(sd_pool_new(&c, 1, &pool, &e), SD_EINVAL);
}
END_TEST

/* ---- anything at any time, against what must hold ---- */

/* check notes every assertion in a file: too slow for millions of them. */
#define HOLDS_MSG(x, msg) ((x) ? (void)0 : ck_abort_msg("%s: %s", #x, msg))
#define ALWAYS(x) HOLDS_MSG(x, "must hold")

enum { USERS = 24, STEPS = 4000 };

struct user {
	struct sd_pool_waiter w;
	enum { RESTS, WAITS, HOLDS } does;
	uint64_t came; /* the number of its borrow */
	int64_t lent_ns;
	bool dead_ok; /* it broke while it was held */
};

struct job {
	struct sd_pool_act act;
	int64_t due_ns;
	bool busy;
};

static struct user users[USERS];
static struct job jobs[64];
static struct sd_rng chance;
static uint64_t comings, grants;
static bool down; /* nothing can be opened */

static bool odds(unsigned percent)
{
	return sd_rng_below(&chance, 100) < percent;
}

static void holds(struct user *u)
{
	struct thing *t = u->w.lease.resource;
	ALWAYS(t->open && !t->lent);
	ALWAYS(u->w.lease.slot < conf.max_size); /* places are used again */
	HOLDS_MSG(!t->dead && !t->dirty, "lent a dead one");
	ALWAYS((now) < (t->born_ns + conf.max_lifetime_ns));
	if (t->idle_ns >= 0 && now - t->idle_ns >= conf.check_after_ns && t->born_ns != t->idle_ns)
		HOLDS_MSG(t->checked_ns > t->idle_ns || t->checked_ns == now, "lent without a check");
	if (!conf.min_idle)
		ALWAYS(t->idle_ns < 0 || t->checked_ns > t->idle_ns || now - t->idle_ns < conf.idle_timeout_ns || t->idle_ns == t->born_ns);
	t->lent = true;
	u->does = HOLDS;
	u->lent_ns = now;
	grants++;
}

static void answered(struct sd_pool_waiter *w)
{
	struct user *u = (struct user *)(void *)((char *)w - offsetof(struct user, w));
	ALWAYS((u->does) == (WAITS));
	u->does = RESTS;
	if (w->err == SD_ETIMEOUT)
		ALWAYS((w->deadline_ns) <= (now));
	if (w->err != SD_OK)
		return;
	ALWAYS((now) >= (w->since_ns));
	/* Who came before it does not wait any more. */
	for (int i = 0; i < USERS; i++)
		HOLDS_MSG(users[i].does != WAITS || users[i].came > u->came, "overtaken");
	holds(u);
}

static void reclaimed(struct thing *t)
{
	for (int i = 0; i < USERS; i++)
		if (users[i].does == HOLDS && users[i].w.lease.resource == t)
			ALWAYS((now - users[i].lent_ns) >= (conf.reclaim_ns));
}

static void job_begin(const struct sd_pool_act *act)
{
	for (size_t i = 0; i < sizeof(jobs) / sizeof(*jobs); i++)
		if (!jobs[i].busy) {
			jobs[i] = (struct job){*act, now + sd_rng_below(&chance, 3) * 5 * MS, true};
			if (act->what == SD_POOL_OPEN && ++nopen > most_open)
				most_open = nopen; /* what is being opened counts */
			return;
		}
	ck_abort_msg("more to do at once than a pool of this size can have");
}

static void job_end(struct job *j)
{
	struct thing *t = j->act.resource;
	j->busy = false;
	if (j->act.what == SD_POOL_OPEN) {
		nopen--;
		if (down)
			sd_pool_open_failed(pool, now, j->act.slot, "down");
		else
			sd_pool_opened(pool, now, j->act.slot, thing_open());
	} else if (j->act.what == SD_POOL_CHECK) {
		t->checked_ns = now;
		sd_pool_checked(pool, now, j->act.slot, !t->dead && !t->dirty);
	} else {
		thing_close(t);
		sd_pool_closed(pool, now, j->act.slot);
	}
}

/* Everything that is to be done now, and then what must hold. */
static void run(void)
{
	struct sd_pool_act act;
	while (sd_pool_next(pool, now, &act)) {
		if (act.what == SD_POOL_GRANT) {
			answered(act.waiter);
		} else if (act.what == SD_POOL_LEAK) {
			ALWAYS((act.held.age_ns) >= (conf.leak_ns));
		} else {
			if (act.what == SD_POOL_CLOSE && act.why == SD_POOL_RECLAIMED)
				reclaimed(act.resource);
			if (act.what == SD_POOL_CLOSE)
				((struct thing *)act.resource)->lent = false;
			job_begin(&act);
		}
	}
	struct sd_pool_stats s = stats();
	ALWAYS((sd_pool_due(pool)) > (now));
	ALWAYS((s.size) <= (conf.max_size));
	ALWAYS((most_open) <= (conf.max_size));
	ALWAYS((s.opening) <= (conf.max_opening));
	uint32_t waiting = 0, holding = 0;
	for (int i = 0; i < USERS; i++) {
		waiting += users[i].does == WAITS;
		holding += users[i].does == HOLDS && ((struct thing *)users[i].w.lease.resource)->lent;
		ALWAYS(users[i].does != WAITS || users[i].w.deadline_ns > now);
	}
	ALWAYS((s.waiting) == (waiting));
	ALWAYS((s.lent) == (holding));
	/* Nobody starves: what is idle, or may be opened, is on its way to who waits. */
	uint32_t on_the_way = s.opening + s.checking;
	ALWAYS(waiting <= s.checking || s.idle == 0);
	if (waiting > on_the_way) {
		ALWAYS(s.size == conf.max_size || s.opening >= (s.backoff_until_ns ? 1 : conf.max_opening) || s.backoff_until_ns > now);
	}
	ALWAYS((waiting) <= (conf.max_waiters + on_the_way + s.closing));
}

static void user_gives(struct user *u)
{
	struct thing *t = u->w.lease.resource;
	bool mine = t->lent; /* else it was taken back, and perhaps is closed */
	enum sd_err err;
	if (mine) {
		t->lent = false;
		t->idle_ns = now;
	}
	if (mine && odds(5)) {
		err = sd_pool_take_out(pool, now, &u->w.lease);
		thing_close(t);
	} else {
		err = sd_pool_put(pool, now, &u->w.lease, mine && odds(10));
	}
	ALWAYS((err) == (mine ? SD_OK : SD_ECANCELED));
	u->does = RESTS;
	ALWAYS((sd_pool_put(pool, now, &u->w.lease, false)) == (SD_EINVAL));
}

static void user_acts(struct user *u)
{
	if (u->does == HOLDS) {
		user_gives(u);
	} else if (u->does == WAITS) {
		if (odds(10)) {
			bool left = sd_pool_leave(pool, now, &u->w);
			ALWAYS(left);
			u->does = RESTS;
		}
	} else {
		u->w = waiter(odds(20) ? SD_POOL_NEVER : (int64_t)sd_rng_below(&chance, 40) * MS + 1);
		u->came = ++comings;
		enum sd_err err = sd_pool_borrow(pool, now, &u->w);
		ALWAYS(err == SD_OK || err == SD_EAGAIN || err == SD_EEXHAUSTED);
		u->does = err == SD_EAGAIN ? WAITS : RESTS;
		if (err == SD_OK) {
			for (int i = 0; i < USERS; i++)
				HOLDS_MSG(users[i].does != WAITS, "overtaken by one that just came");
			holds(u);
		}
	}
}

static void world_acts(void)
{
	struct thing *t = nthings ? &things[sd_rng_below(&chance, nthings)] : NULL;
	if (t && t->open && odds(50))
		t->dead = true;
	else if (t && t->open)
		t->dirty = true;
	if (odds(5))
		down = !down;
}

/* A time not later than the next thing that is due: nothing may be missed, and nothing may come before it was due. */
static void pass(void)
{
	int64_t to = now + sd_rng_below(&chance, 8) * MS, due = sd_pool_due(pool);
	struct sd_pool_act act;
	for (size_t i = 0; i < sizeof(jobs) / sizeof(*jobs); i++)
		if (jobs[i].busy && jobs[i].due_ns < to)
			to = jobs[i].due_ns > now ? jobs[i].due_ns : now;
	if (due < to)
		to = due;
	if (to > now && to - 1 > now)
		HOLDS_MSG(!sd_pool_next(pool, to - 1, &act), "something was due before it was said to be");
	now = to;
	for (size_t i = 0; i < sizeof(jobs) / sizeof(*jobs); i++)
		if (jobs[i].busy && jobs[i].due_ns <= now)
			job_end(&jobs[i]);
}

static void any_conf(void)
{
	conf.max_size = 1 + sd_rng_below(&chance, 8);
	conf.min_idle = odds(70) ? 0 : sd_rng_below(&chance, conf.max_size + 1);
	conf.max_waiters = odds(20) ? sd_rng_below(&chance, 4) : 100;
	conf.max_opening = 1 + sd_rng_below(&chance, 4);
	conf.fifo = odds(50);
	conf.idle_timeout_ns = (1 + sd_rng_below(&chance, 50)) * MS;
	conf.max_lifetime_ns = (20 + sd_rng_below(&chance, 500)) * MS;
	conf.jitter = odds(50) ? 0.3 : 0;
	conf.check_after_ns = odds(30) ? 0 : sd_rng_below(&chance, 30) * MS;
	conf.backoff_ns = MS;
	conf.max_backoff_ns = 20 * MS;
	conf.leak_ns = 30 * MS;
	conf.reclaim_ns = odds(50) ? 60 * MS : SD_POOL_NEVER;
}

/* All is given back and shut: nothing is left, and every resource was closed once. */
static void wind_up(void)
{
	struct sd_pool_act act;
	down = false;
	sd_pool_shut(pool, now, odds(50));
	for (int round = 0; round < 100; round++) {
		while (sd_pool_next(pool, now, &act))
			if (act.what == SD_POOL_GRANT)
				((struct user *)(void *)((char *)act.waiter - offsetof(struct user, w)))->does = RESTS;
			else if (act.what != SD_POOL_LEAK)
				job_begin(&act);
		for (size_t i = 0; i < sizeof(jobs) / sizeof(*jobs); i++)
			if (jobs[i].busy)
				job_end(&jobs[i]);
		for (int i = 0; i < USERS; i++)
			if (users[i].does == HOLDS && sd_pool_put(pool, now, &users[i].w.lease, false) != SD_EINVAL)
				users[i].does = RESTS;
	}
	struct sd_pool_stats s = stats();
	ALWAYS((s.size) == (0));
	ALWAYS((s.waiting) == (0));
	ALWAYS((nopen) == (0));
}

static void live(uint64_t seed)
{
	sd_rng_seed(&chance, seed);
	memset(users, 0, sizeof(users));
	memset(jobs, 0, sizeof(jobs));
	comings = grants = 0;
	down = false;
	any_conf();
	start();
	for (int step = 0; step < STEPS && nthings < MANY - 16; step++) {
		if (odds(60))
			user_acts(&users[sd_rng_below(&chance, USERS)]);
		else if (odds(15))
			world_acts();
		else
			pass();
		run();
	}
	ALWAYS((grants) > (20));
	wind_up();
}

START_TEST(holds_under_anything)
{
	for (uint64_t seed = 1; seed <= 25; seed++) {
		teardown();
		setup();
		live((uint64_t)_i * 25 + seed);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pool");
	TCase *t = tcase_create("cases");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, opens_lends_and_lends_again);
	tcase_add_loop_test(t, lends_what_was_used_last_or_first, 0, 2);
	tcase_add_test(t, hands_over_in_the_order_of_coming);
	tcase_add_test(t, never_more_than_the_size_while_one_is_closed);
	tcase_add_test(t, opens_only_so_many_at_once);
	tcase_add_test(t, keeps_some_idle_ahead_and_no_more_than_told);
	tcase_add_loop_test(t, refuses_at_once_what_may_not_wait, 0, 2);
	tcase_add_test(t, a_refused_open_refuses_who_may_not_wait);
	tcase_add_test(t, waits_as_long_as_told);
	tcase_add_test(t, who_leaves_too_late_has_a_lease);
	tcase_add_test(t, names_the_holders);
	tcase_add_test(t, a_dead_or_dirty_one_is_not_lent);
	tcase_add_loop_test(t, checks_what_was_idle_long, 0, 2);
	tcase_add_test(t, checks_what_is_idle_though_one_is_being_opened);
	tcase_add_test(t, checks_each_time_also_what_is_handed_over);
	tcase_add_test(t, closes_what_is_idle_too_long);
	tcase_add_test(t, ends_lives_but_not_while_lent);
	tcase_add_test(t, lives_do_not_end_together);
	tcase_add_test(t, waits_longer_after_each_failure);
	tcase_add_test(t, says_once_what_leaks);
	tcase_add_test(t, takes_back_and_knows_who_is_late);
	tcase_add_test(t, adds_takes_out_and_loses);
	tcase_add_test(t, does_not_lend_what_is_idle_too_long);
	tcase_add_test(t, counts_how_long_all_were_held);
	tcase_add_test(t, hears_nothing_untrue);
	tcase_add_test(t, grows_at_once_for_who_waits);
	tcase_add_test(t, shrinks_trims_and_shuts);
	tcase_add_test(t, refuses_a_conf_that_means_nothing);
	tcase_add_loop_test(t, holds_under_anything, 0, 4);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int bad = srunner_ntests_failed(r);
	srunner_free(r);
	return bad != 0;
}
