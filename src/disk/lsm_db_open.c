/* lsm_db_open.c - a folder becomes a store.
 *
 *	lock -> which format -> manifest -> are its tables there -> logs -> a new log, a new manifest -> what is left over goes
 *
 * A store that is made begins with SDLAB (which says the format), then has a manifest, and CURRENT last: a folder without CURRENT is
 * none, and is made anew if it holds nothing but such beginnings.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lsm_db_int.h"
#include "lsm_tables.h"

#define FORMAT_NAME "SDLAB"
#define FORMAT_LINE "sdlab-kv 1\n"
#define KIND_PREFIX "sdlab-kv "
#define OPEN_TRIES  16 /* of a reader whose store is changed meanwhile */
#define INDEXES_LEAST (UINT64_C(64) << 20) /* bytes of indexes and filters: to open a table anew for each look costs more than a small cache saves */

/* ---- the folder ---- */

static void free_names(char **names)
{
	for (char **p = names; p && *p; p++)
		free(*p);
	free(names);
}

static bool has_name(char **names, const char *name)
{
	for (char **p = names; p && *p; p++)
		if (strcmp(*p, name) == 0)
			return true;
	return false;
}

static char *parent_of(const char *path)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	return n ? strndup(path, n) : strdup(".");
}

enum sd_err lsm_sync_parents(struct sd_world *w, const char *path, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	char *at = strdup(path);
	while (!err && at && strcmp(at, ".") != 0 && strcmp(at, "/") != 0) {
		char *up = parent_of(at);
		free(at);
		at = up;
		err = at ? sd_dir_sync(w, at, e) : SD_OK;
		if (err == SD_EPERM) /* a folder that is not ours was there before */
			err = SD_OK;
	}
	if (!at)
		err = lsm_no_memory(e);
	free(at);
	return err;
}

static enum sd_err make_folder(struct sd_kv *kv, struct sd_error *e)
{
	enum sd_err err = sd_world_mkdir(kv->world, kv->path, 0700, e);
	return err ? err : lsm_sync_parents(kv->world, kv->path, e);
}

static enum sd_err lock_folder(struct sd_kv *kv, struct sd_error *e)
{
	char *full = sd_lsm_path(kv->path, "LOCK");
	enum sd_err err = full ? sd_file_open(kv->world, full, SD_FILE_WRITE | SD_FILE_CREATE, &kv->lock_file, e) : lsm_no_memory(e);
	if (!err && (err = sd_file_lock(kv->lock_file, e)) == SD_EINUSE)
		sd_fail(e, SD_EINUSE, "%s is in use: another process has the store open", kv->path);
	free(full);
	return err;
}

static enum sd_err read_format(struct sd_kv *kv, struct sd_error *e)
{
	char *line = NULL, shown[SD_LSM_SHOWN];
	size_t n = 0;
	enum sd_err err = sd_lsm_read_whole(kv->world, kv->path, FORMAT_NAME, 64, &line, &n, e);
	if (err)
		return err;
	if (strcmp(line, FORMAT_LINE) != 0)
		err = strncmp(line, KIND_PREFIX, strlen(KIND_PREFIX)) == 0
			  ? sd_fail(e, SD_EUNSUPPORTED, "%s/" FORMAT_NAME " says \"%s\": a newer format than this program knows (1)", kv->path,
				    sd_lsm_shown(shown, (struct sd_slice){line, strcspn(line, "\n")}))
			  : sd_fail(e, SD_EDAMAGED, "%s/" FORMAT_NAME " does not say which format; expected \"sdlab-kv 1\"", kv->path);
	free(line);
	kv->own = true;
	return err;
}

/* ---- making one ---- */

static bool is_a_beginning(const char *name)
{
	static const char *const names[] = {"LOCK", FORMAT_NAME, "CURRENT.dbtmp", "lost+found", "LOG", "LOG.old"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "MANIFEST-", 9) == 0;
}

static enum sd_err must_be_nothing(const struct sd_kv *kv, char **names, struct sd_error *e)
{
	for (char **p = names; p && *p; p++)
		if (!is_a_beginning(*p))
			return sd_fail(e, SD_EDAMAGED, "%s has %s in it and no CURRENT: it is no store, or a damaged one; expected a new folder",
				       kv->path, *p);
	return SD_OK;
}

