/*
 * server_ask: asks `cgdeleg serve`, in the application. Leaves nothing behind there.
 */
#include "server.h"
#include "clock.h"
#include "enter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* An answer is a few hundred bytes. */
#define ANSWER_MAX (16 * 1024)

/* A connection to the server, if it is root's; -1 if there is none. Its descriptor is
 * never 0, 1 or 2, which the application may have closed. */
static int connect_to_server(void)
{
	static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = SERVER_SOCKET };
	struct ucred server = { .uid = (uid_t)-1 };
	socklen_t size = sizeof(server);
	int low = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), fd = low;

	if (low >= 0 && low <= STDERR_FILENO) {
		fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		close(low);
	}
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &server, &size) == 0 && server.uid == 0)
		return fd;
	close(fd);
	return -1;
}

/* Sends the request, in one packet. */
static bool send_request(int fd, char *const argv[])
{
	char *packet = malloc(SERVER_REQUEST_MAX), *end;
	bool fits = true, sent;
	int i;

	if (packet == NULL)
		return false;
	end = stpcpy(packet, SERVER_PROTOCOL) + 1;
	for (i = ARG_VERB; fits && argv[i] != NULL; i++) {
		fits = strlen(argv[i]) < (size_t)(packet + SERVER_REQUEST_MAX - end);
		if (fits)
			end = stpcpy(end, argv[i]) + 1;
	}
	sent = fits && send(fd, packet, (size_t)(end - packet), MSG_NOSIGNAL) == end - packet;
	free(packet);
	return sent;
}

/* Takes what has come, packets of whole lines; what can be entered is, while somebody
 * listens to that. False when there will be no more. */
static bool take(int fd, bool is_over, char *text, size_t *len)
{
	ssize_t n;

	while (*len < ANSWER_MAX) {
		if (is_over)
			n = recv(fd, text + *len, ANSWER_MAX - *len, 0);
		else
			n = receive_and_enter(fd, text + *len, ANSWER_MAX - *len);
		if (n > 0)
			*len += (size_t)n;
		else if (n == 0 || errno != EINTR)
			return n < 0 && errno == EAGAIN;
	}
	return false;
}

/* Hears the answer to its end: 0, or ETIMEDOUT. */
static int hear(int fd, long long timeout, char *text, size_t *len)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	long long begun = now_ms();

	while (take(fd, false, text, len) && !reply_is_whole(text, *len)) {
		long long left = begun + (*len == 0 ? SERVER_PATIENCE : timeout) - now_ms();

		if (left <= 0)
			return ETIMEDOUT;
		poll(&wait, 1, (int)left);
	}
	return 0;
}

bool server_ask(char *const argv[], long long timeout, struct worker_reply *reply)
{
	static const char accepted[] = "accepted\n";
	const size_t skip = sizeof(accepted) - 1;
	int fd = connect_to_server();
	const char *last;
	size_t len = 0;
	bool did;

	memset(reply, 0, sizeof(*reply));
	reply->status = -1;
	if (fd < 0)
		return false;
	reply->text = malloc(ANSWER_MAX + 1);
	if (reply->text != NULL && send_request(fd, argv)) {
		reply->failure = hear(fd, timeout, reply->text, &len);
		/* From here on it can say nothing; what it said before counts. Closing
		 * is not enough: a fork by another thread may hold the socket, too. */
		shutdown(fd, SHUT_RDWR);
		take(fd, true, reply->text, &len);
	}
	close(fd);
	last = len > 0 ? memrchr(reply->text, '\n', len) : NULL;
	len = last != NULL ? (size_t)(last + 1 - reply->text) : 0; /* half a line is none */
	did = len > skip && strncmp(reply->text, accepted, skip) == 0;
	if (did) {
		memmove(reply->text, reply->text + skip, len - skip);
		reply->text[len - skip] = '\0';
		reply->started = true;
	} else {
		free(reply->text);
		reply->text = NULL;
	}
	return did;
}
