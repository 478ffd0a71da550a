/* A datagram from arbitrary bytes: what is accepted is written again as the same bytes, and a member that gets it goes on as before:
 * it never takes itself for anything but alive, and what it sends is always a datagram. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/swim_int.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void again(const unsigned char *data, size_t size, const struct swim_message *m)
{
	struct swim_out o;
	struct swim_head h = {m->cluster, &m->sender, m->kind, m->number};
	swim_begin(&o, SD_SWIM_DATAGRAM, &h);
	if (m->kind == SWIM_PING || m->kind == SWIM_PING_REQ)
		swim_put_id(&o, &m->target);
	if (m->kind == SWIM_PING_REQ)
		swim_put_end(&o, &m->target_end);
	for (size_t i = 0; i < m->nentries; i++)
		require(swim_put_entry(&o, &m->entries[i]), "a member longer than it was");
	require(o.n == size, "written with another length");
	for (size_t i = 0; i < size; i++)
		require(o.b[i] == data[i], "written differently");
}

static void on_send(void *arg, const struct sd_swim_end *to, const void *p, size_t n)
{
	struct swim_message m;
	(void)arg;
	require(to->port != 0, "sent nowhere");
	require(swim_read(p, n, &m), "sent what is no datagram");
}

static void on_changed(void *arg, const struct sd_swim_member *was, const struct sd_swim_member *is)
{
	(void)arg;
	require(!was || sd_swim_id_compare(&was->facts.id, &is->facts.id) == 0, "another member");
}

static void to_member(const unsigned char *data, size_t size)
{
	struct sd_swim_conf conf = sd_swim_conf_default();
	struct sd_swim_host host = {.send = on_send, .changed = on_changed};
	struct sd_swim_facts f = {.bus = {{127, 0, 0, 1}, 17001, false}, .client = {{127, 0, 0, 1}, 7001, false}, .weight = 1};
	struct sd_swim_end from = {{127, 0, 0, 1}, 17002, false};
	if (size >= 12)
		for (int i = 7; i >= 0; i--)
			conf.cluster = conf.cluster << 8 | data[4 + i]; /* so that it is taken */
	f.id.b[0] = 1;
	struct sd_swim *s = sd_swim_new(&conf, &f, &host, 1, 0);
	require(s != NULL, "out of memory");
	for (int64_t now = 0, i = 0; i < 4; i++, now += 300000000) {
		sd_swim_receive(s, &from, data, size, now);
		sd_swim_tick(s, now);
	}
	require(sd_swim_self(s)->state == SD_SWIM_ALIVE, "talked into its own death");
	for (int64_t now = 2000000000, i = 0; i < 40; i++, now += 500000000)
		sd_swim_tick(s, now);
	sd_swim_free(s);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct swim_message m;
	if (size <= SD_SWIM_DATAGRAM && swim_read(data, size, &m))
		again(data, size, &m);
	to_member(data, size);
	return 0;
}
