/* A history as JSON lines, and back. The reader knows just what such a line may hold (RFC 8259, without
 * numbers that are not whole), so that 64 bits survive and every fault has its line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "core/utf8.h"
#include "sdlab/history.h"

static const char *const outcomes[] = {"unknown", "ok", "failed"};
enum { OUTCOMES = sizeof(outcomes) / sizeof(outcomes[0]) };

/* ---- writing ---- */

static void write_string(struct sd_text *t, struct sd_slice s)
{
	sd_text_add(t, "\"", 1);
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '"' || c == '\\')
			sd_text_format(t, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			sd_text_format(t, "\\u%04x", c);
		else
			sd_text_add(t, s.p + i, 1);
	}
	sd_text_add(t, "\"", 1);
}

static void write_value(struct sd_text *t, int64_t v)
{
	if (v == SD_NIL)
		sd_text_add(t, "null", 4);
	else
		sd_text_format(t, "%lld", (long long)v);
}

static void write_operation(struct sd_text *t, const struct sd_lin_kind *kind, struct sd_slice key,
			    const struct sd_operation *op)
{
	sd_text_format(t, "{\"client\":%lu,\"key\":", (unsigned long)op->client);
	write_string(t, key);
	sd_text_format(t, ",\"op\":\"%s\"", kind->name);
	for (int i = 0; i < kind->nargs; i++) {
		sd_text_format(t, "%s", i == 0 ? ",\"args\":[" : ",");
		write_value(t, op->arg[i]);
	}
	sd_text_format(t, "%s,\"invoked\":%lld", kind->nargs ? "]" : "", (long long)op->invoked);
	if (op->answered != SD_NEVER)
		sd_text_format(t, ",\"answered\":%lld", (long long)op->answered);
	sd_text_format(t, ",\"outcome\":\"%s\"", outcomes[op->outcome]);
	if (op->outcome == SD_OUTCOME_OK && kind->answer != SD_ANSWER_NONE) {
		sd_text_format(t, ",\"result\":");
		write_value(t, op->result);
	}
	sd_text_add(t, "}\n", 2);
}

char *sd_history_write(const struct sd_history *h, size_t *n)
{
	struct sd_text t = {0};
	for (size_t i = 0; i < sd_history_count(h); i++) {
		const struct sd_operation *op = sd_history_at(h, i);
		write_operation(&t, &sd_history_model(h)->kinds[op->kind], sd_history_key(h, op->key), op);
	}
	return sd_text_take(&t, n);
}

/* ---- tokens ---- */

enum { STRING_MOST = SD_HISTORY_KEY_MOST };

struct string {
	char p[STRING_MOST + 4];
	size_t n;
};

struct reader {
	const char *p, *end; /* what is left of the line */
	struct sd_error *e;
};

static enum sd_err expected(struct reader *r, const char *what)
{
	unsigned char c = r->p < r->end ? (unsigned char)*r->p : 0;
	if (r->p == r->end)
		return sd_fail(r->e, SD_EPROTO, "expected %s, found the end of the line", what);
	if (c < 0x20 || c > 0x7e)
		return sd_fail(r->e, SD_EPROTO, "expected %s, found byte 0x%02x", what, c);
	return sd_fail(r->e, SD_EPROTO, "expected %s, found '%c'", what, c);
}

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r'))
		r->p++;
}

