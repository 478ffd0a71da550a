/* The broker's log: what comes back after a stop and after a crash, what compaction leaves, and logs that are not as they should be. */
#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../applets/mq/store/mq_store_int.h"
#include "core/bytes.h"
#include "world/file.h"
#include "world/sim.h"

/* ---- counted allocations, where no sanitizer has them ---- */

#if !defined(SD_SANITIZED) && defined(__GLIBC__)
#define COUNTED 1
void *__libc_malloc(size_t n);
static uint64_t allocations;

void *malloc(size_t n)
{
	allocations++;
	return __libc_malloc(n);
}
#endif

/* ---- fixture: a broker with its log, on the kernel's disk or the simulated one ---- */

static struct sd_sim *sim;
static struct sd_world *world;
static char folder[64], dir[100];
static struct mq_store_conf conf;
static struct mq_conf broker_conf;
static struct mq_store *store;
static struct mq *mq;
static struct mq_channel channel;
static bool begun;
static struct mq_store_found found;
static const char *returned;

static void on_confirm(struct mq_channel *ch, uint64_t seq, bool multiple, bool refused)
{
	(void)ch, (void)seq, (void)multiple, (void)refused;
}

static void on_returned(struct mq_channel *ch, unsigned code, const char *text, const struct mq_message *m)
{
	(void)ch, (void)code, (void)m;
	returned = text;
}

static bool has_room(struct mq_channel *ch)
{
	(void)ch;
	return true;
}

static const struct mq_channel_ops ops = {.confirm = on_confirm, .returned = on_returned, .room = has_room};

static void setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/sdlab-mq.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(dir, sizeof(dir), "%s/data", folder);
	world = sd_world_real();
	conf = (struct mq_store_conf){.dir = dir, .segment_bytes = 16384};
	broker_conf = mq_conf_default();
}

static void setup_sim(void)
{
	sim = sd_sim_new(1);
	world = sd_sim_node(sim, "n1");
	snprintf(dir, sizeof(dir), "data");
	conf = (struct mq_store_conf){.dir = dir, .segment_bytes = 16384};
	broker_conf = mq_conf_default();
}

static enum sd_err try_start(struct sd_error *e)
{
	store = mq_store_new(world, NULL, NULL, &conf);
	struct mq_journal journal = mq_store_journal(store);
	mq = mq_new(&broker_conf, &journal, 1, 1, 1700000000000);
	enum sd_err err = mq_store_open(store, mq, &found, e);
	if (!err)
		mq_channel_begin(&channel, mq_vhost_find(mq, sd_slice_of("/")), &ops, &channel, sd_slice_of("guest"));
	begun |= !err;
	return err;
}

static void start(void)
{
	struct sd_error e = {0};
	ck_assert_msg(try_start(&e) == SD_OK, "%s", e.text);
}

static void turn(void)
{
	while (mq_turn(mq))
		;
	mq_store_turn(store);
}

static void on_closed(void *arg, enum sd_err err)
{
	*(enum sd_err *)arg = err;
}

static void end(void)
{
	if (begun)
		mq_channel_end(&channel);
	begun = false;
	mq_store_free(store);
	mq_free(mq);
	store = NULL;
	mq = NULL;
}

static void stop(void)
{
	enum sd_err err = SD_EIO;
	turn();
	mq_store_close(store, on_closed, &err);
	ck_assert_int_eq(err, SD_OK);
	end();
}

static void crash(void)
{
	turn();
	end();
}

static void remove_all(const char *path)
{
	char **names = sd_world_list_dir(world, path);
	for (size_t i = 0; names && names[i]; i++) {
		char one[600];
		struct stat st;
		snprintf(one, sizeof(one), "%s/%s", path, names[i]);
		if (lstat(one, &st) == 0 && S_ISDIR(st.st_mode))
			remove_all(one);
		else
			unlink(one);
		free(names[i]);
	}
	free(names);
	rmdir(path);
}

static void teardown(void)
{
	if (store)
		end();
	if (sim)
		sd_sim_free(sim);
	else {
		remove_all(folder);
		sd_world_free(world);
	}
	sim = NULL;
}

/* ---- what is done with it ---- */

static const char persistent[] = {0x10, 0x00, 2}; /* properties: delivery-mode */

static struct mq_vhost *vhost(void)
{
	return mq_vhost_find(mq, sd_slice_of("/"));
}

static void declare(const char *name)
{
	struct mq_error e;
	struct mq_queue *q;
	struct mq_queue_decl d = {.name = sd_slice_of(name), .durable = true, .connection = &channel};
	ck_assert_msg(mq_queue_declare(vhost(), &d, &q, &e), "%s", e.text);
}

static void publish_to(const char *exchange, const char *key, struct sd_slice body)
{
	struct mq_error e;
	struct mq_publication p = {
	    .exchange = sd_slice_of(exchange),
	    .key = sd_slice_of(key),
	    .properties = {persistent, sizeof(persistent)},
	    .body = body,
	    .mandatory = true,
	};
	returned = NULL;
	ck_assert_msg(mq_publish(&channel, &p, &e), "%s", e.text);
	ck_assert_msg(!returned, "%s", returned);
}

