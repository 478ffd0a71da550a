/* lsm_version.c - edits, read and written. */
#include "lsm_version.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "varint.h"

enum edit_tag {
	COMPARATOR = 1,
	LOG = 2,
	NEXT_FILE = 3,
	LAST_SEQ = 4,
	POINTER = 5,
	GONE_FILE = 6,
	NEW_FILE = 7,
	PREVIOUS_LOG = 9,
	/* our own */
	OWN_FILE = 64, /* as NEW_FILE, then how many numbers follow, and they */
	NOW = 65,
	NEW_BLOB = 66,
	GONE_BLOB = 67,
	DEAD_BLOB = 68,
};
enum own_number { ENTRIES, GONE, OLDEST, NEWEST, ENDS, HAS_RANGES, FIRST_BLOB, LAST_BLOB, OWN_NUMBERS };

/* What all versions that have a file share: they come and go in any thread. */
struct sd_lsm_shared {
	_Atomic uint32_t refs;
	char keys[];
};

static struct sd_lsm_shared *share(size_t n)
{
	struct sd_lsm_shared *s = malloc(sizeof(*s) + n);
	if (s)
		atomic_init(&s->refs, 1);
	return s;
}

/* True: that was the last one. */
static bool unshare(struct sd_lsm_shared *s)
{
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return false;
	free(s);
	return true;
}

static void nobody_asks(void *arg, uint64_t number, bool blob)
{
	(void)arg, (void)number, (void)blob;
}

void sd_lsm_version_free(struct sd_lsm_version *v)
{
	sd_lsm_version_let_go(v, nobody_asks, NULL);
}

void sd_lsm_version_let_go(struct sd_lsm_version *v, void (*gone)(void *arg, uint64_t number, bool blob), void *arg)
{
	for (unsigned i = 0; i < SD_LSM_LEVELS; i++) {
		struct sd_lsm_level *l = &v->levels[i];
		for (size_t k = 0; k < l->n; k++)
			if (unshare(l->files[k].shared))
				gone(arg, l->files[k].number, false);
		free(l->files);
		free((void *)(uintptr_t)l->pointer.p);
	}
	for (size_t i = 0; i < v->nblobs; i++)
		if (unshare(v->blobs[i].shared))
			gone(arg, v->blobs[i].number, true);
	free(v->blobs);
	free(v->ranged);
	*v = (struct sd_lsm_version){0};
}

/* Room for one more of `size` bytes in an array. */
static bool room_for(void **array, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return true;
	size_t wanted = *room ? 2 * *room : 16;
	void *more = realloc(*array, wanted * size);
	if (!more)
		return false;
	*array = more;
	*room = wanted;
	return true;
}

bool sd_lsm_version_add(struct sd_lsm_version *v, unsigned level, const struct sd_lsm_file *f)
{
	struct sd_lsm_level *l = &v->levels[level];
	if (!room_for((void **)&l->files, l->n, &l->room, sizeof(l->files[0])))
		return false;
	struct sd_lsm_shared *s = share(f->smallest.n + f->largest.n);
	if (!s)
		return false;
	memcpy(s->keys, f->smallest.p, f->smallest.n);
	memcpy(s->keys + f->smallest.n, f->largest.p, f->largest.n);
	struct sd_lsm_file *at = &l->files[l->n++];
	*at = *f;
	at->smallest.p = s->keys;
	at->largest.p = s->keys + f->smallest.n;
	at->shared = s;
	return true;
}

static bool copy_key(struct sd_slice *to, struct sd_slice from)
{
	char *p = from.n > 0 ? malloc(from.n) : NULL;
	if (!p)
		return from.n == 0;
	memcpy(p, from.p, from.n);
	free((void *)(uintptr_t)to->p);
	*to = (struct sd_slice){p, from.n};
	return true;
}

