package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/godbus/dbus/v5"
)

// DeviceNumber is what a property has of one device: (st) on D-Bus.
type DeviceNumber struct {
	Path   string
	Number uint64
}

// Property is a unit's property by its name on D-Bus. Its value is an uint64, a
// []DeviceNumber or a []byte: t, a(st) and ay.
type Property struct {
	Name  string
	Value any
}

// ErrNoProperty says that systemd knows no such property, or does not let it be set: it is
// too old, or it was built without.
var ErrNoProperty = errors.New("systemd cannot set such a property")

// RefusedError is a property that systemd did not set.
type RefusedError struct {
	Unit     string
	Property string
	Err      error // ErrNoProperty, or what systemd says of the value
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("unit %q: property %s: %v", e.Unit, e.Property, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// UnitProperties returns what systemd has of a scope, service or slice, of the types that
// a Property can have. The unit is loaded if it is not: a slice needs no file, and its
// drop-ins count also before it is started. Context and errors are those of
// UnitDelegation.
func UnitProperties(ctx context.Context, unit string) (map[string]any, error) {
	all, err := propertiesOf(ctx, unit, "LoadUnit")
	if err != nil {
		return nil, err
	}
	known := map[string]any{}
	for name, variant := range all {
		switch value := variant.Value().(type) {
		case uint64, []byte:
			known[name] = value
		case [][]any:
			if devices, ok := deviceNumbers(value); ok {
				known[name] = devices
			}
		}
	}
	return known, nil
}

// deviceNumbers are the values of a(st). The library forgets the signature of what is in a
// map, so that without any value those of other structures look the same.
func deviceNumbers(rows [][]any) (devices []DeviceNumber, ok bool) {
	devices = []DeviceNumber{}
	for _, row := range rows {
		var d DeviceNumber
		if len(row) != 2 || dbus.Store(row, &d.Path, &d.Number) != nil {
			return nil, false
		}
		devices = append(devices, d)
	}
	return devices, true
}

// SetUnitProperties sets properties of a unit until the next boot, as systemctl
// set-property --runtime does: systemd writes drop-ins to
// /run/systemd/system.control/UNIT.d, which it also reads after a daemon-reload or a
// daemon-reexec and when the unit is started the next time, and changes the unit's cgroup,
// if it has one, before it answers. The unit is loaded if it is not.
//
// systemd sets all of them or none. If it refuses one, each is set alone, so that the
// others hold; the error then has a *RefusedError for each that is not set. Other errors
// are those of UnitDelegation, and fs.ErrPermission.
func SetUnitProperties(ctx context.Context, unit string, list []Property) error {
	return ask(ctx, func(conn *dbus.Conn) error {
		err := set(ctx, conn, unit, list)
		if !isRefusal(err) {
			return err
		}
		var refused []error
		for _, p := range list {
			err := set(ctx, conn, unit, []Property{p})
			if err != nil && !isRefusal(err) {
				return errors.Join(append(refused, err)...)
			}
			if err != nil {
				refused = append(refused, &RefusedError{Unit: unit, Property: p.Name, Err: err})
			}
		}
		return errors.Join(refused...)
	})
}

// setting is a Property as D-Bus has it.
type setting struct {
	Name  string
	Value dbus.Variant
}

// set sets properties of a unit, or none.
func set(ctx context.Context, conn *dbus.Conn, unit string, list []Property) error {
	const untilReboot = true
	var all []setting
	for _, p := range list {
		if _, isList := p.Value.([]DeviceNumber); isList {
			// systemd adds to what it has; none at all takes that away
			all = append(all, setting{p.Name, dbus.MakeVariant([]DeviceNumber{})})
		}
		all = append(all, setting{p.Name, dbus.MakeVariant(p.Value)})
	}
	err := call(ctx, conn, "/org/freedesktop/systemd1", manager+".SetUnitProperties", nil, unit, untilReboot, all)
	var answer dbus.Error
	if !errors.As(err, &answer) {
		return err
	}
	switch answer.Name {
	case errorPrefix + "PropertyReadOnly", errorPrefix + "UnknownProperty", errorPrefix + "NotSupported":
		return fmt.Errorf("%w: %w", ErrNoProperty, err)
	case errorPrefix + "InvalidArgs", errorPrefix + "InvalidSignature":
		return &valueError{err}
	case errorPrefix + "AccessDenied", errorPrefix + "InteractiveAuthorizationRequired":
		return fmt.Errorf("unit %q: %w: %w", unit, fs.ErrPermission, err)
	}
	return fmt.Errorf("unit %q: %w", unit, err)
}

const errorPrefix = "org.freedesktop.DBus.Error."

// valueError is what systemd says of a value.
type valueError struct{ error }

func (e *valueError) Unwrap() error { return e.error }

// isRefusal tells whether systemd refused a property, and not the whole.
func isRefusal(err error) bool {
	var value *valueError
	return errors.Is(err, ErrNoProperty) || errors.As(err, &value)
}
