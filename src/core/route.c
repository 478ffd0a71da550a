#include "route.h"

#include <stdbool.h>
#include <stdlib.h>

struct entry {
	uint32_t host, host_n, path, path_n; /* offsets into the set's text */
	uint32_t places, index;
};

struct sd_route_set {
	size_t n, longest; /* path of all rules */
	char *text;
	struct entry entries[];
};

/* ---- checks ---- */

static bool is_label(const char *p, size_t n)
{
	static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	for (size_t i = 0; i < n; i++)
		if (!memchr(ok, p[i], sizeof(ok) - 1))
			return false;
	return n > 0 && n <= 63;
}

/* A name, or an address: [::1] stands for itself. */
static bool is_host(struct sd_slice h)
{
	if (h.n > SD_ROUTE_HOST_MAX)
		return false;
	if (h.p[0] == '[')
		return h.n > 3 && h.p[h.n - 1] == ']' && !memchr(h.p + 1, '[', h.n - 1);
	if (sd_slice_starts(h, "*."))
		h = (struct sd_slice){h.p + 2, h.n - 2};
	do {
		const char *dot = h.n ? memchr(h.p, '.', h.n) : NULL;
		size_t n = dot ? (size_t)(dot - h.p) : h.n;
		if (!is_label(h.p, n) || (dot && n + 1 == h.n))
			return false;
		h = (struct sd_slice){h.p + n + (dot != NULL), h.n - n - (dot != NULL)};
	} while (h.n);
	return true;
}

static bool is_path(struct sd_slice p)
{
	for (size_t i = 0; i < p.n; i++)
		if (p.p[i] <= ' ' || p.p[i] >= 127 || p.p[i] == '?' || p.p[i] == '#' || p.p[i] == '*')
			return false;
	return p.n > 0 && p.n <= SD_ROUTE_PATH_MAX && p.p[0] == '/';
}

enum sd_err sd_route_check(const struct sd_route_rule *rule, struct sd_error *e)
{
	if (rule->host.n && !is_host(rule->host))
		return sd_fail(e, SD_EINVAL, "host: expected a name such as api.test or *.test, without a port, found \"%.*s\"",
			       (int)(rule->host.n < 100 ? rule->host.n : 100), rule->host.p);
	if (!is_path(rule->path))
		return sd_fail(e, SD_EINVAL, "path: expected the beginning of a path such as /v1, found \"%.*s\"",
			       (int)(rule->path.n < 100 ? rule->path.n : 100), rule->path.p);
	return SD_OK;
}

/* ---- making ---- */

static int compare_bytes(const char *a, size_t an, const char *b, size_t bn)
{
	int c = memcmp(a, b, an < bn ? an : bn);
	return c ? c : (an > bn) - (an < bn);
}

static int compare(const char *text, const struct entry *a, struct sd_slice host, struct sd_slice path)
{
	int c = compare_bytes(text + a->host, a->host_n, host.p, host.n);
	return c ? c : compare_bytes(text + a->path, a->path_n, path.p, path.n);
}

/* Equal ones stay in the order they came. */
static void insert(struct sd_route_set *set, struct entry made)
{
	struct sd_slice host = {set->text + made.host, made.host_n}, path = {set->text + made.path, made.path_n};
	size_t at = set->n++;
	while (at > 0 && compare(set->text, &set->entries[at - 1], host, path) > 0) {
		set->entries[at] = set->entries[at - 1];
		at--;
	}
	set->entries[at] = made;
}

