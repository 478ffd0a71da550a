/* Tables of a store: own format, the cache of blocks, how many files are open, blobs; on a simulated disk, and with threads on a real one. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/rng.h"
#include "disk/lsm_tables.h"
#include "world/sim.h"
#include "world/world.h"

#define MOST 20000
#define DIR  "store"

static struct sd_sim *sim;
static struct sd_world *world;
static struct sd_lsm_tables *tables;
static struct sd_rng rng;

/* Sets a NUL-terminated name's internal key. */
static struct sd_slice internal(char *to, size_t room, const char *user, uint64_t seq, unsigned kind)
{
	size_t n = strlen(user);
	ck_assert_uint_le(n + SD_LSM_TAIL, room);
	memcpy(to, user, n);
	sd_put_le(to + n, seq << 8 | kind, SD_LSM_TAIL);
	return (struct sd_slice){to, n + SD_LSM_TAIL};
}

struct file_sink {
	struct sd_file *f;
	uint64_t at;
};

static enum sd_err to_file(void *arg, const void *p, size_t n, struct sd_error *e)
{
	struct file_sink *s = arg;
	struct iovec iov = {(void *)(uintptr_t)p, n};
	enum sd_err err = sd_file_write(s->f, &iov, 1, s->at, e);
	s->at += n;
	return err;
}

/* Keys key000000, key000002 ... n of them; the value of key i is `i` so often that it has `size` bytes, nearly. */
static uint64_t make_table(uint64_t number, size_t from, size_t n, size_t size, struct sd_lsm_table_conf conf)
{
	char name[64], user[32], key[64], value[4096];
	struct sd_error e;
	struct file_sink s = {0};
	struct sd_lsm_table_out out = {0};
	snprintf(name, sizeof(name), DIR "/%06u.%s", (unsigned)number, conf.own ? "sst" : "ldb");
	ck_assert_int_eq(sd_file_open(world, name, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &s.f, &e), SD_OK);
	conf.sink = (struct sd_lsm_sink){to_file, &s};
	sd_lsm_table_begin(&out, &conf);
	for (size_t i = from; i < from + n; i++) {
		snprintf(user, sizeof(user), "key%08zu", 2 * i);
		size_t k = 0;
		while (k + 9 < size)
			k += (size_t)snprintf(value + k, sizeof(value) - k, "%08zu ", i);
		sd_lsm_table_add(&out, internal(key, sizeof(key), user, 100 + i, SD_LSM_VALUE), (struct sd_slice){value, k});
	}
	ck_assert_int_eq(sd_lsm_table_end(&out, &e), SD_OK);
	ck_assert_uint_eq(out.bytes, s.at);
	uint64_t bytes = out.bytes;
	sd_lsm_table_free(&out);
	sd_file_close(s.f);
	return bytes;
}

static const struct sd_lsm_table_conf own = {.own = true, .zstd_level = 1};

static void open_tables(uint64_t cache, size_t files)
{
	tables = sd_lsm_tables_new(&(struct sd_lsm_tables_conf){.world = world, .dir = DIR, .own = true, .files = files, .cache_bytes = cache});
	ck_assert_ptr_nonnull(tables);
}

static void setup(void)
{
	struct sd_error e;
	sd_rng_seed(&rng, 1);
	sim = sd_sim_new(1);
	world = sd_sim_node(sim, "a");
	ck_assert_int_eq(sd_world_mkdir(world, DIR, 0700, &e), SD_OK);
}

static void teardown(void)
{
	sd_lsm_tables_free(tables);
	tables = NULL;
	sd_sim_free(sim);
}

static bool lookup(uint64_t number, const char *user, struct sd_lsm_hit *hit)
{
	char key[64];
	struct sd_error e;
	struct sd_slice k = internal(key, sizeof(key), user, SD_LSM_SEQ_MAX, SD_LSM_KIND_SEEK);
	ck_assert_msg(sd_lsm_tables_lookup(tables, number, 0, k, hit, &e) == SD_OK, "%s", e.text);
	return hit->found;
}

START_TEST(finds_what_is_there_and_spares_what_is_not)
{
	struct sd_lsm_hit hit;
	char user[32];
	size_t n = 5000, spared = 0;
	make_table(7, 0, n, 100, own);
	open_tables(1 << 20, 0);
	for (size_t i = 0; i < 2 * n; i++) {
		snprintf(user, sizeof(user), "key%08zu", i);
		bool found = lookup(7, user, &hit);
		ck_assert_msg(found == (i % 2 == 0), "%s", user);
		if (found)
			ck_assert(hit.seq == 100 + i / 2 && (size_t)strtoul(hit.value.p, NULL, 10) == i / 2 && hit.value.n > 90);
		spared += hit.filtered;
		sd_lsm_hit_release(&hit);
	}
	struct sd_lsm_tables_stats s;
	sd_lsm_tables_stats(tables, &s);
	ck_assert_uint_eq(s.filter_spared, spared);
	ck_assert_uint_eq(s.filter_passed, 2 * n - spared);
	ck_assert_uint_eq(s.filter_wrong, n - spared);
	ck_assert_uint_lt(n - spared, n / 50);
}
END_TEST

START_TEST(iterates_as_it_was_written)
{
	struct sd_lsm_iter *it;
	struct sd_error e;
	char user[32];
	size_t n = 3000, i = 0;
	make_table(3, 0, n, 60, own);
	open_tables(1 << 20, 0);
	for (int fill = 0; fill < 2; fill++) {
		ck_assert_int_eq(sd_lsm_tables_iter(tables, 3, 0, fill, &it, &e), SD_OK);
		i = 0;
		for (it->ops->first(it); it->valid; it->ops->next(it), i++) {
			int k = snprintf(user, sizeof(user), "key%08zu", 2 * i);
			ck_assert(it->key.n == (size_t)k + 8 && memcmp(it->key.p, user, (size_t)k) == 0);
			ck_assert_uint_eq(strtoul(it->value.p, NULL, 10), i);
		}
		ck_assert(i == n && it->err == SD_OK);
		for (it->ops->last(it); it->valid; it->ops->prev(it))
			ck_assert_uint_eq(strtoul(it->value.p, NULL, 10), --i);
		ck_assert_uint_eq(i, 0);
		sd_lsm_iter_free(it);
	}
}
END_TEST


