/* The data side of a cluster of caches, on one node with the test as the others: stamps, tombstones, states that come in any order,
 * WAIT and the write quorum, and messages that are none. The whole of it, with nodes that crash, is in test/sim/sim_cache.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/cache/cluster/cache_copies_int.h"

#define START_MS 1700000000000
#define MS	 1000000ll

static struct cache cache;
static struct cache_copies *cc;
static struct cache_session me;
static int64_t now_ms;
static struct cache_view view;
static struct cache_view_member members[2];
static struct sd_text sent[COPIES_KINDS]; /* the last message of each kind */
static unsigned nsent[COPIES_KINDS];

static const struct cache_view *get_view(void *arg)
{
	(void)arg;
	return &view;
}

static bool send_it(void *arg, const struct sd_swim_id *to, unsigned kind, const struct sd_slice *parts, size_t n)
{
	(void)arg;
	(void)to;
	sent[kind].n = 0;
	if (n)
		sd_text_add(&sent[kind], parts[0].p, parts[0].n);
	nsent[kind]++;
	return true;
}

static size_t backlog(void *arg, const struct sd_swim_id *to)
{
	(void)arg;
	(void)to;
	return 0;
}

static void wake(void *arg, int64_t at)
{
	(void)arg;
	(void)at;
}

static int64_t now_ns(void *arg)
{
	(void)arg;
	return (now_ms - START_MS + 1000) * MS;
}

static int64_t wall_ms(void *arg)
{
	(void)arg;
	return now_ms;
}

static void say_it(void *arg, const char *name, const char *text)
{
	(void)arg;
	(void)name;
	(void)text;
}

static bool all_leave, has_left;

static bool do_all_leave(void *arg)
{
	(void)arg;
	return all_leave;
}

static void on_left(void *arg)
{
	(void)arg;
	has_left = true;
}

static void hear(unsigned kind, struct sd_text *t)
{
	cache_copies_data(cc)->message(cc, &members[1].id, kind, (struct sd_slice){t->p, t->n});
	free(t->p);
	*t = (struct sd_text){0};
}

static void begin(unsigned quorum)
{
	static const struct cache_peers peers = {NULL, get_view, send_it, backlog, wake, now_ns, wall_ms, say_it, NULL,
						   do_all_leave};
	struct cache_copies_conf conf = cache_copies_conf_default();
	struct sd_slots_node nodes[2];
	struct sd_text hello = {0};
	conf.quorum = quorum;
	now_ms = START_MS;
	memset(sent, 0, sizeof(sent));
	memset(nsent, 0, sizeof(nsent));
	for (size_t i = 0; i < 2; i++) {
		memset(&members[i], 0, sizeof(members[i]));
		members[i].id.b[0] = (uint8_t)(i + 1);
		nodes[i] = (struct sd_slots_node){{(char *)members[i].id.b, SD_SWIM_ID}, 1};
	}
	view = (struct cache_view){.number = 1, .digest = 77, .n = 2, .members = members};
	ck_assert_int_eq(sd_slots_make(&(struct sd_slots_conf){.copies = 2}, nodes, 2, &view.slots), SD_OK);
	if (quorum > 1) { /* agreed: the first of all, and the node answers for all slots */
		view.epoch = 1;
		for (unsigned s = 0; s < SD_SLOTS; s++) {
			view.slots.owners[2 * s] = 0;
			view.slots.owners[2 * s + 1] = 1;
		}
	}
	cache_init(&cache, 1, now_ms);
	cc = cache_copies_new(&cache, &conf, &peers, &members[0].id, 5);
	cache_session_begin(&cache, &me);
	cache_copies_data(cc)->view_changed(cc, NULL, &view);
	copies_put(&hello, quorum > 1 ? COPIES_VERSION_TERM : COPIES_VERSION, 1);
	copies_put(&hello, 4711, 8);
	if (quorum > 1) {
		copies_put(&hello, 1, 8);
		copies_put(&hello, quorum, 1);
	}
	hear(COPIES_HELLO, &hello);
}

static void finish(void)
{
	cache_session_end(&me);
	cache_copies_free(cc);
	cache_end(&cache);
	sd_slots_free(&view.slots);
	for (int i = 0; i < COPIES_KINDS; i++)
		free(sent[i].p);
}

