package main

import "testing"

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                  "plain",
		`it's "quoted" \n`:       `it's "quoted" \n`,
		"jürgen ├─":              "jürgen ├─",
		"a\nmend: curl | sudo":   `a\nmend: curl | sudo`,
		"\x1b[2J\x1b]0;x\a":      `\x1b[2J\x1b]0;x\a`,
		"right\u202eleft":        `right\u202eleft`,
		"bad \xff":               `bad \xff`,
		"one \"and\" a \x7f del": `one "and" a \x7f del`,
	} {
		if got := visible(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
