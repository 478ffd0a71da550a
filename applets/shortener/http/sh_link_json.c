/* sh_link_json.c - a link as JSON, and what may be said of one in JSON. */
#include <stdio.h>
#include <stdlib.h>

#include "core/time_text.h"
#include "sh_api.h"
#include "../store/sh_store.h"

#define STATUSES "301|302|307|308"

#define CHANGEABLE \
	{"title", SH_TEXT, 0, SH_TITLE_MAX, .null = true, .help = "what people call it"}, \
	{"tags", SH_TEXTS, 1, SH_TAG_MAX, .help = "words to find it by"}, \
	{"expires_at", SH_TIME, .null = true, .help = "from when on it answers 410"}, \
	{"valid_from", SH_TIME, .null = true, .help = "until when it answers 404"}, \
	{"max_visits", SH_INT, 1, INT64_C(1000000000000000), .null = true, .help = "how often it redirects at most"}, \
	{"status", SH_INT, .null = true, .choices = STATUSES, .help = "how it redirects; null: as the service is set"}, \
	{"forward_query", SH_BOOL, .help = "the query of a request goes on to the target"}, \
	{"enabled", SH_BOOL, .help = "false: it answers 410"},

const struct sh_member sh_new_members[] = {
    {"url", SH_TEXT, 1, SH_URL_MAX, .required = true, .help = "where it leads"},
    {"alias", SH_TEXT, 0, SH_CODE_MAX, .null = true, .help = "the code, when it is to be chosen: letters, digits, - and _"},
    CHANGEABLE
    {"find_if_exists", SH_BOOL, .help = "a link that is the same is answered instead of a new one"},
    {"findIfExists", SH_BOOL, .help = "the same"},
    {0},
};

const struct sh_member sh_change_members[] = {
    {"url", SH_TEXT, 1, SH_URL_MAX, .help = "where it leads"},
    CHANGEABLE
    {0},
};

/* ---- written ---- */

void sh_json_time(cJSON *o, const char *name, int64_t ms)
{
	char text[SD_TIME_TEXT];
	size_t n = ms ? sd_time_text(text, ms / 1000 * 1000000000) : 0;
	if (n > 5) /* whole seconds: without ".000" */
		snprintf(text + n - 5, 2, "Z");
	cJSON_AddItemToObject(o, name, ms ? cJSON_CreateString(text) : cJSON_CreateNull());
}

void sh_short_url(const struct sh_call *c, const char *code, char *out, size_t room)
{
	size_t n = strlen(c->sh->base_url);
	if (n)
		snprintf(out, room, "%s%s%s", c->sh->base_url, c->sh->base_url[n - 1] == '/' ? "" : "/", code);
	else
		snprintf(out, room, "http%s://%.*s/%s", c->secure ? "s" : "", (int)c->host.n, c->host.p, code);
}

static void add_short_url(const struct sh_call *c, cJSON *o, const char *code)
{
	char text[1024];
	sh_short_url(c, code, text, sizeof(text));
	cJSON_AddStringToObject(o, "short_url", text);
}

static void add_rest(cJSON *o, const struct sh_link *l)
{
	cJSON_AddItemToObject(o, "title", l->title ? cJSON_CreateString(l->title) : cJSON_CreateNull());
	cJSON *tags = cJSON_AddArrayToObject(o, "tags");
	for (size_t i = 0; i < l->ntags; i++)
		cJSON_AddItemToArray(tags, cJSON_CreateString(l->tags[i]));
	cJSON_AddItemToObject(o, "status", l->status ? cJSON_CreateNumber(l->status) : cJSON_CreateNull());
	cJSON_AddBoolToObject(o, "enabled", !l->disabled);
	cJSON_AddBoolToObject(o, "forward_query", l->forward_query);
	sh_json_time(o, "created_at", l->created_ms);
	sh_json_time(o, "valid_from", l->valid_from_ms);
}

static void add_counts(cJSON *o, const struct sh_link *l)
{
	cJSON_AddItemToObject(o, "max_visits", l->max_visits ? cJSON_CreateNumber((double)l->max_visits) : cJSON_CreateNull());
	cJSON_AddNumberToObject(o, "clicks", (double)l->clicks);
}

cJSON *sh_link_json(const struct sh_call *c, const struct sh_link *l)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "code", l->code);
	add_short_url(c, o, l->code);
	cJSON_AddStringToObject(o, "original_url", l->url);
	add_rest(o, l);
	sh_json_time(o, "expires_at", l->valid_until_ms);
	add_counts(o, l);
	return o;
}

cJSON *sh_shortened_json(const struct sh_call *c, const struct sh_link *l)
{
	cJSON *o = cJSON_CreateObject();
	add_short_url(c, o, l->code);
	cJSON_AddStringToObject(o, "original_url", l->url);
	sh_json_time(o, "expires_at", l->valid_until_ms);
	return o;
}

/* ---- read ---- */

static const cJSON *member(const cJSON *o, const char *name, unsigned bit, unsigned *fields)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
	if (v)
		*fields |= bit;
	return v;
}

static void read_time(const cJSON *o, const char *name, unsigned bit, int64_t *ms, unsigned *fields)
{
	const cJSON *v = member(o, name, bit, fields);
	int64_t ns = 0;
	if (v)
		*ms = cJSON_IsString(v) && sd_time_parse(v->valuestring, &ns) == SD_OK ? ns / 1000000 : 0;
}

static void read_texts(const cJSON *o, struct sh_link *l, unsigned *fields, char *tags[SH_TAGS_MAX])
{
	const cJSON *title = member(o, "title", SH_SET_TITLE, fields), *list = member(o, "tags", SH_SET_TAGS, fields);
	if (title)
		l->title = cJSON_IsString(title) && title->valuestring[0] ? title->valuestring : NULL;
	if (!list)
		return;
	l->tags = tags;
	l->ntags = 0;
	for (const cJSON *v = list->child; v; v = v->next)
		tags[l->ntags++] = v->valuestring;
}

static void read_numbers(const cJSON *o, struct sh_link *l, unsigned *fields)
{
	const cJSON *v;
	if ((v = member(o, "max_visits", SH_SET_MAX_VISITS, fields)))
		l->max_visits = cJSON_IsNumber(v) ? (int64_t)v->valuedouble : 0;
	if ((v = member(o, "status", SH_SET_STATUS, fields)))
		l->status = (uint16_t)(cJSON_IsNumber(v) ? v->valuedouble : 0);
	if ((v = member(o, "forward_query", SH_SET_FORWARD_QUERY, fields)))
		l->forward_query = cJSON_IsTrue(v);
	if ((v = member(o, "enabled", SH_SET_DISABLED, fields)))
		l->disabled = !cJSON_IsTrue(v);
	read_time(o, "expires_at", SH_SET_VALID_UNTIL, &l->valid_until_ms, fields);
	read_time(o, "valid_from", SH_SET_VALID_FROM, &l->valid_from_ms, fields);
}

bool sh_link_read(struct sh_call *c, const cJSON *o, struct sh_link *l, unsigned *fields, char *tags[SH_TAGS_MAX])
{
	const cJSON *url = member(o, "url", SH_SET_URL, fields);
	if (url)
		l->url = url->valuestring;
	read_texts(o, l, fields, tags);
	read_numbers(o, l, fields);
	if (l->valid_until_ms && l->valid_from_ms && l->valid_until_ms <= l->valid_from_ms) {
		sh_answer_problem(c, SH_BAD_MEMBER, "expires_at", "expires_at: expected a time after valid_from");
		return false;
	}
	return true;
}
