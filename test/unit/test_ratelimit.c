/* Limits beside models that are slow and plain, in time that is told: what comes is random, and every answer is checked, also
 * the times that it tells. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "sdlab/ratelimit.h"

__extension__ typedef unsigned __int128 wide;

/* Millions of these are checked; libcheck's own would write each to a pipe. */
#define hold(what)                                                                                           \
	do {                                                                                                 \
		if (!(what))                                                                                 \
			ck_abort_msg("%s", #what);                                                           \
	} while (0)
#define hold_that(a, is, b)                                                                                  \
	do {                                                                                                 \
		int64_t hold_a = (int64_t)(a), hold_b = (int64_t)(b);                                        \
		if (!(hold_a is hold_b))                                                                     \
			ck_abort_msg("%s " #is " %s: %lld, %lld", #a, #b, (long long)hold_a, (long long)hold_b); \
	} while (0)

#define SECOND INT64_C(1000000000)
#define DAY    (86400 * SECOND)

static struct sd_ratelimit *table(size_t keys, size_t log_bytes)
{
	struct sd_ratelimit_conf conf = {keys, log_bytes, {1, 2}};
	struct sd_ratelimit *r;
	hold_that(sd_ratelimit_new(&conf, &r), ==, SD_OK);
	return r;
}

static struct sd_ratelimit_ask ask_of(const struct sd_ratelimit_limit *l, const char *key, uint32_t cost)
{
	return (struct sd_ratelimit_ask){.limit = l, .key = sd_slice_of(key), .cost = cost};
}

static struct sd_ratelimit_answer take(struct sd_ratelimit *r, struct sd_ratelimit_ask ask, int64_t now)
{
	struct sd_ratelimit_answer a;
	enum sd_err err = sd_ratelimit_take(r, &ask, 1, now, &a);
	hold_that(err, ==, a.allowed ? SD_OK : SD_EAGAIN);
	return a;
}

static struct sd_ratelimit_answer peek(struct sd_ratelimit *r, struct sd_ratelimit_ask ask, int64_t now)
{
	struct sd_ratelimit_answer a;
	enum sd_err err = sd_ratelimit_peek(r, &ask, 1, now, &a);
	hold_that(err, ==, a.allowed ? SD_OK : SD_EAGAIN);
	return a;
}

/* The times of an answer are those at which it comes true, to the nanosecond. */
static void times_are_true(struct sd_ratelimit *r, struct sd_ratelimit_ask ask, struct sd_ratelimit_answer a, int64_t now)
{
	if (!a.allowed && a.retry_ns < 0)
		hold_that(ask.cost, >, a.most);
	if (!a.allowed && a.retry_ns > 0) {
		hold(peek(r, ask, now + a.retry_ns).allowed);
		hold(!peek(r, ask, now + a.retry_ns - 1).allowed);
	}
	ask.cost = 0;
	hold_that(a.next_ns == 0, ==, a.reset_ns == 0);
	if (a.next_ns > 0) {
		hold_that(peek(r, ask, now + a.next_ns).remaining, >, a.remaining);
		hold_that(peek(r, ask, now + a.next_ns - 1).remaining, ==, a.remaining);
		hold_that(peek(r, ask, now + a.reset_ns).remaining, ==, a.most);
		hold_that(peek(r, ask, now + a.reset_ns).reset_ns, ==, 0);
		hold_that(peek(r, ask, now + a.reset_ns - 1).reset_ns, >, 0);
	}
}

/* Limits of every size, arrivals that are sometimes together, sometimes near the rate, sometimes rare. */
static struct sd_ratelimit_limit any_limit(struct sd_rng *rng, enum sd_ratelimit_kind kind)
{
	static const int64_t periods[] = {1, 7, 1000, 999983, SECOND, 60 * SECOND, DAY};
	static const uint32_t counts[] = {1, 2, 3, 10, 97, 1000, 1000003};
	return (struct sd_ratelimit_limit){
	    .kind = kind,
	    .count = counts[sd_rng_below(rng, 7)],
	    .burst = 1 + sd_rng_below(rng, 1u << sd_rng_below(rng, 10)),
	    .period_ns = periods[sd_rng_below(rng, 7)],
	};
}

static int64_t pause_of(struct sd_rng *rng, const struct sd_ratelimit_limit *l)
{
	double gap = (double)l->period_ns / l->count * (sd_rng_below(rng, 8) ? 1 : 10 * sd_rng_unit(rng));
	return sd_rng_below(rng, 3) ? (int64_t)(gap * 2 * sd_rng_unit(rng)) : 0;
}

/* ---- buckets ---- */

/* A bucket that holds tokens, in 1/period: one of them is `period`, and `count` come with each nanosecond. */
struct model {
	wide tokens;
	int64_t at;
};

static bool model_take(struct model *m, const struct sd_ratelimit_limit *l, int64_t now, uint32_t cost)
{
	wide full = (wide)l->burst * (wide)l->period_ns, price = (wide)cost * (wide)l->period_ns;
	m->tokens += (wide)(now - m->at) * l->count;
	m->tokens = m->tokens < full ? m->tokens : full;
	m->at = now;
	if (m->tokens < price)
		return false;
	m->tokens -= price;
	return true;
}

START_TEST(bucket_gcra_and_leaks_are_one_and_as_the_model)
{
	static const char *const names[] = {"token", "gcra", "meter", "queue"};
	struct sd_rng rng;
	sd_rng_seed(&rng, 1);
	for (int round = 0; round < 200; round++) {
		struct sd_ratelimit *r = table(100, 0);
		struct sd_ratelimit_limit l = any_limit(&rng, SD_RATELIMIT_TOKEN_BUCKET);
		struct model m = {(wide)l.burst * (wide)l.period_ns, 0};
		int64_t now = (int64_t)sd_rng_below(&rng, 1000);
		for (int i = 0; i < 300; i++) {
			uint32_t cost = sd_rng_below(&rng, 5) ? 1 : sd_rng_below(&rng, l.burst + 2);
			now += pause_of(&rng, &l);
			bool fits = model_take(&m, &l, now, cost);
			for (int k = 0; k < 4; k++) {
				l.kind = (enum sd_ratelimit_kind)k;
				struct sd_ratelimit_answer a = take(r, ask_of(&l, names[k], cost), now);
				hold_that(a.allowed, ==, fits);
				hold_that(a.remaining, ==, (uint64_t)(m.tokens / (wide)l.period_ns));
				hold_that(a.most, ==, l.burst);
				times_are_true(r, ask_of(&l, names[k], cost), a, now);
			}
		}
		sd_ratelimit_free(r);
	}
}
END_TEST

/* What a queue lets through leaves at moments that are a turn apart, in order. */
START_TEST(leaky_queue_leaves_evenly)
{
	struct sd_ratelimit_limit l = {.kind = SD_RATELIMIT_LEAKY_QUEUE, .count = 10, .burst = 5, .period_ns = SECOND};
	struct sd_ratelimit *r = table(10, 0);
	struct sd_rng rng;
	int64_t now = 0, before = -SECOND;
	sd_rng_seed(&rng, 2);
	for (int i = 0; i < 5000; i++) {
		now += sd_rng_below(&rng, 200000000);
		struct sd_ratelimit_answer a = take(r, ask_of(&l, "k", 1), now);
		if (!a.allowed)
			continue;
		hold_that(now + a.delay_ns - before, >=, SECOND / 10);
		hold_that(a.delay_ns, <=, 4 * SECOND / 10);
		before = now + a.delay_ns;
	}
	for (int i = 0; i < 5; i++)
		hold_that(take(r, ask_of(&l, "full", 1), now).delay_ns, ==, i * SECOND / 10);
	hold(!take(r, ask_of(&l, "full", 1), now).allowed);
	sd_ratelimit_free(r);
}
END_TEST

/* redis-cell's own example: CL.THROTTLE user123 15 30 60. */
START_TEST(gcra_as_documented)
{
	struct sd_ratelimit_limit l = {.kind = SD_RATELIMIT_GCRA, .count = 30, .burst = 16, .period_ns = 60 * SECOND};
	struct sd_ratelimit *r = table(10, 0);
	struct sd_ratelimit_answer a = take(r, ask_of(&l, "user123", 1), 5);
	hold(a.allowed);
	hold_that(a.most, ==, 16);
	hold_that(a.remaining, ==, 15);
	hold_that(a.reset_ns, ==, 2 * SECOND);
	sd_ratelimit_free(r);
}
END_TEST

/* ---- logs ---- */

#define ARRIVALS 1500

struct arrivals {
	int64_t at[ARRIVALS];
	uint32_t units[ARRIVALS];
	size_t n;
};

/* Of what was let through: how much is younger than that. */
static uint64_t within(const struct arrivals *h, int64_t now, int64_t age)
{
	uint64_t sum = 0;
	for (size_t i = h->n; i-- > 0 && now - h->at[i] < age;)
		sum += h->units[i];
	return sum;
}

static void note(struct arrivals *h, int64_t now, uint32_t cost)
{
	hold_that(h->n, <, ARRIVALS);
	h->at[h->n] = now;
	h->units[h->n++] = cost;
}

START_TEST(a_log_is_exact)
{
	static struct arrivals h;
	struct sd_rng rng;
	sd_rng_seed(&rng, 3);
	for (int round = 0; round < 60; round++) {
		struct sd_ratelimit *r = table(10, 1 << 20);
		struct sd_ratelimit_limit l = any_limit(&rng, SD_RATELIMIT_SLIDING_LOG);
		l.count = 1 + l.count % 200;
		int64_t now = 0;
		h.n = 0;
		for (int i = 0; i < ARRIVALS; i++) {
			uint32_t cost = sd_rng_below(&rng, 5) ? 1 : sd_rng_below(&rng, l.count + 2);
			now += pause_of(&rng, &l);
			bool fits = within(&h, now, l.period_ns) + cost <= l.count;
			struct sd_ratelimit_answer a = take(r, ask_of(&l, "k", cost), now);
			hold_that(a.allowed, ==, fits);
			if (fits)
				note(&h, now, cost);
			hold_that(a.remaining, ==, l.count - within(&h, now, l.period_ns));
			times_are_true(r, ask_of(&l, "k", cost), a, now);
		}
		struct sd_ratelimit_stats s;
		sd_ratelimit_stats(r, &s);
		hold_that(s.coarser, ==, 0);
		hold_that(s.log_bytes, <=, 64 + 16 * l.count); /* no more moments than units */
		sd_ratelimit_free(r);
	}
}
END_TEST

/* Whatever is forgotten for want of memory: no window has more than the limit, and what is refused would not have been long
 * after. */
static void coarse_is_strict(uint32_t buckets, size_t log_bytes, uint64_t seed)
{
	static struct arrivals h;
	struct sd_rng rng;
	sd_rng_seed(&rng, seed);
	for (int round = 0; round < 60; round++) {
		struct sd_ratelimit *r = table(10, log_bytes);
		struct sd_ratelimit_limit l = any_limit(&rng, SD_RATELIMIT_SLIDING_LOG);
		int64_t now = 0;
		l.count = 1 + l.count % 200;
		l.buckets = buckets;
		h.n = 0;
		for (int i = 0; i < ARRIVALS; i++) {
			uint32_t cost = 1 + sd_rng_below(&rng, 5) % l.count;
			now += pause_of(&rng, &l);
			struct sd_ratelimit_answer a = take(r, ask_of(&l, "k", cost), now);
			bool allowed = a.allowed;
			times_are_true(r, ask_of(&l, "k", cost), a, now);
			if (allowed)
				note(&h, now, cost);
			hold_that(within(&h, now, l.period_ns), <=, l.count);
			if (!allowed && buckets)
				hold_that(within(&h, now, l.period_ns + l.period_ns / buckets + 1) + cost, >, l.count);
		}
		sd_ratelimit_free(r);
	}
}

START_TEST(a_coarse_log_is_strict)
{
	coarse_is_strict(10, 1 << 20, 4);
	coarse_is_strict(1, 1 << 20, 5);
	coarse_is_strict(0, 0, 6);
	coarse_is_strict(0, 100, 6); /* room for four moments */
}
END_TEST

START_TEST(logs_keep_to_their_memory)
{
	struct sd_ratelimit_limit l = {.kind = SD_RATELIMIT_SLIDING_LOG, .count = 1000, .period_ns = SECOND};
	struct sd_ratelimit *r = table(100, 4096);
	struct sd_ratelimit_stats s;
	char key[16];
	for (int64_t now = 0; now < 500; now++)
		for (int k = 0; k < 20; k++) {
			snprintf(key, sizeof(key), "k%d", k);
			hold(take(r, ask_of(&l, key, 1), now).allowed);
			sd_ratelimit_stats(r, &s);
			hold_that(s.log_bytes, <=, 4096);
		}
	hold_that(s.coarser, >, 0);
	hold_that(s.log_bytes, >, 0);
	size_t at = 0;
	hold_that(sd_ratelimit_sweep(r, &at, SIZE_MAX, 500), ==, 20);
	hold_that(at, ==, 0);
	hold_that(sd_ratelimit_sweep(r, &at, SIZE_MAX, 499 + SECOND), ==, 0);
	sd_ratelimit_stats(r, &s);
	hold_that(s.log_bytes, ==, 0);
	sd_ratelimit_free(r);
}
END_TEST

/* ---- windows ---- */

START_TEST(a_fixed_window_begins_with_the_first_or_on_the_clock)
{
	struct sd_ratelimit_limit l = {.kind = SD_RATELIMIT_FIXED_WINDOW, .count = 3, .period_ns = 100};
	struct sd_ratelimit *r = table(10, 0);
	for (int i = 0; i < 3; i++)
		hold(take(r, ask_of(&l, "k", 1), 150 + i).allowed);
	hold_that(take(r, ask_of(&l, "k", 1), 200).retry_ns, ==, 50);
	hold(!take(r, ask_of(&l, "k", 1), 249).allowed);
	hold_that(take(r, ask_of(&l, "k", 1), 250).remaining, ==, 2);
	l.aligned = true;
	for (int i = 0; i < 3; i++)
		hold(take(r, ask_of(&l, "clock", 1), 150 + i).allowed);
	hold_that(take(r, ask_of(&l, "clock", 1), 170).retry_ns, ==, 30);
	hold(take(r, ask_of(&l, "clock", 3), 200).allowed);
	sd_ratelimit_free(r);
}
END_TEST

/* The share of the window before that still counts, in exact fractions. */
START_TEST(a_sliding_counter_is_as_its_formula)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 7);
	for (int round = 0; round < 100; round++) {
		struct sd_ratelimit *r = table(10, 0);
		struct sd_ratelimit_limit l = any_limit(&rng, SD_RATELIMIT_SLIDING_COUNTER);
		int64_t now = 0, start = 0;
		uint64_t before = 0, used = 0;
		l.count = 1 + l.count % 1000;
		for (int i = 0; i < 500; i++) {
			uint32_t cost = sd_rng_below(&rng, 5) ? 1 : sd_rng_below(&rng, l.count + 2);
			now += pause_of(&rng, &l);
			int64_t turns = now / l.period_ns - start / l.period_ns;
			before = turns == 0 ? before : turns == 1 ? used : 0;
			used = turns == 0 ? used : 0;
			start = now / l.period_ns * l.period_ns;
			wide sum = (wide)before * (wide)(start + l.period_ns - now) + (wide)(used + cost) * (wide)l.period_ns;
			bool fits = sum <= (wide)l.count * (wide)l.period_ns;
			struct sd_ratelimit_answer a = take(r, ask_of(&l, "k", cost), now);
			hold_that(a.allowed, ==, fits);
			used += fits ? cost : 0;
			times_are_true(r, ask_of(&l, "k", cost), a, now);
		}
		sd_ratelimit_free(r);
	}
}
END_TEST

