#include "lb_log.h"

#include <stdlib.h>
#include <string.h>

#include "lb.h"
#include "world/file.h"

#define LATEST_NS 100000000 /* a line waits no longer than this for others */
#define KEPT_MAX  384       /* bytes of a text that are kept, beside the target: a line shows no more of them */
#define TARGET_MAX 4097     /* one more than a line shows, so that it says that there was more */

struct lb_log_chunk {
	struct sd_work work;
	struct lb_log *log;
	struct lb_log_side *side;
	struct sd_link link; /* in side->sent */
	size_t n;
	uint64_t lines;
	bool written; /* by the helper thread, before the chunk comes back */
	char bytes[LB_LOG_CHUNK];
};

/* A file for the helper thread, in place of the one it has. */
struct change {
	struct sd_work work;
	struct lb_log *log;
	struct sd_file *file;
};

struct lb_log {
	struct lb *lb;
	struct sd_helpers *helpers;
	struct sd_file *file;   /* NULL: standard output; helper thread only, once it runs */
	struct sd_file *opened; /* by lb_log_open, not in use yet */
	bool has_opened, in_use;
	bool failing;           /* helper thread only */
	uint64_t lost;          /* atomic: lines that the file did not take */
};

/* ---- helper thread ---- */

static void say_failed(struct lb_log *log, const char *why)
{
	struct sd_field f[] = {{"error", why, 0}, {0}};
	if (!log->failing)
		sd_event(log->lb->run->log, SD_ERROR, "access_log_failed", f, "Access log: %s; lines are lost until it works",
			 why);
	log->failing = true;
}

static enum sd_err put(struct lb_log *log, const char *p, size_t n, struct sd_error *e)
{
	struct sd_file *file = log->file;
	struct iovec iov = {(void *)(uintptr_t)p, n};
	uint64_t size = 0;
	if (!file)
		return sd_world_print(log->lb->run->spec.world, 1, p, n) ? SD_OK : sd_fail(e, SD_EIO, "cannot write to standard output");
	/* The end is where it is now: somebody may have made it shorter (copytruncate), or write to it as well. */
	enum sd_err err = sd_file_size(file, &size, e);
	return err ? err : sd_file_write(file, &iov, 1, size, e);
}

static void write_chunk(struct lb_log *log, struct lb_log_chunk *c)
{
	struct sd_error e = {0};
	if (put(log, c->bytes, c->n, &e)) {
		__atomic_add_fetch(&log->lost, c->lines, __ATOMIC_RELAXED);
		say_failed(log, e.text);
	} else {
		log->failing = false;
	}
	c->written = true;
}

static void run_chunk(struct sd_work *work)
{
	struct lb_log_chunk *c = sd_container(work, struct lb_log_chunk, work);
	write_chunk(c->log, c);
}

static void run_change(struct sd_work *work)
{
	struct change *c = sd_container(work, struct change, work);
	sd_file_close(c->log->file);
	c->log->file = c->file;
	c->log->failing = false;
}

/* ---- a worker's side ---- */

static void chunk_free(struct lb_log_chunk *c)
{
	sd_list_del(&c->link);
	c->side->nsent--;
	free(c);
}

static void on_written(struct sd_work *work)
{
	chunk_free(sd_container(work, struct lb_log_chunk, work));
}

void lb_log_side_flush(struct lb_log_side *s)
{
	struct lb_log_chunk *c = s->now;
	if (!c)
		return;
	s->now = NULL;
	s->nsent++;
	sd_list_add(&s->sent, &c->link);
	c->work = (struct sd_work){.run = run_chunk, .done = on_written};
	if (!sd_helpers_submit(s->log->helpers, s->loop, &c->work)) {
		sd_count(&s->dropped, c->lines);
		chunk_free(c);
	}
}

static void on_timer(struct sd_timer *t)
{
	lb_log_side_flush(sd_container(t, struct lb_log_side, timer));
}

void lb_log_side_init(struct lb_log_side *s, struct sd_loop *loop)
{
	s->loop = loop;
	s->timer.fn = on_timer;
	sd_list_init(&s->sent);
}

