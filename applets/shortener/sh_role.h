/* sh_role.h - one part, two services: the shortener itself, and who counts the clicks that shorteners put into a queue. What `role` says is
 * chosen when it is made; each hook is handed on. */
#ifndef SH_ROLE_H
#define SH_ROLE_H

#include "app/run.h"

enum sh_role { SH_ROLE_SERVER, SH_ROLE_WORKER }; /* in the order of the option's choices */

extern const struct sd_service sh_server_service; /* shortener.c */
extern const struct sd_service sh_service;

#endif
