package pamconf

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSkips(t *testing.T) {
	const ours = "session optional pam_cgdeleg.so\n"
	for _, test := range []struct {
		name  string
		files files
		want  []string
	}{
		{"Debian's common-session", files{"x": "session [default=1] pam_permit.so\nsession requisite pam_deny.so\nsession required pam_permit.so\nsession required pam_unix.so\n" + ours}, nil},
		{"a jump over it", files{"x": "session [success=2 default=ignore] pam_succeed_if.so\nsession optional pam_a.so\n" + ours}, []string{"x:1 success"}},
		{"a jump to it", files{"x": "session [success=1 default=ignore] pam_succeed_if.so\nsession optional pam_a.so\n" + ours}, nil},
		{"a jump that is always made", files{"x": "session [default=1] pam_permit.so\n" + ours}, []string{"x:1 always"}},
		{"two results", files{"x": "session [success=1 new_authtok_reqd=1 default=ignore] pam_a.so\n" + ours}, []string{"x:1 success, new_authtok_reqd"}},
		{"default and another", files{"x": "session [success=ok default=1] pam_a.so\n" + ours}, []string{"x:1 default"}},
		{"sufficient", files{"x": "session sufficient pam_a.so\n" + ours}, []string{"x:1 success, new_authtok_reqd"}},
		{"done", files{"x": "session [success=done default=bad] pam_a.so\n" + ours}, []string{"x:1 success"}},
		{"requisite, die and bad", files{"x": "session requisite pam_a.so\nsession [default=die] pam_a.so\nsession [default=bad] pam_a.so\n" + ours}, nil},
		{"after it", files{"x": ours + "session sufficient pam_a.so\n"}, nil},
		{"a jump over an included file", files{"x": "session [success=1 default=ignore] pam_a.so\nsession include y\n" + ours, "y": "session optional pam_b.so\nsession optional pam_c.so\n"}, nil},
		{"sufficient in an included file", files{"x": "session include y\n" + ours, "y": "session sufficient pam_a.so\n"}, []string{"y:1 success, new_authtok_reqd"}},
		{"sufficient in a substack", files{"x": "session substack y\n" + ours, "y": "session sufficient pam_a.so\n"}, nil},
		{"sufficient before it in a substack", files{"x": "session substack y\n", "y": "session sufficient pam_a.so\n" + ours}, []string{"y:1 success, new_authtok_reqd"}},
		{"sufficient before the substack in which it is", files{"x": "session sufficient pam_a.so\nsession substack y\n", "y": ours}, []string{"x:1 success, new_authtok_reqd"}},
		{"a jump counts a substack once", files{"x": "session [success=2 default=ignore] pam_a.so\nsession substack y\n" + ours, "y": "session optional pam_b.so\nsession optional pam_c.so\n"}, []string{"x:1 success"}},
		{"a jump over a substack to it", files{"x": "session [success=1 default=ignore] pam_a.so\nsession substack y\n" + ours, "y": "session optional pam_b.so\nsession optional pam_c.so\n"}, nil},
		{"two substacks", files{"x": "session [success=2 default=ignore] pam_a.so\nsession substack y\nsession substack y\n" + ours, "y": "session optional pam_b.so\n"}, nil},
		{"a substack without lines counts", files{"x": "session [success=1 default=ignore] pam_a.so\nsession substack y\n" + ours, "y": "# nothing\n"}, nil},
		{"a jump over a substack without lines, and it", files{"x": "session [success=2 default=ignore] pam_a.so\nsession substack y\n" + ours, "y": ""}, []string{"x:1 success"}},
		{"an included file without lines does not count", files{"x": "session [success=1 default=ignore] pam_a.so\nsession include y\n" + ours, "y": ""}, []string{"x:1 success"}},
		{"the later one of two counts", files{"x": "session [success=done success=ok default=ignore] pam_a.so\n" + ours}, nil},
		{"blanks around the sign", files{"x": "session [success = 2 default=ignore] pam_a.so\nsession [ default= 2 ] pam_b.so\n" + ours}, []string{"x:1 success", "x:2 always"}},
		{"blanks, and it is skipped", files{"x": "session [ default = 1 ] pam_a.so\n" + ours}, []string{"x:1 always"}},
		{"odd words", files{"x": "session [success default=x =1 9=] pam_a.so\nsession [] pam_a.so\n" + ours}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := files{}
			for name, text := range test.files {
				all["etc/pam.d/"+name] = text
			}
			lines, err := Session(recorded(t, all), "x")
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(lines, func(l Line) bool { return l.Is("pam_cgdeleg.so") })
			var got []string
			for _, s := range Skips(lines, at) {
				on := strings.Join(s.On, ", ")
				if s.AlwaysSkips {
					on = "always"
				}
				got = append(got, fmt.Sprintf("%s:%d %s", strings.TrimPrefix(s.File, "/etc/pam.d/"), s.Number, on))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestJump(t *testing.T) {
	const ours = "session optional pam_cgdeleg.so\n"
	for _, test := range []struct {
		name  string
		files files
		want  int
	}{
		{"over it alone", files{"x": "session [success=1 default=ignore] pam_a.so\n" + ours}, 1},
		{"over another too", files{"x": "session [success=2 default=ignore] pam_a.so\nsession optional pam_b.so\n" + ours}, 2},
		{"the end of the stack", files{"x": "session sufficient pam_a.so\n" + ours}, 0},
		{"over the substack in which it is", files{"x": "session [default=1] pam_a.so\nsession substack y\n", "y": ours}, 0},
		{"over an included file", files{"x": "session [default=1] pam_a.so\nsession include y\n", "y": ours}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := files{}
			for name, text := range test.files {
				all["etc/pam.d/"+name] = text
			}
			lines, err := Session(recorded(t, all), "x")
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(lines, func(l Line) bool { return l.Is("pam_cgdeleg.so") })
			if skips := Skips(lines, at); len(skips) != 1 || skips[0].Jump != test.want {
				t.Errorf("got %+v, want one that jumps over %d", skips, test.want)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	const ours = "session optional pam_cgdeleg.so\n"
	for name, test := range map[string]struct {
		files files
		want  string
	}{
		"Debian's common-session":      {files{"x": "session [default=1] pam_permit.so\nsession requisite pam_deny.so\n" + ours}, ""},
		"requisite":                    {files{"x": "session requisite pam_deny.so\n" + ours}, "/etc/pam.d/x:1"},
		"required, which goes on":      {files{"x": "session required pam_deny.so\n" + ours}, ""},
		"die":                          {files{"x": "session [success=ok default=die] pam_deny.so\n" + ours}, "/etc/pam.d/x:1"},
		"die, and not on what it says": {files{"x": "session [session_err=ignore default=die] pam_deny.so\n" + ours}, ""},
		"another module":               {files{"x": "session requisite pam_a.so\n" + ours}, ""},
		"behind it":                    {files{"x": ours + "session requisite pam_deny.so\n"}, ""},
		"perhaps jumped over":          {files{"x": "session [success=1 default=ignore] pam_a.so\nsession requisite pam_deny.so\n" + ours}, ""},
		"an included file":             {files{"x": "session include y\n" + ours, "y": "session requisite pam_deny.so\n"}, "/etc/pam.d/y:1"},
		"a substack of its own":        {files{"x": "session substack y\n" + ours, "y": "session requisite pam_deny.so\n"}, ""},
	} {
		all := files{}
		for file, text := range test.files {
			all["etc/pam.d/"+file] = text
		}
		lines, err := Session(recorded(t, all), "x")
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if l := Refuses(lines, slices.IndexFunc(lines, func(l Line) bool { return l.Is("pam_cgdeleg.so") })); l != nil {
			got = fmt.Sprintf("%s:%d", l.File, l.Number)
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestKnowsControl(t *testing.T) {
	for control, want := range map[string]bool{
		"optional": true, "Required": true, "optinal": false, "[default=ignore]": true, "[success=2 new_authtok_reqd=done default=ignore]": true,
		"[succeeded=ok]": false, "[success=okay]": false, "[success=-1]": false, "[success]": false, "default=ignore": true, "[ success = ok ]": true, "[]": true,
	} {
		if got := (Line{Control: control}).KnowsControl(); got != want {
			t.Errorf("%s: got %t", control, got)
		}
	}
}
