/*
 * pam_cgdeleg: the entry points that PAM calls (pam_sm_open_session(3)). They
 * ask PAM for what the worker needs, run it, write its words to the system log
 * and keep for the close its ticket, a text into which nobody looks here. Where
 * `cgdeleg serve` runs, that is asked in the worker's place (server.h).
 *
 * Whatever becomes of these two, the application is left as it was, and PAM's call
 * returns in time: an open after twice the timeout at the latest, since a second worker
 * undoes what one did that was lost, and before three times the timeout where a server
 * was asked in vain; a close at once, or where its worker cannot be detached after the
 * timeout and two seconds, and with a server after twice the timeout and two seconds.
 */
#define PAM_SM_SESSION
#include "clock.h"
#include "server.h"
#include "systemd.h"
#include "told.h"
#include "worker.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <security/pam_modutil.h>

#define TICKETS_NAME "pam_cgdeleg_tickets"
#define DEFAULT_TIMEOUT 5 /* seconds */
#define MAX_TIMEOUT 60
#define MAX_LOG_LINES 20

/* What follows the prefix in text; NULL if text does not begin with it. */
static const char *after(const char *prefix, const char *text)
{
	size_t len = strlen(prefix);

	return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

/* The last valid timeout=N. The worker, which reads all the options, complains
 * of others. */
static unsigned timeout_option(int argc, const char **argv)
{
	unsigned timeout = DEFAULT_TIMEOUT;
	int i;

	for (i = 0; i < argc; i++) {
		const char *digits = after("timeout=", argv[i]);
		size_t len;
		long n;

		if (digits == NULL)
			continue;
		len = strspn(digits, "0123456789");
		n = strtol(digits, NULL, 10);
		if (len > 0 && digits[len] == '\0' && n >= 1 && n <= MAX_TIMEOUT)
			timeout = (unsigned)n;
	}
	return timeout;
}

/*
 * The tickets of a handle, the newest first: it can have more than one session
 * open, as when the module stands in a service's file and in one that it includes.
 * An empty one is of an open that left nothing to close.
 */
struct ticket {
	struct ticket *older;
	char *text;
};
struct tickets {
	struct ticket *newest;
};

static void pop_ticket(struct tickets *tickets)
{
	struct ticket *top = tickets->newest;

	if (top == NULL)
		return;
	tickets->newest = top->older;
	free(top->text);
	free(top);
}

static void free_tickets(pam_handle_t *pamh, void *data, int error_status)
{
	struct tickets *tickets = data;

	(void)pamh;
	(void)error_status;
	while (tickets->newest != NULL)
		pop_ticket(tickets);
	free(tickets);
}

/* The handle's tickets, NULL if there are none yet. */
static struct tickets *tickets_of(pam_handle_t *pamh)
{
	const void *data = NULL;

	pam_get_data(pamh, TICKETS_NAME, &data);
	return (struct tickets *)data;
}

/* Keeps text, and frees it in the end. Without memory it is lost: the close then
 * finds the session by the process. */
static void push_ticket(pam_handle_t *pamh, char *text)
{
	struct tickets *tickets = tickets_of(pamh);
	struct ticket *top = text ? calloc(1, sizeof(*top)) : NULL;

	if (top == NULL) {
		free(text);
		return;
	}
	if (tickets == NULL) {
		tickets = calloc(1, sizeof(*tickets));
		if (tickets == NULL || pam_set_data(pamh, TICKETS_NAME, tickets, free_tickets) != PAM_SUCCESS) {
			free(tickets);
			free(top);
			free(text);
			return;
		}
	}
	top->text = text;
	top->older = tickets->newest;
	tickets->newest = top;
}

/* Why there is no reply, in words, and what follows from it. */
static void log_failure(pam_handle_t *pamh, const struct worker_reply *r, unsigned timeout,
			const char *consequence)
{
	if (r->failure == ETIMEDOUT)
		pam_syslog(pamh, LOG_ERR, "worker did not finish in %u s (timeout=); %s", timeout, consequence);
	else if (r->failure != 0)
		pam_syslog(pamh, LOG_ERR, "worker could not be run: %s; %s", strerror(r->failure), consequence);
	else if (r->status != -1 && WIFSIGNALED(r->status))
		pam_syslog(pamh, LOG_ERR, "worker was killed by signal %d; %s", WTERMSIG(r->status), consequence);
	else if (r->status != -1)
		pam_syslog(pamh, LOG_ERR, "worker ended early with status %d; %s", WEXITSTATUS(r->status), consequence);
	else
		pam_syslog(pamh, LOG_ERR, "worker ended early; %s", consequence);
}

/* Writes one "LEVEL TEXT" to the log. */
static void log_line(pam_handle_t *pamh, const char *line)
{
	static const struct { const char *name; int priority; } levels[] = {
		{ "debug ", LOG_DEBUG }, { "warning ", LOG_WARNING }, { "error ", LOG_ERR },
	};
	size_t i;

	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		const char *text = after(levels[i].name, line);

		if (text != NULL)
			pam_syslog(pamh, levels[i].priority, "%s", text);
	}
}

