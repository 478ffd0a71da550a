/* kv_drive.h - measures a key-value store that is in this process: runs a workload (core/kv_load.h) and says what it cost. `sdlab kv bench --dir`
 * and test/bench/kv_bench.c, which has other people's engines beside ours, both run this, so that all are asked the same.
 */
#ifndef SD_APP_KV_DRIVE_H
#define SD_APP_KV_DRIVE_H

#include "core/kv_load.h"
#include "sdlab/err.h"

struct sd_world;

/* The same for every engine; what one cannot do it refuses. */
struct sd_kv_settings {
	const char *dir;
	bool sync;	 /* each write is on the disk when it returns */
	bool compress;	 /* in the engine's usual way: Snappy (LevelDB), zstd (the others) */
	bool filter;	 /* Bloom filters of ten bits a key */
	size_t cache_bytes, memtable_bytes, table_bytes;
};

/* An engine. A failure is told in e->text; the run ends with it. get, scan and put may come from two threads at the same time. */
struct sd_kv_engine {
	const char *name;
	enum sd_err (*open)(struct sd_world *w, const struct sd_kv_settings *s, void **db, struct sd_error *e);
	void (*close)(void *db);
	enum sd_err (*put)(void *db, struct sd_slice key, struct sd_slice value, struct sd_error *e);
	/* *n: bytes of the value; SD_ENOTFOUND (without a text) when it is not there. The value is copied or looked at, as a caller would. */
	enum sd_err (*get)(void *db, struct sd_slice key, size_t *n, struct sd_error *e);
	/* Up to `most` entries from the key on: keys and values are looked at. *n: how many there were. */
	enum sd_err (*scan)(void *db, struct sd_slice from, uint32_t most, uint32_t *n, struct sd_error *e);
};

/* What a workload cost. */
struct sd_kv_cost {
	uint64_t ops, found, entries; /* found: of gets; entries: of scans */
	double seconds;		      /* of the operations, what went on behind afterwards not counted */
	double cpu_us;		      /* of all threads, what went on behind included; making the operations not */
	int64_t p50_ns, p99_ns, max_ns; /* of every eighth operation */
	uint64_t user_bytes;	      /* keys and values of writes */
	uint64_t written, read;	      /* bytes handed to the kernel and taken from it; 0: nobody knows */
	uint64_t on_disk;	      /* in the folder afterwards */
	uint64_t resident, peak;      /* now, and at most since the process began */
};

/* Runs it on an open store. Waits afterwards until what the engine does behind has come to rest (10 s at most). */
enum sd_err sd_kv_drive(struct sd_world *w, const struct sd_kv_engine *engine, void *db, const struct sd_kv_settings *s,
			const struct sd_kv_load_conf *conf, struct sd_kv_cost *cost, struct sd_error *e);

#endif
