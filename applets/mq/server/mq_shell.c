/* mq_shell.c - the broker as a service: its hooks, its turns, its clock. */
#include "mq_shell.h"

#include <stdlib.h>

#include "mq_face.h"
#include "mq_keep.h"
#include "mq_web.h"

#define LOOK_AGAIN 60000 /* ms at most between two looks at what is due */

static int64_t wall_ms(const struct mq_shell *s)
{
	return sd_world_wall_ns(sd_loop_world(s->loop)) / 1000000;
}

/* ---- turns ---- */

void mq_shell_turn(struct mq_shell *s)
{
	sd_loop_defer(s->loop, &s->turn);
}

void mq_shell_time(struct mq_shell *s)
{
	mq_time(s->mq, mq_shell_now_ms(s), wall_ms(s));
}

static void schedule(struct mq_shell *s)
{
	int64_t next = mq_next(s->mq), now = mq_shell_now_ms(s);
	if (next == INT64_MAX || next > now + LOOK_AGAIN) /* whatever the clock of the wall does meanwhile */
		next = now + LOOK_AGAIN;
	if (next >= s->tick_at_ms && s->tick_at_ms > now)
		return;
	s->tick_at_ms = next;
	sd_loop_timer_set(s->loop, &s->tick, (next > now ? next : now) * 1000000);
}

/* Connections are gone, then what stays is closed, then it is over. */
static void on_kept(void *arg)
{
	struct mq_shell *s = arg;
	sd_worker_drained(s->w);
}

static void go_on_draining(struct mq_shell *s)
{
	if (!s->draining || s->hub.nconns)
		return;
	s->draining = false;
	mq_keep_close(s->keep, on_kept, s);
}

static void on_turn(struct sd_task *t)
{
	struct mq_shell *s = sd_container(t, struct mq_shell, turn);
	bool more = mq_turn(s->mq);
	mq_keep_turn(s->keep);
	mq_metrics_publish(&s->metrics, s->mq, &s->hub); /* before anybody is answered, who could look */
	mq_clients_flush(s);
	if (more)
		sd_loop_post(s->loop, &s->again);
	schedule(s);
	go_on_draining(s);
}

/* There was more to do than one turn should: others had theirs meanwhile. */
static void on_again(struct sd_task *t)
{
	mq_shell_turn(sd_container(t, struct mq_shell, again));
}

static void on_tick(struct sd_timer *t)
{
	struct mq_shell *s = sd_container(t, struct mq_shell, tick);
	s->tick_at_ms = 0;
	mq_shell_time(s);
	mq_shell_turn(s);
}

/* ---- what the engine says ---- */

static void say(void *arg, const char *event, const char *text)
{
	const struct mq_shell *s = arg;
	sd_event(s->run->log, SD_WARN, event, NULL, "%s", text);
}

static void pressed(void *arg, struct mq_queue *q, bool on)
{
	struct mq_shell *s = arg;
	struct sd_field f[] = {{"queue", q->name, 0}, {0}};
	if (on)
		sd_event(s->run->log, SD_WARN, "queue_full", f, "Queue %s has too much in memory: its publishers wait", q->name);
	else
		mq_hub_relieved(&s->hub);
}

/* ---- the service ---- */

static enum sd_err create(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e)
{
	struct mq_shell *s = calloc(1, sizeof(*s));
	(void)conf;
	if (!s)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*self = s;
	s->run = run;
	s->turn.fn = on_turn;
	s->again.fn = on_again;
	s->tick.fn = on_tick;
	sd_list_init(&s->hub.conns);
	return mq_setup_users(s, e);
}

static enum sd_err make_broker(struct mq_shell *s, struct sd_error *e)
{
	struct mq_conf conf;
	struct mq_journal journal = mq_keep_journal(s->keep);
	uint64_t seed;
	mq_setup_conf(s->run->conf, &conf);
	sd_world_random(s->run->spec.world, &seed, sizeof(seed));
	s->mq = mq_new(&conf, &journal, seed, mq_shell_now_ms(s), wall_ms(s));
	if (!s->mq)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	s->mq->say = say;
	s->mq->pressed = pressed;
	s->mq->arg = s;
	mq_hub_init(&s->hub, s->mq, s->users);
	mq_setup_hub(s->run->conf, &s->hub);
	mq_clients_begin(s);
	return SD_OK;
}

