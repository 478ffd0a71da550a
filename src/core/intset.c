#include "intset.h"

#include <endian.h>
#include <string.h>

#define HEAD SD_INTSET_EMPTY

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static uint32_t width(const uint8_t *s)
{
	return get32(s);
}

static void set_count(uint8_t *s, uint32_t n)
{
	put32(s + 4, n);
}

static uint32_t width_for(int64_t v)
{
	return v >= INT16_MIN && v <= INT16_MAX ? 2 : v >= INT32_MIN && v <= INT32_MAX ? 4 : 8;
}

static int64_t get(const uint8_t *s, uint32_t w, uint32_t i)
{
	const uint8_t *p = s + HEAD + (size_t)i * w;
	uint64_t v = 0;
	uint16_t h;
	if (w == 2) {
		memcpy(&h, p, sizeof(h));
		return (int16_t)le16toh(h);
	}
	if (w == 4)
		return (int32_t)get32(p);
	memcpy(&v, p, sizeof(v));
	return (int64_t)le64toh(v);
}

static void put(uint8_t *s, uint32_t w, uint32_t i, int64_t v)
{
	uint64_t little = htole64((uint64_t)v); /* the low bytes come first, so that a narrow value is the beginning of a wide one */
	memcpy(s + HEAD + (size_t)i * w, &little, w);
}

void sd_intset_init(uint8_t *s)
{
	put32(s, 2);
	set_count(s, 0);
}

bool sd_intset_valid(const uint8_t *p, size_t n)
{
	if (n < HEAD)
		return false;
	uint32_t w = width(p), count = sd_intset_count(p);
	if ((w != 2 && w != 4 && w != 8) || (n - HEAD) / w != count || (n - HEAD) % w)
		return false;
	for (uint32_t i = 1; i < count; i++)
		if (get(p, w, i - 1) >= get(p, w, i))
			return false;
	return true;
}

uint32_t sd_intset_count(const uint8_t *s)
{
	return get32(s + 4);
}

size_t sd_intset_bytes(const uint8_t *s)
{
	return HEAD + (size_t)sd_intset_count(s) * width(s);
}

int64_t sd_intset_at(const uint8_t *s, uint32_t i)
{
	return get(s, width(s), i);
}

bool sd_intset_find(const uint8_t *s, int64_t v, uint32_t *at)
{
	uint32_t w = width(s), n = sd_intset_count(s), low = 0, high = n;
	if (n && v > get(s, w, n - 1)) /* numbers that grow are the usual thing */
		low = n;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (get(s, w, mid) < v)
			low = mid + 1;
		else
			high = mid;
	}
	if (at)
		*at = low;
	return low < n && get(s, w, low) == v;
}

static uint32_t width_with(const uint8_t *s, int64_t v)
{
	uint32_t has = width(s), needs = width_for(v);
	return has > needs ? has : needs;
}

size_t sd_intset_bytes_with(const uint8_t *s, int64_t v)
{
	return HEAD + ((size_t)sd_intset_count(s) + 1) * width_with(s, v);
}

/* From the last on, as each goes further back than it was. */
static void widen(uint8_t *s, uint32_t from, uint32_t to)
{
	for (uint32_t i = sd_intset_count(s); i-- > 0;)
		put(s, to, i, get(s, from, i));
	put32(s, to);
}

void sd_intset_add(uint8_t *s, int64_t v)
{
	uint32_t w = width_with(s, v), n = sd_intset_count(s), at;
	if (w != width(s))
		widen(s, width(s), w);
	sd_intset_find(s, v, &at);
	uint8_t *p = s + HEAD + (size_t)at * w;
	memmove(p + w, p, (size_t)(n - at) * w);
	put(s, w, at, v);
	set_count(s, n + 1);
}

void sd_intset_remove_at(uint8_t *s, uint32_t i)
{
	uint32_t w = width(s), n = sd_intset_count(s);
	uint8_t *p = s + HEAD + (size_t)i * w;
	memmove(p, p + w, (size_t)(n - i - 1) * w);
	set_count(s, n - 1);
}
