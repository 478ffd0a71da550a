/* amqp.h - AMQP 0-9-1 as bytes: frames, methods, content headers, tables. Pure, and for both sides of a connection.
 *
 *	bytes --sd_amqp_take--> frame --+-- METHOD: sd_amqp_get_method --> which, and its arguments
 *	                                +-- HEADER: sd_amqp_get_header --> size of the body, properties
 *	                                +-- BODY:   a piece of it
 *
 * The grammar is that of the specification's stripped XML with RabbitMQ's errata: types of table fields are those that
 * RabbitMQ and Qpid use, not those of the paper; a heartbeat is type 8. Nothing that is read is trusted: lengths are checked against
 * what is there, tables against depth, and what does not come out even is no message. Slices point into what was read.
 */
#ifndef SD_CORE_AMQP_H
#define SD_CORE_AMQP_H

#include <stdbool.h>
#include <stdint.h>

#include "core/text.h"
#include "sdlab/slice.h"

#define SD_AMQP_PORT	   5672
#define SD_AMQP_PROTOCOL   "AMQP\0\0\x09\x01" /* 8 bytes: what a client begins with, and what who got another answers */
#define SD_AMQP_HEAD	   7    /* of a frame; behind its payload comes one byte, 0xCE */
#define SD_AMQP_FRAME_MIN  4096 /* the smallest frame-max that may be agreed on */
#define SD_AMQP_SHORT_MAX  255
#define SD_AMQP_DEPTH	   32 /* tables and arrays in tables */
#define SD_AMQP_ARGS	   9
#define SD_AMQP_UNORDERED  256

/* ---- frames ---- */

enum sd_amqp_type { SD_AMQP_METHOD = 1, SD_AMQP_HEADER = 2, SD_AMQP_BODY = 3, SD_AMQP_HEARTBEAT = 8 };
struct sd_amqp_frame {
	uint8_t type;
	uint16_t channel;
	struct sd_slice payload;
};
enum sd_amqp_took {
	SD_AMQP_TOOK,
	SD_AMQP_MORE,	   /* not whole yet */
	SD_AMQP_BAD_TYPE,  /* none of enum sd_amqp_type */
	SD_AMQP_TOO_LARGE, /* larger than frame_max, all 8 bytes counted */
	SD_AMQP_BAD_END,   /* no 0xCE where it ends */
};
/* Takes one frame from the front of *in. frame_max 0: any size that a length of 32 bits can say and memory holds. */
enum sd_amqp_took sd_amqp_take(struct sd_slice *in, uint32_t frame_max, struct sd_amqp_frame *out);
/* A frame around what was added to t since `at` = sd_amqp_begin(t, type, channel). */
size_t sd_amqp_begin(struct sd_text *t, uint8_t type, uint16_t channel);
void sd_amqp_end(struct sd_text *t, size_t at);
void sd_amqp_put_heartbeat(struct sd_text *t);
/* A body in frames of at most frame_max; none for an empty one. */
void sd_amqp_put_body(struct sd_text *t, uint16_t channel, struct sd_slice body, uint32_t frame_max);

/* ---- methods ---- */

/* Name, the same as a text, class, method, kinds of the arguments in order, their names.
 * b octet, s short, l long, L longlong, S shortstr, X longstr, T table, t bit, M timestamp. Bits that stand side by side share an octet. */
