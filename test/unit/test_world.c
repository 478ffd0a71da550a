/* The real world: files, helpers, messages, timers, listeners that are not TCP, and child processes. */
#include <dirent.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "core/list.h"
#include "net_rig.h"

static struct rig rig;
static char folder[] = "/tmp/sdlab-world.XXXXXX";

static void setup(void)
{
	rig_make(&rig);
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_all(const char *path)
{
	char **names = sd_world_list_dir(rig.world, path);
	for (size_t i = 0; names && names[i]; i++) {
		char one[512];
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
	rig_halt(&rig);
	remove_all(folder);
	rig_free(&rig);
}

/* A path in the folder of the test; eight at a time. */
static const char *in(const char *name)
{
	static char paths[8][200];
	static int i;
	char *path = paths[i++ % 8];
	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static const char *put_file(const char *name, const void *bytes, size_t n)
{
	const char *path = in(name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
	fclose(f);
	return path;
}

/* Refused with these words behind the path's; `%s` of the format is the path. */
static void is_refused(enum sd_err err, enum sd_err want, const struct sd_error *e, const char *fmt,
		       const char *path)
{
	char text[600];
	snprintf(text, sizeof(text), fmt, path);
	ck_assert_str_eq(e->text, text);
	ck_assert_int_eq(err, want);
}

/* ---- files ---- */

static void reads(const char *path, size_t max, const void *bytes, size_t n)
{
	struct sd_error e = {0};
	char *text = NULL;
	size_t len = 99;
	ck_assert_msg(sd_world_read_file(rig.world, path, max, &text, &len, &e) == SD_OK, "%s", e.text);
	ck_assert_uint_eq(len, n);
	ck_assert(memcmp(text, bytes, n) == 0 && text[n] == '\0');
	free(text);
}

static void does_not_read(const char *path, size_t max, enum sd_err want, const char *fmt)
{
	struct sd_error e = {0};
	char *text;
	size_t len;
	is_refused(sd_world_read_file(rig.world, path, max, &text, &len, &e), want, &e, fmt, path);
}

START_TEST(read_file)
{
	static char large[20000];
	memset(large, 'x', sizeof(large));
	reads(put_file("f", "", 0), 0, "", 0);
	reads(put_file("f", "a\0b\n", 4), 4, "a\0b\n", 4);
	for (size_t n = 4095; n <= 4097; n++)
		reads(put_file("f", large, n), n, large, n);
	reads(put_file("f", large, sizeof(large)), sizeof(large), large, sizeof(large));
	does_not_read(in("f"), sizeof(large) - 1, SD_ETOOBIG, "cannot read %s: larger than 19999 bytes");
	does_not_read(put_file("f", "x", 1), 0, SD_ETOOBIG, "cannot read %s: larger than 0 bytes");
	does_not_read(in("none"), 10, SD_ENOTFOUND, "cannot open %s: No such file or directory");
	does_not_read(in("f/x"), 10, SD_EIO, "cannot open %s: Not a directory");
	does_not_read(folder, 10, SD_EIO, "cannot read %s: Is a directory");
}
END_TEST

START_TEST(read_standard_input)
{
	int pair[2], saved = dup(0);
	struct sd_error e = {0};
	char *text;
	size_t n;
	ck_assert_int_eq(pipe(pair), 0);
	dup2(pair[0], 0);
	ck_assert_int_eq(write(pair[1], "hello", 5), 5);
	close(pair[1]);
	ck_assert_int_eq(sd_world_read_file(rig.world, "-", 5, &text, &n, &e), SD_OK);
	ck_assert_str_eq(text, "hello");
	free(text);
	close(pair[0]);
	ck_assert_int_eq(pipe(pair), 0);
	dup2(pair[0], 0);
	ck_assert_int_eq(write(pair[1], "hello!", 6), 6);
	ck_assert_int_eq(sd_world_read_file(rig.world, "-", 5, &text, &n, &e), SD_ETOOBIG);
	ck_assert_str_eq(e.text, "cannot read standard input: larger than 5 bytes");
	close(pair[0]);
	close(pair[1]);
	dup2(saved, 0);
	close(saved);
}
END_TEST

START_TEST(symlinks)
{
	struct sd_error e = {0};
	char now[100] = "";
	const char *link = in("link");
	ck_assert_int_eq(sd_world_symlink(rig.world, "target", link, &e), SD_OK);
	ck_assert_int_eq(readlink(link, now, sizeof(now) - 1), 6);
	ck_assert_str_eq(now, "target");
	ck_assert_int_eq(sd_world_symlink(rig.world, "target", link, &e), SD_OK);
	is_refused(sd_world_symlink(rig.world, "targe", link, &e), SD_EEXISTS, &e,
		   "cannot link %s: something else has that name", link);
	is_refused(sd_world_symlink(rig.world, "target2", link, &e), SD_EEXISTS, &e,
		   "cannot link %s: something else has that name", link);
	link = put_file("file", "x", 1);
	is_refused(sd_world_symlink(rig.world, "target", link, &e), SD_EEXISTS, &e,
		   "cannot link %s: something else has that name", link);
	reads(link, 1, "x", 1);
	link = in("none/link");
	ck_assert_int_ne(sd_world_symlink(rig.world, "target", link, &e), SD_OK);
	is_refused(SD_OK, SD_OK, &e, "cannot link %s: No such file or directory", link);
}
END_TEST

START_TEST(hardlinks)
{
	struct sd_error e = {0};
	const char *target = put_file("target", "x", 1), *link = in("link");
	ck_assert_int_eq(sd_world_hardlink(rig.world, target, link, &e), SD_OK);
	reads(link, 1, "x", 1);
	ck_assert_int_eq(sd_world_hardlink(rig.world, target, link, &e), SD_OK);
	link = put_file("same", "x", 1);
	is_refused(sd_world_hardlink(rig.world, target, link, &e), SD_EEXISTS, &e,
		   "cannot link %s: something else has that name", link);
	link = in("other");
	ck_assert_int_ne(sd_world_hardlink(rig.world, in("none"), link, &e), SD_OK);
	is_refused(SD_OK, SD_OK, &e, "cannot link %s: No such file or directory", link);
	ck_assert_int_eq(sd_world_unlink(rig.world, target), SD_OK);
	ck_assert_int_ne(sd_world_unlink(rig.world, target), SD_OK);
}
END_TEST

static unsigned mode_of(const char *path)
{
	struct stat st;
	ck_assert_msg(lstat(path, &st) == 0, "%s: %s", path, strerror(errno));
	return st.st_mode & 0777;
}

START_TEST(folders)
{
	struct sd_error e = {0};
	umask(022);
	ck_assert_int_eq(sd_world_mkdir(rig.world, in("a"), 0750, &e), SD_OK);
	ck_assert_uint_eq(mode_of(in("a")), 0750);
	ck_assert_int_eq(sd_world_mkdir(rig.world, in("a"), 0700, &e), SD_OK);
	ck_assert_uint_eq(mode_of(in("a")), 0750);
	ck_assert_int_eq(sd_world_mkdir(rig.world, in("b/c/d"), 0700, &e), SD_OK);
	ck_assert_uint_eq(mode_of(in("b/c/d")), 0700);
	ck_assert_uint_eq(mode_of(in("b/c")), 0755);
	ck_assert_int_eq(sd_world_mkdir(rig.world, in("e/f//"), 0700, &e), SD_OK);
	ck_assert_uint_eq(mode_of(in("e/f")), 0700);
	ck_assert_int_eq(sd_world_mkdir(rig.world, "/", 0700, &e), SD_OK);
	ck_assert_int_eq(symlink("a", in("to-a")), 0);
	ck_assert_int_eq(sd_world_mkdir(rig.world, in("to-a"), 0700, &e), SD_OK);
}
END_TEST

START_TEST(folders_that_cannot_be)
{
	struct sd_error e = {0};
	char name[5000];
	const char *path = put_file("file", "x", 1);
	is_refused(sd_world_mkdir(rig.world, path, 0700, &e), SD_EIO, &e,
		   "cannot make folder %s: Not a directory", path);
	path = in("file/x/y");
	is_refused(sd_world_mkdir(rig.world, path, 0700, &e), SD_EIO, &e,
		   "cannot make folder %s: Not a directory", path);
	ck_assert_int_eq(symlink("none", in("dangling")), 0);
	path = in("dangling");
	is_refused(sd_world_mkdir(rig.world, path, 0700, &e), SD_EIO, &e,
		   "cannot make folder %s: Not a directory", path);
	is_refused(sd_world_mkdir(rig.world, "/proc/none/x", 0700, &e), SD_ENOTFOUND, &e,
		   "cannot make folder %s: No such file or directory", "/proc/none");
	is_refused(sd_world_mkdir(rig.world, "", 0700, &e), SD_EINVAL, &e,
		   "cannot make folder \"%s\": bad name", "");
	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(sd_world_mkdir(rig.world, name, 0700, &e), SD_EINVAL);
	name[300] = '\0';
	ck_assert_int_ne(sd_world_mkdir(rig.world, name, 0700, &e), SD_OK);
	ck_assert_ptr_nonnull(strstr(e.text, ": File name too long"));
}
END_TEST

START_TEST(private_folders)
{
	struct sd_error e = {0};
	static const unsigned open_to[] = {0755, 0770, 0707, 0701, 0710};
	const char *path = in("p/private");
	umask(0);
	ck_assert_int_eq(sd_world_private_dir(rig.world, path, &e), SD_OK);
	ck_assert_uint_eq(mode_of(path), 0700);
	ck_assert_int_eq(sd_world_private_dir(rig.world, path, &e), SD_OK);
	for (size_t i = 0; i < sizeof(open_to) / sizeof(open_to[0]); i++) {
		chmod(path, open_to[i]);
		is_refused(sd_world_private_dir(rig.world, path, &e), SD_EPERM, &e,
			   "%s is not a folder that only this user may enter", path);
		ck_assert_uint_eq(mode_of(path), open_to[i]);
	}
	/* somebody may have put a link there */
	chmod(path, 0700);
	ck_assert_int_eq(symlink("p/private", in("link")), 0);
	path = in("link");
	is_refused(sd_world_private_dir(rig.world, path, &e), SD_EPERM, &e,
		   "%s is not a folder that only this user may enter", path);
	path = put_file("file", "x", 1);
	ck_assert_int_ne(sd_world_private_dir(rig.world, path, &e), SD_OK);
	if (geteuid() == 0) {
		path = in("p/private");
		ck_assert_int_eq(chown(path, 12345, 0), 0);
		is_refused(sd_world_private_dir(rig.world, path, &e), SD_EPERM, &e,
			   "%s is not a folder that only this user may enter", path);
	}
}
END_TEST

START_TEST(list_of_a_folder)
{
	put_file("b", "", 0);
	put_file("c", "", 0);
	put_file("a", "", 0);
	put_file(".hidden", "", 0);
	char **names = sd_world_list_dir(rig.world, folder);
	static const char *const want[] = {".hidden", "a", "b", "c"};
	for (int i = 0; i < 4; i++) {
		ck_assert_str_eq(names[i], want[i]);
		free(names[i]);
	}
	ck_assert_ptr_null(names[4]);
	free(names);
	ck_assert_ptr_null(sd_world_list_dir(rig.world, in("none")));
}
END_TEST

/* ---- the process ---- */

START_TEST(raise_files)
{
	struct rlimit before, now;
	getrlimit(RLIMIT_NOFILE, &before);
	now = before;
	now.rlim_cur = 100;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
	ck_assert_uint_eq(sd_world_raise_files(rig.world), before.rlim_max);
	getrlimit(RLIMIT_NOFILE, &now);
	ck_assert_uint_eq(now.rlim_cur, before.rlim_max);
	ck_assert_uint_eq(sd_world_raise_files(rig.world), before.rlim_max);
}
END_TEST

START_TEST(small_things)
{
	char path[4096], a[600] = {0}, b[600] = {0};
	ck_assert(sd_world_self_path(rig.world, path, sizeof(path)));
	ck_assert_ptr_nonnull(strstr(path, "test_world"));
	ck_assert(!sd_world_self_path(rig.world, path, 4));
	ck_assert_int_eq(sd_world_pid(rig.world), getpid());
	int64_t t = sd_world_mono_ns(rig.world);
	for (int i = 0; i < 1000; i++) {
		int64_t next = sd_world_mono_ns(rig.world);
		ck_assert_int_ge(next, t);
		t = next;
	}
	sd_world_sleep_ns(rig.world, 1000000);
	ck_assert_int_ge(sd_world_mono_ns(rig.world) - t, 1000000);
	ck_assert_int_gt(sd_world_wall_ns(rig.world), 1600000000ll * 1000000000);
	sd_world_random(rig.world, a, sizeof(a));
	sd_world_random(rig.world, b, sizeof(b));
	ck_assert_mem_ne(a, b, sizeof(a));
	ck_assert_mem_ne(a + 500, a + 400, 100);
	int pair[2];
	ck_assert_int_eq(pipe(pair), 0);
	ck_assert(!sd_world_is_terminal(rig.world, pair[1]));
	close(pair[0]);
	ck_assert(!sd_world_print(rig.world, pair[1], "x", 1)); /* and no SIGPIPE */
	close(pair[1]);
	struct sd_error e = {0};
	ck_assert_int_eq(sd_world_drop_to_user(rig.world, "no such user", &e), SD_ENOTFOUND);
	ck_assert_str_eq(e.text, "no user called \"no such user\"");
}
END_TEST

/* ---- messages and deferred tasks ---- */

#define THREADS 4
#define POSTS   2000

struct posted {
	struct sd_task task;
	int thread, i;
};
static struct {
	int next[THREADS], total;
} heard;

static void on_posted(struct sd_task *task)
{
	struct posted *p = sd_container(task, struct posted, task);
	ck_assert(sd_loop_is_mine(rig.loop));
	ck_assert_int_eq(p->i, heard.next[p->thread]);
	heard.next[p->thread]++;
	heard.total++;
}

static void *post_many(void *arg)
{
	struct posted *p = arg;
	ck_assert(!sd_loop_is_mine(rig.loop));
	for (int i = 0; i < POSTS; i++)
		sd_loop_post(rig.loop, &p[i].task);
	return NULL;
}

static bool all_heard(void *arg)
{
	(void)arg;
	return heard.total == THREADS * POSTS;
}

struct again {
	struct sd_task task;
	int runs, more;
};

static void on_again(struct sd_task *task)
{
	struct again *a = sd_container(task, struct again, task);
	a->runs++;
	if (a->more-- > 0) {
		sd_loop_post(rig.loop, task);
		sd_loop_post(rig.loop, task);
	}
}

/* What was posted twice before it ran runs once, and does not tie the list into a ring. */
START_TEST(posted_twice)
{
	static struct again a, b;
	a = (struct again){.task.fn = on_again, .more = 3};
	b = (struct again){.task.fn = on_again};
	sd_loop_post(rig.loop, &a.task);
	sd_loop_post(rig.loop, &b.task);
	sd_loop_post(rig.loop, &a.task);
	for (int i = 0; i < 8; i++)
		sd_loop_flush(rig.loop);
	ck_assert_int_eq(a.runs, 4);
	ck_assert_int_eq(b.runs, 1);
}
END_TEST

START_TEST(posts_in_order)
{
	static struct posted all[THREADS][POSTS];
	pthread_t ids[THREADS];
	rig_run(&rig);
	for (int t = 0; t < THREADS; t++) {
		for (int i = 0; i < POSTS; i++)
			all[t][i] = (struct posted){.task.fn = on_posted, .thread = t, .i = i};
		pthread_create(&ids[t], NULL, post_many, all[t]);
	}
	for (int t = 0; t < THREADS; t++)
		pthread_join(ids[t], NULL);
	rig_wait(&rig, "all messages", all_heard, NULL);
}
END_TEST

static struct note {
	struct sd_task task;
	char name;
} notes[4];
static char order[64];

static void note(char c)
{
	size_t n = strlen(order);
	ck_assert_uint_lt(n, sizeof(order) - 1);
	order[n] = c;
}

static void on_note(struct sd_task *task)
{
	struct note *n = sd_container(task, struct note, task);
	note(n->name);
	if (n->name == 'a') {
		sd_loop_defer(rig.loop, &notes[2].task);
		sd_loop_defer(rig.loop, &notes[2].task); /* queued already */
	}
	if (n->name == 'b' && !strchr(order, 'd'))
		sd_loop_defer(rig.loop, &notes[3].task);
	if (n->name == 'd')
		sd_loop_defer(rig.loop, &notes[1].task); /* itself a second time, later */
}

START_TEST(deferred)
{
	for (int i = 0; i < 4; i++)
		notes[i] = (struct note){.task.fn = on_note, .name = (char)('a' + i)};
	sd_loop_post(rig.loop, &notes[0].task);
	sd_loop_defer(rig.loop, &notes[1].task);
	ck_assert_str_eq(order, "");
	sd_loop_flush(rig.loop);
	ck_assert_str_eq(order, "abcdb");
}
END_TEST

START_TEST(stopped_before_it_ran)
{
	sd_loop_stop(rig.loop);
	sd_loop_run(rig.loop); /* comes back */
}
END_TEST

/* ---- timers ---- */

static struct clock {
	struct sd_timer timer;
	char name;
	int again;
} clocks[6];

static void on_clock(struct sd_timer *timer)
{
	struct clock *c = sd_container(timer, struct clock, timer);
	ck_assert_int_ge(sd_loop_now_ns(rig.loop), timer->due_ns);
	note(c->name);
	if (c->again-- > 0)
		sd_loop_timer_set(rig.loop, timer, sd_loop_now_ns(rig.loop) + MS);
}

static bool has_noted(void *arg)
{
	return strlen(order) >= *(size_t *)arg;
}

static void wait_notes(size_t n)
{
	rig_wait(&rig, "the timers", has_noted, &n);
}

static void make_clocks(void)
{
	for (int i = 0; i < 6; i++)
		clocks[i] = (struct clock){.timer.fn = on_clock, .name = (char)('a' + i)};
}

START_TEST(timers_in_order)
{
	make_clocks();
	int64_t now = sd_loop_now_ns(rig.loop);
	static const int due_ms[] = {9, 3, 6, 1, -5, 12};
	for (int i = 0; i < 6; i++)
		sd_loop_timer_set(rig.loop, &clocks[i].timer, now + due_ms[i] * MS);
	sd_loop_timer_cancel(rig.loop, &clocks[2].timer);
	sd_loop_timer_cancel(rig.loop, &clocks[2].timer);
	sd_loop_timer_set(rig.loop, &clocks[5].timer, now + 2 * MS);  /* earlier */
	sd_loop_timer_set(rig.loop, &clocks[1].timer, now + 14 * MS); /* later */
	rig_run(&rig);
	wait_notes(5);
	ck_assert_str_eq(order, "edfab");
}
END_TEST

START_TEST(timers_again)
{
	make_clocks();
	clocks[0].again = 4;
	sd_loop_timer_set(rig.loop, &clocks[0].timer, 0);
	sd_loop_timer_set(rig.loop, &clocks[1].timer, sd_loop_now_ns(rig.loop) + 5 * MS);
	sd_loop_timer_set(rig.loop, &clocks[1].timer, SD_NEVER);
	rig_run(&rig);
	wait_notes(5);
	ck_assert_str_eq(order, "aaaaa");
	ck_assert_uint_eq(SEEN(&rig, clocks[0].timer.slot), 0);
}
END_TEST

static void cancel_the_other(struct sd_timer *timer)
{
	struct clock *c = sd_container(timer, struct clock, timer);
	note(c->name);
	for (int i = 0; i < 2; i++)
		sd_loop_timer_cancel(rig.loop, &clocks[i].timer);
}

START_TEST(timers_cancel_each_other)
{
	size_t n = 2;
	make_clocks();
	for (int i = 0; i < 2; i++) {
		clocks[i].timer.fn = cancel_the_other;
		sd_loop_timer_set(rig.loop, &clocks[i].timer, 1);
	}
	sd_loop_timer_set(rig.loop, &clocks[2].timer, sd_loop_now_ns(rig.loop) + MS);
	rig_run(&rig);
	rig_wait(&rig, "the last timer", has_noted, &n);
	ck_assert_uint_eq(strlen(order), 2);
	ck_assert_int_eq(order[1], 'c');
}
END_TEST

/* A timer that is always due must not keep the loop from what else there is. */
static bool enough;
static int64_t turns;

static void on_always(struct sd_timer *timer)
{
	turns++;
	if (!enough)
		sd_loop_timer_set(rig.loop, timer, sd_loop_now_ns(rig.loop) - (turns % 3) * MS);
}

static void be_content(void *arg)
{
	(void)arg;
	enough = true;
}

static bool many_turns(void *arg)
{
	(void)arg;
	return turns > 100;
}

START_TEST(timers_leave_room)
{
	make_clocks();
	clocks[0].timer.fn = on_always;
	sd_loop_timer_set(rig.loop, &clocks[0].timer, 0);
	rig_run(&rig);
	rig_wait(&rig, "the timer's turns", many_turns, NULL);
	rig_call(&rig, be_content, NULL);
}
END_TEST

/* ---- helpers ---- */

#define WORKS 1000

static struct job {
	struct sd_work work;
	int number, ran, done;
	sem_t *post, *wait; /* while it runs */
} jobs[WORKS];
static int ndone, nran;

static void run_job(struct sd_work *work)
{
	struct job *j = sd_container(work, struct job, work);
	ck_assert(!sd_loop_is_mine(rig.loop));
	if (j->post)
		sem_post(j->post);
	while (j->wait && sem_wait(j->wait) < 0)
		;
	j->ran++;
	__atomic_add_fetch(&nran, 1, __ATOMIC_RELAXED);
}

static void job_done(struct sd_work *work)
{
	struct job *j = sd_container(work, struct job, work);
	ck_assert(sd_loop_is_mine(rig.loop));
	j->done = ++ndone;
}

static struct job *submit(struct sd_helpers *h, int i)
{
	jobs[i].work.run = run_job;
	jobs[i].work.done = job_done;
	jobs[i].number = i;
	ck_assert(sd_helpers_submit(h, rig.loop, &jobs[i].work));
	return &jobs[i];
}

static bool are_done(void *arg)
{
	return ndone == *(int *)arg;
}

START_TEST(one_helper_keeps_the_order)
{
	struct sd_helpers *h = sd_helpers_new(rig.world, 1);
	int n = 100;
	rig_run(&rig);
	for (int i = 0; i < n; i++)
		submit(h, i);
	rig_wait(&rig, "all works", are_done, &n);
	for (int i = 0; i < n; i++)
		ck_assert_int_eq(SEEN(&rig, jobs[i].done), i + 1);
	sd_helpers_free(h);
	sd_helpers_free(NULL);
}
END_TEST

START_TEST(many_works)
{
	struct sd_helpers *h = sd_helpers_new(rig.world, 4);
	int n = WORKS;
	rig_run(&rig);
	for (int i = 0; i < n; i++)
		submit(h, i);
	rig_wait(&rig, "all works", are_done, &n);
	for (int i = 0; i < n; i++)
		ck_assert(jobs[i].ran == 1 && jobs[i].done > 0);
	sd_helpers_free(h);
}
END_TEST

/* Works that wait for each other: each gets a thread, also when an idle one was there for the first. */
START_TEST(works_that_wait_for_each_other)
{
	struct sd_helpers *h = sd_helpers_new(rig.world, 3);
	sem_t a, b, c;
	sem_init(&a, 0, 0);
	sem_init(&b, 0, 0);
	sem_init(&c, 0, 0);
	rig_run(&rig);
	int n = 0;
	for (int round = 0; round < 20; round++) {
		int first = 4 * round;
		n++;
		submit(h, first);
		rig_wait(&rig, "the first", are_done, &n);
		jobs[first + 1].wait = &a;
		jobs[first + 2].wait = &b;
		jobs[first + 3].post = &a;
		jobs[first + 2].post = &c;
		submit(h, first + 1);
		submit(h, first + 2);
		submit(h, first + 3);
		while (sem_wait(&c) < 0)
			;
		sem_post(&b);
		n += 3;
		rig_wait(&rig, "those that wait", are_done, &n);
	}
	sd_helpers_free(h);
}
END_TEST

static void *free_helpers(void *arg)
{
	sd_helpers_free(arg);
	return NULL;
}

/* What runs is waited for; of what waits, some may still run, and who did is told. */
START_TEST(helpers_freed_while_works_wait)
{
	struct sd_helpers *h = sd_helpers_new(rig.world, 2);
	sem_t started, go;
	pthread_t id;
	sem_init(&started, 0, 0);
	sem_init(&go, 0, 0);
	for (int i = 0; i < 2; i++) {
		jobs[i].post = &started;
		jobs[i].wait = &go;
		submit(h, i);
	}
	for (int i = 0; i < 2; i++)
		while (sem_wait(&started) < 0)
			;
	for (int i = 2; i < 50; i++)
		submit(h, i);
	ck_assert_int_eq(__atomic_load_n(&nran, __ATOMIC_RELAXED), 0);
	pthread_create(&id, NULL, free_helpers, h);
	sem_post(&go);
	sem_post(&go);
	pthread_join(id, NULL);
	sd_loop_flush(rig.loop);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_le(jobs[i].ran, 1);
		ck_assert_int_eq(jobs[i].ran, jobs[i].done > 0);
	}
	ck_assert(jobs[0].ran && jobs[1].ran);
	ck_assert_int_eq(nran, ndone);
}
END_TEST

/* ---- names ---- */

/* In place of the C library's: it says when it is asked, and answers when told. */
static sem_t asked, answer;
static bool name_is_unknown;

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out)
{
	static struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = 0x0100000a /* 10.0.0.1 */};
	static struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr.s6_addr[15] = 1};
	(void)port;
	(void)hints;
	sem_post(&asked);
	while (sem_wait(&answer) < 0)
		;
	ck_assert_str_eq(host, "some.host");
	if (name_is_unknown)
		return EAI_NONAME;
	struct addrinfo *list = calloc(2, sizeof(*list));
	list[0] = (struct addrinfo){.ai_family = AF_INET,
				    .ai_addr = (struct sockaddr *)&a,
				    .ai_addrlen = sizeof(a),
				    .ai_next = &list[1]};
	list[1] = (struct addrinfo){
	    .ai_family = AF_INET6, .ai_addr = (struct sockaddr *)&a6, .ai_addrlen = sizeof(a6)};
	*out = list;
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	free(list);
}