/* No window of a period has more than what the header says of its kind. */
static void never_above(enum sd_ratelimit_kind kind, bool aligned, uint64_t seed)
{
	static struct arrivals h;
	struct sd_rng rng;
	sd_rng_seed(&rng, seed);
	for (int round = 0; round < 60; round++) {
		struct sd_ratelimit *r = table(10, 1 << 20);
		struct sd_ratelimit_limit l = any_limit(&rng, kind);
		l.count = 1 + l.count % 100;
		l.aligned = aligned;
		uint64_t most = kind <= SD_RATELIMIT_LEAKY_QUEUE ? l.burst + l.count : 2 * l.count;
		int64_t now = 0;
		h.n = 0;
		for (int i = 0; i < ARRIVALS; i++) {
			now += pause_of(&rng, &l);
			if (take(r, ask_of(&l, "k", 1), now).allowed)
				note(&h, now, 1);
			hold_that(within(&h, now, l.period_ns), <=, most);
		}
		hold_that(h.n, >, 0);
		sd_ratelimit_free(r);
	}
}

START_TEST(no_window_has_more_than_its_kind_says)
{
	never_above(SD_RATELIMIT_GCRA, false, 8);
	never_above(SD_RATELIMIT_FIXED_WINDOW, false, 9);
	never_above(SD_RATELIMIT_FIXED_WINDOW, true, 10);
	never_above(SD_RATELIMIT_SLIDING_COUNTER, false, 11);
}
END_TEST

