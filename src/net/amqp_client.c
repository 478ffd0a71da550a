#include "amqp_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "amqp_client_int.h"
#include "sdlab/version.h"

#define FRAME_MAX   131072u
#define IN_LIMIT    (2 * FRAME_MAX)
#define FLUSH	    (256 * 1024) /* bytes that gather before they leave */
#define GOODBYE_NS  2000000000ll

/* ---- the stream ---- */

void amqp_client_flush(struct sd_amqp_client *c)
{
	if (c->out.full)
		sd_waited_end(&c->conn, SD_ENOMEM, "out of memory");
	else if (c->out.n && c->conn.stream && !c->conn.err)
		sd_stream_write(c->conn.stream, c->out.p, c->out.n);
	c->sent = c->sent || c->out.n;
	c->out.n = 0;
}

static size_t on_data(struct sd_waited *conn, const char *p, size_t n)
{
	struct sd_amqp_client *c = sd_container(conn, struct sd_amqp_client, conn);
	size_t took = amqp_client_take(c, p, n);
	amqp_client_flush(c);
	return took;
}

/* Twice for each interval that was agreed on: who heard nothing in two of them hears nothing any more. */
void amqp_client_on_beat(struct sd_timer *t)
{
	struct sd_amqp_client *c = sd_container(t, struct sd_amqp_client, beat_timer);
	if (++c->quiet > 4)
		return sd_waited_end(&c->conn, SD_ETIMEOUT, "the broker is silent: no heartbeat");
	if (!c->sent)
		sd_amqp_put_heartbeat(&c->out);
	amqp_client_flush(c);
	c->sent = false;
	sd_loop_timer_set(c->conn.loop, t, sd_loop_now_ns(c->conn.loop) + c->beat_ns);
}

/* ---- waiting ---- */

static bool is_over(const struct sd_waited *conn)
{
	const struct sd_amqp_client *c = sd_container(conn, struct sd_amqp_client, conn);
	return c->until(c) || c->channel_err;
}

/* Runs until something that is waited for came. */
static enum sd_err await(struct sd_amqp_client *c, int64_t timeout_ns, bool (*until)(const struct sd_amqp_client *c), struct sd_error *e)
{
	c->until = until;
	amqp_client_flush(c);
	enum sd_err err = sd_waited_until(&c->conn, is_over, timeout_ns, e);
	if (err || until(c))
		return err;
	if (c->conn.err)
		return sd_fail(e, c->conn.err, "%s", c->conn.why.text);
	err = sd_fail(e, c->channel_err, "%s", c->channel_why.text);
	c->channel_err = SD_OK;
	return err;
}

static bool is_answered(const struct sd_amqp_client *c)
{
	return c->answered;
}

static bool has_event(const struct sd_amqp_client *c)
{
	return !sd_list_empty(&c->came);
}

static bool is_stopped(const struct sd_amqp_client *c)
{
	return c->stopped;
}

/* Gives one of those that came out. */
static const struct sd_amqp_event *give(struct sd_amqp_client *c, struct held *h)
{
	c->current = h;
	sd_list_del(&c->current->link);
	return &c->current->event;
}

static const struct sd_amqp_event *first_event(struct sd_amqp_client *c)
{
	return give(c, sd_container(c->came.next, struct held, link));
}

static void forget(struct sd_amqp_client *c)
{
	amqp_client_drop(c, c->current);
	c->current = NULL;
}

enum sd_err sd_amqp_client_next(struct sd_amqp_client *c, int64_t timeout_ns, const struct sd_amqp_event **event,
				struct sd_error *e)
{
	forget(c);
	enum sd_err err = await(c, timeout_ns, has_event, e);
	if (!err)
		*event = first_event(c);
	return err;
}

