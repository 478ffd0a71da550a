/* lb_runtime.c - backends added, changed and removed by an operator while it runs. It holds until the next reload. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/admin.h"
#include "app/doc.h"
#include "core/text.h"
#include "lb.h"

/* ---- what a body says ---- */

/* Answers give keys with '_', files with '-': both are understood. */
static void normalise(cJSON *o)
{
	for (cJSON *v = o ? o->child : NULL; v; v = v->next)
		for (char *k = v->string; *k; k++)
			*k = *k == '_' ? '-' : *k;
}

/* NULL after it answered why not. */
static cJSON *body_of(struct sd_admin_call *c)
{
	cJSON *o = c->body.n ? cJSON_ParseWithLength(c->body.p, c->body.n) : NULL;
	if (cJSON_IsObject(o)) {
		normalise(o);
		return o;
	}
	cJSON_Delete(o);
	sd_admin_error(c->x, 400, "expected a JSON object such as {\"address\": \"127.0.0.1:8084\", \"weight\": 2}");
	return NULL;
}

static const struct sd_option *row_options(const struct lb *lb)
{
	const struct sd_option *o = lb->run->spec.applet->options;
	while (strcmp(o->name, "backends") != 0)
		o++;
	return o->sub;
}

/* A row as a file would have it: checked by the same table, with the same words. */
static struct sd_conf *row_make(const struct lb *lb, const cJSON *o, struct sd_error *e)
{
	struct sd_doc *doc = NULL;
	struct sd_conf *row = NULL;
	char *text = cJSON_PrintUnformatted(o);
	enum sd_err err = text ? sd_doc_parse("body", text, strlen(text), &doc, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	struct sd_conf_sources from = {.applet = "lb-backend", .doc = doc};
	if (!err)
		err = sd_conf_make(row_options(lb), NULL, &from, &row, NULL, NULL, e);
	if (!err)
		err = lb_row_check(row, e);
	if (err) {
		sd_conf_free(row);
		row = NULL;
	}
	sd_doc_free(doc);
	free(text);
	return row;
}

/* ---- what is done ---- */

static struct lb_backend *named(const struct lb *lb, const char *name)
{
	for (struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next) {
		struct lb_backend *b = sd_container(k, struct lb_backend, link);
		if (strcmp(b->name, name) == 0)
			return b;
	}
	return NULL;
}

static void say(struct lb_backend *b, const char *name, const char *what)
{
	struct sd_field f[] = {{"backend", b->name, 0}, {"address", b->address, 0}, {"weight", NULL, b->weight}, {0}};
	sd_event(b->lb->run->log, SD_INFO, name, f, "%s %s at run time (weight %u), until the next reload", what, b->name, b->weight);
}

static void add(struct lb *lb, struct sd_admin_call *c, const struct sd_conf *row)
{
	char name[SD_ADDR_TEXT];
	struct sd_error e = {0};
	struct lb_backend *b = named(lb, lb_row_name(row, name));
	bool is_new = !b;
	if (b && strcmp(b->address, sd_conf_string(row, "address")) != 0) {
		sd_admin_error(c->x, 409, "a backend of this name has another address; remove it first, or choose another name");
		return;
	}
	if (lb_pool_find(lb->now, sd_conf_string(row, "pool")) == LB_NO_POOL) {
		sd_admin_error(c->x, 409, "there is no such pool; a reload can bring one, with a route that leads to it");
		return;
	}
	if (is_new && lb_backends_listed(lb) >= SD_BALANCE_MAX) {
		sd_admin_error(c->x, 409, "expected at most 1024 backends");
		return;
	}
	b = lb_backend_add(lb, row, &e);
	if (!b) {
		sd_admin_error(c->x, e.code == SD_ENOMEM ? 503 : 400, e.text);
		return;
	}
	say(b, is_new ? "runtime_added" : "runtime_changed", is_new ? "Added" : "Changed");
	lb_check_begin(b);
	lb_publish(lb);
	sd_admin_json(c->x, is_new ? 201 : 200, lb_backend_json(b));
}

void lb_runtime_add(struct lb *lb, struct sd_admin_call *c)
{
	struct sd_error e = {0};
	cJSON *o = body_of(c);
	struct sd_conf *row = o ? row_make(lb, o, &e) : NULL;
	if (row)
		add(lb, c, row);
	else if (o)
		sd_admin_error(c->x, 400, e.text);
	sd_conf_free(row);
	cJSON_Delete(o);
}

/* Only these change while a backend has requests in progress. */
static const char *unchangeable(const cJSON *o)
{
	for (const cJSON *v = o->child; v; v = v->next)
		if (strcmp(v->string, "weight") != 0 && strcmp(v->string, "max-connections") != 0)
			return v->string;
	return o->child ? NULL : "";
}

void lb_runtime_change(struct lb_backend *b, struct sd_admin_call *c)
{
	struct sd_error e = {0};
	char text[256];
	cJSON *o = body_of(c);
	const char *other = o ? unchangeable(o) : NULL;
	if (!o)
		return;
	if (other) {
		snprintf(text, sizeof(text), "expected weight or max_connections, found \"%.80s\"; for the rest, add another backend",
			 other);
		sd_admin_error(c->x, 400, text);
		cJSON_Delete(o);
		return;
	}
	bool has_weight = cJSON_GetObjectItem(o, "weight"), has_max = cJSON_GetObjectItem(o, "max-connections");
	cJSON_AddStringToObject(o, "address", b->address);
	struct sd_conf *row = row_make(b->lb, o, &e);
	if (!row) {
		sd_admin_error(c->x, 400, e.text);
		cJSON_Delete(o);
		return;
	}
	if (has_weight)
		b->weight = (uint32_t)sd_conf_int(row, "weight");
	if (has_max)
		b->max_connections = (uint32_t)sd_conf_int(row, "max-connections");
	say(b, "runtime_changed", "Changed");
	lb_publish(b->lb);
	sd_admin_json(c->x, 200, lb_backend_json(b));
	sd_conf_free(row);
	cJSON_Delete(o);
}

/* Nobody would stand behind the routes that lead to its pool, and only a reload could bring the pool back. */
static bool is_last(const struct lb_backend *b)
{
	unsigned n = 0;
	for (const struct sd_link *k = b->lb->backends.next; k != &b->lb->backends; k = k->next) {
		const struct lb_backend *other = sd_container(k, const struct lb_backend, link);
		n += other->listed && strcmp(other->pool, b->pool) == 0;
	}
	return n <= 1;
}

void lb_runtime_remove(struct lb_backend *b, struct sd_admin_call *c)
{
	struct lb *lb = b->lb;
	if (is_last(b)) {
		sd_admin_error(c->x, 409, "this is the last backend of its pool; add another one first, or drain it");
		return;
	}
	cJSON *o = lb_backend_json(b);
	cJSON_AddBoolToObject(o, "removed", true);
	say(b, "runtime_removed", "Removed");
	b->listed = false;
	lb_publish(lb);
	lb_forget_unlisted(lb);
	lb_labels(lb);
	sd_admin_json(c->x, 200, o);
}

/* ---- what a reload undoes ---- */

static const struct sd_conf *row_of(const struct lb_backend *b)
{
	const struct sd_conf *conf = b->lb->conf;
	char name[SD_ADDR_TEXT];
	for (size_t i = 0; i < sd_conf_count(conf, "backends"); i++)
		if (strcmp(b->name, lb_row_name(sd_conf_row(conf, "backends", i), name)) == 0)
			return sd_conf_row(conf, "backends", i);
	return NULL;
}

static void put(struct sd_text *t, const char *what, const char *name)
{
	sd_text_format(t, "%s%s %s", t->n ? "; " : "", what, name);
}

static void compare(struct sd_text *t, const struct lb_backend *b)
{
	const struct sd_conf *row = row_of(b);
	if (!row) {
		put(t, "added", b->name);
		return;
	}
	if (b->weight != sd_conf_int(row, "weight")) {
		put(t, "weight of", b->name);
		sd_text_format(t, " %u", b->weight);
	}
	if (b->max_connections != sd_conf_int(row, "max-connections")) {
		put(t, "max-connections of", b->name);
		sd_text_format(t, " %u", b->max_connections);
	}
}

char *lb_runtime_state(const struct lb *lb)
{
	struct sd_text t = {0};
	char name[SD_ADDR_TEXT];
	for (const struct sd_link *k = lb->backends.next; k != &lb->backends; k = k->next)
		compare(&t, sd_container(k, const struct lb_backend, link));
	for (size_t i = 0; i < sd_conf_count(lb->conf, "backends"); i++)
		if (!named(lb, lb_row_name(sd_conf_row(lb->conf, "backends", i), name)))
			put(&t, "removed", name);
	return sd_text_take(&t, NULL);
}
