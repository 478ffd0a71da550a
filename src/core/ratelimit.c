/* The table of keys.
 *
 * A key may be in one of two sets of 8, both in the same stripe, which a lock of its own guards; so a decision over several
 * keys takes the locks of their stripes in ascending order. Nothing moves and nothing grows. Of the two the one with more
 * room gets a new key (Azar, Broder, Karlin, Upfal: "Balanced Allocations", 1994), so that sets are filled nearly evenly and
 * a table that is full to 71 per cent turns hardly anybody away.
 */
#include <stdlib.h>

#include "count.h"
#include "mix.h"
#include "ratelimit_int.h"
#include "siphash.h"

#define STRIPES   64
#define WAYS      8
#define MOST      (INT64_C(1) << 60)
#define MOST_KEYS (UINT64_C(1) << 32)

/* In the order of a tag's two low bits. */
enum form { BUCKET, FIXED, COUNTER, LOG };
static const struct rate_class *const classes[] = {&rate_bucket, &rate_fixed, &rate_counter, &rate_log};

static const enum form form_of[] = {
    [SD_RATELIMIT_TOKEN_BUCKET] = BUCKET,  [SD_RATELIMIT_GCRA] = BUCKET,
    [SD_RATELIMIT_LEAKY_METER] = BUCKET,   [SD_RATELIMIT_LEAKY_QUEUE] = BUCKET,
    [SD_RATELIMIT_FIXED_WINDOW] = FIXED,   [SD_RATELIMIT_SLIDING_COUNTER] = COUNTER,
    [SD_RATELIMIT_SLIDING_LOG] = LOG,
};

/* A tag is a hash with the form in its low bits; 0: nobody. */
struct set {
	uint64_t tags[WAYS];
	struct rate_cell cells[WAYS];
};
_Static_assert(sizeof(struct set) == WAYS * 32, "32 bytes a place");

struct stripe {
	uint32_t locked;
	uint64_t evicted;
	char apart[48]; /* from the next one's line of the cache */
};

struct sd_ratelimit {
	struct sd_siphash_key secret;
	struct rate_budget budget;
	size_t per_stripe; /* sets */
	void *memory;
	struct set *sets;
	struct stripe stripes[STRIPES];
};

/* ---- limits ---- */

static bool has_burst(const struct sd_ratelimit_limit *l)
{
	return form_of[l->kind] == BUCKET;
}

uint32_t sd_ratelimit_most(const struct sd_ratelimit_limit *l)
{
	return has_burst(l) ? l->burst : l->count;
}

/* What is wrong with it; NULL: nothing. */
static const char *fault_of(const struct sd_ratelimit_limit *l)
{
	if ((unsigned)l->kind > SD_RATELIMIT_SLIDING_LOG)
		return "no such kind of limit";
	if (l->count == 0)
		return "a limit needs a count above 0";
	if (l->period_ns <= 0 || l->period_ns > MOST)
		return "a limit needs a period above 0 and of at most 36 years";
	if (!has_burst(l))
		return NULL;
	if (l->burst == 0)
		return "a bucket needs a burst above 0";
	if ((rate_wide)l->burst * (rate_wide)l->period_ns > (rate_wide)l->count * (rate_wide)MOST)
		return "an empty bucket would take more than 36 years to fill";
	return NULL;
}

enum sd_err sd_ratelimit_check(const struct sd_ratelimit_limit *limit, struct sd_error *e)
{
	const char *fault = fault_of(limit);
	return fault ? sd_fail(e, SD_EINVAL, "%s", fault) : SD_OK;
}

/* ---- life ---- */

enum sd_err sd_ratelimit_new(const struct sd_ratelimit_conf *conf, struct sd_ratelimit **out)
{
	*out = NULL;
	if (conf->max_keys == 0)
		return SD_EINVAL;
	if (conf->max_keys > MOST_KEYS)
		return SD_ERANGE;
	struct sd_ratelimit *r = calloc(1, sizeof(*r));
	if (!r)
		return SD_ENOMEM;
	r->secret = (struct sd_siphash_key){conf->secret[0], conf->secret[1]};
	r->budget.most = conf->log_bytes;
	/* 1.4 places a key: 44.8 bytes, and of a million keys about two find no place */
	r->per_stripe = (conf->max_keys * 7 / 5 + STRIPES * WAYS - 1) / (STRIPES * WAYS) + (conf->max_keys < STRIPES);
	/* Zeros that the system gives when they are touched, and sets that begin with a line of the cache. */
	r->memory = calloc(STRIPES * r->per_stripe + 1, sizeof(struct set));
	if (!r->memory) {
		free(r);
		return SD_ENOMEM;
	}
	r->sets = (struct set *)(((uintptr_t)r->memory + 63) & ~(uintptr_t)63);
	*out = r;
	return SD_OK;
}

