/* lb_status.c - the verbs: what a running balancer says of itself, asked over its admin address. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/applet.h"
#include "lb.h"
#include "net/http_fetch.h"

#define TIMEOUT_NS 5000000000

static int fail(const struct sd_verb_call *call, const char *verb, const char *text)
{
	fprintf(call->err, "sdlab lb %s: %s\n", verb, text);
	return 1;
}

/* ---- which server ---- */

/* --server, else SDLAB_LB_URL, else where a balancer's admin address is when nobody chose one. */
static const char *server_of(const struct sd_verb_call *call)
{
	const char *given = sd_conf_string(call->conf, "server");
	for (const char *const *v = given ? NULL : call->environ; v && *v; v++)
		if (strncmp(*v, "SDLAB_LB_URL=", 13) == 0 && (*v)[13])
			given = *v + 13;
	return given ? given : "127.0.0.1:8079";
}

/* "http://127.0.0.1:8079/" is what people copy; the address in it is meant. */
static void address_of(const char *server, char out[160])
{
	const char *from = strncmp(server, "http://", 7) == 0 ? server + 7 : server;
	size_t n = strlen(from);
	while (from != server && n > 0 && from[n - 1] == '/')
		n--;
	snprintf(out, 160, "%.*s", (int)(n < 159 ? n : 159), from);
	if (strncmp(out, "localhost:", 10) == 0) {
		char port[160];
		snprintf(port, sizeof(port), "127.0.0.1:%.100s", out + 10);
		memcpy(out, port, sizeof(port));
	}
}

/* The answer, parsed; NULL after it said why there is none. */
static cJSON *ask(const struct sd_verb_call *call, const char *verb, const char *path, const char *sent)
{
	char addr[160], line[600], *body = NULL;
	size_t n;
	int status = 0;
	struct sd_error e = {0};
	address_of(server_of(call), addr);
	enum sd_err err = sd_http_fetch_with(call->world, addr, sent ? "POST" : "GET", path, sent, sent ? strlen(sent) : 0,
					     TIMEOUT_NS, &status, &body, &n, &e);
	cJSON *o = err ? NULL : cJSON_Parse(body);
	free(body);
	if (o && status == 200)
		return o;
	const cJSON *why = cJSON_GetObjectItem(o, "error");
	if (err)
		snprintf(line, sizeof(line), "no balancer answers at %s: %.300s (--server ADDRESS or SDLAB_LB_URL says where its admin "
					     "address is)", addr, e.text);
	else
		snprintf(line, sizeof(line), "%s answered %d: %.300s", addr, status,
			 cJSON_IsString(why) ? why->valuestring : "it is not the admin address of sdlab lb");
	cJSON_Delete(o);
	fail(call, verb, line);
	return NULL;
}

static double number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return cJSON_IsNumber(v) ? v->valuedouble : -1;
}

/* Another process's words go to a terminal: no control bytes. */
static const char *text(const cJSON *o, const char *key)
{
	cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	if (!cJSON_IsString(v))
		return "";
	for (char *c = v->valuestring; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 127 || ((unsigned char)*c == 0xc2 && (unsigned char)c[1] < 0xa0))
			*c = '?';
	return v->valuestring;
}

/* ---- status ---- */

static const cJSON *same(const cJSON *all, const cJSON *b)
{
	for (const cJSON *v = all ? all->child : NULL; v; v = v->next)
		if (strcmp(text(v, "name"), text(b, "name")) == 0)
			return v;
	return NULL;
}

static const char *ms_text(double ms, char out[16])
{
	snprintf(out, 16, ms < 0 ? "-" : ms < 10 ? "%.2f" : "%.0f", ms);
	return out;
}

/* "api/b"; of the default pool only the name. */
static const char *label(const cJSON *b, char out[256])
{
	const char *pool = text(b, "pool");
	bool plain = !*pool || strcmp(pool, LB_DEFAULT_POOL) == 0;
	snprintf(out, 256, "%s%s%s", plain ? "" : pool, plain ? "" : "/", text(b, "name"));
	return out;
}

