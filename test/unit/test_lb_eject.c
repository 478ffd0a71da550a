/* Ejection by what a backend answers, for as long as it asks, and the few requests it gets before all of them. */
#include "lb_rig.h"

enum { CROWD = 4 };

static bool waits_at(int i)
{
	return rig_readable(t->back[i].fd, 0);
}

static bool waits_at_either(void *arg)
{
	(void)arg;
	return waits_at(A) || waits_at(B);
}

/* Requests until a got one, which it answers so. */
static void a_answers(const char *head)
{
	for (bool done = false; !done;) {
		struct peer *c = asks(GET);
		rig_wait(&t->rig, "a request at a backend", waits_at_either, NULL);
		done = waits_at(A);
		struct peer *b = asked(done ? A : B);
		peer_say(b, done ? head : "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		peer_ends(b);
		peer_free(b);
		peer_head(c);
		peer_free(c);
	}
}

static void only_b(int n)
{
	for (int i = 0; i < n; i++) {
		struct peer *c = asks(GET);
		serve(B, "b");
		ck_assert_str_eq(peer_answer(c, 200), "b");
		peer_free(c);
	}
}

#define BUSY(more) "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n" more "\r\n"

START_TEST(left_alone_as_long_as_it_asks)
{
	start(NO_IDLE "eject: {failures: 0, retry-after: 1h, time: 1ms}\n");
	a_answers(BUSY("Retry-After: 120\r\n"));
	wait_said("[LB] Ejected %d for 2m (503 with Retry-After)\n", t->back[A].port);
	wait_state(A, "ejected");
	only_b(4);
	double left = metric("sdlab_lb_backend_ejected_seconds", "backend=\"a\"");
	ck_assert_msg(left > 60 && left <= 120, "left: %g", left);
	is_metric("sdlab_lb_backend_ejections_total", "backend=\"a\"", 1);
	is_metric("sdlab_lb_backend_ejected_seconds", "backend=\"b\"", 0);
	struct peer *c = admin_call("GET", "/-/backends/a", 200);
	ck_assert_ptr_nonnull(strstr(c->body, "503 with Retry-After (ejection 1); back in "));
	peer_free(c);
}
END_TEST

START_TEST(asks_for_more_than_it_gets)
{
	start(NO_IDLE "eject: {failures: 0, retry-after: 1m, time: 1ms}\n");
	a_answers(BUSY("Retry-After: 86400\r\n"));
	wait_said("[LB] Ejected %d for 1m (503 with Retry-After)\n", t->back[A].port);
}
END_TEST

/* What says nothing about the backend, or comes when nobody heeds it. */
START_TEST(goes_on_after_these)
{
	static const char *const answers[] = {
	    BUSY(""), BUSY("Retry-After: 0\r\n"), BUSY("Retry-After: soon\r\n"),
	    "HTTP/1.1 429 Slower\r\nContent-Length: 0\r\nRetry-After: 60\r\n\r\n",
	    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nRetry-After: 60\r\n\r\n"};
	start(NO_IDLE "eject: {failures: 1, retry-after: 1m, time: 1m}\n");
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		a_answers(answers[i]);
	wait_state(A, "up");
	is_metric("sdlab_lb_backend_ejections_total", "backend=\"a\"", 0);
	write_text(NO_IDLE "eject: {failures: 1, time: 1m}\n");
	admin("POST", "/-/reload", 200);
	a_answers(BUSY("Retry-After: 60\r\n"));
	wait_state(A, "up");
	is_metric("sdlab_lb_backend_ejections_total", "backend=\"a\"", 0);
}
END_TEST

START_TEST(answers_can_be_failures)
{
	start(NO_IDLE "eject: {failures: 2, observe: layer7, time: 1m}\n");
	a_answers(BUSY(""));
	a_answers("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"); /* so they are not in a row */
	a_answers(BUSY(""));
	a_answers("HTTP/1.1 501 Never\r\nContent-Length: 0\r\n\r\n");
	a_answers(BUSY("Retry-After: 5\r\n")); /* not heeded, but a failure */
	wait_state(A, "up");
	is_metric("sdlab_lb_backend_ejections_total", "backend=\"a\"", 0);
	a_answers("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
	wait_said("[LB] Ejected %d for 1m (2 failed requests in a row)\n", t->back[A].port);
}
END_TEST

/* ---- half-open ---- */

/* So many at once: exactly `permits` of them go to a, which is left with these. */
static void crowd(struct peer *clients[CROWD], struct peer *at_a[CROWD], int permits)
{
	for (int i = 0; i < CROWD; i++)
		clients[i] = asks(GET);
	for (int i = 0; i < permits; i++)
		at_a[i] = asked(A);
	for (int i = permits; i < CROWD; i++)
		serve(B, "b");
	not_asked(A);
}

static void leave(struct peer *clients[CROWD], struct peer *at_a[CROWD], int permits)
{
	for (int i = 0; i < permits; i++)
		peer_free(at_a[i]);
	for (int i = 0; i < CROWD; i++) {
		peer_answer(clients[i], 200);
		peer_free(clients[i]);
	}
}

static void round_of(int permits)
{
	struct peer *clients[CROWD], *at_a[CROWD];
	crowd(clients, at_a, permits);
	for (int i = 0; i < permits; i++)
		answers(at_a[i], "a");
	leave(clients, at_a, permits);
}

static void eject_a(void)
{
	a_answers(BUSY(""));
	wait_said("[LB] Ejected %d for 30ms (1 failed requests in a row)\n", t->back[A].port);
	wait_state(A, "half-open");
	wait_said("[LB] Trying %d with", t->back[A].port);
}

START_TEST(a_few_come_before_all)
{
	t->threads = 2;
	start(NO_IDLE "algorithm: least-connections\neject: {failures: 1, observe: layer7, time: 30ms, permits: 2, successes: 4}\n");
	eject_a();
	is_metric("sdlab_lb_backend_half_open", "backend=\"a\"", 1);
	round_of(2);
	struct peer *c = admin_call("GET", "/-/backends/a", 200);
	ck_assert_ptr_nonnull(strstr(c->body, "its ejection is over: 2 trial requests succeeded in a row, 0 are out"));
	peer_free(c);
	round_of(2);
	wait_state(A, "up");
	wait_said("[LB] Returned %d to pool\n", t->back[A].port);
	is_metric("sdlab_lb_backend_half_open", "backend=\"a\"", 0);
	struct peer *clients[CROWD], *both[CROWD];
	for (int i = 0; i < CROWD; i++) { /* all that come to it */
		clients[i] = asks(GET);
		rig_wait(&t->rig, "a request at a backend", waits_at_either, NULL);
		both[i] = asked(waits_at(A) ? A : B);
	}
	is_metric("sdlab_lb_backend_inflight", "backend=\"a\"", CROWD / 2);
	for (int i = 0; i < CROWD; i++)
		answers(both[i], "x");
	leave(clients, both, CROWD);
}
END_TEST

START_TEST(one_that_fails_is_ejected_for_longer)
{
	struct peer *clients[CROWD], *at_a[CROWD];
	start(NO_IDLE "eject: {failures: 1, observe: layer7, time: 30ms, permits: 1}\n");
	eject_a();
	crowd(clients, at_a, 1);
	peer_close(at_a[0]); /* tried again, at b */
	serve(B, "b");
	leave(clients, at_a, 1);
	wait_said("[LB] Ejected %d for 60ms (a trial request failed)\n", t->back[A].port);
	wait_state(A, "half-open");
	round_of(1);
	round_of(1);
	wait_state(A, "up");
}
END_TEST

/* Neither success nor failure: the permit goes to the next. */
START_TEST(one_that_is_left_says_nothing)
{
	start(NO_IDLE "eject: {failures: 1, observe: layer7, time: 30ms, permits: 1, successes: 1}\n");
	eject_a();
	struct peer *clients[CROWD], *at_a[CROWD];
	for (int i = 0; i < 2; i++)
		clients[i] = asks(GET);
	at_a[0] = asked(A);
	serve(B, "b");
	for (int i = 0; i < 2; i++)
		peer_reset(clients[i]);
	peer_is_closed(at_a[0]);
	wait_state(A, "half-open");
	peer_free(at_a[0]);
	for (int i = 0; i < 2; i++)
		peer_free(clients[i]);
	round_of(1);
	wait_state(A, "up");
}
END_TEST

/* Another that is not there any more: who finds no permit waits for one. */
START_TEST(waits_for_a_permit)
{
	start(NO_IDLE "eject: {failures: 1, observe: layer7, time: 30ms, permits: 1, successes: 9}\n");
	eject_a();
	admin("POST", "/-/backends/b/drain", 200);
	struct peer *c = asks(GET), *next = asks(GET), *a = asked(A);
	not_asked(A);
	answers(a, "first");
	ck_assert_str_eq(peer_answer(c, 200), "first");
	peer_free(a);
	serve(A, "second");
	ck_assert_str_eq(peer_answer(next, 200), "second");
	peer_free(c);
	peer_free(next);
}
END_TEST

/* A reload neither ends it nor leaves its requests behind. */
START_TEST(stays_half_open_over_a_reload)
{
	struct peer *clients[CROWD], *at_a[CROWD];
	start(NO_IDLE "eject: {failures: 1, observe: layer7, time: 30ms, permits: 1, successes: 2}\n");
	eject_a();
	crowd(clients, at_a, 1);
	write_text(NO_IDLE "eject: {failures: 1, observe: layer7, time: 30ms, permits: 1, successes: 2}\nretries: 1\n");
	admin("POST", "/-/reload", 200);
	wait_state(A, "half-open");
	answers(at_a[0], "a");
	leave(clients, at_a, 1);
	round_of(1);
	wait_state(A, "up");
}
END_TEST

START_TEST(refuses_what_makes_no_sense)
{
	struct sd_error e = {0};
	write_text("eject: {permits: 5000}\n");
	ck_assert_int_ne(make_conf(&t->conf, &e), SD_OK);
	ck_assert_msg(strstr(e.text, "permits: expected a whole number from 0 to 1023") != NULL, "%s", e.text);
	write_text("eject: {observe: layer9}\n");
	ck_assert_int_ne(make_conf(&t->conf, &e), SD_OK);
	ck_assert_ptr_nonnull(strstr(e.text, "layer4"));
	start("");
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("eject");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, left_alone_as_long_as_it_asks);
	tcase_add_test(c, asks_for_more_than_it_gets);
	tcase_add_test(c, goes_on_after_these);
	tcase_add_test(c, answers_can_be_failures);
	tcase_add_test(c, a_few_come_before_all);
	tcase_add_test(c, one_that_fails_is_ejected_for_longer);
	tcase_add_test(c, one_that_is_left_says_nothing);
	tcase_add_test(c, waits_for_a_permit);
	tcase_add_test(c, stays_half_open_over_a_reload);
	tcase_add_test(c, refuses_what_makes_no_sense);
	return rig_main_of(&c, 1, "lb_eject");
}
