/* limit_words.h - how limits are asked of a server of RESP: in Lua, all of a request at once, or with CL.THROTTLE, one at a time. The time is
 * the server's own in both tongues, so clocks of those who ask need not agree. Pure; limit_store.h has the link.
 */
#ifndef SD_APP_LIMIT_WORDS_H
#define SD_APP_LIMIT_WORDS_H

#include "core/resp_reply.h"
#include "limits.h"

#define SD_LIMIT_STORE_KEY  (SD_LIMIT_KEY + SD_LIMIT_NAME + 16)
#define SD_LIMIT_STORE_LOG  10000 /* units of a sliding log: each is one item of a list */
#define SD_LIMIT_STORE_ARGS 5     /* of each limit, for the script */

enum sd_limit_tongue { SD_LIMIT_LUA, SD_LIMIT_THROTTLE };

enum sd_limit_op {
	SD_LIMIT_TAKE,   /* all or none */
	SD_LIMIT_PEEK,   /* what take would say */
	SD_LIMIT_SETTLE, /* cost was taken and used was used: the difference is given back or charged */
	SD_LIMIT_FORGET, /* the key is as new */
};

/* One limit of a key. */
struct sd_limit_item {
	char name[SD_LIMIT_NAME]; /* of its rule, or "" */
	struct sd_ratelimit_limit limit;
	uint64_t scope;
	struct sd_slice key;
	uint32_t cost, used;
	int64_t age_ns; /* SETTLE: how long ago it was taken */
};

/* A request; the slices point into it, and at keys. */
struct sd_limit_words {
	size_t n;
	struct sd_slice argv[4 + SD_RATELIMIT_TOGETHER * (1 + SD_LIMIT_STORE_ARGS)];
	char numbers[SD_RATELIMIT_TOGETHER][SD_LIMIT_STORE_ARGS][24];
};

extern const char sd_limit_script[];

/* SD_OK, or SD_EUSAGE with a sentence: this limit cannot be kept in a store that speaks this. */
enum sd_err sd_limit_fits(const char *name, const struct sd_ratelimit_limit *limit, enum sd_limit_tongue tongue, struct sd_error *e);
/* Of limits of one name and another kind the keys are others, since their values are. */
size_t sd_limit_store_key(const struct sd_limit_item *item, struct sd_slice key, char out[SD_LIMIT_STORE_KEY]);
/* All of them or none, in one request; sha NULL: with the whole text. */
void sd_limit_evaluate(struct sd_limit_words *w, const char *sha, enum sd_limit_op op, const struct sd_limit_item *items,
		       const struct sd_slice *keys, size_t n);
/* False: this is no answer to that. */
bool sd_limit_evaluated(const struct sd_resp_value *reply, const struct sd_limit_item *items, size_t n,
			struct sd_ratelimit_answer *answers);
/* One of them alone. False: there are no words for it. */
bool sd_limit_throttle(struct sd_limit_words *w, enum sd_limit_op op, const struct sd_limit_item *item, struct sd_slice key);
bool sd_limit_throttled(const struct sd_resp_value *reply, enum sd_limit_op op, const struct sd_limit_item *item,
			struct sd_ratelimit_answer *a);
/* Does this answer to COMMAND INFO CL.THROTTLE say that there is one? */
bool sd_limit_has_throttle(const struct sd_resp_value *reply);

#endif
