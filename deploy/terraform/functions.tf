locals {
  environment = {
    BEADLE_CONFIG      = "/opt/beadle/beadle.toml"
    BEADLE_STORE       = "dynamodb://${local.table}"
    BEADLE_EVENT_QUEUE = aws_sqs_queue.this["event"].url
    BEADLE_SWEEP_QUEUE = aws_sqs_queue.this["sweep"].url
    BEADLE_LOG         = var.log_level
  }
}

resource "aws_lambda_function" "intake" {
  function_name    = "${var.name}-intake"
  description      = "Verifies and stores webhooks, and sends messages to the worker"
  role             = aws_iam_role.intake.arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  filename         = "${var.packages}/intake/bootstrap.zip"
  source_code_hash = filebase64sha256("${var.packages}/intake/bootstrap.zip")
  layers           = [aws_lambda_layer_version.configuration.arn]
  memory_size      = 256
  timeout          = 10
  tags             = var.tags

  environment {
    variables = local.environment
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this["intake"].name
  }

  lifecycle {
    precondition {
      condition     = var.github || var.directory
      error_message = "Keep GitHub, a directory, or both: one of the variables has to be true."
    }
  }
}

resource "aws_lambda_function" "worker" {
  function_name    = "${var.name}-worker"
  description      = "Runs due keys and the background tasks"
  role             = aws_iam_role.worker.arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  filename         = "${var.packages}/worker/bootstrap.zip"
  source_code_hash = filebase64sha256("${var.packages}/worker/bootstrap.zip")
  layers           = [aws_lambda_layer_version.configuration.arn]
  memory_size      = var.worker_memory
  timeout          = 900
  tags             = var.tags

  environment {
    variables = local.environment
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.this["worker"].name
  }
}

# A failed minute is not retried, because the next one follows.
resource "aws_lambda_function_event_invoke_config" "worker" {
  function_name                = aws_lambda_function.worker.function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}

resource "aws_lambda_event_source_mapping" "event" {
  function_name           = aws_lambda_function.worker.arn
  event_source_arn        = aws_sqs_queue.this["event"].arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.worker_concurrency
  }

  depends_on = [aws_iam_role_policy.worker]
}

resource "aws_lambda_event_source_mapping" "sweep" {
  function_name                      = aws_lambda_function.worker.arn
  event_source_arn                   = aws_sqs_queue.this["sweep"].arn
  batch_size                         = 100
  maximum_batching_window_in_seconds = 5
  function_response_types            = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.worker_concurrency
  }

  depends_on = [aws_iam_role_policy.worker]
}

# Sweeps, missed webhooks, interrupted writes, and messages for keys that wait without one.
resource "aws_scheduler_schedule" "minute" {
  name                = "${var.name}-minute"
  schedule_expression = "rate(1 minute)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.worker.arn
    role_arn = aws_iam_role.scheduler.arn
    input    = jsonencode({ beadle = "minute" })

    # The next minute retries.
    retry_policy {
      maximum_retry_attempts = 0
    }
  }
}