static enum sd_err make_store(struct sd_kv *kv, char **names, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	kv->own = kv->conf.format == SD_KV_SDLAB;
	if (kv->own)
		err = sd_lsm_write_whole(kv->world, kv->path, FORMAT_NAME, sd_slice_of(FORMAT_LINE), e);
	else if (has_name(names, FORMAT_NAME)) {
		char *full = sd_lsm_path(kv->path, FORMAT_NAME);
		err = full ? sd_world_unlink(kv->world, full) : SD_ENOMEM;
		if (err)
			sd_fail(e, err, "cannot remove %s/" FORMAT_NAME, kv->path);
		free(full);
	}
	kv->next_file = 1;
	return err; /* its name goes to the disk with the manifest's, before CURRENT */
}

/* ---- one that is there ---- */

static void number_above(struct sd_kv *kv, uint64_t number)
{
	if (number >= kv->next_file && number < UINT64_MAX)
		kv->next_file = number + 1;
}

/* No number is used twice, also not one of a file that was being made when the power went. */
static void skip_numbers(struct sd_kv *kv, char **names)
{
	static const char *const ends[] = {"log", "sst", "ldb", "blob"};
	uint64_t number;
	for (char **p = names; p && *p; p++) {
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
			if (lsm_number_of(*p, ends[i], &number))
				number_above(kv, number);
		if (strncmp(*p, "MANIFEST-", 9) == 0)
			number_above(kv, strtoull(*p + 9, NULL, 10));
	}
}

static bool has_table(struct sd_kv *kv, char **names, uint64_t number)
{
	char name[SD_LSM_NAME];
	lsm_table_name(kv, number, name);
	if (has_name(names, name))
		return true;
	if (kv->own)
		return false;
	snprintf(name, sizeof(name), "%06" PRIu64 ".sst", number); /* LevelDB before 1.14 */
	return has_name(names, name);
}

static enum sd_err all_there(struct sd_kv *kv, const struct sd_lsm_version *v, char **names, struct sd_error *e)
{
	char name[SD_LSM_NAME];
	for (unsigned level = 0; level < SD_LSM_LEVELS; level++)
		for (size_t i = 0; i < v->levels[level].n; i++) {
			uint64_t number = v->levels[level].files[i].number;
			if (has_table(kv, names, number))
				continue;
			lsm_table_name(kv, number, name);
			return sd_fail(e, SD_EDAMAGED, "%s/%s is missing: a table of level %u", kv->path, name, level);
		}
	return SD_OK;
}

/* Where the manifest is cut off within an edit, the edit was never heard of, and the log that the ones before it speak of is still there;
 * if that is gone and there are later ones, the edit was on the disk and is damaged. */
static enum sd_err judge_torn(struct sd_kv *kv, const struct sd_lsm_version *v, const struct sd_lsm_manifest_found *found, char **names,
			      struct sd_error *e)
{
	char name[SD_LSM_NAME];
	uint64_t number;
	bool later = false;
	snprintf(name, sizeof(name), "%06" PRIu64 ".log", v->log);
	if (!found->torn || v->log == 0 || has_name(names, name))
		return SD_OK;
	for (char **p = names; p && *p; p++)
		later |= lsm_number_of(*p, "log", &number) && number > v->log;
	return later ? sd_fail(e, SD_EDAMAGED, "%s/%s: record at %" PRIu64 " is damaged: %s, which those before it speak of, is gone", kv->path,
			       found->name, found->torn_at, name)
		     : SD_OK;
}

/* Tables, logs and so on that nothing speaks of. */
static bool is_left(const struct sd_kv *kv, const char *name, const struct sd_lsm_version *v, const char *manifest)
{
	uint64_t number;
	if (strncmp(name, "MANIFEST-", 9) == 0)
		return strcmp(name, manifest) != 0;
	if (strcmp(name, "CURRENT.dbtmp") == 0)
		return true;
	if (lsm_number_of(name, "log", &number))
		return number < kv->view->mem.log && (kv->nlogs == 0 || number < kv->logs[0]);
	if (lsm_number_of(name, "blob", &number)) {
		for (size_t i = 0; i < v->nblobs; i++)
			if (v->blobs[i].number == number)
				return false;
		return kv->own;
	}
	if (!lsm_number_of(name, "sst", &number) && !lsm_number_of(name, "ldb", &number))
		return false;
	for (unsigned level = 0; level < SD_LSM_LEVELS; level++)
		for (size_t i = 0; i < v->levels[level].n; i++)
			if (v->levels[level].files[i].number == number)
				return false;
	return true;
}

