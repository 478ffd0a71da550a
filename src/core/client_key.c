#include "client_key.h"

#include <string.h>

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

bool sd_client_key_of(const struct sd_peer *peer, struct sd_client_key *out)
{
	if (peer->kind != SD_ADDR_INET)
		return false;
	*out = (struct sd_client_key){0};
	if (!peer->v6) {
		memcpy(out->bytes, mapped, sizeof(mapped));
		memcpy(out->bytes + sizeof(mapped), peer->ip, 4);
	} else {
		memcpy(out->bytes, peer->ip, memcmp(peer->ip, mapped, sizeof(mapped)) == 0 ? 16 : 8);
	}
	return true;
}

uint64_t sd_client_key_hash(const struct sd_client_key *key, const struct sd_siphash_key *secret)
{
	return sd_siphash(secret, key->bytes, sizeof(key->bytes));
}
