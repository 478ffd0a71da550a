/* cache_node.h - a node of a cluster out of its configuration. */
#ifndef CACHE_NODE_H
#define CACHE_NODE_H

#include "app/run.h"
#include "cache_cluster.h"

/* Rows of the option table. */
#define CACHE_NODE_OPTIONS                                                                                                   \
	{"cluster-port", SD_OPT_PORT, NULL, "be a node of a cluster: where other nodes come, by UDP and TCP"},                 \
	{"join", SD_OPT_LIST, NULL, "the cluster port of a node to join, as HOST:PORT; several are tried", .pattern = "address"}, \
	{"hot-reads", SD_OPT_INT, "0", "a key read more often than this a second is answered by the copy here; 0 for never",       \
	 .max = 1000000000}, \
	{"replicas", SD_OPT_INT, "1", "nodes that have a copy of a slot, beside the one that owns it", .max = SD_SLOTS_COPIES - 1}, \
	{"write-quorum", SD_OPT_INT, "1", "nodes that have a write before it is answered, this one among them", .min = 1,       \
	 .max = SD_SLOTS_COPIES},                                                                                               \
	{"write-timeout", SD_OPT_DURATION, "1s", "how long that may take before the answer is an error", .min = 1000000,          \
	 .max = 3600000000000},                                                                                                 \
	{"cluster-routing", SD_OPT_ENUM, "auto", "who goes to the node that has a key: clients that asked for the map, all, or none", \
	 .choices = "auto|moved|proxy"},                                                                                        \
	{"cluster-name", SD_OPT_STRING, "cache", "nodes of another name are refused"},                                        \
	{"cluster-key", SD_OPT_STRING, NULL, "what nodes share to know each other; needed beyond this machine", .secret = true}, \
	{"cluster-key-file", SD_OPT_FILE, NULL, "file that holds it"},                                                        \
	{"announce", SD_OPT_ADDRESS, NULL, "the address and port that clients and nodes are told"},                          \
	{"node-id-file", SD_OPT_FILE, NULL, "file that keeps the id of the node, made when it is not there"},                \
	{"gossip-interval", SD_OPT_DURATION, "500ms", "how often another node is asked whether it lives", .min = 10000000,      \
	 .max = 60000000000}

/* What a configuration says, with what it points to. */
struct cache_node {
	bool on;
	char *name, *key;
	struct sd_addr *seeds;
	struct cache_cluster_conf conf;
};

enum sd_err cache_node_check(const struct sd_conf *conf, bool near, struct sd_error *e);
/* Reads files, and makes the id. Free it also after a failure. */
enum sd_err cache_node_make(struct sd_run *run, const struct sd_conf *conf, struct cache_node *out, struct sd_error *e);
void cache_node_free(struct cache_node *n);

#endif
