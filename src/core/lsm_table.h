/* lsm_table.h - a table: keys in order that never change, with an index and filters. In LevelDB's format, or in our own (lsm_own.h);
 * sdlab-kv(5) tells both.
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
#include "lsm_index.h"
#include "lsm_own.h"
#include "lsm_ranges.h"
#include "lsm_zstd.h"
#include "sdlab/err.h"

#define SD_LSM_BLOCK_MAX (256u << 20) /* of a block, expanded: more is taken for damage */
#define SD_LSM_AFTER	 5	      /* bytes behind a block: its compression, its checksum */

/* Where a table's bytes come from. read gives all of them or fails. */
struct sd_lsm_source {
	enum sd_err (*read)(void *arg, void *buf, size_t n, uint64_t off, struct sd_error *e);
	void *arg;
	uint64_t size;
	const char *name;	  /* for errors: "000005.ldb" */
	struct sd_lsm_zstd *zstd; /* contexts to borrow; NULL: blocks are expanded with one of their own */
};

struct sd_lsm_table {
	struct sd_lsm_source from;
	bool own; /* format */
	struct sd_lsm_index index;
	char *index_bytes, *filter_bytes; /* filter_bytes NULL: it has none that we know */
	size_t filter_n;
	char *range_bytes;		   /* that the ranges are in */
	struct sd_lsm_range *ranges; /* in the order of `from`, the newest first */
	size_t nranges;
	struct sd_lsm_props props; /* all 0 in LevelDB's format */
	size_t memory;		   /* that it takes, open */
};

/* Any thread may use an open table; nothing in it changes. The name and what `from` points to outlive it.
 * SD_EDAMAGED: "000005.ldb: block at 4096 has a bad checksum". SD_EUNSUPPORTED: compressed in a way that is not known, or a newer version. */
enum sd_err sd_lsm_table_open(struct sd_lsm_table *t, const struct sd_lsm_source *from, struct sd_error *e);
void sd_lsm_table_close(struct sd_lsm_table *t);
static inline unsigned sd_lsm_table_kinds(const struct sd_lsm_table *t)
{
	return t->own ? SD_LSM_KINDS_OWN : SD_LSM_KINDS_LEVELDB;
}

/* A block, checked and expanded, in a new piece of memory behind `before` bytes that are the caller's to fill: *n bytes at *out + before.
 * from: t->from, or another that reads the same. */
enum sd_err sd_lsm_table_load(const struct sd_lsm_table *t, const struct sd_lsm_source *from, const struct sd_lsm_handle *h, size_t before,
			      char **out, size_t *n, struct sd_error *e);

/* The same of bytes that are in memory already, h->n and 5 more: *out NULL: they need not be expanded, and are the block where they lie. */
enum sd_err sd_lsm_table_take(const struct sd_lsm_table *t, const struct sd_lsm_handle *h, const char *p, size_t before, char **out, size_t *n,
			      struct sd_error *e);

/* Such bytes as a data block of the table. False: no block. */
static inline bool sd_lsm_table_block(const struct sd_lsm_table *t, struct sd_lsm_block *b, const void *p, size_t n)
{
	return t->own ? sd_lsm_block_open_apart(b, p, n) : sd_lsm_block_open(b, p, n);
}

/* ---- places ---- */

/* Data blocks from somewhere else than the file at once: a cache. */
struct sd_lsm_fetch {
	enum sd_err (*get)(struct sd_lsm_fetch *f, const struct sd_lsm_table *t, const struct sd_lsm_handle *h, struct sd_lsm_block *out,
			   void **held, struct sd_error *e);
	void (*put)(struct sd_lsm_fetch *f, void *held);
};

/* A place in a table; keys are internal keys. Zero it, set table (and fetch), then move it; free it afterwards. It is not copied. */
struct sd_lsm_scan {
	const struct sd_lsm_table *table;
	struct sd_lsm_fetch *fetch; /* NULL: from the table's source */
	struct sd_lsm_at index, data;
	struct sd_lsm_block block;
	void *held;
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

/* Takes what is written, piece after piece. */
struct sd_lsm_sink {
	enum sd_err (*write)(void *arg, const void *p, size_t n, struct sd_error *e);
	void *arg;
};

struct sd_lsm_table_conf {
	size_t block_bytes; /* 0: 4096 */
	bool no_filter;
	bool own;	  /* format */
	int zstd_level;	  /* of data blocks, `own` only; 0: none */
	struct sd_lsm_sink sink; /* zeros: the whole table stays in `file` */
};

struct sd_lsm_table_out {
	struct sd_lsm_table_conf conf;
	struct sd_text file; /* what it holds that was not written yet; the whole of it without a sink */
	uint64_t bytes;	     /* of the table, so far */
	struct sd_lsm_block_out data, index, meta, ranges, scratch;
	struct sd_lsm_filter_out filter;
	struct sd_text hashes; /* 8 bytes each, of keys; `own` */
	struct sd_lsm_zstd_out *zstd;
	struct sd_text first, last; /* keys: the smallest and the largest one that it has something about, also by ranges */
	struct sd_text key;	    /* of the entry that came last */
	struct sd_text between;	    /* scratch */
	struct sd_lsm_handle ended; /* a data block whose index key waits for the next key */
	bool waits;
	uint64_t entries; /* and ranges */
	struct sd_lsm_props props;
	enum sd_err err; /* the first failure; nothing more is written */
	struct sd_error why;
};
/* Also to begin the next one. */
void sd_lsm_table_begin(struct sd_lsm_table_out *o, const struct sd_lsm_table_conf *conf);
void sd_lsm_table_free(struct sd_lsm_table_out *o);
/* Internal keys in their order, each once. */
void sd_lsm_table_add(struct sd_lsm_table_out *o, struct sd_slice internal, struct sd_slice value);
/* A range that was removed, before, between or after entries; in the order of `from`, of the same one the newest first. `own` only. */
void sd_lsm_table_add_range(struct sd_lsm_table_out *o, const struct sd_lsm_range *range);
/* So many bytes it would have if it ended now, nearly. */
uint64_t sd_lsm_table_size(const struct sd_lsm_table_out *o);
/* Everything was handed to the sink, or is in o->file; o->bytes is its size, o->first and o->last its bounds (internal keys), until it
 * begins anew. SD_ENOMEM, and what the sink gives. */
enum sd_err sd_lsm_table_end(struct sd_lsm_table_out *o, struct sd_error *e);

#endif