static void drop(struct sd_ratelimit *r, struct set *s, int way)
{
	const struct rate_class *class = classes[s->tags[way] & 3];
	if (s->tags[way] && class->drop)
		class->drop(&s->cells[way], &r->budget);
	s->tags[way] = 0;
	s->cells[way] = (struct rate_cell){0};
}

void sd_ratelimit_free(struct sd_ratelimit *r)
{
	if (!r)
		return;
	/* Only logs own anything; without any the table need not be touched. */
	for (size_t i = 0; r->budget.used && i < STRIPES * r->per_stripe; i++)
		for (int way = 0; way < WAYS; way++)
			drop(r, &r->sets[i], way);
	free(r->memory);
	free(r);
}

/* ---- places ---- */

struct where {
	uint64_t tag;
	unsigned stripe;
	struct set *sets[2];
};

static struct where where_of(const struct sd_ratelimit *r, const struct sd_ratelimit_ask *ask)
{
	enum form form = form_of[ask->limit->kind];
	uint64_t h = sd_mix_in(sd_siphash(&r->secret, ask->key.p, ask->key.n), sd_mix_in(ask->scope, form));
	struct where w = {.tag = (h & ~UINT64_C(3)) | form, .stripe = (unsigned)(h >> 58)};
	struct set *first = r->sets + w.stripe * r->per_stripe;
	w.tag = w.tag ? w.tag : 4;
	w.sets[0] = first + (((h >> 2 & UINT32_MAX) * r->per_stripe) >> 32);
	w.sets[1] = first + (((sd_mix(h) & UINT32_MAX) * r->per_stripe) >> 32);
	__builtin_prefetch(w.sets[0]->tags);
	__builtin_prefetch(w.sets[1]->tags);
	return w;
}

static struct rate_cell *find(const struct where *w)
{
	for (int i = 0; i < 2; i++)
		for (int way = 0; way < WAYS; way++)
			if (w->sets[i]->tags[way] == w->tag)
				return &w->sets[i]->cells[way];
	return NULL;
}

static int64_t ends_of(const struct set *s, int way)
{
	return s->tags[way] ? classes[s->tags[way] & 3]->ends(&s->cells[way]) : 0;
}

/* How many places nobody needs, and the one that ends soonest. */
static int look_for_room(const struct set *s, int64_t now, int *soonest)
{
	int64_t least = INT64_MAX;
	int free_places = 0;
	for (int way = 0; way < WAYS; way++) {
		int64_t ends = ends_of(s, way);
		free_places += ends <= now;
		if (ends < least) {
			least = ends;
			*soonest = way;
		}
	}
	return free_places;
}

static struct rate_cell *make_place(struct sd_ratelimit *r, const struct where *w, int64_t now)
{
	int soonest[2] = {0, 0}, room[2];
	for (int i = 0; i < 2; i++)
		room[i] = look_for_room(w->sets[i], now, &soonest[i]);
	int in = room[1] > room[0];
	if (room[0] + room[1] == 0) {
		in = ends_of(w->sets[1], soonest[1]) < ends_of(w->sets[0], soonest[0]);
		sd_count(&r->stripes[w->stripe].evicted, 1);
	}
	drop(r, w->sets[in], soonest[in]);
	w->sets[in]->tags[soonest[in]] = w->tag;
	return &w->sets[in]->cells[soonest[in]];
}

/* ---- locks ---- */

static void lock(struct sd_ratelimit *r, uint64_t stripes)
{
	for (; stripes; stripes &= stripes - 1) {
		uint32_t *l = &r->stripes[__builtin_ctzll(stripes)].locked;
		while (__atomic_exchange_n(l, 1, __ATOMIC_ACQUIRE))
			while (__atomic_load_n(l, __ATOMIC_RELAXED))
				;
	}
}

