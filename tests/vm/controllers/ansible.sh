#!/bin/bash
# ansible.sh PORT: the controller of the scenario `ansible`. It runs the role's play
# against the machine, whose sshd is at that port here. Its input is from there: a
# private key that may log in as root, the play's variables, a line each, and an empty
# line. Its output is Ansible's.
set -euo pipefail
port=$1
exec 2>&1
cd "$(dirname "$0")/../../.."
scratch=$(mktemp -d /tmp/cgdeleg.XXXXXX) # short: ssh's socket is in it, and a socket's path has 107 bytes at most
trap 'rm -rf "$scratch"' EXIT

(umask 077 && sed -u '/^-----END/q' >"$scratch/key") # -u: it takes not one byte more
arguments=()
while read -r variable && [ -n "$variable" ]; do arguments+=(-e "$variable"); done

export HOME=$scratch ANSIBLE_PIPELINING=1 ANSIBLE_NOCOLOR=1 ANSIBLE_HOST_KEY_CHECKING=0
export ANSIBLE_SSH_ARGS="-o ControlMaster=auto -o ControlPersist=60 -o UserKnownHostsFile=/dev/null -o KexAlgorithms=curve25519-sha256"
cat >"$scratch/inventory" <<-INVENTORY
	machine ansible_host=127.0.0.1 ansible_port=$port ansible_user=root ansible_python_interpreter=/usr/bin/python3 ansible_ssh_private_key_file=$scratch/key
INVENTORY
ansible-playbook -i "$scratch/inventory" contrib/ansible/site.yml \
	-e cgdeleg_install=build -e "cgdeleg_build_dir=$PWD/build" "${arguments[@]}" </dev/null
