#include "stack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/suggest.h"
#include "core/units.h"
#include "run.h"

/* Keys of a service that are the stack's, not the applet's. */
static const char *const own_keys[] = {"applet", "replicas", "after", NULL};

/* ---- the file ---- */

static bool is_name(const char *s)
{
	size_t n = strlen(s);
	if (n == 0 || n > SD_STACK_NAME_MAX - 5)
		return false; /* room for "-64" */
	for (size_t i = 0; i < n; i++)
		if (!(s[i] == '-' || s[i] == '_' || (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'z') ||
		      (s[i] >= 'A' && s[i] <= 'Z')))
			return false;
	return true;
}

void sd_stack_name_from_file(const char *file, char out[SD_STACK_NAME_MAX])
{
	const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
	size_t n = strcspn(base, ".");
	snprintf(out, SD_STACK_NAME_MAX, "%.*s", (int)(n < 30 ? n : 30), base);
	if (!is_name(out))
		snprintf(out, SD_STACK_NAME_MAX, "stack");
}

static int service_index(const struct sd_stack *s, const char *name)
{
	for (unsigned i = 0; i < s->nservices; i++)
		if (strcmp(s->services[i].name, name) == 0)
			return (int)i;
	return -1;
}

static enum sd_err unknown_service(const struct sd_stack *s, enum sd_err code, struct sd_error *e, const char *where,
				   const char *name)
{
	const char *names[SD_STACK_MAX + 1] = {NULL};
	for (unsigned i = 0; i < s->nservices; i++)
		names[i] = s->services[i].name;
	const char *near = sd_suggest_of(name, names, s->nservices);
	return sd_fail(e, code, "%s: no service called \"%.60s\"%s%s%s", where, name, near ? "; did you mean " : "",
		       near ? near : "", near ? "?" : "");
}

/* Can it be part of a stack? */
static bool is_service(const struct sd_applet *a)
{
	return a->service && !a->service->process;
}

static enum sd_err read_applet(struct sd_stack *s, struct sd_stack_service *v, struct sd_error *e)
{
	const struct sd_node *applet = sd_node_get(v->node, "applet");
	if (!applet || applet->kind != SD_NODE_SCALAR)
		return sd_node_fail(s->doc, applet ? applet : v->node, e,
				    "%s: expected applet: NAME, such as applet: backend", v->name);
	v->applet = sd_applet_find(applet->text, NULL);
	if (v->applet && is_service(v->applet))
		return SD_OK;
	struct sd_suggest near;
	sd_suggest_init(&near, applet->text);
	for (const struct sd_applet *const *a = sd_applets; *a; a++)
		if (is_service(*a))
			sd_suggest_offer(&near, (*a)->name);
	return sd_node_fail(s->doc, applet, e, "applet: no service called \"%.60s\"%s%s (sdlab list shows all)", applet->text,
			    near.best ? "; did you mean " : "", near.best ? near.best : "");
}

static enum sd_err read_replicas(struct sd_stack *s, struct sd_stack_service *v, struct sd_error *e)
{
	const struct sd_node *n = sd_node_get(v->node, "replicas");
	int64_t count = 1;
	v->replicas = 1;
	if (!n)
		return SD_OK;
	if (n->kind != SD_NODE_SCALAR || sd_parse_int(n->text, &count) != SD_OK || count < 1 || count > SD_STACK_MAX)
		return sd_node_fail(s->doc, n, e, "replicas: expected a number from 1 to %d", SD_STACK_MAX);
	v->replicas = (unsigned)count;
	return SD_OK;
}

