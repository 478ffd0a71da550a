/* sh_page_int.h - between the files of the dashboard. */
#ifndef SH_PAGE_INT_H
#define SH_PAGE_INT_H

#include "sdlab/ratelimit.h"
#include "sh_http.h"
#include "sh_page.h"

#define SH_KEY_BYTES   32 /* of a key that signs sessions: a SHA-256 */
#define SH_SESSION_MAX 128
#define SH_TOKEN_MAX   65

struct sh_page {
	struct sh *sh;
	char *password; /* NULL: none is set */
	uint8_t key[SH_KEY_BYTES];
	bool has_key, asking; /* asking: the database, for the secret that the key is made of */
	int64_t fresh_until_ns;
	struct sd_link waits; /* calls that came before the key was there */
	struct sd_ratelimit *tries;
};

/* A session is made of when it ends and chance, and signed. */
struct sh_session {
	char text[SH_SESSION_MAX];  /* the cookie's value */
	char token[SH_TOKEN_MAX];   /* what its page has to say with each change */
};

/* Calls fn as soon as there is a key; has: there is one. */
typedef void sh_page_key_fn(struct sh_call *c, bool has);
void sh_page_with_key(struct sh_call *c, sh_page_key_fn *fn);
/* The functions below need the key. */
bool sh_session_read(struct sh_call *c, struct sh_session *s);
bool sh_session_make(struct sh_call *c, struct sh_session *s); /* and sends its cookie */
void sh_session_end(struct sh_call *c);
/* Is what somebody says this session's token? */
bool sh_session_token(const struct sh_session *s, struct sd_slice said);
/* Does the call come from this machine, as far as it and a proxy in between tell? */
bool sh_page_is_near(const struct sh_call *c);

/* Answers with a page of ours; each {{name}} in it becomes its value, as text. */
struct sh_page_value {
	const char *name, *value;
};
void sh_page_answer(struct sh_call *c, int status, const char *file, const struct sh_page_value *values, size_t n);
void sh_page_login_form(struct sh_call *c, int status, const char *why);

#endif