/* What a worker is run for, and what follows if it fails. */
struct errand {
	const char *verb, *consequence;
};
static const struct errand opening = { "open", "this session has no cgroups of its own" };
static const struct errand closing = { "close", "the session is left for a later cleanup" };
static const struct errand undoing = { "undo", "what was begun is left for a later cleanup" };
static const struct errand limiting = { "limits", "this session has no limits of its own" };

struct outcome {
	int result; /* a PAM return value */
	bool answered; /* the worker said one */
	bool lost; /* it did not, and may have done something before it died */
	char *ticket; /* to be freed; "": nothing to undo; NULL: that is not known */
};

static int result_value(const char *name)
{
	if (strcmp(name, "success") == 0)
		return PAM_SUCCESS;
	if (strcmp(name, "unknown-user") == 0)
		return PAM_USER_UNKNOWN;
	return PAM_SESSION_ERR;
}

static void free_item(pam_handle_t *pamh, void *data, int error_status)
{
	(void)pamh;
	(void)error_status;
	free(data);
}

/* Keeps one "NAME VALUE" for pam_systemd, whose names these are. */
static void keep_item(pam_handle_t *pamh, char *item)
{
	char *value = strchr(item, ' ');

	if (value == NULL || after("systemd.", item) == NULL)
		return;
	*value++ = '\0';
	value = strdup(value);
	if (value == NULL || pam_set_data(pamh, item, value, free_item) != PAM_SUCCESS)
		free(value);
}

#define SESSION_VARIABLE "CGDELEG_SESSION"

/* Says in the environment that the application gives to the login's processes
 * (pam_getenvlist(3)) what the session is called. */
static void put_session(pam_handle_t *pamh, const char *name)
{
	char variable[sizeof(SESSION_VARIABLE "=") + NAME_MAX];
	int len = snprintf(variable, sizeof(variable), "%s=%s", SESSION_VARIABLE, name);

	if (len > 0 && (size_t)len < sizeof(variable))
		pam_putenv(pamh, variable);
}

/* Takes the reply apart, writes its log lines, keeps its items and the session's name, gathers its
 * ticket: the lines from the last "begin" on, without that one. */
static struct outcome read_reply(pam_handle_t *pamh, char *text)
{
	struct outcome out = { .result = PAM_SESSION_ERR };
	size_t used = 0, size = strlen(text) + 1;
	const char *value, *session = NULL;
	char *line, *next;
	bool said = false;
	int logged = 0;

	out.ticket = calloc(1, size);
	for (line = strtok_r(text, "\n", &next); line != NULL; line = strtok_r(NULL, "\n", &next)) {
		if ((value = after("ticket ", line)) != NULL) {
			if (strcmp(value, "begin") == 0)
				used = 0;
			else if (out.ticket != NULL)
				used += (size_t)snprintf(out.ticket + used, size - used, "%s%s", used ? "\n" : "", value);
		} else if ((value = after("result ", line)) != NULL) {
			out.result = result_value(value);
			out.answered = true;
		} else if ((value = after("session ", line)) != NULL) {
			session = value;
		} else if (after("item ", line) != NULL) {
			keep_item(pamh, line + strlen("item "));
		} else if ((value = after("log ", line)) != NULL) {
			if (logged++ < MAX_LOG_LINES || after("error ", value) != NULL)
				log_line(pamh, value);
		} else if (!said && strcmp(line, "enter") != 0) {
			/* the first line of a dying runtime says why; stacks follow */
			said = true;
			pam_syslog(pamh, LOG_ERR, "worker said: %.200s", line);
		}
	}
	if (session != NULL && out.result == PAM_SUCCESS)
		put_session(pamh, session);
	if (out.ticket != NULL)
		out.ticket[used] = '\0';
	return out;
}

static const char *service_of(pam_handle_t *pamh)
{
	const void *service = NULL;

	pam_get_item(pamh, PAM_SERVICE, &service);
	return service ? service : "";
}

static const char *user_of(pam_handle_t *pamh)
{
	const void *user = NULL;

	pam_get_item(pamh, PAM_USER, &user);
	return user ? user : "";
}

