#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "core/list.h"

#define DIRECT_WRITE  4096 /* from this size on bytes are sent without gathering them first */
#define FINISH_DISCARD (1024 * 1024)
#define SPLICE_BYTES   (256 * 1024)

enum { TODO_FLUSH = 1, TODO_RESUME = 2, TODO_CLOSED = 4, TODO_FREE = 8, TODO_DRAINED = 16 };

static void on_ready(struct sd_io *io, unsigned what);
static void on_timer(struct sd_timer *t);
static void on_task(struct sd_task *t);
static void finish_over(struct sd_stream *s);
static const struct sd_stream_events finish_events;

static void todo(struct sd_stream *s, uint16_t what)
{
	s->todo |= what;
	if (what == TODO_FLUSH && s->gate && s->gate->shut)
		sd_loop_defer_late(s->loop, &s->task);
	else
		sd_loop_defer(s->loop, &s->task);
}

void sd_stream_behind(struct sd_stream *s, struct sd_stream_gate *gate)
{
	s->gate = gate;
}

/* Before anything leaves. */
static void pass_gate(struct sd_stream *s)
{
	struct sd_stream_gate *gate = s->gate;
	s->gate = NULL;
	if (gate && gate->shut)
		gate->pass(gate);
}

/* ---- buffers ---- */

static void buffer_free(struct sd_loop *l, char *p, uint32_t cap)
{
	if (cap == SD_LOOP_BLOCK)
		sd_loop_block_free(l, p);
	else
		free(p);
}

/* Room for `need` bytes, the first `keep` kept. Blocks of the loop for the usual size, doubling beyond. */
static bool buffer_grow(struct sd_loop *l, char **p, uint32_t *cap, size_t keep, size_t need)
{
	uint32_t size = SD_LOOP_BLOCK;
	if (need > UINT32_MAX / 2)
		return false;
	while (size < need)
		size *= 2;
	char *grown = size == SD_LOOP_BLOCK ? sd_loop_block(l) : malloc(size);
	if (!grown)
		return false;
	if (*p) {
		memcpy(grown, *p, keep);
		buffer_free(l, *p, *cap);
	}
	*p = grown;
	*cap = size;
	return true;
}

static void drop_out(struct sd_stream *s)
{
	if (s->out)
		buffer_free(s->loop, s->out, s->out_cap);
	s->out = NULL;
	s->out_off = s->out_len = s->out_cap = 0;
}

static void drop_in(struct sd_stream *s)
{
	if (s->in)
		buffer_free(s->loop, s->in, s->in_cap);
	s->in = NULL;
	s->in_len = s->in_cap = 0;
}

/* ---- life ---- */

static void want(struct sd_stream *s, bool read, bool write)
{
	if (s->want_read == read && s->want_write == write)
		return;
	s->want_read = read;
	s->want_write = write;
	s->io->ops->want(s->io, (read ? SD_IO_READ : 0u) | (write ? SD_IO_WRITE : 0u));
}

struct sd_stream *sd_stream_new(struct sd_io *io, bool connecting, uint32_t in_limit,
				const struct sd_stream_events *events, void *owner)
{
	struct sd_stream *s = calloc(1, sizeof(*s));
	if (!s) {
		io->ops->close(io, true);
		return NULL;
	}
	s->loop = io->loop;
	s->io = io;
	s->events = events;
	s->owner = owner;
	s->in_limit = in_limit;
	s->high = SD_STREAM_HIGH;
	s->low = SD_STREAM_LOW;
	s->connecting = connecting;
	s->deadline_ns = SD_NEVER;
	s->task.fn = on_task;
	s->timer.fn = on_timer;
	io->owner = s;
	io->ready = on_ready;
	want(s, !connecting, connecting);
	return s;
}

void sd_stream_hand_over(struct sd_stream *s, const struct sd_stream_events *events, void *owner, uint32_t in_limit)
{
	s->events = events;
	s->owner = owner;
	s->in_limit = in_limit;
}

static void stop_splice(struct sd_stream *s)
{
	s->splice_to->splice_from = NULL;
	s->splice_to = NULL;
	s->in_pipe = 0;
}

