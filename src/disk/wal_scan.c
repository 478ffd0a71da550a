/* wal_scan.c - records in order, and what to think of the place where they end.
 *
 * Invariants of a cursor between two calls:
 *
 *	1  everything before off was good, but for what wal_resync passed over
 *	2  seq is the number that the record due at off must have
 *	3  proven <= off, unless something behind off was good
 *
 * The verdict is that of sdlab-wal(5): a place is damage when a good fragment behind it says that it was on the disk.
 */
#include "wal_scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW (4 * (size_t)WAL_BLOCK)

enum sd_err wal_cursor_init(struct wal_cursor *c, struct sd_error *e)
{
	*c = (struct wal_cursor){.window = malloc(WINDOW)};
	return c->window ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

void wal_cursor_free(struct wal_cursor *c)
{
	free(c->window);
	free(c->part);
	c->window = c->part = NULL;
	c->part_cap = 0;
}

void wal_cursor_again(struct wal_cursor *c)
{
	c->window_n = 0;
}

void wal_cursor_at(struct wal_cursor *c, struct wal_key key, uint64_t size, uint64_t seq)
{
	c->key = key;
	c->size = size;
	c->seq = seq;
	c->off = c->proven = WAL_HEAD;
	c->marked = c->hard = false;
	wal_cursor_again(c);
}

void wal_cursor_jump(struct wal_cursor *c, uint64_t off, uint64_t seq)
{
	c->off = off;
	c->seq = seq;
	c->marked = c->hard = false;
}

/* What there is from off to the end of its block or of the segment, which is behind off. */
static enum sd_err fetch(struct wal_cursor *c, uint64_t off, const uint8_t **p, size_t *n, struct sd_error *e)
{
	uint64_t block = off - off % WAL_BLOCK, end = block + WAL_BLOCK < c->size ? block + WAL_BLOCK : c->size;
	if (c->window_n == 0 || off < c->window_off || end > c->window_off + c->window_n) {
		size_t want = c->size - block < WINDOW ? (size_t)(c->size - block) : WINDOW;
		c->window_off = block;
		c->window_n = 0;
		enum sd_err err = c->from.read(c->from.arg, c->window, want, block, &c->window_n, e);
		if (err)
			return err;
		/* A file that became shorter under our hands. */
		memset(c->window + c->window_n, 0, want - c->window_n);
		c->window_n = want;
	}
	*p = c->window + (off - c->window_off);
	*n = (size_t)(end - off);
	return SD_OK;
}

static enum wal_step bad(struct wal_cursor *c, uint64_t at, bool hard, const char *why)
{
	c->bad = at;
	c->hard = hard;
	if (why)
		snprintf(c->why.why, sizeof(c->why.why), "%s", why);
	return WAL_BAD;
}

/* The bytes before a block in which no fragment has room. */
static enum wal_step padding(struct wal_cursor *c, uint64_t from, struct sd_error *e)
{
	const uint8_t *p;
	size_t n;
	if (wal_place(from) == from || from >= c->size)
		return WAL_RECORD;
	if (fetch(c, from, &p, &n, e))
		return WAL_FAILED;
	return wal_all_zero(p, n) ? WAL_RECORD : bad(c, from, false, "begins after bytes that are not zero");
}

/* The fragment that is due at *off; *off becomes its place. */
static enum wal_step fragment(struct wal_cursor *c, uint64_t *off, struct wal_frag *f, const uint8_t **p,
			      struct sd_error *e)
{
	size_t n;
	enum wal_step step = padding(c, *off, e);
	if (step != WAL_RECORD)
		return step;
	*off = wal_place(*off);
	c->bad = *off;
	if (*off >= c->size)
		return WAL_END;
	if (fetch(c, *off, p, &n, e))
		return WAL_FAILED;
	switch (wal_frag_get(*p, n, (uint32_t)*off, &c->key, f, &c->why)) {
	case WAL_ZERO:
		return WAL_END;
	case WAL_WRONG:
		return bad(c, *off, false, NULL);
	case WAL_GOOD:
		break;
	}
	return WAL_RECORD;
}

static bool keep_part(struct wal_cursor *c, const uint8_t *p, size_t n, struct sd_error *e)
{
	if (n > c->part_cap - c->part_n) {
		size_t cap = c->part_cap ? c->part_cap : WINDOW;
		while (cap < c->part_n + n)
			cap *= 2;
		uint8_t *more = realloc(c->part, cap);
		if (!more)
			return sd_fail(e, SD_ENOMEM, "out of memory") == SD_OK;
		c->part = more;
		c->part_cap = cap;
	}
	memcpy(c->part + c->part_n, p, n);
	c->part_n += n;
	return true;
}

/* The parts of a record behind its first. */
static enum wal_step join(struct wal_cursor *c, uint64_t off, struct wal_frag first, struct wal_item *r, struct sd_error *e)
{
	const uint8_t *p;
	struct wal_frag f;
	for (uint64_t rest = first.rest; rest > 0; rest = f.rest) {
		enum wal_step step = fragment(c, &off, &f, &p, e);
		if (step == WAL_END)
			return bad(c, off, false, "has parts that are missing");
		if (step != WAL_RECORD)
			return step;
		if (f.kind != (f.rest ? WAL_MIDDLE : WAL_LAST) || f.seq != first.seq || f.type != first.type ||
		    f.synced != first.synced || f.rest + (uint64_t)f.length != rest)
			return bad(c, off, true, "is not the part that is due");
		if (!keep_part(c, p + WAL_FRAG, f.length, e))
			return WAL_FAILED;
		off += WAL_FRAG + f.length;
	}
	r->data = c->part;
	r->n = c->part_n;
	c->off = off;
	return WAL_RECORD;
}

static enum wal_step whole(struct wal_cursor *c, uint64_t off, const struct wal_frag *f, const uint8_t *p, struct wal_item *r,
			   struct sd_error *e)
{
	*r = (struct wal_item){.seq = f->seq, .off = off, .type = f->type, .data = p + WAL_FRAG, .n = f->length};
	if (f->kind == WAL_FULL) {
		c->off = off + WAL_FRAG + f->length;
		return WAL_RECORD;
	}
	c->part_n = 0;
	if (!keep_part(c, p + WAL_FRAG, f->length, e))
		return WAL_FAILED;
	return join(c, off + WAL_FRAG + f->length, *f, r, e);
}

enum wal_step wal_next(struct wal_cursor *c, struct wal_item *r, struct sd_error *e)
{
	const uint8_t *p;
	struct wal_frag f;
	c->hard = false;
	for (;;) {
		uint64_t off = c->off;
		enum wal_step step = fragment(c, &off, &f, &p, e);
		if (step != WAL_RECORD)
			return step;
		if (f.kind == WAL_MIDDLE || f.kind == WAL_LAST)
			return bad(c, off, true, "is a part without a begin");
		if (f.seq != c->seq) {
			snprintf(c->why.why, sizeof(c->why.why), "has number %" PRIu64 " (expected %" PRIu64 ")", f.seq, c->seq);
			return bad(c, off, true, NULL);
		}
		c->marked = f.kind == WAL_MARK;
		if (!c->marked)
			step = whole(c, off, &f, p, r, e);
		if (step == WAL_RECORD && f.synced > c->proven)
			c->proven = f.synced;
		if (!c->marked) {
			c->seq += step == WAL_RECORD;
			return step;
		}
		c->off = off + WAL_FRAG;
	}
}

/* ---- behind the end ---- */

/* Cheap things that a fragment behind the end must be, before its checksum is computed. */
static bool could_be(const struct wal_cursor *c, const uint8_t *p, size_t n)
{
	return n >= WAL_ROOM - 8 && p[6] >= WAL_FULL && p[6] <= WAL_MARK && (size_t)(p[4] | p[5] << 8) <= n - WAL_FRAG &&
	       !c->key.blind;
}

/* The next good fragment from *off on, or false; *last becomes the end of what is not zero before it. */
static bool find(struct wal_cursor *c, uint64_t *off, uint64_t *last, struct wal_frag *f, enum sd_err *err, struct sd_error *e)
{
	const uint8_t *p;
	size_t n;
	for (; *off < c->size; *off += n) {
		*err = fetch(c, *off, &p, &n, e);
		if (*err)
			return false;
		if (wal_all_zero(p, n))
			continue;
		for (size_t i = 0; i < n; i++) {
			if (could_be(c, p + i, n - i) &&
			    wal_frag_get(p + i, n - i, (uint32_t)(*off + i), &c->key, f, NULL) == WAL_GOOD &&
			    f->seq >= c->seq) {
				*off += i;
				return true;
			}
			if (p[i])
				*last = *off + i + 1;
		}
	}
	return false;
}

/* What is behind c->off: how far it is not zero, good records, and does one prove that off was on the disk? */
static enum sd_err survey(struct wal_cursor *c, struct wal_verdict *v, bool *proof, struct sd_error *e)
{
	uint64_t off = c->off, last = c->off;
	struct wal_frag f;
	enum sd_err err = SD_OK;
	*proof = false;
	while (find(c, &off, &last, &f, &err, e)) {
		v->behind += off >= c->bad && (f.kind == WAL_FULL || f.kind == WAL_FIRST);
		*proof |= f.synced > c->off;
		off += WAL_FRAG + f.length;
		last = off;
	}
	v->bytes = last - c->off;
	return err;
}

static void say(struct wal_verdict *v, const char *why, const char *then)
{
	snprintf(v->text, sizeof(v->text), "record at %" PRIu64 " %s%s", v->at, why, then);
}

enum sd_err wal_judge(struct wal_cursor *c, enum wal_step step, bool newest, struct wal_verdict *v, struct sd_error *e)
{
	bool proof;
	*v = (struct wal_verdict){.cut = c->off, .at = c->bad};
	const char *why = step == WAL_BAD ? c->why.why : "is missing (zeros are there)";
	enum sd_err err = survey(c, v, &proof, e);
	if (err)
		return err;
	if (!newest && step == WAL_END && !v->bytes && c->size > c->off) {
		v->state = WAL_DAMAGED;
		v->bytes = c->size - c->off;
		snprintf(v->text, sizeof(v->text), "%" PRIu64 " bytes of zeros at %" PRIu64 " behind the last record, and "
			 "another segment follows", v->bytes, v->cut);
	} else if (step == WAL_END && !v->bytes) {
		v->state = WAL_CLEAN;
	} else if (proof || c->hard || !newest) {
		v->state = WAL_DAMAGED;
		say(v, why, proof ? " and valid records follow" : newest ? "" : ", and another segment follows");
	} else {
		v->state = WAL_TORN;
		say(v, why, "");
	}
	return SD_OK;
}

enum sd_err wal_resync(struct wal_cursor *c, bool *found, struct sd_error *e)
{
	/* From the place itself: what is good there may be a record with another number than the one that is due. The parts of
	 * a record before the place are passed, since its end is missing. */
	uint64_t off = c->bad, last = 0;
	struct wal_frag f;
	enum sd_err err = SD_OK;
	*found = false;
	while (!*found && find(c, &off, &last, &f, &err, e)) {
		*found = f.kind == WAL_FULL || f.kind == WAL_FIRST || f.kind == WAL_MARK;
		if (!*found)
			off += WAL_FRAG + f.length;
	}
	if (*found) {
		c->off = off;
		c->seq = f.seq;
	}
	return err;
}
