package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Programs that say their version, or what may be in their place.
func TestVersionOf(t *testing.T) {
	const endless, short = time.Minute, 300 * time.Millisecond
	for name, test := range map[string]struct {
		script, want string
		failure      string
		patience     time.Duration // 0: endless, and it must not be needed
	}{
		"a version":                   {"echo crun version 1.8.1; echo commit: 7", "1.8.1", "", 0},
		"nothing else":                {"printf 5.0.2", "5.0.2", "", 0},
		"an error":                    {"echo no such thing; exit 1", "", `it said "no such thing"`, 0},
		"nothing":                     {"", "", `it said nothing`, 0},
		"a version, and failure":      {"echo crun version 1.21; exit 1", "1.21", "", 0},
		"control characters":          {`printf 'runc version 1.\033[31m1\n'`, "", `"runc version`, 0},
		"a flood":                     {"exec cat /dev/zero", "", `it said`, 0},
		"what it started hangs":       {"echo podman version 4.3.1; sleep 100 & exit", "4.3.1", "", 0},
		"words on the standard error": {"echo runroot must be set >&2; exit 1", "", "runroot must be set", 0},
		"it hangs":                    {"sleep 100 & sleep 100", "", `signal: killed`, short},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			got := versionWithin(cmp.Or(test.patience, endless), "/bin/sh", "-c", test.script)
			took := time.Since(began)
			if got.version != test.want || !strings.Contains(got.failure, test.failure) || (got.failure == "") != (test.failure == "") {
				t.Errorf("got %+v, want %q, failure %q", got, test.want, test.failure)
			}
			if took < test.patience || took > endless/2 {
				t.Errorf("it took %v", took)
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
