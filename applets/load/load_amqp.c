/* load_amqp.c - what is sent to a broker: messages, or requests for one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_amqp.h"
#include "sdlab/version.h"

#define MAX_FILE (16u << 20)
#define OWN_DIGITS 10

/* ---- who we are ---- */

static enum sd_err put_start_ok(struct load_amqp_plan *p, const struct sd_amqp_url *url, struct sd_error *e)
{
	struct sd_text properties = {0}, login = {0}, out = {0};
	const char *user = url->has_login ? url->user : "guest", *password = url->has_login ? url->password : "guest";
	sd_amqp_put_string(&properties, "product", sd_slice_of("sdlab load"));
	sd_amqp_put_string(&properties, "version", sd_slice_of(SDLAB_VERSION));
	size_t at = sd_amqp_begin_field(&properties, "capabilities", 'F');
	sd_amqp_put_bool(&properties, "authentication_failure_close", true); /* or a wrong password has no words */
	sd_amqp_put_bool(&properties, "basic.nack", true);
	sd_amqp_put_bool(&properties, "publisher_confirms", true);
	sd_amqp_end_field(&properties, at);
	sd_text_fill(&login, 0, 1);
	sd_text_add(&login, user, strlen(user));
	sd_text_fill(&login, 0, 1);
	sd_text_add(&login, password, strlen(password));
	sd_amqp_put_method(&out, 0, SD_AMQP_CONNECTION_START_OK,
			   (const struct sd_amqp_arg[]){{.s = {properties.p, properties.n}}, {.s = sd_slice_of("PLAIN")},
							{.s = {login.p, login.n}}, {.s = sd_slice_of("en_US")}});
	bool full = properties.full || login.full || out.full;
	free(properties.p);
	if (login.p)
		explicit_bzero(login.p, login.n);
	free(login.p);
	p->start_ok = out.p;
	p->start_ok_n = out.n;
	return full ? sd_fail(e, SD_ENOMEM, "out of memory") : SD_OK;
}

/* ---- requests ---- */

static uint8_t delivery_mode(const struct sd_conf *conf)
{
	return sd_conf_bool(conf, "transient") ? 1 : 2;
}

/* The routing key is the queue's name; of a connection's own queue its number is written in when it leaves. */
static void put_publish(struct sd_text *t, const struct load_amqp_plan *p, uint8_t mode, struct sd_slice body,
			struct load_request *r)
{
	struct sd_text raw = {0};
	struct sd_amqp_properties properties = {.has = SD_AMQP_DELIVERY_MODE, .delivery_mode = mode};
	size_t n = strlen(p->queue);
	char key[SD_AMQP_SHORT_MAX + 1];
	snprintf(key, sizeof(key), "%s", p->queue);
	sd_amqp_put_method(t, LOAD_AMQP_CHANNEL, SD_AMQP_BASIC_PUBLISH,
			   (const struct sd_amqp_arg[]){{0}, {0}, {.s = {key, n}}, {0}, {0}});
	/* behind the key come its bits and the end of the frame */
	if (p->what == LOAD_DELIVERY && !t->full)
		r->marks[r->nmarks++] = (struct load_mark){(uint32_t)(t->n - 2 - OWN_DIGITS), LOAD_OWN};
	sd_amqp_put_properties(&raw, &properties);
	sd_amqp_put_header(t, LOAD_AMQP_CHANNEL, body.n, (struct sd_slice){raw.p, raw.n});
	sd_amqp_put_body(t, LOAD_AMQP_CHANNEL, body, LOAD_AMQP_FRAME);
	t->full |= raw.full;
	free(raw.p);
}

static enum sd_err add_request(struct load_builder *b, struct sd_slice body, struct sd_error *e)
{
	struct load_amqp_plan *p = b->plan->amqp;
	struct load_request r = {.weight = 1, .body_n = body.n};
	struct sd_text t = {0};
	static const char *const names[] = {"publish to", "publish to and consume from", "get from"};
	if (p->what == LOAD_GET)
		sd_amqp_put_method(&t, LOAD_AMQP_CHANNEL, SD_AMQP_BASIC_GET,
				   (const struct sd_amqp_arg[]){{0}, {.s = sd_slice_of(p->queue)}, {0}});
	else
		put_publish(&t, p, delivery_mode(b->conf), body, &r);
	p->largest = body.n + 8 < LOAD_AMQP_FRAME ? (uint32_t)body.n + 8 : LOAD_AMQP_FRAME;
	r.bytes = t.p;
	r.n = t.n;
	enum sd_err err = SD_OK;
	if (asprintf(&r.name, "%s %s", names[p->what], p->queue) < 0 || t.full)
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	if (!err && !load_marks_find(&r))
		err = sd_fail(e, SD_EUSAGE, "--body: expected at most %d of {{seq}}, {{rand}} and {{key}}", LOAD_MAX_MARKS - 1);
	if (!err)
		err = load_plan_push(b, &r, e);
	if (err) {
		free(r.bytes);
		free(r.name);
	}
	return err;
}

