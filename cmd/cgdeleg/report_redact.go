package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/check"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// redaction replaces the names of users. A name stands for itself, between what
// separates words in paths and files.
type redaction struct {
	names map[string]string // and what they are replaced by
	odd   *strings.Replacer // of those of the names that are more than one word; nil: there are none
}

// redaction returns one for what was recorded: of the subject's name, of those in
// the files of subordinate IDs and of those of people in /etc/passwd. Kept are
// the names that are also words by which the checks find something.
func (r *recorder) redaction() (rd *redaction, kept []string) {
	names, fixed := userNames(r.machine, r.subject.Name), r.fixedWords()
	for _, name := range names {
		if fixed[name] {
			kept = append(kept, name)
		}
	}
	return newRedaction(names, fixed), kept
}

// newRedaction returns one for names, but for the fixed ones.
func newRedaction(names []string, fixed map[string]bool) *redaction {
	rd := &redaction{names: map[string]string{}}
	var odd []string
	for i, name := range names {
		if fixed[name] {
			continue
		}
		number := i + 1
		for slices.Contains(names, standIn(number)) { // it would be taken for that user, or replaced in its turn
			number += len(names)
		}
		rd.names[name] = standIn(number)
		if strings.ContainsFunc(name, isSeparator) {
			odd = append(odd, name)
		}
	}
	slices.SortFunc(odd, func(a, b string) int { return len(b) - len(a) }) // one may begin with another
	var pairs []string
	for _, name := range odd {
		pairs = append(pairs, name, rd.names[name])
	}
	if len(pairs) > 0 {
		rd.odd = strings.NewReplacer(pairs...)
	}
	return rd
}

func standIn(number int) string { return fmt.Sprintf("user%d", number) }

// firstPerson is the first user ID that is a person's (login.defs(5), UID_MIN).
const firstPerson = 1000

func userNames(m machine.Machine, subject string) []string {
	names := []string{subject}
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		data, _ := m.ReadFile(file)
		for line := range strings.Lines(string(data)) {
			if name, _, found := strings.Cut(line, ":"); found {
				names = append(names, name)
			}
		}
	}
	for _, a := range account.All(m) {
		if a.Uid >= firstPerson {
			names = append(names, a.Name)
		}
	}
	return distinctNames(names)
}

