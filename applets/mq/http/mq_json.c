/* mq_json.c - tables, properties and payloads as JSON and back. */
#include <math.h>
#include <stdlib.h>

#include "core/base64.h"
#include "core/utf8.h"
#include "mq_json.h"

#define JSON_EXACT 9007199254740992.0 /* 2^53: beyond it a number of JSON is no whole number any more */

static bool is_text(struct sd_slice s)
{
	for (size_t i = 0, n; i < s.n; i += n)
		if ((n = sd_utf8_length(s.p + i, s.n - i)) == 0 || s.p[i] == '\0')
			return false;
	return true;
}

cJSON *mq_json_string(struct sd_slice s)
{
	struct sd_text t = {0};
	for (size_t i = 0, n; i < s.n; i += n) {
		n = sd_utf8_length(s.p + i, s.n - i);
		if (n > 0 && s.p[i] != '\0')
			sd_text_add(&t, s.p + i, n);
		else
			sd_text_add(&t, "?", n = 1);
	}
	char *text = sd_text_take(&t, NULL);
	cJSON *o = cJSON_CreateString(text ? text : "");
	free(text);
	return o;
}

void mq_json_add(cJSON *o, const char *name, struct sd_slice s)
{
	cJSON_AddItemToObject(o, name, mq_json_string(s));
}

/* ---- tables out ---- */

static cJSON *json_array(struct sd_slice array);

static cJSON *json_decimal(const struct sd_amqp_field *f)
{
	return cJSON_CreateNumber((double)f->n / pow(10, f->scale));
}

static cJSON *json_field(const struct sd_amqp_field *f)
{
	switch (f->kind) {
	case 't':
		return cJSON_CreateBool(f->n != 0);
	case 'S': case 'x':
		return mq_json_string(f->s);
	case 'F':
		return mq_json_table(f->s);
	case 'A':
		return json_array(f->s);
	case 'f': case 'd':
		return cJSON_CreateNumber(f->real);
	case 'D':
		return json_decimal(f);
	case 'V':
		return cJSON_CreateNull();
	default:
		return cJSON_CreateNumber((double)f->n);
	}
}

static cJSON *json_array(struct sd_slice array)
{
	cJSON *out = cJSON_CreateArray();
	struct sd_amqp_field f;
	while (sd_amqp_next_item(&array, &f))
		cJSON_AddItemToArray(out, json_field(&f));
	return out;
}

cJSON *mq_json_table(struct sd_slice table)
{
	cJSON *out = cJSON_CreateObject();
	struct sd_amqp_field f;
	while (sd_amqp_next_field(&table, &f)) {
		char name[SD_AMQP_SHORT_MAX + 1];
		memcpy(name, f.name.p, f.name.n);
		name[f.name.n] = '\0';
		cJSON_AddItemToObject(out, name, json_field(&f));
	}
	return out;
}

/* ---- tables in ---- */

static bool put_value(struct sd_text *t, const char *name, const cJSON *v, unsigned depth);

static bool put_inside(struct sd_text *t, const char *name, const cJSON *v, unsigned depth)
{
	size_t at = sd_amqp_begin_field(t, name, cJSON_IsArray(v) ? 'A' : 'F');
	for (const cJSON *i = v->child; i; i = i->next)
		if (!put_value(t, cJSON_IsArray(v) ? NULL : i->string, i, depth + 1))
			return false;
	sd_amqp_end_field(t, at);
	return true;
}

static void put_number(struct sd_text *t, const char *name, double v)
{
	if (v == floor(v) && fabs(v) < JSON_EXACT)
		sd_amqp_put_int(t, name, (int64_t)v);
	else
		sd_amqp_put_field(t, name, &(struct sd_amqp_field){.kind = 'd', .real = v});
}

