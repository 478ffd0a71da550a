#include "core/base64.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/units.h"
#include "core/utf8.h"
#include "mq_cli.h"

static bool is_text(struct sd_slice s)
{
	for (size_t i = 0, n; i < s.n; i += n)
		if (!(n = sd_utf8_length(s.p + i, s.n - i)))
			return false;
	return true;
}

void mq_show_string(struct sd_text *t, struct sd_slice s)
{
	sd_text_fill(t, '"', 1);
	for (size_t i = 0, n; i < s.n; i += n) {
		unsigned char c = (unsigned char)s.p[i];
		n = sd_utf8_length(s.p + i, s.n - i);
		if (c == '"' || c == '\\')
			sd_text_format(t, "\\%c", c);
		else if (c < 0x20)
			sd_text_format(t, "\\u%04x", c);
		else if (n)
			sd_text_add(t, s.p + i, n);
		n = n ? n : 1;
	}
	sd_text_fill(t, '"', 1);
}

static void put_bytes(struct sd_text *t, struct sd_slice s)
{
	char *room = malloc(sd_base64_length(s.n) + 1);
	if (room)
		sd_base64(room, (const uint8_t *)s.p, s.n);
	mq_show_string(t, sd_slice_of(room ? room : ""));
	free(room);
}

static void put_table(struct sd_text *t, struct sd_slice table, bool named);

static void put_value(struct sd_text *t, const struct sd_amqp_field *f)
{
	char number[SD_UNIT_TEXT];
	int64_t n;
	if (sd_amqp_field_int(f, &n) || f->kind == 'T')
		sd_text_format(t, "%" PRId64, f->n);
	else if (f->kind == 't')
		sd_text_format(t, "%s", f->n ? "true" : "false");
	else if (f->kind == 'f' || f->kind == 'd')
		sd_text_format(t, "%s", f->real - f->real == 0 ? sd_format_number(f->real, number) : "null"); /* JSON has no infinity */
	else if (f->kind == 'F' || f->kind == 'A')
		put_table(t, f->s, f->kind == 'F');
	else if (f->kind == 'S' || f->kind == 'x')
		is_text(f->s) ? mq_show_string(t, f->s) : put_bytes(t, f->s);
	else
		sd_text_format(t, "null");
}

/* Or an array. */
static void put_table(struct sd_text *t, struct sd_slice table, bool named)
{
	struct sd_amqp_field f;
	const char *between = "";
	sd_text_fill(t, named ? '{' : '[', 1);
	while (named ? sd_amqp_next_field(&table, &f) : sd_amqp_next_item(&table, &f)) {
		sd_text_format(t, "%s", between);
		if (named)
			mq_show_string(t, f.name);
		if (named)
			sd_text_fill(t, ':', 1);
		put_value(t, &f);
		between = ",";
	}
	sd_text_fill(t, named ? '}' : ']', 1);
}

static void put_member(struct sd_text *t, const char *name, struct sd_slice s)
{
	if (!s.n)
		return;
	sd_text_format(t, ",\"%s\":", name);
	mq_show_string(t, s);
}

static void put_properties(struct sd_text *t, const struct sd_amqp_properties *p)
{
	put_member(t, "message_id", p->message_id);
	put_member(t, "content_type", p->content_type);
	put_member(t, "content_encoding", p->content_encoding);
	put_member(t, "correlation_id", p->correlation_id);
	put_member(t, "reply_to", p->reply_to);
	put_member(t, "expiration", p->expiration);
	put_member(t, "type", p->type);
	put_member(t, "user_id", p->user_id);
	put_member(t, "app_id", p->app_id);
	if (p->has & SD_AMQP_DELIVERY_MODE)
		sd_text_format(t, ",\"persistent\":%s", p->delivery_mode == 2 ? "true" : "false");
	if (p->has & SD_AMQP_PRIORITY)
		sd_text_format(t, ",\"priority\":%u", p->priority);
	if (p->has & SD_AMQP_TIMESTAMP)
		sd_text_format(t, ",\"timestamp\":%" PRIu64, p->timestamp);
	if (p->has & SD_AMQP_HEADERS) {
		sd_text_format(t, ",\"headers\":");
		put_table(t, p->headers, true);
	}
}

void mq_show_json(struct sd_text *t, const char *queue, const struct sd_amqp_event *m)
{
	bool text = is_text(m->body);
	sd_text_format(t, "{\"delivery_tag\":%" PRIu64 ",\"redelivered\":%s", m->tag, m->redelivered ? "true" : "false");
	put_member(t, "queue", sd_slice_of(queue));
	put_member(t, "exchange", m->exchange);
	put_member(t, "routing_key", m->key);
	put_properties(t, &m->properties);
	sd_text_format(t, ",\"%s\":", text ? "body" : "body_base64");
	if (text)
		mq_show_string(t, m->body);
	else
		put_bytes(t, m->body);
	sd_text_fill(t, '}', 1);
}

void mq_show_body(FILE *out, struct sd_slice body, bool screen)
{
	for (size_t i = 0; i < body.n; i++) {
		unsigned char c = (unsigned char)body.p[i];
		if (screen && (c < 0x20 || c == 0x7f) && c != '\n' && c != '\t')
			fprintf(out, "\\x%02x", c);
		else
			fputc(c, out);
	}
	fputc('\n', out);
}
