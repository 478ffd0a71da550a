/* shortener - short URLs that redirect to long ones, with an API, statistics and a page. Its face and its life as a service; the
 * rest is described in shortener.h. */
#include "shortener.h"

#include <stdio.h>
#include <stdlib.h>

#include "clicks/sh_worker.h"
#include "client/sh_cli.h"
#include "core/http_url.h"
#include "http/sh_http.h"
#include "http/sh_page.h"
#include "lookup/sh_lookup.h"
#include "sh_limit.h"
#include "sh_parts.h"
#include "sh_role.h"

/* ---- settings ---- */

static uint16_t status_of(const struct sd_conf *conf)
{
	static const uint16_t statuses[] = {301, 302, 307, 308};
	return statuses[sd_conf_int(conf, "redirect-status")];
}

static enum sd_err check_base_url(const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_http_url url;
	const char *text = sd_conf_string(conf, "base-url");
	bool scheme = text && (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0);
	if (!text || (scheme && sd_http_url_parse(text, &url) && !strpbrk(text, "?#\\\"<> ") && strlen(text) < sizeof(((struct sh *)0)->base_url)))
		return SD_OK;
	return sd_fail(e, SD_EUSAGE, "%s: expected a URL such as https://s.example.com, found \"%s\"",
		       sd_conf_at(conf, "base-url"), text);
}

static enum sd_err check_trusted(const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_cidr ignored;
	for (size_t i = 0; i < sd_conf_count(conf, "trusted-proxies"); i++) {
		if (!sd_cidr_parse(sd_conf_list_item(conf, "trusted-proxies", i), &ignored, e))
			continue;
		e->code = SD_EUSAGE;
		return sd_wrap(e, "%s", sd_conf_at(conf, "trusted-proxies"));
	}
	return SD_OK;
}

static enum sd_err check(const struct sd_conf *conf, struct sd_error *e)
{
	enum sd_err err = sh_parts_check(conf, e);
	if (sd_conf_int(conf, "role") == SH_ROLE_WORKER)
		return err ? err : sh_worker_check(conf, e);
	if (!err)
		err = check_base_url(conf, e);
	if (!err)
		err = check_trusted(conf, e);
	if (!err)
		err = sh_page_check(conf, e);
	if (!err)
		err = sh_limit_check(conf, e);
	return err ? err : sh_lookup_check(conf, e);
}

static void apply(struct sh *sh, const struct sd_conf *conf)
{
	const char *base = sd_conf_string(conf, "base-url");
	snprintf(sh->base_url, sizeof(sh->base_url), "%s", base ? base : "");
	sh->key_required = sd_conf_bool(conf, "api-key-required");
}

static enum sd_err read_trusted(struct sh *sh, const struct sd_conf *conf, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "trusted-proxies");
	sh->trusted = calloc(n + 1, sizeof(*sh->trusted));
	if (!sh->trusted)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	for (; sh->ntrusted < n; sh->ntrusted++)
		if (sd_cidr_parse(sd_conf_list_item(conf, "trusted-proxies", sh->ntrusted), &sh->trusted[sh->ntrusted], e))
			return e->code;
	return SD_OK;
}

/* ---- life ---- */

static enum sd_err create(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e)
{
	struct sh *sh = calloc(1, sizeof(*sh));
	if (!sh)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*self = sh;
	sh->run = run;
	sh->log = run->log;
	sh->control = run->spec.control;
	sh->nworkers = (unsigned)sd_conf_int(conf, "threads");
	sh->workers = calloc(sh->nworkers, sizeof(*sh->workers));
	if (!sh->workers)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	apply(sh, conf);
	enum sd_err err = read_trusted(sh, conf, e);
	if (!err)
		err = sh_limit_open(sh, conf, &sh->limit, e);
	return err ? err : sh_parts_open(sh, conf, e);
}

static void on_open(struct sd_task *t)
{
	struct sh_worker *w = sd_container(t, struct sh_worker, open);
	sd_http_server_close_doors(&w->server, false);
}

static enum sd_err start(void *self, struct sd_worker *sw, struct sd_error *e)
{
	struct sh *sh = self;
	struct sh_worker *w = calloc(1, sizeof(*w));
	struct sd_http_server_conf conf;
	if (!w)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	sh->workers[sw->index] = w;
	sw->state = w;
	w->sh = sh;
	w->w = sw;
	w->status = status_of(sh->run->conf);
	sd_run_http_conf(sh->run, &conf);
	sd_http_server_init(&w->server, sw->loop, &conf, &sh_http_handler, w);
	w->open.fn = on_open;
	enum sd_err err = sh_parts_start(w, e);
	if (!err)
		err = sd_run_listen_http(sh->run, sw, &w->server, e);
	sd_http_server_close_doors(&w->server, true);
	return err;
}

void sh_let_in(struct sh *sh)
{
	for (unsigned i = 0; i < sh->nworkers; i++)
		sd_loop_post(sh->workers[i]->w->loop, &sh->workers[i]->open);
	sd_run_say_listening(sh->run);
}

static void started(void *self)
{
	struct sh *sh = self;
	sh->listening = true;
	if (sh->db_said)
		sh_let_in(sh);
}