static bool copy_level(struct sd_lsm_level *to, const struct sd_lsm_level *from)
{
	if (!copy_key(&to->pointer, from->pointer))
		return false;
	if (from->n == 0)
		return true;
	if (!(to->files = malloc(from->n * sizeof(to->files[0]))))
		return false;
	memcpy(to->files, from->files, from->n * sizeof(to->files[0]));
	to->n = to->room = from->n;
	for (size_t i = 0; i < to->n; i++)
		atomic_fetch_add_explicit(&to->files[i].shared->refs, 1, memory_order_relaxed);
	return true;
}

static bool copy_blobs(struct sd_lsm_version *to, const struct sd_lsm_version *from)
{
	if (from->nblobs == 0)
		return true;
	if (!(to->blobs = malloc(from->nblobs * sizeof(to->blobs[0]))))
		return false;
	memcpy(to->blobs, from->blobs, from->nblobs * sizeof(to->blobs[0]));
	to->nblobs = to->blob_room = from->nblobs;
	for (size_t i = 0; i < to->nblobs; i++)
		atomic_fetch_add_explicit(&to->blobs[i].shared->refs, 1, memory_order_relaxed);
	return true;
}

static bool copy_ranged(struct sd_lsm_version *to, const struct sd_lsm_version *from)
{
	if (from->nranged == 0)
		return true;
	if (!(to->ranged = malloc(from->nranged * sizeof(to->ranged[0]))))
		return false;
	memcpy(to->ranged, from->ranged, from->nranged * sizeof(to->ranged[0]));
	to->nranged = from->nranged;
	return true;
}

bool sd_lsm_version_copy(struct sd_lsm_version *to, const struct sd_lsm_version *from)
{
	*to = *from;
	memset(to->levels, 0, sizeof(to->levels));
	to->blobs = NULL;
	to->nblobs = to->blob_room = 0;
	to->ranged = NULL;
	to->nranged = 0;
	bool ok = copy_blobs(to, from) && copy_ranged(to, from);
	for (unsigned i = 0; i < SD_LSM_LEVELS && ok; i++)
		ok = copy_level(&to->levels[i], &from->levels[i]);
	return ok;
}

/* ---- reading an edit ---- */

struct edit {
	struct sd_lsm_version *v;
	struct sd_slice left;
	struct sd_error *e;
	/* Tables that it removed, with a reference each: one that is added again only moves, and older versions must not take it for gone. */
	struct sd_lsm_file *removed;
	size_t nremoved, room;
	bool added; /* a table: it may be one that is removed after that */
};

static void let_go_of_removed(struct edit *d)
{
	for (size_t i = 0; i < d->nremoved; i++)
		unshare(d->removed[i].shared);
	free(d->removed);
}

static bool is_same(const struct sd_lsm_file *a, const struct sd_lsm_file *b)
{
	return a->number == b->number && sd_lsm_internal(a->smallest, b->smallest) == 0 && sd_lsm_internal(a->largest, b->largest) == 0;
}

/* `at` is another place of the table `of`, whose reference it takes. */
static void share_with(struct sd_lsm_file *at, const struct sd_lsm_file *of)
{
	unshare(at->shared);
	at->shared = of->shared;
	at->smallest.p = of->smallest.p;
	at->largest.p = of->largest.p;
}

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
	char shown[SD_LSM_SHOWN];
	if (!take_text(d, &name))
		return senseless(d, "comparator");
	if (!sd_slice_eq(name, SD_LSM_COMPARATOR))
		return sd_fail(d->e, SD_EUNSUPPORTED, "its keys are in an order of their own (%s); expected " SD_LSM_COMPARATOR,
			       sd_lsm_shown(shown, name));
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
	return copy_key(&d->v->levels[level].pointer, key) ? SD_OK : sd_fail(d->e, SD_ENOMEM, "out of memory");
}

static struct sd_lsm_file *find_same(struct sd_lsm_version *v, const struct sd_lsm_file *f)
{
	for (unsigned level = 0; level < SD_LSM_LEVELS; level++)
		for (size_t i = v->levels[level].n; i-- > 0;)
			if (is_same(&v->levels[level].files[i], f))
				return &v->levels[level].files[i];
	return NULL;
}

