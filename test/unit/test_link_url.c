/* Targets of links: what is taken and how it is written, and what is refused and why. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/link_url.h"
#include "core/rng.h"
#include "guard.h"
#include "net/idn.h"

static const char *const own[] = {"s.example.com", "localhost:8080", "[::1]:8080"};
static const struct sd_link_url_conf plain = {.own = own, .nown = 3, .to_ascii = sd_idn_to_ascii};
static const struct sd_link_url_conf wide = {
    .schemes = "http,https,mailto,ftp,javascript,file", .login = true, .max = 100, .own = own, .nown = 3};

static const struct {
	const char *from, *to;
} taken[] = {
    {"https://example.com/very/long/path?with=params", "https://example.com/very/long/path?with=params"},
    {"HTTP://EXAMPLE.com", "http://example.com/"},
    {"  https://example.com/a \r\n", "https://example.com/a"},
    {"http://example.com:80/", "http://example.com/"},
    {"https://example.com:443?q", "https://example.com/?q"},
    {"https://example.com:80/", "https://example.com:80/"},
    {"http://example.com:/", "http://example.com/"},
    {"http://example.com:08080#top", "http://example.com:8080/#top"},
    {"http://b\xc3\xbc" "cher.example/\xc3\xa4?\xe2\x82\xac=1#\xc3\xb6", "http://xn--bcher-kva.example/%C3%A4?%E2%82%AC=1#%C3%B6"},
    {"http://B\xc3\x9c" "CHER.example/", "http://xn--bcher-kva.example/"},
    {"http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"},
    {"http://\xe4\xbe\x8b\xe3\x81\x88.\xe3\x83\x86\xe3\x82\xb9\xe3\x83\x88/", "http://xn--r8jz45g.xn--zckzah/"},
    {"http://fa\xc3\x9f.de/", "http://xn--fa-hia.de/"},
    {"http://a_b.example./x", "http://a_b.example./x"},
    {"http://127.0.0.1:9000/", "http://127.0.0.1:9000/"},
    {"http://[2001:DB8::0:1]/", "http://[2001:db8::1]/"},
    {"https://e.com/\"<>\\^`{|}", "https://e.com/%22%3C%3E%5C%5E%60%7B%7C%7D"},
    {"https://e.com/%41%zz%", "https://e.com/%41%zz%"},
    {"https://e.com/a/../b//c;d=1,2!$&'()*+[]@:", "https://e.com/a/../b//c;d=1,2!$&'()*+[]@:"},
    {"http://localhost:3000/", "http://localhost:3000/"},
    {"http://127.0.0.1/", "http://127.0.0.1/"},
    {"http://10.0.0.1:8080/", "http://10.0.0.1:8080/"},
    {"http://[::ffff:10.0.0.1]:8080/", "http://[::ffff:10.0.0.1]:8080/"},
    {"https://xs.example.com/", "https://xs.example.com/"},
};

START_TEST(good_ones_are_normalised)
{
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		struct sd_error e = {0};
		char *out = NULL, *again = NULL;
		enum sd_err err = sd_link_url(sd_slice_of(taken[i].from), &plain, &out, &e);
		ck_assert_msg(err == SD_OK, "%s: %s", taken[i].from, e.text);
		ck_assert_str_eq(out, taken[i].to);
		ck_assert_int_eq(sd_link_url(sd_slice_of(out), &plain, &again, &e), SD_OK);
		ck_assert_str_eq(again, out);
		free(out);
		free(again);
	}
}
END_TEST

static const struct {
	const char *url;
	enum sd_err err;
	const char *says;
} refused[] = {
    {"", SD_EINVAL, "expected a URL, found nothing"},
    {" \t\n", SD_EINVAL, "expected a URL, found nothing"},
    {"example.com", SD_EINVAL, "expected a URL with a scheme"},
    {"//example.com/", SD_EINVAL, "expected a URL with a scheme"},
    {"1http://e.com/", SD_EINVAL, "expected a URL with a scheme"},
    {"javascript:alert(1)", SD_EPERM, "found javascript:"},
    {"JavaScript://e.com/%0aalert(1)", SD_EPERM, "found javascript:"},
    {"java\tscript:alert(1)", SD_EINVAL, "white space"},
    {"\x01javascript:alert(1)", SD_EINVAL, "control characters"},
    {"data:text/html,x", SD_EPERM, "found data:"},
    {"vbscript:x", SD_EPERM, "found vbscript:"},
    {"file:///etc/passwd", SD_EPERM, "found file:"},
    {"blob:https://e.com/1", SD_EPERM, "found blob:"},
    {"ftp://e.com/", SD_EPERM, "expected a URL of http or https, found ftp:"},
    {"mailto:a@e.com", SD_EPERM, "found mailto:"},
    {"http:e.com", SD_EINVAL, "expected http://HOST"},
    {"http:/e.com", SD_EINVAL, "expected http://HOST"},
    {"http://", SD_EINVAL, "expected a host"},
    {"http:///path", SD_EINVAL, "expected a host"},
    {"http://:80/", SD_EINVAL, "expected a host"},
    {"http://./", SD_EINVAL, "expected a host"},
    {"http://a..b/", SD_EINVAL, "expected a host"},
    {"http://e.com%2f@x/", SD_EPERM, "expected no user"},
    {"http://e%2ecom/", SD_EINVAL, "expected a host"},
    {"http://a,b/", SD_EINVAL, "expected a host"},
    {"http://e.com\\@evil.com/", SD_EINVAL, "backslash"},
    {"http://user:pw@e.com/", SD_EPERM, "expected no user"},
    {"http://e.com:0/", SD_EINVAL, "expected a port"},
    {"http://e.com:65536/", SD_EINVAL, "expected a port"},
    {"http://e.com:99999999999999999999/", SD_EINVAL, "expected a port"},
    {"http://e.com:8o/", SD_EINVAL, "expected a port"},
    {"http://[::1/", SD_EINVAL, "expected a host"},
    {"http://[127.0.0.1]/", SD_EINVAL, "expected a host"},
    {"http://1.2.3/", SD_EINVAL, "expected a host"},
    {"http://2130706433/", SD_EINVAL, "expected a host"},
    {"http://0x7f.1/", SD_EINVAL, "expected a host"},
    {"http://0x7f000001/", SD_EINVAL, "expected a host"},
    {"http://256.1.1.1/", SD_EINVAL, "expected a host"},
    {"http://e.com/a b", SD_EINVAL, "white space"},
    {"http://e.com/a\nb", SD_EINVAL, "white space"},
    {"http://e.com/a\rSet-Cookie: x", SD_EINVAL, "white space"},
    {"http://e.com/\x7f", SD_EINVAL, "control characters, found 0x7f at byte 14"},
    {"http://e.com/\xff", SD_EINVAL, "expected UTF-8, found byte 0xff at 14"},
    {"http://e.com/\xc3", SD_EINVAL, "expected UTF-8"},
    {"http://\xe2\x80\xae.com/", SD_EINVAL, "expected a host"},
    {"http://s.example.com/abc", SD_EPERM, "lead back here"},
    {"https://S.Example.com./abc", SD_EPERM, "lead back here"},
    {"http://localhost:8080/", SD_EPERM, "lead back here"},
    {"http://[0:0::1]:8080/x", SD_EPERM, "lead back here"},
    {"http://127.0.0.1:8080/", SD_EPERM, "lead back here"},
    {"http://LOCALHOST.:8080/", SD_EPERM, "lead back here"},
    {"http://[::ffff:127.0.0.1]:8080/", SD_EPERM, "lead back here"},
    {"http://[::ffff:7f00:1]:8080/", SD_EPERM, "lead back here"},
    {"http://0.0.0.0:8080/", SD_EPERM, "lead back here"},
    {"http://[::]:8080/", SD_EPERM, "lead back here"},
};

START_TEST(bad_ones_are_refused)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct sd_error e = {0};
		char *out = NULL;
		enum sd_err err = sd_link_url(sd_slice_of(refused[i].url), &plain, &out, &e);
		ck_assert_msg(err == refused[i].err, "%s: %d %s", refused[i].url, err, e.text);
		ck_assert_ptr_null(out);
		ck_assert_msg(strstr(e.text, refused[i].says), "%s: %s", refused[i].url, e.text);
	}
}
END_TEST

static char *take(const char *url, const struct sd_link_url_conf *conf, enum sd_err want)
{
	struct sd_error e = {0};
	char *out = NULL;
	enum sd_err err = sd_link_url(sd_slice_of(url), conf, &out, &e);
	ck_assert_msg(err == want, "%s: %d %s", url, err, e.text);
	return out;
}

START_TEST(more_is_allowed_by_option)
{
	char *out = take("MAILTO:a@b\xc3\xbc.example", &wide, SD_OK);
	ck_assert_str_eq(out, "mailto:a@b%C3%BC.example");
	free(out);
	out = take("ftp://me:pw@Host/x", &wide, SD_OK);
	ck_assert_str_eq(out, "ftp://me:pw@host/x");
	free(out);
	/* never, whatever the list says */
	take("javascript:alert(1)", &wide, SD_EPERM);
	take("file:///etc/passwd", &wide, SD_EPERM);
	take("mailto:", &wide, SD_EINVAL);
	/* without anybody who knows names of other letters */
	take("http://b\xc3\xbc" "cher.example/", &wide, SD_EINVAL);
}
END_TEST

