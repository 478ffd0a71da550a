/* Tables of either format and blobs, from arbitrary bytes: nothing is read outside of them, every walk ends, and what a table is searched for
 * is what a walk comes by.
 *
 * Checksums would refuse nearly everything, so the bytes become what lies behind them: the last one says which: 0 a block with values
 * apart, 1 an index, 2 properties, 3 a filter, 4 a whole table, 5 a blob. */
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_table.h"
#include "disk/lsm_blob.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void block(const unsigned char *p, size_t n)
{
	struct sd_lsm_block b;
	if (!sd_lsm_block_open_apart(&b, p, n))
		return;
	struct sd_lsm_at at = {.block = &b, .kinds = SD_LSM_KINDS_OWN};
	size_t sum = 0, before = n;
	for (sd_lsm_at_first(&at); at.valid; sd_lsm_at_next(&at)) {
		require(at.next > at.at && at.next <= b.n, "no progress");
		for (size_t i = 0; i < at.value.n; i++)
			sum += (unsigned char)at.value.p[i];
	}
	for (sd_lsm_at_last(&at); at.valid; sd_lsm_at_prev(&at)) {
		require(at.at < before, "no progress backwards");
		before = at.at;
	}
	if (n >= SD_LSM_TAIL)
		sd_lsm_at_seek(&at, (struct sd_slice){(const char *)p, n / 3 < SD_LSM_TAIL ? SD_LSM_TAIL : n / 3});
	sd_lsm_at_free(&at);
	require(sum <= n * n * 255, "more than there is");
}

/* Where it is taken, a search finds what a walk finds. */
static void table_index(const unsigned char *p, size_t n)
{
	struct sd_lsm_index x;
	if (sd_lsm_index_open(&x, p, n))
		return;
	struct sd_lsm_at at = {.block = &x.block, .kinds = SD_LSM_KINDS_ANY};
	uint32_t i = 0;
	for (sd_lsm_at_first(&at); at.valid; sd_lsm_at_next(&at))
		require(sd_lsm_index_find(&x, at.key) == i++, "another place");
	require(i == x.n, "another number");
	sd_lsm_at_free(&at);
	sd_lsm_index_close(&x);
}

static void props(const unsigned char *p, size_t n)
{
	struct sd_lsm_props props, back;
	struct sd_lsm_block_out out = {0};
	if (!sd_lsm_props_get((struct sd_slice){(const char *)p, n}, &props))
		return;
	require(sd_lsm_props_get(sd_lsm_props_put(&props, &out), &back) && memcmp(&props, &back, sizeof(back)) == 0, "other properties");
	sd_lsm_block_free(&out);
}

static void filter(const unsigned char *p, size_t n)
{
	for (uint64_t h = 1; h; h <<= 1)
		sd_lsm_own_filter_may((struct sd_slice){(const char *)p, n}, h * 0x9e3779b97f4a7c15u);
}

static enum sd_err from_memory(void *arg, void *buf, size_t n, uint64_t off, struct sd_error *e)
{
	const struct sd_slice *s = arg;
	if (off > s->n || s->n - off < n)
		return sd_fail(e, SD_EDAMAGED, "ends too early");
	memcpy(buf, s->p + off, n);
	return SD_OK;
}

static void table(const unsigned char *p, size_t n)
{
	struct sd_slice bytes = {(const char *)p, n};
	struct sd_lsm_source from = {from_memory, &bytes, n, "t", NULL};
	struct sd_lsm_table t;
	struct sd_error e;
	if (sd_lsm_table_open(&t, &from, &e))
		return;
	struct sd_lsm_scan s = {.table = &t};
	size_t steps = 0;
	for (enum sd_err err = sd_lsm_scan_first(&s, &e); !err && sd_lsm_scan_valid(&s) && steps < 10000; steps++)
		err = sd_lsm_scan_next(&s, &e);
	steps = 0;
	for (enum sd_err err = sd_lsm_scan_last(&s, &e); !err && sd_lsm_scan_valid(&s) && steps < 10000; steps++)
		err = sd_lsm_scan_prev(&s, &e);
	sd_lsm_scan_free(&s);
	sd_lsm_table_close(&t);
}

static void blob(const unsigned char *p, size_t n)
{
	struct sd_slice key, value;
	struct sd_lsm_blob_ref ref;
	void *memory;
	sd_lsm_blob_ref_get((struct sd_slice){(const char *)p, n}, &ref);
	char *copy = malloc(n + 4);
	if (!copy)
		return;
	memcpy(copy + 4, p, n);
	sd_put_le(copy, sd_lsm_mask(sd_crc32c(0, copy + 4, n)), 4);
	if (!sd_lsm_blob_open(NULL, copy, n + 4, &key, &value, &memory))
		free(memory);
	free(copy);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static void (*const kinds[])(const unsigned char *p, size_t n) = {block, table_index, props, filter, table, blob};
	if (size > 0)
		kinds[data[size - 1] % 6](data, size - 1);
	return 0;
}
