package check

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/ociconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/podmanconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// podmanConf returns what podman's containers.conf files say together. What cannot be read
// says nothing here; the check podman-config says why.
func (f *Facts) podmanConf() *podmanconf.Config {
	conf, _ := f.readPodmanConf()
	return conf
}

// readPodmanConf returns beside it the first error because of which podman starts nothing,
// or because of which nobody knows what it reads.
func (f *Facts) readPodmanConf() (conf *podmanconf.Config, failure error) {
	conf = &podmanconf.Config{}
	for _, file := range f.containersConf() {
		data, err := f.readConfiguration(file)
		if err == nil {
			err = conf.Read(file, string(data))
		} else if f.isPassedOver(file, err) {
			err = nil
		}
		if failure == nil {
			failure = err
		}
	}
	return conf, failure
}

// readConfiguration reads a file as the user. What of it was recorded somebody else may have read:
// its owner and mode say whether podman could.
func (f *Facts) readConfiguration(file string) ([]byte, error) {
	data, err := f.usersFiles().ReadFile(file)
	if !f.Machine.IsRecorded() || err != nil && !errors.Is(err, machine.ErrNotRecorded) {
		return data, err
	}
	if st, statErr := f.Machine.Stat(file); statErr == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && !f.may(st, 0o4) {
		return nil, &fs.PathError{Op: "open", Path: file, Err: fs.ErrPermission}
	}
	return data, err
}

// isPassedOver tells whether podman goes on without a file that gives this error: one
// that is not there, if no variable names it. What nobody recorded was not there, and what
// is no file (/dev/null, to hide the system's) says nothing.
func (f *Facts) isPassedOver(file string, err error) bool {
	if errors.Is(err, fs.ErrNotExist) {
		return !f.isNamed(file)
	}
	return slices.ContainsFunc([]error{machine.ErrNotRecorded, machine.ErrNotRegular, machine.ErrKernelFile, unix.EISDIR}, func(reason error) bool {
		return errors.Is(err, reason)
	})
}

// isNamed tells whether a variable of the environment names the file.
func (f *Facts) isNamed(file string) bool { return f.namedBy(file) != "" }

// namedBy returns the variable of the environment that names the file; "" if none does.
func (f *Facts) namedBy(file string) string {
	for _, name := range []string{"CONTAINERS_CONF", "CONTAINERS_CONF_OVERRIDE", "CONTAINERS_STORAGE_CONF"} {
		if f.variable(name) == file {
			return name
		}
	}
	return ""
}

// variable returns a variable that names a file or a directory, as far as that can be
// told: podman takes one without a leading slash from where it is started.
func (f *Facts) variable(name string) string {
	if value := f.System.Variable(f.Subject, name); path.IsAbs(value) {
		return path.Clean(value)
	}
	return ""
}

const (
	containersDir  = "/containers/containers.conf" // below each of the places
	storageFile    = "/containers/storage.conf"
	vendorConfig   = "/usr/share"
	systemConfig   = "/etc"
	overrideSince  = 4_06 // podman that knows CONTAINERS_CONF_OVERRIDE, as 100 * major + minor
	appendSince    = 4_08
	netavarkSince  = 4_00
	cgroupSince    = 4_06 // cgroup_conf
	rootlessSince  = 4_07 // default_rootless_network_cmd
	pastaSince     = 5_00 // is the default
	oneFileSince   = 6_00 // takes one containers.conf, the nearest
	slirp4netnsEnd = 6_00 // does not know slirp4netns any more
)

// podmanVersion returns 100 times the major number of podman's version, and the minor; 0
// if it is not known.
func (f *Facts) podmanVersion() int {
	numbers := versionNumbers(f.System.Version("podman"))
	if len(numbers) < 2 {
		return 0
	}
	return 100*numbers[0] + numbers[1]
}

// userConfig returns where the subject's own configuration files are; "" if that is not
// known.
func (f *Facts) userConfig() string {
	switch dir := f.variable("XDG_CONFIG_HOME"); {
	case dir != "":
		return dir
	case f.Subject.Home != "":
		return f.Subject.Home + "/.config"
	}
	return ""
}