/* Any bytes as the key, tail included; in random order of moves. */
START_TEST(moves_as_in_an_array)
{
	struct sd_lsm_iter *it;
	struct sd_error e;
	char user[32], key[64];
	size_t n = 700, at = 0;
	struct sd_lsm_table_conf conf = own;
	conf.block_bytes = _i % 2 ? 150 : 4096;
	conf.zstd_level = _i % 3 ? 1 : 0;
	sd_rng_seed(&rng, (uint64_t)_i);
	make_table(3, 0, n, 20 + (size_t)_i * 9, conf);
	open_tables(_i % 4 ? 100000 : 0, 0);
	ck_assert_int_eq(sd_lsm_tables_iter(tables, 3, 0, _i % 5 != 0, &it, &e), SD_OK);
	it->ops->first(it);
	for (int step = 0; step < 3000; step++) {
		uint32_t what = sd_rng_below(&rng, 16);
		if (what < 7 && at < n) {
			it->ops->next(it);
			at++;
		} else if (what < 13 && at < n && at > 0) {
			it->ops->prev(it);
			at--;
		} else if (what == 13) {
			it->ops->last(it);
			at = n - 1;
		} else {
			size_t k = sd_rng_below(&rng, 2 * (uint32_t)n + 2);
			snprintf(user, sizeof(user), what == 14 ? "key%08zu" : "key%07zu", what == 14 ? k : k / 10);
			it->ops->seek(it, internal(key, sizeof(key), user, SD_LSM_SEQ_MAX, SD_LSM_KIND_SEEK));
			at = what == 14 ? (k + 1) / 2 : (k / 10 * 10 + 1) / 2;
			at = at > n ? n : at;
		}
		ck_assert_int_eq(it->err, SD_OK);
		ck_assert_msg(it->valid == (at < n), "step %d", step);
		if (at < n)
			ck_assert_uint_eq(strtoul(it->value.p, NULL, 10), at);
	}
	sd_lsm_iter_free(it);
}
END_TEST

/* Versions of a key, removals, ends: the newest at or before a sequence number. */
START_TEST(versions_of_a_key)
{
	struct sd_lsm_table_out out = {0};
	struct sd_lsm_table_conf conf = own;
	struct file_sink s = {0};
	struct sd_error e;
	struct sd_lsm_hit hit;
	char key[64], user[16], value[8];
	ck_assert_int_eq(sd_file_open(world, DIR "/000001.sst", SD_FILE_WRITE | SD_FILE_CREATE, &s.f, &e), SD_OK);
	conf.sink = (struct sd_lsm_sink){to_file, &s};
	conf.block_bytes = 200; /* so that versions of a key are in many blocks */
	sd_lsm_table_begin(&out, &conf);
	for (int k = 0; k < 20; k++)
		for (uint64_t seq = 300; seq > 0; seq -= 3) {
			snprintf(user, sizeof(user), "k%02d", k);
			snprintf(value, sizeof(value), "%d ", (int)seq);
			enum sd_lsm_kind kind = seq % 5 ? SD_LSM_VALUE : SD_LSM_GONE;
			sd_lsm_table_add(&out, internal(key, sizeof(key), user, seq, kind), sd_slice_of(value));
		}
	ck_assert_int_eq(sd_lsm_table_end(&out, &e), SD_OK);
	ck_assert(out.props.entries == 2000 && out.props.gone == 400 && out.props.oldest_seq == 3 && out.props.newest_seq == 300);
	sd_lsm_table_free(&out);
	sd_file_close(s.f);
	open_tables(1 << 20, 0);
	for (int k = 0; k < 20; k++)
		for (uint64_t seq = 0; seq < 303; seq++) {
			snprintf(user, sizeof(user), "k%02d", k);
			struct sd_slice i = internal(key, sizeof(key), user, seq, SD_LSM_KIND_SEEK);
			ck_assert_int_eq(sd_lsm_tables_lookup(tables, 1, 0, i, &hit, &e), SD_OK);
			uint64_t is = seq > 300 ? 300 : seq / 3 * 3;
			ck_assert_msg(hit.found == (is > 0), "%s at %d", user, (int)seq);
			if (hit.found)
				ck_assert(hit.seq == is && hit.kind == (is % 5 ? SD_LSM_VALUE : SD_LSM_GONE) &&
					  strtoul(hit.value.p, NULL, 10) == is);
			sd_lsm_hit_release(&hit);
		}
}
END_TEST

