/* TLS between two machines of the simulated world: certificates are made here, with dates and names as each case needs;
 * the wires cut reads and writes short, so records are split anywhere. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "net/io_front.h"
#include "net/proxy_in.h"
#include "net/stream.h"
#include "net/tls.h"
#include "world/loop.h"
#include "world/file.h"
#include "world/sim.h"

#define SECOND 1000000000ll
#define DAY    86400ll
#define NOW    1800000000ll /* what the wall clocks say at first, in seconds */

static struct sd_sim *sim;
static struct sd_world *a, *b; /* the server's, the client's */
static struct sd_loop *la, *lb;
static struct sd_tls_pair ca, other_ca;
static struct sd_tls_watch watch_a, watch_b;
static char said_a[SD_TLS_TEXT], said_b[SD_TLS_TEXT], warned[512];
static enum sd_tls_reason why_a, why_b;

/* ---- the stage ---- */

static struct sd_loop *loop_on(struct sd_world *w)
{
	struct sd_error e = {0};
	struct sd_loop *l = sd_loop_new(w, &e);
	ck_assert_ptr_nonnull(l);
	ck_assert_int_eq(sd_loop_start(l, "loop", &e), SD_OK);
	return l;
}

static void on_failure_a(void *arg, const struct sd_peer *peer, enum sd_tls_reason why, const char *text)
{
	(void)arg;
	(void)peer;
	why_a = why;
	snprintf(said_a, sizeof(said_a), "%s", text);
}

static void on_failure_b(void *arg, const struct sd_peer *peer, enum sd_tls_reason why, const char *text)
{
	(void)arg;
	(void)peer;
	why_b = why;
	snprintf(said_b, sizeof(said_b), "%s", text);
}

static void on_warning(void *arg, const char *text)
{
	(void)arg;
	snprintf(warned, sizeof(warned), "%s", text);
}

/* What was written or closed from here, and not from a callback, goes out first. */
static void pass(int64_t ns)
{
	sd_loop_flush(la);
	sd_loop_flush(lb);
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + ns);
}

static int64_t clock_zero_ns; /* what they said by themselves */

static void set_clocks(int64_t at_s)
{
	sd_sim_set_wall(a, at_s * SECOND - clock_zero_ns);
	sd_sim_set_wall(b, at_s * SECOND - clock_zero_ns);
}

static void set_up(void)
{
	struct sd_error e;
	struct sd_tls_wish wish = {.common_name = "CA", .from_s = NOW - DAY, .until_s = NOW + 1000 * DAY};
	sim = sd_sim_new(7);
	a = sd_sim_node(sim, "a");
	b = sd_sim_node(sim, "b");
	clock_zero_ns = sd_world_wall_ns(a);
	set_clocks(NOW);
	la = loop_on(a);
	lb = loop_on(b);
	ck_assert_int_eq(sd_tls_make(&wish, NULL, &ca, &e), SD_OK);
	wish.common_name = "Other";
	ck_assert_int_eq(sd_tls_make(&wish, NULL, &other_ca, &e), SD_OK);
	watch_a = (struct sd_tls_watch){.on_failure = on_failure_a};
	watch_b = (struct sd_tls_watch){.on_failure = on_failure_b};
	said_a[0] = said_b[0] = warned[0] = '\0';
	why_a = why_b = SD_TLS_REASONS;
}

static void tear_down(void)
{
	pass(SECOND);
	sd_loop_free(la);
	sd_loop_free(lb);
	sd_sim_free(sim);
	sd_tls_pair_free(&ca);
	sd_tls_pair_free(&other_ca);
}

static void put_file(struct sd_world *w, const char *name, const char *text)
{
	struct sd_file *f;
	struct sd_error e = {0};
	struct iovec v = {(char *)(uintptr_t)text, strlen(text)};
	ck_assert_msg(sd_file_open(w, name, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &f, &e) == SD_OK, "%s", e.text);
	ck_assert_int_eq(sd_file_write(f, &v, 1, 0, &e), SD_OK);
	sd_file_close(f);
}

/* NAME.pem and NAME.key on this machine, from and until in days from now. */
static void put_cert(struct sd_world *w, const char *file, const char *name, const struct sd_tls_pair *by, int64_t from,
		     int64_t until)
{
	const char *names[] = {name, NULL};
	struct sd_tls_wish wish = {
	    .common_name = name, .names = names, .from_s = NOW + from * DAY, .until_s = NOW + until * DAY};
	struct sd_tls_pair pair;
	struct sd_error e = {0};
	char path[64];
	ck_assert_msg(sd_tls_make(&wish, by, &pair, &e) == SD_OK, "%s", e.text);
	snprintf(path, sizeof(path), "%s.pem", file);
	put_file(w, path, pair.cert);
	snprintf(path, sizeof(path), "%s.key", file);
	put_file(w, path, pair.key);
	sd_tls_pair_free(&pair);
}

