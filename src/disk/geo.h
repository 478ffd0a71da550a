/* geo.h - the country of an address, out of a file in MaxMind's format (GeoLite2-Country, DB-IP, and others), read by libmaxminddb.
 *
 * The file is mapped, and only read: any number of threads may ask at once. It must not be changed in place; a new one is put in its
 * place by renaming, and opened at the next start.
 */
#ifndef SD_DISK_GEO_H
#define SD_DISK_GEO_H

#include <stdbool.h>
#include <stdint.h>

#include "sdlab/err.h"

struct sd_geo;

/* SD_ENOTFOUND, SD_EPERM: it cannot be read; SD_EINVAL: it is no such file, or tells no countries. */
enum sd_err sd_geo_open(const char *file, struct sd_geo **out, struct sd_error *e);
void sd_geo_close(struct sd_geo *g); /* NULL is fine */
/* Two letters (ISO 3166-1 alpha-2). False: it is not known; g NULL: none is. */
bool sd_geo_country(const struct sd_geo *g, const uint8_t ip[16], bool v6, char out[2]);

#endif
