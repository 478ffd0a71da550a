/* Merging on a simulated disk: a store's life without its log. What is flushed and merged reads as a list of all writes says, for everybody
 * who may still read, through the tables that a reader looks into; range tombstones, snapshots, both formats and styles.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "disk/lsm_compact.h"
#include "disk/lsm_tables.h"
#include "world/sim.h"

#define DIR    "store"
#define KEYS   80
#define FLUSH  40 /* writes */
#define WRITES 4000
#define NOW    1000
#ifdef SD_SANITIZED /* memory and rules of C are looked at; the plain build goes through all seeds */
#define SEEDS(n) ((n) / 4)
#else
#define SEEDS(n) (n)
#endif

struct write {
	unsigned key, to; /* to: of ranges */
	enum sd_lsm_kind kind;
};

struct life {
	struct sd_sim *sim;
	struct sd_world *world;
	struct sd_lsm_tables *tables;
	struct sd_lsm_version v;
	struct sd_lsm_pick_conf conf;
	struct sd_rng rng;
	bool own;
	uint32_t flush; /* writes, at most */
	struct write writes[WRITES + 1]; /* by sequence number, from 1 */
	uint64_t seq, next;
	uint64_t snapshots[6];
	size_t nsnapshots;
	uint64_t merges, moves, small, pieces, dropped, dead;
	uint64_t written_blobs, dead_blobs; /* of the one blob file there is */
};

static struct sd_slice user_key(char to[16], unsigned key)
{
	int n = snprintf(to, 16, "k%03u", key);
	return (struct sd_slice){to, (size_t)n};
}

static struct sd_slice internal_key(char to[32], unsigned key, uint64_t seq, unsigned kind)
{
	struct sd_slice user = user_key(to, key);
	sd_put_le(to + user.n, seq << 8 | kind, SD_LSM_TAIL);
	return (struct sd_slice){to, user.n + SD_LSM_TAIL};
}

/* Of what is written with a sequence number. */
static struct sd_slice value_of(char to[128], uint64_t seq, enum sd_lsm_kind kind)
{
	size_t n = 0;
	if (sd_lsm_ends(kind)) {
		sd_put_le(to, NOW + seq % 2, SD_LSM_ENDS); /* half of them ended */
		n = SD_LSM_ENDS;
	}
	if (kind == SD_LSM_BLOB || kind == SD_LSM_ENDING_BLOB)
		n += sd_lsm_blob_ref_put(to + n, &(struct sd_lsm_blob_ref){1000000, seq, 100});
	else if (kind)
		n += (size_t)snprintf(to + n, 100, "value of %" PRIu64 " %.*s", seq, (int)(seq % 40), "........................................");
	return (struct sd_slice){to, n};
}

/* ---- the model ---- */

static uint64_t should_read(const struct life *l, unsigned key, uint64_t at)
{
	for (uint64_t seq = at < l->seq ? at : l->seq; seq > 0; seq--) {
		const struct write *w = &l->writes[seq];
		if (w->kind == SD_LSM_RANGE_GONE) {
			if (w->key <= key && key < w->to)
				return 0;
		} else if (w->key == key)
			return w->kind == SD_LSM_GONE || (sd_lsm_ends(w->kind) && seq % 2 == 0) ? 0 : seq;
	}
	return 0;
}

/* ---- reading as a store does ---- */

struct answer {
	uint64_t seq, over; /* the newest entry, the newest range over it */
	bool there;
};

static void look_into(struct life *l, const struct sd_lsm_file *f, unsigned key, uint64_t at, struct answer *a)
{
	char bytes[32], due[128];
	struct sd_error e = {0};
	struct sd_lsm_hit hit;
	struct sd_lsm_ranges *ranges = NULL;
	enum sd_err err = sd_lsm_tables_lookup(l->tables, f->number, f->size, internal_key(bytes, key, at, SD_LSM_KIND_SEEK), &hit, &e);
	ck_assert_msg(err == SD_OK, "%s", e.text);
	if (hit.found && hit.seq > a->seq) {
		struct sd_slice value = value_of(due, hit.seq, hit.kind);
		ck_assert_msg(value.n == hit.value.n && (value.n == 0 || memcmp(value.p, hit.value.p, value.n) == 0), "a value of another write");
		a->seq = hit.seq;
		a->there = hit.kind != SD_LSM_GONE && !sd_lsm_has_ended(hit.kind, hit.value, NOW);
	}
	sd_lsm_hit_release(&hit);
	ck_assert_int_eq(sd_lsm_tables_ranges(l->tables, f->number, f->size, &ranges, &e), SD_OK);
	ck_assert_int_eq(ranges != NULL, f->has_ranges);
	uint64_t over = sd_lsm_ranges_hides(ranges, user_key(bytes, key), at);
	a->over = over > a->over ? over : a->over;
	sd_lsm_ranges_unref(ranges);
}

