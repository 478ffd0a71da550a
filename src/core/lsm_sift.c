/* lsm_sift.c - a removal is held back until it is known what comes after it. */
#include "lsm_sift.h"

#include <stdlib.h>

uint64_t sd_lsm_sift_seen_by(const struct sd_lsm_sift_conf *c, uint64_t seq)
{
	size_t low = 0, high = c->nsnapshots;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (c->snapshots[middle] < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->nsnapshots ? c->snapshots[low] : SD_LSM_SEQ_MAX;
}

/* Of two entries of a key or range, the newer first: can nobody see the older because of the newer? */
static bool hides(const struct sd_lsm_sift_conf *c, uint64_t newer, uint64_t older)
{
	return sd_lsm_sift_seen_by(c, older) >= newer;
}

static void dropped(struct sd_lsm_sift *s, uint64_t *count, enum sd_lsm_kind kind, struct sd_slice value)
{
	++*count;
	if (s->conf.drop)
		s->conf.drop(s->conf.arg, kind, value);
}

static enum sd_err keep(struct sd_lsm_sift *s, struct sd_slice internal, struct sd_slice value, struct sd_error *e)
{
	bool fresh = s->fresh;
	s->fresh = false;
	s->kept++;
	return s->conf.keep(s->conf.arg, internal, value, fresh, e);
}

/* The removal that waits hides something: it stays. */
static enum sd_err keep_waiting(struct sd_lsm_sift *s, struct sd_error *e)
{
	char tail[SD_LSM_TAIL];
	size_t n = s->user.n;
	sd_put_le(tail, s->wait_seq << 8 | SD_LSM_GONE, SD_LSM_TAIL);
	s->waits = false;
	sd_text_add(&s->user, tail, sizeof(tail));
	if (s->user.full)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = keep(s, (struct sd_slice){s->user.p, s->user.n}, (struct sd_slice){NULL, 0}, e);
	s->user.n = n;
	return err;
}

static bool same_user(const struct sd_lsm_sift *s, struct sd_slice user)
{
	return s->begun && user.n == s->user.n && (user.n == 0 || memcmp(user.p, s->user.p, user.n) == 0);
}

/* No more entries of the user key. */
static enum sd_err end_key(struct sd_lsm_sift *s, struct sd_error *e)
{
	if (!s->waits)
		return SD_OK;
	if (!s->conf.older || s->conf.older(s->conf.arg, (struct sd_slice){s->user.p, s->user.n}))
		return keep_waiting(s, e);
	s->waits = false;
	s->gone++;
	return SD_OK;
}

static enum sd_err begin_key(struct sd_lsm_sift *s, struct sd_slice user, struct sd_error *e)
{
	enum sd_err err = s->begun ? end_key(s, e) : SD_OK;
	s->begun = s->fresh = true;
	s->user.n = 0;
	sd_text_add(&s->user, user.p, user.n);
	return err ? err : s->user.full ? sd_fail(e, SD_ENOMEM, "out of memory") : SD_OK;
}

/* A removal, or what became one. Of two in a row the older does for both. */
static void wait_for_more(struct sd_lsm_sift *s, uint64_t seq)
{
	s->gone += s->waits;
	s->waits = true;
	s->wait_seq = seq;
}

enum sd_err sd_lsm_sift_take(struct sd_lsm_sift *s, struct sd_slice internal, struct sd_slice value, struct sd_error *e)
{
	struct sd_slice user = sd_lsm_user(internal);
	uint64_t seq = sd_lsm_seq(internal), newer = s->seq;
	enum sd_lsm_kind kind = sd_lsm_kind(internal);
	bool again = same_user(s, user);
	enum sd_err err = again ? SD_OK : begin_key(s, user, e);
	s->taken++;
	s->seq = seq;
	if (err)
		return err;
	if (again && hides(&s->conf, newer, seq)) {
		dropped(s, &s->shadowed, kind, value);
		return SD_OK;
	}
	if (s->conf.covers && s->conf.covers(s->conf.arg, user, sd_lsm_sift_seen_by(&s->conf, seq)) > seq) {
		dropped(s, &s->covered, kind, value);
		return SD_OK;
	}
	if (sd_lsm_has_ended(kind, value, s->conf.now_ms)) {
		dropped(s, &s->ended, kind, value);
		kind = SD_LSM_GONE;
	}
	if (kind == SD_LSM_GONE) {
		wait_for_more(s, seq);
		return SD_OK;
	}
	err = s->waits ? keep_waiting(s, e) : SD_OK;
	return err ? err : keep(s, internal, value, e);
}

enum sd_err sd_lsm_sift_end(struct sd_lsm_sift *s, struct sd_error *e)
{
	enum sd_err err = s->begun ? end_key(s, e) : SD_OK;
	s->begun = false;
	return err;
}

void sd_lsm_sift_free(struct sd_lsm_sift *s)
{
	free(s->user.p);
	s->user = (struct sd_text){0};
}
