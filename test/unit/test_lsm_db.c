/* The store: what was written is there, also after it was opened anew and after the power went; views, snapshots and iterators see what
 * they should; writers that come together share a sync. */
#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/lsm_batch.h"
#include "core/lsm_log.h"
#include "core/rng.h"
#include "disk/lsm_db.h"
#include "disk/lsm_manifest.h"
#include "world/file.h"
#include "world/sim.h"
#include "world/world_int.h"

static struct sd_sim *sim;
static struct sd_world *node;
static struct sd_error e;
static struct sd_kv *kv;
static struct sd_kv_conf conf;
static uint64_t told[SD_KV_EVENT_KINDS];

static struct sd_slice text(const char *s)
{
	return sd_slice_of(s);
}

static void event(void *arg, const struct sd_kv_event *ev)
{
	(void)arg;
	told[ev->kind]++;
}

static void open_kv(void)
{
	conf.world = node;
	conf.background = SD_KV_BY_HAND;
	conf.event = event;
	ck_assert_msg(sd_kv_open("data", &conf, &kv, &e) == SD_OK, "%s", e.text);
}

static void setup(void)
{
	sim = sd_sim_new(1);
	node = sd_sim_node(sim, "a");
	conf = (struct sd_kv_conf){0};
	memset(told, 0, sizeof(told));
	open_kv();
}

static void teardown(void)
{
	sd_kv_close(kv, NULL);
	kv = NULL;
	sd_sim_free(sim);
}

/* An empty one. */
static void anew(int format)
{
	sd_kv_close(kv, NULL);
	sd_sim_free(sim);
	sim = sd_sim_new(1);
	node = sd_sim_node(sim, "a");
	conf.format = (enum sd_kv_format)format;
	open_kv();
	ck_assert_int_eq(sd_kv_format(kv), format);
}

static void reopen(void)
{
	ck_assert_msg(sd_kv_close(kv, &e) == SD_OK, "%s", e.text);
	open_kv();
}

static void put(const char *key, const char *value)
{
	ck_assert_msg(sd_kv_put(kv, text(key), text(value), &e) == SD_OK, "%s", e.text);
}

/* NULL: it is not there. */
static void expect_at(const struct sd_kv_snapshot *s, const char *key, const char *value)
{
	struct sd_kv_value v = {0};
	enum sd_err err = sd_kv_get(kv, s, text(key), &v, &e);
	ck_assert_msg(err == (value ? SD_OK : SD_ENOTFOUND), "%s: %s %s", key, sd_err_text(err), e.text);
	if (value)
		ck_assert_str_eq(v.p, value);
	sd_kv_value_free(&v);
}

static void expect(const char *key, const char *value)
{
	expect_at(NULL, key, value);
}

static void flush(void)
{
	ck_assert_msg(sd_kv_flush(kv, &e) == SD_OK, "%s", e.text);
}

/* ---- the clock ---- */

static int64_t wall_ms;

static int64_t wall(void *arg)
{
	(void)arg;
	return wall_ms;
}

/* What was seen to have ended stays so when the clock is set back meanwhile: after closing, and after the power went a while later. */
START_TEST(what_has_ended_does_not_come_back)
{
	conf.now_ms = wall;
	for (int power = 0; power < 2; power++) {
		wall_ms = 1000000;
		anew(SD_KV_SDLAB);
		ck_assert_int_eq(sd_kv_put_until(kv, text("k"), text("v"), 1000500, &e), SD_OK);
		ck_assert_int_eq(sd_kv_put_until(kv, text("later"), text("v"), 9000000, &e), SD_OK);
		expect("k", "v");
		wall_ms = 1000500;
		expect("k", NULL);
		if (power) {
			sd_sim_run_to(sim, sd_sim_now_ns(sim) + INT64_C(2000000000));
			while (sd_kv_work(kv))
				;
			sd_sim_power_cut(node);
			sd_kv_close(kv, NULL);
			sd_sim_boot(node);
			wall_ms = 1000000;
			open_kv();
		} else {
			ck_assert_int_eq(sd_kv_close(kv, &e), SD_OK);
			wall_ms = 1000000;
			open_kv();
		}
		expect("k", NULL);
		expect("later", "v");
	}
}
END_TEST

/* Set back by an hour, time goes on where it was: what is to end in a second does so then, neither at once nor an hour later; also when the
 * store is opened by such a clock, and until the clock has come so far again. */
START_TEST(time_goes_on_when_the_clock_is_set_back)
{
	const int64_t second = INT64_C(1000000000), hour = 3600 * second;
	int64_t begun = sd_kv_now_ms(kv);
	for (int turn = 1; turn <= 2; turn++) {
		sd_sim_set_wall(node, -turn * hour);
		if (turn == 2)
			reopen();
		int64_t now = sd_kv_now_ms(kv);
		ck_assert_int_ge(now, begun + (turn - 1) * 1500);
		ck_assert_int_lt(now, begun + turn * 1500 + 10);
		ck_assert_int_eq(sd_kv_put_until(kv, text("k"), text("v"), now + 1000, &e), SD_OK);
		expect("k", "v");
		sd_sim_run_to(sim, sd_sim_now_ns(sim) + second * 9 / 10);
		expect("k", "v");
		sd_sim_run_to(sim, sd_sim_now_ns(sim) + second * 6 / 10);
		expect("k", NULL);
	}
	sd_sim_set_wall(node, hour);
	ck_assert_int_ge(sd_kv_now_ms(kv), begun + 3600000);
}
END_TEST

/* ---- reading and writing ---- */

START_TEST(what_was_written_is_there)
{
	anew(_i);
	for (int round = 0; round < 4; round++) {
		put("a", round % 2 ? "1" : "3");
		put("", "no key");
		put("b", "2");
		expect("a", round % 2 ? "1" : "3");
		ck_assert_int_eq(sd_kv_delete(kv, text("b"), &e), SD_OK);
		expect("b", NULL);
		expect("", "no key");
		if (round == 1)
			flush();
		expect("b", NULL);
		expect("", "no key");
		if (round == 2)
			reopen();
	}
	reopen();
	expect("a", "1");
	expect("b", NULL);
	expect("c", NULL);
}
END_TEST

START_TEST(tables_hold_what_memory_held)
{
	char key[32], value[64];
	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "key%06d", i * 7919 % 3000);
		snprintf(value, sizeof(value), "value %d", i);
		put(key, value);
		if (i % 1000 == 999)
			flush();
	}
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3000; i++) {
			snprintf(key, sizeof(key), "key%06d", i * 7919 % 3000);
			snprintf(value, sizeof(value), "value %d", i);
			expect(key, value);
		}
		expect("key", NULL);
		expect("key003000", NULL);
		reopen();
	}
	ck_assert_uint_eq(told[SD_KV_EVENT_TABLE], 3);
}
END_TEST

START_TEST(snapshots_see_what_was)
{
	put("a", "1");
	put("r5", "x");
	struct sd_kv_snapshot *s = sd_kv_snapshot_new(kv);
	put("a", "2");
	ck_assert_int_eq(sd_kv_delete_range(kv, text("r"), &(struct sd_slice){"s", 1}, &e), SD_OK);
	put("r6", "new");
	for (int round = 0; round < 3; round++) {
		expect_at(s, "a", "1");
		expect_at(s, "r5", "x");
		expect_at(s, "r6", NULL);
		expect("a", "2");
		expect("r5", NULL);
		expect("r6", "new");
		put("b", "");
		if (round == 0)
			flush();
		else if (round == 1)
			ck_assert_msg(sd_kv_compact(kv, NULL, NULL, &e) == SD_OK, "%s", e.text);
	}
	sd_kv_snapshot_free(kv, s);
}
END_TEST

START_TEST(a_batch_is_read_before_it_is_written)
{
	struct sd_kv_batch *b = sd_kv_batch_new(true);
	struct sd_slice v;
	int64_t until;
	char key[16];
	for (int i = 0; i < 500; i++) {
		snprintf(key, sizeof(key), "k%d", i % 300);
		sd_kv_batch_put(b, text(key), text(i < 300 ? "old" : "new"));
	}
	sd_kv_batch_put_until(b, text("e"), text("ends"), 99);
	sd_kv_batch_delete(b, text("k7"));
	sd_kv_batch_delete_range(b, text("k8"), &(struct sd_slice){"k9", 2});
	sd_kv_batch_put(b, text("k81"), text("again"));
	ck_assert(sd_kv_batch_find(b, text("k5"), &v, &until) == SD_OK && sd_slice_eq(v, "new"));
	ck_assert(sd_kv_batch_find(b, text("k250"), &v, &until) == SD_OK && sd_slice_eq(v, "old"));
	ck_assert(sd_kv_batch_find(b, text("e"), &v, &until) == SD_OK && sd_slice_eq(v, "ends") && until == 99);
	ck_assert_int_eq(sd_kv_batch_find(b, text("k7"), &v, &until), SD_ENOTFOUND);
	ck_assert_int_eq(sd_kv_batch_find(b, text("k80"), &v, &until), SD_ENOTFOUND);
	ck_assert(sd_kv_batch_find(b, text("k81"), &v, &until) == SD_OK && sd_slice_eq(v, "again"));
	ck_assert_int_eq(sd_kv_batch_find(b, text("other"), &v, &until), SD_EAGAIN);
	struct sd_slice *keys;
	size_t n;
	ck_assert(sd_kv_batch_keys(b, &keys, &n) && n == 301); /* k0 to k299 and e, each once */
	ck_assert(sd_slice_eq(keys[0], "e") && sd_slice_eq(keys[1], "k0") && sd_slice_eq(keys[2], "k1") && sd_slice_eq(keys[3], "k10"));
	ck_assert(sd_slice_eq(keys[300], "k99"));
	free(keys);
	ck_assert_int_eq(sd_kv_write(kv, b, &e), SD_OK);
	expect("k5", "new");
	expect("k7", NULL);
	expect("k80", NULL);
	expect("k81", "again");
	expect("e", NULL); /* 1970 is over */
	sd_kv_batch_free(b);
}
END_TEST

