#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/base64.h"

/* RFC 4648 section 10. */
static const struct {
	const char *bytes, *text;
} vectors[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};

START_TEST(both_ways)
{
	char text[16];
	uint8_t bytes[16];
	size_t n = strlen(vectors[_i].bytes);
	sd_base64(text, (const uint8_t *)vectors[_i].bytes, n);
	ck_assert_str_eq(text, vectors[_i].text);
	ck_assert_uint_eq(strlen(text), sd_base64_length(n));
	ck_assert(sd_base64_read(bytes, sd_slice_of(text), &n));
	ck_assert_uint_eq(n, strlen(vectors[_i].bytes));
	ck_assert_mem_eq(bytes, vectors[_i].bytes, n);
}
END_TEST

static const char *const none[] = {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm 9", "Zm9_", "Zm-v"};

START_TEST(what_is_none)
{
	uint8_t bytes[16];
	size_t n;
	ck_assert(!sd_base64_read(bytes, sd_slice_of(none[_i]), &n));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base64");
	TCase *t = tcase_create("base64");
	tcase_add_loop_test(t, both_ways, 0, sizeof(vectors) / sizeof(vectors[0]));
	tcase_add_loop_test(t, what_is_none, 0, sizeof(none) / sizeof(none[0]));
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
