/* cache_config.h - settings as other files of the engine look at them. */
#ifndef CACHE_CONFIG_H
#define CACHE_CONFIG_H

#include "cache.h"

/* What CONFIG GET says of a setting that is a text or a word. */
const char *cache_config_text(const struct cache *c, const char *name);
/* Sets it without a question, also what CONFIG SET may not. False: out of memory. */
bool cache_config_put(struct cache *c, const char *name, const char *value);

#endif
