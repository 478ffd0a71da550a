/* load_access.c - an access log as JSON, in the forms that servers write it.
 *
 * An entry is parsed, handed on and forgotten, so a log of any length costs the memory of one entry.
 */
#include "load_access.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "core/time_text.h"
#include "core/units.h"

static const char *const time_names[] = {"time", "ts", "timestamp", "@timestamp", NULL};
static const char *const method_names[] = {"method", "request_method", NULL};
/* Those that have the query come first: next to $request_uri, nginx knows a $uri without it. */
static const char *const path_names[] = {"request_uri", "target", "url", "uri", "path", NULL};

/* ---- fields ---- */

/* The first of these fields that is a text and not empty; it may be changed. */
static char *text_of(const cJSON *o, const char *const *names)
{
	for (; *names; names++) {
		const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, *names);
		if (cJSON_IsString(v) && *v->valuestring)
			return v->valuestring;
	}
	return NULL;
}

/* Each unit ends in the year 2261, and the next one begins where that leaves off: 1970-04-17, for all but seconds. */
static bool time_of_number(double v, int64_t *ns)
{
	static const double units[] = {1e9, 1e6, 1e3, 1};
	double limit = 9.2e9;
	for (int i = 0; i < 4; i++, limit *= 1000) {
		if (!(v >= 0 && v < limit))
			continue;
		*ns = (int64_t)floor(v) * (int64_t)units[i] + (int64_t)((v - floor(v)) * units[i] + 0.5);
		return true;
	}
	return false;
}

static bool time_of(const cJSON *v, int64_t *ns)
{
	double number;
	if (cJSON_IsNumber(v))
		return time_of_number(v->valuedouble, ns);
	if (!cJSON_IsString(v))
		return false;
	if (sd_parse_number(v->valuestring, &number) == SD_OK)
		return time_of_number(number, ns);
	return sd_time_parse(v->valuestring, ns) == SD_OK && *ns >= 0;
}

static bool read_time(const cJSON *o, int64_t *ns)
{
	for (const char *const *name = time_names; *name; name++)
		if (time_of(cJSON_GetObjectItemCaseSensitive(o, *name), ns))
			return true;
	return false;
}

/* "GET /x HTTP/1.1", which is what came over the wire. */
static bool split_line(char *line, char **method, char **target)
{
	char *first = strchr(line, ' '), *last = strrchr(line, ' ');
	if (!first || first == line || first == last || strncmp(last + 1, "HTTP/", 5) != 0)
		return false;
	*first = *last = '\0';
	*method = line;
	*target = first + 1;
	return true;
}

/* A request line, or a map as Caddy writes it, or fields beside the others. */
static void find_request(const cJSON *o, char **method, char **target)
{
	const cJSON *request = cJSON_GetObjectItemCaseSensitive(o, "request");
	if (cJSON_IsString(request) && split_line(request->valuestring, method, target))
		return;
	*method = text_of(request, method_names);
	*target = text_of(request, path_names);
	if (!*method)
		*method = text_of(o, method_names);
	if (!*target)
		*target = text_of(o, path_names);
}

/* From a full URL its path and query; NULL when there is no path. */
static const char *path_of(char *target)
{
	size_t scheme = strncasecmp(target, "http://", 7) == 0 ? 7 : strncasecmp(target, "https://", 8) == 0 ? 8 : 0;
	target[strcspn(target, "#")] = '\0';
	if (scheme == 0)
		return *target == '/' ? target : NULL;
	char *path = target + scheme + strcspn(target + scheme, "/?");
	if (path == target + scheme)
		return NULL;
	if (*path == '/')
		return path;
	if (*path == '\0')
		return "/";
	*--path = '/'; /* http://host?query: over the end of the host, which nobody needs */
	return path;
}

static bool is_token(const char *s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	for (const char *p = s; *p; p++)
		if (!((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || strchr(others, *p)))
			return false;
	return *s != '\0';
}

static bool fits_a_line(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 127)
			return false;
	return true;
}

static enum sd_err read_body(const cJSON *o, struct sd_slice *body, struct sd_error *e)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, "body");
	if (!v)
		v = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(o, "request"), "body");
	if (v && !cJSON_IsNull(v) && !cJSON_IsString(v))
		return sd_fail(e, SD_EINVAL, "expected body to be a text");
	*body = sd_slice_of(v ? v->valuestring : NULL);
	return SD_OK;
}

