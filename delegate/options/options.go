// Package options understands the words of the module's PAM line: for the
// module, which does what they say, and for cgdeleg check, which has to expect
// the same of it. It knows nothing of PAM's files.
package options

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/plan"
)

// Options are the words after the module's name on its PAM line (pam_cgdeleg(8)).
type Options struct {
	Controllers hierarchy.ControllerList // -c
	Debug       bool
	plan.Policy // min_uid=, confined=
	Timeout     time.Duration
	CloseWaits  bool // close=wait, which module.c sees to
	// Limits is limits: the line does nothing but tell pam_systemd, which comes after it,
	// the limits of the session.
	Limits bool
	// RequireLimits is limits=required: without its limits a session is not opened.
	RequireLimits bool
	OOMQuiet      bool // oom=quiet, which told.c sees to
}

const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = 60 * time.Second // both also in module.c, which enforces them
)

// Parse understands what it can: complaints are for the log, one for
// each word that is ignored. Err, a *hierarchy.ListError, is a controller list that cannot be
// meant; there is no guessing what its writer wanted.
func Parse(words []string) (o Options, complaints []string, err error) {
	o = Options{Controllers: hierarchy.Everything, Timeout: defaultTimeout}
	o.MinUID = plan.DefaultMinUID
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	lists := 0
	for i := 0; i < len(words); i++ {
		word := words[i]
		list, isList := strings.CutPrefix(word, "-c")
		minUID, isMinUID := strings.CutPrefix(word, "min_uid=")
		timeout, isTimeout := strings.CutPrefix(word, "timeout=")
		confined, isConfined := strings.CutPrefix(word, "confined=")
		switch {
		case isList:
			if list == "" && i+1 < len(words) {
				i++
				list = words[i]
			}
			if lists++; lists > 1 {
				complain("-c given more than once: the last one counts")
			}
			o.Controllers, err = hierarchy.ParseList(list)
		case word == "debug":
			o.Debug = true
		case isMinUID:
			if n, err := strconv.ParseUint(minUID, 10, 32); err == nil {
				o.MinUID = int(n)
			} else {
				complain("option %.100q: want min_uid=N with a user ID; option ignored", word)
			}
		case isTimeout:
			n, err := strconv.ParseUint(timeout, 10, 31)
			if d := time.Duration(n) * time.Second; err == nil && d > 0 && d <= maxTimeout {
				o.Timeout = d
			} else {
				complain("option %.100q: want timeout=N with 1 to %d seconds; option ignored", word, maxTimeout/time.Second)
			}
		case isConfined:
			switch confined {
			case "leave", "move":
				o.MoveConfined = confined == "move"
			default:
				complain("option %.100q: want confined=leave or confined=move; option ignored", word)
			}
		case word == "close=wait":
			o.CloseWaits = true
		case word == "oom=quiet":
			o.OOMQuiet = true
		case strings.HasPrefix(word, "oom="):
			complain("option %.100q: want oom=quiet; option ignored", word)
		case word == "limits":
			o.Limits = true
		case word == "limits=required":
			o.RequireLimits = true
		case strings.HasPrefix(word, "limits="):
			complain("option %.100q: want limits=required; option ignored", word)
		case strings.HasPrefix(word, "close="):
			complain("option %.100q: want close=wait; option ignored", word)
		default:
			complain("unknown option %.100q ignored; known are -c LIST, close=wait, confined=move, debug, limits, limits=required, min_uid=N, oom=quiet, timeout=N", word)
		}
	}
	return o, complaints, err
}
