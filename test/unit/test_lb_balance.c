/* Sticky sessions, hashing, backups, panic and the retry budget, through the running balancer. */
#include <poll.h>

#include "core/sticky.h"
#include "lb_rig.h"

#define SECRET "a secret of more than sixteen bytes"
#define STICKY NO_IDLE "sticky: {cookie: lb, secret: " SECRET "}\n"

static char cookie[256]; /* of the last answer: NAME=VALUE without attributes; "" */
static char attributes[256];

static int who_is_asked(void)
{
	struct pollfd fds[MAX];
	for (int i = 0; i < t->nback; i++)
		fds[i] = (struct pollfd){.fd = t->back[i].fd, .events = POLLIN};
	ck_assert_int_eq(poll(fds, (nfds_t)t->nback, RIG_WAIT_MS), 1);
	for (int i = 0; i < t->nback; i++)
		if (fds[i].revents)
			return i;
	return -1;
}

static void read_cookie(const struct peer *c)
{
	const char *at = strstr(c->head, "Set-Cookie: ");
	cookie[0] = attributes[0] = '\0';
	if (!at)
		return;
	at += strlen("Set-Cookie: ");
	snprintf(cookie, sizeof(cookie), "%.*s", (int)strcspn(at, ";\r"), at);
	at += strcspn(at, ";\r");
	snprintf(attributes, sizeof(attributes), "%.*s", (int)strcspn(at, "\r"), at);
}

/* Asks for a target with more fields (each with CRLF); who answered. */
static int ask(const char *target, const char *fields)
{
	char text[1024];
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", target, fields);
	struct peer *c = asks(text);
	int i = who_is_asked();
	serve(i, "x");
	peer_answer(c, 200);
	read_cookie(c);
	peer_free(c);
	return i;
}

static int ask_with(const char *value)
{
	char field[300];
	snprintf(field, sizeof(field), "Cookie: a=b; %s; c=d\r\n", value);
	return ask("/", field);
}

/* ---- sticky sessions ---- */

START_TEST(a_cookie_is_given_and_honoured)
{
	char mine[256];
	start(STICKY);
	int first = ask("/", "");
	ck_assert_str_eq(attributes, "; Path=/; HttpOnly; SameSite=Lax");
	ck_assert_uint_eq(strlen(cookie), strlen("lb=") + SD_STICKY_TEXT);
	strcpy(mine, cookie);
	for (int k = 0; k < 5; k++) {
		ck_assert_int_eq(ask_with(mine), first);
		ck_assert_str_eq(cookie, ""); /* it has the right one */
	}
	ck_assert_int_ne(ask("/", ""), first); /* without it, the turn goes round */
	ck_assert_str_ne(cookie, mine);
	is_metric("sdlab_lb_sticky_kept_total", "", 5);
	is_metric("sdlab_lb_sticky_new_total", "", 2);
	is_metric("sdlab_lb_sticky_moved_total", "", 0);
}
END_TEST

START_TEST(attributes_of_the_cookie)
{
	start(NO_IDLE "trusted-proxies: [127.0.0.0/8]\n"
		      "sticky: {cookie: __Host-lb, secret: " SECRET ", max-age: 1h}\n");
	ask("/", "X-Forwarded-Proto: https\r\n");
	ck_assert_str_eq(attributes, "; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=3600");
	ck_assert(strncmp(cookie, "__Host-lb=", 10) == 0);
	ask("/", "X-Forwarded-Proto: http\r\n");
	ck_assert_ptr_null(strstr(attributes, "Secure"));
}
END_TEST

START_TEST(only_a_trusted_proxy_says_https)
{
	start(STICKY);
	ask("/", "X-Forwarded-Proto: https\r\n");
	ck_assert_ptr_null(strstr(attributes, "Secure"));
}
END_TEST

/* The value is the same in every balancer that has the secret, and names nobody. */
START_TEST(the_cookie_is_opaque_and_portable)
{
	char want[SD_STICKY_TEXT + 1];
	start(STICKY);
	int i = ask("/", "");
	struct sd_siphash_key key = sd_sticky_key(SECRET, strlen(SECRET));
	sd_sticky_write(&key, sd_sticky_id(&key, i == A ? "a" : "b"), want);
	ck_assert_str_eq(cookie + 3, want);
}
END_TEST

