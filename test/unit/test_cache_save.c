/* The cache's snapshot: whatever commands do between its steps, the file has the keys of the moment it began, each once; and loaded
 * again they are the same. The control does the same without what keeps that promise. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/cache/types/cache_hash.h"
#include "../../applets/cache/disk/cache_load.h"
#include "../../applets/cache/types/cache_quicklist.h"
#include "../../applets/cache/disk/cache_save.h"
#include "../../applets/cache/types/cache_set.h"
#include "../../applets/cache/types/cache_zset.h"
#include "core/bytes.h"
#include "core/crc64.h"

#define START 1700000000000
#define KEYS  400

struct rig {
	struct cache cache;
	struct cache_session me;
	struct sd_rng rng;
	int64_t now;
	bool blind; /* the control: the snapshot is not told of changes */
};

static void rig_begin(struct rig *r, uint64_t seed)
{
	*r = (struct rig){.now = START};
	sd_rng_seed(&r->rng, seed);
	cache_init(&r->cache, seed, r->now);
	cache_session_begin(&r->cache, &r->me);
}

static void rig_end(struct rig *r)
{
	cache_save_end(r->cache.save);
	cache_session_end(&r->me);
	cache_end(&r->cache);
}

static void hide(struct rig *r)
{
	r->cache.save = NULL;
	r->cache.save_first = false;
}

static void say(struct rig *r, const char *words)
{
	char text[2048];
	struct sd_slice argv[32];
	size_t argc = 0;
	char *rest = NULL;
	struct cache_save *save = r->cache.save;
	snprintf(text, sizeof(text), "%s", words);
	for (char *p = strtok_r(text, " ", &rest); p; p = strtok_r(NULL, " ", &rest))
		argv[argc++] = sd_slice_of(p);
	if (r->blind)
		hide(r);
	r->me.out.n = 0;
	cache_call(&r->me, argc, argv, r->now);
	r->cache.save = save;
	ck_assert_msg(r->me.out.n && strncmp(r->me.out.p, "-ERR unknown", 12) != 0, "%s: %.*s", words, (int)r->me.out.n, r->me.out.p);
}

/* ---- random commands ---- */

static unsigned below(struct rig *r, unsigned n)
{
	return sd_rng_below(&r->rng, n);
}

/* %k: a key, %n: a number, %v: a value of any length. */
static const char *const phrases[] = {
    "SET %k %v",	"SET %k %n",	     "SET %k %v PX %n",	    "APPEND %k %v",	    "INCR %k",
    "DEL %k",		"DEL %k %k %k",	     "PEXPIRE %k %n",	    "PERSIST %k",	    "RENAME %k %k",
    "COPY %k %k REPLACE", "MOVE %k 1",	     "GETDEL %k",	    "GETEX %k PX %n",	    "SETRANGE %k %n %v",
    "HSET %k a %v b %n",	"HSET %k %v %n",     "HDEL %k a b",	    "HINCRBY %k b %n",	    "RPUSH %k %v %n %n",
    "LPUSH %k %v",	"LPOP %k",	     "RPOP %k 2",	    "LSET %k 0 %n",	    "LTRIM %k 1 -1",
    "SADD %k %n %n",	"SADD %k %v",	     "SPOP %k",		    "SMOVE %k %k %n",	    "SUNIONSTORE %k %k %k",
    "ZADD %k %n %v",	"ZINCRBY %k %n a",   "ZPOPMIN %k",	    "ZADD %k %n a %n b",    "LMPOP 2 %k %k LEFT",
    "ZMPOP 2 %k %k MAX", "LMOVE %k %k LEFT RIGHT", "SORT %k ALPHA STORE %k", "RENAMENX %k %k", "ZUNIONSTORE %k 2 %k %k",
    "GET %k",		"SELECT 0",	     "SELECT 1",	    "SELECT 9",		    "COPY %k %k DB 9 REPLACE",
};

static void phrase(struct rig *r, const char *p, char *out, size_t room)
{
	size_t n = 0;
	for (; *p && n + 1200 < room; p++) {
		if (*p != '%') {
			out[n++] = *p;
			continue;
		}
		p++;
		if (*p == 'k')
			n += (size_t)snprintf(out + n, room - n, "key:%u", below(r, KEYS));
		else if (*p == 'n')
			n += (size_t)snprintf(out + n, room - n, "%u", 1 + below(r, 900));
		else
			for (unsigned len = 1 + below(r, below(r, 10) ? 20 : 700); len; len--)
				out[n++] = (char)('a' + below(r, 26));
	}
	out[n] = '\0';
}

