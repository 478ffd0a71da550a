/* sh_openapi.c - /openapi.json, made from the rows that requests are dispatched and checked by. What answers look like stands here as
 * text; test/interop/shortener_openapi.sh holds real answers against it. */
#include <stdio.h>
#include <stdlib.h>

#include "sh_api.h"

#define TIME	 "{\"type\":\"string\",\"format\":\"date-time\"}"
#define TIME_OR  "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}"
#define TEXT	 "{\"type\":\"string\"}"
#define COUNT	 "{\"type\":\"integer\",\"minimum\":0}"
#define COUNT_OR "{\"type\":[\"integer\",\"null\"],\"minimum\":0}"
#define REF(name) "{\"$ref\":\"#/components/schemas/" name "\"}"

static const struct {
	const char *name, *schema;
} schemas[] = {
    {"Shortened", "{\"type\":\"object\",\"required\":[\"short_url\",\"original_url\",\"expires_at\"],\"additionalProperties\":false,"
		  "\"properties\":{\"short_url\":{\"type\":\"string\",\"format\":\"uri\"},\"original_url\":{\"type\":\"string\","
		  "\"format\":\"uri\"},\"expires_at\":" TIME_OR "}}"},
    {"Link", "{\"type\":\"object\",\"required\":[\"code\",\"short_url\",\"original_url\",\"title\",\"tags\",\"status\",\"enabled\","
	     "\"forward_query\",\"created_at\",\"valid_from\",\"expires_at\",\"max_visits\",\"clicks\"],\"additionalProperties\":false,"
	     "\"properties\":{\"code\":" TEXT ",\"short_url\":{\"type\":\"string\",\"format\":\"uri\"},\"original_url\":{\"type\":\"string\","
	     "\"format\":\"uri\"},\"title\":{\"type\":[\"string\",\"null\"]},\"tags\":{\"type\":\"array\",\"items\":" TEXT "},\"status\":{"
	     "\"type\":[\"integer\",\"null\"],\"enum\":[301,302,307,308,null]},\"enabled\":{\"type\":\"boolean\"},\"forward_query\":{"
	     "\"type\":\"boolean\"},\"created_at\":" TIME ",\"valid_from\":" TIME_OR ",\"expires_at\":" TIME_OR ",\"max_visits\":{\"type\":["
	     "\"integer\",\"null\"],\"minimum\":1},\"clicks\":" COUNT "}}"},
    {"Links", "{\"type\":\"object\",\"required\":[\"links\",\"page\",\"per_page\",\"pages\",\"total\"],\"additionalProperties\":false,"
	      "\"properties\":{\"links\":{\"type\":\"array\",\"items\":" REF("Link") "},\"page\":" COUNT ",\"per_page\":" COUNT
	      ",\"pages\":" COUNT ",\"total\":" COUNT "}}"},
    {"Tags", "{\"type\":\"object\",\"required\":[\"tags\"],\"additionalProperties\":false,\"properties\":{\"tags\":{\"type\":\"array\","
	     "\"items\":{\"type\":\"object\",\"required\":[\"tag\",\"links\"],\"additionalProperties\":false,\"properties\":{\"tag\":" TEXT
	     ",\"links\":" COUNT "}}}}}"},
    {"Totals", "{\"type\":\"object\",\"required\":[\"urls\",\"clicks\"],\"additionalProperties\":false,\"properties\":{\"urls\":" COUNT
	       ",\"clicks\":" COUNT "}}"},
    {"Shares", "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"name\",\"clicks\"],\"additionalProperties\":false,"
	       "\"properties\":{\"name\":" TEXT ",\"clicks\":" COUNT "}}}"},
    {"Spans", "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"at\",\"clicks\",\"visitors\",\"bots\",\"previews\","
	      "\"prefetches\"],\"additionalProperties\":false,\"properties\":{\"at\":" TIME ",\"clicks\":" COUNT ",\"visitors\":" COUNT_OR
	      ",\"bots\":" COUNT ",\"previews\":" COUNT ",\"prefetches\":" COUNT "}}}"},
    {"Stats", "{\"type\":\"object\",\"required\":[\"clicks\",\"created_at\",\"top_referrers\",\"clicks_by_day\",\"code\",\"clicks_ever\","
	      "\"visitors\",\"bots\",\"previews\",\"prefetches\",\"days\",\"hours\",\"referrers\",\"countries\",\"devices\",\"browsers\","
	      "\"systems\"],\"additionalProperties\":false,\"properties\":{\"clicks\":" COUNT ",\"created_at\":" TIME ",\"top_referrers\":{"
	      "\"type\":\"array\",\"items\":" TEXT "},\"clicks_by_day\":{\"type\":\"object\",\"additionalProperties\":" COUNT "},\"code\":" TEXT
	      ",\"clicks_ever\":" COUNT ",\"visitors\":" COUNT_OR ",\"bots\":" COUNT ",\"previews\":" COUNT ",\"prefetches\":" COUNT
	      ",\"days\":" REF("Spans") ",\"hours\":" REF("Spans") ",\"referrers\":" REF("Shares") ",\"countries\":" REF("Shares")
	      ",\"devices\":" REF("Shares") ",\"browsers\":" REF("Shares") ",\"systems\":" REF("Shares") "}}"},
    {"Index", "{\"type\":\"object\",\"required\":[\"dashboard\",\"openapi\"],\"additionalProperties\":false,\"properties\":{"
	      "\"dashboard\":" TEXT ",\"openapi\":" TEXT "}}"},
    {"Live", "{\"type\":\"object\",\"description\":\"the data of an event\",\"required\":[\"links\",\"clicks\",\"changed\"],"
	     "\"additionalProperties\":false,\"properties\":{\"links\":" COUNT ",\"clicks\":" COUNT ",\"changed\":{\"type\":\"array\",\"items\":{"
	     "\"type\":\"object\",\"required\":[\"code\",\"clicks\"],\"additionalProperties\":false,\"properties\":{\"code\":" TEXT
	     ",\"clicks\":" COUNT "}}}}}"},
    {"Problem", "{\"type\":\"object\",\"required\":[\"type\",\"title\",\"status\"],\"properties\":{\"type\":{\"type\":\"string\","
		"\"format\":\"uri-reference\"},\"title\":" TEXT ",\"status\":{\"type\":\"integer\"},\"detail\":" TEXT ",\"member\":" TEXT "}}"},
};

