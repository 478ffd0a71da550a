/* lb_hello.c - TLS that goes through in TCP mode: the name that its ClientHello asks for decides about the pool. */
#include <stdio.h>

#include "lb.h"

#define SAY_EVERY_NS 10000000000

const char *const lb_hello_names[LB_HELLOS] = {
    [SD_TLS_HELLO_MORE] = "silent",   [SD_TLS_HELLO_NAMED] = "named", [SD_TLS_HELLO_NO_NAME] = "no_name",
    [SD_TLS_HELLO_NOT_TLS] = "not_tls", [SD_TLS_HELLO_BAD] = "bad",
};

bool lb_hello_wanted(const struct lb_snapshot *s)
{
	return s->routes && s->routes->by_host;
}

static const char *reason(enum sd_tls_hello_is is, const struct sd_tls_hello *hello, char out[SD_TLS_HELLO_NAME + 40])
{
	if (is == SD_TLS_HELLO_MORE)
		return "no whole ClientHello came in time";
	if (is != SD_TLS_HELLO_NAMED)
		return is == SD_TLS_HELLO_NO_NAME ? "it asks for no name" : hello->why;
	snprintf(out, SD_TLS_HELLO_NAME + 40, "there is no route for %s", hello->name);
	return out;
}

void lb_hello_unrouted(struct lb_worker *w, const struct sd_peer *who, enum sd_tls_hello_is is, const struct sd_tls_hello *hello)
{
	char ip[46], text[SD_TLS_HELLO_NAME + 40], more[48] = "";
	const char *why = reason(is, hello, text);
	struct lb_hellos *h = &w->hellos;
	int64_t now = sd_loop_now_ns(w->loop);
	sd_count(&h->unrouted, 1);
	if (h->said_ns && now - h->said_ns < SAY_EVERY_NS) {
		h->skipped++;
		return;
	}
	if (h->skipped)
		snprintf(more, sizeof(more), " (and %llu more)", (unsigned long long)h->skipped);
	sd_peer_format(who, ip);
	struct sd_field f[] = {{"peer", ip, 0}, {"reason", why, 0}, {"skipped", NULL, (int64_t)h->skipped}, {0}};
	sd_event(w->lb->run->log, SD_WARN, "hello_unrouted", f, "Closed a connection from %s: %s, and no route is for all names%s", ip,
		 why, more);
	h->said_ns = now;
	h->skipped = 0;
}

void lb_hello_metrics(const struct lb *lb, struct sd_metrics *m, const char *label)
{
	uint64_t unrouted = 0;
	sd_metrics_family(m, "sdlab_lb_hellos_total", "counter",
			  "Connections in TCP mode whose name was asked for, by what they began with");
	for (int k = 0; k < LB_HELLOS; k++) {
		uint64_t sum = 0;
		for (unsigned i = 0; i < lb->nworkers; i++)
			sum += sd_count_read(&lb->workers[i]->hellos.is[k]);
		sd_metrics_add(m, (double)sum, "%s,is=\"%s\"", label, lb_hello_names[k]);
	}
	for (unsigned i = 0; i < lb->nworkers; i++)
		unrouted += sd_count_read(&lb->workers[i]->hellos.unrouted);
	sd_metrics_family(m, "sdlab_lb_hellos_unrouted_total", "counter", "Of these, closed because no route is for them");
	sd_metrics_add(m, (double)unrouted, "%s", label);
}
