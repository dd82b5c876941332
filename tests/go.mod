module github.com/cgdeleg/pam_cgdeleg/tests

go 1.26.0

replace github.com/cgdeleg/pam_cgdeleg => ../

require golang.org/x/sys v0.49.0 // indirect
