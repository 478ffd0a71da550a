/* lsm_log.c - pieces to records and back. */
#include "lsm_log.h"

#include <stdlib.h>

#define HEAD 7
#define MARK 12

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

/* A batch that was written later than the one that is not whole: its number says so. What is in a value, or was there before, is none. */
static bool comes_later(const struct sd_lsm_log_in *in, struct sd_slice batch)
{
	uint64_t seq = batch.n < MARK ? 0 : sd_get_le(batch.p, 8);
	return seq > in->next_seq && (in->next_seq == 0 || seq - in->next_seq <= in->n);
}

/* Does a good record begin anywhere behind? All of it is searched, since the length of what is not whole may be what is wrong. Further
 * pieces of a record say nothing: of one that was being written, any may be on the disk. */
static bool good_behind(const struct sd_lsm_log_in *in, size_t at)
{
	struct piece p;
	for (size_t i = at + 1; i + HEAD <= in->n; i++) {
		size_t rest = in->n - i - HEAD, block_left = SD_LSM_LOG_BLOCK - i % SD_LSM_LOG_BLOCK;
		bool is_short = in->p[i + 6] == FIRST && block_left < HEAD + 8; /* the number is not all in it */
		if (in->p[i + 6] != WHOLE && in->p[i + 6] != FIRST)
			continue;
		if (!in->edits && !is_short && !comes_later(in, (struct sd_slice){(const char *)in->p + i + HEAD, rest}))
			continue;
		if (piece_at(in, i, &p) && (in->edits || is_short || p.data.n >= 8))
			return true;
	}
	return false;
}

static bool is_mark(struct sd_slice record)
{
	return record.n == MARK && sd_get_le(record.p, 8) > 0 && sd_get_le(record.p + 8, 4) == 0;
}

/* Where the mark at `at` was begun: it may be the second copy, behind one that went over the end of a block (see
 * sd_lsm_log_put_mark), and of neither anybody was promised anything. */
static size_t mark_began(size_t at)
{
	size_t in_block = at % SD_LSM_LOG_BLOCK;
	bool second = at > SD_LSM_LOG_BLOCK && in_block > HEAD && in_block <= HEAD + MARK;
	return second ? at - (HEAD + MARK + HEAD) : at;
}

/* Does a mark say that the record which is not whole was there? It may be anywhere: the length of a piece may be what is damaged. */
static bool mark_behind(const struct sd_lsm_log_in *in, size_t at)
{
	struct piece p;
	for (size_t i = at + 1; i + HEAD + MARK <= in->n; i++)
		if (in->p[i + 4] == MARK && in->p[i + 5] == 0 && in->p[i + 6] == WHOLE && piece_at(in, i, &p) && is_mark(p.data) &&
		    in->record_at < mark_began(i))
			return true;
	return false;
}

static enum sd_lsm_log_step stop(struct sd_lsm_log_in *in, size_t at)
{
	bool damaged = in->marked ? mark_behind(in, at) : good_behind(in, at);
	enum sd_lsm_log_step step = damaged ? SD_LSM_LOG_DAMAGED : SD_LSM_LOG_TORN;
	in->bad = at;
	in->at = in->n;
	return step;
}

/* A record is handed out. */
static enum sd_lsm_log_step give(struct sd_lsm_log_in *in, struct sd_slice record)
{
	if (record.n >= MARK)
		in->next_seq = sd_get_le(record.p, 8) + sd_get_le(record.p + 8, 4);
	return SD_LSM_LOG_RECORD;
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
			in->marked |= is_mark(p.data);
			*record = p.data;
			return give(in, *record);
		}
		begun = true;
		sd_text_add(&in->parts, p.data.p, p.data.n);
		if (p.kind == LAST) {
			*record = (struct sd_slice){in->parts.p, in->parts.n};
			return in->parts.full ? stop(in, in->record_at) : give(in, *record);
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

void sd_lsm_log_put_mark(struct sd_text *out, uint64_t at, uint64_t seq)
{
	char mark[MARK] = {0};
	size_t left = SD_LSM_LOG_BLOCK - (size_t)(at % SD_LSM_LOG_BLOCK);
	sd_put_le(mark, seq, 8);
	if (left >= HEAD && left < HEAD + MARK) { /* in two pieces it is none; the one in the next block is */
		size_t before = out->n;
		sd_lsm_log_put(out, at, (struct sd_slice){mark, MARK});
		at += out->n - before;
	}
	sd_lsm_log_put(out, at, (struct sd_slice){mark, MARK});
}
