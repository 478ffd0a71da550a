/* Nodes that agree on configurations: what they say byte by byte, and seeded runs with messages that are late, lost and doubled, nodes
 * that are parted and nodes that forget. Whatever happens, no two nodes have different members for one epoch of a lineage. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/agree.h"
#include "core/bytes.h"
#include "core/rng.h"

#define NODES  7
#define MS     1000000ll
#define SECOND (1000 * MS)
#define EPOCHS 512
#define FULL   0

struct letter {
	struct letter *next;
	int64_t at;
	int from, to;
	unsigned life; /* of the receiver */
	size_t n;
	char bytes[];
};

struct decision {
	uint64_t lineage, epoch;
	size_t n;
	struct sd_agree_member members[NODES * 8];
};

static struct net {
	struct sd_rng rng;
	int64_t now;
	struct sd_agree *a[NODES];
	struct sd_swim_id id[NODES];
	unsigned life[NODES], side, lives;
	bool up[NODES], lossy, breaks_promises;
	unsigned enough; /* 0: a majority */
	struct letter *first;
	struct decision *decided;
	size_t ndecided;
	unsigned gave_up[NODES];
	bool wrong;
} net;

static int node_of(const struct sd_swim_id *id)
{
	for (int i = 0; i < NODES; i++)
		if (net.a[i] && sd_swim_id_compare(&net.id[i], id) == 0)
			return i;
	return -1;
}

static void post(int from, int to, const void *p, size_t n, int64_t in)
{
	struct letter *l = malloc(sizeof(*l) + n), **k = &net.first;
	*l = (struct letter){.at = net.now + in, .from = from, .to = to, .life = net.life[to], .n = n};
	memcpy(l->bytes, p, n);
	while (*k && (*k)->at <= l->at)
		k = &(*k)->next;
	l->next = *k;
	*k = l;
}

static bool reachable(int a, int b)
{
	return net.up[a] && net.up[b] && !((net.side >> a ^ net.side >> b) & 1);
}

static void on_send(void *arg, const struct sd_swim_id *id, const void *p, size_t n)
{
	int from = (int)(uintptr_t)arg, to = node_of(id);
	if (to < 0 || !reachable(from, to))
		return;
	for (int copies = net.lossy && sd_rng_below(&net.rng, 10) == 0 ? 2 : 1; copies; copies--)
		if (!net.lossy || sd_rng_below(&net.rng, 10))
			post(from, to, p, n, MS + sd_rng_below(&net.rng, net.lossy ? 300 : 5) * MS);
}

static bool is_same(const struct decision *d, const struct sd_agree_config *c)
{
	bool same = d->n == c->n;
	for (size_t i = 0; same && i < c->n; i++)
		same = sd_swim_id_compare(&d->members[i].id, &c->members[i].id) == 0 && d->members[i].role == c->members[i].role;
	return same;
}

static void on_decided(void *arg, const struct sd_agree_config *c)
{
	uint64_t lineage = sd_agree_lineage(net.a[(uintptr_t)arg]);
	for (size_t i = 0; i < net.ndecided; i++) {
		const struct decision *d = &net.decided[i];
		if (d->lineage == lineage && d->epoch == c->epoch) {
			net.wrong |= !is_same(d, c);
			return;
		}
	}
	ck_assert_uint_lt(net.ndecided, EPOCHS);
	struct decision *d = &net.decided[net.ndecided++];
	*d = (struct decision){.lineage = lineage, .epoch = c->epoch, .n = c->n};
	memcpy(d->members, c->members, c->n * sizeof(c->members[0]));
}

static void on_gave_up(void *arg)
{
	net.gave_up[(uintptr_t)arg]++;
}

static void start(int i)
{
	struct sd_agree_conf conf = sd_agree_conf_default();
	struct sd_agree_host host = {(void *)(uintptr_t)i, on_send, on_decided, on_gave_up};
	conf.enough = net.enough;
	conf.breaks_promises = net.breaks_promises;
	for (int k = 0; k < SD_SWIM_ID; k++)
		net.id[i].b[k] = (uint8_t)sd_rng_next(&net.rng);
	net.life[i] = ++net.lives;
	net.up[i] = true;
	net.a[i] = sd_agree_new(&conf, &net.id[i], &host, sd_rng_next(&net.rng));
}

