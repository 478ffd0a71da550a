/* mq_users.h - who may come, and what each may do: RabbitMQ's three rights, each a pattern over names. Pure.
 *
 *	configure  make and end exchanges and queues of these names
 *	write      publish to exchanges, bind to queues
 *	read       consume, get, purge; bind from exchanges
 *
 * A pattern is an extended regular expression of POSIX that may match anywhere in the name; an empty one allows nothing.
 */
#ifndef MQ_USERS_H
#define MQ_USERS_H

#include <stdbool.h>
#include <stddef.h>

#include "sdlab/err.h"
#include "sdlab/slice.h"

enum mq_right { MQ_CONFIGURE, MQ_WRITE, MQ_READ, MQ_RIGHTS };

struct mq_user;
struct mq_users;

/* Zeroed or whole. */
struct mq_user_spec {
	const char *name, *password;
	const char *patterns[MQ_RIGHTS]; /* NULL: everything */
	const char *const *vhosts;	 /* into which of them */
	size_t nvhosts;			 /* 0: all */
	bool local_only;		 /* not from another machine */
};

struct mq_users *mq_users_new(void);
void mq_users_free(struct mq_users *u);
/* SD_EEXISTS: there is one of this name. SD_EINVAL: a pattern is none. What spec points to is copied. */
enum sd_err mq_users_add(struct mq_users *u, const struct mq_user_spec *spec, struct sd_error *e);

/* NULL: no such user, another password, or not from there. */
const struct mq_user *mq_users_login(const struct mq_users *u, struct sd_slice name, struct sd_slice password, bool local);
struct sd_slice mq_user_name(const struct mq_user *user);
bool mq_user_enters(const struct mq_user *user, struct sd_slice vhost);
/* May it do everything, everywhere? */
bool mq_user_is_administrator(const struct mq_user *user);
/* One after the other, from 0; NULL: no more. */
const struct mq_user *mq_users_at(const struct mq_users *u, size_t i);
bool mq_user_may(const struct mq_user *user, enum mq_right right, struct sd_slice name);

#endif
