/* kv_drive_own.h - our own store, to be measured. */
#ifndef SD_APP_KV_DRIVE_OWN_H
#define SD_APP_KV_DRIVE_OWN_H

#include "kv_drive.h"

extern const struct sd_kv_engine sd_kv_engine_own;

#endif
