// Package main is pam_cgdeleg.so, a PAM session module.
//
// PAM sees only the C entry points in module.c. The Go code runs in a child of
// the application and is entered here; it hands over to package worker. This package
// must not know anything that a static program in the child's place (for musl)
// would need too.
package main

// #cgo CFLAGS: -std=gnu11 -D_GNU_SOURCE
// #cgo LDFLAGS: -lpam
import "C"

import (
	"os"
	"unsafe"

	"github.com/cgdeleg/pam_cgdeleg/pam/worker"
)

// cgdeleg_worker is what spawn_fork.c calls when the runtime has started. It
// returns the child's exit status.
//
//export cgdeleg_worker
func cgdeleg_worker(argc C.int, argv **C.char) C.int {
	args := make([]string, 0, argc)
	for _, arg := range unsafe.Slice(argv, argc) {
		args = append(args, C.GoString(arg))
	}
	return C.int(worker.Run(args, os.NewFile(worker.ReplyFD, "reply")))
}

func main() {}
