/* What stores are asked when they are measured: the shares, the keys, and Zipf's law. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/kv_load.h"
#include "core/zipf.h"

#define KEYS 5000

static struct sd_kv_load *load(const char *name, uint64_t keys, uint64_t ops, uint64_t seed)
{
	struct sd_kv_load_conf conf = {sd_kv_workload_find(name), keys, ops, 12, 40, seed};
	struct sd_kv_load *l = NULL;
	struct sd_error e;
	ck_assert_ptr_nonnull(conf.workload);
	ck_assert_int_eq(sd_kv_load_new(&conf, &l, &e), SD_OK);
	return l;
}

static uint64_t number_of(struct sd_slice key)
{
	uint64_t v = 0;
	for (size_t i = 0; i < 12; i++)
		v = v * 10 + (uint64_t)(key.p[i] - '0');
	return v;
}

/* How often each of the first ranks comes is what the law says, give and take four deviations. */
START_TEST(zipf_keeps_the_law)
{
	static const struct {
		uint64_t n;
		double s;
	} laws[] = {{1000, 0.99}, {1000, 1}, {1000, 1.4}, {50, 0.5}, {1, 0.99}};
	for (size_t i = 0; i < sizeof(laws) / sizeof(laws[0]); i++) {
		enum { DRAWS = 200000 };
		double sum = 0;
		unsigned counts[1000] = {0};
		struct sd_zipf z;
		struct sd_rng rng;
		sd_rng_seed(&rng, 7);
		sd_zipf_init(&z, laws[i].n, laws[i].s);
		for (int k = 0; k < DRAWS; k++) {
			uint64_t v = sd_zipf_next(&z, &rng);
			ck_assert_uint_lt(v, laws[i].n);
			counts[v]++;
		}
		for (uint64_t k = 1; k <= laws[i].n; k++)
			sum += pow((double)k, -laws[i].s);
		for (uint64_t k = 1; k <= laws[i].n; k = k * 3 / 2 + 1) {
			double p = pow((double)k, -laws[i].s) / sum, want = p * DRAWS, off = fabs(counts[k - 1] - want);
			ck_assert_msg(off <= 4 * sqrt(want * (1 - p)) + 1, "s %g: rank %d came %u times, not about %.0f", laws[i].s, (int)k,
				      counts[k - 1], want);
		}
	}
}
END_TEST

/* One that grew is one that was made so large. */
START_TEST(zipf_grows)
{
	struct sd_zipf small, large;
	struct sd_rng a, b;
	sd_rng_seed(&a, 3);
	sd_rng_seed(&b, 3);
	sd_zipf_init(&small, 10, 0.99);
	sd_zipf_grow(&small, 100000);
	sd_zipf_init(&large, 100000, 0.99);
	for (int i = 0; i < 1000; i++)
		ck_assert_uint_eq(sd_zipf_next(&small, &a), sd_zipf_next(&large, &b));
}
END_TEST

START_TEST(filling_gives_every_key_once)
{
	static const char *const names[] = {"fillseq", "fillrandom"};
	for (size_t k = 0; k < 2; k++) {
		struct sd_kv_load *l = load(names[k], KEYS, KEYS, 1);
		unsigned char seen[KEYS] = {0};
		const struct sd_kv_op *ops;
		uint64_t at = 0, in_order = 0;
		for (size_t n; (n = sd_kv_load_next(l, &ops)) > 0;)
			for (size_t i = 0; i < n; i++, at++) {
				uint64_t v = number_of(ops[i].key);
				ck_assert(ops[i].kind == SD_KV_OP_PUT && v < KEYS && !seen[v] && ops[i].value.n == 40);
				seen[v] = 1;
				in_order += v == at;
			}
		ck_assert_uint_eq(at, KEYS);
		ck_assert(k == 0 ? in_order == KEYS : in_order < 20);
		sd_kv_load_free(l);
	}
}
END_TEST

/* What is missing is no key of the store, and lies between two of them. */
START_TEST(missing_keys_are_not_there)
{
	struct sd_kv_load *l = load("readmissing", KEYS, 3000, 1);
	const struct sd_kv_op *ops;
	for (size_t n; (n = sd_kv_load_next(l, &ops)) > 0;)
		for (size_t i = 0; i < n; i++)
			ck_assert(ops[i].kind == SD_KV_OP_MISS && ops[i].key.n == 13 && number_of(ops[i].key) < KEYS);
	sd_kv_load_free(l);
}
END_TEST

