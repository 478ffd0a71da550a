/* What a store's files are made of, from arbitrary bytes: blocks, filters, records of logs, batches, edits of manifests, and what
 * Snappy compressed. Nothing is read outside of them, and every walk ends.
 * The last byte says which of them it is. */
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_batch.h"
#include "core/lsm_block.h"
#include "core/lsm_filter.h"
#include "core/lsm_log.h"
#include "core/lsm_version.h"
#include "core/snappy.h"

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
	if (!sd_lsm_block_open(&b, p, n))
		return;
	struct sd_lsm_at at = {.block = &b};
	for (sd_lsm_at_first(&at); at.valid; sd_lsm_at_next(&at))
		require(at.next > at.at && at.next <= b.n, "no progress");
	/* a restart point may be in the middle of an entry: then other entries come, but they come to an end */
	size_t before = n;
	for (sd_lsm_at_last(&at); at.valid; sd_lsm_at_prev(&at)) {
		require(at.at < before, "no progress backwards");
		before = at.at;
	}
	sd_lsm_at_seek(&at, (struct sd_slice){(const char *)p, n / 3});
	sd_lsm_at_free(&at);
}

static void filter(const unsigned char *p, size_t n)
{
	for (uint64_t at = 0; at < 10000; at += 1000)
		sd_lsm_filter_may((struct sd_slice){(const char *)p, n}, at, (struct sd_slice){(const char *)p, n / 2});
}

static void records(const unsigned char *p, size_t n)
{
	struct sd_lsm_log_in in = {.p = p, .n = n};
	struct sd_slice record;
	size_t before = 0;
	while (sd_lsm_log_next(&in, &record) == SD_LSM_LOG_RECORD) {
		require(in.at > before && in.at <= n + 7, "no progress");
		before = in.at;
	}
	sd_lsm_log_in_free(&in);
	/* as one record it comes back */
	struct sd_text t = {0};
	size_t at = n % SD_LSM_LOG_BLOCK;
	sd_text_fill(&t, 0, at);
	sd_lsm_log_put(&t, at, (struct sd_slice){(const char *)p, n});
	in = (struct sd_lsm_log_in){.p = (const uint8_t *)t.p, .n = t.n, .at = at};
	require(sd_lsm_log_next(&in, &record) == SD_LSM_LOG_RECORD && record.n == n && (n == 0 || memcmp(record.p, p, n) == 0),
		"another record");
	require(sd_lsm_log_next(&in, &record) == SD_LSM_LOG_END, "more than one record");
	sd_lsm_log_in_free(&in);
	free(t.p);
}

/* What is accepted is written again as the same bytes, when its numbers were as short as they could be. */
static void batch(const unsigned char *p, size_t n)
{
	struct sd_lsm_batch_at b;
	struct sd_text t = {0};
	if (!sd_lsm_batch_open(&b, (struct sd_slice){(const char *)p, n}))
		return;
	sd_lsm_batch_begin(&t, b.seq + 1);
	while (sd_lsm_batch_next(&b))
		sd_lsm_batch_put(&t, b.kind, b.key, b.value);
	require(b.damaged || t.n <= n, "longer than it was");
	free(t.p);
}

static void edit(const unsigned char *p, size_t n)
{
	struct sd_lsm_version v = {0}, back = {0};
	struct sd_text t = {0};
	struct sd_error e;
	if (!sd_lsm_version_apply(&v, (struct sd_slice){(const char *)p, n}, &e) && !sd_lsm_version_end(&v, &e)) {
		sd_lsm_version_find(&v, 1, (struct sd_slice){(const char *)p, n});
		sd_lsm_version_put(&v, &t);
		require(!sd_lsm_version_apply(&back, (struct sd_slice){t.p, t.n}, &e) && !sd_lsm_version_end(&back, &e), "not taken back");
		for (unsigned i = 0; i < SD_LSM_LEVELS; i++)
			require(v.levels[i].n == back.levels[i].n, "other tables");
	}
	sd_lsm_version_free(&v);
	sd_lsm_version_free(&back);
	free(t.p);
}

static void snappy(const unsigned char *p, size_t n)
{
	size_t length;
	if (!sd_snappy_length(p, n, &length) || length > 1 << 20)
		return;
	char *out = malloc(length + 1);
	if (out)
		sd_snappy_expand(p, n, out, length);
	free(out);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static void (*const kinds[])(const unsigned char *p, size_t n) = {block, filter, records, batch, edit, snappy};
	if (size > 0)
		kinds[data[size - 1] % 6](data, size - 1);
	return 0;
}
