resource "google_workflows_workflow" "replay" {
  count               = var.replay_schedule == "" ? 0 : 1
  name                = "dovebeam-replay"
  region              = var.region
  service_account     = google_service_account.launcher.id
  source_contents     = file("${path.module}/../schedules/replay_workflow.yaml")
  deletion_protection = false
}

resource "google_cloud_scheduler_job" "replay" {
  count     = var.replay_schedule == "" ? 0 : 1
  name      = "dovebeam-replay"
  region    = var.region
  schedule  = var.replay_schedule
  time_zone = "Etc/UTC"

  http_target {
    http_method = "POST"
    uri         = "https://workflowexecutions.googleapis.com/v1/${google_workflows_workflow.replay[0].id}/executions"
    body = base64encode(jsonencode({
      argument = jsonencode({
        project         = var.project
        region          = var.region
        template        = "gs://${google_storage_bucket.dovebeam.name}/${google_storage_bucket_object.template["replay"].name}"
        bucket          = google_storage_bucket.dovebeam.name
        exporter        = var.replay_exporter
        service_account = google_service_account.worker.email
        subnetwork      = var.subnetwork
        max_workers     = var.max_workers
        hours           = var.replay_hours
        hours_back      = 1
      })
    }))
    oauth_token {
      service_account_email = google_service_account.scheduler.email
    }
  }

  depends_on = [google_project_iam_member.scheduler]
}
