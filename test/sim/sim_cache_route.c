/* What clients are told when a slot moves between two of their requests: two nodes on simulated machines, whose data side is the test's
 * and says at each moment which of them answers for the one slot. Transactions are done or called off, those who wait get what they
 * wait for, wherever it is by then, and nothing is left of clients that went. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/cache/cluster/cache_cluster.h"
#include "world/loop.h"
#include "world/sim.h"

#define SECOND 1000000000ll
#define NODES  2
#define NOBODY (-1)

struct node {
	struct sd_loop *loop;
	struct cache cache;
	struct cache_cluster cl;
	int owner; /* in the eyes of this one */
};

struct asker {
	struct node *at;
	struct cache_session session;
	struct cache_route route;
	char text[512]; /* what it was told since it asked last */
};

static struct sd_sim *sim;
static struct node nodes[NODES];
static struct asker asker, other;
static bool was_at_1; /* a client: node 0 was asked by node 1 */

/* ---- nodes ---- */

static void nothing(void *arg)
{
	(void)arg;
}

static void take_woken(struct node *n)
{
	while (!sd_list_empty(&n->cache.woken)) {
		struct cache_session *s = sd_container(n->cache.woken.next, struct cache_session, woken);
		sd_list_del(&s->woken);
		if (s->flags & CACHE_REMOTE)
			cache_remote_woken(s);
	}
}

static void on_leave(void *arg)
{
	take_woken(arg);
}

static enum cache_serving serving(void *arg, const struct cache_asked *asked, struct sd_swim_id *to)
{
	const struct node *n = arg;
	(void)asked;
	if (n->owner == NOBODY)
		return CACHE_TRY_AGAIN;
	*to = nodes[n->owner].cl.conf.id;
	return n->owner == n - nodes ? CACHE_SERVE : CACHE_ELSEWHERE;
}

static void start(int i, const struct sd_addr *seed)
{
	struct node *n = &nodes[i];
	struct sd_error e = {0};
	char name[8];
	snprintf(name, sizeof(name), "node%d", i);
	struct sd_world *world = sd_sim_node(sim, name);
	*n = (struct node){.loop = sd_loop_new(world, &e)};
	ck_assert_ptr_nonnull(n->loop);
	sd_loop_start(n->loop, "loop", NULL);
	cache_init(&n->cache, (uint64_t)i + 1, sd_world_wall_ns(world) / 1000000);
	n->cl = (struct cache_cluster){.cache = &n->cache, .loop = n->loop, .host = {n, nothing, on_leave, nothing}};
	n->cl.conf = (struct cache_cluster_conf){.name = "ours", .copies = 1, .quorum = 1, .interval_ns = SECOND / 5, .port = 7001, .seeds = seed,
						 .nseeds = seed != NULL, .routing = CACHE_ROUTE_PROXY};
	n->cl.conf.bind = (struct sd_addr){.kind = SD_ADDR_INET, .ip = {10, 0, 0, (uint8_t)(i + 1)}, .port = 17001};
	n->cl.conf.id.b[0] = (uint8_t)(i + 1);
	struct cache_data data = {.arg = n, .serving = serving};
	cache_cluster_use(&n->cl, &data);
	ck_assert_msg(cache_cluster_start(&n->cl, &e) == SD_OK, "%s", e.text);
	n->cache.cluster = &n->cl;
}

static void run_for(int64_t ns)
{
	for (int64_t until = sd_sim_now_ns(sim) + ns; sd_sim_next_ns(sim) <= until && sd_sim_step(sim);)
		for (int i = 0; i < NODES; i++)
			take_woken(&nodes[i]);
}

/* In the eyes of all. */
static void owned_by(int owner)
{
	for (int i = 0; i < NODES; i++)
		nodes[i].owner = owner;
}

static void end(struct asker *a)
{
	if (!a->at)
		return;
	cache_route_end(&a->route);
	cache_session_end(&a->session);
	take_woken(a->at);
	a->at = NULL;
}

static void come(struct asker *a, int node)
{
	end(a);
	a->at = &nodes[node];
	was_at_1 |= node == 1;
	cache_session_begin(&a->at->cache, &a->session);
	a->session.flags |= CACHE_AUTHENTICATED;
	cache_route_begin(&a->route, &a->at->cl, &a->session);
}

