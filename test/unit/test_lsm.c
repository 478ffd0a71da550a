/* Tables, logs, batches and manifests in LevelDB's format: what was written comes back, a place moves as in an array, and damage is told. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_batch.h"
#include "core/lsm_log.h"
#include "core/lsm_table.h"
#include "core/lsm_version.h"
#include "core/rng.h"
#include "core/snappy.h"
#include "core/varint.h"

#define MOST 3000

static struct sd_rng rng;

static struct sd_slice text(const char *s)
{
	return sd_slice_of(s);
}

/* ---- numbers ---- */

START_TEST(varints)
{
	static const uint64_t v[] = {0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, UINT64_MAX / 2, UINT64_MAX};
	uint8_t bytes[SD_VARINT_MAX];
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		uint64_t back;
		size_t n = sd_put_varint(bytes, v[i]);
		ck_assert_uint_eq(sd_get_varint(bytes, n, UINT64_MAX, &back), n);
		ck_assert_uint_eq(back, v[i]);
		ck_assert_uint_eq(sd_get_varint(bytes, n - 1, UINT64_MAX, &back), 0);
		if (v[i] > 0)
			ck_assert_uint_eq(sd_get_varint(bytes, n, v[i] - 1, &back), 0);
	}
	uint64_t back;
	ck_assert_uint_eq(sd_get_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, UINT64_MAX, &back), 0); /* 65 bits */
	ck_assert_uint_eq(sd_get_varint("\xac\x02", 2, UINT64_MAX, &back), 2); /* the example of protocol buffers */
	ck_assert_uint_eq(back, 300);
}
END_TEST

START_TEST(expands_what_snappy_wrote)
{
	/* from format_description.txt by hand: a literal, a copy that repeats, a literal above 60 bytes */
	static const struct {
		const char *in;
		size_t n;
		const char *out; /* NULL: damaged */
	} t[] = {
	    {"\x00", 1, ""},
	    {"\x03\x08" "abc", 5, "abc"},
	    {"\x0a\x00" "a\x15\x01", 5, "aaaaaaaaaa"},
	    {"\x07\x08" "abc\x0e\x03\x00", 8, "abcabca"},
	    {"\x07\x08" "abc\x0f\x03\x00\x00\x00", 10, "abcabca"},
	    {"\x03\x08" "ab", 4, NULL},		       /* cut off */
	    {"\x04\x08" "abc", 5, NULL},	       /* too few */
	    {"\x02\x08" "abc", 5, NULL},	       /* too many */
	    {"\x07\x08" "abc\x0e\x04\x00", 8, NULL},   /* from before the beginning */
	    {"\x07\x08" "abc\x0e\x00\x00", 8, NULL},   /* from nowhere */
	    {"\x05\xf4\xff\xff\xff" "ab", 7, NULL},    /* a length beyond all */
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char out[64] = "";
		size_t length;
		ck_assert(sd_snappy_length(t[i].in, t[i].n, &length) && length < sizeof(out));
		ck_assert_msg(sd_snappy_expand(t[i].in, t[i].n, out, length) == (t[i].out != NULL), "row %zu", i);
		if (t[i].out)
			ck_assert(length == strlen(t[i].out) && memcmp(out, t[i].out, length) == 0);
	}
	size_t length;
	ck_assert(!sd_snappy_length("\x80\x80\x80\x80\x80\x01", 6, &length));
}
END_TEST

/* ---- tables ---- */

struct entry {
	char key[32 + SD_LSM_TAIL];
	size_t key_n;
	char value[40];
	size_t value_n;
};
static struct entry entries[MOST];
static size_t count;

static struct sd_slice key_of(const struct entry *e)
{
	return (struct sd_slice){e->key, e->key_n};
}

static int in_order(const void *a, const void *b)
{
	return sd_lsm_internal(key_of(a), key_of(b));
}

static void set_key(struct entry *e, const char *user, size_t n, uint64_t seq, enum sd_lsm_kind kind)
{
	memcpy(e->key, user, n);
	sd_put_le(e->key + n, seq << 8 | kind, SD_LSM_TAIL);
	e->key_n = n + SD_LSM_TAIL;
}

