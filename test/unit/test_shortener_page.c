/* Who may use the dashboard: sessions, what ends them, and who counts as sitting at this machine. The database's secret and the
 * answering of calls are made here. */
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../applets/shortener/http/sh_page_int.h"
#include "../../applets/shortener/store/sh_store.h"
#include "world/sim.h"

#define DAY_NS (INT64_C(24) * 3600 * 1000000000)

static struct sd_sim *sim;
static struct sd_run run;
static struct sh sh;
static struct sh_page page;
static struct sh_call call;
static char password[64];

/* ---- what is made here ---- */

static struct {
	int status;
	char fields[2048];
	size_t n;
	sh_store_secret_fn *fn; /* who waits for the secret */
	void *arg;
	bool late; /* the secret comes when told */
	struct sd_siphash_key secret;
	struct sd_error error;
	unsigned asked, renewed, ended; /* ended: all streams */
} fake;

static void tell_secret(void)
{
	sh_store_secret_fn *fn = fake.fn;
	fake.fn = NULL;
	if (fn)
		fn(fake.arg, &fake.error, fake.error.code ? NULL : &fake.secret);
}

void sh_store_secret(struct sh_store *st, const char *name, sh_store_secret_fn *fn, void *arg)
{
	(void)st;
	ck_assert_str_eq(name, "dashboard");
	fake.fn = fn;
	fake.arg = arg;
	fake.asked++;
	if (!fake.late)
		tell_secret();
}

void sh_store_secret_renew(struct sh_store *st, const char *name, sh_store_secret_fn *fn, void *arg)
{
	if (!fake.error.code)
		fake.secret.k0 += 77;
	fake.renewed++;
	sh_store_secret(st, name, fn, arg);
}

void sh_live_end_all(struct sh *s)
{
	(void)s;
	fake.ended++;
}

void sh_answer_failed(struct sh_call *c, enum sd_err err, const struct sd_error *e)
{
	(void)c;
	(void)err;
	(void)e;
	fake.status = 503;
}

void sh_answer_field(struct sh_call *c, const char *name, const char *format, ...)
{
	va_list args;
	(void)c;
	fake.n += (size_t)snprintf(fake.fields + fake.n, sizeof(fake.fields) - fake.n, "%s: ", name);
	va_start(args, format);
	fake.n += (size_t)vsnprintf(fake.fields + fake.n, sizeof(fake.fields) - fake.n, format, args);
	va_end(args);
	fake.n += (size_t)snprintf(fake.fields + fake.n, sizeof(fake.fields) - fake.n, "\n");
}

void sh_answer(struct sh_call *c, int status, const char *type, char *out, size_t n)
{
	(void)c;
	(void)type;
	(void)n;
	fake.status = status;
	free(out);
}

void sh_answer_problem(struct sh_call *c, enum sh_problem p, const char *member, const char *format, ...)
{
	(void)c;
	(void)p;
	(void)member;
	(void)format;
	fake.status = 503;
}

/* Of its own file, which needs workers. */
void sh_run_live(struct sh_call *c)
{
	(void)c;
}

/* As sent: no escapes in these tests. */
char *sh_query_get(struct sd_slice query, const char *name, char *out, size_t room)
{
	size_t n = strlen(name);
	if (query.n <= n || strncmp(query.p, name, n) != 0 || query.p[n] != '=')
		return NULL;
	snprintf(out, room, "%.*s", (int)(query.n - n - 1), query.p + n + 1);
	return out;
}

/* ---- a call ---- */

static void set_up(void)
{
	sim = sd_sim_new(7);
	ck_assert_ptr_nonnull(sim);
	memset(&fake, 0, sizeof(fake));
	fake.secret = (struct sd_siphash_key){1, 2};
	run.spec.world = sd_sim_node(sim, "server");
	snprintf(password, sizeof(password), "correct horse");
	page = (struct sh_page){.sh = &sh, .password = password};
	sd_list_init(&page.waits);
	ck_assert_int_eq(sd_ratelimit_new(&(struct sd_ratelimit_conf){.max_keys = 100}, &page.tries), SD_OK);
	sh = (struct sh){.run = &run, .page = &page};
	call = (struct sh_call){.sh = &sh, .method = SD_HTTP_GET, .host = sd_slice_of("localhost:8080")};
	call.peer = (struct sd_peer){.kind = SD_ADDR_INET, .ip = {127, 0, 0, 1}};
}

