/* mq_rig.h - a broker in a test: clients that write down what they are told, a log in memory, and a clock. */
#ifndef MQ_RIG_H
#define MQ_RIG_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/mq/engine/mq.h"

#define RIG_START_MS 1000000
#define RIG_WALL_MS  1700000000000

/* What a channel was told, a line each: "deliver t1 1 q=body r" */
struct rig_client {
	struct mq_channel ch; /* first */
	struct sd_text told;
	size_t room; /* deliveries that it takes; SIZE_MAX: any */
};

struct rig {
	struct mq *b;
	struct mq_vhost *v;
	struct mq_error e;
	struct sd_text log, said;
	uint64_t record; /* the log's last */
	bool log_full;
	int64_t now_ms;
};

static inline struct rig_client *rig_client_of(struct mq_channel *ch)
{
	return (struct rig_client *)(void *)ch;
}

static void rig_deliver(struct mq_channel *ch, struct mq_consumer *c, const struct mq_entry *e)
{
	struct rig_client *k = rig_client_of(ch);
	sd_text_format(&k->told, "%.*s %llu %s %.*s%s;", (int)c->tag_n, c->tag, (unsigned long long)e->tag, e->queue->name,
		       (int)e->message->body_n, e->message->body ? e->message->body : "", e->redelivered ? " again" : "");
	if (k->room != SIZE_MAX)
		k->room--;
}
static void rig_confirm(struct mq_channel *ch, uint64_t seq, bool multiple, bool refused)
{
	sd_text_format(&rig_client_of(ch)->told, "%s %llu%s;", refused ? "nack" : "ack", (unsigned long long)seq, multiple ? "+" : "");
}
static void rig_returned(struct mq_channel *ch, unsigned code, const char *text, const struct mq_message *m)
{
	sd_text_format(&rig_client_of(ch)->told, "returned %u %s %.*s;", code, text, (int)m->body_n, m->body ? m->body : "");
}
static void rig_cancelled(struct mq_channel *ch, const struct mq_consumer *c)
{
	sd_text_format(&rig_client_of(ch)->told, "cancelled %.*s;", (int)c->tag_n, c->tag);
}
static void rig_replied(struct mq_channel *ch, struct sd_slice tag, const struct mq_message *m)
{
	sd_text_format(&rig_client_of(ch)->told, "replied %.*s %.*s;", (int)tag.n, tag.p, (int)m->body_n, m->body ? m->body : "");
}
static bool rig_room(struct mq_channel *ch)
{
	return rig_client_of(ch)->room > 0;
}
static void rig_committed(struct mq_channel *ch)
{
	sd_text_format(&rig_client_of(ch)->told, "committed;");
}
static void rig_commit_failed(struct mq_channel *ch)
{
	sd_text_format(&rig_client_of(ch)->told, "commit failed;");
}
static const struct mq_channel_ops rig_ops = {.deliver = rig_deliver, .confirm = rig_confirm, .returned = rig_returned,
					      .cancelled = rig_cancelled, .replied = rig_replied, .room = rig_room,
					      .committed = rig_committed, .commit_failed = rig_commit_failed};

/* ---- the log ---- */

static uint64_t rig_log_publish(void *arg, struct mq_message *m, struct mq_entry *const *entries, size_t n, const struct mq_entry *from)
{
	struct rig *r = arg;
	if (r->log_full)
		return 0;
	sd_text_format(&r->log, "put %.*s", (int)m->body_n, m->body ? m->body : "");
	for (size_t i = 0; i < n; i++)
		sd_text_format(&r->log, " %s/%llu", entries[i]->queue->name, (unsigned long long)entries[i]->seq);
	if (from)
		sd_text_format(&r->log, " from %s/%llu", from->queue->name, (unsigned long long)from->seq);
	sd_text_format(&r->log, ";");
	return ++r->record;
}
static uint64_t rig_log_settle(void *arg, const struct mq_queue *q, uint64_t seq)
{
	struct rig *r = arg;
	sd_text_format(&r->log, "settle %s/%llu;", q->name, (unsigned long long)seq);
	return ++r->record;
}
static uint64_t rig_log_failed(void *arg, const struct mq_entry *e)
{
	struct rig *r = arg;
	sd_text_format(&r->log, "failed %s/%llu %u;", e->queue->name, (unsigned long long)e->seq, e->failures);
	return ++r->record;
}
static uint64_t rig_log_purged(void *arg, const struct mq_queue *q, uint64_t upto)
{
	struct rig *r = arg;
	sd_text_format(&r->log, "purged %s/%llu;", q->name, (unsigned long long)upto);
	return ++r->record;
}
static uint64_t rig_log_define(void *arg, enum mq_define what, bool gone, struct sd_slice text)
{
	static const char *const kinds[] = {"vhost", "exchange", "queue", "binding", "user", "stream"};
	struct rig *r = arg;
	(void)text;
	sd_text_format(&r->log, "%s%s;", gone ? "no " : "", kinds[what]);
	return ++r->record;
}
static void rig_say(void *arg, const char *event, const char *text)
{
	struct rig *r = arg;
	(void)event;
	sd_text_format(&r->said, "%s;", text);
}

