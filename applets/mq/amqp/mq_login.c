/* mq_login.c - from the protocol header to a connection that runs. */
#include <stdio.h>
#include <stdlib.h>

#include "mq_conn_int.h"
#include "sdlab/version.h"

static const char *const capabilities[] = {
    "publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked",
    "consumer_priorities", "authentication_failure_close", "per_consumer_qos", "direct_reply_to",
};

static void put_properties(struct sd_text *t, const char *cluster)
{
	size_t at = sd_amqp_begin_field(t, "capabilities", 'F');
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(*capabilities); i++)
		sd_amqp_put_bool(t, capabilities[i], true);
	sd_amqp_end_field(t, at);
	sd_amqp_put_string(t, "cluster_name", sd_slice_of(cluster));
	sd_amqp_put_string(t, "product", sd_slice_of("sdlab mq"));
	sd_amqp_put_string(t, "version", sd_slice_of(SDLAB_VERSION));
	sd_amqp_put_string(t, "platform", sd_slice_of("C"));
	sd_amqp_put_string(t, "copyright", sd_slice_of(""));
	sd_amqp_put_string(t, "information", sd_slice_of("speaks AMQP 0-9-1 as RabbitMQ 3.10 does"));
}

void mq_login_start(struct mq_conn *c)
{
	struct sd_text t = {0};
	put_properties(&t, c->hub->cluster);
	mq_conn_put(c, 0, SD_AMQP_CONNECTION_START,
		    (mq_args){{.n = 0}, {.n = 9}, {.s = {t.p, t.n}}, {.s = sd_slice_of("AMQPLAIN PLAIN")}, {.s = sd_slice_of("en_US")}});
	free(t.p);
	c->state = MQ_CONN_STARTING;
}

/* ---- start-ok ---- */

static bool can(struct sd_slice client, const char *capability)
{
	struct sd_amqp_field all, one;
	return sd_amqp_find(client, "capabilities", &all) && all.kind == 'F' && sd_amqp_find(all.s, capability, &one) && one.kind == 't' &&
	       one.n;
}

static void read_client(struct mq_conn *c, struct sd_slice client)
{
	struct sd_amqp_field name;
	c->can_block = can(client, "connection.blocked");
	c->can_cancel = can(client, "consumer_cancel_notify");
	c->can_fail_auth = can(client, "authentication_failure_close");
	if (sd_amqp_find(client, "connection_name", &name) && name.kind == 'S')
		snprintf(c->name, sizeof(c->name), "%.*s", (int)(name.s.n < sizeof(c->name) ? name.s.n : sizeof(c->name) - 1), name.s.p);
}

/* NUL user NUL password */
static bool read_plain(struct sd_slice r, struct sd_slice *user, struct sd_slice *password)
{
	const char *end = r.n && !r.p[0] ? memchr(r.p + 1, 0, r.n - 1) : NULL;
	if (!end)
		return false;
	*user = (struct sd_slice){r.p + 1, (size_t)(end - r.p) - 1};
	*password = (struct sd_slice){end + 1, r.n - user->n - 2};
	return !memchr(password->p, 0, password->n);
}

/* A table without its length. */
static bool read_amqplain(struct sd_slice r, struct sd_slice *user, struct sd_slice *password)
{
	struct sd_amqp_field name, secret;
	if (!sd_amqp_is_table(r) || !sd_amqp_find(r, "LOGIN", &name) || !sd_amqp_find(r, "PASSWORD", &secret) || name.kind != 'S' ||
	    secret.kind != 'S')
		return false;
	*user = name.s;
	*password = secret.s;
	return true;
}

static bool refuse_login(struct mq_conn *c, struct sd_slice mechanism, struct sd_slice user, struct mq_error *e)
{
	mq_fail(e, 403, "Login was refused using authentication mechanism %.*s. For details see the broker logfile.", (int)mechanism.n,
		mechanism.p);
	c->hub->count.refused++;
	mq_conn_say(c, "login_refused", "login refused: user '%.*s'%s", (int)(user.n < 80 ? user.n : 80), user.p,
		    c->local ? "" : " from another machine");
	return false;
}

