/* kv_load.h - what is asked of a key-value store when it is measured: the workloads that db_bench and YCSB made usual, as operations with keys
 * and values, the same for every store and every run with the same seed. Pure.
 *
 * The store has keys 0 to keys - 1, as decimal digits; those of YCSB are spread by a hash, so that what is hot, or new, lies anywhere.
 */
#ifndef SD_CORE_KV_LOAD_H
#define SD_CORE_KV_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sdlab/err.h"
#include "sdlab/slice.h"

#define SD_KV_KEY_LEAST 8
#define SD_KV_KEY_MOST  1024
#define SD_KV_KEYS_MOST (UINT64_C(1) << 40)

enum sd_kv_op_kind {
	SD_KV_OP_PUT,    /* a key that is not there, or anew */
	SD_KV_OP_GET,    /* a key that is there */
	SD_KV_OP_MISS,   /* a key that is not */
	SD_KV_OP_SCAN,   /* `scan` entries from a key on */
	SD_KV_OP_CHANGE, /* get, then put */
	SD_KV_OPS,
};

struct sd_kv_op {
	enum sd_kv_op_kind kind;
	uint32_t scan;
	struct sd_slice key, value;
};

enum sd_kv_order { SD_KV_IN_ORDER, SD_KV_EACH_ONCE, SD_KV_EVENLY, SD_KV_ZIPF, SD_KV_LATEST };

struct sd_kv_workload {
	const char *name, *summary;
	unsigned part[SD_KV_OPS];  /* of a hundred */
	unsigned insert;           /* of a hundred: PUT of a key that is new */
	enum sd_kv_order order;
	uint32_t scan;             /* entries of a scan, at most */
	bool some;                 /* of a scan: 1 to `scan`, evenly; else always `scan` */
	bool hashed;               /* YCSB's keys */
	bool fills;                /* a store that is empty before */
	bool beside;               /* somebody else writes meanwhile, a fourth as many */
};

/* Ended by one without a name. */
extern const struct sd_kv_workload sd_kv_workloads[];
const struct sd_kv_workload *sd_kv_workload_find(const char *name);

struct sd_kv_load_conf {
	const struct sd_kv_workload *workload;
	uint64_t keys; /* that the store has, or will have */
	uint64_t ops;
	size_t key_bytes, value_bytes;
	uint64_t seed;
};

struct sd_kv_load;
/* SD_EUSAGE: figures out of range; SD_ENOMEM. */
enum sd_err sd_kv_load_new(const struct sd_kv_load_conf *conf, struct sd_kv_load **out, struct sd_error *e);
void sd_kv_load_free(struct sd_kv_load *l); /* NULL is fine */
/* The next operations, valid until the next call; 0: that was all. */
size_t sd_kv_load_next(struct sd_kv_load *l, const struct sd_kv_op **ops);
/* Keys in the store when all of them are done. */
uint64_t sd_kv_load_keys(const struct sd_kv_load *l);

/* The digits of a key: n bytes. */
void sd_kv_load_key(char *out, size_t n, uint64_t number, bool hashed);

#endif