/* Keys of few letters, so that many have much in common, some several times, one empty. */
static void make_entries(uint64_t seed, size_t n)
{
	sd_rng_seed(&rng, seed);
	for (count = 0; count < n; count++) {
		char user[32];
		size_t user_n = count ? sd_rng_below(&rng, 1 + (uint32_t)(seed % 4) * 8) : 0;
		for (size_t i = 0; i < user_n; i++)
			user[i] = "ab\xff\0"[sd_rng_below(&rng, 4)];
		set_key(&entries[count], user, user_n, count + 1, sd_rng_below(&rng, 5) ? SD_LSM_VALUE : SD_LSM_GONE);
		entries[count].value_n = sd_rng_below(&rng, sizeof(entries[0].value));
		memset(entries[count].value, (int)count, sizeof(entries[0].value));
	}
	qsort(entries, count, sizeof(entries[0]), in_order);
}

static struct sd_lsm_table_out out;

static enum sd_err from_memory(void *arg, void *buf, size_t n, uint64_t off, struct sd_error *e)
{
	const struct sd_text *t = arg;
	if (off > t->n || t->n - off < n)
		return sd_fail(e, SD_EDAMAGED, "ends too early");
	memcpy(buf, t->p + off, n);
	return SD_OK;
}

static struct sd_lsm_source source(void)
{
	return (struct sd_lsm_source){from_memory, &out.file, out.file.n, "t", NULL};
}

static void make_table(size_t block_bytes)
{
	sd_lsm_table_begin(&out, &(struct sd_lsm_table_conf){.block_bytes = block_bytes});
	for (size_t i = 0; i < count; i++)
		sd_lsm_table_add(&out, key_of(&entries[i]), (struct sd_slice){entries[i].value, entries[i].value_n});
	ck_assert_int_eq(sd_lsm_table_end(&out, NULL), SD_OK);
}

static bool same(const struct sd_lsm_scan *s, size_t i)
{
	struct sd_slice k = s->data.key, v = s->data.value;
	return sd_lsm_scan_valid(s) && k.n == entries[i].key_n && memcmp(k.p, entries[i].key, k.n) == 0 && v.n == entries[i].value_n &&
	       (v.n == 0 || memcmp(v.p, entries[i].value, v.n) == 0);
}

static size_t first_not_before(struct sd_slice key)
{
	size_t i = 0;
	while (i < count && sd_lsm_internal(key_of(&entries[i]), key) < 0)
		i++;
	return i;
}

/* Anywhere in the array, or behind its end. */
static void is_at(const struct sd_lsm_scan *s, size_t i)
{
	ck_assert_msg(i < count ? same(s, i) : !sd_lsm_scan_valid(s), "not at entry %zu of %zu", i, count);
}

START_TEST(moves_as_in_an_array)
{
	static const size_t sizes[] = {1, 64, 300, 4096};
	struct sd_lsm_table t;
	struct sd_error e;
	make_entries((uint64_t)_i, (size_t)_i * 37 + 1);
	make_table(sizes[_i % 4]);
	struct sd_lsm_source from = source();
	ck_assert_int_eq(sd_lsm_table_open(&t, &from, &e), SD_OK);
	struct sd_lsm_scan s = {.table = &t};
	size_t at = 0;
	ck_assert_int_eq(sd_lsm_scan_first(&s, &e), SD_OK);
	is_at(&s, 0);
	for (int step = 0; step < 1500; step++) {
		uint32_t what = sd_rng_below(&rng, 20);
		if (what < 9 && at < count) {
			ck_assert_int_eq(sd_lsm_scan_next(&s, &e), SD_OK);
			at++;
		} else if (what < 17 && at < count && at > 0) {
			ck_assert_int_eq(sd_lsm_scan_prev(&s, &e), SD_OK);
			at--;
		} else if (what == 17) {
			ck_assert_int_eq(sd_lsm_scan_last(&s, &e), SD_OK);
			at = count - 1;
		} else {
			struct entry sought = entries[sd_rng_below(&rng, (uint32_t)count)];
			if (what == 18) /* another key, which may be there or not */
				sought.key[0] ^= (char)sd_rng_below(&rng, 4);
			ck_assert_int_eq(sd_lsm_scan_seek(&s, key_of(&sought), &e), SD_OK);
			at = first_not_before(key_of(&sought));
		}
		is_at(&s, at);
	}
	sd_lsm_scan_free(&s);
	sd_lsm_table_close(&t);
}
END_TEST