/* ---- for all kinds ---- */

static const struct sd_ratelimit_limit ten[] = {
    {.kind = SD_RATELIMIT_TOKEN_BUCKET, .count = 10, .burst = 10, .period_ns = SECOND},
    {.kind = SD_RATELIMIT_LEAKY_QUEUE, .count = 10, .burst = 10, .period_ns = SECOND},
    {.kind = SD_RATELIMIT_FIXED_WINDOW, .count = 10, .period_ns = SECOND},
    {.kind = SD_RATELIMIT_FIXED_WINDOW, .count = 10, .period_ns = SECOND, .aligned = true},
    {.kind = SD_RATELIMIT_SLIDING_COUNTER, .count = 10, .period_ns = SECOND},
    {.kind = SD_RATELIMIT_SLIDING_LOG, .count = 10, .period_ns = SECOND},
    {.kind = SD_RATELIMIT_SLIDING_LOG, .count = 10, .period_ns = SECOND, .buckets = 4},
};
#define KINDS ((int)(sizeof(ten) / sizeof(ten[0])))

static bool same(struct sd_ratelimit_answer a, struct sd_ratelimit_answer b)
{
	return a.allowed == b.allowed && a.most == b.most && a.remaining == b.remaining && a.retry_ns == b.retry_ns &&
	       a.next_ns == b.next_ns && a.reset_ns == b.reset_ns && a.delay_ns == b.delay_ns;
}

