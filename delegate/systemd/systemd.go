// Package systemd asks a running systemd, over the system bus, what files do
// not tell: whether a unit is delegated, its resource properties, and systemd's version;
// and sets such properties (org.freedesktop.systemd1(5)).
//
// It is the only package that speaks D-Bus, and only cmd/cgdeleg may import it:
// the module and the rest of package delegate look at files alone. It must not
// know what a session is, nor which limits there are.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"

	"github.com/godbus/dbus/v5"
)

// What can be missing. All are to be tested with errors.Is.
var (
	ErrNoBus     = errors.New("there is no system bus")
	ErrNoSystemd = errors.New("systemd is not on the system bus")
	ErrNoUnit    = errors.New("systemd knows no such unit")
)

const (
	service    = "org.freedesktop.systemd1"
	manager    = service + ".Manager"
	properties = "org.freedesktop.DBus.Properties"
)

// Delegation is what systemd says of a unit: Delegate= of
// systemd.resource-control(5).
type Delegation struct {
	Delegated   bool
	Controllers []string // as the unit asks for them; nil before systemd 236
}

// UnitDelegation asks systemd for the properties Delegate and
// DelegateControllers of a scope, service or slice that is loaded. The context
// bounds everything, also connecting and authentication. Errors are ErrNoBus,
// ErrNoSystemd, ErrNoUnit, the context's, and others that are only to be shown.
func UnitDelegation(ctx context.Context, unit string) (Delegation, error) {
	all, err := propertiesOf(ctx, unit, "GetUnit")
	if err != nil {
		return Delegation{}, err
	}
	var d Delegation
	var ok1, ok2 bool
	d.Delegated, ok1 = all["Delegate"].Value().(bool)
	d.Controllers, ok2 = all["DelegateControllers"].Value().([]string)
	if _, found := all["DelegateControllers"]; !ok1 || found && !ok2 {
		return Delegation{}, fmt.Errorf("unit %q: unexpected answer of systemd: %v, %v", unit, all["Delegate"], all["DelegateControllers"])
	}
	return d, nil
}

// propertiesOf returns all properties of a scope, service or slice, which the given method
// of the manager finds.
func propertiesOf(ctx context.Context, unit, find string) (all map[string]dbus.Variant, err error) {
	kinds := map[string]string{".scope": ".Scope", ".service": ".Service", ".slice": ".Slice"}
	kind, known := kinds[path.Ext(unit)]
	if !known {
		return nil, fmt.Errorf("unit %q: neither scope nor service nor slice", unit)
	}
	err = ask(ctx, func(conn *dbus.Conn) error {
		var object dbus.ObjectPath
		err := call(ctx, conn, "/org/freedesktop/systemd1", manager+"."+find, &object, unit)
		if err != nil {
			return err
		}
		return call(ctx, conn, object, properties+".GetAll", &all, service+kind)
	})
	if err != nil {
		return nil, fmt.Errorf("unit %q: %w", unit, err)
	}
	return all, nil
}

// Version returns systemd's version, for example "252.39-1~deb12u2". Context
// and errors are those of UnitDelegation.
func Version(ctx context.Context) (string, error) {
	var answer dbus.Variant
	err := ask(ctx, func(conn *dbus.Conn) error {
		return call(ctx, conn, "/org/freedesktop/systemd1", properties+".Get", &answer, manager, "Version")
	})
	if err != nil {
		return "", fmt.Errorf("systemd's version: %w", err)
	}
	version, ok := answer.Value().(string)
	if !ok {
		return "", fmt.Errorf("systemd's version: unexpected answer: %v", answer)
	}
	return version, nil
}

// ask runs a conversation on the system bus. When the context ends, the
// connection is closed under it, and what that breaks is the context's error.
func ask(ctx context.Context, conversation func(*dbus.Conn) error) error {
	conn, err := connect(ctx)
	if err == nil {
		defer conn.Close()
		err = conversation(conn)
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// connect returns a connection that is ready for calls.
func connect(ctx context.Context) (*dbus.Conn, error) {
	conn, err := dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoBus, err)
	}
	err = conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
	if err == nil {
		err = conn.Hello()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("system bus: %w", err)
	}
	return conn, nil
}

// dial connects. What comes of it too late closes itself, as its context is
// over.
func dial(ctx context.Context) (*dbus.Conn, error) {
	type dialed struct {
		conn *dbus.Conn
		err  error
	}
	done := make(chan dialed, 1)
	go func() {
		conn, err := dbus.SystemBusPrivate(dbus.WithContext(ctx))
		done <- dialed{conn, err}
	}()
	select {
	case d := <-done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// call calls one of systemd's methods, which does not start a systemd where
// there is none. Answer is nil where there is none.
func call(ctx context.Context, conn *dbus.Conn, object dbus.ObjectPath, method string, answer any, args ...any) error {
	done := conn.Object(service, object).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...)
	err := done.Err
	if answer != nil {
		err = done.Store(answer)
	}
	var refused dbus.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch refused.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
		return fmt.Errorf("%w: %w", ErrNoSystemd, err)
	case service + ".NoSuchUnit":
		return fmt.Errorf("%w: %w", ErrNoUnit, err)
	}
	return err
}
