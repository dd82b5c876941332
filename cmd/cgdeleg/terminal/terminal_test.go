package terminal

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// What is no terminal is refused, and nothing is written to it. That a terminal is given
// back is tested on the real thing, in tests/commands.
func TestOpenOfFile(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := Open(file, file); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("got %v", err)
	}
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%v, %v", info, err)
	}
}

// A process in a session of its own has no shell, and must not stop itself; one in a group
// of its own has the process that started it.
func TestIsOrphaned(t *testing.T) {
	if want := os.Getenv("CGDELEG_ORPHANED"); want != "" {
		if isOrphaned() != (want == "yes") {
			os.Exit(1)
		}
		os.Exit(0)
	}
	for want, attributes := range map[string]*unix.SysProcAttr{"yes": {Setsid: true}, "no": {Setpgid: true}} {
		cmd := exec.Command(os.Args[0], "-test.run=TestIsOrphaned")
		cmd.Env = append(os.Environ(), "CGDELEG_ORPHANED="+want)
		cmd.SysProcAttr = attributes
		if err := cmd.Run(); err != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}
