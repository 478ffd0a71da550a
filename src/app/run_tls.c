#include "run_tls.h"

#include <stdlib.h>
#include <string.h>

#define LINES_A_SECOND 5

struct sd_run_tls {
	struct sd_run *run;
	struct sd_tls_server *now; /* NULL: plain */
	struct sd_tls_keys *keys;
	struct sd_run_watch watch;
};

const struct sd_option sd_run_tls_options[] = {
    {"cert", SD_OPT_LIST, NULL, "PEM files, each with a certificate and its chain; the client's SNI chooses", .pattern = "file",
     .meta = "FILE", .reload = true},
    {"key", SD_OPT_LIST, NULL, "PEM files with the private keys, in the same order; none: they are in the files of --tls-cert",
     .pattern = "file", .meta = "FILE", .reload = true},
    {"client-ca", SD_OPT_FILE, NULL, "PEM file with the CAs of client certificates", .reload = true},
    {"client-cert", SD_OPT_ENUM, "none", "whether clients must show a certificate", .choices = "none|optional|required",
     .reload = true},
    {"min-version", SD_OPT_ENUM, "1.2", "oldest version of TLS spoken", .choices = "1.2|1.3", .reload = true},
    {"tickets", SD_OPT_BOOL, "true", "let clients take a session up again", .reload = true},
    {0},
};

/* ---- failures: counted all, told some ---- */

static bool may_tell(struct sd_run_watch *w, enum sd_tls_reason why, int64_t second)
{
	if (__atomic_exchange_n(&w->second[why], second, __ATOMIC_RELAXED) != second)
		__atomic_store_n(&w->lines[why], 0, __ATOMIC_RELAXED);
	return __atomic_add_fetch(&w->lines[why], 1, __ATOMIC_RELAXED) <= LINES_A_SECOND;
}

static void on_failure(void *arg, const struct sd_peer *peer, enum sd_tls_reason why, const char *text)
{
	struct sd_run_watch *w = arg;
	char from[46];
	if (!may_tell(w, why, sd_world_mono_ns(w->run->spec.world) / 1000000000))
		return;
	sd_peer_format(peer, from);
	struct sd_field f[] = {{w->side, from, 0}, {"reason", sd_tls_reason_text(why), 0}, {0}};
	sd_event(w->run->log, SD_WARN, "tls_failed", f, "%s, %s %s", text, w->side, from);
}

void sd_run_watch_init(struct sd_run_watch *watch, struct sd_run *run, const char *side)
{
	*watch = (struct sd_run_watch){.run = run, .side = side};
	watch->tls.on_failure = on_failure;
	watch->tls.arg = watch;
}

static uint64_t read_count(const uint64_t *c)
{
	return __atomic_load_n(c, __ATOMIC_RELAXED);
}

void sd_run_watch_metrics(struct sd_run_watch *watch, struct sd_metrics *m)
{
	char label[160];
	const struct sd_tls_watch *t = &watch->tls;
	uint64_t resumed = read_count(&t->resumed), all = read_count(&t->handshakes);
	sd_run_label(watch->run, label, sizeof(label));
	sd_metrics_family(m, "sdlab_tls_handshakes_total", "counter", "TLS handshakes that succeeded, by side and kind");
	sd_metrics_add(m, (double)(all - resumed), "%s,side=\"%s\",kind=\"full\"", label, watch->side);
	sd_metrics_add(m, (double)resumed, "%s,side=\"%s\",kind=\"resumed\"", label, watch->side);
	sd_metrics_family(m, "sdlab_tls_failures_total", "counter", "TLS handshakes that failed, by side and reason");
	for (int i = 0; i < SD_TLS_REASONS; i++)
		sd_metrics_add(m, (double)read_count(&t->failed[i]), "%s,side=\"%s\",reason=\"%s\"", label, watch->side,
			       sd_tls_reason_text((enum sd_tls_reason)i));
	sd_metrics_family(m, "sdlab_tls_truncated_total", "counter", "TLS connections that ended without close_notify");
	sd_metrics_add(m, (double)read_count(&t->truncated), "%s,side=\"%s\"", label, watch->side);
}

/* ---- from options to a server ---- */

static const char *const alpn[] = {"http/1.1", NULL};

static void on_warning(void *arg, const char *text)
{
	struct sd_run_tls *t = arg;
	struct sd_field f[] = {{"warning", text, 0}, {0}};
	sd_event(t->run->log, SD_WARN, "tls_warning", f, "TLS: %s", text);
}

static const char **items(const struct sd_conf *conf, const char *path, size_t *n)
{
	*n = sd_conf_count(conf, path);
	const char **list = calloc(*n + 1, sizeof(*list));
	for (size_t i = 0; list && i < *n; i++)
		list[i] = sd_conf_list_item(conf, path, i);
	return list;
}

