variable "project" {
  description = "The project that everything is created in."
  type        = string
}

variable "region" {
  description = "The region of the jobs and the bucket."
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
  description = "Path on this machine of the dovecot.conf for the jobs. It must be complete: files that it includes are not uploaded."
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
  description = "Maximum number of workers of a job."
  type        = number
  default     = 3
}

variable "archive_days" {
  description = "Number of days that events are kept for replays. Every replay reads all of them, since the names of the files do not contain the times of their events."
  type        = number
  default     = 7
}

variable "replay_schedule" {
  description = "Schedule of replays in crontab syntax, in UTC; empty for none."
  type        = string
  default     = ""
}

variable "replay_hours" {
  description = "Number of hours in a scheduled replay. The last of them ended an hour before the replay, so Pub/Sub has written all of its events."
  type        = number
  default     = 24
}

variable "replay_exporter" {
  description = "The event_exporter that scheduled replays send to; empty for all."
  type        = string
  default     = ""
}

variable "notification_channels" {
  description = "Names of the Cloud Monitoring channels that alerts go to."
  type        = list(string)
  default     = []
}