static enum sd_err keep_removed(struct edit *d, const struct sd_lsm_file *f)
{
	struct sd_lsm_file *now = d->added ? find_same(d->v, f) : NULL;
	if (now) {
		share_with(now, f);
		return SD_OK;
	}
	if (!room_for((void **)&d->removed, d->nremoved, &d->room, sizeof(*f))) {
		unshare(f->shared);
		return sd_fail(d->e, SD_ENOMEM, "out of memory");
	}
	d->removed[d->nremoved++] = *f;
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
		struct sd_lsm_file f = l->files[i];
		memmove(&l->files[i], &l->files[i + 1], (l->n - i - 1) * sizeof(l->files[0]));
		l->n--;
		return keep_removed(d, &f);
	}
	return sd_fail(d->e, SD_EDAMAGED, "an edit removes table %" PRIu64 " of level %" PRIu64 ", which is not there", number, level);
}

static bool take_file(struct edit *d, uint64_t *level, struct sd_lsm_file *f)
{
	return take_level(d, level) && take_number(d, UINT64_MAX, &f->number) && take_number(d, UINT64_MAX, &f->size) &&
	       take_key(d, &f->smallest) && take_key(d, &f->largest);
}

static enum sd_err add_file(struct edit *d, uint64_t level, const struct sd_lsm_file *f)
{
	struct sd_lsm_level *l = &d->v->levels[level];
	if (!sd_lsm_version_add(d->v, (unsigned)level, f))
		return sd_fail(d->e, SD_ENOMEM, "out of memory");
	d->added = true;
	for (size_t i = 0; i < d->nremoved; i++)
		if (is_same(&d->removed[i], f)) {
			share_with(&l->files[l->n - 1], &d->removed[i]);
			d->removed[i] = d->removed[--d->nremoved];
			break;
		}
	return SD_OK;
}

static enum sd_err new_file(struct edit *d)
{
	uint64_t level;
	struct sd_lsm_file f = {0};
	return take_file(d, &level, &f) ? add_file(d, level, &f) : senseless(d, "new table");
}

/* A later program may know more numbers than we do; they are passed over. One that did not tell which blobs a table points to may have
 * had it point to any. */
static enum sd_err own_file(struct edit *d)
{
	uint64_t level, n, v[OWN_NUMBERS] = {0};
	struct sd_lsm_file f = {0};
	if (!take_file(d, &level, &f) || !take_number(d, 64, &n))
		return senseless(d, "new table");
	for (uint64_t i = 0; i < n; i++) {
		uint64_t number;
		if (!take_number(d, UINT64_MAX, &number))
			return senseless(d, "new table");
		if (i < OWN_NUMBERS)
			v[i] = number;
	}
	f.entries = v[ENTRIES];
	f.gone = v[GONE];
	f.oldest_seq = v[OLDEST];
	f.newest_seq = v[NEWEST];
	f.ends_ms = v[ENDS];
	f.has_ranges = v[HAS_RANGES] != 0;
	f.first_blob = v[FIRST_BLOB];
	f.last_blob = n > LAST_BLOB ? v[LAST_BLOB] : UINT64_MAX;
	return add_file(d, level, &f);
}

static enum sd_err now(struct edit *d)
{
	uint64_t ms;
	if (!take_number(d, INT64_MAX, &ms))
		return senseless(d, "time");
	if (ms > d->v->now_ms)
		d->v->now_ms = ms;
	return SD_OK;
}

static struct sd_lsm_blob_file *find_blob(struct sd_lsm_version *v, uint64_t number)
{
	for (size_t i = 0; i < v->nblobs; i++)
		if (v->blobs[i].number == number)
			return &v->blobs[i];
	return NULL;
}

static enum sd_err no_blob(struct edit *d, uint64_t number)
{
	return sd_fail(d->e, SD_EDAMAGED, "an edit speaks of blob file %" PRIu64 ", which is not there", number);
}

