/* RDB: bytes that redis-server 7.0.15 made, all types written and read whole, a byte at a time and cut off everywhere; what is
 * damaged or unknown is refused with a reason. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/bytes.h"
#include "core/crc64.h"
#include "core/lzf.h"
#include "core/rdb.h"
#include "guard.h"

/* ---- what a file says, as text ---- */

static void tell_slice(struct sd_text *out, struct sd_slice s)
{
	sd_text_format(out, " %.*s", (int)s.n, s.p ? s.p : "");
}

static void tell(struct sd_text *out, const struct sd_rdb_token *t)
{
	static const char *const names[] = {"aux", "db", "sizes", "key", "part", "done", "end"};
	sd_text_format(out, "%s", names[t->kind]);
	switch (t->kind) {
	case SD_RDB_AUX:
		tell_slice(out, t->a);
		tell_slice(out, t->b);
		break;
	case SD_RDB_DB:
		sd_text_format(out, " %llu", (unsigned long long)t->n);
		break;
	case SD_RDB_SIZES:
		sd_text_format(out, " %llu %llu", (unsigned long long)t->n, (unsigned long long)t->m);
		break;
	case SD_RDB_KEY:
		tell_slice(out, t->a);
		sd_text_format(out, " type=%d", t->type);
		if (t->expires_ms >= 0)
			sd_text_format(out, " at=%lld", (long long)t->expires_ms);
		if (t->idle_s >= 0)
			sd_text_format(out, " idle=%lld", (long long)t->idle_s);
		if (t->freq >= 0)
			sd_text_format(out, " freq=%lld", (long long)t->freq);
		break;
	case SD_RDB_PART:
		tell_slice(out, t->a);
		if (t->type == SD_RDB_HASH)
			tell_slice(out, t->b);
		if (t->type == SD_RDB_ZSET || t->type == SD_RDB_ZSET_TEXT)
			sd_text_format(out, " %g", t->score);
		if (t->type == SD_RDB_LIST_NODES)
			sd_text_format(out, " node=%llu", (unsigned long long)t->n);
		break;
	default:
		break;
	}
	sd_text_add(out, "\n", 1);
}

/* All of it, handed over in pieces of `piece` bytes, what is left over before each; the text is to be freed. Ends with "more",
 * or with the error and where it is. */
static char *read_all(const char *p, size_t n, size_t piece, bool alone)
{
	struct guard g = guard_new(n + 1);
	struct sd_rdb_reader r = {0};
	struct sd_text out = {0};
	size_t at = 0, have = piece < n ? piece : n, took;
	enum sd_rdb_step step;
	if (alone)
		sd_rdb_reader_value(&r);
	for (;;) {
		struct sd_rdb_token t;
		step = sd_rdb_read(&r, guard_put(&g, p + at, have - at), have - at, &took, &t);
		if (step == SD_RDB_TOKEN)
			tell(&out, &t);
		ck_assert_uint_le(took, have - at);
		at += took;
		if (step == SD_RDB_BAD || (step == SD_RDB_TOKEN && t.kind == SD_RDB_END) || (step == SD_RDB_MORE && have == n))
			break;
		if (step == SD_RDB_MORE) {
			ck_assert_uint_gt(r.need, have - at);
			have = have + piece < n ? have + piece : n;
		}
	}
	if (step == SD_RDB_BAD)
		sd_text_format(&out, "%s (at %llu)\n", r.error, (unsigned long long)r.offset);
	if (step == SD_RDB_MORE)
		sd_text_format(&out, "more\n");
	sd_rdb_reader_free(&r);
	guard_free(&g);
	return sd_text_take(&out, NULL);
}

static void expect(const char *p, size_t n, bool alone, const char *want)
{
	char *got = read_all(p, n, n + 1, alone);
	ck_assert_str_eq(got, want);
	free(got);
}

/* ---- one value, as DUMP gives it ---- */

struct known {
	const char *hex, *text;
};

