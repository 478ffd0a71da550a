/* cache_pubsub.c - messages to whoever listens now: channels, and patterns of their names. */
#include <string.h>

#include "cache.h"

enum { CHANNEL, PATTERN };

static const struct {
	const char *subscribed, *unsubscribed;
} words[] = {{"subscribe", "unsubscribe"}, {"psubscribe", "punsubscribe"}};

static struct sd_dict *names_of(struct cache *c, int kind)
{
	return kind == CHANNEL ? &c->channels : &c->patterns;
}

void cache_pubsub_begin(struct cache *c)
{
	cache_names_init(&c->channels, c);
	cache_names_init(&c->patterns, c);
}

static void drop(struct cache_session *s, struct cache_tie *t, int kind)
{
	cache_untie(s->cache, t);
	s->nsubscriptions[kind]--;
}

void cache_pubsub_end(struct cache_session *s)
{
	for (int kind = CHANNEL; kind <= PATTERN; kind++)
		while (!sd_list_empty(&s->subscriptions[kind]))
			drop(s, sd_container(s->subscriptions[kind].next, struct cache_tie, of_session), kind);
}

/* What a change of subscriptions is answered with; name p NULL: there was none. */
static void confirm(struct cache_session *s, const char *word, struct sd_slice name)
{
	sd_resp_push(&s->out, 3);
	sd_resp_text(&s->out, word);
	if (name.p)
		sd_resp_bulk(&s->out, name.p, name.n);
	else
		sd_resp_null(&s->out);
	sd_resp_int(&s->out, (int64_t)cache_subscriptions(s));
}

static void subscribe(struct cache_call *c, int kind)
{
	struct cache_session *s = c->session;
	struct sd_dict *names = names_of(c->cache, kind);
	for (size_t i = 1; i < c->argc; i++) {
		if (!cache_tied(names, c->argv[i], &s->subscriptions[kind], s->nsubscriptions[kind], s)) {
			if (!cache_tie(names, c->argv[i], &s->subscriptions[kind], s)) {
				sd_resp_error(c->out, cache_no_memory);
				return;
			}
			s->nsubscriptions[kind]++;
		}
		confirm(s, words[kind].subscribed, c->argv[i]);
	}
}

static void unsubscribe_all(struct cache_session *s, int kind)
{
	if (s->nsubscriptions[kind] == 0)
		confirm(s, words[kind].unsubscribed, (struct sd_slice){0});
	while (!sd_list_empty(&s->subscriptions[kind])) {
		struct cache_tie *t = sd_container(s->subscriptions[kind].next, struct cache_tie, of_session);
		struct sd_slice name = cache_name_text(t->name);
		/* the name goes with its last tie, so it is told before */
		s->nsubscriptions[kind]--;
		confirm(s, words[kind].unsubscribed, name);
		cache_untie(s->cache, t);
	}
}

static void unsubscribe(struct cache_call *c, int kind)
{
	struct cache_session *s = c->session;
	if (c->argc == 1) {
		unsubscribe_all(s, kind);
		return;
	}
	for (size_t i = 1; i < c->argc; i++) {
		struct cache_tie *t =
		    cache_tied(names_of(c->cache, kind), c->argv[i], &s->subscriptions[kind], s->nsubscriptions[kind], s);
		if (t)
			drop(s, t, kind);
		confirm(s, words[kind].unsubscribed, c->argv[i]);
	}
}

static void cmd_subscribe(struct cache_call *c)
{
	subscribe(c, CHANNEL);
}

static void cmd_psubscribe(struct cache_call *c)
{
	subscribe(c, PATTERN);
}

static void cmd_unsubscribe(struct cache_call *c)
{
	unsubscribe(c, CHANNEL);
}

static void cmd_punsubscribe(struct cache_call *c)
{
	unsubscribe(c, PATTERN);
}

/* ---- publishing ---- */

struct message {
	struct sd_slice channel, text;
	const struct cache_session *from;
	int64_t reached;
};