static bool start_ok(struct mq_conn *c, const struct sd_amqp_arg *a, struct mq_error *e)
{
	struct sd_slice user = {0}, password = {0};
	bool plain = sd_slice_eq(a[1].s, "PLAIN");
	if (!plain && !sd_slice_eq(a[1].s, "AMQPLAIN"))
		return mq_fail(e, 504, "unknown authentication mechanism '%.*s'", (int)a[1].s.n, a[1].s.p);
	read_client(c, a[0].s);
	if (!(plain ? read_plain : read_amqplain)(a[2].s, &user, &password))
		return mq_fail(e, 501, "a response that is none of %.*s", (int)a[1].s.n, a[1].s.p);
	c->user = mq_users_login(c->hub->users, user, password, c->local);
	if (!c->user)
		return refuse_login(c, a[1].s, user, e);
	mq_conn_put(c, 0, SD_AMQP_CONNECTION_TUNE,
		    (mq_args){{.n = c->hub->channel_max}, {.n = c->hub->frame_max}, {.n = c->hub->heartbeat_s}});
	c->state = MQ_CONN_TUNING;
	return true;
}

/* ---- tune-ok, open ---- */

/* 0 is no limit; a client may ask for less than it was offered. */
static bool agree(const char *what, uint32_t ours, uint64_t theirs, uint32_t *out, struct mq_error *e)
{
	*out = (uint32_t)theirs;
	if (ours && !theirs)
		return mq_fail(e, 530, "negotiated %s = 0 (no limit) is higher than the maximum allowed value (%u)", what, ours);
	if (ours && theirs > ours)
		return mq_fail(e, 530, "negotiated %s = %llu is higher than the maximum allowed value (%u)", what, (unsigned long long)theirs, ours);
	return true;
}

static bool tune_ok(struct mq_conn *c, const struct sd_amqp_arg *a, struct mq_error *e)
{
	uint32_t channels;
	if (a[1].n && a[1].n < SD_AMQP_FRAME_MIN)
		return mq_fail(e, 530, "negotiated frame_max = %llu is lower than the minimum allowed value (%u)", (unsigned long long)a[1].n,
			       SD_AMQP_FRAME_MIN);
	if (!agree("frame_max", c->hub->frame_max, a[1].n, &c->frame_max, e) ||
	    !agree("channel_max", c->hub->channel_max, a[0].n, &channels, e))
		return false;
	c->channel_max = (uint16_t)channels;
	c->heartbeat_s = (uint16_t)a[2].n;
	c->state = MQ_CONN_OPENING;
	return true;
}

static bool open_vhost(struct mq_conn *c, const struct sd_amqp_arg *a, struct mq_error *e)
{
	struct sd_slice user = mq_user_name(c->user), vhost = a[0].s;
	c->vhost = mq_vhost_find(c->hub->mq, vhost);
	if (!c->vhost)
		return mq_fail(e, 530, "vhost %.*s not found", (int)vhost.n, vhost.p);
	if (!mq_user_enters(c->user, vhost))
		return mq_fail(e, 530, "access to vhost '%.*s' refused for user '%.*s'", (int)vhost.n, vhost.p, (int)user.n, user.p);
	mq_conn_put(c, 0, SD_AMQP_CONNECTION_OPEN_OK, (mq_args){{.n = 0}});
	c->state = MQ_CONN_RUNNING;
	c->received_ms = c->sent_ms = c->now_ms;
	return true;
}

static const struct {
	enum mq_conn_state state;
	uint32_t id;
	bool (*run)(struct mq_conn *c, const struct sd_amqp_arg *a, struct mq_error *e);
} steps[] = {
    {MQ_CONN_STARTING, SD_AMQP_CONNECTION_START_OK, start_ok},
    {MQ_CONN_TUNING, SD_AMQP_CONNECTION_TUNE_OK, tune_ok},
    {MQ_CONN_OPENING, SD_AMQP_CONNECTION_OPEN, open_vhost},
};

static const char *const names[] = {
    [MQ_CONN_STARTING] = "starting", [MQ_CONN_TUNING] = "tuning", [MQ_CONN_OPENING] = "opening"};

bool mq_login_step(struct mq_conn *c, uint32_t id, const struct sd_amqp_arg *a, struct mq_error *e)
{
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		if (steps[i].state == c->state && steps[i].id == id)
			return steps[i].run(c, a, e);
	return mq_fail(e, 504, "unexpected method in connection state %s", names[c->state]);
}
