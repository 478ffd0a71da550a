/* sim_datagrams.c - datagrams of the simulated world: each flies for itself, and gets there or does not. */
#include <stdlib.h>
#include <string.h>

#include "sim_int.h"

#define READY_NS 1000
#define QUEUE    256 /* what a socket keeps while its program does not read */

struct flight {
	struct sd_link link; /* in sim->flying; then in the queue of a socket */
	struct sd_timer timer;
	struct sd_sim *sim;
	struct sim_node *from, *to;
	struct sd_addr source, target;
	size_t n;
	char bytes[];
};

struct sim_datagrams {
	struct sd_datagrams d;
	struct sim_loop *loop;
	struct sd_link link; /* in node->sockets */
	struct sd_addr addr;
	struct sd_timer ready;
	struct sd_link queue;
	unsigned queued;
	struct sim_datagrams **here;
};

static struct sim_datagrams *sim_of(struct sd_datagrams *d)
{
	return sd_container(d, struct sim_datagrams, d);
}

static void flight_free(struct flight *f)
{
	sim_cancel(f->sim, &f->timer);
	sd_list_del(&f->link);
	free(f);
}

static void tell(struct sim_datagrams *d)
{
	struct sd_sim *s = d->loop->node->sim;
	if (d->queued && !d->ready.slot)
		sim_set(s, &d->ready, s->now_ns + 1 + (int64_t)sim_below(s, READY_NS));
}

static void on_ready(struct sd_timer *t)
{
	struct sim_datagrams *d = sd_container(t, struct sim_datagrams, ready);
	struct sim_loop *l = d->loop;
	if (!sim_may_run(l, t))
		return;
	sim_enter(l);
	d->here = &d;
	while (d && d->queued) {
		struct flight *f = sd_container(d->queue.next, struct flight, link);
		sd_list_del(&f->link);
		d->queued--;
		d->d.events.received(d->d.events.arg, &f->source, f->bytes, f->n);
		free(f);
	}
	if (d)
		d->here = NULL;
	sim_leave(l);
}

static struct sim_datagrams *find_socket(struct sim_node *n, const struct sd_addr *to)
{
	for (struct sd_link *k = n->sockets.next; k != &n->sockets; k = k->next) {
		struct sim_datagrams *d = sd_container(k, struct sim_datagrams, link);
		if (d->addr.port == to->port)
			return d;
	}
	return NULL;
}

static void on_arrival(struct sd_timer *t)
{
	struct flight *f = sd_container(t, struct flight, timer);
	struct sim_datagrams *d = f->to->up ? find_socket(f->to, &f->target) : NULL;
	if (!d || d->queued == QUEUE || f->from->wires[f->to->index].cut) {
		flight_free(f);
		return;
	}
	sim_record(f->sim, "gets datagram", f->to, f->from, (int64_t)f->n);
	sd_list_del(&f->link);
	sd_list_add(&d->queue, &f->link);
	d->queued++;
	tell(d);
}

static void fly(struct sim_datagrams *d, struct sim_node *to, const struct sd_addr *target, const void *p, size_t n)
{
	struct sim_node *from = d->loop->node;
	const struct sd_sim_wire *w = &from->wires[to->index];
	struct flight *f = malloc(sizeof(*f) + n);
	if (!f)
		return;
	*f = (struct flight){.sim = from->sim, .from = from, .to = to, .source = d->addr, .target = *target, .n = n};
	uint8_t ip[4] = {10, 0, 0, (uint8_t)(from->index + 1)};
	memcpy(f->source.ip, target->ip[0] == 127 ? target->ip : ip, sizeof(ip));
	memcpy(f->bytes, p, n);
	f->timer.fn = on_arrival;
	sd_list_add(&from->sim->flying, &f->link);
	sim_set(from->sim, &f->timer, from->sim->now_ns + 1 + w->latency_ns + sim_tail(from->sim, w->tail_ns));
}

static void send_one(struct sd_datagrams *datagrams, const struct sd_addr *addr, const void *p, size_t n)
{
	struct sim_datagrams *d = sim_of(datagrams);
	struct sim_node *from = d->loop->node, *to;
	struct sd_sim *s = from->sim;
	if (!sim_alive(d->loop) || addr->kind != SD_ADDR_INET || !(to = sim_node_at(from, addr)))
		return;
	const struct sd_sim_wire *w = &from->wires[to->index];
	sim_record(s, "sends datagram", from, to, (int64_t)n);
	sim_mix(s, p, n);
	if (w->cut || sim_ppm(s, w->loss_ppm))
		return;
	fly(d, to, addr, p, n);
	if (sim_ppm(s, w->twice_ppm))
		fly(d, to, addr, p, n);
}

static void close_it(struct sd_datagrams *datagrams)
{
	struct sim_datagrams *d = sim_of(datagrams);
	if (d->here)
		*d->here = NULL;
	while (!sd_list_empty(&d->queue))
		flight_free(sd_container(d->queue.next, struct flight, link));
	sim_cancel(d->loop->node->sim, &d->ready);
	sd_list_del(&d->link);
	free(d);
}

static const struct sd_datagrams_ops ops = {.send = send_one, .close = close_it};

enum sd_err sim_datagrams(struct sd_loop *loop, struct sd_addr *addr, const struct sd_datagrams_events *events,
			  struct sd_datagrams **out, struct sd_error *e)
{
	struct sim_loop *l = sim_loop(loop);
	char text[SD_ADDR_TEXT];
	if (addr->port == 0)
		addr->port = (uint16_t)(32768 + l->node->sim->next_port++ % 28000);
	if (find_socket(l->node, addr))
		return sd_fail(e, SD_EINUSE, "cannot take datagrams on %s: Address already in use", sd_addr_format(addr, text));
	struct sim_datagrams *d = calloc(1, sizeof(*d));
	if (!d)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	d->d = (struct sd_datagrams){&ops, loop, *events};
	d->loop = l;
	d->addr = *addr;
	d->ready.fn = on_ready;
	sd_list_init(&d->queue);
	sd_list_add(&l->node->sockets, &d->link);
	*out = &d->d;
	return SD_OK;
}

/* ---- nodes that stop and go on ---- */

void sim_datagrams_revive(struct sim_loop *l)
{
	for (struct sd_link *k = l->node->sockets.next; k != &l->node->sockets; k = k->next) {
		struct sim_datagrams *d = sd_container(k, struct sim_datagrams, link);
		if (d->loop == l)
			tell(d);
	}
}

/* The program is a ghost: its sockets hear nothing any more. */
void sim_datagrams_down(struct sim_node *n)
{
	while (!sd_list_empty(&n->sockets)) {
		struct sim_datagrams *d = sd_container(n->sockets.next, struct sim_datagrams, link);
		while (!sd_list_empty(&d->queue))
			flight_free(sd_container(d->queue.next, struct flight, link));
		d->queued = 0;
		sim_cancel(n->sim, &d->ready);
		sd_list_del(&d->link);
	}
}

void sim_datagrams_free(struct sd_sim *s)
{
	while (!sd_list_empty(&s->flying))
		flight_free(sd_container(s->flying.next, struct flight, link));
}
