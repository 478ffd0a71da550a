#include "event.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/time_text.h"
#include "metrics.h"

struct counter {
	struct counter *next;
	uint64_t n;
	char name[];
};

struct sd_log {
	struct sd_events *ev;
	struct sd_link link;
	char *tag, *service, *prefix;
	int colour;
	struct counter *counters; /* control loop only */
};

struct sd_events {
	struct sd_loop *control;
	bool json, colour;
	struct sd_link logs, listeners;
	uint32_t waiting; /* atomic: events on their way from workers */
	uint64_t dropped; /* atomic */
};

struct message {
	struct sd_task task;
	struct sd_log *log;
	enum sd_level level;
	const char *name; /* static */
	int64_t wall_ns;
	char *json; /* the fields, as members: ,"backend":"8082" */
	char text[]; /* the sentence */
};

static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

struct sd_events *sd_events_new(struct sd_loop *control, bool json, bool colour)
{
	struct sd_events *ev = calloc(1, sizeof(*ev));
	if (!ev)
		return NULL;
	ev->control = control;
	ev->json = json;
	ev->colour = colour;
	sd_list_init(&ev->logs);
	sd_list_init(&ev->listeners);
	return ev;
}

static void log_free(struct sd_log *log)
{
	sd_list_del(&log->link);
	while (log->counters) {
		struct counter *c = log->counters;
		log->counters = c->next;
		free(c);
	}
	free(log->tag);
	free(log->service);
	free(log->prefix);
	free(log);
}

void sd_events_free(struct sd_events *ev)
{
	if (!ev)
		return;
	while (!sd_list_empty(&ev->logs))
		log_free(sd_container(ev->logs.next, struct sd_log, link));
	free(ev);
}

struct sd_log *sd_log_new(struct sd_events *ev, const char *tag, const char *service, const char *prefix, int colour)
{
	struct sd_log *log = calloc(1, sizeof(*log));
	if (!log)
		return NULL;
	log->ev = ev;
	log->tag = copy(tag);
	log->service = copy(service);
	log->prefix = copy(prefix);
	log->colour = colour;
	sd_list_add(&ev->logs, &log->link);
	return log;
}

/* ---- saying it, on the control loop ---- */

static void count(struct sd_log *log, const char *name)
{
	struct counter *c = log->counters;
	while (c && strcmp(c->name, name) != 0)
		c = c->next;
	if (!c) {
		c = calloc(1, sizeof(*c) + strlen(name) + 1);
		if (!c)
			return;
		memcpy(c->name, name, strlen(name));
		c->next = log->counters;
		log->counters = c;
	}
	c->n++;
}

static void print_line(struct sd_log *log, const char *text, size_t n)
{
	struct sd_events *ev = log->ev;
	char head[160] = "";
	int h = 0;
	if (log->prefix && ev->colour && log->colour)
		h = snprintf(head, sizeof(head), "\033[%dm%-10s |\033[0m ", log->colour, log->prefix);
	else if (log->prefix)
		h = snprintf(head, sizeof(head), "%-10s | ", log->prefix);
	size_t total = (size_t)h + n + 1;
	char *line = malloc(total);
	if (!line)
		return;
	memcpy(line, head, (size_t)h);
	memcpy(line + h, text, n);
	line[total - 1] = '\n';
	sd_world_print(sd_loop_world(ev->control), 1, line, total);
	free(line);
}

void sd_events_line(struct sd_log *log, const char *line, size_t n)
{
	print_line(log, line, n);
}