static uint64_t read_key(struct life *l, unsigned key, uint64_t at)
{
	struct answer a = {0};
	char bytes[16];
	for (size_t i = l->v.levels[0].n; i-- > 0 && !a.seq;) /* the newest is the one with the highest number */
		look_into(l, &l->v.levels[0].files[i], key, at, &a);
	for (unsigned level = 1; level < SD_LSM_LEVELS && !a.seq; level++) {
		const struct sd_lsm_file *f = sd_lsm_version_find(&l->v, level, user_key(bytes, key));
		if (f)
			look_into(l, f, key, at, &a);
	}
	return a.there && a.seq > a.over ? a.seq : 0;
}

static void all_reads_well(struct life *l, const char *when)
{
	for (unsigned key = 0; key < KEYS; key++)
		for (size_t i = 0; i <= l->nsnapshots; i++) {
			uint64_t at = i < l->nsnapshots ? l->snapshots[i] : SD_LSM_SEQ_MAX;
			uint64_t due = should_read(l, key, at), found = read_key(l, key, at);
			ck_assert_msg(due == found, "%s: key %u at %" PRIu64 ": found %" PRIu64 ", expected %" PRIu64, when, key, at, found, due);
		}
}

/* ---- flushing ---- */

struct sink {
	struct sd_file *f;
	uint64_t at;
};

static enum sd_err to_file(void *arg, const void *p, size_t n, struct sd_error *e)
{
	struct sink *s = arg;
	struct iovec iov = {(void *)(uintptr_t)p, n};
	enum sd_err err = sd_file_write(s->f, &iov, 1, s->at, e);
	s->at += n;
	return err;
}

struct picked {
	uint64_t seq;
	struct write w;
};

static int by_internal(const void *a, const void *b)
{
	const struct picked *x = a, *y = b;
	return x->w.key != y->w.key ? (int)x->w.key - (int)y->w.key : (x->seq < y->seq) - (x->seq > y->seq);
}

static uint64_t new_number(void *arg)
{
	return ++((struct life *)arg)->next;
}

static void in_order(struct life *l)
{
	struct sd_error e = {0};
	l->v.has_log = l->v.has_next_file = l->v.has_last_seq = true;
	ck_assert_msg(sd_lsm_version_end(&l->v, &e) == SD_OK, "%s", e.text);
}

static void put_in(struct sd_lsm_table_out *out, const struct picked *p)
{
	char key[32], value[128], from[16], to[16];
	if (p->w.kind == SD_LSM_RANGE_GONE)
		sd_lsm_table_add_range(out, &(struct sd_lsm_range){user_key(from, p->w.key), user_key(to, p->w.to), p->seq});
	else
		sd_lsm_table_add(out, internal_key(key, p->w.key, p->seq, p->w.kind), value_of(value, p->seq, p->w.kind));
}

static void flush(struct life *l, struct picked *list, size_t n)
{
	char name[64];
	struct sd_error e = {0};
	struct sink s = {0};
	struct sd_lsm_table_out out = {0};
	uint64_t number = new_number(l);
	qsort(list, n, sizeof(*list), by_internal);
	snprintf(name, sizeof(name), DIR "/%06" PRIu64 ".%s", number, l->own ? "sst" : "ldb");
	ck_assert_int_eq(sd_file_open(l->world, name, SD_FILE_WRITE | SD_FILE_CREATE, &s.f, &e), SD_OK);
	sd_lsm_table_begin(&out, &(struct sd_lsm_table_conf){.own = l->own, .block_bytes = 200, .sink = {to_file, &s}});
	for (size_t i = 0; i < n; i++)
		put_in(&out, &list[i]);
	ck_assert_int_eq(sd_lsm_table_end(&out, &e), SD_OK);
	sd_file_close(s.f);
	struct sd_lsm_file f = {.number = number, .size = out.bytes, .smallest = {out.first.p, out.first.n}, .largest = {out.last.p, out.last.n},
				.entries = out.props.entries, .gone = out.props.gone + out.props.ranges, .has_ranges = out.props.ranges > 0};
	ck_assert(sd_lsm_version_add(&l->v, 0, &f));
	sd_lsm_table_free(&out);
	in_order(l);
}