START_TEST(ranges_without_an_end_go_to_the_end)
{
	put("a", "1");
	put("m", "2");
	put("z", "3");
	flush();
	put("zz", "4");
	ck_assert_int_eq(sd_kv_delete_range(kv, text("m"), NULL, &e), SD_OK);
	for (int round = 0; round < 5; round++) { /* in memory, replayed, in a table, merged, opened anew */
		expect("a", "1");
		expect("m", NULL);
		expect("z", NULL);
		expect("zz", NULL);
		if (round == 1)
			flush();
		else if (round == 2)
			ck_assert_msg(sd_kv_compact(kv, NULL, NULL, &e) == SD_OK, "%s", e.text);
		else
			reopen();
		if (round == 0)
			put("zzz", "5"); /* what is behind the range and newer */
		expect("zzz", "5");
	}
}
END_TEST

/* ... also when no key could be behind the last one. */
START_TEST(ranges_without_an_end_take_the_longest_key_too)
{
	struct sd_slice longest = {malloc(SD_KV_KEY_MAX), SD_KV_KEY_MAX};
	ck_assert_ptr_nonnull(longest.p);
	memset((void *)(uintptr_t)longest.p, 0xff, longest.n);
	anew(_i);
	ck_assert_int_eq(sd_kv_delete_range(kv, (struct sd_slice){"", 0}, NULL, &e), SD_OK);
	put("a", "1");
	put("b", "2");
	ck_assert_int_eq(sd_kv_put(kv, longest, text("3"), &e), SD_OK);
	ck_assert_msg(sd_kv_delete_range(kv, text("b"), NULL, &e) == SD_OK, "%s", e.text);
	for (int round = 0; round < 3; round++) {
		expect("a", "1");
		expect("b", NULL);
		ck_assert_int_eq(sd_kv_get(kv, NULL, longest, NULL, &e), SD_ENOTFOUND);
		if (round == 0)
			flush();
		else
			reopen();
	}
	ck_assert_int_eq(sd_kv_delete_range(kv, (struct sd_slice){"", 0}, NULL, &e), SD_OK);
	expect("a", NULL);
	free((void *)(uintptr_t)longest.p);
}
END_TEST

START_TEST(iterators_go_both_ways)
{
	static const char *const keys[] = {"a", "c", "e", "g"};
	for (size_t i = 0; i < 4; i++) {
		put(keys[i], keys[i]);
		if (i == 1)
			flush();
	}
	put("b", "");
	sd_kv_delete(kv, text("b"), NULL);
	struct sd_kv_iter *i;
	ck_assert_int_eq(sd_kv_iter_new(kv, NULL, &i, &e), SD_OK);
	put("d", "later");
	size_t n = 0;
	for (bool ok = sd_kv_iter_first(i); ok; ok = sd_kv_iter_next(i))
		ck_assert(sd_slice_eq(sd_kv_iter_key(i), keys[n++]) && sd_slice_eq(sd_kv_iter_value(i), keys[n - 1]));
	ck_assert_uint_eq(n, 4);
	for (bool ok = sd_kv_iter_last(i); ok; ok = sd_kv_iter_prev(i))
		ck_assert(sd_slice_eq(sd_kv_iter_key(i), keys[--n]));
	ck_assert_uint_eq(n, 0);
	ck_assert(sd_kv_iter_seek(i, text("d")) && sd_slice_eq(sd_kv_iter_key(i), "e"));
	ck_assert(sd_kv_iter_seek_back(i, text("d")) && sd_slice_eq(sd_kv_iter_key(i), "c"));
	ck_assert(sd_kv_iter_seek_back(i, text("e")) && sd_slice_eq(sd_kv_iter_key(i), "e"));
	ck_assert(!sd_kv_iter_seek_back(i, text("A")) && sd_kv_iter_err(i, &e) == SD_OK);
	sd_kv_iter_free(i);
	struct sd_slice from = text("c"), to = text("g");
	ck_assert_int_eq(sd_kv_iter_new(kv, &(struct sd_kv_span){.from = &from, .to = &to}, &i, &e), SD_OK);
	ck_assert(sd_kv_iter_first(i) && sd_slice_eq(sd_kv_iter_key(i), "c"));
	ck_assert(sd_kv_iter_last(i) && sd_slice_eq(sd_kv_iter_key(i), "e"));
	sd_kv_iter_free(i);
}
END_TEST

START_TEST(sets_only_what_is_as_expected)
{
	struct sd_slice one = text("1"), two = text("2");
	ck_assert_int_eq(sd_kv_compare_and_set(kv, text("a"), &one, &two, 0, &e), SD_EAGAIN);
	ck_assert_int_eq(sd_kv_compare_and_set(kv, text("a"), NULL, &one, 0, &e), SD_OK);
	ck_assert_int_eq(sd_kv_compare_and_set(kv, text("a"), NULL, &two, 0, &e), SD_EAGAIN);
	ck_assert_int_eq(sd_kv_compare_and_set(kv, text("a"), &one, &two, 0, &e), SD_OK);
	expect("a", "2");
	ck_assert_int_eq(sd_kv_compare_and_set(kv, text("a"), &two, NULL, 0, &e), SD_OK);
	expect("a", NULL);
}
END_TEST

START_TEST(large_values_are_kept_apart)
{
	char *big = malloc(100000);
	struct sd_kv_value v = {0};
	for (size_t i = 0; i < 100000; i++)
		big[i] = (char)(i * 7 ^ i >> 5);
	ck_assert_int_eq(sd_kv_put(kv, text("big"), (struct sd_slice){big, 100000}, &e), SD_OK);
	put("small", "s");
	for (int round = 0; round < 3; round++) {
		ck_assert_msg(sd_kv_get(kv, NULL, text("big"), &v, &e) == SD_OK, "%s", e.text);
		ck_assert(v.n == 100000 && memcmp(v.p, big, v.n) == 0);
		expect("small", "s");
		if (round == 0)
			flush();
		else
			reopen();
	}
	sd_kv_value_free(&v);
	free(big);
}
END_TEST

START_TEST(a_checkpoint_is_a_store_of_then)
{
	struct sd_kv *other;
	anew(_i);
	struct sd_kv_conf c = conf;
	put("a", "1");
	flush();
	put("b", "2");
	ck_assert_msg(sd_kv_checkpoint(kv, "copy", &e) == SD_OK, "%s", e.text);
	ck_assert_int_eq(sd_kv_checkpoint(kv, "copy", &e), SD_EEXISTS);
	put("c", "3");
	put("a", "4");
	flush();
	ck_assert_msg(sd_kv_compact(kv, NULL, NULL, &e) == SD_OK, "%s", e.text);
	sd_sim_power_cut(node);
	sd_kv_close(kv, NULL);
	sd_sim_boot(node);
	open_kv();
	expect("a", "4");
	c.mode = SD_KV_OPEN;
	ck_assert_msg(sd_kv_open("copy", &c, &other, &e) == SD_OK, "%s", e.text);
	struct sd_kv *first = kv;
	kv = other;
	expect("a", "1");
	expect("b", "2");
	expect("c", NULL);
	put("c", "mine");
	flush();
	ck_assert_int_eq(sd_kv_close(kv, &e), SD_OK);
	kv = first;
	expect("c", "3");
}
END_TEST

/* ---- who may open it ---- */

START_TEST(opens_as_the_mode_says)
{
	struct sd_kv *other;
	struct sd_kv_conf c = conf;
	put("a", "1");
	ck_assert_int_eq(sd_kv_open("data", &c, &other, &e), SD_EINUSE);
	ck_assert_msg(strstr(e.text, "in use"), "%s", e.text);
	c.mode = SD_KV_READ_ONLY;
	ck_assert_int_eq(sd_kv_open("data", &c, &other, &e), SD_OK);
	ck_assert_int_eq(sd_kv_get(other, NULL, text("a"), NULL, &e), SD_OK);
	ck_assert_int_eq(sd_kv_put(other, text("a"), text("2"), &e), SD_EPERM);
	sd_kv_close(other, NULL);
	c.mode = SD_KV_MAKE;
	ck_assert_int_eq(sd_kv_open("data", &c, &other, &e), SD_EEXISTS);
	c.mode = SD_KV_OPEN;
	ck_assert_int_eq(sd_kv_open("elsewhere", &c, &other, &e), SD_ENOTFOUND);
	ck_assert_int_eq(sd_kv_close(kv, &e), SD_OK);
	struct sd_file *f;
	ck_assert_int_eq(sd_file_open(node, "data/SDLAB", SD_FILE_WRITE, &f, &e), SD_OK);
	struct iovec iov = {(char[]){"sdlab-kv 2\n"}, 11};
	ck_assert_int_eq(sd_file_write(f, &iov, 1, 0, &e), SD_OK);
	sd_file_close(f);
	ck_assert_int_eq(sd_kv_open("data", &c, &kv, &e), SD_EUNSUPPORTED);
	ck_assert_msg(strstr(e.text, "newer format"), "%s", e.text);
}
END_TEST

