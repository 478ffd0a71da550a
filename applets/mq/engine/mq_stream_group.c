/* mq_stream_group.c - groups: a stream's partitions shared among consumers, and where each share is.
 *
 * A share that is to move waits until what its owner has of it is settled, so that nobody gets a message of a key while another one has
 * one before it. As few shares move as will do: those of who left, and from who has two more than another. */
#include <stdlib.h>

#include "mq_stream.h"

struct mq_group *mq_group_find(struct mq_stream *s, struct sd_slice name)
{
	struct sd_dict_entry *e = sd_dict_find(&s->groups, mq_key(name), sd_dict_hash(&s->groups, mq_key(name)));
	return e ? sd_container(e, struct mq_group, e) : NULL;
}

/* ---- where a share is ---- */

static struct mq_line *line_of(const struct mq_share *s)
{
	return mq_stream_line(s->group->stream, (unsigned)(s - s->group->shares));
}

uint64_t mq_share_at(const struct mq_share *s)
{
	const struct mq_line *l = line_of(s);
	if (!sd_list_empty(&s->window))
		return sd_container(s->window.next, struct mq_shadow, window)->e.seq;
	uint64_t next = s->next > l->begin ? s->next : l->begin;
	return next < l->end ? mq_line_at(l, next)->seq : s->group->stream->q->next_seq + 1;
}

/* What is out stays with its channel, and is nobody's any more. */
static void forget_window(struct mq_share *s)
{
	while (!sd_list_empty(&s->window)) {
		struct mq_shadow *d = sd_container(s->window.next, struct mq_shadow, window);
		sd_list_del(&d->window);
		d->share = NULL;
		if (d->state != MQ_OUT)
			mq_entry_free(&d->e);
	}
	s->nwindow = s->nout = s->nback = 0;
}

void mq_share_seek(struct mq_share *s, uint64_t seq)
{
	forget_window(s);
	s->next = mq_line_from(line_of(s), seq);
	mq_group_moved(s->group);
	mq_share_settled(s);
}

/* ---- its life ---- */

struct mq_group *mq_group_make(struct mq_stream *s, struct sd_slice name, uint64_t seq)
{
	struct mq_group *g = calloc(1, sizeof(*g) + name.n + 1);
	struct mq_share *shares = g ? calloc(s->n, sizeof(*shares)) : NULL;
	if (!shares) {
		free(g);
		return NULL;
	}
	g->stream = s;
	g->shares = shares;
	memcpy(g->name, name.p, name.n);
	g->e = (struct sd_dict_entry){.hash = sd_dict_hash(&s->groups, name), .klen = (uint32_t)name.n};
	sd_list_init(&g->members);
	sd_list_init(&g->moved);
	for (unsigned i = 0; i < s->n; i++) {
		shares[i].group = g;
		sd_list_init(&shares[i].of_owner);
		sd_list_init(&shares[i].window);
		shares[i].next = mq_line_from(mq_stream_line(s, i), seq);
	}
	if (!sd_dict_add(&s->groups, &g->e)) {
		free(shares);
		free(g);
		return NULL;
	}
	mq_group_moved(g);
	return g;
}

/* Its members left before. */
void mq_group_free(struct mq_group *g)
{
	for (unsigned i = 0; i < g->stream->n; i++)
		forget_window(&g->shares[i]);
	sd_list_del(&g->moved);
	sd_dict_remove(&g->stream->groups, &g->e);
	free(g->shares);
	free(g);
}

/* ---- who has what ---- */

static void want(struct mq_share *s, struct mq_reader *r)
{
	if (s->wanted)
		s->wanted->nwanted--;
	if (r)
		r->nwanted++;
	s->wanted = r;
}

static void own(struct mq_share *s, struct mq_reader *r)
{
	sd_list_del(&s->of_owner);
	s->owner = r;
	if (r)
		sd_list_add(&r->shares, &s->of_owner);
}

void mq_share_settled(struct mq_share *s)
{
	if (s->nout == 0 && s->owner != s->wanted)
		own(s, s->wanted);
	if (s->owner)
		mq_consumer_wake(s->owner->consumer);
}

static void find_ends(const struct mq_group *g, struct mq_reader **least, struct mq_reader **most)
{
	*least = *most = sd_container(g->members.next, struct mq_reader, of_group);
	for (struct sd_link *l = g->members.next; l != &g->members; l = l->next) {
		struct mq_reader *r = sd_container(l, struct mq_reader, of_group);
		*least = r->nwanted < (*least)->nwanted ? r : *least;
		*most = r->nwanted > (*most)->nwanted ? r : *most;
	}
}

static struct mq_share *one_of(struct mq_group *g, const struct mq_reader *r)
{
	unsigned i = g->stream->n;
	while (i && g->shares[i - 1].wanted != r)
		i--;
	return i ? &g->shares[i - 1] : NULL;
}