// containersConf returns the files in which podman looks for its configuration (containers.conf(5));
// what a later one says holds.
func (f *Facts) containersConf() (files []string) {
	version := f.podmanVersion()
	switch named := f.variable("CONTAINERS_CONF"); {
	case named != "":
		files = []string{named}
	case version >= oneFileSince:
		files = f.nearestConf()
	default:
		files = []string{vendorConfig + containersDir}
		for _, dir := range f.ownPlaces() {
			files = append(append(files, dir+containersDir), f.dropIns(dir+containersDir+".d")...)
		}
	}
	if named := f.variable("CONTAINERS_CONF_OVERRIDE"); named != "" && (version == 0 || version >= overrideSince) {
		files = append(files, named)
	}
	return files
}

// ownPlaces are where an administrator and the user have their files.
func (f *Facts) ownPlaces() []string {
	if dir := f.userConfig(); dir != "" {
		return []string{systemConfig, dir}
	}
	return []string{systemConfig}
}

// nearestConf is for podman since 6.0: of the files called containers.conf it takes only
// the nearest, and drop-ins from everywhere.
func (f *Facts) nearestConf() (files []string) {
	places := append([]string{vendorConfig}, f.ownPlaces()...)
	for _, dir := range slices.Backward(places) {
		if file := dir + containersDir; f.usersFiles().Exists(file) {
			files = append(files, file)
			break
		}
	}
	for i, dir := range places {
		files = append(files, f.dropIns(dir+containersDir+".d")...)
		if i < 2 { // the user's are for nobody else
			rootless := dir + "/containers/containers.rootless.conf.d"
			files = append(append(files, f.dropIns(rootless)...), f.dropIns(rootless+"/"+strconv.Itoa(f.Subject.UID))...)
		}
	}
	return files
}

// dropIns returns the files of a directory that podman reads.
func (f *Facts) dropIns(dir string) (files []string) {
	names, _ := f.usersFiles().ReadDir(dir) // sorted
	for _, name := range names {
		if strings.HasSuffix(name, ".conf") {
			files = append(files, path.Join(dir, name))
		}
	}
	return files
}

// storage is what holds of storage.conf for the user.
type storage struct {
	podmanconf.Storage
	file      string // that says the driver, or would
	runRoot   string // where the state of containers is; "" if nothing says so, or that is not known
	graphRoot string // where images and containers are; "" if that is not known
	said      string // which key names graphRoot; "" if none does
	failure   error  // because of which podman starts nothing
}

// readStorage reads storage.conf as containers/storage does for a user (types/options.go):
// its own file, or that which a variable names; without one, of the system's only the
// driver and rootless_storage_path.
func (f *Facts) readStorage() (s storage) {
	named := f.variable("CONTAINERS_STORAGE_CONF")
	if named == "" && f.userConfig() != "" {
		named = f.userConfig() + storageFile
	}
	isOwn := named != "" && f.readStorageFile(&s, named)
	for _, dir := range []string{systemConfig, vendorConfig} {
		if s.failure != nil || isOwn || f.readStorageFile(&s, dir+storageFile) {
			break
		}
	}
	if !isOwn { // the rest of the system's is for root
		s.Storage.Storage.GraphRoot, s.Storage.Storage.RunRoot, s.Storage.Storage.Options = "", "", podmanconf.Storage{}.Storage.Options
	}
	s.runRoot = f.expanded(s.Storage.Storage.RunRoot)
	for key, value := range map[string]string{"graphroot": s.Storage.Storage.GraphRoot, "rootless_storage_path": s.Storage.Storage.RootlessPath} {
		if value != "" && (key == "graphroot" || s.Storage.Storage.GraphRoot == "") {
			s.said, s.graphRoot = key, f.expanded(value)
		}
	}
	if s.said == "" {
		s.graphRoot = f.defaultGraphRoot()
	}
	return s
}

// readStorageFile reads one of the files; isRead is false if it is not there.
func (f *Facts) readStorageFile(s *storage, file string) (isRead bool) {
	data, err := f.readConfiguration(file)
	if err == nil {
		s.file = file
		s.failure = s.Read(file, string(data))
		return true
	}
	if !f.isPassedOver(file, err) {
		s.file, s.failure = file, err
	}
	return false
}