/* Two tables see the same; one is also asked without end, and the answers do not differ. */
START_TEST(what_is_refused_or_only_asked_never_counts)
{
	const struct sd_ratelimit_limit *l = &ten[_i];
	struct sd_ratelimit *quiet = table(10, 1 << 16), *noisy = table(10, 1 << 16);
	struct sd_rng rng;
	int64_t now = 0;
	sd_rng_seed(&rng, 12);
	for (int i = 0; i < 3000; i++) {
		now += sd_rng_below(&rng, 150000000);
		for (uint32_t n = sd_rng_below(&rng, 4); n > 0; n--)
			peek(noisy, ask_of(l, "k", sd_rng_below(&rng, 12)), now);
		uint32_t left = peek(noisy, ask_of(l, "k", 0), now).remaining;
		for (int n = 0; n < 3; n++)
			hold(!take(noisy, ask_of(l, "k", left + 1 + (uint32_t)n), now).allowed);
		hold(take(noisy, ask_of(l, "k", 0), now).allowed);
		uint32_t cost = sd_rng_below(&rng, 3);
		hold(same(take(quiet, ask_of(l, "k", cost), now), take(noisy, ask_of(l, "k", cost), now)));
	}
	sd_ratelimit_free(quiet);
	sd_ratelimit_free(noisy);
}
END_TEST

START_TEST(who_hammers_is_let_through_as_who_waits)
{
	const struct sd_ratelimit_limit *l = &ten[_i];
	struct sd_ratelimit *r = table(10, 1 << 16);
	int passed = 0;
	for (int64_t now = 0; now < 20 * SECOND; now += SECOND / 1000)
		passed += take(r, ask_of(l, "k", 1), now).allowed;
	/* a coarse log counts up to a quarter of a period longer, and a counter rounds up what slides out */
	hold_that(passed, >=, l->buckets ? 160 : l->kind == SD_RATELIMIT_SLIDING_COUNTER ? 180 : 190);
	hold_that(passed, <=, 210);
	sd_ratelimit_free(r);
}
END_TEST

START_TEST(a_refund_gives_back_what_counts_and_no_more)
{
	const struct sd_ratelimit_limit *l = &ten[_i];
	struct sd_ratelimit *r = table(10, 1 << 16);
	int64_t at = 7 * SECOND;
	struct sd_ratelimit_ask four = ask_of(l, "k", 4), all = ask_of(l, "k", 100);
	hold_that(take(r, four, at).remaining, ==, 6);
	hold_that(take(r, four, at).remaining, ==, 2);
	sd_ratelimit_refund(r, &four, at, at);
	hold_that(peek(r, four, at).remaining, ==, 6);
	for (int i = 0; i < 3; i++)
		sd_ratelimit_refund(r, &all, at, at);
	hold_that(peek(r, four, at).remaining, ==, 10);
	hold(!take(r, ask_of(l, "k", 11), at).allowed);
	sd_ratelimit_refund(r, &all, at, at);
	hold(!take(r, ask_of(l, "k", 11), at).allowed);
	/* of a key that nobody knows */
	sd_ratelimit_refund(r, &(struct sd_ratelimit_ask){.limit = l, .key = sd_slice_of("new"), .cost = 5}, at, at);
	hold(!take(r, ask_of(l, "new", 11), at).allowed);
	sd_ratelimit_free(r);
}
END_TEST

/* What an earlier window gave is not given back to this one. */
START_TEST(a_late_refund_is_none)
{
	const struct sd_ratelimit_limit *l = &ten[_i];
	struct sd_ratelimit *r = table(10, 1 << 16);
	struct sd_ratelimit_ask ten_units = ask_of(l, "k", 10);
	int64_t at = 7 * SECOND, later = at + 2 * SECOND;
	hold(take(r, ten_units, at).allowed);
	hold(take(r, ten_units, later).allowed);
	if (l->kind > SD_RATELIMIT_LEAKY_QUEUE) { /* a bucket has no windows */
		sd_ratelimit_refund(r, &ten_units, at, later);
		hold_that(peek(r, ten_units, later).remaining, ==, 0);
	}
	sd_ratelimit_refund(r, &ten_units, later, later);
	hold_that(peek(r, ten_units, later).remaining, ==, 10);
	sd_ratelimit_free(r);
}
END_TEST

