locals {
  # The module creates the secrets of senders, which the intake reads. You store the credentials of vendors, which the worker
  # reads.
  hook_secrets = merge(
    var.github ? { github-hook = "The webhook secret of the GitHub App" } : {},
    var.directory ? { directory-hook = "The secret in the header of Okta's event hook" } : {},
  )
  vendor_secrets = merge(
    var.github ? { github = "The private key of the GitHub App, which you store here" } : {},
    var.directory ? { directory = "JSON with okta_key and scim_token, which you store here" } : {},
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

# Only the first value: Terraform does not manage later values.
resource "aws_secretsmanager_secret_version" "this" {
  for_each      = local.hook_secrets
  secret_id     = aws_secretsmanager_secret.this[each.key].id
  secret_string = random_password.this[each.key].result

  lifecycle {
    ignore_changes = [secret_string]
  }
}