static int resolved, unasked; /* done, dropped */

static void on_resolved(struct sd_resolve *r)
{
	(void)r;
	resolved++;
}

static void on_dropped(struct sd_resolve *r)
{
	(void)r;
	__atomic_add_fetch(&unasked, 1, __ATOMIC_RELEASE);
}

static bool is_resolved(void *arg)
{
	return resolved == *(int *)arg;
}

static void resolve_setup(void)
{
	sem_init(&asked, 0, 0);
	sem_init(&answer, 0, 0);
}

START_TEST(names)
{
	struct sd_resolve r = {.host = "some.host", .port = 81, .done = on_resolved};
	char text[SD_ADDR_TEXT];
	int n = 1;
	resolve_setup();
	rig_run(&rig);
	sem_post(&answer);
	ck_assert(sd_resolve_start(rig.loop, &r));
	rig_wait(&rig, "the answer", is_resolved, &n);
	ck_assert_int_eq(r.nfound, 2);
	ck_assert_str_eq(sd_addr_format(&r.found[0], text), "10.0.0.1:81");
	ck_assert_str_eq(sd_addr_format(&r.found[1], text), "[::1]:81");
	name_is_unknown = true;
	sem_post(&answer);
	n = 2;
	ck_assert(sd_resolve_start(rig.loop, &r));
	rig_wait(&rig, "the answer", is_resolved, &n);
	ck_assert_int_eq(r.nfound, 0);
	ck_assert_ptr_eq(strstr(r.err, "cannot resolve some.host: "), r.err);
}
END_TEST