static struct sd_tls_server *server_with(struct sd_tls_server_conf *conf)
{
	struct sd_error e = {0};
	conf->watch = &watch_a;
	conf->warn = on_warning;
	struct sd_tls_server *s = sd_tls_server_new(a, conf, &e);
	ck_assert_msg(s != NULL, "%s", e.text);
	return s;
}

static struct sd_tls_server *server_of(const char *cert, const char *key, struct sd_tls_keys *keys)
{
	struct sd_tls_server_conf conf = {.ncerts = 1, .certs = &cert, .keys = &key, .keys_of_tickets = keys};
	return server_with(&conf);
}

static struct sd_tls_target *target_with(struct sd_tls_client_conf *conf, const char *name)
{
	struct sd_error e = {0};
	put_file(b, "ca.pem", ca.cert);
	if (!conf->ca && !conf->insecure)
		conf->ca = "ca.pem";
	conf->watch = &watch_b;
	struct sd_tls_client *c = sd_tls_client_new(b, conf, &e);
	ck_assert_msg(c != NULL, "%s", e.text);
	struct sd_tls_target *t = sd_tls_target_new(c, name);
	sd_tls_client_release(c);
	ck_assert_ptr_nonnull(t);
	return t;
}

static struct sd_tls_target *target_of(const char *name)
{
	struct sd_tls_client_conf conf = {0};
	return target_with(&conf, name);
}

/* ---- the two ends of one connection ---- */

struct end {
	struct sd_stream *s;
	struct sd_tls_server *server; /* what it accepts with */
	bool echo, connected, eof, closed, slow;
	bool ends; /* closes once both have said their end, and all is sent */
	enum sd_err why;
	char text[SD_TLS_TEXT];
	uint64_t got, sum, owed; /* owed: bytes to send when there is room */
	struct sd_tls_info info;
};

static struct end server_end, client_end;
static struct sd_listener *listener;

static unsigned char byte_at(uint64_t i)
{
	return (unsigned char)(i * 2654435761u >> 13);
}

static void send_owed(struct end *x, uint64_t total)
{
	char buf[30000];
	while (x->owed && !sd_stream_above_high(x->s)) {
		size_t n = x->owed < sizeof(buf) ? (size_t)x->owed : sizeof(buf);
		for (size_t i = 0; i < n; i++)
			buf[i] = (char)byte_at(total - x->owed + i);
		sd_stream_write(x->s, buf, n);
		x->owed -= n;
	}
}

#define WIRE (256 * 1024) /* bytes on their way that a simulated connection has room for */
#define BIG 3000000u

static void on_connected(struct sd_stream *s)
{
	struct end *x = s->owner;
	x->connected = true;
	ck_assert(sd_tls_info(s->io, &x->info) == sd_tls_is(s->io));
	send_owed(x, BIG);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct end *x = s->owner;
	if (x->echo && sd_stream_above_high(s))
		return 0;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] != byte_at(x->got + i))
			ck_abort_msg("byte %d differs", (int)(x->got + i));
	x->got += n;
	if (x->echo)
		sd_stream_write(s, p, n);
	sd_tls_info(s->io, &x->info);
	return n;
}

static void close_when_sent(struct end *x)
{
	sd_stream_tell_empty(x->s);
	if (!sd_stream_all_sent(x->s))
		return;
	sd_stream_close(x->s);
	x->s = NULL;
}

static void on_eof(struct sd_stream *s)
{
	struct end *x = s->owner;
	x->eof = true;
	sd_tls_info(s->io, &x->info);
	if (x->echo)
		sd_stream_shutdown_write(s);
	if (x->ends)
		close_when_sent(x);
}

static void on_drained(struct sd_stream *s)
{
	struct end *x = s->owner;
	send_owed(x, BIG);
	if (x->echo)
		sd_stream_resume(s);
	if (x->eof && x->ends)
		close_when_sent(x);
}

static void on_timeout(struct sd_stream *s)
{
	(void)s;
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	struct end *x = s->owner;
	x->closed = true;
	x->why = why;
	snprintf(x->text, sizeof(x->text), "%s", sd_stream_why(s, why));
}

static const struct sd_stream_events events = {.connected = on_connected,
					       .data = on_data,
					       .eof = on_eof,
					       .drained = on_drained,
					       .timeout = on_timeout,
					       .closed = on_closed};

/* How often TLS gave the server's connection something to send. */
static const struct sd_io_ops *uncounted_ops;
static struct sd_io_ops counted_ops;
static unsigned server_writes;

