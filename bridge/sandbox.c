/* sandbox.c - see sandbox.h */
#include "bridge/sandbox.h"
#include "bridge/log.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool wanted;
static bool calls_prepared; /* the first filter is in force */

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- seccomp ------------------------------------------------------------------------------ */

/* By name, not number: what an architecture or a libseccomp does not know is passed over. */

/* Nobody but an attacker. Neither libraries' starts nor anything later makes these. */
static const char *const deadly[] = {
    /* other programs and processes */
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "kill",
    "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_getfd", "pidfd_send_signal",
    /* other rights */
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups",
    "unshare", "setns", "personality", "keyctl", "add_key", "request_key",
    /* the kernel */
    "bpf", "perf_event_open", "userfaultfd", "init_module", "finit_module", "delete_module", "kexec_load",
    "kexec_file_load", "reboot", "iopl", "ioperm", "acct", "swapon", "swapoff", "settimeofday",
    "clock_settime",
    /* other files */
    "mount", "umount2", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr",
    "pivot_root", "chroot", "open_by_handle_at"};

/* What works without: libuv asks for it whenever it starts a loop. */
static const char *const early_denied[] = {"io_uring_setup", "io_uring_enter", "io_uring_register"};

/* What runs after the start: our code, libuv, libwebsockets, OpenSSL, SQLite, malloc and threads of the C
 * library. Both names of a call are there where a processor has only one of them. */
static const char *const needed[] = {
    /* descriptors */
    "read", "readv", "pread64", "write", "writev", "pwrite64", "close", "lseek", "pipe2", "eventfd2", "poll",
    "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    "timerfd_create", "timerfd_settime", "timerfd_gettime",
    /* sockets */
    "accept", "accept4", "recvfrom", "recvmsg", "sendto", "sendmsg", "shutdown", "getsockopt", "setsockopt",
    "getsockname", "getpeername",
    /* files, of those that Landlock lets through */
    "open", "openat", "stat", "lstat", "fstat", "newfstatat", "statx", "access", "faccessat", "faccessat2",
    "readlink", "readlinkat", "getcwd", "ftruncate",
    /* memory */
    "brk", "munmap", "mremap", "madvise",
    /* threads */
    "futex", "futex_waitv", "futex_wake", "futex_wait", "futex_requeue", "set_robust_list", "set_tid_address",
    "rseq", "membarrier", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
    "gettid", "getcpu", "exit", "exit_group",
    /* signals */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
    /* time */
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    /* the process itself */
    "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getrandom", "getrlimit", "getrusage",
    "uname", "sysinfo"};

static const int fcntl_needed[] = {F_GETFD, F_SETFD, F_GETFL,  F_SETFL,     F_DUPFD,     F_DUPFD_CLOEXEC,
                                   F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW};

static const unsigned long ioctl_needed[] = {FIONBIO, FIONREAD, FIOCLEX};

/* The first error stays. */
static void add(scmp_filter_ctx filter, int *error, uint32_t action, const char *name, unsigned count,
                const struct scmp_arg_cmp *args)
{
	int call = seccomp_syscall_resolve_name(name);
	if (call == __NR_SCMP_ERROR || *error != 0)
		return;
	int rc = seccomp_rule_add_array(filter, action, call, count, args);
	if (rc != 0)
		*error = rc;
}

static void add_all(scmp_filter_ctx filter, int *error, uint32_t action, const char *const *names,
                    size_t count)
{
	for (size_t i = 0; i < count; i++)
		add(filter, error, action, names[i], 0, NULL);
}

/* One call with one argument: allowed where it is so, else the end. */
static void only_with(scmp_filter_ctx filter, int *error, const char *name, unsigned which,
                      scmp_datum_t value)
{
	add(filter, error, SCMP_ACT_ALLOW, name, 1, &(struct scmp_arg_cmp){which, SCMP_CMP_EQ, value, 0});
	add(filter, error, SCMP_ACT_KILL_PROCESS, name, 1, &(struct scmp_arg_cmp){which, SCMP_CMP_NE, value, 0});
}

