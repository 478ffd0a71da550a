#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "crc64.h"
#include "lzf.h"
#include "rdb.h"
#include "rdb_int.h"

/* What a type is, by its number. */
static const struct row {
	const char *name;
	bool known, counted, ziplist;
	enum sd_rdb_type as;
} rows[] = {
    {"string", true, false, false, SD_RDB_STRING},
    {"list", true, true, false, SD_RDB_LIST},
    {"set", true, true, false, SD_RDB_SET},
    {"sorted set", true, true, false, SD_RDB_ZSET_TEXT},
    {"hash", true, true, false, SD_RDB_HASH},
    {"sorted set", true, true, false, SD_RDB_ZSET},
    {"module"},
    {"module"},
    {"8"},
    {"zipmap of Redis 2.4"},
    {"list", true, false, true, SD_RDB_LIST},
    {"intset", true, false, false, SD_RDB_SET_INTSET},
    {"sorted set", true, false, true, SD_RDB_ZSET_TEXT},
    {"hash", true, false, true, SD_RDB_HASH},
    {"list", true, true, true, SD_RDB_LIST},
    {"stream"},
    {"hash", true, false, false, SD_RDB_HASH_LISTPACK},
    {"sorted set", true, false, false, SD_RDB_ZSET_LISTPACK},
    {"list", true, true, false, SD_RDB_LIST_NODES},
    {"stream"},
};

/* Bytes of one token; `at` of them are understood, and `kept` of these need not come again when it is not whole. */
struct cursor {
	struct sd_rdb_reader *r;
	const char *p;
	size_t n, at, kept;
};

__attribute__((format(printf, 2, 3))) static enum sd_rdb_step bad(struct sd_rdb_reader *r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(r->error, sizeof(r->error), format, args);
	va_end(args);
	return SD_RDB_BAD;
}

/* ---- numbers and strings ---- */

/* The next n bytes; NULL: they are not there yet. */
static const char *take(struct cursor *c, uint64_t n)
{
	if (c->n - c->at < n) {
		c->r->need = c->at + (size_t)n;
		return NULL;
	}
	c->at += (size_t)n;
	return c->p + c->at - n;
}

/* A length, or the first byte of a string that is kept in a special way: *special, 0 when it is a length. */
static enum sd_rdb_step read_length(struct cursor *c, uint64_t *n, unsigned *special)
{
	const char *p = take(c, 1);
	if (!p)
		return SD_RDB_MORE;
	unsigned first = (unsigned char)*p;
	*special = 0;
	*n = first & 63u;
	if (first >= STRING_INT8 && first <= STRING_LZF) {
		*special = first;
		return SD_RDB_TOKEN;
	}
	if (first < LENGTH_14)
		return SD_RDB_TOKEN;
	if (first > LENGTH_64)
		return bad(c->r, "expected a length, found a byte 0x%02x", first);
	size_t more = first < LENGTH_32 ? 1 : first == LENGTH_32 ? 4 : 8;
	p = take(c, more);
	if (p)
		*n = (more == 1 ? *n << 8 : 0) | sd_get_be(p, more);
	return p ? SD_RDB_TOKEN : SD_RDB_MORE;
}

static enum sd_rdb_step read_count(struct cursor *c, uint64_t *n)
{
	unsigned special;
	enum sd_rdb_step step = read_length(c, n, &special);
	if (step == SD_RDB_TOKEN && special)
		return bad(c->r, "expected a length, found a byte 0x%02x", special);
	return step;
}

static bool make_room(struct sd_rdb_unpacked *u, size_t n)
{
	char *p = n <= u->room ? u->p : realloc(u->p, n);
	if (!p)
		return n == 0;
	u->p = p;
	u->room = n > u->room ? n : u->room;
	return true;
}

