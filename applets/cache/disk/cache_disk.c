#include "cache_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../engine/cache_config.h"
#include "cache_load.h"
#include "cache_save.h"
#include "core/bytes.h"
#include "core/crc64.h"
#include "world/file.h"

#define LOAD_PIECE    (1024 * 1024)
#define SYNC_EVERY    (32 * 1024 * 1024) /* so that the sync at the end is no long one */
#define BLOCK	      (64 * 1024)
#define ON_THE_WAY    (4 * 1024 * 1024)	 /* bytes of blocks at most before the walk waits */
#define LOOK_EVERY_NS 1000000000	 /* at save points */
#define SHARE	      4			 /* times as long as a piece took belong to the clients that ask meanwhile */
#define PAUSE_MOST_NS 4000000		 /* also when this thread was not the one that ran */
#define NAME_MAX_     4096

/* One file being written. Used by the helper thread while blocks are on their way to it, else by the loop's. */
struct output {
	struct sd_world *world;
	char dir[NAME_MAX_], to[NAME_MAX_ + 256], tmp[NAME_MAX_ + 264];
	struct sd_file *file;
	uint64_t off, synced, crc;
	bool failed;
	struct sd_error error;
};

enum order { WRITE, FINISH, DISCARD };

struct block {
	struct sd_work work;
	struct cache_disk *disk;
	enum order order;
	char *p;
	size_t n;
	bool failed; /* the output had failed by then */
};

struct cache_disk {
	struct cache *cache;
	struct cache_disk_host host;
	struct sd_helpers *helpers;
	char dir[NAME_MAX_];
	struct sd_timer look;
	struct sd_task turn;
	struct sd_timer pause; /* until the next piece */
	uint64_t commands;     /* that were there at the last one */
	bool turn_posted;
	bool waits; /* for blocks to come back */
	struct output out;
	struct block last; /* finishes or discards: there is always memory for it */
	size_t on_the_way;
	bool ending; /* the last block is on its way */
	bool anew;   /* another snapshot begins when it is back */
	bool closing;
};

static int64_t mono_ns(const struct cache_disk *d)
{
	return sd_world_mono_ns(sd_loop_world(d->host.loop));
}

static int64_t wall_ms(const struct cache_disk *d)
{
	return sd_world_wall_ns(sd_loop_world(d->host.loop)) / 1000000;
}

static void enter(const struct cache_disk *d)
{
	d->host.enter(d->host.arg);
}

static void leave(const struct cache_disk *d)
{
	d->host.leave(d->host.arg);
}

/* ---- the file ---- */

static void output_begin(struct cache_disk *d)
{
	struct output *o = &d->out;
	*o = (struct output){.world = sd_loop_world(d->host.loop)};
	snprintf(o->dir, sizeof(o->dir), "%s", d->dir);
	snprintf(o->to, sizeof(o->to), "%s/%s", d->dir, cache_config_text(d->cache, "dbfilename"));
	snprintf(o->tmp, sizeof(o->tmp), "%s.tmp", o->to);
}

static enum sd_err write_bytes(struct output *o, const char *p, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)p, n};
	enum sd_err err = SD_OK;
	if (!o->file)
		err = sd_file_open(o->world, o->tmp, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &o->file, &o->error);
	if (!err && n)
		err = sd_file_write(o->file, &iov, 1, o->off, &o->error);
	if (err)
		return err;
	o->crc = sd_crc64(o->crc, p, n);
	o->off += n;
	if (o->off - o->synced < SYNC_EVERY)
		return SD_OK;
	o->synced = o->off;
	return sd_file_sync(o->file, &o->error);
}

/* Only what is on the disk whole gets the name. */
static enum sd_err finish_file(struct output *o)
{
	char sum[8];
	sd_put_le(sum, o->crc, sizeof(sum));
	enum sd_err err = write_bytes(o, sum, sizeof(sum));
	if (!err)
		err = sd_file_sync(o->file, &o->error);
	sd_file_close(o->file);
	o->file = NULL;
	if (!err)
		err = sd_world_rename(o->world, o->tmp, o->to, &o->error);
	return err ? err : sd_dir_sync(o->world, o->dir, &o->error);
}

static void discard_file(struct output *o)
{
	sd_file_close(o->file);
	o->file = NULL;
	sd_world_unlink(o->world, o->tmp);
}

static void carry_out(struct output *o, enum order order, const char *p, size_t n)
{
	if (!o->failed && order != DISCARD)
		o->failed = write_bytes(o, p, n) != SD_OK;
	if (!o->failed && order == FINISH)
		o->failed = finish_file(o) != SD_OK;
	if (order == DISCARD || (order == FINISH && o->failed))
		discard_file(o);
}

