/* Loops, helpers and connections of the simulated world: what the kernel's do, at virtual times. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "net/stream.h"
#include "world/loop.h"
#include "world/sim.h"
#include "world/world.h"

#define SECOND 1000000000ll
#define MS     1000000ll

static struct sd_sim *sim;
static struct sd_world *a, *b;
static struct sd_loop *la, *lb;

static struct sd_loop *loop_on(struct sd_world *w)
{
	struct sd_error e = {0};
	struct sd_loop *l = sd_loop_new(w, &e);
	ck_assert_ptr_nonnull(l);
	ck_assert_int_eq(sd_loop_start(l, "loop", &e), SD_OK);
	return l;
}

static void begin(uint64_t seed)
{
	sim = sd_sim_new(seed);
	a = sd_sim_node(sim, "a");
	b = sd_sim_node(sim, "b");
	la = loop_on(a);
	lb = loop_on(b);
}

static void end(void)
{
	sd_loop_free(la);
	sd_loop_free(lb);
	sd_sim_free(sim);
}

static void pass(int64_t ns)
{
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + ns);
}

/* ---- one end of a connection that counts what it hears ---- */

struct end {
	struct sd_stream *s;
	struct sd_listener *listener;
	struct end *peer; /* what it hears is sent to; itself: an echo */
	uint64_t got, sum;
	bool connected, eof, closed, timeout, silent; /* silent: takes nothing */
	enum sd_err why;
	int64_t connected_ns, got_ns;
};

static void on_connected(struct sd_stream *s)
{
	struct end *x = s->owner;
	x->connected = true;
	x->connected_ns = sd_sim_now_ns(sim);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct end *x = s->owner;
	if (x->silent)
		return 0;
	for (size_t i = 0; i < n; i++)
		x->sum = x->sum * 31 + (unsigned char)p[i];
	x->got += n;
	x->got_ns = sd_sim_now_ns(sim);
	if (x->peer)
		sd_stream_write(x->peer->s, p, n);
	return n;
}

static void on_eof(struct sd_stream *s)
{
	((struct end *)s->owner)->eof = true;
}

static void on_timeout(struct sd_stream *s)
{
	((struct end *)s->owner)->timeout = true;
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	struct end *x = s->owner;
	x->closed = true;
	x->why = why;
}

static const struct sd_stream_events events = {
    .connected = on_connected, .data = on_data, .eof = on_eof, .timeout = on_timeout, .closed = on_closed};

static void on_accepted(void *arg, struct sd_io *io)
{
	struct end *x = arg;
	ck_assert_ptr_null(x->s);
	x->s = sd_stream_new(io, false, 65536, &events, x);
}

static void listens(struct end *x, struct sd_loop *l, uint16_t port)
{
	struct sd_addr at = {.kind = SD_ADDR_INET, .port = port};
	struct sd_listener_events on = {.accepted = on_accepted, .arg = x};
	struct sd_error e = {0};
	ck_assert_msg(sd_loop_listen(l, &at, false, &on, &x->listener, &e) == SD_OK, "%s", e.text);
}

static void connects(struct end *x, struct sd_loop *l, uint8_t node, uint16_t port)
{
	struct sd_addr to = {.kind = SD_ADDR_INET, .port = port, .ip = {10, 0, 0, node}};
	struct sd_io *io;
	struct sd_error e = {0};
	ck_assert_msg(sd_loop_connect(l, &to, &io, &e) == SD_OK, "%s", e.text);
	x->s = sd_stream_new(io, true, 65536, &events, x);
}

static void drop(struct end *x)
{
	if (x->s)
		sd_stream_close(x->s);
	sd_listener_close(x->listener);
	sd_loop_flush(la);
	sd_loop_flush(lb);
}

static struct end client, server;

static void pair(uint64_t seed)
{
	begin(seed);
	client = server = (struct end){0};
	listens(&server, lb, 80);
	connects(&client, la, 2, 80);
}

static void unpair(void)
{
	drop(&client);
	drop(&server);
	end();
}

