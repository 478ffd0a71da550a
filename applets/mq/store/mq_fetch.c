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

static char *body_of(struct mq_store *s, const struct mq_message *m)
{
	struct sd_wal_record at;
	struct mq_record r;
	if (!seek(s, m) || sd_wal_read(s->reader, &at, NULL) || at.seq != m->record)
		return NULL;
	if (mq_record_get(at.type, (struct sd_slice){(const char *)at.data, at.n}, &r, NULL) || r.kind != MQ_REC_PUBLISH ||
	    r.body.n != m->body_n)
		return NULL;
	char *body = malloc(r.body.n ? r.body.n : 1);
	if (body)
		memcpy(body, r.body.p, r.body.n);
	return body;
}

bool mq_store_fetch(void *arg, struct mq_message *m)
{
	struct mq_store *s = arg;
	m->body = body_of(s, m);
	s->count.fetched += m->body != NULL;
	/* The broker leaves it out. What cannot be read is not thrown away, somebody may mend it: no segment goes any more. */
	s->compact.broken |= !m->body;
	return m->body != NULL;
}
