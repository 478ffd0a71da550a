/* mq_api.h - the HTTP side of the broker without HTTP's bytes: a method, a path and JSON in; a status and JSON out. Pure.
 *
 * The paths and names are those of RabbitMQ's management API as far as `rabbitmqadmin` and a person with curl ask for them, and our
 * own: POST /api/queues/VHOST/NAME/ack and .../extend for messages that were got with ackmode "manual", .../replay for dead letters.
 *
 *	mq_api_ask --> route table --> engine --> answer at once, or (publishing) when the broker has confirmed it
 *
 * Publications go through a channel of their own each, so that every one is confirmed by itself; what is got by hand is held by one
 * channel of the whole HTTP side, and comes back when its visibility timeout ends.
 */
#ifndef MQ_API_H
#define MQ_API_H

#include "../engine/mq.h"
#include "sdlab/http1.h"

struct cJSON;

#define MQ_API_PARTS 8
#define MQ_API_GET_MAX 10000 /* messages in one answer */

struct mq_api_request {
	enum sd_http_method method;
	struct sd_slice path, query, body; /* path and query as on the wire */
	const char *user;		   /* who asks, known by then */
};

/* The caller's, until answer was called. */
struct mq_api_wait {
	/* tree NULL: no body. The tree is the receiver's. */
	void (*answer)(struct mq_api_wait *w, int status, struct cJSON *tree);
	struct mq_api_publish *publish; /* the API's */
};

struct mq_api_conf {
	struct mq *mq;
	void *arg;
	/* Connections and channels there are, as RabbitMQ's API shows them; each adds objects to the array. NULL: nobody knows. */
	void (*connections)(void *arg, struct cJSON *array);
	void (*channels)(void *arg, struct cJSON *array);
	/* Closes one by its name. False: there is none. */
	bool (*close)(void *arg, struct sd_slice name);
	void (*users)(void *arg, struct cJSON *array);
	void (*permissions)(void *arg, struct cJSON *array);
};

struct mq_api;

struct mq_api *mq_api_new(const struct mq_api_conf *conf);
/* Nobody waits any more. NULL is fine. */
void mq_api_free(struct mq_api *a);
void mq_api_ask(struct mq_api *a, const struct mq_api_request *r, struct mq_api_wait *w);
/* The asker is gone: answer is not called. */
void mq_api_forget(struct mq_api_wait *w);
/* Rates of queues and of the broker are taken between two of these calls: once a second or so. */
void mq_api_sample(struct mq_api *a);
/* What the page shows, as one line of JSON for the caller to free; NULL: out of memory. */
char *mq_api_live(struct mq_api *a);

#endif