/* Random keys of few letters: the arrays of the index say the same as the keys. */
START_TEST(the_index_finds_any_key)
{
	static const char letters[] = {0, 'a', (char)0xff};
	static char keys[600][40];
	static size_t lengths[600];
	struct sd_lsm_block_out b = {0};
	struct sd_lsm_index x;
	size_t n = 0, wanted = 1 + (size_t)_i * 17;
	sd_rng_seed(&rng, (uint64_t)_i);
	for (size_t i = 0; i < 600; i++) {
		size_t common = _i % 3 ? 9 : 0;
		lengths[i] = common + sd_rng_below(&rng, 14) + SD_LSM_TAIL;
		memset(keys[i], 'x', common);
		for (size_t k = common; k < lengths[i] - SD_LSM_TAIL; k++)
			keys[i][k] = letters[sd_rng_below(&rng, 3)];
		if (i >= 580 && common) /* sought only: before and behind all that begin alike, in the middle of it */
			keys[i][i % 9] = i % 2 ? 'w' : 'y';
		sd_put_le(keys[i] + lengths[i] - SD_LSM_TAIL, sd_rng_below(&rng, 3) << 8 | 1, SD_LSM_TAIL);
	}
	sd_lsm_block_begin(&b, 1);
	struct sd_slice last = {NULL, 0};
	for (; n < wanted; n++) { /* the least that is above the last */
		struct sd_slice best = {NULL, 0};
		for (size_t i = 0; i < 400; i++) {
			struct sd_slice k = {keys[i], lengths[i]};
			if ((!last.p || sd_lsm_internal(last, k) < 0) && (!best.p || sd_lsm_internal(k, best) < 0))
				best = k;
		}
		if (!best.p)
			break;
		sd_lsm_block_add(&b, best, (struct sd_slice){"\x01\x02", 2});
		last = best;
	}
	struct sd_slice bytes = sd_lsm_block_end(&b);
	ck_assert_int_eq(sd_lsm_index_open(&x, bytes.p, bytes.n), SD_OK);
	ck_assert_uint_eq(x.n, n);
	struct sd_lsm_at at = {.block = &x.block, .kinds = SD_LSM_KINDS_ANY};
	for (size_t i = 0; i < 600; i++) {
		struct sd_slice k = {keys[i], lengths[i]};
		sd_lsm_at_seek(&at, k);
		uint32_t found = sd_lsm_index_find(&x, k);
		ck_assert(at.valid == (found < x.n));
		struct sd_lsm_at other = {.block = &x.block, .kinds = SD_LSM_KINDS_ANY};
		sd_lsm_at_restart(&other, found);
		ck_assert(!at.valid || other.at == at.at);
		sd_lsm_at_free(&other);
	}
	sd_lsm_at_free(&at);
	sd_lsm_index_close(&x);
	sd_lsm_block_free(&b);
}
END_TEST

/* ---- filters ---- */

/* Ten bits a key: of keys that are not there fewer than 1.3 in a hundred are looked for, and not so few that it would cost more. */
START_TEST(the_filter_is_wrong_about_once_in_a_hundred)
{
	static uint64_t hashes[20000];
	struct sd_text filter = {0};
	char user[32];
	size_t n = _i ? 20000 : 777, wrong = 0, asked = 100000;
	for (size_t i = 0; i < n; i++) {
		int k = snprintf(user, sizeof(user), "user:%zu", i);
		hashes[i] = sd_lsm_own_hash((struct sd_slice){user, (size_t)k});
	}
	sd_lsm_own_filter_put(hashes, n, &filter);
	ck_assert(!filter.full && filter.n <= n * 10 / 8 + 64);
	struct sd_slice f = {filter.p, filter.n};
	for (size_t i = 0; i < n; i++)
		ck_assert(sd_lsm_own_filter_may(f, hashes[i]));
	for (size_t i = 0; i < asked; i++) {
		int k = snprintf(user, sizeof(user), "user:%zu", 1000000 + i);
		wrong += sd_lsm_own_filter_may(f, sd_lsm_own_hash((struct sd_slice){user, (size_t)k}));
	}
	ck_assert_msg(wrong < asked * 13 / 1000 && wrong > asked * 5 / 1000, "%zu of %zu", wrong, asked);
	free(filter.p);
}
END_TEST

/* ---- ranges, properties ---- */

static struct sd_slice text(const char *t)
{
	return sd_slice_of(t);
}

START_TEST(ranges_and_bounds)
{
	struct sd_lsm_table_out out = {0};
	struct sd_lsm_table_conf conf = own;
	struct file_sink s = {0};
	struct sd_error e;
	struct sd_lsm_ranges *r = NULL;
	const struct sd_lsm_table *table;
	char key[64];
	ck_assert_int_eq(sd_file_open(world, DIR "/000001.sst", SD_FILE_WRITE | SD_FILE_CREATE, &s.f, &e), SD_OK);
	conf.sink = (struct sd_lsm_sink){to_file, &s};
	sd_lsm_table_begin(&out, &conf);
	sd_lsm_table_add_range(&out, &(struct sd_lsm_range){text("b"), text("d"), 50});
	if (_i == 0)
		sd_lsm_table_add(&out, internal(key, sizeof(key), "c", 60, SD_LSM_VALUE), text("v"));
	sd_lsm_table_add_range(&out, &(struct sd_lsm_range){text("c"), text("f"), 70});
	if (_i == 0) {
		sd_lsm_table_add(&out, internal(key, sizeof(key), "d", 61, SD_LSM_BLOB), text("\x07\x10\x64"));
		sd_lsm_table_add(&out, internal(key, sizeof(key), "e", 62, SD_LSM_ENDING_BLOB), text("12345678\x07\x10\x0a"));
		ck_assert(out.props.blobs == 2 && out.props.blob_bytes == 110 && out.props.ending == 1);
	}
	ck_assert_int_eq(sd_lsm_table_end(&out, &e), SD_OK);
	struct sd_slice first = {out.first.p, out.first.n}, last = {out.last.p, out.last.n};
	ck_assert(sd_lsm_user(first).n == 1 && *first.p == 'b' && sd_lsm_seq(first) == 50 && sd_lsm_kind(first) == SD_LSM_RANGE_GONE);
	ck_assert(sd_lsm_user(last).n == 1 && *last.p == 'f' && sd_lsm_seq(last) == SD_LSM_SEQ_MAX);
	sd_lsm_table_free(&out);
	sd_file_close(s.f);
	open_tables(0, 0);
	ck_assert_msg(sd_lsm_tables_ranges(tables, 1, 0, &r, &e) == SD_OK, "%s", e.text);
	ck_assert_uint_eq(sd_lsm_ranges_hides(r, text("b"), 100), 50);
	ck_assert_uint_eq(sd_lsm_ranges_hides(r, text("c"), 100), 70);
	ck_assert_uint_eq(sd_lsm_ranges_hides(r, text("c"), 60), 50);
	ck_assert_uint_eq(sd_lsm_ranges_hides(r, text("f"), 100), 0);
	sd_lsm_ranges_unref(r);
	ck_assert_int_eq(sd_lsm_tables_get(tables, 1, 0, &table, &e), SD_OK);
	ck_assert(table->props.ranges == 2 && table->props.entries == (_i == 0 ? 3 : 0) && table->props.oldest_seq == 50 &&
		  table->props.newest_seq == 70);
	sd_lsm_tables_put(table);
	struct sd_lsm_iter *it;
	ck_assert_int_eq(sd_lsm_tables_iter(tables, 1, 0, false, &it, &e), SD_OK);
	it->ops->first(it);
	ck_assert(it->valid == (_i == 0) && it->err == SD_OK);
	sd_lsm_iter_free(it);
}
END_TEST

