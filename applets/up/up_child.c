/* up_child.c - an instance as a process of its own. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backoff.h"
#include "core/units.h"
#include "up.h"

#define MAX_DELAY_NS 30000000000ll
#define CALM_NS      10000000000ll /* after so long the next death is a first one again */

/* ---- what it says ---- */

static const char *text_of(const cJSON *o, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, key);
	return cJSON_IsString(v) ? v->valuestring : "";
}

/* The event's own fields, behind those that every event has. */
static void fields_of(const cJSON *o, struct sd_field *f, size_t max)
{
	static const char *const known[] = {"time", "level", "service", "event", "message"};
	size_t n = 0;
	for (const cJSON *v = o->child; v && n + 1 < max; v = v->next) {
		size_t k = 0;
		while (k < 5 && strcmp(known[k], v->string) != 0)
			k++;
		if (k == 5 && (cJSON_IsString(v) || cJSON_IsNumber(v)))
			f[n++] = (struct sd_field){v->string, v->valuestring, (int64_t)v->valuedouble};
	}
	f[n] = (struct sd_field){0};
}

static void on_event_line(struct up_member *m, const char *line)
{
	cJSON *o = cJSON_Parse(line);
	if (!o || !cJSON_GetObjectItemCaseSensitive(o, "event")) {
		sd_events_line(m->log, line, strlen(line));
		cJSON_Delete(o);
		return;
	}
	struct sd_field f[12];
	const char *level = text_of(o, "level"), *name = text_of(o, "event");
	fields_of(o, f, 12);
	sd_event(m->log, level[0] == 'w' ? SD_WARN : level[0] == 'e' ? SD_ERROR : SD_INFO, name, f, "%s",
		 text_of(o, "message"));
	if (strcmp(name, "listening") == 0 || strcmp(name, "ready") == 0)
		up_member_ready(m);
	cJSON_Delete(o);
}

static void on_line(struct up_member *m, bool is_stderr, const char *line)
{
	if (is_stderr)
		fprintf(m->up->d->err, "%s: %s\n", m->inst->name, line);
	else
		on_event_line(m, line);
}

static void end_line(struct up_member *m, bool is_stderr)
{
	m->line[is_stderr][m->line_n[is_stderr]] = '\0';
	m->line_n[is_stderr] = 0;
	on_line(m, is_stderr, m->line[is_stderr]);
}

static void on_output(void *arg, bool is_stderr, const char *p, size_t n)
{
	struct up_member *m = arg;
	char *line = m->line[is_stderr];
	size_t *have = &m->line_n[is_stderr];
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n' || *have == sizeof(m->line[0]) - 1)
			end_line(m, is_stderr);
		if (p[i] != '\n')
			line[(*have)++] = p[i];
	}
}

/* ---- how it ends ---- */

static const char *how(int status, char out[64])
{
	if (status < 0)
		snprintf(out, 64, "killed by signal %d", -status);
	else
		snprintf(out, 64, "exit status %d", status);
	return out;
}

static void rest(struct up_member *m, int status)
{
	struct up *up = m->up;
	char text[64], delay[SD_UNIT_TEXT];
	int64_t now = sd_loop_now_ns(up->control);
	if (now - m->since_ns > CALM_NS)
		m->deaths = 0;
	struct sd_backoff wait = {up->stack->restart_delay_ns, MAX_DELAY_NS, SD_GROW_DOUBLING, 0};
	int64_t delay_ns = sd_backoff(&wait, ++m->deaths, 0);
	struct sd_field f[] = {{"status", NULL, status}, {"restarts", NULL, m->restarts}, {0}};
	sd_event(m->log, SD_ERROR, "service_died", f, "%s died (%s); starting again in %s", m->inst->name, how(status, text),
		 sd_format_duration(delay_ns, delay));
	m->state = UP_RESTING;
	m->since_ns = now;
	sd_loop_timer_set(up->control, &m->timer, now + delay_ns);
}

static void on_exited(void *arg, int status)
{
	struct up_member *m = arg;
	struct up *up = m->up;
	m->process = NULL;
	for (int i = 0; i < 2; i++)
		if (m->line_n[i] > 0)
			end_line(m, i); /* its last words */
	if (m->state == UP_STOPPING || up->stopping) {
		m->state = UP_STOPPED;
		up_stop_next(up);
	} else if (m->state == UP_STARTING && m->restarts == 0) {
		char text[64];
		m->state = UP_STOPPED;
		up_fail(up, m->inst->name, how(status, text));
	} else {
		rest(m, status);
	}
}

enum sd_err up_child_start(struct up_member *m, struct sd_error *e)
{
	struct up *up = m->up;
	char self[4096];
	const char *argv[12 + 2 * SD_STACK_MAX];
	size_t n = 0;
	if (!sd_world_self_path(up->d->world, self, sizeof(self)))
		return sd_fail(e, SD_EIO, "cannot find the program itself");
	argv[n++] = self;
	argv[n++] = "up";
	argv[n++] = up->stack->file;
	for (size_t i = 0; i < sd_conf_count(up->conf, "scale") && i < SD_STACK_MAX; i++) {
		argv[n++] = "--scale";
		argv[n++] = sd_conf_list_item(up->conf, "scale", i);
	}
	argv[n++] = "--child";
	argv[n++] = m->inst->name;
	argv[n++] = "--run-dir";
	argv[n++] = up->dir;
	argv[n] = NULL;
	struct sd_process_events events = {.output = on_output, .exited = on_exited, .arg = m};
	m->line_n[0] = m->line_n[1] = 0;
	return sd_process_start(up->control, argv, up->d->environ, &events, &m->process, e);
}
