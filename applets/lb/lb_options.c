/* lb_options.c - everything that can be set: one table a group. */
#include "lb.h"

#define GIVEN(text)     text
#define INHERITED(text) NULL /* in a pool's row: as it is for all */
#define ALGORITHMS      "round-robin|least-connections|random-two-choices|least-latency|hash"

static const struct sd_option backend_options[] = {
    {"address", SD_OPT_ADDRESS, NULL, "where it listens", .required = true},
    {"name", SD_OPT_STRING, NULL, "what it is called in metrics and commands; else its address"},
    {"weight", SD_OPT_INT, "1", "its share beside the others; 0 for none", .max = SD_BALANCE_MAX_WEIGHT},
    {"max-connections", SD_OPT_INT, "0", "requests at a time, the rest wait; 0 for no limit", .max = 1000000},
    {"send-proxy", SD_OPT_ENUM, "off",
     "PROXY header that its connections begin with; each is used for one request", .choices = "off|v1|v2"},
    {"tls", SD_OPT_BOOL, "false", "speak TLS to it, in health checks too"},
    {"tls-ca", SD_OPT_FILE, NULL, "PEM file with the CAs to trust; else those of the system"},
    {"tls-name", SD_OPT_STRING, NULL, "name to ask for and to find in its certificate; else its host",
     .meta = "NAME"},
    {"tls-verify", SD_OPT_BOOL, "true", "whether its certificate is checked"},
    {"backup", SD_OPT_BOOL, "false", "used only while no other backend of its pool is usable"},
    {"pool", SD_OPT_STRING, LB_DEFAULT_POOL, "the pool it is in", .meta = "NAME"},
    {0},
};

#define HEALTH_ROWS(DEF) \
	{"type", SD_OPT_ENUM, DEF("auto"), "what a check does; auto: http in HTTP mode, else tcp", \
	 .choices = "auto|http|tcp|none", .reload = true}, \
	{"interval", SD_OPT_DURATION, DEF("5s"), "between two checks of a backend", .reload = true}, \
	{"jitter", SD_OPT_PERCENT, DEF("10%"), "up to this much earlier or later, at random", .reload = true}, \
	{"timeout", SD_OPT_DURATION, DEF("2s"), "a check that takes longer failed", .reload = true}, \
	{"fall", SD_OPT_INT, DEF("3"), "failed checks in a row until it is down", .min = 1, .max = 1000, .reload = true}, \
	{"rise", SD_OPT_INT, DEF("2"), "passed checks in a row until it is up", .min = 1, .max = 1000, .reload = true}, \
	{"path", SD_OPT_STRING, DEF("/"), "what an http check asks for", .reload = true}, \
	{"host", SD_OPT_STRING, NULL, "its Host field; else the address", .reload = true}, \
	{"status", SD_OPT_STRING, DEF("200-399"), "what it must answer: a status or a range", .reload = true},

static const struct sd_option health_options[] = {HEALTH_ROWS(GIVEN) {0}};
static const struct sd_option pool_health_options[] = {HEALTH_ROWS(INHERITED) {0}};

static const struct sd_option eject_options[] = {
    {"failures", SD_OPT_INT, "5", "failed requests in a row until a backend is left out; 0 for never",
     .max = 1000000, .reload = true},
    {"rate", SD_OPT_PERCENT, "0%", "or share of its requests that failed within the window; 0% for never", .reload = true},
    {"window", SD_OPT_DURATION, "10s", "what the rate is of", .min = 10000000, .max = 3600000000000, .reload = true},
    {"minimum", SD_OPT_INT, "20", "requests to it, of each thread, before the rate counts", .min = 1, .max = 1000000, .reload = true},
    {"observe", SD_OPT_ENUM, "layer4", "what failed: layer4, no answer came; layer7, or one of 5xx but 501 and 505", .choices = "layer4|layer7",
     .reload = true},
    {"retry-after", SD_OPT_DURATION, "0s",
     "Retry-After of a 503 is heeded at once, and it is left out for so long, at most this; 0 for never", .reload = true},
    {"time", SD_OPT_DURATION, "10s", "for how long, times how often it happened", .reload = true},
    {"max-time", SD_OPT_DURATION, "5m", "the longest that this grows to; the time at least", .reload = true},
    {"jitter", SD_OPT_PERCENT, "0%", "up to this share of it less, at random", .reload = true},
    {"permits", SD_OPT_INT, "0", "then trial requests at a time, of all threads together; 0 for all requests at once",
     .max = SD_BREAKER_MAX_PERMITS, .reload = true},
    {"successes", SD_OPT_INT, "2", "trial requests in a row that must succeed until it gets all", .min = 1,
     .max = SD_BREAKER_MAX_PERMITS, .reload = true},
    {"max", SD_OPT_PERCENT, "50%", "share of the backends that may be left out at a time", .reload = true},
    {0},
};

