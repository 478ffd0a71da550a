/* cache_zset.c - values that are sorted sets: how they are kept. */
#include "cache_zset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- of many: nodes ---- */

static void recount(struct cache *c, struct cache_sorted *s)
{
	size_t n = sd_dict_memory(&s->d);
	c->memory.used += n - s->counted;
	s->counted = n;
}

static struct cache_sorted *sorted_new(struct cache *c)
{
	struct cache_sorted *s = cache_alloc(&c->memory, sizeof(*s));
	if (!s)
		return NULL;
	s->counted = 0;
	sd_dict_init(&s->d, offsetof(struct sd_skip_node, member), &c->hash_key);
	sd_skiplist_init(&s->list);
	return s;
}

static bool sorted_free_some(struct cache *c, void *sorted, size_t *most)
{
	struct cache_sorted *s = sorted;
	for (struct sd_skip_node *n = sd_skiplist_first(&s->list); n; n = sd_skiplist_first(&s->list)) {
		if (!*most)
			return false;
		s->list.head[0].next = sd_skip_next(n);
		cache_free(&c->memory, sd_skip_node_memory(n));
		--*most;
	}
	sd_dict_free(&s->d);
	c->memory.used -= s->counted;
	cache_free(&c->memory, s);
	return true;
}

static void sorted_free(struct cache *c, struct cache_sorted *s)
{
	size_t all = SIZE_MAX;
	sorted_free_some(c, s, &all);
}

static size_t sorted_pieces(const void *sorted)
{
	return ((const struct cache_sorted *)sorted)->list.count;
}

static bool sorted_add(struct cache *c, struct cache_sorted *s, struct sd_slice member, double score, uint32_t hash)
{
	unsigned height = sd_skip_height(&c->rng);
	void *memory = cache_alloc(&c->memory, sd_skip_node_bytes(height, member.n));
	if (!memory)
		return false;
	struct sd_skip_node *n = sd_skip_node_init(memory, height, score, member);
	n->e.hash = hash;
	if (!sd_dict_add(&s->d, &n->e)) {
		cache_free(&c->memory, memory);
		return false;
	}
	recount(c, s);
	sd_skiplist_add(&s->list, n);
	return true;
}

static void sorted_remove(struct cache *c, struct cache_sorted *s, struct sd_skip_node *n)
{
	sd_skiplist_remove(&s->list, n);
	sd_dict_remove(&s->d, &n->e);
	cache_free(&c->memory, sd_skip_node_memory(n));
	recount(c, s);
}

/* ---- of few: a listpack ---- */

static double pack_score(const unsigned char *lp, size_t at)
{
	struct sd_listpack_value v;
	char text[64];
	sd_listpack_get(lp, at, &v);
	if (v.is_number)
		return (double)v.number;
	size_t n = v.text.n < sizeof(text) ? v.text.n : sizeof(text) - 1;
	memcpy(text, v.text.p, n);
	text[n] = '\0';
	return strtod(text, NULL);
}

