resource "google_storage_bucket" "dovebeam" {
  name                        = "${var.project}-dovebeam"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  lifecycle_rule {
    condition {
      age            = var.archive_days
      matches_prefix = ["archive/"]
    }
    action {
      type = "Delete"
    }
  }

  # Deletes temporary files of Dataflow and dovebeam; rejects are kept.
  lifecycle_rule {
    condition {
      age            = 14
      matches_prefix = ["tmp/", "staging/"]
    }
    action {
      type = "Delete"
    }
  }
}

resource "google_storage_bucket_object" "config" {
  name   = "config/dovecot.conf"
  bucket = google_storage_bucket.dovebeam.name
  source = var.config
}

locals {
  templates = toset(["export", "replay", "stream"])
  images    = { for name in local.templates : name => "${var.repository}/${name}:${var.tag}" }
}

# The specification of each template, as `gcloud dataflow flex-template build` writes it.
resource "google_storage_bucket_object" "template" {
  for_each     = local.templates
  name         = "templates/${each.key}-${var.tag}.json"
  bucket       = google_storage_bucket.dovebeam.name
  content_type = "application/json"
  content = jsonencode({
    image    = local.images[each.key]
    sdkInfo  = { language = "PYTHON" }
    metadata = jsondecode(file("${path.module}/../${each.key}.json"))
  })
}
