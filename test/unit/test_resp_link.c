/* A link to a server of RESP in virtual time: the server dies, is late, silent, or talks nonsense; each request is answered
 * once, with what was said to it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "core/rng.h"
#include "net/resp_link.h"
#include "net/stream.h"
#include "world/sim.h"

#define SECOND 1000000000ll
#define MS     1000000ll
#define WIRE   (1 * MS)

static struct sd_sim *sim;
static struct sd_world *here, *there;
static struct sd_loop *loop;

/* ---- a server that answers ECHO with its word, when it wants ---- */

#define MAX_CONNS 64

static struct server {
	struct sd_loop *loop;
	struct sd_listener *listener;
	struct conn {
		struct sd_stream *s;
		struct sd_resp_reader reader;
		bool known, mute; /* who left out one answer gives none any more: they are told apart by their order alone */
		int db;
	} conns[MAX_CONNS];
	size_t nconns;
	const char *password;
	uint64_t requests, in_wrong_db;
	const char *instead; /* is said instead of the next answer */
	int64_t hold_ns;     /* answers leave so much later */
	bool silent, no_channels;
	uint64_t pings;
	struct sd_timer timer;
	struct sd_resp_out held;
	struct conn *held_for;
} server;

static bool is(const struct conn *c, size_t i, const char *word)
{
	return i < c->reader.argc && sd_slice_ieq(c->reader.argv[i], word);
}

static void answer(struct conn *c, struct sd_resp_out *o)
{
	if (is(c, 0, "auth")) {
		c->known = is(c, c->reader.argc - 1, server.password);
		if (c->known)
			sd_resp_simple(o, "OK");
		else
			sd_resp_error(o, "WRONGPASS no");
	} else if (server.password && !c->known) {
		sd_resp_error(o, "NOAUTH");
	} else if (is(c, 0, "select")) {
		c->db = is(c, 1, "3") ? 3 : -1;
		if (c->db > 0)
			sd_resp_simple(o, "OK");
		else
			sd_resp_error(o, "ERR DB index is out of range");
	} else if (is(c, 0, "subscribe")) {
		sd_resp_array(o, 3);
		sd_resp_text(o, server.no_channels ? "psubscribe" : "subscribe");
		sd_resp_bulk(o, c->reader.argv[1].p, c->reader.argv[1].n);
		sd_resp_int(o, 1);
	} else if (is(c, 0, "ping")) { /* as of somebody who subscribed */
		server.pings++;
		sd_resp_array(o, 2);
		sd_resp_text(o, "pong");
		sd_resp_text(o, "");
	} else {
		server.requests++;
		server.in_wrong_db += c->db < 0;
		sd_resp_bulk(o, c->reader.argv[1].p, c->reader.argv[1].n);
	}
}

static void on_held(struct sd_timer *t)
{
	(void)t;
	if (server.held_for && server.held_for->s)
		sd_stream_write(server.held_for->s, server.held.p, server.held.n);
	server.held.n = 0;
}

static void reply(struct conn *c)
{
	struct sd_resp_out o = {0};
	answer(c, &o);
	c->mute |= server.silent;
	if (server.held.n && server.held_for != c) {
		server.held_for->mute = true;
		server.held.n = 0;
	}
	if (c->mute) {
		free(o.p);
		return;
	}
	if (server.instead) {
		sd_stream_write(c->s, server.instead, strlen(server.instead));
		server.instead = NULL;
	} else if (server.hold_ns || server.held.n) {
		server.held_for = c;
		sd_resp_raw(&server.held, o.p, o.n);
		if (server.hold_ns)
			sd_loop_timer_set(server.loop, &server.timer, sd_loop_now_ns(server.loop) + server.hold_ns);
		server.hold_ns = 0;
	} else {
		sd_stream_write(c->s, o.p, o.n);
	}
	free(o.p);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	static const struct sd_resp_limits limits = {SD_RESP_MAX_ARGS, SD_RESP_MAX_BULK, false};
	struct conn *c = s->owner;
	size_t at = 0;
	ssize_t took;
	while (at < n && (took = sd_resp_read(&c->reader, p + at, n - at, &limits)) > 0) {
		reply(c);
		sd_resp_reader_reset(&c->reader);
		at += (size_t)took;
	}
	ck_assert(at == n || took == SD_RESP_INCOMPLETE);
	return at;
}