/* From redis-server 7.0.15, with their seals. */
static const struct known known[] = {
    {"00c0050a00632f5f66832fb351", "key  type=0\npart 5\ndone\nend\n"},
    {"000568656c6c6f0a006372df766534200a", "key  type=0\npart hello\ndone\nend\n"},
    {"00c30b405a0361626361e04b020162630a00238036f9e2d0c780",
     "key  type=0\npart abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc\ndone\n"
     "end\n"},
    {"00c290eefeff0a002875de7b13eb2800", "key  type=0\npart -70000\ndone\nend\n"},
    {"0202017801790a00ac3a8d681184aa31", "key  type=2\npart x\npart y\ndone\nend\n"},
};

static size_t from_hex(const char *hex, char *out)
{
	size_t n = strlen(hex) / 2;
	for (size_t i = 0; i < n; i++) {
		char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
		out[i] = (char)strtoul(two, NULL, 16);
	}
	return n;
}

START_TEST(as_redis_dumps)
{
	char dump[256];
	struct sd_slice value;
	struct sd_slice all = {dump, from_hex(known[_i].hex, dump)};
	ck_assert(sd_rdb_check_seal(all, &value));
	expect(value.p, value.n, true, known[_i].text);
	for (size_t bit = 0; bit < all.n * 8; bit++) {
		dump[bit / 8] ^= (char)(1u << bit % 8);
		ck_assert(!sd_rdb_check_seal(all, &value));
		dump[bit / 8] ^= (char)(1u << bit % 8);
	}
	for (size_t n = 0; n < all.n; n++)
		ck_assert(!sd_rdb_check_seal((struct sd_slice){dump, n}, &value));
}
END_TEST

/* The same bytes, where nothing is packed. */
START_TEST(writes_as_redis)
{
	static const struct {
		size_t row;
		int64_t number;
		const char *text;
	} values[] = {{0, 5, NULL}, {0, 0, "5"}, {1, 0, "hello"}, {3, -70000, NULL}, {3, 0, "-70000"}};
	char dump[256];
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct sd_text t = {0};
		size_t n = from_hex(known[values[i].row].hex, dump);
		sd_rdb_put_type(&t, SD_RDB_STRING);
		if (values[i].text)
			sd_rdb_put_string(&t, sd_slice_of(values[i].text));
		else
			sd_rdb_put_int(&t, values[i].number);
		sd_rdb_put_seal(&t);
		ck_assert_uint_eq(t.n, n);
		ck_assert_mem_eq(t.p, dump, n);
		free(t.p);
	}
}
END_TEST

/* What a string is in a file, and that it comes back. */
START_TEST(strings)
{
	static const char *const texts[] = {"",	     "0",	   "-1",	 "127",	       "128",	     "-128",
					    "-129",  "32767",	   "32768",	 "-32769",     "2147483647", "2147483648",
					    "-0",    "+1",	   "01",	 "-2147483648", "99999999999", "-2147483649",
					    "12a"};
	static const size_t sizes[] = {1, 2, 2, 2, 3, 2, 3, 3, 5, 5, 5, 11, 3, 3, 3, 5, 12, 12, 4};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct sd_text t = {0}, want = {0};
		sd_rdb_put_type(&t, SD_RDB_STRING);
		sd_rdb_put_string(&t, sd_slice_of(texts[i]));
		ck_assert_uint_eq(t.n, 1 + sizes[i]);
		sd_text_format(&want, "key  type=0\npart %s\ndone\nend\n", texts[i]);
		expect(t.p, t.n, true, want.p);
		free(t.p);
		free(want.p);
	}
}
END_TEST

