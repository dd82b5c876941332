package inject

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Missing says why programs cannot be run here; "" if they can.
const Missing = ""

// Run is a running program.
type Run struct {
	Program
	// Started has the program's PID.
	Started chan int
	done    chan Result

	mutex     sync.Mutex
	processes map[int]bool // their PIDs, but for those that have ended
	changed   *sync.Cond

	tasks   map[int]*task
	early   map[int]bool // threads that stopped before their parent said that there are any
	forked  int
	counts  map[uint64]int
	counted bool
	result  Result
	isDone  bool // the fault was made
}

// task is a thread that is traced.
type task struct {
	pid, process int
	isNew        bool // its first stop is still to come
	isSpoilt     bool // it is in the call that fails
	errno        unix.Errno
	argument     uint64
}

// Start runs the program, traced by a thread of its own.
func Start(p Program) *Run {
	r := &Run{
		Program: p, Started: make(chan int, 1), done: make(chan Result, 1), processes: map[int]bool{},
		tasks: map[int]*task{}, early: map[int]bool{}, counts: map[uint64]int{}, counted: p.Counts == nil,
	}
	r.changed = sync.NewCond(&r.mutex)
	go func() {
		runtime.LockOSThread() // who traces is a thread
		defer runtime.UnlockOSThread()
		err := r.run()
		r.setProcesses(func() { clear(r.processes) })
		r.result.Err = err
		close(r.Started)
		r.done <- r.result
	}()
	return r
}

// Wait waits until the program has ended, and all that it forked.
func (r *Run) Wait() Result { return <-r.done }

// AwaitOthers waits until everything has ended but the program itself.
func (r *Run) AwaitOthers(program int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for len(r.processes) > 1 || len(r.processes) == 1 && !r.processes[program] {
		r.changed.Wait()
	}
}

func (r *Run) setProcesses(change func()) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	change()
	r.changed.Broadcast()
}