// distinctNames returns each of the names once. That of root is everybody's, and a number
// is no name.
func distinctNames(names []string) (all []string) {
	for _, name := range names {
		isNumber := strings.Trim(name, "0123456789") == ""
		if name != "root" && !isNumber && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// isSeparator tells what stands between the words of paths and files.
func isSeparator(c rune) bool {
	isWord := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80 || strings.ContainsRune("_.-$", c)
	return !isWord
}

// text replaces names in a text.
func (rd *redaction) text(text string) string {
	if len(rd.names) == 0 {
		return text
	}
	if rd.odd != nil {
		text = rd.odd.Replace(text)
	}
	var out strings.Builder
	for text != "" {
		at := strings.IndexFunc(text, isSeparator)
		if at < 0 {
			at = len(text)
		}
		out.WriteString(rd.word(text[:at]))
		text = text[at:]
		at = strings.IndexFunc(text, func(c rune) bool { return !isSeparator(c) })
		if at < 0 {
			at = len(text)
		}
		out.WriteString(text[:at])
		text = text[at:]
	}
	return out.String()
}

// word replaces a name, also one at the end of a sentence.
func (rd *redaction) word(word string) string {
	for bare, isMore := word, true; isMore; bare, isMore = cutMark(bare) {
		if with, isName := rd.names[bare]; isName {
			return with + word[len(bare):]
		}
	}
	return word
}

// cutMark takes the last dot or dash from the end of a word.
func cutMark(word string) (before string, found bool) {
	before = strings.TrimSuffix(word, ".")
	if before == word {
		before = strings.TrimSuffix(word, "-")
	}
	return before, before != word
}

// redacted returns a file's content without names. The kernel's files of
// numbers have none, nor have versions.
func (r *recorder) redacted(rd *redaction, f reportFile) string {
	isKernels := strings.HasPrefix(f.name, "/sys/") || strings.HasPrefix(f.name, "/proc/sys/") || f.name == "/proc/cgroups" || r.isCgroup(f.name)
	switch {
	case isKernels || f.name == versionsFile || path.Base(f.name) == "cmdline":
		return f.data
	case strings.HasPrefix(f.name, "/proc/") && path.Base(f.name) == "status":
		return rd.status(f.data)
	}
	return rd.text(f.data)
}

// status replaces names in /proc/PID/status, but its keys.
func (rd *redaction) status(data string) string {
	var out strings.Builder
	for line := range strings.Lines(data) {
		key, value, found := strings.Cut(line, ":")
		out.WriteString(key)
		if found {
			out.WriteString(":" + rd.text(value))
		}
	}
	return out.String()
}

func (r *recorder) isCgroup(name string) bool {
	return slices.ContainsFunc(r.mounts, func(point string) bool { return strings.HasPrefix(name, path.Join(point, "/")+"/") })
}

// fixedWords are the words by which the checks find something: parts of paths,
// names of hierarchies, of PAM's services and of what stands in its files.
func (r *recorder) fixedWords() map[string]bool {
	fixed := map[string]bool{}
	add := func(text string) {
		for word := range strings.FieldsFuncSeq(text, isSeparator) {
			fixed[word] = true
		}
	}
	add(fixedText)
	add(strings.Join(check.Programs, " "))
	add(strings.Join(r.words, " "))
	for _, f := range r.files {
		if !r.isOwn(f.name) {
			add(f.name)
		}
		add(fixedIn(f))
	}
	paths := slices.Concat(r.present, r.absent)
	for _, st := range r.stats {
		paths = append(paths, st.name)
	}
	for _, name := range paths {
		if !r.isOwn(name) {
			add(name)
		}
	}
	return fixed
}

// isOwn tells whether a path is one of the subject's own, or one of a cgroup's,
// where what names somebody is replaced throughout the report.
func (r *recorder) isOwn(name string) bool {
	home := path.Clean("/" + r.subject.Home)
	if r.isCgroup(name) || r.notes.IsUsers(name) {
		return true
	}
	return name == home || strings.HasPrefix(name, home+"/") || strings.HasPrefix(home, strings.TrimSuffix(name, "/")+"/")
}

// fixedText has the words that are in no path of every report.
const fixedText = `
	/user /user.slice /init.scope /.config/lxc/lxc.conf /.config/lxc/default.conf /.config/containers/containers.conf /.config/containers/storage.conf /.local/share/lxc/config /.local/share/containers/storage
	/run/user/bus /run/systemd/system /usr/share/pam-configs/cgfs /etc/pam.d /etc/pam.conf /etc/passwd /etc/group /etc/lxc /usr/share/lxc/config /etc/containers/containers.conf /usr/share/containers/containers.conf
	sshd login su su-l sudo sudo-i runuser runuser-l cron crond atd doas dropbear lightdm sddm gdm-password xdm machinectl greetd other
	sshd-session sshd-auth sddm-helper gdm-session-wor xrdp-sesman
	auth account password session include substack required requisite sufficient optional
	success default ignore ok done bad die reset
	all kernel none name systemd openrc elogind unified v2 dir u g b c
	cgroup cgroup2 tmpfs rw ro
	userns ID ID_LIKE VERSION_ID Scope Delegate yes no true false on off delegated not stat versions engine cgroup_manager cgroupfs runtime` + podmanWords + bundleWords

// podmanWords are the keys and the values in the files of podman's that the checks know,
// and bundleWords those in a bundle's configuration.
const (
	podmanWords = `
	containers.conf.d containers.rootless.conf.d containers cgroups enabled disabled no-conmon split cgroup_conf default_ulimits netns pidns private bridge host pids_limit volumes
	runtimes crun runc helper_binaries_dir network_cmd_path network default_rootless_network_cmd pasta slirp4netns append left out
	storage driver overlay overlay2 vfs btrfs graphroot rootless_storage_path options mount_program fuse-overlayfs HOME USER UID
	core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack`
	bundleWords = `
	config.json process user uid gid additionalGids rlimits type hard soft root path readonly mounts destination proc sysfs mqueue linux
	uidMappings gidMappings containerID hostID size namespaces pid ipc cgroupsPath resources limit reservation swap shares quota period
	realtimeRuntime realtimePeriod cpus mems pids blockIO weight leafWeight weightDevice hugepageLimits classID priorities rdma
	throttleReadBpsDevice throttleWriteBpsDevice throttleReadIOPSDevice throttleWriteIOPSDevice`
)

// fixedIn returns what of a file's content is fixed.
func fixedIn(f reportFile) (text string) {
	switch {
	case f.name == versionsFile, f.name == "/proc/cgroups", f.name == "/sys/kernel/cgroup/delegate":
		return f.data
	case f.name == "/etc/os-release":
		return linesWith(f.data, func(line string) string {
			if strings.HasPrefix(line, "ID") {
				return line
			}
			return ""
		})
	case path.Base(f.name) == "mountinfo":
		return linesWith(f.data, func(line string) string {
			_, super, _ := strings.Cut(line, " - ")
			if strings.HasPrefix(super, "cgroup") {
				return super
			}
			return ""
		})
	case strings.HasPrefix(f.name, "/proc/") && path.Base(f.name) == "cgroup":
		return linesWith(f.data, func(line string) string {
			if fields := strings.SplitN(line, ":", 3); len(fields) == 3 {
				return fields[1]
			}
			return ""
		})
	}
	return linesWith(f.data, func(line string) string { // a configuration's keys
		key, _, _ := strings.Cut(strings.TrimSpace(line), "=")
		if strings.HasPrefix(key, "lxc") {
			return key
		}
		return ""
	})
}

func linesWith(data string, pick func(line string) string) string {
	var out strings.Builder
	for line := range strings.Lines(data) {
		out.WriteString(pick(line) + "\n")
	}
	return out.String()
}
