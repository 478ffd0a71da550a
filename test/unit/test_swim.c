/* Members of a cluster: what they say to each other, byte by byte, and what they make of it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "core/swim_int.h"
#include "guard.h"

#define MOST 64
#define MS   1000000ll

/* ---- a network that delivers at once, or loses what somebody wants lost ---- */

struct letter {
	struct letter *next;
	unsigned from, to;
	size_t n;
	uint8_t bytes[SD_SWIM_DATAGRAM];
};

static struct net {
	struct sd_swim *s[MOST];
	size_t n;
	bool down[MOST];
	int64_t now;
	struct letter *first, **last;
	unsigned news[MOST];    /* calls of changed */
	enum sd_swim_state last_news[MOST];
	size_t longest;
} net;

static struct sd_swim_end end_of(unsigned i, uint16_t port)
{
	return (struct sd_swim_end){{10, 0, 0, (uint8_t)(i + 1)}, port, false};
}

static struct sd_swim_facts facts_of(unsigned i)
{
	struct sd_swim_facts f = {.client = end_of(i, 7000), .bus = end_of(i, 17000), .weight = 1};
	memset(f.id.b, (int)i + 1, SD_SWIM_ID);
	return f;
}

static void on_send(void *arg, const struct sd_swim_end *to, const void *p, size_t n)
{
	struct letter *l = calloc(1, sizeof(*l));
	ck_assert_uint_le(n, SD_SWIM_DATAGRAM);
	l->from = (unsigned)(uintptr_t)arg;
	l->to = to->ip[3] - 1u;
	l->n = n;
	memcpy(l->bytes, p, n);
	net.longest = n > net.longest ? n : net.longest;
	*net.last = l;
	net.last = &l->next;
}

static void on_changed(void *arg, const struct sd_swim_member *was, const struct sd_swim_member *is)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	ck_assert(!was || was->state != is->state || memcmp(&was->facts, &is->facts, sizeof(was->facts)) != 0);
	net.news[i]++;
	net.last_news[i] = is->state;
}

static void deliver(void)
{
	while (net.first) {
		struct letter *l = net.first;
		struct sd_swim_end from = end_of(l->from, 17000);
		net.first = l->next;
		if (!net.first)
			net.last = &net.first;
		if (l->to < net.n && net.s[l->to] && !net.down[l->to] && !net.down[l->from])
			sd_swim_receive(net.s[l->to], &from, l->bytes, l->n, net.now);
		free(l);
	}
}

static void pass(int64_t ms)
{
	for (int64_t until = net.now + ms * MS; net.now < until; net.now += 10 * MS) {
		for (unsigned i = 0; i < net.n; i++)
			if (net.s[i] && !net.down[i])
				sd_swim_tick(net.s[i], net.now);
		deliver();
	}
}

static void mac(void *arg, const void *p, size_t n, uint8_t out[SD_SWIM_MAC])
{
	const uint8_t *b = p;
	(void)arg;
	memset(out, 0, SD_SWIM_MAC);
	for (size_t i = 0; i < n; i++)
		out[i % SD_SWIM_MAC] = (uint8_t)(out[i % SD_SWIM_MAC] * 31 + b[i]);
}

static void start(unsigned i, uint64_t cluster, bool sealed)
{
	struct sd_swim_conf conf = sd_swim_conf_default();
	struct sd_swim_host host = {.arg = (void *)(uintptr_t)i, .send = on_send, .changed = on_changed, .mac = sealed ? mac : NULL};
	struct sd_swim_facts f = facts_of(i);
	conf.cluster = cluster;
	net.s[i] = sd_swim_new(&conf, &f, &host, i, net.now);
	if (net.n <= i)
		net.n = i + 1;
}

/* So many that all know the first, and after a while each other. */
static void cluster_of(unsigned n)
{
	struct sd_swim_end seed = end_of(0, 17000);
	for (unsigned i = 0; i < n; i++) {
		start(i, 5, false);
		if (i)
			ck_assert(sd_swim_join(net.s[i], &seed, net.now));
	}
	pass(3000);
	for (unsigned i = 0; i < n; i++)
		ck_assert_uint_eq(sd_swim_alive(net.s[i]), n);
}

