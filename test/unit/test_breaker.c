#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "sdlab/breaker.h"

#ifdef SD_SANITIZED /* memory and rules of C are looked at; what comes out of many more steps is looked at in the plain build */
#define SEEDS 100
#define GENERATIONS 20000
#else
#define SEEDS 600
#define GENERATIONS 140000 /* twice round */
#endif

#define S 1000000000ll

#define CLOSED SD_BREAKER_CLOSED
#define OPEN   SD_BREAKER_OPEN
#define HALF   SD_BREAKER_HALF_OPEN

static const struct sd_breaker_outcome good = {.kind = SD_BREAKER_SUCCESS}, late = {.kind = SD_BREAKER_TIMEOUT},
				       ignored = {.kind = SD_BREAKER_IGNORED}, refused = {.kind = SD_BREAKER_CONNECT},
				       busy = {.kind = SD_BREAKER_STATUS, .code = 503};

static struct sd_breaker *make(const struct sd_breaker_conf *c)
{
	struct sd_breaker *b;
	struct sd_error e = {0};
	ck_assert_msg(sd_breaker_new(c, &b, &e) == SD_OK, "%s", e.text);
	return b;
}

static enum sd_breaker_state state(const struct sd_breaker *b)
{
	struct sd_breaker_stats st;
	sd_breaker_stats(b, 0, &st);
	return st.state;
}

/* A call that takes no time; false: it was refused. */
static bool call(struct sd_breaker *b, const struct sd_breaker_outcome *how, int64_t now)
{
	struct sd_breaker_ticket t;
	if (sd_breaker_allow(b, now, &t, NULL))
		return false;
	sd_breaker_done(b, &t, how, now);
	return true;
}

/* One letter a call: + succeeds, - times out, i is ignored, x must be refused, digits let so many seconds go by. The state after it is
 * c, o or h. */
static int64_t walk(struct sd_breaker *b, int64_t now, const char *steps)
{
	for (const char *p = steps; *p; p++) {
		if (*p >= '0' && *p <= '9') {
			now += (*p - '0') * S;
			continue;
		}
		if (strchr("coh", *p)) {
			int want = *p == 'c' ? CLOSED : *p == 'o' ? OPEN : HALF;
			ck_assert_msg((int)state(b) == want, "%s: at %d it is %d", steps, (int)(p - steps), state(b));
			continue;
		}
		bool let = call(b, *p == '+' ? &good : *p == 'i' ? &ignored : &late, now);
		ck_assert_msg(let == (*p != 'x'), "%s: at %d it was %s", steps, (int)(p - steps), let ? "let through" : "refused");
	}
	return now;
}

static void expect(const struct sd_breaker *b, int64_t now, const char *reason)
{
	char text[SD_BREAKER_REASON];
	ck_assert_str_eq(sd_breaker_reason(b, now, text), reason);
}

/* ---- the rules ---- */

START_TEST(consecutive)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	struct sd_breaker *b = make(&c);
	/* the last one's time: 30 s after */
	int64_t now = walk(b, S, "++----+----c-oxx99xo9xo2xo1-oxo9993+h+c++");
	expect(b, now, "closed: nothing failed");
	sd_breaker_free(b);
}
END_TEST

START_TEST(failures_within_calls)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	c.consecutive = 0;
	c.failures = 3;
	c.window = 5;
	struct sd_breaker *b = make(&c);
	walk(b, S, "-+-++c-c" /* the first has left the window */ "+++++c--c+-oxo");
	sd_breaker_free(b);
}
END_TEST

START_TEST(rate_of_calls)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	c.consecutive = 0;
	c.failure_rate = 0.5;
	c.window = 10;
	c.minimum = 4;
	struct sd_breaker *b = make(&c);
	walk(b, S, "---c+c-o"); /* it is failures that open */
	sd_breaker_free(b);
	b = make(&c);
	walk(b, S, "++++++++++----c-o");
	sd_breaker_free(b);
	b = make(&c); /* what is ignored fills no minimum */
	walk(b, S, "---iiiiiic-o");
	sd_breaker_free(b);
}
END_TEST

START_TEST(rate_of_time)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	c.consecutive = 0;
	c.failure_rate = 0.5;
	c.window_ns = 10 * S;
	c.minimum = 4;
	struct sd_breaker *b = make(&c);
	int64_t now = walk(b, S, "---c");
	now = walk(b, now, "9c1" /* forgotten */ "-c--c-o");
	sd_breaker_free(b);
	b = make(&c);
	/* rare failures do not add up, however long it is idle: whatever the buckets were used for */
	now = S;
	for (int i = 0; i < 100; i++) {
		now = walk(b, now, "---c");
		now += i % 2 ? 10 * S : 10 * S << i % 26;
	}
	sd_breaker_free(b);
}
END_TEST

START_TEST(slow_calls)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	c.consecutive = 0;
	c.slow_rate = 0.5;
	c.slow_ns = 2 * S;
	c.window = 4;
	c.minimum = 4;
	struct sd_breaker *b = make(&c);
	struct sd_breaker_ticket t;
	static const int64_t took[] = {2 * S - 1, 2 * S, S, 5 * S};
	int64_t now = 0;
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(state(b), CLOSED);
		ck_assert_int_eq(sd_breaker_allow(b, now, &t, NULL), SD_OK);
		now += took[i];
		sd_breaker_done(b, &t, &good, now);
	}
	ck_assert_int_eq(state(b), OPEN);
	expect(b, now + S, "opened 1000 ms ago: 2 of 4 took 2 s or longer, next probe in 29 s");
	/* a slow probe closes nothing */
	now += 30 * S;
	ck_assert_int_eq(sd_breaker_allow(b, now, &t, NULL), SD_OK);
	sd_breaker_done(b, &t, &good, now += 2 * S);
	ck_assert_int_eq(state(b), OPEN);
	expect(b, now + 2 * S, "opened 2 s ago: a probe was slow, next probe in 28 s");
	sd_breaker_free(b);
}
END_TEST

