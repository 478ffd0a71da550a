/* What a reload keeps, as requests find it: how fast each backend was, and which client belongs to which. */
#include <poll.h>

#include "lb_rig.h"

static struct peer *who_is_asked(int *who)
{
	struct pollfd fds[MAX];
	for (int i = 0; i < t->nback; i++)
		fds[i] = (struct pollfd){.fd = t->back[i].fd, .events = POLLIN};
	ck_assert_int_eq(poll(fds, (nfds_t)t->nback, RIG_WAIT_MS), 1);
	for (int i = 0; i < t->nback; i++)
		if (fds[i].revents)
			*who = i;
	return asked(*who);
}

/* One request with this field; whoever is asked answers so, and the client's Set-Cookie goes to cookie. */
static int one(const char *field, const char *bad, char cookie[256])
{
	char text[512];
	int who = 0;
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", field);
	struct peer *c = asks(text), *b = who_is_asked(&who);
	bool fails = bad && bad[0] == 'a' + who;
	peer_say(b, fails ? "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" : "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	peer_ends(b);
	peer_answer(c, fails ? 500 : 200);
	const char *at = strstr(c->head, "Set-Cookie: ");
	if (cookie)
		snprintf(cookie, 256, "Cookie: %.*s\r\n", at ? (int)strcspn(at + 12, ";\r") : 0, at ? at + 12 : "");
	peer_free(b);
	peer_free(c);
	return who;
}

static void reload(const char *extra)
{
	write_text(extra);
	admin("POST", "/-/reload", 200);
}

/* ---- how fast each backend was ---- */

#define FASTEST NO_IDLE "algorithm: least-latency\n"

/* An error counts as a second: whoever made it is slow until that is forgotten, over reloads too, in which others come and
 * go and change. Were it forgotten, the backend would be tried anew at once. */
START_TEST(latency_stays)
{
	int asked_of[MAX] = {0};
	t->nback = 2;
	start(FASTEST);
	for (int k = 0; k < 2; k++)
		asked_of[one("", "a", NULL)]++; /* both are new: each is tried */
	ck_assert(asked_of[A] == 1 && asked_of[B] == 1);
	for (int k = 0; k < 4; k++)
		ck_assert_int_eq(one("", NULL, NULL), B);
	admin("POST", "/-/reload", 200);
	for (int k = 0; k < 4; k++)
		ck_assert_int_eq(one("", NULL, NULL), B);
	t->back[A].options = ", weight: 2";
	reload(FASTEST "retries: 3\n");
	for (int k = 0; k < 4; k++)
		ck_assert_int_eq(one("", NULL, NULL), B);
	/* one that comes is tried, and those that were here are what they were */
	t->nback = 3;
	reload(FASTEST);
	bool tried = false;
	for (int k = 0; k < 8; k++) {
		int who = one("", NULL, NULL);
		ck_assert_int_ne(who, A);
		tried = tried || who == C;
	}
	ck_assert(tried);
	t->nback = 2;
	reload(FASTEST);
	for (int k = 0; k < 4; k++)
		ck_assert_int_eq(one("", NULL, NULL), B);
}
END_TEST

/* Another address is another server, whatever its name: nothing is known of it. */
START_TEST(latency_of_another_address)
{
	int seen = 0;
	start(FASTEST);
	for (int k = 0; k < 2; k++)
		one("", "a", NULL);
	close(t->back[A].fd);
	t->back[A].port = 0;
	t->back[A].fd = rig_listen(&t->back[A].port);
	reload(FASTEST);
	for (int k = 0; k < 2; k++)
		seen |= 1 << one("", NULL, NULL);
	ck_assert_int_ne(seen & 1 << A, 0);
}
END_TEST

/* ---- who belongs to whom ---- */

#define SESSIONS NO_IDLE "sticky: {cookie: lb}\n"

/* The secret was made at start, and indices change: a client's backend is the same all the while. */
START_TEST(sessions_stay)
{
	char mine[MAX][256] = {0}, none[256];
	t->nback = 3;
	start(SESSIONS);
	for (int k = 0; k < 3; k++) {
		char cookie[256];
		int who = one("", NULL, cookie);
		memcpy(mine[who], cookie, sizeof(cookie));
	}
	struct back was[MAX];
	memcpy(was, t->back, sizeof(was));
	for (int round = 0; round < 3; round++) {
		t->back[B].options = round == 0 ? ", weight: 9" : ", weight: 1";
		t->back[C].options = round == 1 ? ", backup: true" : "";
		reload(SESSIONS "algorithm: least-connections\n");
		for (int i = 0; i < 3; i++) {
			ck_assert_int_eq(one(mine[i], NULL, none), i);
			ck_assert_str_eq(none, "Cookie: \r\n"); /* it has the right one */
		}
	}
	is_metric("sdlab_lb_sticky_moved_total", "", 0);
	is_metric("sdlab_lb_sticky_bad_total", "", 0);
	/* C leaves and comes back: its client goes elsewhere meanwhile, and with the old cookie comes back as well */
	t->nback = 2;
	reload(SESSIONS);
	ck_assert_int_ne(one(mine[C], NULL, none), C);
	ck_assert_int_eq(one(mine[B], NULL, NULL), B);
	t->nback = 3;
	t->back[C] = was[C];
	reload(SESSIONS);
	ck_assert_int_eq(one(mine[C], NULL, NULL), C);
	ck_assert_int_eq(one(mine[A], NULL, NULL), A);
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("reload");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, latency_stays);
	tcase_add_test(c, latency_of_another_address);
	tcase_add_test(c, sessions_stay);
	TCase *cases[] = {c};
	return rig_main_of(cases, 1, "lb_reload");
}
