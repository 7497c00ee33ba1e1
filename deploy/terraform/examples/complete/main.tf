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

variable "alarm_mail" {
  description = "Who is told of alarms; they confirm it by a mail first."
  type        = string
}

resource "aws_sns_topic" "alarms" {
  #checkov:skip=CKV_AWS_26:What alarms say is no secret, and CloudWatch may not use the key that AWS has for topics
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
  description = "Where the domain's record has to lead."
  value       = module.beadle.domain_target
}

output "okta_hook_url" {
  description = "The URL of Okta's event hook."
  value       = module.beadle.okta_hook_url
}
