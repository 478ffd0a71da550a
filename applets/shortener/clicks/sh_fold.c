#include "sh_fold.h"

#include <stdlib.h>

#include "sh_clicks.h"

/* Room for one more of these; false: there is none, and the fold is full. */
static bool grow(struct sh_fold *f, void **p, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return true;
	size_t more = *room ? *room * 2 : 256;
	void *grown = f->full ? NULL : reallocarray(*p, more, size);
	if (!grown) {
		f->full = true;
		return false;
	}
	*p = grown;
	*room = more;
	return true;
}

/* ---- positions ---- */

static struct sh_position *position_of(const struct sh_fold *f, uint64_t source)
{
	for (size_t i = 0; i < f->npositions; i++)
		if (f->positions[i].source == source)
			return &f->positions[i];
	return NULL;
}

bool sh_fold_begin(struct sh_fold *f, const struct sh_block *blocks, size_t n)
{
	size_t room = 0;
	*f = (struct sh_fold){0};
	for (size_t i = 0; i < n; i++) {
		if (position_of(f, blocks[i].source))
			continue;
		if (!grow(f, (void **)&f->positions, f->npositions, &room, sizeof(*f->positions)))
			return false;
		f->positions[f->npositions++] = (struct sh_position){.source = blocks[i].source};
	}
	return true;
}

/* Does this block count now? Of a source that nobody knows the first one does, whatever its number: those before it were of another run. */
static bool counts(struct sh_fold *f, const struct sh_block *b)
{
	struct sh_position *at = position_of(f, b->source);
	if (at->known && b->seq <= at->seq) {
		f->again++;
		return false;
	}
	if (at->known && b->seq > at->seq + 1) {
		if (b->floor < b->seq - 1 && b->floor <= at->seq) {
			f->early++;
			return false;
		}
		f->lost += b->seq - at->seq - 1;
	}
	at->seq = b->seq;
	at->known = at->moved = true;
	return true;
}

/* ---- entries ---- */

static void add_visit(struct sh_fold *f, uint64_t link, int64_t day, uint64_t hash)
{
	if (grow(f, (void **)&f->visits, f->nvisits, &f->visit_room, sizeof(*f->visits)))
		f->visits[f->nvisits++] = (struct sh_visit){link, day, hash};
}

static void add_entry(struct sh_fold *f, const struct sh_entry *e)
{
	int64_t day = e->time_ms / SH_DAY_MS;
	if (!grow(f, (void **)&f->entries, f->nentries, &f->entry_room, sizeof(*f->entries)))
		return;
	f->entries[f->nentries++] = *e;
	f->clicks++;
	if (!e->link || e->kind != SD_CLIENT_PERSON || !(e->flags & SH_ENTRY_VISITOR))
		return;
	add_visit(f, e->link, day, e->visitor);
	add_visit(f, 0, day, e->visitor);
}

void sh_fold_add(struct sh_fold *f, const struct sh_block *blocks, size_t n)
{
	struct sh_entry e;
	for (size_t i = 0; i < n; i++) {
		struct sd_slice rest = blocks[i].clicks;
		if (!counts(f, &blocks[i]))
			continue;
		while (sh_entry_next(&rest, &e)) {
			e.kind = e.kind < SD_CLIENT_KINDS ? e.kind : SD_CLIENT_BOT;
			e.time_ms = e.time_ms < 0 ? 0 : e.time_ms;
			add_entry(f, &e);
		}
		f->bad += rest.n != 0;
	}
}

/* ---- rows ---- */

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_slices(struct sd_slice a, struct sd_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;
	return c ? c : compare_u64(a.n, b.n);
}

static int compare_rows(const void *pa, const void *pb)
{
	const struct sh_row *a = pa, *b = pb;
	int c = compare_u64(a->table, b->table);
	if (!c)
		c = compare_u64(a->link, b->link);
	if (!c && a->table != SH_ORPHANS)
		c = compare_u64((uint64_t)a->when, (uint64_t)b->when);
	if (!c)
		c = compare_u64(a->kind, b->kind);
	return c ? c : compare_slices(a->name, b->name);
}

static int compare_visits(const void *pa, const void *pb)
{
	const struct sh_visit *a = pa, *b = pb;
	int c = compare_u64(a->link, b->link);
	if (!c)
		c = compare_u64((uint64_t)a->day, (uint64_t)b->day);
	return c ? c : compare_u64(a->hash, b->hash);
}

/* What entries have in common that become the same rows. */
static int compare_entries(const void *pa, const void *pb)
{
	const struct sh_entry *a = pa, *b = pb;
	const uint8_t x[] = {a->kind, a->device, a->browser, a->system, (uint8_t)a->country[0], (uint8_t)a->country[1]};
	const uint8_t y[] = {b->kind, b->device, b->browser, b->system, (uint8_t)b->country[0], (uint8_t)b->country[1]};
	int c = compare_u64(a->link, b->link);
	if (!c)
		c = compare_u64((uint64_t)(a->time_ms / SH_HOUR_MS), (uint64_t)(b->time_ms / SH_HOUR_MS));
	if (!c)
		c = memcmp(x, y, sizeof(x));
	if (!c)
		c = compare_slices(a->host, b->host);
	return c ? c : compare_slices(a->path, b->path);
}

