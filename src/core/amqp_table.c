#include "core/amqp.h"

#include <math.h>

#include "core/amqp_int.h"

/* Kinds that are numbers of so many bytes. */
static const struct {
	char kind;
	uint8_t bytes;
	bool negative; /* may be */
} numbers[] = {{'t', 1, false}, {'b', 1, true},	 {'B', 1, false}, {'s', 2, true}, {'u', 2, false},
	       {'I', 4, true},	{'i', 4, false}, {'l', 8, true},  {'T', 8, true}};

/* Where it stands in `numbers`; -1: it is none of them. */
static int number_of(char kind)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i].kind == kind)
			return (int)i;
	return -1;
}

static int64_t signed_of(uint64_t v, unsigned bytes)
{
	uint64_t sign = UINT64_C(1) << (8 * (bytes ? bytes : 1) - 1);
	return (int64_t)((v ^ sign) - sign);
}

static double real_of(uint64_t v, size_t bytes)
{
	double d;
	float f;
	uint32_t low = (uint32_t)v;
	memcpy(&d, &v, sizeof(d));
	memcpy(&f, &low, sizeof(f));
	return bytes == 4 ? (double)f : d;
}

static uint64_t bytes_of_real(double real, size_t bytes)
{
	uint64_t v;
	uint32_t low;
	float f = (float)real;
	memcpy(&v, &real, sizeof(v));
	memcpy(&low, &f, sizeof(low));
	return bytes == 4 ? low : v;
}

/* ---- reading ---- */

static void get_value(struct amqp_reader *r, struct sd_amqp_field *out)
{
	int i = number_of(out->kind);
	if (i >= 0) {
		uint64_t v = amqp_take_number(r, numbers[i].bytes);
		out->n = numbers[i].negative && !r->bad ? signed_of(v, numbers[i].bytes) : (int64_t)v;
		if (out->kind == 't')
			out->n = v != 0;
		return;
	}
	switch (out->kind) {
	case 'f':
	case 'd':
		out->real = real_of(amqp_take_number(r, out->kind == 'f' ? 4 : 8), out->kind == 'f' ? 4 : 8);
		return;
	case 'D':
		out->scale = (uint8_t)amqp_take_number(r, 1);
		out->n = (int64_t)amqp_take_number(r, 4);
		return;
	case 'S':
	case 'x':
	case 'A':
	case 'F':
		out->s = amqp_take_string(r, 4);
		return;
	case 'V':
		return;
	default:
		r->bad = true;
	}
}

static bool next(struct sd_slice *rest, bool named, struct sd_amqp_field *out)
{
	struct amqp_reader r = {*rest, false};
	*out = (struct sd_amqp_field){0};
	if (!rest->n)
		return false;
	if (named)
		out->name = amqp_take_string(&r, 1);
	out->kind = (char)amqp_take_number(&r, 1);
	get_value(&r, out);
	if (r.bad)
		return false;
	*rest = r.rest;
	return true;
}

bool sd_amqp_next_field(struct sd_slice *rest, struct sd_amqp_field *out)
{
	return next(rest, true, out);
}

bool sd_amqp_next_item(struct sd_slice *rest, struct sd_amqp_field *out)
{
	return next(rest, false, out);
}

static bool is_whole(struct sd_slice in, bool named, int depth)
{
	struct sd_amqp_field f;
	while (next(&in, named, &f))
		if ((f.kind == 'F' || f.kind == 'A') && (depth == 0 || !is_whole(f.s, f.kind == 'F', depth - 1)))
			return false;
	return in.n == 0;
}

bool sd_amqp_is_table(struct sd_slice table)
{
	return is_whole(table, true, SD_AMQP_DEPTH);
}

