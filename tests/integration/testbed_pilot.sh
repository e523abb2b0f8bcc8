#!/bin/bash
# The least pilot: a startd that joins a pool from inside a batch job, until it is idle, at most for SECONDS.
# testbed_pilot.sh COLLECTOR SITE SECONDS, with the token beside it as pilot.token
set -eu
pilot=$PWD/pilot
mkdir -p "$pilot"/{log,execute,spool,lock}
mkdir -m 700 "$pilot/tokens.d"
install -m 600 pilot.token "$pilot/tokens.d/pool"
cat > "$pilot/condor_config" <<END
DAEMON_LIST = MASTER, STARTD
COLLECTOR_HOST = $1
RELEASE_DIR = /usr
LIB = /usr/lib/condor
LIBEXEC = /usr/libexec/condor
LOCAL_DIR = $pilot
LOG = $pilot/log
EXECUTE = $pilot/execute
SPOOL = $pilot/spool
LOCK = $pilot/lock
RUN = $pilot/lock
NETWORK_INTERFACE = 127.0.0.1
NO_DNS = True
DEFAULT_DOMAIN_NAME = itb.example.org
USE_SHARED_PORT = False
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = IDTOKENS
SEC_CLIENT_AUTHENTICATION_METHODS = IDTOKENS
SEC_DEFAULT_ENCRYPTION = REQUIRED
SEC_DEFAULT_INTEGRITY = REQUIRED
SEC_TOKEN_DIRECTORY = $pilot/tokens.d
SEC_TOKEN_SYSTEM_DIRECTORY = $pilot/tokens.d
SEC_ENABLE_MATCH_PASSWORD_AUTHENTICATION = True
SEC_USE_FAMILY_SESSION = False
DISCARD_SESSION_KEYRING_ON_STARTUP = False
USE_PROCD = True
PID_SNAPSHOT_INTERVAL = 1
PROCD_MAX_SNAPSHOT_INTERVAL = 1
NUM_CPUS = 2
MEMORY = 1024
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = True
START = stringListMember("$2", TARGET.DESIRED_Sites)
RUNBENCHMARKS = False
STARTD_NOCLAIM_SHUTDOWN = 15
UPDATE_INTERVAL = 5
STARTD_NAME = least-$2-$$
MASTER_NAME = least-$2-$$
GLIDEIN_Site = "$2"
GLIDEIN_Resource = "$2-CE"
GLIDEIN_Entry_Name = "least"
GOC_Digest = "none"
GOC_PilotId = "least-$2"
STARTD_ATTRS = GLIDEIN_Site, GLIDEIN_Resource, GLIDEIN_Entry_Name, GOC_Digest, GOC_PilotId
END
export CONDOR_CONFIG=$pilot/condor_config
condor_master -f &
master=$!
for _ in $(seq "$3"); do
  kill -0 "$master" 2>/dev/null || break
  ! grep -qs "EXITING WITH STATUS" "$pilot/log/StartLog" || break
  sleep 1
done
kill -QUIT "$master" 2>/dev/null || true
wait
