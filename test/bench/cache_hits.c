/* How often a cache has what is asked for: the same seeded trace for every server and policy, through the same client.
 *
 *	cache_hits PORT|SOCKET POLICY zipf|scan SEED
 *
 * 100,000 keys, of which about a tenth fits: memory is limited to what the server uses with a tenth of them under this policy. Requests come
 * by Zipf's law (0.99); scan: after every 40,000 of them 20,000 keys that never come again. A miss is followed by a SET of 64
 * bytes, as a program would. Sent in batches of 50: the same for all. Prints hits, requests, and keys held at the end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/rng.h"

#define KEYS	100000
#define BATCH	50
#define WARM	200000
#define MEASURE 800000

static double cdf[KEYS];
static struct sd_rng rng;
static FILE *in, *out;

static void die(const char *what)
{
	fprintf(stderr, "cache_hits: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void reach(const char *where)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in ip = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1, fd = socket(*where == '/' ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", where);
	ip.sin_port = htons((uint16_t)strtoul(where, NULL, 10));
	if (connect(fd, *where == '/' ? (void *)&un : (void *)&ip, *where == '/' ? sizeof(un) : sizeof(ip)))
		die(where);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	in = fdopen(fd, "r");
	out = fdopen(dup(fd), "w");
}

/* A line of a reply, and the bytes of a bulk string behind it. */
static void reply(char *line, char *bulk, size_t room)
{
	if (!fgets(line, 256, in))
		die("no reply");
	if (*line == '-') {
		fprintf(stderr, "cache_hits: %s", line);
		exit(1);
	}
	long n = *line == '$' ? strtol(line + 1, NULL, 10) : -1;
	for (long i = 0; i < n + 2 && n >= 0; i++) {
		int c = getc(in);
		if (bulk && (size_t)i + 1 < room) {
			bulk[i] = (char)c;
			bulk[i + 1] = '\0';
		}
	}
}

static long long ask(const char *command, const char *field)
{
	char line[256];
	static char bulk[65536];
	bulk[0] = '\0';
	fprintf(out, "%s\r\n", command);
	fflush(out);
	reply(line, bulk, sizeof(bulk));
	const char *at = field ? strstr(bulk, field) : line + 1;
	return at ? strtoll(at + (field ? strlen(field) : 0), NULL, 10) : -1;
}

static void put(uint32_t key)
{
	char name[32];
	int n = snprintf(name, sizeof(name), "key:%08u", key);
	fprintf(out, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$64\r\n%064d\r\n", n, name, 0);
}

static uint32_t zipf(void)
{
	double u = sd_rng_unit(&rng) * cdf[KEYS - 1];
	uint32_t lo = 0, hi = KEYS - 1;
	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		*(cdf[mid] < u ? &lo : &hi) = cdf[mid] < u ? mid + 1 : mid;
	}
	return lo * 7919u % KEYS; /* which keys are hot has nothing to do with their order */
}

static uint32_t next_key(int scan, long i)
{
	static uint32_t fresh = KEYS;
	return scan && i % 60000 >= 40000 ? fresh++ : zipf();
}

static long batch(int scan, long at)
{
	uint32_t keys[BATCH];
	char line[256], name[32];
	int missed[BATCH], hits = 0;
	for (int i = 0; i < BATCH; i++) {
		keys[i] = next_key(scan, at + i);
		int n = snprintf(name, sizeof(name), "key:%08u", keys[i]);
		fprintf(out, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", n, name);
	}
	fflush(out);
	for (int i = 0; i < BATCH; i++) {
		reply(line, NULL, 0);
		missed[i] = line[1] == '-';
		hits += !missed[i];
	}
	for (int i = 0; i < BATCH; i++)
		if (missed[i])
			put(keys[i]);
	fflush(out);
	for (int i = 0; i < BATCH; i++)
		if (missed[i])
			reply(line, NULL, 0);
	return hits;
}

/* A tenth of the keys, and a limit at what they take. */
static void limit(const char *policy)
{
	char text[128], line[256];
	ask("FLUSHALL", NULL);
	snprintf(text, sizeof(text), "CONFIG SET maxmemory 1gb maxmemory-policy %s", policy);
	ask(text, NULL);
	for (uint32_t i = 0; i < KEYS / 10; i++) {
		put(i);
		if (i % BATCH != BATCH - 1)
			continue;
		fflush(out);
		for (int k = 0; k < BATCH; k++)
			reply(line, NULL, 0);
	}
	snprintf(text, sizeof(text), "CONFIG SET maxmemory %lld", ask("INFO memory", "used_memory:"));
	ask(text, NULL);
}

int main(int argc, char **argv)
{
	long hits = 0;
	if (argc != 5) {
		fprintf(stderr, "usage: cache_hits PORT|SOCKET POLICY zipf|scan SEED\n");
		return 2;
	}
	int scan = strcmp(argv[3], "scan") == 0;
	for (int i = 0; i < KEYS; i++)
		cdf[i] = (i ? cdf[i - 1] : 0) + pow(i + 1, -0.99);
	sd_rng_seed(&rng, strtoull(argv[4], NULL, 10));
	reach(argv[1]);
	limit(argv[2]);
	for (long i = 0; i < WARM + MEASURE; i += BATCH) {
		long n = batch(scan, i);
		hits += i >= WARM ? n : 0;
	}
	printf("%ld %d %lld\n", hits, MEASURE, ask("DBSIZE", NULL));
	return 0;
}