static void stop(int i)
{
	sd_agree_free(net.a[i]);
	net.a[i] = NULL;
	net.up[i] = false;
}

static void begin(uint64_t seed, int n)
{
	memset(&net, 0, sizeof(net));
	sd_rng_seed(&net.rng, seed);
	net.now = SECOND;
	net.decided = calloc(EPOCHS, sizeof(*net.decided));
	for (int i = 0; i < n; i++)
		start(i);
}

static void finish(void)
{
	for (int i = 0; i < NODES; i++)
		if (net.a[i])
			stop(i);
	while (net.first) {
		struct letter *l = net.first;
		net.first = l->next;
		free(l);
	}
	free(net.decided);
}

/* Everybody would have those who are there, that are of its lineage or members already. */
static void look(int i)
{
	struct sd_swim_id ids[NODES];
	struct sd_agree_member want[NODES];
	const struct sd_agree_config *last = sd_agree_last(net.a[i]);
	size_t n = 0, k = 0;
	for (int j = 0; j < NODES; j++)
		if (net.a[j] && reachable(i, j)) {
			ids[n++] = net.id[j];
			if (j == i || sd_agree_find(last, &net.id[j]) >= 0 || sd_agree_is_with(net.a[i], &net.id[j]))
				want[k++] = (struct sd_agree_member){net.id[j], FULL};
		}
	sd_agree_peers(net.a[i], ids, n);
	sd_agree_propose(net.a[i], want, k, net.now);
}

static void run(int64_t ns)
{
	for (int64_t until = net.now + ns; net.now < until; net.now += 5 * MS) {
		while (net.first && net.first->at <= net.now) {
			struct letter *l = net.first;
			net.first = l->next;
			if (net.up[l->to] && net.life[l->to] == l->life && reachable(l->from, l->to))
				sd_agree_receive(net.a[l->to], &net.id[l->from], l->bytes, l->n, net.now);
			free(l);
		}
		for (int i = 0; i < NODES; i++)
			if (net.up[i]) {
				look(i);
				sd_agree_tick(net.a[i], net.now);
			}
	}
}

/* All that are there have one configuration, and it is made of them. */
static bool is_one(void)
{
	const struct sd_agree_config *first = NULL;
	size_t n = 0;
	for (int i = 0; i < NODES; i++)
		n += net.up[i];
	for (int i = 0; i < NODES; i++) {
		const struct sd_agree_config *c = net.up[i] ? sd_agree_last(net.a[i]) : NULL;
		if (!net.up[i])
			continue;
		if (!c || c->n != n || sd_agree_find(c, &net.id[i]) < 0 || (first && first->epoch != c->epoch))
			return false;
		first = c;
	}
	return true;
}

START_TEST(one_after_the_other_is_taken_in)
{
	begin(1, 5);
	ck_assert(sd_agree_found(net.a[0], 77, FULL));
	ck_assert(!sd_agree_found(net.a[0], 78, FULL));
	ck_assert_uint_eq(sd_agree_last(net.a[0])->epoch, 1);
	ck_assert_ptr_null(sd_agree_last(net.a[1]));
	run(10 * SECOND);
	ck_assert(is_one());
	ck_assert_uint_eq(sd_agree_lineage(net.a[4]), 77);
	net.up[2] = false; /* three of five go on */
	net.up[3] = false;
	run(10 * SECOND);
	ck_assert(is_one());
	uint64_t epoch = sd_agree_last(net.a[0])->epoch;
	net.up[2] = true; /* and tell those who come back */
	run(10 * SECOND);
	ck_assert(is_one());
	ck_assert_uint_gt(sd_agree_last(net.a[2])->epoch, epoch);
	ck_assert_ptr_nonnull(sd_agree_at(net.a[2], epoch));
	finish();
}
END_TEST

START_TEST(half_of_them_decide_nothing)
{
	begin(2, 4);
	sd_agree_found(net.a[0], 5, FULL);
	run(10 * SECOND);
	ck_assert(is_one());
	uint64_t epoch = sd_agree_last(net.a[0])->epoch;
	net.side = 3; /* two and two */
	run(20 * SECOND);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(sd_agree_last(net.a[i])->epoch, epoch);
	stop(2); /* gone for good, as somebody says to those that are left */
	stop(3);
	sd_agree_forget(net.a[0], &net.id[2]);
	sd_agree_forget(net.a[0], &net.id[3]);
	run(5 * SECOND);
	ck_assert_uint_gt(sd_agree_last(net.a[0])->epoch, epoch);
	ck_assert(is_one());
	finish();
}
END_TEST