static void print_human(struct sd_log *log, const struct message *m)
{
	static const char *const paint[] = {"", "\033[33m", "\033[31m"};
	char line[1200];
	bool colour = log->ev->colour && m->level != SD_INFO;
	char text[1024];
	size_t k = 0;
	/* One event is one line, whatever it quotes. */
	for (; k < sizeof(text) - 1 && m->text[k]; k++)
		text[k] = (unsigned char)m->text[k] < 0x20 || m->text[k] == 0x7f ? '?' : m->text[k];
	text[k] = '\0';
	int n = snprintf(line, sizeof(line), "%s[%s] %s%s", colour ? paint[m->level] : "", log->tag, text,
			 colour ? "\033[0m" : "");
	if (n > 0)
		print_line(log, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* The event as one JSON object; the caller frees it. */
static char *to_json(struct sd_log *log, const struct message *m)
{
	static const char *const levels[] = {"info", "warn", "error"};
	char when[SD_TIME_TEXT];
	cJSON *o = cJSON_CreateObject();
	sd_time_text(when, m->wall_ns);
	cJSON_AddStringToObject(o, "time", when);
	cJSON_AddStringToObject(o, "level", levels[m->level]);
	cJSON_AddStringToObject(o, "service", log->service);
	cJSON_AddStringToObject(o, "event", m->name);
	cJSON_AddStringToObject(o, "message", m->text);
	char *s = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	size_t n = s ? strlen(s) : 0, k = m->json ? strlen(m->json) : 0;
	char *all = n ? malloc(n + k + 1) : NULL;
	if (all) {
		/* the fields go in before the closing brace */
		memcpy(all, s, n - 1);
		memcpy(all + n - 1, m->json ? m->json : "", k);
		memcpy(all + n - 1 + k, "}", 2);
	}
	free(s);
	return all;
}

static void say(struct sd_log *log, const struct message *m)
{
	struct sd_events *ev = log->ev;
	count(log, m->name);
	bool wanted = ev->json || !sd_list_empty(&ev->listeners);
	char *json = wanted ? to_json(log, m) : NULL;
	if (!ev->json)
		print_human(log, m);
	else if (json)
		print_line(&(struct sd_log){.ev = ev}, json, strlen(json));
	for (struct sd_link *k = ev->listeners.next, *next; json && k != &ev->listeners; k = next) {
		struct sd_event_listener *l = sd_container(k, struct sd_event_listener, link);
		next = k->next;
		l->fn(l, m->name, json, strlen(json));
	}
	free(json);
}

static void on_message(struct sd_task *t)
{
	struct message *m = sd_container(t, struct message, task);
	__atomic_sub_fetch(&m->log->ev->waiting, 1, __ATOMIC_RELAXED);
	say(m->log, m);
	free(m->json);
	free(m);
}

/* How many bytes a character of UTF-8 takes; 0: it is none. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* longer than need be, half of a pair, or beyond the last one */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* JSON is UTF-8: bytes that are not become question marks. */
static void make_utf8(char *s)
{
	while (s && *s) {
		size_t n = utf8_length((const unsigned char *)s);
		if (n == 0)
			*s = '?';
		s += n ? n : 1;
	}
}

/* The fields as JSON members with a comma in front; NULL when there are none. */
static char *fields_json(const struct sd_field *f)
{
	if (!f || !f->key)
		return NULL;
	cJSON *o = cJSON_CreateObject();
	for (; f->key; f++) {
		if (f->text)
			make_utf8(cJSON_GetStringValue(cJSON_AddStringToObject(o, f->key, f->text)));
		else
			cJSON_AddNumberToObject(o, f->key, (double)f->number);
	}
	char *s = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	if (s) {
		s[0] = ',';
		s[strlen(s) - 1] = '\0';
	}
	return s;
}

void sd_event(struct sd_log *log, enum sd_level level, const char *name, const struct sd_field *fields,
	      const char *fmt, ...)
{
	struct sd_events *ev = log->ev;
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	make_utf8(text);
	size_t n = strlen(text) + 1;
	bool room = __atomic_add_fetch(&ev->waiting, 1, __ATOMIC_RELAXED) <= SD_EVENTS_MAX;
	struct message *m = room ? calloc(1, sizeof(*m) + n) : NULL;
	if (!m) {
		__atomic_sub_fetch(&ev->waiting, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&ev->dropped, 1, __ATOMIC_RELAXED);
		return;
	}
	m->task.fn = on_message;
	m->log = log;
	m->level = level;
	m->name = name;
	m->wall_ns = sd_world_wall_ns(sd_loop_world(ev->control));
	m->json = fields_json(fields);
	memcpy(m->text, text, n);
	if (sd_loop_is_mine(ev->control))
		on_message(&m->task);
	else
		sd_loop_post(ev->control, &m->task);
}

/* ---- who listens ---- */

void sd_events_listen(struct sd_events *ev, struct sd_event_listener *l)
{
	sd_list_add(&ev->listeners, &l->link);
}

void sd_events_unlisten(struct sd_event_listener *l)
{
	sd_list_del(&l->link);
}

void sd_events_metrics(struct sd_events *ev, struct sd_metrics *m)
{
	sd_metrics_family(m, "sdlab_events_total", "counter", "Things that happened, by name");
	for (struct sd_link *k = ev->logs.next; k != &ev->logs; k = k->next) {
		struct sd_log *log = sd_container(k, struct sd_log, link);
		for (struct counter *c = log->counters; c; c = c->next)
			sd_metrics_add(m, (double)c->n, "service=\"%s\",event=\"%s\"", log->service, c->name);
	}
	sd_metrics_family(m, "sdlab_events_dropped_total", "counter", "Events lost because the log fell behind");
	sd_metrics_add(m, (double)__atomic_load_n(&ev->dropped, __ATOMIC_RELAXED), "%s", "");
}