static void anything(struct rig *r)
{
	char words[2048];
	phrase(r, phrases[below(r, sizeof(phrases) / sizeof(phrases[0]))], words, sizeof(words));
	say(r, words);
	r->now += below(r, 3);
	if (below(r, 8) == 0) {
		struct cache_save *save = r->cache.save;
		if (r->blind)
			hide(r);
		cache_tick(&r->cache, r->now, 10);
		r->cache.save = save;
	}
}

/* ---- all keys, as text in order ---- */

struct all {
	char **lines;
	size_t n, room;
	const struct cache_db *db;
};

static uint64_t sum_of(struct sd_slice a, struct sd_slice b, double score)
{
	return sd_crc64(sd_crc64(sd_crc64(a.n, a.p, a.n), b.p, b.n), &score, sizeof(score));
}

static uint64_t sum_of_list(const struct cache_item *it)
{
	char text[SD_LISTPACK_TEXT];
	uint64_t sum = 0;
	for (struct quicklist_at at = quicklist_seek(cache_value(it), 0); at.node; at = quicklist_next(at))
		sum = 31 * sum + sum_of(quicklist_text(at, text), (struct sd_slice){0}, 0);
	return sum;
}

static uint64_t sum_of_set(struct cache *c, const struct cache_item *it)
{
	struct cache_set set = cache_set_of(c, it);
	struct cache_set_iter i;
	struct sd_slice member;
	uint64_t sum = 0;
	cache_set_iter_begin(&set, &i);
	while (cache_set_iter_next(&i, &member))
		sum += sum_of(member, (struct sd_slice){0}, 0);
	cache_set_iter_end(&i);
	return sum;
}

static uint64_t sum_of_hash(struct cache *c, const struct cache_item *it)
{
	struct cache_hash h = cache_hash_of(c, it);
	struct cache_hash_iter i;
	struct cache_pair pair;
	uint64_t sum = 0;
	cache_hash_iter_begin(&h, &i);
	while (cache_hash_iter_next(&i, &pair))
		sum += sum_of(pair.field, pair.value, 0);
	cache_hash_iter_end(&i);
	return sum;
}

static uint64_t sum_of_zset(struct cache *c, const struct cache_item *it)
{
	struct cache_zset z = cache_zset_of(c, it);
	struct cache_zset_iter i;
	uint64_t sum = 0;
	for (bool more = cache_zset_seek(&z, 0, &i); more; more = cache_zset_step(&i, false))
		sum = 31 * sum + sum_of(i.member, (struct sd_slice){0}, cache_zset_score(&i));
	return sum;
}

/* Of what is in it, whatever form it is kept in. */
static uint64_t sum_of_value(struct cache *c, const struct cache_item *it)
{
	char text[24];
	switch (it->type) {
	case CACHE_LIST:
		return sum_of_list(it);
	case CACHE_SET:
		return sum_of_set(c, it);
	case CACHE_ZSET:
		return sum_of_zset(c, it);
	case CACHE_HASH:
		return sum_of_hash(c, it);
	default:
		return sum_of(cache_string(it, text), (struct sd_slice){0}, 0);
	}
}

static void add_line(void *arg, struct sd_dict_entry *e)
{
	struct all *a = arg;
	const struct cache_item *it = (const struct cache_item *)e;
	struct sd_text t = {0};
	sd_text_format(&t, "%u %.*s %lld %d %016llx", a->db->number, (int)it->e.klen, it->key, (long long)cache_expires_at(it),
		       it->type, (unsigned long long)sum_of_value(a->db->cache, it));
	if (a->n == a->room)
		a->lines = realloc(a->lines, (a->room = 2 * a->room + 100) * sizeof(*a->lines));
	a->lines[a->n++] = t.p;
}

static int in_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static struct all all_of(struct cache *c)
{
	struct all a = {0};
	for (int i = 0; i < CACHE_DBS; i++) {
		a.db = &c->dbs[i];
		sd_dict_each(&c->dbs[i].keys, add_line, &a);
	}
	if (a.n)
		qsort(a.lines, a.n, sizeof(*a.lines), in_order);
	return a;
}

static void free_all(struct all *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->lines[i]);
	free(a->lines);
}

