/* cache_copies_wire.c - messages between nodes, taken apart. What comes may be anything. */
#include "cache_copies_int.h"
#include "core/bytes.h"

enum { VALUE = 1, GONE = 2 };

bool copies_get(struct sd_slice *p, size_t bytes, uint64_t *out)
{
	if (p->n < bytes)
		return false;
	*out = sd_get_le(p->p, bytes);
	*p = (struct sd_slice){p->p + bytes, p->n - bytes};
	return true;
}

static bool get_bytes(struct sd_slice *p, struct sd_slice *out)
{
	uint64_t n;
	if (!copies_get(p, 4, &n) || n > p->n)
		return false;
	*out = (struct sd_slice){p->p, (size_t)n};
	*p = (struct sd_slice){p->p + n, p->n - (size_t)n};
	return true;
}

bool copies_get_state(struct sd_slice *p, struct copies_state *out)
{
	uint64_t kind, ends = UINT64_MAX;
	*out = (struct copies_state){.ends_ms = -1};
	if (!copies_get(p, 1, &kind) || (kind != VALUE && kind != GONE) || !copies_get(p, 8, &out->stamp) || !out->stamp)
		return false;
	out->gone = kind == GONE;
	if (!out->gone && !copies_get(p, 8, &ends))
		return false;
	if (ends > INT64_MAX && ends != UINT64_MAX)
		return false;
	out->ends_ms = (int64_t)ends;
	return get_bytes(p, &out->key) && out->key.n <= COPIES_KEY_MAX && (out->gone || get_bytes(p, &out->image));
}

bool copies_get_offer(struct sd_slice *p, struct copies_state *out)
{
	uint64_t flags;
	*out = (struct copies_state){.ends_ms = -1};
	if (!copies_get(p, 1, &flags) || flags > 1 || !copies_get(p, 8, &out->stamp) || !out->stamp)
		return false;
	out->gone = flags;
	return get_bytes(p, &out->key) && out->key.n <= COPIES_KEY_MAX;
}

bool copies_get_set(struct sd_slice p, struct copies_set *out)
{
	uint64_t first, last, next = 0;
	copies_clear(out);
	while (p.n) {
		if (!copies_get(&p, 2, &first) || !copies_get(&p, 2, &last) || first < next || last < first || last >= SD_SLOTS)
			return false;
		for (uint64_t s = first; s <= last; s++)
			copies_add(out, (unsigned)s);
		next = last + 2;
	}
	return true;
}

/* ---- whole messages ---- */

static bool is_states(struct sd_slice p, bool (*get)(struct sd_slice *, struct copies_state *))
{
	struct copies_state s;
	while (p.n)
		if (!get(&p, &s))
			return false;
	return true;
}

static bool is_digests(struct sd_slice p)
{
	uint64_t slot, before = 0;
	for (bool first = true; p.n; first = false) {
		if (!copies_get(&p, 2, &slot) || slot >= SD_SLOTS || (!first && slot <= before) || p.n < 12)
			return false;
		p = (struct sd_slice){p.p + 12, p.n - 12};
		before = slot;
	}
	return true;
}

static bool is_set(struct sd_slice p)
{
	struct copies_set s;
	return copies_get_set(p, &s);
}

bool copies_is_message(unsigned kind, struct sd_slice p)
{
	uint64_t v;
	size_t head = kind == COPIES_BYE ? 0 : kind == COPIES_ASK ? 1 : kind == COPIES_OFFER || kind == COPIES_WANT || kind == COPIES_CHECK || kind == COPIES_CHECKED ? 4 : 8;
	if (kind == COPIES_HELLO)
		return copies_get(&p, 1, &v) && ((v == COPIES_VERSION && p.n == 8) || (v == COPIES_VERSION_TERM && p.n == 17));
	if ((kind == COPIES_END || kind == COPIES_ENDED) && !copies_get(&p, 4, &v))
		return false;
	if (head && !copies_get(&p, head, &v))
		return false;
	switch (kind) {
	case COPIES_CHANGES:
		return is_states(p, copies_get_state);
	case COPIES_BYE:
		return !p.n;
	case COPIES_ACK:
		return p.n == 8;
	case COPIES_SUMMARY:
		return p.n == 8 * (size_t)COPIES_GROUPS;
	case COPIES_READY:
		return p.n == 1;
	case COPIES_DIGESTS: case COPIES_CHECK:
		return is_digests(p);
	case COPIES_OFFER:
		return is_states(p, copies_get_offer);
	case COPIES_WANT:
		return p.n % 2 == 0;
	case COPIES_ASK: case COPIES_END: case COPIES_ENDED: case COPIES_CLAIM: case COPIES_HANDOVER:
	case COPIES_CHECKED: case COPIES_ACTIVE:
		return is_set(p);
	default:
		return false;
	}
}

/* ---- writing ---- */

void copies_put(struct sd_text *t, uint64_t v, size_t bytes)
{
	char b[8];
	sd_put_le(b, v, bytes);
	sd_text_add(t, b, bytes);
}

void copies_put_key(struct sd_text *t, struct sd_slice key)
{
	copies_put(t, key.n, 4);
	sd_text_add(t, key.n ? key.p : "", key.n);
}

void copies_put_set(struct sd_text *t, const struct copies_set *s)
{
	for (unsigned a = 0, b; s->n && a < SD_SLOTS; a = b + 1) {
		b = a;
		if (!copies_in(s, a))
			continue;
		while (b + 1 < SD_SLOTS && copies_in(s, b + 1))
			b++;
		copies_put(t, a, 2);
		copies_put(t, b, 2);
	}
}
