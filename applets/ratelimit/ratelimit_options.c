/* ratelimit_options.c - everything that can be set. */
#include "ratelimit.h"

#define GIVEN(text)     text
#define INHERITED(text) NULL /* in a rule's row: as it is for all */

static const struct sd_option rule_options[] = {
    SD_LIMIT_MATCH_ROWS
    SD_LIMIT_ROWS(INHERITED, NULL, false)
    {"domain", SD_OPT_STRING, NULL, "for /json of the API: the domain of its descriptors", .reload = true},
    {"descriptor", SD_OPT_LIST, NULL, "for /json of the API: the entries it is for, each key or key=value, * at a value's end for "
     "any; such a rule is not for requests", .meta = "KEY=VALUE", .reload = true},
    {0},
};

const struct sd_option rl_options[] = {
    {"port", SD_OPT_PORT, "8080", "where to listen", .letter = 'p'},
    {"upstream", SD_OPT_STRING, NULL, "where requests go that are let through, such as http://127.0.0.1:8081; else they are answered "
     "here with 200", .meta = "URL"},
    SD_LIMIT_ROWS(GIVEN, "10", false)
    {"rules", SD_OPT_TABLE, NULL, "limits for some requests, all or none of which are taken; with them the one above only when its "
     "rate is set", .cli = "rule", .sub = rule_options, .reload = true},
    {"headers", SD_OPT_LIST, "x,draft8", "fields that tell the limit: x (X-RateLimit-*), draft6, draft7, draft8 (IETF), none",
     .reload = true},
    {"trusted-proxies", SD_OPT_LIST, NULL, "addresses or networks whose X-Forwarded-For or Forwarded says who the client is",
     .meta = "NET", .reload = true},
    {"api-port", SD_OPT_PORT, NULL, "where others may ask for decisions over HTTP; else nowhere"},
    {"resp-port", SD_OPT_PORT, NULL, "where others may ask for decisions with CL.THROTTLE; else nowhere"},
    {"memory", SD_OPT_SIZE, "64MiB", "for keys; a million take 45 MB", .min = 65536, .max = INT64_C(1) << 40},
    {"log-memory", SD_OPT_SIZE, "64MiB", "for the moments that sliding logs remember; beyond it they get coarser",
     .max = INT64_C(1) << 40},
    {"store", SD_OPT_STRING, NULL, "where servers that share these limits keep them: redis://[[USER:]PASSWORD@]HOST[:PORT][/DB], or rediss:// over TLS; else each for "
     "itself", .meta = "URL", .secret = true},
    {"store-ca", SD_OPT_FILE, NULL, "PEM file with the CAs to trust for rediss://; else those of the system"},
    {"store-insecure", SD_OPT_BOOL, "false", "for rediss://, believe whoever answers"},
    {"store-timeout", SD_OPT_DURATION, "100ms", "for the answer of a store or a peer, and for a connection to it"},
    {"store-down", SD_OPT_ENUM, "local", "without that answer: let all pass, answer 503, or let this server's share pass",
     .choices = "open|closed|local"},
    {"servers", SD_OPT_INT, "1", "how many servers share the limits of a store, for their shares", .min = 1, .max = 10000, .reload = true},
    {"peers", SD_OPT_LIST, NULL, "all servers that share these limits among themselves, this one too, by their resp-port; the same list at each",
     .cli = "peer", .meta = "HOST:PORT", .pattern = "address"},
    {"self", SD_OPT_STRING, NULL, "which of the peers this one is", .meta = "HOST:PORT"},
    {"connect-timeout", SD_OPT_DURATION, "2s", "for a connection to the upstream"},
    {"answer-timeout", SD_OPT_DURATION, "30s", "for its answer to begin, and to go on"},
    {0},
};
