/* resp_client.h - one connection to a cache, waited for: for client verbs, which have nothing else to do meanwhile. */
#ifndef SD_NET_RESP_CLIENT_H
#define SD_NET_RESP_CLIENT_H

#include "core/resp_reply.h"
#include "tls.h"

struct sd_resp_client;

struct sd_resp_target {
	struct sd_addr addr;           /* its name is looked up, when it is one */
	struct sd_tls_client *tls;     /* NULL: plain; the caller's, until the connection is closed */
	const char *tls_name;          /* what the certificate is to be for */
	const char *user, *password;   /* "" or NULL: none */
	int64_t db;
	int64_t timeout_ns;            /* to connect, and for each reply of `ask` */
};

/* Connects and says who we are. What the server says against that is an error, in its words. */
enum sd_err sd_resp_client_open(struct sd_world *w, const struct sd_resp_target *to, struct sd_resp_client **out,
				struct sd_error *e);
/* NULL is fine. */
void sd_resp_client_close(struct sd_resp_client *c);
/* A command; it leaves when the next reply is waited for. */
void sd_resp_client_send(struct sd_resp_client *c, size_t argc, const struct sd_slice *argv);
/* The next reply, or push, valid until the next call; waits so long at most (SD_NEVER: for ever). SD_ETIMEOUT: there was none,
 * and it may be asked for again. After another error the connection is only good to be closed. */
enum sd_err sd_resp_client_next(struct sd_resp_client *c, int64_t timeout_ns, const struct sd_resp_value **reply,
				struct sd_error *e);
/* Sends and waits for the answer; pushes in front of it are passed over. An error of the server is an answer. */
enum sd_err sd_resp_client_ask(struct sd_resp_client *c, size_t argc, const struct sd_slice *argv,
			       const struct sd_resp_value **reply, struct sd_error *e);
/* The same with words of C. */
enum sd_err sd_resp_client_say(struct sd_resp_client *c, const char *const *words, size_t n, const struct sd_resp_value **reply,
			       struct sd_error *e);

#endif
