#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/http_range.h"
#include "core/rng.h"
#include "guard.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define WHOLE "whole"
#define NONE  "none"

static const struct {
	const char *value;
	uint64_t size;
	const char *want;
} cases[] = {
    {"bytes=0-0", 100, "0-0"},
    {"bytes=0-99", 100, "0-99"},
    {"BYTES=0-1", 100, "0-1"},
    {"bytes=10-", 100, "10-99"},
    {"bytes=99-", 100, "99-99"},
    {"bytes=90-1000", 100, "90-99"},
    {"bytes=-1", 100, "99-99"},
    {"bytes=-100", 100, "0-99"},
    {"bytes=-1000", 100, "0-99"},
    {"bytes=0-99999999999999999999999", 100, "0-99"},
    {"bytes=0-18446744073709551615", UINT64_MAX, "0-18446744073709551614"},
    {"bytes=-99999999999999999999999", 100, "0-99"},
    /* several */
    {"bytes=0-1,4-5", 100, "0-1 4-5"},
    {"bytes= 0-1 ,\t4-5 , ", 100, "0-1 4-5"},
    {"bytes=,0-1,,4-5,", 100, "0-1 4-5"},
    {"bytes=4-5,0-1", 100, "4-5 0-1"},
    {"bytes=0-1,-1", 100, "0-1 99-99"},
    {"bytes=200-,0-1,300-400", 100, "0-1"},
    {"bytes=-0,5-6", 100, "5-6"},
    /* made one */
    {"bytes=0-10,5-20", 100, "0-20"},
    {"bytes=5-20,0-10", 100, "0-20"},
    {"bytes=0-4,5-9", 100, "0-9"},
    {"bytes=0-4,6-9", 100, "0-4 6-9"},
    {"bytes=0-1,8-9,2-7", 100, "0-9"},
    {"bytes=50-60,0-1,55-", 100, "50-99 0-1"},
    {"bytes=0-1,0-1,0-1", 100, "0-1"},
    {"bytes=0-,0-,0-,0-", 100, "0-99"},
    {"bytes=20-29,0-9,10-19", 100, "0-29"},
    /* nothing of it is there */
    {"bytes=100-", 100, NONE},
    {"bytes=100-200,300-", 100, NONE},
    {"bytes=-0", 100, NONE},
    {"bytes=0-", 0, NONE},
    {"bytes=-5", 0, NONE},
    {"bytes=99999999999999999999999-", 100, NONE},
    {"bytes=18446744073709551616-", 100, NONE}, /* 2^64 is not 0 */
    {"bytes=18446744073709551620-18446744073709551625", 100, NONE},
    /* not looked at */
    {"", 100, WHOLE},
    {"bytes", 100, WHOLE},
    {"bytes=", 100, WHOLE},
    {"bytes=,", 100, WHOLE},
    {"bytes=-", 100, WHOLE},
    {"bytes=1", 100, WHOLE},
    {"bytes=5-4", 100, WHOLE},
    {"bytes=5-4,0-1", 100, WHOLE},
    {"bytes=a-b", 100, WHOLE},
    {"bytes=0x1-2", 100, WHOLE},
    {"bytes=0 -1", 100, WHOLE},
    {"bytes=0-1 2-3", 100, WHOLE},
    {"bytes=0-1;2-3", 100, WHOLE},
    {"bytes=--1", 100, WHOLE},
    {"bytes=+1-2", 100, WHOLE},
    {"bytes=0--1", 100, WHOLE},
    {"bytes =0-1", 100, WHOLE},
    {"items=0-1", 100, WHOLE},
    {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32", 100, WHOLE},
    {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30", 100,
     "0-0 2-2 4-4 6-6 8-8 10-10 12-12 14-14 16-16 18-18 20-20 22-22 24-24 26-26 28-28 30-30"},
};

static void print(enum sd_http_range_verdict verdict, const struct sd_http_ranges *r, char *out, size_t room)
{
	size_t n = 0;
	out[0] = 0;
	if (verdict != SD_HTTP_RANGE_PARTS) {
		snprintf(out, room, "%s", verdict == SD_HTTP_RANGE_WHOLE ? WHOLE : NONE);
		return;
	}
	for (unsigned i = 0; i < r->n; i++)
		n += (size_t)snprintf(out + n, room - n, "%s%llu-%llu", i ? " " : "", (unsigned long long)r->range[i].first,
				      (unsigned long long)r->range[i].last);
}

START_TEST(table)
{
	struct guard in = guard_new(256);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sd_http_ranges r;
		char got[1024];
		size_t n = strlen(cases[i].value);
		struct sd_slice value = {guard_put(&in, cases[i].value, n), n};
		print(sd_http_read_ranges(value, cases[i].size, &r), &r, got, sizeof got);
		ck_assert_msg(strcmp(got, cases[i].want) == 0, "%s of %llu: expected %s, got %s", cases[i].value,
			      (unsigned long long)cases[i].size, cases[i].want, got);
	}
	guard_free(&in);
}
END_TEST

/* Against a bit for each byte: what is asked for is there once, and nothing else. */
START_TEST(covers)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 7);
	for (int round = 0; round < 20000; round++) {
		char text[512] = "bytes=";
		uint64_t want = 0, got = 0;
		size_t n = 6;
		for (uint32_t k = 1 + sd_rng_below(&rng, SD_HTTP_RANGES); k > 0; k--) {
			unsigned a = sd_rng_below(&rng, 70), b = a + sd_rng_below(&rng, 8);
			n += (size_t)snprintf(text + n, sizeof text - n, "%u-%u,", a, b);
			for (unsigned i = a; i <= b && i < 60; i++)
				want |= 1ull << i;
		}
		struct sd_http_ranges r;
		enum sd_http_range_verdict verdict = sd_http_read_ranges(sd_slice_of(text), 60, &r);
		ck_assert_int_eq(verdict, want ? SD_HTTP_RANGE_PARTS : SD_HTTP_RANGE_NONE);
		for (unsigned i = 0; i < r.n; i++) {
			for (uint64_t at = r.range[i].first; at <= r.range[i].last; at++) {
				ck_assert_msg(!(got & 1ull << at), "%s: twice", text);
				got |= 1ull << at;
			}
		}
		ck_assert_msg(got == want, "%s", text);
	}
}
END_TEST

START_TEST(content_range)
{
	char out[SD_HTTP_CONTENT_RANGE];
	struct sd_http_range r = {0, 99};
	ck_assert_uint_eq(sd_http_write_content_range(out, &r, 1234), 15);
	ck_assert_str_eq(out, "bytes 0-99/1234");
	sd_http_write_content_range(out, NULL, 1234);
	ck_assert_str_eq(out, "bytes */1234");
	r = (struct sd_http_range){UINT64_MAX, UINT64_MAX};
	ck_assert_uint_lt(sd_http_write_content_range(out, &r, UINT64_MAX), SD_HTTP_CONTENT_RANGE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http_range");
	TCase *t = tcase_create("http_range");

	tcase_add_test(t, table);
	tcase_add_test(t, covers);
	tcase_add_test(t, content_range);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
