//go:build !amd64

package inject

// Missing says why programs cannot be run here.
const Missing = "system calls are spoilt in the registers of amd64"

// Run is a running program; there is none here.
type Run struct{ Started chan int }

// Start is not there.
func Start(Program) *Run { panic(Missing) }

// Wait is not there.
func (*Run) Wait() Result { panic(Missing) }

// AwaitOthers is not there.
func (*Run) AwaitOthers(int) { panic(Missing) }

func text(int, uint64, uint64) string { return "" }
