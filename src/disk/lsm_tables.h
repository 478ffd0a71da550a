/* lsm_tables.h - the tables (and blob files) of a store, opened when they are needed and shared by all threads: descriptors are bounded,
 * data blocks are in a cache, and what is read from the disk is checked.
 *
 * A file has its number and never changes; nothing here knows in which level it is. Any thread may call anything, but sd_lsm_tables_free.
 */
#ifndef SD_DISK_LSM_TABLES_H
#define SD_DISK_LSM_TABLES_H

#include "core/lsm_iter.h"
#include "core/lsm_ranges.h"
#include "core/lsm_table.h"
#include "lsm_blob.h"
#include "lsm_cache.h"

struct sd_lsm_tables_conf {
	struct sd_world *world;
	const char *dir; /* copied */
	bool own;	 /* tables are called 000005.sst; otherwise 000005.ldb, and 000005.sst is found too */
	size_t files;	 /* open at most, when not more are in use at once; 0: 1000 */
	uint64_t cache_bytes;
	uint64_t memory; /* of indexes and filters of open tables, at most, when those in use take less; 0: no bound */
};
struct sd_lsm_tables;

/* NULL: out of memory. */
struct sd_lsm_tables *sd_lsm_tables_new(const struct sd_lsm_tables_conf *conf);
void sd_lsm_tables_free(struct sd_lsm_tables *t); /* nothing of it is in use; NULL is fine */
struct sd_lsm_cache *sd_lsm_tables_cache(struct sd_lsm_tables *t);

/* ---- tables: number, and size in bytes as the manifest says (0: whatever it is) ---- */

/* An open table, the caller's until it is put back. SD_EDAMAGED: "000005.ldb is missing", "000005.ldb has 7 bytes, and should have 800",
 * and what sd_lsm_table_open says; SD_ENOFILES when closing all that nobody uses did not help. */
enum sd_err sd_lsm_tables_get(struct sd_lsm_tables *t, uint64_t number, uint64_t size, const struct sd_lsm_table **out, struct sd_error *e);
void sd_lsm_tables_put(const struct sd_lsm_table *table);

/* What a table has of a user key: its newest entry at or before a sequence number. */
struct sd_lsm_hit {
	bool found;    /* there is one; then: */
	enum sd_lsm_kind kind;
	uint64_t seq;
	struct sd_slice value; /* until sd_lsm_hit_release */
	bool filtered; /* the filter said no; nothing was read */
	bool looked;   /* a block was looked into */
	bool waited;   /* and read from the disk */
	void *held;
};
/* internal: user key, sequence number, SD_LSM_KIND_SEEK. *hit may be anything before; it is to be released in any case. */
enum sd_err sd_lsm_tables_lookup(struct sd_lsm_tables *t, uint64_t number, uint64_t size, struct sd_slice internal, struct sd_lsm_hit *hit,
				 struct sd_error *e);
static inline void sd_lsm_hit_release(struct sd_lsm_hit *hit)
{
	if (hit->held)
		sd_lsm_cached_release(hit->held);
	hit->held = NULL;
}

/* A place in it, which is freed with sd_lsm_iter_free. fill: blocks it reads are kept in the cache; without, as compaction wants it, the
 * cache stays as it is, and 256 KiB are read at once. With it as much is read at once as it went on in a row. */
enum sd_err sd_lsm_tables_iter(struct sd_lsm_tables *t, uint64_t number, uint64_t size, bool fill, struct sd_lsm_iter **out,
			       struct sd_error *e);
/* The ranges that it says were removed; a reference of the caller's, NULL when there are none. */
enum sd_err sd_lsm_tables_ranges(struct sd_lsm_tables *t, uint64_t number, uint64_t size, struct sd_lsm_ranges **out, struct sd_error *e);

/* A blob: its value, in memory that the caller frees. SD_EDAMAGED: "000007.blob: blob at 16 has a bad checksum". */
enum sd_err sd_lsm_tables_blob(struct sd_lsm_tables *t, const struct sd_lsm_blob_ref *ref, struct sd_slice *value, void **memory,
			       struct sd_error *e);

/* The file is about to be removed: it is closed once nobody uses it. */
void sd_lsm_tables_forget(struct sd_lsm_tables *t, uint64_t number);

struct sd_lsm_tables_stats {
	uint64_t open, opened, closed_early; /* now; ever; those closed to make room */
	uint64_t memory;		     /* of indexes and filters of those open now */
	uint64_t filter_spared, filter_passed, filter_wrong; /* looks that a filter spared; those it let through; of these in vain */
};
void sd_lsm_tables_stats(struct sd_lsm_tables *t, struct sd_lsm_tables_stats *out);

#endif