START_TEST(before_the_first_is_nothing)
{
	struct sd_lsm_table t;
	struct sd_error e;
	make_entries(3, 300);
	make_table(100);
	struct sd_lsm_source from = source();
	ck_assert_int_eq(sd_lsm_table_open(&t, &from, &e), SD_OK);
	struct sd_lsm_scan s = {.table = &t};
	ck_assert_int_eq(sd_lsm_scan_first(&s, &e), SD_OK);
	ck_assert_int_eq(sd_lsm_scan_prev(&s, &e), SD_OK);
	ck_assert(!sd_lsm_scan_valid(&s));
	sd_lsm_scan_free(&s);
	sd_lsm_table_close(&t);
}
END_TEST

START_TEST(an_empty_table)
{
	struct sd_lsm_table t;
	struct sd_error e;
	count = 0;
	make_table(0);
	struct sd_lsm_source from = source();
	ck_assert_int_eq(sd_lsm_table_open(&t, &from, &e), SD_OK);
	struct sd_lsm_scan s = {.table = &t};
	ck_assert(sd_lsm_scan_first(&s, &e) == SD_OK && !sd_lsm_scan_valid(&s));
	ck_assert(sd_lsm_scan_last(&s, &e) == SD_OK && !sd_lsm_scan_valid(&s));
	sd_lsm_scan_free(&s);
	sd_lsm_table_close(&t);
}
END_TEST

/* Every key that is there is found; of others one in a hundred is looked for, as ten bits a key promise. */
START_TEST(filters_spare_most_looks)
{
	struct sd_lsm_table t;
	struct sd_error e;
	char user[32];
	unsigned looked = 0;
	bool filtered;
	for (count = 0; count < MOST; count++) {
		int n = snprintf(user, sizeof(user), "key%06zu", count * 2);
		set_key(&entries[count], user, (size_t)n, 7, SD_LSM_VALUE);
		entries[count].value_n = 10;
	}
	make_table(0);
	struct sd_lsm_source from = source();
	ck_assert_int_eq(sd_lsm_table_open(&t, &from, &e), SD_OK);
	struct sd_lsm_scan s = {.table = &t};
	for (size_t i = 0; i < 2 * MOST; i++) {
		struct entry sought;
		int n = snprintf(user, sizeof(user), "key%06zu", i);
		set_key(&sought, user, (size_t)n, SD_LSM_SEQ_MAX, SD_LSM_VALUE);
		enum sd_err err = sd_lsm_table_get(&s, key_of(&sought), &filtered, &e);
		if (i % 2 == 0)
			ck_assert(err == SD_OK && same(&s, i / 2));
		else
			looked += !filtered;
	}
	ck_assert_uint_gt(looked, 0);
	ck_assert_uint_lt(looked, MOST / 50);
	sd_lsm_scan_free(&s);
	sd_lsm_table_close(&t);
}
END_TEST

/* All entries as they were, or an error. */
static bool told_or_whole(void)
{
	struct sd_lsm_table t;
	struct sd_error e;
	struct sd_lsm_source from = source();
	if (sd_lsm_table_open(&t, &from, &e))
		return true;
	struct sd_lsm_scan s = {.table = &t};
	size_t i = 0;
	bool good = true;
	enum sd_err err = sd_lsm_scan_first(&s, &e);
	for (; !err && sd_lsm_scan_valid(&s) && good; i++) {
		good = i < count && same(&s, i);
		err = sd_lsm_scan_next(&s, &e);
	}
	good = err || (good && i == count);
	sd_lsm_scan_free(&s);
	sd_lsm_table_close(&t);
	return good;
}

START_TEST(every_flipped_bit_is_told)
{
	make_entries(2, 80);
	make_table(200);
	for (size_t at = 0; at < out.file.n; at++) {
		char bit = (char)(1 << sd_rng_below(&rng, 8));
		out.file.p[at] ^= bit;
		ck_assert_msg(told_or_whole(), "byte %zu of %zu", at, out.file.n);
		out.file.p[at] ^= bit;
	}
	ck_assert(told_or_whole());
}
END_TEST

START_TEST(every_cut_is_told)
{
	make_entries(2, 80);
	make_table(200);
	size_t whole = out.file.n;
	for (out.file.n = 0; out.file.n < whole; out.file.n++) {
		struct sd_lsm_table t;
		struct sd_error e;
		struct sd_lsm_source from = source();
		ck_assert_int_eq(sd_lsm_table_open(&t, &from, &e), SD_EDAMAGED);
	}
}
END_TEST

