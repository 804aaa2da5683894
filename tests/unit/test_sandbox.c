/*
 * The sandbox: what can still be done in it, what is refused, and what ends the process. Each case in a
 * process of its own, for there is no way back.
 */
#include "bridge/log.h"
#include "bridge/sandbox.h"

#include "tests/unit/guarded.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static char folder[] = "/tmp/chat-sandbox-XXXXXX";
static char database[64], wal[64], shm[64], certificate[64], key[64], other_socket[64], new_file[64],
    secret[64], real_key[64], next_key[64];
static const struct sockaddr_un *broker;
static struct sockaddr_un other;
static int go[2];
static sqlite3 *db; /* open all the time, as the plugin's is */

/* ---- what it logs ------------------------------------------------------------------- */

static char logged[2048];

void log_line(enum log_level level, const char *format, ...)
{
	size_t n = strlen(logged);
	va_list args;

	(void)level;
	va_start(args, format);
	(void)vsnprintf(logged + n, sizeof logged - n, format, args);
	va_end(args);
	(void)strncat(logged, "\n", sizeof logged - strlen(logged) - 1);
}

/* ---- around them all ---------------------------------------------------------------- */

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	(void)close(fd);
}

static void name(char out[64], const char *rest)
{
	(void)snprintf(out, 64, "%s/%s", folder, rest);
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static void make_database(void)
{
	assert_int_equal(sqlite3_open(database, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES(7)",
	                              NULL, NULL, NULL),
	                 SQLITE_OK);
}

static int make_all(void **state)
{
	char path[64];

	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	name(path, "db");
	assert_int_equal(mkdir(path, 0700), 0);
	name(path, "cert");
	assert_int_equal(mkdir(path, 0700), 0);
	name(path, "archive");
	assert_int_equal(mkdir(path, 0700), 0);
	name(database, "db/chat.db");
	name(wal, "db/chat.db-wal");
	name(shm, "db/chat.db-shm");
	name(secret, "db/mosquitto.db");
	name(certificate, "cert/chat.pem");
	name(key, "cert/chat.key");
	name(new_file, "cert/new.pem");
	name(real_key, "archive/chat1.key");
	name(next_key, "archive/chat2.key");
	make_database();
	make_file(secret);
	make_file(certificate);
	make_file(real_key);
	assert_int_equal(symlink(real_key, key), 0);
	name(path, "broker.sock");
	(void)listen_at(path);
	broker = sandbox_address(path);
	name(other_socket, "other.sock");
	(void)listen_at(other_socket);
	other = *broker;
	(void)snprintf(other.sun_path, sizeof other.sun_path, "%s", other_socket);
	assert_int_equal(pipe(go), 0);
	return broker != NULL ? 0 : -1;
}

static int remove_all(void **state)
{
	char command[80];

	(void)state;
	(void)sqlite3_close(db);
	(void)snprintf(command, sizeof command, "rm -rf %s", folder);
	return system(command) == 0 ? 0 : -1; /* NOLINT(cert-env33-c): a folder made here */
}

static void enter(bool on)
{
	const struct sandbox_needs needs = {broker, database, certificate, key};

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	sandbox_prepare(on);
	sandbox_start(&needs);
}

/* ---- one case ----------------------------------------------------------------------- */

#define KILLED (-1) /* by SIGSYS */

typedef int (*action)(void); /* 0 or an errno */

static int outcome(long rc)
{
	return rc >= 0 ? 0 : errno;
}

/* Does it in a process of its own, inside the sandbox or with it off. */
static int run(action act, bool on)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = {0, 0};

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGSEGV, SIG_DFL); /* cmocka takes it, and goes on with the next test */
		enter(on);
		_exit(act());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSYS ? KILLED : 1000 + WTERMSIG(status);
	return WEXITSTATUS(status);
}

#define EXPECT(expected, ...)                                                                                \
	do {                                                                                                     \
		static const struct named list[] = {__VA_ARGS__};                                                    \
		for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {                                          \
			int got = run(list[i].act, true);                                                                \
			if (got != (expected))                                                                           \
				fail_msg("%s: %d (%s) instead of %d", list[i].name, got, got > 0 ? strerror(got) : "",       \
				         (expected));                                                                        \
		}                                                                                                    \
	} while (0)

