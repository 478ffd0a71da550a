/* wal_walk.c - goes through a folder of segments, or one of them: what is there, and what is wrong. Changes nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wal_int.h"

struct walk {
	struct sd_world *world;
	struct sd_wal_walk *pub;
	struct wal_end *end;
	struct sd_error *e;
	struct wal_cursor cursor;
	const char *dir;
	/* the segment that is looked at */
	struct sd_file *file;
	char path[WAL_PATH];
	uint64_t number, size;
	bool newest;
	bool broken;        /* the one before had damage, so numbers need not fit */
};

enum sd_err wal_path(char out[WAL_PATH], const char *dir, const char *name, uint64_t number, struct sd_error *e)
{
	char file[WAL_FILE];
	wal_file_name(file, name, number);
	int n = snprintf(out, WAL_PATH, "%s/%s", dir, file);
	return n < WAL_PATH ? SD_OK : sd_fail(e, SD_ETOOBIG, "cannot open %s: the path is too long", dir);
}

bool wal_segments_add(struct wal_segments *s, uint64_t number, uint64_t first_seq)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 16;
		struct wal_segment *more = realloc(s->at, cap * sizeof(*more));
		if (!more)
			return false;
		s->at = more;
		s->cap = cap;
	}
	s->at[s->n++] = (struct wal_segment){number, first_seq};
	return true;
}

enum sd_err wal_file_read(void *arg, void *buf, size_t n, uint64_t off, size_t *got, struct sd_error *e)
{
	return sd_file_read(arg, buf, n, off, got, e);
}

/* ---- telling ---- */

static enum sd_err tell(struct walk *w, struct sd_wal_trouble *t)
{
	struct sd_wal_walk *pub = w->pub;
	t->file = w->path;
	t->segment = w->number;
	pub->troubles++;
	pub->damages += t->kind == SD_WAL_DAMAGE;
	enum sd_err err = pub->trouble ? pub->trouble(pub, t, w->e) : SD_OK;
	if (err || t->kind != SD_WAL_DAMAGE)
		return err;
	w->broken = true;
	return pub->resync ? SD_OK : sd_fail(w->e, SD_EINVAL, "cannot read %s: %s", w->path, t->text);
}

__attribute__((format(printf, 3, 4))) static enum sd_err damage(struct walk *w, uint64_t offset, const char *fmt, ...)
{
	struct sd_wal_trouble t = {.kind = SD_WAL_DAMAGE, .offset = offset, .seq = w->end->next_seq};
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(t.text, sizeof(t.text), fmt, ap);
	va_end(ap);
	return tell(w, &t);
}

/* ---- the records of a segment ---- */

static enum sd_err give(struct walk *w, const struct wal_item *item)
{
	if (!w->pub->record)
		return SD_OK;
	struct sd_wal_record r = {.seq = item->seq, .segment = w->number, .offset = item->off, .data = item->data,
				  .n = item->n, .type = item->type};
	return w->pub->record(w->pub, &r, w->path, w->e);
}

static enum sd_err tail_torn(struct walk *w, const struct wal_verdict *v)
{
	struct sd_wal_trouble t = {.kind = SD_WAL_TORN_TAIL, .offset = v->cut, .bytes = v->bytes, .seq = w->cursor.seq,
				   .behind = v->behind};
	snprintf(t.text, sizeof(t.text), "%s; a torn tail of %" PRIu64 " bytes", v->text, v->bytes);
	w->end->torn = t;
	w->end->torn.file = NULL;
	w->end->torn.segment = w->number;
	return tell(w, &t);
}

/* Where records stopped: *more when they go on behind it. */
static enum sd_err stopped(struct walk *w, enum wal_step step, bool *more)
{
	struct wal_verdict v;
	enum sd_err err = wal_judge(&w->cursor, step, w->newest, &v, w->e);
	*more = false;
	if (err || v.state == WAL_CLEAN)
		return err;
	if (v.state == WAL_TORN)
		return tail_torn(w, &v);
	w->end->next_seq = w->cursor.seq;
	err = damage(w, v.at, "%s", v.text);
	return err ? err : wal_resync(&w->cursor, more, w->e);
}