static void put(const char *queue, unsigned i)
{
	char text[40];
	snprintf(text, sizeof(text), "message %u", i);
	publish_to("", queue, sd_slice_of(text));
}

static void many(const char *queue, unsigned from, unsigned to)
{
	for (unsigned i = from; i <= to; i++) {
		put(queue, i);
		if (i % 10 == 0)
			turn();
	}
	turn();
}

/* The next one; NULL: it is empty. Its text is in `text`. */
static char text[100];
static struct mq_entry *get(const char *queue)
{
	struct mq_error e;
	struct mq_entry *out;
	struct sd_slice body;
	uint64_t left;
	ck_assert_msg(mq_get(&channel, sd_slice_of(queue), false, &out, &left, &e), "%s", e.text);
	if (!out)
		return NULL;
	ck_assert(mq_body(mq, out->message, &body));
	snprintf(text, sizeof(text), "%.*s", (int)body.n, body.p);
	return out;
}

static void settle(uint64_t tag, bool multiple, enum mq_settle how)
{
	struct mq_error e;
	ck_assert_msg(mq_settle(&channel, tag, multiple, how, &e), "%s", e.text);
}

static void expect(const char *queue, unsigned i, bool redelivered)
{
	char due[40];
	struct mq_entry *e = get(queue);
	ck_assert_msg(e != NULL, "%s is empty, message %u is missing", queue, i);
	snprintf(due, sizeof(due), "message %u", i);
	ck_assert_str_eq(text, due);
	ck_assert_msg(e->redelivered == redelivered, "message %u: redelivered is %d", i, e->redelivered);
	settle(e->tag, false, MQ_ACK);
}

static void expect_all(const char *queue, unsigned from, unsigned to, bool redelivered)
{
	for (unsigned i = from; i <= to; i++)
		expect(queue, i, redelivered);
	ck_assert_ptr_null(get(queue));
}

/* ---- stopping and dying ---- */

START_TEST(comes_back)
{
	start();
	ck_assert_uint_eq(found.queues, 0);
	declare("a");
	declare("b");
	many("a", 1, 500);
	many("b", 1, 20);
	publish_to("", "a", sd_slice_of("")); /* an empty body */
	stop();
	start();
	ck_assert_uint_eq(found.queues, 2);
	ck_assert_uint_eq(found.messages, 521);
	for (unsigned i = 1; i <= 500; i++)
		expect("a", i, false);
	ck_assert_ptr_nonnull(get("a"));
	ck_assert_str_eq(text, "");
	crash();
	start();
	ck_assert_uint_eq(found.messages, 21);
	expect_all("b", 1, 20, true); /* whoever died cannot tell what was on its way */
	crash();
	start();
	ck_assert_uint_eq(found.messages, 1);
	declare("c"); /* its number is its own */
	many("c", 1, 3);
	crash();
	start();
	expect_all("c", 1, 3, true);
	ck_assert_ptr_null(get("b"));
}
END_TEST

/* After a stop in order only what was out, or had been, is flagged. */
START_TEST(what_was_out_is_flagged)
{
	start();
	declare("a");
	many("a", 1, 4);
	ck_assert_ptr_nonnull(get("a"));
	struct mq_entry *second = get("a");
	settle(second->tag, false, MQ_REQUEUE);
	stop();
	for (unsigned i = 0; i < 2; i++) { /* and still after another stop */
		start();
		stop();
	}
	start();
	expect("a", 1, true);
	expect("a", 2, true);
	expect("a", 3, false);
	crash();
	start();
	expect("a", 4, true);
	put("a", 5);
	stop();
	start();
	ck_assert_ptr_nonnull(get("a"));
	end(); /* dies with nothing written since the start */
	start();
	expect("a", 5, true);
}
END_TEST

START_TEST(settled_stay_away)
{
	start();
	declare("a");
	many("a", 1, 1000);
	struct mq_entry *e = NULL;
	for (unsigned i = 1; i <= 900; i++)
		e = get("a");
	settle(e->tag, true, MQ_ACK);
	struct mq_store_stats st;
	mq_store_stats(store, &st);
	crash();
	start();
	ck_assert_uint_eq(found.messages, 100);
	ck_assert_uint_lt(found.records, 1000 + 1 + 900 / MQ_SETTLES + 5); /* settled together, written together */
	expect_all("a", 901, 1000, true);
	crash();
	start();
	ck_assert_ptr_null(get("a"));
}
END_TEST

START_TEST(failures_are_remembered)
{
	start();
	declare("a");
	put("a", 1);
	for (unsigned i = 1; i <= 2; i++) {
		struct mq_entry *e = get("a");
		ck_assert_uint_eq(e->failures, i - 1);
		settle(e->tag, false, MQ_REQUEUE);
		crash();
		start();
	}
	struct mq_entry *e = get("a");
	ck_assert_uint_eq(e->failures, 2);
	settle(e->tag, false, MQ_REQUEUE);
	settle(get("a")->tag, false, MQ_REQUEUE); /* once too often */
	ck_assert_ptr_null(get("a"));
	crash();
	start();
	ck_assert_ptr_null(get("a"));
	expect("a.dlq", 1, true);
}
END_TEST

