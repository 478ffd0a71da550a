/* memcache.c - asks memcached as sdlab load asks a cache: memcache PORT CONNECTIONS PIPELINE get|set|fill COUNT SIZE KEYS. Each
 * connection sends so many commands at a time and waits for their answers; fill sets the keys 1 to COUNT, each once. Prints how
 * many were answered and how many of them as they should be.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNS 256
#define MAX_BATCH (1024 * 2048)

static uint64_t state = 88172645463325252u;
static char out[MAX_BATCH], in[MAX_BATCH];
static char value[2048];

static uint64_t chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static int dial(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int put(const char *verb, uint64_t key, int size, char *to)
{
	if (strcmp(verb, "get") == 0)
		return snprintf(to, 64, "get key:%010llu\r\n", (unsigned long long)key);
	int n = snprintf(to, 64, "set key:%010llu 0 0 %d\r\n", (unsigned long long)key, size);
	memcpy(to + n, value, (size_t)size);
	memcpy(to + n + size, "\r\n", 2);
	return n + size + 2;
}

/* Reads until so many answers have ended, each with END or STORED; how many had a value or were stored. */
static long answers(int fd, long want, const char *good)
{
	size_t n = 0;
	long ended = 0, fine = 0;
	while (ended < want) {
		ssize_t got = read(fd, in + n, sizeof(in) - n);
		if (got <= 0)
			return -1;
		n += (size_t)got;
		char *at = in, *lf;
		while ((lf = memchr(at, '\n', n - (size_t)(at - in)))) {
			fine += strncmp(at, good, strlen(good)) == 0;
			ended += strncmp(at, "END", 3) == 0 || strncmp(at, "STORED", 6) == 0 || strncmp(at, "SERVER_ERROR", 12) == 0;
			at = lf + 1;
		}
		n -= (size_t)(at - in);
		memmove(in, at, n);
	}
	return fine;
}

int main(int argc, char **argv)
{
	int fds[MAX_CONNS];
	if (argc != 8)
		return 2;
	int conns = (int)strtol(argv[2], NULL, 10), pipeline = (int)strtol(argv[3], NULL, 10), size = (int)strtol(argv[6], NULL, 10);
	const char *verb = argv[4];
	long count = atol(argv[5]), done = 0, fine = 0, sent[MAX_CONNS];
	uint64_t keys = strtoull(argv[7], NULL, 10), next = 1;
	if (conns < 1 || conns > MAX_CONNS || size > 2000 || pipeline < 1 || pipeline > 1024 || !keys)
		return 2;
	memset(value, 'a', sizeof(value));
	for (int i = 0; i < conns; i++)
		if ((fds[i] = dial((int)strtol(argv[1], NULL, 10))) < 0)
			return 1;
	while (done < count) {
		long asked = 0;
		for (int i = 0; i < conns; i++) {
			int n = 0;
			for (sent[i] = 0; sent[i] < pipeline && done + asked < count; sent[i]++, asked++)
				n += put(verb, strcmp(verb, "fill") == 0 ? next++ : 1 + chance() % keys, size, out + n);
			if (n && write(fds[i], out, (size_t)n) != n)
				return 1;
		}
		for (int i = 0; i < conns; i++) {
			long f = sent[i] ? answers(fds[i], sent[i], strcmp(verb, "get") == 0 ? "VALUE" : "STORED") : 0;
			if (f < 0)
				return 1;
			fine += f;
		}
		done += asked;
	}
	printf("%ld %ld\n", done, fine);
	return 0;
}
