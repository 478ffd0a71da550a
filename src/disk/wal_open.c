/* wal_open.c - from a folder to a log that can be written: look, then cut what is torn, write again what nothing proves, sync. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/units.h"
#include "wal_int.h"

/* ---- configuration ---- */

static uint32_t or_default(uint32_t v, uint32_t def, uint32_t max)
{
	v = v ? v : def;
	return v < max ? v : max;
}

static void defaults(struct sd_wal_conf *c)
{
	c->segment_bytes = or_default(c->segment_bytes, 64u << 20, WAL_MAX);
	c->batch_bytes = or_default(c->batch_bytes, 1u << 20, WAL_MAX);
	c->queue_bytes = or_default(c->queue_bytes, 8u << 20, WAL_MAX);
	c->record_bytes = or_default(c->record_bytes, 16u << 20, WAL_MAX);
	c->first_seq = c->first_seq ? c->first_seq : 1;
	c->interval_ns = c->interval_ns > 0 ? c->interval_ns : 10000000;
}

void sd_wal_sync_text(const struct sd_wal_conf *conf, char out[SD_WAL_TEXT])
{
	struct sd_wal_conf c = *conf;
	char batch[SD_UNIT_TEXT], each[SD_UNIT_TEXT];
	defaults(&c);
	sd_format_size(c.batch_bytes, batch);
	sd_format_duration(c.interval_ns, each);
	switch (c.sync) {
	case SD_WAL_ALWAYS:
		snprintf(out, SD_WAL_TEXT, "sync: always, group commit up to %s", batch);
		break;
	case SD_WAL_INTERVAL:
		snprintf(out, SD_WAL_TEXT, "sync: interval %s; a power cut may lose what was acknowledged in that time", each);
		break;
	case SD_WAL_NEVER:
		snprintf(out, SD_WAL_TEXT, "sync: never; a power cut may lose what was acknowledged");
		break;
	}
}

/* ---- folder and lock ---- */

static void parent_of(const char *path, char *out, size_t n)
{
	snprintf(out, n, "%s", path);
	size_t end = strlen(out);
	while (end > 1 && out[end - 1] == '/')
		end--;
	while (end > 0 && out[end - 1] != '/')
		end--;
	while (end > 1 && out[end - 1] == '/')
		end--;
	out[end] = '\0';
	if (end == 0)
		snprintf(out, n, ".");
}

static bool has_segments(struct sd_world *w, const char *dir)
{
	char name[WAL_NAME + 1], **names = sd_world_list_dir(w, dir);
	uint64_t number;
	bool found = false;
	for (size_t i = 0; names && names[i]; i++) {
		found |= wal_file_parse(names[i], name, &number);
		free(names[i]);
	}
	free(names);
	return found;
}

/* Makes the folder, and makes its name stay, with those of its parents. Only where there is no log yet: the one that is there
 * began so. A folder without a log may be left from when that failed. */
static enum sd_err make_folder(struct sd_world *w, const char *dir, struct sd_error *e)
{
	char at[WAL_PATH], up[WAL_PATH];
	if (strlen(dir) >= WAL_PATH - WAL_FILE)
		return sd_fail(e, SD_ETOOBIG, "cannot open %s: the path is too long", dir);
	if (has_segments(w, dir))
		return SD_OK;
	enum sd_err err = sd_world_mkdir(w, dir, 0700, e);
	snprintf(at, sizeof(at), "%s", dir);
	while (!err && strcmp(at, ".") != 0 && strcmp(at, "/") != 0) {
		parent_of(at, up, sizeof(up));
		err = sd_dir_sync(w, up, e);
		if (err == SD_EPERM) /* a folder that is not ours was there before */
			err = SD_OK;
		memcpy(at, up, sizeof(at));
	}
	return err;
}