/* The rate is between two samples; without the first one there is none. */
static void print_row(FILE *out, const cJSON *b, const cJSON *before, double seconds)
{
	char p50[16], p99[16], rate[16] = "-", name[256];
	const cJSON *old = before ? same(before, b) : NULL;
	if (old && seconds > 0)
		snprintf(rate, sizeof(rate), "%.1f", (number(b, "requests") - number(old, "requests")) / seconds);
	fprintf(out, "%-20s %-10s %8.0f %9s %10.0f %8.0f %8s %8s %6.0f  %s\n", label(b, name), text(b, "state"), number(b, "inflight"),
		rate, number(b, "requests"), number(b, "failures") + number(b, "answers_5xx"), ms_text(number(b, "p50_ms"), p50),
		ms_text(number(b, "p99_ms"), p99), number(b, "weight"), text(b, "why"));
}

static void print_table(FILE *out, const cJSON *all, const cJSON *before, double seconds)
{
	fprintf(out, "%-20s %-10s %8s %9s %10s %8s %8s %8s %6s  %s\n", "BACKEND", "STATE", "INFLIGHT", "REQ/S", "REQUESTS", "ERRORS",
		"P50 MS", "P99 MS", "WEIGHT", "WHY");
	for (const cJSON *b = all ? all->child : NULL; b; b = b->next)
		print_row(out, b, before, seconds);
}

static void print_json(FILE *out, const cJSON *all)
{
	char *json = cJSON_PrintUnformatted(all);
	fprintf(out, "%s\n", json ? json : "");
	free(json);
}

/* Shows one sample after the other until it is ended, or until there is no answer. */
static int watch(struct sd_verb_call *call, cJSON *before, int64_t interval_ns)
{
	bool json = sd_conf_bool(call->conf, "json"), screen = !json && sd_world_is_terminal(call->world, 1);
	int64_t then = sd_world_mono_ns(call->world);
	for (;;) {
		sd_world_sleep_ns(call->world, interval_ns);
		cJSON *all = ask(call, "status", "/-/backends", NULL);
		if (!all) {
			cJSON_Delete(before);
			return 1;
		}
		int64_t now = sd_world_mono_ns(call->world);
		fputs(screen ? "\033[H\033[2J" : "", call->out);
		if (json)
			print_json(call->out, all);
		else
			print_table(call->out, all, before, (double)(now - then) / 1e9);
		fflush(call->out);
		cJSON_Delete(before);
		before = all;
		then = now;
	}
}

static int run_status(struct sd_verb_call *call)
{
	bool json = sd_conf_bool(call->conf, "json");
	int64_t sample = sd_conf_int(call->conf, "interval"), then = sd_world_mono_ns(call->world);
	cJSON *first = ask(call, "status", "/-/backends", NULL);
	if (!first)
		return 1;
	if (sd_conf_bool(call->conf, "watch"))
		return watch(call, first, sample > 0 ? sample : 1000000000);
	if (json) {
		print_json(call->out, first);
		cJSON_Delete(first);
		return 0;
	}
	if (sample > 0)
		sd_world_sleep_ns(call->world, sample);
	cJSON *all = sample > 0 ? ask(call, "status", "/-/backends", NULL) : cJSON_Duplicate(first, true);
	if (all)
		print_table(call->out, all, sample > 0 ? first : NULL, (double)(sd_world_mono_ns(call->world) - then) / 1e9);
	cJSON_Delete(first);
	cJSON_Delete(all);
	return all ? 0 : 1;
}

#define SERVER                                                                                                         \
	{                                                                                                              \
		"server", SD_OPT_STRING, NULL, "admin address of the balancer; else SDLAB_LB_URL, else 127.0.0.1:8079", \
		    .meta = "ADDRESS"                                                                                  \
	}

static const struct sd_option status_options[] = {
    SERVER,
    {"watch", SD_OPT_BOOL, "false", "show it again and again", .letter = 'w'},
    {"interval", SD_OPT_DURATION, "300ms", "between the two looks that requests a second come from; 0 for one look"},
    {"json", SD_OPT_BOOL, "false", "print JSON, as /-/backends has it"},
    {0},
};

/* ---- explain ---- */

static const struct sd_option explain_options[] = {
    SERVER,
    {"header", SD_OPT_LIST, NULL, "a field of the request, such as \"X-User: 7\"", .letter = 'H', .meta = "FIELD", .whole = true},
    {"client", SD_OPT_STRING, NULL, "address the request would come from", .meta = "IP"},
    {"listener", SD_OPT_STRING, NULL, "where it would come in; else at the port", .meta = "NAME"},
    {"json", SD_OPT_BOOL, "false", "print JSON"},
    {0},
};

