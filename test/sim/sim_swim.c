/* Members of a cluster on simulated machines, with wires that lose, delay, repeat and break, and machines that stop and die:
 * once all is well they agree, whatever happened; one that dies is found; one that lives does not stay dead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"
#include "core/swim.h"

#define PORT       17000
#define AGREE_NS   (60 * SECOND)
#define FOUND_NS   (20 * SECOND)

struct node {
	struct member *m;
	struct sd_swim *swim;
	struct sd_datagrams *socket;
	struct sd_timer tick;
	bool never_refute;
	unsigned index;
};

struct world {
	struct node nodes[MAX_MEMBERS];
};

static struct sd_addr addr_of(unsigned i)
{
	return (struct sd_addr){.kind = SD_ADDR_INET, .ip = {10, 0, 0, (uint8_t)(i + 1)}, .port = PORT};
}

static struct sd_swim_end end_of(unsigned i)
{
	return (struct sd_swim_end){{10, 0, 0, (uint8_t)(i + 1)}, PORT, false};
}

static struct sd_swim_id id_of(unsigned i)
{
	struct sd_swim_id id;
	memset(&id, (int)i + 1, sizeof(id));
	return id;
}

/* ---- the shell of one ---- */

static void set_tick(struct node *n, int64_t at)
{
	sd_loop_timer_set(n->m->control, &n->tick, at);
}

static void on_tick(struct sd_timer *t)
{
	struct node *n = sd_container(t, struct node, tick);
	set_tick(n, sd_swim_tick(n->swim, sd_loop_now_ns(n->m->control)));
}

static void on_received(void *arg, const struct sd_addr *from, const void *p, size_t len)
{
	struct node *n = arg;
	struct sd_swim_end end = {.port = from->port};
	memcpy(end.ip, from->ip, sizeof(end.ip));
	sd_swim_receive(n->swim, &end, p, len, sd_loop_now_ns(n->m->control));
}

static void on_send(void *arg, const struct sd_swim_end *to, const void *p, size_t len)
{
	struct node *n = arg;
	struct sd_addr a = addr_of(to->ip[3] - 1u);
	sd_datagrams_send(n->socket, &a, p, len);
}

static void on_changed(void *arg, const struct sd_swim_member *was, const struct sd_swim_member *is)
{
	(void)arg;
	(void)was;
	(void)is; /* what is known is asked for after each step */
}

static void started(struct member *m)
{
	struct node *n = m->user;
	struct sd_swim_conf conf = sd_swim_conf_default();
	struct sd_swim_host host = {.arg = n, .send = on_send, .changed = on_changed};
	struct sd_swim_facts f = {.id = id_of(n->index), .client = end_of(n->index), .bus = end_of(n->index), .weight = 1};
	struct sd_addr a = addr_of(n->index);
	struct sd_datagrams_events events = {on_received, n};
	uint64_t seed;
	sd_world_random(m->world, &seed, sizeof(seed));
	conf.never_refute = n->never_refute;
	n->m = m;
	n->tick.fn = on_tick;
	ck_assert_int_eq(sd_loop_datagrams(m->control, &a, &events, &n->socket, NULL), SD_OK);
	n->swim = sd_swim_new(&conf, &f, &host, seed, sd_world_mono_ns(m->world));
	for (unsigned i = 0; i < 2; i++) {
		struct sd_swim_end to = end_of(i);
		if (i != n->index)
			sd_swim_join(n->swim, &to, sd_world_mono_ns(m->world));
	}
	set_tick(n, sd_world_mono_ns(m->world) + 1);
}

static void ending(struct member *m)
{
	struct node *n = m->user;
	sd_loop_timer_cancel(m->control, &n->tick);
	sd_datagrams_close(n->socket);
	sd_swim_free(n->swim);
	n->swim = NULL;
}

/* ---- clusters ---- */

static struct world *world_of(struct cluster *c)
{
	return c->user;
}

