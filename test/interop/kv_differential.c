/* kv_differential DIR OPS [SEED [own]] - the same operations, out of a seed, on our store in LevelDB's format and on LevelDB itself: gets,
 * snapshots, iterators and scans of a range are compared, and now and then each opens the folder of the other and goes on there.
 * own: ours is in its own format, and keeps its folder. */
#include <leveldb/c.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "sdlab/kv.h"

#define KEYS	   5000
#define KEY_ROOM   40
#define VALUE_MOST 60000
#define SNAPSHOTS  3

struct theirs {
	leveldb_t *db;
	leveldb_options_t *options;
	leveldb_readoptions_t *read;
	leveldb_writeoptions_t *write;
};

struct rig {
	struct sd_rng rng;
	uint64_t seed, op;
	bool own;
	char folders[2][4096]; /* ours and theirs, by turns */
	int mine;
	struct sd_kv *kv;
	struct theirs t;
	struct sd_kv_snapshot *snapshots[SNAPSHOTS];
	const leveldb_snapshot_t *their_snapshots[SNAPSHOTS];
	struct sd_kv_value found;
	uint64_t gets, hits, steps, scans, writes, reopened, swapped, compactions;
};

static char value_bytes[VALUE_MOST];

__attribute__((format(printf, 2, 3), noreturn)) static void differ(const struct rig *r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "seed %llu, operation %llu: ", (unsigned long long)r->seed, (unsigned long long)r->op);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static void good(const struct rig *r, enum sd_err err, const struct sd_error *e)
{
	if (err)
		differ(r, "ours: %s: %s", sd_err_text(err), e->text);
}

static void their_good(const struct rig *r, const char *err)
{
	if (err)
		differ(r, "theirs: %s", err);
}

/* As text that shows every byte; four are in use at a time. */
static const char *shown(struct sd_slice s)
{
	static char texts[4][4 * KEY_ROOM + 1];
	static unsigned next;
	char *to = texts[next++ % 4];
	size_t n = 0;
	for (size_t i = 0; i < s.n && i < KEY_ROOM; i++)
		n += (size_t)snprintf(to + n, 5, (uint8_t)s.p[i] - 32u < 95 ? "%c" : "\\x%02x", (uint8_t)s.p[i]);
	to[n] = '\0';
	return to;
}

static unsigned some(struct rig *r, unsigned below)
{
	return sd_rng_below(&r->rng, below);
}

/* ---- keys and values ---- */

/* Numbers, names one of which begins as another, and bytes that a sign would put in another order. */
static struct sd_slice key_of(char to[KEY_ROOM], unsigned k)
{
	static const char edges[] = {0, 'a', (char)0x7f, (char)0x80, (char)0xff};
	int n = 0;
	if (k % 3 == 0)
		n = snprintf(to, KEY_ROOM, "%016u", k);
	else if (k % 3 == 1)
		n = snprintf(to, KEY_ROOM, "user:%u", k);
	else
		for (unsigned v = k / 3; v > 0; v /= 5)
			to[n++] = edges[v % 5];
	return (struct sd_slice){to, (size_t)n};
}

/* Half of them go to a few keys. */
static struct sd_slice some_key(struct rig *r, char to[KEY_ROOM])
{
	return key_of(to, some(r, 2) ? some(r, KEYS) : some(r, KEYS / 50));
}

static struct sd_slice some_value(struct rig *r)
{
	unsigned how = some(r, 200);
	size_t n = how == 0 ? some(r, VALUE_MOST) : how < 10 ? some(r, 5000) : some(r, 120);
	uint64_t bits = sd_rng_next(&r->rng);
	for (size_t i = 0; i < n; i++)
		value_bytes[i] = (char)(how % 2 ? bits >> i % 57 : 'a' + bits % 26);
	return (struct sd_slice){value_bytes, n};
}

/* ---- opening ---- */