static void unlock(struct sd_ratelimit *r, uint64_t stripes)
{
	for (; stripes; stripes &= stripes - 1)
		__atomic_store_n(&r->stripes[__builtin_ctzll(stripes)].locked, 0, __ATOMIC_RELEASE);
}

/* ---- decisions ---- */

/* One ask on its way. */
struct step {
	const struct rate_class *class;
	struct where where;
	struct rate_call call;
};

static void begin(struct sd_ratelimit *r, struct step *s, const struct sd_ratelimit_ask *ask, int64_t now)
{
	s->class = classes[form_of[ask->limit->kind]];
	s->where = where_of(r, ask);
	s->call = (struct rate_call){ask->limit, now, ask->cost, &r->budget};
}

static void adopt_one(const struct step *s)
{
	struct rate_cell *c = find(&s->where);
	if (c)
		s->class->adopt(c, &s->call);
}

/* Asks, and takes when told so; a key that was not there gets its place only when something was taken. */
static void ask_one(struct sd_ratelimit *r, const struct step *s, bool take, struct sd_ratelimit_answer *a)
{
	struct rate_cell *c = find(&s->where), none = {0};
	if (c && take)
		s->class->adopt(c, &s->call);
	take = take && s->call.cost > 0;
	*a = (struct sd_ratelimit_answer){0};
	s->class->ask(c ? c : &none, &s->call, take, a);
	if (!c && take && a->allowed)
		*make_place(r, &s->where, s->call.now) = none;
}

/* As it is, nothing being taken, for one that did not say no. */
static void as_it_is(struct sd_ratelimit *r, const struct step *s, struct sd_ratelimit_answer *a)
{
	struct step idle = *s;
	int64_t delay = a->delay_ns;
	idle.call.cost = 0;
	ask_one(r, &idle, false, a);
	a->allowed = true;
	a->delay_ns = delay;
	a->retry_ns = 0;
}

/* Every ask is tried on top of those before it for the same key, since none was taken yet. */
static bool all_fit(struct sd_ratelimit *r, struct step *steps, size_t n, struct sd_ratelimit_answer *answers)
{
	bool fit = true;
	for (size_t i = 0; i < n; i++) {
		uint64_t own = steps[i].call.cost;
		for (size_t j = 0; j < i; j++)
			if (steps[j].where.tag == steps[i].where.tag)
				steps[i].call.cost += steps[j].call.cost;
		ask_one(r, &steps[i], false, &answers[i]);
		steps[i].call.cost = own;
		fit &= answers[i].allowed;
	}
	return fit;
}

static enum sd_err decide(struct sd_ratelimit *r, struct step *steps, size_t n, bool take,
			  struct sd_ratelimit_answer *answers)
{
	if (n == 1 && take) {
		ask_one(r, steps, true, answers);
		return answers->allowed ? SD_OK : SD_EAGAIN;
	}
	for (size_t i = 0; take && i < n; i++)
		adopt_one(&steps[i]);
	bool fit = all_fit(r, steps, n, answers);
	for (size_t i = 0; i < n; i++) {
		if (fit && take)
			ask_one(r, &steps[i], true, &answers[i]);
		else if (answers[i].allowed)
			as_it_is(r, &steps[i], &answers[i]);
	}
	return fit ? SD_OK : SD_EAGAIN;
}

static bool is_sound(const struct sd_ratelimit_ask *ask, int64_t now)
{
	return now >= 0 && now <= 4 * MOST && !fault_of(ask->limit);
}

static enum sd_err together(struct sd_ratelimit *r, const struct sd_ratelimit_ask *asks, size_t n, int64_t now, bool take,
			    struct sd_ratelimit_answer *answers)
{
	struct step steps[SD_RATELIMIT_TOGETHER];
	uint64_t stripes = 0;
	if (n == 0 || n > SD_RATELIMIT_TOGETHER)
		return SD_EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!is_sound(&asks[i], now))
			return SD_EINVAL;
	for (size_t i = 0; i < n; i++) {
		begin(r, &steps[i], &asks[i], now);
		stripes |= UINT64_C(1) << steps[i].where.stripe;
	}
	lock(r, stripes);
	enum sd_err err = decide(r, steps, n, take, answers);
	unlock(r, stripes);
	return err;
}