static ssize_t count_and_write(struct sd_io *io, const struct iovec *iov, int n)
{
	server_writes++;
	return uncounted_ops->writev(io, iov, n);
}

static void count_writes(struct sd_io *io)
{
	uncounted_ops = io->ops;
	counted_ops = *io->ops;
	counted_ops.writev = count_and_write;
	io->ops = &counted_ops;
	server_writes = 0;
}

static void on_accepted(void *arg, struct sd_io *io)
{
	struct end *x = arg;
	ck_assert_ptr_null(x->s);
	count_writes(io);
	if (x->server)
		io = sd_tls_accept(x->server, io);
	ck_assert_ptr_nonnull(io);
	x->s = sd_stream_new(io, false, 65536, &events, x);
}

/* What goes in the open before TLS: a PROXY header, which the server takes off. */
static char header[SD_PP_WRITE_MAX];
static size_t header_n; /* 0: none */
static struct sd_proxy_in stage;

static void on_accepted_with_header(void *arg, struct sd_io *io)
{
	static const struct sd_cidr all = {.bits = 0};
	struct sd_proxy_in_conf conf = {.mode = SD_PROXY_REQUIRE, .from = &all, .nfrom = 1};
	sd_proxy_in_init(&stage, la, &conf, on_accepted, arg);
	sd_proxy_in_take(&stage, io);
}

/* Connects the client's end to the server's, with room for what each test wants. */
static void meet(struct sd_tls_server *server, struct sd_tls_target *target)
{
	struct sd_addr at = {.kind = SD_ADDR_INET, .port = 443}, to = {.kind = SD_ADDR_INET, .port = 443, .ip = {10, 0, 0, 1}};
	struct sd_listener_events on = {.accepted = header_n ? on_accepted_with_header : on_accepted, .arg = &server_end};
	struct sd_error e = {0};
	struct sd_io *io;
	server_end = (struct end){.server = server, .echo = true};
	client_end = (struct end){0};
	ck_assert_msg(sd_loop_listen(la, &at, false, &on, &listener, &e) == SD_OK, "%s", e.text);
	ck_assert_msg(sd_loop_connect(lb, &to, &io, &e) == SD_OK, "%s", e.text);
	if (header_n)
		io = sd_io_send_first(io, header, header_n);
	if (target)
		io = sd_tls_connect(target, io);
	client_end.s = sd_stream_new(io, true, 65536, &events, &client_end);
}

static void part(void)
{
	if (client_end.s)
		sd_stream_close(client_end.s);
	pass(SECOND);
	if (server_end.s)
		sd_stream_close(server_end.s);
	pass(SECOND);
	sd_listener_close(listener);
}

/* One short visit: true when the handshake succeeded. */
static bool visit(struct sd_tls_server *server, struct sd_tls_target *target)
{
	meet(server, target);
	client_end.owed = 0;
	pass(SECOND);
	if (client_end.connected && !client_end.closed) {
		char c = (char)byte_at(0);
		sd_stream_write(client_end.s, &c, 1); /* of TLS 1.3 the client hears only then that it was refused */
		pass(SECOND);
	}
	bool good = client_end.connected && !client_end.closed && client_end.got == 1;
	part();
	return good;
}

/* ---- tests ---- */

START_TEST(test_echo)
{
	put_cert(a, "a", "a.test", &ca, -1, 30);
	struct sd_tls_server *s = server_of("a.pem", "a.key", NULL);
	struct sd_tls_target *t = target_of("a.test");
	meet(s, t);
	client_end.owed = BIG;
	pass(60 * SECOND);
	ck_assert_uint_eq(server_end.got, BIG);
	ck_assert_uint_eq(client_end.got, BIG);
	ck_assert_str_eq(client_end.info.version, "TLSv1.3");
	ck_assert_str_eq(client_end.info.subject, "CN=a.test");
	ck_assert_str_eq(server_end.info.sni, "a.test");
	ck_assert_uint_eq(strlen(client_end.info.fingerprint), 64);
	/* half closed: the server answers the end with its own, in order */
	sd_stream_shutdown_write(client_end.s);
	pass(SECOND);
	ck_assert(server_end.eof && client_end.eof);
	ck_assert(!server_end.closed && !client_end.closed);
	part();
	ck_assert_uint_eq(watch_a.handshakes, 1);
	ck_assert_uint_eq(watch_a.truncated + watch_b.truncated, 0);
	sd_tls_target_free(t);
	sd_tls_server_release(s);
}
END_TEST