/* All four forms of a length. */
START_TEST(lengths)
{
	static const struct {
		uint64_t n;
		const char *bytes;
		size_t size;
	} rows[] = {{63, "\x3f", 1},
		    {64, "\x40\x40", 2},
		    {16383, "\x7f\xff", 2},
		    {16384, "\x80\x00\x00\x40\x00", 5},
		    {UINT32_MAX, "\x80\xff\xff\xff\xff", 5},
		    {1ull << 32, "\x81\x00\x00\x00\x01\x00\x00\x00\x00", 9}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sd_text t = {0}, want = {0};
		sd_rdb_put_head(&t);
		sd_text_add(&t, "\xfe", 1);
		sd_rdb_put_length(&t, rows[i].n);
		ck_assert_uint_eq(t.n, 10 + rows[i].size);
		ck_assert_mem_eq(t.p + 10, rows[i].bytes, rows[i].size);
		sd_text_format(&want, "db %llu\nmore\n", (unsigned long long)rows[i].n);
		expect(t.p, t.n, false, want.p);
		free(t.p);
		free(want.p);
	}
}
END_TEST

/* ---- a whole file ---- */

/* Ends the head of a ziplist whose entries are in p[10..n), the last of them of `last` bytes. */
static void ziplist_end(char *p, size_t n, unsigned entries, size_t last)
{
	p[n] = (char)255;
	sd_put_le(p, n + 1, 4);
	sd_put_le(p + 4, n - last, 4);
	sd_put_le(p + 8, entries, 2);
}

static void put_ziplist(struct sd_text *t, const char *entries, size_t n, unsigned count, size_t last)
{
	char p[256] = {0};
	if (n)
		memcpy(p + 10, entries, n);
	ziplist_end(p, 10 + n, count, last);
	sd_rdb_put_string(t, (struct sd_slice){p, 11 + n});
}

static void put_key(struct sd_text *t, enum sd_rdb_type type, const char *key)
{
	sd_rdb_put_type(t, type);
	sd_rdb_put_string(t, sd_slice_of(key));
}

static void put_strings(struct sd_text *t, size_t n, ...)
{
	va_list args;
	va_start(args, n);
	for (size_t i = 0; i < n; i++)
		sd_rdb_put_string(t, sd_slice_of(va_arg(args, const char *)));
	va_end(args);
}

static void finish(struct sd_text *t)
{
	char sum[8];
	sd_rdb_put_end(t);
	sd_put_le(sum, sd_crc64(0, t->p, t->n), 8);
	sd_text_add(t, sum, 8);
}

static void put_plain(struct sd_text *t)
{
	sd_rdb_put_expiry(t, 1700000000123);
	sd_rdb_put_idle(t, 100);
	put_key(t, SD_RDB_STRING, "s");
	sd_rdb_put_int(t, 1ll << 40);
	put_key(t, SD_RDB_LIST, "l");
	sd_rdb_put_length(t, 2);
	put_strings(t, 2, "one", "2");
	sd_rdb_put_freq(t, 7);
	put_key(t, SD_RDB_HASH, "h");
	sd_rdb_put_length(t, 1);
	put_strings(t, 2, "10", "20");
	put_key(t, SD_RDB_ZSET, "z");
	sd_rdb_put_length(t, 2);
	put_strings(t, 1, "a");
	sd_rdb_put_score(t, 1.5);
	put_strings(t, 1, "b");
	sd_rdb_put_score(t, -INFINITY);
	put_key(t, SD_RDB_ZSET_TEXT, "y");
	sd_rdb_put_length(t, 2);
	put_strings(t, 1, "a");
	sd_text_add(t, "\x04-2.5", 5);
	put_strings(t, 1, "b");
	sd_text_add(t, "\xfe", 1);
}

