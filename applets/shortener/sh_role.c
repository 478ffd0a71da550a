#include "sh_role.h"

#include <stdlib.h>

#include "clicks/sh_worker.h"

struct role {
	const struct sd_service *service;
	void *self;
};

static const struct sd_service *const services[] = {[SH_ROLE_SERVER] = &sh_server_service, [SH_ROLE_WORKER] = &sh_worker_service};

static enum sd_err create(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e)
{
	struct role *r = calloc(1, sizeof(*r));
	if (!r)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*self = r;
	r->service = services[sd_conf_int(conf, "role")];
	return r->service->create(run, conf, &r->self, e);
}

static enum sd_err start(void *self, struct sd_worker *w, struct sd_error *e)
{
	struct role *r = self;
	return r->service->start(r->self, w, e);
}

static void started(void *self)
{
	struct role *r = self;
	r->service->started(r->self);
}

static enum sd_err reload(void *self, const struct sd_conf *conf, struct sd_error *e)
{
	struct role *r = self;
	return r->service->reload ? r->service->reload(r->self, conf, e) : SD_OK;
}

static void drain(void *self, struct sd_worker *w)
{
	struct role *r = self;
	r->service->drain(r->self, w);
}

static void stop(void *self, struct sd_worker *w)
{
	struct role *r = self;
	r->service->stop(r->self, w);
}

static void destroy(void *self)
{
	struct role *r = self;
	if (r->self)
		r->service->destroy(r->self);
	free(r);
}

static void metrics(void *self, struct sd_metrics *m)
{
	struct role *r = self;
	r->service->metrics(r->self, m);
}

static bool ready(void *self)
{
	struct role *r = self;
	return r->service->ready(r->self);
}

static void needs(void *self, struct cJSON *out)
{
	struct role *r = self;
	r->service->needs(r->self, out);
}

const struct sd_service sh_service = {
    .create = create,
    .start = start,
    .started = started,
    .reload = reload,
    .drain = drain,
    .stop = stop,
    .destroy = destroy,
    .metrics = metrics,
    .ready = ready,
    .needs = needs,
};
