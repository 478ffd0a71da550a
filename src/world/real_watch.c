/* real_watch.c - descriptors that are somebody else's: only whether they are ready is asked. */
#include <stdlib.h>

#include "real.h"

struct sd_watch {
	struct sd_loop *loop;
	void (*ready)(void *arg, unsigned what);
	void *arg;
	unsigned wanted;
	struct event *read_ev, *write_ev;
};

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct sd_watch *w = arg;
	struct sd_loop *l = w->loop;
	(void)fd;
	loop_enter(l);
	w->ready(w->arg, (what & EV_READ ? SD_IO_READ : 0u) | (what & EV_WRITE ? SD_IO_WRITE : 0u));
	loop_leave(l);
}

static void set(struct event *ev, bool on)
{
	if (on)
		event_add(ev, NULL);
	else
		event_del(ev);
}

void real_watch_want(struct sd_watch *w, unsigned what)
{
	unsigned changed = w->wanted ^ what;
	w->wanted = what;
	if (changed & SD_IO_READ)
		set(w->read_ev, what & SD_IO_READ);
	if (changed & SD_IO_WRITE)
		set(w->write_ev, what & SD_IO_WRITE);
}

void real_watch_free(struct sd_watch *w)
{
	if (w->read_ev)
		event_free(w->read_ev);
	if (w->write_ev)
		event_free(w->write_ev);
	free(w);
}

enum sd_err real_watch(struct sd_loop *l, int fd, void (*ready)(void *arg, unsigned what), void *arg, struct sd_watch **out,
		       struct sd_error *e)
{
	struct sd_watch *w = calloc(1, sizeof(*w));
	if (w) {
		*w = (struct sd_watch){.loop = l, .ready = ready, .arg = arg};
		w->read_ev = event_new(real_loop(l)->base, fd, EV_READ | EV_PERSIST, on_event, w);
		w->write_ev = event_new(real_loop(l)->base, fd, EV_WRITE | EV_PERSIST, on_event, w);
	}
	if (!w || !w->read_ev || !w->write_ev) {
		sd_watch_free(w);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	real_watch_want(w, SD_IO_READ);
	*out = w;
	return SD_OK;
}