static void remove_left(struct sd_kv *kv, char **names, const struct sd_lsm_version *v)
{
	char manifest[SD_LSM_NAME];
	snprintf(manifest, sizeof(manifest), "MANIFEST-%06" PRIu64, kv->manifest.number);
	for (char **p = names; p && *p; p++) {
		char *full = is_left(kv, *p, v, manifest) ? sd_lsm_path(kv->path, *p) : NULL;
		if (full)
			sd_world_unlink(kv->world, full);
		free(full);
	}
}

/* ---- putting it together ---- */

static void file_gone(void *arg, uint64_t number, bool blob)
{
	lsm_left_over(arg, number, blob ? LEFT_BLOB : LEFT_TABLE);
}

static enum sd_err make_view(struct sd_kv *kv, const struct sd_lsm_version *v, struct sd_error *e)
{
	struct sd_lsm_tree *tree = sd_lsm_tree_new(v, file_gone, kv);
	struct sd_lsm_held mem = {sd_lsm_mem_new(kv->conf.memtable_bytes, NULL), v->log};
	if (tree && mem.mem)
		kv->view = sd_lsm_view_new(&mem, NULL, 0, tree);
	sd_lsm_tree_unref(tree);
	sd_lsm_mem_unref(mem.mem);
	return kv->view ? SD_OK : lsm_no_memory(e);
}

/* From here on it may be written to: a manifest that says what is needed of the old logs, and a new log. In this order, so that a folder
 * with a log has a CURRENT. */
static enum sd_err begin_writing(struct sd_kv *kv, struct sd_lsm_version *v, struct sd_error *e)
{
	uint64_t manifest = kv->next_file++;
	struct sd_lsm_view *view = kv->view;
	if (kv->nlogs == 0)
		view->mem.log = kv->next_file; /* that of the log which is begun below */
	v->log = view->nheld > 0 ? view->held[view->nheld - 1].log : view->mem.log;
	v->previous_log = 0;
	v->next_file = kv->next_file + 1;
	v->last_seq = atomic_load(&kv->last_seq);
	if (kv->own)
		v->now_ms = lsm_now_ms(kv);
	v->has_log = v->has_next_file = v->has_last_seq = true;
	enum sd_err err = sd_lsm_manifest_begin(&kv->manifest, manifest, v, e);
	return err ? err : lsm_log_begin(kv, &kv->log, e);
}

static enum sd_err open_tables(struct sd_kv *kv, struct sd_error *e)
{
	uint64_t cache = kv->conf.cache_bytes;
	struct sd_lsm_tables_conf conf = {
	    .world = kv->world,
	    .dir = kv->path,
	    .own = kv->own,
	    .files = kv->conf.open_files,
	    .cache_bytes = cache,
	    .memory = cache > INDEXES_LEAST / 4 ? 4 * cache : INDEXES_LEAST,
	};
	kv->tables = sd_lsm_tables_new(&conf);
	return kv->tables ? SD_OK : lsm_no_memory(e);
}

static enum sd_err bring_up(struct sd_kv *kv, char **names, struct sd_lsm_version *v, struct sd_error *e)
{
	struct sd_lsm_manifest_found found = {0};
	bool there = has_name(names, "CURRENT");
	enum sd_err err = !there ? make_store(kv, names, e) : has_name(names, FORMAT_NAME) ? read_format(kv, e) : SD_OK;
	if (!err && there)
		err = sd_lsm_manifest_read(kv->world, kv->path, v, &found, e);
	if (!err && there)
		err = all_there(kv, v, names, e);
	if (!err && there)
		err = judge_torn(kv, v, &found, names, e);
	if (!err && found.torn)
		lsm_say(kv, &(struct sd_kv_event){.kind = SD_KV_EVENT_TORN, .name = found.name, .bytes = found.torn_at});
	if (err)
		return err;
	if (v->next_file > kv->next_file)
		kv->next_file = v->next_file;
	skip_numbers(kv, names);
	atomic_store(&kv->now_ms, v->now_ms);
	err = open_tables(kv, e);
	if (!err)
		err = make_view(kv, v, e);
	if (!err)
		err = lsm_replay(kv, v, names, e);
	if (!err && !kv->read_only)
		err = begin_writing(kv, v, e);
	if (!err && !kv->read_only)
		remove_left(kv, names, v);
	return err;
}