/* ---- half-open ---- */

START_TEST(permits)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	struct sd_breaker_ticket t[4], no;
	struct sd_error e;
	c.permits = 2;
	c.successes = 3;
	struct sd_breaker *b = make(&c);
	int64_t now = walk(b, S, "-----o") + 30 * S;
	ck_assert_int_eq(sd_breaker_allow(b, now - 1, &no, NULL), SD_ECIRCUIT);
	ck_assert_int_eq(sd_breaker_allow(b, now, &t[0], NULL), SD_OK);
	ck_assert_int_eq(sd_breaker_allow(b, now, &t[1], NULL), SD_OK);
	ck_assert_int_eq(sd_breaker_allow(b, now, &no, &e), SD_ECIRCUIT);
	ck_assert_str_eq(e.text, "opened 30 s ago: 5 in a row timed out, 0 of 3 probes succeeded, 2 out");
	sd_breaker_done(b, &t[0], &good, now);
	sd_breaker_done(b, &t[0], &good, now); /* twice is once */
	ck_assert_int_eq(sd_breaker_allow(b, now, &t[2], NULL), SD_OK);
	ck_assert_int_eq(sd_breaker_allow(b, now, &no, NULL), SD_ECIRCUIT);
	sd_breaker_done(b, &t[1], &ignored, now); /* gives the permit back, and says nothing */
	ck_assert_int_eq(sd_breaker_allow(b, now, &t[3], NULL), SD_OK);
	sd_breaker_done(b, &t[2], &good, now);
	ck_assert_int_eq(state(b), HALF);
	sd_breaker_done(b, &t[3], &good, now);
	ck_assert_int_eq(state(b), CLOSED);
	sd_breaker_free(b);
}
END_TEST

START_TEST(lost_permit)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	struct sd_breaker_ticket lost[2], t;
	struct sd_breaker_stats st;
	c.permits = 2;
	c.successes = 3;
	struct sd_breaker *b = make(&c);
	int64_t now = walk(b, S, "-----o") + 30 * S;
	ck_assert(call(b, &good, now));
	ck_assert_int_eq(sd_breaker_allow(b, now, &lost[0], NULL), SD_OK);
	ck_assert_int_eq(sd_breaker_allow(b, now + S, &lost[1], NULL), SD_OK);
	/* it is the last one lent that counts */
	ck_assert_int_eq(sd_breaker_allow(b, now + 61 * S - 1, &t, NULL), SD_ECIRCUIT);
	ck_assert_int_eq(sd_breaker_allow(b, now + 61 * S, &t, NULL), SD_OK);
	sd_breaker_stats(b, now, &st);
	ck_assert_uint_eq(st.all_lost, 2);
	ck_assert_uint_eq(st.lent, 1);
	ck_assert_uint_eq(st.probed, 1); /* what was learnt stays */
	/* who comes back after all changes nothing */
	sd_breaker_done(b, &lost[0], &good, now + 62 * S);
	sd_breaker_done(b, &lost[1], &late, now + 62 * S);
	sd_breaker_stats(b, now, &st);
	ck_assert_int_eq(st.state, HALF);
	ck_assert_uint_eq(st.lent, 1);
	ck_assert_uint_eq(st.all_late, 2);
	sd_breaker_done(b, &t, &good, now + 62 * S);
	ck_assert(call(b, &good, now + 62 * S));
	ck_assert_int_eq(state(b), CLOSED);
	sd_breaker_free(b);
}
END_TEST

/* Holders of permits die at random: it closes all the same, in a bounded time. */
START_TEST(never_stuck)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct sd_rng rng;
		struct sd_breaker_conf c = sd_breaker_defaults;
		sd_rng_seed(&rng, seed);
		c.successes = 1 + sd_rng_below(&rng, 8);
		c.permits = 1 + sd_rng_below(&rng, c.successes);
		struct sd_breaker *b = make(&c);
		int64_t now = walk(b, S, "-----o") + 30 * S, end = now + 20000 * S;
		while (state(b) != CLOSED) {
			struct sd_breaker_ticket t;
			ck_assert_msg(now < end, "seed %d: stuck", (int)seed);
			if (!sd_breaker_allow(b, now, &t, NULL) && sd_rng_below(&rng, 4) == 0)
				sd_breaker_done(b, &t, &good, now);
			now += sd_rng_below(&rng, 5) * S;
		}
		sd_breaker_free(b);
	}
}
END_TEST

START_TEST(late_results)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	struct sd_breaker_ticket old_bad, old_good, t;
	struct sd_breaker *b = make(&c);
	sd_breaker_allow(b, S, &old_bad, NULL);
	sd_breaker_allow(b, S, &old_good, NULL);
	int64_t now = walk(b, S, "-----o") + 30 * S;
	ck_assert_int_eq(sd_breaker_allow(b, now, &t, NULL), SD_OK);
	sd_breaker_done(b, &old_good, &good, now); /* counts for no probe */
	ck_assert(!call(b, &good, now));
	sd_breaker_done(b, &t, &good, now);
	ck_assert_int_eq(state(b), HALF);
	ck_assert(call(b, &good, now));
	ck_assert_int_eq(state(b), CLOSED);
	walk(b, now, "----c");
	sd_breaker_done(b, &old_bad, &late, now); /* nor is it the fifth failure */
	walk(b, now, "c-o");
	sd_breaker_free(b);
}
END_TEST

/* ---- how long ---- */

/* Opens it and says for how long; then lets it try again. */
static int64_t open_for(struct sd_breaker *b, int64_t *now)
{
	struct sd_breaker_stats st;
	do
		ck_assert(call(b, &late, *now));
	while (state(b) == CLOSED);
	sd_breaker_stats(b, *now, &st);
	ck_assert_int_eq(st.state, OPEN);
	int64_t ns = st.until_ns - *now;
	*now = st.until_ns;
	return ns;
}