/* Takes the filter. 0 or an errno. */
static int load(scmp_filter_ctx filter, int error)
{
	if (filter == NULL)
		return ENOMEM;
	if (error == 0)
		error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (error == 0)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (error == 0) {
		/* both are for comfort: refusals in the kernel's log, and a search in the filter instead of a walk */
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
		(void)seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
		error = seccomp_load(filter);
	}
	seccomp_release(filter);
	return -error;
}

/* 0 or an errno. */
static int forbid_calls(void)
{
#if defined(__s390__) || defined(__s390x__)
	const unsigned clone_flags = 1;
#else
	const unsigned clone_flags = 0;
#endif
	int error = 0;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (filter == NULL)
		return ENOMEM;
	add_all(filter, &error, SCMP_ACT_KILL_PROCESS, deadly, COUNT(deadly));
	add_all(filter, &error, SCMP_ACT_ERRNO(ENOSYS), early_denied, COUNT(early_denied));
	/* a thread is fine, a process is not; and clone3 hides its flags in memory: without it clone is used */
	add(filter, &error, SCMP_ACT_KILL_PROCESS, "clone", 1,
	    &(struct scmp_arg_cmp){clone_flags, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0});
	add(filter, &error, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
	return load(filter, error);
}

static void allow_sockets(scmp_filter_ctx filter, int *error, const struct sockaddr_un *broker)
{
	static const struct scmp_arg_cmp stream = {1, SCMP_CMP_EQ, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0};
	/* without a type of its own a datagram socket could send to any path, connected to nothing */
	add(filter, error, SCMP_ACT_ALLOW, "socket", 2,
	    (struct scmp_arg_cmp[]){{0, SCMP_CMP_EQ, AF_UNIX, 0}, stream});
	add(filter, error, SCMP_ACT_KILL_PROCESS, "socket", 1,
	    &(struct scmp_arg_cmp){0, SCMP_CMP_NE, AF_UNIX, 0});
	/* this address and no other; and whole, for a shorter length would be another path */
	const scmp_datum_t address = (scmp_datum_t)(uintptr_t)broker;
	const struct scmp_arg_cmp ours = {1, SCMP_CMP_EQ, address, 0};
	add(filter, error, SCMP_ACT_ALLOW, "connect", 2,
	    (struct scmp_arg_cmp[]){ours, {2, SCMP_CMP_EQ, sizeof *broker, 0}});
	add(filter, error, SCMP_ACT_KILL_PROCESS, "connect", 2,
	    (struct scmp_arg_cmp[]){ours, {2, SCMP_CMP_NE, sizeof *broker, 0}});
	add(filter, error, SCMP_ACT_KILL_PROCESS, "connect", 1,
	    &(struct scmp_arg_cmp){1, SCMP_CMP_NE, address, 0});
	add(filter, error, SCMP_ACT_KILL_PROCESS, "bind", 0, NULL);
	add(filter, error, SCMP_ACT_KILL_PROCESS, "listen", 0, NULL);
}

/* 0 or an errno. */
static int allow_calls(const struct sockaddr_un *broker)
{
	static const char *const mapping[] = {"mmap", "mmap2", "mprotect"};
	int error = 0;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (filter == NULL)
		return ENOMEM;
	add_all(filter, &error, SCMP_ACT_ALLOW, needed, COUNT(needed));
	add(filter, &error, SCMP_ACT_ALLOW, "clone", 0, NULL); /* what the first filter lets through */
	/* what is written is never executed; the libraries are all there */
	for (size_t i = 0; i < COUNT(mapping); i++)
		add(filter, &error, SCMP_ACT_ALLOW, mapping[i], 1,
		    &(struct scmp_arg_cmp){2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0});
	for (size_t i = 0; i < COUNT(fcntl_needed); i++)
		add(filter, &error, SCMP_ACT_ALLOW, "fcntl", 1,
		    &(struct scmp_arg_cmp){1, SCMP_CMP_EQ, (scmp_datum_t)fcntl_needed[i], 0});
	for (size_t i = 0; i < COUNT(ioctl_needed); i++)
		add(filter, &error, SCMP_ACT_ALLOW, "ioctl", 1,
		    &(struct scmp_arg_cmp){1, SCMP_CMP_EQ, ioctl_needed[i], 0});
	/* limits are read (for a thread's stack), not set */
	add(filter, &error, SCMP_ACT_ALLOW, "prlimit64", 2,
	    (struct scmp_arg_cmp[]){{0, SCMP_CMP_EQ, 0, 0}, {2, SCMP_CMP_EQ, 0, 0}});
	add(filter, &error, SCMP_ACT_ALLOW, "prctl", 1, &(struct scmp_arg_cmp){0, SCMP_CMP_EQ, PR_SET_NAME, 0});
	only_with(filter, &error, "tgkill", 0, (scmp_datum_t)getpid()); /* abort() */
	allow_sockets(filter, &error, broker);
	return load(filter, error);
}

/* ---- Landlock ----------------------------------------------------------------------------- */

/* The headers of Debian 12 know the first two versions. */
struct ruleset {
	uint64_t files;
	uint64_t ports;  /* from version 4 on */
	uint64_t scopes; /* from version 6 on */
};
#define FILES_1 ((UINT64_C(1) << 13) - 1)  /* execute, write, read, and what is done in folders */
#define FILES_REFER (UINT64_C(1) << 13)    /* 2: to another folder */
#define FILES_TRUNCATE (UINT64_C(1) << 14) /* 3 */
#define FILES_IOCTL (UINT64_C(1) << 15)    /* 5: of devices */
#define PORTS_4 UINT64_C(3)                /* bind, connect */
#define SCOPES_6 UINT64_C(3)               /* abstract unix sockets, signals */

/* A path that leads nowhere needs no rule. */
static bool allow_path(int rules, const char *path, uint64_t access)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	struct landlock_path_beneath_attr beneath = {.allowed_access = access, .parent_fd = fd};
	bool fine = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
	int e = errno;
	(void)close(fd);
	errno = e;
	return fine;
}

