/* The format of the log in memory: what is written reads back; every truncation and every flipped bit of a segment of several
 * blocks is seen, and is damage unless it is in the last batch. */
#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "disk/wal_scan.h"
#include "guard.h"

#define SALT 0x0123456789abcdefull
/* One bit of 31, so each bit of a byte in turn; SD_EVERY_BIT=1 tries all of them, in a minute or two. */
static uint64_t stride(void)
{
	if (getenv("SD_EVERY_BIT"))
		return 1;
#ifdef SD_SANITIZED
	return 301;
#else
	return 31;
#endif
}

/* A segment in memory: batches of records, each of which says that those before are on the disk. */
struct segment {
	uint8_t *p;
	uint64_t n, size;
	uint64_t batches[64], seqs[64]; /* where each begins */
	unsigned nbatches;
	uint64_t seq;
	struct wal_key key;
};

static void make(struct segment *s, uint64_t size)
{
	struct wal_header h = {.number = 1, .first_seq = 1, .salt = SALT, .name = "log"};
	*s = (struct segment){.p = calloc(1, size), .n = WAL_HEAD, .size = size, .seq = 1, .key = wal_key_of(SALT)};
	wal_header_put(s->p, &h);
}

static uint8_t byte_of(uint64_t seq, size_t i)
{
	return (uint8_t)(seq * 7 + i * (seq | 1));
}

static void record(struct segment *s, size_t n)
{
	uint8_t *bytes = malloc(n + 1);
	for (size_t i = 0; i < n; i++)
		bytes[i] = byte_of(s->seq, i);
	struct iovec iov[3] = {{bytes, n / 3}, {bytes + n / 3, 0}, {bytes + n / 3, n - n / 3}};
	struct wal_put put = {.seq = s->seq, .type = (uint8_t)s->seq, .iov = iov, .niov = 3, .n = n,
			      .synced = (uint32_t)s->batches[s->nbatches - 1]};
	uint64_t end = wal_record_end(s->n, n);
	ck_assert_uint_le(end, s->size);
	ck_assert_uint_eq(wal_record_put(s->p + s->n, (uint32_t)s->n, &s->key, &put), end - s->n);
	s->n = end;
	s->seq++;
	free(bytes);
}

static void batch(struct segment *s)
{
	s->seqs[s->nbatches] = s->seq;
	s->batches[s->nbatches++] = s->n;
}

static void mark(struct segment *s)
{
	s->n += wal_mark_put(s->p + s->n, (uint32_t)s->n, &s->key, s->seq);
}

static enum sd_err from_memory(void *arg, void *buf, size_t n, uint64_t off, size_t *got, struct sd_error *e)
{
	const struct segment *s = arg;
	(void)e;
	*got = off >= s->size ? 0 : s->size - off < n ? (size_t)(s->size - off) : n;
	memcpy(buf, s->p + off, *got);
	return SD_OK;
}

/* Reads it all, and judges where it ends. The records must be what was written. */
static struct wal_verdict read_all(struct segment *s, struct wal_cursor *c, bool newest)
{
	struct wal_item item;
	struct wal_verdict v;
	enum wal_step step;
	uint64_t seq = 1;
	c->from = (struct wal_source){from_memory, s};
	wal_cursor_at(c, s->key, s->size, 1);
	bool same = true; /* an assertion each would cost more than all the rest */
	while ((step = wal_next(c, &item, NULL)) == WAL_RECORD) {
		same &= item.seq == seq && item.type == (uint8_t)seq;
		for (size_t i = 0; i < item.n; i++)
			same &= item.data[i] == byte_of(seq, i);
		seq++;
	}
	ck_assert_msg(same, "a record is not what was written");
	ck_assert_int_ne(step, WAL_FAILED);
	ck_assert_int_eq(wal_judge(c, step, newest, &v, NULL), SD_OK);
	return v;
}

/* ---- what is written reads back ---- */