static void begin_with(struct cluster *c, bool never_refute)
{
	struct world *w = calloc(1, sizeof(*w));
	unsigned n = c->scenario ? c->scenario->faults.nnodes : 5;
	c->user = w;
	for (unsigned i = 0; i < n; i++) {
		char name[16];
		snprintf(name, sizeof(name), "node-%u", i + 1);
		w->nodes[i].index = i;
		w->nodes[i].never_refute = never_refute;
		cluster_add_client(c, name, started, ending, &w->nodes[i]);
	}
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < n; k++)
			sd_sim_wire(c->members[i].world, c->members[k].world)->twice_ppm = 20000;
}

static void begin(struct cluster *c)
{
	begin_with(c, false);
}

static void begin_stubborn(struct cluster *c)
{
	begin_with(c, true);
}

static void end(struct cluster *c)
{
	free(c->user);
}

static enum sd_swim_state opinion(struct cluster *c, unsigned of, unsigned about)
{
	struct sd_swim_id id = id_of(about);
	const struct sd_swim_member *m = sd_swim_find(world_of(c)->nodes[of].swim, &id);
	return m ? m->state : SD_SWIM_LEFT;
}

/* Everybody knows everybody, as alive, with the same incarnation. */
static bool all_agree(struct cluster *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		struct sd_swim_id id = id_of(i);
		for (unsigned k = 0; k < c->n; k++) {
			const struct sd_swim_member *m = world_of(c)->nodes[k].swim ? sd_swim_find(world_of(c)->nodes[k].swim, &id) : NULL;
			if (!m || m->state != SD_SWIM_ALIVE || m->incarnation != sd_swim_self(world_of(c)->nodes[i].swim)->incarnation)
				return false;
		}
	}
	return true;
}

static void finally(struct cluster *c)
{
	if (cluster_step_until(c, all_agree, AGREE_NS))
		return;
	for (unsigned i = 0; i < c->n; i++)
		for (unsigned k = 0; k < c->n; k++)
			if (opinion(c, i, k) != SD_SWIM_ALIVE)
				cluster_fail(c, "%u s after all was well node-%u holds node-%u for %s", (unsigned)(AGREE_NS / SECOND),
					     i + 1, k + 1, sd_swim_state_text(opinion(c, i, k)));
	cluster_fail(c, "incarnations differ");
}

/* Nobody is blamed for nothing: as long as no fault began, everybody holds everybody for alive. */
static void always_calm(struct cluster *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (world_of(c)->nodes[i].swim && sd_swim_stats(world_of(c)->nodes[i].swim)->suspected)
			cluster_fail(c, "node-%u suspects somebody though nothing happened", i + 1);
}

static void finally_calm(struct cluster *c)
{
	cluster_pass(c, 120 * SECOND);
	finally(c);
}

#define ANYTHING                                                                                                       \
	(FAULT(FAULT_KILL) | FAULT(FAULT_POWER) | FAULT(FAULT_PAUSE) | FAULT(FAULT_SLOW) | FAULT(FAULT_PARTITION) |            \
	 FAULT(FAULT_ONE_WAY) | FAULT(FAULT_LOSS) | FAULT(FAULT_DELAY))
#define SPEC(kinds_, n_) {.kinds = kinds_, .most = 8, .nnodes = n_, .from_ns = 3 * SECOND, .to_ns = 60 * SECOND, .longest_ns = 60 * SECOND}

static const struct scenario anything_3 = {.name = "swim of 3", .faults = SPEC(ANYTHING, 3), .begin = begin, .finally = finally, .end = end};
static const struct scenario anything_5 = {.name = "swim of 5", .faults = SPEC(ANYTHING, 5), .begin = begin, .finally = finally, .end = end};
static const struct scenario anything_7 = {.name = "swim of 7", .faults = SPEC(ANYTHING, 7), .begin = begin, .finally = finally, .end = end};
static const struct scenario calm = {
    .name = "swim calm", .faults = {.nnodes = 7}, .begin = begin, .always = always_calm, .finally = finally_calm, .end = end};