static void put_packed(struct sd_text *t)
{
	put_key(t, SD_RDB_LIST_NODES, "q");
	sd_rdb_put_length(t, 2);
	sd_rdb_put_length(t, SD_RDB_PACKED);
	put_strings(t, 1, "(listpack)");
	sd_rdb_put_length(t, SD_RDB_PLAIN);
	put_strings(t, 1, "plain");
	put_key(t, SD_RDB_SET_INTSET, "i");
	put_strings(t, 1, "(intset)");
	put_key(t, SD_RDB_LIST_ZIPLIST, "zl"); /* each kind of entry: prevlen, what it is */
	put_ziplist(t, "\0\x02hi" "\4\xf1" "\2\xfd" "\2\xfe\x80" "\3\xc0\xff\x7f" "\4\xf0\xff\xff\xff" "\5\xd0\0\0\0\x80"
		       "\6\xe0\0\0\0\0\0\0\0\x80" "\xfe\12\0\0\0\x40\x03" "abc" "\xa\x80\0\0\0\1x",
		    4 + 2 + 2 + 3 + 4 + 5 + 6 + 10 + 10 + 7, 10, 7);
	put_key(t, SD_RDB_HASH_ZIPLIST, "zh");
	put_ziplist(t, "\0\xf2\2\xf3", 4, 2, 2);
	put_key(t, SD_RDB_ZSET_ZIPLIST, "zz");
	put_ziplist(t, "\0\1a\3\3""1.5", 8, 2, 5);
	put_key(t, SD_RDB_LIST_ZIPLISTS, "zq");
	sd_rdb_put_length(t, 3);
	put_ziplist(t, "\0\xf2", 2, 1, 2);
	put_ziplist(t, "", 0, 0, 0);
	put_ziplist(t, "\0\xf3\2\xf4", 4, 2, 2);
	put_key(t, SD_RDB_SET, "empty");
	sd_rdb_put_length(t, 0);
}

static void put_all(struct sd_text *t)
{
	sd_rdb_put_head(t);
	sd_rdb_put_aux(t, "who", "me");
	sd_rdb_put_db(t, 3);
	sd_rdb_put_sizes(t, 100, 1);
	put_plain(t);
	put_packed(t);
	finish(t);
}

static const char all_said[] =
    "aux who me\ndb 3\nsizes 100 1\n"
    "key s type=0 at=1700000000123 idle=100\npart 1099511627776\ndone\n"
    "key l type=1\npart one\npart 2\ndone\n"
    "key h type=4 freq=7\npart 10 20\ndone\n"
    "key z type=5\npart a 1.5\npart b -inf\ndone\n"
    "key y type=3\npart a -2.5\npart b inf\ndone\n"
    "key q type=18\npart (listpack) node=2\npart plain node=1\ndone\n"
    "key i type=11\npart (intset)\ndone\n"
    "key zl type=1\npart hi\npart 0\npart 12\npart -128\npart 32767\npart -1\npart -2147483648\npart -9223372036854775808\n"
    "part abc\npart x\ndone\n"
    "key zh type=4\npart 1 2\ndone\n"
    "key zz type=3\npart a 1.5\ndone\n"
    "key zq type=1\npart 1\npart 2\npart 3\ndone\n"
    "key empty type=2\ndone\n"
    "end\n";

START_TEST(whole_file)
{
	struct sd_text t = {0};
	put_all(&t);
	for (size_t piece = 1; piece <= t.n; piece = piece < 9 ? piece + 1 : piece * 2) {
		char *got = read_all(t.p, t.n, piece, false);
		ck_assert_str_eq(got, all_said);
		free(got);
	}
	free(t.p);
}
END_TEST

START_TEST(cut_everywhere)
{
	struct sd_text t = {0};
	put_all(&t);
	for (size_t n = 0; n < t.n; n++) {
		char *got = read_all(t.p, n, n + 1, false);
		size_t len = strlen(got);
		ck_assert_str_eq(got + len - 5, "more\n");
		ck_assert_int_eq(strncmp(got, all_said, len - 5), 0);
		free(got);
	}
	free(t.p);
}
END_TEST

/* No change of a byte gets to the end; most are found before. */
START_TEST(damaged_everywhere)
{
	struct sd_text t = {0};
	put_all(&t);
	for (size_t bit = 0; bit < t.n * 8; bit++) {
		t.p[bit / 8] ^= (char)(1u << bit % 8);
		char *got = read_all(t.p, t.n, t.n, false);
		ck_assert_msg(!strstr(got, "\nend\n"), "bit %zu", bit);
		free(got);
		t.p[bit / 8] ^= (char)(1u << bit % 8);
	}
	free(t.p);
}
END_TEST

