/* tls.h - the two verbs of `sdlab tls`: certificates to try things with, and a look at what others present. */
#ifndef TLS_H
#define TLS_H

#include "app/applet.h"

int tls_selfsigned(struct sd_verb_call *call);
int tls_show(struct sd_verb_call *call);

#endif
