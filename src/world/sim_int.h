/* sim_int.h - what the files of the simulated world share. Private to src/world.
 *
 *	sim.c        the universe: agenda, time, chance, trace; nodes up and down
 *	sim_loop.c   loops, helper threads, look-ups
 *	sim_net.c    listeners, connections, packets
 *	sim_datagrams.c  what has no connection
 *	sim_disk.h   files, folders, power cuts, in three files of their own
 *
 * The agenda is a heap of timers (core/timers) in universe time; each thing that waits has its own: a loop for its posts and
 * timers, a socket for its readiness, a direction of a connection for its next packet, a helper for its work.
 */
#ifndef SD_WORLD_SIM_INT_H
#define SD_WORLD_SIM_INT_H

#include "core/list.h"
#include "core/rng.h"
#include "sim.h"
#include "world_int.h"

#define SIM_TRACE  1024
#define SIM_OUTPUT 65536

struct sim_record {
	int64_t at_ns;
	const char *what;
	int8_t from, to; /* nodes; -1: none */
	int64_t number;
};

struct sd_sim {
	int64_t now_ns, slept_ns, computed_ns; /* slept, and computed instead of that: by the callback that runs */
	struct sd_timers agenda;
	struct sd_rng rng, chance;
	uint64_t steps, digest, nrecords;
	uint32_t next_port;
	struct sim_node *nodes[SD_SIM_MAX_NODES];
	unsigned nnodes;
	struct sd_link conns; /* struct sim_conn */
	struct sd_link flying; /* datagrams on their way: struct flight */
	struct sim_loop *current;
	struct sim_io *current_io; /* NULL once its callback closed it */
	struct sim_record trace[SIM_TRACE];
};

struct sim_fault {
	uint64_t n, times;
	int err;
};

struct sim_node {
	struct sd_world world;
	struct sd_sim *sim;
	unsigned index;
	char *name;
	bool up, paused;
	uint32_t life; /* grows when it goes down: what is of an earlier one is a ghost */
	int64_t booted_ns, mono_base_ns, wall_offset_ns, callback_ns;
	struct sd_link loops, listeners, sockets; /* sockets: struct sim_datagrams */
	struct sd_helpers *resolver;
	struct sd_sim_wire wires[SD_SIM_MAX_NODES]; /* to each node */
	int64_t wire_free_ns[SD_SIM_MAX_NODES];     /* when the last packet has left */
	/* disk */
	struct sd_sim_disk disk;
	struct sim_name *names, *synced; /* now, and as a power cut would leave them at best */
	struct sim_change *changes, **changes_tail;
	uint64_t counts[SD_SIM_OPS], failed, cut_in;
	struct sim_fault faults[SD_SIM_OPS];
	char *output;
	size_t output_n;
};

struct sim_loop {
	struct sd_loop loop;
	struct sim_node *node;
	uint32_t life;
	bool running, stopping;
	int64_t busy_until_ns, cpu_ns;
	struct sd_task *posted, **posted_tail;
	struct sd_timer wake;
	struct sd_link link, ios; /* in node->loops; struct sim_io.link */
};

static inline struct sim_node *sim_node(const struct sd_world *w)
{
	return sd_container((uintptr_t)w, struct sim_node, world);
}

static inline struct sim_loop *sim_loop(struct sd_loop *l)
{
	return sd_container(l, struct sim_loop, loop);
}

/* ---- sim.c ---- */
void sim_record(struct sd_sim *s, const char *what, const struct sim_node *from, const struct sim_node *to,
		int64_t number);
void sim_mix(struct sd_sim *s, const void *p, size_t n);
/* Evenly below n; true once in a million times ppm; exponential with this mean. */
uint64_t sim_below(struct sd_sim *s, uint64_t n);
bool sim_ppm(struct sd_sim *s, uint32_t ppm);
int64_t sim_tail(struct sd_sim *s, int64_t mean_ns);
void sim_set(struct sd_sim *s, struct sd_timer *t, int64_t at_ns);
void sim_cancel(struct sd_sim *s, struct sd_timer *t);
/* Counts an operation; the errno it must fail with, or 0. */
int sim_fault(struct sim_node *n, enum sd_sim_op op);

/* ---- sim_loop.c ---- */
struct sd_loop *sim_loop_new(struct sd_world *w, struct sd_error *e);
struct sd_helpers *sim_helpers_new(struct sd_world *w, unsigned max_threads);
void sim_helpers_free(struct sd_helpers *h);
bool sim_submit(struct sd_helpers *h, struct sd_loop *l, struct sd_work *work);
bool sim_resolve(struct sd_loop *l, struct sd_resolve *r);
/* May a callback of this loop run now? If not it will be called again when it may: the timer is set, or the loop's
 * revival sets it. */
bool sim_may_run(struct sim_loop *l, struct sd_timer *t);
void sim_enter(struct sim_loop *l);
void sim_leave(struct sim_loop *l);
bool sim_alive(const struct sim_loop *l);
/* Sets every timer of the loop that has a reason, after a pause or a start. */
void sim_loop_revive(struct sim_loop *l);

/* ---- sim_net.c ---- */
enum sd_err sim_connect(struct sd_loop *l, const struct sd_addr *addr, struct sd_io **out, struct sd_error *e);
enum sd_err sim_listen(struct sd_loop *l, struct sd_addr *addr, bool shared, const struct sd_listener_events *events,
		       struct sd_listener **out, struct sd_error *e);
void sim_net_revive(struct sim_loop *l);
/* The node's sockets go: silently, or as a kernel closes them. */
void sim_net_down(struct sim_node *n, bool silent);
void sim_net_free(struct sd_sim *s);

/* ---- sim_datagrams.c ---- */
enum sd_err sim_datagrams(struct sd_loop *l, struct sd_addr *addr, const struct sd_datagrams_events *events,
			  struct sd_datagrams **out, struct sd_error *e);
void sim_datagrams_revive(struct sim_loop *l);
void sim_datagrams_down(struct sim_node *n);
void sim_datagrams_free(struct sd_sim *s);
/* The node an address leads to from this one; NULL: none. */
struct sim_node *sim_node_at(struct sim_node *from, const struct sd_addr *a);

/* ---- sim_names.c, sim_file.c, sim_dir.c ---- */
int sim_open(struct sd_world *w, const char *name, unsigned flags, struct sd_file **out);
int sim_unlink(struct sd_world *w, const char *name);
int sim_rename(struct sd_world *w, const char *from, const char *to);
int sim_sync_dir(struct sd_world *w, const char *dir);
int sim_disk_room(struct sd_world *w, const char *dir, uint64_t *bytes);
int sim_dir_open(struct sd_world *w, const char *name, unsigned flags, struct sd_dir **out);
void sim_unmap(struct sd_world *w, const void *p, size_t n);
bool sim_file_mode(struct sd_world *w, const char *name, unsigned *mode);
enum sd_err sim_read_file(struct sd_world *w, const char *name, size_t max, char **out, size_t *len,
			  struct sd_error *e);
enum sd_err sim_mkdir(struct sd_world *w, const char *name, unsigned mode, struct sd_error *e);
char **sim_list_dir(struct sd_world *w, const char *name);
void sim_disk_power_cut(struct sim_node *n);
void sim_disk_free(struct sim_node *n);

#endif