#define SD_AMQP_METHODS(X) \
	X(CONNECTION_START, "connection.start", 10, 10, "bbTXX", "version-major version-minor server-properties mechanisms locales") \
	X(CONNECTION_START_OK, "connection.start-ok", 10, 11, "TSXS", "client-properties mechanism response locale") \
	X(CONNECTION_SECURE, "connection.secure", 10, 20, "X", "challenge") \
	X(CONNECTION_SECURE_OK, "connection.secure-ok", 10, 21, "X", "response") \
	X(CONNECTION_TUNE, "connection.tune", 10, 30, "sls", "channel-max frame-max heartbeat") \
	X(CONNECTION_TUNE_OK, "connection.tune-ok", 10, 31, "sls", "channel-max frame-max heartbeat") \
	X(CONNECTION_OPEN, "connection.open", 10, 40, "SSt", "virtual-host reserved-1 reserved-2") \
	X(CONNECTION_OPEN_OK, "connection.open-ok", 10, 41, "S", "reserved-1") \
	X(CONNECTION_CLOSE, "connection.close", 10, 50, "sSss", "reply-code reply-text class-id method-id") \
	X(CONNECTION_CLOSE_OK, "connection.close-ok", 10, 51, "", "") \
	X(CONNECTION_BLOCKED, "connection.blocked", 10, 60, "S", "reason") \
	X(CONNECTION_UNBLOCKED, "connection.unblocked", 10, 61, "", "") \
	X(CONNECTION_UPDATE_SECRET, "connection.update-secret", 10, 70, "XS", "new-secret reason") \
	X(CONNECTION_UPDATE_SECRET_OK, "connection.update-secret-ok", 10, 71, "", "") \
	X(CHANNEL_OPEN, "channel.open", 20, 10, "S", "reserved-1") \
	X(CHANNEL_OPEN_OK, "channel.open-ok", 20, 11, "X", "reserved-1") \
	X(CHANNEL_FLOW, "channel.flow", 20, 20, "t", "active") \
	X(CHANNEL_FLOW_OK, "channel.flow-ok", 20, 21, "t", "active") \
	X(CHANNEL_CLOSE, "channel.close", 20, 40, "sSss", "reply-code reply-text class-id method-id") \
	X(CHANNEL_CLOSE_OK, "channel.close-ok", 20, 41, "", "") \
	X(EXCHANGE_DECLARE, "exchange.declare", 40, 10, "sSStttttT", "ticket exchange type passive durable auto-delete internal nowait arguments") \
	X(EXCHANGE_DECLARE_OK, "exchange.declare-ok", 40, 11, "", "") \
	X(EXCHANGE_DELETE, "exchange.delete", 40, 20, "sStt", "ticket exchange if-unused nowait") \
	X(EXCHANGE_DELETE_OK, "exchange.delete-ok", 40, 21, "", "") \
	X(EXCHANGE_BIND, "exchange.bind", 40, 30, "sSSStT", "ticket destination source routing-key nowait arguments") \
	X(EXCHANGE_BIND_OK, "exchange.bind-ok", 40, 31, "", "") \
	X(EXCHANGE_UNBIND, "exchange.unbind", 40, 40, "sSSStT", "ticket destination source routing-key nowait arguments") \
	X(EXCHANGE_UNBIND_OK, "exchange.unbind-ok", 40, 51, "", "") \
	X(QUEUE_DECLARE, "queue.declare", 50, 10, "sStttttT", "ticket queue passive durable exclusive auto-delete nowait arguments") \
	X(QUEUE_DECLARE_OK, "queue.declare-ok", 50, 11, "Sll", "queue message-count consumer-count") \
	X(QUEUE_BIND, "queue.bind", 50, 20, "sSSStT", "ticket queue exchange routing-key nowait arguments") \
	X(QUEUE_BIND_OK, "queue.bind-ok", 50, 21, "", "") \
	X(QUEUE_PURGE, "queue.purge", 50, 30, "sSt", "ticket queue nowait") \
	X(QUEUE_PURGE_OK, "queue.purge-ok", 50, 31, "l", "message-count") \
	X(QUEUE_DELETE, "queue.delete", 50, 40, "sSttt", "ticket queue if-unused if-empty nowait") \
	X(QUEUE_DELETE_OK, "queue.delete-ok", 50, 41, "l", "message-count") \
	X(QUEUE_UNBIND, "queue.unbind", 50, 50, "sSSST", "ticket queue exchange routing-key arguments") \
	X(QUEUE_UNBIND_OK, "queue.unbind-ok", 50, 51, "", "") \
	X(BASIC_QOS, "basic.qos", 60, 10, "lst", "prefetch-size prefetch-count global") \
	X(BASIC_QOS_OK, "basic.qos-ok", 60, 11, "", "") \
	X(BASIC_CONSUME, "basic.consume", 60, 20, "sSSttttT", "ticket queue consumer-tag no-local no-ack exclusive nowait arguments") \
	X(BASIC_CONSUME_OK, "basic.consume-ok", 60, 21, "S", "consumer-tag") \
	X(BASIC_CANCEL, "basic.cancel", 60, 30, "St", "consumer-tag nowait") \
	X(BASIC_CANCEL_OK, "basic.cancel-ok", 60, 31, "S", "consumer-tag") \
	X(BASIC_PUBLISH, "basic.publish", 60, 40, "sSStt", "ticket exchange routing-key mandatory immediate") \
	X(BASIC_RETURN, "basic.return", 60, 50, "sSSS", "reply-code reply-text exchange routing-key") \
	X(BASIC_DELIVER, "basic.deliver", 60, 60, "SLtSS", "consumer-tag delivery-tag redelivered exchange routing-key") \
	X(BASIC_GET, "basic.get", 60, 70, "sSt", "ticket queue no-ack") \
	X(BASIC_GET_OK, "basic.get-ok", 60, 71, "LtSSl", "delivery-tag redelivered exchange routing-key message-count") \
	X(BASIC_GET_EMPTY, "basic.get-empty", 60, 72, "S", "reserved-1") \
	X(BASIC_ACK, "basic.ack", 60, 80, "Lt", "delivery-tag multiple") \
	X(BASIC_REJECT, "basic.reject", 60, 90, "Lt", "delivery-tag requeue") \
	X(BASIC_RECOVER_ASYNC, "basic.recover-async", 60, 100, "t", "requeue") \
	X(BASIC_RECOVER, "basic.recover", 60, 110, "t", "requeue") \
	X(BASIC_RECOVER_OK, "basic.recover-ok", 60, 111, "", "") \
	X(BASIC_NACK, "basic.nack", 60, 120, "Ltt", "delivery-tag multiple requeue") \
	X(CONFIRM_SELECT, "confirm.select", 85, 10, "t", "nowait") \
	X(CONFIRM_SELECT_OK, "confirm.select-ok", 85, 11, "", "") \
	X(TX_SELECT, "tx.select", 90, 10, "", "") \
	X(TX_SELECT_OK, "tx.select-ok", 90, 11, "", "") \
	X(TX_COMMIT, "tx.commit", 90, 20, "", "") \
	X(TX_COMMIT_OK, "tx.commit-ok", 90, 21, "", "") \
	X(TX_ROLLBACK, "tx.rollback", 90, 30, "", "") \
	X(TX_ROLLBACK_OK, "tx.rollback-ok", 90, 31, "", "")

