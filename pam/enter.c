/*
 * receive_and_enter: the application's part of entering a session by itself.
 */
#include "enter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A machine has some 15 hierarchies. Files beyond these are not received. */
#define FILES_MAX 32

/* The directory /proc/self/task has two links and one for each thread
 * (proc_task_getattr). If there is one thread, it is here, and starts no other. */
static bool has_one_thread(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) == 0 && st.st_nlink == 3;
}

/* Writes 0, "the writing thread", into each file until one fails, and closes all of
 * them. Returns into how many it wrote. */
static size_t enter(const int files[], size_t count)
{
	size_t entered = 0, i;

	while (entered < count && write(files[entered], "0", 1) == 1)
		entered++;
	for (i = 0; i < count; i++)
		close(files[i]);
	return entered;
}

/* The files that came with a message. They have no alignment there. */
static size_t files_of(struct msghdr *message, int files[])
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	size_t size;

	if (control == NULL || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
		return 0;
	size = control->cmsg_len - CMSG_LEN(0);
	memcpy(files, CMSG_DATA(control), size);
	return size / sizeof(*files);
}

ssize_t receive_and_enter(int fd, char *text, size_t size)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FILES_MAX * sizeof(int))];
	} control;
	struct iovec data = { .iov_base = text, .iov_len = size };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control };
	int files[FILES_MAX];
	size_t count;
	char answer[24];
	int len;
	ssize_t n;

	/* without room for them the kernel closes what comes, and says MSG_CTRUNC */
	message.msg_controllen = has_one_thread() ? sizeof(control) : 0;
	n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNRESET)
		return read(fd, text, size); /* a pipe, or a filter that knows only read(2) */
	if (n <= 0)
		return n;
	count = files_of(&message, files);
	if (count == 0 && !(message.msg_flags & MSG_CTRUNC))
		return n;
	len = snprintf(answer, sizeof(answer), "%zu\n", enter(files, count));
	(void)!send(fd, answer, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT); /* who does not hear it takes all back */
	return n;
}
