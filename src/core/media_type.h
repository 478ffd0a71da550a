/* media_type.h - what kind of thing a file is, by its name; and what is worth compressing. */
#ifndef SD_CORE_MEDIA_TYPE_H
#define SD_CORE_MEDIA_TYPE_H

#include <stdbool.h>

#include "sdlab/slice.h"

/* The value of Content-Type for a file of this name, by what follows its last dot in any case; text has "; charset=utf-8".
 * application/octet-stream when that says nothing. Static. */
const char *sd_media_type(struct sd_slice name);

/* Do bodies of this Content-Type become much smaller: text, JSON, XML, JavaScript, SVG, WebAssembly? What is compressed in
 * itself does not, and an event stream is left alone. */
bool sd_media_compressible(struct sd_slice content_type);

#endif
