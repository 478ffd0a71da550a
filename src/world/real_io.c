/* real_io.c - sockets of the kernel's as struct sd_io. */
#include <errno.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/un.h>
#include <unistd.h>

#include "real.h"
#include "sdlab/pool.h"

struct real_io {
	struct sd_io io;
	int fd;
	int pipe[2]; /* holds bytes on their way to another io; 0: none */
	uint32_t in_pipe;
	uint8_t wanted;
	struct event *write_ev; /* made when a write first had to wait */
	struct event read_ev;
};

static struct real_io *real_of(struct sd_io *io)
{
	return sd_container(io, struct real_io, io);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	struct real_io *r = arg;
	struct sd_loop *l = r->io.loop;
	loop_enter(l);
	r->io.ready(&r->io, (what & EV_READ ? SD_IO_READ : 0u) | (what & EV_WRITE ? SD_IO_WRITE : 0u));
	loop_leave(l);
}

static ssize_t io_read(struct sd_io *io, void *buf, size_t n)
{
	ssize_t got = recv(real_of(io)->fd, buf, n, 0);
	return got >= 0 ? got : -(ssize_t)real_err(errno);
}

static ssize_t io_writev(struct sd_io *io, const struct iovec *iov, int n)
{
	ssize_t put;
	if (n == 1) {
		put = send(real_of(io)->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
	} else {
		struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
		put = sendmsg(real_of(io)->fd, &m, MSG_NOSIGNAL);
	}
	return put >= 0 ? put : -(ssize_t)real_err(errno);
}

static void want_write(struct real_io *r, bool on)
{
	if (!r->write_ev && on)
		r->write_ev = event_new(real_loop(r->io.loop)->base, r->fd, EV_WRITE | EV_PERSIST, on_event, r);
	if (!r->write_ev)
		return; /* out of memory: the deadline of the stream ends it */
	if (on)
		event_add(r->write_ev, NULL);
	else
		event_del(r->write_ev);
}

static void io_want(struct sd_io *io, unsigned what)
{
	struct real_io *r = real_of(io);
	unsigned changed = r->wanted ^ what;
	r->wanted = (uint8_t)what;
	if (changed & SD_IO_READ) {
		if (what & SD_IO_READ)
			event_add(&r->read_ev, NULL);
		else
			event_del(&r->read_ev);
	}
	if (changed & SD_IO_WRITE)
		want_write(r, what & SD_IO_WRITE);
}

static enum sd_err io_connected(struct sd_io *io)
{
	int err = 0;
	socklen_t n = sizeof(err);
	if (getsockopt(real_of(io)->fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0)
		err = errno;
	return real_err(err);
}

static void io_shutdown_write(struct sd_io *io)
{
	shutdown(real_of(io)->fd, SHUT_WR);
}

/* The front waits in the kernel for the first bytes of the file, so that both leave in one packet. */
static ssize_t io_send_file(struct sd_io *io, const struct iovec *front, struct sd_file *f, uint64_t off, size_t n)
{
	int fd = real_of(io)->fd;
	off_t at = (off_t)off;
	if (front->iov_len > 0) {
		ssize_t put = send(fd, front->iov_base, front->iov_len, MSG_NOSIGNAL | MSG_MORE);
		if (put < 0)
			return -(ssize_t)real_err(errno);
		if ((size_t)put < front->iov_len)
			return put;
	}
	ssize_t sent = sendfile(fd, real_file_fd(f), &at, n);
	if (sent > 0 || front->iov_len > 0)
		return (ssize_t)front->iov_len + (sent > 0 ? sent : 0);
	return sent == 0 ? -(ssize_t)SD_EEOF : -(ssize_t)real_err(errno);
}

/* ---- splicing: an io has a pipe only while bytes are in it, so that few are enough for many ---- */

#define PIPE_BYTES (256 * 1024)

static void drop_pipe(struct real_io *r)
{
	if (!r->pipe[0])
		return;
	close(r->pipe[0]);
	close(r->pipe[1]);
	r->pipe[0] = r->pipe[1] = 0;
}

static bool take_pipe(struct real_io *r)
{
	struct real_loop *l = real_loop(r->io.loop);
	if (r->pipe[0])
		return true;
	if (l->spare_pipe[0]) {
		memcpy(r->pipe, l->spare_pipe, sizeof(r->pipe));
		l->spare_pipe[0] = l->spare_pipe[1] = 0;
		return true;
	}
	if (pipe2(r->pipe, O_NONBLOCK | O_CLOEXEC) < 0) {
		r->pipe[0] = r->pipe[1] = 0;
		return false;
	}
	fcntl(r->pipe[1], F_SETPIPE_SZ, PIPE_BYTES); /* or as large as it is */
	return true;
}

/* It is empty again. */
static void leave_pipe(struct real_io *r)
{
	struct real_loop *l = real_loop(r->io.loop);
	if (l->spare_pipe[0]) {
		drop_pipe(r);
		return;
	}
	memcpy(l->spare_pipe, r->pipe, sizeof(r->pipe));
	r->pipe[0] = r->pipe[1] = 0;
}

static ssize_t io_splice_in(struct sd_io *io, size_t n)
{
	struct real_io *r = real_of(io);
	if (!take_pipe(r))
		return -(ssize_t)SD_EUNSUPPORTED;
	ssize_t got = splice(r->fd, NULL, r->pipe[1], NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	int err = errno;
	if (got > 0)
		r->in_pipe += (uint32_t)got;
	else if (r->in_pipe == 0)
		leave_pipe(r);
	if (got >= 0)
		return got;
	return err == EINVAL || err == ENOSYS ? -(ssize_t)SD_EUNSUPPORTED : -(ssize_t)real_err(err);
}

static const struct sd_io_ops real_io_ops;

static ssize_t io_splice_out(struct sd_io *io, struct sd_io *to, size_t n)
{
	struct real_io *r = real_of(io);
	if (to->ops != &real_io_ops)
		return -(ssize_t)SD_EUNSUPPORTED;
	ssize_t put = splice(r->pipe[0], NULL, real_of(to)->fd, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (put < 0)
		return -(ssize_t)real_err(errno);
	r->in_pipe -= (uint32_t)put;
	if (r->in_pipe == 0)
		leave_pipe(r);
	return put;
}

static void io_close(struct sd_io *io, bool reset)
{
	struct real_io *r = real_of(io);
	struct sd_loop *l = io->loop;
	event_del(&r->read_ev);
	if (r->write_ev)
		event_free(r->write_ev);
	if (reset) {
		struct linger hard = {1, 0};
		setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	}
	close(r->fd);
	drop_pipe(r);
	free(r);
	real_fd_freed(l);
}

static void io_local(struct sd_io *io)
{
	struct sockaddr_storage ss = {0};
	struct sd_addr addr;
	socklen_t n = sizeof(ss);
	if (getsockname(real_of(io)->fd, (struct sockaddr *)&ss, &n) < 0)
		return;
	real_addr_of(&ss, &addr);
	if (addr.kind == SD_ADDR_INET)
		io->local = sd_addr_peer(&addr);
}

static bool io_quiet(struct sd_io *io)
{
	return sd_pool_socket_quiet(real_of(io)->fd);
}

static const struct sd_io_ops real_io_ops = {
    .read = io_read,
    .writev = io_writev,
    .want = io_want,
    .connected = io_connected,
    .shutdown_write = io_shutdown_write,
    .close = io_close,
    .splice_in = io_splice_in,
    .send_file = io_send_file,
    .splice_out = io_splice_out,
    .local = io_local,
    .quiet = io_quiet,
};

struct sd_io *real_io_new(struct sd_loop *l, int fd)
{
	struct real_io *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->io.ops = &real_io_ops;
	r->io.loop = l;
	r->fd = fd;
	event_assign(&r->read_ev, real_loop(l)->base, fd, EV_READ | EV_PERSIST, on_event, r);
	return &r->io;
}

/* ---- addresses ---- */

socklen_t real_sockaddr(const struct sd_addr *a, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (a->kind == SD_ADDR_UNIX) {
		struct sockaddr_un *un = (struct sockaddr_un *)out;
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, a->name, sizeof(un->sun_path) < sizeof(a->name) ? sizeof(un->sun_path)
										     : sizeof(a->name));
		return sizeof(*un);
	}
	if (a->v6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(a->port);
		memcpy(&in6->sin6_addr, a->ip, 16);
		return sizeof(*in6);
	}
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	in->sin_family = AF_INET;
	in->sin_port = htons(a->port);
	memcpy(&in->sin_addr, a->ip, 4);
	return sizeof(*in);
}

void real_addr_of(const struct sockaddr_storage *ss, struct sd_addr *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = SD_ADDR_UNIX;
	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
		out->kind = SD_ADDR_INET;
		out->port = ntohs(in->sin_port);
		memcpy(out->ip, &in->sin_addr, 4);
	} else if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
		out->kind = SD_ADDR_INET;
		out->v6 = true;
		out->port = ntohs(in6->sin6_port);
		memcpy(out->ip, &in6->sin6_addr, 16);
	}
}

/* ---- connecting ---- */

static enum sd_err open_and_connect(const struct sd_addr *addr, int *out, struct sd_error *e)
{
	struct sockaddr_storage ss;
	char text[SD_ADDR_TEXT];
	socklen_t n = real_sockaddr(addr, &ss);
	int one = 1;
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return sd_fail(e, real_err(errno), "cannot open a socket: %s", strerror(errno));
	if (addr->kind == SD_ADDR_INET)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (struct sockaddr *)&ss, n) < 0 && errno != EINPROGRESS) {
		int err = errno;
		close(fd);
		return sd_fail(e, err == EAGAIN ? SD_EREFUSED : real_err(err), "cannot connect to %s: %s",
			       sd_addr_format(addr, text), strerror(err));
	}
	*out = fd;
	return SD_OK;
}

enum sd_err real_connect(struct sd_loop *l, const struct sd_addr *addr, struct sd_io **out, struct sd_error *e)
{
	int fd = -1;
	enum sd_err err = addr->kind == SD_ADDR_INPROC ? real_inproc_connect(l, addr->name, &fd, e)
						       : open_and_connect(addr, &fd, e);
	if (err)
		return err;
	struct sd_io *io = real_io_new(l, fd);
	if (!io) {
		close(fd);
		return sd_fail(e, SD_ENOMEM, "cannot connect: out of memory");
	}
	io->peer = sd_addr_peer(addr);
	*out = io;
	return SD_OK;
}
