/* lsm_batch.h - writes that happen together: what a record of the log holds.
 *
 *	first sequence number (8 bytes)  how many (4)  then of each: kind (1)  key length (varint)  key  and of a value its length, and it
 */
#ifndef SD_CORE_LSM_BATCH_H
#define SD_CORE_LSM_BATCH_H

#include "lsm.h"
#include "text.h"

#define SD_LSM_BATCH_HEAD 12

/* A walk through one; the bytes outlive it. */
struct sd_lsm_batch_at {
	struct sd_slice left;
	uint64_t seq;	/* of the write that was taken last; before the first, one less than its */
	uint32_t count; /* that are still to come, as the head says */
	bool damaged;
	enum sd_lsm_kind kind;
	struct sd_slice key, value;
};
bool sd_lsm_batch_open(struct sd_lsm_batch_at *b, struct sd_slice bytes);
/* False: that was all, or damaged. */
bool sd_lsm_batch_next(struct sd_lsm_batch_at *b);

/* Makes one in an empty text. */
void sd_lsm_batch_begin(struct sd_text *t, uint64_t seq);
void sd_lsm_batch_put(struct sd_text *t, enum sd_lsm_kind kind, struct sd_slice key, struct sd_slice value);

#endif
