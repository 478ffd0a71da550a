/* mq_drive.c - the same work asked of several brokers: mq_drive amqp|nats|beanstalk PORT publish|consume COUNT SIZE WINDOW durable|transient
 * [RATE].
 *
 * publish: COUNT messages of SIZE bytes, of which at most WINDOW are not confirmed at any time (transient: none is). consume: takes COUNT
 * messages, at most WINDOW at hand, and acknowledges each. One connection. Prints how many came to their end and the seconds
 * it took; exit status 1 when not all did.
 *
 * With RATE publish sends so many a second, on a schedule that begins a second after it was called, and each message says when it was
 * due; consume tells, behind the rest, p50, p99 and maximum of the microseconds from then until it had them.
 *
 * What confirms: AMQP a publisher confirm of a persistent message in a durable queue; JetStream its acknowledgement of a stream on
 * files; beanstalkd INSERTED with its log.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BODY_MAX 65536
#define BUFFER	 (1 << 20)

static struct job {
	int port;
	bool publish, durable;
	long count, window;
	size_t size;
	double rate;
} job;
static char body[BODY_MAX];
static double begin_at; /* of the schedule */
static double *latencies;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "mq_drive: %s\n", what);
	exit(1);
}

/* ---- at a rate ---- */

/* Before the i-th message (from 0) leaves. */
static void pace(long i)
{
	if (job.rate <= 0)
		return;
	double due = begin_at + (double)i / job.rate;
	for (double left; (left = due - now()) > 0;) {
		struct timespec t = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
		nanosleep(&t, NULL);
	}
	memcpy(body, &due, sizeof(due));
}

static void arrived(long i, const char *p)
{
	double due;
	if (job.rate <= 0)
		return;
	memcpy(&due, p, sizeof(due));
	latencies[i] = now() - due;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void print_latencies(long n)
{
	if (job.publish || job.rate <= 0)
		return;
	qsort(latencies, (size_t)n, sizeof(*latencies), by_value);
	printf(" %.0f %.0f %.0f", latencies[n / 2] * 1e6, latencies[n * 99 / 100] * 1e6, latencies[n - 1] * 1e6);
}

/* ---- AMQP ---- */

static void check(amqp_connection_state_t c, const char *what)
{
	if (amqp_get_rpc_reply(c).reply_type != AMQP_RESPONSE_NORMAL)
		die(what);
}

/* One more confirm; how far they are. */
static long confirmed(amqp_connection_state_t c, long so_far)
{
	amqp_frame_t f;
	if (amqp_simple_wait_frame(c, &f) != AMQP_STATUS_OK || f.frame_type != AMQP_FRAME_METHOD)
		die("no confirm");
	if (f.payload.method.id != AMQP_BASIC_ACK_METHOD)
		die("expected basic.ack");
	const amqp_basic_ack_t *ack = f.payload.method.decoded;
	return ack->multiple ? (long)ack->delivery_tag : so_far + 1;
}

static long amqp_publish(amqp_connection_state_t c)
{
	amqp_basic_properties_t p = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = job.durable ? 2 : 1};
	amqp_bytes_t bytes = {.len = job.size, .bytes = body};
	long done = 0;
	if (job.durable) {
		amqp_confirm_select(c, 1);
		check(c, "confirm.select");
	}
	for (long i = 1; i <= job.count; i++) {
		pace(i - 1);
		if (amqp_basic_publish(c, 1, amqp_empty_bytes, amqp_cstring_bytes("bench"), 0, 0, &p, bytes) != AMQP_STATUS_OK)
			die("publish");
		while (job.durable && i - done >= job.window)
			done = confirmed(c, done);
		amqp_maybe_release_buffers(c);
	}
	while (job.durable && done < job.count)
		done = confirmed(c, done);
	return job.durable ? done : job.count;
}