/* ---- beginning and end ---- */

static struct rig rig_new(struct mq_conf conf)
{
	return (struct rig){.now_ms = RIG_START_MS, .b = mq_new(&conf, NULL, 1, RIG_START_MS, RIG_WALL_MS)};
}
static inline void rig_start(struct rig *r, struct mq_conf conf, bool log)
{
	*r = rig_new(conf);
	ck_assert_ptr_nonnull(r->b);
	r->v = mq_vhost_find(r->b, sd_slice_of("/"));
	if (log)
		r->b->journal = (struct mq_journal){.arg = r, .publish = rig_log_publish, .settle = rig_log_settle,
						    .failed = rig_log_failed, .purged = rig_log_purged, .define = rig_log_define};
	r->b->say = rig_say;
	r->b->arg = r;
	mq_restore_end(r->b, NULL, NULL);
}
static inline void rig_end(struct rig *r)
{
	mq_free(r->b);
	free(r->log.p);
	free(r->said.p);
}
static inline void rig_open(struct rig *r, struct rig_client *k)
{
	*k = (struct rig_client){.room = SIZE_MAX};
	mq_channel_begin(&k->ch, r->v, &rig_ops, k, sd_slice_of("guest"));
}
static inline void rig_close(struct rig_client *k)
{
	mq_channel_end(&k->ch);
	free(k->told.p);
}

/* Takes what was written down since the last time and compares. */
static inline void rig_text_is(struct sd_text *t, const char *what, const char *file, int line)
{
	const char *is = t->p ? t->p : "";
	if (strcmp(is, what) != 0)
		ck_abort_msg("%s:%d: expected \"%s\", found \"%s\"", file, line, what, is);
	t->n = 0;
	if (t->p)
		t->p[0] = '\0';
}
#define told(k, what) rig_text_is(&(k)->told, what, __FILE__, __LINE__)
#define logged(r, what) rig_text_is(&(r)->log, what, __FILE__, __LINE__)
#define said(r, what) rig_text_is(&(r)->said, what, __FILE__, __LINE__)

static inline void rig_turn(struct rig *r)
{
	while (mq_turn(r->b))
		;
}
static inline void rig_pass(struct rig *r, int64_t ms)
{
	r->now_ms += ms;
	mq_time(r->b, r->now_ms, RIG_WALL_MS + r->now_ms - RIG_START_MS);
	rig_turn(r);
}

/* ---- what clients do ---- */

static inline struct sd_slice rig_slice(const struct sd_text *t)
{
	return (struct sd_slice){t->p, t->n};
}

/* Arguments: "name=5 name=text name=true"; a blank in between. For free by the caller: t. */
static inline struct sd_slice rig_table(struct sd_text *t, const char *args)
{
	char name[64], value[64];
	int used;
	for (; sscanf(args, " %63[^= ]=%63[^ ]%n", name, value, &used) == 2; args += used) {
		char *end;
		long long n = strtoll(value, &end, 10);
		if (!*end && value[0])
			sd_amqp_put_int(t, name, n);
		else if (!strcmp(value, "true") || !strcmp(value, "false"))
			sd_amqp_put_bool(t, name, value[0] == 't');
		else
			sd_amqp_put_string(t, name, sd_slice_of(strcmp(value, "''") ? value : ""));
	}
	return rig_slice(t);
}