static void close_io(struct sd_stream *s, bool reset)
{
	if (s->closing)
		return;
	s->closing = s->dead = true;
	if (s->splice_to)
		stop_splice(s);
	if (s->splice_from)
		stop_splice(s->splice_from);
	sd_loop_timer_cancel(s->loop, &s->timer);
	s->io->ops->close(s->io, reset);
	s->io = NULL;
	sd_client_pass_end(&s->pass);
	todo(s, TODO_FREE);
}

void sd_stream_close(struct sd_stream *s)
{
	/* What was written in this very callback still goes out. */
	if (!s->closing && !s->dead && !s->connecting && s->out_len > 0) {
		struct iovec v = {s->out + s->out_off, s->out_len};
		pass_gate(s);
		if (sd_io_write_last(s->io, &v, 1) < 0)
			s->dead = true;
	}
	close_io(s, false);
}

void sd_stream_abort(struct sd_stream *s)
{
	close_io(s, true);
}

/* The connection broke: says so later, from the deferred task, never to the writer in its own call. */
static void broke(struct sd_stream *s, enum sd_err why)
{
	if (s->dead)
		return;
	s->dead = true;
	s->why = (uint8_t)why;
	drop_out(s);
	want(s, false, false);
	todo(s, TODO_CLOSED);
}

const char *sd_stream_why(const struct sd_stream *s, enum sd_err why)
{
	const char *text = s->io && s->io->ops->why ? s->io->ops->why(s->io) : NULL;
	return text ? text : sd_err_text(why);
}

/* ---- writing ---- */

static void maybe_drained(struct sd_stream *s)
{
	if (s->above_high && s->out_len <= s->low && (s->low || sd_stream_all_sent(s))) {
		s->above_high = false;
		todo(s, TODO_DRAINED);
	}
}

/* The peer takes nothing any more. What it said before is still to be heard, and reading tells when that ends. */
static void cannot_write(struct sd_stream *s, enum sd_err why)
{
	if (!s->want_read) {
		broke(s, why);
		return;
	}
	s->write_err = (uint8_t)why;
	drop_out(s);
}

static bool waits_in_pipe(const struct sd_stream *to)
{
	return to->splice_from && to->splice_from->in_pipe > 0;
}

/* Does the end follow as soon as the gathered bytes are sent? */
static bool ends_here(const struct sd_stream *s)
{
	return (s->shut_pending || s->close_pending) && !s->file_waits && !waits_in_pipe(s);
}

/* Sends the gathered bytes and then n more from p; returns how many of p went. */
static size_t send_now(struct sd_stream *s, const char *p, size_t n)
{
	struct iovec v[2];
	int k = 0;
	pass_gate(s);
	if (s->out_len)
		v[k++] = (struct iovec){s->out + s->out_off, s->out_len};
	if (n)
		v[k++] = (struct iovec){(char *)(uintptr_t)p, n};
	ssize_t put = n == 0 && ends_here(s) ? sd_io_write_last(s->io, v, k) : s->io->ops->writev(s->io, v, k);
	if (put < 0) {
		if (put != -SD_EAGAIN)
			cannot_write(s, (enum sd_err)-put);
		return 0;
	}
	s->bytes_out += (uint64_t)put;
	size_t of_out = (size_t)put < s->out_len ? (size_t)put : s->out_len;
	s->out_off += (uint32_t)of_out;
	s->out_len -= (uint32_t)of_out;
	if (s->out_len == 0)
		drop_out(s);
	maybe_drained(s);
	return (size_t)put - of_out;
}

/* ---- splicing ---- */

/* Nothing is read while bytes are in the pipe or in front of it. */
static bool may_splice(const struct sd_stream *s)
{
	return s->in_pipe == 0 && s->splice_to->out_len == 0;
}

/* What is in the pipe goes on, as far as the other side takes it; then s reads again. */
static void push_pipe(struct sd_stream *s)
{
	struct sd_stream *to = s->splice_to;
	while (s->in_pipe > 0) {
		ssize_t put = s->io->ops->splice_out(s->io, to->io, s->in_pipe);
		if (put == -SD_EAGAIN)
			break;
		if (put <= 0) {
			s->in_pipe = 0;
			want(s, false, s->want_write);
			cannot_write(to, put ? (enum sd_err)-put : SD_ERESET);
			return;
		}
		s->in_pipe -= (uint32_t)put;
		to->bytes_out += (uint64_t)put;
	}
	if (!s->dead && !s->got_eof)
		want(s, may_splice(s) && !to->write_err, s->want_write);
}

