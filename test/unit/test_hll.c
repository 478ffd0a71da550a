/* HyperLogLog: its error against counting, its bytes in whatever order it was filled, unions, and bytes that are none. */
#include <math.h>
#include <stdlib.h>

#include "core/hll.h"
#include "core/rng.h"
#include "guard.h"

/* Relative error of one sketch of n different hashes. */
static double error_of(uint64_t seed, unsigned n)
{
	struct sd_hll h = {{0}};
	struct sd_rng rng;
	sd_rng_seed(&rng, seed);
	for (unsigned i = 0; i < n; i++)
		sd_hll_add(&h, sd_rng_next(&rng));
	return sd_hll_count(&h) / n - 1;
}

/* At every size the root of the mean square is within what theory says (1.625 %, and a bit for 64 draws), and no bias. */
START_TEST(error_is_what_theory_says)
{
	static const unsigned sizes[] = {1, 10, 100, 1000, 3000, 10000, 20000, 50000, 200000};
	unsigned n = sizes[_i], rounds = n > 50000 ? 16 : 64;
	double squares = 0, sum = 0;
	for (unsigned seed = 1; seed <= rounds; seed++) {
		double e = error_of(seed * 7919, n);
		squares += e * e;
		sum += e;
	}
	ck_assert_double_lt(sqrt(squares / rounds), 0.0163 * 1.35);
	ck_assert_double_lt(fabs(sum / rounds), 0.0163 * 3.5 / sqrt(rounds));
}
END_TEST

START_TEST(few_are_almost_exact)
{
	for (unsigned n = 0; n <= 20; n++) {
		struct sd_hll h = {{0}};
		struct sd_rng rng;
		sd_rng_seed(&rng, 5);
		for (unsigned i = 0; i < n; i++)
			sd_hll_add(&h, sd_rng_next(&rng));
		ck_assert_int_eq((int)lround(sd_hll_count(&h)), (int)n);
	}
}
END_TEST

/* Bytes do not depend on order, on repetition, or on what was merged from what; and come back the same. */
START_TEST(bytes_are_stable)
{
	static const unsigned sizes[] = {0, 1, 500, 1100, 1300, 5000, 100000};
	struct sd_hll up = {{0}}, down = {{0}}, parts[3] = {0}, back = {{0}}, merged = {{0}};
	uint8_t a[SD_HLL_DENSE], b[SD_HLL_DENSE];
	unsigned n = sizes[_i];
	for (unsigned i = 0; i < n; i++) {
		uint64_t hash = (i + 1) * 0x9e3779b97f4a7c15u;
		sd_hll_add(&up, hash);
		sd_hll_add(&parts[i % 3], hash);
		sd_hll_add(&down, (n - i) * 0x9e3779b97f4a7c15u);
		sd_hll_add(&down, hash);
	}
	for (int i = 2; i >= 0; i--)
		sd_hll_merge(&merged, &parts[i]);
	size_t na = sd_hll_put(&up, a);
	ck_assert_uint_eq(sd_hll_put(&down, b), na);
	ck_assert_mem_eq(a, b, na);
	ck_assert_uint_eq(sd_hll_put(&merged, b), na);
	ck_assert_mem_eq(a, b, na);
	ck_assert_uint_le(na, SD_HLL_DENSE);
	ck_assert_uint_eq(a[0], na == SD_HLL_DENSE ? 2 : 1);
	ck_assert(sd_hll_get(&back, a, na));
	ck_assert_mem_eq(&back, &up, sizeof(up));
}
END_TEST

/* The format, byte by byte: it is stored. */
START_TEST(known_bytes)
{
	struct sd_hll h = {{0}};
	uint8_t out[SD_HLL_DENSE];
	sd_hll_add(&h, 0x8000000000000000u); /* register 0x800, all zeros behind it: 53 */
	sd_hll_add(&h, 0x0018000000000000u); /* register 1, its first bit set: 1 */
	static const uint8_t want[] = {1, 0x41, 0, 0, 0x35, 0, 2};
	ck_assert_uint_eq(sd_hll_put(&h, out), sizeof(want));
	ck_assert_mem_eq(out, want, sizeof(want));
}
END_TEST

static void refused(struct guard *g, const void *p, size_t n)
{
	struct sd_hll h = {{0}}, zero = {{0}};
	ck_assert(!sd_hll_get(&h, (const uint8_t *)guard_put(g, p, n), n));
	ck_assert_mem_eq(&h, &zero, sizeof(h));
}

START_TEST(what_is_no_sketch)
{
	struct guard g = guard_new(SD_HLL_DENSE + 1);
	struct sd_hll h = {{0}};
	uint8_t all[SD_HLL_DENSE + 1] = {0};
	static const uint8_t kind[] = {3, 0x41, 0, 0}, zero[] = {1, 0x40, 0, 0}, high[] = {1, 0x76, 0, 0}, beyond[] = {1, 0x01, 0, 4},
			     twice[] = {1, 0x41, 0, 0, 0x42, 0, 0}, back[] = {1, 0x81, 0, 0, 0x41, 0, 0}, empty[] = {1};
	refused(&g, kind, sizeof(kind));
	refused(&g, zero, sizeof(zero));
	refused(&g, high, sizeof(high));
	refused(&g, beyond, sizeof(beyond));
	refused(&g, twice, sizeof(twice));
	refused(&g, back, sizeof(back));
	refused(&g, "", 0);
	ck_assert(sd_hll_get(&h, empty, sizeof(empty)));
	for (unsigned i = 0; i < 5000; i++)
		sd_hll_add(&h, (i + 1) * 0x9e3779b97f4a7c15u);
	ck_assert_uint_eq(sd_hll_put(&h, all), SD_HLL_DENSE);
	refused(&g, all, SD_HLL_DENSE - 1);
	refused(&g, all, SD_HLL_DENSE + 1);
	all[1] = 0x3f; /* register 0: 63 */
	refused(&g, all, SD_HLL_DENSE);
	guard_free(&g);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hll");
	TCase *t = tcase_create("hll");
	tcase_add_loop_test(t, error_is_what_theory_says, 0, 9);
	tcase_add_test(t, few_are_almost_exact);
	tcase_add_loop_test(t, bytes_are_stable, 0, 7);
	tcase_add_test(t, known_bytes);
	tcase_add_test(t, what_is_no_sketch);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
