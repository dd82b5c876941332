package main

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/trial"
)

// judgement is what a login that was tried comes to.
type judgement struct {
	code       int    // cgdeleg's exit code
	conclusion string // a sentence for each thing that is to be said
}

// judge says whether a login of the user, whose ID that is, can make cgroups.
func judge(o tryOptions, uid int, outcome *trial.Outcome) judgement {
	j := judgement{}
	say := func(code int, format string, args ...any) {
		j.code = max(j.code, code)
		if j.conclusion != "" {
			j.conclusion += "\n"
		}
		j.conclusion += fmt.Sprintf(format, args...)
	}
	login := fmt.Sprintf("login of %s by %s", o.user, o.service)
	if o.onlyOurs {
		login = fmt.Sprintf("login of %s by pam_cgdeleg alone, as %s has it,", o.user, o.service)
	}
	switch {
	case outcome.Open == nil:
		say(exitUnknown, "It cannot be told what a %s gets: libpam did not return.", login)
	case outcome.Open.Result != 0 && notLoaded(outcome) != "":
		say(exitFailed, "PAM opened no session for %s by %s: it cannot load the module: %s.", o.user, o.service, notLoaded(outcome))
	case outcome.Open.Result != 0:
		say(exitFailed, "PAM opened no session for %s by %s: %s.", o.user, o.service, outcome.Open.Text)
	case !outcome.HasTried:
		say(exitUnknown, "It cannot be told what %s can do in the session: the trial in it did not end well.", o.user)
	default:
		judgePlaces(say, o.user, "A "+login, uid, outcome.Places)
	}
	if j.code == exitFailed && o.why != nil {
		if why := o.why(); why != "" {
			say(exitFailed, "%s", why)
		}
	}
	if outcome.Open != nil && outcome.Open.Result == 0 && (outcome.Close == nil || outcome.Close.Result != 0) {
		say(exitFailed, "PAM did not close the session.")
	}
	if len(outcome.Left) > 0 {
		say(exitFailed, "These cgroups are left: %s; cgdeleg cleanup removes them when no process is in them.", strings.Join(outcome.Left, " "))
	}
	return j
}

// judgePlaces says what a login can do where it is.
func judgePlaces(say func(code int, format string, args ...any), name, login string, uid int, all []trial.Place) {
	var controllers, places, broken []string
	for _, p := range all {
		switch {
		case p.Entered && p.IsNew:
			controllers = append(controllers, p.Limited...)
			if place := placeName(p); !slices.Contains(places, place) {
				places = append(places, place)
			}
		case p.IsNew && (p.Session != "" || p.Owner == uid && uid != 0):
			broken = append(broken, p.Hierarchy)
		}
	}
	slices.Sort(controllers)
	controllers = slices.Compact(controllers)
	switch {
	case len(places) == 0:
		say(exitFailed, "%s gets no cgroup in which %s can make others.", login, name)
	case len(controllers) == 0:
		say(0, "%s can make cgroups, without limits, in %s.", login, strings.Join(places, " and "))
	default:
		say(0, "%s can make cgroups, and limit them by %s, in %s.", login, strings.Join(controllers, " "), strings.Join(places, " and "))
	}
	if len(broken) > 0 {
		say(exitFailed, "In %s it has a cgroup of its own that it cannot use.", strings.Join(broken, ", "))
	}
}

// notLoaded returns why libpam could not load the module, as it has logged; "" if it could.
func notLoaded(outcome *trial.Outcome) string {
	for _, l := range outcome.Log {
		_, reason, found := strings.Cut(l.Text, "unable to dlopen(")
		if name, reason, _ := strings.Cut(reason, "): "); found && strings.HasSuffix(name, "pam_cgdeleg.so") {
			return reason
		}
	}
	return ""
}

// placeName is where sessions are, as people call it.
func placeName(p trial.Place) string {
	if p.Session != "" {
		return p.Session
	}
	return p.Cgroup
}

// tryText is the screen of a login that was tried.
func tryText(s screen, outcome *trial.Outcome, result judgement) markup {
	var out strings.Builder
	_ = printf(&out, "open    %s\n", answerText(outcome.Open))
	if len(outcome.Places) > 0 {
		out.WriteByte('\n')
		t := newTable(screen{Writer: &out, width: s.width}, "HIERARCHY", "CGROUP", "OWNER", "SUBGROUP", "LIMITS")
		for _, p := range outcome.Places {
			t.row(printable(p.Hierarchy), printable(p.Cgroup), ownerName(p.Owner), subgroupText(p), dash(limitsText(p)))
		}
		_ = t.flush()
		out.WriteByte('\n')
	}
	_ = printf(&out, "close   %s\n", answerText(outcome.Close))
	for _, l := range outcome.Log {
		_ = printf(&out, "log     %s\n", s.wrap(l.Text, 8))
	}
	for _, e := range outcome.Errors {
		_ = printf(&out, "error   %s\n", s.wrap(e, 8))
	}
	for _, p := range outcome.Places {
		if p.Error != "" && p.IsNew {
			_ = printf(&out, "error   %s\n", s.wrap(p.Hierarchy+": "+p.Error, 8))
		}
	}
	out.WriteByte('\n')
	for line := range strings.Lines(result.conclusion) {
		_ = printf(&out, "%s\n", s.wrap(strings.TrimSuffix(line, "\n"), 0))
	}
	return markup(out.String())
}

func answerText(a *trial.Answer) string {
	switch {
	case a == nil:
		return "-"
	case a.Result == 0:
		return a.Text
	}
	return fmt.Sprintf("%s (%d)", a.Text, a.Result)
}

func subgroupText(p trial.Place) string {
	switch {
	case p.Entered && p.IsNew:
		return "made, entered"
	case p.Entered:
		return "entered, not made"
	}
	return "no"
}

func limitsText(p trial.Place) string {
	words := slices.Clone(p.Limited)
	for _, c := range p.Unlimited {
		words = append(words, "not "+c)
	}
	return strings.Join(words, " ")
}

func ownerName(uid int) string {
	if uid < 0 {
		return "?"
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return printable(u.Username)
	}
	return strconv.Itoa(uid)
}

type (
	jsonTry struct {
		Schema     int           `json:"schema"`
		User       string        `json:"user"`
		Service    string        `json:"service"`
		OK         bool          `json:"ok"`
		Conclusion string        `json:"conclusion"`
		Open       *trial.Answer `json:"open"`
		Close      *trial.Answer `json:"close"`
		Places     []trial.Place `json:"places"`
		Log        []trial.Line  `json:"log"`
		Errors     []string      `json:"errors"`
		Left       []string      `json:"left"`
	}
)

func tryJSON(o tryOptions, outcome *trial.Outcome, result judgement) jsonTry {
	return jsonTry{
		Schema: schemaVersion, User: o.user, Service: o.service, OK: result.code == 0, Conclusion: result.conclusion,
		Open: outcome.Open, Close: outcome.Close, Places: orEmpty(outcome.Places), Log: orEmpty(outcome.Log),
		Errors: orEmpty(outcome.Errors), Left: orEmpty(outcome.Left),
	}
}
