/* lsm_table.c - opening a table: from the footer to the index, the filter, and what else it says about itself. */
#include "lsm_table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lsm_table_int.h"

static enum sd_err load(struct sd_lsm_table *t, const struct sd_lsm_handle *h, char **out, size_t *n, struct sd_error *e)
{
	enum sd_err err = sd_lsm_table_load(t, &t->from, h, 0, out, n, e);
	if (!err)
		t->memory += *n;
	return err;
}

/* ---- the footer ---- */

static enum sd_err read_footer(struct sd_lsm_table *t, struct sd_lsm_handle *meta, struct sd_lsm_handle *index, struct sd_error *e)
{
	const struct sd_lsm_source *from = &t->from;
	char footer[SD_LSM_FOOTER];
	uint32_t version = 0;
	if (from->size < SD_LSM_FOOTER)
		return sd_fail(e, SD_EDAMAGED, "%s: too short for a table (%" PRIu64 " bytes)", from->name, from->size);
	enum sd_err err = from->read(from->arg, footer, SD_LSM_FOOTER, from->size - SD_LSM_FOOTER, e);
	if (err)
		return err;
	uint64_t magic = sd_get_le(footer + SD_LSM_FOOTER - 8, 8);
	if (magic != LSM_MAGIC && magic != SD_LSM_OWN_MAGIC)
		return sd_fail(e, SD_EDAMAGED, "%s: does not end as a table does", from->name);
	t->own = magic == SD_LSM_OWN_MAGIC;
	if (t->own && (err = sd_lsm_own_footer_get(footer, meta, index, &version)) == SD_EUNSUPPORTED)
		return sd_fail(e, err, "%s: a table of version %" PRIu32 "; expected %d or less", from->name, version, SD_LSM_OWN_VERSION);
	size_t n = t->own ? 0 : sd_lsm_handle_get(footer, SD_LSM_FOOTER - 8, meta);
	if (err || (!t->own && (!n || !sd_lsm_handle_get(footer + n, SD_LSM_FOOTER - 8 - n, index))))
		return sd_fail(e, SD_EDAMAGED, "%s: the footer makes no sense", from->name);
	return SD_OK;
}

/* ---- the metaindex ---- */

/* The block that the metaindex calls so; *out stays NULL when it has none. */
static enum sd_err named_block(struct sd_lsm_table *t, struct sd_lsm_at *meta, const char *name, char **out, size_t *n, struct sd_error *e)
{
	struct sd_lsm_handle h;
	sd_lsm_at_seek(meta, sd_slice_of(name));
	if (meta->damaged)
		return sd_fail(e, SD_EDAMAGED, "%s: the metaindex makes no sense", t->from.name);
	if (!meta->valid || !sd_slice_eq(meta->key, name))
		return SD_OK;
	if (!sd_lsm_handle_get(meta->value.p, meta->value.n, &h))
		return sd_fail(e, SD_EDAMAGED, "%s: the metaindex does not say where the %s is", t->from.name, name);
	return load(t, &h, out, n, e);
}

/* A range comes as an entry: from and its sequence number as an internal key, `to` as its value. */
static enum sd_err take_ranges(struct sd_lsm_table *t, size_t n, struct sd_error *e)
{
	struct sd_lsm_block block;
	struct sd_lsm_at at = {.block = &block, .kinds = SD_LSM_KINDS_RANGE};
	size_t count = (size_t)t->props.ranges;
	bool good = sd_lsm_block_open(&block, t->range_bytes, n) && count > 0 && count == block.nrestarts;
	t->ranges = good ? calloc(count, sizeof(*t->ranges)) : NULL;
	if (good && !t->ranges)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	if (good)
		sd_lsm_at_first(&at);
	for (; good && at.valid && t->nranges < count; sd_lsm_at_next(&at)) {
		/* all are restart points: the key lies whole in the block, before the value */
		struct sd_slice from = {at.value.p - at.key.n, at.key.n - SD_LSM_TAIL};
		good = memcmp(from.p, at.key.p, at.key.n) == 0;
		t->ranges[t->nranges++] = (struct sd_lsm_range){from, at.value, sd_lsm_seq(at.key)};
	}
	good = good && !at.damaged && !at.valid && t->nranges == count;
	sd_lsm_at_free(&at);
	t->memory += count * sizeof(*t->ranges);
	return good ? SD_OK : sd_fail(e, SD_EDAMAGED, "%s: the ranges make no sense", t->from.name);
}