static void setup(void)
{
	memset(&net, 0, sizeof(net));
	net.last = &net.first;
	net.now = 1000000 * MS;
}

static void teardown(void)
{
	for (unsigned i = 0; i < MOST; i++)
		sd_swim_free(net.s[i]);
	while (net.first) {
		struct letter *l = net.first;
		net.first = l->next;
		free(l);
	}
}

static enum sd_swim_state opinion(unsigned of, unsigned about)
{
	struct sd_swim_facts f = facts_of(about);
	const struct sd_swim_member *m = sd_swim_find(net.s[of], &f.id);
	ck_assert_ptr_nonnull(m);
	return m->state;
}

static uint64_t incarnation(unsigned of, unsigned about)
{
	struct sd_swim_facts f = facts_of(about);
	return sd_swim_find(net.s[of], &f.id)->incarnation;
}

/* ---- members ---- */

START_TEST(all_find_each_other)
{
	cluster_of(2);
	teardown();
	setup();
	cluster_of(40);
	ck_assert_uint_eq(net.news[7], 39);
	pass(60000);
	for (unsigned i = 0; i < 40; i++) {
		ck_assert_uint_eq(net.news[i], 39);
		ck_assert_uint_eq(sd_swim_stats(net.s[i])->suspected, 0);
		ck_assert_uint_eq(sd_swim_ill(net.s[i]), 0);
	}
	ck_assert_int_ge(sd_swim_at(net.s[3], 1)->rtt_ns, 0);
}
END_TEST

START_TEST(in_quiet_times_it_says_little)
{
	cluster_of(20);
	pass(20000);
	uint64_t before = sd_swim_stats(net.s[4])->sent;
	pass(60000);
	/* a ping and an answer each half second, and now and then all it knows */
	ck_assert_uint_le(sd_swim_stats(net.s[4])->sent - before, 2 * 2 * 60 + 60);
}
END_TEST

START_TEST(one_that_dies_is_found)
{
	cluster_of(5);
	net.down[3] = true;
	pass(15000);
	for (unsigned i = 0; i < 5; i++) {
		if (i == 3)
			continue;
		ck_assert_int_eq(opinion(i, 3), SD_SWIM_DEAD);
		ck_assert_int_eq(net.last_news[i], SD_SWIM_DEAD);
		ck_assert_uint_eq(sd_swim_alive(net.s[i]), 4);
	}
	/* back again, it objects */
	net.down[3] = false;
	pass(15000);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(opinion(i, 3), SD_SWIM_ALIVE);
	ck_assert_uint_ge(sd_swim_stats(net.s[3])->refuted, 1);
}
END_TEST

START_TEST(started_anew_with_the_same_id)
{
	cluster_of(4);
	sd_swim_free(net.s[2]);
	start(2, 5, false);
	struct sd_swim_facts f = facts_of(2);
	f.client.port = 7777;
	sd_swim_say(net.s[2], &f, net.now);
	struct sd_swim_end seed = end_of(0, 17000);
	sd_swim_join(net.s[2], &seed, net.now);
	pass(3000);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(opinion(i, 2), SD_SWIM_ALIVE);
		ck_assert_uint_eq(sd_swim_find(net.s[i], &f.id)->facts.client.port, 7777);
	}
}
END_TEST

