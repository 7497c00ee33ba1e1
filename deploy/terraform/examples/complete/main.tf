# Repositories and groups, your own domain, and alarms to a topic.
provider "aws" {
  region = "eu-west-1"
}

variable "domain_name" {
  description = "The domain for webhooks."
  type        = string
}

variable "certificate_arn" {
  description = "The certificate of the domain."
  type        = string
}

variable "alarm_mail" {
  description = "The mail address for alarms. Its owner must first confirm a mail."
  type        = string
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:Alarms contain no secret, and CloudWatch cannot use the key of AWS for topics
  name = "beadle-alarms"
}

resource "aws_sns_topic_subscription" "mail" {
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_mail
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

output "domain_target" {
  description = "The target of the domain's record."
  value       = module.beadle.domain_target
}

output "okta_hook_url" {
  description = "The URL of Okta's event hook."
  value       = module.beadle.okta_hook_url
}
