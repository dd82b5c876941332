package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cgdeleg/pam_cgdeleg/delegate/usage"
)

// column is one of a list whose rows are made of an R. An empty cell becomes a dash.
type column[R any] struct {
	name  string
	about string // for --list-columns
	cell  func(row R, f form) string
	// isText tells that a cell may be cut where the terminal is too narrow; a number would
	// be another one.
	isText bool
	// isUsage tells that a cell needs what the row's session uses.
	isUsage bool
}

// form is how numbers are written: for people, or plain, for programs.
type form struct{ isRaw bool }

// bytes writes a number of bytes; "" for a negative one, which is not known.
func (f form) bytes(n int64) string {
	switch {
	case !f.isRaw:
		return humanBytes(n)
	case n < 0:
		return ""
	}
	return decimal(n)
}

// cpu writes CPU time in nanoseconds.
func (f form) cpu(nanoseconds int64) string {
	if f.isRaw {
		return decimal(nanoseconds)
	}
	return humanCPU(nanoseconds)
}

// age writes an age, raw in seconds; "" for a negative one, which is not known.
func (f form) age(age time.Duration) string {
	switch {
	case !f.isRaw:
		return humanAge(age)
	case age < 0:
		return ""
	}
	return decimal(int64(age / time.Second))
}

// percent writes how much of a limit is used; "" where that is not known.
func (f form) percent(l usage.Limit) string {
	percent, ok := l.Percent()
	return onlyIf(ok, fmt.Sprintf("%d%s", percent, onlyIf(!f.isRaw, "%")))
}

// listFlags are how a list is to be shown.
type listFlags struct {
	columns     string
	noHeading   bool
	raw         bool
	listColumns bool
}

func (f *listFlags) add(cmd *cobra.Command, names []string) {
	flags := cmd.Flags()
	flags.StringVarP(&f.columns, "output", "o", "", "a list with these `COLUMNS`, separated by commas; +COLUMNS are shown beside the usual ones")
	flags.BoolVarP(&f.noHeading, "no-heading", "n", false, "a list without its heading")
	flags.BoolVarP(&f.raw, "raw", "r", false, "a list for programs: one blank between columns, plain numbers, blanks in a column as \\x20")
	flags.BoolVar(&f.listColumns, "list-columns", false, "list the columns of -o, and what they show")
	_ = cmd.RegisterFlagCompletionFunc("output", func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		plus := onlyIf(strings.HasPrefix(typed, "+"), "+")
		words, directive := completeList(names, strings.TrimPrefix(typed, "+"))
		for i := range words {
			words[i] = plus + words[i]
		}
		return words, directive
	})
}

// isAsked tells whether one of the flags asks for a list.
func (f *listFlags) isAsked() bool { return f.columns != "" || f.noHeading || f.raw }

// completeList completes the last word of a list with commas, by those that it has not yet.
func completeList(names []string, typed string) (words []string, _ cobra.ShellCompDirective) {
	at := strings.LastIndex(typed, ",") + 1
	has := strings.Split(strings.ToLower(typed[:at]), ",")
	for _, name := range names {
		if strings.HasPrefix(name, strings.ToLower(typed[at:])) && !slices.Contains(has, name) {
			words = append(words, typed[:at]+name)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// namesOfColumns are those that -o knows, in small letters.
func namesOfColumns[R any](all []column[R]) (names []string) {
	for _, c := range all {
		names = append(names, strings.ToLower(c.name))
	}
	return names
}

// chooseColumns returns those that -o asks for: the usual ones without it, and with a plus
// those and others beside them.
func chooseColumns[R any](all []column[R], usual, list string) (chosen []column[R], err error) {
	names, isMore := strings.CutPrefix(list, "+")
	switch {
	case list == "":
		names = usual
	case isMore:
		names = usual + "," + names
	}
	for i, name := range strings.Split(names, ",") {
		at := slices.IndexFunc(all, func(c column[R]) bool { return strings.EqualFold(c.name, name) })
		if at < 0 {
			return nil, &usageError{unknownColumn(name, namesOfColumns(all))}
		}
		isThere := func(c column[R]) bool { return c.name == all[at].name }
		if isMore && i > strings.Count(usual, ",") && slices.ContainsFunc(chosen, isThere) {
			continue // it is one of the usual ones
		}
		chosen = append(chosen, all[at])
	}
	return chosen, nil
}

func unknownColumn(name string, names []string) error {
	if name == "" {
		return errors.New("-o names a column that is empty; --list-columns has them all")
	}
	return fmt.Errorf("-o %q: there is no such column%s; --list-columns has them all", name, didYouMean(name, names))
}

// printColumns is --list-columns.
func printColumns[R any](out screen, all []column[R]) error {
	t := newTable(out, "COLUMN", "WHAT IT SHOWS")
	for _, c := range all {
		t.row(strings.ToLower(c.name), c.about)
	}
	return t.flush()
}

// printRows prints a list.
func printRows[R any](out screen, columns []column[R], f listFlags, rows []R) error {
	t := newTable(out)
	t.isRaw, t.isList = f.raw, true
	var heading []string
	for _, c := range columns {
		heading = append(heading, c.name)
		t.isText = append(t.isText, c.isText)
	}
	if !f.noHeading {
		t.row(heading...)
	}
	for _, row := range rows {
		var cells []string
		for _, c := range columns {
			cells = append(cells, dash(c.cell(row, form{f.raw})))
		}
		t.row(cells...)
	}
	return t.flush()
}
