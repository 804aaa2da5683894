/* settings.c - the line by which the plugin tells a bridge its settings. */
#include "common/settings.h"

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bridge_settings first, second;
	const char *why = NULL;
	memset(&first, 0, sizeof first);
	memset(&second, 0, sizeof second);
	if (!settings_from_line((const char *)data, size, &first, &why)) {
		MUST(why != NULL && why[0] != '\0');
		return 0;
	}
	MUST(room_name_valid(first.room, strlen(first.room)));
	MUST(topic_root_valid(first.topic_root, strlen(first.topic_root)));
	MUST(first.max_frame_bytes > 0 && first.max_sessions > 0 && first.outbox_bytes > 0);
	MUST(first.ping_interval_ms > 0 && first.ping_timeout_ms > 0 && first.header_timeout_ms > 0);
	char *line = settings_to_line(&first);
	MUST(line != NULL && line[0] == '{' && line[strlen(line) - 1] == '\n');
	MUST(strchr(line, '\n') == line + strlen(line) - 1);
	MUST(settings_from_line(line, strlen(line), &second, &why));
	char *again = settings_to_line(&second);
	MUST(again != NULL && strcmp(line, again) == 0);
	free(again);
	free(line);
	return 0;
}
