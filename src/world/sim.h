/* sim.h - the simulated world: virtual time, one seed, wires that fail and disks that forget.
 *
 * A struct sd_sim is a universe; its nodes are machines, each a struct sd_world of its own that anything written for
 * world.h, loop.h and file.h runs in unchanged. Nothing happens by itself: sd_sim_step takes the next event off the
 * agenda, moves time to it and lets one loop run one callback. One seed decides everything, so the same program
 * with the same seed gives the same run; sd_sim_digest tells whether it did. All in one thread of the caller's.
 *
 *	UP --sd_sim_power_cut, sd_sim_kill--> DOWN --sd_sim_boot--> UP
 *	UP --sd_sim_pause(true)--> stopped: the kernel answers, the program does not --sd_sim_pause(false)--> UP
 *
 * When a node goes down its program is a ghost: no callback of it runs any more, what it still calls has no effect and
 * fails. The caller then frees it as usual (sd_run_free ...) and may boot the node and start it anew from its disk.
 *
 * Time: a callback takes none, unless the node is slow, or the callback sleeps, computes or syncs: then its loop is busy
 * that long. Processor time is what it computed, and what a slow node takes.
 *
 * Network: every pair of nodes has a wire in each direction (struct sd_sim_wire): a latency with an exponential tail, a
 * bandwidth, a share of lost packets, or a cut. Connections are TCP as a program sees it: in order, without loss, so that a lost
 * packet is a delay that doubles with each try (200 ms to 120 s), given up after 924 s (127 s for a connection's
 * beginning). A node without power answers nothing; booted again it resets connections it does not know. Reads and writes
 * are sometimes cut short, since nothing promises that they are not. Datagrams are lost as often as the wire says, overtake
 * each other, and may come twice; a node takes 256 at most while its program does not. Addresses are 10.0.0.1, 10.0.0.2 ... in order of making,
 * 127.0.0.1 the node itself; host names are node names.
 *
 * Disk: see the rules in file.h. A power cut decides for each 512-byte sector that was written since the last sync
 * whether it is there, as it was before, or as it was in between; for a longer file, how long it is and
 * whether what is missing in it reads as zeros or as what lay there before; and for each name that was made, moved or
 * removed since the last sync of its folder, whether it was. A failed sync leaves pages that read well and are gone
 * after the next power cut, whatever later syncs say. sd_sim_kill loses nothing that was written.
 */
#ifndef SD_WORLD_SIM_H
#define SD_WORLD_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "world.h"

struct sd_sim;

#define SD_SIM_MAX_NODES 64

/* NULL: out of memory. */
struct sd_sim *sd_sim_new(uint64_t seed);
/* Frees the nodes and their disks too; what ran in them must be gone. */
void sd_sim_free(struct sd_sim *s);
/* Since the beginning. */
int64_t sd_sim_now_ns(const struct sd_sim *s);
/* Takes the next event; false when there is none and never will be. */
bool sd_sim_step(struct sd_sim *s);
/* When the next event is; INT64_MAX when there is none. */
int64_t sd_sim_next_ns(const struct sd_sim *s);
/* Steps to this time, and moves the clock there. */
void sd_sim_run_to(struct sd_sim *s, int64_t at_ns);
uint64_t sd_sim_steps(const struct sd_sim *s);
/* Of everything that happened so far, with the bytes that travelled and were written. */
uint64_t sd_sim_digest(const struct sd_sim *s);
/* Chance for the test's own decisions, apart from the world's: asking for more does not change what the world does. */
uint64_t sd_sim_chance(struct sd_sim *s);

/* ---- what happened ---- */

/* The last things that happened, one line each, oldest first: at most n. */
void sd_sim_print_trace(const struct sd_sim *s, FILE *out, unsigned n);
/* Puts a line of the test's own among them; text is kept, not copied. */
void sd_sim_note(struct sd_sim *s, const char *text, int64_t number);

/* ---- nodes ---- */

/* Makes one; its name is also its host name. NULL: out of memory or of nodes. Belongs to the universe. */
struct sd_world *sd_sim_node(struct sd_sim *s, const char *name);
unsigned sd_sim_index(const struct sd_world *node); /* from 0, in order of making */
const char *sd_sim_name(const struct sd_world *node);
bool sd_sim_is_up(const struct sd_world *node);
void sd_sim_power_cut(struct sd_world *node);
/* The program dies at once (kill -9); the kernel closes its connections and writes what it holds. */
void sd_sim_kill(struct sd_world *node);
void sd_sim_boot(struct sd_world *node);
void sd_sim_pause(struct sd_world *node, bool paused);
/* Every callback takes this long from now on. */
void sd_sim_slow(struct sd_world *node, int64_t callback_ns);
/* Moves the wall clock. The monotonic one begins anew with each boot. */
void sd_sim_set_wall(struct sd_world *node, int64_t offset_ns);
/* What it printed since it was made, at most the last 64 KiB; NUL-terminated. */
const char *sd_sim_output(const struct sd_world *node);

/* ---- wires ---- */

struct sd_sim_wire {
	int64_t latency_ns, tail_ns;   /* at least; and on average this much more, exponentially */
	uint32_t loss_ppm;             /* packets lost in a million */
	uint64_t bytes_per_s;          /* 0: no limit */
	uint32_t twice_ppm;            /* datagrams that come twice, in a million */
	bool cut;
};
/* From one node to another (the same: its loopback). */
struct sd_sim_wire *sd_sim_wire(struct sd_world *from, struct sd_world *to);
/* Cuts or mends both directions between two nodes. */
void sd_sim_partition(struct sd_world *a, struct sd_world *b, bool cut);
void sd_sim_heal_all(struct sd_sim *s);

/* ---- disks ---- */

enum sd_sim_op { SD_SIM_OPEN, SD_SIM_READ, SD_SIM_WRITE, SD_SIM_SYNC, SD_SIM_ALLOCATE, SD_SIM_NAME, SD_SIM_ACCEPT, SD_SIM_OPS };

/* How often an operation was asked for since the node was made (NAME: rename, unlink, folder sync). */
uint64_t sd_sim_count(const struct sd_world *node, enum sd_sim_op op);
/* The n-th operation of this kind from now on (1: the next) fails, and `times` - 1 after it. err is an errno: ENOSPC, EIO ...
 * times 0: none any more. A write that fails may have written a part. */
void sd_sim_fail(struct sd_world *node, enum sd_sim_op op, uint64_t n, uint64_t times, int err);
/* How many failures were injected since the node was made: a sweep ends when a run had none. */
uint64_t sd_sim_failed(const struct sd_world *node);
/* The power goes at the n-th write, sync, allocation or name operation from now on: before its effect, or in the middle of it.
 * 0: not. */
void sd_sim_power_cut_at(struct sd_world *node, uint64_t n);
struct sd_sim_disk {
	uint64_t capacity;          /* bytes of all files; 0: no limit */
	int64_t sync_ns, sync_tail_ns;
	uint32_t short_write_ppm, flip_read_ppm; /* of reads and writes in a million */
	bool stale;                 /* blocks that never reached a longer file may read as old bytes, not zeros: also as
				     * those that stood there before the file was cut */
};
struct sd_sim_disk *sd_sim_disk(struct sd_world *node);
/* Changes one bit of a file, on the disk and in memory; false when it is not there or shorter. */
bool sd_sim_flip(struct sd_world *node, const char *name, uint64_t bit);
/* Changes of the disk that a power cut now could lose: dirty sectors and names. */
uint64_t sd_sim_unsynced(const struct sd_world *node);

#endif
