#include "user_agent.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum browser { OTHER_BROWSER, CHROME, FIREFOX, SAFARI, EDGE, OPERA, SAMSUNG, IE, VIVALDI, YANDEX, UC, BRAVE, DUCKDUCKGO, INSTAGRAM,
	       FACEBOOK, SILK, ANDROID_BROWSER, CHROMIUM, IN_APP, COMMAND_LINE };
static const char *const browsers[] = {"other", "Chrome", "Firefox", "Safari", "Edge", "Opera", "Samsung Internet",
				       "Internet Explorer", "Vivaldi", "Yandex", "UC Browser", "Brave", "DuckDuckGo", "Instagram",
				       "Facebook", "Silk", "Android Browser", "Chromium", "in an app", "command line"};

enum system { OTHER_SYSTEM, WINDOWS, MACOS, LINUX, ANDROID, IOS, IPADOS, CHROME_OS, WINDOWS_PHONE, KAIOS, FREEBSD, TV, CONSOLE };
static const char *const systems[] = {"other", "Windows", "macOS", "Linux", "Android", "iOS", "iPadOS", "ChromeOS", "Windows Phone",
				      "KaiOS", "FreeBSD", "TV", "console"};

static const char *const kinds[] = {"person", "bot", "preview", "prefetch"};
static const char *const devices[] = {"other", "desktop", "mobile", "tablet"};

struct row {
	const char *word; /* in lower case */
	uint8_t is;
};

/* Those that fetch a page to draw a card of it where somebody wrote its address. */
static const struct row previews[] = {
    {"facebookexternalhit", 1}, {"facebookcatalog", 1}, {"slackbot", 1}, {"slack-imgproxy", 1}, {"twitterbot", 1},
    {"whatsapp/", 1}, {"discordbot", 1}, {"telegrambot", 1}, {"linkedinbot", 1}, {"skypeuripreview", 1}, {"pinterestbot", 1},
    {"pinterest/0.", 1}, {"redditbot", 1}, {"vkshare", 1}, {"embedly", 1}, {"iframely", 1}, {"mastodon/", 1},
    {"bluesky cardyb", 1}, {"microsoftpreview", 1}, {"bitlybot", 1}, {"google-pagerenderer", 1}, {"snap url preview", 1},
    {"applebot-link", 1}, {"signal-desktop/", 1}, {"synapse", 1}, {"zoombot", 1}, {"opengraph", 1}, {"metainspector", 1},
};

/* Words that no browser has in it. Those with a word that a browser might have are longer than it. */
static const struct row bots[] = {
    {"bot/", 1}, {"bot;", 1}, {"bot)", 1}, {"bot ", 1}, {"bot-", 1}, {"crawler", 1}, {"spider", 1}, {"slurp", 1}, {"googlebot", 1},
    {"bingpreview", 1}, {"mediapartners-google", 1}, {"adsbot", 1}, {"google-inspectiontool", 1}, {"googleother", 1},
    {"google-read-aloud", 1}, {"feedfetcher", 1}, {"headlesschrome", 1}, {"phantomjs", 1}, {"lighthouse", 1}, {"pagespeed", 1},
    {"gptbot", 1}, {"chatgpt-user", 1}, {"claude", 1}, {"perplexity", 1}, {"ccbot", 1}, {"bytespider", 1}, {"petalbot", 1},
    {"ahrefs", 1}, {"semrush", 1}, {"mj12bot", 1}, {"dotbot", 1}, {"archive.org_bot", 1}, {"ia_archiver", 1}, {"uptimerobot", 1},
    {"pingdom", 1}, {"statuscake", 1}, {"site24x7", 1}, {"monitor", 1}, {"nagios", 1}, {"zabbix", 1}, {"checker", 1},
    {"validator", 1}, {"scrapy", 1}, {"python-requests", 1}, {"python-urllib", 1}, {"aiohttp", 1}, {"httpx", 1}, {"libwww-perl", 1}, {"java/", 1}, {"okhttp", 1}, {"apache-httpclient", 1}, {"go-http-client", 1}, {"axios/", 1},
    {"node-fetch", 1}, {"undici", 1}, {"guzzlehttp", 1}, {"postmanruntime", 1}, {"insomnia/", 1}, {"fetcher", 1},
    {"masscan", 1}, {"zgrab", 1}, {"nmap", 1}, {"nuclei", 1}, {"censys", 1}, {"expanse", 1}, {"preview", 1}, {"http://", 1},
    {"https://", 1}, {"@", 1},
};

/* The first that is there counts: most browsers name those that they come from as well. */
static const struct row by_browser[] = {
    {"edg/", EDGE}, {"edga/", EDGE}, {"edgios/", EDGE}, {"edge/", EDGE}, {"opr/", OPERA}, {"opera", OPERA}, {"opios/", OPERA},
    {"opt/", OPERA}, {"samsungbrowser/", SAMSUNG}, {"vivaldi/", VIVALDI}, {"yabrowser/", YANDEX}, {"ucbrowser/", UC},
    {"ucweb", UC}, {"brave/", BRAVE}, {"duckduckgo/", DUCKDUCKGO}, {"ddg/", DUCKDUCKGO}, {"instagram", INSTAGRAM},
    {"fban/", FACEBOOK}, {"fbav/", FACEBOOK}, {"fb_iab", FACEBOOK}, {"silk/", SILK}, {"firefox/", FIREFOX}, {"fxios/", FIREFOX},
    {"focus/", FIREFOX}, {"msie ", IE}, {"trident/", IE}, {"chromium/", CHROMIUM}, {"; wv)", IN_APP}, {"crios/", CHROME},
    {"chrome/", CHROME}, {"android", ANDROID_BROWSER}, {"safari/", SAFARI}, {"applewebkit/", IN_APP}, {"curl/", COMMAND_LINE},
    {"wget/", COMMAND_LINE}, {"httpie/", COMMAND_LINE},
};