START_TEST(purged_stay_away)
{
	struct mq_error e;
	uint64_t n;
	start();
	declare("a");
	declare("b");
	many("a", 1, 20);
	many("b", 1, 20);
	ck_assert(mq_queue_purge(vhost(), &channel, sd_slice_of("a"), &n, &e));
	ck_assert_uint_eq(n, 20);
	many("a", 21, 25);
	crash();
	start();
	ck_assert_uint_eq(found.messages, 25);
	expect_all("a", 21, 25, true);
	struct mq_entry *out = get("b"); /* one that is out is not purged */
	ck_assert(mq_queue_purge(vhost(), &channel, sd_slice_of("b"), &n, &e));
	ck_assert_uint_eq(n, 19);
	turn();
	settle(out->tag, false, MQ_REQUEUE);
	crash();
	start();
	expect_all("b", 1, 1, true);
	crash();
	start(); /* numbers begin again, and what is published now was not purged then */
	many("a", 1, 5);
	crash();
	start();
	expect_all("a", 1, 5, true);
}
END_TEST

/* Exchanges, queues and bindings are as declared; what was deleted is gone. */
START_TEST(topology)
{
	struct mq_error e;
	uint64_t n;
	start();
	struct mq_exchange_decl x = {.name = sd_slice_of("logs"), .type = sd_slice_of("fanout"), .durable = true};
	ck_assert(mq_exchange_declare(vhost(), &x, &e));
	x.name = sd_slice_of("gone");
	ck_assert(mq_exchange_declare(vhost(), &x, &e));
	declare("a");
	declare("b");
	declare("c");
	for (const char *q = "abc"; *q; q++)
		ck_assert(mq_queue_bind(vhost(), &channel, (struct sd_slice){q, 1}, sd_slice_of("logs"), sd_slice_of(""),
					(struct sd_slice){0}, &e));
	ck_assert(mq_queue_unbind(vhost(), &channel, sd_slice_of("b"), sd_slice_of("logs"), sd_slice_of(""), (struct sd_slice){0}, &e));
	publish_to("logs", "", sd_slice_of("message 1"));
	ck_assert(mq_queue_delete(vhost(), &channel, sd_slice_of("c"), false, false, &n, &e));
	ck_assert(mq_exchange_delete(vhost(), sd_slice_of("gone"), false, &e));
	for (unsigned i = 0; i < 2; i++) {
		crash();
		start();
		ck_assert_uint_eq(found.queues, 2);
		ck_assert_ptr_null(mq_exchange_find(vhost(), sd_slice_of("gone")));
		ck_assert_ptr_null(mq_queue_find(vhost(), sd_slice_of("c")));
		publish_to("logs", "", sd_slice_of("message 2"));
	}
	expect("a", 1, true);
	expect("a", 2, true);
	expect("a", 2, false);
	ck_assert_ptr_null(get("b"));
	declare("c"); /* another queue of that name has nothing of the first */
	crash();
	start();
	ck_assert_ptr_null(get("c"));
}
END_TEST

START_TEST(one_message_in_many_queues)
{
	struct mq_error e;
	char name[20];
	start();
	struct mq_exchange_decl x = {.name = sd_slice_of("logs"), .type = sd_slice_of("fanout"), .durable = true};
	ck_assert(mq_exchange_declare(vhost(), &x, &e));
	for (unsigned i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "q%u", i);
		declare(name);
		ck_assert(mq_queue_bind(vhost(), &channel, sd_slice_of(name), sd_slice_of("logs"), sd_slice_of(""),
					(struct sd_slice){0}, &e));
	}
	for (unsigned i = 1; i <= 3; i++) {
		snprintf(name, sizeof(name), "message %u", i);
		publish_to("logs", "", sd_slice_of(name));
	}
	for (unsigned i = 0; i < 50; i += 2) {
		snprintf(name, sizeof(name), "q%u", i);
		expect(name, 1, false);
	}
	crash();
	start();
	ck_assert_uint_eq(found.messages, 125);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "q%u", i);
		expect_all(name, 1 + (i % 2 == 0), 3, true);
	}
	struct mq_store_stats st;
	mq_store_stats(store, &st);
	ck_assert_uint_eq(store->segments.live, 0);
}
END_TEST

/* ---- bodies ---- */

