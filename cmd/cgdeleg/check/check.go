// Package check looks for what keeps an unprivileged user's containers from
// having cgroups, and says of each trouble what it is, where it was seen and
// how to fix it.
//
// It looks and changes nothing (but for the check "probe", where it is asked
// for). It knows one machine, the running or a recorded one, and one user on it;
// it must not know how its findings are shown.
package check

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Status is what became of a check.
type Status string

// The statuses, from good to bad; Unknown and Skipped are neither.
const (
	OK      Status = "ok"
	Note    Status = "note"    // nothing is wrong, but a program needs something to be said to it
	Skipped Status = "skipped" // does not apply here, or a check that it needs has failed
	Warning Status = "warning" // containers start, but something may be missed
	Unknown Status = "unknown" // could not be told
	Failed  Status = "failed"  // containers do not start, or have no cgroups
)

// IsTrouble tells whether something is to be fixed, or could not be told.
func (s Status) IsTrouble() bool { return s != OK && s != Note && s != Skipped }

// Evidence is a file and what is in it that matters.
type Evidence struct {
	Path  string `json:"path"`
	Value string `json:"value"`
}

// file is the path without the number of a line.
func (e Evidence) file() string {
	file, _, _ := strings.Cut(e.Path, ":")
	return file
}

// Command is one command of a fix.
type Command struct {
	Args []string `json:"args"`
	// Root tells that root has to run it.
	Root bool `json:"root"`
	// ByHand tells that only a person should run it: it is an example, or
	// touches files that are an administrator's (/etc/pam.d).
	ByHand bool `json:"manual"`
	// Or tells that another way begins here: this command and those after it are in place
	// of what stands before. The first command of a fix never has it.
	Or bool `json:"or"`

	by string // what has root run it: "": sudo
}

// Who becomes root by a command where neither sudo nor doas is there: nobody, and where commands
// of the user's stand beside it, it is marked.
const (
	nobody = "-"
	marked = "#"
)

// Fix is how a finding is fixed.
type Fix struct {
	Text     string    `json:"text"` // one line: what it does, and what is to be done after it
	Commands []Command `json:"commands"`
}

// Result is what a check found.
type Result struct {
	Status   Status     `json:"status"`
	Says     string     `json:"message"` // one sentence: the trouble, or what is well
	Evidence []Evidence `json:"evidence"`
	Fix      *Fix       `json:"fix,omitempty"`
	// Usage are lines for a shell, or for a configuration, that a Note is about.
	Usage []string `json:"usage,omitempty"`

	isCertain bool // see certain
	// isUntold tells that it holds only if what the check depends on is known.
	isUntold bool
	// isPodmans tells that it is podman's trouble and not LXC's.
	isPodmans bool
}

// Check is one thing that is looked at.
type Check struct {
	Code      string   // never given to another check: CGD-010
	Name      string   // for people: "session"
	Title     string   // what has to be true
	Explain   string   // why it matters, for --explain
	DependsOn []string // names of checks; when one has failed, this one says nothing
	// Sees tells that what the check finds well it has seen itself, also where one that
	// it depends on could not be told.
	Sees bool
	// alone tells that the check may find trouble that is certain also where one that it
	// depends on could not be told.
	alone bool
	// program is the client that the check is about: it has to say its version.
	program string
	// needs is what the check cannot do without.
	needs needs
	// ofMounts tells that it goes by the hierarchies that are mounted, though it may have
	// something to say without any.
	ofMounts bool
	// ofEnvironment tells that it is about the shell's environment, which is in no file.
	ofEnvironment bool
	run           func(*Facts) Result
}

// IsOfClient tells whether it is about a program that may not be there, and that nobody may
// have asked about; or about what such programs find in a shell's environment.
func (c *Check) IsOfClient() bool { return c.program != "" || c.ofEnvironment }

// New returns a check that anybody's facts will do for, beside those of All.
func New(name, title string, run func(*Facts) Result) *Check {
	return &Check{Name: name, Title: title, run: run}
}

// needs are kinds of subjects.
type needs int

const (
	anybody        needs = iota
	aUser                // not root
	anOrdinaryUser       // nor the root of a user namespace, who maps IDs by itself
	aLogin               // a user's process: not root, not --user
	aProcess             // one whose cgroups can be told
	aConfig              // a container's configuration
	aBundle              // an OCI bundle's configuration
	hasCgroup            // a machine with any cgroups that were found
)