static void lower(char *to, struct sd_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		to[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
}

struct sd_route_set *sd_route_set_new(const struct sd_route_rule *rules, size_t n)
{
	size_t bytes = 1, used = 0;
	struct sd_route_set *set = n <= SD_ROUTE_MAX ? calloc(1, sizeof(*set) + n * sizeof(set->entries[0])) : NULL;
	for (size_t i = 0; i < n; i++)
		bytes += rules[i].host.n + rules[i].path.n;
	if (!set || !(set->text = malloc(bytes))) {
		free(set);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		struct sd_slice host = rules[i].host, path = rules[i].path;
		if (sd_slice_starts(host, "*.")) /* kept as ".test" */
			host = (struct sd_slice){host.p + 1, host.n - 1};
		struct entry made = {(uint32_t)used, (uint32_t)host.n, (uint32_t)(used + host.n), (uint32_t)path.n,
				     rules[i].places, (uint32_t)i};
		lower(set->text + made.host, host);
		memcpy(set->text + made.path, path.p, path.n);
		used += host.n + path.n;
		set->longest = path.n > set->longest ? path.n : set->longest;
		insert(set, made);
	}
	return set;
}

void sd_route_set_free(struct sd_route_set *set)
{
	if (!set)
		return;
	free(set->text);
	free(set);
}

/* ---- finding ---- */

/* The first rule with exactly this host and path that holds at the place. */
static size_t find_exact(const struct sd_route_set *set, uint32_t bit, struct sd_slice host, struct sd_slice path)
{
	size_t low = 0, high = set->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (compare(set->text, &set->entries[mid], host, path) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < set->n && compare(set->text, &set->entries[low], host, path) == 0; low++)
		if (set->entries[low].places & bit)
			return set->entries[low].index;
	return SD_ROUTE_NONE;
}

/* Is anything said of this host? */
static bool knows(const struct sd_route_set *set, struct sd_slice host)
{
	size_t low = 0, high = set->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct entry *e = &set->entries[mid];
		int c = compare_bytes(set->text + e->host, e->host_n, host.p, host.n);
		if (c == 0)
			return true;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

/* From the whole path to "/": at each slash first with it, then without. */
static size_t find_path(const struct sd_route_set *set, uint32_t bit, struct sd_slice host, struct sd_slice path)
{
	if (!knows(set, host))
		return SD_ROUTE_NONE;
	bool whole = true; /* what is left ends where a segment ends */
	if (path.n > set->longest) {
		whole = path.p[set->longest] == '/';
		path.n = set->longest;
	}
	for (; path.n; path.n--) {
		char last = path.p[path.n - 1];
		size_t i = whole || last == '/' ? find_exact(set, bit, host, path) : SD_ROUTE_NONE;
		if (i != SD_ROUTE_NONE)
			return i;
		whole = last == '/';
	}
	return SD_ROUTE_NONE;
}

/* Without port and final dot, in lower case. */
static struct sd_slice plain_host(struct sd_slice host, char out[SD_ROUTE_HOST_MAX])
{
	const char *end = NULL;
	if (host.n && host.p[0] == '[')
		end = memchr(host.p, ']', host.n);
	const char *from = end ? end : host.p;
	const char *colon = host.n ? memchr(from, ':', host.n - (size_t)(from - host.p)) : NULL;
	if (colon)
		host.n = (size_t)(colon - host.p);
	if (host.n && host.p[host.n - 1] == '.')
		host.n--;
	if (host.n > SD_ROUTE_HOST_MAX || (host.n && host.p[0] == '.'))
		host.n = 0; /* no name of ours */
	if (host.n)
		lower(out, host);
	return (struct sd_slice){out, host.n};
}

size_t sd_route_find(const struct sd_route_set *set, unsigned place, struct sd_slice host, struct sd_slice path)
{
	char text[SD_ROUTE_HOST_MAX];
	uint32_t bit = place < 32 ? 1u << place : 0;
	static const struct sd_slice root = {"/", 1};
	if (!path.n || path.p[0] != '/')
		path = root; /* "*" is asked of the server as a whole */
	struct sd_slice h = plain_host(host, text);
	size_t found = h.n ? find_path(set, bit, h, path) : SD_ROUTE_NONE;
	while (found == SD_ROUTE_NONE && h.n) {
		const char *dot = memchr(h.p + 1, '.', h.n - 1);
		size_t n = dot ? h.n - (size_t)(dot - h.p) : 0;
		h = (struct sd_slice){dot, n};
		if (n)
			found = find_path(set, bit, h, path);
	}
	return found != SD_ROUTE_NONE ? found : find_path(set, bit, (struct sd_slice){"", 0}, path);
}