static void tear_down(void)
{
	sd_ratelimit_free(page.tries);
	sd_sim_free(sim);
}

static void nothing(struct sh_call *c, bool has)
{
	(void)c;
	ck_assert(has);
}

static struct sh_session log_in(void)
{
	struct sh_session s;
	sh_page_with_key(&call, nothing);
	ck_assert(sh_session_make(&call, &s));
	return s;
}

static bool accepts(const char *cookie)
{
	char text[600];
	struct sh_session s;
	snprintf(text, sizeof(text), "other=1; sdlab_session=%s; more=2", cookie);
	call.cookie = sd_slice_of(text);
	bool good = sh_session_read(&call, &s);
	call.cookie = (struct sd_slice){0};
	return good;
}

static int said; /* by sh_page_session: 0, 1; -1 not yet */
static void on_session(struct sh_call *c, bool good)
{
	(void)c;
	said = good;
}

static int session(const struct sh_session *s, enum sd_http_method method, const char *token)
{
	static char text[400]; /* as long as the call */
	snprintf(text, sizeof(text), "sdlab_session=%s", s->text);
	call.cookie = sd_slice_of(text);
	call.method = method;
	call.csrf = sd_slice_of(token);
	said = -1;
	sh_page_session(&call, on_session);
	return said;
}

/* ---- sessions ---- */

START_TEST(a_session_is_good_for_twelve_hours)
{
	struct sh_session s = log_in();
	ck_assert(accepts(s.text));
	sd_sim_run_to(sim, DAY_NS / 2 - 2000000000);
	ck_assert(accepts(s.text));
	sd_sim_run_to(sim, DAY_NS / 2 + 1000000000);
	ck_assert(!accepts(s.text));
}
END_TEST

START_TEST(its_cookie_is_kept_from_scripts_and_other_sites)
{
	log_in();
	ck_assert_ptr_nonnull(strstr(fake.fields, "; Path=/; HttpOnly; SameSite=Strict; Max-Age=43200\n"));
	fake.n = 0;
	call.secure = true;
	log_in();
	ck_assert_ptr_nonnull(strstr(fake.fields, "; Secure\n"));
}
END_TEST

START_TEST(no_byte_of_it_can_be_changed)
{
	struct sh_session s = log_in();
	for (size_t i = 0; s.text[i]; i++)
		for (int bit = 0; bit < 7; bit++) {
			struct sh_session other = s;
			other.text[i] ^= (char)(1 << bit);
			ck_assert_msg(!accepts(other.text), "byte %zu: %s", i, other.text);
		}
	for (size_t n = strlen(s.text); n--;) {
		s.text[n] = '\0';
		ck_assert_msg(!accepts(s.text), "the first %zu bytes", n);
	}
}
END_TEST

START_TEST(what_is_none_is_refused)
{
	static const char *const bad[] = {"", ".", "..", "...", "7fffffffffffffff.0.0", "-1.1.1", "0.0.", ". .", "\"\""};
	char long_one[300];
	log_in();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!accepts(bad[i]), "%s", bad[i]);
	memset(long_one, '0', sizeof(long_one) - 1);
	long_one[sizeof(long_one) - 1] = '\0';
	ck_assert(!accepts(long_one));
	long_one[20] = long_one[100] = '.';
	ck_assert(!accepts(long_one));
}
END_TEST

/* What is signed is not the session alone: a token, which its page shows, is no session. */
START_TEST(a_token_is_no_session)
{
	struct sh_session s = log_in();
	char text[400];
	snprintf(text, sizeof(text), "%.*s.%s", (int)(strrchr(s.text, '.') - s.text), s.text, s.token);
	ck_assert(!accepts(text));
	ck_assert_str_ne(s.token, strrchr(s.text, '.') + 1);
}
END_TEST

static void forget_key(void)
{
	page.has_key = false;
	memset(page.key, 0, sizeof(page.key));
}

