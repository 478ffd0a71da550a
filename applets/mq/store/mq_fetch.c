/* mq_fetch.c - bodies that are not in memory, from the records that they are in. */
#include <stdlib.h>
#include <string.h>

#include "mq_store_int.h"

static bool seek(struct mq_store *s, const struct mq_message *m)
{
	const struct mq_live *live = mq_live_of(m);
	if (!live || !live->segment)
		return false;
	if (!s->reader && sd_wal_reader_alone(s->world, s->dir, "mq", &s->reader, NULL))
		return false;
	sd_wal_reader_seek(s->reader, (struct sd_wal_place){live->segment, live->offset}, m->record);
	return true;
}

/* *damaged: it is there, and is not what it was; else it may be had another time. */
static char *body_of(struct mq_store *s, const struct mq_message *m, bool *damaged)
{
	struct sd_wal_record at;
	struct mq_record r;
	if (!seek(s, m))
		return NULL;
	enum sd_err err = sd_wal_read(s->reader, &at, NULL);
	*damaged = err == SD_EINVAL;
	if (err)
		return NULL;
	*damaged = at.seq != m->record || mq_record_get(at.type, (struct sd_slice){(const char *)at.data, at.n}, &r, NULL) ||
		   r.kind != MQ_REC_PUBLISH || r.body.n != m->body_n;
	if (*damaged)
		return NULL;
	char *body = malloc(r.body.n ? r.body.n : 1);
	if (body)
		memcpy(body, r.body.p, r.body.n);
	return body;
}

bool mq_store_fetch(void *arg, struct mq_message *m)
{
	struct mq_store *s = arg;
	const struct mq_live *live = mq_live_of(m);
	bool damaged = false;
	m->body = body_of(s, m, &damaged);
	s->count.fetched += m->body != NULL;
	/* The broker leaves it out. It is not thrown away, somebody may mend it: a damaged segment is kept beside when it goes; of what
	 * is only out of reach for now no segment goes any more. */
	if (damaged)
		mq_segment_with(&s->segments, live)->damaged = true;
	else
		s->compact.broken |= !m->body && live;
	return m->body != NULL;
}