static uint64_t bytes_of(const char *path)
{
	struct sd_file *f;
	uint64_t size = 0;
	ck_assert_int_eq(sd_file_open(node, path, 0, &f, &e), SD_OK);
	ck_assert_int_eq(sd_file_size(f, &size, &e), SD_OK);
	sd_file_close(f);
	return size;
}

/* ---- a manifest that could not be written ---- */

/* For want of room nothing happened, and the next edit may do; after anything else nobody knows what is on the disk. */
START_TEST(a_manifest_that_fails_is_not_written_on)
{
	struct sd_lsm_version v = {.has_log = true, .has_next_file = true, .has_last_seq = true, .next_file = 9};
	struct sd_lsm_manifest m = {.world = node, .dir = "data"};
	struct sd_text edit = {0};
	sd_lsm_edit_next_file(&edit, 10);
	struct sd_slice bytes = {edit.p, edit.n};
	ck_assert_int_eq(sd_lsm_manifest_begin(&m, 900, &v, &e), SD_OK);
	uint64_t size = bytes_of("data/MANIFEST-000900");
	sd_sim_fail(node, SD_SIM_WRITE, 1, 1, ENOSPC);
	ck_assert_int_eq(sd_lsm_manifest_add(&m, bytes, &e), SD_ENOSPC);
	ck_assert(!m.broken);
	ck_assert_uint_eq(bytes_of("data/MANIFEST-000900"), size);
	ck_assert_int_eq(sd_lsm_manifest_add(&m, bytes, &e), SD_OK);
	sd_sim_fail(node, SD_SIM_WRITE, 1, 1, EIO);
	ck_assert_int_eq(sd_lsm_manifest_add(&m, bytes, &e), SD_EIO);
	ck_assert(m.broken);
	ck_assert_int_eq(sd_lsm_manifest_add(&m, bytes, &e), SD_EIO);
	ck_assert_msg(strstr(e.text, "could not be written before"), "%s", e.text);
	sd_lsm_manifest_close(&m);
	free(edit.p);
}
END_TEST

/* ---- read while somebody writes ---- */

static struct {
	const struct sd_world_ops *ops;
	struct sd_world_ops with;
	uint64_t opens, at, times; /* at the so-many-th file that is opened, and so many after it, somebody writes */
	int round;
	bool busy;
} meanwhile;

/* All tables, and the log, are others afterwards. */
static void write_meanwhile(void)
{
	char value[16];
	if (meanwhile.busy || ++meanwhile.opens < meanwhile.at || meanwhile.opens >= meanwhile.at + meanwhile.times)
		return;
	meanwhile.busy = true;
	snprintf(value, sizeof(value), "%d", ++meanwhile.round);
	put("b", value);
	ck_assert_int_eq(sd_kv_compact(kv, NULL, NULL, &e), SD_OK);
	while (sd_kv_work(kv))
		;
	meanwhile.busy = false;
}

static int open_meanwhile(struct sd_world *w, const char *name, unsigned flags, struct sd_file **out)
{
	write_meanwhile();
	return meanwhile.ops->open(w, name, flags, out);
}

static enum sd_err open_while_written(uint64_t at, uint64_t times, struct sd_kv **reader)
{
	struct sd_kv_conf c = conf;
	c.mode = SD_KV_READ_ONLY;
	meanwhile.ops = node->ops;
	meanwhile.with = *node->ops;
	meanwhile.with.open = open_meanwhile;
	meanwhile.opens = 0;
	meanwhile.at = at;
	meanwhile.times = times;
	node->ops = &meanwhile.with;
	enum sd_err err = sd_kv_open("data", &c, reader, &e);
	node->ops = meanwhile.ops;
	return err;
}

/* Whenever the writer changes everything while a reader opens the store: the reader sees one state of it. */
START_TEST(is_read_while_somebody_writes)
{
	struct sd_kv *reader;
	char before[16], after[16];
	bool all = false;
	meanwhile.round = 0;
	meanwhile.busy = false;
	put("a", "1");
	put("b", "0");
	flush();
	for (uint64_t at = 1; !all; at++) {
		put("c", "in the log");
		snprintf(before, sizeof(before), "%d", meanwhile.round);
		ck_assert_msg(open_while_written(at, 1, &reader) == SD_OK, "at %" PRIu64 ": %s", at, e.text);
		all = meanwhile.opens < at;
		snprintf(after, sizeof(after), "%d", meanwhile.round);
		struct sd_kv_value v = {0};
		enum sd_err err = sd_kv_get(reader, NULL, text("b"), &v, &e);
		ck_assert_msg(err == SD_OK || (err == SD_EDAMAGED && strstr(e.text, "is missing")), "at %" PRIu64 ": %s", at, e.text);
		ck_assert(err || strcmp(v.p, before) == 0 || strcmp(v.p, after) == 0);
		sd_kv_value_free(&v);
		sd_kv_close(reader, NULL);
	}
	/* Always: there is an end, and it says what is the matter. */
	ck_assert_int_ne(open_while_written(1, 100000, &reader), SD_OK);
	ck_assert_msg(strstr(e.text, "is missing") || strstr(e.text, "cannot open"), "%s", e.text);
}
END_TEST

/* What the writer puts away later is missing; it is never taken for a key that is not there. */
START_TEST(what_is_put_away_is_missing)
{
	struct sd_kv *reader;
	struct sd_kv_conf c = conf;
	c.mode = SD_KV_READ_ONLY;
	put("a", "1");
	flush();
	ck_assert_int_eq(sd_kv_open("data", &c, &reader, &e), SD_OK);
	put("a", "2");
	ck_assert_int_eq(sd_kv_compact(kv, NULL, NULL, &e), SD_OK);
	while (sd_kv_work(kv))
		;
	ck_assert_int_eq(sd_kv_get(reader, NULL, text("a"), NULL, &e), SD_EDAMAGED);
	ck_assert_msg(strstr(e.text, ".sst is missing"), "%s", e.text);
	sd_kv_close(reader, NULL);
	ck_assert_int_eq(sd_kv_open("data", &c, &reader, &e), SD_OK);
	ck_assert_int_eq(sd_kv_get(reader, NULL, text("a"), NULL, &e), SD_OK);
	sd_kv_close(reader, NULL);
}
END_TEST

/* ---- the power goes ---- */

#ifdef SD_SANITIZED /* memory and rules of C are looked at; the plain build goes through all seeds */
#define SEEDS(n) ((n) / 4)
#else
#define SEEDS(n) (n)
#endif
#define SCRIPT 12

/* Writes keys 0, 1, 2 ... one after the other, with flushes in between; how many were acknowledged. */
static int script(void)
{
	char key[16];
	int done = 0;
	if (sd_kv_open("data", &conf, &kv, &e))
		return 0;
	for (; done < SCRIPT; done++) {
		snprintf(key, sizeof(key), "k%d", done);
		if (sd_kv_put(kv, text(key), text(key), &e))
			break;
		if (done % 4 == 3 && sd_kv_flush(kv, &e))
			return done + 1;
		if (done == 8 && sd_kv_compact(kv, NULL, NULL, &e))
			return done + 1;
	}
	return done;
}

/* All that was acknowledged is there, and of what was not, at most the one that was under way. */
static void judge(int acked, uint64_t at)
{
	char key[16];
	struct sd_kv_iter *i;
	int n = 0;
	for (int k = 0; k < SCRIPT; k++) {
		snprintf(key, sizeof(key), "k%d", k);
		enum sd_err err = sd_kv_get(kv, NULL, text(key), NULL, &e);
		ck_assert_msg(err == SD_OK || err == SD_ENOTFOUND, "cut at %" PRIu64 ": %s: %s", at, key, e.text);
		ck_assert_msg(k >= acked || err == SD_OK, "cut at %" PRIu64 ": %s was acknowledged and is lost", at, key);
		ck_assert_msg(k <= acked || err != SD_OK, "cut at %" PRIu64 ": %s was never written", at, key);
		n += err == SD_OK;
	}
	ck_assert_int_eq(sd_kv_iter_new(kv, NULL, &i, &e), SD_OK);
	for (bool ok = sd_kv_iter_first(i); ok; ok = sd_kv_iter_next(i))
		n--;
	ck_assert_int_eq(n, 0);
	sd_kv_iter_free(i);
}

