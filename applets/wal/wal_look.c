/* wal_look.c - dump, check and salvage: what a walk through a log meets, for a person or a program. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "wal.h"

#define ROW     16
#define PREVIEW 64

static void say_trouble(FILE *out, const struct sd_wal_trouble *t)
{
	static const char *const kinds[] = {
	    [SD_WAL_TORN_TAIL] = "torn tail",
	    [SD_WAL_UNMADE] = "unfinished",
	    [SD_WAL_DAMAGE] = "damage",
	};
	fprintf(out, "%s: %s: %s\n", kinds[t->kind], t->file, t->text);
	if (t->kind == SD_WAL_TORN_TAIL && t->behind)
		fprintf(out, "  %u good records are in it; nothing says that they were acknowledged\n", t->behind);
}

/* ---- dump ---- */

struct dump {
	struct sd_verb_call *call;
	uint64_t from;
	int64_t type; /* < 0: all */
	bool json, full;
};

static bool printable(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != '\t' && (p[i] < 0x20 || p[i] > 0x7e))
			return false;
	return true;
}

static void dump_row(FILE *out, const uint8_t *p, size_t n, size_t at)
{
	fprintf(out, "    %06zx ", at);
	for (size_t i = 0; i < ROW; i++)
		if (i < n)
			fprintf(out, " %02x", p[i]);
		else
			fputs("   ", out);
	fputs("  ", out);
	for (size_t i = 0; i < n; i++)
		fputc(isprint(p[i]) ? p[i] : '.', out);
	fputc('\n', out);
}

static void dump_text(const struct dump *d, const struct sd_wal_record *r)
{
	FILE *out = d->call->out;
	size_t n = d->full || r->n <= PREVIEW ? r->n : PREVIEW;
	fprintf(out, "%" PRIu64 "  segment %" PRIu64 " at %" PRIu64 "  type %u  %zu bytes", r->seq, r->segment, r->offset, r->type,
		r->n);
	if (printable(r->data, n)) {
		fprintf(out, "  %.*s%s\n", (int)n, (const char *)r->data, n < r->n ? " ..." : "");
		return;
	}
	fputc('\n', out);
	for (size_t i = 0; i < n; i += ROW)
		dump_row(out, r->data + i, n - i < ROW ? n - i : ROW, i);
	if (n < r->n)
		fprintf(out, "    ... %zu bytes more\n", r->n - n);
}

static void json_string(FILE *out, const uint8_t *p, size_t n)
{
	fputc('"', out);
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\t')
			fputs("\\t", out);
		else
			fprintf(out, p[i] == '"' || p[i] == '\\' ? "\\%c" : "%c", p[i]);
	fputc('"', out);
}

/* A text that is printable as such; anything else in hexadecimal. */
static void dump_json(const struct dump *d, const struct sd_wal_record *r)
{
	FILE *out = d->call->out;
	fprintf(out, "{\"seq\":%" PRIu64 ",\"segment\":%" PRIu64 ",\"offset\":%" PRIu64 ",\"type\":%u,\"length\":%zu,", r->seq,
		r->segment, r->offset, r->type, r->n);
	if (printable(r->data, r->n)) {
		fputs("\"text\":", out);
		json_string(out, r->data, r->n);
	} else {
		fputs("\"hex\":\"", out);
		for (size_t i = 0; i < r->n; i++)
			fprintf(out, "%02x", r->data[i]);
		fputc('"', out);
	}
	fputs("}\n", out);
}

static enum sd_err dump_record(struct sd_wal_walk *w, const struct sd_wal_record *r, const char *file, struct sd_error *e)
{
	const struct dump *d = w->arg;
	(void)file;
	if (r->seq < d->from || (d->type >= 0 && r->type != d->type))
		return SD_OK;
	errno = 0;
	if (d->json)
		dump_json(d, r);
	else
		dump_text(d, r);
	if (!ferror(d->call->out))
		return SD_OK;
	return sd_fail(e, errno == EPIPE ? SD_ERESET : SD_EIO, "cannot write to standard output");
}

static enum sd_err dump_trouble(struct sd_wal_walk *w, const struct sd_wal_trouble *t, struct sd_error *e)
{
	const struct dump *d = w->arg;
	(void)e;
	say_trouble(d->call->err, t);
	return SD_OK;
}

int wal_dump(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct dump d = {.call = call,
			 .from = (uint64_t)sd_conf_int(call->conf, "from"),
			 .type = sd_conf_has(call->conf, "type") ? sd_conf_int(call->conf, "type") : -1,
			 .json = sd_conf_bool(call->conf, "json"),
			 .full = sd_conf_bool(call->conf, "full")};
	struct sd_wal_walk walk = {.path = call->args[0], .resync = true, .record = dump_record, .trouble = dump_trouble,
				   .arg = &d};
	enum sd_err err = sd_wal_walk(call->world, &walk, &e);
	if (err == SD_ERESET)
		return 1; /* whoever read it has seen enough */
	if (err)
		return wal_fail(call, "dump", &e);
	return walk.damages > 0;
}

/* ---- check ---- */

static enum sd_err check_trouble(struct sd_wal_walk *w, const struct sd_wal_trouble *t, struct sd_error *e)
{
	(void)e;
	say_trouble(w->arg, t);
	return SD_OK;
}

int wal_check(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct sd_wal_walk walk = {.path = call->args[0], .resync = true, .trouble = check_trouble, .arg = call->out};
	if (sd_wal_walk(call->world, &walk, &e))
		return wal_fail(call, "check", &e);
	const struct sd_wal_found *f = &walk.found;
	if (walk.damages)
		return 1;
	fprintf(call->out, "ok: %s: ", call->args[0]);
	if (f->first_seq == f->next_seq)
		fprintf(call->out, "no records yet, the next is %" PRIu64 ",", f->next_seq);
	else
		fprintf(call->out, "records %" PRIu64 " to %" PRIu64, f->first_seq, f->next_seq - 1);
	fprintf(call->out, " in %u segment%s", f->segments, f->segments == 1 ? "" : "s");
	if (f->gaps)
		fprintf(call->out, ", with %u gap%s that salvage left", f->gaps, f->gaps == 1 ? "" : "s");
	fputc('\n', call->out);
	return 0;
}

/* ---- salvage ---- */

int wal_salvage(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct sd_wal_salvage s = {
	    .walk = {.path = call->args[0], .trouble = check_trouble, .arg = call->out}, .to = call->args[1]};
	if (sd_wal_salvage(call->world, &s, &e))
		return wal_fail(call, "salvage", &e);
	if (s.records == 0)
		fprintf(call->out, "no record could be read; %s is empty\n", s.to);
	else
		fprintf(call->out,
			"%" PRIu64 " records, %" PRIu64 " to %" PRIu64 ", are in %s; missing: %" PRIu64 " before them, %" PRIu64
			" between them\n",
			s.records, s.first, s.first + s.records + s.missing - 1, s.to, s.before, s.missing);
	return 0;
}
