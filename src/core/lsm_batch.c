/* lsm_batch.c */
#include "lsm_batch.h"

#include "varint.h"

bool sd_lsm_batch_open(struct sd_lsm_batch_at *b, struct sd_slice bytes)
{
	if (bytes.n < SD_LSM_BATCH_HEAD)
		return false;
	*b = (struct sd_lsm_batch_at){.left = {bytes.p + SD_LSM_BATCH_HEAD, bytes.n - SD_LSM_BATCH_HEAD},
				      .seq = sd_get_le(bytes.p, 8) - 1,
				      .count = (uint32_t)sd_get_le(bytes.p + 8, 4)};
	return b->seq + 1 <= SD_LSM_SEQ_MAX;
}

static bool take_text(struct sd_slice *left, struct sd_slice *out)
{
	uint64_t n;
	size_t head = sd_get_varint(left->p, left->n, UINT32_MAX, &n);
	if (!head || n > left->n - head)
		return false;
	*out = (struct sd_slice){left->p + head, (size_t)n};
	*left = (struct sd_slice){out->p + n, left->n - head - (size_t)n};
	return true;
}

static bool take(struct sd_lsm_batch_at *b)
{
	if (b->left.n == 0 || !sd_lsm_kind_ok((uint8_t)*b->left.p) || b->count == 0)
		return false;
	b->kind = (enum sd_lsm_kind) * b->left.p;
	b->left = (struct sd_slice){b->left.p + 1, b->left.n - 1};
	b->value = (struct sd_slice){NULL, 0};
	return take_text(&b->left, &b->key) && (b->kind == SD_LSM_GONE || take_text(&b->left, &b->value));
}

bool sd_lsm_batch_next(struct sd_lsm_batch_at *b)
{
	if (b->damaged || (b->left.n == 0 && b->count == 0))
		return false;
	if (!take(b)) {
		b->damaged = true;
		return false;
	}
	b->count--;
	b->seq++;
	return true;
}

void sd_lsm_batch_begin(struct sd_text *t, uint64_t seq)
{
	char head[SD_LSM_BATCH_HEAD] = {0};
	sd_put_le(head, seq, 8);
	sd_text_add(t, head, sizeof(head));
}

static void put_text(struct sd_text *t, struct sd_slice s)
{
	char head[SD_VARINT_MAX];
	sd_text_add(t, head, sd_put_varint(head, s.n));
	sd_text_add(t, s.p, s.n);
}

void sd_lsm_batch_put(struct sd_text *t, enum sd_lsm_kind kind, struct sd_slice key, struct sd_slice value)
{
	char k = (char)kind;
	if (t->full)
		return;
	sd_put_le(t->p + 8, sd_get_le(t->p + 8, 4) + 1, 4);
	sd_text_add(t, &k, 1);
	put_text(t, key);
	if (kind != SD_LSM_GONE)
		put_text(t, value);
}