START_TEST(who_leaves_has_left)
{
	cluster_of(5);
	sd_swim_leave(net.s[1], net.now);
	deliver();
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(opinion(i, 1), SD_SWIM_LEFT);
	pass(500);
	net.down[1] = true;
	pass(60000);
	for (unsigned i = 0; i < 5; i++)
		if (i != 1)
			ck_assert_uint_eq(sd_swim_stats(net.s[i])->suspected, 0);
	struct sd_swim_facts f = facts_of(1), up = facts_of(2);
	ck_assert(sd_swim_forget(net.s[0], &f.id));
	ck_assert(!sd_swim_forget(net.s[0], &f.id));
	ck_assert(!sd_swim_forget(net.s[0], &up.id));
	pass(30000); /* the others still know of it; nobody brings it back */
	ck_assert_ptr_null(sd_swim_find(net.s[0], &f.id));
	/* and it may come back itself */
	net.down[1] = false;
	sd_swim_free(net.s[1]);
	start(1, 5, false);
	struct sd_swim_end seed = end_of(3, 17000);
	sd_swim_join(net.s[1], &seed, net.now);
	pass(3000);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(opinion(i, 1), SD_SWIM_ALIVE);
}
END_TEST

START_TEST(the_dead_are_forgotten)
{
	cluster_of(3);
	net.down[1] = true;
	pass(20000);
	ck_assert_uint_eq(sd_swim_count(net.s[0]), 3);
	net.down[0] = net.down[2] = false;
	for (int i = 0; i < 80; i++)
		pass(60000);
	ck_assert_uint_eq(sd_swim_count(net.s[0]), 2);
	ck_assert_uint_eq(sd_swim_count(net.s[2]), 2);
}
END_TEST

START_TEST(another_cluster_is_refused)
{
	struct sd_swim_end seed = end_of(0, 17000);
	cluster_of(2);
	start(2, 6, false);
	sd_swim_join(net.s[2], &seed, net.now);
	pass(5000);
	ck_assert_uint_eq(sd_swim_count(net.s[2]), 1);
	ck_assert_uint_eq(sd_swim_count(net.s[0]), 2);
	ck_assert_uint_ge(sd_swim_stats(net.s[0])->foreign, 1);
	ck_assert_uint_ge(sd_swim_stats(net.s[2])->foreign, 1);
	ck_assert_uint_eq(sd_swim_stats(net.s[2])->last_foreign.ip[3], 1);
}
END_TEST

START_TEST(without_the_key_nobody_comes_in)
{
	struct sd_swim_end seed = end_of(0, 17000);
	start(0, 5, true);
	start(1, 5, true);
	start(2, 5, false);
	sd_swim_join(net.s[1], &seed, net.now);
	sd_swim_join(net.s[2], &seed, net.now);
	pass(5000);
	ck_assert_uint_eq(sd_swim_count(net.s[0]), 2);
	ck_assert_uint_eq(sd_swim_count(net.s[2]), 1);
	ck_assert_uint_ge(sd_swim_stats(net.s[0])->forged, 1);
	ck_assert_uint_eq(sd_swim_stats(net.s[0])->bad, 0);
}
END_TEST

START_TEST(an_address_it_does_not_know_itself)
{
	struct sd_swim_end seed = end_of(1, 17000);
	struct sd_swim_facts f = facts_of(0);
	start(0, 5, false);
	start(1, 5, false);
	memset(f.client.ip, 0, 16);
	memset(f.bus.ip, 0, 16);
	sd_swim_say(net.s[0], &f, net.now);
	sd_swim_join(net.s[0], &seed, net.now);
	pass(2000);
	ck_assert_uint_eq(sd_swim_find(net.s[1], &f.id)->facts.client.ip[3], 1);
	ck_assert_uint_eq(sd_swim_self(net.s[0])->facts.client.ip[3], 1);
	uint64_t settled = incarnation(1, 0);
	pass(20000);
	ck_assert_uint_eq(incarnation(1, 0), settled);
}
END_TEST

START_TEST(many_members_in_many_datagrams)
{
	struct sd_swim_end seed = end_of(0, 17000);
	cluster_of(MOST - 1);
	start(MOST - 1, 5, false);
	sd_swim_join(net.s[MOST - 1], &seed, net.now);
	deliver();
	ck_assert_uint_eq(sd_swim_alive(net.s[MOST - 1]), MOST);
	ck_assert_uint_gt(net.longest, SD_SWIM_DATAGRAM - 60);
}
END_TEST

