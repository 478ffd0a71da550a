/* ratelimit_ask.c - who is asked about limits, and the end of every question. */
#include "ratelimit_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/siphash.h"
#include "ratelimit_ring.h"
#include "ratelimit_store.h"

#define HASH 33 /* as hexadecimal digits */
#define ALL(n) ((uint32_t)((1u << (n)) - 1))

void rl_item_name(struct sd_limit_item *item, const char *name, uint64_t scope, const char *tail)
{
	int n = snprintf(item->name, sizeof(item->name), "%s%s", name, tail);
	item->scope = scope;
	if (n < 0 || (size_t)n >= sizeof(item->name))
		snprintf(item->name, sizeof(item->name), "%016llx%s", (unsigned long long)scope, tail);
}

/* ---- shares ---- */

struct sd_ratelimit_limit rl_ask_share(const struct sd_ratelimit_limit *limit, uint32_t cost, uint32_t servers)
{
	struct sd_ratelimit_limit l = *limit;
	bool bucket = l.kind <= SD_RATELIMIT_LEAKY_QUEUE;
	uint32_t *most = bucket ? &l.burst : &l.count, part = *most / servers;
	uint32_t least = !cost ? 1 : cost < *most ? cost : *most;
	*most = part > least ? part : least;
	if (!bucket && part >= least)
		return l;
	int64_t times = bucket ? servers : (int64_t)*most * servers, of = bucket ? 1 : limit->count;
	bool over = __builtin_mul_overflow(l.period_ns, times, &l.period_ns);
	l.period_ns = over ? INT64_C(1) << 60 : (l.period_ns - 1) / of + 1;
	return l;
}

/* ---- the table here ---- */

static void change_here(struct rl_worker *w, enum sd_limit_op op, const struct sd_limit_item *item, const struct sd_ratelimit_ask *ask)
{
	int64_t now = rl_now(w);
	if (op == SD_LIMIT_FORGET)
		sd_ratelimit_forget(w->rl->table, ask);
	else
		sd_ratelimit_settle(w->rl->table, ask, item->used, now > item->age_ns ? now - item->age_ns : 0, now);
}

bool rl_ask_here(struct rl_worker *w, enum sd_limit_op op, const struct sd_limit_item *items, size_t n, struct sd_ratelimit_answer *answers)
{
	struct sd_ratelimit_ask asks[RL_RULES];
	for (size_t i = 0; i < n; i++) {
		asks[i] = (struct sd_ratelimit_ask){&items[i].limit, items[i].scope, items[i].key, items[i].cost};
		if (op == SD_LIMIT_SETTLE || op == SD_LIMIT_FORGET) {
			change_here(w, op, &items[i], &asks[i]);
			asks[i].cost = 0;
		}
	}
	return (op == SD_LIMIT_TAKE ? sd_ratelimit_take : sd_ratelimit_peek)(w->rl->table, asks, n, rl_now(w), answers) == SD_OK;
}

/* Of all items those of a mask; of `shares` only this server's part is here. */
static bool some_here(struct rl_asked *a, enum sd_limit_op op, uint32_t which, uint32_t shares)
{
	struct sd_limit_item items[RL_RULES];
	struct sd_ratelimit_answer answers[RL_RULES];
	size_t n = 0, k = 0;
	for (size_t i = 0; i < a->n; i++) {
		if (!(which >> i & 1))
			continue;
		items[n] = a->items[i];
		if (shares >> i & 1)
			items[n].limit = rl_ask_share(&a->items[i].limit, a->items[i].cost, rl_servers(a->w->rl));
		n++;
	}
	bool allowed = n == 0 || rl_ask_here(a->w, op, items, n, answers);
	for (size_t i = 0; n && i < a->n; i++)
		if (which >> i & 1)
			a->answers[i] = answers[k++];
	return allowed;
}

/* ---- the end of a question ---- */

static bool all_allow(const struct rl_asked *a, uint32_t which)
{
	for (size_t i = 0; i < a->n; i++)
		if (which >> i & 1 && !a->answers[i].allowed)
			return false;
	return true;
}

static void let_pass(struct rl_asked *a, uint32_t which)
{
	for (size_t i = 0; i < a->n; i++) {
		uint32_t most = sd_ratelimit_most(&a->items[i].limit);
		if (which >> i & 1)
			a->answers[i] = (struct sd_ratelimit_answer){.allowed = true, .most = most, .remaining = most};
	}
}

