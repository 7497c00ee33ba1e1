# Both halves, a domain of one's own, and alarms to a topic.
provider "aws" {
  region = "eu-west-1"
}

variable "domain_name" {
  description = "The domain for webhooks."
  type        = string
}

variable "certificate_arn" {
  description = "Its certificate."
  type        = string
}

resource "aws_sns_topic" "alarms" {
  name              = "beadle-alarms"
  kms_master_key_id = "alias/aws/sns"
}

module "beadle" {
  source = "../.."

  name            = "beadle"
  configuration   = "${path.module}/../../../sam/layer/beadle"
  packages        = "${path.module}/../../../../target/lambda"
  domain_name     = var.domain_name
  certificate_arn = var.certificate_arn
  alarm_topic_arn = aws_sns_topic.alarms.arn
  tags            = { owner = "platform" }
}

output "github_webhook_url" {
  description = "The webhook URL of the GitHub App."
  value       = module.beadle.github_webhook_url
}

output "okta_hook_url" {
  description = "The URL of Okta's event hook."
  value       = module.beadle.okta_hook_url
}
