/* The log in the simulated world: power cuts at every write and sync, faults of every kind, bits that flip.
 *
 * A run is a life of a log on one machine: records of varied sizes are appended, some wait for their sync, old segments are
 * dropped, the log is closed and opened again. Its ledger knows what every record must be. Whenever the log was opened:
 *
 *	1  every record that was acknowledged is there, but for those that were dropped
 *	2  they are in order, without a hole
 *	3  none is there that was not appended, or that was cut off before
 *	4  what opening told of as being there stays, as if acknowledged
 *
 * Controls, which must be seen to fail: sync `never` loses acknowledged records; without checksums garbage is returned.
 *
 *	SEEDS=n, SEED=k, SEED_FROM=n, ONLY=wal as for the other simulations
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "core/rng.h"
#include "disk/wal_int.h"
#include "world/sim.h"
#include "seeds.h"

#ifdef SD_SANITIZED
#define CUT_SEEDS   100
#define LIFE_SEEDS  100
#define FAULT_SEEDS 6
#define FLIPS       2000
#define MEND_SEEDS  30
#define DURABLE_SEEDS 50
#else
#define CUT_SEEDS   1000
#define LIFE_SEEDS  1000
#define FAULT_SEEDS 40
#define FLIPS       8000
#define MEND_SEEDS  300
#define DURABLE_SEEDS 500
#endif
#define MEND_PLACES 10
#define DIR      "data"
#define RECORDS  4000
#define WAITERS  64
#define SECOND   1000000000ll

struct run;

struct waiter {
	struct sd_wal_wait wait;
	struct run *run;
	bool busy;
};

struct run {
	struct sd_sim *sim;
	struct sd_world *node;
	struct sd_loop *loop;
	struct sd_helpers *helpers;
	struct sd_wal *log;
	struct sd_wal_conf conf;
	struct sd_rng rng;
	struct sd_timer timer;
	struct waiter waiters[WAITERS], dropper;
	unsigned actions; /* left */
	bool closing, closed, stopped; /* stopped: no actions any more */
	/* the ledger: what record seq is, by seq */
	uint64_t ids[RECORDS + 1], next_id;
	uint64_t appended, acked, dropped;
	/* what was seen */
	uint64_t lost, strange, torn, unmade, opens, refused, records;
	uint64_t read_seq;
	char what[600];
};

static void wrong(struct run *r, uint64_t *count, const char *what, uint64_t a, uint64_t b)
{
	(*count)++;
	if (!r->what[0])
		snprintf(r->what, sizeof(r->what), "%s (%" PRIu64 ", %" PRIu64 ")", what, a, b);
}

/* ---- records: what they are follows from a number that is never used twice ---- */

/* Of some runs all records are a sector with their fragment's head, and each begins with one: whatever comes back from an
 * earlier time then stands where a record is due. */
static bool in_sectors;

static size_t record_size(uint64_t id)
{
	if (in_sectors)
		return 512 - WAL_FRAG;
	uint64_t x = id * 0x9e3779b97f4a7c15u;
	x ^= x >> 29;
	switch (x % 16) {
	case 0:
		return 8 + x / 16 % 70000;
	case 1:
	case 2:
		return 8 + x / 16 % 5000;
	default:
		return 8 + x / 16 % 200;
	}
}

static void record_fill(uint8_t *p, uint64_t id, size_t n)
{
	memcpy(p, &id, 8);
	for (size_t i = 8; i < n; i++)
		p[i] = (uint8_t)(id * 31 + i * (id | 1));
}

static bool record_is(const uint8_t *p, size_t n, uint64_t id)
{
	static uint8_t due[70100];
	if (n != record_size(id))
		return false;
	record_fill(due, id, n);
	return memcmp(p, due, n) == 0;
}

/* ---- what is there ---- */

static enum sd_err see(struct sd_wal_walk *w, const struct sd_wal_record *rec, const char *file, struct sd_error *e)
{
	struct run *r = w->arg;
	(void)file;
	(void)e;
	if (r->read_seq && rec->seq != r->read_seq + 1)
		wrong(r, &r->strange, "not in order", rec->seq, r->read_seq);
	r->read_seq = rec->seq;
	r->records++;
	if (rec->seq > r->appended || rec->type != (uint8_t)r->ids[rec->seq] || !record_is(rec->data, rec->n, r->ids[rec->seq]))
		wrong(r, &r->strange, "a record that was never written", rec->seq, r->appended);
	return SD_OK;
}