static const char *say(const char *words)
{
	static char reply[512], text[256];
	struct sd_slice argv[8];
	size_t argc = 0;
	char *save = NULL;
	snprintf(text, sizeof(text), "%s", words);
	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = sd_slice_of(p);
	me.out.n = 0;
	cache_call(&me, argc, argv, now_ms);
	cache_copies_turn(cc);
	snprintf(reply, sizeof(reply), "%.*s", (int)me.out.n, me.out.p ? me.out.p : "");
	return reply;
}

/* A state of a key from the other node. */
static void state(const char *key, uint64_t stamp, const char *value, int64_t ends_ms)
{
	struct sd_text t = {0};
	copies_put(&t, 1, 8);
	copies_put(&t, value ? 1 : 2, 1);
	copies_put(&t, stamp, 8);
	if (value)
		copies_put(&t, (uint64_t)ends_ms, 8);
	copies_put_key(&t, sd_slice_of(key));
	if (value) {
		copies_put(&t, strlen(value) + 2, 4);
		copies_put(&t, 0, 1);
		copies_put(&t, strlen(value), 1);
		sd_text_add(&t, value, strlen(value));
	}
	hear(COPIES_CHANGES, &t);
}

static void ack(uint64_t turn)
{
	struct sd_text t = {0};
	copies_put(&t, cc->others[0]->stream, 8);
	copies_put(&t, turn, 8);
	hear(COPIES_ACK, &t);
}

static uint64_t stamp_of(const char *key)
{
	bool gone;
	return copies_stamp_of(cc, sd_slice_of(key), &gone);
}

static uint64_t at(int64_t ms)
{
	return (uint64_t)ms << SD_HLC_WALL_BITS;
}

/* ---- the clock ---- */

START_TEST(stamps_only_go_up)
{
	struct sd_hlc a, b;
	sd_hlc_init(&a, "one", 3);
	sd_hlc_init(&b, "two", 3);
	ck_assert_uint_ne(a.node, b.node);
	uint64_t first = sd_hlc_next(&a, 1000), second = sd_hlc_next(&a, 1000), back = sd_hlc_next(&a, 500);
	ck_assert(first < second && second < back && sd_hlc_ms(back) == 1000);
	sd_hlc_seen(&b, back);
	ck_assert_uint_gt(sd_hlc_next(&b, 10), back);
	ck_assert_int_eq(sd_hlc_ms(sd_hlc_next(&b, 2000)), 2000);
	for (int i = 0; i < 5000; i++) { /* more than a millisecond has */
		uint64_t next = sd_hlc_next(&a, 3000);
		ck_assert_uint_gt(next, back);
		back = next;
	}
	ck_assert_int_eq(sd_hlc_ms(back), 3002);
}
END_TEST

/* ---- states ---- */

START_TEST(the_last_stamp_wins_in_any_order)
{
	begin(1);
	state("a", at(now_ms + 5), "new", -1);
	state("a", at(now_ms), "old", -1);
	ck_assert_str_eq(say("GET a"), "$3\r\nnew\r\n");
	state("a", at(now_ms + 5), NULL, -1); /* of one stamp being gone is last */
	ck_assert_str_eq(say("GET a"), "$-1\r\n");
	state("a", at(now_ms + 5), "new", -1);
	ck_assert_str_eq(say("GET a"), "$-1\r\n");
	say("SET a mine"); /* higher than what was seen, though the clock is behind */
	ck_assert_uint_gt(stamp_of("a"), at(now_ms + 5));
	state("a", at(now_ms + 5), "new", -1);
	ck_assert_str_eq(say("GET a"), "$4\r\nmine\r\n");
	state("b", at(now_ms), "over", now_ms - 1);
	ck_assert_str_eq(say("EXISTS b"), ":0\r\n");
	state("c", at(now_ms), "soon", now_ms + 100);
	ck_assert_str_eq(say("PTTL c"), ":100\r\n");
	finish();
}
END_TEST