static void begin(void)
{
	struct sd_addr seed = {.kind = SD_ADDR_INET, .ip = {10, 0, 0, 1}, .port = 17001};
	sim = sd_sim_new(1);
	asker.at = other.at = NULL;
	was_at_1 = false;
	start(0, NULL);
	start(1, &seed);
	owned_by(1);
	run_for(5 * SECOND);
	for (int i = 0; i < NODES; i++)
		ck_assert_uint_eq(nodes[i].cl.view->n, NODES);
}

static size_t count(const struct sd_link *list)
{
	size_t n = 0;
	for (const struct sd_link *k = list->next; k != list; k = k->next)
		n++;
	return n;
}

/* Nobody waits for anything any more, and sessions for clients of others are gone with them. */
static void finish(void)
{
	end(&asker);
	end(&other);
	run_for(SECOND);
	for (int i = 0; i < NODES; i++) {
		ck_assert_msg(sd_list_empty(&nodes[i].cl.parts), "node %d: a part is left", i);
		for (const struct sd_link *k = nodes[i].cache.sessions.next; k != &nodes[i].cache.sessions; k = k->next) {
			struct cache_session *s = sd_container(k, struct cache_session, link);
			ck_assert_msg(!s->wait && sd_list_empty(&s->watches), "node %d: somebody waits or watches", i);
		}
		ck_assert_uint_le(count(&nodes[i].cl.remotes), i == 1 || was_at_1); /* one of all that leave nothing behind */
	}
	for (int i = 0; i < NODES; i++) {
		cache_cluster_end(&nodes[i].cl);
		cache_end(&nodes[i].cache);
		sd_loop_join(nodes[i].loop);
		sd_loop_flush(nodes[i].loop);
		sd_loop_free(nodes[i].loop);
	}
	sd_sim_free(sim);
}

/* ---- asking ---- */

static void send(struct asker *a, const char *words)
{
	char text[256];
	struct sd_slice argv[16];
	size_t argc = 0;
	char *save = NULL;
	snprintf(text, sizeof(text), "%s", words);
	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = sd_slice_of(p);
	a->session.out.n = 0;
	ck_assert(cache_route_call(&a->route, argc, argv, sd_world_wall_ns(sd_loop_world(a->at->loop)) / 1000000));
	sd_loop_flush(a->at->loop);
	take_woken(a->at);
}

static const char *told(struct asker *a)
{
	snprintf(a->text, sizeof(a->text), "%.*s", (int)a->session.out.n, a->session.out.p ? a->session.out.p : "");
	return a->text;
}

static const char *say(struct asker *a, const char *words)
{
	send(a, words);
	run_for(SECOND / 2);
	return told(a);
}

static void says(struct asker *a, const char *words, const char *reply)
{
	ck_assert_msg(strcmp(say(a, words), reply) == 0, "%s: %s", words, told(a));
}

static void queue(struct asker *a)
{
	says(a, "MULTI", "+OK\r\n");
	says(a, "SET {k}x 2", "+QUEUED\r\n");
}

/* ---- transactions ---- */

static const char nil[] = "*-1\r\n", done[] = "*1\r\n+OK\r\n";

START_TEST(a_watch_here_and_there_holds_while_nothing_moves)
{
	begin();
	for (int at = 0; at < NODES; at++) {
		come(&asker, at);
		come(&other, 0);
		says(&asker, "WATCH {k}a", "+OK\r\n");
		says(&asker, "WATCH {k}b", "+OK\r\n");
		queue(&asker);
		says(&asker, "EXEC", done);
		says(&asker, "WATCH {k}a", "+OK\r\n");
		queue(&asker);
		says(&other, "SET {k}a 1", "+OK\r\n");
		says(&asker, "EXEC", nil);
	}
	finish();
}
END_TEST