static enum sd_err read_service(struct sd_stack *s, const struct sd_node *map, size_t i, struct sd_error *e)
{
	struct sd_stack_service *v = &s->services[s->nservices];
	struct sd_node at = {.line = map->key_lines[i], .column = map->key_columns[i]};
	if (s->nservices == SD_STACK_MAX)
		return sd_node_fail(s->doc, &at, e, "more than %d services", SD_STACK_MAX);
	if (!is_name(map->keys[i]))
		return sd_node_fail(s->doc, &at, e,
				    "\"%.60s\": expected a name of letters, digits, - and _, at most %d of them", map->keys[i],
				    SD_STACK_NAME_MAX - 5);
	if (map->items[i]->kind != SD_NODE_MAP)
		return sd_node_fail(s->doc, map->items[i], e, "%s: expected a map with applet: and options", map->keys[i]);
	snprintf(v->name, sizeof(v->name), "%s", map->keys[i]);
	v->node = map->items[i];
	s->nservices++;
	enum sd_err err = read_applet(s, v, e);
	return err ? err : read_replicas(s, v, e);
}

static enum sd_err read_scalar(struct sd_stack *s, const char *key, const struct sd_node *n, struct sd_error *e)
{
	if (n->kind != SD_NODE_SCALAR)
		return sd_node_fail(s->doc, n, e, "%s: expected a single value", key);
	if (strcmp(key, "name") == 0) {
		if (!is_name(n->text))
			return sd_node_fail(s->doc, n, e, "name: expected letters, digits, - and _");
		snprintf(s->name, sizeof(s->name), "%s", n->text);
	} else if (strcmp(key, "isolate") == 0) {
		if (sd_parse_bool(n->text, &s->isolate) != SD_OK)
			return sd_node_fail(s->doc, n, e, "isolate: expected true or false, found \"%.60s\"", n->text);
	} else if (sd_parse_duration(n->text, &s->restart_delay_ns) != SD_OK || s->restart_delay_ns < 1000000) {
		return sd_node_fail(s->doc, n, e, "restart-delay: expected a duration such as 1s, found \"%.60s\"", n->text);
	}
	return SD_OK;
}

