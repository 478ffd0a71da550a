/* cache_shell.h - the cache as a service: what its connections (cache_serve.c) and its life (cache_shell.c) share. */
#ifndef CACHE_SHELL_H
#define CACHE_SHELL_H

#include "app/run_stream.h"
#include "../cluster/cache_copies.h"
#include "../cluster/cache_node.h"
#include "../disk/cache_disk.h"
#include "cache_ahead.h"
#include "cache_lane.h"
#include "cache_metrics.h"

struct shell;

/* Of its lane's loop, but for what says otherwise: that belongs to whoever is inside (cache_lane.h). */
struct client {
	struct cache_session session; /* inside */
	struct cache_route route;     /* inside; in a cluster */
	bool ended;                   /* inside: the session is over, and the connection is to go as well */
	size_t counted;               /* inside: of it in used_memory */
	struct sd_resp_reader reader;
	struct lane *lane;
	struct sd_stream *stream;
	struct sd_link link;    /* in lane->clients */
	struct sd_link sending; /* of those woken, whose replies were taken out and are to be sent */
	struct sd_resp_out got; /* while it is there */
	bool said_all;          /* it sends no more, and waits for replies of other nodes */
	bool awaits, held;      /* as of when it was inside last: replies of others; until it takes requests again */
	bool stranger;          /* likewise: it did not say who it is */
	size_t buffers; /* of it in used_memory, as of when they were counted last */
	int64_t slow_since_ms; /* its backlog is above the soft limit; 0: it is not */
};

struct lane {
	struct cache_lane lane; /* the first, as cache_lanes has it */
	struct shell *shell;
	struct sd_worker *w;
	struct sd_run_streams streams;
	struct sd_link clients, leaving; /* leaving: those whose last replies are on their way */
	struct cache_ahead ahead; /* of whose turn it is */
	struct sd_resp_out spare; /* whoever replies borrows it */
	int64_t now_ms;           /* of this turn inside */
};

struct shell {
	struct sd_run *run;
	struct sd_loop *loop; /* of lane 0: what is not a connection's is there */
	struct cache cache;
	struct cache_lanes all;
	struct lane *lanes;
	struct sd_timer tick;
	struct cache_metrics metrics;
	int64_t tick_at_ms;
	struct cache_disk *disk; /* NULL: nothing is kept */
	struct cache_node node;
	struct cache_cluster cluster;
	struct cache_copies *copies; /* in a cluster */
	char *password;
	uint32_t active; /* connections */
	bool stopped;    /* no command is run any more */
};

/* The engine is the lane's from the one to the other. */
void cache_serve_enter(struct lane *l);
void cache_serve_leave(struct lane *l);
int64_t cache_serve_wall_ms(const struct shell *s);
/* Those of a session with these flags end, with their connections. Inside. */
void cache_serve_end_sessions(struct shell *s, uint32_t with);
/* at_once: also those whose last replies are on their way. */
void cache_serve_end_clients(struct lane *l, bool at_once);

/* What a lane is called for: a connection, word of another lane, the clock. */
void cache_serve_accepted(void *lane, struct sd_io *io, bool secure, struct sd_client_pass pass);
void cache_serve_look(struct cache_lane *lane);
void cache_serve_tick(struct sd_timer *t);

#endif
