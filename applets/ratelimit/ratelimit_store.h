/* ratelimit_store.h - limits that several servers share, in a server of RESP.
 *
 *	ratelimit_store_words.c   what is asked, in Lua or with CL.THROTTLE, and what the answers mean: pure
 *	ratelimit_store.c         the link to it, who waits for an answer, and what happens without one
 *
 *	         link stands                    SCRIPT LOAD: yes
 *	FIRST -----------------> which tongue? ------------------> LUA
 *	waits                      ^     |  \ COMMAND INFO: yes
 *	  |                        |     |   `--------------------> THROTTLE
 *	  |                        |     neither
 *	  +-- no connection --> DOWN <---+------- link breaks ----- LUA, THROTTLE
 *	                        --store-down decides
 *
 * The time is the store's own in both tongues, so clocks of servers need not agree.
 */
#ifndef RATELIMIT_STORE_H
#define RATELIMIT_STORE_H

#include "core/resp_reply.h"
#include "ratelimit.h"

#define RL_STORE_KEY  (1024 + SD_LIMIT_NAME + 16)
#define RL_STORE_LOG  10000 /* units of a sliding log: each is one item of a list */
#define RL_STORE_ARGS 5     /* of each limit, for the script */

enum rl_tongue { RL_LUA, RL_THROTTLE };

/* One limit that is asked for. */
struct rl_store_ask {
	const struct sd_limit *rule;
	struct sd_slice key; /* in the store */
};

/* A request; the slices point into it, and at keys. */
struct rl_words {
	size_t n;
	struct sd_slice argv[3 + RL_RULES * (1 + RL_STORE_ARGS)];
	char numbers[RL_RULES][RL_STORE_ARGS][24];
};

extern const char rl_store_script[];

/* SD_OK, or SD_EUSAGE with a sentence: this limit cannot be kept in a store that speaks this. */
enum sd_err rl_store_fits(const struct sd_limit *rule, enum rl_tongue tongue, struct sd_error *e);
/* Fills rule->share, what one of so many servers lets pass by itself: buckets filled so much slower, windows with so much less,
 * or, where that is less than a request costs, of one request in so much longer. Together they let pass, in any period: of a bucket at most
 * count + the larger of burst and servers * cost, of windows what one has that has the larger of count and servers * cost. */
void rl_store_share(struct sd_limit *rule, uint32_t servers);
/* Of limits of one name and another kind the keys are others, since their values are. */
size_t rl_store_key(const struct sd_limit *rule, struct sd_slice key, char out[RL_STORE_KEY]);
/* All of them or none, in one request; sha NULL: with the whole text. */
void rl_store_evaluate(struct rl_words *w, const char *sha, const struct rl_store_ask *asks, size_t n);
/* False: this is no answer to that. */
bool rl_store_evaluated(const struct sd_resp_value *reply, const struct rl_store_ask *asks, size_t n,
			struct sd_ratelimit_answer *answers);
/* One of them alone; back: what it took is given back. */
void rl_store_throttle(struct rl_words *w, const struct rl_store_ask *ask, bool back);
bool rl_store_throttled(const struct sd_resp_value *reply, const struct rl_store_ask *ask, struct sd_ratelimit_answer *a);
/* Does this answer to COMMAND INFO CL.THROTTLE say that there is one? */
bool rl_store_has_throttle(const struct sd_resp_value *reply);

#endif
