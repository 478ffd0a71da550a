/* file.h - files that must stay: what a log or a store needs of a disk.
 *
 * Whoever promises that something stays keeps four rules, which the simulated disk punishes when they are broken:
 *
 *	1  bytes stay once sd_file_sync returned SD_OK, and not before; a power cut may keep, drop or tear what was written
 *	   since the last sync, sector by sector (512 bytes), in any order
 *	2  a name stays (creation, rename, removal) once sd_dir_sync of its folder returned SD_OK
 *	3  after a failed sync the kernel takes the pages for clean, though they never reached the disk: a second sync
 *	   that succeeds says nothing about them. Whoever saw it fail acknowledges nothing more on that file
 *	4  a write may fail half way; what it covered is then unknown until it was read back
 *
 * All calls may block, sync most of all: a service makes them on helper threads (sd_helpers_submit), or at start. A file
 * may be written by one thread while another syncs it.
 */
#ifndef SD_WORLD_FILE_H
#define SD_WORLD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "world.h"

struct sd_file;

#define SD_FILE_WRITE    1u /* reading is always possible */
#define SD_FILE_CREATE   2u /* made (mode 0600) when it is not there */
#define SD_FILE_NEW      4u /* with CREATE: SD_EEXISTS when it is there */
#define SD_FILE_TRUNCATE 8u

/* SD_ENOTFOUND, SD_EEXISTS, SD_EPERM, SD_ENOFILES, SD_ENOSPC, SD_EIO; the text says "cannot open NAME: cause". */
enum sd_err sd_file_open(struct sd_world *w, const char *name, unsigned flags, struct sd_file **out,
			 struct sd_error *e);
void sd_file_close(struct sd_file *f); /* NULL is fine; does not sync */
const char *sd_file_name(const struct sd_file *f);

/* Reads n bytes at off, or what there is before the end: *got tells. */
enum sd_err sd_file_read(struct sd_file *f, void *buf, size_t n, uint64_t off, size_t *got, struct sd_error *e);
/* Writes all pieces, one after the other, from off. iov is the callee's to change. SD_ENOSPC, SD_EIO: see rule 4. */
enum sd_err sd_file_write(struct sd_file *f, struct iovec *iov, int niov, uint64_t off, struct sd_error *e);
/* Puts what was written before the call on the disk, and the length (fdatasync). */
enum sd_err sd_file_sync(struct sd_file *f, struct sd_error *e);
enum sd_err sd_file_size(struct sd_file *f, uint64_t *size, struct sd_error *e);
enum sd_err sd_file_truncate(struct sd_file *f, uint64_t size, struct sd_error *e);
/* Sets room aside up to `size` bytes, so that writing there does not run out of it and a sync need not write the
 * length; the file then is at least that long, and reads as zeros. Fine where a file system cannot: nothing happens. */
enum sd_err sd_file_allocate(struct sd_file *f, uint64_t size, struct sd_error *e);
/* One thread is going to write from `from` to `to`, where room was set aside, many small pieces one behind the other. Where the file
 * system keeps that room they are put into memory that is the file's, and cost no write of the kernel's: the same for a sync, for who
 * reads, and for what is left of a process that is killed. Until the next call, or until the file is cut. */
void sd_file_expect(struct sd_file *f, uint64_t from, uint64_t to);
/* Nobody else may hold it: SD_EINUSE when another process (or another open file of this one) does. Until closed. */
enum sd_err sd_file_lock(struct sd_file *f, struct sd_error *e);

/* Does its name still lead to it? False when it was removed, moved away or replaced, or a folder that it is in was. */
bool sd_file_is_in_place(struct sd_file *f);

/* The first n bytes as memory, read-only; sd_file_unmap when done, before or after closing. NULL: cannot. */
const void *sd_file_map(struct sd_file *f, size_t n, struct sd_error *e);
void sd_file_unmap(struct sd_world *w, const void *p, size_t n);

/* Bytes that this user could still write to the disk that the folder is on. */
enum sd_err sd_disk_free(struct sd_world *w, const char *dir, uint64_t *bytes, struct sd_error *e);
/* Puts the names of a folder on the disk. */
enum sd_err sd_dir_sync(struct sd_world *w, const char *dir, struct sd_error *e);
/* Replaces `to` if it is there; somebody who opens `to` finds the old or the new one, never neither. */
enum sd_err sd_world_rename(struct sd_world *w, const char *from, const char *to, struct sd_error *e);

#endif
