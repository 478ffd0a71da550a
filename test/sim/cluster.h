/* cluster.h - services on simulated machines, faults that happen to them, and what must hold all the while.
 *
 * A scenario says which nodes run what, who asks them, which kinds of faults may happen, what must hold after every step,
 * and what must hold once everything has healed. From a seed comes a plan of faults and the chance of the world; the same
 * seed is the same run. When a run fails, faults are taken out of its plan, and made shorter, as long as it still
 * fails; then seed, what is left of the plan, the last events, and the command that plays it again are printed.
 *
 * A control is a scenario that must fail, because something that should protect it was switched off.
 *
 *	SEEDS=n      how many seeds; scenario_check's default without it
 *	SEED_FROM=k  the one before the first: 0
 *	SEED=k       only this one
 *	ONLY=name    only scenarios whose name has this in it
 */
#ifndef SIM_CLUSTER_H
#define SIM_CLUSTER_H

#include <check.h>

#include "app/applet.h"
#include "app/event.h"
#include "app/run.h"
#include "world/sim.h"

#define SECOND      1000000000ll
#define MAX_MEMBERS 16
#define MAX_FAULTS  64

struct member {
	struct sd_world *world;
	const struct sd_applet *applet; /* NULL: nothing but a control loop, for clients */
	char options[512];
	struct sd_loop *control;
	struct sd_events *events;
	struct sd_conf *conf;
	struct sd_run *run;
	/* Called whenever a node without an applet was started, and before it goes. */
	void (*started)(struct member *m);
	void (*ending)(struct member *m);
	void *user;
};

struct cluster {
	struct sd_sim *sim;
	const struct scenario *scenario;
	struct member members[MAX_MEMBERS];
	unsigned n;
	void *user;
	char failed[512]; /* the first thing that was wrong; "" */
};

/* Adds a node and starts the service on it; options as on the command line. applet NULL: see struct member. */
struct member *cluster_add(struct cluster *c, const char *name, const struct sd_applet *applet, const char *options);
/* The same where the start may fail: c->failed says so. */
struct member *cluster_try(struct cluster *c, const char *name, const struct sd_applet *applet, const char *options);
struct member *cluster_add_client(struct cluster *c, const char *name, void (*started)(struct member *m),
				  void (*ending)(struct member *m), void *user);
void cluster_crash(struct cluster *c, struct member *m, bool power);
void cluster_restart(struct cluster *c, struct member *m);
/* Steps until the condition holds; false when it did not within the limit, or something failed before. */
bool cluster_step_until(struct cluster *c, bool (*condition)(struct cluster *c), int64_t limit_ns);
/* Steps for so long, unless something fails. */
void cluster_pass(struct cluster *c, int64_t ns);
/* Notes the first failure of a run. */
void cluster_fail(struct cluster *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Do these words come one after the other in what the node printed, from *from on? Moves it behind the last. */
bool cluster_said(const struct member *m, size_t *from, const char *const *words);

/* ---- faults ---- */

#define FAULT_LIST(X)                                                                                        \
	X(FAULT_POWER, "power cut of")                                                                       \
	X(FAULT_KILL, "kill of")                                                                             \
	X(FAULT_PAUSE, "pause of")                                                                           \
	X(FAULT_SLOW, "slow node")                                                                           \
	X(FAULT_PARTITION, "partition of")                                                                   \
	X(FAULT_ONE_WAY, "one-way cut from")                                                                 \
	X(FAULT_LOSS, "lossy wire between")                                                                  \
	X(FAULT_DELAY, "slow wire between")                                                                  \
	X(FAULT_SYNC, "failing sync on")                                                                     \
	X(FAULT_FULL, "full disk on")

enum fault_kind {
#define X(id, text) id,
	FAULT_LIST(X)
#undef X
	    FAULT_KINDS
};
#define FAULT(kind) (1u << (kind))

struct fault {
	int64_t at_ns, for_ns;
	enum fault_kind kind;
	unsigned a, b; /* nodes */
};

struct fault_spec {
	unsigned kinds;    /* FAULT(FAULT_KILL) | ... */
	unsigned most;     /* at most so many */
	unsigned nnodes;   /* they happen to the first of these */
	int64_t from_ns, to_ns, longest_ns;
};

/* ---- scenarios ---- */

struct scenario {
	const char *name;
	struct fault_spec faults;
	void (*begin)(struct cluster *c);
	void (*always)(struct cluster *c);  /* after every step; NULL: nothing */
	void (*finally)(struct cluster *c); /* all faults are over and healed; steps on as it likes */
	void (*end)(struct cluster *c);     /* frees what begin made, after all members are gone; NULL: nothing */
	bool must_fail;                     /* some seed must fail; none: that is the error */
};

/* Runs it for each seed and checks; see above for the environment. */
void scenario_check(const struct scenario *s, uint64_t default_seeds);
/* One run: true when nothing failed. Digest and steps may be NULL. */
bool scenario_run(const struct scenario *s, uint64_t seed, char failed[512], uint64_t *digest, uint64_t *steps);
/* The plan a failing seed shrinks to; its length. */
size_t scenario_shrink(const struct scenario *s, uint64_t seed, struct fault out[MAX_FAULTS]);

/* Runs a suite as a program; the exit status. */
int sim_main(Suite *suite);

#endif
