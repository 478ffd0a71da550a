/* sh_lookup_open.c - the lookup as the service has it: set by options, out of the store. */
#include "sh_lookup_int.h"

static void get(void *arg, const char *code, sh_store_link_fn *fn, void *fn_arg)
{
	const struct sh *sh = arg;
	sh_store_get(sh->store, code, fn, fn_arg);
}

static void use(void *arg, uint64_t id, sh_store_done_fn *fn, void *fn_arg)
{
	const struct sh *sh = arg;
	sh_store_use(sh->store, id, fn, fn_arg);
}

enum sd_err sh_lookup_open(struct sh *sh, const struct sd_conf *conf, struct sh_lookup **out, struct sd_error *e)
{
	const struct sh_lookup_conf c = {
	    .control = sh->control,
	    .log = sh->log,
	    .nworkers = sh->nworkers,
	    .size = (size_t)sd_conf_int(conf, "cache-size"),
	    .life_ns = sd_conf_int(conf, "cache-life"),
	    .none_life_ns = sd_conf_int(conf, "unknown-life"),
	    .stale_ns = sd_conf_int(conf, "stale-while-down"),
	    .timeout_ns = sd_conf_int(conf, "lookup-timeout"),
	    .cache = sd_conf_has(conf, "cache") ? sd_conf_string(conf, "cache") : NULL,
	    .prefix = sd_conf_string(conf, "cache-prefix"),
	    .cache_timeout_ns = sd_conf_int(conf, "cache-timeout"),
	    .source = {get, use, sh},
	};
	return sh_lookup_new(&c, out, e);
}