/* Look-ups that take longer than their loop lives: those that run and those that wait. */
START_TEST(names_without_a_loop)
{
	struct sd_resolve r[5];
	struct sd_loop *other = sd_loop_new(rig.world, NULL);
	resolve_setup();
	for (int i = 0; i < 5; i++) {
		r[i] = (struct sd_resolve){.host = "some.host", .done = on_resolved, .dropped = on_dropped};
		ck_assert(sd_resolve_start(other, &r[i]));
	}
	for (int i = 0; i < 2; i++)
		while (sem_wait(&asked) < 0)
			;
	sd_loop_free(other);
	ck_assert_int_eq(__atomic_load_n(&unasked, __ATOMIC_ACQUIRE), 3);
	sem_post(&answer);
	sem_post(&answer);
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	while (__atomic_load_n(&unasked, __ATOMIC_ACQUIRE) < 5) {
		ck_assert_msg(rig_now_ns() < end, "the others were not dropped");
		poll(NULL, 0, 1);
	}
	ck_assert_int_eq(resolved, 0);
}
END_TEST

/* ---- listeners ---- */

/* Says its name to who comes, and closes. */
static void greet(void *arg, struct sd_io *io)
{
	struct iovec v = {arg, 1};
	ssize_t put = io->ops->writev(io, &v, 1);
	ck_assert(put == 1 || put == -SD_ERESET); /* who only looked whether somebody listens is gone */
	io->ops->close(io, false);
}