/* Others were asked first: what is here is taken last, and never has to be given back. */
static struct rl_outcome decide(struct rl_asked *a)
{
	enum rl_store_down down = a->w->rl->store_down;
	struct rl_outcome o = {.n = a->n, .items = a->items, .answers = a->answers, .why = a->why.text};
	uint32_t there = ALL(a->n) & ~a->own & ~a->lost, shares = down == RL_DOWN_LOCAL ? a->lost : 0;
	bool nobody = a->lost && down == RL_DOWN_CLOSED;
	o.how = a->how == RL_UNABLE ? RL_UNABLE : nobody ? RL_NOBODY : RL_DECIDED;
	if (down == RL_DOWN_OPEN)
		o.open = a->lost;
	let_pass(a, o.open);
	bool others = o.how == RL_DECIDED && all_allow(a, there);
	o.allowed = some_here(a, a->op == SD_LIMIT_TAKE && !others ? SD_LIMIT_PEEK : a->op, a->own | shares, shares) && others;
	if (a->op == SD_LIMIT_TAKE && !o.allowed && a->w->ring)
		rl_ring_give_back(a);
	return o;
}

void rl_asked_end(struct rl_asked *a)
{
	struct rl_outcome o = decide(a);
	sd_count(&a->w->stored[a->lost != 0], 1);
	if (a->fn)
		a->fn(a->arg, &o);
	free(a);
}

/* ---- its beginning ---- */

/* A key that is too long to travel goes by 128 bits of it, the same at every server. */
static struct sd_slice short_key(struct sd_slice key, char hash[HASH])
{
	static const struct sd_siphash_key low = {0x726c6b65, 1}, high = {0x726c6b65, 2};
	if (key.n <= SD_LIMIT_KEY)
		return key;
	int n = snprintf(hash, HASH, "%016llx%016llx", (unsigned long long)sd_siphash(&low, key.p, key.n),
			 (unsigned long long)sd_siphash(&high, key.p, key.n));
	return (struct sd_slice){hash, (size_t)n};
}

static void copy_items(struct rl_asked *a, const struct rl_question *q, char *at)
{
	char hash[HASH];
	memcpy(a->items, q->items, q->n * sizeof(*a->items));
	for (size_t i = 0; i < q->n; i++, at += SD_LIMIT_STORE_KEY) {
		struct sd_slice key = short_key(q->items[i].key, hash);
		size_t n = sd_limit_store_key(&a->items[i], key, at);
		a->keys[i] = (struct sd_slice){at, n};
		a->items[i].key = (struct sd_slice){at + n - key.n, key.n};
	}
}

static struct rl_asked *new_asked(struct rl_worker *w, const struct rl_question *q, rl_answered *fn, void *arg)
{
	size_t each = sizeof(struct sd_limit_item) + sizeof(struct rl_group) + sizeof(struct sd_ratelimit_answer) + sizeof(struct sd_slice);
	struct rl_asked *a = malloc(sizeof(*a) + q->n * (each + SD_LIMIT_STORE_KEY));
	if (!a)
		return NULL;
	*a = (struct rl_asked){.w = w, .fn = fn, .arg = arg, .op = q->op, .strict = q->strict, .n = q->n};
	a->items = (struct sd_limit_item *)(a + 1);
	a->answers = (struct sd_ratelimit_answer *)(a->items + q->n);
	a->groups = (struct rl_group *)(a->answers + q->n);
	a->keys = (struct sd_slice *)(a->groups + q->n);
	memset(a->answers, 0, q->n * sizeof(*a->answers));
	copy_items(a, q, (char *)(a->keys + q->n));
	return a;
}

void rl_ask(struct rl_worker *w, const struct rl_question *q, rl_answered *fn, void *arg, struct rl_asked **handle)
{
	struct sd_ratelimit_answer answers[RL_RULES];
	struct rl_outcome o = {.n = q->n, .items = q->items, .answers = answers, .how = RL_NOBODY};
	bool shared = rl_is_shared(w) && q->n > 0;
	struct rl_asked *a = shared ? new_asked(w, q, fn, arg) : NULL;
	if (handle)
		*handle = a;
	if (a && w->ring) {
		rl_ring_send(a);
	} else if (a) {
		rl_store_send(a);
	} else {
		memset(answers, 0, sizeof(answers));
		o.how = shared ? RL_NOBODY : RL_DECIDED;
		o.allowed = !shared && (q->n == 0 || rl_ask_here(w, q->op, q->items, q->n, answers));
		fn(arg, &o);
	}
}

void rl_ask_forget(struct rl_asked *a)
{
	if (a)
		a->fn = NULL;
}
