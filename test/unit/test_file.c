/* Files, by the same script in both worlds: the kernel's in a folder of the test, and the simulated one's. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world/file.h"
#include "world/sim.h"

static struct sd_sim *sim;
static struct sd_world *w;
static char dir[64];

static const char *at(const char *name)
{
	static char path[4][128];
	static unsigned next;
	char *out = path[next++ % 4];
	snprintf(out, sizeof(path[0]), "%s/%s", dir, name);
	return out;
}

/* World 0 is the kernel's. */
static void begin(int world)
{
	snprintf(dir, sizeof(dir), "/tmp/sdlab-file.XXXXXX");
	if (world == 0) {
		ck_assert_ptr_nonnull(mkdtemp(dir));
		w = sd_world_real();
	} else {
		snprintf(dir, sizeof(dir), "data");
		sim = sd_sim_new(1);
		w = sd_sim_node(sim, "n1");
	}
	ck_assert_ptr_nonnull(w);
	ck_assert_int_eq(sd_world_mkdir(w, dir, 0700, NULL), SD_OK);
}

static void end(int world)
{
	char **names = sd_world_list_dir(w, dir);
	for (char **n = names; n && *n; n++) {
		ck_assert_int_eq(sd_world_unlink(w, at(*n)), SD_OK);
		free(*n);
	}
	free(names);
	if (world == 0) {
		ck_assert_int_eq(remove(dir), 0);
		sd_world_free(w);
	} else {
		sd_sim_free(sim);
	}
}

static struct sd_file *opened(const char *name, unsigned flags)
{
	struct sd_file *f = NULL;
	struct sd_error e = {0};
	ck_assert_msg(sd_file_open(w, at(name), flags, &f, &e) == SD_OK, "%s", e.text);
	return f;
}

static enum sd_err put(struct sd_file *f, const char *text, uint64_t off)
{
	size_t half = strlen(text) / 2;
	struct iovec iov[] = {{(char *)(uintptr_t)text, half}, {(char *)(uintptr_t)text + half, strlen(text) - half}};
	return sd_file_write(f, iov, 2, off, NULL);
}

START_TEST(bytes)
{
	char back[32];
	size_t got;
	uint64_t size;
	begin(_i);
	struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_NEW);
	ck_assert_str_eq(sd_file_name(f), at("a"));
	ck_assert_int_eq(put(f, "hello world", 0), SD_OK);
	ck_assert_int_eq(put(f, "!", 20), SD_OK);
	ck_assert_int_eq(sd_file_sync(f, NULL), SD_OK);
	ck_assert_int_eq(sd_dir_sync(w, dir, NULL), SD_OK);
	ck_assert_int_eq(sd_file_size(f, &size, NULL), SD_OK);
	ck_assert_uint_eq(size, 21);
	ck_assert_int_eq(sd_file_read(f, back, sizeof(back), 6, &got, NULL), SD_OK);
	ck_assert_uint_eq(got, 15);
	ck_assert_mem_eq(back, "world\0\0\0\0\0\0\0\0\0!", 15);
	ck_assert_int_eq(sd_file_read(f, back, 4, 21, &got, NULL), SD_OK);
	ck_assert_uint_eq(got, 0);
	ck_assert_int_eq(sd_file_truncate(f, 5, NULL), SD_OK);
	ck_assert_int_eq(sd_file_allocate(f, 4096, NULL), SD_OK);
	ck_assert_int_eq(sd_file_size(f, &size, NULL), SD_OK);
	ck_assert_uint_eq(size, 4096);
	const char *map = sd_file_map(f, 4096, NULL);
	ck_assert_ptr_nonnull(map);
	sd_file_close(f);
	ck_assert_mem_eq(map, "hello\0\0", 7);
	ck_assert_int_eq(map[4095], 0);
	sd_file_unmap(w, map, 4096);
	f = opened("a", SD_FILE_WRITE | SD_FILE_TRUNCATE);
	ck_assert_int_eq(sd_file_size(f, &size, NULL), SD_OK);
	ck_assert_uint_eq(size, 0);
	sd_file_close(f);
	sd_file_close(NULL);
	end(_i);
}
END_TEST

START_TEST(names)
{
	begin(_i);
	struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE), *g;
	struct sd_error e = {0};
	ck_assert_int_eq(sd_file_open(w, at("a"), SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_NEW, &g, &e), SD_EEXISTS);
	ck_assert_int_eq(sd_file_open(w, at("b"), 0, &g, &e), SD_ENOTFOUND);
	ck_assert_ptr_nonnull(strstr(e.text, "/b: No such file or directory"));
	ck_assert_int_eq(sd_world_rename(w, at("a"), at("b"), &e), SD_OK);
	ck_assert_int_eq(sd_world_rename(w, at("a"), at("c"), &e), SD_ENOTFOUND);
	ck_assert_int_eq(sd_file_open(w, at("a"), 0, &g, &e), SD_ENOTFOUND);
	ck_assert_int_eq(put(f, "x", 0), SD_OK); /* the file is the same under its new name */
	char *text;
	size_t n;
	ck_assert_int_eq(sd_world_read_file(w, at("b"), 10, &text, &n, &e), SD_OK);
	ck_assert_str_eq(text, "x");
	free(text);
	ck_assert_int_eq(sd_world_unlink(w, at("b")), SD_OK);
	ck_assert_int_eq(sd_world_unlink(w, at("b")), SD_ENOTFOUND);
	ck_assert_int_eq(put(f, "y", 0), SD_OK); /* and lives as long as somebody holds it */
	ck_assert_int_eq(sd_dir_sync(w, at("none"), &e), SD_ENOTFOUND);
	sd_file_close(f);
	end(_i);
}
END_TEST

