#include "listpack.h"

#include "core/resp.h"

#define END       0xff
#define UNCOUNTED 65535 /* entries are so many or more */

enum {
	STRING_32 = 0xf0,
	INT_16 = 0xf1,
	INT_24 = 0xf2,
	INT_32 = 0xf3,
	INT_64 = 0xf4,
};

/* ---- numbers in bytes ---- */

static void put_le(unsigned char *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get_le(const unsigned char *p, unsigned n)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

/* v has so many bits, the highest of which is its sign. */
static int64_t with_sign(uint64_t v, unsigned bits)
{
	return (int64_t)(v << (64 - bits)) >> (64 - bits);
}

static void set_bytes(unsigned char *lp, size_t n)
{
	put_le(lp, n, 4);
}

static unsigned stored_count(const unsigned char *lp)
{
	return (unsigned)get_le(lp + 4, 2);
}

/* Once they are not counted, they stay so: Redis's rule. */
static void add_count(unsigned char *lp, unsigned more)
{
	if (stored_count(lp) != UNCOUNTED)
		put_le(lp + 4, stored_count(lp) + more, 2);
}

/* ---- the length at an entry's end ---- */

/* One less than seven bits would hold, from the second byte on: what is written by Redis is so. */
static unsigned back_size(size_t n)
{
	return n <= 127 ? 1 : n < 16383 ? 2 : n < 2097151 ? 3 : n < 268435455 ? 4 : 5;
}

static void put_back(unsigned char *p, size_t n)
{
	unsigned size = back_size(n);
	for (unsigned i = 0; i < size; i++) {
		unsigned char low = (unsigned char)(n >> (7 * (size - 1 - i)) & 127);
		p[i] = i ? low | 128 : low;
	}
}

/* p: the byte behind it. */
static size_t get_back(const unsigned char *p)
{
	size_t n = 0;
	for (unsigned shift = 0; shift <= 28; shift += 7) {
		n |= (size_t)(*--p & 127) << shift;
		if (!(*p & 128))
			break;
	}
	return n;
}

/* ---- codes ---- */

/* Bytes of code and length in front of the data, by the code alone; 0: it is none. */
static unsigned head_size(unsigned char code)
{
	return code < 0xc0 ? 1 : code < 0xf0 ? 2 : code == STRING_32 ? 5 : code <= INT_64 ? 1 : 0;
}

/* Bytes behind the head, which is all there. */
static size_t body_size(const unsigned char *p)
{
	static const unsigned char of_int[] = {[INT_16 - INT_16] = 2, [INT_24 - INT_16] = 3, [INT_32 - INT_16] = 4, [INT_64 - INT_16] = 8};
	if (p[0] < 0x80)
		return 0;
	if (p[0] < 0xc0)
		return p[0] & 0x3f;
	if (p[0] < 0xe0)
		return 0;
	if (p[0] < 0xf0)
		return (size_t)(p[0] & 0xf) << 8 | p[1];
	return p[0] == STRING_32 ? get_le(p + 1, 4) : of_int[p[0] - INT_16];
}

/* Without the length at its end. */
static size_t front_size(const unsigned char *p)
{
	return head_size(p[0]) + body_size(p);
}

static size_t whole_size(const unsigned char *p)
{
	size_t n = front_size(p);
	return n + back_size(n);
}

/* ---- entries to put in ---- */

static void finish(struct sd_listpack_new *e, unsigned head_n, struct sd_slice body)
{
	e->head_n = head_n;
	e->body = body;
	e->size = head_n + body.n + back_size(head_n + body.n);
}

void sd_listpack_encode_int(int64_t v, struct sd_listpack_new *e)
{
	static const struct {
		unsigned bits, bytes;
		unsigned char code;
	} wide[] = {{16, 2, INT_16}, {24, 3, INT_24}, {32, 4, INT_32}, {64, 8, INT_64}};
	unsigned i = 0;
	if (v >= 0 && v <= 127) {
		e->head[0] = (unsigned char)v;
		finish(e, 1, (struct sd_slice){0});
		return;
	}
	if (v >= -4096 && v <= 4095) {
		e->head[0] = (unsigned char)(0xc0 | ((uint64_t)v >> 8 & 0x1f));
		e->head[1] = (unsigned char)v;
		finish(e, 2, (struct sd_slice){0});
		return;
	}
	while (with_sign((uint64_t)v, wide[i].bits) != v)
		i++;
	e->head[0] = wide[i].code;
	put_le(e->head + 1, (uint64_t)v, wide[i].bytes);
	finish(e, 1 + wide[i].bytes, (struct sd_slice){0});
}

bool sd_listpack_encode(struct sd_slice s, struct sd_listpack_new *e)
{
	int64_t v;
	if (s.n <= 20 && sd_resp_parse_int(s, &v)) {
		sd_listpack_encode_int(v, e);
	} else if (s.n < 64) {
		e->head[0] = (unsigned char)(0x80 | s.n);
		finish(e, 1, s);
	} else if (s.n < 4096) {
		e->head[0] = (unsigned char)(0xe0 | s.n >> 8);
		e->head[1] = (unsigned char)s.n;
		finish(e, 2, s);
	} else {
		e->head[0] = STRING_32;
		put_le(e->head + 1, s.n, 4);
		finish(e, 5, s);
	}
	return s.n <= SD_LISTPACK_MAX;
}

static void put_entry(unsigned char *p, const struct sd_listpack_new *e)
{
	memcpy(p, e->head, e->head_n);
	if (e->body.n)
		memcpy(p + e->head_n, e->body.p, e->body.n);
	put_back(p + e->head_n + e->body.n, e->head_n + e->body.n);
}

/* ---- looking ---- */

void sd_listpack_init(unsigned char *lp)
{
	set_bytes(lp, SD_LISTPACK_EMPTY);
	put_le(lp + 4, 0, 2);
	lp[SD_LISTPACK_HEADER] = END;
}

size_t sd_listpack_count(const unsigned char *lp)
{
	size_t n = 0;
	if (stored_count(lp) != UNCOUNTED)
		return stored_count(lp);
	for (size_t at = sd_listpack_first(lp); at; at = sd_listpack_next(lp, at))
		n++;
	return n;
}

static size_t unless_end(const unsigned char *lp, size_t at)
{
	return lp[at] == END ? 0 : at;
}

size_t sd_listpack_first(const unsigned char *lp)
{
	return unless_end(lp, SD_LISTPACK_HEADER);
}

size_t sd_listpack_last(const unsigned char *lp)
{
	return sd_listpack_prev(lp, sd_listpack_end(lp));
}

size_t sd_listpack_next(const unsigned char *lp, size_t at)
{
	return unless_end(lp, at + whole_size(lp + at));
}

size_t sd_listpack_prev(const unsigned char *lp, size_t at)
{
	if (at <= SD_LISTPACK_HEADER)
		return 0;
	size_t n = get_back(lp + at);
	return at - n - back_size(n);
}

size_t sd_listpack_seek(const unsigned char *lp, int64_t index)
{
	int64_t n = stored_count(lp);
	if (n != UNCOUNTED) {
		index += index < 0 ? n : 0;
		if (index < 0 || index >= n)
			return 0;
		index -= index > n / 2 ? n : 0;
	}
	size_t at = index < 0 ? sd_listpack_last(lp) : sd_listpack_first(lp);
	for (; index > 0 && at; index--)
		at = sd_listpack_next(lp, at);
	for (; index < -1 && at; index++)
		at = sd_listpack_prev(lp, at);
	return at;
}

void sd_listpack_get(const unsigned char *lp, size_t at, struct sd_listpack_value *v)
{
	const unsigned char *p = lp + at;
	*v = (struct sd_listpack_value){.is_number = true};
	if (p[0] < 0x80)
		v->number = p[0];
	else if (p[0] >= 0xc0 && p[0] < 0xe0)
		v->number = with_sign((uint64_t)(p[0] & 0x1f) << 8 | p[1], 13);
	else if (p[0] > STRING_32)
		v->number = with_sign(get_le(p + 1, (unsigned)body_size(p)), 8 * (unsigned)body_size(p));
	else
		*v = (struct sd_listpack_value){.text = {(const char *)p + head_size(p[0]), body_size(p)}};
}

struct sd_slice sd_listpack_text(const unsigned char *lp, size_t at, char text[SD_LISTPACK_TEXT])
{
	struct sd_listpack_value v;
	sd_listpack_get(lp, at, &v);
	if (!v.is_number)
		return v.text;
	return (struct sd_slice){text, sd_resp_int_text(text, v.number)};
}

size_t sd_listpack_size(const unsigned char *lp, size_t at)
{
	return whole_size(lp + at);
}

/* number: what the text is, when is_number. */
static bool equals(const unsigned char *lp, size_t at, struct sd_slice text, bool is_number, int64_t number)
{
	struct sd_listpack_value v;
	sd_listpack_get(lp, at, &v);
	if (v.is_number)
		return is_number && v.number == number;
	return v.text.n == text.n && (text.n == 0 || memcmp(v.text.p, text.p, text.n) == 0);
}

bool sd_listpack_equals(const unsigned char *lp, size_t at, struct sd_slice value)
{
	int64_t number = 0;
	bool is_number = sd_resp_parse_int(value, &number);
	return equals(lp, at, value, is_number, number);
}

size_t sd_listpack_find(const unsigned char *lp, size_t at, struct sd_slice value, unsigned skip)
{
	int64_t number = 0;
	bool is_number = sd_resp_parse_int(value, &number);
	while (at && !equals(lp, at, value, is_number, number))
		for (unsigned i = 0; i <= skip && at; i++)
			at = sd_listpack_next(lp, at);
	return at;
}

/* ---- changing ---- */

/* What is from `from` on moves to `to`; the size follows. */
static void shift(unsigned char *lp, size_t from, size_t to)
{
	size_t bytes = sd_listpack_bytes(lp);
	memmove(lp + to, lp + from, bytes - from);
	set_bytes(lp, bytes - from + to);
}

void sd_listpack_insert(unsigned char *lp, size_t at, const struct sd_listpack_new *e)
{
	shift(lp, at, at + e->size);
	put_entry(lp + at, e);
	add_count(lp, 1);
}

void sd_listpack_replace(unsigned char *lp, size_t at, const struct sd_listpack_new *e)
{
	size_t was = whole_size(lp + at);
	if (was != e->size)
		shift(lp, at + was, at + e->size);
	put_entry(lp + at, e);
}

size_t sd_listpack_span(const unsigned char *lp, size_t at, size_t *n)
{
	size_t to = at, done = 0;
	for (; done < *n && lp[to] != END; done++)
		to += whole_size(lp + to);
	*n = done;
	return to - at;
}

size_t sd_listpack_delete(unsigned char *lp, size_t at, size_t n)
{
	size_t bytes = sd_listpack_span(lp, at, &n);
	shift(lp, at + bytes, at);
	add_count(lp, -(unsigned)n);
	return n;
}

void sd_listpack_append(unsigned char *lp, const unsigned char *from, size_t at, size_t bytes, size_t n)
{
	size_t end = sd_listpack_end(lp), count = stored_count(lp) + n;
	memcpy(lp + end, from + at, bytes);
	lp[end + bytes] = END;
	set_bytes(lp, end + bytes + 1);
	put_le(lp + 4, count < UNCOUNTED ? count : UNCOUNTED, 2);
}

unsigned char *sd_listpack_push_front(unsigned char *lp, const struct sd_listpack_new *e)
{
	unsigned char *begin = lp - e->size;
	size_t bytes = sd_listpack_bytes(lp);
	memmove(begin, lp, SD_LISTPACK_HEADER);
	put_entry(begin + SD_LISTPACK_HEADER, e);
	set_bytes(begin, bytes + e->size);
	add_count(begin, 1);
	return begin;
}

unsigned char *sd_listpack_pop_front(unsigned char *lp)
{
	size_t size = whole_size(lp + SD_LISTPACK_HEADER), bytes = sd_listpack_bytes(lp);
	unsigned char *begin = lp + size;
	memmove(begin, lp, SD_LISTPACK_HEADER);
	set_bytes(begin, bytes - size);
	add_count(begin, -1u);
	return begin;
}

/* ---- bytes from elsewhere ---- */

/* Of the entry at p, of which n bytes are there with the end of all; 0: it is none. */
static size_t whole_entry(const unsigned char *p, size_t n)
{
	unsigned char back[5];
	unsigned head = head_size(p[0]);
	if (!head || head >= n)
		return 0;
	size_t front = head + body_size(p), size = front + back_size(front);
	if (size >= n)
		return 0;
	put_back(back, front);
	return memcmp(back, p + front, size - front) == 0 ? size : 0;
}

bool sd_listpack_validate(const unsigned char *p, size_t n,
			  bool (*each)(void *arg, const unsigned char *lp, size_t at), void *arg)
{
	size_t at = SD_LISTPACK_HEADER, count = 0, size;
	if (n < SD_LISTPACK_EMPTY || sd_listpack_bytes(p) != n || p[n - 1] != END)
		return false;
	for (; at < n - 1; at += size, count++) {
		size = whole_entry(p + at, n - at);
		if (!size || (each && !each(arg, p, at)))
			return false;
	}
	return stored_count(p) == UNCOUNTED || stored_count(p) == count;
}
