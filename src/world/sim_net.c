/* sim_net.c - connections of the simulated world.
 *
 * A connection has two directions; each is a queue of packets of which only the first travels, so that they arrive in order.
 * A packet that is lost or cannot pass is tried again, later and later, as TCP does; the sender's program sees a
 * connection that is slow, and in the end one that timed out.
 *
 *	connect  ->  OPENING --accepted--> OPEN          an end that is closed is forgotten; what still comes for it is
 *	                |                                answered with a reset, once its node has power
 *	                +--refused, timed out--> BROKEN
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backoff.h"
#include "sim_int.h"

#define WINDOW_BYTES  262144
#define FIRST_TRY_NS  200000000
#define LAST_TRY_NS   120000000000
#define GIVE_UP_NS    924000000000
#define OPEN_GIVE_UP_NS 127000000000
#define READY_NS      1000 /* an event takes up to this long from the kernel to the program */
#define ACCEPT_BATCH  32
#define STARVED_NS    100000000

enum packet_kind { SYN, SYN_ACK, DATA, FIN, RST };
static const char *const packet_names[] = {"connects", "accepts", "sends", "ends", "resets"};

struct packet {
	struct packet *next;
	int64_t at_ns;
	enum packet_kind kind;
	size_t n;
	char bytes[];
};

struct direction {
	struct sd_timer timer;
	struct sim_conn *conn;
	uint8_t side; /* of the sender */
	struct packet *first, **last;
	size_t flying;
	int64_t since_ns; /* when the first packet was first tried */
	uint32_t tries;
};

struct sim_conn {
	struct sd_link link; /* in sim->conns */
	struct sd_sim *sim;
	struct sim_node *node[2]; /* 0 connected, 1 accepted */
	struct sim_io *end[2];    /* NULL: closed, or not there yet */
	struct direction dir[2];
	struct sd_addr to, from;
};

enum io_state { OPENING, OPEN, BROKEN };

struct sim_io {
	struct sd_io io;
	struct sim_conn *conn; /* NULL: a ghost's */
	struct sd_link link;   /* in loop->ios */
	struct sd_timer ready;
	struct sim_loop *loop;
	uint8_t side, state, wanted;
	bool fin_in, fin_out, told;
	enum sd_err why; /* once BROKEN */
	char *in;
	size_t in_n, in_off, in_cap;
};

struct sim_listener {
	struct sd_listener listener;
	struct sim_loop *loop;
	struct sd_link link; /* in node->listeners */
	struct sd_addr addr;
	struct sd_timer ready;
	struct sim_io *waiting[128];
	unsigned nwaiting;
	bool paused, starved;
};

static struct sim_io *sim_io(struct sd_io *io)
{
	return sd_container(io, struct sim_io, io);
}

/* ---- readiness ---- */

static size_t room(const struct sim_io *x)
{
	const struct sim_conn *c = x->conn;
	const struct sim_io *peer = c->end[!x->side];
	size_t used = c->dir[x->side].flying + (peer ? peer->in_n : 0);
	return used < WINDOW_BYTES ? WINDOW_BYTES - used : 0;
}

static unsigned possible(const struct sim_io *x)
{
	if (!x->conn)
		return 0;
	if (x->state == BROKEN)
		return SD_IO_READ | SD_IO_WRITE;
	if (x->state == OPENING)
		return 0;
	return (x->in_n || x->fin_in ? SD_IO_READ : 0u) | (room(x) ? SD_IO_WRITE : 0u);
}

static void tell(struct sim_io *x)
{
	struct sd_sim *s = x->loop->node->sim;
	if (!x->ready.slot && (possible(x) & x->wanted))
		sim_set(s, &x->ready, s->now_ns + 1 + (int64_t)sim_below(s, READY_NS));
}

static void on_ready(struct sd_timer *t)
{
	struct sim_io *x = sd_container(t, struct sim_io, ready);
	struct sd_sim *s = x->loop->node->sim;
	struct sim_loop *l = x->loop;
	unsigned what = possible(x) & x->wanted;
	if (!what || !sim_may_run(l, t))
		return;
	sim_enter(l);
	s->current_io = x;
	x->io.ready(&x->io, what);
	if (s->current_io == x)
		tell(x); /* as long as it is possible it is said again */
	s->current_io = NULL;
	sim_leave(l);
}