/* After opening: what was found against the ledger, then the ledger is what was found. */
static void compare(struct run *r, const struct sd_wal_found *found)
{
	struct sd_error e = {0};
	struct sd_wal_walk walk = {.path = DIR, .record = see, .arg = r};
	uint64_t last = found->next_seq - 1;
	r->read_seq = 0;
	if (last < r->acked)
		wrong(r, &r->lost, "acknowledged records are gone", last, r->acked);
	if (last > r->appended)
		wrong(r, &r->strange, "more than was appended", last, r->appended);
	if (found->first_seq > r->dropped + 1 && found->first_seq > r->dropped)
		wrong(r, &r->lost, "the first was not dropped", found->first_seq, r->dropped);
	enum sd_err err = sd_wal_walk(r->node, &walk, &e); /* injected faults may hit this too */
	if (err == SD_EINVAL && sd_sim_is_up(r->node))
		wrong(r, &r->strange, e.text, 0, 0);
	if (!err && sd_sim_is_up(r->node) && walk.found.next_seq - 1 != last)
		wrong(r, &r->strange, "read differs from opened", walk.found.next_seq - 1, last);
	r->torn += found->torn_bytes > 0;
	r->unmade += found->unmade > 0;
	r->appended = last;
	r->acked = last;
}

/* A reader from anywhere sees what is acknowledged. */
static void read_some(struct run *r)
{
	struct sd_wal_stats st;
	struct sd_wal_reader *reader;
	struct sd_wal_record rec;
	struct sd_error e = {0};
	sd_wal_stats(r->log, &st);
	uint64_t from = st.first_seq + sd_rng_below(&r->rng, (uint32_t)(st.next_seq - st.first_seq + 1)), seq = from;
	if (sd_wal_reader_open(r->log, from, &reader, &e))
		return wrong(r, &r->strange, e.text, from, st.next_seq);
	enum sd_err err;
	while ((err = sd_wal_read(reader, &rec, &e)) == SD_OK) {
		if (rec.seq != seq || !record_is(rec.data, rec.n, r->ids[rec.seq]))
			wrong(r, &r->strange, "a reader sees something else", rec.seq, seq);
		seq++;
	}
	uint64_t end = from > st.acked_seq ? from : st.acked_seq + 1;
	if (err == SD_EEOF && seq != end)
		wrong(r, &r->strange, "a reader ends early", seq, end);
	/* Other errors are injected, or the machine is down. */
	if (sd_sim_is_up(r->node) && (err == SD_EINVAL || (err == SD_ENOTFOUND && seq >= r->dropped)))
		wrong(r, &r->strange, e.text, seq, end);
	sd_wal_reader_free(reader);
}

/* ---- the workload ---- */

static void on_synced(struct sd_wal_wait *wait, enum sd_err err)
{
	struct waiter *w = (struct waiter *)wait;
	struct run *r = w->run;
	w->busy = false;
	if (err)
		return;
	if (wait->seq < r->acked)
		wrong(r, &r->strange, "acknowledged out of order", wait->seq, r->acked);
	r->acked = wait->seq;
}

static void on_dropped(struct sd_wal_wait *wait, enum sd_err err)
{
	(void)err;
	((struct waiter *)wait)->busy = false;
}

static void on_closed(void *arg, enum sd_err err)
{
	struct run *r = arg;
	r->closed = true;
	r->log = NULL;
	if (!err)
		r->acked = r->appended;
}

static void append_one(struct run *r)
{
	static uint8_t bytes[70100];
	uint64_t id = r->next_id, seq;
	size_t n = record_size(id), cut = sd_rng_below(&r->rng, (uint32_t)n);
	if (r->appended >= RECORDS)
		return;
	record_fill(bytes, id, n);
	struct iovec iov[2] = {{bytes, cut}, {bytes + cut, n - cut}};
	enum sd_err err = sd_wal_append(r->log, (uint8_t)id, iov, 2, &seq);
	if (err)
		return;
	r->next_id++;
	if (seq != r->appended + 1)
		wrong(r, &r->strange, "a sequence number that is not the next", seq, r->appended);
	if (seq <= RECORDS)
		r->ids[seq] = id;
	r->appended = seq;
}

