/* sh_schema.c - what is in the database.
 *
 *	links      a row a link. tags are here too, one a line, so that a redirect or a page of a list reads one table
 *	link_tags  the same tags the other way round: for lists of a tag
 *	counters   links: the next number that nobody has, of which ids and codes are made. clicks: all that were ever counted, from version 3 on,
 *	           also of days that are no longer kept and of links that were deleted; written with the batch that adds them up
 *	settings   what servers share and agreed on once: secrets, in hexadecimal digits
 *	api_keys   MACs of keys
 *
 * From version 2 on what was clicked; link 0 stands for all links together, days and hours are counted from 1970, kinds and what they
 * are called are those of clicks/sh_clicks.h:
 *
 *	click_state     one row; its version grows with each batch that was added up, so that two servers never add the same
 *	click_sources   how far each journal was read: in the transaction that added it up
 *	click_days      numbers of each kind of client
 *	click_hours     the same, until the days alone are kept
 *	click_shares    of the clicks of a day: by referrer, country, device, browser, system
 *	click_visitors  a HyperLogLog of each day (core/hll.h)
 *	click_links     in which order links changed: for what is shown live
 *	click_orphans   codes that were asked for and are none
 */
#include "sh_schema.h"

static const char *const version_1[] = {
    "CREATE TABLE links ("
    " id @id,"
    " code @text NOT NULL UNIQUE,"
    " url @text NOT NULL,"
    " url_hash BIGINT NOT NULL,"
    " title TEXT,"
    " tags TEXT NOT NULL,"
    " status BIGINT NOT NULL,"
    " disabled BIGINT NOT NULL,"
    " forward_query BIGINT NOT NULL,"
    " alias BIGINT NOT NULL,"
    " created_ms BIGINT NOT NULL,"
    " changed_ms BIGINT NOT NULL,"
    " valid_from_ms BIGINT NOT NULL,"
    " valid_until_ms BIGINT NOT NULL,"
    " max_visits BIGINT NOT NULL,"
    " clicks BIGINT NOT NULL,"
    " uses BIGINT NOT NULL)",
    "CREATE INDEX links_url ON links (url_hash)",
    "CREATE INDEX links_created ON links (created_ms)",
    "CREATE INDEX links_alias ON links (code) WHERE alias = 1",
    "CREATE TABLE link_tags (tag @text NOT NULL, link BIGINT NOT NULL, PRIMARY KEY (tag, link)) @clustered",
    "CREATE INDEX link_tags_link ON link_tags (link)",
    "CREATE TABLE counters (name @text PRIMARY KEY, next BIGINT NOT NULL)",
    "INSERT INTO counters (name, next) VALUES ('links', 1)",
    "CREATE TABLE settings (name @text PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE api_keys (name @text PRIMARY KEY, mac @text NOT NULL UNIQUE, hint TEXT NOT NULL, created_ms BIGINT NOT NULL)",
    NULL,
};

#define CLICK_KINDS " clicks BIGINT NOT NULL, bots BIGINT NOT NULL, previews BIGINT NOT NULL, prefetches BIGINT NOT NULL,"

static const char *const version_2[] = {
    "CREATE TABLE click_state (id @id, version BIGINT NOT NULL)",
    "INSERT INTO click_state (id, version) VALUES (1, 1)",
    "CREATE TABLE click_sources (source BIGINT PRIMARY KEY, seq BIGINT NOT NULL, seen_ms BIGINT NOT NULL)",
    "CREATE TABLE click_days (link BIGINT NOT NULL, day BIGINT NOT NULL," CLICK_KINDS " PRIMARY KEY (link, day)) @clustered",
    "CREATE TABLE click_hours (link BIGINT NOT NULL, hour BIGINT NOT NULL," CLICK_KINDS " PRIMARY KEY (link, hour)) @clustered",
    "CREATE INDEX click_hours_hour ON click_hours (hour)",
    "CREATE TABLE click_shares (link BIGINT NOT NULL, day BIGINT NOT NULL, kind BIGINT NOT NULL, name @text NOT NULL,"
    " clicks BIGINT NOT NULL, PRIMARY KEY (link, day, kind, name)) @clustered",
    "CREATE TABLE click_visitors (link BIGINT NOT NULL, day BIGINT NOT NULL, sketch @blob NOT NULL, PRIMARY KEY (link, day))",
    "CREATE TABLE click_links (link BIGINT PRIMARY KEY, version BIGINT NOT NULL)",
    "CREATE INDEX click_links_version ON click_links (version)",
    "CREATE TABLE click_orphans (path @text PRIMARY KEY, n BIGINT NOT NULL, last_ms BIGINT NOT NULL)",
    NULL,
};

static const char *const version_3[] = {
    "INSERT INTO counters (name, next) SELECT 'clicks', CASE WHEN d.n > l.n THEN d.n ELSE l.n END"
    " FROM (SELECT COALESCE(SUM(clicks), 0) AS n FROM click_days WHERE link = 0) d, (SELECT COALESCE(SUM(clicks), 0) AS n FROM links) l",
    NULL,
};

const struct sd_sql_migration sh_schema[] = {
    {1, version_1},
    {2, version_2},
    {3, version_3},
};
const size_t sh_schema_versions = sizeof(sh_schema) / sizeof(sh_schema[0]);