/* --body, or --size bytes. */
static enum sd_err make_body(struct sd_world *w, const struct sd_conf *conf, char **out, size_t *n, struct sd_error *e)
{
	const char *body = sd_conf_string(conf, "body");
	char *text = NULL;
	*n = body ? strlen(body) : (size_t)sd_conf_int(conf, "size");
	if (body && *body == '@') {
		enum sd_err err = sd_world_read_file(w, body + 1, MAX_FILE, &text, n, e);
		if (err)
			return err;
		body = text;
	}
	if (body) {
		*out = load_marks_expand((struct sd_slice){body, *n}, n);
	} else if ((*out = malloc(*n + 1))) {
		for (size_t i = 0; i < *n; i++)
			(*out)[i] = "abcdefghijklmnopqrstuvwxyz"[i % 26];
	}
	free(text);
	return *out ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

/* ---- options ---- */

static enum sd_err check(const struct sd_conf *conf, struct sd_error *e)
{
	static const char *const http[] = {"method", "requests-file"};
	for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++)
		if (sd_conf_has(conf, http[i]))
			return sd_fail(e, SD_EUSAGE, "--%s: not for amqp://; --measure and --body say what a broker is asked", http[i]);
	if (sd_conf_count(conf, "header") || sd_conf_count(conf, "command"))
		return sd_fail(e, SD_EUSAGE, "--%s: not for amqp://; --measure and --body say what a broker is asked",
			       sd_conf_count(conf, "header") ? "header" : "command");
	if (!sd_conf_bool(conf, "keep-alive"))
		return sd_fail(e, SD_EUSAGE, "--keep-alive: a connection of amqp:// is always kept");
	if (sd_conf_bool(conf, "tally"))
		return sd_fail(e, SD_EUSAGE, "--tally: not for amqp://");
	return SD_OK;
}

enum sd_err load_amqp_check_others(const struct sd_conf *conf, struct sd_error *e)
{
	static const char *const names[] = {"queue", "measure", "transient"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (sd_conf_is_set(conf, names[i]))
			return sd_fail(e, SD_EUSAGE, "--%s: only for amqp://", names[i]);
	return SD_OK;
}

/* A connection's own queue has its number behind the name. */
static enum sd_err name_queue(struct load_amqp_plan *p, const struct sd_conf *conf, struct sd_error *e)
{
	const char *name = sd_conf_string(conf, "queue");
	size_t room = SD_AMQP_SHORT_MAX - OWN_DIGITS - 1;
	if (!*name || strlen(name) > room || strstr(name, "{{"))
		return sd_fail(e, SD_EUSAGE, "--queue: expected a name of 1 to %zu bytes without {{, found \"%.60s\"", room, name);
	snprintf(p->queue, sizeof(p->queue), p->what == LOAD_DELIVERY ? "%s.0000000000" : "%s", name);
	return SD_OK;
}

enum sd_err load_amqp_greeting(struct load_plan *plan, const struct sd_amqp_url *url, struct sd_error *e)
{
	struct load_amqp_plan *p = plan->amqp = calloc(1, sizeof(*p));
	if (!p)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	snprintf(p->vhost, sizeof(p->vhost), "%s", url->vhost);
	return put_start_ok(p, url, e);
}

enum sd_err load_amqp_requests(struct sd_world *w, struct load_builder *b, struct sd_error *e)
{
	struct load_amqp_plan *p = b->plan->amqp;
	char *body = NULL;
	size_t n = 0;
	p->what = (enum load_amqp_what)sd_conf_int(b->conf, "measure");
	enum sd_err err = check(b->conf, e);
	if (!err)
		err = name_queue(p, b->conf, e);
	if (!err)
		err = make_body(w, b->conf, &body, &n, e);
	if (!err)
		err = add_request(b, (struct sd_slice){body, n}, e);
	free(body);
	return err;
}

void load_amqp_plan_free(struct load_amqp_plan *p)
{
	if (p && p->start_ok)
		explicit_bzero(p->start_ok, p->start_ok_n);
	free(p ? p->start_ok : NULL);
	free(p);
}
