/* tls_keys.c - the keys that tickets are sealed with: the current ones and those before.
 *
 * Who steals a ticket key can read the sessions of all tickets it sealed, so keys are made anew and forgotten. All threads of
 * a service share them: a ticket that one gave out is taken by another. The lock is held for a few copies a handshake.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "tls_int.h"

struct ticket_key {
	unsigned char name[16], cipher[32], mac[32];
};

struct sd_tls_keys {
	uint32_t refs; /* atomic */
	uint32_t lock; /* atomic */
	struct sd_world *world;
	int64_t period_ns, made_ns;
	bool has_current, has_previous;
	struct ticket_key current, previous;
};

struct sd_tls_keys *sd_tls_keys_new(struct sd_world *w, int64_t period_ns)
{
	struct sd_tls_keys *k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->refs = 1;
	k->world = w;
	k->period_ns = period_ns;
	return k;
}

struct sd_tls_keys *tls_keys_hold(struct sd_tls_keys *k)
{
	if (k)
		__atomic_add_fetch(&k->refs, 1, __ATOMIC_RELAXED);
	return k;
}

void sd_tls_keys_release(struct sd_tls_keys *k)
{
	if (!k || __atomic_sub_fetch(&k->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	OPENSSL_cleanse(k, sizeof(*k));
	free(k);
}

static void lock(struct sd_tls_keys *k)
{
	while (__atomic_exchange_n(&k->lock, 1, __ATOMIC_ACQUIRE))
		;
}

static void unlock(struct sd_tls_keys *k)
{
	__atomic_store_n(&k->lock, 0, __ATOMIC_RELEASE);
}

/* Under the lock. Keys that nobody used for two periods are too old for both places. */
static void rotate(struct sd_tls_keys *k, int64_t now_ns)
{
	if (k->has_current && now_ns - k->made_ns < k->period_ns)
		return;
	k->has_previous = k->has_current && now_ns - k->made_ns < 2 * k->period_ns;
	if (k->has_previous)
		k->previous = k->current;
	else
		OPENSSL_cleanse(&k->previous, sizeof(k->previous));
	sd_world_random(k->world, &k->current, sizeof(k->current));
	k->has_current = true;
	k->made_ns = now_ns;
}

/* 1: the current key, 2: the one before, so the client gets a new ticket; 0: neither has this name. */
static int find(struct sd_tls_keys *k, int64_t now_ns, const unsigned char *name, struct ticket_key *out)
{
	int found = 1;
	lock(k);
	rotate(k, now_ns);
	*out = k->current;
	if (name && memcmp(name, k->current.name, sizeof(k->current.name)) != 0) {
		found = k->has_previous && memcmp(name, k->previous.name, sizeof(k->previous.name)) == 0 ? 2 : 0;
		*out = k->previous;
	}
	unlock(k);
	return found;
}

static bool set_up(const struct ticket_key *key, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	char digest[] = "SHA256";
	unsigned char secret[32];
	memcpy(secret, key->mac, sizeof(secret));
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof(secret)),
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};
	bool good = EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, encrypt) == 1 &&
		    EVP_MAC_CTX_set_params(mac, params) == 1;
	OPENSSL_cleanse(secret, sizeof(secret));
	return good;
}

int tls_ticket_key(struct sd_tls_keys *k, int64_t now_ns, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
		   EVP_MAC_CTX *mac, int encrypt)
{
	struct ticket_key key;
	int found = find(k, now_ns, encrypt ? NULL : name, &key);
	if (encrypt) {
		memcpy(name, key.name, sizeof(key.name));
		sd_world_random(k->world, iv, 16);
	}
	if (found && !set_up(&key, iv, cipher, mac, encrypt))
		found = -1;
	OPENSSL_cleanse(&key, sizeof(key));
	return found;
}
