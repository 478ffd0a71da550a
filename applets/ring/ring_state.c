/* ring_state.c - the file of a ring: sdlab-ring(5). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app/doc.h"
#include "core/text.h"
#include "ring.h"
#include "world/file.h"

#define MAX_FILE (4u << 20)
#define PATH     4096

static const struct sd_option node_rows[] = {
    {"name", SD_OPT_STRING, NULL, "what it is called", .required = true},
    {"vnodes", SD_OPT_INT, "150", "points for each unit of weight", .min = 1, .max = 65536},
    {"weight", SD_OPT_INT, "1", "its part", .min = 0, .max = 65535},
    {"zone", SD_OPT_STRING, NULL, "where it stands"},
    {0},
};

static const struct sd_option rows[] = {
    {"version", SD_OPT_INT, NULL, "of the format", .required = true},
    {"algorithm", SD_OPT_ENUM, "vnodes", "how keys find nodes", .choices = RING_ALGORITHMS},
    {"hash", SD_OPT_ENUM, "md5", "the hash", .choices = RING_HASHES},
    {"seed", SD_OPT_INT, "0", "of xxh3", .min = 0, .max = INT64_MAX},
    {"key", SD_OPT_STRING, NULL, "of siphash"},
    {"replicas", SD_OPT_INT, "3", "nodes of a key", .min = 1, .max = SD_RING_MAX_NODES},
    {"slots", SD_OPT_INT, "0", "of maglev", .min = 0, .max = SD_RING_MAX_POINTS},
    {"count", SD_OPT_INT, NULL, "how many nodes", .min = 0, .max = SD_RING_MAX_NODES},
    {"nodes", SD_OPT_TABLE, NULL, "the nodes", .sub = node_rows},
    {0},
};

const char *ring_algorithm(const struct ring_state *s)
{
	static const char *const names[] = {"vnodes", "jump", "rendezvous", "maglev", "libketama", "twemproxy", "nginx",
					    "textbook"};
	return names[s->conf.kind];
}

const char *ring_hash_name(const struct ring_state *s)
{
	static const char *const names[] = {"xxh3", "siphash", "md5"};
	return s->conf.kind < SD_RING_LIBKETAMA ? names[s->conf.hash] : NULL;
}

/* ---- nodes ---- */

enum sd_err ring_check_name(const char *what, const char *name, struct sd_error *e)
{
	size_t n = strlen(name);
	bool good = n > 0 && n <= RING_MAX_NAME;
	for (size_t i = 0; good && i < n; i++)
		good = name[i] > ' ' && name[i] < 127 && !strchr("\"\\'", name[i]);
	if (good)
		return SD_OK;
	/* Bytes that no name may have could do anything to a terminal. */
	return sd_fail(e, SD_EUSAGE, "a %s has 1 to %d printable characters without blanks, quotes and backslashes", what,
		       RING_MAX_NAME);
}

size_t ring_find(const struct ring_state *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->nodes[i].name, name) == 0)
			return i;
	return SIZE_MAX;
}

bool ring_append(struct ring_state *s, const char *name, const char *zone, uint32_t vnodes, uint32_t weight)
{
	struct ring_node node = {strdup(name), zone ? strdup(zone) : NULL, vnodes, weight};
	if (!node.name || (zone && !node.zone)) {
		free(node.name);
		free(node.zone);
		return false;
	}
	s->nodes[s->n++] = node;
	return true;
}

void ring_drop(struct ring_state *s, size_t i)
{
	free(s->nodes[i].name);
	free(s->nodes[i].zone);
	memmove(&s->nodes[i], &s->nodes[i + 1], (s->n - i - 1) * sizeof(s->nodes[0]));
	s->n--;
}

bool ring_copy(const struct ring_state *s, struct ring_state *out)
{
	*out = *s;
	out->n = 0;
	out->nodes = calloc(s->n + 1, sizeof(*out->nodes));
	bool good = out->nodes;
	for (size_t i = 0; good && i < s->n; i++) {
		const struct ring_node *v = &s->nodes[i];
		good = ring_append(out, v->name, v->zone, v->vnodes, v->weight);
	}
	if (!good)
		ring_free(out);
	return good;
}

void ring_free(struct ring_state *s)
{
	for (size_t i = 0; s->nodes && i < s->n; i++) {
		free(s->nodes[i].name);
		free(s->nodes[i].zone);
	}
	free(s->nodes);
	s->nodes = NULL;
	s->n = 0;
}

/* ---- reading ---- */

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool ring_parse_key(const char *text, uint64_t *low, uint64_t *high)
{
	uint64_t half[2] = {0};
	if (strlen(text) != 32)
		return false;
	for (int i = 0; i < 16; i++) {
		int a = digit(text[2 * i]), b = digit(text[2 * i + 1]);
		if (a < 0 || b < 0)
			return false;
		half[i / 8] |= (uint64_t)(16 * a + b) << (8 * (i % 8));
	}
	*low = half[0];
	*high = half[1];
	return true;
}