static struct sd_listener *listen_at(struct sd_loop *l, const char *text, const char *name)
{
	struct sd_listener_events events = {.accepted = greet, .arg = (void *)(uintptr_t)name};
	struct sd_listener *s;
	struct sd_addr a;
	struct sd_error e = {0};
	ck_assert_int_eq(sd_addr_parse(text, "127.0.0.1", &a, &e), SD_OK);
	ck_assert_msg(sd_loop_listen(l, &a, false, &events, &s, &e) == SD_OK, "%s", e.text);
	return s;
}

static enum sd_err try_connect(struct sd_loop *l, const char *text, struct sd_io **io, struct sd_error *e)
{
	struct sd_addr a;
	ck_assert_int_eq(sd_addr_parse(text, "127.0.0.1", &a, e), SD_OK);
	return sd_loop_connect(l, &a, io, e);
}

static struct sd_io *connect_to(struct sd_loop *l, const char *text)
{
	struct sd_io *io;
	struct sd_error e = {0};
	ck_assert_msg(try_connect(l, text, &io, &e) == SD_OK, "%s", e.text);
	return io;
}

/* What the other side says, or 0 for its end; the connection is closed. */
static char greeting(struct sd_io *io)
{
	char c = 0;
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	ssize_t n;
	while ((n = io->ops->read(io, &c, 1)) == -SD_EAGAIN) {
		ck_assert_msg(rig_now_ns() < end, "nothing came");
		poll(NULL, 0, 1);
	}
	ck_assert_int_ge(n, 0);
	io->ops->close(io, false);
	return c;
}

