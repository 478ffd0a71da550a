/* ratelimit_policy.c - from a configuration to rules that never change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rate_text.h"
#include "core/siphash.h"
#include "core/units.h"
#include "ratelimit_store.h"

#define DEFAULT_RULE "default"

/* ---- parts of a key ---- */

static const char *const part_names[] = {"address", "api-key", "path", "method", "host", "all"};

static enum sd_err parse_part(const char *text, struct rl_part *out, struct sd_error *e)
{
	for (size_t i = 0; i < sizeof(part_names) / sizeof(part_names[0]); i++)
		if (strcmp(text, part_names[i]) == 0) {
			out->kind = (enum rl_part_kind)i;
			return SD_OK;
		}
	if (strncmp(text, "header:", 7) != 0 || !text[7])
		return sd_fail(e, SD_EINVAL, "expected address, api-key, header:NAME, path, method, host or all, found \"%.60s\"", text);
	out->kind = RL_HEADER;
	out->name = strdup(text + 7);
	return out->name ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

static enum sd_err parse_parts(const struct sd_conf *from, struct rl_rule *rule, struct sd_error *e)
{
	size_t n = sd_conf_count(from, "key");
	if (n == 0 || n > RL_PARTS)
		return sd_fail(e, SD_EINVAL, "%s: key: expected 1 to %d parts", sd_conf_origin(from, "key"), RL_PARTS);
	for (size_t i = 0; i < n; i++)
		if (parse_part(sd_conf_list_item(from, "key", i), &rule->parts[rule->nparts++], e))
			return sd_wrap(e, "%s: key", sd_conf_origin(from, "key"));
	return SD_OK;
}

/* ---- limits ---- */

/* Where a value of a rule's row stands: in the row, or for all. */
static const struct sd_conf *from(const struct sd_conf *row, const struct sd_conf *all, const char *name)
{
	return row != all && sd_conf_has(row, name) ? row : all;
}

static enum sd_err parse_limit(const struct sd_conf *row, const struct sd_conf *all, struct rl_rule *rule, struct sd_error *e)
{
	const struct sd_conf *rate = from(row, all, "rate");
	struct sd_ratelimit_limit *l = &rule->limit;
	const char *text = sd_conf_string(rate, "rate");
	enum sd_err err = sd_parse_quota(text, &l->count, &l->period_ns);
	if (err)
		return sd_fail(e, SD_EINVAL, "%s: rate: expected a count such as 10, 100/min or 1000/10m, found \"%.60s\"",
			       sd_conf_origin(rate, "rate"), text);
	l->kind = (enum sd_ratelimit_kind)sd_conf_int(from(row, all, "algorithm"), "algorithm");
	/* a burst belongs to a rate */
	const struct sd_conf *burst = rate == row ? row : from(row, all, "burst");
	l->burst = sd_conf_has(burst, "burst") ? (uint32_t)sd_conf_int(burst, "burst") : l->count;
	l->aligned = sd_conf_bool(from(row, all, "aligned"), "aligned");
	l->buckets = (uint32_t)sd_conf_int(from(row, all, "resolution"), "resolution");
	rule->cost = (uint32_t)sd_conf_int(from(row, all, "cost"), "cost");
	rule->shadow = sd_conf_bool(from(row, all, "shadow"), "shadow");
	if (sd_ratelimit_check(l, e))
		return sd_wrap(e, "%s: rate", sd_conf_origin(rate, "rate"));
	if (rule->cost > sd_ratelimit_most(l))
		return sd_fail(e, SD_EINVAL, "%s: cost: expected at most %u, which is all there can be", sd_conf_origin(rate, "rate"),
			       sd_ratelimit_most(l));
	return SD_OK;
}

/* ---- rules ---- */

uint64_t rl_scope_of(struct sd_slice name)
{
	static const struct sd_siphash_key none;
	return sd_siphash(&none, name.p, name.n);
}

/* What fields may quote (RFC 9651 section 3.3.3), without what would have to be escaped. */
static bool is_name(const char *s)
{
	size_t n = strlen(s);
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || (unsigned char)*s > '~' || *s == '"' || *s == '\\')
			return false;
	return n > 0 && n < RL_NAME;
}

static bool copy(const struct sd_conf *row, const char *name, char **out)
{
	const char *text = sd_conf_string(row, name);
	*out = text ? strdup(text) : NULL;
	return !text || *out;
}

