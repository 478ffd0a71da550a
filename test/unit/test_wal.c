/* The log on a real disk: append, sync, rotation, drop, readers, policies, and what happens when the disk is full. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "core/list.h"
#include "disk/wal.h"
#include "net_rig.h"

/* ---- counted allocations, where no sanitizer has them ---- */

#if !defined(SD_SANITIZED) && defined(__GLIBC__)
#define COUNTED 1
void *__libc_malloc(size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_calloc(size_t n, size_t m);
static uint64_t allocations;
static uint64_t fail_in; /* the allocation that fails, from now; 0: none. Only while there is one thread */

static bool out_of_memory(void)
{
	__atomic_fetch_add(&allocations, 1, __ATOMIC_RELAXED);
	bool now = fail_in && --fail_in == 0;
	if (now)
		errno = ENOMEM;
	return now;
}

void *malloc(size_t n)
{
	return out_of_memory() ? NULL : __libc_malloc(n);
}

void *realloc(void *p, size_t n)
{
	return out_of_memory() ? NULL : __libc_realloc(p, n);
}

void *calloc(size_t n, size_t m)
{
	return out_of_memory() ? NULL : __libc_calloc(n, m);
}
#endif

/* ---- fixture ---- */

static struct sd_world *world;
static struct sd_loop *loop;
static struct sd_helpers *helpers;
static struct sd_wal *wal;
static struct sd_wal_found found;
static char folder[64], dir[100];

static void setup(void)
{
	snprintf(folder, sizeof(folder), "/tmp/sdlab-wal.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(dir, sizeof(dir), "%s/log", folder);
	world = sd_world_real();
	loop = sd_loop_new(world, NULL);
	helpers = sd_helpers_new(world, 2);
}

static void remove_all(const char *path)
{
	char **names = sd_world_list_dir(world, path);
	for (size_t i = 0; names && names[i]; i++) {
		char one[400];
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
	sd_wal_free(wal);
	sd_helpers_free(helpers);
	sd_loop_flush(loop);
	sd_loop_free(loop);
	remove_all(folder);
	sd_world_free(world);
}

static void open_with(struct sd_wal_conf conf)
{
	struct sd_error e = {0};
	conf.dir = dir;
	conf.name = conf.name ? conf.name : "log";
	ck_assert_msg(sd_wal_open(world, &conf, &wal, &found, &e) == SD_OK, "%s", e.text);
}

static void on_closed(void *arg, enum sd_err err)
{
	*(int *)arg = (int)err;
	if (wal && loop)
		sd_loop_stop(loop);
	wal = NULL;
}

static void close_log(void)
{
	int err = -1;
	sd_wal_close(wal, on_closed, &err);
	ck_assert_int_eq(err, SD_OK);
}

static enum sd_err put(const char *text, uint64_t *seq)
{
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	return sd_wal_append(wal, (uint8_t)text[0], &iov, 1, seq);
}

static void on_synced(struct sd_wal_wait *wait, enum sd_err err)
{
	ck_assert_int_eq(err, SD_OK);
	wait->done = NULL;
}

static void sync_now(void)
{
	struct sd_wal_wait wait = {.done = on_synced};
	sd_wal_sync(wal, &wait);
	ck_assert_ptr_null(wait.done);
}

static void many(unsigned n)
{
	char text[40];
	for (unsigned i = 0; i < n; i++) {
		uint64_t seq;
		struct sd_wal_stats st;
		sd_wal_stats(wal, &st);
		snprintf(text, sizeof(text), "record %llu", (unsigned long long)st.next_seq);
		ck_assert_int_eq(put(text, &seq), SD_OK);
		ck_assert_uint_eq(seq, st.next_seq);
	}
}

/* Records from..to are there, and say so. */
static void has(uint64_t from, uint64_t to)
{
	struct sd_wal_reader *r;
	struct sd_wal_record rec;
	struct sd_error e = {0};
	char text[40];
	ck_assert_msg(sd_wal_reader_open(wal, from, &r, &e) == SD_OK, "%s", e.text);
	for (uint64_t seq = from; seq <= to; seq++) {
		ck_assert_msg(sd_wal_read(r, &rec, &e) == SD_OK, "%s", e.text);
		ck_assert_uint_eq(rec.seq, seq);
		int n = snprintf(text, sizeof(text), "record %llu", (unsigned long long)seq);
		ck_assert(rec.n == (size_t)n && memcmp(rec.data, text, rec.n) == 0);
		ck_assert_uint_eq(rec.type, 'r');
	}
	ck_assert_int_eq(sd_wal_read(r, &rec, &e), SD_EEOF);
	sd_wal_reader_free(r);
}

static unsigned count_files(void)
{
	char **names = sd_world_list_dir(world, dir);
	unsigned n = 0;
	for (size_t i = 0; names[i]; i++) {
		n += strstr(names[i], ".log") != NULL;
		free(names[i]);
	}
	free(names);
	return n;
}

/* ---- without a loop ---- */

START_TEST(append_and_reopen)
{
	open_with((struct sd_wal_conf){0});
	ck_assert_uint_eq(found.next_seq, 1);
	ck_assert_uint_eq(found.segments, 1);
	many(10);
	struct sd_wal_stats st;
	sd_wal_stats(wal, &st);
	ck_assert_uint_eq(st.acked_seq, 0);
	has(1, 0); /* not acknowledged yet */
	sync_now();
	sd_wal_stats(wal, &st);
	ck_assert_uint_eq(st.durable_seq, 10);
	ck_assert_uint_eq(st.syncs, 1);
	has(1, 10);
	close_log();
	open_with((struct sd_wal_conf){0});
	ck_assert_uint_eq(found.next_seq, 11);
	ck_assert_str_eq(found.text, "");
	many(5);
	sync_now();
	has(1, 15);
	has(12, 15);
	/* As if killed: the same is there, and what was not synced is not. */
	many(3);
	sd_wal_free(wal);
	open_with((struct sd_wal_conf){0});
	ck_assert_uint_eq(found.next_seq, 16);
	has(1, 15);
	close_log();
}
END_TEST

START_TEST(rotation_and_drop)
{
	struct sd_wal_wait wait = {.done = on_synced};
	struct sd_wal_stats st;
	open_with((struct sd_wal_conf){.segment_bytes = 4096});
	for (unsigned i = 0; i < 60; i++) {
		many(10);
		sync_now();
	}
	sd_wal_stats(wal, &st);
	ck_assert_uint_gt(st.segments, 5);
	ck_assert_uint_eq(count_files(), st.segments);
	has(1, 600);
	sd_wal_drop(wal, 300, &wait);
	ck_assert_ptr_null(wait.done);
	sd_wal_stats(wal, &st);
	ck_assert_uint_gt(st.first_seq, 200);
	ck_assert_uint_le(st.first_seq, 300);
	ck_assert_uint_eq(count_files(), st.segments);
	has(st.first_seq, 600);
	uint64_t first = st.first_seq;
	wait.done = on_synced;
	sd_wal_drop(wal, 10000, &wait);
	sd_wal_stats(wal, &st);
	ck_assert_uint_eq(st.segments, 1);
	ck_assert_uint_gt(st.first_seq, first);
	ck_assert_uint_le(st.first_seq, 600);
	close_log();
	open_with((struct sd_wal_conf){.segment_bytes = 4096});
	ck_assert_uint_eq(found.first_seq, st.first_seq);
	ck_assert_uint_eq(found.next_seq, 601);
	close_log();
}
END_TEST

/* A bad byte in the last batch of a log that was not closed: cut, told, and what follows begins another segment. */
START_TEST(torn_tail)
{
	char path[200], text[400], byte = 'X';
	struct stat st;
	struct sd_wal_stats stats;
	open_with((struct sd_wal_conf){0});
	many(2);
	sync_now();
	many(3);
	sync_now();
	sd_wal_free(wal);
	snprintf(path, sizeof(path), "%s/log-00000001.log", dir);
	int fd = open(path, O_RDWR);
	struct sd_error e = {0};
	struct sd_wal_conf conf = {.dir = dir, .name = "log", .expect_seq = 5};
	/* In the batch before it is damage: the last one proves that it was on the disk. */
	ck_assert_int_eq(pwrite(fd, &byte, 1, 1024 + 32 + 24), 1);
	ck_assert_int_eq(sd_wal_open(world, &conf, &wal, &found, &e), SD_EINVAL);
	snprintf(text, sizeof(text), "cannot open %s: record at 1056 has a bad checksum (", path);
	ck_assert_msg(strncmp(e.text, text, strlen(text)) == 0 && strstr(e.text, ") and valid records follow"), "%s", e.text);
	ck_assert_int_eq(pwrite(fd, "r", 1, 1024 + 32 + 24), 1);
	ck_assert_int_eq(pwrite(fd, &byte, 1, 1024 + 2 * 32 + 24), 1);
	close(fd);
	/* Somebody who knows better does not have it cut. */
	ck_assert_int_eq(sd_wal_open(world, &conf, &wal, &found, &e), SD_EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "it ends with record 2, but 5 was acknowledged: record at 1088 has a bad checksum"));
	wal = NULL;
	open_with((struct sd_wal_conf){0});
	ck_assert_uint_eq(found.next_seq, 3);
	ck_assert_uint_eq(found.torn_offset, 1088);
	ck_assert_uint_eq(found.torn_bytes, 3 * 32);
	ck_assert_uint_eq(found.torn_records, 2);
	snprintf(text, sizeof(text), "%s: a torn tail of 96 bytes at 1088 was cut off", path);
	ck_assert_str_eq(found.text, text);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 1088);
	many(3);
	sync_now();
	sd_wal_stats(wal, &stats);
	ck_assert_uint_eq(stats.segments, 2);
	has(1, 5);
	close_log();
	open_with((struct sd_wal_conf){0});
	ck_assert_str_eq(found.text, "");
	has(1, 5);
	close_log();
}
END_TEST

START_TEST(refusals)
{
	struct sd_error e = {0};
	struct sd_wal *other = NULL;
	struct sd_wal_conf conf = {.dir = dir, .name = "log"};
	char text[600];
	open_with((struct sd_wal_conf){.record_bytes = 100});
	struct iovec iov = {text, 101};
	ck_assert_int_eq(sd_wal_append(wal, 0, &iov, 1, NULL), SD_ETOOBIG);
	ck_assert_int_eq(sd_wal_open(world, &conf, &other, NULL, &e), SD_EINUSE);
	snprintf(text, sizeof(text), "%s/LOCK is in use by another process", dir);
	ck_assert_str_eq(e.text, text);
	many(3);
	close_log();
	conf.name = "other";
	ck_assert_int_eq(sd_wal_open(world, &conf, &other, NULL, &e), SD_EINVAL);
	conf.name = "log";
	conf.expect_seq = 4;
	ck_assert_int_eq(sd_wal_open(world, &conf, &other, NULL, &e), SD_EINVAL);
	snprintf(text, sizeof(text), "cannot open %s: it ends with record 3, but 4 was acknowledged", dir);
	ck_assert_str_eq(e.text, text);
	open_with((struct sd_wal_conf){.expect_seq = 3});
	close_log();
}
END_TEST

/* Damage in an old segment is found at opening, or, when that is lazy, by the reader that comes there. */
START_TEST(lazy)
{
	char path[200], byte = 'X';
	struct sd_wal_reader *r;
	struct sd_wal_record rec;
	struct sd_error e = {0};
	struct sd_wal_conf conf = {.dir = dir, .name = "log"};
	open_with((struct sd_wal_conf){.segment_bytes = 4096});
	for (unsigned i = 0; i < 40; i++) {
		many(10);
		sync_now();
	}
	close_log();
	snprintf(path, sizeof(path), "%s/log-00000002.log", dir);
	int fd = open(path, O_RDWR);
	ck_assert_int_eq(pwrite(fd, &byte, 1, 1024 + 30), 1);
	close(fd);
	ck_assert_int_eq(sd_wal_open(world, &conf, &wal, &found, &e), SD_EINVAL);
	wal = NULL;
	open_with((struct sd_wal_conf){.segment_bytes = 4096, .lazy = true});
	ck_assert_uint_eq(found.next_seq, 401);
	ck_assert_int_eq(sd_wal_reader_open(wal, 1, &r, &e), SD_OK);
	enum sd_err err;
	uint64_t n = 0;
	while ((err = sd_wal_read(r, &rec, &e)) == SD_OK)
		n++;
	ck_assert_int_eq(err, SD_EINVAL);
	ck_assert_uint_gt(n, 10);
	ck_assert_ptr_nonnull(strstr(e.text, "log-00000002.log: record at 1024 has a bad checksum"));
	sd_wal_reader_free(r);
	close_log();
}
END_TEST

START_TEST(texts)
{
	char text[SD_WAL_TEXT];
	sd_wal_sync_text(&(struct sd_wal_conf){0}, text);
	ck_assert_str_eq(text, "sync: always, group commit up to 1MiB");
	sd_wal_sync_text(&(struct sd_wal_conf){.sync = SD_WAL_INTERVAL}, text);
	ck_assert_str_eq(text, "sync: interval 10ms; a power cut may lose what was acknowledged in that time");
	sd_wal_sync_text(&(struct sd_wal_conf){.sync = SD_WAL_NEVER}, text);
	ck_assert_str_eq(text, "sync: never; a power cut may lose what was acknowledged");
}
END_TEST

/* A record larger than a batch, a segment and the queue. */
START_TEST(large_records)
{
	enum { N = 3000000 };
	char *bytes = malloc(N);
	memset(bytes, 'x', N);
	struct iovec iov = {bytes, N};
	struct sd_wal_reader *r;
	struct sd_wal_record rec;
	struct sd_error e = {0};
	open_with((struct sd_wal_conf){.segment_bytes = 65536, .batch_bytes = 4096, .queue_bytes = 100000});
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(sd_wal_append(wal, 9, &iov, 1, NULL), SD_OK);
	sync_now();
	ck_assert_int_eq(sd_wal_reader_open(wal, 1, &r, &e), SD_OK);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(sd_wal_read(r, &rec, &e), SD_OK);
		ck_assert(rec.n == N && memcmp(rec.data, bytes, N) == 0);
	}
	sd_wal_reader_free(r);
	free(bytes);
	close_log();
}
END_TEST

