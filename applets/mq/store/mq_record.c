/* mq_record.c - see sdlab-mq(5). */
#include "mq_record.h"

#include "core/bytes.h"

#define HEAD 24u
enum { PERSISTENT = 1, MOVED = 2, STATES = 4 };

/* ---- writing ---- */

void mq_place_put(uint8_t out[MQ_PLACE_BYTES], uint64_t queue, uint64_t seq)
{
	sd_put_le(out, queue, 8);
	sd_put_le(out + 8, seq, 8);
}

void mq_failed_put(uint8_t out[MQ_FAILED_BYTES], const struct mq_place *at)
{
	mq_place_put(out, at->queue, at->seq);
	sd_put_le(out + 16, (uint64_t)at->not_before_ms, 8);
	sd_put_le(out + 24, at->failures, 2);
}

static bool has_state(struct mq_entry *const *entries, size_t n)
{
	size_t i = 0;
	while (i < n && !entries[i]->failures && !entries[i]->not_before_ms)
		i++;
	return i < n;
}

static void put_place(struct sd_text *t, const struct mq_entry *e, bool state)
{
	uint8_t out[MQ_FAILED_BYTES];
	struct mq_place at = {.queue = e->queue->id, .seq = e->seq, .not_before_ms = e->not_before_ms, .failures = e->failures};
	mq_failed_put(out, &at);
	sd_text_add(t, (const char *)out, state ? MQ_FAILED_BYTES : MQ_PLACE_BYTES);
}

bool mq_publish_put(struct sd_text *t, const struct mq_message *m, struct mq_entry *const *entries, size_t n,
		    const struct mq_entry *moved_from)
{
	uint8_t head[HEAD];
	bool state = has_state(entries, n);
	head[0] = (uint8_t)((m->persistent ? PERSISTENT : 0) | (moved_from ? MOVED : 0) | (state ? STATES : 0));
	head[1] = m->priority;
	head[2] = m->exchange_n;
	head[3] = m->key_n;
	sd_put_le(head + 4, m->properties_n, 4);
	sd_put_le(head + 8, m->body_n, 4);
	sd_put_le(head + 12, n, 4);
	sd_put_le(head + 16, (uint64_t)m->published_ms, 8);
	sd_text_add(t, (const char *)head, HEAD);
	if (moved_from)
		put_place(t, moved_from, false);
	for (size_t i = 0; i < n; i++)
		put_place(t, entries[i], state);
	return !t->full;
}

/* ---- reading ---- */

static const uint8_t *bytes_of(struct sd_slice s)
{
	return (const uint8_t *)s.p;
}

static struct sd_slice take(struct sd_slice *in, uint64_t n)
{
	struct sd_slice out = {in->p, (size_t)n};
	in->p += n;
	in->n -= (size_t)n;
	return out;
}

static enum sd_err uneven(const char *kind, struct sd_slice s, uint64_t due, struct sd_error *e)
{
	return sd_fail(e, SD_EINVAL, "is no %s: it has %zu bytes (expected %llu)", kind, s.n, (unsigned long long)due);
}

static enum sd_err get_define(struct sd_slice s, struct mq_record *r, struct sd_error *e)
{
	const uint8_t *p = bytes_of(s);
	if (s.n < 2)
		return sd_fail(e, SD_EINVAL, "is no DEFINE: it has %zu bytes (expected 2 or more)", s.n);
	if (p[0] > MQ_DEFINE_STREAM || p[1] > 1)
		return sd_fail(e, SD_EINVAL, "is no DEFINE: it begins with %u %u (expected 0 to %d, and 0 or 1)", p[0], p[1],
			       MQ_DEFINE_STREAM);
	r->what = (enum mq_define)p[0];
	r->gone = p[1];
	take(&s, 2);
	r->text = s;
	return SD_OK;
}