enum sd_err sd_amqp_client_run(struct sd_amqp_client *c, void (*fn)(void *arg, const struct sd_amqp_event *event), void *arg,
			       int64_t timeout_ns, struct sd_error *e)
{
	c->stopped = false;
	while (!sd_list_empty(&c->came) && !c->stopped) {
		forget(c);
		fn(arg, first_event(c));
	}
	forget(c);
	c->fn = fn;
	c->arg = arg;
	enum sd_err err = await(c, timeout_ns, is_stopped, e);
	c->fn = NULL;
	c->stopped = false;
	return err;
}

void sd_amqp_client_stop(struct sd_amqp_client *c)
{
	c->stopped = true;
	sd_loop_stop(c->conn.loop);
}

/* ---- saying ---- */

void sd_amqp_client_send(struct sd_amqp_client *c, uint32_t id, const struct sd_amqp_arg *args)
{
	sd_amqp_put_method(&c->out, id >> 16 == 10 ? 0 : CHANNEL, id, args);
}

void amqp_client_expect(struct sd_amqp_client *c, uint32_t want)
{
	c->want = want;
	c->answered = false;
	c->asking = true;
}

/* Waits for what is expected. */
static enum sd_err answer(struct sd_amqp_client *c, struct sd_error *e)
{
	enum sd_err err = await(c, c->timeout_ns, is_answered, e);
	c->asking = false;
	return err;
}

static enum sd_err ask(struct sd_amqp_client *c, uint32_t id, const struct sd_amqp_arg *args, uint32_t want, struct sd_error *e)
{
	forget(c);
	sd_amqp_client_send(c, id, args);
	amqp_client_expect(c, want);
	return answer(c, e);
}

static enum sd_err open_channel(struct sd_amqp_client *c, struct sd_error *e)
{
	enum sd_err err;
	if (c->channel_open)
		return SD_OK;
	err = ask(c, SD_AMQP_CHANNEL_OPEN, (const struct sd_amqp_arg[]){{0}}, SD_AMQP_CHANNEL_OPEN_OK, e);
	c->channel_open = !err;
	return err;
}

enum sd_err sd_amqp_client_ask(struct sd_amqp_client *c, uint32_t id, const struct sd_amqp_arg *args, uint32_t want,
			       const struct sd_amqp_arg **answer, struct sd_error *e)
{
	enum sd_err err = open_channel(c, e);
	if (!err)
		err = ask(c, id, args, want, e);
	if (!err && answer)
		*answer = c->args;
	return err;
}

enum sd_err sd_amqp_client_get(struct sd_amqp_client *c, struct sd_slice queue, bool no_ack, const struct sd_amqp_event **event,
			       struct sd_error *e)
{
	struct sd_amqp_arg args[] = {{0}, {.s = queue}, {.n = no_ack}};
	enum sd_err err = open_channel(c, e);
	*event = NULL;
	c->got = NULL;
	if (!err)
		err = ask(c, SD_AMQP_BASIC_GET, args, SD_AMQP_BASIC_GET_EMPTY, e);
	if (!err && c->got)
		*event = give(c, c->got);
	return err;
}

void sd_amqp_client_publish(struct sd_amqp_client *c, struct sd_slice exchange, struct sd_slice key, bool mandatory,
			    struct sd_slice raw, struct sd_slice body)
{
	struct sd_amqp_arg args[] = {{0}, {.s = exchange}, {.s = key}, {.n = mandatory}, {0}};
	sd_amqp_client_send(c, SD_AMQP_BASIC_PUBLISH, args);
	sd_amqp_put_header(&c->out, CHANNEL, body.n, raw);
	sd_amqp_put_body(&c->out, CHANNEL, body, c->frame_max);
	if (c->out.n > FLUSH)
		amqp_client_flush(c);
}

/* ---- the beginning ---- */

static void put_capabilities(struct sd_text *t)
{
	static const char *const names[] = {"authentication_failure_close", "basic.nack", "connection.blocked", "consumer_cancel_notify",
					    "publisher_confirms"};
	size_t at = sd_amqp_begin_field(t, "capabilities", 'F');
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		sd_amqp_put_bool(t, names[i], true);
	sd_amqp_end_field(t, at);
}

