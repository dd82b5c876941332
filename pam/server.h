/*
 * `cgdeleg serve`, a process that does what workers do, where an administrator
 * runs it. It is asked first and never depended on: where it is not there, does not
 * answer at once or says what is no answer, a worker is run as if there were none.
 *
 * A request is one packet: SERVER_PROTOCOL, then a worker's arguments from ARG_VERB
 * on, each ended by a NUL. The answer is packets of whole lines, as a worker's
 * (worker.h), after a first line:
 *
 *	accepted	the server does what is asked
 *
 * Without that line it does nothing. The application enters as from a worker (enter.h).
 * What could not be taken back later, the server
 * does after it has said the ticket to somebody who still listens. So who gives up
 * ends the connection first, and then looks at what has been said. It says no result
 * after an open, or a close for which somebody waits, that failed: a worker finds out
 * why.
 */
#ifndef SERVER_H
#define SERVER_H

#include "worker.h"

#define SERVER_SOCKET "/run/cgdeleg/serve.sock" /* SOCK_SEQPACKET, for root alone */
#define SERVER_PROTOCOL "cgdeleg-3"
#define SERVER_REQUEST_MAX (64 * 1024)
#define SERVER_PATIENCE 50 /* milliseconds until it has accepted */

/*
 * Asks the server to do what a worker with these arguments would, and waits for it at
 * most the given milliseconds. False if it did nothing and will do nothing. Else the
 * reply is what it said, for the caller to free its text; its status is -1.
 */
bool server_ask(char *const argv[], long long timeout, struct worker_reply *reply);

#endif