START_TEST(growth)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	int64_t now = S;
	c.growth = SD_BREAKER_DOUBLING;
	c.open_ns = S;
	c.open_max_ns = 5 * S;
	c.calm_ns = 60 * S;
	struct sd_breaker *b = make(&c);
	static const int64_t want[] = {1, 2, 4, 5, 5};
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(open_for(b, &now), want[i] * S);
	/* closed, but not for long enough */
	walk(b, now, "++c");
	now += 60 * S;
	ck_assert_int_eq(open_for(b, &now), 5 * S);
	walk(b, now, "++c");
	now += 60 * S + 1;
	ck_assert_int_eq(open_for(b, &now), S);
	sd_breaker_free(b);
}
END_TEST

START_TEST(jitter)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	int64_t now = S, least = INT64_MAX, most = 0;
	c.jitter = 0.5;
	for (c.seed = 0; c.seed < 200; c.seed++) {
		struct sd_breaker *b = make(&c);
		int64_t ns = open_for(b, &now);
		least = ns < least ? ns : least;
		most = ns > most ? ns : most;
		sd_breaker_free(b);
	}
	ck_assert_int_le(most, 30 * S);
	ck_assert_int_ge(most, 29 * S);
	ck_assert_int_ge(least, 15 * S);
	ck_assert_int_le(least, 16 * S);
}
END_TEST

START_TEST(retry_after)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	struct sd_breaker_outcome asks = sd_breaker_http(503, 40 * S);
	struct sd_breaker_stats st;
	struct sd_breaker *b = make(&c);
	ck_assert(call(b, &asks, S));
	int64_t now = walk(b, S, "5----o");
	sd_breaker_stats(b, now, &st);
	ck_assert_int_eq(st.until_ns, 41 * S); /* counted from when it was asked */
	expect(b, now, "opened 0 ms ago: 5 in a row failed: 4 timed out, 1 answered 503, next probe in 35 s, as it asked");
	sd_breaker_free(b);

	c.retry_opens = true;
	b = make(&c);
	ck_assert(call(b, &asks, S));
	expect(b, S, "opened 0 ms ago: a call answered 503, next probe in 40 s, as it asked");
	sd_breaker_free(b);

	asks.retry_after_ns = INT64_MAX; /* not for ever */
	b = make(&c);
	ck_assert(call(b, &asks, S));
	sd_breaker_stats(b, S, &st);
	ck_assert_int_eq(st.until_ns, 301 * S);
	sd_breaker_free(b);

	c.retry_opens = false;
	c.retry_max_ns = 0; /* not heard */
	b = make(&c);
	ck_assert(call(b, &asks, S));
	walk(b, S, "----o");
	sd_breaker_stats(b, S, &st);
	ck_assert_int_eq(st.until_ns, 31 * S);
	sd_breaker_free(b);
}
END_TEST

/* What was asked for counts for the opening that it belongs to, and for none after it. */
START_TEST(retry_after_is_forgotten)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	struct sd_breaker_outcome asks = sd_breaker_http(503, 200 * S);
	struct sd_breaker_stats st;
	struct sd_breaker *b = make(&c);
	ck_assert(call(b, &asks, S));
	walk(b, S, "----o");
	sd_breaker_force(b, CLOSED, S);
	walk(b, 2 * S, "-----o");
	sd_breaker_stats(b, 2 * S, &st);
	ck_assert_int_eq(st.until_ns, 32 * S);
	sd_breaker_free(b);
}
END_TEST

START_TEST(without_half_open)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	c.successes = 0;
	struct sd_breaker *b = make(&c);
	int64_t now = walk(b, S, "-----oxo");
	expect(b, now, "opened 0 ms ago: 5 in a row timed out, closes in 30 s");
	walk(b, now, "999xo3-c----o");
	sd_breaker_free(b);
	b = make(&c);
	now = walk(b, S, "-----o");
	ck_assert_int_eq(sd_breaker_tick(b, now + 30 * S - 1), OPEN);
	ck_assert_int_eq(sd_breaker_tick(b, now + 30 * S), CLOSED);
	sd_breaker_free(b);
}
END_TEST

/* ---- what an answer means ---- */

START_TEST(classes)
{
	for (int status = 100; status < 600; status++) {
		struct sd_breaker_outcome o = sd_breaker_http(status, -1);
		ck_assert_int_eq(sd_breaker_failure(o.kind), status >= 500 && status != 501 && status != 505);
		ck_assert_int_eq(o.retry_after_ns, 0);
		o = sd_breaker_http(status, S);
		ck_assert_int_eq(o.retry_after_ns, status == 429 || status == 503 ? S : 0);
	}
	ck_assert_int_eq(sd_breaker_http(429, S).kind, SD_BREAKER_STATUS);
	ck_assert_int_eq(sd_breaker_http(429, S).code, 429);
	ck_assert_int_eq(sd_breaker_http(429, -1).kind, SD_BREAKER_SUCCESS);
	ck_assert_int_eq(sd_breaker_error(SD_ECANCELED).kind, SD_BREAKER_IGNORED);
	ck_assert_int_eq(sd_breaker_error(SD_EREFUSED).kind, SD_BREAKER_CONNECT);
	ck_assert_int_eq(sd_breaker_error(SD_ETIMEOUT).kind, SD_BREAKER_TIMEOUT);
	ck_assert_int_eq(sd_breaker_error(SD_EPROTO).kind, SD_BREAKER_BROKEN);
	ck_assert_int_eq(sd_breaker_error(SD_ENOMEM).kind, SD_BREAKER_ERROR);
	ck_assert_int_eq(sd_breaker_error(SD_OK).kind, SD_BREAKER_SUCCESS);
}
END_TEST

/* ---- forced, bulkhead, hooks ---- */

