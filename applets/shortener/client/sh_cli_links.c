/* sh_cli_links.c - links made and changed. */
#include <stdlib.h>

#include "core/time_text.h"
#include "core/units.h"
#include "sh_cli.h"

/* "7d" from now, a time, or none. 0, or 2 after it was told what is wrong. */
static int put_time(struct sd_verb_call *call, cJSON *o, const char *option, const char *member)
{
	const char *text = sd_conf_string(call->conf, option);
	char stamp[SD_TIME_TEXT];
	int64_t ns;
	if (!text)
		return 0;
	if (strcmp(text, "none") == 0) {
		cJSON_AddNullToObject(o, member);
		return 0;
	}
	if (sd_parse_duration(text, &ns) == SD_OK)
		ns += sd_world_wall_ns(call->world);
	else if (sd_time_parse(text, &ns))
		return sh_cli_usage(call, "--%s: expected how long from now, such as 7d, or a time such as 2030-01-31T12:00:00Z, or none, found "
					  "\"%s\"", option, text);
	sd_time_text(stamp, ns);
	cJSON_AddStringToObject(o, member, stamp);
	return 0;
}

static void put_tags(const struct sd_conf *conf, cJSON *o)
{
	size_t n = sd_conf_count(conf, "tag");
	cJSON *list = sd_conf_is_set(conf, "tag") ? cJSON_AddArrayToObject(o, "tags") : NULL; /* "" is a list of none */
	for (size_t i = 0; i < n; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(sd_conf_list_item(conf, "tag", i)));
}

/* What both making and changing may say. */
static int put_members(struct sd_verb_call *call, cJSON *o)
{
	const struct sd_conf *conf = call->conf;
	int64_t most = sd_conf_has(conf, "max-visits") ? sd_conf_int(conf, "max-visits") : -1;
	const char *title = sd_conf_string(conf, "title");
	static const int statuses[] = {301, 302, 307, 308};
	if (title)
		cJSON_AddStringToObject(o, "title", title);
	put_tags(conf, o);
	if (most >= 0)
		cJSON_AddItemToObject(o, "max_visits", most ? cJSON_CreateNumber((double)most) : cJSON_CreateNull());
	if (sd_conf_has(conf, "status"))
		cJSON_AddNumberToObject(o, "status", statuses[sd_conf_int(conf, "status")]);
	if (sd_conf_is_set(conf, "forward-query"))
		cJSON_AddBoolToObject(o, "forward_query", sd_conf_bool(conf, "forward-query"));
	int status = put_time(call, o, "expires", "expires_at");
	return status ? status : put_time(call, o, "valid-from", "valid_from");
}

int sh_cli_shorten(struct sd_verb_call *call)
{
	cJSON *o = cJSON_CreateObject();
	const char *alias = sd_conf_string(call->conf, "alias");
	cJSON_AddStringToObject(o, "url", call->args[0]);
	if (alias)
		cJSON_AddStringToObject(o, "alias", alias);
	if (sd_conf_bool(call->conf, "find-if-exists"))
		cJSON_AddTrueToObject(o, "find_if_exists");
	int status = put_members(call, o);
	if (status) {
		cJSON_Delete(o);
		return status;
	}
	cJSON *link = sh_cli_ask_json(call, "POST", "/api/links", o, &status);
	if (link && !sh_cli_json(call, link))
		fprintf(call->out, "%s\n", sh_cli_text(link, "short_url", ""));
	cJSON_Delete(link);
	return status;
}

/* Takes the changes. */
static int change(struct sd_verb_call *call, const char *code, cJSON *changes)
{
	int status = 1;
	char *path = sh_cli_link_path(call, "/api/links/", code, "");
	cJSON *link = NULL;
	if (path)
		link = sh_cli_ask_json(call, "PATCH", path, changes, &status);
	else
		cJSON_Delete(changes);
	if (link && !sh_cli_json(call, link))
		fprintf(call->out, "%s -> %s%s\n", sh_cli_text(link, "short_url", ""), sh_cli_text(link, "original_url", ""),
			cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(link, "enabled")) ? " (disabled)" : "");
	cJSON_Delete(link);
	free(path);
	return status;
}

int sh_cli_edit(struct sd_verb_call *call)
{
	cJSON *o = cJSON_CreateObject();
	const char *url = sd_conf_string(call->conf, "url");
	if (url)
		cJSON_AddStringToObject(o, "url", url);
	int status = put_members(call, o);
	if (!status && !o->child)
		status = sh_cli_usage(call, "edit: expected something to change, such as --url or --expires");
	if (!status)
		return change(call, call->args[0], o);
	cJSON_Delete(o);
	return status;
}

static int enable(struct sd_verb_call *call, bool enabled)
{
	int worst = 0;
	for (int i = 0; i < call->nargs; i++) {
		cJSON *o = cJSON_CreateObject();
		cJSON_AddBoolToObject(o, "enabled", enabled);
		int status = change(call, call->args[i], o);
		worst = status > worst ? status : worst;
	}
	return worst;
}

int sh_cli_disable(struct sd_verb_call *call)
{
	return enable(call, false);
}

int sh_cli_enable(struct sd_verb_call *call)
{
	return enable(call, true);
}

int sh_cli_delete(struct sd_verb_call *call)
{
	int worst = 0;
	for (int i = 0; i < call->nargs; i++) {
		int status = 1;
		char *path = sh_cli_link_path(call, "/api/links/", call->args[i], "");
		if (path)
			free(sh_cli_ask(call, "DELETE", path, NULL, &status));
		if (!status && !sd_conf_bool(call->conf, "json"))
			fprintf(call->out, "%s is deleted\n", call->args[i]);
		free(path);
		worst = status > worst ? status : worst;
	}
	return worst;
}
