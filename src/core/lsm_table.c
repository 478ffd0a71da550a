/* lsm_table.c - reading a table: from the footer to the index to a block to an entry. */
#include "lsm_table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "lsm_table_int.h"
#include "snappy.h"
#include "varint.h"

static enum sd_err bad(const struct sd_lsm_source *from, uint64_t at, const char *what, struct sd_error *e)
{
	return sd_fail(e, SD_EDAMAGED, "%s: block at %" PRIu64 " %s", from->name, at, what);
}

/* ---- blocks ---- */

/* Takes over *p, which is n bytes. */
static enum sd_err expand(const struct sd_lsm_source *from, const struct sd_lsm_handle *h, char **p, size_t *n, struct sd_error *e)
{
	size_t length = 0;
	if (!sd_snappy_length(*p, *n, &length) || length > SD_LSM_BLOCK_MAX)
		return bad(from, h->at, "is not what Snappy writes", e);
	char *whole = malloc(length + 1);
	if (!whole)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	if (!sd_snappy_expand(*p, *n, whole, length)) {
		free(whole);
		return bad(from, h->at, "is not what Snappy writes", e);
	}
	free(*p);
	*p = whole;
	*n = length;
	return SD_OK;
}

/* *p is n bytes and those that follow a block. */
static enum sd_err judge(const struct sd_lsm_source *from, const struct sd_lsm_handle *h, char **p, size_t *n, struct sd_error *e)
{
	const char *after = *p + *n;
	if (sd_lsm_mask(sd_crc32c(0, *p, *n + 1)) != sd_get_le(after + 1, 4))
		return bad(from, h->at, "has a bad checksum", e);
	if (*after == LSM_PLAIN)
		return SD_OK;
	if (*after == LSM_SNAPPY)
		return expand(from, h, p, n, e);
	return sd_fail(e, SD_EUNSUPPORTED, "%s: block at %" PRIu64 " is compressed in a way (%d) that is not known", from->name, h->at,
		       *after);
}

static enum sd_err read_block(const struct sd_lsm_source *from, const struct sd_lsm_handle *h, char **out, size_t *n, struct sd_error *e)
{
	if (h->n > SD_LSM_BLOCK_MAX || h->at > from->size || from->size - h->at < h->n + LSM_AFTER)
		return bad(from, h->at, "ends behind the file", e);
	*n = (size_t)h->n;
	char *p = malloc(*n + LSM_AFTER);
	if (!p)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = from->read(from->arg, p, *n + LSM_AFTER, h->at, e);
	if (!err)
		err = judge(from, h, &p, n, e);
	if (err) {
		free(p);
		return err;
	}
	*out = p;
	return SD_OK;
}

size_t lsm_get_handle(const void *from, size_t n, struct sd_lsm_handle *h)
{
	size_t a = sd_get_varint(from, n, UINT64_MAX, &h->at);
	size_t b = a ? sd_get_varint((const char *)from + a, n - a, UINT64_MAX, &h->n) : 0;
	return b ? a + b : 0;
}

/* ---- opening ---- */

static enum sd_err read_filter(struct sd_lsm_table *t, const struct sd_lsm_handle *meta, struct sd_error *e)
{
	char *bytes = NULL;
	size_t n = 0;
	enum sd_err err = read_block(&t->from, meta, &bytes, &n, e);
	if (err)
		return err;
	struct sd_lsm_block block;
	struct sd_lsm_at at = {.block = &block, .order = sd_lsm_bytewise};
	struct sd_lsm_handle h;
	if (!sd_lsm_block_open(&block, bytes, n))
		err = bad(&t->from, meta->at, "is no block", e);
	else
		sd_lsm_at_seek(&at, sd_slice_of(LSM_FILTER_KEY));
	if (!err && at.valid && sd_slice_eq(at.key, LSM_FILTER_KEY)) {
		if (lsm_get_handle(at.value.p, at.value.n, &h))
			err = read_block(&t->from, &h, &t->filter_bytes, &t->filter_n, e);
		else
			err = bad(&t->from, meta->at, "does not say where the filters are", e);
	}
	sd_lsm_at_free(&at);
	free(bytes);
	return err;
}

static enum sd_err read_footer(const struct sd_lsm_source *from, struct sd_lsm_handle *meta, struct sd_lsm_handle *index,
			       struct sd_error *e)
{
	uint8_t footer[LSM_FOOTER];
	if (from->size < LSM_FOOTER)
		return sd_fail(e, SD_EDAMAGED, "%s: too short for a table (%" PRIu64 " bytes)", from->name, from->size);
	enum sd_err err = from->read(from->arg, footer, LSM_FOOTER, from->size - LSM_FOOTER, e);
	if (err)
		return err;
	if (sd_get_le(footer + LSM_FOOTER - 8, 8) != LSM_MAGIC)
		return sd_fail(e, SD_EDAMAGED, "%s: does not end as a table does", from->name);
	size_t n = lsm_get_handle(footer, LSM_FOOTER - 8, meta);
	if (!n || !lsm_get_handle(footer + n, LSM_FOOTER - 8 - n, index))
		return sd_fail(e, SD_EDAMAGED, "%s: the footer makes no sense", from->name);
	return SD_OK;
}

