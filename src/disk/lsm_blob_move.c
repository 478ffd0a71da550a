/* lsm_blob_move.c */
#include "lsm_blob_move.h"

#include <inttypes.h>
#include <stdlib.h>

#define ENDS 8 /* bytes before the place of a value that ends */

static enum sd_err no_memory(struct sd_error *e)
{
	sd_fail(e, SD_ENOMEM, "out of memory");
	return SD_ENOMEM;
}

bool sd_lsm_blob_place(enum sd_lsm_kind kind, struct sd_slice value, struct sd_lsm_blob_ref *ref)
{
	size_t skip = kind == SD_LSM_ENDING_BLOB ? ENDS : 0;
	return (kind == SD_LSM_BLOB || kind == SD_LSM_ENDING_BLOB) && value.n >= skip &&
	       sd_lsm_blob_ref_get((struct sd_slice){value.p + skip, value.n - skip}, ref);
}

static bool is_left(const struct sd_lsm_blob_move *m, uint64_t file)
{
	for (size_t i = 0; i < m->conf.nfrom; i++)
		if (m->conf.from[i] == file)
			return true;
	return false;
}

static enum sd_err begin(struct sd_lsm_blob_move *m, struct sd_error *e)
{
	if (m->out)
		return SD_OK;
	m->number = m->conf.new_number(m->conf.arg);
	return sd_lsm_blob_create(m->conf.world, m->conf.dir, m->number, m->conf.zstd_level, &m->out, e);
}

/* With it stands the key as it was when the value stood beside it: repair makes a write of the two. */
static enum sd_err add(struct sd_lsm_blob_move *m, struct sd_slice internal, struct sd_slice value, struct sd_lsm_blob_ref *to,
		       struct sd_error *e)
{
	enum sd_lsm_kind kind = sd_lsm_kind(internal) == SD_LSM_ENDING_BLOB ? SD_LSM_ENDING : SD_LSM_VALUE;
	m->key.n = 0;
	sd_text_add(&m->key, internal.p, internal.n);
	if (m->key.full)
		return no_memory(e);
	sd_put_le(m->key.p + m->key.n - SD_LSM_TAIL, sd_lsm_seq(internal) << 8 | kind, SD_LSM_TAIL);
	return sd_lsm_blob_add(m->out, (struct sd_slice){m->key.p, m->key.n}, value, to, e);
}

static enum sd_err move(struct sd_lsm_blob_move *m, struct sd_slice internal, const struct sd_lsm_blob_ref *was,
			struct sd_lsm_blob_ref *to, struct sd_error *e)
{
	struct sd_slice value = {NULL, 0};
	void *memory = NULL;
	enum sd_err err = begin(m, e);
	if (!err)
		err = sd_lsm_tables_blob(m->conf.tables, was, &value, &memory, e);
	if (!err)
		err = add(m, internal, value, to, e);
	if (!err)
		m->bytes += to->n;
	free(memory);
	return err;
}

enum sd_err sd_lsm_blob_move_entry(struct sd_lsm_blob_move *m, struct sd_slice internal, struct sd_slice *value,
				   struct sd_lsm_blob_ref *was, struct sd_error *e)
{
	struct sd_lsm_blob_ref to = {0};
	char place[SD_LSM_BLOB_REF];
	if (m->conf.nfrom == 0 || !sd_lsm_blob_place(sd_lsm_kind(internal), *value, was) || !is_left(m, was->file)) {
		was->file = 0;
		return SD_OK;
	}
	enum sd_err err = move(m, internal, was, &to, e);
	if (err)
		return err;
	m->value.n = 0;
	sd_text_add(&m->value, value->p, sd_lsm_kind(internal) == SD_LSM_ENDING_BLOB ? ENDS : 0);
	sd_text_add(&m->value, place, sd_lsm_blob_ref_put(place, &to));
	*value = (struct sd_slice){m->value.p, m->value.n};
	return m->value.full ? no_memory(e) : SD_OK;
}

enum sd_err sd_lsm_blob_move_end(struct sd_lsm_blob_move *m, struct sd_error *e)
{
	enum sd_err err = m->out ? sd_lsm_blob_end(m->out, e) : SD_OK;
	m->out = NULL;
	return err;
}

void sd_lsm_blob_move_free(struct sd_lsm_blob_move *m, bool keep)
{
	struct sd_text name = {0};
	sd_lsm_blob_abandon(m->out);
	m->out = NULL;
	if (m->number && !keep) {
		sd_text_format(&name, "%s/%06" PRIu64 ".blob", m->conf.dir, m->number);
		if (!name.full)
			sd_world_unlink(m->conf.world, name.p);
		free(name.p);
	}
	free(m->key.p);
	free(m->value.p);
}