/* ---- logs ---- */

static struct sd_text log_bytes;
static size_t lengths[200], begins[200];

static char byte_of(size_t record, size_t i)
{
	return (char)(record * 31 + i * 7 + 1);
}

static void make_log(size_t n)
{
	log_bytes.n = 0;
	for (size_t k = 0; k < n; k++) {
		struct sd_text record = {0};
		/* some end just before the end of a block, so that no, an empty or a short piece fits behind them */
		size_t left = SD_LSM_LOG_BLOCK - log_bytes.n % SD_LSM_LOG_BLOCK;
		lengths[k] = k % 3 == 0 && left > 14 ? left - 7 - k % 15 : sd_rng_below(&rng, k % 5 ? 3000 : 100000);
		for (size_t i = 0; i < lengths[k]; i++)
			sd_text_fill(&record, byte_of(k, i), 1);
		begins[k] = log_bytes.n;
		sd_lsm_log_put(&log_bytes, log_bytes.n, (struct sd_slice){record.p, record.n});
		free(record.p);
	}
}

static bool is_record(struct sd_slice r, size_t k)
{
	for (size_t i = 0; i < r.n; i++)
		if (r.p[i] != byte_of(k, i))
			return false;
	return r.n == lengths[k];
}

/* Records that come back before the end; *step says what the end is. */
static size_t read_log(size_t n, enum sd_lsm_log_step *step)
{
	struct sd_lsm_log_in in = {.p = (const uint8_t *)log_bytes.p, .n = n, .edits = true}; /* no batches */
	struct sd_slice r;
	size_t k = 0;
	while ((*step = sd_lsm_log_next(&in, &r)) == SD_LSM_LOG_RECORD) {
		ck_assert_msg(is_record(r, k), "record %zu", k);
		k++;
	}
	sd_lsm_log_in_free(&in);
	return k;
}

START_TEST(records_come_back)
{
	enum sd_lsm_log_step step;
	sd_rng_seed(&rng, 4);
	make_log(150);
	ck_assert_uint_eq(read_log(log_bytes.n, &step), 150);
	ck_assert_int_eq(step, SD_LSM_LOG_END);
	sd_text_fill(&log_bytes, 0, 5000); /* room that was set aside */
	ck_assert_uint_eq(read_log(log_bytes.n, &step), 150);
	ck_assert_int_eq(step, SD_LSM_LOG_END);
}
END_TEST

/* A log that was cut has all records before the cut, and none that is not whole; it is torn, not damaged. */
START_TEST(a_cut_is_a_torn_tail)
{
	enum sd_lsm_log_step step;
	sd_rng_seed(&rng, 5);
	make_log(60);
	for (size_t n = 0; n < log_bytes.n; n += 1 + sd_rng_below(&rng, 700)) {
		size_t whole = 0;
		while (whole + 1 < 60 && begins[whole + 1] <= n)
			whole++;
		size_t k = read_log(n, &step);
		ck_assert_uint_eq(k, whole);
		ck_assert_int_ne(step, SD_LSM_LOG_DAMAGED);
	}
}
END_TEST

START_TEST(damage_in_the_middle_is_none)
{
	enum sd_lsm_log_step step;
	sd_rng_seed(&rng, 6);
	make_log(60);
	for (int i = 0; i < 400; i++) {
		size_t at = sd_rng_below(&rng, (uint32_t)begins[59]), of = 0; /* the length of a piece, too */
		log_bytes.p[at] ^= 0x10;
		while (begins[of + 1] <= at)
			of++;
		size_t k = read_log(log_bytes.n, &step);
		/* the last bytes of a block mean nothing */
		ck_assert_msg(step == SD_LSM_LOG_DAMAGED ? k == of : step == SD_LSM_LOG_END && k == 60, "byte %zu: %zu records, step %d", at, k,
			      step);
		log_bytes.p[at] ^= 0x10;
	}
}
END_TEST

/* ---- marks ---- */

#define LOG_HEAD 7
#define LOG_MARK 12

static void put_batch(uint64_t seq, size_t n)
{
	static char batch[SD_LSM_LOG_BLOCK] = {[8] = 1, [LOG_MARK] = 'x'};
	sd_put_le(batch, seq, 8);
	sd_lsm_log_put(&log_bytes, log_bytes.n, (struct sd_slice){batch, n});
}