/* A worker's arguments. */
struct request {
	char pid[24], uid[24], gid[24];
	const char *args[];
};

/* The account is that of the user, NULL if there is none, or if the ticket names the
 * session; the ticket, if there is one, says what is to be closed or undone. The name is
 * the account's: a directory service finds it by other spellings, too ("ALICE" of SSSD's),
 * each of which would otherwise have cgroups and limits of its own. NULL without memory. */
static struct request *make_request(pam_handle_t *pamh, const char *verb, const struct passwd *account,
				    const char *ticket, int argc, const char **options)
{
	struct request *r = calloc(1, sizeof(*r) + (ARG_OPTIONS + (size_t)argc + 1) * sizeof(*r->args));
	int i;

	if (r == NULL)
		return NULL;
	snprintf(r->pid, sizeof(r->pid), "%ld", (long)getpid());
	if (account != NULL) {
		snprintf(r->uid, sizeof(r->uid), "%lu", (unsigned long)account->pw_uid);
		snprintf(r->gid, sizeof(r->gid), "%lu", (unsigned long)account->pw_gid);
	}
	r->args[ARG_NAME] = "pam_cgdeleg";
	r->args[ARG_VERB] = verb;
	r->args[ARG_PID] = r->pid;
	r->args[ARG_UID] = r->uid;
	r->args[ARG_GID] = r->gid;
	r->args[ARG_USER] = account ? account->pw_name : user_of(pamh);
	r->args[ARG_SERVICE] = service_of(pamh);
	r->args[ARG_TICKET] = ticket ? ticket : "";
	for (i = 0; i < argc; i++)
		r->args[ARG_OPTIONS + i] = options[i];
	return r;
}

/* Writes what came of a request to the log; the reply's text is freed. */
static struct outcome read_outcome(pam_handle_t *pamh, struct worker_reply *reply)
{
	struct outcome out = { .result = PAM_SESSION_ERR };

	if (reply->text != NULL)
		out = read_reply(pamh, reply->text);
	out.lost = reply->started && !out.answered;
	free(reply->text);
	reply->text = NULL;
	return out;
}

/* Runs a worker and waits for what it says. */
static struct outcome ask_worker(pam_handle_t *pamh, const struct errand *errand, const struct passwd *account,
				 const char *ticket, int argc, const char **options)
{
	struct outcome out = { .result = PAM_SESSION_ERR };
	unsigned timeout = timeout_option(argc, options);
	struct request *request = make_request(pamh, errand->verb, account, ticket, argc, options);
	struct worker_reply reply;

	if (request == NULL) {
		pam_syslog(pamh, LOG_ERR, "out of memory; %s", errand->consequence);
		return out;
	}
	worker_run((char *const *)request->args, timeout, &reply);
	free(request);
	out = read_outcome(pamh, &reply);
	if (!out.answered)
		log_failure(pamh, &reply, timeout, errand->consequence);
	return out;
}

/* How long an open, or a close for which somebody waits, may be with the server, in
 * milliseconds: some of the timeout is left for a worker in its place. */
static long long server_timeout(int argc, const char **options)
{
	return timeout_option(argc, options) * 750LL;
}

/* Asks the server. False if it did nothing; the outcome is empty then. */
static bool ask_server(pam_handle_t *pamh, const char *verb, const struct passwd *account, const char *ticket,
		       int argc, const char **options, struct outcome *out)
{
	struct request *request = make_request(pamh, verb, account, ticket, argc, options);
	struct worker_reply reply;
	bool did = request != NULL && server_ask((char *const *)request->args, server_timeout(argc, options), &reply);

	memset(out, 0, sizeof(*out));
	free(request);
	if (did)
		*out = read_outcome(pamh, &reply);
	return did;
}

/* systemd's user manager has its own, delegated cgroup (user@.service). */
static bool is_user_manager(const char *service)
{
	return strcmp(service, "systemd-user") == 0;
}

