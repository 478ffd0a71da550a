/* breaker.c - the states and what moves between them. The word and its invariants are in breaker_int.h. */
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "breaker_int.h"

#define TICKET_LENT   1u /* there is something to give back */
#define TICKET_PROBE  2u
#define TICKET_PLACE  4u /* in the bulkhead */
#define TICKET_GEN    3
#define LONG_AGO      (INT64_MIN / 4)

_Static_assert((int)SD_BREAKER_LINEAR == (int)SD_GROW_LINEAR && (int)SD_BREAKER_DOUBLING == (int)SD_GROW_DOUBLING,
	       "two names of one thing");
_Static_assert(sizeof(struct sd_breaker) <= 640, "what the header says it costs");

enum sd_err sd_breaker_new(const struct sd_breaker_conf *conf, struct sd_breaker **out, struct sd_error *e)
{
	*out = NULL;
	enum sd_err err = sd_breaker_conf_check(conf, e);
	if (err)
		return err;
	size_t slots = conf->window, buckets = conf->window_ns > 0 ? BUCKETS : 0;
	size_t n = sizeof(struct sd_breaker) + slots * sizeof(uint32_t) + buckets * sizeof(struct bucket);
	n = (n + 63) / 64 * 64;
	struct sd_breaker *b = aligned_alloc(64, n);
	if (!b)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	memset(b, 0, n);
	b->conf = *conf;
	b->bucket_ns = (conf->window_ns + BUCKETS - 1) / BUCKETS;
	b->slots = slots ? (void *)(b + 1) : NULL;
	b->buckets = buckets ? (void *)(b + 1) : NULL;
	sd_rng_seed(&b->rng, conf->seed);
	WRITE(b->word, 1ull << WORD_GEN | SD_BREAKER_CLOSED);
	WRITE(b->lease_ns, LONG_AGO);
	WRITE(b->retry_ns, LONG_AGO);
	*out = b;
	return SD_OK;
}

void sd_breaker_free(struct sd_breaker *b)
{
	free(b);
}

static void raise_to(_Atomic int64_t *at, int64_t ns)
{
	int64_t has = atomic_load_explicit(at, memory_order_relaxed);
	while (has < ns && !SWAP(*at, &has, ns))
		;
}

static void say_changed(const struct sd_breaker *b, uint64_t was, enum sd_breaker_state to, int64_t now_ns)
{
	const struct sd_breaker_hooks *h = &b->conf.hooks;
	if (h->changed && word_state(was) != to)
		h->changed(h->arg, word_state(was), to, now_ns);
}

/* ---- opening ---- */

/* What an opening is. Only while BUSY. */
static void set_open(struct sd_breaker *b, uint64_t was, int64_t now_ns, int64_t until_ns)
{
	const struct sd_breaker_conf *c = &b->conf;
	struct sd_backoff wait = {c->open_ns, c->open_max_ns, (enum sd_growth)c->growth, c->jitter};
	bool calm = word_state(was) == SD_BREAKER_CLOSED && (c->calm_ns == 0 || now_ns - READ(b->closed_ns) > c->calm_ns);
	uint32_t n = calm ? 1 : READ(b->openings) < UINT32_MAX ? READ(b->openings) + 1 : UINT32_MAX;
	int64_t open_ns = sd_backoff(&wait, n, c->jitter > 0 ? sd_rng_unit(&b->rng) : 0);
	int64_t until = until_ns > now_ns ? until_ns : open_ns < INT64_MAX - now_ns ? now_ns + open_ns : INT64_MAX;
	int64_t retry = READ(b->retry_ns);
	WRITE(b->asked, retry > until);
	WRITE(b->until_ns, retry > until ? retry : until);
	WRITE(b->retry_ns, LONG_AGO);
	WRITE(b->openings, n);
	WRITE(b->opened_ns, now_ns);
}

static void set_why(struct sd_breaker *b, uint64_t was, enum rule rule, const struct counts *sum)
{
	WRITE(b->why_rule, (uint8_t)rule);
	WRITE(b->why_gen, word_gen(was));
	WRITE(b->why_calls, sum->calls);
	WRITE(b->why_failures, sum->failures);
	WRITE(b->why_slow, sum->slow);
	WRITE(b->why_in_a_row, sum->in_a_row);
}