START_TEST(deleted_and_ended_keys_do_not_come_back)
{
	begin(1);
	say("SET a 1");
	uint64_t old = stamp_of("a");
	say("DEL a");
	state("a", old, "1", -1);
	ck_assert_str_eq(say("GET a"), "$-1\r\n");
	say("SET b 1");
	old = stamp_of("b");
	say("SET b 2 PX 10");
	now_ms += 20;
	cache_tick(&cache, now_ms, 10);
	state("b", old, "1", -1);
	ck_assert_str_eq(say("GET b"), "$-1\r\n");
	ck_assert_uint_eq(sd_dict_count(&cc->tombstones), 2);
	now_ms += cc->conf.tombstone_keep_ms + 1;
	copies_end_tombstones(cc, now_ms);
	ck_assert_uint_eq(sd_dict_count(&cc->tombstones), 0);
	for (unsigned s = 0; s < SD_SLOTS; s++)
		ck_assert(cache_copies_count(cc, s) == 0 && cache_copies_digest(cc, s) == 0);
	finish();
}
END_TEST

START_TEST(digests_tell_what_there_is)
{
	begin(1);
	unsigned s = sd_slot_of(sd_slice_of("{a}1"));
	say("MSET {a}1 1 {a}2 2");
	say("EXPIRE {a}1 100"); /* moves in memory */
	say("APPEND {a}2 2345678901234567890123456789012345678901234567890123456789012345678901234567890");
	say("DEL {a}1");
	say("RPUSH {a}3 a b c");
	say("RENAME {a}3 {a}4");
	uint64_t digest = copies_hash(sd_slice_of("{a}1"), stamp_of("{a}1"), true) ^ copies_hash(sd_slice_of("{a}2"), stamp_of("{a}2"), false) ^
			  copies_hash(sd_slice_of("{a}3"), stamp_of("{a}3"), true) ^ copies_hash(sd_slice_of("{a}4"), stamp_of("{a}4"), false);
	ck_assert_uint_eq(cache_copies_digest(cc, s), digest);
	ck_assert_uint_eq(cache_copies_count(cc, s), 4);
	say("FLUSHALL");
	ck_assert_uint_eq(cache_copies_count(cc, s), 4);
	ck_assert_uint_eq(sd_dict_count(&cc->tombstones), 4);
	finish();
}
END_TEST

/* ---- copies ---- */

START_TEST(a_turn_sends_each_key_once)
{
	struct sd_slice keys[3] = {sd_slice_of("INCR"), sd_slice_of("n")};
	begin(1);
	unsigned before = nsent[COPIES_CHANGES];
	for (int i = 0; i < 3; i++)
		cache_call(&me, 2, keys, now_ms);
	cache_copies_turn(cc);
	ck_assert_uint_eq(nsent[COPIES_CHANGES] - before, 1);
	ck_assert_uint_eq(sent[COPIES_CHANGES].n, 8 + 1 + 8 + 8 + 4 + 1 + 4 + 3);
	cache_copies_turn(cc);
	ck_assert_uint_eq(nsent[COPIES_CHANGES] - before, 1);
	finish();
}
END_TEST

START_TEST(wait_counts_those_who_have_it)
{
	begin(1);
	ck_assert_str_eq(say("WAIT 0 0"), ":1\r\n");
	say("SET a 1");
	ck_assert_str_eq(say("WAIT 0 0"), ":0\r\n");
	ck_assert_str_eq(say("WAIT 1 50"), "");
	ck_assert(me.flags & CACHE_HELD);
	ck_assert_uint_eq(cache.nblocked, 1);
	ack(cc->turn - 1);
	ck_assert_int_eq(memcmp(me.out.p, ":1\r\n", 4), 0);
	ck_assert(!(me.flags & CACHE_HELD) && cache.nblocked == 0);
	ck_assert_str_eq(say("WAIT 1 0"), ":1\r\n");
	say("SET a 2");
	say("WAIT 1 50");
	now_ms += 60;
	cache_copies_data(cc)->tick(cc);
	ck_assert_int_eq(memcmp(me.out.p, ":0\r\n", 4), 0);
	cache_copies_data(cc)->link(cc, &members[1].id, false);
	ck_assert_str_eq(say("WAIT 0 0"), ":0\r\n");
	ck_assert_str_eq(say("WAIT x 0"), "-ERR value is not an integer or out of range\r\n");
	ck_assert_str_eq(say("WAIT 1 -1"), "-ERR timeout is negative\r\n");
	finish();
}
END_TEST