START_TEST(keeps_its_word_when_the_power_goes)
{
	bool gone = true;
	for (uint64_t at = 1; gone; at++) {
		sd_kv_close(kv, NULL);
		sd_sim_free(sim);
		sim = sd_sim_new(at * 7919 + (uint64_t)_i);
		node = sd_sim_node(sim, "a");
		sd_sim_disk(node)->stale = true;
		conf = (struct sd_kv_conf){.world = node, .background = SD_KV_BY_HAND, .format = (enum sd_kv_format)(_i & 1)};
		kv = NULL;
		sd_sim_power_cut_at(node, at);
		int acked = script();
		gone = !sd_sim_is_up(node);
		sd_sim_power_cut_at(node, 0);
		sd_kv_close(kv, NULL);
		if (gone)
			sd_sim_boot(node);
		ck_assert_msg(sd_kv_open("data", &conf, &kv, &e) == SD_OK, "cut at %" PRIu64 ": %s", at, e.text);
		judge(acked, at);
		ck_assert_msg(sd_kv_delete(kv, text("later"), &e) == SD_OK, "cut at %" PRIu64 ": %s", at, e.text);
		reopen(); /* what was cut off stays cut off */
		judge(acked, at);
	}
}
END_TEST

static void start_over(uint64_t seed, int format)
{
	sd_kv_close(kv, NULL);
	sd_sim_free(sim);
	sim = sd_sim_new(seed);
	node = sd_sim_node(sim, "a");
	sd_sim_disk(node)->stale = true;
	conf = (struct sd_kv_conf){.format = (enum sd_kv_format)format};
	open_kv();
}

static void power_cycle(void)
{
	sd_sim_fail(node, SD_SIM_WRITE, 1, 0, 0);
	sd_sim_fail(node, SD_SIM_SYNC, 1, 0, 0);
	sd_sim_power_cut(node);
	sd_kv_close(kv, NULL);
	sd_sim_boot(node);
	open_kv();
}

/* Without a sync each time, what is there afterwards is how it was at some time since the last sync: writes are lost from the end, and
 * none without those behind it. */
START_TEST(loses_only_the_end_when_it_does_not_sync)
{
	static char big[2000];
	char key[16];
	memset(big, 'x', sizeof(big));
	for (uint64_t seed = 1; seed <= 60; seed++) {
		int promised = 0, n = 0, there = 0;
		sd_kv_close(kv, NULL);
		sd_sim_free(sim);
		sim = sd_sim_new(seed * 13 + (uint64_t)_i);
		node = sd_sim_node(sim, "a");
		conf = (struct sd_kv_conf){.sync = _i & 1 ? SD_KV_NO : SD_KV_EVERYSEC, .format = (enum sd_kv_format)(_i >> 1)};
		open_kv();
		for (; n < 40; n++) {
			snprintf(key, sizeof(key), "k%d", n);
			ck_assert_int_eq(sd_kv_put(kv, text(key), (struct sd_slice){big, (size_t)(n * 97 % 2000)}, &e), SD_OK);
			if (n == (int)(seed % 37)) {
				ck_assert_int_eq(sd_kv_sync(kv, &e), SD_OK);
				promised = n + 1;
			}
		}
		sd_sim_power_cut(node);
		sd_kv_close(kv, NULL);
		sd_sim_boot(node);
		open_kv();
		for (int k = 0; k < n; k++) {
			snprintf(key, sizeof(key), "k%d", k);
			bool is = sd_kv_get(kv, NULL, text(key), NULL, &e) == SD_OK;
			ck_assert_msg(is || k >= promised, "seed %" PRIu64 ": %s was synced and is lost", seed, key);
			ck_assert_msg(!is || k == there, "seed %" PRIu64 ": %s is there, and one before it is not", seed, key);
			there += is;
		}
	}
}
END_TEST

/* A sync is a promise about all that was written before, also about what is in a log that made room for the next: a memtable waits,
 * no table holds anything yet, and only the last log has what came after. */
START_TEST(a_sync_is_about_earlier_logs_too)
{
	static char big[4000];
	struct sd_kv_stats s;
	char key[16];
	memset(big, 'x', sizeof(big));
	for (uint64_t seed = 1; seed <= 20; seed++) {
		int n = 0;
		start_over(seed * 29 + (uint64_t)_i, _i >> 1);
		sd_kv_close(kv, NULL);
		conf.sync = _i & 1 ? SD_KV_NO : SD_KV_EVERYSEC;
		conf.memtable_bytes = 64 << 10;
		open_kv();
		for (uint64_t full = told[SD_KV_EVENT_FULL]; told[SD_KV_EVENT_FULL] < full + 1; n++) {
			snprintf(key, sizeof(key), "k%03d", n);
			ck_assert_int_eq(sd_kv_put(kv, text(key), (struct sd_slice){big, sizeof(big)}, &e), SD_OK);
		}
		sd_kv_stats_get(kv, &s);
		ck_assert_uint_eq(s.flushes, 0);
		ck_assert_int_eq(sd_kv_sync(kv, &e), SD_OK);
		power_cycle();
		for (int k = 0; k < n; k++) {
			snprintf(key, sizeof(key), "k%03d", k);
			ck_assert_msg(sd_kv_get(kv, NULL, text(key), NULL, &e) == SD_OK, "seed %" PRIu64 ": %s was synced and is lost", seed, key);
		}
	}
}
END_TEST

/* With less memory than before, the logs take more memtables than they were made of. All are needed until these are in tables: also when
 * the power goes again before. */
START_TEST(needs_its_logs_with_less_memory_too)
{
	static char big[4000];
	char key[16];
	int n = 0;
	memset(big, 'x', sizeof(big));
	start_over(31, _i);
	sd_kv_close(kv, NULL);
	conf.memtable_bytes = 200 << 10;
	open_kv();
	for (int more = 45; told[SD_KV_EVENT_FULL] < 1 || more-- > 0; n++) { /* a log, and most of the next */
		snprintf(key, sizeof(key), "k%04d", n);
		ck_assert_int_eq(sd_kv_put(kv, text(key), (struct sd_slice){big, sizeof(big)}, &e), SD_OK);
	}
	conf.memtable_bytes = 64 << 10;
	for (int life = 0; life < 4; life++) {
		power_cycle();
		for (int k = 0; k < n; k++) {
			snprintf(key, sizeof(key), "k%04d", k);
			ck_assert_msg(sd_kv_get(kv, NULL, text(key), NULL, &e) == SD_OK, "life %d: %s is lost", life, key);
		}
		for (int i = 0; i < life && sd_kv_work(kv); i++)
			;
	}
}
END_TEST

/* ... but what was synced and is damaged is refused, not cut off. */
START_TEST(damage_to_what_was_synced_is_refused)
{
	conf.sync = _i ? SD_KV_NO : SD_KV_ALWAYS;
	reopen();
	put("a", "the first one");
	put("b", "the second one");
	ck_assert_int_eq(sd_kv_sync(kv, &e), SD_OK);
	put("c", "the third one");
	ck_assert_int_eq(sd_kv_close(kv, &e), SD_OK);
	kv = NULL;
	char **names = sd_world_list_dir(node, "data"), name[300] = "";
	for (char **p = names; p && *p; p++) {
		if (strstr(*p, ".log"))
			snprintf(name, sizeof(name), "data/%s", *p);
		free(*p);
	}
	free(names);
	ck_assert(sd_sim_flip(node, name, 8 * 60));
	ck_assert_int_eq(sd_kv_open("data", &conf, &kv, &e), SD_EDAMAGED);
	ck_assert_msg(strstr(e.text, ".log: record at ") && strstr(e.text, "good ones follow"), "%s", e.text);
}
END_TEST

static void last_log(char path[300])
{
	char **names = sd_world_list_dir(node, "data");
	*path = '\0';
	for (char **p = names; p && *p; p++) {
		if (strstr(*p, ".log"))
			snprintf(path, 300, "data/%s", *p);
		free(*p);
	}
	free(names);
	ck_assert(*path);
}

#define MARK_BYTES 19

/* A store of a few writes, with one byte of its log damaged, opened for reading. */
static enum sd_err with_damage_at(const char *log, uint64_t at, unsigned bit)
{
	struct sd_kv_conf reading = conf;
	struct sd_kv *it = NULL;
	reading.mode = SD_KV_READ_ONLY;
	ck_assert(sd_sim_flip(node, log, 8 * at + bit));
	enum sd_err err = sd_kv_open("data", &reading, &it, &e);
	if (!err)
		for (const char *k = "abc"; *k; k++)
			ck_assert_int_eq(sd_kv_get(it, NULL, (struct sd_slice){k, 1}, NULL, NULL), SD_OK);
	sd_kv_close(it, NULL);
	ck_assert(sd_sim_flip(node, log, 8 * at + bit));
	return err;
}

/* A log that was closed is whole: damage to any record is told, also to the last, and how ever it was synced. At a mark there is
 * nothing to lose. */
START_TEST(damage_to_a_log_that_was_closed_is_told)
{
	char name[300];
	conf.format = _i / 3 ? SD_KV_LEVELDB : SD_KV_SDLAB;
	conf.sync = (enum sd_kv_sync)(_i % 3);
	anew((int)conf.format);
	put("a", "the first one");
	put("b", "the second one");
	put("c", "the third one");
	ck_assert_int_eq(sd_kv_close(kv, &e), SD_OK);
	last_log(name);
	uint64_t size = bytes_of(name);
	for (uint64_t at = 0; at < size; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			enum sd_err err = with_damage_at(name, at, bit);
			ck_assert_msg(err == (at < size - MARK_BYTES ? SD_EDAMAGED : SD_OK), "byte %" PRIu64 " of %" PRIu64 ": %s", at, size,
				      sd_err_text(err));
		}
	open_kv();
	expect("c", "the third one");
}
END_TEST