static struct write any_write(struct life *l)
{
	static const enum sd_lsm_kind kinds[] = {SD_LSM_VALUE, SD_LSM_VALUE, SD_LSM_ENDING, SD_LSM_BLOB, SD_LSM_ENDING_BLOB};
	uint32_t dice = sd_rng_below(&l->rng, 100);
	struct write w = {.key = sd_rng_below(&l->rng, KEYS), .kind = SD_LSM_VALUE};
	if (dice < 25)
		w.kind = SD_LSM_GONE;
	else if (l->own && dice < 75)
		w.kind = kinds[dice % 5];
	else if (l->own && dice < 79) {
		w.kind = SD_LSM_RANGE_GONE;
		w.to = w.key + 1 + sd_rng_below(&l->rng, dice == 78 ? KEYS - w.key : 8);
	}
	return w;
}

static void write_some(struct life *l)
{
	struct picked list[FLUSH];
	size_t n = 1 + sd_rng_below(&l->rng, l->flush);
	for (size_t i = 0; i < n; i++) {
		list[i] = (struct picked){++l->seq, any_write(l)};
		l->writes[l->seq] = list[i].w;
		l->written_blobs += list[i].w.kind == SD_LSM_BLOB || list[i].w.kind == SD_LSM_ENDING_BLOB ? 100 : 0;
	}
	flush(l, list, n);
}

/* ---- merging ---- */

static void install(struct life *l, const struct sd_lsm_plan *p, const struct sd_lsm_file *made, size_t nmade)
{
	struct sd_text edit = {0};
	struct sd_error e = {0};
	for (size_t i = 0; i < p->n; i++)
		sd_lsm_edit_remove(&edit, p->in[i].level, p->in[i].file.number);
	for (size_t i = 0; i < nmade; i++)
		sd_lsm_edit_add(&edit, p->to, &made[i], true);
	ck_assert_msg(sd_lsm_version_apply(&l->v, (struct sd_slice){edit.p, edit.n}, &e) == SD_OK, "%s", e.text);
	free(edit.p);
	for (size_t i = 0; !p->move && i < p->n; i++)
		sd_lsm_tables_forget(l->tables, p->in[i].file.number);
	in_order(l);
}

static struct sd_lsm_compact_env env_of(struct life *l)
{
	return (struct sd_lsm_compact_env){.world = l->world, .dir = DIR, .tables = l->tables, .own = l->own, .plain = sd_rng_below(&l->rng, 2),
					   .table_bytes = l->conf.table_bytes, .block_bytes = 200, .snapshots = l->snapshots,
					   .nsnapshots = l->nsnapshots, .now_ms = NOW, .new_number = new_number, .arg = l};
}

static void merge(struct life *l, const struct sd_lsm_plan *p)
{
	struct sd_error e = {0};
	struct sd_lsm_compact *c = NULL;
	struct sd_lsm_compact_result r;
	struct sd_lsm_compact_env env = env_of(l);
	bool done = false;
	enum sd_err err = sd_lsm_compact_begin(p, &env, &c, &e);
	/* Something is flushed meanwhile, as it may. */
	if (l->seq + FLUSH < WRITES && sd_rng_below(&l->rng, 4) == 0)
		write_some(l);
	while (!err && !done)
		err = sd_lsm_compact_step(c, 1 + sd_rng_below(&l->rng, 2000), &done, &e);
	ck_assert_msg(err == SD_OK, "%s", e.text);
	sd_lsm_compact_result(c, &r);
	ck_assert(!p->one || r.nmade <= 1);
	install(l, p, r.made, r.nmade);
	for (size_t i = 0; i < r.ndead; i++) {
		ck_assert_uint_eq(r.dead[i].blob, 1000000);
		l->dead_blobs += r.dead[i].bytes;
	}
	l->merges++;
	l->small += p->one;
	l->dropped += r.taken - r.kept;
	for (size_t i = 0; i < r.nmade; i++)
		l->pieces += r.made[i].has_ranges;
	sd_lsm_compact_free(c, true);
}