/* A limit on the size of files looks like a full disk: said once, nothing acknowledged is lost, and it goes on later. */
START_TEST(full_disk)
{
	struct rlimit old, low;
	struct sd_wal_stats st;
	signal(SIGXFSZ, SIG_IGN);
	open_with((struct sd_wal_conf){.segment_bytes = 8192});
	many(100);
	sync_now();
	getrlimit(RLIMIT_FSIZE, &old);
	low = (struct rlimit){4096, old.rlim_max};
	setrlimit(RLIMIT_FSIZE, &low);
	enum sd_err err = SD_OK;
	for (unsigned i = 0; i < 1000 && !err; i++)
		err = put("lost", NULL);
	ck_assert_int_eq(err, SD_ENOSPC);
	ck_assert_ptr_nonnull(sd_wal_failure(wal));
	ck_assert_int_eq(put("more", NULL), SD_ENOSPC);
	sd_wal_stats(wal, &st);
	ck_assert_uint_ge(st.acked_seq, 100);
	setrlimit(RLIMIT_FSIZE, &old);
	ck_assert_int_eq(put("more", NULL), SD_ENOSPC); /* until reopened */
	sd_wal_free(wal);
	open_with((struct sd_wal_conf){.segment_bytes = 8192});
	ck_assert_uint_gt(found.next_seq, 100);
	ck_assert_int_eq(put("more", NULL), SD_OK);
	sync_now();
	close_log();
}
END_TEST

