package options

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// The C side enforces the timeout and the Go side plans by it, so both must read
// the same out of the same words, and the bounds stand in both.
func TestTimeoutIsTheSameInC(t *testing.T) {
	source, err := os.ReadFile("../../pam/module.c")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]time.Duration{"DEFAULT_TIMEOUT": defaultTimeout, "MAX_TIMEOUT": maxTimeout} {
		defined := regexp.MustCompile(`(?m)^#define `+name+` (\d+)\b`).FindAllSubmatch(source, -1)
		if len(defined) != 1 {
			t.Errorf("module.c defines %s %d times", name, len(defined))
			continue
		}
		seconds, err := strconv.Atoi(string(defined[0][1]))
		if err != nil || time.Duration(seconds)*time.Second != want {
			t.Errorf("module.c has %s %s, and this package %v", name, defined[0][1], want)
		}
	}
}