START_TEST(forced)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	struct sd_breaker *b = make(&c);
	sd_breaker_force(b, SD_BREAKER_FORCED_OPEN, S);
	ck_assert(!call(b, &good, S));
	ck_assert(!call(b, &good, 1000000 * S));
	expect(b, S, "forced open");
	sd_breaker_force(b, SD_BREAKER_FORCED_CLOSED, S);
	for (int i = 0; i < 9; i++)
		ck_assert(call(b, &late, S));
	expect(b, S, "forced closed: 9 in a row failed, lately 8 timed out");
	sd_breaker_force(b, CLOSED, S);
	int64_t now = walk(b, S, "c----c");
	sd_breaker_force(b, OPEN, now);
	expect(b, now + 12 * S, "opened 12 s ago: by hand, next probe in 18 s");
	ck_assert(!call(b, &good, now));
	sd_breaker_force(b, HALF, now);
	walk(b, now, "+h+c");
	sd_breaker_open_until(b, now + 7 * S, now);
	walk(b, now, "6xo1+h");
	sd_breaker_free(b);
}
END_TEST

START_TEST(bulkhead)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	struct sd_breaker_ticket t[3];
	struct sd_error e;
	struct sd_breaker_stats st;
	c.bulkhead = 2;
	struct sd_breaker *b = make(&c);
	ck_assert_int_eq(sd_breaker_allow(b, S, &t[0], NULL), SD_OK);
	ck_assert_int_eq(sd_breaker_allow(b, S, &t[1], NULL), SD_OK);
	ck_assert_int_eq(sd_breaker_allow(b, S, &t[2], &e), SD_EAGAIN);
	ck_assert_str_eq(e.text, "the bulkhead is full: 2 of 2 calls are out");
	sd_breaker_done(b, &t[2], &late, S); /* it was lent nothing */
	sd_breaker_force(b, OPEN, S);
	sd_breaker_done(b, &t[0], &good, S); /* late as a result, but its place is free */
	ck_assert_int_eq(sd_breaker_allow(b, S, &t[2], NULL), SD_ECIRCUIT);
	sd_breaker_stats(b, S, &st);
	ck_assert_uint_eq(st.out, 1); /* who is refused takes no place */
	sd_breaker_done(b, &t[1], &good, S);
	sd_breaker_stats(b, S, &st);
	ck_assert_uint_eq(st.out, 0);
	ck_assert_uint_eq(st.all_failures, 0);
	ck_assert_uint_eq(st.all_refused, 2);
	sd_breaker_free(b);
}
END_TEST

struct heard {
	char text[200];
	bool no;
};

static void hear(struct heard *h, const char *what)
{
	size_t n = strlen(h->text);
	snprintf(h->text + n, sizeof(h->text) - n, "%s ", what);
}

static void on_changed(void *arg, enum sd_breaker_state from, enum sd_breaker_state to, int64_t now_ns)
{
	char what[60];
	(void)now_ns;
	snprintf(what, sizeof(what), "%s>%s", sd_breaker_state_name(from), sd_breaker_state_name(to));
	hear(arg, what);
}

static void on_ok(void *arg, int64_t took_ns)
{
	(void)took_ns;
	hear(arg, "+");
}

static void on_failed(void *arg, const struct sd_breaker_outcome *how, int64_t took_ns)
{
	(void)took_ns;
	hear(arg, how->kind == SD_BREAKER_STATUS ? "-s" : "-");
}

static void on_refused(void *arg, int64_t now_ns)
{
	(void)now_ns;
	hear(arg, "x");
}

static bool may_open(void *arg, int64_t now_ns)
{
	struct heard *h = arg;
	(void)now_ns;
	hear(h, "may?");
	return !h->no;
}

START_TEST(hooks)
{
	struct heard h = {0};
	struct sd_breaker_conf c = sd_breaker_defaults;
	c.consecutive = 2;
	c.hooks = (struct sd_breaker_hooks){on_changed, on_ok, on_failed, on_refused, may_open, &h};
	struct sd_breaker *b = make(&c);
	h.no = true;
	walk(b, S, "-");
	ck_assert(call(b, &busy, S));
	walk(b, S, "c-c"); /* counting began anew */
	h.no = false;
	walk(b, S, "-o");
	walk(b, 40 * S, "+h+c");
	ck_assert_str_eq(h.text, "- -s may? - - may? CLOSED>OPEN OPEN>HALF-OPEN + HALF-OPEN>CLOSED + ");
	h.text[0] = '\0';
	walk(b, 41 * S, "--ox");
	ck_assert_str_eq(h.text, "- - may? CLOSED>OPEN x ");
	sd_breaker_free(b);
}
END_TEST

/* Time alone is told as well, once. */
START_TEST(hooks_of_time)
{
	struct heard h = {0};
	struct sd_breaker_conf c = sd_breaker_defaults;
	c.hooks = (struct sd_breaker_hooks){.changed = on_changed, .arg = &h};
	for (uint32_t successes = 0; successes < 2; successes++) {
		c.successes = successes;
		struct sd_breaker *b = make(&c);
		sd_breaker_open_until(b, 5 * S, S);
		h.text[0] = '\0';
		ck_assert_int_eq(sd_breaker_tick(b, 5 * S - 1), OPEN);
		ck_assert_str_eq(h.text, "");
		ck_assert_int_eq(sd_breaker_tick(b, 5 * S), successes ? HALF : CLOSED);
		ck_assert_int_eq(sd_breaker_tick(b, 5 * S), successes ? HALF : CLOSED);
		ck_assert_str_eq(h.text, successes ? "OPEN>HALF-OPEN " : "OPEN>CLOSED ");
		sd_breaker_free(b);
	}
}
END_TEST

/* What was not asked for counts while it is closed in either way, and for nothing else. */
START_TEST(records)
{
	static const enum sd_breaker_state states[] = {CLOSED, SD_BREAKER_FORCED_CLOSED, OPEN, HALF, SD_BREAKER_FORCED_OPEN};
	struct sd_breaker *b = make(&sd_breaker_defaults);
	struct sd_breaker_stats st;
	for (uint64_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		sd_breaker_force(b, states[i], S);
		sd_breaker_record(b, &late, 0, S);
		sd_breaker_stats(b, S, &st);
		ck_assert_uint_eq(st.all_failures, i < 2 ? i + 1 : 2);
		ck_assert_uint_eq(st.in_a_row, i < 2);
		ck_assert_int_eq(st.state, states[i]);
	}
	sd_breaker_free(b);
}
END_TEST

