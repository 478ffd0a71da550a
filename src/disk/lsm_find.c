/* lsm_find.c - one key: in the logs, in each table of level 0 from the newest on, in one table of each further level. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lsm_dir.h"

void sd_lsm_answer_free(struct sd_lsm_answer *found)
{
	free(found->value.p);
	free(found->spared.p);
	*found = (struct sd_lsm_answer){0};
}

struct quest {
	struct sd_lsm_dir *d;
	struct sd_slice internal; /* the key as it would be with the highest sequence number */
	struct sd_lsm_answer *found;
	bool done;
};

static bool is_of(const struct quest *q, struct sd_slice internal)
{
	return sd_lsm_bytewise(sd_lsm_user(internal), sd_lsm_user(q->internal)) == 0;
}

static void take(struct quest *q, struct sd_slice internal, struct sd_slice value)
{
	q->done = true;
	q->found->there = sd_lsm_kind(internal) == SD_LSM_VALUE;
	q->found->seq = sd_lsm_seq(internal);
	sd_text_add(&q->found->value, value.p, value.n);
}

static void in_logs(struct quest *q)
{
	const struct sd_lsm_dir *d = q->d;
	size_t low = 0, high = d->nwrites;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sd_lsm_internal(d->writes[middle].key, q->internal) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == d->nwrites || !is_of(q, d->writes[low].key))
		return;
	take(q, d->writes[low].key, d->writes[low].value);
	snprintf(q->found->where, sizeof(q->found->where), "%06" PRIu64 ".log", d->writes[low].log);
}

static enum sd_err in_table(struct quest *q, unsigned level, const struct sd_lsm_file *f, struct sd_error *e)
{
	struct sd_lsm_open_table t = {0};
	struct sd_lsm_scan scan = {.table = &t.table};
	bool filtered = false;
	enum sd_err err = sd_lsm_table_find(q->d, f, &t, e);
	if (err)
		return err;
	err = sd_lsm_table_get(&scan, q->internal, &filtered, e);
	if (filtered)
		sd_text_format(&q->found->spared, " %s", t.name);
	else
		q->found->looked++;
	if (!err && is_of(q, scan.data.key)) {
		take(q, scan.data.key, scan.data.value);
		snprintf(q->found->where, sizeof(q->found->where), "L%u %s", level, t.name);
	}
	sd_lsm_scan_free(&scan);
	sd_lsm_table_let_go(&t);
	return err == SD_ENOTFOUND ? SD_OK : err;
}

static bool may_hold(const struct sd_lsm_file *f, struct sd_slice user)
{
	return sd_lsm_bytewise(sd_lsm_user(f->smallest), user) <= 0 && sd_lsm_bytewise(user, sd_lsm_user(f->largest)) <= 0;
}

static enum sd_err in_tables(struct quest *q, struct sd_error *e)
{
	const struct sd_lsm_version *v = &q->d->version;
	struct sd_slice user = sd_lsm_user(q->internal);
	enum sd_err err = SD_OK;
	for (size_t i = v->levels[0].n; i > 0 && !err && !q->done; i--)
		if (may_hold(&v->levels[0].files[i - 1], user))
			err = in_table(q, 0, &v->levels[0].files[i - 1], e);
	for (unsigned level = 1; level < SD_LSM_LEVELS && !err && !q->done; level++) {
		const struct sd_lsm_file *f = sd_lsm_version_find(v, level, user);
		if (f)
			err = in_table(q, level, f, e);
	}
	return err;
}

enum sd_err sd_lsm_dir_get(struct sd_lsm_dir *d, struct sd_slice user, struct sd_lsm_answer *found, struct sd_error *e)
{
	struct sd_text key = {0};
	char tail[SD_LSM_TAIL];
	sd_put_le(tail, SD_LSM_SEQ_MAX << 8 | SD_LSM_VALUE, SD_LSM_TAIL);
	sd_text_add(&key, user.p, user.n);
	sd_text_add(&key, tail, sizeof(tail));
	struct quest q = {.d = d, .internal = {key.p, key.n}, .found = found};
	enum sd_err err = key.full ? sd_fail(e, SD_ENOMEM, "out of memory") : SD_OK;
	if (!err)
		in_logs(&q);
	if (!err && !q.done)
		err = in_tables(&q, e);
	if (!err && found->value.full)
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	free(key.p);
	return err;
}
