/* kv_import.c - lines to a store. They are kept in memory and put in order; of a key that comes twice the last line counts. */
#include <inttypes.h>
#include <stdlib.h>

#include "core/text.h"
#include "disk/lsm_make.h"
#include "kv.h"

#define PIECE 65536

struct pair {
	struct sd_slice key, value; /* in the text of the lines */
	size_t line;
};

struct import {
	struct sd_verb_call *call;
	struct sd_text lines;
	struct pair *pairs;
	size_t n, room;
};

static enum sd_err read_lines(struct import *in, struct sd_error *e)
{
	char piece[PIECE];
	size_t got = 1;
	enum sd_err err = SD_OK;
	while (!err && got > 0) {
		err = sd_world_input(in->call->world, piece, sizeof(piece), &got, e);
		if (!err)
			sd_text_add(&in->lines, piece, got);
		if (!err && in->lines.full)
			err = sd_fail(e, SD_ENOMEM, "out of memory: the lines are put in order there");
	}
	return err;
}

static bool add(struct import *in, const struct pair *p)
{
	if (in->n == in->room) {
		size_t room = in->room ? 2 * in->room : 1024;
		struct pair *more = realloc(in->pairs, room * sizeof(*more));
		if (!more)
			return false;
		in->pairs = more;
		in->room = room;
	}
	in->pairs[in->n++] = *p;
	return true;
}

static enum sd_err take_line(struct import *in, char *p, size_t n, size_t number, struct sd_error *e)
{
	char *tab = memchr(p, '\t', n);
	if (!tab)
		return sd_fail(e, SD_EINVAL, "line %zu: expected a key, a tab and a value", number);
	size_t key_n = (size_t)(tab - p), value_n = n - key_n - 1;
	if (!kv_unescape(p, &key_n) || !kv_unescape(tab + 1, &value_n))
		return sd_fail(e, SD_EINVAL, "line %zu: expected \\t, \\n, \\r, \\\\ or \\xHH behind a backslash", number);
	struct pair pair = {{p, key_n}, {tab + 1, value_n}, number};
	return add(in, &pair) ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

static enum sd_err split(struct import *in, struct sd_error *e)
{
	char *p = in->lines.p, *end = p + in->lines.n;
	enum sd_err err = SD_OK;
	for (size_t number = 1; !err && p < end; number++) {
		char *feed = memchr(p, '\n', (size_t)(end - p)), *stop = feed ? feed : end;
		err = take_line(in, p, (size_t)(stop - p), number, e);
		p = stop + 1;
	}
	return err;
}

static int in_order(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int c = sd_lsm_bytewise(x->key, y->key);
	return c ? c : (x->line > y->line) - (x->line < y->line);
}

static enum sd_err make(struct import *in, struct sd_lsm_make *m, uint64_t *keys, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	for (size_t i = 0; i < in->n && !err; i++) {
		if (i + 1 < in->n && sd_lsm_bytewise(in->pairs[i].key, in->pairs[i + 1].key) == 0)
			continue;
		err = sd_lsm_make_add(m, in->pairs[i].key, in->pairs[i].value, e);
		++*keys;
	}
	return err ? err : sd_lsm_make_end(m, e);
}

int kv_import(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct import in = {.call = call};
	struct sd_lsm_make *m = NULL;
	uint64_t keys = 0;
	enum sd_err err = sd_lsm_make_begin(call->world, call->args[0], &m, &e);
	if (!err)
		err = read_lines(&in, &e);
	if (!err && in.lines.n > 0)
		err = split(&in, &e);
	if (!err && in.n > 0)
		qsort(in.pairs, in.n, sizeof(in.pairs[0]), in_order);
	if (!err)
		err = make(&in, m, &keys, &e);
	if (!err)
		fprintf(call->out, "%" PRIu64 " keys in %" PRIu64 " tables, %" PRIu64 " bytes\n", keys, sd_lsm_make_tables(m),
			sd_lsm_make_bytes(m));
	sd_lsm_make_free(m);
	free(in.pairs);
	free(in.lines.p);
	return err ? kv_fail(call, "import", &e) : 0;
}