/* Asked before anything is written into the folder, and again once it is ours. */
static enum sd_err may_open(const struct sd_kv *kv, char **names, struct sd_error *e)
{
	bool there = has_name(names, "CURRENT");
	if (there && kv->conf.mode == SD_KV_MAKE)
		return sd_fail(e, SD_EEXISTS, "%s has a store in it already", kv->path);
	if (!there && (kv->conf.mode == SD_KV_OPEN || kv->conf.mode == SD_KV_READ_ONLY))
		return sd_fail(e, SD_ENOTFOUND, "%s is no folder of a store: it has no file CURRENT", kv->path);
	return there ? SD_OK : must_be_nothing(kv, names, e);
}

/* *listed: the names that were found, NULL: none were. The caller's. */
static enum sd_err open_folder(struct sd_kv *kv, char ***listed, struct sd_error *e)
{
	struct sd_lsm_version v = {0};
	enum sd_err err = SD_OK;
	if (kv->conf.mode == SD_KV_OPEN_OR_MAKE || kv->conf.mode == SD_KV_MAKE)
		err = make_folder(kv, e);
	char **names = err ? NULL : sd_world_list_dir(kv->world, kv->path);
	if (!err && !names)
		err = sd_fail(e, SD_ENOTFOUND, "cannot open %s: no such folder, or it cannot be read", kv->path);
	if (!err)
		err = may_open(kv, names, e);
	if (!err && !kv->read_only) {
		err = lock_folder(kv, e);
		free_names(names); /* who had it open may have changed it until now */
		names = err ? NULL : sd_world_list_dir(kv->world, kv->path);
		if (!err && !names)
			err = sd_fail(e, SD_EIO, "cannot read %s", kv->path);
		if (!err)
			err = may_open(kv, names, e);
	}
	if (!err)
		err = bring_up(kv, names, &v, e);
	sd_lsm_version_free(&v);
	*listed = names;
	return err;
}

static size_t count_names(char **names)
{
	size_t n = 0;
	while (names && names[n])
		n++;
	return n;
}

/* Who only reads has no lock: a writer may have put away what was about to be read. Then the folder is another than it was. */
static bool has_changed(const struct sd_kv *kv, char **before)
{
	char **now = sd_world_list_dir(kv->world, kv->path);
	bool same = count_names(now) == count_names(before);
	for (char **p = now; same && p && *p; p++)
		same = has_name(before, *p);
	free_names(now);
	return !same;
}

static uint64_t or_else(uint64_t v, uint64_t least, uint64_t otherwise)
{
	return v == 0 ? otherwise : v < least ? least : v;
}

static void set_conf(struct sd_kv *kv, const struct sd_kv_conf *conf)
{
	struct sd_kv_conf *c = &kv->conf;
	*c = conf ? *conf : (struct sd_kv_conf){0};
	c->memtable_bytes = or_else(c->memtable_bytes, 64 << 10, 64 << 20);
	c->cache_bytes = or_else(c->cache_bytes, 1, 64 << 20);
	c->block_bytes = (uint32_t)or_else(c->block_bytes, 256, 4096);
	c->blob_from = (uint32_t)or_else(c->blob_from, 64, 4096);
	c->open_files = (uint32_t)or_else(c->open_files, 8, 512);
	c->level_bytes = or_else(c->level_bytes, 64 << 10, 4 * c->memtable_bytes);
	kv->read_only = c->mode == SD_KV_READ_ONLY;
	atomic_init(&kv->sync_mode, (int)c->sync);
	atomic_init(&kv->rate, c->rate);
	sd_lsm_delay_defaults(&kv->delay, c->memtable_bytes);
}

static struct sd_kv *new_kv(const char *path, const struct sd_kv_conf *conf)
{
	struct sd_kv *kv = calloc(1, sizeof(*kv));
	if (!kv)
		return NULL;
	set_conf(kv, conf);
	kv->world = kv->conf.world ? kv->conf.world : (kv->own_world = sd_world_real());
	kv->path = strdup(path);
	kv->lock = sd_lock_new();
	kv->order = sd_lock_new();
	kv->snapshots.next = kv->snapshots.prev = &kv->snapshots;
	kv->manifest = (struct sd_lsm_manifest){.world = kv->world, .dir = kv->path};
	return kv;
}

