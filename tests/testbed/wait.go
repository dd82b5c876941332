package testbed

import (
	"testing"
	"time"
)

// Patience bounds every wait for something that comes soon. It is never what a
// test is about.
const Patience = 30 * time.Second

// Eventually fails the test if the condition does not come true.
func Eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
