/*
 * killat: runs a program and kills one of its children at one of its system
 * calls, for tests of what becomes of a worker that dies in the middle.
 *
 *	killat FILE WORKER before|after N PROGRAM WORD...
 *
 * WORKER says which child of the program, from 1 in the order in which they are
 * forked; N which of that child's calls, from 1, of all its threads together.
 * Only those calls count that change a cgroup or say something: making,
 * removing, chmod, chown, write and sendmsg. The call is not made (before), or was
 * (after). FILE gets a line that says which call it was, or "none" and how many
 * there were. It ends as the program does.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_TASKS 4096

static const struct { const char *name; int nr, text; } calls[] = {
	{ "mkdirat", SYS_mkdirat, 1 }, { "fchmodat", SYS_fchmodat, 1 }, { "fchmod", SYS_fchmod, -1 },
	{ "fchownat", SYS_fchownat, 1 }, { "fchown", SYS_fchown, -1 }, { "unlinkat", SYS_unlinkat, 1 },
	{ "write", SYS_write, 1 }, { "sendmsg", SYS_sendmsg, -1 },
#ifdef SYS_mkdir
	{ "mkdir", SYS_mkdir, 0 }, { "rmdir", SYS_rmdir, 0 }, { "unlink", SYS_unlink, 0 },
#endif
#ifdef SYS_fchmodat2
	{ "fchmodat2", SYS_fchmodat2, 1 },
#endif
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

/* The threads that are traced: which worker each is of, 0 for the program. */
static struct task { pid_t tid; int worker, waits; } tasks[MAX_TASKS];
static int ntasks, workers;
static pid_t victim; /* the process that is to die */

static struct task *find(pid_t tid)
{
	int i;

	for (i = ntasks - 1; i >= 0; i--)
		if (tasks[i].tid == tid)
			return &tasks[i];
	return NULL;
}

static struct task *add(pid_t tid)
{
	if (ntasks == MAX_TASKS)
		exit(3);
	tasks[ntasks] = (struct task){ .tid = tid, .worker = -1 };
	return &tasks[ntasks++];
}

static void forget(pid_t tid)
{
	struct task *t = find(tid);

	if (t != NULL)
		*t = tasks[--ntasks];
}

static void filter(void)
{
	struct sock_filter code[2 * CALLS + 2];
	struct sock_fprog prog = { 0, code };
	int i;

	code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (i = 0; i < CALLS; i++) {
		code[prog.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i].nr, 0, 1);
		code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	}
	code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		_exit(3);
}

/* Says which call a task is in. */
static void describe(FILE *to, const char *when, pid_t tid)
{
	struct __ptrace_syscall_info info = { 0 };
	char text[80] = "";
	int i;

	ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info);
	for (i = 0; i < CALLS; i++)
		if (calls[i].nr == (int)info.seccomp.nr) {
			if (calls[i].text >= 0) {
				struct iovec local = { text, sizeof(text) - 1 }, remote = { (void *)info.seccomp.args[calls[i].text], sizeof(text) - 1 };

				if (info.seccomp.nr == SYS_write && info.seccomp.args[2] < remote.iov_len)
					remote.iov_len = info.seccomp.args[2];
				(void)!process_vm_readv(tid, &local, 1, &remote, 1, 0);
				text[strcspn(text, "\n")] = '\0';
			}
			fprintf(to, "%s %s(%d) %s\n", when, calls[i].name, (int)info.seccomp.args[0], text);
		}
	fflush(to);
}

int main(int argc, char **argv)
{
	int status, result = 3, count = 0, worker, after, n, done = 0;
	pid_t app, tid, stopping = 0;
	FILE *to;

	if (argc < 6)
		return 2;
	to = fopen(argv[1], "we");
	worker = atoi(argv[2]);
	after = !strcmp(argv[3], "after");
	n = atoi(argv[4]);
	app = fork();
	if (app == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		filter();
		execv(argv[5], argv + 5);
		_exit(3);
	}
	if (to == NULL || waitpid(app, &status, 0) != app)
		return 3;
	ptrace(PTRACE_SETOPTIONS, app, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
	       PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	add(app)->worker = 0;
	ptrace(PTRACE_CONT, app, 0, 0);
	while ((tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		struct task *t = find(tid);
		int event = status >> 16, signal;

		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			forget(tid);
			if (tid == app) {
				result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
				break;
			}
			continue;
		}
		if (t == NULL) { /* it is here before its parent has said so */
			add(tid)->waits = 1;
			continue;
		}
		if (t->worker < 0) {
			t->waits = 1;
			continue;
		}
		signal = WSTOPSIG(status);
		if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
			unsigned long new = 0;
			struct task *child;
			int of = t->worker;

			ptrace(PTRACE_GETEVENTMSG, tid, 0, &new);
			child = find((pid_t)new);
			if (child == NULL)
				child = add((pid_t)new);
			child->worker = of;
			if (of == 0 && event != PTRACE_EVENT_CLONE) {
				child->worker = ++workers;
				if (workers == worker)
					victim = (pid_t)new;
			}
			if (child->waits)
				ptrace(PTRACE_CONT, child->tid, 0, 0);
			else
				child->waits = -1; /* its first stop is still to come */
		} else if (event == PTRACE_EVENT_SECCOMP) {
			if (t->worker == worker && !done && ++count == n) {
				describe(to, argv[3], tid);
				done = 1;
				if (after) {
					stopping = tid;
					ptrace(PTRACE_SYSCALL, tid, 0, 0);
					continue;
				}
				kill(victim, SIGKILL);
			}
		} else if (signal == (SIGTRAP | 0x80)) {
			if (tid == stopping)
				kill(victim, SIGKILL);
		} else if (event == 0 && !(signal == SIGSTOP && t->waits == -1)) {
			ptrace(PTRACE_CONT, tid, 0, signal);
			continue;
		} else if (event == 0) {
			t->waits = 0;
		}
		ptrace(PTRACE_CONT, tid, 0, 0);
	}
	if (!done)
		fprintf(to, "none of %d\n", count);
	fclose(to);
	return result;
}
