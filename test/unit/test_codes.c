/* Fifty million numbers, from the leases of two servers that start anew now and then, are fifty million codes.
 *
 * A bit for every code that there is: 62^4 of four characters, which the first numbers take, then 62^5. Sanitizers look at a
 * fiftieth of them. */
#include <check.h>
#include <stdlib.h>

#include "core/base62.h"
#include "core/permute.h"
#include "core/rng.h"

#ifdef SD_SANITIZED
#define NUMBERS 1000000u
#else
#define NUMBERS 50000000u
#endif
#define LEASE 1000u

static const struct sd_siphash_key key = {0x243f6a8885a308d3u, 0x13198a2e03707344u};

struct server {
	uint64_t next, end;
};

/* What the database does. */
static void lease(struct server *s, uint64_t *counter)
{
	s->next = *counter;
	s->end = *counter += LEASE;
}

static void take(struct server *s, uint64_t *counter, unsigned n, uint64_t *bits[6])
{
	while (n-- > 0) {
		char code[SD_CODE_LONGEST];
		uint64_t v = 0;
		if (s->next == s->end)
			lease(s, counter);
		uint64_t number = s->next++;
		size_t length = sd_code_put(&key, 4, number, code);
		if ((length != 4 && length != 5) || !sd_base62_get((struct sd_slice){code, length}, &v))
			ck_abort_msg("%llu has a code of %zu", (unsigned long long)number, length);
		uint64_t *word = &bits[length][v / 64], bit = UINT64_C(1) << v % 64;
		if (*word & bit)
			ck_abort_msg("%.*s is the code of %llu and of another", (int)length, code, (unsigned long long)number);
		*word |= bit;
	}
}

START_TEST(no_two_numbers_have_the_same_code)
{
	struct server servers[2] = {{0}};
	uint64_t *bits[6] = {[4] = calloc(62 * 62 * 62 * 62 / 64 + 1, 8), [5] = calloc(62 * 62 * 62 * 62 / 64 * 62 + 64, 8)};
	uint64_t counter = 1, done = 0;
	struct sd_rng rng;
	sd_rng_seed(&rng, 5);
	while (done < NUMBERS) {
		unsigned n = 1 + sd_rng_below(&rng, 3 * LEASE);
		struct server *s = &servers[sd_rng_below(&rng, 2)];
		if (sd_rng_below(&rng, 50) == 0)
			*s = (struct server){0}; /* the rest of its lease is never used */
		take(s, &counter, n, bits);
		done += n;
	}
	ck_assert_uint_ge(counter, done);
	free(bits[4]);
	free(bits[5]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("codes");
	TCase *c = tcase_create("all");
	tcase_add_test(c, no_two_numbers_have_the_same_code);
	tcase_set_timeout(c, 120);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