/* A log with a mark, and a record that ends `left` bytes before the block does. */
static void make_marked_log(size_t left)
{
	log_bytes.n = 0;
	sd_lsm_log_put_mark(&log_bytes, 0, 1);
	put_batch(1, SD_LSM_LOG_BLOCK - left - log_bytes.n - LOG_HEAD);
	ck_assert_uint_eq(log_bytes.n, SD_LSM_LOG_BLOCK - left);
}

static enum sd_lsm_log_step read_marked_log(size_t *records)
{
	struct sd_lsm_log_in in = {.p = (const uint8_t *)log_bytes.p, .n = log_bytes.n};
	struct sd_slice r;
	enum sd_lsm_log_step step;
	for (*records = 0; (step = sd_lsm_log_next(&in, &r)) == SD_LSM_LOG_RECORD;)
		++*records;
	sd_lsm_log_in_free(&in);
	return step;
}

static enum sd_lsm_log_step with_a_flip(size_t at)
{
	size_t records;
	log_bytes.p[at] ^= 0x10;
	enum sd_lsm_log_step step = read_marked_log(&records);
	log_bytes.p[at] ^= 0x10;
	return step;
}

/* What stands before the end of a block may be lost when the power goes and what stands behind it not, also within the two copies of a
 * mark: nobody was promised what comes after. What comes before was there. */
START_TEST(half_a_mark_is_lost)
{
	size_t records, left = LOG_HEAD + (size_t)_i;
	make_marked_log(left);
	sd_lsm_log_put_mark(&log_bytes, log_bytes.n, 2);
	put_batch(2, 100);
	ck_assert_int_eq(read_marked_log(&records), SD_LSM_LOG_END);
	ck_assert_uint_eq(records, 5);
	ck_assert_int_eq(with_a_flip(SD_LSM_LOG_BLOCK - left - 1), SD_LSM_LOG_DAMAGED);
	ck_assert_int_eq(with_a_flip(3 * LOG_HEAD), SD_LSM_LOG_DAMAGED);
	memset(log_bytes.p + SD_LSM_LOG_BLOCK - left, 0, left);
	ck_assert_int_eq(read_marked_log(&records), SD_LSM_LOG_TORN);
	ck_assert_uint_eq(records, 2);
}
END_TEST

/* A mark at the same place, but behind a record that goes over the end of the block: that was there. */
START_TEST(a_mark_behind_a_record_in_two_blocks)
{
	size_t left = LOG_HEAD + (size_t)_i;
	for (size_t rest = 1; rest <= LOG_MARK; rest++) {
		size_t n = left - LOG_HEAD + rest;
		if (n <= LOG_MARK)
			continue;
		make_marked_log(left);
		put_batch(2, n);
		sd_lsm_log_put_mark(&log_bytes, log_bytes.n, 3);
		for (size_t at = SD_LSM_LOG_BLOCK - left; at < SD_LSM_LOG_BLOCK + LOG_HEAD + rest; at++)
			ck_assert_msg(with_a_flip(at) == SD_LSM_LOG_DAMAGED, "left %zu, rest %zu, at %zu", left, rest, at);
	}
}
END_TEST

/* ---- batches, manifests ---- */

START_TEST(batches)
{
	struct sd_text t = {0};
	struct sd_lsm_batch_at b;
	sd_lsm_batch_begin(&t, 100);
	sd_lsm_batch_put(&t, SD_LSM_VALUE, text("k1"), text("v1"));
	sd_lsm_batch_put(&t, SD_LSM_GONE, text(""), text(""));
	sd_lsm_batch_put(&t, SD_LSM_VALUE, text("k2"), text(""));
	struct sd_slice bytes = {t.p, t.n};
	ck_assert(sd_lsm_batch_open(&b, bytes));
	ck_assert(sd_lsm_batch_next(&b) && b.seq == 100 && sd_slice_eq(b.key, "k1") && sd_slice_eq(b.value, "v1"));
	ck_assert(sd_lsm_batch_next(&b) && b.seq == 101 && b.kind == SD_LSM_GONE && b.key.n == 0);
	ck_assert(sd_lsm_batch_next(&b) && b.seq == 102 && sd_slice_eq(b.key, "k2") && b.value.n == 0);
	ck_assert(!sd_lsm_batch_next(&b) && !b.damaged);
	for (size_t n = 0; n < t.n; n++) { /* cut off anywhere */
		bool open = sd_lsm_batch_open(&b, (struct sd_slice){t.p, n});
		while (open && sd_lsm_batch_next(&b)) {
		}
		ck_assert(!open || b.damaged);
	}
	t.p[8]++; /* one more than there is */
	ck_assert(sd_lsm_batch_open(&b, bytes));
	while (sd_lsm_batch_next(&b)) {
	}
	ck_assert(b.damaged);
	free(t.p);
}
END_TEST