/* Room for one more line, whatever its length. */
static char *room(struct lb_log_side *s)
{
	if (s->now && LB_LOG_CHUNK - s->now->n < SD_ACCESS_LINE_MAX)
		lb_log_side_flush(s);
	if (s->now)
		return s->now->bytes + s->now->n;
	struct lb_log_chunk *c = s->nsent < LB_LOG_CHUNKS ? malloc(sizeof(*c)) : NULL;
	if (!c)
		return NULL;
	c->log = s->log;
	c->side = s;
	c->n = 0;
	c->lines = 0;
	c->written = false;
	sd_list_init(&c->link);
	s->now = c;
	sd_loop_timer_set(s->loop, &s->timer, sd_loop_now_ns(s->loop) + LATEST_NS);
	return c->bytes;
}

void lb_log_line(struct lb_log_side *s, enum sd_access_format format, const struct sd_access_line *line)
{
	char *to = room(s);
	if (!to) {
		sd_count(&s->dropped, 1);
		return;
	}
	s->now->n += sd_access_line_write(to, format, line);
	s->now->lines++;
	sd_count(&s->lines, 1);
}

/* ---- entries ---- */

static struct sd_slice value_of(const struct sd_http_head *head, const char *name)
{
	const struct sd_http_field *f = sd_http_find_name(head, name);
	return f ? f->value : (struct sd_slice){0};
}

static struct sd_slice keep(char **at, struct sd_slice s)
{
	char *to = *at;
	if (s.n)
		memcpy(to, s.p, s.n);
	*at += s.n;
	return (struct sd_slice){to, s.n};
}

struct lb_log_entry *lb_log_begin(struct lb_log_side *s, const struct sd_http_head *head, struct sd_slice client,
				  const struct sd_traceparent *trace, enum sd_access_format format)
{
	struct sd_slice texts[] = {head->method_text, head->target, head->host, value_of(head, "referer"),
				   value_of(head, "user-agent")};
	size_t size = sizeof(struct lb_log_entry);
	for (size_t i = 0; i < 5; i++) {
		size_t most = i == 1 ? TARGET_MAX : KEPT_MAX;
		texts[i].n = texts[i].n < most ? texts[i].n : most;
		size += texts[i].n;
	}
	struct lb_log_entry *e = size <= SD_LOOP_BLOCK ? (void *)sd_loop_block(s->loop) : malloc(size);
	if (!e)
		return NULL;
	char *at = e->bytes;
	memset(e, 0, sizeof(*e));
	e->size = size;
	e->format = format;
	e->begun_ns = sd_loop_now_ns(s->loop);
	e->line = (struct sd_access_line){
	    .wall_ns = sd_world_wall_ns(sd_loop_world(s->loop)),
	    .method = keep(&at, texts[0]),
	    .target = keep(&at, texts[1]),
	    .host = keep(&at, texts[2]),
	    .referer = keep(&at, texts[3]),
	    .user_agent = keep(&at, texts[4]),
	    .minor = head->minor,
	    .connect_ns = SD_ACCESS_NONE,
	    .first_byte_ns = SD_ACCESS_NONE,
	};
	memcpy(e->client, client.p, client.n < sizeof(e->client) ? client.n : sizeof(e->client));
	e->line.client = (struct sd_slice){e->client, client.n < sizeof(e->client) ? client.n : sizeof(e->client)};
	if (trace) {
		sd_traceparent_id(e->trace, trace);
		e->line.trace = (struct sd_slice){e->trace, 32};
	}
	return e;
}

void lb_log_end(struct lb_log_side *s, struct lb_log_entry *e)
{
	e->line.total_ns = sd_loop_now_ns(s->loop) - e->begun_ns;
	lb_log_line(s, e->format, &e->line);
	if (e->size <= SD_LOOP_BLOCK)
		sd_loop_block_free(s->loop, (void *)e);
	else
		free(e);
}

/* ---- control loop ---- */

static enum sd_err open_file(struct lb *lb, const char *name, struct sd_file **out, struct sd_error *e)
{
	struct sd_world *world = lb->run->spec.world;
	*out = NULL;
	if (strcmp(name, "-") == 0)
		return SD_OK;
	enum sd_err err = sd_file_open(world, name, SD_FILE_WRITE | SD_FILE_CREATE, out, e);
	return err ? (sd_wrap(e, "access-log"), err) : SD_OK;
}

