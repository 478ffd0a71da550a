/* swim_wire.c - datagrams of SWIM read and written; the format is in swim.h. */
#include <string.h>

#include "core/swim_int.h"

#define INCARNATION_MAX (UINT64_MAX / 2) /* nobody comes there by ones: it leaves room to answer anything */

static const uint8_t magic[4] = {'S', 'D', 'G', '1'};

/* ---- reading ---- */

/* What is left; bad once something was not there. */
struct in {
	const uint8_t *p;
	size_t n;
	bool bad;
};

static void take(struct in *in, void *out, size_t n)
{
	if (in->n < n) {
		in->bad = true;
		memset(out, 0, n);
		return;
	}
	memcpy(out, in->p, n);
	in->p += n;
	in->n -= n;
}

static uint64_t take_number(struct in *in, unsigned bytes)
{
	uint8_t b[8];
	uint64_t v = 0;
	take(in, b, bytes);
	while (bytes--)
		v = v << 8 | b[bytes];
	return v;
}

static void take_end(struct in *in, struct sd_swim_end *e)
{
	uint64_t size = take_number(in, 1);
	memset(e, 0, sizeof(*e));
	if (size != 0 && size != 4 && size != 16)
		in->bad = true;
	if (in->bad || !size)
		return;
	e->v6 = size == 16;
	take(in, e->ip, size);
	e->port = (uint16_t)take_number(in, 2);
	in->bad |= !e->port;
}

static void take_entry(struct in *in, const struct sd_swim_id *sender, struct swim_entry *e)
{
	memset(e, 0, sizeof(*e));
	take(in, &e->facts.id, SD_SWIM_ID);
	uint64_t state = take_number(in, 1);
	e->state = (enum sd_swim_state)(state & 3);
	e->incarnation = take_number(in, 8);
	e->facts.epoch = take_number(in, 8);
	e->facts.weight = (uint16_t)take_number(in, 2);
	take_end(in, &e->facts.client);
	take_end(in, &e->facts.bus);
	e->facts.npayload = (uint8_t)take_number(in, 1);
	if (e->facts.npayload > SD_SWIM_PAYLOAD) {
		in->bad = true;
		return;
	}
	take(in, e->facts.payload, e->facts.npayload);
	if (state == SD_SWIM_SUSPECT)
		take(in, &e->accuser, SD_SWIM_ID);
	bool own = sd_swim_id_compare(&e->facts.id, sender) == 0;
	in->bad |= state > SD_SWIM_LEFT || e->incarnation > INCARNATION_MAX || swim_id_is_zero(&e->facts.id) ||
		   !e->facts.bus.port || (swim_ip_is_zero(&e->facts.bus) && !own);
}

bool swim_read_cluster(const uint8_t *p, size_t n, uint64_t *cluster)
{
	struct in in = {p + sizeof(magic), n - sizeof(magic), false};
	if (n < SWIM_HEAD || memcmp(p, magic, sizeof(magic)) != 0)
		return false;
	*cluster = take_number(&in, 8);
	return true;
}

bool swim_read(const uint8_t *p, size_t n, struct swim_message *m)
{
	if (!swim_read_cluster(p, n, &m->cluster))
		return false;
	struct in in = {p + 12, n - 12, false};
	m->nentries = 0;
	take(&in, &m->sender, SD_SWIM_ID);
	m->kind = (enum swim_kind)take_number(&in, 1);
	m->number = (uint32_t)take_number(&in, 4);
	if (m->kind < SWIM_PING || m->kind > SWIM_REFUSED || swim_id_is_zero(&m->sender))
		return false;
	if (m->kind == SWIM_PING || m->kind == SWIM_PING_REQ)
		take(&in, &m->target, SD_SWIM_ID);
	if (m->kind == SWIM_PING_REQ) {
		take_end(&in, &m->target_end);
		in.bad |= !m->target_end.port || swim_ip_is_zero(&m->target_end) || swim_id_is_zero(&m->target);
	}
	if ((m->kind == SWIM_NACK || m->kind == SWIM_REFUSED) && in.n)
		return false;
	while (in.n && !in.bad && m->nentries < SWIM_ENTRIES)
		take_entry(&in, &m->sender, &m->entries[m->nentries++]);
	return !in.bad && !in.n;
}

