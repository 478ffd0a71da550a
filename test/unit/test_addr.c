#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core/addr.h"

static struct sd_addr parsed(const char *text)
{
	struct sd_addr a;
	struct sd_error e = {0};
	ck_assert_msg(sd_addr_parse(text, "127.0.0.1", &a, &e) == SD_OK, "%s: %s", text, e.text);
	return a;
}

START_TEST(good)
{
	static const struct {
		const char *text, *back, *host;
		enum sd_addr_kind kind;
		uint16_t port;
		bool v6, loopback;
	} rows[] = {
	    {"127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", SD_ADDR_INET, 80, false, true},
	    {"127.9.9.9:0", "127.9.9.9:0", "127.9.9.9", SD_ADDR_INET, 0, false, true},
	    {"10.1.2.3:65535", "10.1.2.3:65535", "10.1.2.3", SD_ADDR_INET, 65535, false, false},
	    {":8080", "127.0.0.1:8080", "127.0.0.1", SD_ADDR_INET, 8080, false, true},
	    {"*:8080", "0.0.0.0:8080", "0.0.0.0", SD_ADDR_INET, 8080, false, false},
	    {"localhost:1", "127.0.0.1:1", "127.0.0.1", SD_ADDR_INET, 1, false, true},
	    {"LocalHost:1", "127.0.0.1:1", "127.0.0.1", SD_ADDR_INET, 1, false, true},
	    {"[::1]:80", "[::1]:80", "::1", SD_ADDR_INET, 80, true, true},
	    {"[2001:db8:0:0:0:0:0:1]:443", "[2001:db8::1]:443", "2001:db8::1", SD_ADDR_INET, 443, true, false},
	    {"example.org:80", "example.org:80", "example.org", SD_ADDR_NAME, 80, false, false},
	    {"web-1:080", "web-1:80", "web-1", SD_ADDR_NAME, 80, false, false},
	    {"unix:/run/x.sock", "unix:/run/x.sock", "unix", SD_ADDR_UNIX, 0, false, true},
	    {"unix:a:b", "unix:a:b", "unix", SD_ADDR_UNIX, 0, false, true},
	    {"inproc:web-1", "inproc:web-1", "inproc", SD_ADDR_INPROC, 0, false, true},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[SD_ADDR_TEXT];
		struct sd_addr a = parsed(rows[i].text);
		ck_assert_int_eq(a.kind, rows[i].kind);
		ck_assert_uint_eq(a.port, rows[i].port);
		ck_assert_int_eq(a.v6, rows[i].v6);
		ck_assert_int_eq(sd_addr_is_loopback(&a), rows[i].loopback);
		ck_assert_str_eq(sd_addr_format(&a, text), rows[i].back);
		struct sd_addr again = parsed(text);
		ck_assert(sd_addr_equal(&a, &again));
		ck_assert_uint_eq(sd_addr_format_host(&a, text), strlen(rows[i].host));
		ck_assert_str_eq(text, rows[i].host);
	}
}
END_TEST

START_TEST(bad)
{
	static const char *const rows[] = {
	    "",        "80",     "127.0.0.1", "127.0.0.1:",   "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:8o",
	    "h:+80",   "h: 80",  "::1:80",    "[::1]",        "[::1]80",         "[]:80",        "unix:",
	    "inproc:", "h:8 0",  "a:b:80",    "h:0000000080",
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sd_addr a;
		struct sd_error e = {0};
		ck_assert_msg(sd_addr_parse(rows[i], "127.0.0.1", &a, &e) == SD_EINVAL, "\"%s\" was taken", rows[i]);
		ck_assert_msg(strstr(e.text, "expected") != NULL, "%s", e.text);
	}
}
END_TEST

START_TEST(lengths)
{
	struct sd_addr a;
	struct sd_error e;
	char text[200], back[SD_ADDR_TEXT];
	memset(text, 'x', sizeof(text));
	memcpy(text, "unix:", 5);
	text[5 + 107] = '\0';
	ck_assert_int_eq(sd_addr_parse(text, "", &a, &e), SD_OK);
	ck_assert_str_eq(sd_addr_format(&a, back), text);
	memcpy(text + 5 + 107, "x", 2);
	ck_assert_int_eq(sd_addr_parse(text, "", &a, &e), SD_EINVAL);
	memset(text, 'x', sizeof(text));
	snprintf(text + 107, sizeof(text) - 107, ":65535");
	ck_assert_int_eq(sd_addr_parse(text, "", &a, &e), SD_OK);
	ck_assert_str_eq(sd_addr_format(&a, back), text);
	memset(text, 'x', sizeof(text));
	snprintf(text + 108, sizeof(text) - 108, ":1");
	ck_assert_int_eq(sd_addr_parse(text, "", &a, &e), SD_EINVAL);
}
END_TEST