static enum sd_err lock(struct sd_wal *l, struct sd_error *e)
{
	char path[WAL_PATH];
	snprintf(path, sizeof(path), "%s/LOCK", l->dir);
	enum sd_err err = sd_file_open(l->world, path, SD_FILE_WRITE | SD_FILE_CREATE, &l->disk.lock, e);
	return err ? err : sd_file_lock(l->disk.lock, e);
}

/* ---- looking ---- */

static enum sd_err opening(enum sd_err err, struct sd_error *e)
{
	static const char read[] = "cannot read ", open[] = "cannot open ";
	/* The same words, but this one is about the log. */
	if (e && err && strncmp(e->text, read, sizeof(read) - 1) == 0)
		memcpy(e->text, open, sizeof(open) - 1);
	return err;
}

static void describe(struct sd_wal_found *f, const char *dir, const char *name)
{
	char file[WAL_FILE];
	size_t n = 0;
	if (f->torn_bytes) {
		wal_file_name(file, name, f->torn_segment);
		n = (size_t)snprintf(f->text, sizeof(f->text),
				     "%.200s/%s: a torn tail of %" PRIu64 " bytes at %" PRIu64 " was cut off", dir, file,
				     f->torn_bytes, f->torn_offset);
	}
	if (f->unmade) {
		wal_file_name(file, name, f->unmade);
		snprintf(f->text + n, sizeof(f->text) - n, "%s%.200s/%s was not finished and was removed", n ? "; " : "", dir,
			 file);
	}
}

static enum sd_err give(struct sd_wal_walk *w, const struct sd_wal_record *r, const char *file, struct sd_error *e)
{
	const struct sd_wal_conf *c = w->arg;
	return c->record(c->arg, r, file, e);
}

static enum sd_err look(struct sd_wal *l, struct wal_end *end, struct sd_wal_found *found, struct sd_error *e)
{
	struct sd_wal_walk walk = {.path = l->dir, .name = l->conf.name, .lazy = l->conf.lazy, .arg = &l->conf};
	walk.record = l->conf.record && !l->conf.lazy ? give : NULL;
	enum sd_err err = opening(wal_walk_to(l->world, &walk, end, e), e);
	*found = walk.found;
	return !err && found->unmade ? wal_disk_remove_new(&l->disk, end->name, found->unmade, e) : err;
}

static enum sd_err expected(struct sd_wal *l, const struct wal_end *end, struct sd_error *e)
{
	if (end->next_seq > l->conf.expect_seq)
		return SD_OK;
	const struct sd_wal_trouble *t = &end->torn;
	return sd_fail(e, SD_EINVAL, "cannot open %s: it ends with record %" PRIu64 ", but %" PRIu64 " was acknowledged%s%.200s",
		       l->dir, end->next_seq - 1, l->conf.expect_seq, t->bytes ? ": " : "", t->bytes ? t->text : "");
}

/* ---- mending ---- */

/* A sync that failed in an earlier life leaves bytes in memory that look fine and never reach the disk: they are written
 * again. */
static enum sd_err write_again(struct sd_wal *l, const struct wal_end *end, struct sd_error *e)
{
	static const size_t piece = 1 << 16;
	uint64_t off = end->proven;
	uint8_t *buf = malloc(piece);
	enum sd_err err = buf ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
	while (!err && off < end->off) {
		size_t n = end->off - off < piece ? (size_t)(end->off - off) : piece, got;
		err = sd_file_read(l->disk.file, buf, n, off, &got, e);
		if (!err && got < n)
			err = sd_fail(e, SD_EIO, "cannot read %s: it became shorter", sd_file_name(l->disk.file));
		struct iovec iov = {buf, n};
		if (!err)
			err = sd_file_write(l->disk.file, &iov, 1, off, e);
		off += n;
	}
	free(buf);
	return err;
}