START_TEST(another_password_or_database_ends_it)
{
	struct sh_session s = log_in();
	forget_key();
	sh_page_with_key(&call, nothing);
	ck_assert(accepts(s.text)); /* another server, or another start */
	forget_key();
	snprintf(password, sizeof(password), "battery staple");
	sh_page_with_key(&call, nothing);
	ck_assert(!accepts(s.text));
	forget_key();
	snprintf(password, sizeof(password), "correct horse");
	fake.secret.k1++;
	sh_page_with_key(&call, nothing);
	ck_assert(!accepts(s.text));
}
END_TEST

START_TEST(changes_need_the_token)
{
	struct sh_session s = log_in(), other = log_in();
	ck_assert_str_ne(s.token, other.token);
	ck_assert_int_eq(session(&s, SD_HTTP_GET, ""), 1);
	ck_assert_int_eq(session(&s, SD_HTTP_HEAD, ""), 1);
	ck_assert_int_eq(session(&s, SD_HTTP_POST, s.token), 1);
	ck_assert_int_eq(session(&s, SD_HTTP_POST, ""), 0);
	ck_assert_int_eq(session(&s, SD_HTTP_POST, other.token), 0);
	ck_assert_int_eq(session(&s, SD_HTTP_PATCH, "0"), 0);
	ck_assert_int_eq(session(&s, SD_HTTP_DELETE, ""), 0);
}
END_TEST

/* ---- passwords ---- */

static int try(const char *said_here)
{
	char text[100];
	struct sh_call c = call;
	snprintf(text, sizeof(text), "password=%s", said_here);
	c.body = (struct sd_text){.p = text, .n = strlen(text)};
	c.method = SD_HTTP_POST;
	fake.n = 0;
	fake.fields[0] = '\0';
	sh_run_login(&c);
	ck_assert_int_eq(strstr(fake.fields, "Set-Cookie") != NULL, fake.status == 303);
	return fake.status;
}

START_TEST(the_password_and_no_other)
{
	static const char *const wrong[] = {"", "correct hors", "correct horsf", "correct horse ", "Correct horse", "x"};
	ck_assert_int_eq(try("correct horse"), 303);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		ck_assert_msg(try(wrong[i]) == 403, "%s", wrong[i]);
}
END_TEST

START_TEST(ten_tries_a_minute)
{
	for (int i = 0; i < 30; i++) /* those that are right do not count */
		ck_assert_int_eq(try("correct horse"), 303);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(try("wrong"), 403);
	ck_assert_int_eq(try("correct horse"), 429);
	ck_assert_ptr_nonnull(strstr(fake.fields, "Retry-After: 6\n"));
	call.peer.ip[3]++;
	ck_assert_int_eq(try("correct horse"), 303); /* somebody else */
	call.peer.ip[3]--;
	sd_sim_run_to(sim, INT64_C(6100000000));
	ck_assert_int_eq(try("wrong"), 403);
	ck_assert_int_eq(try("wrong"), 429);
}
END_TEST

static void log_out_with(const struct sh_session *s, const char *token)
{
	char text[100];
	session(s, SD_HTTP_POST, "");
	struct sh_call c = call;
	snprintf(text, sizeof(text), "token=%s", token);
	c.body = (struct sd_text){.p = text, .n = strlen(text)};
	fake.n = 0;
	fake.fields[0] = '\0';
	sh_run_logout(&c);
	ck_assert_int_eq(fake.status, 303);
}

START_TEST(logging_out_takes_the_cookie_away)
{
	struct sh_session s = log_in();
	log_out_with(&s, "0");
	ck_assert_ptr_null(strstr(fake.fields, "Set-Cookie"));
	log_out_with(&s, s.token);
	ck_assert_ptr_nonnull(strstr(fake.fields, "Set-Cookie: sdlab_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0\n"));
}
END_TEST

static void log_out_everywhere(const struct sh_session *s, const char *token)
{
	char text[100];
	session(s, SD_HTTP_POST, "");
	struct sh_call c = call;
	snprintf(text, sizeof(text), "token=%s", token);
	c.body = (struct sd_text){.p = text, .n = strlen(text)};
	fake.n = 0;
	fake.fields[0] = '\0';
	sh_run_logout_all(&c);
}