START_TEST(bodies_are_fetched)
{
	struct mq_store_stats st;
	broker_conf.memory = 0;
	start();
	declare("a");
	many("a", 1, 1000);
	ck_assert_uint_eq(mq->body_memory, 0);
	expect("a", 1, false);
	mq_store_stats(store, &st);
	ck_assert_uint_eq(st.fetched, 1);
	char *large = malloc(300000);
	memset(large, 'x', 300000);
	publish_to("", "a", (struct sd_slice){large, 300000});
	turn();
	for (unsigned i = 2; i <= 1000; i++)
		expect("a", i, false);
	ck_assert_uint_eq(get("a")->message->body_n, 300000);
	crash();
	start();
	struct mq_error e;
	struct mq_entry *out;
	struct sd_slice body;
	uint64_t left;
	ck_assert(mq_get(&channel, sd_slice_of("a"), false, &out, &left, &e));
	ck_assert(mq_body(mq, out->message, &body));
	ck_assert_uint_eq(body.n, 300000);
	ck_assert_mem_eq(body.p, large, 300000);
	free(large);
}
END_TEST

/* Damages the body of the n-th message (from 0) of the first segment. */
static void damage_body(unsigned n)
{
	struct sd_link *l = store->segments.at[0]->records.next;
	char file[200], byte;
	while (n--)
		l = l->next;
	off_t at = (off_t)sd_container(l, struct mq_live, link)->offset + 60;
	snprintf(file, sizeof(file), "%s/mq-00000001.log", dir);
	int fd = open(file, O_RDWR);
	ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* What is damaged is left out, whether a consumer or compaction finds it; its segment goes as others do, and is kept beside. */
START_TEST(damaged_segment_goes)
{
	struct mq_store_stats st;
	char kept[200];
	broker_conf.memory = 0;
	start();
	declare("a");
	declare("b");
	many("a", 1, 3);
	many("b", 1, 3);
	damage_body(0);
	damage_body(4);
	expect_all("a", 2, 3, false);
	for (unsigned i = 0; i < 1000; i++) {
		put("a", i);
		expect("a", i, false);
		turn();
	}
	mq_store_stats(store, &st);
	ck_assert_uint_gt(st.compactions, 2);
	snprintf(kept, sizeof(kept), "%s/mq-00000001.log.damaged", dir);
	ck_assert_int_eq(access(kept, F_OK), 0);
	crash();
	start(); /* of the damage nothing is left in the log */
	ck_assert_uint_eq(found.messages, 2);
	expect("b", 1, true);
	expect("b", 3, true);
}
END_TEST

/* A body that cannot be read any more is no reason to stop; and where its segment cannot be kept beside, it stays. */
START_TEST(body_is_damaged)
{
	struct mq_store_stats st;
	broker_conf.memory = 0;
	start();
	declare("a");
	many("a", 1, 3);
	struct sd_link *first = store->segments.at[0]->records.next;
	uint64_t at = sd_container(first, struct mq_live, link)->offset + 60;
	char file[200];
	snprintf(file, sizeof(file), "%s/mq-00000001.log", dir);
	ck_assert(sd_sim_flip(world, file, at * 8));
	expect_all("a", 2, 3, false);
	for (unsigned i = 0; i < 2000; i++) {
		put("a", i);
		expect("a", i, false);
		turn();
	}
	mq_store_stats(store, &st);
	ck_assert_uint_eq(st.compactions, 0);
}
END_TEST

/* ---- compaction ---- */

static uint64_t disk_bytes(void)
{
	struct mq_store_stats st;
	mq_store_stats(store, &st);
	return st.bytes;
}

/* Every hundredth message stays: the log stays small, and they keep their order, their bodies and their failures. */
static void churn(const char *queue, unsigned n)
{
	for (unsigned i = 1; i <= n; i++) {
		put(queue, i);
		struct mq_entry *e = get(queue);
		if (i % 100 == 0)
			continue; /* it stays out */
		settle(e->tag, false, MQ_ACK);
		if (i % 7 == 0)
			turn();
	}
	turn();
}

START_TEST(compaction)
{
	struct mq_store_stats st;
	broker_conf.memory = 0;
	start();
	declare("a");
	declare("b");
	put("b", 1);
	settle(get("b")->tag, false, MQ_REQUEUE);
	churn("a", 20000);
	mq_store_stats(store, &st);
	ck_assert_uint_gt(st.compactions, 10);
	ck_assert_uint_gt(st.copied, 100);
	ck_assert_uint_lt(disk_bytes(), 6 * 16384);
	ck_assert_uint_eq(store->mq->messages, 201);
	crash();
	start();
	ck_assert_uint_eq(found.queues, 2);
	ck_assert_uint_eq(found.messages, 201);
	for (unsigned i = 100; i <= 20000; i += 100)
		expect("a", i, true);
	struct mq_entry *e = get("b");
	ck_assert_str_eq(text, "message 1");
	ck_assert_uint_eq(e->failures, 1);
	settle(e->tag, false, MQ_ACK);
	churn("b", 5000); /* and on it goes after a start */
	crash();
	start();
	ck_assert_uint_eq(found.queues, 2);
	ck_assert_uint_eq(found.messages, 50);
	ck_assert_uint_lt(disk_bytes(), 6 * 16384);
}
END_TEST

/* A log of nothing but definitions that come and go does not grow. */
START_TEST(definitions_are_compacted)
{
	struct mq_error e;
	char name[20];
	uint64_t n;
	start();
	declare("stays");
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "q%u", i);
		declare(name);
		ck_assert(mq_queue_delete(vhost(), &channel, sd_slice_of(name), false, false, &n, &e));
		turn();
	}
	ck_assert_uint_lt(disk_bytes(), 6 * 16384);
	put("stays", 1);
	crash();
	start();
	ck_assert_uint_eq(found.queues, 1);
	expect_all("stays", 1, 1, true);
}
END_TEST

