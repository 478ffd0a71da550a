/* Connections that speak RESP, in virtual time: pipelines in any pieces, replies that come later, clients that do not read, too many clients,
 * what is no RESP, and connections that end while replies wait. Each with replies that leave as they come, and with a service that
 * settles them first. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/resp_front.h"
#include "core/rng.h"
#include "core/text.h"
#include "world/sim.h"

#define MS	 INT64_C(1000000)
#define SECOND	 INT64_C(1000000000)
#define IN_LIMIT 4096
#define BULK_MAX (1 << 20)

static struct sd_sim *sim;
static struct sd_world *here, *there;
static struct sd_loop *ours, *theirs;
static struct sd_rng rng;

/* ---- the service ---- */

static struct sd_resp_front front;
static struct sd_listener *listener;
static unsigned calls, settles, begun_n, ended_n, dropped_n;
static bool spoils; /* settle makes errors of all replies */
static struct sd_resp_later *waiting[6000];
static size_t nwaiting;
static uint32_t most_rejected; /* that were there at a time, also within a turn of the loop */
static size_t most_out; /* bytes that waited in a connection, at most */

static void begun(struct sd_resp_conn *c)
{
	ck_assert_ptr_eq(c->front, &front);
	begun_n++;
}

static void ended(struct sd_resp_conn *c)
{
	ck_assert_ptr_eq(c->front, &front);
	ended_n++;
}

static void dropped(void *arg)
{
	struct sd_resp_later **l = arg;
	ck_assert_ptr_nonnull(*l);
	*l = NULL;
	dropped_n++;
}

static bool is(size_t argc, const struct sd_slice *argv, const char *word, size_t words)
{
	return argc == words && sd_slice_ieq(argv[0], word);
}

static void call(struct sd_resp_conn *c, size_t argc, const struct sd_slice *argv)
{
	static char big[BULK_MAX];
	int64_t n;
	calls++;
	if (is(argc, argv, "echo", 2)) {
		sd_resp_bulk(&c->out, argv[1].p, argv[1].n);
	} else if (is(argc, argv, "big", 2) && sd_resp_parse_int(argv[1], &n)) {
		sd_resp_bulk(&c->out, big, (size_t)n);
	} else if (is(argc, argv, "later", 1)) {
		ck_assert_uint_lt(nwaiting, sizeof(waiting) / sizeof(waiting[0]));
		waiting[nwaiting] = sd_resp_later_new(c, dropped, &waiting[nwaiting]);
		ck_assert_ptr_nonnull(waiting[nwaiting++]);
	} else if (is(argc, argv, "quit", 1)) {
		sd_resp_simple(&c->out, "OK");
		c->quit = true;
	} else {
		sd_resp_error(&c->out, "ERR what?");
	}
	size_t waits = c->out.n + c->stream->out_len;
	most_out = waits > most_out ? waits : most_out;
}

static void settle(struct sd_resp_front *f)
{
	settles++;
	for (struct sd_link *k = f->turn.next; spoils && k != &f->turn; k = k->next) {
		struct sd_resp_conn *c = sd_container(k, struct sd_resp_conn, turn);
		c->out.n = 0;
		sd_resp_error(&c->out, "ERR not kept");
	}
}

static const struct sd_resp_front_events as_they_come = {sizeof(struct sd_resp_conn), begun, call, NULL, ended};
static const struct sd_resp_front_events settled = {sizeof(struct sd_resp_conn), begun, call, settle, ended};

static void on_accepted(void *arg, struct sd_io *io)
{
	(void)arg;
	sd_resp_front_accept(&front, io, false, (struct sd_client_pass){0});
	most_rejected = front.leaving_rejected > most_rejected ? front.leaving_rejected : most_rejected;
}

/* ---- clients ---- */

struct client {
	struct sd_stream *s;
	struct sd_text in; /* what came */
	bool deaf, eof, broken;
};

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct client *k = s->owner;
	if (k->deaf)
		return 0;
	sd_text_add(&k->in, p, n);
	return n;
}

static void on_eof(struct sd_stream *s)
{
	((struct client *)s->owner)->eof = true;
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	struct client *k = s->owner;
	(void)why;
	k->broken = true;
	sd_stream_close(s);
	k->s = NULL;
}

