/* The listpack against an array of strings under the same random changes, its bytes where they are known, and bytes that are
 * none. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/listpack.h"
#include "core/rng.h"
#include "guard.h"

#define MANY 300
#define LONG 20000

static struct sd_rng rng;

/* ---- known bytes ---- */

static unsigned char lp[80000];

static void append(struct sd_slice s)
{
	struct sd_listpack_new e;
	ck_assert(sd_listpack_encode(s, &e));
	ck_assert_uint_le(sd_listpack_bytes(lp) + e.size, sizeof(lp));
	sd_listpack_insert(lp, sd_listpack_end(lp), &e);
}

START_TEST(bytes_of_short_values)
{
	static const struct {
		const char *value;
		size_t n;
		unsigned char bytes[12];
	} t[] = {
	    {"0", 2, {0x00, 1}}, {"127", 2, {0x7f, 1}}, {"128", 3, {0xc0, 0x80, 2}}, {"-1", 3, {0xdf, 0xff, 2}},
	    {"4095", 3, {0xcf, 0xff, 2}}, {"-4096", 3, {0xd0, 0x00, 2}}, {"4096", 4, {0xf1, 0x00, 0x10, 3}},
	    {"-4097", 4, {0xf1, 0xff, 0xef, 3}}, {"32767", 4, {0xf1, 0xff, 0x7f, 3}}, {"32768", 5, {0xf2, 0, 0x80, 0, 4}},
	    {"-32769", 5, {0xf2, 0xff, 0x7f, 0xff, 4}}, {"8388607", 5, {0xf2, 0xff, 0xff, 0x7f, 4}},
	    {"8388608", 6, {0xf3, 0, 0, 0x80, 0, 5}}, {"-8388609", 6, {0xf3, 0xff, 0xff, 0x7f, 0xff, 5}},
	    {"2147483647", 6, {0xf3, 0xff, 0xff, 0xff, 0x7f, 5}}, {"-2147483648", 6, {0xf3, 0, 0, 0, 0x80, 5}},
	    {"2147483648", 10, {0xf4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9}},
	    {"-9223372036854775808", 10, {0xf4, 0, 0, 0, 0, 0, 0, 0, 0x80, 9}},
	    {"9223372036854775807", 10, {0xf4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 9}},
	    {"", 2, {0x80, 1}}, {"hello", 7, {0x85, 'h', 'e', 'l', 'l', 'o', 6}}, {"-0", 4, {0x82, '-', '0', 3}},
	    {"+1", 4, {0x82, '+', '1', 3}}, {"01", 4, {0x82, '0', '1', 3}}, {"-", 3, {0x81, '-', 2}}, {" 1", 4, {0x82, ' ', '1', 3}},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char text[SD_LISTPACK_TEXT];
		sd_listpack_init(lp);
		append(sd_slice_of(t[i].value));
		ck_assert_msg(sd_listpack_bytes(lp) == 7 + t[i].n, "%s: %zu bytes", t[i].value, sd_listpack_bytes(lp));
		ck_assert_msg(memcmp(lp + 6, t[i].bytes, t[i].n) == 0, "%s", t[i].value);
		ck_assert_uint_eq(lp[6 + t[i].n], 0xff);
		ck_assert(lp[0] == 7 + t[i].n && !lp[1] && !lp[2] && !lp[3] && lp[4] == 1 && !lp[5]);
		ck_assert(sd_slice_eq(sd_listpack_text(lp, 6, text), t[i].value));
	}
	struct sd_slice big = {"18446744073709551616", 20}, beyond = {"9223372036854775808", 19};
	sd_listpack_init(lp);
	append(big);
	append(beyond);
	ck_assert_uint_eq(lp[6], 0x80 | 20);
	ck_assert_uint_eq(lp[6 + 22], 0x80 | 19);
}
END_TEST

