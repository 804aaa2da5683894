/* web_files.c - see web_files.h */
#include "bridge/web_files.h"
#include "bridge/chunk.h"
#include "bridge/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INDEX "index.html"
#define SESSIONS "ws"    /* /ws/... are sessions, whatever lies there */
#define NAMED_SKIPS 10   /* in the log; the others are counted */
#define ENTRIES_MAX 4096 /* of one folder: it is none of a page's then */

/* ---- one file ----------------------------------------------------------------------------- */

static void skip(struct web_files *all, const char *folder, const char *name, const char *why)
{
	if (all->skipped++ < NAMED_SKIPS)
		log_line(LOG_LEVEL_WARNING, "the page: %s%s%s is not served: %s", folder,
		         folder[0] != '\0' ? "/" : "", name, why);
}

/* The content of a regular file of that size; NULL and what is wrong. */
static struct chunk *read_all(int fd, size_t size, const char **why)
{
	struct chunk *body = chunk_new(size + 1); /* one more, to see that it has not grown */
	while (body != NULL && body->len <= size) {
		ssize_t n = read(fd, body->bytes + body->len, size + 1 - body->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			*why = strerror(errno);
			chunk_release(body);
			return NULL;
		}
		if (n == 0)
			break;
		body->len += (uint32_t)n;
	}
	if (body != NULL && body->len == size)
		return body;
	*why = body == NULL ? "no memory for it" : "it changed while it was read";
	chunk_release(body);
	return NULL;
}

static bool describe(struct web_file *f, const struct web_kind *kind)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[WEB_ETAG_HEX + 1];
	if (EVP_Digest(f->body->bytes, f->body->len, digest, NULL, EVP_sha256(), NULL) != 1)
		return false;
	for (size_t i = 0; i < WEB_ETAG_HEX / 2; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	f->etag[0] = f->etag[WEB_ETAG_HEX + 1] = '"';
	memcpy(f->etag + 1, hex, WEB_ETAG_HEX);
	f->content_type = kind->content_type;
	/* no-cache: kept, and asked for anew each time, which the ETag makes cheap */
	int n = snprintf(f->fields, sizeof f->fields,
	                 "ETag: \"%s\"\r\nCache-Control: no-cache\r\nReferrer-Policy: no-referrer\r\n%s", hex,
	                 kind->fields);
	return n > 0 && (size_t)n < sizeof f->fields;
}

/* What fd holds becomes the file of that name; NULL, or why not. */
static const char *add(struct web_files *all, int fd, const char *name)
{
	struct web_file *f = &all->files[all->count];
	const struct web_kind *kind = web_kind_of(name);
	struct stat info;
	const char *why = NULL;
	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
		return "it is no regular file";
	if (kind == NULL)
		return "files of this kind are not served";
	if (all->count == WEB_FILES_MAX)
		return "there are more than 64 files";
	if ((size_t)info.st_size > WEB_BYTES_MAX - all->bytes)
		return "the files are larger than 4 MB together";
	memset(f, 0, sizeof *f);
	memcpy(f->name, name, strlen(name) + 1);
	f->body = read_all(fd, (size_t)info.st_size, &why);
	if (f->body == NULL)
		return why;
	if (!describe(f, kind)) {
		chunk_release(f->body);
		return "no hash could be made of it";
	}
	all->bytes += f->body->len;
	all->count++;
	return NULL;
}

/* ---- folders ------------------------------------------------------------------------------ */

/* Those of the root, which come after its files. */
struct folders {
	char names[WEB_FILES_MAX][WEB_NAME_MAX + 1];
	size_t count;
};

/* NULL: it is remembered, or why not. below: NULL in a folder, which has none. */
static const char *take_folder(struct folders *below, const char *name)
{
	if (below == NULL)
		return "folders in folders are not";
	if (strcmp(name, SESSIONS) == 0)
		return "sessions are there";
	if (below->count == WEB_FILES_MAX)
		return "there are more than 64 folders";
	memcpy(below->names[below->count++], name, strlen(name) + 1);
	return NULL;
}