static void drop(struct conn *c)
{
	if (c->s)
		sd_stream_close(c->s);
	c->s = NULL;
}

static void on_eof(struct sd_stream *s)
{
	drop(s->owner);
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	drop(s->owner);
}

static const struct sd_stream_events events = {.data = on_data, .eof = on_eof, .closed = on_closed};

static void on_accepted(void *arg, struct sd_io *io)
{
	(void)arg;
	ck_assert_uint_lt(server.nconns, MAX_CONNS);
	struct conn *c = &server.conns[server.nconns++];
	c->s = sd_stream_new(io, false, 65536, &events, c);
}

static void server_starts(void)
{
	struct sd_addr at = {.kind = SD_ADDR_INET, .port = 6379};
	struct sd_listener_events on = {.accepted = on_accepted};
	struct sd_error e = {0};
	server.timer.fn = on_held;
	server.loop = sd_loop_new(there, &e);
	ck_assert_int_eq(sd_loop_start(server.loop, "server", &e), SD_OK);
	ck_assert_msg(sd_loop_listen(server.loop, &at, false, &on, &server.listener, &e) == SD_OK, "%s", e.text);
}

static void server_ends(void)
{
	for (size_t i = 0; i < server.nconns; i++) {
		drop(&server.conns[i]);
		sd_resp_reader_free(&server.conns[i].reader);
	}
	sd_loop_timer_cancel(server.loop, &server.timer);
	sd_listener_close(server.listener);
	sd_loop_flush(server.loop);
	sd_loop_free(server.loop);
	free(server.held.p);
	uint64_t requests = server.requests;
	const char *password = server.password;
	server = (struct server){.requests = requests, .password = password};
}

/* ---- who asks ---- */

#define MAX_ASKED 20000

static struct asked {
	unsigned answers;
	enum sd_err err;
	int64_t at_ns, answered_ns;
} asked[MAX_ASKED];
static size_t nasked, nanswered, nright;
static unsigned ups, downs;
static char last_why[256];
static struct sd_resp_link *link;
static struct sd_resp_link_conf conf;
static bool closes; /* the next answer closes the link */

static void on_answer(void *arg, enum sd_err err, const struct sd_resp_value *r)
{
	struct asked *a = arg;
	char want[24];
	a->answers++;
	a->err = err;
	a->answered_ns = sd_sim_now_ns(sim);
	nanswered++;
	ck_assert_uint_eq(a->answers, 1);
	ck_assert_int_eq(r != NULL, err == SD_OK);
	if (r && r->kind == SD_RESP_BULK) {
		snprintf(want, sizeof(want), "%zu", (size_t)(a - asked));
		ck_assert_str_eq(r->text.p, want);
		nright++;
	}
	if (closes) {
		closes = false;
		sd_resp_link_close(link);
		link = NULL;
	}
}

static enum sd_err ask_now(void)
{
	char number[24];
	ck_assert_uint_lt(nasked, MAX_ASKED);
	snprintf(number, sizeof(number), "%zu", nasked);
	struct sd_slice words[] = {sd_slice_of("ECHO"), sd_slice_of(number)};
	asked[nasked] = (struct asked){.at_ns = sd_sim_now_ns(sim)};
	enum sd_err err = sd_resp_link_ask(link, 2, words, on_answer, &asked[nasked]);
	nasked += !err;
	return err;
}

/* From the loop, as everybody does. */
static struct wish {
	struct sd_task task;
	unsigned n;
	enum sd_err err; /* of the last */
} wish;

static void on_wish(struct sd_task *t)
{
	struct wish *w = sd_container(t, struct wish, task);
	for (; w->n; w->n--)
		w->err = ask_now();
}

static enum sd_err ask_some(unsigned n)
{
	if (!n)
		return SD_OK;
	wish = (struct wish){.task.fn = on_wish, .n = n};
	sd_loop_post(loop, &wish.task);
	while (wish.n)
		ck_assert(sd_sim_step(sim));
	return wish.err;
}

static enum sd_err ask(void)
{
	return ask_some(1);
}

static void asks(unsigned n)
{
	size_t before = nasked;
	ck_assert_int_eq(ask_some(n), SD_OK);
	ck_assert_uint_eq(nasked - before, n);
}

