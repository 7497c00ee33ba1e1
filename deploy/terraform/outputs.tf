locals {
  url = var.domain_name == null ? aws_apigatewayv2_api.this.api_endpoint : "https://${var.domain_name}"
}

output "github_webhook_url" {
  description = "The webhook URL of the GitHub App."
  value       = var.github ? "${local.url}/hooks/github" : null
}

output "okta_hook_url" {
  description = "The URL of Okta's event hook."
  value       = var.directory ? "${local.url}/hooks/okta" : null
}

output "domain_target" {
  description = "The target of the domain's record (CNAME or alias)."
  value       = one(aws_apigatewayv2_domain_name.this[*].domain_name_configuration[0].target_domain_name)
}

output "secret_arns" {
  description = "The ARNs of the secrets for keys and tokens, and of the generated secrets."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }
}

output "store" {
  description = "The value of --store for commands, as in `beadle queue --store ...`."
  value       = "dynamodb://${local.table}?region=${data.aws_region.current.region}"
}

output "queue_urls" {
  description = "The arguments of `beadle aws doctor`."
  value       = { for name, queue in aws_sqs_queue.this : name => queue.url }
}
