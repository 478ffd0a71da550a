/* lsm_delay.h - how long a write waits so that merging keeps up, and how fast merging may write. Pure: time is handed in.
 *
 * Each kind of debt has a point from which writes are slowed and one at which they stop. In between, at a share p of the way,
 * writes pass at rate * (1 - p) / p bytes a second: nothing is felt at first, half way it is `rate`, and towards the end next to nothing,
 * without a step. The debt that is worst decides. Writes only stop where p is 1.
 */
#ifndef SD_CORE_LSM_DELAY_H
#define SD_CORE_LSM_DELAY_H

#include <stdbool.h>
#include <stdint.h>

#define SD_LSM_DELAY_STOP UINT64_MAX

/* From `slow` on writes are slowed, at `stop` they stop. */
struct sd_lsm_limit {
	uint64_t slow, stop;
};
struct sd_lsm_delay_conf {
	struct sd_lsm_limit l0;	  /* tables in level 0 */
	struct sd_lsm_limit owed; /* bytes that merging owes: sd_lsm_shape */
	struct sd_lsm_limit mem;  /* bytes in memtables: that which is written to and those that wait to be flushed */
	uint64_t rate;		  /* bytes a second at half way */
};
/* What the manual documents: l0 8 and 24 tables; owed 64 and 256 memtables, a memtable taken as 1 MiB at least; mem 1.5 and 2 memtables; 32 MiB a
 * second. */
void sd_lsm_delay_defaults(struct sd_lsm_delay_conf *c, uint64_t memtable_bytes);

struct sd_lsm_debt {
	uint64_t l0, owed, mem;
};
/* How far the worst debt is on its way: 0 not slowed, 1 or more stopped. */
double sd_lsm_pressure(const struct sd_lsm_delay_conf *c, const struct sd_lsm_debt *d);
/* How long a write of so many bytes should wait, in ns (a second at most); SD_LSM_DELAY_STOP: until some debt was paid. */
uint64_t sd_lsm_delay_ns(const struct sd_lsm_delay_conf *c, const struct sd_lsm_debt *d, uint64_t bytes);

/* ---- a bound on what merging reads and writes ---- */

/* Zero it to start. */
struct sd_lsm_rate {
	uint64_t bytes_per_s; /* 0: no bound; may be changed at any time */
	int64_t free_ns;      /* when what was taken so far is paid */
};
/* These bytes are used now; how long to wait before the next, in ns. What was not used lasts for a tenth of a second. */
uint64_t sd_lsm_rate_take(struct sd_lsm_rate *r, int64_t now_ns, uint64_t bytes);

#endif
