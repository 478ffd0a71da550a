/* load_detail.c - what only the reports of other tools tell: parts of each request's time, lengths, the server's name. */
#include <stdlib.h>
#include <string.h>

#include "load.h"

#define TENTH_NS   100000000
#define MAX_RATE   1000000000
#define FIRST_ROOM 1024

struct load_detail *load_detail_new(const struct load_plan *p)
{
	struct load_detail *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->max_rows = p->max_rows;
	d->total = sd_hdr_new(1000, LOAD_HIGHEST_NS, 3);
	d->connect = sd_hdr_new(1000, LOAD_HIGHEST_NS, 3);
	d->processing = sd_hdr_new(1000, LOAD_HIGHEST_NS, 3);
	d->waiting = sd_hdr_new(1000, LOAD_HIGHEST_NS, 3);
	d->reading = sd_hdr_new(1000, LOAD_HIGHEST_NS, 3);
	d->rates = sd_hdr_new(1, MAX_RATE, 3);
	if (d->total && d->connect && d->processing && d->waiting && d->reading && d->rates)
		return d;
	load_detail_free(d);
	return NULL;
}

void load_detail_free(struct load_detail *d)
{
	if (!d)
		return;
	sd_hdr_free(d->total);
	sd_hdr_free(d->connect);
	sd_hdr_free(d->processing);
	sd_hdr_free(d->waiting);
	sd_hdr_free(d->reading);
	sd_hdr_free(d->rates);
	free(d->rows);
	free(d);
}

static enum sd_err add_row(struct load_detail *d, const struct load_row *row)
{
	if (d->nrows >= d->max_rows)
		return SD_OK;
	if (d->nrows == d->room) {
		size_t room = d->room ? d->room * 2 : FIRST_ROOM;
		struct load_row *more = realloc(d->rows, room * sizeof(*more));
		if (!more)
			return SD_ENOMEM;
		d->rows = more;
		d->room = room;
	}
	d->rows[d->nrows++] = *row;
	return SD_OK;
}

/* Without a timer of its own: an answer closes the tenth of a second that began with one before. */
static void count_rate(struct load_detail *d, int64_t now_ns)
{
	int64_t past = now_ns - d->tenth_ns;
	d->in_tenth++;
	if (past < TENTH_NS)
		return;
	sd_hdr_record(d->rates, (int64_t)((double)d->in_tenth * 1e9 / (double)past), 1);
	d->tenth_ns = now_ns;
	d->in_tenth = 0;
}

void load_detail_answer(struct load_detail *d, const struct load_row *row, uint64_t length, bool kept)
{
	int64_t in_flight = row->total_ns - row->connect_ns;
	if (!d->any) {
		d->any = true;
		d->first_length = length;
	}
	d->other_lengths += length != d->first_length;
	d->body_bytes += length;
	d->kept += kept;
	sd_hdr_record(d->total, row->total_ns, 1);
	sd_hdr_record(d->connect, row->connect_ns, 1);
	sd_hdr_record(d->processing, in_flight, 1);
	sd_hdr_record(d->waiting, row->wait_ns, 1);
	sd_hdr_record(d->reading, row->read_ns, 1);
	count_rate(d, row->offset_ns + row->wait_ns + row->read_ns);
	if (add_row(d, row) != SD_OK)
		d->max_rows = d->nrows;
}

void load_detail_head(struct load_detail *d, const struct sd_http_head *head)
{
	const struct sd_http_field *f = d->any || *d->server ? NULL : sd_http_find(head, SD_HTTP_F_SERVER);
	if (!f)
		return;
	size_t n = f->value.n < sizeof(d->server) ? f->value.n : sizeof(d->server) - 1;
	memcpy(d->server, f->value.p, n);
	d->server[n] = '\0';
}

enum sd_err load_detail_merge(struct load_detail *to, const struct load_detail *from)
{
	enum sd_err err = SD_OK;
	if (from->any && !to->any) {
		to->any = true;
		to->first_length = from->first_length;
		memcpy(to->server, from->server, sizeof(to->server));
	}
	sd_hdr_merge(to->total, from->total);
	sd_hdr_merge(to->connect, from->connect);
	sd_hdr_merge(to->processing, from->processing);
	sd_hdr_merge(to->waiting, from->waiting);
	sd_hdr_merge(to->reading, from->reading);
	sd_hdr_merge(to->rates, from->rates);
	to->other_lengths += from->other_lengths;
	to->body_bytes += from->body_bytes;
	to->kept += from->kept;
	for (size_t i = 0; i < from->nrows && err == SD_OK; i++)
		err = add_row(to, &from->rows[i]);
	return err;
}