static void break_io(struct sim_io *x, enum sd_err why)
{
	if (!x || x->state == BROKEN)
		return;
	x->why = why;
	x->state = BROKEN;
	tell(x);
}

/* ---- packets ---- */

static void drop_packets(struct direction *d)
{
	while (d->first) {
		struct packet *p = d->first;
		d->first = p->next;
		free(p);
	}
	d->last = &d->first;
	d->flying = 0;
	sim_cancel(d->conn->sim, &d->timer);
}

static void conn_free(struct sim_conn *c)
{
	drop_packets(&c->dir[0]);
	drop_packets(&c->dir[1]);
	sd_list_del(&c->link);
	free(c);
}

static void conn_maybe_free(struct sim_conn *c)
{
	if (!c->end[0] && !c->end[1] && !c->dir[0].first && !c->dir[1].first)
		conn_free(c);
}

static int64_t travel_ns(struct sim_conn *c, unsigned side, size_t n)
{
	struct sd_sim *s = c->sim;
	struct sim_node *from = c->node[side], *to = c->node[!side];
	const struct sd_sim_wire *w = &from->wires[to->index];
	int64_t leaves = s->now_ns;
	if (w->bytes_per_s) {
		if (from->wire_free_ns[to->index] > leaves)
			leaves = from->wire_free_ns[to->index];
		leaves += (int64_t)((double)(n + 64) * 1e9 / (double)w->bytes_per_s);
		from->wire_free_ns[to->index] = leaves;
	}
	return leaves + w->latency_ns + sim_tail(s, w->tail_ns);
}

static void first_leaves(struct direction *d)
{
	d->tries = 0;
	d->since_ns = d->conn->sim->now_ns;
	sim_set(d->conn->sim, &d->timer, d->first->at_ns);
}

static bool send_packet(struct sim_conn *c, unsigned side, enum packet_kind kind, const struct iovec *iov, int niov, size_t n)
{
	struct direction *d = &c->dir[side];
	struct packet *p = malloc(sizeof(*p) + n);
	if (!p)
		return false;
	*p = (struct packet){.kind = kind, .n = n, .at_ns = travel_ns(c, side, n)};
	size_t at = 0;
	for (int i = 0; i < niov && at < n; i++) {
		size_t part = iov[i].iov_len < n - at ? iov[i].iov_len : n - at;
		memcpy(p->bytes + at, iov[i].iov_base, part);
		at += part;
	}
	sim_record(c->sim, packet_names[kind], c->node[side], c->node[!side], (int64_t)n);
	sim_mix(c->sim, p->bytes, n);
	*d->last = p;
	d->last = &p->next;
	d->flying += n;
	if (d->first == p)
		first_leaves(d);
	return true;
}

/* The receiver does not know this connection, or wants nothing of it any more. */
static void send_reset(struct sim_conn *c, unsigned side)
{
	drop_packets(&c->dir[side]);
	send_packet(c, side, RST, NULL, 0, 0);
}

static bool keep_bytes(struct sim_io *x, const char *p, size_t n)
{
	if (x->in_off && x->in_off + x->in_n + n > x->in_cap) {
		memmove(x->in, x->in + x->in_off, x->in_n);
		x->in_off = 0;
	}
	if (x->in_n + n > x->in_cap) {
		size_t cap = (x->in_n + n) * 2;
		char *more = realloc(x->in, cap);
		if (!more)
			return false;
		x->in = more;
		x->in_cap = cap;
	}
	memcpy(x->in + x->in_off + x->in_n, p, n);
	x->in_n += n;
	return true;
}

static void accept_syn(struct sim_conn *c);

static void deliver(struct sim_conn *c, unsigned to, const struct packet *p)
{
	struct sim_io *x = c->end[to];
	if (p->kind == SYN) {
		accept_syn(c);
	} else if (p->kind == RST) {
		break_io(x, x && x->state == OPENING ? SD_EREFUSED : SD_ERESET);
		drop_packets(&c->dir[to]);
	} else if (!x) {
		send_reset(c, to);
	} else if (p->kind == SYN_ACK) {
		x->state = x->state == OPENING ? OPEN : x->state;
		tell(x);
	} else if (p->kind == FIN) {
		x->fin_in = true;
		tell(x);
	} else if (!keep_bytes(x, p->bytes, p->n)) {
		break_io(x, SD_ENOMEM);
	} else {
		tell(x);
	}
}

