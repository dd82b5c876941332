package plan

import (
	"math"
	"strconv"
	"strings"
	"testing"
)

// login.defs as anybody may have written it: what is found stands in it, and can be a
// user ID.
func FuzzLeastUID(f *testing.F) {
	for _, s := range []string{"", "UID_MIN 1000\n", "# UID_MIN 5\n\tUID_MIN\t\t0x1f4 # x", "UID_MIN 0764\nUID_MIN 5", "UID_MIN -1", "UID_MIN 4294967296", "UID_MIN 0b1", "UID_MIN 1_0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		least, isSaid := parseLeastUID(data)
		if least < 0 || uint64(least) > math.MaxUint32 || !isSaid && least != 0 || isSaid && !strings.Contains(data, "UID_MIN") {
			t.Errorf("%d, %v of %q", least, isSaid, data)
		}
		if again, isSaid := parseLeastUID("UID_MIN " + strconv.Itoa(least) + "\n" + data); again != least || !isSaid {
			t.Errorf("%d became %d", least, again)
		}
	})
}

// A number means what it means to shadow: Go's base 0 has only more spellings.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"", "0", "08", "0x", "0X1f", "+7", "++7", "-0", "1_0", "0b1", "0o17", "4294967296"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := parseNumber(s)
		want, err := strconv.ParseInt(s, 0, 64)
		isGos := strings.Contains(s, "_") || strings.HasPrefix(strings.ToLower(strings.TrimLeft(s, "+")), "0b") || strings.HasPrefix(strings.ToLower(strings.TrimLeft(s, "+")), "0o")
		wantOK := err == nil && want >= 0 && want <= math.MaxUint32 && !isGos && !strings.HasPrefix(s, "-")
		if ok != wantOK || ok && int64(n) != want {
			t.Errorf("%q is %d, %v; want %d, %v", s, n, ok, want, wantOK)
		}
	})
}
