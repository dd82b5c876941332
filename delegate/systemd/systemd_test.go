package systemd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// busConfig lets anybody own and call anything.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow eavesdrop="false"/>
  </policy>
</busconfig>
`

// address is that of a socket, with what D-Bus wants escaped ("Server Addresses").
func address(socket string) string {
	out := "unix:path="
	for _, c := range []byte(socket) {
		if c > ' ' && c < 0x7f && !strings.ContainsRune(`%,;:='"&<>`, rune(c)) {
			out += string(c)
		} else {
			out += fmt.Sprintf("%%%02x", c)
		}
	}
	return out
}

// startBus makes the system bus of this process a private dbus-daemon, and
// returns its address.
func startBus(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("needs dbus-daemon (tests/setup.sh installs it): ", err)
	}
	dir := t.TempDir()
	socket, config := filepath.Join(dir, "socket"), filepath.Join(dir, "conf")
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(busConfig, "unix:path=SOCKET", address(socket))), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config-file="+config, "--nofork", "--print-address")
	var words strings.Builder
	cmd.Stderr = &words
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log("dbus-daemon: ", words.String())
		}
	})
	address, err := bufio.NewReader(out).ReadString('\n') // it listens now
	if err != nil {
		t.Fatal(err)
	}
	address = strings.TrimSpace(address)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
	return address
}

// fakeManager is systemd's manager: units by name.
type fakeManager map[string]fakeUnit

func (m fakeManager) GetUnit(name string) (dbus.ObjectPath, *dbus.Error) {
	u, found := m[name]
	if !found {
		return "", dbus.NewError("org.freedesktop.systemd1.NoSuchUnit", []any{"Unit " + name + " not loaded."})
	}
	return u.path, nil
}

// fakeUnit is an object with the properties of one interface.
type fakeUnit struct {
	path       dbus.ObjectPath
	kind       string
	properties map[string]dbus.Variant
}

func (u fakeUnit) GetAll(kind string) (map[string]dbus.Variant, *dbus.Error) {
	if kind != u.kind {
		return nil, dbus.NewError("org.freedesktop.DBus.Error.UnknownInterface", []any{kind})
	}
	return u.properties, nil
}

func (u fakeUnit) Get(kind, name string) (dbus.Variant, *dbus.Error) {
	if kind != u.kind {
		return dbus.Variant{}, dbus.NewError("org.freedesktop.DBus.Error.UnknownInterface", []any{kind})
	}
	return u.properties[name], nil
}

