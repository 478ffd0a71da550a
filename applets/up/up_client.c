/* up_client.c - the verbs that talk to a running stack through its socket. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/units.h"
#include "net/http_fetch.h"
#include "up.h"

#define TIMEOUT_NS 5000000000ll
#define STOP_NS    60000000000ll

static const char *env_of(const char *const *environ, const char *name)
{
	size_t n = strlen(name);
	for (; environ && *environ; environ++)
		if (strncmp(*environ, name, n) == 0 && (*environ)[n] == '=')
			return *environ + n + 1;
	return NULL;
}

void up_dir(struct sd_world *w, const char *const *environ, char *out, size_t n)
{
	const char *dir = env_of(environ, "XDG_RUNTIME_DIR");
	/* A UNIX socket's path has 107 bytes; a long folder falls back to the short one. */
	if (dir && dir[0] == '/' && strlen(dir) < 40)
		snprintf(out, n, "%s/sdlab", dir);
	else
		snprintf(out, n, "/tmp/sdlab-%u", sd_world_uid(w));
}

/* ---- which stack ---- */

/* The stack's name from what a person gave: its name, or its file. */
static void name_of(const struct sd_verb_call *call, const char *given, char out[SD_STACK_NAME_MAX])
{
	const char *slash = strrchr(given, '/'), *base = slash ? slash + 1 : given;
	size_t len = strlen(given);
	struct sd_doc *doc;
	char *text;
	if (!strchr(base, '.')) {
		snprintf(out, SD_STACK_NAME_MAX, "%s", base);
		return;
	}
	sd_stack_name_from_file(given, out);
	/* A file may name the stack otherwise. */
	if (sd_world_read_file(call->world, given, 1 << 20, &text, &len, NULL))
		return;
	if (sd_doc_parse(given, text, len, &doc, NULL) == SD_OK) {
		const struct sd_node *name = doc->root->kind == SD_NODE_MAP ? sd_node_get(doc->root, "name") : NULL;
		if (name && name->kind == SD_NODE_SCALAR)
			snprintf(out, SD_STACK_NAME_MAX, "%s", name->text);
		sd_doc_free(doc);
	}
	free(text);
}

static int fail(const struct sd_verb_call *call, const char *verb, const char *text)
{
	fprintf(call->err, "sdlab up %s: %s\n", verb, text);
	return 1;
}

/* The only running one; its name, or a reason. A socket nobody answers is not a stack. */
static const char *only_one(const struct sd_verb_call *call, const char *dir, char *out, size_t n)
{
	char **names = sd_world_list_dir(call->world, dir), addr[160], *body;
	unsigned found = 0;
	for (size_t i = 0; names && names[i]; i++) {
		size_t len = strlen(names[i]), body_n;
		int status;
		bool socket = len > 5 && strcmp(names[i] + len - 5, ".sock") == 0;
		snprintf(addr, sizeof(addr), "unix:%s/%s", dir, names[i]);
		if (socket && sd_http_fetch(call->world, addr, "GET", "/-/health", TIMEOUT_NS, &status, &body, &body_n, NULL) == SD_OK) {
			free(body);
			if (found++ == 0)
				snprintf(out, n, "%.*s", (int)(len - 5), names[i]);
		}
		free(names[i]);
	}
	free(names);
	if (found == 0)
		return "no stack is running (sdlab up FILE starts one)";
	return found == 1 ? NULL : "several stacks are running: expected the name or file of one";
}

static const char *find(const struct sd_verb_call *call, char *addr, size_t n, char *name, size_t name_n)
{
	char dir[64];
	const char *why = NULL;
	up_dir(call->world, call->environ, dir, sizeof(dir));
	if (call->nargs > 0)
		name_of(call, call->args[0], name);
	else
		why = only_one(call, dir, name, name_n);
	snprintf(addr, n, "unix:%s/%s.sock", dir, name);
	return why;
}

/* ---- status ---- */

static double number(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static const char *text(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return cJSON_IsString(v) ? v->valuestring : "";
}

static void print_table(FILE *out, const cJSON *stack)
{
	const cJSON *v;
	fprintf(out, "%s (%s), pid %.0f%s\n\n", text(stack, "name"), text(stack, "file"), number(stack, "pid"),
		cJSON_IsTrue(cJSON_GetObjectItem(stack, "isolate")) ? ", one process each" : "");
	fprintf(out, "  %-16s %-10s %-9s %8s %9s  %s\n", "SERVICE", "APPLET", "STATE", "PID", "RESTARTS", "FOR");
	cJSON_ArrayForEach(v, cJSON_GetObjectItem(stack, "services"))
	{
		char since[SD_UNIT_TEXT];
		fprintf(out, "  %-16s %-10s %-9s %8.0f %9.0f  %s\n", text(v, "name"), text(v, "applet"), text(v, "state"),
			number(v, "pid"), number(v, "restarts"),
			sd_format_duration((int64_t)number(v, "seconds") * 1000000000, since));
	}
}

/* Asks the stack that the call means; false after saying why there is no answer. */
static bool ask(const struct sd_verb_call *call, const char *verb, const char *method, const char *path, char addr[160],
		char name[SD_STACK_NAME_MAX], char **body)
{
	size_t n;
	int status;
	struct sd_error e = {0};
	char line[600];
	const char *why = find(call, addr, 160, name, SD_STACK_NAME_MAX);
	if (!why && sd_http_fetch(call->world, addr, method, path, TIMEOUT_NS, &status, body, &n, &e)) {
		snprintf(line, sizeof(line), "stack \"%s\" is not running (%s)", name, e.text);
		why = line;
	}
	if (why)
		fail(call, verb, why);
	return !why;
}

static int run_status(struct sd_verb_call *call)
{
	char addr[160], name[SD_STACK_NAME_MAX] = "", *body;
	if (!ask(call, "status", "GET", "/-/stack", addr, name, &body))
		return 1;
	cJSON *stack = cJSON_Parse(body);
	if (sd_conf_bool(call->conf, "json"))
		fputs(body, call->out);
	else if (stack)
		print_table(call->out, stack);
	cJSON_Delete(stack);
	free(body);
	return stack ? 0 : 1;
}

/* ---- stop ---- */

static int run_stop(struct sd_verb_call *call)
{
	char addr[160], name[SD_STACK_NAME_MAX] = "", *body;
	size_t n;
	int status;
	if (!ask(call, "stop", "POST", "/-/stop", addr, name, &body))
		return 1;
	free(body);
	/* The stream of events ends when the stack has: that is waited for. */
	enum sd_err err = sd_http_fetch(call->world, addr, "GET", "/-/events", STOP_NS, &status, &body, &n, NULL);
	if (err == SD_OK)
		free(body);
	if (err == SD_ETIMEOUT)
		return fail(call, "stop", "the stack was told, but is still stopping");
	fprintf(call->out, "%s is stopped\n", name);
	return 0;
}

static const struct sd_option status_options[] = {
    {"json", SD_OPT_BOOL, "false", "print JSON"},
    {0},
};

const struct sd_verb up_verbs[] = {
    {"status", "[STACK]", "show the services of a running stack", status_options, 0, 1, run_status},
    {"stop", "[STACK]", "stop a running stack", NULL, 0, 1, run_stop},
    {0},
};