struct named {
	const char *name;
	action act;
};
#define A(act)                                                                                               \
	{                                                                                                        \
#act, act                                                                                            \
	}

static bool have_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* ---- what ends the process ---------------------------------------------------------- */

static char *const no_words[] = {NULL};

#define CALL(called, ...)                                                                                    \
	static int called(void)                                                                                  \
	{                                                                                                        \
		return outcome(__VA_ARGS__);                                                                         \
	}

CALL(run_program, execve("/bin/true", no_words, no_words))
CALL(run_descriptor, syscall(SYS_execveat, 0, "/bin/true", no_words, no_words, 0))
CALL(clone_process, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0))
CALL(clone_as_vfork_does, syscall(SYS_clone, 0x4100 /* VM, VFORK */ | SIGCHLD, 0, 0, 0, 0))
CALL(run_shell, system("true")) /* NOLINT(cert-env33-c) */
CALL(trace, syscall(SYS_ptrace, 16, getppid(), 0, 0))
CALL(read_memory, syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0))
CALL(signal_broker, kill(getppid(), 0))
CALL(signal_thread, syscall(SYS_tgkill, getppid(), getppid(), 0))
CALL(pidfd, syscall(434 /* pidfd_open */, getppid(), 0))
CALL(become_other, setuid(65534))
CALL(new_namespace, syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */))
CALL(load_module, syscall(SYS_init_module, NULL, 0, ""))
CALL(bpf, syscall(SYS_bpf, 0, NULL, 0))
CALL(keyring, syscall(SYS_keyctl, 0, 0, 0, 0, 0))
CALL(mount_something, syscall(SYS_mount, "none", "/mnt", "tmpfs", 0, NULL))
CALL(perf, syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0))
CALL(internet_socket, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
CALL(internet_6_socket, socket(AF_INET6, SOCK_DGRAM, 0))
CALL(netlink_socket, socket(AF_NETLINK, SOCK_RAW, 0))
CALL(packet_socket, socket(AF_PACKET, SOCK_RAW, 0))
CALL(listen_on, listen(go[0], 1))
CALL(bind_to, bind(go[0], (const struct sockaddr *)&other, sizeof other))

static int unix_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

CALL(other_socket_path, connect(unix_socket(), (const struct sockaddr *)&other, sizeof other))
CALL(shorter_path, connect(unix_socket(), (const struct sockaddr *)broker, sizeof *broker - 90))

static int same_text_elsewhere(void)
{
	struct sockaddr_un copy = *broker;

	return outcome(connect(unix_socket(), (const struct sockaddr *)&copy, sizeof copy));
}

static void what_ends_it(void **state)
{
	(void)state;
	if (!SANDBOX_POSSIBLE)
		skip();
	EXPECT(KILLED, A(run_program), A(run_descriptor), A(clone_process), A(clone_as_vfork_does), A(run_shell),
	       A(trace), A(read_memory), A(signal_broker), A(signal_thread), A(pidfd), A(become_other),
	       A(new_namespace), A(load_module), A(bpf), A(keyring), A(mount_something), A(perf),
	       A(internet_socket), A(internet_6_socket), A(netlink_socket), A(packet_socket), A(listen_on),
	       A(bind_to), A(other_socket_path), A(shorter_path), A(same_text_elsewhere));
}

static void *later_thread(void *user)
{
	char byte;

	(void)user;
	if (read(go[0], &byte, 1) == 1)
		(void)run_program();
	return NULL;
}

/* The filter of the first step is there before a library could start a thread, that of the second is put on
 * all. */
static void threads_of_before(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	if (!SANDBOX_POSSIBLE)
		skip();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, later_thread, NULL) != 0)
			_exit(1);
		enter(true);
		if (write(go[1], "x", 1) != 1)
			_exit(2);
		(void)pthread_join(thread, NULL);
		_exit(3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* ---- what is refused ---------------------------------------------------------------- */

CALL(io_uring, syscall(425 /* io_uring_setup */, 1, NULL))
CALL(clone_3, syscall(435 /* clone3 */, NULL, 0))
CALL(call_of_the_future, syscall(9999))
CALL(anonymous_file, syscall(SYS_memfd_create, "x", 0))
CALL(datagram_socket, socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
CALL(make_folder, mkdir(new_file, 0700))
CALL(remove_file, unlink(certificate))
CALL(rename_file, rename(certificate, new_file))
CALL(change_mode, chmod(certificate, 0777))
CALL(link_file, link(secret, new_file))
CALL(be_traceable, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
CALL(raise_limit, setrlimit(RLIMIT_CORE, &(const struct rlimit){0, 0}))
CALL(limit_of_another, prlimit(getppid(), RLIMIT_CORE, NULL, NULL))
CALL(own_filter, prctl(PR_SET_SECCOMP, 1, 0, 0, 0))
CALL(owner_of_descriptor, fcntl(go[0], F_SETOWN, getppid()))
CALL(type_into_terminal, syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x"))

static int executable_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED ? 0
	                                                                                                 : errno;
}

static int memory_made_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? 200 : outcome(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

static void what_is_refused(void **state)
{
	(void)state;
	if (!SANDBOX_POSSIBLE)
		skip();
	EXPECT(ENOSYS, A(io_uring), A(clone_3), A(call_of_the_future), A(anonymous_file), A(datagram_socket),
	       A(make_folder), A(remove_file), A(rename_file), A(change_mode), A(link_file), A(be_traceable),
	       A(raise_limit), A(limit_of_another), A(own_filter), A(owner_of_descriptor), A(type_into_terminal),
	       A(executable_memory), A(memory_made_executable));
}

CALL(unseal, mprotect((void *)(uintptr_t)broker, 4096, PROT_READ | PROT_WRITE))
CALL(unmap, munmap((void *)(uintptr_t)broker, 4096))

static int map_over(void)
{
	return mmap((void *)(uintptr_t)broker, 4096, PROT_READ | PROT_WRITE,
	            MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED
	           ? 0
	           : errno;
}

static int write_into(void)
{
	*(volatile char *)(uintptr_t)broker->sun_path = 'x';
	return 0;
}

static void the_address_stays(void **state)
{
	(void)state;
	if (!SANDBOX_POSSIBLE)
		skip();
	assert_int_equal(run(write_into, true), 1000 + SIGSEGV);
	if (syscall(SYS_mseal, NULL, 0, 0) != 0 && errno == ENOSYS)
		skip(); /* a kernel before 6.10 */
	EXPECT(EPERM, A(unseal), A(unmap), A(map_over));
}

/* ---- files -------------------------------------------------------------------------- */

static int open_it(const char *path, int flags)
{
	return outcome(open(path, flags | O_CLOEXEC, 0600));
}

CALL(read_passwords, open("/etc/passwd", O_RDONLY))
CALL(read_process, open("/proc/self/status", O_RDONLY))
CALL(list_root, open("/", O_RDONLY | O_DIRECTORY))
CALL(list_certificates, open(folder, O_RDONLY | O_DIRECTORY))

static int read_beside_database(void)
{
	return open_it(secret, O_RDONLY);
}
static int write_database(void)
{
	return open_it(database, O_RDWR);
}
static int write_log(void)
{
	return open_it(wal, O_RDWR);
}
static int write_certificate(void)
{
	return open_it(certificate, O_WRONLY);
}
static int new_certificate(void)
{
	return open_it(new_file, O_WRONLY | O_CREAT);
}
static int write_null(void)
{
	return open_it("/dev/null", O_WRONLY);
}

static void files_that_are_not_there(void **state)
{
	(void)state;
	if (!SANDBOX_POSSIBLE || !have_landlock())
		skip();
	EXPECT(EACCES, A(read_passwords), A(read_process), A(list_root), A(list_certificates),
	       A(read_beside_database), A(write_database), A(write_log), A(write_certificate), A(new_certificate),
	       A(write_null));
}

static int read_database(void)
{
	sqlite3 *mine;
	sqlite3_stmt *s;

	if (sqlite3_open_v2(database, &mine, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(mine, "SELECT a FROM t", -1, &s, NULL) != SQLITE_OK)
		return 100;
	return sqlite3_step(s) == SQLITE_ROW && sqlite3_column_int(s, 0) == 7 ? 0 : 101;
}

static int read_certificate(void)
{
	return open_it(certificate, O_RDONLY);
}
static int read_key_over_link(void)
{
	return open_it(key, O_RDONLY);
}
static int read_null(void)
{
	return open_it("/dev/null", O_RDONLY);
}
static int draw_numbers(void)
{
	char bytes[16];

	return open_it("/dev/urandom", O_RDONLY) == 0 && getrandom(bytes, sizeof bytes, 0) == sizeof bytes ? 0
	                                                                                                   : 1;
}

/* What is put there later, as renewals do; by somebody who may. */
static int read_renewed(void)
{
	return open_it(next_key, O_RDONLY);
}

static int hides(void)
{
	return sandbox_hides(secret) && !sandbox_hides(certificate) && !sandbox_hides(new_file) ? 0 : 1;
}

static void files_that_are_there(void **state)
{
	(void)state;
	if (!SANDBOX_POSSIBLE)
		skip();
	make_file(next_key);
	EXPECT(0, A(read_database), A(read_certificate), A(read_key_over_link), A(read_renewed), A(read_null),
	       A(draw_numbers));
	if (have_landlock())
		EXPECT(0, A(hides));
}

/* ---- what goes on ------------------------------------------------------------------- */

CALL(connect_to_broker, connect(unix_socket(), (const struct sockaddr *)broker, sizeof *broker))

/* Large enough for mremap and for memory of its own. */
static void *work(void *user)
{
	char *bytes = malloc(1 << 20);
	char *more = bytes != NULL ? realloc(bytes, 1 << 26) : NULL;

	if (more == NULL) {
		free(bytes);
		return NULL;
	}
	memset(more, 1, 1 << 22);
	free(more);
	return user;
}

static int use_threads(void)
{
	pthread_t thread[4];
	void *back;

	for (int i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, work, thread) != 0)
			return 1;
	for (int i = 0; i < 4; i++)
		if (pthread_join(thread[i], &back) != 0 || back != thread)
			return 2;
	return 0;
}

static int say_abort(void)
{
	abort();
}

static void what_goes_on(void **state)
{
	(void)state;
	if (!SANDBOX_POSSIBLE)
		skip();
	EXPECT(0, A(connect_to_broker), A(use_threads));
	assert_int_equal(run(say_abort, true), 1000 + SIGABRT);
}

/* ---- off, and what is said ---------------------------------------------------------- */

static int look_into_log(void)
{
	return strstr(logged, "sandbox: seccomp, Landlock ABI ") != NULL && strchr(logged, '\n')[1] == '\0' ? 0
	                                                                                                    : 1;
}

static int look_into_log_when_off(void)
{
	return strcmp(logged, "sandbox: off, as plugin_opt_sandbox says\n") == 0 ? 0 : 1;
}

static int look_into_log_of_sanitizers(void)
{
	return strcmp(logged, "sandbox: off in a build with sanitizers\n") == 0 ? 0 : 1;
}

static void what_is_said(void **state)
{
	(void)state;
	assert_int_equal(run(look_into_log_when_off, false), 0);
	if (!SANDBOX_POSSIBLE)
		assert_int_equal(run(look_into_log_of_sanitizers, true), 0);
	else if (have_landlock())
		assert_int_equal(run(look_into_log, true), 0);
}

static void off_is_off(void **state)
{
	(void)state;
	assert_int_equal(run(internet_socket, false), 0);
	assert_int_equal(run(other_socket_path, false), 0);
	assert_int_equal(run(read_passwords, false), 0);
	assert_int_equal(run(read_beside_database, false), 0);
	assert_int_equal(run(clone_3, false), EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_ends_it),
	    cmocka_unit_test(threads_of_before),
	    cmocka_unit_test(what_is_refused),
	    cmocka_unit_test(the_address_stays),
	    cmocka_unit_test(files_that_are_not_there),
	    cmocka_unit_test(files_that_are_there),
	    cmocka_unit_test(what_goes_on),
	    cmocka_unit_test(what_is_said),
	    cmocka_unit_test(off_is_off),
	};

	return cmocka_run_group_tests(tests, make_all, remove_all);
}
