/* sh_schema.c - what is in the database.
 *
 *	links      a row a link. tags are here too, one a line, so that a redirect or a page of a list reads one table
 *	link_tags  the same tags the other way round: for lists of a tag
 *	counters   the next number that nobody has: ids of links, from which codes are made
 *	settings   what servers share and agreed on once: secrets, in hexadecimal digits
 *	api_keys   MACs of keys
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

const struct sd_sql_migration sh_schema[] = {
    {1, version_1},
};
const size_t sh_schema_versions = sizeof(sh_schema) / sizeof(sh_schema[0]);