/* The folder of a file. In the topmost one the file alone: everything would be below it. */
static bool allow_folder_of(int rules, const char *path)
{
	char copy[PATH_MAX];
	int n = snprintf(copy, sizeof copy, "%s", path);
	if (n < 0 || (size_t)n >= sizeof copy) {
		errno = ENAMETOOLONG;
		return false;
	}
	const char *folder = dirname(copy);
	return allow_path(rules, strcmp(folder, "/") == 0 ? path : folder, LANDLOCK_ACCESS_FS_READ_FILE);
}

static bool allow_renewed(int rules, const char *path)
{
	char target[PATH_MAX];
	if (path[0] == '\0')
		return true;
	return allow_folder_of(rules, path) && (realpath(path, target) == NULL || allow_folder_of(rules, target));
}

/* SQLite's readers write into the shared memory (-shm) which of them reads how far, and into nothing else. */
static bool allow_history(int rules, const char *path)
{
	char real[PATH_MAX], beside[PATH_MAX + 8];
	if (path[0] == '\0' || realpath(path, real) == NULL)
		return true;
	if (!allow_path(rules, real, LANDLOCK_ACCESS_FS_READ_FILE))
		return false;
	(void)snprintf(beside, sizeof beside, "%s-wal", real);
	if (!allow_path(rules, beside, LANDLOCK_ACCESS_FS_READ_FILE))
		return false;
	(void)snprintf(beside, sizeof beside, "%s-shm", real);
	return allow_path(rules, beside, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
}

/* The version in force, or -1 and errno. */
static int confine_files(const struct sandbox_needs *needs)
{
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 1)
		return -1;
	struct ruleset handled = {.files = FILES_1};
	handled.files |= version >= 2 ? FILES_REFER : 0;
	handled.files |= version >= 3 ? FILES_TRUNCATE : 0;
	handled.files |= version >= 5 ? FILES_IOCTL : 0;
	handled.ports = version >= 4 ? PORTS_4 : 0;
	handled.scopes = version >= 6 ? SCOPES_6 : 0;
	size_t size = version >= 6   ? sizeof handled
	              : version >= 4 ? offsetof(struct ruleset, scopes)
	                             : offsetof(struct ruleset, ports);
	int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, size, 0);
	if (rules < 0)
		return -1;
	bool fine = allow_path(rules, "/dev/null", LANDLOCK_ACCESS_FS_READ_FILE) &&
	            allow_path(rules, "/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE) &&
	            allow_history(rules, needs->history_file) && allow_renewed(rules, needs->tls_cert_file) &&
	            allow_renewed(rules, needs->tls_key_file) &&
	            syscall(SYS_landlock_restrict_self, rules, 0) == 0;
	int e = errno;
	(void)close(rules);
	errno = e;
	return fine ? version : -1;
}