static enum sd_err parse_entries(const struct sd_conf *row, struct rl_rule *rule, struct sd_error *e)
{
	size_t n = sd_conf_count(row, "descriptor");
	if (n > RL_PARTS)
		return sd_fail(e, SD_EINVAL, "%s: descriptor: expected at most %d entries", sd_conf_origin(row, "descriptor"), RL_PARTS);
	for (size_t i = 0; i < n; i++) {
		struct rl_entry *entry = &rule->entries[rule->nentries++];
		entry->key = strdup(sd_conf_list_item(row, "descriptor", i));
		if (!entry->key)
			return sd_fail(e, SD_ENOMEM, "out of memory");
		char *equals = strchr(entry->key, '=');
		if (equals) {
			*equals = '\0';
			entry->value = equals + 1;
		}
	}
	return SD_OK;
}

static enum sd_err parse_rule(const struct sd_conf *row, const struct sd_conf *all, struct rl_policy *p, struct sd_error *e)
{
	struct rl_rule *rule = &p->rules[p->n];
	const char *name = row == all ? DEFAULT_RULE : sd_conf_string(row, "name");
	if (!is_name(name))
		return sd_fail(e, SD_EINVAL, "%s: name: expected 1 to %d printable characters without quotes", sd_conf_origin(row, "name"),
			       RL_NAME - 1);
	if (rl_policy_find(p, sd_slice_of(name)))
		return sd_fail(e, SD_EINVAL, "%s: name: there is a rule %s already", sd_conf_origin(row, "name"), name);
	p->n++;
	snprintf(rule->name, sizeof(rule->name), "%s", name);
	rule->scope = rl_scope_of(sd_slice_of(name));
	if (parse_limit(row, all, rule, e) || parse_parts(from(row, all, "key"), rule, e))
		return SD_EINVAL;
	if (row == all)
		return SD_OK;
	if (parse_entries(row, rule, e))
		return SD_EINVAL;
	if (!copy(row, "path", &rule->path) || !copy(row, "host", &rule->host) || !copy(row, "method", &rule->method) ||
	    !copy(row, "domain", &rule->domain))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	if (rule->path && rule->path[0] != '/')
		return sd_fail(e, SD_EINVAL, "%s: path: expected it to begin with /, found \"%.60s\"", sd_conf_origin(row, "path"),
			       rule->path);
	return SD_OK;
}

static enum sd_err parse_rules(const struct sd_conf *conf, struct rl_policy *p, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "rules");
	bool own = n == 0 || sd_conf_is_set(conf, "rate");
	if (n + own > RL_RULES)
		return sd_fail(e, SD_EINVAL, "%s: rules: expected at most %d", sd_conf_origin(conf, "rules"), RL_RULES - own);
	enum sd_err err = own ? parse_rule(conf, conf, p, e) : SD_OK;
	for (size_t i = 0; !err && i < n; i++)
		err = parse_rule(sd_conf_row(conf, "rules", i), conf, p, e);
	return err;
}

static enum sd_err parse_store(const struct sd_conf *conf, struct rl_policy *p, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	for (size_t i = 0; !err && i < p->n; i++) {
		struct rl_rule *rule = &p->rules[i];
		if (!sd_conf_has(conf, "store"))
			continue;
		rl_store_share(rule, (uint32_t)sd_conf_int(conf, "servers"));
		err = rl_store_fits(rule, RL_LUA, e);
		if (!err && sd_ratelimit_check(&rule->share, e))
			err = sd_wrap(e, "rule %s: its share of %lld servers", rule->name, (long long)sd_conf_int(conf, "servers"));
	}
	return err;
}

/* ---- the rest ---- */

static enum sd_err parse_headers(const struct sd_conf *conf, struct rl_policy *p, struct sd_error *e)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = {{"none", 0}, {"x", RL_X}, {"draft6", RL_DRAFT6}, {"draft7", RL_DRAFT7}, {"draft8", RL_DRAFT8}};
	for (size_t i = 0; i < sd_conf_count(conf, "headers"); i++) {
		const char *text = sd_conf_list_item(conf, "headers", i);
		size_t k = 0;
		while (k < sizeof(names) / sizeof(names[0]) && strcmp(text, names[k].name) != 0)
			k++;
		if (k == sizeof(names) / sizeof(names[0]))
			return sd_fail(e, SD_EINVAL, "%s: headers: expected x, draft6, draft7, draft8 or none, found \"%.60s\"",
				       sd_conf_origin(conf, "headers"), text);
		p->headers |= names[k].bit;
	}
	/* two drafts would give one field two meanings */
	unsigned drafts = p->headers & (RL_DRAFT6 | RL_DRAFT7 | RL_DRAFT8);
	if (drafts & (drafts - 1))
		return sd_fail(e, SD_EINVAL, "%s: headers: expected one draft, since they give the same fields other meanings",
			       sd_conf_origin(conf, "headers"));
	return SD_OK;
}