START_TEST(length_is_bounded_before_and_after)
{
	char url[400] = "http://e.com/";
	size_t n = strlen(url);
	memset(url + n, 'a', 100 - n);
	free(take(url, &wide, SD_OK));
	url[100] = 'a';
	take(url, &wide, SD_ETOOBIG);
	/* 40 bytes that become 120 */
	memset(url + n, '\0', sizeof(url) - n);
	for (size_t i = 0; i < 40; i += 2)
		memcpy(url + n + i, "\xc3\xa4", 2);
	take(url, &wide, SD_ETOOBIG);
	char *big = malloc(65537 + 1);
	memset(big, 'a', 65537);
	memcpy(big, "http://e.com/", n);
	big[65537] = '\0';
	take(big, &plain, SD_ETOOBIG);
	big[65536] = '\0';
	free(take(big, &plain, SD_OK));
	free(big);
	char host[400] = "http://";
	memset(host + 7, 'a', 64);
	take(host, &plain, SD_EINVAL);
	host[7 + 63] = '\0';
	free(take(host, &plain, SD_OK));
	for (int i = 1; i < 5; i++)
		host[7 + 63 * i + i - 1] = '.', memset(host + 7 + 64 * i, 'a', 63);
	take(host, &plain, SD_EINVAL);
}
END_TEST

