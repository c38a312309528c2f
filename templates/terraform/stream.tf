resource "google_dataflow_flex_template_job" "stream" {
  provider                = google-beta
  name                    = "dovebeam-stream"
  region                  = var.region
  container_spec_gcs_path = "gs://${google_storage_bucket.dovebeam.name}/${google_storage_bucket_object.template["stream"].name}"
  on_delete               = "drain"

  service_account_email = google_service_account.worker.email
  temp_location         = "gs://${google_storage_bucket.dovebeam.name}/tmp"
  staging_location      = "gs://${google_storage_bucket.dovebeam.name}/staging"
  subnetwork            = var.subnetwork == "" ? null : var.subnetwork
  ip_configuration      = var.subnetwork == "" ? null : "WORKER_IP_PRIVATE"
  max_workers           = var.max_workers

  parameters = {
    config                = "gs://${google_storage_bucket.dovebeam.name}/${google_storage_bucket_object.config.name}"
    inputSubscription     = google_pubsub_subscription.events.id
    outputDeadletterTopic = google_pubsub_topic.rejects.id
  }

  depends_on = [
    google_project_iam_member.worker,
    google_storage_bucket_iam_member.worker,
    google_pubsub_subscription_iam_member.worker,
    google_pubsub_topic_iam_member.worker,
    google_artifact_registry_repository_iam_member.worker,
  ]

  # When the configuration or the image changes, drains the running job and starts a new one.
  lifecycle {
    replace_triggered_by = [
      google_storage_bucket_object.config,
      google_storage_bucket_object.template["stream"],
    ]
  }
}
