// Package main is pam_cgdeleg.so, a PAM session module.
//
// PAM sees only the C entry points in module.c. The Go code runs in a child of
// the application, as part of the start of the Go runtime; it hands over to package
// worker. This package must not know anything that a static program in the child's
// place (for musl) would need too.
package main

// #cgo CFLAGS: -std=gnu11 -D_GNU_SOURCE
// #cgo LDFLAGS: -lpam
import "C"

import (
	"os"

	"github.com/cgdeleg/pam_cgdeleg/pam/worker"
)

// The runtime is started in the child alone (spawn_fork.c), for one run of the worker.
// That happens here, on the runtime's own thread: a call from C would have to wait for
// the end of the start, and to become a thread of the runtime's first.
func init() {
	os.Exit(worker.Run(os.Args))
}

func main() {}
