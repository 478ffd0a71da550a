/* Names below a folder, in both worlds; links and what is no file in the kernel's, with and without openat2. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "world/dir.h"
#include "world/sim.h"

static struct sd_sim *sim;
static struct sd_world *w;
static struct sd_dir *d;
static char root[64], outside[64];

static void put(const char *name, const char *text)
{
	char path[160];
	snprintf(path, sizeof path, "%s/%s", root, name);
	ck_assert_int_eq(sd_world_write_file(w, path, text, strlen(text), NULL), SD_OK);
}

static void put_sim(const char *name, const char *text)
{
	char path[160];
	struct sd_file *f;
	struct iovec v = {(void *)(uintptr_t)text, strlen(text)};
	snprintf(path, sizeof path, "%s/%s", root, name);
	ck_assert_int_eq(sd_file_open(w, path, SD_FILE_WRITE | SD_FILE_CREATE, &f, NULL), SD_OK);
	ck_assert_int_eq(sd_file_write(f, &v, 1, 0, NULL), SD_OK);
	sd_file_close(f);
}

static void folder(const char *name)
{
	char path[160];
	snprintf(path, sizeof path, "%s/%s", root, name);
	ck_assert_int_eq(sd_world_mkdir(w, path, 0755, NULL), SD_OK);
}

static void link_to(const char *target, const char *name)
{
	char path[160];
	snprintf(path, sizeof path, "%s/%s", root, name);
	ck_assert_int_eq(symlink(target, path), 0);
}

/* Variant 0: links inside are followed; 1: none are. 2: the simulated world. */
static void begin(int variant)
{
	snprintf(root, sizeof root, "/tmp/sdlab-dir.XXXXXX");
	snprintf(outside, sizeof outside, "/tmp/sdlab-out.XXXXXX");
	if (variant < 2) {
		ck_assert(mkdtemp(root) && mkdtemp(outside));
		w = sd_world_real();
	} else {
		snprintf(root, sizeof root, "www");
		sim = sd_sim_new(1);
		w = sd_sim_node(sim, "n1");
		ck_assert_int_eq(sd_world_mkdir(w, root, 0755, NULL), SD_OK);
	}
	folder("a/b");
	(variant < 2 ? put : put_sim)("a/b/c.txt", "hello");
	ck_assert_int_eq(sd_dir_open(w, root, variant == 1 ? SD_DIR_NO_LINKS : 0, &d, NULL), SD_OK);
}

static void end(int variant)
{
	char command[200];
	sd_dir_close(d);
	if (variant == 2) {
		sd_sim_free(sim);
		return;
	}
	snprintf(command, sizeof command, "rm -rf %s %s", root, outside);
	ck_assert_int_eq(system(command), 0);
	sd_world_free(w);
}

/* What comes of a name: its text, "folder", "other", or the error. */
static const char *find(const char *name)
{
	static char text[64];
	struct sd_file *f;
	struct sd_file_info info;
	enum sd_err err = sd_dir_find(d, name, false, &f, &info, NULL);
	size_t got;
	if (err)
		return sd_err_text(err);
	if (!f)
		return info.kind == SD_KIND_FOLDER ? "folder" : "other";
	ck_assert_int_eq(info.kind, SD_KIND_FILE);
	ck_assert_int_eq(sd_file_read(f, text, sizeof text - 1, 0, &got, NULL), SD_OK);
	ck_assert_uint_eq(got, info.size);
	text[got] = 0;
	sd_file_close(f);
	return text;
}

#define GONE   "not found"
#define DENIED "permission denied"

START_TEST(names)
{
	begin(_i);
	ck_assert_str_eq(find("a/b/c.txt"), "hello");
	ck_assert_str_eq(find(""), "folder");
	ck_assert_str_eq(find("a"), "folder");
	ck_assert_str_eq(find("a/b"), "folder");
	ck_assert_str_eq(find("a/b/d.txt"), GONE);
	ck_assert_str_eq(find("x/b/c.txt"), GONE);
	ck_assert_str_eq(find("a/b/c.txt/d"), GONE);
	static const char *const bad[] = {"/",	 "/etc/passwd", "..",	   "../x", "a/../a/b/c.txt", "a/..", "./a",
					  "a/.", "a//b",	"a/b/c.txt/", "a/",   "."};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(strcmp(find(bad[i]), DENIED) == 0, "%s: %s", bad[i], find(bad[i]));
	char name[400];
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = 0;
	ck_assert_str_eq(find(name), GONE);
	end(_i);
}
END_TEST

