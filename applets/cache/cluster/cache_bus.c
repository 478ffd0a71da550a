/* cache_bus.c - links between nodes; the frames are in cache_bus.h. */
#include "cache_bus.h"

#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "net/connect.h"
#include "net/stream.h"
#include "net/tls_hmac.h"

#define CHANCE       16
#define IN_LIMIT     (256 * 1024)
#define HANDSHAKE_NS 5000000000

static const char magic[4] = {'S', 'D', 'B', '1'};

struct cache_link {
	struct sd_link link; /* in bus->links */
	struct cache_bus *bus;
	struct sd_stream *stream;
	bool dialled, stands, greeted, closing;
	struct sd_swim_id peer;
	uint8_t mine[CHANCE], theirs[CHANCE];
	char *waiting; /* frames until it stands */
	size_t nwaiting, room;
	void *user;
};

/* A frame that another thread wants sent, with its body. */
struct left {
	struct left *next;
	struct sd_swim_id to;
	struct sd_addr addr;
	struct cache_frame frame;
	char body[];
};

struct cache_bus {
	struct sd_loop *loop;
	struct left *left, **left_tail;
	struct cache_bus_conf conf;
	struct cache_bus_events events;
	struct sd_listener *listener;
	struct sd_link links;
};

/* ---- frames ---- */

static void put_number(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++, v >>= 8)
		p[i] = (uint8_t)v;
}

static uint64_t number_at(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;
	while (bytes--)
		v = v << 8 | p[bytes];
	return v;
}

static void put_head(uint8_t h[CACHE_FRAME_HEAD], const struct cache_frame *f, size_t n)
{
	put_number(h, n, 4);
	h[4] = f->kind;
	h[5] = f->flags;
	put_number(h + 6, f->hops, 2);
	put_number(h + 8, f->number, 4);
	put_number(h + 12, 0, 4);
	put_number(h + 16, f->session, 8);
}

static bool keep(struct cache_link *l, const void *p, size_t n)
{
	if (l->nwaiting + n > l->room) {
		size_t room = (l->nwaiting + n) * 2;
		char *more = realloc(l->waiting, room);
		if (!more)
			return false;
		l->waiting = more;
		l->room = room;
	}
	if (n)
		memcpy(l->waiting + l->nwaiting, p, n);
	l->nwaiting += n;
	return true;
}

static void put_bytes(struct cache_link *l, bool at_once, const void *p, size_t n)
{
	if (at_once)
		sd_stream_write(l->stream, p, n);
	else if (!keep(l, p, n))
		l->closing = true;
}

static void send_frame(struct cache_link *l, bool at_once, const struct cache_frame *f, const struct sd_slice *parts, size_t nparts)
{
	uint8_t h[CACHE_FRAME_HEAD];
	size_t n = 0;
	for (size_t i = 0; i < nparts; i++)
		n += parts[i].n;
	put_head(h, f, n);
	put_bytes(l, at_once, h, sizeof(h));
	for (size_t i = 0; i < nparts; i++)
		put_bytes(l, at_once, parts[i].p, parts[i].n);
}

void cache_link_send(struct cache_link *l, const struct cache_frame *f, const struct sd_slice *parts, size_t nparts)
{
	send_frame(l, l->stands, f, parts, nparts);
}

/* ---- who is there ---- */

static void prove(const struct cache_link *l, char letter, uint8_t out[SD_HMAC_BYTES])
{
	uint8_t text[1 + 2 * CHANCE + 2 * SD_SWIM_ID], *p = text;
	const struct sd_swim_id *self = &l->bus->conf.self;
	memset(out, 0, SD_HMAC_BYTES);
	if (!l->bus->conf.key.n)
		return;
	*p++ = (uint8_t)letter;
	memcpy(p, l->dialled ? l->mine : l->theirs, CHANCE);
	memcpy(p + CHANCE, l->dialled ? l->theirs : l->mine, CHANCE);
	p += 2 * CHANCE;
	memcpy(p, l->dialled ? self : &l->peer, SD_SWIM_ID);
	memcpy(p + SD_SWIM_ID, l->dialled ? &l->peer : self, SD_SWIM_ID);
	sd_hmac_sha256(l->bus->conf.key, text, sizeof(text), out);
}