START_TEST(news_of_oneself_come_around)
{
	struct sd_swim_facts f = facts_of(3);
	cluster_of(6);
	f.npayload = 5;
	memcpy(f.payload, "hello", 5);
	f.epoch = 77;
	f.weight = 9;
	sd_swim_say(net.s[3], &f, net.now);
	pass(2000);
	for (unsigned i = 0; i < 6; i++) {
		const struct sd_swim_member *m = sd_swim_find(net.s[i], &f.id);
		ck_assert(m->facts.epoch == 77 && m->facts.weight == 9 && m->facts.npayload == 5);
		ck_assert_mem_eq(m->facts.payload, "hello", 5);
	}
}
END_TEST

START_TEST(one_that_was_stopped_blames_nobody)
{
	cluster_of(4);
	int64_t began = net.now;
	pass(100);
	net.down[2] = true;
	pass(1000); /* shorter than a suspicion */
	net.down[2] = false;
	pass(2000);
	ck_assert_int_gt(net.now, began);
	ck_assert_uint_eq(sd_swim_stats(net.s[2])->died, 0);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(opinion(2, i), SD_SWIM_ALIVE);
}
END_TEST

/* ---- what counts more ---- */

static void tell(unsigned to, unsigned about, enum sd_swim_state state, uint64_t inc)
{
	struct swim_out o;
	struct sd_swim_facts from = facts_of(50);
	struct swim_head h = {5, &from.id, SWIM_NEWS, 0};
	struct swim_entry e = {.facts = facts_of(about), .incarnation = inc, .state = state, .accuser = from.id};
	struct sd_swim_end end = end_of(50, 17000);
	swim_begin(&o, SD_SWIM_DATAGRAM, &h);
	ck_assert(swim_put_entry(&o, &e));
	sd_swim_receive(net.s[to], &end, o.b, o.n, net.now);
}

START_TEST(of_two_news_one_counts)
{
	static const struct {
		enum sd_swim_state state;
		uint64_t inc;
		enum sd_swim_state then;
		uint64_t then_inc;
	} steps[] = {
	    {SD_SWIM_ALIVE, 5, SD_SWIM_ALIVE, 5},     {SD_SWIM_SUSPECT, 4, SD_SWIM_ALIVE, 5},  {SD_SWIM_SUSPECT, 5, SD_SWIM_SUSPECT, 5},
	    {SD_SWIM_ALIVE, 5, SD_SWIM_SUSPECT, 5},   {SD_SWIM_ALIVE, 6, SD_SWIM_ALIVE, 6},    {SD_SWIM_DEAD, 5, SD_SWIM_ALIVE, 6},
	    {SD_SWIM_DEAD, 6, SD_SWIM_DEAD, 6},       {SD_SWIM_SUSPECT, 6, SD_SWIM_DEAD, 6},   {SD_SWIM_ALIVE, 6, SD_SWIM_DEAD, 6},
	    {SD_SWIM_SUSPECT, 7, SD_SWIM_SUSPECT, 7}, {SD_SWIM_LEFT, 7, SD_SWIM_LEFT, 7},      {SD_SWIM_DEAD, 7, SD_SWIM_LEFT, 7},
	    {SD_SWIM_ALIVE, 8, SD_SWIM_ALIVE, 8},
	};
	cluster_of(1);
	tell(0, 9, SD_SWIM_DEAD, 3); /* nobody known, and gone */
	struct sd_swim_facts f = facts_of(9);
	ck_assert_ptr_null(sd_swim_find(net.s[0], &f.id));
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		tell(0, 9, steps[i].state, steps[i].inc);
		ck_assert_int_eq(opinion(0, 9), steps[i].then);
		ck_assert_uint_eq(incarnation(0, 9), steps[i].then_inc);
	}
}
END_TEST