START_TEST(equality)
{
	static const char *const rows[] = {"1.2.3.4:5", "1.2.3.4:6", "1.2.3.5:5", "[::1]:5",  "h:5",
					   "h:6",       "g:5",       "unix:h",    "inproc:h", "unix:g"};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
			struct sd_addr a = parsed(rows[i]), b = parsed(rows[k]);
			ck_assert_int_eq(sd_addr_equal(&a, &b), i == k);
		}
	struct sd_addr none = {0};
	char text[SD_ADDR_TEXT];
	ck_assert_str_eq(sd_addr_format(&none, text), "-");
}
END_TEST

START_TEST(peers)
{
	static const struct {
		const char *addr, *text;
	} rows[] = {
	    {"1.22.255.0:7", "1.22.255.0"}, {"100.99.10.9:1", "100.99.10.9"}, {"[2001:db8::2]:7", "2001:db8::2"},
	    {"unix:/x", "unix"},            {"inproc:web", "inproc"},
	};
	char text[46];
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sd_addr a = parsed(rows[i].addr);
		struct sd_peer p = sd_addr_peer(&a);
		ck_assert_uint_eq(sd_peer_format(&p, text), strlen(rows[i].text));
		ck_assert_str_eq(text, rows[i].text);
	}
	for (int b = 0; b < 256; b++) {
		char want[46];
		struct sd_peer p = {.kind = SD_ADDR_INET, .ip = {(uint8_t)b, 0, (uint8_t)(255 - b), (uint8_t)b}};
		snprintf(want, sizeof(want), "%d.0.%d.%d", b, 255 - b, b);
		sd_peer_format(&p, text);
		ck_assert_str_eq(text, want);
	}
}
END_TEST

static bool has(const char *net, const char *ip)
{
	struct sd_cidr c;
	struct sd_error e = {0};
	uint8_t bytes[16];
	bool v6;
	ck_assert_msg(sd_cidr_parse(net, &c, &e) == SD_OK, "%s", e.text);
	ck_assert(sd_ip_parse(sd_slice_of(ip), bytes, &v6));
	return sd_cidr_has(&c, bytes, v6);
}

START_TEST(networks)
{
	ck_assert(has("10.0.0.0/8", "10.255.1.2"));
	ck_assert(!has("10.0.0.0/8", "11.0.0.0"));
	ck_assert(has("10.1.2.3/8", "10.9.9.9")); /* bits behind the prefix do not count */
	ck_assert(has("192.168.4.0/22", "192.168.7.255"));
	ck_assert(!has("192.168.4.0/22", "192.168.8.0"));
	ck_assert(has("1.2.3.4", "1.2.3.4"));
	ck_assert(!has("1.2.3.4", "1.2.3.5"));
	ck_assert(has("1.2.3.4/31", "1.2.3.5"));
	ck_assert(has("0.0.0.0/0", "255.255.255.255"));
	ck_assert(!has("0.0.0.0/0", "::1"));
	ck_assert(has("::/0", "2001:db8::1"));
	ck_assert(!has("::/0", "1.2.3.4"));
	ck_assert(has("2001:db8::/33", "2001:db8:7fff::1"));
	ck_assert(!has("2001:db8::/33", "2001:db8:8000::1"));
	ck_assert(has("::1", "::1"));
	ck_assert(!has("::1", "::2"));
}
END_TEST

START_TEST(bad_networks)
{
	static const char *const rows[] = {"",          "10.0.0.0/33", "::/129",       "10.0.0/8",  "10.0.0.0/",
					   "10.0.0.0/ 8", "10.0.0.0/-1", "10.0.0.0/8x", "host/8",    "/8",
					   "10.0.0.0/99999999999999999999"};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sd_cidr c;
		ck_assert_msg(sd_cidr_parse(rows[i], &c, NULL) == SD_EINVAL, "\"%s\" was taken", rows[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("addr");
	TCase *t = tcase_create("addr");
	tcase_add_test(t, good);
	tcase_add_test(t, bad);
	tcase_add_test(t, lengths);
	tcase_add_test(t, equality);
	tcase_add_test(t, peers);
	tcase_add_test(t, networks);
	tcase_add_test(t, bad_networks);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