START_TEST(what_was_reserved_is_settled)
{
	const struct sd_ratelimit_limit *l = &ten[_i];
	struct sd_ratelimit *r = table(10, 1 << 16);
	int64_t at = 7 * SECOND;
	struct sd_ratelimit_ask six = ask_of(l, "k", 6);
	hold(take(r, six, at).allowed);
	sd_ratelimit_settle(r, &six, 1, at, at);
	hold_that(peek(r, six, at).remaining, ==, 9);
	hold(take(r, six, at).allowed);
	sd_ratelimit_settle(r, &six, 8, at, at);
	hold_that(peek(r, six, at).remaining, ==, 1);
	/* at worst it is empty, and comes back as fast as ever */
	sd_ratelimit_charge(r, &(struct sd_ratelimit_ask){.limit = l, .key = sd_slice_of("k"), .cost = UINT32_MAX}, at);
	struct sd_ratelimit_answer a = peek(r, six, at);
	hold_that(a.remaining, ==, 0);
	hold_that(a.reset_ns, <=, 2 * SECOND);
	hold(take(r, ask_of(l, "k", 10), at + a.reset_ns).allowed);
	sd_ratelimit_charge(r, &(struct sd_ratelimit_ask){.limit = l, .key = sd_slice_of("new"), .cost = 3}, at);
	hold_that(peek(r, ask_of(l, "new", 0), at).remaining, ==, 7);
	sd_ratelimit_forget(r, &six);
	hold_that(peek(r, six, at).remaining, ==, 10);
	sd_ratelimit_free(r);
}
END_TEST

START_TEST(time_that_goes_back_stands_still)
{
	const struct sd_ratelimit_limit *l = &ten[_i];
	struct sd_ratelimit *r = table(10, 1 << 16);
	int64_t at = 7 * SECOND;
	hold(take(r, ask_of(l, "k", 4), at).allowed);
	hold_that(take(r, ask_of(l, "k", 4), at - SECOND / 2).remaining, <=, 2);
	hold(!take(r, ask_of(l, "k", 4), at - 3 * SECOND).allowed);
	hold_that(peek(r, ask_of(l, "k", 0), at + 2 * SECOND).remaining, ==, 10);
	sd_ratelimit_free(r);
}
END_TEST

/* ---- limits that change ---- */

/* A key that was used up under a limit of an hour waits no longer than the new one's time. */
START_TEST(nobody_waits_by_a_limit_that_is_no_more)
{
	struct sd_ratelimit_limit slow = ten[_i], fast = ten[_i];
	struct sd_ratelimit *r = table(10, 1 << 16);
	int64_t at = 100 * 3600 * SECOND + 1800 * SECOND;
	slow.period_ns = 3600 * SECOND;
	hold(take(r, ask_of(&slow, "k", 10), at).allowed);
	hold(!take(r, ask_of(&slow, "k", 1), at).allowed);
	for (int64_t wait = 0; wait <= 3 * SECOND; wait += SECOND / 10)
		take(r, ask_of(&fast, "k", 1), at + 60 * SECOND + wait); /* and who keeps asking waits no longer */
	at += 65 * SECOND;
	hold(take(r, ask_of(&fast, "k", 1), at).allowed);
	/* fewer at once than were used: at most all of it is gone */
	struct sd_ratelimit_limit small = fast;
	small.burst = 2;
	if (small.kind > SD_RATELIMIT_LEAKY_QUEUE)
		small.count = 2;
	sd_ratelimit_forget(r, &(struct sd_ratelimit_ask){.limit = &fast, .key = sd_slice_of("k")});
	at += 10 * SECOND;
	hold(take(r, ask_of(&fast, "k", 10), at).allowed);
	hold_that(take(r, ask_of(&small, "k", 1), at).retry_ns, <=, 2 * SECOND);
	hold(take(r, ask_of(&small, "k", 1), at + 2 * SECOND).allowed);
	sd_ratelimit_free(r);
}
END_TEST

START_TEST(a_changed_limit_keeps_what_was_used)
{
	struct sd_ratelimit_limit more = ten[_i];
	struct sd_ratelimit *r = table(10, 1 << 16);
	int64_t at = 7 * SECOND;
	more.burst = 30;
	more.count = more.kind <= SD_RATELIMIT_LEAKY_QUEUE ? 5 : 30;
	hold(take(r, ask_of(&ten[_i], "k", 7), at).allowed);
	hold_that(peek(r, ask_of(&more, "k", 0), at).remaining, ==, 23);
	hold_that(peek(r, ask_of(&ten[_i], "k", 0), at).remaining, ==, 3); /* asking did not change it */
	hold_that(take(r, ask_of(&more, "k", 3), at).remaining, ==, 20);
	hold_that(take(r, ask_of(&ten[_i], "k", 0), at).remaining, ==, 0);
	sd_ratelimit_free(r);
}
END_TEST

/* Bucket after bucket: the units that are missing are the same, up to less than one, whatever the rates. */
START_TEST(a_bucket_keeps_its_units_through_any_change)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 13);
	struct sd_ratelimit *r = table(50000, 0);
	for (uint64_t i = 0; i < 20000; i++) {
		struct sd_ratelimit_limit a = any_limit(&rng, SD_RATELIMIT_GCRA), b = any_limit(&rng, SD_RATELIMIT_GCRA);
		uint32_t used = 1 + sd_rng_below(&rng, a.burst);
		struct sd_ratelimit_ask first = ask_of(&a, "k", used), all = ask_of(&b, "k", b.burst);
		first.scope = all.scope = i;
		hold(take(r, first, 5).allowed);
		uint32_t left = used < b.burst ? b.burst - used : 0;
		struct sd_ratelimit_answer changed = take(r, all, 5);
		hold(!changed.allowed);
		hold_that(changed.remaining, ==, left);
		times_are_true(r, all, changed, 5);
	}
	sd_ratelimit_free(r);
}
END_TEST