static void add_row(struct sh_fold *f, const struct sh_row *row)
{
	if (grow(f, (void **)&f->rows, f->nrows, &f->row_room, sizeof(*f->rows)))
		f->rows[f->nrows++] = *row;
}

static void add_times(struct sh_fold *f, uint64_t link, const struct sh_entry *e, int64_t n)
{
	struct sh_row row = {.table = SH_HOURS, .link = link, .when = e->time_ms / SH_HOUR_MS};
	row.n[e->kind] = n;
	add_row(f, &row);
	row.table = SH_DAYS;
	row.when = e->time_ms / SH_DAY_MS;
	add_row(f, &row);
}

/* Two letters: what else stands there is nothing that a table should get. */
static struct sd_slice country_of(const struct sh_entry *e)
{
	bool ok = e->country[0] >= 'A' && e->country[0] <= 'Z' && e->country[1] >= 'A' && e->country[1] <= 'Z';
	return (struct sd_slice){e->country, ok ? 2 : 0};
}

/* A host came over a queue, perhaps: only what sh_referrer_host makes. */
static struct sd_slice host_of(const struct sh_entry *e)
{
	for (size_t i = 0; i < e->host.n; i++)
		if (e->host.p[i] <= ' ' || e->host.p[i] >= 0x7f)
			return (struct sd_slice){"", 0};
	return e->host;
}

static void add_shares(struct sh_fold *f, uint64_t link, const struct sh_entry *e, int64_t n)
{
	const struct sd_slice names[SH_SHARES] = {
	    [SH_REFERRERS] = host_of(e),
	    [SH_COUNTRIES] = country_of(e),
	    [SH_DEVICES] = sd_slice_of(sd_device_name(e->device)),
	    [SH_BROWSERS] = sd_slice_of(sd_browser_name(e->browser)),
	    [SH_SYSTEMS] = sd_slice_of(sd_system_name(e->system)),
	};
	for (unsigned kind = 0; kind < SH_SHARES; kind++) {
		struct sh_row row = {.table = SH_SHARES_TABLE, .kind = (uint8_t)kind, .link = link, .when = e->time_ms / SH_DAY_MS,
				     .name = names[kind], .n = {n}};
		add_row(f, &row);
	}
}

static void add_orphan(struct sh_fold *f, const struct sh_entry *e, int64_t n)
{
	struct sh_row row = {.table = SH_ORPHANS, .when = e->time_ms, .name = e->path, .n = {n}};
	for (size_t i = 0; i < e->path.n; i++)
		if (e->path.p[i] <= ' ' || e->path.p[i] >= 0x7f)
			return;
	add_row(f, &row);
}

/* n entries that are alike; e stays where it is: rows point into it. */
static void expand(struct sh_fold *f, const struct sh_entry *e, int64_t n)
{
	if (!e->link)
		return add_orphan(f, e, n);
	add_times(f, e->link, e, n);
	add_times(f, 0, e, n);
	if (e->kind != SD_CLIENT_PERSON)
		return;
	add_shares(f, e->link, e, n);
	add_shares(f, 0, e, n);
}

static void merge_rows(struct sh_fold *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->nrows; i++) {
		struct sh_row *row = &f->rows[i], *last = n ? &f->rows[n - 1] : NULL;
		if (!last || compare_rows(last, row) != 0) {
			f->rows[n++] = *row;
			continue;
		}
		for (size_t k = 0; k < SD_CLIENT_KINDS; k++)
			last->n[k] += row->n[k];
		if (row->when > last->when) /* only of orphans */
			last->when = row->when;
	}
	f->nrows = n;
}

static void merge_visits(struct sh_fold *f)
{
	size_t n = 0;
	for (size_t i = 0; i < f->nvisits; i++)
		if (!n || compare_visits(&f->visits[n - 1], &f->visits[i]) != 0)
			f->visits[n++] = f->visits[i];
	f->nvisits = n;
}

void sh_fold_finish(struct sh_fold *f)
{
	if (f->nentries)
		qsort(f->entries, f->nentries, sizeof(*f->entries), compare_entries);
	for (size_t i = 0, next; i < f->nentries; i = next) {
		for (next = i + 1; next < f->nentries && compare_entries(&f->entries[i], &f->entries[next]) == 0; next++)
			;
		expand(f, &f->entries[i], (int64_t)(next - i));
	}
	if (f->nrows)
		qsort(f->rows, f->nrows, sizeof(*f->rows), compare_rows);
	merge_rows(f);
	if (f->nvisits)
		qsort(f->visits, f->nvisits, sizeof(*f->visits), compare_visits);
	merge_visits(f);
}

void sh_fold_free(struct sh_fold *f)
{
	free(f->positions);
	free(f->entries);
	free(f->rows);
	free(f->visits);
	*f = (struct sh_fold){0};
}
