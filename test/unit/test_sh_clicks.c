/* The ledger: a server in a process of its own answers redirects and is killed with SIGKILL in the middle of them, again and again. In the end
 * every redirect that was answered is counted, and none twice. ROUNDS says how often it is killed. */
#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../applets/shortener/clicks/sh_clicks_int.h"
#include "../../applets/shortener/clicks/sh_worker.h"
#include "app/dispatch.h"
#include "app/serve.h"
#include "core/rng.h"

#define DAY0  20000
#define ASKED 16 /* requests sent at once */

static char dir[] = "/tmp/sdlab-ledger-XXXXXX", database[64];
static const char *more[8]; /* of the command line */

/* ---- the server ---- */

static struct sh sh;
static struct sh_clicks_worker *part;
static struct sd_loop *control, *mine;
static struct sd_world *world;

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	static const char agent[] = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0";
	struct sh_click c = {.link = 7, .time_ms = DAY0 * SH_DAY_MS, .from = &x->stream->io->peer, .user_agent = sd_slice_of(agent),
			     .referer = sd_slice_of("https://www.a.example/x")};
	(void)head;
	sh_clicks_add(part, &c, x->stream);
	sd_http_respond(x, 301, "Location: https://example.com/\r\n", NULL, "", 0);
}

static const struct sd_http_handler handler = {.request = on_request};

static struct sd_conf *options(void)
{
	const char *argv[16] = {"--data-dir", dir};
	struct sd_conf_sources from = {.applet = "shortener", .argv = argv, .argc = 2};
	struct sd_error e = {0};
	struct sd_conf *conf;
	for (size_t i = 0; more[i]; i++)
		argv[from.argc++] = more[i];
	if (sd_conf_make(sh_options, NULL, &from, &conf, NULL, NULL, &e)) {
		fprintf(stderr, "%s\n", e.text);
		_exit(3);
	}
	return conf;
}

static void must(enum sd_err err, const struct sd_error *e)
{
	if (!err)
		return;
	fprintf(stderr, "%s\n", e->text);
	_exit(3);
}

/* Runs until it is killed; says its port on the descriptor when it listens. */
static void serve(int fd)
{
	struct sd_run run = {0};
	struct sd_http_server server;
	struct sh_store_conf conf = sh_store_defaults;
	struct sd_addr at = {.kind = SD_ADDR_INET, .ip = {127, 0, 0, 1}};
	struct sd_error e = {0};
	run.spec.world = world = sd_world_real();
	control = sd_loop_new(world, &e);
	mine = sd_loop_new(world, &e);
	sh = (struct sh){.run = &run, .control = control, .nworkers = 1};
	sh.log = sd_log_new(sd_events_new(control, false, false), "URL", "shortener", NULL, 0);
	conf.sql.url = database;
	must(sh_store_open(control, &conf, &sh.store, &e), &e);
	must(sh_clicks_open(&sh, options(), &sh.clicks, &e), &e);
	must(sh_clicks_start(sh.clicks, mine, &part, &e), &e);
	sd_http_server_init(&server, mine, &sd_http_server_defaults, &handler, NULL);
	must(sd_http_server_listen(&server, &at, false, &e), &e);
	must(sd_loop_start(mine, "worker", &e), &e);
	if (write(fd, &at.port, sizeof(at.port)) != sizeof(at.port))
		_exit(3);
	sd_loop_run(control);
	_exit(0);
}

static pid_t start(uint16_t *port)
{
	int fds[2];
	ck_assert_int_eq(pipe(fds), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(fds[0]);
		serve(fds[1]);
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], port, sizeof(*port)), sizeof(*port));
	close(fds[0]);
	return pid;
}

static void kill_it(pid_t pid)
{
	int status;
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status), "it ended by itself");
}

/* ---- who clicks ---- */

struct client {
	int fd;
	uint64_t asked, answered;
	unsigned matched; /* bytes of what an answer begins with */
};