START_TEST(zstd_where_it_saves_an_eighth)
{
	const struct sd_lsm_table *table;
	struct sd_error e;
	make_table(1, 0, 2000, 100, own);
	make_table(2, 0, 2000, 100, (struct sd_lsm_table_conf){.own = true});
	open_tables(0, 0);
	ck_assert_int_eq(sd_lsm_tables_get(tables, 1, 0, &table, &e), SD_OK);
	ck_assert_uint_lt(table->props.data_bytes, table->props.expanded_bytes / 2);
	uint64_t blocks = table->props.data_blocks, expanded = table->props.expanded_bytes;
	ck_assert(table->props.key_bytes == 2000 * 11 && table->props.value_bytes == 2000 * 99);
	sd_lsm_tables_put(table);
	ck_assert_int_eq(sd_lsm_tables_get(tables, 2, 0, &table, &e), SD_OK);
	ck_assert(table->props.data_bytes == table->props.expanded_bytes && table->props.data_blocks == blocks &&
		  table->props.expanded_bytes == expanded);
	sd_lsm_tables_put(table);
}
END_TEST

/* ---- damage ---- */

static void write_file(const char *name, const char *p, size_t n)
{
	struct sd_file *f;
	struct sd_error e;
	struct iovec iov = {(void *)(uintptr_t)p, n};
	ck_assert_int_eq(sd_file_open(world, name, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &f, &e), SD_OK);
	ck_assert_int_eq(sd_file_write(f, &iov, 1, 0, &e), SD_OK);
	sd_file_close(f);
}

static char *read_file(const char *name, size_t *n)
{
	char *p;
	struct sd_error e;
	ck_assert_int_eq(sd_world_read_file(world, name, 1 << 20, &p, n, &e), SD_OK);
	return p;
}

/* Opens and walks a table, both ways: the entries that came before an error. */
static size_t walk(uint64_t number, enum sd_err *err, struct sd_error *e)
{
	struct sd_lsm_iter *it;
	size_t n = 0, back = 0;
	if ((*err = sd_lsm_tables_iter(tables, number, 0, false, &it, e)))
		return 0;
	for (it->ops->first(it); it->valid; it->ops->next(it))
		ck_assert_uint_eq(strtoul(it->value.p, NULL, 10), n++);
	*err = it->err;
	if (it->err)
		*e = *it->why;
	for (it->ops->last(it); it->valid; it->ops->prev(it))
		back++;
	ck_assert((it->err != SD_OK) == (*err != SD_OK) && (*err || back == n));
	sd_lsm_iter_free(it);
	return n;
}

/* Every byte of a table, changed: it is told, by the name of the file, whatever was asked. */
START_TEST(every_changed_byte_is_told)
{
	struct sd_lsm_table_conf conf = own;
	struct sd_error e = {0};
	enum sd_err err;
	size_t n;
	conf.block_bytes = 400;
	conf.zstd_level = _i;
	make_table(1, 0, 40, 30, conf);
	char *bytes = read_file(DIR "/000001.sst", &n);
	open_tables(1 << 20, 0);
	ck_assert(walk(1, &err, &e) == 40 && err == SD_OK);
	for (size_t at = 0; at < n; at++) {
		char mask = (char)(1 << sd_rng_below(&rng, 8));
		bytes[at] ^= mask;
		write_file(DIR "/000001.sst", bytes, n);
		sd_lsm_tables_forget(tables, 1);
		walk(1, &err, &e);
		ck_assert_msg(err == SD_EDAMAGED || err == SD_EUNSUPPORTED, "byte %zu of %zu: %s", at, n, sd_err_text(err));
		ck_assert_msg(strncmp(e.text, "000001.sst: ", 12) == 0, "byte %zu: %s", at, e.text);
		bytes[at] ^= mask;
	}
	for (size_t cut = 0; cut < n; cut++) {
		write_file(DIR "/000001.sst", bytes, cut);
		sd_lsm_tables_forget(tables, 1);
		walk(1, &err, &e);
		ck_assert_int_eq(err, SD_EDAMAGED);
	}
	free(bytes);
}
END_TEST

/* The blocks of two tables that have the same shape, swapped: checksums are also of where a block lies. */
START_TEST(blocks_of_another_place_are_told)
{
	struct sd_error e;
	enum sd_err err;
	size_t n;
	struct sd_lsm_table_conf conf = {.own = true, .block_bytes = 400};
	make_table(1, 0, 40, 30, conf);
	char *bytes = read_file(DIR "/000001.sst", &n), block[200];
	open_tables(0, 0);
	const struct sd_lsm_table *t;
	ck_assert_int_eq(sd_lsm_tables_get(tables, 1, 0, &t, &e), SD_OK);
	struct sd_lsm_handle a = t->index.handles[0], b = t->index.handles[1];
	sd_lsm_tables_put(t);
	ck_assert(a.n == b.n && a.n + 5 < 1000 && b.at == a.n + 5);
	ck_assert_uint_gt(n, 2 * sizeof(block));
	for (size_t i = 0; i < a.n + 5; i++) {
		char c = bytes[a.at + i];
		bytes[a.at + i] = bytes[b.at + i];
		bytes[b.at + i] = c;
	}
	write_file(DIR "/000001.sst", bytes, n);
	sd_lsm_tables_forget(tables, 1);
	walk(1, &err, &e);
	ck_assert_int_eq(err, SD_EDAMAGED);
	ck_assert_str_eq(e.text, "000001.sst: block at 0 has a bad checksum");
	free(bytes);
}
END_TEST

