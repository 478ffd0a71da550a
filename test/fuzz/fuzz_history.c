/* Histories as text, for the model that the first byte names. What is taken must be written as a text that
 * reads back as the same one, and be checked with a small budget to a verdict that its short form confirms;
 * what is refused must leave nothing behind and say in which line why. */
#include <stdlib.h>
#include <string.h>

#include "sdlab/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

static const struct sd_lin_model *const models[] = {&sd_lin_register, &sd_lin_counter, &sd_lin_set,
						    &sd_lin_queue,    &sd_lin_lock,    &sd_lin_fenced_lock};

static void check_text(const struct sd_history *h)
{
	size_t n, m;
	char *text = sd_history_write(h, &n);
	struct sd_history *again;
	HOLDS(text && strlen(text) == n);
	HOLDS(sd_history_read(sd_history_model(h), text, n, &again, NULL) == SD_OK);
	char *same = sd_history_write(again, &m);
	HOLDS(same && n == m && memcmp(text, same, n) == 0);
	free(text);
	free(same);
	sd_history_free(again);
}

static void check_verdict(const struct sd_history *h)
{
	struct sd_lin_limits limits = {20000, 1 << 22};
	struct sd_lin_report report, again;
	sd_lin_check(h, &limits, &report);
	char *text = sd_lin_report_text(h, &report);
	HOLDS(text && text[0]);
	HOLDS((report.verdict == SD_VERDICT_UNKNOWN) == (report.why != NULL));
	struct sd_history *small = sd_lin_report_history(h, &report);
	HOLDS((report.verdict == SD_VERDICT_VIOLATED) == (small != NULL));
	if (small) {
		HOLDS(sd_lin_check(small, &limits, &again) != SD_VERDICT_OK);
		sd_lin_report_free(&again);
	}
	sd_history_free(small);
	sd_lin_report_free(&report);
	free(text);
}

/* A block of just its size, so that the address sanitizer sees a byte too far. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sd_history *h = NULL;
	struct sd_error e = {SD_OK, ""};
	if (size == 0)
		return 0;
	char *text = malloc(size > 1 ? size - 1 : 1);
	HOLDS(text);
	memcpy(text, data + 1, size - 1);
	enum sd_err err =
	    sd_history_read(models[data[0] % (sizeof(models) / sizeof(models[0]))], text, size - 1, &h, &e);
	HOLDS((err == SD_OK) == (h != NULL));
	HOLDS(h || (e.code == err && strncmp(e.text, "history: line ", 14) == 0));
	free(text);
	if (h) {
		check_text(h);
		check_verdict(h);
	}
	sd_history_free(h);
	return 0;
}
