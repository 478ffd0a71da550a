/* lsm_version.c - edits, read and written. */
#include "lsm_version.h"

#include <inttypes.h>
#include <stdlib.h>

#include "varint.h"

enum edit_tag { COMPARATOR = 1, LOG = 2, NEXT_FILE = 3, LAST_SEQ = 4, POINTER = 5, GONE_FILE = 6, NEW_FILE = 7, PREVIOUS_LOG = 9 };

static void free_file(struct sd_lsm_file *f)
{
	free((void *)(uintptr_t)f->smallest.p); /* both keys are in one piece */
}

void sd_lsm_version_free(struct sd_lsm_version *v)
{
	for (unsigned i = 0; i < SD_LSM_LEVELS; i++) {
		struct sd_lsm_level *l = &v->levels[i];
		for (size_t k = 0; k < l->n; k++)
			free_file(&l->files[k]);
		free(l->files);
		free((void *)(uintptr_t)l->pointer.p);
	}
	*v = (struct sd_lsm_version){0};
}

bool sd_lsm_version_add(struct sd_lsm_version *v, unsigned level, const struct sd_lsm_file *f)
{
	struct sd_lsm_level *l = &v->levels[level];
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		struct sd_lsm_file *more = realloc(l->files, room * sizeof(*more));
		if (!more)
			return false;
		l->files = more;
		l->room = room;
	}
	char *keys = malloc(f->smallest.n + f->largest.n);
	if (!keys)
		return false;
	memcpy(keys, f->smallest.p, f->smallest.n);
	memcpy(keys + f->smallest.n, f->largest.p, f->largest.n);
	l->files[l->n++] = (struct sd_lsm_file){f->number, f->size, {keys, f->smallest.n}, {keys + f->smallest.n, f->largest.n}};
	/* cppcheck-suppress memleak; the slices of the table hold it */
	return true;
}

/* ---- reading an edit ---- */

struct edit {
	struct sd_lsm_version *v;
	struct sd_slice left;
	struct sd_error *e;
};

static enum sd_err senseless(struct edit *d, const char *what)
{
	return sd_fail(d->e, SD_EDAMAGED, "an edit's %s makes no sense", what);
}

static bool take_number(struct edit *d, uint64_t most, uint64_t *v)
{
	size_t n = sd_get_varint(d->left.p, d->left.n, most, v);
	d->left = (struct sd_slice){d->left.p + n, d->left.n - n};
	return n > 0;
}

static bool take_text(struct edit *d, struct sd_slice *s)
{
	uint64_t n;
	if (!take_number(d, UINT32_MAX, &n) || n > d->left.n)
		return false;
	*s = (struct sd_slice){d->left.p, (size_t)n};
	d->left = (struct sd_slice){d->left.p + n, d->left.n - (size_t)n};
	return true;
}

static bool take_level(struct edit *d, uint64_t *level)
{
	return take_number(d, SD_LSM_LEVELS - 1, level);
}

static bool take_key(struct edit *d, struct sd_slice *key)
{
	return take_text(d, key) && sd_lsm_key_ok(*key);
}

static enum sd_err comparator(struct edit *d)
{
	struct sd_slice name;
	if (!take_text(d, &name))
		return senseless(d, "comparator");
	if (!sd_slice_eq(name, SD_LSM_COMPARATOR))
		return sd_fail(d->e, SD_EUNSUPPORTED, "its keys are in an order of their own (%.*s); expected " SD_LSM_COMPARATOR, (int)name.n,
			       name.p);
	d->v->has_comparator = true;
	return SD_OK;
}

static enum sd_err log_number(struct edit *d)
{
	d->v->has_log = true;
	return take_number(d, UINT64_MAX, &d->v->log) ? SD_OK : senseless(d, "log number");
}

static enum sd_err previous_log(struct edit *d)
{
	return take_number(d, UINT64_MAX, &d->v->previous_log) ? SD_OK : senseless(d, "previous log number");
}

static enum sd_err next_file(struct edit *d)
{
	d->v->has_next_file = true;
	return take_number(d, UINT64_MAX, &d->v->next_file) ? SD_OK : senseless(d, "next file number");
}

static enum sd_err last_seq(struct edit *d)
{
	d->v->has_last_seq = true;
	return take_number(d, SD_LSM_SEQ_MAX, &d->v->last_seq) ? SD_OK : senseless(d, "last sequence number");
}

static enum sd_err pointer(struct edit *d)
{
	uint64_t level;
	struct sd_slice key;
	if (!take_level(d, &level) || !take_key(d, &key))
		return senseless(d, "compaction pointer");
	char *copy = malloc(key.n);
	if (!copy)
		return sd_fail(d->e, SD_ENOMEM, "out of memory");
	memcpy(copy, key.p, key.n);
	struct sd_lsm_level *l = &d->v->levels[level];
	free((void *)(uintptr_t)l->pointer.p);
	l->pointer = (struct sd_slice){copy, key.n};
	/* cppcheck-suppress memleak; the slice holds it */
	return SD_OK;
}

static enum sd_err gone_file(struct edit *d)
{
	uint64_t level, number;
	if (!take_level(d, &level) || !take_number(d, UINT64_MAX, &number))
		return senseless(d, "removed table");
	struct sd_lsm_level *l = &d->v->levels[level];
	for (size_t i = 0; i < l->n; i++) {
		if (l->files[i].number != number)
			continue;
		free_file(&l->files[i]);
		memmove(&l->files[i], &l->files[i + 1], (l->n - i - 1) * sizeof(l->files[0]));
		l->n--;
		return SD_OK;
	}
	return sd_fail(d->e, SD_EDAMAGED, "an edit removes table %" PRIu64 " of level %" PRIu64 ", which is not there", number, level);
}