static void balance(struct mq_group *g)
{
	struct mq_reader *least, *most;
	struct mq_share *s;
	while (g->nmembers && (s = one_of(g, NULL))) {
		find_ends(g, &least, &most);
		want(s, least);
	}
	while (g->nmembers > 1) {
		find_ends(g, &least, &most);
		s = most->nwanted > least->nwanted + 1 ? one_of(g, most) : NULL;
		if (!s)
			break;
		want(s, least);
	}
	for (unsigned i = 0; i < g->stream->n; i++)
		mq_share_settled(&g->shares[i]);
}

void mq_group_join(struct mq_group *g, struct mq_reader *r)
{
	r->group = g;
	sd_list_add(&g->members, &r->of_group);
	g->nmembers++;
	balance(g);
}

/* The log hears of it at once: it may be the last that is done before it is closed. */
void mq_group_part(struct mq_reader *r)
{
	struct mq_group *g = r->group;
	sd_list_del(&r->of_group);
	g->nmembers--;
	for (unsigned i = 0; i < g->stream->n; i++) {
		if (g->shares[i].owner == r)
			own(&g->shares[i], NULL);
		if (g->shares[i].wanted == r)
			want(&g->shares[i], NULL);
	}
	r->group = NULL;
	balance(g);
	mq_group_log(g);
}

/* ---- the log ---- */

void mq_group_moved(struct mq_group *g)
{
	struct mq *b = g->stream->q->vhost->mq;
	if (g->moved.next == &g->moved && !b->quiet)
		sd_list_add(&b->moved, &g->moved);
}

static void put_number(struct sd_text *t, uint64_t n)
{
	sd_amqp_put_field(t, NULL, &(struct sd_amqp_field){.kind = 'l', .n = (int64_t)n});
}

/* all: those too that are where the log has them. */
static bool put_group(struct sd_text *t, const struct mq_group *g, bool all)
{
	bool any = all;
	sd_amqp_put_int(t, "queue", (int64_t)g->stream->q->id);
	sd_amqp_put_string(t, "group", (struct sd_slice){g->name, g->e.klen});
	size_t at = sd_amqp_begin_field(t, "shares", 'A');
	for (unsigned i = 0; i < g->stream->n; i++) {
		const struct mq_share *s = &g->shares[i];
		uint64_t is = mq_share_at(s);
		if (!all && s->at == is && s->logged == s->seen)
			continue;
		any = true;
		put_number(t, i);
		put_number(t, is);
		put_number(t, s->seen);
	}
	sd_amqp_end_field(t, at);
	return any && !t->full;
}

/* Without memory the log hears of it the next time: it is then behind, and never ahead. */
void mq_group_log(struct mq_group *g)
{
	struct sd_text t = {0};
	sd_list_del(&g->moved);
	if (put_group(&t, g, false)) {
		mq_log_define_text(g->stream->q->vhost->mq, MQ_DEFINE_STREAM, false, (struct sd_slice){t.p, t.n});
		for (unsigned i = 0; i < g->stream->n; i++) {
			g->shares[i].at = mq_share_at(&g->shares[i]);
			g->shares[i].logged = g->shares[i].seen;
		}
	}
	free(t.p);
}

void mq_groups_log(struct mq *b)
{
	while (!sd_list_empty(&b->moved))
		mq_group_log(sd_container(b->moved.next, struct mq_group, moved));
}

void mq_group_dump(struct mq_group *g, const struct mq_journal *to)
{
	struct sd_text t = {0};
	if (put_group(&t, g, true))
		to->define(to->arg, MQ_DEFINE_STREAM, false, (struct sd_slice){t.p, t.n});
	free(t.p);
}

static bool restore_shares(struct mq_group *g, struct sd_slice rest)
{
	struct sd_amqp_field f;
	while (rest.n) {
		int64_t n[3];
		for (size_t i = 0; i < 3; i++) {
			if (!sd_amqp_next_item(&rest, &f) || f.kind != 'l' || f.n < 0)
				return false;
			n[i] = f.n;
		}
		if (n[0] >= g->stream->n)
			return false;
		g->shares[n[0]].at = (uint64_t)n[1];
		g->shares[n[0]].seen = g->shares[n[0]].logged = (uint64_t)n[2];
	}
	return true;
}

bool mq_group_restore(struct mq_stream *s, bool gone, struct sd_slice t)
{
	struct sd_amqp_field name, shares;
	if (!sd_amqp_find(t, "group", &name) || name.kind != 'S' || !name.s.n || name.s.n > MQ_NAME_MAX)
		return false;
	struct mq_group *g = mq_group_find(s, name.s);
	if (gone) {
		if (g)
			mq_group_free(g);
		return true;
	}
	if (!g)
		g = mq_group_make(s, name.s, 1);
	return g && sd_amqp_find(t, "shares", &shares) && shares.kind == 'A' && restore_shares(g, shares.s);
}

/* Now the messages are there. */
void mq_group_restored(struct mq_group *g)
{
	const struct mq_stream *s = g->stream;
	for (unsigned i = 0; i < s->n; i++) {
		g->shares[i].next = mq_line_from(mq_stream_line(g->stream, i), g->shares[i].at);
		if (s->unclean)
			g->shares[i].seen = s->q->next_seq;
	}
}

