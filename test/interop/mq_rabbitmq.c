/* mq_rabbitmq.c - what librabbitmq sees of a broker, one line a fact: mq_rabbitmq PORT. The lines must be the same on RabbitMQ and on ours. */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define N    300
#define SIZE 200000 /* of one that needs several frames */

static void fail(const char *what)
{
	printf("FAILED %s\n", what);
	exit(1);
}

/* What the last call came to: "fine", or the broker's words. */
static const char *how(amqp_connection_state_t c)
{
	static char text[400];
	amqp_rpc_reply_t r = amqp_get_rpc_reply(c);
	if (r.reply_type == AMQP_RESPONSE_NORMAL)
		return "fine";
	if (r.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || r.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
		return "something else";
	const amqp_channel_close_t *m = r.reply.decoded;
	snprintf(text, sizeof(text), "%u %.*s", m->reply_code, (int)m->reply_text.len, (const char *)m->reply_text.bytes);
	return text;
}

static amqp_connection_state_t login(int port, const char *password, amqp_rpc_reply_t *r)
{
	amqp_connection_state_t c = amqp_new_connection();
	amqp_socket_t *s = amqp_tcp_socket_new(c);
	if (!s || amqp_socket_open(s, "127.0.0.1", port) != AMQP_STATUS_OK)
		fail("connect");
	*r = amqp_login(c, "/", 0, 131072, 5, AMQP_SASL_METHOD_PLAIN, "guest", password);
	return c;
}

static void publish(amqp_connection_state_t c, const char *queue, amqp_bytes_t body)
{
	amqp_basic_properties_t p = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_TYPE_FLAG, .delivery_mode = 2, .type = amqp_cstring_bytes("kind")};
	if (amqp_basic_publish(c, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0, &p, body) != AMQP_STATUS_OK)
		fail("publish");
}

static void await_confirms(amqp_connection_state_t c, unsigned long n)
{
	for (unsigned long done = 0; done < n;) {
		amqp_frame_t f;
		if (amqp_simple_wait_frame(c, &f) != AMQP_STATUS_OK || f.payload.method.id != AMQP_BASIC_ACK_METHOD)
			fail("confirm");
		const amqp_basic_ack_t *m = f.payload.method.decoded;
		done = m->multiple ? m->delivery_tag : done + 1;
	}
}

static void take(amqp_connection_state_t c, amqp_envelope_t *e)
{
	struct timeval wait = {10, 0};
	amqp_maybe_release_buffers(c);
	if (amqp_consume_message(c, e, &wait, 0).reply_type != AMQP_RESPONSE_NORMAL)
		fail("no message");
	amqp_basic_ack(c, 1, e->delivery_tag, 0);
}

static char body[SIZE];

static void publish_all(amqp_connection_state_t c)
{
	char text[16];
	for (size_t i = 0; i < SIZE; i++)
		body[i] = (char)(i * 31 >> 3);
	publish(c, "librabbitmq", (amqp_bytes_t){SIZE, body});
	for (int i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "%d", i);
		publish(c, "librabbitmq", amqp_cstring_bytes(text));
	}
	await_confirms(c, N + 1);
}

static void take_all(amqp_connection_state_t c)
{
	amqp_envelope_t e;
	char text[16];
	int in_order = 0;
	take(c, &e);
	printf("large %zu %d type %.*s\n", e.message.body.len, memcmp(e.message.body.bytes, body, SIZE), (int)e.message.properties.type.len,
	       (const char *)e.message.properties.type.bytes);
	amqp_destroy_envelope(&e);
	for (int i = 0; i < N; i++) {
		take(c, &e);
		snprintf(text, sizeof(text), "%d", i);
		in_order += e.message.body.len == strlen(text) && memcmp(e.message.body.bytes, text, strlen(text)) == 0;
		amqp_destroy_envelope(&e);
	}
	printf("in order %d\n", in_order);
}

int main(int argc, char **argv)
{
	amqp_rpc_reply_t r;
	int port = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
	amqp_connection_state_t c = login(port, "wrong", &r);
	printf("wrong password %d\n", r.reply_type);
	amqp_destroy_connection(c);
	c = login(port, "guest", &r);
	printf("login %d frame_max %d channel_max %d\n", r.reply_type, amqp_get_frame_max(c), amqp_get_channel_max(c));
	amqp_channel_open(c, 1);
	printf("channel %s\n", how(c));
	amqp_queue_declare(c, 1, amqp_cstring_bytes("librabbitmq"), 0, 1, 0, 0, amqp_empty_table);
	printf("declare %s\n", how(c));
	amqp_confirm_select(c, 1);
	publish_all(c);
	amqp_basic_qos(c, 1, 0, 20, 0);
	amqp_basic_consume(c, 1, amqp_cstring_bytes("librabbitmq"), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	printf("consume %s\n", how(c));
	take_all(c);
	amqp_channel_open(c, 2);
	amqp_queue_declare(c, 2, amqp_cstring_bytes("nowhere"), 1, 0, 0, 0, amqp_empty_table);
	printf("passive %s\n", how(c));
	amqp_queue_delete(c, 1, amqp_cstring_bytes("librabbitmq"), 0, 0);
	printf("delete %s\n", how(c));
	r = amqp_connection_close(c, AMQP_REPLY_SUCCESS);
	printf("close %d\n", r.reply_type);
	amqp_destroy_connection(c);
	return 0;
}