/* A window that gets shorter keeps the part that falls into it. */
START_TEST(windows_that_get_shorter_keep_their_part)
{
	struct sd_ratelimit_limit l = {.kind = SD_RATELIMIT_FIXED_WINDOW, .count = 100, .period_ns = 1000, .aligned = true};
	struct sd_ratelimit_limit s = l;
	struct sd_ratelimit *r = table(10, 0);
	s.period_ns = 100;
	hold(take(r, ask_of(&l, "k", 80), 5000).allowed);
	/* at 5820 the last 20 of 820 */
	hold_that(peek(r, ask_of(&s, "k", 0), 5820).remaining, ==, 100 - 80 * 20 / 820);
	l.kind = s.kind = SD_RATELIMIT_SLIDING_COUNTER;
	hold(take(r, ask_of(&l, "k", 80), 5000).allowed);
	hold_that(peek(r, ask_of(&s, "k", 0), 5820).remaining, ==, 92);
	sd_ratelimit_free(r);
}
END_TEST

/* What was over is over, also when windows are longer now. */
START_TEST(windows_that_get_longer_begin_anew)
{
	struct sd_ratelimit_limit longer = ten[_i];
	struct sd_ratelimit *r = table(10, 1 << 16);
	longer.period_ns = 3600 * SECOND;
	hold(take(r, ask_of(&ten[_i], "k", 10), 7 * SECOND).allowed);
	hold(!peek(r, ask_of(&longer, "k", 10), 7 * SECOND).allowed);
	if (longer.kind != SD_RATELIMIT_SLIDING_LOG) /* which knows when it was */
		hold(take(r, ask_of(&longer, "k", 10), 9 * SECOND).allowed);
	sd_ratelimit_free(r);
}
END_TEST

/* ---- several at once ---- */

START_TEST(all_or_none)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 14);
	struct sd_ratelimit *r = table(1000, 1 << 20);
	struct sd_ratelimit_ask asks[SD_RATELIMIT_TOGETHER];
	struct sd_ratelimit_answer a[SD_RATELIMIT_TOGETHER], before[SD_RATELIMIT_TOGETHER], after[SD_RATELIMIT_TOGETHER];
	char keys[8][16];
	int64_t now = 0;
	int yes = 0, no = 0;
	for (int k = 0; k < 8; k++)
		snprintf(keys[k], sizeof(keys[k]), "k%d", k);
	for (int i = 0; i < 5000; i++) {
		size_t n = 1 + sd_rng_below(&rng, 6);
		now += sd_rng_below(&rng, 300000000);
		for (size_t j = 0; j < n; j++) {
			asks[j] = ask_of(&ten[sd_rng_below(&rng, (uint32_t)KINDS)], keys[sd_rng_below(&rng, 8)], 1 + sd_rng_below(&rng, 4));
			struct sd_ratelimit_ask idle = asks[j];
			idle.cost = 0;
			before[j] = peek(r, idle, now);
		}
		bool allowed = sd_ratelimit_take(r, asks, n, now, a) == SD_OK, all = true;
		for (size_t j = 0; j < n; j++) {
			all &= a[j].allowed;
			asks[j].cost = 0;
			after[j] = peek(r, asks[j], now);
			hold(allowed || same(before[j], after[j]));
		}
		hold_that(allowed, ==, all);
		yes += allowed;
		no += !allowed;
	}
	hold_that(yes, >, 100);
	hold_that(no, >, 100);
	sd_ratelimit_free(r);
}
END_TEST

/* Also when another limit says no all the time, a changed one goes on from the change. */
START_TEST(a_change_is_kept_when_another_says_no)
{
	struct sd_ratelimit_limit slow = ten[_i], never = ten[0];
	struct sd_ratelimit *r = table(10, 1 << 16);
	int64_t at = 100 * 3600 * SECOND;
	slow.period_ns = 3600 * SECOND;
	slow.count *= 100000;
	slow.burst *= 100000;
	hold(take(r, ask_of(&slow, "k", 1000000), at).allowed);
	for (int64_t wait = 0; wait < 20; wait++) {
		struct sd_ratelimit_ask asks[2] = {ask_of(&ten[_i], "k", 1), ask_of(&never, "no", 11)};
		struct sd_ratelimit_answer a[2];
		hold_that(sd_ratelimit_take(r, asks, 2, at + wait * SECOND / 5, a), ==, SD_EAGAIN);
	}
	hold(take(r, ask_of(&ten[_i], "k", 1), at + 4 * SECOND).allowed);
	sd_ratelimit_free(r);
}
END_TEST

START_TEST(the_same_key_twice_counts_twice)
{
	const struct sd_ratelimit_limit *l = &ten[_i];
	struct sd_ratelimit *r = table(10, 1 << 16);
	struct sd_ratelimit_ask asks[2] = {ask_of(l, "k", 6), ask_of(l, "k", 6)};
	struct sd_ratelimit_answer a[2];
	hold_that(sd_ratelimit_take(r, asks, 2, SECOND, a), ==, SD_EAGAIN);
	hold(a[0].allowed && !a[1].allowed);
	hold_that(a[0].remaining, ==, 10);
	asks[1].cost = 4;
	hold_that(sd_ratelimit_take(r, asks, 2, SECOND, a), ==, SD_OK);
	hold_that(a[1].remaining, ==, 0);
	/* of another scope it is another key */
	asks[1].scope = 1;
	hold_that(peek(r, asks[1], SECOND).remaining, ==, 10);
	sd_ratelimit_free(r);
}
END_TEST

/* ---- bounds ---- */

