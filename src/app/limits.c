/* limits.c - from a configuration to limits that never change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rate_text.h"
#include "core/siphash.h"
#include "core/units.h"
#include "limits.h"

/* ---- parts of a key ---- */

static const char *const part_names[] = {"address", "api-key", "path", "method", "host", "all"};

static enum sd_err parse_part(const char *text, struct sd_limit_part *out, struct sd_error *e)
{
	for (size_t i = 0; i < sizeof(part_names) / sizeof(part_names[0]); i++)
		if (strcmp(text, part_names[i]) == 0) {
			out->kind = (enum sd_limit_part_kind)i;
			return SD_OK;
		}
	if (strncmp(text, "header:", 7) != 0 || !text[7])
		return sd_fail(e, SD_EINVAL, "expected address, api-key, header:NAME, path, method, host or all, found \"%.60s\"", text);
	out->kind = SD_LIMIT_BY_HEADER;
	out->name = strdup(text + 7);
	return out->name ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

static enum sd_err parse_parts(const struct sd_conf *from, struct sd_limit *rule, struct sd_error *e)
{
	size_t n = sd_conf_count(from, "key");
	if (n == 0 || n > SD_LIMIT_PARTS)
		return sd_fail(e, SD_EINVAL, "%s: expected 1 to %d parts", sd_conf_at(from, "key"), SD_LIMIT_PARTS);
	for (size_t i = 0; i < n; i++)
		if (parse_part(sd_conf_list_item(from, "key", i), &rule->parts[rule->nparts++], e))
			return sd_wrap(e, "%s", sd_conf_at(from, "key"));
	return SD_OK;
}

/* ---- limits ---- */

/* Where a value of a rule's row stands: in the row, or for all. */
static const struct sd_conf *from(const struct sd_conf *row, const struct sd_conf *all, const char *name)
{
	return row != all && sd_conf_has(row, name) ? row : all;
}

static enum sd_err parse_limit(const struct sd_conf *row, const struct sd_conf *all, struct sd_limit *rule, struct sd_error *e)
{
	const struct sd_conf *rate = from(row, all, "rate");
	struct sd_ratelimit_limit *l = &rule->limit;
	const char *text = sd_conf_string(rate, "rate");
	enum sd_err err = sd_parse_quota(text, &l->count, &l->period_ns);
	if (err)
		return sd_fail(e, SD_EINVAL, "%s: expected a count such as 10, 100/min or 1000/10m, found \"%.60s\"",
			       sd_conf_at(rate, "rate"), text);
	l->kind = (enum sd_ratelimit_kind)sd_conf_int(from(row, all, "algorithm"), "algorithm");
	/* a burst belongs to a rate */
	const struct sd_conf *burst = rate == row ? row : from(row, all, "burst");
	l->burst = sd_conf_has(burst, "burst") ? (uint32_t)sd_conf_int(burst, "burst") : l->count;
	l->aligned = sd_conf_bool(from(row, all, "aligned"), "aligned");
	l->buckets = (uint32_t)sd_conf_int(from(row, all, "resolution"), "resolution");
	rule->cost = (uint32_t)sd_conf_int(from(row, all, "cost"), "cost");
	rule->shadow = sd_conf_bool(from(row, all, "shadow"), "shadow");
	if (sd_ratelimit_check(l, e))
		return sd_wrap(e, "%s", sd_conf_at(rate, "rate"));
	if (rule->cost > sd_ratelimit_most(l))
		return sd_fail(e, SD_EINVAL, "%s: cost: expected at most %u, which is all there can be", sd_conf_origin(rate, "rate"),
			       sd_ratelimit_most(l));
	return SD_OK;
}

/* ---- rules ---- */

uint64_t sd_limits_scope(struct sd_slice name)
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
	return n > 0 && n < SD_LIMIT_NAME;
}

static bool copy(const struct sd_conf *row, const char *name, char **out)
{
	const char *text = sd_conf_string(row, name);
	*out = text ? strdup(text) : NULL;
	return !text || *out;
}