static void kill_and_boot(void)
{
	sd_sim_kill(node);
	sd_kv_close(kv, NULL);
	kv = NULL;
	sd_sim_boot(node);
}

/* What is set aside for records to come is zeros, which nobody takes for a torn record; with the next opening it is given back. */
START_TEST(room_in_a_log_is_no_record)
{
	char name[300];
	struct sd_kv_conf reading = {.world = NULL, .mode = SD_KV_READ_ONLY};
	struct sd_kv *reader;
	conf.sync = _i & 1 ? SD_KV_NO : SD_KV_EVERYSEC;
	anew(_i >> 1);
	put("a", "the first one");
	put("b", "the second one");
	last_log(name);
	ck_assert_uint_ge(bytes_of(name), 64 << 10);
	reading.world = node;
	ck_assert_msg(sd_kv_open("data", &reading, &reader, &e) == SD_OK, "%s", e.text);
	ck_assert_int_eq(sd_kv_get(reader, NULL, text("b"), NULL, &e), SD_OK);
	sd_kv_close(reader, NULL);
	kill_and_boot();
	open_kv();
	expect("b", "the second one");
	ck_assert_uint_eq(told[SD_KV_EVENT_TORN], 0);
	ck_assert_uint_lt(bytes_of(name), 200);
}
END_TEST

/* ... and a torn record in it is cut off, together with the room. */
START_TEST(a_torn_record_in_room_is_cut_off)
{
	char name[300];
	conf.sync = SD_KV_NO;
	anew(_i);
	put("a", "the first one");
	put("b", "the second one");
	last_log(name);
	kill_and_boot();
	ck_assert(sd_sim_flip(node, name, 8 * 90));
	open_kv();
	ck_assert_uint_eq(told[SD_KV_EVENT_TORN], 1);
	expect("a", "the first one");
	expect("b", NULL);
	ck_assert_uint_lt(bytes_of(name), 200);
}
END_TEST

static struct {
	const struct sd_world_ops *ops;
	struct sd_world_ops with;
	const struct sd_file_ops *file_ops;
	struct sd_file_ops file_with;
	uint64_t from, to; /* of the log: zeros to who reads it first */
	int reads;
} early;

static ssize_t read_early(struct sd_file *f, void *buf, size_t n, uint64_t off)
{
	ssize_t got = early.file_ops->read(f, buf, n, off);
	if (early.reads++ == 0 && off == 0 && got >= (ssize_t)early.to)
		memset((char *)buf + early.from, 0, early.to - early.from);
	return got;
}

static int open_early(struct sd_world *w, const char *name, unsigned flags, struct sd_file **out)
{
	int err = early.ops->open(w, name, flags, out);
	if (err || !strstr(name, ".log"))
		return err;
	early.file_ops = (*out)->ops;
	early.file_with = *early.file_ops;
	early.file_with.read = read_early;
	(*out)->ops = &early.file_with;
	return 0;
}

/* Who reads a log page by page while it is written may see a later page with what was written later, also a mark. */
START_TEST(a_record_that_is_being_written_is_no_damage)
{
	struct sd_kv_conf reading = {.mode = SD_KV_READ_ONLY};
	struct sd_kv *reader = NULL;
	conf.sync = SD_KV_NO;
	anew(_i);
	put("a", "the first one");
	ck_assert_int_eq(sd_kv_sync(kv, &e), SD_OK);
	put("b", "the second one");
	reading.world = node;
	early.ops = node->ops;
	early.with = *node->ops;
	early.with.open = open_early;
	early.from = 30;
	early.to = 50;
	early.reads = 0;
	node->ops = &early.with;
	enum sd_err err = sd_kv_open("data", &reading, &reader, &e);
	node->ops = early.ops;
	ck_assert_msg(err == SD_OK, "%s", e.text);
	ck_assert_int_gt(early.reads, 1);
	ck_assert_int_eq(sd_kv_get(reader, NULL, text("a"), NULL, &e), SD_OK);
	ck_assert_int_eq(sd_kv_get(reader, NULL, text("b"), NULL, &e), SD_OK);
	sd_kv_close(reader, NULL);
}
END_TEST

/* A mark that does not fit, or is lost, is missed by nobody. */
START_TEST(a_log_that_could_not_be_closed_is_fine)
{
	for (uint64_t at = 1; at < 60; at++) {
		conf.sync = SD_KV_NO;
		anew(SD_KV_SDLAB);
		put("a", "the first one");
		ck_assert_int_eq(sd_kv_sync(kv, &e), SD_OK);
		sd_sim_power_cut_at(node, at);
		sd_kv_close(kv, NULL);
		kv = NULL;
		bool up = sd_sim_is_up(node);
		sd_sim_power_cut_at(node, 0);
		if (up)
			sd_sim_power_cut(node);
		sd_sim_boot(node);
		open_kv();
		expect("a", "the first one");
		if (up)
			return;
	}
	ck_abort_msg("it is never closed");
}
END_TEST

/* ---- large values, again and again ---- */

#define LARGE 5000
#define KEYS  24

/* What a key holds as its version is this; nothing makes it smaller. */
static struct sd_slice large(char room[LARGE], int key, int version)
{
	struct sd_rng r;
	sd_rng_seed(&r, (uint64_t)key * 100000 + (uint64_t)version);
	for (size_t i = 0; i < LARGE; i++)
		room[i] = (char)sd_rng_below(&r, 256);
	return (struct sd_slice){room, LARGE};
}

static void work(void)
{
	while (sd_kv_work(kv))
		;
}

/* Some keys often, some seldom; versions: of each what was acknowledged. False: the power is gone, in the midst of a write of *last. */
static bool overwrite(struct sd_rng *r, int puts, int versions[KEYS], int *last)
{
	char key[16], room[LARGE];
	for (int i = 0; i < puts; i++) {
		*last = (int)sd_rng_below(r, 8) ? (int)sd_rng_below(r, KEYS / 2) : (int)sd_rng_below(r, KEYS);
		snprintf(key, sizeof(key), "k%02d", *last);
		if (sd_kv_put(kv, text(key), large(room, *last, versions[*last] + 1), &e))
			return false;
		versions[*last]++;
		if (i % 12 == 11 && sd_kv_flush(kv, &e)) {
			*last = -1;
			return false;
		}
		work();
	}
	*last = -1;
	return sd_sim_is_up(node);
}

static void judge_large(int versions[KEYS], int last, uint64_t at)
{
	char key[16], room[LARGE];
	struct sd_kv_value v = {0};
	for (int k = 0; k < KEYS; k++) {
		snprintf(key, sizeof(key), "k%02d", k);
		enum sd_err err = sd_kv_get(kv, NULL, text(key), &v, &e);
		ck_assert_msg(err == SD_OK || (err == SD_ENOTFOUND && versions[k] == 0), "cut at %" PRIu64 ": %s: %s", at, key, e.text);
		bool same = err ? versions[k] == 0 : versions[k] > 0 && memcmp(v.p, large(room, k, versions[k]).p, LARGE) == 0;
		if (!same && k == last && !err) {
			same = memcmp(v.p, large(room, k, versions[k] + 1).p, LARGE) == 0;
			versions[k] += same;
		}
		ck_assert_msg(same, "cut at %" PRIu64 ": %s is not what was acknowledged", at, key);
	}
	sd_kv_value_free(&v);
}

static uint64_t blob_files(void)
{
	uint64_t n = 0;
	char **names = sd_world_list_dir(node, "data");
	for (char **p = names; p && *p; p++) {
		n += strstr(*p, ".blob") != NULL;
		free(*p);
	}
	free(names);
	return n;
}

/* 6 MB are written of 120 kB that live. A store that only removes files of which all is dead keeps more, for the keys written seldom. */
START_TEST(large_values_do_not_pile_up)
{
	struct sd_kv_stats s;
	struct sd_rng r;
	int versions[KEYS] = {0}, last;
	uint64_t most = 0;
	start_over((uint64_t)_i, 0);
	sd_rng_seed(&r, (uint64_t)_i);
	for (int i = 0; i < 100; i++) {
		ck_assert(overwrite(&r, 12, versions, &last));
		sd_kv_stats_get(kv, &s);
		most = s.blob_file_bytes > most ? s.blob_file_bytes : most;
		ck_assert_uint_eq(blob_files(), s.blob_files);
	}
	judge_large(versions, last, 0);
	ck_assert_uint_lt(most, 550000); /* 400 to 460 kB; 700 to 770 without */
	reopen();
	judge_large(versions, last, 0);
	ck_assert_uint_eq(blob_files(), s.blob_files);
}
END_TEST

/* ---- large values that are not written again ---- */

#define MANY 300

static void put_some(struct sd_rng *r, int versions[MANY])
{
	char key[16], room[LARGE];
	int from = (int)sd_rng_below(r, MANY), n = (int)sd_rng_below(r, MANY), step = 1 + (int)sd_rng_below(r, 3);
	bool gone = sd_rng_below(r, 3) == 0;
	for (int k = from; k < from + n && k < MANY; k += step) {
		snprintf(key, sizeof(key), "k%03d", k);
		ck_assert_int_eq(gone ? sd_kv_delete(kv, text(key), &e)
				      : sd_kv_put(kv, text(key), large(room, k, abs(versions[k]) + 1), &e), SD_OK);
		versions[k] = gone ? -abs(versions[k]) : abs(versions[k]) + 1; /* not above 0: it is gone */
	}
}

