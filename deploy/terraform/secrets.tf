locals {
  # What proves a sender is made here, and read by the intake. What vendors give is put in by you, and read by the worker.
  hook_secrets = merge(
    var.github ? { github-hook = "The webhook secret of the GitHub App" } : {},
    var.directory ? { directory-hook = "What Okta's event hook sends in its header" } : {},
  )
  vendor_secrets = merge(
    var.github ? { github = "The private key of the GitHub App, for you to put in" } : {},
    var.directory ? { directory = "JSON with okta_key and scim_token, for you to put in" } : {},
  )
}

resource "random_password" "this" {
  for_each = local.hook_secrets
  length   = 64
  special  = false
}

resource "aws_secretsmanager_secret" "this" {
  for_each                = merge(local.hook_secrets, local.vendor_secrets)
  name                    = "${var.name}/${each.key}"
  description             = each.value
  kms_key_id              = var.secrets_key_arn
  recovery_window_in_days = var.secrets_recovery_days
  tags                    = var.tags
}

# The first value only: what is put in afterwards is not Terraform's.
resource "aws_secretsmanager_secret_version" "this" {
  for_each      = local.hook_secrets
  secret_id     = aws_secretsmanager_secret.this[each.key].id
  secret_string = random_password.this[each.key].result

  lifecycle {
    ignore_changes = [secret_string]
  }
}