/* ---- with a loop ---- */

#define WRITERS 16

struct client {
	struct sd_wal_wait wait;
	unsigned left;
};

static struct client clients[WRITERS];
static uint64_t last_acked;
static unsigned running;

static void next_record(struct client *c)
{
	uint64_t seq;
	ck_assert_int_eq(put("record", &seq), SD_OK);
	sd_wal_sync(wal, &c->wait);
}

static void on_written(struct sd_wal_wait *wait, enum sd_err err)
{
	struct client *c = (struct client *)wait;
	if (err || wait->seq < last_acked)
		ck_abort_msg("acknowledged %llu after %llu, error %d", (unsigned long long)wait->seq,
			     (unsigned long long)last_acked, err);
	last_acked = wait->seq;
	if (--c->left > 0)
		next_record(c);
	else if (--running == 0)
		sd_loop_stop(loop);
}

static void run_clients(unsigned each)
{
	running = WRITERS;
	for (unsigned i = 0; i < WRITERS; i++) {
		clients[i] = (struct client){.wait = {.done = on_written}, .left = each};
		next_record(&clients[i]);
	}
	sd_loop_run(loop);
}

/* All who wait share a sync: 16 writers need at most a fifth of the syncs that their records would alone. */
START_TEST(group_commit)
{
	struct sd_wal_stats st;
	open_with((struct sd_wal_conf){.loop = loop, .helpers = helpers});
	run_clients(50);
	sd_wal_stats(wal, &st);
	ck_assert_uint_eq(st.acked_seq, 50 * WRITERS);
	ck_assert_uint_eq(st.durable_seq, 50 * WRITERS);
	ck_assert_uint_ge(st.syncs, 50);
	ck_assert_uint_le(st.syncs * 5, 50 * WRITERS);
}
END_TEST

