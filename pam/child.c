/*
 * become_worker: what the forked child does in both backends before Go runs in
 * it. The application may have threads, so there is nothing here that could wait
 * for a lock that one of them held at the fork; what opendir allocates comes from
 * a heap that fork(2) of both C libraries leaves usable in the child.
 */
#include "child.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static void reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The caller's limits must not break the worker; who may not lift the hard
 * ones at least gets up to them. */
static void lift_limits(void)
{
	static const int limits[] = {
		RLIMIT_AS, RLIMIT_DATA, RLIMIT_NPROC, RLIMIT_FSIZE, RLIMIT_CPU,
		RLIMIT_NOFILE, /* none may lift that above fs.nr_open: up to the hard one, then */
	};
	struct rlimit now, none = { RLIM_INFINITY, RLIM_INFINITY };
	size_t i;

	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (setrlimit(limits[i], &none) == 0)
			continue;
		if (getrlimit(limits[i], &now) == 0) {
			now.rlim_cur = now.rlim_max;
			setrlimit(limits[i], &now);
		}
	}
}

/* How far to go where neither /proc nor close_range can help. */
#define CLOSE_BLINDLY 4096

/*
 * Closes everything from first on. /proc tells what is open: the limit on descriptors may
 * be a billion, too many to try. close_range(2), of Linux 5.9, comes second, because a
 * filter that does not know it may kill the caller (seccomp(2)).
 */
static void close_from(int first)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/fd");
	int fd;

	if (dir != NULL) {
		while ((entry = readdir(dir)) != NULL) {
			fd = (int)strtol(entry->d_name, NULL, 10); /* 0 of . and .. */
			if (fd >= first && fd != dirfd(dir))
				close(fd);
		}
		closedir(dir);
		return;
	}
#ifdef SYS_close_range
	if (syscall(SYS_close_range, first, UINT_MAX, 0) == 0)
		return;
#endif
	for (fd = first; fd < CLOSE_BLINDLY; fd++)
		close(fd);
}

/*
 * /dev/null on 0 and 1, the reply on 2 and WORKER_REPLY_FD, and for a detached worker the
 * other two; nothing else. What came is on descriptors above these. False, with errno, if
 * that failed: a worker that went on could write into what the application has there, and
 * its own reply would be lost.
 */
static bool arrange_descriptors(int reply_fd, int lock_fd, int application_fd)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(reply_fd, 2) < 0 || dup2(reply_fd, WORKER_REPLY_FD) < 0 ||
	    (lock_fd >= 0 && (dup2(lock_fd, WORKER_LOCK_FD) < 0 ||
			      dup2(application_fd, WORKER_APPLICATION_FD) < 0)))
		return false;
	close_from(lock_fd < 0 ? WORKER_REPLY_FD + 1 : WORKER_APPLICATION_FD + 1);
	return true;
}

/*
 * Ends the child, with a whole reply if that can be said, so that the log has this
 * line and no other. The number of the error, because strerror takes a lock of the
 * C library's, for its translations.
 */
static void give_up(int reply_fd, const char *what)
{
	char reply[200];
	int len = snprintf(reply, sizeof(reply),
			   "log error worker could not be run: %s: error %d; no cgroup was made or removed\n"
			   "result failure\n", what, errno);

	(void)!write(reply_fd, reply, (size_t)len); /* else the status says it */
	_exit(CHILD_CANNOT_RUN);
}

/*
 * Under su and sudo the real user ID is the caller's, and with it the caller
 * could stop or kill the worker (kill(2)). Only the system calls themselves:
 * the C library's functions would look for the application's other threads.
 */
static void shed_caller(void)
{
	if (geteuid() != 0)
		return;
	syscall(SYS_setresgid, 0, 0, 0);
	syscall(SYS_setresuid, 0, 0, 0);
}

#define KEEP(capability) (1U << (capability)) /* all below 32 */

/*
 * What a worker needs of root's capabilities (capabilities(7)), which is what
 * cgdeleg-serve.service leaves the server for logins: it says what each is for. An
 * application that has fewer keeps those. And no program that is run, id(1), gets more.
 */