START_TEST(signing_out_everywhere_ends_all_sessions)
{
	struct sh_session s = log_in(), other = log_in();
	log_out_everywhere(&s, "0");
	log_out_everywhere(&s, other.token);
	ck_assert_uint_eq(fake.renewed, 0);
	ck_assert(accepts(s.text) && accepts(other.text));
	fake.error.code = SD_EPERM; /* a database that is read-only says so, and nobody believes that it was done */
	log_out_everywhere(&s, s.token);
	ck_assert_int_eq(fake.status, 503);
	ck_assert_ptr_null(strstr(fake.fields, "Set-Cookie"));
	fake.error.code = SD_OK;
	ck_assert(accepts(s.text) && accepts(other.text));
	ck_assert_uint_eq(fake.ended, 0);
	log_out_everywhere(&s, s.token);
	ck_assert_int_eq(fake.status, 303);
	ck_assert_ptr_nonnull(strstr(fake.fields, "Max-Age=0"));
	ck_assert(!accepts(s.text) && !accepts(other.text));
	ck_assert_uint_eq(fake.ended, 1);
	struct sh_session new = log_in();
	ck_assert(accepts(new.text));
}
END_TEST

/* Another server on the same database made a new secret: here it is looked for after five seconds, and streams end then. */
START_TEST(signing_out_at_another_server)
{
	struct sh_session s = log_in();
	fake.secret.k0++;
	ck_assert_int_eq(session(&s, SD_HTTP_GET, ""), 1);
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + INT64_C(5100000000));
	ck_assert_int_eq(session(&s, SD_HTTP_GET, ""), 0);
	ck_assert_uint_eq(fake.ended, 1);
	s = log_in();
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + INT64_C(5100000000));
	fake.error.code = SD_EUNREACHABLE; /* its key is the last that was heard of */
	ck_assert_int_eq(session(&s, SD_HTTP_GET, ""), 1);
}
END_TEST

/* ---- a clock that is wrong ---- */

START_TEST(no_session_is_longer_because_the_clock_was_set_back)
{
	struct sh_session s = log_in();
	sd_sim_set_wall(run.spec.world, -DAY_NS / 48); /* half an hour: set right by hand */
	ck_assert(accepts(s.text));
	sd_sim_set_wall(run.spec.world, -365 * DAY_NS);
	ck_assert(!accepts(s.text));
	s = log_in();
	ck_assert(accepts(s.text));
	sd_sim_set_wall(run.spec.world, 10 * 365 * DAY_NS);
	ck_assert(!accepts(s.text));
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(try("wrong"), 403);
	sd_sim_set_wall(run.spec.world, -10 * 365 * DAY_NS); /* neither does it free who tried too often, nor lock anybody out */
	ck_assert_int_eq(try("wrong"), 429);
	ck_assert_ptr_nonnull(strstr(fake.fields, "Retry-After: 6\n"));
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + INT64_C(6100000000));
	ck_assert_int_eq(try("correct horse"), 303);
}
END_TEST

/* ---- the key of a database that is slow, or away ---- */

START_TEST(calls_wait_for_the_key)
{
	struct sh_session s = log_in();
	struct sh_call second = call;
	forget_key();
	fake.late = true;
	fake.asked = 0;
	ck_assert_int_eq(session(&s, SD_HTTP_GET, ""), -1);
	second.cookie = call.cookie;
	sh_page_session(&second, on_session);
	ck_assert_uint_eq(fake.asked, 1);
	tell_secret();
	ck_assert_int_eq(said, 1);
	ck_assert(sd_list_empty(&page.waits));
}
END_TEST

START_TEST(without_a_key_nobody_is_let_in_and_it_is_asked_for_again)
{
	struct sh_session s = log_in();
	forget_key();
	fake.error.code = SD_EUNREACHABLE;
	ck_assert_int_eq(session(&s, SD_HTTP_GET, ""), 0);
	sh_run_dashboard(&call);
	ck_assert_int_eq(fake.status, 503);
	fake.error.code = SD_OK;
	ck_assert_int_eq(session(&s, SD_HTTP_GET, ""), 1);
}
END_TEST