START_TEST(many_definitions)
{
	char name[20];
	start();
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "q%u", i);
		declare(name);
		turn();
	}
	uint64_t bytes = disk_bytes();
	for (unsigned i = 0; i < 100; i++)
		turn();
	ck_assert_uint_lt(disk_bytes(), 3 * bytes); /* it comes to rest */
	struct mq_store_stats before, after;
	mq_store_stats(store, &before);
	for (unsigned i = 0; i < 100; i++)
		turn();
	mq_store_stats(store, &after);
	ck_assert_uint_eq(before.records, after.records);
	crash();
	start();
	ck_assert_uint_eq(found.queues, 3000);
}
END_TEST

static uint64_t most, records_before;
static unsigned changes;
static bool all_there;

static void end_queue(const char *name)
{
	struct mq_error e;
	uint64_t n;
	ck_assert(mq_queue_delete(vhost(), &channel, sd_slice_of(name), false, false, &n, &e));
}

/* Between two pieces queues end that were written again and that were not yet, and others are made. */
static void between_pieces(void *arg)
{
	uint64_t n = store->count.records - records_before;
	char name[20];
	(void)arg;
	records_before = store->count.records;
	if (!store->compact.dump.begun || !store->compact.dump.next)
		return;
	most = n > most ? n : most;
	if (all_there && changes < 8 && store->compact.dump.next > 20) {
		snprintf(name, sizeof(name), "q%u", changes);
		end_queue(name);
		snprintf(name, sizeof(name), "q%u", 2990 - changes);
		end_queue(name);
		snprintf(name, sizeof(name), "new%u", changes++);
		declare(name);
	}
}

START_TEST(definitions_in_pieces)
{
	struct mq_error e;
	char name[20];
	conf.stored = between_pieces;
	start();
	most = records_before = changes = 0;
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "q%u", i);
		declare(name);
		ck_assert(mq_queue_bind(vhost(), &channel, sd_slice_of(name), sd_slice_of("amq.topic"), sd_slice_of("a.b"), (struct sd_slice){0}, &e));
		if (i % 50 == 0)
			turn();
	}
	all_there = true;
	for (unsigned i = 0; i < 2000; i++) { /* something to compact for */
		put("q1000", i);
		settle(get("q1000")->tag, false, MQ_ACK);
		turn();
	}
	ck_assert_uint_eq(changes, 8);
	ck_assert_uint_gt(most, MQ_PIECE / 2);
	ck_assert_uint_lt(most, 3 * MQ_PIECE);
	crash();
	conf.stored = NULL;
	start();
	ck_assert_uint_eq(found.queues, 3000 - 8);
	publish_to("amq.topic", "a.b", sd_slice_of("x"));
	ck_assert_uint_eq(mq->entries, 3000 - 16); /* each is bound as it was, the new ones are not */
	for (unsigned i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "new%u", i);
		ck_assert_ptr_nonnull(mq_queue_find(vhost(), sd_slice_of(name)));
	}
}
END_TEST

/* ---- logs that are not as they should be ---- */

START_TEST(two_brokers)
{
	struct sd_error e = {0};
	start();
	struct mq_store *first = store;
	struct mq *b = mq;
	begun = false;
	ck_assert_int_eq(try_start(&e), SD_EINUSE);
	ck_assert_ptr_nonnull(strstr(e.text, "is in use by another process"));
	end();
	store = first;
	mq = b;
	begun = true;
	declare("a");
}
END_TEST

