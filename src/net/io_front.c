#include "io_front.h"

#include <stdlib.h>
#include <string.h>

#include "core/list.h"

struct front {
	struct sd_io io;
	struct sd_io *below;
	struct sd_task task; /* says that there is something to read */
	uint8_t wanted;
	bool sends, closed;
	uint16_t off, n; /* of bytes */
	char bytes[];
};

static struct front *front_of(struct sd_io *io)
{
	return sd_container(io, struct front, io);
}

static size_t left(const struct front *f)
{
	return (size_t)f->n - f->off;
}

static void on_ready(struct sd_io *below, unsigned what)
{
	struct front *f = below->owner;
	f->io.ready(&f->io, what);
}

/* The socket may stay silent: what waits here is told of from here, as often as somebody wants to read. */
static void tell_again(struct front *f)
{
	if (!f->sends && left(f) && (f->wanted & SD_IO_READ))
		sd_loop_defer(f->io.loop, &f->task);
}

static void on_task(struct sd_task *t)
{
	struct front *f = sd_container(t, struct front, task);
	if (f->closed) {
		free(f);
		return;
	}
	if (left(f) && (f->wanted & SD_IO_READ))
		f->io.ready(&f->io, SD_IO_READ);
}

static ssize_t front_read(struct sd_io *io, void *buf, size_t n)
{
	struct front *f = front_of(io);
	if (f->sends || !left(f))
		return f->below->ops->read(f->below, buf, n);
	if (n > left(f))
		n = left(f);
	memcpy(buf, f->bytes + f->off, n);
	f->off += (uint16_t)n;
	tell_again(f);
	return (ssize_t)n;
}

/* Sends what must go first; SD_OK when it is gone. */
static enum sd_err send_front(struct front *f)
{
	while (left(f)) {
		struct iovec v = {f->bytes + f->off, left(f)};
		ssize_t put = f->below->ops->writev(f->below, &v, 1);
		if (put < 0)
			return (enum sd_err)-put;
		f->off += (uint16_t)put;
	}
	return SD_OK;
}

static ssize_t front_writev(struct sd_io *io, const struct iovec *iov, int n)
{
	struct front *f = front_of(io);
	enum sd_err err = f->sends ? send_front(f) : SD_OK;
	return err ? -(ssize_t)err : f->below->ops->writev(f->below, iov, n);
}

static void front_want(struct sd_io *io, unsigned what)
{
	struct front *f = front_of(io);
	f->wanted = (uint8_t)what;
	tell_again(f);
	f->below->ops->want(f->below, what);
}

/* A peer that speaks only once it was spoken to must hear these bytes now; what does not fit goes before the next. */
static enum sd_err front_connected(struct sd_io *io)
{
	struct front *f = front_of(io);
	enum sd_err err = f->below->ops->connected(f->below);
	if (!err && f->sends)
		err = send_front(f);
	return err;
}

static void front_shutdown_write(struct sd_io *io)
{
	struct front *f = front_of(io);
	f->below->ops->shutdown_write(f->below);
}

static void front_local(struct sd_io *io)
{
	struct front *f = front_of(io);
	io->local = sd_io_local(f->below);
}

static bool front_quiet(struct sd_io *io)
{
	const struct front *f = front_of(io);
	return (f->sends || !left(f)) && f->below->ops->quiet(f->below);
}

static void front_close(struct sd_io *io, bool reset)
{
	struct front *f = front_of(io);
	f->below->ops->close(f->below, reset);
	f->closed = true;
	sd_loop_defer(io->loop, &f->task); /* it may be queued: then that is the last time */
}

static const struct sd_io_ops front_ops = {
    .read = front_read,
    .writev = front_writev,
    .want = front_want,
    .connected = front_connected,
    .shutdown_write = front_shutdown_write,
    .close = front_close,
    .local = front_local,
    .quiet = front_quiet,
};

static struct sd_io *make(struct sd_io *below, const void *p, size_t n, bool sends)
{
	struct front *f = n <= SD_IO_FRONT_MAX ? calloc(1, sizeof(*f) + n) : NULL;
	if (!f) {
		below->ops->close(below, true);
		return NULL;
	}
	f->io = (struct sd_io){.ops = &front_ops, .loop = below->loop, .peer = below->peer, .local = below->local};
	f->below = below;
	f->sends = sends;
	f->task.fn = on_task;
	f->n = (uint16_t)n;
	memcpy(f->bytes, p, n);
	below->owner = f;
	below->ready = on_ready;
	return &f->io;
}

struct sd_io *sd_io_read_first(struct sd_io *io, const void *p, size_t n)
{
	return make(io, p, n, false);
}

struct sd_io *sd_io_send_first(struct sd_io *io, const void *p, size_t n)
{
	return make(io, p, n, true);
}