static void carry_out(struct life *l, struct sd_lsm_plan *p)
{
	if (p->move) {
		struct sd_lsm_file f = p->in[0].file;
		ck_assert_uint_eq(p->n, 1);
		install(l, p, &f, 1);
		l->moves++;
	} else
		merge(l, p);
	sd_lsm_plan_free(p);
	all_reads_well(l, "merged");
}

static void change_snapshots(struct life *l)
{
	if (l->nsnapshots > 0 && sd_rng_below(&l->rng, 3) == 0) {
		size_t i = sd_rng_below(&l->rng, (uint32_t)l->nsnapshots--);
		memmove(&l->snapshots[i], &l->snapshots[i + 1], (l->nsnapshots - i) * sizeof(l->snapshots[0]));
	}
	if (l->nsnapshots < 6 && sd_rng_below(&l->rng, 4) == 0 && (!l->nsnapshots || l->snapshots[l->nsnapshots - 1] < l->seq))
		l->snapshots[l->nsnapshots++] = l->seq;
}

static void begin(struct life *l, uint64_t seed)
{
	struct sd_error e;
	*l = (struct life){.sim = sd_sim_new(seed), .own = seed % 3 != 0, .flush = FLUSH};
	sd_rng_seed(&l->rng, seed);
	l->world = sd_sim_node(l->sim, "a");
	ck_assert_int_eq(sd_world_mkdir(l->world, DIR, 0700, &e), SD_OK);
	l->conf = (struct sd_lsm_pick_conf){.style = seed % 4 == 3 ? SD_LSM_TIERED : SD_LSM_LEVELED, .ratio = 3, .base_bytes = 2500, .table_bytes = 900};
	l->tables = sd_lsm_tables_new(&(struct sd_lsm_tables_conf){.world = l->world, .dir = DIR, .own = l->own, .files = 20});
	ck_assert_ptr_nonnull(l->tables);
}

static void end(struct life *l)
{
	sd_lsm_version_free(&l->v);
	sd_lsm_tables_free(l->tables);
	sd_sim_free(l->sim);
}

/* All into one level, nobody reads in the past: what is left is what is there. */
static void merge_all(struct life *l)
{
	struct sd_lsm_plan p;
	for (unsigned n = 0; n < 2; n++) {
		struct sd_lsm_asked asked = {0};
		while (sd_lsm_pick_asked(&l->v, &l->conf, &asked, &p) == SD_OK)
			carry_out(l, &p);
	}
}

START_TEST(reads_as_a_list_of_all_writes)
{
	static struct life l;
	struct sd_lsm_plan p;
	begin(&l, (uint64_t)_i + 1);
	for (unsigned round = 0; round < 50 && l.seq + FLUSH < WRITES; round++) {
		write_some(&l);
		change_snapshots(&l);
		for (unsigned n = 0; sd_lsm_pick(&l.v, &l.conf, &p) == SD_OK; n++) {
			ck_assert_uint_lt(n, 200);
			carry_out(&l, &p);
		}
	}
	all_reads_well(&l, "at the end");
	ck_assert_uint_gt(l.merges, 5);
	ck_assert_uint_gt(l.dropped, 100);
	l.nsnapshots = 0;
	merge_all(&l);
	ck_assert_uint_le(l.dead_blobs, l.written_blobs);
	end(&l);
}
END_TEST

/* Nothing that is not needed is left when all was merged at once: no removal, no range, and the dead bytes of blobs are right. */
START_TEST(all_at_once)
{
	static struct life l;
	struct sd_lsm_plan p;
	uint64_t live_blobs = 0;
	begin(&l, 11 + 12 * (uint64_t)_i); /* own format, tiered: all is one plan */
	ck_assert(l.own && l.conf.style == SD_LSM_TIERED);
	for (unsigned round = 0; round < 3; round++)
		write_some(&l);
	struct sd_lsm_asked asked = {0};
	ck_assert_int_eq(sd_lsm_pick_asked(&l.v, &l.conf, &asked, &p), SD_OK);
	l.rng.s[0] |= 1;
	uint64_t seq = l.seq;
	carry_out(&l, &p);
	for (unsigned key = 0; key < KEYS; key++) {
		uint64_t at = should_read(&l, key, SD_LSM_SEQ_MAX);
		live_blobs += at && (l.writes[at].kind == SD_LSM_BLOB || l.writes[at].kind == SD_LSM_ENDING_BLOB) ? 100 : 0;
	}
	for (size_t i = 0; l.seq == seq && i < l.v.levels[6].n; i++) {
		ck_assert_uint_eq(l.v.levels[6].files[i].gone, 0);
		ck_assert(!l.v.levels[6].files[i].has_ranges);
	}
	if (l.seq == seq)
		ck_assert_uint_eq(l.dead_blobs, l.written_blobs - live_blobs);
	end(&l);
}
END_TEST

