#include "health.h"

#include "backoff.h"

#define MAX_EJECTIONS 30 /* the time grows no further */

static enum sd_health_change back(struct sd_health *h, int64_t now_ns)
{
	h->ejected_until_ns = 0;
	h->returned_ns = now_ns;
	return SD_HEALTH_RETURNED;
}

static enum sd_health_change passed_check(struct sd_health *h, const struct sd_health_rules *r, int64_t now_ns)
{
	h->bad = 0;
	if (h->good < r->rise)
		h->good++;
	if (h->good < r->rise)
		return SD_HEALTH_SAME;
	bool was_down = h->down;
	h->down = false;
	if (h->ejected_until_ns) {
		back(h, now_ns);
		return was_down ? SD_HEALTH_CAME_UP : SD_HEALTH_RETURNED;
	}
	return was_down ? SD_HEALTH_CAME_UP : SD_HEALTH_SAME;
}

enum sd_health_change sd_health_checked(struct sd_health *h, const struct sd_health_rules *r, bool passed,
					int64_t now_ns)
{
	if (passed)
		return passed_check(h, r, now_ns);
	h->good = 0;
	if (h->bad < r->fall)
		h->bad++;
	if (h->down || h->bad < r->fall)
		return SD_HEALTH_SAME;
	h->down = true;
	return SD_HEALTH_WENT_DOWN;
}

static int64_t eject_time(const struct sd_health *h, const struct sd_health_rules *r, const struct sd_health_eject *how)
{
	int64_t max = r->eject_max_ns ? r->eject_max_ns : r->eject_ns * MAX_EJECTIONS;
	struct sd_backoff wait = {r->eject_ns, max, SD_GROW_LINEAR, r->eject_jitter};
	int64_t ns = sd_backoff(&wait, h->ejections, how->chance);
	return how->at_least_ns > ns ? how->at_least_ns : ns;
}

enum sd_health_change sd_health_eject(struct sd_health *h, const struct sd_health_rules *r, const struct sd_health_eject *how,
				      int64_t now_ns)
{
	if (h->ejected_until_ns && now_ns + how->at_least_ns > h->ejected_until_ns)
		h->ejected_until_ns = now_ns + how->at_least_ns;
	if (h->ejected_until_ns || h->down)
		return SD_HEALTH_SAME;
	if (h->ejections && now_ns - h->returned_ns > 10 * r->eject_ns)
		h->ejections = 0;
	if (h->ejections < MAX_EJECTIONS)
		h->ejections++;
	h->ejected_ns = now_ns;
	h->ejected_until_ns = now_ns + eject_time(h, r, how);
	h->good = 0; /* only checks from now on count for an early return */
	return SD_HEALTH_EJECTED;
}

enum sd_health_change sd_health_tick(struct sd_health *h, int64_t now_ns)
{
	if (h->ejected_until_ns == 0 || now_ns < h->ejected_until_ns)
		return SD_HEALTH_SAME;
	return back(h, now_ns);
}