static bool same(const struct all *a, const struct all *b)
{
	bool is = a->n == b->n;
	for (size_t i = 0; is && i < a->n; i++)
		is = strcmp(a->lines[i], b->lines[i]) == 0;
	return is;
}

/* ---- a file ---- */

static void drain(struct cache_save *s, struct sd_text *file)
{
	if (s->out.n)
		sd_text_add(file, s->out.p, s->out.n);
	s->out.n = 0;
}

static void finish(struct sd_text *file)
{
	char sum[8];
	sd_put_le(sum, sd_crc64(0, file->p, file->n), 8);
	sd_text_add(file, sum, 8);
}

/* Into a cache of its own, in pieces. False: refused. */
static bool load(const struct sd_text *file, struct cache *c, size_t piece, char error[160])
{
	struct cache_loader l = {.im = {.cache = c}};
	size_t at = 0, have = 0, took;
	bool good = true;
	while (good && !l.ended && have < file->n) {
		have = have + piece < file->n ? have + piece : file->n;
		good = cache_load(&l, file->p + at, have - at, &took);
		at += took;
	}
	snprintf(error, 160, "%s", l.im.reader.error);
	good &= l.ended;
	cache_image_free(&l.im);
	return good;
}

/* A snapshot with commands between its steps; true: it is what was there when it began. */
static bool snapshot_is_true(uint64_t seed, bool blind, uint64_t *early)
{
	struct rig r;
	struct sd_text file = {0};
	struct cache copy;
	char error[160];
	rig_begin(&r, seed);
	for (unsigned n = below(&r, 3000); n; n--)
		anything(&r);
	struct all before = all_of(&r.cache);
	r.blind = blind;
	struct cache_save *s = cache_save_begin(&r.cache);
	ck_assert_ptr_nonnull(s);
	unsigned busy = 1 + below(&r, 40);
	int64_t began = r.now;
	while (cache_save_step(s, 1 + below(&r, 2000)) == CACHE_SAVE_MORE) {
		drain(s, &file);
		for (unsigned n = below(&r, busy); n; n--)
			anything(&r);
		if (below(&r, 3) == 0)
			drain(s, &file);
	}
	ck_assert_int_eq(s->state, CACHE_SAVE_DONE);
	drain(s, &file);
	finish(&file);
	*early += s->early;
	/* keys that were over when it began are still in it: loaded at a time before */
	cache_init(&copy, 5, began - 1000000);
	bool good = load(&file, &copy, 1 + below(&r, 5000), error);
	struct all after = all_of(&copy);
	good = good && same(&before, &after);
	free_all(&before);
	free_all(&after);
	cache_end(&copy);
	free(file.p);
	rig_end(&r);
	return good;
}

START_TEST(one_moment)
{
	uint64_t early = 0;
	for (uint64_t seed = 1; seed <= 300; seed++)
		ck_assert_msg(snapshot_is_true(seed, false, &early), "seed %llu", (unsigned long long)seed);
	ck_assert_uint_gt(early, 1000); /* that commands were ahead of the walk at all */
}
END_TEST

/* Without what writes a value before it changes, snapshots are of no moment. */
START_TEST(control)
{
	uint64_t early = 0;
	unsigned wrong = 0;
	for (uint64_t seed = 1; seed <= 50; seed++)
		wrong += !snapshot_is_true(seed, true, &early);
	ck_assert_uint_gt(wrong, 40);
	ck_assert_uint_eq(early, 0);
}
END_TEST

/* A step is bounded, whatever there is. */
START_TEST(bounded)
{
	struct rig r;
	char words[64];
	unsigned steps = 0;
	rig_begin(&r, 1);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(words, sizeof(words), "SET key:%u value-of-some-length", i);
		say(&r, words);
	}
	struct cache_save *s = cache_save_begin(&r.cache);
	for (; s->state == CACHE_SAVE_MORE; steps++) {
		s->out.n = 0;
		cache_save_step(s, 1000);
		ck_assert_uint_lt(s->out.n, 2000);
	}
	ck_assert_uint_gt(steps, 600);
	ck_assert_uint_eq(s->keys, 20000);
	rig_end(&r);
}
END_TEST

