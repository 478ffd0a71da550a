#include "run_stream.h"

#include "net/client_gate.h"
#include "net/tls.h"

/* Its PROXY header was read, where there is one. */
static void after_proxy(void *arg, struct sd_io *io)
{
	struct sd_run_streams *s = arg;
	struct sd_client_pass pass;
	bool secure = s->w->tls && io->peer.kind != SD_ADDR_INPROC && !(s->run->plain_doors >> (io->peer.door & 31) & 1);
	if (!sd_client_gate_enter(&s->run->clients.gate, &io->peer, &pass)) {
		sd_count(&s->refused, 1);
		io->ops->close(io, true);
		return;
	}
	if (secure && !(io = sd_tls_accept(s->w->tls, io))) {
		sd_client_pass_end(&pass);
		return;
	}
	s->accepted(s->arg, io, secure, pass);
}

static void on_accepted(void *arg, struct sd_io *io)
{
	const struct sd_run_stream_door *door = arg;
	io->peer.door = door->number;
	sd_proxy_in_take(door->of->proxy_in, io);
}

static void on_starved(void *arg, bool paused)
{
	const struct sd_run_stream_door *door = arg;
	sd_count(&door->of->starved, paused);
}

enum sd_err sd_run_listen_streams(struct sd_run *run, struct sd_worker *w, struct sd_run_streams *s, struct sd_error *e)
{
	struct sd_http_server_conf conf;
	sd_run_http_conf(run, &conf);
	s->run = run;
	s->w = w;
	if (!s->proxy_in)
		s->proxy_in = &s->own;
	sd_proxy_in_init(s->proxy_in, w->loop, &conf.proxy, after_proxy, s);
	for (int i = 0; i < run->naddrs; i++) {
		struct sd_run_stream_door *door = &s->doors[i];
		struct sd_listener_events events = {.accepted = on_accepted, .starved = on_starved, .arg = door};
		*door = (struct sd_run_stream_door){.of = s, .number = run->doors[i]};
		enum sd_err err = sd_loop_listen(w->loop, &run->addrs[i], run->nworkers > 1, &events, &door->listener, e);
		if (err)
			return err;
	}
	return SD_OK;
}

void sd_run_streams_close(struct sd_run_streams *s)
{
	for (int i = 0; i < SD_RUN_MAX_ADDRS; i++) {
		sd_listener_close(s->doors[i].listener);
		s->doors[i].listener = NULL;
	}
	if (s->proxy_in)
		sd_proxy_in_close(s->proxy_in);
}
