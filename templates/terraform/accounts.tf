# Account of the workers and of the launchers of templates.
resource "google_service_account" "worker" {
  account_id   = "dovebeam-worker"
  display_name = "dovebeam's Dataflow workers"
}

resource "google_project_iam_member" "worker" {
  project = var.project
  role    = "roles/dataflow.worker"
  member  = google_service_account.worker.member
}

resource "google_storage_bucket_iam_member" "worker" {
  for_each = toset(["roles/storage.objectUser", "roles/storage.legacyBucketReader"])
  bucket   = google_storage_bucket.dovebeam.name
  role     = each.key
  member   = google_service_account.worker.member
}

resource "google_pubsub_subscription_iam_member" "worker" {
  for_each     = toset(["roles/pubsub.subscriber", "roles/pubsub.viewer"])
  subscription = google_pubsub_subscription.events.name
  role         = each.key
  member       = google_service_account.worker.member
}

resource "google_pubsub_topic_iam_member" "worker" {
  for_each = toset(["roles/pubsub.publisher", "roles/pubsub.viewer"])
  topic    = google_pubsub_topic.rejects.name
  role     = each.key
  member   = google_service_account.worker.member
}

resource "google_secret_manager_secret_iam_member" "worker" {
  for_each  = var.secrets
  secret_id = each.key
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.worker.member
}

resource "google_artifact_registry_repository_iam_member" "worker" {
  location   = split("-docker.pkg.dev/", var.repository)[0]
  project    = split("/", var.repository)[1]
  repository = split("/", var.repository)[2]
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.worker.member
}

# Account of the workflow that launches scheduled replays: it can start jobs as the workers' account only.
resource "google_service_account" "launcher" {
  account_id   = "dovebeam-launcher"
  display_name = "launches dovebeam's replays"
}

resource "google_project_iam_member" "launcher" {
  for_each = toset(["roles/dataflow.developer", "roles/logging.logWriter"])
  project  = var.project
  role     = each.key
  member   = google_service_account.launcher.member
}

resource "google_service_account_iam_member" "launcher" {
  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.launcher.member
}

resource "google_storage_bucket_iam_member" "launcher" {
  bucket = google_storage_bucket.dovebeam.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.launcher.member
}

# Account of the schedule: it can start the workflow and nothing else.
resource "google_service_account" "scheduler" {
  account_id   = "dovebeam-scheduler"
  display_name = "starts dovebeam's replay workflow"
}

resource "google_project_iam_member" "scheduler" {
  project = var.project
  role    = "roles/workflows.invoker"
  member  = google_service_account.scheduler.member
}
