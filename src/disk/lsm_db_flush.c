/* lsm_db_flush.c - the oldest memtable that waits becomes a table of level 0, and its large values a blob file. Versions that nobody
 * can see any more are left out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_sift.h"
#include "lsm_blob.h"
#include "lsm_db_int.h"

#define BLOB_ZSTD 1

struct flush {
	struct sd_kv *kv;
	struct sd_lsm_mem *mem;
	struct sd_file *file;
	struct sd_lsm_table_out out;
	uint64_t at; /* bytes of the file */
	uint64_t number, blob_number;
	struct sd_lsm_blob_out *blob; /* NULL: none yet */
	uint64_t blob_bytes;
	struct sd_text key, value; /* scratch */
	uint64_t *snapshots;
	size_t nsnapshots;
};

/* ---- where it goes ---- */

static enum sd_err write_piece(void *arg, const void *p, size_t n, struct sd_error *e)
{
	struct flush *f = arg;
	struct iovec iov = {(void *)(uintptr_t)p, n};
	enum sd_err err = sd_file_write(f->file, &iov, 1, f->at, e);
	f->at += n;
	return err;
}

static enum sd_err create(struct flush *f, struct sd_error *e)
{
	char name[SD_LSM_NAME];
	struct sd_kv *kv = f->kv;
	f->number = lsm_new_number(kv);
	lsm_table_name(kv, f->number, name);
	char *full = sd_lsm_path(kv->path, name);
	enum sd_err err = full ? sd_file_open(kv->world, full, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &f->file, e)
			       : lsm_no_memory(e);
	free(full);
	struct sd_lsm_table_conf conf = {.block_bytes = kv->conf.block_bytes, .no_filter = kv->conf.no_filter, .own = kv->own, /* L0: no zstd */
					 .sink = {write_piece, f}};
	sd_lsm_table_begin(&f->out, &conf);
	return err;
}

/* ---- large values ---- */

static bool goes_apart(const struct sd_kv *kv, enum sd_lsm_kind kind, size_t n)
{
	return kv->own && kv->conf.blob_from != UINT32_MAX && n >= kv->conf.blob_from && (kind == SD_LSM_VALUE || kind == SD_LSM_ENDING);
}

static enum sd_err blob_file(struct flush *f, struct sd_error *e)
{
	struct sd_kv *kv = f->kv;
	if (f->blob)
		return SD_OK;
	f->blob_number = lsm_new_number(kv);
	return sd_lsm_blob_create(kv->world, kv->path, f->blob_number, kv->conf.compression == SD_KV_PLAIN ? 0 : BLOB_ZSTD, &f->blob, e);
}

/* The key says from now on that the value is elsewhere, and the value where. */
static enum sd_err put_apart(struct flush *f, struct sd_slice *internal, struct sd_slice *value, struct sd_error *e)
{
	struct sd_lsm_blob_ref ref;
	char place[SD_LSM_BLOB_REF];
	bool ending = sd_lsm_kind(*internal) == SD_LSM_ENDING;
	size_t front = ending ? 8 : 0;
	enum sd_err err = blob_file(f, e);
	if (!err)
		err = sd_lsm_blob_add(f->blob, *internal, (struct sd_slice){value->p + front, value->n - front}, &ref, e);
	if (err)
		return err;
	f->blob_bytes += ref.n;
	f->key.n = f->value.n = 0;
	sd_text_add(&f->key, internal->p, internal->n);
	sd_text_add(&f->value, value->p, front);
	sd_text_add(&f->value, place, sd_lsm_blob_ref_put(place, &ref));
	if (f->key.full || f->value.full)
		return lsm_no_memory(e);
	sd_put_le(f->key.p + f->key.n - SD_LSM_TAIL, sd_lsm_seq(*internal) << 8 | (ending ? SD_LSM_ENDING_BLOB : SD_LSM_BLOB), SD_LSM_TAIL);
	*internal = (struct sd_slice){f->key.p, f->key.n};
	*value = (struct sd_slice){f->value.p, f->value.n};
	return SD_OK;
}

/* ---- what goes there ---- */

static enum sd_err keep(void *arg, struct sd_slice internal, struct sd_slice value, bool fresh, struct sd_error *e)
{
	struct flush *f = arg;
	(void)fresh;
	if (goes_apart(f->kv, sd_lsm_kind(internal), value.n)) {
		enum sd_err err = put_apart(f, &internal, &value, e);
		if (err)
			return err;
	}
	sd_lsm_table_add(&f->out, internal, value);
	return f->out.err ? sd_fail(e, f->out.err, "%s", f->out.why.text) : SD_OK;
}

static uint64_t covers(void *arg, struct sd_slice user, uint64_t seq)
{
	return sd_lsm_mem_hides(((struct flush *)arg)->mem, user, seq);
}

