# The dashboard and the alerts in ../monitoring, which can also be created with gcloud.
resource "google_monitoring_dashboard" "dovebeam" {
  dashboard_json = file("${path.module}/../monitoring/dashboard.json")
}

locals {
  alerts = { for name in ["failed", "lag", "rejects", "stalled"] : name => jsondecode(file("${path.module}/../monitoring/alerts/${name}.json")) }
}

resource "google_monitoring_alert_policy" "dovebeam" {
  for_each              = local.alerts
  display_name          = each.value.displayName
  combiner              = each.value.combiner
  severity              = each.value.severity
  notification_channels = var.notification_channels

  conditions {
    display_name = each.value.conditions[0].displayName
    condition_prometheus_query_language {
      query               = each.value.conditions[0].conditionPrometheusQueryLanguage.query
      duration            = each.value.conditions[0].conditionPrometheusQueryLanguage.duration
      evaluation_interval = each.value.conditions[0].conditionPrometheusQueryLanguage.evaluationInterval
    }
  }

  documentation {
    content   = each.value.documentation.content
    mime_type = each.value.documentation.mimeType
  }
}
