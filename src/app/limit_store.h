/* limit_store.h - limits that several servers share, kept in a server of RESP (limit_words.h): the link to it, and who waits for its
 * answer. What happens without an answer is the caller's.
 *
 *	         link stands                    SCRIPT LOAD: yes
 *	FIRST -----------------> which tongue? ------------------> LUA
 *	waits                      ^     |  \ COMMAND INFO: yes
 *	  |                        |     |   `--------------------> THROTTLE
 *	  |                        |     neither
 *	  +-- no connection --> DOWN <---+------- link breaks ----- LUA, THROTTLE
 */
#ifndef SD_APP_LIMIT_STORE_H
#define SD_APP_LIMIT_STORE_H

#include "core/list.h"
#include "limit_words.h"
#include "world/loop.h"

struct sd_limit_store;

struct sd_limit_store_conf {
	const char *url, *ca; /* ca NULL: CAs of the system; all are needed during open only */
	bool insecure;
	int64_t timeout_ns;
	/* Whether all limits can be kept in this tongue, asked when one was found; NULL: they can. */
	enum sd_err (*fits)(void *arg, enum sd_limit_tongue tongue, struct sd_error *e);
	void (*up)(void *arg, const char *how);   /* how: "in Lua", "with CL.THROTTLE" */
	void (*down)(void *arg, const char *why); /* said once until it is up */
	void (*odd)(void *arg, const char *what); /* an answer that is none: said once while it stands */
	void *arg;
};

enum sd_limit_stored {
	SD_LIMIT_STORED, /* answers are filled in */
	SD_LIMIT_LOST,   /* nobody answered */
	SD_LIMIT_UNABLE, /* the store cannot do that, and why says what */
};

/* A question on its way. The caller fills in what is above the line and keeps all of it until end() was called. */
struct sd_limit_call {
	enum sd_limit_op op;
	size_t n; /* 1 to SD_RATELIMIT_TOGETHER */
	const struct sd_limit_item *items;
	const struct sd_slice *keys; /* in the store */
	struct sd_ratelimit_answer *answers;
	void (*end)(struct sd_limit_call *c, enum sd_limit_stored how);
	struct sd_error why;
	/* ---- */
	struct sd_limit_store *store;
	struct sd_link link; /* in FIRST */
	size_t left, got;    /* answers that did not come, and that did */
	bool lost, again;    /* again: it was asked with the whole script */
};

/* Is this a URL of one? *secure: over TLS. Nothing is looked up. */
enum sd_err sd_limit_store_check(const char *url, bool *secure, struct sd_error *e);
/* NULL: *e says why. Nothing of conf is called before it returns. */
struct sd_limit_store *sd_limit_store_open(struct sd_loop *l, const struct sd_limit_store_conf *conf, struct sd_error *e);
/* Who still waits is told as if it were down; nothing of conf is called. NULL is fine. */
void sd_limit_store_close(struct sd_limit_store *s);
/* end() is called once, perhaps before this returns; it may free the call. */
void sd_limit_store_ask(struct sd_limit_store *s, struct sd_limit_call *c);
/* Why it does not decide; "" when it does, or was not reached yet. */
const char *sd_limit_store_why(const struct sd_limit_store *s);
bool sd_limit_store_decides(const struct sd_limit_store *s);

#endif
