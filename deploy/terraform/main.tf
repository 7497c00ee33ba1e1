data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

# beadle.toml and the policy: a new version of this layer is a new generation. Only the files that Beadle
# reads are packed, so that a private key in the folder stays out.
data "archive_file" "configuration" {
  type        = "zip"
  output_path = "${path.root}/.terraform/${var.name}-configuration.zip"

  dynamic "source" {
    for_each = fileset(var.configuration, "**/*.{toml,yml,yaml}")
    content {
      content  = file("${var.configuration}/${source.value}")
      filename = "beadle/${source.value}"
    }
  }
}

resource "aws_lambda_layer_version" "configuration" {
  layer_name       = "${var.name}-configuration"
  description      = "beadle.toml and the policy"
  filename         = data.archive_file.configuration.output_path
  source_code_hash = data.archive_file.configuration.output_base64sha256
}

locals {
  table     = coalesce(var.existing_table, aws_dynamodb_table.this.name)
  table_arn = "arn:${data.aws_partition.current.partition}:dynamodb:${data.aws_region.current.region}:${data.aws_caller_identity.current.account_id}:table/${local.table}"
}

# The table stays if the functions use another one. Look at its content before you delete it.
resource "aws_dynamodb_table" "this" {
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = true
  tags                        = var.tags

  dynamic "attribute" {
    for_each = ["pk", "sk", "g", "gs"]
    content {
      name = attribute.value
      type = "S"
    }
  }

  global_secondary_index {
    name            = "ordered"
    hash_key        = "g"
    range_key       = "gs"
    projection_type = "ALL"
  }

  ttl {
    attribute_name = "gone"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}

resource "aws_sqs_queue" "dead_letters" {
  for_each                  = toset(["event", "sweep"])
  name                      = "${var.name}-${each.key}-dead-letters"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = var.tags
}

resource "aws_sqs_queue" "this" {
  for_each = toset(["event", "sweep"])
  name     = "${var.name}-${each.key}"
  # Six times the timeout of the worker, as Lambda recommends.
  visibility_timeout_seconds = 5400
  sqs_managed_sse_enabled    = true
  tags                       = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters[each.key].arn
    maxReceiveCount     = 5
  })
}

resource "aws_cloudwatch_log_group" "this" {
  for_each          = toset(["intake", "worker", "gateway"])
  name              = "/beadle/${var.name}/${each.key}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}