START_TEST(replies_of_a_quorum_wait_in_their_order)
{
	begin(2);
	ck_assert_str_eq(say("SET a 1"), "");
	ck_assert_str_eq(say("GET a"), ""); /* behind it */
	ack(cc->turn - 2);
	ck_assert_int_eq(memcmp(me.out.p, "+OK\r\n", 5), 0);
	ck_assert_uint_eq(me.out.n, 5); /* that nobody else answers is not known yet */
	ack(cc->turn - 1);
	ck_assert_int_eq(memcmp(me.out.p, "+OK\r\n$1\r\n1\r\n", 12), 0);
	ck_assert_uint_eq(me.out.n, 12);
	say("SET a 2");
	ck_assert_str_eq(say("GET a"), "");
	now_ms += cc->conf.write_timeout_ms + 1;
	me.out.n = 0;
	cache_copies_data(cc)->tick(cc);
	ck_assert_int_eq(memcmp(me.out.p, "-NOREPLICAS The write stays, but 1 of 2 nodes have it\r\n-TRYAGAIN ", 65), 0);
	ck_assert_str_eq(say("PING"), "+PONG\r\n");
	finish();
}
END_TEST

/* Another term: its slots, and what was not acknowledged in it. */
START_TEST(nothing_of_another_term_counts)
{
	struct sd_text hello = {0};
	begin(2);
	struct cache_view next = view;
	struct cache_asked asked = {.slot = sd_slot_of(sd_slice_of("a")), .write = true};
	struct sd_swim_id to;
	say("SET a 1");
	ack(cc->turn - 1);
	uint64_t first = stamp_of("a"), stream = cc->others[0]->stream;
	ck_assert_str_eq(say("GET a"), "");
	uint64_t turn = cc->turn - 1;
	next.epoch = 2;
	next.digest = 79;
	cache_copies_data(cc)->view_changed(cc, &view, &next);
	ck_assert_int_eq(copies_serving(cc, &asked, &to), CACHE_SERVE); /* it did, and does */
	cc->others[0]->stream = stream;
	ack(turn); /* of one who does not know the term yet */
	ck_assert_uint_eq(me.out.n, 0);
	copies_put(&hello, COPIES_VERSION_TERM, 1);
	copies_put(&hello, 4711, 8);
	copies_put(&hello, 2, 8);
	copies_put(&hello, 2, 1);
	hear(COPIES_HELLO, &hello);
	say("SET a 2");
	ck_assert(copies_stamp_term(first) == 1 && copies_stamp_term(stamp_of("a")) == 2);
	struct cache_view third = next; /* in which the other one answers for all */
	third.epoch = 3;
	third.digest = 80;
	third.slots.owners = malloc(sizeof(uint16_t) * 2 * SD_SLOTS);
	for (unsigned i = 0; i < SD_SLOTS; i++) {
		third.slots.owners[2 * i] = 1;
		third.slots.owners[2 * i + 1] = 0;
	}
	me.out.n = 0;
	cache_copies_data(cc)->view_changed(cc, &next, &third);
	ck_assert_int_eq(copies_serving(cc, &asked, &to), CACHE_ELSEWHERE);
	ck_assert_int_eq(memcmp(me.out.p, "-TRYAGAIN", 9), 0); /* nobody waits any longer */
	free(third.slots.owners);
	finish();
}
END_TEST

START_TEST(who_is_in_no_term_answers_for_nothing)
{
	begin(2);
	struct cache_view none = view;
	none.epoch = 0;
	none.digest = 78;
	say("SET a 1");
	cache_copies_data(cc)->view_changed(cc, &view, &none);
	ck_assert_str_eq(say("GET b"), "-CLUSTERDOWN The node waits to be taken into the cluster\r\n");
	ck_assert_str_eq(say("PING"), "+PONG\r\n");
	ck_assert_uint_eq(copies_stamp_term(stamp_of("a")), 0);
	finish();
}
END_TEST

