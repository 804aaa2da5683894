/* replay.c - calls a target with each file of the folders given: no fuzzing, any compiler. */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

static size_t replayed;

static void replay_file(const char *path)
{
	struct stat about;
	FILE *file = fopen(path, "rb");
	MUST(file != NULL);
	MUST(fstat(fileno(file), &about) == 0);
	size_t n = (size_t)about.st_size;
	uint8_t *bytes = malloc(n > 0 ? n : 1); /* exactly: what is read beyond it is found */
	MUST(bytes != NULL);
	MUST(fread(bytes, 1, n, file) == n);
	MUST(fclose(file) == 0);
	(void)fprintf(stderr, "%s\n", path);
	MUST(LLVMFuzzerTestOneInput(bytes, n) == 0);
	free(bytes);
	replayed++;
}

static void replay_folder(const char *path)
{
	char name[PATH_MAX];
	DIR *folder = opendir(path);
	MUST(folder != NULL);
	for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
		if (entry->d_name[0] == '.')
			continue;
		int n = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		MUST(n > 0 && (size_t)n < sizeof name);
		replay_file(name);
	}
	(void)closedir(folder);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay_folder(argv[i]);
	(void)fprintf(stderr, "%zu files\n", replayed);
	return replayed > 0 ? 0 : 1; /* an empty corpus shows nothing */
}