static void send_from(struct end *x, size_t n, struct sd_loop *l)
{
	char text[1000];
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7);
	for (; n > 0; n -= n < sizeof(text) ? n : sizeof(text))
		sd_stream_write(x->s, text, n < sizeof(text) ? n : sizeof(text));
	sd_loop_flush(l);
}

/* ---- connections ---- */

START_TEST(bytes_arrive_whole_and_in_order)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		pair(seed);
		server.peer = &server;
		sd_sim_wire(a, b)->loss_ppm = seed & 1 ? 50000 : 0;
		pass(5 * SECOND);
		ck_assert(client.connected);
		send_from(&client, 300000, la);
		pass(300 * SECOND);
		ck_assert_uint_eq(server.got, 300000);
		ck_assert_uint_eq(client.got, 300000);
		ck_assert_uint_eq(client.sum, server.sum);
		sd_stream_shutdown_write(client.s);
		sd_loop_flush(la);
		pass(100 * SECOND);
		ck_assert(server.eof);
		unpair();
	}
}
END_TEST

/* ---- gates ---- */

struct gate {
	struct sd_stream_gate gate;
	const struct end *far; /* has heard nothing of what stands behind it */
	uint64_t heard;
	unsigned passed;
};

static void on_pass(struct sd_stream_gate *gate)
{
	struct gate *g = sd_container(gate, struct gate, gate);
	g->gate.shut = false;
	g->passed++;
	g->heard += g->far->got;
}

/* Whichever way bytes leave (gathered, at once since they are many, by closing), the gate was passed before, once. */
START_TEST(nothing_leaves_before_the_gate)
{
	static const size_t sizes[] = {10, 1000, 5000, 100000};
	static char bytes[100000];
	for (unsigned i = 0; i < 8; i++) {
		struct gate g = {.gate = {.pass = on_pass, .shut = true}, .far = &server};
		pair(i + 1);
		pass(SECOND);
		sd_stream_behind(client.s, &g.gate);
		sd_stream_write(client.s, bytes, sizes[i / 2]);
		ck_assert_uint_eq(g.passed, sizes[i / 2] >= 4096);
		if (i % 2 == 1) {
			sd_stream_close(client.s);
			client.s = NULL;
			ck_assert_uint_eq(g.passed, 1);
		}
		sd_loop_flush(la);
		ck_assert_uint_eq(g.passed, 1);
		pass(SECOND);
		ck_assert_uint_eq(server.got, sizes[i / 2]);
		ck_assert_uint_eq(g.heard, 0);
		unpair();
	}
}
END_TEST

struct step {
	struct sd_task task;
	struct sd_loop *loop;
	struct step *then;
	unsigned *clock, at;
};

static void on_step(struct sd_task *t)
{
	struct step *s = sd_container(t, struct step, task);
	s->at = ++*s->clock;
	if (s->then)
		sd_loop_defer(s->loop, &s->then->task);
}

/* Late tasks come behind deferred ones, in their order, and what they defer comes behind them; in both worlds. */
START_TEST(late_tasks_come_last)
{
	struct sd_error e = {0};
	struct sd_world *w = _i ? sd_world_real() : NULL;
	unsigned clock = 0;
	begin(1);
	struct sd_loop *l = w ? sd_loop_new(w, &e) : la;
	struct step s[4];
	for (unsigned i = 0; i < 4; i++)
		s[i] = (struct step){.task = {.fn = on_step}, .loop = l, .clock = &clock};
	s[0].then = &s[3];
	sd_loop_defer_late(l, &s[0].task);
	sd_loop_defer_late(l, &s[1].task);
	sd_loop_defer(l, &s[2].task);
	sd_loop_defer_late(l, &s[1].task);
	sd_loop_flush(l);
	ck_assert_uint_eq(s[2].at, 1);
	ck_assert_uint_eq(s[0].at, 2);
	ck_assert_uint_eq(s[1].at, 3);
	ck_assert_uint_eq(s[3].at, 4);
	if (w) {
		sd_loop_free(l);
		sd_world_free(w);
	}
	end();
}
END_TEST

