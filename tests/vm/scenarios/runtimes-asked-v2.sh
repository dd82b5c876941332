#!/bin/bash
# What runc, crun and podman do on cgroup v2 with a bundle or a configuration of which
# cgdeleg check says something: where it says that nothing starts, nothing does.
# machines: bookworm-no-systemd-v2 trixie-no-systemd-v2 bookworm-systemd-v2
# limit: 900

install_module ""
if booted_systemd; then install_dropin; fi
login first alice
works "alice makes a bundle" in_login first 'mkdir -p ~/b/rootfs/bin ~/b/rootfs/proc ~/b/rootfs/sys ~/b/rootfs/dev &&
	cp /bin/busybox ~/b/rootfs/bin && cd ~/b && runc spec --rootless &&
	sed "s/\"terminal\": true/\"terminal\": false/; s|\"sh\"|\"/bin/busybox\",\"true\"|" config.json >spec.json'
session=$(cgroup_of_login unified first)
session=${session%/init.scope}

# bundle NAME SED CHECK [CRUN]: what runc and crun do with it. CHECK is the check that
# fails, or nothing; CRUN is what crun does, where that is something else.
bundle() {
	local runtime did said want=starts
	if [ "$3" ]; then want="does not start"; fi
	in_login first "cd ~/b && sed '$2' spec.json >config.json"
	for runtime in runc crun; do
		if [ $runtime = crun ]; then want=${4:-$want}; fi
		did=starts
		in_login first "cd ~/b && $runtime --root ~/b/$runtime run c1 </dev/null >~/said 2>&1; s=\$?; $runtime --root ~/b/$runtime delete -f c1 2>/dev/null; exit \$s" || did="does not start"
		equal "$runtime with $1 ($(in_login first "tail -n 1 ~/said"))" "$did" "$want"
	done
	said=$(in_login first "cgdeleg check -q --bundle ~/b bundle bundle-userns bundle-cgroup bundle-limits bundle-rootfs" | cut -d: -f1)
	equal "check of $1" "${said#* }" "$3"
}

# crun 1.8 makes no cgroup where none is named, and drops limits silently
if grep -q '^VERSION_ID="12"' /etc/os-release; then drops=starts; else drops=; fi

bundle "nothing" "" ""
bundle "memory" 's|"linux": {|&"resources":{"memory":{"limit":67108864}},|' ""
bundle "a cgroupsPath in the session" "s|\"linux\": {|&\"cgroupsPath\":\"$session/c1\",|" ""
bundle "another's cgroupsPath" 's|"linux": {|&"cgroupsPath":"/nobody/7/c1",|' bundle-cgroup
bundle "a cgroupsPath in the leaf" "s|\"linux\": {|&\"cgroupsPath\":\"$session/init.scope/c1\",\"resources\":{\"memory\":{\"limit\":67108864}},|" bundle-cgroup
bundle "unified" 's|"linux": {|&"resources":{"unified":{"memory.high":"67108864"}},|' ""
bundle "unified without a controller" 's|"linux": {|&"resources":{"unified":{"nosuch.max":"1"}},|' bundle-limits $drops
bundle "no user namespace" 's|"type": "user"|"type": "network"|' bundle-userns starts # crun makes one
if booted_systemd; then # whose drop-in gives cpu, memory and pids
	bundle "io" 's|"linux": {|&"resources":{"blockIO":{"weight":100}},|' bundle-limits $drops
fi

# podman NAME CONF STATUS CHECK: what it does by containers.conf.
podman_with() {
	local said did=starts
	in_login first "mkdir -p ~/.config/containers && printf '$2' >~/.config/containers/containers.conf"
	in_login first "podman run --rm --systemd=false --network=none --rootfs ~/b/rootfs /bin/busybox true </dev/null >~/said 2>&1" || did="does not start"
	equal "podman with $1 ($(in_login first "tail -n 1 ~/said"))" "$did" "$3"
	said=$(in_login first "cgdeleg check -q podman-config podman-runtime podman-cgroups podman-limits" | cut -d: -f1)
	equal "check of $1" "${said#* }" "$4"
}

podman_with "nothing" "" starts ""
podman_with "a manager, misspelt" '[engine]\ncgroup_manager = "nosuch"\n' "does not start" podman-cgroups
podman_with "no cgroups" '[containers]\ncgroups = "disabled"\n' starts podman-runtime
podman_with "no cgroups and runc" '[containers]\ncgroups = "disabled"\n[engine]\nruntime = "runc"\n' "does not start" podman-runtime
if ! booted_systemd; then
	podman_with "systemd" '[engine]\ncgroup_manager = "systemd"\n' starts podman-cgroups
	like "it warns" "$(in_login first "podman info 2>&1 >/dev/null")" "*no systemd user session*"
	podman_with "pids_limit" '[containers]\npids_limit = 1\n' starts podman-limits
fi
in_login first "rm -r ~/.config/containers; podman system migrate"
logout first
finish
