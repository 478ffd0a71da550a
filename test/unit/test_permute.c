/* Permutations and codes: every number has its own, and only the key tells which. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/base62.h"
#include "core/permute.h"
#include "core/rng.h"

static const struct sd_siphash_key key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

START_TEST(base62_is_written_and_read)
{
	char out[SD_BASE62_MAX];
	uint64_t v;
	ck_assert_uint_eq(sd_base62_put(0, 0, out), 1);
	ck_assert_mem_eq(out, "0", 1);
	ck_assert_uint_eq(sd_base62_put(61, 3, out), 3);
	ck_assert_mem_eq(out, "00z", 3);
	ck_assert_uint_eq(sd_base62_put(UINT64_MAX, 1, out), 11);
	ck_assert_mem_eq(out, "LygHa16AHYF", 11);
	ck_assert(sd_base62_get(sd_slice_of("LygHa16AHYF"), &v) && v == UINT64_MAX);
	ck_assert(!sd_base62_get(sd_slice_of("LygHa16AHYG"), &v));
	ck_assert(!sd_base62_get(sd_slice_of("zzzzzzzzzzzz"), &v));
	ck_assert(!sd_base62_get(sd_slice_of(""), &v));
	for (int c = 0; c < 256; c++) {
		char text[1] = {(char)c};
		bool digit = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
		ck_assert_int_eq(sd_base62_get((struct sd_slice){text, 1}, &v), digit);
		if (digit)
			ck_assert(sd_base62_put(v, 1, out) == 1 && out[0] == text[0]);
	}
}
END_TEST

START_TEST(base62_sorts_as_numbers_do)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 1);
	for (int i = 0; i < 20000; i++) {
		uint64_t a = sd_rng_next(&rng) >> sd_rng_below(&rng, 64), b = sd_rng_next(&rng) >> sd_rng_below(&rng, 64), back;
		char x[SD_BASE62_MAX], y[SD_BASE62_MAX];
		ck_assert_uint_eq(sd_base62_put(a, SD_BASE62_MAX, x), SD_BASE62_MAX);
		sd_base62_put(b, SD_BASE62_MAX, y);
		ck_assert_int_eq(memcmp(x, y, SD_BASE62_MAX) < 0, a < b);
		ck_assert(sd_base62_get((struct sd_slice){x, SD_BASE62_MAX}, &back) && back == a);
	}
}
END_TEST

/* Every n up to some hundred, and a few around powers of four: each place is taken once, and the way back leads back. */
static void check_bijection(uint64_t n)
{
	bool *seen = calloc(n, sizeof(*seen));
	for (uint64_t x = 0; x < n; x++) {
		uint64_t y = sd_permute(&key, n, x);
		ck_assert_uint_lt(y, n);
		ck_assert_msg(!seen[y], "%llu of %llu is there twice", (unsigned long long)y, (unsigned long long)n);
		seen[y] = true;
		ck_assert_uint_eq(sd_unpermute(&key, n, y), x);
	}
	free(seen);
}

START_TEST(it_is_a_bijection)
{
	static const uint64_t sizes[] = {1023, 1024, 1025, 3844, 4095, 4096, 4097, 16384, 16385, 62 * 62 * 62};
	for (uint64_t n = 1; n <= 300; n++)
		check_bijection(n);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		check_bijection(sizes[i]);
}
END_TEST

START_TEST(it_comes_back_in_large_ranges)
{
	static const uint64_t sizes[] = {UINT64_C(3521614606208), UINT64_C(839299365868340224), UINT64_MAX, 1ull << 63};
	struct sd_rng rng;
	sd_rng_seed(&rng, 2);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (int k = 0; k < 2000; k++) {
			uint64_t x = sd_rng_next(&rng) % sizes[i], y = sd_permute(&key, sizes[i], x);
			ck_assert_uint_lt(y, sizes[i]);
			ck_assert_uint_eq(sd_unpermute(&key, sizes[i], y), x);
		}
}
END_TEST

