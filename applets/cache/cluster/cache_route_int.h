/* cache_route_int.h - what the files of routing share.
 *
 *	cache_route.c         which node answers a request; transactions, WATCH; a client's life
 *	cache_route_reply.c   replies in the order of the requests, each made of the answers to its parts
 *	cache_route_parts.c   parts on their way to a node, and tried again
 *	cache_route_spread.c  commands that go to several nodes
 */
#ifndef CACHE_ROUTE_INT_H
#define CACHE_ROUTE_INT_H

#include "cache_cluster.h"

#define ROUTE_SLOT_MOVES  "TRYAGAIN the slot is moving"
#define ROUTE_CURSOR_BITS 48 /* of a SCAN's own; above it the number of the node, from 0 */

enum route_gather { ROUTE_ONE, ROUTE_SUM, ROUTE_ALL_OK, ROUTE_BY_PLACE, ROUTE_CONCAT, ROUTE_CURSOR };

struct route_piece {
	char *p;
	size_t n;
};

struct route_reply {
	struct sd_link link;       /* in route->replies */
	struct cache_route *route; /* NULL: the client is gone */
	struct sd_resp_out out;    /* once done */
	enum route_gather gather;
	bool done, failed;
	unsigned waiting; /* parts that have no answer yet */
	int64_t sum;
	size_t npieces; /* ROUTE_BY_PLACE: the values; ROUTE_CONCAT: items in out */
	struct route_piece *pieces;
	unsigned node; /* ROUTE_CURSOR: which of nnodes */
	unsigned nnodes;
};

struct route_part {
	struct sd_link link; /* in cl->parts */
	struct route_reply *reply;
	uint32_t number;
	struct sd_swim_id to;
	bool sent, write, by_slot, read_copy;
	bool blocks;	    /* its answer may take as long as it likes */
	bool watches;	    /* a WATCH, or the EXEC behind one: for the node that has the watch and no other */
	bool goes_on;	    /* the session there has a watch already: without that it is not to run */
	bool is_exec;
	unsigned slot;
	uint16_t hops; /* how often in a row somebody sent it elsewhere */
	uint64_t session;
	int64_t give_up_ns, answer_by_ns, sent_ns;
	size_t nplaces; /* ROUTE_BY_PLACE: where its values belong: places[0..nplaces) */
	size_t *places;
	struct sd_resp_out request;
};

/* ---- cache_route_reply.c ---- */
/* The last in the client's queue. NULL: out of memory, and the connection ends. */
struct route_reply *route_reply_new(struct cache_route *r, enum route_gather gather);
void route_reply_free(struct route_reply *y);
/* One that it waited for is there; with the last of them it is whole. */
void route_reply_got(struct route_reply *y);
/* An error that is the whole reply, at its place in the queue. */
void route_refuse(struct cache_route *r, const char *error);
/* A part is over. */
void route_end_part(struct cache_cluster *cl, struct route_part *p, struct sd_slice body);
void route_end_with_error(struct cache_cluster *cl, struct route_part *p, const char *error);
/* The watch is not where its slot is any more: nobody knows whether its keys changed, so what was to be done is called off. */
void route_end_watch(struct cache_cluster *cl, struct route_part *p);
/* It is not there that it is answered: its session ends. */
void route_end_there(struct cache_cluster *cl, const struct route_part *p);
void route_part_free(struct route_part *p);

/* ---- cache_route_parts.c ---- */
struct route_part *route_part_new(struct route_reply *y, bool write);
void route_put_request(struct sd_resp_out *o, size_t argc, const struct sd_slice *argv);
/* To whoever answers for it now. */
void route_send(struct cache_cluster *cl, struct route_part *p);

/* ---- cache_route_spread.c ---- */
bool route_is_spread(const struct cache_command *k);
/* False: it is to be run as any other. */
bool route_spread_out(struct cache_route *r, const struct cache_command *k, bool several, size_t argc, const struct sd_slice *argv);

#endif
