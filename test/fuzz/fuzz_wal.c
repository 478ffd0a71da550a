/* A segment of a log from arbitrary bytes: header, records, verdict, and on behind damage until nothing more is found. Nothing
 * is read outside of it, each step makes progress, and what is accepted is written again as the same bytes. With the lowest bit of
 * the last byte set checksums are not looked at, so that more is reached. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk/wal_scan.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

struct input {
	const unsigned char *p;
	size_t n;
};

static enum sd_err from_input(void *arg, void *buf, size_t n, uint64_t off, size_t *got, struct sd_error *e)
{
	const struct input *in = arg;
	(void)e;
	*got = off >= in->n ? 0 : in->n - off < n ? (size_t)(in->n - off) : n;
	memcpy(buf, in->p + off, *got);
	return SD_OK;
}

static void require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* The record that ends at c->off, put again where it began: only `synced` must be taken from what is there. */
static void again(const struct input *in, const struct wal_cursor *c, const struct wal_item *item)
{
	const unsigned char *at = in->p + item->off;
	struct iovec iov = {(void *)(uintptr_t)item->data, item->n};
	struct wal_put put = {.seq = item->seq, .type = item->type, .iov = &iov, .niov = 1, .n = item->n,
			      .synced = (uint32_t)(at[16] | at[17] << 8 | at[18] << 16 | (uint32_t)at[19] << 24)};
	size_t n = (size_t)(wal_record_end(item->off, item->n) - item->off);
	require(item->off + n == c->off, "a record of another length");
	uint8_t *out = malloc(n);
	require(wal_record_put(out, (uint32_t)item->off, &c->key, &put) == n, "written shorter");
	require(memcmp(out, at, n) == 0, "written differently");
	free(out);
}

static void scan(const struct input *in, struct wal_cursor *c)
{
	struct wal_item item;
	struct wal_verdict v;
	bool found = true;
	while (found) {
		enum wal_step step;
		uint64_t before = c->off;
		while ((step = wal_next(c, &item, NULL)) == WAL_RECORD) {
			require(c->off > before, "no progress");
			before = c->off;
			if (!c->key.blind)
				again(in, c, &item);
		}
		if (step == WAL_FAILED)
			return;
		require(wal_judge(c, step, in->n % 2, &v, NULL) == SD_OK, "no verdict");
		require(v.cut + v.bytes <= c->size, "a tail behind the end");
		require(wal_resync(c, &found, NULL) == SD_OK, "no resync");
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct input in = {data, size};
	struct wal_header h = {.first_seq = 1};
	struct wal_cursor c;
	struct sd_error e;
	bool copy;
	enum sd_err err = wal_header_get(data, size, &h, &copy, &e);
	require(err == SD_OK || e.text[0], "no reason");
	if (size <= WAL_HEAD || wal_cursor_init(&c, NULL))
		return 0;
	c.from = (struct wal_source){from_input, &in};
	struct wal_key key = wal_key_of(h.salt);
	key.blind = data[size - 1] & 1;
	wal_cursor_at(&c, key, size, h.first_seq);
	scan(&in, &c);
	wal_cursor_free(&c);
	return 0;
}