static enum sd_err read_own(struct sd_lsm_table *t, struct sd_lsm_at *meta, struct sd_error *e)
{
	char *props = NULL;
	size_t n = 0;
	enum sd_err err = named_block(t, meta, LSM_OWN_PROPS, &props, &n, e);
	if (!err && (!props || !sd_lsm_props_get((struct sd_slice){props, n}, &t->props)))
		err = sd_fail(e, SD_EDAMAGED, "%s: the properties make no sense", t->from.name);
	free(props);
	if (!err)
		err = named_block(t, meta, LSM_OWN_FILTER, &t->filter_bytes, &t->filter_n, e);
	if (!err)
		err = named_block(t, meta, LSM_OWN_RANGES, &t->range_bytes, &n, e);
	if (!err && !t->range_bytes != (t->props.ranges == 0))
		err = sd_fail(e, SD_EDAMAGED, "%s: the ranges make no sense", t->from.name);
	return err || !t->range_bytes ? err : take_ranges(t, n, e);
}

static enum sd_err read_meta(struct sd_lsm_table *t, const struct sd_lsm_handle *where, struct sd_error *e)
{
	char *bytes = NULL;
	size_t n = 0;
	struct sd_lsm_block block;
	struct sd_lsm_at at = {.block = &block};
	enum sd_err err = sd_lsm_table_load(t, &t->from, where, 0, &bytes, &n, e);
	if (err)
		return err;
	if (!sd_lsm_block_open(&block, bytes, n))
		err = lsm_bad(&t->from, where->at, "is no block", e);
	else if (t->own)
		err = read_own(t, &at, e);
	else
		err = named_block(t, &at, LSM_FILTER_KEY, &t->filter_bytes, &t->filter_n, e);
	sd_lsm_at_free(&at);
	free(bytes);
	return err;
}

static enum sd_err open_index(struct sd_lsm_table *t, size_t n, const struct sd_lsm_handle *where, struct sd_error *e)
{
	enum sd_err err = sd_lsm_index_open(&t->index, t->index_bytes, n);
	t->memory += sd_lsm_index_memory(&t->index);
	if (err == SD_ENOMEM)
		return sd_fail(e, err, "out of memory");
	return err ? lsm_bad(&t->from, where->at, "makes no sense as an index", e) : SD_OK;
}

enum sd_err sd_lsm_table_open(struct sd_lsm_table *t, const struct sd_lsm_source *from, struct sd_error *e)
{
	struct sd_lsm_handle meta = {0}, index = {0};
	size_t n = 0;
	*t = (struct sd_lsm_table){.from = *from, .memory = sizeof(*t)};
	enum sd_err err = read_footer(t, &meta, &index, e);
	if (!err)
		err = load(t, &index, &t->index_bytes, &n, e);
	if (!err)
		err = open_index(t, n, &index, e);
	if (!err)
		err = read_meta(t, &meta, e);
	if (err)
		sd_lsm_table_close(t);
	return err;
}

void sd_lsm_table_close(struct sd_lsm_table *t)
{
	sd_lsm_index_close(&t->index);
	free(t->index_bytes);
	free(t->filter_bytes);
	free(t->range_bytes);
	free(t->ranges);
	t->index_bytes = t->filter_bytes = t->range_bytes = NULL;
	t->ranges = NULL;
	t->nranges = 0;
}
