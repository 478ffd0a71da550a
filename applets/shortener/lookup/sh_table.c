#include "sh_table.h"

#include <stdlib.h>
#include <string.h>

#define TICK_NS	   100000000ll /* times are kept in these: 32 bits of them are 13 years */
#define EVICT_MOST 64	       /* at once, so that no request pays for a bucket array that doubled */

enum { DISABLED = 1, FORWARDS = 2, LIMITED = 4, TIMES = 8 };

struct entry {
	struct sd_dict_entry e;
	uint64_t id;
	uint32_t came, due; /* ticks, both rounded down: an entry is never taken for younger than it is */
	uint16_t url_n, generation, status;
	uint8_t flags;
	uint8_t freq : 2, main : 1;
	char data[]; /* the code, two times when TIMES, the URL */
};
#define HEAD offsetof(struct entry, data)

void sh_table_init(struct sh_table *t, size_t max_bytes, struct sd_siphash_key key, int64_t now_ns, int64_t stale_ns, int64_t deaf_ns)
{
	*t = (struct sh_table){.key = key, .base_ns = now_ns, .stale_ns = stale_ns, .deaf_ns = deaf_ns};
	sd_rng_seed(&t->rng, key.k0 ^ key.k1);
	for (int i = 0; i < 2; i++) {
		struct sh_shelf *s = &t->shelves[i];
		sd_dict_init(&s->entries, HEAD, &t->key);
		sd_dict_count_in(&s->entries, &s->used);
		sd_s3fifo_init(&s->queues);
	}
	t->shelves[1].max = max_bytes / 16;
	t->shelves[0].max = max_bytes - t->shelves[1].max;
}

/* ---- entries ---- */

/* With what the allocator adds: its size, rounded up. */
static size_t cost(size_t bytes)
{
	return bytes < 24 ? 32 : (bytes + 8 + 15) & ~(size_t)15;
}

static size_t entry_bytes(const struct entry *x)
{
	return HEAD + x->e.klen + (x->flags & TIMES ? 16 : 0) + x->url_n;
}

static void read_entry(const struct entry *x, struct sh_record *rec)
{
	const char *at = x->data + x->e.klen;
	*rec = (struct sh_record){
	    .none = x->id == 0,
	    .disabled = x->flags & DISABLED,
	    .forward_query = x->flags & FORWARDS,
	    .limited = x->flags & LIMITED,
	    .status = x->status,
	    .id = x->id,
	};
	if (x->flags & TIMES) {
		memcpy(&rec->valid_from_ms, at, 8);
		memcpy(&rec->valid_until_ms, at + 8, 8);
		at += 16;
	}
	rec->url = (struct sd_slice){at, x->url_n};
}

static struct entry *new_entry(struct sd_slice code, const struct sh_record *rec)
{
	bool times = rec->valid_from_ms || rec->valid_until_ms;
	struct entry *x = malloc(HEAD + code.n + (times ? 16 : 0) + rec->url.n);
	char *at;
	if (!x)
		return NULL;
	*x = (struct entry){.e.klen = (uint32_t)code.n, .id = rec->none ? 0 : rec->id, .url_n = (uint16_t)rec->url.n, .status = rec->status};
	x->flags = (uint8_t)((rec->disabled ? DISABLED : 0) | (rec->forward_query ? FORWARDS : 0) | (rec->limited ? LIMITED : 0) |
			     (times ? TIMES : 0));
	at = x->data;
	memcpy(at, code.p, code.n);
	at += code.n;
	if (times) {
		memcpy(at, &rec->valid_from_ms, 8);
		memcpy(at + 8, &rec->valid_until_ms, 8);
		at += 16;
	}
	if (rec->url.n)
		memcpy(at, rec->url.p, rec->url.n);
	return x;
}

static void free_entry(struct sh_shelf *s, struct entry *x)
{
	sd_dict_remove(&s->entries, &x->e);
	s->used -= cost(entry_bytes(x));
	free(x);
}

static void drop_from(struct sh_shelf *s, struct sd_slice code, uint32_t hash)
{
	struct entry *x = sd_dict_count(&s->entries) ? (struct entry *)sd_dict_find(&s->entries, code, hash) : NULL;
	if (!x)
		return;
	sd_s3fifo_remove(&s->queues, hash, x->main);
	free_entry(s, x);
}

void sh_table_drop(struct sh_table *t, struct sd_slice code)
{
	uint32_t hash = sd_dict_hash(&t->shelves[0].entries, code);
	drop_from(&t->shelves[0], code, hash);
	drop_from(&t->shelves[1], code, hash);
}