static struct sd_lsm_file file_of(uint64_t number, struct entry *from, const char *a, struct entry *to, const char *b)
{
	set_key(from, a, strlen(a), 9, SD_LSM_VALUE);
	set_key(to, b, strlen(b), 3, SD_LSM_VALUE);
	return (struct sd_lsm_file){number, 1000, key_of(from), key_of(to)};
}

static void add_file(struct sd_lsm_version *v, unsigned level, uint64_t number, const char *a, const char *b)
{
	struct entry from, to;
	struct sd_lsm_file f = file_of(number, &from, a, &to, b);
	ck_assert(sd_lsm_version_add(v, level, &f));
}

START_TEST(edits_come_back)
{
	struct sd_lsm_version v = {.log = 3, .next_file = 12, .last_seq = 99}, back = {0};
	struct sd_text edit = {0};
	struct sd_error e;
	add_file(&v, 0, 9, "a", "z");
	add_file(&v, 0, 4, "a", "m");
	add_file(&v, 2, 6, "n", "p");
	add_file(&v, 2, 5, "b", "c");
	sd_lsm_version_put(&v, &edit);
	struct sd_slice bytes = {edit.p, edit.n};
	ck_assert_int_eq(sd_lsm_version_apply(&back, bytes, &e), SD_OK);
	ck_assert_int_eq(sd_lsm_version_end(&back, &e), SD_OK);
	ck_assert(back.log == 3 && back.next_file == 12 && back.last_seq == 99);
	ck_assert(back.levels[0].n == 2 && back.levels[0].files[0].number == 4 && back.levels[0].files[1].number == 9);
	ck_assert(back.levels[2].n == 2 && back.levels[2].files[0].number == 5);
	ck_assert_uint_eq(sd_lsm_version_find(&back, 2, text("b"))->number, 5);
	ck_assert_uint_eq(sd_lsm_version_find(&back, 2, text("o"))->number, 6);
	ck_assert_ptr_null(sd_lsm_version_find(&back, 2, text("d")));
	ck_assert_ptr_null(sd_lsm_version_find(&back, 2, text("q")));
	ck_assert_ptr_null(sd_lsm_version_find(&back, 3, text("o")));
	/* table 5 goes, table 7 comes */
	ck_assert_int_eq(sd_lsm_version_apply(&back, (struct sd_slice){"\x06\x02\x05", 3}, &e), SD_OK);
	ck_assert(back.levels[2].n == 1 && back.levels[2].files[0].number == 6);
	ck_assert_int_eq(sd_lsm_version_apply(&back, (struct sd_slice){"\x06\x02\x05", 3}, &e), SD_EDAMAGED);
	for (size_t n = 1; n < edit.n; n++) { /* cut off: an error, or what is whole */
		struct sd_lsm_version part = {0};
		sd_lsm_version_apply(&part, (struct sd_slice){edit.p, n}, &e);
		sd_lsm_version_free(&part);
	}
	sd_lsm_version_free(&v);
	sd_lsm_version_free(&back);
	free(edit.p);
}
END_TEST

static void count_gone(void *arg, uint64_t number, bool blob)
{
	ck_assert(!blob);
	*(uint64_t *)arg = *(uint64_t *)arg * 10 + number;
}