static void sync_some(struct run *r)
{
	for (unsigned i = 0; i < WAITERS; i++) {
		struct waiter *w = &r->waiters[i];
		if (w->busy)
			continue;
		*w = (struct waiter){.wait = {.done = on_synced}, .run = r, .busy = true};
		sd_wal_sync(r->log, &w->wait);
		return;
	}
}

static void drop_some(struct run *r)
{
	if (r->dropper.busy || r->acked == 0)
		return;
	uint64_t seq = 1 + sd_rng_below(&r->rng, (uint32_t)r->acked);
	r->dropped = seq > r->dropped ? seq : r->dropped;
	r->dropper = (struct waiter){.wait = {.done = on_dropped}, .run = r, .busy = true};
	sd_wal_drop(r->log, seq, &r->dropper.wait);
}

static void act(struct sd_timer *t)
{
	struct run *r = sd_container(t, struct run, timer);
	if (!r->log || r->closing)
		return;
	if (r->actions == 0 || sd_wal_failure(r->log)) {
		r->stopped = true;
		return;
	}
	r->actions--;
	uint32_t what = sd_rng_below(&r->rng, 100), n = 1 + sd_rng_below(&r->rng, 6);
	for (uint32_t i = 0; i < n; i++)
		append_one(r);
	if (what < 70)
		sync_some(r);
	else if (what < 78)
		drop_some(r);
	else if (what < 86)
		read_some(r);
	else if (what < 90) {
		r->closing = true;
		sd_wal_close(r->log, on_closed, r);
	}
	sd_loop_timer_set(r->loop, t, sd_loop_now_ns(r->loop) + (int64_t)sd_rng_below(&r->rng, 3000000));
}

/* ---- lives ---- */

static void tear_down(struct run *r)
{
	sd_wal_free(r->log);
	sd_helpers_free(r->helpers);
	if (r->loop) {
		sd_loop_timer_cancel(r->loop, &r->timer);
		sd_loop_flush(r->loop);
		sd_loop_free(r->loop);
	}
	r->log = NULL;
	r->loop = NULL;
	r->helpers = NULL;
	r->closing = r->closed = r->stopped = false;
	for (unsigned i = 0; i < WAITERS; i++)
		r->waiters[i].busy = false;
	r->dropper.busy = false;
}

/* Opens the log; false when the power went meanwhile, or it was refused. */
static bool set_up(struct run *r)
{
	struct sd_error e = {0};
	struct sd_wal_found found;
	sd_sim_boot(r->node);
	r->loop = sd_loop_new(r->node, NULL);
	r->helpers = sd_helpers_new(r->node, 2);
	r->conf.loop = r->loop;
	r->conf.helpers = r->helpers;
	r->timer = (struct sd_timer){.fn = act};
	sd_loop_start(r->loop, "log", NULL);
	r->opens++;
	enum sd_err err = sd_wal_open(r->node, &r->conf, &r->log, &found, &e);
	if (err) {
		r->log = NULL;
		if (sd_sim_is_up(r->node) && err == SD_EINVAL)
			wrong(r, &r->refused, e.text, 0, 0);
		tear_down(r);
		return false;
	}
	compare(r, &found);
	sd_loop_timer_set(r->loop, &r->timer, sd_loop_now_ns(r->loop) + 1);
	return true;
}

static bool passing(struct run *r)
{
	return sd_sim_is_up(r->node) && !r->closed && !(r->stopped && !r->closing);
}

/* Until the power goes, it is closed, or it has nothing more to do. */
static void live(struct run *r)
{
	uint64_t limit = sd_sim_steps(r->sim) + 200000;
	while (passing(r) && sd_sim_step(r->sim))
		if (sd_sim_steps(r->sim) > limit)
			return wrong(r, &r->strange, "it does not come to an end", r->appended, r->acked);
}