static enum sd_err new_blob(struct edit *d)
{
	struct sd_lsm_blob_file b = {0};
	if (!take_number(d, UINT64_MAX, &b.number) || !take_number(d, UINT64_MAX, &b.size))
		return senseless(d, "new blob file");
	if (!room_for((void **)&d->v->blobs, d->v->nblobs, &d->v->blob_room, sizeof(b)) || !(b.shared = share(0)))
		return sd_fail(d->e, SD_ENOMEM, "out of memory");
	d->v->blobs[d->v->nblobs++] = b;
	return SD_OK;
}

static enum sd_err gone_blob(struct edit *d)
{
	uint64_t number;
	if (!take_number(d, UINT64_MAX, &number))
		return senseless(d, "removed blob file");
	struct sd_lsm_blob_file *b = find_blob(d->v, number);
	if (!b)
		return no_blob(d, number);
	unshare(b->shared);
	d->v->nblobs--;
	memmove(b, b + 1, (size_t)(d->v->blobs + d->v->nblobs - b) * sizeof(*b));
	return SD_OK;
}

static enum sd_err dead_blob(struct edit *d)
{
	uint64_t number, bytes;
	if (!take_number(d, UINT64_MAX, &number) || !take_number(d, UINT64_MAX, &bytes))
		return senseless(d, "count of dead bytes");
	struct sd_lsm_blob_file *b = find_blob(d->v, number);
	if (!b)
		return no_blob(d, number);
	b->dead = bytes > b->size - b->dead ? b->size : b->dead + bytes;
	return SD_OK;
}