bool sd_stream_splice(struct sd_stream *s, struct sd_stream *to)
{
	bool can = s->io && to->io && s->io->ops->splice_in && to->io->ops == s->io->ops;
	if (!can || s->dead || to->dead || s->in_len || s->splice_to || to->splice_from)
		return false;
	s->splice_to = to;
	to->splice_from = s;
	want(s, may_splice(s) && !s->got_eof, s->want_write);
	return true;
}

/* What is buffered is gone: now the end. */
static void say_end(struct sd_stream *s)
{
	s->shut_pending = false;
	s->io->ops->shutdown_write(s->io);
	s->shutting = s->io->ops->pending != NULL;
	s->close_pending |= s->events == &finish_events && s->got_eof;
}

static void flush(struct sd_stream *s)
{
	if (s->dead || s->connecting)
		return;
	if (s->out_len > 0)
		send_now(s, NULL, 0);
	if (s->splice_from && s->out_len == 0)
		push_pipe(s->splice_from);
	if (s->dead)
		return;
	if (s->file_waits && s->out_len == 0) {
		s->file_waits = false;
		todo(s, TODO_DRAINED);
	}
	if (s->shut_pending && s->out_len == 0 && !waits_in_pipe(s))
		say_end(s);
	if (s->shutting && !s->io->ops->pending(s->io)) {
		s->shutting = false;
		maybe_drained(s);
	}
	want(s, s->want_read, s->out_len > 0 || waits_in_pipe(s) || s->shutting);
	if (s->close_pending && s->out_len == 0 && !s->shutting)
		finish_over(s);
}

void sd_stream_yield(struct sd_stream *s)
{
	if (s->dead || s->write_err)
		return;
	s->file_waits = true;
	want(s, s->want_read, true);
}

ssize_t sd_stream_send_file(struct sd_stream *s, struct sd_file *f, uint64_t off, size_t n)
{
	if (s->dead || s->write_err)
		return 0;
	if (!s->io->ops->send_file || s->connecting || s->splice_from)
		return -SD_EUNSUPPORTED;
	pass_gate(s);
	struct iovec front = {s->out ? s->out + s->out_off : NULL, s->out_len};
	ssize_t put = s->io->ops->send_file(s->io, &front, f, off, n);
	if (put == -SD_EEOF)
		return put;
	if (put < 0 && put != -SD_EAGAIN) {
		cannot_write(s, (enum sd_err)-put);
		return 0;
	}
	size_t went = put < 0 ? 0 : (size_t)put, of_out = went < s->out_len ? went : s->out_len;
	s->bytes_out += went;
	s->out_off += (uint32_t)of_out;
	s->out_len -= (uint32_t)of_out;
	if (s->out_len == 0)
		drop_out(s);
	if (went - of_out < n)
		sd_stream_yield(s);
	return (ssize_t)(went - of_out);
}

char *sd_stream_reserve(struct sd_stream *s, size_t n)
{
	if (s->dead || s->write_err)
		return NULL;
	if (s->out_off && s->out_off + (size_t)s->out_len + n > s->out_cap) {
		memmove(s->out, s->out + s->out_off, s->out_len);
		s->out_off = 0;
	}
	if (s->out_len + n > s->out_cap &&
	    !buffer_grow(s->loop, &s->out, &s->out_cap, s->out_len, s->out_len + n)) {
		broke(s, SD_ENOMEM);
		return NULL;
	}
	return s->out + s->out_off + s->out_len;
}

void sd_stream_commit(struct sd_stream *s, size_t n)
{
	s->out_len += (uint32_t)n;
	if (s->out_len > s->high)
		s->above_high = true;
	if (!s->want_write)
		todo(s, TODO_FLUSH);
}