/* Cannot pass now: tried again later, or given up. */
static void try_later(struct direction *d)
{
	static const struct sd_backoff tries = {FIRST_TRY_NS, LAST_TRY_NS, SD_GROW_DOUBLING, 0};
	struct sim_conn *c = d->conn;
	int64_t limit = d->first->kind == SYN ? OPEN_GIVE_UP_NS : GIVE_UP_NS, now = c->sim->now_ns;
	if (now - d->since_ns < limit && c->node[d->side]->up) {
		sim_set(c->sim, &d->timer, now + sd_backoff(&tries, ++d->tries, 0));
		return;
	}
	drop_packets(d);
	break_io(c->end[d->side], SD_ETIMEOUT);
	conn_maybe_free(c);
}

static void on_packet(struct sd_timer *t)
{
	struct direction *d = sd_container(t, struct direction, timer);
	struct sim_conn *c = d->conn;
	struct sim_node *from = c->node[d->side], *to = c->node[!d->side];
	const struct sd_sim_wire *w = &from->wires[to->index];
	struct packet *p = d->first;
	if (w->cut || !to->up || sim_ppm(c->sim, w->loss_ppm)) {
		try_later(d);
		return;
	}
	d->first = p->next;
	if (!d->first)
		d->last = &d->first;
	d->flying -= p->n;
	deliver(c, !d->side, p);
	free(p);
	if (d->first && !d->timer.slot)
		first_leaves(d);
	conn_maybe_free(c);
}

/* ---- the io ---- */

/* Nothing promises that a call moves all it could. */
static size_t cut_short(struct sd_sim *s, size_t n)
{
	return n > 1 && sim_ppm(s, 30000) ? 1 + sim_below(s, n - 1) : n;
}

static ssize_t io_read(struct sd_io *io, void *buf, size_t n)
{
	struct sim_io *x = sim_io(io);
	if (!x->conn)
		return -SD_ERESET;
	if (x->in_n == 0) {
		if (x->state == BROKEN)
			return -(ssize_t)x->why;
		return x->fin_in ? 0 : -SD_EAGAIN;
	}
	n = cut_short(x->conn->sim, n < x->in_n ? n : x->in_n);
	memcpy(buf, x->in + x->in_off, n);
	x->in_off += n;
	x->in_n -= n;
	if (x->in_n == 0) {
		free(x->in);
		x->in = NULL;
		x->in_cap = x->in_off = 0;
	}
	if (x->conn->end[!x->side])
		tell(x->conn->end[!x->side]); /* its window opened */
	return (ssize_t)n;
}

static ssize_t io_writev(struct sd_io *io, const struct iovec *iov, int niov)
{
	struct sim_io *x = sim_io(io);
	size_t n = 0;
	if (!x->conn || x->fin_out)
		return -SD_ERESET;
	if (x->state != OPEN)
		return x->state == BROKEN ? -(ssize_t)x->why : -SD_EAGAIN;
	for (int i = 0; i < niov; i++)
		n += iov[i].iov_len;
	if (n > room(x))
		n = room(x);
	if (n == 0)
		return -SD_EAGAIN;
	n = cut_short(x->conn->sim, n);
	return send_packet(x->conn, x->side, DATA, iov, niov, n) ? (ssize_t)n : -SD_ENOMEM;
}

static void io_want(struct sd_io *io, unsigned what)
{
	struct sim_io *x = sim_io(io);
	x->wanted = (uint8_t)what;
	tell(x);
}

static enum sd_err io_connected(struct sd_io *io)
{
	struct sim_io *x = sim_io(io);
	return !x->conn ? SD_ERESET : x->state == OPEN ? SD_OK : x->state == OPENING ? SD_EAGAIN : x->why;
}

