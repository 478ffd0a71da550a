/* shortener_options.c - everything that can be set. */
#include "shortener.h"

const struct sd_option sh_options[] = {
    {"port", SD_OPT_PORT, "8080", "where to listen", .letter = 'p'},

    /* where things are kept */
    {"data-dir", SD_OPT_FILE, "shortener-data", "folder of the database, when --db names no other, and of clicks"},
    {"db", SD_OPT_STRING, NULL, "database of the links: a file of SQLite or postgres://[USER:PASSWORD@]HOST[:PORT]/NAME; else links.db in "
     "the data folder", .meta = "URL", .secret = true},
    {"cache", SD_OPT_STRING, NULL, "cache that servers share: redis://[[USER:]PASSWORD@]HOST[:PORT][/DB]; else each has its own only",
     .meta = "URL", .secret = true},
    {"events", SD_OPT_STRING, NULL, "queue that clicks go to: amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST]; else they are added up here",
     .meta = "URL", .secret = true},

    /* links */
    {"base-url", SD_OPT_STRING, NULL, "what short URLs begin with, such as https://s.example.com; else the host that was asked",
     .meta = "URL", .reload = true},
    {"redirect-status", SD_OPT_ENUM, "301", "how links redirect that do not say it themselves", .choices = "301|302|307|308",
     .reload = true},
    {0},
};