static enum sd_err read_entry(const cJSON *o, struct load_access *out, struct sd_error *e)
{
	char *method = NULL, *target = NULL;
	if (!cJSON_IsObject(o))
		return sd_fail(e, SD_EINVAL, "expected a JSON object such as {\"time\": 1.5, \"path\": \"/cart\"}");
	if (!read_time(o, &out->at_ns))
		return sd_fail(e, SD_EINVAL,
			       "expected time, ts, timestamp or @timestamp: RFC 3339, or a number since 1970");
	if (read_body(o, &out->body, e))
		return e->code;
	find_request(o, &method, &target);
	method = method ? method : out->body.n ? (char *)"POST" : (char *)"GET";
	const char *path = !target ? NULL : path_of(target);
	if (!path && target && strcmp(target, "*") == 0 && strcmp(method, "OPTIONS") == 0)
		path = target;
	if (!path || !fits_a_line(path))
		return sd_fail(e, SD_EINVAL, "expected a path such as /cart?n=2, without blanks, in path, uri, request_uri, "
					     "url, target or request");
	if (!is_token(method) || strcmp(method, "CONNECT") == 0)
		return sd_fail(e, SD_EINVAL, "expected a method such as GET, and not CONNECT");
	out->method = sd_slice_of(method);
	out->path = sd_slice_of(path);
	return SD_OK;
}

/* ---- the log ---- */

struct reader {
	const char *file, *p, *end;
	int line;
	load_access_fn *fn;
	void *arg;
};

/* To what is neither blank nor the end of a line, over the ends of lines too. */
static bool skip_blanks(struct reader *r)
{
	for (; r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r' || *r->p == '\n'); r->p++)
		r->line += *r->p == '\n';
	return r->p < r->end;
}

/* \u0000 would end a text in the middle of it, and another request be sent than was recorded. */
static bool names_nul(const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p != '\\')
			continue;
		if (end - p >= 6 && memcmp(p, "\\u0000", 6) == 0)
			return true;
		p++; /* whatever it escapes, a backslash too */
	}
	return false;
}

/* A line that sdlab lb wrote for what it refused: there was no request, or none that a server would take. */
static bool was_refused(const cJSON *o)
{
	const cJSON *end = cJSON_GetObjectItemCaseSensitive(o, "end");
	return cJSON_IsString(end) && strcmp(end->valuestring, "refused") == 0;
}

/* An object that ends before `end`; goes on behind it. */
static enum sd_err take_object(struct reader *r, const char *end, struct sd_error *e)
{
	const char *from = r->p, *to = NULL;
	struct load_access entry;
	cJSON *o = cJSON_ParseWithLengthOpts(from, (size_t)(end - from), &to, false);
	bool skip = was_refused(o);
	enum sd_err err = !o ? sd_fail(e, SD_EINVAL, "expected a JSON object, complete") : skip ? SD_OK : read_entry(o, &entry, e);
	if (!err && names_nul(from, to))
		err = sd_fail(e, SD_EINVAL, "expected no \\u0000");
	if (!err && !skip)
		err = r->fn(r->arg, &entry, e);
	cJSON_Delete(o);
	if (err)
		return sd_wrap(e, "%s:%d", r->file, r->line);
	for (; r->p < to; r->p++)
		r->line += *r->p == '\n';
	return SD_OK;
}

static enum sd_err take_lines(struct reader *r, struct sd_error *e)
{
	while (skip_blanks(r)) {
		const char *end = memchr(r->p, '\n', (size_t)(r->end - r->p));
		int line = r->line;
		if (take_object(r, end ? end : r->end, e))
			return e->code;
		if (skip_blanks(r) && r->line == line)
			return sd_fail(e, SD_EINVAL, "%s:%d: expected one JSON object a line, found more behind it", r->file,
				       line);
	}
	return SD_OK;
}

static enum sd_err take_array(struct reader *r, struct sd_error *e)
{
	char next = ',';
	r->p++;
	if (skip_blanks(r) && *r->p == ']')
		next = *r->p++;
	while (next == ',') {
		if (skip_blanks(r) && take_object(r, r->end, e))
			return e->code;
		next = skip_blanks(r) ? *r->p++ : '\0';
	}
	if (next != ']')
		return sd_fail(e, SD_EINVAL, "%s:%d: expected , or ] after an object of the array", r->file, r->line);
	if (skip_blanks(r))
		return sd_fail(e, SD_EINVAL, "%s:%d: expected nothing behind the array", r->file, r->line);
	return SD_OK;
}

enum sd_err load_access_read(const char *file, const char *text, size_t n, load_access_fn *fn, void *arg,
			     struct sd_error *e)
{
	struct reader r = {.file = file, .p = text, .end = text + n, .line = 1, .fn = fn, .arg = arg};
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		r.p += 3;
	if (!skip_blanks(&r))
		return SD_OK;
	return *r.p == '[' ? take_array(&r, e) : take_lines(&r, e);
}
