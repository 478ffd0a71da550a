/* kv_check.c - reads every table from its first key to its last: checksums, order, bounds, filters. */
#include <inttypes.h>
#include <stdlib.h>

#include "kv.h"

struct check {
	struct sd_verb_call *call;
	struct sd_lsm_dir *d;
	uint64_t entries, blocks, faults;
};

static enum sd_err wrong(const struct sd_lsm_open_table *t, const char *what, struct sd_error *e)
{
	return sd_fail(e, SD_EDAMAGED, "%s: %s", t->name, what);
}

/* An entry beside what is said of its table, and of the one before. */
static enum sd_err judge(struct check *c, const struct sd_lsm_open_table *t, const struct sd_lsm_file *f, const struct sd_text *last,
			 const struct sd_lsm_scan *s, struct sd_error *e)
{
	struct sd_slice key = s->data.key, filters = {t->table.filter_bytes, t->table.filter_n};
	if (last->n > 0 && sd_lsm_internal((struct sd_slice){last->p, last->n}, key) >= 0)
		return wrong(t, "keys are not in order", e);
	if (sd_lsm_internal(key, f->smallest) < 0 || sd_lsm_internal(key, f->largest) > 0)
		return wrong(t, "a key is outside of what the manifest says of the table", e);
	if (filters.n > 0 && !(t->table.own ? sd_lsm_own_filter_may(filters, sd_lsm_own_hash(sd_lsm_user(key)))
					    : sd_lsm_filter_may(filters, s->handle.at, sd_lsm_user(key))))
		return wrong(t, "a filter denies a key that is there", e);
	if (sd_lsm_seq(key) > c->d->version.last_seq)
		return wrong(t, "a key is newer than the last write", e);
	return SD_OK;
}

static enum sd_err read_table(struct check *c, const struct sd_lsm_open_table *t, const struct sd_lsm_file *f, struct sd_error *e)
{
	struct sd_lsm_scan s = {.table = &t->table};
	struct sd_text last = {0};
	uint64_t block = UINT64_MAX;
	enum sd_err err = sd_lsm_scan_first(&s, e);
	while (!err && sd_lsm_scan_valid(&s)) {
		if ((err = judge(c, t, f, &last, &s, e)))
			break;
		c->entries++;
		c->blocks += s.handle.at != block;
		block = s.handle.at;
		last.n = 0;
		sd_text_add(&last, s.data.key.p, s.data.key.n);
		err = sd_lsm_scan_next(&s, e);
	}
	/* where a range was removed it ends may be further */
	if (!err && t->table.nranges == 0 && (last.n == 0 || sd_lsm_internal((struct sd_slice){last.p, last.n}, f->largest) != 0))
		err = wrong(t, "it does not end with the key that the manifest says", e);
	sd_lsm_scan_free(&s);
	free(last.p);
	return err;
}

static void check_table(struct check *c, const struct sd_lsm_file *f)
{
	struct sd_error e = {0};
	struct sd_lsm_open_table t = {0};
	enum sd_err err = sd_lsm_table_find(c->d, f, &t, &e);
	if (!err) {
		err = read_table(c, &t, f, &e);
		sd_lsm_table_let_go(&t);
	}
	if (!err)
		return;
	c->faults++;
	fprintf(c->call->err, "damage: %s\n", e.text);
}

/* What is seen only when all of it is put together, and values that are kept apart from tables. */
static bool is_whole(const struct sd_verb_call *call)
{
	struct sd_error e = {0};
	if (!(kv_is_own(call) ? kv_own_values(call, &e) : kv_opens(call, &e)))
		return true;
	fprintf(call->err, "damage: %s\n", e.text);
	return false;
}

int kv_check(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct check c = {.call = call};
	uint64_t tables = 0;
	if (kv_open(call, &c.d, &e))
		return kv_fail(call, "check", &e);
	for (unsigned i = 0; i < SD_LSM_LEVELS; i++)
		for (size_t k = 0; k < c.d->version.levels[i].n; k++, tables++)
			check_table(&c, &c.d->version.levels[i].files[k]);
	bool good = c.faults == 0 && is_whole(call);
	if (c.faults > 0)
		fprintf(call->out, "damaged: %" PRIu64 " of %" PRIu64 " tables\n", c.faults, tables);
	else if (!good)
		fprintf(call->out, "damaged, but for the %" PRIu64 " tables\n", tables);
	else
		fprintf(call->out, "ok: %" PRIu64 " entries in %" PRIu64 " blocks of %" PRIu64 " tables, %zu writes in %zu logs\n", c.entries,
			c.blocks, tables, c.d->nwrites, c.d->nlogs);
	sd_lsm_dir_close(c.d);
	return good ? 0 : 1;
}
