/* kv_value.c - keys and values as commands see them: first in what this turn wrote, then in the store. */
#include <stdlib.h>
#include <string.h>

#include "core/count.h"
#include "kv_server.h"

const char kv_no_memory[] = "OOM out of memory";

#define ESCAPE     "\0\xff"
#define ESCAPE_LEN 2

/* ---- keys ---- */

struct sd_slice kv_stored(struct sd_slice key, char *room)
{
	if (!key.n || key.p[0] || key.n > SD_KV_KEY_MAX - ESCAPE_LEN)
		return key;
	memcpy(room, ESCAPE, ESCAPE_LEN);
	memcpy(room + ESCAPE_LEN, key.p, key.n);
	return (struct sd_slice){room, key.n + ESCAPE_LEN};
}

bool kv_shown(struct sd_slice stored, struct sd_slice *key)
{
	bool escaped = stored.n && !stored.p[0];
	*key = stored;
	if (!escaped)
		return true;
	if (stored.n < ESCAPE_LEN || memcmp(stored.p, ESCAPE, ESCAPE_LEN) != 0)
		return false;
	*key = (struct sd_slice){stored.p + ESCAPE_LEN, stored.n - ESCAPE_LEN};
	return true;
}

/* ---- looking ---- */

static enum kv_there failed(struct kv_call *c, const struct sd_error *e)
{
	sd_resp_errorf(c->out, "ERR %s", e->text);
	return KV_FAILED;
}

/* Of the batch; its bytes may move with the next write, so they are copied. */
static enum kv_there take(struct kv_call *c, struct sd_slice value, int64_t until_ms)
{
	struct sd_kv_value *got = &c->s->got;
	if (until_ms && until_ms <= c->now_ms)
		return KV_ABSENT;
	if (got->room < value.n || !got->p) {
		char *p = realloc(got->p, value.n + 64);
		if (!p) {
			sd_resp_error(c->out, kv_no_memory);
			return KV_FAILED;
		}
		got->p = p;
		got->room = value.n + 64;
	}
	if (value.n)
		memcpy(got->p, value.p, value.n);
	got->n = value.n;
	got->until_ms = until_ms;
	return KV_PRESENT;
}

enum kv_there kv_look(struct kv_call *c, struct sd_slice key)
{
	struct kv_server *s = c->s;
	struct sd_slice stored = kv_stored(key, s->key), value;
	int64_t until_ms;
	struct sd_error e;
	if (sd_kv_batch_count(s->batch)) {
		enum sd_err err = sd_kv_batch_find(s->batch, stored, &value, &until_ms);
		c->depends |= err != SD_EAGAIN;
		if (err == SD_OK)
			return take(c, value, until_ms);
		if (err == SD_ENOTFOUND)
			return KV_ABSENT;
	}
	enum sd_err err = sd_kv_get(s->db, NULL, stored, &s->got, &e);
	if (err == SD_ENOTFOUND || (!err && s->got.until_ms && s->got.until_ms <= c->now_ms))
		return KV_ABSENT;
	return err ? failed(c, &e) : KV_PRESENT;
}

enum kv_there kv_exists(struct kv_call *c, struct sd_slice key)
{
	struct kv_server *s = c->s;
	struct sd_slice stored = kv_stored(key, s->other_key), value;
	int64_t until_ms;
	struct sd_error e;
	enum sd_err err = sd_kv_batch_count(s->batch) ? sd_kv_batch_find(s->batch, stored, &value, &until_ms) : SD_EAGAIN;
	c->depends |= err != SD_EAGAIN;
	if (err == SD_OK)
		return until_ms && until_ms <= c->now_ms ? KV_ABSENT : KV_PRESENT;
	if (err == SD_EAGAIN)
		err = sd_kv_get(s->db, NULL, stored, NULL, &e);
	return err == SD_ENOTFOUND ? KV_ABSENT : err ? failed(c, &e) : KV_PRESENT;
}

enum kv_there kv_read(struct kv_call *c, struct sd_slice key)
{
	enum kv_there there = kv_look(c, key);
	if (there != KV_FAILED)
		sd_count(&c->s->counts[there == KV_PRESENT ? KV_HITS : KV_MISSES], 1);
	return there;
}

/* ---- writing ---- */

bool kv_put(struct kv_call *c, struct sd_slice key, struct sd_slice value, int64_t until_ms)
{
	struct kv_server *s = c->s;
	if (until_ms && sd_kv_format(s->db) == SD_KV_LEVELDB) {
		sd_resp_error(c->out, "ERR a key that ends needs a store of the format sdlab; this one has LevelDB's");
		return false;
	}
	if (!sd_redis_fits(c->out, 0, value.n, SD_KV_VALUE_MAX))
		return false;
	c->depends = true;
	sd_kv_batch_put_until(s->batch, kv_stored(key, s->key), value, until_ms);
	return true;
}

void kv_remove(struct kv_call *c, struct sd_slice key)
{
	c->depends = true;
	sd_kv_batch_delete(c->s->batch, kv_stored(key, c->s->key));
}

/* ---- arguments ---- */

/* There is one database. */
bool kv_arg_db0(struct kv_call *c, size_t i)
{
	struct sd_redis_args a = kv_args(c);
	int64_t n;
	if (!sd_redis_arg_int32(&a, i, &n))
		return false;
	if (n)
		sd_resp_error(c->out, "ERR DB index is out of range");
	return !n;
}
