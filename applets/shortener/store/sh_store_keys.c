/* sh_store_keys.c - API keys: HMAC-SHA256 of each under a secret of the database, so that who reads one table has no key. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base62.h"
#include "core/bytes.h"
#include "core/list.h"
#include "net/tls_hmac.h"
#include "sh_store_int.h"

#define MAC_TEXT  (2 * SD_HMAC_BYTES + 1)
#define HINT      7
#define KEY_LEAST 16

static const struct sd_error nomem = {SD_ENOMEM, "out of memory"};

struct key_ask {
	struct sh_ask ask;
	sh_store_key_fn *added;
	sh_store_done_fn *done;
	sh_store_keys_fn *listed;
	char key[SH_KEY_TEXT], mac[MAC_TEXT];
};

static struct key_ask *key_ask(struct sh_store *st, void (*end)(struct sh_ask *a, const struct sd_sql_job *j), void *arg)
{
	return sh_ask_new(st, sizeof(struct key_ask), end, arg);
}

static void key_free(struct key_ask *k)
{
	explicit_bzero(k->key, sizeof(k->key));
	free(k);
}

static bool mac_of(const struct sh_store *st, struct sd_slice key, char out[MAC_TEXT])
{
	uint8_t secret[16], mac[SD_HMAC_BYTES];
	sd_put_le(secret, st->mac_key.k0, 8);
	sd_put_le(secret + 8, st->mac_key.k1, 8);
	bool ok = sd_hmac_sha256((struct sd_slice){(const char *)secret, sizeof(secret)}, key.p, key.n, mac);
	for (size_t i = 0; i < SD_HMAC_BYTES; i++)
		snprintf(out + 2 * i, 3, "%02x", mac[i]);
	return ok;
}

static const char *name_fault(const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < 0x20)
			return "expected a name without control characters";
	return n == 0 || n > 100 ? "expected a name of 1 to 100 bytes" : NULL;
}

static void done_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct key_ask *k = sd_container(a, struct key_ask, ask);
	(void)j;
	k->done(a->arg, &a->e);
	key_free(k);
}

static struct key_ask *done_ask(struct sh_store *st, void (*end)(struct sh_ask *a, const struct sd_sql_job *j), sh_store_done_fn *fn,
				void *arg)
{
	struct key_ask *k = key_ask(st, end, arg);
	if (!k)
		fn(arg, &nomem);
	else
		k->done = fn;
	return k && !sh_ask_refused(&k->ask) ? k : NULL;
}

static void add_insert(struct sh_store *st, struct sd_sql_job *j, const char *name, const char *key, const char *mac)
{
	char hint[HINT + 1];
	snprintf(hint, sizeof(hint), "%.*s", HINT, key);
	sd_sql_add(j, "INSERT INTO api_keys (name, mac, hint, created_ms) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING", 4,
		   SD_SQL_ARGS(sd_sql_text(name), sd_sql_text(mac), sd_sql_text(hint), sd_sql_int(sh_store_now_ms(st))));
}

/* ---- adding ---- */

static void add_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct key_ask *k = sd_container(a, struct key_ask, ask);
	k->added(a->arg, &a->e, j ? k->key : NULL);
	key_free(k);
}

/* 256 bits of chance. */
static void make_key(struct sh_store *st, char out[SH_KEY_TEXT])
{
	uint64_t chance[4];
	char digits[4][SD_BASE62_MAX];
	sd_world_random(sd_loop_world(st->loop), chance, sizeof(chance));
	for (int i = 0; i < 4; i++)
		sd_base62_put(chance[i], SD_BASE62_MAX, digits[i]);
	snprintf(out, SH_KEY_TEXT, "sd_%.*s", (int)sizeof(digits), digits[0]);
	explicit_bzero(chance, sizeof(chance));
	explicit_bzero(digits, sizeof(digits));
}

void sh_store_key_add(struct sh_store *st, const char *name, sh_store_key_fn *fn, void *arg)
{
	struct key_ask *k = key_ask(st, add_end, arg);
	if (!k) {
		fn(arg, &nomem, NULL);
		return;
	}
	k->added = fn;
	const char *fault = name_fault(name);
	if (sh_ask_refused(&k->ask))
		return;
	make_key(st, k->key);
	if (fault || !mac_of(st, sd_slice_of(k->key), k->mac)) {
		sh_ask_fail(&k->ask, fault ? SD_EINVAL : SD_ENOMEM, fault ? fault : "out of memory");
		return;
	}
	struct sd_sql_job *j = sd_sql_write(st->sql);
	add_insert(st, j, name, k->key, k->mac);
	sd_sql_expect(j, SD_EEXISTS, "a key has this name");
	sh_ask_run(&k->ask, j);
}

