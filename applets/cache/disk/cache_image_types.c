/* cache_image_types.c - values of each type as parts of an RDB file, and back. What comes from a file may be anything: packed
 * forms are looked through before they are taken. */
#include "cache_image.h"

#include <stdlib.h>
#include <string.h>

#include "../types/cache_hash.h"
#include "../types/cache_quicklist.h"
#include "../types/cache_set.h"
#include "../types/cache_zset.h"
#include "core/intset.h"

static const char no_memory[] = "out of memory";

static void put_bytes(struct sd_text *t, const void *p, size_t n)
{
	sd_rdb_put_length(t, n);
	sd_text_add(t, p, n);
}

/* ---- packed forms from outside ---- */

/* What is asked about a listpack: values, and every second one of them when they go in pairs, are these. */
struct pack {
	const struct cache *cache;
	size_t n, longest;
	bool pairs;
	uint32_t *hashes; /* of the first of each pair */
	size_t room;
	bool full;
};

static bool look_at(void *arg, const unsigned char *lp, size_t at)
{
	struct pack *p = arg;
	char text[SD_LISTPACK_TEXT];
	struct sd_slice s = sd_listpack_text(lp, at, text);
	p->longest = s.n > p->longest ? s.n : p->longest;
	if (p->pairs && p->n % 2 == 0) {
		size_t i = p->n / 2;
		uint32_t *more = i < p->room ? p->hashes : realloc(p->hashes, (p->room = 2 * p->room + 16) * sizeof(*more));
		if (!more) {
			p->full = true;
			return false;
		}
		p->hashes = more;
		more[i] = (uint32_t)sd_siphash(&p->cache->hash_key, s.p, s.n);
	}
	p->n++;
	return true;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* Are surely no two of them the same? Two hashes that meet by chance only cost the long way. */
static bool all_differ(struct pack *p)
{
	size_t n = p->n / 2;
	if (n)
		qsort(p->hashes, n, sizeof(*p->hashes), by_number);
	for (size_t i = 1; i < n; i++)
		if (p->hashes[i] == p->hashes[i - 1])
			return false;
	return true;
}

/* Looks through a listpack of pairs. *as_it_is: it is what a value of so many and so long entries may be. */
static const char *check_pairs(const struct cache *c, struct sd_slice s, int64_t most, int64_t longest, bool *as_it_is)
{
	struct pack p = {.cache = c, .pairs = true};
	bool valid = sd_listpack_validate((const unsigned char *)s.p, s.n, look_at, &p);
	*as_it_is = valid && p.n && (int64_t)(p.n / 2) <= most && (int64_t)p.longest <= longest && all_differ(&p);
	free(p.hashes);
	if (p.full)
		return no_memory;
	return valid && p.n % 2 == 0 ? NULL : "a damaged listpack";
}

static void *copy_of(struct cache *c, struct sd_slice s)
{
	void *p = cache_alloc(&c->memory, s.n);
	if (p)
		memcpy(p, s.p, s.n);
	return p;
}

/* ---- strings ---- */

static enum sd_rdb_type type_of_string(const struct cache_item *it)
{
	(void)it;
	return SD_RDB_STRING;
}

static void put_string(struct sd_text *t, const struct cache_item *it)
{
	char text[24];
	if (it->encoding == CACHE_INT)
		sd_rdb_put_int(t, cache_int(it));
	else
		sd_rdb_put_string(t, cache_string(it, text));
}

static const char *string_part(struct cache_image *im, const struct sd_rdb_token *t)
{
	sd_text_add(&im->text, t->a.n ? t->a.p : "", t->a.n);
	return im->text.full ? "out of memory" : NULL;
}

static const struct cache_image_writer string_writer = {type_of_string, put_string};
static const struct cache_image_reader string_reader = {CACHE_STRING, NULL, string_part, NULL};

/* ---- hashes ---- */

static enum sd_rdb_type type_of_hash(const struct cache_item *it)
{
	return it->encoding == CACHE_LISTPACK ? SD_RDB_HASH_LISTPACK : SD_RDB_HASH;
}

static void put_hash(struct sd_text *t, const struct cache_item *it)
{
	struct cache_hash h = cache_hash_of(NULL, it);
	struct cache_hash_iter i;
	struct cache_pair pair;
	if (it->encoding == CACHE_LISTPACK) {
		put_bytes(t, h.p, sd_listpack_bytes(h.p));
		return;
	}
	sd_rdb_put_length(t, cache_hash_count(&h));
	cache_hash_iter_begin(&h, &i);
	while (cache_hash_iter_next(&i, &pair)) {
		sd_rdb_put_string(t, pair.field);
		sd_rdb_put_string(t, pair.value);
	}
	cache_hash_iter_end(&i);
}

static struct cache_hash hash_in(struct cache_image *im)
{
	return (struct cache_hash){im->cache, im->encoding, im->value};
}

static const char *begin_hash(struct cache_image *im)
{
	struct cache_hash h;
	if (!cache_hash_new(im->cache, &h))
		return no_memory;
	im->encoding = h.encoding;
	im->value = h.p;
	return NULL;
}

static const char *add_field(struct cache_image *im, struct sd_slice field, struct sd_slice value)
{
	struct cache_hash h = hash_in(im);
	int added = cache_hash_set(&h, field, value);
	im->encoding = h.encoding;
	im->value = h.p;
	return added < 0 ? no_memory : added ? NULL : "a hash with the same field twice";
}

static const char *hash_part(struct cache_image *im, const struct sd_rdb_token *t)
{
	return add_field(im, t->a, t->b);
}

static const char *hash_pack(struct cache_image *im, const struct sd_rdb_token *t)
{
	const struct cache_tuning *limits = &im->cache->tuning;
	const unsigned char *lp = (const unsigned char *)t->a.p;
	bool as_it_is;
	const char *wrong = check_pairs(im->cache, t->a, limits->hash_max_listpack_entries, limits->hash_max_listpack_value, &as_it_is);
	if (wrong)
		return wrong;
	if (as_it_is) {
		im->encoding = CACHE_LISTPACK;
		im->value = copy_of(im->cache, t->a);
		return im->value ? NULL : no_memory;
	}
	wrong = begin_hash(im);
	for (size_t at = sd_listpack_first(lp); !wrong && at; at = sd_listpack_next(lp, at)) {
		char text[2][SD_LISTPACK_TEXT];
		struct sd_slice field = sd_listpack_text(lp, at, text[0]);
		at = sd_listpack_next(lp, at);
		wrong = add_field(im, field, sd_listpack_text(lp, at, text[1]));
	}
	return wrong;
}

static const char *end_hash(struct cache_image *im)
{
	struct cache_hash h = hash_in(im);
	im->empty = cache_hash_count(&h) == 0;
	return NULL;
}

static const struct cache_image_writer hash_writer = {type_of_hash, put_hash};
static const struct cache_image_reader hash_reader = {CACHE_HASH, begin_hash, hash_part, end_hash};
static const struct cache_image_reader hash_pack_reader = {CACHE_HASH, NULL, hash_pack, end_hash};

/* ---- lists ---- */

static enum sd_rdb_type type_of_list(const struct cache_item *it)
{
	(void)it;
	return SD_RDB_LIST_NODES;
}

static void put_list(struct sd_text *t, const struct cache_item *it)
{
	const struct quicklist *q = cache_value(it);
	uint64_t n = 0;
	for (const struct quicklist_node *k = q->head; k; k = k->next)
		n++;
	sd_rdb_put_length(t, n);
	for (const struct quicklist_node *k = q->head; k; k = k->next) {
		sd_rdb_put_length(t, SD_RDB_PACKED);
		put_bytes(t, quicklist_pack(k), sd_listpack_bytes(quicklist_pack(k)));
	}
}

static const char *begin_list(struct cache_image *im)
{
	im->encoding = CACHE_QUICKLIST;
	im->value = quicklist_new(&im->cache->memory, im->cache->tuning.list_max_listpack_size);
	return im->value ? NULL : no_memory;
}

static const char *list_part(struct cache_image *im, const struct sd_rdb_token *t)
{
	return quicklist_push(&im->cache->memory, im->value, t->a, false) ? NULL : no_memory;
}

static const char *list_node(struct cache_image *im, const struct sd_rdb_token *t)
{
	const unsigned char *lp = (const unsigned char *)t->a.p;
	if (t->n == SD_RDB_PLAIN)
		return list_part(im, t);
	if (!sd_listpack_validate(lp, t->a.n, NULL, NULL))
		return "a damaged listpack";
	if (!sd_listpack_first(lp)) /* Redis leaves such a node out as well */
		return NULL;
	return quicklist_add_pack(&im->cache->memory, im->value, lp) ? NULL : no_memory;
}

static const char *end_list(struct cache_image *im)
{
	im->empty = ((const struct quicklist *)im->value)->count == 0;
	return NULL;
}

static const struct cache_image_writer list_writer = {type_of_list, put_list};
static const struct cache_image_reader list_reader = {CACHE_LIST, begin_list, list_part, end_list};
static const struct cache_image_reader list_nodes_reader = {CACHE_LIST, begin_list, list_node, end_list};

/* ---- sets ---- */

static enum sd_rdb_type type_of_set(const struct cache_item *it)
{
	return it->encoding == CACHE_INTSET ? SD_RDB_SET_INTSET : SD_RDB_SET;
}

static void put_set(struct sd_text *t, const struct cache_item *it)
{
	struct cache_set s = cache_set_of(NULL, it);
	struct cache_set_iter i;
	struct sd_slice member;
	if (it->encoding == CACHE_INTSET) {
		put_bytes(t, s.p, sd_intset_bytes(s.p));
		return;
	}
	sd_rdb_put_length(t, cache_set_count(&s));
	cache_set_iter_begin(&s, &i);
	while (cache_set_iter_next(&i, &member))
		sd_rdb_put_string(t, member);
	cache_set_iter_end(&i);
}

static struct cache_set set_in(struct cache_image *im)
{
	return (struct cache_set){im->cache, im->encoding, im->value};
}

static const char *begin_set(struct cache_image *im)
{
	struct cache_set s;
	if (!cache_set_new(im->cache, true, &s))
		return no_memory;
	im->encoding = s.encoding;
	im->value = s.p;
	return NULL;
}

static const char *add_member(struct cache_image *im, struct sd_slice member)
{
	struct cache_set s = set_in(im);
	int added = cache_set_add(&s, member);
	im->encoding = s.encoding;
	im->value = s.p;
	return added < 0 ? no_memory : added ? NULL : "a set with the same member twice";
}

static const char *set_part(struct cache_image *im, const struct sd_rdb_token *t)
{
	return add_member(im, t->a);
}

static const char *set_numbers(struct cache_image *im, const struct sd_rdb_token *t)
{
	const uint8_t *p = (const uint8_t *)t->a.p;
	if (!sd_intset_valid(p, t->a.n))
		return "a damaged intset";
	if (sd_intset_count(p) <= im->cache->tuning.set_max_intset_entries) {
		im->encoding = CACHE_INTSET;
		im->value = copy_of(im->cache, t->a);
		return im->value ? NULL : no_memory;
	}
	const char *wrong = begin_set(im);
	for (uint32_t i = 0; !wrong && i < sd_intset_count(p); i++) {
		char text[24];
		wrong = add_member(im, (struct sd_slice){text, sd_resp_int_text(text, sd_intset_at(p, i))});
	}
	return wrong;
}

static const char *end_set(struct cache_image *im)
{
	struct cache_set s = set_in(im);
	im->empty = cache_set_count(&s) == 0;
	return NULL;
}

static const struct cache_image_writer set_writer = {type_of_set, put_set};
static const struct cache_image_reader set_reader = {CACHE_SET, begin_set, set_part, end_set};
static const struct cache_image_reader set_numbers_reader = {CACHE_SET, NULL, set_numbers, end_set};

/* ---- sorted sets ---- */

static enum sd_rdb_type type_of_zset(const struct cache_item *it)
{
	return it->encoding == CACHE_LISTPACK ? SD_RDB_ZSET_LISTPACK : SD_RDB_ZSET;
}

/* The highest first: whoever loads it adds each at the front. */
static void put_zset(struct sd_text *t, const struct cache_item *it)
{
	struct cache_zset z = cache_zset_of(NULL, it);
	struct cache_zset_iter i;
	if (it->encoding == CACHE_LISTPACK) {
		put_bytes(t, z.p, sd_listpack_bytes(z.p));
		return;
	}
	uint32_t n = cache_zset_count(&z);
	sd_rdb_put_length(t, n);
	for (bool more = n && cache_zset_seek(&z, n - 1, &i); more; more = cache_zset_step(&i, true)) {
		sd_rdb_put_string(t, i.member);
		sd_rdb_put_score(t, cache_zset_score(&i));
	}
}

static struct cache_zset zset_in(struct cache_image *im)
{
	return (struct cache_zset){im->cache, im->encoding, im->value};
}

static const char *begin_zset(struct cache_image *im)
{
	struct cache_zset z;
	if (!cache_zset_new_long(im->cache, &z))
		return no_memory;
	im->encoding = z.encoding;
	im->value = z.p;
	return NULL;
}

static const char *add_scored(struct cache_image *im, struct sd_slice member, double score)
{
	struct cache_zset z = zset_in(im);
	struct cache_zset_place p;
	if (cache_zset_find(&z, member, &p))
		return "a sorted set with the same member twice";
	bool added = cache_zset_add(&z, member, score, &p);
	im->encoding = z.encoding;
	im->value = z.p;
	return added ? NULL : no_memory;
}

static const char *zset_part(struct cache_image *im, const struct sd_rdb_token *t)
{
	return add_scored(im, t->a, t->score);
}

static bool in_ascending_order(const unsigned char *lp, bool *are_scores)
{
	struct sd_slice last = {0};
	char text[3][SD_LISTPACK_TEXT];
	double before = 0, score;
	bool ordered = true;
	*are_scores = true;
	for (size_t at = sd_listpack_first(lp), i = 0; at && *are_scores; at = sd_listpack_next(lp, at), i++) {
		struct sd_slice member = sd_listpack_text(lp, at, text[i & 1]);
		at = sd_listpack_next(lp, at);
		*are_scores = cache_zset_parse_score(sd_listpack_text(lp, at, text[2]), &score);
		size_t n = member.n < last.n ? member.n : last.n;
		int by_bytes = n ? memcmp(last.p, member.p, n) : 0;
		bool less = by_bytes ? by_bytes < 0 : last.n < member.n;
		ordered &= i == 0 || before < score || (before == score && less);
		before = score;
		last = member;
	}
	return ordered;
}

static const char *zset_pack(struct cache_image *im, const struct sd_rdb_token *t)
{
	const struct cache_tuning *limits = &im->cache->tuning;
	const unsigned char *lp = (const unsigned char *)t->a.p;
	bool as_it_is, are_scores;
	const char *wrong = check_pairs(im->cache, t->a, limits->zset_max_listpack_entries, limits->zset_max_listpack_value, &as_it_is);
	if (wrong)
		return wrong;
	as_it_is &= in_ascending_order(lp, &are_scores);
	if (!are_scores)
		return "a score that is no number";
	if (as_it_is) {
		im->encoding = CACHE_LISTPACK;
		im->value = copy_of(im->cache, t->a);
		return im->value ? NULL : no_memory;
	}
	wrong = begin_zset(im);
	for (size_t at = sd_listpack_first(lp); !wrong && at; at = sd_listpack_next(lp, at)) {
		char text[2][SD_LISTPACK_TEXT];
		double score = 0;
		struct sd_slice member = sd_listpack_text(lp, at, text[0]);
		at = sd_listpack_next(lp, at);
		cache_zset_parse_score(sd_listpack_text(lp, at, text[1]), &score);
		wrong = add_scored(im, member, score);
	}
	return wrong;
}

static const char *end_zset(struct cache_image *im)
{
	struct cache_zset z = zset_in(im);
	im->empty = cache_zset_count(&z) == 0;
	bool kept = im->empty || z.encoding == CACHE_LISTPACK || cache_zset_shorten(&z);
	im->encoding = z.encoding;
	im->value = z.p;
	return kept ? NULL : no_memory;
}

static const struct cache_image_writer zset_writer = {type_of_zset, put_zset};
static const struct cache_image_reader zset_reader = {CACHE_ZSET, begin_zset, zset_part, end_zset};
static const struct cache_image_reader zset_pack_reader = {CACHE_ZSET, NULL, zset_pack, end_zset};

/* ---- all ---- */

const struct cache_image_writer *const cache_image_writers[CACHE_TYPES] = {
    [CACHE_STRING] = &string_writer,
    [CACHE_LIST] = &list_writer,
    [CACHE_SET] = &set_writer,
    [CACHE_ZSET] = &zset_writer,
    [CACHE_HASH] = &hash_writer,
};

const struct cache_image_reader *cache_image_reader(enum sd_rdb_type type)
{
	static const struct cache_image_reader *const readers[] = {
	    [SD_RDB_STRING] = &string_reader,
	    [SD_RDB_LIST] = &list_reader,
	    [SD_RDB_LIST_NODES] = &list_nodes_reader,
	    [SD_RDB_SET] = &set_reader,
	    [SD_RDB_SET_INTSET] = &set_numbers_reader,
	    [SD_RDB_ZSET] = &zset_reader,
	    [SD_RDB_ZSET_TEXT] = &zset_reader,
	    [SD_RDB_ZSET_LISTPACK] = &zset_pack_reader,
	    [SD_RDB_HASH] = &hash_reader,
	    [SD_RDB_HASH_LISTPACK] = &hash_pack_reader,
	};
	const struct cache_image_reader *r = (size_t)type < sizeof(readers) / sizeof(readers[0]) ? readers[type] : NULL;
	return r && cache_types[r->type] ? r : NULL;
}