// startSystemd puts a systemd on the bus.
func startSystemd(t *testing.T, address string, version any, units fakeManager) {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	export := func(object any, path dbus.ObjectPath, kind string) {
		if err := conn.Export(object, path, kind); err != nil {
			t.Fatal(err)
		}
	}
	export(units, "/org/freedesktop/systemd1", manager)
	export(fakeUnit{kind: manager, properties: map[string]dbus.Variant{"Version": dbus.MakeVariant(version)}}, "/org/freedesktop/systemd1", properties)
	for _, u := range units {
		export(u, u.path, properties)
	}
	if _, err := conn.RequestName(service, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func unit(path dbus.ObjectPath, kind string, properties map[string]any) fakeUnit {
	u := fakeUnit{path: "/org/freedesktop/systemd1/unit/" + path, kind: service + kind, properties: map[string]dbus.Variant{}}
	for name, value := range properties {
		u.properties[name] = dbus.MakeVariant(value)
	}
	return u
}

func TestUnitDelegation(t *testing.T) {
	startSystemd(t, startBus(t), "252", fakeManager{
		"session-1.scope":   unit("session_2d1_2escope", ".Scope", map[string]any{"Delegate": true, "DelegateControllers": []string{"cpu", "memory", "pids"}, "TasksMax": uint64(1)}),
		"session-2.scope":   unit("session_2d2_2escope", ".Scope", map[string]any{"Delegate": false, "DelegateControllers": []string{}}),
		"user@1000.service": unit("user_401000_2eservice", ".Service", map[string]any{"Delegate": true, "DelegateControllers": []string{"pids"}}),
		"user.slice":        unit("user_2eslice", ".Slice", map[string]any{"Delegate": false, "DelegateControllers": []string{}}),
		"old.scope":         unit("old_2escope", ".Scope", map[string]any{"Delegate": true}),
		"bare.scope":        unit("bare_2escope", ".Scope", nil),
		"word.scope":        unit("word_2escope", ".Scope", map[string]any{"Delegate": "yes"}),
		"number.scope":      unit("number_2escope", ".Scope", map[string]any{"Delegate": true, "DelegateControllers": 7}),
		"slice.scope":       unit("slice_2escope", ".Slice", map[string]any{"Delegate": true}),
	})
	for _, test := range []struct {
		unit string
		want Delegation
	}{
		{"session-1.scope", Delegation{true, []string{"cpu", "memory", "pids"}}},
		{"session-2.scope", Delegation{false, []string{}}},
		{"user@1000.service", Delegation{true, []string{"pids"}}},
		{"user.slice", Delegation{false, []string{}}},
		{"old.scope", Delegation{true, nil}}, // before systemd 236
	} {
		t.Run(test.unit, func(t *testing.T) {
			got, err := UnitDelegation(soon(t), test.unit)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
	for _, test := range []struct{ name, unit, words string }{
		{"other type of unit", "dbus.socket", "neither scope nor service nor slice"},
		{"no type of unit", "session-1", "neither scope nor service nor slice"},
		{"empty", "", "neither scope nor service nor slice"},
		{"no property", "bare.scope", "unexpected answer"},
		{"no bool", "word.scope", "unexpected answer"},
		{"no list", "number.scope", "unexpected answer"},
		{"other interface", "slice.scope", ".Scope"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := UnitDelegation(soon(t), test.unit)
			if err == nil || !strings.Contains(err.Error(), test.words) || !reflect.DeepEqual(got, Delegation{}) {
				t.Errorf("got %+v, %v; want %s", got, err, test.words)
			}
		})
	}
	for _, unit := range []string{"session-9.scope", "../x.scope", "a\nb.scope"} {
		if _, err := UnitDelegation(soon(t), unit); !errors.Is(err, ErrNoUnit) {
			t.Errorf("unit %q: %v", unit, err)
		}
	}
}

func TestVersion(t *testing.T) {
	startSystemd(t, startBus(t), "252.39-1~deb12u2", nil)
	got, err := Version(soon(t))
	if err != nil || got != "252.39-1~deb12u2" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestVersionIsNoString(t *testing.T) {
	startSystemd(t, startBus(t), 252, nil)
	if got, err := Version(soon(t)); err == nil || !strings.Contains(err.Error(), "unexpected answer") {
		t.Errorf("got %q, %v", got, err)
	}
}

// both asks both questions, and wants the same error.
func both(t *testing.T, ctx context.Context, want error) {
	t.Helper()
	if got, err := UnitDelegation(ctx, "session-1.scope"); !errors.Is(err, want) {
		t.Errorf("UnitDelegation: %+v, %v; want %v", got, err, want)
	}
	if got, err := Version(ctx); !errors.Is(err, want) {
		t.Errorf("Version: %q, %v; want %v", got, err, want)
	}
}

func TestNoSystemd(t *testing.T) {
	startBus(t)
	both(t, soon(t), ErrNoSystemd)
}

func TestNoBus(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, address string }{
		{"no socket", address(dir + "/none")},
		{"not a socket", address(dir + "/file")},
		{"not an address", "words"},
		{"address of another kind", "pigeon:path=/x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", test.address)
			both(t, soon(t), ErrNoBus)
		})
	}
}

// listen makes the system bus a socket on which nobody accepts.
func listen(t *testing.T) net.Listener {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address(socket))
	return l
}

func TestBusThatHangs(t *testing.T) {
	brief := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	t.Run("before authentication", func(t *testing.T) {
		listen(t)
		both(t, brief(t), context.DeadlineExceeded)
	})
	t.Run("after authentication", func(t *testing.T) {
		l := listen(t)
		go authenticate(l)
		both(t, brief(t), context.DeadlineExceeded)
	})
	t.Run("systemd hangs", func(t *testing.T) {
		conn, err := dbus.Connect(startBus(t))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.RequestName(service, dbus.NameFlagDoNotQueue); err != nil {
			t.Fatal(err)
		}
		conn.Eavesdrop(make(chan *dbus.Message)) // from here on it answers nothing
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		both(t, ctx, context.DeadlineExceeded)
	})
	t.Run("cancelled before", func(t *testing.T) {
		listen(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		both(t, ctx, context.Canceled)
	})
	t.Run("closed at once", func(t *testing.T) {
		l := listen(t)
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Close()
			}
		}()
		if _, err := Version(soon(t)); err == nil || errors.Is(err, ErrNoBus) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// authenticate lets everybody in, and then says nothing more.
func authenticate(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				switch line := strings.TrimLeft(lines.Text(), "\x00"); {
				case line == "AUTH":
					_, _ = conn.Write([]byte("REJECTED EXTERNAL\r\n"))
				case strings.HasPrefix(line, "AUTH "):
					_, _ = conn.Write([]byte("OK 1234deadbeef\r\n"))
				case line == "NEGOTIATE_UNIX_FD":
					_, _ = conn.Write([]byte("AGREE_UNIX_FD\r\n"))
				}
			}
		}()
	}
}