void sd_stream_write(struct sd_stream *s, const void *p, size_t n)
{
	const char *from = p;
	if (s->dead || s->write_err || n == 0)
		return;
	if (n >= DIRECT_WRITE && !s->connecting && !s->want_write) {
		size_t put = send_now(s, from, n);
		from += put;
		n -= put;
		if (s->dead || n == 0)
			return;
	}
	char *to = sd_stream_reserve(s, n);
	if (!to)
		return;
	memcpy(to, from, n);
	sd_stream_commit(s, n);
}

void sd_stream_tell_empty(struct sd_stream *s)
{
	s->low = 0;
	s->above_high = !sd_stream_all_sent(s);
}

void sd_stream_shutdown_write(struct sd_stream *s)
{
	if (s->dead)
		return;
	s->shut_pending = true;
	todo(s, TODO_FLUSH);
}

/* ---- reading ---- */

static void keep(struct sd_stream *s, const char *p, size_t n)
{
	if (s->in_len + n > s->in_cap &&
	    !buffer_grow(s->loop, &s->in, &s->in_cap, s->in_len, s->in_len + n)) {
		broke(s, SD_ENOMEM);
		return;
	}
	memcpy(s->in + s->in_len, p, n);
	s->in_len += (uint32_t)n;
}

/* Hands over what is kept; drops what was taken. */
static void hand_kept(struct sd_stream *s)
{
	char *in = s->in;
	uint32_t len = s->in_len;
	size_t took = s->events->data(s, in, len);
	if (s->dead || s->in != in)
		return;
	if (took >= len) {
		drop_in(s);
	} else if (took > 0) {
		memmove(s->in, s->in + took, len - took);
		s->in_len = len - (uint32_t)took;
	}
}

static void at_eof(struct sd_stream *s)
{
	s->got_eof = true;
	want(s, false, s->want_write);
	s->events->eof(s);
}

static void got_bytes(struct sd_stream *s, const char *p, size_t n)
{
	s->bytes_in += n;
	if (s->in_len > 0) {
		keep(s, p, n);
		if (!s->dead)
			hand_kept(s);
	} else {
		size_t took = s->events->data(s, p, n);
		if (!s->dead && took < n)
			keep(s, p + took, n - took);
	}
	if (!s->dead && s->in_len >= s->in_limit)
		want(s, false, s->want_write);
}

/* False: it cannot be done after all, and the bytes are to be read. */
static bool splice_readable(struct sd_stream *s)
{
	struct sd_stream *to = s->splice_to;
	if (!may_splice(s) || to->write_err) {
		want(s, false, s->want_write);
		return true;
	}
	ssize_t n = s->io->ops->splice_in(s->io, SPLICE_BYTES);
	if (n == -SD_EUNSUPPORTED) {
		stop_splice(s);
		return false;
	}
	if (n > 0) {
		s->bytes_in += (uint64_t)n;
		s->in_pipe = (uint32_t)n;
		push_pipe(s);
		if (s->in_pipe)
			want(to, to->want_read, true);
		if (s->events->spliced && !s->dead)
			s->events->spliced(s);
	} else if (n == 0) {
		at_eof(s);
	} else if (n != -SD_EAGAIN) {
		broke(s, (enum sd_err)-n);
	}
	return true;
}

static void on_readable(struct sd_stream *s)
{
	if (s->splice_to && s->in_len == 0 && !s->write_err && splice_readable(s))
		return;
	/* Never keep more than the limit and one read. */
	char *buf = sd_loop_scratch(s->loop);
	ssize_t n = s->io->ops->read(s->io, buf, SD_LOOP_SCRATCH);
	if (n > 0)
		got_bytes(s, buf, (size_t)n);
	else if (n == 0 && s->write_err)
		broke(s, (enum sd_err)s->write_err);
	else if (n == 0)
		at_eof(s);
	else if (n != -SD_EAGAIN)
		broke(s, (enum sd_err)-n);
}

static void on_connected(struct sd_stream *s)
{
	enum sd_err err = s->io->ops->connected(s->io);
	if (err == SD_EAGAIN)
		return;
	if (err) {
		broke(s, err);
		return;
	}
	s->connecting = false;
	want(s, true, false);
	if (s->out_len)
		todo(s, TODO_FLUSH);
	if (s->events->connected)
		s->events->connected(s);
}

