/* A Bloom filter forgets nothing, and is seldom wrong about what it never had. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core/bloom.h"

static struct sd_slice name_of(char out[32], const char *kind, unsigned i)
{
	int n = snprintf(out, 32, "%s-%u", kind, i);
	return (struct sd_slice){out, (size_t)n};
}

static unsigned share_of_wrong(unsigned room, unsigned keys, unsigned asked)
{
	struct sd_bloom b;
	char text[32];
	unsigned wrong = 0;
	ck_assert(sd_bloom_init(&b, room));
	for (unsigned i = 0; i < keys; i++)
		sd_bloom_add(&b, name_of(text, "alias", i));
	for (unsigned i = 0; i < keys; i++)
		ck_assert(sd_bloom_has(&b, name_of(text, "alias", i)));
	for (unsigned i = 0; i < asked; i++)
		wrong += sd_bloom_has(&b, name_of(text, "other", i));
	ck_assert_uint_eq(b.keys, keys);
	sd_bloom_free(&b);
	return wrong * 1000 / asked;
}

START_TEST(it_is_seldom_wrong)
{
	ck_assert_uint_eq(share_of_wrong(1000, 0, 1000), 0);
	ck_assert_uint_le(share_of_wrong(20000, 20000, 100000), 12); /* 8 in a thousand by theory */
	ck_assert_uint_le(share_of_wrong(1, 64, 20000), 20);
}
END_TEST

START_TEST(too_full_it_still_forgets_nothing)
{
	ck_assert_uint_gt(share_of_wrong(100, 5000, 1000), 500);
}
END_TEST

START_TEST(it_says_when_there_is_no_memory)
{
	struct sd_bloom b = {0};
	ck_assert(!sd_bloom_init(&b, SIZE_MAX / 2));
	sd_bloom_free(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bloom");
	TCase *c = tcase_create("all");
	tcase_add_test(c, it_is_seldom_wrong);
	tcase_add_test(c, too_full_it_still_forgets_nothing);
	tcase_add_test(c, it_says_when_there_is_no_memory);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
