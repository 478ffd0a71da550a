#include <check.h>
#include <stdlib.h>

#include "lin_rig.h"

#ifdef SD_SANITIZED /* memory and rules of C are looked at; what comes out of many more steps is looked at in the plain build */
#define ROUNDS 2000
#else
#define ROUNDS 12000
#endif

#define KEY "x"

static struct sd_history *h;
static struct sd_lin_report report;

static void teardown(void)
{
	sd_lin_report_free(&report);
	sd_history_free(h);
	h = NULL;
	report = (struct sd_lin_report){0};
}

/* ---- cases known to be good or bad ---- */

enum { RD, WR, CAS }; /* register */
enum { ENQ, DEQ };
enum { ACQ, REL };
enum { OPS_MOST = 8 };
#define NIL SD_NIL

/* `result` tells with outcome ok; "answered" 0 makes the outcome unknown, below 0 failed. */
struct row {
	int kind;
	int64_t a, b, result, invoked, answered;
};

struct known {
	const char *name;
	const struct sd_lin_model *model;
	enum sd_verdict verdict;
	struct row ops[OPS_MOST];
};

#define GOOD SD_VERDICT_OK
#define BAD  SD_VERDICT_VIOLATED

static const struct known known[] = {
    {"read of what was written", &sd_lin_register, GOOD, {{WR, 1, 0, 0, 1, 2}, {RD, 0, 0, 1, 3, 4}}},
    {"stale read", &sd_lin_register, BAD, {{WR, 1, 0, 0, 1, 2}, {WR, 2, 0, 0, 3, 4}, {RD, 0, 0, 1, 5, 6}}},
    {"old value while the write is open",
     &sd_lin_register,
     GOOD,
     {{WR, 1, 0, 0, 1, 2}, {WR, 2, 0, 0, 3, 7}, {RD, 0, 0, 1, 4, 6}}},
    {"answer and invocation at the same time overlap",
     &sd_lin_register,
     GOOD,
     {{WR, 1, 0, 0, 1, 3}, {RD, 0, 0, NIL, 3, 4}}},
    {"new value, then the old one",
     &sd_lin_register,
     BAD,
     {{WR, 1, 0, 0, 1, 2}, {WR, 2, 0, 0, 3, 9}, {RD, 0, 0, 2, 4, 5}, {RD, 0, 0, 1, 6, 7}}},
    {"value that nobody wrote", &sd_lin_register, BAD, {{WR, 1, 0, 0, 1, 2}, {RD, 0, 0, 7, 3, 4}}},
    {"write lost after acknowledgement", &sd_lin_register, BAD, {{WR, 1, 0, 0, 1, 2}, {RD, 0, 0, NIL, 3, 4}}},
    {"two compare-and-sets from the same value",
     &sd_lin_register,
     BAD,
     {{WR, 1, 0, 0, 1, 2}, {CAS, 1, 2, 1, 3, 6}, {CAS, 1, 3, 1, 4, 7}}},
    {"lost update",
     &sd_lin_register,
     BAD,
     {{WR, 1, 0, 0, 1, 2}, {CAS, 1, 2, 1, 3, 6}, {CAS, 2, 3, 1, 4, 7}, {RD, 0, 0, 2, 8, 9}}},
    {"compare-and-set said no, but nothing else was there",
     &sd_lin_register,
     BAD,
     {{WR, 1, 0, 0, 1, 2}, {CAS, 1, 2, 0, 3, 4}}},
    {"compare-and-set said no and wrote",
     &sd_lin_register,
     BAD,
     {{WR, 1, 0, 0, 1, 2}, {CAS, 5, 6, 0, 3, 4}, {RD, 0, 0, 6, 5, 6}}},
    {"unanswered write is seen later",
     &sd_lin_register,
     GOOD,
     {{WR, 1, 0, 0, 1, 2}, {WR, 2, 0, 0, 3, 0}, {RD, 0, 0, 1, 4, 5}, {RD, 0, 0, 2, 90, 91}}},
    {"unanswered write is never seen",
     &sd_lin_register,
     GOOD,
     {{WR, 1, 0, 0, 1, 2}, {WR, 2, 0, 0, 3, 0}, {RD, 0, 0, 1, 90, 91}}},
    {"unanswered write is seen, then not",
     &sd_lin_register,
     BAD,
     {{WR, 1, 0, 0, 1, 2}, {WR, 2, 0, 0, 3, 0}, {RD, 0, 0, 2, 4, 5}, {RD, 0, 0, 1, 6, 7}}},
    {"seen before it was asked", &sd_lin_register, BAD, {{RD, 0, 0, 2, 1, 2}, {WR, 2, 0, 0, 3, 0}}},
    {"refused write is never seen", &sd_lin_register, GOOD, {{WR, 2, 0, 0, 1, -2}, {RD, 0, 0, NIL, 3, 4}}},
    {"refused write is seen", &sd_lin_register, BAD, {{WR, 2, 0, 0, 1, -2}, {RD, 0, 0, 2, 3, 4}}},
    {"deleted is absent",
     &sd_lin_register,
     GOOD,
     {{WR, 1, 0, 0, 1, 2}, {WR, NIL, 0, 0, 3, 4}, {RD, 0, 0, NIL, 5, 6}}},
    {"readers disagree about the order of writes",
     &sd_lin_register,
     BAD,
     {{WR, 1, 0, 0, 1, 20},
      {WR, 2, 0, 0, 2, 21},
      {RD, 0, 0, 1, 3, 4},
      {RD, 0, 0, 2, 5, 6},
      {RD, 0, 0, 1, 7, 8}}},

    {"counter adds up", &sd_lin_counter, GOOD, {{0, 2, 0, 2, 1, 5}, {0, 3, 0, 5, 2, 6}, {1, 0, 0, 5, 7, 8}}},
    {"lost increment", &sd_lin_counter, BAD, {{0, 1, 0, 1, 1, 5}, {0, 1, 0, 1, 2, 6}}},
    {"increment whose sum was not told", &sd_lin_counter, GOOD, {{0, 1, 0, NIL, 1, 2}, {1, 0, 0, 1, 3, 4}}},
    {"increment whose sum was not told is lost",
     &sd_lin_counter,
     BAD,
     {{0, 1, 0, NIL, 1, 2}, {1, 0, 0, 0, 3, 4}}},

    {"element comes and goes",
     &sd_lin_set,
     GOOD,
     {{0, 0, 0, 1, 1, 2}, {0, 0, 0, 0, 3, 4}, {1, 0, 0, 1, 5, 6}, {2, 0, 0, 0, 7, 8}}},
    {"two added the same element", &sd_lin_set, BAD, {{0, 0, 0, 1, 1, 4}, {0, 0, 0, 1, 2, 5}}},
    {"element forgotten", &sd_lin_set, BAD, {{0, 0, 0, 1, 1, 2}, {2, 0, 0, 0, 3, 4}}},

    {"first in, first out",
     &sd_lin_queue,
     GOOD,
     {{ENQ, 1, 0, 0, 1, 2},
      {ENQ, 2, 0, 0, 3, 4},
      {DEQ, 0, 0, 1, 5, 6},
      {DEQ, 0, 0, 2, 7, 8},
      {DEQ, 0, 0, NIL, 9, 10}}},
    {"queue loses", &sd_lin_queue, BAD, {{ENQ, 1, 0, 0, 1, 2}, {DEQ, 0, 0, NIL, 3, 4}}},
    {"queue loses the first",
     &sd_lin_queue,
     BAD,
     {{ENQ, 1, 0, 0, 1, 2}, {ENQ, 2, 0, 0, 3, 4}, {DEQ, 0, 0, 2, 5, 6}}},
    {"queue duplicates",
     &sd_lin_queue,
     BAD,
     {{ENQ, 1, 0, 0, 1, 2}, {DEQ, 0, 0, 1, 3, 6}, {DEQ, 0, 0, 1, 4, 7}}},
    {"queue reorders",
     &sd_lin_queue,
     BAD,
     {{ENQ, 1, 0, 0, 1, 2}, {ENQ, 2, 0, 0, 3, 4}, {DEQ, 0, 0, 2, 5, 6}, {DEQ, 0, 0, 1, 7, 8}}},
    {"queue invents", &sd_lin_queue, BAD, {{ENQ, 1, 0, 0, 1, 2}, {DEQ, 0, 0, 9, 3, 4}}},
    {"enqueues that overlap come in either order",
     &sd_lin_queue,
     GOOD,
     {{ENQ, 1, 0, 0, 1, 4}, {ENQ, 2, 0, 0, 2, 3}, {DEQ, 0, 0, 2, 5, 6}, {DEQ, 0, 0, 1, 7, 8}}},
    {"the same value twice is two",
     &sd_lin_queue,
     GOOD,
     {{ENQ, 1, 0, 0, 1, 2}, {ENQ, 1, 0, 0, 3, 4}, {DEQ, 0, 0, 1, 5, 6}, {DEQ, 0, 0, 1, 7, 8}}},
    {"unanswered dequeue took it",
     &sd_lin_queue,
     GOOD,
     {{ENQ, 1, 0, 0, 1, 2}, {DEQ, 0, 0, 0, 3, 0}, {DEQ, 0, 0, NIL, 5, 6}}},
    {"unanswered enqueue comes late",
     &sd_lin_queue,
     GOOD,
     {{ENQ, 1, 0, 0, 1, 0}, {DEQ, 0, 0, NIL, 2, 3}, {DEQ, 0, 0, 1, 4, 5}}},

    {"lock goes round",
     &sd_lin_lock,
     GOOD,
     {{ACQ, 1, 0, 1, 1, 2}, {ACQ, 2, 0, 0, 3, 4}, {REL, 1, 0, 1, 5, 6}, {ACQ, 2, 0, 1, 7, 8}}},
    {"split brain", &sd_lin_lock, BAD, {{ACQ, 1, 0, 1, 1, 2}, {ACQ, 2, 0, 1, 3, 4}}},
    {"split brain at once", &sd_lin_lock, BAD, {{ACQ, 1, 0, 1, 1, 4}, {ACQ, 2, 0, 1, 2, 3}}},
    {"release by somebody else works", &sd_lin_lock, BAD, {{ACQ, 1, 0, 1, 1, 2}, {REL, 2, 0, 1, 3, 4}}},
    {"release that is refused to the owner", &sd_lin_lock, BAD, {{ACQ, 1, 0, 1, 1, 2}, {REL, 1, 0, 0, 3, 4}}},
    {"lease runs out",
     &sd_lin_lock,
     GOOD,
     {{ACQ, 1, 0, 1, 1, 2}, {REL, 1, 0, 0, 3, 0}, {ACQ, 2, 0, 1, 4, 5}, {REL, 1, 0, 0, 6, 7}}},
    {"lease runs out too early",
     &sd_lin_lock,
     BAD,
     {{ACQ, 1, 0, 1, 1, 2}, {ACQ, 2, 0, 1, 3, 4}, {REL, 1, 0, 0, 5, 0}}},
    {"unanswered grant blocks", &sd_lin_lock, GOOD, {{ACQ, 1, 0, 0, 1, 0}, {ACQ, 2, 0, 0, 2, 3}}},

    {"tokens grow",
     &sd_lin_fenced_lock,
     GOOD,
     {{ACQ, 1, 0, 5, 1, 2}, {REL, 1, 5, 1, 3, 4}, {ACQ, 2, 0, 9, 5, 6}, {REL, 2, 9, 1, 7, 8}}},
    {"token given twice",
     &sd_lin_fenced_lock,
     BAD,
     {{ACQ, 1, 0, 5, 1, 2}, {REL, 1, 5, 1, 3, 4}, {ACQ, 2, 0, 5, 5, 6}}},
    {"token goes back",
     &sd_lin_fenced_lock,
     BAD,
     {{ACQ, 1, 0, 5, 1, 2}, {REL, 1, 5, 1, 3, 4}, {ACQ, 2, 0, 4, 5, 6}}},
    {"token 0 is a token", &sd_lin_fenced_lock, BAD, {{ACQ, 1, 0, 0, 1, 2}, {ACQ, 2, 0, 1, 3, 4}}},
    {"old token releases",
     &sd_lin_fenced_lock,
     BAD,
     {{ACQ, 1, 0, 5, 1, 2}, {REL, 1, 5, 1, 3, 4}, {ACQ, 1, 0, 6, 5, 6}, {REL, 1, 5, 1, 7, 8}}},
    {"release of whatever there is",
     &sd_lin_fenced_lock,
     GOOD,
     {{ACQ, 1, 0, 5, 1, 2}, {REL, 1, NIL, 1, 3, 4}, {ACQ, 2, 0, 6, 5, 6}}},
    {"token of an unanswered grant turns up",
     &sd_lin_fenced_lock,
     GOOD,
     {{ACQ, 1, 0, 5, 1, 2},
      {REL, 1, 5, 1, 3, 4},
      {ACQ, 2, 0, 0, 5, 0},
      {REL, 2, 8, 1, 6, 7},
      {ACQ, 1, 0, 9, 8, 9}}},
    {"token not above that of an unanswered grant",
     &sd_lin_fenced_lock,
     BAD,
     {{ACQ, 1, 0, 5, 1, 2},
      {REL, 1, 5, 1, 3, 4},
      {ACQ, 2, 0, 0, 5, 0},
      {REL, 2, 8, 1, 6, 7},
      {ACQ, 1, 0, 7, 8, 9}}},
};
enum { KNOWN = sizeof(known) / sizeof(known[0]) };