/* False: something else changed first. */
static bool open_it(struct sd_breaker *b, uint64_t was, enum rule rule, const struct counts *sum, int64_t now_ns, int64_t until_ns)
{
	uint64_t is = word_next(was, SD_BREAKER_OPEN);
	if (!atomic_compare_exchange_strong_explicit(&b->word, &was, is | WORD_BUSY, memory_order_acq_rel, memory_order_relaxed))
		return false;
	set_open(b, was, now_ns, until_ns);
	set_why(b, was, rule, sum);
	sd_breaker_count_anew(b, word_gen(is));
	COUNT(b->opened);
	atomic_store_explicit(&b->word, is, memory_order_release);
	say_changed(b, was, SD_BREAKER_OPEN, now_ns);
	return true;
}

/* Which rule do these counts meet? -1: none. */
static int rule_met(const struct sd_breaker_conf *c, const struct counts *sum)
{
	if (c->consecutive && sum->in_a_row >= c->consecutive)
		return RULE_CONSECUTIVE;
	if (c->failures && sum->failures >= c->failures)
		return RULE_FAILURES;
	if (c->minimum == 0 || sum->calls < c->minimum)
		return -1;
	if (c->failure_rate > 0 && (double)sum->failures >= c->failure_rate * (double)sum->calls)
		return RULE_RATE;
	if (c->slow_rate > 0 && (double)sum->slow >= c->slow_rate * (double)sum->calls)
		return RULE_SLOW;
	return -1;
}

static void trip(struct sd_breaker *b, uint64_t w, enum rule rule, const struct counts *sum, int64_t now_ns)
{
	const struct sd_breaker_hooks *h = &b->conf.hooks;
	if (h->may_open && !h->may_open(h->arg, now_ns)) {
		/* counting begins anew; whoever was faster has done that already */
		atomic_compare_exchange_strong_explicit(&b->word, &w, word_next(w, SD_BREAKER_CLOSED), memory_order_acq_rel,
							memory_order_relaxed);
		return;
	}
	open_it(b, w, rule, sum, now_ns, 0);
}

/* ---- results ---- */

static bool is_slow(const struct sd_breaker *b, int64_t took_ns)
{
	return b->conf.slow_ns > 0 && took_ns >= b->conf.slow_ns;
}

static void tell(struct sd_breaker *b, const struct sd_breaker_outcome *how, int64_t took_ns)
{
	const struct sd_breaker_hooks *h = &b->conf.hooks;
	if (sd_breaker_failure(how->kind) && h->failed)
		h->failed(h->arg, how, took_ns);
	else if (!sd_breaker_failure(how->kind) && h->succeeded)
		h->succeeded(h->arg, took_ns);
}

/* What a failure leaves behind beside its count. */
static void failed(struct sd_breaker *b, uint64_t gen, const struct sd_breaker_outcome *how, int64_t now_ns)
{
	int64_t max = b->conf.retry_max_ns, retry = how->retry_after_ns < max ? how->retry_after_ns : max;
	sd_breaker_note(b, gen, how, now_ns);
	if (retry > 0)
		raise_to(&b->retry_ns, retry < INT64_MAX - now_ns ? now_ns + retry : INT64_MAX);
}

/* A call ended that began in this generation, which is closed in the one way or the other. */
static void counted(struct sd_breaker *b, uint64_t w, const struct sd_breaker_outcome *how, int64_t took_ns, int64_t now_ns)
{
	struct counts sum;
	bool bad = sd_breaker_failure(how->kind), slow = is_slow(b, took_ns);
	if (how->kind == SD_BREAKER_IGNORED)
		return;
	if (bad)
		failed(b, word_gen(w), how, now_ns);
	bool changed = sd_breaker_count(b, word_gen(w), bad, slow, now_ns, &sum);
	tell(b, how, took_ns);
	if (!changed || !(bad || slow) || word_state(w) != SD_BREAKER_CLOSED)
		return;
	int rule = bad && b->conf.retry_opens && how->retry_after_ns > 0 ? (int)RULE_RETRY : rule_met(&b->conf, &sum);
	if (rule >= 0)
		trip(b, w, (enum rule)rule, &sum, now_ns);
}

static bool close_it(struct sd_breaker *b, uint64_t was, int64_t now_ns)
{
	raise_to(&b->closed_ns, now_ns);
	if (!SWAP(b->word, &was, word_next(was, SD_BREAKER_CLOSED)))
		return false;
	say_changed(b, was, SD_BREAKER_CLOSED, now_ns);
	return true;
}

/* A probe came back; false: the word was another one. */
static bool probe_back(struct sd_breaker *b, uint64_t w, const struct sd_breaker_outcome *how, bool bad, int64_t now_ns)
{
	static const struct counts none = {0};
	if (how->kind == SD_BREAKER_IGNORED)
		return SWAP(b->word, &w, w - WORD_LENT);
	if (bad)
		return open_it(b, w, RULE_PROBE, &none, now_ns, 0);
	if (word_probed(w) + 1 >= b->conf.successes)
		return close_it(b, w, now_ns);
	return SWAP(b->word, &w, w - WORD_LENT + WORD_PROBED);
}