enum sd_err sd_lsm_version_apply(struct sd_lsm_version *v, struct sd_slice edit, struct sd_error *e)
{
	static enum sd_err (*const takers[])(struct edit *d) = {
	    [COMPARATOR] = comparator, [LOG] = log_number,	[NEXT_FILE] = next_file, [LAST_SEQ] = last_seq,
	    [POINTER] = pointer,       [GONE_FILE] = gone_file, [NEW_FILE] = new_file,	 [PREVIOUS_LOG] = previous_log,
	    [OWN_FILE] = own_file,     [NOW] = now,		[NEW_BLOB] = new_blob,	 [GONE_BLOB] = gone_blob,
	    [DEAD_BLOB] = dead_blob,
	};
	struct edit d = {.v = v, .left = edit, .e = e};
	enum sd_err err = SD_OK;
	while (!err && d.left.n > 0) {
		uint64_t tag;
		bool known = take_number(&d, DEAD_BLOB, &tag) && takers[tag];
		err = known ? takers[tag](&d) : senseless(&d, "tag");
	}
	let_go_of_removed(&d);
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

/* Where numbers of files are by now says which tables were made before. */
static void note_sparse(struct sd_lsm_version *v)
{
	for (size_t i = 0; i < v->nblobs; i++)
		if (v->blobs[i].dead > v->blobs[i].size / 2 && v->blobs[i].sparse_from == 0)
			v->blobs[i].sparse_from = v->next_file;
}

static size_t count_ranged(const struct sd_lsm_version *v)
{
	size_t n = 0;
	for (unsigned level = 0; level < SD_LSM_LEVELS; level++)
		for (size_t i = 0; i < v->levels[level].n; i++)
			n += v->levels[level].files[i].has_ranges;
	return n;
}

static enum sd_err note_ranged(struct sd_lsm_version *v, struct sd_error *e)
{
	size_t n = count_ranged(v);
	free(v->ranged);
	v->ranged = n > 0 ? malloc(n * sizeof(v->ranged[0])) : NULL;
	v->nranged = 0;
	if (n > 0 && !v->ranged)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	for (unsigned level = 0; level < SD_LSM_LEVELS; level++)
		for (size_t i = 0; i < v->levels[level].n && v->nranged < n; i++)
			if (v->levels[level].files[i].has_ranges)
				v->ranged[v->nranged++] = (struct sd_lsm_place){level, i};
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
	note_sparse(v);
	return err ? err : note_ranged(v, e);
}

const struct sd_lsm_file *sd_lsm_version_find(const struct sd_lsm_version *v, unsigned level, struct sd_slice user)
{
	const struct sd_lsm_level *l = &v->levels[level];
	size_t low = 0, high = l->n; /* the first table that does not end before the key */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sd_lsm_file_is_before(&l->files[middle], user))
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

void sd_lsm_edit_add(struct sd_text *edit, unsigned level, const struct sd_lsm_file *f, bool own)
{
	put_tagged(edit, own ? OWN_FILE : NEW_FILE, level);
	put_number(edit, f->number);
	put_number(edit, f->size);
	put_text(edit, f->smallest);
	put_text(edit, f->largest);
	if (!own)
		return;
	const uint64_t v[OWN_NUMBERS] = {f->entries, f->gone, f->oldest_seq, f->newest_seq, f->ends_ms, f->has_ranges,
				       f->first_blob, f->last_blob};
	put_number(edit, OWN_NUMBERS);
	for (size_t i = 0; i < OWN_NUMBERS; i++)
		put_number(edit, v[i]);
}

void sd_lsm_edit_remove(struct sd_text *edit, unsigned level, uint64_t number)
{
	put_tagged(edit, GONE_FILE, level);
	put_number(edit, number);
}

void sd_lsm_edit_pointer(struct sd_text *edit, unsigned level, struct sd_slice internal)
{
	put_tagged(edit, POINTER, level);
	put_text(edit, internal);
}

void sd_lsm_edit_log(struct sd_text *edit, uint64_t log)
{
	put_tagged(edit, LOG, log);
	put_tagged(edit, PREVIOUS_LOG, 0);
}

void sd_lsm_edit_next_file(struct sd_text *edit, uint64_t number)
{
	put_tagged(edit, NEXT_FILE, number);
}

void sd_lsm_edit_last_seq(struct sd_text *edit, uint64_t seq)
{
	put_tagged(edit, LAST_SEQ, seq);
}

void sd_lsm_edit_now(struct sd_text *edit, uint64_t now_ms)
{
	put_tagged(edit, NOW, now_ms);
}

void sd_lsm_edit_add_blob(struct sd_text *edit, uint64_t number, uint64_t size)
{
	put_tagged(edit, NEW_BLOB, number);
	put_number(edit, size);
}

void sd_lsm_edit_remove_blob(struct sd_text *edit, uint64_t number)
{
	put_tagged(edit, GONE_BLOB, number);
}

void sd_lsm_edit_dead_blob(struct sd_text *edit, uint64_t number, uint64_t bytes)
{
	put_tagged(edit, DEAD_BLOB, number);
	put_number(edit, bytes);
}

/* What LevelDB does not know is told only of tables that have it. */
static bool is_own(const struct sd_lsm_file *f)
{
	return f->entries || f->newest_seq;
}

static void put_level(struct sd_text *t, const struct sd_lsm_level *l, unsigned level)
{
	if (l->pointer.n > 0)
		sd_lsm_edit_pointer(t, level, l->pointer);
	for (size_t i = 0; i < l->n; i++)
		sd_lsm_edit_add(t, level, &l->files[i], is_own(&l->files[i]));
}

void sd_lsm_version_put(const struct sd_lsm_version *v, struct sd_text *edit)
{
	put_number(edit, COMPARATOR);
	put_text(edit, sd_slice_of(SD_LSM_COMPARATOR));
	put_tagged(edit, LOG, v->log);
	put_tagged(edit, PREVIOUS_LOG, v->previous_log);
	put_tagged(edit, NEXT_FILE, v->next_file);
	put_tagged(edit, LAST_SEQ, v->last_seq);
	if (v->now_ms)
		sd_lsm_edit_now(edit, v->now_ms);
	for (size_t i = 0; i < v->nblobs; i++) {
		sd_lsm_edit_add_blob(edit, v->blobs[i].number, v->blobs[i].size);
		if (v->blobs[i].dead)
			sd_lsm_edit_dead_blob(edit, v->blobs[i].number, v->blobs[i].dead);
	}
	for (unsigned i = 0; i < SD_LSM_LEVELS; i++)
		put_level(edit, &v->levels[i], i);
}
