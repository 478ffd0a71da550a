/* sh_members.c - bodies and queries against the tables that the document is made from. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/time_text.h"
#include "core/units.h"
#include "core/utf8.h"
#include "sh_api.h"
#include "sh_call.h"

#define EXACT 9007199254740992.0 /* whole numbers up to here are exact in a double */

/* ---- what a value must be ---- */

/* NULL, or what was expected. */
static const char *check_text(const struct sh_member *m, const char *text)
{
	static const char *const rules = "expected a text of UTF-8 without control characters, not too long and not empty";
	size_t n = strlen(text);
	if (n < (size_t)m->min || n > (size_t)m->max)
		return rules;
	for (size_t i = 0, k; i < n; i += k) {
		k = sd_utf8_length(text + i, n - i);
		if (!k || (unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return rules;
	}
	return NULL;
}

/* Is it one of "a|b|c"? */
static bool is_choice(const char *choices, const char *word)
{
	size_t n = strlen(word);
	for (const char *c = choices; c; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
		if (n && strncmp(c, word, n) == 0 && (c[n] == '|' || !c[n]))
			return true;
	return false;
}

static const char *check_time(const char *text)
{
	int64_t ns;
	return sd_time_parse(text, &ns) ? "expected a time such as 2030-01-31T12:00:00Z" : NULL;
}

/* A day of 1970 to 2261. */
static const char *check_day(const char *text)
{
	char whole[64];
	int64_t ns;
	snprintf(whole, sizeof(whole), "%.32sT00:00:00Z", text);
	return strlen(text) != 10 || sd_time_parse(whole, &ns) ? "expected a day such as 2030-01-31" : NULL;
}

static const char *check_number(const struct sh_member *m, double d)
{
	char word[24];
	if (!(d >= -EXACT && d <= EXACT) || d != floor(d) || (m->max > m->min && (d < (double)m->min || d > (double)m->max)))
		return "expected a whole number that it may be";
	snprintf(word, sizeof(word), "%lld", (long long)d);
	return m->choices && !is_choice(m->choices, word) ? "expected one of those that there are" : NULL;
}

static const char *check_texts(const struct sh_member *m, const cJSON *list)
{
	size_t n = 0;
	const char *fault = NULL;
	for (const cJSON *v = list->child; v && !fault; v = v->next) {
		fault = !cJSON_IsString(v) ? "expected a list of texts" : check_text(m, v->valuestring);
		if (++n > SH_TAGS_MAX)
			fault = "expected fewer";
	}
	return fault;
}

static const char *check(const struct sh_member *m, const cJSON *v)
{
	if (cJSON_IsNull(v))
		return m->null ? NULL : "expected no null";
	switch (m->type) {
	case SH_BOOL:
		return cJSON_IsBool(v) ? NULL : "expected true or false";
	case SH_INT:
		return cJSON_IsNumber(v) ? check_number(m, v->valuedouble) : "expected a number";
	case SH_TIME:
		return cJSON_IsString(v) ? check_time(v->valuestring) : "expected a time such as 2030-01-31T12:00:00Z";
	case SH_TEXTS:
		return cJSON_IsArray(v) ? check_texts(m, v) : "expected a list of texts";
	default:
		return cJSON_IsString(v) ? check_text(m, v->valuestring) : "expected a text";
	}
}

/* ---- bodies ---- */

static const struct sh_member *find(const struct sh_member *members, struct sd_slice name)
{
	for (const struct sh_member *m = members; m->name; m++)
		if (sd_slice_eq(name, m->name))
			return m;
	return NULL;
}

/* A zero byte would end a text unseen. */
static bool has_zero(struct sd_slice body)
{
	for (size_t i = 0; i + 5 < body.n; i++) {
		if (body.p[i] != '\\')
			continue;
		if (memcmp(body.p + i, "\\u0000", 6) == 0)
			return true;
		i++;
	}
	return memchr(body.p, 0, body.n) != NULL;
}

static bool check_object(struct sh_call *c, const struct sh_member *members, const cJSON *o)
{
	uint64_t seen = 0;
	for (const cJSON *v = o->child; v; v = v->next) {
		const struct sh_member *m = find(members, sd_slice_of(v->string));
		const char *fault = m ? check(m, v) : "there is no such member";
		if (m && seen & UINT64_C(1) << (m - members))
			fault = "it is there twice";
		if (fault) {
			bool shown = !check_text(&(struct sh_member){.min = 1, .max = 100}, v->string);
			sh_answer_problem(c, SH_BAD_MEMBER, shown ? v->string : NULL, "%s: %s", shown ? v->string : "a member", fault);
			return false;
		}
		seen |= UINT64_C(1) << (m - members);
	}
	for (const struct sh_member *m = members; m->name; m++) {
		if (m->required && !(seen & UINT64_C(1) << (m - members))) {
			bool url = strcmp(m->name, "url") == 0;
			sh_answer_problem(c, url ? SH_NO_URL : SH_BAD_MEMBER, m->name, "%s: it is needed", m->name);
			return false;
		}
	}
	return true;
}

cJSON *sh_body_read(struct sh_call *c, const struct sh_member *members)
{
	const char *end = NULL;
	struct sd_slice body = {c->body.p ? c->body.p : "", c->body.n};
	cJSON *o = has_zero(body) ? NULL : cJSON_ParseWithLengthOpts(body.p, body.n, &end, false);
	while (end && end < body.p + body.n && strchr(" \t\r\n", *end))
		end++;
	if (!cJSON_IsObject(o) || end != body.p + body.n) {
		sh_answer_problem(c, SH_NOT_JSON, NULL, "The body is to be a JSON object such as {\"url\": \"https://example.com/\"}.");
	} else if (check_object(c, members, o)) {
		return o;
	}
	cJSON_Delete(o);
	return NULL;
}

/* ---- queries ---- */

static const char *check_parameter(const struct sh_member *m, const char *text)
{
	int64_t n;
	if (m->type == SH_INT)
		return sd_parse_int(text, &n) ? "expected a whole number" : check_number(m, (double)n);
	if (m->type == SH_TIME || m->type == SH_DAY)
		return m->type == SH_TIME ? check_time(text) : check_day(text);
	return m->choices && !is_choice(m->choices, text) ? "expected one of those that there are" : check_text(m, text);
}

bool sh_query_check(struct sh_call *c, const struct sh_member *members)
{
	char value[1024];
	for (struct sd_slice rest = c->query; rest.n;) {
		const char *end = memchr(rest.p, '&', rest.n);
		struct sd_slice part = {rest.p, end ? (size_t)(end - rest.p) : rest.n};
		const char *eq = memchr(part.p, '=', part.n);
		struct sd_slice name = {part.p, eq ? (size_t)(eq - part.p) : part.n};
		const struct sh_member *m = find(members, name);
		const char *fault = !m	? "there is no such parameter" :
				    !eq ? "expected a value" :
				    !sh_query_value((struct sd_slice){eq + 1, part.n - name.n - 1}, value, sizeof(value)) ? "it is too long" :
												    check_parameter(m, value);
		if (part.n && fault) {
			sh_answer_problem(c, SH_BAD_QUERY, m ? m->name : NULL, "%.*s: %s", (int)(name.n < 100 ? name.n : 100), name.p, fault);
			return false;
		}
		rest.p += part.n + (end != NULL);
		rest.n -= part.n + (end != NULL);
	}
	return true;
}

int64_t sh_query_int(struct sd_slice query, const char *name, int64_t def)
{
	char text[32];
	int64_t n;
	return sh_query_get(query, name, text, sizeof(text)) && sd_parse_int(text, &n) == SD_OK ? n : def;
}
