variable "project" {
  description = "The project that everything is made in."
  type        = string
}

variable "region" {
  description = "Where jobs run and the bucket is."
  type        = string
  default     = "europe-west1"
}

variable "repository" {
  description = "The Artifact Registry repository with the images that templates/cloudbuild.yaml built, as REGION-docker.pkg.dev/PROJECT/NAME."
  type        = string
}

variable "tag" {
  description = "Tag of the images."
  type        = string
  default     = "1"
}

variable "config" {
  description = "Path on this machine of the dovecot.conf for the jobs; it must be whole, since nothing beside it is uploaded."
  type        = string
}

variable "secrets" {
  description = "Names of the secrets in Secret Manager that the configuration refers to."
  type        = set(string)
  default     = []
}

variable "subnetwork" {
  description = "Subnetwork of workers, as regions/REGION/subnetworks/NAME, with Private Google Access and a way to the targets; empty for the default network."
  type        = string
  default     = ""
}

variable "max_workers" {
  description = "Most workers of a job."
  type        = number
  default     = 3
}

variable "archive_days" {
  description = "For how many days events can be replayed. Every replay reads all of them, since the files do not say of when their events are."
  type        = number
  default     = 7
}

variable "replay_schedule" {
  description = "When events are replayed, as a crontab line in UTC; empty for never."
  type        = string
  default     = ""
}

variable "replay_hours" {
  description = "How many hours a scheduled replay takes. The last one ended an hour before the replay, so that Pub/Sub has written all of it."
  type        = number
  default     = 24
}

variable "replay_exporter" {
  description = "The event_exporter that scheduled replays are for; empty for all."
  type        = string
  default     = ""
}

variable "notification_channels" {
  description = "Names of the Cloud Monitoring channels that alerts go to."
  type        = list(string)
  default     = []
}
