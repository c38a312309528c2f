#!/bin/sh
# Checks the configuration, then writes a preview: what each exporter would send, in files. No target is touched.
# For a real export, replace --preview preview by --rejects rejects.jsonl.
set -eu
cd "$(dirname "$0")"
export OUT="$PWD/out"
export DATALAKE_TOKEN="${DATALAKE_TOKEN:-set this}"
mkdir -p "$OUT"
dovebeam check --config dovecot.conf --config dovebeam.conf > check.txt
dovebeam export --config dovecot.conf --config dovebeam.conf --input events.json --preview preview --ledger ledger.json
