/*
 * web_root.h - the folder of the page that the bridges serve: plugin_opt_web_root, or where it was
 * built or installed. Only looked for here; a bridge reads it (bridge/web_files.h).
 */
#ifndef CHAT_WEB_ROOT_H
#define CHAT_WEB_ROOT_H

#include "common/settings.h"
#include "options.h"

#include <stdbool.h>

/* root: the path that was given, or "" to be looked for: ../web/ beside the plugin, web/ in its folder, the
 * installed one; plugin_path: "" where unknown. True and root filled when there is a folder with an
 * index.html that this process can read. Else false, root as it was, and what is wrong in reason. */
bool web_root_find(const char *plugin_path, char root[WEB_ROOT_MAX + 1], char reason[OPTION_REASON_MAX]);

#endif