START_TEST(it_takes_as_long_as_the_wire)
{
	pair(1);
	*sd_sim_wire(a, b) = *sd_sim_wire(b, a) = (struct sd_sim_wire){.latency_ns = 50 * MS};
	drop(&client);
	client = (struct end){0};
	int64_t from = sd_sim_now_ns(sim);
	server.s = NULL;
	connects(&client, la, 2, 80);
	pass(SECOND);
	ck_assert_int_ge(client.connected_ns - from, 100 * MS);
	ck_assert_int_le(client.connected_ns - from, 101 * MS);
	sd_sim_wire(a, b)->bytes_per_s = 100000;
	from = sd_sim_now_ns(sim);
	send_from(&client, 100000, la);
	pass(5 * SECOND);
	ck_assert_uint_eq(server.got, 100000);
	ck_assert_int_ge(server.got_ns - from, SECOND);
	ck_assert_int_le(server.got_ns - from, SECOND + SECOND / 5);
	unpair();
}
END_TEST

START_TEST(a_reader_that_does_not_read_stops_the_writer)
{
	pair(3);
	server.silent = true;
	pass(SECOND);
	send_from(&client, 4000000, la);
	pass(10 * SECOND);
	ck_assert_uint_gt(sd_stream_backlog(client.s), 3000000);
	server.silent = false;
	sd_stream_resume(server.s);
	sd_loop_flush(lb);
	pass(60 * SECOND);
	ck_assert_uint_eq(server.got, 4000000);
	ck_assert_uint_eq(sd_stream_backlog(client.s), 0);
	unpair();
}
END_TEST

START_TEST(nobody_there)
{
	struct sd_io *io;
	struct sd_error e = {0};
	struct sd_addr nowhere = {.kind = SD_ADDR_INET, .port = 80, .ip = {10, 0, 0, 77}};
	struct sd_addr name = {.kind = SD_ADDR_INPROC, .name = "nobody"};
	begin(1);
	client = (struct end){0};
	connects(&client, la, 2, 81);
	pass(SECOND);
	ck_assert(client.closed);
	ck_assert_int_eq(client.why, SD_EREFUSED);
	ck_assert_int_eq(sd_loop_connect(la, &nowhere, &io, &e), SD_EUNREACHABLE);
	ck_assert_int_eq(sd_loop_connect(la, &name, &io, &e), SD_EREFUSED);
	ck_assert_str_eq(e.text, "cannot connect to inproc:nobody: nobody listens");
	unpair();
}
END_TEST

START_TEST(ports_are_taken_once_or_shared)
{
	struct sd_addr at = {.kind = SD_ADDR_INET, .port = 80};
	struct sd_listener_events on = {.accepted = on_accepted, .arg = &server};
	struct sd_listener *second;
	struct sd_error e = {0};
	pair(1);
	ck_assert_int_eq(sd_loop_listen(lb, &at, false, &on, &second, &e), SD_EINUSE);
	ck_assert_int_eq(sd_loop_listen(lb, &at, true, &on, &second, &e), SD_OK);
	sd_listener_close(second);
	at.port = 0;
	ck_assert_int_eq(sd_loop_listen(lb, &at, false, &on, &second, &e), SD_OK);
	ck_assert_uint_ne(at.port, 0);
	sd_listener_close(second);
	unpair();
}
END_TEST

/* ---- wires that fail ---- */

START_TEST(a_partition_holds_bytes_back_and_healing_lets_them_go)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		pair(seed);
		pass(SECOND);
		sd_sim_partition(a, b, true);
		send_from(&client, 5000, la);
		pass(30 * SECOND);
		ck_assert_uint_eq(server.got, 0);
		ck_assert(!client.closed);
		sd_sim_partition(a, b, false);
		pass(60 * SECOND);
		ck_assert_uint_eq(server.got, 5000);
		unpair();
	}
}
END_TEST

START_TEST(a_cut_in_one_direction_lets_the_other_through)
{
	pair(1);
	pass(SECOND);
	sd_sim_wire(a, b)->cut = true;
	send_from(&client, 10, la);
	send_from(&server, 10, lb);
	pass(10 * SECOND);
	ck_assert_uint_eq(server.got, 0);
	ck_assert_uint_eq(client.got, 10);
	sd_sim_heal_all(sim);
	pass(60 * SECOND);
	ck_assert_uint_eq(server.got, 10);
	unpair();
}
END_TEST

