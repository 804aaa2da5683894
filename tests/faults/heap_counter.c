/*
 * heap_counter.c - how many bytes of the heap a process has in use, for whoever watches it from outside.
 *
 * Loaded with LD_PRELOAD. What the kernel shows of a process (RSS) hardly ever gets smaller and hides what
 * leaks into space that was free; this number does neither. It stands, 8 bytes in the machine's order, in the
 * file $CHAT_HEAP_FOLDER/heap.<pid>, which a watcher reads whenever it likes.
 *
 * Pieces count with what they may hold (malloc_usable_size). glibc only: its own names are beneath.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *at);

static _Atomic int64_t before_start;
static _Atomic int64_t *used = &before_start;

__attribute__((constructor)) static void start(void)
{
	const char *folder = getenv("CHAT_HEAP_FOLDER");
	char path[512];
	void *shared;
	int fd;

	if (!folder || snprintf(path, sizeof(path), "%s/heap.%d", folder, (int)getpid()) >= (int)sizeof(path))
		return;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (ftruncate(fd, sizeof(*used)) == 0) {
		shared = mmap(NULL, sizeof(*used), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (shared != MAP_FAILED) {
			used = shared;
			atomic_store(used, atomic_load(&before_start));
		}
	}
	(void)close(fd);
}

static void *count(void *at)
{
	if (at)
		atomic_fetch_add_explicit(used, (int64_t)malloc_usable_size(at), memory_order_relaxed);
	return at;
}

static void uncount(void *at)
{
	if (at)
		atomic_fetch_sub_explicit(used, (int64_t)malloc_usable_size(at), memory_order_relaxed);
}

void *malloc(size_t size)
{
	return count(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
	return count(__libc_calloc(n, size));
}

void *realloc(void *old, size_t size)
{
	int64_t was = old ? (int64_t)malloc_usable_size(old) : 0;
	void *at = __libc_realloc(old, size);

	/* NULL: the old one is still there, unless it was to be freed. */
	if (at || size == 0)
		atomic_fetch_sub_explicit(used, was, memory_order_relaxed);
	return count(at);
}

void *memalign(size_t alignment, size_t size)
{
	return count(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *at = memalign(alignment, size);

	if (!at)
		return ENOMEM;
	*out = at;
	return 0;
}

void free(void *at)
{
	uncount(at);
	__libc_free(at);
}