static enum sd_rdb_step read_lzf(struct cursor *c, struct sd_rdb_unpacked *u, struct sd_slice *out)
{
	uint64_t packed, n;
	enum sd_rdb_step step = read_count(c, &packed);
	if (step == SD_RDB_TOKEN)
		step = read_count(c, &n);
	if (step != SD_RDB_TOKEN)
		return step;
	if (packed > SD_RDB_STRING_MAX || n > packed * SD_LZF_BEST)
		return bad(c->r, "%llu bytes cannot stand for %llu", (unsigned long long)packed, (unsigned long long)n);
	const char *p = take(c, packed);
	if (!p)
		return SD_RDB_MORE;
	if (!make_room(u, (size_t)n))
		return bad(c->r, "out of memory");
	if (!sd_lzf_unpack(p, (size_t)packed, u->p, (size_t)n))
		return bad(c->r, "a compressed string that is damaged");
	*out = (struct sd_slice){u->p, (size_t)n};
	return SD_RDB_TOKEN;
}

/* which: of the two strings that a token may have. */
static enum sd_rdb_step read_string(struct cursor *c, unsigned which, struct sd_slice *out)
{
	struct sd_rdb_unpacked *u = &c->r->unpacked[which];
	uint64_t n;
	unsigned special;
	enum sd_rdb_step step = read_length(c, &n, &special);
	if (step != SD_RDB_TOKEN || special == STRING_LZF)
		return step == SD_RDB_TOKEN ? read_lzf(c, u, out) : step;
	if (special)
		n = 1u << (special - STRING_INT8);
	if (n > SD_RDB_STRING_MAX)
		return bad(c->r, "a string of %llu bytes", (unsigned long long)n);
	const char *p = take(c, n);
	if (!p)
		return SD_RDB_MORE;
	*out = (struct sd_slice){p, (size_t)n};
	if (special) {
		uint64_t v = sd_get_le(p, (size_t)n) << (64 - 8 * n);
		int digits = snprintf(u->number, sizeof(u->number), "%lld", (long long)((int64_t)v >> (64 - 8 * n)));
		*out = (struct sd_slice){u->number, (size_t)digits};
	}
	return SD_RDB_TOKEN;
}

/* ---- scores ---- */

static enum sd_rdb_step check_score(struct sd_rdb_reader *r, double v, double *out)
{
	*out = v;
	return isnan(v) ? bad(r, "a score that is no number") : SD_RDB_TOKEN;
}

static enum sd_rdb_step parse_score(struct sd_rdb_reader *r, struct sd_slice s, double *out)
{
	char text[64], *end;
	if (!s.n || s.n >= sizeof(text) || !memchr("+-.0123456789in", *s.p, 15))
		return bad(r, "a score that is no number");
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	double v = strtod(text, &end);
	return check_score(r, end == text + s.n ? v : (double)NAN, out);
}

static enum sd_rdb_step read_score_text(struct cursor *c, double *out)
{
	const char *p = take(c, 1);
	if (!p)
		return SD_RDB_MORE;
	size_t n = (unsigned char)*p;
	if (n >= 253)
		return check_score(c->r, n == 253 ? (double)NAN : n == 254 ? (double)INFINITY : -(double)INFINITY, out);
	p = take(c, n);
	return p ? parse_score(c->r, (struct sd_slice){p, n}, out) : SD_RDB_MORE;
}

static enum sd_rdb_step read_score(struct cursor *c, double *out)
{
	const char *p = take(c, 8);
	if (!p)
		return SD_RDB_MORE;
	uint64_t bits = sd_get_le(p, 8);
	double v;
	memcpy(&v, &bits, sizeof(v));
	return check_score(c->r, v, out);
}

/* ---- parts of a value ---- */

/* A ziplist stays until all of its entries are told, so it needs a place of its own. */
static enum sd_rdb_step open_ziplist(struct cursor *c)
{
	struct sd_rdb_reader *r = c->r;
	struct sd_rdb_unpacked *u = &r->unpacked[0];
	struct sd_slice s = {0};
	enum sd_rdb_step step = read_string(c, 0, &s);
	if (step != SD_RDB_TOKEN)
		return step;
	if (s.p != u->p) {
		if (!make_room(u, s.n))
			return bad(r, "out of memory");
		if (s.n)
			memcpy(u->p, s.p, s.n);
		s.p = u->p;
	}
	r->in_ziplist = true;
	return sd_ziplist_begin(&r->ziplist, s) ? SD_RDB_TOKEN : bad(r, "a damaged ziplist");
}

