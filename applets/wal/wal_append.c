/* wal_append.c - lines to records: what came in one read shares one sync, and each line is acknowledged after it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "wal.h"
#include "world/world.h"

#define LINE_MAX_BYTES (1u << 20)

struct feed {
	struct sd_verb_call *call;
	struct sd_wal *log;
	uint8_t type;
	char *buf; /* of LINE_MAX_BYTES */
	size_t n;
	uint64_t from, to; /* records that wait for their sync; from 0: none */
	enum sd_err err;
};

struct wait {
	struct sd_wal_wait wait;
	struct feed *feed;
};

static void acknowledge(struct sd_wal_wait *wait, enum sd_err err)
{
	struct feed *f = ((struct wait *)wait)->feed;
	f->err = err;
	for (uint64_t seq = f->from; !err && seq && seq <= f->to; seq++)
		fprintf(f->call->out, "ok %" PRIu64 "\n", seq);
	fflush(f->call->out);
	f->from = 0;
}

static enum sd_err line(struct feed *f, const char *p, size_t n)
{
	struct iovec iov = {(void *)(uintptr_t)p, n};
	enum sd_err err = sd_wal_append(f->log, f->type, &iov, 1, &f->to);
	if (!err && !f->from)
		f->from = f->to;
	return err;
}

/* All whole lines that are there; at the end also one without a line feed. */
static enum sd_err lines(struct feed *f, bool last)
{
	struct wait wait = {.wait = {.done = acknowledge}, .feed = f};
	char *p = f->buf, *end = f->buf + f->n, *nl;
	while (!f->err && (nl = memchr(p, '\n', (size_t)(end - p)))) {
		f->err = line(f, p, (size_t)(nl - p));
		p = nl + 1;
	}
	if (!f->err && last && p < end) {
		f->err = line(f, p, (size_t)(end - p));
		p = end;
	}
	f->n = (size_t)(end - p);
	memmove(f->buf, p, f->n);
	if (!f->err && f->from)
		sd_wal_sync(f->log, &wait.wait);
	return f->err;
}

static enum sd_err feed(struct feed *f, struct sd_error *e)
{
	size_t got = 1;
	enum sd_err err = SD_OK;
	while (!err && got > 0) {
		if (f->n == LINE_MAX_BYTES)
			return sd_fail(e, SD_ETOOBIG, "a line is longer than %u bytes", LINE_MAX_BYTES);
		err = sd_world_input(f->call->world, f->buf + f->n, LINE_MAX_BYTES - f->n, &got, e);
		if (err)
			return err;
		f->n += got;
		err = lines(f, got == 0);
	}
	const struct sd_error *why = sd_wal_failure(f->log);
	return err ? sd_fail(e, err, "%s", why ? why->text : sd_err_text(err)) : SD_OK;
}

static void closed(void *arg, enum sd_err err)
{
	*(enum sd_err *)arg = err;
}

static int run(struct feed *f, struct sd_error *e)
{
	enum sd_err end = SD_OK;
	enum sd_err err = feed(f, e);
	sd_wal_close(f->log, closed, &end);
	if (!err && end)
		err = sd_fail(e, end, "cannot close the log: %s", sd_err_text(end));
	return err ? wal_fail(f->call, "append", e) : 0;
}

static enum sd_err open_log(struct sd_verb_call *call, struct sd_wal **log, struct sd_error *e)
{
	struct sd_wal_found found;
	char text[SD_WAL_TEXT];
	struct sd_wal_conf conf = {
	    .dir = call->args[0],
	    .name = sd_conf_string(call->conf, "name"),
	    .sync = (enum sd_wal_sync)sd_conf_int(call->conf, "sync"),
	    .segment_bytes = (uint32_t)sd_conf_int(call->conf, "segment-size"),
	};
	enum sd_err err = sd_wal_open(call->world, &conf, log, &found, e);
	if (err == SD_ENOTFOUND && !conf.name) {
		conf.name = "log";
		err = sd_wal_open(call->world, &conf, log, &found, e);
	}
	if (err)
		return err;
	sd_wal_sync_text(&conf, text);
	fprintf(call->err, "%s\n", text);
	if (found.text[0])
		fprintf(call->err, "%s\n", found.text);
	return SD_OK;
}

int wal_append(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct feed f = {.call = call, .type = (uint8_t)sd_conf_int(call->conf, "type"), .buf = malloc(LINE_MAX_BYTES)};
	int status = 1;
	if (!f.buf)
		sd_fail(&e, SD_ENOMEM, "out of memory");
	if (!f.buf || open_log(call, &f.log, &e))
		wal_fail(call, "append", &e);
	else
		status = run(&f, &e);
	free(f.buf);
	return status;
}
