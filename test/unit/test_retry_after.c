#include <check.h>
#include <string.h>

#include "core/http_url.h"
#include "core/retry_after.h"

#define S 1000000000ll

START_TEST(values)
{
	static const struct {
		const char *text;
		int64_t ns;
	} rows[] = {
	    {"0", 0}, {"1", S}, {"120", 120 * S}, {"007", 7 * S}, {"31622400", 31622400 * S}, {"31622401", 31622400 * S},
	    {"99999999999999999999999999", 31622400 * S}, {"", -1}, {"-1", -1}, {"+1", -1}, {"1.5", -1}, {"1 ", -1}, {" 1", -1}, {"soon", -1},
	    {"Sun, 06 Nov 1994 08:49:37 GMT", 37 * S}, {"Sunday, 06-Nov-94 08:49:37 GMT", 37 * S}, {"Sun Nov  6 08:49:37 1994", 37 * S},
	    {"Sun, 06 Nov 1994 08:48:37 GMT", 0}, {"Mon, 06 Nov 1994 08:49:37 GMT", -1},
	    {"Sun, 06 Nov 2094 08:49:37 GMT", -1}, {"Sat, 06 Nov 2094 08:49:37 GMT", 31622400 * S},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t got = sd_retry_after(sd_slice_of(rows[i].text), 784111740);
		ck_assert_msg(got == rows[i].ns, "\"%s\": %lld", rows[i].text, (long long)got);
	}
}
END_TEST

START_TEST(urls)
{
	static const struct {
		const char *text, *host, *name, *path;
		bool secure;
		int port; /* 0: a name; -1: no address */
	} rows[] = {
	    {"http://127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1", "/", false, 8080},
	    {"HTTP://127.0.0.1/a/b?c=/d#e", "127.0.0.1", "127.0.0.1", "/a/b?c=/d", false, 80},
	    {"https://[::1]/", "[::1]", "::1", "/", true, 443},
	    {"https://[::1]:8443?x", "[::1]:8443", "::1", "/", true, 8443},
	    {"10.0.0.2", "10.0.0.2", "10.0.0.2", "/", false, 80},
	    {"https://example.org:1/x", "example.org:1", "example.org", "/x", true, 0},
	    {"http://127.0.0.1:99999/", "127.0.0.1:99999", "127.0.0.1", "/", false, -1},
	};
	static const char *const bad[] = {"", "http://", "http:///x", "ftp://x/", "https://?a"};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sd_http_url u;
		struct sd_addr a;
		ck_assert_msg(sd_http_url_parse(rows[i].text, &u), "%s", rows[i].text);
		ck_assert(sd_slice_eq(u.host, rows[i].host) && sd_slice_eq(u.name, rows[i].name) && sd_slice_eq(u.path, rows[i].path));
		ck_assert_int_eq(u.secure, rows[i].secure);
		enum sd_err err = sd_http_url_addr(&u, &a, NULL);
		ck_assert_int_eq(err == SD_OK, rows[i].port >= 0);
		if (rows[i].port > 0)
			ck_assert_uint_eq(a.port, (unsigned)rows[i].port);
		if (rows[i].port >= 0)
			ck_assert_int_eq(a.kind, rows[i].port ? SD_ADDR_INET : SD_ADDR_NAME);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sd_http_url u;
		ck_assert_msg(!sd_http_url_parse(bad[i], &u), "%s", bad[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("retry_after");
	TCase *t = tcase_create("retry_after");
	tcase_add_test(t, values);
	tcase_add_test(t, urls);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
