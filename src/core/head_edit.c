#include "head_edit.h"

#include <stdlib.h>
#include <string.h>

static const char *const own[] = {
    "connection", "content-length", "expect",      "forwarded",  "keep-alive",        "proxy-connection",
    "te",         "trailer",        "traceparent", "tracestate", "transfer-encoding", "upgrade",
    "via",        "date",           "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
};

static bool is_name(struct sd_slice s)
{
	static const char tchar[] =
	    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	for (size_t i = 0; i < s.n; i++)
		if (!s.p[i] || !strchr(tchar, s.p[i]))
			return false;
	return s.n > 0 && s.n <= 256;
}

static bool is_own(struct sd_slice name, bool request)
{
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (sd_slice_ieq(name, own[i]))
			return true;
	return !request && sd_slice_ieq(name, "host");
}

static bool is_value(const char *s)
{
	for (; *s; s++)
		if (((unsigned char)*s < ' ' && *s != '\t') || *s == 127)
			return false;
	return true;
}

/* "Name: value" taken apart; value NULL when there is no colon. */
static struct sd_slice name_of(const char *line, const char **value)
{
	size_t n = strcspn(line, ":");
	*value = line[n] ? line + n + 1 + strspn(line + n + 1, " \t") : NULL;
	return (struct sd_slice){line, n};
}

enum sd_err sd_head_edit_check(enum sd_head_step step, const char *line, bool request, struct sd_error *e)
{
	const char *value;
	struct sd_slice name = name_of(line, &value);
	if (!is_name(name) || (step == SD_HEAD_REMOVE) == (value != NULL))
		return sd_fail(e, SD_EINVAL, "expected %s, found \"%.80s\"",
			       step == SD_HEAD_REMOVE ? "the name of a field such as Server" : "a field such as X-Env: prod",
			       line);
	if (is_own(name, request) || (step == SD_HEAD_REMOVE && sd_slice_ieq(name, "host")))
		return sd_fail(e, SD_EINVAL, "%.*s is the proxy's own business", (int)name.n, name.p);
	if (!value)
		return SD_OK;
	if (!is_value(value))
		return sd_fail(e, SD_EINVAL, "a control byte in the value of %.*s", (int)name.n, name.p);
	return request ? sd_http_template_check(value, e) : SD_OK;
}

/* What earlier steps brought under this name does not come. */
static void take_back(struct sd_head_edit *edit, struct sd_slice name)
{
	for (size_t i = 0; i < edit->n; i++) {
		struct sd_head_edit_field *f = &edit->fields[i];
		if (!f->value || !sd_slice_ieq(name, f->name))
			continue;
		free(f->value);
		f->value = NULL;
	}
}

enum sd_err sd_head_edit_step(struct sd_head_edit *edit, enum sd_head_step step, const char *line)
{
	const char *value;
	struct sd_slice name = name_of(line, &value);
	if (edit->n == SD_HEAD_EDIT_MAX)
		return SD_ERANGE;
	struct sd_head_edit_field *more = realloc(edit->fields, (edit->n + 1) * sizeof(*more));
	if (!more)
		return SD_ENOMEM;
	edit->fields = more;
	struct sd_head_edit_field f = {.name = strndup(name.p, name.n), .drops = step != SD_HEAD_ADD};
	f.value = value ? strdup(value) : NULL;
	if (!f.name || (value && !f.value)) {
		free(f.name);
		free(f.value);
		return SD_ENOMEM;
	}
	if (f.drops)
		take_back(edit, name);
	edit->fields[edit->n++] = f;
	return SD_OK;
}

void sd_head_edit_free(struct sd_head_edit *edit)
{
	for (size_t i = 0; i < edit->n; i++) {
		free(edit->fields[i].name);
		free(edit->fields[i].value);
	}
	free(edit->fields);
	*edit = (struct sd_head_edit){0};
}

bool sd_head_edit_drops(const struct sd_head_edit *edit, struct sd_slice name)
{
	for (size_t i = 0; edit && i < edit->n; i++)
		if (edit->fields[i].drops && sd_slice_ieq(name, edit->fields[i].name))
			return true;
	return false;
}

static size_t put(char *out, size_t room, size_t at, const char *p, size_t n)
{
	if (at < room && n)
		memcpy(out + at, p, n < room - at ? n : room - at);
	return at + n;
}

static size_t put_value(char *out, size_t room, size_t at, const char *value, const struct sd_http_vars *vars)
{
	if (!vars)
		return put(out, room, at, value, strlen(value));
	bool fits = at < room;
	return at + sd_http_template_write(fits ? out + at : NULL, fits ? room - at : 0, value, vars);
}

size_t sd_head_edit_write(const struct sd_head_edit *edit, char *out, size_t room, const struct sd_http_vars *vars)
{
	size_t n = 0;
	for (size_t i = 0; i < edit->n; i++) {
		const struct sd_head_edit_field *f = &edit->fields[i];
		if (!f->value || strcasecmp(f->name, "host") == 0)
			continue;
		n = put(out, room, n, f->name, strlen(f->name));
		n = put(out, room, n, ": ", 2);
		n = put_value(out, room, n, f->value, vars);
		n = put(out, room, n, "\r\n", 2);
	}
	return n;
}

const char *sd_head_edit_host(const struct sd_head_edit *edit)
{
	const char *host = NULL;
	for (size_t i = 0; i < edit->n; i++)
		if (edit->fields[i].value && strcasecmp(edit->fields[i].name, "host") == 0)
			host = edit->fields[i].value;
	return host;
}
