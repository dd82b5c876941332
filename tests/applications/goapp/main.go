// Package main is an application written in Go, as forges and proxies with an SSH server
// are: goapp SERVICE USER opens a session through libpam, says where it then is, as
// /proc/self/cgroup has it, and closes it. The Go runtime has several threads from the
// beginning, and signal handlers.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/msteinert/pam/v2"
)

func main() {
	if err := login(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func login(service, user string) error {
	runtime.LockOSThread() // modules may look at the calling thread
	transaction, err := pam.StartFunc(service, user, func(pam.Style, string) (string, error) { return "", pam.ErrConv })
	if err != nil {
		return fmt.Errorf("pam_start: %w", err)
	}
	defer func() { _ = transaction.End() }()
	if err := transaction.OpenSession(0); err != nil {
		return fmt.Errorf("pam_open_session: %w", err)
	}
	cgroups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	fmt.Print(string(cgroups))
	return transaction.CloseSession(0)
}
