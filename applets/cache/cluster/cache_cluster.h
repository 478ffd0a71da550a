/* cache_cluster.h - one node of a cluster of caches: members, the map of slots, links to the others, and who answers a command.
 *
 *	cache_serve.c   clients --- cache_route_call ---+
 *	                                                v
 *	cache_route*.c  whose slot is it? ---here---> cache_call            ---there---> frame on a link, its reply later,
 *	                                                                       in the order the client asked; or MOVED
 *	cache_remote.c  commands that other nodes sent here
 *	cache_cluster.c members (core/swim over UDP), views, links (cache_bus), what is said to people
 *
 * The loop is lane 0's (cache_lane.h). Commands of the other lanes come here too, on their threads, while they are inside: sockets and
 * timers are not theirs, so that what they want of them is left for the loop, which does it first of all when it comes in.
 *
 * Which node has a key: CLUSTER LOCATE key (a command of this cache's own) answers with an array of the slot and, for the owner and then
 * each copy, an array of address, port and id. A client that wants to say where something was stored asks it beside the command; unlike CLUSTER SLOTS it does not make the connection one that
 * gets MOVED.
 */
#ifndef CACHE_CLUSTER_H
#define CACHE_CLUSTER_H

#include "app/event.h"
#include "../engine/cache.h"
#include "cache_agreed.h"
#include "cache_bus.h"
#include "cache_view.h"
#include "core/resp_reply.h"

enum cache_routing { CACHE_ROUTE_AUTO, CACHE_ROUTE_MOVED, CACHE_ROUTE_PROXY };

struct cache_cluster_conf {
	const char *name; /* nodes of another one are refused */
	struct sd_slice key;
	enum cache_routing routing;
	unsigned copies; /* owners of a slot, the first included */
	unsigned quorum; /* above 1: views are agreed */
	int64_t interval_ns;
	int64_t hot_reads; /* a second: keys read more often here are answered by this node's own copy; 0: none */
	struct sd_addr bind;     /* of the bus; port 0 is replaced */
	struct sd_addr announce; /* for clients; kind NONE: where others see us, and the port clients come to */
	uint16_t port;
	struct sd_swim_id id;
	const struct sd_addr *seeds; /* may be SD_ADDR_NAME */
	size_t nseeds;
};

struct cache_cluster_host {
	void *arg;
	/* Around whatever the loop calls here: others may run commands meanwhile. Leaving sees to sessions in cache->woken. */
	void (*enter)(void *arg);
	void (*leave)(void *arg);
	/* A thread that runs a command left something that is the loop's to do: cache_cluster_catch_up is to be called there, before
	 * anything else between enter and leave. */
	void (*behind)(void *arg);
};

struct cache_route;

struct cache_cluster {
	struct cache *cache;
	struct sd_loop *loop;
	struct sd_log *log;
	struct cache_cluster_conf conf;
	struct cache_cluster_host host;
	struct sd_swim *swim;
	struct sd_datagrams *udp;
	struct cache_bus *bus;
	struct cache_view *view;
	struct cache_agreed *agreed; /* NULL: views follow gossip */
	struct cache_data data;
	struct cache_peers peers;
	struct sd_timer tick, data_tick, retry, agree; /* of the loop */
	struct cache_behind {
		bool any, data;
		int64_t retry_ns, data_ns; /* what the timers are to be set for; data: the latter is */
	} behind;
	struct cache_lookup *lookups; /* of seeds with names */
	bool changed;                 /* members did: a new view is due */
	bool joining;                 /* there are seeds, and none has answered yet */
	bool ending, leaving;
	int64_t began_ns;
	uint64_t foreign_told;
	/* cache_route.c */
	struct sd_link parts; /* sent and not answered, or to be tried again: struct route_part */
	uint32_t number;
	/* cache_remote.c */
	struct sd_link remotes;
	uint64_t sent_on, retried;
};