static struct lb_log *log_new(struct lb *lb)
{
	struct lb_log *log = calloc(1, sizeof(*log));
	if (log)
		log->helpers = sd_helpers_new(lb->run->spec.world, 1);
	if (!log || !log->helpers) {
		free(log);
		return NULL;
	}
	log->lb = lb;
	return log;
}

enum sd_err lb_log_open(struct lb *lb, const struct sd_conf *conf, struct sd_error *e)
{
	const char *name = sd_conf_string(conf, "access-log");
	if (!name)
		return SD_OK;
	if (!lb->log)
		lb->log = log_new(lb);
	if (!lb->log)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = open_file(lb, name, &lb->log->opened, e);
	lb->log->has_opened = err == SD_OK;
	return err;
}

void lb_log_cancel(struct lb *lb)
{
	struct lb_log *log = lb->log;
	if (!log || !log->has_opened)
		return;
	sd_file_close(log->opened);
	log->has_opened = false;
}

static void on_changed(struct sd_work *work)
{
	free(sd_container(work, struct change, work));
}

/* The control loop goes away with the change on its way to it. */
static void on_change_dropped(struct sd_work *work)
{
	struct change *c = sd_container(work, struct change, work);
	sd_file_close(c->file);
	free(c);
}

void lb_log_commit(struct lb *lb)
{
	struct lb_log *log = lb->log;
	if (!log || !log->has_opened)
		return;
	log->has_opened = false;
	if (!log->in_use) {
		log->file = log->opened;
		log->in_use = true;
		return;
	}
	struct change *c = calloc(1, sizeof(*c));
	if (c)
		*c = (struct change){.log = log, .file = log->opened};
	if (c)
		c->work = (struct sd_work){.run = run_change, .done = on_changed, .dropped = on_change_dropped};
	if (!c || !sd_helpers_submit(log->helpers, lb->run->spec.control, &c->work)) {
		sd_event(lb->run->log, SD_ERROR, "access_log_failed", NULL, "Access log: it goes on in the old file: no memory or thread");
		sd_file_close(log->opened);
		free(c);
	}
}

static void end_side(struct lb_log *log, struct lb_log_side *s)
{
	lb_log_side_flush(s);
	sd_loop_flush(s->loop);
	while (!sd_list_empty(&s->sent)) {
		struct lb_log_chunk *c = sd_container(s->sent.next, struct lb_log_chunk, link);
		if (!c->written)
			write_chunk(log, c);
		chunk_free(c);
	}
}

void lb_log_free(struct lb *lb)
{
	struct lb_log *log = lb->log;
	if (!log)
		return;
	lb_log_cancel(lb);
	/* What the helper had not begun is written here, after what it had. */
	sd_helpers_free(log->helpers);
	sd_loop_flush(lb->run->spec.control);
	for (unsigned i = 0; i < lb->nworkers; i++)
		if (lb->workers[i])
			end_side(log, &lb->workers[i]->log);
	sd_file_close(log->file);
	free(log);
	lb->log = NULL;
}

void lb_log_metrics(const struct lb *lb, struct sd_metrics *m, const char *label)
{
	uint64_t lines = 0, dropped = 0;
	if (!lb->log)
		return;
	for (unsigned i = 0; i < lb->nworkers; i++) {
		lines += sd_count_read(&lb->workers[i]->log.lines);
		dropped += sd_count_read(&lb->workers[i]->log.dropped);
	}
	sd_metrics_family(m, "sdlab_lb_access_lines_total", "counter", "Lines of the access log made");
	sd_metrics_add(m, (double)lines, "%s", label);
	sd_metrics_family(m, "sdlab_lb_access_lost_total", "counter",
			  "Lines lost: the disk fell behind (dropped), or did not take them (failed)");
	sd_metrics_add(m, (double)dropped, "%s,reason=\"dropped\"", label);
	sd_metrics_add(m, (double)__atomic_load_n(&lb->log->lost, __ATOMIC_RELAXED), "%s,reason=\"failed\"", label);
}
