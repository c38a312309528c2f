output "topic" {
  description = "The topic to publish Dovecot's events to."
  value       = google_pubsub_topic.events.id
}

output "rejects" {
  description = "The subscription with the rejects (dead letters)."
  value       = google_pubsub_subscription.rejects.id
}

output "bucket" {
  description = "The bucket with the configuration, templates, archive and rejects."
  value       = google_storage_bucket.dovebeam.url
}
