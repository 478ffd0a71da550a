/* sh_record.c - a worker: clicks gather in memory until something is about to leave, then one write hands all of them to the kernel. */
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/bytes.h"
#include "core/list.h"
#include "sh_clicks_int.h"

#define ROOM_FIRST 16384
#define ROOM_MOST  (4u << 20)

/* ---- what a record says ---- */

/* Most requests come with one of few texts: what they mean is looked up by the hash of the text. */
static struct sd_user_agent agent_of(struct sh_clicks_worker *w, struct sd_slice text)
{
	uint64_t hash = XXH3_64bits_withSeed(text.p ? text.p : "", text.n, w->seed) | 1;
	struct sh_agent *a = &w->agents[hash >> 54 & (SH_AGENTS - 1)];
	if (a->hash != hash)
		*a = (struct sh_agent){hash, sd_user_agent_parse(text)};
	return a->is;
}

/* Another key each day, so that nobody can be followed from one to the next. */
static const struct sd_siphash_key *key_of(struct sh_clicks_worker *w, int64_t day)
{
	if (day != w->day) {
		uint64_t text[2] = {(uint64_t)day, 0};
		w->day_key.k0 = sd_siphash(&w->secret, text, sizeof(text));
		text[1] = 1;
		w->day_key.k1 = sd_siphash(&w->secret, text, sizeof(text));
		w->day = day;
	}
	return &w->day_key;
}

static uint64_t visitor_of(struct sh_clicks_worker *w, const struct sh_click *c)
{
	uint8_t text[16 + 256] = {0};
	size_t n = c->user_agent.n < 256 ? c->user_agent.n : 256;
	memcpy(text, c->from->ip, c->from->v6 ? 16 : 4);
	if (n)
		memcpy(text + 16, c->user_agent.p, n);
	return sd_siphash(key_of(w, c->time_ms / SH_DAY_MS), text, 16 + n);
}

static void describe(struct sh_clicks_worker *w, const struct sh_click *c, struct sh_entry *e)
{
	struct sd_user_agent is = agent_of(w, c->user_agent);
	*e = (struct sh_entry){.link = c->link, .time_ms = c->time_ms, .kind = is.kind, .device = is.device, .browser = is.browser,
			       .system = is.system, .flags = c->head ? SH_ENTRY_IS_HEAD : 0};
	if (c->purpose.n && sd_is_prefetch(c->purpose))
		e->kind = SD_CLIENT_PREFETCH;
	if (c->from && c->from->kind == SD_ADDR_INET && e->kind == SD_CLIENT_PERSON && c->link) {
		e->visitor = visitor_of(w, c);
		e->flags |= SH_ENTRY_VISITOR;
		sd_geo_country(w->clicks->geo, c->from->ip, c->from->v6, e->country);
	}
}

/* ---- writing ---- */

static void on_kept(struct sd_wal_wait *wait, enum sd_err err)
{
	(void)wait;
	(void)err; /* the log tells */
}

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* What could not be written is lost, and said by the control loop, which opens the journal again. */
static void failed(struct sh_clicks_worker *w, enum sd_err err)
{
	const struct sd_error *why = w->wal ? sd_wal_failure(w->wal) : NULL;
	count(&w->lost, w->pending);
	if (__atomic_load_n(&w->state, __ATOMIC_ACQUIRE) != SH_SLOT_OK)
		return;
	if (why)
		w->why = *why;
	else
		sd_fail(&w->why, err, "cannot write %s: %s", w->dir, sd_err_text(err));
	__atomic_store_n(&w->state, SH_SLOT_FAILED, __ATOMIC_RELEASE);
}

static enum sd_err write_turn(struct sh_clicks_worker *w)
{
	struct sd_wal_wait wait = {.done = on_kept};
	struct iovec iov = {w->buf, w->n};
	uint64_t seq = 0;
	sd_put_le(w->buf, w->run, SH_RECORD_HEAD);
	enum sd_err err = sd_wal_append(w->wal, SH_RECORD_CLICKS, &iov, 1, &seq);
	if (err)
		return err;
	sd_wal_sync(w->wal, &wait); /* a log without a loop has done it when this returns */
	if (sd_wal_failure(w->wal))
		return sd_wal_failure(w->wal)->code;
	__atomic_store_n(&w->written, seq, __ATOMIC_RELEASE);
	return SD_OK;
}

static void flush(struct sh_clicks_worker *w)
{
	w->gate.shut = false;
	if (!w->pending)
		return;
	enum sd_err err = w->wal ? write_turn(w) : SD_EIO;
	if (err) {
		failed(w, err);
	} else {
		count(&w->clicks_n, w->pending);
		count(&w->turns, 1);
	}
	w->n = SH_RECORD_HEAD;
	w->pending = 0;
}

static void on_pass(struct sd_stream_gate *gate)
{
	flush(sd_container(gate, struct sh_clicks_worker, gate));
}

/* The stream may have been closed without anything leaving. */
static void on_late(struct sd_task *t)
{
	flush(sd_container(t, struct sh_clicks_worker, late));
}

static bool make_room(struct sh_clicks_worker *w)
{
	if (w->n + SH_ENTRY_MAX <= w->room)
		return true;
	if (w->room >= ROOM_MOST) {
		flush(w);
		return true;
	}
	size_t room = w->room ? w->room * 2 : ROOM_FIRST;
	uint8_t *grown = realloc(w->buf, room);
	if (!grown)
		return false;
	w->buf = grown;
	w->room = room;
	return true;
}

void sh_clicks_add(struct sh_clicks_worker *w, const struct sh_click *click, struct sd_stream *answer)
{
	struct sh_entry e;
	char host[SH_ENTRY_TEXT], path[SH_ENTRY_TEXT];
	if (!w)
		return;
	if (!make_room(w)) {
		count(&w->lost, 1);
		return;
	}
	describe(w, click, &e);
	if (click->referer.n)
		e.host = sh_referrer_host(click->referer, host);
	if (!click->link)
		e.path = sh_orphan_path(click->path, path);
	w->n += sh_entry_put(w->buf + w->n, &e);
	w->pending++;
	w->gate.shut = true;
	sd_stream_behind(answer, &w->gate);
	sd_loop_defer_late(w->loop, &w->late);
}

/* ---- life ---- */

bool sh_record_init(struct sh_clicks_worker *w)
{
	w->gate.pass = on_pass;
	w->late.fn = on_late;
	w->n = SH_RECORD_HEAD;
	w->day = -1;
	w->agents = calloc(SH_AGENTS, sizeof(*w->agents));
	sd_world_random(w->clicks->world, &w->secret, sizeof(w->secret)); /* until the store has told the one that all share */
	sd_world_random(w->clicks->world, &w->seed, sizeof(w->seed));
	return w->agents && make_room(w);
}

void sh_record_free(struct sh_clicks_worker *w)
{
	free(w->agents);
	free(w->buf);
}
