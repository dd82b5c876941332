package confparse

import (
	"errors"
	"io/fs"
	"math"
	"strconv"
	"strings"
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

// FuzzParseUint holds numbers against Go's with base 0, which has more spellings.
func FuzzParseUint(f *testing.F) {
	for _, s := range []string{"", "0", "08", "0x", "0X1f", " \t+7", "++7", "-0", "1_0", "0b1", "0o17", "18446744073709551616", "0x_1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := ParseUint(s)
		bare := strings.TrimPrefix(strings.TrimLeft(s, " \t\v\f\r"), "+")
		want, err := strconv.ParseUint(bare, 0, 64)
		isGos := strings.Contains(s, "_") || len(bare) > 1 && bare[0] == '0' && strings.ContainsAny(bare[1:2], "bBoO")
		if ok != (err == nil && !isGos) || ok && n != want {
			t.Errorf("%q is %d, %v; want %d, %v", s, n, ok, want, err)
		}
	})
}