START_TEST(of_two_lineages_one_stays)
{
	begin(3, 5);
	net.side = 3;
	sd_agree_found(net.a[0], 900, FULL); /* a higher number, but it has been two */
	sd_agree_found(net.a[2], 100, FULL);
	net.up[3] = net.up[4] = false;
	run(5 * SECOND);
	net.side = 0;
	run(10 * SECOND);
	ck_assert(is_one());
	ck_assert_uint_eq(sd_agree_lineage(net.a[2]), 900);
	ck_assert_uint_eq(net.gave_up[2], 1);
	ck_assert_uint_eq(net.gave_up[0] + net.gave_up[1], 0);
	net.side = 24; /* of two strong ones the lower number stays */
	net.up[3] = net.up[4] = true;
	sd_agree_found(net.a[3], 50, FULL);
	run(5 * SECOND);
	net.side = 0;
	run(20 * SECOND);
	ck_assert(is_one());
	ck_assert_uint_eq(sd_agree_lineage(net.a[0]), 50);
	finish();
}
END_TEST

START_TEST(what_is_no_message_changes_nothing)
{
	char bytes[512];
	begin(4, 2);
	sd_agree_found(net.a[0], 7, FULL);
	net.up[1] = false; /* nobody hears the answers */
	for (int i = 0; i < 200000; i++) {
		size_t n = sd_rng_below(&net.rng, 80);
		for (size_t k = 0; k < n; k++)
			bytes[k] = (char)sd_rng_next(&net.rng);
		if (n)
			bytes[0] = (char)sd_rng_below(&net.rng, 9);
		if (n > 17) { /* in its own words, up to what comes then */
			bytes[1] = 0;
			sd_put_le(bytes + 2, 7, 8);
			sd_put_le(bytes + 10, sd_rng_below(&net.rng, 4), 8);
		}
		char *p = malloc(n + 1);
		memcpy(p, bytes, n);
		sd_agree_receive(net.a[0], &net.id[1], p, n, net.now);
		free(p);
	}
	ck_assert_uint_gt(sd_agree_stats(net.a[0])->bad, 100000);
	ck_assert_uint_eq(sd_agree_last(net.a[0])->n, 1);
	finish();
}
END_TEST

/* ---- an acceptor that keeps its promise, and one that does not ---- */

/* What is on its way from one to another now. */
static void deliver(int from, int to)
{
	for (struct letter **k = &net.first; *k;) {
		struct letter *l = *k;
		if (l->from != from || l->to != to) {
			k = &l->next;
			continue;
		}
		*k = l->next; /* answers go behind */
		sd_agree_receive(net.a[to], &net.id[from], l->bytes, l->n, net.now);
		free(l);
	}
}

static void drop_all(void)
{
	while (net.first) {
		struct letter *l = net.first;
		net.first = l->next;
		free(l);
	}
}

/* The next configuration without node `but`, asked for by node i. */
static void want_without(int i, int but)
{
	struct sd_agree_member want[NODES];
	size_t n = 0;
	for (int j = 0; j < 3; j++)
		if (j != but)
			want[n++] = (struct sd_agree_member){net.id[j], FULL};
	sd_agree_propose(net.a[i], want, n, net.now);
}

/* Node 0 is about to have 1 accept without 2; before that arrives 1 promises to 2 to accept nothing lower, and accepts without 0. Are two
 * values chosen? */