static enum sd_err read_top(struct sd_stack *s, struct sd_error *e)
{
	static const char *const known[] = {"services", "name", "isolate", "restart-delay", NULL};
	const struct sd_node *root = s->doc->root, *services = NULL;
	if (root->kind != SD_NODE_MAP)
		return sd_node_fail(s->doc, root, e, "expected a map with services:");
	for (size_t i = 0; i < root->count; i++) {
		size_t k = 0;
		while (known[k] && strcmp(known[k], root->keys[i]) != 0)
			k++;
		if (!known[k]) {
			struct sd_node at = {.line = root->key_lines[i], .column = root->key_columns[i]};
			const char *near = sd_suggest_of(root->keys[i], known, 4);
			return sd_node_fail(s->doc, &at, e, "unknown key \"%.60s\"%s%s%s", root->keys[i],
					    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
		}
		enum sd_err err = SD_OK;
		if (k == 0)
			services = root->items[i];
		else
			err = read_scalar(s, known[k], root->items[i], e);
		if (err)
			return err;
	}
	if (!services || services->kind != SD_NODE_MAP || services->count == 0)
		return sd_node_fail(s->doc, services ? services : root, e,
				    "services: expected at least one service, such as web: {applet: backend}");
	for (size_t i = 0; i < services->count; i++) {
		enum sd_err err = read_service(s, services, i, e);
		if (err)
			return err;
	}
	return SD_OK;
}

/* ---- who needs whom ---- */

/* The name of the k-th replica, from 1. */
static void replica_name(const struct sd_stack_service *v, unsigned k, char out[SD_STACK_NAME_MAX])
{
	snprintf(out, SD_STACK_NAME_MAX, "%.35s-%u", v->name, k % 100);
}

/* What it is called when it runs: the only one has its service's name. */
static void instance_name(const struct sd_stack_service *v, unsigned k, char out[SD_STACK_NAME_MAX])
{
	if (v->replicas == 1)
		snprintf(out, SD_STACK_NAME_MAX, "%s", v->name);
	else
		replica_name(v, k, out);
}

/* A service or one of its instances, by name. NAME-1 is understood of an only one as well: files outlive --scale. */
static int named(const struct sd_stack *s, const char *name)
{
	char replica[SD_STACK_NAME_MAX];
	int found = service_index(s, name);
	for (unsigned i = 0; i < s->nservices && found < 0; i++)
		for (unsigned k = 1; k <= s->services[i].replicas && found < 0; k++) {
			replica_name(&s->services[i], k, replica);
			if (strcmp(replica, name) == 0)
				found = (int)i;
		}
	return found;
}

/* While one service's options are made, each name they look up is noted. */
struct lookup {
	const struct sd_stack *s;
	uint64_t seen;
};

static bool note_name(void *arg, const char *name, char *out, size_t n)
{
	struct lookup *l = arg;
	const struct sd_stack *s = l->s;
	int i = named(s, name);
	size_t used = 0;
	char one[SD_ADDR_TEXT], instance[SD_STACK_NAME_MAX];
	if (i < 0)
		return false;
	l->seen |= 1ull << i;
	const struct sd_stack_service *v = &s->services[i];
	if (v->replicas == 1 || strcmp(v->name, name) != 0) {
		sd_stack_address(s, v->replicas == 1 ? v->name : name, out, n);
		return true;
	}
	for (unsigned k = 1; k <= v->replicas; k++) {
		instance_name(v, k, instance);
		sd_stack_address(s, instance, one, sizeof(one));
		int put = snprintf(out + used, n - used, "%s%s", k > 1 ? "," : "", one);
		if (put < 0 || (size_t)put >= n - used)
			return false;
		used += (size_t)put;
	}
	return true;
}

const char *sd_stack_address(const struct sd_stack *s, const char *instance, char *out, size_t n)
{
	const char *mark = strstr(s->address_format, "%s");
	snprintf(out, n, "%.*s%s%s", (int)(mark - s->address_format), s->address_format, instance, mark + 2);
	return out;
}

/* The n-th replica's ports count up from what the file says. */
static int replica_args(const struct sd_stack *s, const struct sd_stack_instance *inst, char text[2][96],
			const char *args[4])
{
	static const char *const keys[] = {"port", "admin"};
	const struct sd_stack_service *v = &s->services[inst->service];
	int n = 0;
	for (int i = 0; inst->index > 0 && i < 2; i++) {
		const struct sd_node *node = sd_node_get(v->node, keys[i]);
		const char *colon = node && node->kind == SD_NODE_SCALAR ? strrchr(node->text, ':') : NULL;
		int64_t port = 0;
		if (!node || node->kind != SD_NODE_SCALAR || strlen(node->text) > 80 ||
		    sd_parse_int(colon ? colon + 1 : node->text, &port) != SD_OK || port == 0)
			continue;
		snprintf(text[i], 96, "%.*s%lld", (int)(colon ? colon + 1 - node->text : 0), node->text,
			 (long long)port + inst->index);
		args[n++] = i ? "--admin" : "--port";
		args[n++] = text[i];
	}
	return n;
}

static enum sd_err conf_make(const struct sd_stack *s, const struct sd_stack_instance *inst, struct lookup *l,
			     struct sd_conf **out, struct sd_error *e)
{
	const struct sd_stack_service *v = &s->services[inst->service];
	char text[2][96];
	const char *args[4];
	struct sd_conf_sources from = {
	    .applet = v->applet->name,
	    .doc = s->doc,
	    .node = v->node,
	    .ignore_keys = own_keys,
	    .resolve_name = note_name,
	    .resolve_arg = l,
	    .argc = replica_args(s, inst, text, args),
	    .argv = args,
	};
	enum sd_err err = sd_conf_make(v->applet->options, sd_common_options, &from, out, NULL, NULL, e);
	if (err == SD_EUSAGE)
		sd_wrap(e, "service %s", inst->name); /* what replica_args made of the file */
	if (err)
		return err;
	if ((err = sd_run_check(*out, e)) || (v->applet->check && (err = v->applet->check(*out, e)))) {
		sd_conf_free(*out);
		*out = NULL;
		sd_wrap(e, "service %s", v->name);
	}
	return err;
}

enum sd_err sd_stack_conf(const struct sd_stack *s, const struct sd_stack_instance *inst, struct sd_conf **out,
			  struct sd_error *e)
{
	struct lookup l = {.s = s};
	return conf_make(s, inst, &l, out, e);
}

static enum sd_err read_after(struct sd_stack *s, struct sd_stack_service *v, struct sd_error *e)
{
	const struct sd_node *after = sd_node_get(v->node, "after");
	char where[600];
	if (!after)
		return SD_OK;
	size_t n = after->kind == SD_NODE_LIST ? after->count : 1;
	for (size_t i = 0; i < n; i++) {
		const struct sd_node *item = after->kind == SD_NODE_LIST ? after->items[i] : after;
		if (item->kind != SD_NODE_SCALAR)
			return sd_node_fail(s->doc, item, e, "after: expected names of services");
		int k = named(s, item->text);
		snprintf(where, sizeof(where), "%s:%d:%d: after", s->doc->name, item->line, item->column);
		if (k < 0)
			return unknown_service(s, SD_EINVAL, e, where, item->text);
		v->needs |= 1ull << k;
	}
	return SD_OK;
}

/* Options are made once for each service, to learn what it names. */
static enum sd_err find_needs(struct sd_stack *s, struct sd_error *e)
{
	for (unsigned i = 0; i < s->nservices; i++) {
		struct sd_stack_service *v = &s->services[i];
		struct sd_stack_instance first = {.service = i};
		struct lookup l = {.s = s};
		struct sd_conf *conf;
		enum sd_err err = read_after(s, v, e);
		if (!err)
			err = conf_make(s, &first, &l, &conf, e);
		if (err)
			return err;
		sd_conf_free(conf);
		v->needs |= l.seen & ~(1ull << i);
	}
	return SD_OK;
}

/* ---- order ---- */

static void add_instances(struct sd_stack *s, unsigned service, bool wanted)
{
	struct sd_stack_service v = s->services[service];
	for (unsigned k = 0; k < v.replicas; k++) {
		struct sd_stack_instance inst = {.service = service, .index = k, .wanted = wanted};
		instance_name(&v, k + 1, inst.name);
		s->instances[s->ninstances++] = inst;
	}
}

/* These services and all that they need. */
static uint64_t with_needs(const struct sd_stack *s, uint64_t set)
{
	uint64_t before;
	do {
		before = set;
		for (unsigned i = 0; i < s->nservices; i++)
			if (set >> i & 1)
				set |= s->services[i].needs;
	} while (set != before);
	return set;
}

static bool in_a_cycle(const struct sd_stack *s, unsigned i)
{
	return with_needs(s, s->services[i].needs) >> i & 1;
}

/* In file order, each as soon as what it needs is there. */
static enum sd_err put_in_order(struct sd_stack *s, uint64_t wanted, struct sd_error *e)
{
	uint64_t done = 0, all = s->nservices == 64 ? ~0ull : (1ull << s->nservices) - 1;
	while (done != all) {
		unsigned i = 0;
		while (i < s->nservices && ((done >> i & 1) || (s->services[i].needs & ~done)))
			i++;
		if (i == s->nservices) {
			for (i = 0; !in_a_cycle(s, i); i++)
				; /* others may only wait for one that is */
			return sd_node_fail(s->doc, s->services[i].node, e,
					    "%s needs, over others, itself: services cannot start in any order",
					    s->services[i].name);
		}
		add_instances(s, i, wanted >> i & 1);
		done |= 1ull << i;
	}
	return SD_OK;
}

static enum sd_err read_only(const struct sd_stack *s, const struct sd_stack_spec *spec, uint64_t *wanted,
			     struct sd_error *e)
{
	*wanted = spec->nonly ? 0 : ~0ull;
	for (size_t i = 0; i < spec->nonly; i++) {
		int k = service_index(s, spec->only[i]);
		if (k < 0)
			return unknown_service(s, SD_EUSAGE, e, "--only", spec->only[i]);
		*wanted |= 1ull << k;
	}
	*wanted = with_needs(s, *wanted);
	return SD_OK;
}

static enum sd_err read_scale(struct sd_stack *s, const struct sd_stack_spec *spec, struct sd_error *e)
{
	for (size_t i = 0; i < spec->nscale; i++) {
		const char *equals = strchr(spec->scale[i], '=');
		char name[SD_STACK_NAME_MAX];
		int64_t n;
		if (!equals || sd_parse_int(equals + 1, &n) != SD_OK || n < 1 || n > SD_STACK_MAX)
			return sd_fail(e, SD_EUSAGE, "--scale: expected NAME=N with N from 1 to %d, found \"%.60s\"",
				       SD_STACK_MAX, spec->scale[i]);
		snprintf(name, sizeof(name), "%.*s", (int)(equals - spec->scale[i]), spec->scale[i]);
		int k = service_index(s, name);
		if (k < 0)
			return unknown_service(s, SD_EUSAGE, e, "--scale", name);
		s->services[k].replicas = (unsigned)n;
	}
	return SD_OK;
}

static enum sd_err count_instances(const struct sd_stack *s, struct sd_error *e)
{
	unsigned n = 0;
	for (unsigned i = 0; i < s->nservices; i++)
		n += s->services[i].replicas;
	return n <= SD_STACK_MAX ? SD_OK
				 : sd_fail(e, SD_ERANGE, "%s: %u instances: expected at most %d", s->file, n, SD_STACK_MAX);
}

/* An instance is found by its name alone. */
static enum sd_err check_names(const struct sd_stack *s, struct sd_error *e)
{
	char replica[SD_STACK_NAME_MAX];
	for (unsigned i = 0; i < s->nservices; i++) {
		const struct sd_stack_service *v = &s->services[i];
		for (unsigned k = 1; v->replicas > 1 && k <= v->replicas; k++) {
			replica_name(v, k, replica);
			if (service_index(s, replica) >= 0)
				return sd_node_fail(s->doc, v->node, e,
						    "%s: a replica would be called %s, as another service is", v->name,
						    replica);
		}
	}
	return SD_OK;
}

enum sd_err sd_stack_make(struct sd_doc *doc, const struct sd_stack_spec *spec, struct sd_stack **out,
			  struct sd_error *e)
{
	struct sd_stack *s = calloc(1, sizeof(*s));
	uint64_t wanted;
	if (!s || !(s->file = strdup(spec->file))) {
		free(s);
		sd_doc_free(doc);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	s->doc = doc;
	s->restart_delay_ns = 1000000000;
	snprintf(s->address_format, sizeof(s->address_format), "inproc:%%s");
	sd_stack_name_from_file(spec->file, s->name);
	enum sd_err err = read_top(s, e);
	if (!err)
		err = read_scale(s, spec, e);
	if (!err)
		err = count_instances(s, e);
	if (!err)
		err = check_names(s, e);
	if (!err)
		err = find_needs(s, e);
	if (!err)
		err = read_only(s, spec, &wanted, e);
	if (!err)
		err = put_in_order(s, wanted, e);
	if (err) {
		sd_stack_free(s);
		return err;
	}
	*out = s;
	return SD_OK;
}

void sd_stack_free(struct sd_stack *s)
{
	if (!s)
		return;
	sd_doc_free(s->doc);
	free(s->file);
	free(s);
}

enum sd_err sd_stack_check(const struct sd_stack *s, struct sd_error *e)
{
	for (unsigned i = 0; i < s->ninstances; i++) {
		struct sd_conf *conf;
		enum sd_err err = sd_stack_conf(s, &s->instances[i], &conf, e);
		if (err)
			return err;
		sd_conf_free(conf);
	}
	return SD_OK;
}
