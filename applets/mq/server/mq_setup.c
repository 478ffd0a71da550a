/* mq_setup.c - from the configuration to the parts. */
#include <stdlib.h>

#include "mq_face.h"
#include "mq_shell.h"

#define GUEST "guest" /* from this machine only, unless users are given */

const struct sd_option mq_user_options[] = {
    {"login", SD_OPT_STRING, NULL, "NAME:PASSWORD", .required = true, .secret = true},
    {"configure", SD_OPT_STRING, ".*", "exchanges and queues it may make and end, as a regular expression", .meta = "PATTERN"},
    {"write", SD_OPT_STRING, ".*", "exchanges it may publish to, queues it may bind", .meta = "PATTERN"},
    {"read", SD_OPT_STRING, ".*", "queues it may consume and purge, exchanges it may bind from", .meta = "PATTERN"},
    {"vhosts", SD_OPT_LIST, NULL, "virtual hosts it may enter; all when none is given", .meta = "NAME"},
    {0},
};

static enum sd_err add_user(struct mq_users *users, const struct sd_conf *row, struct sd_error *e)
{
	const char *vhosts[64], *login = sd_conf_string(row, "login"), *colon = strchr(login, ':');
	char name[MQ_NAME_MAX + 1];
	struct mq_user_spec spec = {.name = name, .vhosts = vhosts, .nvhosts = sd_conf_count(row, "vhosts"),
				    .patterns = {sd_conf_string(row, "configure"), sd_conf_string(row, "write"), sd_conf_string(row, "read")}};
	size_t n = colon ? (size_t)(colon - login) : 0;
	if (!n || !colon[1] || n >= sizeof(name))
		return sd_fail(e, SD_EINVAL, "expected NAME:PASSWORD");
	if (spec.nvhosts > sizeof(vhosts) / sizeof(*vhosts))
		return sd_fail(e, SD_EINVAL, "expected at most 64 virtual hosts");
	memcpy(name, login, n);
	name[n] = '\0';
	spec.password = colon + 1;
	for (size_t i = 0; i < spec.nvhosts; i++)
		vhosts[i] = sd_conf_list_item(row, "vhosts", i);
	return mq_users_add(users, &spec, e);
}

static enum sd_err make_users(const struct sd_conf *conf, struct mq_users *users, struct sd_error *e)
{
	struct mq_user_spec guest = {.name = GUEST, .password = GUEST, .local_only = true};
	size_t n = sd_conf_count(conf, "users");
	if (!n)
		return mq_users_add(users, &guest, e);
	for (size_t i = 0; i < n; i++) {
		const struct sd_conf *row = sd_conf_row(conf, "users", i);
		if (add_user(users, row, e))
			return sd_wrap(e, "%s", sd_conf_at(row, "login"));
	}
	return SD_OK;
}

enum sd_err mq_setup_users(struct mq_shell *s, struct sd_error *e)
{
	s->users = mq_users_new();
	return s->users ? make_users(s->run->conf, s->users, e) : sd_fail(e, SD_ENOMEM, "out of memory");
}

enum sd_err mq_setup_vhosts(struct mq_shell *s, struct sd_error *e)
{
	const struct sd_conf *conf = s->run->conf;
	struct mq_error why;
	for (size_t i = 0; i < sd_conf_count(conf, "vhosts"); i++) {
		struct sd_slice name = sd_slice_of(sd_conf_list_item(conf, "vhosts", i));
		if (!mq_vhost_find(s->mq, name) && !mq_vhost_add(s->mq, name, &why))
			return sd_fail(e, SD_EINVAL, "%s: %s", sd_conf_at(conf, "vhosts"), why.text);
	}
	return SD_OK;
}

/* What has no limit is 0 for people. */
static int64_t or_none(int64_t n)
{
	return n ? n : MQ_NO_LIMIT;
}

void mq_setup_conf(const struct sd_conf *conf, struct mq_conf *out)
{
	*out = mq_conf_default();
	out->retry_limit = or_none(sd_conf_int(conf, "retry-limit"));
	out->visibility_ms = or_none(sd_conf_int(conf, "visibility-timeout") / 1000000);
	out->memory = (size_t)sd_conf_int(conf, "memory");
	out->high_water = (size_t)sd_conf_int(conf, "memory-high-water");
	out->message_max = (uint32_t)sd_conf_int(conf, "max-message");
	out->queues_max = (size_t)sd_conf_int(conf, "max-queues");
}

void mq_setup_hub(const struct sd_conf *conf, struct mq_hub *hub)
{
	hub->frame_max = (uint32_t)sd_conf_int(conf, "frame-max");
	hub->channel_max = (uint16_t)sd_conf_int(conf, "channel-max");
	hub->heartbeat_s = (uint16_t)(sd_conf_int(conf, "heartbeat") / 1000000000);
	hub->cluster = sd_conf_string(conf, "cluster-name");
}

/* ---- what must hold between options ---- */

static bool is_near(const struct sd_conf *conf)
{
	const char *bind = sd_conf_string(conf, "bind");
	bool near = strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0 || strncmp(bind, "unix:", 5) == 0;
	for (size_t i = 0; i < sd_conf_count(conf, "listeners"); i++) {
		struct sd_addr a;
		const struct sd_conf *row = sd_conf_row(conf, "listeners", i);
		if (!sd_addr_parse(sd_conf_string(row, "address"), "127.0.0.1", &a, NULL) && a.kind == SD_ADDR_INET)
			near &= sd_addr_is_loopback(&a);
	}
	return near;
}

static enum sd_err check_users(const struct sd_conf *conf, struct sd_error *e)
{
	struct mq_users *users = mq_users_new();
	enum sd_err err = users ? make_users(conf, users, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	mq_users_free(users);
	return err;
}

enum sd_err mq_check(const struct sd_conf *conf, struct sd_error *e)
{
	int64_t frame = sd_conf_int(conf, "frame-max");
	if (sd_conf_int(conf, "threads") != 1)
		return sd_fail(e, SD_EINVAL, "%s: expected 1, since one thread has all queues", sd_conf_at(conf, "threads"));
	if (frame && frame < SD_AMQP_FRAME_MIN)
		return sd_fail(e, SD_EINVAL, "%s: expected 4096 or more, or 0 for no limit", sd_conf_at(conf, "frame-max"));
	if (!sd_conf_has(conf, "data-dir") && sd_conf_bool(conf, "salvage"))
		return sd_fail(e, SD_EINVAL, "%s: expected a data-dir to salvage", sd_conf_at(conf, "salvage"));
	if (!is_near(conf) && !sd_conf_count(conf, "users"))
		return sd_fail(e, SD_EINVAL, "%s: expected users to listen beyond this machine: --login NAME:PASSWORD, since guest "
			       "is let in from here only", sd_conf_at(conf, "bind"));
	return check_users(conf, e);
}
