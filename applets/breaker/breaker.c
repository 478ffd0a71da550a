/* breaker - a circuit breaker to look at: what it does with a flaky service, or would have done. Its face. */
#include "breaker.h"

static const struct sd_option test_options[] = {
    {"url", SD_OPT_STRING, NULL, "where requests go", .required = true, .meta = "URL"},
    {"requests", SD_OPT_INT, "100", "how many", .min = 1, .max = INT64_MAX, .letter = 'n'},
    {"interval", SD_OPT_DURATION, "750ms", "between the end of one and the next", .min = 0, .max = INT64_MAX},
    {"timeout", SD_OPT_DURATION, "5s", "a request that takes longer failed", .min = 1, .max = INT64_MAX},
    BREAKER_RULES,
    {"ca", SD_OPT_FILE, NULL, "certificates that vouch for the server; else those of the system"},
    {"insecure", SD_OPT_BOOL, "false", "believe whoever answers"},
    {"verbose", SD_OPT_BOOL, "false", "every rejection, with its reason", .letter = 'v'},
    {"json", SD_OPT_BOOL, "false", "for programs: one object at the end"},
    {0},
};

static const struct sd_option replay_options[] = {
    BREAKER_RULES,
    {"states", SD_OPT_BOOL, "false", "only \"called\" or \"rejected\" and the state after it, a line each"},
    {"verbose", SD_OPT_BOOL, "false", "every rejection, with its reason", .letter = 'v'},
    {"json", SD_OPT_BOOL, "false", "for programs: one object at the end"},
    {0},
};

static const struct sd_verb verbs[] = {
    {"", "", "send requests through a breaker, one after the other, and say what it does", test_options, 0, 0, breaker_test},
    {"replay", "FILE", "say what it would have done with these outcomes", replay_options, 1, 1, breaker_replay},
    {0},
};

static const struct sd_alias aliases[] = {{"circuit-test", ""}, {0}};

const struct sd_applet sd_applet_breaker = {
    .name = "breaker",
    .summary = "a circuit breaker at work: fails fast, tries again with care, says why",
    .description = "Sends requests to a service through a circuit breaker and tells what becomes of each, or plays outcomes of a file "
		   "to one. The breaker is in the library, for your own programs: man 3 sdlab_breaker.",
    .examples = "sdlab breaker --url http://127.0.0.1:8080 --requests 100\n"
		"sdlab breaker --url http://127.0.0.1:8080 --failure-rate 50% --window-time 10s --minimum 20 --open 5s\n"
		"sdlab breaker replay outcomes.txt --consecutive 3 --open 10s",
    .next = "man sdlab-breaker",
    .aliases = aliases,
    .no_common = true,
    .verbs = verbs,
};