static enum sd_err check_counts(const struct sd_conf *conf, size_t ncerts, size_t nkeys, struct sd_error *e)
{
	if (ncerts == 0 && (nkeys || sd_conf_is_set(conf, "tls.client-ca") || sd_conf_is_set(conf, "tls.client-cert")))
		return sd_fail(e, SD_EINVAL, "tls: expected a certificate (cert) beside what else is set");
	if (nkeys && nkeys != ncerts)
		return sd_fail(e, SD_EINVAL, "%s: tls: %zu certificate%s and %zu key%s; expected a key for each, in the same order",
			       sd_conf_origin(conf, "tls.key"), ncerts, ncerts == 1 ? "" : "s", nkeys, nkeys == 1 ? "" : "s");
	if (sd_conf_int(conf, "tls.client-cert") != SD_TLS_ASK_NONE && !sd_conf_has(conf, "tls.client-ca"))
		return sd_fail(e, SD_EINVAL, "%s: tls: client-cert: expected client-ca, a file with the CAs that sign them",
			       sd_conf_origin(conf, "tls.client-cert"));
	return SD_OK;
}

static enum sd_err make(struct sd_world *w, const struct sd_conf *conf, struct sd_tls_server_conf *c,
			struct sd_tls_server **out, struct sd_error *e)
{
	size_t ncerts, nkeys;
	const char **certs = items(conf, "tls.cert", &ncerts), **keys = items(conf, "tls.key", &nkeys);
	enum sd_err err = certs && keys ? check_counts(conf, ncerts, nkeys, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	*out = NULL;
	if (!err && ncerts) {
		c->ncerts = ncerts;
		c->certs = certs;
		c->keys = nkeys ? keys : NULL;
		c->client_ca = sd_conf_string(conf, "tls.client-ca");
		c->ask = (enum sd_tls_ask)sd_conf_int(conf, "tls.client-cert");
		c->only_13 = sd_conf_int(conf, "tls.min-version") == 1;
		*out = sd_tls_server_new(w, c, e);
		if (!*out)
			err = sd_wrap(e, "tls");
	}
	free(certs);
	free(keys);
	return err;
}

enum sd_err sd_run_tls_check(struct sd_world *w, const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_tls_server_conf c = {0};
	struct sd_tls_server *s;
	enum sd_err err = make(w, conf, &c, &s, e);
	sd_tls_server_release(s);
	return err;
}

enum sd_err run_tls_make(struct sd_run_tls *t, const struct sd_conf *conf, struct sd_tls_server **out, struct sd_error *e)
{
	struct sd_tls_server_conf c = {
	    .keys_of_tickets = sd_conf_bool(conf, "tls.tickets") ? t->keys : NULL,
	    .watch = &t->watch.tls,
	    .warn = on_warning,
	    .warn_arg = t,
	};
	const struct sd_service *service = t->run->spec.applet->service;
	c.alpn = service->alpn ? service->alpn(conf) : alpn;
	return make(t->run->spec.world, conf, &c, out, e);
}

/* ---- life ---- */

enum sd_err run_tls_new(struct sd_run *run, struct sd_run_tls **out, struct sd_error *e)
{
	struct sd_run_tls *t = *out = calloc(1, sizeof(*t));
	if (!t)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	t->run = run;
	sd_run_watch_init(&t->watch, run, "client");
	t->keys = sd_tls_keys_new(run->spec.world, SD_TLS_KEYS_PERIOD_NS);
	if (!t->keys)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	return run_tls_make(t, run->conf, &t->now, e);
}

void run_tls_free(struct sd_run_tls *t)
{
	if (!t)
		return;
	sd_tls_server_release(t->now);
	sd_tls_keys_release(t->keys);
	free(t);
}

struct sd_tls_server *run_tls_hold(struct sd_run_tls *t)
{
	return sd_tls_server_hold(t->now);
}

struct swap {
	struct sd_task task;
	struct sd_worker *w;
	struct sd_tls_server *next;
};

static void on_swap(struct sd_task *task)
{
	struct swap *s = sd_container(task, struct swap, task);
	sd_tls_server_release(s->w->tls);
	s->w->tls = s->next;
	if (s->w->http)
		s->w->http->tls = s->next;
	free(s);
}

void run_tls_install(struct sd_run_tls *t, struct sd_tls_server *next)
{
	for (unsigned i = 0; i < t->run->nworkers; i++) {
		struct swap *s = calloc(1, sizeof(*s));
		if (!s) {
			sd_event(t->run->log, SD_ERROR, "out_of_memory", NULL, "Out of memory: an old certificate stays");
			continue;
		}
		*s = (struct swap){.task = {.fn = on_swap}, .w = &t->run->workers[i], .next = sd_tls_server_hold(next)};
		sd_loop_post(s->w->loop, &s->task);
	}
	sd_tls_server_release(t->now);
	t->now = next;
}

void run_tls_metrics(struct sd_run_tls *t, struct sd_metrics *m)
{
	if (t->now)
		sd_run_watch_metrics(&t->watch, m);
}