static void open_ours(struct rig *r)
{
	static const uint32_t blobs[] = {64, 1000, 4096, UINT32_MAX};
	struct sd_kv_conf conf = {.format = r->own ? SD_KV_SDLAB : SD_KV_LEVELDB,
				  .sync = SD_KV_NO,
				  .background = SD_KV_BY_HAND,
				  .style = some(r, 3) ? SD_KV_LEVELED : SD_KV_TIERED,
				  .memtable_bytes = 128 << 10,
				  .table_bytes = 64 << 10,
				  .level_bytes = 256 << 10,
				  .blob_from = blobs[r->own ? some(r, 4) : 3],
				  .compression = some(r, 4) ? SD_KV_ZSTD : SD_KV_PLAIN,
				  .block_bytes = 1024};
	struct sd_error e;
	good(r, sd_kv_open(r->folders[r->mine], &conf, &r->kv, &e), &e);
}

static void open_theirs(struct rig *r)
{
	char *err = NULL;
	r->t.db = leveldb_open(r->t.options, r->folders[!r->mine], &err);
	their_good(r, err);
}

static void begin(struct rig *r)
{
	r->t.options = leveldb_options_create();
	r->t.read = leveldb_readoptions_create();
	r->t.write = leveldb_writeoptions_create();
	leveldb_options_set_create_if_missing(r->t.options, 1);
	leveldb_options_set_write_buffer_size(r->t.options, 128 << 10);
	leveldb_options_set_max_file_size(r->t.options, 1 << 20);
	leveldb_options_set_block_size(r->t.options, 1024);
	leveldb_options_set_filter_policy(r->t.options, leveldb_filterpolicy_create_bloom(10));
	leveldb_options_set_paranoid_checks(r->t.options, 1);
	leveldb_readoptions_set_verify_checksums(r->t.read, 1);
	open_ours(r);
	open_theirs(r);
}

/* ---- writing ---- */

static void put(struct rig *r)
{
	char to[KEY_ROOM], *err = NULL;
	struct sd_slice key = some_key(r, to), value = some_value(r);
	struct sd_error e;
	good(r, sd_kv_put(r->kv, key, value, &e), &e);
	leveldb_put(r->t.db, r->t.write, key.p, key.n, value.p, value.n, &err);
	their_good(r, err);
	r->writes++;
}

static void put_gone(struct rig *r)
{
	char to[KEY_ROOM], *err = NULL;
	struct sd_slice key = some_key(r, to);
	struct sd_error e;
	good(r, sd_kv_delete(r->kv, key, &e), &e);
	leveldb_delete(r->t.db, r->t.write, key.p, key.n, &err);
	their_good(r, err);
	r->writes++;
}

static void write_batch(struct rig *r)
{
	struct sd_kv_batch *ours = sd_kv_batch_new(false);
	leveldb_writebatch_t *b = leveldb_writebatch_create();
	char to[KEY_ROOM], *err = NULL;
	struct sd_error e;
	for (unsigned n = some(r, 40); n > 0; n--) {
		struct sd_slice key = some_key(r, to), value = some_value(r);
		if (some(r, 4) == 0) {
			sd_kv_batch_delete(ours, key);
			leveldb_writebatch_delete(b, key.p, key.n);
		} else {
			sd_kv_batch_put(ours, key, value);
			leveldb_writebatch_put(b, key.p, key.n, value.p, value.n);
		}
		r->writes++;
	}
	good(r, sd_kv_write(r->kv, ours, &e), &e);
	leveldb_write(r->t.db, r->t.write, b, &err);
	their_good(r, err);
	sd_kv_batch_free(ours);
	leveldb_writebatch_destroy(b);
}