/* ---- what it looks like, and what is asked of it ---- */

static uint64_t lag_of(const struct mq_share *s)
{
	const struct mq_line *l = line_of(s);
	uint64_t next = s->next > l->begin ? s->next : l->begin;
	return l->end - next + s->nout + s->nback;
}

struct asked {
	void (*group)(void *arg, const struct mq_group_state *g);
	void (*share)(void *arg, const struct mq_share_state *s);
	void *arg;
};

static void tell(const struct asked *a, const struct mq_group *g)
{
	struct mq_group_state state = {.name = g->name, .members = g->nmembers};
	for (unsigned i = 0; i < g->stream->n; i++)
		state.lag += lag_of(&g->shares[i]);
	a->group(a->arg, &state);
	for (unsigned i = 0; a->share && i < g->stream->n; i++) {
		const struct mq_share *s = &g->shares[i];
		const struct mq_share_state one = {.partition = i,
						   .offset = mq_share_at(s) - 1,
						   .end = g->stream->q->next_seq,
						   .lag = lag_of(s),
						   .out = s->nout,
						   .consumer = s->owner && s->owner == s->wanted ? s->owner->consumer : NULL};
		a->share(a->arg, &one);
	}
}

struct sorted {
	const struct mq_group **at;
	size_t n;
};

static void collect(void *arg, struct sd_dict_entry *e)
{
	struct sorted *s = arg;
	s->at[s->n++] = sd_container(e, struct mq_group, e);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct mq_group *const *)a)->name, (*(const struct mq_group *const *)b)->name);
}

void mq_groups(const struct mq_queue *q, void (*group)(void *arg, const struct mq_group_state *g),
	       void (*share)(void *arg, const struct mq_share_state *s), void *arg)
{
	struct asked a = {group, share, arg};
	struct sorted all = {0};
	if (q->stream)
		all.at = reallocarray(NULL, sd_dict_count(&q->stream->groups) + 1, sizeof(*all.at));
	if (!all.at)
		return;
	sd_dict_each(&q->stream->groups, collect, &all);
	qsort(all.at, all.n, sizeof(*all.at), by_name);
	for (size_t i = 0; i < all.n; i++)
		tell(&a, all.at[i]);
	free(all.at);
}

static struct mq_stream *stream_of(struct mq_vhost *v, struct sd_slice queue, struct mq_error *e)
{
	struct mq_queue *q = mq_queue_find(v, queue);
	if (!q)
		mq_no_queue(v, queue, e);
	else if (!q->stream)
		mq_fail(e, 406, "queue '%.*s' in vhost '%.*s' is no stream", MQ_ARG(queue), MQ_ARG(MQ_NAME(v)));
	return q ? q->stream : NULL;
}

static bool no_group(const struct mq_stream *s, struct sd_slice group, struct mq_error *e)
{
	return mq_fail(e, 404, "no group '%.*s' of queue '%.*s' in vhost '%.*s'", MQ_ARG(group), MQ_ARG(MQ_NAME(s->q)),
		       MQ_ARG(MQ_NAME(s->q->vhost)));
}

bool mq_group_reset(struct mq_vhost *v, struct sd_slice queue, struct sd_slice group, const struct sd_amqp_field *offset,
		    struct mq_error *e)
{
	struct mq_stream *s = stream_of(v, queue, e);
	uint64_t seq;
	if (!s)
		return false;
	if (!group.n || group.n > MQ_NAME_MAX)
		return mq_fail(e, 406, "the name of a group has 1 to %d bytes", MQ_NAME_MAX);
	if (!mq_stream_seek(s, offset, &seq))
		return mq_bad_offset(s->q, offset, e);
	struct mq_group *g = mq_group_find(s, group);
	if (!g && !(g = mq_group_make(s, group, seq)))
		return mq_no_memory(e);
	for (unsigned i = 0; i < s->n; i++)
		mq_share_seek(&g->shares[i], seq);
	mq_group_log(g);
	return true;
}

bool mq_group_delete(struct mq_vhost *v, struct sd_slice queue, struct sd_slice group, struct mq_error *e)
{
	struct mq_stream *s = stream_of(v, queue, e);
	struct mq_group *g = s ? mq_group_find(s, group) : NULL;
	struct sd_text t = {0};
	if (!s)
		return false;
	if (!g)
		return no_group(s, group, e);
	if (g->nmembers)
		return mq_fail(e, 406, "group '%.*s' of queue '%.*s' in vhost '%.*s' in use", MQ_ARG(group), MQ_ARG(queue), MQ_ARG(MQ_NAME(v)));
	sd_amqp_put_int(&t, "queue", (int64_t)s->q->id);
	sd_amqp_put_string(&t, "group", group);
	if (t.full) {
		free(t.p);
		return mq_no_memory(e);
	}
	mq_log_define_text(v->mq, MQ_DEFINE_STREAM, true, (struct sd_slice){t.p, t.n});
	free(t.p);
	mq_group_free(g);
	return true;
}
