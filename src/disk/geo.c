#include "geo.h"

#include <maxminddb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

struct sd_geo {
	MMDB_s db;
};

static const char *const path[] = {"country", "iso_code", NULL};

enum sd_err sd_geo_open(const char *file, struct sd_geo **out, struct sd_error *e)
{
	struct sd_geo *g = calloc(1, sizeof(*g));
	*out = NULL;
	if (!g)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	int failed = MMDB_open(file, MMDB_MODE_MMAP, &g->db);
	if (failed) {
		free(g);
		return sd_fail(e, failed == MMDB_FILE_OPEN_ERROR ? SD_ENOTFOUND : SD_EINVAL, "cannot open %s: %s", file,
			       failed == MMDB_FILE_OPEN_ERROR ? "it is not there, or cannot be read" : "it is no file in MaxMind's format");
	}
	*out = g;
	return SD_OK;
}

void sd_geo_close(struct sd_geo *g)
{
	if (!g)
		return;
	MMDB_close(&g->db);
	free(g);
}

static MMDB_lookup_result_s look_up(const struct sd_geo *g, const uint8_t ip[16], bool v6, int *failed)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	memcpy(&in.sin_addr, ip, 4);
	memcpy(&in6.sin6_addr, ip, 16);
	return MMDB_lookup_sockaddr(&g->db, v6 ? (const struct sockaddr *)&in6 : (const struct sockaddr *)&in, failed);
}

bool sd_geo_country(const struct sd_geo *g, const uint8_t ip[16], bool v6, char out[2])
{
	MMDB_entry_data_s data;
	int failed = 0;
	if (!g)
		return false;
	MMDB_lookup_result_s found = look_up(g, ip, v6, &failed);
	if (failed || !found.found_entry || MMDB_aget_value(&found.entry, &data, path) != MMDB_SUCCESS)
		return false;
	if (!data.has_data || data.type != MMDB_DATA_TYPE_UTF8_STRING || data.data_size != 2)
		return false;
	memcpy(out, data.utf8_string, 2);
	return true;
}