/* What is sealed is not all taken at once: a slow wire, and nothing is lost at the end. */
START_TEST(test_slow_wire)
{
	put_cert(a, "a", "a.test", &ca, -1, 30);
	struct sd_tls_server *s = server_of("a.pem", "a.key", NULL);
	struct sd_tls_target *t = target_of("a.test");
	sd_sim_wire(b, a)->bytes_per_s = 2000000;
	meet(s, t);
	client_end.owed = BIG;
	pass(SECOND);
	ck_assert_uint_lt(server_end.got, BIG);
	pass(20 * SECOND);
	ck_assert_uint_eq(client_end.got, BIG);
	part();
	sd_tls_target_free(t);
	sd_tls_server_release(s);
}
END_TEST

/* The server heard the end and has said all it has to say, on a wire that is full: with some of these sizes there is no room
 * for its close_notify. It closes as soon as it may, and the client hears an end and no cut. */
START_TEST(test_end_on_a_full_wire)
{
	static char chunk[WIRE];
	unsigned waited = 0;
	put_cert(a, "a", "a.test", &ca, -1, 30);
	struct sd_tls_server *s = server_of("a.pem", "a.key", NULL);
	struct sd_tls_target *t = target_of("a.test");
	for (size_t j = 0; j < sizeof(chunk); j++)
		chunk[j] = (char)byte_at(j);
	for (unsigned n = WIRE - 600; n < WIRE; n += 10) {
		meet(s, t);
		pass(SECOND);
		ck_assert(client_end.connected);
		sd_sim_wire(a, b)->bytes_per_s = 1000;
		sd_stream_write(client_end.s, chunk, n);
		sd_stream_shutdown_write(client_end.s);
		pass(SECOND / 4);
		ck_assert(server_end.eof && server_end.got == n);
		waited += !server_end.s->out_len && !sd_stream_all_sent(server_end.s);
		server_end.ends = true;
		close_when_sent(&server_end);
		pass(1000 * SECOND);
		ck_assert_ptr_null(server_end.s);
		ck_assert_msg(client_end.got == n && client_end.eof && !client_end.closed, "%u bytes: %s", n, client_end.text);
		sd_sim_wire(a, b)->bytes_per_s = 0;
		part();
	}
	ck_assert_uint_gt(waited, 0);
	ck_assert_uint_eq(watch_b.truncated, 0);
	sd_tls_target_free(t);
	sd_tls_server_release(s);
}
END_TEST

/* An answer and the end behind it are one write of the connection below, whichever way the owner ends. */
START_TEST(test_end_with_the_answer)
{
	char byte = (char)byte_at(0);
	put_cert(a, "a", "a.test", &ca, -1, 30);
	struct sd_tls_server *s = server_of("a.pem", "a.key", NULL);
	struct sd_tls_target *t = target_of("a.test");
	meet(s, t);
	pass(SECOND);
	ck_assert(client_end.connected);
	unsigned before = server_writes;
	struct sd_stream *server = server_end.s;
	sd_stream_write(server, &byte, 1);
	if (_i == 0)
		sd_stream_close(server);
	else if (_i == 1)
		sd_stream_shutdown_write(server);
	else
		sd_stream_finish(server, sd_loop_now_ns(la) + SECOND, _i == 2, NULL, NULL);
	if (_i != 1)
		server_end.s = NULL;
	pass(SECOND / 2);
	ck_assert_uint_eq(server_writes - before, 1);
	ck_assert_uint_eq(client_end.got, 1);
	ck_assert(client_end.eof && !client_end.closed);
	part();
	ck_assert_uint_eq(watch_b.truncated, 0);
	sd_tls_target_free(t);
	sd_tls_server_release(s);
}
END_TEST

/* The longest header in front of it, over a wire that takes some bytes at a time; _i: whether TLS follows. */
START_TEST(test_behind_a_header)
{
	static char text[255];
	struct sd_peer from = {.kind = SD_ADDR_INET, .v6 = true, .ip = {1, 2, 3}, .port = 4711};
	memset(text, 'x', sizeof(text));
	struct sd_slice long_text = {text, sizeof(text)};
	struct sd_pp_extra extra = {long_text, long_text, {.there = true, .name = long_text, .version = long_text}};
	put_cert(a, "a", "a.test", &ca, -1, 30);
	struct sd_tls_server *s = server_of("a.pem", "a.key", NULL);
	struct sd_tls_target *t = target_of("a.test");
	sd_sim_wire(b, a)->bytes_per_s = 100000;
	header_n = sd_pp_write_with(header, 2, &from, &from, &extra);
	ck_assert_uint_gt(header_n, 800);
	meet(_i ? s : NULL, _i ? t : NULL);
	client_end.owed = BIG;
	pass(120 * SECOND);
	ck_assert_uint_eq(stage.stats.headers, 1);
	ck_assert(memcmp(server_end.s->io->peer.ip, from.ip, 16) == 0 && server_end.s->io->peer.port == 4711);
	struct sd_peer local = sd_io_local(server_end.s->io);
	ck_assert_uint_eq(local.port, 4711);
	ck_assert_uint_eq(server_end.got, BIG);
	ck_assert_uint_eq(client_end.got, BIG);
	part();
	header_n = 0;
	sd_tls_target_free(t);
	sd_tls_server_release(s);
}
END_TEST

