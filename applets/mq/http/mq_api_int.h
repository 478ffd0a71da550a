/* mq_api_int.h - what the files of the HTTP API share.
 *
 *	mq_api.c          life, routes, rates
 *	mq_api_show.c     what there is
 *	mq_api_change.c   things made and deleted; export and import
 *	mq_api_message.c  publish, get, ack
 *	mq_api_stream.c   streams and their groups
 *	mq_json.c         tables, properties and payloads as JSON and back
 */
#ifndef MQ_API_INT_H
#define MQ_API_INT_H

#include "mq_api.h"
#include "mq_json.h"

struct mq_api {
	struct mq_api_conf conf;
	struct sd_link hands;	  /* struct mq_api_hand */
	struct sd_link publishing; /* struct mq_api_publish */
	int64_t sampled_ms;
	struct mq_rate_counts was;
	struct mq_rates rates;
};

struct mq_api_call {
	struct mq_api *api;
	const struct mq_api_request *request;
	struct sd_slice parts[MQ_API_PARTS]; /* of the path behind /api, decoded */
	size_t nparts;
	cJSON *body; /* NULL: there was none */
	struct mq_api_wait *wait;
};
typedef void mq_api_fn(struct mq_api_call *c);

void mq_api_answer(struct mq_api_call *c, int status, cJSON *tree);
/* {"error": "bad_request", "reason": text} */
void mq_api_refuse(struct mq_api_call *c, int status, const char *reason);
/* The engine's error as a status: 404 not found, 401 not allowed, 503 out of memory, else 400. */
void mq_api_refuse_error(struct mq_api_call *c, const struct mq_error *e);
/* Entries in the order of their names, for the caller to free. NULL: there is none, or no memory. */
struct sd_dict_entry **mq_api_sorted(struct sd_dict *d, size_t *n);
void mq_api_end_publishing(struct mq_api *a);
void mq_api_end_hands(struct mq_api *a);
/* Before it is deleted. */
void mq_api_leave_vhost(struct mq_api *a, const struct mq_vhost *v);
/* The virtual host that a part names. NULL: it was refused. */
struct mq_vhost *mq_api_vhost(struct mq_api_call *c, size_t part);

/* A part of the path that names an exchange: the default one has no name of its own. */
static inline struct sd_slice mq_api_exchange_name(struct sd_slice part)
{
	return sd_slice_eq(part, "amq.default") ? sd_slice_of("") : part;
}
/* kind: "q", to the queue of this name; else to the exchange. */
static inline bool mq_api_goes_to(const struct mq_binding *b, struct sd_slice kind, struct sd_slice name)
{
	bool queue = sd_slice_eq(kind, "q");
	return queue == (b->to_queue != NULL) && sd_slice_eq(name, b->to_queue ? b->to_queue->name : b->to_exchange->name);
}

#define MQ_API_PROPERTIES_KEY (3 * SD_AMQP_SHORT_MAX + 18)
/* What tells this binding from others of the same two: its key (coded: as in a URL), "~" when it is empty, and something of its arguments. */
void mq_api_properties_key(const struct mq_binding *b, bool coded, char out[MQ_API_PROPERTIES_KEY]);

mq_api_fn mq_api_overview, mq_api_nodes, mq_api_whoami, mq_api_vhosts, mq_api_vhost_one, mq_api_queues, mq_api_queue_one, mq_api_exchanges,
	mq_api_exchange_one, mq_api_bindings, mq_api_queue_bindings, mq_api_source_bindings, mq_api_destination_bindings, mq_api_pair_bindings,
	mq_api_consumers, mq_api_connections, mq_api_channels, mq_api_users, mq_api_permissions, mq_api_empty;
mq_api_fn mq_api_put_vhost, mq_api_delete_vhost, mq_api_put_queue, mq_api_delete_queue, mq_api_purge, mq_api_put_exchange,
	mq_api_delete_exchange, mq_api_bind, mq_api_unbind, mq_api_close_connection;
mq_api_fn mq_api_publish, mq_api_get, mq_api_ack, mq_api_extend, mq_api_replay;
mq_api_fn mq_api_export, mq_api_import;
mq_api_fn mq_api_groups, mq_api_put_group, mq_api_delete_group;
/* What streams have and others do not; the page needs less of it. */
void mq_api_add_stream(cJSON *o, const struct mq_queue *q);

#endif
