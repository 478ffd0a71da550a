/* lb_rig.h - a running load balancer for tests, between raw clients and raw backends that do what a script says. */
#ifndef LB_RIG_H
#define LB_RIG_H

#include <netdb.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "app/admin.h"
#include "app/dispatch.h"
#include "app/run.h"
#include "net_rig.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all of it */
#pragma GCC diagnostic ignored "-Wunused-const-variable"

extern const struct sd_applet sd_applet_lb;

enum { A, B, C, MAX };

struct back {
	int fd; /* listens; -1: nobody does */
	int held; /* its port while nobody listens there; -1: not */
	uint16_t port;
	const char *options; /* more of its row */
	const char *host;
};

static struct {
	struct rig rig; /* the control loop */
	struct sd_events *events;
	struct sd_run *run;
	struct sd_conf *conf;
	struct sd_conf_loader loader;
	char text[8192]; /* the configuration file */
	struct back back[MAX];
	int nback, threads;
	const char *extra;
	int out, saved_out; /* what is printed goes to a file in memory */
	bool drained;
} *t;

/* ---- the configuration ---- */

static void write_text(const char *extra)
{
	size_t n = (size_t)snprintf(t->text, sizeof(t->text), "port: 0\nadmin: 127.0.0.1:0\nthreads: %d\n", t->threads);
	if (!strstr(extra, "health:"))
		n += (size_t)snprintf(t->text + n, sizeof(t->text) - n, "health: {type: none}\n");
	if (!strstr(extra, "eject:"))
		n += (size_t)snprintf(t->text + n, sizeof(t->text) - n, "eject: {failures: 0}\n");
	n += (size_t)snprintf(t->text + n, sizeof(t->text) - n, "%sbackends:\n", extra);
	for (int i = 0; i < t->nback; i++)
		n += (size_t)snprintf(t->text + n, sizeof(t->text) - n, "  - {address: \"%s:%d\", name: %c%s}\n",
				      t->back[i].host, t->back[i].port, 'a' + i, t->back[i].options);
}

static enum sd_err make_conf(struct sd_conf **out, struct sd_error *e)
{
	struct sd_doc *doc;
	enum sd_err err = sd_doc_parse("lb.yaml", t->text, strlen(t->text), &doc, e);
	if (err)
		return err;
	struct sd_conf_sources from = {.applet = "lb", .doc = doc};
	err = sd_conf_make(sd_applet_lb.options, sd_common_options, &from, out, NULL, NULL, e);
	sd_doc_free(doc);
	return err ? err : sd_applet_lb.check(*out, e);
}

static enum sd_err load(struct sd_conf_loader *self, struct sd_conf **out, struct sd_error *e)
{
	(void)self;
	*out = NULL;
	return make_conf(out, e);
}

/* ---- the balancer of a test ---- */

static void setup(void)
{
	t = calloc(1, sizeof(*t));
	t->threads = 1;
	t->nback = 2;
	for (int i = 0; i < MAX; i++) {
		t->back[i] = (struct back){.options = "", .host = "127.0.0.1", .held = -1};
		t->back[i].fd = rig_listen(&t->back[i].port);
	}
	fflush(stdout);
	t->out = memfd_create("events", MFD_CLOEXEC);
	t->saved_out = dup(1);
	dup2(t->out, 1);
	rig_make(&t->rig);
	t->events = sd_events_new(t->rig.loop, false, false);
}

static void start(const char *extra)
{
	struct sd_error e = {0};
	t->extra = extra;
	write_text(extra);
	ck_assert_msg(make_conf(&t->conf, &e) == SD_OK, "%s", e.text);
	t->loader = (struct sd_conf_loader){.load = load, .file = "lb.yaml"};
	struct sd_run_spec spec = {.world = t->rig.world,
				   .control = t->rig.loop,
				   .events = t->events,
				   .applet = &sd_applet_lb,
				   .conf = t->conf,
				   .load = &t->loader};
	ck_assert_msg(sd_run_start(&spec, &t->run, &e) == SD_OK, "%s", e.text);
	rig_run(&t->rig);
}

static void halt(void)
{
	rig_halt(&t->rig);
	sd_run_free(t->run);
	t->run = NULL;
}