static bool late_accept(bool breaks_promises)
{
	begin(6, 0);
	net.breaks_promises = breaks_promises;
	for (int i = 0; i < 3; i++)
		start(i);
	sd_agree_found(net.a[0], 7, FULL);
	run(5 * SECOND);
	ck_assert(is_one());
	uint64_t epoch = sd_agree_last(net.a[0])->epoch;
	drop_all();
	want_without(0, 2);
	want_without(2, 0);
	net.now += 20 * SECOND;
	sd_agree_tick(net.a[0], net.now);
	deliver(0, 2); /* who knows of the ballot has a higher one */
	deliver(0, 1);
	deliver(1, 0); /* promised: what is to be accepted is on its way */
	sd_agree_tick(net.a[2], net.now);
	deliver(2, 1);
	deliver(1, 2);
	deliver(2, 1);
	deliver(1, 2);
	ck_assert_uint_eq(sd_agree_last(net.a[2])->epoch, epoch + 1);
	ck_assert_uint_eq(sd_agree_last(net.a[1])->epoch, epoch);
	deliver(0, 1); /* late */
	deliver(1, 0);
	bool chosen = sd_agree_last(net.a[0])->epoch == epoch + 1;
	ck_assert_int_eq(chosen, breaks_promises);
	deliver(2, 0);
	deliver(0, 2);
	deliver(2, 0);
	ck_assert_uint_eq(sd_agree_last(net.a[0])->epoch, epoch + 1);
	bool wrong = net.wrong;
	finish();
	return wrong;
}

START_TEST(what_was_promised_is_kept)
{
	ck_assert(!late_accept(false));
	ck_assert_msg(late_accept(true), "the control, in which promises are broken, was fine");
}
END_TEST

/* ---- seeded ---- */

static void fault(void)
{
	int i = (int)sd_rng_below(&net.rng, NODES);
	switch (sd_rng_below(&net.rng, 6)) {
	case 0: /* its memory goes: it is another one */
		if (net.a[i])
			stop(i);
		break;
	case 1:
		if (!net.a[i])
			start(i);
		break;
	case 2: /* it stops for a while */
		if (net.a[i])
			net.up[i] = !net.up[i];
		break;
	case 3:
		net.side = (unsigned)sd_rng_below(&net.rng, 1u << NODES);
		break;
	case 4:
		net.side = 0;
		break;
	default:
		net.lossy = !net.lossy;
	}
}

/* More than a majority may be lost at once: then nothing is decided any more, and nothing wrong either. */
static bool play(uint64_t seed, unsigned enough)
{
	begin(seed, 0);
	net.enough = enough;
	for (int i = 0; i < 5; i++)
		start(i);
	sd_agree_found(net.a[0], 1 + sd_rng_next(&net.rng) / 2, FULL);
	run(4 * SECOND);
	for (int i = 0; i < 25; i++) {
		fault();
		run((200 + sd_rng_below(&net.rng, 2500)) * MS);
	}
	bool wrong = net.wrong;
	finish();
	return wrong;
}

static unsigned seeds(unsigned fallback)
{
	const char *text = getenv("SEEDS");
	return text ? (unsigned)strtoul(text, NULL, 10) : fallback;
}

START_TEST(no_two_have_different_members_for_one_epoch)
{
	for (uint64_t seed = 1; seed <= seeds(40); seed++)
		ck_assert_msg(!play(seed, 0), "seed %llu: two configurations of one epoch", (unsigned long long)seed);
	unsigned wrong = 0;
	for (uint64_t seed = 1; seed <= 60 && !wrong; seed++)
		wrong += play(seed, 2);
	ck_assert_msg(wrong, "the control, in which any two decide, was fine");
}
END_TEST

START_TEST(all_is_one_again_after_faults)
{
	for (uint64_t seed = 1; seed <= seeds(20); seed++) {
		begin(seed, 5);
		sd_agree_found(net.a[0], 9, FULL);
		run(5 * SECOND);
		net.lossy = true;
		for (int i = 0; i < 10; i++) {
			net.side = (unsigned)sd_rng_below(&net.rng, 32);
			run((100 + sd_rng_below(&net.rng, 3000)) * MS);
		}
		net.lossy = false;
		net.side = 0;
		run(15 * SECOND);
		ck_assert_msg(is_one() && !net.wrong, "seed %llu: not one", (unsigned long long)seed);
		finish();
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("agree");
	TCase *t = tcase_create("agree");
	tcase_set_timeout(t, 300);
	tcase_add_test(t, one_after_the_other_is_taken_in);
	tcase_add_test(t, half_of_them_decide_nothing);
	tcase_add_test(t, of_two_lineages_one_stays);
	tcase_add_test(t, what_is_no_message_changes_nothing);
	tcase_add_test(t, what_was_promised_is_kept);
	tcase_add_test(t, no_two_have_different_members_for_one_epoch);
	tcase_add_test(t, all_is_one_again_after_faults);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