/* ---- refusals ---- */

struct refusal {
	const char *bytes;
	size_t n;
	const char *error;
};
#define BYTES(s) s, sizeof(s) - 1

static const struct refusal files[] = {
    {BYTES("HELLO"), "no RDB file: it does not begin with REDIS (at 0)\n"},
    {BYTES("REDIS00x0"), "no RDB file: it does not begin with REDIS and a version (at 0)\n"},
    {BYTES("REDIS0000"), "no RDB file: it does not begin with REDIS and a version (at 0)\n"},
    {BYTES("REDIS0011"), "RDB version 11; expected 10 or an older one (at 0)\n"},
    {BYTES("REDIS0010\x0f"), "type 15 (stream) is not supported (at 9)\n"},
    {BYTES("REDIS0010\x07"), "type 7 (module) is not supported (at 9)\n"},
    {BYTES("REDIS0010\x64"), "unknown type 100 (at 9)\n"},
    {BYTES("REDIS0010\xf5"), "Lua functions are not supported (at 9)\n"},
    {BYTES("REDIS0010\xf7"), "data of modules is not supported (at 9)\n"},
    {BYTES("REDIS0010\xfe\xc0\x01"), "expected a length, found a byte 0xc0 (at 9)\n"},
    {BYTES("REDIS0010\xfe\x85"), "expected a length, found a byte 0x85 (at 9)\n"},
    {BYTES("REDIS0010\xff\x01\0\0\0\0\0\0\0"), "checksum eb7ea789fe37fda9; expected 0000000000000001 (at 9)\n"},
};

START_TEST(refused_files)
{
	const struct refusal *r = &files[_i];
	expect(r->bytes, r->n, false, r->error);
}
END_TEST

static const struct refusal values[] = {
    {BYTES("\0\x81\0\0\0\x01\0\0\0\x01"), "a string of 4294967297 bytes (at 1)\n"},
    {BYTES("\0\xc3\1\x40\x59"), "1 bytes cannot stand for 89 (at 1)\n"},
    {BYTES("\0\xc3\2\2\0a"), "a compressed string that is damaged (at 1)\n"},
    {BYTES("\0\1ab"), "1 bytes behind the value (at 3)\n"},
    {BYTES("\x05\1\1a\xff\xff\xff\xff\xff\xff\xff\xff"), "a score that is no number (at 2)\n"},
    {BYTES("\x03\1\1a\xfd"), "a score that is no number (at 2)\n"},
    {BYTES("\x03\1\1a\1x"), "a score that is no number (at 2)\n"},
    {BYTES("\x03\1\1a\2 1"), "a score that is no number (at 2)\n"},
    {BYTES("\x12\1\3\1a"), "a list node of unknown kind 3 (at 2)\n"},
    {BYTES("\x0a\1a"), "a damaged ziplist (at 1)\n"},
};

START_TEST(refused_values)
{
	const struct refusal *r = &values[_i];
	char *got = read_all(r->bytes, r->n, r->n + 1, true), *last = got;
	for (char *p = got; (p = strchr(p, '\n')) && p[1]; p++)
		last = p + 1;
	ck_assert_str_eq(last, r->error);
	free(got);
}
END_TEST

/* A length of so many bytes asks for no memory: what is not there is asked for, that is all. */
START_TEST(claims)
{
	struct sd_rdb_reader r;
	struct sd_rdb_token t;
	size_t took;
	sd_rdb_reader_value(&r);
	ck_assert_int_eq(sd_rdb_read(&r, "\0", 1, &took, &t), SD_RDB_TOKEN);
	ck_assert_int_eq(sd_rdb_read(&r, "\x80\xff\xff\xff\xff", 5, &took, &t), SD_RDB_MORE);
	ck_assert_uint_eq(r.need, 5 + (size_t)UINT32_MAX);
	ck_assert_int_eq(sd_rdb_read(&r, "\xc3\x80\xf0\0\0\0\x80\xff\xff\xff\xff", 11, &took, &t), SD_RDB_MORE);
	ck_assert_uint_eq(r.need, 11 + 0xf0000000);
	ck_assert_uint_eq(r.unpacked[0].room, 0);
	sd_rdb_reader_free(&r);
}
END_TEST

