/* sh_verbs.c - the table of verbs with their options. */
#include "../clicks/sh_worker.h"
#include "sh_cli.h"

#define SERVER_OPTIONS                                                                                                        \
	{"server", SD_OPT_STRING, NULL, "where the service is; else SDLAB_SHORTENER_URL, else http://127.0.0.1:8080", .meta = "URL"}, \
	    {"api-key-file", SD_OPT_FILE, NULL, "file with an API key; else SDLAB_SHORTENER_KEY"},                            \
	    {"json", SD_OPT_BOOL, "false", "print what the API answers"},                                                     \
	    {"timeout", SD_OPT_DURATION, "10s", "to connect, and for the answer"}

#define LINK_OPTIONS                                                                                                       \
	{"title", SD_OPT_STRING, NULL, "what people call it"},                                                             \
	    {"tag", SD_OPT_LIST, NULL, "a word to find it by; \"\" for none"},                                             \
	    {"expires", SD_OPT_STRING, NULL, "how long from now, such as 7d, or a time; then it answers 410", .meta = "TIME"},  \
	    {"valid-from", SD_OPT_STRING, NULL, "until then it answers 404", .meta = "TIME"},                              \
	    {"max-visits", SD_OPT_INT, NULL, "how often it redirects at most; 0 for any number", .max = INT64_C(1000000000000000)}, \
	    {"status", SD_OPT_ENUM, NULL, "how it redirects; else as the service is set", .choices = "301|302|307|308"},   \
	    {"forward-query", SD_OPT_BOOL, "false", "the query of a request goes on to the target"}

static const struct sd_option shorten_options[] = {
    {"alias", SD_OPT_STRING, NULL, "the code, when it is to be chosen", .meta = "CODE", .letter = 'a'},
    {"find-if-exists", SD_OPT_BOOL, "false", "print the link that is the same when there is one"},
    LINK_OPTIONS,
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option edit_options[] = {
    {"url", SD_OPT_STRING, NULL, "where it leads from now on", .meta = "URL"},
    LINK_OPTIONS,
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option list_options[] = {
    {"search", SD_OPT_STRING, NULL, "only links with this in code, URL, title or tags", .meta = "TEXT"},
    {"tag", SD_OPT_STRING, NULL, "only links with this tag"},
    {"page", SD_OPT_INT, "1", "which page", .min = 1, .max = 1000000},
    {"per-page", SD_OPT_INT, "20", "links a page", .min = 1, .max = 200},
    {"order", SD_OPT_ENUM, "newest", "which come first", .choices = "newest|oldest|most-clicks|fewest-clicks|code|title|changed"},
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option server_options[] = {
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option qr_options[] = {
    {"svg", SD_OPT_FILE, NULL, "write it as SVG to this file; - for standard output"},
    {"invert", SD_OPT_BOOL, "false", "draw it for a light terminal"},
    SERVER_OPTIONS,
    {0},
};

static const struct sd_option key_options[] = {
    {"db", SD_OPT_STRING, NULL, "database of the links, as the service has it; else links.db in the data folder", .meta = "URL", .secret = true},
    {"data-dir", SD_OPT_FILE, "shortener-data", "folder of the database, when --db names no other"},
    {0},
};

const struct sd_verb sh_verbs[] = {
    {"shorten", "URL", "make a short URL and print it", shorten_options, 1, 1, sh_cli_shorten},
    {"list", "", "list links", list_options, 0, 0, sh_cli_list},
    {"show", "CODE", "show a link", server_options, 1, 1, sh_cli_show},
    {"stats", "CODE", "show who followed a link, and when", server_options, 1, 1, sh_cli_stats},
    {"edit", "CODE", "change a link", edit_options, 1, 1, sh_cli_edit},
    {"disable", "CODE...", "answer 410 until they are enabled", server_options, 1, -1, sh_cli_disable},
    {"enable", "CODE...", "redirect again", server_options, 1, -1, sh_cli_enable},
    {"delete", "CODE...", "take links away", server_options, 1, -1, sh_cli_delete},
    {"qr", "CODE", "draw a QR code", qr_options, 1, 1, sh_cli_qr},
    {"key", "add NAME | list | remove NAME", "API keys, in the database", key_options, 1, 2, sh_cli_key},
    {"worker", "", "count the clicks that shorteners put into a queue", sh_worker_options, 0, 0, sh_worker_verb},
    {0},
};