static void nobody_listens(struct sd_loop *l, const char *name)
{
	struct sd_io *io;
	struct sd_error e = {0};
	is_refused(try_connect(l, name, &io, &e), SD_EREFUSED, &e, "cannot connect to %s: nobody listens",
		   name);
}

START_TEST(inproc_takes_turns)
{
	/* two workers with one name, a client with a loop of its own */
	struct rig two = {.world = rig.world, .loop = sd_loop_new(rig.world, NULL)};
	struct sd_loop *mine = sd_loop_new(rig.world, NULL);
	struct sd_listener *a = listen_at(rig.loop, "inproc:web", "a"),
			   *b = listen_at(two.loop, "inproc:web", "b");
	struct sd_listener *c = listen_at(rig.loop, "inproc:we", "c");
	rig_run(&rig);
	rig_run(&two);
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(greeting(connect_to(mine, "inproc:web")), "ab"[i % 2]);
	ck_assert_int_eq(greeting(connect_to(mine, "inproc:we")), 'c');
	nobody_listens(mine, "inproc:w");
	nobody_listens(mine, "inproc:web-1");
	/* many on their way at once */
	struct sd_io *io[20];
	int of_a = 0;
	for (int i = 0; i < 20; i++)
		io[i] = connect_to(mine, "inproc:web");
	for (int i = 0; i < 20; i++)
		of_a += greeting(io[i]) == 'a';
	ck_assert_int_eq(of_a, 10);
	rig_halt(&rig);
	rig_halt(&two);
	sd_listener_pause(a, true);
	for (int i = 0; i < 3; i++) {
		io[i] = connect_to(mine, "inproc:web");
		sd_loop_flush(two.loop);
		ck_assert_int_eq(greeting(io[i]), 'b');
	}
	sd_listener_close(b);
	nobody_listens(mine, "inproc:web");
	sd_listener_pause(a, false);
	io[0] = connect_to(mine, "inproc:web");
	sd_loop_flush(rig.loop);
	ck_assert_int_eq(greeting(io[0]), 'a');
	/* on its way while the listener goes */
	io[0] = connect_to(mine, "inproc:web");
	sd_listener_close(a);
	sd_loop_flush(rig.loop);
	ck_assert_int_eq(greeting(io[0]), 0);
	nobody_listens(mine, "inproc:web");
	sd_listener_close(c);
	sd_listener_close(NULL);
	sd_loop_free(mine);
	sd_loop_free(two.loop);
}
END_TEST

