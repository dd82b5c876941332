package applications

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/tests/testbed"
)

// What the application does with the files that it is sent, in their order.
func TestReceiveAndEnter(t *testing.T) {
	if testbed.Musl() {
		t.Skip("needs a compiler; the same C file is tested outside of the Alpine-like root")
	}
	testbed.Need(t, "gcc")
	program := testbed.CompileC(t, "enter/enter.c", filepath.Join(testbed.Root(t), "pam/enter.c"), "-lpthread")
	for _, test := range []struct {
		name, words string
		files       int
		readOnly    int // the first of them that cannot be written; -1: none
		answer      string
		entered     int
	}{
		{"three files", "", 3, -1, "3\n", 3},
		{"one file", "", 1, -1, "1\n", 1},
		{"the second cannot be written", "", 3, 1, "1\n", 1},
		{"none can be written", "", 2, 0, "0\n", 0},
		{"more than are received", "", 40, -1, "32\n", 32},
		{"more threads", "threads", 3, -1, "0\n", 0},
		{"only two more descriptors", "files=6", 3, -1, "2\n", 2},
		{"no more descriptors", "files=4", 3, -1, "0\n", 0},
		{"no files", "", 0, -1, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			var fds []int
			for i := range test.files {
				mode := os.O_WRONLY | os.O_CREATE
				if test.readOnly >= 0 && i >= test.readOnly {
					mode = os.O_RDONLY | os.O_CREATE
				}
				f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(i)), mode, 0o644)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				fds = append(fds, int(f.Fd()))
			}
			out, answer := enters(t, program, test.words, fds)
			if want := "enter\nresult success\nend, 0 descriptors more\n"; out != want {
				t.Errorf("read %q, want %q", out, want)
			}
			if answer != test.answer {
				t.Errorf("answered %q, want %q", answer, test.answer)
			}
			for i := range test.files {
				want := ""
				if i < test.entered {
					want = "0"
				}
				if got := readFile(filepath.Join(dir, fmt.Sprint(i))); got != want {
					t.Errorf("file %d has %q, want %q", i, got, want)
				}
			}
		})
	}
	t.Run("a pipe", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cmd := exec.Command(program)
		cmd.ExtraFiles = []*os.File{r}
		_, _ = io.WriteString(w, "result success\n")
		_ = w.Close()
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "result success\nend, 0 descriptors more\n" {
			t.Errorf("%q, %v", out, err)
		}
	})
}

// enters runs the program, sends it files and a line after them, and returns what it says
// and answers.
func enters(t *testing.T, program, words string, fds []int) (out, answer string) {
	t.Helper()
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, its := os.NewFile(uintptr(ends[0]), "ours"), os.NewFile(uintptr(ends[1]), "its")
	defer ours.Close()
	cmd := exec.Command(program, strings.Fields(words)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &said, &said, []*os.File{its}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = its.Close()
	if err := unix.Sendmsg(ends[0], []byte("enter\n"), unix.UnixRights(fds...), nil, 0); err != nil {
		t.Fatal(err)
	}
	if len(fds) > 0 {
		buffer := make([]byte, 64)
		n, err := ours.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		answer = string(buffer[:n])
	}
	if _, err := ours.WriteString("result success\n"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Shutdown(ends[0], unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(ours)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return said.String(), answer + string(rest)
}