static inline bool rig_try_queue(struct rig *r, struct rig_client *k, const char *name, const char *flags, const char *args)
{
	struct sd_text t = {0};
	struct mq_queue *q;
	struct mq_queue_decl d = {.name = sd_slice_of(name), .arguments = rig_table(&t, args), .durable = strchr(flags, 'd'),
				  .exclusive = strchr(flags, 'x'), .auto_delete = strchr(flags, 'a'), .passive = strchr(flags, 'p'),
				  .connection = k};
	bool done = mq_queue_declare(r->v, &d, &q, &r->e);
	free(t.p);
	return done;
}
static inline struct mq_queue *rig_queue(struct rig *r, struct rig_client *k, const char *name, const char *flags, const char *args)
{
	if (!rig_try_queue(r, k, name, flags, args))
		ck_abort_msg("%s: %s", name, r->e.text);
	return mq_queue_find(r->v, sd_slice_of(name));
}
static inline bool rig_try_exchange(struct rig *r, const char *name, const char *type, const char *flags, const char *args)
{
	struct sd_text t = {0};
	struct mq_exchange_decl d = {.name = sd_slice_of(name), .type = sd_slice_of(type), .arguments = rig_table(&t, args),
				     .durable = strchr(flags, 'd'), .auto_delete = strchr(flags, 'a'), .internal = strchr(flags, 'i'),
				     .passive = strchr(flags, 'p')};
	bool done = mq_exchange_declare(r->v, &d, &r->e);
	free(t.p);
	return done;
}
static inline bool rig_bind(struct rig *r, struct rig_client *k, const char *queue, const char *exchange, const char *key, const char *args)
{
	struct sd_text t = {0};
	bool done = mq_queue_bind(r->v, k, sd_slice_of(queue), sd_slice_of(exchange), sd_slice_of(key), rig_table(&t, args), &r->e);
	free(t.p);
	return done;
}

/* what: "p" persistent, "m" mandatory, "5" priority, "e100" expiration; headers as rig_table takes them. */
static inline bool rig_try_publish(struct rig *r, struct rig_client *k, const char *exchange, const char *key, const char *body,
				   const char *what, const char *headers)
{
	struct sd_text h = {0}, raw = {0};
	const char *e = strchr(what, 'e');
	struct sd_amqp_properties p = {.has = SD_AMQP_DELIVERY_MODE, .delivery_mode = strchr(what, 'p') ? 2 : 1};
	p.headers = rig_table(&h, headers);
	if (p.headers.n)
		p.has |= SD_AMQP_HEADERS;
	if (e) {
		p.has |= SD_AMQP_EXPIRATION;
		p.expiration = sd_slice_of(e + 1);
	} else if (*what && strpbrk(what, "0123456789")) {
		p.has |= SD_AMQP_PRIORITY;
		p.priority = (uint8_t)strtol(strpbrk(what, "0123456789"), NULL, 10);
	}
	sd_amqp_put_properties(&raw, &p);
	struct mq_publication pub = {.exchange = sd_slice_of(exchange), .key = sd_slice_of(key), .body = sd_slice_of(body),
				     .properties = rig_slice(&raw), .mandatory = strchr(what, 'm')};
	bool done = mq_publish(&k->ch, &pub, &r->e);
	free(h.p);
	free(raw.p);
	return done;
}
static inline void rig_publish(struct rig *r, struct rig_client *k, const char *exchange, const char *key, const char *body,
			       const char *what, const char *headers)
{
	if (!rig_try_publish(r, k, exchange, key, body, what, headers))
		ck_abort_msg("publish: %s", r->e.text);
}
/* flags: "n" no_ack, "x" exclusive. */
static inline bool rig_try_consume(struct rig *r, struct rig_client *k, const char *queue, const char *tag, const char *flags,
				   const char *args)
{
	struct sd_text t = {0};
	struct mq_consumer *c;
	bool done = mq_consume(&k->ch, sd_slice_of(queue), sd_slice_of(tag), false, strchr(flags, 'n'), strchr(flags, 'x'),
			       rig_table(&t, args), &c, &r->e);
	free(t.p);
	return done;
}
static inline void rig_consume(struct rig *r, struct rig_client *k, const char *queue, const char *tag, const char *flags,
			       const char *args)
{
	if (!rig_try_consume(r, k, queue, tag, flags, args))
		ck_abort_msg("consume: %s", r->e.text);
}
static inline void rig_settle(struct rig *r, struct rig_client *k, uint64_t tag, bool multiple, enum mq_settle how)
{
	if (!mq_settle(&k->ch, tag, multiple, how, &r->e))
		ck_abort_msg("settle: %s", r->e.text);
}
#define failed_with(r, text_) ck_assert_str_eq((r)->e.text, text_)

#endif