static enum sd_err new_file(struct edit *d)
{
	uint64_t level;
	struct sd_lsm_file f;
	if (!take_level(d, &level) || !take_number(d, UINT64_MAX, &f.number) || !take_number(d, UINT64_MAX, &f.size) ||
	    !take_key(d, &f.smallest) || !take_key(d, &f.largest))
		return senseless(d, "new table");
	return sd_lsm_version_add(d->v, (unsigned)level, &f) ? SD_OK : sd_fail(d->e, SD_ENOMEM, "out of memory");
}

enum sd_err sd_lsm_version_apply(struct sd_lsm_version *v, struct sd_slice edit, struct sd_error *e)
{
	static enum sd_err (*const takers[])(struct edit *d) = {
	    [COMPARATOR] = comparator, [LOG] = log_number,	 [NEXT_FILE] = next_file, [LAST_SEQ] = last_seq,
	    [POINTER] = pointer,       [GONE_FILE] = gone_file, [NEW_FILE] = new_file,	  [PREVIOUS_LOG] = previous_log,
	};
	struct edit d = {v, edit, e};
	enum sd_err err = SD_OK;
	while (!err && d.left.n > 0) {
		uint64_t tag;
		if (!take_number(&d, PREVIOUS_LOG, &tag) || !takers[tag])
			return senseless(&d, "tag");
		err = takers[tag](&d);
	}
	return err;
}

/* ---- the whole ---- */

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct sd_lsm_file *)a)->number, y = ((const struct sd_lsm_file *)b)->number;
	return (x > y) - (x < y);
}

static int by_key(const void *a, const void *b)
{
	return sd_lsm_internal(((const struct sd_lsm_file *)a)->smallest, ((const struct sd_lsm_file *)b)->smallest);
}

/* Two tables of a level may share a user key (older writes of it in the second); they may not share an internal key. */
static enum sd_err judge_level(const struct sd_lsm_level *l, unsigned level, struct sd_error *e)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct sd_lsm_file *f = &l->files[i];
		if (sd_lsm_internal(f->smallest, f->largest) > 0)
			return sd_fail(e, SD_EDAMAGED, "table %" PRIu64 " ends before it begins", f->number);
		if (level > 0 && i > 0 && sd_lsm_internal(f[-1].largest, f->smallest) >= 0)
			return sd_fail(e, SD_EDAMAGED, "tables %" PRIu64 " and %" PRIu64 " of level %u overlap", f[-1].number, f->number, level);
	}
	return SD_OK;
}

enum sd_err sd_lsm_version_end(struct sd_lsm_version *v, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	if (!v->has_log || !v->has_next_file || !v->has_last_seq)
		return sd_fail(e, SD_EDAMAGED, "it does not say which %s", !v->has_log ? "log is in use" : !v->has_next_file ?
			       "number the next file gets" : "sequence number was last");
	for (unsigned i = 0; i < SD_LSM_LEVELS && !err; i++) {
		struct sd_lsm_level *l = &v->levels[i];
		if (l->n > 0)
			qsort(l->files, l->n, sizeof(l->files[0]), i == 0 ? by_number : by_key);
		err = judge_level(l, i, e);
	}
	return err;
}

const struct sd_lsm_file *sd_lsm_version_find(const struct sd_lsm_version *v, unsigned level, struct sd_slice user)
{
	const struct sd_lsm_level *l = &v->levels[level];
	size_t low = 0, high = l->n; /* the first table that does not end before the key */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sd_lsm_bytewise(sd_lsm_user(l->files[middle].largest), user) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->n && sd_lsm_bytewise(sd_lsm_user(l->files[low].smallest), user) <= 0 ? &l->files[low] : NULL;
}

uint64_t sd_lsm_level_bytes(const struct sd_lsm_level *l)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < l->n; i++)
		sum += l->files[i].size;
	return sum;
}

/* ---- writing an edit ---- */

static void put_number(struct sd_text *t, uint64_t v)
{
	char bytes[SD_VARINT_MAX];
	sd_text_add(t, bytes, sd_put_varint(bytes, v));
}

static void put_tagged(struct sd_text *t, enum edit_tag tag, uint64_t v)
{
	put_number(t, tag);
	put_number(t, v);
}

static void put_text(struct sd_text *t, struct sd_slice s)
{
	put_number(t, s.n);
	sd_text_add(t, s.p, s.n);
}

static void put_level(struct sd_text *t, const struct sd_lsm_level *l, unsigned level)
{
	if (l->pointer.n > 0) {
		put_tagged(t, POINTER, level);
		put_text(t, l->pointer);
	}
	for (size_t i = 0; i < l->n; i++) {
		const struct sd_lsm_file *f = &l->files[i];
		put_tagged(t, NEW_FILE, level);
		put_number(t, f->number);
		put_number(t, f->size);
		put_text(t, f->smallest);
		put_text(t, f->largest);
	}
}

void sd_lsm_version_put(const struct sd_lsm_version *v, struct sd_text *edit)
{
	put_number(edit, COMPARATOR);
	put_text(edit, sd_slice_of(SD_LSM_COMPARATOR));
	put_tagged(edit, LOG, v->log);
	put_tagged(edit, PREVIOUS_LOG, v->previous_log);
	put_tagged(edit, NEXT_FILE, v->next_file);
	put_tagged(edit, LAST_SEQ, v->last_seq);
	for (unsigned i = 0; i < SD_LSM_LEVELS; i++)
		put_level(edit, &v->levels[i], i);
}