static enum sd_err start_thread(struct sd_kv *kv, struct sd_error *e)
{
	if (kv->conf.background == SD_KV_BY_HAND || kv->read_only)
		return SD_OK;
	kv->due = sd_cond_new();
	kv->done = sd_cond_new();
	if (!kv->due || !kv->done)
		return lsm_no_memory(e);
	return sd_thread_start("kv", lsm_work_thread, kv, &kv->thread, e);
}

static void stop_thread(struct sd_kv *kv)
{
	if (!kv->thread)
		return;
	sd_lock_enter(kv->lock);
	kv->stopping = true;
	sd_cond_wake_all(kv->due);
	sd_lock_leave(kv->lock);
	sd_thread_join(kv->thread);
	kv->thread = NULL;
}

static void free_kv(struct sd_kv *kv)
{
	lsm_compact_end(kv);
	sd_lsm_view_unref(kv->view);
	sd_lsm_tables_free(kv->tables);
	lsm_log_unref(kv->log);
	sd_lsm_manifest_close(&kv->manifest);
	sd_file_close(kv->lock_file);
	for (unsigned i = 0; i < kv->nspare; i++)
		sd_cond_free(kv->spare[i]);
	sd_cond_free(kv->due);
	sd_cond_free(kv->done);
	sd_lock_free(kv->lock);
	sd_lock_free(kv->order);
	free(kv->left);
	free(kv->logs);
	free(kv->group.p);
	free(kv->out.p);
	free(kv->path);
	if (kv->own_world)
		sd_world_free(kv->own_world);
	free(kv);
}

static uint64_t count_tables(const struct sd_lsm_version *v, uint64_t *entries)
{
	uint64_t n = 0;
	for (unsigned level = 0; level < SD_LSM_LEVELS; level++) {
		n += v->levels[level].n;
		for (size_t i = 0; i < v->levels[level].n; i++)
			*entries += v->levels[level].files[i].entries;
	}
	return n;
}

static void say_opened(struct sd_kv *kv)
{
	char name[SD_LSM_NAME] = "";
	struct sd_kv_event ev = {.kind = SD_KV_EVENT_OPENED, .name = name};
	if (kv->log)
		snprintf(name, sizeof(name), "%06" PRIu64 ".log", kv->log->number);
	ev.tables = count_tables(&kv->view->tree->version, &ev.keys);
	lsm_say(kv, &ev);
}

/* *again: it may do from the newest manifest. */
static enum sd_err open_once(const char *path, const struct sd_kv_conf *conf, struct sd_kv **out, bool *again, struct sd_error *e)
{
	char **names = NULL;
	struct sd_kv *kv = new_kv(path, conf);
	*again = false;
	if (!kv)
		return lsm_no_memory(e);
	enum sd_err err = kv->path && kv->lock && kv->order && kv->world ? open_folder(kv, &names, e) : lsm_no_memory(e);
	if ((err == SD_EDAMAGED || err == SD_ENOTFOUND) && kv->read_only)
		*again = has_changed(kv, names);
	free_names(names);
	if (!err)
		err = start_thread(kv, e);
	if (err) {
		free_kv(kv);
		return err;
	}
	say_opened(kv);
	*out = kv;
	return SD_OK;
}

enum sd_err sd_kv_open(const char *path, const struct sd_kv_conf *conf, struct sd_kv **out, struct sd_error *e)
{
	struct sd_error why;
	bool again = true;
	enum sd_err err = SD_OK;
	*out = NULL;
	for (unsigned tries = 0; again && tries < OPEN_TRIES; tries++)
		err = open_once(path, conf, out, &again, &why);
	return err ? sd_fail(e, err, "%s", why.text) : SD_OK;
}

enum sd_err sd_kv_close(struct sd_kv *kv, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	if (!kv)
		return SD_OK;
	stop_thread(kv);
	if (kv->failed)
		err = sd_fail(e, kv->failed, "%s", kv->why.text);
	else if (kv->log && !(err = lsm_log_sync(kv, kv->log, e))) {
		lsm_log_close(kv, kv->log);
		err = lsm_keep_clock(kv, atomic_load(&kv->now_ms), e);
	}
	free_kv(kv);
	return err;
}