static struct sd_operation from_row(const struct sd_lin_model *model, const struct row *r, uint32_t client)
{
	struct sd_operation op = {r->invoked, r->answered, {r->a, r->b},     SD_NIL,
				  client,     0,           (uint8_t)r->kind, SD_OUTCOME_OK};
	if (r->answered == 0) {
		op.answered = SD_NEVER;
		op.outcome = SD_OUTCOME_UNKNOWN;
	} else if (r->answered < 0) {
		op.answered = -r->answered;
		op.outcome = SD_OUTCOME_FAILED;
	} else if (model->kinds[r->kind].answer != SD_ANSWER_NONE) {
		op.result = r->result;
	}
	return op;
}

static size_t rows_to_ops(const struct known *k, struct sd_operation *ops)
{
	size_t n = 0;
	for (; n < OPS_MOST && k->ops[n].invoked; n++)
		ops[n] = from_row(k->model, &k->ops[n], (uint32_t)n);
	return n;
}

static void make(const struct sd_lin_model *model, const struct sd_operation *ops, size_t n)
{
	h = sd_history_new(model);
	ck_assert_ptr_nonnull(h);
	for (size_t i = 0; i < n; i++)
		ck_assert_int_eq(sd_history_add(h, sd_slice_of(KEY), &ops[i]), SD_OK);
}