enum sd_amqp_method {
#define SD_AMQP_ENUM(name, text, class, method, args, names) SD_AMQP_##name = (class) << 16 | (method),
	SD_AMQP_METHODS(SD_AMQP_ENUM)
#undef SD_AMQP_ENUM
};

struct sd_amqp_method_info {
	uint32_t id;	   /* enum sd_amqp_method */
	const char *name;  /* "queue.declare-ok" */
	const char *args;  /* the letters above */
	const char *names; /* of the arguments, with a blank between */
};
/* NULL: there is none with this id. */
const struct sd_amqp_method_info *sd_amqp_method_find(uint32_t id);

/* One argument: n for numbers and bits, s for strings and tables (a table without its length). */
struct sd_amqp_arg {
	uint64_t n;
	struct sd_slice s;
};
enum sd_amqp_read {
	SD_AMQP_READ,
	SD_AMQP_UNKNOWN,   /* no such method; *id tells which class and method it said */
	SD_AMQP_MALFORMED, /* too short, too long, or a table that is none */
};
enum sd_amqp_read sd_amqp_get_method(struct sd_slice payload, uint32_t *id, const struct sd_amqp_method_info **info,
				     struct sd_amqp_arg args[SD_AMQP_ARGS]);
/* A whole frame. Arguments in order; strings longer than fit are cut at SD_AMQP_SHORT_MAX where they are short. */
void sd_amqp_put_method(struct sd_text *t, uint16_t channel, uint32_t id, const struct sd_amqp_arg *args);

/* ---- contents ---- */

