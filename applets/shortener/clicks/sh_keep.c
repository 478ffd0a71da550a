/* sh_keep.c - what is not kept for ever. Days are counted beside hours from the first, so that rolling hours up into days is to let the hours
 * go. */
#include "sh_clicks_int.h"

#define HOURS_DAYS  14
#define MOST_ORPHANS 10000

void sh_keep_run(struct sd_sql *sql, int64_t now_ms, int64_t retention_ms)
{
	struct sd_sql_job *j = sd_sql_write(sql);
	int64_t day = now_ms / SH_DAY_MS, last = day - retention_ms / SH_DAY_MS;
	struct sd_sql_value oldest = sd_sql_int(last), oldest_ms = sd_sql_int(last * SH_DAY_MS);
	sd_sql_alone(j);
	sd_sql_add(j, "DELETE FROM click_hours WHERE hour < $1", 1, SD_SQL_ARGS(sd_sql_int((day - HOURS_DAYS) * 24)));
	sd_sql_add(j, "DELETE FROM click_orphans WHERE path IN (SELECT path FROM click_orphans ORDER BY last_ms DESC, path LIMIT 1000000000 OFFSET $1)", 1,
		   SD_SQL_ARGS(sd_sql_int(MOST_ORPHANS)));
	if (retention_ms > 0) {
		sd_sql_add(j, "DELETE FROM click_days WHERE day < $1", 1, &oldest);
		sd_sql_add(j, "DELETE FROM click_shares WHERE day < $1", 1, &oldest);
		sd_sql_add(j, "DELETE FROM click_visitors WHERE day < $1", 1, &oldest);
		sd_sql_add(j, "DELETE FROM click_orphans WHERE last_ms < $1", 1, &oldest_ms);
		sd_sql_add(j, "DELETE FROM click_sources WHERE seen_ms < $1", 1, &oldest_ms);
	}
	sd_sql_run(j, NULL, NULL); /* what could not be is done the next time */
}