enum sd_err sd_limit_read_entries(struct sd_limit *rule, const struct sd_conf *row, struct sd_error *e)
{
	size_t n = sd_conf_count(row, "descriptor");
	if (n > SD_LIMIT_PARTS)
		return sd_fail(e, SD_EINVAL, "%s: expected at most %d entries", sd_conf_at(row, "descriptor"), SD_LIMIT_PARTS);
	for (size_t i = 0; i < n; i++) {
		struct sd_limit_entry *entry = &rule->entries[rule->nentries++];
		entry->key = strdup(sd_conf_list_item(row, "descriptor", i));
		if (!entry->key)
			return sd_fail(e, SD_ENOMEM, "out of memory");
		char *equals = strchr(entry->key, '=');
		if (equals) {
			*equals = '\0';
			entry->value = equals + 1;
		}
	}
	return copy(row, "domain", &rule->domain) ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

static struct sd_limit *add_name(struct sd_limits *l, const char *name, const char *origin, struct sd_error *e)
{
	struct sd_limit *rule = &l->rules[l->n];
	if (!is_name(name))
		sd_fail(e, SD_EINVAL, "%s: name: expected 1 to %d printable characters without quotes", origin, SD_LIMIT_NAME - 1);
	else if (sd_limits_find(l, sd_slice_of(name)))
		sd_fail(e, SD_EINVAL, "%s: name: there is a rule %s already", origin, name);
	else if (l->n == l->room)
		sd_fail(e, SD_ERANGE, "%s: name: there is no room for more rules", origin);
	else {
		l->n++;
		snprintf(rule->name, sizeof(rule->name), "%s", name);
		rule->scope = sd_limits_scope(sd_slice_of(name));
		return rule;
	}
	return NULL;
}

static bool needs_path(const struct sd_limit *rule)
{
	bool needs = rule->path != NULL;
	for (size_t i = 0; i < rule->nparts; i++)
		needs |= rule->parts[i].kind == SD_LIMIT_BY_PATH;
	return needs;
}

enum sd_err sd_limits_add_named(struct sd_limits *l, const char *name, const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_limit *rule = add_name(l, name, sd_conf_origin(conf, "rate"), e);
	if (!rule || parse_limit(conf, conf, rule, e) || parse_parts(conf, rule, e))
		return SD_EINVAL;
	l->by_path |= needs_path(rule);
	return SD_OK;
}

static enum sd_err parse_rest(const struct sd_conf *row, struct sd_limit *rule, struct sd_error *e)
{
	if (!copy(row, "path", &rule->path) || !copy(row, "host", &rule->host) || !copy(row, "method", &rule->method))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	if (rule->path && rule->path[0] != '/')
		return sd_fail(e, SD_EINVAL, "%s: expected it to begin with /, found \"%.60s\"", sd_conf_at(row, "path"),
			       rule->path);
	return SD_OK;
}

enum sd_err sd_limits_add(struct sd_limits *l, const struct sd_conf *row, const struct sd_conf *all, struct sd_error *e)
{
	struct sd_limit *rule = add_name(l, sd_conf_string(row, "name"), sd_conf_origin(row, "name"), e);
	if (!rule || parse_limit(row, all, rule, e) || parse_parts(from(row, all, "key"), rule, e))
		return SD_EINVAL;
	enum sd_err err = parse_rest(row, rule, e);
	l->by_path |= needs_path(rule);
	return err;
}

enum sd_err sd_limits_add_quota(struct sd_limits *l, const char *name, const char *quota, const char *key, struct sd_error *e)
{
	struct sd_limit *rule = add_name(l, name, "limit", e);
	if (!rule)
		return SD_EINVAL;
	if (sd_parse_quota(quota, &rule->limit.count, &rule->limit.period_ns))
		return sd_fail(e, SD_EINVAL, "expected a count such as 10, 100/min or 1000/10m, found \"%.60s\"", quota);
	rule->limit.burst = rule->limit.count;
	rule->cost = 1;
	return parse_part(key, &rule->parts[rule->nparts++], e) || sd_ratelimit_check(&rule->limit, e) ? SD_EINVAL : SD_OK;
}

/* ---- what goes with them ---- */

enum sd_err sd_limits_read_headers(struct sd_limits *p, const struct sd_conf *conf, const char *option, struct sd_error *e)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = {{"none", 0}, {"x", SD_LIMITS_X}, {"draft6", SD_LIMITS_DRAFT6}, {"draft7", SD_LIMITS_DRAFT7}, {"draft8", SD_LIMITS_DRAFT8}};
	p->headers = conf ? 0 : SD_LIMITS_X | SD_LIMITS_DRAFT8;
	for (size_t i = 0; conf && i < sd_conf_count(conf, option); i++) {
		const char *text = sd_conf_list_item(conf, option, i);
		size_t k = 0;
		while (k < sizeof(names) / sizeof(names[0]) && strcmp(text, names[k].name) != 0)
			k++;
		if (k == sizeof(names) / sizeof(names[0]))
			return sd_fail(e, SD_EINVAL, "%s: expected x, draft6, draft7, draft8 or none, found \"%.60s\"",
				       sd_conf_at(conf, option), text);
		p->headers |= names[k].bit;
	}
	/* two drafts would give one field two meanings */
	unsigned drafts = p->headers & (SD_LIMITS_DRAFT6 | SD_LIMITS_DRAFT7 | SD_LIMITS_DRAFT8);
	if (drafts & (drafts - 1))
		return sd_fail(e, SD_EINVAL, "%s: expected one draft, since they give the same fields other meanings",
			       sd_conf_at(conf, option));
	return SD_OK;
}

