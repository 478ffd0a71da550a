#include "cache_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/secret.h"
#include "world/file.h"

#define ID_TEXT (2 * SD_SWIM_ID)

enum sd_err cache_node_check(const struct sd_conf *conf, bool near, struct sd_error *e)
{
	static const char *const others[] = {"join", "announce", "cluster-key", "cluster-key-file", "node-id-file", "write-quorum", "write-timeout", "hot-reads", NULL};
	struct sd_addr a;
	bool key = sd_conf_has(conf, "cluster-key") || sd_conf_has(conf, "cluster-key-file");
	if (!sd_conf_has(conf, "cluster-port")) {
		for (size_t i = 0; others[i]; i++)
			if (sd_conf_is_set(conf, others[i]))
				return sd_fail(e, SD_EINVAL, "%s: expected cluster-port as well", sd_conf_at(conf, others[i]));
		return SD_OK;
	}
	if (sd_conf_has(conf, "cluster-key") && sd_conf_has(conf, "cluster-key-file"))
		return sd_fail(e, SD_EINVAL, "%s: expected one key, or the file that holds it", sd_conf_origin(conf, "cluster-key"));
	if (!near && !key)
		return sd_fail(e, SD_EINVAL, "%s: expected a key to listen beyond this machine: --cluster-key-file FILE",
			       sd_conf_at(conf, "cluster-port"));
	if (sd_conf_count(conf, "join") > SD_SWIM_SEEDS)
		return sd_fail(e, SD_EINVAL, "%s: expected at most %d addresses", sd_conf_at(conf, "join"), SD_SWIM_SEEDS);
	if (sd_conf_int(conf, "write-quorum") > 1 && sd_conf_int(conf, "hot-reads"))
		return sd_fail(e, SD_EINVAL, "%s: expected none with a write-quorum, since a copy may be older than what was acknowledged",
			       sd_conf_at(conf, "hot-reads"));
	if (sd_conf_int(conf, "write-quorum") > 1 + sd_conf_int(conf, "replicas"))
		return sd_fail(e, SD_EINVAL, "%s: expected at most one more than replicas", sd_conf_at(conf, "write-quorum"));
	if (sd_conf_int(conf, "write-quorum") > 1 && sd_conf_has(conf, "node-id-file"))
		return sd_fail(e, SD_EINVAL, "%s: expected none with a write-quorum, where a node that starts anew is another one",
			       sd_conf_at(conf, "node-id-file"));
	if (!sd_conf_has(conf, "announce"))
		return SD_OK;
	if (sd_addr_parse(sd_conf_string(conf, "announce"), NULL, &a, NULL) || a.kind != SD_ADDR_INET)
		return sd_fail(e, SD_EINVAL, "%s: expected an IP address and a port, such as 10.0.0.7:7001",
			       sd_conf_at(conf, "announce"));
	return SD_OK;
}