static void io_shutdown_write(struct sd_io *io)
{
	struct sim_io *x = sim_io(io);
	if (!x->conn || x->fin_out || x->state != OPEN)
		return;
	x->fin_out = true;
	send_packet(x->conn, x->side, FIN, NULL, 0, 0);
}

static void detach(struct sim_io *x, bool reset)
{
	struct sim_conn *c = x->conn;
	if (!c)
		return;
	x->conn = NULL;
	c->end[x->side] = NULL;
	if (x->state == OPEN && (reset || x->in_n))
		send_reset(c, x->side);
	else if (x->state == OPEN && !x->fin_out)
		send_packet(c, x->side, FIN, NULL, 0, 0);
	else if (x->state == OPENING && c->end[!x->side])
		send_reset(c, x->side);
	else if (x->state == OPENING)
		drop_packets(&c->dir[x->side]);
	conn_maybe_free(c);
}

static void io_close(struct sd_io *io, bool reset)
{
	struct sim_io *x = sim_io(io);
	struct sd_sim *s = x->loop->node->sim;
	if (s->current_io == x)
		s->current_io = NULL;
	sim_cancel(s, &x->ready);
	detach(x, reset);
	sd_list_del(&x->link);
	free(x->in);
	free(x);
}

static bool io_quiet(struct sd_io *io)
{
	const struct sim_io *x = sim_io(io);
	return x->conn && x->state != BROKEN && x->in_n == 0 && !x->fin_in;
}

static const struct sd_io_ops io_ops = {
    .read = io_read,
    .writev = io_writev,
    .want = io_want,
    .connected = io_connected,
    .shutdown_write = io_shutdown_write,
    .close = io_close,
    .quiet = io_quiet,
};

static struct sim_io *io_new(struct sim_loop *l, struct sim_conn *c, unsigned side)
{
	struct sim_io *x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->io.ops = &io_ops;
	x->io.loop = &l->loop;
	x->loop = l;
	x->conn = c;
	x->side = (uint8_t)side;
	x->ready.fn = on_ready;
	sd_list_add(&l->ios, &x->link);
	c->end[side] = x;
	return x;
}

/* ---- connecting ---- */

struct sim_node *sim_node_at(struct sim_node *from, const struct sd_addr *a)
{
	if (a->kind != SD_ADDR_INET || a->v6 || a->ip[0] == 127)
		return from; /* names and loopback are the node's own */
	bool ours = a->ip[0] == 10 && a->ip[1] == 0 && a->ip[2] == 0 && a->ip[3] > 0;
	return ours && a->ip[3] <= from->sim->nnodes ? from->sim->nodes[a->ip[3] - 1] : NULL;
}

static bool any_ip(const struct sd_addr *a)
{
	static const uint8_t none[16];
	return memcmp(a->ip, none, sizeof(none)) == 0;
}

static bool answers(const struct sim_listener *s, const struct sd_addr *to)
{
	if (s->addr.kind != to->kind)
		return false;
	if (to->kind != SD_ADDR_INET)
		return strcmp(s->addr.name, to->name) == 0;
	return s->addr.port == to->port && (any_ip(&s->addr) || memcmp(s->addr.ip, to->ip, sizeof(to->ip)) == 0);
}

/* One of those that listen there: each in turn. */
static struct sim_listener *find_listener(struct sim_node *n, const struct sd_addr *to)
{
	for (struct sd_link *k = n->listeners.next; k != &n->listeners; k = k->next) {
		struct sim_listener *s = sd_container(k, struct sim_listener, link);
		if (!answers(s, to) || s->nwaiting == sizeof(s->waiting) / sizeof(s->waiting[0]))
			continue;
		sd_list_del(k);
		sd_list_add(&n->listeners, k);
		return s;
	}
	return NULL;
}

static struct sd_addr own_addr(struct sim_node *n, const struct sd_addr *to)
{
	struct sd_addr a = {.kind = to->kind};
	if (to->kind != SD_ADDR_INET)
		return a;
	uint8_t ip[4] = {10, 0, 0, (uint8_t)(n->index + 1)};
	memcpy(a.ip, to->ip[0] == 127 ? to->ip : ip, 4);
	a.port = (uint16_t)(32768 + n->sim->next_port++ % 28000);
	return a;
}