static int order(struct sd_slice a, struct sd_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* A range at once; theirs key by key. */
static void range_gone(struct rig *r)
{
	char a[KEY_ROOM], b[KEY_ROOM], *err = NULL;
	struct sd_slice from = key_of(a, some(r, KEYS)), to = key_of(b, some(r, KEYS));
	struct sd_error e;
	leveldb_readoptions_set_snapshot(r->t.read, NULL);
	leveldb_iterator_t *i = leveldb_create_iterator(r->t.db, r->t.read);
	unsigned n = 0;
	for (leveldb_iter_seek(i, from.p, from.n); n < 50 && leveldb_iter_valid(i); leveldb_iter_next(i), n++) {
		struct sd_slice key;
		key.p = leveldb_iter_key(i, &key.n);
		if (order(key, to) >= 0)
			break;
		leveldb_delete(r->t.db, r->t.write, key.p, key.n, &err);
		their_good(r, err);
		if (n == 49) { /* no further than here */
			memcpy(b, key.p, key.n);
			b[key.n] = '\0';
			to = (struct sd_slice){b, key.n + 1};
		}
	}
	leveldb_iter_destroy(i);
	good(r, sd_kv_delete_range(r->kv, from, &to, &e), &e);
}

/* ---- reading ---- */

static int some_time(struct rig *r)
{
	unsigned i = some(r, 3 * SNAPSHOTS);
	bool at_snapshot = i < SNAPSHOTS && r->snapshots[i];
	leveldb_readoptions_set_snapshot(r->t.read, at_snapshot ? r->their_snapshots[i] : NULL);
	return at_snapshot ? (int)i : -1;
}

static void get(struct rig *r)
{
	char to[KEY_ROOM], *err = NULL;
	struct sd_slice key = some_key(r, to);
	int at = some_time(r);
	struct sd_error e;
	size_t n = 0;
	enum sd_err ours = sd_kv_get(r->kv, at < 0 ? NULL : r->snapshots[at], key, &r->found, &e);
	char *theirs = leveldb_get(r->t.db, r->t.read, key.p, key.n, &n, &err);
	their_good(r, err);
	if (ours != SD_ENOTFOUND)
		good(r, ours, &e);
	if ((ours == SD_OK) != (theirs != NULL))
		differ(r, "a get of \"%s\": ours %s, theirs %s", shown(key), ours ? "nothing" : "a value", theirs ? "a value" : "nothing");
	if (theirs && (n != r->found.n || (n > 0 && memcmp(theirs, r->found.p, n) != 0)))
		differ(r, "a get of \"%s\": %zu bytes and %zu, or other ones", shown(key), r->found.n, n);
	r->gets++;
	r->hits += theirs != NULL;
	leveldb_free(theirs);
}

static bool same_place(struct rig *r, struct sd_kv_iter *ours, leveldb_iterator_t *theirs)
{
	struct sd_error e;
	char *err = NULL;
	bool valid = leveldb_iter_valid(theirs);
	good(r, sd_kv_iter_err(ours, &e), &e);
	leveldb_iter_get_error(theirs, &err);
	their_good(r, err);
	if (sd_kv_iter_valid(ours) != valid)
		differ(r, "an iterator: ours is at %s, theirs at %s", valid ? "an end" : "a key", valid ? "a key" : "an end");
	r->steps++;
	if (!valid)
		return false;
	struct sd_slice k = sd_kv_iter_key(ours), v = sd_kv_iter_value(ours), tk, tv;
	tk.p = leveldb_iter_key(theirs, &tk.n);
	tv.p = leveldb_iter_value(theirs, &tv.n);
	if (k.n != tk.n || (k.n && memcmp(k.p, tk.p, k.n) != 0))
		differ(r, "an iterator: key \"%s\" and \"%s\"", shown(k), shown(tk));
	if (v.n != tv.n || (v.n && memcmp(v.p, tv.p, v.n) != 0))
		differ(r, "an iterator: %zu bytes at key \"%s\", and %zu, or other ones", v.n, shown(k), tv.n);
	return true;
}

static bool within(const leveldb_iterator_t *i, struct sd_slice from, struct sd_slice to)
{
	struct sd_slice key;
	if (!leveldb_iter_valid(i))
		return false;
	key.p = leveldb_iter_key(i, &key.n);
	return order(key, from) >= 0 && order(key, to) < 0;
}

/* From where a seek led to the one before. */
static void before(leveldb_iterator_t *i)
{
	if (leveldb_iter_valid(i))
		leveldb_iter_prev(i);
	else
		leveldb_iter_seek_to_last(i);
}

/* What stands on tables that are not needed any more stays there. */
static void merge_meanwhile(struct rig *r)
{
	struct sd_error e;
	good(r, some(r, 2) ? sd_kv_flush(r->kv, &e) : sd_kv_compact(r->kv, NULL, NULL, &e), &e);
}

/* Theirs has no such seek. */
static void seek_back(leveldb_iterator_t *i, struct sd_slice key)
{
	size_t n;
	leveldb_iter_seek(i, key.p, key.n);
	if (!leveldb_iter_valid(i)) {
		leveldb_iter_seek_to_last(i);
		return;
	}
	const char *p = leveldb_iter_key(i, &n);
	if (n != key.n || (n > 0 && memcmp(p, key.p, n) != 0))
		leveldb_iter_prev(i);
}

static void iterate(struct rig *r)
{
	char to[KEY_ROOM];
	struct sd_slice key = some_key(r, to);
	int at = some_time(r);
	struct sd_kv_span span = {.snapshot = at < 0 ? NULL : r->snapshots[at]};
	struct sd_kv_iter *ours;
	struct sd_error e;
	good(r, sd_kv_iter_new(r->kv, &span, &ours, &e), &e);
	leveldb_iterator_t *theirs = leveldb_create_iterator(r->t.db, r->t.read);
	if (some(r, 2)) {
		sd_kv_iter_seek(ours, key);
		leveldb_iter_seek(theirs, key.p, key.n);
	} else {
		sd_kv_iter_seek_back(ours, key);
		seek_back(theirs, key);
	}
	bool back = some(r, 2);
	for (unsigned n = some(r, 60); same_place(r, ours, theirs) && n > 0; n--) {
		back ^= some(r, 8) == 0;
		(back ? sd_kv_iter_prev : sd_kv_iter_next)(ours);
		(back ? leveldb_iter_prev : leveldb_iter_next)(theirs);
		if (some(r, 30) == 0)
			put(r); /* which it does not see */
		if (some(r, 300) == 0)
			merge_meanwhile(r);
	}
	sd_kv_iter_free(ours);
	leveldb_iter_destroy(theirs);
}

/* From `from` to before `to`, either way; theirs knows no end. */
static void scan_range(struct rig *r)
{
	char a[KEY_ROOM], b[KEY_ROOM];
	struct sd_slice one = some_key(r, a), other = some_key(r, b);
	bool back = some(r, 2), swap = order(one, other) > 0;
	struct sd_slice from = swap ? other : one, to = swap ? one : other;
	int at = some_time(r);
	struct sd_kv_span span = {.snapshot = at < 0 ? NULL : r->snapshots[at], .from = &from, .to = &to, .passing = some(r, 2)};
	struct sd_kv_iter *ours;
	struct sd_error e;
	good(r, sd_kv_iter_new(r->kv, &span, &ours, &e), &e);
	leveldb_iterator_t *theirs = leveldb_create_iterator(r->t.db, r->t.read);
	(back ? sd_kv_iter_last : sd_kv_iter_first)(ours);
	leveldb_iter_seek(theirs, back ? to.p : from.p, back ? to.n : from.n);
	if (back)
		before(theirs);
	unsigned left = 300;
	for (; within(theirs, from, to) && left > 0; left--) {
		same_place(r, ours, theirs);
		(back ? sd_kv_iter_prev : sd_kv_iter_next)(ours);
		(back ? leveldb_iter_prev : leveldb_iter_next)(theirs);
	}
	good(r, sd_kv_iter_err(ours, &e), &e);
	if (left > 0 && sd_kv_iter_valid(ours))
		differ(r, "a scan from \"%s\" to \"%s\": ours goes on at \"%s\"", shown(from), shown(to), shown(sd_kv_iter_key(ours)));
	sd_kv_iter_free(ours);
	leveldb_iter_destroy(theirs);
	r->scans++;
}

static void all_of_it(struct rig *r, bool back)
{
	struct sd_kv_iter *ours;
	struct sd_error e;
	good(r, sd_kv_iter_new(r->kv, NULL, &ours, &e), &e);
	leveldb_readoptions_set_snapshot(r->t.read, NULL);
	leveldb_iterator_t *theirs = leveldb_create_iterator(r->t.db, r->t.read);
	(back ? sd_kv_iter_last : sd_kv_iter_first)(ours);
	(back ? leveldb_iter_seek_to_last : leveldb_iter_seek_to_first)(theirs);
	while (same_place(r, ours, theirs)) {
		(back ? sd_kv_iter_prev : sd_kv_iter_next)(ours);
		(back ? leveldb_iter_prev : leveldb_iter_next)(theirs);
	}
	sd_kv_iter_free(ours);
	leveldb_iter_destroy(theirs);
}

/* ---- upkeep ---- */

static void let_go(struct rig *r, unsigned i)
{
	if (!r->snapshots[i])
		return;
	sd_kv_snapshot_free(r->kv, r->snapshots[i]);
	leveldb_release_snapshot(r->t.db, r->their_snapshots[i]);
	r->snapshots[i] = NULL;
}

static void take_or_let_go(struct rig *r)
{
	unsigned i = some(r, SNAPSHOTS);
	if (r->snapshots[i]) {
		let_go(r, i);
		return;
	}
	r->snapshots[i] = sd_kv_snapshot_new(r->kv);
	r->their_snapshots[i] = leveldb_create_snapshot(r->t.db);
}

static void shut(struct rig *r)
{
	struct sd_error e;
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		let_go(r, i);
	leveldb_readoptions_set_snapshot(r->t.read, NULL);
	good(r, sd_kv_close(r->kv, &e), &e);
	leveldb_close(r->t.db);
}

static void reopen(struct rig *r, bool swap)
{
	shut(r);
	r->mine ^= swap;
	r->swapped += swap;
	r->reopened++;
	open_ours(r);
	open_theirs(r);
	all_of_it(r, some(r, 2));
}

static void compact(struct rig *r)
{
	char a[KEY_ROOM], b[KEY_ROOM];
	struct sd_slice from = some_key(r, a), to = some_key(r, b);
	bool whole = some(r, 2);
	struct sd_error e;
	if (some(r, 3)) {
		good(r, sd_kv_compact(r->kv, whole ? NULL : &from, whole ? NULL : &to, &e), &e);
		r->compactions++;
	} else {
		leveldb_compact_range(r->t.db, NULL, 0, NULL, 0);
	}
}

static void upkeep(struct rig *r)
{
	struct sd_error e;
	unsigned what = some(r, 2000);
	if (what < 10)
		good(r, sd_kv_flush(r->kv, &e), &e);
	else if (what < 14)
		compact(r);
	else if (what < 20)
		reopen(r, some(r, 2) && !r->own);
	else if (what < 30)
		all_of_it(r, what % 2);
	else if (what < 60)
		range_gone(r);
	else if (what < 200)
		take_or_let_go(r);
	else if (what < 600)
		sd_kv_work(r->kv);
}

static void step(struct rig *r)
{
	unsigned what = some(r, 100);
	if (what < 40)
		put(r);
	else if (what < 50)
		put_gone(r);
	else if (what < 52)
		write_batch(r);
	else if (what < 85)
		get(r);
	else if (what < 87)
		iterate(r);
	else if (what < 88)
		scan_range(r);
	else
		upkeep(r);
}

int main(int argc, char **argv)
{
	static struct rig r;
	if (argc < 3) {
		fputs("usage: kv_differential DIR OPS [SEED [own]]\n", stderr);
		return 2;
	}
	unsigned long long ops = strtoull(argv[2], NULL, 10);
	r.seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	r.own = argc > 4 && strcmp(argv[4], "own") == 0;
	sd_rng_seed(&r.rng, r.seed);
	snprintf(r.folders[0], sizeof(r.folders[0]), "%s/a", argv[1]);
	snprintf(r.folders[1], sizeof(r.folders[1]), "%s/b", argv[1]);
	begin(&r);
	for (; r.op < ops; r.op++)
		step(&r);
	reopen(&r, !r.own);
	reopen(&r, !r.own);
	reopen(&r, r.swapped % 2); /* so that each folder was written by both */
	all_of_it(&r, false);
	shut(&r);
	sd_kv_value_free(&r.found);
	printf("all the same: %llu operations, %llu writes, %llu gets (%llu found), %llu steps of iterators, %llu scans, %llu times opened anew, "
	       "%llu of them the other's folder, %llu compactions\n",
	       ops, (unsigned long long)r.writes, (unsigned long long)r.gets, (unsigned long long)r.hits, (unsigned long long)r.steps,
	       (unsigned long long)r.scans, (unsigned long long)r.reopened, (unsigned long long)r.swapped, (unsigned long long)r.compactions);
	return 0;
}