/* ---- how it went ---- */

static void say_saved(const struct cache_disk *d, uint64_t keys)
{
	struct sd_field f[] = {{"keys", NULL, (int64_t)keys}, {"bytes", NULL, (int64_t)d->out.off}, {0}};
	sd_event(d->host.log, SD_INFO, "saved", f, "Saved %llu keys to %s", (unsigned long long)keys, d->out.to);
}

static void say_failed(const struct cache_disk *d, const char *why)
{
	struct sd_field f[] = {{"error", why, 0}, {0}};
	sd_event(d->host.log, SD_ERROR, "save_failed", f, "Not saved: %s; what was saved before stays", why);
}

/* ---- a piece a turn ---- */

static void carry_block(struct sd_work *work)
{
	struct block *b = sd_container(work, struct block, work);
	carry_out(&b->disk->out, b->order, b->p, b->n);
	b->failed = b->disk->out.failed;
}

static void post_turn(struct cache_disk *d)
{
	if (!d->turn_posted)
		sd_loop_post(d->host.loop, &d->turn);
	d->turn_posted = true;
}

static void walk_on(struct cache_disk *d);

/* Whoever asks is served between two pieces, for longer than a piece takes; when nobody asked since the last one, there is no
 * pause. */
static void post_next(struct cache_disk *d, int64_t took_ns)
{
	uint64_t commands = d->cache->stats.commands;
	int64_t pause = SHARE * took_ns < PAUSE_MOST_NS ? SHARE * took_ns : PAUSE_MOST_NS;
	if (commands == d->commands)
		post_turn(d);
	else
		sd_loop_timer_set(d->host.loop, &d->pause, mono_ns(d) + pause);
	d->commands = commands;
}

static void on_pause(struct sd_timer *t)
{
	struct cache_disk *d = sd_container(t, struct cache_disk, pause);
	enter(d);
	walk_on(d);
	leave(d);
}

static void send_last(struct cache_disk *d, enum order order);
static void begin_walk(struct cache_disk *d);

/* The last one is back: nothing is on its way any more. */
static void ended(struct cache_disk *d)
{
	struct cache_save *s = d->cache->save;
	uint64_t dirty = s ? s->dirty : 0, keys = s ? s->keys : 0;
	bool anew = d->anew && !d->closing, good = d->last.order == FINISH && !d->last.failed;
	cache_save_end(s);
	d->ending = d->anew = false;
	if (anew) {
		begin_walk(d);
		return;
	}
	cache_keep_saved(d->cache, good, dirty, wall_ms(d));
	if (good)
		say_saved(d, keys);
	else if (!d->closing)
		say_failed(d, d->out.error.text[0] ? d->out.error.text : "out of memory");
}

static void block_done(struct sd_work *work)
{
	struct block *b = sd_container(work, struct block, work);
	struct cache_disk *d = b->disk;
	bool failed = b->failed;
	free(b->p);
	b->p = NULL;
	d->on_the_way -= b->n;
	if (b == &d->last) {
		ended(d);
		return;
	}
	free(b);
	if (failed && !d->ending)
		send_last(d, DISCARD);
	else if (d->waits && !d->ending && d->on_the_way < ON_THE_WAY)
		post_turn(d);
}

static void block_back(struct sd_work *work)
{
	struct cache_disk *d = sd_container(work, struct block, work)->disk;
	enter(d);
	block_done(work);
	leave(d);
}

static void block_dropped(struct sd_work *work)
{
	struct block *b = sd_container(work, struct block, work);
	free(b->p);
	b->p = NULL;
	if (b != &b->disk->last)
		free(b);
}

/* The bytes are the block's. False: no thread. */
static bool send_block(struct cache_disk *d, struct block *b, enum order order, char *p, size_t n)
{
	*b = (struct block){.disk = d, .order = order, .p = p, .n = n};
	b->work = (struct sd_work){.run = carry_block, .done = block_back, .dropped = block_dropped};
	d->on_the_way += n;
	return sd_helpers_submit(d->helpers, d->host.loop, &b->work);
}

static void send_last(struct cache_disk *d, enum order order)
{
	struct sd_text none = {0}, *text = d->cache->save ? &d->cache->save->out : &none;
	size_t n = 0;
	char *p = order == FINISH ? sd_text_take(text, &n) : NULL;
	d->ending = true;
	if (order == FINISH && !p)
		order = DISCARD;
	if (d->cache->save && order == DISCARD)
		d->cache->save->state = CACHE_SAVE_FAILED; /* commands need not write first any more */
	if (!send_block(d, &d->last, order, p, n)) { /* without a thread it is done here */
		carry_block(&d->last.work);
		block_done(&d->last.work);
	}
}