static struct sim_conn *conn_new(struct sim_node *from, struct sim_node *to, const struct sd_addr *addr)
{
	struct sim_conn *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->sim = from->sim;
	c->node[0] = from;
	c->node[1] = to;
	c->to = *addr;
	c->from = own_addr(from, addr);
	for (unsigned i = 0; i < 2; i++) {
		c->dir[i].conn = c;
		c->dir[i].side = (uint8_t)i;
		c->dir[i].timer.fn = on_packet;
		c->dir[i].last = &c->dir[i].first;
	}
	sd_list_add(&c->sim->conns, &c->link);
	return c;
}

enum sd_err sim_connect(struct sd_loop *loop, const struct sd_addr *addr, struct sd_io **out, struct sd_error *e)
{
	struct sim_loop *l = sim_loop(loop);
	char text[SD_ADDR_TEXT];
	if (!sim_alive(l))
		return sd_fail(e, SD_EUNREACHABLE, "cannot connect to %s: the node is down", sd_addr_format(addr, text));
	struct sim_node *to = sim_node_at(l->node, addr);
	if (!to)
		return sd_fail(e, SD_EUNREACHABLE, "cannot connect to %s: no node has this address",
			       sd_addr_format(addr, text));
	if (addr->kind != SD_ADDR_INET && !find_listener(to, addr))
		return sd_fail(e, SD_EREFUSED, "cannot connect to %s: nobody listens", sd_addr_format(addr, text));
	struct sim_conn *c = conn_new(l->node, to, addr);
	struct sim_io *x = c ? io_new(l, c, 0) : NULL;
	if (!x || !send_packet(c, 0, SYN, NULL, 0, 0)) {
		if (x)
			io_close(&x->io, true);
		else if (c)
			conn_free(c);
		return sd_fail(e, SD_ENOMEM, "cannot connect: out of memory");
	}
	x->io.peer = sd_addr_peer(addr);
	*out = &x->io;
	return SD_OK;
}

/* ---- listening ---- */

static void tell_listener(struct sim_listener *s)
{
	struct sd_sim *sim = s->loop->node->sim;
	if (s->nwaiting && !s->paused && !s->starved && !s->ready.slot)
		sim_set(sim, &s->ready, sim->now_ns + 1 + (int64_t)sim_below(sim, READY_NS));
}

static void accept_syn(struct sim_conn *c)
{
	struct sim_listener *s = find_listener(c->node[1], &c->to);
	struct sim_io *x = s && c->end[0] ? io_new(s->loop, c, 1) : NULL;
	if (!x) {
		send_reset(c, 1);
		return;
	}
	x->state = OPEN;
	x->io.peer = sd_addr_peer(&c->from);
	x->io.local = sd_addr_peer(&c->to);
	s->waiting[s->nwaiting++] = x;
	send_packet(c, 1, SYN_ACK, NULL, 0, 0);
	tell_listener(s);
}

static void starve(struct sim_listener *s, bool starved)
{
	struct sd_sim *sim = s->loop->node->sim;
	s->starved = starved;
	if (s->listener.events.starved)
		s->listener.events.starved(s->listener.events.arg, starved);
	if (starved)
		sim_set(sim, &s->ready, sim->now_ns + STARVED_NS);
}

static struct sim_io *take_waiting(struct sim_listener *s)
{
	struct sim_io *x = s->waiting[0];
	memmove(s->waiting, s->waiting + 1, --s->nwaiting * sizeof(s->waiting[0]));
	return x;
}

static void on_accept(struct sd_timer *t)
{
	struct sim_listener *s = sd_container(t, struct sim_listener, ready);
	struct sim_loop *l = s->loop;
	if (!sim_may_run(l, t))
		return;
	sim_enter(l);
	if (s->starved)
		starve(s, false);
	for (int i = 0; i < ACCEPT_BATCH && s->nwaiting && !s->paused && !s->starved; i++) {
		if (sim_fault(l->node, SD_SIM_ACCEPT))
			starve(s, true);
		else
			s->listener.events.accepted(s->listener.events.arg, &take_waiting(s)->io);
	}
	tell_listener(s);
	sim_leave(l);
}