START_TEST(the_largest_there_is)
{
	static const struct sd_ratelimit_limit limits[] = {
	    {.count = UINT32_MAX, .burst = UINT32_MAX, .period_ns = 1},
	    {.count = 1000000000, .burst = 1000000000, .period_ns = SECOND},
	    {.count = 1, .burst = 1, .period_ns = INT64_C(1) << 60},
	    {.count = UINT32_MAX, .burst = UINT32_MAX, .period_ns = INT64_C(1) << 60},
	    {.count = UINT32_MAX, .burst = 1, .period_ns = INT64_C(1) << 60, .buckets = UINT32_MAX},
	};
	struct sd_ratelimit *r = table(1000, 1 << 20);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		for (int k = 0; k <= SD_RATELIMIT_SLIDING_LOG; k++)
			for (int64_t now = 0; now <= INT64_C(1) << 62; now += INT64_C(1) << 60) {
				struct sd_ratelimit_limit l = limits[i];
				struct sd_ratelimit_ask ask = {.limit = &l, .scope = 10 * i + (uint64_t)now, .key = sd_slice_of("k")};
				l.kind = (enum sd_ratelimit_kind)k;
				ask.cost = sd_ratelimit_most(&l);
				ask.scope += 100 * (uint64_t)k;
				hold(take(r, ask, now).allowed);
				hold_that(take(r, ask, now).remaining, ==, 0);
				ask.cost = UINT32_MAX;
				sd_ratelimit_charge(r, &ask, now);
				sd_ratelimit_refund(r, &ask, now, now);
				hold_that(peek(r, ask, now).remaining, ==, sd_ratelimit_most(&l));
			}
	sd_ratelimit_free(r);
}
END_TEST

/* Where 1000 a second and more were too many for others: a billion a second are counted one by one. */
START_TEST(a_billion_a_second)
{
	struct sd_ratelimit_limit l = {.kind = SD_RATELIMIT_GCRA, .count = 1000000000, .burst = 1, .period_ns = SECOND};
	struct sd_ratelimit *r = table(10, 0);
	for (int64_t now = 0; now < 1000; now++) {
		hold(take(r, ask_of(&l, "k", 1), now).allowed);
		hold(!take(r, ask_of(&l, "k", 1), now).allowed);
	}
	l.count = 3; /* a third of a second is no whole number: three of them are a second all the same */
	for (int64_t turn = 1; turn < 1000; turn++) {
		int64_t now = turn * SECOND, third = SECOND / 3;
		hold(take(r, ask_of(&l, "t", 1), now).allowed);
		hold(!take(r, ask_of(&l, "t", 1), now + third).allowed);
		hold(take(r, ask_of(&l, "t", 1), now + third + 1).allowed);
		hold(!take(r, ask_of(&l, "t", 1), now + 2 * third + 1).allowed);
		l.burst = 1;
	}
	sd_ratelimit_free(r);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
	static const struct sd_ratelimit_limit bad[] = {
	    {.kind = SD_RATELIMIT_GCRA, .count = 0, .burst = 1, .period_ns = 1},
	    {.kind = SD_RATELIMIT_GCRA, .count = 1, .burst = 0, .period_ns = 1},
	    {.kind = SD_RATELIMIT_GCRA, .count = 1, .burst = 1, .period_ns = 0},
	    {.kind = SD_RATELIMIT_SLIDING_LOG, .count = 1, .period_ns = -1},
	    {.kind = SD_RATELIMIT_SLIDING_LOG, .count = 1, .period_ns = (INT64_C(1) << 60) + 1},
	    {.kind = SD_RATELIMIT_GCRA, .count = 1, .burst = 2, .period_ns = INT64_C(1) << 60},
	    {.kind = (enum sd_ratelimit_kind)7, .count = 1, .burst = 1, .period_ns = 1},
	};
	struct sd_ratelimit *r = table(10, 0), *none;
	struct sd_ratelimit_answer a[SD_RATELIMIT_TOGETHER + 1];
	struct sd_ratelimit_ask asks[SD_RATELIMIT_TOGETHER + 1];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sd_error e;
		struct sd_ratelimit_ask ask = ask_of(&bad[i], "k", 1);
		hold_that(sd_ratelimit_check(&bad[i], &e), ==, SD_EINVAL);
		hold_that(sd_ratelimit_take(r, &ask, 1, 5, a), ==, SD_EINVAL);
		sd_ratelimit_refund(r, &ask, 5, 5);
		sd_ratelimit_charge(r, &ask, 5);
		sd_ratelimit_forget(r, &ask);
	}
	for (size_t i = 0; i <= SD_RATELIMIT_TOGETHER; i++)
		asks[i] = ask_of(&ten[0], "k", 0);
	hold_that(sd_ratelimit_check(&ten[0], NULL), ==, SD_OK);
	hold_that(sd_ratelimit_take(r, asks, SD_RATELIMIT_TOGETHER, 5, a), ==, SD_OK);
	hold_that(sd_ratelimit_take(r, asks, SD_RATELIMIT_TOGETHER + 1, 5, a), ==, SD_EINVAL);
	hold_that(sd_ratelimit_take(r, asks, 0, 5, a), ==, SD_EINVAL);
	hold_that(sd_ratelimit_take(r, asks, 1, -1, a), ==, SD_EINVAL);
	hold_that(sd_ratelimit_take(r, asks, 1, (INT64_C(1) << 62) + 1, a), ==, SD_EINVAL);
	hold_that(sd_ratelimit_new(&(struct sd_ratelimit_conf){.max_keys = 0}, &none), ==, SD_EINVAL);
	hold_that(sd_ratelimit_new(&(struct sd_ratelimit_conf){.max_keys = (size_t)1 << 33}, &none), ==, SD_ERANGE);
	sd_ratelimit_free(NULL);
	sd_ratelimit_free(r);
}
END_TEST

/* ---- very many keys ---- */

#define MANY 100000

static struct sd_ratelimit_ask number(const struct sd_ratelimit_limit *l, const uint32_t *n, uint32_t cost)
{
	return (struct sd_ratelimit_ask){.limit = l, .key = {(const char *)n, sizeof(*n)}, .cost = cost};
}