static enum sd_err records(struct walk *w)
{
	struct wal_item item;
	bool more = true;
	while (more) {
		enum wal_step step;
		enum sd_err err = SD_OK;
		while (!err && (step = wal_next(&w->cursor, &item, w->e)) == WAL_RECORD)
			err = give(w, &item);
		if (!err && step == WAL_FAILED)
			return w->e ? w->e->code : SD_EIO;
		if (!err)
			err = stopped(w, step, &more);
		if (err)
			return err;
	}
	w->end->off = w->cursor.off;
	w->end->proven = w->cursor.proven;
	w->end->marked = w->cursor.marked;
	w->end->next_seq = w->cursor.seq;
	return SD_OK;
}

/* ---- headers ---- */

static enum sd_err read_header(struct walk *w, struct wal_header *h, bool *use)
{
	uint8_t head[WAL_HEAD];
	size_t got;
	struct sd_error why = {0};
	enum sd_err err = sd_file_read(w->file, head, sizeof(head), 0, &got, w->e);
	if (err)
		return err;
	err = wal_header_get(head, got, h, use, &why);
	if (err == SD_EUNSUPPORTED)
		return sd_fail(w->e, err, "cannot read %s: %s", w->path, why.text);
	return err ? damage(w, 0, "%s", why.text) : SD_OK; /* one good copy is enough to go on with */
}

/* Does it say what its place says? */
static enum sd_err fits(struct walk *w, const struct wal_header *h)
{
	const struct wal_header *before = &w->end->header;
	char name[WAL_NAME + 1];
	uint64_t number;
	const char *slash = strrchr(w->path, '/');
	if (wal_file_parse(slash ? slash + 1 : w->path, name, &number) &&
	    (number != h->number || strcmp(name, h->name) != 0))
		return damage(w, 0, "is segment %" PRIu64 " of log %s by its header", h->number, h->name);
	if (before->number == 0)
		return SD_OK;
	if (before->number + 1 != h->number && !w->broken)
		return damage(w, 0, "segment %" PRIu64 " is missing before it", before->number + 1);
	bool gap = h->flags & WAL_GAP && h->first_seq > w->end->next_seq;
	w->pub->found.gaps += gap;
	if (h->first_seq != w->end->next_seq && !gap && !w->broken && !w->pub->lazy)
		return damage(w, 0, "begins with record %" PRIu64 " (expected %" PRIu64 ")", h->first_seq, w->end->next_seq);
	return h->first_seq >= before->first_seq || w->broken
		   ? SD_OK
		   : damage(w, 0, "begins with record %" PRIu64 ", which is not behind the segment before it", h->first_seq);
}

static enum sd_err opened(struct walk *w)
{
	struct wal_header h;
	bool use = false;
	enum sd_err err = read_header(w, &h, &use);
	if (err || !use)
		return err;
	err = fits(w, &h);
	if (err)
		return err;
	w->broken = false;
	w->end->header = h;
	w->end->size = w->size;
	snprintf(w->end->name, sizeof(w->end->name), "%.40s", h.name);
	if (!wal_segments_add(&w->end->segments, h.number, h.first_seq))
		return sd_fail(w->e, SD_ENOMEM, "out of memory");
	struct wal_key key = wal_key_of(h.salt);
	key.blind = w->end->blind;
	wal_cursor_at(&w->cursor, key, w->size, h.first_seq);
	w->end->next_seq = h.first_seq;
	return w->pub->lazy && !w->newest ? SD_OK : records(w);
}

static enum sd_err segment(struct walk *w)
{
	enum sd_err err = sd_file_open(w->world, w->path, 0, &w->file, w->e);
	if (err)
		return err;
	w->cursor.from = (struct wal_source){wal_file_read, w->file};
	err = sd_file_size(w->file, &w->size, w->e);
	if (!err && w->size > UINT32_MAX)
		err = damage(w, 0, "is larger than a segment can be");
	else if (!err)
		err = opened(w);
	sd_file_close(w->file);
	return err;
}

/* ---- folders ---- */

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct wal_segment *)a)->number, y = ((const struct wal_segment *)b)->number;
	return x < y ? -1 : x > y;
}

