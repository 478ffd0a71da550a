#include "cache_lane.h"

static void on_here(struct sd_task *t)
{
	struct cache_lane *l = sd_container(t, struct cache_lane, here);
	l->of->look(l);
}

static void on_there(struct sd_task *t)
{
	struct cache_lane *l = sd_container(t, struct cache_lane, there);
	l->of->look(l);
}

bool cache_lanes_init(struct cache_lanes *all, unsigned n, struct cache *c, void (*look)(struct cache_lane *l))
{
	*all = (struct cache_lanes){.cache = c, .n = n, .look = look};
	if (n > 1)
		all->lock = sd_lock_new();
	return n <= CACHE_LANES && (n == 1 || all->lock);
}

void cache_lanes_free(struct cache_lanes *all)
{
	sd_lock_free(all->lock);
	*all = (struct cache_lanes){0};
}

void cache_lane_begin(struct cache_lanes *all, unsigned index, struct cache_lane *l, struct sd_loop *loop)
{
	*l = (struct cache_lane){.of = all, .loop = loop, .index = index, .here.fn = on_here, .there.fn = on_there};
	sd_list_init(&l->woken);
	all->lanes[index] = l;
}

void cache_lane_end(struct cache_lane *l)
{
	l->over = true;
}

void cache_lane_tell(struct cache_lane *l, struct cache_lane *to)
{
	if (to->told || to->over)
		return;
	to->told = true;
	to->next = l->tells;
	l->tells = to;
}

static void hand_out(struct cache_lane *l, struct sd_link *woken)
{
	while (!sd_list_empty(woken)) {
		struct cache_session *s = sd_container(woken->next, struct cache_session, woken);
		struct cache_lane *to = l->of->lanes[s->lane];
		sd_list_del(&s->woken);
		sd_list_add(&to->woken, &s->woken);
		cache_lane_tell(l, to);
	}
}

/* Outside, since it may be a system call. They may look, and be told again, from here on. */
static void tell_all(struct cache_lane *l, struct cache_lane *to)
{
	for (struct cache_lane *next; to; to = next) {
		next = to->next;
		if (to == l)
			sd_loop_defer(l->loop, &l->here);
		else
			sd_loop_post(to->loop, &to->there);
	}
}

void cache_lane_hand_out(struct cache_lane *l)
{
	hand_out(l, &l->of->cache->woken);
	struct cache_lane *to = l->tells;
	l->tells = NULL;
	l->inside = false;
	if (l->of->lock)
		sd_lock_leave(l->of->lock);
	if (to)
		tell_all(l, to);
}
