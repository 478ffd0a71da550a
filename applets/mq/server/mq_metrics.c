#include "mq_metrics.h"

enum source { BROKER, HUB };

static const struct {
	const char *name, *type, *help;
	enum source source;
	size_t at, size;
} rows[] = {
#define OF_BROKER(name, type, field, help) \
	{"sdlab_mq_" name, type, help, BROKER, offsetof(struct mq, field), sizeof(((struct mq *)0)->field)}
#define OF_HUB(name, type, field, help) \
	{"sdlab_mq_" name, type, help, HUB, offsetof(struct mq_hub, field), sizeof(((struct mq_hub *)0)->field)}
    OF_BROKER("published_total", "counter", count.published, "Messages published"),
    OF_BROKER("confirmed_total", "counter", count.confirmed, "Publications confirmed"),
    OF_BROKER("refused_total", "counter", count.refused, "Publications refused: a full queue, or a log that takes no more"),
    OF_BROKER("unroutable_total", "counter", count.unroutable, "Messages that no queue got"),
    OF_BROKER("returned_total", "counter", count.returned, "Mandatory messages given back to their publisher"),
    OF_BROKER("delivered_total", "counter", count.delivered, "Messages delivered, or got"),
    OF_BROKER("acknowledged_total", "counter", count.acked, "Messages acknowledged"),
    OF_BROKER("redelivered_total", "counter", count.redelivered, "Deliveries of what was delivered before"),
    OF_BROKER("expired_total", "counter", count.expired, "Messages whose time was over"),
    OF_BROKER("dead_lettered_total", "counter", count.dead, "Messages dead-lettered"),
    OF_BROKER("fetched_total", "counter", count.fetched, "Bodies read back from the disk"),
    OF_BROKER("fetch_errors_total", "counter", count.fetch_failed, "Bodies that could not be read back"),
    OF_BROKER("messages", "gauge", messages, "Messages in queues, delivered ones that are not acknowledged included"),
    OF_BROKER("body_memory_bytes", "gauge", body_memory, "Memory of bodies"),
    OF_HUB("connections", "gauge", nconns, "Connections now"),
    OF_HUB("channels", "gauge", nchannels, "Channels open now"),
    OF_HUB("blocked_connections", "gauge", nblocked, "Publishers that have to wait now"),
    OF_HUB("connections_total", "counter", count.opened, "Connections taken"),
    OF_HUB("logins_refused_total", "counter", count.refused, "Logins refused"),
    OF_HUB("channels_total", "counter", count.channels, "Channels opened"),
    OF_HUB("errors_total", "counter", count.errors, "Channels and connections ended by an error of theirs"),
    OF_HUB("received_bytes_total", "counter", count.bytes_in, "Bytes from clients"),
    OF_HUB("sent_bytes_total", "counter", count.bytes_out, "Bytes to clients"),
    OF_HUB("frames_total", "counter", count.frames, "Frames from clients"),
};
#define ROWS (sizeof(rows) / sizeof(*rows))
_Static_assert(ROWS <= MQ_METRICS, "room for all");

void mq_metrics_publish(struct mq_metrics *m, const struct mq *b, const struct mq_hub *h)
{
	for (size_t i = 0; i < ROWS; i++) {
		const char *from = (rows[i].source == HUB ? (const char *)h : (const char *)b) + rows[i].at;
		uint64_t value = 0;
		memcpy(&value, from, rows[i].size);
		__atomic_store_n(&m->values[i], value, __ATOMIC_RELAXED);
	}
}

void mq_metrics_put(const struct mq_metrics *m, struct sd_metrics *out, const char *label)
{
	for (size_t i = 0; i < ROWS; i++) {
		sd_metrics_family(out, rows[i].name, rows[i].type, rows[i].help);
		sd_metrics_add(out, (double)sd_count_read(&m->values[i]), "%s", label);
	}
}