static long amqp_consume(amqp_connection_state_t c)
{
	long n = 0;
	amqp_basic_qos(c, 1, 0, (uint16_t)job.window, 0);
	amqp_basic_consume(c, 1, amqp_cstring_bytes("bench"), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	check(c, "basic.consume");
	for (; n < job.count; n++) {
		amqp_envelope_t e;
		amqp_maybe_release_buffers(c);
		if (amqp_consume_message(c, &e, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL)
			die("no message");
		arrived(n, e.message.body.bytes);
		if (amqp_basic_ack(c, 1, e.delivery_tag, 0) != AMQP_STATUS_OK)
			die("ack");
		amqp_destroy_envelope(&e);
	}
	return n;
}

static long run_amqp(void)
{
	amqp_connection_state_t c = amqp_new_connection();
	amqp_socket_t *s = amqp_tcp_socket_new(c);
	if (!s || amqp_socket_open(s, "127.0.0.1", job.port) != AMQP_STATUS_OK)
		die("cannot connect");
	if (amqp_login(c, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest").reply_type != AMQP_RESPONSE_NORMAL)
		die("login");
	amqp_channel_open(c, 1);
	check(c, "channel.open");
	amqp_queue_declare(c, 1, amqp_cstring_bytes("bench"), 0, 1, 0, 0, amqp_empty_table);
	check(c, "queue.declare");
	long n = job.publish ? amqp_publish(c) : amqp_consume(c);
	/* What came before was handled when this is answered: a transient publication has no other answer. */
	amqp_channel_close(c, 1, AMQP_REPLY_SUCCESS);
	amqp_connection_close(c, AMQP_REPLY_SUCCESS);
	amqp_destroy_connection(c);
	return n;
}

/* ---- lines of text ---- */

static int fd;
static char in[BUFFER], out[BUFFER];
static size_t in_n, in_at, out_n;

static void dial(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)job.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		die("cannot connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void flush_out(void)
{
	for (size_t at = 0; at < out_n;) {
		ssize_t n = write(fd, out + at, out_n - at);
		if (n <= 0)
			die("the connection broke");
		at += (size_t)n;
	}
	out_n = 0;
}

static void put(const char *p, size_t n)
{
	if (out_n + n > BUFFER)
		flush_out();
	memcpy(out + out_n, p, n);
	out_n += n;
}

/* n bytes that stay until the next call. What waits to be sent goes first when none are there. */
static const char *take(size_t n)
{
	while (in_n - in_at < n) {
		flush_out();
		memmove(in, in + in_at, in_n - in_at);
		in_n -= in_at;
		in_at = 0;
		ssize_t got = read(fd, in + in_n, BUFFER - in_n);
		if (got <= 0)
			die("the connection broke");
		in_n += (size_t)got;
	}
	in_at += n;
	return in + in_at - n;
}

/* The next line, without its end, in a place of its own. */
static const char *line(void)
{
	static char text[4096];
	size_t n = 0;
	for (char c; (c = *take(1)) != '\n';)
		if (n + 1 < sizeof(text))
			text[n++] = c;
	text[n > 0 && text[n - 1] == '\r' ? n - 1 : n] = '\0';
	return text;
}

/* ---- beanstalkd ---- */

static void begins(const char *text, const char *with)
{
	if (strncmp(text, with, strlen(with)) != 0)
		die(text);
}

static long run_beanstalk(void)
{
	char head[64];
	long asked = 0, done = 0, came = 0;
	dial();
	while (done < job.count) {
		for (; asked < job.count && asked - done < job.window; asked++) {
			if (job.publish)
				pace(asked);
			int n = job.publish ? snprintf(head, sizeof(head), "put 0 0 60 %zu\r\n", job.size) : snprintf(head, sizeof(head), "reserve\r\n");
			put(head, (size_t)n);
			if (job.publish) {
				put(body, job.size);
				put("\r\n", 2);
			}
			if (job.rate > 0)
				flush_out();
		}
		const char *said = line();
		begins(said, job.publish ? "INSERTED " : said[0] == 'D' ? "DELETED" : "RESERVED ");
		if (job.publish || said[0] == 'D') {
			done++;
			continue;
		}
		unsigned long long id = strtoull(said + 9, NULL, 10);
		arrived(came++, take((size_t)strtoul(strrchr(said, ' ') + 1, NULL, 10) + 2));
		put(head, (size_t)snprintf(head, sizeof(head), "delete %llu\r\n", id));
	}
	return done;
}

/* ---- NATS JetStream ---- */

/* The next MSG: its reply subject and payload; PING is answered. */
static struct message {
	char reply[256];
	size_t n;
} message(void)
{
	struct message m = {0};
	for (;;) {
		const char *said = line();
		if (strncmp(said, "PING", 4) == 0) {
			put("PONG\r\n", 6);
			continue;
		}
		if (strncmp(said, "-ERR", 4) == 0)
			die(said);
		if (strncmp(said, "MSG ", 4) != 0 && strncmp(said, "HMSG ", 5) != 0)
			continue;
		char text[4096], *words[6], *save = NULL;
		int n = 0;
		snprintf(text, sizeof(text), "%s", said);
		for (char *w = strtok_r(text, " ", &save); w && n < 6; w = strtok_r(NULL, " ", &save))
			words[n++] = w;
		if (n < 4)
			die(said);
		m.n = strtoul(words[n - 1], NULL, 10);
		if (n == 5 && words[0][0] == 'M')
			snprintf(m.reply, sizeof(m.reply), "%s", words[3]);
		return m;
	}
}

/* Of each of two that run side by side. */
static const char *inbox(void)
{
	return job.publish ? "inbox.p" : "inbox.c";
}

static void request(const char *subject, const char *text)
{
	char head[512];
	put(head, (size_t)snprintf(head, sizeof(head), "PUB %s %s %zu\r\n%s\r\n", subject, inbox(), strlen(text), text));
}

static void ask_api(const char *subject, const char *text)
{
	request(subject, text);
	struct message m = message();
	const char *answer = take(m.n + 2);
	if (memmem(answer, m.n, "\"error\"", 7) && !memmem(answer, m.n, "already in use", 14))
		die("JetStream refused");
}

static long run_nats(void)
{
	char head[256];
	long asked = 0, done = 0;
	dial();
	line();
	put(head, (size_t)snprintf(head, sizeof(head), "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %s 1\r\n", inbox()));
	ask_api("$JS.API.STREAM.CREATE.bench", "{\"name\":\"bench\",\"subjects\":[\"bench\"],\"storage\":\"file\",\"retention\":\"workqueue\"}");
	if (!job.publish)
		ask_api("$JS.API.CONSUMER.DURABLE.CREATE.bench.c",
			"{\"stream_name\":\"bench\",\"config\":{\"durable_name\":\"c\",\"ack_policy\":\"explicit\",\"max_ack_pending\":10000}}");
	while (done < job.count) {
		for (; job.publish && asked < job.count && asked - done < job.window; asked++) {
			pace(asked);
			put(head, (size_t)snprintf(head, sizeof(head), "PUB bench %s %zu\r\n", job.durable ? inbox() : "", job.size));
			put(body, job.size);
			put("\r\n", 2);
			done += !job.durable;
			if (job.rate > 0)
				flush_out();
		}
		if (job.publish && !job.durable)
			continue;
		if (!job.publish && asked == done) {
			long batch = job.count - done < job.window ? job.count - done : job.window;
			char text[64];
			snprintf(text, sizeof(text), "{\"batch\":%ld}", batch);
			request("$JS.API.CONSUMER.MSG.NEXT.bench.c", text);
			asked += batch;
		}
		struct message m = message();
		const char *p = take(m.n + 2);
		if (job.publish && memmem(p, m.n, "\"error\"", 7))
			die("JetStream did not take it");
		if (!job.publish)
			arrived(done, p);
		if (!job.publish)
			put(head, (size_t)snprintf(head, sizeof(head), "PUB %s 4\r\n+ACK\r\n", m.reply));
		done++;
	}
	put("PING\r\n", 6);
	while (strncmp(line(), "PONG", 4) != 0)
		;
	return done;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		long (*run)(void);
	} protocols[] = {{"amqp", run_amqp}, {"nats", run_nats}, {"beanstalk", run_beanstalk}};
	if (argc != 8 && argc != 9) {
		fprintf(stderr, "usage: mq_drive amqp|nats|beanstalk PORT publish|consume COUNT SIZE WINDOW durable|transient [RATE]\n");
		return 2;
	}
	job = (struct job){.port = (int)strtol(argv[2], NULL, 10), .publish = strcmp(argv[3], "publish") == 0, .durable = strcmp(argv[7], "durable") == 0,
			   .count = strtol(argv[4], NULL, 10), .size = strtoul(argv[5], NULL, 10), .window = strtol(argv[6], NULL, 10), .rate = argc == 9 ? strtod(argv[8], NULL) : 0};
	if (job.size > BODY_MAX || job.size < sizeof(double) || job.window < 1 || job.count < 1)
		die("SIZE from 8 to 65536; COUNT and WINDOW from 1");
	begin_at = now() + 1;
	latencies = calloc((size_t)job.count, sizeof(*latencies));
	if (!latencies)
		die("out of memory");
	memset(body, 'x', sizeof(body));
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (strcmp(argv[1], protocols[i].name) != 0)
			continue;
		double begin = now();
		long done = protocols[i].run();
		printf("%ld %.6f", done, now() - begin);
		print_latencies(done);
		printf("\n");
		return done == job.count ? 0 : 1;
	}
	die("expected amqp, nats or beanstalk");
	return 2;
}
