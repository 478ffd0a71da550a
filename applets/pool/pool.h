/* pool.h - what the files of this applet share. */
#ifndef POOL_APPLET_H
#define POOL_APPLET_H

#include <cjson/cJSON.h>

#include "app/applet.h"
#include "core/addr.h"
#include "sdlab/pool.h"
#include "world/loop.h"
#include "world/world.h"

struct crowd;

struct pool_user {
	struct sd_work work;
	struct crowd *crowd;
	uint64_t number; /* from 1 */
};

/* Users, their pool, and what they were told. Numbers that several threads change are atomic. */
struct crowd {
	struct sd_verb_call *call;
	struct sd_world *world;
	struct sd_pool_shared *pool;
	struct sd_loop *loop;
	struct sd_helpers *threads;
	struct pool_user *users;
	uint32_t nusers, nconns;
	uint32_t early; /* of those who are served last, these give back first */
	int64_t hold_ns, timeout_ns;
	struct sd_addr target; /* kind NONE: inside this process */
	bool again;            /* users come again until `over` */

	uint32_t served; /* atomic: how many got one */
	uint32_t gone;   /* atomic: users that ended */
	uint32_t failed; /* atomic: got none; the first says why in e */
	uint32_t stage;  /* atomic, enum pool_stage */
	bool over;       /* atomic */
	struct sd_error e;
	int64_t ahead_ns;  /* atomic: the pool's clock before the real one */
	int64_t frozen_ns; /* atomic: it stands still here; 0: it does not */
	uint32_t leaking, leaks; /* atomic; leak, the first, is written between */
	struct sd_pool_held leak;
};

enum pool_stage {
	POOL_FULL,   /* who has one keeps it */
	POOL_FLOWS,  /* each is given back after a while, but for the last */
	POOL_EMPTIES /* all are given back */
};

/* pool_users.c */
enum sd_err pool_crowd_open(struct crowd *c, const struct sd_pool_conf *conf, struct sd_error *e);
enum sd_err pool_crowd_begin(struct crowd *c, struct sd_error *e);
/* One that borrows and never gives back: its place in the source is what a leak report shows. */
enum sd_err pool_user_forgets(struct crowd *c, uint64_t number, struct sd_error *e);
/* Waits for all users, and closes everything. */
void pool_crowd_close(struct crowd *c);
void pool_clock_freeze(struct crowd *c);
void pool_clock_ahead(struct crowd *c, int64_t ns);

/* pool_test.c */
int pool_test(struct sd_verb_call *call);

/* pool_top.c */
int pool_top(struct crowd *c, int64_t duration_ns);

#endif
