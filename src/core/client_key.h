/* client_key.h - whose connection or request it is, for everything that counts by address. Pure.
 *
 * An IPv4 address is a client, however it is written (::ffff:192.0.2.1 is 192.0.2.1). Of IPv6 the first 64 bits are: who
 * has one address of a network has all of them (RFC 4291 section 2.5.4).
 */
#ifndef SD_CORE_CLIENT_KEY_H
#define SD_CORE_CLIENT_KEY_H

#include "addr.h"
#include "siphash.h"

struct sd_client_key {
	uint8_t bytes[16];
};

/* False: it has no address, being a UNIX socket or inside this process. */
bool sd_client_key_of(const struct sd_peer *peer, struct sd_client_key *out);
/* Under a secret, so that nobody outside chooses which clients share a place in a table. */
uint64_t sd_client_key_hash(const struct sd_client_key *key, const struct sd_siphash_key *secret);

#endif