START_TEST(known_cases)
{
	const struct known *k = &known[_i];
	struct sd_operation ops[OPS_MOST];
	size_t n = rows_to_ops(k, ops);
	make(k->model, ops, n);
	ck_assert_msg(sd_lin_check(h, NULL, &report) == k->verdict, "%s: verdict %d", k->name,
		      report.verdict);
	ck_assert_msg(brute_force(k->model, ops, n) == (k->verdict == GOOD), "%s: by trying every order",
		      k->name);
	ck_assert_uint_eq(report.keys, 1);
	ck_assert_ptr_null(report.why);
}
END_TEST

START_TEST(nothing_is_linearizable)
{
	h = sd_history_new(&sd_lin_queue);
	ck_assert_int_eq(sd_lin_check(h, NULL, &report), SD_VERDICT_OK);
	char *text = sd_lin_report_text(h, &report);
	ck_assert_str_eq(text, "linearizable: 0 operations on 0 keys, queue\n");
	free(text);
	ck_assert_ptr_null(sd_lin_report_history(h, &report));
}
END_TEST

/* ---- against trying every order ---- */

static struct sd_operation any_operation(const struct sd_lin_model *model, struct sd_rng *rng)
{
	struct sd_operation op = {.result = SD_NIL, .outcome = SD_OUTCOME_OK, .client = sd_rng_below(rng, 3)};
	uint32_t kinds = 0, dice = sd_rng_below(rng, 10);
	while (model->kinds[kinds].name)
		kinds++;
	op.kind = (uint8_t)sd_rng_below(rng, kinds);
	const struct sd_lin_kind *kind = &model->kinds[op.kind];
	for (int i = 0; i < kind->nargs; i++)
		op.arg[i] = 1 + sd_rng_below(rng, 3);
	if (kind->nargs == 2 && sd_rng_below(rng, 4) == 0)
		op.arg[1] = SD_NIL;
	op.invoked = sd_rng_below(rng, 12);
	op.answered = op.invoked + sd_rng_below(rng, 6);
	if (dice < 2) {
		op.outcome = dice ? SD_OUTCOME_UNKNOWN : SD_OUTCOME_FAILED;
		op.answered = dice ? SD_NEVER : op.answered;
	} else if (kind->answer == SD_ANSWER_YESNO) {
		op.result = sd_rng_below(rng, 2);
	} else if (kind->answer == SD_ANSWER_VALUE) {
		uint32_t v = sd_rng_below(rng, model == &sd_lin_counter ? 8 : 4);
		op.result = v || model == &sd_lin_counter ? v : SD_NIL;
	}
	return op;
}