/* In the oldest segment. */
static void flip(uint64_t at)
{
	char file[200] = "";
	unsigned char c;
	char **names = sd_world_list_dir(world, dir);
	for (char **n = names; *n; n++) {
		if (!file[0] && strncmp(*n, "mq-", 3) == 0)
			snprintf(file, sizeof(file), "%s/%s", dir, *n);
		free(*n);
	}
	free(names);
	FILE *f = fopen(file, "r+b");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fseek(f, (long)at, SEEK_SET), 0);
	ck_assert_uint_eq(fread(&c, 1, 1, f), 1);
	c ^= 1;
	ck_assert_int_eq(fseek(f, (long)at, SEEK_SET), 0);
	ck_assert_uint_eq(fwrite(&c, 1, 1, f), 1);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(damage)
{
	struct sd_error e = {0};
	char due[200];
	start();
	declare("a");
	many("a", 1, 1000);
	const struct mq_live *live = sd_container(store->segments.at[0]->records.next->next, struct mq_live, link);
	uint64_t at = live->offset;
	ck_assert_str_eq((get("a"), get("a"), text), "message 2");
	crash();
	flip(at + 40);
	ck_assert_int_eq(try_start(&e), SD_EINVAL);
	snprintf(due, sizeof(due), "cannot open %s/mq-00000001.log: record at %" PRIu64 " has a bad checksum", dir, at);
	ck_assert_msg(strncmp(e.text, due, strlen(due)) == 0, "%s", e.text);
	end();
	conf.salvage = true;
	start();
	ck_assert_ptr_nonnull(strstr(found.salvaged, "/mq-00000001.log"));
	ck_assert_ptr_nonnull(strstr(found.salvaged, "1 missing"));
	ck_assert_uint_eq(found.messages, 999);
	expect("a", 1, true);
	expect_all("a", 3, 1000, true);
	crash();
	conf.salvage = false;
	start(); /* the good one has taken its place */
	ck_assert_uint_eq(found.queues, 1);
	many("a", 1, 500);
	crash();
	snprintf(due, sizeof(due), "%s.damaged", dir);
	struct stat st;
	ck_assert_int_eq(stat(due, &st), 0);
	flip(at + 40); /* a second time: the first damaged log is not thrown away */
	conf.salvage = true;
	if (try_start(&e) != SD_EEXISTS)
		ck_abort_msg("%s", e.text);
	ck_assert_ptr_nonnull(strstr(e.text, "move it away"));
}
END_TEST

struct raw {
	uint8_t type;
	size_t n;
	const char *bytes, *due;
};
#define RAW(type, bytes, due) {type, sizeof(bytes) - 1, bytes, due}
#define PLACE "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
#define HEAD(flags, e, k, p, b, n) flags "\0" e k p "\0\0\0" b "\0\0\0" n "\0\0\0" "\0\0\0\0\0\0\0\0"
static const struct raw raws[] = {
    RAW(0x10, "", "has type 0x10, which this program does not know"),
    RAW(0x19, "", "has type 0x19, which this program does not know"),
    RAW(0x21, "", "has type 0x21, which this program does not know"),
    RAW(0x11, "\2", "is no DEFINE: it has 1 bytes (expected 2 or more)"),
    RAW(0x11, "\6\0", "is no DEFINE: it begins with 6 0 (expected 0 to 5, and 0 or 1)"),
    RAW(0x11, "\1\2", "is no DEFINE: it begins with 1 2 (expected 0 to 5, and 0 or 1)"),
    RAW(0x12, "", "is no PUBLISH: it has 0 bytes (expected 24 or more)"),
    RAW(0x12, HEAD("\10", "\0", "\0", "\0", "\0", "\1") PLACE, "is no PUBLISH: it has flags 0x8, which this program does not know"),
    RAW(0x12, HEAD("\1", "\0", "\0", "\0", "\0", "\0"), "is no PUBLISH: it has no places"),
    RAW(0x12, HEAD("\1", "\0", "\0", "\0", "\0", "\1"), "is no PUBLISH: it has 24 bytes (expected 40)"),
    RAW(0x12, HEAD("\3", "\0", "\0", "\0", "\0", "\1") PLACE, "is no PUBLISH: it has 40 bytes (expected 56)"),
    RAW(0x12, HEAD("\5", "\0", "\0", "\0", "\0", "\1") PLACE, "is no PUBLISH: it has 40 bytes (expected 50)"),
    RAW(0x12, HEAD("\1", "\1", "\2", "\3", "\4", "\1") PLACE, "is no PUBLISH: it has 40 bytes (expected 50)"),
    RAW(0x12, HEAD("\1", "\0", "\0", "\377", "\377", "\377") PLACE, "is no PUBLISH: it has 40 bytes (expected 4614)"),
    RAW(0x12, "\5\0\0\0\377\377\377\377\377\377\377\377\377\377\377\377\0\0\0\0\0\0\0\0",
	"is no PUBLISH: it has 24 bytes (expected 120259084284)"),
    RAW(0x13, "", "is no SETTLE: it has 0 bytes (expected a multiple of 16)"),
    RAW(0x13, PLACE "\0", "is no SETTLE: it has 17 bytes (expected a multiple of 16)"),
    RAW(0x14, PLACE, "is no FAILED: it has 16 bytes (expected 26)"),
    RAW(0x15, PLACE PLACE, "is no PURGED: it has 32 bytes (expected 16)"),
    RAW(0x16, "\0", "is no TOUCHED: it has 1 bytes (expected a multiple of 16)"),
    RAW(0x17, "\0", "is no CLOSED: it has 1 bytes (expected 0)"),
    RAW(0x18, "\0", "is no OPENED: it has 1 bytes (expected 0)"),
};
#define NRAW ((int)(sizeof(raws) / sizeof(raws[0])))

static void write_raw(const struct raw *r)
{
	struct sd_wal_conf c = {.dir = dir, .name = "mq"};
	struct sd_wal *log;
	struct sd_error e = {0};
	struct iovec iov = {(void *)(uintptr_t)r->bytes, r->n};
	enum sd_err err = SD_EIO;
	ck_assert_msg(sd_wal_open(world, &c, &log, NULL, &e) == SD_OK, "%s", e.text);
	ck_assert_int_eq(sd_wal_append(log, r->type, &iov, 1, NULL), SD_OK);
	sd_wal_close(log, on_closed, &err);
	ck_assert_int_eq(err, SD_OK);
}