START_TEST(locks)
{
	begin(_i);
	struct sd_error e = {0};
	struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE), *g = opened("a", 0);
	ck_assert_int_eq(sd_file_lock(f, &e), SD_OK);
	ck_assert_int_eq(sd_file_lock(f, &e), SD_OK);
	ck_assert_int_eq(sd_file_lock(g, &e), SD_EINUSE);
	ck_assert_ptr_nonnull(strstr(e.text, "a is in use by another process"));
	sd_file_close(f);
	ck_assert_int_eq(sd_file_lock(g, &e), SD_OK);
	sd_file_close(g);
	end(_i);
}
END_TEST

START_TEST(places)
{
	begin(_i);
	struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE);
	ck_assert(sd_file_is_in_place(f));
	ck_assert_int_eq(sd_world_rename(w, at("a"), at("b"), NULL), SD_OK);
	ck_assert(!sd_file_is_in_place(f)); /* nothing is there */
	struct sd_file *other = opened("a", SD_FILE_WRITE | SD_FILE_CREATE);
	ck_assert(!sd_file_is_in_place(f)); /* something else is */
	ck_assert(sd_file_is_in_place(other));
	ck_assert_int_eq(sd_world_rename(w, at("b"), at("a"), NULL), SD_OK);
	ck_assert(sd_file_is_in_place(f));
	ck_assert(!sd_file_is_in_place(other));
	ck_assert_int_eq(sd_world_unlink(w, at("a")), SD_OK);
	ck_assert(!sd_file_is_in_place(f));
	sd_file_close(f);
	sd_file_close(other);
	end(_i);
}
END_TEST

/* ---- many small pieces ---- */

#define WINDOW (256u << 10)
#define PIECE  100u

static void put_piece(struct sd_file *f, uint64_t i)
{
	char piece[PIECE];
	memset(piece, 'a' + (int)(i % 26), PIECE);
	struct iovec iov = {piece, PIECE};
	ck_assert_int_eq(sd_file_write(f, &iov, 1, i * PIECE, NULL), SD_OK);
}

static void expect_pieces(const char *name, uint64_t from, uint64_t to)
{
	char piece[PIECE];
	size_t got;
	struct sd_file *f = opened(name, 0);
	for (uint64_t i = from; i < to; i++) {
		ck_assert_int_eq(sd_file_read(f, piece, PIECE, i * PIECE, &got, NULL), SD_OK);
		ck_assert_uint_eq(got, PIECE);
		for (size_t k = 0; k < PIECE; k++)
			if (piece[k] != 'a' + (char)(i % 26))
				ck_abort_msg("piece %u, byte %zu: %c", (unsigned)i, k, piece[k]);
	}
	sd_file_close(f);
}

static void expect_size(struct sd_file *f, uint64_t size)
{
	uint64_t is;
	ck_assert_int_eq(sd_file_size(f, &is, NULL), SD_OK);
	ck_assert_uint_eq(is, size);
}

/* From somewhere in the middle of a page, on over the end of the room, and into the next. */
START_TEST(small_pieces)
{
	uint64_t n = 0, at_end = WINDOW / PIECE;
	begin(_i);
	struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE);
	for (; n < 77; n++)
		put_piece(f, n);
	for (uint64_t end = WINDOW; end <= 2 * WINDOW; end += WINDOW) {
		ck_assert_int_eq(sd_file_allocate(f, end, NULL), SD_OK);
		sd_file_expect(f, n * PIECE, end);
		for (; n <= end / PIECE; n++)
			put_piece(f, n);
		expect_pieces("a", 0, n);
	}
	ck_assert_int_eq(sd_file_sync(f, NULL), SD_OK);
	put_piece(f, 5); /* anywhere */
	ck_assert_int_eq(sd_file_truncate(f, at_end * PIECE, NULL), SD_OK);
	expect_size(f, at_end * PIECE);
	for (n = at_end - 3; n < at_end + 10; n++)
		put_piece(f, n);
	expect_size(f, n * PIECE);
	expect_pieces("a", 0, n);
	sd_file_close(f);
	end(_i);
}
END_TEST

