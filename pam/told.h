/*
 * What `cgdeleg serve` has for a user to be told at the next login: that the kernel
 * killed a process, say, and because of which limit (delegate/told, which writes it).
 */
#ifndef TOLD_H
#define TOLD_H

#include <sys/types.h>

#include <security/pam_modules.h>

/* The files in it are called like the user's ID. */
#define TOLD_DIRECTORY "/run/cgdeleg/told"
/* after the name of one that a login has said */
#define TOLD_SAID ".said"
/* more bytes than a file has */
#define TOLD_MAX 1024

/*
 * Says the note of a user who logs in, if there is one, by the application's
 * conversation. Where nobody can have seen it, it stays for the next login: where
 * somebody else asked for the session (su, sudo), where the application wants silence or
 * has no conversation. An application such as sshd may show it or not; then
 * `cgdeleg serve` finds out (TOLD_SAID), and for a minute the next login says it again.
 * Without a note it costs one stat(2), or three where there have been some.
 */
void tell_user(pam_handle_t *pamh, uid_t uid, int flags);

#endif