static enum sd_err mend(struct sd_wal *l, const struct wal_end *end, struct sd_error *e)
{
	char path[WAL_PATH];
	enum sd_err err = wal_path(path, l->dir, l->name, end->header.number, e);
	if (!err)
		err = sd_file_open(l->world, path, SD_FILE_WRITE, &l->disk.file, e);
	l->disk.number = end->header.number;
	l->disk.end = end->off;
	l->disk.roomy = end->size >= l->conf.segment_bytes && !end->torn.bytes;
	if (!err && end->torn.bytes)
		err = sd_file_truncate(l->disk.file, end->off, e);
	if (!err)
		err = write_again(l, end, e);
	if (!err)
		err = wal_disk_sync(&l->disk, e);
	return err ? err : sd_dir_sync(l->world, l->dir, e);
}

static enum sd_err make_first(struct sd_wal *l, struct sd_error *e)
{
	struct wal_header *h = &l->head;
	uint64_t seq = l->conf.first_seq;
	*h = (struct wal_header){.number = 1, .first_seq = seq, .created_ns = (uint64_t)sd_world_wall_ns(l->world)};
	sd_world_random(l->world, &h->salt, sizeof(h->salt));
	snprintf(h->name, sizeof(h->name), "%s", l->name);
	if (!wal_segments_add(&l->segments, 1, seq))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	l->next_seq = seq;
	l->off = WAL_HEAD;
	return wal_disk_make(&l->disk, h, e);
}

static enum sd_err go_on(struct sd_wal *l, struct wal_end *end, struct sd_error *e)
{
	l->segments = end->segments;
	end->segments = (struct wal_segments){0};
	l->head = end->header;
	l->off = end->off;
	l->next_seq = end->next_seq;
	l->marked = end->marked;
	/* Bytes that were cut could come back when the file grows over them and the power goes; in another segment, with another
	 * salt, they are nothing. A file that ends with its last record may have been cut by an earlier opening, which did not
	 * come as far as to make that segment. */
	l->sealed = end->torn.bytes > 0 || end->size == end->off;
	return mend(l, end, e);
}

static enum sd_err recover(struct sd_wal *l, struct sd_wal_found *found, struct sd_error *e)
{
	struct wal_end end = {0};
	enum sd_err err = look(l, &end, found, e);
	if (!err)
		err = expected(l, &end, e);
	const char *name = end.name[0] ? end.name : l->conf.name;
	if (!err && !name)
		err = sd_fail(e, SD_ENOTFOUND, "%s holds no log", l->dir);
	if (!err) {
		snprintf(l->name, sizeof(l->name), "%s", name);
		l->disk.name = l->name;
		err = end.header.number ? go_on(l, &end, e) : make_first(l, e);
	}
	if (!err)
		describe(found, l->dir, l->name);
	if (!err && !end.header.number)
		found->first_seq = found->next_seq = l->next_seq;
	found->segments = (unsigned)l->segments.n;
	free(end.segments.at);
	return err;
}

enum sd_err sd_wal_open(struct sd_world *w, const struct sd_wal_conf *conf, struct sd_wal **out,
			struct sd_wal_found *found, struct sd_error *e)
{
	struct sd_wal_found own;
	struct sd_error cause = {0};
	e = e ? e : &cause;
	if (conf->name && !wal_name_ok(conf->name))
		return sd_fail(e, SD_EINVAL, "a log cannot be called \"%.60s\" (expected 1 to 40 letters, digits, . _ or -)",
			       conf->name);
	struct sd_wal *l = calloc(1, sizeof(*l));
	if (!l || !(l->dir = strdup(conf->dir))) {
		free(l);
		return sd_fail(e, SD_ENOMEM, "cannot open %s: out of memory", conf->dir);
	}
	l->world = w;
	l->conf = *conf;
	defaults(&l->conf);
	l->disk = (struct wal_disk){.world = w, .dir = l->dir, .segment_bytes = l->conf.segment_bytes};
	enum sd_err err = make_folder(w, l->dir, e);
	if (!err)
		err = lock(l, e);
	if (!err)
		err = recover(l, found ? found : &own, e);
	if (err) {
		wal_destroy(l);
		return err;
	}
	l->disk.syncs = l->disk.written = 0;
	wal_begin(l);
	*out = l;
	return SD_OK;
}
