/* wal_read.c - reading a log that is being written: up to the last record that is acknowledged. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wal_int.h"

struct sd_wal_reader {
	const uint64_t *acked; /* of the log; NULL: all is */
	struct sd_world *world;
	char *dir, name[WAL_NAME + 1];
	struct wal_cursor cursor;
	struct sd_file *file; /* NULL: segment `number` is to be opened */
	uint64_t number, next;
	bool first; /* no segment was opened yet */
	uint64_t at; /* where in the segment to begin; 0: with its first */
	bool blind; /* as the log's key */
};

enum sd_err sd_wal_reader_alone(struct sd_world *w, const char *dir, const char *name, struct sd_wal_reader **out,
				struct sd_error *e)
{
	struct sd_wal_reader *r = calloc(1, sizeof(*r));
	if (!r || !(r->dir = strdup(dir)) || wal_cursor_init(&r->cursor, e)) {
		sd_wal_reader_free(r);
		return sd_fail(e, SD_ENOMEM, "cannot read %s: out of memory", dir);
	}
	r->world = w;
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->first = true;
	*out = r;
	return SD_OK;
}

enum sd_err sd_wal_reader_open(struct sd_wal *l, uint64_t from, struct sd_wal_reader **out, struct sd_error *e)
{
	if (from > l->next_seq)
		return sd_fail(e, SD_ERANGE, "cannot read %s from record %" PRIu64 ": it ends with %" PRIu64, l->dir, from,
			       l->next_seq - 1);
	struct sd_wal_reader *r = NULL;
	enum sd_err err = sd_wal_reader_alone(l->world, l->dir, l->name, &r, e);
	if (err || !r)
		return err;
	size_t i = l->segments.n - 1;
	while (i > 0 && l->segments.at[i].first_seq > from)
		i--;
	r->acked = &l->acked;
	r->number = l->segments.at[i].number;
	r->next = from > l->segments.at[i].first_seq ? from : l->segments.at[i].first_seq;
	r->blind = l->key.blind;
	*out = r;
	return SD_OK;
}

static enum sd_err bad(struct sd_wal_reader *r, const char *what, struct sd_error *e)
{
	return sd_fail(e, SD_EINVAL, "cannot read %s: %.300s", sd_file_name(r->file), what);
}

/* The header fits to what was read before. */
static enum sd_err enter(struct sd_wal_reader *r, struct sd_error *e)
{
	uint8_t head[WAL_HEAD];
	size_t got;
	uint64_t size;
	bool copy;
	struct wal_header h;
	struct sd_error why = {0};
	enum sd_err err = sd_file_read(r->file, head, sizeof(head), 0, &got, e);
	if (!err)
		err = sd_file_size(r->file, &size, e);
	if (err)
		return err;
	if (wal_header_get(head, got, &h, &copy, &why))
		return bad(r, why.text, e);
	if (!r->first && h.first_seq != r->cursor.seq && !(h.flags & WAL_GAP && h.first_seq > r->cursor.seq))
		return sd_fail(e, SD_EINVAL, "cannot read %s: begins with record %" PRIu64 " (expected %" PRIu64 ")",
			       sd_file_name(r->file), h.first_seq, r->cursor.seq);
	struct wal_key key = wal_key_of(h.salt);
	key.blind = r->blind;
	r->cursor.from = (struct wal_source){wal_file_read, r->file};
	wal_cursor_at(&r->cursor, key, size, h.first_seq);
	r->first = false;
	if (r->at)
		wal_cursor_jump(&r->cursor, r->at, r->next);
	r->at = 0;
	return SD_OK;
}

static enum sd_err open_segment(struct sd_wal_reader *r, struct sd_error *e)
{
	char path[WAL_PATH];
	enum sd_err err = wal_path(path, r->dir, r->name, r->number, e);
	if (!err)
		err = sd_file_open(r->world, path, 0, &r->file, e);
	if (err)
		return err;
	err = enter(r, e);
	if (err) {
		sd_file_close(r->file);
		r->file = NULL;
	}
	return err;
}

/* The file may have grown, or been written over zeros, since it was read. */
static enum sd_err look_again(struct sd_wal_reader *r, struct sd_error *e)
{
	wal_cursor_again(&r->cursor);
	return sd_file_size(r->file, &r->cursor.size, e);
}

/* The record that is due is acknowledged, so it must be there: here, or in the next segment. */
static enum sd_err step(struct sd_wal_reader *r, struct wal_item *item, struct sd_error *e)
{
	enum sd_err err = r->file ? SD_OK : open_segment(r, e);
	if (err)
		return err;
	enum wal_step is = wal_next(&r->cursor, item, e);
	if (is == WAL_END || is == WAL_BAD) {
		err = look_again(r, e);
		is = err ? WAL_FAILED : wal_next(&r->cursor, item, e);
	}
	char text[160];
	switch (is) {
	case WAL_RECORD:
		return SD_OK;
	case WAL_END:
		sd_file_close(r->file);
		r->file = NULL;
		r->number++;
		return SD_EAGAIN;
	case WAL_BAD:
		snprintf(text, sizeof(text), "record at %" PRIu64 " %s", r->cursor.bad, r->cursor.why.why);
		return bad(r, text, e);
	case WAL_FAILED:
		break;
	}
	return e->code;
}

enum sd_err sd_wal_read(struct sd_wal_reader *r, struct sd_wal_record *out, struct sd_error *e)
{
	struct sd_error own = {0};
	struct wal_item item;
	enum sd_err err;
	e = e ? e : &own;
	if (r->acked && r->next > __atomic_load_n(r->acked, __ATOMIC_ACQUIRE)) {
		wal_cursor_again(&r->cursor);
		return SD_EEOF;
	}
	do
		err = step(r, &item, e);
	while (err == SD_EAGAIN || (!err && item.seq < r->next));
	if (err)
		return err;
	r->next = item.seq + 1;
	*out = (struct sd_wal_record){.seq = item.seq, .segment = r->number, .offset = item.off, .data = item.data,
				      .n = item.n, .type = item.type};
	return SD_OK;
}

void sd_wal_reader_seek(struct sd_wal_reader *r, struct sd_wal_place at, uint64_t seq)
{
	r->next = seq;
	if (r->file && r->number == at.segment) {
		wal_cursor_jump(&r->cursor, at.offset, seq);
		return;
	}
	sd_file_close(r->file);
	r->file = NULL;
	r->number = at.segment;
	r->at = at.offset;
	r->first = true;
}

void sd_wal_reader_free(struct sd_wal_reader *r)
{
	if (!r)
		return;
	sd_file_close(r->file);
	wal_cursor_free(&r->cursor);
	free(r->dir);
	free(r);
}
