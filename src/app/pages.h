/* pages.h - files under applets/NAME/ROOM/page/ that a part answers with, as they are: the build puts them into the program. */
#ifndef SD_APP_PAGES_H
#define SD_APP_PAGES_H

#include <stddef.h>

struct sd_page_file {
	const char *name; /* "applets/shortener/http/page/page.css" */
	const unsigned char *bytes;
	size_t n;
};
extern const struct sd_page_file sd_page_files[]; /* ended by name NULL */

#endif