/* What the report shows is violated too, ends with the first end that is, and none of it could be left out.
 */
static void check_short(const struct sd_lin_model *model, const struct sd_operation *ops, size_t n)
{
	struct sd_operation left[OPS_MOST];
	ck_assert(report.shortest);
	ck_assert_uint_le(report.nops, n);
	ck_assert(!brute_force(model, report.ops, report.nops));
	ck_assert_uint_gt(report.nstates, 0);
	int64_t end = 0;
	ck_assert_int_eq(report.ops[report.last].outcome, SD_OUTCOME_OK);
	for (size_t i = 0; i < report.nops; i++)
		if (report.ops[i].outcome == SD_OUTCOME_OK && report.ops[i].answered > end)
			end = report.ops[i].answered;
	for (size_t i = 0; i < report.nops; i++) {
		size_t m = 0;
		for (size_t k = 0; k < report.nops; k++)
			if (k != i)
				left[m++] = report.ops[k];
		ck_assert(!(model->traits(&report.ops[i]) & SD_LIN_PURE) || brute_force(model, left, m));
	}
	/* The shortest prefix: until just before that end, what was answered has an order. */
	size_t m = 0;
	for (size_t k = 0; k < n; k++) {
		if (ops[k].invoked >= end || ops[k].outcome == SD_OUTCOME_FAILED)
			continue;
		left[m] = ops[k];
		if (ops[k].answered >= end) {
			left[m].answered = SD_NEVER;
			left[m].outcome = SD_OUTCOME_UNKNOWN;
			left[m].result = SD_NIL;
		}
		m++;
	}
	ck_assert(brute_force(model, left, m));
}