enum sd_err sd_limits_read_trusted(struct sd_limits *p, const struct sd_conf *conf, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "trusted-proxies");
	p->trusted = n ? calloc(n, sizeof(*p->trusted)) : NULL;
	if (n && !p->trusted)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	for (; p->ntrusted < n; p->ntrusted++)
		if (sd_cidr_parse(sd_conf_list_item(conf, "trusted-proxies", p->ntrusted), &p->trusted[p->ntrusted], e))
			return sd_wrap(e, "%s", sd_conf_at(conf, "trusted-proxies"));
	return SD_OK;
}

struct sd_limits *sd_limits_new(size_t room)
{
	struct sd_limits *l = calloc(1, sizeof(*l) + room * sizeof(l->rules[0]));
	if (l) {
		l->refs = 1;
		l->room = room;
	}
	return l;
}

struct sd_limits *sd_limits_hold(struct sd_limits *p)
{
	if (p)
		__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
	return p;
}

static void free_rule(struct sd_limit *rule)
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

void sd_limits_release(struct sd_limits *p)
{
	if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < p->n; i++)
		free_rule(&p->rules[i]);
	free(p->trusted);
	free(p);
}

const struct sd_limit *sd_limits_find(const struct sd_limits *p, struct sd_slice name)
{
	for (size_t i = 0; i < p->n; i++)
		if (sd_slice_eq(name, p->rules[i].name))
			return &p->rules[i];
	return NULL;
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

void sd_limit_describe(const struct sd_limit *rule, char *out, size_t n)
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
	bool named = strcmp(rule->name, SD_LIMIT_DEFAULT) != 0;
	snprintf(most, sizeof(most), kinds[l->kind].most, l->burst);
	snprintf(out, n, "%s%s%s: %u %s/%s%s%s", named ? rule->name : "", named ? ": " : "", kinds[l->kind].name, l->count,
		 kinds[l->kind].unit, period_text(l->period_ns, period), most, rule->shadow ? " (shadow)" : "");
}

size_t sd_limits_keys(int64_t bytes)
{
	return (size_t)bytes / 448 * 10; /* 44.8 bytes a key */
}