static const struct sd_option queue_options[] = {
    {"size", SD_OPT_INT, "1024", "requests a thread may keep waiting for a connection to a backend",
     .max = 1000000, .reload = true},
    {"timeout", SD_OPT_DURATION, "5s", "how long one waits", .reload = true},
    {0},
};

#define HASH_ROWS(DEF) \
	{"on", SD_OPT_ENUM, DEF("client"), "what of a request decides with algorithm hash", \
	 .choices = "client|header|cookie|query|path", .reload = true}, \
	{"name", SD_OPT_STRING, NULL, "of the header, cookie or query key", .reload = true}, \
	{"bound", SD_OPT_NUMBER, DEF("1.25"), "times its fair part of the requests that a backend may have; 0 for no bound", \
	 .reload = true}, \
	{"seed", SD_OPT_STRING, NULL, "a text, so that nobody outside knows which keys share a backend", .reload = true, \
	 .secret = true},

static const struct sd_option hash_options[] = {HASH_ROWS(GIVEN) {0}};
static const struct sd_option pool_hash_options[] = {HASH_ROWS(INHERITED) {0}};

/* The key of the cookies is one for all pools. */
static const struct sd_option pool_sticky_options[] = {
    {"cookie", SD_OPT_STRING, NULL, "name of the pool's cookie; an empty one for none", .reload = true},
    {"max-age", SD_OPT_DURATION, NULL, "how long a browser keeps it; 0 for as long as it runs",
     .reload = true},
    {0},
};

static const struct sd_option sticky_options[] = {
    {"cookie", SD_OPT_STRING, NULL, "name of the cookie that keeps a client at its backend", .reload = true},
    {"secret", SD_OPT_STRING, NULL, "signs it, at least 16 bytes; else one is made at start", .reload = true,
     .secret = true},
    {"secret-file", SD_OPT_FILE, NULL, "file that holds the secret", .reload = true},
    {"max-age", SD_OPT_DURATION, "0s", "how long a browser keeps it; 0 for as long as it runs",
     .reload = true},
    {0},
};

#define PANIC_ROWS(DEF) \
	{"threshold", SD_OPT_PERCENT, DEF("0%"), "when fewer of the backends than this are usable; 0 for never", \
	 .reload = true}, \
	{"use", SD_OPT_ENUM, DEF("all"), "then use all, whatever their health, or none", .choices = "all|none", .reload = true},

static const struct sd_option panic_options[] = {PANIC_ROWS(GIVEN) {0}};
static const struct sd_option pool_panic_options[] = {PANIC_ROWS(INHERITED) {0}};

/* A row sets what is not as for all pools. */
static const struct sd_option pool_options[] = {
    {"name", SD_OPT_STRING, NULL, "what routes and backends call it", .required = true},
    {"algorithm", SD_OPT_ENUM, NULL, "who takes the next request", .choices = ALGORITHMS, .reload = true},
    {"health", SD_OPT_GROUP, NULL, "active checks", .sub = pool_health_options, .reload = true},
    {"hash", SD_OPT_GROUP, NULL, "which backend a request belongs to", .sub = pool_hash_options,
     .reload = true},
    {"sticky", SD_OPT_GROUP, NULL, "keeping a client at its backend", .sub = pool_sticky_options,
     .reload = true},
    {"panic", SD_OPT_GROUP, NULL, "when too few of its backends are usable", .sub = pool_panic_options,
     .reload = true},
    {"slow-start", SD_OPT_DURATION, NULL, "how long a backend that came back gets a rising part",
     .reload = true},
    {"retries", SD_OPT_INT, NULL, "other backends of the pool to try", .max = 16, .reload = true},
    {"connect-timeout", SD_OPT_DURATION, NULL, "for a connection to a backend", .reload = true},
    {"answer-timeout", SD_OPT_DURATION, NULL, "for a backend's answer to begin, and to go on",
     .reload = true},
    {0},
};