static const struct sd_stream_events client_events = {.data = on_data, .eof = on_eof, .closed = on_closed};

/* ---- on loops ---- */

struct visit {
	struct sd_task task;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

static void on_visit(struct sd_task *t)
{
	struct visit *v = sd_container(t, struct visit, task);
	v->fn(v->arg);
	v->done = true;
}

/* There, as everybody does. */
static void on_loop(struct sd_loop *loop, void (*fn)(void *arg), void *arg)
{
	struct visit v = {.task.fn = on_visit, .fn = fn, .arg = arg};
	sd_loop_post(loop, &v.task);
	while (!v.done)
		ck_assert(sd_sim_step(sim));
}

static void pass(int64_t ns)
{
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + ns);
}

static void connect_one(void *arg)
{
	struct client *k = arg;
	const struct sd_addr at = {.kind = SD_ADDR_INET, .port = 6379, .ip = {10, 0, 0, 2}};
	struct sd_io *io;
	struct sd_error e;
	ck_assert_msg(sd_loop_connect(ours, &at, &io, &e) == SD_OK, "%s", e.text);
	ck_assert_ptr_nonnull(k->s = sd_stream_new(io, true, 1 << 20, &client_events, k));
}

static void connects(struct client *k)
{
	*k = (struct client){0};
	on_loop(ours, connect_one, k);
	pass(10 * MS);
}

struct said {
	struct client *k;
	const char *p;
	size_t n;
};

static void say_it(void *arg)
{
	const struct said *s = arg;
	sd_stream_write(s->k->s, s->p, s->n);
}

/* In pieces of at most so many bytes, each by itself; 0: all at once. */
static void says(struct client *k, const char *p, size_t n, size_t piece)
{
	while (n > 0) {
		size_t some = piece ? 1 + sd_rng_next(&rng) % piece : n;
		struct said s = {k, p, some < n ? some : n};
		on_loop(ours, say_it, &s);
		if (piece)
			pass(3 * MS);
		p += s.n;
		n -= s.n;
	}
}

static void asks(struct client *k, const char *text)
{
	says(k, text, strlen(text), 0);
	pass(100 * MS);
}

static void resume(void *arg)
{
	struct client *k = arg;
	k->deaf = false;
	sd_stream_resume(k->s);
}

static void shut(void *arg)
{
	struct client *k = arg;
	k->s->io->ops->shutdown_write(k->s->io);
}

static void abort_it(void *arg)
{
	struct client *k = arg;
	sd_stream_abort(k->s);
	k->s = NULL;
}

static void leave(void *arg)
{
	struct client *k = arg;
	if (k->s)
		sd_stream_close(k->s);
	k->s = NULL;
}

static void leaves(struct client *k)
{
	on_loop(ours, leave, k);
	free(k->in.p);
	k->in = (struct sd_text){0};
	pass(10 * MS);
}

static void heard(const struct client *k, const char *want)
{
	ck_assert_msg(k->in.n == strlen(want) && (!k->in.n || memcmp(k->in.p, want, k->in.n) == 0), "heard \"%.*s\", expected \"%s\"", (int)k->in.n,
		      k->in.p ? k->in.p : "", want);
}

static void heard_text(const struct client *k, const struct sd_text *want)
{
	size_t same = 0;
	while (same < k->in.n && same < want->n && k->in.p[same] == want->p[same])
		same++;
	ck_assert_msg(k->in.n == want->n && same == want->n, "heard %zu bytes, expected %zu, the first %zu are the same", k->in.n, want->n, same);
}

/* ---- beginning and end ---- */

static void start_front(void *arg)
{
	(void)arg;
	struct sd_addr at = {.kind = SD_ADDR_INET, .port = 6379};
	struct sd_listener_events on = {.accepted = on_accepted};
	struct sd_error e;
	sd_resp_front_begin(&front);
	ck_assert_msg(sd_loop_listen(theirs, &at, false, &on, &listener, &e) == SD_OK, "%s", e.text);
}

