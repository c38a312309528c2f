output "topic" {
  description = "Where Dovecot's events are to be published."
  value       = google_pubsub_topic.events.id
}

output "rejects" {
  description = "The subscription that keeps what could not be exported."
  value       = google_pubsub_subscription.rejects.id
}

output "bucket" {
  description = "Holds configuration, templates, archive and rejects."
  value       = google_storage_bucket.dovebeam.url
}
