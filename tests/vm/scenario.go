package vm

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// defaultLimit bounds a machine's life, from QEMU's start on: several times
// what one takes on a slow machine with other work.
const defaultLimit = 10 * time.Minute

// Scenario is a script for machines.
type Scenario struct {
	Name  string // of the file, without .sh
	Path  string
	Kinds []Kind
	Limit time.Duration
	// Processors is how many its machines have; 0 for the usual number.
	Processors int
	// Controller is the path of the program here that its machines may call; ""
	// for none.
	Controller string
	// Image names the image of its machines, which is "fresh" for stock Debian without any
	// client, "selinux" for that with SELinux, "openrc" for that with OpenRC, and "" for the
	// one with all clients.
	Image string
}

// Scenarios reads the scripts of a folder. Comment lines in them say on which
// machines they run, and for how many seconds at most, with how many processors
// and with which of controllers/ if that is special:
//
//	# machines: bookworm-systemd-v2 trixie-systemd-v2
//	# limit: 600
//	# processors: 2
//	# controller: ansible
//	# image: fresh
func Scenarios(dir string) ([]Scenario, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.sh"))
	if err != nil {
		return nil, err
	}
	var all []Scenario
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		s, err := parseScenario(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		s.Path = path
		s.Name = strings.TrimSuffix(filepath.Base(path), ".sh")
		all = append(all, s)
	}
	return all, nil
}

func parseScenario(text string) (Scenario, error) {
	s := Scenario{Limit: defaultLimit}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "# machines":
			for name := range strings.FieldsSeq(value) {
				kind, err := ParseKind(name)
				if err != nil {
					return s, err
				}
				s.Kinds = append(s.Kinds, kind)
			}
		case "# limit":
			seconds, err := strconv.Atoi(value)
			if err != nil || seconds <= 0 {
				return s, fmt.Errorf("limit %q: want seconds", value)
			}
			s.Limit = time.Duration(seconds) * time.Second
		case "# processors":
			n, err := strconv.Atoi(value)
			if err != nil || n <= 0 {
				return s, fmt.Errorf("processors %q: want a number", value)
			}
			s.Processors = n
		case "# image":
			if value != freshImage && value != seLinuxImage && value != openRCImage {
				return s, fmt.Errorf("image %q: there are fresh, selinux and openrc, and the one without a line", value)
			}
			s.Image = value
		case "# controller":
			path, err := filepath.Abs(filepath.Join("controllers", value+".sh"))
			if err == nil {
				_, err = os.Stat(path)
			}
			if err != nil {
				return s, fmt.Errorf("controller %q: %w", value, err)
			}
			s.Controller = path
		}
	}
	if len(s.Kinds) == 0 {
		return s, fmt.Errorf("no line \"# machines: KIND...\"")
	}
	return s, nil
}
