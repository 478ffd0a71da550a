/* Key-value stores of three makes, asked the same by the same program: ours, LevelDB and RocksDB, each through its C interface.
 *
 *	kv_bench ENGINE WORKLOAD[,WORKLOAD...] DIR [NAME=NUMBER...]
 *
 * ENGINE: ours leveldb rocksdb, and nothing, which does nothing: what the measuring itself costs. WORKLOADs run one after the other on
 * one store (core/kv_load.h has them). NAMEs: keys ops (of workloads that do not fill) key value (bytes) cache memtable table (bytes; table 0:
 * the engine's own) sync compress filter (0 or 1) seed.
 *
 * Prints a line for each: engine workload keys ops seconds cpu_us p50_us p99_us max_us written read on_disk user_bytes resident found entries
 * peak (resident at most, ever) fetched (bytes from the disk itself) */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/kv_drive.h"
#include "world/world.h"

#ifdef HAVE_LEVELDB
#include <leveldb/c.h>
#endif
#ifdef HAVE_ROCKSDB
#include <rocksdb/c.h>
#endif
#ifdef HAVE_OURS
#include "app/kv_drive_own.h"
#endif

#define UNUSED __attribute__((unused))

static volatile uint64_t looked; /* so that no compiler leaves out looking at keys and values */

UNUSED static void look(const char *p, size_t n)
{
	uint64_t v = 0;
	memcpy(&v, p, n < 8 ? n : 8);
	looked += v + n;
}

UNUSED static enum sd_err told(char *text, const char *who, struct sd_error *e)
{
	if (!text)
		return SD_OK;
	sd_fail(e, SD_EIO, "%s: %s", who, text);
	free(text);
	return SD_EIO;
}

/* ---- nothing ---- */

static enum sd_err nothing_open(struct sd_world *w, const struct sd_kv_settings *s, void **db, struct sd_error *e)
{
	static size_t value;
	(void)w, (void)s, (void)e;
	*db = &value;
	return SD_OK;
}

static void nothing_close(void *db)
{
	(void)db;
}

static enum sd_err nothing_put(void *db, struct sd_slice key, struct sd_slice value, struct sd_error *e)
{
	(void)e, (void)key;
	*(size_t *)db = value.n;
	return SD_OK;
}

static enum sd_err nothing_get(void *db, struct sd_slice key, size_t *n, struct sd_error *e)
{
	(void)db, (void)n, (void)e;
	look(key.p, key.n);
	return SD_ENOTFOUND;
}

static enum sd_err nothing_scan(void *db, struct sd_slice from, uint32_t most, uint32_t *n, struct sd_error *e)
{
	(void)db, (void)e;
	look(from.p, from.n);
	*n = most;
	return SD_OK;
}

/* ---- LevelDB ---- */

#ifdef HAVE_LEVELDB
struct level {
	leveldb_t *db;
	leveldb_options_t *options;
	leveldb_filterpolicy_t *filter;
	leveldb_cache_t *cache;
	leveldb_writeoptions_t *writes;
	leveldb_readoptions_t *reads;
};

static enum sd_err level_open(struct sd_world *w, const struct sd_kv_settings *s, void **db, struct sd_error *e)
{
	static struct level l;
	char *why = NULL;
	(void)w;
	l.options = leveldb_options_create();
	l.cache = leveldb_cache_create_lru(s->cache_bytes);
	l.writes = leveldb_writeoptions_create();
	l.reads = leveldb_readoptions_create();
	leveldb_options_set_create_if_missing(l.options, 1);
	leveldb_options_set_cache(l.options, l.cache);
	leveldb_options_set_write_buffer_size(l.options, s->memtable_bytes);
	leveldb_options_set_compression(l.options, s->compress ? leveldb_snappy_compression : leveldb_no_compression);
	leveldb_readoptions_set_verify_checksums(l.reads, 1);
	leveldb_writeoptions_set_sync(l.writes, s->sync);
	if (s->table_bytes)
		leveldb_options_set_max_file_size(l.options, s->table_bytes);
	if (s->filter) {
		l.filter = leveldb_filterpolicy_create_bloom(10);
		leveldb_options_set_filter_policy(l.options, l.filter);
	}
	l.db = leveldb_open(l.options, s->dir, &why);
	*db = &l;
	return told(why, "leveldb", e);
}

