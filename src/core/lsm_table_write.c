/* lsm_table_write.c - a table from keys in order. */
#include <stdlib.h>

#include "lsm_table_int.h"

#define EVERY_DATA  16
#define EVERY_INDEX 1
#define PIECE       (256u << 10) /* what is handed to the sink at once */

void sd_lsm_table_begin(struct sd_lsm_table_out *o, const struct sd_lsm_table_conf *conf)
{
	o->conf = *conf;
	if (!o->conf.block_bytes)
		o->conf.block_bytes = 4096;
	sd_lsm_filter_free(&o->filter);
	o->file.n = o->hashes.n = o->first.n = o->last.n = o->key.n = 0;
	o->waits = false;
	o->bytes = o->entries = 0;
	o->err = SD_OK;
	o->props = (struct sd_lsm_props){.oldest_seq = SD_LSM_SEQ_MAX};
	o->data.apart = o->conf.own;
	sd_lsm_block_begin(&o->data, EVERY_DATA);
	sd_lsm_block_begin(&o->index, EVERY_INDEX);
	sd_lsm_block_begin(&o->meta, EVERY_DATA);
	sd_lsm_block_begin(&o->ranges, 1);
	if (!o->conf.no_filter && !o->conf.own)
		sd_lsm_filter_block(&o->filter, 0);
	if (o->conf.own && o->conf.zstd_level && !o->zstd)
		o->zstd = sd_lsm_zstd_out_new(o->conf.zstd_level);
}

void sd_lsm_table_free(struct sd_lsm_table_out *o)
{
	struct sd_text *const texts[] = {&o->file, &o->hashes, &o->first, &o->last, &o->key, &o->between};
	struct sd_lsm_block_out *const blocks[] = {&o->data, &o->index, &o->meta, &o->ranges, &o->scratch};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]->p);
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		sd_lsm_block_free(blocks[i]);
	sd_lsm_filter_free(&o->filter);
	sd_lsm_zstd_out_free(o->zstd);
	*o = (struct sd_lsm_table_out){0};
}

/* ---- bytes ---- */

static void hand_over(struct sd_lsm_table_out *o, size_t at_least)
{
	if (!o->conf.sink.write || o->err || o->file.full || o->file.n < at_least)
		return;
	o->err = o->conf.sink.write(o->conf.sink.arg, o->file.p, o->file.n, &o->why);
	o->file.n = 0;
}

static void put_bytes(struct sd_lsm_table_out *o, const char *p, size_t n)
{
	sd_text_add(&o->file, p, n);
	o->bytes += n;
}

static void put_whole(struct sd_lsm_table_out *o, struct sd_slice bytes, enum lsm_compression how, struct sd_lsm_handle *h)
{
	char after[SD_LSM_AFTER] = {(char)how};
	*h = (struct sd_lsm_handle){o->bytes, bytes.n};
	if (!bytes.p) {
		o->file.full = true;
		return;
	}
	size_t at = o->file.n;
	put_bytes(o, bytes.p, bytes.n);
	put_bytes(o, after, SD_LSM_AFTER);
	if (!o->file.full)
		sd_put_le(o->file.p + at + bytes.n + 1, lsm_sum(o->conf.own, o->file.p + at, bytes.n + 1, h->at), 4);
	hand_over(o, PIECE);
}

static void put_block(struct sd_lsm_table_out *o, struct sd_slice bytes, struct sd_lsm_handle *h)
{
	put_whole(o, bytes, LSM_PLAIN, h);
}

static void put_data_block(struct sd_lsm_table_out *o, struct sd_slice bytes, struct sd_lsm_handle *h)
{
	struct sd_slice less = bytes.p && o->zstd && o->conf.zstd_level ? sd_lsm_zstd_squeeze(o->zstd, bytes) : (struct sd_slice){NULL, 0};
	put_whole(o, less.p ? less : bytes, less.p ? LSM_ZSTD : LSM_PLAIN, h);
	o->props.data_blocks++;
	o->props.data_bytes += h->n;
	o->props.expanded_bytes += bytes.n;
}

static size_t put_handle(char *to, const struct sd_lsm_handle *h)
{
	size_t n = sd_put_varint(to, h->at);
	return n + sd_put_varint(to + n, h->n);
}