START_TEST(what_cannot_be_opened_says_why)
{
	const struct sd_lsm_table *t;
	struct sd_error e;
	size_t n;
	open_tables(0, 0);
	ck_assert_int_eq(sd_lsm_tables_get(tables, 9, 0, &t, &e), SD_EDAMAGED);
	ck_assert_str_eq(e.text, "000009.sst is missing");
	uint64_t size = make_table(1, 0, 10, 30, own);
	ck_assert_int_eq(sd_lsm_tables_get(tables, 1, size + 1, &t, &e), SD_EDAMAGED);
	ck_assert_ptr_nonnull(strstr(e.text, ", and should have "));
	write_file(DIR "/000002.sst", "", 0);
	ck_assert_int_eq(sd_lsm_tables_get(tables, 2, 0, &t, &e), SD_EDAMAGED);
	ck_assert_str_eq(e.text, "000002.sst: too short for a table (0 bytes)");
	char *bytes = read_file(DIR "/000001.sst", &n);
	char *footer = bytes + n - SD_LSM_FOOTER;
	sd_put_le(footer + 32, SD_LSM_OWN_VERSION + 1, 4);
	sd_put_le(footer + 36, sd_lsm_mask(sd_crc32c(0, footer, 36)), 4);
	write_file(DIR "/000003.sst", bytes, n);
	ck_assert_int_eq(sd_lsm_tables_get(tables, 3, 0, &t, &e), SD_EUNSUPPORTED);
	ck_assert_str_eq(e.text, "000003.sst: a table of version 2; expected 1 or less");
	free(bytes);
}
END_TEST

/* ---- descriptors ---- */

/* With three files open at most every one of ten is read; those in use stay open. */
START_TEST(few_descriptors_are_enough)
{
	struct sd_lsm_tables_stats s;
	struct sd_lsm_hit hit;
	const struct sd_lsm_table *held[2];
	struct sd_error e;
	for (uint64_t f = 1; f <= 10; f++)
		make_table(f, 0, 20, 30, own);
	open_tables(1 << 20, 3);
	ck_assert_int_eq(sd_lsm_tables_get(tables, 1, 0, &held[0], &e), SD_OK);
	ck_assert_int_eq(sd_lsm_tables_get(tables, 2, 0, &held[1], &e), SD_OK);
	for (int i = 0; i < 200; i++) {
		ck_assert(lookup(1 + sd_rng_below(&rng, 10), "key00000004", &hit));
		sd_lsm_hit_release(&hit);
		sd_lsm_tables_stats(tables, &s);
		ck_assert_uint_le(s.open, 3);
	}
	uint64_t opened = s.opened;
	ck_assert_uint_eq(s.closed_early, opened - 3);
	for (uint64_t f = 1; f <= 2; f++) {
		ck_assert(lookup(f, "key00000004", &hit));
		sd_lsm_hit_release(&hit);
	}
	sd_lsm_tables_stats(tables, &s);
	ck_assert_uint_eq(s.opened, opened); /* these were open all the time */
	sd_lsm_tables_put(held[0]);
	sd_lsm_tables_put(held[1]);
}
END_TEST

/* The one that was not asked for longest is closed. */
START_TEST(the_least_used_goes)
{
	struct sd_lsm_tables_stats s;
	struct sd_lsm_hit hit;
	for (uint64_t f = 1; f <= 4; f++)
		make_table(f, 0, 20, 30, own);
	open_tables(1 << 20, 3);
	static const uint64_t asked[] = {1, 2, 3, 1, 4, 1}; /* 4 takes the place of 2 */
	for (size_t i = 0; i < 6; i++) {
		ck_assert(lookup(asked[i], "key00000004", &hit));
		sd_lsm_hit_release(&hit);
	}
	sd_lsm_tables_stats(tables, &s);
	ck_assert_uint_eq(s.opened, 4);
	ck_assert(lookup(3, "key00000004", &hit));
	sd_lsm_hit_release(&hit);
	sd_lsm_tables_stats(tables, &s);
	ck_assert_uint_eq(s.opened, 4);
}
END_TEST

/* The system has no more: one that nobody uses is closed, and it is tried again. With none to close it is said. */
START_TEST(out_of_descriptors)
{
	struct sd_lsm_tables_stats s;
	struct sd_lsm_hit hit;
	struct sd_error e;
	const struct sd_lsm_table *t;
	for (uint64_t f = 1; f <= 4; f++)
		make_table(f, 0, 20, 30, own);
	open_tables(1 << 20, 0);
	for (uint64_t f = 1; f <= 3; f++) {
		ck_assert(lookup(f, "key00000004", &hit));
		sd_lsm_hit_release(&hit);
	}
	sd_sim_fail(world, SD_SIM_OPEN, 1, 2, 24 /* EMFILE */);
	ck_assert(lookup(4, "key00000004", &hit));
	sd_lsm_hit_release(&hit);
	sd_lsm_tables_stats(tables, &s);
	ck_assert(s.closed_early == 2 && s.open == 2);
	sd_sim_fail(world, SD_SIM_OPEN, 1, 100, 24);
	ck_assert_int_eq(sd_lsm_tables_get(tables, 1, 0, &t, &e), SD_ENOFILES);
	sd_sim_fail(world, SD_SIM_OPEN, 1, 0, 0);
	ck_assert_int_eq(sd_lsm_tables_get(tables, 1, 0, &t, &e), SD_OK);
	sd_lsm_tables_put(t);
}
END_TEST