static const struct scenario stubborn = {.name = "swim without refutation",
					 .faults = SPEC(FAULT(FAULT_PARTITION) | FAULT(FAULT_LOSS) | FAULT(FAULT_PAUSE), 5),
					 .begin = begin_stubborn, .finally = finally, .end = end, .must_fail = true};

START_TEST(three_agree_after_anything) { scenario_check(&anything_3, 60); } END_TEST
START_TEST(five_agree_after_anything) { scenario_check(&anything_5, 40); } END_TEST
START_TEST(seven_agree_after_anything) { scenario_check(&anything_7, 30); } END_TEST
START_TEST(nobody_is_suspected_for_nothing) { scenario_check(&calm, 10); } END_TEST
START_TEST(control_without_refutation_they_do_not) { scenario_check(&stubborn, 20); } END_TEST

/* ---- one dies ---- */

static bool third_is_found(struct cluster *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (i != 2 && opinion(c, i, 2) != SD_SWIM_DEAD)
			return false;
	return true;
}

static struct cluster *by_hand(uint64_t seed)
{
	struct cluster *c = calloc(1, sizeof(*c));
	c->sim = sd_sim_new(seed);
	begin(c);
	cluster_pass(c, 10 * SECOND);
	ck_assert(all_agree(c));
	return c;
}

static void by_hand_end(struct cluster *c)
{
	ck_assert_str_eq(c->failed, "");
	for (unsigned i = 0; i < c->n; i++)
		if (c->members[i].control)
			cluster_crash(c, &c->members[i], false);
	end(c);
	sd_sim_free(c->sim);
	free(c);
}

START_TEST(one_that_dies_is_found_in_time)
{
	struct cluster *c = by_hand((uint64_t)_i);
	cluster_crash(c, &c->members[2], _i & 1);
	ck_assert(cluster_step_until(c, third_is_found, FOUND_NS));
	for (unsigned i = 0; i < c->n; i++)
		for (unsigned k = 0; k < c->n && i != 2; k++)
			ck_assert(k == 2 || opinion(c, i, k) == SD_SWIM_ALIVE);
	cluster_restart(c, &c->members[2]);
	ck_assert(cluster_step_until(c, all_agree, AGREE_NS));
	by_hand_end(c);
}
END_TEST

/* Two halves that each hold the other for dead find each other again, without anybody's help. */
START_TEST(halves_find_each_other)
{
	struct cluster *c = by_hand((uint64_t)_i);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned k = 2; k < c->n; k++)
			sd_sim_partition(c->members[i].world, c->members[k].world, true);
	cluster_pass(c, 60 * SECOND);
	for (unsigned i = 0; i < c->n; i++)
		for (unsigned k = 0; k < c->n; k++)
			ck_assert_int_eq(opinion(c, i, k), (i < 2) == (k < 2) ? SD_SWIM_ALIVE : SD_SWIM_DEAD);
	sd_sim_heal_all(c->sim);
	ck_assert(cluster_step_until(c, all_agree, AGREE_NS));
	by_hand_end(c);
}
END_TEST

START_TEST(same_seed_same_run)
{
	uint64_t digest[3];
	scenario_run(&anything_5, 1, NULL, &digest[0], NULL);
	scenario_run(&anything_5, 1, NULL, &digest[1], NULL);
	scenario_run(&anything_5, 2, NULL, &digest[2], NULL);
	ck_assert_uint_eq(digest[0], digest[1]);
	ck_assert_uint_ne(digest[0], digest[2]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim swim");
	TCase *t = tcase_create("swim");
	tcase_set_timeout(t, 600);
	tcase_add_test(t, same_seed_same_run);
	tcase_add_loop_test(t, one_that_dies_is_found_in_time, 1, 21);
	tcase_add_loop_test(t, halves_find_each_other, 1, 11);
	tcase_add_test(t, three_agree_after_anything);
	tcase_add_test(t, five_agree_after_anything);
	tcase_add_test(t, seven_agree_after_anything);
	tcase_add_test(t, nobody_is_suspected_for_nothing);
	tcase_add_test(t, control_without_refutation_they_do_not);
	suite_add_tcase(s, t);
	return sim_main(s);
}