static char *explain_body(const struct sd_verb_call *call)
{
	cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "headers");
	cJSON_AddStringToObject(o, "method", call->nargs > 1 ? call->args[0] : "GET");
	cJSON_AddStringToObject(o, "target", call->args[call->nargs - 1]);
	if (sd_conf_has(call->conf, "client"))
		cJSON_AddStringToObject(o, "client", sd_conf_string(call->conf, "client"));
	if (sd_conf_has(call->conf, "listener"))
		cJSON_AddStringToObject(o, "listener", sd_conf_string(call->conf, "listener"));
	for (size_t i = 0; i < sd_conf_count(call->conf, "header"); i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(sd_conf_list_item(call->conf, "header", i)));
	char *text = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	return text;
}

/* Which way it goes: "route /v1 -> pool api, as /x". Nothing without routes. */
static void print_route(FILE *out, const cJSON *o)
{
	const char *route = text(o, "route"), *location = text(o, "location"), *target = text(o, "target"), *why = text(o, "why"), *files = text(o, "files");
	int status = (int)number(o, "status");
	if (*route || status > 0 || *why)
		fprintf(out, "%s%s", *route ? "route " : "no route", route);
	if (status > 0)
		fprintf(out, ": answered here with %d%s%s%s%s\n", status, *location ? " to " : "", location, *why ? ": " : "", why);
	else if (*why)
		fprintf(out, ": %s\n", why);
	else if (*files)
		fprintf(out, ": files below %s\n", files);
	else if (*route)
		fprintf(out, " -> pool %s%s%s\n", text(o, "pool"), *target ? ", as " : "", target);
}

/* "limit Token bucket: 10 tokens/sec, burst 20: 3 left". */
static void print_limits(FILE *out, const cJSON *o)
{
	const cJSON *l;
	cJSON_ArrayForEach(l, cJSON_GetObjectItem(o, "limits"))
	{
		fprintf(out, "limit %s: ", text(l, "limit"));
		if (cJSON_IsTrue(cJSON_GetObjectItem(l, "allowed")))
			fprintf(out, "%.0f left\n", number(l, "remaining"));
		else
			fprintf(out, "refused%s, again in %.3g s\n", cJSON_IsTrue(cJSON_GetObjectItem(l, "shadow")) ? " in shadow" : "",
				number(l, "retry_s"));
	}
}

static void print_explained(FILE *out, const cJSON *o)
{
	const cJSON *c;
	const char *backend = text(o, "backend");
	print_route(out, o);
	print_limits(out, o);
	if (number(o, "status") > 0 || *text(o, "files"))
		return;
	fprintf(out, "%s by %s", *backend ? backend : "no backend", text(o, "algorithm"));
	if (number(o, "threads") > 1)
		fprintf(out, ", as thread %.0f of %.0f sees it", number(o, "thread") + 1, number(o, "threads"));
	fprintf(out, "\n\n  %-20s %-10s %6s %6s %10s %10s  %s\n", "BACKEND", "STATE", "WEIGHT", "LOAD", "LATENCY MS", "SCORE", "REASON");
	cJSON_ArrayForEach(c, cJSON_GetObjectItem(o, "candidates"))
	{
		const char *why = text(c, "why");
		fprintf(out, "%s %-20s %-10s %6.0f %6.0f %10.3g %10.3g  %s%s%s\n",
			cJSON_IsTrue(cJSON_GetObjectItem(c, "chosen")) ? ">" : " ", text(c, "name"), text(c, "state"),
			number(c, "weight"), number(c, "load"), number(c, "latency_ms"), number(c, "score"), text(c, "reason"),
			*why ? ": " : "", why);
	}
}

static int run_explain(struct sd_verb_call *call)
{
	char *body = explain_body(call);
	cJSON *o = body ? ask(call, "explain", "/-/explain", body) : NULL;
	free(body);
	if (o && sd_conf_bool(call->conf, "json"))
		print_json(call->out, o);
	else if (o)
		print_explained(call->out, o);
	cJSON_Delete(o);
	return o ? 0 : 1;
}

const struct sd_verb lb_verbs[] = {
    {"explain", "[METHOD] TARGET", "tell which backend a request would get, and why", explain_options, 1, 2, run_explain},
    {"status", NULL, "show the backends of a running balancer", status_options, 0, 0, run_status},
    {0},
};
