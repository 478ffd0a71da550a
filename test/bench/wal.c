/* Appends that wait for their sync: the log, SQLite in WAL mode with synchronous=FULL, and plain write with fdatasync.
 *
 *	wal ours|sqlite|plain|memory SIZE WRITERS SECONDS DIR
 *
 * Writers are clients of one loop: each appends the next record when the last one was acknowledged. SQLite and plain files know no
 * such thing, so they get the grouping for free: WRITERS records a transaction, or a sync. memory appends without syncing, to see
 * what an append costs before the sync.
 * Prints: appends, syncs, seconds, CPU seconds (user and system, all threads). */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifdef HAVE_SQLITE
#include <sqlite3.h>
#endif

#include "disk/wal.h"
#include "world/loop.h"

static size_t record_bytes;
static unsigned writers;
static double seconds, started;
static uint64_t appends, syncs;
static char record[1 << 20];

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void die(const char *why)
{
	fprintf(stderr, "bench: %s\n", why);
	exit(1);
}

/* ---- ours ---- */

static struct sd_wal *wal;
static struct sd_loop *loop;
static unsigned running;

static void next_record(struct sd_wal_wait *wait)
{
	struct iovec iov = {record, record_bytes};
	if (sd_wal_append(wal, 0, &iov, 1, NULL))
		die("cannot append");
	sd_wal_sync(wal, wait);
}

static void on_written(struct sd_wal_wait *wait, enum sd_err err)
{
	if (err)
		die("cannot sync");
	appends++;
	if (now() - started < seconds)
		next_record(wait);
	else if (--running == 0)
		sd_loop_stop(loop);
}

/* Old segments go, as they do in a service. */
static void open_ours(struct sd_world *w, const char *dir, struct sd_helpers *helpers)
{
	struct sd_error e = {0};
	struct sd_wal_conf conf = {.dir = dir, .name = "bench", .loop = loop, .helpers = helpers, .segment_bytes = 256u << 20};
	if (sd_wal_open(w, &conf, &wal, NULL, &e))
		die(e.text);
}

static void ours(const char *dir)
{
	struct sd_world *w = sd_world_real();
	loop = sd_loop_new(w, NULL);
	open_ours(w, dir, sd_helpers_new(w, 1));
	struct sd_wal_wait *waits = calloc(writers, sizeof(*waits));
	running = writers;
	started = now();
	for (unsigned i = 0; i < writers; i++) {
		waits[i].done = on_written;
		next_record(&waits[i]);
	}
	sd_loop_run(loop);
	struct sd_wal_stats st;
	sd_wal_stats(wal, &st);
	syncs = st.syncs;
}

static double thread_cpu(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void on_taken(struct sd_wal_wait *wait, enum sd_err err)
{
	(void)wait;
	if (err)
		die("cannot write");
}

/* Only the appends are counted, not the writes between them, which make room. */
static void memory(const char *dir)
{
	struct sd_world *w = sd_world_real();
	struct sd_wal_conf conf = {.dir = dir, .name = "bench", .sync = SD_WAL_NEVER, .batch_bytes = 8u << 20,
				   .queue_bytes = 16u << 20, .segment_bytes = 1u << 30};
	struct iovec iov = {record, record_bytes};
	struct sd_error e = {0};
	struct sd_wal_wait wait = {.done = on_taken};
	double used = 0;
	uint64_t each = (4u << 20) / (record_bytes + 64);
	if (sd_wal_open(w, &conf, &wal, NULL, &e))
		die(e.text);
	for (unsigned round = 0; round < 50; round++) {
		double before = thread_cpu();
		for (uint64_t i = 0; i < each; i++)
			sd_wal_append(wal, 0, &iov, 1, NULL);
		if (round >= 10) {
			used += thread_cpu() - before;
			appends += each;
		}
		sd_wal_sync(wal, &wait);
	}
	printf("%llu 0 %.6f %.6f\n", (unsigned long long)appends, used, used);
	exit(0);
}

/* ---- the others ---- */

static void plain(const char *dir)
{
	char path[4096];
	struct iovec *iov = calloc(writers, sizeof(*iov));
	snprintf(path, sizeof(path), "%s/plain", dir);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || fallocate(fd, 0, 0, 256 << 20) < 0)
		die("cannot make the file");
	for (started = now(); now() - started < seconds; appends += writers, syncs++) {
		for (unsigned i = 0; i < writers; i++)
			iov[i] = (struct iovec){record, record_bytes};
		if (writev(fd, iov, (int)writers) < 0 || fdatasync(fd) < 0)
			die("cannot write");
	}
}

#ifdef HAVE_SQLITE
static void run_sql(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		die(sqlite3_errmsg(db));
}

static void sqlite(const char *dir)
{
	char path[4096];
	sqlite3 *db;
	sqlite3_stmt *insert;
	snprintf(path, sizeof(path), "%s/sqlite.db", dir);
	if (sqlite3_open(path, &db) != SQLITE_OK)
		die("cannot open the database");
	run_sql(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE log(seq INTEGER PRIMARY KEY, data BLOB);");
	if (sqlite3_prepare_v2(db, "INSERT INTO log(data) VALUES(?)", -1, &insert, NULL) != SQLITE_OK)
		die(sqlite3_errmsg(db));
	for (started = now(); now() - started < seconds; appends += writers, syncs++) {
		run_sql(db, "BEGIN");
		for (unsigned i = 0; i < writers; i++) {
			sqlite3_bind_blob(insert, 1, record, (int)record_bytes, SQLITE_STATIC);
			if (sqlite3_step(insert) != SQLITE_DONE)
				die(sqlite3_errmsg(db));
			sqlite3_reset(insert);
		}
		run_sql(db, "COMMIT");
	}
}
#else
static void sqlite(const char *dir)
{
	(void)dir;
	die("built without SQLite");
}
#endif

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(const char *dir);
	} kinds[] = {{"ours", ours}, {"sqlite", sqlite}, {"plain", plain}, {"memory", memory}};
	if (argc != 6)
		die("usage: wal ours|sqlite|plain|memory SIZE WRITERS SECONDS DIR");
	record_bytes = strtoul(argv[2], NULL, 10);
	writers = (unsigned)strtoul(argv[3], NULL, 10);
	seconds = strtod(argv[4], NULL);
	memset(record, 'x', sizeof(record));
	if (record_bytes > sizeof(record) || writers == 0 || writers > 1024)
		die("expected at most 1 MiB and 1024 writers");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(argv[1], kinds[i].name) != 0)
			continue;
		double before = cpu();
		kinds[i].run(argv[5]);
		printf("%llu %llu %.6f %.6f\n", (unsigned long long)appends, (unsigned long long)syncs, now() - started,
		       cpu() - before);
		return 0;
	}
	die("expected ours, sqlite, plain or memory");
}
