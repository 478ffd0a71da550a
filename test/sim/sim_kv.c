/* The store in the simulated world: power cuts at every write and sync, faults of every kind, a disk that
 *fills up, bits that flip.
 *
 * What a life is, and what must hold in it: kv_life.h.
 *
 * Controls, which must be seen to fail: without syncs acknowledged batches are lost; without checksums (all
 *of them are 0, see __wrap_ below) flipped bits and torn writes are believed.
 *
 *	SEEDS=n, SEED=k, SEED_FROM=n, ONLY=kv as for the other simulations
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "world/file.h"
#include "kv_life.h"
#include "seeds.h"

#ifdef SD_SANITIZED
#define CUT_SEEDS   2
#define LIFE_SEEDS  10
#define FAULT_SEEDS 1
#define FULL_SEEDS  2
#define FLIP_SEEDS  2
#define LOOSE_SEEDS 5
#define TWICE_SEEDS 1
#define COPY_SEEDS  1
#else
#define CUT_SEEDS   8
#define LIFE_SEEDS  60
#define FAULT_SEEDS 3
#define FULL_SEEDS  6
#define FLIP_SEEDS  6
#define LOOSE_SEEDS 40
#define TWICE_SEEDS 4
#define COPY_SEEDS  4
#endif
#define COPY "copy"

/* The control: every checksum is 0. The linker puts this before the one of core/crc32c.h (see the Makefile).
 */
static bool no_sums;
uint32_t __real_sd_crc32c(uint32_t crc, const void *bytes, size_t n); // NOLINT(bugprone-reserved-identifier)
uint32_t __wrap_sd_crc32c(uint32_t crc, const void *bytes, size_t n); // NOLINT(bugprone-reserved-identifier)
uint32_t __wrap_sd_crc32c(uint32_t crc, const void *bytes, size_t n)  // NOLINT(bugprone-reserved-identifier)
{
	return no_sums ? 0 : __real_sd_crc32c(crc, bytes, n);
}

/* ---- 1: the power goes at every place of a short life, after a longer one ---- */

/* Until the log is about to go on in its next block: what comes is written in two pieces. */
static void fill_block(struct kv_life *r)
{
	struct sd_kv_stats s = {0};
	for (unsigned i = 0; i < 300 && s.log_bytes % 32768 < 31000; i++) {
		life_write(r);
		sd_kv_stats_get(r->kv, &s);
	}
}

static bool cut_at(uint64_t seed, uint64_t n, enum sd_kv_sync sync, uint64_t *lost)
{
	static struct kv_life r;
	life_begin(&r, seed, sync);
	if (seed % 2) { /* tables are there already */
		r.actions = 40;
		if (life_open(&r))
			life_live(&r);
		life_shut(&r);
	}
	r.actions = 10;
	bool two_blocks = seed % 4 > 1;
	if (!two_blocks)
		sd_sim_power_cut_at(r.node, n);
	if (life_open(&r)) {
		if (two_blocks) {
			fill_block(&r);
			sd_sim_power_cut_at(r.node, n);
		}
		life_live(&r);
	}
	bool cut = !sd_sim_is_up(r.node);
	if (!cut)
		sd_sim_power_cut(r.node);
	life_shut(&r);
	life_look(&r);
	if (lost) {
		*lost += r.lost + r.strange + (no_sums ? r.refused : 0) > 0;
		r.lost = r.strange = 0;
		r.refused = no_sums ? 0 : r.refused; /* for want of syncs nothing is refused */
	}
	life_good(&r, seed, n);
	life_end(&r);
	return cut;
}