static const char *schema_type(enum sh_value v)
{
	static const char *const types[] = {[SH_TEXT] = "string", [SH_INT] = "integer", [SH_BOOL] = "boolean", [SH_TIME] = "string",
					    [SH_DAY] = "string", [SH_TEXTS] = "array"};
	return types[v];
}

static void add_choices(cJSON *s, const struct sh_member *m)
{
	cJSON *list = cJSON_AddArrayToObject(s, "enum");
	for (const char *c = m->choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL) {
		char word[64];
		snprintf(word, sizeof(word), "%.*s", (int)strcspn(c, "|"), c);
		cJSON_AddItemToArray(list, m->type == SH_INT ? cJSON_CreateNumber(strtod(word, NULL)) : cJSON_CreateString(word));
	}
	if (m->null)
		cJSON_AddItemToArray(list, cJSON_CreateNull());
}

static void add_lengths(cJSON *s, const struct sh_member *m)
{
	cJSON_AddNumberToObject(s, "minLength", (double)m->min);
	cJSON_AddNumberToObject(s, "maxLength", (double)m->max);
}

static cJSON *member_schema(const struct sh_member *m)
{
	cJSON *s = cJSON_CreateObject(), *types = m->null ? cJSON_AddArrayToObject(s, "type") : NULL;
	if (types) {
		cJSON_AddItemToArray(types, cJSON_CreateString(schema_type(m->type)));
		cJSON_AddItemToArray(types, cJSON_CreateString("null"));
	} else {
		cJSON_AddStringToObject(s, "type", schema_type(m->type));
	}
	if (m->type == SH_TEXT && !m->choices)
		add_lengths(s, m);
	if (m->type == SH_INT && m->max > m->min) {
		cJSON_AddNumberToObject(s, "minimum", (double)m->min);
		cJSON_AddNumberToObject(s, "maximum", (double)m->max);
	}
	if (m->type == SH_TIME || m->type == SH_DAY)
		cJSON_AddStringToObject(s, "format", m->type == SH_TIME ? "date-time" : "date");
	if (m->type == SH_TEXTS) {
		cJSON *items = cJSON_AddObjectToObject(s, "items");
		cJSON_AddStringToObject(items, "type", "string");
		add_lengths(items, m);
		cJSON_AddNumberToObject(s, "maxItems", SH_TAGS_MAX);
	}
	if (m->choices)
		add_choices(s, m);
	cJSON_AddStringToObject(s, "description", m->help);
	return s;
}

static void add_body(cJSON *op, const struct sh_member *members, const char *type)
{
	cJSON *body = cJSON_AddObjectToObject(op, "requestBody");
	cJSON_AddBoolToObject(body, "required", true);
	cJSON *content = cJSON_AddObjectToObject(body, "content");
	cJSON *schema = cJSON_AddObjectToObject(cJSON_AddObjectToObject(content, type), "schema");
	cJSON_AddStringToObject(schema, "type", "object");
	cJSON_AddBoolToObject(schema, "additionalProperties", false);
	cJSON *required = cJSON_CreateArray(), *properties = cJSON_AddObjectToObject(schema, "properties");
	for (const struct sh_member *m = members; m->name; m++) {
		cJSON_AddItemToObject(properties, m->name, member_schema(m));
		if (m->required)
			cJSON_AddItemToArray(required, cJSON_CreateString(m->name));
	}
	cJSON_AddItemToObject(schema, "required", required);
}