/* Written beside and renamed, so that a power cut leaves no half of it. */
static enum sd_err write_id(struct sd_world *w, const char *name, const struct sd_swim_id *id, struct sd_error *e)
{
	char text[ID_TEXT + 2], path[4096];
	struct sd_file *f;
	int n = snprintf(path, sizeof(path), "%s.new", name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return sd_fail(e, SD_ERANGE, "the name of the file is too long");
	sd_swim_id_text(id, text);
	memcpy(text + ID_TEXT, "\n", 2);
	struct iovec iov = {text, ID_TEXT + 1};
	enum sd_err err = sd_file_open(w, path, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &f, e);
	if (err)
		return err;
	err = sd_file_write(f, &iov, 1, 0, e);
	if (!err)
		err = sd_file_sync(f, e);
	sd_file_close(f);
	if (!err)
		err = sd_world_rename(w, path, name, e);
	const char *slash = strrchr(name, '/');
	snprintf(path, sizeof(path), "%.*s", slash ? (int)(slash - name) + 1 : 1, slash ? name : ".");
	return err ? err : sd_dir_sync(w, path, e);
}

/* The id of its file, or a new one, which the file keeps where there is one. */
static enum sd_err read_id(struct sd_world *w, const char *name, struct sd_swim_id *id, struct sd_error *e)
{
	char text[ID_TEXT + 2];
	struct sd_file *f;
	size_t n;
	sd_world_random(w, id, sizeof(*id));
	if (!name)
		return SD_OK;
	struct sd_error why = {0};
	enum sd_err err = sd_file_open(w, name, 0, &f, &why);
	if (err == SD_ENOTFOUND)
		return write_id(w, name, id, e);
	if (err)
		return sd_fail(e, err, "%s", why.text);
	err = sd_file_read(f, text, sizeof(text), 0, &n, e);
	sd_file_close(f);
	if (err)
		return err;
	bool good = (n == ID_TEXT || (n == ID_TEXT + 1 && text[ID_TEXT] == '\n')) && sd_swim_id_parse(text, ID_TEXT, id);
	return good ? SD_OK : sd_fail(e, SD_EINVAL, "%s: expected the id of a node, %d digits in hexadecimal", name, ID_TEXT);
}

/* In the file that is named, or beside the data; without either it is another one each time. */
static enum sd_err lasting_id(struct sd_world *w, const struct sd_conf *conf, struct sd_swim_id *id, struct sd_error *e)
{
	const char *name = sd_conf_string(conf, "node-id-file"), *dir = sd_conf_string(conf, "data-dir");
	char path[4096];
	enum sd_err err = SD_OK;
	if (!name && dir) {
		err = sd_world_mkdir(w, dir, 0700, e);
		if (!err && snprintf(path, sizeof(path), "%s/node-id", dir) >= (int)sizeof(path))
			err = sd_fail(e, SD_ERANGE, "the name of the folder is too long");
		name = path;
	}
	if (!err)
		err = read_id(w, name, id, e);
	return err ? sd_wrap(e, "node-id-file") : SD_OK;
}

static enum sd_err read_seeds(const struct sd_conf *conf, struct cache_node *n, struct sd_error *e)
{
	size_t count = sd_conf_count(conf, "join");
	n->seeds = calloc(count + 1, sizeof(*n->seeds));
	if (!n->seeds)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++) {
		const char *text = sd_conf_list_item(conf, "join", i);
		if (sd_addr_parse(text, "127.0.0.1", &n->seeds[i], e) ||
		    (n->seeds[i].kind != SD_ADDR_INET && n->seeds[i].kind != SD_ADDR_NAME))
			return sd_fail(e, SD_EINVAL, "%s: expected HOST:PORT, found \"%s\"", sd_conf_at(conf, "join"), text);
	}
	n->conf.seeds = n->seeds;
	n->conf.nseeds = count;
	return SD_OK;
}

static enum cache_routing routing_of(const char *text)
{
	return strcmp(text, "moved") == 0 ? CACHE_ROUTE_MOVED : strcmp(text, "proxy") == 0 ? CACHE_ROUTE_PROXY : CACHE_ROUTE_AUTO;
}

enum sd_err cache_node_make(struct sd_run *run, const struct sd_conf *conf, struct cache_node *n, struct sd_error *e)
{
	struct cache_cluster_conf *c = &n->conf;
	enum sd_err err;
	if (!sd_conf_has(conf, "cluster-port"))
		return SD_OK;
	n->on = true;
	c->copies = 1 + (unsigned)sd_conf_int(conf, "replicas");
	c->quorum = (unsigned)sd_conf_int(conf, "write-quorum");
	c->interval_ns = sd_conf_int(conf, "gossip-interval");
	c->hot_reads = sd_conf_int(conf, "hot-reads");
	c->routing = routing_of(sd_conf_string(conf, "cluster-routing"));
	c->bind = (struct sd_addr){.kind = SD_ADDR_INET, .ip = {127, 0, 0, 1}, .port = (uint16_t)sd_conf_int(conf, "cluster-port")};
	if (sd_conf_has(conf, "announce"))
		sd_addr_parse(sd_conf_string(conf, "announce"), NULL, &c->announce, NULL);
	n->name = strdup(sd_conf_string(conf, "cluster-name"));
	if (!n->name)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	c->name = n->name;
	if ((err = sd_secret_of(run->spec.world, conf, "cluster-key", "cluster-key-file", &n->key, e)) || (err = read_seeds(conf, n, e)))
		return err;
	c->key = sd_slice_of(n->key);
	if (c->quorum < 2)
		return lasting_id(run->spec.world, conf, &c->id, e);
	sd_world_random(run->spec.world, &c->id, sizeof(c->id)); /* it forgot what it promised: it is another one */
	return SD_OK;
}

void cache_node_free(struct cache_node *n)
{
	if (n->key)
		explicit_bzero(n->key, strlen(n->key));
	free(n->key);
	free(n->name);
	free(n->seeds);
}