static void remove_a_range(struct sd_rng *r, int versions[MANY])
{
	char from[16], to[16];
	int first = (int)sd_rng_below(r, MANY), n = (int)sd_rng_below(r, MANY / 2), end = first + n < MANY ? first + n : MANY;
	snprintf(from, sizeof(from), "k%03d", first);
	snprintf(to, sizeof(to), "k%03d", end);
	ck_assert_int_eq(sd_kv_delete_range(kv, text(from), &(struct sd_slice){to, strlen(to)}, &e), SD_OK);
	for (int k = first; k < end; k++)
		versions[k] = -abs(versions[k]);
}

static uint64_t alive_of(const int versions[MANY])
{
	uint64_t n = 0;
	for (int k = 0; k < MANY; k++)
		n += versions[k] > 0;
	return n * LARGE;
}

static void all_large_are_there(const int versions[MANY])
{
	char key[16], room[LARGE];
	struct sd_kv_value v = {0};
	for (int k = 0; k < MANY; k++) {
		snprintf(key, sizeof(key), "k%03d", k);
		enum sd_err err = sd_kv_get(kv, NULL, text(key), &v, &e);
		ck_assert_msg(err == (versions[k] > 0 ? SD_OK : SD_ENOTFOUND), "%s: %s", key, e.text);
		ck_assert(err || memcmp(v.p, large(room, k, versions[k]).p, LARGE) == 0);
	}
	sd_kv_value_free(&v);
}

/* To the end, which there is. */
static void rest(void)
{
	int steps = 0;
	while (sd_kv_work(kv))
		ck_assert_int_lt(++steps, 1000);
	uint64_t told_before = told[SD_KV_EVENT_COMPACTION];
	for (int i = 0; i < 10; i++)
		ck_assert(!sd_kv_work(kv));
	ck_assert_uint_eq(told[SD_KV_EVENT_COMPACTION], told_before);
}

/* What is dead is known after a merge of everything, and then nothing is written any more. Without more merging than tables ask for,
 * there is 5 times as much as is alive. */
START_TEST(dead_values_go_when_nothing_is_written)
{
	struct sd_kv_stats s;
	struct sd_rng r;
	int versions[MANY] = {0};
	conf.style = _i & 1 ? SD_KV_TIERED : SD_KV_LEVELED;
	conf.memtable_bytes = 64 << 10;
	conf.table_bytes = 300;
	conf.compression = SD_KV_PLAIN;
	anew(SD_KV_SDLAB);
	sd_rng_seed(&r, (uint64_t)_i);
	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < 4; i++)
			put_some(&r, versions);
		remove_a_range(&r, versions);
		ck_assert_int_eq(sd_kv_compact(kv, NULL, NULL, &e), SD_OK);
		rest();
		sd_kv_stats_get(kv, &s);
		ck_assert_uint_le(s.blob_dead_bytes, s.blob_file_bytes - s.blob_dead_bytes + conf.memtable_bytes);
		uint64_t alive = alive_of(versions);
		ck_assert_uint_ge(s.blob_file_bytes - s.blob_dead_bytes, alive);
		ck_assert_uint_le(s.blob_file_bytes, 2 * (alive + alive / 50) + conf.memtable_bytes); /* with heads */
		ck_assert_uint_eq(blob_files(), s.blob_files);
		all_large_are_there(versions);
		if (round % 2 == 0)
			reopen();
	}
}
END_TEST

/* Nothing is written afterwards; what was removed goes all the same: known to be dead (2), or not yet (0, 1). */
START_TEST(values_removed_once_go)
{
	struct sd_kv_stats s;
	int versions[MANY] = {0};
	char key[16], room[LARGE];
	conf.memtable_bytes = 64 << 10;
	conf.compression = SD_KV_PLAIN;
	anew(SD_KV_SDLAB);
	for (int k = 0; k < MANY; k++) {
		snprintf(key, sizeof(key), "k%03d", k);
		versions[k] = 1;
		ck_assert_int_eq(sd_kv_put(kv, text(key), large(room, k, 1), &e), SD_OK);
	}
	flush();
	rest();
	for (int k = 0; k < MANY && _i != 1; k++) {
		snprintf(key, sizeof(key), "k%03d", k);
		versions[k] = k % 5 ? -1 : 1;
		if (k % 5)
			ck_assert_int_eq(sd_kv_delete(kv, text(key), &e), SD_OK);
	}
	for (int k = 0; k < MANY && _i == 1; k++)
		versions[k] = k >= 20 ? -1 : 1;
	if (_i == 1)
		ck_assert_int_eq(sd_kv_delete_range(kv, text("k020"), NULL, &e), SD_OK);
	if (_i == 2)
		ck_assert_int_eq(sd_kv_compact(kv, NULL, NULL, &e), SD_OK);
	flush();
	rest();
	sd_kv_stats_get(kv, &s);
	uint64_t alive = alive_of(versions);
	ck_assert_uint_le(s.blob_file_bytes, 2 * (alive + alive / 50) + conf.memtable_bytes); /* 1.5 MB otherwise */
	all_large_are_there(versions);
}
END_TEST

/* 64 MiB, and at most four tables are to be open: eight of the usual size would be opened again and again. */
START_TEST(tables_grow_with_the_store)
{
	struct sd_kv_stats s;
	static char value[64 << 10];
	uint64_t tables = 0;
	char key[16];
	conf.open_files = 8;
	conf.blob_from = UINT32_MAX;
	conf.compression = SD_KV_PLAIN;
	conf.memtable_bytes = 16 << 20;
	anew(SD_KV_SDLAB);
	for (int k = 0; k < 1024; k++) {
		snprintf(key, sizeof(key), "k%04d", k);
		memset(value, k, sizeof(value));
		ck_assert_int_eq(sd_kv_put(kv, text(key), (struct sd_slice){value, sizeof(value)}, &e), SD_OK);
	}
	ck_assert_int_eq(sd_kv_compact(kv, NULL, NULL, &e), SD_OK);
	sd_kv_stats_get(kv, &s);
	for (unsigned level = 0; level < SD_KV_LEVELS; level++)
		tables += s.levels[level].tables;
	ck_assert_uint_le(tables, 5);
}
END_TEST

START_TEST(large_values_survive_a_power_cut)
{
	struct sd_rng r;
	for (uint64_t at = 1 + (uint64_t)_i; at < 4000; at += 97) {
		int versions[KEYS] = {0}, last;
		start_over(at, 0);
		sd_rng_seed(&r, at);
		sd_sim_power_cut_at(node, at);
		bool all = overwrite(&r, 300, versions, &last);
		sd_sim_power_cut_at(node, 0);
		power_cycle();
		judge_large(versions, last, at);
		ck_assert(overwrite(&r, 24, versions, &last));
		judge_large(versions, last, at);
		if (all)
			break;
	}
}
END_TEST

/* A range in a log has an end: sd_kv_write gives it one. */
START_TEST(a_range_without_an_end_in_a_log_is_refused)
{
	struct sd_text record = {0}, bytes = {0};
	char name[300] = "";
	struct sd_file *f;
	uint64_t size;
	put("a", "1");
	ck_assert_int_eq(sd_kv_close(kv, &e), SD_OK);
	kv = NULL;
	char **names = sd_world_list_dir(node, "data");
	for (char **p = names; p && *p; p++) {
		if (strstr(*p, ".log"))
			snprintf(name, sizeof(name), "data/%s", *p);
		free(*p);
	}
	free(names);
	ck_assert_int_eq(sd_file_open(node, name, SD_FILE_WRITE, &f, &e), SD_OK);
	ck_assert_int_eq(sd_file_size(f, &size, &e), SD_OK);
	sd_lsm_batch_begin(&record, 2);
	sd_lsm_batch_put(&record, SD_LSM_RANGE_GONE, text("m"), text(_i ? "n" : ""));
	sd_lsm_log_put(&bytes, size, (struct sd_slice){record.p, record.n});
	ck_assert_int_eq(sd_file_write(f, &(struct iovec){bytes.p, bytes.n}, 1, size, &e), SD_OK);
	sd_file_close(f);
	free(record.p);
	free(bytes.p);
	ck_assert_int_eq(sd_kv_open("data", &conf, &kv, &e), _i ? SD_OK : SD_EDAMAGED);
	ck_assert_msg(_i || strstr(e.text, "is no batch of writes"), "%s", e.text);
}
END_TEST

/* ---- a disk that fails ---- */

/* One put, again and again while it is refused for want of room: what is refused is not there. False: no more writes. */
static bool put_at_last(const char *key, enum sd_err expected)
{
	for (int tries = 0; tries < 8; tries++) {
		enum sd_err err = sd_kv_put(kv, text(key), text(key), &e);
		if (!err)
			return true;
		ck_assert_msg(err == expected, "%s: %s", sd_err_text(err), e.text);
		ck_assert_int_eq(sd_kv_get(kv, NULL, text(key), NULL, &e), SD_ENOTFOUND);
		if (expected != SD_ENOSPC)
			return false;
	}
	ck_abort_msg("room does not bring it back: %s", e.text);
}