static bool has_option(const char *name, int argc, const char **argv)
{
	int i;

	for (i = 0; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return false;
}

/* Takes back what an open did that was lost. True if nothing of it is left. */
static bool take_back(pam_handle_t *pamh, const struct passwd *account, struct outcome *out, int argc,
		      const char **argv)
{
	struct outcome undo = ask_worker(pamh, &undoing, account, out->ticket, argc, argv);

	free(undo.ticket);
	return undo.answered && undo.result == PAM_SUCCESS;
}

/* Opens a session by a worker, and by a second one undoes what the first one did
 * that was lost. A failure the first one took back itself. */
static struct outcome open_by_worker(pam_handle_t *pamh, const struct passwd *account, int argc, const char **argv)
{
	struct outcome out = ask_worker(pamh, &opening, account, NULL, argc, argv);
	bool is_back = !out.lost || take_back(pamh, account, &out, argc, argv);

	/* A close must leave alone what is as it was; the rest it tries to undo again. */
	if (out.result != PAM_SUCCESS && is_back && out.ticket != NULL)
		out.ticket[0] = '\0';
	return out;
}

/* Opens a session, by the server or, where that did not come to its end, by a worker. */
static struct outcome open_session(pam_handle_t *pamh, const struct passwd *account, int argc, const char **argv)
{
	long long latest = now_ms() + server_timeout(argc, argv);
	struct outcome out;

	if (ask_server(pamh, opening.verb, account, NULL, argc, argv, &out) && !out.lost)
		return out;
	if (out.lost) {
		bool is_back = take_back(pamh, account, &out, argc, argv);

		if (!is_back || now_ms() > latest) {
			pam_syslog(pamh, LOG_ERR, "cgdeleg serve did not open the session; %s", opening.consequence);
			if (is_back && out.ticket != NULL)
				out.ticket[0] = '\0';
			return out;
		}
		free(out.ticket);
	}
	return open_by_worker(pamh, account, argc, argv);
}

/* The line before pam_systemd's: it tells that the session's limits, and does nothing
 * that a close would have to undo. */
static const char limits_alone[] = "limits";

static int prepare_limits(pam_handle_t *pamh, int argc, const char **argv)
{
	const struct passwd *account = pam_modutil_getpwnam(pamh, user_of(pamh));
	struct outcome out;

	/* with debug the worker says why it does nothing */
	if (!has_option("debug", argc, argv) && !has_systemd_limits())
		return PAM_SUCCESS;
	if (!ask_server(pamh, limiting.verb, account, NULL, argc, argv, &out) || out.lost) {
		free(out.ticket);
		out = ask_worker(pamh, &limiting, account, NULL, argc, argv);
	}
	free(out.ticket);
	return has_option("limits=required", argc, argv) ? out.result : PAM_SUCCESS;
}

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct outcome out = { .result = PAM_SUCCESS };
	const struct passwd *account;

	if (is_user_manager(service_of(pamh)))
		return PAM_SUCCESS;
	if (has_option(limits_alone, argc, argv))
		return prepare_limits(pamh, argc, argv);
	account = pam_modutil_getpwnam(pamh, user_of(pamh));
	/* with debug the worker says why it does nothing */
	if (account != NULL && !has_option("debug", argc, argv) && is_left_to_systemd(account->pw_uid))
		out.ticket = strdup("");
	else
		out = open_session(pamh, account, argc, argv);
	push_ticket(pamh, out.ticket);
	if (account != NULL && out.result == PAM_SUCCESS && !has_option("oom=quiet", argc, argv))
		tell_user(pamh, account->pw_uid, flags);
	return out.result;
}

static const char later[] = "detached-close"; /* the close that nobody waits for */

/* Has the session closed by a worker that nobody waits for; false if there is none. */
static bool close_by_detached_worker(pam_handle_t *pamh, const char *ticket, int argc, const char **argv)
{
	struct request *request = make_request(pamh, later, NULL, ticket, argc, argv);
	bool detached = request != NULL && worker_detach((char *const *)request->args);

	free(request);
	return detached;
}

/* Closes a session, by the server or by a worker. */
static int close_session(pam_handle_t *pamh, const char *ticket, int argc, const char **argv)
{
	bool is_waited_for = ticket == NULL || has_option("close=wait", argc, argv);
	/* whose session it may be that the process is in */
	const struct passwd *account = ticket ? NULL : pam_modutil_getpwnam(pamh, user_of(pamh));
	struct outcome out;

	ask_server(pamh, is_waited_for ? closing.verb : later, account, ticket, argc, argv, &out);
	free(out.ticket);
	if (out.answered || (!is_waited_for && close_by_detached_worker(pamh, ticket, argc, argv)))
		return PAM_SUCCESS;
	out = ask_worker(pamh, &closing, account, ticket, argc, argv);
	free(out.ticket);
	return out.result;
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct tickets *tickets = tickets_of(pamh);
	const char *ticket = tickets && tickets->newest ? tickets->newest->text : NULL;
	int result = PAM_SUCCESS;

	(void)flags;
	if (is_user_manager(service_of(pamh)) || has_option(limits_alone, argc, argv))
		return PAM_SUCCESS;
	/* an empty one says that there is nothing to close */
	if (ticket == NULL || ticket[0] != '\0')
		result = close_session(pamh, ticket, argc, argv);
	if (ticket != NULL)
		pop_ticket(tickets);
	return result;
}