START_TEST(of_oneself_only_the_truth)
{
	cluster_of(1);
	tell(0, 0, SD_SWIM_ALIVE, 1);
	ck_assert_uint_eq(incarnation(0, 0), 1);
	tell(0, 0, SD_SWIM_SUSPECT, 1);
	ck_assert_uint_eq(incarnation(0, 0), 2);
	tell(0, 0, SD_SWIM_DEAD, 1);
	ck_assert_uint_eq(incarnation(0, 0), 2);
	tell(0, 0, SD_SWIM_LEFT, 40);
	ck_assert_uint_eq(incarnation(0, 0), 41);
	ck_assert_int_eq(opinion(0, 0), SD_SWIM_ALIVE);
	tell(0, 0, SD_SWIM_ALIVE, UINT64_MAX); /* more than anybody may say */
	ck_assert_uint_eq(incarnation(0, 0), 41);
	ck_assert_uint_eq(sd_swim_stats(net.s[0])->bad, 1);
}
END_TEST

START_TEST(a_suspicion_that_is_shared_is_shorter)
{
	struct sd_swim_facts f = facts_of(9);
	int64_t alone;
	start(0, 5, false);
	for (unsigned i = 1; i < 12; i++)
		tell(0, i, SD_SWIM_ALIVE, 1);
	tell(0, 9, SD_SWIM_SUSPECT, 1);
	alone = sd_swim_find(net.s[0], &f.id)->dies_ns - net.now;
	tell(0, 9, SD_SWIM_SUSPECT, 1); /* the same one again */
	ck_assert_int_eq(sd_swim_find(net.s[0], &f.id)->dies_ns - net.now, alone);
	ck_assert_int_ge(alone, 6 * 4 * 500 * MS);
	for (unsigned k = 0; k < 2; k++) {
		struct swim_out o;
		struct sd_swim_facts from = facts_of(20 + k);
		struct swim_head h = {5, &from.id, SWIM_NEWS, 0};
		struct swim_entry e = {.facts = f, .incarnation = 1, .state = SD_SWIM_SUSPECT, .accuser = from.id};
		struct sd_swim_end end = end_of(20 + k, 17000);
		swim_begin(&o, SD_SWIM_DATAGRAM, &h);
		swim_put_entry(&o, &e);
		sd_swim_receive(net.s[0], &end, o.b, o.n, net.now);
	}
	ck_assert_int_le(sd_swim_find(net.s[0], &f.id)->dies_ns - net.now, alone / 5);
}
END_TEST

/* ---- datagrams ---- */

static struct swim_out full_message(void)
{
	struct swim_out o;
	struct sd_swim_facts from = facts_of(1), target = facts_of(2);
	struct swim_head h = {0x0102030405060708, &from.id, SWIM_PING_REQ, 0xa1b2c3d4};
	swim_begin(&o, SD_SWIM_DATAGRAM, &h);
	swim_put_id(&o, &target.id);
	swim_put_end(&o, &target.bus);
	for (unsigned i = 0; i < 4; i++) {
		struct swim_entry e = {.facts = facts_of(3 + i), .incarnation = 7 + i, .state = (enum sd_swim_state)i, .accuser = from.id};
		if (i != SD_SWIM_SUSPECT)
			memset(&e.accuser, 0, sizeof(e.accuser));
		e.facts.epoch = 1ull << 40;
		e.facts.bus.v6 = i & 1;
		e.facts.npayload = (uint8_t)(i * 3);
		memset(e.facts.payload, 'x', e.facts.npayload);
		if (i == 3)
			memset(&e.facts.client, 0, sizeof(e.facts.client));
		ck_assert(swim_put_entry(&o, &e));
	}
	return o;
}