/* A client that breaks off before its header is out leaves nothing behind. */
START_TEST(test_gone_before_its_header)
{
	put_cert(a, "a", "a.test", &ca, -1, 30);
	struct sd_tls_server *s = server_of("a.pem", "a.key", NULL);
	struct sd_tls_target *t = target_of("a.test");
	header_n = sd_pp_write_local(header, 2);
	meet(s, t);
	part();
	meet(s, t);
	sd_stream_abort(client_end.s);
	client_end.s = NULL;
	pass(SECOND);
	sd_listener_close(listener);
	ck_assert_ptr_null(server_end.s);
	header_n = 0;
	sd_tls_target_free(t);
	sd_tls_server_release(s);
}
END_TEST

/* The lower connection ends without close_notify: an error, not an end. */
START_TEST(test_truncation)
{
	put_cert(a, "a", "a.test", &ca, -1, 30);
	struct sd_tls_server *s = server_of("a.pem", "a.key", NULL);
	struct sd_tls_target *t = target_of("a.test");
	meet(s, t);
	pass(SECOND);
	ck_assert(client_end.connected);
	sd_sim_kill(b); /* its kernel ends the connection, its program cannot say so */
	pass(2 * SECOND);
	ck_assert(server_end.closed && !server_end.eof);
	ck_assert_int_eq(server_end.why, SD_ETLS);
	ck_assert_uint_eq(watch_a.truncated, 1);
	sd_stream_close(server_end.s);
	sd_stream_close(client_end.s);
	sd_loop_flush(lb);
	pass(SECOND);
	sd_listener_close(listener);
	sd_tls_target_free(t);
	sd_tls_server_release(s);
}
END_TEST

static const struct {
	const char *name, *asked, *text;
	int64_t from, until;
	bool other_ca;
	enum sd_tls_reason why;
} refusals[] = {
    {"a.test", "a.test", "TLS: certificate has expired (CN=a.test)", -30, -1, false, SD_TLS_EXPIRED},
    {"a.test", "a.test", "TLS: certificate is not valid yet (CN=a.test)", 1, 30, false, SD_TLS_EXPIRED},
    {"a.test", "b.test", "TLS: certificate is not for b.test (CN=a.test)", -1, 30, false, SD_TLS_WRONG_NAME},
    {"*.a.test", "x.y.a.test", "TLS: certificate is not for x.y.a.test (CN=*.a.test)", -1, 30, false, SD_TLS_WRONG_NAME},
    {"a.test", "10.0.0.1", "TLS: certificate is not for 10.0.0.1 (CN=a.test)", -1, 30, false, SD_TLS_WRONG_NAME},
    {"a.test", "a.test", "TLS: certificate is not trusted: unable to get local issuer certificate (CN=a.test)", -1, 30, true,
     SD_TLS_UNTRUSTED},
};

START_TEST(test_refused)
{
	put_cert(a, "a", refusals[_i].name, refusals[_i].other_ca ? &other_ca : &ca, refusals[_i].from, refusals[_i].until);
	struct sd_tls_server *s = server_of("a.pem", "a.key", NULL);
	struct sd_tls_target *t = target_of(refusals[_i].asked);
	ck_assert(!visit(s, t));
	ck_assert_str_eq(said_b, refusals[_i].text);
	ck_assert_int_eq(why_b, refusals[_i].why);
	ck_assert_uint_eq(watch_b.failed[refusals[_i].why], 1);
	ck_assert_int_eq(client_end.why, SD_ETLS);
	ck_assert_str_eq(client_end.text, said_b);
	/* the server was told with an alert */
	ck_assert_int_eq(why_a, SD_TLS_ALERT);
	sd_tls_target_free(t);
	struct sd_tls_client_conf careless = {.insecure = true};
	t = target_with(&careless, refusals[_i].asked);
	ck_assert(visit(s, t));
	sd_tls_target_free(t);
	sd_tls_server_release(s);
}
END_TEST