/* ---- cache_cluster.c ---- */
enum sd_err cache_cluster_start(struct cache_cluster *cl, struct sd_error *e); /* cache, loop, log, conf, host are set */
void cache_cluster_catch_up(struct cache_cluster *cl);
/* Monotonic time, on any thread. */
int64_t cache_cluster_now(const struct cache_cluster *cl);
/* Parts that wait are looked at again then, or earlier. */
void cache_cluster_look_at(struct cache_cluster *cl, int64_t at_ns);
/* Tells the others that this node goes. */
void cache_cluster_leave(struct cache_cluster *cl);
void cache_cluster_end(struct cache_cluster *cl);
/* For the data side, before cache_cluster_start; peers may be used from then on. */
struct cache_peers cache_cluster_peers(struct cache_cluster *cl);
void cache_cluster_use(struct cache_cluster *cl, const struct cache_data *data);
/* May commands be answered? Not before a node that is to join has found somebody, or has waited for it a while. */
bool cache_cluster_ready(const struct cache_cluster *cl);
void cache_cluster_say(struct cache_cluster *cl, enum sd_level level, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "7001" where all nodes have one address, else "10.0.0.1:7001". */
const char *cache_node_name(const struct cache_cluster *cl, const struct sd_swim_end *client, char out[64]);
size_t cache_end_host(const struct sd_swim_end *e, char out[46]);
struct sd_addr cache_end_addr(const struct sd_swim_end *e);
bool cache_cluster_send(struct cache_cluster *cl, const struct sd_swim_id *to, const struct cache_frame *head,
			const struct sd_slice *parts, size_t nparts);
bool cache_cluster_meet(struct cache_cluster *cl, const struct sd_addr *addr);
/* A node that is gone for good is not waited for any more. False: it is there, or nobody has heard of it. */
bool cache_cluster_forget(struct cache_cluster *cl, const struct sd_swim_id *id);
/* Which node answers for a slot. */
enum cache_serving cache_cluster_serving(const struct cache_cluster *cl, const struct cache_asked *asked, struct sd_swim_id *who);

/* ---- cache_route.c ---- */

/* What a client's session waits for from other nodes; in the shell's client, zeroed. */
struct cache_route {
	struct cache_cluster *cl;
	struct cache_session *session;
	struct sd_link replies; /* in the order of the requests: struct route_reply */
	size_t nreplies;
	char *queued;           /* requests since MULTI, as they are sent */
	size_t nqueued, queued_room;
	struct sd_swim_id pinned; /* where WATCH was sent */
	bool is_pinned;
	struct sd_swim_id wrote_to; /* the last write was sent there, when wrote_there */
	bool wrote_there;
	bool barrier; /* nothing runs before what was sent on is answered */
	int slot;     /* of the transaction; -1: no key yet */
	int watched;  /* slot of what WATCH named; -2: several */
};
void cache_route_begin(struct cache_route *r, struct cache_cluster *cl, struct cache_session *s);
void cache_route_end(struct cache_route *r);
/* Runs a request here or there. False: it has to wait until those before are answered, and is to be given again. */
bool cache_route_call(struct cache_route *r, size_t argc, const struct sd_slice *argv, int64_t now_ms);
void cache_route_reply(struct cache_cluster *cl, const struct cache_frame *f);
void cache_route_lost(struct cache_cluster *cl, const struct sd_swim_id *peer);
void cache_route_retry(struct cache_cluster *cl);
/* At the end: parts of clients that are gone. */
void cache_route_forget(struct cache_cluster *cl);
/* An error the client gets for a key that is elsewhere: MOVED. */
void cache_put_moved(struct cache_cluster *cl, struct sd_resp_out *out, unsigned slot, const struct sd_swim_id *to);

/* ---- cache_remote.c ---- */
void cache_remote_frame(struct cache_cluster *cl, struct cache_link *from, const struct cache_frame *f);
/* The same for a request of this node's own, whose reply comes to cache_route_reply; its session ends with that. */
void cache_remote_local(struct cache_cluster *cl, const struct cache_frame *f);
void cache_remote_gone(struct cache_cluster *cl, struct cache_link *link);
/* A session with CACHE_REMOTE got something without having asked now. */
void cache_remote_woken(struct cache_session *s);
void cache_remote_publish(struct cache_cluster *cl, struct sd_slice channel, struct sd_slice text);

/* ---- cache_cluster_cmd.c ---- */
extern const struct cache_command cache_cluster_commands[];

#endif
