/* CRC32C: published values, the two implementations against each other, and pieces against the whole. */
#include <stdlib.h>

#include "core/crc32c.h"
#include "core/rng.h"
#include "guard.h"

typedef uint32_t crc_fn(uint32_t crc, const void *bytes, size_t n);
static crc_fn *const both[] = {sd_crc32c, sd_crc32c_table};

/* RFC 3720, appendix B.4, and the check value that catalogues give. */
START_TEST(known_values)
{
	crc_fn *crc = both[_i];
	unsigned char zeros[32] = {0}, ones[32], up[32], down[32];
	static const unsigned char read10[48] = {
	    0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0,
	    0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0};
	for (unsigned i = 0; i < 32; i++) {
		ones[i] = 0xff;
		up[i] = (unsigned char)i;
		down[i] = (unsigned char)(31 - i);
	}
	ck_assert_uint_eq(crc(0, "", 0), 0);
	ck_assert_uint_eq(crc(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc(0, zeros, 32), 0x8a9136aa);
	ck_assert_uint_eq(crc(0, ones, 32), 0x62a8ab43);
	ck_assert_uint_eq(crc(0, up, 32), 0x46dd794e);
	ck_assert_uint_eq(crc(0, down, 32), 0x113fdb5c);
	ck_assert_uint_eq(crc(0, read10, 48), 0xd9963a56);
}
END_TEST

/* Every length and alignment, ending at a page that cannot be read. */
START_TEST(same_by_both)
{
	struct guard g = guard_new(600);
	unsigned char bytes[600];
	struct sd_rng rng;
	sd_rng_seed(&rng, 1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)sd_rng_next(&rng);
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		const char *p = guard_put(&g, bytes, n);
		uint32_t seed = (uint32_t)sd_rng_next(&rng);
		ck_assert_uint_eq(sd_crc32c(seed, p, n), sd_crc32c_table(seed, p, n));
	}
	guard_free(&g);
}
END_TEST

START_TEST(pieces)
{
	crc_fn *crc = both[_i];
	unsigned char bytes[100];
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7);
	uint32_t whole = crc(0, bytes, sizeof(bytes));
	for (size_t cut = 0; cut <= sizeof(bytes); cut++)
		ck_assert_uint_eq(crc(crc(0, bytes, cut), bytes + cut, sizeof(bytes) - cut), whole);
}
END_TEST

START_TEST(one_bit)
{
	unsigned char bytes[256] = {0};
	uint32_t whole = sd_crc32c(0, bytes, sizeof(bytes));
	for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
		bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		ck_assert_uint_ne(sd_crc32c(0, bytes, sizeof(bytes)), whole);
		bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("crc32c");
	TCase *t = tcase_create("crc32c");
	tcase_add_loop_test(t, known_values, 0, 2);
	tcase_add_test(t, same_by_both);
	tcase_add_loop_test(t, pieces, 0, 2);
	tcase_add_test(t, one_bit);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