static void flush_at_last(enum sd_err expected)
{
	enum sd_err err = SD_EIO;
	for (int tries = 0; err && tries < 8; tries++)
		if ((err = sd_kv_flush(kv, &e)))
			ck_assert_msg(err == expected, "%s", e.text);
	ck_assert_msg(!err || expected != SD_ENOSPC, "room does not bring it back: %s", e.text);
}

START_TEST(a_full_disk_is_not_the_end)
{
	uint64_t failed = 1;
	char key[16];
	for (uint64_t at = 1; failed > 0; at++) {
		start_over(at * 31 + (uint64_t)_i, _i & 1);
		sd_sim_fail(node, SD_SIM_WRITE, at, 1 + at % 3, ENOSPC);
		for (int i = 0; i < SCRIPT; i++) {
			snprintf(key, sizeof(key), "k%d", i);
			ck_assert(put_at_last(key, SD_ENOSPC));
			if (i % 5 == 4)
				flush_at_last(SD_ENOSPC);
		}
		failed = sd_sim_failed(node);
		judge(SCRIPT, at);
		power_cycle();
		judge(SCRIPT, at);
	}
}
END_TEST

START_TEST(after_a_failed_sync_nothing_is_acknowledged)
{
	uint64_t failed = 1;
	char key[16];
	for (uint64_t at = 1; failed > 0; at++) {
		int acked = 0;
		start_over(at * 17 + (uint64_t)_i, _i & 1);
		sd_sim_fail(node, SD_SIM_SYNC, at, 1, EIO);
		for (bool ok = true; ok && acked < SCRIPT; acked += ok) {
			snprintf(key, sizeof(key), "k%d", acked);
			ok = put_at_last(key, SD_EIO);
			if (ok && acked % 5 == 4)
				flush_at_last(SD_EIO);
		}
		failed = sd_sim_failed(node);
		if (acked < SCRIPT) {
			ck_assert_int_eq(sd_kv_put(kv, text("later"), text("1"), &e), SD_EIO);
			ck_assert_int_eq(sd_kv_health(kv, &e), SD_EIO);
			ck_assert_int_eq(sd_kv_get(kv, NULL, text("later"), NULL, &e), SD_ENOTFOUND);
		}
		power_cycle();
		judge(acked, at);
		put("later", "1");
	}
}
END_TEST

static void cut_log(uint64_t size)
{
	char path[64] = "";
	struct sd_file *f;
	char **names = sd_world_list_dir(node, "data");
	for (char **p = names; *p; p++) {
		if (strstr(*p, ".log"))
			snprintf(path, sizeof(path), "data/%s", *p);
		free(*p);
	}
	free(names);
	ck_assert_int_eq(sd_file_open(node, path, SD_FILE_WRITE, &f, NULL), SD_OK);
	ck_assert_int_eq(sd_file_truncate(f, size, NULL), SD_OK);
	ck_assert_int_eq(sd_file_sync(f, NULL), SD_OK);
	sd_file_close(f);
}

/* A record in two pieces, of which the power left the first: it is gone as a whole, and in no one's way the next time. */
START_TEST(half_a_record_is_cut_off)
{
	static const uint64_t cuts[] = {32768, 32768 + 3, 32768 + 500};
	static char long_value[29001], longer[8001];
	memset(long_value, 'x', sizeof(long_value) - 1);
	memset(longer, 'y', sizeof(longer) - 1);
	anew(_i % 2);
	put("a", long_value);
	put("b", longer);
	sd_sim_kill(node);
	sd_kv_close(kv, NULL);
	sd_sim_boot(node);
	cut_log(cuts[_i / 2]);
	open_kv();
	ck_assert_uint_eq(told[SD_KV_EVENT_TORN], 1);
	expect("b", NULL);
	put("c", "later");
	for (int i = 0; i < 2; i++) {
		reopen();
		expect("a", long_value);
		expect("b", NULL);
		expect("c", "later");
	}
	ck_assert_uint_eq(told[SD_KV_EVENT_TORN], 1);
}
END_TEST

static void remove_named(const char *part)
{
	char path[64];
	char **names = sd_world_list_dir(node, "data");
	for (char **p = names; *p; p++) {
		snprintf(path, sizeof(path), "data/%.40s", *p);
		if (strstr(*p, part))
			ck_assert_int_eq(sd_world_unlink(node, path), SD_OK);
		free(*p);
	}
	free(names);
}

static uint64_t files_of(const char *folder)
{
	uint64_t n = 0;
	char **names = sd_world_list_dir(node, folder);
	for (char **p = names; *p; n++)
		free(*p++);
	free(names);
	return n;
}

/* Somebody removes files, or puts another folder there: it is noticed before a write is acknowledged, with the upkeep of each second,
 * or before a file is made there. */
START_TEST(a_folder_that_is_gone_takes_no_more)
{
	put("before", "1");
	remove_named(_i == 0 ? ".log" : "LOCK");
	uint64_t files = files_of("data");
	if (_i == 0) {
		ck_assert_int_eq(sd_kv_put(kv, text("after"), text("2"), &e), SD_EIO);
		ck_assert_msg(strstr(e.text, ".log was removed or replaced while the store was open"), "%s", e.text);
	} else if (_i == 1) {
		ck_assert(!sd_kv_work(kv));
	} else {
		ck_assert_int_eq(sd_kv_flush(kv, &e), SD_EIO);
	}
	ck_assert_int_eq(sd_kv_health(kv, &e), SD_EIO);
	ck_assert_uint_eq(told[SD_KV_EVENT_FAILED], 1);
	ck_assert_int_eq(sd_kv_put(kv, text("after"), text("2"), &e), SD_EIO);
	ck_assert_int_eq(sd_kv_flush(kv, &e), SD_EIO);
	sd_kv_work(kv);
	expect("before", "1");
	expect("after", NULL);
	ck_assert_uint_eq(files_of("data"), files);
}
END_TEST

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void die(void)
{
	sd_sim_kill(node);
	sd_kv_close(kv, NULL);
	sd_sim_boot(node);
}

/* A log that is followed by another ends with a record that is not whole: the store is refused, and also when it is tried again. */
START_TEST(damage_stays_damage)
{
	char path[64] = "";
	anew(_i);
	put("a", "first");
	die();
	open_kv();
	put("b", "second");
	die();
	char **names = sd_world_list_dir(node, "data");
	size_t n = 0;
	while (names[n])
		n++;
	qsort(names, n, sizeof(names[0]), by_name);
	for (size_t i = n; i-- > 0; free(names[i]))
		if (strstr(names[i], ".log"))
			snprintf(path, sizeof(path), "data/%s", names[i]);
	free(names);
	ck_assert(sd_sim_flip(node, path, 8 * 12));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(sd_kv_open("data", &conf, &kv, &e), SD_EDAMAGED);
		ck_assert_msg(strstr(e.text, "within a record, and good ones follow"), "%s", e.text);
	}
	ck_assert(sd_sim_flip(node, path, 8 * 12));
	open_kv();
	expect("a", "first");
	expect("b", "second");
}
END_TEST

/* A write that was refused is not there later: neither when the program dies right after, nor when the next write is under way as the
 * power goes, and the disk shows what stood there before. */
START_TEST(what_was_refused_stays_refused)
{
	for (uint64_t seed = 1; seed <= 150; seed++) {
		start_over(seed, _i & 1);
		put("before", "1");
		sd_sim_fail(node, SD_SIM_WRITE, 1, 1, ENOSPC);
		ck_assert_int_eq(sd_kv_put(kv, text("refused"), text("x"), &e), SD_ENOSPC);
		if (seed % 3) {
			sd_sim_power_cut_at(node, 1 + seed % 2);
			ck_assert_int_ne(sd_kv_put(kv, text("later!!"), text("y"), &e), SD_OK);
			power_cycle();
		} else {
			sd_sim_kill(node);
			sd_kv_close(kv, NULL);
			sd_sim_boot(node);
			open_kv();
		}
		expect("before", "1");
		expect("refused", NULL);
	}
}
END_TEST

/* A table that could not be written leaves a file to remove: that this was done is no reason to try again, nor is all well then. */
START_TEST(what_failed_is_tried_again_a_second_later)
{
	char key[16];
	struct sd_kv_stats stats;
	start_over(7, _i);
	sd_kv_close(kv, NULL);
	conf.memtable_bytes = 64 << 10;
	open_kv();
	for (uint64_t i = 0, full = told[SD_KV_EVENT_FULL]; told[SD_KV_EVENT_FULL] == full; i++) {
		snprintf(key, sizeof(key), "k%" PRIu64, i);
		put(key, "a value");
	}
	sd_sim_fail(node, SD_SIM_WRITE, 1, 1000000, ENOSPC);
	for (int i = 0; i < 50; i++)
		sd_kv_work(kv);
	ck_assert_uint_eq(sd_sim_failed(node), 1);
	ck_assert_int_eq(sd_kv_health(kv, &e), SD_ENOSPC);
	sd_sim_fail(node, SD_SIM_WRITE, 0, 0, 0);
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + INT64_C(1000000000));
	while (sd_kv_work(kv))
		;
	ck_assert_int_eq(sd_kv_health(kv, &e), SD_OK);
	sd_kv_stats_get(kv, &stats);
	ck_assert_uint_eq(stats.immutables, 0);
}
END_TEST

