"""Airflow DAG that replays the last hour, every hour, on your own machines, with the operator for Beam pipelines.

For Airflow 3 with apache-airflow-providers-apache-beam. Install dovebeam into a separate environment on the machines of
Airflow's workers, and change the constants below. For another runner, add the options that `dovebeam replay` takes for
it, and `wait`; all paths must then be in an object store.
"""

from airflow.providers.apache.beam.operators.beam import BeamRunPythonPipelineOperator
from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable

PYTHON = "/opt/dovebeam/bin/python"
CONFIG = "/etc/dovecot/dovecot.conf"
ARCHIVE = "/srv/archive"
LOGS = "/var/log/dovebeam"

# The last full hour, in seconds since 1970. Computed from the run's logical date, so that a run for a past date replays
# the hour before that date.
START = "{{ (logical_date.timestamp() // 3600 - 1) | int * 3600 }}"
END = "{{ (logical_date.timestamp() // 3600) | int * 3600 }}"

with DAG(
    "dovebeam_replay",
    schedule=CronTriggerTimetable("15 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
):
    BeamRunPythonPipelineOperator(
        task_id="replay",
        py_interpreter=PYTHON,
        # Runs `python -m dovebeam.pipelines.replay`, which is `dovebeam replay`.
        py_options=["-m"],
        py_file="dovebeam.pipelines.replay",
        runner="DirectRunner",
        pipeline_options={
            "config": CONFIG,
            "input": ARCHIVE,
            "start_time": START,
            "end_time": END,
            "rejects": f"{LOGS}/rejects.jsonl",
            "ledger": f"{LOGS}/replay-{START}.json",
        },
        retries=2,
    )
