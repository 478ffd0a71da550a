#include "resp_reply.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_NUMBER 64 /* digits of a double, with all that belongs to it */

const struct sd_resp_reply_limits sd_resp_reply_usual = {SD_RESP_MAX_BULK, 16 << 20, 1ll << 30};

static ssize_t bad(struct sd_resp_replies *r, const char *why)
{
	snprintf(r->error, sizeof(r->error), "%s", why);
	return SD_RESP_BAD;
}

/* The line that begins at p, without CRLF. Its length with them, SD_RESP_INCOMPLETE, or SD_RESP_BAD. */
static ssize_t line(struct sd_resp_replies *r, const char *p, size_t n, struct sd_slice *out)
{
	const char *lf = memchr(p + r->seen, '\n', n - r->seen);
	size_t end = lf ? (size_t)(lf - p) : n;
	/* the last byte of what is there may be the CR of the end */
	const char *cr = memchr(p + r->seen, '\r', end - r->seen);
	if (end > SD_RESP_MAX_LINE)
		return bad(r, "a line without an end");
	if (cr && (size_t)(cr - p) + 1 != end)
		return bad(r, "a line that does not end with CRLF");
	if (!lf) {
		r->seen = cr ? (size_t)(cr - p) : n;
		return SD_RESP_INCOMPLETE;
	}
	if (!cr)
		return bad(r, "a line that does not end with CRLF");
	r->seen = 0;
	*out = (struct sd_slice){p, end - 1};
	return (ssize_t)end + 1;
}

/* ---- what lines hold ---- */

static bool digits(const char **p, const char *end)
{
	const char *from = *p;
	while (*p < end && **p >= '0' && **p <= '9')
		++*p;
	return *p > from;
}

static bool is_big(struct sd_slice s)
{
	const char *p = s.p, *end = s.p + s.n;
	p += p < end && (*p == '-' || *p == '+');
	return digits(&p, end) && p == end;
}

/* 1, -1.5, .5e-7, inf, -inf, nan: strtod would take more. */
static bool is_double(struct sd_slice s)
{
	const char *p = s.p, *end = s.p + s.n;
	p += p < end && (*p == '-' || *p == '+');
	struct sd_slice rest = {p, (size_t)(end - p)};
	if (sd_slice_eq(rest, "inf") || sd_slice_eq(rest, "nan"))
		return true;
	bool whole = digits(&p, end), part = false;
	if (p < end && *p == '.') {
		p++;
		part = digits(&p, end);
	}
	if (!whole && !part)
		return false;
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '-' || *p == '+');
		if (!digits(&p, end))
			return false;
	}
	return p == end;
}

static ssize_t take_double(struct sd_resp_replies *r, struct sd_resp_token *t)
{
	char text[MAX_NUMBER + 1];
	if (t->text.n > MAX_NUMBER || !is_double(t->text))
		return bad(r, "expected a number after ','");
	memcpy(text, t->text.p, t->text.n);
	text[t->text.n] = '\0';
	t->number = strtod(text, NULL);
	return 0;
}

static ssize_t take_int(struct sd_resp_replies *r, struct sd_resp_token *t)
{
	struct sd_slice s = t->text;
	if (s.n > 1 && s.p[0] == '+')
		s = (struct sd_slice){s.p + 1, s.n - 1};
	return sd_resp_parse_int(s, &t->n) ? 0 : bad(r, "expected an integer after ':'");
}

static ssize_t take_bool(struct sd_resp_replies *r, struct sd_resp_token *t)
{
	t->n = sd_slice_eq(t->text, "t");
	return t->n || sd_slice_eq(t->text, "f") ? 0 : bad(r, "expected t or f after '#'");
}

static ssize_t take_null(struct sd_resp_replies *r, struct sd_resp_token *t)
{
	return t->text.n ? bad(r, "expected nothing after '_'") : 0;
}

