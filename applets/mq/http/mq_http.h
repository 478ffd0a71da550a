/* mq_http.h - the HTTP side on a port: the API (mq_api.h), and a page that shows the queues moving. On the loop of the broker. */
#ifndef MQ_HTTP_H
#define MQ_HTTP_H

#include "mq_api.h"
#include "net/http_server.h"

struct mq_http_conf {
	struct sd_loop *loop;
	struct sd_world *world;
	struct mq_api_conf api;
	struct sd_tls_server *tls; /* NULL: plain */
	const char *name;	   /* of the service: what the page calls itself */
	/* Basic authentication: may this user, from there? NULL: anybody. */
	bool (*login)(void *arg, struct sd_slice user, struct sd_slice password, const struct sd_peer *peer);
	/* What came in was handled: what the broker has to do now (mq_turn, a sync) is due. */
	void (*asked)(void *arg);
	void *arg;
};

struct mq_http;

/* addr's port is filled in when it was 0. */
enum sd_err mq_http_start(const struct mq_http_conf *conf, struct sd_addr *addr, struct mq_http **out, struct sd_error *e);
/* Ends what is in progress. NULL is fine. */
void mq_http_stop(struct mq_http *h);

/* ---- mq_page.c ---- */
/* The page, for the caller to free; nonce: of its script and style. NULL: out of memory. */
char *mq_page(const char *name, const char *nonce, size_t *n);

#endif
