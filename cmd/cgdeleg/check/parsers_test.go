package check

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// os-release(5): a value is in the file, without the quotes around it.
func FuzzReleaseValues(f *testing.F) {
	for _, s := range []string{"", "ID=debian\nVERSION_ID=\"12\"\nID_LIKE='a b'\n", "ID", "ID==\n ID = x", "ID=\"\nVERSION_ID=12.5-rc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		values := releaseValues(data, []string{"ID", "VERSION_ID"})
		if most := strings.Count(data, "ID"); len(values) > most {
			t.Errorf("%q: %q", data, values)
		}
		for _, v := range values {
			if !strings.Contains(data, v) || strings.Contains(v, "\n") || v != strings.Trim(v, `"'`) {
				t.Errorf("%q has %q", data, v)
			}
		}
	})
}

// The numbers of a version are those with which it begins.
func FuzzVersionNumbers(f *testing.F) {
	for _, s := range []string{"", "5.0.2", "1.1.5+ds1", "v5", "12.", ".1", "255.4-1ubuntu8", "99999999999999999999.1", "-1", "1..2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, version string) {
		numbers := versionNumbers(version)
		var texts []string
		for _, n := range numbers {
			if n < 0 {
				t.Errorf("%q: %d", version, numbers)
			}
			texts = append(texts, strconv.Itoa(n))
		}
		plain := strings.Join(texts, ".")
		if again := versionNumbers(plain); !slices.Equal(again, numbers) {
			t.Errorf("%q is %d, and %q is %d", version, numbers, plain, again)
		}
	})
}

// The limits that podman's configuration and the kernel's file name.
func FuzzRlimits(f *testing.F) {
	for _, s := range []string{"nofile=1024:2048", "nofile=-1", "nproc=5:-1", "nofile=7:5", "core=", "Max open files            1024                 524288               files     \n", "Max processes  unlimited  unlimited  processes"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if name, hard, ok := parseUlimit(text); ok {
			again := name + "=" + strconv.FormatUint(hard, 10)
			if hard == math.MaxUint64 {
				again = name + "=-1"
			}
			if n, h, ok := parseUlimit(again); n != name || h != hard || !ok || rlimitRows[name] == "" {
				t.Errorf("%q came back from %q as %q %d %v", text, again, n, h, ok)
			}
		}
		if row, hard, found := hardLimit(text, "Max open files"); found && !strings.HasPrefix(row, "Max open files ") || row == "" && (found || hard != 0) {
			t.Errorf("%q: %q, %d, %v", text, row, hard, found)
		}
	})
}

// sshd's arguments and lines: what is found stands there.
func FuzzSSHD(f *testing.F) {
	for _, s := range []string{"", "-D", "-oUsePAM=no\n-f/etc/x", "-o\nUsePAM\nyes", "-f", "-o", "-fx\n-f\ny"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		usePAM, file := sshdOptions(strings.Split(text, "\n"))
		if !strings.Contains(text, usePAM) || !strings.Contains(text, file) || len(sshdWords(usePAM)) > 1 {
			t.Errorf("%q: %q, %q", text, usePAM, file)
		}
	})
}

// lxc-usernet(5): a line that is for the user and the bridge names both.
func FuzzUsernet(f *testing.F) {
	for _, s := range []string{"", "alice veth lxcbr0 10\n", "@staff veth lxcbr0 0x5\r\n", " alice\tveth lxcbr0 -1", "# alice veth lxcbr0 1", "alice veth lxcbr0 9999999999999999999999"} {
		f.Add(s)
	}
	facts := &Facts{Subject: Subject{Name: "alice"}}
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		for _, l := range facts.usernetLines(text, "lxcbr0") {
			at := lines[l.number-1]
			if !strings.Contains(at, "alice") || !strings.Contains(at, "veth") || !strings.Contains(at, "lxcbr0") || strings.HasPrefix(strings.TrimSpace(at), "#") {
				t.Errorf("line %+v of %q", l, at)
			}
		}
	})
}