/* Whatever comes in: what goes out is ASCII without white space, begins with a scheme of the list and is its own normal form. */
START_TEST(nothing_bad_gets_through)
{
	static const char *const parts[] = {"http", "https", "javascript", ":", "//", "/", "e.com", "@", "\\", "[::1]", ":80", "%0d%0a", "\r", "\n",
					    "\t", " ", "\xc3\xbc", "\xff", "?", "#", ".", "1.2.3.4", "\x01", "<", "s.example.com", "xn--", "-"};
	struct guard g = guard_new(512);
	struct sd_rng rng;
	unsigned good = 0;
	sd_rng_seed(&rng, 4);
	for (int round = 0; round < 60000; round++) {
		char text[300] = "";
		size_t n = 0;
		if (round % 2)
			n = (size_t)snprintf(text, sizeof(text), "http://");
		for (unsigned i = 1 + sd_rng_below(&rng, 7); i > 0; i--)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", parts[sd_rng_below(&rng, sizeof(parts) / sizeof(parts[0]))]);
		char *out = NULL, *again = NULL;
		if (sd_link_url((struct sd_slice){guard_put(&g, text, n), n}, &plain, &out, NULL) != SD_OK)
			continue;
		good++;
		ck_assert_msg(strncmp(out, "http://", 7) == 0 || strncmp(out, "https://", 8) == 0, "%s", out);
		for (const char *p = out; *p; p++)
			ck_assert_msg(*p > ' ' && *p < 0x7f, "%s gave %s", text, out);
		ck_assert_int_eq(sd_link_url(sd_slice_of(out), &plain, &again, NULL), SD_OK);
		ck_assert_str_eq(again, out);
		free(out);
		free(again);
	}
	ck_assert_uint_gt(good, 1000);
	guard_free(&g);
}
END_TEST

START_TEST(names_for_people)
{
	char out[64];
	ck_assert_uint_eq(sd_idn_to_text("xn--bcher-kva.example", out, sizeof(out)), 15);
	ck_assert_str_eq(out, "b\xc3\xbc" "cher.example");
	sd_idn_to_text("example.com", out, sizeof(out));
	ck_assert_str_eq(out, "example.com");
	sd_idn_to_text("xn--a-\x01", out, sizeof(out));
	ck_assert_str_eq(out, "xn--a-\x01");
	ck_assert_uint_eq(sd_idn_to_text("example.com", out, 5), 4);
	ck_assert_str_eq(out, "exam");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("link_url");
	TCase *c = tcase_create("all");
	tcase_add_test(c, good_ones_are_normalised);
	tcase_add_test(c, bad_ones_are_refused);
	tcase_add_test(c, more_is_allowed_by_option);
	tcase_add_test(c, length_is_bounded_before_and_after);
	tcase_add_test(c, nothing_bad_gets_through);
	tcase_add_test(c, names_for_people);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