static void probe_done(struct sd_breaker *b, uint64_t w, const struct sd_breaker_outcome *how, int64_t took_ns, int64_t now_ns)
{
	uint64_t gen = word_gen(w);
	bool bad = sd_breaker_failure(how->kind) || (how->kind == SD_BREAKER_SUCCESS && is_slow(b, took_ns));
	if (sd_breaker_failure(how->kind))
		failed(b, gen, how, now_ns);
	while (!probe_back(b, w, how, bad, now_ns)) {
		w = atomic_load_explicit(&b->word, memory_order_acquire);
		if (word_gen(w) != gen) {
			COUNT(b->late);
			return;
		}
	}
	if (how->kind != SD_BREAKER_IGNORED)
		tell(b, how, took_ns);
}

void sd_breaker_done(struct sd_breaker *b, struct sd_breaker_ticket *t, const struct sd_breaker_outcome *how, int64_t now_ns)
{
	uint64_t ticket = t->word;
	t->word = 0;
	if (!(ticket & TICKET_LENT))
		return;
	if (ticket & TICKET_PLACE)
		atomic_fetch_sub_explicit(&b->out, 1, memory_order_release);
	uint64_t w = atomic_load_explicit(&b->word, memory_order_acquire);
	if (word_gen(w) != ticket >> TICKET_GEN)
		COUNT(b->late);
	else if (ticket & TICKET_PROBE)
		probe_done(b, w, how, now_ns - t->began_ns, now_ns);
	else
		counted(b, w, how, now_ns - t->began_ns, now_ns);
}

void sd_breaker_record(struct sd_breaker *b, const struct sd_breaker_outcome *how, int64_t took_ns, int64_t now_ns)
{
	uint64_t w = atomic_load_explicit(&b->word, memory_order_acquire);
	if (word_state(w) == SD_BREAKER_CLOSED || word_state(w) == SD_BREAKER_FORCED_CLOSED)
		counted(b, w, how, took_ns, now_ns);
}

/* ---- allowing ---- */

/* Lends a permit of the generation that follows w, in which `state` holds. False: the word was another one. */
static bool lend_next(struct sd_breaker *b, uint64_t was, uint64_t is, int64_t now_ns)
{
	int64_t lease = b->conf.permit_ns;
	raise_to(&b->lease_ns, lease < INT64_MAX - now_ns ? now_ns + lease : INT64_MAX);
	return SWAP(b->word, &was, is);
}

/* The word after a permit is lent out of w; 0: there is none to lend. */
static uint64_t lent(struct sd_breaker *b, uint64_t w, int64_t now_ns)
{
	bool busy = w & WORD_BUSY;
	if (word_state(w) == SD_BREAKER_OPEN && !busy && now_ns >= READ(b->until_ns))
		return word_next(w, SD_BREAKER_HALF_OPEN) + WORD_LENT;
	if (word_state(w) != SD_BREAKER_HALF_OPEN)
		return 0;
	if (word_lent(w) < b->conf.permits)
		return w + WORD_LENT;
	if (now_ns >= READ(b->lease_ns)) /* all lost; what was learnt stays */
		return word_next(w, SD_BREAKER_HALF_OPEN) + word_probed(w) * WORD_PROBED + WORD_LENT;
	return 0;
}

static enum sd_err refuse(struct sd_breaker *b, int64_t now_ns, struct sd_breaker_ticket *t, struct sd_error *e)
{
	char why[SD_BREAKER_REASON];
	if (t->word & TICKET_PLACE)
		atomic_fetch_sub_explicit(&b->out, 1, memory_order_relaxed);
	t->word = 0;
	COUNT(b->refused);
	if (b->conf.hooks.refused)
		b->conf.hooks.refused(b->conf.hooks.arg, now_ns);
	return e ? sd_fail(e, SD_ECIRCUIT, "%s", sd_breaker_reason(b, now_ns, why)) : SD_ECIRCUIT;
}