enum sd_err sd_lsm_table_open(struct sd_lsm_table *t, const struct sd_lsm_source *from, struct sd_error *e)
{
	struct sd_lsm_handle meta = {0}, index = {0};
	size_t n = 0;
	*t = (struct sd_lsm_table){.from = *from};
	enum sd_err err = read_footer(from, &meta, &index, e);
	if (!err)
		err = read_block(from, &index, &t->index_bytes, &n, e);
	if (!err && !sd_lsm_block_open(&t->index, t->index_bytes, n))
		err = bad(from, index.at, "is no block", e);
	if (!err)
		err = read_filter(t, &meta, e);
	if (err)
		sd_lsm_table_close(t);
	return err;
}

void sd_lsm_table_close(struct sd_lsm_table *t)
{
	free(t->index_bytes);
	free(t->filter_bytes);
	t->index_bytes = t->filter_bytes = NULL;
}

/* ---- places ---- */

static void let_block_go(struct sd_lsm_scan *s)
{
	s->data.valid = false;
	s->has_block = false;
	free(s->block_bytes);
	s->block_bytes = NULL;
}

void sd_lsm_scan_free(struct sd_lsm_scan *s)
{
	let_block_go(s);
	sd_lsm_at_free(&s->index);
	sd_lsm_at_free(&s->data);
}

static struct sd_lsm_at *index_of(struct sd_lsm_scan *s)
{
	s->index.block = &s->table->index;
	s->index.order = sd_lsm_internal;
	s->index.internal = true;
	return &s->index;
}

/* The block that the index is at becomes the one in hand. */
static enum sd_err open_block(struct sd_lsm_scan *s, struct sd_error *e)
{
	struct sd_lsm_handle h = {0};
	size_t n = 0;
	const struct sd_lsm_source *from = &s->table->from;
	if (s->index.damaged || (s->index.valid && !lsm_get_handle(s->index.value.p, s->index.value.n, &h))) {
		let_block_go(s);
		return sd_fail(e, SD_EDAMAGED, "%s: the index makes no sense", from->name);
	}
	if (s->index.valid && s->has_block && h.at == s->handle.at)
		return SD_OK;
	let_block_go(s);
	if (!s->index.valid)
		return SD_OK;
	enum sd_err err = read_block(from, &h, &s->block_bytes, &n, e);
	if (err)
		return err;
	if (!sd_lsm_block_open(&s->block, s->block_bytes, n))
		return bad(from, h.at, "is no block", e);
	s->handle = h;
	s->has_block = true;
	s->data.block = &s->block;
	s->data.order = sd_lsm_internal;
	s->data.internal = true;
	return SD_OK;
}

/* On over blocks without entries that fit, in one direction. */
static enum sd_err settle(struct sd_lsm_scan *s, bool forward, struct sd_error *e)
{
	while (s->has_block && !s->data.valid) {
		if (s->data.damaged)
			return bad(&s->table->from, s->handle.at, "makes no sense", e);
		(forward ? sd_lsm_at_next : sd_lsm_at_prev)(&s->index);
		enum sd_err err = open_block(s, e);
		if (err)
			return err;
		if (s->has_block)
			(forward ? sd_lsm_at_first : sd_lsm_at_last)(&s->data);
	}
	return SD_OK;
}

enum sd_err sd_lsm_scan_first(struct sd_lsm_scan *s, struct sd_error *e)
{
	sd_lsm_at_first(index_of(s));
	enum sd_err err = open_block(s, e);
	if (!err && s->has_block)
		sd_lsm_at_first(&s->data);
	return err ? err : settle(s, true, e);
}

enum sd_err sd_lsm_scan_last(struct sd_lsm_scan *s, struct sd_error *e)
{
	sd_lsm_at_last(index_of(s));
	enum sd_err err = open_block(s, e);
	if (!err && s->has_block)
		sd_lsm_at_last(&s->data);
	return err ? err : settle(s, false, e);
}

enum sd_err sd_lsm_scan_seek(struct sd_lsm_scan *s, struct sd_slice internal, struct sd_error *e)
{
	sd_lsm_at_seek(index_of(s), internal);
	enum sd_err err = open_block(s, e);
	if (!err && s->has_block)
		sd_lsm_at_seek(&s->data, internal);
	return err ? err : settle(s, true, e);
}

enum sd_err sd_lsm_scan_next(struct sd_lsm_scan *s, struct sd_error *e)
{
	sd_lsm_at_next(&s->data);
	return settle(s, true, e);
}

enum sd_err sd_lsm_scan_prev(struct sd_lsm_scan *s, struct sd_error *e)
{
	sd_lsm_at_prev(&s->data);
	return settle(s, false, e);
}

enum sd_err sd_lsm_table_get(struct sd_lsm_scan *s, struct sd_slice internal, bool *filtered, struct sd_error *e)
{
	const struct sd_lsm_table *t = s->table;
	struct sd_lsm_handle h;
	*filtered = false;
	sd_lsm_at_seek(index_of(s), internal);
	if (s->index.valid && t->filter_bytes && lsm_get_handle(s->index.value.p, s->index.value.n, &h) &&
	    !sd_lsm_filter_may((struct sd_slice){t->filter_bytes, t->filter_n}, h.at, sd_lsm_user(internal))) {
		*filtered = true;
		return SD_ENOTFOUND;
	}
	enum sd_err err = open_block(s, e);
	if (!err && s->has_block)
		sd_lsm_at_seek(&s->data, internal);
	if (!err)
		err = settle(s, true, e);
	return err ? err : s->data.valid ? SD_OK : SD_ENOTFOUND;
}
