package main

import (
	"io"
	"testing"
)

// All checks over a recorded machine: what check does but for the programs and
// the bus that it asks on a running one.
func BenchmarkCheck(b *testing.B) {
	for b.Loop() {
		if code := run([]string{"--root", "check/testdata/systemd-v2", "check"}, io.Discard, io.Discard); code != 0 {
			b.Fatalf("exit code %d", code)
		}
	}
}