static void begin(struct run *r, uint64_t seed, enum sd_wal_sync sync)
{
	static const uint32_t segments[] = {4096, 16384, 50000, 200000}, batches[] = {1, 4096, 100000};
	*r = (struct run){.sim = sd_sim_new(seed), .next_id = 1};
	in_sectors = seed % 8 == 5;
	sd_rng_seed(&r->rng, seed);
	r->node = sd_sim_node(r->sim, "disk");
	sd_sim_disk(r->node)->stale = seed % 2;
	r->conf = (struct sd_wal_conf){
	    .dir = DIR,
	    .name = "log",
	    .sync = sync,
	    .interval_ns = 3000000,
	    .segment_bytes = segments[sd_rng_below(&r->rng, 4)],
	    .batch_bytes = batches[sd_rng_below(&r->rng, 3)],
	    .queue_bytes = 200000,
	    .gather_ns = seed % 5 == 0 ? 500000 : 0,
	};
}

static void end(struct run *r)
{
	tear_down(r);
	sd_sim_free(r->sim);
}

/* One more life without faults, so that what the last one left is looked at. */
static void look(struct run *r)
{
	sd_sim_power_cut_at(r->node, 0);
	for (unsigned op = 0; op < SD_SIM_OPS; op++)
		sd_sim_fail(r->node, op, 0, 0, 0);
	if (set_up(r))
		tear_down(r);
}

static void good(struct run *r, uint64_t seed, uint64_t n)
{
	if (!r->lost && !r->strange && !r->refused)
		return;
	sd_sim_print_trace(r->sim, stdout, 60);
	ck_abort_msg("seed %" PRIu64 ", place %" PRIu64 ": %s", seed, n, r->what);
}

/* ---- 1: the power goes at every place of a short life ---- */

static bool cut_at(uint64_t seed, uint64_t n, enum sd_wal_sync sync, uint64_t *lost, uint64_t *torn)
{
	static struct run r;
	begin(&r, seed, sync);
	r.actions = 12;
	sd_sim_power_cut_at(r.node, n);
	if (set_up(&r))
		live(&r);
	bool cut = !sd_sim_is_up(r.node);
	if (!cut)
		sd_sim_power_cut(r.node);
	tear_down(&r);
	look(&r);
	if (lost) {
		*lost += r.lost;
		r.lost = 0; /* lost it may be, but never taken for damage or for something else */
	}
	good(&r, seed, n);
	*torn += r.torn;
	end(&r);
	return cut;
}