static void begin(bool settles_first, uint64_t seed)
{
	struct sd_error e;
	sim = sd_sim_new(seed);
	here = sd_sim_node(sim, "here");
	there = sd_sim_node(sim, "there");
	*sd_sim_wire(here, there) = *sd_sim_wire(there, here) = (struct sd_sim_wire){.latency_ns = MS};
	sd_rng_seed(&rng, seed);
	ck_assert_ptr_nonnull(ours = sd_loop_new(here, &e));
	ck_assert_ptr_nonnull(theirs = sd_loop_new(there, &e));
	ck_assert_int_eq(sd_loop_start(ours, "ours", &e), SD_OK);
	ck_assert_int_eq(sd_loop_start(theirs, "theirs", &e), SD_OK);
	front = (struct sd_resp_front){.loop = theirs,
				       .events = settles_first ? &settled : &as_they_come,
				       .limits = {.max_args = 1000, .max_bulk = BULK_MAX},
				       .in_limit = IN_LIMIT,
				       .server = "test",
				       .version = "1"};
	calls = settles = begun_n = ended_n = dropped_n = 0;
	spoils = false;
	nwaiting = most_out = most_rejected = 0;
	on_loop(theirs, start_front, NULL);
}

static void end_front(void *arg)
{
	sd_listener_close(listener);
	sd_resp_front_end(&front, *(bool *)arg);
}

static void end(void)
{
	bool at_once = true;
	on_loop(theirs, end_front, &at_once);
	pass(10 * SECOND);
	ck_assert_uint_eq(front.nconns, 0);
	ck_assert_uint_eq(front.leaving, 0);
	ck_assert_uint_eq(front.leaving_rejected, 0);
	ck_assert_uint_eq(begun_n, ended_n);
	sd_loop_flush(ours);
	sd_loop_flush(theirs);
	sd_loop_free(ours);
	sd_loop_free(theirs);
	sd_sim_free(sim);
}

/* ---- pipelines ---- */

static void put_echo(struct sd_text *out, struct sd_text *want, int i)
{
	char word[400];
	int n = snprintf(word, sizeof(word), "%d:%*s", i, (int)(sd_rng_next(&rng) % 300), "");
	if (i % 7 == 3) {
		sd_text_format(out, "echo \"%s\"\r\n", word);
	} else {
		sd_text_format(out, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", n, word);
	}
	sd_text_format(want, "$%d\r\n%s\r\n", n, word);
}

/* Whatever pieces they come in, each request is run once, and its reply comes in its turn. */
START_TEST(a_pipeline_in_any_pieces)
{
	static const size_t pieces[] = {0, 3, 50, 5000};
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct client k;
		struct sd_text out = {0}, want = {0};
		int n = pieces[i] == 3 ? 8 : 400;
		begin(_i, 1 + i);
		connects(&k);
		for (int r = 0; r < n; r++)
			put_echo(&out, &want, r);
		says(&k, out.p, out.n, pieces[i]);
		pass(SECOND);
		heard_text(&k, &want);
		ck_assert_uint_eq(calls, (unsigned)n);
		ck_assert_uint_eq(front.in_bytes, out.n);
		ck_assert_uint_eq(front.out_bytes, want.n);
		ck_assert(_i ? settles > 0 && settles <= calls : !settles);
		leaves(&k);
		free(out.p);
		free(want.p);
		end();
	}
}
END_TEST

/* One larger than what usually waits in a connection gets room, and gives it back. */
START_TEST(a_large_request_gets_its_room)
{
	struct client k;
	struct sd_text out = {0}, want = {0};
	static char word[300000];
	begin(_i, 2);
	connects(&k);
	memset(word, 'w', sizeof(word));
	sd_text_format(&out, "*2\r\n$4\r\nECHO\r\n$%zu\r\n", sizeof(word));
	sd_text_add(&out, word, sizeof(word));
	sd_text_format(&want, "$%zu\r\n", sizeof(word));
	sd_text_add(&want, word, sizeof(word));
	sd_text_format(&want, "\r\n");
	says(&k, out.p, out.n, 50000);
	const struct sd_resp_conn *c = sd_container(front.conns.next, struct sd_resp_conn, link);
	ck_assert_uint_ge(c->stream->in_limit, out.n);
	ck_assert_uint_eq(calls, 0);
	asks(&k, "\r\nECHO x\r\n");
	sd_text_format(&want, "$1\r\nx\r\n");
	heard_text(&k, &want);
	ck_assert_uint_eq(c->stream->in_limit, IN_LIMIT);
	leaves(&k);
	free(out.p);
	free(want.p);
	end();
}
END_TEST

