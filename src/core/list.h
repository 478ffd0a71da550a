/* list.h - a doubly linked ring whose links live in the things it links. */
#ifndef SD_CORE_LIST_H
#define SD_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define sd_container(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

struct sd_link {
	struct sd_link *next, *prev;
};

static inline void sd_list_init(struct sd_link *head)
{
	head->next = head->prev = head;
}

static inline bool sd_list_empty(const struct sd_link *head)
{
	return head->next == head;
}

/* At the end. */
static inline void sd_list_add(struct sd_link *head, struct sd_link *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/* At the front: the next one taken. */
static inline void sd_list_push(struct sd_link *head, struct sd_link *l)
{
	sd_list_add(head->next, l);
}

/* Takes a link out of the ring it is in and leaves it alone in a ring of its own. */
static inline void sd_list_del(struct sd_link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->next = l->prev = l;
}

#endif
