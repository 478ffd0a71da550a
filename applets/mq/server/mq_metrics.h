/* mq_metrics.h - the counters of a broker where other threads may read them. */
#ifndef MQ_METRICS_H
#define MQ_METRICS_H

#include "../amqp/mq_conn.h"
#include "app/metrics.h"

#define MQ_METRICS 32

struct mq_metrics {
	uint64_t values[MQ_METRICS];
};

/* On the broker's thread, at the end of a turn. */
void mq_metrics_publish(struct mq_metrics *m, const struct mq *b, const struct mq_hub *h);
/* On any thread: families and samples with this label. */
void mq_metrics_put(const struct mq_metrics *m, struct sd_metrics *out, const char *label);

#endif
