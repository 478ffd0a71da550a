/* lsm_table_block.c - a block out of a file: read, checked, expanded. */
#include <inttypes.h>
#include <stdlib.h>

#include "lsm_table_int.h"
#include "snappy.h"

#define ON_STACK 16384 /* compressed blocks up to this need no memory of their own */

enum sd_err lsm_bad(const struct sd_lsm_source *from, uint64_t at, const char *what, struct sd_error *e)
{
	return sd_fail(e, SD_EDAMAGED, "%s: block at %" PRIu64 " %s", from->name, at, what);
}

struct job {
	const struct sd_lsm_table *t;
	const struct sd_lsm_source *from;
	struct sd_lsm_handle h;
	size_t before;
	char **out;
	size_t *n;
	struct sd_error *e;
};

static enum sd_err check(const struct job *j, const char *p)
{
	size_t n = (size_t)j->h.n + 1;
	if (lsm_sum(j->t->own, p, n, j->h.at) != sd_get_le(p + n, 4))
		return lsm_bad(j->from, j->h.at, "has a bad checksum", j->e);
	return SD_OK;
}

static enum sd_err expand_snappy(const struct job *j, const char *p, size_t n, char *to, size_t length)
{
	return sd_snappy_expand(p, n, to, length) ? SD_OK : lsm_bad(j->from, j->h.at, "is not what Snappy writes", j->e);
}

static enum sd_err expand_zstd(const struct job *j, const char *p, size_t n, char *to, size_t length)
{
	enum sd_err err = sd_lsm_zstd_expand(j->from->zstd, p, n, to, length);
	if (err == SD_ENOMEM)
		return sd_fail(j->e, SD_ENOMEM, "out of memory");
	return err ? lsm_bad(j->from, j->h.at, "is not what Zstandard writes", j->e) : SD_OK;
}

/* What is at p, checked, becomes a piece of memory of its own. */
static enum sd_err expand(const struct job *j, const char *p, size_t n)
{
	bool zstd = j->t->own && p[n] == LSM_ZSTD;
	size_t length = 0;
	if (!zstd && (j->t->own || p[n] != LSM_SNAPPY))
		return sd_fail(j->e, SD_EUNSUPPORTED, "%s: block at %" PRIu64 " is compressed in a way (%d) that is not known", j->from->name,
			       j->h.at, p[n]);
	if (!(zstd ? sd_lsm_zstd_length(p, n, &length) : sd_snappy_length(p, n, &length)) || length > SD_LSM_BLOCK_MAX)
		return lsm_bad(j->from, j->h.at, zstd ? "is not what Zstandard writes" : "is not what Snappy writes", j->e);
	char *whole = malloc(j->before + length + 1);
	if (!whole)
		return sd_fail(j->e, SD_ENOMEM, "out of memory");
	enum sd_err err = (zstd ? expand_zstd : expand_snappy)(j, p, n, whole + j->before, length);
	if (err) {
		free(whole);
		return err;
	}
	*j->out = whole;
	*j->n = length;
	return SD_OK;
}

/* Read to where it will stay, since most blocks that are not ours are not compressed; else expanded from there. */
static enum sd_err load_into_place(const struct job *j)
{
	size_t n = (size_t)j->h.n;
	char *p = malloc(j->before + n + SD_LSM_AFTER);
	if (!p)
		return sd_fail(j->e, SD_ENOMEM, "out of memory");
	char *block = p + j->before;
	enum sd_err err = j->from->read(j->from->arg, block, n + SD_LSM_AFTER, j->h.at, j->e);
	if (!err)
		err = check(j, block);
	if (!err && block[n] == LSM_PLAIN) {
		*j->out = p;
		*j->n = n;
		return SD_OK;
	}
	if (!err)
		err = expand(j, block, n);
	free(p);
	return err;
}

static enum sd_err load_by_stack(const struct job *j)
{
	char block[ON_STACK];
	size_t n = (size_t)j->h.n;
	enum sd_err err = j->from->read(j->from->arg, block, n + SD_LSM_AFTER, j->h.at, j->e);
	if (!err)
		err = check(j, block);
	if (err || block[n] != LSM_PLAIN)
		return err ? err : expand(j, block, n);
	char *p = malloc(j->before + n + 1);
	if (!p)
		return sd_fail(j->e, SD_ENOMEM, "out of memory");
	memcpy(p + j->before, block, n);
	*j->out = p;
	*j->n = n;
	return SD_OK;
}

enum sd_err sd_lsm_table_load(const struct sd_lsm_table *t, const struct sd_lsm_source *from, const struct sd_lsm_handle *h, size_t before,
			      char **out, size_t *n, struct sd_error *e)
{
	struct job j = {t, from, *h, before, out, n, e};
	if (h->n > SD_LSM_BLOCK_MAX || h->at > from->size || from->size - h->at < h->n + SD_LSM_AFTER)
		return lsm_bad(from, h->at, "ends behind the file", e);
	/* of our own tables a block is compressed when that pays */
	bool by_stack = t->own && t->props.data_bytes < t->props.expanded_bytes && h->n + SD_LSM_AFTER <= ON_STACK;
	return by_stack ? load_by_stack(&j) : load_into_place(&j);
}

enum sd_err sd_lsm_table_take(const struct sd_lsm_table *t, const struct sd_lsm_handle *h, const char *p, size_t before, char **out, size_t *n,
			      struct sd_error *e)
{
	struct job j = {t, &t->from, *h, before, out, n, e};
	enum sd_err err = check(&j, p);
	*out = NULL;
	*n = (size_t)h->n;
	return err || p[h->n] == LSM_PLAIN ? err : expand(&j, p, (size_t)h->n);
}
