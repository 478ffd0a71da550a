/* lsm_log.h - records in blocks of 32 KiB, as LevelDB's logs and manifests have them (doc/log_format.md).
 *
 *	piece: checksum (4 bytes, masked, of kind and data)  length (2)  kind (1: whole, 2: first, 3: middle, 4: last)  data
 *
 * A piece never goes over the end of a block; of a block's end too short for a head (7 bytes) nothing is used. Since every block
 * begins with a piece, reading can go on behind damage.
 *
 * Marks: a record that is a batch without writes (12 bytes, the last four 0) says that all before it was on the disk when it was
 * written. Where records are no longer synced one by one there is one, synced before anything follows it, and then one behind each sync;
 * each log that was closed ends with one. So what a power cut made of records that nobody was promised (some there, some not, in any
 * order) can be told from damage to those that were: it is damage if a mark follows. A mark is whole in one piece: where a block's end is
 * too short for it, a copy in two pieces fills that end, and it stands again behind, in the next block. Neither says anything about the
 * other.
 */
#ifndef SD_CORE_LSM_LOG_H
#define SD_CORE_LSM_LOG_H

#include "lsm.h"
#include "text.h"

#define SD_LSM_LOG_BLOCK 32768

enum sd_lsm_log_step {
	SD_LSM_LOG_RECORD,
	SD_LSM_LOG_END,	    /* all of it was read */
	SD_LSM_LOG_TORN,    /* what is at `bad` is not whole, and nothing that was promised is behind it: writes that were under way */
	SD_LSM_LOG_DAMAGED, /* good records are behind it, that were written when it was on the disk */
};

/* The bytes of a file that outlive it; zero the rest. */
struct sd_lsm_log_in {
	const uint8_t *p;
	size_t n;
	size_t at;	 /* of the next piece */
	size_t record_at; /* where the record began */
	size_t bad;	 /* where it is not whole */
	bool marked;	 /* a mark was read */
	bool edits;	 /* caller: records are those of a manifest, not batches */
	uint64_t next_seq; /* of the batch that comes next; 0: none was read yet */
	struct sd_text parts;
};
/* *record is valid until the next call. */
enum sd_lsm_log_step sd_lsm_log_next(struct sd_lsm_log_in *in, struct sd_slice *record);
void sd_lsm_log_in_free(struct sd_lsm_log_in *in);

/* Appends a record as pieces; at: bytes of the file before `out`. */
void sd_lsm_log_put(struct sd_text *out, uint64_t at, struct sd_slice record);

/* A mark, whole in one piece; seq: of the write that comes next. */
void sd_lsm_log_put_mark(struct sd_text *out, uint64_t at, uint64_t seq);

#endif