static const struct sd_option request_header_options[] = {
    {"set", SD_OPT_LIST, NULL, "a field in place of all of its name; may hold {host} {path} {query} {uri} {client} "
     "{scheme} {method}", .meta = "FIELD", .whole = true, .reload = true},
    {"add", SD_OPT_LIST, NULL, "a field beside those of its name", .meta = "FIELD", .whole = true, .reload = true},
    {"remove", SD_OPT_LIST, NULL, "the name of a field that does not go on", .meta = "NAME", .reload = true},
    {0},
};

static const struct sd_option answer_header_options[] = {
    {"set", SD_OPT_LIST, NULL, "a field in place of all of its name", .meta = "FIELD", .whole = true, .reload = true},
    {"add", SD_OPT_LIST, NULL, "a field beside those of its name", .meta = "FIELD", .whole = true, .reload = true},
    {"remove", SD_OPT_LIST, NULL, "the name of a field that does not go on", .meta = "NAME", .reload = true},
    {0},
};

static const struct sd_option route_options[] = {
    {"path", SD_OPT_STRING, "/", "the beginning of the path, by whole segments"},
    {"host", SD_OPT_LIST, NULL, "names such as api.test or *.test; in TCP mode those of SNI; else any", .meta = "NAME"},
    {"listener", SD_OPT_LIST, NULL, "names of listeners, main for the port; else all", .meta = "NAME"},
    {"name", SD_OPT_STRING, NULL, "what it is called in metrics and explanations; else host and path"},
    {"pool", SD_OPT_STRING, NULL, "where its requests go; else to the pool called default"},
    {"split", SD_OPT_LIST, NULL, "pools that share them by weight, such as stable=95,canary=5", .meta = "POOL=WEIGHT"},
    {"split-by", SD_OPT_ENUM, "request", "who stays with a pool: each request for itself, or a client's address",
     .choices = "request|client"},
    {"redirect", SD_OPT_STRING, NULL, "answer with this Location; may hold {scheme} {host} {hostname} {path} {query} {uri} {rest}",
     .meta = "URL"},
    {"status", SD_OPT_INT, NULL, "of the redirect, 308 when not set; or of an answer with the text of body", .min = 200,
     .max = 599},
    {"body", SD_OPT_STRING, NULL, "text of that answer"},
    {"files", SD_OPT_FILE, NULL, "answer with the files below this folder; the path of the rule is no part of their names",
     .meta = "DIR"},
    {"index", SD_OPT_STRING, "index.html", "the file that stands for a folder; an empty one for none"},
    {"precompressed", SD_OPT_BOOL, "false", "send NAME.zst or NAME.gz instead to those that take it"},
    {"links", SD_OPT_BOOL, "true", "follow symbolic links that stay below the folder"},
    {"compress", SD_OPT_BOOL, "false", "compress answers with gzip or zstd; not where they hold secrets beside what a "
     "client sent"},
    {"rewrite", SD_OPT_STRING, NULL, "what the path of the rule becomes on the way to the backend", .meta = "PATH"},
    {"max-body", SD_OPT_SIZE, NULL, "largest request body; else as for all"},
    {"request-headers", SD_OPT_GROUP, NULL, "fields changed on the way to the backend", .sub = request_header_options},
    {"answer-headers", SD_OPT_GROUP, NULL, "fields changed on the way to the client", .sub = answer_header_options},
    {0},
};

static const struct sd_option limit_options[] = {
    SD_LIMIT_MATCH_ROWS
    {"route", SD_OPT_STRING, NULL, "only requests for which the route of this name counts", .meta = "NAME", .reload = true},
    SD_LIMIT_ROWS(GIVEN, NULL, true)
    {0},
};

