#include "core/amqp.h"

#include <stddef.h>

#include "core/amqp_int.h"

#define CLASS_BASIC 60
#define NO_PROPERTY 3 /* flags that no property has; the lowest says that more of them follow, which basic never needs */

/* In the order of the wire, which is that of the flags from the highest on. */
static const struct {
	enum sd_amqp_property flag;
	char kind; /* S short string, T table, b octet, L number of 64 bits */
	size_t offset;
} properties[] = {
#define P(flag, kind, field) {SD_AMQP_##flag, kind, offsetof(struct sd_amqp_properties, field)}
    P(CONTENT_TYPE, 'S', content_type),
    P(CONTENT_ENCODING, 'S', content_encoding),
    P(HEADERS, 'T', headers),
    P(DELIVERY_MODE, 'b', delivery_mode),
    P(PRIORITY, 'b', priority),
    P(CORRELATION_ID, 'S', correlation_id),
    P(REPLY_TO, 'S', reply_to),
    P(EXPIRATION, 'S', expiration),
    P(MESSAGE_ID, 'S', message_id),
    P(TIMESTAMP, 'L', timestamp),
    P(TYPE, 'S', type),
    P(USER_ID, 'S', user_id),
    P(APP_ID, 'S', app_id),
    P(CLUSTER_ID, 'S', cluster_id),
#undef P
};
#define NPROPERTIES (sizeof(properties) / sizeof(properties[0]))

static void get_property(struct amqp_reader *r, char kind, void *to)
{
	struct sd_slice *s = to;
	if (kind == 'b')
		*(uint8_t *)to = (uint8_t)amqp_take_number(r, 1);
	else if (kind == 'L')
		*(uint64_t *)to = amqp_take_number(r, 8);
	else
		*s = amqp_take_string(r, kind == 'S' ? 1 : 4);
	if (kind == 'T' && !sd_amqp_is_table(*s))
		r->bad = true;
}

bool sd_amqp_get_properties(struct sd_slice raw, struct sd_amqp_properties *out)
{
	struct amqp_reader r = {raw, false};
	*out = (struct sd_amqp_properties){.has = (uint16_t)amqp_take_number(&r, 2)};
	if (out->has & NO_PROPERTY)
		return false;
	for (size_t i = 0; i < NPROPERTIES; i++)
		if (out->has & properties[i].flag)
			get_property(&r, properties[i].kind, (char *)out + properties[i].offset);
	return !r.bad && !r.rest.n;
}

bool sd_amqp_get_header(struct sd_slice payload, uint16_t *class_id, uint64_t *body_size, struct sd_slice *raw,
			struct sd_amqp_properties *out)
{
	struct amqp_reader r = {payload, false};
	*class_id = (uint16_t)amqp_take_number(&r, 2);
	uint64_t weight = amqp_take_number(&r, 2);
	*body_size = amqp_take_number(&r, 8);
	*raw = r.rest;
	return !r.bad && !weight && sd_amqp_get_properties(*raw, out);
}

void sd_amqp_put_properties(struct sd_text *t, const struct sd_amqp_properties *p)
{
	amqp_put_number(t, p->has & ~NO_PROPERTY, 2);
	for (size_t i = 0; i < NPROPERTIES; i++) {
		const void *from = (const char *)p + properties[i].offset;
		if (!(p->has & properties[i].flag))
			continue;
		if (properties[i].kind == 'b')
			amqp_put_number(t, *(const uint8_t *)from, 1);
		else if (properties[i].kind == 'L')
			amqp_put_number(t, *(const uint64_t *)from, 8);
		else if (properties[i].kind == 'S')
			amqp_put_short(t, *(const struct sd_slice *)from);
		else
			amqp_put_long(t, *(const struct sd_slice *)from);
	}
}

void sd_amqp_put_header(struct sd_text *t, uint16_t channel, uint64_t body_size, struct sd_slice raw)
{
	size_t at = sd_amqp_begin(t, SD_AMQP_HEADER, channel);
	amqp_put_number(t, (uint64_t)CLASS_BASIC << 16, 4); /* and weight, which is always 0 */
	amqp_put_number(t, body_size, 8);
	sd_text_add(t, raw.p, raw.n);
	sd_amqp_end(t, at);
}