static void teardown(void)
{
	halt();
	sd_loop_flush(t->rig.loop);
	sd_events_free(t->events);
	sd_conf_free(t->conf);
	rig_free(&t->rig);
	dup2(t->saved_out, 1);
	close(t->saved_out);
	close(t->out);
	for (int i = 0; i < MAX; i++) {
		if (t->back[i].fd >= 0)
			close(t->back[i].fd);
		if (t->back[i].held >= 0)
			close(t->back[i].held);
	}
	free(t);
	t = NULL;
}

/* Nobody listens where this backend should, neither of another test. */
static void stop_listening(int i)
{
	if (t->back[i].held < 0)
		t->back[i].held = rig_hold(&t->back[i].port);
	close(t->back[i].fd);
	t->back[i].fd = -1;
}

static bool has_said(void *arg)
{
	static char text[1 << 16];
	ssize_t n = pread(t->out, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return strstr(text, arg) != NULL;
}

static void wait_said(const char *fmt, ...)
{
	char line[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	rig_wait(&t->rig, line, has_said, line);
}

static struct peer *client(void)
{
	return peer_connect(t->run->addrs[0].port);
}

static const char GET[] = "GET /x HTTP/1.1\r\nHost: h\r\n\r\n";
static const char POST[] = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";

static struct peer *asks(const char *request)
{
	struct peer *c = client();
	peer_say(c, request);
	return c;
}

static struct peer *accept_at(int i)
{
	return peer_accept(t->back[i].fd);
}

/* This backend is asked; returns its connection after it read the request. */
static struct peer *asked(int i)
{
	struct peer *b = accept_at(i);
	peer_request(b);
	return b;
}

static void not_asked(int i)
{
	ck_assert_msg(!rig_readable(t->back[i].fd, 30), "backend %c was asked as well", 'a' + i);
}

static void answers(struct peer *b, const char *body)
{
	char text[4096];
	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	peer_say(b, text);
}

static void serve(int i, const char *body)
{
	struct peer *b = asked(i);
	answers(b, body);
	peer_ends(b); /* tests that serve so keep nothing idle */
	peer_free(b);
}

#define NO_IDLE "keep-idle: 0\n"

/* ---- the admin address ---- */

static struct peer *admin_call(const char *method, const char *path, int status)
{
	char text[512];
	struct peer *c = peer_connect(sd_admin_addr(t->run->admin)->port);
	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", method, path);
	peer_say(c, text);
	peer_answer(c, status);
	return c;
}

static void admin(const char *method, const char *path, int status)
{
	peer_free(admin_call(method, path, status));
}

/* The sum of all samples of this name whose labels hold `part`. */
static double metric(const char *name, const char *part)
{
	struct peer *c = admin_call("GET", "/metrics", 200);
	double sum = 0;
	size_t n = strlen(name);
	for (char *line = c->body; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		char *end = strchr(line, '\n'), *value;
		if (strncmp(line, name, n) != 0 || line[n] != '{')
			continue;
		*end = '\0';
		value = strrchr(line, ' ');
		if (strstr(line, part))
			sum += strtod(value, NULL);
		*end = '\n';
	}
	peer_free(c);
	return sum;
}

static void is_metric(const char *name, const char *part, double want)
{
	double got = metric(name, part);
	ck_assert_msg(got == want, "%s{%s}: expected %g, found %g", name, part, want, got);
}

static void wait_metric(const char *name, const char *part, double want)
{
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	while (metric(name, part) != want)
		ck_assert_msg(rig_now_ns() < end, "%s{%s} never became %g", name, part, want);
}

/* "state" of a backend as the admin address tells it. */
static void wait_state(int i, const char *state)
{
	char path[64], want[64];
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	snprintf(path, sizeof(path), "/-/backends/%c", 'a' + i);
	snprintf(want, sizeof(want), "\"state\":\t\"%s\"", state);
	for (;;) {
		struct peer *c = admin_call("GET", path, 200);
		bool is = strstr(c->body, want) != NULL;
		ck_assert_msg(is || rig_now_ns() < end, "backend %c never was %s: %s", 'a' + i, state, c->body);
		peer_free(c);
		if (is)
			return;
	}
}

/* ---- draining ---- */

static void on_drained(struct sd_run *run, void *arg)
{
	(void)run;
	(void)arg;
	t->drained = true;
}

static void begin_drain(void *arg)
{
	(void)arg;
	sd_run_drain(t->run, on_drained, NULL);
}

static bool is_drained(void *arg)
{
	(void)arg;
	return t->drained;
}

#pragma GCC diagnostic pop

#endif
