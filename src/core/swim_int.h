/* swim_int.h - datagrams of SWIM as structs; private to swim*.c and their tests. The format is in swim.h. */
#ifndef SD_CORE_SWIM_INT_H
#define SD_CORE_SWIM_INT_H

#include "swim.h"

enum swim_kind {
	SWIM_PING = 1,
	SWIM_ACK,
	SWIM_PING_REQ,
	SWIM_NACK,
	SWIM_SYNC,
	SWIM_SYNC_ANSWER,
	SWIM_NEWS,
	SWIM_REFUSED,
};

#define SWIM_HEAD 37
#define SWIM_MEMBER_MIN (SD_SWIM_ID + 1 + 8 + 8 + 2 + 1 + 1 + 1)
#define SWIM_ENTRIES (SD_SWIM_DATAGRAM / SWIM_MEMBER_MIN)

struct swim_entry {
	struct sd_swim_facts facts;
	uint64_t incarnation;
	enum sd_swim_state state;
	struct sd_swim_id accuser; /* when suspected */
};

struct swim_message {
	uint64_t cluster;
	struct sd_swim_id sender, target; /* target: of ping and ping-req */
	struct sd_swim_end target_end;    /* of ping-req */
	enum swim_kind kind;
	uint32_t number;
	size_t nentries;
	struct swim_entry entries[SWIM_ENTRIES];
};

/* One that is being written. */
struct swim_out {
	size_t n, room;
	uint8_t b[SD_SWIM_DATAGRAM];
};

/* False: it is not one. The MAC is not part of p[0..n). */
bool swim_read(const uint8_t *p, size_t n, struct swim_message *out);
/* Only its beginning, up to the cluster: what strangers send too. */
bool swim_read_cluster(const uint8_t *p, size_t n, uint64_t *cluster);

struct swim_head {
	uint64_t cluster;
	const struct sd_swim_id *sender;
	enum swim_kind kind;
	uint32_t number;
};
void swim_begin(struct swim_out *o, size_t room, const struct swim_head *h);
void swim_put_id(struct swim_out *o, const struct sd_swim_id *id);
void swim_put_end(struct swim_out *o, const struct sd_swim_end *e);
/* False: no room, and nothing was written. */
bool swim_put_entry(struct swim_out *o, const struct swim_entry *e);

bool swim_id_is_zero(const struct sd_swim_id *id);
bool swim_ip_is_zero(const struct sd_swim_end *e);

#endif
