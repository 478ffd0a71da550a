/* cache_set.c - values that are sets: how they are kept, and the commands about one of them. */
#include <string.h>

#include "../engine/cache_sample.h"
#include "../engine/cache_scan.h"
#include "cache_set.h"
#include "core/intset.h"

/* ---- keeping ---- */

static void recount(struct cache *c, struct cache_table *t)
{
	size_t n = sd_dict_memory(&t->d);
	c->memory.used += n - t->counted;
	t->counted = n;
}

static struct cache_table *table_new(struct cache *c)
{
	struct cache_table *t = cache_alloc(&c->memory, sizeof(*t));
	if (!t)
		return NULL;
	t->counted = 0;
	sd_dict_init(&t->d, offsetof(struct cache_member, text), &c->hash_key);
	return t;
}

static bool table_free_some(struct cache *c, void *table, size_t *most)
{
	struct cache_table *t = table;
	struct sd_dict_entry *e;
	while (*most && (e = sd_dict_take(&t->d, most)))
		cache_free(&c->memory, e);
	if (sd_dict_count(&t->d))
		return false;
	sd_dict_free(&t->d);
	c->memory.used -= t->counted;
	cache_free(&c->memory, t);
	return true;
}

static void table_free(struct cache *c, struct cache_table *t)
{
	size_t all = SIZE_MAX;
	table_free_some(c, t, &all);
}

static size_t table_pieces(const void *table)
{
	return sd_dict_count(&((const struct cache_table *)table)->d);
}

/* It is not in it. */
static bool table_add(struct cache *c, struct cache_table *t, struct sd_slice member, uint32_t hash)
{
	struct cache_member *m = cache_alloc(&c->memory, sizeof(*m) + member.n);
	if (!m)
		return false;
	m->e = (struct sd_dict_entry){.hash = hash, .klen = (uint32_t)member.n};
	if (member.n)
		memcpy(m->text, member.p, member.n);
	if (!sd_dict_add(&t->d, &m->e)) {
		cache_free(&c->memory, m);
		return false;
	}
	recount(c, t);
	return true;
}

bool cache_set_new(struct cache *c, bool numbers, struct cache_set *s)
{
	*s = (struct cache_set){c, numbers ? CACHE_INTSET : CACHE_HASHTABLE, NULL};
	s->p = numbers ? cache_alloc(&c->memory, SD_INTSET_EMPTY) : (void *)table_new(c);
	if (s->p && numbers)
		sd_intset_init(s->p);
	return s->p != NULL;
}

static void free_value(struct cache *c, unsigned encoding, void *value)
{
	if (encoding == CACHE_HASHTABLE)
		table_free(c, value);
	else
		cache_free(&c->memory, value);
}

void cache_set_free(struct cache_set *s)
{
	if (s->p)
		free_value(s->cache, s->encoding, s->p);
	s->p = NULL;
}

struct cache_set cache_set_of(struct cache *c, const struct cache_item *it)
{
	return (struct cache_set){c, it->encoding, cache_value(it)};
}

bool cache_set_store(struct cache_db *db, struct sd_slice key, struct cache_set *s)
{
	if (cache_set_count(s) == 0) {
		struct cache_item *it = cache_find(db, key);
		if (it)
			cache_delete(db, it);
		cache_set_free(s);
		return true;
	}
	if (cache_put(db, key, CACHE_SET, s->encoding, s->p))
		return true;
	cache_set_free(s);
	return false;
}

size_t cache_set_count(const struct cache_set *s)
{
	if (s->encoding == CACHE_INTSET)
		return sd_intset_count(s->p);
	return sd_dict_count(&((const struct cache_table *)s->p)->d);
}

static struct sd_dict_entry *member_of(const struct cache_set *s, struct sd_slice member, uint32_t *hash)
{
	struct cache_table *t = s->p;
	*hash = sd_dict_hash(&t->d, member);
	return sd_dict_find(&t->d, member, *hash);
}

bool cache_set_has(const struct cache_set *s, struct sd_slice member)
{
	int64_t v;
	uint32_t hash;
	if (s->encoding == CACHE_INTSET)
		return sd_resp_parse_int(member, &v) && sd_intset_find(s->p, v, NULL);
	return member_of(s, member, &hash) != NULL;
}

