#include <stdio.h>
#include <string.h>

#include "bytes.h"
#include "crc64.h"
#include "rdb.h"
#include "rdb_int.h"
#include "resp.h"

static void put_byte(struct sd_text *t, unsigned v)
{
	char c = (char)v;
	sd_text_add(t, &c, 1);
}

static void put_le(struct sd_text *t, uint64_t v, size_t n)
{
	char b[8];
	sd_put_le(b, v, n);
	sd_text_add(t, b, n);
}

void sd_rdb_put_head(struct sd_text *t)
{
	sd_text_format(t, "REDIS%04d", SD_RDB_VERSION);
}

void sd_rdb_put_aux(struct sd_text *t, const char *name, const char *value)
{
	put_byte(t, OP_AUX);
	sd_rdb_put_string(t, sd_slice_of(name));
	sd_rdb_put_string(t, sd_slice_of(value));
}

void sd_rdb_put_db(struct sd_text *t, uint64_t number)
{
	put_byte(t, OP_DB);
	sd_rdb_put_length(t, number);
}

void sd_rdb_put_sizes(struct sd_text *t, uint64_t keys, uint64_t expiring)
{
	put_byte(t, OP_SIZES);
	sd_rdb_put_length(t, keys);
	sd_rdb_put_length(t, expiring);
}

void sd_rdb_put_expiry(struct sd_text *t, int64_t at_ms)
{
	put_byte(t, OP_EXPIRES_MS);
	put_le(t, (uint64_t)at_ms, 8);
}

void sd_rdb_put_idle(struct sd_text *t, uint64_t seconds)
{
	put_byte(t, OP_IDLE);
	sd_rdb_put_length(t, seconds);
}

void sd_rdb_put_freq(struct sd_text *t, uint8_t freq)
{
	put_byte(t, OP_FREQ);
	put_byte(t, freq);
}

void sd_rdb_put_type(struct sd_text *t, enum sd_rdb_type type)
{
	put_byte(t, type);
}

void sd_rdb_put_length(struct sd_text *t, uint64_t n)
{
	char b[9];
	size_t size = n < 64 ? 1 : n < 16384 ? 2 : n <= UINT32_MAX ? 5 : 9;
	if (size <= 2) {
		sd_put_be(b, n | (size == 2 ? LENGTH_14 << 8 : 0), size);
	} else {
		b[0] = (char)(size == 5 ? LENGTH_32 : LENGTH_64);
		sd_put_be(b + 1, n, size - 1);
	}
	sd_text_add(t, b, size);
}

/* False: it needs more than four bytes. */
static bool put_number(struct sd_text *t, int64_t v)
{
	size_t size = v == (int8_t)v ? 1 : v == (int16_t)v ? 2 : 4;
	if (v != (int32_t)v)
		return false;
	put_byte(t, size == 1 ? STRING_INT8 : size == 2 ? STRING_INT16 : STRING_INT32);
	put_le(t, (uint64_t)v, size);
	return true;
}

void sd_rdb_put_string(struct sd_text *t, struct sd_slice s)
{
	int64_t v;
	if (s.n <= 11 && sd_resp_parse_int(s, &v) && put_number(t, v))
		return;
	sd_rdb_put_length(t, s.n);
	sd_text_add(t, s.p, s.n);
}

void sd_rdb_put_int(struct sd_text *t, int64_t v)
{
	if (put_number(t, v))
		return;
	char digits[24];
	size_t n = (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)v);
	sd_rdb_put_length(t, n);
	sd_text_add(t, digits, n);
}

void sd_rdb_put_score(struct sd_text *t, double v)
{
	uint64_t bits;
	memcpy(&bits, &v, sizeof(bits));
	put_le(t, bits, 8);
}

void sd_rdb_put_end(struct sd_text *t)
{
	put_byte(t, OP_END);
}

void sd_rdb_put_seal(struct sd_text *t)
{
	put_le(t, SD_RDB_VERSION, 2);
	if (!t->full)
		put_le(t, sd_crc64(0, t->p, t->n), 8);
}
