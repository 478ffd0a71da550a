/* shortener - short URLs that redirect to long ones, with an API, statistics and a page. Its face and its life as a service; the
 * rest is described in shortener.h. */
#include "shortener.h"

#include <stdlib.h>

#include "clicks/sh_worker.h"
#include "http/sh_http.h"

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
	return sh->workers ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
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
	sd_run_http_conf(sh->run, &conf);
	sd_http_server_init(&w->server, sw->loop, &conf, &sh_http_handler, w);
	return sd_run_listen_http(sh->run, sw, &w->server, e);
}

static void started(void *self)
{
	struct sh *sh = self;
	sd_run_say_listening(sh->run);
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
	sd_http_server_drain(&w->server, on_idle);
}

static void stop(void *self, struct sd_worker *sw)
{
	struct sh_worker *w = sw->state;
	(void)self;
	sd_http_server_stop(&w->server);
}

static void destroy(void *self)
{
	struct sh *sh = self;
	for (unsigned i = 0; i < sh->nworkers && sh->workers; i++)
		free(sh->workers[i]);
	free(sh->workers);
	free(sh);
}

static void metrics(void *self, struct sd_metrics *m)
{
	struct sh *sh = self;
	const struct sd_http_server *servers[64];
	unsigned n = sh->nworkers < 64 ? sh->nworkers : 64;
	for (unsigned i = 0; i < n; i++)
		servers[i] = &sh->workers[i]->server;
	sd_run_http_metrics(sh->run, m, servers, n);
}

static const struct sd_service service = {
    .create = create,
    .start = start,
    .started = started,
    .drain = drain,
    .stop = stop,
    .destroy = destroy,
    .metrics = metrics,
};

static const struct sd_verb verbs[] = {
    {"worker", "", "count the clicks that shorteners put into a queue", sh_worker_options, 0, 0, sh_worker_verb},
    {0},
};

static const struct sd_alias aliases[] = {{"urlshortener", NULL}, {0}};

const struct sd_applet sd_applet_shortener = {
    .name = "shortener",
    .tag = "URL",
    .summary = "a URL shortener with an API, statistics and a page",
    .description = "Gives long URLs short codes and redirects from these, counts who followed them, and lets links be listed, "
		   "changed, disabled and ended.",
    .examples = "sdlab shortener --port 8080",
    .next = "curl -X POST http://127.0.0.1:8080/api/shorten -d '{\"url\": \"https://example.com/\"}'",
    .aliases = aliases,
    .options = sh_options,
    .service = &service,
    .verbs = verbs,
};