static int bind_unix(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	return fd;
}

static void does_not_listen(const char *text)
{
	struct sd_listener_events events = {.accepted = greet};
	struct sd_listener *s;
	struct sd_addr a;
	struct sd_error e = {0};
	ck_assert_int_eq(sd_addr_parse(text, "127.0.0.1", &a, &e), SD_OK);
	is_refused(sd_loop_listen(rig.loop, &a, false, &events, &s, &e), SD_EINUSE, &e,
		   "cannot listen on %s: Address already in use", text);
}

START_TEST(unix_sockets)
{
	char addr[120];
	const char *path = in("s");
	struct sd_loop *mine = sd_loop_new(rig.world, NULL);
	snprintf(addr, sizeof(addr), "unix:%s", path);
	/* a live one stays */
	int fd = bind_unix(path);
	does_not_listen(addr);
	ck_assert_int_eq(access(path, F_OK), 0);
	/* one that nobody answers any more is replaced */
	close(fd);
	ck_assert_int_eq(access(path, F_OK), 0);
	struct sd_listener *s = listen_at(rig.loop, addr, "u");
	does_not_listen(addr);
	rig_run(&rig);
	ck_assert_int_eq(greeting(connect_to(mine, addr)), 'u');
	ck_assert_int_eq(greeting(connect_to(mine, addr)), 'u');
	rig_halt(&rig);
	sd_listener_close(s);
	ck_assert_int_ne(access(path, F_OK), 0);
	struct sd_io *io;
	struct sd_error e = {0};
	is_refused(try_connect(mine, addr, &io, &e), SD_EREFUSED, &e,
		   "cannot connect to %s: No such file or directory", addr);
	/* anything else that has the name stays */
	put_file("s", "precious", 8);
	does_not_listen(addr);
	reads(path, 8, "precious", 8);
	sd_loop_free(mine);
}
END_TEST

