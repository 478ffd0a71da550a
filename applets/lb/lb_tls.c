/* lb_tls.c - TLS to backends: what their rows say, and what workers and checks connect with.
 *
 * A reload reads the files anew. All that can fail is made first (tls_next), so that a refused one changes nothing. Where
 * the files hold what they did, what there is stays, and with it idle connections and sessions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lb.h"

static struct lb_tls *hold(struct lb_tls *t)
{
	if (t)
		__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
	return t;
}

void lb_tls_release(struct lb_tls *t)
{
	if (!t || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	sd_tls_client_release(t->client);
	free(t);
}

enum sd_err lb_tls_check_row(const struct sd_conf *row, struct sd_error *e)
{
	static const char *const needs[] = {"tls-ca", "tls-name", "tls-verify"};
	const char *name = sd_conf_string(row, "tls-name");
	bool tls = sd_conf_bool(row, "tls");
	for (size_t i = 0; i < 3 && !tls; i++)
		if (sd_conf_is_set(row, needs[i]))
			return sd_fail(e, SD_EINVAL, "%s: expected tls: true beside it", sd_conf_at(row, needs[i]));
	if (name && (!*name || strlen(name) >= SD_TLS_NAME))
		return sd_fail(e, SD_EINVAL, "%s: expected a host name", sd_conf_at(row, "tls-name"));
	return SD_OK;
}

enum sd_err lb_tls_find(struct sd_world *w, const struct sd_conf *row, struct sd_error *e)
{
	struct sd_tls_client_conf conf = {.ca = sd_conf_string(row, "tls-ca")};
	if (!conf.ca)
		return SD_OK;
	struct sd_tls_client *client = sd_tls_client_new(w, &conf, e);
	if (!client)
		return sd_wrap(e, "%s: tls", sd_conf_origin(row, "tls-ca"));
	sd_tls_client_release(client);
	return SD_OK;
}

static void put_name(const struct lb_backend *b, const struct sd_conf *row, char out[SD_TLS_NAME])
{
	char host[SD_ADDR_TEXT];
	const char *name = sd_conf_string(row, "tls-name");
	sd_addr_format_host(&b->addr, host);
	bool named = b->addr.kind == SD_ADDR_INET || b->addr.kind == SD_ADDR_NAME;
	snprintf(out, SD_TLS_NAME, "%s", name ? name : named ? host : "localhost");
}

enum sd_err lb_tls_prepare(struct lb_backend *b, const struct sd_conf *row, struct sd_error *e)
{
	static const char *const alpn[] = {"http/1.1", NULL};
	struct lb *lb = b->lb;
	struct sd_tls_client_conf conf = {
	    .ca = sd_conf_string(row, "tls-ca"),
	    .insecure = !sd_conf_bool(row, "tls-verify"),
	    .alpn = lb->mode == LB_HTTP ? alpn : NULL,
	    .watch = &lb->tls_watch.tls,
	};
	lb_tls_cancel(b);
	if (!sd_conf_bool(row, "tls"))
		return SD_OK;
	struct lb_tls *t = calloc(1, sizeof(*t));
	if (!t)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	t->refs = 1;
	put_name(b, row, t->name);
	t->client = sd_tls_client_new(lb->run->spec.world, &conf, e);
	if (!t->client) {
		lb_tls_release(t);
		return sd_wrap(e, "%s", sd_conf_at(row, "tls"));
	}
	b->tls_next = t;
	if (b->tls && strcmp(b->tls->name, t->name) == 0 && sd_tls_client_same(b->tls->client, t->client)) {
		lb_tls_release(t);
		b->tls_next = hold(b->tls);
	}
	return SD_OK;
}

void lb_tls_cancel(struct lb_backend *b)
{
	lb_tls_release(b->tls_next);
	b->tls_next = NULL;
}

void lb_tls_commit(struct lb_backend *b)
{
	lb_tls_release(b->tls);
	b->tls = b->tls_next;
	b->tls_next = NULL;
}

struct lb_tls *lb_tls_of(const struct lb_backend *b)
{
	return hold(b->tls);
}

/* ---- who connects ---- */

bool lb_tls_follow(struct lb_tls_use *use, struct lb_tls *now)
{
	if (use->tls == now && (!now || use->target))
		return false;
	sd_tls_target_free(use->target);
	lb_tls_release(use->tls);
	use->tls = hold(now);
	use->target = now ? sd_tls_target_new(now->client, now->name) : NULL;
	return true;
}

void lb_tls_end(struct lb_tls_use *use)
{
	lb_tls_follow(use, NULL);
}

bool lb_tls_lacks(const struct lb_tls_use *use)
{
	return use->tls && !use->target;
}
