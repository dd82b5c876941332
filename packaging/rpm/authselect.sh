#!/bin/sh
# authselect.sh: has authselect(8) put pam_cgdeleg into the PAM stacks of logins.
# For an administrator to run; no package does.
#
# A feature is a line in a profile's templates, and the profiles that come with
# authselect are not ours to change. So this makes the custom profile "cgdeleg"
# of the one that is in use: all of it links to that profile, and goes on getting
# its updates, but postlogin, the stack that services with a shell read last and
# so after pam_systemd. It gets one more line, with the feature with-cgdeleg.
# Then the custom profile is selected, with the features that were.
set -eu
custom=${AUTHSELECT_CUSTOM:-/etc/authselect/custom} # for tests
profile=$custom/cgdeleg

if ! current=$(authselect current --raw 2>/dev/null); then
	echo "authselect.sh: authselect does not manage this machine's PAM files; add to those of the services that people log in by: session optional pam_cgdeleg.so" >&2
	exit 1
fi
base=${current%% *}
features=${current#"$base"}
if [ "$base" = custom/cgdeleg ]; then
	# shellcheck disable=SC2086 # a list of words
	exec authselect select "$base" $features with-cgdeleg
fi
if [ -e "$profile" ]; then
	echo "authselect.sh: $profile is there, and not in use: remove it, if it is from an earlier run" >&2
	exit 1
fi
authselect create-profile cgdeleg --base-on "$base" --symlink-meta --symlink-nsswitch --symlink-pam --symlink-dconf
if [ -e "$profile/postlogin" ]; then
	cp "$profile/postlogin" "$profile/postlogin.new"
else
	: >"$profile/postlogin.new"
fi
# "-": no line in the log at each login once the module is gone.
printf '%s\n' '-session    optional                   pam_cgdeleg.so {include if "with-cgdeleg"}' >>"$profile/postlogin.new"
mv "$profile/postlogin.new" "$profile/postlogin" # over the link
# shellcheck disable=SC2086 # a list of words
authselect select custom/cgdeleg $features with-cgdeleg
echo "undo: authselect select $current && rm -r $profile"