/* ---- parameters ---- */

static cJSON *add_parameter(cJSON *list, const char *name, const char *in, bool required)
{
	cJSON *p = cJSON_CreateObject();
	cJSON_AddStringToObject(p, "name", name);
	cJSON_AddStringToObject(p, "in", in);
	cJSON_AddBoolToObject(p, "required", required);
	cJSON_AddItemToArray(list, p);
	return p;
}

static void add_parameters(cJSON *op, const struct sh_route *r)
{
	const char *brace = strchr(r->path, '{');
	cJSON *list = brace || r->query ? cJSON_AddArrayToObject(op, "parameters") : NULL;
	if (brace) {
		char name[32];
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(brace + 1, "}"), brace + 1);
		cJSON *schema = cJSON_AddObjectToObject(add_parameter(list, name, "path", true), "schema");
		cJSON_AddStringToObject(schema, "type", "string");
	}
	for (const struct sh_member *m = r->query; m && m->name; m++)
		cJSON_AddItemToObject(add_parameter(list, m->name, "query", m->required), "schema", member_schema(m));
}

/* ---- answers ---- */

/* One type more of an answer's body. */
static void add_content(cJSON *answer, const char *type, const char *schema)
{
	char ref[96];
	cJSON *content = cJSON_GetObjectItem(answer, "content");
	content = cJSON_AddObjectToObject(content ? content : cJSON_AddObjectToObject(answer, "content"), type);
	cJSON *s = cJSON_AddObjectToObject(content, "schema");
	snprintf(ref, sizeof(ref), "#/components/schemas/%s", schema ? schema : "");
	if (schema)
		cJSON_AddStringToObject(s, "$ref", ref);
}

/* "a|b": either. */
static void add_contents(cJSON *answer, const char *types, const char *schema)
{
	for (const char *t = types; t; t = strchr(t, '|') ? strchr(t, '|') + 1 : NULL) {
		char type[64];
		snprintf(type, sizeof(type), "%.*s", (int)strcspn(t, "|"), t);
		add_content(answer, type, schema);
	}
}

static cJSON *add_answer(cJSON *answers, int status, const char *text)
{
	char key[8];
	snprintf(key, sizeof(key), "%d", status);
	cJSON *answer = cJSON_GetObjectItem(answers, key);
	if (answer)
		return NULL;
	answer = cJSON_AddObjectToObject(answers, key);
	cJSON_AddStringToObject(answer, "description", text);
	return answer;
}

/* What any call that asks the database may be answered. */
#define ANY (UINT64_C(1) << SH_DB_AWAY | UINT64_C(1) << SH_DB_BUSY | UINT64_C(1) << SH_INTERNAL)

static void add_problem(cJSON *answers, unsigned p)
{
	char key[8];
	snprintf(key, sizeof(key), "%d", sh_problems[p].status);
	cJSON *a = cJSON_GetObjectItem(answers, key);
	if (!a)
		a = add_answer(answers, sh_problems[p].status, sh_problems[p].title);
	if (!cJSON_GetObjectItem(cJSON_GetObjectItem(a, "content"), "application/problem+json"))
		add_content(a, "application/problem+json", "Problem");
}

/* What breaks a rule of HTTP, and so is no request of any operation yet. */
static void add_default(cJSON *answers)
{
	cJSON *a = cJSON_AddObjectToObject(answers, "default");
	cJSON_AddStringToObject(a, "description", "not HTTP, too long or too slow: 400, 408, 413, 414, 417, 429, 431, 501, 505");
	add_content(a, "application/problem+json", "Problem");
	add_content(a, "text/html", NULL);
}

static void add_answers(cJSON *op, const struct sh_route *r)
{
	uint64_t problems = r->problems | (r->type && !r->schema && !r->query ? 0 : ANY);
	cJSON *answers = cJSON_AddObjectToObject(op, "responses");
	cJSON *good = add_answer(answers, r->good, "all is well");
	if (r->type)
		add_contents(good, r->type, r->schema);
	for (size_t i = 0; i < sizeof(r->pages) / sizeof(r->pages[0]) && r->pages[i]; i++)
		add_content(add_answer(answers, r->pages[i], sd_http_status_text(r->pages[i])), "text/html", NULL);
	if (r->good == 201)
		add_content(add_answer(answers, 200, "there was one that is the same"), r->type, r->schema);
	if (r->needs != SH_OPEN)
		problems |= UINT64_C(1) << SH_NO_KEY;
	if (r->method != SD_HTTP_GET)
		problems |= UINT64_C(1) << SH_CROSS_ORIGIN;
	for (unsigned p = 0; p < SH_PROBLEMS; p++)
		if (problems >> p & 1)
			add_problem(answers, p);
	add_default(answers);
}