START_TEST(power_cut_everywhere)
{
	uint64_t from, to, runs = 0, torn = 0;
	sim_seeds(CUT_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		for (uint64_t n = 1; runs++, cut_at(seed, n, SD_WAL_ALWAYS, NULL, &torn); n++)
			;
	printf("power cuts: %" PRIu64 " places in %" PRIu64 " seeds, %" PRIu64 " torn tails\n", runs, to - from + 1, torn);
	ck_assert_uint_gt(torn, 0);
}
END_TEST

START_TEST(never_loses)
{
	uint64_t lost = 0, torn = 0;
	for (uint64_t seed = 1; seed <= 20; seed++)
		for (uint64_t n = 1; cut_at(seed, n, SD_WAL_NEVER, &lost, &torn); n++)
			;
	printf("control: with sync never, %" PRIu64 " runs lost acknowledged records\n", lost);
	ck_assert_uint_gt(lost, 0);
}
END_TEST

/* ---- 2: many lives of one log, each ending in another way ---- */

static void one_life(struct run *r)
{
	uint32_t fate = sd_rng_below(&r->rng, 4);
	r->actions = 5 + sd_rng_below(&r->rng, 30);
	if (fate <= 1)
		sd_sim_power_cut_at(r->node, 1 + sd_rng_below(&r->rng, 60));
	if (fate == 2)
		sd_sim_fail(r->node, sd_rng_below(&r->rng, 2) ? SD_SIM_SYNC : SD_SIM_WRITE, 1 + sd_rng_below(&r->rng, 20), 1, 5);
	if (set_up(r))
		live(r);
	if (sd_sim_is_up(r->node) && fate == 3)
		sd_sim_kill(r->node);
	tear_down(r);
	sd_sim_power_cut_at(r->node, 0);
}

START_TEST(many_lives)
{
	static struct run r;
	uint64_t from, to, opens = 0, torn = 0, unmade = 0, records = 0;
	sim_seeds(LIFE_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		begin(&r, seed, SD_WAL_ALWAYS);
		for (unsigned life = 0; life < 8; life++)
			one_life(&r);
		look(&r);
		good(&r, seed, 0);
		opens += r.opens;
		torn += r.torn;
		unmade += r.unmade;
		records += r.records;
		end(&r);
	}
	printf("lives: %" PRIu64 " opened, %" PRIu64 " records compared, %" PRIu64 " torn tails, %" PRIu64 " unfinished segments\n",
	       opens, records, torn, unmade);
	if (to - from + 1 < LIFE_SEEDS)
		return; /* too few to be sure that each kind of end is among them */
	ck_assert_uint_gt(torn, 0);
	ck_assert_uint_gt(unmade, 0);
}
END_TEST

/* The power goes again while the log is mended, and once more in the life that follows: nothing of the first life may come
 * back in the third. */
START_TEST(cut_while_mending)
{
	static struct run r;
	uint64_t from, to, runs = 0, torn = 0;
	sim_seeds(MEND_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		for (uint64_t n = 1; n <= MEND_PLACES; n++, runs++) {
			begin(&r, seed * 16 + 5, SD_WAL_ALWAYS);
			sd_rng_seed(&r.rng, seed * MEND_PLACES + n);
			uint64_t at[] = {10 + sd_rng_below(&r.rng, 30), n, 2 + sd_rng_below(&r.rng, 10)};
			for (unsigned life = 0; life < 3; life++) {
				r.actions = 12;
				sd_sim_power_cut_at(r.node, at[life]);
				if (set_up(&r))
					live(&r);
				if (sd_sim_is_up(r.node))
					sd_sim_power_cut(r.node);
				tear_down(&r);
			}
			look(&r);
			good(&r, seed, n);
			torn += r.torn;
			end(&r);
		}
	printf("mending: cut at %" PRIu64 " places, %" PRIu64 " torn tails\n", runs, torn);
	ck_assert_uint_gt(torn, 0);
}
END_TEST

/* What the log says is on the disk is there after a power cut, whatever the policy; and the rest is never damage. */
START_TEST(durable_with_any_policy)
{
	static struct run r;
	uint64_t from, to, durable = 0;
	sim_seeds(DURABLE_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++) {
		begin(&r, seed, seed % 3 ? SD_WAL_INTERVAL : SD_WAL_NEVER);
		for (unsigned life = 0; life < 6; life++) {
			struct sd_wal_stats st = {0};
			r.actions = 5 + sd_rng_below(&r.rng, 30);
			sd_sim_power_cut_at(r.node, 1 + sd_rng_below(&r.rng, 40));
			if (set_up(&r))
				live(&r);
			if (r.log)
				sd_wal_stats(r.log, &st);
			sd_sim_power_cut(r.node);
			r.acked = r.closed || !r.log ? r.acked : st.durable_seq;
			durable += st.durable_seq;
			tear_down(&r);
		}
		look(&r);
		good(&r, seed, 0);
		end(&r);
	}
	ck_assert_uint_gt(durable, 0);
}
END_TEST

/* A process that is killed loses nothing that was acknowledged, whatever the policy; a power cut after an interval neither. */
START_TEST(kill_with_any_policy)
{
	static struct run r;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		begin(&r, seed, seed % 2 ? SD_WAL_NEVER : SD_WAL_INTERVAL);
		for (unsigned life = 0; life < 4; life++) {
			r.actions = 20;
			if (set_up(&r))
				live(&r);
			sd_sim_kill(r.node);
			tear_down(&r);
		}
		look(&r);
		good(&r, seed, 0);
		end(&r);
	}
}
END_TEST

START_TEST(interval_passes)
{
	static struct run r;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		begin(&r, seed, SD_WAL_INTERVAL);
		r.actions = 20;
		ck_assert(set_up(&r));
		live(&r);
		if (r.log) {
			sd_sim_run_to(r.sim, sd_sim_now_ns(r.sim) + SECOND);
			struct sd_wal_stats st;
			sd_wal_stats(r.log, &st);
			ck_assert_uint_eq(st.durable_seq, r.appended);
			r.acked = r.appended;
		}
		sd_sim_power_cut(r.node);
		tear_down(&r);
		look(&r);
		good(&r, seed, 0);
		end(&r);
	}
}
END_TEST

