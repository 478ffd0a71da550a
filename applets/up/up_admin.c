/* up_admin.c - what a running stack tells and is told. */
#include <cjson/cJSON.h>
#include <string.h>

#include "up.h"

static const char *const state_names[] = {
    [UP_WAITING] = "waiting", [UP_STARTING] = "starting", [UP_READY] = "ready",
    [UP_RESTING] = "resting", [UP_STOPPING] = "stopping", [UP_STOPPED] = "stopped",
};

static cJSON *member_json(const struct up_member *m)
{
	struct sd_world *w = m->up->d->world;
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "name", m->inst->name);
	cJSON_AddStringToObject(o, "applet", m->applet->name);
	cJSON_AddStringToObject(o, "state", state_names[m->state]);
	cJSON_AddNumberToObject(o, "pid", (double)(m->process ? sd_process_pid(m->process) : m->run ? sd_world_pid(w) : 0));
	cJSON_AddNumberToObject(o, "restarts", m->restarts);
	cJSON_AddNumberToObject(o, "seconds", (double)(sd_world_mono_ns(w) - m->since_ns) / 1e9);
	cJSON *list = cJSON_AddArrayToObject(o, "addresses");
	for (int i = 0; m->run && i < m->run->naddrs; i++) {
		char text[SD_ADDR_TEXT];
		cJSON_AddItemToArray(list, cJSON_CreateString(sd_addr_format(&m->run->addrs[i], text)));
	}
	return o;
}

static void route_stack(struct sd_admin_call *c)
{
	struct up *up = sd_admin_arg(c);
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "name", up->stack->name);
	cJSON_AddStringToObject(o, "file", up->stack->file);
	cJSON_AddNumberToObject(o, "pid", (double)sd_world_pid(up->d->world));
	cJSON_AddBoolToObject(o, "isolate", up->stack->isolate);
	cJSON *list = cJSON_AddArrayToObject(o, "services");
	for (unsigned i = 0; i < up->n; i++)
		cJSON_AddItemToArray(list, member_json(&up->members[i]));
	sd_admin_json(c->x, 200, o);
}

static bool is_post(struct sd_admin_call *c)
{
	if (c->method == SD_HTTP_POST)
		return true;
	sd_http_respond(c->x, 405, "Allow: POST\r\n", "text/plain", "use POST\n", 9);
	return false;
}

static void route_stop(struct sd_admin_call *c)
{
	struct up *up = sd_admin_arg(c);
	if (!is_post(c))
		return;
	sd_http_respond_text(c->x, 200, "stopping\n");
	up_stop(up, false);
}

static void route_reload(struct sd_admin_call *c)
{
	if (!is_post(c))
		return;
	up_reload(sd_admin_arg(c));
	sd_http_respond_text(c->x, 200, "reloading; /-/events says how it went\n");
}

const struct sd_admin_route up_routes[] = {
    {"stack", "the services of the stack as JSON", route_stack},
    {"stop", "POST: stop the stack", route_stop},
    {"reload", "POST: every service loads its part of the file anew", route_reload},
    {0},
};

bool up_ready(void *arg)
{
	const struct up *up = arg;
	return up->said_ready && !up->stopping;
}

void up_metrics(void *arg, struct sd_metrics *m)
{
	struct up *up = arg;
	sd_metrics_family(m, "sdlab_stack_service_up", "gauge", "1 when the service is ready");
	for (unsigned i = 0; i < up->n; i++)
		sd_metrics_add(m, up->members[i].state == UP_READY, "service=\"%s\"", up->members[i].inst->name);
	sd_metrics_family(m, "sdlab_stack_restarts_total", "counter", "Times the service was started again");
	for (unsigned i = 0; i < up->n; i++)
		sd_metrics_add(m, up->members[i].restarts, "service=\"%s\"", up->members[i].inst->name);
	for (unsigned i = 0; i < up->n; i++)
		if (up->members[i].run)
			sd_run_metrics(up->members[i].run, m);
}
