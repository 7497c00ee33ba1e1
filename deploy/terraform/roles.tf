data "aws_iam_policy_document" "lambda" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "by_scheduler" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "intake" {
  name               = "${var.name}-intake"
  assume_role_policy = data.aws_iam_policy_document.lambda.json
  tags               = var.tags
}

resource "aws_iam_role" "worker" {
  name               = "${var.name}-worker"
  assume_role_policy = data.aws_iam_policy_document.lambda.json
  tags               = var.tags
}

resource "aws_iam_role" "scheduler" {
  name               = "${var.name}-scheduler"
  assume_role_policy = data.aws_iam_policy_document.by_scheduler.json
  tags               = var.tags
}

data "aws_iam_policy_document" "intake" {
  # The log of the function.
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this["intake"].arn}:*"]
  }
  # Deliveries, their bodies, the rows of their keys, and journal entries of refused senders.
  statement {
    sid       = "Table"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    resources = [local.table_arn]
  }
  # Messages to the worker.
  statement {
    sid       = "Wake"
    actions   = ["sqs:SendMessage"]
    resources = [for queue in aws_sqs_queue.this : queue.arn]
  }
}

data "aws_iam_policy_document" "worker" {
  # The log of the function.
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this["worker"].arn}:*"]
  }
  # Rows, journal, holds and notes. ConditionCheckItem checks the lease and the pauses in a transaction.
  statement {
    sid = "Table"
    actions = [
      "dynamodb:GetItem",
      "dynamodb:BatchGetItem",
      "dynamodb:PutItem",
      "dynamodb:DeleteItem",
      "dynamodb:UpdateItem",
      "dynamodb:Query",
      "dynamodb:ConditionCheckItem",
    ]
    resources = [local.table_arn]
  }
  # The index of due keys, in the order of their times.
  statement {
    sid       = "Index"
    actions   = ["dynamodb:Query"]
    resources = ["${local.table_arn}/index/ordered"]
  }
  # A run sends messages for further due keys. The event source mapping uses this role to receive and delete.
  statement {
    sid       = "Queues"
    actions   = ["sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [for queue in aws_sqs_queue.this : queue.arn]
  }
  # Signatures of the App with a key that stays in KMS.
  dynamic "statement" {
    for_each = var.app_key_kms_arn == null ? [] : [var.app_key_kms_arn]
    content {
      sid       = "Sign"
      actions   = ["kms:Sign"]
      resources = [statement.value]
    }
  }
}

# The intake reads the secrets of senders. The worker reads private keys and tokens.
data "aws_iam_policy_document" "secrets" {
  for_each = { intake = local.hook_secrets, worker = local.vendor_secrets }

  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [for name in keys(each.value) : aws_secretsmanager_secret.this[name].arn]
  }
  # Decryption of secrets with your own key, and of nothing else.
  dynamic "statement" {
    for_each = var.secrets_key_arn == null ? [] : [var.secrets_key_arn]
    content {
      sid       = "Decrypt"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${data.aws_region.current.region}.amazonaws.com"]
      }
    }
  }
}

data "aws_iam_policy_document" "scheduler" {
  # The invocation of every minute.
  statement {
    sid       = "Invoke"
    actions   = ["lambda:InvokeFunction"]
    resources = [aws_lambda_function.worker.arn]
  }
}

resource "aws_iam_role_policy" "intake" {
  name   = "intake"
  role   = aws_iam_role.intake.id
  policy = data.aws_iam_policy_document.intake.json
}

resource "aws_iam_role_policy" "worker" {
  name   = "worker"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.worker.json
}

# Further reads of beadle.toml. They are counted, because ARNs of resources of the same plan are not known yet.
resource "aws_iam_role_policy_attachment" "intake" {
  count      = length(var.intake_policy_arns)
  role       = aws_iam_role.intake.name
  policy_arn = var.intake_policy_arns[count.index]
}

resource "aws_iam_role_policy_attachment" "worker" {
  count      = length(var.worker_policy_arns)
  role       = aws_iam_role.worker.name
  policy_arn = var.worker_policy_arns[count.index]
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "scheduler"
  role   = aws_iam_role.scheduler.id
  policy = data.aws_iam_policy_document.scheduler.json
}

resource "aws_iam_role_policy" "secrets" {
  for_each = { intake = aws_iam_role.intake.id, worker = aws_iam_role.worker.id }
  name     = "secrets"
  role     = each.value
  policy   = data.aws_iam_policy_document.secrets[each.key].json
}