func (r *Run) run() error {
	var files []uintptr
	for _, f := range r.Files {
		files = append(files, f.Fd())
	}
	pid, err := syscall.ForkExec(r.Args[0], r.Args, &syscall.ProcAttr{Env: os.Environ(), Files: files, Sys: &syscall.SysProcAttr{Ptrace: true}})
	if err != nil {
		return err
	}
	r.setProcesses(func() { r.processes[pid] = true })
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil || !status.Stopped() {
		return fmt.Errorf("wait: status %v: %w", status, err)
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK |
		unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(pid, options); err != nil {
		return os.NewSyscallError("ptrace", err)
	}
	r.tasks[pid] = &task{pid: pid}
	r.Started <- pid
	limit := time.AfterFunc(r.Limit, r.kill)
	defer limit.Stop()
	r.resume(pid, 0)
	for {
		thread, err := unix.Wait4(-1, &status, unix.WALL|unix.WNOTHREAD, nil)
		switch {
		case err == nil:
			r.see(thread, status)
		case err == unix.ECHILD:
			return nil
		case err != unix.EINTR:
			return os.NewSyscallError("wait4", err)
		}
	}
}

// kill kills everything.
func (r *Run) kill() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.result.IsLate = true
	for pid := range r.processes {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// resume lets a thread go on; only where calls may count does it stop at each. That it was
// killed meanwhile is no error.
func (r *Run) resume(thread int, signal unix.Signal) {
	t := r.tasks[thread]
	if t.process == r.Process && (!r.isDone || r.Sees != nil) || r.awaitsFirst(t) || t.isSpoilt {
		_ = unix.PtraceSyscall(thread, int(signal))
		return
	}
	_ = unix.PtraceCont(thread, int(signal))
}

// awaitsFirst tells whether the first fault may be in what this thread does.
func (r *Run) awaitsFirst(t *task) bool {
	return r.First.Is != nil && r.result.First == "" && t.process == r.First.Process
}

// see is told of what a thread did.
func (r *Run) see(thread int, status unix.WaitStatus) {
	t := r.tasks[thread]
	switch {
	case status.Exited() || status.Signaled():
		if t != nil && t.process == r.Process && t.pid == thread {
			r.result.Died = status.Signaled()
		}
		delete(r.tasks, thread)
		delete(r.early, thread)
		r.setProcesses(func() { delete(r.processes, thread) })
		r.adopt()
		return
	case t == nil:
		r.early[thread] = true // its parent is about to tell
		r.adopt()
		return
	}
	signal := status.StopSignal()
	switch event := status.TrapCause(); {
	case signal == unix.SIGTRAP|0x80:
		r.stop(thread, t)
	case event == unix.PTRACE_EVENT_FORK || event == unix.PTRACE_EVENT_VFORK || event == unix.PTRACE_EVENT_CLONE:
		r.add(thread, t, event == unix.PTRACE_EVENT_CLONE)
	case event > 0:
	case t.isNew && signal == unix.SIGSTOP:
		t.isNew = false
	default:
		r.resume(thread, signal)
		return
	}
	r.resume(thread, 0)
}

// add adds a thread, or a process, that a thread has started.
func (r *Run) add(parent int, t *task, isThread bool) {
	message, err := unix.PtraceGetEventMsg(parent)
	if err != nil {
		return // it was killed
	}
	id := int(message)
	child := &task{pid: t.pid, process: t.process, isNew: true}
	if !isThread {
		r.forked++
		child.pid, child.process = id, r.forked
		r.setProcesses(func() { r.processes[id] = true })
	}
	r.tasks[id] = child
	if r.early[id] {
		delete(r.early, id)
		child.isNew = false
		r.resume(id, 0)
	}
}

// adopt lets those processes go on that nobody tells of: their parent was killed when it had just
// forked them.
func (r *Run) adopt() {
	for id := range r.early {
		parent, ok := parentOf(id)
		if !ok || r.processes[parent] {
			continue
		}
		delete(r.early, id)
		r.forked++
		r.tasks[id] = &task{pid: id, process: r.forked}
		r.setProcesses(func() { r.processes[id] = true })
		r.resume(id, 0)
	}
}

// parentOf returns the parent of a process; not ok is a thread, or one that is gone.
func parentOf(id int) (parent int, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", id))
	if err != nil {
		return 0, false
	}
	fields := map[string]int{}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		if name == "Tgid" || name == "PPid" {
			fields[name], _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return fields["PPid"], fields["Tgid"] == id
}

// stop sees a call that begins or ends, and makes the fault.
func (r *Run) stop(thread int, t *task) {
	s, err := stopOf(thread)
	if err != nil {
		return // it was killed
	}
	if t.isSpoilt && s.Ends {
		t.isSpoilt = false
		setRegisters(thread, func(regs *unix.PtraceRegs) {
			if s.Number == unix.SYS_BRK {
				regs.Rdi = t.argument
			} else {
				regs.Rax = -uint64(t.errno)
			}
		})
		return
	}
	if r.awaitsFirst(t) {
		if !s.Ends && r.First.Is(s) {
			r.result.First = s.describe()
			r.spoil(thread, t, s, r.First.Errno)
		}
		return
	}
	if r.First.Is != nil && r.result.First == "" {
		return // what is before it does not count
	}
	if t.process != r.Process || r.isDone && r.Sees == nil {
		return
	}
	if r.Counts != nil {
		r.counted = r.Counts(r.counted, s)
	}
	if s.Ends || !r.counted {
		return
	}
	r.counts[s.Number]++
	call := Call{s.Number, r.counts[s.Number]}
	r.result.Calls = append(r.result.Calls, call)
	if r.Sees != nil {
		r.Sees(call, s.describe())
	}
	if call != r.Fault.Call || r.isDone {
		return
	}
	r.isDone = true
	r.result.Hit = s.describe()
	r.spoil(thread, t, s, r.Fault.Errno)
}

// spoil has a call that begins fail, or kills the process.
func (r *Run) spoil(thread int, t *task, s Stop, errno unix.Errno) {
	if errno == 0 {
		_ = unix.Kill(t.pid, unix.SIGKILL)
		return
	}
	t.isSpoilt, t.errno = true, errno
	if s.Number == unix.SYS_BRK { // which returns no error, but where the break is: so does brk(0)
		t.argument = s.Arguments[0]
		setRegisters(thread, func(regs *unix.PtraceRegs) { regs.Rdi = 0 })
		return
	}
	setRegisters(thread, func(regs *unix.PtraceRegs) { regs.Orig_rax = ^uint64(0) }) // no call has that number
}

func setRegisters(thread int, change func(*unix.PtraceRegs)) {
	var regs unix.PtraceRegs
	if unix.PtraceGetRegs(thread, &regs) == nil {
		change(&regs)
		_ = unix.PtraceSetRegs(thread, &regs)
	}
}

// The kernel's struct ptrace_syscall_info (ptrace(2)).
type syscallInfo struct {
	op        uint8
	_         [3]uint8
	arch      uint32
	_, _      uint64 // instruction and stack pointers
	value     uint64 // the number, or the result
	arguments [6]uint64
}

const (
	ptraceGetSyscallInfo = 0x420e
	opEnd                = 2
)

// stopOf tells of the call in which a thread is.
func stopOf(thread int) (s Stop, err error) {
	var info syscallInfo
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, ptraceGetSyscallInfo, uintptr(thread), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return s, errno
	}
	s = Stop{Number: info.value, Arguments: info.arguments, thread: thread}
	if info.op == opEnd {
		var regs unix.PtraceRegs
		if err := unix.PtraceGetRegs(thread, &regs); err != nil {
			return s, err
		}
		s.Ends, s.Result, s.Number = true, int64(info.value), regs.Orig_rax
		s.Arguments = [6]uint64{regs.Rdi, regs.Rsi, regs.Rdx, regs.R10, regs.R8, regs.R9}
	}
	return s, nil
}

// text reads what a thread has in its memory, as far as it is text.
func text(thread int, at, most uint64) string {
	data := make([]byte, min(most, 80))
	if len(data) == 0 {
		return ""
	}
	n, err := unix.ProcessVMReadv(thread, []unix.Iovec{{Base: &data[0], Len: uint64(len(data))}}, []unix.RemoteIovec{{Base: uintptr(at), Len: len(data)}}, 0)
	if err != nil {
		return ""
	}
	found, _, _ := strings.Cut(string(data[:n]), "\x00")
	return found
}

// describe says for people which call this is.
func (s Stop) describe() string {
	name := Name(s.Number)
	switch {
	case s.Number == unix.SYS_WRITE:
		return fmt.Sprintf("%s(%d, %q)", name, s.Arguments[0], s.Written())
	case slices.Contains([]string{"openat", "openat2", "mkdirat", "unlinkat", "newfstatat", "fchownat", "fchmodat", "fchmodat2", "readlinkat", "faccessat2"}, name):
		return fmt.Sprintf("%s(%d, %q)", name, int32(s.Arguments[0]), text(s.thread, s.Arguments[1], 80))
	case slices.Contains([]string{"open", "stat", "lstat", "access", "unlink", "mkdir", "chdir", "readlink", "execve"}, name):
		return fmt.Sprintf("%s(%q)", name, text(s.thread, s.Arguments[0], 80))
	}
	return fmt.Sprintf("%s(%#x, %#x, %#x)", name, s.Arguments[0], s.Arguments[1], s.Arguments[2])
}
