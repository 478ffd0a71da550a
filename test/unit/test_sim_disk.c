/* The disk of the simulated world, against the rules in file.h: what may be lost is lost for some seeds, and what may not
 * is not for any. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "world/file.h"
#include "world/sim.h"

#define SEEDS 200

static struct sd_sim *sim;
static struct sd_world *w;

static void begin(uint64_t seed)
{
	sim = sd_sim_new(seed);
	w = sd_sim_node(sim, "n1");
	ck_assert_ptr_nonnull(w);
}

static void end(void)
{
	sd_sim_free(sim);
	sim = NULL;
}

static struct sd_file *opened(const char *name, unsigned flags)
{
	struct sd_file *f = NULL;
	struct sd_error e = {0};
	ck_assert_msg(sd_file_open(w, name, flags, &f, &e) == SD_OK, "%s", e.text);
	return f;
}

static enum sd_err put(struct sd_file *f, const char *text, size_t n, uint64_t off)
{
	struct iovec iov = {(char *)(uintptr_t)text, n};
	return sd_file_write(f, &iov, 1, off, NULL);
}

static size_t get(const char *name, char *out, size_t n)
{
	struct sd_file *f;
	size_t got = 0;
	if (sd_file_open(w, name, 0, &f, NULL))
		return SIZE_MAX;
	ck_assert_int_eq(sd_file_read(f, out, n, 0, &got, NULL), SD_OK);
	sd_file_close(f);
	return got;
}

/* A file that is there for good, with this in it. */
static void settled(const char *name, const char *text, size_t n)
{
	struct sd_file *f = opened(name, SD_FILE_WRITE | SD_FILE_CREATE);
	ck_assert_int_eq(put(f, text, n, 0), SD_OK);
	ck_assert_int_eq(sd_file_sync(f, NULL), SD_OK);
	ck_assert_int_eq(sd_dir_sync(w, ".", NULL), SD_OK);
	sd_file_close(f);
}

static void cut_and_boot(void)
{
	sd_sim_power_cut(w);
	ck_assert(!sd_sim_is_up(w));
	sd_sim_boot(w);
}

START_TEST(reads_back_what_was_written)
{
	char back[32] = {0};
	uint64_t size;
	begin(1);
	struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_NEW);
	ck_assert_int_eq(put(f, "hello", 5, 0), SD_OK);
	ck_assert_int_eq(put(f, "world", 5, 10), SD_OK);
	ck_assert_int_eq(sd_file_size(f, &size, NULL), SD_OK);
	ck_assert_uint_eq(size, 15);
	ck_assert_uint_eq(get("./a", back, sizeof(back)), 15);
	ck_assert_mem_eq(back, "hello\0\0\0\0\0world", 15);
	ck_assert_int_eq(sd_file_truncate(f, 3, NULL), SD_OK);
	ck_assert_int_eq(sd_file_allocate(f, 8, NULL), SD_OK);
	ck_assert_uint_eq(get("a", back, sizeof(back)), 8);
	ck_assert_mem_eq(back, "hel\0\0\0\0\0", 8);
	const void *map = sd_file_map(f, 8, NULL);
	ck_assert_mem_eq(map, back, 8);
	sd_file_unmap(w, map, 8);
	sd_file_close(f);
	end();
}
END_TEST

START_TEST(what_was_synced_stays)
{
	char back[2000], text[2000];
	memset(text, 'x', sizeof(text));
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed);
		settled("a", text, sizeof(text));
		cut_and_boot();
		ck_assert_uint_eq(get("a", back, sizeof(back)), sizeof(text));
		ck_assert_mem_eq(back, text, sizeof(text));
		end();
	}
}
END_TEST

START_TEST(what_was_not_synced_is_kept_dropped_or_torn)
{
	unsigned kept = 0, dropped = 0, torn = 0;
	char back[2048], was[2048], is[2048];
	memset(was, 'a', sizeof(was));
	memset(is, 'b', sizeof(is));
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed);
		settled("a", was, sizeof(was));
		struct sd_file *f = opened("a", SD_FILE_WRITE);
		ck_assert_int_eq(put(f, is, sizeof(is), 0), SD_OK);
		ck_assert_uint_eq(sd_sim_unsynced(w), 4);
		sd_sim_power_cut(w);
		sd_file_close(f);
		sd_sim_boot(w);
		ck_assert_uint_eq(get("a", back, sizeof(back)), sizeof(is));
		unsigned fresh = 0;
		for (int i = 0; i < 4; i++) {
			bool all_new = memcmp(back + i * 512, is, 512) == 0;
			ck_assert(all_new || memcmp(back + i * 512, was, 512) == 0); /* a sector is one or the other */
			fresh += all_new;
		}
		kept += fresh == 4;
		dropped += fresh == 0;
		torn += fresh > 0 && fresh < 4;
		end();
	}
	ck_assert_uint_gt(kept, 0);
	ck_assert_uint_gt(dropped, 0);
	ck_assert_uint_gt(torn, SEEDS / 2);
}
END_TEST