START_TEST(what_is_written_is_read)
{
	struct swim_out o = full_message(), again;
	struct swim_message m;
	ck_assert(swim_read(o.b, o.n, &m));
	ck_assert_uint_eq(m.cluster, 0x0102030405060708);
	ck_assert_uint_eq(m.number, 0xa1b2c3d4);
	ck_assert_int_eq(m.kind, SWIM_PING_REQ);
	ck_assert_uint_eq(m.nentries, 4);
	ck_assert_uint_eq(o.b[4], 8); /* the least byte first */
	struct swim_head h = {m.cluster, &m.sender, m.kind, m.number};
	swim_begin(&again, SD_SWIM_DATAGRAM, &h);
	swim_put_id(&again, &m.target);
	swim_put_end(&again, &m.target_end);
	for (size_t i = 0; i < m.nentries; i++)
		ck_assert(swim_put_entry(&again, &m.entries[i]));
	ck_assert_uint_eq(again.n, o.n);
	ck_assert_mem_eq(again.b, o.b, o.n);
}
END_TEST

/* Cut off anywhere it is refused, but where a member ends; and nothing is read behind the end. */
START_TEST(cut_off_anywhere)
{
	struct guard g = guard_new(SD_SWIM_DATAGRAM);
	struct swim_out o = full_message();
	struct swim_message m;
	unsigned good = 0;
	for (size_t n = 0; n <= o.n; n++)
		good += swim_read((const uint8_t *)guard_put(&g, o.b, n), n, &m);
	ck_assert_uint_eq(good, 5);
	guard_free(&g);
}
END_TEST

START_TEST(garbage_changes_nothing)
{
	struct sd_rng rng;
	struct swim_out o = full_message();
	struct sd_swim_end end = end_of(50, 17000);
	cluster_of(3);
	sd_rng_seed(&rng, (uint64_t)_i);
	uint64_t bad = 0;
	for (int i = 0; i < 20000; i++) {
		uint8_t b[SD_SWIM_DATAGRAM + 10];
		size_t n = sd_rng_below(&rng, sizeof(b));
		for (size_t k = 0; k < n; k++)
			b[k] = (uint8_t)sd_rng_next(&rng);
		if (n > 12 && i % 2)
			memcpy(b, o.b, 4);
		sd_swim_receive(net.s[0], &end, b, n, net.now);
	}
	bad = sd_swim_stats(net.s[0])->bad + sd_swim_stats(net.s[0])->foreign;
	ck_assert_uint_eq(bad, 20000);
	ck_assert_uint_eq(sd_swim_count(net.s[0]), 3);
	ck_assert_uint_eq(sd_swim_alive(net.s[0]), 3);
}
END_TEST

START_TEST(ids_as_text)
{
	char text[41];
	struct sd_swim_id id = {{0xab, 1, 0xff}}, back;
	sd_swim_id_text(&id, text);
	ck_assert_str_eq(text, "ab01ff0000000000000000000000000000000000");
	ck_assert(sd_swim_id_parse(text, 40, &back));
	ck_assert_int_eq(sd_swim_id_compare(&id, &back), 0);
	ck_assert(!sd_swim_id_parse(text, 39, &back));
	text[7] = 'g';
	ck_assert(!sd_swim_id_parse(text, 40, &back));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("swim");
	TCase *t = tcase_create("swim");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, all_find_each_other);
	tcase_add_test(t, in_quiet_times_it_says_little);
	tcase_add_test(t, one_that_dies_is_found);
	tcase_add_test(t, started_anew_with_the_same_id);
	tcase_add_test(t, who_leaves_has_left);
	tcase_add_test(t, the_dead_are_forgotten);
	tcase_add_test(t, another_cluster_is_refused);
	tcase_add_test(t, without_the_key_nobody_comes_in);
	tcase_add_test(t, an_address_it_does_not_know_itself);
	tcase_add_test(t, many_members_in_many_datagrams);
	tcase_add_test(t, news_of_oneself_come_around);
	tcase_add_test(t, one_that_was_stopped_blames_nobody);
	tcase_add_test(t, of_two_news_one_counts);
	tcase_add_test(t, of_oneself_only_the_truth);
	tcase_add_test(t, a_suspicion_that_is_shared_is_shorter);
	tcase_add_test(t, what_is_written_is_read);
	tcase_add_test(t, cut_off_anywhere);
	tcase_add_loop_test(t, garbage_changes_nothing, 0, 3);
	tcase_add_test(t, ids_as_text);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