static void put_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct key_ask *k = sd_container(a, struct key_ask, ask);
	const char *mac = j ? sd_sql_cell_text(j, 1, 0, 0) : NULL;
	if (j && (!mac || strcmp(mac, k->mac) != 0))
		sd_fail(&a->e, SD_EEXISTS, "another key has this name");
	done_end(a, j);
}

void sh_store_key_put(struct sh_store *st, const char *name, const char *key, sh_store_done_fn *fn, void *arg)
{
	struct key_ask *k = done_ask(st, put_end, fn, arg);
	if (!k)
		return;
	const char *fault = strlen(key) < KEY_LEAST ? "expected a key of at least 16 characters" : name_fault(name);
	if (fault || !mac_of(st, sd_slice_of(key), k->mac)) {
		sh_ask_fail(&k->ask, fault ? SD_EINVAL : SD_ENOMEM, fault ? fault : "out of memory");
		return;
	}
	struct sd_sql_job *j = sd_sql_write(st->sql);
	add_insert(st, j, name, key, k->mac);
	sd_sql_add(j, "SELECT mac FROM api_keys WHERE name = $1", 1, SD_SQL_ARGS(sd_sql_text(name)));
	sh_ask_run(&k->ask, j);
}

/* ---- the others ---- */

static void list_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct key_ask *k = sd_container(a, struct key_ask, ask);
	size_t n = j ? sd_sql_rows(j, 0) : 0;
	struct sh_key *keys = calloc(n + 1, sizeof(*keys));
	if (!keys)
		sd_fail(&a->e, SD_ENOMEM, "out of memory");
	for (size_t i = 0; keys && i < n; i++)
		keys[i] = (struct sh_key){sd_sql_cell_text(j, 0, i, 0), sd_sql_cell_text(j, 0, i, 1), sd_sql_cell_int(j, 0, i, 2)};
	k->listed(a->arg, &a->e, keys, keys ? n : 0);
	free(keys);
	key_free(k);
}

void sh_store_key_list(struct sh_store *st, sh_store_keys_fn *fn, void *arg)
{
	struct key_ask *k = key_ask(st, list_end, arg);
	if (!k) {
		fn(arg, &nomem, NULL, 0);
		return;
	}
	k->listed = fn;
	if (sh_ask_refused(&k->ask))
		return;
	struct sd_sql_job *j = sd_sql_read(st->sql);
	sd_sql_add(j, "SELECT name, hint, created_ms FROM api_keys ORDER BY name", 0, NULL);
	sh_ask_run(&k->ask, j);
}

void sh_store_key_delete(struct sh_store *st, const char *name, sh_store_done_fn *fn, void *arg)
{
	struct key_ask *k = done_ask(st, done_end, fn, arg);
	if (!k)
		return;
	struct sd_sql_job *j = sd_sql_write(st->sql);
	sd_sql_add(j, "DELETE FROM api_keys WHERE name = $1", 1, SD_SQL_ARGS(sd_sql_text(name)));
	sd_sql_expect(j, SD_ENOTFOUND, "no key has this name");
	sh_ask_run(&k->ask, j);
}

static void check_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	if (j && sd_sql_rows(j, 0) == 0)
		sd_fail(&a->e, SD_EPERM, "not a key of this service");
	done_end(a, j);
}

void sh_store_key_check(struct sh_store *st, struct sd_slice key, sh_store_done_fn *fn, void *arg)
{
	struct key_ask *k = done_ask(st, check_end, fn, arg);
	if (!k)
		return;
	if (!mac_of(st, key, k->mac)) {
		sh_ask_fail(&k->ask, SD_ENOMEM, "out of memory");
		return;
	}
	struct sd_sql_job *j = sd_sql_read(st->sql);
	sd_sql_add(j, "SELECT 1 FROM api_keys WHERE mac = $1", 1, SD_SQL_ARGS(sd_sql_text(k->mac)));
	sh_ask_run(&k->ask, j);
}