START_TEST(test_accepted_names)
{
	put_cert(a, "w", "*.a.test", &ca, -1, 30);
	put_cert(a, "i", "10.0.0.1", &ca, -1, 30);
	struct sd_tls_server *w = server_of("w.pem", "w.key", NULL), *i = server_of("i.pem", "i.key", NULL);
	struct sd_tls_target *t = target_of("x.a.test"), *u = target_of("10.0.0.1");
	ck_assert(visit(w, t));
	ck_assert(visit(i, u));
	ck_assert_str_eq(server_end.info.sni, ""); /* an IP is never sent as a name */
	sd_tls_target_free(t);
	sd_tls_target_free(u);
	sd_tls_server_release(w);
	sd_tls_server_release(i);
}
END_TEST

/* Dates are those of the world: as its clock goes on, a certificate expires. */
START_TEST(test_expires_later)
{
	put_cert(a, "a", "a.test", &ca, -1, 1);
	struct sd_tls_server *s = server_of("a.pem", "a.key", NULL);
	struct sd_tls_target *t = target_of("a.test");
	ck_assert(visit(s, t));
	ck_assert_str_eq(warned, "");
	set_clocks(NOW + 2 * DAY);
	ck_assert(!visit(s, t));
	ck_assert_str_eq(said_b, "TLS: certificate has expired (CN=a.test)");
	struct sd_tls_server *again = server_of("a.pem", "a.key", NULL);
	ck_assert_str_eq(warned, "a.pem: the certificate has expired (CN=a.test)");
	sd_tls_server_release(again);
	sd_tls_target_free(t);
	sd_tls_server_release(s);
}
END_TEST

static const struct {
	const char *asked, *shown;
} choices[] = {
    {"b.test", "CN=b.test"},
    {"B.TEST", "CN=b.test"},
    {"x.b.test", "CN=*.b.test"},
    {"exact.b.test", "CN=exact.b.test"}, /* behind the wildcard in the list, and yet */
    {"a.test", "CN=a.test"},
    {"nobody.test", "CN=a.test"},
    {"x.y.b.test", "CN=a.test"},
    {"10.0.0.1", "CN=a.test"},
};

START_TEST(test_sni)
{
	static const char *const names[] = {"a.test", "*.b.test", "exact.b.test", "b.test"};
	static const char *const certs[] = {"0.pem", "1.pem", "2.pem", "3.pem"};
	static const char *const keys[] = {"0.key", "1.key", "2.key", "3.key"};
	for (int i = 0; i < 4; i++) {
		char file[2] = {(char)('0' + i), '\0'};
		put_cert(a, file, names[i], &ca, -1, 30);
	}
	struct sd_tls_server_conf conf = {.ncerts = 4, .certs = certs, .keys = keys};
	struct sd_tls_server *s = server_with(&conf);
	struct sd_tls_client_conf careless = {.insecure = true};
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		struct sd_tls_target *t = target_with(&careless, choices[i].asked);
		ck_assert(visit(s, t));
		ck_assert_str_eq(client_end.info.subject, choices[i].shown);
		sd_tls_target_free(t);
	}
	sd_tls_server_release(s);
}
END_TEST

static const struct {
	enum sd_tls_ask ask;
	int shown; /* 0 none, 1 a good one, 2 of another CA, 3 expired */
	bool good;
	enum sd_tls_reason why;
	const char *text;
} mutual[] = {
    {SD_TLS_ASK_NONE, 1, true, SD_TLS_REASONS, ""},
    {SD_TLS_ASK_OPTIONAL, 0, true, SD_TLS_REASONS, ""},
    {SD_TLS_ASK_OPTIONAL, 1, true, SD_TLS_REASONS, ""},
    {SD_TLS_ASK_OPTIONAL, 2, false, SD_TLS_UNTRUSTED,
     "TLS: client certificate is not trusted: unable to get local issuer certificate (CN=client)"},
    {SD_TLS_ASK_REQUIRED, 0, false, SD_TLS_NO_CERTIFICATE, "TLS: the client sent no certificate"},
    {SD_TLS_ASK_REQUIRED, 1, true, SD_TLS_REASONS, ""},
    {SD_TLS_ASK_REQUIRED, 3, false, SD_TLS_EXPIRED, "TLS: client certificate has expired (CN=client)"},
};

