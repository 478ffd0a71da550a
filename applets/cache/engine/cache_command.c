/* cache_command.c - COMMAND, out of the table that all servers share. */
#include "cache.h"

static void cmd_command(struct cache_call *c)
{
	sd_redis_tell_all(&c->cache->names, c->out);
}

static void cmd_command_count(struct cache_call *c)
{
	sd_redis_tell_count(&c->cache->names, c->out);
}

static void cmd_command_info(struct cache_call *c)
{
	sd_redis_tell_info(&c->cache->names, c->argc - 2, c->argv + 2, c->out);
}

static void cmd_command_list(struct cache_call *c)
{
	sd_redis_tell_names(&c->cache->names, c->out);
}

static void cmd_command_docs(struct cache_call *c)
{
	sd_redis_tell_docs(&c->cache->names, c->argc - 2, c->argv + 2, c->out);
}

static void cmd_command_getkeys(struct cache_call *c)
{
	sd_redis_tell_keys(&c->cache->names, c->argc - 2, c->argv + 2, c->out);
}

const struct cache_command cache_command_commands[] = {
    {SD_REDIS(COMMAND), cmd_command},
    {SD_REDIS(COMMAND_COUNT), cmd_command_count},
    {SD_REDIS(COMMAND_DOCS), cmd_command_docs},
    {SD_REDIS(COMMAND_GETKEYS), cmd_command_getkeys},
    {SD_REDIS(COMMAND_HELP), cache_help},
    {SD_REDIS(COMMAND_INFO), cmd_command_info},
    {SD_REDIS(COMMAND_LIST), cmd_command_list},
    {0},
};