static bool put_value(struct sd_text *t, const char *name, const cJSON *v, unsigned depth)
{
	if (depth >= SD_AMQP_DEPTH || (name && strlen(name) > SD_AMQP_SHORT_MAX))
		return false;
	if (cJSON_IsArray(v) || cJSON_IsObject(v))
		return put_inside(t, name, v, depth);
	if (cJSON_IsString(v))
		sd_amqp_put_string(t, name, sd_slice_of(v->valuestring));
	else if (cJSON_IsBool(v))
		sd_amqp_put_bool(t, name, cJSON_IsTrue(v));
	else if (cJSON_IsNumber(v))
		put_number(t, name, v->valuedouble);
	else
		sd_amqp_put_field(t, name, &(struct sd_amqp_field){.kind = 'V'});
	return true;
}

bool mq_json_to_table(struct sd_text *t, const cJSON *object)
{
	for (const cJSON *i = object ? object->child : NULL; i; i = i->next)
		if (!put_value(t, i->string, i, 0))
			return false;
	return !t->full;
}

/* ---- properties ---- */

static const struct property {
	const char *name;
	enum sd_amqp_property bit;
	size_t at; /* of its slice in struct sd_amqp_properties; 0: it is a number */
} properties[] = {
    {"content_type", SD_AMQP_CONTENT_TYPE, offsetof(struct sd_amqp_properties, content_type)},
    {"content_encoding", SD_AMQP_CONTENT_ENCODING, offsetof(struct sd_amqp_properties, content_encoding)},
    {"headers", SD_AMQP_HEADERS, 0},
    {"delivery_mode", SD_AMQP_DELIVERY_MODE, 0},
    {"priority", SD_AMQP_PRIORITY, 0},
    {"correlation_id", SD_AMQP_CORRELATION_ID, offsetof(struct sd_amqp_properties, correlation_id)},
    {"reply_to", SD_AMQP_REPLY_TO, offsetof(struct sd_amqp_properties, reply_to)},
    {"expiration", SD_AMQP_EXPIRATION, offsetof(struct sd_amqp_properties, expiration)},
    {"message_id", SD_AMQP_MESSAGE_ID, offsetof(struct sd_amqp_properties, message_id)},
    {"timestamp", SD_AMQP_TIMESTAMP, 0},
    {"type", SD_AMQP_TYPE, offsetof(struct sd_amqp_properties, type)},
    {"user_id", SD_AMQP_USER_ID, offsetof(struct sd_amqp_properties, user_id)},
    {"app_id", SD_AMQP_APP_ID, offsetof(struct sd_amqp_properties, app_id)},
    {"cluster_id", SD_AMQP_CLUSTER_ID, offsetof(struct sd_amqp_properties, cluster_id)},
};
#define NPROPERTIES (sizeof(properties) / sizeof(properties[0]))

static struct sd_slice *text_of(struct sd_amqp_properties *p, const struct property *row)
{
	return (struct sd_slice *)(void *)((char *)p + row->at);
}

cJSON *mq_json_properties(struct sd_slice raw)
{
	cJSON *out = cJSON_CreateObject();
	struct sd_amqp_properties p;
	if (!sd_amqp_get_properties(raw, &p) || !p.has) {
		cJSON_Delete(out);
		return cJSON_CreateArray(); /* as RabbitMQ writes nothing */
	}
	for (size_t i = 0; i < NPROPERTIES; i++) {
		const struct property *row = &properties[i];
		if (!(p.has & row->bit))
			continue;
		if (row->at)
			mq_json_add(out, row->name, *text_of(&p, row));
		else if (row->bit == SD_AMQP_HEADERS)
			cJSON_AddItemToObject(out, row->name, mq_json_table(p.headers));
		else
			cJSON_AddNumberToObject(out, row->name,
						row->bit == SD_AMQP_TIMESTAMP ? (double)p.timestamp
						: row->bit == SD_AMQP_PRIORITY ? p.priority
									       : p.delivery_mode);
	}
	return out;
}

static const struct property *property_named(const char *name)
{
	for (size_t i = 0; i < NPROPERTIES; i++)
		if (strcmp(properties[i].name, name) == 0)
			return &properties[i];
	return NULL;
}