/* Checksums are right, sense is not: refused with file and offset; salvage passes over it. */
START_TEST(senseless)
{
	const struct raw *r = &raws[_i];
	struct sd_error e = {0};
	char place[200];
	start();
	declare("a");
	put("a", 1);
	stop();
	write_raw(r);
	enum sd_err err = try_start(&e);
	ck_assert_int_eq(err, strstr(r->due, "has type") ? SD_EUNSUPPORTED : SD_EINVAL);
	snprintf(place, sizeof(place), "cannot open %s/mq-00000001.log: record at ", dir);
	ck_assert_msg(strncmp(e.text, place, strlen(place)) == 0, "%s", e.text);
	const char *what = e.text + strlen(place) + strspn(e.text + strlen(place), "0123456789") + 1;
	ck_assert_str_eq(what, r->due);
	end();
	conf.salvage = true;
	start();
	ck_assert_uint_eq(found.senseless, 1);
	expect_all("a", 1, 1, false);
}
END_TEST

/* Records that make sense and name nothing that there is, or nonsense in what the engine reads, do no harm. */
START_TEST(strangers)
{
	static const struct raw strange[] = {
	    RAW(0x11, "\2\0junk", NULL),
	    RAW(0x11, "\1\1", NULL),
	    RAW(0x11, "\4\0user", NULL),
	    RAW(0x12, HEAD("\1", "\0", "\0", "\2", "\0", "\1") "\377\377\377\377\377\377\377\377" "\377\377\377\377\377\377\377\377" "\377\377", NULL),
	    RAW(0x12, HEAD("\1", "\0", "\0", "\2", "\0", "\2") PLACE PLACE "\377\377", NULL), /* twice the same place */
	    RAW(0x12, HEAD("\3", "\0", "\0", "\0", "\0", "\1") PLACE PLACE, NULL), /* it replaces itself */
	    RAW(0x13, "\377\377\377\377\377\377\377\377" PLACE "\0\0\0\0\0\0\0\0", NULL),
	    RAW(0x14, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\200\377\377", NULL),
	    RAW(0x15, "\0\0\0\0\0\0\0\0\377\377\377\377\377\377\377\377", NULL),
	    RAW(0x16, PLACE PLACE, NULL),
	};
	start();
	declare("a");
	stop();
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		write_raw(&strange[i]);
		start();
		put("a", (unsigned)i);
		crash();
	}
	start();
	while (get("a"))
		;
	ck_assert_str_eq(text, "message 9");
}
END_TEST

/* ---- what a recovery costs ---- */

START_TEST(recovery_is_cheap)
{
	const unsigned n = 20000;
	struct mq_store_stats st;
	broker_conf.memory = 0;
	conf.segment_bytes = 1 << 20;
	start();
	declare("a");
	char body[100] = {0};
	for (unsigned i = 0; i < n; i++)
		publish_to("", "a", (struct sd_slice){body, sizeof(body)});
	crash();
	uint64_t reads = sd_sim_count(world, SD_SIM_READ);
#ifdef COUNTED
	uint64_t before = allocations;
#endif
	start();
	mq_store_stats(store, &st);
	ck_assert_uint_eq(found.messages, n);
	/* Each piece of 128 KiB once, and a little for each segment. */
	ck_assert_uint_le(sd_sim_count(world, SD_SIM_READ) - reads, st.bytes / 131072 + 8 * st.segments + 8);
#ifdef COUNTED
	/* For each message its head, its place in the queue and its place in the log; tables double. */
	ck_assert_uint_le(allocations - before, 3 * n + 400);
#endif
	ck_assert_uint_eq(mq->body_memory, 0);
}
END_TEST

/* ---- the disk is full ---- */

static uint64_t confirmed_to, refused_n;
static void count_confirm(struct mq_channel *ch, uint64_t seq, bool multiple, bool refused)
{
	(void)ch, (void)multiple;
	refused_n += refused;
	if (!refused && seq > confirmed_to)
		confirmed_to = seq;
}

