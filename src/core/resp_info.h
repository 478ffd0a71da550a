/* resp_info.h - what a server answers to INFO. Pure. */
#ifndef SD_CORE_RESP_INFO_H
#define SD_CORE_RESP_INFO_H

#include <stdint.h>

#include "sdlab/slice.h"

/* The value of a line "key:value"; empty: there is none. */
struct sd_slice sd_resp_info(struct sd_slice info, const char *key);
/* Digits at the start; -1 without any. */
int64_t sd_resp_info_int(struct sd_slice s);

#endif