struct caller {
	int64_t now;
	enum sd_err err;
	int made;
};

static int64_t caller_now(void *arg)
{
	return ((struct caller *)arg)->now;
}

static enum sd_err caller_run(void *arg, struct sd_breaker_outcome *how)
{
	struct caller *c = arg;
	c->made++;
	if (c->err == SD_ETIMEOUT)
		*how = sd_breaker_error(c->err);
	return c->err;
}

START_TEST(calls)
{
	struct caller c = {.now = S, .err = SD_EIO};
	struct sd_breaker_call how = {caller_now, caller_run, &c};
	struct sd_breaker *b = make(&sd_breaker_defaults);
	struct sd_error e;
	for (int i = 0; i < 5; i++) {
		c.err = i < 3 ? SD_EIO : SD_ETIMEOUT;
		ck_assert_int_eq(sd_breaker_call(b, &how, NULL), c.err);
	}
	ck_assert_int_eq(sd_breaker_call(b, &how, &e), SD_ECIRCUIT);
	ck_assert_str_eq(e.text, "opened 0 ms ago: 5 in a row failed: 2 timed out, 3 failed, next probe in 30 s");
	ck_assert_int_eq(c.made, 5);
	c = (struct caller){.now = 31 * S};
	ck_assert_int_eq(sd_breaker_call(b, &how, &e), SD_OK);
	ck_assert_int_eq(sd_breaker_call(b, &how, &e), SD_OK);
	ck_assert_int_eq(state(b), CLOSED);
	sd_breaker_free(b);
}
END_TEST

/* ---- why ---- */

START_TEST(reasons)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	struct sd_breaker_failure last[SD_BREAKER_LAST];
	c.consecutive = 0;
	c.failure_rate = 0.6;
	c.window = c.minimum = 10;
	struct sd_breaker *b = make(&c);
	walk(b, S, "++++-----");
	expect(b, S, "closed: 5 of 9 timed out");
	walk(b, S, "-o");
	expect(b, 13 * S, "opened 12 s ago: 6 of 10 timed out, next probe in 18 s");
	expect(b, 13 * S + 1, "opened 12 s ago: 6 of 10 timed out, next probe in 18 s");
	expect(b, 30 * S + S / 2, "opened 29 s ago: 6 of 10 timed out, next probe in 500 ms");
	expect(b, 31 * S, "opened 30 s ago: 6 of 10 timed out, next probe with the next call");
	expect(b, 4000 * S, "opened 66 min ago: 6 of 10 timed out, next probe with the next call");
	ck_assert(call(b, &refused, 31 * S));
	expect(b, 33 * S, "opened 2 s ago: a probe could not connect, next probe in 28 s");
	sd_breaker_force(b, CLOSED, 40 * S);
	for (int i = 0; i < 10; i++)
		ck_assert(call(b, i < 4 ? &good : i < 6 ? &busy : &late, 41 * S));
	expect(b, 41 * S, "opened 0 ms ago: 6 of 10 failed: 4 timed out, 2 answered 503, next probe in 30 s");
	ck_assert_uint_eq(sd_breaker_last(b, last, SD_BREAKER_LAST), SD_BREAKER_LAST);
	ck_assert_int_eq(last[0].kind, SD_BREAKER_TIMEOUT);
	ck_assert_int_eq(last[4].kind, SD_BREAKER_STATUS);
	ck_assert_int_eq(last[5].code, 503);
	ck_assert_int_eq(last[6].kind, SD_BREAKER_CONNECT);
	ck_assert_int_eq(last[6].at_ns, 31 * S);
	sd_breaker_free(b);
}
END_TEST

/* ---- nonsense ---- */

START_TEST(nonsense)
{
#define BAD(word, ...)                                                                                                 \
	{                                                                                                              \
		struct sd_breaker_conf c = sd_breaker_defaults;                                                        \
		struct sd_breaker *b;                                                                                  \
		struct sd_error e = {0};                                                                               \
		__VA_ARGS__;                                                                                           \
		ck_assert_int_ne(sd_breaker_new(&c, &b, &e), SD_OK);                                                   \
		ck_assert_ptr_null(b);                                                                                 \
		ck_assert_msg(strstr(e.text, word) == e.text, "expected %s, found %s", word, e.text);                  \
	}
	BAD("no rule", c.consecutive = 0)
	BAD("minimum", c.failure_rate = 0.5, c.window = 10, c.minimum = 11)
	BAD("minimum", c.failure_rate = 0.5, c.window = 10)
	BAD("minimum", c.minimum = 3)
	BAD("failures", c.failures = 11, c.window = 10)
	BAD("window", c.failures = 3)
	BAD("window", c.failure_rate = 0.5, c.minimum = 3)
	BAD("window", c.window = 10)
	BAD("window and", c.failures = 3, c.window = 10, c.window_ns = S)
	BAD("window:", c.failures = 3, c.window = SD_BREAKER_MAX_WINDOW + 1)
	BAD("window_ns", c.failures = 3, c.window_ns = 9999999)
	BAD("window", c.window_ns = -1)
	BAD("failure_rate", c.failure_rate = 1.1, c.window = 10, c.minimum = 5)
	BAD("failure_rate", c.failure_rate = -1)
	BAD("failure_rate", c.failure_rate = __builtin_nan(""))
	BAD("slow_rate", c.slow_rate = 2)
	BAD("slow_ns", c.slow_ns = S)
	BAD("slow_ns", c.slow_rate = 0.5, c.window = 10, c.minimum = 5)
	BAD("open_ns", c.open_ns = 0)
	BAD("growth", c.growth = 7)
	BAD("open_max_ns", c.open_max_ns = S)
	BAD("open_max_ns", c.growth = SD_BREAKER_LINEAR)
	BAD("jitter", c.jitter = 1.5)
	BAD("calm_ns", c.calm_ns = -1)
	BAD("retry_opens", c.retry_opens = true, c.retry_max_ns = 0)
	BAD("permits", c.permits = 0)
	BAD("permits", c.permit_ns = 0)
	BAD("permits", c.permits = 3)
	BAD("permits", c.bulkhead = 1, c.permits = 2)
	BAD("successes", c.successes = SD_BREAKER_MAX_PERMITS + 1)
#undef BAD
}
END_TEST

