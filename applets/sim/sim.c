/* sim - estimates of what a system can carry. Its face; so far it has one verb. */
#include "sim.h"

static const struct sd_option machine_options[] = {
    {"dir", SD_OPT_FILE, NULL, "the folder whose disk is tried; this one, or $TMPDIR when it cannot be written",
     .meta = "DIR"},
    {"quick", SD_OPT_BOOL, "false", "measure for half a second instead of two"},
    {"json", SD_OPT_BOOL, "false", "for programs"},
    {0},
};

static const struct sd_verb verbs[] = {
    {"machine", "", "what this machine can carry: its limits, and what they mean for a server", machine_options, 0, 0,
     sim_machine},
    {0},
};

const struct sd_applet sd_applet_sim = {
    .name = "sim",
    .summary = "estimates of what a system can carry",
    .description = "Before you add machines, know what one can do. `sdlab sim machine` reads the limits of this one, "
		   "measures its memory, disk and loopback for two seconds, and says what each means for a server.",
    .examples = "sdlab sim machine\n"
		"sdlab sim machine --quick --dir /var/lib\n"
		"sdlab sim machine --json",
    .verbs = verbs,
};
