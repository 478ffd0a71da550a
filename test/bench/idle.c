/* idle.c - holds many idle keep-alive connections open.
 *
 * idle PORT N: opens N connections to 127.0.0.1:PORT one after another, sends one request on each, reads the
 * whole answer, prints "ready N", and holds them until standard input ends. Then it prints "open M": how many of
 * them the server has kept. Exit status 1 when a connection or an answer failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* One source address has about 28,000 ports to one destination; a new one is taken before they run out. */
#define PER_SOURCE 20000

static int die(const char *what, long i)
{
	fprintf(stderr, "idle: %s on connection %ld: %s\n", what, i, strerror(errno));
	return 1;
}

static int dial(int port, long i)
{
	const struct timeval patience = {.tv_sec = 10};
	struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
	from.sin_addr.s_addr = htonl((in_addr_t)(INADDR_LOOPBACK + i / PER_SOURCE));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons((in_port_t)port);
	if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
	    connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Reads an answer with a Content-Length to its end; 0 when all is well. */
static int read_answer(int fd)
{
	char buf[16384];
	size_t have = 0, want = sizeof buf - 1;
	int head_done = 0;

	while (have < want) {
		ssize_t n = recv(fd, buf + have, want - have, 0);
		if (n <= 0) {
			errno = n == 0 ? ECONNRESET : errno;
			return -1;
		}
		have += (size_t)n;
		buf[have] = '\0';
		char *end = head_done ? NULL : strstr(buf, "\r\n\r\n");
		if (end != NULL) {
			char *length = strcasestr(buf, "\r\ncontent-length:");
			if (length == NULL || length > end || strncmp(buf, "HTTP/1.1 200", 12) != 0) {
				errno = EPROTO;
				return -1;
			}
			want = (size_t)(end + 4 - buf) + strtoul(length + 17, NULL, 10);
			if (want >= sizeof buf) {
				errno = EMSGSIZE;
				return -1;
			}
			head_done = 1;
		}
	}
	return head_done ? 0 : -1;
}

static long still_open(const int *fd, long n)
{
	long open = 0;

	for (long i = 0; i < n; i++) {
		char byte;
		if (recv(fd[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			open++;
	}
	return open;
}

int main(int argc, char **argv)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: idle.test\r\nUser-Agent: idle\r\nAccept: */*\r\n\r\n";
	struct rlimit files;

	if (argc != 3) {
		fprintf(stderr, "usage: idle PORT N\n");
		return 2;
	}
	int port = (int)strtol(argv[1], NULL, 10);
	long n = strtol(argv[2], NULL, 10);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	int *fd = calloc((size_t)n, sizeof *fd);
	if (fd == NULL)
		return die("memory", 0);
	for (long i = 0; i < n; i++) {
		fd[i] = dial(port, i);
		if (fd[i] < 0)
			return die("connect", i);
		if (send(fd[i], request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof request - 1))
			return die("request", i);
		if (read_answer(fd[i]) != 0)
			return die("answer", i);
	}
	printf("ready %ld\n", n);
	fflush(stdout);
	char rest[64];
	while (read(STDIN_FILENO, rest, sizeof rest) > 0)
		;
	printf("open %ld\n", still_open(fd, n));
	free(fd);
	return 0;
}