/* ---- 3: operation 1, 2, 3 ... fails ---- */

static bool fail_at(uint64_t seed, enum sd_sim_op op, uint64_t n, int err, bool power)
{
	static struct run r;
	begin(&r, seed, SD_WAL_ALWAYS);
	sd_sim_fail(r.node, op, n, 1, err);
	/* The same machine goes on: what failed once is told, and the log opened anew. */
	for (unsigned life = 0; life < 3; life++) {
		r.actions = 10;
		if (set_up(&r))
			live(&r);
		tear_down(&r);
	}
	uint64_t failed = sd_sim_failed(r.node);
	if (power)
		sd_sim_power_cut(r.node);
	look(&r);
	good(&r, seed, n);
	end(&r);
	return failed > 0;
}

START_TEST(fail_everything)
{
	static const enum sd_sim_op ops[] = {SD_SIM_OPEN, SD_SIM_READ, SD_SIM_WRITE, SD_SIM_SYNC, SD_SIM_ALLOCATE, SD_SIM_NAME};
	uint64_t from, to, runs = 0;
	sim_seeds(FAULT_SEEDS, &from, &to);
	for (uint64_t seed = from; seed <= to; seed++)
		for (unsigned i = 0; i < sizeof(ops) / sizeof(*ops); i++)
			for (uint64_t n = 1; runs++, fail_at(seed, ops[i], n, n % 2 ? 5 : 28, (n + seed) % 2); n++)
				;
	printf("faults: %" PRIu64 " runs\n", runs);
}
END_TEST

/* A disk that fills up: SD_ENOSPC, nothing that was acknowledged is lost, and it goes on when there is room. */
START_TEST(full_disk)
{
	static struct run r;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		begin(&r, seed, SD_WAL_ALWAYS);
		sd_sim_disk(r.node)->capacity = 250000 + seed * 100;
		bool full = false;
		for (unsigned life = 0; life < 40 && !full; life++) {
			r.actions = 50;
			if (!set_up(&r))
				break;
			live(&r);
			const struct sd_error *why = r.log ? sd_wal_failure(r.log) : NULL;
			full = why && why->code == SD_ENOSPC;
			tear_down(&r);
		}
		ck_assert_msg(full, "seed %" PRIu64 ": the disk never was full", seed);
		uint64_t before = r.appended;
		/* It opens though the disk is full. */
		ck_assert_msg(set_up(&r), "seed %" PRIu64, seed);
		tear_down(&r);
		sd_sim_disk(r.node)->capacity = 0;
		r.actions = 20;
		ck_assert(set_up(&r));
		live(&r);
		ck_assert_uint_gt(r.appended, before - (before > 100 ? 100 : before));
		ck_assert(r.closed || !sd_wal_failure(r.log));
		tear_down(&r);
		look(&r);
		good(&r, seed, 0);
		end(&r);
	}
}
END_TEST

/* ---- 4: bits flip ---- */

struct flips {
	struct run *r;
	uint64_t garbage;
};

static enum sd_err see_garbage(struct sd_wal_walk *w, const struct sd_wal_record *rec, const char *file, struct sd_error *e)
{
	struct flips *f = w->arg;
	(void)file;
	(void)e;
	if (rec->seq > f->r->appended || !record_is(rec->data, rec->n, f->r->ids[rec->seq]))
		f->garbage++;
	return SD_OK;
}

/* A log of several segments, closed in order. */
static void make_closed(struct run *r)
{
	begin(r, 7, SD_WAL_ALWAYS);
	r->conf.segment_bytes = 40000;
	r->conf.batch_bytes = 0;
	r->actions = 40;
	ck_assert(set_up(r));
	live(r);
	if (!r->closed) {
		r->closing = true;
		sd_wal_close(r->log, on_closed, r);
		while (!r->closed)
			ck_assert(sd_sim_step(r->sim));
	}
}

