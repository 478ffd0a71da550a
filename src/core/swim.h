/* swim.h - who is in a cluster and who is alive, without a master: SWIM (Das, Gupta, Motivala: SWIM, 2002) with what
 * Lifeguard added (Dadgar, Phillips, Currey: Lifeguard, 2017). Pure: time, chance and datagrams come in, datagrams and
 * news go out.
 *
 * Each interval a member pings one other; when no answer comes it asks a few more to ping it too; when still none comes it
 * says that it suspects it. A suspect that hears of it says so with a higher incarnation, which ends it. One that does not
 * is dead. News travel on the back of pings and their answers, each told a number of times that grows with the logarithm of
 * the members. Whoever misses answers itself (Lifeguard) takes more time for everything, and a suspicion lasts shorter the
 * more members share it.
 *
 *	          nobody got an answer              its time is over
 *	ALIVE ----------------------> SUSPECT ------------------------> DEAD --kept for a while--> forgotten
 *	  ^  ^                          |                                 |
 *	  |  +----a higher incarnation--+---------------------------------+        LEFT: it said so itself
 *
 * Of two news about a member the one with the higher incarnation counts; of one incarnation the one further right. The
 * member alone makes its incarnation higher: whenever it hears of itself what is not so, also that it is dead. The dead are
 * asked now and then, so that two halves of a cluster find each other again; members compare all they know from time
 * to time; and who writes to a member that holds it for dead is told.
 *
 * A datagram is at most SD_SWIM_DATAGRAM bytes; numbers are little-endian:
 *
 *	 0   4  "SDG1"
 *	 4   8  cluster: who is in another one is refused
 *	12  20  id of the sender
 *	32   1  kind: 1 ping, 2 ack, 3 ping-req, 4 nack, 5 sync, 6 its answer, 7 news, 8 refused
 *	33   4  number: an ack and a nack have that of what they answer
 *	37      ping: id of who is meant, zeros for whoever is there (20)
 *	        ping-req: id (20), end of the bus of who is meant
 *	        then news of members, to the end (none in nack and refused)
 *	-32 32  with a shared key: HMAC-SHA256 of all bytes before
 *
 *	member:  id 20, state 1, incarnation 8, epoch 8, weight 2, end for clients, end of the bus, length of payload 1, payload;
 *	         when it is suspected: id of who suspects it 20
 *	end:     4 or 16 (its version; 0: none), the address, port 2. The address 0 stands for where the datagram came from,
 *	         and may be used only by the sender for itself
 *
 * A datagram that is not exactly this changes nothing, and is counted. The key keeps strangers out; who can record datagrams can
 * repeat them, which the incarnations make useless after a while.
 *
 * Cost: some 200 bytes a member; a datagram and its answer each interval, whatever the size of the cluster.
 */
#ifndef SD_CORE_SWIM_H
#define SD_CORE_SWIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SD_SWIM_ID       20
#define SD_SWIM_PAYLOAD  64
#define SD_SWIM_DATAGRAM 1400
#define SD_SWIM_MAC      32
#define SD_SWIM_MEMBERS  1024 /* known at a time; more are not taken */
#define SD_SWIM_SEEDS    16

struct sd_swim_id {
	uint8_t b[SD_SWIM_ID];
};

struct sd_swim_end {
	uint8_t ip[16]; /* network order; IPv4 in the first four */
	uint16_t port;
	bool v6;
};

enum sd_swim_state { SD_SWIM_ALIVE, SD_SWIM_SUSPECT, SD_SWIM_DEAD, SD_SWIM_LEFT };

/* What a member says of itself. */
struct sd_swim_facts {
	struct sd_swim_id id;
	struct sd_swim_end client, bus;
	uint64_t epoch;
	uint16_t weight;
	uint8_t npayload;
	uint8_t payload[SD_SWIM_PAYLOAD]; /* the application's own */
};

#define SD_SWIM_ACCUSERS 4

struct sd_swim_member {
	struct sd_swim_facts facts;
	uint64_t incarnation;
	enum sd_swim_state state;
	int64_t since_ns, heard_ns; /* in this state since; the last datagram of its own, INT64_MIN: none */
	int64_t rtt_ns;             /* of the last ping; -1: none yet */
	/* swim.c's own */
	uint16_t told, tell; /* how often this was told, and how often it is to be */
	uint64_t in;         /* number of the last datagram that has it */
	uint8_t naccusers;
	struct sd_swim_id accusers[SD_SWIM_ACCUSERS];
	int64_t dies_ns; /* when suspected */
	int64_t told_ns; /* that we hold it for dead, though it speaks */
};

