/*
 * web_root.c - the folder of the page.
 */
#include "web_root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef CHAT_WEB_DIR
#define CHAT_WEB_DIR "/usr/share/mosquitto-chat/web"
#endif

#define INDEX "index.html"

/* NULL, or what is wrong: by the rules of bridge/web_files.c, which reads regular files only. */
static const char *fault_of(const char *dir)
{
	const char *fault = NULL;
	struct stat info;
	int folder, file;

	folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return strerror(errno);
	file = openat(folder, INDEX, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (file < 0)
		fault = errno == ENOENT  ? "there is no " INDEX " in it"
		        : errno == ELOOP ? INDEX " in it is a symbolic link, which is not followed"
		                         : INDEX " in it cannot be read";
	else if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode))
		fault = INDEX " in it is no regular file";
	if (file >= 0)
		(void)close(file);
	(void)close(folder);
	return fault;
}

/* The folder that dir (its first len bytes) and rest name, where it is one. */
static bool take(const char *dir, size_t len, const char *rest, char root[WEB_ROOT_MAX + 1])
{
	char path[WEB_ROOT_MAX + 1];
	int n = snprintf(path, sizeof(path), "%.*s%s", (int)len, dir, rest);

	if (n <= 0 || (size_t)n >= sizeof(path) || fault_of(path))
		return false;
	memcpy(root, path, (size_t)n + 1);
	return true;
}

bool web_root_find(const char *plugin_path, char root[WEB_ROOT_MAX + 1], char reason[OPTION_REASON_MAX])
{
	const char *slash = strrchr(plugin_path, '/');
	size_t len = slash ? (size_t)(slash - plugin_path) : 0;
	const char *fault;

	if (root[0] != '\0') {
		fault = fault_of(root);
		if (fault)
			(void)snprintf(reason, OPTION_REASON_MAX, "%s", fault);
		return !fault;
	}
	/* A build tree, a folder with everything, an installation. */
	if ((slash && (take(plugin_path, len, "/../web", root) || take(plugin_path, len, "/web", root))) ||
	    take(CHAT_WEB_DIR, strlen(CHAT_WEB_DIR), "", root))
		return true;
	(void)snprintf(reason, OPTION_REASON_MAX,
	               "no page was found, neither beside the plugin nor in " CHAT_WEB_DIR
	               ": / is 404 (plugin_opt_web_root names one, or is `off`)");
	return false;
}