/* The n-th operation of the disk fails: an error with a cause, no file is left, and what was there stays as it was. */
static uint64_t fails_at(struct life *l, enum sd_sim_op op, uint64_t n, const struct sd_lsm_plan *p)
{
	struct sd_error e = {0};
	struct sd_lsm_compact *c = NULL;
	struct sd_lsm_compact_env env = env_of(l);
	bool done = false;
	uint64_t before = sd_sim_failed(l->world), first = l->next + 1;
	sd_sim_fail(l->world, op, n, 1, op == SD_SIM_WRITE ? 28 : 5);
	enum sd_err err = sd_lsm_compact_begin(p, &env, &c, &e);
	while (!err && !done)
		err = sd_lsm_compact_step(c, 1000, &done, &e);
	bool failed = sd_sim_failed(l->world) > before;
	ck_assert_msg(failed == (err != SD_OK), "%d: %s", err, e.text);
	ck_assert(!failed || e.text[0]);
	sd_sim_fail(l->world, op, 0, 0, 0);
	if (err) {
		sd_lsm_compact_free(err && !c ? NULL : c, false);
		for (uint64_t number = first; number <= l->next; number++) {
			char name[64];
			struct sd_file *f;
			snprintf(name, sizeof(name), DIR "/%06" PRIu64 ".sst", number);
			ck_assert_int_eq(sd_file_open(l->world, name, 0, &f, NULL), SD_ENOTFOUND);
		}
	} else
		sd_lsm_compact_free(c, false);
	all_reads_well(l, "failed");
	return failed;
}

START_TEST(every_failure_is_told)
{
	static const enum sd_sim_op ops[] = {SD_SIM_OPEN, SD_SIM_WRITE, SD_SIM_SYNC, SD_SIM_NAME, SD_SIM_READ};
	static struct life l;
	struct sd_lsm_plan p;
	begin(&l, 11);
	for (unsigned round = 0; round < 4; round++)
		write_some(&l);
	struct sd_lsm_asked asked = {0};
	ck_assert_int_eq(sd_lsm_pick_asked(&l.v, &l.conf, &asked, &p), SD_OK);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		uint64_t n = 1;
		while (fails_at(&l, ops[i], n, &p))
			n++;
		ck_assert_uint_gt(n, ops[i] == SD_SIM_READ || ops[i] == SD_SIM_OPEN ? 0 : 1);
	}
	carry_out(&l, &p);
	end(&l);
}
END_TEST

/* New tables of level 0 become one while another is flushed: that one is newer, and has the higher number. */
START_TEST(within_level_0)
{
	static struct life l;
	struct sd_lsm_plan p;
	begin(&l, 17 + 4 * (uint64_t)_i); /* leveled */
	for (unsigned round = 0; round < 6; round++) { /* enough below to make it worth it: each version is held by a snapshot */
		struct picked list[KEYS];
		for (unsigned key = 0; key < KEYS; key++) {
			list[key] = (struct picked){++l.seq, {key, 0, SD_LSM_VALUE}};
			l.writes[l.seq] = list[key].w;
		}
		flush(&l, list, KEYS);
		l.snapshots[l.nsnapshots++] = l.seq;
	}
	merge_all(&l);
	l.conf.base_bytes = 100000;
	l.flush = 2;
	for (unsigned n = 0; n < 20; n++) {
		if (sd_lsm_pick(&l.v, &l.conf, &p) == SD_OK)
			carry_out(&l, &p);
		write_some(&l);
	}
	ck_assert_uint_gt(l.small, 0);
	all_reads_well(&l, "at the end");
	end(&l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lsm_compact");
	TCase *t = tcase_create("compact");
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, reads_as_a_list_of_all_writes, 0, SEEDS(24));
	tcase_add_loop_test(t, all_at_once, 0, SEEDS(8));
	tcase_add_test(t, every_failure_is_told);
	tcase_add_loop_test(t, within_level_0, 0, SEEDS(8));
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