const struct sd_option lb_options[] = {
    {"port", SD_OPT_PORT, "8080", "where to listen", .letter = 'p'},
    {"admin", SD_OPT_ADDRESS, "127.0.0.1:8079", "where /metrics and the /-/ endpoints answer"},
    {"mode", SD_OPT_ENUM, "http", "what is balanced: requests or connections", .choices = "http|tcp"},
    {"algorithm", SD_OPT_ENUM, "round-robin", "who takes the next request", .choices = ALGORITHMS,
     .reload = true},
    {"backends", SD_OPT_TABLE, NULL, "the servers behind it", .cli = "backend", .sub = backend_options,
     .reload = true},
    {"pools", SD_OPT_TABLE, NULL, "groups of backends, and what is otherwise in them than for all",
     .cli = "pool", .sub = pool_options, .reload = true},
    {"routes", SD_OPT_TABLE, NULL, "rules by host and path: which pool, a redirect, an answer; the most particular one "
     "counts", .cli = "route", .sub = route_options, .reload = true},
    {"limits", SD_OPT_TABLE, NULL, "how many requests are taken, of whom and where to; of all limits that a request comes under, or of "
     "none; the others are answered with 429", .cli = "limit", .sub = limit_options, .reload = true},
    {"limit-headers", SD_OPT_LIST, "x,draft8", "fields that tell the limit to who is refused: x (X-RateLimit-*), draft6, draft7, "
     "draft8 (IETF), none", .reload = true},
    {"limit-memory", SD_OPT_SIZE, "64MiB", "for the keys of limits; a million take 45 MB", .min = 65536, .max = INT64_C(1) << 40},
    {"limit-log-memory", SD_OPT_SIZE, "64MiB", "for the moments that sliding logs remember; beyond it they get coarser",
     .max = INT64_C(1) << 40},
    {"request-headers", SD_OPT_GROUP, NULL, "fields changed on the way to a backend, before those of the route",
     .sub = request_header_options, .reload = true},
    {"answer-headers", SD_OPT_GROUP, NULL, "fields changed on the way to a client, before those of the route",
     .sub = answer_header_options, .reload = true},
    {"health", SD_OPT_GROUP, NULL, "active checks", .sub = health_options, .reload = true},
    {"eject", SD_OPT_GROUP, NULL, "leaving out backends that fail requests", .sub = eject_options,
     .reload = true},
    {"hash", SD_OPT_GROUP, NULL, "which backend a request belongs to, for algorithm hash",
     .sub = hash_options, .reload = true},
    {"sticky", SD_OPT_GROUP, NULL, "keeping a client at its backend by a cookie", .sub = sticky_options,
     .reload = true},
    {"panic", SD_OPT_GROUP, NULL, "when too few backends are usable", .sub = panic_options, .reload = true},
    {"slow-start", SD_OPT_DURATION, "0s", "how long a backend that came back gets a rising part of its share",
     .reload = true},
    {"queue", SD_OPT_GROUP, NULL, "waiting for a backend with a free connection", .sub = queue_options,
     .reload = true},
    {"retries", SD_OPT_INT, "1", "other backends to try when one fails before it answered", .max = 16,
     .reload = true},
    {"retry-budget", SD_OPT_PERCENT, "20%", "of the requests of ten seconds may be tried again",
     .reload = true},
    {"retry-budget-min", SD_OPT_INT, "3", "retries a second that are always allowed", .max = 1000000,
     .reload = true},
    {"retry-buffer", SD_OPT_SIZE, "64KiB", "request bodies up to this size can be sent again", .min = 0,
     .max = 16 << 20, .reload = true},
    {"connect-timeout", SD_OPT_DURATION, "2s", "for a connection to a backend", .reload = true},
    {"answer-timeout", SD_OPT_DURATION, "30s", "for a backend's answer to begin, and to go on",
     .reload = true},
    {"keep-idle", SD_OPT_INT, "1024", "idle connections kept to each backend, a thread", .max = 1000000,
     .reload = true},
    {"keep-idle-time", SD_OPT_DURATION, "30s", "how long they are kept", .reload = true},
    {"tunnel-timeout", SD_OPT_DURATION, "1h",
     "for a tunnel in which nothing moves: a TCP connection, a WebSocket", .reload = true},
    {"trusted-proxies", SD_OPT_LIST, NULL,
     "addresses or networks whose X-Forwarded-* and Forwarded are believed", .reload = true, .meta = "NET"},
    {"access-log", SD_OPT_FILE, NULL,
     "write a line for each request to this file, or - for standard output; else none", .reload = true},
    {"access-log-format", SD_OPT_ENUM, "human", "how these lines look",
     .choices = "human|json|common|combined", .reload = true},
    {"why-header", SD_OPT_ENUM, "trusted",
     "who may ask with X-Sdlab-Why: 1 which backends were weighed; trusted: "
     "trusted-proxies and this machine",
     .choices = "off|trusted", .reload = true},
    {"trace", SD_OPT_BOOL, "true", "pass traceparent (W3C Trace Context) on, or begin one", .reload = true},
    {"forwarded", SD_OPT_ENUM, "x-forwarded",
     "fields that tell a backend who the client is: X-Forwarded-*, or Forwarded",
     .choices = "x-forwarded|forwarded|both", .reload = true},
    {"upgrades", SD_OPT_LIST, "websocket",
     "protocols that a request may change to; any: all that carry no requests", .reload = true,
     .meta = "NAME"},
    {0},
};
