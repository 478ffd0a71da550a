/* cache_count.c - the counters behind INFO. */
#include <string.h>

#include "cache.h"

/* ---- commands ---- */

/* Rows are 64 bytes and most stand side by side, so that nearly every one has its place for itself. */
static unsigned place_of(const struct cache_command *k)
{
	return (unsigned)((uintptr_t)k / sizeof(*k)) % CACHE_USAGES;
}

static size_t find_place(const struct cache *c, const struct cache_command *k)
{
	const struct cache_usage *u = c->counts.usages;
	unsigned at = place_of(k);
	while (u[at].command && u[at].command != k)
		at = (at + 1) % CACHE_USAGES;
	return at;
}

struct cache_usage *cache_usage(struct cache *c, const struct cache_command *k)
{
	struct cache_usage *u = &c->counts.usages[find_place(c, k)];
	u->command = k;
	return u;
}

const struct cache_usage *cache_usage_so_far(const struct cache *c, const struct cache_command *k)
{
	return &c->counts.usages[find_place(c, k)];
}

/* ---- errors ---- */

/* As Redis takes it: what stands before a space that comes soon, or ERR. */
static struct sd_slice first_word(const struct sd_resp_out *out, size_t begun)
{
	size_t n = out->n - begun < 32 ? out->n - begun : 32;
	const char *p = out->p + begun, *space = memchr(p, ' ', n);
	return space ? (struct sd_slice){p + 1, (size_t)(space - p) - 1} : sd_slice_of("ERR");
}

static void count_word(struct cache_counts *k, struct sd_slice word)
{
	size_t at = 0;
	int order = 1;
	while (at < k->nerrors && (order = strncmp(k->errors[at].word, word.p, word.n)) < 0)
		at++;
	if (at < k->nerrors && order == 0 && !k->errors[at].word[word.n]) {
		k->errors[at].n++;
		return;
	}
	if (k->nerrors == CACHE_ERRORS)
		return;
	memmove(&k->errors[at + 1], &k->errors[at], (k->nerrors++ - at) * sizeof(k->errors[0]));
	k->errors[at] = (struct cache_error_count){.n = 1};
	memcpy(k->errors[at].word, word.p, word.n);
}

bool cache_count_error(struct cache *c, const struct sd_resp_out *out, size_t begun)
{
	if (out->n <= begun || out->p[begun] != '-')
		return false;
	c->stats.errors++;
	count_word(&c->counts, first_word(out, begun));
	return true;
}

/* ---- how fast ---- */

static struct cache_mark mark_at(const struct cache *c, int64_t at_ms)
{
	return (struct cache_mark){at_ms, c->stats.commands, c->stats.net_in, c->stats.net_out};
}

static void all_marks(struct cache *c)
{
	c->counts.marked_ms = c->now_ms;
	for (size_t i = 0; i < CACHE_MARKS; i++)
		c->counts.marks[i] = mark_at(c, c->now_ms);
}

/* Nothing was counted since the last time: all marks that were due meanwhile say the same. */
void cache_count_marks(struct cache *c)
{
	struct cache_counts *k = &c->counts;
	if (c->now_ms < k->marked_ms) {
		all_marks(c);
		return;
	}
	if (c->now_ms - k->marked_ms > CACHE_MARKS * CACHE_MARK_MS)
		k->marked_ms = c->now_ms - CACHE_MARKS * CACHE_MARK_MS;
	while (c->now_ms - k->marked_ms >= CACHE_MARK_MS) {
		k->marked_ms += CACHE_MARK_MS;
		k->marks[k->next_mark++ % CACHE_MARKS] = mark_at(c, k->marked_ms);
	}
	cache_count_memory(c);
}

struct cache_rates cache_rates(const struct cache *c)
{
	const struct cache_mark *old = &c->counts.marks[c->counts.next_mark % CACHE_MARKS];
	int64_t ms = c->now_ms - old->at_ms;
	ms = ms < CACHE_MARK_MS ? CACHE_MARK_MS : ms;
	return (struct cache_rates){(c->stats.commands - old->commands) * 1000 / (uint64_t)ms,
				    (double)(c->stats.net_in - old->net_in) * 1000 / (double)ms,
				    (double)(c->stats.net_out - old->net_out) * 1000 / (double)ms};
}

size_t cache_count_memory(struct cache *c)
{
	size_t n = cache_used_memory(c);
	if (n > c->counts.peak)
		c->counts.peak = n;
	return n;
}

/* ---- life ---- */

void cache_count_begin(struct cache *c)
{
	all_marks(c);
}

void cache_count_reset(struct cache *c)
{
	size_t peak = c->counts.peak;
	c->stats = (struct cache_stats){0};
	c->counts = (struct cache_counts){.peak = peak};
	all_marks(c);
}
