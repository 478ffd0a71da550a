/* user_agent.h - what a User-Agent says of who asks: which kind of client, which device, browser and system. Pure.
 *
 * Tables of words, looked for in order: a text is what its first matching row says. What is no known browser and no known bot is a
 * person only when it begins as browsers do ("Mozilla/"), or is a command that people type (curl, wget, HTTPie); libraries
 * (python-requests), and who says nothing, are bots.
 *
 * The numbers are stored (sdlab-shortener-clicks(5)): rows are only ever added at the end.
 */
#ifndef SD_CORE_USER_AGENT_H
#define SD_CORE_USER_AGENT_H

#include <stdint.h>

#include "sdlab/slice.h"

enum sd_client_kind { SD_CLIENT_PERSON, SD_CLIENT_BOT, SD_CLIENT_PREVIEW, SD_CLIENT_PREFETCH, SD_CLIENT_KINDS };
enum sd_client_device { SD_DEVICE_OTHER, SD_DEVICE_DESKTOP, SD_DEVICE_MOBILE, SD_DEVICE_TABLET, SD_DEVICES };

struct sd_user_agent {
	uint8_t kind;	 /* enum sd_client_kind, never SD_CLIENT_PREFETCH: that is another field's to say */
	uint8_t device;	 /* enum sd_client_device */
	uint8_t browser; /* sd_browser_name */
	uint8_t system;	 /* sd_system_name */
};

#define SD_USER_AGENT_MAX 1024 /* bytes that are looked at */

struct sd_user_agent sd_user_agent_parse(struct sd_slice text);
/* Is this value of Sec-Purpose, Purpose or X-Moz one of a request that nobody clicked (prefetch, prerender, preview)? */
bool sd_is_prefetch(struct sd_slice purpose);

/* "person", "mobile", "Firefox", "Windows"; "other" for 0 of the last three and for numbers that are none yet. */
const char *sd_client_kind_name(unsigned kind);
const char *sd_device_name(unsigned device);
const char *sd_browser_name(unsigned browser);
const char *sd_system_name(unsigned system);

#endif