/* ---- writing ---- */

static void put(struct swim_out *o, const void *p, size_t n)
{
	memcpy(o->b + o->n, p, n);
	o->n += n;
}

static void put_number(struct swim_out *o, uint64_t v, unsigned bytes)
{
	for (; bytes--; v >>= 8)
		o->b[o->n++] = (uint8_t)v;
}

void swim_put_id(struct swim_out *o, const struct sd_swim_id *id)
{
	put(o, id, SD_SWIM_ID);
}

void swim_put_end(struct swim_out *o, const struct sd_swim_end *e)
{
	uint8_t size = !e->port ? 0 : e->v6 ? 16 : 4;
	put_number(o, size, 1);
	put(o, e->ip, size);
	if (size)
		put_number(o, e->port, 2);
}

void swim_begin(struct swim_out *o, size_t room, const struct swim_head *h)
{
	o->n = 0;
	o->room = room;
	put(o, magic, sizeof(magic));
	put_number(o, h->cluster, 8);
	swim_put_id(o, h->sender);
	put_number(o, h->kind, 1);
	put_number(o, h->number, 4);
}

bool swim_put_entry(struct swim_out *o, const struct swim_entry *e)
{
	const struct sd_swim_facts *f = &e->facts;
	size_t ends = (f->client.port ? (f->client.v6 ? 18u : 6u) : 0u) + (f->bus.port ? (f->bus.v6 ? 18u : 6u) : 0u);
	if (SWIM_MEMBER_MIN + ends + f->npayload + (e->state == SD_SWIM_SUSPECT ? SD_SWIM_ID : 0) > o->room - o->n)
		return false;
	swim_put_id(o, &f->id);
	put_number(o, e->state, 1);
	put_number(o, e->incarnation, 8);
	put_number(o, f->epoch, 8);
	put_number(o, f->weight, 2);
	swim_put_end(o, &f->client);
	swim_put_end(o, &f->bus);
	put_number(o, f->npayload, 1);
	put(o, f->payload, f->npayload);
	if (e->state == SD_SWIM_SUSPECT)
		swim_put_id(o, &e->accuser);
	return true;
}

/* ---- ids and ends ---- */

int sd_swim_id_compare(const struct sd_swim_id *a, const struct sd_swim_id *b)
{
	return memcmp(a->b, b->b, SD_SWIM_ID);
}

bool swim_id_is_zero(const struct sd_swim_id *id)
{
	static const struct sd_swim_id zero;
	return sd_swim_id_compare(id, &zero) == 0;
}

bool swim_ip_is_zero(const struct sd_swim_end *e)
{
	static const uint8_t zero[16];
	return memcmp(e->ip, zero, sizeof(zero)) == 0;
}

bool sd_swim_end_equal(const struct sd_swim_end *a, const struct sd_swim_end *b)
{
	return a->port == b->port && a->v6 == b->v6 && memcmp(a->ip, b->ip, a->v6 ? 16 : 4) == 0;
}

void sd_swim_id_text(const struct sd_swim_id *id, char out[2 * SD_SWIM_ID + 1])
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < SD_SWIM_ID; i++) {
		out[2 * i] = digits[id->b[i] >> 4];
		out[2 * i + 1] = digits[id->b[i] & 15];
	}
	out[2 * SD_SWIM_ID] = '\0';
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sd_swim_id_parse(const char *text, size_t n, struct sd_swim_id *out)
{
	if (n != 2 * SD_SWIM_ID)
		return false;
	for (size_t i = 0; i < SD_SWIM_ID; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out->b[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

const char *sd_swim_state_text(enum sd_swim_state s)
{
	static const char *const names[] = {"alive", "suspect", "dead", "left"};
	return names[s & 3];
}
