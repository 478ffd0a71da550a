/* sh_schema.h - the tables of the shortener, all of them, version by version. */
#ifndef SH_SCHEMA_H
#define SH_SCHEMA_H

#include "disk/sql.h"

/* One that was shipped never changes; a change is a version more, at the end. */
extern const struct sd_sql_migration sh_schema[];
extern const size_t sh_schema_versions;

#endif