static enum sd_err get_publish(struct sd_slice s, struct mq_record *r, struct sd_error *e)
{
	const uint8_t *p = bytes_of(s);
	if (s.n < HEAD)
		return sd_fail(e, SD_EINVAL, "is no PUBLISH: it has %zu bytes (expected %u or more)", s.n, HEAD);
	if (p[0] & ~(PERSISTENT | MOVED | STATES))
		return sd_fail(e, SD_EINVAL, "is no PUBLISH: it has flags %#x, which this program does not know", p[0]);
	uint64_t properties = sd_get_le(p + 4, 4), body = sd_get_le(p + 8, 4);
	r->persistent = p[0] & PERSISTENT;
	r->moved = p[0] & MOVED;
	r->states = p[0] & STATES;
	r->priority = p[1];
	r->n = (uint32_t)sd_get_le(p + 12, 4);
	r->published_ms = (int64_t)sd_get_le(p + 16, 8);
	uint64_t places = (uint64_t)r->n * (r->states ? MQ_FAILED_BYTES : MQ_PLACE_BYTES);
	uint64_t due = HEAD + (r->moved ? MQ_PLACE_BYTES : 0) + places + p[2] + p[3] + properties + body;
	if (s.n != due)
		return uneven("PUBLISH", s, due, e);
	if (r->n == 0)
		return sd_fail(e, SD_EINVAL, "is no PUBLISH: it has no places");
	take(&s, HEAD);
	struct sd_slice from = take(&s, r->moved ? MQ_PLACE_BYTES : 0);
	if (r->moved) {
		r->from_queue = sd_get_le(from.p, 8);
		r->from_seq = sd_get_le(from.p + 8, 8);
	}
	r->places = take(&s, places);
	r->exchange = take(&s, p[2]);
	r->key = take(&s, p[3]);
	r->properties = take(&s, properties);
	r->body = s;
	return SD_OK;
}

static enum sd_err get_places(const char *kind, struct sd_slice s, struct mq_record *r, struct sd_error *e)
{
	if (s.n == 0 || s.n % MQ_PLACE_BYTES)
		return sd_fail(e, SD_EINVAL, "is no %s: it has %zu bytes (expected a multiple of %u)", kind, s.n, MQ_PLACE_BYTES);
	r->places = s;
	r->n = (uint32_t)(s.n / MQ_PLACE_BYTES);
	return SD_OK;
}

static enum sd_err get_one(const char *kind, struct sd_slice s, size_t due, struct mq_record *r, struct sd_error *e)
{
	if (s.n != due)
		return uneven(kind, s, due, e);
	r->places = s;
	r->n = due ? 1 : 0;
	r->states = due == MQ_FAILED_BYTES;
	return SD_OK;
}

enum sd_err mq_record_get(uint8_t type, struct sd_slice bytes, struct mq_record *r, struct sd_error *e)
{
	*r = (struct mq_record){.kind = type & 15};
	if (type >> 4 == MQ_RECORD_VERSION)
		switch (r->kind) {
		case MQ_REC_DEFINE:
			return get_define(bytes, r, e);
		case MQ_REC_PUBLISH:
			return get_publish(bytes, r, e);
		case MQ_REC_SETTLE:
			return get_places("SETTLE", bytes, r, e);
		case MQ_REC_TOUCHED:
			return get_places("TOUCHED", bytes, r, e);
		case MQ_REC_FAILED:
			return get_one("FAILED", bytes, MQ_FAILED_BYTES, r, e);
		case MQ_REC_PURGED:
			return get_one("PURGED", bytes, MQ_PLACE_BYTES, r, e);
		case MQ_REC_CLOSED:
			return get_one("CLOSED", bytes, 0, r, e);
		case MQ_REC_OPENED:
			return get_one("OPENED", bytes, 0, r, e);
		}
	return sd_fail(e, SD_EUNSUPPORTED, "has type %#x, which this program does not know", type);
}

struct mq_place mq_record_place(const struct mq_record *r, uint32_t i)
{
	const uint8_t *p = bytes_of(r->places) + (size_t)i * (r->states ? MQ_FAILED_BYTES : MQ_PLACE_BYTES);
	struct mq_place at = {.queue = sd_get_le(p, 8), .seq = sd_get_le(p + 8, 8)};
	if (r->states) {
		at.not_before_ms = (int64_t)sd_get_le(p + 16, 8);
		at.failures = (uint16_t)sd_get_le(p + 24, 2);
	}
	return at;
}