/* False: out of memory, and it stays what it is. */
static bool to_table(struct cache_set *s)
{
	struct cache_set to;
	char text[24];
	if (!cache_set_new(s->cache, false, &to))
		return false;
	struct cache_table *t = to.p;
	for (uint32_t i = 0; i < sd_intset_count(s->p); i++) {
		size_t n = sd_resp_int_text(text, sd_intset_at(s->p, i));
		struct sd_slice member = {text, n};
		if (!table_add(s->cache, t, member, sd_dict_hash(&t->d, member))) {
			cache_set_free(&to);
			return false;
		}
	}
	cache_set_free(s);
	*s = to;
	return true;
}

static int add_number(struct cache_set *s, int64_t v)
{
	int64_t most = s->cache->tuning.set_max_intset_entries;
	if (sd_intset_find(s->p, v, NULL))
		return 0;
	void *p = cache_realloc(&s->cache->memory, s->p, sd_intset_bytes_with(s->p, v));
	if (!p)
		return -1;
	s->p = p;
	sd_intset_add(p, v);
	/* when there is no memory for the table it stays as it is, and tries with the next one */
	if (sd_intset_count(p) > (most < 1 << 30 ? most : 1 << 30))
		to_table(s);
	return 1;
}

int cache_set_add(struct cache_set *s, struct sd_slice member)
{
	int64_t v;
	uint32_t hash;
	if (s->encoding == CACHE_INTSET) {
		if (sd_resp_parse_int(member, &v))
			return add_number(s, v);
		if (!to_table(s))
			return -1;
	}
	if (member_of(s, member, &hash))
		return 0;
	return table_add(s->cache, s->p, member, hash) ? 1 : -1;
}

bool cache_set_remove(struct cache_set *s, struct sd_slice member)
{
	int64_t v;
	uint32_t at;
	if (s->encoding == CACHE_INTSET) {
		if (!sd_resp_parse_int(member, &v) || !sd_intset_find(s->p, v, &at))
			return false;
		sd_intset_remove_at(s->p, at);
		void *p = cache_realloc(&s->cache->memory, s->p, sd_intset_bytes(s->p));
		s->p = p ? p : s->p;
		return true;
	}
	struct sd_dict_entry *e = member_of(s, member, &at);
	if (!e)
		return false;
	struct cache_table *t = s->p;
	sd_dict_remove(&t->d, e);
	cache_free(&s->cache->memory, e);
	recount(s->cache, t);
	return true;
}

struct sd_slice cache_set_random(const struct cache_set *s, char text[24])
{
	struct sd_rng *rng = &s->cache->rng;
	if (s->encoding == CACHE_INTSET) {
		uint32_t i = sd_rng_below(rng, sd_intset_count(s->p));
		return (struct sd_slice){text, sd_resp_int_text(text, sd_intset_at(s->p, i))};
	}
	struct cache_table *t = s->p;
	return sd_dict_key(&t->d, sd_dict_random(&t->d, rng));
}

/* ---- one after another ---- */

void cache_set_iter_begin(const struct cache_set *s, struct cache_set_iter *it)
{
	it->set = s;
	it->i = 0;
	if (s->encoding == CACHE_HASHTABLE)
		sd_dict_iter_begin(&((struct cache_table *)s->p)->d, &it->d);
}

bool cache_set_iter_next(struct cache_set_iter *it, struct sd_slice *member)
{
	const struct cache_set *s = it->set;
	if (s->encoding == CACHE_INTSET) {
		if (it->i == sd_intset_count(s->p))
			return false;
		*member = (struct sd_slice){it->text, sd_resp_int_text(it->text, sd_intset_at(s->p, it->i++))};
		return true;
	}
	const struct cache_table *t = s->p;
	const struct sd_dict_entry *e = sd_dict_iter_next(&t->d, &it->d);
	if (e)
		*member = sd_dict_key(&t->d, e);
	return e != NULL;
}

void cache_set_iter_end(struct cache_set_iter *it)
{
	if (it->set->encoding == CACHE_HASHTABLE)
		sd_dict_iter_end(&((struct cache_table *)it->set->p)->d);
}

/* ---- the type ---- */