/* ---- room ---- */

static struct entry *entry_of(const struct sh_shelf *s, const struct sd_s3fifo_entry *q)
{
	struct sd_dict_entry *e = NULL;
	while (sd_dict_count(&s->entries) && (e = sd_dict_with_hash(&s->entries, q->hash, e)))
		if (((struct entry *)e)->main == q->main)
			return (struct entry *)e;
	return NULL;
}

/* False: there is nothing to push out. */
static bool evict_one(struct sh_table *t, struct sh_shelf *s)
{
	struct sd_s3fifo_entry q;
	while (sd_s3fifo_next(&s->queues, &q)) {
		struct entry *x = entry_of(s, &q);
		if (!x)
			continue;
		unsigned freq = x->freq;
		bool stays = sd_s3fifo_keep(&s->queues, &q, &freq, entry_bytes(x));
		x->freq = freq & 3;
		x->main |= stays;
		if (stays)
			continue;
		free_entry(s, x);
		t->evicted++;
		return true;
	}
	return false;
}

static void make_room(struct sh_table *t, struct sh_shelf *s)
{
	for (int i = 0; i < EVICT_MOST && s->used + sd_s3fifo_memory(&s->queues) > s->max; i++)
		if (!evict_one(t, s))
			return;
}

/* ---- looking and keeping ---- */

static enum sh_kept age_of(const struct sh_table *t, const struct entry *x, int64_t now_ns)
{
	int64_t now = now_ns - t->base_ns, due = x->due * TICK_NS;
	if (now < due && x->generation == t->generation && !(t->deaf && now - x->came * TICK_NS >= t->deaf_ns))
		return SH_KEPT_FRESH;
	return now < due + t->stale_ns ? SH_KEPT_OLD : SH_KEPT_NONE;
}

enum sh_kept sh_table_find(struct sh_table *t, struct sd_slice code, int64_t now_ns, struct sh_record *rec)
{
	uint32_t hash = sd_dict_hash(&t->shelves[0].entries, code);
	for (int i = 0; i < 2; i++) {
		struct sd_dict *d = &t->shelves[i].entries;
		struct entry *x = sd_dict_count(d) ? (struct entry *)sd_dict_find(d, code, hash) : NULL;
		if (!x)
			continue;
		x->freq = sd_s3fifo_read(x->freq) & 3;
		read_entry(x, rec);
		return age_of(t, x, now_ns);
	}
	return SH_KEPT_NONE;
}

void sh_table_put(struct sh_table *t, struct sd_slice code, const struct sh_record *rec, int64_t came_ns, int64_t life_ns)
{
	struct sh_shelf *s = &t->shelves[rec->none];
	struct entry *x = life_ns > 0 && code.n <= SH_CODE_MAX && rec->url.n <= SH_URL_MAX ? new_entry(code, rec) : NULL;
	int64_t came = came_ns > t->base_ns ? came_ns - t->base_ns : 0;
	sh_table_drop(t, code);
	if (!x)
		return;
	x->e.hash = sd_dict_hash(&s->entries, code);
	x->came = (uint32_t)(came / TICK_NS);
	x->due = (uint32_t)((came + life_ns - (int64_t)((double)life_ns / 10 * sd_rng_unit(&t->rng))) / TICK_NS);
	x->generation = t->generation;
	if (!sd_dict_add(&s->entries, &x->e)) {
		free(x);
		return;
	}
	s->used += cost(entry_bytes(x));
	x->main = sd_s3fifo_insert(&s->queues, x->e.hash, entry_bytes(x));
	make_room(t, s);
}

/* ---- all of it ---- */

static void free_one(void *arg, struct sd_dict_entry *e)
{
	free_entry(arg, (struct entry *)e);
}

static void clear(struct sh_shelf *s)
{
	sd_dict_each(&s->entries, free_one, s);
	sd_dict_free(&s->entries);
	sd_s3fifo_free(&s->queues);
}

void sh_table_free(struct sh_table *t)
{
	for (int i = 0; i < 2; i++)
		clear(&t->shelves[i]);
}

/* Once all generations were used nothing of the first may be left. */
void sh_table_flush(struct sh_table *t)
{
	if (++t->generation)
		return;
	sh_table_free(t);
}

size_t sh_table_bytes(const struct sh_table *t)
{
	size_t n = 0;
	for (int i = 0; i < 2; i++)
		n += t->shelves[i].used + sd_s3fifo_memory(&t->shelves[i].queues);
	return n;
}