static void add_handle(struct sd_lsm_block_out *b, struct sd_slice key, const struct sd_lsm_handle *h)
{
	char value[2 * SD_VARINT_MAX];
	sd_lsm_block_add(b, key, (struct sd_slice){value, put_handle(value, h)});
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
	struct sd_slice last = {o->key.p, o->key.n};
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

static void keep(struct sd_text *t, struct sd_slice key)
{
	t->n = 0;
	sd_text_add(t, key.p, key.n);
}

static void end_data_block(struct sd_lsm_table_out *o)
{
	if (sd_lsm_block_empty(&o->data))
		return;
	put_data_block(o, sd_lsm_block_end(&o->data), &o->ended);
	o->waits = true;
	sd_lsm_block_begin(&o->data, EVERY_DATA);
	if (!o->conf.no_filter && !o->conf.own)
		sd_lsm_filter_block(&o->filter, o->bytes);
}

/* Of the versions of a key the first is enough. */
static void add_hash(struct sd_lsm_table_out *o, struct sd_slice user)
{
	uint64_t hash = sd_lsm_own_hash(user);
	if (o->hashes.n > 0 && memcmp(o->hashes.p + o->hashes.n - sizeof(hash), &hash, sizeof(hash)) == 0)
		return;
	sd_text_add(&o->hashes, (const char *)&hash, sizeof(hash));
}

static void note_seq(struct sd_lsm_props *p, uint64_t seq)
{
	if (seq < p->oldest_seq)
		p->oldest_seq = seq;
	if (seq > p->newest_seq)
		p->newest_seq = seq;
}

/* The bytes of a blob, of where it is: file, offset, length. */
static uint64_t blob_bytes(struct sd_slice where)
{
	uint64_t v = 0;
	for (int i = 0; i < 3; i++) {
		size_t n = sd_get_varint(where.p, where.n, UINT64_MAX, &v);
		if (!n)
			return 0;
		where = (struct sd_slice){where.p + n, where.n - n};
	}
	return v;
}

static void note_entry(struct sd_lsm_props *p, struct sd_slice internal, struct sd_slice value)
{
	enum sd_lsm_kind kind = sd_lsm_kind(internal);
	p->entries++;
	p->gone += kind == SD_LSM_GONE;
	p->ending += kind == SD_LSM_ENDING || kind == SD_LSM_ENDING_BLOB;
	p->blobs += kind == SD_LSM_BLOB || kind == SD_LSM_ENDING_BLOB;
	if (kind == SD_LSM_BLOB)
		p->blob_bytes += blob_bytes(value);
	else if (kind == SD_LSM_ENDING_BLOB && value.n > 8)
		p->blob_bytes += blob_bytes((struct sd_slice){value.p + 8, value.n - 8});
	p->key_bytes += internal.n - SD_LSM_TAIL;
	p->value_bytes += value.n;
	note_seq(p, sd_lsm_seq(internal));
}

void sd_lsm_table_add(struct sd_lsm_table_out *o, struct sd_slice internal, struct sd_slice value)
{
	if (o->waits) {
		struct sd_slice last = {o->key.p, o->key.n};
		add_handle(&o->index, index_key(o, enough_between(sd_lsm_user(last), sd_lsm_user(internal))), &o->ended);
		o->waits = false;
	}
	if (!o->conf.no_filter && o->conf.own)
		add_hash(o, sd_lsm_user(internal));
	else if (!o->conf.no_filter)
		sd_lsm_filter_add(&o->filter, sd_lsm_user(internal));
	sd_lsm_block_add(&o->data, internal, value);
	keep(&o->key, internal);
	if (o->props.entries == 0 && (o->first.n == 0 || sd_lsm_internal(internal, (struct sd_slice){o->first.p, o->first.n}) < 0))
		keep(&o->first, internal);
	note_entry(&o->props, internal, value);
	o->entries++;
	if (sd_lsm_block_bytes(&o->data) >= o->conf.block_bytes)
		end_data_block(o);
}

/* Its bounds count as the table's: it hides what lies below, up to but without `to`, which nothing of the table is at or behind. */
void sd_lsm_table_add_range(struct sd_lsm_table_out *o, const struct sd_lsm_range *range)
{
	char tail[SD_LSM_TAIL];
	sd_put_le(tail, range->seq << 8 | SD_LSM_RANGE_GONE, SD_LSM_TAIL);
	o->between.n = 0;
	sd_text_add(&o->between, range->from.p, range->from.n);
	sd_text_add(&o->between, tail, SD_LSM_TAIL);
	if (o->between.full) {
		o->file.full = true;
		return;
	}
	struct sd_slice from = {o->between.p, o->between.n};
	sd_lsm_block_add(&o->ranges, from, range->to);
	if (o->first.n == 0 || sd_lsm_internal(from, (struct sd_slice){o->first.p, o->first.n}) < 0)
		keep(&o->first, from);
	sd_put_le(tail, SD_LSM_SEQ_MAX << 8 | SD_LSM_RANGE_GONE, SD_LSM_TAIL);
	o->between.n = 0;
	sd_text_add(&o->between, range->to.p, range->to.n);
	sd_text_add(&o->between, tail, SD_LSM_TAIL);
	struct sd_slice to = {o->between.p, o->between.n};
	if (!o->between.full && (o->last.n == 0 || sd_lsm_internal(to, (struct sd_slice){o->last.p, o->last.n}) > 0))
		keep(&o->last, to);
	o->props.ranges++;
	note_seq(&o->props, range->seq);
	o->entries++;
}

uint64_t sd_lsm_table_size(const struct sd_lsm_table_out *o)
{
	return o->bytes + o->data.bytes.n + o->data.values.n + o->index.bytes.n + o->ranges.bytes.n + o->hashes.n / 8 * SD_LSM_OWN_FILTER_BITS / 8 +
	       o->filter.bytes.n;
}

/* ---- the end ---- */

static void put_filter(struct sd_lsm_table_out *o)
{
	struct sd_lsm_handle h;
	if (o->conf.no_filter)
		return;
	if (!o->conf.own) {
		put_block(o, sd_lsm_filter_end(&o->filter), &h);
		add_handle(&o->meta, sd_slice_of(LSM_FILTER_KEY), &h);
		return;
	}
	if (o->hashes.n == 0)
		return;
	o->between.n = 0;
	sd_lsm_own_filter_put((const uint64_t *)(const void *)o->hashes.p, o->hashes.n / sizeof(uint64_t), &o->between);
	put_block(o, o->between.full ? (struct sd_slice){NULL, 0} : (struct sd_slice){o->between.p, o->between.n}, &h);
	o->props.filter_bytes = h.n;
	add_handle(&o->meta, sd_slice_of(LSM_OWN_FILTER), &h);
}

/* Names of the metaindex in their order: filter, properties, ranges. */
static void put_own_blocks(struct sd_lsm_table_out *o)
{
	struct sd_lsm_handle ranges = {0}, props;
	if (!o->conf.own)
		return;
	if (o->props.ranges > 0)
		put_block(o, sd_lsm_block_end(&o->ranges), &ranges);
	if (o->entries == 0)
		o->props.oldest_seq = 0;
	put_block(o, sd_lsm_props_put(&o->props, &o->scratch), &props);
	add_handle(&o->meta, sd_slice_of(LSM_OWN_PROPS), &props);
	if (o->props.ranges > 0)
		add_handle(&o->meta, sd_slice_of(LSM_OWN_RANGES), &ranges);
}

static void put_footer(struct sd_lsm_table_out *o, const struct sd_lsm_handle *meta, const struct sd_lsm_handle *index)
{
	char footer[SD_LSM_FOOTER] = {0};
	if (o->conf.own) {
		sd_lsm_own_footer_put(footer, meta, index);
	} else {
		put_handle(footer + put_handle(footer, meta), index);
		sd_put_le(footer + SD_LSM_FOOTER - 8, LSM_MAGIC, 8);
	}
	put_bytes(o, footer, SD_LSM_FOOTER);
}

enum sd_err sd_lsm_table_end(struct sd_lsm_table_out *o, struct sd_error *e)
{
	struct sd_lsm_handle meta, index;
	struct sd_slice key = {o->key.p, o->key.n};
	end_data_block(o);
	put_filter(o);
	put_own_blocks(o);
	put_block(o, sd_lsm_block_end(&o->meta), &meta);
	if (o->waits)
		add_handle(&o->index, index_key(o, enough_above(sd_lsm_user(key))), &o->ended);
	put_block(o, sd_lsm_block_end(&o->index), &index);
	put_footer(o, &meta, &index);
	hand_over(o, 0);
	if (o->props.entries > 0 && (o->last.n == 0 || sd_lsm_internal(key, (struct sd_slice){o->last.p, o->last.n}) > 0))
		keep(&o->last, key);
	if (!o->err && (o->file.full || o->key.full || o->first.full || o->last.full || o->hashes.full))
		o->err = sd_fail(&o->why, SD_ENOMEM, "out of memory");
	if (o->err && e)
		*e = o->why;
	return o->err;
}