static enum sd_err take_key(const struct sd_conf *conf, struct sd_ring_conf *out, struct sd_error *e)
{
	const char *key = sd_conf_string(conf, "key");
	if (out->hash == SD_RING_SIPHASH && (!key || !ring_parse_key(key, &out->seed, &out->seed_high)))
		return sd_fail(e, SD_EINVAL, "key: siphash needs a key of 32 hexadecimal digits");
	if (out->hash != SD_RING_SIPHASH && key)
		return sd_fail(e, SD_EINVAL, "key: only siphash has a key");
	if (out->hash == SD_RING_XXH3)
		out->seed = (uint64_t)sd_conf_int(conf, "seed");
	else if (sd_conf_int(conf, "seed"))
		return sd_fail(e, SD_EINVAL, "seed: only xxh3 has a seed");
	return SD_OK;
}

static enum sd_err take_node(const struct sd_conf *row, struct ring_state *s, struct sd_error *e)
{
	const char *name = sd_conf_string(row, "name"), *zone = sd_conf_string(row, "zone");
	enum sd_err err = ring_check_name("name", name, e);
	if (!err && zone)
		err = ring_check_name("zone", zone, e);
	if (err)
		return e->code = SD_EINVAL;
	if (ring_find(s, name) != SIZE_MAX)
		return sd_fail(e, SD_EINVAL, "two nodes are called %.80s", name);
	if (!ring_append(s, name, zone, (uint32_t)sd_conf_int(row, "vnodes"), (uint32_t)sd_conf_int(row, "weight")))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	return SD_OK;
}

static enum sd_err take(const struct sd_conf *conf, struct ring_state *s, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "nodes");
	if (sd_conf_int(conf, "version") != 1)
		return sd_fail(e, SD_EINVAL, "version: expected 1");
	if (n > SD_RING_MAX_NODES)
		return sd_fail(e, SD_EINVAL, "nodes: at most %d", SD_RING_MAX_NODES);
	if (sd_conf_has(conf, "count") && sd_conf_int(conf, "count") != (int64_t)n)
		return sd_fail(e, SD_EINVAL, "count says %d nodes, and there are %zu; is the file cut off?",
			       (int)sd_conf_int(conf, "count"), n);
	s->conf.kind = (enum sd_ring_kind)sd_conf_int(conf, "algorithm");
	s->conf.hash = (enum sd_ring_hash_by)sd_conf_int(conf, "hash");
	s->conf.slots = (uint32_t)sd_conf_int(conf, "slots");
	s->replicas = (uint32_t)sd_conf_int(conf, "replicas");
	s->nodes = calloc(n + 1, sizeof(*s->nodes));
	enum sd_err err = s->nodes ? take_key(conf, &s->conf, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	for (size_t i = 0; !err && i < n; i++)
		err = take_node(sd_conf_row(conf, "nodes", i), s, e);
	return err;
}

static enum sd_err read_state(const char *file, const char *text, size_t n, struct ring_state *s, struct sd_error *e)
{
	struct sd_doc *doc = NULL;
	struct sd_conf *conf = NULL;
	enum sd_err err = sd_doc_parse(file, text, n, &doc, e);
	if (!err) {
		struct sd_conf_sources from = {.applet = "ring", .doc = doc};
		err = sd_conf_make(rows, NULL, &from, &conf, NULL, NULL, e);
	}
	if (!err && take(conf, s, e))
		err = sd_wrap(e, "%s", file);
	sd_conf_free(conf);
	sd_doc_free(doc);
	return err;
}

enum sd_err ring_load(struct sd_world *w, const char *file, struct ring_state *s, struct sd_error *e)
{
	char *text = NULL;
	size_t n;
	*s = (struct ring_state){.conf = {.hash = SD_RING_MD5}, .replicas = 3};
	enum sd_err err = sd_world_read_file(w, file, MAX_FILE, &text, &n, e);
	if (err == SD_ENOTFOUND) {
		s->nodes = calloc(1, sizeof(*s->nodes));
		return s->nodes ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
	}
	if (!err)
		err = read_state(file, text, n, s, e);
	free(text);
	s->there = true;
	if (err)
		ring_free(s);
	return err;
}

/* ---- writing ---- */

static void write_key(struct sd_text *t, const struct sd_ring_conf *c)
{
	if (c->hash == SD_RING_XXH3)
		sd_text_format(t, "seed: %" PRIu64 "\n", c->seed);
	if (c->hash != SD_RING_SIPHASH)
		return;
	sd_text_format(t, "key: \"");
	for (int i = 0; i < 16; i++)
		sd_text_format(t, "%02x", (unsigned)((i < 8 ? c->seed : c->seed_high) >> (8 * (i % 8)) & 0xff));
	sd_text_format(t, "\"\n");
}