/* 1 and 2 move down, 3 goes, in any order within the edit: with the version before only 3 is gone. */
START_TEST(what_moves_is_not_gone)
{
	static const char *const orders[] = {"-1-2-3+1+2", "-1+1-2+2-3", "+1+2-1-2-3", "-3+2-1-2+1", "+1-1-3+2-2", "-2-1-3+1+2"};
	static const char *const from[] = {"", "a", "d", "g"}, *const to[] = {"", "c", "f", "i"};
	struct sd_error e;
	for (size_t k = 0; k < sizeof(orders) / sizeof(*orders); k++) {
		struct sd_lsm_version before = {.has_log = true, .has_next_file = true, .has_last_seq = true}, after = {0};
		struct sd_text edit = {0};
		uint64_t gone = 0;
		for (unsigned n = 1; n <= 3; n++)
			add_file(&before, 1, n, from[n], to[n]);
		ck_assert(sd_lsm_version_copy(&after, &before));
		for (const char *p = orders[k]; *p; p += 2) {
			unsigned n = (unsigned)(p[1] - '0');
			struct entry a, b;
			struct sd_lsm_file f = file_of(n, &a, from[n], &b, to[n]);
			if (*p == '+')
				sd_lsm_edit_add(&edit, 2, &f, false);
			else
				sd_lsm_edit_remove(&edit, 1, n);
		}
		ck_assert_int_eq(sd_lsm_version_apply(&after, (struct sd_slice){edit.p, edit.n}, &e), SD_OK);
		ck_assert_int_eq(sd_lsm_version_end(&after, &e), SD_OK);
		ck_assert(after.levels[1].n == 0 && after.levels[2].n == 2);
		sd_lsm_version_let_go(&before, count_gone, &gone);
		ck_assert_msg(gone == 3, "%s: gone %" PRIu64, orders[k], gone);
		ck_assert(sd_slice_eq(sd_lsm_user(after.levels[2].files[1].smallest), "d"));
		gone = 0;
		sd_lsm_version_let_go(&after, count_gone, &gone);
		ck_assert_msg(gone == 12 || gone == 21, "%s: gone %" PRIu64, orders[k], gone);
		free(edit.p);
	}
}
END_TEST

START_TEST(bad_manifests)
{
	struct sd_error e;
	struct sd_lsm_version v = {.has_log = true, .has_next_file = true, .has_last_seq = true};
	ck_assert_int_eq(sd_lsm_version_apply(&v, (struct sd_slice){"\x01\x05o\nher", 7}, &e), SD_EUNSUPPORTED);
	ck_assert_msg(strstr(e.text, "their own (o?her)"), "%s", e.text); /* a line */
	ck_assert_int_eq(sd_lsm_version_apply(&v, (struct sd_slice){"\x08", 1}, &e), SD_EDAMAGED);
	ck_assert_int_eq(sd_lsm_version_apply(&v, (struct sd_slice){"\x06\x07\x05", 3}, &e), SD_EDAMAGED); /* level 7 */
	add_file(&v, 1, 5, "b", "m");
	add_file(&v, 1, 6, "k", "z");
	ck_assert_int_eq(sd_lsm_version_end(&v, &e), SD_EDAMAGED);
	ck_assert_str_eq(e.text, "tables 5 and 6 of level 1 overlap");
	sd_lsm_version_free(&v);
	v = (struct sd_lsm_version){.has_log = true, .has_next_file = true};
	ck_assert_int_eq(sd_lsm_version_end(&v, &e), SD_EDAMAGED);
}
END_TEST

static void teardown(void)
{
	sd_lsm_table_free(&out);
	free(log_bytes.p);
	log_bytes = (struct sd_text){0};
}

int main(void)
{
	Suite *s = suite_create("lsm");
	TCase *t = tcase_create("lsm");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, varints);
	tcase_add_test(t, expands_what_snappy_wrote);
	tcase_add_loop_test(t, moves_as_in_an_array, 0, 24);
	tcase_add_test(t, before_the_first_is_nothing);
	tcase_add_test(t, an_empty_table);
	tcase_add_test(t, filters_spare_most_looks);
	tcase_add_test(t, every_flipped_bit_is_told);
	tcase_add_test(t, every_cut_is_told);
	tcase_add_test(t, records_come_back);
	tcase_add_test(t, a_cut_is_a_torn_tail);
	tcase_add_test(t, damage_in_the_middle_is_none);
	tcase_add_loop_test(t, half_a_mark_is_lost, 0, LOG_MARK);
	tcase_add_loop_test(t, a_mark_behind_a_record_in_two_blocks, 0, LOG_MARK);
	tcase_add_test(t, batches);
	tcase_add_test(t, edits_come_back);
	tcase_add_test(t, what_moves_is_not_gone);
	tcase_add_test(t, bad_manifests);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
