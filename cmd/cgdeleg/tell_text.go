package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/oom"
)

// sentence says what happened, on one line, which is printable.
func sentence(e *oom.Event, isMore bool) string {
	text := killedText(e, isMore)
	if e.Kind == oom.Fork {
		text = forksText(e.Count, isMore)
	}
	text += whereText(e)
	if e.Kind == oom.Kill && len(e.Victims) == 0 && !isMore {
		text += ", it is not known which"
	}
	return visible(text + ": " + reachedText(e))
}

func killedText(e *oom.Event, isMore bool) string {
	var who []string
	for _, v := range e.Victims {
		size := ""
		if v.RSS >= 0 {
			size = ", " + humanBytes(v.RSS)
		}
		who = append(who, fmt.Sprintf("%s (process %d%s)", printable(v.Name), v.PID, size))
	}
	rest := e.Count - int64(len(e.Victims))
	switch {
	case isMore:
		return fmt.Sprintf("and %d more %s killed", e.Count, oneOrMany(e.Count, "process was", "processes were"))
	case rest > 0 && len(who) > 0:
		who = append(who, fmt.Sprintf("%d more", rest))
	case rest > 0:
		return fmt.Sprintf("%d %s killed", e.Count, oneOrMany(e.Count, "process was", "processes were"))
	}
	return check.Listed(who) + oneOrMany(e.Count, " was", " were") + " killed"
}

func forksText(count int64, isMore bool) string {
	more := "a "
	switch {
	case isMore:
		more = "and " + strconv.FormatInt(count, 10) + " more "
	case count > 1:
		more = strconv.FormatInt(count, 10) + " "
	}
	return more + oneOrMany(count, "new process was refused", "new processes were refused")
}

// isOfForks tells whether a line is about refused forks: a killed process matters more.
func isOfForks(line string) bool {
	return strings.Contains(line, "new process was refused") || strings.Contains(line, "new processes were refused")
}

func oneOrMany(count int64, one, many string) string {
	if count == 1 {
		return one
	}
	return many
}

func whereText(e *oom.Event) string {
	if e.Session >= 0 {
		return fmt.Sprintf(" in session %d", e.Session)
	}
	return ""
}

// reachedText says which limit was reached, where that is, and how much was used.
func reachedText(e *oom.Event) string {
	l := e.Limit
	amount, was, is := humanBytes, " was", " is"
	if e.Kind == oom.Fork {
		amount, was, is = func(n int64) string { return strconv.FormatInt(n, 10) + " processes and threads" }, " were", " are"
	}
	switch {
	case l.Machine:
		return "the machine was out of memory"
	case l.File == "":
		return "it is not known which limit was reached"
	case l.Value < 0:
		return fmt.Sprintf("%s of %s was reached", l.File, printable(l.Path))
	}
	value := humanBytes(l.Value)
	if e.Kind == oom.Fork {
		value = strconv.FormatInt(l.Value, 10)
	}
	text := fmt.Sprintf("%s of %s is %s", l.File, printable(l.Path), value)
	switch {
	case l.Peak >= 0:
		text += ", and at most " + amount(l.Peak) + was + " in use"
	case l.Usage >= 0:
		text += ", and " + amount(l.Usage) + is + " in use"
	}
	return text
}

// ascii escapes what is not ASCII: a terminal may take bytes of UTF-8 for controls of
// ISO 6429, and nobody knows which character set it has.
func ascii(text string) string {
	quoted := strconv.QuoteToASCII(text)
	unquoted := strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	return strings.ReplaceAll(unquoted, `\\`, `\`) // what is escaped already
}

// terminalWidth is of wall(1): some terminals wrap after 79 columns.
const terminalWidth = 79

// onTerminal makes lines of a text, which begin at the left, as wall(1) does: a program
// may have put the terminal into raw mode.
func onTerminal(text string) string {
	var out strings.Builder
	column := 0
	for word := range strings.SplitSeq(ascii(text), " ") {
		for len(word) > terminalWidth {
			out.WriteString("\r\n" + word[:terminalWidth])
			word, column = word[terminalWidth:], terminalWidth
		}
		switch {
		case column == 0 || column+1+len(word) > terminalWidth:
			out.WriteString("\r\n" + word)
			column = len(word)
		default:
			out.WriteString(" " + word)
			column += 1 + len(word)
		}
	}
	return out.String() + "\r\n"
}

// jsonEvent is what happened, as docs/json.md describes it. What is not known is null.
type jsonEvent struct {
	Schema  int          `json:"schema"`
	Event   string       `json:"event"`
	User    *string      `json:"user"`
	UID     *int         `json:"uid"`
	Session *int         `json:"session"`
	Cgroup  string       `json:"cgroup"`
	Count   int64        `json:"count"`
	More    bool         `json:"more"`
	Limit   *jsonReached `json:"limit"`
	Machine bool         `json:"machine"`
	Victims []jsonVictim `json:"victims"`
}

type jsonReached struct {
	File   string  `json:"file"`
	Cgroup string  `json:"cgroup"`
	Path   *string `json:"path"`
	Value  *int64  `json:"value"`
	Usage  *int64  `json:"usage"`
	Peak   *int64  `json:"peak"`
}

type jsonVictim struct {
	PID         int    `json:"pid"`
	Name        string `json:"name"`
	MemoryBytes *int64 `json:"memory_bytes"`
}

func eventJSON(e *oom.Event, isMore bool) jsonEvent {
	event := jsonEvent{
		Schema: schemaVersion, Event: "oom_kill", User: known(e.User, e.User != ""), UID: known(e.UID, e.UID >= 0),
		Session: known(e.Session, e.Session >= 0), Cgroup: e.Cgroup, Count: e.Count, More: isMore,
		Machine: e.Limit.Machine, Victims: []jsonVictim{},
	}
	if e.Kind == oom.Fork {
		event.Event = "fork_refused"
	}
	if l := e.Limit; l.File != "" {
		event.Limit = &jsonReached{
			File: l.File, Cgroup: l.Path, Path: known(l.Dir+"/"+l.File, l.Dir != ""), Value: known(l.Value, l.Value >= 0),
			Usage: known(l.Usage, l.Usage >= 0), Peak: known(l.Peak, l.Peak >= 0),
		}
	}
	for _, v := range e.Victims {
		event.Victims = append(event.Victims, jsonVictim{v.PID, v.Name, known(v.RSS, v.RSS >= 0)})
	}
	return event
}