static void count(const char *name, unsigned kinds[SD_KV_OPS], uint64_t *keys, uint64_t *hottest)
{
	struct sd_kv_load *l = load(name, KEYS, 40000, 5);
	const struct sd_kv_op *ops;
	uint64_t hot = 0;
	char first[12]; /* the rank that comes most is mixed to 0 */
	sd_kv_load_key(first, sizeof(first), 0, true);
	for (size_t n; (n = sd_kv_load_next(l, &ops)) > 0;)
		for (size_t i = 0; i < n; i++) {
			kinds[ops[i].kind]++;
			ck_assert(ops[i].kind != SD_KV_OP_SCAN || (ops[i].scan >= 1 && ops[i].scan <= 100));
			hot += memcmp(ops[i].key.p, first, sizeof(first)) == 0;
		}
	*keys = sd_kv_load_keys(l);
	*hottest = hot;
	sd_kv_load_free(l);
}

static bool about(unsigned got, unsigned percent)
{
	return fabs(got - percent * 400.0) < 400;
}

START_TEST(ycsb_has_its_shares)
{
	unsigned a[SD_KV_OPS] = {0}, d[SD_KV_OPS] = {0}, e[SD_KV_OPS] = {0}, f[SD_KV_OPS] = {0};
	uint64_t keys, hot;
	count("ycsb-a", a, &keys, &hot);
	ck_assert(about(a[SD_KV_OP_PUT], 50) && about(a[SD_KV_OP_GET], 50) && keys == KEYS);
	ck_assert_uint_gt(hot, 2000);
	count("ycsb-d", d, &keys, &hot);
	ck_assert(about(d[SD_KV_OP_PUT], 5) && about(d[SD_KV_OP_GET], 95) && keys == KEYS + d[SD_KV_OP_PUT]);
	count("ycsb-e", e, &keys, &hot);
	ck_assert(about(e[SD_KV_OP_PUT], 5) && about(e[SD_KV_OP_SCAN], 95) && keys == KEYS + e[SD_KV_OP_PUT]);
	count("ycsb-f", f, &keys, &hot);
	ck_assert(about(f[SD_KV_OP_CHANGE], 50) && about(f[SD_KV_OP_GET], 50) && keys == KEYS);
}
END_TEST

START_TEST(a_seed_gives_the_same_again)
{
	struct sd_kv_load *a = load("ycsb-d", KEYS, 3000, 9), *b = load("ycsb-d", KEYS, 3000, 9), *c = load("ycsb-d", KEYS, 3000, 10);
	const struct sd_kv_op *x, *y, *z;
	unsigned others = 0;
	for (size_t n; (n = sd_kv_load_next(a, &x)) > 0;) {
		ck_assert_uint_eq(sd_kv_load_next(b, &y), n);
		ck_assert_uint_eq(sd_kv_load_next(c, &z), n);
		for (size_t i = 0; i < n; i++) {
			ck_assert(x[i].kind == y[i].kind && memcmp(x[i].key.p, y[i].key.p, 12) == 0 && memcmp(x[i].value.p, y[i].value.p, 40) == 0);
			others += memcmp(x[i].key.p, z[i].key.p, 12) != 0;
		}
	}
	ck_assert_uint_gt(others, 2000);
	sd_kv_load_free(a);
	sd_kv_load_free(b);
	sd_kv_load_free(c);
}
END_TEST

START_TEST(what_is_out_of_range_is_refused)
{
	static const struct {
		uint64_t keys;
		size_t key, value;
		const char *why;
	} rows[] = {
	    {0, 16, 1, "expected 1 to"}, {1, 7, 1, "expected keys of 8 to 1024 bytes"}, {1, 1025, 1, "expected keys of 8 to 1024 bytes"},
	    {1, 16, (1u << 20) + 1, "expected values of at most 1048576 bytes"}, {100000001, 8, 1, "100000001 keys have no room in 8 digits"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sd_kv_load_conf conf = {sd_kv_workloads, rows[i].keys, 1, rows[i].key, rows[i].value, 1};
		struct sd_kv_load *l = NULL;
		struct sd_error e = {0};
		ck_assert_int_eq(sd_kv_load_new(&conf, &l, &e), SD_EUSAGE);
		ck_assert_ptr_null(l);
		ck_assert_msg(strncmp(e.text, rows[i].why, strlen(rows[i].why)) == 0, "%s", e.text);
	}
	ck_assert_ptr_null(sd_kv_workload_find("fill"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kv_load");
	TCase *c = tcase_create("all");
	tcase_add_test(c, zipf_keeps_the_law);
	tcase_add_test(c, zipf_grows);
	tcase_add_test(c, filling_gives_every_key_once);
	tcase_add_test(c, missing_keys_are_not_there);
	tcase_add_test(c, ycsb_has_its_shares);
	tcase_add_test(c, a_seed_gives_the_same_again);
	tcase_add_test(c, what_is_out_of_range_is_refused);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
