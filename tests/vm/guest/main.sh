#!/bin/bash
# main.sh is what the machine runs: the library, then the scenario.
# shellcheck disable=SC1091 # both come beside it
. /in/lib.sh
. /in/scenario.sh