static enum sd_err start(void *self, struct sd_worker *w, struct sd_error *e)
{
	struct mq_shell *s = self;
	w->state = s;
	s->w = w;
	s->loop = w->loop;
	s->streams.accepted = mq_clients_accepted;
	s->streams.arg = s;
	enum sd_err err = mq_keep_new(s, &s->keep, e);
	if (!err)
		err = make_broker(s, e);
	if (!err)
		err = mq_keep_open(s, e);
	if (!err)
		err = mq_setup_vhosts(s, e);
	if (!err)
		err = sd_run_listen_streams(s->run, w, &s->streams, e);
	if (!err)
		err = mq_web_start(s, &s->web, e);
	if (!err)
		mq_shell_turn(s);
	return err;
}

static void started(void *self)
{
	struct mq_shell *s = self;
	sd_run_say_listening(s->run);
	mq_web_say(s->web);
}

static void end_web(struct mq_shell *s)
{
	mq_web_stop(s->web);
	s->web = NULL;
}

static void drain(void *self, struct sd_worker *w)
{
	struct mq_shell *s = self;
	(void)w;
	sd_run_streams_close(&s->streams);
	end_web(s);
	mq_clients_end(s, false);
	s->draining = true;
	mq_shell_turn(s);
}

static void stop(void *self, struct sd_worker *w)
{
	struct mq_shell *s = self;
	(void)w;
	s->draining = false;
	sd_run_streams_close(&s->streams);
	end_web(s);
	mq_clients_end(s, true);
	sd_loop_timer_cancel(s->loop, &s->tick);
	mq_keep_stop(s->keep);
}

static void destroy(void *self)
{
	struct mq_shell *s = self;
	mq_keep_free(s->keep);
	if (s->mq)
		mq_free(s->mq);
	mq_users_free(s->users);
	free(s->spare.p);
	free(s);
}

static void metrics(void *self, struct sd_metrics *m)
{
	struct mq_shell *s = self;
	char label[160];
	sd_run_label(s->run, label, sizeof(label));
	mq_metrics_put(&s->metrics, m, label);
}

const struct sd_service mq_service = {
    .create = create,
    .start = start,
    .started = started,
    .drain = drain,
    .stop = stop,
    .destroy = destroy,
    .metrics = metrics,
};

const struct sd_option mq_options[] = {
    {"port", SD_OPT_PORT, "5672", "where to listen", .letter = 'p'},
    {"http", SD_OPT_STRING, "127.0.0.1:15672", "where the page of queues and the HTTP API of RabbitMQ's management are; off for nowhere",
     .meta = "HOST:PORT"},
    {"data-dir", SD_OPT_FILE, NULL, "folder where durable queues and their persistent messages are kept; without one nothing outlives "
     "the broker", .meta = "DIR"},
    {"sync", SD_OPT_ENUM, "always", "when a message is confirmed: on the disk; handed to the kernel, and on the disk within the "
     "interval; or on the disk when the kernel likes", .choices = "always|interval|never"},
    {"sync-interval", SD_OPT_DURATION, "10ms", "for sync interval", .min = 1000000, .max = 60000000000},
    {"salvage", SD_OPT_BOOL, "no", "start without what cannot be read of a damaged log, which is kept beside"},
    {"disk-free-min", SD_OPT_SIZE, "50MB", "with less room on the disk publishers wait; 0 for no limit"},
    {"retry-limit", SD_OPT_INT, "3", "failed deliveries before a message goes to NAME.dlq; 0 for no limit, as RabbitMQ", .max = 65535},
    {"visibility-timeout", SD_OPT_DURATION, "30m", "a message that is not acknowledged for so long comes back; 0 for never"},
    {"memory", SD_OPT_SIZE, "256MiB", "for bodies of messages; beyond it those of persistent ones are on the disk alone"},
    {"memory-high-water", SD_OPT_SIZE, "1GiB", "from here on publishers to the fullest queues wait; 0 for no limit"},
    {"max-message", SD_OPT_SIZE, "128MiB", "largest body of a message", .min = 1, .max = 512 * 1024 * 1024},
    {"max-queues", SD_OPT_INT, "1000000", "queues at a time", .min = 1, .max = 100000000},
    {"frame-max", SD_OPT_SIZE, "128KiB", "largest frame; 0 for no limit", .max = 1024 * 1024 * 1024},
    {"channel-max", SD_OPT_INT, "2047", "channels of a connection; 0 for no limit", .max = 65535},
    {"heartbeat", SD_OPT_DURATION, "60s", "what clients are offered; 0 for none", .max = 65535000000000},
    {"users", SD_OPT_TABLE, NULL, "who may come, and what each may do; guest, with password guest and from this machine, when none is "
     "given", .cli = "login", .sub = mq_user_options},
    {"vhosts", SD_OPT_LIST, NULL, "virtual hosts beside /", .cli = "vhost", .meta = "NAME"},
    {"cluster-name", SD_OPT_STRING, "sdlab", "what clients are told it is called"},
    {0},
};
