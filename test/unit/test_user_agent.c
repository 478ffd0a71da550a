/* User-Agents as they are sent, and what they say; then anything, of any length. */
#include <stdlib.h>

#include "core/rng.h"
#include "core/user_agent.h"
#include "guard.h"

#define WIN "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
#define PHONE "Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) "
#define IPHONE "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "

static const struct {
	const char *text, *kind, *device, *browser, *system;
} rows[] = {
    {WIN "Chrome/124.0.0.0 Safari/537.36", "person", "desktop", "Chrome", "Windows"},
    {WIN "Chrome/124.0.0.0 Safari/537.36 Edg/124.0.2478.51", "person", "desktop", "Edge", "Windows"},
    {WIN "Chrome/124.0.0.0 Safari/537.36 OPR/110.0.0.0", "person", "desktop", "Opera", "Windows"},
    {"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:125.0) Gecko/20100101 Firefox/125.0", "person", "desktop", "Firefox", "Windows"},
    {"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", "person", "desktop", "Internet Explorer", "Windows"},
    {"Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0", "person", "desktop", "Firefox", "Linux"},
    {"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36", "person",
     "desktop", "Chrome", "ChromeOS"},
    {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15", "person",
     "desktop", "Safari", "macOS"},
    {PHONE "Chrome/124.0.0.0 Mobile Safari/537.36", "person", "mobile", "Chrome", "Android"},
    {PHONE "SamsungBrowser/24.0 Chrome/117.0.0.0 Mobile Safari/537.36", "person", "mobile", "Samsung Internet", "Android"},
    {"Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36", "person", "tablet",
     "Chrome", "Android"},
    {"Mozilla/5.0 (Linux; Android 12; SM-G991B; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/124.0 Mobile Safari/537.36",
     "person", "mobile", "in an app", "Android"},
    {"Mozilla/5.0 (Android 14; Mobile; rv:125.0) Gecko/125.0 Firefox/125.0", "person", "mobile", "Firefox", "Android"},
    {IPHONE "Version/17.4 Mobile/15E148 Safari/604.1", "person", "mobile", "Safari", "iOS"},
    {IPHONE "CriOS/124.0.6367.71 Mobile/15E148 Safari/604.1", "person", "mobile", "Chrome", "iOS"},
    {IPHONE "FxiOS/125.0 Mobile/15E148 Safari/605.1.15", "person", "mobile", "Firefox", "iOS"},
    {IPHONE "Mobile/15E148 Instagram 329.0.0.0 (iPhone14,5; iOS 17_4)", "person", "mobile", "Instagram", "iOS"},
    {IPHONE "Mobile/15E148 [FBAN/FBIOS;FBAV/459.0.0;FBBV/1;FBDV/iPhone14,5]", "person", "mobile", "Facebook", "iOS"},
    {"Mozilla/5.0 (iPad; CPU OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
     "person", "tablet", "Safari", "iPadOS"},
    {"Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) Version/6.0 TV Safari/537.36", "person", "other",
     "Safari", "TV"},
    {"Opera/9.80 (J2ME/MIDP; Opera Mini/9.80 (S60; SymbOS; Opera Mobi/23.348; U; en) Presto/2.5.25 Version/10.54", "person", "mobile",
     "Opera", "other"},
    {"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", "preview", "other", "other", "other"},
    {"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "preview", "other", "other", "other"},
    {"Twitterbot/1.0", "preview", "other", "other", "other"},
    {"WhatsApp/2.23.20.0 A", "preview", "other", "other", "other"},
    {"Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)", "preview", "other", "other", "other"},
    {"TelegramBot (like TwitterBot)", "preview", "other", "other", "other"},
    {"LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)", "preview", "other", "other", "other"},
    {"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot", "other", "other", "other"},
    {PHONE "Chrome/124.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot", "mobile", "Chrome",
     "Android"},
    {"Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", "bot", "other", "other", "other"},
    {WIN "HeadlessChrome/124.0.0.0 Safari/537.36", "bot", "desktop", "Chrome", "Windows"},
    {"curl/8.5.0", "person", "other", "command line", "other"},
    {"Wget/1.21.3", "person", "other", "command line", "other"},
    {"python-requests/2.31.0", "bot", "other", "other", "other"},
    {"Go-http-client/1.1", "bot", "other", "other", "other"},
    {"MyOwnBot", "bot", "other", "other", "other"},
    {"", "bot", "other", "other", "other"},
    {"Mozilla/5.0", "person", "other", "other", "other"},
};

START_TEST(as_they_are_sent)
{
	struct sd_user_agent u = sd_user_agent_parse(sd_slice_of(rows[_i].text));
	ck_assert_str_eq(sd_client_kind_name(u.kind), rows[_i].kind);
	ck_assert_str_eq(sd_device_name(u.device), rows[_i].device);
	ck_assert_str_eq(sd_browser_name(u.browser), rows[_i].browser);
	ck_assert_str_eq(sd_system_name(u.system), rows[_i].system);
}
END_TEST

START_TEST(prefetches)
{
	static const char *const yes[] = {"prefetch", "Prefetch", "prefetch;prerender", "prefetch;anonymous-client-ip", "prerender", "preview"};
	static const char *const no[] = {"", "prefetching", "pre", "x prefetch", "none"};
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		ck_assert_msg(sd_is_prefetch(sd_slice_of(yes[i])), "%s", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		ck_assert_msg(!sd_is_prefetch(sd_slice_of(no[i])), "%s", no[i]);
}
END_TEST

/* Stored numbers: they never change their meaning. */
START_TEST(numbers_stay)
{
	ck_assert_str_eq(sd_browser_name(1), "Chrome");
	ck_assert_str_eq(sd_browser_name(18), "in an app");
	ck_assert_str_eq(sd_system_name(12), "console");
	ck_assert_str_eq(sd_device_name(3), "tablet");
	ck_assert_str_eq(sd_client_kind_name(3), "prefetch");
	ck_assert_str_eq(sd_browser_name(19), "command line");
	ck_assert_str_eq(sd_browser_name(20), "other");
	ck_assert_str_eq(sd_system_name(255), "other");
	ck_assert_str_eq(sd_device_name(4), "other");
}
END_TEST

/* Every one cut off at every byte, ending at a page that cannot be read; and noise of any length. */
START_TEST(anything)
{
	struct guard g = guard_new(4096);
	struct sd_rng rng;
	char noise[3000];
	sd_rng_seed(&rng, 3);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t n = 0; n <= strlen(rows[i].text); n++) {
			struct sd_user_agent u = sd_user_agent_parse((struct sd_slice){guard_put(&g, rows[i].text, n), n});
			ck_assert_uint_lt(u.kind, SD_CLIENT_PREFETCH);
			ck_assert_uint_lt(u.device, SD_DEVICES);
		}
	}
	for (unsigned round = 0; round < 200; round++) {
		size_t n = sd_rng_next(&rng) % sizeof(noise);
		for (size_t i = 0; i < n; i++)
			noise[i] = (char)sd_rng_next(&rng);
		sd_user_agent_parse((struct sd_slice){guard_put(&g, noise, n), n});
		sd_is_prefetch((struct sd_slice){guard_put(&g, noise, n % 16), n % 16});
	}
	guard_free(&g);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("user_agent");
	TCase *t = tcase_create("user_agent");
	tcase_add_loop_test(t, as_they_are_sent, 0, sizeof(rows) / sizeof(rows[0]));
	tcase_add_test(t, prefetches);
	tcase_add_test(t, numbers_stay);
	tcase_add_test(t, anything);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
