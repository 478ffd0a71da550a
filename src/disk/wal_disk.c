/* wal_disk.c - what a log does to its files. Each function blocks; each leaves a state that a power cut at any point of it
 * cannot turn into damage: see RULES OF WRITING in sdlab-wal(5). */
#include <stdio.h>

#include "wal_int.h"

enum sd_err wal_disk_sync(struct wal_disk *d, struct sd_error *e)
{
	enum sd_err err = sd_file_sync(d->file, e);
	d->syncs++;
	if (!err)
		d->dirty = false;
	return err;
}

enum sd_err wal_disk_finish(struct wal_disk *d, struct sd_error *e)
{
	enum sd_err err = sd_file_truncate(d->file, d->end, e);
	return err ? err : wal_disk_sync(d, e);
}

static enum sd_err fill(struct wal_disk *d, const struct wal_header *h, struct sd_error *e)
{
	uint8_t head[WAL_HEAD];
	wal_header_put(head, h);
	struct iovec iov = {head, sizeof(head)};
	enum sd_err err = sd_file_allocate(d->file, d->segment_bytes, e);
	if (!err)
		err = sd_file_write(d->file, &iov, 1, 0, e);
	if (!err)
		err = wal_disk_sync(d, e);
	return err;
}

/* Under another name until it is whole, so that a segment with its own name always has its header. */
enum sd_err wal_disk_make(struct wal_disk *d, const struct wal_header *h, struct sd_error *e)
{
	char path[WAL_PATH], made[WAL_PATH + sizeof(WAL_NEW)];
	enum sd_err err = wal_path(path, d->dir, d->name, h->number, e);
	if (err)
		return err;
	snprintf(made, sizeof(made), "%s%s", path, WAL_NEW);
	sd_file_close(d->file);
	d->file = NULL;
	err = sd_file_open(d->world, made, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &d->file, e);
	if (err)
		return err;
	d->number = h->number;
	d->end = WAL_HEAD;
	d->roomy = true;
	err = fill(d, h, e);
	if (err) /* what is half made only takes room; opening would remove it too */
		sd_world_unlink(d->world, made);
	else
		err = sd_world_rename(d->world, made, path, e);
	return err ? err : sd_dir_sync(d->world, d->dir, e);
}

enum sd_err wal_disk_write(struct wal_disk *d, uint8_t *p, size_t n, uint64_t off, struct sd_error *e)
{
	struct iovec iov = {p, n};
	enum sd_err err = d->roomy ? SD_OK : sd_file_allocate(d->file, d->segment_bytes, e);
	if (err)
		return err;
	d->roomy = true;
	d->dirty = true;
	err = sd_file_write(d->file, &iov, 1, off, e);
	if (!err) {
		d->end = off + n;
		d->written += n;
	}
	return err;
}

static enum sd_err remove_name(struct wal_disk *d, const char *path, struct sd_error *e)
{
	enum sd_err err = sd_world_unlink(d->world, path);
	if (err && err != SD_ENOTFOUND)
		return sd_fail(e, err, "cannot remove %s: %s", path, sd_err_text(err));
	return sd_dir_sync(d->world, d->dir, e);
}

enum sd_err wal_disk_remove(struct wal_disk *d, uint64_t number, struct sd_error *e)
{
	char path[WAL_PATH];
	enum sd_err err = wal_path(path, d->dir, d->name, number, e);
	return err ? err : remove_name(d, path, e);
}

enum sd_err wal_disk_remove_new(struct wal_disk *d, const char *name, uint64_t number, struct sd_error *e)
{
	char path[WAL_PATH], made[WAL_PATH + sizeof(WAL_NEW)];
	enum sd_err err = wal_path(path, d->dir, name, number, e);
	snprintf(made, sizeof(made), "%s%s", path, WAL_NEW);
	return err ? err : remove_name(d, made, e);
}

void wal_disk_close(struct wal_disk *d)
{
	sd_file_close(d->file);
	sd_file_close(d->lock);
	d->file = d->lock = NULL;
}
