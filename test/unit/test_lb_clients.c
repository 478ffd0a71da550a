#include "lb_rig.h"

/* At most so many connections of one client: in HTTP, in tunnels, in TCP mode, and by what a PROXY header says. */

#define TWO "max-connections-per-client: 2\n" NO_IDLE

/* A connection that had its request answered and stays. */
static struct peer *holds(void)
{
	struct peer *c = asks(GET);
	serve(A, "hi");
	peer_answer(c, 200);
	return c;
}

static void is_refused(struct peer *c)
{
	peer_answer(c, 429);
	ck_assert(peer_has(c, "Retry-After: 1"));
	ck_assert(peer_has(c, "Connection: close"));
	ck_assert_msg(strstr(c->head, "Proxy-Status: sdlab; error=http_request_denied") != NULL, "%s", c->head);
	ck_assert_msg(strstr(c->body, "too many connections from this address (max-connections-per-client)") != NULL, "%s",
		      c->body);
	peer_ends(c);
	peer_free(c);
}

START_TEST(answered_with_429)
{
	t->nback = 1;
	t->threads = _i; /* whichever takes them, they count together */
	start(TWO);
	struct peer *first = holds(), *second = holds();
	is_refused(asks(GET));
	is_refused(asks(POST));
	not_asked(A);
	wait_said("Refused a connection from 127.0.0.1, which has 2 already (max-connections-per-client)");
	is_metric("sdlab_client_limit_refused_total", "", 2);
	is_metric("sdlab_client_limit_uncounted_total", "", 0);
	/* those it has go on */
	peer_say(first, GET);
	serve(A, "again");
	peer_answer(first, 200);
	peer_free(second);
	wait_metric("sdlab_http_connections", "", 1);
	second = holds();
	is_refused(asks(GET));
	peer_free(second);
	peer_free(first);
}
END_TEST

/* Who is over and says nothing is not waited for as long as others. */
START_TEST(silence_is_no_way_in)
{
	t->nback = 1;
	start("head-timeout: 50ms\nidle-timeout: 1h\n" TWO);
	struct peer *first = holds(), *second = holds(), *third = client();
	peer_is_closed(third);
	peer_free(third);
	wait_metric("sdlab_http_connections", "", 2);
	peer_free(second);
	peer_free(first);
}
END_TEST

START_TEST(reloads)
{
	t->nback = 1;
	start(NO_IDLE);
	struct peer *before = holds(); /* nobody counts yet */
	write_text(TWO);
	admin("POST", "/-/reload", 200);
	struct peer *first = holds(), *second = holds();
	is_refused(asks(GET));
	write_text("max-connections-per-client: 3\n" NO_IDLE);
	admin("POST", "/-/reload", 200);
	struct peer *third = holds();
	is_refused(asks(GET));
	write_text(NO_IDLE);
	admin("POST", "/-/reload", 200);
	struct peer *fourth = holds();
	write_text("max-connections-per-client: 4\n" NO_IDLE);
	admin("POST", "/-/reload", 200);
	is_refused(asks(GET)); /* the fourth was counted meanwhile */
	wait_said("max-connections-per-client 0 -> 4");
	/* a reload that fails changes nothing */
	write_text("max-connections-per-client: 100\nalgorithm: nosuch\n");
	admin("POST", "/-/reload", 400);
	is_refused(asks(GET));
	peer_free(fourth);
	peer_free(third);
	peer_free(second);
	peer_free(first);
	peer_free(before);
}
END_TEST

static struct peer *says(const char *from, const char *request)
{
	char text[512];
	snprintf(text, sizeof(text), "PROXY %s\r\n%s", from, request);
	return asks(text);
}

static struct peer *holds_for(const char *from)
{
	struct peer *c = says(from, GET);
	serve(A, "hi");
	peer_answer(c, 200);
	return c;
}

START_TEST(by_the_proxy_header)
{
	t->nback = 1;
	start("proxy-protocol: require\nproxy-from: [127.0.0.1]\nmax-connections-per-client: 1\n" NO_IDLE);
	struct peer *c[] = {
	    holds_for("TCP4 192.0.2.1 192.0.2.9 1 80"),
	    holds_for("TCP4 192.0.2.2 192.0.2.9 1 80"),
	    holds_for("TCP6 2001:db8::1 2001:db8::9 1 80"),
	    holds_for("TCP6 2001:db8:0:1::1 2001:db8::9 1 80"),
	};
	is_refused(says("TCP4 192.0.2.1 192.0.2.9 2 80", GET));
	is_refused(says("TCP6 2001:db8::2 2001:db8::9 1 80", GET)); /* of the same /64 */
	is_metric("sdlab_client_limit_refused_total", "", 2);
	for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++)
		peer_free(c[i]);
}
END_TEST

/* A tunnel is a connection as before; its end frees the place. */
START_TEST(tunnels_count)
{
	t->nback = 1;
	start("max-connections-per-client: 1\n" NO_IDLE);
	struct peer *c = asks("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), *b = asked(A);
	peer_say(b, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	peer_answer(c, 101);
	is_refused(asks(GET));
	peer_reset(c);
	peer_is_closed(b);
	wait_metric("sdlab_lb_tunnels", "", 0);
	peer_free(holds());
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(closed_in_tcp_mode)
{
	t->nback = 1;
	start("mode: tcp\nmax-connections-per-client: 1\n");
	struct peer *c = asks("one"), *b = accept_at(A), *more = client();
	peer_append_body(b, 3);
	peer_is_closed(more);
	not_asked(A);
	is_metric("sdlab_client_limit_refused_total", "", 1);
	peer_reset(c);
	peer_is_closed(b);
	wait_metric("sdlab_lb_tunnels", "", 0);
	struct peer *again = asks("three"), *other = accept_at(A);
	peer_append_body(other, 5);
	peer_free(other);
	peer_free(again);
	peer_free(more);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* A place that max-connections waits for becomes free when its connection is turned away. */
START_TEST(beside_max_connections)
{
	t->nback = 1;
	start("proxy-protocol: require\nproxy-from: [127.0.0.1]\nmax-connections: 2\nmax-connections-per-client: 1\nhead-timeout: 50ms\n"
	      NO_IDLE);
	struct peer *first = holds_for("TCP4 192.0.2.1 192.0.2.9 1 80");
	for (int i = 0; i < 3; i++)
		is_refused(says("TCP4 192.0.2.1 192.0.2.9 2 80", GET));
	struct peer *second = holds_for("TCP4 192.0.2.2 192.0.2.9 1 80");
	peer_free(second);
	peer_free(first);
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("clients");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, answered_with_429, 1, 3);
	tcase_add_test(c, silence_is_no_way_in);
	tcase_add_test(c, reloads);
	tcase_add_test(c, by_the_proxy_header);
	tcase_add_test(c, tunnels_count);
	tcase_add_test(c, closed_in_tcp_mode);
	tcase_add_test(c, beside_max_connections);
	TCase *cases[] = {c};
	return rig_main_of(cases, 1, "lb_clients");
}