static void join(struct client *c, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	c->matched = 0;
	ck_assert_int_eq(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

static void click(struct client *c)
{
	static const char one[] = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
	char text[ASKED * sizeof(one)];
	size_t n = 0;
	for (int i = 0; i < ASKED; i++, n += sizeof(one) - 1)
		memcpy(text + n, one, sizeof(one) - 1);
	ck_assert_int_eq(send(c->fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
	c->asked += ASKED;
}

static void hear(struct client *c, const char *p, size_t n)
{
	static const char want[] = "HTTP/1.1 301";
	for (size_t i = 0; i < n; i++) {
		c->matched = p[i] == want[c->matched] ? c->matched + 1 : p[i] == want[0];
		if (c->matched == sizeof(want) - 1) {
			c->answered++;
			c->matched = 0;
		}
	}
}

/* Reads until all is answered, or the other side is gone. */
static void listen_to(struct client *c)
{
	char bytes[65536];
	ssize_t n = 1;
	while (c->answered < c->asked && (n = recv(c->fd, bytes, sizeof(bytes), 0)) > 0)
		hear(c, bytes, (size_t)n);
}

/* ---- the count ---- */

static int64_t counted(const char *text)
{
	sqlite3 *db;
	sqlite3_stmt *st;
	int64_t n = -1;
	if (sqlite3_open_v2(database, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK && sqlite3_busy_timeout(db, 5000) == SQLITE_OK &&
	    sqlite3_prepare_v2(db, text, -1, &st, NULL) == SQLITE_OK) {
		if (sqlite3_step(st) == SQLITE_ROW)
			n = sqlite3_column_int64(st, 0);
		sqlite3_finalize(st);
	}
	sqlite3_close(db);
	return n;
}

static void wait_for(int64_t least)
{
	for (int i = 0; counted("SELECT clicks FROM click_days WHERE link = 7") < least; i++) {
		ck_assert_msg(i < 1500, "counted %d, answered %d", (int)counted("SELECT clicks FROM click_days WHERE link = 7"), (int)least);
		poll(NULL, 0, 20);
	}
}

static void begin(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(database, sizeof(database), "%s/links.db", dir);
}

static void end(void)
{
	char command[100];
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
	memcpy(strrchr(dir, '-'), "-XXXXXX", 8);
}

static unsigned rounds(void)
{
	const char *text = getenv("ROUNDS");
	return text ? (unsigned)strtoul(text, NULL, 10) : 5;
}

/* ---- a queue, and who takes clicks from it ---- */

static char events[64], queue_dir[64];

static void start_broker(pid_t *pid, uint16_t *port)
{
	char text[8], line[512] = "";
	int fds[2];
	size_t n = 0;
	snprintf(text, sizeof(text), "%u", *port);
	ck_assert_int_eq(pipe(fds), 0);
	*pid = fork();
	ck_assert_int_ge(*pid, 0);
	if (*pid == 0) {
		const char *argv[] = {"sdlab", "mq", "--port", text, "--data-dir", queue_dir, NULL};
		const char *none[] = {NULL};
		dup2(fds[1], STDOUT_FILENO);
		struct sd_dispatch d = {.world = sd_world_real(), .applets = sd_applets, .common = sd_common_options, .environ = none,
					.out = stdout, .err = stderr, .serve = sd_serve};
		_exit(sd_dispatch_main(&d, 6, argv));
	}
	close(fds[1]);
	while (!strstr(line, "Listening on :") || !strchr(strstr(line, "Listening on :"), '\n')) {
		ssize_t got = read(fds[0], line + n, sizeof(line) - 1 - n);
		ck_assert_msg(got > 0, "the broker did not start: %s", line);
		n += (size_t)got;
		line[n] = '\0';
	}
	*port = (uint16_t)strtoul(strstr(line, "Listening on :") + 14, NULL, 10); /* the pipe stays open: it has more to say */
	snprintf(events, sizeof(events), "amqp://127.0.0.1:%u", *port);
}

static pid_t start_worker(void)
{
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	const char *argv[] = {"--events", events, "--db", database};
	struct sd_conf_sources from = {.applet = "shortener", .argv = argv, .argc = 4};
	struct sd_verb_call call = {.world = sd_world_real(), .out = stdout, .err = stderr};
	struct sd_conf *conf;
	struct sd_error e = {0};
	must(sd_conf_make(sh_worker_options, NULL, &from, &conf, NULL, NULL, &e), &e);
	call.conf = conf;
	_exit(sh_worker_verb(&call));
}

static uint64_t clicked, in_doubt;

/* Clicks for a while, and kills whom in the middle: the server itself, or somebody it needs, and then the server. */
static void a_round(struct sd_rng *rng, pid_t victim)
{
	struct client c = {0};
	uint16_t port;
	pid_t pid = start(&port);
	join(&c, port);
	for (uint64_t i = sd_rng_next(rng) % 100; i > 0; i--) {
		click(&c);
		listen_to(&c);
	}
	if (victim)
		kill_it(victim);
	for (unsigned i = 0; i < 10; i++) {
		click(&c);
		listen_to(&c);
	}
	click(&c);
	kill_it(pid);
	listen_to(&c);
	close(c.fd);
	clicked += c.answered;
	in_doubt += c.asked - c.answered;
}

static void ledger_by_queue(void)
{
	struct sd_rng rng;
	pid_t broker, workers[2];
	uint16_t port = 0, server_port;
	clicked = in_doubt = 0;
	sd_rng_seed(&rng, (uint64_t)getpid());
	snprintf(queue_dir, sizeof(queue_dir), "%s/queue", dir);
	start_broker(&broker, &port);
	for (int i = 0; i < 2; i++) /* one works, the other stands by */
		workers[i] = start_worker();
	more[0] = "--events";
	more[1] = events;
	for (unsigned round = 0; round < rounds(); round++) {
		if (round % 3 == 0) {
			a_round(&rng, 0);
		} else if (round % 3 == 1) {
			a_round(&rng, workers[round / 3 % 2]);
			workers[round / 3 % 2] = start_worker();
		} else {
			a_round(&rng, broker);
			start_broker(&broker, &port);
		}
	}
	pid_t pid = start(&server_port);
	wait_for((int64_t)clicked);
	kill_it(pid);
	for (int i = 0; i < 2; i++)
		kill_it(workers[i]);
	kill_it(broker);
	more[0] = NULL;
	int64_t n = counted("SELECT clicks FROM click_days WHERE link = 7");
	ck_assert_msg(n >= (int64_t)clicked && n <= (int64_t)(clicked + in_doubt), "counted %d, answered %d, under way %d", (int)n, (int)clicked,
		      (int)in_doubt);
}

START_TEST(every_answer_is_counted_once_by_way_of_a_queue)
{
	begin();
	ledger_by_queue();
	end();
}
END_TEST

static void ledger(void)
{
	struct client c = {0};
	struct sd_rng rng;
	uint16_t port;
	uint64_t under_way = 0, answered = 0;
	sd_rng_seed(&rng, (uint64_t)getpid());
	for (unsigned round = 0; round < rounds(); round++) {
		pid_t pid = start(&port);
		c.asked = c.answered = 0;
		join(&c, port);
		for (uint64_t i = sd_rng_next(&rng) % 200; i > 0; i--) {
			click(&c);
			listen_to(&c);
		}
		if (round % 2)
			wait_for((int64_t)(answered + c.answered)); /* what was counted is in the journal still, and must not count again */
		click(&c); /* it dies somewhere in these */
		kill_it(pid);
		listen_to(&c);
		close(c.fd);
		answered += c.answered;
		under_way += c.asked - c.answered;
	}
	pid_t pid = start(&port);
	while (counted("SELECT COUNT(*) FROM links") < 0)
		poll(NULL, 0, 20);
	wait_for((int64_t)answered);
	join(&c, port);
	c.asked = c.answered = 0;
	click(&c);
	listen_to(&c);
	close(c.fd);
	wait_for((int64_t)answered + ASKED);
	kill_it(pid);
	int64_t n = counted("SELECT clicks FROM click_days WHERE link = 7") - ASKED;
	ck_assert_msg(n >= (int64_t)answered && n <= (int64_t)(answered + under_way), "counted %d, answered %d, under way %d", (int)n, (int)answered,
		      (int)under_way);
	ck_assert_int_eq(counted("SELECT SUM(clicks) FROM click_shares WHERE link = 7 AND kind = 0 AND name = 'a.example'"), n + ASKED);
}

START_TEST(every_answer_is_counted_once)
{
	begin();
	ledger();
	end();
}
END_TEST

/* Closed while something is on its way, before the store and after it. */
static void on_enough(struct sd_timer *t)
{
	(void)t;
	sd_loop_stop(control);
}

START_TEST(closed_in_the_middle)
{
	struct sd_run run = {0};
	struct sh_store_conf conf = sh_store_defaults;
	struct sd_timer enough = {.fn = on_enough};
	struct sd_peer from = {.kind = SD_ADDR_INET, .ip = {127, 0, 0, 1}};
	struct sd_error e = {0};
	begin();
	run.spec.world = world = sd_world_real();
	control = sd_loop_new(world, &e);
	mine = sd_loop_new(world, &e);
	sh = (struct sh){.run = &run, .control = control, .nworkers = 1};
	struct sd_events *bus = sd_events_new(control, false, false);
	struct sd_conf *set = options();
	sh.log = sd_log_new(bus, "URL", "shortener", NULL, 0);
	conf.sql.url = database;
	must(sh_store_open(control, &conf, &sh.store, &e), &e);
	must(sh_clicks_open(&sh, set, &sh.clicks, &e), &e);
	must(sh_clicks_start(sh.clicks, mine, &part, &e), &e);
	struct sd_stream answer = {.loop = mine};
	for (int i = 0; i < 1000; i++) {
		struct sh_click c = {.link = 7, .time_ms = DAY0 * SH_DAY_MS, .from = &from, .user_agent = sd_slice_of("curl/8.0")};
		sh_clicks_add(part, &c, &answer);
	}
	sd_loop_flush(mine);
	sd_loop_timer_set(control, &enough, sd_world_mono_ns(world) + (_i / 2) * 7000000ll);
	sd_loop_run(control);
	if (_i % 2)
		sh_store_close(sh.store);
	sh_clicks_close(sh.clicks);
	if (_i % 2 == 0)
		sh_store_close(sh.store);
	sd_loop_flush(control);
	sd_conf_free(set);
	sd_loop_free(mine);
	sd_events_free(bus);
	sd_loop_free(control);
	sd_world_free(world);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sh_clicks");
	TCase *t = tcase_create("sh_clicks");
	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, closed_in_the_middle, 0, 16);
	tcase_add_test(t, every_answer_is_counted_once);
	tcase_add_test(t, every_answer_is_counted_once_by_way_of_a_queue);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
