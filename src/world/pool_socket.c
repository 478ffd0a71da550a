#include "pool_socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "real.h"

bool sd_pool_socket_quiet(int fd)
{
	char c;
	return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

static enum sd_err why(int err)
{
	switch (err) {
	case ECONNREFUSED:
	case ENOENT:
		return SD_EREFUSED;
	case ETIMEDOUT:
		return SD_ETIMEOUT;
	case ENETUNREACH:
	case EHOSTUNREACH:
		return SD_EUNREACHABLE;
	case EMFILE:
	case ENFILE:
		return SD_ENOFILES;
	default:
		return SD_EIO;
	}
}

/* Until it is connected, or is known not to be. The errno; 0: it is. */
static int finish(int fd, int64_t timeout_ns)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int err = 0, ms = timeout_ns / 1000000 < 1000000 ? (int)(timeout_ns / 1000000) : 1000000;
	socklen_t n = sizeof(err);
	int ready = poll(&p, 1, ms);
	while (ready < 0 && errno == EINTR)
		ready = poll(&p, 1, ms);
	if (ready == 0)
		return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) < 0 ? errno : err;
}

enum sd_err sd_pool_socket_open(const struct sd_addr *to, int64_t timeout_ns, int *fd, struct sd_error *e)
{
	struct sockaddr_storage ss;
	char text[SD_ADDR_TEXT];
	socklen_t n = real_sockaddr(to, &ss);
	int s = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err = s < 0 ? errno : 0;
	if (!err && connect(s, (struct sockaddr *)&ss, n) < 0)
		err = errno == EINPROGRESS ? finish(s, timeout_ns) : errno;
	if (!err) {
		*fd = s;
		return SD_OK;
	}
	if (s >= 0)
		close(s);
	return sd_fail(e, why(err), "cannot connect to %s: %s", sd_addr_format(to, text), strerror(err));
}

enum sd_err sd_pool_socket_pair(int fd[2], struct sd_error *e)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return sd_fail(e, why(errno), "cannot make a socket: %s", strerror(errno));
	return SD_OK;
}

void sd_pool_socket_end(int fd)
{
	shutdown(fd, SHUT_RDWR);
}

void sd_pool_socket_close(int fd)
{
	close(fd);
}
