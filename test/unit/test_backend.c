/* The test server beside clients that take whatever they get. */
#include "../../applets/backend/backend.h"
#include "net_rig.h"

#define MOST (256 << 10) /* that one client may get while others wait */

/* A client that sends one request and takes everything at once. */
struct glutton {
	struct sd_io io;
	const char *request;
	uint64_t got;
	unsigned wants;
	bool closed;
};

static ssize_t io_read(struct sd_io *io, void *buf, size_t n)
{
	struct glutton *g = sd_container(io, struct glutton, io);
	size_t k = strlen(g->request);
	if (k == 0)
		return -SD_EAGAIN;
	ck_assert_uint_le(k, n);
	memcpy(buf, g->request, k);
	g->request += k;
	return (ssize_t)k;
}

static ssize_t io_writev(struct sd_io *io, const struct iovec *iov, int n)
{
	ssize_t sum = 0;
	for (int i = 0; i < n; i++)
		sum += (ssize_t)iov[i].iov_len;
	sd_container(io, struct glutton, io)->got += (uint64_t)sum;
	return sum;
}

static void io_want(struct sd_io *io, unsigned what)
{
	sd_container(io, struct glutton, io)->wants = what;
}

static void io_close(struct sd_io *io, bool reset)
{
	(void)reset;
	sd_container(io, struct glutton, io)->closed = true;
}

static void io_shutdown(struct sd_io *io)
{
	(void)io;
}

static const struct sd_io_ops ops = {
    .read = io_read,
    .writev = io_writev,
    .want = io_want,
    .shutdown_write = io_shutdown,
    .close = io_close,
};

START_TEST(one_that_takes_all_is_served_by_turns)
{
	struct rig rig;
	struct backend b = {.name = "b", .nworkers = 1};
	struct sd_worker sw = {0};
	struct worker w = {.b = &b, .w = &sw};
	struct glutton g = {.request = "GET /bytes/64MiB HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"};
	rig_make(&rig);
	sw.loop = rig.loop;
	sd_list_init(&w.live);
	sd_http_server_init(&w.server, rig.loop, &sd_http_server_defaults, &backend_handler, &w);
	g.io = (struct sd_io){.ops = &ops, .loop = rig.loop, .peer.kind = SD_ADDR_INET};
	sd_http_server_adopt(&w.server, &g.io);
	for (unsigned what = SD_IO_READ; !g.closed && what; what = g.wants & SD_IO_WRITE) {
		uint64_t before = g.got;
		g.io.ready(&g.io, what);
		sd_loop_flush(rig.loop); /* what was put off to the end of the turn */
		ck_assert_uint_le(g.got - before, MOST);
	}
	ck_assert_uint_gt(g.got, 64 << 20);
	ck_assert(sd_list_empty(&w.live));
	sd_http_server_stop(&w.server);
	rig_free(&rig);
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("turns");
	tcase_add_test(c, one_that_takes_all_is_served_by_turns);
	return rig_main_of(&c, 1, "backend");
}