START_TEST(a_small_disk_takes_no_more_and_then_more)
{
	char key[16];
	static char big[3000];
	int n = 0;
	start_over(5, _i);
	sd_sim_disk(node)->capacity = 400 << 10;
	memset(big, 'x', sizeof(big));
	for (enum sd_err err = SD_OK; !err; n += !err) {
		snprintf(key, sizeof(key), "k%d", n);
		err = sd_kv_put(kv, text(key), (struct sd_slice){big, sizeof(big)}, &e);
		ck_assert_msg(!err || err == SD_ENOSPC, "%s", e.text);
		ck_assert_int_lt(n, 1000);
	}
	ck_assert_int_gt(n, 20);
	for (int i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ck_assert_int_eq(sd_kv_get(kv, NULL, text(key), NULL, &e), SD_OK);
	}
	ck_assert_int_eq(sd_kv_get(kv, NULL, (snprintf(key, sizeof(key), "k%d", n), text(key)), NULL, &e), SD_ENOTFOUND);
	sd_sim_disk(node)->capacity = 0;
	put(key, "more");
	flush();
	power_cycle();
	expect(key, "more");
	ck_assert_int_eq(sd_kv_get(kv, NULL, text("k0"), NULL, &e), SD_OK);
}
END_TEST

/* ---- many threads ---- */

#define WRITERS 8
#define EACH    200

struct writer {
	pthread_t thread;
	struct sd_kv *kv;
	int id;
};

static void *write_many(void *arg)
{
	struct writer *w = arg;
	char key[32];
	for (int i = 0; i < EACH; i++) {
		snprintf(key, sizeof(key), "w%d-%04d", w->id, i);
		if (sd_kv_put(w->kv, text(key), text(key), NULL) || sd_kv_get(w->kv, NULL, text(key), NULL, NULL))
			return w;
	}
	return NULL;
}

static void remove_all(struct sd_world *w, const char *dir)
{
	char **names = sd_world_list_dir(w, dir), full[600];
	for (char **p = names; p && *p; p++) {
		snprintf(full, sizeof(full), "%s/%s", dir, *p);
		sd_world_unlink(w, full);
		free(*p);
	}
	free(names);
}

static char real_dir[64], real_sub[80];

/* A store in a folder of the disk, with a thread of its own. */
static struct sd_kv *open_real(const struct sd_kv_conf *c)
{
	struct sd_kv *real;
	snprintf(real_dir, sizeof(real_dir), "/tmp/sdlab-kv-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(real_dir));
	snprintf(real_sub, sizeof(real_sub), "%s/kv", real_dir);
	ck_assert_msg(sd_kv_open(real_sub, c, &real, &e) == SD_OK, "%s", e.text);
	return real;
}

static void close_real(struct sd_kv *real)
{
	ck_assert_int_eq(sd_kv_close(real, &e), SD_OK);
	struct sd_world *world = sd_world_real();
	remove_all(world, real_sub);
	sd_world_free(world);
	ck_assert_int_eq(rmdir(real_sub), 0);
	ck_assert_int_eq(rmdir(real_dir), 0);
}

START_TEST(writers_share_syncs)
{
	struct writer w[WRITERS];
	struct sd_kv_stats s;
	struct sd_kv *real = open_real(&(struct sd_kv_conf){.memtable_bytes = 64 << 10});
	for (int i = 0; i < WRITERS; i++) {
		w[i] = (struct writer){.kv = real, .id = i};
		ck_assert_int_eq(pthread_create(&w[i].thread, NULL, write_many, &w[i]), 0);
	}
	for (int i = 0; i < WRITERS; i++) {
		void *failed;
		pthread_join(w[i].thread, &failed);
		ck_assert_ptr_null(failed);
	}
	sd_kv_stats_get(real, &s);
	ck_assert_uint_eq(s.writes, WRITERS * EACH);
	ck_assert_uint_lt(s.syncs, WRITERS * EACH);
	ck_assert_uint_eq(s.batches, WRITERS * EACH);
	close_real(real);
}
END_TEST

/* Six pieces of a mebibyte at eight a second, as it was opened or as it was told since: at least half a second. */
START_TEST(merging_keeps_to_its_rate)
{
	struct timespec from, to;
	struct sd_rng chance;
	char key[16];
	static char value[64 << 10];
	struct sd_kv_conf c = {.sync = SD_KV_NO, .format = (enum sd_kv_format)_i, .blob_from = UINT32_MAX, .rate = _i ? 8 << 20 : 0};
	struct sd_kv *real = open_real(&c);
	if (!_i)
		sd_kv_set_rate(real, 8 << 20);
	sd_rng_seed(&chance, 8);
	for (int k = 0; k < 100; k++) {
		for (size_t i = 0; i < sizeof(value); i++)
			value[i] = (char)sd_rng_next(&chance);
		snprintf(key, sizeof(key), "k%d", k);
		ck_assert_int_eq(sd_kv_put(real, text(key), (struct sd_slice){value, sizeof(value) - 1}, &e), SD_OK);
	}
	ck_assert_int_eq(sd_kv_flush(real, &e), SD_OK);
	ck_assert_int_eq(sd_kv_put(real, text("k0"), text("anew"), &e), SD_OK); /* a table alone would only move */
	clock_gettime(CLOCK_MONOTONIC, &from);
	ck_assert_int_eq(sd_kv_compact(real, NULL, NULL, &e), SD_OK);
	clock_gettime(CLOCK_MONOTONIC, &to);
	double took = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	ck_assert_msg(took > 0.5, "it took %.3f s", took);
	close_real(real);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("lsm_db");
	TCase *t = tcase_create("db");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, what_was_written_is_there, 0, 2);
	tcase_add_test(t, tables_hold_what_memory_held);
	tcase_add_test(t, what_has_ended_does_not_come_back);
	tcase_add_test(t, snapshots_see_what_was);
	tcase_add_test(t, a_batch_is_read_before_it_is_written);
	tcase_add_test(t, ranges_without_an_end_go_to_the_end);
	tcase_add_loop_test(t, ranges_without_an_end_take_the_longest_key_too, 0, 2);
	tcase_add_test(t, iterators_go_both_ways);
	tcase_add_test(t, sets_only_what_is_as_expected);
	tcase_add_test(t, large_values_are_kept_apart);
	tcase_add_loop_test(t, a_checkpoint_is_a_store_of_then, 0, 2);
	tcase_add_test(t, opens_as_the_mode_says);
	tcase_add_test(t, a_manifest_that_fails_is_not_written_on);
	tcase_add_test(t, is_read_while_somebody_writes);
	tcase_add_test(t, what_is_put_away_is_missing);
	tcase_add_loop_test(t, keeps_its_word_when_the_power_goes, 0, SEEDS(40));
	tcase_add_loop_test(t, loses_only_the_end_when_it_does_not_sync, 0, 4);
	tcase_add_loop_test(t, a_sync_is_about_earlier_logs_too, 0, 4);
	tcase_add_loop_test(t, needs_its_logs_with_less_memory_too, 0, 2);
	tcase_add_loop_test(t, damage_to_what_was_synced_is_refused, 0, 2);
	tcase_add_loop_test(t, damage_to_a_log_that_was_closed_is_told, 0, 6);
	tcase_add_loop_test(t, room_in_a_log_is_no_record, 0, 4);
	tcase_add_loop_test(t, a_torn_record_in_room_is_cut_off, 0, 2);
	tcase_add_loop_test(t, a_record_that_is_being_written_is_no_damage, 0, 2);
	tcase_add_test(t, a_log_that_could_not_be_closed_is_fine);
	tcase_add_loop_test(t, a_range_without_an_end_in_a_log_is_refused, 0, 2);
	tcase_add_loop_test(t, large_values_do_not_pile_up, 0, SEEDS(4));
	tcase_add_loop_test(t, dead_values_go_when_nothing_is_written, 0, SEEDS(8));
	tcase_add_loop_test(t, values_removed_once_go, 0, 3);
	tcase_add_test(t, tables_grow_with_the_store);
	tcase_add_loop_test(t, large_values_survive_a_power_cut, 0, SEEDS(4));
	tcase_add_loop_test(t, a_full_disk_is_not_the_end, 0, 4);
	tcase_add_loop_test(t, merging_keeps_to_its_rate, 0, 2);
	tcase_add_loop_test(t, what_failed_is_tried_again_a_second_later, 0, 2);
	tcase_add_test(t, time_goes_on_when_the_clock_is_set_back);
	tcase_add_loop_test(t, after_a_failed_sync_nothing_is_acknowledged, 0, 4);
	tcase_add_loop_test(t, half_a_record_is_cut_off, 0, 6);
	tcase_add_loop_test(t, a_folder_that_is_gone_takes_no_more, 0, 3);
	tcase_add_loop_test(t, damage_stays_damage, 0, 2);
	tcase_add_loop_test(t, what_was_refused_stays_refused, 0, 2);
	tcase_add_loop_test(t, a_small_disk_takes_no_more_and_then_more, 0, 2);
	tcase_add_test(t, writers_share_syncs);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *r = srunner_create(suite());
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
