// Package confparse is what the readers of other programs' configuration files
// (PAM's, LXC's, shadow's) have in common: an error that names the line, and
// numbers as C programs read them. It knows no format.
package confparse

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseError says which line of a file is not understood, and why.
type ParseError struct {
	File   string
	Line   int // counted from 1
	Text   string
	Reason string
	Err    error // why an included file could not be read, if that is it
}

func (e *ParseError) Error() string {
	reason := e.Reason
	if e.Err != nil {
		reason = fmt.Sprintf("%s (%v)", reason, e.Err)
	}
	return fmt.Sprintf("%s:%d: %s in %.200q", e.File, e.Line, reason, e.Text)
}

// Unwrap returns why an included file could not be read.
func (e *ParseError) Unwrap() error { return e.Err }

// ParseUint takes what strtoul(3) does with base 0: decimal, 0x hexadecimal and
// 0 octal numbers after white space and a plus sign. A minus sign, which
// strtoul turns into a huge number, it does not take.
func ParseUint(s string) (n uint64, ok bool) {
	s = strings.TrimPrefix(strings.TrimLeft(s, " \t\v\f\r"), "+")
	base := 10
	if hex, found := strings.CutPrefix(strings.ToLower(s), "0x"); found {
		s, base = hex, 16
	} else if strings.HasPrefix(s, "0") {
		base = 8
	}
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil
}