/* New settings on their way to a worker. */
struct change {
	struct sd_task task;
	struct sh_worker *w;
	uint16_t status;
};

static void on_change(struct sd_task *t)
{
	struct change *c = sd_container(t, struct change, task);
	c->w->status = c->status;
	free(c);
}

static enum sd_err reload(void *self, const struct sd_conf *conf, struct sd_error *e)
{
	struct sh *sh = self;
	struct change **changes = calloc(sh->nworkers, sizeof(*changes));
	unsigned n = 0;
	while (changes && n < sh->nworkers && (changes[n] = calloc(1, sizeof(**changes))))
		n++;
	enum sd_err err = n < sh->nworkers ? sd_fail(e, SD_ENOMEM, "out of memory") : sh_limit_set(sh->limit, conf, e);
	for (unsigned i = 0; i < n; i++) {
		if (err) {
			free(changes[i]);
			continue;
		}
		*changes[i] = (struct change){.task.fn = on_change, .w = sh->workers[i], .status = status_of(conf)};
		sd_loop_post(sh->workers[i]->w->loop, &changes[i]->task);
	}
	free(changes);
	if (!err)
		apply(sh, conf);
	return err;
}

static void on_idle(struct sd_http_server *srv)
{
	struct sh_worker *w = srv->arg;
	sd_worker_drained(w->w);
}

static void drain(void *self, struct sd_worker *sw)
{
	struct sh_worker *w = sw->state;
	(void)self;
	sh_parts_drain(w);
	sd_http_server_drain(&w->server, on_idle);
}

static void stop(void *self, struct sd_worker *sw)
{
	struct sh_worker *w = sw->state;
	(void)self;
	sd_http_server_stop(&w->server);
	sh_parts_stop(w);
}

static void destroy(void *self)
{
	struct sh *sh = self;
	sh->closing = true;
	sh_limit_stop(sh->limit); /* who waits goes on to the database */
	sh_parts_close(sh);
	sh_limit_close(sh->limit);
	for (unsigned i = 0; i < sh->nworkers && sh->workers; i++)
		free(sh->workers[i]);
	free(sh->workers);
	free(sh->trusted);
	free(sh);
}

static void metrics(void *self, struct sd_metrics *m)
{
	struct sh *sh = self;
	const struct sd_http_server *servers[64];
	unsigned n = sh->nworkers < 64 ? sh->nworkers : 64;
	uint64_t counts[3] = {0};
	char label[160];
	for (unsigned i = 0; i < n; i++) {
		servers[i] = &sh->workers[i]->server;
		counts[0] += sd_count_read(&sh->workers[i]->redirects);
		counts[1] += sd_count_read(&sh->workers[i]->refused);
		counts[2] += sd_count_read(&sh->workers[i]->calls);
	}
	sd_run_http_metrics(sh->run, m, servers, n);
	sd_run_label(sh->run, label, sizeof(label));
	sd_metrics_family(m, "sdlab_shortener_visits_total", "counter", "Requests for codes, by what came of them");
	sd_metrics_add(m, (double)counts[0], "%s,result=\"redirected\"", label);
	sd_metrics_add(m, (double)counts[1], "%s,result=\"refused\"", label);
	sd_metrics_family(m, "sdlab_shortener_calls_total", "counter", "Requests for the API and pages");
	sd_metrics_add(m, (double)counts[2], "%s", label);
	sd_metrics_family(m, "sdlab_shortener_created_total", "counter", "Links made");
	sd_metrics_add(m, (double)sh->created, "%s", label);
	sd_metrics_family(m, "sdlab_shortener_limited_total", "counter", "Links not made because of --create-limit");
	sd_metrics_add(m, (double)sh->limited, "%s", label);
	sh_limit_metrics(sh->limit, m, label);
	sh_parts_metrics(sh, m, label);
}

/* Once it had its database: without it what is in a cache goes on being redirected. */
static bool ready(void *self)
{
	const struct sh *sh = self;
	return sh->listening && sh->db_seen;
}

const struct sd_service sh_server_service = {
    .create = create,
    .start = start,
    .started = started,
    .reload = reload,
    .drain = drain,
    .stop = stop,
    .destroy = destroy,
    .metrics = metrics,
    .ready = ready,
    .needs = sh_parts_needs,
};

static const struct sd_alias aliases[] = {{"urlshortener", NULL}, {0}};

const struct sd_applet sd_applet_shortener = {
    .name = "shortener",
    .tag = "URL",
    .summary = "a URL shortener with an API, statistics and a page",
    .description = "Gives long URLs short codes and redirects from these, counts who followed them, and lets links be listed, "
		   "changed, disabled and ended. Keeps them in SQLite, or in PostgreSQL for several servers together.",
    .examples = "sdlab shortener --port 8080\n"
		"sdlab shortener --db postgres://localhost/urls --base-url https://s.example.com\n"
		"sdlab shortener shorten https://example.com/very/long --alias long --expires 7d\n"
		"sdlab shortener stats long",
    .next = "curl -X POST http://127.0.0.1:8080/api/shorten -d '{\"url\": \"https://example.com/\"}'",
    .aliases = aliases,
    .options = sh_options,
    .service = &sh_service,
    .verbs = sh_verbs,
    .check = check,
};