static bool same_bytes(struct sd_slice a, struct sd_slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static bool find(struct sd_slice table, struct sd_slice name, struct sd_amqp_field *out)
{
	while (next(&table, true, out))
		if (same_bytes(out->name, name))
			return true;
	return false;
}

bool sd_amqp_find(struct sd_slice table, const char *name, struct sd_amqp_field *out)
{
	return find(table, sd_slice_of(name), out);
}

bool sd_amqp_field_int(const struct sd_amqp_field *f, int64_t *out)
{
	if (number_of(f->kind) < 0 || f->kind == 't' || f->kind == 'T')
		return false;
	*out = f->n;
	return true;
}

/* ---- comparing ---- */

static bool arrays_eq(struct sd_slice a, struct sd_slice b)
{
	struct sd_amqp_field x, y;
	while (a.n && b.n)
		if (!next(&a, false, &x) || !next(&b, false, &y) || !sd_amqp_field_eq(&x, &y))
			return false;
	return !a.n && !b.n;
}

static bool is_real(const struct sd_amqp_field *f)
{
	return f->kind == 'f' || f->kind == 'd';
}

bool sd_amqp_field_eq(const struct sd_amqp_field *a, const struct sd_amqp_field *b)
{
	int64_t m, n;
	if (sd_amqp_field_int(a, &m) && sd_amqp_field_int(b, &n))
		return m == n;
	if (is_real(a) && is_real(b))
		return a->real == b->real || (isnan(a->real) && isnan(b->real));
	if (a->kind != b->kind)
		return false;
	if (a->kind == 'F')
		return sd_amqp_table_eq(a->s, b->s);
	if (a->kind == 'A')
		return arrays_eq(a->s, b->s);
	return a->n == b->n && a->scale == b->scale && same_bytes(a->s, b->s);
}

/* SIZE_MAX: it is no table. */
static size_t count(struct sd_slice table)
{
	struct sd_amqp_field f;
	size_t n = 0;
	while (next(&table, true, &f))
		n++;
	return table.n ? SIZE_MAX : n;
}

bool sd_amqp_table_eq(struct sd_slice a, struct sd_slice b)
{
	struct sd_amqp_field x, y;
	struct sd_slice rest = b;
	size_t n = count(a);
	if (n == SIZE_MAX || n != count(b))
		return false;
	while (next(&a, true, &x)) {
		bool there = next(&rest, true, &y) && same_bytes(x.name, y.name);
		if (!there && n <= SD_AMQP_UNORDERED)
			there = find(b, x.name, &y);
		if (!there || !sd_amqp_field_eq(&x, &y))
			return false;
	}
	return true;
}

/* ---- writing ---- */

static void put_name(struct sd_text *t, const char *name, char kind)
{
	if (name)
		amqp_put_short(t, sd_slice_of(name));
	sd_text_fill(t, kind, 1);
}

void sd_amqp_put_field(struct sd_text *t, const char *name, const struct sd_amqp_field *f)
{
	int i = number_of(f->kind);
	put_name(t, name, f->kind);
	if (i >= 0) {
		amqp_put_number(t, f->kind == 't' ? f->n != 0 : (uint64_t)f->n, numbers[i].bytes);
	} else if (f->kind == 'f' || f->kind == 'd') {
		size_t bytes = f->kind == 'f' ? 4 : 8;
		amqp_put_number(t, bytes_of_real(f->real, bytes), bytes);
	} else if (f->kind == 'D') {
		amqp_put_number(t, f->scale, 1);
		amqp_put_number(t, (uint64_t)f->n, 4);
	} else if (f->kind != 'V') {
		amqp_put_long(t, f->s);
	}
}

void sd_amqp_put_string(struct sd_text *t, const char *name, struct sd_slice s)
{
	sd_amqp_put_field(t, name, &(struct sd_amqp_field){.kind = 'S', .s = s});
}

void sd_amqp_put_int(struct sd_text *t, const char *name, int64_t n)
{
	sd_amqp_put_field(t, name, &(struct sd_amqp_field){.kind = 'l', .n = n});
}

void sd_amqp_put_bool(struct sd_text *t, const char *name, bool b)
{
	sd_amqp_put_field(t, name, &(struct sd_amqp_field){.kind = 't', .n = b});
}

size_t sd_amqp_begin_field(struct sd_text *t, const char *name, char kind)
{
	put_name(t, name, kind);
	size_t at = t->n;
	sd_text_fill(t, 0, 4);
	return at;
}

void sd_amqp_end_field(struct sd_text *t, size_t at)
{
	amqp_put_length(t, at, 4);
}