/* ---- beside a model that remembers everything ---- */

struct entry {
	int64_t at;
	bool bad, slow;
};

struct model {
	const struct sd_breaker_conf *c;
	enum sd_breaker_state state;
	struct entry entries[4000]; /* of this generation */
	uint32_t n, gen, in_a_row, openings, lent, probed;
	int64_t until, closed, lease, retry;
};

static void model_sum(const struct model *m, int64_t now, uint32_t sum[3])
{
	int64_t part = (m->c->window_ns + 9) / 10;
	memset(sum, 0, 3 * sizeof(*sum));
	for (uint32_t i = 0; i < m->n; i++) {
		if (part ? m->entries[i].at / part <= now / part - 10 : m->n - i > m->c->window)
			continue;
		sum[0]++;
		sum[1] += m->entries[i].bad;
		sum[2] += m->entries[i].slow;
	}
}

static void model_enter(struct model *m, enum sd_breaker_state state, int64_t now)
{
	m->gen++;
	if (state == OPEN) {
		bool calm = m->state == CLOSED && (m->c->calm_ns == 0 || now - m->closed > m->c->calm_ns);
		m->openings = calm ? 1 : m->openings + 1;
		int64_t wait = m->c->open_ns;
		for (uint32_t i = 1; m->c->growth && i < m->openings && wait < m->c->open_max_ns; i++)
			wait += m->c->growth == SD_BREAKER_DOUBLING ? wait : m->c->open_ns;
		if (m->c->growth && wait > m->c->open_max_ns)
			wait = m->c->open_max_ns;
		m->until = now + wait > m->retry ? now + wait : m->retry;
		m->retry = 0;
	}
	if (state == CLOSED)
		m->closed = now;
	m->state = state;
	m->n = m->in_a_row = m->lent = m->probed = 0;
}

static bool model_allow(struct model *m, int64_t now)
{
	if (m->state == OPEN && now >= m->until)
		model_enter(m, m->c->successes ? HALF : CLOSED, now);
	if (m->state != HALF)
		return m->state == CLOSED;
	if (m->lent == m->c->permits && now >= m->lease) {
		m->gen++;
		m->lent = 0;
	}
	if (m->lent == m->c->permits)
		return false;
	m->lent++;
	m->lease = now + m->c->permit_ns;
	return true;
}

static void model_closed_done(struct model *m, bool bad, bool slow, int64_t now)
{
	const struct sd_breaker_conf *c = m->c;
	uint32_t sum[3];
	m->entries[m->n++] = (struct entry){now, bad, slow};
	m->in_a_row = bad ? m->in_a_row + 1 : 0;
	model_sum(m, now, sum);
	bool enough = c->minimum && sum[0] >= c->minimum;
	if (!bad && !slow)
		return;
	if ((c->consecutive && m->in_a_row >= c->consecutive) || (c->failures && sum[1] >= c->failures) ||
	    (enough && c->failure_rate > 0 && sum[1] >= c->failure_rate * sum[0]) ||
	    (enough && c->slow_rate > 0 && sum[2] >= c->slow_rate * sum[0]))
		model_enter(m, OPEN, now);
}

static void model_done(struct model *m, uint32_t gen, const struct sd_breaker_outcome *how, int64_t took, int64_t now)
{
	bool bad = how->kind >= SD_BREAKER_CONNECT, slow = m->c->slow_ns && took >= m->c->slow_ns;
	if (gen != m->gen)
		return;
	if (bad && how->retry_after_ns && now + how->retry_after_ns > m->retry)
		m->retry = now + how->retry_after_ns;
	if (how->kind == SD_BREAKER_IGNORED)
		m->lent -= m->state == HALF;
	else if (m->state == CLOSED)
		model_closed_done(m, bad, slow, now);
	else if (bad || slow)
		model_enter(m, OPEN, now);
	else if (m->lent--, ++m->probed >= m->c->successes)
		model_enter(m, CLOSED, now);
}

static struct sd_breaker_conf any_conf(struct sd_rng *r)
{
	struct sd_breaker_conf c = {.open_ns = S + sd_rng_below(r, 10) * S, .permit_ns = 3 * S, .retry_max_ns = 100 * S};
	bool time = sd_rng_below(r, 2);
	c.consecutive = sd_rng_below(r, 2) * (2 + sd_rng_below(r, 6));
	uint32_t window = 1 + sd_rng_below(r, 20);
	c.failures = sd_rng_below(r, 2) * (1 + sd_rng_below(r, window));
	c.failure_rate = sd_rng_below(r, 2) * (1 + sd_rng_below(r, 10)) / 10.0;
	c.slow_rate = sd_rng_below(r, 2) * (1 + sd_rng_below(r, 10)) / 10.0;
	c.slow_ns = c.slow_rate > 0 ? 2 * S : 0;
	c.minimum = c.slow_rate > 0 || c.failure_rate > 0 ? 1 + sd_rng_below(r, window) : 0;
	if (c.minimum || c.failures)
		*(time ? &c.window_ns : &(int64_t){0}) = (int64_t)window * S + 7, c.window = time ? 0 : window;
	else if (!c.consecutive)
		c.consecutive = 3;
	c.growth = (enum sd_breaker_growth)sd_rng_below(r, 3);
	c.open_max_ns = c.growth ? c.open_ns * 4 : 0;
	c.calm_ns = sd_rng_below(r, 2) * 20 * S;
	c.successes = sd_rng_below(r, 5);
	c.permits = c.successes ? 1 + sd_rng_below(r, c.successes) : 0;
	return c;
}