START_TEST(test_client_certificate)
{
	const char *cert = "a.pem", *key = "a.key";
	int shown = mutual[_i].shown;
	put_cert(a, "a", "a.test", &ca, -1, 30);
	put_file(a, "ca.pem", ca.cert);
	put_cert(b, "c", "client", shown == 2 ? &other_ca : &ca, -30, shown == 3 ? -1 : 30);
	struct sd_tls_server_conf conf = {
	    .ncerts = 1, .certs = &cert, .keys = &key, .ask = mutual[_i].ask, .client_ca = "ca.pem"};
	struct sd_tls_server *s = server_with(&conf);
	struct sd_tls_client_conf client = {.cert = shown ? "c.pem" : NULL, .key = "c.key"};
	struct sd_tls_target *t = target_with(&client, "a.test");
	ck_assert_int_eq(visit(s, t), mutual[_i].good);
	ck_assert_int_eq(why_a, mutual[_i].why);
	ck_assert_str_eq(said_a, mutual[_i].text);
	bool seen = mutual[_i].good && shown && mutual[_i].ask != SD_TLS_ASK_NONE;
	ck_assert_str_eq(server_end.info.subject, seen ? "CN=client" : "");
	sd_tls_target_free(t);
	sd_tls_server_release(s);
}
END_TEST

/* A session is taken up again with the current keys and those before, also by the server of a reload; not later. */
START_TEST(test_tickets)
{
	put_cert(a, "a", "a.test", &ca, -1, 30);
	struct sd_tls_keys *keys = sd_tls_keys_new(a, 600 * SECOND);
	struct sd_tls_server *s = server_of("a.pem", "a.key", keys), *next = server_of("a.pem", "a.key", keys);
	struct sd_tls_target *t = target_of("a.test");
	ck_assert(visit(s, t) && !client_end.info.resumed);
	ck_assert(visit(s, t) && client_end.info.resumed && server_end.info.resumed);
	ck_assert(visit(next, t) && client_end.info.resumed);
	pass(700 * SECOND);
	ck_assert(visit(next, t) && client_end.info.resumed); /* the key before; and a new ticket */
	pass(700 * SECOND);
	ck_assert(visit(next, t) && client_end.info.resumed);
	pass(1300 * SECOND);
	ck_assert(visit(next, t) && !client_end.info.resumed);
	ck_assert_uint_eq(watch_a.resumed, 4);
	/* without tickets nothing is taken up */
	struct sd_tls_server *none = server_of("a.pem", "a.key", NULL);
	ck_assert(visit(none, t) && !client_end.info.resumed);
	ck_assert(visit(none, t) && !client_end.info.resumed);
	sd_tls_target_free(t);
	sd_tls_server_release(s);
	sd_tls_server_release(next);
	sd_tls_server_release(none);
	sd_tls_keys_release(keys);
}
END_TEST

/* A session without a certificate is worth nothing where one is asked for later. */
START_TEST(test_ticket_of_other_rules)
{
	const char *cert = "a.pem", *key = "a.key";
	put_cert(a, "a", "a.test", &ca, -1, 30);
	put_file(a, "ca.pem", ca.cert);
	struct sd_tls_keys *keys = sd_tls_keys_new(a, 600 * SECOND);
	struct sd_tls_server_conf conf = {.ncerts = 1, .certs = &cert, .keys = &key, .keys_of_tickets = keys};
	struct sd_tls_server *open = server_with(&conf);
	conf.ask = SD_TLS_ASK_REQUIRED;
	conf.client_ca = "ca.pem";
	struct sd_tls_server *strict = server_with(&conf);
	struct sd_tls_target *t = target_of("a.test");
	ck_assert(visit(open, t));
	ck_assert(!visit(strict, t));
	ck_assert_int_eq(why_a, SD_TLS_NO_CERTIFICATE);
	sd_tls_target_free(t);
	sd_tls_server_release(open);
	sd_tls_server_release(strict);
	sd_tls_keys_release(keys);
}
END_TEST

START_TEST(test_alpn)
{
	static const char *const two[] = {"http/1.1", "x", NULL}, *const x[] = {"x", "http/1.1", NULL}, *const y[] = {"y", NULL};
	const char *cert = "a.pem", *key = "a.key";
	put_cert(a, "a", "a.test", &ca, -1, 30);
	struct sd_tls_server_conf conf = {.ncerts = 1, .certs = &cert, .keys = &key, .alpn = two};
	struct sd_tls_server *s = server_with(&conf);
	struct sd_tls_client_conf client = {.alpn = x};
	struct sd_tls_target *t = target_with(&client, "a.test");
	ck_assert(visit(s, t));
	ck_assert_str_eq(client_end.info.alpn, "http/1.1"); /* the server's wish counts */
	sd_tls_target_free(t);
	client = (struct sd_tls_client_conf){.alpn = y};
	t = target_with(&client, "a.test");
	ck_assert(!visit(s, t));
	ck_assert_int_eq(why_a, SD_TLS_ALPN);
	sd_tls_target_free(t);
	sd_tls_server_release(s);
}
END_TEST