/* What the service changes before replies leave is what a client hears, of all that was asked in the turn. */
START_TEST(nothing_leaves_before_it_is_settled)
{
	struct client k;
	begin(true, 3);
	connects(&k);
	asks(&k, "ECHO a\r\n");
	heard(&k, "$1\r\na\r\n");
	spoils = true;
	asks(&k, "ECHO b\r\n");
	heard(&k, "$1\r\na\r\n-ERR not kept\r\n");
	leaves(&k);
	end();
}
END_TEST

/* ---- a client that does not read ---- */

START_TEST(who_does_not_read_is_not_read)
{
	enum { N = 3000, SIZE = 10000 };
	struct client k;
	struct sd_text out = {0};
	begin(_i, 4);
	connects(&k);
	k.deaf = true;
	for (int i = 0; i < N; i++)
		sd_text_format(&out, "BIG %d\r\n", SIZE);
	says(&k, out.p, out.n, 0);
	pass(20 * SECOND);
	ck_assert_uint_lt(calls, N / 2);
	ck_assert_uint_lt(most_out, 3 * SD_STREAM_HIGH);
	unsigned before = calls;
	pass(20 * SECOND);
	ck_assert_uint_eq(calls, before);
	on_loop(ours, resume, &k);
	pass(20 * SECOND);
	ck_assert_uint_eq(calls, N);
	ck_assert_uint_eq(k.in.n, N * (SIZE + strlen("$10000\r\n\r\n")));
	ck_assert_uint_lt(most_out, 3 * SD_STREAM_HIGH);
	leaves(&k);
	free(out.p);
	end();
}
END_TEST

/* ---- replies that come later ---- */

static void answer(void *arg)
{
	size_t i = *(size_t *)arg;
	char text[24];
	snprintf(text, sizeof(text), "later %zu", i);
	sd_resp_simple(&waiting[i]->out, text);
	sd_resp_later_done(waiting[i]);
	waiting[i] = NULL;
}

static void answers(size_t i)
{
	on_loop(theirs, answer, &i);
}

START_TEST(replies_come_in_order)
{
	struct client k;
	begin(_i, 5);
	connects(&k);
	asks(&k, "ECHO a\r\nLATER\r\nECHO b\r\nLATER\r\nECHO c\r\nLATER\r\n");
	ck_assert_uint_eq(calls, 6);
	heard(&k, "$1\r\na\r\n");
	answers(1);
	pass(100 * MS);
	heard(&k, "$1\r\na\r\n");
	answers(0);
	pass(100 * MS);
	heard(&k, "$1\r\na\r\n+later 0\r\n$1\r\nb\r\n+later 1\r\n$1\r\nc\r\n");
	asks(&k, "ECHO d\r\n");
	answers(2);
	pass(100 * MS);
	heard(&k, "$1\r\na\r\n+later 0\r\n$1\r\nb\r\n+later 1\r\n$1\r\nc\r\n+later 2\r\n$1\r\nd\r\n");
	ck_assert_uint_eq(dropped_n, 0);
	leaves(&k);
	end();
}
END_TEST

/* Who has too many of them is not read until there are fewer. */
START_TEST(not_too_many_wait)
{
	enum { N = 5000 };
	struct client k;
	struct sd_text out = {0}, want = {0};
	begin(_i, 6);
	connects(&k);
	for (size_t i = 0; i < N; i++) {
		sd_text_format(&out, "LATER\r\n");
		sd_text_format(&want, "+later %zu\r\n", i);
	}
	says(&k, out.p, out.n, 0);
	pass(SECOND);
	ck_assert_uint_eq(nwaiting, SD_RESP_FRONT_LATER);
	for (size_t i = 0; i <= SD_RESP_FRONT_LATER / 2; i++) {
		ck_assert_uint_eq(nwaiting, SD_RESP_FRONT_LATER);
		answers(i);
	}
	pass(SECOND);
	ck_assert_uint_eq(nwaiting, N);
	for (size_t i = SD_RESP_FRONT_LATER / 2 + 1; i < N; i++)
		answers(i);
	pass(SECOND);
	heard_text(&k, &want);
	leaves(&k);
	free(out.p);
	free(want.p);
	end();
}
END_TEST