static uint64_t file_size(struct run *r, const char *path)
{
	struct sd_file *f;
	uint64_t size = 0;
	ck_assert_int_eq(sd_file_open(r->node, path, 0, &f, NULL), SD_OK);
	ck_assert_int_eq(sd_file_size(f, &size, NULL), SD_OK);
	sd_file_close(f);
	return size;
}

START_TEST(bits_flip)
{
	static struct run r;
	struct wal_end end_of = {0};
	struct sd_error e = {0};
	uint64_t damaged = 0, harmless = 0, garbage = 0;
	make_closed(&r);
	struct sd_wal_walk first = {.path = DIR};
	ck_assert_msg(wal_walk_to(r.node, &first, &end_of, &e) == SD_OK, "%s", e.text);
	ck_assert_uint_ge(end_of.segments.n, 3);
	ck_assert(end_of.marked);
	for (uint64_t i = 0; i < FLIPS; i++) {
		char path[WAL_PATH];
		uint64_t number = end_of.segments.at[sd_rng_below(&r.rng, (uint32_t)end_of.segments.n)].number;
		wal_path(path, DIR, "log", number, NULL);
		uint64_t size = file_size(&r, path), bit = sd_rng_below(&r.rng, (uint32_t)(size * 8));
		ck_assert(sd_sim_flip(r.node, path, bit));
		struct flips f = {.r = &r};
		struct sd_wal_walk walk = {.path = DIR, .record = see_garbage, .resync = true, .arg = &f};
		sd_wal_walk(r.node, &walk, &e);
		ck_assert_msg(walk.troubles > 0, "bit %" PRIu64 " of %s was not seen", bit, path);
		ck_assert_uint_eq(f.garbage, 0);
		/* The mark, and zeros behind it, are the only places where nothing was lost: a torn tail. */
		bool behind = number == end_of.header.number && bit / 8 >= end_of.off - WAL_FRAG;
		ck_assert_msg(behind == (walk.damages == 0), "bit %" PRIu64 " of %s: damages %u", bit, path, walk.damages);
		if (behind)
			ck_assert_uint_eq(walk.found.next_seq, r.appended + 1);
		damaged += walk.damages > 0;
		harmless += walk.damages == 0;
		struct wal_end blind = {.blind = true};
		f.garbage = 0;
		wal_walk_to(r.node, &walk, &blind, &e);
		free(blind.segments.at);
		garbage += f.garbage;
		ck_assert(sd_sim_flip(r.node, path, bit));
	}
	printf("bits: %" PRIu64 " flipped, %" PRIu64 " seen as damage, %" PRIu64 " as a torn tail of which nothing is lost\n",
	       damaged + harmless, damaged, harmless);
	printf("control: without checksums %" PRIu64 " records of garbage were returned\n", garbage);
	ck_assert_uint_gt(garbage, 0);
	free(end_of.segments.at);
	end(&r);
}
END_TEST

/* The same seed is the same run. */
START_TEST(same_again)
{
	static struct run r;
	uint64_t digest[2];
	for (unsigned i = 0; i < 2; i++) {
		begin(&r, 3, SD_WAL_ALWAYS);
		for (unsigned life = 0; life < 6; life++)
			one_life(&r);
		digest[i] = sd_sim_digest(r.sim);
		end(&r);
	}
	ck_assert_uint_eq(digest[0], digest[1]);
}
END_TEST

#define MOST_S 3600 /* of a case, with many seeds */

int main(void)
{
	if (!sim_is_wanted("wal"))
		return EXIT_SUCCESS;
	Suite *s = suite_create("sim_wal");
	sim_add(s, "cut", power_cut_everywhere, MOST_S);
	sim_add(s, "never", never_loses, MOST_S);
	sim_add(s, "lives", many_lives, MOST_S);
	sim_add(s, "mend", cut_while_mending, MOST_S);
	sim_add(s, "durable", durable_with_any_policy, MOST_S);
	sim_add(s, "kill", kill_with_any_policy, MOST_S);
	sim_add(s, "interval", interval_passes, MOST_S);
	sim_add(s, "fail", fail_everything, MOST_S);
	sim_add(s, "full", full_disk, MOST_S);
	sim_add(s, "flip", bits_flip, MOST_S);
	sim_add(s, "again", same_again, MOST_S);
	return sim_run(s);
}