START_TEST(forged_cookies_are_ignored_and_counted)
{
	char bad[256];
	start(STICKY);
	int first = ask("/", "");
	strcpy(bad, cookie);
	bad[strlen(bad) - 1] = bad[strlen(bad) - 1] == '0' ? '1' : '0';
	ck_assert_int_ne(ask_with(bad), first); /* the turn goes round */
	ck_assert_str_ne(cookie, "");           /* and a good one is given */
	ask_with("lb=127.0.0.1:8081");
	ask_with("lb=");
	is_metric("sdlab_lb_sticky_bad_total", "", 3);
	is_metric("sdlab_lb_sticky_kept_total", "", 0);
}
END_TEST

/* The backend refuses: the request goes elsewhere, and the client stays there. */
START_TEST(repinned_when_the_backend_fails)
{
	char mine[256];
	start(STICKY);
	int first = ask("/", "");
	strcpy(mine, cookie);
	stop_listening(first);
	ck_assert_int_eq(ask_with(mine), !first);
	ck_assert_str_ne(cookie, "");
	is_metric("sdlab_lb_sticky_moved_total", "", 1);
	ck_assert_int_eq(ask_with(cookie), !first);
	ck_assert_str_eq(cookie, "");
}
END_TEST

/* Drained: no new clients, but those it has stay. */
START_TEST(a_drained_backend_keeps_its_sessions)
{
	char mine[256];
	start(STICKY);
	ck_assert_int_eq(ask("/", ""), A);
	strcpy(mine, cookie);
	admin("POST", "/-/backends/a/drain", 200);
	wait_state(A, "drained");
	for (int k = 0; k < 3; k++)
		ck_assert_int_eq(ask("/", ""), B);
	ck_assert_int_eq(ask_with(mine), A);
	ck_assert_str_eq(cookie, "");
}
END_TEST

START_TEST(repinned_when_the_backend_is_gone)
{
	char mine[256];
	start(STICKY);
	ck_assert_int_eq(ask("/", ""), A);
	ck_assert_int_eq(ask("/", ""), B);
	strcpy(mine, cookie);
	t->nback = 1;
	write_text(STICKY);
	admin("POST", "/-/reload", 200);
	ck_assert_int_eq(ask_with(mine), A);
	ck_assert_str_ne(cookie, "");
	is_metric("sdlab_lb_sticky_moved_total", "", 1);
}
END_TEST

START_TEST(sessions_survive_a_reload_without_a_secret)
{
	char mine[256];
	start(NO_IDLE "sticky: {cookie: lb}\n");
	wait_said("Sticky sessions will not survive a restart");
	ask("/", "");
	int i = ask("/", "");
	strcpy(mine, cookie);
	admin("POST", "/-/reload", 200);
	ck_assert_int_eq(ask_with(mine), i);
	ck_assert_int_eq(ask_with(mine), i);
	is_metric("sdlab_lb_sticky_bad_total", "", 0);
}
END_TEST

/* The one it belongs to is busy: it waits for that one, and those behind it do not wait with it. */
START_TEST(a_session_waits_for_its_backend)
{
	char mine[256], text[400];
	t->back[A].options = ", max-connections: 1";
	t->back[B].options = ", max-connections: 1";
	start(STICKY);
	ck_assert_int_eq(ask("/", ""), A);
	strcpy(mine, cookie);
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nCookie: %s\r\n\r\n", mine);
	struct peer *one = asks(text), *at_a = asked(A);
	struct peer *other = asks(GET), *at_b = asked(B);
	struct peer *two = asks(text); /* waits for A */
	wait_metric("sdlab_lb_queue_length", "", 1);
	struct peer *three = asks(GET); /* waits for anybody, behind it */
	wait_metric("sdlab_lb_queue_length", "", 2);
	answers(at_b, "b");
	peer_ends(at_b);
	peer_answer(other, 200);
	serve(B, "three"); /* B is free: the second in the queue has it */
	peer_answer(three, 200);
	ck_assert_str_eq(three->body, "three");
	answers(at_a, "a");
	peer_answer(one, 200);
	serve(A, "two");
	peer_answer(two, 200);
	ck_assert_str_eq(two->body, "two");
	struct peer *all[] = {one, other, two, three, at_a, at_b};
	for (int i = 0; i < 6; i++)
		peer_free(all[i]);
}
END_TEST

START_TEST(a_secret_from_a_file)
{
	char mine[256], path[] = "/tmp/sdlab-secret-XXXXXX", extra[400];
	int fd = mkstemp(path);
	ck_assert_int_eq(write(fd, SECRET "\n", strlen(SECRET) + 1), (ssize_t)strlen(SECRET) + 1);
	close(fd);
	snprintf(extra, sizeof(extra), NO_IDLE "sticky: {cookie: lb, secret-file: %s}\n", path);
	start(extra);
	int i = ask("/", "");
	strcpy(mine, cookie);
	struct sd_siphash_key key = sd_sticky_key(SECRET, strlen(SECRET));
	char want[SD_STICKY_TEXT + 1];
	sd_sticky_write(&key, sd_sticky_id(&key, i == A ? "a" : "b"), want);
	ck_assert_str_eq(mine + 3, want);
	/* a reload that cannot read it changes nothing */
	unlink(path);
	struct peer *r = admin_call("POST", "/-/reload", 400);
	ck_assert_msg(strstr(r->body, "sticky secret-file") != NULL, "%s", r->body);
	peer_free(r);
	ck_assert_int_eq(ask_with(mine), i);
}
END_TEST