static void on_up(void *arg)
{
	(void)arg;
	ups++;
}

static void on_down(void *arg, const char *why)
{
	(void)arg;
	downs++;
	snprintf(last_why, sizeof(last_why), "%s", why);
}

static void pass(int64_t ns)
{
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + ns);
}

static void begin(uint64_t seed)
{
	struct sd_error e = {0};
	sim = sd_sim_new(seed);
	here = sd_sim_node(sim, "here");
	there = sd_sim_node(sim, "there");
	*sd_sim_wire(here, there) = *sd_sim_wire(there, here) = (struct sd_sim_wire){.latency_ns = WIRE};
	server = (struct server){0};
	nasked = nanswered = nright = 0;
	ups = downs = 0;
	closes = false;
	loop = sd_loop_new(here, &e);
	ck_assert_int_eq(sd_loop_start(loop, "here", &e), SD_OK);
	conf = sd_resp_link_defaults;
	conf.addr = (struct sd_addr){.kind = SD_ADDR_INET, .port = 6379, .ip = {10, 0, 0, 2}};
	conf.timeout_ns = 100 * MS;
	conf.backoff.jitter = 0;
	conf.up = on_up;
	conf.down = on_down;
}

static void opens(void)
{
	link = sd_resp_link_open(loop, &conf);
	ck_assert_ptr_nonnull(link);
}

static void end(void)
{
	sd_resp_link_close(link);
	ck_assert_uint_eq(nanswered, nasked);
	if (server.loop)
		server_ends();
	sd_loop_flush(loop);
	sd_loop_free(loop);
	sd_sim_free(sim);
}

static void all_were(size_t from, size_t n, enum sd_err err)
{
	for (size_t i = from; i < from + n; i++)
		ck_assert_msg(asked[i].answers == 1 && asked[i].err == err, "request %zu: %u answers, %s", i, asked[i].answers,
			      sd_err_text(asked[i].err));
}

static void started(void)
{
	begin(1);
	server_starts();
	opens();
	pass(10 * MS);
	ck_assert(sd_resp_link_stands(link));
}

/* ---- one thing after the other ---- */

/* Before it stands, in one piece, and each its own reply; a pair of packets is all it takes. */
START_TEST(many_on_one)
{
	begin(1);
	server_starts();
	opens();
	asks(100);
	pass(10 * MS);
	all_were(0, 100, SD_OK);
	ck_assert_uint_eq(nright, 100);
	asks(100);
	pass(2 * WIRE + MS);
	all_were(100, 100, SD_OK);
	ck_assert_uint_eq(server.nconns, 1);
	ck_assert_uint_eq(ups, 1);
	ck_assert_uint_eq(downs, 0);
	end();
}
END_TEST

START_TEST(late_answers_are_nobodys)
{
	started();
	server.hold_ns = 150 * MS;
	asks(1);
	pass(95 * MS);
	asks(2); /* behind it: the server answers in order */
	pass(4 * MS);
	ck_assert_uint_eq(nanswered, 0);
	pass(2 * MS);
	all_were(0, 1, SD_ETIMEOUT);
	ck_assert_uint_eq(nanswered, 1);
	pass(60 * MS);
	all_were(1, 2, SD_OK);
	ck_assert_uint_eq(downs, 0);
	ck_assert_uint_eq(server.nconns, 1);
	/* one that is asked while an older one is overdue has its own time */
	server.silent = true;
	asks(1);
	pass(150 * MS);
	asks(1);
	pass(101 * MS);
	all_were(3, 2, SD_ETIMEOUT);
	ck_assert_int_eq(asked[4].answered_ns - asked[4].at_ns, 100 * MS);
	end();
}
END_TEST

START_TEST(silence_ends_it)
{
	started();
	server.silent = true;
	asks(3);
	pass(399 * MS);
	all_were(0, 3, SD_ETIMEOUT);
	ck_assert_uint_eq(downs, 0);
	server.silent = false;
	pass(2 * MS);
	ck_assert_uint_eq(downs, 1);
	ck_assert_str_eq(last_why, "the server does not answer");
	ck_assert_int_eq(ask(), SD_EUNREACHABLE);
	pass(60 * MS);
	ck_assert_uint_eq(ups, 2);
	asks(1);
	pass(10 * MS);
	all_were(3, 1, SD_OK);
	end();
}
END_TEST