START_TEST(the_kernel_gives_up_in_the_end)
{
	pair(1);
	pass(SECOND);
	sd_sim_partition(a, b, true);
	send_from(&client, 10, la);
	struct end late = {0};
	connects(&late, la, 2, 80);
	pass(120 * SECOND);
	ck_assert(!late.closed && !client.closed);
	pass(200 * SECOND);
	ck_assert(late.closed && !client.closed);
	ck_assert_int_eq(late.why, SD_ETIMEOUT);
	pass(1200 * SECOND);
	ck_assert(client.closed);
	ck_assert_int_eq(client.why, SD_ETIMEOUT);
	ck_assert(!server.closed); /* it was never told, and never asked */
	drop(&late);
	unpair();
}
END_TEST

/* ---- nodes that go ---- */

START_TEST(a_killed_program_says_goodbye)
{
	pair(1);
	pass(SECOND);
	sd_sim_kill(b);
	pass(SECOND);
	ck_assert(client.eof || client.closed);
	struct end late = {0};
	sd_sim_boot(b);
	connects(&late, la, 2, 80);
	pass(SECOND);
	ck_assert_int_eq(late.why, SD_EREFUSED); /* the machine is there, the program is not */
	drop(&late);
	unpair();
}
END_TEST

START_TEST(without_power_it_says_nothing_and_after_it_knows_nobody)
{
	pair(1);
	pass(SECOND);
	sd_sim_power_cut(b);
	pass(600 * SECOND);
	ck_assert(!client.eof && !client.closed);
	sd_sim_boot(b);
	pass(10 * SECOND);
	ck_assert(!client.closed); /* half open for as long as nobody speaks */
	send_from(&client, 10, la);
	pass(10 * SECOND);
	ck_assert(client.closed);
	ck_assert_int_eq(client.why, SD_ERESET);
	ck_assert_uint_eq(server.got, 0);
	unpair();
}
END_TEST

START_TEST(a_paused_program_answers_later)
{
	pair(1);
	pass(SECOND);
	sd_sim_pause(b, true);
	send_from(&client, 10, la);
	pass(50 * SECOND);
	ck_assert_uint_eq(server.got, 0);
	struct end late = {0};
	connects(&late, la, 2, 80);
	pass(SECOND);
	ck_assert(late.connected); /* by the kernel */
	sd_stream_close(late.s);
	late.s = NULL;
	sd_loop_flush(la);
	pass(SECOND);
	struct sd_stream *kept = server.s;
	server.s = NULL; /* for the one that waits */
	sd_sim_pause(b, false);
	pass(SECOND);
	if (server.s)
		sd_stream_close(server.s);
	server.s = kept;
	ck_assert_uint_eq(server.got, 10);
	unpair();
}
END_TEST

START_TEST(a_ghost_cannot_reach_anybody)
{
	struct sd_addr to = {.kind = SD_ADDR_INET, .port = 80, .ip = {10, 0, 0, 2}};
	struct sd_io *io;
	struct sd_error e = {0};
	pair(1);
	pass(SECOND);
	sd_sim_power_cut(a);
	send_from(&client, 10, la);
	pass(SECOND);
	ck_assert_uint_eq(server.got, 0);
	ck_assert_int_eq(sd_loop_connect(la, &to, &io, &e), SD_EUNREACHABLE);
	unpair();
}
END_TEST

/* ---- time ---- */

struct tick {
	struct sd_timer timer;
	struct sd_task task;
	struct sd_loop *loop;
	int64_t at_ns, sleeps_ns;
	int n;
};

static void on_tick(struct sd_timer *t)
{
	struct tick *k = sd_container(t, struct tick, timer);
	k->at_ns = sd_sim_now_ns(sim);
	k->n++;
	sd_world_sleep_ns(sd_loop_world(k->loop), k->sleeps_ns);
}

static void on_task(struct sd_task *t)
{
	struct tick *k = sd_container(t, struct tick, task);
	k->at_ns = sd_sim_now_ns(sim);
	k->n++;
}