START_TEST(secrets_are_not_shown)
{
	start(STICKY "algorithm: hash\nhash: {seed: not for everybody}\n");
	struct peer *c = admin_call("GET", "/-/config", 200);
	ck_assert_ptr_null(strstr(c->body, SECRET));
	ck_assert_ptr_null(strstr(c->body, "not for everybody"));
	ck_assert_ptr_nonnull(strstr(c->body, "***"));
	peer_free(c);
}
END_TEST

/* ---- hash ---- */

#define HASH NO_IDLE "algorithm: hash\n"

/* Requests with the same %d go to the same backend, and with others to every one of them. */
static void hashes(const char *target, const char *field)
{
	int of[12];
	unsigned seen = 0;
	for (int k = 0; k < 24; k++) {
		char path[128], line[128];
		snprintf(path, sizeof(path), target, k % 12);
		snprintf(line, sizeof(line), field, k % 12);
		int i = ask(path, line);
		ck_assert(k < 12 || of[k % 12] == i);
		of[k % 12] = i;
		seen |= 1u << i;
	}
	ck_assert_uint_eq(seen, 7);
}

START_TEST(hash_on_each_source)
{
	static const struct {
		const char *options, *target, *field;
	} sources[] = {
	    {"hash: {on: header, name: X-User}\n", "/", "X-User: u%d\r\n"},
	    {"hash: {on: cookie, name: user}\n", "/", "Cookie: a=1; user=u%d\r\n"},
	    {"hash: {on: query, name: user}\n", "/?a=1&user=u%d", ""},
	    {"hash: {on: path}\n", "/u%d?a=1", ""},
	    {"trusted-proxies: [127.0.0.0/8]\nhash: {on: client}\n", "/", "X-Forwarded-For: 10.0.0.%d\r\n"},
	};
	char extra[256];
	t->nback = 3;
	snprintf(extra, sizeof(extra), HASH "%s", sources[_i].options);
	start(extra);
	hashes(sources[_i].target, sources[_i].field);
}
END_TEST

/* What does not count does not move a request; and an untrusted client does not choose its address. */
START_TEST(hash_on_the_client_alone)
{
	t->nback = 3;
	start(HASH);
	int i = ask("/", "");
	for (int k = 0; k < 6; k++) {
		char path[32], field[64];
		snprintf(path, sizeof(path), "/%d", k);
		snprintf(field, sizeof(field), "X-Forwarded-For: 10.0.0.%d\r\n", k);
		ck_assert_int_eq(ask(path, field), i);
	}
}
END_TEST

START_TEST(requests_without_the_key_are_spread)
{
	unsigned seen = 0;
	start(HASH "hash: {on: header, name: X-User}\n");
	for (int k = 0; k < 40; k++)
		seen |= 1u << ask("/", "");
	ck_assert_uint_eq(seen, 3);
}
END_TEST

/* Keys of one that is drained move, and come back with it; the others never do. */
START_TEST(keys_come_back_with_their_backend)
{
	int of[12];
	char path[32];
	t->nback = 3;
	start(HASH "hash: {on: path}\n");
	for (int round = 0; round < 3; round++) {
		if (round > 0) {
			admin("POST", round == 1 ? "/-/backends/a/drain" : "/-/backends/a/ready", 200);
			wait_state(A, round == 1 ? "drained" : "up");
		}
		for (int k = 0; k < 12; k++) {
			snprintf(path, sizeof(path), "/u%d", k);
			int i = ask(path, "");
			if (round == 0)
				of[k] = i;
			else
				ck_assert(i == of[k] || (round == 1 && of[k] == A && i != A));
		}
	}
}
END_TEST