static struct sd_breaker_outcome any_outcome(struct sd_rng *r, uint32_t trouble)
{
	struct sd_breaker_outcome o = {.kind = SD_BREAKER_SUCCESS};
	if (sd_rng_below(r, 10) == 0)
		o.kind = SD_BREAKER_IGNORED;
	else if (sd_rng_below(r, 10) < trouble)
		o = sd_rng_below(r, 9) ? late : sd_breaker_http(503, sd_rng_below(r, 20) * S);
	return o;
}

#define OUT 6

START_TEST(as_the_model)
{
	struct model *m = malloc(sizeof(*m));
	unsigned seen[3] = {0};
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct sd_rng r;
		sd_rng_seed(&r, seed);
		struct sd_breaker_conf c = any_conf(&r);
		struct sd_breaker *b = make(&c);
		struct sd_breaker_ticket t[OUT];
		uint32_t gens[OUT], n = 0, trouble = 3;
		*m = (struct model){.c = &c, .closed = INT64_MIN / 4};
		int64_t now = S;
		for (int step = 0; step < 1500; step++) {
			trouble = sd_rng_below(&r, 60) ? trouble : sd_rng_below(&r, 11);
			now += sd_rng_below(&r, 3) ? sd_rng_below(&r, S) : sd_rng_below(&r, 2 * S);
			if (n < OUT && sd_rng_below(&r, 2)) {
				bool let = !sd_breaker_allow(b, now, &t[n], NULL);
				ck_assert_msg(let == model_allow(m, now), "seed %d step %d: allowed %d", (int)seed, step, let);
				gens[n] = m->gen;
				n += let && sd_rng_below(&r, 30); /* some are lost */
			} else if (n) {
				uint32_t i = sd_rng_below(&r, n);
				struct sd_breaker_outcome how = any_outcome(&r, trouble);
				model_done(m, gens[i], &how, now - t[i].began_ns, now);
				sd_breaker_done(b, &t[i], &how, now);
				t[i] = t[--n];
				gens[i] = gens[n];
			}
			struct sd_breaker_stats st;
			uint32_t sum[3];
			sd_breaker_stats(b, now, &st);
			model_sum(m, now, sum);
			seen[m->state]++;
			ck_assert_msg(st.state == m->state, "seed %d step %d: %d for %d", (int)seed, step, st.state, m->state);
			ck_assert_msg(m->state != OPEN || st.until_ns == m->until, "seed %d step %d: until", (int)seed, step);
			ck_assert_msg(m->state != HALF || (st.lent == m->lent && st.probed == m->probed), "seed %d step %d", (int)seed, step);
			if (m->state == CLOSED)
				ck_assert_msg(st.in_a_row == m->in_a_row && (!(c.window || c.window_ns) || (st.calls == sum[0] &&
					      st.failures == sum[1] && st.slow == sum[2])), "seed %d step %d: sums", (int)seed, step);
		}
		sd_breaker_free(b);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_uint_gt(seen[i], 15 * SEEDS);
	free(m);
}
END_TEST

/* ---- many threads ---- */

struct crowd {
	struct sd_breaker *b;
	int64_t now; /* atomic: virtual, one step a call */
	uint32_t out, most, over, wrong, permits;
	uint64_t let;
	uint64_t half;
};

struct member {
	struct crowd *crowd;
	uint64_t seed;
	pthread_t thread;
	int rounds;
};

#define PROBES 300 /* that are let through at least, however the threads come to run */