static void deliver(struct message *m, const struct cache_name *to, bool by_pattern)
{
	for (struct sd_link *k = to->ties.next; k != &to->ties; k = k->next) {
		struct cache_session *s = sd_container(k, struct cache_tie, of_name)->session;
		sd_resp_push(&s->out, by_pattern ? 4 : 3);
		sd_resp_text(&s->out, by_pattern ? "pmessage" : "message");
		if (by_pattern)
			sd_resp_bulk(&s->out, to->text, to->e.klen);
		sd_resp_bulk(&s->out, m->channel.p, m->channel.n);
		sd_resp_bulk(&s->out, m->text.p, m->text.n);
		m->reached++;
		if (s != m->from)
			cache_wake(s);
	}
}

static void deliver_if_fits(void *arg, struct sd_dict_entry *e)
{
	struct message *m = arg;
	const struct cache_name *pattern = (struct cache_name *)e;
	if (sd_redis_matches(cache_name_text(pattern), m->channel))
		deliver(m, pattern, true);
}

int64_t cache_publish(struct cache *c, struct cache_session *from, struct sd_slice channel, struct sd_slice text)
{
	struct message m = {.channel = channel, .text = text, .from = from};
	const struct cache_name *n = cache_name(&c->channels, channel);
	if (n)
		deliver(&m, n, false);
	if (sd_dict_count(&c->patterns))
		sd_dict_each(&c->patterns, deliver_if_fits, &m);
	return m.reached;
}

static void cmd_publish(struct cache_call *c)
{
	sd_resp_int(c->out, cache_publish(c->cache, c->session, c->argv[1], c->argv[2]));
}

/* ---- PUBSUB ---- */

struct listing {
	struct cache_call *c;
	size_t n;
};

static void list_name(void *arg, struct sd_dict_entry *e)
{
	struct listing *l = arg;
	struct sd_slice name = cache_name_text((struct cache_name *)e);
	if (l->c->argc == 3 && !sd_redis_matches(l->c->argv[2], name))
		return;
	sd_resp_bulk(l->c->out, name.p, name.n);
	l->n++;
}

static void cmd_pubsub_channels(struct cache_call *c)
{
	struct listing l = {.c = c};
	if (c->argc > 3) {
		sd_resp_errorf(c->out, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try PUBSUB HELP.",
			       (int)(c->argv[1].n < 128 ? c->argv[1].n : 128), c->argv[1].p);
		return;
	}
	size_t place = sd_resp_later(c->out);
	sd_dict_each(&c->cache->channels, list_name, &l);
	sd_resp_now(c->out, place, '*', l.n);
}

static void cmd_pubsub_numsub(struct cache_call *c)
{
	sd_resp_array(c->out, (c->argc - 2) * 2);
	for (size_t i = 2; i < c->argc; i++) {
		const struct cache_name *n = cache_name(&c->cache->channels, c->argv[i]);
		sd_resp_bulk(c->out, c->argv[i].p, c->argv[i].n);
		sd_resp_int(c->out, n ? (int64_t)n->nties : 0);
	}
}

static void cmd_pubsub_numpat(struct cache_call *c)
{
	sd_resp_int(c->out, (int64_t)sd_dict_count(&c->cache->patterns));
}

const struct cache_command cache_pubsub_commands[] = {
    {SD_REDIS(PSUBSCRIBE), cmd_psubscribe},
    {SD_REDIS(PUBLISH), cmd_publish},
    {SD_REDIS(PUBSUB), NULL},
    {SD_REDIS(PUBSUB_CHANNELS), cmd_pubsub_channels},
    {SD_REDIS(PUBSUB_HELP), cache_help},
    {SD_REDIS(PUBSUB_NUMPAT), cmd_pubsub_numpat},
    {SD_REDIS(PUBSUB_NUMSUB), cmd_pubsub_numsub},
    {SD_REDIS(PUNSUBSCRIBE), cmd_punsubscribe},
    {SD_REDIS(SUBSCRIBE), cmd_subscribe},
    {SD_REDIS(UNSUBSCRIBE), cmd_unsubscribe},
    {0},
};