/* Neighbours are far apart, each digit is as often as another, and another key is another order: nothing to count on. */
START_TEST(codes_tell_nothing)
{
	struct sd_siphash_key other = {key.k0 ^ 1, key.k1};
	unsigned digits[7][62] = {{0}}, same = 0;
	char code[SD_CODE_LONGEST], before[SD_CODE_LONGEST] = "", its[SD_CODE_LONGEST];
	for (uint64_t i = 0; i < 62000; i++) {
		ck_assert_uint_eq(sd_code_put(&key, 7, i, code), 7);
		sd_code_put(&other, 7, i, its);
		same += memcmp(code, its, 7) == 0;
		/* the first four digits are one in 14 million: neighbours share them by chance only */
		ck_assert(memcmp(code, before, 4) != 0);
		memcpy(before, code, 7);
		for (int d = 0; d < 7; d++) {
			uint64_t v;
			ck_assert(sd_base62_get((struct sd_slice){code + d, 1}, &v));
			digits[d][v]++;
		}
	}
	ck_assert_uint_eq(same, 0);
	/* 1000 of each are expected with a deviation of 31 */
	for (int d = 0; d < 7; d++)
		for (int v = 0; v < 62; v++)
			ck_assert_msg(digits[d][v] > 800 && digits[d][v] < 1200, "digit %d is %d %u times", d, v, digits[d][v]);
}
END_TEST

START_TEST(codes_grow_when_short_ones_are_used_up)
{
	static const uint64_t four = 62 * 62 * 62 * 62;
	char code[SD_CODE_LONGEST];
	uint64_t number;
	static const struct {
		uint64_t number;
		unsigned min_length;
		size_t length;
	} rows[] = {{0, 7, 7}, {four - 1, 4, 4}, {four, 4, 5}, {four, 7, 7}, {UINT64_C(3521614606207), 7, 7},
		    {UINT64_C(3521614606208), 7, 8}, {UINT64_C(839299365868340223), 4, 10}, {UINT64_C(839299365868340224), 4, 0}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = sd_code_put(&key, rows[i].min_length, rows[i].number, code);
		ck_assert_uint_eq(n, rows[i].length);
		if (!n)
			continue;
		ck_assert(sd_code_get(&key, rows[i].min_length, (struct sd_slice){code, n}, &number));
		ck_assert_uint_eq(number, rows[i].number);
	}
}
END_TEST

/* A code is only told to be of a number when that number really gives it. */
START_TEST(other_codes_are_of_no_number)
{
	struct sd_rng rng;
	char text[SD_CODE_LONGEST + 1], code[SD_CODE_LONGEST];
	uint64_t number;
	unsigned found = 0;
	sd_rng_seed(&rng, 3);
	ck_assert(!sd_code_get(&key, 7, sd_slice_of("short"), &number));
	ck_assert(!sd_code_get(&key, 4, sd_slice_of("my-link"), &number));
	ck_assert(!sd_code_get(&key, 4, sd_slice_of("elevendigit"), &number));
	for (int i = 0; i < 20000; i++) {
		size_t n = 4 + sd_rng_below(&rng, 3);
		for (size_t k = 0; k < n; k++)
			text[k] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[sd_rng_below(&rng, 62)];
		if (!sd_code_get(&key, 4, (struct sd_slice){text, n}, &number))
			continue;
		found++;
		ck_assert_uint_eq(sd_code_put(&key, 4, number, code), n);
		ck_assert_mem_eq(code, text, n);
	}
	ck_assert_uint_gt(found, 19000); /* all but a sixty-second of those that are longer than they must be */
	ck_assert_uint_lt(found, 20000);
}
END_TEST

/* Known answers: what is stored must be found again by a later version. */
START_TEST(it_stays_as_it_is)
{
	static const char *const codes[] = {"24Qm8ll", "vOdE8dR", "JuZpize"};
	char code[SD_CODE_LONGEST];
	for (uint64_t i = 0; i < 3; i++) {
		size_t n = sd_code_put(&key, 7, i, code);
		ck_assert_msg(n == 7 && memcmp(code, codes[i], 7) == 0, "%llu: %.*s", (unsigned long long)i, (int)n, code);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("permute");
	TCase *c = tcase_create("all");
	tcase_add_test(c, base62_is_written_and_read);
	tcase_add_test(c, base62_sorts_as_numbers_do);
	tcase_add_test(c, it_is_a_bijection);
	tcase_add_test(c, it_comes_back_in_large_ranges);
	tcase_add_test(c, codes_tell_nothing);
	tcase_add_test(c, codes_grow_when_short_ones_are_used_up);
	tcase_add_test(c, other_codes_are_of_no_number);
	tcase_add_test(c, it_stays_as_it_is);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