static enum sd_err parse_trusted(const struct sd_conf *conf, struct rl_policy *p, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "trusted-proxies");
	p->trusted = n ? calloc(n, sizeof(*p->trusted)) : NULL;
	if (n && !p->trusted)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	for (; p->ntrusted < n; p->ntrusted++)
		if (sd_cidr_parse(sd_conf_list_item(conf, "trusted-proxies", p->ntrusted), &p->trusted[p->ntrusted], e))
			return sd_wrap(e, "%s: trusted-proxies", sd_conf_origin(conf, "trusted-proxies"));
	return SD_OK;
}

struct rl_policy *rl_policy_make(const struct sd_conf *conf, struct sd_error *e)
{
	struct rl_policy *p = calloc(1, sizeof(*p));
	if (!p) {
		sd_fail(e, SD_ENOMEM, "out of memory");
		return NULL;
	}
	p->refs = 1;
	if (!parse_rules(conf, p, e) && !parse_store(conf, p, e) && !parse_headers(conf, p, e) && !parse_trusted(conf, p, e))
		return p;
	rl_policy_release(p);
	return NULL;
}

struct rl_policy *rl_policy_hold(struct rl_policy *p)
{
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

static void free_rule(struct rl_rule *rule)
{
	for (size_t i = 0; i < rule->nparts; i++)
		free(rule->parts[i].name);
	for (size_t i = 0; i < rule->nentries; i++)
		free(rule->entries[i].key);
	free(rule->path);
	free(rule->host);
	free(rule->method);
	free(rule->domain);
}

void rl_policy_release(struct rl_policy *p)
{
	if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < p->n; i++)
		free_rule(&p->rules[i]);
	free(p->trusted);
	free(p);
}

const struct rl_rule *rl_policy_find(const struct rl_policy *p, struct sd_slice name)
{
	for (size_t i = 0; i < p->n; i++)
		if (sd_slice_eq(name, p->rules[i].name))
			return &p->rules[i];
	return NULL;
}

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
		return sd_wrap(e, "%s: upstream", sd_conf_origin(conf, "upstream"));
	if (rl_store_check(conf, e))
		return SD_EUSAGE;
	struct rl_policy *p = rl_policy_make(conf, e);
	rl_policy_release(p);
	return p ? SD_OK : SD_EINVAL;
}

/* ---- for people ---- */

static const char *period_text(int64_t ns, char out[SD_UNIT_TEXT])
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{1, "sec"}, {60, "min"}, {3600, "hour"}, {86400, "day"}};
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (ns == units[i].seconds * 1000000000)
			return units[i].name;
	return sd_format_duration(ns, out);
}

void rl_rule_describe(const struct rl_rule *rule, char *out, size_t n)
{
	static const struct {
		const char *name, *unit, *most;
	} kinds[] = {
	    {"Token bucket", "tokens", ", burst %u"},   {"GCRA", "requests", ", burst %u"},
	    {"Leaky bucket", "requests", ", burst %u"}, {"Leaky queue", "requests", ", %u at most in it"},
	    {"Fixed window", "requests", ""},           {"Sliding counter", "requests", ""},
	    {"Sliding log", "requests", ""},
	};
	const struct sd_ratelimit_limit *l = &rule->limit;
	char period[SD_UNIT_TEXT], most[64] = "";
	bool named = strcmp(rule->name, DEFAULT_RULE) != 0;
	snprintf(most, sizeof(most), kinds[l->kind].most, l->burst);
	snprintf(out, n, "%s%s%s: %u %s/%s%s%s", named ? rule->name : "", named ? ": " : "", kinds[l->kind].name, l->count,
		 kinds[l->kind].unit, period_text(l->period_ns, period), most, rule->shadow ? " (shadow)" : "");
}