static void level_close(void *db)
{
	struct level *l = db;
	leveldb_close(l->db);
	leveldb_readoptions_destroy(l->reads);
	leveldb_writeoptions_destroy(l->writes);
	leveldb_options_destroy(l->options);
	leveldb_cache_destroy(l->cache);
	if (l->filter)
		leveldb_filterpolicy_destroy(l->filter);
}

static enum sd_err level_put(void *db, struct sd_slice key, struct sd_slice value, struct sd_error *e)
{
	struct level *l = db;
	char *why = NULL;
	leveldb_put(l->db, l->writes, key.p, key.n, value.p, value.n, &why);
	return told(why, "leveldb", e);
}

static enum sd_err level_get(void *db, struct sd_slice key, size_t *n, struct sd_error *e)
{
	struct level *l = db;
	char *why = NULL, *value = leveldb_get(l->db, l->reads, key.p, key.n, n, &why);
	if (!value)
		return why ? told(why, "leveldb", e) : SD_ENOTFOUND;
	look(value, *n);
	leveldb_free(value);
	return SD_OK;
}

static enum sd_err level_scan(void *db, struct sd_slice from, uint32_t most, uint32_t *n, struct sd_error *e)
{
	struct level *l = db;
	leveldb_iterator_t *it = leveldb_create_iterator(l->db, l->reads);
	char *why = NULL;
	size_t bytes;
	const char *p;
	leveldb_iter_seek(it, from.p, from.n);
	for (; *n < most && leveldb_iter_valid(it); ++*n, leveldb_iter_next(it)) {
		p = leveldb_iter_key(it, &bytes);
		look(p, bytes);
		p = leveldb_iter_value(it, &bytes);
		look(p, bytes);
	}
	leveldb_iter_get_error(it, &why);
	leveldb_iter_destroy(it);
	return told(why, "leveldb", e);
}
#endif

/* ---- RocksDB ---- */

#ifdef HAVE_ROCKSDB
struct rocks {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_cache_t *cache;
	rocksdb_writeoptions_t *writes;
	rocksdb_readoptions_t *reads;
};

