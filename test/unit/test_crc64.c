/* CRC64 as Redis computes it: the published value, one bit at a time against eight bytes at a time, pieces against the whole. */
#include <stdlib.h>

#include "core/crc64.h"
#include "core/rng.h"
#include "guard.h"

/* By the definition: the polynomial, a bit at a time. */
static uint64_t slow(uint64_t crc, const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (unsigned b = 0; b < 8; b++)
			crc = crc >> 1 ^ (crc & 1 ? 0x95ac9329ac4bc9b5u : 0); /* 0xad93d23594c935a9 reflected */
	}
	return crc;
}

START_TEST(known_values)
{
	ck_assert_uint_eq(sd_crc64(0, "", 0), 0);
	ck_assert_uint_eq(sd_crc64(0, "123456789", 9), 0xe9c6d914c4b8d9ca);
}
END_TEST

/* Every length, ending at a page that cannot be read, from any checksum before. */
START_TEST(as_defined)
{
	struct guard g = guard_new(300);
	unsigned char bytes[300];
	struct sd_rng rng;
	sd_rng_seed(&rng, 1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)sd_rng_next(&rng);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		uint64_t before = sd_rng_next(&rng);
		ck_assert_uint_eq(sd_crc64(before, guard_put(&g, bytes, n), n), slow(before, bytes, n));
	}
	guard_free(&g);
}
END_TEST

START_TEST(pieces)
{
	unsigned char bytes[100];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7);
	uint64_t whole = sd_crc64(0, bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= sizeof(bytes); cut++)
		ck_assert_uint_eq(sd_crc64(sd_crc64(0, bytes, cut), bytes + cut, sizeof(bytes) - cut), whole);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("crc64");
	TCase *tc = tcase_create("crc64");
	tcase_add_test(tc, known_values);
	tcase_add_test(tc, as_defined);
	tcase_add_test(tc, pieces);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