START_TEST(a_sector_written_twice_may_be_as_it_was_in_between)
{
	unsigned first = 0, second = 0, none = 0;
	char back[8];
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed);
		settled("a", "00000000", 8);
		struct sd_file *f = opened("a", SD_FILE_WRITE);
		put(f, "11111111", 8, 0);
		put(f, "22222222", 8, 0);
		sd_sim_power_cut(w);
		sd_file_close(f);
		sd_sim_boot(w);
		ck_assert_uint_eq(get("a", back, sizeof(back)), 8);
		none += back[0] == '0';
		first += back[0] == '1';
		second += back[0] == '2';
		end();
	}
	ck_assert_uint_gt(first, 0);
	ck_assert_uint_gt(second, 0);
	ck_assert_uint_gt(none, 0);
	ck_assert_uint_eq(first + second + none, SEEDS);
}
END_TEST

START_TEST(a_longer_file_may_be_short_or_have_holes)
{
	unsigned shorter = 0, zeros = 0, stale = 0, whole = 0;
	char back[4096], text[4096];
	memset(text, 'n', sizeof(text));
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed);
		settled("a", text, 512);
		struct sd_file *f = opened("a", SD_FILE_WRITE);
		put(f, text + 512, sizeof(text) - 512, 512);
		sd_sim_power_cut(w);
		sd_file_close(f);
		sd_sim_boot(w);
		size_t n = get("a", back, sizeof(back));
		ck_assert_uint_ge(n, 512);
		ck_assert_mem_eq(back, text, 512);
		shorter += n < sizeof(text);
		bool all = n == sizeof(text);
		for (size_t i = 512; i < n; i++) {
			zeros += back[i] == 0;
			stale += back[i] != 0 && back[i] != 'n';
			all &= back[i] == 'n';
		}
		whole += all;
		end();
	}
	ck_assert_uint_gt(shorter, 0);
	ck_assert_uint_gt(zeros, 0);
	ck_assert_uint_gt(stale, 0);
	ck_assert_uint_gt(whole, 0);
}
END_TEST

START_TEST(what_was_cut_off_may_come_back_where_the_file_grows_again)
{
	unsigned old = 0;
	char back[4096], text[4096];
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed);
		memset(text, 'o', sizeof(text));
		settled("a", text, sizeof(text));
		struct sd_file *f = opened("a", SD_FILE_WRITE);
		ck_assert_int_eq(sd_file_truncate(f, 1000, NULL), SD_OK);
		ck_assert_int_eq(sd_file_sync(f, NULL), SD_OK);
		memset(text, 'n', sizeof(text));
		put(f, text, 2000, 1000);
		sd_sim_disk(w)->stale = seed % 4 > 0;
		sd_sim_power_cut(w);
		sd_file_close(f);
		sd_sim_boot(w);
		size_t n = get("a", back, sizeof(back));
		ck_assert_uint_ge(n, 1000);
		for (size_t i = 0; i < n; i++)
			ck_assert_msg(i >= 1000 || back[i] == 'o', "seed %d: %zu", (int)seed, i);
		/* The sector in which the file ended is not a new one. */
		for (size_t i = 1000; i < 1024 && i < n; i++)
			ck_assert_int_ne(back[i], 'o');
		unsigned came = 0;
		for (size_t i = 1024; i < n; i++)
			came += back[i] == 'o';
		ck_assert(!came || sd_sim_disk(w)->stale);
		old += came;
		end();
	}
	ck_assert_uint_gt(old, 0);
}
END_TEST

