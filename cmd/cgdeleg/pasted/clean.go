package pasted

import (
	"bytes"
	"encoding/binary"
	"html"
	"regexp"
	"strings"
	"unicode/utf16"
)

var (
	terminals = regexp.MustCompile(`\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z]|[=>78cDEHM])`)
	entities  = regexp.MustCompile(`&(?:lt|gt|amp|quot|apos|nbsp|#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6});`)
	tags      = regexp.MustCompile(`(?i)</?(?:pre|code|p|div|span|blockquote|tt|samp)(?: [^<>]*)?>`)
	breaks    = regexp.MustCompile(`(?i)<br ?/?>\n?`)
	invisible = strings.NewReplacer("\ufeff", "", "\u200b", "", "\u00a0", " ")
)

// clean takes off what editors, terminals, web pages and mails add to a text. What a file
// itself may have, such as a blank at the end of a line, is left.
func clean(data []byte) string {
	text := decoded(data)
	text = terminals.ReplaceAllString(text, "")
	if entities.MatchString(text) {
		text = tags.ReplaceAllString(breaks.ReplaceAllString(text, "\n"), "")
		text = html.UnescapeString(text)
	}
	text = invisible.Replace(text)
	lines := strings.Split(text, "\n")
	// A carriage return that only some lines have is the file's own: newuidmap does not
	// take such a line.
	if share(lines, func(line string) bool { return strings.HasSuffix(line, "\r") }) > 0.5 {
		for i, line := range lines {
			lines[i] = strings.TrimSuffix(line, "\r")
		}
	}
	if share(lines, func(line string) bool { return strings.HasPrefix(line, ">") }) > 0.8 {
		for i, line := range lines { // a mail's quotation
			lines[i] = strings.TrimPrefix(strings.TrimPrefix(line, ">"), " ")
		}
	}
	return strings.Join(lines, "\n")
}

// decoded returns the text in UTF-8, or as it is: names of files have no encoding.
func decoded(data []byte) string {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return string(data)
	}
	var units []uint16
	for data = data[2:]; len(data) > 1; data = data[2:] {
		units = append(units, order.Uint16(data))
	}
	return string(utf16.Decode(units))
}

// share returns how many of the lines that are not empty are such.
func share(lines []string, is func(string) bool) float64 {
	all, such := 0, 0
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		all++
		if is(line) {
			such++
		}
	}
	if all == 0 {
		return 0
	}
	return float64(such) / float64(all)
}