/* Partitioned, nobody is told that the connection is dead. */
START_TEST(a_cut_wire)
{
	started();
	sd_sim_partition(here, there, true);
	for (int i = 0; i < 10; i++) {
		if (sd_resp_link_stands(link))
			asks(1);
		else
			ck_assert_int_eq(ask(), SD_EUNREACHABLE);
		pass(100 * MS);
	}
	ck_assert_uint_eq(downs, 1);
	all_were(0, nasked, SD_ETIMEOUT);
	sd_sim_heal_all(sim);
	pass(3 * SECOND);
	size_t before = nasked;
	asks(1);
	pass(10 * MS);
	all_were(before, 1, SD_OK);
	ck_assert_uint_eq(ups, 2);
	end();
}
END_TEST

START_TEST(dies_and_comes_back)
{
	started();
	asks(5);
	sd_sim_kill(there);
	server_ends();
	pass(5 * MS);
	ck_assert_uint_eq(nanswered, 5);
	ck_assert_uint_eq(nright, 0);
	ck_assert_uint_eq(downs, 1);
	ck_assert_int_eq(ask(), SD_EUNREACHABLE);
	ck_assert_str_ne(sd_resp_link_why(link), "");
	pass(10 * SECOND); /* refused again and again: said once */
	ck_assert_uint_eq(downs, 1);
	sd_sim_boot(there);
	server_starts();
	pass(2 * SECOND + conf.timeout_ns + 20 * MS);
	ck_assert_uint_eq(ups, 2);
	asks(5);
	pass(10 * MS);
	all_were(5, 5, SD_OK);
	ck_assert_uint_eq(server.nconns, 1);
	end();
}
END_TEST

/* 50, 100, 200 ... ms between tries, at most 2 s. */
START_TEST(tries_less_and_less)
{
	begin(1);
	opens();
	asks(2);
	pass(5 * MS);
	all_were(0, 2, SD_EREFUSED);
	pass(20 * SECOND);
	ck_assert_int_eq(ask(), SD_EUNREACHABLE);
	server_starts();
	pass(2 * SECOND + 10 * MS);
	ck_assert_uint_eq(ups, 1);
	ck_assert_uint_eq(downs, 1);
	end();
}
END_TEST

static const struct {
	const char *said, *why;
} nonsense[] = {
    {"hello\r\n", NULL},
    {"$abc\r\n", NULL},
    {"+OK\r\n+OK\r\n", "the server answered what nobody asked"},
};

START_TEST(garbage)
{
	started();
	server.instead = nonsense[_i].said;
	asks(1);
	pass(10 * MS);
	ck_assert_uint_eq(downs, 1);
	if (nonsense[_i].why)
		ck_assert_str_eq(last_why, nonsense[_i].why);
	else
		all_were(0, 1, SD_EPROTO);
	pass(60 * MS);
	asks(1);
	pass(10 * MS);
	all_were(1, 1, SD_OK);
	end();
}
END_TEST

START_TEST(pushes_and_errors)
{
	started();
	server.instead = ">2\r\n+invalidate\r\n+k\r\n-ERR no\r\n";
	asks(2);
	pass(10 * MS);
	all_were(0, 2, SD_OK);
	ck_assert_uint_eq(nright, 1);
	end();
}
END_TEST

START_TEST(bounded)
{
	begin(1);
	conf.most = 10;
	conf.most_bytes = 1000;
	server_starts();
	opens();
	asks(10);
	ck_assert_int_eq(ask(), SD_EAGAIN);
	ck_assert_uint_eq(sd_resp_link_waiting(link), 10);
	pass(10 * MS);
	all_were(0, 10, SD_OK);
	char word[1001] = {0};
	memset(word, 'x', sizeof(word) - 1);
	struct sd_slice words[] = {sd_slice_of("ECHO"), sd_slice_of(word)};
	ck_assert_int_eq(sd_resp_link_ask(link, 2, words, on_answer, asked), SD_EAGAIN);
	asks(10); /* round the ring */
	pass(10 * MS);
	all_were(10, 10, SD_OK);
	end();
}
END_TEST