START_TEST(names_stay_once_their_folder_was_synced)
{
	unsigned gone = 0, there = 0;
	char back[8];
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed);
		ck_assert_int_eq(sd_world_mkdir(w, "data", 0700, NULL), SD_OK);
		ck_assert_int_eq(sd_dir_sync(w, ".", NULL), SD_OK);
		struct sd_file *f = opened("data/a", SD_FILE_WRITE | SD_FILE_CREATE);
		put(f, "x", 1, 0);
		ck_assert_int_eq(sd_file_sync(f, NULL), SD_OK);
		if (seed & 1)
			ck_assert_int_eq(sd_dir_sync(w, "data/", NULL), SD_OK);
		sd_sim_power_cut(w);
		sd_file_close(f);
		sd_sim_boot(w);
		bool found = get("data/a", back, 8) == 1;
		if (seed & 1)
			ck_assert(found);
		gone += !found;
		there += found;
		end();
	}
	ck_assert_uint_gt(gone, 10);
	ck_assert_uint_gt(there, SEEDS / 2);
}
END_TEST

START_TEST(a_rename_is_whole)
{
	unsigned old = 0, new = 0;
	char back[8];
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed);
		settled("CURRENT", "1", 1);
		settled("CURRENT.tmp", "2", 1);
		ck_assert_int_eq(sd_world_rename(w, "CURRENT.tmp", "CURRENT", NULL), SD_OK);
		ck_assert_uint_eq(get("CURRENT.tmp", back, 8), SIZE_MAX);
		cut_and_boot();
		ck_assert_uint_eq(get("CURRENT", back, 8), 1); /* never neither */
		old += back[0] == '1';
		new += back[0] == '2';
		ck_assert(get("CURRENT.tmp", back + 1, 1) == (back[0] == '1' ? 1 : SIZE_MAX));
		end();
	}
	ck_assert_uint_gt(old, 0);
	ck_assert_uint_gt(new, 0);
}
END_TEST

START_TEST(a_folder_that_is_lost_takes_its_files_along)
{
	unsigned lost = 0;
	char back[8];
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed);
		ck_assert_int_eq(sd_world_mkdir(w, "deep/data", 0700, NULL), SD_OK);
		struct sd_file *f = opened("deep/data/a", SD_FILE_WRITE | SD_FILE_CREATE);
		put(f, "x", 1, 0);
		sd_file_sync(f, NULL);
		ck_assert_int_eq(sd_dir_sync(w, "deep/data", NULL), SD_OK); /* but not of "deep", nor of "." */
		sd_sim_power_cut(w);
		sd_file_close(f);
		sd_sim_boot(w);
		lost += get("deep/data/a", back, 8) == SIZE_MAX;
		end();
	}
	ck_assert_uint_gt(lost, 10);
}
END_TEST

START_TEST(after_a_failed_sync_pages_are_clean_and_lost)
{
	unsigned lost = 0;
	char back[512], was[512], is[512];
	memset(was, 'a', sizeof(was));
	memset(is, 'b', sizeof(is));
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		begin(seed);
		settled("a", was, sizeof(was));
		struct sd_file *f = opened("a", SD_FILE_WRITE);
		put(f, is, sizeof(is), 0);
		sd_sim_fail(w, SD_SIM_SYNC, 1, 1, EIO);
		ck_assert_int_eq(sd_file_sync(f, NULL), SD_EIO);
		ck_assert_uint_eq(get("a", back, sizeof(back)), 512);
		ck_assert_mem_eq(back, is, 512); /* reads well */
		ck_assert_int_eq(sd_file_sync(f, NULL), SD_OK); /* and says so */
		sd_sim_power_cut(w);
		sd_file_close(f);
		sd_sim_boot(w);
		get("a", back, sizeof(back));
		lost += memcmp(back, was, 512) == 0;
		end();
	}
	ck_assert_uint_gt(lost, SEEDS / 4);
	ck_assert_uint_lt(lost, SEEDS);
}
END_TEST

START_TEST(a_kill_loses_nothing_that_was_written)
{
	char back[8];
	for (uint64_t seed = 1; seed <= 50; seed++) {
		begin(seed);
		struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE);
		put(f, "written", 7, 0);
		sd_sim_kill(w);
		sd_file_close(f);
		sd_sim_boot(w);
		ck_assert_uint_eq(get("a", back, 8), 7);
		end();
	}
}
END_TEST

