// Package main is the program /usr/libexec/cgdeleg/worker, which the module
// starts where the C library cannot load a Go library (musl). It is what
// package main of pam/ is elsewhere: it hands over to package worker, with the
// arguments and the descriptor that pam/spawn_exec.c gives it. It must not know
// anything else.
package main

import (
	"fmt"
	"os"

	"github.com/cgdeleg/pam_cgdeleg/pam/worker"
)

func main() {
	if len(os.Args) == 1 {
		fmt.Fprintln(os.Stderr, "this program is run by pam_cgdeleg.so; see cgdeleg --help for what people run")
		os.Exit(2)
	}
	os.Exit(worker.Run(os.Args))
}
