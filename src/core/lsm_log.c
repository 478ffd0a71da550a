/* lsm_log.c - pieces to records and back. */
#include "lsm_log.h"

#include <stdlib.h>

#define HEAD 7

enum piece_kind { ZERO, WHOLE, FIRST, MIDDLE, LAST };

struct piece {
	enum piece_kind kind;
	struct sd_slice data;
	size_t next;
};

/* Where a piece can begin, from `at` on: not in the last bytes of a block. */
static size_t begin_at(size_t at)
{
	size_t left = SD_LSM_LOG_BLOCK - at % SD_LSM_LOG_BLOCK;
	return left < HEAD ? at + left : at;
}

static bool piece_at(const struct sd_lsm_log_in *in, size_t at, struct piece *p)
{
	if (at > in->n || in->n - at < HEAD)
		return false;
	const uint8_t *head = in->p + at;
	size_t n = (size_t)sd_get_le(head + 4, 2), block_left = SD_LSM_LOG_BLOCK - at % SD_LSM_LOG_BLOCK;
	if (head[6] < WHOLE || head[6] > LAST || n > in->n - at - HEAD || n > block_left - HEAD)
		return false;
	if (sd_lsm_mask(sd_crc32c(0, head + 6, n + 1)) != sd_get_le(head, 4))
		return false;
	*p = (struct piece){head[6], {(const char *)head + HEAD, n}, begin_at(at + HEAD + n)};
	return true;
}

/* Room that was set aside and never written. */
static bool zeros(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* Is there a good piece anywhere behind one that is not? Its length may be right, and every block begins anew. */
static bool good_behind(const struct sd_lsm_log_in *in, size_t at)
{
	struct piece p;
	size_t block = at - at % SD_LSM_LOG_BLOCK + SD_LSM_LOG_BLOCK;
	if (in->n - at >= HEAD) {
		size_t next = begin_at(at + HEAD + (size_t)sd_get_le(in->p + at + 4, 2));
		if (next < block && piece_at(in, next, &p))
			return true;
	}
	for (; block < in->n; block += SD_LSM_LOG_BLOCK)
		if (piece_at(in, block, &p))
			return true;
	return false;
}

static enum sd_lsm_log_step stop(struct sd_lsm_log_in *in, size_t at)
{
	enum sd_lsm_log_step step = good_behind(in, at) ? SD_LSM_LOG_DAMAGED : SD_LSM_LOG_TORN;
	in->bad = at;
	in->at = in->n;
	return step;
}

enum sd_lsm_log_step sd_lsm_log_next(struct sd_lsm_log_in *in, struct sd_slice *record)
{
	struct piece p;
	bool begun = false;
	in->parts.n = 0;
	in->at = begin_at(in->at);
	in->record_at = in->at;
	for (;;) {
		size_t at = in->at;
		if (at >= in->n || zeros(in->p + at, in->n - at))
			return begun ? stop(in, in->record_at) : SD_LSM_LOG_END;
		if (!piece_at(in, at, &p))
			return stop(in, at);
		if (begun ? p.kind < MIDDLE : p.kind > FIRST)
			return stop(in, begun ? in->record_at : at);
		in->at = p.next;
		if (p.kind == WHOLE) {
			*record = p.data;
			return SD_LSM_LOG_RECORD;
		}
		begun = true;
		sd_text_add(&in->parts, p.data.p, p.data.n);
		if (p.kind == LAST) {
			*record = (struct sd_slice){in->parts.p, in->parts.n};
			return in->parts.full ? stop(in, in->record_at) : SD_LSM_LOG_RECORD;
		}
	}
}

void sd_lsm_log_in_free(struct sd_lsm_log_in *in)
{
	free(in->parts.p);
	in->parts = (struct sd_text){0};
}

static void put_piece(struct sd_text *out, enum piece_kind kind, struct sd_slice data)
{
	uint8_t head[HEAD];
	sd_put_le(head + 4, data.n, 2);
	head[6] = (uint8_t)kind;
	sd_put_le(head, sd_lsm_mask(sd_crc32c(sd_crc32c(0, head + 6, 1), data.p, data.n)), 4);
	sd_text_add(out, (const char *)head, HEAD);
	sd_text_add(out, data.p, data.n);
}

void sd_lsm_log_put(struct sd_text *out, uint64_t at, struct sd_slice record)
{
	size_t before = out->n;
	bool first = true;
	do {
		size_t left = SD_LSM_LOG_BLOCK - (size_t)((at + out->n - before) % SD_LSM_LOG_BLOCK);
		if (left < HEAD) {
			sd_text_fill(out, 0, left);
			continue;
		}
		size_t n = record.n < left - HEAD ? record.n : left - HEAD;
		bool last = n == record.n;
		put_piece(out, first ? (last ? WHOLE : FIRST) : last ? LAST : MIDDLE, (struct sd_slice){record.p, n});
		record = (struct sd_slice){record.p + n, record.n - n};
		first = false;
		if (last)
			return;
	} while (!out->full);
}