/* Probes that are out at a time, as those who hold them count: one permit, and a failure opens it again. */
static void *knock(void *arg)
{
	struct member *m = arg;
	struct crowd *c = m->crowd;
	struct sd_rng r;
	sd_rng_seed(&r, m->seed);
	for (int i = 0; i < m->rounds || __atomic_load_n(&c->let, __ATOMIC_RELAXED) < PROBES; i++) {
		struct sd_breaker_ticket t;
		int64_t now = __atomic_add_fetch(&c->now, 1, __ATOMIC_RELAXED);
		if (sd_breaker_allow(c->b, now, &t, NULL)) {
			if (i >= m->rounds)
				sched_yield();
			continue;
		}
		uint32_t out = __atomic_add_fetch(&c->out, 1, __ATOMIC_SEQ_CST), most = __atomic_load_n(&c->most, __ATOMIC_RELAXED);
		while (out > most && !__atomic_compare_exchange_n(&c->most, &most, out, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			;
		__atomic_add_fetch(&c->let, 1, __ATOMIC_RELAXED);
		if (sd_rng_below(&r, 4) == 0)
			sched_yield();
		__atomic_sub_fetch(&c->out, 1, __ATOMIC_SEQ_CST);
		sd_breaker_done(c->b, &t, sd_rng_below(&r, 3) ? &ignored : &late, __atomic_load_n(&c->now, __ATOMIC_RELAXED));
	}
	return NULL;
}

static void run_crowd(struct crowd *c, void *(*fn)(void *), int threads, int rounds)
{
	struct member *all = calloc((size_t)threads, sizeof(*all));
	for (int i = 0; i < threads; i++) {
		all[i] = (struct member){.crowd = c, .seed = (uint64_t)i + 1, .rounds = rounds};
		ck_assert_int_eq(pthread_create(&all[i].thread, NULL, fn, &all[i]), 0);
	}
	for (int i = 0; i < threads; i++)
		pthread_join(all[i].thread, NULL);
	free(all);
}

#ifdef SD_SANITIZED
#define ROUNDS 500
#else
#define ROUNDS 1500
#endif

START_TEST(no_more_than_permits)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	struct crowd crowd = {.now = 1};
	struct sd_breaker_stats st;
	c.open_ns = 40; /* so that it goes half-open again and again */
	c.permit_ns = INT64_MAX;
	c.successes = 1000;
	crowd.b = make(&c);
	sd_breaker_force(crowd.b, OPEN, 1);
	run_crowd(&crowd, knock, 64, ROUNDS);
	sd_breaker_stats(crowd.b, crowd.now, &st);
	ck_assert_uint_eq(crowd.most, 1);
	ck_assert_uint_ge(crowd.let, PROBES);
	ck_assert_uint_gt(st.all_opened, 20);
	sd_breaker_free(crowd.b);
}
END_TEST

/* The same with nothing but good and ignored ends, so that it stays half-open: never more than the permits. */
static void *probe(void *arg)
{
	struct member *m = arg;
	struct crowd *c = m->crowd;
	struct sd_rng r;
	sd_rng_seed(&r, m->seed);
	for (int i = 0; i < m->rounds || __atomic_load_n(&c->let, __ATOMIC_RELAXED) < PROBES; i++) {
		struct sd_breaker_ticket t;
		if (sd_breaker_allow(c->b, 100, &t, NULL)) {
			if (i >= m->rounds)
				sched_yield();
			continue;
		}
		if (__atomic_add_fetch(&c->out, 1, __ATOMIC_SEQ_CST) > c->permits)
			__atomic_add_fetch(&c->over, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&c->let, 1, __ATOMIC_RELAXED);
		if (sd_rng_below(&r, 4) == 0)
			sched_yield();
		__atomic_sub_fetch(&c->out, 1, __ATOMIC_SEQ_CST);
		sd_breaker_done(c->b, &t, &ignored, 100);
	}
	return NULL;
}

START_TEST(no_more_than_permits_that_stay)
{
	static const uint32_t many[] = {1, 3, 8};
	for (int i = 0; i < 3; i++) {
		struct sd_breaker_conf c = sd_breaker_defaults;
		struct crowd crowd = {.permits = many[i]};
		struct sd_breaker_stats st;
		c.permits = many[i];
		c.successes = 1000;
		crowd.b = make(&c);
		sd_breaker_open_until(crowd.b, 100, 1);
		run_crowd(&crowd, probe, 64, ROUNDS);
		ck_assert_uint_eq(crowd.over, 0);
		ck_assert_uint_ge(crowd.let, PROBES);
		sd_breaker_stats(crowd.b, 100, &st);
		ck_assert_uint_eq(st.lent, 0); /* all came back */
		ck_assert_int_eq(st.state, HALF);
		sd_breaker_free(crowd.b);
	}
}
END_TEST

/* Sums do not drift: when all is quiet they are those of the window. */
static void *count(void *arg)
{
	struct member *m = arg;
	struct sd_rng r;
	sd_rng_seed(&r, m->seed);
	for (int i = 0; i < m->rounds; i++) {
		struct sd_breaker_ticket t;
		if (m->seed == 1 && i % 100 == 0)
			sd_breaker_force(m->crowd->b, SD_BREAKER_FORCED_CLOSED, 5);
		ck_assert_int_eq(sd_breaker_allow(m->crowd->b, 5, &t, NULL), SD_OK);
		sd_breaker_done(m->crowd->b, &t, sd_rng_below(&r, 2) ? &good : &late, 5);
	}
	return NULL;
}

START_TEST(sums_do_not_drift)
{
	static const uint32_t windows[] = {1, 7, 500};
	for (int i = 0; i < 3; i++) {
		struct sd_breaker_conf c = sd_breaker_defaults;
		struct crowd crowd = {0};
		struct sd_breaker_stats st;
		c.window = windows[i];
		c.failures = windows[i];
		crowd.b = make(&c);
		sd_breaker_force(crowd.b, SD_BREAKER_FORCED_CLOSED, 5);
		run_crowd(&crowd, count, 8, ROUNDS);
		/* good ones push out all that was */
		for (uint32_t k = 0; k < windows[i]; k++)
			ck_assert(call(crowd.b, &good, 5));
		sd_breaker_stats(crowd.b, 5, &st);
		ck_assert_uint_eq(st.failures, 0);
		ck_assert_uint_eq(st.calls, windows[i]);
		ck_assert_uint_eq(st.in_a_row, 0);
		sd_breaker_free(crowd.b);
	}
}
END_TEST

/* Tags go round; what is counted after them is not lost. */
START_TEST(many_generations)
{
	struct sd_breaker_conf c = sd_breaker_defaults;
	c.consecutive = 0;
	c.failures = 3;
	for (int time = 0; time < 2; time++) {
		c.window = time ? 0 : 10;
		c.window_ns = time ? 100 * S : 0;
		struct sd_breaker *b = make(&c);
		for (int i = 0; i < GENERATIONS; i++) {
			if (i % 997 == 0)
				walk(b, S, "--c-o");
			sd_breaker_force(b, i % 3 ? HALF : CLOSED, S);
			if (i % 3 == 0 && i % 1009 == 0)
				walk(b, S, "--c-o");
			sd_breaker_force(b, CLOSED, S);
		}
		sd_breaker_free(b);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("breaker");
	TCase *t = tcase_create("breaker");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, consecutive);
	tcase_add_test(t, failures_within_calls);
	tcase_add_test(t, rate_of_calls);
	tcase_add_test(t, rate_of_time);
	tcase_add_test(t, slow_calls);
	tcase_add_test(t, permits);
	tcase_add_test(t, lost_permit);
	tcase_add_test(t, never_stuck);
	tcase_add_test(t, late_results);
	tcase_add_test(t, growth);
	tcase_add_test(t, jitter);
	tcase_add_test(t, retry_after);
	tcase_add_test(t, retry_after_is_forgotten);
	tcase_add_test(t, without_half_open);
	tcase_add_test(t, classes);
	tcase_add_test(t, forced);
	tcase_add_test(t, bulkhead);
	tcase_add_test(t, hooks);
	tcase_add_test(t, hooks_of_time);
	tcase_add_test(t, records);
	tcase_add_test(t, calls);
	tcase_add_test(t, reasons);
	tcase_add_test(t, nonsense);
	tcase_add_test(t, as_the_model);
	tcase_add_test(t, no_more_than_permits);
	tcase_add_test(t, no_more_than_permits_that_stay);
	tcase_add_test(t, sums_do_not_drift);
	tcase_add_test(t, many_generations);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