/* ---- this machine ---- */

START_TEST(who_is_near)
{
	static const struct {
		const char *ip, *forwarded, *host;
		bool near;
	} cases[] = {
	    {"127.0.0.1", "", "localhost", true},
	    {"127.8.9.1", "", "127.0.0.1:8080", true},
	    {"::1", "", "[::1]:8080", true},
	    {"::1", "", "LOCALHOST:1", true},
	    {"127.0.0.1", "127.0.0.1", "localhost", true},
	    {"127.0.0.1", "127.0.0.1, ::1", "localhost", true},
	    {"192.0.2.1", "", "localhost", false},
	    {"::2", "", "localhost", false},
	    {"192.0.2.1", "127.0.0.1", "localhost", false},
	    {"127.0.0.1", "192.0.2.1", "localhost", false},
	    {"127.0.0.1", "127.0.0.1, 192.0.2.1", "localhost", false},
	    {"127.0.0.1", "192.0.2.1, 127.0.0.1", "localhost", false},
	    {"127.0.0.1", "unknown", "localhost", false},
	    {"127.0.0.1", ",", "localhost", false},
	    {"127.0.0.1", "", "evil.example", false},
	    {"127.0.0.1", "", "localhost.evil.example", false},
	    {"127.0.0.1", "", "127.0.0.1.evil.example:80", false},
	    {"127.0.0.1", "", "[::1", false},
	    {"127.0.0.1", "", "[::2]:80", false},
	    {"127.0.0.1", "", "", false},
	};
	bool v6;
	call.peer = (struct sd_peer){.kind = SD_ADDR_INET};
	ck_assert(sd_ip_parse(sd_slice_of(cases[_i].ip), call.peer.ip, &v6));
	call.peer.v6 = v6;
	call.forwarded = sd_slice_of(cases[_i].forwarded);
	call.host = sd_slice_of(cases[_i].host);
	ck_assert_msg(sh_page_is_near(&call) == cases[_i].near, "%s, %s, %s", cases[_i].ip, cases[_i].forwarded, cases[_i].host);
}
END_TEST

/* Without a password a session is worth something here only, wherever it got to. */
START_TEST(without_a_password_only_who_is_near)
{
	page.password = NULL;
	sh_run_dashboard(&call);
	ck_assert_int_eq(fake.status, 200);
	ck_assert_ptr_nonnull(strstr(fake.fields, "Set-Cookie"));
	struct sh_session s = log_in();
	ck_assert_int_eq(session(&s, SD_HTTP_GET, ""), 1);
	call.peer.ip[0] = 10;
	ck_assert_int_eq(session(&s, SD_HTTP_GET, ""), 0);
	fake.n = 0;
	fake.fields[0] = '\0';
	sh_run_dashboard(&call);
	ck_assert_int_eq(fake.status, 403);
	ck_assert_ptr_null(strstr(fake.fields, "Set-Cookie"));
	call.cookie = (struct sd_slice){0};
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shortener_page");
	TCase *t = tcase_create("sessions");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a_session_is_good_for_twelve_hours);
	tcase_add_test(t, its_cookie_is_kept_from_scripts_and_other_sites);
	tcase_add_test(t, no_byte_of_it_can_be_changed);
	tcase_add_test(t, what_is_none_is_refused);
	tcase_add_test(t, a_token_is_no_session);
	tcase_add_test(t, another_password_or_database_ends_it);
	tcase_add_test(t, changes_need_the_token);
	tcase_add_test(t, the_password_and_no_other);
	tcase_add_test(t, ten_tries_a_minute);
	tcase_add_test(t, logging_out_takes_the_cookie_away);
	tcase_add_test(t, signing_out_everywhere_ends_all_sessions);
	tcase_add_test(t, signing_out_at_another_server);
	tcase_add_test(t, no_session_is_longer_because_the_clock_was_set_back);
	tcase_add_test(t, calls_wait_for_the_key);
	tcase_add_test(t, without_a_key_nobody_is_let_in_and_it_is_asked_for_again);
	tcase_add_loop_test(t, who_is_near, 0, 20);
	tcase_add_test(t, without_a_password_only_who_is_near);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
