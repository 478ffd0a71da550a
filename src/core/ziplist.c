#include "ziplist.h"

#include <stdio.h>

#include "bytes.h"

#define HEAD 10
#define END  255

bool sd_ziplist_begin(struct sd_ziplist_reader *r, struct sd_slice all)
{
	*r = (struct sd_ziplist_reader){.all = all, .at = HEAD};
	return all.n > HEAD && sd_get_le(all.p, 4) == all.n && (unsigned char)all.p[all.n - 1] == END;
}

/* What the head says agrees with what was found. */
static bool is_whole(const struct sd_ziplist_reader *r)
{
	uint64_t n = sd_get_le(r->all.p + 8, 2);
	return (n == 65535 || n == r->n) && sd_get_le(r->all.p + 4, 4) == r->at - r->before;
}

/* Bytes of a number kept with this first byte; 0: none of these. */
static size_t number_size(unsigned char c)
{
	switch (c) {
	case 0xc0:
		return 2;
	case 0xd0:
		return 4;
	case 0xe0:
		return 8;
	case 0xf0:
		return 3;
	case 0xfe:
		return 1;
	default:
		return 0;
	}
}

static struct sd_slice number(struct sd_ziplist_reader *r, uint64_t v, size_t bytes)
{
	unsigned unused = 64 - 8 * (unsigned)bytes;
	long long n = (long long)((int64_t)(v << unused) >> unused);
	return (struct sd_slice){r->number, (size_t)snprintf(r->number, sizeof(r->number), "%lld", n)};
}

/* The length of a string behind its first byte; false when this is no string. */
static bool string_length(const unsigned char *p, size_t *head, size_t *n)
{
	static const unsigned char sizes[4] = {1, 2, 5, 0};
	*head = sizes[p[0] >> 6];
	if (!*head || (*head == 5 && p[0] != 0x80))
		return false;
	*n = *head == 5 ? (size_t)sd_get_be(p + 1, 4) : *head == 2 ? (size_t)(p[0] & 63) << 8 | p[1] : p[0] & 63u;
	return true;
}

/* The entry at p, before end: how many bytes it has; 0: damaged. */
static size_t entry(struct sd_ziplist_reader *r, const unsigned char *p, size_t left, struct sd_slice *out)
{
	static const unsigned char heads[4] = {1, 2, 5, 1};
	size_t head, n;
	if (left < heads[p[0] >> 6])
		return 0;
	if (string_length(p, &head, &n)) {
		*out = (struct sd_slice){(const char *)p + head, n};
		return n <= left - head ? head + n : 0;
	}
	n = number_size(p[0]);
	if (n && n < left) {
		*out = number(r, sd_get_le(p + 1, n), n);
		return 1 + n;
	}
	if (n || p[0] < 0xf1 || p[0] > 0xfd)
		return 0;
	*out = number(r, (p[0] & 15u) - 1, 8);
	return 1;
}

int sd_ziplist_next(struct sd_ziplist_reader *r, struct sd_slice *out)
{
	const unsigned char *p = (const unsigned char *)r->all.p + r->at;
	size_t left = r->all.n - 1 - r->at; /* without the end byte */
	if (!left)
		return (r->n ? is_whole(r) : sd_get_le(r->all.p + 8, 2) == 0) ? 0 : -1;
	size_t before = *p == 254 ? 5 : 1;
	if (*p == END || left <= before || (before == 5 ? sd_get_le(p + 1, 4) : *p) != r->before)
		return -1;
	size_t n = entry(r, p + before, left - before, out);
	if (!n)
		return -1;
	r->before = before + n;
	r->at += r->before;
	r->n++;
	return 1;
}