/* Who writes goes on when somebody else cuts the file, or when there is no such room. */
START_TEST(small_pieces_and_somebody_who_cuts)
{
	begin(_i);
	struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE), *other = opened("a", SD_FILE_WRITE);
	ck_assert_int_eq(sd_file_allocate(f, WINDOW, NULL), SD_OK);
	sd_file_expect(f, 0, WINDOW);
	put_piece(f, 0);
	ck_assert_int_eq(sd_file_truncate(other, 0, NULL), SD_OK);
	for (uint64_t i = 0; i < 100; i++)
		put_piece(f, i);
	expect_size(f, 100ul * PIECE);
	sd_file_expect(f, 100ul * PIECE, WINDOW);
	for (uint64_t i = 100; i < 200; i++)
		put_piece(f, i);
	expect_size(f, 200ul * PIECE);
	expect_pieces("a", 0, 200);
	sd_file_close(other);
	sd_file_close(f);
	end(_i);
}
END_TEST

/* The size that the kernel tells; of a file that is cut just afterwards it is wrong by then. -1: as it is. */
static off_t told_size = -1;
off_t __real_lseek(int fd, off_t at, int whence); // NOLINT(bugprone-reserved-identifier)
off_t __wrap_lseek(int fd, off_t at, int whence); // NOLINT(bugprone-reserved-identifier)
off_t __wrap_lseek(int fd, off_t at, int whence)  // NOLINT(bugprone-reserved-identifier)
{
	return told_size < 0 ? __real_lseek(fd, at, whence) : told_size;
}

/* Memory without a file behind it is no end: the kernel is asked. Twice, so that the signal is not left blocked. */
START_TEST(small_pieces_where_nothing_is_behind)
{
	begin(0);
	for (int i = 0; i < 2; i++) {
		struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE), *other = opened("a", SD_FILE_WRITE);
		ck_assert_int_eq(sd_file_allocate(f, WINDOW, NULL), SD_OK);
		sd_file_expect(f, 0, WINDOW);
		told_size = WINDOW;
		put_piece(f, 0);
		ck_assert_int_eq(sd_file_truncate(other, 0, NULL), SD_OK);
		put_piece(f, 1000);
		expect_size(f, 1001ul * PIECE);
		expect_pieces("a", 1000, 1001);
		told_size = -1;
		sd_file_close(other);
		sd_file_close(f);
	}
	end(0);
}
END_TEST

static void bus(int number)
{
	_exit(number);
}

/* Signals of others go where they went: that is a handler of the sanitizer's where there is one. */
#ifdef SD_SANITIZED
#define FIRST_OTHER 1
#else
#define FIRST_OTHER 0
#endif
START_TEST(other_signals_of_memory)
{
	int status;
	begin(0);
	pid_t child = fork();
	if (child == 0) {
		if (_i)
			signal(SIGBUS, bus);
		struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE);
		ck_assert_int_eq(sd_file_allocate(f, WINDOW, NULL), SD_OK);
		sd_file_expect(f, 0, WINDOW);
		raise(SIGBUS);
		_exit(99);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(_i ? WIFEXITED(status) && WEXITSTATUS(status) == SIGBUS : WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	end(0);
}
END_TEST

/* What a process wrote that is killed is there. */
START_TEST(small_pieces_of_who_is_killed)
{
	int status;
	begin(0);
	pid_t child = fork();
	if (child == 0) {
		struct sd_file *f = opened("a", SD_FILE_WRITE | SD_FILE_CREATE);
		ck_assert_int_eq(sd_file_allocate(f, WINDOW, NULL), SD_OK);
		sd_file_expect(f, 0, WINDOW);
		for (uint64_t i = 0; i < 1000; i++)
			put_piece(f, i);
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	expect_pieces("a", 0, 1000);
	end(0);
}
END_TEST

START_TEST(room)
{
	uint64_t left = 0;
	struct sd_error e = {0};
	begin(_i);
	ck_assert_int_eq(sd_disk_free(w, ".", &left, &e), SD_OK);
	ck_assert_uint_gt(left, 0);
	ck_assert_int_eq(sd_disk_free(w, "nowhere", &left, &e), SD_ENOTFOUND);
	ck_assert_ptr_nonnull(strstr(e.text, "nowhere"));
	end(_i);
}
END_TEST

START_TEST(reading_only)
{
	begin(_i);
	struct sd_file *f = opened("a", SD_FILE_CREATE);
	ck_assert_int_ne(put(f, "x", 0), SD_OK);
	sd_file_close(f);
	end(_i);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("file");
	TCase *t = tcase_create("both worlds");
	tcase_add_loop_test(t, bytes, 0, 2);
	tcase_add_loop_test(t, names, 0, 2);
	tcase_add_loop_test(t, locks, 0, 2);
	tcase_add_loop_test(t, reading_only, 0, 2);
	tcase_add_loop_test(t, room, 0, 2);
	tcase_add_loop_test(t, small_pieces, 0, 2);
	tcase_add_loop_test(t, small_pieces_and_somebody_who_cuts, 0, 2);
	tcase_add_test(t, small_pieces_where_nothing_is_behind);
	tcase_add_loop_test(t, other_signals_of_memory, FIRST_OTHER, 2);
	tcase_add_test(t, small_pieces_of_who_is_killed);
	tcase_add_loop_test(t, places, 0, 2);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