/* Where a length needs one byte more, at the front and at the back. */
START_TEST(bytes_of_long_values)
{
	static const struct {
		size_t n, head_n, back_n;
		unsigned char head[5], back[4];
	} t[] = {
	    {63, 1, 1, {0xbf}, {64}}, {64, 2, 1, {0xe0, 64}, {66}}, {125, 2, 1, {0xe0, 125}, {127}},
	    {126, 2, 2, {0xe0, 126}, {1, 0x80}}, {4095, 2, 2, {0xef, 0xff}, {0x20, 0x81}},
	    {4096, 5, 2, {0xf0, 0, 0x10, 0, 0}, {0x20, 0x85}}, {16377, 5, 2, {0xf0, 0xf9, 0x3f, 0, 0}, {0x7f, 0xfe}},
	    {16378, 5, 3, {0xf0, 0xfa, 0x3f, 0, 0}, {0, 0xff, 0xff}}, {16379, 5, 3, {0xf0, 0xfb, 0x3f, 0, 0}, {1, 0x80, 0x80}},
	};
	static char bytes[LONG];
	memset(bytes, 'x', sizeof(bytes));
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		sd_listpack_init(lp);
		append((struct sd_slice){bytes, t[i].n});
		append(sd_slice_of("7"));
		size_t end = 6 + t[i].head_n + t[i].n;
		ck_assert_uint_eq(sd_listpack_bytes(lp), end + t[i].back_n + 2 + 1);
		ck_assert_int_eq(memcmp(lp + 6, t[i].head, t[i].head_n), 0);
		ck_assert_msg(memcmp(lp + end, t[i].back, t[i].back_n) == 0, "%zu", t[i].n);
		ck_assert_uint_eq(sd_listpack_prev(lp, sd_listpack_last(lp)), 6);
		ck_assert(sd_listpack_validate(lp, sd_listpack_bytes(lp), NULL, NULL));
	}
	struct sd_listpack_new e;
	ck_assert(!sd_listpack_encode((struct sd_slice){bytes, SD_LISTPACK_MAX + 1}, &e));
}
END_TEST

/* ---- beside an array ---- */

static struct sd_slice model[MANY];
static size_t nmodel;
static unsigned char room[4 * 1024 * 1024];
static unsigned char *begin; /* of the listpack, inside room */

static struct sd_slice a_value(void)
{
	static const size_t lengths[] = {0, 1, 5, 20, 63, 64, 125, 126, 127, 300, 4090, 4096, 16378, LONG};
	uint32_t kind = sd_rng_below(&rng, 20);
	struct sd_slice s = {0};
	if (kind < 10) {
		char *text = malloc(32);
		int64_t v = (int64_t)(sd_rng_next(&rng) >> sd_rng_below(&rng, 64));
		s.n = (size_t)snprintf(text, 32, kind == 9 ? "0%lld" : "%lld", (long long)(kind < 4 ? -v : v));
		s.p = text;
		return s;
	}
	s.n = lengths[sd_rng_below(&rng, kind == 19 ? 14 : 9)];
	char *p = malloc(s.n + 1);
	memset(p, 'a' + (int)sd_rng_below(&rng, 3), s.n + 1);
	s.p = p;
	return s;
}

static void model_insert(size_t i, struct sd_slice s)
{
	memmove(model + i + 1, model + i, (nmodel - i) * sizeof(model[0]));
	model[i] = s;
	nmodel++;
}

static void model_delete(size_t i, size_t n)
{
	for (size_t k = i; k < i + n; k++)
		free((void *)(uintptr_t)model[k].p);
	memmove(model + i, model + i + n, (nmodel - i - n) * sizeof(model[0]));
	nmodel -= n;
}

