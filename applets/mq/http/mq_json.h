/* mq_json.h - tables, properties and payloads of messages as JSON, and back. */
#ifndef MQ_JSON_H
#define MQ_JSON_H

#include <cjson/cJSON.h>

#include "core/amqp.h"

/* Strings that are no UTF-8 come with each bad byte as '?'. */
cJSON *mq_json_string(struct sd_slice s);
void mq_json_add(cJSON *o, const char *name, struct sd_slice s);
cJSON *mq_json_table(struct sd_slice table);
cJSON *mq_json_properties(struct sd_slice raw);
/* Behind what t has of a table. False: there is something that no table has, or it is too deep. */
bool mq_json_to_table(struct sd_text *t, const cJSON *object);
/* Properties as on the wire; why says what is wrong. */
bool mq_json_to_properties(struct sd_text *t, const cJSON *object, const char **why);
struct sd_slice mq_json_slice(const cJSON *o, const char *name, const char *fallback);
/* true, "true"; anything else is fallback. */
bool mq_json_bool(const cJSON *o, const char *name, bool fallback);
/* A number, or a string of digits. */
int64_t mq_json_int(const cJSON *o, const char *name, int64_t fallback);
void mq_json_payload(cJSON *o, struct sd_slice body, bool always_base64, size_t truncate);

#endif