/* One that began without a loop. */
START_TEST(attached)
{
	struct sd_wal_stats st;
	open_with((struct sd_wal_conf){0});
	many(3);
	sync_now();
	sd_wal_attach(wal, loop, helpers);
	last_acked = 0;
	run_clients(50);
	sd_wal_stats(wal, &st);
	ck_assert_uint_eq(st.durable_seq, 3 + 50 * WRITERS);
	ck_assert_uint_lt(st.syncs, 50 * WRITERS / 5);
}
END_TEST

START_TEST(closes_with_a_loop)
{
	int err = -1;
	open_with((struct sd_wal_conf){.loop = loop, .helpers = helpers});
	many(20); /* nobody waits for them; closing writes them */
	sd_wal_close(wal, on_closed, &err);
	ck_assert_int_eq(err, -1); /* not from within */
	sd_loop_run(loop);
	ck_assert_int_eq(err, SD_OK);
	open_with((struct sd_wal_conf){0});
	has(1, 20);
	close_log();
}
END_TEST

static bool has_drained;

static void on_drained(void *arg)
{
	has_drained = true;
	sd_loop_stop(arg);
}

/* Memory is bounded: too much is refused, and a callback comes when there is room, though nobody asked to sync. */
START_TEST(queue_is_bounded)
{
	struct sd_wal_stats st;
	char bytes[1000] = {0};
	struct iovec iov = {bytes, sizeof(bytes)};
	open_with((struct sd_wal_conf){.loop = loop, .helpers = helpers, .queue_bytes = 100000, .drained = on_drained,
				       .arg = loop});
	unsigned n = 0;
	while (sd_wal_append(wal, 0, &iov, 1, NULL) == SD_OK)
		n++;
	sd_wal_stats(wal, &st);
	ck_assert_uint_le(st.queued_bytes, 100000);
	ck_assert_uint_ge(n, 90);
	ck_assert_int_eq(sd_wal_append(wal, 0, &iov, 1, NULL), SD_EAGAIN);
	sd_loop_run(loop);
	ck_assert(has_drained);
	ck_assert_int_eq(sd_wal_append(wal, 0, &iov, 1, NULL), SD_OK);
}
END_TEST