START_TEST(links)
{
	bool follow = _i == 0;
	char path[160];
	begin(_i);
	snprintf(path, sizeof path, "%s/secret", outside);
	ck_assert_int_eq(sd_world_write_file(w, path, "secret", 6, NULL), SD_OK);
	link_to(path, "out");
	link_to(outside, "outdir");
	link_to("../../../../../../etc/passwd", "a/up");
	link_to("/", "slash");
	link_to("c.txt", "a/b/in");
	link_to("../b/c.txt", "a/b/round");
	link_to("b", "a/bb");
	link_to("nowhere", "dangling");
	link_to("loop", "loop");
	ck_assert_str_eq(find("out"), DENIED);
	ck_assert_str_ne(find("outdir/secret"), "secret");
	ck_assert_str_eq(find("a/up"), DENIED);
	ck_assert_str_eq(find("slash"), DENIED);
	ck_assert_str_eq(find("loop"), DENIED);
	ck_assert_str_eq(find("a/b/in"), follow ? "hello" : DENIED);
	ck_assert_str_eq(find("a/b/round"), follow ? "hello" : DENIED);
	ck_assert_str_eq(find("a/bb/c.txt"), follow ? "hello" : GONE);
	ck_assert_str_eq(find("dangling"), follow ? GONE : DENIED);
	end(_i);
}
END_TEST

/* Nothing of these is opened for good, and a FIFO without a writer does not hold us. */
START_TEST(what_is_no_file)
{
	char path[160];
	begin(_i);
	snprintf(path, sizeof path, "%s/fifo", root);
	ck_assert_int_eq(mkfifo(path, 0644), 0);
	ck_assert_str_eq(find("fifo"), "other");
	if (geteuid() != 0) {
		put("mine", "x");
		snprintf(path, sizeof path, "%s/mine", root);
		ck_assert_int_eq(chmod(path, 0), 0);
		ck_assert_str_eq(find("mine"), DENIED);
	}
	end(_i);
}
END_TEST

/* An id, a size and a time that change with the file. */
START_TEST(info_changes)
{
	struct sd_file_info a, b;
	struct sd_file *f;
	begin(_i);
	ck_assert_int_eq(sd_dir_find(d, "a/b/c.txt", false, &f, &a, NULL), SD_OK);
	sd_file_close(f);
	if (_i == 2)
		sd_sim_run_to(sim, sd_sim_now_ns(sim) + 5);
	(_i < 2 ? put : put_sim)("a/b/c.txt", "hello again");
	ck_assert_int_eq(sd_dir_find(d, "a/b/c.txt", false, &f, &b, NULL), SD_OK);
	sd_file_close(f);
	ck_assert_uint_eq(a.id, b.id);
	ck_assert_uint_eq(a.size, 5);
	ck_assert_uint_eq(b.size, 11);
	ck_assert_int_ge(b.modified_ns, a.modified_ns + (_i == 2 ? 5 : 0));
	if (_i == 2)
		ck_assert_int_eq(b.modified_ns, sd_world_wall_ns(w));
	end(_i);
}
END_TEST

/* Now or not at all: what is not in memory says so, and comes when one may wait. */
START_TEST(now)
{
	int there = 0, later = 0;
	begin(_i);
	for (int i = 0; i < 200; i++) {
		struct sd_file *f = NULL;
		struct sd_file_info info;
		char buf[16];
		size_t got;
		enum sd_err err = sd_dir_find(d, "a/b/c.txt", true, &f, &info, NULL);
		ck_assert_msg(err == SD_OK || err == SD_EAGAIN, "%s", sd_err_text(err));
		if (err == SD_EAGAIN) {
			ck_assert_ptr_null(f);
			later++;
			ck_assert_int_eq(sd_dir_find(d, "a/b/c.txt", false, &f, &info, NULL), SD_OK);
		}
		err = sd_file_read_now(f, buf, sizeof buf, 2, &got, NULL);
		ck_assert_msg(err == SD_OK || err == SD_EAGAIN, "%s", sd_err_text(err));
		if (err == SD_OK) {
			there++;
			ck_assert(got == 3 && memcmp(buf, "llo", 3) == 0);
		}
		sd_file_close(f);
	}
	if (_i == 1)
		ck_assert_int_eq(later, 200);
	if (_i == 2)
		ck_assert(there > 50 && there < 200 && later > 10 && later < 150);
	end(_i);
}
END_TEST

START_TEST(folders_that_are_none)
{
	struct sd_dir *none = NULL;
	struct sd_error e = {0};
	char path[160];
	begin(_i);
	snprintf(path, sizeof path, "%s/nowhere", root);
	ck_assert_int_eq(sd_dir_open(w, path, 0, &none, &e), SD_ENOTFOUND);
	ck_assert_ptr_nonnull(strstr(e.text, "cannot open folder "));
	snprintf(path, sizeof path, "%s/a/b/c.txt", root);
	ck_assert_int_eq(sd_dir_open(w, path, 0, &none, &e), SD_ENOTFOUND);
	ck_assert_ptr_null(none);
	end(_i);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dir");
	TCase *t = tcase_create("dir");

	tcase_add_loop_test(t, names, 0, 3);
	tcase_add_loop_test(t, links, 0, 2);
	tcase_add_loop_test(t, what_is_no_file, 0, 2);
	tcase_add_loop_test(t, info_changes, 0, 3);
	tcase_add_loop_test(t, now, 0, 3);
	tcase_add_loop_test(t, folders_that_are_none, 0, 3);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
