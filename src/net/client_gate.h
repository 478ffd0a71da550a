/* client_gate.h - at most so many connections at a time from one client, over all workers of a service. */
#ifndef SD_NET_CLIENT_GATE_H
#define SD_NET_CLIENT_GATE_H

#include "core/clients.h"

/* Read by workers, set by the control loop (the functions below). */
struct sd_client_gate {
	struct sd_clients *clients; /* atomic; NULL: there never was a limit */
	uint32_t limit;             /* atomic; 0: none */
	uint64_t refused, uncounted; /* atomic */
	void (*tell)(void *arg, const struct sd_peer *who, uint32_t limit); /* one was refused; on its worker */
	void *arg;
};

/* Before the first limit is set: makes what counts. Those who were there before do not count. False: out of memory. */
bool sd_client_gate_open(struct sd_client_gate *gate, const struct sd_siphash_key *secret);
void sd_client_gate_set(struct sd_client_gate *gate, uint32_t limit);
/* Nobody holds a pass any more. */
void sd_client_gate_free(struct sd_client_gate *gate);
/* May one more connection of this client come in? Whoever lets it in ends the pass with it. */
bool sd_client_gate_enter(struct sd_client_gate *gate, const struct sd_peer *who, struct sd_client_pass *out);

#endif
