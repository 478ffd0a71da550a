/* version.h - which sdlab this is. */
#ifndef SDLAB_VERSION_H
#define SDLAB_VERSION_H

#define SDLAB_VERSION "0.1.0"

#endif
