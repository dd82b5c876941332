#!/bin/bash
# The test that Debian runs of the installed packages (debian/tests).

works "install" install_debs
mkdir /tmp/autopkgtest
works "debian/tests/ssh-login" env AUTOPKGTEST_TMP=/tmp/autopkgtest sh /in/ssh-login
eventually "no session is left" no_session_left
works "remove" remove_debs
fails "without the packages it fails" env AUTOPKGTEST_TMP="$(mktemp -d)" sh /in/ssh-login
finish