/* Takes the character if it comes next, after blanks. */
static bool take(struct reader *r, char c)
{
	skip_blanks(r);
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits after \u. */
static bool read_hex(struct reader *r, uint32_t *v)
{
	*v = 0;
	for (int i = 0; i < 4; i++, r->p++) {
		int digit = r->p < r->end ? hex_digit(*r->p) : -1;
		if (digit < 0)
			return false;
		*v = *v << 4 | (uint32_t)digit;
	}
	return true;
}

static enum sd_err read_unicode(struct reader *r, uint32_t *c)
{
	uint32_t low;
	if (!read_hex(r, c))
		return expected(r, "four hexadecimal digits");
	if (*c < 0xd800 || *c > 0xdfff)
		return SD_OK;
	if (*c > 0xdbff || r->end - r->p < 2 || memcmp(r->p, "\\u", 2) != 0)
		return sd_fail(r->e, SD_EPROTO, "half of a surrogate pair");
	r->p += 2;
	if (!read_hex(r, &low))
		return expected(r, "four hexadecimal digits");
	if (low < 0xdc00 || low > 0xdfff)
		return sd_fail(r->e, SD_EPROTO, "half of a surrogate pair");
	*c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
	return SD_OK;
}

static enum sd_err read_escape(struct reader *r, uint32_t *c)
{
	static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	char name = r->p < r->end ? *r->p : '\0';
	const char *at = name ? strchr(names, name) : NULL;
	if (at) {
		*c = (unsigned char)means[at - names];
		r->p++;
		return SD_OK;
	}
	if (name != 'u')
		return expected(r, "an escape such as \\n");
	r->p++;
	return read_unicode(r, c);
}

static enum sd_err read_character(struct reader *r, struct string *s)
{
	uint32_t c = 0;
	if (*r->p == '\\') {
		r->p++;
		enum sd_err err = read_escape(r, &c);
		if (err != SD_OK)
			return err;
		s->n += sd_utf8_put(s->p + s->n, c);
		return SD_OK;
	}
	size_t length = sd_utf8_length(r->p, (size_t)(r->end - r->p));
	if (length == 0 || (unsigned char)*r->p < 0x20)
		return expected(r, "UTF-8 without control characters");
	memcpy(s->p + s->n, r->p, length);
	s->n += length;
	r->p += length;
	return SD_OK;
}

static enum sd_err read_string(struct reader *r, struct string *s)
{
	s->n = 0;
	if (!take(r, '"'))
		return expected(r, "a text in quotes");
	while (r->p < r->end && *r->p != '"') {
		enum sd_err err = read_character(r, s);
		if (err != SD_OK)
			return err;
		if (s->n > STRING_MOST)
			return sd_fail(r->e, SD_ETOOBIG, "a text of more than %d bytes", STRING_MOST);
	}
	if (r->p == r->end)
		return expected(r, "\"");
	r->p++;
	return SD_OK;
}

/* A whole number, without a leading 0, beyond which SD_NIL and SD_NEVER are. */
static enum sd_err read_number(struct reader *r, int64_t *v)
{
	skip_blanks(r);
	bool minus = r->p < r->end && *r->p == '-';
	const char *first = r->p += minus;
	uint64_t u = 0;
	for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++) {
		uint64_t digit = (uint64_t)(*r->p - '0');
		if (u > ((uint64_t)INT64_MAX - 1 - digit) / 10)
			return sd_fail(r->e, SD_EPROTO, "a number beyond 2^63 - 2");
		u = 10 * u + digit;
	}
	if (r->p == first)
		return expected(r, "a whole number");
	if ((*first == '0' && (minus || r->p - first > 1)))
		return sd_fail(r->e, SD_EPROTO, "a number that begins with 0");
	if (r->p < r->end && strchr(".eE", *r->p) && *r->p)
		return expected(r, "a whole number");
	*v = minus ? -(int64_t)u : (int64_t)u;
	return SD_OK;
}

static enum sd_err read_value(struct reader *r, int64_t *v)
{
	skip_blanks(r);
	if (r->end - r->p >= 4 && memcmp(r->p, "null", 4) == 0) {
		r->p += 4;
		*v = SD_NIL;
		return SD_OK;
	}
	if (r->p == r->end || (*r->p != '-' && (*r->p < '0' || *r->p > '9')))
		return expected(r, "a whole number or null");
	return read_number(r, v);
}

/* ---- fields ---- */

