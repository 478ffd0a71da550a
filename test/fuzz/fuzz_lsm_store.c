/* A whole store of either format with one file that is something else: it opens or is refused in one line, every walk ends, merging goes
 * on or says why not, and repair takes what it can.
 *
 * Checksums would refuse nearly everything, so that they are all 0 here: sd_crc32c stands below, in place of the one of the library. The
 * input: which store (0 our own, 1 LevelDB's) and which of its files, by name; then either 0 and what the file holds, or patches: where
 * (2 bytes), a byte that is put there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "disk/lsm_repair.h"
#include "sdlab/kv.h"
#include "world/file.h"
#include "world/sim.h"

#define FILES 16
#define DIR   "store"
#define STEPS 200000

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

uint32_t sd_crc32c(uint32_t crc, const void *bytes, size_t n)
{
	(void)crc;
	(void)bytes;
	(void)n;
	return 0;
}
uint32_t sd_crc32c_table(uint32_t crc, const void *bytes, size_t n)
{
	return sd_crc32c(crc, bytes, n);
}
bool sd_crc32c_hardware(void)
{
	return false;
}

static void require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* ---- stores as they should be ---- */

struct content {
	char *name;
	unsigned char *p;
	size_t n;
};
static struct content stores[2][FILES];
static size_t nfiles[2];

static int64_t clock_of(void *arg)
{
	(void)arg;
	return INT64_C(1700000000000);
}

static struct sd_kv_conf conf_of(struct sd_world *w, int format)
{
	return (struct sd_kv_conf){.format = (enum sd_kv_format)format,
				   .background = SD_KV_BY_HAND,
				   .block_bytes = 256,
				   .memtable_bytes = 65536,
				   .table_bytes = 4096,
				   .blob_from = 300,
				   .world = w,
				   .now_ms = clock_of};
}

static void fill(struct sd_kv *kv, int format, unsigned round)
{
	char key[32], value[512];
	memset(value, 'v', sizeof(value));
	for (unsigned i = 0; i < 24; i++) {
		struct sd_slice k = {key, (size_t)snprintf(key, sizeof(key), "key:%03u", i * (round + 1) % 40)};
		struct sd_slice v = {value, i % 6 == 0 ? 400 : i};
		if (format == SD_KV_SDLAB && i % 7 == 3)
			sd_kv_put_until(kv, k, v, INT64_C(4000000000000), NULL);
		else
			sd_kv_put(kv, k, v, NULL);
	}
	struct sd_slice from = sd_slice_of("key:010"), to = sd_slice_of("key:014");
	sd_kv_delete_range(kv, from, &to, NULL);
	sd_kv_delete(kv, sd_slice_of("key:003"), NULL);
}

static size_t read_file(struct sd_world *w, const char *name, unsigned char **out)
{
	char path[300];
	struct sd_file *f;
	uint64_t size = 0;
	size_t got = 0;
	snprintf(path, sizeof(path), DIR "/%s", name);
	require(sd_file_open(w, path, 0, &f, NULL) == SD_OK && sd_file_size(f, &size, NULL) == SD_OK, "no file");
	*out = malloc((size_t)size + 1);
	require(*out && sd_file_read(f, *out, (size_t)size, 0, &got, NULL) == SD_OK && got == size, "not read");
	sd_file_close(f);
	return got;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct content *)a)->name, ((const struct content *)b)->name);
}

/* Tables of two levels, a file of blobs and a log. */
static void make_store(int format)
{
	struct sd_sim *sim = sd_sim_new(1);
	struct sd_world *w = sd_sim_node(sim, "n1");
	struct sd_kv_conf conf = conf_of(w, format);
	struct sd_kv *kv;
	require(sd_kv_open(DIR, &conf, &kv, NULL) == SD_OK, "not made");
	for (unsigned round = 0; round < 3; round++) {
		fill(kv, format, round);
		if (round == 0)
			sd_kv_compact(kv, NULL, NULL, NULL);
		else if (round == 1)
			sd_kv_flush(kv, NULL);
	}
	require(sd_kv_close(kv, NULL) == SD_OK, "not closed");
	char **names = sd_world_list_dir(w, DIR);
	for (char **p = names; *p; p++) {
		struct content *c = &stores[format][nfiles[format]++];
		require(nfiles[format] < FILES, "too many files");
		c->name = *p;
		c->n = read_file(w, *p, &c->p);
	}
	free(names);
	qsort(stores[format], nfiles[format], sizeof(stores[format][0]), by_name);
	sd_sim_free(sim);
}

/* ---- one of them, changed ---- */

