/* lsm_tables_int.h - what src/disk/lsm_tables*.c share. */
#ifndef SD_DISK_LSM_TABLES_INT_H
#define SD_DISK_LSM_TABLES_INT_H

#include "lsm_tables.h"
#include "world/lock.h"

#define LSM_NAME_MAX 32

/* An open file: a table, or blobs. */
struct lsm_tab {
	struct sd_lsm_table table; /* first: callers have its address */
	struct sd_lsm_tables *of;
	struct lsm_tab *next; /* of its bucket */
	uint64_t number;
	struct sd_file *file;
	struct sd_lsm_ranges *ranges;
	_Atomic uint32_t refs; /* one of these is the list's as long as it is in */
	bool blobs;
	uint64_t used; /* when it was asked for last, in requests of its shard */
	_Atomic uint64_t spared, passed, wrong; /* what the filter did */
	char name[LSM_NAME_MAX];
};

/* With a reference. blobs: it is a file of them. */
enum sd_err lsm_tab_get(struct sd_lsm_tables *t, uint64_t number, uint64_t size, bool blobs, struct lsm_tab **out, struct sd_error *e);
void lsm_tab_put(struct lsm_tab *tab);

/* A data block that is read from there, and is in the cache then if it is to be kept. */
enum sd_err lsm_tab_load(struct lsm_tab *tab, const struct sd_lsm_source *from, const struct sd_lsm_handle *h, bool keep,
			 struct sd_lsm_cached **out, struct sd_error *e);
/* n bytes of a block in a piece of memory behind room for the head; it becomes the cache's, or goes. */
enum sd_err lsm_tab_own(struct lsm_tab *tab, const struct sd_lsm_handle *h, char *piece, size_t n, bool keep, struct sd_lsm_cached **out,
			struct sd_error *e);
enum sd_err lsm_no_block(const struct lsm_tab *tab, const struct sd_lsm_handle *h, struct sd_error *e);

struct sd_lsm_zstd *lsm_tables_zstd(struct sd_lsm_tables *t);

/* Room to read ahead into. A few are kept from iterator to iterator: fresh memory of that size costs a page fault each 4 KiB. */
#define LSM_AHEAD (256u << 10)
#define LSM_AHEAD_KEPT 8
char *lsm_tables_take_ahead(struct sd_lsm_tables *t);
void lsm_tables_give_ahead(struct sd_lsm_tables *t, char *p); /* NULL is fine */

#endif
