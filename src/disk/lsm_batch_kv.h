/* lsm_batch_kv.h - the inside of a struct sd_kv_batch (sdlab/kv.h): a batch as the log has it, and an index of its keys. */
#ifndef SD_DISK_LSM_BATCH_KV_H
#define SD_DISK_LSM_BATCH_KV_H

#include "core/lsm_batch.h"
#include "sdlab/kv.h"

struct sd_kv_batch {
	struct sd_text bytes; /* with its head, whose sequence number is filled in when it is written */
	uint32_t count;
	enum sd_err err; /* the first thing that did not fit */
	struct sd_error why;
	bool ending, ranges; /* has values that end; ranges */
	bool indexed;
	struct lsm_batch_slot {
		uint32_t hash, at; /* of the newest entry of a key, in bytes; 0: free */
	} *slots;
	size_t nslots, used; /* nslots: a power of 2 */
	struct sd_text range_at; /* 4 bytes each: where ranges are */
};

#endif