static ssize_t take_big(struct sd_resp_replies *r, struct sd_resp_token *t)
{
	return is_big(t->text) ? 0 : bad(r, "expected an integer after '('");
}

static ssize_t take_text(struct sd_resp_replies *r, struct sd_resp_token *t)
{
	(void)r;
	t->n = (int64_t)t->text.n;
	return 0;
}

static const struct {
	char kind;
	ssize_t (*take)(struct sd_resp_replies *r, struct sd_resp_token *t);
} lines[] = {
    {SD_RESP_SIMPLE, take_text}, {SD_RESP_ERROR, take_text},    {SD_RESP_INT, take_int}, {SD_RESP_NULL, take_null},
    {SD_RESP_BOOL, take_bool},   {SD_RESP_DOUBLE, take_double}, {SD_RESP_BIG, take_big},
};

/* ---- where in a reply we are ---- */

/* Bytes of the reply; those of a string as soon as they are announced. */
static bool count(struct sd_resp_replies *r, uint64_t n, const struct sd_resp_reply_limits *limits)
{
	r->taken += n;
	if (r->taken <= (uint64_t)limits->max_bytes)
		return true;
	bad(r, "a reply longer than is taken");
	return false;
}

/* A value is over, and with it may be what it was the last item of. True: the reply is. */
static bool over(struct sd_resp_replies *r)
{
	while (r->depth && r->frames[r->depth - 1].left == 0)
		if (r->frames[--r->depth].attribute)
			return false; /* what it is about comes now */
	return r->depth == 0;
}

static void end_value(struct sd_resp_replies *r, struct sd_resp_token *t)
{
	t->push = r->push;
	t->last = over(r);
	if (t->last) {
		r->push = false;
		r->taken = r->items = 0;
	}
}

static ssize_t open_array(struct sd_resp_replies *r, const struct sd_resp_reply_limits *limits, struct sd_resp_token *t)
{
	bool attribute = t->kind == SD_RESP_ATTRIBUTE;
	int64_t room = limits->max_items - (int64_t)r->items, each = t->kind == SD_RESP_MAP || attribute ? 2 : 1;
	if (t->n < 0 || t->n > room / each)
		return bad(r, t->n < 0 ? "a negative number of items" : "more items than are taken");
	if (r->depth == SD_RESP_MAX_DEPTH)
		return bad(r, "arrays in arrays, too deep");
	t->n *= each;
	t->text = (struct sd_slice){NULL, 0};
	r->items += (uint64_t)t->n;
	r->frames[r->depth++] = (struct sd_resp_frame){(uint64_t)t->n, attribute};
	if (t->kind == SD_RESP_PUSH)
		r->push = true;
	t->push = r->push;
	if (t->n == 0)
		end_value(r, t);
	return 0;
}

/* ---- strings ---- */

static ssize_t finish_string(struct sd_resp_replies *r, const char *p, struct sd_resp_token *t)
{
	if (p[0] != '\r' || p[1] != '\n')
		return bad(r, "a string is longer than announced");
	r->string = 0;
	t->more = false;
	end_value(r, t);
	return 2;
}

/* What is there of the string in progress; with CRLF when all of it is. */
static ssize_t go_on(struct sd_resp_replies *r, const char *p, size_t n, struct sd_resp_token *t)
{
	size_t piece = n < r->left ? n : (size_t)r->left;
	bool ends = r->left - piece == 0 && n - piece >= 2;
	if (!ends && piece == 0)
		return SD_RESP_INCOMPLETE;
	t->kind = r->string;
	t->n = (int64_t)r->total;
	t->text = (struct sd_slice){p, piece};
	t->more = true;
	t->push = r->push;
	r->left -= piece;
	ssize_t end = ends ? finish_string(r, p + piece, t) : 0;
	return end < 0 ? end : (ssize_t)piece + end;
}