static bool same(struct sd_slice a, struct sd_slice b)
{
	return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* One assertion for all: each costs a system call. */
static void compare(void)
{
	char text[SD_LISTPACK_TEXT];
	size_t i = 0, back = nmodel;
	bool fits = sd_listpack_count(begin) == nmodel && sd_listpack_validate(begin, sd_listpack_bytes(begin), NULL, NULL);
	for (size_t at = sd_listpack_first(begin); at && i < nmodel; at = sd_listpack_next(begin, at), i++) {
		fits &= same(sd_listpack_text(begin, at, text), model[i]);
		fits &= sd_listpack_seek(begin, (int64_t)i) == at;
		fits &= sd_listpack_seek(begin, (int64_t)i - (int64_t)nmodel) == at;
	}
	for (size_t at = sd_listpack_last(begin); at && back; at = sd_listpack_prev(begin, at))
		fits &= same(sd_listpack_text(begin, at, text), model[--back]);
	fits &= i == nmodel && back == 0;
	fits &= sd_listpack_seek(begin, (int64_t)nmodel) == 0 && sd_listpack_seek(begin, -1 - (int64_t)nmodel) == 0;
	ck_assert(fits);
}

static void compare_find(struct sd_slice s, unsigned skip)
{
	size_t i = sd_rng_below(&rng, (uint32_t)nmodel + 1), from = sd_listpack_seek(begin, (int64_t)i);
	size_t found = sd_listpack_find(begin, from, s, skip);
	while (i < nmodel && !same(model[i], s))
		i += skip + 1;
	ck_assert_uint_eq(found, i < nmodel ? sd_listpack_seek(begin, (int64_t)i) : 0);
	ck_assert(!found || sd_listpack_equals(begin, found, s));
}

static void insert_one(struct sd_slice s)
{
	struct sd_listpack_new e;
	size_t i = sd_rng_below(&rng, (uint32_t)nmodel + 1);
	ck_assert(sd_listpack_encode(s, &e));
	if (nmodel == 0 || i == 0) {
		begin = sd_listpack_push_front(begin, &e);
		ck_assert(begin >= room);
		i = 0;
	} else {
		size_t at = i == nmodel ? sd_listpack_end(begin) : sd_listpack_seek(begin, (int64_t)i);
		ck_assert(begin + sd_listpack_bytes(begin) + e.size <= room + sizeof(room));
		sd_listpack_insert(begin, at, &e);
	}
	model_insert(i, s);
}

static void change_one(void)
{
	struct sd_slice s = a_value();
	struct sd_listpack_new e;
	uint32_t i = nmodel ? sd_rng_below(&rng, (uint32_t)nmodel) : 0, what = sd_rng_below(&rng, 10), n;
	compare_find(nmodel && what < 5 ? model[i] : s, sd_rng_below(&rng, 3));
	if (nmodel == 0 || (what < 6 && nmodel < MANY)) {
		insert_one(s);
		return;
	}
	size_t at = sd_listpack_seek(begin, i);
	if (what < 8) {
		ck_assert(sd_listpack_encode(s, &e));
		sd_listpack_replace(begin, at, &e);
		free((void *)(uintptr_t)model[i].p);
		model[i] = s;
		return;
	}
	free((void *)(uintptr_t)s.p);
	if (i == 0) {
		begin = sd_listpack_pop_front(begin);
		model_delete(0, 1);
		return;
	}
	n = sd_rng_below(&rng, 6);
	size_t there = n < nmodel - i ? n : nmodel - i;
	ck_assert_uint_eq(sd_listpack_delete(begin, at, n), there);
	model_delete(i, there);
}

START_TEST(as_an_array)
{
	sd_rng_seed(&rng, (uint64_t)_i + 1);
	begin = room + sizeof(room) / 2;
	sd_listpack_init(begin);
	for (int i = 0; i < 1500; i++) {
		change_one();
		compare();
	}
	model_delete(0, nmodel);
}
END_TEST

/* With 65535 entries they are no longer counted; it is still known how many there are. */
START_TEST(uncounted)
{
	struct sd_listpack_new e;
	sd_listpack_init(room);
	sd_listpack_encode_int(5, &e);
	for (size_t i = 0; i < 65534; i++)
		sd_listpack_insert(room, sd_listpack_end(room), &e);
	ck_assert_uint_eq(room[4], 0xfe);
	for (size_t n = 65534; n < 65540; n++) {
		ck_assert_uint_eq(sd_listpack_count(room), n);
		ck_assert_uint_eq(sd_listpack_seek(room, (int64_t)n), 0);
		ck_assert_uint_eq(sd_listpack_seek(room, (int64_t)n - 1), sd_listpack_last(room));
		ck_assert_uint_eq(sd_listpack_seek(room, -(int64_t)n), 6);
		ck_assert(sd_listpack_validate(room, sd_listpack_bytes(room), NULL, NULL));
		sd_listpack_insert(room, sd_listpack_end(room), &e);
	}
	ck_assert_uint_eq(sd_listpack_delete(room, 6, 30000), 30000);
	ck_assert(room[4] == 0xff && room[5] == 0xff);
	ck_assert_uint_eq(sd_listpack_count(room), 35540);
}
END_TEST

/* ---- bytes that are none ---- */

static size_t nseen;

static bool see(void *arg, const unsigned char *p, size_t at)
{
	char text[SD_LISTPACK_TEXT];
	sd_listpack_text(p, at, text);
	return ++nseen < (size_t)(uintptr_t)arg;
}

static void sample(void)
{
	static const char *const values[] = {"a", "12", "-5000", "field", "3000000000", "", "70000", "-8000000", "300"};
	static char longer[200];
	memset(longer, 'z', sizeof(longer));
	sd_listpack_init(lp);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		append(sd_slice_of(values[i]));
	append((struct sd_slice){longer, sizeof(longer)});
	append((struct sd_slice){longer, 60});
}

START_TEST(each_entry_is_shown)
{
	sample();
	nseen = 0;
	ck_assert(sd_listpack_validate(lp, sd_listpack_bytes(lp), see, (void *)99));
	ck_assert_uint_eq(nseen, 11);
	nseen = 0;
	ck_assert(!sd_listpack_validate(lp, sd_listpack_bytes(lp), see, (void *)3));
	ck_assert_uint_eq(nseen, 3);
}
END_TEST

/* Cut off anywhere, or longer than it says, it is none, and nothing behind it is read. */
START_TEST(cut_off)
{
	struct guard g = guard_new(1000);
	sample();
	size_t n = sd_listpack_bytes(lp);
	for (size_t k = 0; k < n; k++) {
		ck_assert(!sd_listpack_validate((const unsigned char *)guard_put(&g, lp, k), k, NULL, NULL));
		unsigned char shorter[1000];
		memcpy(shorter, lp, n);
		shorter[0] = (unsigned char)k;
		shorter[1] = (unsigned char)(k >> 8);
		bool fits = sd_listpack_validate((const unsigned char *)guard_put(&g, shorter, k), k, NULL, NULL);
		ck_assert_msg(!fits, "%zu bytes", k);
	}
	ck_assert(sd_listpack_validate((const unsigned char *)guard_put(&g, lp, n), n, NULL, NULL));
	ck_assert(!sd_listpack_validate((const unsigned char *)guard_put(&g, lp, n + 1), n + 1, NULL, NULL));
	guard_free(&g);
}
END_TEST

/* A code whose length is not there any more: what is behind the end is not read for it. */
START_TEST(code_at_the_end)
{
	struct guard g = guard_new(100);
	static const unsigned char codes[] = {0x85, 0xc0, 0xe1, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
	for (size_t i = 0; i < sizeof(codes); i++) {
		const unsigned char bytes[] = {8, 0, 0, 0, 1, 0, codes[i], 0xff};
		ck_assert(!sd_listpack_validate((const unsigned char *)guard_put(&g, bytes, sizeof(bytes)), sizeof(bytes), NULL, NULL));
	}
	guard_free(&g);
}
END_TEST

/* One by one: the count, an end inside, a code that is none, the length at an entry's end. */
START_TEST(wrong)
{
	static const struct {
		size_t at;
		unsigned char byte;
	} t[] = {{4, 12}, {4, 10}, {5, 1}, {6, 0xff}, {6, 0xf5}, {8, 3}, {8, 0x81}, {7, 0xff}, {0, 6}, {6, 0xf0}, {6, 0xe1}, {6, 0xf4}};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		sample();
		size_t n = sd_listpack_bytes(lp);
		unsigned char was = lp[t[i].at];
		lp[t[i].at] = t[i].byte;
		bool fits = sd_listpack_validate(lp, n, NULL, NULL);
		ck_assert_msg(fits == (t[i].at == 7), "byte %zu is %u", t[i].at, t[i].byte); /* that one is a letter */
		lp[t[i].at] = was;
		ck_assert(sd_listpack_validate(lp, n, NULL, NULL));
	}
}
END_TEST

START_TEST(mutations)
{
	struct guard g = guard_new(1000);
	char text[SD_LISTPACK_TEXT];
	unsigned char whole[1000];
	size_t taken = 0;
	sd_rng_seed(&rng, 7);
	sample();
	size_t n = sd_listpack_bytes(lp);
	memcpy(whole, lp, n);
	for (int i = 0; i < 50000; i++) {
		memcpy(lp, whole, n);
		size_t seen = 0;
		for (uint32_t k = sd_rng_below(&rng, 3) + 1; k; k--)
			lp[sd_rng_below(&rng, (uint32_t)n)] = (unsigned char)sd_rng_next(&rng);
		unsigned char *p = (unsigned char *)g.base + g.size - n;
		memcpy(p, lp, n);
		if (!sd_listpack_validate(p, n, NULL, NULL))
			continue;
		taken++;
		for (size_t at = sd_listpack_first(p); at; at = sd_listpack_next(p, at), seen++)
			sd_listpack_text(p, at, text);
		size_t back = seen;
		for (size_t at = sd_listpack_last(p); at; at = sd_listpack_prev(p, at))
			back--;
		ck_assert(back == 0 && seen == sd_listpack_count(p));
	}
	ck_assert_uint_gt(taken, 1000); /* letters that became others */
	guard_free(&g);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("listpack");
	TCase *t = tcase_create("listpack");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, bytes_of_short_values);
	tcase_add_test(t, bytes_of_long_values);
	tcase_add_loop_test(t, as_an_array, 0, 8);
	tcase_add_test(t, uncounted);
	tcase_add_test(t, each_entry_is_shown);
	tcase_add_test(t, cut_off);
	tcase_add_test(t, code_at_the_end);
	tcase_add_test(t, wrong);
	tcase_add_test(t, mutations);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