static int upwards(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

bool lsm_snapshots(struct sd_kv *kv, uint64_t **out, size_t *n)
{
	*n = 0;
	sd_lock_enter(kv->lock);
	uint64_t *seqs = malloc((kv->nsnapshots + 1) * sizeof(*seqs));
	for (struct sd_kv_snapshot *s = kv->snapshots.next; seqs && s != &kv->snapshots; s = s->next)
		seqs[(*n)++] = s->seq;
	sd_lock_leave(kv->lock);
	if (*n > 1)
		qsort(seqs, *n, sizeof(*seqs), upwards);
	*out = seqs;
	return seqs != NULL;
}

static enum sd_err sift_all(struct flush *f, struct sd_lsm_iter *i, struct sd_error *e)
{
	struct sd_lsm_sift sift = {.conf = {.snapshots = f->snapshots,
					    .nsnapshots = f->nsnapshots,
					    .covers = sd_lsm_mem_range_count(f->mem) > 0 ? covers : NULL,
					    .keep = keep,
					    .arg = f}};
	enum sd_err err = SD_OK;
	for (i->ops->first(i); i->valid && !err; i->ops->next(i))
		err = sd_lsm_sift_take(&sift, i->key, i->value, e);
	if (!err)
		err = sd_lsm_sift_end(&sift, e);
	sd_lsm_sift_free(&sift);
	return err;
}

static enum sd_err add_ranges(struct flush *f, struct sd_error *e)
{
	struct sd_lsm_ranges *set = NULL;
	if (!sd_lsm_mem_ranges(f->mem, &set))
		return lsm_no_memory(e);
	for (size_t i = 0; set && i < sd_lsm_ranges_count(set); i++) {
		struct sd_lsm_range r = sd_lsm_ranges_at(set, i);
		sd_lsm_table_add_range(&f->out, &r);
	}
	sd_lsm_ranges_unref(set);
	return f->out.err ? sd_fail(e, f->out.err, "%s", f->out.why.text) : SD_OK;
}

static enum sd_err fill(struct flush *f, struct sd_error *e)
{
	if (!lsm_snapshots(f->kv, &f->snapshots, &f->nsnapshots))
		return lsm_no_memory(e);
	struct sd_lsm_iter *i = lsm_mem_iter(f->kv, f->mem);
	if (!i)
		return lsm_no_memory(e);
	enum sd_err err = sift_all(f, i, e);
	sd_lsm_iter_free(i);
	return err ? err : add_ranges(f, e);
}

/* ---- on the disk ---- */

static enum sd_err finish(struct flush *f, struct sd_error *e)
{
	enum sd_err err = sd_lsm_table_end(&f->out, e);
	if (!err)
		err = sd_file_sync(f->file, e);
	if (!err && f->blob) {
		err = sd_lsm_blob_end(f->blob, e);
		f->blob = NULL;
	}
	return err ? err : sd_dir_sync(f->kv->world, f->kv->path, e);
}

static void put_edit(struct flush *f, const struct sd_lsm_view *view, struct sd_text *edit)
{
	const struct sd_lsm_props *p = &f->out.props;
	struct sd_lsm_file file = {.number = f->number,
				   .size = f->out.bytes,
				   .smallest = {f->out.first.p, f->out.first.n},
				   .largest = {f->out.last.p, f->out.last.n},
				   .entries = p->entries,
				   .gone = p->gone,
				   .oldest_seq = p->oldest_seq,
				   .newest_seq = p->newest_seq,
				   .has_ranges = p->ranges > 0,
				   .first_blob = f->blob_number,
				   .last_blob = f->blob_number};
	if (f->out.entries > 0)
		sd_lsm_edit_add(edit, 0, &file, f->kv->own);
	if (f->blob_bytes > 0)
		sd_lsm_edit_add_blob(edit, f->blob_number, f->blob_bytes);
	sd_lsm_edit_log(edit, view->nheld > 1 ? view->held[view->nheld - 2].log : view->mem.log);
}

static void say_table(struct flush *f)
{
	char name[SD_LSM_NAME];
	if (f->out.entries == 0)
		return;
	lsm_table_name(f->kv, f->number, name);
	lsm_say(f->kv, &(struct sd_kv_event){.kind = SD_KV_EVENT_TABLE,
					     .name = name,
					     .level = 0,
					     .from_level = -1,
					     .number = f->number,
					     .keys = f->out.entries,
					     .bytes = f->out.bytes,
					     .filter_rate = f->kv->conf.no_filter ? 0 : 0.01});
}

static void end_flush(struct flush *f, bool failed)
{
	sd_file_close(f->file);
	sd_lsm_blob_abandon(f->blob);
	if (f->number && (failed || f->out.entries == 0))
		lsm_left_over(f->kv, f->number, LEFT_TABLE);
	if (f->blob_number && failed)
		lsm_left_over(f->kv, f->blob_number, LEFT_BLOB);
	sd_lsm_table_free(&f->out);
	free(f->key.p);
	free(f->value.p);
	free(f->snapshots);
}

enum sd_err lsm_flush_one(struct sd_kv *kv, bool *did, struct sd_error *e)
{
	struct sd_text edit = {0};
	struct sd_lsm_view *view = lsm_view_now(kv);
	struct flush f = {.kv = kv};
	*did = view->nheld > 0;
	if (!*did) {
		sd_lsm_view_unref(view);
		return SD_OK;
	}
	f.mem = view->held[view->nheld - 1].mem;
	enum sd_err err = create(&f, e);
	if (!err)
		err = fill(&f, e);
	if (!err)
		err = finish(&f, e);
	bool made = !err;
	if (!err) {
		put_edit(&f, view, &edit);
		err = lsm_install(kv, &edit, 1, e);
	}
	if (!err) {
		lsm_count(&kv->figures.flushes, 1);
		lsm_count(&kv->figures.flushed_bytes, f.out.bytes);
		lsm_count(&kv->figures.blob_bytes, f.blob_bytes);
		say_table(&f);
	}
	end_flush(&f, !made); /* what was made and is not in the version is left over with it */
	sd_lsm_view_unref(view);
	free(edit.p);
	return err;
}
