/* breaker_rules.c - options to settings of the breaker. */
#include "breaker.h"

enum sd_err breaker_rules(struct sd_world *w, const struct sd_conf *conf, struct sd_breaker_conf *out, struct sd_error *e)
{
	struct sd_breaker *b;
	*out = (struct sd_breaker_conf){
	    .consecutive = (uint32_t)sd_conf_int(conf, "consecutive"),
	    .failures = (uint32_t)sd_conf_int(conf, "failures"),
	    .failure_rate = sd_conf_number(conf, "failure-rate"),
	    .slow_rate = sd_conf_number(conf, "slow-rate"),
	    .slow_ns = sd_conf_int(conf, "slow"),
	    .window = (uint32_t)sd_conf_int(conf, "window"),
	    .window_ns = sd_conf_int(conf, "window-time"),
	    .minimum = (uint32_t)sd_conf_int(conf, "minimum"),
	    .open_ns = sd_conf_int(conf, "open"),
	    .growth = (enum sd_breaker_growth)sd_conf_int(conf, "growth"),
	    .open_max_ns = sd_conf_int(conf, "open-max"),
	    .calm_ns = sd_conf_int(conf, "calm"),
	    .jitter = sd_conf_number(conf, "jitter"),
	    .retry_max_ns = sd_conf_int(conf, "retry-max"),
	    .retry_opens = sd_conf_bool(conf, "retry-opens"),
	    .permits = (uint32_t)sd_conf_int(conf, "permits"),
	    .successes = (uint32_t)sd_conf_int(conf, "successes"),
	    .permit_ns = sd_conf_int(conf, "permit-time"),
	    .seed = (uint64_t)sd_conf_int(conf, "seed"),
	};
	/* A default makes way for what somebody asked for. */
	bool counts = out->failures > 0 || out->failure_rate > 0 || out->slow_rate > 0;
	if (!sd_conf_is_set(conf, "window") && (out->window_ns > 0 || !counts))
		out->window = 0;
	if (!sd_conf_is_set(conf, "failures") && (out->consecutive > 0 || out->failure_rate > 0 || out->slow_rate > 0)) {
		out->failures = 0;
		if (out->failure_rate <= 0 && out->slow_rate <= 0 && !sd_conf_is_set(conf, "window"))
			out->window = 0;
	}
	if (out->growth == SD_BREAKER_CONSTANT && !sd_conf_is_set(conf, "open-max"))
		out->open_max_ns = 0;
	if (out->seed == 0)
		sd_world_random(w, &out->seed, sizeof(out->seed));
	enum sd_err err = sd_breaker_new(out, &b, e); /* so that it is refused before anything is asked */
	sd_breaker_free(b);
	return err ? sd_fail(e, SD_EUSAGE, "%s", e->text) : SD_OK;
}