struct sd_swim_conf {
	uint64_t cluster;
	int64_t interval_ns, timeout_ns; /* of pings; how long an answer may take before others are asked */
	unsigned indirect;               /* how many others */
	unsigned lambda;                 /* news are told lambda * log10(n + 1) times */
	unsigned suspicion;              /* a suspicion lasts suspicion * log10(n) intervals (1 at least), up to 6 times that */
	int64_t sync_ns;                 /* all is compared with one other */
	int64_t reach_ns;                /* somebody dead, or a seed that is not there, is asked */
	int64_t keep_ns;                 /* the dead are remembered */
	bool never_refute;               /* for tests of what that would mean */
};
/* For a network in one place; cluster is 0. */
struct sd_swim_conf sd_swim_conf_default(void);

struct sd_swim_host {
	void *arg;
	void (*send)(void *arg, const struct sd_swim_end *to, const void *p, size_t n);
	/* A member is new (was NULL), or its state or facts changed; neither stays after the call. Nothing of swim but what
	 * reads may be called from here. */
	void (*changed)(void *arg, const struct sd_swim_member *was, const struct sd_swim_member *is);
	void (*forgotten)(void *arg, const struct sd_swim_member *m); /* NULL: nobody asks */
	/* The HMAC-SHA256 of n bytes under the shared key. NULL: there is none. */
	void (*mac)(void *arg, const void *p, size_t n, uint8_t out[SD_SWIM_MAC]);
};

struct sd_swim_stats {
	uint64_t sent, received;
	uint64_t bad;     /* not as above */
	uint64_t foreign; /* of another cluster, or refused by one */
	struct sd_swim_end last_foreign;
	uint64_t forged;  /* a wrong MAC */
	uint64_t own;     /* of somebody with our id */
	uint64_t full;    /* members that there was no room for */
	uint64_t pings, acks, suspected, died, refuted;
};

struct sd_swim;

/* Itself is a member from the beginning, and alive. NULL: out of memory. */
struct sd_swim *sd_swim_new(const struct sd_swim_conf *conf, const struct sd_swim_facts *self, const struct sd_swim_host *host,
			    uint64_t seed, int64_t now_ns);
void sd_swim_free(struct sd_swim *s);
/* Asks there who else there is, again and again until it is somebody alive. False: there are SD_SWIM_SEEDS already. */
bool sd_swim_join(struct sd_swim *s, const struct sd_swim_end *seed, int64_t now_ns);
void sd_swim_receive(struct sd_swim *s, const struct sd_swim_end *from, const void *p, size_t n, int64_t now_ns);
/* Does what is due; when to call again. */
int64_t sd_swim_tick(struct sd_swim *s, int64_t now_ns);
/* Says something new of itself; the id stays. */
void sd_swim_say(struct sd_swim *s, const struct sd_swim_facts *self, int64_t now_ns);
/* Tells all that it goes; tick a few times more, so that it is heard. */
void sd_swim_leave(struct sd_swim *s, int64_t now_ns);
/* Drops somebody who is dead or left. False: it is not known, or is neither. */
bool sd_swim_forget(struct sd_swim *s, const struct sd_swim_id *id);

/* Itself first, the others in no order; pointers are good until the next call of one of those above. */
size_t sd_swim_count(const struct sd_swim *s);
const struct sd_swim_member *sd_swim_at(const struct sd_swim *s, size_t i);
const struct sd_swim_member *sd_swim_find(const struct sd_swim *s, const struct sd_swim_id *id);
static inline const struct sd_swim_member *sd_swim_self(const struct sd_swim *s)
{
	return sd_swim_at(s, 0);
}
/* How many are alive or suspected, itself among them. */
size_t sd_swim_alive(const struct sd_swim *s);
/* 0: all is well with this one; up to 7: it misses what others do not. */
unsigned sd_swim_ill(const struct sd_swim *s);
const struct sd_swim_stats *sd_swim_stats(const struct sd_swim *s);

int sd_swim_id_compare(const struct sd_swim_id *a, const struct sd_swim_id *b);
/* 40 digits and a 0. */
void sd_swim_id_text(const struct sd_swim_id *id, char out[2 * SD_SWIM_ID + 1]);
bool sd_swim_id_parse(const char *text, size_t n, struct sd_swim_id *out);
bool sd_swim_end_equal(const struct sd_swim_end *a, const struct sd_swim_end *b);
const char *sd_swim_state_text(enum sd_swim_state s);

#endif