START_TEST(timers_fire_when_due_and_a_sleeper_holds_up_its_loop)
{
	begin(1);
	struct tick one = {.timer = {.fn = on_tick}, .loop = la, .sleeps_ns = SECOND};
	struct tick two = {.timer = {.fn = on_tick}, .task = {.fn = on_task}, .loop = la};
	struct tick other = {.timer = {.fn = on_tick}, .loop = lb};
	int64_t now = sd_loop_now_ns(la);
	sd_loop_timer_set(la, &one.timer, now + 10 * MS);
	sd_loop_timer_set(la, &two.timer, now + 20 * MS);
	sd_loop_timer_set(lb, &other.timer, sd_loop_now_ns(lb) + 30 * MS);
	pass(15 * MS);
	ck_assert_int_eq(one.at_ns, 10 * MS);
	ck_assert_int_eq(two.n, 0);
	pass(2 * SECOND);
	ck_assert_int_eq(two.at_ns, SECOND + 10 * MS);
	ck_assert_int_eq(other.at_ns, 30 * MS);
	sd_loop_post(la, &two.task);
	pass(MS);
	ck_assert_int_eq(two.n, 2);
	sd_sim_slow(a, 100 * MS);
	sd_loop_post(la, &two.task);
	sd_loop_timer_set(la, &one.timer, sd_loop_now_ns(la) + MS);
	pass(SECOND / 2);
	ck_assert_int_eq(two.n, 3);
	ck_assert_int_ge(one.at_ns, two.at_ns + 100 * MS);
	end();
}
END_TEST

START_TEST(clocks_are_the_nodes_own)
{
	begin(1);
	int64_t mono = sd_world_mono_ns(a), wall = sd_world_wall_ns(a);
	pass(3 * SECOND);
	ck_assert_int_eq(sd_world_mono_ns(a) - mono, 3 * SECOND);
	ck_assert_int_eq(sd_world_wall_ns(a) - wall, 3 * SECOND);
	sd_sim_set_wall(a, -60 * SECOND);
	ck_assert_int_eq(sd_world_wall_ns(a) - wall, -57 * SECOND);
	ck_assert_int_eq(sd_world_wall_ns(b) - wall, 3 * SECOND);
	ck_assert_int_ne(sd_world_mono_ns(a), sd_world_mono_ns(b));
	end();
}
END_TEST

/* ---- helpers ---- */

struct job {
	struct sd_work work;
	int64_t ran_ns, done_ns;
	bool dropped;
};

static void job_run(struct sd_work *w)
{
	struct job *j = sd_container(w, struct job, work);
	j->ran_ns = sd_sim_now_ns(sim);
	sd_world_sleep_ns(a, SECOND);
}

static void job_done(struct sd_work *w)
{
	sd_container(w, struct job, work)->done_ns = sd_sim_now_ns(sim);
}

START_TEST(helpers_work_side_by_side_and_come_back)
{
	begin(1);
	struct sd_helpers *h = sd_helpers_new(a, 2);
	struct job jobs[4] = {0};
	for (int i = 0; i < 4; i++) {
		jobs[i].work = (struct sd_work){.run = job_run, .done = job_done};
		ck_assert(sd_helpers_submit(h, la, &jobs[i].work));
	}
	pass(SECOND + MS);
	ck_assert_int_ge(jobs[1].done_ns, SECOND);
	ck_assert_int_eq(jobs[3].done_ns, 0);
	pass(SECOND + MS);
	ck_assert_int_ge(jobs[3].done_ns, jobs[0].done_ns + SECOND);
	ck_assert_int_ge(jobs[3].ran_ns, jobs[0].done_ns);
	jobs[0].done_ns = 0;
	ck_assert(sd_helpers_submit(h, la, &jobs[0].work));
	sd_helpers_free(h); /* waits for what runs */
	pass(MS);
	ck_assert_int_gt(jobs[0].done_ns, 0);
	end();
}
END_TEST