/* A word of a list with blanks between. */
static bool has_word(struct sd_slice list, const char *word)
{
	size_t n = strlen(word);
	for (size_t i = 0; i + n <= list.n; i++)
		if (memcmp(list.p + i, word, n) == 0 && (i == 0 || list.p[i - 1] == ' ') && (i + n == list.n || list.p[i + n] == ' '))
			return true;
	return false;
}

enum sd_err amqp_client_introduce(struct sd_amqp_client *c, const struct sd_amqp_target *to, struct sd_error *e)
{
	struct sd_text properties = {0}, login = {0};
	if (!has_word(c->args[3].s, "PLAIN"))
		return sd_fail(e, SD_EUNSUPPORTED, "the broker does not take a user and a password (PLAIN)");
	sd_amqp_put_string(&properties, "product", sd_slice_of("sdlab"));
	sd_amqp_put_string(&properties, "version", sd_slice_of(SDLAB_VERSION));
	if (to->name)
		sd_amqp_put_string(&properties, "connection_name", sd_slice_of(to->name));
	put_capabilities(&properties);
	sd_text_fill(&login, 0, 1);
	sd_text_add(&login, to->user, strlen(to->user));
	sd_text_fill(&login, 0, 1);
	sd_text_add(&login, to->password, strlen(to->password));
	struct sd_amqp_arg args[] = {{.s = {properties.p, properties.n}}, {.s = sd_slice_of("PLAIN")}, {.s = {login.p, login.n}},
				     {.s = sd_slice_of("en_US")}};
	enum sd_err err = properties.full || login.full ? sd_fail(e, SD_ENOMEM, "out of memory") : SD_OK;
	if (!err)
		sd_amqp_client_send(c, SD_AMQP_CONNECTION_START_OK, args);
	amqp_client_expect(c, SD_AMQP_CONNECTION_TUNE);
	if (login.p)
		explicit_bzero(login.p, login.n);
	free(login.p);
	free(properties.p);
	return err;
}

static enum sd_err introduce(struct sd_amqp_client *c, const struct sd_amqp_target *to, struct sd_error *e)
{
	enum sd_err err = amqp_client_introduce(c, to, e);
	if (!err)
		err = answer(c, e);
	/* an old broker just hangs up on who may not come in */
	return err == SD_EEOF ? sd_fail(e, SD_EPERM, "the broker does not let %s in", to->user) : err;
}

