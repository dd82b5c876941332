package main

import (
	"strings"
	"testing"
)

// FuzzRedaction redacts texts with any names in them: no name is left as a word, nobody is
// called as another is, and no line is added or taken away.
func FuzzRedaction(f *testing.F) {
	for _, s := range [][3]string{
		{"alice", "bob", "/home/alice/x of bob. And bob-\n"}, {"W\\x", "x", "(W\\x) x\n"}, {"a b", "a b c", "a b c, a b\n"}, {"user2", "bob", "user2 user1 bob"},
		{"é", "e", "/é/éa\xff/e"}, {"al", "al.", "al. al al.."}, {"a", "", "Name:\ta\n"}, {"user1 x", "user", "user1 x"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, first, second, text string) {
		if strings.ContainsAny(first+second, ":\n\x00") { // passwd(5)
			return
		}
		names := distinctNames([]string{first, second})
		rd := newRedaction(names, nil)
		got := rd.text(text)
		if strings.Count(got, "\n") != strings.Count(text, "\n") {
			t.Errorf("lines of %q became those of %q", text, got)
		}
		stands := map[string]string{}
		for _, name := range names {
			with := rd.names[name]
			if alone := rd.text(name); alone != with || stands[with] != "" {
				t.Errorf("%q alone is %q, want %q of %q", name, alone, with, rd.names)
			}
			stands[with] = name
		}
		for word := range strings.FieldsFuncSeq(got, isSeparator) {
			if rd.names[word] != "" {
				t.Errorf("%q is left of %q: %q", word, text, got)
			}
		}
		if status := rd.status("Name:\t" + text); !strings.HasPrefix(status, "Name:") {
			t.Errorf("status %q", status)
		}
	})
}

// FuzzVersion looks for a version in what a program prints.
func FuzzVersion(f *testing.F) {
	for _, s := range []string{"", "5.0.2\n", "crun version 1.8.1", "bubblewrap 0.8.0 \n", "podman version v5", "1\x1b[0m", "x 1\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		version := lastVersion(line)
		if version == "" {
			return
		}
		if !strings.HasSuffix(strings.TrimSpace(line), version) || version[0] < '0' || version[0] > '9' || visible(version) != version || strings.ContainsAny(version, " \n") {
			t.Errorf("%q of %q", version, line)
		}
	})
}

// FuzzPause takes any delay: what is taken is long enough.
func FuzzPause(f *testing.F) {
	for _, s := range []string{"", "1", "0.5", "100ms", "2min", "1e300", "-1", "NaN", "Inf", "0x1p3", "1_0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if pause, err := parsePause(text); (err == nil) != (pause > 0) || err == nil && pause < shortestPause {
			t.Errorf("%q: %v, %v", text, pause, err)
		}
	})
}
