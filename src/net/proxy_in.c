#include "proxy_in.h"

#include <stdlib.h>
#include <string.h>

#include "core/count.h"
#include "io_front.h"

#define SAY_EVERY_NS 10000000000
#define SHORT        128 /* bytes of a header that need no memory of their own */

const char *const sd_proxy_refusal_names[] = {"untrusted", "missing", "invalid", "partial", "timeout"};

struct pending {
	struct sd_proxy_in *in;
	struct sd_io *io;
	struct sd_link link;
	struct sd_timer timer;
	char *big; /* instead of bytes */
	size_t n, cap;
	char bytes[SHORT];
};

static char *bytes_of(struct pending *p)
{
	return p->big ? p->big : p->bytes;
}

/* The io is not p's any more. */
static struct sd_io *forget(struct pending *p)
{
	struct sd_io *io = p->io;
	io->ops->want(io, 0);
	sd_loop_timer_cancel(io->loop, &p->timer);
	sd_list_del(&p->link);
	p->in->npending--;
	free(p->big);
	free(p);
	return io;
}

static void over(struct pending *p)
{
	struct sd_proxy_in *in = p->in;
	struct sd_io *io = forget(p);
	io->ops->close(io, true);
	if (in->ended)
		in->ended(in->arg);
}

static void say(struct sd_proxy_in *in, const struct sd_peer *who, const char *why)
{
	int64_t now = sd_loop_now_ns(in->loop);
	if (!in->conf.refused)
		return;
	if (in->said_ns && now - in->said_ns < SAY_EVERY_NS) {
		in->skipped++;
		return;
	}
	in->conf.refused(in->conf.refused_arg, who, why, in->skipped);
	in->said_ns = now;
	in->skipped = 0;
}

static void refuse(struct pending *p, enum sd_proxy_refusal what, const char *why)
{
	sd_count(&p->in->stats.refused[what], 1);
	say(p->in, &p->io->peer, why);
	over(p);
}

static bool trusted(const struct sd_proxy_in *in, const struct sd_peer *peer)
{
	if (peer->kind != SD_ADDR_INET)
		return true; /* on this machine, by a path or name that it was given */
	for (size_t i = 0; i < in->conf.nfrom; i++)
		if (sd_cidr_has(&in->conf.from[i], peer->ip, peer->v6))
			return true;
	return false;
}

/* ---- how it ends ---- */

static void with_header(struct pending *p, const struct sd_pp_header *h)
{
	struct sd_proxy_in *in = p->in;
	if (!trusted(in, &p->io->peer)) {
		refuse(p, SD_PROXY_UNTRUSTED, "it is not one of proxy-from");
		return;
	}
	sd_count(&in->stats.headers, 1);
	sd_count(&in->stats.local, h->local);
	if (!h->local) {
		uint8_t door = p->io->peer.door;
		p->io->peer = h->from;
		p->io->peer.door = door;
		p->io->local = h->to;
	}
	struct sd_io *io = forget(p);
	in->next(in->arg, io);
}

static void without_header(struct pending *p)
{
	struct sd_proxy_in *in = p->in;
	char kept[SHORT];
	size_t n = p->n; /* at most what tells the protocols apart */
	memcpy(kept, p->bytes, n);
	sd_count(&in->stats.plain, 1);
	struct sd_io *io = forget(p);
	if (n)
		io = sd_io_read_first(io, kept, n);
	if (io)
		in->next(in->arg, io);
	else if (in->ended)
		in->ended(in->arg);
}

static void no_header(struct pending *p, const struct sd_pp_header *h)
{
	if (!h->foreign)
		refuse(p, SD_PROXY_INVALID, h->why);
	else if (p->in->conf.mode == SD_PROXY_ACCEPT)
		without_header(p);
	else
		refuse(p, SD_PROXY_MISSING, "it began with something else");
}

static void on_timeout(struct sd_timer *t)
{
	struct pending *p = sd_container(t, struct pending, timer);
	if (p->n == 0 && p->in->conf.mode == SD_PROXY_ACCEPT)
		without_header(p);
	else
		refuse(p, SD_PROXY_TIMEOUT, p->n ? "its header took too long" : "it said nothing");
}

/* Who connects and says nothing is a check of somebody's, and no error. */
static void at_end(struct pending *p)
{
	if (p->n == 0)
		over(p);
	else
		refuse(p, SD_PROXY_PARTIAL, "it closed in the middle of its header");
}

/* ---- reading ---- */

static bool reserve(struct pending *p, size_t n)
{
	if (n <= SHORT || p->cap >= n)
		return true;
	char *big = malloc(n); /* the length is known by now: this is all of it */
	if (!big)
		return false;
	memcpy(big, bytes_of(p), p->n);
	free(p->big);
	p->big = big;
	p->cap = n;
	return true;
}

/* Reads what is there of the header; false when nothing more is to be done now. */
static bool read_more(struct pending *p)
{
	size_t need = sd_pp_need(bytes_of(p), p->n);
	if (!reserve(p, p->n + need)) {
		over(p);
		return false;
	}
	ssize_t got = p->io->ops->read(p->io, bytes_of(p) + p->n, need);
	if (got > 0) {
		p->n += (size_t)got;
		return true;
	}
	if (got != -SD_EAGAIN)
		at_end(p);
	return false;
}

static void on_ready(struct sd_io *io, unsigned what)
{
	struct pending *p = io->owner;
	struct sd_pp_header h;
	(void)what;
	while (read_more(p)) {
		ssize_t r = sd_pp_parse(bytes_of(p), p->n, &h);
		if (r == SD_PP_INCOMPLETE)
			continue;
		if (r == SD_PP_BAD)
			no_header(p, &h);
		else
			with_header(p, &h);
		return;
	}
}

/* ---- beginning ---- */

void sd_proxy_in_take(struct sd_proxy_in *in, struct sd_io *io)
{
	if (in->conf.mode == SD_PROXY_OFF) {
		in->next(in->arg, io);
		return;
	}
	struct pending *p = calloc(1, sizeof(*p));
	if (!p) {
		io->ops->close(io, true);
		if (in->ended)
			in->ended(in->arg);
		return;
	}
	p->in = in;
	p->io = io;
	p->timer.fn = on_timeout;
	sd_list_add(&in->pending, &p->link);
	in->npending++;
	if (in->conf.mode == SD_PROXY_REQUIRE && !trusted(in, &io->peer)) {
		refuse(p, SD_PROXY_UNTRUSTED, "it is not one of proxy-from");
		return;
	}
	io->owner = p;
	io->ready = on_ready;
	if (in->conf.timeout_ns)
		sd_loop_timer_set(in->loop, &p->timer, sd_loop_now_ns(in->loop) + in->conf.timeout_ns);
	io->ops->want(io, SD_IO_READ);
}

void sd_proxy_in_init(struct sd_proxy_in *in, struct sd_loop *l, const struct sd_proxy_in_conf *conf,
		      void (*next)(void *arg, struct sd_io *io), void *arg)
{
	*in = (struct sd_proxy_in){.loop = l, .conf = *conf, .next = next, .arg = arg};
	sd_list_init(&in->pending);
}

void sd_proxy_in_close(struct sd_proxy_in *in)
{
	while (!sd_list_empty(&in->pending))
		over(sd_container(in->pending.next, struct pending, link));
}
