/*
 * The seam between the PAM module and the worker, the short-lived child in
 * which everything that knows cgroups runs (docs/architecture.md).
 *
 * The application, the program that calls PAM, comes to worker_run (supervise.c).
 * The worker is started by a backend's worker_spawn: spawn_fork.c forks and starts
 * the Go runtime that lies dormant in this library; spawn_exec.c, for musl, forks
 * and executes a program.
 *
 * The worker answers in lines on its descriptor WORKER_REPLY_FD:
 *
 *	log LEVEL TEXT	a line for the system log; LEVEL is debug, warning, error
 *	ticket begin	a ticket begins; the lines of one before it, for an attempt
 *			that lost a race, are dropped
 *	ticket TEXT	a line of the ticket, which is given back, its lines joined
 *			by newlines, to the worker that closes. What undoes a step
 *			is said before the step, so that it is known also if the
 *			worker dies there. Without any line there is no ticket
 *	enter		with it come files into which the application writes to
 *			enter the session (enter.h)
 *	item NAME VALUE	with the verb limits: what pam_systemd reads of the PAM handle
 *			before it asks for the session's scope (pam_systemd(8))
 *	session NAME	what the session is called that was opened, which goes into the PAM
 *			environment (module.c)
 *	result NAME	success, failure or unknown-user; the last line. After
 *			anything but success nothing is left to close
 *
 * If the worker of an open is killed, ends or runs out of its time before it has
 * said a result, a second one is run, whose verb is undo. Its arguments are those
 * of a close, with the ticket as far as it was said, and it takes back what it
 * finds. It has a deadline of its own, of the same length.
 *
 * A worker's standard error is the same descriptor, so what a dying Go runtime says comes
 * as a line that is none of these.
 *
 * A detached worker, which nobody waits for, has nobody to answer: it writes to the system log
 * itself. As long as it may move the application it holds the application's lock, for
 * which every other worker waits, so that what the application asks for next comes
 * after it.
 */
#ifndef WORKER_H
#define WORKER_H

#include <stdbool.h>
#include <sys/types.h>

#define WORKER_REPLY_FD 3

/* What a detached worker has beside: the lock of the application, a file in the directory
 * WORKER_LOCKS that is called like its PID (delegate/lock, which makes the directory). */
#define WORKER_LOCK_FD 4
#define WORKER_APPLICATION_FD 5 /* can be read when the application has ended, if that can be told */
#define WORKER_LOCKS "/run/cgdeleg/applications"

/* What a detached worker is called in a list of processes. */
#define WORKER_DETACHED_NAME "cgdeleg-close"

/* The worker's arguments: what is known of the login, and then the words of the
 * PAM line. parseRequest in pam/worker has them at the same places. */
enum worker_argument {
	ARG_NAME,
	ARG_VERB, /* open, close, undo; detached-close; limits */
	ARG_PID, /* the application's */
	ARG_UID, /* for an open and for limits; else, or if there is no such user, empty */
	ARG_GID, /* the same */
	ARG_USER,
	ARG_SERVICE,
	ARG_TICKET, /* empty if there is none */
	ARG_OPTIONS, /* the first of them */
};

struct worker_reply {
	char *text; /* NUL-terminated, for the caller to free; NULL if nothing came */
	bool started; /* there was a worker */
	int failure; /* an errno why there is no whole reply: ETIMEDOUT, EAGAIN ...; or 0 */
	int status; /* how the worker ended, as from waitpid(2); -1 if not known */
};

/* Whether the last line of a reply is its result. */
bool reply_is_whole(const char *text, size_t len);

/*
 * Runs a worker with these arguments and waits for it at most timeout seconds,
 * and half a second more for one that the kernel does not let die. Leaves nothing
 * behind in the calling process: no child, descriptor, signal disposition or mask.
 */
void worker_run(char *const argv[], unsigned timeout, struct worker_reply *reply);

/*
 * Runs a worker that nobody waits for, and returns when it has been started. Leaves as little behind:
 * the worker is no child of the calling process, and holds none of its descriptors.
 * False if there is none: the caller would be its parent after all, its lock is not to
 * be had within a second, or there is no memory.
 */
bool worker_detach(char *const argv[]);

/*
 * Starts the worker, in a child that cannot disturb the application, with reply_fd
 * as its WORKER_REPLY_FD. All signals are blocked. Returns the child's PID, or -1
 * with errno. For a detached worker the child is one that starts it, says so on
 * reply_fd (WORKER_IS_DETACHED), and ends.
 */
pid_t worker_spawn(char *const argv[], int reply_fd, bool detached);
#define WORKER_IS_DETACHED "detached\n"

#endif