static bool is_proof(const struct cache_link *l, char letter, const uint8_t *theirs)
{
	uint8_t want[SD_HMAC_BYTES];
	unsigned diff = 0;
	prove(l, letter, want);
	for (size_t i = 0; i < sizeof(want); i++)
		diff |= want[i] ^ theirs[i];
	return diff == 0;
}

static void send_hello(struct cache_link *l)
{
	uint8_t b[sizeof(magic) + 8 + SD_SWIM_ID + CHANCE], *p = b;
	struct sd_slice body = {(const char *)b, sizeof(b)};
	memcpy(p, magic, sizeof(magic));
	put_number(p + 4, l->bus->conf.cluster, 8);
	memcpy(p + 12, &l->bus->conf.self, SD_SWIM_ID);
	memcpy(p + 12 + SD_SWIM_ID, l->mine, CHANCE);
	send_frame(l, true, &(struct cache_frame){.kind = CACHE_FRAME_HELLO}, &body, 1);
}

static bool on_hello(struct cache_link *l, struct sd_slice body)
{
	const uint8_t *p = (const uint8_t *)body.p;
	uint8_t b[8 + SD_SWIM_ID + CHANCE + SD_HMAC_BYTES];
	struct sd_slice answer = {(const char *)b, sizeof(b)};
	if (l->dialled || l->greeted || body.n != sizeof(magic) + 8 + SD_SWIM_ID + CHANCE || memcmp(p, magic, sizeof(magic)) != 0 ||
	    number_at(p + 4, 8) != l->bus->conf.cluster)
		return false;
	memcpy(&l->peer, p + 12, SD_SWIM_ID);
	memcpy(l->theirs, p + 12 + SD_SWIM_ID, CHANCE);
	l->greeted = true;
	put_number(b, l->bus->conf.cluster, 8);
	memcpy(b + 8, &l->bus->conf.self, SD_SWIM_ID);
	memcpy(b + 8 + SD_SWIM_ID, l->mine, CHANCE);
	prove(l, 'W', b + 8 + SD_SWIM_ID + CHANCE);
	send_frame(l, true, &(struct cache_frame){.kind = CACHE_FRAME_WELCOME}, &answer, 1);
	return true;
}

/* It stands: what waited for that goes out. */
static void stand(struct cache_link *l)
{
	l->stands = true;
	sd_stream_deadline(l->stream, SD_NEVER);
	sd_stream_write(l->stream, l->waiting, l->nwaiting);
	free(l->waiting);
	l->waiting = NULL;
	l->nwaiting = l->room = 0;
	if (l->dialled)
		l->bus->events.dialled(l->bus->events.arg, &l->peer, true);
}

/* The other one must be who it was dialled as. */
static bool on_welcome(struct cache_link *l, struct sd_slice body)
{
	const uint8_t *p = (const uint8_t *)body.p;
	uint8_t proof[SD_HMAC_BYTES];
	struct sd_slice answer = {(const char *)proof, sizeof(proof)};
	if (!l->dialled || l->stands || body.n != 8 + SD_SWIM_ID + CHANCE + SD_HMAC_BYTES ||
	    number_at(p, 8) != l->bus->conf.cluster || memcmp(p + 8, &l->peer, SD_SWIM_ID) != 0)
		return false;
	memcpy(l->theirs, p + 8 + SD_SWIM_ID, CHANCE);
	if (!is_proof(l, 'W', p + 8 + SD_SWIM_ID + CHANCE))
		return false;
	prove(l, 'P', proof);
	send_frame(l, true, &(struct cache_frame){.kind = CACHE_FRAME_PROOF}, &answer, 1);
	stand(l);
	return true;
}

static bool on_proof(struct cache_link *l, struct sd_slice body)
{
	if (l->dialled || !l->greeted || l->stands || body.n != SD_HMAC_BYTES || !is_proof(l, 'P', (const uint8_t *)body.p))
		return false;
	stand(l);
	return true;
}

static bool on_frame(struct cache_link *l, const struct cache_frame *f)
{
	switch (f->kind) {
	case CACHE_FRAME_HELLO:
		return on_hello(l, f->body);
	case CACHE_FRAME_WELCOME:
		return on_welcome(l, f->body);
	case CACHE_FRAME_PROOF:
		return on_proof(l, f->body);
	default:
		if (!l->stands)
			return false;
		l->bus->events.frame(l->bus->events.arg, l, f);
		return true;
	}
}

