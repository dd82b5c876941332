package confparse

import (
	"errors"
	"io/fs"
	"math"
	"testing"
)

func TestParseUint(t *testing.T) {
	for _, test := range []struct {
		text string
		want uint64
	}{
		{"0", 0}, {"65536", 65536}, {"+7", 7}, {" \t7", 7}, {"0x10", 16}, {"0X1f", 31}, {"010", 8},
		{"18446744073709551615", math.MaxUint64},
	} {
		if n, ok := ParseUint(test.text); n != test.want || !ok {
			t.Errorf("%q: got %d, %v; want %d", test.text, n, ok, test.want)
		}
	}
	for _, text := range []string{"", "-1", "+-1", "++1", "7 ", "08", "0x", "1_000", "18446744073709551616", "seven"} {
		if n, ok := ParseUint(text); ok {
			t.Errorf("%q: got %d, want none", text, n)
		}
	}
}

func TestParseErrorNamesTheLine(t *testing.T) {
	err := &ParseError{File: "/etc/f", Line: 3, Text: "a\x1bb", Reason: "no colon"}
	if got, want := err.Error(), `/etc/f:3: no colon in "a\x1bb"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	err.Err = fs.ErrPermission
	if got, want := err.Error(), `/etc/f:3: no colon (permission denied) in "a\x1bb"`; got != want || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %s, want %s", got, want)
	}
}