static const struct row by_system[] = {
    {"windows phone", WINDOWS_PHONE}, {"iemobile", WINDOWS_PHONE}, {"xbox", CONSOLE}, {"playstation", CONSOLE}, {"nintendo", CONSOLE},
    {"windows", WINDOWS}, {"ipad", IPADOS}, {"iphone", IOS}, {"ipod", IOS}, {"smart-tv", TV}, {"smarttv", TV}, {"appletv", TV},
    {"apple tv", TV}, {"googletv", TV}, {"hbbtv", TV}, {"web0s", TV}, {"tizen", TV}, {"kaios", KAIOS}, {"android", ANDROID},
    {"cros ", CHROME_OS}, {"macintosh", MACOS}, {"mac os x", MACOS}, {"freebsd", FREEBSD}, {"linux", LINUX}, {"x11", LINUX},
};

static const struct row by_device[] = {
    {"xbox", SD_DEVICE_OTHER}, {"playstation", SD_DEVICE_OTHER}, {"nintendo", SD_DEVICE_OTHER}, {"tv", SD_DEVICE_OTHER},
    {"web0s", SD_DEVICE_OTHER}, {"ipad", SD_DEVICE_TABLET}, {"tablet", SD_DEVICE_TABLET}, {"silk/", SD_DEVICE_TABLET},
    {"kindle", SD_DEVICE_TABLET}, {"iphone", SD_DEVICE_MOBILE}, {"ipod", SD_DEVICE_MOBILE}, {"windows phone", SD_DEVICE_MOBILE},
    {"mobi", SD_DEVICE_MOBILE}, {"opera mini", SD_DEVICE_MOBILE}, {"kaios", SD_DEVICE_MOBILE},
    {"android", SD_DEVICE_TABLET}, /* those of phones say Mobile */
    {"windows", SD_DEVICE_DESKTOP}, {"macintosh", SD_DEVICE_DESKTOP}, {"cros ", SD_DEVICE_DESKTOP}, {"x11", SD_DEVICE_DESKTOP},
    {"linux", SD_DEVICE_DESKTOP}, {"freebsd", SD_DEVICE_DESKTOP},
};

/* The value of the first row whose word is in the text; 0: none. */
static uint8_t find(const struct row *rows, size_t n, struct sd_slice text)
{
	for (size_t i = 0; i < n; i++)
		if (memmem(text.p, text.n, rows[i].word, strlen(rows[i].word)))
			return rows[i].is;
	return 0;
}

static bool ends_with(struct sd_slice s, const char *end)
{
	size_t n = strlen(end);
	return s.n >= n && memcmp(s.p + s.n - n, end, n) == 0;
}

/* What browsers begin with, and what a person types. */
static const char *const persons[] = {"mozilla/", "opera/", "curl/", "wget/", "httpie/"};

static enum sd_client_kind kind_of(struct sd_slice text)
{
	if (find(previews, COUNT(previews), text))
		return SD_CLIENT_PREVIEW;
	if (find(bots, COUNT(bots), text) || ends_with(text, "bot"))
		return SD_CLIENT_BOT;
	for (size_t i = 0; i < COUNT(persons); i++)
		if (sd_slice_starts(text, persons[i]))
			return SD_CLIENT_PERSON;
	return SD_CLIENT_BOT;
}

struct sd_user_agent sd_user_agent_parse(struct sd_slice text)
{
	char low[SD_USER_AGENT_MAX];
	struct sd_slice s = {low, text.n < sizeof(low) ? text.n : sizeof(low)};
	for (size_t i = 0; i < s.n; i++)
		low[i] = (char)(text.p[i] >= 'A' && text.p[i] <= 'Z' ? text.p[i] + 32 : text.p[i]);
	return (struct sd_user_agent){.kind = (uint8_t)kind_of(s),
				      .device = find(by_device, COUNT(by_device), s),
				      .browser = find(by_browser, COUNT(by_browser), s),
				      .system = find(by_system, COUNT(by_system), s)};
}

/* A list of words, such as "prefetch;prerender" or "prefetch;anonymous-client-ip": the first of them says it. */
bool sd_is_prefetch(struct sd_slice purpose)
{
	static const char *const words[] = {"prefetch", "prerender", "preview"};
	for (size_t i = 0; i < COUNT(words); i++) {
		size_t n = strlen(words[i]);
		struct sd_slice first = {purpose.p, purpose.n < n ? purpose.n : n};
		if (sd_slice_ieq(first, words[i]) && (purpose.n == n || strchr(";, \t", purpose.p[n])))
			return true;
	}
	return false;
}

const char *sd_client_kind_name(unsigned kind)
{
	return kind < COUNT(kinds) ? kinds[kind] : "other";
}

const char *sd_device_name(unsigned device)
{
	return device < COUNT(devices) ? devices[device] : devices[0];
}

const char *sd_browser_name(unsigned browser)
{
	return browser < COUNT(browsers) ? browsers[browser] : browsers[0];
}

const char *sd_system_name(unsigned system)
{
	return system < COUNT(systems) ? systems[system] : systems[0];
}
