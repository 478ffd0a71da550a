/* wal_salvage.c - what is readable of a damaged log, copied to a new one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wal_int.h"

struct copy {
	struct sd_world *world;
	struct sd_wal_salvage *s;
	struct sd_wal *log; /* NULL: no record came yet */
	enum sd_err (*trouble)(struct sd_wal_walk *w, const struct sd_wal_trouble *t, struct sd_error *e);
	void *arg;
};

static enum sd_err make(struct copy *c, const char *name, uint64_t seq, struct sd_error *e)
{
	struct sd_wal_conf conf = {.dir = c->s->to, .name = name, .sync = SD_WAL_NEVER, .first_seq = seq,
				   .record_bytes = WAL_MAX};
	return sd_wal_open(c->world, &conf, &c->log, NULL, e);
}

static enum sd_err copy_record(struct copy *c, const struct sd_wal_record *r, const char *file, struct sd_error *e)
{
	char name[WAL_NAME + 1];
	uint64_t number;
	const char *slash = strrchr(file, '/');
	bool named = wal_file_parse(slash ? slash + 1 : file, name, &number);
	enum sd_err err = c->log ? SD_OK : make(c, named ? name : "salvaged", r->seq, e);
	if (err)
		return err;
	if (r->seq < c->log->next_seq)
		return SD_OK; /* a second one with that number: the first is kept */
	if (r->seq > c->log->next_seq) {
		c->s->missing += r->seq - c->log->next_seq;
		if (!wal_gap(c->log, r->seq))
			return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	struct iovec iov = {(void *)(uintptr_t)r->data, r->n};
	err = sd_wal_append(c->log, r->type, &iov, 1, NULL);
	c->s->first = !err && c->s->records == 0 ? r->seq : c->s->first;
	c->s->records += !err;
	const struct sd_error *why = sd_wal_failure(c->log);
	return err ? sd_fail(e, err, "%s", why ? why->text : sd_err_text(err)) : SD_OK;
}

static enum sd_err on_record(struct sd_wal_walk *w, const struct sd_wal_record *r, const char *file, struct sd_error *e)
{
	return copy_record(w->arg, r, file, e);
}

static enum sd_err on_trouble(struct sd_wal_walk *w, const struct sd_wal_trouble *t, struct sd_error *e)
{
	struct copy *c = w->arg;
	w->arg = c->arg;
	enum sd_err err = c->trouble ? c->trouble(w, t, e) : SD_OK;
	w->arg = c;
	return err;
}

static enum sd_err must_be_new(struct sd_world *w, const char *dir, struct sd_error *e)
{
	char name[WAL_NAME + 1], **names = sd_world_list_dir(w, dir);
	uint64_t number;
	enum sd_err err = SD_OK;
	for (size_t i = 0; names && names[i]; i++) {
		if (wal_file_parse(names[i], name, &number))
			err = sd_fail(e, SD_EEXISTS, "%s already holds a log", dir);
		free(names[i]);
	}
	free(names);
	return err;
}

static void on_closed(void *arg, enum sd_err err)
{
	*(enum sd_err *)arg = err;
}

static enum sd_err finish(struct copy *c, struct sd_error *e)
{
	enum sd_err err = SD_OK, closed = SD_OK;
	if (!c->log)
		err = make(c, c->s->walk.name ? c->s->walk.name : "salvaged", c->s->walk.found.next_seq, e);
	if (err)
		return err;
	sd_wal_close(c->log, on_closed, &closed);
	return closed ? sd_fail(e, closed, "cannot write %s: %s", c->s->to, sd_err_text(closed)) : SD_OK;
}

enum sd_err sd_wal_salvage(struct sd_world *world, struct sd_wal_salvage *s, struct sd_error *e)
{
	struct copy c = {.world = world, .s = s, .trouble = s->walk.trouble, .arg = s->walk.arg};
	struct sd_wal_walk *walk = &s->walk;
	s->records = s->missing = s->first = s->before = 0;
	enum sd_err err = must_be_new(world, s->to, e);
	if (err)
		return err;
	walk->resync = true;
	walk->record = on_record;
	walk->trouble = on_trouble;
	walk->arg = &c;
	err = sd_wal_walk(world, walk, e);
	walk->arg = c.arg;
	if (s->records && s->first > walk->found.first_seq)
		s->before = s->first - walk->found.first_seq;
	if (!err)
		return finish(&c, e);
	sd_wal_free(c.log);
	return err;
}
