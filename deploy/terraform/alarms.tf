locals {
  alarm_actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]
  alarms = merge(
    { for queue, letters in aws_sqs_queue.dead_letters : "${queue}-dead-letters" => {
      description = "Messages failed five times. The log of the worker has the reason"
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = letters.name }
      statistic   = "Maximum", period = 60, times = 1, threshold = 0
      comparison  = "GreaterThanThreshold", missing = "notBreaching"
    } },
    { for name, function in { intake = aws_lambda_function.intake, worker = aws_lambda_function.worker } : "${name}-errors" => {
      description                    = "The ${name} fails. Its log has the reason"
      namespace                      = "AWS/Lambda"
      metric                         = "Errors"
      dimensions                     = { FunctionName = function.function_name }
      statistic                      = "Sum", period = 300, times = name == "worker" ? 3 : 1, threshold = 0
      comparison                     = "GreaterThanThreshold", missing = "notBreaching"
    } },
    {
      gateway-errors = {
        description = "The intake answers webhooks with 5xx, for example because a secret or the table is unavailable. See its log"
        namespace   = "AWS/ApiGateway"
        metric      = "5xx"
        dimensions  = { ApiId = aws_apigatewayv2_api.this.id }
        statistic   = "Sum", period = 300, times = 1, threshold = 0
        comparison  = "GreaterThanThreshold", missing = "notBreaching"
      }
      oldest-due = {
        description = "A key has been due for a long time. Without a figure, no worker is running"
        namespace   = "Beadle"
        metric      = "OldestDueSeconds"
        dimensions  = { Deployment = local.table }
        statistic   = "Minimum", period = 300, times = 1, threshold = var.oldest_due_seconds
        comparison  = "GreaterThanThreshold", missing = "breaching"
      }
      held = {
        description = "The guard holds changes until an approval. See `beadle holds`"
        namespace   = "Beadle"
        metric      = "Held"
        dimensions  = { Deployment = local.table }
        statistic   = "Maximum", period = 300, times = 1, threshold = 0
        comparison  = "GreaterThanThreshold", missing = "notBreaching"
      }
      parked = {
        description = "Beadle set keys aside, because their runs failed. See `beadle queue`"
        namespace   = "Beadle"
        metric      = "Parked"
        dimensions  = { Deployment = local.table }
        statistic   = "Minimum", period = 300, times = 3, threshold = 0
        comparison  = "GreaterThanThreshold", missing = "notBreaching"
      }
      unknown = {
        description = "Beadle cannot read or resolve a part of a repository or group. See `beadle status`"
        namespace   = "Beadle"
        metric      = "Unknown"
        dimensions  = { Deployment = local.table }
        statistic   = "Minimum", period = 300, times = 24, threshold = 0
        comparison  = "GreaterThanThreshold", missing = "notBreaching"
      }
      contested = {
        description = "Another writer undoes the changes of Beadle. See `beadle status`"
        namespace   = "Beadle"
        metric      = "Contested"
        dimensions  = { Deployment = local.table }
        statistic   = "Minimum", period = 300, times = 1, threshold = 0
        comparison  = "GreaterThanThreshold", missing = "notBreaching"
      }
      failed-changes = {
        description = "Changes fail again and again. See `beadle status`"
        namespace   = "Beadle"
        metric      = "FailedChanges"
        dimensions  = { Deployment = local.table }
        statistic   = "Minimum", period = 300, times = 12, threshold = 0
        comparison  = "GreaterThanThreshold", missing = "notBreaching"
      }
      rejected-policies = {
        description = "Beadle does not accept the newest policy of an organisation, an older one stays in force. See `beadle tasks`"
        namespace   = "Beadle"
        metric      = "RejectedPolicies"
        dimensions  = { Deployment = local.table }
        statistic   = "Minimum", period = 300, times = 2, threshold = 0
        comparison  = "GreaterThanThreshold", missing = "notBreaching"
      }
      sweep-overdue = {
        description = "A sweep has not begun at its time. See `beadle status`"
        namespace   = "Beadle"
        metric      = "SweepOverdueSeconds"
        dimensions  = { Deployment = local.table }
        statistic   = "Minimum", period = 300, times = 2, threshold = 900
        comparison  = "GreaterThanThreshold", missing = "notBreaching"
      }
    },
    var.directory ? {
      token = {
        description = "The token of a SCIM target ends soon. Create a new token, and store it in the secret"
        namespace   = "Beadle"
        metric      = "TokenDays"
        dimensions  = { Deployment = local.table }
        statistic   = "Minimum", period = 3600, times = 1, threshold = var.token_days
        comparison  = "LessThanThreshold", missing = "notBreaching"
      }
    } : {},
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.times
  threshold           = each.value.threshold
  comparison_operator = each.value.comparison
  treat_missing_data  = each.value.missing
  alarm_actions       = local.alarm_actions
  tags                = var.tags
}
