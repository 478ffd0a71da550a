#include "client_gate.h"

#define SETS 4096 /* 65,536 clients at a time */

bool sd_client_gate_open(struct sd_client_gate *gate, const struct sd_siphash_key *secret)
{
	if (!gate->clients)
		__atomic_store_n(&gate->clients, sd_clients_new(SETS, secret), __ATOMIC_RELEASE);
	return gate->clients != NULL;
}

void sd_client_gate_set(struct sd_client_gate *gate, uint32_t limit)
{
	__atomic_store_n(&gate->limit, limit, __ATOMIC_RELAXED);
}

void sd_client_gate_free(struct sd_client_gate *gate)
{
	sd_clients_free(gate->clients);
	gate->clients = NULL;
}

bool sd_client_gate_enter(struct sd_client_gate *gate, const struct sd_peer *who, struct sd_client_pass *out)
{
	struct sd_client_key key;
	struct sd_clients *clients = __atomic_load_n(&gate->clients, __ATOMIC_ACQUIRE);
	uint32_t limit = __atomic_load_n(&gate->limit, __ATOMIC_RELAXED);
	*out = (struct sd_client_pass){0};
	if (!clients || !sd_client_key_of(who, &key))
		return true;
	/* Counted without a limit too, so that one that comes back finds the right count. */
	switch (sd_clients_enter(clients, &key, limit ? limit : SD_CLIENTS_MAX, out)) {
	case SD_CLIENTS_UNCOUNTED:
		__atomic_add_fetch(&gate->uncounted, 1, __ATOMIC_RELAXED);
		return true;
	case SD_CLIENTS_OVER:
		__atomic_add_fetch(&gate->refused, 1, __ATOMIC_RELAXED);
		if (gate->tell)
			gate->tell(gate->arg, who, limit);
		return false;
	default:
		return true;
	}
}
