resource "google_pubsub_topic" "events" {
  name = "dovecot-events"
}

# No dead_letter_policy and no retry_policy: they don't work with Dataflow, which acknowledges messages on receipt. The
# job itself publishes what it cannot export, as rejects.
resource "google_pubsub_subscription" "events" {
  name                       = "dovecot-events"
  topic                      = google_pubsub_topic.events.id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_topic" "rejects" {
  name = "dovecot-rejects"
}

# Keeps rejects until someone has looked at them.
resource "google_pubsub_subscription" "rejects" {
  name                       = "dovecot-rejects"
  topic                      = google_pubsub_topic.rejects.id
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s"

  expiration_policy {
    ttl = ""
  }
}

# The archive that replays read: Pub/Sub itself writes every message into Avro files, independently of the stream.
resource "google_pubsub_subscription" "archive" {
  name                 = "dovecot-archive"
  topic                = google_pubsub_topic.events.id
  ack_deadline_seconds = 300

  cloud_storage_config {
    bucket          = google_storage_bucket.dovebeam.name
    filename_prefix = "archive/"
    filename_suffix = ".avro"
    max_duration    = "300s"
    avro_config {
      write_metadata = true
    }
  }

  expiration_policy {
    ttl = ""
  }

  depends_on = [google_storage_bucket_iam_member.pubsub]
}

data "google_project" "this" {}

# Pub/Sub's service account writes the archive.
resource "google_storage_bucket_iam_member" "pubsub" {
  for_each = toset(["roles/storage.objectCreator", "roles/storage.legacyBucketReader"])
  bucket   = google_storage_bucket.dovebeam.name
  role     = each.key
  member   = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}
