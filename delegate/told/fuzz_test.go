package told

import (
	"fmt"
	"strings"
	"testing"
)

// FuzzJoin adds lines to any note: it stays as small as the module reads it, and a line that
// is left out is counted.
func FuzzJoin(f *testing.F) {
	f.Add("", "a line")
	f.Add("1\n2\n3\nNot shown here: 4 more.\n", "5")
	f.Add("Not shown here: -5 more.\nNot shown here: 99999999999999999999 more.\n", strings.Repeat("x", 2*maxLine))
	f.Fuzz(func(t *testing.T, note, added string) {
		n := Notes{IsMinor: func(line string) bool { return strings.Contains(line, "m") }}
		text := n.join(note, added)
		lines := strings.Count(text, "\n")
		if lines > maxLines+1 || len(text) >= MaxSize || !strings.HasSuffix(text, "\n") {
			t.Errorf("%d lines, %d bytes of %q and %q", lines, len(text), note, added)
		}
		var left int
		last := text[strings.LastIndex(text[:len(text)-1], "\n")+1:]
		if _, err := fmt.Sscanf(last, earlier, &left); err == nil && left < 1 {
			t.Errorf("%d are left out: %q", left, text)
		}
		if again := n.join(text, ""); again != text {
			t.Errorf("%q became %q", text, again)
		}
	})
}