// hierarchy tells whether there is nothing to be said without one that is usable.
func (n needs) hierarchy() bool { return n == hasCgroup || n == aProcess }

// Finding is a check and its result.
type Finding struct {
	*Check
	Result
	// BlockedBy names the check that has to be fixed first.
	BlockedBy string
}

// All returns the checks in the order in which they are run: each stands after
// those that it depends on.
func All() []*Check {
	var all []*Check
	for _, group := range [][]*Check{machineChecks, pamChecks, systemdChecks, sessionChecks, namespaceChecks, runtimeChecks, lxcChecks, containerChecks, bundleChecks, clientChecks, podmanChecks} {
		all = append(all, group...)
	}
	return all
}

// ByName returns the check of that name or code; nil if there is none.
func ByName(name string) *Check {
	all := All()
	i := slices.IndexFunc(all, func(c *Check) bool { return c.Name == name || strings.EqualFold(c.Code, name) })
	if i < 0 {
		return nil
	}
	return all[i]
}

// Run runs the checks, with those that they depend on but for the ignored ones,
// and returns the findings of the former. Where one is blocked by another, that
// finding stands before it.
func Run(f *Facts, checks, ignored []*Check) []Finding {
	r := run{f: f, ignored: ignored, done: map[string]Finding{}}
	var findings []Finding
	has := map[string]bool{}
	add := func(finding Finding) {
		if !has[finding.Name] {
			has[finding.Name] = true
			findings = append(findings, finding)
		}
	}
	for _, c := range checks {
		finding := r.one(c)
		if finding.BlockedBy != "" {
			add(r.done[finding.BlockedBy])
		}
		add(finding)
	}
	return findings
}

// run is one run of checks.
type run struct {
	f       *Facts
	ignored []*Check
	done    map[string]Finding
}

func (r *run) one(c *Check) Finding {
	if finding, ok := r.done[c.Name]; ok {
		return finding
	}
	finding := Finding{Check: c}
	block := r.blocked(c)
	switch finding.BlockedBy = block.name; {
	case block.status == Failed:
		finding.Result = skip("first fix what the check " + block.name + " found")
	case block.name != "" && !c.Sees && !c.alone:
		finding.Result = cannotBeTold(block.name)
	default:
		finding.Result = r.f.resultOf(c)
		if block.name != "" && (!c.sawItself(finding.Result) || finding.Says == noHierarchy && r.f.isUntold()) {
			finding.Result = cannotBeTold(block.name)
		} else {
			finding.BlockedBy = ""
		}
	}
	if finding.Status == OK && finding.Says == "" {
		finding.Says = c.Title
	}
	if finding.Evidence == nil {
		finding.Evidence = []Evidence{} // [] in JSON, not null
	}
	finding.Fix = r.f.byRoot(r.f.possible(finding.Fix))
	if finding.Fix != nil {
		finding.Fix.Commands = append([]Command{}, finding.Fix.Commands...)
		if len(finding.Fix.Commands) > 0 {
			finding.Fix.Commands[0].Or = false // no command is left of the first way
		}
	}
	r.done[c.Name] = finding
	return finding
}

// sawItself tells whether a result holds also where a check that this one depends on could
// not be told.
func (c *Check) sawItself(r Result) bool {
	return r.isCertain || c.Sees && !r.isUntold && r.Status != Failed && r.Status != Warning
}

// block is a check that keeps another from being run, or believed.
type block struct {
	name   string // "": there is none
	status Status // Failed or Unknown
}

// blocked returns what has failed, or else could not be told, of all that a check depends
// on.
func (r *run) blocked(c *Check) (b block) {
	for _, name := range c.DependsOn {
		other := ByName(name)
		if slices.ContainsFunc(r.ignored, func(i *Check) bool { return i.Name == other.Name }) {
			continue
		}
		before := r.one(other)
		cause := block{before.Name, before.Status}
		if before.BlockedBy != "" {
			first := r.done[before.BlockedBy]
			cause = block{first.Name, first.Status}
			if before.Status == Unknown { // whatever else that has found
				cause.status = Unknown
			}
		}
		switch {
		case cause.status == Failed:
			return cause
		case cause.status == Unknown && b.name == "":
			b = cause
		}
	}
	if b.name == "" && (c.needs.hierarchy() || c.ofMounts && !r.f.Partial) && r.f.isUnseen() {
		return block{"mounts", Unknown}
	}
	return b
}

