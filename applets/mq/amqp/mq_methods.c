/* mq_methods.c - what clients may ask on a channel that is open, and who does it. The opening, closing and contents of channels are
 * mq_session.c's, channel 0 is mq_login.c's and mq_conn.c's. */
#include "mq_conn_int.h"

static const struct {
	uint32_t id;
	mq_method_fn *run;
} methods[] = {
    /* by class and method, ascending */
    {SD_AMQP_CHANNEL_FLOW, mq_do_flow},
    {SD_AMQP_EXCHANGE_DECLARE, mq_do_exchange_declare},
    {SD_AMQP_EXCHANGE_DELETE, mq_do_exchange_delete},
    {SD_AMQP_EXCHANGE_BIND, mq_do_exchange_bind},
    {SD_AMQP_EXCHANGE_UNBIND, mq_do_exchange_unbind},
    {SD_AMQP_QUEUE_DECLARE, mq_do_queue_declare},
    {SD_AMQP_QUEUE_BIND, mq_do_queue_bind},
    {SD_AMQP_QUEUE_PURGE, mq_do_queue_purge},
    {SD_AMQP_QUEUE_DELETE, mq_do_queue_delete},
    {SD_AMQP_QUEUE_UNBIND, mq_do_queue_unbind},
    {SD_AMQP_BASIC_QOS, mq_do_qos},
    {SD_AMQP_BASIC_CONSUME, mq_do_consume},
    {SD_AMQP_BASIC_CANCEL, mq_do_cancel},
    {SD_AMQP_BASIC_PUBLISH, mq_content_begin},
    {SD_AMQP_BASIC_GET, mq_do_get},
    {SD_AMQP_BASIC_ACK, mq_do_ack},
    {SD_AMQP_BASIC_REJECT, mq_do_reject},
    {SD_AMQP_BASIC_RECOVER_ASYNC, mq_do_recover_async},
    {SD_AMQP_BASIC_RECOVER, mq_do_recover},
    {SD_AMQP_BASIC_NACK, mq_do_nack},
    {SD_AMQP_CONFIRM_SELECT, mq_do_confirm},
    {SD_AMQP_TX_SELECT, mq_do_tx_select},
    {SD_AMQP_TX_COMMIT, mq_do_tx_commit},
    {SD_AMQP_TX_ROLLBACK, mq_do_tx_rollback},
};

mq_method_fn *mq_method_of(uint32_t id)
{
	size_t low = 0, high = sizeof(methods) / sizeof(*methods);
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (methods[middle].id == id)
			return methods[middle].run;
		if (methods[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
