package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Programs that say their version, or what may be in their place.
func TestVersionOf(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"a version":              {"echo crun version 1.8.1; echo commit: 7", "1.8.1"},
		"nothing else":           {"printf 5.0.2", "5.0.2"},
		"an error":               {"echo no such thing; exit 1", ""},
		"nothing":                {"", ""},
		"a version, and failure": {"echo crun version 1.21; exit 1", "1.21"},
		"control characters":     {`printf 'runc version 1.\033[31m1\n'`, ""},
		"a flood":                {"exec cat /dev/zero", ""},
		"what it started hangs":  {"echo podman version 4.3.1; sleep 100 & exit", "4.3.1"},
		"it hangs":               {"sleep 100 & sleep 100", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string)
			go func() { got <- versionOfFile("/bin/sh", "-c", test.script) }()
			select {
			case version := <-got:
				if version != test.want {
					t.Errorf("got %q, want %q", version, test.want)
				}
			case <-time.After(time.Minute):
				t.Error("still waiting after a minute")
			}
		})
	}
}

// Root's programs are not looked for in PATH.
func TestLookPath(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.WriteFile(filepath.Join(dir, "true"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if path, err := lookPath("true"); err != nil || filepath.Dir(path) == dir {
		t.Errorf("true is %q: %v", path, err)
	}
}