/* After a while nothing more is allocated. */
START_TEST(no_allocation)
{
#ifdef COUNTED
	open_with((struct sd_wal_conf){0});
	for (unsigned round = 0; round < 3; round++) {
		many(1000);
		sync_now();
	}
	uint64_t before = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
	char bytes[100] = {0};
	struct iovec iov = {bytes, sizeof(bytes)};
	for (unsigned i = 0; i < 200; i++)
		sd_wal_append(wal, 0, &iov, 1, NULL);
	uint64_t after = __atomic_load_n(&allocations, __ATOMIC_RELAXED);
	ck_assert_uint_eq(after, before);
	close_log();
#endif
}
END_TEST

/* Memory runs out anywhere while it opens: it is refused or whole, never a log that lacks its newest segments. */
START_TEST(out_of_memory_at_open)
{
#ifdef COUNTED
	struct sd_wal_conf conf = {.dir = dir, .name = "log", .segment_bytes = 4096};
	unsigned refused = 0, opened = 0;
	open_with(conf);
	many(600);
	sync_now();
	close_log();
	for (uint64_t n = 1;; n++) {
		struct sd_error e = {0};
		fail_in = n;
		enum sd_err err = sd_wal_open(world, &conf, &wal, &found, &e);
		bool all = fail_in > 0;
		fail_in = 0;
		refused += err != SD_OK;
		opened += err == SD_OK;
		ck_assert(err != SD_OK || found.next_seq == 601);
		if (err)
			wal = NULL;
		sd_wal_free(wal);
		wal = NULL;
		if (all)
			break;
	}
	ck_assert_uint_gt(refused, 5);
	ck_assert_uint_gt(opened, 0);
	open_with(conf);
	has(1, 600);
	close_log();
#endif
}
END_TEST