static void on_ready(struct sd_io *io, unsigned what)
{
	struct sd_stream *s = io->owner;
	if (s->connecting) {
		on_connected(s);
		return;
	}
	if (what & SD_IO_WRITE)
		flush(s);
	if ((what & (SD_IO_READ | SD_IO_ERROR)) && !s->dead && s->want_read)
		on_readable(s);
}

void sd_stream_resume(struct sd_stream *s)
{
	if (!s->dead)
		todo(s, TODO_RESUME);
}

static void resume(struct sd_stream *s)
{
	if (s->in_len > 0)
		hand_kept(s);
	if (!s->dead && !s->got_eof && !s->connecting && s->in_len < s->in_limit && (!s->splice_to || may_splice(s)))
		want(s, true, s->want_write);
}

/* ---- deferred work ---- */

static void stream_free(struct sd_stream *s)
{
	drop_in(s);
	drop_out(s);
	free(s);
}

static void on_task(struct sd_task *t)
{
	struct sd_stream *s = sd_container(t, struct sd_stream, task);
	uint16_t what = s->todo;
	s->todo = 0;
	if (what & TODO_FREE) {
		stream_free(s);
		return;
	}
	if ((what & TODO_RESUME) && !s->dead)
		resume(s);
	/* What the resumed owner wrote goes out with the rest; the other wishes come back by themselves. */
	what |= s->todo & TODO_FLUSH;
	if ((what & TODO_FLUSH) && !s->dead)
		flush(s);
	if ((what & TODO_DRAINED) && !s->dead && s->events->drained)
		s->events->drained(s);
	if ((what & TODO_CLOSED) && !s->closing)
		s->events->closed(s, (enum sd_err)s->why);
}

/* ---- finishing: nobody listens any more ---- */

static void finish_over(struct sd_stream *s)
{
	void (*finished)(void *) = s->finished;
	void *arg = s->owner;
	sd_stream_close(s);
	if (finished)
		finished(arg);
}

static size_t finish_data(struct sd_stream *s, const char *p, size_t n)
{
	(void)p;
	if (s->bytes_in > FINISH_DISCARD)
		finish_over(s);
	return n;
}

/* The peer may have shut its sending side only: what is buffered still goes to it. */
static void finish_eof(struct sd_stream *s)
{
	if (s->out_len > 0)
		s->close_pending = true;
	else
		finish_over(s);
}

static void finish_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	finish_over(s);
}

static const struct sd_stream_events finish_events = {
    .data = finish_data,
    .eof = finish_eof,
    .timeout = finish_over,
    .closed = finish_closed,
};

void sd_stream_finish(struct sd_stream *s, int64_t deadline_ns, bool linger, void (*finished)(void *arg), void *arg)
{
	if (s->closing)
		return;
	s->events = &finish_events;
	s->owner = arg;
	s->finished = finished;
	if (s->dead) {
		todo(s, TODO_CLOSED);
		return;
	}
	s->in_limit = UINT32_MAX;
	s->bytes_in = 0;
	drop_in(s);
	sd_stream_deadline(s, deadline_ns);
	s->shut_pending = linger;
	s->close_pending = !linger;
	todo(s, TODO_FLUSH | TODO_RESUME);
}

/* ---- deadlines ---- */

void sd_stream_deadline(struct sd_stream *s, int64_t at_ns)
{
	s->deadline_ns = at_ns;
	if (at_ns == SD_NEVER || s->dead)
		return; /* the timer, if armed, finds nothing to do */
	if (!s->timer.slot || s->timer.due_ns > at_ns)
		sd_loop_timer_set(s->loop, &s->timer, at_ns);
}

static void on_timer(struct sd_timer *t)
{
	struct sd_stream *s = sd_container(t, struct sd_stream, timer);
	if (s->deadline_ns == SD_NEVER || s->dead)
		return;
	if (s->deadline_ns > sd_loop_now_ns(s->loop)) {
		sd_loop_timer_set(s->loop, &s->timer, s->deadline_ns);
		return;
	}
	s->deadline_ns = SD_NEVER;
	s->events->timeout(s);
}
