/* lsm_table.h - a table: keys in order that never change, with an index and filters. In LevelDB's format; sdlab-kv(5).
 *
 *	data blocks ... | filters | metaindex block | index block | footer (48 bytes)
 *
 * Each block is followed by a byte that says how it is compressed and four of a checksum. The index has a key for each data block
 * that is not before its last and before the first of the next. Reading is handed in, so that it may be a file or memory.
 */
#ifndef SD_CORE_LSM_TABLE_H
#define SD_CORE_LSM_TABLE_H

#include "lsm_block.h"
#include "lsm_filter.h"
#include "sdlab/err.h"

#define SD_LSM_BLOCK_MAX (256u << 20) /* of a block, expanded: more is taken for damage */

/* Where a table's bytes come from. read gives all of them or fails. */
struct sd_lsm_source {
	enum sd_err (*read)(void *arg, void *buf, size_t n, uint64_t off, struct sd_error *e);
	void *arg;
	uint64_t size;
	const char *name; /* for errors: "000005.ldb" */
};

struct sd_lsm_handle {
	uint64_t at, n; /* of a block, without what follows it */
};

struct sd_lsm_table {
	struct sd_lsm_source from;
	struct sd_lsm_block index;
	char *index_bytes, *filter_bytes; /* filter_bytes NULL: it has none that we know */
	size_t filter_n;
};

/* SD_EDAMAGED: "000005.ldb: block at 4096 has a bad checksum". SD_EUNSUPPORTED: compressed in a way that is not known. */
enum sd_err sd_lsm_table_open(struct sd_lsm_table *t, const struct sd_lsm_source *from, struct sd_error *e);
void sd_lsm_table_close(struct sd_lsm_table *t);

/* A place in a table; keys are internal keys. Zero it, set table, then move it; free it afterwards. */
struct sd_lsm_scan {
	const struct sd_lsm_table *table;
	struct sd_lsm_at index, data;
	struct sd_lsm_block block;
	char *block_bytes;
	struct sd_lsm_handle handle; /* of the block in hand */
	bool has_block;
};
void sd_lsm_scan_free(struct sd_lsm_scan *s);
static inline bool sd_lsm_scan_valid(const struct sd_lsm_scan *s)
{
	return s->data.valid;
}
/* SD_OK also at an end, where it is no more valid; otherwise SD_EDAMAGED and what reading gives. */
enum sd_err sd_lsm_scan_first(struct sd_lsm_scan *s, struct sd_error *e);
enum sd_err sd_lsm_scan_last(struct sd_lsm_scan *s, struct sd_error *e);
enum sd_err sd_lsm_scan_seek(struct sd_lsm_scan *s, struct sd_slice internal, struct sd_error *e);
enum sd_err sd_lsm_scan_next(struct sd_lsm_scan *s, struct sd_error *e);
enum sd_err sd_lsm_scan_prev(struct sd_lsm_scan *s, struct sd_error *e);

/* The first entry that is not before the internal key, unless a filter says that its user key is not there: *filtered tells.
 * SD_ENOTFOUND: no such entry. */
enum sd_err sd_lsm_table_get(struct sd_lsm_scan *s, struct sd_slice internal, bool *filtered, struct sd_error *e);

/* ---- writing ---- */

struct sd_lsm_table_conf {
	size_t block_bytes; /* 0: 4096 */
	bool no_filter;
};

struct sd_lsm_table_out {
	struct sd_lsm_table_conf conf;
	struct sd_text file; /* what it will hold */
	struct sd_lsm_block_out data, index, meta;
	struct sd_lsm_filter_out filter;
	struct sd_text last;  /* key */
	struct sd_text between; /* scratch */
	struct sd_lsm_handle ended; /* a data block whose index key waits for the next key */
	bool waits;
	uint64_t entries;
};
void sd_lsm_table_begin(struct sd_lsm_table_out *o, const struct sd_lsm_table_conf *conf);
void sd_lsm_table_free(struct sd_lsm_table_out *o);
/* Internal keys in their order, each once. */
void sd_lsm_table_add(struct sd_lsm_table_out *o, struct sd_slice internal, struct sd_slice value);
/* o->file is whole; false: out of memory. */
bool sd_lsm_table_end(struct sd_lsm_table_out *o);

#endif