/* A hot key overflows to another backend when its owner has its part, and not before. */
START_TEST(the_bound)
{
	start(HASH "hash: {on: path, bound: 1.5}\n");
	int owner = ask("/hot", "");
	struct peer *c[3], *b[3];
	for (int k = 0; k < 3; k++) {
		c[k] = asks("GET /hot HTTP/1.1\r\nHost: h\r\n\r\n");
		/* ceil(1.5 * 1 / 2) = 1, ceil(1.5 * 2 / 2) = 2, ceil(1.5 * 3 / 2) = 3 */
		b[k] = asked(owner);
	}
	struct peer *d = asks("GET /hot HTTP/1.1\r\nHost: h\r\n\r\n");
	serve(!owner, "elsewhere"); /* ceil(1.5 * 4 / 2) = 3, and that is what it has */
	peer_answer(d, 200);
	peer_free(d);
	for (int k = 0; k < 3; k++) {
		answers(b[k], "x");
		peer_answer(c[k], 200);
		peer_free(b[k]);
		peer_free(c[k]);
	}
}
END_TEST

/* ---- backups, panic ---- */

START_TEST(a_backup_serves_while_nobody_else_can)
{
	t->back[B].options = ", backup: true";
	start(NO_IDLE);
	for (int k = 0; k < 3; k++)
		ck_assert_int_eq(ask("/", ""), A);
	admin("POST", "/-/backends/a/drain", 200);
	wait_said("No primary is usable: the backups serve");
	ck_assert_int_eq(ask("/", ""), B);
	admin("POST", "/-/backends/a/ready", 200);
	wait_said("The primaries serve again");
	ck_assert_int_eq(ask("/", ""), A);
}
END_TEST

/* Before anybody noticed that the primary is dead: the retry goes to the backup. */
START_TEST(a_backup_takes_the_retry)
{
	t->back[B].options = ", backup: true";
	start(NO_IDLE);
	stop_listening(A);
	ck_assert_int_eq(ask("/", ""), B);
}
END_TEST

/* A primary that is only busy is waited for. */
START_TEST(a_busy_primary_is_waited_for)
{
	t->back[A].options = ", max-connections: 1";
	t->back[B].options = ", backup: true";
	start(NO_IDLE);
	struct peer *one = asks(GET), *at_a = asked(A), *two = asks(GET);
	wait_metric("sdlab_lb_queue_length", "", 1);
	not_asked(B);
	answers(at_a, "one");
	peer_answer(one, 200);
	serve(A, "two");
	peer_answer(two, 200);
	peer_free(one);
	peer_free(two);
	peer_free(at_a);
}
END_TEST

#define CHECKED "health: {type: tcp, interval: 10ms, fall: 1, rise: 1}\n"

static void goes_down(int i)
{
	stop_listening(i);
	wait_state(i, "down");
}

/* One of three is left; the checks, who only connect, keep it up. */
static void one_of_three_is_left(const char *panic)
{
	char extra[256];
	t->nback = 3;
	snprintf(extra, sizeof(extra), "%s" CHECKED "%sretries: 0\n", NO_IDLE, panic);
	start(extra);
	goes_down(B);
	goes_down(C);
}

static int status_of(const char *request)
{
	struct peer *c = asks(request);
	peer_head(c);
	int status = peer_status(c);
	peer_free(c);
	return status;
}

/* Three requests, of which the dead answer so many with 502; the one that lives keeps what it gets. */
static void are_refused(int want)
{
	struct peer *c[3];
	struct pollfd fds[3];
	int failed = 0;
	for (int k = 0; k < 3; k++) {
		c[k] = asks(GET);
		fds[k] = (struct pollfd){.fd = c[k]->fd, .events = POLLIN};
	}
	while (failed < want) {
		ck_assert_int_ge(poll(fds, 3, RIG_WAIT_MS), 1);
		for (int k = 0; k < 3; k++)
			if (fds[k].fd >= 0 && fds[k].revents) {
				peer_answer(c[k], 502);
				fds[k].fd = -1;
				failed++;
			}
	}
	for (int k = 0; k < 3; k++) {
		if (fds[k].fd >= 0)
			peer_is_quiet(c[k]);
		peer_free(c[k]);
	}
}

/* All are used: the dead ones, too. */
START_TEST(panic_uses_all)
{
	one_of_three_is_left("panic: {threshold: 50%}\n");
	wait_said("Panic: 1 of 3 backends usable, so all are used, whatever their health");
	is_metric("sdlab_lb_panic", "", 1);
	are_refused(2);
}
END_TEST

START_TEST(panic_uses_none)
{
	one_of_three_is_left("panic: {threshold: 50%, use: none}\n");
	wait_said("so none is used");
	for (int k = 0; k < 3; k++)
		ck_assert_int_eq(status_of(GET), 503);
}
END_TEST

START_TEST(control_no_panic_by_default)
{
	one_of_three_is_left("");
	is_metric("sdlab_lb_panic", "", 0);
	are_refused(0);
}
END_TEST