START_TEST(a_ghost_changes_nothing)
{
	char back[8];
	uint64_t size;
	begin(1);
	settled("a", "1", 1);
	struct sd_file *f = opened("a", SD_FILE_WRITE);
	ck_assert_int_eq(sd_file_lock(f, NULL), SD_OK);
	sd_sim_power_cut(w);
	ck_assert_int_eq(put(f, "2", 1, 0), SD_EIO);
	ck_assert_int_eq(sd_world_unlink(w, "a"), SD_EIO);
	sd_sim_boot(w);
	ck_assert_int_eq(put(f, "2", 1, 0), SD_EIO);
	ck_assert_int_eq(sd_file_sync(f, NULL), SD_EIO);
	ck_assert_int_eq(sd_file_size(f, &size, NULL), SD_EIO);
	struct sd_file *g = opened("a", SD_FILE_WRITE);
	ck_assert_int_eq(sd_file_lock(g, NULL), SD_OK); /* the old lock went with its holder */
	struct sd_file *h = opened("a", 0);
	ck_assert_int_eq(sd_file_lock(h, NULL), SD_EINUSE);
	sd_file_close(f);
	sd_file_close(g);
	ck_assert_int_eq(sd_file_lock(h, NULL), SD_OK);
	sd_file_close(h);
	ck_assert_uint_eq(get("a", back, 8), 1);
	ck_assert_int_eq(back[0], '1');
	end();
}
END_TEST

START_TEST(a_full_disk_says_so)
{
	char text[1000];
	memset(text, 'x', sizeof(text));
	begin(1);
	sd_sim_disk(w)->capacity = 1500;
	sd_sim_disk(w)->short_write_ppm = 0;
	struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE);
	ck_assert_int_eq(put(f, text, 1000, 0), SD_OK);
	ck_assert_int_eq(put(f, text, 1000, 1000), SD_ENOSPC);
	ck_assert_int_eq(sd_file_allocate(f, 2000, NULL), SD_ENOSPC);
	ck_assert_int_eq(put(f, text, 1000, 0), SD_OK); /* over what is there */
	uint64_t left = 0;
	ck_assert_int_eq(sd_disk_free(w, ".", &left, NULL), SD_OK);
	ck_assert_uint_eq(left, 500);
	sd_sim_disk(w)->capacity = 0;
	ck_assert_int_eq(put(f, text, 1000, 1000), SD_OK);
	sd_file_close(f);
	end();
}
END_TEST

START_TEST(the_nth_operation_fails)
{
	begin(1);
	sd_sim_disk(w)->short_write_ppm = 0;
	struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE);
	sd_sim_fail(w, SD_SIM_WRITE, 3, 2, ENOSPC);
	ck_assert_int_eq(put(f, "x", 1, 0), SD_OK);
	ck_assert_int_eq(put(f, "x", 1, 0), SD_OK);
	ck_assert_int_eq(put(f, "x", 1, 0), SD_ENOSPC);
	ck_assert_int_eq(put(f, "x", 1, 0), SD_ENOSPC);
	ck_assert_int_eq(put(f, "x", 1, 0), SD_OK);
	ck_assert_uint_eq(sd_sim_failed(w), 2);
	ck_assert_uint_eq(sd_sim_count(w, SD_SIM_WRITE), 5);
	sd_sim_fail(w, SD_SIM_OPEN, 1, 1, EMFILE);
	struct sd_file *g;
	ck_assert_int_eq(sd_file_open(w, "b", SD_FILE_CREATE, &g, NULL), SD_ENOFILES);
	sd_file_close(f);
	end();
}
END_TEST

START_TEST(the_power_goes_at_the_nth_change)
{
	char back[8];
	for (uint64_t nth = 1; nth <= 4; nth++) {
		begin(nth);
		sd_sim_power_cut_at(w, nth);
		struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE);
		unsigned done = 0;
		done += put(f, "1", 1, 0) == SD_OK;
		done += sd_file_sync(f, NULL) == SD_OK;
		done += sd_dir_sync(w, ".", NULL) == SD_OK;
		done += put(f, "2", 1, 0) == SD_OK;
		ck_assert_uint_eq(done, nth - 1);
		ck_assert(!sd_sim_is_up(w));
		sd_file_close(f);
		sd_sim_boot(w);
		if (nth == 4) {
			ck_assert_uint_eq(get("a", back, 8), 1);
			ck_assert(back[0] == '1' || back[0] == '2');
		}
		end();
	}
}
END_TEST

