/* Where a broker is, as a URL: what clients of others take, and what is refused without showing a password. */
#include <check.h>
#include <stdlib.h>

#include "core/amqp_url.h"
#include "core/resp_url.h"

static const struct {
	const char *url, *host, *user, *password, *vhost;
	bool secure, login, port;
} good[] = {
    {"amqp://localhost", "localhost", "", "", "/"},
    {"amqp://", "", "", "", "/"},
    {"amqp:///orders", "", "", "", "orders"},
    {"amqp://host/", "host", "", "", "/"},
    {"amqp://host/%2f", "host", "", "", "/"},
    {"amqp://host/%2F", "host", "", "", "/"},
    {"amqp://host/a%2fb", "host", "", "", "a/b"},
    {"AMQP://host:1/v", "host:1", "", "", "v", .port = true},
    {"amqps://[::1]:5671/v", "[::1]:5671", "", "", "v", .secure = true, .port = true},
    {"amqp://[::1]/v", "[::1]", "", "", "v"},
    {"amqp://u:p@host:5672", "host:5672", "u", "p", "/", .login = true, .port = true},
    {"amqp://u@host", "host", "u", "", "/", .login = true},
    {"amqp://u%40x:p%3a%2F@host", "host", "u@x", "p:/", "/", .login = true},
    {"amqp://u:p@ss@host", "host", "u", "p@ss", "/", .login = true},
    {"amqp://:p@host", "host", "", "p", "/", .login = true},
    {"amqp://u:p%zz@host", "host", "u", "p%zz", "/", .login = true},
};

START_TEST(understood)
{
	struct sd_amqp_url u;
	struct sd_error e = {0};
	ck_assert_msg(sd_amqp_url_parse(good[_i].url, &u, &e) == SD_OK, "%s: %s", good[_i].url, e.text);
	ck_assert(sd_amqp_url_is(good[_i].url));
	ck_assert(sd_slice_eq(u.host, good[_i].host) && sd_slice_starts(u.shown, good[_i].host));
	ck_assert_str_eq(u.user, good[_i].user);
	ck_assert_str_eq(u.password, good[_i].password);
	ck_assert_str_eq(u.vhost, good[_i].vhost);
	ck_assert(u.secure == good[_i].secure && u.has_login == good[_i].login && u.has_port == good[_i].port);
	ck_assert_ptr_null(strstr(u.shown.p, "p@"));
}
END_TEST

static const struct {
	const char *url, *why;
} bad[] = {
    {"redis://host", "expected amqp://HOST[:PORT][/VHOST], found \"redis://host\""},
    {"host", "expected amqp://HOST[:PORT][/VHOST], found \"host\""},
    {"amqp://host/a/b", "expected one vhost behind the host (%2f for a slash in it), found \"/a/b\""},
    {"amqp://host/a?heartbeat=5", "expected one vhost behind the host (%2f for a slash in it), found \"/a?heartbeat=5\""},
    {"amqp://host?x=1", "expected a vhost behind the host, found \"?x=1\""},
    {"amqp://u:secret%00@host", "expected a user and password of less than 512 bytes each"},
    {"amqp://host/a%00", "expected a vhost of at most 255 bytes"},
};

START_TEST(refused)
{
	struct sd_amqp_url u;
	struct sd_error e = {0};
	ck_assert_int_eq(sd_amqp_url_parse(bad[_i].url, &u, &e), SD_EUSAGE);
	ck_assert_str_eq(e.text, bad[_i].why);
}
END_TEST

/* So many letters, behind a beginning. */
static char *long_url(const char *before, size_t n, const char *after)
{
	char *url = calloc(1, strlen(before) + n + strlen(after) + 1);
	memcpy(url, before, strlen(before));
	memset(url + strlen(before), 'x', n);
	memcpy(url + strlen(before) + n, after, strlen(after));
	return url;
}

START_TEST(lengths_end)
{
	static const struct {
		const char *before, *after;
		size_t most;
	} rows[] = {{"amqp://", "@h", SD_AMQP_SECRET - 1}, {"amqp://u:", "@h", SD_AMQP_SECRET - 1}, {"amqp://h/", "", SD_AMQP_SHORT_MAX}};
	struct sd_amqp_url u;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t more = 0; more < 2; more++) {
			char *url = long_url(rows[i].before, rows[i].most + more, rows[i].after);
			ck_assert_int_eq(sd_amqp_url_parse(url, &u, NULL), more ? SD_EUSAGE : SD_OK);
			free(url);
		}
}
END_TEST

/* The other protocol's login is the other way round: what has no colon is the password. */
START_TEST(logins_of_a_cache)
{
	struct sd_resp_url u;
	ck_assert_int_eq(sd_resp_url_parse("redis://s%40x@host", &u, NULL), SD_OK);
	ck_assert(!*u.user && strcmp(u.password, "s@x") == 0);
	ck_assert_int_eq(sd_resp_url_parse("redis://u:s@host", &u, NULL), SD_OK);
	ck_assert(strcmp(u.user, "u") == 0 && strcmp(u.password, "s") == 0);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
	Suite *s = suite_create("amqp_url");
	TCase *t = tcase_create("url");
	tcase_add_loop_test(t, understood, 0, COUNT(good));
	tcase_add_loop_test(t, refused, 0, COUNT(bad));
	tcase_add_test(t, lengths_end);
	tcase_add_test(t, logins_of_a_cache);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