/* NULL: the entry of the folder fd is taken, or why not. name: from the root on. */
static const char *take_entry(struct web_files *all, int fd, const char *entry, const char *name,
                              struct folders *below)
{
	struct stat info;
	if (fstatat(fd, entry, &info, AT_SYMLINK_NOFOLLOW) != 0)
		return strerror(errno);
	if (S_ISDIR(info.st_mode))
		return take_folder(below, name);
	if (!S_ISREG(info.st_mode))
		return "it is no regular file";
	int file = openat(fd, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (file < 0)
		return strerror(errno);
	const char *why = add(all, file, name);
	(void)close(file);
	return why;
}

/* folder: its name, "" for the root; fd: what it was opened as, taken. */
static void read_folder(struct web_files *all, int fd, const char *folder, struct folders *below)
{
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		skip(all, "", folder, strerror(errno));
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	const struct dirent *entry;
	for (int n = 0; (entry = readdir(dir)) != NULL; n++) {
		char name[WEB_NAME_MAX + 1];
		const char *part = entry->d_name;
		const char *why = "names have A-Z a-z 0-9 - _ . and begin with no dot";
		if (n == ENTRIES_MAX) {
			skip(all, folder, "what follows", "there are too many files");
			break;
		}
		if (strcmp(part, ".") == 0 || strcmp(part, "..") == 0 ||
		    (folder[0] == '\0' && all->count > 0 &&
		     strcmp(all->files[0].name, part) == 0)) /* it came first */
			continue;
		int len = snprintf(name, sizeof name, "%s%s%s", folder, folder[0] != '\0' ? "/" : "", part);
		if (web_part_valid(part) && len > 0 && (size_t)len < sizeof name)
			why = take_entry(all, dirfd(dir), part, name, below);
		if (why != NULL)
			skip(all, folder, part, why);
	}
	(void)closedir(dir);
}

void web_files_load(struct web_files *all, const char *root)
{
	struct folders below = {.count = 0};
	memset(all, 0, sizeof *all);
	if (root[0] == '\0')
		return;
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		log_line(LOG_LEVEL_ERROR, "the page cannot be read from %s: %s", root, strerror(errno));
		return;
	}
	int index = openat(fd, INDEX, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (index >= 0) {
		(void)add(all, index, INDEX); /* first, so that no bound is in its way; else it is tried again */
		(void)close(index);
	}
	bool whole = all->count > 0;
	read_folder(all, fcntl(fd, F_DUPFD_CLOEXEC, 0), "", &below);
	for (size_t i = 0; i < below.count; i++)
		read_folder(all, openat(fd, below.names[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
		            below.names[i], NULL);
	(void)close(fd);
	if (all->skipped > NAMED_SKIPS)
		log_line(LOG_LEVEL_WARNING, "the page: %zu more files are not served", all->skipped - NAMED_SKIPS);
	if (!whole)
		log_line(LOG_LEVEL_ERROR, "the page has no " INDEX " in %s: / is 404", root);
	log_line(LOG_LEVEL_INFO, "the page: %zu files, %zu bytes, from %s", all->count, all->bytes, root);
}

void web_files_free(struct web_files *all)
{
	while (all->count > 0)
		chunk_release(all->files[--all->count].body);
}

const struct web_file *web_files_find(const struct web_files *all, struct http_span path)
{
	struct http_span name = {INDEX, sizeof INDEX - 1};
	if (path.len == 0 || path.at[0] != '/')
		return NULL;
	if (path.len > 1)
		name = (struct http_span){path.at + 1, path.len - 1};
	for (size_t i = 0; i < all->count; i++)
		if (http_span_is(name, all->files[i].name))
			return &all->files[i];
	return NULL;
}