/* Any bit of a ziplist wrong, and any length: never a byte behind it. */
START_TEST(damaged_ziplists)
{
	static const char entries[] = "\0\x02hi\4\xf1\2\xfe\x80\3\xc0\xff\x7f\4\x40\x03" "abc";
	size_t len = 10 + sizeof(entries);
	struct guard g = guard_new(256);
	char p[256] = {0};
	memcpy(p + 10, entries, sizeof(entries) - 1);
	ziplist_end(p, 10 + sizeof(entries) - 1, 5, 6);
	for (size_t n = 0; n <= len; n++)
		for (size_t bit = 0; bit <= n * 8; bit++) {
			char copy[256];
			struct sd_ziplist_reader r;
			struct sd_slice s;
			int found = -1;
			memcpy(copy, p, n);
			copy[bit / 8] ^= (char)(bit < n * 8 ? 1u << bit % 8 : 0);
			if (n >= 4 && n < len)
				sd_put_le(copy, n, 4); /* so that not the length alone tells */
			if (sd_ziplist_begin(&r, (struct sd_slice){guard_put(&g, copy, n), n}))
				while ((found = sd_ziplist_next(&r, &s)) == 1)
					ck_assert(s.p == r.number || (s.p >= r.all.p && s.p + s.n < r.all.p + r.all.n));
			ck_assert_int_eq(found, n == len && bit == n * 8 ? 0 : found);
			ck_assert(found == 0 || n < len || bit < n * 8);
		}
	guard_free(&g);
}
END_TEST

START_TEST(unpacks)
{
	static const struct {
		const char *packed;
		size_t n;
		const char *text; /* NULL: refused */
		size_t want;
	} rows[] = {
	    {BYTES("\2abc"), "abc", 3},
	    {BYTES("\2abc\x20\2"), "abcabc", 6},
	    {BYTES("\0a\xe0\1\0"), "aaaaaaaaaaa", 11},
	    {BYTES("\2abc"), NULL, 2},
	    {BYTES("\2abc"), NULL, 4},
	    {BYTES("\2ab"), NULL, 3},
	    {BYTES("\2abc\x20"), NULL, 6},
	    {BYTES("\2abc\xe0\1"), NULL, 13},
	    {BYTES("\2abc\xe0"), NULL, 13},
	    {BYTES("\2abc\x20\3"), NULL, 6},
	    {BYTES("\x20\0"), NULL, 3},
	};
	struct guard in = guard_new(64), out = guard_new(64);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *to = out.base + out.size - rows[i].want;
		bool good = sd_lzf_unpack(guard_put(&in, rows[i].packed, rows[i].n), rows[i].n, to, rows[i].want);
		ck_assert_msg(good == (rows[i].text != NULL), "row %zu", i);
		if (good)
			ck_assert_mem_eq(to, rows[i].text, rows[i].want);
	}
	guard_free(&in);
	guard_free(&out);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

int main(void)
{
	Suite *s = suite_create("rdb");
	TCase *tc = tcase_create("rdb");
	tcase_add_loop_test(tc, as_redis_dumps, 0, COUNT(known));
	tcase_add_test(tc, writes_as_redis);
	tcase_add_test(tc, strings);
	tcase_add_test(tc, lengths);
	tcase_add_test(tc, whole_file);
	tcase_add_test(tc, cut_everywhere);
	tcase_add_test(tc, damaged_everywhere);
	tcase_add_loop_test(tc, refused_files, 0, COUNT(files));
	tcase_add_loop_test(tc, refused_values, 0, COUNT(values));
	tcase_add_test(tc, claims);
	tcase_add_test(tc, damaged_ziplists);
	tcase_add_test(tc, unpacks);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