static void listener_pause(struct sd_listener *listener, bool paused)
{
	struct sim_listener *s = sd_container(listener, struct sim_listener, listener);
	s->paused = paused;
	tell_listener(s);
}

static void listener_close(struct sd_listener *listener)
{
	struct sim_listener *s = sd_container(listener, struct sim_listener, listener);
	while (s->nwaiting)
		io_close(&take_waiting(s)->io, true);
	sim_cancel(s->loop->node->sim, &s->ready);
	sd_list_del(&s->link);
	free(s);
}

static const struct sd_listener_ops listener_ops = {.pause = listener_pause, .close = listener_close};

static bool taken(struct sim_node *n, const struct sd_addr *a)
{
	for (struct sd_link *k = n->listeners.next; k != &n->listeners; k = k->next) {
		const struct sim_listener *s = sd_container(k, struct sim_listener, link);
		if (a->kind == SD_ADDR_INET && s->addr.kind == a->kind && s->addr.port == a->port)
			return true;
	}
	return false;
}

enum sd_err sim_listen(struct sd_loop *loop, struct sd_addr *addr, bool shared, const struct sd_listener_events *events,
		       struct sd_listener **out, struct sd_error *e)
{
	struct sim_loop *l = sim_loop(loop);
	char text[SD_ADDR_TEXT];
	if (addr->kind == SD_ADDR_INET && addr->port == 0)
		addr->port = (uint16_t)(32768 + l->node->sim->next_port++ % 28000);
	if (!shared && taken(l->node, addr))
		return sd_fail(e, SD_EINUSE, "cannot listen on %s: Address already in use", sd_addr_format(addr, text));
	struct sim_listener *s = calloc(1, sizeof(*s));
	if (!s)
		return sd_fail(e, SD_ENOMEM, "cannot listen: out of memory");
	s->listener = (struct sd_listener){&listener_ops, loop, *events};
	s->loop = l;
	s->addr = *addr;
	s->ready.fn = on_accept;
	sd_list_add(&l->node->listeners, &s->link);
	*out = &s->listener;
	return SD_OK;
}

/* ---- nodes that stop and go on ---- */

void sim_net_revive(struct sim_loop *l)
{
	for (struct sd_link *k = l->ios.next; k != &l->ios; k = k->next)
		tell(sd_container(k, struct sim_io, link));
	for (struct sd_link *k = l->node->listeners.next; k != &l->node->listeners; k = k->next) {
		struct sim_listener *s = sd_container(k, struct sim_listener, link);
		if (s->loop == l)
			tell_listener(s);
	}
}

/* What was accepted by the kernel and is in nobody's hand yet. */
static void forget_waiting(struct sim_listener *s)
{
	while (s->nwaiting)
		io_close(&take_waiting(s)->io, true);
	sim_cancel(s->loop->node->sim, &s->ready);
	sd_list_del(&s->link);
}

/* Takes an end away from a program that is no more. */
static void orphan(struct sim_io *x, bool silent)
{
	if (!x)
		return;
	sim_cancel(x->loop->node->sim, &x->ready);
	if (silent) {
		x->conn->end[x->side] = NULL;
		x->conn = NULL;
	} else {
		detach(x, false);
	}
}

void sim_net_down(struct sim_node *n, bool silent)
{
	for (struct sd_link *k = n->sim->conns.next, *next; k != &n->sim->conns; k = next) {
		struct sim_conn *c = sd_container(k, struct sim_conn, link);
		struct sim_io *mine[2] = {c->node[0] == n ? c->end[0] : NULL, c->node[1] == n ? c->end[1] : NULL};
		next = k->next;
		orphan(mine[0], silent); /* with the second end still there, or none, the connection is */
		orphan(mine[1], silent);
		if (silent && (mine[0] || mine[1]))
			conn_maybe_free(c);
	}
	while (!sd_list_empty(&n->listeners))
		forget_waiting(sd_container(n->listeners.next, struct sim_listener, link));
}

void sim_net_free(struct sd_sim *s)
{
	while (!sd_list_empty(&s->conns))
		conn_free(sd_container(s->conns.next, struct sim_conn, link));
}
