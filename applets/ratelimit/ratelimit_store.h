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
#include "ratelimit_ask.h"

#define RL_STORE_KEY  (SD_LIMIT_KEY + SD_LIMIT_NAME + 16)
#define RL_STORE_LOG  10000 /* units of a sliding log: each is one item of a list */
#define RL_STORE_ARGS 5     /* of each limit, for the script */

enum rl_tongue { RL_LUA, RL_THROTTLE };

/* A request; the slices point into it, and at keys. */
struct rl_words {
	size_t n;
	struct sd_slice argv[4 + RL_RULES * (1 + RL_STORE_ARGS)];
	char numbers[RL_RULES][RL_STORE_ARGS][24];
};

extern const char rl_store_script[];

/* SD_OK, or SD_EUSAGE with a sentence: this limit cannot be kept in a store that speaks this. */
enum sd_err rl_store_fits(const char *name, const struct sd_ratelimit_limit *limit, enum rl_tongue tongue, struct sd_error *e);
/* Of limits of one name and another kind the keys are others, since their values are. */
size_t rl_store_key(const struct rl_item *item, struct sd_slice key, char out[RL_STORE_KEY]);
/* All of them or none, in one request; sha NULL: with the whole text. */
void rl_store_evaluate(struct rl_words *w, const char *sha, enum rl_op op, const struct rl_item *items, const struct sd_slice *keys,
		       size_t n);
/* False: this is no answer to that. */
bool rl_store_evaluated(const struct sd_resp_value *reply, const struct rl_item *items, size_t n,
			struct sd_ratelimit_answer *answers);
/* One of them alone. False: there are no words for it. */
bool rl_store_throttle(struct rl_words *w, enum rl_op op, const struct rl_item *item, struct sd_slice key);
bool rl_store_throttled(const struct sd_resp_value *reply, enum rl_op op, const struct rl_item *item, struct sd_ratelimit_answer *a);
/* Does this answer to COMMAND INFO CL.THROTTLE say that there is one? */
bool rl_store_has_throttle(const struct sd_resp_value *reply);

/* ---- the link ---- */

enum sd_err rl_store_check(const struct sd_conf *conf, struct sd_error *e);
enum sd_err rl_store_open(struct rl_worker *w, const struct sd_conf *conf, struct sd_error *e);
void rl_store_close(struct rl_worker *w); /* who still waits is told as if it were down */
void rl_store_send(struct rl_asked *a);

#endif