enum sd_err sd_ratelimit_take(struct sd_ratelimit *r, const struct sd_ratelimit_ask *asks, size_t n, int64_t now_ns,
			      struct sd_ratelimit_answer *answers)
{
	return together(r, asks, n, now_ns, true, answers);
}

enum sd_err sd_ratelimit_peek(struct sd_ratelimit *r, const struct sd_ratelimit_ask *asks, size_t n, int64_t now_ns,
			      struct sd_ratelimit_answer *answers)
{
	return together(r, asks, n, now_ns, false, answers);
}

/* ---- afterwards ---- */

void sd_ratelimit_refund(struct sd_ratelimit *r, const struct sd_ratelimit_ask *ask, int64_t taken_ns, int64_t now_ns)
{
	struct step s;
	if (!is_sound(ask, now_ns))
		return;
	begin(r, &s, ask, now_ns);
	lock(r, UINT64_C(1) << s.where.stripe);
	struct rate_cell *c = find(&s.where);
	if (c)
		s.class->give(c, &s.call, taken_ns);
	unlock(r, UINT64_C(1) << s.where.stripe);
}

void sd_ratelimit_charge(struct sd_ratelimit *r, const struct sd_ratelimit_ask *ask, int64_t now_ns)
{
	struct step s;
	if (ask->cost == 0 || !is_sound(ask, now_ns))
		return;
	begin(r, &s, ask, now_ns);
	lock(r, UINT64_C(1) << s.where.stripe);
	struct rate_cell *c = find(&s.where);
	s.class->charge(c ? c : make_place(r, &s.where, now_ns), &s.call);
	unlock(r, UINT64_C(1) << s.where.stripe);
}

void sd_ratelimit_settle(struct sd_ratelimit *r, const struct sd_ratelimit_ask *reserved, uint32_t used, int64_t taken_ns,
			 int64_t now_ns)
{
	struct sd_ratelimit_ask difference = *reserved;
	if (used <= reserved->cost) {
		difference.cost = reserved->cost - used;
		sd_ratelimit_refund(r, &difference, taken_ns, now_ns);
	} else {
		difference.cost = used - reserved->cost;
		sd_ratelimit_charge(r, &difference, now_ns);
	}
}

void sd_ratelimit_forget(struct sd_ratelimit *r, const struct sd_ratelimit_ask *ask)
{
	if (!is_sound(ask, 0))
		return;
	struct where w = where_of(r, ask);
	lock(r, UINT64_C(1) << w.stripe);
	for (int i = 0; i < 2; i++)
		for (int way = 0; way < WAYS; way++)
			if (w.sets[i]->tags[way] == w.tag)
				drop(r, w.sets[i], way);
	unlock(r, UINT64_C(1) << w.stripe);
}

/* ---- what there is ---- */

void sd_ratelimit_stats(const struct sd_ratelimit *r, struct sd_ratelimit_stats *out)
{
	*out = (struct sd_ratelimit_stats){
	    .max_keys = STRIPES * r->per_stripe * WAYS,
	    .bytes = sizeof(*r) + (STRIPES * r->per_stripe + 1) * sizeof(struct set),
	    .log_bytes = __atomic_load_n(&r->budget.used, __ATOMIC_RELAXED),
	    .coarser = __atomic_load_n(&r->budget.coarser, __ATOMIC_RELAXED),
	};
	for (int i = 0; i < STRIPES; i++)
		out->evicted += sd_count_read(&r->stripes[i].evicted);
}

/* Those of one set that count; the others are taken out. */
static size_t sweep_set(struct sd_ratelimit *r, struct set *s, int64_t now)
{
	size_t live = 0;
	for (int way = 0; way < WAYS; way++) {
		if (!s->tags[way])
			continue;
		if (ends_of(s, way) > now)
			live++;
		else
			drop(r, s, way);
	}
	return live;
}

size_t sd_ratelimit_sweep(struct sd_ratelimit *r, size_t *at, size_t places, int64_t now_ns)
{
	size_t sets = STRIPES * r->per_stripe, live = 0;
	for (size_t n = 0; n * WAYS < places; n++) {
		size_t stripe = *at / r->per_stripe;
		lock(r, UINT64_C(1) << stripe);
		live += sweep_set(r, &r->sets[*at], now_ns);
		unlock(r, UINT64_C(1) << stripe);
		*at = *at + 1 < sets ? *at + 1 : 0;
		if (*at == 0)
			break;
	}
	return live;
}