static enum sd_err allow_open(struct sd_breaker *b, uint64_t w, int64_t now_ns, struct sd_breaker_ticket *t, struct sd_error *e)
{
	for (;; w = atomic_load_explicit(&b->word, memory_order_acquire)) {
		enum sd_breaker_state state = word_state(w);
		if (state == SD_BREAKER_OPEN && b->conf.successes == 0 && !(w & WORD_BUSY) && now_ns >= READ(b->until_ns)) {
			close_it(b, w, now_ns);
			continue;
		}
		if (state == SD_BREAKER_CLOSED || state == SD_BREAKER_FORCED_CLOSED) {
			t->word |= word_gen(w) << TICKET_GEN | TICKET_LENT;
			return SD_OK;
		}
		uint64_t is = lent(b, w, now_ns);
		if (!is)
			return refuse(b, now_ns, t, e);
		if (!lend_next(b, w, is, now_ns))
			continue;
		t->word |= word_gen(is) << TICKET_GEN | TICKET_PROBE | TICKET_LENT;
		if (state == SD_BREAKER_HALF_OPEN && word_gen(is) != word_gen(w))
			atomic_fetch_add_explicit(&b->lost, word_lent(w), memory_order_relaxed);
		say_changed(b, w, SD_BREAKER_HALF_OPEN, now_ns);
		return SD_OK;
	}
}

static enum sd_err take_place(struct sd_breaker *b, int64_t now_ns, struct sd_breaker_ticket *t, struct sd_error *e)
{
	uint32_t out = READ(b->out);
	do {
		if (out < b->conf.bulkhead)
			continue;
		COUNT(b->refused);
		if (b->conf.hooks.refused)
			b->conf.hooks.refused(b->conf.hooks.arg, now_ns);
		return sd_fail(e, SD_EAGAIN, "the bulkhead is full: %u of %u calls are out", out, b->conf.bulkhead);
	} while (!SWAP(b->out, &out, out + 1));
	t->word = TICKET_PLACE;
	return SD_OK;
}

enum sd_err sd_breaker_allow(struct sd_breaker *b, int64_t now_ns, struct sd_breaker_ticket *t, struct sd_error *e)
{
	*t = (struct sd_breaker_ticket){.began_ns = now_ns};
	if (b->conf.bulkhead && take_place(b, now_ns, t, e))
		return SD_EAGAIN;
	uint64_t w = atomic_load_explicit(&b->word, memory_order_acquire);
	if (word_state(w) != SD_BREAKER_CLOSED)
		return allow_open(b, w, now_ns, t, e);
	t->word |= word_gen(w) << TICKET_GEN | TICKET_LENT;
	return SD_OK;
}

enum sd_err sd_breaker_call(struct sd_breaker *b, const struct sd_breaker_call *call, struct sd_error *e)
{
	struct sd_breaker_ticket t;
	struct sd_breaker_outcome how = {.kind = SD_BREAKER_SUCCESS};
	enum sd_err err = sd_breaker_allow(b, call->now_ns(call->arg), &t, e);
	if (err)
		return err;
	err = call->run(call->arg, &how);
	if (err && how.kind == SD_BREAKER_SUCCESS)
		how.kind = SD_BREAKER_ERROR;
	sd_breaker_done(b, &t, &how, call->now_ns(call->arg));
	return err;
}

/* ---- from outside ---- */

/* An opening takes a few stores; until they are made there is nothing to change. */
static uint64_t settled(const struct sd_breaker *b)
{
	uint64_t w;
	do
		w = atomic_load_explicit(&b->word, memory_order_acquire);
	while (w & WORD_BUSY);
	return w;
}

void sd_breaker_open_until(struct sd_breaker *b, int64_t until_ns, int64_t now_ns)
{
	struct counts sum;
	uint64_t w;
	do {
		w = settled(b);
		sd_breaker_counts(b, word_gen(w), now_ns, &sum);
	} while (!open_it(b, w, RULE_TOLD, &sum, now_ns, until_ns));
}

void sd_breaker_force(struct sd_breaker *b, enum sd_breaker_state state, int64_t now_ns)
{
	if (state == SD_BREAKER_OPEN) {
		sd_breaker_open_until(b, 0, now_ns);
		return;
	}
	if (state == SD_BREAKER_CLOSED)
		raise_to(&b->closed_ns, now_ns);
	uint64_t w = settled(b);
	while (!SWAP(b->word, &w, word_next(w, state)))
		w = settled(b);
	say_changed(b, w, state, now_ns);
}

enum sd_breaker_state sd_breaker_tick(struct sd_breaker *b, int64_t now_ns)
{
	uint64_t w = atomic_load_explicit(&b->word, memory_order_acquire);
	if (word_state(w) != SD_BREAKER_OPEN || (w & WORD_BUSY) || now_ns < READ(b->until_ns))
		return word_state(w);
	if (b->conf.successes == 0)
		close_it(b, w, now_ns);
	else if (SWAP(b->word, &w, word_next(w, SD_BREAKER_HALF_OPEN)))
		say_changed(b, w, SD_BREAKER_HALF_OPEN, now_ns);
	return word_state(atomic_load_explicit(&b->word, memory_order_acquire));
}