static void drop_capabilities(void)
{
	static const __u32 needed = KEEP(CAP_CHOWN) | KEEP(CAP_DAC_OVERRIDE) | KEEP(CAP_SYS_PTRACE) |
				    KEEP(CAP_SYS_ADMIN) | KEEP(CAP_SYS_NICE);
	struct __user_cap_header_struct self = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]; /* 32 of the 64 in each */

	/* A filter may forbid any of it: then the worker works with all. */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_capget, &self, sets) < 0)
		return;
	sets[0].effective &= needed;
	sets[0].permitted &= needed;
	sets[1].effective = sets[1].permitted = 0;
	sets[0].inheritable = sets[1].inheritable = 0;
	syscall(SYS_capset, &self, sets);
}

/* What both kinds of worker want of the child that is forked from the application. */
static void leave_application(void)
{
	shed_caller();
	reset_signals();
	setsid(); /* a ^C at the login is not for us */
	umask(022);
	lift_limits();
	drop_capabilities();
}

void become_worker(pid_t application, int reply_fd)
{
	leave_application();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != application)
		_exit(CHILD_CANNOT_RUN);
	if (chdir("/") < 0)
		give_up(reply_fd, "chdir to /");
	if (!arrange_descriptors(reply_fd, -1, -1))
		give_up(reply_fd, "its descriptors could not be arranged");
}

/*
 * Takes the lock of the application, on a descriptor above those that a worker has.
 * SIGALRM ends the child if that takes too long. -1 if there is no lock.
 */
static int lock_application(pid_t application)
{
	char path[sizeof(WORKER_LOCKS) + 24];
	struct stat st = { .st_nlink = 0 };
	int low, fd = -1;

	snprintf(path, sizeof(path), WORKER_LOCKS "/%ld", (long)application);
	alarm(1);
	while (st.st_nlink == 0) { /* who had it removes the file */
		if (fd >= 0)
			close(fd);
		low = open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
		fd = low < 0 ? -1 : fcntl(low, F_DUPFD, WORKER_APPLICATION_FD + 1);
		if (low >= 0)
			close(low);
		if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0)
			return -1;
	}
	alarm(0);
	return fd;
}

/*
 * A descriptor that can be read when the application has ended, whichever process has its
 * PID then. Before Linux 5.3 one that can never be read.
 */
static int open_application(pid_t application)
{
	int low = -1, fd;

#ifdef SYS_pidfd_open
	low = (int)syscall(SYS_pidfd_open, application, 0);
#else
	(void)application;
#endif
	if (low < 0)
		low = eventfd(0, 0);
	fd = low < 0 ? -1 : fcntl(low, F_DUPFD, WORKER_APPLICATION_FD + 1);
	if (low >= 0)
		close(low);
	return fd;
}

/* How long, in seconds, the runtime of a detached worker may take to start. After that the
 * worker has a time of its own (detachedLife in pam/worker). */
#define DETACHED_START 20

/* Where the last words go of a worker that nobody waits for: to the system log, as a
 * dying Go runtime has them. */
static void say_to_log(void)
{
	static const struct sockaddr_un log = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	dup2(0, WORKER_REPLY_FD);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&log, sizeof(log)) < 0)
		dup2(0, 2);
	else
		dup2(fd, 2);
	if (fd >= 0)
		close(fd);
}

void become_detached_worker(pid_t application, int reply_fd)
{
	int lock_fd, application_fd;
	pid_t pid;

	leave_application();
	lock_fd = lock_application(application);
	application_fd = open_application(application);
	/* before the second fork: when the application goes on, no descriptor of it is held */
	if (lock_fd < 0 || application_fd < 0 || getppid() != application || chdir("/") < 0 ||
	    !arrange_descriptors(reply_fd, lock_fd, application_fd))
		_exit(CHILD_CANNOT_RUN);
	prctl(PR_SET_NAME, WORKER_DETACHED_NAME); /* before anybody hears that there is one */
	pid = fork();
	if (pid > 0)
		(void)!write(WORKER_REPLY_FD, WORKER_IS_DETACHED, strlen(WORKER_IS_DETACHED));
	if (pid != 0)
		_exit(pid > 0 ? 0 : CHILD_CANNOT_RUN);
	alarm(DETACHED_START); /* nobody else would end one whose runtime hangs */
	say_to_log();
}