START_TEST(full_disk)
{
	static const struct mq_channel_ops counting = {.confirm = count_confirm, .returned = on_returned, .room = has_room};
	struct mq_store_stats st;
	struct mq_error me;
	struct sd_error e = {0};
	confirmed_to = refused_n = 0;
	sd_sim_disk(world)->capacity = 100000;
	start();
	declare("a");
	mq_channel_end(&channel);
	mq_channel_begin(&channel, vhost(), &counting, &channel, sd_slice_of("guest"));
	ck_assert(mq_confirm_select(&channel, &me));
	unsigned i = 0;
	while (!refused_n) {
		put("a", ++i);
		turn();
		ck_assert_uint_lt(i, 5000);
	}
	mq_store_stats(store, &st);
	ck_assert(st.full && st.failed);
	ck_assert_ptr_nonnull(strstr(mq_store_failure(store)->text, "No space left"));
	ck_assert_uint_eq(confirmed_to, i - 1);
	ck_assert_int_eq(mq_store_retry(store, &e), SD_ENOSPC);
	for (unsigned k = 1; k <= 500; k++) /* consumers go on */
		expect("a", k, false);
	turn();
	/* The log itself is what fills the disk: what was consumed makes room. */
	ck_assert_msg(mq_store_retry(store, &e) == SD_OK, "%s", e.text);
	mq_store_stats(store, &st);
	ck_assert(!st.full && !st.failed);
	refused_n = 0;
	for (unsigned k = 1; k <= 100; k++)
		put("a", i + k);
	turn();
	ck_assert_uint_eq(refused_n, 0);
	ck_assert_uint_eq(confirmed_to, i + 100);
	crash();
	start();
	expect_all("a", 501, i + 100, true); /* what was refused is in its queue all the same */
}
END_TEST

/* What ended while the disk was full stays ended, and what was declared stays declared. */
START_TEST(full_disk_remembers)
{
	struct sd_error e = {0};
	struct mq_error me;
	uint64_t n;
	sd_sim_disk(world)->capacity = 100000;
	start();
	declare("a");
	declare("b");
	many("b", 1, 5);
	for (unsigned i = 1; !mq_store_failure(store); i++)
		many("a", i, i);
	expect("b", 1, false);
	struct mq_entry *out = get("b");
	settle(out->tag, false, MQ_REQUEUE);
	declare("c");
	turn();
	ck_assert(mq_queue_purge(vhost(), &channel, sd_slice_of("a"), &n, &me));
	sd_sim_disk(world)->capacity = 0;
	ck_assert_msg(mq_store_retry(store, &e) == SD_OK, "%s", e.text);
	put("c", 1);
	crash();
	start();
	ck_assert_uint_eq(found.queues, 3);
	ck_assert_uint_eq(found.messages, 5);
	out = get("b");
	ck_assert_str_eq(text, "message 2");
	ck_assert_uint_eq(out->failures, 1);
	expect("c", 1, true);
	ck_assert_ptr_null(get("a"));
}
END_TEST

START_TEST(a_failing_disk_is_final)
{
	struct sd_error e = {0};
	start();
	declare("a");
	turn();
	sd_sim_fail(world, SD_SIM_SYNC, 1, 1, 5);
	put("a", 1);
	turn();
	ck_assert_ptr_nonnull(mq_store_failure(store));
	ck_assert_int_eq(mq_store_retry(store, &e), SD_EIO);
	ck_assert(mq->failed);
	expect("a", 1, false);
}
END_TEST

START_TEST(low_disk_is_told)
{
	struct mq_store_stats st;
	conf.disk_free_min = 50000;
	sd_sim_disk(world)->capacity = 1000000;
	start();
	mq_store_look(store); /* nothing need happen in between */
	mq_store_stats(store, &st);
	ck_assert(!st.low);
	sd_sim_disk(world)->capacity = 60000;
	mq_store_look(store);
	mq_store_stats(store, &st);
	ck_assert(st.low);
	sd_sim_disk(world)->capacity = 1000000;
	mq_store_look(store);
	mq_store_stats(store, &st);
	ck_assert(!st.low);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mq store");
	TCase *real = tcase_create("on a disk"), *simulated = tcase_create("on a simulated disk");
	tcase_add_checked_fixture(real, setup, teardown);
	tcase_add_checked_fixture(simulated, setup_sim, teardown);
	tcase_add_test(real, damaged_segment_goes);
	tcase_set_timeout(real, 60);
	tcase_set_timeout(simulated, 60);
	tcase_add_test(simulated, comes_back);
	tcase_add_test(simulated, what_was_out_is_flagged);
	tcase_add_test(simulated, settled_stay_away);
	tcase_add_test(simulated, failures_are_remembered);
	tcase_add_test(simulated, purged_stay_away);
	tcase_add_test(simulated, topology);
	tcase_add_test(simulated, one_message_in_many_queues);
	tcase_add_test(simulated, bodies_are_fetched);
	tcase_add_test(simulated, body_is_damaged);
	tcase_add_test(simulated, compaction);
	tcase_add_test(simulated, definitions_are_compacted);
	tcase_add_test(simulated, definitions_in_pieces);
	tcase_add_test(simulated, many_definitions);
	tcase_add_test(real, two_brokers);
	tcase_add_test(real, damage);
	tcase_add_loop_test(real, senseless, 0, NRAW);
	tcase_add_test(simulated, strangers);
	tcase_add_test(simulated, recovery_is_cheap);
	tcase_add_test(simulated, full_disk);
	tcase_add_test(simulated, full_disk_remembers);
	tcase_add_test(simulated, a_failing_disk_is_final);
	tcase_add_test(simulated, low_disk_is_told);
	suite_add_tcase(s, real);
	suite_add_tcase(s, simulated);
	SRunner *runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
