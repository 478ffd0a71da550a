/* clients.h - how many connections each client has, counted by all threads without a lock, in a table that never grows.
 *
 * The table is sets of 16 words. A client's hash names its set and 44 bits that tell it from the others there; beside them
 * in one word is its count. A word whose count is 0 is free: so a client is forgotten with its last connection, and there
 * are never more words in use than connections. Where a set is full, a client is let in uncounted: clients that keep many
 * addresses busy must not lock out the rest.
 *
 * Two threads may give a client a word each at the same moment. So a count is the sum over its words, and is looked at after
 * it was raised: more than the limit never get in; when several come at once to the last place, all may be refused.
 */
#ifndef SD_CORE_CLIENTS_H
#define SD_CORE_CLIENTS_H

#include "client_key.h"

#define SD_CLIENTS_MAX 1000000 /* largest limit */

struct sd_clients;

/* What a connection holds, to give it back. */
struct sd_client_pass {
	struct sd_clients *clients; /* NULL: not counted */
	uint32_t place;
};

enum sd_clients_answer { SD_CLIENTS_IN, SD_CLIENTS_OVER, SD_CLIENTS_UNCOUNTED };

/* sets: a power of two, 2^20 at most; 128 bytes each, touched only when used. NULL: out of memory. */
struct sd_clients *sd_clients_new(size_t sets, const struct sd_siphash_key *secret);
void sd_clients_free(struct sd_clients *c);
/* One more connection of this client, if it has fewer than limit. Any thread. */
enum sd_clients_answer sd_clients_enter(struct sd_clients *c, const struct sd_client_key *key, uint32_t limit,
					struct sd_client_pass *out);
/* One less; nothing when it holds nothing. Any thread. */
void sd_client_pass_end(struct sd_client_pass *pass);
/* Connections counted for this client now. */
uint32_t sd_clients_of(const struct sd_clients *c, const struct sd_client_key *key);
/* Words in use; for tests, while nobody enters. */
size_t sd_clients_used(const struct sd_clients *c);

#endif