static void *copy_table(struct cache *c, const struct cache_set *from)
{
	struct cache_set to;
	struct cache_set_iter it;
	struct sd_slice m;
	bool whole = cache_set_new(c, false, &to);
	if (!whole)
		return NULL;
	struct cache_table *t = to.p;
	cache_set_iter_begin(from, &it);
	while (whole && cache_set_iter_next(&it, &m))
		whole = table_add(c, t, m, sd_dict_hash(&t->d, m));
	cache_set_iter_end(&it);
	if (!whole)
		cache_set_free(&to);
	return to.p;
}

static void *copy_value(struct cache *c, unsigned encoding, const void *value)
{
	if (encoding == CACHE_HASHTABLE)
		return copy_table(c, &(struct cache_set){c, encoding, (void *)value});
	size_t n = sd_intset_bytes(value);
	void *p = cache_alloc(&c->memory, n);
	return p ? memcpy(p, value, n) : NULL;
}

const struct cache_type_ops cache_set_type = {
    "set", free_value, copy_value, .many = CACHE_HASHTABLE, .pieces = table_pieces, .free_some = table_free_some,
};

/* ---- commands ---- */

static void no_memory(struct cache_call *c)
{
	sd_resp_error(c->out, cache_no_memory);
}

/* The set of argv[i], when it is one: *there tells. False: the reply says why not. */
static bool read_set(struct cache_call *c, size_t i, struct cache_set *s, bool *there)
{
	struct cache_item *it;
	if (!cache_typed(c, i, CACHE_SET, &it))
		return false;
	*there = it != NULL;
	if (it)
		*s = cache_set_of(c->cache, it);
	return true;
}

/* After a member went from the item's set: an empty one goes too. */
static void removed(struct cache_call *c, struct sd_slice key, struct cache_item *it, const struct cache_set *s)
{
	cache_set_keep(it, s);
	if (cache_set_count(s) == 0)
		cache_delete(c->db, it);
	else
		cache_changed(c->db, key);
}

/* Adds argv[from] and the following; how many are new, or -1: out of memory. */
static int64_t add_args(struct cache_call *c, struct cache_set *s, size_t from)
{
	int64_t n = 0;
	for (size_t i = from; i < c->argc; i++) {
		int added = cache_set_add(s, c->argv[i]);
		if (added < 0)
			return -1;
		n += added;
	}
	return n;
}

static void cmd_sadd(struct cache_call *c)
{
	struct cache_item *it;
	struct cache_set s;
	int64_t v, n;
	if (!cache_typed_for_write(c, 1, CACHE_SET, &it))
		return;
	if (it) {
		s = cache_set_of(c->cache, it);
	} else if (!cache_set_new(c->cache, sd_resp_parse_int(c->argv[2], &v), &s)) {
		no_memory(c);
		return;
	}
	n = add_args(c, &s, 2);
	if (it) {
		cache_set_keep(it, &s);
		if (n)
			cache_changed(c->db, c->argv[1]);
	} else if (n < 0 || !cache_set_store(c->db, c->argv[1], &s)) {
		if (n < 0)
			cache_set_free(&s);
		n = -1;
	}
	if (n < 0)
		no_memory(c);
	else
		sd_resp_int(c->out, n);
}

static void cmd_srem(struct cache_call *c)
{
	struct cache_item *it;
	int64_t n = 0;
	if (!cache_typed_for_write(c, 1, CACHE_SET, &it))
		return;
	if (it) {
		struct cache_set s = cache_set_of(c->cache, it);
		for (size_t i = 2; i < c->argc; i++)
			n += cache_set_remove(&s, c->argv[i]);
		if (n)
			removed(c, c->argv[1], it, &s);
	}
	sd_resp_int(c->out, n);
}

static void cmd_sismember(struct cache_call *c)
{
	struct cache_set s;
	bool there;
	if (read_set(c, 1, &s, &there))
		sd_resp_int(c->out, there && cache_set_has(&s, c->argv[2]));
}

static void cmd_smismember(struct cache_call *c)
{
	struct cache_set s;
	bool there;
	if (!read_set(c, 1, &s, &there))
		return;
	sd_resp_array(c->out, c->argc - 2);
	for (size_t i = 2; i < c->argc; i++)
		sd_resp_int(c->out, there && cache_set_has(&s, c->argv[i]));
}

