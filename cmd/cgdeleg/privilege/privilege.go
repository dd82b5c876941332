// Package privilege takes from a service of root's what it does not need: capabilities, what
// programs could give it, and system calls. It must not know what the service does.
package privilege

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Drop leaves the process these capabilities at most, no_new_privs, and none of the denied
// system calls; also what it starts. A capability set or a filter is a thread's, and Go has
// threads before anybody is asked. So where there is anything to drop, a thread drops it for
// itself and executes the program again, with the same process ID, arguments, environment and
// open files. Whoever has dropped it before, such as systemd, has nothing of that done.
//
// What the process may not drop it keeps. The error says that the program could not be
// executed again; nobody has lost anything then but the calling thread.
func Drop(needed ...int) error {
	runtime.LockOSThread()
	hasDropped := dropCapabilities(needed)
	if isSet, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && isSet == 0 {
		hasDropped = unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == nil || hasDropped
	}
	if mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err == nil && mode == 0 {
		hasDropped = filter() == nil || hasDropped
	}
	if !hasDropped {
		runtime.UnlockOSThread()
		return nil
	}
	path, err := os.Executable() // by which the process is named; but the program may have another file by now
	if err == nil {
		err = unix.Exec(path, os.Args, os.Environ())
	}
	return fmt.Errorf("the program cannot be executed again: %w", errors.Join(err, unix.Exec("/proc/self/exe", os.Args, os.Environ())))
}

// dropCapabilities takes from the bounding set what is not needed, and tells whether there was
// anything. What is in that set root has when it executes a program (capabilities(7)); unless
// securebits say otherwise, and then it stays as it is.
func dropCapabilities(needed []int) (hasDropped bool) {
	if bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0); err != nil || bits != 0 {
		return false
	}
	keep := map[int]bool{}
	for _, capability := range needed {
		keep[capability] = true
	}
	for capability := 0; ; capability++ {
		has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(capability), 0, 0, 0)
		if err != nil { // the kernel has no more
			return hasDropped
		}
		if has == 1 && !keep[capability] {
			hasDropped = unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(capability), 0, 0, 0) == nil || hasDropped
		}
	}
}
