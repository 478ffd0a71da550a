/* mq_segments.c - what of the log is live, segment by segment; and the small records that are not acknowledged yet. */
#include <stdlib.h>
#include <string.h>

#include "mq_store_int.h"

/* ---- segments ---- */

static bool room_for_one(struct mq_segments *s)
{
	if (s->n < s->room)
		return true;
	size_t room = s->room ? 2 * s->room : 16;
	struct mq_segment **more = realloc(s->at, room * sizeof(struct mq_segment *));
	if (!more)
		return false;
	s->at = more;
	s->room = room;
	return true;
}

static bool add(struct mq_segments *s, uint64_t number, uint64_t seq)
{
	struct mq_segment *g = room_for_one(s) ? calloc(1, sizeof(*g)) : NULL;
	if (!g)
		return false;
	g->number = number;
	g->first_seq = seq;
	sd_list_init(&g->records);
	s->at[s->n++] = g;
	return true;
}

void mq_segments_init(struct mq_segments *s)
{
	sd_list_init(&s->lost.records);
}

struct mq_segment *mq_segment_of(struct mq_segments *s, uint64_t number, uint64_t seq)
{
	if (s->n && number > UINT32_MAX)
		return NULL;
	/* One whose torn tail was cut may have no record; it has a place all the same. */
	while (s->n == 0 || s->at[s->n - 1]->number < number)
		if (!add(s, s->n ? s->at[s->n - 1]->number + 1 : number, seq))
			return NULL;
	return number < s->at[0]->number ? NULL : s->at[number - s->at[0]->number];
}

void mq_segments_forget(struct mq_segments *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		s->bytes -= s->at[i]->bytes;
		free(s->at[i]);
	}
	s->n -= n;
	if (n)
		memmove(s->at, s->at + n, s->n * sizeof(struct mq_segment *));
}

void mq_segments_forget_new(struct mq_segments *s, uint64_t seq)
{
	while (s->n && s->at[s->n - 1]->first_seq > seq) {
		s->bytes -= s->at[--s->n]->bytes;
		free(s->at[s->n]);
	}
}

static void free_records(struct sd_link *head)
{
	while (!sd_list_empty(head)) {
		struct mq_live *live = sd_container(head->next, struct mq_live, link);
		sd_list_del(&live->link);
		free(live);
	}
}

void mq_segments_free(struct mq_segments *s)
{
	for (size_t i = 0; i < s->n; i++)
		free_records(&s->at[i]->records);
	free_records(&s->lost.records);
	mq_segments_forget(s, s->n);
	free(s->at);
	*s = (struct mq_segments){0};
	mq_segments_init(s);
}

struct mq_live *mq_live_new(size_t n)
{
	struct mq_live *live = malloc(sizeof(*live) + n * sizeof(struct mq_entry *));
	if (live)
		live->n = 0;
	return live;
}

void mq_live_add(struct mq_segments *s, struct mq_live *live, struct mq_segment *at, uint64_t offset, size_t bytes)
{
	live->segment = (uint32_t)at->number;
	live->offset = (uint32_t)offset;
	live->bytes = (uint32_t)bytes;
	s->live += bytes;
	sd_list_add(&at->records, &live->link);
}

void mq_live_remove(struct mq_segments *s, struct mq_live *live)
{
	s->live -= live->bytes;
	sd_list_del(&live->link);
}

/* ---- the tail ---- */

struct head {
	uint64_t seq;
	uint32_t n;
	uint32_t kind;
};

static bool tail_room(struct mq_tail *t, size_t n)
{
	if (t->first > t->room / 2) {
		memmove(t->p, t->p + t->first, t->n - t->first);
		t->n -= t->first;
		t->first = 0;
	}
	if (n <= t->room - t->n)
		return true;
	size_t room = t->room ? t->room : 4096;
	while (room - t->n < n)
		room *= 2;
	uint8_t *more = realloc(t->p, room);
	if (!more)
		return false;
	t->p = more;
	t->room = room;
	return true;
}

bool mq_tail_add(struct mq_tail *t, uint64_t seq, enum mq_kind kind, const struct iovec *iov, int niov)
{
	struct head h = {.seq = seq, .kind = kind};
	for (int i = 0; i < niov; i++)
		h.n += (uint32_t)iov[i].iov_len;
	if (!tail_room(t, sizeof(h) + h.n))
		return false;
	memcpy(t->p + t->n, &h, sizeof(h));
	t->n += sizeof(h);
	for (int i = 0; i < niov; i++) {
		if (iov[i].iov_len)
			memcpy(t->p + t->n, iov[i].iov_base, iov[i].iov_len);
		t->n += iov[i].iov_len;
	}
	return true;
}

bool mq_tail_first(const struct mq_tail *t, struct mq_tail_record *out)
{
	struct head h;
	if (t->first == t->n)
		return false;
	memcpy(&h, t->p + t->first, sizeof(h));
	*out = (struct mq_tail_record){h.seq, (enum mq_kind)h.kind, {(const char *)t->p + t->first + sizeof(h), h.n}};
	return true;
}

void mq_tail_lost(struct mq_tail *t, uint64_t seq)
{
	struct head h;
	for (size_t at = t->first; at < t->n; at += sizeof(h) + h.n) {
		memcpy(&h, t->p + at, sizeof(h));
		if (h.seq <= seq)
			continue;
		h.seq = MQ_TAIL_LATER;
		memcpy(t->p + at, &h, sizeof(h));
	}
}

void mq_tail_drop(struct mq_tail *t)
{
	struct mq_tail_record r;
	if (mq_tail_first(t, &r))
		t->first += sizeof(struct head) + r.bytes.n;
	if (t->first == t->n)
		t->first = t->n = 0;
}