struct line {
	const struct sd_lin_model *model;
	struct sd_operation op;
	struct string key;
	int64_t args[2];
	int nargs;
	unsigned seen; /* bits of fields[] */
};

static enum sd_err field_client(struct reader *r, struct line *l)
{
	int64_t v;
	enum sd_err err = read_number(r, &v);
	if (err == SD_OK && (v < 0 || v > UINT32_MAX))
		return sd_fail(r->e, SD_EPROTO, "client: expected 0 to 4294967295");
	l->op.client = (uint32_t)v;
	return err;
}

static enum sd_err field_key(struct reader *r, struct line *l)
{
	return read_string(r, &l->key);
}

static enum sd_err field_op(struct reader *r, struct line *l)
{
	struct string s;
	enum sd_err err = read_string(r, &s);
	if (err != SD_OK)
		return err;
	for (uint8_t i = 0; i < SD_LIN_KINDS_MOST && l->model->kinds[i].name; i++) {
		if (!sd_slice_eq((struct sd_slice){s.p, s.n}, l->model->kinds[i].name))
			continue;
		l->op.kind = i;
		return SD_OK;
	}
	return sd_fail(r->e, SD_EPROTO, "op: a %s has no such operation", l->model->name);
}

static enum sd_err field_args(struct reader *r, struct line *l)
{
	if (!take(r, '['))
		return expected(r, "[");
	do {
		if (l->nargs == 2)
			return sd_fail(r->e, SD_EPROTO, "args: more than two");
		enum sd_err err = read_value(r, &l->args[l->nargs++]);
		if (err != SD_OK)
			return err;
	} while (take(r, ','));
	return take(r, ']') ? SD_OK : expected(r, "]");
}

static enum sd_err field_time(struct reader *r, int64_t *at)
{
	enum sd_err err = read_number(r, at);
	if (err == SD_OK && *at < 0)
		return sd_fail(r->e, SD_EPROTO, "a time below 0");
	return err;
}

static enum sd_err field_invoked(struct reader *r, struct line *l)
{
	return field_time(r, &l->op.invoked);
}

static enum sd_err field_answered(struct reader *r, struct line *l)
{
	return field_time(r, &l->op.answered);
}

static enum sd_err field_outcome(struct reader *r, struct line *l)
{
	struct string s;
	enum sd_err err = read_string(r, &s);
	if (err != SD_OK)
		return err;
	for (unsigned i = 0; i < OUTCOMES; i++) {
		if (!sd_slice_eq((struct sd_slice){s.p, s.n}, outcomes[i]))
			continue;
		l->op.outcome = (uint8_t)i;
		return SD_OK;
	}
	return sd_fail(r->e, SD_EPROTO, "outcome: expected ok, failed or unknown");
}

static enum sd_err field_result(struct reader *r, struct line *l)
{
	return read_value(r, &l->op.result);
}

enum field { CLIENT, KEY, OP, ARGS, INVOKED, ANSWERED, OUTCOME, RESULT, FIELDS };

static const struct {
	const char *name;
	enum sd_err (*read)(struct reader *r, struct line *l);
} fields[FIELDS] = {
    [CLIENT] = {"client", field_client},
    [KEY] = {"key", field_key},
    [OP] = {"op", field_op},
    [ARGS] = {"args", field_args},
    [INVOKED] = {"invoked", field_invoked},
    [ANSWERED] = {"answered", field_answered},
    [OUTCOME] = {"outcome", field_outcome},
    [RESULT] = {"result", field_result},
};

static enum sd_err read_field(struct reader *r, struct line *l)
{
	struct string name;
	enum sd_err err = read_string(r, &name);
	if (err != SD_OK)
		return err;
	if (!take(r, ':'))
		return expected(r, ":");
	for (int i = 0; i < FIELDS; i++) {
		if (!sd_slice_eq((struct sd_slice){name.p, name.n}, fields[i].name))
			continue;
		if (l->seen & 1u << i)
			return sd_fail(r->e, SD_EPROTO, "\"%s\" twice", fields[i].name);
		l->seen |= 1u << i;
		return fields[i].read(r, l);
	}
	return sd_fail(r->e, SD_EPROTO, "a field that no operation has");
}