/* The next of its entries; *none: there are no more. */
static enum sd_rdb_step next_entry(struct sd_rdb_reader *r, struct sd_slice *out, bool *none)
{
	int found = sd_ziplist_next(&r->ziplist, out);
	*none = found == 0;
	return found < 0 ? bad(r, "a damaged ziplist") : SD_RDB_TOKEN;
}

/* One part out of the ziplist; *none: it has no more. */
static enum sd_rdb_step ziplist_part(struct sd_rdb_reader *r, struct sd_rdb_token *t, bool *none)
{
	struct sd_slice second;
	bool odd;
	enum sd_rdb_step step = next_entry(r, &t->a, none);
	if (step != SD_RDB_TOKEN || *none || rows[r->type].as == SD_RDB_LIST)
		return step;
	if (t->a.p == r->ziplist.number) {
		memcpy(r->unpacked[1].number, t->a.p, t->a.n);
		t->a.p = r->unpacked[1].number;
	}
	step = next_entry(r, &second, &odd);
	if (step != SD_RDB_TOKEN || odd)
		return odd ? bad(r, "a ziplist with half a pair") : step;
	t->b = second;
	return rows[r->type].as == SD_RDB_HASH ? SD_RDB_TOKEN : parse_score(r, second, &t->score);
}

static enum sd_rdb_step read_node(struct cursor *c, struct sd_rdb_token *t)
{
	enum sd_rdb_step step = read_count(c, &t->n);
	if (step != SD_RDB_TOKEN)
		return step;
	if (t->n != SD_RDB_PLAIN && t->n != SD_RDB_PACKED)
		return bad(c->r, "a list node of unknown kind %llu", (unsigned long long)t->n);
	return read_string(c, 0, &t->a);
}

static enum sd_rdb_step read_plain_part(struct cursor *c, struct sd_rdb_token *t)
{
	if (t->type == SD_RDB_LIST_NODES)
		return read_node(c, t);
	enum sd_rdb_step step = read_string(c, 0, &t->a);
	if (step != SD_RDB_TOKEN)
		return step;
	switch (t->type) {
	case SD_RDB_HASH:
		return read_string(c, 1, &t->b);
	case SD_RDB_ZSET:
		return read_score(c, &t->score);
	case SD_RDB_ZSET_TEXT:
		return read_score_text(c, &t->score);
	default:
		return SD_RDB_TOKEN;
	}
}

static enum sd_rdb_step read_part(struct cursor *c, struct sd_rdb_token *t)
{
	struct sd_rdb_reader *r = c->r;
	enum sd_rdb_step step = SD_RDB_TOKEN;
	bool none;
	t->kind = SD_RDB_PART;
	t->type = rows[r->type].as;
	while (step == SD_RDB_TOKEN && (r->in_ziplist || r->left)) {
		if (r->in_ziplist) {
			step = ziplist_part(r, t, &none);
			if (step != SD_RDB_TOKEN || !none)
				return step;
			r->in_ziplist = false;
			continue;
		}
		step = rows[r->type].ziplist ? open_ziplist(c) : read_plain_part(c, t);
		r->left -= step == SD_RDB_TOKEN;
		if (!r->in_ziplist)
			return step;
		c->kept = c->at;
	}
	if (step == SD_RDB_TOKEN) {
		t->kind = SD_RDB_DONE;
		r->at = r->alone ? SD_RDB_AT_END : SD_RDB_AT_KEY;
		r->expires_ms = r->idle_s = r->freq = -1;
	}
	return step;
}

/* ---- what stands between values ---- */