static void add_security(cJSON *op, const struct sh_route *r)
{
	static const char *const schemes[] = {"key", "bearer"};
	if (r->needs == SH_OPEN)
		return;
	cJSON *list = cJSON_AddArrayToObject(op, "security");
	cJSON_AddItemToArray(list, cJSON_CreateObject()); /* a service without keys needs none */
	for (size_t i = 0; i < 2; i++) {
		cJSON *s = cJSON_CreateObject();
		cJSON_AddArrayToObject(s, schemes[i]);
		cJSON_AddItemToArray(list, s);
	}
}

static const char *small_method(enum sd_http_method m)
{
	return m == SD_HTTP_GET ? "get" : m == SD_HTTP_POST ? "post" : m == SD_HTTP_PATCH ? "patch" : "delete";
}

static void add_operation(cJSON *paths, const struct sh_route *r)
{
	cJSON *path = cJSON_GetObjectItemCaseSensitive(paths, r->path);
	if (!path)
		path = cJSON_AddObjectToObject(paths, r->path);
	cJSON *op = cJSON_AddObjectToObject(path, small_method(r->method));
	cJSON_AddStringToObject(op, "operationId", r->id);
	cJSON_AddStringToObject(op, "summary", r->summary);
	add_parameters(op, r);
	if (r->body)
		add_body(op, r->body, "application/json");
	if (r->form)
		add_body(op, r->form, "application/x-www-form-urlencoded");
	add_answers(op, r);
	add_security(op, r);
}

static void add_components(cJSON *o)
{
	static const char security[] = "{\"key\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-Api-Key\"},"
				       "\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}}";
	cJSON *c = cJSON_AddObjectToObject(o, "components"), *list = cJSON_AddObjectToObject(c, "schemas");
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
		cJSON_AddItemToObject(list, schemas[i].name, cJSON_Parse(schemas[i].schema));
	cJSON_AddItemToObject(c, "securitySchemes", cJSON_Parse(security));
}

/* What the table has no row for, since no call answers it. */
static void add_redirect(cJSON *paths)
{
	static const char text[] =
	    "{\"get\":{\"operationId\":\"follow\",\"summary\":\"go where the short URL leads\",\"parameters\":[{\"name\":\"code\",\"in\":"
	    "\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}],\"responses\":{\"3XX\":{\"description\":\"301, 302, 307 or "
	    "308\",\"headers\":{\"Location\":{\"required\":true,\"schema\":{\"type\":\"string\",\"format\":\"uri\"}}}},\"404\":{"
	    "\"description\":\"no such link, or not yet\",\"content\":{\"application/problem+json\":{\"schema\":" REF("Problem") "},"
	    "\"text/html\":{}}},\"410\":{\"description\":\"expired, disabled, or visited as often as it may be\",\"content\":{"
	    "\"application/problem+json\":{\"schema\":" REF("Problem") "},\"text/html\":{}}},\"503\":{\"description\":\"the database "
	    "cannot be reached, and nobody remembers the link\",\"content\":{\"application/problem+json\":{\"schema\":" REF("Problem")
	    "},\"text/html\":{}}}}}}";
	cJSON *path = cJSON_Parse(text);
	add_default(cJSON_GetObjectItem(cJSON_GetObjectItem(path, "get"), "responses"));
	cJSON_AddItemToObject(paths, "/{code}", path);
}

char *sh_openapi(size_t *n)
{
	cJSON *o = cJSON_CreateObject(), *info;
	cJSON_AddStringToObject(o, "openapi", "3.1.0");
	info = cJSON_AddObjectToObject(o, "info");
	cJSON_AddStringToObject(info, "title", "sdlab shortener");
	cJSON_AddStringToObject(info, "version", "1");
	cJSON *paths = cJSON_AddObjectToObject(o, "paths");
	for (const struct sh_route *r = sh_routes; r->path; r++)
		add_operation(paths, r);
	for (const struct sh_route *r = sh_page_routes; r->path; r++)
		add_operation(paths, r);
	add_redirect(paths);
	add_components(o);
	char *text = cJSON_Print(o);
	*n = text ? strlen(text) : 0;
	cJSON_Delete(o);
	return text;
}