START_TEST(ports)
{
	struct sd_listener_events events = {.accepted = greet, .arg = (void *)(uintptr_t) "t"};
	struct sd_listener *a, *b;
	struct sd_addr addr;
	struct sd_error e = {0};
	char text[SD_ADDR_TEXT];
	ck_assert_int_eq(sd_addr_parse("127.0.0.1:0", NULL, &addr, &e), SD_OK);
	ck_assert_int_eq(sd_loop_listen(rig.loop, &addr, true, &events, &a, &e), SD_OK);
	ck_assert_uint_ne(addr.port, 0);
	ck_assert_int_eq(sd_loop_listen(rig.loop, &addr, true, &events, &b, &e), SD_OK);
	does_not_listen(sd_addr_format(&addr, text));
	sd_listener_close(b);
	sd_listener_pause(a, true);
	struct peer *p = peer_connect(addr.port); /* the kernel takes it meanwhile */
	rig_run(&rig);
	peer_is_quiet(p);
	rig_halt(&rig);
	peer_free(p);
	sd_listener_close(a);
}
END_TEST

/* ---- child processes ---- */

static struct {
	char out[2][256];
	size_t n[2];
	int status, exits;
	struct sd_process *process;
	int64_t pid;
} child;

static void on_output(void *arg, bool is_stderr, const char *p, size_t n)
{
	(void)arg;
	size_t room = sizeof(child.out[0]) - 1 - strlen(child.out[is_stderr]);
	strncat(child.out[is_stderr], p, n < room ? n : room);
	child.n[is_stderr] += n;
}

static void on_exited(void *arg, int status)
{
	(void)arg;
	child.status = status;
	child.exits++;
}

struct launch {
	const char *const *argv, *const *env;
};

static void launch(void *arg)
{
	const struct launch *l = arg;
	struct sd_process_events events = {.output = on_output, .exited = on_exited};
	struct sd_error e = {0};
	memset(&child, 0, sizeof(child));
	ck_assert_msg(sd_process_start(rig.loop, l->argv, l->env, &events, &child.process, &e) == SD_OK, "%s",
		      e.text);
	child.pid = sd_process_pid(child.process);
}

static bool has_exited(void *arg)
{
	(void)arg;
	return child.exits > 0;
}

static void start_shell(const char *script)
{
	struct launch l = {.argv = (const char *const[]){"/bin/sh", "-c", script, NULL},
			   .env = (const char *const[]){"PATH=/usr/bin:/bin", "WORD=hello", NULL}};
	if (!rig.running)
		rig_run(&rig);
	rig_call(&rig, launch, &l);
}

static void exits(int status)
{
	rig_wait(&rig, "the process to end", has_exited, NULL);
	ck_assert_int_eq(child.status, status);
	ck_assert_int_eq(child.exits, 1);
}

static bool has_said(void *arg)
{
	return strstr(child.out[0], arg) != NULL;
}

static void send_signal(void *arg)
{
	sd_process_signal(child.process, *(int *)arg);
}