static enum sd_rdb_step read_head(struct cursor *c)
{
	struct sd_rdb_reader *r = c->r;
	const char *p = take(c, 9);
	unsigned v = 0;
	if (!p)
		return c->p && c->n && memcmp(c->p, "REDIS", c->n < 5 ? c->n : 5) != 0 ? bad(r, "no RDB file: it does not begin with REDIS")
									      : SD_RDB_MORE;
	for (size_t i = 5; i < 9; i++)
		v = p[i] >= '0' && p[i] <= '9' && v < 10000 ? v * 10 + (unsigned)(p[i] - '0') : 10000;
	if (memcmp(p, "REDIS", 5) != 0 || v == 0 || v >= 10000)
		return bad(r, "no RDB file: it does not begin with REDIS and a version");
	if (v > SD_RDB_VERSION)
		return bad(r, "RDB version %u; expected %u or an older one", v, SD_RDB_VERSION);
	r->version = v;
	r->at = SD_RDB_AT_KEY;
	r->expires_ms = r->idle_s = r->freq = -1;
	return SD_RDB_TOKEN;
}

static enum sd_rdb_step read_end(struct cursor *c, struct sd_rdb_token *t)
{
	struct sd_rdb_reader *r = c->r;
	t->kind = SD_RDB_END;
	uint64_t made = sd_crc64(r->crc, c->p, c->at);
	const char *p = r->version >= 5 ? take(c, 8) : c->p;
	if (!p)
		return SD_RDB_MORE;
	uint64_t said = r->version >= 5 ? sd_get_le(p, 8) : 0;
	if (said && said != made)
		return bad(r, "checksum %016llx; expected %016llx", (unsigned long long)made, (unsigned long long)said);
	r->at = SD_RDB_AT_END;
	return SD_RDB_TOKEN;
}

static enum sd_rdb_step read_type(struct cursor *c, unsigned type, struct sd_rdb_token *t)
{
	struct sd_rdb_reader *r = c->r;
	if (type >= sizeof(rows) / sizeof(rows[0]))
		return bad(r, "unknown type %u", type);
	if (!rows[type].known)
		return bad(r, "type %u (%s) is not supported", type, rows[type].name);
	enum sd_rdb_step step = r->alone ? SD_RDB_TOKEN : read_string(c, 0, &t->a);
	uint64_t left = 1;
	if (step == SD_RDB_TOKEN && rows[type].counted)
		step = read_count(c, &left);
	if (step != SD_RDB_TOKEN)
		return step;
	r->type = (uint8_t)type;
	r->left = left;
	r->in_ziplist = false;
	r->at = SD_RDB_AT_PART;
	*t = (struct sd_rdb_token){SD_RDB_KEY, rows[type].as, t->a, {0}, left, 0, 0, r->expires_ms, r->idle_s, r->freq};
	return SD_RDB_TOKEN;
}

static enum sd_rdb_step read_expiry(struct cursor *c, bool seconds)
{
	const char *p = take(c, seconds ? 4 : 8);
	if (!p)
		return SD_RDB_MORE;
	int64_t v = seconds ? (int64_t)(int32_t)sd_get_le(p, 4) * 1000 : (int64_t)sd_get_le(p, 8);
	c->r->expires_ms = v < 0 ? 0 : v;
	return SD_RDB_TOKEN;
}

static enum sd_rdb_step read_use(struct cursor *c, bool freq)
{
	uint64_t n = 0;
	if (freq) {
		const char *p = take(c, 1);
		if (!p)
			return SD_RDB_MORE;
		c->r->freq = (unsigned char)*p;
		return SD_RDB_TOKEN;
	}
	enum sd_rdb_step step = read_count(c, &n);
	if (step == SD_RDB_TOKEN)
		c->r->idle_s = n > INT64_MAX ? INT64_MAX : (int64_t)n;
	return step;
}

static enum sd_rdb_step read_two(struct cursor *c, struct sd_rdb_token *t, unsigned op)
{
	enum sd_rdb_step step;
	switch (op) {
	case OP_AUX:
		t->kind = SD_RDB_AUX;
		step = read_string(c, 0, &t->a);
		return step == SD_RDB_TOKEN ? read_string(c, 1, &t->b) : step;
	case OP_SIZES:
		t->kind = SD_RDB_SIZES;
		step = read_count(c, &t->n);
		return step == SD_RDB_TOKEN ? read_count(c, &t->m) : step;
	default:
		t->kind = SD_RDB_DB;
		return read_count(c, &t->n);
	}
}