START_TEST(a_handover_comes_behind_the_keys)
{
	struct sd_text t = {0};
	begin(1);
	say("SET a 1");
	unsigned s = sd_slot_of(sd_slice_of("a"));
	/* all slots are the other's now */
	struct cache_view other = view;
	other.slots.owners = malloc(sizeof(uint16_t) * 2 * SD_SLOTS);
	for (unsigned i = 0; i < SD_SLOTS; i++) {
		other.slots.owners[2 * i] = 1;
		other.slots.owners[2 * i + 1] = 0;
	}
	other.digest = 79;
	cache_copies_data(cc)->view_changed(cc, &view, &other);
	struct cache_asked asked = {.slot = s, .write = true};
	struct sd_swim_id to;
	ck_assert_int_eq(copies_serving(cc, &asked, &to), CACHE_SERVE);
	for (int i = 0; i < 40 && !nsent[COPIES_OFFER]; i++)
		cache_copies_data(cc)->tick(cc);
	ck_assert_uint_eq(nsent[COPIES_OFFER], 1);
	for (int i = 0; i < 40; i++)
		cache_copies_data(cc)->tick(cc);
	ck_assert_uint_eq(nsent[COPIES_HANDOVER], 0); /* nobody answered */
	unsigned changes = nsent[COPIES_CHANGES];
	copies_put(&t, 0, 4);
	copies_put(&t, 0, 2);
	hear(COPIES_WANT, &t);
	for (int i = 0; i < 40 && !nsent[COPIES_HANDOVER]; i++)
		cache_copies_data(cc)->tick(cc);
	ck_assert(nsent[COPIES_CHANGES] == changes + 1 && nsent[COPIES_HANDOVER] == 1);
	ck_assert_int_eq(copies_serving(cc, &asked, &to), CACHE_ELSEWHERE);
	ck_assert_int_eq(memcmp(&to, &members[1].id, sizeof(to)), 0);
	free(other.slots.owners);
	finish();
}
END_TEST

/* All slots have these owners. */
static uint16_t *owned_by(uint16_t first, uint16_t second)
{
	uint16_t *owners = malloc(sizeof(uint16_t) * 2 * SD_SLOTS);
	for (unsigned i = 0; i < SD_SLOTS; i++) {
		owners[2 * i] = first;
		owners[2 * i + 1] = second;
	}
	return owners;
}

/* A third node dies. This one answers for its slots at once when it had copies, and else when the other told what it has. */
static void dies(uint16_t copy_was_at)
{
	struct cache_view three, two;
	struct cache_view_member all[3] = {{.id.b[0] = 1}, {.id.b[0] = 2}, {.id.b[0] = 3}};
	struct sd_swim_id to;
	struct sd_text t = {0};
	struct copies_set set = {0};
	unsigned s = 0;
	begin(1);
	while (sd_slots_owner(&view.slots, s) == 0)
		s++; /* it never held it */
	three = two = view;
	three.members = all;
	three.n = 3;
	three.digest = 80;
	three.slots.owners = owned_by(2, copy_was_at);
	two.digest = 81;
	two.slots.owners = owned_by(0, 1);
	cache_copies_data(cc)->view_changed(cc, &view, &three);
	cache_copies_data(cc)->view_changed(cc, &three, &two);
	struct cache_asked asked = {.slot = s};
	ck_assert_int_eq(copies_serving(cc, &asked, &to), copy_was_at == 0 ? CACHE_SERVE : CACHE_TRY_AGAIN);
	copies_put(&t, two.digest, 8);
	hear(COPIES_CLAIM, &t);
	copies_resolve(cc);
	ck_assert_uint_eq(nsent[COPIES_ASK] > 0, copy_was_at != 0);
	copies_put(&t, 1, 4);
	copies_put(&t, two.digest, 8);
	copies_add(&set, s);
	copies_put_set(&t, &set);
	hear(COPIES_END, &t);
	copies_resolve(cc);
	ck_assert_int_eq(copies_serving(cc, &asked, &to), CACHE_SERVE);
	finish();
	free(three.slots.owners);
	free(two.slots.owners);
}

START_TEST(who_had_no_copy_asks_before_it_answers)
{
	dies(0);
	dies(1);
}
END_TEST

/* ---- with agreed views ---- */

/* The other one in the same term again, as after its link broke. */
static void hello_again(uint64_t stream)
{
	struct sd_text t = {0};
	copies_put(&t, COPIES_VERSION_TERM, 1);
	copies_put(&t, stream, 8);
	copies_put(&t, view.epoch, 8);
	copies_put(&t, 2, 1);
	hear(COPIES_HELLO, &t);
}