START_TEST(processes)
{
	start_shell("exit 0");
	exits(0);
	start_shell("exit 3");
	exits(3);
	start_shell("echo \"$WORD\"; echo no >&2; printf 'last words'; printf 'of both' >&2; exit 7");
	exits(7);
	ck_assert_str_eq(child.out[0], "hello\nlast words");
	ck_assert_str_eq(child.out[1], "no\nof both");
	/* it reads nothing of ours */
	start_shell("cat; echo end");
	exits(0);
	ck_assert_str_eq(child.out[0], "end\n");
	/* closes what it says early */
	start_shell("exec >&- 2>&-; exit 4");
	exits(4);
	start_shell("head -c 1000000 /dev/zero | tr '\\0' x");
	exits(0);
	ck_assert_uint_eq(child.n[0], 1000000);
}
END_TEST

START_TEST(processes_that_are_killed)
{
	static const int signals[] = {SIGTERM, SIGKILL, SIGHUP, SIGINT};
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		start_shell("echo ready; exec sleep 100");
		rig_wait(&rig, "the process to be up", has_said, (void *)(uintptr_t) "ready");
		ck_assert_int_eq(getpgid((pid_t)child.pid), child.pid); /* Ctrl-C is not for it */
		rig_call(&rig, send_signal, (void *)(uintptr_t)&signals[i]);
		exits(-signals[i]);
	}
	start_shell("trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.01; done");
	rig_wait(&rig, "the process to be up", has_said, (void *)(uintptr_t) "ready");
	rig_call(&rig, send_signal, (void *)(uintptr_t)&signals[0]);
	exits(5);
	ck_assert_str_eq(child.out[0], "ready\nbye\n");
	/* what this process ignores is not ignored there */
	start_shell("kill -PIPE $$; exit 6");
	exits(-SIGPIPE);
}
END_TEST

START_TEST(a_grandchild_holds_the_output)
{
	start_shell("sleep 100 & echo $!; exit 2");
	exits(2);
	int64_t pid = strtoll(child.out[0], NULL, 10);
	ck_assert_int_gt(pid, 1);
	kill((pid_t)pid, SIGKILL);
}
END_TEST

START_TEST(programs_that_are_not_there)
{
	struct launch l = {.argv = (const char *const[]){"/nowhere/at-all", NULL},
			   .env = (const char *const[]){NULL}};
	rig_run(&rig);
	rig_call(&rig, launch, &l);
	exits(127);
	l.argv = (const char *const[]){folder, NULL};
	rig_call(&rig, launch, &l);
	exits(127);
}
END_TEST

static int open_files(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

START_TEST(processes_leave_nothing)
{
	start_shell("exit 0");
	exits(0);
	int before = open_files();
	for (int i = 0; i < 10; i++) {
		start_shell("echo x");
		exits(0);
	}
	rig_halt(&rig);
	ck_assert_int_eq(open_files(), before);
	/* none is to be had without descriptors */
	struct rlimit r;
	struct sd_process_events events = {.output = on_output, .exited = on_exited};
	struct sd_process *p;
	struct sd_error e = {0};
	getrlimit(RLIMIT_NOFILE, &r);
	rlim_t soft = r.rlim_cur;
	r.rlim_cur = 5;
	setrlimit(RLIMIT_NOFILE, &r);
	enum sd_err err = sd_process_start(rig.loop, (const char *const[]){"/bin/true", NULL},
					   (const char *const[]){NULL}, &events, &p, &e);
	r.rlim_cur = soft;
	setrlimit(RLIMIT_NOFILE, &r);
	ck_assert_int_eq(err, SD_ENOFILES);
	ck_assert_str_eq(e.text, "cannot start /bin/true: Too many open files");
	ck_assert_int_eq(open_files(), before);
}
END_TEST

/* ---- signals ---- */

static int signalled;

static void on_signal(void *arg, int signo)
{
	ck_assert_ptr_eq(arg, &rig);
	ck_assert_int_eq(signo, SIGUSR1);
	signalled++;
	sd_loop_stop(rig.loop);
}

START_TEST(signals)
{
	struct sd_signal *s = sd_loop_signal(rig.loop, SIGUSR1, on_signal, &rig);
	ck_assert_ptr_nonnull(s);
	kill(getpid(), SIGUSR1);
	sd_loop_run(rig.loop);
	ck_assert_int_eq(signalled, 1);
	sd_signal_free(s);
	sd_signal_free(NULL);
}
END_TEST

static TCase *make(const char *name, const TTest *const *tests)
{
	TCase *c = tcase_create(name);
	tcase_add_checked_fixture(c, setup, teardown);
	for (; *tests; tests++)
		tcase_add_test(c, *tests);
	return c;
}

#define TESTS(...) ((const TTest *const[]){__VA_ARGS__, NULL})

int main(void)
{
	TCase *cases[] = {
	    make("files",
		 TESTS(read_file, read_standard_input, symlinks, hardlinks, folders, folders_that_cannot_be,
		       private_folders, list_of_a_folder, raise_files, small_things)),
	    make("tasks", TESTS(posts_in_order, posted_twice, deferred, stopped_before_it_ran, signals)),
	    make("timers", TESTS(timers_in_order, timers_again, timers_cancel_each_other, timers_leave_room)),
	    make("helpers", TESTS(one_helper_keeps_the_order, many_works, works_that_wait_for_each_other,
				  helpers_freed_while_works_wait, names, names_without_a_loop)),
	    make("listeners", TESTS(inproc_takes_turns, unix_sockets, ports)),
	    make("processes", TESTS(processes, processes_that_are_killed, a_grandchild_holds_the_output,
				    programs_that_are_not_there, processes_leave_nothing)),
	};
	return rig_main_of(cases, sizeof(cases) / sizeof(cases[0]), "world");
}