static void known_as(const char *user, const char *password, int64_t db)
{
	begin(1);
	server.password = "secret";
	conf.user = user;
	conf.password = password;
	conf.db = db;
	server_starts();
	opens();
	asks(2);
	pass(20 * MS);
}

START_TEST(says_who_it_is)
{
	known_as("me", "secret", 3);
	all_were(0, 2, SD_OK);
	ck_assert_int_eq(server.conns[0].db, 3);
	end();
	known_as(NULL, "secret", 0);
	all_were(0, 2, SD_OK);
	end();
}
END_TEST

/* Nothing reaches a database that was not meant. */
START_TEST(who_is_not_let_in)
{
	known_as(NULL, "wrong", 3);
	all_were(0, 2, SD_EPERM);
	ck_assert_str_eq(last_why, "WRONGPASS no");
	end();
	known_as(NULL, "secret", 4);
	all_were(0, 2, SD_EPERM);
	ck_assert_uint_eq(server.requests, 0);
	ck_assert_uint_eq(ups, 0);
	end();
}
END_TEST

START_TEST(by_name)
{
	begin(1);
	conf.addr = (struct sd_addr){.kind = SD_ADDR_NAME, .port = 6379, .name = "there"};
	server_starts();
	opens();
	asks(1);
	pass(50 * MS);
	all_were(0, 1, SD_OK);
	end();
	begin(1);
	conf.addr = (struct sd_addr){.kind = SD_ADDR_NAME, .port = 6379, .name = "nowhere"};
	opens();
	asks(1);
	pass(50 * MS);
	all_were(0, 1, SD_ENOTFOUND);
	end();
}
END_TEST

START_TEST(closing)
{
	started();
	asks(3);
	sd_resp_link_close(link);
	link = NULL;
	all_were(0, 3, SD_ECANCELED);
	end();
	started();
	closes = true;
	asks(3);
	pass(10 * MS);
	all_were(0, 1, SD_OK);
	all_were(1, 2, SD_ECANCELED);
	end();
	started();
	closes = true; /* in the middle of telling all that it broke */
	asks(3);
	sd_sim_kill(there);
	server_ends();
	pass(10 * MS);
	all_were(1, 2, SD_ECANCELED);
	end();
	started();
	closes = true; /* and of telling that they took too long */
	server.silent = true;
	asks(3);
	pass(110 * MS);
	all_were(0, 1, SD_ETIMEOUT);
	all_were(1, 2, SD_ECANCELED);
	end();
}
END_TEST

/* ---- whatever happens ---- */

static void mischief(struct sd_rng *rng)
{
	switch (sd_rng_below(rng, 12)) {
	case 0:
		if (sd_sim_is_up(there)) {
			sd_sim_kill(there);
			server_ends();
		}
		break;
	case 1:
		sd_sim_partition(here, there, true);
		break;
	case 2:
		server.instead = nonsense[sd_rng_below(rng, 2)].said;
		break;
	case 3:
		server.silent = !server.silent;
		break;
	case 4:
		server.hold_ns = (int64_t)sd_rng_below(rng, 300) * MS;
		break;
	default:
		sd_sim_heal_all(sim);
		if (!sd_sim_is_up(there)) {
			sd_sim_boot(there);
			server_starts();
		}
	}
}

/* ---- a channel ---- */

static char heard[1024];
static bool hear_closes;

static void on_message(void *arg, struct sd_slice text)
{
	size_t n = strlen(heard);
	ck_assert_ptr_null(arg);
	snprintf(heard + n, sizeof(heard) - n, "%.*s;", (int)text.n, text.p);
	if (hear_closes) {
		sd_resp_link_close(link);
		link = NULL;
	}
}

static struct news {
	struct sd_task task;
	const char *text;
} news[8];
static size_t nnews;

static void on_publish(struct sd_task *t)
{
	struct sd_resp_out o = {0};
	sd_resp_array(&o, 3);
	sd_resp_text(&o, "message");
	sd_resp_text(&o, "news");
	sd_resp_text(&o, sd_container(t, struct news, task)->text);
	for (size_t i = 0; i < server.nconns; i++)
		if (server.conns[i].s)
			sd_stream_write(server.conns[i].s, o.p, o.n);
	free(o.p);
}

