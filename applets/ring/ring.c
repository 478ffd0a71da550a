/* ring - consistent hashing to look at: who has which keys, and what moves. Its face. */
#include "ring.h"

#include <stdlib.h>
#include <string.h>

#define STATE                                                                                                 \
	{                                                                                                     \
		"state", SD_OPT_FILE, "ring.yaml", "the file the ring is kept in"                             \
	}
#define JSON                                                                                                  \
	{                                                                                                     \
		"json", SD_OPT_BOOL, "false", "for programs"                                                  \
	}

static const struct sd_option init_options[] = {
    STATE,
    {"algorithm", SD_OPT_ENUM, "vnodes", "how keys find nodes", .choices = RING_ALGORITHMS, .letter = 'a'},
    {"hash", SD_OPT_ENUM, "md5", "which hash places nodes and keys", .choices = RING_HASHES},
    {"seed", SD_OPT_INT, "0", "another seed is another ring; with --hash xxh3", .min = 0, .max = INT64_MAX},
    {"key", SD_OPT_STRING, NULL, "32 hexadecimal digits, with --hash siphash; else one is drawn", .meta = "HEX"},
    {"replicas", SD_OPT_INT, "3", "to how many nodes a key goes", .min = 1, .max = SD_RING_MAX_NODES, .letter = 'r'},
    {"slots", SD_OPT_INT, "0", "size of the table of maglev, a prime; 0: chosen by the number of nodes", .min = 0,
     .max = SD_RING_MAX_POINTS},
    {0},
};

static const struct sd_option add_options[] = {
    STATE,
    {"vnodes", SD_OPT_INT, "150", "points on the ring for each unit of weight", .min = 1, .max = 65536},
    {"weight", SD_OPT_INT, "1", "how much it takes beside the others", .min = 0, .max = 65535},
    {"zone", SD_OPT_STRING, NULL, "what it fails with, such as a rack: replicas go to different zones first", .meta = "ZONE"},
    JSON,
    {0},
};

static const struct sd_option change_options[] = {STATE, JSON, {0}};

static const struct sd_option lookup_options[] = {
    STATE,
    {"replicas", SD_OPT_INT, NULL, "how many nodes to name; else what the ring says", .min = 1, .max = SD_RING_MAX_NODES,
     .letter = 'r'},
    {"keys", SD_OPT_FILE, NULL, "also all keys of this file, a line each (- is standard input): prints key, tab, node"},
    JSON,
    {0},
};

static const struct sd_option draw_options[] = {
    STATE,
    {"svg", SD_OPT_FILE, NULL, "write a picture instead"},
    {0},
};

static const struct sd_option balance_options[] = {
    STATE,
    {"keys", SD_OPT_FILE, NULL, "count these keys, a line each (- is standard input)"},
    {"bound", SD_OPT_NUMBER, NULL, "no node takes more than so many times its part of the keys so far; 1.25 is usual",
     .meta = "FACTOR"},
    JSON,
    {0},
};

static const struct sd_option diff_options[] = {
    {"keys", SD_OPT_FILE, NULL, "count these keys, a line each (- is standard input); else parts of the circle"},
    JSON,
    {0},
};

static const struct sd_verb verbs[] = {
    {"init", "", "make an empty ring; add makes one with the defaults", init_options, 0, 0, ring_init},
    {"add", "NODE...", "add nodes", add_options, 1, -1, ring_add},
    {"remove", "NODE", "remove a node, and say what moved", change_options, 1, 1, ring_remove},
    {"weigh", "NODE WEIGHT", "give a node another weight, and say what moved", change_options, 2, 2, ring_weigh},
    {"lookup", "[KEY...]", "say where keys are", lookup_options, 0, -1, ring_lookup},
    {"visualize", "[KEY]", "draw the ring", draw_options, 0, 1, ring_visualize},
    {"balance", "", "who has how much, beside what they should have", balance_options, 0, 0, ring_balance},
    {"diff", "OLDFILE NEWFILE", "what moves from one ring to another, beside the least that could", diff_options, 2, 2, ring_diff},
    {0},
};

static const struct sd_alias aliases[] = {{"hash-ring-cli", "*"}, {"hash-ring-viz", "visualize"}, {0}};

int ring_fail(const struct sd_verb_call *call, const char *verb, const struct sd_error *e)
{
	fprintf(call->err, "sdlab ring %s: %s\n", verb, e->text);
	return e->code == SD_EUSAGE ? 2 : 1;
}

int ring_print_json(struct sd_verb_call *call, cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);
	fprintf(call->out, "%s\n", text ? text : "");
	cJSON_Delete(json);
	free(text);
	return !text;
}

bool ring_colored(const struct sd_verb_call *call)
{
	for (const char *const *v = call->environ; v && *v; v++)
		if (strncmp(*v, "NO_COLOR=", 9) == 0 && (*v)[9])
			return false;
	return sd_world_is_terminal(call->world, 1);
}

const struct sd_applet sd_applet_ring = {
    .name = "ring",
    .summary = "consistent hashing: which node has which keys, and what moves",
    .description = "Keeps a ring of nodes in a file, says where keys are, draws it, and shows how evenly keys lie and how few "
		   "move when nodes come and go. Rings of libketama, libmemcached, twemproxy and nginx come out as theirs do.",
    .examples = "sdlab ring add node-A node-B node-C\n"
		"sdlab ring lookup user:123\n"
		"sdlab ring visualize --svg ring.svg\n"
		"sdlab ring remove node-B\n"
		"sdlab ring balance",
    .aliases = aliases,
    .no_common = true,
    .verbs = verbs,
};
