"""An Airflow DAG that replays every hour on a machine of your own, by Airflow's operator for Beam pipelines in Python.

For Airflow 3 with apache-airflow-providers-apache-beam. dovebeam has an environment of its own on the machines of
Airflow's workers; change the paths in capitals. Another runner and its options can be given, as `dovebeam replay` takes
them; then the paths must be those of an object store, and `wait` a member of the options.
"""

from airflow.providers.apache.beam.operators.beam import BeamRunPythonPipelineOperator
from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable

PYTHON = "/opt/dovebeam/bin/python"
CONFIG = "/etc/dovecot/dovecot.conf"
ARCHIVE = "/srv/archive"
LOGS = "/var/log/dovebeam"

# The last full hour, in seconds since 1970. By the run's logical date, so that a run of a past date replays the hour of
# that date.
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
        # As `python -m dovebeam.pipelines.replay`, which is `dovebeam replay`.
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