START_TEST(same_as_every_order)
{
	const struct sd_lin_model *model = models[_i];
	struct sd_operation ops[OPS_MOST];
	struct sd_rng rng;
	size_t verdicts[3] = {0};
	sd_rng_seed(&rng, 1000 + (uint64_t)_i);
	for (int round = 0; round < (int)ROUNDS; round++) {
		size_t n = 2 + sd_rng_below(&rng, 6);
		for (size_t i = 0; i < n; i++)
			ops[i] = any_operation(model, &rng);
		make(model, ops, n);
		bool good = brute_force(model, ops, n);
		enum sd_verdict verdict = sd_lin_check(h, NULL, &report);
		verdicts[verdict]++;
		if (verdict != (good ? GOOD : BAD)) {
			char *text = sd_history_write(h, NULL);
			ck_abort_msg("round %d: verdict %d for\n%s", round, verdict, text);
		}
		if (!good)
			check_short(model, ops, n);
		teardown();
	}
	ck_assert_uint_gt(verdicts[GOOD], ROUNDS / 40);
	ck_assert_uint_gt(verdicts[BAD], ROUNDS / 40);
}
END_TEST

/* ---- simulated clients ---- */

START_TEST(atomic_objects_are_good)
{
	const struct sd_lin_model *model = models[_i];
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct plan p = {
		    model, 2 + (uint32_t)seed % 7, 1 + (uint32_t)seed % 3, 200, (uint32_t)seed % 4, 20, 20};
		p.unknown = model == &sd_lin_fenced_lock ? 0 : p.unknown;
		if (model == &sd_lin_queue)
			p.values = p.unknown = 0; /* otherwise some are too hard */
		h = simulate(&p, seed);
		ck_assert_msg(sd_lin_check(h, NULL, &report) == GOOD, "seed %llu: verdict %d",
			      (unsigned long long)seed, report.verdict);
		ck_assert_uint_eq(report.keys, sd_history_keys(h));
		teardown();
	}
}
END_TEST

