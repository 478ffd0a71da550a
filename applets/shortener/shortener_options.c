/* shortener_options.c - everything that can be set. */
#include "shortener.h"

const struct sd_option sh_options[] = {
    {"port", SD_OPT_PORT, "8080", "where to listen", .letter = 'p'},

    {"role", SD_OPT_ENUM, "server", "a server, or a worker, which serves nobody and counts the clicks that servers put into the queue of --events",
     .choices = "server|worker"},

    /* where things are kept */
    {"data-dir", SD_OPT_FILE, "shortener-data", "folder of the database, when --db names no other, and of clicks"},
    {"db", SD_OPT_STRING, NULL, "database of the links: a file of SQLite or postgres://[USER:PASSWORD@]HOST[:PORT]/NAME; else links.db in "
     "the data folder", .meta = "URL", .secret = true, .pattern = "file"},
    {"cache", SD_OPT_STRING, NULL, "cache that servers share: redis://[[USER:]PASSWORD@]HOST[:PORT][/DB]; else each has its own only",
     .meta = "URL", .secret = true},
    {"cache-prefix", SD_OPT_STRING, "short:", "what its keys there begin with: the same for all servers on one database", .meta = "TEXT"},
    {"cache-timeout", SD_OPT_DURATION, "500ms", "how long to wait for it, and for the store of --create-limit"},
    {"cache-size", SD_OPT_SIZE, "64MiB", "memory for links that are at hand, of all threads together", .min = 65536, .max = 1ll << 40},
    {"cache-life", SD_OPT_DURATION, "10m", "how long a link is kept at hand and in the cache without asking the database again"},
    {"unknown-life", SD_OPT_DURATION, "10s", "the same of codes that are none"},
    {"stale-while-down", SD_OPT_DURATION, "1h", "how much longer links redirect while the database is away"},
    {"lookup-timeout", SD_OPT_DURATION, "2s", "how long a redirect waits for the database before it says 503"},
    {"events", SD_OPT_STRING, NULL, "queue that clicks go to: amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST]; else they are added up here",
     .meta = "URL", .secret = true},

    /* clicks */
    {"analytics", SD_OPT_BOOL, "true", "whether clicks are recorded and counted"},
    {"click-sync", SD_OPT_ENUM, "interval", "when a click is on the disk: always before its answer, within a second or so, or when the kernel likes; the "
     "death of the program loses none", .choices = "always|interval|never"},
    {"click-queue", SD_OPT_STRING, "sdlab.clicks", "name of the queue, with --events", .meta = "NAME"},
    {"click-retention", SD_OPT_DURATION, "9600h", "how long the statistics of a day are kept; 0: for ever"},
    {"geo", SD_OPT_FILE, NULL, "file in MaxMind's format that tells the country of an address; else none is known"},

    /* links */
    {"base-url", SD_OPT_STRING, NULL, "what short URLs begin with, such as https://s.example.com; else the host that was asked",
     .meta = "URL", .reload = true},
    {"code-method", SD_OPT_ENUM, "counter", "how codes are made that nobody chose: of a counter, or of the first seven digits of the MD5 of the URL, which "
     "costs look-ups", .choices = "counter|md5-hex|md5-base62"},
    {"redirect-status", SD_OPT_ENUM, "301", "how links redirect that do not say it themselves", .choices = "301|302|307|308",
     .reload = true},

    /* who may */
    {"create-limit", SD_OPT_STRING, "100/min", "links that each API key, or address, may make: COUNT/TIME or none", .reload = true,
     .meta = "COUNT/TIME"},
    {"create-limit-store", SD_OPT_STRING, NULL, "where servers that share --create-limit keep it: redis://[[USER:]PASSWORD@]HOST[:PORT][/DB], rediss:// over "
     "TLS, or cache for the one of --cache; else each server for itself", .meta = "URL", .secret = true},
    {"create-limit-store-ca", SD_OPT_FILE, NULL, "PEM file with the CAs to trust for rediss://; else those of the system"},
    {"api-key-required", SD_OPT_BOOL, "false", "changes, lists and statistics need an API key, also when there is none yet",
     .reload = true},
    {"trusted-proxies", SD_OPT_LIST, NULL, "addresses or networks whose X-Forwarded-For or Forwarded says who the client is",
     .meta = "NET"},

    /* the dashboard */
    {"dashboard-password", SD_OPT_STRING, NULL, "password of /dashboard; the API then wants it or an API key; without one the dashboard opens on this machine only",
     .secret = true},
    {"dashboard-password-file", SD_OPT_FILE, NULL, "file that holds it"},
    {0},
};