// resultOf runs a check, if there is what it needs.
func (f *Facts) resultOf(c *Check) Result {
	if f.Partial {
		return f.resultOfPart(c)
	}
	if r, isOne := f.noCgroupsResult(c); isOne {
		return r
	}
	return f.atDeadEnd(c, f.resultAnywhere(c))
}

// resultAnywhere is what the check itself finds, if there is what it needs.
func (f *Facts) resultAnywhere(c *Check) Result {
	if reason := f.lacks(c.needs); reason != "" {
		return skip(reason)
	}
	return c.run(f)
}

// cannotBeTold is the result of a check that depends on one that could not be told: its
// reason is said once, there.
func cannotBeTold(name string) Result {
	return Result{Status: Unknown, Says: "it cannot be told: the check " + name + " is unknown"}
}

// ok is the result of a check that found no trouble. Without words of its own it
// is said with the check's title.
func ok(says string, evidence ...Evidence) Result {
	return Result{Status: OK, Says: says, Evidence: evidence}
}

func note(says string, usage ...string) Result { return Result{Status: Note, Says: says, Usage: usage} }

func skip(says string) Result { return Result{Status: Skipped, Says: says} }

// untoldIf marks a result that holds only if what the check depends on is known.
func (r Result) untoldIf(isUntold bool) Result {
	r.isUntold = isUntold
	return r
}

func unknown(says string, err error) Result {
	return Result{Status: Unknown, Says: says + ": " + err.Error()}
}

// fixed adds a fix to a result.
func (r Result) fixed(text string, commands ...Command) Result {
	r.Fix = &Fix{Text: text, Commands: commands}
	return r
}

// or marks these commands as another way to the same end.
func or(commands ...Command) []Command {
	commands = slices.Clone(commands)
	if len(commands) > 0 {
		commands[0].Or = true
	}
	return commands
}

// without returns the commands but for some. Other ways begin with the first command that is
// left of them.
func without(commands []Command, isOut func(Command) bool) (left []Command) {
	begins := false
	for _, c := range commands {
		begins = begins || c.Or
		if isOut(c) {
			continue
		}
		c.Or = begins
		left, begins = append(left, c), false
	}
	return left
}

func failed(says string, evidence ...Evidence) Result {
	return Result{Status: Failed, Says: says, Evidence: evidence}
}

func warning(says string, evidence ...Evidence) Result {
	return Result{Status: Warning, Says: says, Evidence: evidence}
}

// AskedAgain is the command that asks about the same subject again, with these words.
func (f *Facts) AskedAgain(words ...string) string {
	return Command{Args: slices.Concat([]string{"cgdeleg", "check"}, f.Asked, words)}.String()
}

// Listed joins names as in a sentence.
func Listed(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// Controllers are the names of controllers, said to be such: memory is the machine's as well.
func Controllers(names []string) string {
	if len(names) == 1 {
		return "the controller " + names[0]
	}
	return "the controllers " + Listed(names)
}

// asRoot is a command that root has to run.
func asRoot(args ...string) Command { return Command{Args: args, Root: true} }

// byHand is a command for a person to run, as root.
func byHand(args ...string) Command { return Command{Args: args, Root: true, ByHand: true} }

// String returns the command as it is typed into a shell; one for root with
// sudo before it, or what the machine has in its place.
func (c Command) String() string {
	var words []string
	if c.Root && c.by != nobody && c.by != marked {
		words = append(words, cmp.Or(c.by, "sudo"))
	}
	for _, arg := range c.Args {
		words = append(words, quote(arg))
	}
	if c.Root && c.by == marked {
		words = append(words, "# as root")
	}
	return strings.Join(words, " ")
}

// quote quotes a word for a POSIX shell.
func quote(word string) string {
	plain := word != "" && strings.IndexFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+", r)
	}) < 0
	switch {
	case plain:
		return word
	case strings.ContainsFunc(word, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }):
		// bash, ksh and zsh know these escapes, and so will POSIX's next sh
		quoted := strconv.Quote(word)
		return "$'" + strings.NewReplacer(`\"`, `"`, `'`, `\'`).Replace(quoted[1:len(quoted)-1]) + "'"
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