/* Of two limits the lower, where 0 is none. */
static uint64_t lower(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

enum sd_err amqp_client_tune(struct sd_amqp_client *c, const struct sd_amqp_target *to, struct sd_error *e)
{
	uint64_t heartbeat = to->heartbeat_s && c->args[2].n ? lower(to->heartbeat_s, c->args[2].n) : 0;
	struct sd_amqp_arg tuned[] = {{.n = c->args[0].n}, {.n = lower(FRAME_MAX, c->args[1].n)}, {.n = heartbeat}};
	struct sd_amqp_arg open[] = {{.s = sd_slice_of(to->vhost)}, {0}, {0}};
	if (tuned[1].n < SD_AMQP_FRAME_MIN)
		return sd_fail(e, SD_EPROTO, "the broker wants frames of at most %u bytes", (unsigned)tuned[1].n);
	c->frame_max = (uint32_t)tuned[1].n;
	c->beat_ns = (int64_t)heartbeat * 500000000;
	sd_amqp_client_send(c, SD_AMQP_CONNECTION_TUNE_OK, tuned);
	if (c->beat_ns)
		sd_loop_timer_set(c->conn.loop, &c->beat_timer, sd_loop_now_ns(c->conn.loop) + c->beat_ns);
	sd_amqp_client_send(c, SD_AMQP_CONNECTION_OPEN, open);
	amqp_client_expect(c, SD_AMQP_CONNECTION_OPEN_OK);
	return SD_OK;
}

static enum sd_err tune(struct sd_amqp_client *c, const struct sd_amqp_target *to, struct sd_error *e)
{
	enum sd_err err = amqp_client_tune(c, to, e);
	return err ? err : answer(c, e);
}

/* The first thing is no method: nobody but us says it. */
void amqp_client_begin(struct sd_amqp_client *c)
{
	sd_text_add(&c->out, SD_AMQP_PROTOCOL, 8);
	amqp_client_expect(c, SD_AMQP_CONNECTION_START);
}

static enum sd_err say_protocol(struct sd_amqp_client *c, struct sd_error *e)
{
	amqp_client_begin(c);
	enum sd_err err = answer(c, e);
	if (err != SD_EEOF || c->conn.tls)
		return err;
	return sd_fail(e, err, "the broker closed the connection before it said anything; does it want TLS (amqps://)?");
}

static enum sd_err reach(struct sd_amqp_client *c, struct sd_world *w, const struct sd_amqp_target *to, struct sd_error *e)
{
	struct sd_waited_target at = {.addr = to->addr, .tls = to->tls, .tls_name = to->tls_name, .timeout_ns = to->timeout_ns,
				      .in_limit = IN_LIMIT, .peer = "broker", .data = on_data};
	enum sd_err err = sd_waited_open(&c->conn, w, &at, e);
	if (!err)
		err = say_protocol(c, e);
	if (!err)
		err = introduce(c, to, e);
	if (!err)
		err = tune(c, to, e);
	return err ? err : open_channel(c, e);
}

struct sd_amqp_client *amqp_client_new(struct sd_loop *l, int64_t timeout_ns)
{
	struct sd_amqp_client *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	sd_list_init(&c->came);
	c->conn.loop = l;
	c->beat_timer.fn = amqp_client_on_beat;
	c->timeout_ns = timeout_ns;
	c->frame_max = FRAME_MAX;
	return c;
}

enum sd_err sd_amqp_client_open(struct sd_world *w, const struct sd_amqp_target *to, struct sd_amqp_client **out,
				struct sd_error *e)
{
	struct sd_amqp_client *c = amqp_client_new(NULL, to->timeout_ns);
	*out = NULL;
	if (!c)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = reach(c, w, to, e);
	if (err && !c->conn.err) /* nobody to say good-bye to */
		c->conn.err = err;
	if (!err)
		*out = c;
	else
		sd_amqp_client_close(c);
	return err;
}

/* ---- the end ---- */

static void say_goodbye(struct sd_amqp_client *c)
{
	struct sd_amqp_arg args[] = {{.n = 200}, {.s = sd_slice_of("bye")}, {0}, {0}};
	struct sd_error unused;
	c->timeout_ns = c->timeout_ns < GOODBYE_NS ? c->timeout_ns : GOODBYE_NS;
	c->channel_err = SD_OK;
	ask(c, SD_AMQP_CONNECTION_CLOSE, args, SD_AMQP_CONNECTION_CLOSE_OK, &unused);
}

void sd_amqp_client_close(struct sd_amqp_client *c)
{
	if (!c)
		return;
	if (c->conn.stream && !c->conn.err)
		say_goodbye(c);
	if (c->conn.loop)
		sd_loop_timer_cancel(c->conn.loop, &c->beat_timer);
	sd_waited_close(&c->conn);
	amqp_client_free(c);
}

void amqp_client_free(struct sd_amqp_client *c)
{
	while (!sd_list_empty(&c->came)) {
		forget(c);
		first_event(c);
	}
	forget(c);
	amqp_client_free_held(c->building);
	amqp_client_free_held(c->spare);
	free(c->answer.p);
	free(c->out.p);
	free(c);
}
