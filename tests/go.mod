module github.com/cgdeleg/pam_cgdeleg/tests

go 1.26.0

replace github.com/cgdeleg/pam_cgdeleg => ../

require (
	golang.org/x/crypto v0.58.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/cgdeleg/pam_cgdeleg v0.0.0-00010101000000-000000000000
	github.com/creack/pty v1.1.24
)

require (
	github.com/moby/sys/mountinfo v0.7.3
	github.com/msteinert/pam/v2 v2.1.0
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	pgregory.net/rapid v1.3.0
)

require golang.org/x/text v0.43.0 // indirect