/* ---- the retry budget ---- */

START_TEST(the_budget_runs_out)
{
	start(NO_IDLE "retry-budget: 0%\nretry-budget-min: 1\n"); /* ten in ten seconds */
	stop_listening(A);
	stop_listening(B);
	for (int k = 0; k < 15; k++)
		ck_assert_int_eq(status_of(GET), 502);
	is_metric("sdlab_lb_retries_total", "", 10);
	is_metric("sdlab_lb_retry_budget_exhausted_total", "", 5);
}
END_TEST

START_TEST(control_a_budget_for_all)
{
	start(NO_IDLE "retry-budget: 100%\n");
	stop_listening(A);
	stop_listening(B);
	for (int k = 0; k < 40; k++)
		ck_assert_int_eq(status_of(GET), 502);
	is_metric("sdlab_lb_retries_total", "", 40);
	is_metric("sdlab_lb_retry_budget_exhausted_total", "", 0);
}
END_TEST

/* ---- bad input ---- */

START_TEST(refused_configurations)
{
	static const struct {
		const char *extra, *want;
	} bad[] = {
	    {"hash: {on: header}\n", "expected the name of the header"},
	    {"hash: {on: cookie, name: \"a b\"}\n", "hash name: expected"},
	    {"hash: {on: query, name: \"a&b\"}\n", "hash name: expected"},
	    {"hash: {on: path, name: x}\n", "not used with on: path"},
	    {"hash: {bound: 1}\n", "hash bound: expected 0, or 1.01 to 1000"},
	    {"hash: {bound: -1}\n", "hash bound: expected"},
	    {"mode: tcp\nhash: {on: path}\n", "expected on: client in TCP mode"},
	    {"mode: tcp\nsticky: {cookie: lb}\n", "no cookies in TCP mode"},
	    {"sticky: {cookie: \"a;b\"}\n", "sticky cookie: expected"},
	    {"sticky: {secret: " SECRET "}\n", "expected the name of a cookie"},
	    {"sticky: {cookie: lb, secret: short}\n", "expected at least 16 bytes"},
	    {"sticky: {cookie: lb, secret: " SECRET ", secret-file: x}\n", "not both"},
	    {"panic: {threshold: 120%}\n", "threshold"},
	    {"panic: {use: some}\n", "use"},
	};
	start(NO_IDLE);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sd_conf *conf = NULL;
		struct sd_error e = {0};
		write_text(bad[i].extra);
		ck_assert_msg(make_conf(&conf, &e) != SD_OK, "%s was taken", bad[i].extra);
		ck_assert_msg(strstr(e.text, bad[i].want) && strncmp(e.text, "lb.yaml:", 8) == 0, "%s: %s", bad[i].extra,
			      e.text);
		ck_assert_ptr_null(strstr(e.text, SECRET));
		sd_conf_free(conf);
	}
}
END_TEST

static TCase *make(const char *name, const TTest *const *tests)
{
	TCase *c = tcase_create(name);
	tcase_add_checked_fixture(c, setup, teardown);
	for (; *tests; tests++)
		tcase_add_test(c, *tests);
	return c;
}

#define TESTS(...) ((const TTest *const[]){__VA_ARGS__, NULL})

int main(void)
{
	TCase *sources = tcase_create("sources");
	tcase_add_checked_fixture(sources, setup, teardown);
	tcase_add_loop_test(sources, hash_on_each_source, 0, 5);
	TCase *cases[] = {
	    make("sticky",
		 TESTS(a_cookie_is_given_and_honoured, attributes_of_the_cookie, only_a_trusted_proxy_says_https,
		       the_cookie_is_opaque_and_portable, forged_cookies_are_ignored_and_counted,
		       repinned_when_the_backend_fails, a_drained_backend_keeps_its_sessions,
		       repinned_when_the_backend_is_gone, sessions_survive_a_reload_without_a_secret,
		       a_session_waits_for_its_backend, a_secret_from_a_file, secrets_are_not_shown)),
	    sources,
	    make("hash", TESTS(hash_on_the_client_alone, requests_without_the_key_are_spread,
			       keys_come_back_with_their_backend, the_bound)),
	    make("tiers", TESTS(a_backup_serves_while_nobody_else_can, a_backup_takes_the_retry,
				a_busy_primary_is_waited_for, panic_uses_all, panic_uses_none,
				control_no_panic_by_default)),
	    make("budget", TESTS(the_budget_runs_out, control_a_budget_for_all)),
	    make("bad", TESTS(refused_configurations)),
	};
	return rig_main_of(cases, sizeof(cases) / sizeof(cases[0]), "lb_balance");
}
