"""Airflow DAG that replays the last hour, every hour, on Dataflow, with the Flex Template for replays.

For Airflow 3 with apache-airflow-providers-google. Copy it into your DAGs folder and change the constants below.
"""

from airflow.providers.google.cloud.operators.dataflow import DataflowStartFlexTemplateOperator
from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable

PROJECT = "my-project"
REGION = "europe-west1"
BUCKET = "gs://my-project-dovebeam"

# The last full hour, in seconds since 1970. Computed from the run's logical date, so that a run for a past date replays
# the hour before that date.
START = "{{ (logical_date.timestamp() // 3600 - 1) | int * 3600 }}"
END = "{{ (logical_date.timestamp() // 3600) | int * 3600 }}"

# At a quarter past, when Pub/Sub has written the hour into the archive. One run at a time, to limit the targets' load.
with DAG(
    "dovebeam_replay_on_dataflow",
    schedule=CronTriggerTimetable("15 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
):
    DataflowStartFlexTemplateOperator(
        task_id="replay",
        project_id=PROJECT,
        location=REGION,
        body={
            "launchParameter": {
                "jobName": "dovebeam-replay",
                "containerSpecGcsPath": f"{BUCKET}/templates/replay-1.json",
                "parameters": {
                    "config": f"{BUCKET}/config/dovecot.conf",
                    "inputFilePattern": f"{BUCKET}/archive/",
                    "startTime": START,
                    "endTime": END,
                    # With the attempt, since rejects are never overwritten. All attempts have the same events, file
                    # names and idempotency keys.
                    "invalidOutputPath": f"{BUCKET}/rejects/replay-{START}-{{{{ ti.try_number }}}}.jsonl",
                },
                "environment": {
                    "serviceAccountEmail": f"dovebeam-worker@{PROJECT}.iam.gserviceaccount.com",
                    "tempLocation": f"{BUCKET}/tmp",  # noqa: S108  no directory of this machine
                    "stagingLocation": f"{BUCKET}/staging",
                    "maxWorkers": 3,
                },
            }
        },
        # Waits for the job's end without occupying an Airflow worker; the launcher itself never waits.
        deferrable=True,
        retries=2,
    )