START_TEST(as_many_keys_as_were_asked_for)
{
	struct sd_ratelimit *r = table(MANY, 0);
	struct sd_ratelimit_stats s;
	size_t at = 0;
	for (uint32_t i = 0; i < MANY; i++)
		take(r, number(&ten[0], &i, 5), SECOND);
	sd_ratelimit_stats(r, &s);
	hold_that(s.evicted, <=, MANY / 10000);
	hold_that(s.bytes, <=, 48 * (size_t)MANY);
	hold_that(sd_ratelimit_sweep(r, &at, SIZE_MAX, SECOND), ==, MANY - s.evicted);
	for (uint32_t i = 0, lost = 0; i < MANY; i++) {
		lost += peek(r, number(&ten[0], &i, 0), SECOND).remaining != 5;
		hold_that(lost, <=, s.evicted);
	}
	/* when their time is over, others have all the room */
	for (uint32_t i = 0; i < MANY; i++)
		take(r, number(&ten[5], &i, 5), 3 * SECOND);
	uint64_t before = s.evicted;
	sd_ratelimit_stats(r, &s);
	hold_that(s.evicted - before, <=, MANY / 10000);
	sd_ratelimit_free(r);
}
END_TEST

/* Of a flood of keys that come once, those go that used least; who used most stays. */
START_TEST(a_flood_of_keys_does_not_free_who_used_most)
{
	struct sd_ratelimit *r = table(1000, 0);
	struct sd_ratelimit_stats s;
	for (int k = 0; k < 50; k++)
		hold(take(r, (struct sd_ratelimit_ask){.limit = &ten[0], .scope = 1, .key = {(char *)&k, sizeof(k)}, .cost = 10}, SECOND).allowed);
	for (uint32_t i = 0; i < MANY; i++)
		take(r, number(&ten[0], &i, 1), SECOND + i);
	for (int k = 0; k < 50; k++)
		hold(!take(r, (struct sd_ratelimit_ask){.limit = &ten[0], .scope = 1, .key = {(char *)&k, sizeof(k)}, .cost = 10}, SECOND + MANY).allowed);
	sd_ratelimit_stats(r, &s);
	hold_that(s.evicted, >, MANY / 2);
	hold_that(s.bytes, <=, 80000);
	sd_ratelimit_free(r);
}
END_TEST

/* ---- threads ---- */

#define THREADS 4

struct racer {
	struct sd_ratelimit *r;
	int passed, both;
};

static void *race(void *arg)
{
	struct racer *me = arg;
	struct sd_ratelimit_limit one = {.kind = SD_RATELIMIT_SLIDING_LOG, .count = 90000, .period_ns = SECOND, .buckets = 9};
	struct sd_ratelimit_limit two = {.kind = SD_RATELIMIT_GCRA, .count = 1, .burst = 90000, .period_ns = SECOND};
	for (int i = 0; i < 30000; i++) {
		struct sd_ratelimit_ask asks[2] = {ask_of(&two, "b", 1), ask_of(&two, i & 1 ? "c" : "d", 1)}, turned[2] = {asks[1], asks[0]};
		struct sd_ratelimit_answer a[2];
		me->passed += take(me->r, ask_of(&one, "a", 1), SECOND).allowed;
		me->both += sd_ratelimit_take(me->r, i & 2 ? asks : turned, 2, SECOND, a) == SD_OK;
	}
	return NULL;
}

START_TEST(exact_with_threads)
{
	pthread_t threads[THREADS];
	struct racer racers[THREADS];
	struct sd_ratelimit *r = table(1000, 1 << 20);
	int passed = 0, both = 0;
	for (int i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){.r = r};
		hold_that(pthread_create(&threads[i], NULL, race, &racers[i]), ==, 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		passed += racers[i].passed;
		both += racers[i].both;
	}
	hold_that(passed, ==, 90000);
	hold_that(both, ==, 90000);
	sd_ratelimit_free(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ratelimit");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, bucket_gcra_and_leaks_are_one_and_as_the_model);
	tcase_add_test(t, leaky_queue_leaves_evenly);
	tcase_add_test(t, gcra_as_documented);
	tcase_add_test(t, a_log_is_exact);
	tcase_add_test(t, a_coarse_log_is_strict);
	tcase_add_test(t, logs_keep_to_their_memory);
	tcase_add_test(t, a_fixed_window_begins_with_the_first_or_on_the_clock);
	tcase_add_test(t, a_sliding_counter_is_as_its_formula);
	tcase_add_test(t, no_window_has_more_than_its_kind_says);
	tcase_add_loop_test(t, what_is_refused_or_only_asked_never_counts, 0, KINDS);
	tcase_add_loop_test(t, who_hammers_is_let_through_as_who_waits, 0, KINDS);
	tcase_add_loop_test(t, a_refund_gives_back_what_counts_and_no_more, 0, KINDS);
	tcase_add_loop_test(t, a_late_refund_is_none, 0, KINDS);
	tcase_add_loop_test(t, what_was_reserved_is_settled, 0, KINDS);
	tcase_add_loop_test(t, time_that_goes_back_stands_still, 0, KINDS);
	tcase_add_loop_test(t, nobody_waits_by_a_limit_that_is_no_more, 0, KINDS);
	tcase_add_loop_test(t, a_changed_limit_keeps_what_was_used, 0, KINDS);
	tcase_add_test(t, a_bucket_keeps_its_units_through_any_change);
	tcase_add_test(t, windows_that_get_shorter_keep_their_part);
	tcase_add_loop_test(t, windows_that_get_longer_begin_anew, 0, KINDS);
	tcase_add_test(t, all_or_none);
	tcase_add_loop_test(t, a_change_is_kept_when_another_says_no, 0, KINDS);
	tcase_add_loop_test(t, the_same_key_twice_counts_twice, 0, KINDS);
	tcase_add_test(t, the_largest_there_is);
	tcase_add_test(t, a_billion_a_second);
	tcase_add_test(t, what_cannot_be_is_refused);
	tcase_add_test(t, as_many_keys_as_were_asked_for);
	tcase_add_test(t, a_flood_of_keys_does_not_free_who_used_most);
	tcase_add_test(t, exact_with_threads);
	suite_add_tcase(s, t);
	SRunner *runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
