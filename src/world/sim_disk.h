/* sim_disk.h - what the files of the simulated disk share. Private to src/world.
 *
 *	sim_inode.c   what is in files: what a reader sees, and what a power cut leaves
 *	sim_names.c   folders and names, in the same two states; power cuts as a whole
 *	sim_file.c    the calls on files
 *	sim_dir.c     names below a folder
 *
 * A file has two contents: `data`, what a reader sees, and `disk`, what is there after a power cut whatever happens. Between
 * them stands the list of dirty sectors, with a version from between now and then where a sector was written twice.
 * Names have two states in the same way, and between these the list of changes.
 */
#ifndef SD_WORLD_SIM_DISK_H
#define SD_WORLD_SIM_DISK_H

#include "sim_int.h"

#define SIM_SECTOR 512u
#define SIM_PATH   256

struct sim_dirty {
	uint64_t sector;
	unsigned char *between; /* NULL: none */
};

struct sim_inode {
	unsigned refs;
	bool folder;
	uint32_t cut_life, lock_life;
	int64_t changed_ns; /* universe time of the last write */
	unsigned char *data, *disk;
	unsigned char *cut; /* what was cut off lies there yet, for a disk that is stale; NULL: nothing was */
	uint64_t size, disk_size, cap; /* cap of all, in whole sectors; beyond their size data and disk are zero */
	struct sim_dirty *dirty;
	size_t ndirty, dirty_cap;
	uint8_t *is_dirty; /* a byte a sector */
};

struct sim_name {
	struct sim_name *next;
	struct sim_inode *inode;
	char path[];
};

struct sim_change {
	struct sim_change *next;
	struct sim_inode *inode; /* that path is from now on; NULL: nothing */
	char *path, *gone;       /* gone: the old name of a rename; NULL: none */
};

/* ---- sim_inode.c ---- */
struct sim_inode *sim_inode_new(bool folder); /* without a reference; NULL: out of memory */
struct sim_inode *sim_inode_ref(struct sim_inode *i);
void sim_inode_unref(struct sim_inode *i);
void sim_inode_write(struct sd_sim *s, struct sim_inode *i, const struct iovec *iov, int niov, uint64_t off, uint64_t n);
void sim_inode_resize(struct sd_sim *s, struct sim_inode *i, uint64_t size);
void sim_inode_sync(struct sim_inode *i);
/* A sync that failed: some of it was written, and nobody will write the rest. */
void sim_inode_lose(struct sd_sim *s, struct sim_inode *i);
/* Once for each life of the node, however many names it has. */
void sim_inode_cut(struct sim_node *n, struct sim_inode *i);

/* ---- sim_names.c ---- */
/* Without ./ and doubled or last slashes; false when it is too long. */
bool sim_path(const char *name, char out[SIM_PATH]);
struct sim_inode *sim_name_get(const struct sim_node *n, const char *path);
bool sim_has_folder(const struct sim_node *n, const char *path);
bool sim_in_folder(const char *path, const char *folder);
/* path is this file from now on (NULL: nothing); gone is no more (NULL: none). */
void sim_name_change(struct sim_node *n, const char *path, struct sim_inode *inode, const char *gone);
void sim_names_sync(struct sim_node *n, const char *folder);

/* ---- sim_dir.c ---- */
/* Would the kernel go to the disk for this? */
bool sim_later(struct sim_node *n);

#endif