START_TEST(a_ghosts_work_is_not_done)
{
	begin(1);
	struct sd_helpers *h = sd_helpers_new(a, 1);
	struct job j = {.work = {.run = job_run, .done = job_done}};
	ck_assert(sd_helpers_submit(h, la, &j.work));
	sd_sim_power_cut(a);
	pass(10 * SECOND);
	sd_helpers_free(h);
	sd_loop_flush(la);
	ck_assert_int_eq(j.ran_ns, 0);
	ck_assert_int_eq(j.done_ns, 0);
	end();
}
END_TEST

static int resolved;

static void on_resolved(struct sd_resolve *r)
{
	resolved = r->nfound;
	if (r->nfound)
		ck_assert_mem_eq(r->found[0].ip, ((uint8_t[]){10, 0, 0, 2}), 4);
	else
		ck_assert_str_eq(r->err, "cannot resolve c: no such node");
}

START_TEST(node_names_are_host_names)
{
	begin(1);
	struct sd_resolve r = {.host = "b", .port = 80, .done = on_resolved};
	resolved = -1;
	ck_assert(sd_resolve_start(la, &r));
	pass(SECOND);
	ck_assert_int_eq(resolved, 1);
	r = (struct sd_resolve){.host = "c", .done = on_resolved};
	ck_assert(sd_resolve_start(la, &r));
	pass(SECOND);
	ck_assert_int_eq(resolved, 0);
	end();
}
END_TEST

/* ---- one seed decides ---- */

static uint64_t digest_of(uint64_t seed, size_t n)
{
	pair(seed);
	server.peer = &server;
	sd_sim_wire(a, b)->loss_ppm = 100000;
	pass(SECOND);
	send_from(&client, n, la);
	pass(100 * SECOND);
	uint64_t digest = sd_sim_digest(sim);
	unpair();
	return digest;
}

START_TEST(the_same_seed_is_the_same_run)
{
	ck_assert_uint_eq(digest_of(7, 20000), digest_of(7, 20000));
	ck_assert_uint_ne(digest_of(7, 20000), digest_of(8, 20000));
	ck_assert_uint_ne(digest_of(7, 20000), digest_of(7, 20001));
}
END_TEST

START_TEST(the_trace_tells_what_happened)
{
	char *text = NULL;
	size_t n = 0;
	pair(1);
	pass(SECOND);
	sd_sim_note(sim, "a note", 42);
	FILE *out = open_memstream(&text, &n);
	sd_sim_print_trace(sim, out, 3);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(text, "a -> b  connects 0\n"));
	ck_assert_ptr_nonnull(strstr(text, "b -> a  accepts 0\n"));
	ck_assert_ptr_nonnull(strstr(text, "  a note 42\n"));
	free(text);
	unpair();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim net");
	TCase *t = tcase_create("net");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, bytes_arrive_whole_and_in_order);
	tcase_add_test(t, nothing_leaves_before_the_gate);
	tcase_add_loop_test(t, late_tasks_come_last, 0, 2);
	tcase_add_test(t, it_takes_as_long_as_the_wire);
	tcase_add_test(t, a_reader_that_does_not_read_stops_the_writer);
	tcase_add_test(t, nobody_there);
	tcase_add_test(t, ports_are_taken_once_or_shared);
	tcase_add_test(t, a_partition_holds_bytes_back_and_healing_lets_them_go);
	tcase_add_test(t, a_cut_in_one_direction_lets_the_other_through);
	tcase_add_test(t, the_kernel_gives_up_in_the_end);
	tcase_add_test(t, a_killed_program_says_goodbye);
	tcase_add_test(t, without_power_it_says_nothing_and_after_it_knows_nobody);
	tcase_add_test(t, a_paused_program_answers_later);
	tcase_add_test(t, a_ghost_cannot_reach_anybody);
	tcase_add_test(t, timers_fire_when_due_and_a_sleeper_holds_up_its_loop);
	tcase_add_test(t, clocks_are_the_nodes_own);
	tcase_add_test(t, helpers_work_side_by_side_and_come_back);
	tcase_add_test(t, a_ghosts_work_is_not_done);
	tcase_add_test(t, node_names_are_host_names);
	tcase_add_test(t, the_same_seed_is_the_same_run);
	tcase_add_test(t, the_trace_tells_what_happened);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
