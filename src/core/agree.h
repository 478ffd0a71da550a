/* agree.h - nodes that agree on who is a member: configurations 1, 2, 3 ..., each the same wherever it is known. Pure: time, chance
 * and messages come in, messages and decisions go out.
 *
 * Configuration e + 1 is decided by the members of e: one round of Paxos (Lamport: Paxos Made Simple, 2001) for each, among a majority of
 * them. So whoever was parted from the others decides nothing against them, and who knows configuration e knows that nobody has
 * another one. A node keeps what it promised in memory only: one that is started anew must have another id, and is another acceptor, which
 * is in no configuration before somebody takes it in.
 *
 *	propose()   what this node would have the next one be, of the members it sees. The first of them by id tries at once,
 *	            the others a while later each, so that rounds seldom meet
 *	decided()   all of them in their order; one that was away hears of those it missed
 *
 * Lineages. A chain of configurations has a number, drawn by the node that began it. Two clusters that meet become one: the one
 * whose lineage is weaker gives it up, each node for itself, and its nodes wait to be taken in. A lineage that never had `strong` members
 * is weaker than one that had; of two alike the higher number is.
 *
 * Messages; numbers are little-endian:
 *
 *	kind 1, flags 1 (1: the lineage is strong), lineage 8, epoch 8, then
 *	1 HEAD      of epoch: the last one the sender knows (0: none)
 *	2 PREPARE   of epoch: the one to be decided; ballot: number 8, id 20
 *	3 PROMISE   ballot; the ballot of what it accepted (zeros: nothing), and that: members
 *	4 REFUSE    the ballot it promised
 *	5 ACCEPT    ballot, members
 *	6 ACCEPTED  ballot
 *	7 DECIDED   of epoch: the last one in it; configurations one behind the other: epoch 8, members
 *
 *	members: how many 2, for each id 20, role 1; ascending
 *
 * A message that is not exactly this changes nothing and is counted.
 */
#ifndef SD_CORE_AGREE_H
#define SD_CORE_AGREE_H

#include "swim.h"

#define SD_AGREE_MEMBERS 1024
#define SD_AGREE_KEPT	 64 /* the last so many configurations are remembered */

/* What a role means is for whoever proposes it; here all members are acceptors. */
#define SD_AGREE_ROLES 4
struct sd_agree_member {
	struct sd_swim_id id;
	uint8_t role;
};

struct sd_agree_config {
	uint64_t epoch;
	size_t n;
	struct sd_agree_member members[]; /* by id */
};

struct sd_agree_conf {
	size_t strong;	      /* members a lineage must have had to count as a strong one */
	int64_t interval_ns;  /* between two words to the others of what is known */
	int64_t settle_ns;    /* a proposal waits so long, and once more for each member before this one */
	int64_t round_ns;     /* a round without an end is begun anew */
	unsigned enough;      /* for tests: so many make a majority; 0: more than half do */
	bool breaks_promises; /* for tests: what was promised to a higher ballot does not count */
};
struct sd_agree_conf sd_agree_conf_default(void);

struct sd_agree_host {
	void *arg;
	void (*send)(void *arg, const struct sd_swim_id *to, const void *p, size_t n);
	/* One more is known; they come in their order. Nothing of agree but what reads may be called from here. */
	void (*decided)(void *arg, const struct sd_agree_config *c);
	/* The lineage was given up for a stronger one: what was decided in it counts no more. */
	void (*gave_up)(void *arg);
};

struct sd_agree_stats {
	uint64_t rounds, decided, bad;
};

struct sd_agree;

/* NULL: out of memory. */
struct sd_agree *sd_agree_new(const struct sd_agree_conf *conf, const struct sd_swim_id *self, const struct sd_agree_host *host,
			      uint64_t seed);
void sd_agree_free(struct sd_agree *a);
/* Begins a lineage: this node alone is configuration 1. There must be none yet. */
bool sd_agree_found(struct sd_agree *a, uint64_t lineage, uint8_t role);
/* What the next configuration should be; n 0: as it is. In any order; the last word counts. */
void sd_agree_propose(struct sd_agree *a, const struct sd_agree_member *members, size_t n, int64_t now_ns);
/* Nodes that are there, members or not: they are told what is known. */
void sd_agree_peers(struct sd_agree *a, const struct sd_swim_id *ids, size_t n);
void sd_agree_receive(struct sd_agree *a, const struct sd_swim_id *from, const void *p, size_t n, int64_t now_ns);
/* Does what is due; when to call again. */
int64_t sd_agree_tick(struct sd_agree *a, int64_t now_ns);
/* This node will not come back with what it promised, somebody answers for that: majorities are of the others. */
void sd_agree_forget(struct sd_agree *a, const struct sd_swim_id *id);

/* The last one; NULL: none yet. Good until the next call of one of those above. */
const struct sd_agree_config *sd_agree_last(const struct sd_agree *a);
/* NULL: it is not known, or not any more. */
const struct sd_agree_config *sd_agree_at(const struct sd_agree *a, uint64_t epoch);
/* Its place among the members; -1: it is none. */
int sd_agree_find(const struct sd_agree_config *c, const struct sd_swim_id *id);
uint64_t sd_agree_lineage(const struct sd_agree *a); /* 0: none */
/* Did this peer say that it is of our lineage? */
bool sd_agree_is_with(const struct sd_agree *a, const struct sd_swim_id *id);
const struct sd_agree_stats *sd_agree_stats(const struct sd_agree *a);

#endif
