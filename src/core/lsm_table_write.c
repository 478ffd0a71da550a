/* lsm_table_write.c - a table from keys in order. */
#include <stdlib.h>

#include "lsm_table_int.h"
#include "varint.h"

#define EVERY_DATA  16
#define EVERY_INDEX 1

void sd_lsm_table_begin(struct sd_lsm_table_out *o, const struct sd_lsm_table_conf *conf)
{
	o->conf = *conf;
	if (!o->conf.block_bytes)
		o->conf.block_bytes = 4096;
	sd_lsm_filter_free(&o->filter);
	o->file.n = o->last.n = 0;
	o->waits = false;
	o->entries = 0;
	sd_lsm_block_begin(&o->data, EVERY_DATA);
	sd_lsm_block_begin(&o->index, EVERY_INDEX);
	sd_lsm_block_begin(&o->meta, EVERY_DATA);
	if (!o->conf.no_filter)
		sd_lsm_filter_block(&o->filter, 0);
}

void sd_lsm_table_free(struct sd_lsm_table_out *o)
{
	sd_lsm_block_free(&o->data);
	sd_lsm_block_free(&o->index);
	sd_lsm_block_free(&o->meta);
	sd_lsm_filter_free(&o->filter);
	free(o->file.p);
	free(o->last.p);
	free(o->between.p);
	*o = (struct sd_lsm_table_out){0};
}

static void put_block(struct sd_lsm_table_out *o, struct sd_slice bytes, struct sd_lsm_handle *h)
{
	uint8_t after[LSM_AFTER] = {LSM_PLAIN};
	*h = (struct sd_lsm_handle){o->file.n, bytes.n};
	if (!bytes.p) {
		o->file.full = true;
		return;
	}
	sd_put_le(after + 1, sd_lsm_mask(sd_crc32c(sd_crc32c(0, bytes.p, bytes.n), after, 1)), 4);
	sd_text_add(&o->file, bytes.p, bytes.n);
	sd_text_add(&o->file, (const char *)after, LSM_AFTER);
}

static size_t put_handle(uint8_t *to, const struct sd_lsm_handle *h)
{
	size_t n = sd_put_varint(to, h->at);
	return n + sd_put_varint(to + n, h->n);
}

static void add_handle(struct sd_lsm_block_out *b, struct sd_slice key, const struct sd_lsm_handle *h)
{
	uint8_t value[2 * SD_VARINT_MAX];
	sd_lsm_block_add(b, key, (struct sd_slice){(const char *)value, put_handle(value, h)});
}

/* ---- keys of the index: as short as they may be ---- */

/* The bytes of `low` that are enough, with the last one raised, to be above it and below `high`; 0: none. */
static size_t enough_between(struct sd_slice low, struct sd_slice high)
{
	size_t i = 0, n = low.n < high.n ? low.n : high.n;
	while (i < n && low.p[i] == high.p[i])
		i++;
	if (i == n)
		return 0; /* one begins with the other */
	uint8_t a = (uint8_t)low.p[i], b = (uint8_t)high.p[i];
	return a < 0xff && a + 1 < b ? i + 1 : 0;
}

static size_t enough_above(struct sd_slice low)
{
	for (size_t i = 0; i < low.n; i++)
		if ((uint8_t)low.p[i] != 0xff)
			return i + 1;
	return 0;
}

/* The last key of the block that ended, or a shorter one that serves as well: n bytes of its user key, the last one raised. */
static struct sd_slice index_key(struct sd_lsm_table_out *o, size_t n)
{
	struct sd_slice last = {o->last.p, o->last.n};
	if (n == 0 || n >= last.n - SD_LSM_TAIL)
		return last;
	char tail[SD_LSM_TAIL];
	sd_put_le(tail, SD_LSM_SEQ_MAX << 8 | SD_LSM_VALUE, SD_LSM_TAIL);
	o->between.n = 0;
	sd_text_add(&o->between, last.p, n);
	sd_text_add(&o->between, tail, SD_LSM_TAIL);
	if (o->between.full)
		return last;
	o->between.p[n - 1]++;
	return (struct sd_slice){o->between.p, o->between.n};
}

/* ---- entries ---- */

static void end_data_block(struct sd_lsm_table_out *o)
{
	if (sd_lsm_block_empty(&o->data))
		return;
	put_block(o, sd_lsm_block_end(&o->data), &o->ended);
	o->waits = true;
	sd_lsm_block_begin(&o->data, EVERY_DATA);
	if (!o->conf.no_filter)
		sd_lsm_filter_block(&o->filter, o->file.n);
}

void sd_lsm_table_add(struct sd_lsm_table_out *o, struct sd_slice internal, struct sd_slice value)
{
	if (o->waits) {
		struct sd_slice last = {o->last.p, o->last.n};
		add_handle(&o->index, index_key(o, enough_between(sd_lsm_user(last), sd_lsm_user(internal))), &o->ended);
		o->waits = false;
	}
	if (!o->conf.no_filter)
		sd_lsm_filter_add(&o->filter, sd_lsm_user(internal));
	sd_lsm_block_add(&o->data, internal, value);
	o->last.n = 0;
	sd_text_add(&o->last, internal.p, internal.n);
	o->entries++;
	if (sd_lsm_block_bytes(&o->data) >= o->conf.block_bytes)
		end_data_block(o);
}

bool sd_lsm_table_end(struct sd_lsm_table_out *o)
{
	struct sd_lsm_handle filter, meta, index;
	uint8_t footer[LSM_FOOTER] = {0};
	end_data_block(o);
	if (!o->conf.no_filter) {
		put_block(o, sd_lsm_filter_end(&o->filter), &filter);
		add_handle(&o->meta, sd_slice_of(LSM_FILTER_KEY), &filter);
	}
	put_block(o, sd_lsm_block_end(&o->meta), &meta);
	if (o->waits) {
		struct sd_slice last = {o->last.p, o->last.n};
		add_handle(&o->index, index_key(o, enough_above(sd_lsm_user(last))), &o->ended);
	}
	put_block(o, sd_lsm_block_end(&o->index), &index);
	put_handle(footer + put_handle(footer, &meta), &index);
	sd_put_le(footer + LSM_FOOTER - 8, LSM_MAGIC, 8);
	sd_text_add(&o->file, (const char *)footer, LSM_FOOTER);
	return !o->file.full && !o->last.full;
}
