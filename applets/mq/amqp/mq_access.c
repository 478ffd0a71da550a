/* mq_access.c - what the user of a channel may do, and the words when not. */
#include "mq_conn_int.h"

static bool may(struct mq_session *s, enum mq_right right, const char *kind, struct sd_slice name, struct mq_error *e)
{
	struct sd_slice user = s->ch.user;
	if (mq_user_may(s->conn->user, right, name))
		return true;
	return mq_fail(e, 403, "access to %s '%.*s' in vhost '%s' refused for user '%.*s'", kind, (int)name.n, name.p, s->ch.vhost->name,
		       (int)user.n, user.p);
}

bool mq_may_queue(struct mq_session *s, enum mq_right right, struct sd_slice name, struct mq_error *e)
{
	return may(s, right, "queue", name, e);
}

/* The default exchange has a name in patterns. */
bool mq_may_exchange(struct mq_session *s, enum mq_right right, struct sd_slice name, struct mq_error *e)
{
	return may(s, right, "exchange", name.n ? name : sd_slice_of("amq.default"), e);
}
