package main

import (
	"fmt"
	"strings"
)

// didYouMean is " (did you mean NAME?)" where somebody most likely meant one of the names by
// a word, or "".
func didYouMean(word string, names []string) string {
	if name := meant(word, names); name != "" {
		return fmt.Sprintf(" (did you mean %s?)", name)
	}
	return ""
}

// meant returns the name that a word is most like: the nearest one that a slip or two away,
// or else the only one that begins with it; "" if there is none.
func meant(word string, names []string) string {
	word = strings.ToLower(word)
	if word == "" {
		return ""
	}
	nearest, least := "", 1+max(1, min(len(word), 9)/3)
	begins, count := "", 0
	for _, name := range names {
		lower := strings.ToLower(name)
		if d := slips(word, lower); d < least && d < len(lower) {
			nearest, least = name, d
		}
		if strings.HasPrefix(lower, word) {
			begins, count = name, count+1
		}
	}
	if nearest == "" && count == 1 {
		return begins
	}
	return nearest
}

// slips counts the letters that were left out, added, typed wrongly or swapped with the
// next one between two words (the optimal string alignment distance).
func slips(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			wrong := 1
			if a[i-1] == b[j-1] {
				wrong = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+wrong)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// oneOf is "a, b or c".
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// noneOf is the error for an option's value that is none of those that it takes.
func noneOf(option, value string, known []string) error {
	return &usageError{fmt.Errorf("%s %q: want %s%s", option, value, oneOf(known), didYouMean(value, known))}
}