static void write_file(struct sd_world *w, const char *name, const unsigned char *p, size_t n)
{
	char path[300];
	struct sd_file *f;
	struct iovec iov = {(void *)(uintptr_t)p, n};
	snprintf(path, sizeof(path), DIR "/%s", name);
	require(sd_file_open(w, path, SD_FILE_WRITE | SD_FILE_CREATE, &f, NULL) == SD_OK, "not made");
	require(n == 0 || sd_file_write(f, &iov, 1, 0, NULL) == SD_OK, "not written");
	sd_file_sync(f, NULL);
	sd_file_close(f);
}

static void write_changed(struct sd_world *w, const struct content *c, const unsigned char *data, size_t size)
{
	if (size > 0 && data[0] == 0) {
		write_file(w, c->name, data + 1, size - 1);
		return;
	}
	unsigned char *copy = malloc(c->n + 1);
	require(copy != NULL, "no memory");
	memcpy(copy, c->p, c->n);
	for (size_t i = 1; i + 3 <= size; i += 3)
		if (c->n > 0)
			copy[(data[i] | (size_t)data[i + 1] << 8) % c->n] = data[i + 2];
	write_file(w, c->name, copy, c->n);
	free(copy);
}

static void one_line(const struct sd_error *e)
{
	require(e->text[0] != '\0', "no cause");
	for (const char *p = e->text; *p; p++)
		require((unsigned char)*p - 32u < 95, "more than a line");
}

static void walk(struct sd_kv *kv, bool back)
{
	struct sd_kv_iter *i;
	struct sd_error e = {0};
	unsigned steps = 0;
	if (sd_kv_iter_new(kv, NULL, &i, &e)) {
		one_line(&e);
		return;
	}
	for (bool on = back ? sd_kv_iter_last(i) : sd_kv_iter_first(i); on; on = back ? sd_kv_iter_prev(i) : sd_kv_iter_next(i)) {
		struct sd_slice value = sd_kv_iter_value(i);
		require(value.n <= SD_KV_VALUE_MAX, "a value that is too long");
		require(++steps < STEPS, "no end");
	}
	if (sd_kv_iter_err(i, &e))
		one_line(&e);
	sd_kv_iter_free(i);
}

static void use(struct sd_kv *kv)
{
	struct sd_kv_value v = {0};
	struct sd_error e = {0};
	char key[32];
	for (unsigned k = 0; k < 40; k += 3) {
		enum sd_err err = sd_kv_get(kv, NULL, (struct sd_slice){key, (size_t)snprintf(key, sizeof(key), "key:%03u", k)}, &v, &e);
		if (err && err != SD_ENOTFOUND)
			one_line(&e);
	}
	sd_kv_value_free(&v);
	walk(kv, false);
	walk(kv, true);
}

static void open_and_use(struct sd_world *w, int format, enum sd_kv_mode mode)
{
	struct sd_kv_conf conf = conf_of(w, format);
	struct sd_kv *kv;
	struct sd_error e = {0};
	conf.mode = mode;
	if (sd_kv_open(DIR, &conf, &kv, &e)) {
		one_line(&e);
		return;
	}
	use(kv);
	if (mode != SD_KV_READ_ONLY) {
		sd_kv_put(kv, sd_slice_of("key:005"), sd_slice_of("new"), NULL);
		if (sd_kv_compact(kv, NULL, NULL, &e))
			one_line(&e);
		walk(kv, false);
	}
	sd_kv_close(kv, NULL);
}

static void repair(struct sd_world *w)
{
	struct sd_lsm_repaired out = {0};
	struct sd_error e = {0};
	if (sd_lsm_repair(w, DIR, "repaired", &out, &e))
		one_line(&e);
	free(out.lost.p);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	if (nfiles[0] == 0) {
		make_store(0);
		make_store(1);
	}
	if (size < 3 || size > 65536)
		return 0;
	int format = data[0] % 2;
	const struct content *all = stores[format], *changed = &all[data[1] % nfiles[format]];
	struct sd_sim *sim = sd_sim_new(1);
	struct sd_world *w = sd_sim_node(sim, "n1");
	require(sd_world_mkdir(w, DIR, 0700, NULL) == SD_OK, "no folder");
	for (size_t i = 0; i < nfiles[format]; i++)
		if (&all[i] != changed)
			write_file(w, all[i].name, all[i].p, all[i].n);
	write_changed(w, changed, data + 2, size - 2);
	open_and_use(w, format, SD_KV_READ_ONLY);
	repair(w);
	open_and_use(w, format, SD_KV_OPEN);
	open_and_use(w, format, SD_KV_OPEN);
	sd_sim_free(sim);
	return 0;
}
