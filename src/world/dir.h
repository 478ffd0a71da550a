/* dir.h - files below one folder, and nothing else: what a server of files needs of a disk.
 *
 * A name is looked up below the folder and cannot lead out of it: not by "..", not by an absolute name, and not by a symbolic
 * link, also one that somebody puts there while the look-up goes on. Links that stay inside are followed where the kernel
 * can promise this (openat2, Linux 5.6); elsewhere no link is.
 *
 * Looking up and reading may block. With `now` both give SD_EAGAIN instead of going to the disk, so that a loop can
 * serve what is in memory by itself and leave the rest to a helper thread (sd_helpers_submit).
 */
#ifndef SD_WORLD_DIR_H
#define SD_WORLD_DIR_H

#include "file.h"

struct sd_dir;

enum sd_file_kind { SD_KIND_FILE, SD_KIND_FOLDER, SD_KIND_OTHER };

struct sd_file_info {
	enum sd_file_kind kind;
	uint64_t id; /* as long as the file is there no other below this folder has it */
	uint64_t size;
	int64_t modified_ns; /* wall clock */
};

#define SD_DIR_NO_LINKS 1u /* no symbolic link is followed, wherever it leads */

/* May be used by many threads. SD_ENOTFOUND (also when it is no folder), SD_EPERM, SD_ENOFILES, SD_EIO. */
enum sd_err sd_dir_open(struct sd_world *w, const char *name, unsigned flags, struct sd_dir **out, struct sd_error *e);
void sd_dir_close(struct sd_dir *d); /* NULL is fine */
const char *sd_dir_name(const struct sd_dir *d);

/* Opens what a name like "a/b.txt" names, for reading; "" is the folder itself. *out is NULL, with SD_OK, for what is not a
 * regular file: info says what it is. SD_ENOTFOUND; SD_EPERM: not to be read, or it leads out; SD_ENOFILES, SD_EIO; and
 * SD_EAGAIN with now. */
enum sd_err sd_dir_find(struct sd_dir *d, const char *name, bool now, struct sd_file **out, struct sd_file_info *info,
			struct sd_error *e);

/* Reads what can be had without waiting, up to n bytes; *got is 0 at the end of the file. SD_EAGAIN: nothing. */
enum sd_err sd_file_read_now(struct sd_file *f, void *buf, size_t n, uint64_t off, size_t *got, struct sd_error *e);

#endif
