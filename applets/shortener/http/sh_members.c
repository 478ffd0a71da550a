/* sh_members.c - bodies and queries against the tables that the document is made from. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/text.h"
#include "core/time_text.h"
#include "core/units.h"
#include "core/utf8.h"
#include "sh_api.h"
#include "sh_call.h"

#define EXACT 9007199254740992.0 /* whole numbers up to here are exact in a double */

/* ---- what a value must be ---- */

#define WHY 200

/* All that follow: is it good? What was expected stands in why when it is not. */
__attribute__((format(printf, 2, 3))) static bool expected(char why[WHY], const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, WHY, fmt, ap);
	va_end(ap);
	return false;
}

static bool check_text(const struct sh_member *m, const char *text, char why[WHY])
{
	size_t n = strlen(text), k;
	if (n < (size_t)m->min || n > (size_t)m->max)
		return expected(why, "expected %lld to %lld bytes of text, found %zu", (long long)m->min, (long long)m->max, n);
	for (size_t i = 0; i < n; i += k) {
		k = sd_utf8_length(text + i, n - i);
		if (!k || (unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return expected(why, "expected UTF-8 without control characters, found byte 0x%02x", (unsigned char)text[i]);
	}
	return true;
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

static bool check_choice(const struct sh_member *m, const char *word, char why[WHY])
{
	if (!m->choices || is_choice(m->choices, word))
		return true;
	struct sd_text t = {0};
	const char *at = m->choices;
	for (size_t n; *at; at += n) {
		n = strcspn(at, "|");
		sd_text_add(&t, at, n);
		if (!at[n])
			break;
		sd_text_add(&t, strchr(at + n + 1, '|') ? ", " : " or ", strchr(at + n + 1, '|') ? 2 : 4);
		n++;
	}
	expected(why, "expected %.*s", (int)t.n, t.p ? t.p : "");
	free(t.p);
	return false;
}

static bool check_time(const char *text, char why[WHY])
{
	int64_t ns;
	return sd_time_parse(text, &ns) == SD_OK || expected(why, "expected a time such as 2030-01-31T12:00:00Z");
}

/* A day of 1970 to 2261. */
static bool check_day(const char *text, char why[WHY])
{
	char whole[64];
	int64_t ns;
	snprintf(whole, sizeof(whole), "%.32sT00:00:00Z", text);
	return (strlen(text) == 10 && sd_time_parse(whole, &ns) == SD_OK) || expected(why, "expected a day such as 2030-01-31");
}

static bool check_number(const struct sh_member *m, double d, char why[WHY])
{
	char word[24];
	bool range = m->max > m->min;
	if (range && !(d >= (double)m->min && d <= (double)m->max && d == floor(d)))
		return expected(why, "expected a whole number from %lld to %lld", (long long)m->min, (long long)m->max);
	if (!range && (!(d >= -EXACT && d <= EXACT) || d != floor(d)))
		return m->choices ? check_choice(m, "", why) : expected(why, "expected a whole number");
	snprintf(word, sizeof(word), "%lld", (long long)d);
	return check_choice(m, word, why);
}

static bool check_texts(const struct sh_member *m, const cJSON *list, char why[WHY])
{
	size_t n = 0;
	for (const cJSON *v = list->child; v; v = v->next) {
		if (!cJSON_IsString(v))
			return expected(why, "expected a list of texts");
		if (!check_text(m, v->valuestring, why))
			return false;
		if (++n > SH_TAGS_MAX)
			return expected(why, "expected at most %d", SH_TAGS_MAX);
	}
	return true;
}

static bool check(const struct sh_member *m, const cJSON *v, char why[WHY])
{
	if (cJSON_IsNull(v))
		return m->null || expected(why, "expected no null");
	switch (m->type) {
	case SH_BOOL:
		return cJSON_IsBool(v) || expected(why, "expected true or false");
	case SH_INT:
		return check_number(m, cJSON_IsNumber(v) ? v->valuedouble : NAN, why);
	case SH_TIME:
		return check_time(cJSON_IsString(v) ? v->valuestring : "", why);
	case SH_TEXTS:
		return cJSON_IsArray(v) ? check_texts(m, v, why) : expected(why, "expected a list of texts");
	default:
		return cJSON_IsString(v) ? check_text(m, v->valuestring, why) : expected(why, "expected a text");
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
	char why[WHY];
	for (const cJSON *v = o->child; v; v = v->next) {
		const struct sh_member *m = find(members, sd_slice_of(v->string));
		const char *fault = !m ? "there is no such member" : check(m, v, why) ? NULL : why;
		if (m && seen & UINT64_C(1) << (m - members))
			fault = "it is there twice";
		if (fault) {
			char why_name[WHY];
			bool shown = check_text(&(struct sh_member){.min = 1, .max = 100}, v->string, why_name);
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

static bool check_parameter(const struct sh_member *m, const char *text, char why[WHY])
{
	int64_t n;
	if (m->type == SH_INT)
		return check_number(m, sd_parse_int(text, &n) ? NAN : (double)n, why);
	if (m->type == SH_TIME || m->type == SH_DAY)
		return m->type == SH_TIME ? check_time(text, why) : check_day(text, why);
	return check_choice(m, text, why) && check_text(m, text, why);
}

bool sh_query_check(struct sh_call *c, const struct sh_member *members)
{
	char value[1024], why[WHY];
	for (struct sd_slice rest = c->query; rest.n;) {
		const char *end = memchr(rest.p, '&', rest.n);
		struct sd_slice part = {rest.p, end ? (size_t)(end - rest.p) : rest.n};
		const char *eq = memchr(part.p, '=', part.n);
		struct sd_slice name = {part.p, eq ? (size_t)(eq - part.p) : part.n};
		const struct sh_member *m = find(members, name);
		const char *fault = !m	? "there is no such parameter" :
				    !eq ? "expected a value" :
				    !sh_query_value((struct sd_slice){eq + 1, part.n - name.n - 1}, value, sizeof(value)) ? "it is too long" :
				    check_parameter(m, value, why) ? NULL : why;
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