/* Indexes and filters take no more than they may, whatever is asked for; only what is in use is above that. */
START_TEST(indexes_are_bounded)
{
	const struct sd_lsm_table *held[6];
	struct sd_lsm_tables_stats s;
	struct sd_lsm_hit hit;
	struct sd_error e;
	for (uint64_t f = 1; f <= 10; f++)
		make_table(f, 0, 2000, 30, own);
	open_tables(1 << 20, 0);
	ck_assert(lookup(1, "key00000004", &hit));
	sd_lsm_hit_release(&hit);
	sd_lsm_tables_stats(tables, &s);
	uint64_t one = s.memory, bound = 4 * one + one / 2;
	sd_lsm_tables_free(tables);
	tables = sd_lsm_tables_new(
	    &(struct sd_lsm_tables_conf){.world = world, .dir = DIR, .own = true, .cache_bytes = 1 << 20, .memory = bound});
	for (int i = 0; i < 200; i++) {
		ck_assert(lookup(1 + sd_rng_below(&rng, 10), "key00000004", &hit));
		sd_lsm_hit_release(&hit);
		sd_lsm_tables_stats(tables, &s);
		ck_assert_uint_le(s.memory, bound);
	}
	ck_assert_uint_eq(s.open, 4);
	for (uint64_t f = 0; f < 6; f++)
		ck_assert_int_eq(sd_lsm_tables_get(tables, f + 1, 0, &held[f], &e), SD_OK);
	sd_lsm_tables_stats(tables, &s);
	ck_assert_uint_eq(s.open, 6);
	for (uint64_t f = 0; f < 6; f++)
		sd_lsm_tables_put(held[f]);
	ck_assert(lookup(9, "key00000004", &hit));
	sd_lsm_hit_release(&hit);
	sd_lsm_tables_stats(tables, &s);
	ck_assert(s.memory <= bound && s.open == 4);
}
END_TEST

/* A table that is in use is forgotten: who has it reads on. */
START_TEST(forgotten_in_use)
{
	struct sd_lsm_iter *it;
	struct sd_error e;
	make_table(1, 0, 500, 100, own);
	open_tables(0, 0);
	ck_assert_int_eq(sd_lsm_tables_iter(tables, 1, 0, true, &it, &e), SD_OK);
	it->ops->first(it);
	sd_lsm_tables_forget(tables, 1);
	ck_assert_int_eq(sd_world_unlink(world, DIR "/000001.sst"), SD_OK);
	size_t n = 0;
	for (; it->valid; it->ops->next(it))
		n++;
	ck_assert(n == 500 && it->err == SD_OK);
	sd_lsm_iter_free(it);
	struct sd_lsm_tables_stats s;
	sd_lsm_tables_stats(tables, &s);
	ck_assert(s.open == 0 && s.memory == 0);
}
END_TEST

/* ---- the cache ---- */

static uint64_t misses(void)
{
	struct sd_lsm_cache_stats s;
	sd_lsm_cache_stats(sd_lsm_tables_cache(tables), &s);
	ck_assert_uint_le(s.bytes, s.limit);
	return s.misses;
}

/* Keys of `hot` that take a block each, far from each other. */
static void ask_hot(size_t n)
{
	struct sd_lsm_hit hit;
	char user[32];
	for (size_t i = 0; i < n; i++) {
		snprintf(user, sizeof(user), "key%08zu", i * 400);
		ck_assert(lookup(1, user, &hit));
		sd_lsm_hit_release(&hit);
	}
}

/* What is asked for again and again stays, though a scan of several times the cache comes in between, and another, and another. */
START_TEST(a_scan_does_not_empty_the_cache)
{
	struct sd_lsm_iter *it;
	struct sd_error e;
	make_table(1, 0, MOST, 100, (struct sd_lsm_table_conf){.own = true});
	for (uint64_t f = 2; f < 5; f++)
		make_table(f, 0, 2 * MOST, 100, (struct sd_lsm_table_conf){.own = true});
	open_tables(1 << 20, 0);
	for (int i = 0; i < 4; i++)
		ask_hot(40);
	uint64_t before = misses();
	ask_hot(40);
	ck_assert_uint_eq(misses(), before);
	for (uint64_t f = 2; f < 5; f++) {
		ck_assert_int_eq(sd_lsm_tables_iter(tables, f, 0, true, &it, &e), SD_OK);
		for (it->ops->first(it); it->valid; it->ops->next(it)) {
		}
		sd_lsm_iter_free(it);
		before = misses();
		ask_hot(40);
		ck_assert_uint_le(misses() - before, 2);
	}
}
END_TEST

static uint64_t blocks_kept(void)
{
	struct sd_lsm_cache_stats s;
	sd_lsm_cache_stats(sd_lsm_tables_cache(tables), &s);
	return s.blocks;
}

/* What a long scan reads for the first time goes by; what it reads again is kept, and then nothing is read any more. Compressed or not. */
START_TEST(a_scan_is_kept_when_it_comes_again)
{
	static const uint64_t least[] = {0, 0, 300}, most[] = {4, UINT64_MAX, UINT64_MAX};
	struct sd_lsm_iter *it;
	struct sd_error e;
	uint64_t reads = 0;
	make_table(1, 0, MOST, 100, (struct sd_lsm_table_conf){.own = true, .zstd_level = _i});
	open_tables(16 << 20, 0);
	for (int turn = 0; turn < 4; turn++) {
		size_t n = 0;
		reads = sd_sim_count(world, SD_SIM_READ);
		ck_assert_int_eq(sd_lsm_tables_iter(tables, 1, 0, true, &it, &e), SD_OK);
		for (it->ops->first(it); it->valid; it->ops->next(it), n++)
			ck_assert_uint_eq(strtoul(it->value.p, NULL, 10), n);
		ck_assert(n == MOST && it->err == SD_OK);
		sd_lsm_iter_free(it);
		if (turn < 3)
			ck_assert(blocks_kept() >= least[turn] && blocks_kept() <= most[turn]);
	}
	ck_assert_uint_eq(sd_sim_count(world, SD_SIM_READ) - reads, 0);
}
END_TEST