/* Offers are made until END is sent; the other one wants nothing. */
static void offer_all(void)
{
	unsigned ends = nsent[COPIES_END];
	for (int i = 0; i < 100 && nsent[COPIES_END] == ends; i++) {
		unsigned offers = nsent[COPIES_OFFER];
		cache_copies_data(cc)->tick(cc);
		if (nsent[COPIES_OFFER] == offers)
			continue;
		struct sd_text t = {0};
		sd_text_add(&t, sent[COPIES_OFFER].p, 4);
		hear(COPIES_WANT, &t);
	}
	ck_assert_uint_eq(nsent[COPIES_END], ends + 1);
}

START_TEST(an_answer_to_an_offer_before_counts_for_none_behind_it)
{
	struct sd_text late = {0}, now = {0};
	unsigned s = sd_slot_of(sd_slice_of("{a}1"));
	begin(2);
	say("SET {a}1 1");
	copies_offer(cc, cc->others[0], s);
	offer_all();
	sd_text_add(&late, sent[COPIES_END].p, sent[COPIES_END].n);
	cache_copies_data(cc)->link(cc, &members[1].id, false);
	cache_copies_data(cc)->link(cc, &members[1].id, true);
	hello_again(4712);
	copies_offer(cc, cc->others[0], s);
	offer_all();
	sd_text_add(&now, sent[COPIES_END].p, sent[COPIES_END].n);
	hear(COPIES_ENDED, &late);
	ck_assert(!copies_in(&cc->others[0]->has, s));
	hear(COPIES_ENDED, &now);
	ck_assert(copies_in(&cc->others[0]->has, s));
	finish();
}
END_TEST

START_TEST(who_leaves_with_all_others_waits_for_nobody)
{
	all_leave = has_left = false;
	begin(2);
	cache_copies_data(cc)->leave(cc, on_left, NULL);
	cache_copies_data(cc)->tick(cc);
	ck_assert(!has_left);
	all_leave = true;
	cache_copies_data(cc)->tick(cc);
	ck_assert(has_left);
	finish();
}
END_TEST

/* The view of another term: this node is retired in it, or no member. */
static struct cache_view other_view(uint64_t epoch, bool retired)
{
	struct cache_view v = view;
	v.epoch = v.digest = epoch;
	members[0].retired = retired;
	v.slots.owners = malloc(sizeof(uint16_t) * 2 * SD_SLOTS);
	for (unsigned i = 0; i < SD_SLOTS; i++) {
		v.slots.owners[2 * i] = 1;
		v.slots.owners[2 * i + 1] = SD_SLOTS_NONE;
	}
	if (!retired) {
		v.members = members + 1;
		v.n = v.self = 1;
		for (unsigned i = 0; i < SD_SLOTS; i++)
			v.slots.owners[2 * i] = 0;
	}
	return v;
}

static void ticks(int64_t ms)
{
	for (int64_t until = now_ms + ms; now_ms < until; now_ms += 100)
		cache_copies_data(cc)->tick(cc);
}

/* However long that takes; one that was only not heard of is waited for a while, since the others may want it back. */
START_TEST(who_leaves_a_quorum_goes_when_it_is_let_go)
{
	all_leave = has_left = false;
	begin(2);
	struct cache_view retired = other_view(2, true), out = other_view(3, false), again = other_view(4, true);
	cache_copies_data(cc)->leave(cc, on_left, NULL);
	cache_copies_data(cc)->view_changed(cc, &view, &retired);
	ticks(60000);
	ck_assert(!has_left);
	members[0].retired = true; /* in the views that have it */
	cache_copies_data(cc)->view_changed(cc, &retired, &out);
	ticks(2000);
	ck_assert(!has_left);
	cache_copies_data(cc)->view_changed(cc, &out, &again);
	ticks(60000);
	ck_assert(!has_left);
	cc->ready = cc->others[0]->ready = CACHE_WHOLE; /* all is whole without it: nothing is to be waited for */
	cc->others[0]->ready_term = 4;
	cache_copies_data(cc)->view_changed(cc, &again, &out);
	ticks(100);
	ck_assert(has_left);
	free(retired.slots.owners);
	free(out.slots.owners);
	free(again.slots.owners);
	finish();
}
END_TEST