static void publish(const char *text)
{
	struct news *n = &news[nnews++ % 8];
	*n = (struct news){{.fn = on_publish}, text};
	sd_loop_post(server.loop, &n->task);
}

static void hears(void)
{
	begin(1);
	heard[0] = '\0';
	hear_closes = false;
	server_starts();
	server.password = "secret";
	conf.password = "secret";
	conf.channel = "news";
	conf.message = on_message;
	conf.heartbeat_ns = 500 * MS;
	opens();
	pass(10 * MS);
}

START_TEST(a_channel)
{
	hears();
	ck_assert_uint_eq(ups, 1);
	publish("one");
	publish("two");
	pass(10 * MS);
	ck_assert_str_eq(heard, "one;two;");
	pass(10 * SECOND);
	ck_assert_uint_ge(server.pings, 19);
	ck_assert_uint_eq(downs, 0);
	/* again after it was lost, and nothing of before */
	server_ends();
	pass(10 * MS);
	ck_assert_uint_eq(downs, 1);
	server_starts();
	pass(5 * SECOND);
	ck_assert_uint_eq(ups, 2);
	publish("three");
	pass(10 * MS);
	ck_assert_str_eq(heard, "one;two;three;");
	hear_closes = true;
	publish("four");
	publish("five");
	pass(10 * MS);
	ck_assert_str_eq(heard, "one;two;three;four;");
	end();
}
END_TEST

/* Nobody says so: a heartbeat and four times the time of a request later it is known. */
START_TEST(a_silent_channel)
{
	hears();
	pass(500 * MS);
	sd_sim_partition(here, there, true);
	pass(500 * MS + 4 * 100 * MS);
	ck_assert_uint_eq(downs, 1);
	sd_sim_partition(here, there, false);
	pass(5 * SECOND);
	ck_assert_uint_eq(ups, 2);
	end();
}
END_TEST

START_TEST(no_channel)
{
	begin(1);
	server_starts();
	server.no_channels = true;
	conf.channel = "news";
	conf.message = on_message;
	opens();
	pass(SECOND);
	ck_assert_uint_eq(ups, 0);
	ck_assert_uint_eq(downs, 1);
	ck_assert_str_eq(last_why, "the server does not subscribe to channels");
	end();
}
END_TEST

START_TEST(answered_once)
{
	struct sd_rng rng;
	begin((uint64_t)_i + 1);
	sd_rng_seed(&rng, (uint64_t)_i + 1);
	server_starts();
	opens();
	for (int step = 0; step < 300; step++) {
		ask_some(sd_rng_below(&rng, 8));
		if (sd_rng_below(&rng, 10) == 0)
			mischief(&rng);
		pass((int64_t)sd_rng_below(&rng, 60) * MS);
	}
	if (!sd_sim_is_up(there)) {
		sd_sim_boot(there);
		server_starts();
	}
	sd_sim_heal_all(sim);
	server.silent = false;
	server.hold_ns = 0;
	server.instead = NULL;
	pass(5 * SECOND);
	ck_assert_uint_eq(nanswered, nasked);
	ck_assert_uint_ge(server.requests, nright);
	ck_assert_uint_gt(nright, 10);
	size_t before = nasked;
	asks(3);
	pass(SECOND);
	all_were(before, 3, SD_OK);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("resp_link");
	TCase *t = tcase_create("resp_link");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, many_on_one);
	tcase_add_test(t, late_answers_are_nobodys);
	tcase_add_test(t, silence_ends_it);
	tcase_add_test(t, a_cut_wire);
	tcase_add_test(t, dies_and_comes_back);
	tcase_add_test(t, tries_less_and_less);
	tcase_add_loop_test(t, garbage, 0, (int)(sizeof(nonsense) / sizeof(nonsense[0])));
	tcase_add_test(t, pushes_and_errors);
	tcase_add_test(t, bounded);
	tcase_add_test(t, says_who_it_is);
	tcase_add_test(t, who_is_not_let_in);
	tcase_add_test(t, by_name);
	tcase_add_test(t, closing);
	tcase_add_test(t, a_channel);
	tcase_add_test(t, a_silent_channel);
	tcase_add_test(t, no_channel);
	tcase_add_loop_test(t, answered_once, 0, 40);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
