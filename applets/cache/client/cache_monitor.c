/* cache_monitor.c - what is asked, as it happens: the lines of MONITOR, with a time a person can read. */
#include <inttypes.h>
#include <stdlib.h>

#include "cache_cli.h"
#include "core/time_text.h"

/* 1795336593.233000 [0 127.0.0.1:50692] "set" "a b" "c\"d" */
static bool take_head(struct sd_slice line, int64_t *wall_ns, int *db, struct sd_slice *client, struct sd_slice *command)
{
	char *end;
	int64_t s = strtoll(line.p, &end, 10); /* a value of a tree ends with a zero byte */
	const char *bracket = memchr(line.p, ']', line.n);
	if (*end != '.' || !bracket || s < 0 || s > INT64_MAX / 1000000000 - 1)
		return false;
	*wall_ns = s * 1000000000 + strtoll(end + 1, &end, 10) * 1000;
	if (strncmp(end, " [", 2) != 0)
		return false;
	*db = (int)strtol(end + 2, &end, 10);
	if (*end != ' ' || end >= bracket)
		return false;
	*client = (struct sd_slice){end + 1, (size_t)(bracket - end) - 1};
	*command = (struct sd_slice){bracket + 1, line.n - (size_t)(bracket + 1 - line.p)};
	return true;
}

static void show(FILE *out, struct sd_slice line, bool screen)
{
	char time[SD_TIME_TEXT];
	int64_t wall_ns;
	int db;
	struct sd_slice client, command;
	if (!take_head(line, &wall_ns, &db, &client, &command)) {
		sd_resp_show_text(out, line, screen);
		fputc('\n', out);
		return;
	}
	sd_time_text(time, wall_ns);
	/* the time of the day is enough */
	fprintf(out, "%.12s  %-21.*s  %d ", time + 11, (int)client.n, client.p, db);
	sd_resp_show_text(out, command, screen);
	fputc('\n', out);
}

int cache_run_monitor(struct sd_verb_call *call)
{
	struct sd_resp_cli cli;
	struct sd_error e = {0};
	const struct sd_resp_value *v = NULL;
	bool screen = sd_world_is_terminal(call->world, 1);
	int status = sd_resp_cli_begin(&cli, &cache_cli_kind, call);
	if (!status)
		v = sd_resp_cli_ask(&cli, (const char *const[]){"MONITOR"}, 1);
	while (v && sd_resp_client_next(cli.conn, SD_NEVER, &v, &e) == SD_OK) {
		show(call->out, v->text, screen);
		if (fflush(call->out))
			break;
	}
	if (e.code)
		sd_resp_cli_fail(&cli, e.text);
	sd_resp_cli_end(&cli);
	return status ? status : 1; /* it goes on until somebody ends it */
}
