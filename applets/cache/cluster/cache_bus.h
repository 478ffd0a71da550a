/* cache_bus.h - links between the nodes of a cluster: TCP, on the port of their gossip.
 *
 * A node dials another when it has something for it, and what it asks is answered on the same connection; so two nodes may have two.
 * All is frames; numbers are little-endian:
 *
 *	0  4  length of the body, at most CACHE_FRAME_MAX
 *	4  1  kind
 *	5  1  flags of a command: 1 a copy may answer it, 2 only in a session that is there
 *	6  2  how often a command was sent on
 *	8  4  number: a reply has that of its command
 *	12 4  0
 *	16 8  session: which of the asker's clients it is for; 0, 1: none in particular, in RESP2 or RESP3
 *	24    body
 *
 *	1 hello    "SDB1", cluster 8, id 20, chance 16                       the first of who dials
 *	2 welcome  cluster 8, id 20, chance 16, proof 32                     its answer; anything else ends the connection
 *	3 proof    proof 32                                                  then commands and messages may come
 *	4 command  requests of RESP one behind the other; the reply of the last is the answer
 *	5 reply    as RESP has it
 *	6 end      the session ends
 *	7 publish  length of the channel 4, channel, message
 *	8 agree    a message of core/agree
 *	64 ...     messages of the data side
 *
 * proof: HMAC-SHA256 under the shared key of a letter (W of the welcome, P of the other), both chances, dialler's first, and both
 * ids; zeros when there is no key. What follows is neither sealed nor hidden: the network between nodes is to be one's own.
 */
#ifndef CACHE_BUS_H
#define CACHE_BUS_H

#include "cache_view.h"
#include "world/loop.h"

#define CACHE_FRAME_HEAD 24
#define CACHE_FRAME_MAX  (640u * 1024 * 1024)

enum cache_frame_kind {
	CACHE_FRAME_HELLO = 1,
	CACHE_FRAME_WELCOME,
	CACHE_FRAME_PROOF,
	CACHE_FRAME_COMMAND,
	CACHE_FRAME_REPLY,
	CACHE_FRAME_END,
	CACHE_FRAME_PUBLISH,
	CACHE_FRAME_AGREE,
};

enum { CACHE_FRAME_COPY = 1, CACHE_FRAME_GOES_ON = 2 };

struct cache_frame {
	uint8_t kind, flags;
	uint16_t hops;
	uint32_t number;
	uint64_t session;
	struct sd_slice body;
};

struct cache_bus;
struct cache_link; /* one connection, either way */

struct cache_bus_events {
	void *arg;
	/* A frame of a peer that proved who it is; answers go with cache_link_send. */
	void (*frame)(void *arg, struct cache_link *from, const struct cache_frame *f);
	/* The link that we dialled stands, or broke: sent says whether anything went out on it. */
	void (*dialled)(void *arg, const struct sd_swim_id *peer, bool up);
	/* One that was dialled to us is gone, with its sessions. */
	void (*hung_up)(void *arg, struct cache_link *link);
	void (*drained)(void *arg, const struct sd_swim_id *peer);
	/* Around each turn of the loop that the bus has: the others come only between the two. */
	void (*enter)(void *arg);
	void (*leave)(void *arg);
	/* Another thread left something to send: cache_bus_catch_up is to be called on the loop, before all else. */
	void (*behind)(void *arg);
};

struct cache_bus_conf {
	uint64_t cluster;
	struct sd_swim_id self;
	struct sd_slice key; /* empty: none; stays the caller's */
};

/* Listens at addr, whose port 0 is replaced. */
enum sd_err cache_bus_new(struct sd_loop *l, const struct cache_bus_conf *conf, struct sd_addr *addr,
			  const struct cache_bus_events *events, struct cache_bus **out, struct sd_error *e);
void cache_bus_free(struct cache_bus *b);
/* Sends a frame to a node, dialling when there is no link. parts are the body. False: no connection can be begun. On another thread than
 * the loop's, between enter and leave there as well, the loop does it later, in the order of the calls; when it cannot, that is told as
 * if the link had broken. The other functions are for the loop's thread. */
bool cache_bus_send(struct cache_bus *b, const struct sd_swim_id *to, const struct sd_addr *addr, const struct cache_frame *head,
		    const struct sd_slice *parts, size_t nparts);
void cache_bus_catch_up(struct cache_bus *b);
/* Bytes that wait on the link we dialled. */
size_t cache_bus_backlog(const struct cache_bus *b, const struct sd_swim_id *to);
/* Ends the link that we dialled; the next frame dials anew. */
void cache_bus_cut(struct cache_bus *b, const struct sd_swim_id *peer);
/* Hangs up on a node that is no more, both ways. */
void cache_bus_drop(struct cache_bus *b, const struct sd_swim_id *peer);

void cache_link_send(struct cache_link *l, const struct cache_frame *head, const struct sd_slice *parts, size_t nparts);
const struct sd_swim_id *cache_link_peer(const struct cache_link *l);
/* Is anything still on its way there? Then who waits for more room in it should. */
size_t cache_link_backlog(const struct cache_link *l);
/* The owner of the bus keeps what it likes with a link. */
void **cache_link_user(struct cache_link *l);

#endif
