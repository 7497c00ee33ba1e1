locals {
  secrets = merge(
    var.github ? {
      github = {
        description = "Of the GitHub App; webhook_secret is made, app_key is for you to put in"
        made        = "webhook_secret"
        provided    = ["app_key"]
      }
    } : {},
    var.directory ? {
      directory = {
        description = "Of Okta and the SCIM target; hook_secret is made, okta_key and scim_token are for you to put in"
        made        = "hook_secret"
        provided    = ["okta_key", "scim_token"]
      }
    } : {},
  )
}

resource "random_password" "this" {
  for_each = local.secrets
  length   = 64
  special  = false
}

resource "aws_secretsmanager_secret" "this" {
  for_each    = local.secrets
  name        = "${var.name}/${each.key}"
  description = each.value.description
  kms_key_id  = var.secrets_key_arn
  tags        = var.tags
}

# The first value only: what is put in afterwards is not Terraform's.
resource "aws_secretsmanager_secret_version" "this" {
  for_each  = local.secrets
  secret_id = aws_secretsmanager_secret.this[each.key].id
  secret_string = jsonencode(merge(
    { (each.value.made) = random_password.this[each.key].result },
    { for name in each.value.provided : name => "<MUST BE PROVIDED>" },
  ))

  lifecycle {
    ignore_changes = [secret_string]
  }
}