START_TEST(who_was_dropped_and_is_not_taken_back_goes_after_a_while)
{
	has_left = false;
	begin(2);
	struct cache_view retired = other_view(2, true), out = other_view(3, false);
	cache_copies_data(cc)->leave(cc, on_left, NULL);
	cache_copies_data(cc)->view_changed(cc, &view, &retired);
	cache_copies_data(cc)->view_changed(cc, &retired, &out);
	ticks(2900);
	ck_assert(!has_left);
	ticks(300);
	ck_assert(has_left);
	free(retired.slots.owners);
	free(out.slots.owners);
	finish();
}
END_TEST

START_TEST(a_slot_that_went_calls_off_what_watches_it)
{
	struct copies_set set = {0};
	begin(1);
	say("WATCH {a}1");
	say("MULTI");
	copies_add(&set, sd_slot_of(sd_slice_of("{b}1")));
	copies_unblock(cc, &set);
	ck_assert_str_eq(say("EXEC"), "*0\r\n");
	say("WATCH {a}1");
	say("MULTI");
	copies_add(&set, sd_slot_of(sd_slice_of("{a}1")));
	copies_unblock(cc, &set);
	ck_assert_str_eq(say("EXEC"), "*-1\r\n");
	finish();
}
END_TEST

/* ---- messages ---- */

START_TEST(bad_messages_change_nothing)
{
	begin(1);
	for (unsigned kind = 0; kind < COPIES_KINDS + 3; kind++) {
		struct sd_text t = {0};
		uint64_t bad = cc->stats.bad;
		sd_text_fill(&t, (char)0xff, 7);
		hear(kind, &t);
		ck_assert_uint_eq(cc->stats.bad, bad + 1);
	}
	struct copies_set set;
	static const uint8_t runs[][8] = {{5, 0, 4, 0, 9, 0, 9, 0}, {1, 0, 2, 0, 3, 0, 4, 0}, {1, 0, 2, 0, 2, 0, 4, 0}, {0, 0, 0, 64, 0, 0, 0, 0}};
	for (size_t i = 0; i < 4; i++)
		ck_assert(!copies_get_set((struct sd_slice){(const char *)runs[i], 8}, &set));
	struct sd_text t = {0};
	for (unsigned s = 0; s < SD_SLOTS; s += 3)
		copies_add(&set, s);
	uint64_t n = set.n;
	copies_put_set(&t, &set);
	struct copies_set back;
	ck_assert(copies_get_set((struct sd_slice){t.p, t.n}, &back) && back.n == n && memcmp(set.w, back.w, sizeof(back.w)) == 0);
	free(t.p);
	/* a stamp of next year is none */
	uint64_t bad = cc->stats.received;
	state("a", at(now_ms + 400ll * 86400000), "1", -1);
	ck_assert_str_eq(say("GET a"), "$-1\r\n");
	ck_assert_uint_eq(cc->stats.received, bad);
	finish();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("copies");
	TCase *t = tcase_create("copies");
	tcase_add_test(t, stamps_only_go_up);
	tcase_add_test(t, the_last_stamp_wins_in_any_order);
	tcase_add_test(t, deleted_and_ended_keys_do_not_come_back);
	tcase_add_test(t, digests_tell_what_there_is);
	tcase_add_test(t, a_turn_sends_each_key_once);
	tcase_add_test(t, wait_counts_those_who_have_it);
	tcase_add_test(t, replies_of_a_quorum_wait_in_their_order);
	tcase_add_test(t, nothing_of_another_term_counts);
	tcase_add_test(t, who_is_in_no_term_answers_for_nothing);
	tcase_add_test(t, a_handover_comes_behind_the_keys);
	tcase_add_test(t, who_had_no_copy_asks_before_it_answers);
	tcase_add_test(t, an_answer_to_an_offer_before_counts_for_none_behind_it);
	tcase_add_test(t, who_leaves_with_all_others_waits_for_nobody);
	tcase_add_test(t, who_leaves_a_quorum_goes_when_it_is_let_go);
	tcase_add_test(t, who_was_dropped_and_is_not_taken_back_goes_after_a_while);
	tcase_add_test(t, a_slot_that_went_calls_off_what_watches_it);
	tcase_add_test(t, bad_messages_change_nothing);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
