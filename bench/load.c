/*
 * load.c - chat-load: options in, one run, a report out. README.md says what the numbers mean.
 */
#include "bench/options.h"
#include "bench/report.h"
#include "bench/run.h"

#include <stdio.h>
#include <stdlib.h>

enum { ALL_WELL = 0, NOT_WELL = 1, NOT_RUN = 2 };

static bool all_well(const struct result *r)
{
	return r->counts.lost + r->counts.doubled + r->counts.disordered + r->errors + r->closed + r->unsent +
	           r->stalls ==
	       0;
}

int main(int argc, char **argv)
{
	struct result *r = malloc(sizeof(*r));
	struct options o;
	char why[RUN_TEXT];
	int status = options_parse(&o, argc, argv);

	if (status == 0 && r != NULL) {
		if (!run_load(&o, r, why)) {
			(void)fprintf(stderr, "chat-load: %s\n", why);
			status = NOT_RUN;
		} else if (!(o.json ? report_json(&o, r) : report_text(&o, r))) {
			status = NOT_RUN;
		} else {
			status = all_well(r) ? ALL_WELL : NOT_WELL;
		}
	}
	options_free(&o);
	free(r);
	return status < 0 ? ALL_WELL : status;
}
