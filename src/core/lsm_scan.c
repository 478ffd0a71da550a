/* lsm_scan.c - places in a table: the index is at a block, and data at an entry of it. */
#include <stdlib.h>

#include "lsm_table_int.h"

static void let_block_go(struct sd_lsm_scan *s)
{
	s->data.valid = false;
	if (!s->has_block)
		return;
	s->has_block = false;
	if (s->fetch)
		s->fetch->put(s->fetch, s->held);
	else
		free(s->held);
}

void sd_lsm_scan_free(struct sd_lsm_scan *s)
{
	let_block_go(s);
	sd_lsm_at_free(&s->index);
	sd_lsm_at_free(&s->data);
}

static struct sd_lsm_at *index_of(struct sd_lsm_scan *s)
{
	s->index.block = &s->table->index.block;
	s->index.kinds = SD_LSM_KINDS_ANY;
	return &s->index;
}

static enum sd_err fetch(struct sd_lsm_scan *s, const struct sd_lsm_handle *h, struct sd_error *e)
{
	const struct sd_lsm_table *t = s->table;
	char *bytes = NULL;
	size_t n = 0;
	if (s->fetch)
		return s->fetch->get(s->fetch, t, h, &s->block, &s->held, e);
	enum sd_err err = sd_lsm_table_load(t, &t->from, h, 0, &bytes, &n, e);
	if (err)
		return err;
	if (!sd_lsm_table_block(t, &s->block, bytes, n)) {
		free(bytes);
		return lsm_bad(&t->from, h->at, "is no block", e);
	}
	s->held = bytes;
	return SD_OK;
}

/* The block that the index is at becomes the one in hand. */
static enum sd_err open_block(struct sd_lsm_scan *s, struct sd_error *e)
{
	struct sd_lsm_handle h = {0};
	if (s->index.damaged || (s->index.valid && !sd_lsm_handle_get(s->index.value.p, s->index.value.n, &h))) {
		let_block_go(s);
		return sd_fail(e, SD_EDAMAGED, "%s: the index makes no sense", s->table->from.name);
	}
	if (s->index.valid && s->has_block && h.at == s->handle.at)
		return SD_OK;
	let_block_go(s);
	if (!s->index.valid)
		return SD_OK;
	enum sd_err err = fetch(s, &h, e);
	if (err)
		return err;
	s->handle = h;
	s->has_block = true;
	s->data.block = &s->block;
	s->data.kinds = sd_lsm_table_kinds(s->table);
	s->data.damaged = false;
	return SD_OK;
}

/* On over blocks without entries that fit, in one direction. */
static enum sd_err settle(struct sd_lsm_scan *s, bool forward, struct sd_error *e)
{
	while (s->has_block && !s->data.valid) {
		if (s->data.damaged)
			return lsm_bad(&s->table->from, s->handle.at, "makes no sense", e);
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
	sd_lsm_at_restart(index_of(s), sd_lsm_index_find(&s->table->index, internal));
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

/* What the filter says; of LevelDB's there is one for each block, which the index is at. */
static bool may_hold(const struct sd_lsm_table *t, const struct sd_lsm_at *index, struct sd_slice user)
{
	struct sd_slice filter = {t->filter_bytes, t->filter_n};
	struct sd_lsm_handle h;
	if (t->own)
		return sd_lsm_own_filter_may(filter, sd_lsm_own_hash(user));
	return !index->valid || !sd_lsm_handle_get(index->value.p, index->value.n, &h) || sd_lsm_filter_may(filter, h.at, user);
}

enum sd_err sd_lsm_table_get(struct sd_lsm_scan *s, struct sd_slice internal, bool *filtered, struct sd_error *e)
{
	const struct sd_lsm_table *t = s->table;
	index_of(s);
	if (!t->own)
		sd_lsm_at_restart(&s->index, sd_lsm_index_find(&t->index, internal));
	*filtered = false;
	if (t->filter_bytes && !may_hold(t, &s->index, sd_lsm_user(internal))) {
		*filtered = true;
		return SD_ENOTFOUND;
	}
	if (t->own)
		sd_lsm_at_restart(&s->index, sd_lsm_index_find(&t->index, internal));
	enum sd_err err = open_block(s, e);
	if (!err && s->has_block)
		sd_lsm_at_seek(&s->data, internal);
	if (!err)
		err = settle(s, true, e);
	return err ? err : s->data.valid ? SD_OK : SD_ENOTFOUND;
}