/* Which fields there must be follows from the kind and the outcome. */
static enum sd_err check_fields(struct reader *r, const struct line *l)
{
	const struct sd_lin_kind *kind = &l->model->kinds[l->op.kind];
	bool ok = l->op.outcome == SD_OUTCOME_OK;
	unsigned want = 1u << CLIENT | 1u << KEY | 1u << OP | 1u << INVOKED | 1u << OUTCOME;
	want |= kind->nargs > 0 ? 1u << ARGS : 0;
	want |= l->op.outcome != SD_OUTCOME_UNKNOWN ? 1u << ANSWERED : 0;
	want |= ok && kind->answer != SD_ANSWER_NONE ? 1u << RESULT : 0;
	for (int i = 0; i < FIELDS; i++) {
		if ((want ^ l->seen) & 1u << i)
			return sd_fail(r->e, SD_EPROTO, "%s with outcome %s: \"%s\" %s", kind->name,
				       outcomes[l->op.outcome], fields[i].name,
				       want & 1u << i ? "is missing" : "does not belong");
	}
	if (l->nargs != kind->nargs)
		return sd_fail(r->e, SD_EPROTO, "%s: expected %d args", kind->name, kind->nargs);
	return SD_OK;
}

/* ---- lines ---- */

static enum sd_err read_object(struct reader *r, struct line *l)
{
	if (!take(r, '{'))
		return expected(r, "{");
	do {
		enum sd_err err = read_field(r, l);
		if (err != SD_OK)
			return err;
	} while (take(r, ','));
	if (!take(r, '}'))
		return expected(r, ", or }");
	skip_blanks(r);
	return r->p == r->end ? SD_OK : expected(r, "the end of the line");
}

static enum sd_err read_line(struct sd_history *h, struct reader *r)
{
	struct line l = {.model = sd_history_model(h), .op = {.answered = SD_NEVER, .result = SD_NIL}};
	if (r->end - r->p > SD_HISTORY_LINE_MOST)
		return sd_fail(r->e, SD_ETOOBIG, "longer than %d bytes", SD_HISTORY_LINE_MOST);
	skip_blanks(r);
	if (r->p == r->end)
		return SD_OK;
	enum sd_err err = read_object(r, &l);
	if (err == SD_OK)
		err = check_fields(r, &l);
	if (err != SD_OK)
		return err;
	memcpy(l.op.arg, l.args, sizeof(l.op.arg));
	err = sd_history_add(h, (struct sd_slice){l.key.p, l.key.n}, &l.op);
	if (err == SD_EINVAL)
		return sd_fail(r->e, SD_EPROTO,
			       "expected a key of 1 byte or more without 0, an answer not before its "
			       "invocation, and 0 or 1 as result where yes or no is meant");
	return err == SD_OK ? SD_OK : sd_fail(r->e, err, "%s", sd_err_text(err));
}

enum sd_err sd_history_read(const struct sd_lin_model *model, const char *text, size_t n,
			    struct sd_history **out, struct sd_error *e)
{
	struct sd_error why = {SD_OK, ""};
	struct sd_history *h = sd_history_new(model);
	const char *end = n ? text + n : text;
	*out = NULL;
	if (!h)
		return sd_fail(e, SD_ENOMEM, "history: out of memory");
	for (size_t line = 1; text < end; line++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		struct reader r = {text, newline ? newline : end, &why};
		enum sd_err err = read_line(h, &r);
		if (err != SD_OK) {
			sd_history_free(h);
			return sd_fail(e, err, "history: line %zu: %s", line, why.text);
		}
		text = newline ? newline + 1 : end;
	}
	*out = h;
	return SD_OK;
}
