/*
 * worker_run: starts the worker (pam/worker is what runs in it), collects its
 * reply, sees it off. Runs in the application, which may have threads, handlers
 * and children of its own.
 */
#include "clock.h"
#include "enter.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A reply is a few hundred bytes. What comes beyond this is read and dropped. */
#define REPLY_MAX (128 * 1024)

/* How long, in seconds, the child of a detached worker may take to start it: longer
 * than it waits for the application's lock. */
#define DETACH_TIMEOUT 2

/* How often there is a look whether a worker has died without a word, in milliseconds. */
#define LOOK_EVERY 20

/* How long, in microseconds, until the next look at a worker that is about to end. */
#define PAUSE 100

/*
 * Two connected ends, of which the first does not block. They are never 0, 1 or 2, which
 * the application may have closed. Where it may have no socket, a pipe: then it cannot
 * enter a session by itself.
 */
static int make_channel(int ends[2])
{
	int i, low[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, low) < 0 && pipe2(low, O_CLOEXEC) < 0)
		return -1;
	for (i = 0; i < 2; i++)
		ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, WORKER_REPLY_FD + 1);
	close(low[0]);
	close(low[1]);
	if (ends[0] >= 0 && ends[1] >= 0)
		return fcntl(ends[0], F_SETFL, O_NONBLOCK);
	for (i = 0; i < 2; i++)
		if (ends[i] >= 0)
			close(ends[i]);
	return -1;
}

/* Reads what there is, until the deadline if somebody writes without end. What can be
 * entered is, unless it is over. False at the end of the reply. */
static bool drain(int fd, bool is_over, long long deadline, char *text, size_t *len)
{
	char surplus[4096];
	ssize_t n;

	while (now_ms() < deadline) {
		if (*len < REPLY_MAX && is_over)
			n = read(fd, text + *len, REPLY_MAX - *len);
		else if (*len < REPLY_MAX)
			n = receive_and_enter(fd, text + *len, REPLY_MAX - *len);
		else
			n = read(fd, surplus, sizeof(surplus));
		if (n > 0 && *len < REPLY_MAX)
			*len += (size_t)n;
		else if (n == 0)
			return false;
		else if (n < 0 && errno != EINTR)
			return errno == EAGAIN;
	}
	return true;
}

/* The worker, as the application knows it. */
struct child {
	pid_t pid;
	int status; /* as from waitpid(2); -1 if somebody else has reaped it */
	bool ended;
};

/*
 * True when the worker has been reaped, by us or (ECHILD) by the application: by
 * a SIGCHLD handler, by another thread, by the kernel under SIG_IGN.
 */
static bool has_ended(struct child *child)
{
	pid_t got;

	if (child->ended)
		return true;
	do
		got = waitpid(child->pid, &child->status, WNOHANG | __WALL);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		child->status = -1;
	child->ended = got != 0;
	return child->ended;
}

bool reply_is_whole(const char *text, size_t len)
{
	static const char result[] = "result ";
	const char *last;

	if (len == 0 || text[len - 1] != '\n')
		return false;
	last = memrchr(text, '\n', len - 1);
	return strncmp(last ? last + 1 : text, result, strlen(result)) == 0;
}

/*
 * Reads until the worker has said its result, closed the channel or ended. The channel
 * alone is not enough: a fork by another thread of the application may hold its other end
 * open, so from time to time there is a look at the worker. A pidfd would tell of its end
 * at once, but not every filter of system calls (seccomp(2)) knows it, and one that kills
 * for what it does not know would kill the application. Returns 0, or ETIMEDOUT at the
 * deadline.
 */
static int collect(int fd, struct child *child, long long deadline, char *text, size_t *len)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	for (;;) {
		long long left = deadline - now_ms();

		if (left <= 0)
			return ETIMEDOUT;
		if (poll(&wait, 1, left < LOOK_EVERY ? (int)left : LOOK_EVERY) < 0 && errno != EINTR)
			return errno;
		if (!drain(fd, false, deadline, text, len) || reply_is_whole(text, *len) || has_ended(child))
			return 0;
	}
}

/* Waits for the worker's end, of which only a moment is left; true if it came before the
 * deadline. */
static bool reap(struct child *child, long long deadline)
{
	while (!has_ended(child)) {
		if (now_ms() >= deadline)
			return false;
		usleep(PAUSE);
	}
	return true;
}

/* Everything between the spawn and the end of the worker. */
static void attend(pid_t pid, int fd, unsigned timeout, struct worker_reply *reply)
{
	struct child child = { .pid = pid, .status = -1 };
	long long deadline = now_ms() + timeout * 1000LL;
	size_t len = 0;

	reply->failure = collect(fd, &child, deadline, reply->text, &len);
	if (!reap(&child, deadline)) {
		kill(pid, SIGKILL);
		reply->failure = ETIMEDOUT;
		/* one that the kernel does not let die must not keep the login */
		reap(&child, now_ms() + 500);
	}
	/* What it said counts, also if this process was stopped until the deadline. */
	drain(fd, true, now_ms() + 100, reply->text, &len);
	reply->text[len] = '\0';
	reply->status = child.status;
}

/* Runs the child, of either kind, and collects what it says. */
static void run_child(char *const argv[], unsigned timeout, bool detached, struct worker_reply *reply)
{
	sigset_t all, waiting, before;
	int ends[2];
	pid_t pid;

	reply->started = false;
	reply->status = -1;
	reply->failure = ENOMEM;
	reply->text = malloc(REPLY_MAX + 1);
	if (reply->text == NULL)
		return;
	reply->text[0] = '\0';
	if (make_channel(ends) < 0) {
		reply->failure = errno;
		return;
	}
	/*
	 * No handler of the application may run in the child, so everything is
	 * blocked over the fork. SIGCHLD stays blocked until the worker is reaped:
	 * a handler that then finds no child has nothing to misunderstand.
	 */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	waiting = before;
	sigaddset(&waiting, SIGCHLD);
	pid = worker_spawn(argv, ends[1], detached);
	reply->failure = errno;
	pthread_sigmask(SIG_SETMASK, &waiting, NULL);
	close(ends[1]);
	reply->started = pid >= 0;
	if (reply->started)
		attend(pid, ends[0], timeout, reply);
	close(ends[0]);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void worker_run(char *const argv[], unsigned timeout, struct worker_reply *reply)
{
	run_child(argv, timeout, false, reply);
}

bool worker_detach(char *const argv[])
{
	int is_subreaper = 0;
	struct worker_reply reply;
	bool detached;

	/* Orphans come to the first process of a PID namespace and to a subreaper
	 * (PR_SET_CHILD_SUBREAPER(2const)): the worker would be their child. */
	if (getpid() == 1 || prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper) < 0 || is_subreaper)
		return false;
	run_child(argv, DETACH_TIMEOUT, true, &reply);
	detached = reply.text != NULL && strcmp(reply.text, WORKER_IS_DETACHED) == 0;
	free(reply.text);
	return detached;
}
