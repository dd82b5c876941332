/*
 * How the application enters a session by itself, on cgroup v1.
 *
 * Who moves a process by its PID, with cgroup.procs, has to keep it from forking, and
 * waits for an RCU grace period if nobody was moved just before: some 10 ms in a login.
 * A process of one thread that writes 0 into the file tasks moves itself without that
 * (cgroup_procs_write_start in Linux since 5.5). So a worker, or `cgdeleg serve`, that
 * has made a session sends the files tasks, opened for writing (SCM_RIGHTS, unix(7)),
 * with the line
 *
 *	enter
 *
 * The application writes, and answers with one line: how many of the files it wrote
 * into, in their order. None if it has more than one thread, and fewer than all after a
 * failure. Into what is left the sender moves it.
 */
#ifndef ENTER_H
#define ENTER_H

#include <sys/types.h>

/*
 * Reads as recv(2) does, from a socket or a pipe. If files tasks come with what is read,
 * the application enters, and answers. No descriptor is left open.
 */
ssize_t receive_and_enter(int fd, char *text, size_t size);

#endif
