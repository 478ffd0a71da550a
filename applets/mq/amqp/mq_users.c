#include "mq_users.h"

#include <regex.h>
#include <stdlib.h>

#include "core/same_secret.h"

struct mq_user {
	char *name, *password;
	struct pattern {
		bool all;
		regex_t regex; /* unless all */
	} patterns[MQ_RIGHTS];
	char **vhosts;
	size_t nvhosts;
	bool local_only;
};

struct mq_users {
	struct mq_user **users;
	size_t n;
};

struct mq_users *mq_users_new(void)
{
	return calloc(1, sizeof(struct mq_users));
}

static void wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

/* npatterns: how many were made. */
static void user_free(struct mq_user *user, int npatterns)
{
	for (int i = 0; i < npatterns; i++)
		if (!user->patterns[i].all)
			regfree(&user->patterns[i].regex);
	for (size_t i = 0; i < user->nvhosts; i++)
		free(user->vhosts[i]);
	free(user->vhosts);
	free(user->name);
	wipe(user->password);
	free(user);
}

void mq_users_free(struct mq_users *u)
{
	for (size_t i = 0; u && i < u->n; i++)
		user_free(u->users[i], MQ_RIGHTS);
	if (u)
		free(u->users);
	free(u);
}

static enum sd_err make_pattern(struct pattern *p, const char *text, struct sd_error *e)
{
	char why[128];
	p->all = !text || strcmp(text, ".*") == 0;
	if (p->all)
		return SD_OK;
	int code = regcomp(&p->regex, *text ? text : "^$", REG_EXTENDED | REG_NOSUB);
	if (!code)
		return SD_OK;
	regerror(code, &p->regex, why, sizeof(why));
	return sd_fail(e, SD_EINVAL, "expected a regular expression, found \"%s\": %s", text, why);
}

static bool copy_texts(struct mq_user *user, const struct mq_user_spec *spec)
{
	user->local_only = spec->local_only;
	user->name = strdup(spec->name);
	user->password = strdup(spec->password);
	user->vhosts = spec->nvhosts ? calloc(spec->nvhosts, sizeof(*user->vhosts)) : NULL;
	if (!user->name || !user->password || (spec->nvhosts && !user->vhosts))
		return false;
	for (; user->nvhosts < spec->nvhosts; user->nvhosts++)
		if (!(user->vhosts[user->nvhosts] = strdup(spec->vhosts[user->nvhosts])))
			return false;
	return true;
}

static struct mq_user *find(const struct mq_users *u, struct sd_slice name)
{
	for (size_t i = 0; i < u->n; i++)
		if (sd_slice_eq(name, u->users[i]->name))
			return u->users[i];
	return NULL;
}

enum sd_err mq_users_add(struct mq_users *u, const struct mq_user_spec *spec, struct sd_error *e)
{
	struct mq_user *user = calloc(1, sizeof(*user)), **users = realloc(u->users, (u->n + 1) * sizeof(*users));
	int made = 0;
	if (users)
		u->users = users;
	enum sd_err err = SD_OK;
	if (find(u, sd_slice_of(spec->name)))
		err = sd_fail(e, SD_EEXISTS, "user %s is there twice", spec->name);
	else if (!user || !users || !copy_texts(user, spec))
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	for (; user && !err && made < MQ_RIGHTS; made += !err)
		err = make_pattern(&user->patterns[made], spec->patterns[made], e);
	if (!err)
		u->users[u->n++] = user;
	else if (user)
		user_free(user, made);
	return err;
}

const struct mq_user *mq_users_login(const struct mq_users *u, struct sd_slice name, struct sd_slice password, bool local)
{
	const struct mq_user *user = find(u, name);
	bool right = sd_same_secret(password, user ? user->password : "");
	return user && right && (local || !user->local_only) ? user : NULL;
}

struct sd_slice mq_user_name(const struct mq_user *user)
{
	return sd_slice_of(user->name);
}

const struct mq_user *mq_users_at(const struct mq_users *u, size_t i)
{
	return i < u->n ? u->users[i] : NULL;
}

bool mq_user_is_administrator(const struct mq_user *user)
{
	for (int i = 0; i < MQ_RIGHTS; i++)
		if (!user->patterns[i].all)
			return false;
	return !user->nvhosts;
}

bool mq_user_enters(const struct mq_user *user, struct sd_slice vhost)
{
	for (size_t i = 0; i < user->nvhosts; i++)
		if (sd_slice_eq(vhost, user->vhosts[i]))
			return true;
	return !user->nvhosts;
}

bool mq_user_may(const struct mq_user *user, enum mq_right right, struct sd_slice name)
{
	const struct pattern *p = &user->patterns[right];
	char text[256];
	if (p->all)
		return true;
	if (name.n >= sizeof(text) || memchr(name.p, 0, name.n))
		return false;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	return regexec(&p->regex, text, 0, NULL, 0) == 0;
}