/* An answer that cannot be: of one client alone every other one; of many a value that never was. */
static bool spoil(const struct sd_lin_kind *kind, bool alone, struct sd_operation *op)
{
	if (op->outcome != SD_OUTCOME_OK || kind->answer == SD_ANSWER_NONE ||
	    (!alone && kind->answer == SD_ANSWER_YESNO))
		return false;
	op->result = kind->answer == SD_ANSWER_YESNO ? !op->result : -1000000;
	return true;
}

START_TEST(spoilt_ones_are_bad)
{
	const struct sd_lin_model *model = models[_i];
	int spoilt = 0;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		bool alone = seed % 2;
		struct plan p = {model, alone ? 1 : 4, 2, alone ? 60 : 40, 0, 0, 20};
		struct sd_history *good = simulate(&p, seed);
		size_t which = sd_history_count(good) / 2;
		struct sd_operation op = *sd_history_at(good, which);
		if (spoil(&model->kinds[op.kind], alone, &op)) {
			h = changed(good, which, &op);
			ck_assert_int_eq(sd_lin_check(h, NULL, &report), BAD);
			ck_assert(report.shortest);
			ck_assert_int_eq(report.ops[report.last].result, op.result);
			ck_assert_uint_eq(report.key, op.key);
			spoilt++;
		}
		teardown();
		sd_history_free(good);
	}
	ck_assert_int_gt(spoilt, 5);
}
END_TEST

/* A token given twice is wrong whoever overlaps whom. */
START_TEST(token_given_twice_is_bad)
{
	struct plan p = {&sd_lin_fenced_lock, 5, 1, 80, 0, 0, 0};
	for (uint64_t seed = 1; seed <= 30; seed++) {
		struct sd_history *good = simulate(&p, seed);
		size_t grants[2], n = 0;
		for (size_t i = 0; i < sd_history_count(good) && n < 2; i++)
			if (sd_history_at(good, i)->kind == ACQ && sd_history_at(good, i)->result != SD_NIL)
				grants[n++] = i;
		ck_assert_uint_eq(n, 2);
		struct sd_operation op = *sd_history_at(good, grants[1]);
		op.result = sd_history_at(good, grants[0])->result;
		h = changed(good, grants[1], &op);
		ck_assert_int_eq(sd_lin_check(h, NULL, &report), BAD);
		teardown();
		sd_history_free(good);
	}
}
END_TEST

/* ---- budgets ---- */

/* Writes that all overlap, and a read that fits none: every subset of them would have to be looked at. */
static void hard(int writes)
{
	h = sd_history_new(&sd_lin_register);
	for (int i = 0; i < writes; i++) {
		struct sd_operation op = {.invoked = i,
					  .answered = 1000 + i,
					  .arg = {i},
					  .result = SD_NIL,
					  .kind = WR,
					  .outcome = SD_OUTCOME_OK};
		ck_assert_int_eq(sd_history_add(h, sd_slice_of(KEY), &op), SD_OK);
	}
	struct sd_operation op = {
	    .invoked = 500, .answered = 501, .result = 77, .kind = RD, .outcome = SD_OUTCOME_OK};
	ck_assert_int_eq(sd_history_add(h, sd_slice_of(KEY), &op), SD_OK);
}