/* What was gathered goes to the thread. */
static bool send_out(struct cache_disk *d, struct cache_save *s)
{
	size_t n;
	struct block *b = malloc(sizeof(*b));
	char *p = b ? sd_text_take(&s->out, &n) : NULL;
	if (p && send_block(d, b, WRITE, p, n))
		return true;
	if (p)
		d->on_the_way -= n;
	free(b);
	free(p);
	return false;
}

static void walk_on(struct cache_disk *d)
{
	struct cache_save *s = d->cache->save;
	int64_t began_ns = mono_ns(d);
	d->waits = s && d->on_the_way >= ON_THE_WAY;
	if (!s || d->ending || d->waits)
		return;
	switch (cache_save_step(s, s->out.n + CACHE_SAVE_PIECE)) {
	case CACHE_SAVE_MORE:
		if (s->out.n >= BLOCK && !send_out(d, s))
			send_last(d, DISCARD);
		else
			post_next(d, mono_ns(d) - began_ns);
		break;
	case CACHE_SAVE_DONE:
		send_last(d, FINISH);
		break;
	default:
		d->anew = s->state == CACHE_SAVE_ANEW;
		send_last(d, DISCARD);
	}
}

static void on_turn(struct sd_task *t)
{
	struct cache_disk *d = sd_container(t, struct cache_disk, turn);
	enter(d);
	d->turn_posted = false;
	sd_loop_timer_cancel(d->host.loop, &d->pause); /* of a walk that was void */
	walk_on(d);
	leave(d);
}

static void begin_walk(struct cache_disk *d)
{
	output_begin(d);
	if (cache_save_begin(d->cache))
		post_turn(d);
	else
		send_last(d, DISCARD);
}

static bool begin(void *arg)
{
	struct cache_disk *d = arg;
	struct cache_keep *k = &d->cache->keep;
	if (!d->helpers)
		d->helpers = sd_helpers_new(sd_loop_world(d->host.loop), 1);
	if (!d->helpers)
		return false;
	k->running = true;
	k->scheduled = false;
	k->tried_ms = k->began_ms = wall_ms(d);
	d->on_the_way = 0;
	begin_walk(d);
	return true;
}

/* ---- at once ---- */

static bool save(void *arg)
{
	struct cache_disk *d = arg;
	struct cache_keep *k = &d->cache->keep;
	enum cache_save_state state = CACHE_SAVE_MORE;
	struct cache_save *s = k->running ? NULL : cache_save_begin(d->cache);
	if (!s)
		return false;
	k->tried_ms = k->began_ms = wall_ms(d);
	output_begin(d);
	while (state == CACHE_SAVE_MORE && !d->out.failed) {
		state = cache_save_step(s, BLOCK);
		carry_out(&d->out, state == CACHE_SAVE_DONE ? FINISH : WRITE, s->out.p, s->out.n);
		s->out.n = 0;
	}
	bool good = state == CACHE_SAVE_DONE && !d->out.failed;
	if (good)
		say_saved(d, s->keys);
	else
		say_failed(d, d->out.failed ? d->out.error.text : "out of memory");
	if (!good)
		discard_file(&d->out);
	cache_keep_saved(d->cache, good, s->dirty, wall_ms(d));
	cache_save_end(s);
	return good;
}

static const struct cache_keep_ops keep_ops = {save, begin};

static void on_look(struct sd_timer *t)
{
	struct cache_disk *d = sd_container(t, struct cache_disk, look);
	enter(d);
	if (cache_keep_is_due(d->cache, wall_ms(d)))
		begin(d);
	leave(d);
	sd_loop_timer_set(d->host.loop, &d->look, sd_loop_now_ns(d->host.loop) + LOOK_EVERY_NS);
}

/* ---- loading ---- */

