/* pool - a connection pool to look at. Its face. */
#include "pool.h"

static const struct sd_option test_options[] = {
    {"max-conns", SD_OPT_INT, "10", "how many connections the pool has at most", .min = 1, .max = 1000},
    {"concurrent-users", SD_OPT_INT, "50", "threads that want one", .min = 1, .max = 1000},
    {"hold", SD_OPT_DURATION, "20ms", "how long a user has one", .min = 0, .max = 3600000000000},
    {"timeout", SD_OPT_DURATION, "30s", "how long a user waits for one", .min = 1, .max = 3600000000000},
    {"idle-timeout", SD_OPT_DURATION, "5m", "what is idle longer is closed", .min = 1000000000, .max = 86400000000000},
    {"leak-after", SD_OPT_DURATION, "60s", "what is lent longer is told", .min = 1000000000, .max = 86400000000000},
    {"target", SD_OPT_ADDRESS, NULL, "connect to this server; else both ends of each connection are in this process"},
    {"real-time", SD_OPT_BOOL, "false", "wait for what takes minutes, instead of putting the pool's clock ahead"},
    {"top", SD_OPT_BOOL, "false", "users come again and again; watch the pool"},
    {"duration", SD_OPT_DURATION, "10s", "how long, with --top", .min = 1, .max = 86400000000000},
    {"json", SD_OPT_BOOL, "false", "for programs"},
    {0},
};

static const struct sd_verb verbs[] = {
    {"test", "", "users that want more connections than there are, and what the pool does", test_options, 0, 0, pool_test},
    {0},
};

static const struct sd_alias aliases[] = {{"pool-test", "test"}, {0}};

const struct sd_applet sd_applet_pool = {
    .name = "pool",
    .summary = "a connection pool: users that wait, idle ones that are closed, leaks that are found",
    .description = "Threads as users share fewer connections than they are: they wait in a queue, what comes back goes to the first "
		   "of them, what is idle too long is closed, and who does not give back is named with file and line. The pool "
		   "itself is a library, sdlab_pool(3); lb and all clients of HTTP here use it.",
    .examples = "sdlab pool test --max-conns 10 --concurrent-users 50\n"
		"sdlab pool test --timeout 10ms\n"
		"sdlab pool test --target 127.0.0.1:5432 --max-conns 4\n"
		"sdlab pool test --top",
    .aliases = aliases,
    .no_common = true,
    .verbs = verbs,
};