/* ---- the end ---- */

/* A client that says that it asks no more is answered all the same, also later; then its connection ends. */
START_TEST(who_asks_no_more_is_answered)
{
	struct client k;
	begin(_i, 7);
	connects(&k);
	asks(&k, "ECHO a\r\nLATER\r\nECHO b\r\n");
	on_loop(ours, shut, &k);
	pass(SECOND);
	heard(&k, "$1\r\na\r\n");
	ck_assert(!k.eof);
	answers(0);
	pass(SECOND);
	heard(&k, "$1\r\na\r\n+later 0\r\n$1\r\nb\r\n");
	ck_assert(k.eof);
	ck_assert_uint_eq(ended_n, 1);
	leaves(&k);
	end();
}
END_TEST

/* One that is gone: whoever was to answer is told, once. */
START_TEST(who_is_gone_is_not_answered)
{
	struct client k;
	begin(_i, 8);
	connects(&k);
	asks(&k, "LATER\r\nLATER\r\nECHO b\r\nLATER\r\n");
	answers(1);
	on_loop(ours, abort_it, &k);
	pass(SECOND);
	ck_assert_uint_eq(ended_n, 1);
	ck_assert_uint_eq(dropped_n, 2);
	ck_assert(!waiting[0] && !waiting[2]);
	ck_assert_uint_eq(front.nconns, 0);
	leaves(&k);
	end();
}
END_TEST

/* The service ends while a reply waits: what was answered leaves. */
START_TEST(the_service_ends)
{
	struct client k;
	bool at_once = false;
	begin(_i, 9);
	connects(&k);
	asks(&k, "ECHO a\r\nLATER\r\nECHO b\r\n");
	on_loop(theirs, end_front, &at_once);
	ck_assert_uint_eq(dropped_n, 1);
	ck_assert_uint_eq(ended_n, 1);
	pass(SECOND);
	heard(&k, "$1\r\na\r\n");
	ck_assert(k.eof);
	leaves(&k);
	start_front(NULL);
	end();
}
END_TEST

START_TEST(what_follows_quit_is_not_run)
{
	struct client k;
	begin(_i, 10);
	connects(&k);
	asks(&k, "ECHO a\r\nQUIT\r\nECHO b\r\n");
	heard(&k, "$1\r\na\r\n+OK\r\n");
	ck_assert(k.eof);
	ck_assert_uint_eq(calls, 2);
	leaves(&k);
	end();
}
END_TEST

/* ---- what is no RESP ---- */

static const struct {
	const char *said, *heard;
	unsigned calls;
} wrongs[] = {
    {"ECHO a\r\n*1\r\n$x\r\nECHO b\r\n", "$1\r\na\r\n-ERR Protocol error: invalid bulk length\r\n", 1},
    {"*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'\r\n", 0},
    {"*2000\r\n", "-ERR Protocol error: invalid multibulk length\r\n", 0},
    {"*2\r\n$4\r\nECHO\r\n$1048577\r\n", "-ERR Protocol error: invalid bulk length\r\n", 0},
    {"ECHO \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n", 0},
    /* a browser that was made to come: not one of its lines is run */
    {"POST / HTTP/1.1\r\nHost: x\r\n\r\nECHO a\r\n", "", 0},
    {"GET / HTTP/1.1\r\nHost: x\r\n\r\nECHO a\r\n", NULL, 1},
};

START_TEST(what_is_no_request_ends_it)
{
	struct client k;
	begin(_i % 2, 11);
	connects(&k);
	asks(&k, wrongs[_i / 2].said);
	if (wrongs[_i / 2].heard)
		heard(&k, wrongs[_i / 2].heard);
	ck_assert(k.eof);
	ck_assert_uint_eq(calls, wrongs[_i / 2].calls);
	ck_assert_uint_eq(front.nconns, 0);
	leaves(&k);
	end();
}
END_TEST