START_TEST(budgets)
{
	struct sd_lin_limits steps = {100000, 0}, bytes = {0, 1 << 20};
	hard(40);
	ck_assert_int_eq(sd_lin_check(h, &steps, &report), SD_VERDICT_UNKNOWN);
	ck_assert_str_eq(report.why, "out of steps");
	ck_assert_uint_lt(report.steps, 110000);
	ck_assert_uint_eq(report.keys, 0);
	char *text = sd_lin_report_text(h, &report);
	ck_assert_ptr_nonnull(strstr(text, "unknown: out of steps after "));
	free(text);
	ck_assert_int_eq(sd_lin_check(h, &bytes, &report), SD_VERDICT_UNKNOWN);
	ck_assert_str_eq(report.why, "out of memory for configurations");
	ck_assert_uint_le(report.bytes, 1 << 20);
	teardown();
	hard(10);
	ck_assert_int_eq(sd_lin_check(h, NULL, &report), BAD);
	ck_assert_uint_eq(report.nops, 1);
}
END_TEST

/* However few the steps, never the wrong verdict. */
START_TEST(small_budgets_are_never_wrong)
{
	size_t unknown = 0, decided = 0;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct plan p = {models[seed % MODELS], 5, 2, 60, 3, 0, 0};
		struct sd_history *good = simulate(&p, seed);
		struct sd_operation op = *sd_history_at(good, 30);
		bool spoilt = seed % 2 && spoil(&p.model->kinds[op.kind], false, &op);
		h = changed(good, 30, &op);
		for (uint64_t steps = 1; steps < 20000; steps += 1 + steps / 2) {
			struct sd_lin_limits limits = {steps, 0};
			enum sd_verdict verdict = sd_lin_check(h, &limits, &report);
			ck_assert_int_ne(verdict, spoilt ? GOOD : BAD);
			unknown += verdict == SD_VERDICT_UNKNOWN;
			decided += verdict != SD_VERDICT_UNKNOWN;
			if (verdict == BAD)
				ck_assert_uint_gt(report.nops, 0);
			sd_lin_report_free(&report);
		}
		teardown();
		sd_history_free(good);
	}
	ck_assert_uint_gt(unknown, 40);
	ck_assert_uint_gt(decided, 40);
}
END_TEST

/* A key that is too hard does not hide another one that is violated. */
START_TEST(hard_key_beside_a_bad_one)
{
	struct sd_lin_limits limits = {100000, 0};
	hard(40);
	struct sd_operation op = {
	    .invoked = 1, .answered = 2, .result = 5, .kind = RD, .outcome = SD_OUTCOME_OK};
	ck_assert_int_eq(sd_history_add(h, sd_slice_of("y"), &op), SD_OK);
	ck_assert_int_eq(sd_lin_check(h, &limits, &report), BAD);
	ck_assert_uint_eq(report.key, 1);
	ck_assert_uint_eq(report.of, 1);
}
END_TEST

/* ---- for people ---- */

static void check_text(const char *want)
{
	ck_assert_int_eq(sd_lin_check(h, NULL, &report), BAD);
	char *text = sd_lin_report_text(h, &report);
	ck_assert_str_eq(text, want);
	free(text);
}

START_TEST(short_text)
{
	static const struct known stale = {"",
					   &sd_lin_register,
					   BAD,
					   {{WR, 9, 0, 0, 1, 2},
					    {RD, 0, 0, 9, 3, 4},
					    {WR, 1, 0, 0, 5, 6},
					    {CAS, 1, 2, 1, 7, 10},
					    {RD, 0, 0, 2, 8, 9},
					    {RD, 0, 0, 1, 11, 12},
					    {RD, 0, 0, 2, 13, 14}}};
	struct sd_operation ops[OPS_MOST];
	make(stale.model, ops, rows_to_ops(&stale, ops));
	check_text(
	    "not linearizable: register \"x\"; 3 of its 7 operations show it\n"
	    "  client 2  write(1)          |--|\n"
	    "  client 3  cas(1, 2) -> yes        |--|\n"
	    "* client 5  read() -> 1                   |--|\n"
	    "* client 5 saw read() -> 1; at any moment it could have happened, expected: register 2\n");
	struct sd_history *small = sd_lin_report_history(h, &report);
	ck_assert_ptr_nonnull(small);
	ck_assert_uint_eq(sd_history_count(small), 3);
	struct sd_lin_report again;
	ck_assert_int_eq(sd_lin_check(small, NULL, &again), BAD);
	ck_assert_uint_eq(again.nops, 3);
	sd_lin_report_free(&again);
	sd_history_free(small);
}
END_TEST