static void write_node(struct sd_text *t, const struct ring_state *s, const struct ring_node *v)
{
	sd_text_format(t, "  - {name: \"%s\"", v->name);
	if (s->conf.kind == SD_RING_VNODES)
		sd_text_format(t, ", vnodes: %u", v->vnodes);
	sd_text_format(t, ", weight: %u", v->weight);
	if (v->zone)
		sd_text_format(t, ", zone: \"%s\"", v->zone);
	sd_text_format(t, "}\n");
}

static char *write_state(const struct ring_state *s, size_t *n)
{
	struct sd_text t = {0};
	sd_text_format(&t, "# A consistent hashing ring of sdlab; see sdlab-ring(5).\nversion: 1\nalgorithm: %s\n",
		       ring_algorithm(s));
	if (ring_hash_name(s)) {
		sd_text_format(&t, "hash: %s\n", ring_hash_name(s));
		write_key(&t, &s->conf);
	}
	if (s->conf.kind == SD_RING_MAGLEV && s->conf.slots)
		sd_text_format(&t, "slots: %u\n", s->conf.slots);
	sd_text_format(&t, "replicas: %u\ncount: %zu\nnodes:%s\n", s->replicas, s->n, s->n ? "" : " []");
	for (size_t i = 0; i < s->n; i++)
		write_node(&t, s, &s->nodes[i]);
	return sd_text_take(&t, n);
}

static enum sd_err sync_folder(struct sd_world *w, const char *file, struct sd_error *e)
{
	char dir[PATH];
	const char *slash = strrchr(file, '/');
	if (!slash)
		return sd_dir_sync(w, ".", e);
	snprintf(dir, sizeof(dir), "%.*s", slash == file ? 1 : (int)(slash - file), file);
	return sd_dir_sync(w, dir, e);
}

enum sd_err ring_save(struct sd_world *w, const char *file, const struct ring_state *s, struct sd_error *e)
{
	char next[PATH];
	struct sd_file *f = NULL;
	struct iovec v = {0};
	if (snprintf(next, sizeof(next), "%s.new", file) >= (int)sizeof(next))
		return sd_fail(e, SD_EUSAGE, "--state: the name is too long");
	v.iov_base = write_state(s, &v.iov_len);
	void *text = v.iov_base;
	enum sd_err err = text ? sd_file_open(w, next, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &f, e)
			       : sd_fail(e, SD_ENOMEM, "out of memory");
	if (!err)
		err = sd_file_write(f, &v, 1, 0, e);
	if (!err)
		err = sd_file_sync(f, e);
	sd_file_close(f);
	if (!err)
		err = sd_world_rename(w, next, file, e);
	if (!err)
		err = sync_folder(w, file, e);
	free(text);
	return err;
}

/* ---- the ring ---- */

static enum sd_err explain(const struct ring_state *s, enum sd_err err, struct sd_error *e)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->conf.kind == SD_RING_JUMP && s->nodes[i].weight > 1)
			return sd_fail(e, SD_EINVAL, "%s: jump knows only the weights 0 and 1, found %u", s->nodes[i].name,
				       s->nodes[i].weight);
	if (s->conf.kind == SD_RING_MAGLEV && err == SD_EINVAL)
		return sd_fail(e, SD_EINVAL, "slots: expected a prime, found %u", s->conf.slots);
	if (err == SD_EINVAL)
		return sd_fail(e, SD_EINVAL, "two nodes have names that mean the same to %s", ring_algorithm(s));
	if (err == SD_ERANGE)
		return sd_fail(e, SD_ERANGE, "too much for one ring: at most %d nodes and %u virtual nodes in all",
			       SD_RING_MAX_NODES, SD_RING_MAX_POINTS);
	return sd_fail(e, err, "%s", sd_err_text(err));
}

enum sd_err ring_make(const struct ring_state *s, struct sd_ring **out, struct sd_error *e)
{
	struct sd_ring_conf conf = s->conf;
	struct sd_ring_node *nodes = calloc(s->n + 1, sizeof(*nodes));
	if (!nodes)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	bool own = conf.kind == SD_RING_VNODES;
	conf.vnodes = 1;
	for (size_t i = 0; i < s->n; i++) {
		const struct ring_node *v = &s->nodes[i];
		nodes[i] = (struct sd_ring_node){i, sd_slice_of(v->name), own ? v->weight * v->vnodes : v->weight,
						 sd_slice_of(v->zone)};
	}
	enum sd_err err = sd_ring_build(&conf, nodes, s->n, out);
	free(nodes);
	return err ? explain(s, err, e) : SD_OK;
}

enum sd_err ring_open(struct sd_world *w, const char *file, struct ring_state *s, struct sd_ring **out, struct sd_error *e)
{
	*out = NULL;
	enum sd_err err = ring_load(w, file, s, e);
	if (err)
		return err;
	if (!s->there)
		err = sd_fail(e, SD_ENOTFOUND, "%s is not there; make a ring with: sdlab ring add NAME", file);
	else if (ring_make(s, out, e))
		err = sd_wrap(e, "%s", file);
	if (err)
		ring_free(s);
	return err;
}
