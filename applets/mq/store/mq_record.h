/* mq_record.h - the records of the broker's log as bytes, and back: sdlab-mq(5). Pure. */
#ifndef MQ_RECORD_H
#define MQ_RECORD_H

#include "../engine/mq.h"
#include "sdlab/err.h"

#define MQ_RECORD_VERSION 1u

enum mq_kind { MQ_REC_DEFINE = 1, MQ_REC_PUBLISH, MQ_REC_SETTLE, MQ_REC_FAILED, MQ_REC_PURGED, MQ_REC_TOUCHED, MQ_REC_CLOSED,
	       MQ_REC_OPENED };
static inline uint8_t mq_record_type(enum mq_kind kind)
{
	return (uint8_t)(MQ_RECORD_VERSION << 4 | kind);
}

#define MQ_PLACE_BYTES 16u /* queue, sequence number */
#define MQ_STATE_BYTES 10u
#define MQ_FAILED_BYTES (MQ_PLACE_BYTES + MQ_STATE_BYTES)

struct mq_record {
	enum mq_kind kind;
	/* DEFINE */
	enum mq_define what;
	bool gone;
	struct sd_slice text;
	/* PUBLISH */
	bool persistent, moved, states;
	uint8_t priority;
	int64_t published_ms;
	struct sd_slice exchange, key, properties, body;
	/* PUBLISH, SETTLE, TOUCHED: n of them; FAILED, PURGED: one */
	uint32_t n;
	struct sd_slice places;
	uint64_t from_queue, from_seq; /* moved */
};
/* Slices of r point into `bytes`. SD_EUNSUPPORTED: a type that is not known. SD_EINVAL. The text says what, without file and place:
 * "has type 0x21, which this program does not know". */
enum sd_err mq_record_get(uint8_t type, struct sd_slice bytes, struct mq_record *r, struct sd_error *e);
/* Place i of r->n. */
struct mq_place mq_record_place(const struct mq_record *r, uint32_t i);

void mq_place_put(uint8_t out[MQ_PLACE_BYTES], uint64_t queue, uint64_t seq);
void mq_failed_put(uint8_t out[MQ_FAILED_BYTES], const struct mq_place *at);
/* PUBLISH up to its places; then come the bytes of the message and its body. False: out of memory. */
bool mq_publish_put(struct sd_text *t, const struct mq_message *m, struct mq_entry *const *entries, size_t n,
		    const struct mq_entry *moved_from);

#endif