/* ---- connections ---- */

static void link_free(struct cache_link *l)
{
	struct cache_bus *b = l->bus;
	sd_list_del(&l->link);
	sd_stream_close(l->stream);
	if (l->dialled)
		b->events.dialled(b->events.arg, &l->peer, false);
	else
		b->events.hung_up(b->events.arg, l);
	free(l->waiting);
	free(l);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct cache_link *l = s->owner;
	struct cache_bus *b = l->bus;
	size_t took = 0;
	b->events.enter(b->events.arg);
	while (n - took >= CACHE_FRAME_HEAD && !l->closing) {
		const uint8_t *h = (const uint8_t *)p + took;
		size_t len = number_at(h, 4);
		struct cache_frame f = {h[4], h[5], (uint16_t)number_at(h + 6, 2), (uint32_t)number_at(h + 8, 4), number_at(h + 16, 8),
					{p + took + CACHE_FRAME_HEAD, len}};
		if (len > (l->stands ? CACHE_FRAME_MAX : 256)) {
			l->closing = true;
			break;
		}
		s->in_limit = (uint32_t)(len + CACHE_FRAME_HEAD > IN_LIMIT ? len + CACHE_FRAME_HEAD : IN_LIMIT);
		if (n - took < CACHE_FRAME_HEAD + len)
			break;
		took += CACHE_FRAME_HEAD + len;
		l->closing |= !on_frame(l, &f);
	}
	if (l->closing)
		link_free(l);
	b->events.leave(b->events.arg);
	return took;
}

static void gone(struct sd_stream *s)
{
	struct cache_bus *b = ((struct cache_link *)s->owner)->bus;
	b->events.enter(b->events.arg);
	link_free(s->owner);
	b->events.leave(b->events.arg);
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	gone(s);
}

static void on_connected(struct sd_stream *s)
{
	send_hello(s->owner);
}

static void on_drained(struct sd_stream *s)
{
	struct cache_link *l = s->owner;
	struct cache_bus *b = l->bus;
	b->events.enter(b->events.arg);
	if (l->dialled)
		b->events.drained(b->events.arg, &l->peer);
	b->events.leave(b->events.arg);
}

static const struct sd_stream_events stream_events = {
    .connected = on_connected, .data = on_data, .eof = gone, .drained = on_drained, .timeout = gone, .closed = on_closed};

static struct cache_link *link_new(struct cache_bus *b)
{
	struct cache_link *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->bus = b;
	sd_world_random(sd_loop_world(b->loop), l->mine, sizeof(l->mine));
	sd_list_add(&b->links, &l->link);
	return l;
}

static void on_accepted(void *arg, struct sd_io *io)
{
	struct cache_bus *b = arg;
	struct cache_link *l = link_new(b);
	if (!l) {
		io->ops->close(io, true);
		return;
	}
	l->stream = sd_stream_new(io, false, IN_LIMIT, &stream_events, l);
	if (!l->stream) {
		sd_list_del(&l->link);
		free(l);
		return;
	}
	sd_stream_deadline(l->stream, sd_loop_now_ns(b->loop) + HANDSHAKE_NS);
}

static struct cache_link *find(const struct cache_bus *b, const struct sd_swim_id *to)
{
	for (struct sd_link *k = b->links.next; k != &b->links; k = k->next) {
		struct cache_link *l = sd_container(k, struct cache_link, link);
		if (l->dialled && !l->closing && sd_swim_id_compare(&l->peer, to) == 0)
			return l;
	}
	return NULL;
}

static struct cache_link *dial(struct cache_bus *b, const struct sd_swim_id *to, const struct sd_addr *addr)
{
	struct cache_link *l = link_new(b);
	struct sd_connect how = {.addr = addr, .in_limit = IN_LIMIT};
	if (!l)
		return NULL;
	l->dialled = true;
	l->peer = *to;
	if (sd_stream_connect(b->loop, &how, &stream_events, l, &l->stream, NULL)) {
		sd_list_del(&l->link);
		free(l);
		return NULL;
	}
	sd_stream_deadline(l->stream, sd_loop_now_ns(b->loop) + HANDSHAKE_NS);
	return l;
}

/* ---- the bus ---- */