/* From where the watch was, to where it went, in the eyes of the node that is asked; every way there is. */
START_TEST(a_slot_that_moves_calls_the_transaction_off)
{
	begin();
	for (int at = 0; at < NODES; at++)
		for (int from = 0; from < NODES; from++)
			for (int to = NOBODY; to < NODES; to++) {
				if (to == from)
					continue;
				owned_by(from);
				come(&asker, at);
				says(&asker, "WATCH {k}a", "+OK\r\n");
				queue(&asker);
				owned_by(to);
				says(&asker, "EXEC", nil);
				owned_by(from);
				says(&asker, "GET {k}x", "$-1\r\n");
				queue(&asker); /* and is over with that */
				says(&asker, "EXEC", done);
				says(&asker, "DEL {k}x", ":1\r\n");
			}
	finish();
}
END_TEST

/* Only the node that has the watch knows as yet that the slot moved. */
START_TEST(a_slot_that_moved_unheard_calls_the_transaction_off)
{
	begin();
	for (int to = NOBODY; to < 1; to++) {
		owned_by(1);
		come(&asker, 0);
		says(&asker, "WATCH {k}a", "+OK\r\n");
		queue(&asker);
		nodes[1].owner = to;
		says(&asker, "EXEC", nil);
		come(&asker, 0);
		says(&asker, "WATCH {k}a", "-TRYAGAIN the slot is moving\r\n");
	}
	finish();
}
END_TEST

START_TEST(a_second_watch_elsewhere_is_to_be_tried_again)
{
	begin();
	come(&asker, 0);
	says(&asker, "WATCH {k}a", "+OK\r\n");
	owned_by(0);
	says(&asker, "WATCH {k}b", "+OK\r\n"); /* here now */
	queue(&asker);
	says(&asker, "EXEC", nil);
	says(&asker, "WATCH {k}a", "+OK\r\n");
	owned_by(1);
	says(&asker, "WATCH {k}b", "-TRYAGAIN the slot is moving\r\n");
	says(&asker, "UNWATCH", "+OK\r\n");
	says(&asker, "WATCH {k}b", "+OK\r\n");
	says(&asker, "UNWATCH", "+OK\r\n");
	finish();
}
END_TEST

/* Its sessions went with it, and what they watched: a transaction on a link made anew would know of no change. */
START_TEST(a_link_that_broke_calls_the_transaction_off)
{
	begin();
	come(&asker, 0);
	come(&other, 1);
	says(&asker, "WATCH {k}a", "+OK\r\n");
	queue(&asker);
	cache_bus_cut(nodes[0].cl.bus, &nodes[1].cl.conf.id);
	run_for(SECOND);
	says(&other, "SET {k}a 1", "+OK\r\n");
	says(&asker, "EXEC", nil);
	says(&asker, "WATCH {k}a", "+OK\r\n");
	cache_bus_cut(nodes[0].cl.bus, &nodes[1].cl.conf.id);
	run_for(SECOND);
	says(&asker, "WATCH {k}b", "-TRYAGAIN the slot is moving\r\n");
	says(&asker, "UNWATCH", "+OK\r\n");
	says(&asker, "WATCH {k}a", "+OK\r\n");
	queue(&asker);
	says(&asker, "EXEC", done);
	finish();
}
END_TEST

START_TEST(keys_of_several_slots_are_still_refused)
{
	begin();
	come(&asker, 0);
	says(&asker, "WATCH {k}a", "+OK\r\n");
	says(&asker, "WATCH {m}a", "+OK\r\n"); /* it happens to be there too */
	queue(&asker);
	owned_by(0);
	ck_assert_int_eq(strncmp(say(&asker, "EXEC"), "-CROSSSLOT ", 11), 0);
	says(&asker, "WATCH {k}a", "+OK\r\n");
	says(&asker, "MULTI", "+OK\r\n");
	says(&asker, "SET {m}x 2", "+QUEUED\r\n");
	owned_by(1);
	ck_assert_int_eq(strncmp(say(&asker, "EXEC"), "-CROSSSLOT ", 11), 0);
	finish();
}
END_TEST

START_TEST(a_transaction_that_watches_nothing_is_done_where_the_slot_goes)
{
	begin();
	for (int from = NOBODY; from < NODES; from++)
		for (int to = 0; to < NODES; to++) {
			come(&asker, 0);
			owned_by(1);
			queue(&asker);
			owned_by(from);
			nodes[1].owner = from == 1 ? to : from; /* also one who only thinks that it is there */
			send(&asker, "EXEC");
			owned_by(to);
			run_for(SECOND);
			ck_assert_str_eq(told(&asker), done);
		}
	finish();
}
END_TEST

