// Package inject runs a program and spoils one system call of it, or of a process that it
// forks: the process is killed in place of the call, or the call is not made and fails.
//
// A call is named by its number and by how many of that number the process has made
// before, of all its threads together. So what other threads do meanwhile, such as those
// of Go's runtime, makes it no other call. The package must not know what the program is.
package inject

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Call is a system call of a process.
type Call struct {
	Number uint64
	Nth    int // from 1, of those with that number
}

// String names the call as strace(1) does, and says which of them it is.
func (c Call) String() string { return fmt.Sprintf("%s %d", Name(c.Number), c.Nth) }

// Fault is what is done to one call. The zero Fault does nothing.
type Fault struct {
	Call
	// Errno is how the call fails; 0: the process is killed before it.
	Errno unix.Errno
}

// String says what is done, and to which call.
func (f Fault) String() string {
	if f.Errno == 0 {
		return "killed at " + f.Call.String()
	}
	return f.Call.String() + " fails with " + unix.ErrnoName(f.Errno)
}

// Stop is a call that begins or ends.
type Stop struct {
	Number    uint64
	Arguments [6]uint64
	Ends      bool
	Result    int64 // of one that ends
	thread    int
}

// Written returns the beginning of what a write(2) writes, "" of any other call.
func (s Stop) Written() string {
	if s.Number != unix.SYS_WRITE {
		return ""
	}
	return text(s.thread, s.Arguments[1], s.Arguments[2])
}

// First is a fault that is made before the one that is looked at.
type First struct {
	Process int               // as Program.Process
	Is      func(s Stop) bool // tells of each call that begins whether it is the one
	Errno   unix.Errno        // as Fault.Errno
}

// Program says what to run, and whose calls count.
type Program struct {
	Args  []string    // the first one is the program's path
	Files [3]*os.File // standard input, output and error
	// Process says whose calls count: 0 is the program itself, 1 the first process that
	// is forked, and so on, whoever forks it.
	Process int
	// Counts, if set, tells for each stop whether calls count from then on; counted is
	// whether they did. Nil: all of them do.
	Counts func(counted bool, s Stop) bool
	// First, if it has an Is, is another fault, which is made before: calls count from then
	// on.
	First First
	Fault Fault
	// Sees, if set, is told of each call that counts, also after the fault.
	Sees func(call Call, text string)
	// Limit bounds how long it may take. Then everything is killed.
	Limit time.Duration
}

// Result is what became of a program.
type Result struct {
	// Calls are those that counted, in their order, up to the fault.
	Calls []Call
	// Hit describes the spoilt call; "" if the process did not come to it. First is the
	// same of Program.First.
	Hit, First string
	// Died tells that the process whose calls counted was ended by a signal.
	Died bool
	// IsLate tells that it took longer than the limit.
	IsLate bool
	Err    error
}