/* Who has not said who it is gets no memory for large requests. */
START_TEST(strangers_get_little)
{
	struct client k;
	begin(_i, 12);
	front.password = "secret";
	connects(&k);
	asks(&k, "*2\r\n$4\r\nECHO\r\n$100000\r\n");
	heard(&k, "-ERR Protocol error: unauthenticated bulk length\r\n");
	ck_assert(k.eof);
	leaves(&k);
	end();
}
END_TEST

/* ---- too many ---- */

static const char too_many[] = "-ERR max number of clients reached\r\n";

START_TEST(too_many_clients)
{
	struct client k[3];
	begin(_i, 13);
	front.max_clients = 2;
	for (int i = 0; i < 3; i++)
		connects(&k[i]);
	asks(&k[0], "ECHO a\r\n");
	heard(&k[0], "$1\r\na\r\n");
	pass(SECOND);
	heard(&k[2], too_many);
	ck_assert(k[2].eof && !k[0].eof && !k[1].eof);
	ck_assert(front.rejected == 1 && front.nconns == 2 && front.accepted == 3);
	/* one goes, and another comes in */
	leaves(&k[0]);
	leaves(&k[2]);
	connects(&k[0]);
	asks(&k[0], "ECHO b\r\n");
	heard(&k[0], "$1\r\nb\r\n");
	ck_assert_uint_eq(front.rejected, 1);
	leaves(&k[0]);
	leaves(&k[1]);
	end();
}
END_TEST

/* Who was sent off and does not close still has a descriptor: it counts until it is gone, which is not for ever. */
START_TEST(who_does_not_go_counts)
{
	struct client k[2];
	begin(_i, 14);
	front.max_clients = 1;
	connects(&k[0]);
	asks(&k[0], "QUIT\r\n");
	ck_assert(k[0].eof && front.nconns == 0 && front.leaving == 1);
	connects(&k[1]);
	heard(&k[1], too_many);
	leaves(&k[1]);
	pass(6 * SECOND);
	ck_assert_uint_eq(front.leaving, 0);
	connects(&k[1]);
	asks(&k[1], "ECHO a\r\n");
	heard(&k[1], "$1\r\na\r\n");
	leaves(&k[0]);
	leaves(&k[1]);
	end();
}
END_TEST

/* Nor do those keep descriptors who come in spite of it, and stay. */
START_TEST(a_crowd_that_was_refused_keeps_nothing)
{
	enum { N = 60 };
	struct client k[N + 1];
	begin(_i, 15);
	front.max_clients = 1;
	for (int i = 0; i <= N; i++)
		connects(&k[i]);
	ck_assert_uint_eq(front.rejected, N);
	ck_assert_uint_ge(front.leaving_rejected, 1);
	ck_assert_uint_le(most_rejected, 16);
	for (int i = 1; i <= N; i++)
		heard(&k[i], too_many);
	asks(&k[0], "ECHO a\r\n");
	heard(&k[0], "$1\r\na\r\n");
	for (int i = 0; i <= N; i++)
		leaves(&k[i]);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("resp_front");
	TCase *t = tcase_create("resp_front");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, a_pipeline_in_any_pieces, 0, 2);
	tcase_add_loop_test(t, a_large_request_gets_its_room, 0, 2);
	tcase_add_test(t, nothing_leaves_before_it_is_settled);
	tcase_add_loop_test(t, who_does_not_read_is_not_read, 0, 2);
	tcase_add_loop_test(t, replies_come_in_order, 0, 2);
	tcase_add_loop_test(t, not_too_many_wait, 0, 2);
	tcase_add_loop_test(t, who_asks_no_more_is_answered, 0, 2);
	tcase_add_loop_test(t, who_is_gone_is_not_answered, 0, 2);
	tcase_add_loop_test(t, the_service_ends, 0, 2);
	tcase_add_loop_test(t, what_follows_quit_is_not_run, 0, 2);
	tcase_add_loop_test(t, what_is_no_request_ends_it, 0, 2 * (int)(sizeof(wrongs) / sizeof(wrongs[0])));
	tcase_add_loop_test(t, strangers_get_little, 0, 2);
	tcase_add_loop_test(t, too_many_clients, 0, 2);
	tcase_add_loop_test(t, who_does_not_go_counts, 0, 2);
	tcase_add_loop_test(t, a_crowd_that_was_refused_keeps_nothing, 0, 2);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
