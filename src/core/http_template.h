/* http_template.h - text with places for what a request says: "https://{host}{uri}".
 *
 *	{scheme}  http or https         {path}    without the query
 *	{host}    as in Host            {query}   with its '?', or nothing
 *	{hostname} host without port
 *	{client}  the address           {uri}     path and query
 *	{method}                        {rest}    the path behind the route's own, with its '/'
 *
 * "{{" is a brace.
 */
#ifndef SD_CORE_HTTP_TEMPLATE_H
#define SD_CORE_HTTP_TEMPLATE_H

#include "sdlab/err.h"
#include "sdlab/slice.h"

enum sd_http_var {
	SD_VAR_SCHEME,
	SD_VAR_HOST,
	SD_VAR_HOSTNAME,
	SD_VAR_PATH,
	SD_VAR_QUERY,
	SD_VAR_URI,
	SD_VAR_REST,
	SD_VAR_CLIENT,
	SD_VAR_METHOD,
	SD_VAR_COUNT
};

struct sd_http_vars {
	struct sd_slice v[SD_VAR_COUNT];
};

/* SD_EINVAL names the place that is unknown or does not end. */
enum sd_err sd_http_template_check(const char *text, struct sd_error *e);
/* Writes at most room bytes, and returns how many it has; not terminated. The text was checked. vars NULL: what does not
 * depend on them. */
size_t sd_http_template_write(char *out, size_t room, const char *text, const struct sd_http_vars *vars);

#endif