/* The last numbers there are. */
START_TEST(numbers_end)
{
	open_with((struct sd_wal_conf){.first_seq = UINT64_MAX - 2});
	many(2);
	ck_assert_int_eq(put("one too many", NULL), SD_ERANGE);
	sync_now();
	has(UINT64_MAX - 2, UINT64_MAX - 1);
	close_log();
	open_with((struct sd_wal_conf){0});
	ck_assert_str_eq(found.text, "");
	ck_assert_uint_eq(found.next_seq, UINT64_MAX);
	ck_assert_int_eq(put("one too many", NULL), SD_ERANGE);
	close_log();
}
END_TEST

/* Without a loop a callback may ask for more, and hears of it. */
static struct sd_wal_wait second;

static void ask_again(struct sd_wal_wait *wait, enum sd_err err)
{
	(void)wait;
	ck_assert_int_eq(err, SD_OK);
	second.done = on_synced;
	sd_wal_sync(wal, &second);
}

START_TEST(callback_asks_again)
{
	struct sd_wal_wait wait = {.done = ask_again};
	open_with((struct sd_wal_conf){0});
	many(3);
	sync_now();
	sd_wal_drop(wal, 2, &wait);
	ck_assert_ptr_null(second.done);
	close_log();
}
END_TEST

/* A segment that was cut takes no more records, though the power went before the next one was made. */
START_TEST(cut_segment_stays_closed)
{
	char path[200], byte = 'X';
	struct sd_wal_stats st;
	open_with((struct sd_wal_conf){0});
	many(3);
	sync_now();
	sd_wal_free(wal);
	snprintf(path, sizeof(path), "%s/log-00000001.log", dir);
	int fd = open(path, O_RDWR);
	ck_assert_int_eq(pwrite(fd, &byte, 1, 1024 + 32 + 24), 1);
	close(fd);
	for (unsigned i = 0; i < 3; i++) {
		open_with((struct sd_wal_conf){0});
		ck_assert_int_eq(found.torn_bytes > 0, i == 0);
		ck_assert_uint_eq(found.next_seq, 2);
		close_log();
	}
	open_with((struct sd_wal_conf){0});
	many(1);
	sync_now();
	sd_wal_stats(wal, &st);
	ck_assert_uint_eq(st.segments, 2);
	has(1, 2);
	close_log();
}
END_TEST

/* A reader on another thread while records are written. */
static void *read_all(void *arg)
{
	struct sd_wal_reader *r = arg;
	struct sd_wal_record rec;
	struct sd_error e = {0};
	uint64_t seq = 0;
	while (seq < 50 * WRITERS) {
		enum sd_err err = sd_wal_read(r, &rec, &e);
		if (err == SD_EEOF)
			continue;
		if (err || rec.seq != seq + 1 || rec.n != 6)
			return (void *)1;
		seq++;
	}
	return NULL;
}

START_TEST(reader_on_another_thread)
{
	struct sd_wal_reader *r;
	pthread_t thread;
	void *bad;
	open_with((struct sd_wal_conf){.loop = loop, .helpers = helpers, .segment_bytes = 4096});
	ck_assert_int_eq(sd_wal_reader_open(wal, 1, &r, NULL), SD_OK);
	pthread_create(&thread, NULL, read_all, r);
	run_clients(50);
	pthread_join(thread, &bad);
	ck_assert_ptr_null(bad);
	sd_wal_reader_free(r);
}
END_TEST