/* Around every edge of a block: each length, at each place. */
START_TEST(lengths)
{
	struct wal_cursor c;
	wal_cursor_init(&c, NULL);
	for (size_t n = WAL_BLOCK - WAL_HEAD - 2 * WAL_FRAG - 70; n < WAL_BLOCK - WAL_HEAD - WAL_FRAG + 10; n++) {
		struct segment s;
		make(&s, 5 * WAL_BLOCK);
		batch(&s);
		record(&s, n);
		record(&s, 0);
		record(&s, n + WAL_BLOCK);
		record(&s, 1);
		struct wal_verdict v = read_all(&s, &c, true);
		ck_assert_int_eq(v.state, WAL_CLEAN);
		ck_assert_uint_eq(c.seq, 5);
		ck_assert_uint_eq(c.off, s.n);
		free(s.p);
	}
	wal_cursor_free(&c);
}
END_TEST

START_TEST(headers)
{
	struct wal_header h = {.number = 77, .first_seq = 1ull << 40, .salt = SALT, .created_ns = 5, .flags = WAL_GAP,
			       .name = "a.name_of-the-longest-sort-12345678901234"}, back;
	uint8_t p[WAL_HEAD];
	bool copy;
	struct sd_error e;
	h.name[WAL_NAME] = '\0';
	wal_header_put(p, &h);
	ck_assert_int_eq(wal_header_get(p, sizeof(p), &back, &copy, &e), SD_OK);
	ck_assert_uint_eq(back.number, 77);
	ck_assert_uint_eq(back.first_seq, 1ull << 40);
	ck_assert_uint_eq(back.salt, SALT);
	ck_assert_uint_eq(back.flags, WAL_GAP);
	ck_assert_str_eq(back.name, h.name);
	for (size_t n = 0; n < sizeof(p); n++)
		ck_assert_int_eq(wal_header_get(p, n, &back, &copy, &e), SD_EINVAL);
	for (size_t bit = 0; bit < sizeof(p) * 8; bit++) {
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		ck_assert_int_eq(wal_header_get(p, sizeof(p), &back, &copy, &e), SD_EINVAL);
		ck_assert(copy);
		p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}
END_TEST

/* A later version is told apart from damage. */
START_TEST(later_version)
{
	struct wal_header h = {.number = 1, .first_seq = 1, .flags = 6, .name = "log"}, back;
	uint8_t p[WAL_HEAD];
	bool copy;
	struct sd_error e;
	wal_header_put(p, &h);
	ck_assert_int_eq(wal_header_get(p, sizeof(p), &back, &copy, &e), SD_EUNSUPPORTED);
	ck_assert_str_eq(e.text, "has flags 0x6, which this program does not know");
}
END_TEST

START_TEST(names)
{
	char file[WAL_FILE], name[WAL_NAME + 1];
	uint64_t number;
	wal_file_name(file, "log", 7);
	ck_assert_str_eq(file, "log-00000007.log");
	ck_assert(wal_file_parse("a-b.c-123456789.log", name, &number));
	ck_assert_str_eq(name, "a-b.c");
	ck_assert_uint_eq(number, 123456789);
	static const char *const others[] = {"log-00000000.log", "log-0000001.log", "log-000000001.log", "-00000001.log",
					     "log00000001.log", "log-00000001.logx", "log-00000001", ".x-00000001.log",
					     "log-99999999999999999999.log", "LOCK", "", "-", "lo g-00000001.log"};
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		ck_assert_msg(!wal_file_parse(others[i], name, &number), "%s", others[i]);
	ck_assert(!wal_name_ok("") && !wal_name_ok("-a") && !wal_name_ok("a/b") &&
		  !wal_name_ok("12345678901234567890123456789012345678901"));
}
END_TEST

/* The parser stays within what it was given. */
START_TEST(at_a_guard_page)
{
	struct guard g = guard_new(4096);
	struct segment s;
	struct wal_frag f;
	make(&s, 2 * WAL_BLOCK);
	batch(&s);
	record(&s, 300);
	for (size_t n = 0; n <= 324; n++) {
		enum wal_look look = wal_frag_get((const uint8_t *)guard_put(&g, s.p + WAL_HEAD, n), n, WAL_HEAD, &s.key, &f, NULL);
		ck_assert_int_eq(look, n == 324 ? WAL_GOOD : n == 0 ? WAL_ZERO : WAL_WRONG);
	}
	free(s.p);
	guard_free(&g);
}
END_TEST

/* ---- damage ---- */

/* Three blocks and more: batches of records of all sizes; with a mark at the end or without. */
static void mixed(struct segment *s, bool marked)
{
	make(s, 5 * WAL_BLOCK);
	for (unsigned b = 0; b < 6; b++) {
		batch(s);
		if (b == 1) /* leaves ten bytes of the block, in which nothing has room */
			record(s, WAL_BLOCK - s->n % WAL_BLOCK - WAL_FRAG - 10);
		for (unsigned i = 0; i < 4; i++)
			record(s, 10 + 60 * i);
		record(s, b == 2 ? 70000 : b == 4 ? 20000 : 0);
	}
	s->batches[s->nbatches] = s->n;
	if (marked)
		mark(s);
}

/* In a batch behind which another one, or the mark, proves it, a bit is damage; else it is a torn tail that takes nothing of the
 * batches before. */
static void flip(struct segment *s, struct wal_cursor *c, uint64_t bit, bool marked)
{
	unsigned last = s->nbatches - 1;
	uint64_t safe = marked ? s->batches[s->nbatches] : s->batches[last];
	s->p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	struct wal_verdict v = read_all(s, c, true);
	bool zero = s->p[bit / 8] == 0;
	s->p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	ck_assert_msg(v.state == (bit / 8 < safe ? WAL_DAMAGED : WAL_TORN), "bit %llu: state %d: %s", (unsigned long long)bit,
		      v.state, v.text);
	ck_assert_uint_ge(c->seq, v.state == WAL_TORN ? (marked ? s->seq : s->seqs[last]) : 1);
	if (v.state == WAL_TORN) {
		ck_assert_uint_le(v.cut, bit / 8);
		ck_assert_uint_gt(v.cut + v.bytes, zero ? 0 : bit / 8);
	}
}

START_TEST(every_bit)
{
	struct segment s;
	struct wal_cursor c;
	wal_cursor_init(&c, NULL);
	mixed(&s, _i == 1);
	/* All of the records, and some of the zeros behind. */
	uint64_t n = 0;
	for (uint64_t bit = WAL_HEAD * 8; bit < (s.n + 100) * 8; bit += stride(), n++)
		flip(&s, &c, bit, _i == 1);
	flip(&s, &c, s.size * 8 - 1, _i == 1);
	printf("%llu bits\n", (unsigned long long)n + 1);
	wal_cursor_free(&c);
	free(s.p);
}
END_TEST

/* Without what follows nothing is proven; a segment that is not the newest must be whole. */
START_TEST(every_truncation)
{
	struct segment s;
	struct wal_cursor c;
	wal_cursor_init(&c, NULL);
	mixed(&s, false);
	for (uint64_t n = WAL_HEAD; n <= s.n; n += stride() * 5) {
		s.size = n;
		struct wal_verdict v = read_all(&s, &c, true);
		ck_assert_int_ne(v.state, WAL_DAMAGED);
		ck_assert_uint_eq(v.cut + v.bytes <= n, 1);
		if (v.state == WAL_TORN)
			ck_assert_int_eq(read_all(&s, &c, false).state, WAL_DAMAGED);
	}
	wal_cursor_free(&c);
	free(s.p);
}
END_TEST

/* One that is not the newest ends with its last record: even zeros behind it are damage. */
START_TEST(complete)
{
	struct segment s;
	struct wal_cursor c;
	wal_cursor_init(&c, NULL);
	mixed(&s, false);
	ck_assert_int_eq(read_all(&s, &c, true).state, WAL_CLEAN);
	ck_assert_int_eq(read_all(&s, &c, false).state, WAL_DAMAGED);
	s.size = s.n + 1;
	ck_assert_int_eq(read_all(&s, &c, false).state, WAL_DAMAGED);
	s.size = s.n;
	ck_assert_int_eq(read_all(&s, &c, false).state, WAL_CLEAN);
	wal_cursor_free(&c);
	free(s.p);
}
END_TEST

/* Sectors of the last batch are there or not, in any mixture: never damage, and nothing of the batches before is lost. */
START_TEST(torn_batches)
{
	struct segment s;
	struct wal_cursor c;
	struct sd_rng rng;
	sd_rng_seed(&rng, 1);
	wal_cursor_init(&c, NULL);
	mixed(&s, false);
	uint8_t *whole = malloc(s.size);
	memcpy(whole, s.p, s.size);
	for (unsigned round = 0; round < 500; round++) {
		unsigned last = sd_rng_below(&rng, s.nbatches);
		uint64_t from = s.batches[last], to = s.batches[last + 1];
		memcpy(s.p, whole, s.size);
		memset(s.p + to, 0, s.size - to);
		for (uint64_t at = from - from % 512; at < to; at += 512) {
			uint64_t low = at < from ? from : at, high = at + 512 < to ? at + 512 : to;
			if (sd_rng_below(&rng, 2))
				memset(s.p + low, 0, high - low);
		}
		struct wal_verdict v = read_all(&s, &c, true);
		ck_assert_int_ne(v.state, WAL_DAMAGED);
		ck_assert_uint_ge(c.seq, s.seqs[last]);
	}
	free(whole);
	free(s.p);
	wal_cursor_free(&c);
}
END_TEST

/* Bytes of another segment, and of this one from elsewhere, are no records. */
START_TEST(strangers)
{
	struct segment s, other;
	struct wal_cursor c;
	wal_cursor_init(&c, NULL);
	make(&s, 2 * WAL_BLOCK);
	make(&other, 2 * WAL_BLOCK);
	other.key = wal_key_of(SALT + 1);
	batch(&s);
	batch(&other);
	record(&s, 100);
	record(&other, 100);
	record(&other, 100);
	memcpy(s.p + s.n, other.p + s.n, 124); /* as if a block of it had been there before */
	struct wal_verdict v = read_all(&s, &c, true);
	ck_assert_int_eq(v.state, WAL_TORN);
	ck_assert_uint_eq(v.behind, 0);
	ck_assert_uint_eq(c.seq, 2);
	memcpy(s.p + s.n, s.p + WAL_HEAD, 124);
	v = read_all(&s, &c, true);
	ck_assert_int_eq(v.state, WAL_TORN);
	ck_assert_uint_eq(c.seq, 2);
	free(s.p);
	free(other.p);
	wal_cursor_free(&c);
}
END_TEST

/* A good fragment with the wrong number is damage, though nothing follows. */
START_TEST(wrong_number)
{
	struct segment s;
	struct wal_cursor c;
	wal_cursor_init(&c, NULL);
	make(&s, 2 * WAL_BLOCK);
	batch(&s);
	record(&s, 10);
	s.seq = 5;
	record(&s, 10);
	struct wal_verdict v = read_all(&s, &c, true);
	ck_assert_int_eq(v.state, WAL_DAMAGED);
	ck_assert_str_eq(v.text, "record at 1058 has number 5 (expected 2)");
	free(s.p);
	wal_cursor_free(&c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wal_format");
	TCase *t = tcase_create("format");
	tcase_set_timeout(t, getenv("SD_EVERY_BIT") ? 3600 : 60);
	tcase_add_test(t, lengths);
	tcase_add_test(t, headers);
	tcase_add_test(t, later_version);
	tcase_add_test(t, names);
	tcase_add_test(t, at_a_guard_page);
	tcase_add_loop_test(t, every_bit, 0, 2);
	tcase_add_test(t, every_truncation);
	tcase_add_test(t, complete);
	tcase_add_test(t, torn_batches);
	tcase_add_test(t, strangers);
	tcase_add_test(t, wrong_number);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