START_TEST(text_of_what_was_not_answered)
{
	static const struct known late = {
	    "", &sd_lin_register, BAD, {{WR, 1, 0, 0, 1, 20}, {RD, 0, 0, 1, 4, 5}, {RD, 0, 0, NIL, 6, 7}}};
	struct sd_operation ops[OPS_MOST];
	make(late.model, ops, rows_to_ops(&late, ops));
	check_text(
	    "not linearizable: register \"x\"; 3 of its 3 operations show it\n"
	    "  client 0  write(1) -> ?  |.............>\n"
	    "  client 1  read() -> 1       |--|\n"
	    "* client 2  read() -> nil           |--|\n"
	    "* client 2 saw read() -> nil; at any moment it could have happened, expected: register 1\n");
}
END_TEST

START_TEST(text_of_a_queue)
{
	static const struct known reorder = {"",
					     &sd_lin_queue,
					     BAD,
					     {{ENQ, 7, 0, 0, 1, 2},
					      {ENQ, 1, 0, 0, 3, 4},
					      {ENQ, 2, 0, 0, 5, 6},
					      {DEQ, 0, 0, 7, 7, 8},
					      {DEQ, 0, 0, 2, 9, 10}}};
	struct sd_operation ops[OPS_MOST];
	make(reorder.model, ops, rows_to_ops(&reorder, ops));
	check_text(
	    "not linearizable: queue \"x\"; 3 of its 5 operations show it\n"
	    "  client 1  enqueue(1)      |--|\n"
	    "  client 2  enqueue(2)            |--|\n"
	    "* client 4  dequeue() -> 2              |--|\n"
	    "* client 4 saw dequeue() -> 2; at any moment it could have happened, expected: queue [1, 2]\n");
}
END_TEST

/* Long before the fault: nothing of that is shown. */
START_TEST(long_histories_become_short)
{
	for (int m = 0; m < MODELS; m += 3) {
		bool queue =
		    models[m] == &sd_lin_queue; /* to be certain of the worst of these takes memory */
		struct plan p = {models[m], queue ? 2 : 5, 1, queue ? 300 : 3000, 0, 0, 0};
		struct sd_history *good = simulate(&p, 5);
		size_t which = p.n - p.n / 10;
		struct sd_operation op;
		do
			op = *sd_history_at(good, ++which);
		while (!spoil(&p.model->kinds[op.kind], false, &op));
		h = changed(good, which, &op);
		ck_assert_int_eq(sd_lin_check(h, NULL, &report), BAD);
		ck_assert(report.shortest);
		ck_assert_uint_lt(report.nops, 20);
		teardown();
		sd_history_free(good);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("lin");
	TCase *t = tcase_create("lin");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_loop_test(t, known_cases, 0, KNOWN);
	tcase_add_test(t, nothing_is_linearizable);
	tcase_add_loop_test(t, same_as_every_order, 0, MODELS);
	tcase_add_loop_test(t, atomic_objects_are_good, 0, MODELS);
	tcase_add_loop_test(t, spoilt_ones_are_bad, 0, MODELS);
	tcase_add_test(t, token_given_twice_is_bad);
	tcase_add_test(t, budgets);
	tcase_add_test(t, small_budgets_are_never_wrong);
	tcase_add_test(t, hard_key_beside_a_bad_one);
	tcase_add_test(t, short_text);
	tcase_add_test(t, text_of_what_was_not_answered);
	tcase_add_test(t, text_of_a_queue);
	tcase_add_test(t, long_histories_become_short);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *r = srunner_create(suite());
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
