/*
 * module.c - mosquitto_ctrl_chat.so: `mosquitto_ctrl [options] chat kick bob@x.org` is mosquitto-chat-ctl
 * [options] kick bob@x.org.
 *
 * mosquitto_ctrl hands a module what it has read of its options in a struct of its own, which no installed
 * header describes and which is another one in each release. So the options are taken from the command line
 * again, and the program does the rest, in this process' place.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "mosquitto-chat-ctl"
#define LINE_MAX_BYTES 131072
#define WORDS_MAX 256
#define FAILED 1 /* which mosquitto_ctrl reports as out of memory, after the line that says why */

__attribute__((visibility("default"))) int ctrl_main(int argc, char *argv[], void *ctrl);

/* The words of this process' command line; returns how many, or -1. */
static int read_words(char *line, char *words[WORDS_MAX])
{
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC), count = 0;
	size_t len = 0;
	ssize_t n = 1;
	char *at;

	if (fd < 0)
		return -1;
	while (len < LINE_MAX_BYTES && (n = read(fd, line + len, LINE_MAX_BYTES - len)) > 0)
		len += (size_t)n;
	(void)close(fd); /* only read */
	if (n != 0 || len == 0 || line[len - 1] != '\0')
		return -1;
	for (at = line; at < line + len && count < WORDS_MAX; at += strlen(at) + 1)
		words[count++] = at;
	return at == line + len ? count : -1;
}

int ctrl_main(int argc, char *argv[], void *ctrl)
{
	static char line[LINE_MAX_BYTES];
	static char *words[WORDS_MAX], *command[WORDS_MAX + 1];
	int count = read_words(line, words), options = count - argc - 1, i;

	(void)argv;
	(void)ctrl;
	/* mosquitto_ctrl, its options, "chat", and argc words */
	if (argc < 0 || options < 1 || strcmp(words[options], "chat") != 0) {
		fprintf(stderr, "mosquitto_ctrl chat: the command line cannot be read: use " PROGRAM "\n");
		return FAILED;
	}
	for (i = 0; i < count - 1; i++)
		command[i] = words[i < options ? i : i + 1];
	command[0] = (char[]){PROGRAM};
	command[count - 1] = NULL;
	(void)execvp(PROGRAM, command);
	perror("mosquitto_ctrl chat: " PROGRAM);
	return FAILED;
}