START_TEST(test_not_tls)
{
	put_cert(a, "a", "a.test", &ca, -1, 30);
	struct sd_tls_server *s = server_of("a.pem", "a.key", NULL);
	meet(s, NULL);
	sd_stream_write(client_end.s, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27);
	pass(SECOND);
	ck_assert_str_eq(said_a, "TLS: a plain HTTP request came");
	ck_assert_int_eq(why_a, SD_TLS_NOT_TLS);
	ck_assert(server_end.closed);
	ck_assert_int_eq(server_end.why, SD_ETLS);
	part();
	/* and a client that finds a plain server */
	meet(NULL, NULL);
	sd_stream_close(client_end.s);
	client_end.s = NULL;
	part();
	sd_tls_server_release(s);
}
END_TEST

/* ---- files that do not fit ---- */

static const struct {
	const char *cert, *key, *text;
} files[] = {
    {"none.pem", "a.key", "cannot open none.pem: No such file or directory"},
    {"a.pem", "none.key", "cannot open none.key: No such file or directory"},
    {"a.key", "a.key", "a.key: expected a certificate in PEM (-----BEGIN CERTIFICATE-----), found none"},
    {"a.pem", "a.pem", "a.pem: expected a private key in PEM (-----BEGIN PRIVATE KEY-----), found none"},
    {"a.pem", "b.key", "b.key: the private key does not fit the certificate in a.pem"},
    {"a.pem", "locked.key", "locked.key: the private key has a passphrase; expected one without"},
    {"empty", "a.key", "empty: expected a certificate in PEM (-----BEGIN CERTIFICATE-----), found none"},
};

/* openssl genpkey -algorithm ED25519 -aes256 -pass pass:x */
static const char locked[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
			     "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiFyw5E4f2S3AICCAAw\n"
			     "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEE/LO1kkSvFw9ZEoG2ZMP7MEQKM/\n"
			     "abvC5aCTRgjK3h9amxiPtSfS7meJCQsjknma1qOdLngMKMvAGLUyQndzBAAwXGOH\n"
			     "HjxIuqS3Gyza4JHl6p8=\n"
			     "-----END ENCRYPTED PRIVATE KEY-----\n";

START_TEST(test_bad_files)
{
	struct sd_error e = {0};
	put_cert(a, "a", "a.test", &ca, -1, 30);
	put_cert(a, "b", "b.test", &ca, -1, 30);
	put_file(a, "empty", "");
	put_file(a, "locked.key", locked);
	struct sd_tls_server_conf conf = {.ncerts = 1, .certs = &files[_i].cert, .keys = &files[_i].key};
	ck_assert_ptr_null(sd_tls_server_new(a, &conf, &e));
	ck_assert_str_eq(e.text, files[_i].text);
}
END_TEST

START_TEST(test_key_beside)
{
	const char *both = "both.pem";
	struct sd_tls_pair pair;
	const char *names[] = {"a.test", NULL};
	struct sd_tls_wish wish = {.common_name = "a.test", .names = names, .from_s = NOW, .until_s = NOW + DAY};
	struct sd_error e;
	char text[4096];
	ck_assert_int_eq(sd_tls_make(&wish, &ca, &pair, &e), SD_OK);
	snprintf(text, sizeof(text), "%s%s", pair.cert, pair.key);
	put_file(a, both, text);
	sd_tls_pair_free(&pair);
	struct sd_tls_server_conf conf = {.ncerts = 1, .certs = &both};
	struct sd_tls_server *s = server_with(&conf);
	sd_tls_server_release(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tls");
	TCase *tc = tcase_create("tls");
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_echo);
	tcase_add_test(tc, test_slow_wire);
	tcase_add_loop_test(tc, test_behind_a_header, 0, 2);
	tcase_add_test(tc, test_end_on_a_full_wire);
	tcase_add_loop_test(tc, test_end_with_the_answer, 0, 4);
	tcase_add_test(tc, test_gone_before_its_header);
	tcase_add_test(tc, test_truncation);
	tcase_add_loop_test(tc, test_refused, 0, sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_test(tc, test_accepted_names);
	tcase_add_test(tc, test_expires_later);
	tcase_add_test(tc, test_sni);
	tcase_add_loop_test(tc, test_client_certificate, 0, sizeof(mutual) / sizeof(mutual[0]));
	tcase_add_test(tc, test_tickets);
	tcase_add_test(tc, test_ticket_of_other_rules);
	tcase_add_test(tc, test_alpn);
	tcase_add_test(tc, test_not_tls);
	tcase_add_loop_test(tc, test_bad_files, 0, sizeof(files) / sizeof(files[0]));
	tcase_add_test(tc, test_key_beside);
	suite_add_tcase(suite, tc);
	SRunner *r = srunner_create(suite);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