static void free_names(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

/* Is it one that was being made when the power went? */
static bool unmade(struct walk *w, const char *file)
{
	char name[WAL_NAME + 1], own[WAL_FILE];
	size_t n = strlen(file), tail = sizeof(WAL_NEW) - 1;
	if (n <= tail || n - tail >= sizeof(own) || strcmp(file + n - tail, WAL_NEW) != 0)
		return false;
	memcpy(own, file, n - tail);
	own[n - tail] = '\0';
	return wal_file_parse(own, name, &w->number) && (!w->pub->name || strcmp(name, w->pub->name) == 0) &&
	       snprintf(w->end->name, sizeof(w->end->name), "%s", name) > 0;
}

static enum sd_err tell_unmade(struct walk *w, const char *file)
{
	struct sd_wal_trouble t = {.kind = SD_WAL_UNMADE};
	if (snprintf(w->path, sizeof(w->path), "%s/%s", w->dir, file) >= (int)sizeof(w->path))
		return sd_fail(w->e, SD_ETOOBIG, "cannot open %s: the path is too long", w->dir);
	snprintf(t.text, sizeof(t.text), "was being made when the power went; nothing is in it yet");
	w->pub->found.unmade = w->number;
	return tell(w, &t);
}

/* The segments among the names; all of one log. */
static enum sd_err pick(struct walk *w, char *const *names, struct wal_segments *out)
{
	char name[WAL_NAME + 1], *found = w->end->name;
	uint64_t number;
	if (w->pub->name)
		snprintf(found, WAL_NAME + 1, "%s", w->pub->name);
	for (size_t i = 0; names[i]; i++) {
		enum sd_err err = unmade(w, names[i]) ? tell_unmade(w, names[i]) : SD_OK;
		if (err)
			return err;
		if (!wal_file_parse(names[i], name, &number))
			continue;
		if (!found[0])
			snprintf(found, WAL_NAME + 1, "%s", name);
		if (strcmp(found, name) != 0)
			return sd_fail(w->e, SD_EINVAL, "cannot open %s: it holds the log %s (expected only %s)", w->dir, name,
				       found);
		if (!wal_segments_add(out, number, 0))
			return sd_fail(w->e, SD_ENOMEM, "out of memory");
	}
	if (out->n)
		qsort(out->at, out->n, sizeof(*out->at), by_number);
	return SD_OK;
}

static enum sd_err folder(struct walk *w, char *const *names)
{
	struct wal_segments list = {0};
	char name[WAL_NAME + 1];
	enum sd_err err = pick(w, names, &list);
	snprintf(name, sizeof(name), "%s", w->end->name);
	for (size_t i = 0; !err && i < list.n; i++) {
		w->number = list.at[i].number;
		w->newest = i + 1 == list.n;
		err = wal_path(w->path, w->dir, name, w->number, w->e);
		if (!err)
			err = segment(w);
	}
	free(list.at);
	return err;
}

static enum sd_err one_file(struct walk *w)
{
	char name[WAL_NAME + 1];
	const char *slash = strrchr(w->dir, '/');
	w->newest = true;
	wal_file_parse(slash ? slash + 1 : w->dir, name, &w->number);
	if (snprintf(w->path, sizeof(w->path), "%s", w->dir) >= (int)sizeof(w->path))
		return sd_fail(w->e, SD_ETOOBIG, "cannot open %s: the path is too long", w->dir);
	return segment(w);
}

static void sum_up(struct walk *w)
{
	struct sd_wal_found *f = &w->pub->found;
	const struct sd_wal_trouble *t = &w->end->torn;
	f->next_seq = w->end->next_seq;
	f->segments = (unsigned)w->end->segments.n;
	f->first_seq = f->segments ? w->end->segments.at[0].first_seq : f->next_seq;
	f->torn_segment = t->segment;
	f->torn_offset = t->offset;
	f->torn_bytes = t->bytes;
	f->torn_records = t->behind;
}

enum sd_err wal_walk_to(struct sd_world *world, struct sd_wal_walk *pub, struct wal_end *end, struct sd_error *e)
{
	struct sd_error own = {0};
	struct walk w = {.world = world, .pub = pub, .end = end, .e = e ? e : &own, .dir = pub->path};
	end->next_seq = 1;
	enum sd_err err = wal_cursor_init(&w.cursor, w.e);
	if (err)
		return err;
	char **names = sd_world_list_dir(world, pub->path);
	err = names ? folder(&w, names) : one_file(&w);
	free_names(names);
	wal_cursor_free(&w.cursor);
	sum_up(&w);
	return err;
}

enum sd_err sd_wal_walk(struct sd_world *world, struct sd_wal_walk *pub, struct sd_error *e)
{
	struct wal_end end = {0};
	pub->found = (struct sd_wal_found){0};
	pub->troubles = pub->damages = 0;
	enum sd_err err = wal_walk_to(world, pub, &end, e);
	if (!err && !pub->troubles && end.segments.n == 0)
		err = sd_fail(e, SD_ENOTFOUND, "%s holds no log", pub->path);
	free(end.segments.at);
	return err;
}