/* What was walked comes again when the table shrinks meanwhile; it is written once all the same. */
START_TEST(shrinking)
{
	struct rig r;
	struct sd_text file = {0};
	struct cache copy;
	char words[64], error[160];
	rig_begin(&r, 1);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(words, sizeof(words), "SET key:%u %u", i, i);
		say(&r, words);
	}
	struct cache_save *s = cache_save_begin(&r.cache);
	for (unsigned i = 0; s->state == CACHE_SAVE_MORE; i++) {
		cache_save_step(s, 100);
		drain(s, &file);
		for (unsigned k = 20 * i; k < 20 * i + 20 && k < 4990; k++) {
			snprintf(words, sizeof(words), "DEL key:%u", k);
			say(&r, words);
		}
		drain(s, &file); /* so that the next step walks */
	}
	finish(&file);
	cache_init(&copy, 5, START);
	ck_assert_msg(load(&file, &copy, 1000, error), "%s", error);
	ck_assert_uint_eq(sd_dict_count(&copy.dbs[0].keys), 5000);
	cache_end(&copy);
	free(file.p);
	rig_end(&r);
}
END_TEST

/* A key that comes by another way than a command that writes. */
START_TEST(made_quietly)
{
	struct rig r;
	struct sd_text file = {0};
	rig_begin(&r, 1);
	say(&r, "SET a 1");
	struct cache_save *s = cache_save_begin(&r.cache);
	r.cache.save_first = false;
	ck_assert_ptr_nonnull(cache_set_string(&r.cache.dbs[0], sd_slice_of("b"), sd_slice_of("2"), CACHE_NO_END));
	while (cache_save_step(s, 1000) == CACHE_SAVE_MORE)
		drain(s, &file);
	ck_assert_uint_eq(s->keys, 1);
	free(file.p);
	rig_end(&r);
}
END_TEST

START_TEST(emptied)
{
	struct rig r;
	rig_begin(&r, 1);
	say(&r, "SET a 1");
	struct cache_save *s = cache_save_begin(&r.cache);
	say(&r, "FLUSHDB");
	ck_assert_int_eq(cache_save_step(s, 1000), CACHE_SAVE_ANEW);
	cache_save_end(s);
	s = cache_save_begin(&r.cache); /* what holds nothing that is to come does no harm */
	say(&r, "FLUSHALL");
	ck_assert_int_eq(cache_save_step(s, 1000), CACHE_SAVE_DONE);
	rig_end(&r);
}
END_TEST

/* ---- loading ---- */

static void refuses(const char *bytes, size_t n, const char *why)
{
	struct cache c;
	struct sd_text file = {0};
	char error[160];
	cache_init(&c, 1, START);
	sd_rdb_put_head(&file);
	sd_text_add(&file, bytes, n);
	ck_assert(!load(&file, &c, file.n, error));
	ck_assert_str_eq(error, why);
	free(file.p);
	cache_end(&c);
}

START_TEST(refused)
{
	refuses("\xfe\x10", 2, "database 16; expected 0 to 15");
	refuses("\0\1a\1b\0\1a\1c", 10, "a key that was there before, in database 0");
	refuses("\0\1a\1b\x0f", 6, "type 15 (stream) is not supported");
	refuses("\0\1a\1b\xff\0\0\0\0\0\0\0\0x", 15, "1 bytes behind the end");
	refuses("\0\1a\1b", 5, ""); /* cut off */
}
END_TEST

START_TEST(over)
{
	struct cache c;
	struct sd_text file = {0};
	char error[160];
	cache_init(&c, 1, START);
	sd_rdb_put_head(&file);
	for (int i = -1; i <= 1; i++) {
		char key[2] = {(char)('b' + i), '\0'};
		sd_rdb_put_expiry(&file, START + i);
		sd_rdb_put_type(&file, SD_RDB_STRING);
		sd_rdb_put_string(&file, sd_slice_of(key));
		sd_rdb_put_string(&file, sd_slice_of("v"));
	}
	sd_rdb_put_end(&file);
	finish(&file);
	ck_assert(load(&file, &c, 1, error));
	ck_assert_uint_eq(sd_dict_count(&c.dbs[0].keys), 1);
	ck_assert_ptr_nonnull(cache_find(&c.dbs[0], sd_slice_of("c")));
	free(file.p);
	cache_end(&c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache_save");
	TCase *tc = tcase_create("cache_save");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, one_moment);
	tcase_add_test(tc, control);
	tcase_add_test(tc, bounded);
	tcase_add_test(tc, shrinking);
	tcase_add_test(tc, made_quietly);
	tcase_add_test(tc, emptied);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, over);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