/* Without `fill` a scan leaves no trace at all, and reads a lot at once. */
START_TEST(compaction_leaves_the_cache_alone)
{
	struct sd_lsm_iter *it;
	struct sd_error e;
	struct sd_lsm_cache_stats before, after;
	uint64_t bytes = make_table(1, 0, MOST, 100, (struct sd_lsm_table_conf){.own = true});
	open_tables(1 << 20, 0);
	ask_hot(5);
	sd_lsm_cache_stats(sd_lsm_tables_cache(tables), &before);
	ck_assert_int_eq(sd_lsm_tables_iter(tables, 1, 0, false, &it, &e), SD_OK);
	uint64_t reads = sd_sim_count(world, SD_SIM_READ);
	for (it->ops->first(it); it->valid; it->ops->next(it)) {
	}
	sd_lsm_iter_free(it);
	ck_assert_uint_le(sd_sim_count(world, SD_SIM_READ) - reads, bytes / (256 << 10) + 6);
	sd_lsm_cache_stats(sd_lsm_tables_cache(tables), &after);
	ck_assert(memcmp(&before, &after, sizeof(before)) == 0);
}
END_TEST

START_TEST(the_cache_is_bounded_and_can_shrink)
{
	struct sd_lsm_cache_stats s;
	make_table(1, 0, MOST, 100, (struct sd_lsm_table_conf){.own = true});
	open_tables(800 << 10, 0);
	ask_hot(100);
	ask_hot(100);
	sd_lsm_cache_stats(sd_lsm_tables_cache(tables), &s);
	ck_assert(s.blocks == 100 && s.hits == 100 && s.misses == 100 && s.bytes > 400000);
	sd_lsm_cache_resize(sd_lsm_tables_cache(tables), 100 << 10);
	sd_lsm_cache_stats(sd_lsm_tables_cache(tables), &s);
	ck_assert(s.bytes <= 100 << 10 && s.blocks > 0 && s.evicted == 100 - s.blocks);
}
END_TEST

/* ---- blobs ---- */

START_TEST(blobs_come_back)
{
	struct sd_lsm_blob_out *o;
	struct sd_lsm_blob_ref refs[40], back;
	struct sd_error e;
	struct sd_slice value;
	void *memory;
	static char bytes[100000];
	char key[64], ref[SD_LSM_BLOB_REF];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i / 5000 % 2 ? sd_rng_below(&rng, 256) : 'x');
	open_tables(0, 0);
	ck_assert_int_eq(sd_lsm_blob_create(world, DIR, 4, _i, &o, &e), SD_OK);
	for (size_t i = 0; i < 40; i++) {
		struct sd_slice k = internal(key, sizeof(key), "k", i, SD_LSM_BLOB);
		ck_assert_int_eq(sd_lsm_blob_add(o, k, (struct sd_slice){bytes + i * 7, i * 2000}, &refs[i], &e), SD_OK);
		size_t n = sd_lsm_blob_ref_put(ref, &refs[i]);
		ck_assert(sd_lsm_blob_ref_get((struct sd_slice){ref, n}, &back) && memcmp(&back, &refs[i], sizeof(back)) == 0);
		ck_assert(!sd_lsm_blob_ref_get((struct sd_slice){ref, n - 1}, &back));
	}
	uint64_t size = sd_lsm_blob_bytes(o);
	ck_assert_int_eq(sd_lsm_blob_end(o, &e), SD_OK);
	ck_assert(refs[39].at + refs[39].n == size);
	for (size_t i = 0; i < 40; i++) {
		ck_assert_msg(sd_lsm_tables_blob(tables, &refs[i], &value, &memory, &e) == SD_OK, "%s", e.text);
		ck_assert(value.n == i * 2000 && memcmp(value.p, bytes + i * 7, value.n) == 0);
		free(memory);
	}
	back = refs[3];
	back.at++;
	ck_assert_int_eq(sd_lsm_tables_blob(tables, &back, &value, &memory, &e), SD_EDAMAGED);
	back = refs[39];
	back.n++;
	ck_assert_int_eq(sd_lsm_tables_blob(tables, &back, &value, &memory, &e), SD_EDAMAGED);
	ck_assert_ptr_nonnull(strstr(e.text, "ends behind the file"));
	back.file = 8;
	ck_assert_int_eq(sd_lsm_tables_blob(tables, &back, &value, &memory, &e), SD_EDAMAGED);
	ck_assert_str_eq(e.text, "000008.blob is missing");
}
END_TEST