/* Places told by append lead to their records, in any order, also while they are written over zeros that were read before. */
START_TEST(records_by_place)
{
	enum { N = 300 };
	struct sd_wal_place at[N + 1];
	struct sd_wal_reader *r;
	struct sd_wal_record rec;
	char text[40];
	open_with((struct sd_wal_conf){.segment_bytes = 4096});
	ck_assert_int_eq(sd_wal_reader_open(wal, 1, &r, NULL), SD_OK);
	for (unsigned i = 1; i <= N; i++) {
		snprintf(text, sizeof(text), "record %u", i);
		ck_assert_int_eq(put(text, NULL), SD_OK);
		at[i] = sd_wal_appended(wal);
		sync_now();
		unsigned k = i % 3 == 0 ? i : 1 + i * 7 % i;
		struct sd_error e = {0};
		sd_wal_reader_seek(r, at[k], k);
		ck_assert_msg(sd_wal_read(r, &rec, &e) == SD_OK, "%u: %s", k, e.text);
		snprintf(text, sizeof(text), "record %u", k);
		ck_assert_uint_eq(rec.seq, k);
		ck_assert_uint_eq(rec.segment, at[k].segment);
		ck_assert_uint_eq(rec.offset, at[k].offset);
		ck_assert_mem_eq(rec.data, text, strlen(text));
		if (k < i) /* and those behind it */
			ck_assert_int_eq(sd_wal_read(r, &rec, &e), SD_OK);
		ck_assert_uint_eq(rec.seq, k < i ? k + 1 : k);
	}
	ck_assert_uint_gt(at[N].segment, 3);
	sd_wal_reader_seek(r, (struct sd_wal_place){at[2].segment, at[2].offset + 1}, 2); /* no record begins there */
	ck_assert_int_eq(sd_wal_read(r, &rec, NULL), SD_EINVAL);
	sd_wal_reader_free(r);
	close_log();
	ck_assert_int_eq(sd_wal_reader_alone(world, dir, "log", &r, NULL), SD_OK); /* nobody has it open */
	for (unsigned i = N; i > 0; i -= 7 < i ? 7 : i) {
		sd_wal_reader_seek(r, at[i], i);
		ck_assert_int_eq(sd_wal_read(r, &rec, NULL), SD_OK);
		ck_assert_uint_eq(rec.seq, i);
	}
	sd_wal_reader_free(r);
}
END_TEST

static uint64_t given, refuse_at;
static enum sd_err take_record(void *arg, const struct sd_wal_record *r, const char *file, struct sd_error *e)
{
	ck_assert_ptr_eq(arg, dir);
	ck_assert_uint_eq(r->seq, ++given);
	if (r->seq == refuse_at)
		return sd_fail(e, SD_EUNSUPPORTED, "cannot read %s: record at %llu is not mine", file, (unsigned long long)r->offset);
	return SD_OK;
}

START_TEST(records_while_it_is_opened)
{
	struct sd_error e = {0};
	open_with((struct sd_wal_conf){.segment_bytes = 4096});
	many(300);
	close_log();
	given = refuse_at = 0;
	open_with((struct sd_wal_conf){.record = take_record, .arg = dir});
	ck_assert_uint_eq(given, 300);
	close_log();
	given = 0;
	refuse_at = 200;
	struct sd_wal_conf conf = {.dir = dir, .name = "log", .record = take_record, .arg = dir};
	ck_assert_int_eq(sd_wal_open(world, &conf, &wal, &found, &e), SD_EUNSUPPORTED);
	ck_assert_ptr_nonnull(strstr(e.text, "/log-0000000"));
	ck_assert_uint_eq(given, 200);
	wal = NULL;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wal");
	TCase *t = tcase_create("wal");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, append_and_reopen);
	tcase_add_test(t, rotation_and_drop);
	tcase_add_test(t, torn_tail);
	tcase_add_test(t, refusals);
	tcase_add_test(t, lazy);
	tcase_add_test(t, texts);
	tcase_add_test(t, large_records);
	tcase_add_test(t, full_disk);
	tcase_add_test(t, group_commit);
	tcase_add_test(t, attached);
	tcase_add_test(t, closes_with_a_loop);
	tcase_add_test(t, queue_is_bounded);
	tcase_add_test(t, no_allocation);
	tcase_add_test(t, out_of_memory_at_open);
	tcase_add_test(t, numbers_end);
	tcase_add_test(t, callback_asks_again);
	tcase_add_test(t, cut_segment_stays_closed);
	tcase_add_test(t, reader_on_another_thread);
	tcase_add_test(t, records_by_place);
	tcase_add_test(t, records_while_it_is_opened);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