static ssize_t begin_string(struct sd_resp_replies *r, const char *p, size_t n, const struct sd_resp_reply_limits *limits,
			    struct sd_resp_token *t)
{
	if (t->n < 0 || t->n > limits->max_bulk)
		return bad(r, t->n < 0 ? "a negative length" : "a string longer than is taken");
	if (t->kind == SD_RESP_VERBATIM && t->n < 4)
		return bad(r, "a verbatim string without its kind");
	if (!count(r, (uint64_t)t->n + 2, limits))
		return SD_RESP_BAD;
	r->string = t->kind;
	r->total = r->left = (uint64_t)t->n;
	t->text = (struct sd_slice){p, 0};
	t->more = true;
	t->push = r->push;
	ssize_t took = go_on(r, p, n, t);
	return took == SD_RESP_INCOMPLETE ? 0 : took;
}

/* ---- tokens ---- */

/* What its head said with a number: a string, an array, or that there is none. */
static ssize_t take_sized(struct sd_resp_replies *r, const char *p, size_t n, const struct sd_resp_reply_limits *limits,
			  struct sd_resp_token *t)
{
	if (!sd_resp_parse_int(t->text, &t->n)) {
		snprintf(r->error, sizeof(r->error), "expected a length after '%c'", t->kind);
		return SD_RESP_BAD;
	}
	if (t->n == -1 && (t->kind == SD_RESP_BULK || t->kind == SD_RESP_ARRAY)) {
		*t = (struct sd_resp_token){.kind = SD_RESP_NULL, .depth = t->depth};
		end_value(r, t);
		return 0;
	}
	return sd_resp_has_items(t->kind) ? open_array(r, limits, t) : begin_string(r, p, n, limits, t);
}

/* Reads what the head of a value announces; p is behind the head. How many bytes of p it took. */
static ssize_t take_value(struct sd_resp_replies *r, const char *p, size_t n, const struct sd_resp_reply_limits *limits,
			  struct sd_resp_token *t)
{
	if (strchr("$*!=%~>|", (int)t->kind))
		return take_sized(r, p, n, limits, t);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (lines[i].kind != (char)t->kind)
			continue;
		ssize_t took = lines[i].take(r, t);
		if (took == 0)
			end_value(r, t);
		return took;
	}
	return SD_RESP_BAD; /* not reached: sd_resp_next asked is_kind */
}

static bool is_kind(char c)
{
	return c && strchr("+-:$*_#,(!=%~>|", c);
}

static ssize_t begin_value(struct sd_resp_replies *r, const char *p, size_t n, const struct sd_resp_reply_limits *limits,
			   struct sd_resp_token *t)
{
	struct sd_slice s = {0};
	if (n && !is_kind(*p)) {
		snprintf(r->error, sizeof(r->error), "expected a reply, found byte 0x%02x", (unsigned char)*p);
		return SD_RESP_BAD;
	}
	if (n && *p == SD_RESP_PUSH && r->depth)
		return bad(r, "a push inside a reply");
	ssize_t head = n ? line(r, p, n, &s) : SD_RESP_INCOMPLETE;
	if (head < 0)
		return head;
	if (!count(r, (uint64_t)head, limits))
		return SD_RESP_BAD;
	t->kind = (enum sd_resp_kind)(unsigned char)*s.p;
	t->text = (struct sd_slice){s.p + 1, s.n - 1};
	if (r->depth && t->kind != SD_RESP_ATTRIBUTE)
		r->frames[r->depth - 1].left--;
	ssize_t took = take_value(r, p + head, n - (size_t)head, limits, t);
	return took < 0 ? took : head + took;
}

ssize_t sd_resp_next(struct sd_resp_replies *r, const char *p, size_t n, const struct sd_resp_reply_limits *limits,
		     struct sd_resp_token *t)
{
	*t = (struct sd_resp_token){.depth = r->depth};
	return r->string ? go_on(r, p, n, t) : begin_value(r, p, n, limits, t);
}

/* ---- a reply as a whole ---- */