START_TEST(short_writes_are_finished_and_flips_are_seen)
{
	char text[3000], back[3000];
	unsigned flipped = 0;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)i;
	begin(1);
	sd_sim_disk(w)->short_write_ppm = 900000;
	struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE);
	ck_assert_int_eq(put(f, text, sizeof(text), 0), SD_OK);
	ck_assert_uint_gt(sd_sim_count(w, SD_SIM_WRITE), 2);
	ck_assert_uint_eq(get("a", back, sizeof(back)), sizeof(text));
	ck_assert_mem_eq(back, text, sizeof(text));
	sd_sim_disk(w)->flip_read_ppm = 500000;
	for (int i = 0; i < 100; i++) {
		get("a", back, sizeof(back));
		flipped += memcmp(back, text, sizeof(text)) != 0;
	}
	ck_assert_uint_gt(flipped, 20);
	ck_assert_uint_lt(flipped, 80);
	sd_sim_disk(w)->flip_read_ppm = 0;
	ck_assert(sd_sim_flip(w, "a", 8 * 100 + 3));
	get("a", back, sizeof(back));
	ck_assert_int_eq(back[100], (char)(text[100] ^ 8));
	ck_assert(!sd_sim_flip(w, "a", 8 * 3000));
	ck_assert(!sd_sim_flip(w, "b", 0));
	sd_file_close(f);
	end();
}
END_TEST

START_TEST(errors_name_what_is_wrong)
{
	struct sd_error e = {0};
	struct sd_file *f;
	size_t n;
	char *text;
	begin(1);
	ck_assert_int_eq(sd_file_open(w, "none", 0, &f, &e), SD_ENOTFOUND);
	ck_assert_str_eq(e.text, "cannot open none: No such file or directory");
	ck_assert_int_eq(sd_file_open(w, "no/where", SD_FILE_CREATE, &f, &e), SD_ENOTFOUND);
	settled("a", "abc", 3);
	ck_assert_int_eq(sd_file_open(w, "a", SD_FILE_CREATE | SD_FILE_NEW, &f, &e), SD_EEXISTS);
	ck_assert_int_eq(sd_world_mkdir(w, "a/b", 0700, &e), SD_EEXISTS);
	ck_assert_int_eq(sd_dir_sync(w, "nowhere", &e), SD_ENOTFOUND);
	ck_assert_int_eq(sd_world_rename(w, "none", "b", &e), SD_ENOTFOUND);
	ck_assert_int_eq(sd_world_unlink(w, "none"), SD_ENOTFOUND);
	f = opened("a", 0);
	ck_assert_int_ne(put(f, "x", 1, 0), SD_OK); /* opened for reading */
	sd_file_close(f);
	ck_assert_int_eq(sd_world_read_file(w, "a", 2, &text, &n, &e), SD_ETOOBIG);
	ck_assert_int_eq(sd_world_read_file(w, "a", 3, &text, &n, &e), SD_OK);
	ck_assert_str_eq(text, "abc");
	free(text);
	ck_assert_int_eq(sd_world_symlink(w, "a", "b", &e), SD_EUNSUPPORTED);
	char **names = sd_world_list_dir(w, ".");
	ck_assert_str_eq(names[0], "a");
	ck_assert_ptr_null(names[1]);
	free(names[0]);
	free(names);
	ck_assert_int_eq(sd_world_unlink(w, "a"), SD_OK);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sim disk");
	TCase *t = tcase_create("disk");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, reads_back_what_was_written);
	tcase_add_test(t, what_was_synced_stays);
	tcase_add_test(t, what_was_not_synced_is_kept_dropped_or_torn);
	tcase_add_test(t, a_sector_written_twice_may_be_as_it_was_in_between);
	tcase_add_test(t, a_longer_file_may_be_short_or_have_holes);
	tcase_add_test(t, what_was_cut_off_may_come_back_where_the_file_grows_again);
	tcase_add_test(t, names_stay_once_their_folder_was_synced);
	tcase_add_test(t, a_rename_is_whole);
	tcase_add_test(t, a_folder_that_is_lost_takes_its_files_along);
	tcase_add_test(t, after_a_failed_sync_pages_are_clean_and_lost);
	tcase_add_test(t, a_kill_loses_nothing_that_was_written);
	tcase_add_test(t, a_ghost_changes_nothing);
	tcase_add_test(t, a_full_disk_says_so);
	tcase_add_test(t, the_nth_operation_fails);
	tcase_add_test(t, the_power_goes_at_the_nth_change);
	tcase_add_test(t, short_writes_are_finished_and_flips_are_seen);
	tcase_add_test(t, errors_name_what_is_wrong);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
