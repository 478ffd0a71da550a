#include "pool_loop.h"

#include "core/list.h"

static void on_timer(struct sd_timer *t)
{
	struct sd_pool_loop *pl = sd_container(t, struct sd_pool_loop, timer);
	sd_pool_loop_run(pl);
}

enum sd_err sd_pool_loop_init(struct sd_pool_loop *pl, struct sd_loop *l, const struct sd_pool_conf *conf, uint64_t seed,
			      const struct sd_pool_loop_events *events, void *arg, struct sd_error *e)
{
	*pl = (struct sd_pool_loop){
	    .loop = l, .events = events, .arg = arg, .timer = {.fn = on_timer}, .armed_ns = SD_NEVER};
	enum sd_err err = sd_pool_new(conf, seed, &pl->pool, e);
	if (!err)
		sd_pool_loop_settle(pl);
	return err;
}

static void perform(struct sd_pool_loop *pl, const struct sd_pool_act *act)
{
	int64_t now = sd_loop_now_ns(pl->loop);
	switch (act->what) {
	case SD_POOL_OPEN:
		if (pl->events->open)
			pl->events->open(pl->arg, act->slot);
		else
			sd_pool_open_failed(pl->pool, now, act->slot, "who borrows is to open it");
		break;
	case SD_POOL_CHECK:
		if (pl->events->check)
			pl->events->check(pl->arg, act->slot, act->resource);
		else
			sd_pool_checked(pl->pool, now, act->slot, true);
		break;
	case SD_POOL_CLOSE:
		pl->events->close(pl->arg, act->resource, act->why);
		sd_pool_closed(pl->pool, now, act->slot);
		break;
	case SD_POOL_GRANT:
		pl->events->granted(pl->arg, act->waiter);
		break;
	case SD_POOL_LEAK:
		if (pl->events->leak)
			pl->events->leak(pl->arg, &act->held);
		break;
	}
}

void sd_pool_loop_run(struct sd_pool_loop *pl)
{
	struct sd_pool_act act;
	while (sd_pool_next(pl->pool, sd_loop_now_ns(pl->loop), &act))
		perform(pl, &act);
	pl->armed_ns = SD_NEVER;
	sd_pool_loop_settle(pl);
	if (pl->armed_ns == SD_NEVER)
		sd_loop_timer_cancel(pl->loop, &pl->timer);
}

void sd_pool_loop_free(struct sd_pool_loop *pl)
{
	struct sd_pool_act act;
	if (!pl->pool)
		return;
	sd_loop_timer_cancel(pl->loop, &pl->timer);
	sd_pool_shut(pl->pool, sd_loop_now_ns(pl->loop), true);
	while (sd_pool_next(pl->pool, sd_loop_now_ns(pl->loop), &act))
		if (act.what == SD_POOL_CLOSE) {
			pl->events->close(pl->arg, act.resource, act.why);
			sd_pool_closed(pl->pool, 0, act.slot);
		}
	sd_pool_free(pl->pool);
	pl->pool = NULL;
}