static void cmd_scard(struct cache_call *c)
{
	struct cache_set s;
	bool there;
	if (read_set(c, 1, &s, &there))
		sd_resp_int(c->out, there ? (int64_t)cache_set_count(&s) : 0);
}

static void reply_all(struct cache_call *c, const struct cache_set *s)
{
	struct cache_set_iter it;
	struct sd_slice m;
	sd_resp_set(c->out, cache_set_count(s));
	cache_set_iter_begin(s, &it);
	while (cache_set_iter_next(&it, &m))
		sd_resp_bulk(c->out, m.p, m.n);
	cache_set_iter_end(&it);
}

static void cmd_smembers(struct cache_call *c)
{
	struct cache_set s;
	bool there;
	if (!read_set(c, 1, &s, &there))
		return;
	if (there)
		reply_all(c, &s);
	else
		sd_resp_set(c->out, 0);
}

/* ---- by chance ---- */

static void pop_one(struct cache_call *c, struct cache_set *s)
{
	char text[24];
	struct sd_slice m = cache_set_random(s, text);
	sd_resp_bulk(c->out, m.p, m.n);
	cache_set_remove(s, m);
}

bool cache_arg_random_count(struct cache_call *c, size_t i, int64_t *n)
{
	if (!cache_arg_int(c, i, n))
		return false;
	if (*n != INT64_MIN)
		return true;
	sd_resp_error(c->out, "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
	return false;
}

static void cmd_spop(struct cache_call *c)
{
	struct cache_item *it;
	int64_t count = 1;
	bool many = c->argc == 3;
	if (c->argc > 3) {
		sd_resp_error(c->out, sd_redis_syntax);
		return;
	}
	if (many && (!sd_resp_parse_int(c->argv[2], &count) || count < 0)) {
		sd_resp_error(c->out, "ERR value is out of range, must be positive");
		return;
	}
	if (!cache_typed_for_write(c, 1, CACHE_SET, &it))
		return;
	struct cache_set s = it ? cache_set_of(c->cache, it) : (struct cache_set){0};
	int64_t has = it ? (int64_t)cache_set_count(&s) : 0;
	count = count < has ? count : has;
	if (many && count == has && it)
		reply_all(c, &s);
	else if (many)
		sd_resp_set(c->out, (size_t)count);
	else if (!it)
		sd_resp_null(c->out);
	if (count && count == has && many) {
		cache_delete(c->db, it);
		return;
	}
	for (int64_t i = 0; i < count; i++)
		pop_one(c, &s);
	if (count)
		removed(c, c->argv[1], it, &s);
}

/* So many different ones out of more than so many. */
static void reply_sample(struct cache_call *c, const struct cache_set *s, uint32_t count)
{
	struct cache_set_iter it;
	struct sd_slice m;
	struct cache_sample sample = {&c->cache->rng, count, (uint32_t)cache_set_count(s)};
	cache_set_iter_begin(s, &it);
	while (sample.left && cache_set_iter_next(&it, &m))
		if (cache_sample_takes(&sample))
			sd_resp_bulk(c->out, m.p, m.n);
	cache_set_iter_end(&it);
}

/* A few of many: drawn until they are different, which the table of what was drawn decides. */
static void reply_drawn(struct cache_call *c, const struct cache_set *s, size_t count)
{
	struct cache_set drawn;
	char text[24];
	size_t place = c->out->n, n = 0;
	if (!cache_set_new(c->cache, false, &drawn)) {
		no_memory(c);
		return;
	}
	sd_resp_array(c->out, count);
	while (n < count) {
		struct sd_slice m = cache_set_random(s, text);
		int added = cache_set_add(&drawn, m);
		if (added < 0) {
			c->out->n = place;
			no_memory(c);
			break;
		}
		if (added)
			sd_resp_bulk(c->out, m.p, m.n);
		n += (size_t)added;
	}
	cache_set_free(&drawn);
}

static void cmd_srandmember(struct cache_call *c)
{
	struct cache_set s;
	bool there;
	char text[24];
	int64_t count = 0;
	if (c->argc > 3) {
		sd_resp_error(c->out, sd_redis_syntax);
		return;
	}
	if ((c->argc == 3 && !cache_arg_random_count(c, 2, &count)) || !read_set(c, 1, &s, &there))
		return;
	if (c->argc == 2) {
		struct sd_slice m = there ? cache_set_random(&s, text) : (struct sd_slice){0};
		if (there)
			sd_resp_bulk(c->out, m.p, m.n);
		else
			sd_resp_null(c->out);
		return;
	}
	int64_t has = there ? (int64_t)cache_set_count(&s) : 0;
	if (count >= 0 && has && count < has / 3) {
		reply_drawn(c, &s, (size_t)count);
		return;
	}
	count = !has || count < 0 ? count : count < has ? count : has;
	sd_resp_array(c->out, has ? (size_t)(count < 0 ? -count : count) : 0);
	if (has && count > 0)
		reply_sample(c, &s, (uint32_t)count);
	size_t begun = c->out->n;
	for (; has && count < 0 && !c->out->full; count++) {
		struct sd_slice m = cache_set_random(&s, text);
		sd_resp_bulk(c->out, m.p, m.n);
		c->out->full |= c->out->n - begun > CACHE_SAMPLE_LONGEST;
	}
}

/* ---- moving, scanning ---- */

static void cmd_smove(struct cache_call *c)
{
	struct cache_item *from, *to;
	struct cache_set source, target;
	int64_t v;
	struct sd_slice m = c->argv[3];
	from = cache_find(c->db, c->argv[1]);
	if (!from) {
		sd_resp_int(c->out, 0);
		return;
	}
	if (!cache_typed_for_write(c, 1, CACHE_SET, &from) || !cache_typed_for_write(c, 2, CACHE_SET, &to))
		return;
	source = cache_set_of(c->cache, from);
	if (from == to || !cache_set_has(&source, m)) {
		sd_resp_int(c->out, from == to && cache_set_has(&source, m));
		return;
	}
	/* first in, then out: when memory ends in between, nothing is lost */
	if (to)
		target = cache_set_of(c->cache, to);
	else if (!cache_set_new(c->cache, sd_resp_parse_int(m, &v), &target)) {
		no_memory(c);
		return;
	}
	int added = cache_set_add(&target, m);
	if (to)
		cache_set_keep(to, &target);
	else if (added < 0)
		cache_set_free(&target);
	if (added < 0 || (!to && !cache_set_store(c->db, c->argv[2], &target))) {
		no_memory(c);
		return;
	}
	if (to && added)
		cache_changed(c->db, c->argv[2]);
	cache_set_remove(&source, m);
	removed(c, c->argv[1], from, &source);
	sd_resp_int(c->out, 1);
}

static void scan_member(void *arg, struct sd_dict_entry *e)
{
	struct cache_scan *scan = arg;
	cache_scan_give(scan, (struct sd_slice){((struct cache_member *)e)->text, e->klen}, NULL);
}

static void cmd_sscan(struct cache_call *c)
{
	struct cache_scan scan;
	struct cache_set s;
	struct cache_set_iter it;
	struct sd_slice m;
	bool there;
	if (!cache_scan_begin(c, 2, &scan) || !read_set(c, 1, &s, &there))
		return;
	if (!there) {
		cache_scan_end(&scan);
		return;
	}
	if (!cache_scan_options(&scan, 3))
		return;
	if (s.encoding == CACHE_HASHTABLE) {
		cache_scan_table(&scan, &((struct cache_table *)s.p)->d, scan_member);
		return;
	}
	cache_set_iter_begin(&s, &it);
	while (cache_set_iter_next(&it, &m))
		cache_scan_give(&scan, m, NULL);
	cache_set_iter_end(&it);
	cache_scan_end(&scan);
}

const struct cache_command cache_set_commands[] = {
    {SD_REDIS(SADD), cmd_sadd},
    {SD_REDIS(SCARD), cmd_scard},
    {SD_REDIS(SISMEMBER), cmd_sismember},
    {SD_REDIS(SMEMBERS), cmd_smembers},
    {SD_REDIS(SMISMEMBER), cmd_smismember},
    {SD_REDIS(SMOVE), cmd_smove},
    {SD_REDIS(SPOP), cmd_spop},
    {SD_REDIS(SRANDMEMBER), cmd_srandmember},
    {SD_REDIS(SREM), cmd_srem},
    {SD_REDIS(SSCAN), cmd_sscan},
    {0},
};