/* *token: one is made; else it was something to remember for the key that follows. */
static enum sd_rdb_step read_op(struct cursor *c, struct sd_rdb_token *t, bool *token)
{
	const char *p = take(c, 1);
	unsigned op = p ? (unsigned char)*p : 0;
	*token = true;
	if (!p)
		return SD_RDB_MORE;
	switch (op) {
	case OP_FUNCTION:
	case OP_FUNCTION_OLD:
		return bad(c->r, "Lua functions are not supported");
	case OP_MODULE:
		return bad(c->r, "data of modules is not supported");
	case OP_EXPIRES_MS:
	case OP_EXPIRES_S:
		*token = false;
		return read_expiry(c, op == OP_EXPIRES_S);
	case OP_IDLE:
	case OP_FREQ:
		*token = false;
		return read_use(c, op == OP_FREQ);
	case OP_AUX:
	case OP_SIZES:
	case OP_DB:
		return read_two(c, t, op);
	case OP_END:
		return read_end(c, t);
	default:
		return read_type(c, op, t);
	}
}

/* ---- the whole ---- */

static void done(struct cursor *c, size_t *took)
{
	struct sd_rdb_reader *r = c->r;
	r->crc = sd_crc64(r->crc, c->p, c->at);
	r->offset += c->at;
	*took += c->at;
	c->p += c->at;
	c->n -= c->at;
	c->at = c->kept = 0;
}

static enum sd_rdb_step read_alone(struct cursor *c, struct sd_rdb_token *t)
{
	const char *p;
	if (c->r->at == SD_RDB_AT_KEY)
		return (p = take(c, 1)) ? read_type(c, (unsigned char)*p, t) : SD_RDB_MORE;
	if (c->r->at == SD_RDB_AT_PART)
		return read_part(c, t);
	t->kind = SD_RDB_END;
	return c->n ? bad(c->r, "%zu bytes behind the value", c->n) : SD_RDB_TOKEN;
}

enum sd_rdb_step sd_rdb_read(struct sd_rdb_reader *r, const char *p, size_t n, size_t *took, struct sd_rdb_token *t)
{
	struct cursor c = {.r = r, .p = p, .n = n};
	enum sd_rdb_step step = SD_RDB_TOKEN;
	bool token = false;
	*took = 0;
	while (!token && step == SD_RDB_TOKEN) {
		*t = (struct sd_rdb_token){.expires_ms = -1, .idle_s = -1, .freq = -1};
		token = r->at != SD_RDB_AT_HEAD;
		if (r->alone)
			step = read_alone(&c, t);
		else if (r->at == SD_RDB_AT_HEAD)
			step = read_head(&c);
		else if (r->at == SD_RDB_AT_PART)
			step = read_part(&c, t);
		else if (r->at == SD_RDB_AT_KEY)
			step = read_op(&c, t, &token);
		else
			t->kind = SD_RDB_END;
		if (step == SD_RDB_MORE) {
			r->need -= c.kept;
			c.at = c.kept;
		}
		if (step != SD_RDB_BAD)
			done(&c, took);
	}
	return step;
}

void sd_rdb_reader_value(struct sd_rdb_reader *r)
{
	*r = (struct sd_rdb_reader){
	    .alone = true, .at = SD_RDB_AT_KEY, .version = SD_RDB_VERSION, .expires_ms = -1, .idle_s = -1, .freq = -1};
}

void sd_rdb_reader_free(struct sd_rdb_reader *r)
{
	for (size_t i = 0; i < 2; i++)
		free(r->unpacked[i].p);
	*r = (struct sd_rdb_reader){0};
}

bool sd_rdb_check_seal(struct sd_slice dump, struct sd_slice *value)
{
	if (dump.n < SEAL || sd_get_le(dump.p + dump.n - SEAL, 2) > SD_RDB_VERSION)
		return false;
	*value = (struct sd_slice){dump.p, dump.n - SEAL};
	return sd_get_le(dump.p + dump.n - 8, 8) == sd_crc64(0, dump.p, dump.n - 8);
}
