/*
 * tell_user: says a note, in the application. Leaves nothing behind there.
 */
#include "told.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <security/pam_ext.h>

static const char *item(const pam_handle_t *pamh, int type)
{
	const void *value = NULL;

	pam_get_item(pamh, type, &value);
	return value ? value : "";
}

/* Whether the user is who asked for the session. su and sudo say who did, login and sshd
 * nobody. */
static bool is_login(const pam_handle_t *pamh)
{
	const char *asker = item(pamh, PAM_RUSER);

	return asker[0] == '\0' || strcmp(asker, item(pamh, PAM_USER)) == 0;
}

/* Whether the application has a terminal. sshd says "ssh" before it knows. */
static bool has_terminal(const pam_handle_t *pamh)
{
	const char *tty = item(pamh, PAM_TTY);

	return strncmp(tty, "/dev/", 5) == 0 || strncmp(tty, "tty", 3) == 0 || strncmp(tty, "pts/", 4) == 0;
}

/* Reads a file of root's to the end, at most TOLD_MAX - 1 bytes; false if it is none. */
static bool read_note(const char *path, char text[TOLD_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	ssize_t n;

	if (fd < 0)
		return false;
	do
		n = read(fd, text, TOLD_MAX - 1);
	while (n < 0 && errno == EINTR);
	close(fd);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	if (n <= 0)
		return false;
	text[n] = '\0';
	return strlen(text) == (size_t)n;
}

/* How long another login says a note again that one has said already, in seconds: that may
 * have been one that shows nothing (scp). Longer than cgdeleg serve waits for a terminal. */
#define AGAIN 70

static bool is_recent(const struct stat *st)
{
	time_t age = time(NULL) - st->st_ctime; /* rename(2) and link(2) set it */

	return age >= 0 && age < AGAIN;
}

/* Says a file, and removes it if that shows; false if it could not be said. */
static bool say(pam_handle_t *pamh, const char *path)
{
	char text[TOLD_MAX];

	if (!read_note(path, text) || pam_info(pamh, "%s", text) != PAM_SUCCESS)
		return false;
	if (has_terminal(pamh))
		unlink(path);
	return true;
}

void tell_user(pam_handle_t *pamh, uid_t uid, int flags)
{
	char note[sizeof(TOLD_DIRECTORY) + 24], claimed[sizeof(note) + sizeof(TOLD_SAID)];
	struct stat st; /* not access(2), which asks for the real user ID */
	bool has_note, has_claimed;

	snprintf(note, sizeof(note), TOLD_DIRECTORY "/%lu", (unsigned long)uid);
	snprintf(claimed, sizeof(claimed), "%s" TOLD_SAID, note);
	if ((flags & PAM_SILENT) || stat(TOLD_DIRECTORY, &st) < 0 || !is_login(pamh))
		return;
	has_note = stat(note, &st) == 0;
	has_claimed = stat(claimed, &st) == 0 && is_recent(&st);
	if (has_claimed)
		say(pamh, claimed);
	if (!has_note)
		return;
	/* one that is said already must not be lost by the rename: then both stay */
	if (has_claimed) {
		say(pamh, note);
		return;
	}
	/* of two logins at the same time one says it */
	if (rename(note, claimed) < 0)
		return;
	if (!say(pamh, claimed) && link(claimed, note) == 0) /* and not where there is a newer one */
		unlink(claimed);
}