/* Reads on where it was; more room when the loader asks for it, though never more than the file has. */
static enum sd_err load_all(struct sd_file *f, struct cache_loader *l, struct sd_text *buf, struct sd_error *e)
{
	uint64_t size = 0, off = 0;
	size_t took = 0, got;
	enum sd_err err = sd_file_size(f, &size, e);
	while (!err && !(l->ended && off == size)) {
		size_t want = l->im.reader.need > buf->n + LOAD_PIECE ? l->im.reader.need - buf->n : LOAD_PIECE;
		if (off == size || want - LOAD_PIECE > size - off)
			return sd_fail(e, SD_EINVAL, "the file is cut off at byte %llu, within what begins at %llu", (unsigned long long)size,
				       (unsigned long long)l->im.reader.offset);
		want = want > size - off ? (size_t)(size - off) : want;
		size_t had = buf->n;
		sd_text_fill(buf, 0, want);
		if (buf->full)
			return sd_fail(e, SD_ENOMEM, "out of memory");
		err = sd_file_read(f, buf->p + had, want, off, &got, e);
		if (err)
			return err;
		if (!got)
			return sd_fail(e, SD_EIO, "the file became shorter while it was read");
		buf->n = had + got;
		off += got;
		if (!cache_load(l, buf->p, buf->n, &took))
			return sd_fail(e, SD_EINVAL, "byte %llu: %s", (unsigned long long)l->im.reader.offset, l->im.reader.error);
		buf->n -= took;
		memmove(buf->p, buf->p + took, buf->n);
	}
	return err;
}

static void say_loaded(const struct cache_disk *d, const struct cache_loader *l, const char *name)
{
	struct sd_field f[] = {{"keys", NULL, (int64_t)l->keys}, {"expired", NULL, (int64_t)l->expired}, {0}};
	if (l->expired)
		sd_event(d->host.log, SD_INFO, "loaded", f, "Loaded %llu keys from %s; the time of %llu more was over",
			 (unsigned long long)l->keys, name, (unsigned long long)l->expired);
	else
		sd_event(d->host.log, SD_INFO, "loaded", f, "Loaded %llu keys from %s", (unsigned long long)l->keys, name);
}

static enum sd_err load(struct cache_disk *d, struct sd_error *e)
{
	struct cache_loader l = {.im = {.cache = d->cache}};
	struct sd_text buf = {0};
	struct sd_file *f = NULL;
	char name[sizeof(d->out.to)];
	snprintf(name, sizeof(name), "%s/%s", d->dir, cache_config_text(d->cache, "dbfilename"));
	enum sd_err err = sd_file_open(sd_loop_world(d->host.loop), name, 0, &f, e);
	if (err == SD_ENOTFOUND)
		return SD_OK;
	if (err)
		return err;
	err = load_all(f, &l, &buf, e);
	if (err)
		sd_wrap(e, "cannot load %s", name);
	else
		say_loaded(d, &l, name);
	d->cache->keep.loaded = l.keys;
	d->cache->keep.load_expired = l.expired;
	d->cache->keep.saved_dirty = d->cache->dirty;
	sd_file_close(f);
	free(buf.p);
	cache_image_free(&l.im);
	return err;
}

/* ---- life ---- */

struct cache_disk *cache_disk_open(struct cache *c, const struct cache_disk_host *host, const char *dir, struct sd_error *e)
{
	struct cache_disk *d = strlen(dir) < NAME_MAX_ ? calloc(1, sizeof(*d)) : NULL;
	bool ok = d && cache_config_put(c, "dir", dir) && cache_config_put(c, "save", "3600 1 300 100 60 10000");
	if (!ok) {
		free(d);
		sd_fail(e, SD_ENOMEM, "out of memory");
		return NULL;
	}
	*d = (struct cache_disk){.cache = c, .host = *host, .look.fn = on_look, .turn.fn = on_turn, .pause.fn = on_pause};
	snprintf(d->dir, sizeof(d->dir), "%s", dir);
	if (sd_world_mkdir(sd_loop_world(host->loop), dir, 0700, e) || load(d, e)) {
		free(d);
		return NULL;
	}
	c->keep.ops = &keep_ops;
	c->keep.arg = d;
	sd_loop_timer_set(host->loop, &d->look, sd_loop_now_ns(host->loop) + LOOK_EVERY_NS);
	return d;
}

void cache_disk_close(struct cache_disk *d)
{
	if (!d)
		return;
	struct cache_keep *k = &d->cache->keep;
	enter(d);
	bool cut = k->running;
	d->closing = d->ending = true;
	leave(d);
	sd_loop_timer_cancel(d->host.loop, &d->look);
	sd_loop_timer_cancel(d->host.loop, &d->pause);
	if (d->helpers)
		sd_helpers_free(d->helpers);
	sd_loop_flush(d->host.loop);
	enter(d);
	if (cut && k->running) {
		cache_save_end(d->cache->save);
		k->running = false;
		discard_file(&d->out);
	}
	if (k->npoints && !k->no_save && d->cache->dirty != k->saved_dirty)
		save(d);
	k->ops = NULL;
	leave(d);
	free(d);
}
