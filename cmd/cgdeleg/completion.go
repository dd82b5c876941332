package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/pamconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// completer is what a shell asks for the words that may come next (__complete).
type completer = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// addCompletions gives options and arguments their completions, but those that have one.
// They look only at what the caller may read, and say nothing where that is nothing.
func addCompletions(root *cobra.Command, s *settings) {
	accounts, sessionUsers := anyOf(s.accounts), anyOf(s.sessionUsers)
	_ = root.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(colors, cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("root", completeDirs)
	for _, c := range []struct {
		commands, flag string // flag "": the arguments
		completer      completer
	}{
		{"check,fix,report,open,limits apply", "user", accounts},
		{"status,cleanup,close", "user", sessionUsers},
		{"check,fix,report,open,close", "pid", anyOf(s.leaders)},
		{"check,fix,report", "container", s.completeContainers},
		{"check,fix,report", "bundle", completeDirs},
		{"check", "pasted", completeDirs},
		{"try", "pam-dir", completeDirs},
		{"try", "service", anyOf(s.services)},
		{"open", "controllers", s.completeControllers},
		{"path", "controller", anyOf(func() []string { return controllersOn(s.machine()) })},
		{"open", "confined", anyOf(func() []string { return confinedValues })},
		{"serve", "oom", anyOf(func() []string { return tells })},
		{"run", "property", s.completeLimitFiles},
		{"usage,top", "", once(sessionUsers)},
		{"limits explain,try", "", once(accounts)},
		{"run", "", completeCommands},
		{"check", "", completeChecks},
		{"fix", "", once(completeChecks)},
		{"check", "ignore", completeChecks},
		{"report", "", once(completeDirs)},
		{"status,cleanup,limits check,limits apply,serve,open,close,path,version", "", noFiles},
	} {
		for command := range strings.SplitSeq(c.commands, ",") {
			register(root, command, c.flag, c.completer)
		}
	}
	for _, command := range root.Commands() { // options whose values nobody can know
		for _, below := range append(command.Commands(), command) {
			for _, flag := range []string{"nested", "watch", "delay", "iterations", "depth", "wait", "uid", "memory", "cpus", "tasks", "io"} {
				register(root, strings.TrimPrefix(below.CommandPath(), root.Name()+" "), flag, noFiles)
			}
		}
	}
}

// describePlainly takes the quotes out of what options are for: a help knows by them what a
// value is called, but a shell shows them.
func describePlainly(cmd *cobra.Command) {
	for _, flags := range []*pflag.FlagSet{cmd.PersistentFlags(), cmd.Flags()} {
		flags.VisitAll(func(f *pflag.Flag) { _, f.Usage = pflag.UnquoteUsage(f) })
	}
	for _, below := range cmd.Commands() {
		describePlainly(below)
	}
}

// register gives an option of a command, or its arguments, a completion where they have
// none.
func register(root *cobra.Command, command, flag string, c completer) {
	cmd := root
	for name := range strings.FieldsSeq(command) {
		if cmd = commandNamed(cmd, name); cmd == nil {
			return
		}
	}
	switch f := cmd.Flags().Lookup(flag); {
	case flag == "" && cmd.ValidArgsFunction == nil:
		cmd.ValidArgsFunction = c
	case f != nil && f.Value.Type() != "bool":
		if _, has := cmd.GetFlagCompletionFunc(flag); !has {
			_ = cmd.RegisterFlagCompletionFunc(flag, c)
		}
	}
}

func noFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func completeDirs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// anyOf completes a word by those that a function returns.
func anyOf(words func() []string) completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words(), cobra.ShellCompDirectiveNoFileComp
	}
}

// once completes the first argument, of a command that has only one.
func once(c completer) completer {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return noFiles(cmd, args, typed)
		}
		return c(cmd, args, typed)
	}
}

// accounts are the names of the machine's accounts.
func (s *settings) accounts() (names []string) {
	for _, u := range account.All(s.machine()) {
		names = append(names, u.Name)
	}
	return names
}

// sessionUsers are those who have sessions.
func (s *settings) sessionUsers() (names []string) {
	for _, session := range s.sessions() {
		if !slices.Contains(names, session.User) {
			names = append(names, session.User)
		}
	}
	return names
}

// leaders are the leaders of sessions, with what is known of these.
func (s *settings) leaders() (words []string) {
	for _, session := range s.sessions() {
		if session.Leader.PID > 0 {
			words = append(words, fmt.Sprintf("%d\t%s of %s, session %s", session.Leader.PID, visible(session.Leader.Name), printable(session.User), sessionName(&session)))
		}
	}
	return words
}

func (s *settings) sessions() []delegate.Session {
	m := s.machine()
	sessions, _, err := delegate.Sessions(m)
	if err != nil {
		return nil
	}
	return nameUsers(account.All(m), sessions)
}

// services are the PAM services that have a file.
func (s *settings) services() (names []string) {
	for _, dir := range pamconf.Dirs {
		files, _ := s.machine().ReadDir(dir)
		names = append(names, files...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// completeContainers completes the names of LXC containers, those of --user with it.
func (s *settings) completeContainers(cmd *cobra.Command, _ []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	m := s.machine()
	subject, err := caller(m)
	if f := cmd.Flags().Lookup("user"); f != nil && f.Changed {
		subject, err = check.User(m, f.Value.String())
	}
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	users := m.As(subject.Credentials())
	config, err := lxcconf.ContainerPath(users, subject.Home, "c")
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	dir := path.Dir(path.Dir(config))
	all, _ := users.ReadDir(dir)
	for _, name := range all {
		if users.Exists(path.Join(dir, name, "config")) {
			names = append(names, name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeControllers completes a controller list by what the machine has.
func (s *settings) completeControllers(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	return completeList(append(controllersOn(s.machine()), "all"), typed)
}

// controllersOn are the controllers, and named hierarchies, that are mounted.
func controllersOn(m machine.Machine) (names []string) {
	set, err := hierarchy.Find(m)
	if err != nil {
		return nil
	}
	defer set.Close()
	for _, h := range set.All {
		some := h.Controllers
		if len(some) == 0 {
			some = []string{h.Name}
		}
		names = append(names, some...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// limitFiles are the files of controllers in the caller's own cgroups that can be written,
// which a cgroup below has as well, with the equals sign that follows.
func (s *settings) limitFiles() (words []string) {
	m := s.machine()
	data, err := m.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	members, err := hierarchy.ParseMemberships(data)
	if err != nil {
		return nil
	}
	set, err := hierarchy.Find(m)
	if err != nil {
		return nil
	}
	defer set.Close()
	for _, h := range set.All {
		below, err := h.Below(hierarchy.PathIn(members, h.Name))
		if err != nil {
			continue
		}
		dir := path.Join(h.Mount.Point, below)
		files, _ := m.ReadDir(dir)
		for _, file := range files {
			controller, _, isDotted := strings.Cut(file, ".")
			stat, err := m.Stat(path.Join(dir, file))
			if isDotted && controller != "cgroup" && err == nil && stat.Mode&0o200 != 0 {
				words = append(words, file+"=")
			}
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// completeLimitFiles completes FILE= and leaves the value to who types.
func (s *settings) completeLimitFiles(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	if strings.Contains(typed, "=") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return s.limitFiles(), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeCommands completes the name of a command that is in PATH, and its arguments as
// files.
func completeCommands(_ *cobra.Command, args []string, typed string) (names []string, _ cobra.ShellCompDirective) {
	if len(args) > 0 || strings.Contains(typed, "/") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), typed) {
				continue
			}
			if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}
