/* The machine as the world sees it: its limits are those that other calls tell, and trying the disk leaves nothing behind. */
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "world/machine.h"
#include "world/sim.h"

static struct sd_world *world;
static char folder[] = "/tmp/sdlab-machine.XXXXXX";

static void setup(void)
{
	world = sd_world_real();
	ck_assert_ptr_nonnull(world);
	ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
	rmdir(folder);
	sd_world_free(world);
}

static bool is_empty(void)
{
	char **names = sd_world_list_dir(world, folder);
	ck_assert_ptr_nonnull(names);
	bool empty = !names[0];
	for (size_t i = 0; names[i]; i++)
		free(names[i]);
	free(names);
	return empty;
}

/* ---- limits ---- */

START_TEST(limits)
{
	struct sd_machine m;
	struct rlimit r;
	cpu_set_t set;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &r), 0);
	ck_assert_uint_ge(r.rlim_max, 77);
	r.rlim_cur = 77;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &r), 0);
	sd_machine_read(world, &m);
	ck_assert_int_eq(m.files_soft, 77);
	ck_assert_int_eq(m.files_hard, r.rlim_max >= INT64_MAX ? SD_UNLIMITED : (int64_t)r.rlim_max);
	ck_assert_int_eq(m.cores_online, sysconf(_SC_NPROCESSORS_ONLN));
	ck_assert_int_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	ck_assert_int_eq(m.cores_allowed, CPU_COUNT(&set));
	ck_assert_int_gt(m.memory_total, 0);
	ck_assert_int_gt(m.memory_available, 0);
	ck_assert_int_le(m.memory_available, m.memory_total);
	ck_assert_int_gt(m.files_in_use, 0);
	ck_assert_int_gt(m.port_low, 0);
	ck_assert_int_ge(m.port_high, m.port_low);
	ck_assert_int_gt(m.backlog, 0);
	ck_assert_int_gt(m.clock_step_ns, 0);
	ck_assert_int_eq(strncmp(m.kernel, "Linux ", 6), 0);
}
END_TEST

START_TEST(fewer_cores)
{
	struct sd_machine m;
	cpu_set_t all, one;
	int first = 0;
	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(first, &all))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	sd_machine_read(world, &m);
	ck_assert_int_eq(m.cores_allowed, 1);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(all), &all), 0);
}
END_TEST

START_TEST(filesystem)
{
	struct sd_machine_fs fs;
	sd_machine_fs(world, "/proc", &fs);
	ck_assert_str_eq(fs.type, "proc");
	sd_machine_fs(world, folder, &fs);
	ck_assert_str_ne(fs.type, "");
	ck_assert_int_gt(fs.free, 0);
	sd_machine_fs(world, "/no/such/folder", &fs);
	ck_assert_str_eq(fs.type, "");
	ck_assert_int_eq(fs.free, SD_UNKNOWN);
}
END_TEST

/* ---- the disk ---- */

#define SECOND 1000000000ll

START_TEST(commits)
{
	struct sd_error e = {0};
	int64_t samples[12] = {0};
	size_t n = 0;
	ck_assert_int_eq(sd_machine_disk(world, folder, 10, 3600 * SECOND, samples, &n, &e), SD_OK);
	ck_assert_uint_eq(n, 10);
	for (size_t i = 0; i < 10; i++)
		ck_assert_int_gt(samples[i], 0);
	ck_assert_int_eq(samples[10], 0);
	ck_assert(is_empty());
	/* at least one, however little time there is */
	ck_assert_int_eq(sd_machine_disk(world, folder, 10, 0, samples, &n, &e), SD_OK);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(sd_machine_disk(world, folder, 0, SECOND, samples, &n, &e), SD_OK);
	ck_assert_uint_eq(n, 0);
	ck_assert(is_empty());
}
END_TEST

START_TEST(log_rate)
{
	struct sd_error e = {0};
	int64_t rate = 0;
	ck_assert_int_eq(sd_machine_disk_rate(world, folder, 9 << 20, 3600 * SECOND, &rate, &e), SD_OK);
	ck_assert_int_gt(rate, 0);
	ck_assert(is_empty());
	ck_assert_int_eq(sd_machine_disk_rate(world, folder, 0, SECOND, &rate, &e), SD_OK);
	ck_assert_int_eq(rate, SD_UNKNOWN);
}
END_TEST

START_TEST(no_folder)
{
	struct sd_error e = {0};
	int64_t sample, rate;
	size_t n;
	char longer[5000];
	ck_assert_int_ne(sd_machine_disk(world, "/no/such", 1, SECOND, &sample, &n, &e), SD_OK);
	ck_assert_str_eq(e.text, "cannot write in /no/such: No such file or directory");
	ck_assert_int_ne(sd_machine_disk_rate(world, "/no/such", 1, SECOND, &rate, &e), SD_OK);
	ck_assert_int_ne(sd_machine_can_write(world, "/no/such", &e), SD_OK);
	ck_assert_int_eq(sd_machine_can_write(world, folder, &e), SD_OK);
	ck_assert(is_empty());
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(sd_machine_can_write(world, longer, &e), SD_EINVAL);
}
END_TEST