static enum sd_err rocks_open(struct sd_world *w, const struct sd_kv_settings *s, void **db, struct sd_error *e)
{
	static struct rocks r;
	rocksdb_block_based_table_options_t *tables = rocksdb_block_based_options_create();
	char *why = NULL;
	(void)w;
	r.options = rocksdb_options_create();
	r.cache = rocksdb_cache_create_lru(s->cache_bytes);
	r.writes = rocksdb_writeoptions_create();
	r.reads = rocksdb_readoptions_create();
	rocksdb_block_based_options_set_block_size(tables, 4096);
	rocksdb_block_based_options_set_block_cache(tables, r.cache);
	if (s->filter)
		rocksdb_block_based_options_set_filter_policy(tables, rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_options_set_block_based_table_factory(r.options, tables);
	rocksdb_options_set_create_if_missing(r.options, 1);
	rocksdb_options_set_write_buffer_size(r.options, s->memtable_bytes);
	rocksdb_options_set_compression(r.options, s->compress ? rocksdb_zstd_compression : rocksdb_no_compression);
	rocksdb_options_increase_parallelism(r.options, 2); /* one thread flushes, one compacts */
	rocksdb_writeoptions_set_sync(r.writes, s->sync);
	if (s->table_bytes)
		rocksdb_options_set_target_file_size_base(r.options, s->table_bytes);
	r.db = rocksdb_open(r.options, s->dir, &why);
	rocksdb_block_based_options_destroy(tables);
	*db = &r;
	return told(why, "rocksdb", e);
}

static void rocks_close(void *db)
{
	struct rocks *r = db;
	rocksdb_close(r->db);
	rocksdb_readoptions_destroy(r->reads);
	rocksdb_writeoptions_destroy(r->writes);
	rocksdb_options_destroy(r->options);
	rocksdb_cache_destroy(r->cache);
}

static enum sd_err rocks_put(void *db, struct sd_slice key, struct sd_slice value, struct sd_error *e)
{
	struct rocks *r = db;
	char *why = NULL;
	rocksdb_put(r->db, r->writes, key.p, key.n, value.p, value.n, &why);
	return told(why, "rocksdb", e);
}

/* Pinned: nothing is copied, which is the quickest that it has. */
static enum sd_err rocks_get(void *db, struct sd_slice key, size_t *n, struct sd_error *e)
{
	struct rocks *r = db;
	char *why = NULL;
	rocksdb_pinnableslice_t *slice = rocksdb_get_pinned(r->db, r->reads, key.p, key.n, &why);
	if (!slice)
		return why ? told(why, "rocksdb", e) : SD_ENOTFOUND;
	const char *value = rocksdb_pinnableslice_value(slice, n);
	look(value, *n);
	rocksdb_pinnableslice_destroy(slice);
	return SD_OK;
}

static enum sd_err rocks_scan(void *db, struct sd_slice from, uint32_t most, uint32_t *n, struct sd_error *e)
{
	struct rocks *r = db;
	rocksdb_iterator_t *it = rocksdb_create_iterator(r->db, r->reads);
	char *why = NULL;
	size_t bytes;
	const char *p;
	rocksdb_iter_seek(it, from.p, from.n);
	for (; *n < most && rocksdb_iter_valid(it); ++*n, rocksdb_iter_next(it)) {
		p = rocksdb_iter_key(it, &bytes);
		look(p, bytes);
		p = rocksdb_iter_value(it, &bytes);
		look(p, bytes);
	}
	rocksdb_iter_get_error(it, &why);
	rocksdb_iter_destroy(it);
	return told(why, "rocksdb", e);
}
#endif

/* ---- */

static const struct sd_kv_engine engines[] = {
    {"nothing", nothing_open, nothing_close, nothing_put, nothing_get, nothing_scan},
#ifdef HAVE_LEVELDB
    {"leveldb", level_open, level_close, level_put, level_get, level_scan},
#endif
#ifdef HAVE_ROCKSDB
    {"rocksdb", rocks_open, rocks_close, rocks_put, rocks_get, rocks_scan},
#endif
};

struct bench {
	const struct sd_kv_engine *engine;
	struct sd_kv_settings settings;
	struct sd_kv_load_conf load;
	uint64_t keys, ops;
};

static int die(const char *why, const char *what)
{
	fprintf(stderr, "kv_bench: %s%s%s\n", why, what ? ": " : "", what ? what : "");
	exit(1);
}

static const struct sd_kv_engine *find_engine(const char *name)
{
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		if (strcmp(engines[i].name, name) == 0)
			return &engines[i];
#ifdef HAVE_OURS
	if (strcmp(name, sd_kv_engine_own.name) == 0)
		return &sd_kv_engine_own;
#endif
	die("no such engine here", name);
	return NULL;
}

static void set(struct bench *b, const char *text)
{
	struct sd_kv_settings *s = &b->settings;
	const char *is = strchr(text, '=');
	char *end = NULL;
	uint64_t v = is ? strtoull(is + 1, &end, 10) : 0;
	const struct {
		const char *name;
		uint64_t *to;
		size_t *size;
		bool *flag;
	} names[] = {
	    {"keys", &b->keys, NULL, NULL},  {"ops", &b->ops, NULL, NULL}, {"seed", &b->load.seed, NULL, NULL}, {"key", NULL, &b->load.key_bytes, NULL},
	    {"value", NULL, &b->load.value_bytes, NULL}, {"cache", NULL, &s->cache_bytes, NULL}, {"memtable", NULL, &s->memtable_bytes, NULL},
	    {"table", NULL, &s->table_bytes, NULL}, {"sync", NULL, NULL, &s->sync}, {"compress", NULL, NULL, &s->compress}, {"filter", NULL, NULL, &s->filter},
	};
	for (size_t i = 0; is && !*end && i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i].name) != (size_t)(is - text) || memcmp(names[i].name, text, (size_t)(is - text)) != 0)
			continue;
		if (names[i].to)
			*names[i].to = v;
		else if (names[i].size)
			*names[i].size = v;
		else
			*names[i].flag = v != 0;
		return;
	}
	die("expected NAME=NUMBER", text);
}