/* ---- those who wait ---- */

START_TEST(who_waits_for_a_list_gets_it_wherever_it_is_by_then)
{
	begin();
	for (int to = 0; to < NODES; to++) {
		come(&asker, 0);
		come(&other, 0);
		owned_by(NOBODY);
		says(&asker, "BLPOP {k}l 0", ""); /* before it is anywhere */
		owned_by(to);
		run_for(SECOND);
		says(&other, "RPUSH {k}l one", ":1\r\n");
		ck_assert_str_eq(told(&asker), "*2\r\n$4\r\n{k}l\r\n$3\r\none\r\n");
		send(&asker, "BLPOP {k}l 0");
		run_for(20 * SECOND);
		says(&other, "RPUSH {k}l two", ":1\r\n");
		ck_assert_str_eq(told(&asker), "*2\r\n$4\r\n{k}l\r\n$3\r\ntwo\r\n");
	}
	finish();
}
END_TEST

/* As the data side does when it gives a slot away. */
static void unblock(struct node *n)
{
	for (struct sd_link *k = n->cache.sessions.next; k != &n->cache.sessions; k = k->next) {
		struct cache_session *s = sd_container(k, struct cache_session, link);
		if (s->wait)
			cache_unblock(s, CACHE_SLOT_MOVED);
	}
	take_woken(n);
}

START_TEST(who_waits_there_goes_where_the_slot_goes)
{
	begin();
	come(&asker, 0);
	come(&other, 0);
	says(&asker, "BLPOP {k}l 0", "");
	run_for(20 * SECOND);
	owned_by(0);
	unblock(&nodes[1]);
	run_for(SECOND);
	ck_assert_str_eq(told(&asker), "");
	owned_by(1); /* and back */
	unblock(&nodes[0]);
	run_for(SECOND);
	says(&other, "RPUSH {k}l one", ":1\r\n");
	ck_assert_str_eq(told(&asker), "*2\r\n$4\r\n{k}l\r\n$3\r\none\r\n");
	finish();
}
END_TEST

START_TEST(who_waits_for_a_slot_that_nobody_has_is_told)
{
	begin();
	come(&asker, 0);
	owned_by(NOBODY);
	send(&asker, "BLPOP {k}l 0");
	run_for(7 * SECOND);
	ck_assert_str_eq(told(&asker), "-CLUSTERDOWN no node answers for this key\r\n");
	finish();
}
END_TEST

START_TEST(a_client_that_goes_takes_nothing_more)
{
	begin();
	for (int to = 0; to < NODES; to++) {
		come(&asker, 0);
		come(&other, 0);
		owned_by(NOBODY);
		send(&asker, "BLPOP {k}l 0"); /* waits there, or for this node by way of itself */
		owned_by(to);
		run_for(SECOND);
		end(&asker);
		run_for(SECOND);
		says(&other, "RPUSH {k}l one", ":1\r\n");
		says(&other, "LPOP {k}l", "$3\r\none\r\n");
	}
	finish();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache_route");
	TCase *t = tcase_create("moves");
	tcase_add_test(t, a_watch_here_and_there_holds_while_nothing_moves);
	tcase_add_test(t, a_slot_that_moves_calls_the_transaction_off);
	tcase_add_test(t, a_slot_that_moved_unheard_calls_the_transaction_off);
	tcase_add_test(t, a_second_watch_elsewhere_is_to_be_tried_again);
	tcase_add_test(t, a_link_that_broke_calls_the_transaction_off);
	tcase_add_test(t, keys_of_several_slots_are_still_refused);
	tcase_add_test(t, a_transaction_that_watches_nothing_is_done_where_the_slot_goes);
	tcase_add_test(t, who_waits_for_a_list_gets_it_wherever_it_is_by_then);
	tcase_add_test(t, who_waits_there_goes_where_the_slot_goes);
	tcase_add_test(t, who_waits_for_a_slot_that_nobody_has_is_told);
	tcase_add_test(t, a_client_that_goes_takes_nothing_more);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