/* A disk that is full, as small as a limit makes it. */
START_TEST(full_disk)
{
	struct sd_error e = {0};
	int64_t samples[10], rate;
	size_t n = 0;
	struct rlimit r, before;
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
	r = before;
	r.rlim_cur = 3 * 4096;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
	ck_assert_int_eq(sd_machine_disk(world, folder, 10, 3600 * SECOND, samples, &n, &e), SD_EIO);
	ck_assert_uint_eq(n, 3);
	ck_assert_ptr_nonnull(strstr(e.text, "File too large"));
	ck_assert_int_eq(sd_machine_disk_rate(world, folder, 8 << 20, SECOND, &rate, &e), SD_EIO);
	ck_assert(is_empty());
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
}
END_TEST

static volatile sig_atomic_t alarms, interrupts, interrupted_early;

static void on_alarm(int signo)
{
	int saved = errno;
	(void)signo;
	alarms++;
	kill(getpid(), SIGINT);
	errno = saved;
}

static void on_interrupt(int signo)
{
	int saved = errno;
	(void)signo;
	interrupts++;
	if (rmdir(folder) < 0) /* what a handler may ask: is it empty? */
		interrupted_early = 1;
	else
		mkdir(folder, 0700);
	errno = saved;
}

/* Ctrl-C in the middle waits until the file is gone. */
START_TEST(interrupted)
{
	struct sd_error e = {0};
	static int64_t samples[100000];
	size_t n = 0;
	struct itimerval soon = {.it_value = {0, 5000}};
	signal(SIGALRM, on_alarm);
	signal(SIGINT, on_interrupt);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
	while (!alarms)
		ck_assert_int_eq(sd_machine_disk(world, folder, 100000, SECOND / 10, samples, &n, &e), SD_OK);
	ck_assert_int_eq(interrupts, 1);
	ck_assert_int_eq(interrupted_early, 0);
	ck_assert(is_empty());
}
END_TEST

START_TEST(computing)
{
	int64_t before = sd_world_thread_cpu_ns(world);
	sd_world_compute_ns(world, 20000000);
	ck_assert_int_ge(sd_world_thread_cpu_ns(world) - before, 20000000);
	sd_world_compute_ns(world, 0);
}
END_TEST

/* Memory that is touched and time that is spent are seen. */
START_TEST(process_use)
{
	struct sd_process_use before, after;
	size_t n = 32 << 20;
	sd_process_use(world, &before);
	char *p = malloc(n);
	ck_assert_ptr_nonnull(p);
	for (size_t i = 0; i < n; i += 4096)
		((volatile char *)p)[i] = 1;
	sd_world_compute_ns(world, 30000000);
	sd_process_use(world, &after);
	free(p);
	ck_assert_int_gt(before.resident, 0);
	ck_assert_int_gt(after.resident - before.resident, (int64_t)n / 2);
	ck_assert_int_ge(after.user_us + after.system_us - before.user_us - before.system_us, 20000);
}
END_TEST

/* A simulated world has no machine below it, and must not touch ours. Computing takes virtual time. */
START_TEST(simulated)
{
	struct sd_error e = {0};
	struct sd_machine m;
	struct sd_machine_fs fs;
	struct sd_process_use use;
	int64_t sample;
	size_t n = 7;
	struct sd_sim *s = sd_sim_new(1);
	struct sd_world *w = sd_sim_node(s, "a");
	sd_machine_read(w, &m);
	ck_assert_str_eq(m.kernel, "");
	ck_assert_int_eq(m.files_soft, SD_UNKNOWN);
	ck_assert_int_eq(m.memory_group, SD_UNKNOWN);
	ck_assert_int_eq(m.clock_step_ns, SD_UNKNOWN);
	sd_process_use(w, &use);
	ck_assert_int_eq(use.resident, 0);
	sd_machine_fs(w, folder, &fs);
	ck_assert_int_eq(fs.free, SD_UNKNOWN);
	ck_assert_int_eq(sd_machine_disk(w, folder, 1, SECOND, &sample, &n, &e), SD_EUNSUPPORTED);
	ck_assert_uint_eq(n, 0);
	int64_t before = sd_world_mono_ns(w);
	sd_world_compute_ns(w, 3600 * SECOND);
	ck_assert_int_eq(sd_world_mono_ns(w) - before, 3600 * SECOND);
	sd_sim_free(s);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("machine");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, limits);
	tcase_add_test(t, fewer_cores);
	tcase_add_test(t, filesystem);
	tcase_add_test(t, commits);
	tcase_add_test(t, log_rate);
	tcase_add_test(t, no_folder);
	tcase_add_test(t, full_disk);
	tcase_add_test(t, interrupted);
	tcase_add_test(t, computing);
	tcase_add_test(t, process_use);
	tcase_add_test(t, simulated);
	Suite *s = suite_create("machine");
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