/* One that is a number; a number of the JSON, or a string of digits. */
static bool take_number(struct sd_amqp_properties *p, const struct property *row, const cJSON *parent)
{
	int64_t n = mq_json_int(parent, row->name, -1);
	if (n < 0 || (row->bit != SD_AMQP_TIMESTAMP && n > UINT8_MAX))
		return false;
	if (row->bit == SD_AMQP_TIMESTAMP)
		p->timestamp = (uint64_t)n;
	else if (row->bit == SD_AMQP_PRIORITY)
		p->priority = (uint8_t)n;
	else
		p->delivery_mode = (uint8_t)n;
	return true;
}

static const char *take_property(struct sd_amqp_properties *p, const cJSON *i, const cJSON *parent, struct sd_text *headers)
{
	const struct property *row = property_named(i->string);
	if (!row)
		return "properties: expected names of AMQP such as content_type, headers or delivery_mode";
	p->has = (uint16_t)(p->has | row->bit);
	if (row->bit == SD_AMQP_HEADERS)
		return cJSON_IsObject(i) && mq_json_to_table(headers, i) ? NULL : "headers: expected an object";
	if (!row->at)
		return take_number(p, row, parent) ? NULL : "delivery_mode, priority, timestamp: expected a number from 0";
	if (!cJSON_IsString(i) || strlen(i->valuestring) > SD_AMQP_SHORT_MAX)
		return "properties: expected strings of at most 255 bytes";
	*text_of(p, row) = sd_slice_of(i->valuestring);
	return NULL;
}

bool mq_json_to_properties(struct sd_text *t, const cJSON *object, const char **why)
{
	struct sd_amqp_properties p = {0};
	struct sd_text headers = {0};
	*why = object && !cJSON_IsObject(object) && !cJSON_IsArray(object) ? "properties: expected an object" : NULL;
	for (const cJSON *i = !*why && object && cJSON_IsObject(object) ? object->child : NULL; i && !*why; i = i->next)
		*why = take_property(&p, i, object, &headers);
	p.headers = (struct sd_slice){headers.p ? headers.p : "", headers.n};
	if (!*why)
		sd_amqp_put_properties(t, &p);
	if (headers.full || t->full)
		*why = "out of memory";
	free(headers.p);
	return !*why;
}

/* ---- values ---- */

struct sd_slice mq_json_slice(const cJSON *o, const char *name, const char *fallback)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
	return sd_slice_of(cJSON_IsString(v) ? v->valuestring : fallback);
}

bool mq_json_bool(const cJSON *o, const char *name, bool fallback)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
	if (cJSON_IsString(v))
		return strcmp(v->valuestring, "true") == 0;
	return cJSON_IsBool(v) ? cJSON_IsTrue(v) : fallback;
}

int64_t mq_json_int(const cJSON *o, const char *name, int64_t fallback)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
	if (cJSON_IsNumber(v) && v->valuedouble == floor(v->valuedouble) && fabs(v->valuedouble) < JSON_EXACT)
		return (int64_t)v->valuedouble;
	if (!cJSON_IsString(v) || !*v->valuestring || strspn(v->valuestring, "0123456789") != strlen(v->valuestring) ||
	    strlen(v->valuestring) > 15)
		return fallback;
	return strtoll(v->valuestring, NULL, 10);
}

void mq_json_payload(cJSON *o, struct sd_slice body, bool always_base64, size_t truncate)
{
	size_t n = body.n < truncate ? body.n : truncate;
	bool text = !always_base64 && is_text((struct sd_slice){body.p, n});
	cJSON_AddNumberToObject(o, "payload_bytes", (double)body.n);
	if (text) {
		mq_json_add(o, "payload", (struct sd_slice){body.p, n});
	} else {
		char *coded = malloc(sd_base64_length(n) + 1);
		if (coded)
			sd_base64(coded, (const uint8_t *)body.p, n);
		cJSON_AddStringToObject(o, "payload", coded ? coded : "");
		free(coded);
	}
	cJSON_AddStringToObject(o, "payload_encoding", text ? "string" : "base64");
}