static struct sd_resp_value *new_value(struct sd_resp_tree *tree)
{
	if (tree->n == tree->room) {
		size_t room = tree->room ? tree->room * 2 : 16;
		struct sd_resp_value *more = realloc(tree->values, room * sizeof(*more));
		if (!more)
			return NULL;
		tree->values = more;
		tree->room = room;
	}
	struct sd_resp_value *v = &tree->values[tree->n++];
	*v = (struct sd_resp_value){.span = 1, .at = tree->text.n};
	return v;
}

static void close_to(struct sd_resp_tree *tree, unsigned depth)
{
	while (tree->nopen > depth) {
		size_t i = tree->open[--tree->nopen];
		tree->values[i].span = tree->n - i;
	}
}

/* Each text ends with a zero byte, so that a message can be printed as it is. */
static void finish(struct sd_resp_tree *tree)
{
	close_to(tree, 0);
	for (size_t i = 0; i < tree->n; i++) {
		struct sd_resp_value *v = &tree->values[i];
		size_t kind = v->kind == SD_RESP_VERBATIM ? 4 : 0;
		v->text = (struct sd_slice){tree->text.p + v->at + kind, v->text.n - kind};
	}
}

static bool left_out(struct sd_resp_tree *tree, const struct sd_resp_token *t)
{
	if (t->kind == SD_RESP_ATTRIBUTE && !tree->skip)
		tree->skip = t->depth + 1;
	if (tree->skip && t->depth < tree->skip && t->kind != SD_RESP_ATTRIBUTE)
		tree->skip = 0;
	return tree->skip;
}

/* The value that a token begins, or that its piece of a string belongs to. */
static struct sd_resp_value *value_of(struct sd_resp_tree *tree, const struct sd_resp_token *t)
{
	if (tree->in_string)
		return &tree->values[tree->n - 1];
	close_to(tree, t->depth);
	struct sd_resp_value *v = new_value(tree);
	if (!v)
		return NULL;
	v->kind = t->kind;
	v->n = t->n;
	v->number = t->number;
	if (sd_resp_has_items(t->kind)) {
		v->items = (size_t)t->n;
		tree->open[tree->nopen++] = tree->n - 1;
	}
	return v;
}

enum sd_err sd_resp_tree_add(struct sd_resp_tree *tree, const struct sd_resp_token *t)
{
	if (left_out(tree, t))
		return SD_OK;
	struct sd_resp_value *v = value_of(tree, t);
	if (!v)
		return SD_ENOMEM;
	v->text.n += t->text.n;
	tree->in_string = t->more;
	sd_resp_raw(&tree->text, t->text.p, t->text.n);
	if (!t->more)
		sd_resp_raw(&tree->text, "", 1);
	if (tree->text.full)
		return SD_ENOMEM;
	if (t->last)
		finish(tree);
	return SD_OK;
}

ssize_t sd_resp_tree_read(struct sd_resp_tree *tree, struct sd_resp_replies *r, const char *p, size_t n,
			  const struct sd_resp_reply_limits *limits, bool *whole)
{
	size_t at = 0;
	*whole = false;
	while (at < n && !*whole) {
		struct sd_resp_token t;
		ssize_t took = sd_resp_next(r, p + at, n - at, limits, &t);
		if (took == SD_RESP_INCOMPLETE)
			break;
		if (took > 0 && sd_resp_tree_add(tree, &t)) {
			snprintf(r->error, sizeof(r->error), "out of memory");
			took = SD_RESP_BAD;
		}
		if (took < 0)
			return SD_RESP_BAD;
		*whole = t.last;
		at += (size_t)took;
	}
	return (ssize_t)at;
}

void sd_resp_tree_reset(struct sd_resp_tree *tree)
{
	tree->n = tree->text.n = 0;
	tree->nopen = tree->skip = 0;
	tree->in_string = tree->text.full = false;
}

void sd_resp_tree_free(struct sd_resp_tree *tree)
{
	free(tree->values);
	free(tree->text.p);
	*tree = (struct sd_resp_tree){0};
}