static bool send_here(struct cache_bus *b, const struct sd_swim_id *to, const struct sd_addr *addr, const struct cache_frame *head,
		      const struct sd_slice *parts, size_t nparts)
{
	struct cache_link *l = find(b, to);
	if (!l)
		l = dial(b, to, addr);
	if (!l)
		return false;
	cache_link_send(l, head, parts, nparts);
	return true;
}

static bool leave_it(struct cache_bus *b, const struct sd_swim_id *to, const struct sd_addr *addr, const struct cache_frame *head,
		     const struct sd_slice *parts, size_t nparts)
{
	size_t n = 0;
	for (size_t i = 0; i < nparts; i++)
		n += parts[i].n;
	struct left *f = malloc(sizeof(*f) + n);
	if (!f)
		return false;
	*f = (struct left){.to = *to, .addr = *addr, .frame = *head};
	f->frame.body = (struct sd_slice){f->body, n};
	n = 0;
	for (size_t i = 0; i < nparts; i++) {
		if (parts[i].n)
			memcpy(f->body + n, parts[i].p, parts[i].n);
		n += parts[i].n;
	}
	*b->left_tail = f;
	b->left_tail = &f->next;
	b->events.behind(b->events.arg);
	return true;
}

bool cache_bus_send(struct cache_bus *b, const struct sd_swim_id *to, const struct sd_addr *addr, const struct cache_frame *head,
		    const struct sd_slice *parts, size_t nparts)
{
	bool here = sd_loop_is_mine(b->loop);
	return (here ? send_here : leave_it)(b, to, addr, head, parts, nparts);
}

static struct left *take_left(struct cache_bus *b)
{
	struct left *f = b->left;
	b->left = NULL;
	b->left_tail = &b->left;
	return f;
}

void cache_bus_catch_up(struct cache_bus *b)
{
	for (struct left *f = take_left(b), *next; f; f = next) {
		next = f->next;
		if (!send_here(b, &f->to, &f->addr, &f->frame, &f->frame.body, 1))
			b->events.dialled(b->events.arg, &f->to, false);
		free(f);
	}
}

size_t cache_link_backlog(const struct cache_link *l)
{
	return sd_stream_backlog(l->stream) + l->nwaiting;
}

size_t cache_bus_backlog(const struct cache_bus *b, const struct sd_swim_id *to)
{
	const struct cache_link *l = find(b, to);
	return l ? cache_link_backlog(l) : 0;
}

void cache_bus_cut(struct cache_bus *b, const struct sd_swim_id *peer)
{
	struct cache_link *l = find(b, peer);
	if (l)
		link_free(l);
}

void cache_bus_drop(struct cache_bus *b, const struct sd_swim_id *peer)
{
	for (struct sd_link *k = b->links.next, *next; k != &b->links; k = next) {
		struct cache_link *l = sd_container(k, struct cache_link, link);
		next = k->next;
		if (sd_swim_id_compare(&l->peer, peer) == 0)
			link_free(l);
	}
}

const struct sd_swim_id *cache_link_peer(const struct cache_link *l)
{
	return &l->peer;
}

void **cache_link_user(struct cache_link *l)
{
	return &l->user;
}

enum sd_err cache_bus_new(struct sd_loop *loop, const struct cache_bus_conf *conf, struct sd_addr *addr,
			  const struct cache_bus_events *events, struct cache_bus **out, struct sd_error *e)
{
	struct cache_bus *b = calloc(1, sizeof(*b));
	if (!b)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*b = (struct cache_bus){.loop = loop, .conf = *conf, .events = *events};
	sd_list_init(&b->links);
	b->left_tail = &b->left;
	struct sd_listener_events accept = {.accepted = on_accepted, .arg = b};
	enum sd_err err = sd_loop_listen(loop, addr, false, &accept, &b->listener, e);
	if (err) {
		free(b);
		return err;
	}
	*out = b;
	return SD_OK;
}

void cache_bus_free(struct cache_bus *b)
{
	if (!b)
		return;
	sd_listener_close(b->listener);
	while (!sd_list_empty(&b->links))
		link_free(sd_container(b->links.next, struct cache_link, link));
	for (struct left *f = take_left(b), *next; f; f = next) {
		next = f->next;
		free(f);
	}
	free(b);
}