START_TEST(every_changed_byte_of_a_blob_is_told)
{
	struct sd_lsm_blob_out *o;
	struct sd_lsm_blob_ref ref;
	struct sd_error e;
	struct sd_slice value;
	void *memory;
	char key[64];
	size_t n;
	ck_assert_int_eq(sd_lsm_blob_create(world, DIR, 4, 1, &o, &e), SD_OK);
	ck_assert_int_eq(sd_lsm_blob_add(o, internal(key, sizeof(key), "k", 1, SD_LSM_BLOB),
					 text("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), &ref, &e),
			 SD_OK);
	ck_assert_int_eq(sd_lsm_blob_end(o, &e), SD_OK);
	open_tables(0, 0);
	char *bytes = read_file(DIR "/000004.blob", &n);
	ck_assert_uint_eq(n, ref.at + ref.n);
	for (size_t at = 0; at < n; at++) {
		bytes[at] ^= 1;
		write_file(DIR "/000004.blob", bytes, n);
		sd_lsm_tables_forget(tables, 4);
		enum sd_err err = sd_lsm_tables_blob(tables, &ref, &value, &memory, &e);
		ck_assert_msg(err == SD_EDAMAGED && strncmp(e.text, "000004.blob: ", 13) == 0, "byte %zu: %s", at, e.text);
		bytes[at] ^= 1;
	}
	free(bytes);
}
END_TEST

/* Every read fails once: it is said, and the next try works. */
START_TEST(reads_that_fail)
{
	struct sd_error e;
	struct sd_lsm_hit hit;
	char key[64];
	enum sd_err err = SD_EIO;
	make_table(1, 0, 300, 100, own);
	open_tables(1 << 20, 0);
	unsigned failed = 0;
	for (uint64_t n = 1; err; n++) {
		struct sd_slice k = internal(key, sizeof(key), "key00000400", SD_LSM_SEQ_MAX, SD_LSM_KIND_SEEK);
		sd_sim_fail(world, SD_SIM_READ, n, 1, 5 /* EIO */);
		err = sd_lsm_tables_lookup(tables, 1, 0, k, &hit, &e);
		ck_assert(err == SD_EIO ? !hit.found : err == SD_OK && hit.found);
		failed += err == SD_EIO;
		sd_lsm_hit_release(&hit);
		sd_sim_fail(world, SD_SIM_READ, 1, 0, 0);
		ck_assert(lookup(1, "key00000400", &hit));
		sd_lsm_hit_release(&hit);
		sd_lsm_tables_forget(tables, 1);
		sd_lsm_cache_resize(sd_lsm_tables_cache(tables), 0);
		sd_lsm_cache_resize(sd_lsm_tables_cache(tables), 1 << 20);
	}
	ck_assert_uint_eq(failed, 6); /* footer, index, metaindex, properties, filter, block */
}
END_TEST

/* ---- threads ---- */

#define THREADS 4
#define FILES	6

static struct sd_lsm_tables *shared;

/* Reads by key and in a row, forgets and shrinks meanwhile; what is read is right. Its seed; NULL: nothing was wrong. */
static void *reader(void *arg)
{
	struct sd_rng r;
	char user[32], key[64];
	struct sd_error e;
	sd_rng_seed(&r, (uint64_t)(uintptr_t)arg);
	for (int step = 0; step < 1500; step++) {
		uint64_t file = 1 + sd_rng_below(&r, FILES);
		size_t i = sd_rng_below(&r, 500);
		snprintf(user, sizeof(user), "key%08zu", 2 * i);
		memcpy(key, user, 11);
		sd_put_le(key + 11, SD_LSM_SEQ_MAX << 8 | SD_LSM_KIND_SEEK, SD_LSM_TAIL);
		struct sd_slice k = {key, 11 + SD_LSM_TAIL};
		uint32_t what = sd_rng_below(&r, 50);
		if (what == 0) {
			sd_lsm_tables_forget(shared, file);
		} else if (what == 1) {
			sd_lsm_cache_resize(sd_lsm_tables_cache(shared), sd_rng_below(&r, 300000));
		} else if (what < 6) {
			struct sd_lsm_iter *it;
			if (sd_lsm_tables_iter(shared, file, 0, what & 1, &it, &e))
				return arg;
			for (it->ops->seek(it, k); it->valid && i < 500; it->ops->next(it), i++)
				if (strtoul(it->value.p, NULL, 10) != i)
					return arg;
			sd_lsm_iter_free(it);
		} else {
			struct sd_lsm_hit hit;
			if (sd_lsm_tables_lookup(shared, file, 0, k, &hit, &e) || !hit.found || strtoul(hit.value.p, NULL, 10) != i)
				return arg;
			sd_lsm_hit_release(&hit);
		}
	}
	return NULL;
}

START_TEST(many_readers)
{
	char dir[] = "/tmp/sdlab-tables-XXXXXX", from[64], to[64];
	pthread_t threads[THREADS];
	struct sd_error e;
	size_t n;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	struct sd_world *real = sd_world_real();
	for (uint64_t f = 1; f <= FILES; f++) {
		make_table(f, 0, 500, 100, own);
		snprintf(from, sizeof(from), DIR "/%06u.sst", (unsigned)f);
		snprintf(to, sizeof(to), "%s/%06u.sst", dir, (unsigned)f);
		char *bytes = read_file(from, &n);
		ck_assert_int_eq(sd_world_write_file(real, to, bytes, n, &e), SD_OK);
		free(bytes);
	}
	shared = sd_lsm_tables_new(&(struct sd_lsm_tables_conf){.world = real, .dir = dir, .own = true, .files = 3, .cache_bytes = 200000});
	for (uintptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, reader, (void *)(i + 1)), 0);
	for (size_t i = 0; i < THREADS; i++) {
		void *wrong;
		ck_assert_int_eq(pthread_join(threads[i], &wrong), 0);
		ck_assert_ptr_null(wrong);
	}
	sd_lsm_tables_free(shared);
	for (uint64_t f = 1; f <= FILES; f++) {
		snprintf(to, sizeof(to), "%s/%06u.sst", dir, (unsigned)f);
		sd_world_unlink(real, to);
	}
	rmdir(dir);
	sd_world_free(real);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lsm_tables");
	TCase *t = tcase_create("lsm_tables");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, finds_what_is_there_and_spares_what_is_not);
	tcase_add_test(t, iterates_as_it_was_written);
	tcase_add_loop_test(t, moves_as_in_an_array, 0, 20);
	tcase_add_test(t, versions_of_a_key);
	tcase_add_loop_test(t, the_index_finds_any_key, 0, 24);
	tcase_add_loop_test(t, the_filter_is_wrong_about_once_in_a_hundred, 0, 2);
	tcase_add_loop_test(t, ranges_and_bounds, 0, 2);
	tcase_add_test(t, zstd_where_it_saves_an_eighth);
	tcase_add_loop_test(t, every_changed_byte_is_told, 0, 2);
	tcase_add_test(t, blocks_of_another_place_are_told);
	tcase_add_test(t, what_cannot_be_opened_says_why);
	tcase_add_test(t, few_descriptors_are_enough);
	tcase_add_test(t, the_least_used_goes);
	tcase_add_test(t, out_of_descriptors);
	tcase_add_test(t, indexes_are_bounded);
	tcase_add_test(t, forgotten_in_use);
	tcase_add_test(t, a_scan_does_not_empty_the_cache);
	tcase_add_loop_test(t, a_scan_is_kept_when_it_comes_again, 0, 2);
	tcase_add_test(t, compaction_leaves_the_cache_alone);
	tcase_add_test(t, the_cache_is_bounded_and_can_shrink);
	tcase_add_loop_test(t, blobs_come_back, 0, 2);
	tcase_add_test(t, every_changed_byte_of_a_blob_is_told);
	tcase_add_test(t, reads_that_fail);
	tcase_add_test(t, many_readers);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