START_TEST(power_cut_everywhere)
{
	uint64_t from, to, runs = 0;
	sim_seeds(CUT_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		for (uint64_t n = 1; runs++, cut_at(seed, n, SD_KV_ALWAYS, NULL); n++)
			;
	printf("power cuts: %" PRIu64 " places in %" PRIu64 " seeds\n", runs, to - from + 1);
}
END_TEST

START_TEST(without_syncs)
{
	uint64_t lost = 0;
	for (uint64_t seed = 1; seed <= 3; seed++)
		for (uint64_t n = 1; n < 40 && cut_at(seed, n, SD_KV_NO, &lost); n++)
			;
	printf("control: without syncs %" PRIu64 " runs lost acknowledged batches\n", lost);
	ck_assert_uint_gt(lost, 0);
}
END_TEST

/* The power goes at a place of a life, and again at a place of the opening that follows. */
static bool cut_twice(uint64_t seed, uint64_t first, uint64_t second)
{
	static struct kv_life r;
	life_begin(&r, seed, SD_KV_ALWAYS);
	r.actions = 60;
	sd_sim_power_cut_at(r.node, first);
	if (life_open(&r))
		life_live(&r);
	if (sd_sim_is_up(r.node))
		sd_sim_power_cut(r.node);
	life_shut(&r);
	sd_sim_power_cut_at(r.node, second);
	life_open(&r);
	bool cut = !sd_sim_is_up(r.node);
	if (!cut)
		sd_sim_power_cut(r.node);
	life_shut(&r);
	life_look(&r);
	life_good(&r, seed, first * 1000 + second);
	life_end(&r);
	return cut;
}

START_TEST(power_cut_in_opening)
{
	uint64_t from, to, runs = 0;
	sim_seeds(TWICE_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		for (uint64_t n = 1; runs++, cut_twice(seed, 20 + seed * 7919 % 60, n); n++)
			;
	printf("power cuts in opening after a power cut: %" PRIu64 " places in %" PRIu64 " seeds\n", runs,
	       to - from + 1);
}
END_TEST

/* ---- 2: many lives of one store, each ending in another way ---- */

static void one_life(struct kv_life *r)
{
	uint32_t fate = sd_rng_below(&r->rng, 5);
	r->actions = 10 + sd_rng_below(&r->rng, 60);
	r->now_ms += sd_rng_below(&r->rng, 1000);
	r->conf.memtable_bytes = UINT64_C(65536) << sd_rng_below(
				     &r->rng, 4); /* a long log may be more than one memtable the next time */
	if (fate <= 1)
		sd_sim_power_cut_at(r->node, 1 + sd_rng_below(&r->rng, 120));
	if (fate == 2)
		sd_sim_fail(r->node, sd_rng_below(&r->rng, 2) ? SD_SIM_SYNC : SD_SIM_WRITE,
			    1 + sd_rng_below(&r->rng, 40), 1, 5);
	if (life_open(r))
		life_live(r);
	if (sd_sim_is_up(r->node) && fate == 3)
		sd_sim_kill(r->node);
	if (sd_sim_is_up(r->node) && fate == 2 && sd_rng_below(&r->rng, 2))
		sd_sim_power_cut(r->node);
	life_shut(r);
	sd_sim_power_cut_at(r->node, 0);
	sd_sim_fail(r->node, SD_SIM_SYNC, 0, 0, 0);
	sd_sim_fail(r->node, SD_SIM_WRITE, 0, 0, 0);
}

START_TEST(many_lives)
{
	static struct kv_life r;
	uint64_t from, to, opens = 0, acked = 0, flushed = 0, merged = 0;
	sim_seeds(LIFE_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		life_begin(&r, seed, SD_KV_ALWAYS);
		for (unsigned life = 0; life < 8; life++)
			one_life(&r);
		life_look(&r);
		life_good(&r, seed, 0);
		opens += r.opens;
		acked += r.acked;
		flushed += r.flushed;
		merged += r.merged;
		life_end(&r);
	}
	printf("lives: %" PRIu64 " opened, %" PRIu64 " batches acknowledged, %" PRIu64 " flushes and %" PRIu64
	       " merges asked for\n",
	       opens, acked, flushed, merged);
	ck_assert_uint_gt(flushed, 0);
}
END_TEST

/* A process that is killed loses nothing that was acknowledged, whatever `sync` is. */
START_TEST(killed_without_syncs)
{
	static struct kv_life r;
	uint64_t from, to;
	sim_seeds(FULL_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		life_begin(&r, seed, SD_KV_NO);
		for (unsigned life = 0; life < 4; life++) {
			r.actions = 40;
			if (life_open(&r))
				life_live(&r);
			sd_sim_kill(r.node);
			life_shut(&r);
		}
		life_look(&r);
		life_good(&r, seed, 0);
		life_end(&r);
	}
}
END_TEST

static void loose_life(struct kv_life *r)
{
	static const enum sd_kv_sync modes[] = {SD_KV_NO, SD_KV_EVERYSEC, SD_KV_ALWAYS};
	uint32_t fate = sd_rng_below(&r->rng, 4);
	uint64_t failed = sd_sim_failed(r->node);
	r->conf.memtable_bytes = UINT64_C(65536) << sd_rng_below(&r->rng, 4);
	r->conf.sync = modes[sd_rng_below(&r->rng, 2)];
	if (fate <= 1)
		sd_sim_power_cut_at(r->node, 1 + sd_rng_below(&r->rng, 80));
	if (fate == 3 && sd_rng_below(&r->rng, 3) == 0)
		sd_sim_fail(r->node, SD_SIM_SYNC, 1 + sd_rng_below(&r->rng, 5), 1, 5);
	if (life_open(r))
		for (unsigned i = 20 + sd_rng_below(&r->rng, 60); i > 0 && sd_sim_is_up(r->node); i--) {
			if (sd_rng_below(&r->rng, 6) == 0) {
				r->conf.sync = modes[sd_rng_below(&r->rng, 3)];
				sd_kv_set_sync(r->kv, r->conf.sync);
			}
			sd_sim_run_to(r->sim,
				      sd_sim_now_ns(r->sim) + INT64_C(1000000) * sd_rng_below(&r->rng, 200));
			life_act(r);
		}
	if (sd_sim_is_up(r->node) && fate == 2) {
		sd_sim_kill(r->node);
		r->killed = sd_sim_failed(r->node) == failed;
	}
	if (sd_sim_is_up(r->node) && fate == 3 && sd_rng_below(&r->rng, 2))
		sd_sim_power_cut(r->node);
	life_shut(r);
	sd_sim_power_cut_at(r->node, 0);
	sd_sim_fail(r->node, SD_SIM_SYNC, 0, 0, 0);
}

/* Where writes are synced now and then, or some of them: what was written before a sync is there, and of what
 * came after it the first ones up to some batch. */
START_TEST(syncs_now_and_then)
{
	static struct kv_life r;
	uint64_t from, to, opens = 0, acked = 0;
	sim_seeds(LOOSE_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		life_begin(&r, seed, SD_KV_NO);
		r.syncs_some = true;
		for (unsigned life = 0; life < 8; life++)
			loose_life(&r);
		r.conf.sync = SD_KV_ALWAYS;
		life_look(&r);
		life_good(&r, seed, 0);
		opens += r.opens;
		acked += r.acked;
		life_end(&r);
	}
	printf("with some syncs: %" PRIu64 " opened, %" PRIu64 " batches acknowledged\n", opens, acked);
}
END_TEST

/* A checkpoint while the power goes at a place of it: made, it is on the disk; not made, it is no store, or
 * whole. */
static bool checkpoint_cut_at(uint64_t seed, uint64_t n, uint64_t *made)
{
	static struct kv_life r;
	life_begin(&r, seed, SD_KV_ALWAYS);
	r.actions = 60;
	ck_assert(life_open(&r));
	life_live(&r);
	r.ndoubts = 0; /* nothing has failed */
	sd_sim_power_cut_at(r.node, n);
	bool done = sd_kv_checkpoint(r.kv, COPY, NULL) == SD_OK, cut = !sd_sim_is_up(r.node);
	struct kv_state then = r.state;
	sd_sim_power_cut_at(r.node, 0);
	if (!cut) {
		life_write(&r); /* which it does not have */
		sd_sim_power_cut(r.node);
	}
	r.state = then;
	life_shut(&r);
	*made += done;
	sd_sim_boot(r.node);
	r.dir = COPY;
	r.conf.mode = SD_KV_OPEN;
	r.reads_fail = !done;
	if (life_open(&r))
		life_scan(&r, NULL, true);
	else if (done)
		life_wrong(&r, &r.lost, "an acknowledged checkpoint is no store", n, seed);
	if (memcmp(&r.state, &then, sizeof(then)) != 0)
		life_wrong(&r, &r.lost, "a checkpoint is of another time", n, seed);
	life_shut(&r);
	life_good(&r, seed, n);
	life_end(&r);
	return cut;
}

START_TEST(checkpoints)
{
	uint64_t from, to, runs = 0, made = 0;
	sim_seeds(COPY_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		for (uint64_t n = 1; runs++, checkpoint_cut_at(seed, n, &made); n++)
			;
	printf("checkpoints: %" PRIu64 " power cuts, %" PRIu64 " were made\n", runs, made);
	ck_assert_uint_gt(made, 0);
}
END_TEST

/* ---- 3: operation 1, 2, 3 ... fails ---- */

static bool fail_at(uint64_t seed, enum sd_sim_op op, uint64_t n, int err, bool power)
{
	static const uint64_t times[] = {1, 1, 2, 6, 100000}; /* the last: it does not become good again */
	static struct kv_life r;
	life_begin_synced_or_not(&r, seed);
	sd_sim_fail(r.node, op, n, times[(n + seed) % 5], err);
	r.reads_fail = true;
	for (unsigned life = 0; life < 2; life++) {
		r.actions = 25;
		if (life_open(&r))
			life_live(&r);
		life_shut(&r);
	}
	uint64_t failed = sd_sim_failed(r.node);
	if (power)
		sd_sim_power_cut(r.node);
	life_look(&r);
	life_good(&r, seed, n + 100000 * op + (err == 28 ? 1000000 : 0));
	life_end(&r);
	return failed > 0;
}

START_TEST(fail_everything)
{
	static const enum sd_sim_op ops[] = {SD_SIM_OPEN, SD_SIM_READ,     SD_SIM_WRITE,
					     SD_SIM_SYNC, SD_SIM_ALLOCATE, SD_SIM_NAME};
	uint64_t from, to, runs = 0;
	sim_seeds(FAULT_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		for (unsigned i = 0; i < sizeof(ops) / sizeof(*ops); i++)
			for (uint64_t n = 1;
			     runs++, fail_at(seed, ops[i], n, (n + seed / 2) % 2 ? 5 : 28, (n + seed) % 2);
			     n++)
				;
	printf("faults: %" PRIu64 " runs\n", runs);
}
END_TEST

/* A disk that fills up: writes are refused with a cause, reads go on, and with room it goes on without being
 * opened anew. */
START_TEST(full_disk)
{
	static struct kv_life r;
	struct sd_error e;
	uint64_t from, to, refusals = 0;
	sim_seeds(FULL_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		life_begin_synced_or_not(&r, seed);
		r.full = true;
		sd_sim_disk(r.node)->capacity = 150000 + seed % 64 * 1000;
		ck_assert_msg(life_open(&r), "seed %" PRIu64, seed);
		uint64_t refused = 0;
		for (unsigned i = 0; i < 3000 && refused < 20; i++) {
			uint64_t acked = r.acked;
			life_write(&r);
			refused += r.acked == acked;
			if (i % 16 == 0)
				life_act(&r);
			if (refused && i % 4 == 0)
				life_read(&r);
		}
		ck_assert_msg(refused > 0, "seed %" PRIu64 ": the disk never was full", seed);
		enum sd_err health = sd_kv_health(r.kv, &e);
		if (health && health != SD_ENOSPC)
			life_wrong(&r, &r.strange, e.text, r.ndoubts, seed);
		refusals += refused;
		sd_sim_disk(r.node)->capacity = 0;
		sd_sim_run_to(r.sim, sd_sim_now_ns(r.sim) + INT64_C(2000000000));
		for (unsigned i = 0; i < 2000 && sd_kv_work(r.kv); i++)
			;
		if (sd_kv_health(r.kv, &e))
			life_wrong(&r, &r.strange, e.text, seed, 0);
		uint64_t acked = r.acked;
		for (unsigned i = 0; i < 3; i++)
			life_write(&r);
		if (r.acked != acked + 3)
			life_wrong(&r, &r.strange, "there is room, and it takes no writes", r.acked, acked);
		life_scan(&r, NULL, false);
		if (seed % 2)
			sd_sim_power_cut(r.node);
		life_shut(&r);
		life_look(&r);
		life_good(&r, seed, 0);
		life_end(&r);
	}
	printf("full disks: %" PRIu64 " refusals\n", refusals);
}
END_TEST

/* ---- 4: bits flip ---- */

/* While it is read: an answer is right, or there is none. */
START_TEST(bits_flip_in_reading)
{
	static struct kv_life r;
	uint64_t from, to, told = 0;
	sim_seeds(FLIP_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		life_begin(&r, seed, SD_KV_ALWAYS);
		r.conf.cache_bytes = 1;
		r.actions = 150;
		ck_assert(life_open(&r));
		life_live(&r);
		sd_kv_flush(r.kv, NULL);
		sd_sim_disk(r.node)->flip_read_ppm = 100000;
		r.reads_fail = true;
		for (unsigned i = 0; i < 50; i++)
			life_read(&r);
		sd_sim_disk(r.node)->flip_read_ppm = 0;
		r.reads_fail = false;
		life_scan(&r, NULL, false);
		told += r.told;
		life_shut(&r);
		life_look(&r);
		life_good(&r, seed, 0);
		life_end(&r);
	}
	printf("flipped in reading: %" PRIu64 " times told\n", told);
	ck_assert_uint_gt(told, 0);
}
END_TEST

static uint64_t file_size(struct kv_life *r, const char *path)
{
	struct sd_file *f;
	uint64_t size = 0;
	if (sd_file_open(r->node, path, 0, &f, NULL))
		return 0;
	sd_file_size(f, &size, NULL);
	sd_file_close(f);
	return size;
}

/* A bit of any file of a closed store: what is read is right, or it is told. */
START_TEST(bits_flip_on_the_disk)
{
	static struct kv_life r;
	uint64_t from, to, flips = 0, told = 0;
	sim_seeds(FLIP_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		life_begin(&r, seed, SD_KV_ALWAYS);
		r.actions = 120;
		ck_assert(life_open(&r));
		life_live(&r);
		life_shut(&r);
		char **names = sd_world_list_dir(r.node, KV_DIR);
		for (char **p = names; p && *p; p++) {
			char path[300];
			snprintf(path, sizeof(path), KV_DIR "/%s", *p);
			uint64_t size = file_size(&r, path);
			for (unsigned i = 0; size > 0 && i < 4; i++) {
				uint64_t bit = sd_rng_next(&r.rng) % (size * 8);
				struct kv_state state = r.state;
				struct sd_kv_conf conf = r.conf;
				sd_sim_flip(r.node, path, bit);
				r.conf.mode = SD_KV_READ_ONLY;
				r.reads_fail = true;
				if (life_open(&r)) {
					for (unsigned k = 0; k < KV_KEYS; k++)
						life_get(&r, NULL, k);
					life_shut(&r);
				}
				r.conf = conf;
				r.reads_fail = false;
				r.ndoubts = 0;
				r.state = state;
				sd_sim_flip(r.node, path, bit);
				flips++;
				if (r.what[0])
					printf("%s, bit %" PRIu64 " of %" PRIu64 "\n", path, bit, 8 * size);
				life_good(&r, seed, bit);
			}
			free(*p);
		}
		free(names);
		told += r.told;
		life_look(&r);
		life_good(&r, seed, 0);
		life_end(&r);
	}
	printf("flipped on the disk: %" PRIu64 " bits, %" PRIu64 " times told\n", flips, told);
	ck_assert_uint_gt(told, 0);
}
END_TEST

static void remove_all(struct kv_life *r, const char *dir)
{
	char path[300];
	char **names = sd_world_list_dir(r->node, dir);
	for (char **p = names; p && *p; p++) {
		snprintf(path, sizeof(path), "%s/%s", dir, *p);
		sd_world_unlink(r->node, path);
		free(*p);
	}
	free(names);
}

static void copy_file(struct kv_life *r, const char *name)
{
	char from[300], to[300];
	snprintf(from, sizeof(from), KV_DIR "/%s", name);
	snprintf(to, sizeof(to), COPY "/%s", name);
	uint64_t size = file_size(r, from);
	char *bytes = malloc(size + 1);
	struct sd_file *a, *b;
	size_t got = 0;
	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(sd_file_open(r->node, from, 0, &a, NULL), SD_OK);
	ck_assert_int_eq(
	    sd_file_open(r->node, to, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &b, NULL), SD_OK);
	ck_assert_int_eq(sd_file_read(a, bytes, (size_t)size, 0, &got, NULL), SD_OK);
	ck_assert_uint_eq(got, size);
	ck_assert_int_eq(sd_file_write(b, &(struct iovec){bytes, got}, 1, 0, NULL), SD_OK);
	ck_assert_int_eq(sd_file_sync(b, NULL), SD_OK);
	sd_file_close(a);
	sd_file_close(b);
	free(bytes);
}

/* A bit of one file of a copy of the store, which is opened and merged then: what becomes of it is right, or
 * it is told. */
static void merge_a_flip(struct kv_life *r, char **names, const char *name)
{
	char path[300];
	struct kv_state before = r->state;
	uint64_t bit;
	remove_all(r, COPY);
	ck_assert_int_eq(sd_world_mkdir(r->node, COPY, 0700, NULL), SD_OK);
	for (char **p = names; *p; p++)
		copy_file(r, *p);
	snprintf(path, sizeof(path), COPY "/%s", name);
	uint64_t size = file_size(r, path);
	if (size == 0)
		return;
	bit = sd_rng_next(&r->rng) % (size * 8);
	ck_assert(sd_sim_flip(r->node, path, bit));
	r->dir = COPY;
	r->reads_fail = true;
	for (unsigned life = 0; life < 2; life++) {
		if (life_open(r)) {
			sd_kv_compact(r->kv, NULL, NULL, NULL);
			for (unsigned i = 0; i < 20; i++)
				sd_kv_work(r->kv);
			life_scan(r, NULL, life);
			for (unsigned k = 0; k < KV_KEYS; k++)
				life_get(r, NULL, k);
		}
		life_shut(r);
	}
	r->dir = KV_DIR;
	r->reads_fail = false;
	r->ndoubts = 0;
	r->state = before;
	if (r->what[0] && !no_sums)
		printf("%s, bit %" PRIu64 " of %" PRIu64 "\n", path, bit, 8 * size);
}

static void flip_and_merge(struct kv_life *r, uint64_t seed, uint64_t *flips)
{
	life_begin(r, seed, SD_KV_ALWAYS);
	r->actions = 120;
	ck_assert(life_open(r));
	life_live(r);
	life_shut(r);
	char **names = sd_world_list_dir(r->node, KV_DIR);
	for (char **p = names; p && *p; p++, ++*flips)
		merge_a_flip(r, names, *p);
	for (char **p = names; p && *p; p++)
		free(*p);
	free(names);
}

START_TEST(bits_flip_before_merging)
{
	static struct kv_life r;
	uint64_t from, to, flips = 0, told = 0;
	sim_seeds(FLIP_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		flip_and_merge(&r, seed, &flips);
		told += r.told;
		life_good(&r, seed, flips);
		life_look(&r);
		life_good(&r, seed, 0);
		life_end(&r);
	}
	printf("flipped and merged: %" PRIu64 " bits, %" PRIu64 " times told\n", flips, told);
	ck_assert_uint_gt(told, 0);
}
END_TEST

/* The control: checksums that say nothing. Bits that flipped are believed, and records that are not whole. */
START_TEST(without_checksums)
{
	static struct kv_life r;
	uint64_t flips = 0, believed = 0, torn = 0;
	no_sums = true;
	for (uint64_t seed = 1; seed <= 2; seed++) {
		flip_and_merge(&r, seed, &flips);
		believed += r.strange + r.lost > 0;
		life_end(&r);
	}
	for (uint64_t seed = 1; seed <= 40 && torn == 0;
	     seed++) /* most look torn also without: a sector that is missing is zeros */
		for (uint64_t n = 1; n < 60 && torn == 0 && cut_at(seed, n, SD_KV_ALWAYS, &torn); n++)
			;
	no_sums = false;
	printf("control: without checksums %" PRIu64 " stores believed flipped bits, and %" PRIu64
	       " runs broke at torn writes\n",
	       believed, torn);
	ck_assert_uint_gt(believed, 0);
	ck_assert_uint_gt(torn, 0);
}
END_TEST

/* The same seed is the same run. */
START_TEST(same_again)
{
	static struct kv_life r;
	uint64_t digest[2];
	for (unsigned i = 0; i < 2; i++) {
		life_begin(&r, 4, SD_KV_ALWAYS);
		for (unsigned life = 0; life < 4; life++)
			one_life(&r);
		digest[i] = sd_sim_digest(r.sim);
		life_end(&r);
	}
	ck_assert_uint_eq(digest[0], digest[1]);
}
END_TEST

#define MOST_S 7200 /* of a case, with many seeds */

int main(void)
{
	if (!sim_is_wanted("kv"))
		return EXIT_SUCCESS;
	Suite *s = suite_create("sim_kv");
	sim_add(s, "cut", power_cut_everywhere, MOST_S);
	sim_add(s, "never", without_syncs, MOST_S);
	sim_add(s, "twice", power_cut_in_opening, MOST_S);
	sim_add(s, "lives", many_lives, MOST_S);
	sim_add(s, "kill", killed_without_syncs, MOST_S);
	sim_add(s, "loose", syncs_now_and_then, MOST_S);
	sim_add(s, "copy", checkpoints, MOST_S);
	sim_add(s, "fail", fail_everything, MOST_S);
	sim_add(s, "full", full_disk, MOST_S);
	sim_add(s, "reading", bits_flip_in_reading, MOST_S);
	sim_add(s, "flip", bits_flip_on_the_disk, MOST_S);
	sim_add(s, "merge", bits_flip_before_merging, MOST_S);
	sim_add(s, "believe", without_checksums, MOST_S);
	sim_add(s, "again", same_again, MOST_S);
	return sim_run(s);
}