/* Bits of struct sd_amqp_properties.has, as in the flags on the wire. */
enum sd_amqp_property {
	SD_AMQP_CONTENT_TYPE = 1 << 15, SD_AMQP_CONTENT_ENCODING = 1 << 14, SD_AMQP_HEADERS = 1 << 13,
	SD_AMQP_DELIVERY_MODE = 1 << 12, SD_AMQP_PRIORITY = 1 << 11, SD_AMQP_CORRELATION_ID = 1 << 10,
	SD_AMQP_REPLY_TO = 1 << 9, SD_AMQP_EXPIRATION = 1 << 8, SD_AMQP_MESSAGE_ID = 1 << 7, SD_AMQP_TIMESTAMP = 1 << 6,
	SD_AMQP_TYPE = 1 << 5, SD_AMQP_USER_ID = 1 << 4, SD_AMQP_APP_ID = 1 << 3, SD_AMQP_CLUSTER_ID = 1 << 2,
};
struct sd_amqp_properties {
	uint16_t has;
	uint8_t delivery_mode, priority; /* 2: persistent */
	uint64_t timestamp;		 /* seconds since the epoch */
	struct sd_slice content_type, content_encoding, correlation_id, reply_to, expiration, message_id, type, user_id, app_id,
		cluster_id;
	struct sd_slice headers; /* a table, without its length */
};
/* The payload of a HEADER frame. raw: flags and properties as they came, good for sd_amqp_put_header. */
bool sd_amqp_get_header(struct sd_slice payload, uint16_t *class_id, uint64_t *body_size, struct sd_slice *raw,
			struct sd_amqp_properties *out);
bool sd_amqp_get_properties(struct sd_slice raw, struct sd_amqp_properties *out);
void sd_amqp_put_properties(struct sd_text *t, const struct sd_amqp_properties *p);
/* A whole HEADER frame of class basic. */
void sd_amqp_put_header(struct sd_text *t, uint16_t channel, uint64_t body_size, struct sd_slice raw);

/* ---- tables ---- */

/* Letters on the wire: t bool; b B int8 uint8; s u int16 uint16; I i int32 uint32; l int64; f d float double; D decimal; S longstr;
 * A array; T timestamp; F table; V nothing; x bytes. */
struct sd_amqp_field {
	struct sd_slice name; /* empty in an array */
	char kind;
	int64_t n;	      /* t b B s u I i l T; the unscaled value of D */
	uint8_t scale;	      /* D */
	double real;	      /* f d */
	struct sd_slice s;    /* S x; A F: what is inside, without its length */
};
/* Takes the next field of a table, or of an array. False: there is none, or *rest is none (and then not empty). */
bool sd_amqp_next_field(struct sd_slice *rest, struct sd_amqp_field *out);
bool sd_amqp_next_item(struct sd_slice *rest, struct sd_amqp_field *out);
/* Is it a table, to its last byte, and nothing nested deeper than SD_AMQP_DEPTH? */
bool sd_amqp_is_table(struct sd_slice table);
/* The first field of this name. */
bool sd_amqp_find(struct sd_slice table, const char *name, struct sd_amqp_field *out);
/* Any of the whole numbers. False: it is another kind. */
bool sd_amqp_field_int(const struct sd_amqp_field *f, int64_t *out);
/* Equal as RabbitMQ compares: numbers by value, whatever their width; strings with strings; tables field by field in any order
 * (those of more than SD_AMQP_UNORDERED fields in the same order, so that nobody can make it take long). */
bool sd_amqp_field_eq(const struct sd_amqp_field *a, const struct sd_amqp_field *b);
bool sd_amqp_table_eq(struct sd_slice a, struct sd_slice b);

/* Writing: a field behind what t has of a table (without its length). In arrays name is NULL. */
void sd_amqp_put_field(struct sd_text *t, const char *name, const struct sd_amqp_field *f);
void sd_amqp_put_string(struct sd_text *t, const char *name, struct sd_slice s);
void sd_amqp_put_int(struct sd_text *t, const char *name, int64_t n); /* l */
void sd_amqp_put_bool(struct sd_text *t, const char *name, bool b);
/* F or A: begin gives where; what comes until end is inside. */
size_t sd_amqp_begin_field(struct sd_text *t, const char *name, char kind);
void sd_amqp_end_field(struct sd_text *t, size_t at);

/* ---- numbers with a name ---- */

/* Reply codes, and the words that RabbitMQ begins their texts with: "NOT_FOUND". NULL: it is none. */
const char *sd_amqp_code_name(unsigned code);
/* Does the error end the whole connection, or its channel only? */
bool sd_amqp_code_is_hard(unsigned code);

#endif
