/* ratelimit_policy.c - from a configuration to rules that never change: what only this service adds to app/limits.h. */
#include <stdio.h>
#include <string.h>

#include "ratelimit_ring.h"
#include "ratelimit_store.h"

/* ---- rules ---- */

static enum sd_err parse_rules(const struct sd_conf *conf, struct sd_limits *p, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "rules");
	bool own = n == 0 || sd_conf_is_set(conf, "rate");
	if (n + own > RL_RULES)
		return sd_fail(e, SD_EINVAL, "%s: expected at most %d", sd_conf_at(conf, "rules"), RL_RULES - own);
	enum sd_err err = own ? sd_limits_add_named(p, SD_LIMIT_DEFAULT, conf, e) : SD_OK;
	for (size_t i = 0; !err && i < n; i++) {
		const struct sd_conf *row = sd_conf_row(conf, "rules", i);
		err = sd_limits_add(p, row, conf, e);
		if (!err)
			err = sd_limit_read_entries(&p->rules[p->n - 1], row, e);
	}
	return err;
}

/* Where there is somebody to be asked: can it be, and can a share of it be? */
static enum sd_err check_shared(const struct sd_conf *conf, const struct sd_limits *p, struct sd_error *e)
{
	bool store = sd_conf_has(conf, "store");
	size_t peers = sd_conf_count(conf, "peers");
	uint32_t servers = peers ? (uint32_t)peers : (uint32_t)sd_conf_int(conf, "servers");
	enum sd_err err = SD_OK;
	for (size_t i = 0; !err && i < p->n && (store || peers); i++) {
		const struct sd_limit *rule = &p->rules[i];
		struct sd_ratelimit_limit share = rl_ask_share(&rule->limit, rule->cost, servers);
		err = store ? sd_limit_fits(rule->name, &rule->limit, SD_LIMIT_LUA, e) : SD_OK;
		if (!err && sd_ratelimit_check(&share, e))
			err = sd_wrap(e, "rule %s: its share of %u servers", rule->name, servers);
	}
	return err;
}

struct sd_limits *rl_policy_make(const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_limits *p = sd_limits_new(RL_RULES);
	if (!p) {
		sd_fail(e, SD_ENOMEM, "out of memory");
		return NULL;
	}
	if (!parse_rules(conf, p, e) && !check_shared(conf, p, e) && !sd_limits_read_headers(p, conf, "headers", e) &&
	    !sd_limits_read_trusted(p, conf, e))
		return p;
	sd_limits_release(p);
	return NULL;
}

/* ---- checks ---- */

enum sd_err rl_upstream_parse(const char *text, struct sd_addr *out, struct sd_error *e)
{
	static const char scheme[] = "http://";
	char addr[SD_ADDR_TEXT];
	if (strncmp(text, "https://", 8) == 0)
		return sd_fail(e, SD_EINVAL, "expected http://, found \"%.60s\"", text);
	const char *host = strncmp(text, scheme, strlen(scheme)) == 0 ? text + strlen(scheme) : text;
	size_t n = strlen(host);
	if (strncmp(host, "unix:", 5) != 0 && n > 0 && host[n - 1] == '/')
		n--;
	bool by_name = strncmp(host, "unix:", 5) == 0 || strncmp(host, "inproc:", 7) == 0;
	if (n == 0 || n >= sizeof(addr) - 4 || (!by_name && memchr(host, '/', n)))
		return sd_fail(e, SD_EINVAL, "expected a URL such as http://127.0.0.1:8081, without a path, found \"%.60s\"", text);
	bool has_port = by_name || (host[0] == '[' ? memmem(host, n, "]:", 2) != NULL : memchr(host, ':', n) != NULL);
	snprintf(addr, sizeof(addr), "%.*s%s", (int)n, host, has_port ? "" : ":80");
	return sd_addr_parse(addr, "127.0.0.1", out, e);
}

enum sd_err rl_check(const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_addr addr;
	const char *upstream = sd_conf_string(conf, "upstream");
	if (upstream && rl_upstream_parse(upstream, &addr, e))
		return sd_wrap(e, "%s", sd_conf_at(conf, "upstream"));
	if (rl_store_check(conf, e) || rl_ring_check(conf, e))
		return SD_EUSAGE;
	struct sd_limits *p = rl_policy_make(conf, e);
	sd_limits_release(p);
	return p ? SD_OK : SD_EINVAL;
}