bool sandbox_hides(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool hidden =
	    fd < 0 && errno == EACCES && access(path, R_OK) == 0; /* Landlock is not asked by access() */
	if (fd >= 0)
		(void)close(fd);
	return hidden;
}

/* ---- the rest ----------------------------------------------------------------------------- */

/* Root's as well, with which other people's files could be read and any process be traced. 0 or an errno. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0, 0, 0}, {0, 0, 0}};
	/* the bounding set takes a right of its own, and without it says nothing: nothing is executed any more */
	for (unsigned long n = 0; prctl(PR_CAPBSET_READ, n, 0, 0, 0) >= 0; n++)
		(void)prctl(PR_CAPBSET_DROP, n, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); /* follows from the next call as well */
	return syscall(SYS_capset, &header, none) == 0 ? 0 : errno;
}

const struct sockaddr_un *sandbox_address(const char *path)
{
	struct sockaddr_un *address =
	    mmap(NULL, sizeof *address, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (address == MAP_FAILED)
		return NULL;
	address->sun_family = AF_UNIX;
	(void)snprintf(address->sun_path, sizeof address->sun_path, "%s", path);
	return address;
}

/* Not to be changed, nor to be replaced where the kernel knows mseal (6.10). */
static void seal(const struct sockaddr_un *address)
{
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (mprotect((void *)(uintptr_t)address, page, PROT_READ) != 0)
		log_line(LOG_LEVEL_WARNING, "sandbox: mprotect: %s", strerror(errno));
	(void)syscall(SYS_mseal, address, page, 0); /* older kernels have none */
}

void sandbox_prepare(bool on)
{
	wanted = on && SANDBOX_POSSIBLE;
	if (!on)
		log_line(LOG_LEVEL_WARNING, "sandbox: off, as plugin_opt_sandbox says");
	else if (!wanted)
		log_line(LOG_LEVEL_INFO, "sandbox: off in a build with sanitizers");
	if (!wanted)
		return;
	int e = forbid_calls();
	calls_prepared = e == 0;
	if (e != 0)
		log_line(LOG_LEVEL_WARNING, "sandbox: no seccomp (%s): any system call can be made", strerror(e));
}

void sandbox_start(const struct sandbox_needs *needs)
{
	if (!wanted)
		return;
	seal(needs->broker);
	int e = drop_capabilities();
	if (e != 0)
		log_line(LOG_LEVEL_WARNING, "sandbox: capabilities cannot be given up: %s", strerror(e));
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		log_line(LOG_LEVEL_WARNING, "sandbox: prctl: %s", strerror(errno));
	int version = confine_files(needs);
	if (version < 0)
		log_line(LOG_LEVEL_WARNING,
		         "sandbox: no Landlock (%s): every file of the broker's user can be opened", strerror(errno));
	bool calls = false;
	if (calls_prepared) {
		e = allow_calls(needs->broker);
		calls = e == 0;
		if (!calls)
			log_line(LOG_LEVEL_WARNING, "sandbox: seccomp in part only: %s", strerror(e));
	}
	char landlock[32] = "";
	if (version > 0)
		(void)snprintf(landlock, sizeof landlock, "%sLandlock ABI %d", calls ? ", " : "", version);
	if (calls || version > 0)
		log_line(LOG_LEVEL_INFO, "sandbox: %s%s", calls ? "seccomp" : "", landlock);
}