// expanded replaces the variables that a path may have; "" if it has others.
func (f *Facts) expanded(dir string) string {
	for name, value := range map[string]string{"HOME": f.Subject.Home, "USER": f.Subject.Name, "UID": strconv.Itoa(f.Subject.UID)} {
		dir = strings.NewReplacer("${"+name+"}", value, "$"+name, value).Replace(dir)
	}
	if strings.Contains(dir, "$") || !path.IsAbs(dir) {
		return ""
	}
	return path.Clean(dir)
}

func (f *Facts) defaultGraphRoot() string {
	switch dir := f.variable("XDG_DATA_HOME"); {
	case dir != "":
		return dir + "/containers/storage"
	case f.Subject.Home != "":
		return f.Subject.Home + "/.local/share/containers/storage"
	}
	return ""
}

// configResult is the result for a configuration that cannot be used.
func (f *Facts) configResult(of string, err error) Result {
	var line *confparse.ParseError
	var pathErr *fs.PathError
	switch {
	case errors.As(err, &line):
		return failed(of+" starts nothing: it does not understand "+line.File, Evidence{fmt.Sprintf("%s:%d", line.File, line.Line), brief(line.Text)}, Evidence{"its cause", line.Reason}).
			fixed(fmt.Sprintf("correct line %d of %s", line.Line, line.File), f.editAny(line.File))
	case errors.As(err, &pathErr) && errors.Is(err, fs.ErrNotExist):
		variable := f.namedBy(pathErr.Path)
		return failed(fmt.Sprintf("%s starts nothing: the variable %s names %s, which is not there", of, variable, pathErr.Path), Evidence{pathErr.Path, "is not there"}).
			fixed("make the file " + pathErr.Path + ", or unset " + variable)
	case errors.As(err, &pathErr) && errors.Is(err, fs.ErrPermission):
		return failed(of+" starts nothing: it may not read "+pathErr.Path, Evidence{pathErr.Path, f.ownerOf(pathErr.Path)}).
			fixed("let "+f.Subject.Name+" read "+pathErr.Path+", and go through the directories above it", f.giveConfiguration(pathErr.Path)...)
	}
	return unknown("the configuration of "+of+" cannot be read", err)
}

// giveConfiguration gives the user a file of the user's own that root has made.
func (f *Facts) giveConfiguration(file string) []Command {
	if st, err := f.Machine.Stat(file); err != nil || st.UID == f.Subject.UID || !f.isBelowHome(file) {
		return nil
	}
	return []Command{asRoot("chown", fmt.Sprintf("%d:%d", f.Subject.UID, f.Subject.GID), file)}
}

// ownerOf says whose a file is, as evidence.
func (f *Facts) ownerOf(file string) string {
	st, err := f.Machine.Stat(file)
	if err != nil {
		return "may not be read"
	}
	return ownerAndMode(st)
}

// editAny has a file edited by whose it is.
func (f *Facts) editAny(file string) Command {
	if st, err := f.usersFiles().Stat(file); err == nil && st.UID == f.Subject.UID || f.isBelowHome(file) {
		return f.edit(file)
	}
	return byHand(f.editor(), file)
}

func (f *Facts) isBelowHome(file string) bool {
	return f.Subject.Home != "" && strings.HasPrefix(file, f.Subject.Home+"/")
}

// Excerpt returns what of a configuration file that the user chose, or that the user's
// programs read, the checks have read; isOne is false if the file is no such. One that is
// not understood is replaced by another such.
func (f *Facts) Excerpt(file, data string) (text string, isOne bool) {
	if isAsked := f.Bundle != nil || f.BundleError != nil; isAsked && file == f.bundleFile() {
		c, err := ociconf.Parse(file, data)
		if err != nil {
			return "{ left out", true
		}
		return c.String(), true
	}
	var conf interface {
		Read(file, text string) error
		String() string
	}
	switch {
	case slices.Contains(f.containersConf(), file):
		conf = &podmanconf.Config{}
	case strings.HasSuffix(file, storageFile) || file == f.variable("CONTAINERS_STORAGE_CONF"):
		conf = &podmanconf.Storage{}
	default:
		return "", false
	}
	if conf.Read(file, data) != nil {
		return "[ left out", true
	}
	return conf.String(), true
}
