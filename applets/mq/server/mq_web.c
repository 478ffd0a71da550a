#include "mq_web.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "../http/mq_http.h"
#include "../http/mq_json.h"

struct mq_web {
	struct mq_shell *shell;
	struct mq_http *http;
	struct sd_addr addr;
};

/* ---- who may come ---- */

/* This API knows no smaller rights: it is for those who may do everything. */
static bool login(void *arg, struct sd_slice user, struct sd_slice password, const struct sd_peer *peer)
{
	const struct mq_web *w = arg;
	const struct mq_user *u = mq_users_login(w->shell->users, user, password, mq_clients_is_local(peer));
	return u && mq_user_is_administrator(u);
}

static void asked(void *arg)
{
	const struct mq_web *w = arg;
	mq_shell_time(w->shell);
	mq_shell_turn(w->shell);
}

/* ---- what there is ---- */

static const char *const states[] = {"starting", "starting", "tuning", "opening", "running", "closing", "closed"};

static struct sd_slice user_of(const struct mq_conn *c)
{
	return c->user ? mq_user_name(c->user) : sd_slice_of("");
}

static cJSON *json_conn(const struct mq_conn *c)
{
	cJSON *o = cJSON_CreateObject();
	mq_json_add(o, "name", sd_slice_of(c->peer));
	mq_json_add(o, "user_provided_name", sd_slice_of(c->name));
	mq_json_add(o, "user", user_of(c));
	mq_json_add(o, "vhost", sd_slice_of(c->vhost ? c->vhost->name : ""));
	cJSON_AddStringToObject(o, "state", c->told || c->pressed ? "blocked" : states[c->state]);
	cJSON_AddStringToObject(o, "protocol", "AMQP 0-9-1");
	cJSON_AddNumberToObject(o, "channels", (double)c->nsessions);
	cJSON_AddNumberToObject(o, "channel_max", c->channel_max);
	cJSON_AddNumberToObject(o, "frame_max", c->frame_max);
	cJSON_AddNumberToObject(o, "timeout", c->heartbeat_s);
	cJSON_AddNumberToObject(o, "recv_oct", (double)c->bytes_in);
	cJSON_AddNumberToObject(o, "send_oct", (double)c->bytes_out);
	return o;
}

static void connections(void *arg, cJSON *array)
{
	const struct mq_web *w = arg;
	for (struct sd_link *l = w->shell->hub.conns.next; l != &w->shell->hub.conns; l = l->next)
		cJSON_AddItemToArray(array, json_conn(sd_container(l, struct mq_conn, of_hub)));
}

static void add_channel(void *arg, const struct mq_conn *c, unsigned number, const struct mq_channel *ch)
{
	cJSON *o = cJSON_CreateObject();
	char name[sizeof(c->peer) + 16];
	snprintf(name, sizeof(name), "%s (%u)", c->peer, number);
	mq_json_add(o, "name", sd_slice_of(name));
	cJSON_AddNumberToObject(o, "number", number);
	mq_json_add(o, "user", user_of(c));
	mq_json_add(o, "vhost", sd_slice_of(ch->vhost->name));
	cJSON_AddBoolToObject(o, "confirm", ch->confirming);
	cJSON_AddBoolToObject(o, "transactional", ch->transaction);
	cJSON_AddNumberToObject(o, "prefetch_count", ch->prefetch);
	cJSON_AddNumberToObject(o, "global_prefetch_count", ch->global_prefetch);
	cJSON_AddNumberToObject(o, "messages_unacknowledged", (double)ch->nunacked);
	cJSON_AddItemToArray(arg, o);
}

static void channels(void *arg, cJSON *array)
{
	const struct mq_web *w = arg;
	for (struct sd_link *l = w->shell->hub.conns.next; l != &w->shell->hub.conns; l = l->next)
		mq_conn_each_channel(sd_container(l, struct mq_conn, of_hub), add_channel, array);
}

static bool close_conn(void *arg, struct sd_slice name)
{
	const struct mq_web *w = arg;
	for (struct sd_link *l = w->shell->hub.conns.next; l != &w->shell->hub.conns; l = l->next) {
		struct mq_conn *c = sd_container(l, struct mq_conn, of_hub);
		if (!sd_slice_eq(name, c->peer))
			continue;
		mq_conn_shut(c, mq_shell_now_ms(w->shell));
		return true;
	}
	return false;
}

static void users(void *arg, cJSON *array)
{
	const struct mq_web *w = arg;
	const struct mq_user *u;
	for (size_t i = 0; (u = mq_users_at(w->shell->users, i)); i++) {
		cJSON *o = cJSON_CreateObject();
		mq_json_add(o, "name", mq_user_name(u));
		cJSON *tags = cJSON_AddArrayToObject(o, "tags");
		if (mq_user_is_administrator(u))
			cJSON_AddItemToArray(tags, cJSON_CreateString("administrator"));
		cJSON_AddItemToArray(array, o);
	}
}

/* ---- life ---- */

void mq_web_say(const struct mq_web *w)
{
	char text[SD_ADDR_TEXT];
	if (!w)
		return;
	sd_addr_format(&w->addr, text);
	struct sd_field f[] = {{"address", text, 0}, {0}};
	sd_event(w->shell->run->log, SD_INFO, "http", f, "Queues are shown on http%s://%s/", w->shell->w->tls ? "s" : "", text);
}

enum sd_err mq_web_start(struct mq_shell *s, struct mq_web **out, struct sd_error *e)
{
	const struct sd_conf *conf = s->run->conf;
	const char *text = sd_conf_string(conf, "http");
	if (strcmp(text, "off") == 0 || (s->run->spec.no_port && !sd_conf_is_set(conf, "http")))
		return SD_OK;
	struct mq_web *w = calloc(1, sizeof(*w));
	if (!w)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	w->shell = s;
	struct mq_http_conf http = {
	    .loop = s->loop,
	    .world = s->run->spec.world,
	    .api = {.mq = s->mq, .arg = w, .connections = connections, .channels = channels, .close = close_conn, .users = users},
	    .tls = s->w->tls,
	    .name = s->run->name,
	    .login = login,
	    .asked = asked,
	    .arg = w,
	};
	enum sd_err err = sd_addr_parse(text, "127.0.0.1", &w->addr, e);
	if (!err)
		err = mq_http_start(&http, &w->addr, &w->http, e);
	if (err)
		free(w);
	if (err == SD_EINUSE && !sd_conf_is_set(conf, "http")) { /* nobody asked for this port */
		sd_event(s->run->log, SD_WARN, "http_in_use", NULL, "Queues are not shown: %s is in use; --http HOST:PORT shows them elsewhere", text);
		return SD_OK;
	}
	if (err)
		return sd_wrap(e, "http"), err;
	*out = w;
	return SD_OK;
}

void mq_web_stop(struct mq_web *w)
{
	if (!w)
		return;
	mq_http_stop(w->http);
	free(w);
}
