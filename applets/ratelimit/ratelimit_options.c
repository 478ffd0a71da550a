/* ratelimit_options.c - everything that can be set. */
#include "ratelimit.h"

#define GIVEN(text)     text
#define INHERITED(text) NULL /* in a rule's row: as it is for all */

/* In the order of enum sd_ratelimit_kind. */
#define ALGORITHMS "token-bucket|gcra|leaky-bucket|leaky-queue|fixed-window|sliding-counter|sliding-log"

#define LIMIT_ROWS(DEF) \
	{"algorithm", SD_OPT_ENUM, DEF("token-bucket"), "how is counted", .choices = ALGORITHMS, .reload = true}, \
	{"rate", SD_OPT_STRING, DEF("10"), "how many: 10 (a second), 100/min, 1000/10m", .reload = true, .meta = "COUNT/TIME"}, \
	{"burst", SD_OPT_INT, NULL, "of buckets: how many at once; else as many as the rate's count", .min = 1, \
	 .max = UINT32_MAX, .reload = true}, \
	{"key", SD_OPT_LIST, DEF("address"), "whose they are: address, api-key, header:NAME, path, method, host, all; of several, " \
	 "each combination for itself", .reload = true}, \
	{"cost", SD_OPT_INT, DEF("1"), "what a request costs", .min = 1, .max = UINT32_MAX, .reload = true}, \
	{"aligned", SD_OPT_BOOL, DEF("false"), "a fixed window begins with the clock's minute or hour, not with its first request", \
	 .reload = true}, \
	{"resolution", SD_OPT_INT, DEF("0"), "a sliding log tells so many moments of its time apart; 0 for all", \
	 .max = 1000000, .reload = true}, \
	{"shadow", SD_OPT_BOOL, DEF("false"), "only count and tell what would be refused", .reload = true},

static const struct sd_option rule_options[] = {
    {"name", SD_OPT_STRING, NULL, "what it is called in fields and metrics", .required = true},
    {"path", SD_OPT_STRING, NULL, "only paths that begin so, by whole segments", .reload = true},
    {"host", SD_OPT_STRING, NULL, "only this host", .reload = true},
    {"method", SD_OPT_STRING, NULL, "only this method", .reload = true},
    LIMIT_ROWS(INHERITED)
    {"domain", SD_OPT_STRING, NULL, "for /json of the API: the domain of its descriptors", .reload = true},
    {"descriptor", SD_OPT_LIST, NULL, "for /json of the API: the entries it is for, each key or key=value, * at a value's end for "
     "any; such a rule is not for requests", .meta = "KEY=VALUE", .reload = true},
    {0},
};

const struct sd_option rl_options[] = {
    {"port", SD_OPT_PORT, "8080", "where to listen", .letter = 'p'},
    {"upstream", SD_OPT_STRING, NULL, "where requests go that are let through, such as http://127.0.0.1:8081; else they are answered "
     "here with 200", .meta = "URL"},
    LIMIT_ROWS(GIVEN)
    {"rules", SD_OPT_TABLE, NULL, "limits for some requests, all or none of which are taken; with them the one above only when its "
     "rate is set", .cli = "rule", .sub = rule_options, .reload = true},
    {"headers", SD_OPT_LIST, "x,draft8", "fields that tell the limit: x (X-RateLimit-*), draft6, draft7, draft8 (IETF), none",
     .reload = true},
    {"trusted-proxies", SD_OPT_LIST, NULL, "addresses or networks whose X-Forwarded-For or Forwarded says who the client is",
     .meta = "NET", .reload = true},
    {"api-port", SD_OPT_PORT, NULL, "where others may ask for decisions over HTTP; else nowhere"},
    {"resp-port", SD_OPT_PORT, NULL, "where others may ask for decisions with CL.THROTTLE; else nowhere"},
    {"memory", SD_OPT_SIZE, "64MiB", "for keys; a million take 46 MB", .min = 65536, .max = INT64_C(1) << 40},
    {"log-memory", SD_OPT_SIZE, "64MiB", "for the moments that sliding logs remember; beyond it they get coarser",
     .max = INT64_C(1) << 40},
    {"store", SD_OPT_STRING, NULL, "where servers that share these limits keep them: redis://[[USER:]PASSWORD@]HOST[:PORT][/DB]; else each for "
     "itself", .meta = "URL", .secret = true},
    {"store-timeout", SD_OPT_DURATION, "100ms", "for its answer, and for a connection to it"},
    {"store-down", SD_OPT_ENUM, "local", "without it: let all pass, answer 503, or let this server's share pass", .choices = "open|closed|local"},
    {"servers", SD_OPT_INT, "1", "how many servers share the limits, for their shares", .min = 1, .max = 10000, .reload = true},
    {"connect-timeout", SD_OPT_DURATION, "2s", "for a connection to the upstream"},
    {"answer-timeout", SD_OPT_DURATION, "30s", "for its answer to begin, and to go on"},
    {0},
};