static int compare_bytes(struct sd_slice a, struct sd_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* As a number when it is one, up to half of what fits (as Redis has it: so that it is equal bit for bit); -0 becomes 0. */
static void encode_score(double score, char text[40], struct sd_listpack_new *e)
{
	static const double most = (double)(INT64_MAX / 2);
	if (score >= -most && score <= most && score == (double)(int64_t)score)
		sd_listpack_encode_int((int64_t)score, e);
	else
		sd_listpack_encode((struct sd_slice){text, sd_resp_double_text(text, score)}, e);
}

/* The first one behind (score, member); the end when there is none. */
static size_t pack_place(const unsigned char *lp, double score, struct sd_slice member)
{
	char text[SD_LISTPACK_TEXT];
	for (size_t at = sd_listpack_first(lp); at;) {
		size_t score_at = sd_listpack_next(lp, at);
		double has = pack_score(lp, score_at);
		if (has > score || (has == score && compare_bytes(sd_listpack_text(lp, at, text), member) > 0))
			return at;
		at = sd_listpack_next(lp, score_at);
	}
	return sd_listpack_end(lp);
}

static bool pack_add(struct cache_zset *z, const struct sd_listpack_new *e, struct sd_slice member, double score)
{
	char text[40];
	struct sd_listpack_new s;
	encode_score(score, text, &s);
	unsigned char *lp = cache_realloc(&z->cache->memory, z->p, sd_listpack_bytes(z->p) + e->size + s.size);
	if (!lp)
		return false;
	z->p = lp;
	size_t at = pack_place(lp, score, member);
	sd_listpack_insert(lp, at, e);
	sd_listpack_insert(lp, at + e->size, &s);
	return true;
}

static bool pack_append(struct cache_zset *z, const struct sd_listpack_new *member, const struct sd_listpack_new *score)
{
	unsigned char *lp = cache_realloc(&z->cache->memory, z->p, sd_listpack_bytes(z->p) + member->size + score->size);
	if (!lp)
		return false;
	z->p = lp;
	sd_listpack_insert(lp, sd_listpack_end(lp), member);
	sd_listpack_insert(lp, sd_listpack_end(lp), score);
	return true;
}

/* So many pairs from this place on. */
static void pack_remove(struct cache_zset *z, size_t at, size_t n)
{
	if (!z->p)
		return;
	sd_listpack_delete(z->p, at, 2 * n);
	void *p = cache_realloc(&z->cache->memory, z->p, sd_listpack_bytes(z->p));
	z->p = p ? p : z->p;
}

/* How many come before what is not below least any more, seen from the bound. */
static uint32_t pack_walk(const unsigned char *lp, const struct sd_skip_bound *b, int least)
{
	char text[SD_LISTPACK_TEXT];
	uint32_t n = 0;
	for (size_t at = sd_listpack_first(lp); at; n++) {
		size_t score_at = sd_listpack_next(lp, at);
		double score = b->lex ? 0 : pack_score(lp, score_at);
		struct sd_slice member = b->lex ? sd_listpack_text(lp, at, text) : (struct sd_slice){0};
		if (sd_skip_compare(b, score, member) >= least)
			break;
		at = sd_listpack_next(lp, score_at);
	}
	return n;
}

/* ---- either ---- */

bool cache_zset_new(struct cache *c, struct cache_zset *z)
{
	*z = (struct cache_zset){c, CACHE_LISTPACK, cache_alloc(&c->memory, SD_LISTPACK_EMPTY)};
	if (z->p)
		sd_listpack_init(z->p);
	return z->p != NULL;
}

bool cache_zset_new_long(struct cache *c, struct cache_zset *z)
{
	*z = (struct cache_zset){c, CACHE_SKIPLIST, sorted_new(c)};
	return z->p != NULL;
}

static void free_value(struct cache *c, unsigned encoding, void *value)
{
	if (encoding == CACHE_SKIPLIST)
		sorted_free(c, value);
	else
		cache_free(&c->memory, value);
}

void cache_zset_free(struct cache_zset *z)
{
	if (z->p)
		free_value(z->cache, z->encoding, z->p);
	z->p = NULL;
}

struct cache_zset cache_zset_of(struct cache *c, const struct cache_item *it)
{
	return (struct cache_zset){c, it->encoding, cache_value(it)};
}

bool cache_zset_store(struct cache_db *db, struct sd_slice key, struct cache_zset *z)
{
	if (cache_zset_count(z) == 0) {
		struct cache_item *it = cache_find(db, key);
		if (it)
			cache_delete(db, it);
		cache_zset_free(z);
		return true;
	}
	if (cache_put(db, key, CACHE_ZSET, z->encoding, z->p))
		return true;
	cache_zset_free(z);
	return false;
}

void cache_zset_shrunk(struct cache_db *db, struct cache_item *it, const struct cache_zset *z)
{
	cache_zset_keep(it, z);
	if (cache_zset_count(z) == 0)
		cache_delete(db, it);
	else
		cache_changed(db, cache_key(it));
}

static struct cache_sorted *sorted(const struct cache_zset *z)
{
	return z->encoding == CACHE_SKIPLIST ? z->p : NULL;
}

uint32_t cache_zset_count(const struct cache_zset *z)
{
	const struct cache_sorted *s = sorted(z);
	return s ? s->list.count : (uint32_t)(sd_listpack_count(z->p) / 2);
}

bool cache_zset_find(const struct cache_zset *z, struct sd_slice member, struct cache_zset_place *p)
{
	struct cache_sorted *s = sorted(z);
	*p = (struct cache_zset_place){0};
	if (s) {
		p->hash = sd_dict_hash(&s->d, member);
		p->node = (struct sd_skip_node *)sd_dict_find(&s->d, member, p->hash);
		p->score = p->node ? p->node->score : 0;
		return p->node != NULL;
	}
	p->at = sd_listpack_find(z->p, sd_listpack_first(z->p), member, 1);
	if (p->at)
		p->score = pack_score(z->p, sd_listpack_next(z->p, p->at));
	return p->at != 0;
}

/* False: out of memory, and it stays what it is. */
static bool to_skiplist(struct cache_zset *z)
{
	struct cache_zset_iter it;
	struct cache_zset to = {z->cache, CACHE_SKIPLIST, sorted_new(z->cache)};
	struct cache_sorted *s = to.p;
	if (!s)
		return false;
	for (bool more = cache_zset_seek(z, 0, &it); more; more = cache_zset_step(&it, false))
		if (!sorted_add(z->cache, s, it.member, cache_zset_score(&it), sd_dict_hash(&s->d, it.member))) {
			cache_zset_free(&to);
			return false;
		}
	cache_zset_free(z);
	*z = to;
	return true;
}

/* Has a listpack room for one more member, by the limits of CONFIG and by its own? */
static bool has_room(const struct cache_zset *z, size_t n)
{
	const struct cache_tuning *t = &z->cache->tuning;
	return (int64_t)cache_zset_count(z) < t->zset_max_listpack_entries && (int64_t)n <= t->zset_max_listpack_value && z->p &&
	       sd_listpack_bytes(z->p) + n < SD_LISTPACK_MAX;
}

bool cache_zset_shorten(struct cache_zset *z)
{
	struct cache_zset to;
	struct cache_zset_iter it;
	struct sd_listpack_new e, s;
	char text[40];
	uint32_t n = 0, count = cache_zset_count(z);
	bool more = cache_zset_seek(z, 0, &it);
	if (count > z->cache->tuning.zset_max_listpack_entries)
		return true;
	if (!cache_zset_new(z->cache, &to))
		return false;
	for (; more && has_room(&to, it.member.n); more = cache_zset_step(&it, false), n++) {
		sd_listpack_encode(it.member, &e);
		encode_score(cache_zset_score(&it), text, &s);
		if (!pack_append(&to, &e, &s)) {
			cache_zset_free(&to);
			return false;
		}
	}
	cache_zset_free(n == count ? z : &to);
	if (n == count)
		*z = to;
	return true;
}

bool cache_zset_add(struct cache_zset *z, struct sd_slice member, double score, const struct cache_zset_place *p)
{
	struct sd_listpack_new e;
	uint32_t hash = p->hash;
	if (!sorted(z)) {
		if (has_room(z, member.n) && sd_listpack_encode(member, &e))
			return pack_add(z, &e, member, score);
		if (!to_skiplist(z))
			return false;
		hash = sd_dict_hash(&sorted(z)->d, member);
	}
	return sorted_add(z->cache, z->p, member, score, hash);
}

bool cache_zset_set_score(struct cache_zset *z, struct sd_slice member, double score, const struct cache_zset_place *p)
{
	char text[40];
	struct sd_listpack_new e, s;
	if (p->node) {
		sd_skiplist_set_score(&sorted(z)->list, p->node, score);
		return true;
	}
	/* room for both at once, so that it is not lost when memory ends */
	sd_listpack_encode(member, &e);
	encode_score(score, text, &s);
	void *p2 = cache_realloc(&z->cache->memory, z->p, sd_listpack_bytes(z->p) + e.size + s.size);
	if (!p2)
		return false;
	z->p = p2;
	sd_listpack_delete(z->p, p->at, 2);
	return pack_add(z, &e, member, score);
}

void cache_zset_remove(struct cache_zset *z, const struct cache_zset_place *p)
{
	if (p->node)
		sorted_remove(z->cache, z->p, p->node);
	else
		pack_remove(z, p->at, 1);
}

void cache_zset_remove_ranks(struct cache_zset *z, uint32_t from, uint32_t n)
{
	struct cache_sorted *s = sorted(z);
	if (z->encoding != CACHE_SKIPLIST) {
		pack_remove(z, sd_listpack_seek(z->p, 2 * (int64_t)from), n);
		return;
	}
	struct sd_skip_node *at = sd_skiplist_at(&s->list, from), *next;
	for (; n; n--, at = next) {
		next = sd_skip_next(at);
		sorted_remove(z->cache, s, at);
	}
}

uint32_t cache_zset_rank(const struct cache_zset *z, const struct cache_zset_place *p)
{
	uint32_t n = 0;
	if (p->node)
		return sd_skiplist_rank(&sorted(z)->list, p->node);
	for (size_t at = sd_listpack_first(z->p); at < p->at; at = sd_listpack_next(z->p, at))
		n++;
	return n / 2;
}

uint32_t cache_zset_below(const struct cache_zset *z, const struct sd_skip_bound *min)
{
	const struct cache_sorted *s = sorted(z);
	return s ? sd_skiplist_below(&s->list, min, NULL) : pack_walk(z->p, min, min->exclusive ? 1 : 0);
}

uint32_t cache_zset_up_to(const struct cache_zset *z, const struct sd_skip_bound *max)
{
	const struct cache_sorted *s = sorted(z);
	return s ? sd_skiplist_up_to(&s->list, max, NULL) : pack_walk(z->p, max, max->exclusive ? 0 : 1);
}

/* ---- one after another ---- */

static bool arrived(struct cache_zset_iter *it)
{
	if (it->node)
		it->member = sd_skip_member(it->node);
	else if (it->at)
		it->member = sd_listpack_text(it->z->p, it->at, it->text);
	return it->node || it->at;
}

bool cache_zset_seek(const struct cache_zset *z, uint32_t rank, struct cache_zset_iter *it)
{
	const struct cache_sorted *s = sorted(z);
	it->z = z;
	it->node = s ? sd_skiplist_at(&s->list, rank) : NULL;
	it->at = s ? 0 : sd_listpack_seek(z->p, 2 * (int64_t)rank);
	return arrived(it);
}

bool cache_zset_step(struct cache_zset_iter *it, bool back)
{
	const unsigned char *lp = it->z->p;
	if (it->node) {
		it->node = back ? it->node->back : sd_skip_next(it->node);
	} else if (back) {
		it->at = sd_listpack_prev(lp, it->at);
		it->at = it->at ? sd_listpack_prev(lp, it->at) : 0;
	} else {
		it->at = sd_listpack_next(lp, sd_listpack_next(lp, it->at));
	}
	return arrived(it);
}

double cache_zset_score(const struct cache_zset_iter *it)
{
	return it->node ? it->node->score : pack_score(it->z->p, sd_listpack_next(it->z->p, it->at));
}

/* ---- the type ---- */

static void *copy_value(struct cache *c, unsigned encoding, const void *value)
{
	struct cache_zset from = {c, encoding, (void *)value};
	struct cache_zset_iter it;
	if (encoding == CACHE_LISTPACK) {
		void *p = cache_alloc(&c->memory, sd_listpack_bytes(value));
		return p ? memcpy(p, value, sd_listpack_bytes(value)) : NULL;
	}
	struct cache_sorted *s = sorted_new(c);
	for (bool more = s && cache_zset_seek(&from, 0, &it); more; more = cache_zset_step(&it, false))
		if (!sorted_add(c, s, it.member, it.node->score, it.node->e.hash)) {
			sorted_free(c, s);
			return NULL;
		}
	return s;
}

const struct cache_type_ops cache_zset_type = {
    "zset", free_value, copy_value, .many = CACHE_SKIPLIST, .pieces = sorted_pieces, .free_some = sorted_free_some,
};

/* ---- arguments and replies ---- */

/* The whole of a text as strtod has it, which stops at a NUL. */
static bool number(struct sd_slice s, double *out)
{
	char text[5120], *end;
	if (s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	*out = strtod(text, &end);
	return !*end && !isnan(*out);
}

bool cache_zset_parse_score(struct sd_slice arg, double *score)
{
	long double wide;
	int64_t v;
	if (arg.n < 16 && sd_resp_parse_int(arg, &v)) {
		*score = (double)v;
		return true;
	}
	/* as a long double it may have a range that a double has not */
	return sd_redis_parse_double(arg, &wide) && number(arg, score) && (isinf(wide) || !isinf(*score)) &&
	       (wide == 0 || *score != 0);
}

static bool score_bound(struct sd_slice arg, struct sd_skip_bound *b)
{
	b->exclusive = arg.n && arg.p[0] == '(';
	return number((struct sd_slice){arg.p + b->exclusive, arg.n - b->exclusive}, &b->score);
}

static bool lex_bound(struct sd_slice arg, struct sd_skip_bound *b)
{
	b->lex = true;
	if (!arg.n)
		return false;
	b->exclusive = arg.p[0] == '(';
	b->member = (struct sd_slice){arg.p + 1, arg.n - 1};
	b->infinite = arg.p[0] == '+' ? 1 : arg.p[0] == '-' ? -1 : 0;
	if (b->infinite)
		return arg.n == 1 || arg.p[1] == '\0';
	return arg.p[0] == '(' || arg.p[0] == '[';
}

bool cache_zset_arg_bounds(struct cache_call *c, size_t min, size_t max, bool lex, struct sd_skip_bound bounds[2])
{
	bounds[0] = bounds[1] = (struct sd_skip_bound){0};
	if (lex ? lex_bound(c->argv[min], &bounds[0]) && lex_bound(c->argv[max], &bounds[1])
		: score_bound(c->argv[min], &bounds[0]) && score_bound(c->argv[max], &bounds[1]))
		return true;
	sd_resp_error(c->out, lex ? "ERR min or max not valid string range item" : "ERR min or max is not a float");
	return false;
}

void cache_zset_reply(struct cache_call *c, const struct cache_zset_iter *it, bool scores, bool flat)
{
	if (scores && c->out->resp3 && !flat)
		sd_resp_array(c->out, 2);
	sd_resp_bulk(c->out, it->member.p, it->member.n);
	if (scores)
		sd_resp_double(c->out, cache_zset_score(it));
}
