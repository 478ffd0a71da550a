/* lsm_blob.c - blobs one after another; what is written waits in memory until there is enough of it for a write. */
#include "lsm_blob.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/text.h"
#include "core/varint.h"

#define MAGIC	 "sdlblob1"
#define VERSION	 1
#define SUM_AT	 12
#define PIECE	 (256u << 10)
#define PLAIN	 0
#define ZSTD	 7
#define VALUE_MAX (256u << 20)

size_t sd_lsm_blob_ref_put(char to[SD_LSM_BLOB_REF], const struct sd_lsm_blob_ref *ref)
{
	size_t n = sd_put_varint(to, ref->file);
	n += sd_put_varint(to + n, ref->at);
	return n + sd_put_varint(to + n, ref->n);
}

bool sd_lsm_blob_ref_get(struct sd_slice bytes, struct sd_lsm_blob_ref *ref)
{
	uint64_t *const v[] = {&ref->file, &ref->at, &ref->n};
	for (int i = 0; i < 3; i++) {
		size_t k = sd_get_varint(bytes.p, bytes.n, UINT64_MAX, v[i]);
		if (!k)
			return false;
		bytes = (struct sd_slice){bytes.p + k, bytes.n - k};
	}
	return bytes.n == 0;
}

/* ---- writing ---- */

struct sd_lsm_blob_out {
	struct sd_file *file;
	uint64_t number, written;
	struct sd_text waits;
	struct sd_lsm_zstd_out *zstd;
};

static void put_head(struct sd_text *t)
{
	char head[SD_LSM_BLOB_HEAD] = MAGIC;
	sd_put_le(head + 8, VERSION, 4);
	sd_put_le(head + SUM_AT, sd_lsm_mask(sd_crc32c(0, head, SUM_AT)), 4);
	sd_text_add(t, head, sizeof(head));
}

void sd_lsm_blob_abandon(struct sd_lsm_blob_out *o)
{
	if (!o)
		return;
	sd_file_close(o->file);
	sd_lsm_zstd_out_free(o->zstd);
	free(o->waits.p);
	free(o);
}

enum sd_err sd_lsm_blob_create(struct sd_world *w, const char *dir, uint64_t number, int zstd_level, struct sd_lsm_blob_out **out,
			       struct sd_error *e)
{
	struct sd_text name = {0};
	struct sd_lsm_blob_out *o = calloc(1, sizeof(*o));
	sd_text_format(&name, "%s/%06" PRIu64 ".blob", dir, number);
	bool good = o && !name.full && (!zstd_level || (o->zstd = sd_lsm_zstd_out_new(zstd_level)));
	enum sd_err err = good ? sd_file_open(w, name.p, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_NEW, &o->file, e)
			       : sd_fail(e, SD_ENOMEM, "out of memory");
	free(name.p);
	if (err || !o) {
		sd_lsm_blob_abandon(o);
		return err;
	}
	o->number = number;
	put_head(&o->waits);
	*out = o;
	return SD_OK;
}

static enum sd_err flush(struct sd_lsm_blob_out *o, struct sd_error *e)
{
	struct iovec iov = {o->waits.p, o->waits.n};
	if (o->waits.full)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = o->waits.n > 0 ? sd_file_write(o->file, &iov, 1, o->written, e) : SD_OK;
	o->written += o->waits.n;
	o->waits.n = 0;
	return err;
}

enum sd_err sd_lsm_blob_add(struct sd_lsm_blob_out *o, struct sd_slice internal, struct sd_slice value, struct sd_lsm_blob_ref *ref,
			    struct sd_error *e)
{
	struct sd_slice less = o->zstd ? sd_lsm_zstd_squeeze(o->zstd, value) : (struct sd_slice){NULL, 0};
	char head[5 + SD_VARINT_MAX] = {0};
	size_t at = o->waits.n, n = 5 + sd_put_varint(head + 5, internal.n);
	head[4] = less.p ? ZSTD : PLAIN;
	sd_text_add(&o->waits, head, n);
	sd_text_add(&o->waits, internal.p, internal.n);
	sd_text_add(&o->waits, less.p ? less.p : value.p, less.p ? less.n : value.n);
	if (o->waits.full)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*ref = (struct sd_lsm_blob_ref){o->number, o->written + at, o->waits.n - at};
	sd_put_le(o->waits.p + at, sd_lsm_mask(sd_crc32c(0, o->waits.p + at + 4, (size_t)ref->n - 4)), 4);
	return o->waits.n >= PIECE ? flush(o, e) : SD_OK;
}

uint64_t sd_lsm_blob_bytes(const struct sd_lsm_blob_out *o)
{
	return o->written + o->waits.n;
}

enum sd_err sd_lsm_blob_end(struct sd_lsm_blob_out *o, struct sd_error *e)
{
	enum sd_err err = flush(o, e);
	if (!err)
		err = sd_file_sync(o->file, e);
	sd_lsm_blob_abandon(o);
	return err;
}

/* ---- reading ---- */

enum sd_err sd_lsm_blob_head(const char head[SD_LSM_BLOB_HEAD], const char *name, struct sd_error *e)
{
	if (memcmp(head, MAGIC, 8) != 0 || sd_get_le(head + SUM_AT, 4) != sd_lsm_mask(sd_crc32c(0, head, SUM_AT)))
		return sd_fail(e, SD_EDAMAGED, "%s: does not begin as a file of blobs does", name);
	if (sd_get_le(head + 8, 4) > VERSION)
		return sd_fail(e, SD_EUNSUPPORTED, "%s: blobs of version %" PRIu64 "; expected %d or less", name, sd_get_le(head + 8, 4), VERSION);
	return SD_OK;
}

static enum sd_err expand(struct sd_lsm_zstd *z, struct sd_slice *value, void **memory)
{
	size_t length;
	if (!sd_lsm_zstd_length(value->p, value->n, &length) || length > VALUE_MAX)
		return SD_EDAMAGED;
	char *p = malloc(length + 1);
	enum sd_err err = p ? sd_lsm_zstd_expand(z, value->p, value->n, p, length) : SD_ENOMEM;
	if (err) {
		free(p);
		return err;
	}
	*value = (struct sd_slice){p, length};
	*memory = p;
	return SD_OK;
}

enum sd_err sd_lsm_blob_open(struct sd_lsm_zstd *z, const char *p, size_t n, struct sd_slice *key, struct sd_slice *value, void **memory)
{
	uint64_t key_n;
	*memory = NULL;
	if (n < 6 || sd_get_le(p, 4) != sd_lsm_mask(sd_crc32c(0, p + 4, n - 4)))
		return SD_EDAMAGED;
	size_t k = sd_get_varint(p + 5, n - 5, n, &key_n), at = 5 + k;
	if (!k || key_n > n - at || (p[4] != PLAIN && p[4] != ZSTD))
		return SD_EDAMAGED;
	*key = (struct sd_slice){p + at, (size_t)key_n};
	*value = (struct sd_slice){p + at + key_n, n - at - (size_t)key_n};
	return p[4] == ZSTD ? expand(z, value, memory) : SD_OK;
}