/* Bytes that came from the disk and not from the kernel's cache, so far. */
static uint64_t fetched_bytes(struct sd_world *w)
{
	static const char name[] = "\nread_bytes: ";
	char *text = NULL;
	size_t n;
	if (sd_world_read_file(w, "/proc/self/io", 4096, &text, &n, NULL))
		return 0;
	const char *at = strstr(text, name);
	uint64_t bytes = at ? strtoull(at + strlen(name), NULL, 10) : 0;
	free(text);
	return bytes;
}

static void print(const struct bench *b, const struct sd_kv_cost *c, uint64_t fetched)
{
	printf("%s %s %" PRIu64 " %" PRIu64 " %.3f %.4f %.2f %.2f %.0f %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
	       " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
	       b->engine->name, b->load.workload->name, b->keys, c->ops, c->seconds, c->cpu_us / (double)c->ops, (double)c->p50_ns / 1e3,
	       (double)c->p99_ns / 1e3, (double)c->max_ns / 1e3, c->written, c->read, c->on_disk, c->user_bytes, c->resident, c->found, c->entries,
	       c->peak, fetched);
	fflush(stdout);
}

static uint64_t ops_of(const struct bench *b)
{
	const struct sd_kv_workload *w = b->load.workload;
	if (w->fills)
		return b->keys;
	if (w->order == SD_KV_IN_ORDER && w->scan)
		return (b->keys + w->scan - 1) / w->scan;
	return w->scan ? (b->ops + 4) / 5 : b->ops;
}

/* What is there must be found, and what is not must not. */
static void judge(const struct bench *b, const struct sd_kv_cost *c)
{
	const struct sd_kv_workload *w = b->load.workload;
	bool gets_all = w->part[SD_KV_OP_GET] == 100, misses_all = w->part[SD_KV_OP_MISS] == 100;
	if (b->engine == engines)
		return;
	if ((gets_all && c->found != c->ops) || (misses_all && c->found > 0))
		die("a key is missing, or one is there that was never written", w->name);
	if (w->order == SD_KV_IN_ORDER && w->scan && c->entries != b->keys)
		die("a scan over all keys did not see each once", w->name);
}

int main(int argc, char **argv)
{
	struct bench b = {.keys = 1000000, .ops = 1000000};
	struct sd_world *w = sd_world_real();
	struct sd_kv_cost cost;
	struct sd_error e = {0};
	void *db = NULL;
	if (argc < 4 || !w)
		die("kv_bench ENGINE WORKLOAD[,...] DIR [NAME=NUMBER...]", NULL);
	b.engine = find_engine(argv[1]);
	b.settings = (struct sd_kv_settings){.dir = argv[3], .filter = true, .cache_bytes = 64u << 20, .memtable_bytes = 16u << 20};
	b.load = (struct sd_kv_load_conf){.key_bytes = 16, .value_bytes = 100, .seed = 1};
	for (int i = 4; i < argc; i++)
		set(&b, argv[i]);
	if (b.engine->open(w, &b.settings, &db, &e))
		die(e.text, NULL);
	for (char *at = argv[2], *name; (name = strsep(&at, ","));) {
		if (!(b.load.workload = sd_kv_workload_find(name)))
			die("no such workload", name);
		b.load.keys = b.keys;
		b.load.ops = ops_of(&b);
		b.load.seed++;
		uint64_t fetched = fetched_bytes(w);
		if (sd_kv_drive(w, b.engine, db, &b.settings, &b.load, &cost, &e))
			die(e.text, NULL);
		print(&b, &cost, fetched_bytes(w) - fetched);
		judge(&b, &cost);
	}
	b.engine->close(db);
	sd_world_free(w);
	return 0;
}
